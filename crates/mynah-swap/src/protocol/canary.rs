//! Whether a canary may become the version.

/// A canary: both versions live, a share of requests on the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanarySpec {
    /// Requests in a million that the new version answers.
    pub share_ppm: u32,
    /// How long it lasts at least.
    pub duration_ms_min: u64,
    /// Requests and probes that must have been answered before it can pass.
    pub requests_min: u64,
    /// Failed requests in a million beyond the old version's that are tolerated.
    pub errors_ppm_max: u32,
    /// Probes in a million whose logits may differ from what the new version's own cold run gives.
    pub mismatches_ppm_max: u32,
}

/// What was counted since the canary began; cumulative, of one replica or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CanaryStats {
    /// Requests that the new version answered.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Steps with a NaN among the logits.
    pub nans: u64,
    /// Probes that ran.
    pub probes: u64,
    /// Probes with other logits than expected.
    pub mismatches: u64,
    /// Requests that the old version answered in the same time.
    pub base_requests: u64,
    /// Those that failed.
    pub base_errors: u64,
}

impl CanaryStats {
    /// The sum of two replicas.
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            errors: self.errors.saturating_add(other.errors),
            nans: self.nans.saturating_add(other.nans),
            probes: self.probes.saturating_add(other.probes),
            mismatches: self.mismatches.saturating_add(other.mismatches),
            base_requests: self.base_requests.saturating_add(other.base_requests),
            base_errors: self.base_errors.saturating_add(other.base_errors),
        }
    }
}

/// What to do about a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryVerdict {
    /// Not enough is known.
    Wait,
    /// It may become the version.
    Pass,
    /// It must go, for this reason.
    Fail(String),
}

/// Judges a canary after `elapsed_ms`. A NaN fails it at once; errors and mismatches as soon as they are more than
/// what is tolerated of the requests wanted; it passes when time and requests are enough.
pub fn judge(spec: &CanarySpec, stats: &CanaryStats, elapsed_ms: u64) -> CanaryVerdict {
    let fail = |reason: String| CanaryVerdict::Fail(reason);
    if stats.nans > 0 {
        return fail(format!("{} steps with NaN among the logits", stats.nans));
    }
    let share_ppm = |part: u64, of: u64| u128::from(part) * 1_000_000 / u128::from(of.max(1));
    // Early on a share of few requests says little: the count is held against the requests that are wanted.
    let mismatch_ppm = share_ppm(stats.mismatches, stats.probes.max(spec.requests_min.min(100)));
    if mismatch_ppm > u128::from(spec.mismatches_ppm_max) {
        return fail(format!("{} of {} probes gave other logits", stats.mismatches, stats.probes));
    }
    let base_ppm = share_ppm(stats.base_errors, stats.base_requests);
    let error_ppm = share_ppm(stats.errors, stats.requests.max(spec.requests_min));
    if error_ppm > base_ppm + u128::from(spec.errors_ppm_max) {
        return fail(format!(
            "{} of {} requests failed on the new version, {} of {} on the old",
            stats.errors, stats.requests, stats.base_errors, stats.base_requests
        ));
    }
    if elapsed_ms >= spec.duration_ms_min && stats.requests + stats.probes >= spec.requests_min {
        CanaryVerdict::Pass
    } else {
        CanaryVerdict::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let spec = CanarySpec {
            share_ppm: 50_000,
            duration_ms_min: 1_000,
            requests_min: 100,
            errors_ppm_max: 10_000,
            mismatches_ppm_max: 0,
        };
        let stats = |requests, errors, nans, mismatches, base_errors| CanaryStats {
            requests,
            errors,
            nans,
            probes: 20,
            mismatches,
            base_requests: 1_000,
            base_errors,
        };
        let check = |stats: CanaryStats, elapsed_ms, expect: &str| {
            let found = match judge(&spec, &stats, elapsed_ms) {
                CanaryVerdict::Wait => "wait".to_string(),
                CanaryVerdict::Pass => "pass".to_string(),
                CanaryVerdict::Fail(reason) => reason,
            };
            assert!(found.contains(expect), "{found}, not {expect}");
        };
        check(stats(100, 0, 0, 0, 0), 1_000, "pass");
        check(stats(100, 0, 0, 0, 0), 999, "wait");
        check(stats(10, 0, 0, 0, 0), 5_000, "wait");
        check(stats(100, 1, 0, 0, 0), 1_000, "pass");
        check(stats(100, 2, 0, 0, 0), 1_000, "2 of 100 requests failed");
        check(stats(100, 2, 0, 0, 20), 1_000, "pass");
        check(stats(1, 1, 0, 0, 0), 10, "wait");
        check(stats(2, 2, 0, 0, 0), 10, "requests failed");
        check(stats(1, 0, 1, 0, 0), 10, "NaN");
        check(stats(100, 0, 0, 1, 0), 5_000, "probes");
    }
}
