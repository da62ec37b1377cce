//! From the model's logits to one token of a request: bias, penalties, then the crate's sampler.

use std::collections::HashMap;

use super::request::TokenLogprobs;
use crate::error::{Error, ErrorKind, Result};
use crate::sampler::SamplingOptions;

/// How the tokens of a request are chosen.
///
/// The order is: logit bias; repetition, then presence and frequency penalties; the constraint's mask;
/// temperature; top-k, top-p, min-p, typical-p.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Temperature, filters and seed. Temperature 0 takes the greatest logit after bias, penalties and mask.
    pub options: SamplingOptions,
    /// Keep the tokens whose surprise is nearest to the expected one until they reach this probability
    /// (Meister et al., 2022); 1 keeps all.
    pub typical_p: f64,
    /// Divides positive and multiplies negative logits of tokens in the prompt or the completion
    /// (Keskar et al., 2019); 1 changes nothing.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens in the completion; −2 to 2.
    pub presence_penalty: f32,
    /// Subtracted for each time a token is in the completion; −2 to 2.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens; −100 to 100.
    pub logit_bias: Vec<(u32, f32)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            options: SamplingOptions::default(),
            typical_p: 1.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
        }
    }
}

impl Sampling {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self { options: SamplingOptions::greedy(), ..Self::default() }
    }

    /// Checks every option against its range.
    ///
    /// # Errors
    /// [`ErrorKind::Option`] that names the option, its value and the range.
    pub fn check(&self, vocab_size: usize) -> Result<()> {
        self.options.check()?;
        let refuse = |name: &str, value: f64, range: &str| {
            Err(Error::new(ErrorKind::Option, format!("{name} is {value}; it must be {range}")))
        };
        if !(self.typical_p > 0.0 && self.typical_p <= 1.0) {
            return refuse("typical_p", self.typical_p, "above 0 and at most 1 (1 keeps all tokens)");
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty <= 100.0) {
            let range = "above 0 and at most 100 (1 changes nothing)";
            return refuse("repetition_penalty", self.repetition_penalty.into(), range);
        }
        for (name, value) in
            [("presence_penalty", self.presence_penalty), ("frequency_penalty", self.frequency_penalty)]
        {
            if !(-2.0..=2.0).contains(&value) {
                return refuse(name, value.into(), "from -2 to 2");
            }
        }
        for &(id, bias) in &self.logit_bias {
            if id as usize >= vocab_size {
                let message = format!("logit_bias names token {id}; the model knows ids below {vocab_size}");
                return Err(Error::new(ErrorKind::Option, message));
            }
            if !(-100.0..=100.0).contains(&bias) {
                return refuse(&format!("logit_bias of token {id}"), bias.into(), "from -100 to 100");
            }
        }
        Ok(())
    }

    fn needs_prompt(&self) -> bool {
        self.repetition_penalty != 1.0
    }

    fn needs_completion(&self) -> bool {
        self.needs_prompt() || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0
    }
}

/// The tokens that penalties look at: for each how often it is in the completion.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(HashMap<u32, u32>);

impl Seen {
    /// The tokens of a prompt, where a penalty looks at them.
    pub fn of_prompt(prompt: &[u32], sampling: &Sampling) -> Self {
        if sampling.needs_prompt() {
            Self(prompt.iter().map(|&id| (id, 0)).collect())
        } else {
            Self::default()
        }
    }

    /// One more token of the completion.
    pub fn add(&mut self, id: u32, sampling: &Sampling) {
        if sampling.needs_completion() {
            *self.0.entry(id).or_default() += 1;
        }
    }

    /// Applies bias and penalties to a row of logits.
    pub fn adjust(&self, row: &mut [f32], sampling: &Sampling) {
        for &(id, bias) in &sampling.logit_bias {
            if let Some(logit) = row.get_mut(id as usize) {
                *logit += bias;
            }
        }
        if !sampling.needs_completion() {
            return;
        }
        for (&id, &count) in &self.0 {
            let Some(logit) = row.get_mut(id as usize) else { continue };
            if *logit > 0.0 {
                *logit /= sampling.repetition_penalty;
            } else {
                *logit *= sampling.repetition_penalty;
            }
            if count > 0 {
                *logit -= sampling.presence_penalty + sampling.frequency_penalty * count as f32;
            }
        }
    }
}

/// The log probability of `id` and of the `top` most likely tokens under softmax of a row.
///
/// # Errors
/// [`ErrorKind::Logits`] for NaN or +∞.
pub(super) fn logprobs(row: &[f32], id: u32, top: usize) -> Result<TokenLogprobs> {
    let log_sum = crate::sampler::log_sum_exp(row)?;
    let logprob = |id: u32| (f64::from(row[id as usize]) - log_sum) as f32;
    let order = |&a: &u32, &b: &u32| row[b as usize].total_cmp(&row[a as usize]).then(a.cmp(&b));
    let mut ids: Vec<u32> = Vec::new();
    if top > 0 {
        // The best so far, sorted; nearly all tokens fail the one comparison with the last of them.
        let top = top.min(row.len());
        let mut least = f32::NEG_INFINITY;
        for (candidate, &logit) in row.iter().enumerate() {
            if ids.len() == top && logit <= least {
                continue;
            }
            let candidate = candidate as u32;
            let place = ids.partition_point(|other| order(other, &candidate).is_lt());
            ids.insert(place, candidate);
            ids.truncate(top);
            least = row[ids[ids.len() - 1] as usize];
        }
    }
    Ok(TokenLogprobs { id, logprob: logprob(id), top: ids.into_iter().map(|id| (id, logprob(id))).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_follow_their_formulas() {
        let sampling = Sampling {
            repetition_penalty: 2.0,
            presence_penalty: 0.5,
            frequency_penalty: 0.25,
            logit_bias: vec![(0, 3.0)],
            ..Sampling::default()
        };
        let mut seen = Seen::of_prompt(&[1, 4], &sampling);
        seen.add(2, &sampling);
        seen.add(2, &sampling);
        seen.add(4, &sampling);
        let mut row = [1.0, 1.0, 1.0, 1.0, -1.0];
        seen.adjust(&mut row, &sampling);
        assert_eq!(row, [4.0, 0.5, 0.5 - 1.0, 1.0, -2.0 - 0.75]);
    }

    #[test]
    fn logprobs_are_those_of_softmax() {
        let row: Vec<f32> = [0.5f32, 0.125, 0.25, 0.125].iter().map(|p| p.ln()).collect();
        let found = logprobs(&row, 1, 3).unwrap();
        assert_eq!(found.top.iter().map(|&(id, _)| id).collect::<Vec<_>>(), [0, 2, 1]);
        for (&(id, logprob), p) in found.top.iter().zip([0.5f32, 0.25, 0.125]) {
            assert!((logprob - p.ln()).abs() < 1e-6, "{id}: {logprob}");
        }
        assert!((found.logprob - 0.125f32.ln()).abs() < 1e-6);
        assert!(logprobs(&row, 1, 0).unwrap().top.is_empty());
        assert_eq!(logprobs(&row, 1, 99).unwrap().top.len(), 4);
    }

    #[test]
    fn options_are_checked() {
        let message = |sampling: Sampling| sampling.check(10).unwrap_err().to_string();
        assert!(message(Sampling { typical_p: 0.0, ..Sampling::default() }).starts_with("typical_p is 0;"));
        assert!(message(Sampling { repetition_penalty: f32::NAN, ..Sampling::default() }).contains("NaN"));
        assert!(message(Sampling { presence_penalty: 2.5, ..Sampling::default() }).contains("from -2 to 2"));
        assert!(
            message(Sampling { logit_bias: vec![(10, 1.0)], ..Sampling::default() }).contains("ids below 10")
        );
        assert!(
            message(Sampling { logit_bias: vec![(1, 101.0)], ..Sampling::default() }).contains("token 1")
        );
        assert!(Sampling::default().check(10).is_ok());
    }
}
