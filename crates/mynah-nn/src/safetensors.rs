//! The safetensors file format, read with suspicion.
//!
//! A file is 8 bytes of little-endian header length, a JSON header {name: {dtype, shape, data_offsets}},
//! and the raw little-endian data (github.com/huggingface/safetensors, "Format"). A file comes from
//! outside: the header is bounded before it is read, every range is checked against the file's length,
//! ranges may neither overlap nor leave holes, and a tensor's bytes must be its shape times its type. An
//! own parser instead of the crate: tensors are read one at a time into memory the caller sized from a
//! known model, and the error can name the file, the tensor, what was expected and what was found.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use mynah_base::write_atomic;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Headers beyond this are refused, as the reference implementation does.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// Bytes converted at a time while reading.
const READ_BYTES: usize = 1 << 16;

/// The element types a file may hold that we can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum FileDType {
    F32,
    F64,
    F16,
    BF16,
    I64,
    U8,
    #[serde(rename = "BOOL")]
    Bool,
}

impl FileDType {
    fn size(self) -> u64 {
        match self {
            FileDType::F64 | FileDType::I64 => 8,
            FileDType::F32 => 4,
            FileDType::F16 | FileDType::BF16 => 2,
            FileDType::U8 | FileDType::Bool => 1,
        }
    }
}

/// Where a tensor lies in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Element type.
    pub dtype: FileDType,
    /// Shape.
    pub shape: Vec<usize>,
    start: u64,
    end: u64,
}

#[derive(Serialize, Deserialize)]
struct WireEntry<'a> {
    dtype: std::borrow::Cow<'a, str>,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// An opened file whose header has been checked.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    data_start: u64,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// Opens a file and checks its header against its length.
    ///
    /// # Errors
    /// When the file is missing, cut short, or its header is not sound; the message says which.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::io(path, "open the weights", e))?;
        let length = file.metadata().map_err(|e| Error::io(path, "read the file's length", e))?.len();
        let fail = |message: String| Error::format(path, message);
        if length < 8 {
            return Err(fail(format!(
                "not a safetensors file: it has {length} bytes, a header length alone takes 8; it may have been cut short"
            )));
        }
        let mut word = [0u8; 8];
        file.read_exact(&mut word).map_err(|e| Error::io(path, "read the header", e))?;
        let header_length = u64::from_le_bytes(word);
        if header_length > HEADER_BYTES_MAX {
            return Err(fail(format!(
                "not a safetensors file: its header would take {header_length} bytes (at most {HEADER_BYTES_MAX} are allowed)"
            )));
        }
        if header_length > length - 8 {
            return Err(fail(format!(
                "cut short: the header takes {header_length} bytes but only {} follow; copy the file again",
                length - 8
            )));
        }
        let mut header = vec![0u8; header_length as usize];
        file.read_exact(&mut header).map_err(|e| Error::io(path, "read the header", e))?;
        let wire: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&header)
            .map_err(|e| fail(format!("not a safetensors file: its header is not a JSON object ({e})")))?;
        let data_start = 8 + header_length;
        let (entries, metadata) = check_header(wire, length - data_start).map_err(fail)?;
        Ok(Self { path: path.to_path_buf(), file, data_start, entries, metadata })
    }

    /// The tensors by name.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// The free-form strings of the header.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Reads a tensor of the expected shape as f32; other float types are converted.
    ///
    /// # Errors
    /// When it is missing, has another shape or is no float tensor, with name, expected and found.
    pub fn read_f32(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some(entry) = self.entries.get(name).cloned() else {
            return Err(Error::mismatch(format!(
                "{}: tensor {name} {shape:?} is missing; the weights belong to another configuration",
                self.path.display()
            )));
        };
        if entry.shape != shape {
            return Err(Error::mismatch(format!(
                "{}: tensor {name} has shape {:?}, the configuration needs {shape:?}; the weights belong to another model",
                self.path.display(),
                entry.shape
            )));
        }
        let mut values = Vec::with_capacity(shape.iter().product());
        self.file
            .seek(SeekFrom::Start(self.data_start + entry.start))
            .map_err(|e| Error::io(&self.path, "seek", e))?;
        let mut left = (entry.end - entry.start) as usize;
        let mut buffer = vec![0u8; READ_BYTES.min(left)];
        while left > 0 {
            let part = &mut buffer[..READ_BYTES.min(left)];
            self.file.read_exact(part).map_err(|e| Error::io(&self.path, "read the weights", e))?;
            match entry.dtype {
                FileDType::F32 => {
                    values.extend(part.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
                }
                FileDType::F64 => values
                    .extend(part.chunks_exact(8).map(|b| {
                        f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32
                    })),
                FileDType::F16 => {
                    values.extend(part.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()))
                }
                FileDType::BF16 => {
                    values.extend(part.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()))
                }
                FileDType::I64 | FileDType::U8 | FileDType::Bool => {
                    return Err(Error::mismatch(format!(
                        "{}: tensor {name} has type {:?}, weights must be floats",
                        self.path.display(),
                        entry.dtype
                    )));
                }
            }
            left -= part.len();
        }
        Ok(values)
    }
}

type Checked = (BTreeMap<String, Entry>, BTreeMap<String, String>);

fn check_header(
    wire: serde_json::Map<String, serde_json::Value>,
    data_length: u64,
) -> std::result::Result<Checked, String> {
    let mut entries = BTreeMap::new();
    let mut metadata = BTreeMap::new();
    for (name, value) in wire {
        if name == "__metadata__" {
            metadata = serde_json::from_value(value)
                .map_err(|e| format!("its __metadata__ is not a map of strings ({e})"))?;
            continue;
        }
        let wire: WireEntry =
            serde_json::from_value(value).map_err(|e| format!("tensor {name}: bad header entry ({e})"))?;
        let dtype: FileDType = serde_json::from_value(serde_json::Value::String(wire.dtype.to_string())).map_err(|_| {
            format!("tensor {name} has type {}, which is not supported (F32, F64, F16, BF16, I64, U8, BOOL are)", wire.dtype)
        })?;
        let (start, end) = wire.data_offsets;
        let elements = wire.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
        let needed = elements.and_then(|n| n.checked_mul(dtype.size()));
        if start > end || needed != Some(end - start) {
            return Err(format!(
                "tensor {name}: {dtype:?} {:?} does not fill its byte range {start}..{end}",
                wire.shape
            ));
        }
        if end > data_length {
            return Err(format!(
                "cut short: tensor {name} ends at byte {end} of the data but only {data_length} are there; copy the file again"
            ));
        }
        let mut shape = Vec::with_capacity(wire.shape.len());
        for dimension in wire.shape {
            shape.push(
                usize::try_from(dimension)
                    .map_err(|_| format!("tensor {name}: a dimension of {dimension} is too large"))?,
            );
        }
        entries.insert(name, Entry { dtype, shape, start, end });
    }
    let mut ranges: Vec<(u64, u64, &str)> =
        entries.iter().map(|(name, e)| (e.start, e.end, name.as_str())).collect();
    ranges.sort_unstable();
    let mut reached = 0;
    for (start, end, name) in ranges {
        if start != reached {
            let what = if start < reached { "overlaps the one before it" } else { "leaves a hole before it" };
            return Err(format!(
                "tensor {name} at bytes {start}..{end} {what} (expected to start at {reached})"
            ));
        }
        reached = end;
    }
    if reached != data_length {
        return Err(format!("{} bytes follow the last tensor; the file is damaged", data_length - reached));
    }
    Ok((entries, metadata))
}

/// A tensor to be written: its name, shape and values.
pub struct Item<'a> {
    /// Name.
    pub name: &'a str,
    /// Shape.
    pub shape: &'a [usize],
    /// Hands the values, in row-major order, to a consumer: storage may be behind a lock.
    #[allow(clippy::type_complexity)]
    pub values: Box<dyn Fn(&mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> + 'a>,
}

/// A file as written: its length and BLAKE3 digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Length in bytes.
    pub bytes: u64,
    /// BLAKE3 in hexadecimal.
    pub blake3: String,
}

/// Passes bytes on while hashing and counting them.
pub(crate) struct HashingWriter<W> {
    inner: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest { bytes: self.bytes, blake3: self.hasher.finalize().to_hex().to_string() }
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes f32 tensors in the given order, whole or not at all.
///
/// # Errors
/// When the file system refuses; what was there before is kept.
pub fn write(path: &Path, items: &[Item<'_>], metadata: &BTreeMap<String, String>) -> Result<Digest> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_string(), serde_json::json!(metadata));
    }
    let mut at = 0u64;
    for item in items {
        let end = at + 4 * item.shape.iter().product::<usize>() as u64;
        header.insert(
            item.name.to_string(),
            serde_json::json!({"dtype": "F32", "shape": item.shape, "data_offsets": [at, end]}),
        );
        at = end;
    }
    let mut text = serde_json::to_vec(&header).map_err(|e| {
        Error::new(ErrorKind::Format, format!("{}: cannot write the header: {e}", path.display()))
    })?;
    // The data begins at a multiple of 8 bytes, so that a reader may map it.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut digest = None;
    write_atomic(path, |writer| {
        let mut writer = HashingWriter::new(writer);
        writer.write_all(&(text.len() as u64).to_le_bytes())?;
        writer.write_all(&text)?;
        let mut buffer = Vec::with_capacity(READ_BYTES);
        for item in items {
            let expected: usize = item.shape.iter().product();
            (item.values)(&mut |values| {
                if values.len() != expected {
                    return Err(io::Error::other(format!(
                        "{} has {} values for shape {:?}",
                        item.name,
                        values.len(),
                        item.shape
                    )));
                }
                for part in values.chunks(READ_BYTES / 4) {
                    buffer.clear();
                    part.iter().for_each(|v| buffer.extend_from_slice(&v.to_le_bytes()));
                    writer.write_all(&buffer)?;
                }
                Ok(())
            })?;
        }
        digest = Some(writer.digest());
        Ok(())
    })
    .map_err(|e| Error::io(path, "write", e))?;
    digest.ok_or_else(|| Error::new(ErrorKind::Io, format!("{}: nothing was written", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &Path) -> Digest {
        let a = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [0.5f32];
        let items = [
            Item { name: "b.weight", shape: &[2, 3], values: Box::new(move |f| f(&a)) },
            Item { name: "a", shape: &[1], values: Box::new(move |f| f(&b)) },
        ];
        write(path, &items, &BTreeMap::from([("made".to_string(), "here".to_string())])).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let digest = sample(&path);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(digest.bytes, bytes.len() as u64);
        assert_eq!(digest.blake3, blake3::hash(&bytes).to_hex().to_string());
        let mut file = TensorFile::open(&path).unwrap();
        assert_eq!(file.read_f32("b.weight", &[2, 3]).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(file.read_f32("a", &[1]).unwrap(), [0.5]);
        assert_eq!(file.metadata()["made"], "here");
        let wrong = file.read_f32("b.weight", &[3, 2]).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Mismatch);
        assert!(
            wrong.to_string().contains("b.weight has shape [2, 3], the configuration needs [3, 2]"),
            "{wrong}"
        );
        assert!(file.read_f32("c", &[1]).unwrap_err().to_string().contains("tensor c [1] is missing"));
    }

    #[test]
    fn every_truncation_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        sample(&path);
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = TensorFile::open(&path).expect_err("a cut file must not open");
            assert_eq!(error.kind(), ErrorKind::Format, "{error}");
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let check = |header: &str, data: usize, expect: &str| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.resize(bytes.len() + data, 0);
            std::fs::write(&path, bytes).unwrap();
            let error = TensorFile::open(&path).expect_err(header).to_string();
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
        };
        check("[]", 0, "not a JSON object");
        check(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "does not fill its byte range");
        check(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "does not fill its byte range");
        check(r#"{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}"#, 4, "type Q4");
        check(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "bad header entry");
        check(
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}"#,
            0,
            "does not fill",
        );
        check(
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            8,
            "overlaps",
        );
        check(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "leaves a hole");
        check(
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            9,
            "5 bytes follow the last tensor",
        );
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        check(&deep, 0, "not a JSON object");
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes.extend([0; 100]);
        std::fs::write(&path, bytes).unwrap();
        assert!(TensorFile::open(&path).unwrap_err().to_string().contains("header would take"));
    }

    #[test]
    fn half_precision_is_widened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let header = r#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[1],"data_offsets":[4,6]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(bf16::from_f32(1.5).to_le_bytes());
        bytes.extend(bf16::from_f32(-2.0).to_le_bytes());
        bytes.extend(f16::from_f32(0.25).to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let mut file = TensorFile::open(&path).unwrap();
        assert_eq!(file.read_f32("a", &[2]).unwrap(), [1.5, -2.0]);
        assert_eq!(file.read_f32("b", &[1]).unwrap(), [0.25]);
    }
}
