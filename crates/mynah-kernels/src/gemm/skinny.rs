//! Products with few rows: y = x·Wᵀ for the one to sixteen tokens of a decoding step.
//!
//! There is little to compute and all of W to read, so W is read in place, once, as rows of dot
//! products; packing it would cost more than the product. The few rows of x are copied first, which
//! straightens any layout and applies the map. Each element is one dot product summed in an order that
//! depends on k alone.

use super::blocked::{Shape, Space, Target, with_left_space};
use super::kernel::{Operand, Tile};
use crate::cpu::{self, Isa};
use crate::pool;

/// The most rows this is for. At sixteen, the blocked product has caught up.
pub(super) const ROWS_MAX: usize = 16;

/// Elements of W from which on reading it is shared between threads (some 15 µs of work).
const PARALLEL_MIN: usize = 1 << 17;

/// Columns of c, rows of W, that a task gets at least.
const GRAIN: usize = 32;

/// c = x · b for x (m, k) with m ≤ [`ROWS_MAX`] and b (k, n) whose columns are contiguous
/// (`row_stride` 1) and taken as they are.
///
/// # Safety
/// As [`super::blocked::multiply`].
pub(super) unsafe fn multiply(shape: Shape, x: Operand<f32>, b: Operand<f32>, target: Target<'_, f32>) {
    debug_assert!(shape.m <= ROWS_MAX && b.row_stride == 1);
    let Shape { m, n, k } = shape;
    if m == 0 || n == 0 {
        return;
    }
    with_left_space(|space: &mut Space<f32>| {
        let copy = space.of(m * k);
        for i in 0..m {
            for p in 0..k {
                // SAFETY: (i, p) is inside x and inside the buffer of m · k elements.
                unsafe { *copy.add(i * k + p) = x.map.apply(*x.at(i, p)) };
            }
        }
        let isa = cpu::isa();
        let work = Work { shape, x: copy, w: b.data, w_stride: b.col_stride, target, isa };
        if n * k < PARALLEL_MIN {
            // SAFETY: all columns, one thread.
            unsafe { work.columns(0, n) };
        } else {
            pool::run_ranges(n, GRAIN, |range| {
                let work = &work;
                // SAFETY: ranges are disjoint columns of c.
                unsafe { work.columns(range.start, range.end) };
            });
        }
    });
}

struct Work<'a> {
    shape: Shape,
    x: *const f32,
    w: *const f32,
    w_stride: usize,
    target: Target<'a, f32>,
    isa: Isa,
}

// SAFETY: tasks read x and w, which nothing writes meanwhile, and each writes its own columns of c.
unsafe impl Sync for Work<'_> {}

impl Work<'_> {
    /// Columns `start..end` of c.
    ///
    /// # Safety
    /// As [`multiply`], and no other thread has these columns.
    unsafe fn columns(&self, start: usize, end: usize) {
        let Shape { m, k, .. } = self.shape;
        let finish = self.target.finish(true, true);
        for j in (start..end).step_by(COLUMNS) {
            let cols = (end - j).min(COLUMNS);
            // Columns past the last read it again; their sums are not stored.
            let w = std::array::from_fn(|s| self.w.wrapping_add((j + s.min(cols - 1)) * self.w_stride));
            for i in (0..m).step_by(4) {
                let rows = (m - i).min(4);
                let at = i * self.target.row_stride + j * self.target.col_stride;
                // SAFETY: rows i.. of x and columns j.. of W of k elements; the tile is inside c.
                unsafe {
                    let sums = dots(self.isa, rows, self.x.add(i * k), &w, k);
                    let tile = Tile {
                        c: self.target.c.add(at),
                        other: self.target.store.other().map_or(std::ptr::null(), |o| o.as_ptr().add(at)),
                        row_stride: self.target.row_stride,
                        col_stride: self.target.col_stride,
                        rows,
                        cols,
                        finish,
                    };
                    tile.store_all(sums.as_ptr().cast(), COLUMNS);
                }
            }
        }
    }
}

/// Rows of W taken together.
const COLUMNS: usize = 4;

type Sums = [[f32; COLUMNS]; 4];

/// The dot products of `rows` ≤ 4 rows of x, k apart, with four rows of W.
///
/// # Safety
/// All have k elements; the machine has `isa`.
unsafe fn dots(isa: Isa, rows: usize, x: *const f32, w: &[*const f32; COLUMNS], k: usize) -> Sums {
    // SAFETY: the caller's promise; M = rows.
    unsafe {
        match (isa, rows) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, 1) => x86::dots_avx512::<1>(x, w, k),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, 2) => x86::dots_avx512::<2>(x, w, k),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, 3) => x86::dots_avx512::<3>(x, w, k),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, _) => x86::dots_avx512::<4>(x, w, k),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, _) => x86::dots_avx2(rows, x, w, k),
            _ => dots_any::<4>(rows, x, w, k, |a, b, sum| sum + a * b),
        }
    }
}

/// # Safety
/// As [`dots`].
#[inline(always)]
unsafe fn dots_any<const LANES: usize>(
    rows: usize,
    x: *const f32,
    w: &[*const f32; COLUMNS],
    k: usize,
    mul_add: impl Fn(f32, f32, f32) -> f32,
) -> Sums {
    let mut out = [[0.0; COLUMNS]; 4];
    for (i, out) in out.iter_mut().enumerate().take(rows) {
        let x = x.wrapping_add(i * k);
        let mut sums = [[0.0; LANES]; COLUMNS];
        let whole = k / LANES * LANES;
        for p in (0..whole).step_by(LANES) {
            // SAFETY: p + LANES ≤ k elements of x and of each row of W.
            let x = unsafe { &*x.add(p).cast::<[f32; LANES]>() };
            for (sums, w) in sums.iter_mut().zip(w) {
                // SAFETY: as above.
                let w = unsafe { &*w.add(p).cast::<[f32; LANES]>() };
                for ((sum, &a), &b) in sums.iter_mut().zip(x).zip(w) {
                    *sum = mul_add(a, b, *sum);
                }
            }
        }
        for ((out, sums), w) in out.iter_mut().zip(&sums).zip(w) {
            // SAFETY: p < k.
            let rest = (whole..k).map(|p| unsafe { *x.add(p) * *w.add(p) });
            *out = sums.iter().sum::<f32>() + rest.sum::<f32>();
        }
    }
    out
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{COLUMNS, Sums, dots_any};
    use std::arch::x86_64::*;

    /// # Safety
    /// As [`super::dots`], with AVX2.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn dots_avx2(rows: usize, x: *const f32, w: &[*const f32; COLUMNS], k: usize) -> Sums {
        // SAFETY: the caller's promise.
        unsafe { dots_any::<16>(rows, x, w, k, f32::mul_add) }
    }

    /// Two chains of sums a dot product, for one would leave the ports idle with few rows; four rows have
    /// registers for one only, and need no more.
    ///
    /// # Safety
    /// As [`super::dots`], with AVX-512 and M rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub(super) unsafe fn dots_avx512<const M: usize>(
        x: *const f32,
        w: &[*const f32; COLUMNS],
        k: usize,
    ) -> Sums {
        let mut sums = [[[_mm512_setzero_ps(); COLUMNS]; M]; 2];
        macro_rules! step {
            ($p:expr, $chain:expr, $load:expr) => {{
                let p = $p;
                let w: [__m512; COLUMNS] = [$load(w[0], p), $load(w[1], p), $load(w[2], p), $load(w[3], p)];
                for (i, sums) in sums[$chain].iter_mut().enumerate() {
                    let x = $load(x.wrapping_add(i * k), p);
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = _mm512_fmadd_ps(x, w, *sum);
                    }
                }
            }};
        }
        let second = if M < 4 { 1 } else { 0 };
        let mut p = 0;
        while p + 32 <= k {
            // SAFETY: 32 elements from p on, all inside.
            step!(p, 0, |row: *const f32, p| unsafe { _mm512_loadu_ps(row.add(p)) });
            // SAFETY: as above.
            step!(p + 16, second, |row: *const f32, p| unsafe { _mm512_loadu_ps(row.add(p)) });
            p += 32;
        }
        while p < k {
            let lanes: __mmask16 = if k - p >= 16 { !0 } else { (1 << (k - p)) - 1 };
            // SAFETY: lanes past the last are not read.
            step!(p, 0, |row: *const f32, p| unsafe { _mm512_maskz_loadu_ps(lanes, row.wrapping_add(p)) });
            p += 16;
        }
        let mut out = [[0.0; COLUMNS]; 4];
        for i in 0..M {
            for s in 0..COLUMNS {
                out[i][s] = _mm512_reduce_add_ps(_mm512_add_ps(sums[0][i][s], sums[1][i][s]));
            }
        }
        out
    }
}
