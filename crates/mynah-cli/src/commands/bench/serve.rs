//! `mynah bench serve`: what a client sees of a model server.

use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use clap::Args;
use mynah_base::Rng;
use mynah_kernels::pool;
use mynah_models::Quantize;
use serde_json::{Value, json};

use super::client::{Address, Connection};
use super::figures::{self, Figure, median, quantile};
use super::own::{self, Machine, Own, Scratch};
use crate::commands::serve::{Rounding, find_model};
use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  mynah bench serve --make-model 0.5b --quantize q8      a model with random weights, made for this and removed again
  mynah bench serve --model Qwen/Qwen3-0.6B              a model of yours
  mynah bench serve --url http://127.0.0.1:8000          a server that runs already, any that speaks OpenAI's API
  mynah bench serve --make-model 0.35b --quantize q4 --out models     only write the model

Without --url the server is started here, on a free port, and stopped at the end. The last line is JSON for scripts.
Nothing is downloaded.")]
pub struct Serve {
    /// A server that runs already
    #[arg(long, value_name = "URL", conflicts_with_all = ["model", "make_model", "quantize"])]
    url: Option<String>,
    /// A folder, a GGUF file, or org/name in the Hugging Face cache (default: the last speedrun)
    #[arg(long, value_name = "DIR_OR_ID", conflicts_with = "make_model")]
    model: Option<String>,
    /// Make a Llama with random weights: tiny, 0.1b, 0.35b, 0.5b or 1b
    #[arg(long, value_name = "SIZE")]
    make_model: Option<String>,
    /// Only write the model that --make-model makes, into this folder
    #[arg(long, value_name = "DIR", requires = "make_model")]
    out: Option<PathBuf>,
    /// Round the weights, or make them so
    #[arg(long, value_name = "FORMAT")]
    quantize: Option<Rounding>,
    /// The server's key
    #[arg(long, value_name = "K", requires = "url")]
    api_key: Option<String>,
    /// Tokens of the prompt by which reading is measured
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=100_000))]
    prompt_tokens: u32,
    /// Tokens of the prefix that the cache should know
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(16..=100_000))]
    prefix_tokens: u32,
    /// Tokens that each request writes
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=100_000))]
    tokens: u32,
    /// Requests at once, by which throughput is measured
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,4,8", value_parser = clap::value_parser!(u16).range(1..=512))]
    concurrency: Vec<u16>,
    /// How often the time to the first token is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
}

pub fn run(arguments: &Serve) -> Result<()> {
    if let (Some(size), Some(folder)) = (&arguments.make_model, &arguments.out) {
        let path = own::make(folder, size, arguments.quantize.map(Quantize::from))?;
        eprintln!("wrote {}", path.display());
        println!("{}", json!({"model": path}));
        return Ok(());
    }
    if let Some(url) = &arguments.url {
        let address = Address::parse(url, arguments.api_key.clone())?;
        let name = Connection::open(&address)?.model()?;
        let figures = Bench { address, model: name.clone(), arguments }.measure()?.0;
        report(&figures, &name, json!({"url": url}));
        return Ok(());
    }
    own_server(arguments)
}

fn own_server(arguments: &Serve) -> Result<()> {
    // Before seconds of measuring: a size that is not known is refused at once.
    if let Some(size) = &arguments.make_model {
        own::shape(size)?;
    }
    eprintln!("measuring the machine …");
    let mut machine = Machine::measure()?;
    let folder = arguments.make_model.as_ref().map(|_| Scratch::new()).transpose()?;
    let (model, tokenizer, quantize) = match (&arguments.make_model, &folder) {
        (Some(size), Some(folder)) => {
            eprintln!("writing a model with random weights …");
            let path = own::make(&folder.0, size, arguments.quantize.map(Quantize::from))?;
            (own::text(&path)?, None, None)
        }
        _ => {
            let (model, tokenizer) = find_model(arguments.model.as_deref(), None)?;
            (model, tokenizer, arguments.quantize.map(Quantize::from))
        }
    };
    eprintln!("starting the server …");
    let own = Own::start(&model, tokenizer, quantize)?;
    let mut start = Figure::new("start_s", "start to the first token", own.first_token_s, "s", 2);
    // The goal is for a model of 500 MB.
    if own.cost.is_some_and(|cost| cost.bytes <= 600_000_000) {
        start = start.at_most(2.0);
    }
    let mut found = vec![start];
    let bench = Bench { address: own.address.clone(), model: own.name.clone(), arguments };
    let (figures, rates) = bench.measure()?;
    found.extend(figures);
    machine.read_again()?;
    if let Some(cost) = own.cost {
        let read = rates.decode * cost.bytes as f64 / machine.read_bytes_per_s;
        let figure = Figure::new("bandwidth_percent", "decode, of the read bandwidth", 100.0 * read, "%", 0);
        // What fits into the caches is read faster than memory.
        found.push(if cost.bytes > CACHES_MAX { figure.at_least(80.0) } else { figure });
        let operations = if cost.is_in_bytes() { machine.operations.byte } else { machine.operations.float };
        let done = rates.prefill * 2.0 * cost.multiplications as f64 / operations;
        found.push(Figure::new("operations_percent", "prompt, of the operations", 100.0 * done, "%", 0));
    }
    let name = own.name.clone();
    drop(own);
    eprintln!("measuring what a request costs beside the model …");
    found.extend(own::overhead()?);
    let about = json!({
        "threads": pool::threads(), "read_gb_per_s": machine.read_bytes_per_s / 1e9,
        "float_gflops": machine.operations.float / 1e9, "byte_gops": machine.operations.byte / 1e9,
    });
    println!(
        "machine: {} threads, reads {:.1} GB/s, {:.0} Gflop/s in f32, {:.0} Gop/s on bytes",
        pool::threads(),
        machine.read_bytes_per_s / 1e9,
        machine.operations.float / 1e9,
        machine.operations.byte / 1e9
    );
    report(&found, &name, about);
    Ok(())
}

fn report(found: &[Figure], model: &str, about: Value) {
    println!("model: {model}\n{}", figures::table(found));
    let mut line = figures::object(found);
    line.insert("name".to_string(), json!("serve"));
    line.insert("model".to_string(), json!(model));
    line.extend(about.as_object().cloned().unwrap_or_default());
    println!("{}", Value::Object(line));
}

/// A greedy completion that does not end before its time.
pub fn request(model: &str, prompt: &str, tokens: u32, stream: bool) -> Value {
    let mut request = json!({
        "model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": true, "stream": stream,
    });
    if stream {
        request["stream_options"] = json!({"include_usage": true});
    }
    request
}

/// Rates of one stream in tokens a second.
struct Rates {
    prefill: f64,
    decode: f64,
}

struct Bench<'a> {
    address: Address,
    model: String,
    arguments: &'a Serve,
}

/// Larger than the caches of most processors.
const CACHES_MAX: usize = 100_000_000;

/// Tokens of the prompts of streams.
const SHORT: u32 = 32;

impl Bench<'_> {
    fn measure(&self) -> Result<(Vec<Figure>, Rates)> {
        let mut found = Vec::new();
        let mut connection = Connection::open(&self.address)?;
        let arguments = self.arguments;
        // Also the warm-up.
        let words_per_token = self.words_per_token(&mut connection)?;
        let words = |tokens: u32| (f64::from(tokens) * words_per_token).round().max(1.0) as usize;

        eprintln!("writing alone …");
        let prompt = text(1, words(SHORT));
        let (mut gaps, mut decode) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let timed = connection.stream(&request(&self.model, &prompt, arguments.tokens, true))?;
            gaps.extend(timed.pieces_s.windows(2).map(|pair| pair[1] - pair[0]));
            if let [first, .., last] = timed.pieces_s[..] {
                decode.push((timed.completion_tokens.saturating_sub(1)) as f64 / (last - first));
            }
        }
        if decode.is_empty() {
            return Err(Failure::new("the server wrote no text that could be timed").at(&self.model));
        }
        let decode = median(&decode);
        // Not the median of the gaps: events that come together have gaps of nothing.
        let step = 1.0 / decode;

        eprintln!("reading prompts …");
        let (mut cold, mut read) = (Vec::new(), 0);
        for round in 0..arguments.rounds {
            let prompt = text(1000 + u64::from(round), words(arguments.prompt_tokens));
            let timed = connection.stream(&request(&self.model, &prompt, 1, true))?;
            read = timed.prompt_tokens - timed.cached_tokens.min(timed.prompt_tokens);
            cold.push(timed.pieces_s.first().copied().unwrap_or(timed.total_s));
        }
        let ttft = median(&cold);
        let prefill = read as f64 / (ttft - step).max(1e-6);

        eprintln!("reading prompts with a known beginning …");
        let prefix = text(2, words(arguments.prefix_tokens));
        connection.whole(&request(&self.model, &prefix, 1, false))?;
        let (mut warm, mut cached, mut asked) = (Vec::new(), 0, 0);
        for round in 0..arguments.rounds {
            let prompt = format!("{prefix}{}", text(2000 + u64::from(round), 3));
            let timed = connection.stream(&request(&self.model, &prompt, 1, true))?;
            (cached, asked) = (timed.cached_tokens, timed.prompt_tokens);
            warm.push(timed.pieces_s.first().copied().unwrap_or(timed.total_s));
        }

        let ms = |key, about: String, seconds: f64| Figure::new(key, about, 1e3 * seconds, "ms", 1);
        let rate = |key: &str, about: String, rate| Figure::new(key, about, rate, "tokens/s", 1);
        found.push(ms("ttft_ms", format!("first token, prompt of {read} tokens"), ttft));
        found.push(
            ms("ttft_cached_ms", format!("first token, {cached} of {asked} tokens cached"), median(&warm))
                .at_most(20.0 + 1e3 * step),
        );
        found.push(ms("inter_token_p50_ms", "between tokens, median".to_string(), median(&gaps)));
        found.push(ms(
            "inter_token_p99_ms",
            "between tokens, 99th percentile".to_string(),
            quantile(&gaps, 0.99),
        ));
        found.push(rate("prefill_tokens_per_s", "prompt".to_string(), prefill));
        found.push(rate("decode_tokens_per_s", "decode, one stream".to_string(), decode));
        for &count in &arguments.concurrency {
            eprintln!("{count} at once …");
            let value = self.throughput(count, words(SHORT))?;
            let key = format!("throughput_{count}_tokens_per_s");
            found.push(rate(&key, format!("{count} at once, prompts included"), value));
        }
        Ok((found, Rates { prefill, decode }))
    }

    /// How many of our words make a token of this model.
    fn words_per_token(&self, connection: &mut Connection) -> Result<f64> {
        let count = |connection: &mut Connection, words: usize| {
            let timed = connection.whole(&request(&self.model, &text(0, words), 1, false))?;
            Ok::<_, Failure>(timed.prompt_tokens)
        };
        let (few, many) = (count(connection, 2)?, count(connection, 22)?);
        match many.checked_sub(few) {
            Some(tokens) if tokens > 0 => Ok(20.0 / tokens as f64),
            _ => Err(Failure::new("the server does not count the tokens of prompts").at(&self.model)),
        }
    }

    /// Tokens a second of all streams together, from the first request to the last answer.
    fn throughput(&self, count: u16, words: usize) -> Result<f64> {
        let begin = Barrier::new(usize::from(count) + 1);
        thread::scope(|scope| {
            let stream = |number: u16| {
                let begin = &begin;
                scope.spawn(move || {
                    let prompt = text(10_000 + 1_000 * u64::from(count) + u64::from(number), words);
                    let connection = Connection::open(&self.address);
                    begin.wait();
                    connection?.stream(&request(&self.model, &prompt, self.arguments.tokens, true))
                })
            };
            let streams: Vec<_> = (0..count).map(stream).collect();
            begin.wait();
            let start = Instant::now();
            let mut tokens = 0;
            for stream in streams {
                let timed =
                    stream.join().map_err(|_| Failure::new("a thread of the measurement panicked"))?;
                tokens += timed?.completion_tokens;
            }
            Ok(tokens as f64 / start.elapsed().as_secs_f64())
        })
    }
}

/// Words of two syllables, others for each seed.
fn text(seed: u64, words: usize) -> String {
    let mut random = Rng::for_item(77, seed);
    let mut text = String::new();
    for _ in 0..words {
        text.push(' ');
        for _ in 0..2 {
            text.push(*random.choose(b"bcdfghjklmnpqrstvwxyz") as char);
            text.push(*random.choose(b"aeiou") as char);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_from_their_first_word_on() {
        assert_eq!(text(1, 3).split_whitespace().count(), 3);
        assert_eq!(text(1, 3), text(1, 3));
        assert_ne!(text(1, 1), text(2, 1));
    }

    #[test]
    fn only_streams_ask_for_usage() {
        assert!(request("m", "p", 1, false)["stream_options"].is_null());
        assert_eq!(request("m", "p", 1, true)["stream_options"]["include_usage"], true);
    }
}
