//! The receiving side: a version is made of the base and a stream.
//!
//! Each thread takes the next chunks off the stream, builds them where they are to lie, and hashes them while they are
//! in its cache; another thread reads on meanwhile. Where the sink has no memory of its own, a thread builds in a
//! buffer and waits for its turn to hand it over, so no more than a batch for each thread is ever in memory.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::codec::patch;
use super::package::{
    Origin, RecordHead, Side, is_same_form, next_head, places, read_head, read_payload, stream_error,
};
use super::sinks::ChunkSink;
use crate::source::TensorSource;
use crate::{Error, Manifest, Result};

/// How to apply a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Threads that build and hash, the caller's included. The result does not depend on it. A server that answers
    /// meanwhile takes one.
    pub threads: usize,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { threads: std::thread::available_parallelism().map_or(1, usize::from).min(16) }
    }
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
    input: &mut (dyn Read + Send),
    sink: &mut (dyn ChunkSink + Send),
) -> Result<Manifest> {
    apply_with(base, input, sink, &ApplyOptions::default())
}

/// The same with as many threads as one says.
///
/// # Errors
/// As [`apply`].
pub fn apply_with(
    base: (&Manifest, &dyn TensorSource),
    input: &mut (dyn Read + Send),
    sink: &mut (dyn ChunkSink + Send),
    options: &ApplyOptions,
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
    let old = Side { manifest: base_manifest, source: base_source, places: &base_places };
    sink.begin(&manifest)?;
    let threads = match manifest.size_bytes() {
        0..SMALL_BYTES => 1,
        _ => options.threads.clamp(1, 256),
    };
    let feed = Feed {
        input: &mut *input,
        base: base_manifest,
        target: &manifest,
        left: head.records,
        next: None,
        last: None,
        tensor: 0,
        chunk: 0,
        memory: None,
        rest: &mut [],
        number: 0,
    };
    match sink.memory() {
        Some(memory) => {
            let sizes = manifest.tensors().iter().map(|tensor| tensor.size_bytes());
            if !sizes.eq(memory.iter().map(|memory| memory.len() as u64)) {
                return Err(Error::argument("the sink has other room than the manifest asks for"));
            }
            let feed = Feed { memory: Some(memory.into_iter()), ..feed };
            Work::new(&old, &manifest, feed, None).run(threads)?;
        }
        None => Work::new(&old, &manifest, feed, Some(&mut *sink)).run(threads)?,
    }
    if input.read(&mut [0]).map_err(|e| stream_error("read", &e))? != 0 {
        return Err(Error::format("the delta goes on after its last chunk"));
    }
    sink.finish()?;
    Ok(manifest)
}

/// Less than this is not worth a thread. The versions of tests are small and shared out all the same.
const SMALL_BYTES: u64 = if cfg!(test) { 1 } else { 4 << 20 };
/// What a thread takes at once: one chunk of the usual size, many small ones.
const BATCH_BYTES: usize = if cfg!(test) { 4 << 10 } else { 1 << 20 };
const BATCH_CHUNKS: usize = 4_096;

/// Where a chunk is built.
enum Room<'m> {
    /// Where it is to lie.
    Lent(&'m mut [u8]),
    /// In a buffer, which grows as its bytes come.
    Own(Vec<u8>),
}

/// What a chunk is made of.
enum Making {
    /// A chunk of the base, and a patch, which is empty for a copy.
    Patch(Option<Origin>, Vec<u8>),
    /// The stream's bytes, which are there already.
    Whole,
}

struct Piece<'m> {
    tensor: usize,
    chunk: usize,
    making: Making,
    room: Room<'m>,
}

/// The stream and how far it was read.
struct Feed<'a, 'm> {
    input: &'a mut (dyn Read + Send),
    base: &'a Manifest,
    target: &'a Manifest,
    left: u32,
    next: Option<RecordHead>,
    last: Option<(u32, u32)>,
    tensor: usize,
    chunk: usize,
    memory: Option<std::vec::IntoIter<&'m mut [u8]>>,
    /// What is left of the current tensor's memory.
    rest: &'m mut [u8],
    /// Batches that were taken.
    number: u64,
}

impl<'m> Feed<'_, 'm> {
    /// Takes the next chunks; none at the end.
    fn fill(&mut self, batch: &mut Vec<Piece<'m>>, spare: &mut Vec<Vec<u8>>) -> Result<()> {
        let tensors = self.target.tensors();
        let mut taken = 0;
        while taken < BATCH_BYTES && batch.len() < BATCH_CHUNKS {
            let Some(entry) = tensors.get(self.tensor) else { return Ok(()) };
            if self.chunk == 0
                && let Some(memory) = &mut self.memory
            {
                self.rest = memory.next().unwrap_or_default();
            }
            if self.chunk == entry.chunk_range().len() {
                (self.tensor, self.chunk) = (self.tensor + 1, 0);
                continue;
            }
            let range = self.target.chunk_bytes_range(entry, self.chunk);
            let size = (range.end - range.start) as usize;
            let mut room = match &self.memory {
                Some(_) => {
                    let (lent, rest) = std::mem::take(&mut self.rest).split_at_mut(size);
                    self.rest = rest;
                    Room::Lent(lent)
                }
                None => Room::Own(spare.pop().unwrap_or_default()),
            };
            let making = self.making(&mut room)?;
            batch.push(Piece { tensor: self.tensor, chunk: self.chunk, making, room });
            taken += size;
            self.chunk += 1;
        }
        Ok(())
    }

    /// What the stream says of the current chunk.
    fn making(&mut self, room: &mut Room) -> Result<Making> {
        let place = (self.tensor as u32, self.chunk as u32);
        if self.next.is_none() {
            self.next = next_head(self.input, &mut self.left, self.base, self.target, self.last)?;
        }
        let Some(head) = self.next.take_if(|head| (head.tensor, head.chunk) == place) else {
            let entry = &self.target.tensors()[self.tensor];
            let partner = self.base.find(&entry.name, entry.part);
            let partner = partner.filter(|&at| is_same_form(&self.base.tensors()[at], entry));
            // A grid of other chunks has none at this place.
            let is_same_grid = self.base.head().chunk_bytes == self.target.head().chunk_bytes;
            let origin = partner.filter(|_| is_same_grid);
            let origin = origin.map(|tensor| Origin { tensor: tensor as u32, chunk: place.1 });
            return Ok(Making::Patch(origin, Vec::new()));
        };
        self.last = Some(place);
        if head.origin.is_some() {
            let mut payload = Vec::new();
            read_payload(self.input, head.payload_bytes, &mut payload)?;
            return Ok(Making::Patch(head.origin, payload));
        }
        match room {
            // The head's size is the chunk's, or the head was refused.
            Room::Lent(memory) => {
                self.input.read_exact(memory).map_err(|e| stream_error("read", &e))?;
            }
            Room::Own(bytes) => read_payload(self.input, head.payload_bytes, bytes)?,
        }
        Ok(Making::Whole)
    }
}

/// Whose turn it is to hand chunks over.
struct Turn<'s> {
    /// Nothing when chunks are built in their place.
    sink: Option<&'s mut (dyn ChunkSink + Send)>,
    number: u64,
    /// The failure of the first batch that failed.
    failed: Option<(u64, Error)>,
}

struct Work<'a, 'm, 's> {
    old: &'a Side<'a>,
    manifest: &'a Manifest,
    feed: Mutex<Feed<'a, 'm>>,
    turn: Mutex<Turn<'s>>,
    changed: Condvar,
    is_over: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked passes its panic on through the scope.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a, 'm, 's> Work<'a, 'm, 's> {
    fn new(
        old: &'a Side<'a>,
        manifest: &'a Manifest,
        feed: Feed<'a, 'm>,
        sink: Option<&'s mut (dyn ChunkSink + Send)>,
    ) -> Self {
        Self {
            old,
            manifest,
            feed: Mutex::new(feed),
            turn: Mutex::new(Turn { sink, number: 0, failed: None }),
            changed: Condvar::new(),
            is_over: AtomicBool::new(false),
        }
    }

    fn run(self, threads: usize) -> Result<()> {
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| self.take_part());
            }
            self.take_part();
        });
        let turn = self.turn.into_inner().unwrap_or_else(PoisonError::into_inner);
        turn.failed.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn take_part(&self) {
        /// Whoever waits for a thread that panicked is told.
        struct Watch<'w, 'a, 'm, 's>(&'w Work<'a, 'm, 's>);
        impl Drop for Watch<'_, '_, '_, '_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.fail(0, Error::state("a thread that built chunks has panicked"));
                }
            }
        }
        let _watch = Watch(self);
        let (mut batch, mut spare) = (Vec::new(), Vec::new());
        loop {
            let number = {
                let mut feed = lock(&self.feed);
                if self.is_over.load(Ordering::Acquire) {
                    return;
                }
                let number = feed.number;
                feed.number += 1;
                if let Err(error) = feed.fill(&mut batch, &mut spare) {
                    return self.fail(number, error);
                }
                number
            };
            if batch.is_empty() {
                return;
            }
            let built = batch.iter_mut().try_for_each(|piece| self.build(piece));
            match built.and_then(|()| self.deliver(number, &mut batch, &mut spare)) {
                Ok(()) => batch.clear(),
                Err(error) => return self.fail(number, error),
            }
        }
    }

    /// Later batches are not begun; earlier ones are, and the failure of the first counts.
    fn fail(&self, number: u64, error: Error) {
        let mut turn = lock(&self.turn);
        if turn.failed.as_ref().is_none_or(|(first, _)| *first > number) {
            turn.failed = Some((number, error));
        }
        self.is_over.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// Builds a chunk and checks it; one that was sent whole is only checked.
    fn build(&self, piece: &mut Piece) -> Result<()> {
        let entry = &self.manifest.tensors()[piece.tensor];
        let bytes: &mut [u8] = match (&mut piece.room, &piece.making) {
            (Room::Lent(memory), _) => memory,
            (Room::Own(bytes), Making::Whole) => bytes,
            (Room::Own(bytes), Making::Patch(..)) => {
                let range = self.manifest.chunk_bytes_range(entry, piece.chunk);
                bytes.resize((range.end - range.start) as usize, 0);
                bytes
            }
        };
        match &piece.making {
            Making::Whole => {}
            Making::Patch(Some(origin), payload) => {
                self.old.read(origin.tensor, origin.chunk, bytes)?;
                if !payload.is_empty() {
                    patch(bytes, payload, entry.dtype.unit_bytes())?;
                }
            }
            Making::Patch(None, _) => {
                return Err(Error::format(format!(
                    "the delta lacks chunk {} of {}, which the base has not",
                    piece.chunk,
                    entry.label()
                )));
            }
        }
        self.manifest.check_chunk(piece.tensor, piece.chunk, bytes)
    }

    /// Gives a batch to the sink when all before it are there, and takes its buffers back.
    fn deliver(&self, number: u64, batch: &mut Vec<Piece>, spare: &mut Vec<Vec<u8>>) -> Result<()> {
        let mut turn = lock(&self.turn);
        if turn.sink.is_none() {
            return Ok(());
        }
        while turn.number != number {
            if turn.failed.is_some() {
                return Ok(());
            }
            turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        for piece in batch.drain(..) {
            let Room::Own(bytes) = piece.room else { continue };
            let range = self.manifest.chunk_bytes_range(&self.manifest.tensors()[piece.tensor], piece.chunk);
            if let Some(sink) = &mut turn.sink {
                sink.write(piece.tensor, range.start, &bytes)?;
            }
            spare.push(bytes);
        }
        turn.number += 1;
        self.changed.notify_all();
        Ok(())
    }
}
