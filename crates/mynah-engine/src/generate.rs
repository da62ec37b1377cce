//! Prompts in, completions out: one prefill, then all rows together a token at a time.

use std::ops::ControlFlow;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, TextCodec};
use crate::row::{Completion, Limits, Piece, Row, Tool};
use crate::sampler::{Sampler, SamplingOptions, row_rng};

/// What to generate from one prompt.
#[derive(Clone, Debug)]
pub struct Request {
    /// The prompt's ids, at least one (usually `<|bos|>` first).
    pub prompt: Vec<u32>,
    /// How many rows to sample from it.
    pub rows: usize,
    /// The number of the first row: row i draws from the random stream `first_row + i`, so that any row of a
    /// batch can be made again alone.
    pub first_row: u64,
    /// How to choose tokens.
    pub options: SamplingOptions,
    /// When to end.
    pub limits: Limits,
}

/// The streaming callback: row number and piece; `Break` ends all rows.
pub type OnPiece<'a> = &'a mut dyn FnMut(usize, &Piece) -> ControlFlow<()>;

/// The most rows that [`Generator::answer_all`] runs at once: enough to keep the matrix kernels busy, few
/// enough that the caches of a small model stay in the processor's cache.
const BATCH_ROWS: usize = 64;

/// Generates text with a model.
pub struct Generator<'a> {
    model: &'a dyn Model,
    codec: &'a dyn TextCodec,
    tool: Option<Tool<'a>>,
}

impl<'a> Generator<'a> {
    /// A generator without tools.
    pub fn new(model: &'a dyn Model, codec: &'a dyn TextCodec) -> Self {
        Self { model, codec, tool: None }
    }

    /// Lets the model call a tool.
    #[must_use]
    pub fn with_tool(mut self, tool: Tool<'a>) -> Self {
        self.tool = Some(tool);
        self
    }

    /// Samples `request.rows` rows from one prompt. The prompt is read once; `on_piece` sees the tokens as
    /// they come. Memory: the model's cache for `rows` rows.
    ///
    /// # Errors
    /// [`ErrorKind::Prompt`] when the prompt is empty, holds an unknown id or fills the context (naming both
    /// lengths), [`ErrorKind::Option`] for options outside their range, [`ErrorKind::Logits`] when the model
    /// gives NaN, [`ErrorKind::Model`] when it fails.
    pub fn generate(&self, request: &Request, on_piece: OnPiece<'_>) -> Result<Vec<Completion>> {
        request.options.check()?;
        let room = self.room(&request.prompt)?;
        let rows: Vec<Row<'_>> = (0..request.rows as u64)
            .map(|row| {
                let rng = row_rng(request.options.seed, request.first_row + row);
                Row::new(&request.options, &request.limits, self.tool, self.codec, rng, room)
            })
            .collect();
        if rows.iter().all(Row::is_finished) {
            return Ok(rows.into_iter().map(Row::into_completion).collect());
        }
        let (mut cache, logits) = self.model.start(&[&request.prompt])?;
        cache.select(&vec![0; rows.len()])?;
        let logits = logits.repeat(rows.len());
        self.run(rows, cache.as_mut(), logits, on_piece)
    }

    /// One completion for each of many prompts, of any lengths, in the order of the prompts. Row i draws from
    /// the random stream i. Rows run together, so this grades hundreds of short questions in seconds.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn answer_all(
        &self,
        prompts: &[Vec<u32>],
        options: &SamplingOptions,
        limits: &Limits,
    ) -> Result<Vec<Completion>> {
        options.check()?;
        for prompt in prompts {
            self.room(prompt)?;
        }
        // Neighbours in length share a batch: their answers tend to end together too.
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|&index| prompts[index].len());
        let mut answers: Vec<Option<Completion>> = vec![None; prompts.len()];
        for batch in order.chunks(BATCH_ROWS) {
            let starts: Vec<&[u32]> = batch.iter().map(|&index| prompts[index].as_slice()).collect();
            let mut rows = Vec::with_capacity(batch.len());
            for &index in batch {
                let rng = row_rng(options.seed, index as u64);
                let room = self.room(&prompts[index])?;
                rows.push(Row::new(options, limits, self.tool, self.codec, rng, room));
            }
            let done = if rows.iter().all(Row::is_finished) {
                rows.into_iter().map(Row::into_completion).collect()
            } else {
                let (mut cache, logits) = self.model.start(&starts)?;
                self.run(rows, cache.as_mut(), logits, &mut |_, _| ControlFlow::Continue(()))?
            };
            for (&index, completion) in batch.iter().zip(done) {
                answers[index] = Some(completion);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// How many tokens the context still takes after this prompt.
    fn room(&self, prompt: &[u32]) -> Result<usize> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Prompt, message));
        let context = self.model.context_length();
        if prompt.is_empty() {
            return refuse("the prompt is empty; begin it with <|bos|>".to_string());
        }
        if prompt.len() >= context {
            return refuse(format!(
                "the prompt has {} tokens, the model's context is {context} with the answer; shorten the prompt",
                prompt.len()
            ));
        }
        let vocab_size = self.model.vocab_size();
        if let Some(at) = prompt.iter().position(|&id| id as usize >= vocab_size) {
            return refuse(format!(
                "token {at} of the prompt is {}, but the model knows ids below {vocab_size}; \
                 use the tokenizer that the model was trained with",
                prompt[at]
            ));
        }
        Ok(context - prompt.len())
    }

    /// Runs rows to their ends. `logits` (rows, V) are those after what is in the cache.
    fn run(
        &self,
        mut rows: Vec<Row<'_>>,
        cache: &mut dyn crate::model::Rows,
        mut logits: Vec<f32>,
        on_piece: OnPiece<'_>,
    ) -> Result<Vec<Completion>> {
        let vocab_size = self.model.vocab_size();
        let mut sampler = Sampler::default();
        let mut pieces = Vec::new();
        // The rows in the cache, by their number.
        let mut active: Vec<usize> = (0..rows.len()).collect();
        'steps: while !active.is_empty() {
            let mut tokens = Vec::with_capacity(active.len());
            let mut kept = Vec::with_capacity(active.len());
            for (slot, &number) in active.iter().enumerate() {
                let row_logits = logits.get(slot * vocab_size..(slot + 1) * vocab_size).ok_or_else(|| {
                    let message = format!("the model gave {} logits for {} rows", logits.len(), active.len());
                    Error::new(ErrorKind::Model, message)
                })?;
                let next = rows[number].next(row_logits, &mut sampler, &mut pieces)?;
                for piece in pieces.drain(..) {
                    if on_piece(number, &piece).is_break() {
                        break 'steps;
                    }
                }
                if let Some(id) = next {
                    tokens.push(id);
                    kept.push(slot);
                }
            }
            if kept.len() < active.len() {
                active = kept.iter().map(|&slot| active[slot]).collect();
                if active.is_empty() {
                    break;
                }
                cache.select(&kept)?;
            }
            logits = cache.step(&tokens)?;
        }
        rows.iter_mut().for_each(Row::cancel);
        Ok(rows.into_iter().map(Row::into_completion).collect())
    }
}
