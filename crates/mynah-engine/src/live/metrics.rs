//! What the engine counts.

use std::collections::BTreeMap;
use std::time::Duration;

/// Upper bounds of the step time buckets in milliseconds; one more bucket takes the rest.
pub const STEP_BUCKETS_MS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// How requests with some weights ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightsEnds {
    /// All samples were completed.
    pub completed: u64,
    /// Those that failed in the engine, but for those that were told that their weights were replaced.
    pub failed: u64,
    /// Those of them whose logits were no numbers.
    pub broken: u64,
}

/// Counters since the start, and the state after the last step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Sequences that wait.
    pub queued: usize,
    /// Sequences that run.
    pub running: usize,
    /// Pages held by sequences.
    pub pages_used: usize,
    /// Pages nobody holds.
    pub pages_free: usize,
    /// Pages that only the prefix cache holds.
    pub pages_cached: usize,
    /// All pages.
    pub pages: usize,
    /// Tokens of prompts that were read or found.
    pub prompt_tokens: u64,
    /// Those of them that were found in the prefix cache.
    pub prefix_hit_tokens: u64,
    /// Tokens that the model read, prompts and completions and what was read again.
    pub step_tokens: u64,
    /// Tokens sampled.
    pub completion_tokens: u64,
    /// Tokens that were guessed and checked.
    pub drafted_tokens: u64,
    /// Those of them that were right.
    pub accepted_tokens: u64,
    /// Times the draft model failed; the step went on without its guesses.
    pub draft_failures: u64,
    /// Steps of the model.
    pub steps: u64,
    /// Their times by [`STEP_BUCKETS_MS`].
    pub step_time_counts: [u64; STEP_BUCKETS_MS.len() + 1],
    /// Their total time in microseconds.
    pub step_time_total_us: u64,
    /// Sequences put back because pages ran out or somebody of higher rank came.
    pub preemptions: u64,
    /// Requests that ended because the client did.
    pub cancellations: u64,
    /// Requests that ended with an error.
    pub failures: u64,
    /// Requests whose samples were all completed.
    pub completed: u64,
    /// The number of the weights that requests get.
    pub weights: u32,
    /// How many requests under way have been given which weights.
    pub weights_requests: BTreeMap<u32, usize>,
    /// How requests ended, by the weights that they were given last; of weights that are still there.
    pub weights_ends: BTreeMap<u32, WeightsEnds>,
}

impl Metrics {
    pub(super) fn step_took(&mut self, time: Duration) {
        let time_us = time.as_micros() as u64;
        let bucket = STEP_BUCKETS_MS.iter().position(|&bound_ms| time_us <= bound_ms * 1000);
        self.step_time_counts[bucket.unwrap_or(STEP_BUCKETS_MS.len())] += 1;
        self.step_time_total_us += time_us;
        self.steps += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_times_fall_into_their_buckets() {
        let mut metrics = Metrics::default();
        for time_us in [0, 1000, 1001, 5_000_000, 5_000_001] {
            metrics.step_took(Duration::from_micros(time_us));
        }
        let counts = metrics.step_time_counts;
        assert_eq!((counts[0], counts[1], counts[11], counts[12]), (2, 1, 1, 1));
        assert_eq!((metrics.steps, metrics.step_time_total_us), (5, 10_002_002));
    }
}
