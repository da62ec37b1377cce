//! Writing points: rows while they are few, chunks when they are many, and always the latest.
//!
//! A single point is a row. Several at once are a small chunk, which costs a twentieth of as many rows; when a
//! run and key has collected enough rows or small chunks, they are merged into large ones. A point is so
//! written two or three times in its life, and the number of pieces of a series stays small.

use super::chunk::{self, POINTS_MAX};
use super::{Sample, from_ordered_bits, ordered_bits};
use crate::db::{self, Connection, OptionalExtension};
use crate::error::Result;

/// Rows of one run and key that are merged into a chunk.
const ROWS_MAX: i64 = 2_048;

/// Small chunks of one run and key that are merged.
const SMALL_CHUNKS_MAX: i64 = 32;

/// A chunk with fewer points is small.
pub const SMALL_POINTS: usize = POINTS_MAX / 2;

/// Points of one key in one change that become a chunk without being rows first.
const DIRECT_MIN: usize = 8;

/// The number of a metric's name; made when it is new.
pub fn key_id(connection: &Connection, name: &str) -> Result<i64> {
    if let Some(id) = find_key(connection, name)? {
        return Ok(id);
    }
    Ok(connection.insert("INSERT INTO metric_names (name) VALUES (?1)", [name])?)
}

/// The number of a metric's name, if any run has ever had it.
pub fn find_key(connection: &Connection, name: &str) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM metric_names WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

/// Adds points of one key to a run. A point that is there already, to the bit, is not added again: a client that
/// repeats a call because its answer was lost changes nothing.
pub fn insert(connection: &Connection, run: i64, name: &str, samples: &mut Vec<Sample>) -> Result<()> {
    if samples.is_empty() {
        return Ok(());
    }
    let key = key_id(connection, name)?;
    samples.sort_unstable_by_key(Sample::identity);
    samples.dedup_by_key(|sample| sample.identity());
    let latest: Option<(Sample, i64, i64)> = connection
        .prepare_cached(
            "SELECT step, timestamp_ms, value, row_count, chunk_count FROM latest_metrics WHERE run = ?1 AND key = ?2",
        )?
        .query_row((run, key), |row| {
            let value: Option<f64> = row.get(2)?;
            let sample = Sample { step: row.get(0)?, timestamp_ms: row.get(1)?, value: value.unwrap_or(f64::NAN) };
            Ok((sample, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let (mut rows, mut small_chunks) = latest.map_or((0, 0), |(_, rows, chunks)| (rows, chunks));
    // The latest has the highest step: above it nothing is stored, so nothing can be there twice.
    let is_new = latest.is_none_or(|(latest, ..)| samples[0].step > latest.step);
    if samples.len() >= DIRECT_MIN && is_new {
        for samples in samples.chunks(POINTS_MAX) {
            insert_chunk(connection, run, key, samples)?;
            small_chunks += i64::from(samples.len() < SMALL_POINTS);
        }
    } else {
        rows += insert_rows(connection, run, key, samples)?;
    }
    if rows >= ROWS_MAX || small_chunks >= SMALL_CHUNKS_MAX {
        small_chunks = merge(connection, run, key)?;
        rows = 0;
    }
    let mut newest = samples[0];
    for sample in &samples[1..] {
        if sample.is_later_than(&newest) {
            newest = *sample;
        }
    }
    match latest {
        Some((latest, ..)) if !newest.is_later_than(&latest) => {
            connection
                .prepare_cached(
                    "UPDATE latest_metrics SET row_count = ?3, chunk_count = ?4 WHERE run = ?1 AND key = ?2",
                )?
                .execute((run, key, rows, small_chunks))?;
        }
        _ => {
            connection
                .prepare_cached(
                    "INSERT INTO latest_metrics (run, key, value, step, timestamp_ms, row_count, chunk_count)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT (run, key) DO UPDATE SET value = excluded.value, step = excluded.step,
                         timestamp_ms = excluded.timestamp_ms, row_count = excluded.row_count,
                         chunk_count = excluded.chunk_count",
                )?
                .execute((run, key, newest.value, newest.step, newest.timestamp_ms, rows, small_chunks))?;
        }
    }
    Ok(())
}

fn insert_rows(connection: &Connection, run: i64, key: i64, samples: &[Sample]) -> Result<i64> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO points (run, key, step, timestamp_ms, bits) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    let mut added = 0;
    for sample in samples {
        added += insert.execute((run, key, sample.step, sample.timestamp_ms, ordered_bits(sample.value)))?;
    }
    Ok(added as i64)
}

fn insert_chunk(connection: &Connection, run: i64, key: i64, samples: &[Sample]) -> Result<()> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
    connection
        .prepare_cached(
            "INSERT INTO chunks (run, key, point_count, step_min, step_max, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((run, key, samples.len() as i64, first.step, last.step, chunk::encode(samples)))?;
    Ok(())
}

/// Merges the rows and small chunks of a run and key; says how many small chunks are left (one or none).
fn merge(connection: &Connection, run: i64, key: i64) -> Result<i64> {
    let mut samples = rows(connection, run, key, i64::MIN, i64::MAX)?;
    let mut select = connection.prepare_cached(
        "SELECT data FROM chunks WHERE run = ?1 AND key = ?2 AND point_count < ?3 ORDER BY step_min",
    )?;
    let mut chunks = select.query((run, key, SMALL_POINTS as i64))?;
    while let Some(row) = chunks.next()? {
        samples.extend(chunk::decode(row.get_ref(0)?.as_blob().unwrap_or_default())?);
    }
    drop(chunks);
    samples.sort_unstable_by_key(Sample::identity);
    samples.dedup_by_key(|sample| sample.identity());
    connection
        .prepare_cached("DELETE FROM chunks WHERE run = ?1 AND key = ?2 AND point_count < ?3")?
        .execute((run, key, SMALL_POINTS as i64))?;
    connection.prepare_cached("DELETE FROM points WHERE run = ?1 AND key = ?2")?.execute((run, key))?;
    let mut small_chunks = 0;
    for samples in samples.chunks(POINTS_MAX) {
        insert_chunk(connection, run, key, samples)?;
        small_chunks += i64::from(samples.len() < SMALL_POINTS);
    }
    Ok(small_chunks)
}

fn rows(connection: &Connection, run: i64, key: i64, step_min: i64, step_max: i64) -> Result<Vec<Sample>> {
    let mut select = connection.prepare_cached(
        "SELECT step, timestamp_ms, bits FROM points WHERE run = ?1 AND key = ?2 AND step BETWEEN ?3 AND ?4
         ORDER BY step, timestamp_ms, bits",
    )?;
    let rows = select.query_map((run, key, step_min, step_max), |row| {
        Ok(Sample { step: row.get(0)?, timestamp_ms: row.get(1)?, value: from_ordered_bits(row.get(2)?) })
    })?;
    Ok(rows.collect::<db::Result<_>>()?)
}

/// All points of a run and key between two steps, both included, by step, time and value; none twice.
pub fn samples(
    connection: &Connection,
    run: i64,
    key: i64,
    step_min: i64,
    step_max: i64,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut select = connection.prepare_cached(
        "SELECT data FROM chunks WHERE run = ?1 AND key = ?2 AND step_min <= ?4 AND step_max >= ?3
         ORDER BY step_min, id",
    )?;
    let mut chunks = select.query((run, key, step_min, step_max))?;
    while let Some(row) = chunks.next()? {
        let data = row.get_ref(0)?.as_blob().unwrap_or_default();
        samples.extend(
            chunk::decode(data)?.into_iter().filter(|sample| (step_min..=step_max).contains(&sample.step)),
        );
    }
    samples.extend(rows(connection, run, key, step_min, step_max)?);
    if !samples.is_sorted_by_key(Sample::identity) {
        samples.sort_unstable_by_key(Sample::identity);
    }
    samples.dedup_by_key(|sample| sample.identity());
    Ok(samples)
}
