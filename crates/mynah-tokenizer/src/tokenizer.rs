//! The tokenizer itself: encode, decode, and what others ask about it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::{Cache, IDS_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::merge::{self, Scratch};
use crate::pattern::Pattern;
use crate::special::Special;
use crate::vocabulary::{Merge, Tokens, Vocabulary, WholeChunks};
use crate::{format, threads};

/// Texts above this size are cut at safe places and encoded by several threads.
const PIECE_BYTES: usize = 1 << 20;
/// Caches kept for the next call; more threads than this make new ones.
const WORKERS_KEPT: usize = 64;

/// A byte-level BPE tokenizer. Cheap to clone; all clones share the vocabulary and the caches.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    vocabulary: Vocabulary,
    pattern: Pattern,
    special_ids: [u32; Special::ALL.len()],
    workers: Mutex<Vec<Worker>>,
}

/// What a thread needs to encode.
struct Worker {
    cache: Cache,
    scratch: Scratch,
}

impl Tokenizer {
    /// Builds a tokenizer; those of the nine special tokens that `tokens` lacks are appended.
    pub(crate) fn from_parts(
        mut tokens: Tokens,
        merges: Vec<Merge>,
        whole: WholeChunks,
        pattern: Pattern,
    ) -> Result<Self> {
        let mut special_ids = [0; Special::ALL.len()];
        for (special, slot) in Special::ALL.into_iter().zip(&mut special_ids) {
            let name = special.name().as_bytes();
            let known =
                tokens.tokens.iter().zip(&tokens.special).position(|(token, &is)| is && token == name);
            *slot = known.unwrap_or(tokens.tokens.len()) as u32;
            if known.is_none() {
                tokens.tokens.push(name.to_vec());
                tokens.special.push(true);
            }
        }
        let vocabulary = Vocabulary::new(tokens, merges, whole)?;
        let workers = Mutex::new(Vec::new());
        Ok(Self { inner: Arc::new(Inner { vocabulary, pattern, special_ids, workers }) })
    }

    /// The encoder of a foreign model: merges in the order of their ranks, and none of the nine special
    /// tokens, so [`Self::special`] must not be asked.
    pub(crate) fn foreign(
        tokens: Tokens,
        merges: Vec<Merge>,
        whole: WholeChunks,
        pattern: Pattern,
    ) -> Result<Self> {
        let vocabulary = Vocabulary::ranked(tokens, merges, whole)?;
        let special_ids = [u32::MAX; Special::ALL.len()];
        let workers = Mutex::new(Vec::new());
        Ok(Self { inner: Arc::new(Inner { vocabulary, pattern, special_ids, workers }) })
    }

    /// Appends the ids of each chunk of `text` that `cuts` leave, in their order, before the split pattern.
    pub(crate) fn encode_cut(&self, cuts: &[Pattern], text: &str, ids: &mut Vec<u32>) {
        self.with_worker(|worker| self.encode_cut_into(cuts, text, worker, ids));
    }

    fn encode_cut_into(&self, cuts: &[Pattern], text: &str, worker: &mut Worker, ids: &mut Vec<u32>) {
        match cuts {
            [] => self.encode_into(text, worker, ids),
            [cut, rest @ ..] => cut.for_each_chunk(text, |start, end| {
                self.encode_cut_into(rest, &text[start..end], worker, ids);
            }),
        }
    }

    /// Reads `tokenizer.json` in a folder: one of ours, or another byte-level BPE in Hugging Face's
    /// format whose parts are supported.
    ///
    /// The nine special tokens get the ids after the last one if the file lacks them.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::Format`], [`ErrorKind::Unsupported`] or [`ErrorKind::Pattern`].
    pub fn load(dir: &Path) -> Result<Self> {
        format::load_hugging_face(&dir.join(format::HUGGING_FACE_FILE))
    }

    /// Reads a ranks file as `tiktoken` uses it (base64 token, space, rank, a line each). The file does
    /// not say how text is split, so the caller does. The nine special tokens follow the ranks.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn load_tiktoken(path: &Path, pattern: Pattern) -> Result<Self> {
        format::load_tiktoken(path, pattern)
    }

    /// Writes `tokenizer.json` and `tokenizer.tiktoken` into a folder, which is made if need be.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when a file cannot be written; files of that name are then as before.
    pub fn save(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|error| Error::io("make this folder", dir, &error))?;
        format::save_tiktoken(self, &dir.join(format::TIKTOKEN_FILE))?;
        format::save_hugging_face(self, &dir.join(format::HUGGING_FACE_FILE))
    }

    /// The text of `tokenizer.json`, as [`Tokenizer::save`] writes it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Memory takes everything.
        let _ = format::write_hugging_face(self, &mut text);
        text
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.inner.vocabulary
    }

    /// The split pattern.
    pub fn pattern(&self) -> &Pattern {
        &self.inner.pattern
    }

    /// Number of ids, special tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.vocabulary.len()
    }

    /// The id of a special token.
    pub fn special(&self, special: Special) -> u32 {
        self.inner.special_ids[special as usize]
    }

    /// Whether an id is that of a special token, be it one of the nine or another from a loaded file.
    pub fn is_special(&self, id: u32) -> bool {
        (id as usize) < self.vocab_size() && self.inner.vocabulary.is_special(id)
    }

    /// The bytes of a token (the name of a special one), or `None` outside the vocabulary.
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        ((id as usize) < self.vocab_size()).then(|| self.inner.vocabulary.token(id))
    }

    /// The length of every token in bytes, by id; 0 for special tokens. For bits per byte.
    pub fn token_bytes(&self) -> Vec<u32> {
        let vocabulary = &self.inner.vocabulary;
        let length = |id| if vocabulary.is_special(id) { 0 } else { vocabulary.token(id).len() as u32 };
        (0..vocabulary.len() as u32).map(length).collect()
    }

    /// BLAKE3 over the split pattern, all tokens and all merges, in hexadecimal: equal digests mean
    /// equal ids for every text.
    pub fn digest(&self) -> String {
        let vocabulary = &self.inner.vocabulary;
        let mut hasher = blake3::Hasher::new();
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(b"mynah tokenizer 1");
        field(self.inner.pattern.source().as_bytes());
        field(&[u8::from(vocabulary.whole_chunks() == WholeChunks::Always)]);
        for id in 0..vocabulary.len() as u32 {
            field(&[u8::from(vocabulary.is_special(id))]);
            field(vocabulary.token(id));
        }
        for merge in vocabulary.merges() {
            field(&[merge.left.to_le_bytes(), merge.right.to_le_bytes(), merge.into.to_le_bytes()].concat());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The ids of a text. Special tokens never come out of it: their names are text like any other.
    pub fn encode_ordinary(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        self.with_worker(|worker| self.encode_into(text, worker, &mut ids));
        ids
    }

    /// The ids of text that we wrote ourselves, in which the names of special tokens mean these tokens.
    /// Never for text from users, who could then end their turn and begin another's.
    pub fn encode_with_special(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        self.with_worker(|worker| {
            let mut rest = text;
            while let Some((start, special)) = first_special(rest) {
                self.encode_into(&rest[..start], worker, &mut ids);
                ids.push(self.special(special));
                rest = &rest[start + special.name().len()..];
            }
            self.encode_into(rest, worker, &mut ids);
        });
        ids
    }

    /// The ids of any bytes. Runs of valid UTF-8 are split and encoded as text; each invalid sequence
    /// between them is a chunk of its own, so that [`Tokenizer::decode`] gives the same bytes back.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let mut ids = Vec::with_capacity(bytes.len() / 3 + 1);
        self.with_worker(|worker| {
            for run in bytes.utf8_chunks() {
                self.encode_into(run.valid(), worker, &mut ids);
                merge::encode(&self.inner.vocabulary, run.invalid(), &mut worker.scratch, &mut ids);
            }
        });
        ids
    }

    /// The ids of each text, on as many threads as the machine offers (or `MYNAH_THREADS`).
    pub fn encode_batch(&self, texts: &[impl AsRef<str> + Sync]) -> Vec<Vec<u32>> {
        self.encode_batch_on(threads::resolve(None), texts)
    }

    /// The ids of each text, on up to that many threads. The ids do not depend on the number.
    pub fn encode_batch_on(&self, threads: usize, texts: &[impl AsRef<str> + Sync]) -> Vec<Vec<u32>> {
        let one = |worker: &mut Option<Worker>, item: usize| {
            let text = texts[item].as_ref();
            let mut ids = Vec::with_capacity(text.len() / 3 + 1);
            let worker = worker.get_or_insert_with(|| self.take_worker());
            self.encode_into(text, worker, &mut ids);
            ids
        };
        let is_large = |text: &str| text.len() > 2 * PIECE_BYTES;
        if threads <= 1 || !texts.iter().any(|text| is_large(text.as_ref())) {
            return self.encode_items(threads, texts.len(), one);
        }
        // One huge document must not keep one thread busy while the others are done.
        let mut pieces: Vec<(usize, &str)> = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let mut rest = text.as_ref();
            while rest.len() > PIECE_BYTES {
                let (piece, after) = rest.split_at(self.inner.pattern.safe_cut(rest, PIECE_BYTES));
                pieces.push((index, piece));
                rest = after;
            }
            pieces.push((index, rest));
        }
        let encoded = self.encode_items(threads, pieces.len(), |worker, item| {
            let mut ids = Vec::with_capacity(pieces[item].1.len() / 3 + 1);
            let worker = worker.get_or_insert_with(|| self.take_worker());
            self.encode_into(pieces[item].1, worker, &mut ids);
            ids
        });
        let mut results = vec![Vec::new(); texts.len()];
        for ((index, _), ids) in pieces.iter().zip(encoded) {
            if results[*index].is_empty() {
                results[*index] = ids;
            } else {
                results[*index].extend_from_slice(&ids);
            }
        }
        results
    }

    fn encode_items(
        &self,
        threads: usize,
        items: usize,
        encode: impl Fn(&mut Option<Worker>, usize) -> Vec<u32> + Sync,
    ) -> Vec<Vec<u32>> {
        let (results, workers) = threads::map(threads, items, || None, encode);
        workers.into_iter().flatten().for_each(|worker| self.keep_worker(worker));
        results
    }

    fn take_worker(&self) -> Worker {
        let kept = self.inner.workers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Worker { cache: Cache::new(), scratch: Scratch::default() })
    }

    fn keep_worker(&self, worker: Worker) {
        let mut kept = self.inner.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < WORKERS_KEPT {
            kept.push(worker);
        }
    }

    fn with_worker(&self, work: impl FnOnce(&mut Worker)) {
        let mut worker = self.take_worker();
        work(&mut worker);
        self.keep_worker(worker);
    }

    fn encode_into(&self, text: &str, worker: &mut Worker, ids: &mut Vec<u32>) {
        let Inner { vocabulary, pattern, .. } = &*self.inner;
        let Worker { cache, scratch } = worker;
        let bytes = text.as_bytes();
        pattern.for_each_chunk(text, |start, end| {
            let key = Cache::key(bytes, start, end);
            if let Some(entry) = key.and_then(|key| cache.get(key)) {
                if entry.count == 1 {
                    ids.push(entry.ids[0]);
                } else {
                    ids.extend_from_slice(&entry.ids[..(entry.count as usize).min(IDS_MAX)]);
                }
                return;
            }
            encode_missing(vocabulary, &bytes[start..end], key, cache, scratch, ids);
        });
    }

    /// The bytes of the ids, joined; special tokens as their names. An id outside the vocabulary, which
    /// no encoding gives, becomes U+FFFD; use [`Tokenizer::try_decode`] to have it refused.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            bytes.extend_from_slice(self.token(id).unwrap_or("\u{fffd}".as_bytes()));
        }
        bytes
    }

    /// As [`Tokenizer::decode`], but refuses ids outside the vocabulary.
    ///
    /// # Errors
    /// [`ErrorKind::Id`] with the first such id.
    pub fn try_decode(&self, ids: &[u32]) -> Result<Vec<u8>> {
        match ids.iter().position(|&id| self.token(id).is_none()) {
            None => Ok(self.decode(ids)),
            Some(at) => Err(Error::new(
                ErrorKind::Id,
                format!(
                    "id {} at position {at} is outside the vocabulary of {} tokens",
                    ids[at],
                    self.vocab_size()
                ),
            )),
        }
    }

    /// The text of the ids; what is not valid UTF-8 becomes U+FFFD.
    pub fn decode_string(&self, ids: &[u32]) -> String {
        match String::from_utf8(self.decode(ids)) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }
}

#[cold]
#[inline(never)]
fn encode_missing(
    vocabulary: &Vocabulary,
    chunk: &[u8],
    key: Option<u128>,
    cache: &mut Cache,
    scratch: &mut Scratch,
    ids: &mut Vec<u32>,
) {
    let from = ids.len();
    match vocabulary.chunk(chunk) {
        Some(id) => ids.push(id),
        None => merge::encode(vocabulary, chunk, scratch, ids),
    }
    if let Some(key) = key {
        cache.insert(key, &ids[from..]);
    }
}

/// Where the first name of a special token begins in the text, and which it is.
fn first_special(text: &str) -> Option<(usize, Special)> {
    text.match_indices("<|").find_map(|(start, _)| {
        let special = Special::ALL.into_iter().find(|special| text[start..].starts_with(special.name()))?;
        Some((start, special))
    })
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("pattern", &self.inner.pattern)
            .finish_non_exhaustive()
    }
}
