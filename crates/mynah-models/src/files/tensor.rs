//! A tensor as it lies in its file, and how its values are widened to f32.

use std::path::Path;

use half::{bf16, f16};
use mynah_kernels::quant::Format;

use crate::error::{Error, Result};
use crate::files::blocks;

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DType {
    F64,
    F32,
    F16,
    BF16,
    U8,
    /// GGUF blocks of 32 or 256 values; see [`blocks`].
    Blocks(blocks::Kind),
    /// Blocks of 32 four-bit floats with their scales in a tensor of their own (OCP MX, GPT-OSS).
    Mxfp4,
    /// Anything else, by the name the file has for it.
    Other(&'static str),
}

impl DType {
    pub(crate) fn from_safetensors(name: &str) -> Self {
        match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::BF16,
            "U8" => Self::U8,
            "I8" => Self::Other("I8"),
            "I16" => Self::Other("I16"),
            "I32" => Self::Other("I32"),
            "I64" => Self::Other("I64"),
            "BOOL" => Self::Other("BOOL"),
            "F8_E4M3" => Self::Other("F8_E4M3"),
            "F8_E5M2" => Self::Other("F8_E5M2"),
            "F8_E8M0" => Self::Other("F8_E8M0"),
            _ => Self::Other("a type unknown here"),
        }
    }

    /// Bytes of a value, for types without blocks.
    pub(crate) fn plain_size(self) -> Option<usize> {
        match self {
            Self::F64 | Self::Other("I64") => Some(8),
            Self::F32 | Self::Other("I32") => Some(4),
            Self::F16 | Self::BF16 | Self::Other("I16") => Some(2),
            Self::U8 | Self::Other("I8" | "BOOL" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0") => Some(1),
            Self::Blocks(_) | Self::Mxfp4 | Self::Other(_) => None,
        }
    }

    /// The format of the kernels that holds exactly these values in the same bytes.
    pub(crate) fn format(self) -> Option<Format> {
        match self {
            Self::F32 => Some(Format::F32),
            Self::F16 => Some(Format::F16),
            Self::BF16 => Some(Format::Bf16),
            Self::Blocks(kind) => Some(kind.format()),
            Self::F64 | Self::U8 | Self::Mxfp4 | Self::Other(_) => None,
        }
    }

    /// The name of the type.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::U8 => "U8",
            Self::Blocks(kind) => kind.name(),
            Self::Mxfp4 => "MXFP4",
            Self::Other(name) => name,
        }
    }
}

/// A tensor in a file.
#[derive(Clone, Debug)]
pub(crate) struct Tensor<'a> {
    pub name: String,
    pub path: &'a Path,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub bytes: &'a [u8],
    /// The scales of [`DType::Mxfp4`], one byte a block.
    pub scales: &'a [u8],
}

impl Tensor<'_> {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Values of a row: the last axis.
    pub(crate) fn row_len(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// An error unless the shape is this one.
    pub(crate) fn expect(&self, shape: &[usize]) -> Result<()> {
        if self.shape == shape {
            return Ok(());
        }
        Err(Error::mismatch(format!(
            "{}: tensor {} has shape {:?}, the configuration needs {shape:?}; the weights belong to another model",
            self.path.display(),
            self.name,
            self.shape
        )))
    }

    /// An error unless values can be read as f32.
    pub(crate) fn expect_floats(&self) -> Result<()> {
        match self.dtype {
            DType::U8 | DType::Other(_) => Err(Error::unsupported(format!(
                "{}: tensor {} has type {}, which is not supported for weights (F32, F16, BF16, F64, GGUF's Q8_0, Q4_0, \
                 Q4_K, Q5_K, Q6_K and GPT-OSS's MXFP4 are); convert the model to BF16",
                self.path.display(),
                self.name,
                self.dtype.name()
            ))),
            DType::Blocks(kind) if !self.row_len().is_multiple_of(kind.values()) => Err(Error::format(
                self.path,
                format!(
                    "tensor {} has rows of {} values, {} needs a multiple of {}",
                    self.name,
                    self.row_len(),
                    kind.name(),
                    kind.values()
                ),
            )),
            DType::Mxfp4 if !self.row_len().is_multiple_of(blocks::MXFP4_VALUES) => Err(Error::format(
                self.path,
                format!(
                    "tensor {} has rows of {} values, MXFP4 needs a multiple of 32",
                    self.name,
                    self.row_len()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Widens row `row` (over all leading axes) into `out`, whose length is the row's.
    /// [`expect_floats`](Self::expect_floats) has been asked before.
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        let len = out.len();
        let plain = |size: usize| &self.bytes[row * len * size..][..len * size];
        match self.dtype {
            DType::F32 => {
                for (out, b) in out.iter_mut().zip(plain(4).as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*b);
                }
            }
            DType::F64 => {
                for (out, b) in out.iter_mut().zip(plain(8).as_chunks::<8>().0) {
                    *out = f64::from_le_bytes(*b) as f32;
                }
            }
            DType::F16 => {
                for (out, b) in out.iter_mut().zip(plain(2).as_chunks::<2>().0) {
                    *out = f16::from_le_bytes(*b).to_f32();
                }
            }
            DType::BF16 => {
                for (out, b) in out.iter_mut().zip(plain(2).as_chunks::<2>().0) {
                    *out = bf16::from_le_bytes(*b).to_f32();
                }
            }
            DType::Blocks(kind) => {
                let size = len / kind.values() * kind.size_bytes();
                kind.read(&self.bytes[row * size..][..size], out);
            }
            DType::Mxfp4 => {
                let count = len / blocks::MXFP4_VALUES;
                let values = &self.bytes[row * count * 16..][..count * 16];
                blocks::read_mxfp4(values, &self.scales[row * count..][..count], out);
            }
            DType::U8 | DType::Other(_) => out.fill(f32::NAN),
        }
    }

    /// All values as f32.
    pub(crate) fn to_f32(&self) -> Result<Vec<f32>> {
        self.expect_floats()?;
        let mut values = vec![0.0; self.len()];
        let row_len = self.row_len();
        if row_len > 0 {
            values.chunks_exact_mut(row_len).enumerate().for_each(|(row, out)| self.read_row(row, out));
        }
        Ok(values)
    }
}
