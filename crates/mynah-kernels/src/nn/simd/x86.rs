//! The x86 instruction sets.

use super::Simd;
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Sixteen floats; the processor has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The witness; callable without `unsafe` only where the instructions are enabled.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    #[inline]
    pub(crate) fn new() -> Self {
        Avx512(())
    }
}

impl Simd for Avx512 {
    type F = __m512;
    type M = __mmask16;
    const LANES: usize = 16;
    const TILE: (usize, usize) = (6, 4);

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(self, x: *const f32) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm512_loadu_ps(x) }
    }
    #[inline(always)]
    unsafe fn load_part(self, x: *const f32, n: usize) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm512_maskz_loadu_ps(first(n), x) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, x: *const f16) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(x.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, x: *const bf16) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(self, x: *const i8) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(x.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(self, y: *mut f32, v: Self::F) {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm512_storeu_ps(y, v) }
    }
    #[inline(always)]
    unsafe fn store_part(self, y: *mut f32, n: usize, v: Self::F) {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm512_mask_storeu_ps(y, first(n), v) }
    }
    #[inline(always)]
    unsafe fn store_i8(self, y: *mut i8, v: Self::F) {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm_storeu_si128(y.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v))) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_abs_ps(a) }
    }
    #[inline(always)]
    fn copy_sign(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe {
            let sign = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b))
        }
    }
    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_roundscale_ps::<0>(a) }
    }
    #[inline(always)]
    fn scale(self, a: Self::F, n: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    fn split(self, a: Self::F) -> (Self::F, Self::F) {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { (_mm512_getmant_ps::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_SRC>(a), _mm512_getexp_ps(a)) }
    }
    #[inline(always)]
    fn less(self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    fn greatest(self, a: Self::F) -> f32 {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm512_reduce_max_ps(a) }
    }
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: the witness; the rows are the caller's promise.
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(from.add(i * from_row));
            }
            // Pairs, then fours inside each 128-bit lane, then the lanes themselves.
            let mut pairs = rows;
            for i in 0..8 {
                pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            let mut fours = pairs;
            for i in 0..4 {
                let [a, b, c, d] = [pairs[4 * i], pairs[4 * i + 1], pairs[4 * i + 2], pairs[4 * i + 3]];
                fours[4 * i] = _mm512_shuffle_ps::<0x44>(a, c);
                fours[4 * i + 1] = _mm512_shuffle_ps::<0xee>(a, c);
                fours[4 * i + 2] = _mm512_shuffle_ps::<0x44>(b, d);
                fours[4 * i + 3] = _mm512_shuffle_ps::<0xee>(b, d);
            }
            for i in 0..4 {
                let [a, b, c, d] = [fours[i], fours[4 + i], fours[8 + i], fours[12 + i]];
                let ab_even = _mm512_shuffle_f32x4::<0x88>(a, b);
                let cd_even = _mm512_shuffle_f32x4::<0x88>(c, d);
                let ab_odd = _mm512_shuffle_f32x4::<0xdd>(a, b);
                let cd_odd = _mm512_shuffle_f32x4::<0xdd>(c, d);
                _mm512_storeu_ps(to.add(i * to_row), _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even));
                _mm512_storeu_ps(to.add((8 + i) * to_row), _mm512_shuffle_f32x4::<0xdd>(ab_even, cd_even));
                _mm512_storeu_ps(to.add((4 + i) * to_row), _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd));
                _mm512_storeu_ps(to.add((12 + i) * to_row), _mm512_shuffle_f32x4::<0xdd>(ab_odd, cd_odd));
            }
        }
    }
}

/// Eight floats; the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The witness; callable without `unsafe` only where the instructions are enabled.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(crate) fn new() -> Self {
        Avx2(())
    }
}

impl Simd for Avx2 {
    type F = __m256;
    type M = __m256;
    const LANES: usize = 8;
    const TILE: (usize, usize) = (6, 2);

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(self, x: *const f32) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm256_loadu_ps(x) }
    }
    #[inline(always)]
    unsafe fn load_part(self, x: *const f32, n: usize) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm256_maskload_ps(x, first_avx2(n)) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, x: *const f16) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(x.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, x: *const bf16) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(self, x: *const i8) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(x.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(self, y: *mut f32, v: Self::F) {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm256_storeu_ps(y, v) }
    }
    #[inline(always)]
    unsafe fn store_part(self, y: *mut f32, n: usize, v: Self::F) {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe { _mm256_maskstore_ps(y, first_avx2(n), v) }
    }
    #[inline(always)]
    unsafe fn store_i8(self, y: *mut i8, v: Self::F) {
        // SAFETY: the witness says that the processor has these instructions; the pointer is the caller’s promise.
        unsafe {
            let wide = _mm256_cvtps_epi32(v);
            let words = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256::<1>(wide));
            _mm_storel_epi64(y.cast(), _mm_packs_epi16(words, words));
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }
    #[inline(always)]
    fn copy_sign(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b))
        }
    }
    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn scale(self, a: Self::F, n: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe {
            let n = _mm256_cvtps_epi32(n);
            let half = _mm256_srai_epi32::<1>(n);
            let power =
                |n| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(n, _mm256_set1_epi32(127))));
            _mm256_mul_ps(_mm256_mul_ps(a, power(half)), power(_mm256_sub_epi32(n, half)))
        }
    }
    #[inline(always)]
    fn split(self, a: Self::F) -> (Self::F, Self::F) {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe {
            let bits = _mm256_castps_si256(a);
            let mantissa = _mm256_and_si256(bits, _mm256_set1_epi32(0x007f_ffff));
            let mantissa = _mm256_or_si256(mantissa, _mm256_set1_epi32(0x3f80_0000));
            let exponent = _mm256_sub_epi32(_mm256_srli_epi32::<23>(bits), _mm256_set1_epi32(127));
            (_mm256_castsi256_ps(mantissa), _mm256_cvtepi32_ps(exponent))
        }
    }
    #[inline(always)]
    fn less(self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe { _mm256_blendv_ps(b, a, mask) }
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe {
            let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)))
        }
    }
    #[inline(always)]
    fn greatest(self, a: Self::F) -> f32 {
        // SAFETY: the witness says that the processor has these instructions.
        unsafe {
            let a = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_max_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)))
        }
    }
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: the witness; the rows are the caller's promise.
        unsafe {
            let mut rows = [_mm256_setzero_ps(); 8];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = _mm256_loadu_ps(from.add(i * from_row));
            }
            let mut pairs = rows;
            for i in 0..4 {
                pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            let mut fours = pairs;
            for i in 0..2 {
                let [a, b, c, d] = [pairs[4 * i], pairs[4 * i + 1], pairs[4 * i + 2], pairs[4 * i + 3]];
                fours[4 * i] = _mm256_shuffle_ps::<0x44>(a, c);
                fours[4 * i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
                fours[4 * i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
                fours[4 * i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
            }
            for i in 0..4 {
                let (a, b) = (fours[i], fours[4 + i]);
                _mm256_storeu_ps(to.add(i * to_row), _mm256_permute2f128_ps::<0x20>(a, b));
                _mm256_storeu_ps(to.add((4 + i) * to_row), _mm256_permute2f128_ps::<0x31>(a, b));
            }
        }
    }
}

/// The mask of the first n of 16 lanes.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

/// The mask of the first n of 8 lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn first_avx2(n: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}
