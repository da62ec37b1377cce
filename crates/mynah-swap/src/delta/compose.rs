//! Two patches as one, without the weights: how a chain of small steps becomes one step.

use std::collections::HashMap;

use super::codec::{Edit, Parts, PartsReader, Value, patch, write_parts};
use super::package::{Origin, Record, Stream, write_head, write_record};
use crate::manifest::Tensor;
use crate::{Error, Manifest, Result};

/// The patch that does what `first` and then `second` do to a chunk of `size_bytes`.
///
/// # Errors
/// `Format` when one of them is malformed.
pub fn compose_patches(first: &[u8], second: &[u8], size_bytes: usize, unit_bytes: usize) -> Result<Vec<u8>> {
    if unit_bytes == 0 || !size_bytes.is_multiple_of(unit_bytes) {
        return Err(Error::argument(format!("{size_bytes} bytes are not whole units of {unit_bytes}")));
    }
    let mut out = Vec::new();
    let mut first = PartsReader::new(size_bytes, first, unit_bytes);
    let mut second = PartsReader::new(size_bytes, second, unit_bytes);
    while let (Some((_, a)), Some((_, b))) = (first.next()?, second.next()?) {
        let both = match (a, b) {
            (any, Parts::Same) | (Parts::Same, any) | (_, any @ Parts::Full(_)) => any,
            (Parts::Full(mut bytes), Parts::Sparse(edits)) => {
                for edit in edits {
                    edit.apply(&mut bytes[edit.place as usize * unit_bytes..][..unit_bytes]);
                }
                Parts::Full(bytes)
            }
            (Parts::Sparse(a), Parts::Sparse(b)) => Parts::Sparse(merge(a, b, unit_bytes)),
        };
        write_parts(&both, unit_bytes, &mut out);
    }
    Ok(out)
}

impl Edit {
    fn apply(&self, unit: &mut [u8]) {
        match &self.value {
            Value::Raw(bytes) => unit.copy_from_slice(bytes),
            Value::Difference(difference) => add(unit, *difference),
        }
    }
}

fn add(unit: &mut [u8], difference: u64) {
    let mut word = [0; 8];
    word[..unit.len()].copy_from_slice(unit);
    let sum = u64::from_le_bytes(word).wrapping_add(difference).to_le_bytes();
    unit.copy_from_slice(&sum[..unit.len()]);
}

fn merge(a: Vec<Edit>, b: Vec<Edit>, unit_bytes: usize) -> Vec<Edit> {
    let mask = u64::MAX >> (64 - unit_bytes.min(8) * 8);
    let mut a = a.into_iter().peekable();
    let mut out = Vec::new();
    for second in b {
        while let Some(first) = a.next_if(|first| first.place < second.place) {
            out.push(first);
        }
        match a.next_if(|first| first.place == second.place) {
            None => out.push(second),
            Some(first) => {
                let value = match (first.value, second.value) {
                    (_, raw @ Value::Raw(_)) => raw,
                    (Value::Raw(mut bytes), Value::Difference(difference)) => {
                        add(&mut bytes, difference);
                        Value::Raw(bytes)
                    }
                    (Value::Difference(x), Value::Difference(y)) => {
                        Value::Difference(x.wrapping_add(y) & mask)
                    }
                };
                // There and back again.
                if value != Value::Difference(0) {
                    out.push(Edit { place: second.place, value });
                }
            }
        }
    }
    out.extend(a);
    out
}

/// One stream from A to C of a stream from A to B and one from B to C; `a` is the manifest of A. The weights
/// are not needed, and not looked at: who applies the result checks every chunk as always.
///
/// # Errors
/// `Mismatch` when the streams do not follow each other or do not start at `a`; `Format` when one is malformed.
pub fn compose(a: &Manifest, first: &[u8], second: &[u8]) -> Result<Vec<u8>> {
    let mut first = Stream::open(first)?;
    let mut second = Stream::open(second)?;
    if first.head.base != a.digest() || second.head.base != first.head.manifest.digest() {
        return Err(Error::mismatch(format!(
            "streams {} -> {} and {} -> {} make no way from {}",
            first.head.base.short(),
            first.head.manifest.digest().short(),
            second.head.base.short(),
            second.head.manifest.digest().short(),
            a.digest().short()
        )));
    }
    let (b, c) = (first.head.manifest.clone(), second.head.manifest.clone());
    let mut earlier: HashMap<(u32, u32), Record> = HashMap::new();
    while let Some(record) = first.next(a, &b)? {
        earlier.insert((record.tensor, record.chunk), record);
    }
    // What `a` has at the place of a chunk of `b` that the first stream does not name.
    let kept = |tensor: u32, chunk: u32| -> Option<Origin> {
        let tensor = &b.tensors()[tensor as usize];
        let at = a.find(&tensor.name, tensor.part)?;
        is_same_form(&a.tensors()[at], tensor).then_some(Origin { tensor: at as u32, chunk })
    };
    let lost = || Error::format("the first stream misses a chunk that the second builds on");
    let mut records = Vec::new();
    let mut later: std::collections::HashSet<(u32, u32)> = std::collections::HashSet::new();
    while let Some(mut record) = second.next(&b, &c)? {
        later.insert((record.tensor, record.chunk));
        if let Some(origin) = record.origin {
            let unit_bytes = c.tensors()[record.tensor as usize].dtype.unit_bytes();
            match earlier.get(&(origin.tensor, origin.chunk)) {
                None => record.origin = Some(kept(origin.tensor, origin.chunk).ok_or_else(lost)?),
                Some(before) if before.origin.is_none() => {
                    let mut bytes = before.payload.to_vec();
                    if !record.payload.is_empty() {
                        patch(&mut bytes, &record.payload, unit_bytes)?;
                    }
                    (record.origin, record.payload) = (None, bytes.into());
                }
                Some(before) => {
                    record.origin = before.origin;
                    record.payload = match (before.payload.is_empty(), record.payload.is_empty()) {
                        (_, true) => before.payload.clone(),
                        (true, false) => record.payload,
                        (false, false) => {
                            let tensor = &c.tensors()[record.tensor as usize];
                            let range = c.chunk_bytes_range(tensor, record.chunk as usize);
                            let size_bytes = (range.end - range.start) as usize;
                            compose_patches(&before.payload, &record.payload, size_bytes, unit_bytes)?.into()
                        }
                    };
                }
            }
        }
        records.push(record);
    }
    // What only the first stream changes, where the chunk is still there.
    for ((tensor, chunk), record) in earlier {
        let before = &b.tensors()[tensor as usize];
        if let Some(at) = c.find(&before.name, before.part)
            && is_same_form(&c.tensors()[at], before)
            && !later.contains(&(at as u32, chunk))
        {
            records.push(Record { tensor: at as u32, ..record });
        }
    }
    records.sort_by_key(|record| (record.tensor, record.chunk));
    let mut out = Vec::new();
    write_head(&mut out, &a.digest(), &c, records.len());
    for record in &records {
        write_record(&mut out, record, a, &c);
    }
    Ok(out)
}

fn is_same_form(a: &Tensor, b: &Tensor) -> bool {
    a.dtype == b.dtype && a.shape == b.shape && a.part == b.part
}
