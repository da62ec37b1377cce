//! The model registry: names under which versions of models are kept, with stages and aliases.

mod models;
mod versions;

pub use models::{add_parts as add_model_parts, from_row as model_from_row};
pub use versions::{
    COLUMNS as VERSION_COLUMNS, add_parts as add_version_parts, from_row as version_from_row,
};

use crate::db::{self, Connection};
use crate::error::Result;
use crate::store::writer::Tx;
use crate::types::Tag;

/// `model:NAME` in the audit log.
fn subject(name: &str) -> String {
    format!("model:{name}")
}

/// The name was touched.
fn touch(tx: &Tx, model: i64) -> Result<()> {
    tx.connection
        .prepare_cached("UPDATE registered_models SET updated_ms = ?2 WHERE id = ?1")?
        .execute((model, tx.now_ms))?;
    Ok(())
}

/// The tags in a table of tags, by key.
fn tags(connection: &Connection, table: &str, owner: &str, id: i64) -> Result<Vec<Tag>> {
    let mut select = connection
        .prepare_cached(&format!("SELECT key, value FROM {table} WHERE {owner} = ?1 ORDER BY key"))?;
    let rows = select.query_map([id], |row| Ok(Tag { key: row.get(0)?, value: row.get(1)? }))?;
    Ok(rows.collect::<db::Result<_>>()?)
}

fn put_tag(connection: &Connection, table: &str, owner: &str, id: i64, tag: &Tag) -> Result<()> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO {table} ({owner}, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT ({owner}, key) DO UPDATE SET value = excluded.value"
        ))?
        .execute((id, &tag.key, &tag.value))?;
    Ok(())
}
