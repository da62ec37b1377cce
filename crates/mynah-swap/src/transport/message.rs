//! What is in a frame.

use crate::protocol::{ReplicaId, ToCoordinator, ToReplica};
use crate::wire::{Reader, Writer};
use crate::{Error, Hash, Result};

/// A chunk of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// The version.
    pub version: Hash,
    /// The tensor's number in the version's manifest.
    pub tensor: u32,
    /// The chunk's number in the tensor.
    pub chunk: u32,
}

/// A message between processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// From a coordinator, in its term.
    ToReplica(u64, ToReplica),
    /// From a replica.
    ToCoordinator(ReplicaId, ToCoordinator),
    /// Which manifest has this digest?
    AskManifest(Hash),
    /// The canonical bytes of a manifest; to be checked against the digest that was asked for.
    Manifest(Vec<u8>),
    /// Who signed this version?
    AskSignature(Hash),
    /// The signature of a manifest's digest; to be checked against a key that is known.
    Signature(Vec<u8>),
    /// Send me this chunk.
    AskChunk(ChunkId),
    /// The bytes; to be checked against the manifest.
    Chunk(ChunkId, Vec<u8>),
    /// Neither that manifest nor its signature nor that chunk is here, nor a stream to that version.
    Absent(Hash),
    /// The caller leads: on this connection it says what replicas are to do.
    Lead {
        /// How long a replica serves without hearing from it; the same for all.
        lease_ms: u32,
    },
    /// The caller leads: on this connection it is told what replicas have to say.
    Hear {
        /// As in [`Message::Lead`].
        lease_ms: u32,
    },
    /// The caller has versions: on this connection it answers questions.
    Versions,
    /// The answer to [`Message::Hear`]: who this is.
    Agent(ReplicaId),
    /// Not like this, and why.
    Refused(String),
    /// Where replicas answer questions for versions.
    Peers(Vec<(ReplicaId, String)>),
    /// Send me the stream from one version to another, in pieces.
    AskStream {
        /// The version that is here.
        base: Hash,
        /// The version that is wanted.
        target: Hash,
    },
    /// A piece of a stream; an empty one ends it.
    Piece(Vec<u8>),
}

const TEXT_BYTES_MAX: usize = 4_096;
const PEERS_MAX: usize = 100_000;

impl Message {
    /// The bytes of a frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        let chunk_id = |w: &mut Writer, id: &ChunkId| {
            w.hash(&id.version);
            w.u32(id.tensor);
            w.u32(id.chunk);
        };
        match self {
            Self::ToReplica(term, message) => {
                w.u8(0);
                w.0.extend(message.to_bytes(*term));
            }
            Self::ToCoordinator(from, message) => {
                w.u8(1);
                w.u32(from.0);
                w.0.extend(message.to_bytes());
            }
            Self::AskManifest(version) => {
                w.u8(2);
                w.hash(version);
            }
            Self::Manifest(bytes) => {
                w.u8(3);
                w.0.extend(bytes);
            }
            Self::AskChunk(id) => {
                w.u8(4);
                chunk_id(&mut w, id);
            }
            Self::Chunk(id, bytes) => {
                w.u8(5);
                chunk_id(&mut w, id);
                w.0.extend(bytes);
            }
            Self::Absent(version) => {
                w.u8(6);
                w.hash(version);
            }
            Self::Lead { lease_ms } => {
                w.u8(7);
                w.u32(*lease_ms);
            }
            Self::Hear { lease_ms } => {
                w.u8(8);
                w.u32(*lease_ms);
            }
            Self::Versions => w.u8(9),
            Self::Agent(id) => {
                w.u8(10);
                w.u32(id.0);
            }
            Self::Refused(why) => {
                w.u8(11);
                w.text(why);
            }
            Self::Peers(peers) => {
                w.u8(12);
                w.u32(peers.len() as u32);
                for (id, address) in peers {
                    w.u32(id.0);
                    w.text(address);
                }
            }
            Self::AskStream { base, target } => {
                w.u8(13);
                w.hash(base);
                w.hash(target);
            }
            Self::Piece(bytes) => {
                w.u8(14);
                w.0.extend(bytes);
            }
            Self::AskSignature(version) => {
                w.u8(15);
                w.hash(version);
            }
            Self::Signature(bytes) => {
                w.u8(16);
                w.0.extend(bytes);
            }
        }
        w.0
    }

    /// The message in a frame.
    ///
    /// # Errors
    /// `Format` when it is malformed.
    pub fn parse(mut frame: Vec<u8>) -> Result<Self> {
        let mut r = Reader::new(&frame, "a message");
        let kind = r.u8("the kind")?;
        let chunk_id = |r: &mut Reader| -> Result<ChunkId> {
            Ok(ChunkId {
                version: r.hash("the version")?,
                tensor: r.u32("the tensor")?,
                chunk: r.u32("the chunk")?,
            })
        };
        let message = match kind {
            0 => {
                let (term, message) = ToReplica::parse(&frame[1..])?;
                return Ok(Self::ToReplica(term, message));
            }
            1 => {
                let from = ReplicaId(r.u32("the replica")?);
                return Ok(Self::ToCoordinator(from, ToCoordinator::parse(&frame[5..])?));
            }
            2 => Self::AskManifest(r.hash("the version")?),
            3 => {
                // The large ones keep their memory.
                frame.drain(..1);
                return Ok(Self::Manifest(frame));
            }
            4 => Self::AskChunk(chunk_id(&mut r)?),
            5 => {
                let id = chunk_id(&mut r)?;
                frame.drain(..41);
                return Ok(Self::Chunk(id, frame));
            }
            6 => Self::Absent(r.hash("the version")?),
            7 => Self::Lead { lease_ms: r.u32("the lease")? },
            8 => Self::Hear { lease_ms: r.u32("the lease")? },
            9 => Self::Versions,
            10 => Self::Agent(ReplicaId(r.u32("the replica")?)),
            11 => Self::Refused(r.text(TEXT_BYTES_MAX, "the reason")?),
            12 => {
                let count = r.u32("the count of peers")? as usize;
                // Six bytes is the shortest of them.
                if count > PEERS_MAX || count > r.left() / 6 {
                    return Err(Error::format(format!("a message announces {count} peers")));
                }
                let mut peers = Vec::with_capacity(count);
                for _ in 0..count {
                    peers.push((ReplicaId(r.u32("a peer")?), r.text(TEXT_BYTES_MAX, "an address")?));
                }
                Self::Peers(peers)
            }
            13 => Self::AskStream { base: r.hash("the base")?, target: r.hash("the target")? },
            14 => {
                frame.drain(..1);
                return Ok(Self::Piece(frame));
            }
            15 => Self::AskSignature(r.hash("the version")?),
            16 => {
                frame.drain(..1);
                return Ok(Self::Signature(frame));
            }
            other => return Err(Error::format(format!("a message of kind {other}, which is unknown"))),
        };
        r.end()?;
        Ok(message)
    }
}
