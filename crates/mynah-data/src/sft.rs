//! Batches for fine-tuning: whole conversations, packed into rows with padding, trained only where the model speaks.
//!
//! A conversation is never cut in two (only one longer than a row loses its end), so rows end in padding, whose
//! targets are −1. Conversations are shuffled anew every epoch and packed in groups, which keeps the choice
//! for best fit wide and the order random.

use std::sync::Arc;

use mynah_base::Rng;
use mynah_tokenizer::chat::{Conversation, Rendered, render};
use mynah_tokenizer::{Special, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::loader::{Batch, LoaderOptions};
use crate::packing::{PackStats, pack_whole};

/// Conversations that are packed together.
const GROUP: usize = 1_024;

/// A position in the sequence of batches, for checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SftState {
    /// How often all conversations were gone through before.
    pub epoch: u64,
    /// Number of the group in the epoch.
    group: usize,
    /// Rows of the group that are out.
    rows_out: usize,
    /// Of the conversations' ids and the options.
    digest: String,
}

/// Batches of packed conversations.
pub struct SftLoader {
    conversations: Arc<Vec<Rendered>>,
    bos: u32,
    options: LoaderOptions,
    state: SftState,
    /// The group's rows: numbers of conversations.
    rows: Vec<Vec<usize>>,
    stats: PackStats,
    /// Conversations that no answer was left of within a row, or that could not be laid out.
    skipped: u64,
}

impl SftLoader {
    /// Lays the conversations out and packs them.
    ///
    /// # Errors
    /// A batch without rows or columns; no conversation with something to train on.
    pub fn new(
        conversations: &[Conversation],
        tokenizer: &Tokenizer,
        options: LoaderOptions,
    ) -> Result<SftLoader> {
        if options.rows == 0 || options.cols == 0 {
            let message =
                format!("a batch of {} rows of {} ids: both must be at least 1", options.rows, options.cols);
            return Err(Error::new(ErrorKind::Setting, message));
        }
        let mut rendered = Vec::with_capacity(conversations.len());
        let mut hasher = blake3::Hasher::new();
        for conversation in conversations {
            let Ok(laid_out) = render(tokenizer, conversation, options.cols + 1) else { continue };
            if laid_out.mask.iter().skip(1).any(|&trained| trained) {
                for id in &laid_out.ids {
                    hasher.update(&id.to_le_bytes());
                }
                rendered.push(laid_out);
            }
        }
        if rendered.is_empty() {
            let message = format!(
                "none of {} conversations has an answer within {} tokens: give others, or a longer context",
                conversations.len(),
                options.cols + 1
            );
            return Err(Error::new(ErrorKind::Empty, message));
        }
        hasher.update(format!("{options:?}").as_bytes());
        let skipped = (conversations.len() - rendered.len()) as u64;
        let digest = hasher.finalize().to_hex()[..32].to_string();
        let mut loader = SftLoader {
            conversations: Arc::new(rendered),
            bos: tokenizer.special(Special::Bos),
            options,
            state: SftState { epoch: 0, group: 0, rows_out: 0, digest },
            rows: Vec::new(),
            stats: PackStats::default(),
            skipped,
        };
        loader.load_group();
        if !options.repeat && loader.groups() == 1 && loader.rows.len() < options.rows {
            let message = format!(
                "{} conversations make {} rows, but one batch needs {}: give more, or take a smaller batch",
                loader.conversations.len(),
                loader.rows.len(),
                options.rows
            );
            return Err(Error::new(ErrorKind::TooSmall, message));
        }
        Ok(loader)
    }

    /// Goes to a saved position: the same batches follow, byte for byte.
    ///
    /// # Errors
    /// When conversations, tokenizer or options are not those of the saved position.
    pub fn seek(&mut self, state: &SftState) -> Result<()> {
        if state.digest != self.state.digest || state.group >= self.groups() {
            let message = "the conversations are not those of the checkpoint (or the tokenizer or batch options have \
                           changed); resume with the same ones, or start a new run";
            return Err(Error::new(ErrorKind::Resume, message));
        }
        self.state = state.clone();
        self.load_group();
        Ok(())
    }

    /// The next batch; `None` only at the end of a loader that does not repeat.
    pub fn next_batch(&mut self) -> Option<Batch> {
        let (rows, cols) = (self.options.rows, self.options.cols);
        let mut batch = Batch {
            inputs: Vec::with_capacity(rows * cols),
            targets: Vec::with_capacity(rows * cols),
            rows,
            cols,
        };
        for _ in 0..rows {
            while self.state.rows_out >= self.rows.len() {
                if self.state.group + 1 < self.groups() {
                    self.state.group += 1;
                } else if self.options.repeat {
                    self.state.group = 0;
                    self.state.epoch += 1;
                } else {
                    return None;
                }
                self.state.rows_out = 0;
                self.load_group();
            }
            self.put_row(&mut batch);
            self.state.rows_out += 1;
        }
        Some(batch)
    }

    fn put_row(&self, batch: &mut Batch) {
        let row_length = self.options.cols + 1;
        let (mut ids, mut mask) = (Vec::with_capacity(row_length), Vec::with_capacity(row_length));
        for &number in &self.rows[self.state.rows_out] {
            ids.extend_from_slice(&self.conversations[number].ids);
            mask.extend_from_slice(&self.conversations[number].mask);
        }
        ids.resize(row_length, self.bos);
        mask.resize(row_length, false);
        batch.inputs.extend(ids[..self.options.cols].iter().map(|&id| i64::from(id)));
        let targets = ids.iter().zip(&mask).skip(1);
        batch.targets.extend(targets.map(|(&id, &trained)| if trained { i64::from(id) } else { -1 }));
    }

    /// The position of the batch that comes next.
    pub fn state(&self) -> SftState {
        self.state.clone()
    }

    /// Conversations that are trained on.
    pub fn conversations(&self) -> usize {
        self.conversations.len()
    }

    /// Conversations that were left out: no answer within the context.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Ids of all conversations, padding not counted.
    pub fn tokens(&self) -> u64 {
        self.conversations.iter().map(|conversation| conversation.ids.len() as u64).sum()
    }

    /// About how many batches an epoch has: exact when every group packs like the present one.
    pub fn batches_per_epoch(&self) -> usize {
        let per_conversation = self.rows.len() as f64 / self.group_range().len() as f64;
        (per_conversation * self.conversations.len() as f64 / self.options.rows as f64).ceil() as usize
    }

    /// What packing did since this loader was made.
    pub fn stats(&self) -> &PackStats {
        &self.stats
    }

    fn groups(&self) -> usize {
        self.conversations.len().div_ceil(GROUP)
    }

    fn group_range(&self) -> std::ops::Range<usize> {
        let start = self.state.group * GROUP;
        start..(start + GROUP).min(self.conversations.len())
    }

    fn load_group(&mut self) {
        let mut order: Vec<usize> = (0..self.conversations.len()).collect();
        if self.options.shuffle {
            Rng::for_item(self.options.seed, self.state.epoch).shuffle(&mut order);
        }
        let members = &order[self.group_range()];
        let lengths: Vec<usize> =
            members.iter().map(|&number| self.conversations[number].ids.len()).collect();
        let mut rows = pack_whole(&lengths, self.options.cols + 1, &mut self.stats);
        rows.iter_mut().flatten().for_each(|number| *number = members[*number]);
        if self.options.shuffle {
            // Packing puts long conversations first; the rows' order has to be random again.
            let group = (self.state.epoch << 24) + self.state.group as u64 + 1;
            Rng::for_item(!self.options.seed, group).shuffle(&mut rows);
        }
        self.stats.documents += members.len() as u64;
        self.rows = rows;
    }
}
