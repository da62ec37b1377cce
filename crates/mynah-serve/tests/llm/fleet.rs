//! Servers of real models that take new weights, and the pushers to them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use mynah_engine::live::EngineOptions;
use mynah_models::LoadOptions;
use mynah_serve::weights::{Fleet, Link, Policy, PushOptions, PushReport};
use mynah_serve::{LlmConfig, LlmServer, RunningServer, ServedModel, WeightsConfig};
use mynah_swap::Manifest;
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::protocol::MemoryLog;
use mynah_swap::source::SafetensorsSource;
use serde_json::{Value, json};

use crate::adapters::{base_of, model_of};
use crate::common::{Answer, call};
use crate::embeddings::testdata;

pub const ADMIN: &str = "the-admin-key-of-the-tests";
pub const KEY: &str = "authorization: Bearer the-admin-key-of-the-tests\r\n";

/// Folders of versions: number 0 is the model's own, the others have other numbers in their tensors.
pub fn checkpoint(home: &Path, number: u8) -> PathBuf {
    let (from, folder) = (testdata().join("families/qwen3"), home.join(format!("v{number}")));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(from.join("config.json"), folder.join("config.json")).unwrap();
    let mut bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let head = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    if number > 0 {
        // A bit of some mantissas: other values of the same size.
        for at in (head..bytes.len()).step_by(2 * 7) {
            bytes[at] ^= number << 4;
        }
    }
    std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
    folder
}

pub struct Running {
    pub server: RunningServer,
    pub name: String,
}

pub fn model(folder: &Path) -> ServedModel {
    base_of(folder)
}

pub fn serve(home: &Path, folder: &Path, signer: Option<PathBuf>) -> Running {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let state = home.join(format!("state-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    serve_at(state, folder, signer)
}

pub fn serve_at(state: PathBuf, folder: &Path, signer: Option<PathBuf>) -> Running {
    serve_with(state, folder, &Setup { signer, ..Setup::default() })
}

/// How a server of the tests is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    pub load: LoadOptions,
    pub engine: EngineOptions,
    pub draft: Option<PathBuf>,
    /// Served besides, as `tuned`.
    pub adapter: Option<PathBuf>,
    pub signer: Option<PathBuf>,
    /// What was committed outlives the server.
    pub keeps: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        // Room for all streams: a sequence that has to give its pages back is read again, by the version of that time.
        let load = LoadOptions { page_tokens: 16, cache_pages: Some(64), ..LoadOptions::default() };
        let engine = EngineOptions::default();
        Setup { load, engine, draft: None, adapter: None, signer: None, keeps: false }
    }
}

pub fn serve_with(state: PathBuf, folder: &Path, setup: &Setup) -> Running {
    let weights = WeightsConfig {
        admin_key: ADMIN.to_string(),
        folder: folder.to_path_buf(),
        load: setup.load.clone(),
        state,
        keeps: setup.keeps,
        signer: setup.signer.clone(),
    };
    let resumed = mynah_serve::weights::resume(&weights).unwrap();
    let folder = resumed.as_deref().unwrap_or(folder);
    let config = LlmConfig { port: 0, weights: Some(weights), ..LlmConfig::default() };
    let mut models = vec![model_of(folder, &setup.load, setup.engine.clone(), setup.draft.as_deref())];
    if let Some(adapter) = &setup.adapter {
        models.push(models[0].with_adapter("tuned", adapter).unwrap());
    }
    let server = LlmServer::bind(config, models).unwrap().start().unwrap();
    let name = format!("http://{}", server.address());
    Running { server, name }
}

pub fn said(answer: &Answer) -> Result<Value, String> {
    let value: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
    match answer.status {
        200 => Ok(value),
        _ => Err(value["error"]["message"].as_str().unwrap_or("no message").to_string()),
    }
}

impl Running {
    pub fn admin(&self, path: &str, body: &Value) -> Answer {
        call(&self.server, "POST", path, KEY, body.to_string().as_bytes())
    }

    pub fn status(&self) -> Value {
        call(&self.server, "GET", "/admin/weights/status", KEY, b"").json()
    }

    pub fn version(&self) -> String {
        self.status()["live"]["version"].as_str().unwrap_or_default().to_string()
    }

    /// Text of a greedy answer and its spans.
    pub fn text(&self, prompt: &[u32], tokens: usize) -> (String, Value) {
        let body = json!({"prompt": prompt, "max_tokens": tokens, "temperature": 0, "return_weights": true});
        let answer = call(&self.server, "POST", "/v1/completions", "", body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.body);
        let choice = answer.json()["choices"][0].clone();
        (choice["text"].as_str().unwrap().to_string(), choice["weights"].clone())
    }
}

impl Link for Running {
    fn name(&self) -> &str {
        &self.name
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        said(&self.admin(path, body))
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{KEY}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        assert!(bytes.starts_with(b"HTTP/1.1 200"));
        Ok(bytes[end + 4..].to_vec())
    }

    fn upload(&self, path: &str, file: &Path) -> Result<Value, String> {
        said(&call(&self.server, "POST", path, KEY, &std::fs::read(file).unwrap()))
    }

    fn download(&self, path: &str, body: &[u8], file: &Path) -> Result<u64, String> {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{KEY}");
        write!(stream, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(body).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        assert!(head.contains("content-length"), "{head}");
        if !head.starts_with("http/1.1 200") {
            return Err(String::from_utf8_lossy(&bytes[end..]).into_owned());
        }
        std::fs::write(file, &bytes[end..]).unwrap();
        Ok((bytes.len() - end) as u64)
    }
}

/// A server whose uploads are damaged on the way.
pub struct Damaged<'a>(pub &'a Running);

impl Link for Damaged<'_> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.0.post(path, body)
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path)
    }

    fn upload(&self, path: &str, file: &Path) -> Result<Value, String> {
        let mut bytes = std::fs::read(file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        said(&call(&self.0.server, "POST", path, KEY, &bytes))
    }

    fn download(&self, path: &str, body: &[u8], file: &Path) -> Result<u64, String> {
        self.0.download(path, body, file)
    }
}

pub fn options(home: &Path, policy: Policy) -> PushOptions {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let name = format!("push-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    PushOptions { policy, name, scratch: home.to_path_buf(), ..PushOptions::default() }
}

pub fn manifest(folder: &Path, like: &Manifest, epoch: u64) -> (Manifest, SafetensorsSource) {
    let source = SafetensorsSource::open(folder).unwrap();
    let identity = Identity::of_folder(&like.head().model, folder).unwrap();
    let build_options = BuildOptions { epoch, parent: Some(like.digest()), ..BuildOptions::default() };
    (build(&source, &identity, &build_options).unwrap(), source)
}

/// Pushes a folder with what changed against another.
pub fn push(
    links: &[&dyn Link],
    home: &Path,
    folder: &Path,
    base: Option<&Path>,
    policy: Policy,
) -> Result<PushReport, String> {
    push_with(links, folder, base, &options(home, policy))
}

pub fn push_with(
    links: &[&dyn Link],
    folder: &Path,
    base: Option<&Path>,
    options: &PushOptions,
) -> Result<PushReport, String> {
    let fleet = Fleet::open(links.to_vec()).map_err(|error| error.to_string())?;
    let (manifest, source) = manifest(folder, fleet.manifest(), fleet.epoch_next());
    let base = base.map(|base| SafetensorsSource::open(base).unwrap());
    let base = base.as_ref().map(|base| base as &dyn mynah_swap::source::TensorSource);
    fleet
        .push((&manifest, &source), base, None, options, &mut MemoryLog::new())
        .map_err(|error| error.to_string())
}

pub fn roll_back(links: &[&dyn Link], home: &Path) -> Result<PushReport, String> {
    let fleet = Fleet::open(links.to_vec()).map_err(|error| error.to_string())?;
    let options = options(home, Policy::Finish);
    fleet
        .rollback(fleet.epoch_next(), None, &options, &mut MemoryLog::new())
        .map_err(|error| error.to_string())
}
