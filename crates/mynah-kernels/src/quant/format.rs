//! The formats that weights come in.

use crate::error::{Error, Result};

/// How the numbers of a row are stored. The block formats are those of ggml, in its byte order (little endian).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// IEEE single precision.
    F32,
    /// The upper half of a single.
    Bf16,
    /// IEEE half precision.
    F16,
    /// Blocks of 32: f16 scale, 32 × int8. 8.5 bits a weight.
    Q8_0,
    /// Blocks of 32: f16 scale, 32 × 4 bits less 8. 4.5 bits a weight.
    Q4_0,
    /// Blocks of 256: f16 scale and minimum of eight 6-bit scales and minima, 4 bits a weight: 4.5 in all.
    Q4K,
    /// As [`Format::Q4K`] with 5 bits a weight: 5.5 in all.
    Q5K,
    /// Blocks of 256: f16 scale of sixteen 8-bit scales, 6 bits a weight: 6.5625 in all.
    Q6K,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 8] = [
        Format::F32,
        Format::Bf16,
        Format::F16,
        Format::Q8_0,
        Format::Q4_0,
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
    ];

    /// Values of a block; 1 for the float formats.
    pub const fn block_len(self) -> usize {
        match self {
            Format::F32 | Format::Bf16 | Format::F16 => 1,
            Format::Q8_0 | Format::Q4_0 => 32,
            Format::Q4K | Format::Q5K | Format::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::Bf16 | Format::F16 => 2,
            Format::Q8_0 => 2 + 32,
            Format::Q4_0 => 2 + 16,
            Format::Q4K => 4 + 12 + 128,
            Format::Q5K => 4 + 12 + 32 + 128,
            Format::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// The name that people use.
    pub const fn name(self) -> &'static str {
        match self {
            Format::F32 => "F32",
            Format::Bf16 => "BF16",
            Format::F16 => "F16",
            Format::Q8_0 => "Q8_0",
            Format::Q4_0 => "Q4_0",
            Format::Q4K => "Q4_K",
            Format::Q5K => "Q5_K",
            Format::Q6K => "Q6_K",
        }
    }

    /// True for F32, BF16 and F16.
    pub const fn is_float(self) -> bool {
        self.block_len() == 1
    }

    /// Bytes of a row of `cols` values.
    ///
    /// # Errors
    /// When blocks do not divide the row, or it is impossibly long.
    pub fn row_bytes(self, cols: usize) -> Result<usize> {
        if cols == 0 || !cols.is_multiple_of(self.block_len()) {
            let (name, len) = (self.name(), self.block_len());
            return Err(Error::shape(format!(
                "a row of {cols} values is not whole blocks of {len} ({name})"
            )));
        }
        (cols / self.block_len())
            .checked_mul(self.block_bytes())
            .ok_or_else(|| Error::shape(format!("a row of {cols} values is too long")))
    }

    /// Bytes of a matrix of rows × cols values, row after row.
    ///
    /// # Errors
    /// As [`Format::row_bytes`].
    pub fn matrix_bytes(self, rows: usize, cols: usize) -> Result<usize> {
        let too_large = || Error::shape(format!("a matrix of {rows} × {cols} values is too large"));
        self.row_bytes(cols)?.checked_mul(rows).ok_or_else(too_large)
    }
}
