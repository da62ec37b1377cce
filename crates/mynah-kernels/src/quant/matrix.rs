//! The weight matrix: built from the bytes of a file or from floats, read by row.

use super::blocks::{self, GROUP, Group, Kind, Scales};
use super::buffer::Buffer;
use super::format::Format;
use super::layout::{self, FLOAT_ROWS, Layout, ROWS};
use crate::cpu;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{self, Shared};
use half::{bf16, f16};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Weights W of shape (rows N, cols K) for y = x · Wᵀ, laid out for the kernels. One or more parts below each
/// other, each in a format of its own: fused projections are [stacked](Matrix::stack).
#[derive(Debug)]
pub struct Matrix {
    pub(super) parts: Vec<Part>,
    rows: usize,
    cols: usize,
}

/// Rows of one format.
#[derive(Debug)]
pub(super) struct Part {
    pub format: Format,
    pub rows: usize,
    pub cols: usize,
    pub data: Buffer,
}

impl Part {
    /// Rows of a block.
    pub(super) fn block_rows(&self) -> usize {
        if self.format.is_float() { FLOAT_ROWS } else { ROWS }
    }

    /// Bytes of a block.
    pub(super) fn block_bytes(&self) -> usize {
        block_bytes(self.format, self.cols)
    }
}

fn block_bytes(format: Format, cols: usize) -> usize {
    if format.is_float() {
        FLOAT_ROWS * cols * format.block_bytes()
    } else {
        Layout::of(format).block_bytes(cols / GROUP)
    }
}

impl Matrix {
    /// Takes over the row-major bytes of a file: (rows, cols) values in `format`, little endian. The values
    /// stay exactly the same.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when `bytes` are not rows × cols values or blocks do not divide a row,
    /// [`ErrorKind::Memory`] when there is none.
    pub fn from_bytes(format: Format, rows: usize, cols: usize, bytes: &[u8]) -> Result<Self> {
        Self::build(format, format, (rows, cols), bytes, |row| row)
    }

    /// [`Matrix::from_bytes`] with the rows in another order: row i is row `order[i]` of `bytes`. `order` may
    /// be shorter than the matrix (a selection) and may name a row twice.
    ///
    /// # Errors
    /// As [`Matrix::from_bytes`], and [`ErrorKind::Shape`] when `order` names a row that is not there.
    pub fn from_rows(format: Format, cols: usize, bytes: &[u8], order: &[u32]) -> Result<Self> {
        let row_bytes = format.row_bytes(cols)?;
        let there = bytes.len() / row_bytes;
        if let Some(row) = order.iter().find(|&&row| row as usize >= there) {
            return Err(Error::shape(format!("row {row} of {there} was asked for")));
        }
        if !bytes.len().is_multiple_of(row_bytes) {
            let len = bytes.len();
            return Err(Error::shape(format!("{len} bytes are not whole rows of {row_bytes} bytes")));
        }
        let shape = (order.len(), cols);
        Self::build_rows(format, format, shape, bytes, |row| order[row] as usize)
    }

    /// Rounds float weights, row-major bytes in `from` (F32, BF16 or F16), to another format: a float format, Q8_0
    /// or Q4_0.
    ///
    /// # Errors
    /// As [`Matrix::from_bytes`]; [`ErrorKind::Value`] for a weight that is not finite or too large for
    /// the format, naming the row.
    pub fn quantize(from: Format, to: Format, rows: usize, cols: usize, bytes: &[u8]) -> Result<Self> {
        Self::build(from, to, (rows, cols), bytes, |row| row)
    }

    /// [`Matrix::quantize`] of f32 values (rows, cols) in memory.
    ///
    /// # Errors
    /// As [`Matrix::quantize`].
    pub fn from_f32(to: Format, rows: usize, cols: usize, values: &[f32]) -> Result<Self> {
        // SAFETY: any initialised f32 is four initialised bytes, and bytes need no alignment.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        if cfg!(target_endian = "big") {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            return Self::quantize(Format::F32, to, rows, cols, &bytes);
        }
        Self::quantize(Format::F32, to, rows, cols, bytes)
    }

    /// The rows of all pieces below each other as one matrix: one product instead of several (query, key and
    /// value; gate and up). The pieces may differ in format.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when there is no piece or they differ in columns.
    pub fn stack(pieces: Vec<Matrix>) -> Result<Self> {
        let cols = pieces.first().map_or(0, |piece| piece.cols);
        if pieces.is_empty() || pieces.iter().any(|piece| piece.cols != cols) {
            let found: Vec<usize> = pieces.iter().map(|piece| piece.cols).collect();
            return Err(Error::shape(format!("matrices with {found:?} columns do not stack")));
        }
        let rows = pieces.iter().map(|piece| piece.rows).sum();
        Ok(Self { parts: pieces.into_iter().flat_map(|piece| piece.parts).collect(), rows, cols })
    }

    /// Rows, N: values of a result.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, K: values of an input.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The format of the first rows.
    pub fn format(&self) -> Format {
        self.parts[0].format
    }

    /// Memory of the weights: what one product with few rows reads.
    pub fn size_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.data.bytes().len()).sum()
    }

    /// Writes row `i` as f32: an embedding.
    ///
    /// # Panics
    /// If there is no row `i` or `out` is not K values.
    pub fn row(&self, i: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.cols, "a row has {} values", self.cols);
        assert!(i < self.rows, "row {i} of {}", self.rows);
        let mut i = i;
        let mut parts = self.parts.iter();
        let part = parts.find(|part| {
            let here = i < part.rows;
            i -= if here { 0 } else { part.rows };
            here
        });
        let part = part.expect("the rows of the parts are the rows of the matrix");
        let block_rows = part.block_rows();
        let block = &part.data.bytes()[i / block_rows * part.block_bytes()..][..part.block_bytes()];
        let r = i % block_rows;
        if part.format.is_float() {
            for (k, out) in out.iter_mut().enumerate() {
                *out = blocks::float_at(part.format, block, layout::float_index(part.format, r, k));
            }
        } else {
            let kind = Kind::of(part.format);
            for (g, out) in out.chunks_exact_mut(GROUP).enumerate() {
                out.copy_from_slice(&layout::get_group(part.format, block, r, g).values(kind));
            }
        }
    }

    fn build(
        from: Format,
        to: Format,
        (rows, cols): (usize, usize),
        bytes: &[u8],
        source_row: impl Fn(usize) -> usize + Sync,
    ) -> Result<Self> {
        let expected = from.matrix_bytes(rows, cols)?;
        if bytes.len() != expected {
            let (len, name) = (bytes.len(), from.name());
            let message =
                format!("{rows} × {cols} weights in {name} are {expected} bytes, but there are {len}");
            return Err(Error::shape(message));
        }
        Self::build_rows(from, to, (rows, cols), bytes, source_row)
    }

    fn build_rows(
        from: Format,
        to: Format,
        (rows, cols): (usize, usize),
        bytes: &[u8],
        source_row: impl Fn(usize) -> usize + Sync,
    ) -> Result<Self> {
        if rows == 0 {
            return Err(Error::shape("a matrix of 0 rows"));
        }
        if from != to && (!from.is_float() || to.block_len() > GROUP) {
            let (from, to) = (from.name(), to.name());
            return Err(Error::shape(format!("cannot turn {from} weights into {to}")));
        }
        to.row_bytes(cols)?;
        let row_bytes = from.row_bytes(cols)?;
        let block_len = if to.is_float() { FLOAT_ROWS } else { ROWS };
        let block_bytes = block_bytes(to, cols);
        let too_large = || Error::shape(format!("a matrix of {rows} × {cols} values is too large"));
        let len = rows.div_ceil(block_len).checked_mul(block_bytes).ok_or_else(too_large)?;
        let mut data = Buffer::zeroed(len)?;
        let failure = Mutex::new(None);
        let target = Shared::new(data.bytes_mut());
        pool::run_ranges(rows.div_ceil(block_len), 1, |range| {
            for block in range {
                // SAFETY: each block is in one range only.
                let target = unsafe { target.slice(block * block_bytes..(block + 1) * block_bytes) };
                let block_rows = block_len.min(rows - block * block_len);
                // Some columns of all rows at a time: the lines they share stay in the cache.
                for first in (0..cols).step_by(COLUMNS) {
                    let columns = first..(first + COLUMNS).min(cols);
                    for r in 0..block_rows {
                        let row = source_row(block * block_len + r);
                        let values = &bytes[row * row_bytes..][..row_bytes];
                        if let Err(reason) = put_columns(from, to, values, target, r, columns.clone()) {
                            let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                            // The first row that fails, whichever thread is faster.
                            if failure.as_ref().is_none_or(|&(other, _)| row < other) {
                                *failure = Some((row, reason));
                            }
                        }
                    }
                }
            }
        });
        if let Some((row, reason)) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let message = format!("weights of row {row} cannot be {}: {reason}", to.name());
            return Err(Error::new(ErrorKind::Value, message));
        }
        Ok(Self { parts: vec![Part { format: to, rows, cols, data }], rows, cols })
    }
}

/// Columns that are laid out together: whole groups.
const COLUMNS: usize = 256;

/// Why weights cannot be in a format.
type Put = std::result::Result<(), &'static str>;

/// Puts some columns of a row of a file into their places in a block.
fn put_columns(
    from: Format,
    to: Format,
    row: &[u8],
    block: &mut [u8],
    r: usize,
    columns: Range<usize>,
) -> Put {
    // The same code with wider vectors: rounding a model to 8 or 4 bits is most of its loading time.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn avx2(from: Format, to: Format, row: &[u8], block: &mut [u8], r: usize, columns: Range<usize>) -> Put {
        put_columns_body(from, to, row, block, r, columns)
    }
    match cpu::isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `isa` never names more than the processor has.
        cpu::Isa::Avx2 | cpu::Isa::Avx512 => unsafe { avx2(from, to, row, block, r, columns) },
        _ => put_columns_body(from, to, row, block, r, columns),
    }
}

#[inline(always)]
fn put_columns_body(
    from: Format,
    to: Format,
    row: &[u8],
    block: &mut [u8],
    r: usize,
    columns: Range<usize>,
) -> Put {
    if !from.is_float() {
        for g in columns.start / GROUP..columns.end / GROUP {
            layout::put_group(to, block, r, g, &blocks::group(to, row, g));
        }
        return Ok(());
    }
    let size = from.block_bytes();
    let bytes = &row[columns.start * size..columns.end * size];
    let first = layout::float_index(to, r, columns.start);
    if from == to && size == 2 {
        let places = block.as_chunks_mut::<2>().0[first..].iter_mut().step_by(FLOAT_ROWS);
        places.zip(bytes.as_chunks::<2>().0).for_each(|(place, value)| *place = *value);
        return Ok(());
    }
    let mut values = [0.0; COLUMNS];
    let values = &mut values[..columns.len()];
    blocks::row_values(from, bytes, values);
    match to {
        Format::F32 => {
            let places = block.as_chunks_mut::<4>().0[first..].iter_mut().step_by(FLOAT_ROWS);
            places.zip(values).for_each(|(place, value)| *place = value.to_le_bytes());
        }
        Format::Bf16 | Format::F16 => {
            let places = block.as_chunks_mut::<2>().0[first..].iter_mut().step_by(FLOAT_ROWS);
            for (place, value) in places.zip(values) {
                *place = if to == Format::Bf16 {
                    bf16::from_f32(*value).to_le_bytes()
                } else {
                    let half = f16::from_f32(*value);
                    if value.is_finite() && !half.is_finite() {
                        return Err("a value is beyond 65504");
                    }
                    half.to_le_bytes()
                };
            }
        }
        _ => {
            for (g, values) in values.as_chunks::<GROUP>().0.iter().enumerate() {
                let group = quantise_weights(to, values)?;
                layout::put_group(to, block, r, columns.start / GROUP + g, &group);
            }
        }
    }
    Ok(())
}

/// The codes and scale of 32 weights. The scale is rounded to f16 first and the codes are the nearest for
/// the rounded one.
#[inline(always)]
fn quantise_weights(to: Format, x: &[f32; GROUP]) -> std::result::Result<Group, &'static str> {
    // On the bits: NaN and infinity are the greatest, and the loop becomes vector code.
    let mut greatest = 0;
    for x in x {
        greatest = greatest.max(x.to_bits() & 0x7fff_ffff);
    }
    let greatest = f32::from_bits(greatest);
    if !greatest.is_finite() {
        return Err("a value is not finite");
    }
    // Q4_0 has one more step below zero than above: the greatest value gets code 0, that is −8.
    let (d, low, high) = match to {
        Format::Q4_0 => {
            let negative = x.iter().find(|x| x.abs() == greatest).is_some_and(|x| *x < 0.0);
            (if negative { greatest / 8.0 } else { greatest / -8.0 }, -8, 7)
        }
        _ => (greatest / 127.0, -127, 127),
    };
    let d = f16::from_f32(d);
    if !d.is_finite() {
        return Err("a value is too large for its scale");
    }
    let step = d.to_f32();
    let offset = Kind::of(to).offset();
    let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
    let mut codes = [0; GROUP];
    for (code, x) in codes.iter_mut().zip(x) {
        // Adding 1.5·2²³ leaves no room for a fraction: rounding to even without a call.
        const MAGIC: f32 = 12_582_912.0;
        let rounded = (x * inverse + MAGIC) - MAGIC;
        // SAFETY: a finite number of at most some 200, for the scale is that of the greatest value, or of the
        // least f16 where that is more.
        let rounded = unsafe { rounded.to_int_unchecked::<i32>() };
        *code = (rounded.clamp(low, high) + offset) as u8;
    }
    Ok(Group { codes, scales: Scales::One(d) })
}
