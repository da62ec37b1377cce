//! Rules over the history of one metric. Pure: points in, findings out.

use std::collections::HashMap;

use mynah_ledger::{Metric, RunStatus, Sample};

use super::finding::Finding;
use super::policy::{NonFinite, Policy, matches};
use crate::repair::Action;
use crate::view::{RunView, Series};

/// Points of one kind that one message names.
const NAMED_MAX: usize = 5;

/// All rules over the metrics of a run.
pub(super) fn check(view: &RunView, policy: &Policy, out: &mut Vec<Finding>) {
    let subject = view.subject();
    if let Some(message) = time_range(view, policy) {
        out.push(Finding::new("metric.time-range", &subject, "metrics", message));
    }
    let latest: HashMap<&str, &Metric> = view.data.metrics.iter().map(|m| (m.key.as_str(), m)).collect();
    for series in &view.series {
        let place = format!("metric {}", series.key);
        let samples = match &series.samples {
            Ok(samples) => samples,
            Err(why) => {
                out.push(Finding::new("metric.damaged", &subject, place, why.clone()));
                continue;
            }
        };
        let differs = latest.get(series.key.as_str()).and_then(|metric| latest_differs(metric, samples));
        if let Some(message) = differs.filter(|_| view.is_settled) {
            out.push(Finding::new("metric.latest", &subject, place.clone(), message).with(Action::Mend));
        }
        let mut found = |rule, message: Option<String>| {
            if let Some(message) = message {
                out.push(Finding::new(rule, &subject, place.clone(), message));
            }
        };
        found("metric.non-finite", non_finite(series, samples, policy));
        if samples.windows(2).all(|pair| pair[0].step == pair[1].step) {
            // Logged without steps, as many clients do: nothing below means anything.
            continue;
        }
        let repeated = repeated_steps(samples);
        found("metric.duplicate-step", duplicates(&repeated));
        let back = back_in_time(samples, policy.timing.clock_tolerance_ms);
        if let Some((step, by_ms)) = back {
            // Steps that were taken twice show that the run went back; without them it was the clock.
            let rule = if repeated.is_empty() { "metric.clock" } else { "metric.step-order" };
            found(rule, Some(format!("at step {step} the time goes back by {by_ms} ms")));
        }
        found("metric.gap", gaps(samples, policy.timing.gap_factor));
    }
}

fn latest_differs(latest: &Metric, samples: &[Sample]) -> Option<String> {
    let Some(last) = samples.iter().copied().reduce(|a, b| if b.is_later_than(&a) { b } else { a }) else {
        return Some("there is a latest value and no point".to_string());
    };
    let same_value = last.value == latest.value || (last.value.is_nan() && latest.value.is_nan());
    // NaN counts as 0 in the order of the latest, so one of two equal points may be the NaN.
    let is_tie = samples.iter().any(|s| {
        (s.step, s.timestamp_ms) == (latest.step, latest.timestamp_ms)
            && (s.value == latest.value || (s.value.is_nan() && latest.value.is_nan()))
            && !last.is_later_than(s)
    });
    let same = same_value && (last.step, last.timestamp_ms) == (latest.step, latest.timestamp_ms);
    (!same && !is_tie).then(|| {
        format!(
            "the latest value is {} at step {}, the last point of the history {} at step {}",
            latest.value, latest.step, last.value, last.step
        )
    })
}

fn non_finite(series: &Series, samples: &[Sample], policy: &Policy) -> Option<String> {
    if policy.non_finite_allowed.iter().any(|pattern| matches(pattern, &series.key)) {
        return None;
    }
    let bad = |sample: &&Sample| !sample.value.is_finite();
    let found: Vec<&Sample> = match policy.non_finite {
        NonFinite::Allow => return None,
        NonFinite::Latest => samples.last().into_iter().filter(bad).collect(),
        NonFinite::Any => samples.iter().filter(bad).collect(),
    };
    let first = found.first()?;
    Some(match found.len() {
        1 => format!("the value at step {} is {}", first.step, first.value),
        count => {
            format!("{count} values are not finite, the first at step {} is {}", first.step, first.value)
        }
    })
}

/// One finding for the whole run: a client whose clock is wrong is wrong in every metric.
fn time_range(view: &RunView, policy: &Policy) -> Option<String> {
    let tolerance = policy.timing.clock_tolerance_ms;
    let from = view.run.start_time_ms.saturating_sub(tolerance);
    let has_ended = !matches!(view.run.status, RunStatus::Running | RunStatus::Scheduled);
    let to = view.run.end_time_ms.filter(|_| has_ended).map_or(i64::MAX, |end| end.saturating_add(tolerance));
    let (mut count, mut first) = (0u64, None);
    for series in &view.series {
        for sample in series.samples.as_ref().map_or(&[][..], Vec::as_slice) {
            if sample.timestamp_ms < from || sample.timestamp_ms > to {
                count += 1;
                first.get_or_insert((&series.key, *sample));
            }
        }
    }
    let (key, first) = first?;
    let (side, by) = match first.timestamp_ms < from {
        true => ("before the run begins", view.run.start_time_ms.saturating_sub(first.timestamp_ms)),
        false => ("after the run has ended", first.timestamp_ms - view.run.end_time_ms.unwrap_or(0)),
    };
    Some(format!("{count} points; the one of '{key}' at step {} is {by} ms {side}", first.step))
}

/// Steps with more than one value; the same value at another time is a repeated call, not a second opinion.
fn repeated_steps(samples: &[Sample]) -> Vec<i64> {
    let differ =
        |pair: &&[Sample]| pair[0].step == pair[1].step && pair[0].value.to_bits() != pair[1].value.to_bits();
    let mut steps: Vec<i64> = samples.windows(2).filter(differ).map(|pair| pair[0].step).collect();
    steps.dedup();
    steps
}

fn duplicates(steps: &[i64]) -> Option<String> {
    if steps.is_empty() {
        return None;
    }
    let named: Vec<String> = steps.iter().take(NAMED_MAX).map(i64::to_string).collect();
    let more = if steps.len() > NAMED_MAX { ", …" } else { "" };
    Some(format!("{} steps have several values: {}{more}", steps.len(), named.join(", ")))
}

/// The first step whose time lies before that of an earlier step by more than the tolerance.
fn back_in_time(samples: &[Sample], tolerance_ms: i64) -> Option<(i64, i64)> {
    let (mut latest, mut step_latest) = (i64::MIN, i64::MIN);
    // The latest time of steps before this one: points of one step may come in any order.
    let mut earlier = i64::MIN;
    for sample in samples {
        if sample.step != step_latest {
            earlier = latest;
            step_latest = sample.step;
        }
        if earlier != i64::MIN && earlier.saturating_sub(sample.timestamp_ms) > tolerance_ms {
            return Some((sample.step, earlier.saturating_sub(sample.timestamp_ms)));
        }
        latest = latest.max(sample.timestamp_ms);
    }
    None
}

/// Strides far above both neighbours and above the usual one: an even rhythm with a hole in it. A rhythm that
/// widens (1, 2, 4, 8, …) has no stride far above its neighbours.
fn gaps(samples: &[Sample], factor: f64) -> Option<String> {
    let mut steps: Vec<i64> = samples.iter().map(|sample| sample.step).collect();
    steps.dedup();
    let strides: Vec<f64> = steps.windows(2).map(|pair| pair[1] as f64 - pair[0] as f64).collect();
    // With fewer there is no rhythm that could have a hole.
    const STRIDES_MIN: usize = 6;
    if strides.len() < STRIDES_MIN {
        return None;
    }
    let usual = crate::stats::median(&mut strides.clone())?;
    let holes: Vec<usize> = (1..strides.len() - 1)
        .filter(|at| strides[*at] >= factor * strides[at - 1].max(strides[at + 1]).max(usual))
        .collect();
    let first = *holes.first()?;
    Some(format!(
        "{} gaps; the first lies between the steps {} and {}, where the stride is {usual} elsewhere",
        holes.len(),
        steps[first],
        steps[first + 1]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(points: &[(i64, i64, f64)]) -> Vec<Sample> {
        let mut samples: Vec<Sample> = points
            .iter()
            .map(|(step, timestamp_ms, value)| Sample {
                step: *step,
                timestamp_ms: *timestamp_ms,
                value: *value,
            })
            .collect();
        samples.sort_by_key(Sample::identity);
        samples
    }

    fn steps(steps: impl IntoIterator<Item = i64>) -> Vec<Sample> {
        samples(&steps.into_iter().map(|step| (step, step * 1_000, 1.0)).collect::<Vec<_>>())
    }

    #[test]
    fn holes_in_a_rhythm() {
        for (name, points, expect) in [
            ("even", steps((0..50).map(|i| i * 10)), false),
            ("even with a hole", steps((0..50).map(|i| i * 10).filter(|i| !(100..150).contains(i))), true),
            ("one point missing", steps((0..50).map(|i| i * 10).filter(|i| *i != 100)), false),
            ("powers of two", steps((0..20).map(|i| 1 << i)), false),
            ("short last stride", steps((0..20).map(|i| i * 100).chain([1_999])), false),
            ("long last stride", steps((0..20).chain([1_000])), false),
            ("few", steps([0, 1, 100, 101]), false),
            ("two holes", steps((0..60).filter(|i| !(10..20).contains(i) && !(30..40).contains(i))), true),
        ] {
            assert_eq!(gaps(&points, 4.0).is_some(), expect, "{name}");
        }
    }

    #[test]
    fn times_that_go_back() {
        for (points, expect) in [
            (vec![(0, 0, 1.0), (1, 100, 1.0), (2, 200, 1.0)], None),
            (vec![(0, 0, 1.0), (1, 100_000, 1.0), (2, 20_000, 1.0)], Some((2, 80_000))),
            (vec![(0, 0, 1.0), (1, 100_000, 1.0), (2, 90_000, 1.0)], None),
            // Two points of one step may come in any order.
            (vec![(0, 0, 1.0), (1, 900_000, 2.0), (1, 10, 1.0), (2, 900_001, 1.0)], None),
        ] {
            assert_eq!(back_in_time(&samples(&points), 60_000), expect, "{points:?}");
        }
    }

    #[test]
    fn steps_with_several_values() {
        assert!(repeated_steps(&samples(&[(1, 0, 1.0), (1, 5, 1.0), (2, 0, 1.0)])).is_empty());
        assert_eq!(repeated_steps(&samples(&[(1, 0, 1.0), (1, 5, 1.5), (1, 6, 2.0), (2, 0, 1.0)])), [1]);
        assert_eq!(duplicates(&[1, 2, 3, 4, 5, 6]).unwrap(), "6 steps have several values: 1, 2, 3, 4, 5, …");
    }

    #[test]
    fn the_latest_is_the_last_of_the_history() {
        let points = samples(&[(0, 0, 1.0), (1, 5, 2.0), (1, 5, f64::NAN)]);
        let at = |value, step| Metric::new("x", value, 5, step);
        assert_eq!(latest_differs(&at(2.0, 1), &points), None);
        assert!(latest_differs(&at(3.0, 1), &points).is_some());
        assert!(latest_differs(&at(2.0, 2), &points).is_some());
        assert!(latest_differs(&at(2.0, 1), &[]).is_some());
        let ties = samples(&[(1, 5, 0.0), (1, 5, f64::NAN)]);
        assert_eq!(latest_differs(&at(f64::NAN, 1), &ties), None);
        assert_eq!(latest_differs(&at(0.0, 1), &ties), None);
    }
}
