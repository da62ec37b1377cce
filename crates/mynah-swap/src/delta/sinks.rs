//! Where checked chunks go.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::source::{MemorySource, TensorInfo};
use crate::{Error, Manifest, Result};

/// Takes the chunks of a new version: a file, a server's shadow weights.
pub trait ChunkSink {
    /// Makes room.
    ///
    /// # Errors
    /// When there is none, or the version cannot be kept in this form.
    fn begin(&mut self, manifest: &Manifest) -> Result<()>;

    /// Where the version is to lie, when the sink holds it in memory: one slice of its size for each tensor of the
    /// manifest, in the manifest's order. Chunks are then built there and [`ChunkSink::write`] is never called. Until
    /// [`ChunkSink::finish`] the memory holds anything. Asked once, after [`ChunkSink::begin`].
    fn memory(&mut self) -> Option<Vec<&mut [u8]>> {
        None
    }

    /// Takes checked bytes of tensor number `tensor` of the manifest. They come in order, without gaps.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn write(&mut self, tensor: usize, offset_bytes: u64, bytes: &[u8]) -> Result<()>;

    /// All chunks came and are right. Only now may anybody use them.
    ///
    /// # Errors
    /// When they cannot be made durable.
    fn finish(&mut self) -> Result<()>;
}

/// Keeps the new version in memory.
#[derive(Debug, Default)]
pub struct MemorySink {
    tensors: Vec<(TensorInfo, Vec<u8>)>,
    is_finished: bool,
}

impl MemorySink {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The version.
    ///
    /// # Errors
    /// `State` when it was not finished.
    pub fn into_source(self) -> Result<MemorySource> {
        if !self.is_finished {
            return Err(Error::new(crate::ErrorKind::State, "the version was not staged to its end"));
        }
        let mut source = MemorySource::new();
        for (info, bytes) in self.tensors {
            source.add(info, bytes)?;
        }
        Ok(source)
    }
}

impl ChunkSink for MemorySink {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        // Filled as chunks come: a manifest may announce more than ever does.
        self.tensors = manifest.tensors().iter().map(|tensor| (info_of(tensor), Vec::new())).collect();
        self.is_finished = false;
        Ok(())
    }

    fn write(&mut self, tensor: usize, _offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        self.tensors[tensor].1.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.is_finished = true;
        Ok(())
    }
}

/// Memory that the new version is built in, chunk by chunk in its place; most often that of the version before the
/// one that is served, whose pages are there already.
#[derive(Debug)]
pub struct ShadowSink {
    bytes_max: u64,
    infos: Vec<TensorInfo>,
    memory: Vec<Vec<u8>>,
    is_finished: bool,
}

impl ShadowSink {
    /// Room for a version of at most so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, infos: Vec::new(), memory: Vec::new(), is_finished: false }
    }

    /// The same in the memory of a version that nobody needs any more.
    pub fn reuse(old: MemorySource, bytes_max: u64) -> Self {
        Self { memory: old.into_bytes(), ..Self::new(bytes_max) }
    }

    /// The version.
    ///
    /// # Errors
    /// `State` when it was not finished.
    pub fn into_source(self) -> Result<MemorySource> {
        if !self.is_finished {
            return Err(Error::state("the version was not staged to its end"));
        }
        let mut source = MemorySource::new();
        for (info, bytes) in self.infos.into_iter().zip(self.memory) {
            source.add(info, bytes)?;
        }
        Ok(source)
    }
}

impl ChunkSink for ShadowSink {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        if manifest.size_bytes() > self.bytes_max {
            return Err(Error::new(
                crate::ErrorKind::Capacity,
                format!(
                    "the version has {} bytes, there is room for {}",
                    manifest.size_bytes(),
                    self.bytes_max
                ),
            ));
        }
        self.is_finished = false;
        self.infos = manifest.tensors().iter().map(info_of).collect();
        let mut old = std::mem::take(&mut self.memory).into_iter();
        for tensor in manifest.tensors() {
            let size = usize::try_from(tensor.size_bytes());
            let size = size.map_err(|_| Error::argument(format!("{} is too large here", tensor.label())))?;
            // The same tensor of an earlier version is of the same size; pages of fresh memory come as they are touched.
            let fitting = old.next().filter(|memory| memory.len() == size);
            self.memory.push(fitting.unwrap_or_else(|| vec![0; size]));
        }
        Ok(())
    }

    fn memory(&mut self) -> Option<Vec<&mut [u8]>> {
        Some(self.memory.iter_mut().map(Vec::as_mut_slice).collect())
    }

    fn write(&mut self, tensor: usize, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        let start = offset_bytes as usize;
        self.memory[tensor][start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.is_finished = true;
        Ok(())
    }
}

fn info_of(tensor: &crate::manifest::Tensor) -> TensorInfo {
    TensorInfo {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        part: tensor.part,
        group: tensor.group.clone(),
    }
}

/// Writes the new version into one safetensors file, which takes its name only when it is complete.
#[derive(Debug)]
pub struct SafetensorsSink {
    path: PathBuf,
    neighbour: PathBuf,
    file: Option<BufWriter<File>>,
    starts: Vec<u64>,
}

impl SafetensorsSink {
    /// A sink for this file; an older file there is replaced at the end.
    ///
    /// # Errors
    /// `Argument` when the path names no file.
    pub fn new(path: &Path) -> Result<Self> {
        let name = path.file_name().ok_or_else(|| Error::argument("the path names no file").in_file(path))?;
        let mut neighbour = name.to_os_string();
        neighbour.push(".tmp");
        let neighbour = path.with_file_name(neighbour);
        Ok(Self { path: path.to_path_buf(), neighbour, file: None, starts: Vec::new() })
    }

    fn io<T>(&self, action: &str, result: std::io::Result<T>) -> Result<T> {
        result.map_err(|e| Error::io(action, &self.path, &e))
    }
}

impl ChunkSink for SafetensorsSink {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".to_string(), json!({ "format": "pt" }));
        let mut starts = Vec::new();
        let mut reached = 0;
        for tensor in manifest.tensors() {
            if tensor.part.is_some() || (tensor.dtype.unit_elements() > 1 && tensor.dtype.name() != "F4") {
                let what = if tensor.part.is_some() { "parts of tensors" } else { "blocks of GGUF" };
                return Err(Error::unsupported(format!("{}: safetensors has no {what}", tensor.label())));
            }
            let end = reached + tensor.size_bytes();
            let entry = json!({
                "dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [reached, end],
            });
            header.insert(tensor.name.clone(), entry);
            starts.push(reached);
            reached = end;
        }
        let mut header = serde_json::Value::Object(header).to_string();
        // The reference pads the header, so that the data is aligned.
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let data_start = 8 + header.len() as u64;
        self.starts = starts.into_iter().map(|start| start + data_start).collect();
        let mut file =
            BufWriter::with_capacity(1 << 20, self.io("create the file", File::create(&self.neighbour))?);
        let written = file.write_all(&(header.len() as u64).to_le_bytes());
        let written = written.and_then(|()| file.write_all(header.as_bytes()));
        self.file = Some(file);
        self.io("write the header", written)
    }

    fn write(&mut self, tensor: usize, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Err(Error::new(crate::ErrorKind::State, "the file was not begun, or is finished"));
        };
        // Chunks come in order; seek only where a sink of another order would need it.
        let place = self.starts[tensor] + offset_bytes;
        let written = match file.stream_position() {
            Ok(at) if at == place => Ok(()),
            _ => file.seek(SeekFrom::Start(place)).map(|_| ()),
        };
        let written = written.and_then(|()| file.write_all(bytes));
        self.io("write the weights", written)
    }

    fn finish(&mut self) -> Result<()> {
        let Some(mut file) = self.file.take() else {
            return Err(Error::new(crate::ErrorKind::State, "the file was not begun"));
        };
        let synced = file.flush().and_then(|()| file.get_ref().sync_all());
        let renamed = synced.and_then(|()| std::fs::rename(&self.neighbour, &self.path));
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let done = renamed.and_then(|()| mynah_base::sync_dir(folder.unwrap_or(Path::new("."))));
        self.io("finish the file", done)
    }
}

impl Drop for SafetensorsSink {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Not finished: nobody wants half a file, and there is nobody to tell.
            let _ = std::fs::remove_file(&self.neighbour);
        }
    }
}
