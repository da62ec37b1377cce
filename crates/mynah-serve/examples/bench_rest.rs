//! Measures the server: `printf 'rest-metric\nrest-search\n' | cargo run --release -p mynah-serve --example bench_rest`.
//!
//! Prints one JSON line when ready; then runs each case that it reads from standard input and answers with the seconds it
//! took. Cases: `rest-metric` (single metrics, each acknowledged before the next, one client), `rest-metric-64` (the same
//! from 64 clients), `rest-batch` (1,000 points a call), `rest-search` (filter and order over all runs, one result), `page`
//! (from navigation until the first rows are on the screen; offered where a browser is found). Clients and server share
//! the process and its processors. Settings: `--runs N`, `--metrics N`, `--small`, and `--threads N`, which is not used.

#[allow(dead_code, reason = "the browser test uses more of it")]
#[path = "../tests/browser/devtools.rs"]
mod devtools;

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use devtools::Browser;
use mynah_base::Rng;
use mynah_ledger::{Batch, Ledger, Location, Metric, NewRun, OpenOptions, Param};
use mynah_serve::{Server, ServerConfig};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const BATCH: usize = 1_000;
const CLIENTS: usize = 64;

struct Settings {
    runs: usize,
    metrics: usize,
    small: bool,
}

fn settings() -> Result<Settings, Failure> {
    let mut settings = Settings { runs: 10_000, metrics: 20, small: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--runs" => settings.runs = value()?.parse()?,
            "--metrics" => settings.metrics = value()?.parse()?,
            "--threads" => drop(value()?),
            "--small" => settings.small = true,
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    if settings.small {
        settings.runs = settings.runs.min(200);
    }
    Ok(settings)
}

fn main() -> Result<(), Failure> {
    let settings = settings()?;
    let folder = tempfile::tempdir()?;
    let ledger = Ledger::open(&Location::Sqlite(folder.path().join("runs.db")), OpenOptions::default())?;
    fill(&ledger, &settings)?;
    let server = Server::bind(ServerConfig { port: 0, ..ServerConfig::default() }, ledger)?.start()?;
    let mut cases = vec!["rest-metric", "rest-metric-64", "rest-batch", "rest-search"];
    if Browser::find_and_start().is_some() {
        cases.push("page");
    }
    println!(
        "{}",
        json!({"ready": true, "version": env!("CARGO_PKG_VERSION"), "cases": cases, "runs": settings.runs,
               "metrics": settings.metrics})
    );
    for case in std::io::stdin().lock().lines() {
        let case = case?;
        let (seconds, work, unit) = measure(case.trim(), server.address(), &settings)?;
        println!("{}", json!({"case": case.trim(), "seconds": seconds, "work": work, "unit": unit}));
        std::io::stdout().flush()?;
    }
    server.stop()?;
    println!("{}", json!({"peak_rss_bytes": null}));
    Ok(())
}

/// Runs with metrics and params, like those that the store itself is measured with.
fn fill(ledger: &Ledger, settings: &Settings) -> Result<(), Failure> {
    let mut rng = Rng::new(1);
    for index in 0..settings.runs {
        let run = ledger.create_run(NewRun { experiment_id: "0".to_string(), ..NewRun::default() })?.run.id;
        let metrics = (0..settings.metrics)
            .map(|key| Metric::new(format!("metric_{key:02}"), rng.uniform(), 1_000 + index as i64, 1))
            .collect();
        let params =
            vec![Param::new("depth", rng.below(12).to_string()), Param::new("index", index.to_string())];
        ledger.log_batch(&run, Batch { metrics, params, tags: Vec::new() })?;
    }
    Ok(())
}

/// The seconds, the work, its unit.
fn measure(
    case: &str,
    address: SocketAddr,
    settings: &Settings,
) -> Result<(f64, f64, &'static str), Failure> {
    let few = |many: usize, few: usize| if settings.small { few } else { many };
    match case {
        "rest-metric" => {
            let calls = few(2_000, 20);
            Ok((drive(address, 1, calls, "log-metric", single)?, calls as f64, "metric"))
        }
        "rest-metric-64" => {
            let calls = few(200, 2);
            Ok((drive(address, CLIENTS, calls, "log-metric", single)?, (CLIENTS * calls) as f64, "metric"))
        }
        "rest-batch" => {
            let calls = few(200, 3);
            Ok((drive(address, 1, calls, "log-batch", batch)?, (calls * BATCH) as f64, "point"))
        }
        "rest-search" => {
            let mut client = Client::connect(address)?;
            let question = json!({
                "experiment_ids": ["0"], "filter": "metrics.metric_03 < 0.5 AND params.depth != '3'",
                "order_by": ["metrics.metric_07 DESC"], "max_results": 1,
            });
            let start = Instant::now();
            let found = client.post("search", &question)?;
            let seconds = start.elapsed().as_secs_f64();
            if found["runs"].as_array().is_none_or(Vec::is_empty) {
                return Err("the search found nothing".into());
            }
            Ok((seconds, settings.runs as f64, "run"))
        }
        "page" => {
            let mut page = Browser::find_and_start().ok_or("no browser")?;
            page.open(&format!("http://{address}"));
            page.wait_for(
                "performance.getEntriesByName('runs shown').length && document.querySelector('.row')",
            );
            let shown = page.value("performance.getEntriesByName('runs shown')[0].startTime");
            Ok((shown.as_f64().ok_or("the page has no time")? / 1_000.0, 1.0, "page"))
        }
        other => Err(format!("no case {other:?}").into()),
    }
}

fn single(run: &str, call: usize) -> Value {
    json!({"run_id": run, "key": "loss", "value": 0.5 + call as f64, "timestamp": 1_700_000_000_000u64 + call as u64,
           "step": call})
}

fn batch(run: &str, call: usize) -> Value {
    let point = |place: usize| json!({"key": "loss", "value": place as f64 * 0.5, "timestamp": 1_700_000_000_000u64, "step": call * BATCH + place});
    json!({"run_id": run, "metrics": (0..BATCH).map(point).collect::<Vec<_>>()})
}

/// Seconds that `clients` need for `calls` acknowledged calls each, on one connection each.
fn drive(
    address: SocketAddr,
    clients: usize,
    calls: usize,
    call: &'static str,
    body: fn(&str, usize) -> Value,
) -> Result<f64, Failure> {
    let mut ready = Vec::new();
    for _ in 0..clients {
        let mut client = Client::connect(address)?;
        let made =
            client.post("create", &json!({"experiment_id": "0", "tags": [{"key": "load", "value": "1"}]}))?;
        let run = made["run"]["info"]["run_id"].as_str().ok_or("no run id")?.to_string();
        ready.push((client, run));
    }
    let start = Instant::now();
    let threads: Vec<_> = ready
        .into_iter()
        .map(|(mut client, run)| {
            std::thread::spawn(move || -> Result<(), Failure> {
                (0..calls).try_for_each(|number| client.post(call, &body(&run, number)).map(drop))
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a client panicked")??;
    }
    Ok(start.elapsed().as_secs_f64())
}

struct Client {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Client, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, address, buffer: Vec::new() })
    }

    fn post(&mut self, call: &str, body: &Value) -> Result<Value, Failure> {
        let body = body.to_string();
        let request = format!(
            "POST /api/2.0/mlflow/runs/{call} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.write_all(request.as_bytes())?;
        self.buffer.clear();
        loop {
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece)?;
            if count == 0 {
                return Err("the server hung up".into());
            }
            self.buffer.extend_from_slice(&piece[..count]);
            let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end])?;
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .ok_or("no content-length")?
                .parse()?;
            if self.buffer.len() < end + 4 + length {
                continue;
            }
            if !head.starts_with("HTTP/1.1 200") {
                return Err(String::from_utf8_lossy(&self.buffer).into_owned().into());
            }
            return Ok(serde_json::from_slice(&self.buffer[end + 4..])?);
        }
    }
}
