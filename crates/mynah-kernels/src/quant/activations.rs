//! The rows of a step, quantised for products with block-quantised weights.

use super::blocks::{GROUP, Kind};
use crate::nn::simd::{Simd, kernel};
use crate::pool::{self, Shared};

/// Values that one task quantises at least.
const GRAIN: usize = 16 * 1024;

/// Below this, a group counts as zeros: the reciprocal of its scale would overflow.
const SMALLEST: f32 = 1e-34;

/// The nearest integers of x / scale for scale = max|x| / 127, ties to even, and the scale. A group with a NaN
/// or an infinity has the scale NaN, so that every product with it is NaN. The twin of `quantise`.
pub(super) fn quantise_group(x: &[f32; GROUP]) -> ([i8; GROUP], f32) {
    if x.iter().any(|x| !x.is_finite()) {
        return ([0; GROUP], f32::NAN);
    }
    let greatest = x.iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
    if greatest < SMALLEST {
        return ([0; GROUP], 0.0);
    }
    (x.map(|x| (x * (127.0 / greatest)).round_ties_even() as i8), greatest / 127.0)
}

/// M rows of K values as int8 with a scale for each group, and what the kernels add for the offsets and
/// minima of each kind of weights.
#[derive(Debug, Default)]
pub(super) struct Activations {
    /// (M, K)
    codes: Vec<i8>,
    /// (M, G)
    scales: Vec<f32>,
    /// Sums of the codes of each half group, (M, 2G).
    sums: Vec<i32>,
    /// For each offset in use: −offset · Σ codes, (M, G), or (M, 2G) of the half groups.
    starts: [Vec<i32>; 3],
    /// scale · Σ codes, (M, G).
    mins: Vec<f32>,
    groups: usize,
}

/// Rows of [`Activations`] as the kernels read them, from some row and group on.
#[derive(Clone, Copy)]
pub(super) struct Left {
    /// Codes of the first row; rows are `code_stride` apart.
    pub codes: *const i8,
    pub code_stride: usize,
    /// Scales of the first row; rows are `scale_stride` apart.
    pub scales: *const f32,
    pub scale_stride: usize,
    /// Where the integer sums begin: one value a group (two with [`Kind::Halves`]); unused with [`Kind::Min`].
    pub starts: *const i32,
    pub start_stride: usize,
    /// Factors of the minima, as the scales; used with [`Kind::Min`] only.
    pub mins: *const f32,
}

// SAFETY: the pointers are read from only, into buffers that are not written while tasks run.
unsafe impl Send for Left {}
// SAFETY: as above.
unsafe impl Sync for Left {}

impl Left {
    /// The same rows from row `m` and group `g` on, for weights of `kind`.
    pub(super) fn from(self, m: usize, g: usize, kind: Kind) -> Left {
        let starts = if kind == Kind::Halves { 2 * g } else { g };
        Left {
            codes: self.codes.wrapping_add(m * self.code_stride + g * GROUP),
            scales: self.scales.wrapping_add(m * self.scale_stride + g),
            starts: self.starts.wrapping_add(m * self.start_stride + starts),
            mins: self.mins.wrapping_add(m * self.scale_stride + g),
            ..self
        }
    }
}

impl Activations {
    /// Quantises x, rows of `cols` values. What [`Activations::left`] gives is made by [`Activations::prepare`].
    pub(super) fn set(&mut self, x: &[f32], cols: usize) {
        self.groups = cols / GROUP;
        let groups = x.len() / GROUP;
        self.codes.resize(x.len(), 0);
        self.scales.resize(groups, 0.0);
        self.sums.resize(2 * groups, 0);
        let (codes, scales) = (Shared::new(&mut self.codes), Shared::new(&mut self.scales));
        let sums = Shared::new(&mut self.sums);
        pool::run_ranges(groups, GRAIN / GROUP, |range| {
            // SAFETY: ranges of groups are disjoint, and so are their codes, scales and sums.
            let (codes, scales, sums) = unsafe {
                (
                    codes.slice(range.start * GROUP..range.end * GROUP),
                    scales.slice(range.clone()),
                    sums.slice(2 * range.start..2 * range.end),
                )
            };
            quantise(&x[range.start * GROUP..range.end * GROUP], codes, scales, sums);
        });
    }

    /// Makes what weights of `kind` need besides.
    pub(super) fn prepare(&mut self, kind: Kind) {
        match kind {
            Kind::Min => {
                self.mins.resize(self.scales.len(), 0.0);
                for ((min, scale), sums) in
                    self.mins.iter_mut().zip(&self.scales).zip(self.sums.chunks_exact(2))
                {
                    *min = scale * (sums[0] + sums[1]) as f32;
                }
            }
            Kind::Halves => {
                let starts = &mut self.starts[start_slot(kind)];
                starts.clear();
                starts.extend(self.sums.iter().map(|sum| -kind.offset() * sum));
            }
            Kind::Plain { offset } => {
                let starts = &mut self.starts[start_slot(kind)];
                starts.clear();
                starts.extend(self.sums.chunks_exact(2).map(|sums| -offset * (sums[0] + sums[1])));
            }
        }
    }

    /// All rows, for weights of a kind that was prepared.
    pub(super) fn left(&self, kind: Kind) -> Left {
        let starts = &self.starts[start_slot(kind)];
        Left {
            codes: self.codes.as_ptr(),
            code_stride: self.groups * GROUP,
            scales: self.scales.as_ptr(),
            scale_stride: self.groups,
            starts: starts.as_ptr(),
            start_stride: if kind == Kind::Halves { 2 * self.groups } else { self.groups },
            mins: self.mins.as_ptr(),
        }
    }
}

/// Which of the three lists of starts; [`Kind::Min`] has none and names any.
fn start_slot(kind: Kind) -> usize {
    match kind {
        Kind::Plain { offset: 8 } => 0,
        Kind::Plain { .. } => 1,
        Kind::Halves | Kind::Min => 2,
    }
}

kernel! { fn quantise(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [i32]) = quantise_body }

#[inline(always)]
fn quantise_body<S: Simd>(s: S, x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    const { assert!(GROUP.is_multiple_of(2 * S::LANES)) };
    let half = GROUP / 2 / S::LANES;
    let groups = x.as_chunks::<GROUP>().0.iter().zip(codes.as_chunks_mut::<GROUP>().0);
    for ((x, codes), (scale, sums)) in groups.zip(scales.iter_mut().zip(sums.as_chunks_mut::<2>().0)) {
        let (mut greatest, mut zero) = (s.splat(0.0), s.splat(0.0));
        for i in (0..GROUP).step_by(S::LANES) {
            let x = s.load_at(x, i);
            greatest = s.max(s.abs(x), greatest);
            // Not zero after something that is not finite.
            zero = s.mul_add(x, s.splat(0.0), zero);
        }
        let greatest = s.greatest(greatest);
        if s.sum(zero) != 0.0 || greatest < SMALLEST {
            codes.fill(0);
            *sums = [0; 2];
            *scale = if greatest < SMALLEST && s.sum(zero) == 0.0 { 0.0 } else { f32::NAN };
            continue;
        }
        *scale = greatest / 127.0;
        let factor = s.splat(127.0 / greatest);
        for (h, sum) in sums.iter_mut().enumerate() {
            let mut total = s.splat(0.0);
            for v in h * half..(h + 1) * half {
                let code = s.round(s.mul(s.load_at(x, v * S::LANES), factor));
                total = s.add(total, code);
                // SAFETY: a vector of the group's codes.
                unsafe { s.store_i8(codes.as_mut_ptr().add(v * S::LANES), code) };
            }
            // Integers of at most 16 · 127: exact.
            *sum = s.sum(total) as i32;
        }
    }
}
