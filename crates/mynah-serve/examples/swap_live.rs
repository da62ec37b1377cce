//! What new weights cost those who are being answered: `cargo run --release --example swap_live [-- --small]`.
//!
//! A Llama with random weights answers eight streams, version after version is pushed over loopback, and the times between
//! tokens are taken beside the engine. Prints one line of JSON: tokens a second without pushes and while versions are sent
//! and staged, the time between tokens that the flips add at the 99th percentile, and a decode step to hold it against.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use half::bf16;
use mynah_base::Rng;
use mynah_chat::ToolFormat;
use mynah_engine::live::{Codec, Engine, EngineHandle, EngineOptions, Event, Request};
use mynah_models::{Decoder, LoadOptions};
use mynah_serve::weights::{Fleet, Link, Policy, PushOptions};
use mynah_serve::{LlmConfig, LlmServer, Meter, ServedModel, Tokens, WeightsConfig};
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::protocol::FileLog;
use mynah_swap::source::SafetensorsSource;
use serde_json::{Value, json};

const KEY: &str = "the-admin-key-of-the-example";
const STREAMS: usize = 8;
const CONTEXT: usize = 512;

/// Around the end of a push: the flip, and the first steps with the new version.
const BEFORE: Duration = Duration::from_millis(60);
const AFTER: Duration = Duration::from_millis(60);

/// Width, channels of the feed-forward part, layers, tokens, milliseconds without a push before each, pushes.
#[derive(Clone, Copy)]
struct Shape(usize, usize, usize, usize, u64, usize);

const SMALL: Shape = Shape(64, 128, 2, 300, 200, 3);
const LARGE: Shape = Shape(768, 2048, 8, 8_000, 2_000, 12);

struct Words(Vec<Vec<u8>>);

impl Codec for Words {
    fn vocab_size(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.0.get(id as usize).map_or(&[], Vec::as_slice)
    }

    fn is_special(&self, _: u32) -> bool {
        false
    }

    fn end_ids(&self) -> &[u32] {
        &[]
    }

    fn encode(&self, _: &str) -> Vec<u32> {
        vec![1]
    }
}

impl Tokens for Words {
    fn id_of(&self, _: &str) -> Option<u32> {
        None
    }

    fn prompt_of_text(&self, _: &str) -> Result<Vec<u32>, String> {
        Ok(vec![1])
    }
}

type Failed = Box<dyn std::error::Error>;

/// Writes a version: bfloat16, a hundredth of the places other than in version 0.
fn write_version(folder: &Path, shape: Shape, version: u64) -> Result<u64, Failed> {
    let Shape(width, hidden, layers, vocabulary, ..) = shape;
    std::fs::create_dir_all(folder)?;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width,
        "intermediate_size": hidden, "num_hidden_layers": layers, "num_attention_heads": width / 16 / 2,
        "num_key_value_heads": width / 16 / 2, "vocab_size": vocabulary, "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false, "hidden_act": "silu",
        "bos_token_id": 0, "eos_token_id": 0,
    });
    std::fs::write(folder.join("config.json"), config.to_string())?;
    let mut tensors: Vec<(String, Vec<usize>)> = vec![
        ("lm_head.weight".to_string(), vec![vocabulary, width]),
        ("model.embed_tokens.weight".to_string(), vec![vocabulary, width]),
        ("model.norm.weight".to_string(), vec![width]),
    ];
    for layer in 0..layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        for part in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            tensors.push((name(&format!("self_attn.{part}")), vec![width, width]));
        }
        tensors.push((name("mlp.gate_proj"), vec![hidden, width]));
        tensors.push((name("mlp.up_proj"), vec![hidden, width]));
        tensors.push((name("mlp.down_proj"), vec![width, hidden]));
        tensors.push((name("input_layernorm"), vec![width]));
        tensors.push((name("post_attention_layernorm"), vec![width]));
    }
    let (mut header, mut offset) = (serde_json::Map::new(), 0);
    for (name, shape) in &tensors {
        let size = shape.iter().product::<usize>() * 2;
        header.insert(
            name.clone(),
            json!({"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}),
        );
        offset += size;
    }
    let mut head = Value::Object(header).to_string();
    while !head.len().is_multiple_of(8) {
        head.push(' ');
    }
    let mut out = std::io::BufWriter::new(std::fs::File::create(folder.join("model.safetensors"))?);
    out.write_all(&(head.len() as u64).to_le_bytes())?;
    out.write_all(head.as_bytes())?;
    let (mut first, mut other) = (Rng::new(7), Rng::new(version + 100));
    for (name, shape) in &tensors {
        let is_norm = name.contains("norm");
        for _ in 0..shape.iter().product::<usize>() {
            let mut value = (first.uniform() as f32 - 0.5) * 0.1;
            if version > 0 && other.uniform() < 0.01 {
                value = (other.uniform() as f32 - 0.5) * 0.1;
            }
            let value = if is_norm { 1.0 } else { value };
            out.write_all(&bf16::from_f32(value).to_le_bytes())?;
        }
    }
    out.flush()?;
    Ok(offset as u64)
}

/// A server on loopback, by plain HTTP.
struct Loopback(SocketAddr, String);

impl Loopback {
    fn call(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        let said = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(self.0).map_err(said)?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {KEY}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).map_err(said)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(said)?;
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no answer")? + 4;
        let body = bytes.split_off(end);
        match bytes.starts_with(b"HTTP/1.1 200") {
            true => Ok(body),
            false => Err(String::from_utf8_lossy(&body).into_owned()),
        }
    }
}

impl Link for Loopback {
    fn name(&self) -> &str {
        &self.1
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let answer = self.call("POST", path, body.to_string().as_bytes())?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        self.call("GET", path, b"")
    }

    fn upload(&self, path: &str, file: &Path) -> Result<Value, String> {
        let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
        let answer = self.call("POST", path, &bytes)?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    fn download(&self, path: &str, body: &[u8], file: &Path) -> Result<u64, String> {
        let bytes = self.call("POST", path, body)?;
        std::fs::write(file, &bytes).map_err(|error| error.to_string())?;
        Ok(bytes.len() as u64)
    }
}

/// Streams one answer after the other; gives when each token came, and how long after the one before.
fn stream(
    engine: &EngineHandle,
    number: u32,
    stop: &AtomicBool,
    tokens: &AtomicU64,
) -> Vec<(Instant, Duration)> {
    let mut gaps = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let request = Request { max_tokens: Some(CONTEXT / 2), ..Request::new(vec![1 + number, 5, 9]) };
        let Ok(events) = engine.submit(request) else { break };
        let mut last: Option<Instant> = None;
        for event in events {
            if let Event::Piece(piece) = event {
                let now = Instant::now();
                tokens.fetch_add(piece.tokens.len() as u64, Ordering::Relaxed);
                if let Some(before) = last {
                    gaps.push((now, now.duration_since(before)));
                }
                last = Some(now);
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    gaps
}

fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(place).copied().unwrap_or(0.0)
}

fn main() -> Result<(), Failed> {
    let shape = if std::env::args().any(|argument| argument == "--small") { SMALL } else { LARGE };
    let home = tempfile::tempdir()?;
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut size_bytes = 0;
    for version in 0..2 {
        let folder = home.path().join(format!("v{version}"));
        size_bytes = write_version(&folder, shape, version)?;
        folders.push(folder);
    }
    // Enough for all streams: none waits for room.
    let load = LoadOptions { cache_pages: Some(STREAMS * CONTEXT / 16), ..LoadOptions::default() };
    let decoder = Decoder::open(folders[0].to_str().ok_or("the path is no text")?, &load)?;
    let tokens = Arc::new(Words((0..shape.3).map(|id| format!("{id} ").into_bytes()).collect()));
    let engine = Engine::start(Box::new(decoder), tokens.clone(), EngineOptions::default())?;
    let model = ServedModel {
        name: "random".to_string(),
        created_s: 0,
        engine: engine.clone(),
        tokens,
        prompter: None,
        tool_format: ToolFormat::None,
        thinking: None,
        adapter: None,
        meter: Meter::default(),
    };
    let weights = WeightsConfig {
        admin_key: KEY.to_string(),
        folder: folders[0].clone(),
        load,
        state: home.path().join("state"),
        keeps: true,
        signer: None,
    };
    let config = LlmConfig { port: 0, weights: Some(weights), ..LlmConfig::default() };
    let server = LlmServer::bind(config, vec![model])?.start()?;
    let link = Loopback(server.address(), format!("http://{}", server.address()));
    link.post("/admin/weights/init", &json!({}))?;

    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let streams: Vec<_> = (0..STREAMS as u32)
        .map(|number| {
            let (engine, stop, count) = (engine.clone(), Arc::clone(&stop), Arc::clone(&count));
            std::thread::spawn(move || stream(&engine, number, &stop, &count))
        })
        .collect();
    // Until all of them write.
    while count.load(Ordering::Relaxed) < STREAMS as u64 * 4 {
        std::thread::yield_now();
    }
    let rate_since = |began: Instant, before: u64| {
        (count.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64()
    };
    let (mut idle_rates, mut staging_rates, mut idle_windows, mut flip_windows) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut wire_bytes, mut pauses, mut stages) = (0, Vec::new(), Vec::new());
    let manifest_of = |folder: &Path, fleet: &Fleet<'_>| -> Result<_, Failed> {
        let source = SafetensorsSource::open(folder)?;
        let identity = Identity::of_folder(&fleet.manifest().head().model, folder)?;
        let options = BuildOptions {
            epoch: fleet.epoch_next(),
            parent: Some(fleet.manifest().digest()),
            ..BuildOptions::default()
        };
        Ok((build(&source, &identity, &options)?, source))
    };
    for push in 0..shape.5 {
        let links: Vec<&dyn Link> = vec![&link];
        let fleet = Fleet::open(links)?;
        // What the pusher computes by itself is another machine's work.
        let (manifest, source) = manifest_of(&folders[(push + 1) % 2], &fleet)?;
        let base = SafetensorsSource::open(&folders[push % 2])?;
        let stream = home.path().join("stream");
        let whole = manifest.onto(fleet.manifest())?;
        let stats = fleet.make_stream((&manifest, &source), Some(&base), &stream)?;
        let options = PushOptions {
            policy: Policy::Continue,
            name: format!("push-{push}"),
            scratch: home.path().to_path_buf(),
            ..PushOptions::default()
        };

        let mut log = FileLog::open(&home.path().join(format!("{}.log", options.name)))?;

        // Without a push, then with one: whatever else the machine does meets both.
        let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(shape.4));
        idle_rates.push(rate_since(began, before));
        idle_windows.push(window(Instant::now()));
        let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
        let report = fleet.push_stream(&whole, &stream, stats, None, &options, &mut log)?;
        staging_rates.push(rate_since(began, before));
        // The flip is at the end of a push.
        flip_windows.push(window(Instant::now()));
        wire_bytes += report.sent_bytes;
        let status: Value = serde_json::from_slice(&link.get("/admin/weights/status")?)?;
        pauses.push(status["figures"]["pause_seconds"].as_f64().unwrap_or(0.0));
        stages.push(status["figures"]["stage_seconds"].as_f64().unwrap_or(0.0));
        std::thread::sleep(AFTER * 4);
    }
    stop.store(true, Ordering::Relaxed);
    let gaps: Vec<(Instant, Duration)> =
        streams.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect();
    let gaps_in = |windows: &[(Instant, Instant)]| -> Vec<f64> {
        let is_within = |at: &Instant| windows.iter().any(|(from, to)| (*from..*to).contains(at));
        gaps.iter().filter(|(at, _)| is_within(at)).map(|(_, gap)| gap.as_secs_f64()).collect()
    };
    let step = percentile(gaps_in(&idle_windows), 0.5);
    let (idle_p99, flip_p99) =
        (percentile(gaps_in(&idle_windows), 0.99), percentile(gaps_in(&flip_windows), 0.99));
    let ratios = idle_rates.iter().zip(&staging_rates).map(|(idle, staging)| staging / idle).collect();
    println!(
        "{}",
        json!({
            "model_bytes": size_bytes, "streams": STREAMS, "pushes": shape.5, "wire_bytes": wire_bytes,
            "idle_tokens_per_s": percentile(idle_rates, 0.5), "staging_tokens_per_s": percentile(staging_rates, 0.5),
            "staging_ratio": percentile(ratios, 0.5),
            "step_ms": step * 1e3, "idle_p99_ms": idle_p99 * 1e3, "flip_p99_ms": flip_p99 * 1e3,
            "flip_added_ms": (flip_p99 - idle_p99) * 1e3, "flip_added_steps": (flip_p99 - idle_p99) / step,
            "pause_ms": percentile(pauses, 0.5) * 1e3, "stage_seconds": percentile(stages, 0.5),
        })
    );
    Ok(())
}

/// What counts as near to an instant.
fn window(at: Instant) -> (Instant, Instant) {
    (at - BEFORE, at + AFTER)
}
