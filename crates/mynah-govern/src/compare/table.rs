//! Runs in columns.

use std::collections::HashMap;

use mynah_ledger::RunRecord;

/// What a comparison needs of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFacts {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// The run it is to be compared with; its own choice goes before everybody's.
    pub baseline_id: Option<String>,
    /// Latest value by key.
    pub metrics: Vec<(String, f64)>,
    /// Param by key.
    pub config: Vec<(String, String)>,
}

impl RunFacts {
    /// From a record of the ledger.
    pub fn of(record: &RunRecord) -> RunFacts {
        let RunRecord { run, data } = record;
        RunFacts {
            id: run.id.clone(),
            name: run.name.clone(),
            baseline_id: data.tag(super::BASELINE_TAG).map(str::to_string),
            metrics: data.metrics.iter().map(|metric| (metric.key.clone(), metric.value)).collect(),
            config: data.params.iter().map(|param| (param.key.clone(), param.value.clone())).collect(),
        }
    }
}

/// A column of one metric. A value that is NaN and one that is not there are two things.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    pub values: Vec<f64>,
    pub present: Vec<bool>,
}

impl Column {
    pub fn get(&self, row: usize) -> Option<f64> {
        (*self.present.get(row)?).then(|| self.values[row])
    }

    fn set(&mut self, row: usize, value: Option<f64>) {
        if self.values.len() <= row {
            if value.is_none() {
                return;
            }
            self.values.resize(row + 1, 0.0);
            self.present.resize(row + 1, false);
        }
        self.values[row] = value.unwrap_or(0.0);
        self.present[row] = value.is_some();
    }
}

/// Texts as numbers: configs are compared ten thousand at a time.
#[derive(Clone, Debug, Default)]
struct Names {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_string());
        self.numbers.insert(text.to_string(), number);
        number
    }
}

/// Runs in columns: a row is a run, a column a metric. Rows of removed runs are used again.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub(super) ids: Vec<String>,
    pub(super) labels: Vec<String>,
    live: Vec<bool>,
    free: Vec<usize>,
    rows: HashMap<String, usize>,
    metrics: Names,
    pub(super) columns: Vec<Column>,
    keys: Names,
    values: Names,
    /// Per row, (key, value), by key.
    pub(super) configs: Vec<Vec<(u32, u32)>>,
}

impl Table {
    /// A table of these runs.
    pub fn new<'a>(runs: impl IntoIterator<Item = &'a RunFacts>) -> Table {
        let mut table = Table::default();
        for run in runs {
            table.put(run);
        }
        table
    }

    /// Puts a run in, or replaces it, and gives its row.
    pub fn put(&mut self, run: &RunFacts) -> usize {
        let row = match self.rows.get(&run.id) {
            Some(row) => *row,
            None => {
                let row = self.free.pop().unwrap_or(self.ids.len());
                if row == self.ids.len() {
                    self.ids.push(String::new());
                    self.labels.push(String::new());
                    self.live.push(false);
                    self.configs.push(Vec::new());
                }
                self.rows.insert(run.id.clone(), row);
                row
            }
        };
        self.ids[row].clone_from(&run.id);
        self.labels[row].clone_from(&run.name);
        self.live[row] = true;
        self.columns.iter_mut().for_each(|column| column.set(row, None));
        for (key, value) in &run.metrics {
            let column = self.metrics.number(key) as usize;
            if column == self.columns.len() {
                self.columns.push(Column::default());
            }
            self.columns[column].set(row, Some(*value));
        }
        let mut config: Vec<(u32, u32)> = run
            .config
            .iter()
            .map(|(key, value)| (self.keys.number(key), self.values.number(value)))
            .collect();
        config.sort_unstable();
        config.dedup_by_key(|pair| pair.0);
        self.configs[row] = config;
        row
    }

    /// Takes a run out; says whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(row) = self.rows.remove(id) else { return false };
        self.live[row] = false;
        self.columns.iter_mut().for_each(|column| column.set(row, None));
        self.configs[row].clear();
        self.free.push(row);
        true
    }

    /// The row of a run.
    pub fn row(&self, id: &str) -> Option<usize> {
        self.rows.get(id).copied()
    }

    /// The id of the run in a row.
    pub fn id(&self, row: usize) -> &str {
        &self.ids[row]
    }

    /// The name of the run in a row.
    pub fn label(&self, row: usize) -> &str {
        &self.labels[row]
    }

    /// Rows that hold a run, in order.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.live.iter().enumerate().filter(|(_, live)| **live).map(|(row, _)| row)
    }

    /// Runs in it.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows there are, used or not.
    pub(super) fn height(&self) -> usize {
        self.ids.len()
    }

    /// Keys of the metrics, in the order of the columns.
    pub fn metric_keys(&self) -> &[String] {
        &self.metrics.texts
    }

    /// The column of a metric.
    pub fn column(&self, metric: &str) -> Option<usize> {
        self.metrics.numbers.get(metric).map(|column| *column as usize)
    }

    /// The value of a metric of a run; nothing where it was never logged.
    pub fn value(&self, row: usize, column: usize) -> Option<f64> {
        self.columns.get(column)?.get(row)
    }

    pub(super) fn key_text(&self, key: u32) -> &str {
        &self.keys.texts[key as usize]
    }

    pub(super) fn value_text(&self, value: u32) -> &str {
        &self.values.texts[value as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn run(id: &str, metrics: &[(&str, f64)]) -> RunFacts {
        RunFacts {
            id: id.to_string(),
            metrics: metrics.iter().map(|(key, value)| ((*key).to_string(), *value)).collect(),
            ..RunFacts::default()
        }
    }

    #[test]
    fn absent_and_nan_are_two_things() {
        let mut table = Table::new(&[run("a", &[("x", f64::NAN)]), run("b", &[("y", 1.0)])]);
        let (x, y) = (table.column("x").unwrap(), table.column("y").unwrap());
        let (a, b) = (table.row("a").unwrap(), table.row("b").unwrap());
        assert!(table.value(a, x).unwrap().is_nan());
        assert_eq!(table.value(b, x), None);
        assert_eq!(table.value(a, y), None);
        table.put(&run("a", &[("y", 2.0)]));
        assert_eq!((table.value(a, x), table.value(a, y)), (None, Some(2.0)));
    }

    #[test]
    fn rows_are_used_again() {
        let mut table = Table::new(&[run("a", &[("x", 1.0)]), run("b", &[("x", 2.0)])]);
        assert!(table.remove("a"));
        assert!(!table.remove("a"));
        assert_eq!((table.len(), table.row("a")), (1, None));
        let row = table.put(&run("c", &[]));
        assert_eq!((row, table.value(row, 0), table.height()), (0, None, 2));
        assert_eq!(table.rows().map(|row| table.id(row)).collect::<Vec<_>>(), ["c", "b"]);
    }
}
