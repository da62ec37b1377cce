//! A metric's history thinned out for a chart: few points that look like all of them.

use super::{Sample, store};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::runs;

/// Points that a chart can ask for.
const POINTS_MAX: usize = 20_000;

/// What is on the horizontal axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Axis {
    /// The step.
    #[default]
    Step,
    /// The time.
    Time,
}

/// How points are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Thinning {
    /// One point a bucket, the one that spans the largest triangle with its neighbours (Steinarsson,
    /// "Downsampling Time Series for Visual Representation", 2013): the eye sees the same line.
    #[default]
    LargestTriangle,
    /// The smallest and the largest of each bucket: no spike is lost.
    MinMax,
}

/// What a chart wants.
#[derive(Clone, Debug)]
pub struct CurveRequest {
    /// Step or time.
    pub axis: Axis,
    /// How to choose.
    pub thinning: Thinning,
    /// 2 to 20,000.
    pub points_max: usize,
    /// Only these steps, both ends included.
    pub steps: Option<(i64, i64)>,
}

impl Default for CurveRequest {
    fn default() -> CurveRequest {
        CurveRequest { axis: Axis::Step, thinning: Thinning::LargestTriangle, points_max: 1_000, steps: None }
    }
}

/// A thinned curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Along the axis; finite values only.
    pub points: Vec<Sample>,
    /// Points that there are, before thinning.
    pub point_count: usize,
    /// Of those, how many are NaN or infinite; a chart marks that they exist.
    pub non_finite_count: usize,
}

impl Ledger {
    /// A metric of a run for a chart.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Invalid` for a number of points out of range.
    pub fn metric_curve(&self, run_id: &str, key: &str, request: &CurveRequest) -> Result<Curve> {
        if !(2..=POINTS_MAX).contains(&request.points_max) {
            return Err(Error::invalid(format!(
                "a curve has 2 to {POINTS_MAX} points, not {}",
                request.points_max
            )));
        }
        let (from, to) = request.steps.unwrap_or((i64::MIN, i64::MAX));
        let samples = self.read(|connection| {
            let run = runs::row(connection, run_id)?;
            let Some(key) = store::find_key(connection, key)? else { return Ok(Vec::new()) };
            store::samples(connection, run.id, key, from, to)
        })?;
        Ok(thin(samples, request))
    }
}

/// Thins out points that are ordered by step.
pub fn thin(mut samples: Vec<Sample>, request: &CurveRequest) -> Curve {
    let point_count = samples.len();
    samples.retain(|sample| sample.value.is_finite());
    let non_finite_count = point_count - samples.len();
    if request.axis == Axis::Time {
        samples.sort_by_key(|sample| sample.timestamp_ms);
    }
    let x = |sample: &Sample| match request.axis {
        Axis::Step => sample.step as f64,
        Axis::Time => sample.timestamp_ms as f64,
    };
    let points = match request.thinning {
        _ if samples.len() <= request.points_max => samples,
        Thinning::LargestTriangle => largest_triangle(&samples, request.points_max, x),
        Thinning::MinMax => min_max(&samples, request.points_max),
    };
    Curve { points, point_count, non_finite_count }
}

fn largest_triangle(samples: &[Sample], count: usize, x: impl Fn(&Sample) -> f64) -> Vec<Sample> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let inner = &samples[1..samples.len() - 1];
    let buckets = count.saturating_sub(2);
    let edge = |bucket: usize| bucket * inner.len() / buckets.max(1);
    let mut chosen = Vec::with_capacity(count);
    chosen.push(*first);
    for bucket in 0..buckets {
        let here = &inner[edge(bucket)..edge(bucket + 1)];
        let next = if bucket + 1 < buckets {
            &inner[edge(bucket + 1)..edge(bucket + 2)]
        } else {
            std::slice::from_ref(last)
        };
        let share = 1.0 / next.len().max(1) as f64;
        let (mut next_x, mut next_y) = (0.0, 0.0);
        for sample in next {
            next_x += x(sample) * share;
            next_y += sample.value * share;
        }
        let before = chosen[chosen.len() - 1];
        let (before_x, before_y) = (x(&before), before.value);
        let area = |sample: &Sample| {
            ((before_x - next_x) * (sample.value - before_y) - (before_x - x(sample)) * (next_y - before_y))
                .abs()
        };
        let largest = here.iter().max_by(|a, b| area(a).total_cmp(&area(b)));
        chosen.extend(largest.copied());
    }
    chosen.push(*last);
    chosen
}

fn min_max(samples: &[Sample], count: usize) -> Vec<Sample> {
    let buckets = (count / 2).max(1);
    let mut chosen = Vec::with_capacity(count);
    for bucket in 0..buckets {
        let here = &samples[bucket * samples.len() / buckets..(bucket + 1) * samples.len() / buckets];
        let at = |best: fn(&f64, &f64) -> bool| {
            (0..here.len()).reduce(|a, b| if best(&here[b].value, &here[a].value) { b } else { a })
        };
        let (Some(low), Some(high)) = (at(|b, a| b < a), at(|b, a| b > a)) else { continue };
        chosen.push(here[low.min(high)]);
        if low != high {
            chosen.push(here[low.max(high)]);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: i64) -> Vec<Sample> {
        (0..count)
            .map(|step| Sample { step, timestamp_ms: step * 10, value: (step as f64 / 50.0).sin() })
            .collect()
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let request = CurveRequest { points_max: 100, ..CurveRequest::default() };
        assert_eq!(thin(wave(100), &request).points, wave(100));
        assert_eq!(thin(Vec::new(), &request), Curve::default());
    }

    #[test]
    fn many_points_become_few_with_ends_and_peaks() {
        let mut samples = wave(10_000);
        samples[4_321].value = 100.0;
        for thinning in [Thinning::LargestTriangle, Thinning::MinMax] {
            let request = CurveRequest { thinning, points_max: 200, ..CurveRequest::default() };
            let curve = thin(samples.clone(), &request);
            assert!(curve.points.len() <= 200 && curve.points.len() > 150, "{}", curve.points.len());
            assert_eq!(curve.point_count, 10_000);
            assert!(curve.points.iter().any(|point| point.value == 100.0), "{thinning:?} lost the spike");
            assert!(curve.points.is_sorted_by_key(|point| point.step));
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_counted() {
        let mut samples = wave(10);
        samples[3].value = f64::NAN;
        samples[5].value = f64::INFINITY;
        let curve = thin(samples, &CurveRequest::default());
        assert_eq!((curve.points.len(), curve.point_count, curve.non_finite_count), (8, 10, 2));
    }
}
