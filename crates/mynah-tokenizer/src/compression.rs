//! How well a tokenizer compresses a text.

use crate::Tokenizer;

/// The size of some texts before and after encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// Number of texts.
    pub texts: usize,
    /// Size of the texts.
    pub bytes: u64,
    /// Number of ids they encode to.
    pub tokens: u64,
}

impl Compression {
    /// Bytes of text that one token stands for on average; higher is better. 0 for no tokens.
    pub fn bytes_per_token(&self) -> f64 {
        if self.tokens == 0 { 0.0 } else { self.bytes as f64 / self.tokens as f64 }
    }

    /// The figures of two sets of texts together.
    pub fn plus(self, other: Compression) -> Compression {
        Compression {
            texts: self.texts + other.texts,
            bytes: self.bytes + other.bytes,
            tokens: self.tokens + other.tokens,
        }
    }
}

/// The compression of each text, in order; sum them with [`Compression::plus`].
pub fn compression(tokenizer: &Tokenizer, texts: &[impl AsRef<str> + Sync]) -> Vec<Compression> {
    let encoded = tokenizer.encode_batch(texts);
    let figures = |(text, ids): (&_, &Vec<u32>)| Compression {
        texts: 1,
        bytes: AsRef::<str>::as_ref(text).len() as u64,
        tokens: ids.len() as u64,
    };
    texts.iter().zip(&encoded).map(figures).collect()
}
