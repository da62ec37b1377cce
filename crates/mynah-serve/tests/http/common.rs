//! A server of its own for each test, and a client that sends exactly the bytes it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mynah_ledger::{Ledger, Location, OpenOptions};
use mynah_serve::{RunningServer, Server, ServerConfig};
use serde_json::{Value, json};

/// Longer than any answer takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", String::from_utf8_lossy(&self.body)))
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A server over a fresh ledger.
pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub server: RunningServer,
    pub ledger: Ledger,
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture::with(ServerConfig::default())
    }

    pub fn with(config: ServerConfig) -> Fixture {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ledger = open(&folder);
        let config = ServerConfig { port: 0, ..config };
        let server = Server::bind(config, ledger.clone()).expect("a free port").start().expect("a thread");
        Fixture { folder, server, ledger }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// One request with these headers and body, on a connection of its own.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        send(self.address(), method, path, headers, body)
    }

    pub fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// A call that must go well.
    pub fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call(method, path, body);
        assert_eq!(answer.status, 200, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "GET {path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// A call that must be refused with this status and code; gives the message.
    pub fn refused(&self, method: &str, path: &str, body: Value, status: u16, code: &str) -> String {
        refused(&self.call(method, path, body), status, code)
    }

    /// A fresh run; its id.
    pub fn run(&self) -> String {
        let made = self.ok("POST", "/api/2.0/mlflow/runs/create", json!({"experiment_id": "0"}));
        made["run"]["info"]["run_id"].as_str().expect("a run id").to_string()
    }

    /// A finished run with a param and a metric; its id.
    pub fn finished(&self, name: &str, depth: &str, loss: f64) -> String {
        let api = "/api/2.0/mlflow";
        // One after the other, whatever the clock says.
        let start = 1_000 * (1 + self.ledger.audit_head().expect("a log").size);
        let run = json!({"experiment_id": "0", "start_time": start});
        let made = self.ok("POST", &format!("{api}/runs/create"), run);
        let id = made["run"]["info"]["run_id"].as_str().expect("a run id").to_string();
        let batch = json!({"run_id": id, "metrics": [{"key": "loss", "value": loss, "timestamp": start + 1, "step": 1}],
                           "params": [{"key": "depth", "value": depth}]});
        self.ok("POST", &format!("{api}/runs/log-batch"), batch);
        let end = json!({"run_id": id, "status": "FINISHED", "end_time": start + 2, "run_name": name});
        self.ok("POST", &format!("{api}/runs/update"), end);
        id
    }
}

pub fn open(folder: &tempfile::TempDir) -> Ledger {
    let location = Location::Sqlite(folder.path().join("runs.db"));
    Ledger::open(&location, OpenOptions::default()).expect("a fresh ledger")
}

pub fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let body = answer.json();
    assert_eq!((answer.status, body["error_code"].as_str()), (status, Some(code)), "{body}");
    let message = body["message"].as_str().expect("a message").to_string();
    assert!(!message.is_empty());
    message
}

pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = connect(address);
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).expect("a server that listens");
    // A refusal may come, and the connection end, before the last byte of a large body is sent.
    let _ = stream.write_all(body);
    receive(stream)
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a server that listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

pub fn receive(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A connection that is reset after the answer has still answered.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no end of the head in {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]))
    });
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status line");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}
