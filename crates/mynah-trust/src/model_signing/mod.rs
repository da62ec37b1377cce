//! Signed folders in the OpenSSF Model Signing format, version 1.0.
//!
//! A [`Manifest`] names every file of a folder with its digest. It becomes an in-toto statement, in a DSSE
//! envelope signed with an EC P-256 key, in a Sigstore bundle: one JSON file, by custom `model.sig` beside
//! the model. The Python package `model-signing` verifies what we sign
//! (`python -m model_signing verify key FOLDER --signature FOLDER/model.sig --public_key KEY`), and we
//! verify what it signs with `sign key`.
//!
//! What is covered: every file below the folder, by name and content, except the signature itself and the
//! ignored paths, which the signature lists. Not covered, as in the Python package: empty folders, file
//! modes and times, and the folder's own name. Symbolic links and special files are refused, because what
//! they lead to may change after the check.
//!
//! Verification compares the folder as it is now. Nobody who may write to it should be able to do so between
//! the check and the use.
//!
//! Of other signers we read files hashed whole with SHA-256 or BLAKE3, and SHA-256 by shards. Certificates,
//! keyless signatures and the curves P-384 and P-521 are refused as unsupported.

mod bundle;
mod folder;
mod manifest;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};
use std::path::Path;

use crate::dsse::ENVELOPE_BYTES_MAX;
use crate::keys::{EcSigningKey, EcVerifyingKey};
use crate::{Algorithm, Error, Result};

pub use bundle::{sign_manifest, verify_bundle};
pub use manifest::{Manifest, Method, Resource};

/// The usual name of the signature inside the folder.
pub const SIGNATURE_FILE: &str = "model.sig";

/// What belongs to git and not to the model.
pub const GIT_PATHS: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// How to sign a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOptions {
    /// The digest of each file. SHA-256 is what every verifier knows. BLAKE3 is known to the library
    /// `model-signing` since its version 1.1, but its command line (1.1.1) hashes with SHA-256 always.
    pub algorithm: Algorithm,
    /// Paths relative to the folder, with `/`, that are left out; of a folder, everything below.
    pub ignore_paths: Vec<String>,
    /// Whether [`GIT_PATHS`] are left out too.
    pub ignore_git_paths: bool,
}

impl Default for SignOptions {
    fn default() -> Self {
        Self { algorithm: Algorithm::Sha256, ignore_paths: Vec::new(), ignore_git_paths: true }
    }
}

/// How to verify a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Whether files that the signature does not name may lie in the folder. They are unproven.
    pub ignore_unsigned_files: bool,
}

/// Signs a folder (or a single file) and writes the bundle to `signature`, whole or not at all. An older
/// signature there is replaced. Returns what was signed.
///
/// # Errors
/// `Argument` when there is no file to sign, `Unsupported` for symbolic links, special files and names that
/// are not UTF-8, `Io` when something cannot be read or written.
pub fn sign_folder(
    folder: &Path,
    signature: &Path,
    key: &EcSigningKey,
    options: &SignOptions,
) -> Result<Manifest> {
    let manifest = Manifest::of_folder(folder, Some(signature), options)?;
    let bundle = sign_manifest(&manifest, key)?;
    if bundle.len() > ENVELOPE_BYTES_MAX {
        let message = format!("{} files are too many for one signature", manifest.resources.len());
        return Err(Error::unsupported(message).in_file(folder));
    }
    mynah_base::write_atomic(signature, |file| file.write_all(bundle.as_bytes()))
        .map_err(|e| Error::io("write the signature", signature, &e))?;
    Ok(manifest)
}

/// Checks that the key signed the folder as it is now. Returns what was signed.
///
/// # Errors
/// `Signature` when the bundle is not signed by this key; `Mismatch` when the folder differs, with the names
/// of some files that do; `Format` and `Unsupported` for the bundle; `Io` when something cannot be read.
pub fn verify_folder(
    folder: &Path,
    signature: &Path,
    key: &EcVerifyingKey,
    options: &VerifyOptions,
) -> Result<Manifest> {
    let manifest = verify_bundle(&read_bounded(signature)?, key).map_err(|e| e.in_file(signature))?;
    manifest.check_folder(folder, Some(signature), options)?;
    Ok(manifest)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("open the signature", path, &e))?;
    let mut bytes = Vec::new();
    file.take(ENVELOPE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("read the signature", path, &e))?;
    Ok(bytes)
}
