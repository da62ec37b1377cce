//! Elementary functions on vectors. Reductions and polynomials of exp and log after Cephes
//! (S. L. Moshier, `expf` and `logf`); errors are measured by the tests of the slice functions.

use super::simd::Simd;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts: the first has so few bits that its product with an exponent is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// (eʳ − 1, n) with eˣ = eʳ·2ⁿ and |r| ≤ ½ ln 2.
#[inline(always)]
fn exp_parts<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let n = s.round(s.mul(x, s.splat(LOG2_E)));
    let r = s.neg_mul_add(n, s.splat(LN_2_HIGH), x);
    let r = s.neg_mul_add(n, s.splat(LN_2_LOW), r);
    let mut p = s.splat(1.987_569_1e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = s.mul_add(p, r, s.splat(c));
    }
    (s.mul_add(s.mul(r, r), p, r), n)
}

/// eˣ; exact at the ends: 0 below −104, infinite above 88.73, NaN for NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    // The constant goes first so that a NaN in x survives.
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let (q, n) = exp_parts(s, x);
    s.scale(s.add(q, s.splat(1.0)), n)
}

/// tanh x = (e²ˣ − 1) / (e²ˣ + 1), from eʳ − 1 so that nothing cancels near 0.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // From 9.02 on the result rounds to 1.
    let a = s.min(s.splat(10.0), s.abs(x));
    let (q, n) = exp_parts(s, s.add(a, a));
    let power = s.scale(s.splat(1.0), n);
    let e = s.mul_add(power, q, s.sub(power, s.splat(1.0)));
    // A reciprocal estimate with Newton steps was slower: the division overlaps with the polynomial.
    s.copy_sign(s.div(e, s.add(e, s.splat(2.0))), x)
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let e = exp(s, s.sub(s.splat(0.0), x));
    s.div(s.splat(1.0), s.add(s.splat(1.0), e))
}

/// 2√(2/π)·(x + 0.044715x³) (Hendrycks and Gimpel 2016, section 2).
#[inline(always)]
pub(crate) fn gelu_inner_twice<S: Simd>(s: S, x: S::F) -> S::F {
    let square = s.mul(x, x);
    let factor = s.mul_add(square, s.splat(GELU_SCALE * 0.044_715), s.splat(GELU_SCALE));
    s.mul(x, factor)
}

/// 2√(2/π).
pub(crate) const GELU_SCALE: f32 = 1.595_769_2;

/// Natural logarithm; −∞ at 0, NaN below.
#[inline(always)]
pub(crate) fn log<S: Simd>(s: S, x: S::F) -> S::F {
    let subnormal = s.less(x, s.splat(f32::MIN_POSITIVE));
    let scaled = s.select(subnormal, s.mul(x, s.splat(8_388_608.0)), x);
    let (m, e) = s.split(scaled);
    let e = s.select(subnormal, s.sub(e, s.splat(23.0)), e);
    let high = s.less(s.splat(std::f32::consts::SQRT_2), m);
    let f = s.sub(s.select(high, s.mul(m, s.splat(0.5)), m), s.splat(1.0));
    let e = s.select(high, s.add(e, s.splat(1.0)), e);
    let mut p = s.splat(7.037_683_6e-2);
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = s.mul_add(p, f, s.splat(c));
    }
    let z = s.mul(f, f);
    let y = s.mul_add(e, s.splat(LN_2_LOW), s.mul(s.mul(f, z), p));
    let y = s.neg_mul_add(z, s.splat(0.5), y);
    let y = s.mul_add(e, s.splat(LN_2_HIGH), s.add(f, y));
    let y = s.select(s.less(x, s.splat(f32::INFINITY)), y, x);
    let y = s.select(s.less(x, s.splat(f32::from_bits(1))), s.splat(f32::NEG_INFINITY), y);
    s.select(s.less(x, s.splat(0.0)), s.splat(f32::NAN), y)
}

/// Σ a·b over four accumulators, which hide the latency of the additions.
#[inline(always)]
pub(crate) fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let mut i = 0;
    while i + 4 * S::LANES <= a.len() {
        for (j, sum) in sums.iter_mut().enumerate() {
            let at = i + j * S::LANES;
            *sum = s.mul_add(s.load_at(a, at), s.load_at(b, at), *sum);
        }
        i += 4 * S::LANES;
    }
    while i < a.len() {
        sums[0] = s.mul_add(s.load_at(a, i), s.load_at(b, i), sums[0]);
        i += S::LANES;
    }
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}
