//! Writes the built-in corpus to a folder, in the formats that the loaders read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use mynah_base::write_atomic;

use super::Builtin;
use crate::error::{Error, Result};
use crate::split::Split;
use crate::tasks::Task;

/// How much to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MakeSize {
    /// Bytes of training text.
    pub text_bytes: u64,
    /// Training conversations.
    pub conversations: u64,
    /// Documents and conversations of the validation part, and questions of each task.
    pub held_out: u64,
}

impl Default for MakeSize {
    /// 20 MB of text, some 7 million tokens: twice what the ten-minute run reads, so nothing is read twice.
    fn default() -> Self {
        MakeSize { text_bytes: 20_000_000, conversations: 30_000, held_out: 500 }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Files, in the order written, with their size.
    pub files: Vec<(PathBuf, u64)>,
    /// Training documents.
    pub documents: u64,
    /// Training conversations.
    pub conversations: u64,
}

/// Bytes of text in a shard file.
const SHARD_BYTES: u64 = 5_000_000;

/// Writes `DIR/text/train-NNNN.jsonl`, `DIR/heldout/text.jsonl`, `DIR/chat/train.jsonl`, `DIR/heldout/chat.jsonl` and, for
/// every task, `DIR/heldout/TASK.jsonl` with its held-out questions (`{"messages":[…],"expected":"…"}`). Same
/// seed and size: same bytes. Each file is whole or absent.
///
/// # Errors
/// When a folder or file cannot be written; the message names it.
pub fn make(dir: &Path, seed: u64, size: MakeSize) -> Result<Made> {
    let builtin = Builtin::new(seed);
    let mut made = Made { files: Vec::new(), documents: 0, conversations: size.conversations };
    for folder in ["text", "chat", "heldout"] {
        let path = dir.join(folder);
        fs::create_dir_all(&path).map_err(|e| Error::io("cannot make the folder", &path, &e))?;
    }
    let mut left_bytes = size.text_bytes;
    let mut shard = 0;
    while left_bytes > 0 {
        let path = dir.join(format!("text/train-{shard:04}.jsonl"));
        let mut shard_bytes = 0;
        let documents = &mut made.documents;
        let lines = std::iter::from_fn(|| {
            (shard_bytes < SHARD_BYTES.min(left_bytes)).then(|| {
                let text = builtin.document(Split::Train, *documents);
                *documents += 1;
                shard_bytes += text.len() as u64;
                text_line(&text)
            })
        });
        let written = write_lines(&path, lines)?;
        made.files.push((path, written));
        left_bytes = left_bytes.saturating_sub(shard_bytes);
        shard += 1;
    }
    let held_out = (0..size.held_out).map(|index| text_line(&builtin.document(Split::Validation, index)));
    let chat = |split| move |index| to_line(&Builtin::new(seed).conversation(split, index));
    let mut add = |name: &str, lines: &mut dyn Iterator<Item = String>| -> Result<()> {
        let path = dir.join(name);
        let written = write_lines(&path, lines)?;
        made.files.push((path, written));
        Ok(())
    };
    add("heldout/text.jsonl", &mut held_out.into_iter())?;
    add("chat/train.jsonl", &mut (0..size.conversations).map(chat(Split::Train)))?;
    add("heldout/chat.jsonl", &mut (0..size.held_out).map(chat(Split::Validation)))?;
    for task in Task::ALL {
        let questions = task.questions(Split::Validation, size.held_out as usize, seed);
        let lines = questions.iter().map(|question| {
            let messages = &question.conversation.messages;
            to_line(&serde_json::json!({ "messages": messages, "expected": question.expected }))
        });
        add(&format!("heldout/{}.jsonl", task.name()), &mut lines.into_iter())?;
    }
    Ok(made)
}

fn text_line(text: &str) -> String {
    to_line(&serde_json::json!({ "text": text }))
}

fn to_line(value: &impl serde::Serialize) -> String {
    // Our own types of strings: they always become JSON.
    serde_json::to_string(value).unwrap_or_default()
}

fn write_lines(path: &Path, lines: impl Iterator<Item = String>) -> Result<u64> {
    let mut written = 0;
    write_atomic(path, |writer| {
        for line in lines {
            writer.write_all(line.as_bytes())?;
            writer.write_all(b"\n")?;
            written += line.len() as u64 + 1;
        }
        Ok(())
    })
    .map_err(|e| Error::io("cannot write", path, &e))?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_bytes() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let size = MakeSize { text_bytes: 300_000, conversations: 50, held_out: 20 };
        let made = make(one.path(), 7, size).unwrap();
        make(two.path(), 7, size).unwrap();
        assert!(made.documents > 100 && made.files.len() == 1 + 3 + Task::ALL.len());
        for (path, size_bytes) in &made.files {
            let name = path.strip_prefix(one.path()).unwrap();
            let bytes = fs::read(path).unwrap();
            assert_eq!(bytes.len() as u64, *size_bytes);
            assert!(!bytes.is_empty() && bytes == fs::read(two.path().join(name)).unwrap(), "{name:?}");
        }
        let other = tempfile::tempdir().unwrap();
        make(other.path(), 8, size).unwrap();
        let shard = "text/train-0000.jsonl";
        assert_ne!(fs::read(one.path().join(shard)).unwrap(), fs::read(other.path().join(shard)).unwrap());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = make(&file, 1, MakeSize::default()).unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
    }
}
