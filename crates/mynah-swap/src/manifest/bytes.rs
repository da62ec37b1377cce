//! The canonical bytes of a manifest.
//!
//! ```text
//! file  = head size (u32), head, tensors, chunk digests
//! head  = "MYNAHWM1", model, config?, tokenizer?, epoch, parent?, partial, chunk bytes,
//!         count of tensors, size in bytes, root
//! ```

use std::path::Path;

use super::{
    DIMENSIONS_MAX, Head, MANIFEST_BYTES_MAX, Manifest, NAME_BYTES_MAX, Tensor, content_of, measure,
};
use crate::source::Part;
use crate::wire::{Reader, Writer};
use crate::{DType, Error, Hash, Result};

const MAGIC: &[u8; 8] = b"MYNAHWM1";
const WHAT: &str = "the manifest";
/// Name, type, count of dimensions, part and group of the smallest tensor.
const TENSOR_BYTES_MIN: usize = 6;

impl Manifest {
    /// The head as it is signed; its BLAKE3 is the version's name.
    pub fn head_bytes(&self) -> Vec<u8> {
        let head = &self.head;
        let mut writer = Writer(MAGIC.to_vec());
        writer.text(&head.model);
        writer.option(head.config.as_ref(), Writer::hash);
        writer.option(head.tokenizer.as_ref(), Writer::hash);
        writer.u64(head.epoch);
        writer.option(head.parent.as_ref(), Writer::hash);
        writer.u8(u8::from(head.is_partial));
        writer.u32(head.chunk_bytes);
        writer.u32(self.tensors.len() as u32);
        writer.u64(self.size_bytes);
        writer.0.extend(self.root);
        writer.0
    }

    /// The canonical bytes of the whole manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = self.head_bytes();
        let mut writer = Writer::default();
        writer.0.reserve(head.len() + self.tensors.len() * 64 + self.chunks.len() * 32);
        writer.blob(&head);
        for tensor in &self.tensors {
            write_tensor(&mut writer, tensor);
        }
        for chunk in &self.chunks {
            writer.hash(chunk);
        }
        writer.0
    }

    /// Reads canonical bytes. Only the one form that [`Manifest::to_bytes`] writes is taken.
    ///
    /// # Errors
    /// `Format` when the bytes are malformed, cut short, out of order, or do not make the root in the head.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(Error::format(format!(
                "{WHAT} has {} bytes; {MANIFEST_BYTES_MAX} at most",
                bytes.len()
            )));
        }
        let mut reader = Reader::new(bytes, WHAT);
        let head_bytes = reader.blob(bytes.len(), "the head")?;
        let mut head_reader = Reader::new(head_bytes, "the manifest's head");
        if head_reader.bytes(8, "the magic")? != MAGIC {
            return Err(Error::format("not a weight manifest: it does not begin with MYNAHWM1"));
        }
        let head = Head {
            model: head_reader.text(NAME_BYTES_MAX, "the model's name")?,
            config: head_reader.option("the configuration", Reader::hash)?,
            tokenizer: head_reader.option("the tokenizer", Reader::hash)?,
            epoch: head_reader.u64("the epoch")?,
            parent: head_reader.option("the parent", Reader::hash)?,
            is_partial: head_reader.flag("whether it is partial")?,
            chunk_bytes: head_reader.u32("the chunk size")?,
        };
        let tensor_count = head_reader.u32("the count of tensors")? as usize;
        head_reader.u64("the size")?;
        head_reader.hash("the root")?;
        head_reader.end()?;
        super::check_head(&head).map_err(|e| Error::format(e.to_string()))?;
        if tensor_count.checked_mul(TENSOR_BYTES_MIN).is_none_or(|needed| needed > reader.left()) {
            return Err(reader.malformed(format!("is cut short: it announces {tensor_count} tensors")));
        }
        let mut tensors: Vec<Tensor> = Vec::with_capacity(tensor_count);
        let mut chunk_count = 0usize;
        for _ in 0..tensor_count {
            let mut tensor = read_tensor(&mut reader)?;
            measure(&mut tensor, head.chunk_bytes, chunk_count)?;
            if tensors.last().is_some_and(|last| last.key() >= tensor.key()) {
                return Err(reader.malformed(format!("lists {} out of order or twice", tensor.label())));
            }
            chunk_count = chunk_count.saturating_add(tensor.chunk_count);
            tensors.push(tensor);
        }
        if chunk_count.checked_mul(32) != Some(reader.left()) {
            return Err(reader.malformed(format!(
                "needs {chunk_count} chunk digests and has {} bytes for them",
                reader.left()
            )));
        }
        let digests = reader.bytes(chunk_count * 32, "the chunk digests")?;
        let (digests, _) = digests.as_chunks::<32>();
        let chunks: Vec<Hash> = digests.iter().map(|digest| Hash(*digest)).collect();
        for tensor in &mut tensors {
            tensor.content = content_of(&chunks[tensor.chunk_range()]);
        }
        let manifest = Self::seal(head, tensors, chunks)?;
        // Count, size and root at once, and that no other bytes make the same manifest.
        if manifest.head_bytes() != head_bytes {
            return Err(Error::format(
                "the manifest's tensors do not make the size and the root in its head",
            ));
        }
        Ok(manifest)
    }

    /// Writes the canonical bytes to a file, whole or not at all.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(&self, path: &Path) -> Result<()> {
        use std::io::Write;
        mynah_base::write_atomic(path, |file| file.write_all(&self.to_bytes()))
            .map_err(|e| Error::io("write the manifest", path, &e))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// `Io`; as [`Manifest::parse`].
    pub fn load(path: &Path) -> Result<Self> {
        use std::io::Read;
        let file = std::fs::File::open(path).map_err(|e| Error::io("open the manifest", path, &e))?;
        let mut bytes = Vec::new();
        file.take(MANIFEST_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io("read the manifest", path, &e))?;
        Self::parse(&bytes).map_err(|e| e.in_file(path))
    }
}

pub(super) fn write_tensor(writer: &mut Writer, tensor: &Tensor) {
    writer.text(&tensor.name);
    writer.u8(tensor.dtype.code());
    writer.u8(tensor.shape.len() as u8);
    tensor.shape.iter().for_each(|&extent| writer.u64(extent));
    writer.option(tensor.part, |writer, part| {
        writer.u8(part.axis);
        writer.u64(part.offset);
        writer.u64(part.extent);
    });
    writer.option(tensor.group.as_deref(), Writer::text);
}

fn read_tensor(reader: &mut Reader) -> Result<Tensor> {
    let name = reader.text(NAME_BYTES_MAX, "a tensor's name")?;
    let code = reader.u8("a tensor's type")?;
    let dtype = DType::from_code(code).ok_or_else(|| {
        reader.malformed(format!("gives {name:?} the type number {code}, which is unknown"))
    })?;
    let dimensions = usize::from(reader.u8("a tensor's dimensions")?);
    if dimensions > DIMENSIONS_MAX {
        return Err(reader.malformed(format!("gives {name:?} {dimensions} dimensions; 8 at most")));
    }
    let shape = (0..dimensions).map(|_| reader.u64("an extent")).collect::<Result<_>>()?;
    let part = reader.option("a part", |reader, field| {
        Ok(Part { axis: reader.u8(field)?, offset: reader.u64(field)?, extent: reader.u64(field)? })
    })?;
    let group = reader.option("a group", |reader, field| reader.text(NAME_BYTES_MAX, field))?;
    let (size_bytes, first_chunk, chunk_count, content) = (0, 0, 0, Hash::default());
    Ok(Tensor { name, dtype, shape, part, group, size_bytes, first_chunk, chunk_count, content })
}
