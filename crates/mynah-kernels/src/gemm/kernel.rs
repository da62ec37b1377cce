//! What the blocked product needs from one instruction set: a tile kernel and two packing routines.
//!
//! Both operands are copied into panels before use. A panel of b is `NR` columns wide, k-major: element
//! (p, j) at `p * NR + j`, short panels padded with zeros. A panel of a has up to `MR` rows in one of
//! two forms, whichever is a plain copy of the source: row-major with the fixed stride [`A_STRIDE`]
//! (element (i, p) at `i * A_STRIDE + p`), or k-major (at `p * MR + i`). Fixed strides are what lets the
//! tile kernel address a whole panel from one pointer; copying (rather than reading a in place) also
//! keeps rows a power of two apart from falling into the same cache set.

use super::matrix::{Map, relu_square_grad};
use crate::float::Float;

/// The longest stretch of the inner dimension handled at once.
///
/// A panel of a (14 × 384 floats, 21 KiB) stays in L1 while panels of b pass by.
pub(super) const K_BLOCK: usize = 384;

/// Distance between rows of a row-major a panel: one cache line more than the longest row, so that
/// rows start in different cache sets.
pub(super) const A_STRIDE: usize = K_BLOCK + 16;

/// An operand as the kernels see it: the start of the data and two strides. The matrix view it was
/// made from has been checked against its slice.
#[derive(Clone, Copy)]
pub(super) struct Operand<T> {
    pub data: *const T,
    pub row_stride: usize,
    pub col_stride: usize,
    pub map: Map,
}

impl<T: Float> Operand<T> {
    /// A pointer to element (i, j).
    ///
    /// # Safety
    /// (i, j) is inside the matrix.
    pub unsafe fn at(&self, i: usize, j: usize) -> *const T {
        // SAFETY: inside the matrix, hence inside the slice.
        unsafe { self.data.add(i * self.row_stride + j * self.col_stride) }
    }

    /// The transposed operand.
    pub fn transposed(self) -> Self {
        Self { row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// Whether panels of this operand, as a, are k-major.
    pub fn k_major(&self) -> bool {
        self.row_stride == 1 && self.col_stride != 1
    }
}

/// Where a tile goes and what is done to it on the way.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    /// Element (0, 0) of the tile in c.
    pub c: *mut T,
    /// The same place in the other matrix of the store, if it has one.
    pub other: *const T,
    pub row_stride: usize,
    pub col_stride: usize,
    pub rows: usize,
    pub cols: usize,
    pub finish: Finish<T>,
}

/// What happens to a tile of sums s of one block of the inner dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finish<T> {
    /// c = s
    Set,
    /// c = c + s
    Accumulate,
    /// v = s, or c + s where `partial`: c holds the sums of the blocks before; c = alpha·v + beta·o
    AddScaled { partial: bool, alpha: T, beta: T },
    /// v as before; c = v · 2·max(o, 0)
    MulReluSquareGrad { partial: bool },
}

impl<T: Float> Tile<T> {
    /// Finishes element (i, j) with sum `s`.
    ///
    /// # Safety
    /// (i, j) is inside the tile, the tile inside c and the other matrix, and this thread alone uses it.
    #[inline(always)]
    pub unsafe fn store(&self, i: usize, j: usize, s: T) {
        let at = i * self.row_stride + j * self.col_stride;
        // SAFETY: the caller's promise.
        unsafe {
            let c = self.c.add(at);
            *c = match self.finish {
                Finish::Set => s,
                Finish::Accumulate => *c + s,
                Finish::AddScaled { partial, alpha, beta } => {
                    let v = if partial { *c + s } else { s };
                    alpha * v + beta * *self.other.add(at)
                }
                Finish::MulReluSquareGrad { partial } => {
                    let v = if partial { *c + s } else { s };
                    v * relu_square_grad(*self.other.add(at))
                }
            };
        }
    }

    /// Finishes the whole tile from sums in memory, row i at `sums + i * stride`.
    ///
    /// # Safety
    /// As [`Tile::store`], and `sums` holds `rows` rows of `cols` elements.
    #[inline(always)]
    pub unsafe fn store_all(&self, sums: *const T, stride: usize) {
        for i in 0..self.rows {
            for j in 0..self.cols {
                // SAFETY: inside the tile and the sums.
                unsafe { self.store(i, j, *sums.add(i * stride + j)) };
            }
        }
    }
}

/// The part of the blocked product that depends on the instruction set and the element type.
///
/// # Safety
/// All functions need the instruction set the implementor is named after. Pointers must cover the
/// panels described at the top of this file; `kc <= K_BLOCK`, rows ≤ MR, cols ≤ NR.
pub(super) trait Kernel {
    type T: Float;
    /// Rows of a tile.
    const MR: usize;
    /// Columns of a tile.
    const NR: usize;

    /// Multiplies panels of a (`tile.rows` rows) and b over `kc` steps and finishes the tile.
    unsafe fn tile(kc: usize, a: *const Self::T, k_major: bool, b: *const Self::T, tile: &Tile<Self::T>);

    /// Copies rows i.. of a (`rows` of them), columns p.. (`kc`), into a panel.
    unsafe fn pack_a(a: &Operand<Self::T>, i: usize, rows: usize, p: usize, kc: usize, panel: *mut Self::T);

    /// Copies rows p.. of b (`kc`), columns j.. (`cols` of them), into a panel.
    unsafe fn pack_b(b: &Operand<Self::T>, p: usize, kc: usize, j: usize, cols: usize, panel: *mut Self::T);
}

/// Elements in a panel of a, in either form, rounded up to cache lines of f32.
pub(super) const fn a_panel_len(mr: usize) -> usize {
    (mr * A_STRIDE).next_multiple_of(16)
}

/// [`Kernel::pack_a`] by element.
///
/// # Safety
/// As [`Kernel::pack_a`].
#[inline(always)]
pub(super) unsafe fn pack_a_any<T: Float, const MR: usize>(
    a: &Operand<T>,
    i: usize,
    rows: usize,
    p: usize,
    kc: usize,
    panel: *mut T,
) {
    let (row_step, k_step) = if a.k_major() { (1, MR) } else { (A_STRIDE, 1) };
    for r in 0..rows {
        for q in 0..kc {
            // SAFETY: r < rows and q < kc keep both places inside.
            unsafe { *panel.add(r * row_step + q * k_step) = a.map.apply(*a.at(i + r, p + q)) };
        }
    }
}

/// [`Kernel::pack_b`] by element.
///
/// # Safety
/// As [`Kernel::pack_b`].
#[inline(always)]
pub(super) unsafe fn pack_b_any<T: Float, const NR: usize>(
    b: &Operand<T>,
    p: usize,
    kc: usize,
    j: usize,
    cols: usize,
    panel: *mut T,
) {
    for q in 0..kc {
        for s in 0..NR {
            // SAFETY: q < kc and s < cols keep the source inside, s < NR the panel.
            unsafe {
                let value = if s < cols { b.map.apply(*b.at(p + q, j + s)) } else { T::ZERO };
                *panel.add(q * NR + s) = value;
            }
        }
    }
}

/// The tile kernel in plain Rust: `MR` × `NR` sums in an array that the compiler keeps in registers.
///
/// # Safety
/// As [`Kernel::tile`].
#[inline(always)]
pub(super) unsafe fn tile_any<T: Float, const MR: usize, const NR: usize>(
    kc: usize,
    a: *const T,
    k_major: bool,
    b: *const T,
    tile: &Tile<T>,
    mul_add: impl Fn(T, T, T) -> T,
) {
    let (row_step, k_step) = if k_major { (1, MR) } else { (A_STRIDE, 1) };
    let mut sums = [[T::ZERO; NR]; MR];
    for p in 0..kc {
        // SAFETY: p < kc rows of the b panel, NR wide.
        let b = unsafe { &*b.add(p * NR).cast::<[T; NR]>() };
        for (i, sums) in sums.iter_mut().enumerate() {
            // Rows past the panel's last (of an earlier panel, still initialised) are not stored below.
            // SAFETY: inside the panel, which has room for MR rows.
            let a = unsafe { *a.add(i * row_step + p * k_step) };
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum = mul_add(a, b, *sum);
            }
        }
    }
    // SAFETY: the caller's promise; the sums are MR × NR.
    unsafe { tile.store_all(sums.as_ptr().cast(), NR) };
}

/// Any machine, through the compiler alone.
pub(super) struct Portable;

impl Kernel for Portable {
    type T = f32;
    const MR: usize = 4;
    const NR: usize = 8;

    unsafe fn tile(kc: usize, a: *const f32, k_major: bool, b: *const f32, tile: &Tile<f32>) {
        // SAFETY: the caller's promise.
        unsafe { tile_any::<f32, 4, 8>(kc, a, k_major, b, tile, |a, b, sum| sum + a * b) }
    }

    unsafe fn pack_a(a: &Operand<f32>, i: usize, rows: usize, p: usize, kc: usize, panel: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { pack_a_any::<f32, 4>(a, i, rows, p, kc, panel) }
    }

    unsafe fn pack_b(b: &Operand<f32>, p: usize, kc: usize, j: usize, cols: usize, panel: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { pack_b_any::<f32, 8>(b, p, kc, j, cols, panel) }
    }
}

/// Any machine, double precision.
pub(super) struct PortableF64;

impl Kernel for PortableF64 {
    type T = f64;
    const MR: usize = 4;
    const NR: usize = 4;

    unsafe fn tile(kc: usize, a: *const f64, k_major: bool, b: *const f64, tile: &Tile<f64>) {
        // SAFETY: the caller's promise.
        unsafe { tile_any::<f64, 4, 4>(kc, a, k_major, b, tile, |a, b, sum| sum + a * b) }
    }

    unsafe fn pack_a(a: &Operand<f64>, i: usize, rows: usize, p: usize, kc: usize, panel: *mut f64) {
        // SAFETY: the caller's promise.
        unsafe { pack_a_any::<f64, 4>(a, i, rows, p, kc, panel) }
    }

    unsafe fn pack_b(b: &Operand<f64>, p: usize, kc: usize, j: usize, cols: usize, panel: *mut f64) {
        // SAFETY: the caller's promise.
        unsafe { pack_b_any::<f64, 4>(b, p, kc, j, cols, panel) }
    }
}
