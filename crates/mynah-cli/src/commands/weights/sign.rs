//! `mynah weights sign | verify`.

use std::path::{Path, PathBuf};

use clap::Args;
use mynah_base::units;
use mynah_swap::Manifest;
use mynah_swap::manifest::{openssf_bundle, openssf_verify};
use mynah_swap::source::{SafetensorsSource, TensorSource};
use mynah_trust::keys::{EcSigningKey, EcVerifyingKey, Ed25519SigningKey, Ed25519VerifyingKey};

use super::{load, manifest_path};
use crate::failure::{Failure, Result};
use crate::home;

/// A signature is read whole; a real one has a few kilobytes.
const SIGNATURE_BYTES_MAX: u64 = 16 << 20;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah weights sign model                           writes model/weights.manifest.sig
  mynah weights sign model --openssf                 for `python -m model_signing verify key`

Keys are made when they are absent: MYNAH_HOME/keys/weights.pem (Ed25519), weights-openssf.pem (EC P-256); their public
halves lie beside them (.pub.pem).")]
pub struct Sign {
    /// A manifest, or a folder with one
    #[arg(value_name = "FILE")]
    manifest: PathBuf,
    /// The signing key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where to (default: beside the manifest, .sig or .openssf.json)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// An OpenSSF Model Signing bundle instead of our own form
    #[arg(long)]
    openssf: bool,
}

pub fn sign(arguments: &Sign) -> Result<()> {
    let manifest = load(&arguments.manifest)?;
    let (text, public) = if arguments.openssf {
        let path = key_path(arguments.key.as_deref(), "weights-openssf.pem")?;
        let key = match &arguments.key {
            Some(path) => EcSigningKey::load(path)?,
            None => EcSigningKey::load_or_create(&path)?,
        };
        let public = path.with_extension("pub.pem");
        key.verifying_key().save(&public)?;
        (openssf_bundle(&manifest, &key)?, public)
    } else {
        let path = key_path(arguments.key.as_deref(), "weights.pem")?;
        let key = match &arguments.key {
            Some(path) => Ed25519SigningKey::load(path)?,
            None => Ed25519SigningKey::load_or_create(&path)?,
        };
        let public = path.with_extension("pub.pem");
        key.verifying_key().save(&public)?;
        (manifest.sign(&key), public)
    };
    let out = arguments.out.clone().unwrap_or_else(|| beside(&arguments.manifest, arguments.openssf));
    mynah_base::write_atomic(&out, |file| std::io::Write::write_all(file, text.as_bytes()))
        .map_err(|error| Failure::io("cannot write", &out, &error))?;
    println!(
        "{} signs version {}; its public key is {}",
        out.display(),
        manifest.digest().short(),
        public.display()
    );
    Ok(())
}

/// A key as named, or at its usual place, whose folder is made.
fn key_path(named: Option<&Path>, usual: &str) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_path_buf());
    }
    let folder = home::home()?.join("keys");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::io("cannot create the folder", &folder, &error))?;
    Ok(folder.join(usual))
}

/// The signature's usual place.
fn beside(manifest: &Path, openssf: bool) -> PathBuf {
    let mut name = manifest_path(manifest).into_os_string();
    name.push(if openssf { ".openssf.json" } else { ".sig" });
    PathBuf::from(name)
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah weights verify model                         the signature, and every chunk of the weights
  mynah weights verify new.manifest --weights new --key sender.pub.pem
  mynah weights verify model --unsigned              only the weights against the manifest

Exit code 1 when anything is not as it should be.")]
pub struct Verify {
    /// A manifest, or a folder with one
    #[arg(value_name = "FILE")]
    manifest: PathBuf,
    /// The weights, where they are not in the manifest's folder
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Public key of who signed it (default: MYNAH_HOME/keys/weights.pub.pem, or weights-openssf.pub.pem)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The signature (default: beside the manifest)
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The signature is an OpenSSF Model Signing bundle
    #[arg(long)]
    openssf: bool,
    /// Do not ask who signed it
    #[arg(long, conflicts_with_all = ["key", "signature", "openssf"])]
    unsigned: bool,
}

pub fn verify(arguments: &Verify) -> Result<()> {
    let manifest = load(&arguments.manifest)?;
    if !arguments.unsigned {
        let path =
            arguments.signature.clone().unwrap_or_else(|| beside(&arguments.manifest, arguments.openssf));
        let signature = read(&path)?;
        let usual = if arguments.openssf { "keys/weights-openssf.pub.pem" } else { "keys/weights.pub.pem" };
        let key = match &arguments.key {
            Some(path) => path.clone(),
            None => home::home()?.join(usual),
        };
        if arguments.openssf {
            openssf_verify(&manifest, &signature, &EcVerifyingKey::load(&key)?)?;
        } else {
            manifest.verify(&signature, &Ed25519VerifyingKey::load(&key)?)?;
        }
        println!("version {} is signed by the key in {}", manifest.digest().short(), key.display());
    }
    let in_folder = arguments.manifest.is_dir().then(|| arguments.manifest.clone());
    let Some(weights) = arguments.weights.clone().or(in_folder) else {
        if arguments.unsigned {
            return Err(Failure::new("nothing to check").advice("name the weights: --weights DIR"));
        }
        return Ok(());
    };
    let bytes = check_weights(&manifest, &SafetensorsSource::open(&weights)?)?;
    println!("{}: {} are what the manifest says", weights.display(), units::bytes(bytes));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).map_err(|error| Failure::io("cannot read", path, &error))?.len();
    if size > SIGNATURE_BYTES_MAX {
        return Err(Failure::new("too large for a signature").at_path(path));
    }
    std::fs::read(path).map_err(|error| Failure::io("cannot read", path, &error))
}

/// Reads everything and compares it with the digests.
fn check_weights(manifest: &Manifest, source: &dyn TensorSource) -> Result<u64> {
    let infos = source.tensors();
    for info in infos {
        if manifest.find(&info.name, info.part).is_none() {
            return Err(Failure::new(format!("the manifest does not know the tensor {}", info.name)));
        }
    }
    let mut chunk_bytes = Vec::new();
    let mut total = 0;
    for (number, tensor) in manifest.tensors().iter().enumerate() {
        let same =
            |info: &mynah_swap::source::TensorInfo| info.name == tensor.name && info.part == tensor.part;
        let Some(place) = infos.iter().position(same) else {
            return Err(Failure::new(format!("the weights lack the tensor {}", tensor.label())));
        };
        let info = &infos[place];
        if info.dtype != tensor.dtype || info.shape != tensor.shape {
            return Err(Failure::new(format!(
                "{} is {} {:?}, the manifest says {} {:?}",
                tensor.label(),
                info.dtype.name(),
                info.shape,
                tensor.dtype.name(),
                tensor.shape
            )));
        }
        for chunk in 0..tensor.chunk_range().len() {
            let range = manifest.chunk_bytes_range(tensor, chunk);
            chunk_bytes.resize((range.end - range.start) as usize, 0);
            source.read(place, range.start, &mut chunk_bytes)?;
            manifest.check_chunk(number, chunk, &chunk_bytes)?;
            total += chunk_bytes.len() as u64;
        }
    }
    Ok(total)
}
