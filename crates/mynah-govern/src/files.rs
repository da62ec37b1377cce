//! Governance's own records: JSON files among the ledger's artifacts. The ledger records the digest of each in
//! its audit log, so that they are as provable as everything else.

use std::io::Read;

use mynah_ledger::{ArtifactOwner, ErrorKind, Ledger};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// A record may not be larger.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// Writes a record, unless it is there already to the byte.
pub fn write(ledger: &Ledger, owner: &ArtifactOwner, path: &str, record: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(record)
        .map_err(|error| Error::format(format!("the record {path} cannot be written as JSON: {error}")))?;
    write_bytes(ledger, owner, path, &text)
}

/// Writes the bytes of a record, unless they are there already.
pub fn write_bytes(ledger: &Ledger, owner: &ArtifactOwner, path: &str, bytes: &[u8]) -> Result<()> {
    let digest = blake3::hash(bytes).to_hex().to_string();
    let known = ledger.walk_artifacts(owner)?;
    if known.iter().any(|artifact| artifact.path == path && artifact.digest == digest) {
        return Ok(());
    }
    ledger.put_artifact(owner, path, &mut &bytes[..])?;
    Ok(())
}

/// A record; nothing when there is none.
pub fn read<T: DeserializeOwned>(ledger: &Ledger, owner: &ArtifactOwner, path: &str) -> Result<Option<T>> {
    let Some(bytes) = read_bytes(ledger, owner, path)? else { return Ok(None) };
    let record = serde_json::from_slice(&bytes);
    record.map(Some).map_err(|error| Error::format(format!("the record {path} is malformed: {error}")))
}

/// The bytes of a record, checked against their digest; nothing when there is none.
pub fn read_bytes(ledger: &Ledger, owner: &ArtifactOwner, path: &str) -> Result<Option<Vec<u8>>> {
    let (artifact, file) = match ledger.artifact(owner, path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(RECORD_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::storage(format!("the record {path} cannot be read: {error}")))?;
    if bytes.len() as u64 > RECORD_BYTES_MAX {
        return Err(Error::format(format!("the record {path} has more than {RECORD_BYTES_MAX} bytes")));
    }
    if blake3::hash(&bytes).to_hex().as_str() != artifact.digest {
        return Err(Error::format(format!(
            "the record {path} was changed: its digest is not {}",
            artifact.digest
        )));
    }
    Ok(Some(bytes))
}

/// All records directly in a folder; one that is malformed is left out, validation names it.
pub fn read_all<T: DeserializeOwned>(ledger: &Ledger, owner: &ArtifactOwner, folder: &str) -> Result<Vec<T>> {
    let mut records = Vec::new();
    for entry in ledger.list_artifacts(owner, folder)?.iter().filter(|entry| !entry.is_dir) {
        match read(ledger, owner, &entry.path) {
            Ok(record) => records.extend(record),
            Err(error) if matches!(error.kind(), crate::ErrorKind::Format | crate::ErrorKind::Storage) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}
