//! What a coordinator answers when it is asked for versions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use super::lock;
use super::store::chunk_of;
use crate::delta::{make, make_chunks};
use crate::source::SafetensorsSource;
use crate::transport::{ChunkId, ChunkStore, Connection, Message, Traffic, answer_chunks, receive, send};
use crate::{Error, Hash, Manifest, Result};

/// A stream goes in frames of this size.
const PIECE_BYTES: usize = 1 << 20;

/// A version to be given away, and the one that agents have, where it is at hand.
pub struct Offer {
    manifest: Manifest,
    version: Hash,
    source: SafetensorsSource,
    base: Option<(Hash, Manifest, SafetensorsSource)>,
    signature: Option<Vec<u8>>,
    /// Deltas are made once, here.
    scratch: PathBuf,
    streams: Mutex<BTreeMap<Hash, PathBuf>>,
}

impl Offer {
    /// An offer of a whole version. With the base, agents that have it are sent only what changed inside chunks.
    /// Deltas are kept in `scratch` until the offer is dropped.
    pub fn new(
        manifest: Manifest,
        source: SafetensorsSource,
        base: Option<(Manifest, SafetensorsSource)>,
        scratch: PathBuf,
    ) -> Self {
        let version = manifest.digest();
        let base = base.map(|(manifest, source)| (manifest.digest(), manifest, source));
        Self {
            manifest,
            version,
            source,
            base,
            signature: None,
            scratch,
            streams: Mutex::new(BTreeMap::new()),
        }
    }

    /// With its signature, for agents that want one.
    #[must_use]
    pub fn with_signature(mut self, signature: Option<Vec<u8>>) -> Self {
        self.signature = signature;
        self
    }

    /// The version.
    pub fn version(&self) -> Hash {
        self.version
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A file with the stream from this base, for a broadcast: with patches where its weights are at hand, else with
    /// whole chunks where something changed.
    ///
    /// # Errors
    /// `Io`; as [`make`] and [`make_chunks`].
    pub fn stream_file(&self, base: &Manifest) -> Result<PathBuf> {
        let version = base.digest();
        if let Some(path) = self.stream(&version)? {
            return Ok(path);
        }
        let path = self.scratch.join(format!("{}-{}.chunks", version.short(), self.version.short()));
        let io = |e: io::Error| Error::io("write the stream", &path, &e);
        let mut out = BufWriter::with_capacity(PIECE_BYTES, File::create(&path).map_err(io)?);
        make_chunks(base, (&self.manifest, &self.source), &mut out)?;
        out.flush().map_err(io)?;
        lock(&self.streams).insert(version, path.clone());
        Ok(path)
    }

    /// The file with the stream from this base; nothing when the base is not at hand.
    fn stream(&self, base: &Hash) -> Result<Option<PathBuf>> {
        let Some((version, manifest, source)) = self.base.as_ref().filter(|(version, ..)| version == base)
        else {
            return Ok(None);
        };
        // Held while the delta is made: who asks meanwhile wants the same one.
        let mut streams = lock(&self.streams);
        if let Some(path) = streams.get(version) {
            return Ok(Some(path.clone()));
        }
        let path = self.scratch.join(format!("{}-{}.delta", version.short(), self.version.short()));
        let io = |e: io::Error| Error::io("write the delta", &path, &e);
        let mut out = BufWriter::with_capacity(PIECE_BYTES, File::create(&path).map_err(io)?);
        make((manifest, source), (&self.manifest, &self.source), &mut out)?;
        out.flush().map_err(io)?;
        streams.insert(*version, path.clone());
        Ok(Some(path))
    }

    /// Answers questions until the peer ends the connection, and tells after each what went over it so far.
    ///
    /// # Errors
    /// As [`Connection`]; `Format` when something else is said; `Io` when the weights cannot be read.
    pub fn serve(&self, connection: &mut dyn Connection, count: &mut dyn FnMut(Traffic)) -> Result<()> {
        while let Some(question) = receive(connection)? {
            count(connection.traffic());
            let Message::AskStream { base, target } = question else {
                send(connection, &answer_chunks(question, self)?)?;
                count(connection.traffic());
                continue;
            };
            let path = if target == self.version { self.stream(&base)? } else { None };
            let Some(path) = path else {
                send(connection, &Message::Absent(target))?;
                continue;
            };
            let io = |e: io::Error| Error::io("read the delta", &path, &e);
            let mut file = File::open(&path).map_err(io)?;
            loop {
                let mut piece = Vec::with_capacity(PIECE_BYTES);
                Read::by_ref(&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).map_err(io)?;
                let is_end = piece.is_empty();
                send(connection, &Message::Piece(piece))?;
                count(connection.traffic());
                if is_end {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl ChunkStore for Offer {
    fn manifest(&self, version: &Hash) -> Option<Vec<u8>> {
        (*version == self.version).then(|| self.manifest.to_bytes())
    }

    fn signature(&self, version: &Hash) -> Option<Vec<u8>> {
        self.signature.clone().filter(|_| *version == self.version)
    }

    fn chunk(&self, id: &ChunkId) -> Option<Vec<u8>> {
        (id.version == self.version).then(|| chunk_of(&self.manifest, &self.source, id)).flatten()
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        for path in lock(&self.streams).values() {
            // Scratch; nobody misses it.
            let _ = std::fs::remove_file(path);
        }
    }
}
