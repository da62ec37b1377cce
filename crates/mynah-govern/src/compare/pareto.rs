//! Runs that no other run beats in every goal at once.

use super::goal::{Direction, Goal};
use super::table::Table;
use crate::error::{Error, Result};

/// With more goals nearly every run is on the front, and says nothing.
pub const GOALS_MAX: usize = 8;

/// Rows on the Pareto front, best in the first goal first. A run takes part when it has a number (not NaN)
/// for every goal; runs that are equal in all goals are all on it.
///
/// # Errors
/// `Argument` without goals, with more than [`GOALS_MAX`] or with one metric twice; `NotFound` for a metric
/// that no run has.
pub fn front(table: &Table, goals: &[Goal]) -> Result<Vec<usize>> {
    if goals.is_empty() || goals.len() > GOALS_MAX {
        return Err(Error::argument(format!("a front needs 1 to {GOALS_MAX} goals, not {}", goals.len())));
    }
    let mut columns = Vec::new();
    for (index, goal) in goals.iter().enumerate() {
        if goals[..index].iter().any(|other| other.metric == goal.metric) {
            return Err(Error::argument(format!("the metric '{}' has two goals; give one", goal.metric)));
        }
        let column = table.column(&goal.metric);
        let column =
            column.ok_or_else(|| Error::not_found(format!("no run has a metric '{}'", goal.metric)))?;
        columns.push((column, goal.direction));
    }
    // Costs, less is better; one row of `goals.len()` numbers a run.
    let width = goals.len();
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    for row in table.rows() {
        let start = costs.len();
        for (column, direction) in &columns {
            let Some(value) = table.value(row, *column).filter(|value| !value.is_nan()) else { break };
            costs.push(if *direction == Direction::Min { value } else { -value });
        }
        if costs.len() == start + width { rows.push(row) } else { costs.truncate(start) }
    }
    Ok(minima(&costs, width).into_iter().map(|index| rows[index]).collect())
}

/// Indices of the points that no other dominates. In lexicographic order a point can only be dominated by
/// one before it, so one pass over the front so far decides.
fn minima(costs: &[f64], width: usize) -> Vec<usize> {
    let point = |index: usize| &costs[index * width..(index + 1) * width];
    let mut order: Vec<usize> = (0..costs.len() / width).collect();
    let compare = |a: &usize, b: &usize| {
        let pairs = point(*a).iter().zip(point(*b));
        // `0.0 + x` makes −0 and 0 one number, as `<` sees them.
        pairs.map(|(a, b)| (0.0 + a).total_cmp(&(0.0 + b))).find(|o| o.is_ne()).unwrap_or(a.cmp(b))
    };
    order.sort_unstable_by(compare);
    let mut front: Vec<usize> = Vec::new();
    for index in order {
        let candidate = point(index);
        // The newest of the front are the nearest, and dominate most often.
        let is_dominated = front.iter().rev().any(|other| {
            let other = point(*other);
            other.iter().zip(candidate).all(|(other, own)| other <= own) && other != candidate
        });
        if !is_dominated {
            front.push(index);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::super::table::RunFacts;
    use super::*;

    fn goals(texts: &[&str]) -> Vec<Goal> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn table(points: &[(f64, f64)]) -> Table {
        let run = |(index, (x, y)): (usize, &(f64, f64))| RunFacts {
            id: format!("r{index}"),
            metrics: vec![("x".to_string(), *x), ("y".to_string(), *y)],
            ..RunFacts::default()
        };
        Table::new(&points.iter().enumerate().map(run).collect::<Vec<_>>())
    }

    #[test]
    fn fronts() {
        let points = [(1.0, 5.0), (2.0, 3.0), (3.0, 4.0), (2.0, 3.0), (4.0, 1.0), (f64::NAN, 0.0)];
        let cases: &[(&[&str], &[usize])] = &[
            (&["x:min", "y:min"], &[0, 1, 3, 4]),
            (&["x:min", "y:max"], &[0]),
            (&["x:max", "y:max"], &[4, 2, 0]),
            (&["x:min"], &[0]),
            (&["y:min"], &[5]),
        ];
        for (texts, expect) in cases {
            assert_eq!(&front(&table(&points), &goals(texts)).unwrap(), expect, "{texts:?}");
        }
    }

    #[test]
    fn what_is_refused() {
        let table = table(&[(1.0, 2.0)]);
        for texts in [&[][..], &["x:min", "x:max"], &["z:min"]] {
            assert!(front(&table, &goals(texts)).is_err(), "{texts:?}");
        }
    }

    /// Against the definition, on random points with many ties.
    #[test]
    fn agrees_with_the_definition() {
        let mut rng = mynah_base::Rng::new(9);
        for width in 1..=4 {
            let costs: Vec<f64> = (0..200 * width).map(|_| rng.below(12) as f64).collect();
            let point = |index: usize| &costs[index * width..(index + 1) * width];
            let dominates = |a: usize, b: usize| {
                point(a) != point(b) && point(a).iter().zip(point(b)).all(|(a, b)| a <= b)
            };
            let expect: Vec<usize> = (0..200).filter(|b| !(0..200).any(|a| dominates(a, *b))).collect();
            let mut found = minima(&costs, width);
            found.sort_unstable();
            assert_eq!(found, expect, "{width}");
        }
    }
}
