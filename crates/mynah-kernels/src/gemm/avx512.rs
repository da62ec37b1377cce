//! AVX-512: tiles of 14 × 32, that is 28 registers of sums, two of b and one for a.
//!
//! Per step of the inner dimension: 28 multiply-adds (14 cycles on two ports) for 2 + 14 loads (8
//! cycles on two ports), so the multiply-adds set the pace.

use super::kernel::{A_STRIDE, Finish, Kernel, Operand, Tile, pack_a_any, pack_b_any, tile_any};
use super::matrix::Map;
use std::arch::x86_64::*;

const MR: usize = 14;
const NR: usize = 32;

pub(super) struct Avx512;

impl Kernel for Avx512 {
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
        rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
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
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn sums<const M: usize, const RS: usize, const KS: usize>(
    kc: usize,
    mut a: *const f32,
    mut b: *const f32,
    tile: &Tile<f32>,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    if tile.col_stride == 1 {
        for i in 0..M {
            let row = tile.c.wrapping_add(i * tile.row_stride);
            _mm_prefetch::<_MM_HINT_T0>(row.cast());
            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(16).cast());
        }
    }
    // A macro, not a closure: a closure that is not inlined would keep the sums in memory.
    macro_rules! step {
        ($u:literal) => {
            // SAFETY: the step is inside both panels.
            unsafe {
                let b0 = _mm512_loadu_ps(b.add($u * NR));
                let b1 = _mm512_loadu_ps(b.add($u * NR + 16));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let a = _mm512_set1_ps(*a.add(i * RS + $u * KS));
                    sums[0] = _mm512_fmadd_ps(a, b0, sums[0]);
                    sums[1] = _mm512_fmadd_ps(a, b1, sums[1]);
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
    if tile.col_stride != 1 {
        let sums = sums; // A copy: only this one needs an address.
        // SAFETY: the sums are M × NR, tile.rows == M.
        unsafe { tile.store_all(sums.as_ptr().cast(), NR) };
        return;
    }
    let mask: u32 = if tile.cols >= 32 { !0 } else { (1 << tile.cols) - 1 };
    // The rule is looked up once and the rows unrolled under it, so that the sums stay in registers.
    macro_rules! store {
        (|$s:ident, $c:ident, $other:ident| $v:expr) => {
            for (i, row) in sums.into_iter().enumerate() {
                for (half, $s) in row.into_iter().enumerate() {
                    let lanes = (mask >> (16 * half)) as __mmask16;
                    let at = i * tile.row_stride + 16 * half;
                    let place = tile.c.wrapping_add(at);
                    // Evaluated only where the rule uses them.
                    let $c = || {
                        // SAFETY: masked-out lanes are not read, the others are inside the tile.
                        unsafe { _mm512_maskz_loadu_ps(lanes, place) }
                    };
                    let $other = || {
                        // SAFETY: as above.
                        unsafe { _mm512_maskz_loadu_ps(lanes, tile.other.wrapping_add(at)) }
                    };
                    let _ = (&$c, &$other);
                    // SAFETY: masked-out lanes are not written, the others are inside the tile.
                    unsafe { _mm512_mask_storeu_ps(place, lanes, $v) };
                }
            }
        };
    }
    match tile.finish {
        Finish::Set => store!(|s, c, o| s),
        Finish::Accumulate => store!(|s, c, o| _mm512_add_ps(c(), s)),
        Finish::AddScaled { partial, alpha, beta } => {
            let (alpha, beta) = (_mm512_set1_ps(alpha), _mm512_set1_ps(beta));
            let keep = if partial { !0 } else { 0 };
            store!(|s, c, o| {
                let v = _mm512_add_ps(_mm512_maskz_mov_ps(keep, c()), s);
                _mm512_fmadd_ps(alpha, v, _mm512_mul_ps(beta, o()))
            })
        }
        Finish::MulReluSquareGrad { partial } => {
            let keep = if partial { !0 } else { 0 };
            store!(|s, c, o| {
                let v = _mm512_add_ps(_mm512_maskz_mov_ps(keep, c()), s);
                let other = positive(o());
                _mm512_mul_ps(v, _mm512_add_ps(other, other))
            })
        }
    }
}

/// max(x, 0), NaN where x is NaN (the maximum instruction gives its second operand then).
#[inline]
#[target_feature(enable = "avx512f")]
fn positive(x: __m512) -> __m512 {
    _mm512_max_ps(_mm512_setzero_ps(), x)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn mapped(map: Map, x: __m512) -> __m512 {
    match map {
        Map::Identity => x,
        Map::ReluSquare => {
            let x = positive(x);
            _mm512_mul_ps(x, x)
        }
    }
}

fn first_lanes(count: usize) -> __mmask16 {
    if count >= 16 { !0 } else { (1 << count) - 1 }
}

/// # Safety
/// As [`Kernel::pack_a`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn pack_a(a: &Operand<f32>, i: usize, rows: usize, p: usize, kc: usize, panel: *mut f32) {
    if a.k_major() {
        let lanes = first_lanes(rows);
        for q in 0..kc {
            // SAFETY: `rows` ≤ MR lanes of column p + q, inside a and inside the panel.
            unsafe {
                let column = mapped(a.map, _mm512_maskz_loadu_ps(lanes, a.at(i, p + q)));
                _mm512_mask_storeu_ps(panel.add(q * MR), lanes, column);
            }
        }
    } else if a.col_stride == 1 {
        for r in 0..rows {
            for q in (0..kc).step_by(16) {
                let lanes = first_lanes(kc - q);
                // SAFETY: up to kc elements of row i + r, inside a and inside the panel.
                unsafe {
                    let row = mapped(a.map, _mm512_maskz_loadu_ps(lanes, a.at(i + r, p + q)));
                    _mm512_mask_storeu_ps(panel.add(r * A_STRIDE + q), lanes, row);
                }
            }
        }
    } else {
        // SAFETY: the caller's promise.
        unsafe { pack_a_any::<f32, MR>(a, i, rows, p, kc, panel) }
    }
}

/// # Safety
/// As [`Kernel::pack_b`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn pack_b(b: &Operand<f32>, p: usize, kc: usize, j: usize, cols: usize, panel: *mut f32) {
    if b.col_stride == 1 {
        let (low, high) = (first_lanes(cols), first_lanes(cols.saturating_sub(16)));
        for q in 0..kc {
            // SAFETY: `cols` elements of row p + q; masked-out lanes are not read.
            unsafe {
                let row = b.at(p + q, j);
                let out = panel.add(q * NR);
                let right = _mm512_maskz_loadu_ps(high, row.wrapping_add(16));
                _mm512_storeu_ps(out, mapped(b.map, _mm512_maskz_loadu_ps(low, row)));
                _mm512_storeu_ps(out.add(16), mapped(b.map, right));
            }
        }
    } else if b.row_stride == 1 {
        for half in [0, 16] {
            for q in (0..kc).step_by(16) {
                let (depth, width) = ((kc - q).min(16), cols.saturating_sub(half).min(16));
                // SAFETY: `width` columns of `depth` elements of b; the panel has kc rows of NR.
                unsafe {
                    let mut block = [_mm512_setzero_ps(); 16];
                    if depth == 16 && width == 16 {
                        for (s, line) in block.iter_mut().enumerate() {
                            *line = mapped(b.map, _mm512_loadu_ps(b.at(p + q, j + half + s)));
                        }
                    } else {
                        for (s, line) in block.iter_mut().enumerate().take(width) {
                            let column = b.at(p + q, j + half + s);
                            *line = mapped(b.map, _mm512_maskz_loadu_ps(first_lanes(depth), column));
                        }
                    }
                    let block = transpose(block);
                    for (r, &line) in block.iter().enumerate().take(depth) {
                        _mm512_storeu_ps(panel.add((q + r) * NR + half), line);
                    }
                }
            }
        }
    } else {
        // SAFETY: the caller's promise.
        unsafe { pack_b_any::<f32, NR>(b, p, kc, j, cols, panel) }
    }
}

/// A 16 × 16 block with rows and columns exchanged.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn transpose(x: [__m512; 16]) -> [__m512; 16] {
    // Pairs, then fours, within 128-bit lanes: afterwards y[4g + c] holds, in lane l, column 4l + c of
    // rows 4g..4g + 4.
    let mut y = [_mm512_setzero_ps(); 16];
    for g in 0..4 {
        let r = &x[4 * g..4 * g + 4];
        let ab_low = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
        let ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
        let cd_low = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
        let cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
        y[4 * g] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low));
        y[4 * g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low));
        y[4 * g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high));
        y[4 * g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high));
    }
    // Then a 4 × 4 transposition of whole lanes between the four groups.
    let mut z = [_mm512_setzero_ps(); 16];
    for c in 0..4 {
        let (a, b, d, e) = (y[c], y[4 + c], y[8 + c], y[12 + c]);
        let ab_even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b); // lanes a0 a2 b0 b2
        let ab_odd = _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b); // lanes a1 a3 b1 b3
        let de_even = _mm512_shuffle_f32x4::<0b10_00_10_00>(d, e);
        let de_odd = _mm512_shuffle_f32x4::<0b11_01_11_01>(d, e);
        z[c] = _mm512_shuffle_f32x4::<0b10_00_10_00>(ab_even, de_even); // a0 b0 d0 e0
        z[4 + c] = _mm512_shuffle_f32x4::<0b10_00_10_00>(ab_odd, de_odd);
        z[8 + c] = _mm512_shuffle_f32x4::<0b11_01_11_01>(ab_even, de_even);
        z[12 + c] = _mm512_shuffle_f32x4::<0b11_01_11_01>(ab_odd, de_odd);
    }
    z
}

/// Double precision: plain Rust compiled for AVX-512.
pub(super) struct Avx512F64;

impl Kernel for Avx512F64 {
    type T = f64;
    const MR: usize = 8;
    const NR: usize = 16;

    unsafe fn tile(kc: usize, a: *const f64, k_major: bool, b: *const f64, tile: &Tile<f64>) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn body(kc: usize, a: *const f64, k_major: bool, b: *const f64, tile: &Tile<f64>) {
            // SAFETY: the caller's promise.
            unsafe { tile_any::<f64, 8, 16>(kc, a, k_major, b, tile, f64::mul_add) }
        }
        // SAFETY: the caller's promise.
        unsafe { body(kc, a, k_major, b, tile) }
    }

    unsafe fn pack_a(a: &Operand<f64>, i: usize, rows: usize, p: usize, kc: usize, panel: *mut f64) {
        // SAFETY: the caller's promise.
        unsafe { pack_a_any::<f64, 8>(a, i, rows, p, kc, panel) }
    }

    unsafe fn pack_b(b: &Operand<f64>, p: usize, kc: usize, j: usize, cols: usize, panel: *mut f64) {
        // SAFETY: the caller's promise.
        unsafe { pack_b_any::<f64, 16>(b, p, kc, j, cols, panel) }
    }
}
