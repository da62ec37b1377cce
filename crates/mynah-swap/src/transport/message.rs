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
    /// Send me this chunk.
    AskChunk(ChunkId),
    /// The bytes; to be checked against the manifest.
    Chunk(ChunkId, Vec<u8>),
    /// Neither that manifest nor that chunk is here.
    Absent(Hash),
}

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
            other => return Err(Error::format(format!("a message of kind {other}, which is unknown"))),
        };
        r.end()?;
        Ok(message)
    }
}
