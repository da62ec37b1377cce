//! Parquet shards: one string column, read page by page with the crate's low-level column reader. The Arrow
//! layer on top would add minutes of compile time and nothing that a single column needs.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::text::decode;
use super::{CorpusOptions, Counts, FileReader, cut_long};
use crate::error::{Error, ErrorKind, Result};

/// Values read at a time.
const BATCH: usize = 64;

pub struct ParquetReader {
    path: PathBuf,
    file: SerializedFileReader<File>,
    column: usize,
    column_name: String,
    row_group: usize,
    open: Option<ColumnReaderImpl<ByteArrayType>>,
    strict: bool,
    document_bytes_max: usize,
    ready: VecDeque<String>,
}

/// Refuses a file that is not Parquet or lacks the column, before any training begins.
pub fn check(path: &Path, options: &CorpusOptions) -> Result<()> {
    ParquetReader::open(path, options).map(|_| ())
}

impl ParquetReader {
    pub fn open(path: &Path, options: &CorpusOptions) -> Result<ParquetReader> {
        let file = File::open(path).map_err(|e| Error::io("cannot read", path, &e))?;
        let file = guarded(path, || SerializedFileReader::new(file))?;
        let schema = file.metadata().file_metadata().schema_descr();
        let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
        let column = names.iter().position(|name| *name == options.text_field).filter(|&at| {
            let column = schema.column(at);
            column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0
        });
        let Some(column) = column else {
            let message = format!(
                "{} has no text column \"{}\"; its columns are: {}",
                path.display(),
                options.text_field,
                shown(&names)
            );
            return Err(Error::new(ErrorKind::Format, message));
        };
        Ok(ParquetReader {
            path: path.to_path_buf(),
            file,
            column,
            column_name: options.text_field.clone(),
            row_group: 0,
            open: None,
            strict: options.strict,
            document_bytes_max: options.document_bytes_max.max(8),
            ready: VecDeque::new(),
        })
    }

    /// The next values of the column; empty at the end of the file. Values that are null are left out and counted.
    fn batch(&mut self, counts: &mut Counts) -> Result<Vec<ByteArray>> {
        loop {
            if self.open.is_none() {
                if self.row_group >= self.file.num_row_groups() {
                    return Ok(Vec::new());
                }
                let (file, group, column) = (&self.file, self.row_group, self.column);
                let reader = guarded(&self.path, || file.get_row_group(group)?.get_column_reader(column))?;
                let ColumnReader::ByteArrayColumnReader(reader) = reader else {
                    let message = format!(
                        "{}: the column \"{}\" is not text in row group {group}",
                        self.path.display(),
                        self.column_name
                    );
                    return Err(Error::new(ErrorKind::Format, message));
                };
                self.open = Some(reader);
            }
            let Some(reader) = self.open.as_mut() else { continue };
            let (mut values, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
            let (records, _, _) =
                guarded(&self.path, || reader.read_records(BATCH, Some(&mut levels), None, &mut values))?;
            if records == 0 {
                self.open = None;
                self.row_group += 1;
                continue;
            }
            let nulls = records.saturating_sub(values.len()) as u64;
            if nulls > 0 && self.strict {
                let message = format!(
                    "{}: {nulls} null value(s) in the column \"{}\"",
                    self.path.display(),
                    self.column_name
                );
                return Err(Error::new(ErrorKind::Format, message));
            }
            counts.skipped += nulls;
            if !values.is_empty() {
                return Ok(values);
            }
        }
    }
}

impl FileReader for ParquetReader {
    fn next(&mut self, counts: &mut Counts) -> Result<Option<String>> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Ok(Some(text));
            }
            let values = self.batch(counts)?;
            if values.is_empty() {
                return Ok(None);
            }
            for value in values {
                let text = decode(value.data().to_vec(), self.strict, &self.path, 0, counts)?;
                if text.trim().is_empty() {
                    counts.skipped += 1;
                    continue;
                }
                self.ready.extend(cut_long(text, self.document_bytes_max, counts));
            }
        }
    }
}

/// Runs a step of the Parquet crate. It reports most damage as an error, but a hostile file may reach an
/// assertion in it: that is then the file's error too, not the end of the program.
fn guarded<T>(path: &Path, step: impl FnOnce() -> std::result::Result<T, ParquetError>) -> Result<T> {
    let wrong = |what: String| {
        Error::new(ErrorKind::Format, format!("{} is not a sound Parquet file: {what}", path.display()))
    };
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)) {
        Ok(result) => result.map_err(|e| wrong(one_line(&e.to_string()))),
        Err(_) => Err(wrong("its content contradicts itself".to_string())),
    }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or("").to_string()
}

/// The first names of a list that may be long.
fn shown(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
    let more = if names.len() > first.len() {
        format!(" and {} more", names.len() - first.len())
    } else {
        String::new()
    };
    first.join(", ") + &more
}
