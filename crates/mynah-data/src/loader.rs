//! Batches for pretraining: documents, tokenized, packed into rows, shuffled, and resumed exactly.
//!
//! The loader works in windows. A window is up to 16 million tokens of documents in the corpus' order; they are packed
//! into rows, the rows are shuffled, and batches are cut from them. What does not fill a row goes into the
//! next window, and from the last window of an epoch into the next epoch. So memory is bounded by a window, and
//! the state is small: where the window began, what it took over (less than one row), and how many rows
//! of it are out. Resuming packs that window again.
//!
//! Files come in another order in every epoch; together with the windows' shuffle this mixes shards of any size
//! without an index. Rejected: a buffer that always refills (its contents would have to be saved), and tokenizing in
//! a thread ahead (a window takes a fraction of a second per minute of training on the same cores).

use std::sync::Arc;

use mynah_base::Rng;
use mynah_tokenizer::{Special, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::corpus::{Corpus, Counts, Place, SplitDocuments};
use crate::error::{Error, ErrorKind, Result};
use crate::packing::{PackStats, pack_exactly};
use crate::split::Split;

/// Ids with the ids that follow them, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// (rows, cols): what the model reads.
    pub inputs: Vec<i64>,
    /// (rows, cols): what it has to say; −1 where it is not trained.
    pub targets: Vec<i64>,
    /// B.
    pub rows: usize,
    /// T.
    pub cols: usize,
}

/// How batches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// B: rows of a batch.
    pub rows: usize,
    /// T: ids of a row that the model reads (rows are packed to T + 1).
    pub cols: usize,
    /// Seed of the shuffles.
    pub seed: u64,
    /// Shuffle files and rows; validation goes without, in the corpus' order.
    pub shuffle: bool,
    /// Begin again at the end of the corpus; otherwise the batches end there.
    pub repeat: bool,
    /// Tokens of a window; at least 16 rows are taken.
    pub window_tokens: usize,
}

impl LoaderOptions {
    /// For training: shuffled, without end.
    pub fn training(rows: usize, cols: usize, seed: u64) -> LoaderOptions {
        LoaderOptions { rows, cols, seed, shuffle: true, repeat: true, window_tokens: WINDOW_TOKENS }
    }

    /// For validation: in order, once.
    pub fn validation(rows: usize, cols: usize) -> LoaderOptions {
        LoaderOptions { rows, cols, seed: 0, shuffle: false, repeat: false, window_tokens: WINDOW_TOKENS }
    }
}

/// Tokens of a window: 64 MiB of ids. A corpus of up to some 50 MB is mixed as a whole. With windows of half a
/// million tokens a run on files of different kinds learned one kind after the other: trained on plays alone for
/// the first 250 steps, it got worse on the validation text (3.4 to 3.7 bits per byte) while its loss fell.
const WINDOW_TOKENS: usize = 1 << 24;

/// Documents tokenized at a time.
const ENCODE_DOCUMENTS: usize = 64;

/// A position in the sequence of batches, for checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderState {
    /// How often the corpus was begun before.
    pub epoch: u64,
    /// Number of the window in the whole run.
    window: u64,
    /// Where the window's documents begin, in the epoch's order of files.
    place: Place,
    /// What the window took over from the one before.
    carry: Vec<Vec<u32>>,
    /// Rows of the window that are out.
    rows_out: usize,
    /// Rows of the epoch that are out.
    epoch_rows: u64,
    /// Of the corpus, the tokenizer, the part and the options.
    digest: String,
}

/// Batches of packed documents.
pub struct PackedLoader {
    corpus: Corpus,
    tokenizer: Arc<Tokenizer>,
    split: Split,
    options: LoaderOptions,
    state: LoaderState,
    documents: Option<SplitDocuments>,
    rows: Vec<Vec<u32>>,
    after: After,
    stats: PackStats,
    counts: Counts,
}

/// Where the window after the present one begins.
#[derive(Clone, Debug, Default)]
struct After {
    place: Place,
    carry: Vec<Vec<u32>>,
    epoch_ends: bool,
}

impl PackedLoader {
    /// Batches from the beginning of this part of the corpus.
    ///
    /// # Errors
    /// A batch without rows or columns, a part without a document, a corpus that ends before the first batch is full:
    /// the message says how many tokens there are and how many are needed.
    pub fn new(
        corpus: Corpus,
        tokenizer: Arc<Tokenizer>,
        split: Split,
        options: LoaderOptions,
    ) -> Result<PackedLoader> {
        let digest = digest(&corpus, &tokenizer, split, &options);
        let state = LoaderState {
            epoch: 0,
            window: 0,
            place: Place::default(),
            carry: Vec::new(),
            rows_out: 0,
            epoch_rows: 0,
            digest,
        };
        PackedLoader::at(corpus, tokenizer, split, options, state)
    }

    /// Batches from a saved position on: the same ones, byte for byte, that would have followed there.
    ///
    /// # Errors
    /// As [`PackedLoader::new`]; also when corpus, tokenizer or options are not those of the saved position.
    pub fn resume(
        corpus: Corpus,
        tokenizer: Arc<Tokenizer>,
        split: Split,
        options: LoaderOptions,
        state: &LoaderState,
    ) -> Result<PackedLoader> {
        if state.digest != digest(&corpus, &tokenizer, split, &options) {
            let message = "the data is not that of the checkpoint: the files, their sizes, the tokenizer or the batch \
                           options have changed; resume with the same ones, or start a new run";
            return Err(Error::new(ErrorKind::Resume, message));
        }
        PackedLoader::at(corpus, tokenizer, split, options, state.clone())
    }

    fn at(
        corpus: Corpus,
        tokenizer: Arc<Tokenizer>,
        split: Split,
        options: LoaderOptions,
        state: LoaderState,
    ) -> Result<PackedLoader> {
        if options.rows == 0 || options.cols == 0 {
            let message =
                format!("a batch of {} rows of {} ids: both must be at least 1", options.rows, options.cols);
            return Err(Error::new(ErrorKind::Setting, message));
        }
        let mut loader = PackedLoader {
            corpus,
            tokenizer,
            split,
            options,
            state,
            documents: None,
            rows: Vec::new(),
            after: After::default(),
            stats: PackStats::default(),
            counts: Counts::default(),
        };
        let rows_out = loader.state.rows_out;
        loader.load_window()?;
        if rows_out > loader.rows.len() {
            return Err(Error::new(
                ErrorKind::Resume,
                "the saved position lies behind the end of its window",
            ));
        }
        Ok(loader)
    }

    /// The next batch; `None` only at the end of a loader that does not repeat (what does not fill a batch is
    /// left out).
    ///
    /// # Errors
    /// Whatever reading the corpus meets.
    pub fn next_batch(&mut self) -> Result<Option<Batch>> {
        let (rows, cols) = (self.options.rows, self.options.cols);
        let mut batch = Batch {
            inputs: Vec::with_capacity(rows * cols),
            targets: Vec::with_capacity(rows * cols),
            rows,
            cols,
        };
        for _ in 0..rows {
            while self.state.rows_out >= self.rows.len() {
                if !self.next_window()? {
                    return Ok(None);
                }
            }
            let row = &self.rows[self.state.rows_out];
            batch.inputs.extend(row[..cols].iter().map(|&id| i64::from(id)));
            batch.targets.extend(row[1..].iter().map(|&id| i64::from(id)));
            self.state.rows_out += 1;
            self.state.epoch_rows += 1;
        }
        Ok(Some(batch))
    }

    /// The position of the batch that comes next.
    pub fn state(&self) -> LoaderState {
        self.state.clone()
    }

    /// How often the corpus was begun before.
    pub fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// What packing did since this loader was made.
    pub fn stats(&self) -> &PackStats {
        &self.stats
    }

    /// What reading came across since this loader was made (in both parts of the corpus).
    pub fn counts(&self) -> &Counts {
        self.documents.as_ref().map_or(&self.counts, SplitDocuments::counts)
    }

    /// Goes to the next window; false at the end.
    fn next_window(&mut self) -> Result<bool> {
        let after = std::mem::take(&mut self.after);
        if after.epoch_ends {
            if self.state.epoch_rows < self.options.rows as u64 && self.state.epoch == 0 {
                return Err(self.too_small(after.carry.iter().map(Vec::len).sum()));
            }
            if !self.options.repeat {
                self.after = after;
                self.rows.clear();
                self.state.rows_out = 0;
                return Ok(false);
            }
            self.state.epoch += 1;
            self.state.epoch_rows = 0;
            self.documents = None;
            self.state.place = Place::default();
        } else {
            self.state.place = after.place;
        }
        self.state.carry = after.carry;
        self.state.window += 1;
        self.state.rows_out = 0;
        self.load_window()?;
        Ok(true)
    }

    /// Reads, tokenizes, packs and shuffles the window at the state's place.
    fn load_window(&mut self) -> Result<()> {
        let row_length = self.options.cols + 1;
        let wanted = self.options.window_tokens.max(16 * row_length).max(self.options.rows * row_length);
        let bos = self.tokenizer.special(Special::Bos);
        let mut pieces = self.state.carry.clone();
        let mut tokens: usize = pieces.iter().map(Vec::len).sum();
        let mut documents = match self.documents.take() {
            Some(documents) => documents,
            None => self.epoch_corpus().split(self.split, self.state.place),
        };
        let mut epoch_ends = false;
        while tokens < wanted && !epoch_ends {
            let mut texts = Vec::with_capacity(ENCODE_DOCUMENTS);
            let mut text_bytes = 0;
            // A token has at least a byte, so this many bytes cannot lead far beyond the window.
            while texts.len() < ENCODE_DOCUMENTS && text_bytes < wanted {
                match documents.next() {
                    Some(document) => {
                        let text = document?.text;
                        text_bytes += text.len();
                        texts.push(text);
                    }
                    None => {
                        epoch_ends = true;
                        break;
                    }
                }
            }
            self.stats.documents += texts.len() as u64;
            for ids in self.tokenizer.encode_batch(&texts) {
                let mut piece = Vec::with_capacity(ids.len() + 1);
                piece.push(bos);
                piece.extend(ids);
                tokens += piece.len();
                pieces.push(piece);
            }
        }
        let (mut rows, carry) = pack_exactly(pieces, row_length, bos, &mut self.stats);
        if self.options.shuffle {
            Rng::for_item(self.options.seed, self.state.window).shuffle(&mut rows);
        }
        if self.state.epoch == 0 && epoch_ends && self.state.epoch_rows == 0 && rows.len() < self.options.rows
        {
            return Err(self.too_small(tokens));
        }
        self.after = After { place: documents.place(), carry, epoch_ends };
        self.counts = documents.counts().clone();
        self.documents = Some(documents);
        self.rows = rows;
        Ok(())
    }

    /// The corpus with its files in this epoch's order.
    fn epoch_corpus(&self) -> Corpus {
        let mut order: Vec<usize> = (0..self.corpus.files().len()).collect();
        if self.options.shuffle {
            Rng::for_item(self.options.seed ^ FILE_ORDER, self.state.epoch).shuffle(&mut order);
        }
        self.corpus.reordered(&order)
    }

    fn too_small(&self, tokens: usize) -> Error {
        let (rows, row_length) = (self.options.rows, self.options.cols + 1);
        let part = match self.split {
            Split::Train => "training",
            Split::Validation => "validation",
        };
        let message = format!(
            "the {part} part of the corpus has about {tokens} tokens, but one batch needs {} ({rows} rows of {row_length}): \
             give more text, or take a smaller batch or context",
            rows * row_length
        );
        Error::new(ErrorKind::TooSmall, message)
    }
}

/// Keeps the order of files apart from the order of rows, which draws from the same seed.
const FILE_ORDER: u64 = 0x0F11_E5ED;

fn digest(corpus: &Corpus, tokenizer: &Tokenizer, split: Split, options: &LoaderOptions) -> String {
    let parts = format!("{} {} {split:?} {options:?}", corpus.digest(), tokenizer.digest());
    blake3::hash(parts.as_bytes()).to_hex()[..32].to_string()
}
