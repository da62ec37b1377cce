//! Appending to the log, inside the transaction of the change itself.

use mynah_trust::merkle::{Hash, Tree, leaf_hash};
use serde_json::{Value, json};

use crate::db::Connection;
use crate::error::{Error, Result};

/// Only every fourth level of the tree is stored; what lies between is computed from at most eight hashes.
pub const LEVEL_STEP: u32 = 4;

/// What a change says about itself.
pub struct Event {
    /// `run.create`, `run.log`, …
    pub kind: &'static str,
    /// `run:ID`, `experiment:ID`, `model:NAME`, …
    pub subject: String,
    /// Small facts, and the digest of what is too large to repeat.
    pub detail: Value,
}

/// The tree as it is at the end of this transaction so far.
pub struct Log {
    tree: Tree,
    stored_size: u64,
}

impl Log {
    /// The tree as the store has it; other processes append too, so this is read in every transaction.
    pub fn load(connection: &Connection) -> Result<Log> {
        let (size, nodes): (i64, Vec<u8>) = connection
            .prepare_cached("SELECT size, nodes FROM audit_tree WHERE id = 0")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let peaks = nodes.chunks(32).map(hash).collect::<Result<Vec<_>>>()?;
        let tree = Tree::from_parts(size.cast_unsigned(), peaks).map_err(|error| {
            Error::storage(format!("the audit log is damaged: {error}; restore a backup"))
        })?;
        Ok(Log { stored_size: tree.size(), tree })
    }

    /// Appends the events of one change; on an error the tree is as before.
    pub fn append(
        &mut self,
        connection: &Connection,
        at_ms: i64,
        actor: &str,
        events: Vec<Event>,
    ) -> Result<()> {
        let before = self.tree.clone();
        let result =
            events.into_iter().try_for_each(|event| self.append_one(connection, at_ms, actor, event));
        if result.is_err() {
            self.tree = before;
        }
        result
    }

    fn append_one(&mut self, connection: &Connection, at_ms: i64, actor: &str, event: Event) -> Result<()> {
        let Event { kind, subject, detail } = event;
        let seq = self.tree.size();
        // The sequence number is inside what is hashed: two equal changes are two different events. What is
        // hashed is this very text as it is stored, so that no later program has to write it the same way.
        let body = json!({
            "v": 1, "seq": seq, "at_ms": at_ms, "by": actor, "kind": kind, "subject": subject, "detail": detail,
        })
        .to_string();
        let leaf = leaf_hash(body.as_bytes());
        connection
            .prepare_cached(
                "INSERT INTO audit_events (seq, at_ms, kind, subject, body, leaf) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((seq.cast_signed(), at_ms, kind, &subject, &body, &leaf[..]))?;
        let mut complete = Vec::new();
        self.tree.append_with(leaf, |level, position, node| {
            if level > 0 && level.is_multiple_of(LEVEL_STEP) {
                complete.push((level, position, *node));
            }
        });
        for (level, position, node) in complete {
            connection
                .prepare_cached("INSERT INTO audit_nodes (level, position, hash) VALUES (?1, ?2, ?3)")?
                .execute((level, position.cast_signed(), &node[..]))?;
        }
        Ok(())
    }

    /// Writes the tree down, if it grew.
    pub fn save(&self, connection: &Connection) -> Result<()> {
        if self.tree.size() == self.stored_size {
            return Ok(());
        }
        connection
            .prepare_cached("UPDATE audit_tree SET size = ?1, nodes = ?2 WHERE id = 0")?
            .execute((self.tree.size().cast_signed(), self.tree.peaks().concat()))?;
        Ok(())
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

/// A stored hash.
pub fn hash(bytes: &[u8]) -> Result<Hash> {
    bytes.try_into().map_err(|_| {
        Error::storage(format!("the audit log is damaged: a hash of {} bytes; restore a backup", bytes.len()))
    })
}
