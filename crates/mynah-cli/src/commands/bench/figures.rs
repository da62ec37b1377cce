//! Figures: a table for people, an object for scripts.

use serde_json::{Map, Value, json};

/// Something that was measured.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name for scripts, the unit last.
    pub key: String,
    /// Its name for people.
    pub about: String,
    /// In the unit of `key`.
    pub value: f64,
    /// The unit for people, behind a number of `digits` decimals.
    pub unit: &'static str,
    pub digits: usize,
    /// What it should be, and whether it is.
    pub wanted: Option<(String, bool)>,
}

impl Figure {
    pub fn new(key: &str, about: impl Into<String>, value: f64, unit: &'static str, digits: usize) -> Figure {
        Figure { key: key.to_string(), about: about.into(), value, unit, digits, wanted: None }
    }

    /// At most `most`, which is in the figure's unit.
    pub fn at_most(mut self, most: f64) -> Figure {
        let (digits, unit) = (self.digits, self.unit);
        self.wanted = Some((format!("≤ {most:.digits$} {unit}"), self.value <= most));
        self
    }

    /// At least `least`, which is in the figure's unit.
    pub fn at_least(mut self, least: f64) -> Figure {
        let (digits, unit) = (self.digits, self.unit);
        self.wanted = Some((format!("≥ {least:.digits$} {unit}"), self.value >= least));
        self
    }
}

/// The table, a line a figure.
pub fn table(figures: &[Figure]) -> String {
    let width = figures.iter().map(|figure| figure.about.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for figure in figures {
        let value = format!("{:.*} {}", figure.digits, figure.value, figure.unit);
        let wanted = match &figure.wanted {
            Some((wanted, true)) => format!("   {wanted}: met"),
            Some((wanted, false)) => format!("   {wanted}: missed"),
            None => String::new(),
        };
        text += &format!("  {:width$}  {value:>16}{wanted}\n", figure.about);
    }
    text
}

/// The figures by their keys.
pub fn object(figures: &[Figure]) -> Map<String, Value> {
    figures.iter().map(|figure| (figure.key.clone(), json!(figure.value))).collect()
}

/// The value below which this share of the values lies; 0 of none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!((median(&values), quantile(&values, 0.99), quantile(&values, 0.0)), (3.0, 5.0, 1.0));
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_line_says_whether_it_is_good_enough() {
        let figures = [
            Figure::new("ttft_ms", "first token", 12.34, "ms", 1).at_most(20.0),
            Figure::new("rate", "rate", 5.0, "tokens/s", 0).at_least(6.0),
        ];
        let text = table(&figures);
        assert!(text.contains("first token") && text.contains("12.3 ms   ≤ 20.0 ms: met"), "{text}");
        assert!(text.contains("5 tokens/s   ≥ 6 tokens/s: missed"), "{text}");
        assert_eq!(object(&figures)["ttft_ms"], 12.34);
    }
}
