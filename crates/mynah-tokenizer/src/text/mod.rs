//! One tokenizer type for any model: ours, a `tokenizer.json`, or the vocabulary of a GGUF file.
//!
//! [`TextTokenizer`] has two engines. Byte-level BPE, which most language models use, runs on our own
//! encoder. Everything else (SentencePiece BPE with byte fallback, Unigram, WordPiece, and byte-level BPE
//! with parts our encoder does not have) runs on Hugging Face's `tokenizers`: its ids are the definition,
//! its corner cases are many, and a second copy of them is not what this product exists for. What decides
//! is whether our encoder gives the same ids, never what the file calls itself.
//!
//! Files are hostile. Sizes are bounded before anything is built, `tokenizers` panics where it should
//! refuse, so each call into it is caught and becomes an [`Error`](crate::Error), and its padding and
//! truncation, which would change a text silently, are not taken over from the file.

mod added;
mod byte_level;
mod decoding;
mod file;
mod full;
mod gguf;
mod gguf_splits;
mod template;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use self::byte_level::ByteLevel;
use self::decoding::TokenTable;
use self::file::Parts;
use self::full::Full;
use self::template::Template;
use crate::error::{Error, ErrorKind, Result};
use crate::format;
use crate::special::Special;
use crate::tokenizer::Tokenizer;

pub use decoding::TextStream;
pub use gguf::{GgufTokenType, GgufVocabulary};

/// The tokenizer of any model. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct TextTokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    table: TokenTable,
    added: HashMap<String, u32>,
    template: Template,
}

enum Engine {
    /// Our encoder.
    ByteLevel(ByteLevel),
    /// Hugging Face's.
    Full(Box<Full>),
}

/// Two texts encoded as one input, as cross-encoders and sentence-pair classifiers want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPair {
    /// The ids, with those the model puts around and between the texts.
    pub ids: Vec<u32>,
    /// The segment of each id.
    pub type_ids: Vec<u32>,
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::Format`], [`ErrorKind::Unsupported`] or [`ErrorKind::Pattern`].
    pub fn load_hugging_face(path: &Path) -> Result<Self> {
        Self::from_hugging_face(&format::read_text(path)?).map_err(|error| error.in_file(path))
    }

    /// The tokenizer that the text of a `tokenizer.json` describes.
    ///
    /// # Errors
    /// As [`Self::load_hugging_face`], without I/O.
    pub fn from_hugging_face(json: &str) -> Result<Self> {
        if json.len() as u64 > format::FILE_SIZE_MAX {
            return Err(Error::format(format!("larger than {} bytes", format::FILE_SIZE_MAX)));
        }
        Self::from_parts(Parts::parse(json)?)
    }

    /// The tokenizer of a GGUF file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the lists do not fit together, [`ErrorKind::Unsupported`] for a kind of
    /// model or pre-tokenizer that is not known.
    pub fn from_gguf(vocabulary: GgufVocabulary) -> Result<Self> {
        Self::from_parts(vocabulary.into_parts()?)
    }

    fn from_parts(parts: Parts) -> Result<Self> {
        let template = Template::new(&parts.post_processor)?;
        if let Some(byte_level) = ByteLevel::new(&parts)? {
            let table = byte_level.table(&parts)?;
            let added = parts.added.iter().map(|token| (token.content.clone(), token.id)).collect();
            return Ok(Self::new(Engine::ByteLevel(byte_level), table, added, template));
        }
        let decoder = parts.decoder.clone();
        let full = Full::new(parts)?;
        let table = full.table(&decoder)?;
        let added = full.added_ids();
        Ok(Self::new(Engine::Full(Box::new(full)), table, added, template))
    }

    fn new(engine: Engine, table: TokenTable, added: HashMap<String, u32>, template: Template) -> Self {
        Self { inner: Arc::new(Inner { engine, table, added, template }) }
    }

    /// Number of ids: one more than the largest. A file may leave holes; their tokens have no bytes.
    pub fn vocab_size(&self) -> usize {
        self.inner.table.len()
    }

    /// The bytes that a token adds to a text: byte-level characters, `<0xAB>`, `▁` and the like decoded.
    /// Of a special token its name; nothing for an id outside the vocabulary.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.inner.table.bytes(id)
    }

    /// The bytes of a token that begins a text, special tokens before it not counted. For most models
    /// those of [`Self::bytes`]; Llama 2 and its kin mark a word's beginning by a leading space, of which
    /// the first in a text is not part of it.
    pub fn first_bytes(&self, id: u32) -> Vec<u8> {
        self.inner.table.first_bytes(id)
    }

    /// Whether [`Self::first_bytes`] ever differs from [`Self::bytes`].
    pub fn strips_first_space(&self) -> bool {
        self.inner.table.first_differs()
    }

    /// Whether an id is that of a special token: one that marks structure and is not shown to users.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.table.is_special(id)
    }

    /// The id of an added token, special or not, by its exact text, such as `<|im_start|>`.
    pub fn id_of(&self, added_token: &str) -> Option<u32> {
        self.inner.added.get(added_token).copied()
    }

    /// All added tokens, special or not, with their ids, in no order.
    pub fn added_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        self.inner.added.iter().map(|(name, &id)| (name.as_str(), id))
    }

    /// The ids of text that others wrote. Names of special tokens are text in it; those of added tokens that
    /// are not special (such as a long run of spaces) are recognised, as they are in Hugging Face's
    /// `tokenizers` with `encode_special_tokens`.
    ///
    /// With BPE and WordPiece no special token but the unknown one comes out of it. Unigram models, none of
    /// which chats, look for all their pieces in text, and T5's have `</s>` among them.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the model has no token for something in the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_as(text, true)
    }

    /// The ids of text in which the names of special tokens mean these tokens, such as what a chat
    /// template renders. Nothing is added.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_with_special(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_as(text, false)
    }

    /// As [`Self::encode_with_special`], with what the model wants around a document: Hugging Face's
    /// `encode` with its defaults. For text that others wrote, [`Self::encode`] and
    /// [`Self::add_document_tokens`] give the same without reading special tokens into it.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_document(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.add_document_tokens(&self.encode_with_special(text)?))
    }

    /// Puts what the model wants around a document (a beginning-of-text token and the like) around ids.
    pub fn add_document_tokens(&self, ids: &[u32]) -> Vec<u32> {
        self.inner.template.single(ids)
    }

    /// Two texts as one input, special tokens in them recognised.
    ///
    /// # Errors
    /// As [`Self::encode`], and [`ErrorKind::Unsupported`] when the model does not take pairs.
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<EncodedPair> {
        self.inner.template.pair(&self.encode_with_special(first)?, &self.encode_with_special(second)?)
    }

    fn encode_as(&self, text: &str, literal: bool) -> Result<Vec<u32>> {
        match &self.inner.engine {
            Engine::ByteLevel(byte_level) => byte_level.encode(text, literal),
            Engine::Full(full) => full.encode(text, literal),
        }
    }

    /// The text of the ids, special tokens by their names. What is not valid UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// [`ErrorKind::Id`] for an id outside the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.decode_as(ids, false)
    }

    /// As [`Self::decode`], without special tokens: what a user reads.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_without_special(&self, ids: &[u32]) -> Result<String> {
        self.decode_as(ids, true)
    }

    fn decode_as(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        if let Some(at) = ids.iter().position(|&id| id as usize >= self.vocab_size()) {
            return Err(Error::new(
                ErrorKind::Id,
                format!("id {} at position {at} is outside the vocabulary of {}", ids[at], self.vocab_size()),
            ));
        }
        match &self.inner.engine {
            Engine::Full(full) => full.decode(ids, skip_special),
            Engine::ByteLevel(_) => {
                let shown = ids.iter().filter(|&&id| !(skip_special && self.is_special(id)));
                let bytes: Vec<u8> = shown.flat_map(|&id| self.bytes(id)).copied().collect();
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }

    /// A decoder that takes ids one at a time and never cuts a character.
    pub fn stream(&self) -> TextStream {
        TextStream::new(self.clone())
    }
}

/// Our own tokenizer. A document begins with `<|bos|>`.
impl From<Tokenizer> for TextTokenizer {
    fn from(tokenizer: Tokenizer) -> Self {
        let bos = tokenizer.special(Special::Bos);
        let table = TokenTable::of_bytes(
            (0..tokenizer.vocab_size() as u32)
                .map(|id| (tokenizer.token(id).unwrap_or_default().to_vec(), tokenizer.is_special(id))),
        );
        let byte_level = ByteLevel::of_ours(tokenizer);
        let added = byte_level.added_ids();
        Self::new(Engine::ByteLevel(byte_level), table, added, Template::prefix(bos))
    }
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engine = match &self.inner.engine {
            Engine::ByteLevel(_) => "byte-level BPE",
            Engine::Full(_) => "tokenizers",
        };
        write!(f, "TextTokenizer({engine}, {} ids)", self.vocab_size())
    }
}
