//! Chunks from several peers at once.

use std::sync::{Mutex, PoisonError};

use super::{ChunkId, Connection, Message, Traffic, receive, send};
use crate::protocol::{Fetch, FetchLimits};
use crate::{Error, ErrorKind, Hash, Manifest, Result};

/// Whoever has versions: a server's live weights and the version before, a trainer.
pub trait ChunkStore: Sync {
    /// The manifest of a version that is here.
    fn manifest(&self, version: &Hash) -> Option<Vec<u8>>;

    /// The signature of a version that is here, where it has one.
    fn signature(&self, _version: &Hash) -> Option<Vec<u8>> {
        None
    }

    /// The bytes of a chunk that is here.
    fn chunk(&self, id: &ChunkId) -> Option<Vec<u8>>;
}

/// Answers questions for manifests and chunks until the peer ends the connection.
///
/// # Errors
/// `Format` when the peer asks for something else, and as [`Connection`].
pub fn serve_chunks(connection: &mut dyn Connection, store: &dyn ChunkStore) -> Result<()> {
    while let Some(question) = receive(connection)? {
        send(connection, &answer_chunks(question, store)?)?;
    }
    Ok(())
}

/// The answer to a question for a manifest or a chunk.
///
/// # Errors
/// `Format` when the message is something else.
pub fn answer_chunks(question: Message, store: &dyn ChunkStore) -> Result<Message> {
    Ok(match question {
        Message::AskManifest(version) => match store.manifest(&version) {
            Some(bytes) => Message::Manifest(bytes),
            None => Message::Absent(version),
        },
        Message::AskSignature(version) => match store.signature(&version) {
            Some(bytes) => Message::Signature(bytes),
            None => Message::Absent(version),
        },
        Message::AskChunk(id) => match store.chunk(&id) {
            Some(bytes) => Message::Chunk(id, bytes),
            None => Message::Absent(id.version),
        },
        _ => return Err(Error::format("the peer speaks of something else where versions are asked for")),
    })
}

/// What a fetch took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchReport {
    /// Bytes on all connections, in both directions.
    pub traffic: Traffic,
    /// Chunks that came from each peer, in the order of the connections.
    pub chunks_by_peer: Vec<u64>,
    /// Why peers were left alone, in the same order.
    pub problems: Vec<Option<String>>,
}

/// Fetches chunks of a version from all peers at once, each as fast as it answers, and gives those that are what
/// the manifest says to `take`, in no order. A peer that fails, lies or has not the version is left alone; its
/// chunks come from the others. A pause between two questions to a peer
/// ([`FetchLimits::interval_ms`]) keeps it free for its requests. A peer that stalls delays the end by at most its
/// connection's [`Limits::idle_timeout`](super::Limits): give connections for a fetch a short one.
///
/// # Errors
/// `Io` when chunks are missing and no peer is left; whatever `take` answers.
///
/// # Panics
/// When a chunk is not one of the manifest's.
pub fn fetch_chunks(
    manifest: &Manifest,
    chunks: &[(u32, u32)],
    peers: Vec<Box<dyn Connection>>,
    limits: FetchLimits,
    take: &mut (dyn FnMut(u32, u32, Vec<u8>) -> Result<()> + Send),
) -> Result<FetchReport> {
    let version = manifest.digest();
    let count = peers.len();
    // One question at a time to each peer; the thread that asks waits for the answer.
    let limits = FetchLimits { per_peer_max: 1, ..limits };
    let numbers = 0..chunks.len() as u32;
    let state = Mutex::new(State {
        fetch: Fetch::new(numbers, 0..count, limits),
        take,
        report: FetchReport {
            traffic: Traffic::default(),
            chunks_by_peer: vec![0; count],
            problems: vec![None; count],
        },
        failed: None,
    });
    let start = std::time::Instant::now();
    let work = |peer: usize, mut connection: Box<dyn Connection>| {
        let problem =
            ask(peer, connection.as_mut(), manifest, &version, chunks, &state, start, limits.interval_ms);
        let mut state = lock(&state);
        state.fetch.drop_peer(peer);
        state.report.problems[peer] = problem.err().map(|e| e.to_string());
        let traffic = connection.traffic();
        state.report.traffic.sent_bytes += traffic.sent_bytes;
        state.report.traffic.received_bytes += traffic.received_bytes;
    };
    std::thread::scope(|scope| {
        for (peer, connection) in peers.into_iter().enumerate() {
            let work = &work;
            scope.spawn(move || work(peer, connection));
        }
    });
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.failed {
        return Err(error);
    }
    if state.fetch.missing() > 0 {
        let problems: Vec<String> = state.report.problems.into_iter().flatten().collect();
        return Err(Error::new(
            ErrorKind::Io,
            format!(
                "{} chunks are missing and no peer is left: {}",
                state.fetch.missing(),
                problems.join("; ")
            ),
        ));
    }
    Ok(state.report)
}

struct State<'a> {
    fetch: Fetch<usize>,
    take: &'a mut (dyn FnMut(u32, u32, Vec<u8>) -> Result<()> + Send),
    report: FetchReport,
    failed: Option<Error>,
}

fn lock<'a, 'b>(state: &'a Mutex<State<'b>>) -> std::sync::MutexGuard<'a, State<'b>> {
    // A thread that panicked passes its panic on through the scope.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks one peer until nothing is missing or it fails.
#[allow(clippy::too_many_arguments)]
fn ask(
    peer: usize,
    connection: &mut dyn Connection,
    manifest: &Manifest,
    version: &Hash,
    chunks: &[(u32, u32)],
    state: &Mutex<State>,
    start: std::time::Instant,
    interval_ms: u64,
) -> Result<()> {
    loop {
        let number = {
            let mut state = lock(state);
            if state.fetch.missing() == 0 || state.failed.is_some() {
                return Ok(());
            }
            if !state.fetch.is_asked(peer) {
                return Err(Error::new(ErrorKind::Io, "the peer has stalled too often"));
            }
            let now_ms = start.elapsed().as_millis() as u64;
            state.fetch.poll_peer(peer, now_ms)
        };
        let Some(number) = number else {
            // Others have what is missing under way, or it is too early to ask again.
            std::thread::sleep(std::time::Duration::from_millis(interval_ms.clamp(1, 50)));
            continue;
        };
        let (tensor, chunk) = chunks[number as usize];
        let id = ChunkId { version: *version, tensor, chunk };
        send(connection, &Message::AskChunk(id))?;
        let bytes = match receive(connection)? {
            Some(Message::Chunk(answered, bytes)) if answered == id => bytes,
            Some(Message::Absent(_)) => return Err(Error::mismatch("the peer has not this version")),
            Some(_) => return Err(Error::format("the peer answers something else")),
            None => return Err(Error::new(ErrorKind::Io, "the peer has ended the connection")),
        };
        let checked = manifest.check_chunk(tensor as usize, chunk as usize, &bytes);
        let mut state = lock(state);
        let is_news = state.fetch.came(peer, number, checked.is_ok());
        checked?;
        if is_news {
            state.report.chunks_by_peer[peer] += 1;
            if let Err(error) = (state.take)(tensor, chunk, bytes) {
                state.failed.get_or_insert(error);
            }
        }
    }
}
