//! Products of small matrix tiles that are held in cache: the inner loops of attention.
//!
//! The right operand is packed in strips as wide as the register tile, so that the inner loop reads it in
//! a row. A band mask limits the work: only columns (or depths) that some row of a group may use are
//! computed, in steps of the register tile.

use super::simd::{Simd, kernel};
use std::ops::Range;

/// Column c belongs to row r when `low` ≤ c − r ≤ `high`: every causal or windowed mask, in any tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    pub low: isize,
    pub high: isize,
}

/// No limit to one side of a [`Band`]; far from overflow when a position is added.
pub(crate) const UNLIMITED: isize = isize::MAX / 4;

impl Band {
    /// Columns of `0..cols` that some row of `rows` uses.
    #[inline(always)]
    pub(crate) fn columns(&self, rows: Range<usize>, cols: usize) -> Range<usize> {
        let clip = |at: isize| at.clamp(0, cols as isize) as usize;
        let start = clip(rows.start as isize + self.low);
        start..clip(rows.end as isize + self.high).max(start)
    }

    /// The band seen from a tile whose first row and column are `row` and `col`.
    pub(crate) fn at(&self, row: usize, col: usize) -> Band {
        let shift = row as isize - col as isize;
        Band { low: self.low + shift, high: self.high + shift }
    }

    /// Rows and columns exchanged.
    pub(crate) fn transposed(&self) -> Band {
        Band { low: -self.high, high: -self.low }
    }
}

/// What the band of a product limits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limits<'a> {
    /// Columns of the result, which is overwritten there (in whole vectors) and left alone elsewhere.
    Columns(Band),
    /// The depth summed over; the result is added to, after each row's factor if there are any.
    Depth(Band, Option<&'a [f32]>),
}

/// c = a·b for a tile: a (rows, depth), b (depth, cols) in strips, c (rows, cols).
pub(crate) struct Product<'a> {
    pub rows: usize,
    pub depth: usize,
    pub cols: usize,
    /// Element (i, p) at `i·a_row + p·a_step`.
    pub a: &'a [f32],
    pub a_row: usize,
    pub a_step: usize,
    /// Strip t, columns t·W.., starts at `t·b_strip`; its row p at `p·W`, for W = [`strip_width`].
    pub b: &'a [f32],
    pub b_strip: usize,
    /// Rows `c_row` apart, each with room for whole vectors.
    pub c: &'a mut [f32],
    pub c_row: usize,
    pub limits: Limits<'a>,
}

kernel! {
    /// Columns of a strip: the width of the register tile.
    pub(crate) fn strip_width() -> usize = strip_width_body
}

#[inline(always)]
fn strip_width_body<S: Simd>(_: S) -> usize {
    S::LANES * S::TILE.1
}

kernel! {
    /// Computes a [`Product`].
    pub(crate) fn multiply(product: Product<'_>) = multiply_body
}

#[inline(always)]
fn multiply_body<S: Simd>(s: S, product: Product<'_>) {
    let Product { rows, depth, cols, a, a_row, a_step, b, b_strip, c, c_row, limits } = product;
    if rows == 0 || cols == 0 {
        return;
    }
    let width = S::LANES * S::TILE.1;
    let padded = cols.next_multiple_of(S::LANES);
    assert!(
        depth == 0 || (rows - 1) * a_row + (depth - 1) * a_step < a.len(),
        "tile product: a is too short"
    );
    assert!((cols.div_ceil(width) - 1) * b_strip + depth * width <= b.len(), "tile product: b is too short");
    assert!((rows - 1) * c_row + padded <= c.len(), "tile product: c is too short");
    if let Limits::Depth(_, Some(factors)) = limits {
        assert!(rows <= factors.len(), "tile product: too few factors");
    }
    for strip in 0..cols.div_ceil(width) {
        let vectors = (padded - strip * width).min(width) / S::LANES;
        let mut row = 0;
        while row < rows {
            let group = match rows - row {
                left if left >= S::TILE.0 => S::TILE.0,
                left if left >= 4 => 4,
                left if left >= 2 => 2,
                _ => 1,
            };
            // Vectors of this strip and depths that the group needs.
            let (first, last, deep, factors) = match limits {
                Limits::Columns(band) => {
                    let columns = band.columns(row..row + group, cols);
                    let first = (columns.start / S::LANES).saturating_sub(strip * S::TILE.1);
                    let last = columns.end.div_ceil(S::LANES).saturating_sub(strip * S::TILE.1).min(vectors);
                    (first, if columns.is_empty() { 0 } else { last }, 0..depth, None)
                }
                Limits::Depth(band, factors) => {
                    (0, vectors, band.columns(row..row + group, depth), factors.map(|f| &f[row..]))
                }
            };
            if first < last {
                let micro = Micro {
                    depth: deep.len(),
                    a: a.as_ptr().wrapping_add(row * a_row + deep.start * a_step),
                    a_row,
                    a_step,
                    b: b.as_ptr().wrapping_add(strip * b_strip + deep.start * width + first * S::LANES),
                    c: c.as_mut_ptr().wrapping_add(row * c_row + strip * width + first * S::LANES),
                    c_row,
                    factors,
                    add: matches!(limits, Limits::Depth(..)),
                };
                // SAFETY: rows row..row+group of a and c, depths `deep` and vectors first..last of the
                // strip are inside a, b and c by the assertions above.
                unsafe { micro_of(s, group, last - first, &micro) };
            }
            row += group;
        }
    }
}

/// Arguments of the register tile.
struct Micro<'a> {
    depth: usize,
    a: *const f32,
    a_row: usize,
    a_step: usize,
    b: *const f32,
    c: *mut f32,
    c_row: usize,
    factors: Option<&'a [f32]>,
    add: bool,
}

/// # Safety
/// As [`micro`], for `rows` rows and `vectors` vectors.
#[inline(always)]
unsafe fn micro_of<S: Simd>(s: S, rows: usize, vectors: usize, m: &Micro<'_>) {
    macro_rules! choose {
        ($($r:literal $v:literal),*) => {
            match (rows, vectors) {
                // SAFETY: the caller's promise.
                $(($r, $v) if $r <= S::TILE.0 && $v <= S::TILE.1 => unsafe { micro::<S, $r, $v>(s, m) },)*
                _ => unreachable!("no register tile of {rows} rows and {vectors} vectors"),
            }
        };
    }
    choose!(6 4, 6 3, 6 2, 6 1, 4 4, 4 3, 4 2, 4 1, 2 4, 2 3, 2 2, 2 1, 1 4, 1 3, 1 2, 1 1)
}

/// R rows by V vectors of the result, summed in registers.
///
/// # Safety
/// R rows and `depth` columns of a, `depth` rows of V vectors of b, and R rows of V vectors of c are
/// inside their buffers.
#[inline(always)]
unsafe fn micro<S: Simd, const R: usize, const V: usize>(s: S, m: &Micro<'_>) {
    let width = S::LANES * S::TILE.1;
    let mut sums = [[s.splat(0.0); V]; R];
    if m.add {
        for (i, sums) in sums.iter_mut().enumerate() {
            let factor = m.factors.map_or(1.0, |factors| factors[i]);
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: inside c.
                let old = unsafe { s.load(m.c.add(i * m.c_row + v * S::LANES)) };
                *sum = s.mul(old, s.splat(factor));
            }
        }
    }
    let (mut a, mut b) = (m.a, m.b);
    for _ in 0..m.depth {
        let mut row = [s.splat(0.0); V];
        for (v, row) in row.iter_mut().enumerate() {
            // SAFETY: inside b.
            *row = unsafe { s.load(b.add(v * S::LANES)) };
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: inside a.
            let value = s.splat(unsafe { *a.add(i * m.a_row) });
            for (sum, &row) in sums.iter_mut().zip(&row) {
                *sum = s.mul_add(value, row, *sum);
            }
        }
        a = a.wrapping_add(m.a_step);
        b = b.wrapping_add(width);
    }
    for (i, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: inside c.
            unsafe { s.store(m.c.add(i * m.c_row + v * S::LANES), sum) };
        }
    }
}

kernel! {
    /// Packs rows of `width` values, `stride` apart, as the right operand whose depth is the rows: strips of
    /// columns, zeros beyond the last. `to` holds ceil(width / W) strips of rows·W.
    pub(crate) fn pack_rows(from: &[f32], stride: usize, rows: usize, width: usize, to: &mut [f32]) =
        pack_rows_body
}

#[inline(always)]
fn pack_rows_body<S: Simd>(s: S, from: &[f32], stride: usize, rows: usize, width: usize, to: &mut [f32]) {
    let strip = S::LANES * S::TILE.1;
    for (t, to) in to.chunks_exact_mut((rows * strip).max(1)).enumerate().take(width.div_ceil(strip)) {
        for (row, to) in to.chunks_exact_mut(strip).enumerate() {
            let from = &from[row * stride..][..width];
            for v in 0..S::TILE.1 {
                s.store_at(to, v * S::LANES, s.load_at(from, t * strip + v * S::LANES));
            }
        }
    }
}

kernel! {
    /// Packs rows of `width` values, `stride` apart, transposed: as the right operand whose columns are the
    /// rows, zeros beyond the last. `to` holds ceil(rows / W) strips of width·W.
    pub(crate) fn pack_transposed(from: &[f32], stride: usize, rows: usize, width: usize, to: &mut [f32]) =
        pack_transposed_body
}

#[inline(always)]
fn pack_transposed_body<S: Simd>(
    s: S,
    from: &[f32],
    stride: usize,
    rows: usize,
    width: usize,
    to: &mut [f32],
) {
    let strip = S::LANES * S::TILE.1;
    assert!(rows == 0 || (rows - 1) * stride + width <= from.len(), "pack_transposed: rows are too short");
    for (t, to) in to.chunks_exact_mut((width * strip).max(1)).enumerate().take(rows.div_ceil(strip)) {
        for first in (0..strip).step_by(S::LANES) {
            let row = t * strip + first;
            let have = rows.saturating_sub(row).min(S::LANES);
            let mut col = 0;
            while have == S::LANES && col + S::LANES <= width {
                // SAFETY: LANES rows from `row` on and LANES columns from `col` on exist; the block's
                // last row in `to` is (col + LANES − 1)·strip + first, inside its strip.
                unsafe {
                    let to = to.as_mut_ptr().add(col * strip + first);
                    s.transpose(from.as_ptr().add(row * stride + col), stride, to, strip);
                }
                col += S::LANES;
            }
            for col in col..width {
                for i in 0..S::LANES {
                    to[col * strip + first + i] = if i < have { from[(row + i) * stride + col] } else { 0.0 };
                }
            }
        }
    }
}
