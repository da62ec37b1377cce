//! One completion while it is written: which token comes next, which text is out, and why it ended.

use std::sync::Arc;

use mynah_base::Rng;

use super::constraint::{Constraint, TokenMask};
use super::request::{Finish, Piece, PieceToken, StopCause};
use super::sampling::{Sampling, Seen, logprobs};
use super::step_model::Codec;
use crate::error::{Error, ErrorKind, Result};
use crate::sampler::{Sampler, row_rng};
use crate::text::TextStream;

/// What all samples of a request have in common, checked.
#[derive(Debug)]
pub(super) struct Spec {
    pub prompt: Vec<u32>,
    pub samples: usize,
    pub max_tokens: usize,
    pub sampling: Sampling,
    pub stop_texts: Vec<String>,
    pub include_stop_text: bool,
    pub stop_ids: Vec<u32>,
    pub ignore_end: bool,
    pub show_special: bool,
    pub logprobs: Option<usize>,
    pub prompt_logprobs: Option<usize>,
    pub adapter: Option<u32>,
    pub weights: Option<u32>,
    pub client: Arc<str>,
}

/// A token that is chosen but whose text may not be out.
struct Held {
    token: PieceToken,
    /// Where its text ends in the completion, in bytes.
    end: usize,
}

/// The state of one completion.
pub(super) struct Writer {
    rng: Rng,
    seen: Seen,
    stream: TextStream,
    held: Vec<Held>,
    completion_tokens: usize,
    finish: Option<Finish>,
    constraint: Option<Box<dyn Constraint>>,
    /// The tokens that may come next; right when `is_mask_ready`.
    mask: TokenMask,
    is_mask_ready: bool,
    /// Why the constraint is lost.
    constraint_error: Option<Error>,
}

impl Writer {
    /// Sample `sample` of a request, nothing written yet.
    pub fn new(
        spec: &Spec,
        sample: usize,
        constraint: Option<Box<dyn Constraint>>,
        vocab_size: usize,
    ) -> Self {
        let stream = if spec.include_stop_text {
            TextStream::including_stop(&spec.stop_texts)
        } else {
            TextStream::new(&spec.stop_texts)
        };
        Self {
            rng: row_rng(spec.sampling.options.seed, sample as u64),
            seen: Seen::of_prompt(&spec.prompt, &spec.sampling),
            stream,
            held: Vec::new(),
            completion_tokens: 0,
            finish: (spec.max_tokens == 0).then_some(Finish::Length),
            mask: TokenMask::new(if constraint.is_some() { vocab_size } else { 0 }),
            constraint,
            is_mask_ready: false,
            constraint_error: None,
        }
    }

    pub fn finish(&self) -> Option<&Finish> {
        self.finish.as_ref()
    }

    pub fn completion_tokens(&self) -> usize {
        self.completion_tokens
    }

    /// The constraint for the next mask, with the mask to fill, when it is not known yet.
    pub fn lend_constraint(&mut self) -> Option<(Box<dyn Constraint>, TokenMask)> {
        if self.is_mask_ready {
            return None;
        }
        Some((self.constraint.take()?, std::mem::take(&mut self.mask)))
    }

    /// Gives back what [`lend_constraint`](Self::lend_constraint) gave, the mask filled.
    pub fn return_constraint(&mut self, constraint: Box<dyn Constraint>, mask: TokenMask) {
        self.constraint = Some(constraint);
        self.mask = mask;
        self.is_mask_ready = true;
    }

    /// The constraint failed while it was lent.
    pub fn lose_constraint(&mut self, error: Error) {
        self.constraint_error = Some(error);
    }

    pub fn is_constrained(&self) -> bool {
        self.constraint.is_some()
    }

    /// A constraint in the state before the first token, for another sample.
    pub fn fork_constraint(&self) -> Option<Box<dyn Constraint>> {
        self.constraint.as_ref().map(|constraint| constraint.fork())
    }

    /// Tokens that the constraint leaves no choice about.
    pub fn forced(&mut self) -> Vec<u32> {
        self.constraint.as_mut().map(|constraint| constraint.forced()).unwrap_or_default()
    }

    /// Chooses the next token from the model's logits, which are changed. What can be shown goes to `piece`. `None`
    /// when the completion has ended without a token for it.
    ///
    /// # Errors
    /// [`ErrorKind::Logits`] for logits that are no numbers, [`ErrorKind::Constraint`] when no token may come.
    pub fn choose(
        &mut self,
        row: &mut [f32],
        spec: &Spec,
        codec: &dyn Codec,
        sampler: &mut Sampler,
        piece: &mut Piece,
    ) -> Result<Option<u32>> {
        if let Some(error) = self.constraint_error.take() {
            return Err(error);
        }
        // The model's own distribution, before anything is changed.
        let raw = spec.logprobs.map(|_| row.to_vec());
        self.seen.adjust(row, &spec.sampling);
        if let Some(constraint) = &mut self.constraint {
            if !self.is_mask_ready {
                constraint.mask(&mut self.mask)?;
            }
            if self.mask.is_empty() {
                if constraint.is_finished() {
                    self.end(Finish::Stop(StopCause::Constraint), piece);
                    return Ok(None);
                }
                let message = "the constraint allows no token after what was generated";
                return Err(Error::new(ErrorKind::Constraint, message));
            }
            self.mask.apply(row);
            self.is_mask_ready = false;
        }
        let id =
            sampler.sample_typical(row, &spec.sampling.options, spec.sampling.typical_p, &mut self.rng)?;
        self.completion_tokens += 1;
        let logprobs = match (raw, spec.logprobs) {
            (Some(raw), Some(top)) => Some(logprobs(&raw, id, top)?),
            _ => None,
        };
        // A constraint allows the end only where it belongs, so there it always counts.
        let is_end = (!spec.ignore_end || self.constraint.is_some()) && codec.end_ids().contains(&id);
        if is_end || spec.stop_ids.contains(&id) {
            self.end(Finish::Stop(if is_end { StopCause::End(id) } else { StopCause::Token(id) }), piece);
            return Ok(Some(id));
        }
        self.seen.add(id, &spec.sampling);
        if let Some(constraint) = &mut self.constraint {
            constraint.commit(id)?;
        }
        let bytes = if codec.is_special(id) && !spec.show_special { &[] } else { codec.bytes(id) };
        piece.text.push_str(&self.stream.push(bytes));
        self.held.push(Held { token: PieceToken { id, logprobs }, end: self.stream.pushed_len() });
        self.release(piece);
        if let Some(index) = self.stream.stopped() {
            self.end(Finish::Stop(StopCause::Text(spec.stop_texts[index].clone())), piece);
        } else if self.constraint.as_ref().is_some_and(|constraint| constraint.is_finished()) {
            self.end(Finish::Stop(StopCause::Constraint), piece);
        } else if self.completion_tokens >= spec.max_tokens {
            self.end(Finish::Length, piece);
        }
        Ok(Some(id))
    }

    /// Ends the completion; text that was held back comes out.
    pub fn end(&mut self, finish: Finish, piece: &mut Piece) {
        if self.finish.is_some() {
            return;
        }
        piece.text.push_str(&self.stream.finish());
        self.release(piece);
        self.finish = Some(finish);
    }

    /// Moves the tokens whose text is out to the piece.
    fn release(&mut self, piece: &mut Piece) {
        let released = self.stream.released_len();
        let count = self.held.iter().take_while(|held| held.end <= released).count();
        piece.tokens.extend(self.held.drain(..count).map(|held| held.token));
    }
}
