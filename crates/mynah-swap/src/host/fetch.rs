//! How an agent gets a version: as a stream from whoever leads, else chunk by chunk from all who have it.

use std::collections::BTreeSet;
use std::io::{self, Read};

use mynah_trust::keys::Ed25519VerifyingKey;

use super::store::{Only, Store, place_of};
use crate::delta::{ApplyOptions, ChunkSink, apply_with};
use crate::plan::{Plan, PlanOptions};
use crate::protocol::FetchLimits;
use crate::source::{MemorySource, SafetensorsSource, TensorSource};
use crate::transport::{ChunkStore as _, Connection, Message, Traffic, fetch_chunks, receive, send};
use crate::{Error, ErrorKind, Hash, Manifest, Result};

/// What it took to get a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes on connections, in both directions, as the sockets count them.
    pub traffic: Traffic,
    /// Bytes of the version.
    pub size_bytes: u64,
    /// Whether it was here already.
    pub was_here: bool,
}

/// A version that is here, with its weights.
pub(super) type Base = (Hash, Manifest, SafetensorsSource);

/// Fetches a version into the store and checks every chunk. `leader` answers questions for versions, `peers` may.
pub(super) fn fetch(
    store: &Store,
    base: Option<&Base>,
    target: Hash,
    leader: Option<&mut Box<dyn Connection>>,
    peers: Vec<Box<dyn Connection>>,
    threads: usize,
    signer: Option<&Ed25519VerifyingKey>,
) -> Result<Fetched> {
    if store.has(&target) {
        // From before a crash, or to go back to: no byte moves, every byte is read.
        let manifest = store.check(&target)?;
        if let Some(key) = signer {
            let signature = store.signature(&target).ok_or_else(|| unsigned(&target))?;
            manifest.verify(&signature, key)?;
        }
        return Ok(Fetched { size_bytes: manifest.size_bytes(), was_here: true, ..Fetched::default() });
    }
    let mut problems = Vec::new();
    if let Some(leader) = leader {
        let before = leader.traffic();
        let outcome = ask_manifest(leader.as_mut(), &target).and_then(|manifest| {
            let Some(manifest) = manifest else { return Ok(None) };
            check_fits(&manifest, base)?;
            let signature = ask_signature(leader.as_mut(), &manifest, signer)?;
            let signed = |done| keep_signature(store, &target, signature.as_deref(), done);
            if from_stream(store, base, target, leader.as_mut(), threads)? {
                return signed(manifest).map(Some);
            }
            from_chunks(store, base, &manifest, Chunks::Of(leader.as_mut()))?;
            signed(manifest).map(Some)
        });
        match outcome {
            Ok(Some(manifest)) => {
                let after = leader.traffic();
                let traffic = Traffic {
                    sent_bytes: after.sent_bytes - before.sent_bytes,
                    received_bytes: after.received_bytes - before.received_bytes,
                };
                return Ok(Fetched { traffic, size_bytes: manifest.size_bytes(), was_here: false });
            }
            Ok(None) => {
                let problem = "the coordinator has not this version".to_string();
                if peers.is_empty() {
                    // It may be one from before, that is going.
                    return Err(Error::new(ErrorKind::Io, problem));
                }
                problems.push(problem);
            }
            // What came is wrong: nobody else is asked for it.
            Err(error) if error.kind() != ErrorKind::Io || peers.is_empty() => return Err(error),
            Err(error) => problems.push(error.to_string()),
        }
    }
    let mut manifest = None;
    let mut willing = Vec::new();
    for mut peer in peers {
        let asked = ask_manifest(peer.as_mut(), &target).and_then(|found| match found {
            None => Ok(None),
            Some(found) => {
                let signature = ask_signature(peer.as_mut(), &found, signer)?;
                Ok(Some((found, signature)))
            }
        });
        match asked {
            Ok(Some(found)) => {
                manifest = Some(found);
                willing.push(peer);
            }
            Ok(None) => {}
            Err(error) => problems.push(error.to_string()),
        }
    }
    let Some((manifest, signature)) = manifest else {
        problems.push("no peer has it".to_string());
        return Err(Error::state(format!(
            "version {} cannot be had: {}",
            target.short(),
            problems.join("; ")
        )));
    };
    check_fits(&manifest, base)?;
    let traffic = from_chunks(store, base, &manifest, Chunks::FromAll(willing))?;
    let manifest = keep_signature(store, &target, signature.as_deref(), manifest)?;
    Ok(Fetched { traffic, size_bytes: manifest.size_bytes(), was_here: false })
}

/// The manifest of a version; nothing when the peer has it not.
pub(super) fn ask_manifest(peer: &mut dyn Connection, version: &Hash) -> Result<Option<Manifest>> {
    send(peer, &Message::AskManifest(*version))?;
    match receive(peer)? {
        Some(Message::Manifest(bytes)) => {
            let manifest = Manifest::parse(&bytes)?;
            if manifest.digest() != *version || manifest.head().is_partial {
                return Err(Error::mismatch(format!(
                    "the manifest of version {} came where {} was asked for",
                    manifest.digest().short(),
                    version.short()
                )));
            }
            Ok(Some(manifest))
        }
        Some(Message::Absent(_)) => Ok(None),
        Some(_) => Err(Error::format("the peer answers something else than a manifest")),
        None => Err(Error::new(ErrorKind::Io, "the peer has ended the connection")),
    }
}

fn unsigned(version: &Hash) -> Error {
    Error::new(
        ErrorKind::Signature,
        format!(
            "version {} is not signed; sign it before it is given away: mynah weights sign",
            version.short()
        ),
    )
}

/// The signature of a version, checked, where one is wanted.
fn ask_signature(
    peer: &mut dyn Connection,
    manifest: &Manifest,
    signer: Option<&Ed25519VerifyingKey>,
) -> Result<Option<Vec<u8>>> {
    let Some(key) = signer else { return Ok(None) };
    let version = manifest.digest();
    send(peer, &Message::AskSignature(version))?;
    match receive(peer)? {
        Some(Message::Signature(bytes)) => {
            manifest.verify(&bytes, key)?;
            Ok(Some(bytes))
        }
        Some(Message::Absent(_)) => Err(unsigned(&version)),
        Some(_) => Err(Error::format("the peer answers something else than a signature")),
        None => Err(Error::new(ErrorKind::Io, "the peer has ended the connection")),
    }
}

/// Beside the version, for those who ask this agent, and for its next start.
fn keep_signature(
    store: &Store,
    version: &Hash,
    signature: Option<&[u8]>,
    manifest: Manifest,
) -> Result<Manifest> {
    if let Some(signature) = signature {
        store.keep_signature(version, signature)?;
    }
    Ok(manifest)
}

/// Refuses weights of another model, configuration or tokenizer before a byte is staged.
fn check_fits(manifest: &Manifest, base: Option<&Base>) -> Result<()> {
    let Some((_, base, _)) = base else { return Ok(()) };
    let (ours, theirs) = (base.head(), manifest.head());
    if ours.model != theirs.model {
        return Err(Error::mismatch(format!("weights of {:?}, here is {:?}", theirs.model, ours.model)));
    }
    for (what, ours, theirs) in
        [("configuration", ours.config, theirs.config), ("tokenizer", ours.tokenizer, theirs.tokenizer)]
    {
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && ours != theirs
        {
            return Err(Error::mismatch(format!(
                "the version is for the {what} {}, here is {}",
                theirs.short(),
                ours.short()
            )));
        }
    }
    Ok(())
}

/// Whether the leader had a stream from the base to the version.
fn from_stream(
    store: &Store,
    base: Option<&Base>,
    target: Hash,
    leader: &mut dyn Connection,
    threads: usize,
) -> Result<bool> {
    let Some((version, manifest, source)) = base else { return Ok(false) };
    send(leader, &Message::AskStream { base: *version, target })?;
    let first = match receive(leader)? {
        Some(Message::Piece(bytes)) => bytes,
        Some(Message::Absent(_)) => return Ok(false),
        Some(_) => return Err(Error::format("the peer answers something else than a stream")),
        None => return Err(Error::new(ErrorKind::Io, "the peer has ended the connection")),
    };
    let mut input = Pieces { connection: leader, piece: first, at: 0, is_over: false, failed: None };
    let received = stage_stream(store, (version, manifest, source), target, &mut input, threads);
    match (received, input.failed) {
        (Ok(_), _) => Ok(true),
        // What the connection said is the cause, and what the codec made of it the consequence.
        (Err(_), Some(error)) | (Err(error), None) => Err(error),
    }
}

/// Stages a version from a stream that starts at one that is here, and checks every chunk.
///
/// # Errors
/// `Mismatch` when the stream is for something else or a chunk is not what the manifest says; `Format` when it is
/// malformed; `Io`.
pub fn receive_stream(
    store: &Store,
    base: &Hash,
    target: Hash,
    input: &mut (dyn Read + Send),
    threads: usize,
) -> Result<Manifest> {
    let (manifest, source) = store.load(base)?;
    stage_stream(store, (base, &manifest, &source), target, input, threads)
}

fn stage_stream(
    store: &Store,
    base: (&Hash, &Manifest, &SafetensorsSource),
    target: Hash,
    input: &mut (dyn Read + Send),
    threads: usize,
) -> Result<Manifest> {
    let mut staging = store.stage(&target)?;
    let mut only = Only { sink: &mut staging.sink, version: target };
    let made = apply_with((base.1, base.2), input, &mut only, &ApplyOptions { threads })?;
    store.complete(staging, &made, Some(&store.path(base.0)))?;
    Ok(made)
}

/// A stream that comes in pieces.
struct Pieces<'a> {
    connection: &'a mut dyn Connection,
    piece: Vec<u8>,
    at: usize,
    is_over: bool,
    failed: Option<Error>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() && !self.is_over {
            let next = receive(self.connection).and_then(|message| match message {
                Some(Message::Piece(piece)) => Ok(piece),
                Some(_) => Err(Error::format("the peer says something else in the middle of a stream")),
                None => Err(Error::new(ErrorKind::Io, "the peer has ended the connection")),
            });
            match next {
                Ok(piece) => {
                    self.is_over = piece.is_empty();
                    (self.piece, self.at) = (piece, 0);
                }
                Err(error) => {
                    let message = error.to_string();
                    self.failed = Some(error);
                    return Err(io::Error::other(message));
                }
            }
        }
        let rest = &self.piece[self.at..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// Whom to ask for chunks.
enum Chunks<'a> {
    /// One, on a connection that is used further.
    Of(&'a mut dyn Connection),
    /// All of these at once.
    FromAll(Vec<Box<dyn Connection>>),
}

/// Stages what the base has at its place, and asks for the rest.
fn from_chunks(store: &Store, base: Option<&Base>, manifest: &Manifest, chunks: Chunks) -> Result<Traffic> {
    let target = manifest.digest();
    let plan = Plan::new(
        base.map(|(_, manifest, _)| manifest),
        manifest,
        &PlanOptions { bucket_bytes_max: u64::MAX, ..PlanOptions::default() },
    )?;
    let mut wanted = BTreeSet::new();
    for piece in plan.buckets.iter().flat_map(|bucket| &bucket.pieces) {
        wanted
            .extend((piece.first_chunk..piece.first_chunk + piece.count).map(|chunk| (piece.tensor, chunk)));
    }
    let mut staging = store.stage(&target)?;
    staging.sink.begin(manifest)?;
    let nothing =
        (Manifest::nothing(&manifest.head().model, manifest.head().chunk_bytes)?, MemorySource::new());
    let (old, source): (&Manifest, &dyn TensorSource) = match base {
        Some((_, manifest, source)) => (manifest, source),
        None => (&nothing.0, &nothing.1),
    };
    let mut bytes = Vec::new();
    for (number, (tensor, plan)) in manifest.tensors().iter().zip(&plan.tensors).enumerate() {
        let same_place = old.find(&tensor.name, tensor.part).map(|at| at as u32);
        for chunk in 0..tensor.chunk_range().len() as u32 {
            if wanted.contains(&(number as u32, chunk)) {
                continue;
            }
            let copy =
                plan.copies.iter().find(|copy| (copy.to_chunk..copy.to_chunk + copy.count).contains(&chunk));
            let from = match copy {
                Some(copy) => Some((copy.from_tensor, copy.from_chunk + chunk - copy.to_chunk)),
                None => same_place.map(|tensor| (tensor, chunk)),
            };
            let place = from.and_then(|(tensor, chunk)| {
                let tensor = old.tensors().get(tensor as usize)?;
                Some((place_of(tensor, source)?, old.chunk_bytes_range(tensor, chunk as usize)))
            });
            let Some((place, range)) = place else {
                // The plan counts on bytes that are not at hand: they are asked for.
                wanted.insert((number as u32, chunk));
                continue;
            };
            bytes.resize((range.end - range.start) as usize, 0);
            source.read(place, range.start, &mut bytes)?;
            manifest.check_chunk(number, chunk as usize, &bytes)?;
            staging.sink.write(number, manifest.chunk_bytes_range(tensor, chunk as usize).start, &bytes)?;
        }
    }
    let wanted: Vec<(u32, u32)> = wanted.into_iter().collect();
    let sink = &mut staging.sink;
    let mut take = |tensor: u32, chunk: u32, bytes: Vec<u8>| {
        let entry = &manifest.tensors()[tensor as usize];
        sink.write(tensor as usize, manifest.chunk_bytes_range(entry, chunk as usize).start, &bytes)
    };
    let traffic = match chunks {
        Chunks::FromAll(peers) => {
            fetch_chunks(manifest, &wanted, peers, FetchLimits::default(), &mut take)?.traffic
        }
        Chunks::Of(peer) => {
            for &(tensor, chunk) in &wanted {
                let id = crate::transport::ChunkId { version: target, tensor, chunk };
                send(peer, &Message::AskChunk(id))?;
                match receive(peer)? {
                    Some(Message::Chunk(answered, bytes)) if answered == id => {
                        manifest.check_chunk(tensor as usize, chunk as usize, &bytes)?;
                        take(tensor, chunk, bytes)?;
                    }
                    Some(Message::Absent(_)) => {
                        return Err(Error::mismatch("the coordinator has not all of this version"));
                    }
                    Some(_) => return Err(Error::format("the peer answers something else than a chunk")),
                    None => return Err(Error::new(ErrorKind::Io, "the peer has ended the connection")),
                }
            }
            peer.traffic()
        }
    };
    staging.sink.finish()?;
    store.complete(staging, manifest, base.map(|(version, ..)| store.path(version)).as_deref())?;
    Ok(traffic)
}
