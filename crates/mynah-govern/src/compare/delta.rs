//! What differs between two runs.

use serde_json::{Value, json};

use super::goal::Direction;
use super::json_number;
use super::table::Table;

/// Which of two values is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// As the goal wants it.
    Better,
    /// The other way.
    Worse,
    /// Equal to the bit.
    Same,
    /// It differs, and nobody declared which way is better.
    Undirected,
    /// One of them is NaN.
    Incomparable,
}

impl Verdict {
    /// `better`, `worse`, `same`, `undirected` or `incomparable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Same => "same",
            Verdict::Undirected => "undirected",
            Verdict::Incomparable => "incomparable",
        }
    }
}

/// One metric of a run beside that of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// Its key.
    pub metric: String,
    /// Of the run compared with.
    pub baseline: f64,
    /// Of the run.
    pub value: f64,
    /// `value − baseline`.
    pub difference: f64,
    /// `difference / |baseline|`; nothing when the baseline is 0 or not finite.
    pub relative: Option<f64>,
    /// What it means.
    pub verdict: Verdict,
}

impl Delta {
    /// As JSON; numbers that JSON lacks are words.
    pub fn to_json(&self) -> Value {
        json!({
            "metric": self.metric, "baseline": json_number(self.baseline), "value": json_number(self.value),
            "difference": json_number(self.difference), "relative": self.relative.map(json_number),
            "verdict": self.verdict.as_str(),
        })
    }
}

/// Difference and verdict of two values.
pub fn delta(metric: &str, baseline: f64, value: f64, direction: Option<Direction>) -> Delta {
    let (difference, verdict) = judge(baseline, value, direction);
    let has_scale = baseline != 0.0 && baseline.is_finite();
    Delta {
        metric: metric.to_string(),
        baseline,
        value,
        difference,
        relative: has_scale.then(|| difference / baseline.abs()),
        verdict,
    }
}

/// Difference and verdict alone.
pub(super) fn judge(baseline: f64, value: f64, direction: Option<Direction>) -> (f64, Verdict) {
    if baseline.is_nan() || value.is_nan() {
        return (f64::NAN, Verdict::Incomparable);
    }
    if baseline == value {
        // Also ∞ and ∞, whose difference would be NaN.
        return (0.0, Verdict::Same);
    }
    let verdict = match direction {
        None => Verdict::Undirected,
        Some(Direction::Min) if value < baseline => Verdict::Better,
        Some(Direction::Max) if value > baseline => Verdict::Better,
        Some(_) => Verdict::Worse,
    };
    (value - baseline, verdict)
}

/// One param that two runs do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// Its key.
    pub key: String,
    /// In the run compared with.
    pub from: Option<String>,
    /// In the run.
    pub to: Option<String>,
}

impl ConfigChange {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({"key": self.key, "from": self.from, "to": self.to})
    }
}

/// Params in which two runs differ, by key.
pub fn config_changes(table: &Table, from: usize, to: usize) -> Vec<ConfigChange> {
    let mut changes = Vec::new();
    merge(&table.configs[from], &table.configs[to], |key, a, b| {
        if a != b {
            let text = |value: Option<u32>| value.map(|value| table.value_text(value).to_string());
            changes.push(ConfigChange { key: table.key_text(key).to_string(), from: text(a), to: text(b) });
        }
    });
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

/// Params in which two rows differ.
pub(super) fn config_distance(table: &Table, a: usize, b: usize) -> usize {
    let (a, b) = (&table.configs[a], &table.configs[b]);
    // Sweeps share most of their params at the same places.
    if a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0) {
        return a.iter().zip(b).filter(|(a, b)| a.1 != b.1).count();
    }
    let mut count = 0;
    merge(a, b, |_, a, b| count += usize::from(a != b));
    count
}

/// Walks two lists sorted by key.
fn merge(a: &[(u32, u32)], b: &[(u32, u32)], mut each: impl FnMut(u32, Option<u32>, Option<u32>)) {
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let (left, right) = (a.get(i), b.get(j));
        match (left, right) {
            (Some(left), Some(right)) if left.0 == right.0 => {
                each(left.0, Some(left.1), Some(right.1));
                (i, j) = (i + 1, j + 1);
            }
            (Some(left), right) if right.is_none_or(|right| left.0 < right.0) => {
                each(left.0, Some(left.1), None);
                i += 1;
            }
            (_, Some(right)) => {
                each(right.0, None, Some(right.1));
                j += 1;
            }
            _ => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::RunFacts;
    use super::*;

    #[test]
    fn verdicts() {
        use Direction::{Max, Min};
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for (baseline, value, direction, difference, verdict) in [
            (2.0, 1.0, Some(Min), -1.0, Verdict::Better),
            (2.0, 3.0, Some(Min), 1.0, Verdict::Worse),
            (2.0, 3.0, Some(Max), 1.0, Verdict::Better),
            (2.0, 1.0, Some(Max), -1.0, Verdict::Worse),
            (2.0, 3.0, None, 1.0, Verdict::Undirected),
            (2.0, 2.0, Some(Min), 0.0, Verdict::Same),
            (inf, inf, Some(Min), 0.0, Verdict::Same),
            (1.0, inf, Some(Min), inf, Verdict::Worse),
            (0.0, -0.0, Some(Min), 0.0, Verdict::Same),
        ] {
            assert_eq!(judge(baseline, value, direction), (difference, verdict), "{baseline} {value}");
        }
        for (baseline, value) in [(nan, 1.0), (1.0, nan), (nan, nan)] {
            assert_eq!(judge(baseline, value, Some(Min)).1, Verdict::Incomparable);
        }
        assert_eq!(delta("x", -2.0, -1.0, None).relative, Some(0.5));
        assert_eq!(delta("x", 0.0, 1.0, None).relative, None);
        assert_eq!(delta("x", 1.0, inf, Some(Min)).to_json()["value"], "Infinity");
    }

    #[test]
    fn configs() {
        let run = |id: &str, config: &[(&str, &str)]| RunFacts {
            id: id.to_string(),
            config: config.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect(),
            ..RunFacts::default()
        };
        let table = Table::new(&[
            run("a", &[("lr", "0.1"), ("depth", "4")]),
            run("b", &[("depth", "4"), ("lr", "0.2")]),
            run("c", &[("depth", "6"), ("seed", "1")]),
        ]);
        let texts = |from, to| {
            let changes = config_changes(&table, from, to);
            changes.iter().map(|c| format!("{} {:?} {:?}", c.key, c.from, c.to)).collect::<Vec<_>>()
        };
        assert_eq!(texts(0, 1), ["lr Some(\"0.1\") Some(\"0.2\")"]);
        assert_eq!(
            texts(0, 2),
            ["depth Some(\"4\") Some(\"6\")", "lr Some(\"0.1\") None", "seed None Some(\"1\")"]
        );
        for (a, b, expect) in [(0, 0, 0), (0, 1, 1), (0, 2, 3), (2, 1, 3)] {
            assert_eq!(config_distance(&table, a, b), expect);
        }
    }
}
