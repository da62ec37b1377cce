//! The header of a safetensors file over its mapped bytes.
//!
//! The reader of mynah-nn reads tensors one after another into memory; here files are mapped, hold tensors
//! we may never touch, and come from strangers, so types we cannot compute with are an error only when
//! such a tensor is asked for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::files::Bytes;
use crate::files::tensor::DType;

/// Headers beyond this are refused, as the reference implementation does.
const HEADER_BYTES_MAX: u64 = 100_000_000;

/// A tensor of the file: type, shape and place.
pub(crate) struct Entry {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub start: usize,
    pub end: usize,
}

/// Reads and checks the header.
///
/// # Errors
/// When the file is cut short or its header is not sound; the message says which.
pub(crate) fn entries(file: &Bytes) -> Result<BTreeMap<String, Entry>> {
    let fail = |message: String| Error::format(file.path(), message);
    let length = file.len() as u64;
    let Some(word) = file.first_chunk::<8>() else {
        return Err(fail(format!(
            "not a safetensors file: it has {length} bytes, the length of a header alone takes 8; copy it again"
        )));
    };
    let header = u64::from_le_bytes(*word);
    if header > HEADER_BYTES_MAX {
        return Err(fail(format!(
            "not a safetensors file: its header would take {header} bytes, at most {HEADER_BYTES_MAX} are allowed"
        )));
    }
    if header > length - 8 {
        return Err(fail(format!(
            "cut short: the header takes {header} bytes but only {} follow; copy the file again",
            length - 8
        )));
    }
    let data_start = 8 + header as usize;
    let wire: serde_json::Map<String, Value> = serde_json::from_slice(&file[8..data_start])
        .map_err(|e| fail(format!("not a safetensors file: its header is not a JSON object ({e})")))?;
    let data_length = file.len() - data_start;
    let mut entries = BTreeMap::new();
    for (name, value) in wire {
        if name == "__metadata__" {
            continue;
        }
        let mut entry = entry(&value, data_length).map_err(|what| fail(format!("tensor {name}: {what}")))?;
        entry.start += data_start;
        entry.end += data_start;
        entries.insert(name, entry);
    }
    let mut ranges: Vec<(usize, usize, &str)> =
        entries.iter().map(|(name, e)| (e.start, e.end, name.as_str())).collect();
    ranges.sort_unstable();
    if let Some(pair) = ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        return Err(fail(format!("tensors {} and {} overlap; the file is damaged", pair[0].2, pair[1].2)));
    }
    Ok(entries)
}

fn entry(value: &Value, data_length: usize) -> std::result::Result<Entry, String> {
    let numbers = |key: &str| -> Option<Vec<usize>> {
        value.get(key)?.as_array()?.iter().map(|n| usize::try_from(n.as_u64()?).ok()).collect()
    };
    let name = value.get("dtype").and_then(Value::as_str).ok_or("its header has no dtype")?;
    let shape = numbers("shape").ok_or("its shape is not a list of lengths")?;
    let Some(&[start, end]) = numbers("data_offsets").as_deref() else {
        return Err("its data_offsets are not two positions".to_string());
    };
    if start > end || end > data_length {
        return Err(format!(
            "it lies at bytes {start}..{end} of the data but only {data_length} are there; copy the file again"
        ));
    }
    let dtype = DType::from_safetensors(name);
    let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if let Some(size) = dtype.plain_size()
        && elements.and_then(|n| n.checked_mul(size)) != Some(end - start)
    {
        return Err(format!("{name} {shape:?} does not fill its byte range {start}..{end}"));
    }
    Ok(Entry { dtype, shape, start, end })
}
