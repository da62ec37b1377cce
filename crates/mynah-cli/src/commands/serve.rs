//! `mynah serve`: a model behind OpenAI's and Anthropic's APIs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mynah_engine::live::{EngineHandle, EngineOptions, PromptLookup};
use mynah_models::{KvFormat, LoadOptions, Quantize};
use mynah_serve::weights::resume;
use mynah_serve::{LlmConfig, LlmServer, ModelSource, Models, ServerTools, WeightsConfig};
use serde_json::{Value, json};

use super::python_tool::PythonTool;
use crate::failure::{Failure, Result};
use crate::home;
use crate::recording::{RecordOptions, RecordedRun, Recording};

#[derive(Args)]
#[command(after_help = "Examples:
  mynah serve                                        the model of the last speedrun, at http://127.0.0.1:8000
  mynah serve --model Qwen/Qwen3-0.6B --quantize q8  from the Hugging Face cache
  mynah serve --model model.gguf --port 0            prints the port it found
  mynah serve --model BAAI/bge-small-en-v1.5         embeddings, at /v1/embeddings
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
      -d '{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}'

Clients: OPENAI_BASE_URL=http://127.0.0.1:8000/v1, ANTHROPIC_BASE_URL=http://127.0.0.1:8000. Other machines are served only
with an API key (--api-key, or MYNAH_API_KEY). Nothing is downloaded.")]
pub struct Serve {
    /// A folder, a GGUF file, or org/name in the Hugging Face cache (default: the last speedrun)
    #[arg(long, value_name = "DIR_OR_ID")]
    model: Option<String>,
    /// Folder of the tokenizer, where it is not beside the weights
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// What clients call the model (default: the name of its folder or file)
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Address to listen on
    #[arg(long, value_name = "H", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on (0: any free one)
    #[arg(long, value_name = "N", default_value_t = 8000)]
    port: u16,
    /// Round the weights while they are loaded
    #[arg(long, value_name = "FORMAT")]
    quantize: Option<Rounding>,
    /// A key that clients must present (may be given several times; also MYNAH_API_KEY, with commas)
    #[arg(long, value_name = "K")]
    api_key: Vec<String>,
    /// Longest prompt and answer together, in tokens (default: what the model allows)
    #[arg(long, value_name = "N")]
    max_context: Option<usize>,
    /// How the cache keeps keys and values (default: f16)
    #[arg(long, value_name = "FORMAT")]
    cache_format: Option<CacheFormat>,
    /// Tokens that the cache holds for all requests together
    #[arg(long, value_name = "N")]
    cache_tokens: Option<usize>,
    /// A small model of the same vocabulary that guesses tokens
    #[arg(long, value_name = "D")]
    draft_model: Option<String>,
    /// Guess tokens from what the prompt repeats
    #[arg(long)]
    prompt_lookup: bool,
    /// Requests that are computed at once
    #[arg(long, value_name = "N")]
    max_running: Option<usize>,
    /// How the model writes tool calls (default: what its chat template shows)
    #[arg(long, value_name = "NAME")]
    tool_parser: Option<String>,
    /// How streams of chats tell of tool calls, unless a request says: whole, or while they are written
    #[arg(long, value_name = "HOW", default_value = "complete")]
    tool_stream: ToolStream,
    /// A low-rank adapter in PEFT's form, under a name of its own (may be given several times)
    #[arg(long, value_name = "NAME=DIR", value_parser = named_folder)]
    adapter: Vec<(String, PathBuf)>,
    /// Let clients load and unload adapters from folders of this machine
    #[arg(long)]
    allow_adapter_loading: bool,
    /// Requests a minute and client
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,
    /// Web pages of this origin may call (may be given several times; * for all)
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Take new weights while answering, from callers with this key (also MYNAH_ADMIN_KEY; it opens nothing else)
    #[arg(long, value_name = "K")]
    admin_key: Option<String>,
    /// Take only weights that this Ed25519 key has signed (the public half: MYNAH_HOME/keys/weights.pub.pem)
    #[arg(long, value_name = "FILE")]
    weights_key: Option<PathBuf>,
    /// Keep the versions that come in here, so that the last one is served again after a restart
    #[arg(long, value_name = "DIR")]
    weights_dir: Option<PathBuf>,
    /// Tools that the server runs itself when the model calls them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tools: Vec<OwnTool>,
    #[command(flatten)]
    record: RecordOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OwnTool {
    /// Python without files, network or clock, in a process of its own, ten seconds at most
    Python,
}

/// What `--quantize` names.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Rounding {
    /// 8 bits a weight
    Q8,
    /// 4 bits a weight
    Q4,
}

impl From<Rounding> for Quantize {
    fn from(rounding: Rounding) -> Quantize {
        match rounding {
            Rounding::Q8 => Quantize::Q8,
            Rounding::Q4 => Quantize::Q4,
        }
    }
}

/// What `--cache-format` names: a step reads all keys and values of its sequences, so their bytes are time.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CacheFormat {
    /// As computed
    F32,
    /// Half precision
    F16,
    /// 8 bits with a scale for each token and head
    Q8,
}

impl From<CacheFormat> for KvFormat {
    fn from(format: CacheFormat) -> KvFormat {
        match format {
            CacheFormat::F32 => KvFormat::F32,
            CacheFormat::F16 => KvFormat::F16,
            CacheFormat::Q8 => KvFormat::Q8,
        }
    }
}

/// What `--tool-stream` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ToolStream {
    /// One complete delta a call, which every client understands
    Complete,
    /// Pieces of arguments, as the model writes them
    Incremental,
}

/// Keys may come by the environment: a command line can be read by everybody on the machine.
const KEY_VARIABLE: &str = "MYNAH_API_KEY";

pub fn run(arguments: &Serve) -> Result<()> {
    let (model, tokenizer) = find_model(arguments.model.as_deref(), arguments.tokenizer.as_deref())?;
    let page_tokens = LoadOptions::default().page_tokens;
    let load = LoadOptions {
        context_length: arguments.max_context,
        cache_pages: arguments.cache_tokens.map(|tokens| tokens.div_ceil(page_tokens)),
        quantize: arguments.quantize.map(Quantize::from),
        cache_format: arguments.cache_format.unwrap_or(CacheFormat::F16).into(),
        max_slots: arguments.max_running.unwrap_or(LoadOptions::default().max_slots),
        ..LoadOptions::default()
    };
    let engine = EngineOptions {
        running_max: arguments.max_running.unwrap_or(EngineOptions::default().running_max),
        prompt_lookup: arguments.prompt_lookup.then(PromptLookup::default),
        ..EngineOptions::default()
    };
    let mut api_keys = arguments.api_key.clone();
    if let Ok(keys) = std::env::var(KEY_VARIABLE) {
        api_keys.extend(keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_string));
    }
    let weights = weights_config(arguments, &model, &load)?;
    let config = LlmConfig {
        weights,
        host: arguments.host.clone(),
        port: arguments.port,
        api_keys,
        requests_per_minute: arguments.requests_per_minute,
        cors_origins: arguments.cors_origin.clone(),
        incremental_tool_calls: arguments.tool_stream == ToolStream::Incremental,
        adapter_loading: arguments.allow_adapter_loading,
        tools: own_tools(&arguments.tools)?,
        ..LlmConfig::default()
    };
    // Before minutes of loading: a port that is taken is known at once.
    config.check()?;
    let resumed = config.weights.as_ref().map(resume).transpose()?.flatten();
    let name = arguments.name.clone().or_else(|| resumed.is_some().then(|| name_of(&model)));
    let model = match &resumed {
        None => model,
        Some(folder) => {
            eprintln!("weights: goes on with the version that was committed last, in {}", folder.display());
            let path =
                folder.to_str().ok_or_else(|| Failure::new("the path is not valid UTF-8").at_path(folder))?;
            path.to_string()
        }
    };
    eprintln!("loading {model} …");
    let started = std::time::Instant::now();
    let source = ModelSource {
        model,
        name,
        tokenizer,
        tool_parser: arguments.tool_parser.clone(),
        draft_model: arguments.draft_model.clone(),
        load,
        engine,
    };
    if source.is_embedder()? {
        return serve_embedder(arguments, config, &source, started);
    }
    let recording = arguments.record.open("serve")?;
    let served = source.load()?;
    if !arguments.tools.is_empty() && !served.can_call() {
        return Err(Failure::new(format!("{} does not know how to call tools", served.name))
            .at("--tools")
            .advice("leave it out, or say how the model writes calls with --tool-parser"));
    }
    let (name, context) = (served.name.clone(), served.engine.context_length());
    let settings = json!({
        "model": name, "source": source.model, "context": context,
        "quantize": arguments.quantize.map(|rounding| format!("{rounding:?}").to_lowercase()),
        "draft_model": source.draft_model, "prompt_lookup": arguments.prompt_lookup,
        "adapters": arguments.adapter.iter().map(|(name, _)| name).collect::<Vec<_>>(),
    });
    let engine = served.engine.clone();
    let mut models = vec![served];
    for (name, folder) in &arguments.adapter {
        models.push(models[0].with_adapter(name, folder)?);
    }
    let server = LlmServer::bind(config, models)?;
    eprintln!(
        "{name}: context of {context} tokens, loaded in {:.1} s; Ctrl-C ends",
        started.elapsed().as_secs_f64()
    );
    println!("http://{}", server.address());
    run_recorded(server, recording, settings, move || figures(&engine))
}

/// The tools that were named, each once.
fn own_tools(named: &[OwnTool]) -> Result<ServerTools> {
    let mut tools = ServerTools::default();
    if named.contains(&OwnTool::Python) {
        tools.0.push(Arc::new(PythonTool::new()?));
    }
    Ok(tools)
}

/// What a model is called that nobody named: the last part of its path or id.
fn name_of(model: &str) -> String {
    let last =
        Path::new(model).components().next_back().map(|part| part.as_os_str().to_string_lossy().into_owned());
    last.unwrap_or_else(|| model.to_string())
}

/// Answers until the end, and records that as a run.
fn run_recorded(
    server: LlmServer,
    recording: Option<Recording>,
    settings: Value,
    figures: impl Fn() -> Vec<(&'static str, f64)> + Send + 'static,
) -> Result<()> {
    let watch = recording.map(|recording| Watch::start(&recording, settings, figures));
    let outcome = server.run().map_err(Failure::from);
    if let Some(watch) = watch {
        watch.end(&outcome);
    }
    outcome
}

fn figures(engine: &EngineHandle) -> Vec<(&'static str, f64)> {
    let found = engine.metrics();
    vec![
        ("requests_completed", found.completed as f64),
        ("requests_failed", found.failures as f64),
        ("requests_cancelled", found.cancellations as f64),
        ("requests_running", found.running as f64),
        ("requests_queued", found.queued as f64),
        ("prompt_tokens", found.prompt_tokens as f64),
        ("prefix_hit_tokens", found.prefix_hit_tokens as f64),
        ("completion_tokens", found.completion_tokens as f64),
        ("cache_pages_used", found.pages_used as f64),
        ("weights", f64::from(found.weights)),
    ]
}

/// A model that makes embeddings: it has no engine, so what only an engine can do is refused.
fn serve_embedder(
    arguments: &Serve,
    config: LlmConfig,
    source: &ModelSource,
    started: std::time::Instant,
) -> Result<()> {
    let given = [
        ("--adapter", !arguments.adapter.is_empty()),
        ("--allow-adapter-loading", arguments.allow_adapter_loading),
        ("--draft-model", arguments.draft_model.is_some()),
        ("--tools", !arguments.tools.is_empty()),
        ("--prompt-lookup", arguments.prompt_lookup),
        ("--cache-tokens", arguments.cache_tokens.is_some()),
        ("--cache-format", arguments.cache_format.is_some()),
        ("--max-running", arguments.max_running.is_some()),
        ("--tool-parser", arguments.tool_parser.is_some()),
        ("--admin-key", config.weights.is_some()),
        ("--tool-stream", arguments.tool_stream != ToolStream::Complete),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        return Err(Failure::new(format!(
            "{option} is for models that write text; {} makes embeddings",
            source.model
        )));
    }
    let recording = arguments.record.open("serve")?;
    let served = source.load_embedder()?;
    let (name, context) = (served.name.clone(), served.embedder.config().context_length);
    let server = LlmServer::bind(config, Models { generators: Vec::new(), embedders: vec![served] })?;
    eprintln!(
        "{name}: embeddings of texts of up to {context} tokens, loaded in {:.1} s; Ctrl-C ends",
        started.elapsed().as_secs_f64()
    );
    println!("http://{}", server.address());
    let settings = json!({
        "model": name, "source": source.model, "context": context, "kind": "embeddings",
        "quantize": arguments.quantize.map(|rounding| format!("{rounding:?}").to_lowercase()),
    });
    run_recorded(server, recording, settings, Vec::new)
}

/// The admin's key may come by the environment, for the same reason.
pub const ADMIN_KEY_VARIABLE: &str = "MYNAH_ADMIN_KEY";

/// How new weights come in, when somebody may bring them.
fn weights_config(arguments: &Serve, model: &str, load: &LoadOptions) -> Result<Option<WeightsConfig>> {
    let given = arguments.admin_key.clone().or_else(|| std::env::var(ADMIN_KEY_VARIABLE).ok());
    let Some(admin_key) = given.filter(|key| !key.is_empty()) else {
        if arguments.weights_key.is_some() {
            return Err(Failure::new("--weights-key goes with --admin-key"));
        }
        if arguments.weights_dir.is_some() {
            return Err(Failure::new("--weights-dir goes with --admin-key"));
        }
        return Ok(None);
    };
    let folder = mynah_models::resolve(model).map_err(|error| Failure::new(error.to_string()))?;
    if !folder.is_dir() || !folder.join("config.json").is_file() {
        return Err(Failure::new("new weights come into folders of safetensors only")
            .at_path(&folder)
            .advice("leave --admin-key away"));
    }
    if arguments.weights_key.is_none() {
        eprintln!(
            "weights: whoever has the admin key may bring any; --weights-key FILE takes only signed ones"
        );
    }
    if let Some(state) = &arguments.weights_dir {
        return Ok(Some(WeightsConfig {
            admin_key,
            folder,
            load: load.clone(),
            state: state.clone(),
            keeps: true,
            signer: arguments.weights_key.clone(),
        }));
    }
    eprintln!(
        "weights: versions are held in memory only, a restart serves the model's own folder; --weights-dir DIR keeps them"
    );
    // One of its own for each server: the port tells them apart, and without one the process does.
    let port = match arguments.port {
        0 => format!("0-{}", std::process::id()),
        port => port.to_string(),
    };
    let place = blake3::hash(folder.to_string_lossy().as_bytes()).to_hex();
    let state = home::home()?.join("weights/serve").join(format!("{port}-{}", &place[..8]));
    Ok(Some(WeightsConfig {
        admin_key,
        folder,
        load: load.clone(),
        state,
        keeps: false,
        signer: arguments.weights_key.clone(),
    }))
}

/// `NAME=DIR`
fn named_folder(text: &str) -> std::result::Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => {
            Ok((name.to_string(), PathBuf::from(folder)))
        }
        _ => Err("write it as NAME=DIR".to_string()),
    }
}

/// How often a server's figures are recorded.
const RECORD_EVERY: Duration = Duration::from_secs(30);

/// Records what a server does, as a run that lasts as long as it.
struct Watch {
    stop: mpsc::Sender<()>,
    thread: thread::JoinHandle<RecordedRun>,
}

impl Watch {
    fn start(
        recording: &Recording,
        settings: Value,
        figures: impl Fn() -> Vec<(&'static str, f64)> + Send + 'static,
    ) -> Watch {
        let mut run = recording.begin(None, "serve", false, Vec::new());
        run.params(&settings);
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            for round in 0.. {
                // Nobody sends but the end; a figure at the end, too.
                let ended = stopped.recv_timeout(RECORD_EVERY) != Err(mpsc::RecvTimeoutError::Timeout);
                run.metrics(round, &figures());
                if ended {
                    break;
                }
            }
            run
        });
        Watch { stop, thread }
    }

    fn end(self, outcome: &Result<()>) {
        // The thread ends also when the sender is gone.
        let _ = self.stop.send(());
        if let Ok(mut run) = self.thread.join() {
            run.end(outcome, false);
        }
    }
}

/// The model and, for a run of ours, its tokenizer; the last speedrun's where none is named.
pub fn find_model(model: Option<&str>, tokenizer: Option<&Path>) -> Result<(String, Option<PathBuf>)> {
    let named = model.map(PathBuf::from);
    // A folder of a run of ours, or nothing named: the model is inside it.
    let is_run = named.as_ref().is_none_or(|path| path.join("model/config.json").is_file());
    if !is_run {
        return Ok((model.unwrap_or_default().to_string(), tokenizer.map(Path::to_path_buf)));
    }
    let folders = home::find_model(named.as_deref(), tokenizer)?;
    let model = folders.model.to_str().map(str::to_string);
    let model = model.ok_or_else(|| Failure::new("the path is not valid UTF-8").at_path(&folders.model))?;
    Ok((model, Some(folders.tokenizer)))
}
