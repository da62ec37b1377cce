//! Drift: do the runs of this window look like those of the reference window?
//!
//! Numbers (metrics of runs, statistics of data) are tested by Kolmogorov–Smirnov and by Pearson's χ² over bins of
//! equal share, categories (which dataset, which tokenizer) by χ² alone. Beside each test stands the
//! population stability index of the same bins, which says how large a shift is; the test says whether it is more
//! than chance. The false-positive rate is that of a whole report: it is divided among the tests (Bonferroni),
//! and simulated in this crate's tests.

mod page;

pub use page::page;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::compare::json_number;
use crate::error::{Error, Result};
use crate::stats::{chi_square_above, kolmogorov_smirnov, median};

/// Values a side below which a window says nothing.
pub const VALUES_MIN: usize = 8;
/// Values a bin must hold on average for the χ² distribution to fit.
const BIN_VALUES_MIN: usize = 8;
const BINS_MAX: usize = 10;

/// What drift needs of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunSample {
    /// When it began, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Numbers by name.
    pub numbers: BTreeMap<String, f64>,
    /// Words by name.
    pub words: BTreeMap<String, String>,
}

impl RunSample {
    /// From a record of the ledger: metrics, and digests of datasets by what they were used for.
    pub fn of(record: &mynah_ledger::RunRecord) -> RunSample {
        let numbers = record.data.metrics.iter().map(|metric| (metric.key.clone(), metric.value));
        let words = record.data.inputs.iter().map(|input| {
            let context = input.tags.iter().find(|tag| tag.key == "mlflow.data.context");
            let context = context.map_or("any", |tag| tag.value.as_str());
            (format!("dataset {context}"), format!("{} {}", input.dataset.name, input.dataset.digest))
        });
        RunSample { at_ms: record.run.start_time_ms, numbers: numbers.collect(), words: words.collect() }
    }
}

/// How to look for drift.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftOptions {
    /// The chance that a report without any drift names some.
    pub false_positive_rate: f64,
    /// A shift smaller than this is not worth naming, however sure it is. 0.1 is the usual bound between none and
    /// some.
    pub psi_min: f64,
}

impl Default for DriftOptions {
    fn default() -> DriftOptions {
        DriftOptions { false_positive_rate: 0.01, psi_min: 0.1 }
    }
}

/// One thing that was compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// Its name.
    pub name: String,
    /// Values in the reference window.
    pub reference_count: usize,
    /// Values in the current window.
    pub current_count: usize,
    /// Medians of both, of numbers.
    pub medians: Option<(f64, f64)>,
    /// Kolmogorov–Smirnov distance and p-value, of numbers.
    pub ks: Option<(f64, f64)>,
    /// p-value of χ² over the bins.
    pub chi_square_p: f64,
    /// Population stability index over the bins.
    pub psi: f64,
    /// A test says so and the shift is large enough.
    pub is_drift: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DriftReport {
    /// By name.
    pub rows: Vec<Drift>,
    /// Names that were not compared, with the reason.
    pub skipped: Vec<(String, String)>,
    /// p-value below which a single test counts.
    pub threshold: f64,
}

impl DriftReport {
    /// Names that drift.
    pub fn drifting(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| row.is_drift).map(|row| row.name.as_str()).collect()
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let row = |row: &Drift| {
            json!({
                "name": row.name, "reference": row.reference_count, "current": row.current_count,
                "median_reference": row.medians.map(|m| json_number(m.0)),
                "median_current": row.medians.map(|m| json_number(m.1)),
                "ks": row.ks.map(|ks| ks.0), "ks_p": row.ks.map(|ks| ks.1),
                "chi_square_p": row.chi_square_p, "psi": row.psi, "drift": row.is_drift,
            })
        };
        json!({
            "threshold": self.threshold,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(|(name, why)| json!({"name": name, "why": why})).collect::<Vec<_>>(),
        })
    }
}

/// Compares two windows of runs.
///
/// # Errors
/// `Argument` for a rate that is none.
pub fn drift(reference: &[RunSample], current: &[RunSample], options: &DriftOptions) -> Result<DriftReport> {
    if !(options.false_positive_rate > 0.0 && options.false_positive_rate < 1.0) || options.psi_min.is_nan() {
        return Err(Error::argument("the false-positive rate of a drift report lies between 0 and 1"));
    }
    let mut report = DriftReport::default();
    let all = || reference.iter().chain(current);
    let numbers: BTreeSet<&String> = all().flat_map(|run| run.numbers.keys()).collect();
    let words: BTreeSet<&String> = all().flat_map(|run| run.words.keys()).collect();
    let mut tests = 0;
    for name in numbers {
        // NaN has no place among numbers; validation is what names it.
        let of = |runs: &[RunSample]| -> Vec<f64> {
            runs.iter()
                .filter_map(|run| run.numbers.get(name).copied())
                .filter(|value| !value.is_nan())
                .collect()
        };
        let (old, new) = (of(reference), of(current));
        if let Some(why) = too_few(old.len(), new.len()) {
            report.skipped.push((name.clone(), why));
            continue;
        }
        let Some(ks) = kolmogorov_smirnov(&old, &new) else { continue };
        let counts = numeric_bins(&old, &new);
        let middle = |values: &[f64]| median(&mut values.to_vec()).unwrap_or(f64::NAN);
        tests += 2;
        report.rows.push(Drift {
            name: name.clone(),
            reference_count: old.len(),
            current_count: new.len(),
            medians: Some((middle(&old), middle(&new))),
            ks: Some((ks.statistic, ks.p_value)),
            chi_square_p: chi_square_p(&counts),
            psi: psi(&counts),
            is_drift: false,
        });
    }
    for name in words {
        let of = |runs: &[RunSample]| -> Vec<String> {
            runs.iter().filter_map(|run| run.words.get(name).cloned()).collect()
        };
        let (old, new) = (of(reference), of(current));
        if let Some(why) = too_few(old.len(), new.len()) {
            report.skipped.push((name.clone(), why));
            continue;
        }
        let counts = word_bins(&old, &new);
        tests += 1;
        report.rows.push(Drift {
            name: name.clone(),
            reference_count: old.len(),
            current_count: new.len(),
            medians: None,
            ks: None,
            chi_square_p: chi_square_p(&counts),
            psi: psi(&counts),
            is_drift: false,
        });
    }
    report.threshold = options.false_positive_rate / tests.max(1) as f64;
    for row in &mut report.rows {
        let p = row.ks.map_or(1.0, |ks| ks.1).min(row.chi_square_p);
        row.is_drift = p < report.threshold && row.psi >= options.psi_min;
    }
    report.rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(report)
}

/// One row of a dashboard: a window against the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftWindow {
    /// When its first run began.
    pub from_ms: i64,
    /// When its last run began.
    pub to_ms: i64,
    /// What was found.
    pub report: DriftReport,
}

/// Drift over time: runs by their beginning, cut into windows of `window_runs`; the first window is the reference
/// for all later ones. The rate holds for the whole dashboard. A last window that is not full is left out.
///
/// # Errors
/// `Argument` for windows that are too small, or a rate that is none.
pub fn dashboard(runs: &[RunSample], window_runs: usize, options: &DriftOptions) -> Result<Vec<DriftWindow>> {
    if window_runs < VALUES_MIN {
        return Err(Error::argument(format!("a window of drift has at least {VALUES_MIN} runs")));
    }
    let mut runs = runs.to_vec();
    runs.sort_by_key(|run| run.at_ms);
    let mut windows = runs.chunks_exact(window_runs);
    let Some(reference) = windows.next() else { return Ok(Vec::new()) };
    let count = windows.len().max(1) as f64;
    let each = DriftOptions { false_positive_rate: options.false_positive_rate / count, ..options.clone() };
    let window = |window: &[RunSample]| {
        Ok(DriftWindow {
            from_ms: window[0].at_ms,
            to_ms: window[window.len() - 1].at_ms,
            report: drift(reference, window, &each)?,
        })
    };
    windows.map(window).collect()
}

fn too_few(reference: usize, current: usize) -> Option<String> {
    (reference < VALUES_MIN || current < VALUES_MIN)
        .then(|| format!("{reference} and {current} values; {VALUES_MIN} of each are needed"))
}

/// Counts of both samples in bins of equal share of both together: under no drift their membership is a random
/// draw, whatever the distribution is.
fn numeric_bins(old: &[f64], new: &[f64]) -> Vec<(f64, f64)> {
    let mut all: Vec<f64> = old.iter().chain(new).copied().collect();
    all.sort_by(f64::total_cmp);
    let bins = (old.len().min(new.len()) / BIN_VALUES_MIN).clamp(2, BINS_MAX);
    let mut edges: Vec<f64> = (1..bins).map(|bin| all[bin * all.len() / bins]).collect();
    // Many equal values make several edges one.
    edges.dedup();
    let mut counts = vec![(0.0, 0.0); edges.len() + 1];
    let bin = |value: &f64| edges.partition_point(|edge| edge <= value);
    old.iter().for_each(|value| counts[bin(value)].0 += 1.0);
    new.iter().for_each(|value| counts[bin(value)].1 += 1.0);
    counts
}

/// Counts of both samples by word; words too rare for the test are one.
fn word_bins(old: &[String], new: &[String]) -> Vec<(f64, f64)> {
    let mut counts: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    old.iter().for_each(|word| counts.entry(word).or_default().0 += 1.0);
    new.iter().for_each(|word| counts.entry(word).or_default().1 += 1.0);
    let (frequent, rare): (Vec<_>, Vec<_>) =
        counts.into_values().partition(|(old, new)| old + new >= BIN_VALUES_MIN as f64);
    let rest = rare.into_iter().reduce(|a, b| (a.0 + b.0, a.1 + b.1));
    frequent.into_iter().chain(rest).collect()
}

/// Pearson's test of homogeneity.
fn chi_square_p(counts: &[(f64, f64)]) -> f64 {
    let used: Vec<&(f64, f64)> = counts.iter().filter(|(old, new)| old + new > 0.0).collect();
    if used.len() < 2 {
        return 1.0;
    }
    let (old_total, new_total) = counts.iter().fold((0.0, 0.0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
    let total = old_total + new_total;
    let statistic: f64 = used
        .iter()
        .map(|(old, new)| {
            let share = (old + new) / total;
            (old - share * old_total).powi(2) / (share * old_total)
                + (new - share * new_total).powi(2) / (share * new_total)
        })
        .sum();
    chi_square_above(statistic, used.len() as f64 - 1.0)
}

/// Σ (p − q) · ln(p / q), with half a count added to each bin so that an empty one is no infinity.
fn psi(counts: &[(f64, f64)]) -> f64 {
    let bins = counts.len() as f64;
    let (old_total, new_total) = counts.iter().fold((0.0, 0.0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
    let share = |count: f64, total: f64| (count + 0.5) / (total + 0.5 * bins);
    counts
        .iter()
        .map(|(old, new)| {
            let (p, q) = (share(*new, new_total), share(*old, old_total));
            (p - q) * (p / q).ln()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use mynah_base::Rng;

    use super::*;

    fn runs(rng: &mut Rng, count: usize, shift: f64, skew: f64) -> Vec<RunSample> {
        let run = |index: usize| RunSample {
            at_ms: index as i64,
            numbers: (0..4)
                .map(|metric| {
                    let value = if metric == 0 { rng.normal() + shift } else { rng.uniform().ln() };
                    (format!("m{metric}"), value)
                })
                .collect(),
            words: BTreeMap::from([(
                "dataset train".to_string(),
                if rng.chance(0.3 + skew) { "a" } else { "b" }.to_string(),
            )]),
        };
        (0..count).map(run).collect()
    }

    /// The promise: a report over runs of one kind names drift at most as often as it says. Two standard
    /// errors of the simulation are allowed.
    #[test]
    fn the_rate_of_false_alarms_is_kept() {
        const TRIALS: usize = 1_000;
        for (rate, sizes) in [(0.05, (40, 40)), (0.05, (200, 25)), (0.01, (100, 100))] {
            let options = DriftOptions { false_positive_rate: rate, psi_min: 0.0 };
            let alarms = (0..TRIALS).filter(|trial| {
                let mut rng = Rng::for_item(5, *trial as u64);
                let (old, new) = (runs(&mut rng, sizes.0, 0.0, 0.0), runs(&mut rng, sizes.1, 0.0, 0.0));
                !drift(&old, &new, &options).unwrap().drifting().is_empty()
            });
            let found = alarms.count() as f64 / TRIALS as f64;
            let allowed = rate + 2.0 * (rate * (1.0 - rate) / TRIALS as f64).sqrt();
            assert!(found <= allowed, "{rate} {sizes:?}: {found}");
            assert!(found > 0.1 * rate, "{rate} {sizes:?} never fires: {found}");
        }
    }

    #[test]
    fn real_shifts_are_found_and_named() {
        let (mut of_metric, mut of_data) = (0, 0);
        for trial in 0..50 {
            let mut rng = Rng::for_item(6, trial);
            let old = runs(&mut rng, 100, 0.0, 0.0);
            let shifted = drift(&old, &runs(&mut rng, 60, 1.0, 0.0), &DriftOptions::default()).unwrap();
            of_metric += usize::from(shifted.drifting() == ["m0"]);
            let other = drift(&old, &runs(&mut rng, 60, 0.0, 0.5), &DriftOptions::default()).unwrap();
            of_data += usize::from(other.drifting() == ["dataset train"]);
        }
        assert!(of_metric > 45 && of_data > 45, "{of_metric} {of_data} of 50");
    }

    #[test]
    fn a_dashboard_shows_when_it_began() {
        let mut rng = Rng::new(8);
        let mut all = runs(&mut rng, 150, 0.0, 0.0);
        all.extend(runs(&mut rng, 110, 1.5, 0.0));
        all.iter_mut().enumerate().for_each(|(index, run)| run.at_ms = index as i64);
        let windows = dashboard(&all, 50, &DriftOptions::default()).unwrap();
        let found: Vec<_> = windows.iter().map(|w| (w.from_ms, w.report.drifting().len())).collect();
        assert_eq!(found, [(50, 0), (100, 0), (150, 1), (200, 1)]);
        assert!(dashboard(&all, 3, &DriftOptions::default()).is_err());
        assert!(dashboard(&all[..20], 50, &DriftOptions::default()).unwrap().is_empty());
    }

    #[test]
    fn what_says_nothing() {
        let run = |value: f64| RunSample {
            numbers: BTreeMap::from([("m".to_string(), value)]),
            ..RunSample::default()
        };
        let same: Vec<RunSample> = (0..30).map(|_| run(1.0)).collect();
        let report = drift(&same, &same, &DriftOptions::default()).unwrap();
        assert_eq!((report.rows[0].chi_square_p, report.rows[0].is_drift), (1.0, false));
        let few = drift(&same, &same[..3], &DriftOptions::default()).unwrap();
        assert_eq!(few.skipped, [("m".to_string(), "30 and 3 values; 8 of each are needed".to_string())]);
        let nan: Vec<RunSample> = (0..30).map(|_| run(f64::NAN)).collect();
        assert_eq!(drift(&same, &nan, &DriftOptions::default()).unwrap().skipped.len(), 1);
        let infinite: Vec<RunSample> = (0..30).map(|_| run(f64::INFINITY)).collect();
        assert_eq!(drift(&same, &infinite, &DriftOptions::default()).unwrap().drifting(), ["m"]);
        for rate in [0.0, 1.0, f64::NAN] {
            let options = DriftOptions { false_positive_rate: rate, ..DriftOptions::default() };
            assert!(drift(&same, &same, &options).is_err());
        }
    }

    #[test]
    fn the_index_is_that_of_the_books() {
        // 30/70 against 50/50 of a thousand each: (0.5−0.3)·ln(0.5/0.3) + (0.5−0.7)·ln(0.5/0.7) = 0.1695.
        assert!((psi(&[(300.0, 500.0), (700.0, 500.0)]) - 0.1695).abs() < 0.001);
        assert_eq!(psi(&[(10.0, 10.0), (5.0, 5.0)]), 0.0);
    }
}
