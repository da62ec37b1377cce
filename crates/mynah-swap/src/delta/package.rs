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

use super::codec::{encode, patch_size_max};
use crate::manifest::Tensor;
use crate::plan::{Plan, PlanOptions};
use crate::source::{MemorySource, TensorSource};
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
    make_with((base.0, Some(base.1)), target, out)
}

/// The same without the old weights: chunks that changed are sent whole, the others not at all.
///
/// # Errors
/// As [`make`].
pub fn make_chunks(
    base: &Manifest,
    target: (&Manifest, &dyn TensorSource),
    out: &mut dyn Write,
) -> Result<DeltaStats> {
    make_with((base, None), target, out)
}

fn make_with(
    base: (&Manifest, Option<&dyn TensorSource>),
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
    let nothing = MemorySource::new();
    let base_places = places(base_manifest, base_source.unwrap_or(&nothing));
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
    let old = Side { manifest: base_manifest, source: base_source.unwrap_or(&nothing), places: &base_places };
    let new = Side { manifest: &whole, source: target.1, places: &target_places };
    for window in records.chunks(window_chunks(&whole)) {
        let mut built: Vec<Built> = Vec::new();
        built.resize_with(window.len(), Built::default);
        in_parallel(window, &mut built, &|record, built| build_record(&old, &new, *record, built))?;
        for (&(tensor, chunk, _), built) in window.iter().zip(&built) {
            match built.origin {
                None => stats.whole_chunks += 1,
                Some(_) if built.is_copy => stats.copied_chunks += 1,
                Some(_) => stats.patched_chunks += 1,
            }
            stats.changed_units += built.changes;
            let record =
                Record { tensor, chunk, origin: built.origin, payload: Cow::Borrowed(&built.payload) };
            write_record(&mut bytes, &record, base_manifest, &whole);
            if bytes.len() > 1 << 20 {
                stats.wire_bytes += bytes.len() as u64;
                out.write_all(&bytes).map_err(|e| stream_error("write", &e))?;
                bytes.clear();
            }
        }
    }
    stats.wire_bytes += bytes.len() as u64;
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(|e| stream_error("write", &e))?;
    Ok(stats)
}

/// A version with its bytes.
pub(super) struct Side<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) source: &'a dyn TensorSource,
    /// See [`places`].
    pub(super) places: &'a [Option<usize>],
}

impl Side<'_> {
    pub(super) fn size_bytes(&self, tensor: u32, chunk: u32) -> usize {
        let entry = &self.manifest.tensors()[tensor as usize];
        let range = self.manifest.chunk_bytes_range(entry, chunk as usize);
        (range.end - range.start) as usize
    }

    /// Reads a chunk into room of its size.
    pub(super) fn read(&self, tensor: u32, chunk: u32, into: &mut [u8]) -> Result<()> {
        let entry = &self.manifest.tensors()[tensor as usize];
        let at = self.places[tensor as usize].ok_or_else(|| {
            Error::mismatch(format!(
                "the weights at hand have no {}, which their manifest lists",
                entry.label()
            ))
        })?;
        let info = &self.source.tensors()[at];
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
        let start = self.manifest.chunk_bytes_range(entry, chunk as usize).start;
        self.source.read(at, start, into)
    }

    fn read_new(&self, tensor: u32, chunk: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.size_bytes(tensor, chunk)];
        self.read(tensor, chunk, &mut bytes).map(|()| bytes)
    }
}

/// What becomes of one chunk on the sending side.
#[derive(Default)]
struct Built {
    origin: Option<Origin>,
    payload: Vec<u8>,
    changes: u64,
    is_copy: bool,
}

/// Reads and checks a chunk on both sides, and makes its payload: a patch, unless that is no shorter.
fn build_record(old: &Side, new: &Side, record: (u32, u32, Option<Origin>), built: &mut Built) -> Result<()> {
    let (tensor, chunk, copied) = record;
    if copied.is_some() {
        (built.origin, built.is_copy) = (copied, true);
        return Ok(());
    }
    let entry = &new.manifest.tensors()[tensor as usize];
    let after = new.read_new(tensor, chunk)?;
    new.manifest.check_chunk(tensor as usize, chunk as usize, &after)?;
    if !old.source.tensors().is_empty()
        && let Some(partner) = old.manifest.find(&entry.name, entry.part)
        && is_same_form(&old.manifest.tensors()[partner], entry)
        && old.manifest.head().chunk_bytes == new.manifest.head().chunk_bytes
    {
        let before = old.read_new(partner as u32, chunk)?;
        old.manifest.check_chunk(partner, chunk as usize, &before)?;
        let changes = encode(&before, &after, entry.dtype.unit_bytes(), &mut built.payload);
        if built.payload.len() < after.len() {
            built.origin = Some(Origin { tensor: partner as u32, chunk });
            built.changes = changes;
            return Ok(());
        }
    }
    built.payload = after;
    Ok(())
}

/// Bytes of chunks that are worked on at once: enough to share among threads, few enough to be in the cache still
/// when they are written.
const WINDOW_BYTES: usize = 8 << 20;

/// Chunks that are worked on at once.
fn window_chunks(manifest: &Manifest) -> usize {
    (WINDOW_BYTES / manifest.head().chunk_bytes as usize).clamp(1, 4_096)
}

/// Does the jobs with all threads, each a row of neighbours. The first error in their order counts.
fn in_parallel<J: Sync, O: Send>(
    jobs: &[J],
    outputs: &mut [O],
    work: &(dyn Fn(&J, &mut O) -> Result<()> + Sync),
) -> Result<()> {
    let row = |jobs: &[J], outputs: &mut [O]| {
        jobs.iter().zip(outputs).try_for_each(|(job, output)| work(job, output))
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
    let a_thread = jobs.len().div_ceil(threads).max(4);
    if jobs.len() <= a_thread {
        return row(jobs, outputs);
    }
    std::thread::scope(|scope| {
        let rows = jobs.chunks(a_thread).zip(outputs.chunks_mut(a_thread));
        let running: Vec<_> = rows.map(|(jobs, outputs)| scope.spawn(move || row(jobs, outputs))).collect();
        let ended = running.into_iter().map(|row| match row.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        // All are joined before the first error is told.
        ended.fold(Ok(()), Result::and)
    })
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

pub(super) fn stream_error(action: &str, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => return Error::format("the delta is cut short"),
        _ => crate::ErrorKind::Io,
    };
    Error::new(kind, format!("cannot {action} the delta: {error}"))
}

pub(super) fn is_same_form(a: &Tensor, b: &Tensor) -> bool {
    a.dtype == b.dtype && a.shape == b.shape && a.part == b.part
}

/// The number in the source of each tensor of the manifest.
pub(super) fn places(manifest: &Manifest, source: &dyn TensorSource) -> Vec<Option<usize>> {
    let mut found = vec![None; manifest.tensors().len()];
    for (index, info) in source.tensors().iter().enumerate() {
        if let Some(at) = manifest.find(&info.name, info.part) {
            found[at] = Some(index);
        }
    }
    found
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

/// What stands before a record's payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordHead {
    pub(super) tensor: u32,
    pub(super) chunk: u32,
    pub(super) origin: Option<Origin>,
    pub(super) payload_bytes: u64,
}

/// Reads a record up to its payload and checks that it may stand there: in order, inside the manifests, of a
/// sensible size.
pub(super) fn next_head(
    input: &mut dyn Read,
    left: &mut u32,
    base: &Manifest,
    target: &Manifest,
    last: Option<(u32, u32)>,
) -> Result<Option<RecordHead>> {
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
    Ok(Some(RecordHead { tensor, chunk, origin, payload_bytes }))
}

/// Reads as much as comes, not as much as is announced.
pub(super) fn read_payload(input: &mut dyn Read, payload_bytes: u64, into: &mut Vec<u8>) -> Result<()> {
    into.clear();
    input.take(payload_bytes).read_to_end(into).map_err(|e| stream_error("read", &e))?;
    if into.len() as u64 == payload_bytes { Ok(()) } else { Err(Error::format("the delta is cut short")) }
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
        let Some(head) = next_head(&mut self.rest, &mut self.left, base, target, self.last)? else {
            let is_end = self.rest.is_empty();
            return if is_end {
                Ok(None)
            } else {
                Err(Error::format("the delta goes on after its last chunk"))
            };
        };
        let mut payload = Vec::new();
        read_payload(&mut self.rest, head.payload_bytes, &mut payload)?;
        let RecordHead { tensor, chunk, origin, .. } = head;
        self.last = Some((tensor, chunk));
        Ok(Some(Record { tensor, chunk, origin, payload: Cow::Owned(payload) }))
    }
}
