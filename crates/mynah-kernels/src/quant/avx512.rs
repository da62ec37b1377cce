//! AVX-512 with VNNI: sixteen rows of weights are the lanes of a vector, and one instruction adds the products
//! of four columns (`vpdpbusd`, unsigned codes times signed x).
//!
//! The tile of 6 rows of x and 32 rows of weights keeps 12 integer and 12 float sums in registers; per quad
//! of columns it has 12 dot products for 2 + 6 loads. The sums of a group begin at −offset·Σx, which costs
//! the load that a zero would not, but no correction afterwards.

use super::activations::Left;
use super::blocks::{GROUP, Kind};
use super::codes::{Codes, Q4K, Q6K, Q8_0, with_format};
use super::format::Format;
use super::layout::{FLOAT_ROWS, ROWS, VECTOR};
use super::multiply::{FloatLeft, Kernel, Panel, Target};
use std::arch::x86_64::*;
use std::ops::Range;

pub(super) struct Avx512;

impl Kernel for Avx512 {
    const ROWS_MAX: usize = 6;
    const FLOAT_ROWS_MAX: usize = 12;

    unsafe fn unpack(format: Format, block: &[u8], groups: Range<usize>, panel: Panel) {
        // SAFETY: the caller's promise.
        with_format!(format, C => unsafe { unpack::<C>(block.as_ptr(), groups, panel) })
    }

    unsafe fn tile(kind: Kind, panels: &[Panel], left: Left, groups: usize, target: Target) {
        macro_rules! rows {
            ($($m:literal)*) => {
                match (target.rows, panels) {
                    $(
                        // SAFETY: the caller's promise; the rows and panels match.
                        ($m, &[a, b]) => unsafe { tile_of::<$m, 2>(kind, [a, b], left, groups, target) },
                        // SAFETY: as above.
                        ($m, &[a]) => unsafe { tile_of::<$m, 1>(kind, [a], left, groups, target) },
                    )*
                    _ => unreachable!("a tile of {} rows and {} panels", target.rows, panels.len()),
                }
            };
        }
        rows!(1 2 3 4 5 6)
    }

    unsafe fn few(format: Format, block: &[u8], left: Left, groups: usize, target: Target) -> bool {
        // SAFETY: the caller's promise; the rows match.
        with_format!(format, C => unsafe {
            match target.rows {
                1 => few::<C, 1>(block.as_ptr(), left, groups, target),
                2 => few::<C, 2>(block.as_ptr(), left, groups, target),
                3 => few::<C, 3>(block.as_ptr(), left, groups, target),
                4 => few::<C, 4>(block.as_ptr(), left, groups, target),
                5 => few::<C, 5>(block.as_ptr(), left, groups, target),
                6 => few::<C, 6>(block.as_ptr(), left, groups, target),
                7 => few::<C, 7>(block.as_ptr(), left, groups, target),
                8 => few::<C, 8>(block.as_ptr(), left, groups, target),
                rows => unreachable!("{rows} rows are not few"),
            }
        });
        true
    }

    unsafe fn float_tile(format: Format, block: *const u8, left: FloatLeft, cols: usize, target: Target) {
        macro_rules! rows {
            ($($m:literal)*) => {
                match (format, target.rows) {
                    $(
                        // SAFETY: the caller's promise; the rows match.
                        (Format::F32, $m) => unsafe { float_rows::<0, $m>(block, left, cols, target) },
                        // SAFETY: as above.
                        (Format::Bf16, $m) => unsafe { float_rows::<1, $m>(block, left, cols, target) },
                        // SAFETY: as above.
                        (_, $m) => unsafe { float_rows::<2, $m>(block, left, cols, target) },
                    )*
                    (_, rows) => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        rows!(1 2 3 4 5 6 7 8 9 10 11 12)
    }
}

/// The codes of a group as eight quads of columns, a byte each.
///
/// # Safety
/// The machine has the instructions; a group of codes begins at `codes`.
#[inline(always)]
unsafe fn quads<C: Codes>(codes: *const u8) -> [__m512i; 8] {
    // SAFETY: the caller's promise: vector v is one of the group's.
    let load = |v: usize| unsafe { _mm512_loadu_si512(codes.add(v * VECTOR).cast()) };
    if C::FORMAT == Format::Q8_0 {
        return std::array::from_fn(load);
    }
    // SAFETY: the caller's promise.
    unsafe {
        let low = _mm512_set1_epi8(15);
        let mut quads = [_mm512_setzero_si512(); 8];
        for v in 0..4 {
            let both = load(v);
            quads[v] = _mm512_and_si512(both, low);
            quads[v + 4] = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
        }
        /// a | b & mask
        macro_rules! add_bits {
            ($q:expr, $bits:expr, $mask:expr) => {
                quads[$q] = _mm512_ternarylogic_epi64::<0xf8>(quads[$q], $bits, $mask)
            };
        }
        if C::FORMAT == Format::Q5K {
            let (high, mask) = (load(4), _mm512_set1_epi8(16));
            add_bits!(0, _mm512_slli_epi16::<4>(high), mask);
            add_bits!(1, _mm512_slli_epi16::<3>(high), mask);
            add_bits!(2, _mm512_slli_epi16::<2>(high), mask);
            add_bits!(3, _mm512_slli_epi16::<1>(high), mask);
            add_bits!(4, high, mask);
            add_bits!(5, _mm512_srli_epi16::<1>(high), mask);
            add_bits!(6, _mm512_srli_epi16::<2>(high), mask);
            add_bits!(7, _mm512_srli_epi16::<3>(high), mask);
        }
        if C::FORMAT == Format::Q6K {
            let mask = _mm512_set1_epi8(48);
            for h in 0..2 {
                let high = load(4 + h);
                add_bits!(4 * h, _mm512_slli_epi16::<4>(high), mask);
                add_bits!(4 * h + 1, _mm512_slli_epi16::<2>(high), mask);
                add_bits!(4 * h + 2, high, mask);
                add_bits!(4 * h + 3, _mm512_srli_epi16::<2>(high), mask);
            }
        }
        quads
    }
}

/// The scales of a group, and those of its second half or the minima with their signs changed.
///
/// # Safety
/// The machine has the instructions; a span begins at `span` and the scales of one of its groups at `scales`.
#[inline(always)]
unsafe fn scales<C: Codes>(span: *const u8, scales: *const u8) -> [__m512; 2] {
    // SAFETY: the caller's promise; a header has two lines of 16 halves.
    unsafe {
        let halves = |at: *const u8| _mm512_cvtph_ps(_mm256_loadu_si256(at.cast()));
        let bytes = |at: *const u8| _mm_loadu_si128(at.cast());
        match C::KIND {
            Kind::Plain { .. } => {
                let scale = halves(scales);
                [scale, scale]
            }
            Kind::Min => {
                let scale = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes(scales)));
                let min = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes(scales.add(16))));
                let negative = _mm512_xor_ps(halves(span.add(32)), _mm512_set1_ps(-0.0));
                [_mm512_mul_ps(halves(span), scale), _mm512_mul_ps(negative, min)]
            }
            Kind::Halves => {
                let d = halves(span);
                let first = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes(scales)));
                let second = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes(scales.add(16))));
                [_mm512_mul_ps(d, first), _mm512_mul_ps(d, second)]
            }
        }
    }
}

/// # Safety
/// As [`Kernel::unpack`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn unpack<C: Codes>(block: *const u8, groups: Range<usize>, panel: Panel) {
    for (i, g) in groups.enumerate() {
        // While the rows of x go over this panel, what the next ones are made from arrives.
        let ahead = block.wrapping_add(C::LAYOUT.codes_at(g) + AHEAD);
        for line in 0..=C::LAYOUT.codes / VECTOR {
            _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(line * VECTOR).cast());
        }
        // SAFETY: group g is in the block and i in the panel, whose vectors are aligned or not.
        unsafe {
            let quads = quads::<C>(block.add(C::LAYOUT.codes_at(g)));
            let to = panel.codes(i).cast::<u8>();
            for (q, quad) in quads.into_iter().enumerate() {
                _mm512_storeu_si512(to.add(q * VECTOR).cast(), quad);
            }
            let scales = scales::<C>(block.add(C::LAYOUT.span_at(g)), block.add(C::LAYOUT.scales_at(g)));
            let to = panel.scales(i).cast::<f32>();
            _mm512_storeu_ps(to, scales[0]);
            _mm512_storeu_ps(to.add(ROWS), scales[1]);
        }
    }
}

/// # Safety
/// As [`tile`].
unsafe fn tile_of<const M: usize, const B: usize>(
    kind: Kind,
    panels: [Panel; B],
    left: Left,
    groups: usize,
    target: Target,
) {
    // SAFETY: the caller's promise. Which formats share a kind does not matter here.
    unsafe {
        match kind {
            Kind::Plain { .. } => tile::<Q8_0, M, B>(panels, left, groups, target),
            Kind::Min => tile::<Q4K, M, B>(panels, left, groups, target),
            Kind::Halves => tile::<Q6K, M, B>(panels, left, groups, target),
        }
    }
}

/// Four codes of x for all lanes.
///
/// # Safety
/// Four codes are readable.
#[inline(always)]
unsafe fn four(codes: *const i8) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_set1_epi32(codes.cast::<i32>().read_unaligned()) }
}

/// M rows of x and B panels, for the kind of C.
///
/// # Safety
/// As [`Kernel::tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn tile<C: Codes, const M: usize, const B: usize>(
    panels: [Panel; B],
    left: Left,
    groups: usize,
    target: Target,
) {
    // SAFETY of every load and store below: groups, rows and columns are inside what the pointers cover (the
    // caller's promise), and masked lanes are not touched.
    let mut y = [[_mm512_setzero_ps(); B]; M];
    if !target.fresh {
        for (m, y) in y.iter_mut().enumerate() {
            for (b, y) in y.iter_mut().enumerate() {
                let place = target.y.wrapping_add(m * target.stride + b * ROWS);
                // SAFETY: as above.
                *y = unsafe { _mm512_maskz_loadu_ps(lanes(target.cols, b * ROWS), place) };
            }
        }
    }
    for g in 0..groups {
        // SAFETY: as above.
        unsafe {
            macro_rules! dots {
                ($quads:expr, $start:expr, $scale:expr) => {{
                    let mut sums = [[_mm512_setzero_si512(); B]; M];
                    if C::KIND != Kind::Min {
                        for (m, sums) in sums.iter_mut().enumerate() {
                            *sums = [_mm512_set1_epi32(*left.starts.add(m * left.start_stride + $start)); B];
                        }
                    }
                    for q in $quads {
                        let mut w = [_mm512_setzero_si512(); B];
                        for (w, panel) in w.iter_mut().zip(&panels) {
                            *w = _mm512_loadu_si512(panel.codes(g).cast::<u8>().add(q * VECTOR).cast());
                        }
                        for (m, sums) in sums.iter_mut().enumerate() {
                            let x = four(left.codes.add(m * left.code_stride + g * GROUP + 4 * q));
                            for (sum, w) in sums.iter_mut().zip(w) {
                                *sum = _mm512_dpbusd_epi32(*sum, w, x);
                            }
                        }
                    }
                    for (b, panel) in panels.iter().enumerate() {
                        let scale = _mm512_loadu_ps(panel.scales(g).cast::<f32>().add($scale * ROWS));
                        for (m, (y, sums)) in y.iter_mut().zip(sums).enumerate() {
                            let x_scale = _mm512_set1_ps(*left.scales.add(m * left.scale_stride + g));
                            let factor = _mm512_mul_ps(scale, x_scale);
                            y[b] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[b]), factor, y[b]);
                        }
                    }
                }};
            }
            match C::KIND {
                Kind::Plain { .. } => dots!(0..8, g, 0),
                Kind::Min => {
                    dots!(0..8, 0, 0);
                    for (b, panel) in panels.iter().enumerate() {
                        let min = _mm512_loadu_ps(panel.scales(g).cast::<f32>().add(ROWS));
                        for (m, y) in y.iter_mut().enumerate() {
                            let x_sum = _mm512_set1_ps(*left.mins.add(m * left.scale_stride + g));
                            y[b] = _mm512_fmadd_ps(min, x_sum, y[b]);
                        }
                    }
                }
                Kind::Halves => {
                    dots!(0..4, 2 * g, 0);
                    dots!(4..8, 2 * g + 1, 1);
                }
            }
        }
    }
    for (m, y) in y.into_iter().enumerate() {
        for (b, y) in y.into_iter().enumerate() {
            let place = target.y.wrapping_add(m * target.stride + b * ROWS);
            // SAFETY: as above.
            unsafe { _mm512_mask_storeu_ps(place, lanes(target.cols, b * ROWS), y) };
        }
    }
}

/// The lanes of columns first.. that are less than `cols`.
#[inline(always)]
fn lanes(cols: usize, first: usize) -> __mmask16 {
    match cols.saturating_sub(first) {
        left if left >= 16 => !0,
        left => (1 << left) - 1,
    }
}

/// How far ahead of its use a block is asked for, into the second cache: the processor's own prefetching stops at
/// the end of a page, and requests into the first cache would hold its few fill buffers for as long as memory
/// takes. Bandwidth of two threads at Q4_0 where plain reads have 30 GB/s: nothing 20, first cache 27, second
/// 28.5, second far ahead and first just ahead 30.
pub(super) const AHEAD: usize = 16384;

/// How far ahead it is then moved to the first cache.
const NEAR: usize = 1152;

/// M rows of x with a block as it is: one pass over its memory.
///
/// # Safety
/// As [`Kernel::few`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn few<C: Codes, const M: usize>(block: *const u8, left: Left, groups: usize, target: Target) {
    let mut y = [_mm512_setzero_ps(); M];
    let (mut span, mut pair) = (block, block.wrapping_add(C::LAYOUT.header));
    for g in (0..groups).step_by(2) {
        for line in 0..C::LAYOUT.pair_bytes() / VECTOR {
            _mm_prefetch::<_MM_HINT_T1>(pair.wrapping_add(AHEAD + line * VECTOR).cast());
            _mm_prefetch::<_MM_HINT_T0>(pair.wrapping_add(NEAR + line * VECTOR).cast());
        }
        // A layout that ends with half a pair has one group in it.
        for half in 0..(groups - g).min(2) {
            // SAFETY: group g + half is in the block and in the rows of x.
            unsafe {
                let codes = pair.add(VECTOR + half * C::LAYOUT.codes);
                let scales = scales::<C>(span, pair.add(half * 32));
                add_group::<C, M>(codes, scales, left.from(0, g + half, C::KIND), &mut y);
            }
        }
        pair = pair.wrapping_add(C::LAYOUT.pair_bytes());
        if C::LAYOUT.header > 0 && (g / 2 + 1) % C::LAYOUT.pairs == 0 {
            _mm_prefetch::<_MM_HINT_T1>(pair.wrapping_add(AHEAD).cast());
            span = pair;
            pair = pair.wrapping_add(C::LAYOUT.header);
        }
    }
    for (m, y) in y.into_iter().enumerate() {
        let place = target.y.wrapping_add(m * target.stride);
        // SAFETY: row m is inside the target, and masked lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(place, lanes(target.cols, 0), y) };
    }
}

/// Adds the products of one group of M rows of x, at which `left` is, to their sums.
///
/// # Safety
/// The machine has the instructions; a group of codes begins at `codes`; `left` has M rows.
#[inline(always)]
unsafe fn add_group<C: Codes, const M: usize>(
    codes: *const u8,
    scales: [__m512; 2],
    left: Left,
    y: &mut [__m512; M],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let quads = quads::<C>(codes);
        for (m, y) in y.iter_mut().enumerate() {
            let left = left.from(m, 0, C::KIND);
            let x_scale = _mm512_set1_ps(*left.scales);
            // Two chains, so that a group waits for four dot products and not for eight.
            let mut sums = [_mm512_setzero_si512(); 2];
            if C::KIND != Kind::Min {
                sums[0] = _mm512_set1_epi32(*left.starts);
            }
            if C::KIND == Kind::Halves {
                sums[1] = _mm512_set1_epi32(*left.starts.add(1));
            }
            for q in 0..4 {
                sums[0] = _mm512_dpbusd_epi32(sums[0], quads[q], four(left.codes.add(4 * q)));
                sums[1] = _mm512_dpbusd_epi32(sums[1], quads[q + 4], four(left.codes.add(4 * q + 16)));
            }
            let factor = _mm512_mul_ps(scales[0], x_scale);
            if C::KIND == Kind::Halves {
                *y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[0]), factor, *y);
                let factor = _mm512_mul_ps(scales[1], x_scale);
                *y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[1]), factor, *y);
            } else {
                let sum = _mm512_add_epi32(sums[0], sums[1]);
                *y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, *y);
            }
            if C::KIND == Kind::Min {
                *y = _mm512_fmadd_ps(scales[1], _mm512_set1_ps(*left.mins), *y);
            }
        }
    }
}

/// M rows of x with a float block; `F` is 0 for F32, 1 for BF16, 2 for F16.
///
/// # Safety
/// As [`Kernel::float_tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
unsafe fn float_rows<const F: usize, const M: usize>(
    block: *const u8,
    left: FloatLeft,
    cols: usize,
    target: Target,
) {
    let mut y = [[_mm512_setzero_ps(); 2]; M];
    let width = if F == 0 { 4 } else { 2 };
    for k in 0..cols {
        // SAFETY: column k is in the block and in the rows of x.
        unsafe {
            let column = block.add(k * FLOAT_ROWS * width);
            for line in 0..FLOAT_ROWS * width / VECTOR {
                _mm_prefetch::<_MM_HINT_T1>(column.wrapping_add(AHEAD + line * VECTOR).cast());
                _mm_prefetch::<_MM_HINT_T0>(column.wrapping_add(NEAR + line * VECTOR).cast());
            }
            let w = match F {
                0 => [_mm512_loadu_ps(column.cast()), _mm512_loadu_ps(column.add(VECTOR).cast())],
                1 => {
                    let both = _mm512_loadu_si512(column.cast());
                    let high = _mm512_and_si512(both, _mm512_set1_epi32(0xffff_0000_u32 as i32));
                    [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(both)), _mm512_castsi512_ps(high)]
                }
                _ => {
                    let half = |at: usize| _mm256_loadu_si256(column.add(at).cast());
                    [_mm512_cvtph_ps(half(0)), _mm512_cvtph_ps(half(32))]
                }
            };
            for (m, y) in y.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*left.x.add(m * left.stride + k));
                y[0] = _mm512_fmadd_ps(w[0], x, y[0]);
                y[1] = _mm512_fmadd_ps(w[1], x, y[1]);
            }
        }
    }
    for (m, y) in y.into_iter().enumerate() {
        for (b, y) in y.into_iter().enumerate() {
            let place = target.y.wrapping_add(m * target.stride + b * ROWS);
            // SAFETY: row m is inside the target, and masked lanes are not touched.
            unsafe { _mm512_mask_storeu_ps(place, lanes(target.cols, b * ROWS), y) };
        }
    }
}
