//! Which weights the model has, and which of them a request is computed with.
//!
//! A request is given its weights when its first sample is admitted, and all its samples have the same. They stay
//! with it unless weights are chosen whose policy says otherwise ([`InFlight`]), so a text is written by one version
//! or says where another one took over ([`WeightsSpan`]).

use std::collections::BTreeSet;

/// What becomes of the requests under way when other weights are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// They end with the weights they began with.
    Finish,
    /// They go on with the new weights over the keys and values of the old ones.
    Continue,
    /// Their tokens are read again with the new weights before they go on.
    Recompute,
    /// They fail with [`ErrorKind::Replaced`](crate::ErrorKind::Replaced).
    Abort,
}

/// Consecutive tokens of a completion that the same weights chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightsSpan {
    /// The number that the weights were installed under.
    pub weights: u32,
    /// How many tokens, the one that ended the completion included.
    pub tokens: usize,
}

/// The weights of an engine by number; a model begins with 0.
#[derive(Debug)]
pub(super) struct WeightsTable {
    installed: BTreeSet<u32>,
    chosen: u32,
    /// Other weights for a share of the requests.
    trial: Option<Trial>,
}

/// Weights that are tried on a share of the requests.
#[derive(Clone, Copy, Debug)]
struct Trial {
    weights: u32,
    /// Of a thousand requests.
    permille: u32,
    /// What is left of earlier requests' shares; a trial's turn comes at 1,000.
    credit: u32,
}

impl WeightsTable {
    /// Only the model's first weights.
    pub fn new() -> Self {
        Self { installed: BTreeSet::from([0]), chosen: 0, trial: None }
    }

    pub fn has(&self, weights: u32) -> bool {
        self.installed.contains(&weights)
    }

    /// What requests get that are on no trial.
    pub fn chosen(&self) -> u32 {
        self.chosen
    }

    /// Whether requests with these weights are left alone when others are chosen.
    pub fn is_on_trial(&self, weights: u32) -> bool {
        self.trial.is_some_and(|trial| trial.weights == weights)
    }

    /// All numbers, growing.
    pub fn installed(&self) -> Vec<u32> {
        self.installed.iter().copied().collect()
    }

    pub fn install(&mut self, weights: u32) {
        self.installed.insert(weights);
    }

    pub fn remove(&mut self, weights: u32) {
        self.installed.remove(&weights);
        if self.is_on_trial(weights) {
            self.trial = None;
        }
    }

    pub fn choose(&mut self, weights: u32) {
        self.chosen = weights;
        if self.is_on_trial(weights) {
            self.trial = None;
        }
    }

    /// Gives this share of the requests to come to other weights; 0 ends a trial.
    pub fn try_out(&mut self, weights: u32, permille: u32) {
        let trial = Trial { weights, permille: permille.min(1000), credit: 0 };
        self.trial = (permille > 0).then_some(trial);
    }

    /// The weights of the next request.
    pub fn next(&self) -> u32 {
        match self.trial {
            Some(trial) if trial.credit + trial.permille >= 1000 => trial.weights,
            _ => self.chosen,
        }
    }

    /// The next request has been given its weights.
    pub fn advance(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.credit = (trial.credit + trial.permille) % 1000;
        }
    }
}

/// Adds chosen tokens to the spans of a completion.
pub(super) fn extend_spans(spans: &mut Vec<WeightsSpan>, weights: u32, tokens: usize) {
    match spans.last_mut() {
        _ if tokens == 0 => {}
        Some(last) if last.weights == weights => last.tokens += tokens,
        _ => spans.push(WeightsSpan { weights, tokens }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_gets_its_share_evenly() {
        let mut table = WeightsTable::new();
        table.install(1);
        let turns = |table: &mut WeightsTable, count: usize| {
            let turn = |_| {
                let weights = table.next();
                table.advance();
                weights
            };
            (0..count).map(turn).collect::<Vec<u32>>()
        };
        assert_eq!(turns(&mut table, 3), [0, 0, 0]);
        table.try_out(1, 250);
        assert_eq!(turns(&mut table, 8), [0, 0, 0, 1, 0, 0, 0, 1]);
        table.try_out(1, 1000);
        assert_eq!(turns(&mut table, 2), [1, 1]);
        table.remove(1);
        assert_eq!(turns(&mut table, 2), [0, 0]);
    }

    #[test]
    fn spans_join() {
        let mut spans = Vec::new();
        for (weights, tokens) in [(0, 2), (0, 1), (3, 0), (1, 4), (0, 1)] {
            extend_spans(&mut spans, weights, tokens);
        }
        let expect = [(0, 3), (1, 4), (0, 1)].map(|(weights, tokens)| WeightsSpan { weights, tokens });
        assert_eq!(spans, expect);
    }
}
