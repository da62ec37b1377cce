//! Which versions may come in: newer ones, or an older one that somebody with the key asks for.

use mynah_trust::dsse::Envelope;
use mynah_trust::keys::{Ed25519SigningKey, Ed25519VerifyingKey};

use super::{Manifest, NAME_BYTES_MAX};
use crate::wire::{Reader, Writer, check_text};
use crate::{Error, Hash, Result};

const ROLLBACK_TYPE: &str = "application/vnd.mynah.weights.rollback";
const ROLLBACK_MAGIC: &[u8; 8] = b"MYNAHWR1";

/// An order to go back: it takes an epoch of its own, so that it cannot be played again later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The model.
    pub model: String,
    /// The epoch of the order, greater than any before.
    pub epoch: u64,
    /// The version to go back to.
    pub target: Hash,
}

impl Rollback {
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer(ROLLBACK_MAGIC.to_vec());
        writer.text(&self.model);
        writer.u64(self.epoch);
        writer.hash(&self.target);
        writer.0
    }

    /// The order in a DSSE envelope (JSON).
    ///
    /// # Errors
    /// `Argument` when the model's name is empty, too long, or has control characters.
    pub fn sign(&self, key: &Ed25519SigningKey) -> Result<String> {
        if self.model.is_empty() || self.model.len() > NAME_BYTES_MAX || check_text(&self.model).is_err() {
            return Err(Error::argument("a rollback names its model, in 1 to 1024 bytes of plain text"));
        }
        let mut envelope = Envelope::new(ROLLBACK_TYPE, self.to_bytes());
        envelope.sign(key, format!("{:?}", key.verifying_key()));
        Ok(envelope.to_json().to_string())
    }

    /// The order in an envelope that this key is shown to have signed.
    ///
    /// # Errors
    /// `Format` when it is malformed, `Signature` when no signature fits, `Unsupported` when something else is
    /// signed there.
    pub fn verify(envelope: &[u8], key: &Ed25519VerifyingKey) -> Result<Self> {
        let envelope = Envelope::parse(envelope)?;
        let mut reader = Reader::new(envelope.verify(ROLLBACK_TYPE, key)?, "the rollback");
        if reader.bytes(8, "the magic")? != ROLLBACK_MAGIC {
            return Err(reader.malformed("does not begin with MYNAHWR1"));
        }
        let rollback = Self {
            model: reader.text(NAME_BYTES_MAX, "the model's name")?,
            epoch: reader.u64("the epoch")?,
            target: reader.hash("the target")?,
        };
        reader.end()?;
        Ok(rollback)
    }
}

/// The highest epoch seen, which a receiver keeps across restarts. Nothing at or below it comes in again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochGuard {
    /// The model that is served.
    pub model: String,
    /// BLAKE3 of its tokenizer; a version that names another is refused.
    pub tokenizer: Option<Hash>,
    /// The highest epoch that was admitted.
    pub highest: u64,
}

impl EpochGuard {
    /// Takes a new version.
    ///
    /// # Errors
    /// `Mismatch` when it belongs to another model or tokenizer, `Stale` when its epoch was passed.
    pub fn admit(&mut self, manifest: &Manifest) -> Result<()> {
        let head = manifest.head();
        self.check_model(&head.model)?;
        if let (Some(ours), Some(theirs)) = (self.tokenizer, head.tokenizer)
            && ours != theirs
        {
            return Err(Error::mismatch(format!(
                "the version is for the tokenizer {}, served is {}; tokens would mean other texts",
                theirs.short(),
                ours.short()
            )));
        }
        self.pass(head.epoch)
    }

    /// Takes an order to go back; it must have been [verified](Rollback::verify).
    ///
    /// # Errors
    /// `Mismatch` when it is for another model, `Stale` when its epoch was passed.
    pub fn admit_rollback(&mut self, rollback: &Rollback) -> Result<()> {
        self.check_model(&rollback.model)?;
        self.pass(rollback.epoch)
    }

    fn check_model(&self, model: &str) -> Result<()> {
        if self.model == model {
            return Ok(());
        }
        Err(Error::mismatch(format!("weights of {model:?}, served is {:?}", self.model)))
    }

    fn pass(&mut self, epoch: u64) -> Result<()> {
        if epoch <= self.highest {
            return Err(Error::stale(format!(
                "epoch {epoch} was passed: the highest seen is {}; to go back, sign a rollback with a new epoch",
                self.highest
            )));
        }
        self.highest = epoch;
        Ok(())
    }
}
