//! Models and optimizer states as folders of files.
//!
//! A model is `config.json` and `model.safetensors`; an optimizer adds `optimizer.json` and
//! `optimizer.safetensors`. `manifest.json` holds the length and BLAKE3 digest of each, and loading checks
//! them. Every file is replaced whole or not at all; to replace several at once, write a new folder and
//! rename it. A folder without a manifest (weights converted from PyTorch) loads too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::GptConfig;
use crate::error::{Error, Result};
use crate::gpt::Gpt;
use crate::optim::{Optimizer, OptimizerSettings};
use crate::safetensors::{self, Digest, HashingWriter, Item, TensorFile};

/// The configuration of a model.
pub const CONFIG_FILE: &str = "config.json";
/// The weights of a model.
pub const MODEL_FILE: &str = "model.safetensors";
/// Settings and step counts of an optimizer.
pub const OPTIMIZER_SETTINGS_FILE: &str = "optimizer.json";
/// The state tensors of an optimizer.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// Digests of the other files.
pub const MANIFEST_FILE: &str = "manifest.json";

/// No JSON file of ours comes near this; a longer one is refused before it is read.
const JSON_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: String,
    version: u32,
    files: BTreeMap<String, Digest>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { format: "mynah-checkpoint".to_string(), version: 1, files: BTreeMap::new() }
    }
}

/// Writes a model into a folder, which is made if need be.
///
/// # Errors
/// When the file system refuses; each file is then either the old or the new one.
pub fn save_model(dir: &Path, model: &Gpt) -> Result<()> {
    make_dir(dir)?;
    let config = write_json(&dir.join(CONFIG_FILE), model.config())?;
    let items: Vec<Item<'_>> = model
        .named_parameters()
        .iter()
        .map(|(name, tensor)| Item {
            name,
            shape: tensor.shape(),
            values: Box::new(move |consume| {
                tensor.with_f32(|values| consume(values)).map_err(io::Error::other)?
            }),
        })
        .collect();
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    let weights = safetensors::write(&dir.join(MODEL_FILE), &items, &metadata)?;
    record(dir, [(CONFIG_FILE, config), (MODEL_FILE, weights)])
}

/// Reads a model from a folder, checking digests where the manifest has them.
///
/// # Errors
/// When a file is missing, damaged, cut short, or does not fit the configuration; the message names the
/// file and, where it is one, the tensor with what was expected and found.
pub fn load_model(dir: &Path) -> Result<Gpt> {
    verify(dir, &[CONFIG_FILE, MODEL_FILE])?;
    load_weights(load_config(dir)?, &dir.join(MODEL_FILE))
}

/// Reads the configuration of the model in a folder.
///
/// # Errors
/// When `config.json` is missing or describes no possible model.
pub fn load_config(dir: &Path) -> Result<GptConfig> {
    let path = dir.join(CONFIG_FILE);
    let config: GptConfig = read_json(&path)?;
    config.validate().map_err(|e| Error::format(&path, e))?;
    Ok(config)
}

/// A model of this configuration with the weights of a safetensors file.
///
/// # Errors
/// As [`load_model`].
pub fn load_weights(config: GptConfig, path: &Path) -> Result<Gpt> {
    config.validate()?;
    let mut file = TensorFile::open(path)?;
    // Before anything the size of the configuration is made: a hostile one must not cost memory.
    let expected = config.num_params().total() as u64;
    let found: u64 = file.entries().values().map(|entry| entry.shape.iter().product::<usize>() as u64).sum();
    let rows = file.entries().get("transformer.wte.weight").map(|entry| entry.shape.clone());
    if let Some(rows) = rows.filter(|shape| *shape != [config.vocab_size, config.n_embd]) {
        return Err(Error::mismatch(format!(
            "{}: tensor transformer.wte.weight has shape {rows:?}, the configuration needs {:?}; the weights belong to another model",
            path.display(),
            [config.vocab_size, config.n_embd]
        )));
    }
    let mut used = 0;
    let model = if found == expected {
        Gpt::from_values(config, |name, shape| {
            used += 1;
            file.read_f32(name, shape)
        })?
    } else {
        return Err(missing_or_extra(&config, &file, found, expected, path));
    };
    if used != file.entries().len() {
        return Err(missing_or_extra(model.config(), &file, found, expected, path));
    }
    Ok(model)
}

/// Says which tensor makes the difference between a configuration and a file.
fn missing_or_extra(config: &GptConfig, file: &TensorFile, found: u64, expected: u64, path: &Path) -> Error {
    let layers = file
        .entries()
        .keys()
        .filter_map(|name| name.strip_prefix("transformer.h.")?.split('.').next()?.parse::<usize>().ok());
    let layers = layers.max().map_or(0, |last| last + 1);
    Error::mismatch(format!(
        "{}: the file has {} tensors of {found} values in {layers} layers, the configuration needs {expected} values in {} layers; \
         the weights belong to another model",
        path.display(),
        file.entries().len(),
        config.n_layer
    ))
}

/// Writes the state of an optimizer into a folder.
///
/// # Errors
/// As [`save_model`].
pub fn save_optimizer(dir: &Path, optimizer: &Optimizer) -> Result<()> {
    make_dir(dir)?;
    let settings = write_json(&dir.join(OPTIMIZER_SETTINGS_FILE), &optimizer.settings())?;
    let tensors = optimizer.state_tensors();
    let items: Vec<Item<'_>> = tensors
        .iter()
        .map(|(name, shape, values)| Item { name, shape, values: Box::new(move |consume| consume(values)) })
        .collect();
    let state = safetensors::write(&dir.join(OPTIMIZER_FILE), &items, &BTreeMap::new())?;
    record(dir, [(OPTIMIZER_SETTINGS_FILE, settings), (OPTIMIZER_FILE, state)])
}

/// Reads the state of an optimizer that has the same groups and parameters.
///
/// # Errors
/// As [`load_model`]; the optimizer is then unchanged.
pub fn load_optimizer(dir: &Path, optimizer: &mut Optimizer) -> Result<()> {
    verify(dir, &[OPTIMIZER_SETTINGS_FILE, OPTIMIZER_FILE])?;
    let settings: OptimizerSettings = read_json(&dir.join(OPTIMIZER_SETTINGS_FILE))?;
    let mut file = TensorFile::open(&dir.join(OPTIMIZER_FILE))?;
    optimizer.restore(&settings, |name, shape| file.read_f32(name, shape))
}

/// Adds files of the folder, written by others, to its manifest.
///
/// # Errors
/// When a file cannot be read or the manifest not written.
pub fn record_files(dir: &Path, names: &[&str]) -> Result<()> {
    let digests =
        names.iter().map(|&name| Ok((name, digest(&dir.join(name))?))).collect::<Result<Vec<_>>>()?;
    record(dir, digests)
}

/// Checks that the named files of a folder (all in the manifest when `names` is empty) are what the
/// manifest says. Files the manifest does not mention pass, and so does a folder without a manifest.
///
/// # Errors
/// When a file is missing or has another length or digest.
pub fn verify(dir: &Path, names: &[&str]) -> Result<()> {
    if !dir.is_dir() {
        return Err(Error::io(dir, "open the folder of the model", io::Error::from(io::ErrorKind::NotFound)));
    }
    let path = dir.join(MANIFEST_FILE);
    if !path.exists() {
        return Ok(());
    }
    let manifest: Manifest = read_json(&path)?;
    for (name, expected) in &manifest.files {
        if !names.is_empty() && !names.contains(&name.as_str()) {
            continue;
        }
        // Only names in this folder: a manifest may not make us read elsewhere.
        if name.contains(['/', '\\']) || name == ".." {
            return Err(Error::format(&path, format!("{name:?} is not the name of a file in this folder")));
        }
        let file = dir.join(name);
        let length = fs::metadata(&file).map_err(|e| Error::io(&file, "open", e))?.len();
        if length != expected.bytes {
            return Err(Error::format(
                &file,
                format!(
                    "it has {length} bytes, {MANIFEST_FILE} says {}; it was cut short or replaced",
                    expected.bytes
                ),
            ));
        }
        if digest(&file)?.blake3 != expected.blake3 {
            return Err(Error::format(
                &file,
                format!(
                    "its content does not match the digest in {MANIFEST_FILE}; it is damaged or was replaced"
                ),
            ));
        }
    }
    Ok(())
}

fn record<'a>(dir: &Path, files: impl IntoIterator<Item = (&'a str, Digest)>) -> Result<()> {
    let path = dir.join(MANIFEST_FILE);
    let mut manifest: Manifest = if path.exists() { read_json(&path)? } else { Manifest::default() };
    manifest.files.extend(files.into_iter().map(|(name, digest)| (name.to_string(), digest)));
    write_json(&path, &manifest).map(|_| ())
}

fn digest(path: &Path) -> Result<Digest> {
    let mut file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
    let mut writer = HashingWriter::new(io::sink());
    io::copy(&mut file, &mut writer).map_err(|e| Error::io(path, "read", e))?;
    Ok(writer.digest())
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| Error::io(dir, "make the folder", e))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<Digest> {
    let text = serde_json::to_vec_pretty(value).map_err(|e| Error::format(path, e))?;
    let mut digest = HashingWriter::new(io::sink());
    digest
        .write_all(&text)
        .and_then(|()| mynah_base::write_atomic(path, |writer| writer.write_all(&text)))
        .map_err(|e| Error::io(path, "write", e))?;
    Ok(digest.digest())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let length = fs::metadata(path).map_err(|e| Error::io(path, "open", e))?.len();
    if length > JSON_BYTES_MAX {
        return Err(Error::format(path, format!("{length} bytes are too many for a JSON file of ours")));
    }
    let text = fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    serde_json::from_slice(&text).map_err(|e| Error::format(path, format!("not the JSON expected here: {e}")))
}
