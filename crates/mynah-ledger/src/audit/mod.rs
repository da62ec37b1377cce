//! The audit log: every change of state, in order, provable.
//!
//! An event is a line of JSON: who, when, what, on which thing, with the digest of what was written. Events
//! are the leaves of the Merkle tree of RFC 6962. The tree's state is changed in the transaction of the change, so
//! there is no change without its event and no event without its change. What the tree proves, it proves
//! against a root that somebody keeps elsewhere: edits, deletions, reorderings and a cut end all give
//! another root.

pub mod log;

use crate::db::{self, Connection, OptionalExtension, Row};
use mynah_trust::keys::{Ed25519SigningKey, Ed25519VerifyingKey};
use mynah_trust::merkle::{self, Hash};
use mynah_trust::{Checkpoint, LogProof};

use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use log::{LEVEL_STEP, Log, hash};

/// Events that one call gives at most.
const EVENTS_MAX: u32 = 100_000;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its place, from 0.
    pub seq: u64,
    /// When it was made.
    pub at_ms: i64,
    /// `run.create`, `run.log`, …
    pub kind: String,
    /// `run:ID`, `experiment:ID`, `model:NAME`, …
    pub subject: String,
    /// The line of JSON that is hashed, exactly as stored.
    pub body: String,
    /// Its leaf hash.
    pub leaf: Hash,
}

/// The log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Events in it.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// That an event is in the log of a head, checkable without the log
/// ([`mynah_trust::merkle::verify_inclusion`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditProof {
    /// The event.
    pub event: AuditEvent,
    /// The log it is proven to be in.
    pub head: AuditHead,
    /// Sibling hashes, nearest first.
    pub path: Vec<Hash>,
}

/// What is wrong with the log; empty is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Events read.
    pub events: u64,
    /// One line each.
    pub findings: Vec<String>,
}

impl Ledger {
    /// A name for this ledger in checkpoints: `mynah-ledger/` and 32 hexadecimal characters, made once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn audit_origin(&self) -> Result<String> {
        self.read(|connection| {
            let id = crate::store::schema::setting(connection, "ledger_id")?;
            Ok(format!("mynah-ledger/{}", id.unwrap_or_default()))
        })
    }

    /// Size and root of the log now.
    ///
    /// # Errors
    /// When the store cannot be read or its tree is damaged.
    pub fn audit_head(&self) -> Result<AuditHead> {
        self.read(head)
    }

    /// The log now as a signed checkpoint, to be kept elsewhere.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn audit_checkpoint(&self, key: &Ed25519SigningKey) -> Result<String> {
        let head = self.audit_head()?;
        Ok(Checkpoint::new(self.audit_origin()?, head.size, head.root).sign(key)?)
    }

    /// The head in a checkpoint that this ledger signed; give it to [`Ledger::audit_verify`].
    ///
    /// # Errors
    /// `Invalid` when it is not a checkpoint of this ledger or not signed with that key.
    pub fn audit_held(&self, checkpoint: &str, key: &Ed25519VerifyingKey) -> Result<AuditHead> {
        let checkpoint = Checkpoint::verify(checkpoint, &self.audit_origin()?, key)
            .map_err(|error| Error::invalid(error.to_string()))?;
        Ok(AuditHead { size: checkpoint.size, root: checkpoint.root })
    }

    /// The proof of an event on one page, with its text and a signed checkpoint: verifies without the ledger.
    ///
    /// # Errors
    /// `NotFound` when there is no such event.
    pub fn audit_proof_text(&self, seq: u64, key: &Ed25519SigningKey) -> Result<String> {
        let AuditProof { event, head, path } = self.audit_proof(seq)?;
        let checkpoint = Checkpoint::new(self.audit_origin()?, head.size, head.root).sign(key)?;
        Ok(LogProof { index: seq, hashes: path, checkpoint, extra: Some(event.body.into_bytes()) }.to_text())
    }

    /// Events from `from` on, at most `max` and at most 100,000.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn audit_events(&self, from: u64, max: usize) -> Result<Vec<AuditEvent>> {
        self.read(move |connection| {
            let mut select =
                connection.prepare_cached(&format!("{SELECT} WHERE seq >= ?1 ORDER BY seq LIMIT ?2"))?;
            let rows = select.query_map(
                (from.cast_signed(), u32::try_from(max).unwrap_or(EVENTS_MAX).min(EVENTS_MAX)),
                RawEvent::read,
            )?;
            rows.map(|row| row?.event()).collect()
        })
    }

    /// Events about one thing (`run:ID`, …), oldest first, at most 100,000.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn audit_events_of(&self, subject: &str) -> Result<Vec<AuditEvent>> {
        self.read(|connection| {
            let mut select =
                connection.prepare_cached(&format!("{SELECT} WHERE subject = ?1 ORDER BY seq LIMIT ?2"))?;
            let rows = select.query_map((subject, EVENTS_MAX), RawEvent::read)?;
            rows.map(|row| row?.event()).collect()
        })
    }

    /// The proof that an event is in the log as it is now.
    ///
    /// # Errors
    /// `NotFound` when there is no such event.
    pub fn audit_proof(&self, seq: u64) -> Result<AuditProof> {
        self.read(|connection| {
            let head = head(connection)?;
            let event = connection
                .prepare_cached(&format!("{SELECT} WHERE seq = ?1"))?
                .query_row([seq.cast_signed()], RawEvent::read)
                .optional()?
                .ok_or_else(|| {
                    Error::not_found(format!("the audit log has {} events, no number {seq}", head.size))
                })?
                .event()?;
            let path = merkle::inclusion_proof(nodes(connection), seq, head.size)?;
            Ok(AuditProof { event, head, path })
        })
    }

    /// The proof that the log as it is now continues the log of `old_size` events.
    ///
    /// # Errors
    /// `Invalid` when the log is shorter than that.
    pub fn audit_consistency(&self, old_size: u64) -> Result<(AuditHead, Vec<Hash>)> {
        self.read(|connection| {
            let head = head(connection)?;
            let path = merkle::consistency_proof(nodes(connection), old_size, head.size)?;
            Ok((head, path))
        })
    }

    /// Reads the whole log and computes everything again: each leaf from its text, the stored nodes, the root.
    /// `held` is a head that was kept elsewhere; without one, a log that was cut and computed again passes.
    ///
    /// # Errors
    /// When the store cannot be read; what is wrong with the log is in the report.
    pub fn audit_verify(&self, held: Option<AuditHead>) -> Result<AuditReport> {
        self.read(|connection| verify(connection, held))
    }
}

const SELECT: &str = "SELECT seq, at_ms, kind, subject, body, leaf FROM audit_events";

/// A row before its hash is checked for its length.
struct RawEvent(AuditEvent, Vec<u8>);

impl RawEvent {
    fn read(row: &Row<'_>) -> db::Result<RawEvent> {
        let event = AuditEvent {
            seq: row.get::<i64>(0)?.cast_unsigned(),
            at_ms: row.get(1)?,
            kind: row.get(2)?,
            subject: row.get(3)?,
            body: row.get(4)?,
            leaf: [0; 32],
        };
        Ok(RawEvent(event, row.get(5)?))
    }

    fn event(self) -> Result<AuditEvent> {
        Ok(AuditEvent { leaf: hash(&self.1)?, ..self.0 })
    }
}

fn head(connection: &Connection) -> Result<AuditHead> {
    let log = Log::load(connection)?;
    Ok(AuditHead { size: log.tree().size(), root: log.tree().root() })
}

/// Looks nodes up, and computes those of the levels between the stored ones.
fn nodes(connection: &Connection) -> impl FnMut(u32, u64) -> Result<Hash> + '_ {
    move |level, position| node(connection, level, position)
}

fn node(connection: &Connection, level: u32, position: u64) -> Result<Hash> {
    if !level.is_multiple_of(LEVEL_STEP) {
        let left = node(connection, level - 1, position * 2)?;
        let right = node(connection, level - 1, position * 2 + 1)?;
        return Ok(merkle::node_hash(&left, &right));
    }
    let found: Option<Vec<u8>> = if level == 0 {
        connection
            .prepare_cached("SELECT leaf FROM audit_events WHERE seq = ?1")?
            .query_row([position.cast_signed()], |row| row.get(0))
            .optional()?
    } else {
        connection
            .prepare_cached("SELECT hash FROM audit_nodes WHERE level = ?1 AND position = ?2")?
            .query_row((level, position.cast_signed()), |row| row.get(0))
            .optional()?
    };
    let missing =
        || Error::storage(format!("the audit log is damaged: node {position} of level {level} is missing"));
    hash(&found.ok_or_else(missing)?)
}

pub(crate) fn verify(connection: &Connection, held: Option<AuditHead>) -> Result<AuditReport> {
    let mut report = AuditReport::default();
    let mut tree = merkle::Tree::new();
    let mut held_root = held.filter(|held| held.size == 0).map(|_| tree.root());
    let mut select = connection.prepare_scan(&format!("{SELECT} ORDER BY seq"))?;
    let rows = select.query_map([], RawEvent::read)?;
    for row in rows {
        let RawEvent(event, leaf) = row?;
        let at = tree.size();
        let mut found = |what: String| report.findings.push(format!("event {}: {what}", event.seq));
        if event.seq != at {
            found(format!("stands where event {at} belongs; events are missing or were moved"));
        }
        let computed = merkle::leaf_hash(event.body.as_bytes());
        if computed != leaf.as_slice() {
            found("its text does not have the hash that was recorded".to_string());
        }
        if let Some(what) = differs(&event) {
            found(what);
        }
        let mut wrong = Vec::new();
        tree.append_with(computed, |level, position, hash| {
            if level > 0 && level.is_multiple_of(LEVEL_STEP) {
                wrong.push((level, position, *hash));
            }
        });
        for (level, position, hash) in wrong {
            if node(connection, level, position).ok() != Some(hash) {
                report.findings.push(format!("node {position} of level {level} is not that of its events"));
            }
        }
        if let Some(held) = held
            && held.size == tree.size()
        {
            held_root = Some(tree.root());
        }
    }
    report.events = tree.size();
    let stored = head(connection)?;
    if (stored.size, stored.root) != (tree.size(), tree.root()) {
        report.findings.push(format!(
            "the tree was recorded with {} events, there are {}, or their root differs",
            stored.size,
            tree.size()
        ));
    }
    match (held, held_root) {
        (Some(held), None) => report.findings.push(format!(
            "the log has {} events, the checkpoint held elsewhere {}; its end was cut",
            tree.size(),
            held.size
        )),
        (Some(held), Some(root)) if root != held.root => report.findings.push(format!(
            "the first {} events do not have the root of the checkpoint held elsewhere; they were changed",
            held.size
        )),
        _ => {}
    }
    Ok(report)
}

/// The columns beside the text are only for finding it; they must say the same.
fn differs(event: &AuditEvent) -> Option<String> {
    let Ok(body) = serde_json::from_str::<serde_json::Value>(&event.body) else {
        return Some("its text is not JSON".to_string());
    };
    let same = body["seq"].as_u64() == Some(event.seq)
        && body["at_ms"].as_i64() == Some(event.at_ms)
        && body["kind"].as_str() == Some(&event.kind)
        && body["subject"].as_str() == Some(&event.subject);
    (!same).then(|| "its text and its columns do not say the same".to_string())
}

impl From<mynah_trust::Error> for Error {
    fn from(error: mynah_trust::Error) -> Error {
        let kind = match error.kind() {
            mynah_trust::ErrorKind::Argument => ErrorKind::Invalid,
            _ => ErrorKind::Storage,
        };
        Error::new(kind, error.to_string())
    }
}
