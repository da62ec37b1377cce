//! GGUF files (github.com/ggml-org/ggml, docs/gguf.md), versions 2 and 3, little endian.
//!
//! A header of counted values, then tensors. All counts come from a stranger: each is compared with the bytes
//! that are left before anything is made of its size.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::blocks::Kind;
use crate::files::weights::{Place, Weights};
use crate::files::{Bytes, DType};

/// Lists in lists deeper than this are refused; no writer makes any.
const DEPTH_MAX: usize = 2;
/// ggml's limit.
const DIMENSIONS_MAX: u32 = 4;

/// A value of the header.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// Any float.
    Float(f64),
    /// True or false.
    Flag(bool),
    /// A string.
    Text(String),
    /// Values of one type.
    List(Vec<GgufValue>),
}

impl GgufValue {
    /// A whole number from 0 on.
    pub fn as_count(&self) -> Option<u64> {
        match self {
            Self::Unsigned(n) => Some(*n),
            Self::Signed(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list.
    pub fn as_list(&self) -> Option<&[GgufValue]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }
}

/// The header of a GGUF file: its metadata, the tokenizer's among them.
#[derive(Debug)]
pub struct GgufHeader {
    metadata: BTreeMap<String, GgufValue>,
}

impl GgufHeader {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// When the file is missing, cut short or not sound; the message says where.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(read(path)?.0)
    }

    /// All keys and values.
    pub fn metadata(&self) -> &BTreeMap<String, GgufValue> {
        &self.metadata
    }
}

/// Reads the header of a file and finds its tensors.
pub(crate) fn read(path: &Path) -> Result<(GgufHeader, Weights)> {
    let file = Bytes::open(path)?;
    let (metadata, places) = parse(&file).map_err(|what| Error::format(path, what))?;
    Ok((GgufHeader { metadata }, Weights::from_places(file, places)))
}

type Parsed = (BTreeMap<String, GgufValue>, BTreeMap<String, Place>);

fn parse(bytes: &[u8]) -> std::result::Result<Parsed, String> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.take(4)? != b"GGUF" {
        return Err("not a GGUF file: it does not begin with GGUF".to_string());
    }
    let version = cursor.u32()?;
    if version != 2 && version != 3 {
        return Err(format!("GGUF version {version} is not supported; versions 2 and 3 are"));
    }
    // A tensor takes at least 32 bytes of header, a value at least 13.
    let tensor_count = cursor.count(32)?;
    let value_count = cursor.count(13)?;
    let mut metadata = BTreeMap::new();
    for _ in 0..value_count {
        let key = cursor.text()?;
        let kind = cursor.u32()?;
        let value = cursor.value(kind, 0).map_err(|what| format!("value {key}: {what}"))?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(format!("value {key} is there twice"));
        }
    }
    let mut infos = Vec::with_capacity(tensor_count);
    for _ in 0..tensor_count {
        let name = cursor.text()?;
        let info = tensor(&mut cursor).map_err(|what| format!("tensor {name}: {what}"))?;
        infos.push((name, info));
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(value) => match value.as_count() {
            Some(n) if n.is_power_of_two() && n <= 1 << 20 => n as usize,
            _ => return Err("general.alignment is not a power of two".to_string()),
        },
    };
    let data_start = cursor.at.next_multiple_of(alignment);
    let mut places = BTreeMap::new();
    for (name, info) in infos {
        let place = place(info, data_start, bytes.len()).map_err(|what| format!("tensor {name}: {what}"))?;
        if places.insert(name.clone(), place).is_some() {
            return Err(format!("tensor {name} is there twice"));
        }
    }
    Ok((metadata, places))
}

struct Info {
    /// Outermost first, as everywhere else here.
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
}

fn tensor(cursor: &mut Cursor<'_>) -> std::result::Result<Info, String> {
    let dimensions = cursor.u32()?;
    if dimensions > DIMENSIONS_MAX {
        return Err(format!("{dimensions} dimensions, at most {DIMENSIONS_MAX} are allowed"));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let length = cursor.u64()?;
        shape.push(usize::try_from(length).map_err(|_| format!("a dimension of {length}"))?);
    }
    shape.reverse();
    Ok(Info { shape, kind: cursor.u32()?, offset: cursor.u64()? })
}

fn place(info: Info, data_start: usize, file_len: usize) -> std::result::Result<Place, String> {
    let dtype = dtype(info.kind);
    let values = info.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let len = values.and_then(|values| match dtype {
        DType::Blocks(kind) => {
            let whole = info.shape.last().is_some_and(|last| last.is_multiple_of(kind.values()));
            whole.then(|| (values / kind.values()).checked_mul(kind.size_bytes())).flatten()
        }
        // What we cannot compute with is refused when it is asked for.
        _ => dtype.plain_size().map_or(Some(0), |size| values.checked_mul(size)),
    });
    let Some(len) = len else {
        return Err(format!("{} {:?} is not a possible shape", dtype.name(), info.shape));
    };
    let start = usize::try_from(info.offset).ok().and_then(|offset| data_start.checked_add(offset));
    match start.and_then(|start| Some((start, start.checked_add(len)?))) {
        Some((start, end)) if end <= file_len => Ok(Place { file: 0, dtype, shape: info.shape, start, end }),
        _ => Err(format!(
            "its {len} bytes at {} of the data end beyond the file's {file_len}; the file was cut short, copy it again",
            info.offset
        )),
    }
}

/// ggml's numbers of types.
fn dtype(kind: u32) -> DType {
    match kind {
        0 => DType::F32,
        1 => DType::F16,
        2 => DType::Blocks(Kind::Q4_0),
        8 => DType::Blocks(Kind::Q8_0),
        12 => DType::Blocks(Kind::Q4K),
        13 => DType::Blocks(Kind::Q5K),
        14 => DType::Blocks(Kind::Q6K),
        28 => DType::F64,
        30 => DType::BF16,
        3 => DType::Other("Q4_1"),
        6 => DType::Other("Q5_0"),
        7 => DType::Other("Q5_1"),
        10 => DType::Other("Q2_K"),
        11 => DType::Other("Q3_K"),
        16 | 17 | 18 | 19 | 21 | 22 | 23 | 29 => DType::Other("an IQ format"),
        39 => DType::Other("MXFP4 blocks of GGUF"),
        _ => DType::Other("a type unknown here"),
    }
}

/// Reads forward, never beyond the end.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> std::result::Result<&'a [u8], String> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            return Err(format!(
                "cut short: {len} bytes are wanted at {} of {}; copy the file again",
                self.at,
                self.bytes.len()
            ));
        };
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> std::result::Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> std::result::Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> std::result::Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A number of things that take at least `size` bytes each.
    fn count(&mut self, size: usize) -> std::result::Result<usize, String> {
        let count = self.u64()?;
        let left = (self.bytes.len() - self.at) / size;
        match usize::try_from(count) {
            Ok(count) if count <= left => Ok(count),
            _ => Err(format!("a count of {count} at byte {} is more than the file holds", self.at - 8)),
        }
    }

    fn text(&mut self) -> std::result::Result<String, String> {
        let len = self.count(1)?;
        let at = self.at;
        let bytes = self.take(len)?;
        // Tokens of some vocabularies are not text; they are kept as far as they can be.
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Ok(text.to_string());
        }
        if len > 1 << 16 {
            return Err(format!("the string at byte {at} is not UTF-8"));
        }
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn value(&mut self, kind: u32, depth: usize) -> std::result::Result<GgufValue, String> {
        Ok(match kind {
            0 => GgufValue::Unsigned(u64::from(self.array::<1>()?[0])),
            1 => GgufValue::Signed(i64::from(i8::from_le_bytes(self.array()?))),
            2 => GgufValue::Unsigned(u64::from(u16::from_le_bytes(self.array()?))),
            3 => GgufValue::Signed(i64::from(i16::from_le_bytes(self.array()?))),
            4 => GgufValue::Unsigned(u64::from(self.u32()?)),
            5 => GgufValue::Signed(i64::from(i32::from_le_bytes(self.array()?))),
            6 => GgufValue::Float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => GgufValue::Flag(self.array::<1>()?[0] != 0),
            8 => GgufValue::Text(self.text()?),
            9 if depth < DEPTH_MAX => {
                let kind = self.u32()?;
                let size = match kind {
                    0 | 1 | 7 => 1,
                    2 | 3 => 2,
                    4..=6 => 4,
                    9 => 12,
                    _ => 8,
                };
                let count = self.count(size)?;
                let mut values = Vec::with_capacity(count.min(1 << 16));
                for _ in 0..count {
                    values.push(self.value(kind, depth + 1)?);
                }
                GgufValue::List(values)
            }
            10 => GgufValue::Unsigned(self.u64()?),
            11 => GgufValue::Signed(i64::from_le_bytes(self.array()?)),
            12 => GgufValue::Float(f64::from_le_bytes(self.array()?)),
            _ => return Err(format!("a value of type {kind}, which GGUF does not have here")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn testdata() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/gguf")
    }

    #[test]
    fn blocks_widen_to_the_values_of_the_gguf_package() {
        let (header, weights) = read(&testdata().join("blocks.gguf")).unwrap();
        let list = header.metadata()["test.list"].as_list().unwrap();
        assert_eq!(list.iter().map(|v| v.as_text().unwrap()).collect::<Vec<_>>(), ["a", "é"]);
        let expected = Weights::open_files(&[testdata().join("blocks.safetensors")]).unwrap();
        assert_eq!(expected.names().count(), 8);
        for name in expected.names() {
            let found = weights.get(name).unwrap();
            let expected = expected.get(name).unwrap();
            assert_eq!(found.shape, expected.shape, "{name}");
            assert_eq!(found.dtype.name(), name);
            assert!(found.to_f32().unwrap() == expected.to_f32().unwrap(), "{name}");
        }
    }

    #[test]
    fn counts_are_compared_with_the_file() {
        let check = |bytes: &[u8], expect: &str| {
            let error = parse(bytes).unwrap_err();
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
        };
        check(b"GGU", "cut short");
        check(b"GGMLxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "not a GGUF file");
        let header = |version: u32, tensors: u64, values: u64| {
            let mut bytes = b"GGUF".to_vec();
            bytes.extend(version.to_le_bytes());
            bytes.extend(tensors.to_le_bytes());
            bytes.extend(values.to_le_bytes());
            bytes
        };
        check(&header(1, 0, 0), "version 1");
        check(&header(3, u64::MAX, 0), "more than the file holds");
        check(&header(3, 0, 1 << 40), "more than the file holds");
        let mut text = header(3, 0, 1);
        text.extend((1u64 << 62).to_le_bytes());
        text.extend([0; 16]);
        check(&text, "more than the file holds");
        assert!(parse(&header(3, 0, 0)).is_ok());
    }
}
