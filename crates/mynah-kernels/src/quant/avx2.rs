//! AVX2: the sixteen rows of a block are two vectors of eight lanes, and products of four columns are made in
//! two steps (`vpmaddubsw` to pairs of 16 bits, `vpmaddwd` to 32).
//!
//! The pairs must not overflow 16 bits: codes of up to 6 bits times x never do. Those of Q8_0 would, so they
//! are made signed again, and their magnitude meets x with the sign moved over: 2 · 128 · 127 fits. Processors
//! without AVX-512 but with AVX-VNNI make the products of four columns in one step.

use super::activations::Left;
use super::avx512::AHEAD;
use super::blocks::{GROUP, Kind};
use super::codes::{Codes, with_format};
use super::format::Format;
use super::layout::{FLOAT_ROWS, ROWS, VECTOR};
use super::multiply::{FloatLeft, Kernel, Panel, Target};
use std::arch::x86_64::*;
use std::ops::Range;

/// `VNNI` says whether the processor has AVX-VNNI.
pub(super) struct Avx2<const VNNI: bool>;

/// Bytes of a vector.
const WIDE: usize = 32;

impl<const VNNI: bool> Kernel for Avx2<VNNI> {
    const ROWS_MAX: usize = if VNNI { 3 } else { 2 };
    const FLOAT_ROWS_MAX: usize = 2;

    unsafe fn unpack(format: Format, block: &[u8], groups: Range<usize>, panel: Panel) {
        // SAFETY: the caller's promise.
        with_format!(format, C => unsafe { unpack::<C>(block.as_ptr(), groups, panel) })
    }

    unsafe fn tile(kind: Kind, panels: &[Panel], left: Left, groups: usize, target: Target) {
        for (b, panel) in panels.iter().enumerate() {
            let target = Target { rows: target.rows, ..target.block(0, b * ROWS) };
            // SAFETY: the caller's promise; block b is 16 columns of the tile.
            unsafe {
                match (kind, target.rows) {
                    (kind, 1) => tile_of::<VNNI, 1>(kind, panel, left, groups, target),
                    (kind, 2) => tile_of::<VNNI, 2>(kind, panel, left, groups, target),
                    (kind, _) => tile_of::<VNNI, 3>(kind, panel, left, groups, target),
                }
            }
        }
    }

    unsafe fn few(format: Format, block: &[u8], left: Left, groups: usize, target: Target) -> bool {
        if target.rows > 1 {
            // There are too few registers; what is unpacked serves all rows.
            return false;
        }
        // SAFETY: the caller's promise.
        with_format!(format, C => unsafe {
            if VNNI {
                one_vnni::<C>(block.as_ptr(), left, groups, target);
            } else {
                one_plain::<C>(block.as_ptr(), left, groups, target);
            }
        });
        true
    }

    unsafe fn float_tile(format: Format, block: *const u8, left: FloatLeft, cols: usize, target: Target) {
        // SAFETY: the caller's promise; the rows match.
        unsafe {
            match (format, target.rows) {
                (Format::F32, 1) => float_rows::<0, 1>(block, left, cols, target),
                (Format::F32, _) => float_rows::<0, 2>(block, left, cols, target),
                (Format::Bf16, 1) => float_rows::<1, 1>(block, left, cols, target),
                (Format::Bf16, _) => float_rows::<1, 2>(block, left, cols, target),
                (_, 1) => float_rows::<2, 1>(block, left, cols, target),
                (_, _) => float_rows::<2, 2>(block, left, cols, target),
            }
        }
    }
}

/// The codes of quad `q` of a group for rows 8·h to 8·h + 7.
///
/// # Safety
/// The machine has the instructions; a group of codes begins at `codes`.
#[inline(always)]
unsafe fn quad<C: Codes>(codes: *const u8, q: usize, h: usize) -> __m256i {
    // Vectors of the layout are two of ours: half h of its vector v.
    // SAFETY: vector v is one of the group's (the caller's promise).
    let load = |v: usize| unsafe { _mm256_loadu_si256(codes.add(v * VECTOR + h * WIDE).cast()) };
    if C::FORMAT == Format::Q8_0 {
        return load(q);
    }
    // SAFETY: the caller's promise.
    unsafe {
        let both = load(q % 4);
        let half = if q < 4 { both } else { _mm256_srli_epi16::<4>(both) };
        let low = _mm256_and_si256(half, _mm256_set1_epi8(15));
        let above = |vector: usize, shift: usize, mask: i8| {
            let bits = _mm256_srl_epi16(load(vector), _mm_cvtsi32_si128(shift as i32));
            _mm256_slli_epi16::<4>(_mm256_and_si256(bits, _mm256_set1_epi8(mask)))
        };
        match C::FORMAT {
            Format::Q5K => _mm256_or_si256(low, above(4, q, 1)),
            Format::Q6K => _mm256_or_si256(low, above(4 + q / 4, q % 4 * 2, 3)),
            _ => low,
        }
    }
}

/// The scales of rows 8·h to 8·h + 7 of a group, and those of its second half or the minima with their signs
/// changed.
///
/// # Safety
/// The machine has the instructions; a span begins at `span` and the scales of one of its groups at `scales`.
#[inline(always)]
unsafe fn scales<C: Codes>(span: *const u8, scales: *const u8, h: usize) -> [__m256; 2] {
    // SAFETY: the caller's promise; a header has two lines of 16 halves.
    unsafe {
        let halves = |at: *const u8| _mm256_cvtph_ps(_mm_loadu_si128(at.add(16 * h).cast()));
        let bytes = |at: *const u8| _mm_loadl_epi64(at.add(8 * h).cast());
        match C::KIND {
            Kind::Plain { .. } => [halves(scales); 2],
            Kind::Min => {
                let scale = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes(scales)));
                let min = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes(scales.add(16))));
                let negative = _mm256_xor_ps(halves(span.add(32)), _mm256_set1_ps(-0.0));
                [_mm256_mul_ps(halves(span), scale), _mm256_mul_ps(negative, min)]
            }
            Kind::Halves => {
                let d = halves(span);
                let first = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes(scales)));
                let second = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes(scales.add(16))));
                [_mm256_mul_ps(d, first), _mm256_mul_ps(d, second)]
            }
        }
    }
}

/// # Safety
/// As [`Kernel::unpack`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unpack<C: Codes>(block: *const u8, groups: Range<usize>, panel: Panel) {
    for (i, g) in groups.enumerate() {
        // SAFETY: group g is in the block and i in the panel.
        unsafe {
            let codes = block.add(C::LAYOUT.codes_at(g));
            for line in 0..C::LAYOUT.codes / VECTOR {
                _mm_prefetch::<_MM_HINT_T1>(codes.wrapping_add(AHEAD + line * VECTOR).cast());
            }
            let to = panel.codes(i).cast::<u8>();
            for q in 0..8 {
                _mm256_storeu_si256(to.add(q * VECTOR).cast(), quad::<C>(codes, q, 0));
                _mm256_storeu_si256(to.add(q * VECTOR + WIDE).cast(), quad::<C>(codes, q, 1));
            }
            let (span, from) = (block.add(C::LAYOUT.span_at(g)), block.add(C::LAYOUT.scales_at(g)));
            let to = panel.scales(i).cast::<f32>();
            for h in 0..2 {
                let [first, second] = scales::<C>(span, from, h);
                _mm256_storeu_ps(to.add(8 * h), first);
                _mm256_storeu_ps(to.add(ROWS + 8 * h), second);
            }
        }
    }
}

/// # Safety
/// As [`one`].
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
unsafe fn one_vnni<C: Codes>(block: *const u8, left: Left, groups: usize, target: Target) {
    // SAFETY: the caller's promise.
    unsafe { one::<C, true>(block, left, groups, target) }
}

/// # Safety
/// As [`one`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn one_plain<C: Codes>(block: *const u8, left: Left, groups: usize, target: Target) {
    // SAFETY: the caller's promise.
    unsafe { one::<C, false>(block, left, groups, target) }
}

/// One row of x with a block as it is.
///
/// # Safety
/// As [`Kernel::few`], and the machine has AVX-VNNI if `VNNI` says so.
#[inline(always)]
unsafe fn one<C: Codes, const VNNI: bool>(block: *const u8, left: Left, groups: usize, target: Target) {
    // SAFETY: the machine has the instructions (the caller's promise).
    let mut y = [unsafe { _mm256_setzero_ps() }; 2];
    for g in 0..groups {
        // SAFETY: group g is in the block and in the row of x.
        unsafe {
            let codes = block.add(C::LAYOUT.codes_at(g));
            for line in 0..C::LAYOUT.codes / VECTOR {
                _mm_prefetch::<_MM_HINT_T1>(codes.wrapping_add(AHEAD + line * VECTOR).cast());
            }
            let (span, from) = (block.add(C::LAYOUT.span_at(g)), block.add(C::LAYOUT.scales_at(g)));
            let left = left.from(0, g, C::KIND);
            let x_scale = _mm256_set1_ps(*left.scales);
            for (h, y) in y.iter_mut().enumerate() {
                let [first, second] = scales::<C>(span, from, h);
                let mut sums = [_mm256_setzero_si256(); 2];
                // Without VNNI the codes of Q8_0 are made signed, and there is nothing to take off.
                if C::KIND != Kind::Min && (VNNI || C::FORMAT != Format::Q8_0) {
                    sums[0] = _mm256_set1_epi32(*left.starts);
                }
                if C::KIND == Kind::Halves {
                    sums[1] = _mm256_set1_epi32(*left.starts.add(1));
                }
                for q in 0..8 {
                    let x = _mm256_set1_epi32(left.codes.add(4 * q).cast::<i32>().read_unaligned());
                    let w = quad::<C>(codes, q, h);
                    let sum = &mut sums[q / 4];
                    *sum = match C::FORMAT {
                        Format::Q8_0 => dot::<VNNI, 0>(*sum, w, x),
                        _ => dot::<VNNI, 1>(*sum, w, x),
                    };
                }
                let factor = _mm256_mul_ps(first, x_scale);
                if C::KIND == Kind::Halves {
                    *y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[0]), factor, *y);
                    let factor = _mm256_mul_ps(second, x_scale);
                    *y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[1]), factor, *y);
                } else {
                    let sum = _mm256_add_epi32(sums[0], sums[1]);
                    *y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, *y);
                }
                if C::KIND == Kind::Min {
                    *y = _mm256_fmadd_ps(second, _mm256_set1_ps(*left.mins), *y);
                }
            }
        }
    }
    // SAFETY: the row is inside the target.
    unsafe { store(&target, y) };
}

/// sums + the products of four codes and four x in each lane.
///
/// # Safety
/// The machine has the instructions.
#[inline(always)]
unsafe fn dot<const VNNI: bool, const K: usize>(sums: __m256i, codes: __m256i, x: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        if VNNI {
            return _mm256_dpbusd_avx_epi32(sums, codes, x);
        }
        let pairs = if K == 0 {
            let signed = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
            _mm256_maddubs_epi16(_mm256_abs_epi8(signed), _mm256_sign_epi8(x, signed))
        } else {
            _mm256_maddubs_epi16(codes, x)
        };
        _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}

/// # Safety
/// As [`Kernel::tile`], and the machine has AVX-VNNI if `VNNI` says so.
unsafe fn tile_of<const VNNI: bool, const M: usize>(
    kind: Kind,
    panel: &Panel,
    left: Left,
    groups: usize,
    target: Target,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match (VNNI, kind) {
            (true, Kind::Plain { .. }) => tile_vnni::<1, M>(panel, left, groups, target),
            (true, Kind::Min) => tile_vnni::<2, M>(panel, left, groups, target),
            (true, Kind::Halves) => tile_vnni::<3, M>(panel, left, groups, target),
            (false, Kind::Plain { offset: 128 }) => tile_plain::<0, M>(panel, left, groups, target),
            (false, Kind::Plain { .. }) => tile_plain::<1, M>(panel, left, groups, target),
            (false, Kind::Min) => tile_plain::<2, M>(panel, left, groups, target),
            (false, Kind::Halves) => tile_plain::<3, M>(panel, left, groups, target),
        }
    }
}

/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
unsafe fn tile_vnni<const K: usize, const M: usize>(
    panel: &Panel,
    left: Left,
    groups: usize,
    target: Target,
) {
    // SAFETY: the caller's promise.
    unsafe { tile::<true, K, M>(panel, left, groups, target) }
}

/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile_plain<const K: usize, const M: usize>(
    panel: &Panel,
    left: Left,
    groups: usize,
    target: Target,
) {
    // SAFETY: the caller's promise.
    unsafe { tile::<false, K, M>(panel, left, groups, target) }
}

/// M rows of x with a panel; `K` is 0 for Q8_0 made signed, 1 for other plain codes, 2 with minima, 3 with halves.
///
/// # Safety
/// As [`Kernel::tile`].
#[inline(always)]
unsafe fn tile<const VNNI: bool, const K: usize, const M: usize>(
    panel: &Panel,
    left: Left,
    groups: usize,
    target: Target,
) {
    // SAFETY: the machine has the instructions (the caller's promise).
    let mut y = [[unsafe { _mm256_setzero_ps() }; 2]; M];
    for (m, y) in y.iter_mut().enumerate() {
        // SAFETY: row m is inside the target.
        *y = unsafe { load(&target.block(m, 0)) };
    }
    for g in 0..groups {
        // SAFETY: group g is in the panel and in the rows of x.
        unsafe {
            let codes = panel.codes(g).cast::<u8>();
            let scales = panel.scales(g).cast::<f32>();
            macro_rules! dots {
                ($quads:expr, $start:expr, $scale:expr) => {{
                    let mut sums = [[_mm256_setzero_si256(); 2]; M];
                    if K == 1 || K == 3 {
                        for (m, sums) in sums.iter_mut().enumerate() {
                            *sums = [_mm256_set1_epi32(*left.starts.add(m * left.start_stride + $start)); 2];
                        }
                    }
                    for q in $quads {
                        let at = |h: usize| _mm256_loadu_si256(codes.add((2 * q + h) * WIDE).cast());
                        let w = [at(0), at(1)];
                        for (m, sums) in sums.iter_mut().enumerate() {
                            let x = left.codes.add(m * left.code_stride + g * GROUP + 4 * q);
                            let x = _mm256_set1_epi32(x.cast::<i32>().read_unaligned());
                            sums[0] = dot::<VNNI, K>(sums[0], w[0], x);
                            sums[1] = dot::<VNNI, K>(sums[1], w[1], x);
                        }
                    }
                    for (m, (y, sums)) in y.iter_mut().zip(sums).enumerate() {
                        let x_scale = _mm256_set1_ps(*left.scales.add(m * left.scale_stride + g));
                        for h in 0..2 {
                            let scale = _mm256_loadu_ps(scales.add($scale * ROWS + 8 * h));
                            let factor = _mm256_mul_ps(scale, x_scale);
                            y[h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[h]), factor, y[h]);
                        }
                    }
                }};
            }
            match K {
                0 | 1 => dots!(0..8, g, 0),
                2 => {
                    dots!(0..8, 0, 0);
                    for (m, y) in y.iter_mut().enumerate() {
                        let x_sum = _mm256_set1_ps(*left.mins.add(m * left.scale_stride + g));
                        for (h, y) in y.iter_mut().enumerate() {
                            *y = _mm256_fmadd_ps(_mm256_loadu_ps(scales.add(ROWS + 8 * h)), x_sum, *y);
                        }
                    }
                }
                _ => {
                    dots!(0..4, 2 * g, 0);
                    dots!(4..8, 2 * g + 1, 1);
                }
            }
        }
    }
    for (m, y) in y.into_iter().enumerate() {
        // SAFETY: row m is inside the target.
        unsafe { store(&target.block(m, 0), y) };
    }
}

/// M rows of x with a float block; `F` is 0 for F32, 1 for BF16, 2 for F16.
///
/// # Safety
/// As [`Kernel::float_tile`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn float_rows<const F: usize, const M: usize>(
    block: *const u8,
    left: FloatLeft,
    cols: usize,
    target: Target,
) {
    let mut y = [[_mm256_setzero_ps(); 4]; M];
    let width = if F == 0 { 4 } else { 2 };
    for k in 0..cols {
        // SAFETY: column k is in the block and in the rows of x.
        unsafe {
            let column = block.add(k * FLOAT_ROWS * width);
            for line in 0..FLOAT_ROWS * width / VECTOR {
                _mm_prefetch::<_MM_HINT_T1>(column.wrapping_add(AHEAD + line * VECTOR).cast());
            }
            let mut w = [_mm256_setzero_ps(); 4];
            match F {
                0 => (0..4).for_each(|v| w[v] = _mm256_loadu_ps(column.add(v * WIDE).cast())),
                1 => {
                    let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
                    for v in 0..2 {
                        let both = _mm256_loadu_si256(column.add(v * WIDE).cast());
                        w[v] = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(both));
                        w[v + 2] = _mm256_castsi256_ps(_mm256_and_si256(both, mask));
                    }
                }
                _ => (0..4).for_each(|v| w[v] = _mm256_cvtph_ps(_mm_loadu_si128(column.add(v * 16).cast()))),
            }
            for (m, y) in y.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*left.x.add(m * left.stride + k));
                for (y, w) in y.iter_mut().zip(w) {
                    *y = _mm256_fmadd_ps(w, x, *y);
                }
            }
        }
    }
    for (m, y) in y.into_iter().enumerate() {
        // SAFETY: row m is inside the target.
        unsafe {
            store(&target.block(m, 0), [y[0], y[1]]);
            store(&target.block(m, ROWS), [y[2], y[3]]);
        }
    }
}

/// What sixteen sums begin with.
///
/// # Safety
/// The machine has the instructions; the target's first row is inside y.
#[inline(always)]
unsafe fn load(target: &Target) -> [__m256; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let sums = target.load::<ROWS>();
        [_mm256_loadu_ps(sums.as_ptr()), _mm256_loadu_ps(sums.as_ptr().add(8))]
    }
}

/// # Safety
/// As [`load`], and only this thread has the target.
#[inline(always)]
unsafe fn store(target: &Target, sums: [__m256; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut values = [0.0; ROWS];
        _mm256_storeu_ps(values.as_mut_ptr(), sums[0]);
        _mm256_storeu_ps(values.as_mut_ptr().add(8), sums[1]);
        target.store(&values);
    }
}
