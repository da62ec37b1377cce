//! A loaded model with its tokenizer, as the engine wants to see them.
//!
//! The engine knows no tokenizer, only a trait of texts and ids; this is where ours gets its shape.

use std::path::{Path, PathBuf};

use mynah_engine::{Generator, GptModel, TextCodec, Tool, ToolTokens};
use mynah_nn::Gpt;
use mynah_tokenizer::{Special, Tokenizer};
use mynah_train::ModelFacts;

use crate::failure::{Failure, Result};
use crate::home::{self, ModelFolders};

/// A model ready to generate.
pub struct LoadedModel {
    pub gpt: Gpt,
    pub tokenizer: Tokenizer,
    pub folders: ModelFolders,
}

impl LoadedModel {
    /// Loads what the user names (see [`home::find_model`]) and checks that the two fit together.
    ///
    /// # Errors
    /// When something is absent or damaged, or the tokenizer is another one than the model's.
    pub fn open(model: Option<&Path>, tokenizer: Option<&Path>) -> Result<LoadedModel> {
        let folders = home::find_model(model, tokenizer)?;
        let tokenizer = Tokenizer::load(&folders.tokenizer)?;
        let gpt = load(&folders.model, &tokenizer)?;
        Ok(LoadedModel { gpt, tokenizer, folders })
    }

    /// Where the weights came from.
    pub fn folder(&self) -> &PathBuf {
        &self.folders.model
    }
}

/// Loads a model's weights and checks that a tokenizer is the one it was trained with.
///
/// # Errors
/// When a file is absent, damaged or of another shape, or the tokenizer is another one.
pub fn load(folder: &Path, tokenizer: &Tokenizer) -> Result<Gpt> {
    let gpt = mynah_nn::checkpoint::load_model(folder)?;
    match ModelFacts::load(folder)? {
        Some(facts) => facts.check_tokenizer(&tokenizer.digest(), tokenizer.vocab_size())?,
        // Weights from elsewhere say nothing of their tokenizer but its size.
        None if tokenizer.vocab_size() > gpt.config().vocab_size => {
            return Err(Failure::new(format!(
                "the tokenizer has {} tokens, the model {}",
                tokenizer.vocab_size(),
                gpt.config().vocab_size
            ))
            .at_path(folder)
            .advice("use the model's own tokenizer"));
        }
        None => {}
    }
    Ok(gpt)
}

/// What generation borrows from a model and a tokenizer.
pub struct Voice<'a> {
    gpt: GptModel<'a>,
    codec: Codec<'a>,
}

impl<'a> Voice<'a> {
    pub fn new(gpt: &'a Gpt, tokenizer: &'a Tokenizer) -> Voice<'a> {
        Voice { gpt: GptModel(gpt), codec: Codec(tokenizer) }
    }

    /// A generator that answers calculator calls on the way.
    pub fn generator(&self) -> Generator<'_> {
        let special = |special| self.codec.0.special(special);
        let tokens = ToolTokens {
            call_start: special(Special::PythonStart),
            call_end: special(Special::PythonEnd),
            result_start: special(Special::OutputStart),
            result_end: special(Special::OutputEnd),
        };
        Generator::new(&self.gpt, &self.codec).with_tool(Tool { tokens, run: &crate::calculator::answer })
    }

    /// A generator without tools, for base models.
    pub fn plain_generator(&self) -> Generator<'_> {
        Generator::new(&self.gpt, &self.codec)
    }
}

struct Codec<'a>(&'a Tokenizer);

impl TextCodec for Codec<'_> {
    fn bytes(&self, id: u32) -> &[u8] {
        if self.0.is_special(id) { &[] } else { self.0.token(id).unwrap_or_default() }
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.0.encode_ordinary(text)
    }
}
