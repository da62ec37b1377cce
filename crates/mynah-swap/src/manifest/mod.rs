//! What a version of the weights is: every tensor, every chunk's digest, and one root over all.
//!
//! A [`Manifest`] has one canonical form in bytes, whatever order the tensors came in: entries sorted by name and
//! part, fixed-width numbers, and a reader that takes nothing that the writer would not have written. The
//! version's name ([`Manifest::digest`]) is the BLAKE3 of its [head](Manifest::head_bytes): model, tokenizer,
//! epoch, parent, and the root of a Merkle tree (RFC 6962, the same tree as the audit log's) whose leaves are the
//! tensors. So the few hundred bytes of the head are what is signed, and one tensor can be proven to belong to a
//! version without the others.
//!
//! Chunks of a part that is cut along the first axis lie on the grid of the whole tensor, not of the part: after
//! a change of the number of ranks nearly every chunk is still the chunk it was, and is copied, not sent.

mod build;
mod bytes;
mod guard;
mod sign;
#[cfg(test)]
mod tests;
mod view;

use std::ops::Range;

use mynah_trust::merkle;

use crate::source::Part;
use crate::wire::{Writer, check_text};
use crate::{DType, Error, Hash, Result};

pub use build::{BuildOptions, Identity, build};
pub use guard::{EpochGuard, Rollback};
pub use sign::{OPENSSF_PATH, PAYLOAD_TYPE, openssf_bundle, openssf_verify};

/// Chunks of one mebibyte: large enough that a digest is 0.003% of its chunk, small enough that a bad one costs
/// little to send again.
pub const CHUNK_BYTES_DEFAULT: u32 = 1 << 20;
/// The smallest chunk; smaller ones are for tests only, and no use.
pub const CHUNK_BYTES_MIN: u32 = 64;
/// The largest chunk. A receiver holds a few of them.
pub const CHUNK_BYTES_MAX: u32 = 1 << 28;
/// A manifest file may not be larger: that is 30 million chunks.
pub const MANIFEST_BYTES_MAX: u64 = 1 << 30;

pub(crate) const NAME_BYTES_MAX: usize = 1_024;
pub(crate) const DIMENSIONS_MAX: usize = 8;

/// The head: what a version is, apart from its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The model's name; versions of different models never replace each other.
    pub model: String,
    /// BLAKE3 of the model's configuration.
    pub config: Option<Hash>,
    /// BLAKE3 of the tokenizer's file.
    pub tokenizer: Option<Hash>,
    /// Grows with every version and every rollback; what was seen once is never accepted again.
    pub epoch: u64,
    /// The version this one was made from.
    pub parent: Option<Hash>,
    /// Whether tensors that are not listed stay as the parent has them (an adapter's factors, a frozen trunk).
    pub is_partial: bool,
    /// Size of each chunk but the last of a tensor; a power of two.
    pub chunk_bytes: u32,
}

/// A tensor of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name of the whole tensor.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape of what is listed here: the part's, when it is one.
    pub shape: Vec<u64>,
    /// Which part of the whole.
    pub part: Option<Part>,
    /// Quantisation group.
    pub group: Option<String>,
    pub(crate) size_bytes: u64,
    pub(crate) first_chunk: usize,
    pub(crate) chunk_count: usize,
    pub(crate) content: Hash,
}

/// A version of the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    head: Head,
    tensors: Vec<Tensor>,
    chunks: Vec<Hash>,
    root: merkle::Hash,
    size_bytes: u64,
}

impl Tensor {
    /// Its bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Its chunks, as indices into [`Manifest::chunks`].
    pub fn chunk_range(&self) -> Range<usize> {
        self.first_chunk..self.first_chunk + self.chunk_count
    }

    /// One digest for all its bytes: BLAKE3 over the digests of its chunks. Tensors with the same digest, type and
    /// shape in manifests of the same chunk size hold the same bytes, whatever they are called.
    pub fn content(&self) -> &Hash {
        &self.content
    }

    /// Name and place in the whole: what tells entries apart, and their order.
    pub(crate) fn key(&self) -> (&str, u64) {
        (&self.name, self.part.map_or(0, |part| part.offset))
    }

    /// `name`, or `name[axis 0: 128..256 of 512]`.
    pub fn label(&self) -> String {
        match self.part {
            None => self.name.clone(),
            Some(part) => {
                let end = part.offset + self.shape.get(usize::from(part.axis)).copied().unwrap_or(0);
                format!("{}[axis {}: {}..{end} of {}]", self.name, part.axis, part.offset, part.extent)
            }
        }
    }
}

impl Manifest {
    /// The version without tensors: where a stream starts that carries a whole version, for who has nothing.
    ///
    /// # Errors
    /// `Argument` when the model's name or the chunk size is impossible.
    pub fn nothing(model: &str, chunk_bytes: u32) -> Result<Self> {
        let head = Head {
            model: model.to_string(),
            config: None,
            tokenizer: None,
            epoch: 0,
            parent: None,
            is_partial: false,
            chunk_bytes,
        };
        Self::assemble(head, Vec::new())
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The tensors in canonical order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The digests of all chunks, tensor after tensor.
    pub fn chunks(&self) -> &[Hash] {
        &self.chunks
    }

    /// Bytes of all tensors.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The Merkle root over the tensors (RFC 6962).
    pub fn root(&self) -> &merkle::Hash {
        &self.root
    }

    /// The leaves of the tree, for [`merkle::inclusion_proof`].
    pub fn leaves(&self) -> Vec<merkle::Hash> {
        self.tensors.iter().map(leaf).collect()
    }

    /// The version's name: BLAKE3 of [`Manifest::head_bytes`].
    pub fn digest(&self) -> Hash {
        Hash::of(&self.head_bytes())
    }

    /// The index of a tensor.
    pub fn find(&self, name: &str, part: Option<Part>) -> Option<usize> {
        let key = (name, part.map_or(0, |part| part.offset));
        self.tensors.binary_search_by(|tensor| tensor.key().cmp(&key)).ok()
    }

    /// The bytes of a tensor that its chunk number `chunk` (from 0) covers.
    ///
    /// # Panics
    /// When the tensor has no such chunk.
    pub fn chunk_bytes_range(&self, tensor: &Tensor, chunk: usize) -> Range<u64> {
        assert!(chunk < tensor.chunk_count, "{}: chunk {chunk} of {}", tensor.name, tensor.chunk_count);
        let grid = Grid::of(tensor, self.head.chunk_bytes);
        grid.range(chunk as u64)
    }

    /// Checks the bytes of a chunk against its digest.
    ///
    /// # Errors
    /// `Mismatch` when they are other bytes.
    ///
    /// # Panics
    /// When there is no such tensor or chunk.
    pub fn check_chunk(&self, tensor: usize, chunk: usize, bytes: &[u8]) -> Result<()> {
        let tensor = &self.tensors[tensor];
        let range = self.chunk_bytes_range(tensor, chunk);
        if range.end - range.start != bytes.len() as u64 {
            return Err(Error::mismatch(format!(
                "chunk {chunk} of {} has {} bytes; {} came",
                tensor.label(),
                range.end - range.start,
                bytes.len()
            )));
        }
        let (wanted, found) = (self.chunks[tensor.first_chunk + chunk], Hash::of(bytes));
        if wanted != found {
            return Err(Error::mismatch(format!(
                "chunk {chunk} of {} is {}, the manifest says {}; it was damaged on the way or is of another version",
                tensor.label(),
                found.short(),
                wanted.short()
            )));
        }
        Ok(())
    }

    /// The whole version that a partial one makes of its parent; a whole one as it is. A partial manifest only
    /// describes a change: what is planned, sent, signed and served is the whole version and its digest.
    ///
    /// # Errors
    /// `Mismatch` when `parent` is not its parent, is partial itself, or has other chunk sizes.
    pub fn onto(&self, parent: &Manifest) -> Result<Manifest> {
        if !self.head.is_partial {
            return Ok(self.clone());
        }
        let named = self.head.parent;
        if named != Some(parent.digest()) || parent.head.is_partial {
            return Err(Error::mismatch(format!(
                "a partial version of {}: its parent is {}, not the whole version {}",
                self.head.model,
                named.map_or("nothing".to_string(), |parent| parent.short()),
                parent.digest().short()
            )));
        }
        if parent.head.chunk_bytes != self.head.chunk_bytes {
            return Err(Error::mismatch("a partial version and its parent have chunks of different sizes"));
        }
        let mut entries: Vec<(Tensor, Vec<Hash>)> = self.entries().collect();
        let kept = parent.entries().filter(|(tensor, _)| self.find(&tensor.name, tensor.part).is_none());
        entries.extend(kept);
        let head = Head { is_partial: false, ..self.head.clone() };
        Self::assemble(head, entries)
    }

    fn entries(&self) -> impl Iterator<Item = (Tensor, Vec<Hash>)> + '_ {
        self.tensors.iter().map(|tensor| (tensor.clone(), self.chunks[tensor.chunk_range()].to_vec()))
    }

    /// Sorts, checks and seals. Whatever order the entries come in, the result is the same.
    pub(crate) fn assemble(head: Head, mut entries: Vec<(Tensor, Vec<Hash>)>) -> Result<Self> {
        check_head(&head)?;
        entries.sort_by(|a, b| a.0.key().cmp(&b.0.key()));
        let mut tensors = Vec::with_capacity(entries.len());
        let mut chunks = Vec::new();
        for (mut tensor, digests) in entries {
            measure(&mut tensor, head.chunk_bytes, chunks.len())?;
            if tensor.chunk_count != digests.len() {
                return Err(Error::argument(format!(
                    "{}: {} chunks are needed, {} came",
                    tensor.label(),
                    tensor.chunk_count,
                    digests.len()
                )));
            }
            tensor.content = content_of(&digests);
            chunks.extend(digests);
            tensors.push(tensor);
        }
        Self::seal(head, tensors, chunks)
    }

    /// The checks that need all tensors, and the root. `tensors` are measured already.
    fn seal(head: Head, tensors: Vec<Tensor>, chunks: Vec<Hash>) -> Result<Self> {
        check_neighbours(&tensors)?;
        let mut tree = merkle::Tree::new();
        let mut size_bytes = 0u64;
        for tensor in &tensors {
            tree.append(leaf(tensor));
            size_bytes = size_bytes
                .checked_add(tensor.size_bytes)
                .ok_or_else(|| Error::format("the tensors have more bytes than can be counted"))?;
        }
        Ok(Self { head, tensors, chunks, root: tree.root(), size_bytes })
    }
}

/// The chunks of one tensor.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    chunk_bytes: u64,
    /// Bytes of the first cell of the grid that lie before this part.
    phase: u64,
    size_bytes: u64,
}

impl Grid {
    pub(crate) fn of(tensor: &Tensor, chunk_bytes: u32) -> Self {
        // A unit (an element, a block with its scales) is never cut.
        let unit = tensor.dtype.unit_bytes() as u64;
        let chunk_bytes = (u64::from(chunk_bytes) / unit).max(1) * unit;
        let phase = match tensor.part {
            Some(part) if part.axis == 0 => {
                let rows = tensor.shape.first().copied().unwrap_or(1).max(1);
                let row_bytes = tensor.size_bytes / rows;
                u64::try_from(u128::from(part.offset) * u128::from(row_bytes) % u128::from(chunk_bytes))
                    .unwrap_or(0)
            }
            _ => 0,
        };
        Self { chunk_bytes, phase, size_bytes: tensor.size_bytes }
    }

    pub(crate) fn count(&self) -> u64 {
        if self.size_bytes == 0 {
            0
        } else {
            self.phase.saturating_add(self.size_bytes).div_ceil(self.chunk_bytes)
        }
    }

    pub(crate) fn range(&self, chunk: u64) -> Range<u64> {
        let start = (chunk * self.chunk_bytes).saturating_sub(self.phase);
        let end = (chunk + 1).saturating_mul(self.chunk_bytes) - self.phase;
        start..end.min(self.size_bytes)
    }
}

/// Fills in what follows from the type and the shape.
pub(crate) fn measure(tensor: &mut Tensor, chunk_bytes: u32, first_chunk: usize) -> Result<()> {
    if tensor.name.is_empty() || tensor.name.len() > NAME_BYTES_MAX {
        let message = format!("a tensor's name has {} bytes, not 1 to {NAME_BYTES_MAX}", tensor.name.len());
        return Err(Error::format(message));
    }
    let fail = |problem: &str| Err(Error::format(format!("tensor {:?} {problem}", tensor.name)));
    if tensor.group.as_ref().is_some_and(|group| group.is_empty() || group.len() > NAME_BYTES_MAX) {
        return fail("has a group whose name is empty or longer than 1024 bytes");
    }
    for text in [Some(&tensor.name), tensor.group.as_ref()].into_iter().flatten() {
        if let Err(problem) = check_text(text) {
            return fail(&format!("or its group has a name with {problem}"));
        }
    }
    if tensor.shape.len() > DIMENSIONS_MAX {
        return fail("has more than 8 dimensions");
    }
    let Some(size_bytes) = tensor.dtype.size_bytes(&tensor.shape) else {
        return fail(&format!("of type {} cannot have the shape {:?}", tensor.dtype, tensor.shape));
    };
    if let Some(part) = tensor.part {
        let held = tensor.shape.get(usize::from(part.axis)).copied();
        let end = held.and_then(|held| part.offset.checked_add(held));
        if held == Some(0) || end.is_none_or(|end| end > part.extent) {
            return fail("is no part of the whole it names");
        }
    }
    tensor.size_bytes = size_bytes;
    tensor.first_chunk = first_chunk;
    let count = Grid::of(tensor, chunk_bytes).count();
    let Ok(count) = usize::try_from(count) else { return fail("has more chunks than can be counted") };
    tensor.chunk_count = count;
    Ok(())
}

pub(crate) fn content_of(digests: &[Hash]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    digests.iter().for_each(|digest| {
        hasher.update(&digest.0);
    });
    Hash(*hasher.finalize().as_bytes())
}

fn check_head(head: &Head) -> Result<()> {
    if head.model.is_empty() || head.model.len() > NAME_BYTES_MAX {
        return Err(Error::argument("a version needs the name of its model, of 1 to 1024 bytes"));
    }
    check_text(&head.model).map_err(|problem| Error::argument(format!("the model's name has {problem}")))?;
    if !head.chunk_bytes.is_power_of_two() || !(CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&head.chunk_bytes)
    {
        return Err(Error::argument(format!(
            "chunks of {} bytes; a power of two from {CHUNK_BYTES_MIN} to {CHUNK_BYTES_MAX} is wanted",
            head.chunk_bytes
        )));
    }
    if head.is_partial && head.parent.is_none() {
        return Err(Error::argument("a partial version needs a parent"));
    }
    Ok(())
}

/// No entry twice; parts of one tensor agree on the whole and do not overlap.
fn check_neighbours(tensors: &[Tensor]) -> Result<()> {
    for pair in tensors.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        if a.name != b.name {
            continue;
        }
        let fail = |problem: &str| Err(Error::format(format!("tensor {:?} {problem}", a.name)));
        let (Some(first), Some(second)) = (a.part, b.part) else { return fail("is there twice") };
        let axis = usize::from(first.axis);
        let others = |t: &Tensor| {
            t.shape.iter().enumerate().filter(|&(i, _)| i != axis).map(|(_, &n)| n).product::<u64>()
        };
        if (first.axis, first.extent) != (second.axis, second.extent)
            || a.dtype != b.dtype
            || a.shape.len() != b.shape.len()
            || others(a) != others(b)
        {
            return fail("has parts of different wholes");
        }
        // `measure` has checked that this does not overflow.
        if first.offset + a.shape[axis] > second.offset {
            return fail("has parts that overlap");
        }
    }
    Ok(())
}

/// The leaf of a tensor: everything about it but the list of its chunks, which `content` stands for.
fn leaf(tensor: &Tensor) -> merkle::Hash {
    let mut writer = Writer::default();
    bytes::write_tensor(&mut writer, tensor);
    writer.hash(&tensor.content);
    merkle::leaf_hash(&writer.0)
}
