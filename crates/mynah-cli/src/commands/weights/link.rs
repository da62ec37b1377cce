//! Calls of a server's `/admin/weights/`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use mynah_serve::weights::Link;
use serde_json::Value;

use crate::commands::serve::ADMIN_KEY_VARIABLE;
use crate::failure::{Failure, Result};

/// An answer is not larger; a manifest of 30 million chunks has this size.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// How long a server may read and hash its weights.
const WORK_TIME: Duration = Duration::from_secs(3_600);
/// How long a server may take for messages: a step of its engine, and a little.
const MESSAGE_TIME: Duration = Duration::from_secs(15);
/// An error message is not longer.
const ERROR_BYTES_MAX: u64 = 64 << 10;

/// A server by its address.
pub struct HttpLink {
    url: String,
    key: String,
    agent: ureq::Agent,
}

impl HttpLink {
    /// Servers by their addresses, in one order whatever order they are named in; twice the same is once.
    ///
    /// # Errors
    /// When there is no key, or an address is none.
    pub fn all(urls: &[String], key: Option<&str>) -> Result<Vec<HttpLink>> {
        let key = key.map(str::to_string).or_else(|| std::env::var(ADMIN_KEY_VARIABLE).ok());
        let key = key.filter(|key| !key.is_empty()).ok_or_else(|| {
            Failure::new("no admin key").advice("give the servers' one: --admin-key K, or MYNAH_ADMIN_KEY")
        })?;
        if key.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(Failure::new("the admin key has characters that no header can carry"));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(WORK_TIME))
            .build();
        let agent = ureq::Agent::new_with_config(config);
        let mut urls: Vec<String> =
            urls.iter().map(|url| url.trim_end_matches('/').trim_end_matches("/v1").to_string()).collect();
        urls.sort();
        urls.dedup();
        if let Some(bad) = urls.iter().find(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            return Err(Failure::new("an address begins with http:// or https://").at(bad));
        }
        Ok(urls.into_iter().map(|url| HttpLink { url, key: key.clone(), agent: agent.clone() }).collect())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }
}

type Answer = std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// The body of an answer; of a refusal its message.
fn body_of(answer: Answer) -> std::result::Result<Vec<u8>, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status();
    let bytes_max = if status.is_success() { ANSWER_BYTES_MAX } else { ERROR_BYTES_MAX };
    let mut bytes = Vec::new();
    let mut reader = answer.into_body().into_reader().take(bytes_max);
    reader.read_to_end(&mut bytes).map_err(|error| format!("the answer broke off: {error}"))?;
    if status.is_success() {
        return Ok(bytes);
    }
    let message = serde_json::from_slice::<Value>(&bytes).ok();
    let message = message.and_then(|value| value["error"]["message"].as_str().map(str::to_string));
    Err(message.unwrap_or_else(|| format!("answers {status}")))
}

fn json_of(answer: Answer) -> std::result::Result<Value, String> {
    serde_json::from_slice(&body_of(answer)?).map_err(|error| format!("the answer is no JSON: {error}"))
}

impl Link for HttpLink {
    fn name(&self) -> &str {
        &self.url
    }

    fn post(&self, path: &str, body: &Value) -> std::result::Result<Value, String> {
        // A server that is silent in the middle of an update must not keep the others waiting.
        let is_message = path.ends_with("/messages") || path.ends_with("/abort");
        let time = if is_message { MESSAGE_TIME } else { WORK_TIME };
        let call = self.agent.post(format!("{}{path}", self.url)).header("Authorization", self.bearer());
        let call = call.content_type("application/json").config().timeout_global(Some(time)).build();
        json_of(call.send(body.to_string()))
    }

    fn get(&self, path: &str) -> std::result::Result<Vec<u8>, String> {
        body_of(self.agent.get(format!("{}{path}", self.url)).header("Authorization", self.bearer()).call())
    }

    fn upload(&self, path: &str, file: &Path) -> std::result::Result<Value, String> {
        let file =
            File::open(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
        let call = self.agent.post(format!("{}{path}", self.url)).header("Authorization", self.bearer());
        json_of(call.content_type("application/octet-stream").send(file))
    }

    fn download(&self, path: &str, body: &[u8], file: &Path) -> std::result::Result<u64, String> {
        let call = self.agent.post(format!("{}{path}", self.url)).header("Authorization", self.bearer());
        let answer = call.content_type("application/octet-stream").send(body);
        let answer = answer.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(json_of(Ok(answer)).err().unwrap_or_default());
        }
        let io = |error: std::io::Error| format!("{}: cannot be written: {error}", file.display());
        let mut out = File::create(file).map_err(io)?;
        let mut reader = answer.into_body().into_reader();
        std::io::copy(&mut reader, &mut out).map_err(|error| format!("the answer broke off: {error}"))
    }
}
