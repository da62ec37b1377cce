//! A manifest for people and programs. The canonical bytes are what counts; this is a view of them.

use std::fmt::Write;

use mynah_base::units;
use serde_json::{Value, json};

use super::{Manifest, Tensor};

impl Manifest {
    /// The view as JSON; with `with_chunks` also the digests of all chunks.
    pub fn to_json(&self, with_chunks: bool) -> Value {
        let head = &self.head;
        let tensor = |tensor: &Tensor| {
            let mut value = json!({
                "name": tensor.name,
                "dtype": tensor.dtype.name(),
                "shape": tensor.shape,
                "size_bytes": tensor.size_bytes,
                "chunks": tensor.chunk_count,
                "content": tensor.content.to_string(),
            });
            if let Some(part) = tensor.part {
                value["part"] = json!({ "axis": part.axis, "offset": part.offset, "extent": part.extent });
            }
            if let Some(group) = &tensor.group {
                value["group"] = json!(group);
            }
            if with_chunks {
                let digests = self.chunks[tensor.chunk_range()].iter().map(ToString::to_string);
                value["chunk_digests"] = digests.collect::<Vec<_>>().into();
            }
            value
        };
        json!({
            "version": self.digest().to_string(),
            "model": head.model,
            "config": head.config.map(|hash| hash.to_string()),
            "tokenizer": head.tokenizer.map(|hash| hash.to_string()),
            "epoch": head.epoch,
            "parent": head.parent.map(|hash| hash.to_string()),
            "partial": head.is_partial,
            "chunk_bytes": head.chunk_bytes,
            "size_bytes": self.size_bytes,
            "root": mynah_trust::Digest::new(mynah_trust::Algorithm::Sha256, self.root).to_string(),
            "tensors": self.tensors.iter().map(tensor).collect::<Vec<_>>(),
        })
    }

    /// The view as text: the head, and one line a tensor.
    pub fn to_text(&self) -> String {
        let head = &self.head;
        let mut text = String::new();
        let name = |hash: &Option<crate::Hash>| hash.map_or("-".to_string(), |hash| hash.short());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "version    {}", self.digest());
        let _ =
            writeln!(text, "model      {}{}", head.model, if head.is_partial { " (partial)" } else { "" });
        let _ = writeln!(text, "epoch      {}, parent {}", head.epoch, name(&head.parent));
        let _ = writeln!(text, "config     {}, tokenizer {}", name(&head.config), name(&head.tokenizer));
        let _ = writeln!(
            text,
            "contents   {} tensors, {}, {} chunks of {}",
            self.tensors.len(),
            units::bytes(self.size_bytes),
            self.chunks.len(),
            units::bytes(u64::from(head.chunk_bytes))
        );
        for tensor in &self.tensors {
            let group = tensor.group.as_ref().map_or(String::new(), |group| format!("  group {group}"));
            let _ = writeln!(
                text,
                "{}  {:8} {:?} {}{group}  {}",
                tensor.content.short(),
                tensor.dtype.name(),
                tensor.shape,
                units::bytes(tensor.size_bytes),
                tensor.label()
            );
        }
        text
    }
}
