//! One copy of the weights for all servers of a machine.
//!
//! ```text
//! memory  = "MYNAHSM1", size of the manifest (u64), manifest, tensors in the manifest's order, each from a multiple of 64
//! ask     = version (32 bytes; zeros for the newest)
//! answer  = 1, version, and the descriptor | 0, zeros
//! ```
//!
//! The kernel's seals (memfd_create(2): F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW) are what makes a mapping safe to
//! read: without them whoever has the descriptor could change the bytes after they were checked, or cut the memory so
//! that reading it ends the process. A receiver looks for them before it maps.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memmap2::{Mmap, MmapMut};
use mynah_swap::delta::ChunkSink;
use mynah_swap::manifest::MANIFEST_BYTES_MAX;
use mynah_swap::source::{TensorInfo, TensorSource};
use mynah_swap::{Error, ErrorKind, Hash, Manifest, Result};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

const MAGIC: &[u8; 8] = b"MYNAHSM1";
const ALIGNMENT: usize = 64;
/// Who asks and who answers may take this long.
const PEER_TIME: Duration = Duration::from_secs(5);

fn seals() -> SealFlags {
    SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW
}

fn io(action: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, format!("shared memory: cannot {action}: {error}"))
}

/// Where the manifest and the tensors lie.
struct Layout {
    manifest: Range<usize>,
    tensors: Vec<Range<usize>>,
    size: usize,
}

impl Layout {
    fn of(manifest: &Manifest, manifest_bytes: usize) -> Result<Layout> {
        let too_large =
            || Error::new(ErrorKind::Capacity, "the version is larger than this machine can address");
        let mut tensors = Vec::with_capacity(manifest.tensors().len());
        let manifest_range = 16..16 + manifest_bytes;
        let mut at = manifest_range.end;
        for tensor in manifest.tensors() {
            let start = at.checked_next_multiple_of(ALIGNMENT).ok_or_else(too_large)?;
            let size = usize::try_from(tensor.size_bytes()).map_err(|_| too_large())?;
            at = start.checked_add(size).ok_or_else(too_large)?;
            tensors.push(start..at);
        }
        Ok(Layout { manifest: manifest_range, tensors, size: at })
    }
}

/// Builds a version inside shared memory; [`SharedSink::seal`] then closes it.
pub struct SharedSink {
    bytes_max: u64,
    made: Option<Made>,
    is_finished: bool,
}

struct Made {
    file: File,
    map: MmapMut,
    layout: Layout,
    version: Hash,
}

impl SharedSink {
    /// Room for a version of at most so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, made: None, is_finished: false }
    }

    /// Seals the version: from here on nobody can change it.
    ///
    /// # Errors
    /// `State` when it was not staged to its end, `Io` when the kernel refuses.
    pub fn seal(self) -> Result<Sealed> {
        let Some(made) = self.made.filter(|_| self.is_finished) else {
            return Err(Error::new(ErrorKind::State, "the version was not staged to its end"));
        };
        // The kernel seals only what nobody has mapped for writing.
        drop(made.map);
        rustix::fs::fcntl_add_seals(&made.file, seals() | SealFlags::SEAL).map_err(|e| io("seal it", e))?;
        Ok(Sealed { file: made.file, version: made.version, size_bytes: made.layout.size as u64 })
    }
}

impl ChunkSink for SharedSink {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        if manifest.size_bytes() > self.bytes_max {
            return Err(Error::new(
                ErrorKind::Capacity,
                format!(
                    "the version has {} bytes, there is room for {}",
                    manifest.size_bytes(),
                    self.bytes_max
                ),
            ));
        }
        let bytes = manifest.to_bytes();
        let layout = Layout::of(manifest, bytes.len())?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("mynah-weights", flags).map_err(|e| io("make it", e))?;
        let file = File::from(file);
        file.set_len(layout.size as u64).map_err(|e| io("make room in it", e))?;
        // SAFETY: the memory was made just now and its descriptor is in no other hands until `seal` has dropped the
        // mapping, so nobody else reads, writes or cuts it while it is borrowed.
        let mut map = unsafe { MmapMut::map_mut(&file) }.map_err(|e| io("map it", e))?;
        map[..8].copy_from_slice(MAGIC);
        map[8..16].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        map[layout.manifest.clone()].copy_from_slice(&bytes);
        self.made = Some(Made { file, map, layout, version: manifest.digest() });
        self.is_finished = false;
        Ok(())
    }

    fn memory(&mut self) -> Option<Vec<&mut [u8]>> {
        let made = self.made.as_mut()?;
        let mut rest: &mut [u8] = &mut made.map;
        let mut reached = 0;
        let mut slices = Vec::with_capacity(made.layout.tensors.len());
        for range in &made.layout.tensors {
            let (slice, after) = rest.split_at_mut(range.end - reached);
            slices.push(&mut slice[range.start - reached..]);
            (rest, reached) = (after, range.end);
        }
        Some(slices)
    }

    fn write(&mut self, tensor: usize, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        let Some(made) = &mut self.made else {
            return Err(Error::new(ErrorKind::State, "the memory was not made"));
        };
        let start = made.layout.tensors[tensor].start + offset_bytes as usize;
        made.map[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.is_finished = true;
        Ok(())
    }
}

/// A version in memory that nobody can change any more.
#[derive(Debug)]
pub struct Sealed {
    file: File,
    version: Hash,
    size_bytes: u64,
}

impl Sealed {
    /// Writes a version once, and seals it. Every chunk is checked on the way.
    ///
    /// # Errors
    /// `Mismatch` when the source holds something else than the manifest says, `Capacity`, `Io`.
    pub fn write(manifest: &Manifest, source: &dyn TensorSource) -> Result<Sealed> {
        let mut sink = SharedSink::new(u64::MAX);
        sink.begin(manifest)?;
        let mut memory = sink.memory().unwrap_or_default();
        for (number, (tensor, memory)) in manifest.tensors().iter().zip(&mut memory).enumerate() {
            let is_same = |info: &TensorInfo| info.name == tensor.name && info.part == tensor.part;
            let place = source.tensors().iter().position(is_same).ok_or_else(|| {
                Error::new(ErrorKind::Mismatch, format!("the weights have no {}", tensor.label()))
            })?;
            for chunk in 0..tensor.chunk_range().len() {
                let range = manifest.chunk_bytes_range(tensor, chunk);
                let room = &mut memory[range.start as usize..range.end as usize];
                source.read(place, range.start, room)?;
                manifest.check_chunk(number, chunk, room)?;
            }
        }
        sink.finish()?;
        sink.seal()
    }

    /// The version.
    pub fn version(&self) -> Hash {
        self.version
    }

    /// Bytes of the memory.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Maps it here too, as [`receive`] does in another process.
    ///
    /// # Errors
    /// As [`receive`].
    pub fn map(&self, threads: usize) -> Result<Mapped> {
        let file = self.file.try_clone().map_err(|e| io("share it", e))?;
        Mapped::open(file, Some(self.version), threads)
    }
}

/// Gives sealed versions away on a Unix socket, to processes of the same user.
pub struct Hub {
    path: PathBuf,
    listener: UnixListener,
    newest: Arc<Mutex<Vec<Arc<Sealed>>>>,
}

impl Hub {
    /// Listens at a path that only this user may open. One that an earlier process left is replaced.
    ///
    /// # Errors
    /// `Io`; `State` when another process answers there.
    pub fn listen(path: &Path) -> Result<Hub> {
        let failed =
            |e: std::io::Error| Error::new(ErrorKind::Io, format!("{}: cannot listen: {e}", path.display()));
        if path.exists() {
            if UnixStream::connect(path).is_ok() {
                let taken = format!("{}: another process gives weights away here", path.display());
                return Err(Error::new(ErrorKind::State, taken));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Hub { path: path.to_path_buf(), listener, newest: Arc::default() })
    }

    /// Offers a version from now on, besides the one before.
    pub fn offer(&self, sealed: Sealed) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(0, Arc::new(sealed));
        newest.truncate(2);
    }

    /// Answers in a thread of its own, as long as the process lives.
    ///
    /// # Errors
    /// `Io` when the socket cannot be shared with a thread.
    pub fn serve(&self, refused: impl Fn(String) + Send + 'static) -> Result<()> {
        let listener = self.listener.try_clone().map_err(|e| io("listen", e))?;
        let newest = self.newest.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let answered =
                    stream.map_err(|e| io("accept a process", e)).and_then(|stream| answer(&stream, &newest));
                if let Err(error) = answered {
                    refused(error.to_string());
                }
            }
        });
        Ok(())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // The next one replaces it otherwise.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn answer(mut stream: &UnixStream, newest: &Mutex<Vec<Arc<Sealed>>>) -> Result<()> {
    stream
        .set_read_timeout(Some(PEER_TIME))
        .and_then(|()| stream.set_write_timeout(Some(PEER_TIME)))
        .map_err(|e| io("set times", e))?;
    let peer = rustix::net::sockopt::socket_peercred(stream).map_err(|e| io("ask who asks", e))?;
    let own = rustix::process::geteuid();
    if peer.uid != own && !peer.uid.is_root() {
        return Err(Error::new(
            ErrorKind::Signature,
            "shared memory: a process of another user asks; refused",
        ));
    }
    let mut wanted = [0; 32];
    stream.read_exact(&mut wanted).map_err(|e| io("hear what is wanted", e))?;
    let found = {
        let newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.iter().find(|sealed| wanted == [0; 32] || sealed.version.0 == wanted).cloned()
    };
    let Some(sealed) = found else {
        return stream.write_all(&[0; 33]).map_err(|e| io("answer", e));
    };
    let mut text = [1; 33];
    text[1..].copy_from_slice(&sealed.version.0);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    let descriptors = [sealed.file.as_fd()];
    if !rights.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io("hand it over", "no room for a descriptor"));
    }
    let sent = rustix::net::sendmsg(stream, &[IoSlice::new(&text)], &mut rights, SendFlags::NOSIGNAL);
    match sent.map_err(|e| io("hand it over", e))? {
        33 => Ok(()),
        _ => Err(io("hand it over", "the answer was cut")),
    }
}

/// Weights that another process has written, mapped read-only. Every chunk was checked.
pub struct Mapped {
    map: Mmap,
    manifest: Manifest,
    tensors: Vec<TensorInfo>,
    places: Vec<Range<usize>>,
}

/// Asks at a [`Hub`] for a version, or for the newest, maps it, and checks every chunk with so many threads.
///
/// # Errors
/// `Io` when nobody answers, `State` when the version is not offered, `Mismatch` when the memory is not sealed or holds
/// something else than its manifest says, `Format` when it is malformed.
pub fn receive(path: &Path, version: Option<Hash>, threads: usize) -> Result<Mapped> {
    let failed = |action: &'static str| {
        move |e: std::io::Error| {
            Error::new(ErrorKind::Io, format!("{}: cannot {action}: {e}", path.display()))
        }
    };
    let mut stream = UnixStream::connect(path).map_err(failed("connect"))?;
    stream.set_read_timeout(Some(PEER_TIME)).map_err(failed("set times"))?;
    stream.set_write_timeout(Some(PEER_TIME)).map_err(failed("set times"))?;
    stream.write_all(&version.unwrap_or_default().0).map_err(failed("ask"))?;
    let mut text = [0; 33];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(
        &stream,
        &mut [IoSliceMut::new(&mut text)],
        &mut rights,
        RecvFlags::CMSG_CLOEXEC,
    );
    let got = got.map_err(|e| failed("hear the answer")(e.into()))?;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    if got.bytes == 33 && text[0] == 0 {
        let what = version.map_or("no version".to_string(), |version| format!("version {}", version.short()));
        let message = format!("{}: {what} is not offered here", path.display());
        return Err(Error::new(ErrorKind::State, message));
    }
    let (33, 1, Some(descriptor)) = (got.bytes, text[0], descriptors.pop()) else {
        return Err(Error::new(ErrorKind::Format, format!("{}: no descriptor came", path.display())));
    };
    let mut named = Hash::default();
    named.0.copy_from_slice(&text[1..]);
    Mapped::open(File::from(descriptor), version.or(Some(named)), threads)
}

impl Mapped {
    fn open(file: File, version: Option<Hash>, threads: usize) -> Result<Mapped> {
        let malformed = |problem: &str| Error::new(ErrorKind::Format, format!("shared memory {problem}"));
        let found = rustix::fs::fcntl_get_seals(&file).map_err(|e| io("ask for its seals", e))?;
        if !found.contains(seals()) {
            return Err(Error::new(
                ErrorKind::Mismatch,
                "shared memory is not sealed against writing, cutting and extending; refused",
            ));
        }
        let size = file.metadata().map_err(|e| io("ask for its size", e))?.len();
        if size < 16 {
            return Err(malformed("is too small for a version"));
        }
        // SAFETY: the kernel's seals, which cannot be taken away again, keep everybody from writing to the memory and
        // from cutting it: the bytes do not change while they are borrowed, and all of them are there.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| io("map it", e))?;
        if map[..8] != *MAGIC {
            return Err(malformed("holds no version: it does not begin with MYNAHSM1"));
        }
        let mut word = [0; 8];
        word.copy_from_slice(&map[8..16]);
        let manifest_bytes = u64::from_le_bytes(word);
        if manifest_bytes > MANIFEST_BYTES_MAX || manifest_bytes > size - 16 {
            return Err(malformed("announces a manifest that is larger than itself"));
        }
        let manifest = Manifest::parse(&map[16..16 + manifest_bytes as usize])?;
        if version.is_some_and(|version| version != manifest.digest()) {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "version {} lies in shared memory where another was asked for",
                    manifest.digest().short()
                ),
            ));
        }
        let layout = Layout::of(&manifest, manifest_bytes as usize)?;
        if layout.size as u64 != size {
            return Err(malformed("has not the size that its manifest asks for"));
        }
        let info = |tensor: &mynah_swap::manifest::Tensor| TensorInfo {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            part: tensor.part,
            group: tensor.group.clone(),
        };
        let tensors = manifest.tensors().iter().map(info).collect();
        let mapped = Mapped { map, manifest, tensors, places: layout.tensors };
        mapped.check(threads)?;
        Ok(mapped)
    }

    /// Every chunk against the manifest, by several threads.
    fn check(&self, threads: usize) -> Result<()> {
        let tensors = self.manifest.tensors().iter().enumerate();
        let chunks: Vec<(usize, usize)> = tensors
            .flat_map(|(number, tensor)| (0..tensor.chunk_range().len()).map(move |chunk| (number, chunk)))
            .collect();
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let work = || {
            while let Some(&(tensor, chunk)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let range = self.manifest.chunk_bytes_range(&self.manifest.tensors()[tensor], chunk);
                let bytes = &self.bytes(tensor)[range.start as usize..range.end as usize];
                if let Err(error) = self.manifest.check_chunk(tensor, chunk, bytes) {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    next.store(chunks.len(), Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.clamp(1, 256) {
                scope.spawn(work);
            }
            work();
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// What it is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bytes of a tensor, in the order of the manifest: the pages that the writer wrote.
    ///
    /// # Panics
    /// When there is no such tensor.
    pub fn bytes(&self, tensor: usize) -> &[u8] {
        &self.map[self.places[tensor].clone()]
    }
}

impl TensorSource for Mapped {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, tensor: usize, offset_bytes: u64, into: &mut [u8]) -> Result<()> {
        let place = self.places.get(tensor).cloned().unwrap_or_default();
        let bytes = usize::try_from(offset_bytes).ok().and_then(|start| {
            let end = start.checked_add(into.len())?;
            self.map[place].get(start..end)
        });
        let outside = || Error::new(ErrorKind::Argument, format!("bytes outside tensor number {tensor}"));
        into.copy_from_slice(bytes.ok_or_else(outside)?);
        Ok(())
    }
}
