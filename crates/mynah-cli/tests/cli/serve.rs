//! The model server as a program.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::common::{arg, mynah, one_error, refused, run_folder, snapshot};

/// A server with the quick run's model; ended when it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(home: &Path) -> Server {
        let mut command = mynah(&["serve", "--model", arg(run_folder()), "--port", "0"]);
        command.env("MYNAH_HOME", home).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("an address").unwrap();
        let address = line.strip_prefix("http://").expect("an address").to_string();
        Server { child, address }
    }

    fn post(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn nothing_that_clients_write_is_logged_or_kept() {
    let secret = "wobbegong";
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(home.path());
    let chat = format!(r#"{{"messages": [{{"role": "user", "content": "{secret}"}}], "max_tokens": 3}}"#);
    assert!(server.post("/v1/chat/completions", &chat).starts_with("HTTP/1.1 200"));
    assert!(server.post("/v1/responses", &format!(r#"{{"input": "{secret}"}}"#)).starts_with("HTTP/1.1 200"));
    let long = secret.repeat(2_000);
    for body in [format!("{{{secret}"), format!(r#"{{"{secret}": 1}}"#), format!(r#"{{"prompt": "{long}"}}"#)]
    {
        assert!(server.post("/v1/completions", &body).starts_with("HTTP/1.1 400"));
    }
    let ended = std::process::Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status();
    assert!(ended.unwrap().success());
    let mut said = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(server.child.wait().unwrap().success(), "{said}");
    assert!(said.contains("loaded in") && !said.contains(secret), "{said}");
    let files = snapshot(home.path());
    assert!(!files.is_empty(), "the server was not recorded");
    for (path, bytes) in files {
        let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{} holds what a client wrote", path.display());
    }
}

#[test]
fn what_cannot_be_served_is_one_clear_line() {
    refused(&["serve", "--model", "no/such/model"], &["no/such/model"]);
    let run = arg(run_folder());
    let output = mynah(&["serve", "--model", run, "--adapter", "x"]).output().unwrap();
    assert!(!output.status.success());
    one_error(
        &mynah(&["serve", "--model", run, "--port", "0", "--adapter", "x=no/such/folder"]).output().unwrap(),
        &["adapter x", "adapter_config.json"],
    );
}
