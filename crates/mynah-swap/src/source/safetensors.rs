//! Safetensors files (github.com/huggingface/safetensors, "Format"), as far as moving bytes asks for: names,
//! types, shapes, ranges. mynah-nn has the reader that makes tensors of them; it stands above this crate.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::{Part, TensorInfo, TensorSource, check_range, group_by_name};
use crate::{Error, Result};

/// The reference implementation's own bound.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// More files than this are no checkpoint.
const FILES_MAX: usize = 10_000;

/// One file, or all the weight files of a checkpoint folder.
#[derive(Debug)]
pub struct SafetensorsSource {
    files: Vec<OpenFile>,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
}

/// Where a tensor's bytes lie.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    start: u64,
    size_bytes: u64,
}

impl SafetensorsSource {
    /// Opens a file, or a folder: the files that `model.safetensors.index.json` names, or `model.safetensors`
    /// alone, or every `*.safetensors` that is not an optimizer's state. Quantisation groups are found by name.
    ///
    /// # Errors
    /// `Io` when something cannot be read; `Format` when a header is not sound or a tensor is there twice;
    /// `Argument` when the folder has no weights.
    pub fn open(path: &Path) -> Result<Self> {
        let paths = if path.is_dir() { files_of_folder(path)? } else { vec![path.to_path_buf()] };
        let mut source = Self { files: Vec::new(), tensors: Vec::new(), places: Vec::new() };
        for path in &paths {
            source
                .add_file(path)
                .map_err(|e| if e.kind() == crate::ErrorKind::Io { e } else { e.in_file(path) })?;
        }
        group_by_name(&mut source.tensors);
        Ok(source)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let mut file = File::open(path).map_err(|e| Error::io("open the weights", path, &e))?;
        let length = file.metadata().map_err(|e| Error::io("read its length", path, &e))?.len();
        let mut word = [0; 8];
        if length < 8 {
            return Err(Error::format(format!(
                "{length} bytes are no safetensors file; it may have been cut short"
            )));
        }
        file.read_exact(&mut word).map_err(|e| Error::io("read the header", path, &e))?;
        let header_bytes = u64::from_le_bytes(word);
        if header_bytes > HEADER_BYTES_MAX || header_bytes > length - 8 {
            return Err(Error::format(format!(
                "not a safetensors file, or cut short: its header would take {header_bytes} of {} bytes",
                length - 8
            )));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header).map_err(|e| Error::io("read the header", path, &e))?;
        let data_bytes = length - 8 - header_bytes;
        let index = self.files.len();
        for (info, start, size_bytes) in parse_header(&header, data_bytes)? {
            self.tensors.push(info);
            self.places.push(Place { file: index, start: 8 + header_bytes + start, size_bytes });
        }
        #[cfg(not(unix))]
        let file = std::sync::Mutex::new(file);
        self.files.push(OpenFile { path: path.to_path_buf(), file });
        Ok(())
    }

    /// Says that the tensors of this source are parts of larger ones, for checkpoints that are written per rank.
    /// `part` names the part of each tensor, or nothing for one that is whole.
    pub fn with_parts(mut self, part: impl Fn(&TensorInfo) -> Option<Part>) -> Self {
        for tensor in &mut self.tensors {
            tensor.part = part(tensor);
        }
        self
    }

    /// The files that were opened.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }
}

impl TensorSource for SafetensorsSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, tensor: usize, offset_bytes: u64, into: &mut [u8]) -> Result<()> {
        let (Some(info), Some(place)) = (self.tensors.get(tensor), self.places.get(tensor)) else {
            return Err(Error::argument(format!("there is no tensor number {tensor}")));
        };
        check_range(info, place.size_bytes, offset_bytes, into.len())?;
        let file = &self.files[place.file];
        read_at(file, place.start + offset_bytes, into)
            .map_err(|e| Error::io("read the weights", &file.path, &e))
    }
}

#[cfg(unix)]
fn read_at(file: &OpenFile, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(&file.file, into, offset)
}

#[cfg(not(unix))]
fn read_at(file: &OpenFile, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom};
    let mut file = file.file.lock().map_err(|_| std::io::Error::other("a reader of the file panicked"))?;
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(into)
}

fn files_of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let index = folder.join("model.safetensors.index.json");
    if index.is_file() {
        return files_of_index(folder, &index);
    }
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let listed = std::fs::read_dir(folder).map_err(|e| Error::io("list the folder", folder, &e))?;
    let mut paths = Vec::new();
    for entry in listed {
        let path = entry.map_err(|e| Error::io("list the folder", folder, &e))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".safetensors") && !name.starts_with("optimizer") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(Error::argument("more than ten thousand weight files").in_file(folder));
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(
            Error::argument("has no *.safetensors; name a checkpoint's folder or file").in_file(folder)
        );
    }
    Ok(paths)
}

/// The files that a sharded checkpoint's index names, in order of their names.
fn files_of_index(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let mut bytes = Vec::new();
    let file = File::open(index).map_err(|e| Error::io("open it", index, &e))?;
    file.take(HEADER_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read it", index, &e))?;
    if bytes.len() as u64 > HEADER_BYTES_MAX {
        return Err(Error::format("too large for an index").in_file(index));
    }
    let index_json: Index = serde_json::from_slice(&bytes)
        .map_err(|e| Error::format(format!("not an index: {e}")).in_file(index))?;
    let names: BTreeSet<&str> = index_json.weight_map.values().map(String::as_str).collect();
    for name in &names {
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return Err(
                Error::format(format!("names {name:?}, which is no file of this folder")).in_file(index)
            );
        }
    }
    if names.is_empty() || names.len() > FILES_MAX {
        return Err(Error::format(format!("names {} files", names.len())).in_file(index));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Reads the map in order and keeps duplicates, which a JSON map type would drop in silence.
struct RawHeader(Vec<(String, RawEntry)>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<RawHeader, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(RawHeader(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The tensors of a header with start and size in the data, checked to tile it without holes or overlaps.
fn parse_header(header: &[u8], data_bytes: u64) -> Result<Vec<(TensorInfo, u64, u64)>> {
    let RawHeader(raw) = serde_json::from_slice(header)
        .map_err(|e| Error::format(format!("not a safetensors file: its header cannot be read: {e}")))?;
    let mut found = Vec::with_capacity(raw.len());
    for (name, entry) in raw {
        let dtype = entry.dtype.parse::<crate::DType>();
        let dtype = dtype.map_err(|e| Error::unsupported(format!("tensor {name:?}: {e}")))?;
        let (start, end) = entry.data_offsets;
        let size_bytes = dtype.size_bytes(&entry.shape);
        if end < start || size_bytes != Some(end - start) || end > data_bytes {
            return Err(Error::format(format!(
                "tensor {name:?}: {dtype} {:?} does not fill the bytes {start}..{end} of {data_bytes}",
                entry.shape
            )));
        }
        let info = TensorInfo { name, dtype, shape: entry.shape, part: None, group: None };
        found.push((info, start, end - start));
    }
    found.sort_by(|a, b| (a.1, a.2, &a.0.name).cmp(&(b.1, b.2, &b.0.name)));
    let mut reached = 0;
    for (info, start, size_bytes) in &found {
        if *start != reached {
            return Err(Error::format(format!(
                "tensor {:?} starts at {start}, expected is {reached}",
                info.name
            )));
        }
        reached += size_bytes;
    }
    if reached != data_bytes {
        return Err(Error::format(format!("{} bytes follow the last tensor", data_bytes - reached)));
    }
    Ok(found)
}
