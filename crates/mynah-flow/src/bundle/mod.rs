//! Bundles: what a run was, in a signed folder or a `.tar` of it.
//!
//! ```text
//! bundle.json            what ran, where, from which code and data; see [`Bundle`]
//! params.json tags.json  as the ledger has them
//! metrics.jsonl          every point, a line each; values as text, so that NaN and the last bit survive
//! artifacts/…            files of the run, when they are wanted
//! checkpoints/NAME/…     checkpoints, when they are wanted; else bundle.json says where they were and their digest
//! model.sig              OpenSSF Model Signing over all of it
//! ```

mod compare;
mod contents;
mod pack;
mod reproduce;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mynah_trust::keys::EcVerifyingKey;
use mynah_trust::model_signing::{Manifest, SIGNATURE_FILE, VerifyOptions, verify_folder};

use crate::error::{Error, Result};
use crate::tar;

pub use compare::{Comparison, Difference, DifferenceKind, Tolerance, compare, is_machine_dependent};
pub use contents::{Artifact, Bundle, Checkpoint, Code, Command, Dataset, Point, RunFacts};
pub use pack::{PackOptions, pack};
pub use reproduce::{CommandRunner, Reproduction, Rerun, Rerunning, Runner, reproduce};

/// A bundle that lies open: its folder, and what its files say.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The folder.
    pub folder: PathBuf,
    /// `bundle.json`.
    pub bundle: Bundle,
    /// `params.json`.
    pub params: BTreeMap<String, String>,
    /// `tags.json`.
    pub tags: BTreeMap<String, String>,
    /// `metrics.jsonl`.
    pub metrics: Vec<Point>,
    /// What was signed; nothing when nobody has checked.
    pub manifest: Option<Manifest>,
}

/// Opens a bundle and checks that the key signed it as it is now, before anything in it is read.
///
/// A `.tar` is unpacked to `unpack_to`, which must not exist; a folder is used where it is.
///
/// # Errors
/// `Signature` when it is signed by another key or not at all, or with the names of files that changed; `Bundle`
/// when it is malformed; `Io`.
pub fn verify(bundle: &Path, key: &EcVerifyingKey, unpack_to: &Path) -> Result<Opened> {
    let folder = folder_of(bundle, unpack_to)?;
    let check = || -> Result<Opened> {
        let signature = folder.join(SIGNATURE_FILE);
        let manifest = verify_folder(&folder, &signature, key, &VerifyOptions::default())?;
        Ok(Opened { manifest: Some(manifest), ..contents::read(&folder)? })
    };
    let checked = check();
    if checked.is_err() && folder != bundle {
        // What nobody vouches for does not stay lying around.
        let _ = fs::remove_dir_all(&folder);
    }
    checked
}

/// Opens a bundle without asking who signed it: what it says is a claim.
///
/// # Errors
/// `Bundle` when it is malformed; `Io`.
pub fn open_unverified(bundle: &Path, unpack_to: &Path) -> Result<Opened> {
    contents::read(&folder_of(bundle, unpack_to)?)
}

fn folder_of(bundle: &Path, unpack_to: &Path) -> Result<PathBuf> {
    let metadata = fs::metadata(bundle).map_err(|e| Error::io("open the bundle", bundle, &e))?;
    if metadata.is_dir() {
        return Ok(bundle.to_path_buf());
    }
    if !metadata.is_file() {
        return Err(Error::bundle("a bundle is a folder or a .tar file").in_file(bundle));
    }
    tar::unpack(bundle, unpack_to)?;
    Ok(unpack_to.to_path_buf())
}
