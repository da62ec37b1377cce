//! Values that stand apart, judged by median and median absolute deviation: a few wild runs do not move
//! the measure they are judged by.

use super::table::Table;
use crate::stats::median;

/// Where the values of a metric lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median of the finite values.
    pub median: f64,
    /// An estimate of the standard deviation: MAD / 0.6745, or mean deviation · 1.2533 where more than half
    /// of the values are equal. 0 when all are.
    pub scale: f64,
    /// Finite values there are.
    pub count: usize,
}

/// A value that stands apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    /// Its run.
    pub run_id: String,
    /// Its metric.
    pub metric: String,
    /// The value.
    pub value: f64,
    /// Distance from the median in estimated standard deviations; infinite for NaN and ±∞.
    pub score: f64,
}

/// The spread of each column; nothing where no value is finite.
pub fn spreads(table: &Table) -> Vec<Option<Spread>> {
    let mut values = Vec::new();
    let columns = table.columns.iter().map(|column| {
        values.clear();
        let pairs = column.values.iter().zip(&column.present);
        values
            .extend(pairs.filter(|(value, present)| **present && value.is_finite()).map(|(value, _)| *value));
        spread(&mut values)
    });
    columns.collect()
}

fn spread(values: &mut [f64]) -> Option<Spread> {
    let middle = median(values)?;
    values.iter_mut().for_each(|value| *value = (*value - middle).abs());
    let count = values.len();
    let mut scale = median(values)? / 0.674_489_750_196_081_7;
    if scale == 0.0 {
        // More than half are equal: Iglewicz and Hoaglin (1993) then take the mean deviation.
        scale = 1.253_314_137_315_500_1 * values.iter().sum::<f64>() / count as f64;
    }
    Some(Spread { median: middle, scale, count })
}

/// Values further from the median than `score_min` deviations (3.5 is the usual bound, Iglewicz and Hoaglin),
/// and those that are not finite; the furthest first. Metrics of fewer than `count_min` runs say nothing.
pub fn outliers(table: &Table, score_min: f64, count_min: usize) -> Vec<Outlier> {
    let mut found = Vec::new();
    for (column, spread) in spreads(table).into_iter().enumerate() {
        let Some(spread) = spread.filter(|spread| spread.count >= count_min) else { continue };
        let values = &table.columns[column];
        for row in table.rows() {
            let Some(value) = values.get(row) else { continue };
            let score = score(value, &spread);
            if score > score_min {
                found.push((score, row, column, value));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let outlier = |(score, row, column, value): (f64, usize, usize, f64)| Outlier {
        run_id: table.id(row).to_string(),
        metric: table.metric_keys()[column].clone(),
        value,
        score,
    };
    found.into_iter().map(outlier).collect()
}

fn score(value: f64, spread: &Spread) -> f64 {
    if !value.is_finite() {
        return f64::INFINITY;
    }
    let distance = (value - spread.median).abs();
    if distance == 0.0 { 0.0 } else { distance / spread.scale }
}

#[cfg(test)]
mod tests {
    use super::super::table::RunFacts;
    use super::*;

    fn table(values: &[f64]) -> Table {
        let run = |(index, value): (usize, &f64)| RunFacts {
            id: format!("r{index}"),
            metrics: vec![("x".to_string(), *value)],
            ..RunFacts::default()
        };
        Table::new(&values.iter().enumerate().map(run).collect::<Vec<_>>())
    }

    #[test]
    fn what_stands_apart() {
        let cases: &[(&[f64], &[&str])] = &[
            (&[1.0, 1.1, 0.9, 1.05, 0.95, 9.0], &["r5"]),
            // Three wild of nine do not hide each other, as they would with mean and deviation.
            (&[1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 50.0, 60.0, -70.0], &["r8", "r7", "r6"]),
            (&[1.0, 1.1, 0.9, f64::NAN, f64::NEG_INFINITY, 1.0, 1.05], &["r3", "r4"]),
            (&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], &[]),
            (&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0], &["r8"]),
            (&[1.0, 100.0], &[]),
            (&[f64::NAN], &[]),
        ];
        for (values, expect) in cases {
            let found = outliers(&table(values), 3.5, 4);
            let found: Vec<&str> = found.iter().map(|outlier| outlier.run_id.as_str()).collect();
            assert_eq!(&found, expect, "{values:?}");
        }
    }

    #[test]
    fn the_scale_is_that_of_a_normal_distribution() {
        let mut rng = mynah_base::Rng::new(4);
        let values: Vec<f64> = (0..20_000).map(|_| 5.0 + 2.0 * rng.normal()).collect();
        let spread = spreads(&table(&values))[0].unwrap();
        assert!((spread.median - 5.0).abs() < 0.05 && (spread.scale - 2.0).abs() < 0.05, "{spread:?}");
    }
}
