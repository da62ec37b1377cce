//! AVX2 and FMA: tiles of 6 × 16, that is 12 registers of sums, two of b and one for a.

use super::kernel::{A_STRIDE, Finish, Kernel, Operand, Tile, pack_a_any, pack_b_any, tile_any};
use super::matrix::Map;
use std::arch::x86_64::*;

const MR: usize = 6;
const NR: usize = 16;

pub(super) struct Avx2;

impl Kernel for Avx2 {
    type T = f32;
    const MR: usize = MR;
    const NR: usize = NR;

    unsafe fn tile(kc: usize, a: *const f32, k_major: bool, b: *const f32, tile: &Tile<f32>) {
        macro_rules! rows {
            ($($rows:literal)*) => {
                match (tile.rows, k_major) {
                    $(
                        // SAFETY: the caller's promise; the row count matches.
                        ($rows, false) => unsafe { sums::<$rows, A_STRIDE, 1>(kc, a, b, tile) },
                        // SAFETY: as above.
                        ($rows, true) => unsafe { sums::<$rows, 1, MR>(kc, a, b, tile) },
                    )*
                    _ => unreachable!("a tile of {} rows", tile.rows),
                }
            };
        }
        rows!(1 2 3 4 5 6)
    }

    unsafe fn pack_a(a: &Operand<f32>, i: usize, rows: usize, p: usize, kc: usize, panel: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { pack_a(a, i, rows, p, kc, panel) }
    }

    unsafe fn pack_b(b: &Operand<f32>, p: usize, kc: usize, j: usize, cols: usize, panel: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { pack_b(b, p, kc, j, cols, panel) }
    }
}

/// The tile kernel for `M` rows of a, element (i, p) of the panel at `i * RS + p * KS`.
///
/// # Safety
/// As [`Kernel::tile`], with `tile.rows == M`.
#[target_feature(enable = "avx2,fma")]
unsafe fn sums<const M: usize, const RS: usize, const KS: usize>(
    kc: usize,
    mut a: *const f32,
    mut b: *const f32,
    tile: &Tile<f32>,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    // A macro, not a closure: a closure that is not inlined would keep the sums in memory.
    macro_rules! step {
        ($u:literal) => {
            // SAFETY: the step is inside both panels.
            unsafe {
                let b0 = _mm256_loadu_ps(b.add($u * NR));
                let b1 = _mm256_loadu_ps(b.add($u * NR + 8));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let a = _mm256_set1_ps(*a.add(i * RS + $u * KS));
                    sums[0] = _mm256_fmadd_ps(a, b0, sums[0]);
                    sums[1] = _mm256_fmadd_ps(a, b1, sums[1]);
                }
            }
        };
    }
    for _ in 0..kc / 4 {
        step!(0);
        step!(1);
        step!(2);
        step!(3);
        (a, b) = (a.wrapping_add(4 * KS), b.wrapping_add(4 * NR));
    }
    for _ in 0..kc % 4 {
        step!(0);
        (a, b) = (a.wrapping_add(KS), b.wrapping_add(NR));
    }
    if tile.col_stride != 1 || tile.cols != NR {
        let sums = sums; // A copy: only this one needs an address.
        // SAFETY: the sums are M × NR, tile.rows == M and tile.cols ≤ NR.
        unsafe { tile.store_all(sums.as_ptr().cast(), NR) };
        return;
    }
    for (i, row) in sums.iter().enumerate() {
        for (half, &s) in row.iter().enumerate() {
            let at = i * tile.row_stride + 8 * half;
            let c = tile.c.wrapping_add(at);
            // SAFETY: the whole tile of M rows and NR columns is inside c and the other matrix.
            unsafe {
                let v = match tile.finish {
                    Finish::Set => s,
                    Finish::Accumulate => _mm256_add_ps(_mm256_loadu_ps(c), s),
                    Finish::AddScaled { partial, alpha, beta } => {
                        let v = if partial { _mm256_add_ps(_mm256_loadu_ps(c), s) } else { s };
                        let other = _mm256_loadu_ps(tile.other.wrapping_add(at));
                        let other = _mm256_mul_ps(_mm256_set1_ps(beta), other);
                        _mm256_fmadd_ps(_mm256_set1_ps(alpha), v, other)
                    }
                    Finish::MulReluSquareGrad { partial } => {
                        let v = if partial { _mm256_add_ps(_mm256_loadu_ps(c), s) } else { s };
                        let other = positive(_mm256_loadu_ps(tile.other.wrapping_add(at)));
                        _mm256_mul_ps(v, _mm256_add_ps(other, other))
                    }
                };
                _mm256_storeu_ps(c, v);
            }
        }
    }
}

/// max(x, 0), NaN where x is NaN (the maximum instruction gives its second operand then).
#[inline]
#[target_feature(enable = "avx2")]
fn positive(x: __m256) -> __m256 {
    _mm256_max_ps(_mm256_setzero_ps(), x)
}

#[inline]
#[target_feature(enable = "avx2")]
fn mapped(map: Map, x: __m256) -> __m256 {
    match map {
        Map::Identity => x,
        Map::ReluSquare => {
            let x = positive(x);
            _mm256_mul_ps(x, x)
        }
    }
}

/// # Safety
/// As [`Kernel::pack_a`].
#[target_feature(enable = "avx2,fma")]
unsafe fn pack_a(a: &Operand<f32>, i: usize, rows: usize, p: usize, kc: usize, panel: *mut f32) {
    if a.k_major() || a.col_stride != 1 {
        // SAFETY: the caller's promise.
        return unsafe { pack_a_any::<f32, MR>(a, i, rows, p, kc, panel) };
    }
    for r in 0..rows {
        for q in (0..kc).step_by(8) {
            // SAFETY: up to kc elements of row i + r, inside a and inside the panel.
            unsafe {
                let (row, out) = (a.at(i + r, p + q), panel.add(r * A_STRIDE + q));
                if q + 8 <= kc {
                    _mm256_storeu_ps(out, mapped(a.map, _mm256_loadu_ps(row)));
                } else {
                    (0..kc - q).for_each(|s| *out.add(s) = a.map.apply(*row.add(s)));
                }
            }
        }
    }
}

/// # Safety
/// As [`Kernel::pack_b`].
#[target_feature(enable = "avx2,fma")]
unsafe fn pack_b(b: &Operand<f32>, p: usize, kc: usize, j: usize, cols: usize, panel: *mut f32) {
    if b.col_stride == 1 && cols == NR {
        for q in 0..kc {
            // SAFETY: NR elements of row p + q.
            unsafe {
                let (row, out) = (b.at(p + q, j), panel.add(q * NR));
                _mm256_storeu_ps(out, mapped(b.map, _mm256_loadu_ps(row)));
                _mm256_storeu_ps(out.add(8), mapped(b.map, _mm256_loadu_ps(row.add(8))));
            }
        }
    } else if b.row_stride == 1 && cols == NR {
        let whole = kc / 8 * 8;
        for half in [0, 8] {
            for q in (0..whole).step_by(8) {
                // SAFETY: eight columns of eight elements; the panel has kc rows of NR.
                unsafe {
                    let mut block = [_mm256_setzero_ps(); 8];
                    for (s, line) in block.iter_mut().enumerate() {
                        *line = mapped(b.map, _mm256_loadu_ps(b.at(p + q, j + half + s)));
                    }
                    for (r, &line) in transpose(block).iter().enumerate() {
                        _mm256_storeu_ps(panel.add((q + r) * NR + half), line);
                    }
                }
            }
        }
        // SAFETY: the rows left over.
        unsafe { pack_b_any::<f32, NR>(b, p + whole, kc - whole, j, cols, panel.add(whole * NR)) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { pack_b_any::<f32, NR>(b, p, kc, j, cols, panel) }
    }
}

/// An 8 × 8 block with rows and columns exchanged.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(x: [__m256; 8]) -> [__m256; 8] {
    let mut y = [_mm256_setzero_ps(); 8];
    for g in 0..2 {
        let r = &x[4 * g..4 * g + 4];
        let ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1]));
        let ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
        let cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3]));
        let cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
        y[4 * g] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
        y[4 * g + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
        y[4 * g + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
        y[4 * g + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
    }
    let mut z = [_mm256_setzero_ps(); 8];
    for c in 0..4 {
        z[c] = _mm256_permute2f128_ps::<0x20>(y[c], y[4 + c]);
        z[4 + c] = _mm256_permute2f128_ps::<0x31>(y[c], y[4 + c]);
    }
    z
}

/// Double precision: plain Rust compiled for AVX2.
pub(super) struct Avx2F64;

impl Kernel for Avx2F64 {
    type T = f64;
    const MR: usize = 6;
    const NR: usize = 8;

    unsafe fn tile(kc: usize, a: *const f64, k_major: bool, b: *const f64, tile: &Tile<f64>) {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn body(kc: usize, a: *const f64, k_major: bool, b: *const f64, tile: &Tile<f64>) {
            // SAFETY: the caller's promise.
            unsafe { tile_any::<f64, 6, 8>(kc, a, k_major, b, tile, f64::mul_add) }
        }
        // SAFETY: the caller's promise.
        unsafe { body(kc, a, k_major, b, tile) }
    }

    unsafe fn pack_a(a: &Operand<f64>, i: usize, rows: usize, p: usize, kc: usize, panel: *mut f64) {
        // SAFETY: the caller's promise.
        unsafe { pack_a_any::<f64, 6>(a, i, rows, p, kc, panel) }
    }

    unsafe fn pack_b(b: &Operand<f64>, p: usize, kc: usize, j: usize, cols: usize, panel: *mut f64) {
        // SAFETY: the caller's promise.
        unsafe { pack_b_any::<f64, 8>(b, p, kc, j, cols, panel) }
    }
}
