//! Just enough of the DevTools protocol to drive a page: JSON over a WebSocket (RFC 6455) on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// A condition that is not met by then will not be.
const PATIENCE_MS: u64 = 20_000;
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// A browser with one page. It ends with the value.
pub struct Browser {
    process: Child,
    socket: TcpStream,
    session: String,
    calls: u64,
    complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub fn find_and_start() -> Option<Browser> {
        let named = std::env::var("MYNAH_BROWSER").ok();
        let names: Vec<&str> = named.as_deref().map_or(NAMES.to_vec(), |name| vec![name]);
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut process = names.into_iter().find_map(|name| {
            Command::new(name)
                .args([
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--no-first-run",
                    "--disable-extensions",
                ])
                .args(["--remote-debugging-port=0", "--window-size=1200,800"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .arg("about:blank")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        })?;
        let mut lines = BufReader::new(process.stderr.take().expect("stderr is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("DevTools listening on ws://").map(str::to_string))
            .expect("the browser says where it listens");
        // Somebody must read on, or the browser stops when the pipe is full.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let (host, path) = address.split_once('/').expect("an address with a path");
        let mut socket = TcpStream::connect(host).expect("a browser that listens");
        socket.set_read_timeout(Some(Duration::from_millis(2 * PATIENCE_MS))).expect("a timeout");
        let hello = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        socket.write_all(hello.as_bytes()).expect("a browser that listens");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let mut browser = Browser {
            process,
            socket,
            session: String::new(),
            calls: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached =
            browser.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].as_str().expect("a session").to_string();
        browser.call("Runtime.enable", json!({}));
        browser.call("Log.enable", json!({}));
        Some(browser)
    }

    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
    }

    /// What the page's console and the browser have complained about.
    pub fn complaints(&mut self) -> Vec<String> {
        self.value("1");
        self.complaints.clone()
    }

    /// The value of an expression.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let found = self.call("Runtime.evaluate", asked);
        assert!(found.get("exceptionDetails").is_none(), "{expression}: {found}");
        found["result"]["value"].clone()
    }

    pub fn run(&mut self, statement: &str) {
        self.value(&format!("void ({statement})"));
    }

    /// Waits, inside the page, until a condition holds.
    pub fn wait_for(&mut self, condition: &str) {
        let met = self.value(&format!(
            "new Promise((done) => {{
                const end = Date.now() + {PATIENCE_MS};
                const look = () => {{
                    let met = false;
                    try {{ met = Boolean({condition}); }} catch {{ met = false; }}
                    if (met) done(true);
                    else if (Date.now() > end) done(false);
                    else setTimeout(look, 10);
                }};
                look();
            }})"
        ));
        if met != json!(true) {
            let text = self.value("document.body.innerText.slice(0, 1000)");
            let asked =
                self.value("performance.getEntriesByType('resource').slice(-8).map((entry) => entry.name)");
            panic!(
                "never came true: {condition}\nthe page says {text}\nlast requests: {asked}\ncomplaints: {:?}",
                self.complaints
            );
        }
    }

    /// A real click into the middle of an element.
    pub fn click(&mut self, element: &str) {
        let place = self.value(&format!(
            "(() => {{ const box = ({element}).getBoundingClientRect();
                return [box.left + box.width / 2, box.top + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// A real key.
    pub fn press(&mut self, key: &str) {
        self.press_with(key, 0);
    }

    /// A real key with others held down: 2 is Ctrl, 8 is Shift.
    pub fn press_with(&mut self, key: &str, modifiers: u8) {
        let text = if key == "Enter" { "\r" } else { key };
        let (code, number) = match key {
            "Enter" => ("Enter", 13),
            "Escape" => ("Escape", 27),
            " " => ("Space", 32),
            "ArrowDown" => ("ArrowDown", 40),
            _ => ("", 0),
        };
        let mut down = json!({"type": "keyDown", "key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers});
        if text.chars().count() == 1 && modifiers & 2 == 0 {
            down["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", down);
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "code": code, "modifiers": modifiers}),
        );
    }

    /// Text into what has the focus.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.send(message.to_string().as_bytes());
        loop {
            let message = self.receive();
            if message["id"] == json!(id) {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            let entry = &message["params"]["entry"];
            match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => self.complaints.push(message["params"].to_string()),
                // Refusals that the test provokes are told here too; those are meant.
                Some("Log.entryAdded") if entry["level"] == "error" && entry["source"] != "network" => {
                    self.complaints.push(entry.to_string());
                }
                _ => {}
            }
        }
    }

    /// One masked text frame; the mask may be zero.
    fn send(&mut self, payload: &[u8]) {
        let mut frame = vec![0x81];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.socket.write_all(&frame).expect("a browser that listens");
    }

    /// One message, which may come in several frames.
    fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        loop {
            let mut head = [0; 2];
            self.socket.read_exact(&mut head).expect("a frame");
            let length = match head[1] & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.bytes())),
                127 => u64::from_be_bytes(self.bytes()),
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).expect("a frame that fits")];
            self.socket.read_exact(&mut payload).expect("a whole frame");
            // Pings and the like carry nothing for us.
            if head[0] & 0x08 != 0 {
                continue;
            }
            message.extend_from_slice(&payload);
            if head[0] & 0x80 != 0 {
                return serde_json::from_slice(&message).expect("JSON");
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.socket.read_exact(&mut bytes).expect("a frame's length");
        bytes
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
