//! Where the time of a search goes: `cargo run --release -p mynah-serve --example search_time -- runs.db [times]`.
//!
//! The same filter and order, asked of the ledger itself, through the page's API with three columns, and through
//! MLflow's API with everything; each on one kept connection. What the first and the last differ by is JSON and
//! HTTP. Fill a store with the example `fill` first. One line of JSON per size of the answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use mynah_ledger::{Ledger, Location, OpenOptions, SearchExperiments, SearchRuns};
use mynah_serve::{Server, ServerConfig};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const FILTER: &str = "metrics.val_bpb < 1.5 AND params.depth != '2'";
const ORDER: &str = "metrics.metric_07 ASC";

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let store = arguments.next().ok_or("give a store")?;
    let times: usize = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let ledger =
        Ledger::open(&Location::parse(&store)?, OpenOptions { create: false, ..OpenOptions::default() })?;
    let config = ServerConfig { port: 0, ..ServerConfig::default() };
    let server = Server::bind(config, ledger.clone())?.start()?;
    let found = ledger.search_experiments(&SearchExperiments::default())?;
    let ids: Vec<String> = found.items.into_iter().map(|experiment| experiment.id).collect();
    let mut client = Client { stream: TcpStream::connect(server.address())?, address: server.address() };
    client.stream.set_nodelay(true)?;
    for most in [100, 1_000] {
        let search = SearchRuns {
            experiment_ids: ids.clone(),
            filter: FILTER.to_string(),
            order_by: vec![ORDER.to_string()],
            max_results: most,
            ..SearchRuns::default()
        };
        let asked = json!({"experiment_ids": ids, "filter": FILTER, "order_by": [ORDER], "max_results": most,
                           "columns": ["metrics.val_bpb", "metrics.metric_07", "params.depth"]});
        let mut sizes = [0; 3];
        let mut all_ms: [Vec<f64>; 3] = Default::default();
        for _ in 0..times {
            // In turn, so that whatever else the machine does meets all three.
            let started = Instant::now();
            sizes[0] = ledger.search_runs(&search)?.items.len();
            all_ms[0].push(started.elapsed().as_secs_f64() * 1e3);
            for (place, path) in ["/api/mynah/runs", "/api/2.0/mlflow/runs/search"].into_iter().enumerate() {
                let started = Instant::now();
                sizes[place + 1] = client.post(path, &asked)?;
                all_ms[place + 1].push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
        let median = |list: &mut Vec<f64>| {
            list.sort_by(f64::total_cmp);
            (list[list.len() / 2] * 100.0).round() / 100.0
        };
        let [ledger_ms, page_ms, mlflow_ms] = &mut all_ms;
        println!(
            "{}",
            json!({"runs": sizes[0], "ledger_ms": median(ledger_ms), "page_ms": median(page_ms), "mlflow_ms": median(mlflow_ms),
                   "page_bytes": sizes[1], "mlflow_bytes": sizes[2]})
        );
    }
    server.stop()?;
    Ok(())
}

struct Client {
    stream: TcpStream,
    address: SocketAddr,
}

impl Client {
    /// The length of the answer's body.
    fn post(&mut self, path: &str, body: &Value) -> Result<usize, Failure> {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream.write_all((head + &body).as_bytes())?;
        let mut buffer = vec![0; 1 << 20];
        let mut length = 0;
        let (mut seen, mut wanted) = (0, None);
        while wanted.is_none_or(|wanted| seen < wanted) {
            let count = self.stream.read(&mut buffer[..])?;
            if count == 0 {
                return Err("the server hung up".into());
            }
            if wanted.is_none() {
                let end = buffer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("a long head")?;
                let head = std::str::from_utf8(&buffer[..end])?;
                if !head.starts_with("HTTP/1.1 200") {
                    return Err(String::from_utf8_lossy(&buffer[..count]).into_owned().into());
                }
                let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                length = line.ok_or("no content-length")?.parse()?;
                wanted = Some(end + 4 + length);
            }
            seen += count;
        }
        Ok(length)
    }
}
