//! From logits to one token id.
//!
//! The filters narrow the choice in a fixed order, each on what the one before left:
//!
//! 1. temperature T: p = softmax(logits / T); T = 0 means the greatest logit, and nothing below applies;
//! 2. top-k: the k most likely ids;
//! 3. top-p (Holtzman et al., 2020): of those, renormalised, the shortest list in falling order whose
//!    probabilities sum to at least p;
//! 4. min-p (Nguyen et al., 2024): of those, the ids at least p times as likely as the most likely one.
//!
//! Equal logits are ordered by the smaller id, so that every set is well defined. One draw takes one
//! number from the row's own stream ([`row_rng`]): a row gives the same text whatever its neighbours do.

use mynah_base::Rng;

use crate::error::{Error, ErrorKind, Result};

/// How to choose the next token.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// 0 always takes the most likely token; 1 samples from the model's own distribution.
    pub temperature: f64,
    /// Keep only this many of the most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the most likely tokens that together reach this probability; 1 keeps all.
    pub top_p: f64,
    /// Drop tokens less likely than this fraction of the most likely one; 0 keeps all.
    pub min_p: f64,
    /// The seed of the random streams, one for each row.
    pub seed: u64,
}

impl Default for SamplingOptions {
    /// Temperature 1, no filter, seed 0.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 0 }
    }
}

impl SamplingOptions {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks every option against its range.
    ///
    /// # Errors
    /// [`ErrorKind::Option`] that names the option, its value and the range.
    pub fn check(&self) -> Result<()> {
        let refuse = |name: &str, value: f64, range: &str| {
            Err(Error::new(ErrorKind::Option, format!("{name} is {value}; it must be {range}")))
        };
        if !(0.0..=100.0).contains(&self.temperature) {
            return refuse("temperature", self.temperature, "from 0 (greedy) to 100");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse("top-p", self.top_p, "above 0 and at most 1 (1 keeps all tokens)");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return refuse("min-p", self.min_p, "from 0 (keeps all tokens) to 1");
        }
        Ok(())
    }
}

/// The random stream of row `row` under `seed`.
pub fn row_rng(seed: u64, row: u64) -> Rng {
    Rng::for_item(seed, row)
}

/// Chooses tokens; keeps its working memory between calls.
///
/// Vocabularies have 150,000 ids, so nothing here sorts all of them. Without a filter one vectorised pass weighs the
/// ids and a second one, over sums of blocks, finds the drawn one; every filter first narrows the ids by a bound that
/// one pass can check.
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    /// (id, weight) with weight = p / p of the most likely id.
    candidates: Vec<(u32, f64)>,
    /// The weights of all ids.
    weights: Vec<f32>,
}

/// Ids whose weights are summed together before a draw walks through them.
const BLOCK: usize = 256;

impl Sampler {
    /// One id for these logits `(V)`. −∞ marks an id that may not be chosen.
    ///
    /// # Errors
    /// [`ErrorKind::Logits`] when a logit is NaN or +∞, or all are −∞.
    pub fn sample(&mut self, logits: &[f32], options: &SamplingOptions, rng: &mut Rng) -> Result<u32> {
        self.sample_typical(logits, options, 1.0, rng)
    }

    /// The same with locally typical sampling (Meister et al., 2022) after the other filters: of what they left, the
    /// ids whose surprise −ln p is nearest to the expected one, until they reach probability `typical_p`.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_typical(
        &mut self,
        logits: &[f32],
        options: &SamplingOptions,
        typical_p: f64,
        rng: &mut Rng,
    ) -> Result<u32> {
        let (best, maximum) = greatest(logits)?;
        if options.temperature == 0.0 {
            return Ok(best);
        }
        let keeps_all = options.top_k == 0 || options.top_k >= logits.len();
        if keeps_all && options.top_p >= 1.0 && options.min_p <= 0.0 && typical_p >= 1.0 {
            return Ok(self.draw_from_all(logits, maximum, options, rng));
        }
        self.filter(logits, maximum, options);
        if typical_p < 1.0 {
            self.keep_typical(typical_p);
        }
        let kept = &self.candidates;
        let total: f64 = kept.iter().map(|&(_, weight)| weight).sum();
        let mut rest = rng.uniform() * total;
        for &(id, weight) in kept {
            rest -= weight;
            if rest < 0.0 {
                return Ok(id);
            }
        }
        // Rounding can leave a hair; it belongs to the last candidate with any weight.
        Ok(kept.iter().rev().find(|&&(_, weight)| weight > 0.0).map_or(best, |&(id, _)| id))
    }

    /// The ids that the filters leave with their weights relative to the most likely one, in an order that depends on
    /// the filters. Never empty.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn distribution(&mut self, logits: &[f32], options: &SamplingOptions) -> Result<&[(u32, f64)]> {
        let (_, maximum) = greatest(logits)?;
        self.filter(logits, maximum, options);
        Ok(&self.candidates)
    }

    /// Draws one of all ids.
    fn draw_from_all(
        &mut self,
        logits: &[f32],
        maximum: f32,
        options: &SamplingOptions,
        rng: &mut Rng,
    ) -> u32 {
        weigh(logits, maximum, inverse(options), &mut self.weights);
        let total = sum(&self.weights);
        let mut rest = rng.uniform() * total;
        let mut last = 0;
        for (block, weights) in self.weights.chunks(BLOCK).enumerate() {
            let sum = block_sum(weights);
            if rest >= sum {
                rest -= sum;
                continue;
            }
            for (place, &weight) in weights.iter().enumerate() {
                if weight > 0.0 {
                    last = block * BLOCK + place;
                    rest -= f64::from(weight);
                    if rest < 0.0 {
                        return last as u32;
                    }
                }
            }
            // Sums in another order can leave a hair; it belongs to the last id of the block.
            return last as u32;
        }
        self.weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(last) as u32
    }

    /// Applies top-k, top-p and min-p.
    fn filter(&mut self, logits: &[f32], maximum: f32, options: &SamplingOptions) {
        // exp keeps the order of the logits; below −745 it is zero anyway.
        let scale = inverse(options);
        let weight = |logit: f32| ((f64::from(logit) - f64::from(maximum)) * scale).exp();
        let weighted = |(id, &logit): (usize, &f32)| (id as u32, weight(logit));
        self.candidates.clear();
        if options.top_k > 0 && options.top_k < logits.len() {
            self.keep_top_k(logits, options.top_k);
            self.candidates.iter_mut().for_each(|(id, value)| *value = weight(logits[*id as usize]));
            if options.top_p < 1.0 {
                let goal = options.top_p * self.candidates.iter().map(|&(_, weight)| weight).sum::<f64>();
                keep_until(&mut self.candidates, goal, by_logit(logits));
            }
        } else if options.top_p < 1.0 {
            weigh(logits, maximum, scale, &mut self.weights);
            self.keep_top_p_of_all(logits, options.top_p);
            self.candidates.iter_mut().for_each(|(id, value)| *value = weight(logits[*id as usize]));
        } else {
            // A hair less than min-p, because this bound is rounded otherwise than the weights.
            let least = (f64::from(maximum) + options.min_p.max(f64::MIN_POSITIVE).ln() / scale) as f32;
            let least = least - least.abs() * 1e-5;
            let kept = |&(_, logit): &(usize, &f32)| *logit >= least && *logit > f32::NEG_INFINITY;
            self.candidates.extend(logits.iter().enumerate().filter(kept).map(weighted));
        }
        if options.min_p > 0.0 {
            self.candidates.retain(|&(_, weight)| weight >= options.min_p);
        }
    }

    /// The `top_k` greatest logits, falling; the weights are not set.
    fn keep_top_k(&mut self, logits: &[f32], top_k: usize) {
        // Gathers what is above the least of the best so far, and cuts when twice too many have come.
        let room = (top_k * 2).max(64);
        let mut least = f32::NEG_INFINITY;
        for (id, &logit) in logits.iter().enumerate() {
            if logit > least {
                self.candidates.push((id as u32, 0.0));
                if self.candidates.len() >= room {
                    self.candidates.select_nth_unstable_by(top_k - 1, by_logit(logits));
                    least = logits[self.candidates[top_k - 1].0 as usize];
                    self.candidates.truncate(top_k);
                }
            }
        }
        self.candidates.sort_unstable_by(by_logit(logits));
        self.candidates.truncate(top_k);
    }

    /// Of all ids, whose `weights` are set, keeps the shortest list in falling order that reaches `top_p`.
    ///
    /// Ids are counted into bins by the leading bits of their weights, eight bins for each factor of two. All ids of the
    /// bins above the one where the goal is reached are in the list, in whatever order; only that one bin is sorted.
    fn keep_top_p_of_all(&mut self, logits: &[f32], top_p: f64) {
        const SHIFT: u32 = f32::MANTISSA_DIGITS - 1 - 3;
        let bin = |weight: f32| (weight.to_bits() >> SHIFT) as usize;
        let mut masses = [0.0f64; (1.0f32.to_bits() >> SHIFT) as usize + 1];
        for &weight in &self.weights {
            masses[bin(weight)] += f64::from(weight);
        }
        let mut rest = top_p * masses.iter().sum::<f64>();
        let mut last = masses.len() - 1;
        while last > 0 && masses[last] < rest {
            rest -= masses[last];
            last -= 1;
        }
        let mut boundary = Vec::new();
        for (id, &weight) in self.weights.iter().enumerate() {
            let bin = bin(weight);
            if bin > last {
                self.candidates.push((id as u32, 0.0));
            } else if bin == last && weight > 0.0 {
                boundary.push((id as u32, f64::from(weight)));
            }
        }
        keep_until(&mut boundary, rest, by_logit(logits));
        self.candidates.append(&mut boundary);
    }

    /// Keeps the ids of the most typical surprise until they reach `typical_p` of the weight.
    fn keep_typical(&mut self, typical_p: f64) {
        let total: f64 = self.candidates.iter().map(|&(_, weight)| weight).sum();
        // Surprise is −ln(weight / total); the constant drops out of the difference to its expectation.
        let expected: f64 = self
            .candidates
            .iter()
            .filter(|&&(_, weight)| weight > 0.0)
            .map(|&(_, weight)| -weight.ln() * weight / total)
            .sum();
        let total = typical_p * total;
        // The distances once for all, because sorting asks for each many times.
        let mut typical: Vec<Typical> = self
            .candidates
            .iter()
            .filter(|&&(_, weight)| weight > 0.0)
            .map(|&(id, weight)| Typical { distance: (-weight.ln() - expected).abs(), id, weight })
            .collect();
        keep_until(&mut typical, total, |a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
        self.candidates.clear();
        self.candidates.extend(typical.into_iter().map(|typical| (typical.id, typical.weight)));
    }
}

/// A candidate with the distance of its surprise from the expected one.
struct Typical {
    distance: f64,
    id: u32,
    weight: f64,
}

/// What has a weight that is to be summed up.
trait Weighted {
    fn weight(&self) -> f64;
}

impl Weighted for (u32, f64) {
    fn weight(&self) -> f64 {
        self.1
    }
}

impl Weighted for Typical {
    fn weight(&self) -> f64 {
        self.weight
    }
}

/// The factor of logits at a temperature; 0 is the limit: all the weight on the greatest logit.
fn inverse(options: &SamplingOptions) -> f64 {
    1.0 / options.temperature.max(1e-6)
}

/// Keeps the shortest list in this order whose weights reach `goal`, sorted. Sorting everything costs more than the
/// rest of sampling, and the goal is mostly reached within a few ids, so only a growing part is sorted.
fn keep_until<T: Weighted>(candidates: &mut Vec<T>, goal: f64, order: impl Fn(&T, &T) -> std::cmp::Ordering) {
    let len = candidates.len();
    let mut sorted = 0;
    let mut sum = 0.0;
    while sorted < len {
        let end = (sorted * 8).max(64).min(len);
        if end < len {
            candidates[sorted..].select_nth_unstable_by(end - sorted - 1, &order);
        }
        candidates[sorted..end].sort_unstable_by(&order);
        for at in sorted..end {
            sum += candidates[at].weight();
            if sum >= goal {
                candidates.truncate(at + 1);
                return;
            }
        }
        sorted = end;
    }
}

/// The sum of weights, block by block.
fn sum(weights: &[f32]) -> f64 {
    weights.chunks(BLOCK).map(block_sum).sum()
}

/// The sum of at most [`BLOCK`] weights, in lanes side by side.
fn block_sum(block: &[f32]) -> f64 {
    let mut lanes = [0.0f32; 8];
    let chunks = block.chunks_exact(lanes.len());
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, &weight) in lanes.iter_mut().zip(chunk) {
            *lane += weight;
        }
    }
    f64::from(lanes.iter().sum::<f32>() + rest)
}

/// exp((logit − maximum) · scale) of all logits, at most 1; 0 for −∞.
fn weigh(logits: &[f32], maximum: f32, scale: f64, weights: &mut Vec<f32>) {
    let scale = scale as f32;
    weights.clear();
    weights.extend(logits.iter().map(|&logit| exp_not_above_1((logit - maximum) * scale)));
}

/// exp(x) for x ≤ 0, with a relative error below 4·10⁻⁷; 0 below −87, where f32 has no normal numbers left.
///
/// x = n·ln 2 + r with whole n and |r| ≤ ln 2 / 2; exp(r) by its Taylor polynomial, 2ⁿ by its bits. There is no
/// branch and no call in it, so a loop over it is vectorised.
#[inline]
fn exp_not_above_1(x: f32) -> f32 {
    /// Adding 1.5·2²³ rounds to a whole number that then lies in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.max(-87.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that n·ln 2 loses nothing.
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    let exponent = (shifted.to_bits().wrapping_sub(ROUND.to_bits())).wrapping_add(127) << 23;
    let value = p * f32::from_bits(exponent);
    if x < -87.0 { 0.0 } else { value }
}

/// ln Σ exp(logit): what to subtract from a logit for its log probability.
///
/// # Errors
/// As [`greatest`].
pub(crate) fn log_sum_exp(logits: &[f32]) -> Result<f64> {
    let (_, maximum) = greatest(logits)?;
    let mut weights = Vec::with_capacity(logits.len());
    weigh(logits, maximum, 1.0, &mut weights);
    Ok(f64::from(maximum) + sum(&weights).ln())
}

/// Falling by logit, then rising by id.
fn by_logit(logits: &[f32]) -> impl Fn(&(u32, f64), &(u32, f64)) -> std::cmp::Ordering + '_ {
    |a, b| logits[b.0 as usize].total_cmp(&logits[a.0 as usize]).then(a.0.cmp(&b.0))
}

/// The greatest logit and the smallest id that has it.
///
/// # Errors
/// [`ErrorKind::Logits`] when a logit is NaN or +∞, or all are −∞.
pub fn greatest(logits: &[f32]) -> Result<(u32, f32)> {
    // Lanes side by side, without a branch, so that the loop is vectorised.
    let mut lanes = [f32::NEG_INFINITY; 16];
    let mut is_broken = false;
    let chunks = logits.chunks_exact(lanes.len());
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = if logit > *lane { logit } else { *lane };
            is_broken |= logit.is_nan() | (logit == f32::INFINITY);
        }
    }
    for &logit in rest {
        lanes[0] = if logit > lanes[0] { logit } else { lanes[0] };
        is_broken |= logit.is_nan() | (logit == f32::INFINITY);
    }
    if is_broken && let Some(id) = logits.iter().position(|&logit| logit.is_nan() || logit == f32::INFINITY) {
        let message = format!(
            "logit {id} of {} is {}: the model's weights or its input are broken; \
             check the checkpoint, or train again with a lower learning rate",
            logits.len(),
            logits[id]
        );
        return Err(Error::new(ErrorKind::Logits, message));
    }
    let best = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    match logits.iter().position(|&logit| logit == best) {
        Some(id) if best > f32::NEG_INFINITY => Ok((id as u32, best)),
        _ => {
            let message = format!("none of the {} logits allows a token", logits.len());
            Err(Error::new(ErrorKind::Logits, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits of these probabilities.
    fn logits(probabilities: &[f64]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() as f32).collect()
    }

    fn kept(logits: &[f32], options: &SamplingOptions) -> Vec<u32> {
        let mut ids: Vec<u32> =
            Sampler::default().distribution(logits, options).unwrap().iter().map(|&(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    fn check_kept(probabilities: &[f64], options: SamplingOptions, expect: &[u32]) {
        assert_eq!(kept(&logits(probabilities), &options), expect, "{options:?}");
    }

    #[test]
    fn filters_keep_exactly_their_sets() {
        let p = [0.1, 0.4, 0.05, 0.25, 0.2];
        let all = SamplingOptions::default;
        check_kept(&p, all(), &[0, 1, 2, 3, 4]);
        check_kept(&p, SamplingOptions { top_k: 2, ..all() }, &[1, 3]);
        check_kept(&p, SamplingOptions { top_k: 1, ..all() }, &[1]);
        check_kept(&p, SamplingOptions { top_k: 99, ..all() }, &[0, 1, 2, 3, 4]);
        check_kept(&p, SamplingOptions { top_p: 0.39, ..all() }, &[1]);
        check_kept(&p, SamplingOptions { top_p: 0.41, ..all() }, &[1, 3]);
        check_kept(&p, SamplingOptions { top_p: 0.66, ..all() }, &[1, 3, 4]);
        check_kept(&p, SamplingOptions { top_p: 0.96, ..all() }, &[0, 1, 2, 3, 4]);
        check_kept(&p, SamplingOptions { min_p: 0.49, ..all() }, &[1, 3, 4]);
        check_kept(&p, SamplingOptions { min_p: 0.51, ..all() }, &[1, 3]);
        check_kept(&p, SamplingOptions { min_p: 1.0, ..all() }, &[1]);
        // Among the best three (0.4, 0.25, 0.2 of 0.85) the first two reach 0.76.
        check_kept(&p, SamplingOptions { top_k: 3, top_p: 0.75, ..all() }, &[1, 3]);
        // A low temperature sharpens before the filters see it: 0.4² to 0.25² is 0.39.
        check_kept(&p, SamplingOptions { temperature: 0.5, min_p: 0.5, ..all() }, &[1]);
    }

    #[test]
    fn ties_go_to_the_smaller_id() {
        let flat = [0.0f32; 300];
        assert_eq!(kept(&flat, &SamplingOptions { top_k: 3, ..Default::default() }), [0, 1, 2]);
        let half = kept(&flat, &SamplingOptions { top_p: 0.5, ..Default::default() });
        assert_eq!(half, (0..150).collect::<Vec<u32>>());
        assert_eq!(greatest(&[1.0, 2.0, 2.0]).unwrap(), (1, 2.0));
    }

    #[test]
    fn top_p_agrees_with_a_full_sort() {
        let mut rng = Rng::new(3);
        for _ in 0..50 {
            let n = 1 + rng.index(2000);
            let logits: Vec<f32> = (0..n).map(|_| (rng.normal() * 2.0) as f32).collect();
            let top_p = rng.uniform_in(0.01, 0.999);
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let total: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
            let mut sum = 0.0;
            let mut expect: Vec<u32> = Vec::new();
            for id in order {
                expect.push(id as u32);
                sum += f64::from(logits[id]).exp() / total;
                if sum >= top_p {
                    break;
                }
            }
            expect.sort_unstable();
            assert_eq!(kept(&logits, &SamplingOptions { top_p, ..Default::default() }), expect);
        }
    }

    /// Pearson's statistic of 100,000 draws against the expected distribution.
    fn chi_square(probabilities: &[f64], options: &SamplingOptions, expect: &[f64]) -> f64 {
        let logits = logits(probabilities);
        let (mut sampler, mut rng) = (Sampler::default(), row_rng(options.seed, 0));
        let draws = 100_000;
        let mut counts = vec![0usize; probabilities.len()];
        for _ in 0..draws {
            counts[sampler.sample(&logits, options, &mut rng).unwrap() as usize] += 1;
        }
        let mut statistic = 0.0;
        for (&count, &p) in counts.iter().zip(expect) {
            if p == 0.0 {
                assert_eq!(count, 0, "drew an id that the filters exclude: {counts:?}");
            } else {
                statistic += (count as f64 - p * draws as f64).powi(2) / (p * draws as f64);
            }
        }
        statistic
    }

    #[test]
    fn draws_follow_the_distribution() {
        let p = [0.1, 0.4, 0.05, 0.25, 0.2];
        let all = SamplingOptions { seed: 11, ..Default::default() };
        // 18.5 is the 99.9% point of chi-square with 4 degrees of freedom, 10.8 with 1.
        assert!(chi_square(&p, &all, &p) < 18.5);
        let hot: Vec<f64> = p.iter().map(|p| p.sqrt()).collect();
        let total: f64 = hot.iter().sum();
        let hot: Vec<f64> = hot.iter().map(|p| p / total).collect();
        assert!(chi_square(&p, &SamplingOptions { temperature: 2.0, ..all.clone() }, &hot) < 18.5);
        let two = [0.0, 0.4 / 0.65, 0.0, 0.25 / 0.65, 0.0];
        assert!(chi_square(&p, &SamplingOptions { top_k: 2, ..all.clone() }, &two) < 10.8);
        assert!(chi_square(&p, &SamplingOptions { top_p: 0.6, ..all.clone() }, &two) < 10.8);
        assert!(chi_square(&p, &SamplingOptions { min_p: 0.6, ..all.clone() }, &two) < 10.8);
        // The test can fail: a wrong expectation is far outside.
        assert!(chi_square(&p, &all, &[0.12, 0.38, 0.05, 0.25, 0.2]) > 100.0);
    }

    #[test]
    fn rows_have_their_own_streams() {
        let logits = [0.0f32; 64];
        let draw = |row| {
            let (mut sampler, mut rng) = (Sampler::default(), row_rng(7, row));
            (0..16)
                .map(|_| sampler.sample(&logits, &SamplingOptions::default(), &mut rng).unwrap())
                .collect::<Vec<u32>>()
        };
        assert_eq!(draw(0), draw(0));
        assert_ne!(draw(0), draw(1));
    }

    #[test]
    fn the_fast_exponential_is_close() {
        let mut x = 0.0f32;
        while x > -86.9 {
            let (found, expect) = (f64::from(exp_not_above_1(x)), f64::from(x).exp());
            assert!((found / expect - 1.0).abs() < 4e-7, "exp({x}) is {expect}, found {found}");
            x -= 0.0137;
        }
        assert_eq!(exp_not_above_1(0.0), 1.0);
        assert_eq!((exp_not_above_1(-88.0), exp_not_above_1(f32::NEG_INFINITY)), (0.0, 0.0));
        let logits: Vec<f32> = (0..1000).map(|i| (i % 17) as f32 - 3.0).collect();
        let expect = logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        assert!((log_sum_exp(&logits).unwrap() - expect).abs() < 1e-6);
    }

    #[test]
    fn typical_sampling_keeps_the_nearest_surprise() {
        // Surprises 0.69, 1.39, 2.08, 2.08; expected 1.21: the second is nearest, then the first.
        let p = [0.5, 0.25, 0.125, 0.125];
        let kept = |typical_p: f64| {
            let (logits, mut sampler) = (logits(&p), Sampler::default());
            sampler.distribution(&logits, &SamplingOptions::default()).unwrap();
            sampler.keep_typical(typical_p);
            sampler.candidates.iter().map(|&(id, _)| id).collect::<Vec<u32>>()
        };
        assert_eq!(kept(0.2), [1]);
        assert_eq!(kept(0.3), [1, 0]);
        assert_eq!(kept(0.8), [1, 0, 2]);
        assert_eq!(kept(1.0), [1, 0, 2, 3]);
        // Sampling uses it: without it other ids are drawn too.
        let draws = |typical_p: f64| {
            let (logits, mut sampler, mut rng) = (logits(&p), Sampler::default(), Rng::new(1));
            let options = SamplingOptions::default();
            let mut draw = || sampler.sample_typical(&logits, &options, typical_p, &mut rng).unwrap();
            (0..100).map(|_| draw()).collect::<std::collections::BTreeSet<u32>>().len()
        };
        assert_eq!((draws(0.2), draws(1.0)), (1, 4));
    }

    #[test]
    fn excluded_ids_are_never_drawn() {
        let mut logits = vec![f32::NEG_INFINITY; 1000];
        (logits[300], logits[301], logits[999]) = (1.0, 1.0, -50.0);
        let (mut sampler, mut rng) = (Sampler::default(), Rng::new(5));
        for options in [
            SamplingOptions::default(),
            SamplingOptions { top_p: 0.999, ..Default::default() },
            SamplingOptions { top_k: 50, ..Default::default() },
            SamplingOptions { min_p: 0.1, ..Default::default() },
        ] {
            for _ in 0..500 {
                let id = sampler.sample(&logits, &options, &mut rng).unwrap();
                assert!(id == 300 || id == 301, "{id} with {options:?}");
            }
        }
    }

    #[test]
    fn broken_logits_are_an_error() {
        let mut sampler = Sampler::default();
        for broken in [vec![0.0, f32::NAN], vec![f32::INFINITY, 0.0], vec![f32::NEG_INFINITY; 3], vec![]] {
            for temperature in [0.0, 1.0] {
                let options = SamplingOptions { temperature, ..Default::default() };
                let error = sampler.sample(&broken, &options, &mut Rng::new(0)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Logits, "{broken:?}");
            }
        }
        let masked = [f32::NEG_INFINITY, 0.5, f32::NEG_INFINITY];
        assert_eq!(sampler.sample(&masked, &SamplingOptions::default(), &mut Rng::new(0)).unwrap(), 1);
    }

    #[test]
    fn extreme_logits_and_temperatures_do_not_break() {
        let mut sampler = Sampler::default();
        let logits = [f32::MAX, f32::MIN, 0.0];
        let cold = SamplingOptions { temperature: 1e-300, ..Default::default() };
        assert_eq!(sampler.sample(&logits, &cold, &mut Rng::new(0)).unwrap(), 0);
    }

    #[test]
    fn options_are_checked() {
        let message = |options: SamplingOptions| options.check().unwrap_err().to_string();
        assert_eq!(
            message(SamplingOptions { temperature: -1.0, ..Default::default() }),
            "temperature is -1; it must be from 0 (greedy) to 100"
        );
        assert!(message(SamplingOptions { temperature: f64::NAN, ..Default::default() }).contains("NaN"));
        assert!(message(SamplingOptions { top_p: 0.0, ..Default::default() }).contains("top-p is 0"));
        assert!(message(SamplingOptions { min_p: 1.5, ..Default::default() }).contains("min-p is 1.5"));
        assert!(SamplingOptions::default().check().is_ok());
        assert!(SamplingOptions::greedy().check().is_ok());
    }
}
