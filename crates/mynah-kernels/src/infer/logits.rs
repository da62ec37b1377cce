//! What happens to a row of logits before one is chosen.

use super::GRAIN;
use crate::nn::math;
use crate::nn::simd::{Simd, kernel};
use crate::pool::{self, Shared};

/// x ← cap · tanh(x / cap), in place (Gemma 2, section 2).
///
/// # Panics
/// If cap is not positive.
pub fn softcap(x: &mut [f32], cap: f32) {
    assert!(cap > 0.0, "softcap: cap is {cap}");
    let len = x.len();
    let x = Shared::new(x);
    pool::run_ranges(len, GRAIN, |range| {
        // SAFETY: `run_ranges` hands out disjoint ranges.
        softcap_part(unsafe { x.slice(range) }, cap);
    });
}

kernel! { fn softcap_part(x: &mut [f32], cap: f32) = softcap_body }

#[inline(always)]
fn softcap_body<S: Simd>(s: S, x: &mut [f32], cap: f32) {
    let (cap, inverse) = (s.splat(cap), s.splat(1.0 / cap));
    for i in (0..x.len()).step_by(S::LANES) {
        s.store_at(x, i, s.mul(cap, math::tanh(s, s.mul(s.load_at(x, i), inverse))));
    }
}

/// Values whose greatest is looked at first.
const CHUNK: usize = 64;

/// The places of the `k` greatest values (all of them when there are fewer), greatest first, equal ones in
/// the order of their places. A NaN counts as less than everything.
pub fn top_k(x: &[f32], k: usize, places: &mut Vec<u32>) {
    places.clear();
    if k == 0 || x.is_empty() {
        return;
    }
    // The k-th greatest of the chunks' greatest values: at least k values are not below it, and rarely many more.
    let mut greatest = vec![f32::NEG_INFINITY; x.len().div_ceil(CHUNK)];
    chunk_greatest(x, &mut greatest);
    let bound = if k >= greatest.len() {
        f32::NEG_INFINITY
    } else {
        let mut order = greatest.clone();
        *order.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
    };
    for (chunk, (values, &top)) in x.chunks(CHUNK).zip(&greatest).enumerate() {
        // With no bound every value may be among them, a NaN too.
        if top >= bound {
            for (i, value) in values.iter().enumerate() {
                if *value >= bound || bound == f32::NEG_INFINITY {
                    places.push((chunk * CHUNK + i) as u32);
                }
            }
        }
    }
    let key = |place: u32| {
        let value = x[place as usize];
        if value.is_nan() { f32::NEG_INFINITY } else { value + 0.0 }
    };
    let before = |&a: &u32, &b: &u32| {
        let nan = x[a as usize].is_nan().cmp(&x[b as usize].is_nan());
        key(b).total_cmp(&key(a)).then(nan).then(a.cmp(&b))
    };
    if places.len() > k {
        places.select_nth_unstable_by(k - 1, before);
        places.truncate(k);
    }
    places.sort_unstable_by(before);
}

kernel! { fn chunk_greatest(x: &[f32], greatest: &mut [f32]) = chunk_greatest_body }

#[inline(always)]
fn chunk_greatest_body<S: Simd>(s: S, x: &[f32], greatest: &mut [f32]) {
    for (chunk, greatest) in x.chunks(CHUNK).zip(greatest) {
        if chunk.len() < CHUNK {
            // `f32::max` passes over NaN.
            *greatest = chunk.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            continue;
        }
        let mut top = s.splat(f32::NEG_INFINITY);
        for i in (0..CHUNK).step_by(S::LANES) {
            // The second operand comes out when one is NaN: the values before it.
            top = s.max(s.load_at(chunk, i), top);
        }
        *greatest = s.greatest(top);
    }
}
