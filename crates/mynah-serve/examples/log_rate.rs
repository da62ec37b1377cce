//! How many acknowledged calls a second the server takes, clients and server in one process:
//! `cargo run --release -p mynah-serve --example log_rate -- [seconds per case]`.
//!
//! Each client keeps one connection and sends the next call when the last is acknowledged, which it is once the
//! ledger has committed it. One line of JSON per case.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mynah_ledger::{Ledger, Location, OpenOptions};
use mynah_serve::{Server, ServerConfig};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CLIENTS: [usize; 4] = [1, 4, 16, 64];
const BATCH: usize = 1_000;

fn main() -> Result<(), Failure> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(2.0), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let ledger = Ledger::open(&Location::Sqlite(folder.path().join("runs.db")), OpenOptions::default())?;
    let server = Server::bind(ServerConfig { port: 0, ..ServerConfig::default() }, ledger)?.start()?;
    for clients in CLIENTS {
        let calls = drive(server.address(), clients, seconds, "log-metric", single)?;
        println!("{}", json!({"case": "log-metric", "clients": clients, "calls_per_second": calls.round()}));
    }
    for clients in [1, 4] {
        let calls = drive(server.address(), clients, seconds, "log-batch", batch)?;
        let points = (calls * BATCH as f64).round();
        println!("{}", json!({"case": "log-batch of 1000", "clients": clients, "points_per_second": points}));
    }
    server.stop()?;
    Ok(())
}

fn single(run: &str, call: usize) -> Value {
    json!({"run_id": run, "key": "loss", "value": 0.5 + call as f64, "timestamp": 1_700_000_000_000u64 + call as u64,
           "step": call})
}

fn batch(run: &str, call: usize) -> Value {
    let point = |place: usize| json!({"key": "loss", "value": place as f64 * 0.5, "timestamp": 1_700_000_000_000u64, "step": call * BATCH + place});
    json!({"run_id": run, "metrics": (0..BATCH).map(point).collect::<Vec<_>>()})
}

/// Acknowledged calls a second, of all clients together.
fn drive(
    address: SocketAddr,
    clients: usize,
    seconds: f64,
    call: &'static str,
    body: fn(&str, usize) -> Value,
) -> Result<f64, Failure> {
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(seconds);
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            std::thread::spawn(move || -> Result<usize, Failure> {
                let mut client = Client::connect(address)?;
                let made = client.post("create", &json!({"experiment_id": "0"}))?;
                let run = made["run"]["info"]["run_id"].as_str().ok_or("no run id")?.to_string();
                let mut calls = 0;
                while Instant::now() < end {
                    client.post(call, &body(&run, calls))?;
                    calls += 1;
                }
                Ok(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for thread in threads {
        calls += thread.join().map_err(|_| "a client panicked")??;
    }
    Ok(calls as f64 / started.elapsed().as_secs_f64())
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
