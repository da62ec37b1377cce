//! What a checkpoint holds besides weights: the loop's state, the machine it ran on, the model's facts.

use std::fs;
use std::io::Write;
use std::path::Path;

use mynah_base::write_atomic;
use mynah_nn::{Gpt, Optimizer, checkpoint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::FACTS_FILE;
use crate::config::{Stage, TrainConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::eval::model_error;

const STATE_FILE: &str = "state.json";
const MACHINE_FILE: &str = "machine.json";
/// Far above any file of ours; a longer one is refused before it is read.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// Everything of the loop that the next step depends on, weights and optimizer apart. Depends on settings
/// and data alone, so that equal runs write equal bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// Version of this file's layout.
    pub version: u32,
    /// Optimizer steps done.
    pub step: u64,
    /// All steps of the run; differs from the schedule's when a time limit has set it.
    pub steps: u64,
    /// Tokens read.
    pub tokens: u64,
    /// Moving average of the loss, not yet corrected for its start at 0.
    pub average_loss: f64,
    /// Last validation.
    pub validation_bpb: Option<f64>,
    /// Best validation so far.
    pub validation_bpb_best: Option<f64>,
    /// Position of the data.
    pub source: Value,
    /// The weights from elsewhere that were taken last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// The settings of the run.
    pub config: TrainConfig,
}

/// What depends on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Seconds trained so far.
    pub seconds: f64,
    /// Compute threads; another number may round sums differently.
    pub threads: usize,
}

/// What a model was trained on and with; lies beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// What was trained last.
    pub stage: Stage,
    /// Optimizer steps of that stage.
    pub step: u64,
    /// Tokens of that stage.
    pub tokens: u64,
    /// Digest of the tokenizer whose ids the model reads.
    pub tokenizer_digest: String,
    /// Vocabulary of that tokenizer.
    pub vocab_size: usize,
    /// Last validation.
    pub validation_bpb: Option<f64>,
}

impl ModelFacts {
    /// The facts of the model in a folder; none for weights that came from elsewhere.
    ///
    /// # Errors
    /// When the file is there but damaged.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FACTS_FILE);
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Checks that a tokenizer is the one the model was trained with.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with both sizes or both digests.
    pub fn check_tokenizer(&self, digest: &str, vocab_size: usize) -> Result<()> {
        let refuse = |what: String| {
            let message =
                format!("the tokenizer does not match the model: {what}; use the model's own tokenizer");
            Err(Error::new(ErrorKind::Config, message))
        };
        if vocab_size != self.vocab_size {
            return refuse(format!("it has {vocab_size} tokens, the model {}", self.vocab_size));
        }
        if digest != self.tokenizer_digest {
            let short = |digest: &str| digest.chars().take(12).collect::<String>();
            return refuse(format!(
                "its digest is {}, the model's {}",
                short(digest),
                short(&self.tokenizer_digest)
            ));
        }
        Ok(())
    }
}

/// Writes all files of a checkpoint into a folder.
///
/// # Errors
/// [`ErrorKind::NotFinite`] when a weight is no number (such a checkpoint would only spread the damage),
/// [`ErrorKind::Io`] when the disk refuses.
pub(crate) fn write(
    dir: &Path,
    model: &Gpt,
    optimizer: &Optimizer,
    state: &LoopState,
    machine: &Machine,
) -> Result<()> {
    for (name, tensor) in model.named_parameters() {
        let finite = tensor.with_f32(|values| values.iter().all(|value| value.is_finite()));
        if !finite.map_err(crate::eval::tensor_error)? {
            let message = format!("{name} holds values that are no numbers; try a lower learning rate");
            return Err(Error::new(ErrorKind::NotFinite, message));
        }
    }
    let io = |e: mynah_nn::Error| Error::new(ErrorKind::Io, e.to_string());
    checkpoint::save_model(dir, model).map_err(io)?;
    checkpoint::save_optimizer(dir, optimizer).map_err(io)?;
    let facts = ModelFacts {
        stage: state.config.stage,
        step: state.step,
        tokens: state.tokens,
        tokenizer_digest: state.config.tokenizer_digest.clone(),
        vocab_size: state.config.model.vocab_size,
        validation_bpb: state.validation_bpb,
    };
    write_json(&dir.join(FACTS_FILE), &facts)?;
    write_json(&dir.join(STATE_FILE), state)?;
    write_json(&dir.join(MACHINE_FILE), machine)?;
    checkpoint::record_files(dir, &[FACTS_FILE, STATE_FILE, MACHINE_FILE]).map_err(io)
}

/// Reads the state of a checkpoint that was checked.
///
/// # Errors
/// [`ErrorKind::Checkpoint`] when a file is not what it should be.
pub(crate) fn read(dir: &Path, step: u64) -> Result<(LoopState, Machine)> {
    let path = dir.join(STATE_FILE);
    let state: LoopState = read_json(&path)?;
    if state.version != LoopState::VERSION || state.step != step {
        let message = format!(
            "{} is of version {}, step {}; expected version {}, step {step}",
            path.display(),
            state.version,
            state.step,
            LoopState::VERSION
        );
        return Err(Error::new(ErrorKind::Checkpoint, message));
    }
    Ok((state, read_json(&dir.join(MACHINE_FILE))?))
}

impl LoopState {
    /// Version of the layout that this code writes.
    pub const VERSION: u32 = 1;
}

/// Loads the optimizer state of a pretrained model, so that fine-tuning starts with its momentum but with
/// the rates of its own run.
pub(crate) fn warm_start(optimizer: &mut Optimizer, dir: &Path) -> Result<()> {
    let fresh: Vec<_> = optimizer.groups().iter().map(|group| (group.base_lr, group.weight_decay)).collect();
    checkpoint::load_optimizer(dir, optimizer).map_err(model_error)?;
    for (group, (base_lr, weight_decay)) in optimizer.groups_mut().iter_mut().zip(fresh) {
        group.base_lr = base_lr;
        group.weight_decay = weight_decay;
    }
    Ok(())
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot write {}: {e}", path.display())))?;
    write_atomic(path, |w| w.write_all(&text)).map_err(|e| Error::io("write", path, &e))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let damaged = |what: String| Error::new(ErrorKind::Checkpoint, format!("{} {what}", path.display()));
    let size = fs::metadata(path).map_err(|e| Error::io("read", path, &e))?.len();
    if size > JSON_BYTES_MAX {
        return Err(damaged(format!("has {size} bytes, too many for a file of ours")));
    }
    let text = fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    serde_json::from_slice(&text).map_err(|e| damaged(format!("is damaged: {e}")))
}
