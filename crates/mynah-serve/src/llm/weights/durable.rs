//! What outlives a server: its log of the protocol, the versions that it committed, and a push that it has promised.
//!
//! ```text
//! DIR/receiver.log      the protocol's log, locked by the server
//! DIR/epoch             the highest epoch seen
//! DIR/base.manifest     of the folder that the server was started with
//! DIR/push.json         the push that was staged last; it counts while the log has its promise and no end of it
//! DIR/versions/…        folders of versions, each a checkpoint with its manifest and signature
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mynah_swap::manifest::OPENSSF_PATH;
use mynah_swap::protocol::{FileLog, Log, ReceiverRecord};
use mynah_swap::{Error, ErrorKind, Hash, Manifest, Result};
use mynah_trust::keys::Ed25519VerifyingKey;
use serde_json::{Value, json};

use super::push::Policy;
use super::stage::{signature_path, verify};
use super::{WeightsConfig, local};

/// A signature is not larger.
const SIGNATURE_BYTES_MAX: u64 = 1 << 20;

/// A version that lies in a folder.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) manifest: Manifest,
    pub(super) folder: PathBuf,
    pub(super) signature: Option<String>,
    /// The folder that the server was started with.
    pub(super) is_users: bool,
}

/// A promise of which nobody said here what was decided.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    pub(super) push: String,
    pub(super) target: Hash,
    pub(super) epoch: u64,
    pub(super) policy: Policy,
    pub(super) is_rollback: bool,
    pub(super) signature: Option<String>,
    /// The version, for a push that is no rollback.
    pub(super) kept: Option<Kept>,
}

/// What an earlier server left.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Nothing: no version was ever committed.
    pub(super) live: Option<Kept>,
    pub(super) previous: Option<Kept>,
    pub(super) doubt: Option<Doubt>,
    pub(super) term: u64,
}

/// The model's folder that a server has to load: its own, or that of the version that was committed last, every byte of
/// which has been checked. Nothing: its own.
///
/// # Errors
/// `State` when another server uses the state's folder, or the version is not there any more; `Mismatch` when its
/// bytes are others; `Signature` when it is not signed by the key that is wanted.
pub fn resume(config: &WeightsConfig) -> Result<Option<PathBuf>> {
    if !config.keeps {
        return Ok(None);
    }
    let mut log = open_log(&config.state)?;
    let Some(live) = find(config, &mut log)?.live else { return Ok(None) };
    verify(&live.folder, &live.manifest)?;
    if let (Some(path), false) = (&config.signer, live.is_users) {
        let key = Ed25519VerifyingKey::load(path)?;
        let signature = live.signature.as_deref().ok_or_else(|| {
            at(ErrorKind::Signature, &live.folder, "the version that was committed last is not signed")
        })?;
        live.manifest.verify(signature.as_bytes(), &key)?;
    }
    Ok((!live.is_users).then_some(live.folder))
}

pub(super) fn open_log(state: &Path) -> Result<FileLog> {
    let versions = state.join("versions");
    std::fs::create_dir_all(&versions).map_err(|error| io("use for weights", &versions, &error))?;
    FileLog::open(&state.join("receiver.log"))
}

fn io(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{}: cannot {what}: {error}", path.display()))
}

fn at(kind: ErrorKind, path: &Path, message: &str) -> Error {
    Error::new(kind, format!("{}: {message}", path.display()))
}

/// Reads what is there. A push of the server to itself that was not decided is over: nobody else knows of it.
pub(super) fn find(config: &WeightsConfig, log: &mut dyn Log) -> Result<Found> {
    let mut found = Found::default();
    let (mut live, mut previous, mut promise) = (None, None, None);
    for record in log.read()? {
        match ReceiverRecord::parse(&record)? {
            ReceiverRecord::Incarnation { .. } => {}
            ReceiverRecord::Term { term } => found.term = found.term.max(term),
            ReceiverRecord::Live { version, .. } => {
                if live != Some(version) {
                    previous = live.replace(version);
                }
                promise = None;
            }
            ReceiverRecord::Promise { epoch, target } => promise = Some((epoch, target)),
            ReceiverRecord::Release { .. } => promise = None,
        }
    }
    let there = versions(config)?;
    if let Some(version) = live {
        let kept = there.get(&version).cloned().ok_or_else(|| {
            let message = format!(
                "version {} was served last and is not here any more; bring it back, or start with another folder \
                 for versions",
                version.short()
            );
            at(ErrorKind::State, &config.state, &message)
        })?;
        found.live = Some(kept);
    }
    // Before the first commit it was the server's own.
    let base = there.iter().find(|(_, kept)| kept.is_users).map(|(digest, _)| *digest);
    let previous = previous.or(base.filter(|_| live.is_some()));
    found.previous =
        previous.filter(|version| live != Some(*version)).and_then(|version| there.get(&version).cloned());
    if let Some((epoch, target)) = promise {
        found.doubt = doubt(&config.state, epoch, target, &there)?;
        if found.doubt.as_ref().is_some_and(|doubt| local::is_own(&doubt.push)) {
            let count = log.count()?;
            log.append(count, &ReceiverRecord::Release { epoch }.to_bytes())?;
            found.doubt = None;
        }
    }
    Ok(found)
}

/// All versions with a manifest, by digest.
fn versions(config: &WeightsConfig) -> Result<BTreeMap<Hash, Kept>> {
    let mut there = BTreeMap::new();
    let base = base_path(&config.state);
    if base.is_file() {
        let manifest = Manifest::load(&base)?;
        let kept = Kept { manifest, folder: config.folder.clone(), signature: None, is_users: true };
        there.insert(kept.manifest.digest(), kept);
    }
    let folder = config.state.join("versions");
    let entries = std::fs::read_dir(&folder).map_err(|error| io("read the folder", &folder, &error))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        // One without a manifest, or with half of one, was never staged to its end.
        let Ok(manifest) = Manifest::load(&path.join(OPENSSF_PATH)) else { continue };
        let kept = Kept { signature: read_signature(&path), manifest, folder: path, is_users: false };
        there.insert(kept.manifest.digest(), kept);
    }
    Ok(there)
}

fn read_signature(folder: &Path) -> Option<String> {
    let path = signature_path(folder);
    let size = path.metadata().ok()?.len();
    (size <= SIGNATURE_BYTES_MAX).then(|| std::fs::read_to_string(path).ok()).flatten()
}

fn base_path(state: &Path) -> PathBuf {
    state.join("base.manifest")
}

/// The manifest of the server's own folder, for the next start.
pub(super) fn keep_base(state: &Path, manifest: &Manifest) -> Result<()> {
    manifest.save(&base_path(state))
}

fn push_path(state: &Path) -> PathBuf {
    state.join("push.json")
}

fn doubt(state: &Path, epoch: u64, target: Hash, there: &BTreeMap<Hash, Kept>) -> Result<Option<Doubt>> {
    let path = push_path(state);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        // It is removed when the push is over, and that is all the log does not say.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("read", &path, &error)),
    };
    let bad = || at(ErrorKind::Format, &path, "damaged; remove it when no push is under way");
    let value: Value = serde_json::from_str(&text).map_err(|_| bad())?;
    let push = value["push"].as_str().ok_or_else(bad)?.to_string();
    let version: Hash = value["version"].as_str().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
    let policy = value["policy"].as_str().and_then(Policy::from_name).ok_or_else(bad)?;
    if value["epoch"].as_u64() != Some(epoch) || version != target {
        return Ok(None);
    }
    Ok(Some(Doubt {
        push,
        target,
        epoch,
        policy,
        is_rollback: value["rollback"] == true,
        signature: value["signature"].as_str().map(str::to_string),
        kept: there.get(&target).cloned(),
    }))
}

/// Writes down a push before it is promised.
pub(super) fn keep_push(state: &Path, push: &Doubt) -> Result<()> {
    let path = push_path(state);
    let text = json!({
        "push": push.push, "version": push.target.to_string(), "epoch": push.epoch, "policy": push.policy.name(),
        "rollback": push.is_rollback, "signature": push.signature,
    })
    .to_string();
    mynah_base::write_atomic(&path, |file| std::io::Write::write_all(file, text.as_bytes()))
        .map_err(|error| io("write", &path, &error))
}

/// The push is over.
pub(super) fn forget_push(state: &Path) {
    // One that stays is over by the log.
    let _ = std::fs::remove_file(push_path(state));
}

/// Removes what nobody needs any more: versions that were never committed, and what was on its way.
pub(super) fn clean(config: &WeightsConfig, found: &Found) -> Result<()> {
    let doubt = found.doubt.as_ref().and_then(|doubt| doubt.kept.as_ref());
    let needed: Vec<&Path> = [found.live.as_ref(), found.previous.as_ref(), doubt]
        .into_iter()
        .flatten()
        .map(|k| k.folder.as_path())
        .collect();
    let folder = config.state.join("versions");
    let entries = std::fs::read_dir(&folder).map_err(|error| io("read the folder", &folder, &error))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if needed.contains(&path.as_path()) {
            continue;
        }
        let gone = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        gone.map_err(|error| io("remove what a server left", &path, &error))?;
    }
    Ok(())
}
