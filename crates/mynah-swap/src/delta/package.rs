//! The changed chunks of a version as one stream.
//!
//! ```text
//! stream = "MYNAHWD1", base, manifest size (u32), manifest of the new version, count of records (u32), records
//! record = tensor (u32), chunk (u32), kind, [from tensor, from chunk,] payload size (u32), payload
//! kind   = 0: the payload is the chunk | 1: a patch of the same chunk of the base
//!        | 2: a patch of another chunk of the base, empty for a copy
//! ```
//!
//! Records are in order of tensor and chunk; a chunk without one is the base's at the same place. Nothing in a
//! stream is believed: the base is checked by digest before, every chunk after.

use std::borrow::Cow;
use std::io::{Read, Write};

use super::codec::{encode, patch, patch_size_max};
use super::sinks::ChunkSink;
use crate::manifest::Tensor;
use crate::plan::{Plan, PlanOptions};
use crate::source::TensorSource;
use crate::wire::{Reader, Writer};
use crate::{Error, Hash, Manifest, Result};

const MAGIC: &[u8; 8] = b"MYNAHWD1";

/// What a stream says before its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaHead {
    /// The version that the stream changes.
    pub base: Hash,
    /// The version that comes out.
    pub manifest: Manifest,
    /// Chunks in the stream.
    pub records: u32,
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeltaStats {
    /// Bytes of the stream.
    pub wire_bytes: u64,
    /// Bytes of the new version.
    pub size_bytes: u64,
    /// Chunks sent as they are.
    pub whole_chunks: u64,
    /// Chunks sent as patches.
    pub patched_chunks: u64,
    /// Chunks copied from another place of the base.
    pub copied_chunks: u64,
    /// Units that changed in patched chunks.
    pub changed_units: u64,
}

/// Where a chunk of the new version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) tensor: u32,
    pub(super) chunk: u32,
}

/// One chunk of a stream.
#[derive(Clone, Debug)]
pub(super) struct Record<'a> {
    pub(super) tensor: u32,
    pub(super) chunk: u32,
    /// The chunk of the base that the payload patches; nothing when the payload is the chunk.
    pub(super) origin: Option<Origin>,
    pub(super) payload: Cow<'a, [u8]>,
}

/// Writes the stream from one version to another. Both sources must hold what their manifests say; a partial
/// manifest is completed from the base.
///
/// # Errors
/// `Mismatch` when the manifests do not belong together or a source holds other bytes, `Io` when reading or
/// writing fails.
pub fn make(
    base: (&Manifest, &dyn TensorSource),
    target: (&Manifest, &dyn TensorSource),
    out: &mut dyn Write,
) -> Result<DeltaStats> {
    let (base_manifest, base_source) = base;
    let whole = target.0.onto(base_manifest)?;
    let cap = u64::MAX;
    let plan = Plan::new(
        Some(base_manifest),
        &whole,
        &PlanOptions { bucket_bytes_max: cap, ..PlanOptions::default() },
    )?;
    let base_places = places(base_manifest, base_source);
    let target_places = places(&whole, target.1);
    let mut records: Vec<(u32, u32, Option<Origin>)> = Vec::new();
    for piece in plan.buckets.iter().flat_map(|bucket| &bucket.pieces) {
        let chunks = piece.first_chunk..piece.first_chunk + piece.count;
        records.extend(chunks.map(|chunk| (piece.tensor, chunk, None)));
    }
    for (tensor, plan) in plan.tensors.iter().enumerate() {
        for copy in &plan.copies {
            let one = |i| {
                let origin = Origin { tensor: copy.from_tensor, chunk: copy.from_chunk + i };
                (tensor as u32, copy.to_chunk + i, Some(origin))
            };
            records.extend((0..copy.count).map(one));
        }
    }
    records.sort_unstable_by_key(|&(tensor, chunk, _)| (tensor, chunk));
    let mut stats = DeltaStats { size_bytes: whole.size_bytes(), ..DeltaStats::default() };
    let mut bytes = Vec::new();
    write_head(&mut bytes, &base_manifest.digest(), &whole, records.len());
    let (mut old, mut new, mut payload) = (Vec::new(), Vec::new(), Vec::new());
    for (tensor, chunk, copied) in records {
        let entry = &whole.tensors()[tensor as usize];
        payload.clear();
        let mut origin = copied;
        if copied.is_some() {
            stats.copied_chunks += 1;
        } else {
            read_chunk(&whole, tensor, chunk, target.1, &target_places, &mut new)?;
            whole.check_chunk(tensor as usize, chunk as usize, &new)?;
            // A chunk of a tensor of the same form is patched, unless that is no shorter.
            if let Some(partner) = base_manifest.find(&entry.name, entry.part)
                && is_same_form(&base_manifest.tensors()[partner], entry)
                && base_manifest.head().chunk_bytes == whole.head().chunk_bytes
            {
                read_chunk(base_manifest, partner as u32, chunk, base_source, &base_places, &mut old)?;
                base_manifest.check_chunk(partner, chunk as usize, &old)?;
                let changes = encode(&old, &new, entry.dtype.unit_bytes(), &mut payload);
                if payload.len() < new.len() {
                    origin = Some(Origin { tensor: partner as u32, chunk });
                    stats.patched_chunks += 1;
                    stats.changed_units += changes;
                } else {
                    payload.clear();
                }
            }
            if origin.is_none() {
                stats.whole_chunks += 1;
                payload.extend(&new);
            }
        }
        let record = Record { tensor, chunk, origin, payload: Cow::Borrowed(&payload) };
        write_record(&mut bytes, &record, base_manifest, &whole);
        if bytes.len() > 1 << 20 {
            stats.wire_bytes += bytes.len() as u64;
            out.write_all(&bytes).map_err(|e| stream_error("write", &e))?;
            bytes.clear();
        }
    }
    stats.wire_bytes += bytes.len() as u64;
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(|e| stream_error("write", &e))?;
    Ok(stats)
}

/// Reads what a stream says of itself, and nothing of its chunks.
///
/// # Errors
/// `Format` when it is malformed, `Io` when it cannot be read.
pub fn read_head(input: &mut dyn Read) -> Result<DeltaHead> {
    let mut fixed = [0; 44];
    input.read_exact(&mut fixed).map_err(|e| stream_error("read", &e))?;
    let mut reader = Reader::new(&fixed, "the delta");
    if reader.bytes(8, "the magic")? != MAGIC {
        return Err(Error::format("not a weight delta: it does not begin with MYNAHWD1"));
    }
    let base = reader.hash("the base")?;
    let size = u64::from(reader.u32("the size of the manifest")?);
    let mut bytes = Vec::new();
    // As much as comes, not as much as is announced.
    input.take(size).read_to_end(&mut bytes).map_err(|e| stream_error("read", &e))?;
    if bytes.len() as u64 != size {
        return Err(Error::format("the delta is cut short in its manifest"));
    }
    let manifest = Manifest::parse(&bytes)?;
    if manifest.head().is_partial {
        return Err(Error::format("the delta's manifest is partial; a stream carries the whole version"));
    }
    let mut count = [0; 4];
    input.read_exact(&mut count).map_err(|e| stream_error("read", &e))?;
    let records = u32::from_le_bytes(count);
    if records as usize > manifest.chunks().len() {
        return Err(Error::format(format!(
            "the delta announces {records} chunks of {}",
            manifest.chunks().len()
        )));
    }
    Ok(DeltaHead { base, manifest, records })
}

/// Makes the new version of the base and a stream: every chunk is built, checked against the new manifest, and
/// given to the sink. Nothing is given to anybody before [`ChunkSink::finish`]; after an error the sink is to be
/// dropped.
///
/// # Errors
/// `Mismatch` when the stream is for another base, the base is damaged, or a chunk is not what the manifest says;
/// `Format` when the stream is malformed; `Io`; whatever the sink answers.
pub fn apply(
    base: (&Manifest, &dyn TensorSource),
    input: &mut dyn Read,
    sink: &mut dyn ChunkSink,
) -> Result<Manifest> {
    let (base_manifest, base_source) = base;
    let head = read_head(input)?;
    if head.base != base_manifest.digest() {
        return Err(Error::mismatch(format!(
            "the delta starts at version {}, here is {}; fetch one that starts here, or the whole version",
            head.base.short(),
            base_manifest.digest().short()
        )));
    }
    let manifest = head.manifest;
    let base_places = places(base_manifest, base_source);
    sink.begin(&manifest)?;
    let mut left = head.records;
    let mut next = next_record(input, &mut left, base_manifest, &manifest, None)?;
    let mut chunk_bytes = Vec::new();
    for (index, tensor) in manifest.tensors().iter().enumerate() {
        let partner = base_manifest.find(&tensor.name, tensor.part);
        let partner = partner.filter(|&at| is_same_form(&base_manifest.tensors()[at], tensor));
        for chunk in 0..tensor.chunk_range().len() {
            let is_next =
                next.as_ref().is_some_and(|r| (r.tensor as usize, r.chunk as usize) == (index, chunk));
            let record = if is_next { next.take() } else { None };
            let origin = match &record {
                Some(record) => record.origin,
                None => partner.map(|tensor| Origin { tensor: tensor as u32, chunk: chunk as u32 }),
            };
            match (origin, &record) {
                (Some(origin), _) => {
                    let Origin { tensor, chunk } = origin;
                    read_chunk(base_manifest, tensor, chunk, base_source, &base_places, &mut chunk_bytes)?;
                }
                (None, Some(record)) => {
                    chunk_bytes.clear();
                    chunk_bytes.extend_from_slice(&record.payload);
                }
                (None, None) => {
                    return Err(Error::format(format!(
                        "the delta lacks chunk {chunk} of {}, which the base has not",
                        tensor.label()
                    )));
                }
            }
            if let Some(record) = &record
                && origin.is_some()
                && !record.payload.is_empty()
            {
                patch(&mut chunk_bytes, &record.payload, tensor.dtype.unit_bytes())?;
            }
            manifest.check_chunk(index, chunk, &chunk_bytes)?;
            sink.write(index, manifest.chunk_bytes_range(tensor, chunk).start, &chunk_bytes)?;
            if let Some(record) = record {
                next = next_record(
                    input,
                    &mut left,
                    base_manifest,
                    &manifest,
                    Some((record.tensor, record.chunk)),
                )?;
            }
        }
    }
    if input.read(&mut [0]).map_err(|e| stream_error("read", &e))? != 0 {
        return Err(Error::format("the delta goes on after its last chunk"));
    }
    sink.finish()?;
    Ok(manifest)
}

fn stream_error(action: &str, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => return Error::format("the delta is cut short"),
        _ => crate::ErrorKind::Io,
    };
    Error::new(kind, format!("cannot {action} the delta: {error}"))
}

fn is_same_form(a: &Tensor, b: &Tensor) -> bool {
    a.dtype == b.dtype && a.shape == b.shape && a.part == b.part
}

/// The number in the source of each tensor of the manifest.
fn places(manifest: &Manifest, source: &dyn TensorSource) -> Vec<Option<usize>> {
    let mut found = vec![None; manifest.tensors().len()];
    for (index, info) in source.tensors().iter().enumerate() {
        if let Some(at) = manifest.find(&info.name, info.part) {
            found[at] = Some(index);
        }
    }
    found
}

fn read_chunk(
    manifest: &Manifest,
    tensor: u32,
    chunk: u32,
    source: &dyn TensorSource,
    places: &[Option<usize>],
    into: &mut Vec<u8>,
) -> Result<()> {
    let entry = &manifest.tensors()[tensor as usize];
    let at = places[tensor as usize].ok_or_else(|| {
        Error::mismatch(format!("the weights at hand have no {}, which their manifest lists", entry.label()))
    })?;
    let info = &source.tensors()[at];
    if info.dtype != entry.dtype || info.shape != entry.shape {
        return Err(Error::mismatch(format!(
            "{} is {} {:?} at hand, {} {:?} in its manifest",
            entry.label(),
            info.dtype,
            info.shape,
            entry.dtype,
            entry.shape
        )));
    }
    let range = manifest.chunk_bytes_range(entry, chunk as usize);
    into.resize((range.end - range.start) as usize, 0);
    source.read(at, range.start, into)
}

pub(super) fn write_head(out: &mut Vec<u8>, base: &Hash, manifest: &Manifest, records: usize) {
    let mut writer = Writer(MAGIC.to_vec());
    writer.hash(base);
    writer.blob(&manifest.to_bytes());
    writer.u32(records as u32);
    out.extend(writer.0);
}

pub(super) fn write_record(out: &mut Vec<u8>, record: &Record, base: &Manifest, target: &Manifest) {
    let mut writer = Writer(std::mem::take(out));
    writer.u32(record.tensor);
    writer.u32(record.chunk);
    let entry = &target.tensors()[record.tensor as usize];
    match record.origin {
        None => writer.u8(0),
        Some(origin)
            if base.find(&entry.name, entry.part) == Some(origin.tensor as usize)
                && origin.chunk == record.chunk =>
        {
            writer.u8(1);
        }
        Some(origin) => {
            writer.u8(2);
            writer.u32(origin.tensor);
            writer.u32(origin.chunk);
        }
    }
    writer.blob(&record.payload);
    *out = writer.0;
}

/// Reads one record and checks that it may stand there: in order, inside the manifests, of a sensible size.
fn next_record(
    input: &mut dyn Read,
    left: &mut u32,
    base: &Manifest,
    target: &Manifest,
    last: Option<(u32, u32)>,
) -> Result<Option<Record<'static>>> {
    if *left == 0 {
        return Ok(None);
    }
    *left -= 1;
    let read = |input: &mut dyn Read, bytes: &mut [u8]| {
        input.read_exact(bytes).map_err(|e| stream_error("read", &e))
    };
    let word = |input: &mut dyn Read| {
        let mut bytes = [0; 4];
        read(input, &mut bytes).map(|()| u32::from_le_bytes(bytes))
    };
    let (tensor, chunk) = (word(input)?, word(input)?);
    let place = || format!("chunk {chunk} of tensor {tensor}");
    if last.is_some_and(|last| last >= (tensor, chunk)) {
        return Err(Error::format(format!("the delta names {} out of order", place())));
    }
    let entry = target.tensors().get(tensor as usize).filter(|t| (chunk as usize) < t.chunk_range().len());
    let entry =
        entry.ok_or_else(|| Error::format(format!("the delta names {}, which is not there", place())))?;
    let mut kind = [0];
    read(input, &mut kind)?;
    let origin = match kind[0] {
        0 => None,
        1 => {
            let partner = base.find(&entry.name, entry.part);
            let partner =
                partner.filter(|&at| is_same_form(&base.tensors()[at], entry)).ok_or_else(|| {
                    Error::format(format!("the delta patches {}, which the base has not", entry.label()))
                })?;
            Some(Origin { tensor: partner as u32, chunk })
        }
        2 => Some(Origin { tensor: word(input)?, chunk: word(input)? }),
        other => return Err(Error::format(format!("the delta has a record of kind {other}"))),
    };
    let range = target.chunk_bytes_range(entry, chunk as usize);
    let size_bytes = range.end - range.start;
    let mut payload_max = size_bytes;
    if let Some(origin) = origin {
        let from = base.tensors().get(origin.tensor as usize);
        let from = from.filter(|t| (origin.chunk as usize) < t.chunk_range().len());
        let from = from.ok_or_else(|| Error::format("the delta patches a chunk that the base has not"))?;
        let from_range = base.chunk_bytes_range(from, origin.chunk as usize);
        if from_range.end - from_range.start != size_bytes {
            return Err(Error::format(format!("the delta makes {} of a chunk of another size", place())));
        }
        payload_max = patch_size_max(size_bytes, entry.dtype.unit_bytes()).max(64) * 2;
    }
    let payload_bytes = u64::from(word(input)?);
    if payload_bytes > payload_max || (origin.is_none() && payload_bytes != size_bytes) {
        return Err(Error::format(format!(
            "the delta has {payload_bytes} bytes for {}, of {size_bytes}",
            place()
        )));
    }
    let mut payload = Vec::new();
    input.take(payload_bytes).read_to_end(&mut payload).map_err(|e| stream_error("read", &e))?;
    if payload.len() as u64 != payload_bytes {
        return Err(Error::format("the delta is cut short"));
    }
    Ok(Some(Record { tensor, chunk, origin, payload: Cow::Owned(payload) }))
}

/// A stream in memory, record by record.
pub(super) struct Stream<'a> {
    pub(super) head: DeltaHead,
    rest: &'a [u8],
    left: u32,
    last: Option<(u32, u32)>,
}

impl<'a> Stream<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        let mut rest = bytes;
        let head = read_head(&mut rest)?;
        let left = head.records;
        Ok(Self { head, rest, left, last: None })
    }

    pub(super) fn next(&mut self, base: &Manifest, target: &Manifest) -> Result<Option<Record<'static>>> {
        let record = next_record(&mut self.rest, &mut self.left, base, target, self.last)?;
        match &record {
            Some(record) => self.last = Some((record.tensor, record.chunk)),
            None if !self.rest.is_empty() => {
                return Err(Error::format("the delta goes on after its last chunk"));
            }
            None => {}
        }
        Ok(record)
    }
}
