//! Two histories of metrics, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::Point;

/// How far values may be apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Tolerance {
    /// Bit by bit; any NaN equals any other.
    #[default]
    Exact,
    /// Within `absolute + relative × |recorded|`.
    Within {
        /// In units of the metric.
        absolute: f64,
        /// As a share of the recorded value.
        relative: f64,
    },
}

impl Tolerance {
    fn admits(self, recorded: f64, reproduced: f64) -> bool {
        if recorded.is_nan() || reproduced.is_nan() {
            return recorded.is_nan() && reproduced.is_nan();
        }
        match self {
            Tolerance::Exact => recorded.to_bits() == reproduced.to_bits(),
            Tolerance::Within { absolute, relative } => {
                recorded == reproduced
                    || (recorded - reproduced).abs() <= absolute + relative * recorded.abs()
            }
        }
    }
}

/// One point that is not the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// At which step.
    pub step: i64,
    /// In which metric.
    pub key: String,
    /// In which way.
    pub kind: DifferenceKind,
}

/// In which way two histories differ at a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Both have a value.
    Value {
        /// In the bundle.
        recorded: f64,
        /// Now.
        reproduced: f64,
    },
    /// Only the bundle has one.
    Missing {
        /// In the bundle.
        recorded: f64,
    },
    /// Only the run now has one.
    Extra {
        /// Now.
        reproduced: f64,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { step, key, kind } = self;
        match kind {
            DifferenceKind::Value { recorded, reproduced } => {
                write!(f, "step {step}: {key} is {reproduced:?}, recorded was {recorded:?}")?;
                let apart = (reproduced - recorded).abs();
                if apart.is_finite() { write!(f, " (apart by {apart:e})") } else { Ok(()) }
            }
            DifferenceKind::Missing { recorded } => {
                write!(f, "step {step}: {key} is missing, recorded was {recorded:?}")
            }
            DifferenceKind::Extra { reproduced } => {
                write!(f, "step {step}: {key} is {reproduced:?}, nothing was recorded")
            }
        }
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Points that both have and that are the same.
    pub same: u64,
    /// Points that differ in any way.
    pub different: u64,
    /// The first of them: lowest step, then the metric's name.
    pub first: Option<Difference>,
    /// For each metric that differs, its first difference.
    pub by_key: BTreeMap<String, Difference>,
    /// Metrics that were left out because they depend on the machine.
    pub ignored: BTreeSet<String>,
}

impl Comparison {
    /// Whether there was something to compare, and all of it is the same.
    pub fn is_same(&self) -> bool {
        self.different == 0 && self.same > 0
    }
}

/// Whether a metric tells of the machine and not of the model: times, rates, use of processors and memory.
pub fn is_machine_dependent(key: &str) -> bool {
    const NAMES: [&str; 8] = [
        "seconds",
        "tokens_per_second",
        "utilisation",
        "utilization",
        "elapsed",
        "memory",
        "wall_time",
        "mfu",
    ];
    let last = key.rsplit(['.', '/']).next().unwrap_or(key);
    let suffixes = ["_seconds", "_per_second", "_ms", "_us", "_ns", "_utilisation", "_utilization"];
    NAMES.contains(&last) || suffixes.iter().any(|suffix| last.ends_with(suffix)) || key.starts_with("system")
}

/// Compares what was recorded with what came out now. `ignore` says which metrics are left out.
pub fn compare(
    recorded: &[Point],
    reproduced: &[Point],
    tolerance: Tolerance,
    ignore: &dyn Fn(&str) -> bool,
) -> Comparison {
    let mut comparison = Comparison::default();
    let mut by_step = |points: &[Point]| -> BTreeMap<(i64, String), f64> {
        let mut latest: BTreeMap<(i64, String), (i64, f64)> = BTreeMap::new();
        for point in points {
            if ignore(&point.key) {
                comparison.ignored.insert(point.key.clone());
                continue;
            }
            // Of points of one step the latest is the one that counts: a resumed run repeats some.
            let slot =
                latest.entry((point.step, point.key.clone())).or_insert((point.timestamp_ms, point.value));
            if point.timestamp_ms >= slot.0 {
                *slot = (point.timestamp_ms, point.value);
            }
        }
        latest.into_iter().map(|(place, (_, value))| (place, value)).collect()
    };
    let (recorded, reproduced) = (by_step(recorded), by_step(reproduced));
    let places: BTreeSet<&(i64, String)> = recorded.keys().chain(reproduced.keys()).collect();
    for place in places {
        let kind = match (recorded.get(place), reproduced.get(place)) {
            (Some(recorded), Some(reproduced)) if tolerance.admits(*recorded, *reproduced) => {
                comparison.same += 1;
                continue;
            }
            (Some(recorded), Some(reproduced)) => {
                DifferenceKind::Value { recorded: *recorded, reproduced: *reproduced }
            }
            (Some(recorded), None) => DifferenceKind::Missing { recorded: *recorded },
            (None, Some(reproduced)) => DifferenceKind::Extra { reproduced: *reproduced },
            (None, None) => continue,
        };
        let difference = Difference { step: place.0, key: place.1.clone(), kind };
        comparison.different += 1;
        comparison.by_key.entry(place.1.clone()).or_insert_with(|| difference.clone());
        comparison.first.get_or_insert(difference);
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(list: &[(&str, i64, f64)]) -> Vec<Point> {
        let point = |(i, (key, step, value)): (usize, &(&str, i64, f64))| Point {
            key: key.to_string(),
            value: *value,
            timestamp_ms: i as i64,
            step: *step,
        };
        list.iter().enumerate().map(point).collect()
    }

    fn check(a: &[(&str, i64, f64)], b: &[(&str, i64, f64)], tolerance: Tolerance, expect: &str) {
        let comparison = compare(&points(a), &points(b), tolerance, &is_machine_dependent);
        let first = comparison.first.as_ref().map_or("same".to_string(), Difference::to_string);
        assert_eq!(first, expect);
        assert_eq!(comparison.is_same(), expect == "same");
    }

    #[test]
    fn the_first_difference_is_named() {
        let run = [("loss", 1, 0.1 + 0.2), ("loss", 2, f64::NAN), ("seconds", 1, 3.0), ("bpb", 2, -0.0)];
        check(&run, &run, Tolerance::Exact, "same");
        let slower = [("loss", 1, 0.1 + 0.2), ("loss", 2, -f64::NAN), ("seconds", 1, 4.0), ("bpb", 2, -0.0)];
        check(&run, &slower, Tolerance::Exact, "same");
        let last_bit = [("loss", 1, 0.3), ("loss", 2, f64::NAN), ("bpb", 2, 0.0)];
        let says = "step 1: loss is 0.3, recorded was 0.30000000000000004 (apart by 5.551115123125783e-17)";
        check(&run, &last_bit, Tolerance::Exact, says);
        check(&run, &last_bit, Tolerance::Within { absolute: 0.0, relative: 1e-12 }, "same");
        check(&run, &run[1..], Tolerance::Exact, "step 1: loss is missing, recorded was 0.30000000000000004");
        check(&run[..3], &run, Tolerance::Exact, "step 2: bpb is -0.0, nothing was recorded");
        let number = [("loss", 1, 0.1 + 0.2), ("loss", 2, 1.0), ("bpb", 2, -0.0)];
        check(
            &run,
            &number,
            Tolerance::Within { absolute: 9.0, relative: 9.0 },
            "step 2: loss is 1.0, recorded was NaN",
        );
        let infinite = [("loss", 1, f64::INFINITY)];
        check(&infinite, &infinite, Tolerance::Within { absolute: 0.0, relative: 0.1 }, "same");
    }

    #[test]
    fn the_latest_point_of_a_step_counts_and_nothing_is_not_the_same() {
        let resumed = [("loss", 1, 5.0), ("loss", 1, 4.0)];
        check(&resumed, &[("loss", 1, 4.0)], Tolerance::Exact, "same");
        assert!(!compare(&[], &[], Tolerance::Exact, &is_machine_dependent).is_same());
        let only_times = points(&[("seconds", 1, 1.0)]);
        let comparison = compare(&only_times, &only_times, Tolerance::Exact, &is_machine_dependent);
        assert!(!comparison.is_same() && comparison.ignored.contains("seconds"));
        assert!(is_machine_dependent("train/step_ms") && is_machine_dependent("system/cpu"));
        assert!(
            !is_machine_dependent("loss") && !is_machine_dependent("tokens") && !is_machine_dependent("lms")
        );
    }
}
