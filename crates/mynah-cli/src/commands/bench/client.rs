//! A small HTTP/1.1 client that knows when each piece of an answer arrived.
//!
//! Clients that buffer, pool and retry would be measured along with the server; this one writes a request in one piece
//! and looks at the clock for each event of the stream.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::{Failure, Result};

/// An answer may take this long; the slowest machines need it for long prompts.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// Longer lines and bodies are no answers to our requests.
const LEN_MAX: u64 = 64 << 20;

/// Where a server is.
#[derive(Clone, Debug)]
pub struct Address {
    /// `host:port`.
    host: String,
    /// What stands before `/v1`, without a slash at the end.
    path: String,
    key: Option<String>,
}

impl Address {
    /// Reads `http://host[:port][/path]`; a `/v1` at the end, as clients have it, changes nothing.
    pub fn parse(url: &str, key: Option<String>) -> Result<Address> {
        let wrong = |what: &str| {
            Failure::new(what).at(format!("--url {url}")).advice("write it as http://127.0.0.1:8000")
        };
        let rest = url.strip_prefix("http://").ok_or_else(|| wrong("only http:// addresses are measured"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || host.contains(['@', ' ', '\r', '\n']) || path.contains([' ', '\r', '\n']) {
            return Err(wrong("that is not the address of a server"));
        }
        // A colon in brackets belongs to an IPv6 address.
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let host = if has_port { host.to_string() } else { format!("{host}:80") };
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path).to_string();
        if key.as_deref().is_some_and(|key| key.contains(['\r', '\n'])) {
            return Err(Failure::new("the key has a line break").at("--api-key"));
        }
        Ok(Address { host, path, key })
    }

    fn failure(&self, what: &str, error: &std::io::Error) -> Failure {
        Failure::new(format!("{what}: {error}"))
            .at(format!("http://{}", self.host))
            .advice("check that the server runs and is not busy")
    }
}

/// What came back, and when.
#[derive(Debug)]
pub struct Timed {
    /// Seconds from before the request was written to each piece of text, the end of the answer among them.
    pub pieces_s: Vec<f64>,
    /// Seconds until the answer was complete.
    pub total_s: f64,
    /// Tokens of the prompt, as the server counts them.
    pub prompt_tokens: u64,
    /// Of which the prefix cache had these.
    pub cached_tokens: u64,
    /// Tokens that were written.
    pub completion_tokens: u64,
}

/// A connection that is kept open.
pub struct Connection {
    address: Address,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub fn open(address: &Address) -> Result<Connection> {
        let fail = |error| address.failure("cannot connect", &error);
        let stream = TcpStream::connect(&address.host).map_err(fail)?;
        stream.set_nodelay(true).map_err(fail)?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(fail)?;
        Ok(Connection { address: address.clone(), stream: BufReader::new(stream) })
    }

    /// A completion, streamed.
    pub fn stream(&mut self, request: &Value) -> Result<Timed> {
        let start = Instant::now();
        self.send("POST", "/v1/completions", &request.to_string())?;
        let mut body = self.head()?;
        let (mut pieces_s, mut usage, mut line) = (Vec::new(), Value::Null, Vec::new());
        while self.line(&mut body, &mut line)? {
            let now = start.elapsed().as_secs_f64();
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let data = data.trim_ascii();
            if data == b"[DONE]" {
                continue;
            }
            let event: Value = serde_json::from_slice(data).map_err(|_| self.odd("an event is not JSON"))?;
            if let Some(message) = event["error"]["message"].as_str() {
                return Err(Failure::new(format!("the server refused: {message}")));
            }
            let choice = &event["choices"][0];
            let has_text = choice["text"].as_str().is_some_and(|text| !text.is_empty());
            if has_text || choice["finish_reason"].is_string() {
                pieces_s.push(now);
            }
            if event["usage"].is_object() {
                usage = event["usage"].clone();
            }
        }
        self.timed(pieces_s, start, &usage)
    }

    /// A completion in one piece.
    pub fn whole(&mut self, request: &Value) -> Result<Timed> {
        let start = Instant::now();
        self.send("POST", "/v1/completions", &request.to_string())?;
        let answer = self.json()?;
        self.timed(Vec::new(), start, &answer["usage"])
    }

    /// The name of the first model.
    pub fn model(&mut self) -> Result<String> {
        self.send("GET", "/v1/models", "")?;
        let answer = self.json()?;
        let name = answer["data"][0]["id"].as_str().map(str::to_string);
        name.ok_or_else(|| self.odd("it names no model"))
    }

    fn timed(&self, pieces_s: Vec<f64>, start: Instant, usage: &Value) -> Result<Timed> {
        let count = |key: &str| usage[key].as_u64();
        let prompt_tokens = count("prompt_tokens").ok_or_else(|| self.odd("it does not count tokens"))?;
        Ok(Timed {
            pieces_s,
            total_s: start.elapsed().as_secs_f64(),
            prompt_tokens,
            cached_tokens: usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0),
            completion_tokens: count("completion_tokens").unwrap_or(0),
        })
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<()> {
        let Address { host, path: before, key } = &self.address;
        let key = key.as_ref().map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        let len = body.len();
        let text = format!(
            "{method} {before}{path} HTTP/1.1\r\nHost: {host}\r\n{key}Content-Type: application/json\r\n\
             Content-Length: {len}\r\n\r\n{body}"
        );
        let sent = self.stream.get_mut().write_all(text.as_bytes());
        sent.map_err(|error| self.address.failure("cannot send", &error))
    }

    /// Reads the head of an answer; anything but 200 is a failure with the server's words.
    fn head(&mut self) -> Result<Body> {
        let status = self.head_line()?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
        let code = code.ok_or_else(|| self.odd("the answer is not HTTP"))?;
        let mut body = Body::UntilEnd;
        loop {
            let line = self.head_line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let len = value.trim().parse().ok().filter(|&len| len <= LEN_MAX);
                    body = Body::Left(len.ok_or_else(|| self.odd("the answer has no sound length"))?);
                }
                "transfer-encoding" => body = Body::Chunk(0),
                _ => {}
            }
        }
        if code == 200 {
            return Ok(body);
        }
        let words = self.rest(&mut body)?;
        let words = serde_json::from_slice::<Value>(&words).unwrap_or(Value::Null);
        let message = words["error"]["message"].as_str().unwrap_or("it does not say why");
        Err(Failure::new(format!("the server answered {code}: {message}")))
    }

    fn json(&mut self) -> Result<Value> {
        let mut body = self.head()?;
        let bytes = self.rest(&mut body)?;
        serde_json::from_slice(&bytes).map_err(|_| self.odd("the answer is not JSON"))
    }

    fn rest(&mut self, body: &mut Body) -> Result<Vec<u8>> {
        let (mut bytes, mut byte) = (Vec::new(), [0; 4096]);
        loop {
            match self.read(body, &mut byte)? {
                0 => return Ok(bytes),
                n => bytes.extend_from_slice(&byte[..n]),
            }
        }
    }

    fn head_line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.stream.by_ref().take(1 << 16).read_line(&mut line);
        match read {
            Ok(0) => Err(self.odd("it closed the connection")),
            Ok(_) => Ok(line.trim_end().to_string()),
            Err(error) => Err(self.address.failure("no answer", &error)),
        }
    }

    /// The next line of a body without its end; false after the last.
    fn line(&mut self, body: &mut Body, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        let mut byte = [0];
        while self.read(body, &mut byte)? == 1 {
            if byte[0] == b'\n' {
                return Ok(true);
            }
            line.push(byte[0]);
        }
        Ok(!line.is_empty())
    }

    /// Some bytes of a body; 0 at its end.
    fn read(&mut self, body: &mut Body, out: &mut [u8]) -> Result<usize> {
        if let Body::Chunk(0) = body {
            let line = self.head_line()?;
            let size = line.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size.trim(), 16).ok().filter(|&size| size <= LEN_MAX);
            match size.ok_or_else(|| self.odd("a chunk has no sound length"))? {
                0 => {
                    // Trailers are not asked for; the empty line is the end.
                    while !self.head_line()?.is_empty() {}
                    *body = Body::Left(0);
                }
                size => *body = Body::Chunk(size),
            }
        }
        let most = match body {
            Body::Left(left) | Body::Chunk(left) => (*left).min(out.len() as u64) as usize,
            Body::UntilEnd => out.len(),
        };
        if most == 0 {
            // Asked for nothing, a buffered reader waits all the same.
            return Ok(0);
        }
        let read = self.stream.read(&mut out[..most]);
        let read = read.map_err(|error| self.address.failure("the answer broke off", &error))?;
        if read == 0 && !matches!(body, Body::UntilEnd) {
            return Err(self.odd("the answer broke off"));
        }
        match body {
            Body::Left(left) => *left -= read as u64,
            Body::Chunk(left) => {
                *left -= read as u64;
                if *left == 0 {
                    self.head_line()?;
                }
            }
            Body::UntilEnd => {}
        }
        Ok(read)
    }

    fn odd(&self, what: &str) -> Failure {
        Failure::new(what).at(format!("http://{}", self.address.host))
    }
}

/// How the end of a body is known.
enum Body {
    /// Bytes that are left.
    Left(u64),
    /// Bytes that are left of a chunk.
    Chunk(u64),
    UntilEnd,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn addresses() {
        let parsed = |url: &str| Address::parse(url, None).map(|a| (a.host, a.path)).ok();
        let some = |host: &str, path: &str| Some((host.to_string(), path.to_string()));
        assert_eq!(parsed("http://127.0.0.1:8000"), some("127.0.0.1:8000", ""));
        assert_eq!(parsed("http://localhost/api/v1/"), some("localhost:80", "/api"));
        assert_eq!(parsed("http://[::1]"), some("[::1]:80", ""));
        for wrong in ["https://a", "http://", "http://a b", "a:80"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    /// Answers one connection with these bytes.
    fn server(answer: &'static str) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
        });
        Address::parse(&format!("http://{address}"), None).unwrap()
    }

    #[test]
    fn streams_are_read_event_by_event() {
        let address = server(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             28\r\ndata: {\"choices\": [{\"text\": \"a\"}]}\n\ndata\r\n\
             5d\r\n: {\"choices\": [], \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 2}}\n\ndata: [DONE]\n\n     \r\n\
             0\r\n\r\n",
        );
        let timed = Connection::open(&address).unwrap().stream(&Value::Null).unwrap();
        assert_eq!((timed.pieces_s.len(), timed.prompt_tokens, timed.completion_tokens), (1, 7, 2));
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let address = server(
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 39\r\n\r\n{\"error\": {\"message\": \"no such field\"}}",
        );
        let error = Connection::open(&address).unwrap().whole(&Value::Null).unwrap_err().to_string();
        assert!(error.contains("400"), "{error}");
        let address = server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}");
        let error = Connection::open(&address).unwrap().whole(&Value::Null).unwrap_err().to_string();
        assert!(error.contains("broke off"), "{error}");
    }
}
