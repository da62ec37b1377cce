//! A manifest from tensors: every chunk is read once and hashed, by several threads.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mynah_trust::{Algorithm, Digest};

use super::{CHUNK_BYTES_DEFAULT, Head, Manifest, Tensor, measure};
use crate::source::TensorSource;
use crate::{Error, Hash, Result};

/// Which model the weights belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The model's name.
    pub model: String,
    /// BLAKE3 of the configuration.
    pub config: Option<Hash>,
    /// BLAKE3 of the tokenizer.
    pub tokenizer: Option<Hash>,
}

/// How to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOptions {
    /// See [`Head::epoch`].
    pub epoch: u64,
    /// See [`Head::parent`].
    pub parent: Option<Hash>,
    /// See [`Head::is_partial`].
    pub is_partial: bool,
    /// See [`Head::chunk_bytes`].
    pub chunk_bytes: u32,
    /// Threads that read and hash. The result does not depend on it.
    pub threads: usize,
}

impl Default for BuildOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
        Self { epoch: 1, parent: None, is_partial: false, chunk_bytes: CHUNK_BYTES_DEFAULT, threads }
    }
}

impl Identity {
    /// The identity of a checkpoint folder: digests of its `config.json` and its `tokenizer.json` (or
    /// `tokenizer.model`), where there are such files.
    ///
    /// # Errors
    /// `Io` when a file is there and cannot be read.
    pub fn of_folder(model: &str, folder: &Path) -> Result<Self> {
        let digest = |names: &[&str]| -> Result<Option<Hash>> {
            for name in names {
                let path = folder.join(name);
                if path.is_file() {
                    let mut file = File::open(&path).map_err(|e| Error::io("open it", &path, &e))?;
                    let (digest, _) = Digest::of_reader(Algorithm::Blake3, &mut file)
                        .map_err(|e| Error::io("read it", &path, &e))?;
                    return Ok(Some(Hash(*digest.as_bytes())));
                }
            }
            Ok(None)
        };
        Ok(Self {
            model: model.to_string(),
            config: digest(&["config.json"])?,
            tokenizer: digest(&["tokenizer.json", "tokenizer.model"])?,
        })
    }
}

/// Hashes every tensor of a source.
///
/// # Errors
/// `Argument` for impossible options, `Format` when the source lists a tensor twice or parts that overlap, and
/// whatever reading answers.
pub fn build(source: &dyn TensorSource, identity: &Identity, options: &BuildOptions) -> Result<Manifest> {
    let head = Head {
        model: identity.model.clone(),
        config: identity.config,
        tokenizer: identity.tokenizer,
        epoch: options.epoch,
        parent: options.parent,
        is_partial: options.is_partial,
        chunk_bytes: options.chunk_bytes,
    };
    super::check_head(&head)?;
    let mut tensors = Vec::with_capacity(source.tensors().len());
    let mut jobs = Vec::new();
    for (index, info) in source.tensors().iter().enumerate() {
        let mut tensor = Tensor {
            name: info.name.clone(),
            dtype: info.dtype,
            shape: info.shape.clone(),
            part: info.part,
            group: info.group.clone(),
            size_bytes: 0,
            first_chunk: 0,
            chunk_count: 0,
            content: Hash::default(),
        };
        measure(&mut tensor, head.chunk_bytes, 0)?;
        let grid = super::Grid::of(&tensor, head.chunk_bytes);
        jobs.extend((0..tensor.chunk_count).map(|chunk| (index, grid.range(chunk as u64))));
        tensors.push(tensor);
    }
    let mut digests = hash_all(source, &jobs, options.threads)?.into_iter();
    let entries = tensors.into_iter().map(|tensor| {
        let own = digests.by_ref().take(tensor.chunk_count).collect();
        (tensor, own)
    });
    Manifest::assemble(head, entries.collect())
}

/// A piece of a tensor: its number in the source, and the bytes.
type Job = (usize, std::ops::Range<u64>);

/// Jobs taken by a thread at once: enough to make the counter cheap, few enough to share the end evenly.
const JOBS_AT_ONCE: usize = 8;

fn hash_all(source: &dyn TensorSource, jobs: &[Job], threads: usize) -> Result<Vec<Hash>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new((vec![Hash::default(); jobs.len()], None::<Error>));
    let work = || {
        let mut buffer = Vec::new();
        loop {
            let first = next.fetch_add(JOBS_AT_ONCE, Ordering::Relaxed);
            let batch = jobs.get(first..jobs.len().min(first.saturating_add(JOBS_AT_ONCE))).unwrap_or(&[]);
            if batch.is_empty() {
                return;
            }
            let mut digests = Vec::with_capacity(batch.len());
            for (tensor, range) in batch {
                buffer.resize((range.end - range.start) as usize, 0);
                match source.read(*tensor, range.start, &mut buffer) {
                    Ok(()) => digests.push(Hash::of(&buffer)),
                    Err(error) => {
                        lock(&done).1.get_or_insert(error);
                        next.store(jobs.len(), Ordering::Relaxed);
                        return;
                    }
                }
            }
            lock(&done).0[first..first + digests.len()].copy_from_slice(&digests);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, 256) {
            scope.spawn(work);
        }
        work();
    });
    let (digests, error) = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    error.map_or(Ok(digests), Err)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A thread that panicked passes its panic on through the scope; nobody reads a half-written digest.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
