//! Models with random weights: for measurements that need a model's size and shape but no knowledge.
//!
//! Such a model is one GGUF file in the shape of Llama with a vocabulary of syllables, so that its nonsense can be
//! read, and a chat template. The same shape and format give the same bytes on every machine. The codes of block formats
//! are drawn as they are, not rounded from floats: the file is written as fast as the disk takes it.

use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use mynah_base::{Rng, write_atomic};

use crate::error::{Error, Result};
use crate::options::Quantize;

/// The size of a model with random weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomShape {
    /// What people call it.
    pub name: &'static str,
    /// Width of the residual stream; heads have 64 channels.
    pub width: usize,
    /// Channels of the feed-forward part.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Tokens, at least 496.
    pub vocabulary: usize,
}

/// The shapes by name, from the smallest on. `0.5b` takes about 500 MB in 8 bits a weight.
pub const RANDOM_SHAPES: &[RandomShape] = &[
    RandomShape { name: "tiny", width: 128, hidden: 384, layers: 1, kv_heads: 2, vocabulary: 512 },
    RandomShape { name: "0.1b", width: 768, hidden: 2048, layers: 12, kv_heads: 12, vocabulary: 16_000 },
    RandomShape { name: "0.35b", width: 1024, hidden: 2816, layers: 24, kv_heads: 16, vocabulary: 32_000 },
    RandomShape { name: "0.5b", width: 1280, hidden: 3456, layers: 24, kv_heads: 5, vocabulary: 32_000 },
    RandomShape { name: "1b", width: 2048, hidden: 5632, layers: 20, kv_heads: 8, vocabulary: 32_000 },
];

/// Channels of a head.
const HEAD_DIM: usize = 64;
/// Longest sequence.
const CONTEXT: usize = 4096;
/// GGUF places tensors at multiples of this.
const ALIGNMENT: u64 = 32;
/// Values of a block of Q8_0 and Q4_0.
const BLOCK: usize = 32;

impl RandomShape {
    /// The shape of this name.
    pub fn named(name: &str) -> Option<&'static RandomShape> {
        RANDOM_SHAPES.iter().find(|shape| shape.name == name)
    }

    /// Weights in all matrices.
    pub fn parameters(&self) -> u64 {
        self.tensors().iter().filter(|tensor| !tensor.is_norm()).map(|t| (t.rows * t.cols) as u64).sum()
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (width, key_width) = (self.width, self.kv_heads * HEAD_DIM);
        let matrix = |name: &str, rows, cols| Tensor { name: name.to_string(), rows, cols };
        let mut tensors = vec![
            matrix("token_embd.weight", self.vocabulary, width),
            matrix("output_norm.weight", 1, width),
            matrix("output.weight", self.vocabulary, width),
        ];
        for layer in 0..self.layers {
            let parts = [
                ("attn_norm", 1, width),
                ("attn_q", width, width),
                ("attn_k", key_width, width),
                ("attn_v", key_width, width),
                ("attn_output", width, width),
                ("ffn_norm", 1, width),
                ("ffn_gate", self.hidden, width),
                ("ffn_up", self.hidden, width),
                ("ffn_down", width, self.hidden),
            ];
            let named = |(name, rows, cols)| matrix(&format!("blk.{layer}.{name}.weight"), rows, cols);
            tensors.extend(parts.map(named));
        }
        tensors
    }
}

struct Tensor {
    name: String,
    rows: usize,
    cols: usize,
}

impl Tensor {
    /// A gain, all ones in F32.
    fn is_norm(&self) -> bool {
        self.name.ends_with("_norm.weight")
    }
}

/// How matrices are stored.
#[derive(Clone, Copy)]
enum Stored {
    Bf16,
    Q8,
    Q4,
}

impl Stored {
    /// ggml's number of the type.
    fn number(self) -> u32 {
        match self {
            Stored::Bf16 => 30,
            Stored::Q8 => 8,
            Stored::Q4 => 2,
        }
    }

    fn row_bytes(self, cols: usize) -> usize {
        match self {
            Stored::Bf16 => 2 * cols,
            Stored::Q8 => cols / BLOCK * (2 + BLOCK),
            Stored::Q4 => cols / BLOCK * (2 + BLOCK / 2),
        }
    }

    /// A row with a variance of 1/cols.
    fn row(self, cols: usize, random: &mut Rng, out: &mut Vec<u8>) {
        out.clear();
        // Bytes drawn evenly from −128 to 127 deviate by 74 on average, four bits from −8 to 7 by 4.6.
        let scale = |deviation: f64| 1.0 / (deviation * (cols as f64).sqrt());
        match self {
            Stored::Bf16 => {
                let scale = scale(73.9) as f32;
                for _ in 0..cols / 8 {
                    let values = random.next_u64().to_le_bytes();
                    out.extend(values.iter().flat_map(|&byte| {
                        bf16::from_f32((f32::from(byte as i8) + 0.5) * scale).to_le_bytes()
                    }));
                }
            }
            Stored::Q8 | Stored::Q4 => {
                let (deviation, words) = if matches!(self, Stored::Q8) { (73.9, 4) } else { (4.61, 2) };
                let scale = f16::from_f64(scale(deviation)).to_le_bytes();
                for _ in 0..cols / BLOCK {
                    out.extend(scale);
                    (0..words).for_each(|_| out.extend(random.next_u64().to_le_bytes()));
                }
            }
        }
    }
}

/// Writes a model of this shape as a GGUF file: matrices in BF16, Q8_0 or Q4_0 (all of them, the head too), gains of 1.
///
/// # Errors
/// When the file cannot be written; there is no part of it then.
pub fn write_random_model(path: &Path, shape: &RandomShape, quantize: Option<Quantize>) -> Result<()> {
    let stored = match quantize {
        None => Stored::Bf16,
        Some(Quantize::Q8) => Stored::Q8,
        Some(Quantize::Q4) => Stored::Q4,
    };
    let tensors = shape.tensors();
    write_atomic(path, |file| write(file, shape, &tensors, stored))
        .map_err(|error| Error::io(path, "write it", error))
}

fn write(file: &mut impl Write, shape: &RandomShape, tensors: &[Tensor], stored: Stored) -> io::Result<()> {
    let mut header = Header::default();
    metadata(&mut header, shape);
    let mut offset = 0u64;
    for tensor in tensors {
        header.tensor(tensor, if tensor.is_norm() { 0 } else { stored.number() }, offset);
        offset = (offset + size_bytes(tensor, stored)).next_multiple_of(ALIGNMENT);
    }
    let head = header.bytes(tensors.len() as u64);
    file.write_all(&head)?;
    pad(file, head.len() as u64)?;
    let mut row = Vec::new();
    for (number, tensor) in tensors.iter().enumerate() {
        let mut random = Rng::for_item(0, number as u64);
        for _ in 0..tensor.rows {
            if tensor.is_norm() {
                row = 1f32.to_le_bytes().repeat(tensor.cols);
            } else {
                stored.row(tensor.cols, &mut random, &mut row);
            }
            file.write_all(&row)?;
        }
        pad(file, size_bytes(tensor, stored))?;
    }
    Ok(())
}

fn size_bytes(tensor: &Tensor, stored: Stored) -> u64 {
    let row = if tensor.is_norm() { 4 * tensor.cols } else { stored.row_bytes(tensor.cols) };
    (tensor.rows * row) as u64
}

fn pad(file: &mut impl Write, len: u64) -> io::Result<()> {
    let missing = (len.next_multiple_of(ALIGNMENT) - len) as usize;
    file.write_all(&[0; ALIGNMENT as usize][..missing])
}

const TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n\
                        {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

fn metadata(header: &mut Header, shape: &RandomShape) {
    header.text("general.architecture", "llama");
    header.text("general.name", &format!("random-{}", shape.name));
    let counts = [
        ("context_length", CONTEXT),
        ("embedding_length", shape.width),
        ("block_count", shape.layers),
        ("feed_forward_length", shape.hidden),
        ("attention.head_count", shape.width / HEAD_DIM),
        ("attention.head_count_kv", shape.kv_heads),
        ("rope.dimension_count", HEAD_DIM),
        ("vocab_size", shape.vocabulary),
    ];
    for (key, count) in counts {
        header.count(&format!("llama.{key}"), count as u32);
    }
    header.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    header.float("llama.rope.freq_base", 10_000.0);
    header.text("tokenizer.ggml.model", "llama");
    let words = vocabulary(shape.vocabulary);
    header.list("tokenizer.ggml.tokens", 8, words.len(), |bytes| {
        words.iter().for_each(|word| put_text(bytes, word));
    });
    // Earlier merges win.
    header.list("tokenizer.ggml.scores", 6, words.len(), |bytes| {
        (0..words.len()).for_each(|i| bytes.extend((-(i as f32)).to_le_bytes()));
    });
    header.list("tokenizer.ggml.token_type", 5, words.len(), |bytes| {
        // Unknown, control, bytes, and words.
        let kind = |i: usize| match i {
            0 => 2i32,
            1 | 2 => 3,
            _ if i < 3 + 256 => 6,
            _ => 1,
        };
        (0..words.len()).for_each(|i| bytes.extend(kind(i).to_le_bytes()));
    });
    header.count("tokenizer.ggml.unknown_token_id", 0);
    header.count("tokenizer.ggml.bos_token_id", 1);
    header.count("tokenizer.ggml.eos_token_id", 2);
    header.flag("tokenizer.ggml.add_bos_token", true);
    header.text("tokenizer.chat_template", TEMPLATE);
}

const VOWELS: &str = "aeiou";
const CONSONANTS: &str = "bcdfghjklmnpqrstvwxyz";

/// Specials, bytes, letters, syllables with and without a space before them, then words of two and of three syllables.
fn vocabulary(size: usize) -> Vec<String> {
    let mut words: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).into();
    words.extend((0..=255).map(|byte: u8| format!("<0x{byte:02X}>")));
    words.push("▁".to_string());
    words.extend(('a'..='z').map(String::from));
    let syllables: Vec<String> =
        CONSONANTS.chars().flat_map(|c| VOWELS.chars().map(move |v| format!("{c}{v}"))).collect();
    words.extend(syllables.iter().cloned());
    words.extend(syllables.iter().map(|syllable| format!("▁{syllable}")));
    let pairs = || syllables.iter().flat_map(|a| syllables.iter().map(move |b| format!("{a}{b}")));
    let longer = pairs()
        .flat_map(|pair| [format!("▁{pair}"), pair])
        .chain(pairs().flat_map(|pair| syllables.iter().map(move |c| format!("▁{pair}{c}"))));
    let missing = size.saturating_sub(words.len());
    words.extend(longer.take(missing));
    words
}

/// The head of a GGUF file in the making.
#[derive(Default)]
struct Header {
    values: Vec<u8>,
    value_count: u64,
    tensors: Vec<u8>,
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

impl Header {
    fn value(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        self.value_count += 1;
        put_text(&mut self.values, key);
        self.values.extend(kind.to_le_bytes());
        &mut self.values
    }

    fn count(&mut self, key: &str, count: u32) {
        self.value(key, 4).extend(count.to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.value(key, 6).extend(value.to_le_bytes());
    }

    fn flag(&mut self, key: &str, flag: bool) {
        self.value(key, 7).push(u8::from(flag));
    }

    fn text(&mut self, key: &str, text: &str) {
        put_text(self.value(key, 8), text);
    }

    /// A list of values of one kind, which `put` writes.
    fn list(&mut self, key: &str, kind: u32, len: usize, put: impl FnOnce(&mut Vec<u8>)) {
        let bytes = self.value(key, 9);
        bytes.extend(kind.to_le_bytes());
        bytes.extend((len as u64).to_le_bytes());
        put(bytes);
    }

    fn tensor(&mut self, tensor: &Tensor, kind: u32, offset: u64) {
        put_text(&mut self.tensors, &tensor.name);
        // The innermost dimension comes first.
        let dimensions = if tensor.is_norm() { vec![tensor.cols] } else { vec![tensor.cols, tensor.rows] };
        self.tensors.extend((dimensions.len() as u32).to_le_bytes());
        dimensions.iter().for_each(|&d| self.tensors.extend((d as u64).to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
    }

    fn bytes(self, tensor_count: u64) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend(tensor_count.to_le_bytes());
        bytes.extend(self.value_count.to_le_bytes());
        bytes.extend(self.values);
        bytes.extend(self.tensors);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, LoadOptions, Logits, Segment};

    /// Specials, bytes, letters and syllables.
    const VOCABULARY_MIN: usize = 3 + 256 + 27 + 2 * 105;

    #[test]
    fn shapes_are_sound() {
        for shape in RANDOM_SHAPES {
            assert!(shape.width.is_multiple_of(HEAD_DIM) && shape.hidden.is_multiple_of(BLOCK), "{shape:?}");
            assert!((shape.width / HEAD_DIM).is_multiple_of(shape.kv_heads), "{shape:?}");
            assert!(shape.vocabulary >= VOCABULARY_MIN, "{shape:?}");
            let words = vocabulary(shape.vocabulary);
            let mut different = words.clone();
            different.sort_unstable();
            different.dedup();
            assert_eq!((words.len(), different.len()), (shape.vocabulary, shape.vocabulary));
        }
        assert_eq!(RandomShape::named("0.35b").map(RandomShape::parameters), Some(373_817_344));
    }

    /// Each format loads, runs, and is the same when it is written again.
    #[test]
    fn models_run() {
        let folder = tempfile::tempdir().unwrap();
        let shape = RandomShape::named("tiny").unwrap();
        for quantize in [None, Some(Quantize::Q8), Some(Quantize::Q4)] {
            let path = folder.path().join("model.gguf");
            write_random_model(&path, shape, quantize).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            write_random_model(&path, shape, quantize).unwrap();
            assert!(bytes == std::fs::read(&path).unwrap());
            let mut decoder = Decoder::open(path.to_str().unwrap(), &LoadOptions::default()).unwrap();
            let tokens = [1, 300, 400];
            let segment = Segment {
                tokens: &tokens,
                start: 0,
                pages: &[0],
                slot: 0,
                weights: 0,
                adapter: None,
                logits: Logits::Last,
            };
            let mut logits = Vec::new();
            decoder.step(&[segment], &mut logits).unwrap();
            assert_eq!(logits.len(), 512);
            let square = logits.iter().map(|z| z * z).sum::<f32>() / 512.0;
            assert!((0.5..2.0).contains(&square), "{quantize:?}: {square}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/model.gguf");
        let error = write_random_model(&path, &RANDOM_SHAPES[0], None).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }
}
