//! A server that takes a version from its own disk: it is its own pusher.
//!
//! Nobody else decides, so a push that a crash cut off is undone at the next start without asking.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mynah_base::time::now_ms;
use mynah_swap::manifest::{BuildOptions, Identity, OPENSSF_PATH, build};
use mynah_swap::protocol::MemoryLog;
use mynah_swap::source::SafetensorsSource;
use mynah_swap::{Manifest, Result};
use serde_json::{Value, json};

use super::agent::{Announcement, Hot};
use super::push::{Fleet, Link, Policy, PushOptions, PushReport};
use super::routes::{from_hex, to_hex};
use super::stage::signature_path;

/// How the names of such pushes begin.
const PREFIX: &str = "own-";

/// Whether a push is one of a server to itself.
pub(super) fn is_own(push: &str) -> bool {
    push.starts_with(PREFIX)
}

/// What a folder is to be taken with.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) policy: Policy,
    pub(super) label: Option<String>,
}

impl Hot {
    /// Takes the version in a folder of this machine.
    ///
    /// # Errors
    /// One line, of what is wrong with it; the version before goes on being served.
    pub(super) fn take_from(&self, folder: &Path, order: Order) -> std::result::Result<PushReport, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let link = Own { hot: self };
        let name = format!("{PREFIX}{:x}-{}", now_ms(), COUNT.fetch_add(1, Ordering::Relaxed));
        let scratch = self.config.state.join("versions");
        let options =
            PushOptions { policy: order.policy, name, scratch, label: order.label, ..PushOptions::default() };
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let source = SafetensorsSource::open(folder).map_err(|error| said(&error))?;
        let fleet = Fleet::open(vec![&link]).map_err(|error| said(&error))?;
        let manifest = manifest(folder, &source, &fleet).map_err(|error| said(&error))?;
        let signature = std::fs::read_to_string(signature_path(folder)).ok();
        fleet
            .push((&manifest, &source), None, signature.as_deref(), &options, &mut MemoryLog::new())
            .map_err(|error| said(&error))
    }
}

fn manifest(folder: &Path, source: &SafetensorsSource, fleet: &Fleet<'_>) -> Result<Manifest> {
    let path = folder.join(OPENSSF_PATH);
    if path.is_file() {
        return Manifest::load(&path);
    }
    let head = fleet.manifest().head();
    let mut identity = Identity::of_folder(&head.model, folder)?;
    identity.tokenizer = identity.tokenizer.or(head.tokenizer);
    let options = BuildOptions {
        epoch: fleet.epoch_next(),
        parent: Some(fleet.manifest().digest()),
        chunk_bytes: head.chunk_bytes,
        threads: 1,
        ..BuildOptions::default()
    };
    build(source, &identity, &options)
}

/// The way of a server to itself.
struct Own<'a> {
    hot: &'a Hot,
}

impl Own<'_> {
    fn call(&self, path: &str, body: &Value) -> std::result::Result<Value, String> {
        let text = |field: &str| body[field].as_str().unwrap_or_default();
        let said = |error: mynah_swap::Error| error.to_string();
        let push = text("push");
        match path {
            "/admin/weights/init" => self.hot.init().map_err(said)?,
            "/admin/weights/start" => self
                .hot
                .start(Announcement {
                    push: push.to_string(),
                    target: text("version").parse().map_err(said)?,
                    epoch: body["epoch"].as_u64().unwrap_or(0),
                    policy: Policy::from_name(text("policy")).unwrap_or_default(),
                    signature: body["signature"].as_str().map(str::to_string),
                    label: body["label"].as_str().map(str::to_string),
                    ..Announcement::default()
                })
                .map_err(said)?,
            "/admin/weights/finish" => self.hot.finish_upload(push).map_err(said)?,
            "/admin/weights/abort" => self.hot.abort(Some(push), false).map_err(said)?,
            "/admin/weights/messages" => {
                let items = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
                let messages: Vec<Vec<u8>> =
                    items.iter().filter_map(|item| from_hex(item.as_str()?)).collect();
                let wait = Duration::from_millis(body["wait_ms"].as_u64().unwrap_or(0));
                let answers = self.hot.exchange(push, &messages, wait).map_err(said)?;
                return Ok(
                    json!({"messages": answers.iter().map(|bytes| to_hex(bytes)).collect::<Vec<_>>()}),
                );
            }
            other => return Err(format!("a server does not call itself at {other}")),
        }
        Ok(self.hot.status())
    }
}

impl Link for Own<'_> {
    fn name(&self) -> &str {
        "this server"
    }

    fn post(&self, path: &str, body: &Value) -> std::result::Result<Value, String> {
        self.call(path, body)
    }

    fn get(&self, path: &str) -> std::result::Result<Vec<u8>, String> {
        match path {
            "/admin/weights/manifest" => self.hot.manifest().map_err(|error| error.to_string()),
            _ => Ok(self.hot.status().to_string().into_bytes()),
        }
    }

    fn upload(&self, path: &str, file: &Path) -> std::result::Result<Value, String> {
        let push = path.split_once("push=").map_or("", |found| found.1);
        let (place, _) = self.hot.begin_upload(push).map_err(|error| error.to_string())?;
        std::fs::rename(file, &place).map_err(|error| {
            self.hot.fail_upload(push);
            format!("{}: cannot be moved: {error}", file.display())
        })?;
        Ok(json!({}))
    }

    fn download(&self, path: &str, _: &[u8], _: &Path) -> std::result::Result<u64, String> {
        Err(format!("a server does not call itself at {path}"))
    }
}
