//! Reading what was recorded in runs: of many at once, with one statement for each kind of thing.

use std::collections::HashMap;

use crate::db::{Bound, Connection, OptionalExtension};
use crate::error::Result;
use crate::metrics::Sample;
use crate::runs;
use crate::types::{
    Dataset, DatasetInput, Keys, Metric, ModelOutput, Param, Run, RunData, RunParts, RunRecord, Tag,
};

/// Runs that one statement reads: few enough that its rows fit into memory beside the answer.
const AT_ONCE: usize = 2_000;

/// The runs of these keys, in this order, with the parts that are wanted.
pub fn records(connection: &Connection, ids: &[i64], parts: &RunParts) -> Result<Vec<RunRecord>> {
    let mut records = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let owners = Owners::new(ids);
        let mut runs: Vec<Option<Run>> = vec![None; ids.len()];
        let mut select = connection.prepare_cached(&format!(
            "SELECT {} FROM runs r WHERE r.id {}",
            runs::COLUMNS,
            owners.condition
        ))?;
        let mut rows = select.query(&[owners.value.clone()][..])?;
        while let Some(row) = rows.next()? {
            let (id, run) = runs::from_row(&row)?;
            if let Some(place) = owners.places.get(&id) {
                runs[*place] = Some(run);
            }
        }
        let data = of(connection, &owners, parts)?;
        records
            .extend(runs.into_iter().zip(data).filter_map(|(run, data)| Some(RunRecord { run: run?, data })));
    }
    Ok(records)
}

/// Everything of one run.
pub fn all(connection: &Connection, run: i64) -> Result<RunData> {
    let mut data = of(connection, &Owners::new(&[run]), &RunParts::default())?;
    Ok(data.pop().unwrap_or_default())
}

/// The runs of a statement: `= ?1` for one, a list for more.
struct Owners {
    places: HashMap<i64, usize>,
    condition: &'static str,
    value: Bound,
}

impl Owners {
    fn new(ids: &[i64]) -> Owners {
        let places = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        match ids {
            [id] => Owners { places, condition: "= ?1", value: Bound::Integer(*id) },
            _ => {
                let list: Vec<String> = ids.iter().map(i64::to_string).collect();
                let value = Bound::Text(format!("[{}]", list.join(",")));
                Owners { places, condition: "IN (SELECT value FROM json_each(?1))", value }
            }
        }
    }

    /// The values of a statement that is about the wanted keys of these runs.
    fn values(&self, keys: &Keys) -> Vec<Bound> {
        let mut values = vec![self.value.clone()];
        if let Keys::Only(keys) = keys {
            // No key holds a NUL, and not every database has one in its texts.
            let keys: Vec<&String> = keys.iter().filter(|key| !key.contains('\0')).collect();
            values.push(Bound::Text(serde_json::json!(keys).to_string()));
        }
        values
    }
}

fn of(connection: &Connection, owners: &Owners, parts: &RunParts) -> Result<Vec<RunData>> {
    let mut data = vec![RunData::default(); owners.places.len()];
    metrics(connection, owners, &parts.metrics, &mut data)?;
    pairs(connection, "params", owners, &parts.params, |place, key, value| {
        data[place].params.push(Param { key, value });
    })?;
    pairs(connection, "tags", owners, &parts.tags, |place, key, value| {
        data[place].tags.push(Tag { key, value });
    })?;
    if parts.inputs {
        inputs(connection, owners, &mut data)?;
    }
    if parts.models {
        models(connection, owners, &mut data)?;
    }
    Ok(data)
}

/// The rows of a table of keys and values, by key.
fn pairs(
    connection: &Connection,
    table: &str,
    owners: &Owners,
    keys: &Keys,
    mut put: impl FnMut(usize, String, String),
) -> Result<()> {
    let only = match keys {
        Keys::None => return Ok(()),
        Keys::All => "",
        Keys::Only(_) => " AND key IN (SELECT value FROM json_each(?2))",
    };
    let mut select = connection.prepare_cached(&format!(
        "SELECT run, key, value FROM {table} WHERE run {}{only} ORDER BY run, key",
        owners.condition
    ))?;
    let mut rows = select.query(&owners.values(keys)[..])?;
    while let Some(row) = rows.next()? {
        if let Some(place) = owners.places.get(&row.get(0)?) {
            put(*place, row.get(1)?, row.get(2)?);
        }
    }
    Ok(())
}

/// The latest values, by the names of the metrics.
fn metrics(connection: &Connection, owners: &Owners, keys: &Keys, data: &mut [RunData]) -> Result<()> {
    let only = match keys {
        Keys::None => return Ok(()),
        Keys::All => "",
        Keys::Only(_) => {
            " AND key IN (SELECT id FROM metric_names WHERE name IN (SELECT value FROM json_each(?2)))"
        }
    };
    let mut select = connection.prepare_cached(&format!(
        "SELECT run, key, value, timestamp_ms, step FROM latest_metrics WHERE run {}{only}",
        owners.condition
    ))?;
    let mut rows = select.query(&owners.values(keys)[..])?;
    let mut found: Vec<(usize, i64, Sample)> = Vec::new();
    // Names are few, and the same for most runs.
    let mut names: HashMap<i64, String> = HashMap::new();
    while let Some(row) = rows.next()? {
        let Some(place) = owners.places.get(&row.get(0)?) else { continue };
        let key: i64 = row.get(1)?;
        names.entry(key).or_default();
        let value: Option<f64> = row.get(2)?;
        let sample =
            Sample { value: value.unwrap_or(f64::NAN), timestamp_ms: row.get(3)?, step: row.get(4)? };
        found.push((*place, key, sample));
    }
    drop(rows);
    let mut name = connection.prepare_cached("SELECT name FROM metric_names WHERE id = ?1")?;
    for (key, text) in &mut names {
        *text = name.query_row([*key], |row| row.get(0)).optional()?.unwrap_or_default();
    }
    // Sorted by the place of the name among all names, which is one comparison of numbers, not of texts.
    let mut by_name: Vec<(&str, i64)> = names.iter().map(|(key, name)| (name.as_str(), *key)).collect();
    by_name.sort_unstable();
    let ranks: HashMap<i64, usize> =
        by_name.iter().enumerate().map(|(rank, (_, key))| (*key, rank)).collect();
    for (_, key, _) in &mut found {
        *key = ranks[key] as i64;
    }
    found.sort_unstable_by_key(|(place, rank, _)| (*place, *rank));
    for of_run in found.chunk_by(|a, b| a.0 == b.0) {
        let metric = |(_, rank, sample): &(usize, i64, Sample)| {
            Metric::new(by_name[*rank as usize].0, sample.value, sample.timestamp_ms, sample.step)
        };
        data[of_run[0].0].metrics = of_run.iter().map(metric).collect();
    }
    Ok(())
}

fn inputs(connection: &Connection, owners: &Owners, data: &mut [RunData]) -> Result<()> {
    let value = [owners.value.clone()];
    let mut select = connection.prepare_cached(&format!(
        "SELECT i.run, i.id, d.name, d.digest, d.source_type, d.source, d.schema, d.profile
         FROM inputs i JOIN datasets d ON d.id = i.dataset WHERE i.run {} ORDER BY i.id",
        owners.condition
    ))?;
    let mut rows = select.query(&value[..])?;
    // Where each input stands, for its tags.
    let mut places: HashMap<i64, (usize, usize)> = HashMap::new();
    while let Some(row) = rows.next()? {
        let Some(place) = owners.places.get(&row.get(0)?) else { continue };
        let dataset = Dataset {
            name: row.get(2)?,
            digest: row.get(3)?,
            source_type: row.get(4)?,
            source: row.get(5)?,
            schema: row.get(6)?,
            profile: row.get(7)?,
        };
        let inputs = &mut data[*place].inputs;
        places.insert(row.get(1)?, (*place, inputs.len()));
        inputs.push(DatasetInput { dataset, tags: Vec::new() });
    }
    drop(rows);
    if places.is_empty() {
        return Ok(());
    }
    let mut select = connection.prepare_cached(&format!(
        "SELECT t.input, t.key, t.value FROM inputs i JOIN input_tags t ON t.input = i.id WHERE i.run {}
         ORDER BY t.input, t.key",
        owners.condition
    ))?;
    let mut rows = select.query(&value[..])?;
    while let Some(row) = rows.next()? {
        if let Some((place, input)) = places.get(&row.get(0)?) {
            data[*place].inputs[*input].tags.push(Tag { key: row.get(1)?, value: row.get(2)? });
        }
    }
    Ok(())
}

fn models(connection: &Connection, owners: &Owners, data: &mut [RunData]) -> Result<()> {
    let value = [owners.value.clone()];
    let mut select = connection.prepare_cached(&format!(
        "SELECT run, model_id FROM model_inputs WHERE run {} ORDER BY run, model_id",
        owners.condition
    ))?;
    let mut rows = select.query(&value[..])?;
    while let Some(row) = rows.next()? {
        if let Some(place) = owners.places.get(&row.get(0)?) {
            data[*place].model_inputs.push(row.get(1)?);
        }
    }
    drop(rows);
    let mut select = connection.prepare_cached(&format!(
        "SELECT run, model_id, step FROM model_outputs WHERE run {} ORDER BY run, step, model_id",
        owners.condition
    ))?;
    let mut rows = select.query(&value[..])?;
    while let Some(row) = rows.next()? {
        if let Some(place) = owners.places.get(&row.get(0)?) {
            data[*place].model_outputs.push(ModelOutput { model_id: row.get(1)?, step: row.get(2)? });
        }
    }
    Ok(())
}
