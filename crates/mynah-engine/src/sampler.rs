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
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    /// (id, weight) with weight = p / p of the most likely id.
    candidates: Vec<(u32, f64)>,
}

impl Sampler {
    /// One id for these logits `(V)`. −∞ marks an id that may not be chosen.
    ///
    /// # Errors
    /// [`ErrorKind::Logits`] when a logit is NaN or +∞, or all are −∞.
    pub fn sample(&mut self, logits: &[f32], options: &SamplingOptions, rng: &mut Rng) -> Result<u32> {
        if options.temperature == 0.0 {
            return greatest(logits).map(|(id, _)| id);
        }
        let kept = self.distribution(logits, options)?;
        let total: f64 = kept.iter().map(|&(_, weight)| weight).sum();
        let mut rest = rng.uniform() * total;
        for &(id, weight) in kept {
            rest -= weight;
            if rest < 0.0 {
                return Ok(id);
            }
        }
        // Rounding can leave a hair; it belongs to the last candidate with any weight.
        Ok(kept.iter().rev().find(|&&(_, weight)| weight > 0.0).map_or(kept[0].0, |&(id, _)| id))
    }

    /// The ids that the filters leave with their weights relative to the most likely one, most likely
    /// first where a filter had to sort them. Never empty.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn distribution(&mut self, logits: &[f32], options: &SamplingOptions) -> Result<&[(u32, f64)]> {
        let (_, maximum) = greatest(logits)?;
        let maximum = f64::from(maximum);
        // A temperature of 0 is the limit: all the weight on the greatest logit.
        let inverse = 1.0 / options.temperature.max(1e-6);
        self.candidates.clear();
        self.candidates.extend(
            logits.iter().enumerate().filter(|&(_, &logit)| logit > f32::NEG_INFINITY).map(|(id, &logit)| {
                // exp keeps the order of the logits; below −745 it is zero anyway.
                (id as u32, ((f64::from(logit) - maximum) * inverse).exp())
            }),
        );
        if options.top_k > 0 && options.top_k < self.candidates.len() {
            let order = by_logit(logits);
            self.candidates.select_nth_unstable_by(options.top_k - 1, order);
            self.candidates.truncate(options.top_k);
            self.candidates.sort_unstable_by(by_logit(logits));
        }
        if options.top_p < 1.0 {
            self.keep_top_p(logits, options.top_p);
        }
        if options.min_p > 0.0 {
            self.candidates.retain(|&(_, weight)| weight >= options.min_p);
        }
        Ok(&self.candidates)
    }

    /// Keeps the shortest list in falling order that reaches `top_p` of the weight.
    fn keep_top_p(&mut self, logits: &[f32], top_p: f64) {
        let goal = top_p * self.candidates.iter().map(|&(_, weight)| weight).sum::<f64>();
        // Sorting a whole vocabulary costs more than the rest of sampling; the goal is mostly reached
        // within a few of the most likely ids, so sort a growing part only.
        let len = self.candidates.len();
        let mut sorted = 0;
        let mut sum = 0.0;
        while sorted < len {
            let end = (sorted * 8).max(64).min(len);
            if end < len {
                self.candidates[sorted..].select_nth_unstable_by(end - sorted - 1, by_logit(logits));
            }
            self.candidates[sorted..end].sort_unstable_by(by_logit(logits));
            for at in sorted..end {
                sum += self.candidates[at].1;
                if sum >= goal {
                    self.candidates.truncate(at + 1);
                    return;
                }
            }
            sorted = end;
        }
    }
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
    let mut best = (0u32, f32::NEG_INFINITY);
    for (id, &logit) in logits.iter().enumerate() {
        if logit.is_nan() || logit == f32::INFINITY {
            let message = format!(
                "logit {id} of {} is {logit}: the model's weights or its input are broken; \
                 check the checkpoint, or train again with a lower learning rate",
                logits.len()
            );
            return Err(Error::new(ErrorKind::Logits, message));
        }
        if logit > best.1 {
            best = (id as u32, logit);
        }
    }
    if best.1 == f32::NEG_INFINITY {
        let message = format!("none of the {} logits allows a token", logits.len());
        return Err(Error::new(ErrorKind::Logits, message));
    }
    Ok(best)
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
