//! A server of our own in this process, and what only it can tell: how long it takes to start, how much of the machine it
//! uses, and what a request costs beside the model.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mynah_engine::live::{EngineHandle, Event, Request};
use mynah_kernels::probe;
use mynah_models::{Decoder, KvFormat, LoadOptions, Quantize, RandomShape, write_random_model};
use mynah_serve::{LlmConfig, LlmServer, ModelSource, RunningServer};

use super::client::{Address, Connection};
use super::figures::{Figure, median};
use super::serve::request;
use crate::failure::{Failure, Result};

/// Memory that is read to measure bandwidth: more than any cache.
const PROBE_BYTES: usize = 512 << 20;
/// How long each property of the machine is measured.
const PROBE_TIME: Duration = Duration::from_millis(400);
/// Requests by which the cost of one is measured.
const OVERHEAD_REQUESTS: usize = 300;

/// What the machine can do at most.
pub struct Machine {
    pub read_bytes_per_s: f64,
    pub operations: probe::Operations,
}

impl Machine {
    pub fn measure() -> Result<Machine> {
        Ok(Machine { read_bytes_per_s: read_rate()?, operations: probe::operations(PROBE_TIME) })
    }

    /// Reads once more: on a shared machine memory is fast in one minute and slow in the next, so that what was measured
    /// in between is held against the mean of both.
    pub fn read_again(&mut self) -> Result<()> {
        self.read_bytes_per_s = (self.read_bytes_per_s + read_rate()?) / 2.0;
        Ok(())
    }
}

fn read_rate() -> Result<f64> {
    let memory = probe::Memory::new(PROBE_BYTES).map_err(|error| Failure::new(error.to_string()))?;
    Ok(memory.bandwidth(PROBE_TIME))
}

/// What a token costs.
#[derive(Clone, Copy)]
pub struct Cost {
    pub bytes: usize,
    pub multiplications: usize,
}

impl Cost {
    /// Weights of less than two bytes are multiplied as bytes.
    pub fn is_in_bytes(&self) -> bool {
        2 * self.multiplications > self.bytes
    }
}

/// A server in this process. Dropping it stops it.
pub struct Own {
    pub address: Address,
    pub name: String,
    pub engine: EngineHandle,
    pub cost: Option<Cost>,
    /// From nothing to the first token of the first answer.
    pub first_token_s: f64,
    tokens: std::sync::Arc<dyn mynah_serve::Tokens>,
    _server: RunningServer,
}

impl Own {
    pub fn start(model: &str, tokenizer: Option<PathBuf>, quantize: Option<Quantize>) -> Result<Own> {
        let begin = Instant::now();
        // As `mynah serve` has it.
        let load = LoadOptions { quantize, cache_format: KvFormat::F16, ..LoadOptions::default() };
        let source = ModelSource { model: model.to_string(), tokenizer, load, ..ModelSource::default() };
        let served = source.load()?;
        let (name, engine, tokens) = (served.name.clone(), served.engine.clone(), served.tokens.clone());
        let server = LlmServer::bind(LlmConfig { port: 0, ..LlmConfig::default() }, vec![served])?.start()?;
        let address = Address::parse(&format!("http://{}", server.address()), None)?;
        Connection::open(&address)?.whole(&request(&name, "hello", 1, false))?;
        let first_token_s = begin.elapsed().as_secs_f64();
        let cost = engine.between_steps(|model| {
            let decoder = (model as &dyn Any).downcast_ref::<Decoder>();
            let cost = decoder.map(|decoder| Cost {
                bytes: decoder.step_bytes(),
                multiplications: decoder.multiplications_per_token(),
            });
            (mynah_engine::live::Change::Nothing, cost)
        })?;
        Ok(Own { address, name, engine, cost, first_token_s, tokens, _server: server })
    }

    /// Median seconds of a request without HTTP: from its submission to its last event.
    fn direct(&self, text: &str) -> Result<f64> {
        let prompt = self.tokens.prompt_of_text(text).map_err(Failure::new)?;
        let mut seconds = Vec::with_capacity(OVERHEAD_REQUESTS);
        for _ in 0..OVERHEAD_REQUESTS {
            let mut request = Request::new(prompt.clone());
            request.max_tokens = Some(1);
            request.sampling.options.temperature = 0.0;
            let begin = Instant::now();
            for event in self.engine.submit(request)? {
                if let Event::Failed(failed) = event {
                    return Err(failed.0.into());
                }
            }
            seconds.push(begin.elapsed().as_secs_f64());
        }
        Ok(median(&seconds))
    }
}

/// What a request costs beside the model: on one layer, HTTP and all less the same request given to the engine.
pub fn overhead() -> Result<Vec<Figure>> {
    let folder = Scratch::new()?;
    let model = make(&folder.0, "tiny", None)?;
    let own = Own::start(&text(&model)?, None, None)?;
    let prompt = "hello";
    let asked = request(&own.name, prompt, 1, false);
    let mut open = Connection::open(&own.address)?;
    let (mut kept, mut new) = (Vec::new(), Vec::new());
    for _ in 0..OVERHEAD_REQUESTS {
        kept.push(open.whole(&asked)?.total_s);
    }
    let direct = own.direct(prompt)?;
    for _ in 0..OVERHEAD_REQUESTS {
        let begin = Instant::now();
        Connection::open(&own.address)?.whole(&asked)?;
        new.push(begin.elapsed().as_secs_f64());
    }
    let us = |seconds: f64| 1e6 * seconds;
    let figure = |key, about, value| Figure::new(key, about, us(value), "µs", 0);
    Ok(vec![
        figure("overhead_us", "request beside the engine, open connection", median(&kept) - direct)
            .at_most(200.0),
        figure("overhead_new_connection_us", "the same, new connection", median(&new) - direct),
        figure("engine_request_us", "request to the engine, 1 layer, 1 token", direct),
    ])
}

/// The shape of a size.
pub fn shape(size: &str) -> Result<&'static RandomShape> {
    RandomShape::named(size).ok_or_else(|| {
        let known: Vec<&str> = mynah_models::RANDOM_SHAPES.iter().map(|shape| shape.name).collect();
        Failure::new(format!("no size is called '{size}'"))
            .at("--make-model")
            .advice(format!("choose from {}", known.join(", ")))
    })
}

/// Writes a model with random weights into a folder; the path of its file.
pub fn make(folder: &Path, size: &str, quantize: Option<Quantize>) -> Result<PathBuf> {
    let shape = shape(size)?;
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("cannot make the folder", folder, &error))?;
    let format = match quantize {
        None => "bf16",
        Some(Quantize::Q8) => "q8_0",
        Some(Quantize::Q4) => "q4_0",
    };
    let path = folder.join(format!("random-{size}-{format}.gguf"));
    write_random_model(&path, shape, quantize).map_err(|error| Failure::new(error.to_string()))?;
    Ok(path)
}

/// A path as an argument.
pub fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_string);
    text.ok_or_else(|| Failure::new("the path is not valid UTF-8").at_path(path))
}

/// A folder that is gone afterwards.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Result<Scratch> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("mynah-bench-{}-{count}", std::process::id()));
        // One that is there already is not ours.
        std::fs::create_dir(&folder)
            .map_err(|error| Failure::io("cannot make a folder for the model", &folder, &error))?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now stays in the system's folder for such files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
