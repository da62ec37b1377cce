//! Learning merges from text.

mod count;
mod merges;

use crate::error::{Error, ErrorKind, Result};
use crate::pattern::Pattern;
use crate::special::Special;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Tokens, VOCABULARY_SIZE_MAX, WholeChunks};
use crate::{DEFAULT_VOCABULARY_SIZE, threads};

use count::Counter;

/// Text is counted in batches of about this size when several threads share the work.
const BATCH_BYTES: usize = 32 << 20;
/// Documents are cut into pieces of about this size, so that one large document feeds all threads.
const PIECE_BYTES: usize = 1 << 20;

/// Every setting of training.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Number of ids to aim for, the nine special tokens included; at least 256 + 9.
    pub vocab_size: usize,
    /// How text is split.
    pub pattern: Pattern,
    /// Number of threads; `None` for what the machine offers (or `MYNAH_THREADS`).
    pub threads: Option<usize>,
    /// Bound on the memory for unique chunks, counted as their bytes plus 32 for each. Where the text
    /// goes beyond, the rarest chunks are forgotten until half of it is free, and
    /// [`TrainReport::chunks_dropped`] says how many; below it nothing is lost. The peak of training is
    /// about six times this bound.
    pub chunk_bytes_max: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            vocab_size: DEFAULT_VOCABULARY_SIZE,
            pattern: Pattern::default(),
            threads: None,
            chunk_bytes_max: 256 << 20,
        }
    }
}

/// What training saw and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrainReport {
    /// Documents fed.
    pub documents: u64,
    /// Their size.
    pub bytes: u64,
    /// Different chunks in the end.
    pub unique_chunks: u64,
    /// Different chunks forgotten to stay within memory; a chunk that came back later counts again.
    pub chunks_dropped: u64,
    /// Merges learned: fewer than asked for when the text ran out of pairs.
    pub merges: u64,
}

/// Learns a tokenizer from documents that are fed one by one; memory does not grow with the amount of
/// text, only with the number of different chunks, which is bounded (see [`TrainOptions`]).
///
/// The merges are those of the textbook algorithm: always the pair that occurs most often in the text,
/// the smaller pair of ids on a tie, until the vocabulary is full or no pair is left. They depend on the
/// text alone, not on the number of threads.
pub struct Trainer {
    options: TrainOptions,
    threads: usize,
    counter: Counter,
    report: TrainReport,
    /// Documents waiting for the threads, joined, and where each ends.
    waiting: String,
    ends: Vec<usize>,
    /// Size of the documents since the last look at the bound.
    unchecked_bytes: usize,
}

impl Trainer {
    /// Begins training.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the vocabulary size or the memory bound is out of range.
    pub fn new(options: TrainOptions) -> Result<Self> {
        let smallest = 256 + Special::ALL.len();
        if options.vocab_size < smallest || options.vocab_size > VOCABULARY_SIZE_MAX {
            return Err(Error::new(
                ErrorKind::Config,
                format!(
                    "a vocabulary of {} tokens: give {smallest} (256 bytes and {} special tokens) to \
                     {VOCABULARY_SIZE_MAX}",
                    options.vocab_size,
                    Special::ALL.len()
                ),
            ));
        }
        if !(1 << 10..=1 << 30).contains(&options.chunk_bytes_max) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("a bound of {} bytes for chunks: give 1 KiB to 1 GiB", options.chunk_bytes_max),
            ));
        }
        Ok(Self {
            threads: threads::resolve(options.threads),
            options,
            counter: Counter::default(),
            report: TrainReport::default(),
            waiting: String::new(),
            ends: Vec::new(),
            unchecked_bytes: 0,
        })
    }

    /// Adds a document. Chunks never cross documents.
    pub fn feed(&mut self, document: &str) {
        self.report.documents += 1;
        self.report.bytes += document.len() as u64;
        self.unchecked_bytes += document.len();
        if self.threads == 1 {
            self.counter.add_text(&self.options.pattern, document);
        } else if document.len() >= BATCH_BYTES {
            self.flush();
            let counted = count_pieces(&self.options.pattern, self.threads, &[document]);
            counted.into_iter().for_each(|other| self.counter.add_counter(other));
        } else {
            self.waiting.push_str(document);
            self.ends.push(self.waiting.len());
        }
        // At the same documents whatever the number of threads, so that forgetting is deterministic.
        if self.unchecked_bytes >= BATCH_BYTES {
            self.flush();
            self.unchecked_bytes = 0;
            self.report.chunks_dropped += self.counter.forget_rarest(self.options.chunk_bytes_max);
        }
    }

    fn flush(&mut self) {
        let mut documents = Vec::with_capacity(self.ends.len());
        let mut start = 0;
        for &end in &self.ends {
            documents.push(&self.waiting[start..end]);
            start = end;
        }
        let counted = count_pieces(&self.options.pattern, self.threads, &documents);
        counted.into_iter().for_each(|other| self.counter.add_counter(other));
        self.waiting.clear();
        self.ends.clear();
    }

    /// Learns the merges and gives the tokenizer, with fewer tokens than asked for if the text has no
    /// more pairs.
    ///
    /// # Errors
    /// None for text of any kind; an error would be a defect of this crate.
    pub fn finish(mut self) -> Result<(Tokenizer, TrainReport)> {
        self.flush();
        self.report.chunks_dropped += self.counter.forget_rarest(self.options.chunk_bytes_max);
        self.report.unique_chunks = self.counter.len() as u64;
        let merges_max = self.options.vocab_size - 256 - Special::ALL.len();
        let merges = merges::learn(std::mem::take(&mut self.counter), merges_max, self.threads);
        self.report.merges = merges.len() as u64;
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        for merge in &merges {
            let joined = [tokens[merge.left as usize].as_slice(), &tokens[merge.right as usize]].concat();
            tokens.push(joined);
        }
        let tokens = Tokens { special: vec![false; tokens.len()], tokens };
        let tokenizer =
            Tokenizer::from_parts(tokens, merges, WholeChunks::WhereMerged, self.options.pattern)?;
        Ok((tokenizer, self.report))
    }
}

/// Counts the chunks of the documents, on several threads, each with its own counter.
fn count_pieces(pattern: &Pattern, threads: usize, documents: &[&str]) -> Vec<Counter> {
    let mut pieces = Vec::new();
    for document in documents {
        let mut rest = *document;
        while rest.len() > PIECE_BYTES {
            let (piece, after) = rest.split_at(pattern.safe_cut(rest, PIECE_BYTES));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
    }
    threads::for_each(threads, pieces.len(), Counter::default, |counter, piece| {
        counter.add_text(pattern, pieces[piece]);
    })
}
