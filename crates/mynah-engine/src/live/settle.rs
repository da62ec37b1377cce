//! After the model's step: tokens are chosen, clients are told, what is complete leaves.

use mynah_models::Logits;

use super::core::Core;
use super::request::{Event, Finish, Piece, PromptRead};
use super::sampling::logprobs;
use super::schedule::Planned;
use super::sequence::Sequence;
use super::weights::extend_spans;
use crate::error::Result;

impl Core {
    /// Uses the logits (rows, V) of a step.
    pub fn settle(&mut self, plan: &[Planned], logits: &mut [f32]) {
        let mut failed = Vec::new();
        let mut born = Vec::new();
        let mut running = std::mem::take(&mut self.running);
        let room = self.options.running_max.saturating_sub(running.len());
        let mut rest = logits;
        for planned in plan {
            let (rows, others) = rest.split_at_mut(planned.rows() * self.vocab_size);
            rest = others;
            let sequence = &mut running[planned.index];
            if let Err(error) = self.settle_one(planned, sequence, rows, room, &mut born) {
                failed.push((sequence.request, error));
            }
        }
        self.running = running;
        for sequence in born {
            self.insert_running(sequence);
        }
        for (request, error) in failed {
            self.fail(request, &error);
        }
        self.retire();
    }

    /// One sequence's part of a step with its logits.
    fn settle_one(
        &mut self,
        planned: &Planned,
        sequence: &mut Sequence,
        rows: &mut [f32],
        room: usize,
        born: &mut Vec<Sequence>,
    ) -> Result<()> {
        let vocab_size = self.vocab_size;
        let drafts = sequence.take_drafts();
        sequence.computed += planned.count;
        if planned.logits == Logits::None {
            // A request with the same beginning that is admitted now need not wait for the end of the prompt.
            self.share(sequence);
            return Ok(());
        }
        if sequence.scores_prompt() {
            let top = sequence.spec.prompt_logprobs.unwrap_or(0);
            for (row, position) in rows.chunks_exact(vocab_size).zip(planned.start..) {
                // A sequence that was put back reads again what is scored already.
                if position == sequence.prompt_logprobs.len()
                    && let Some(&next) = sequence.spec.prompt.get(position + 1)
                {
                    sequence.prompt_logprobs.push(logprobs(row, next, top)?);
                }
            }
        }
        if sequence.pending() > 0 {
            return Ok(());
        }
        let first_row = rows.len() / vocab_size - 1 - drafts.len();
        let rows = &mut rows[first_row * vocab_size..];
        if sequence.tokens.len() == sequence.spec.prompt.len() {
            self.finish_prompt(sequence);
            for sample in 1..=std::mem::take(&mut sequence.forks) {
                self.fork(sequence, sample, &rows[..vocab_size], room, born)?;
            }
        }
        self.write(sequence, &drafts, rows)
    }

    /// The prompt is read: its pages can be found from now on, and the client hears of it.
    fn finish_prompt(&mut self, sequence: &mut Sequence) {
        self.share(sequence);
        sequence.is_scoring = false;
        let Some(live) = self.requests.get_mut(&sequence.request) else { return };
        if live.is_prompt_told {
            return;
        }
        live.is_prompt_told = true;
        let cached_tokens = live.usage.cached_tokens;
        let logprobs = sequence.spec.prompt_logprobs.map(|_| std::mem::take(&mut sequence.prompt_logprobs));
        live.tell(Event::Prompt(PromptRead { cached_tokens, logprobs }));
        self.metrics.prompt_tokens += sequence.spec.prompt.len() as u64;
        self.metrics.prefix_hit_tokens += cached_tokens as u64;
    }

    /// Begins another sample of a request whose prompt has just been read by `sequence`: it shares the full
    /// pages and gets a copy of the last one. Without place or page it waits and reads the prompt itself.
    fn fork(
        &mut self,
        sequence: &Sequence,
        sample: usize,
        row: &[f32],
        room: usize,
        born: &mut Vec<Sequence>,
    ) -> Result<()> {
        let constraint = sequence.writer.fork_constraint();
        let mut fork =
            self.sequence(sequence.request, sample, sequence.rank, &sequence.spec.clone(), constraint);
        if born.len() < room && self.copy_pages(sequence, &mut fork)? {
            self.write(&mut fork, &[], &mut row.to_vec())?;
            born.push(fork);
        } else {
            self.queue.push_back(fork);
        }
        Ok(())
    }

    /// Gives `fork` all pages of `sequence`; false when there is no page for the copy.
    fn copy_pages(&mut self, sequence: &Sequence, fork: &mut Sequence) -> Result<bool> {
        let full = sequence.computed / self.page_tokens;
        if !sequence.computed.is_multiple_of(self.page_tokens) {
            let Some(page) = self.take_page() else { return Ok(false) };
            if let Err(error) = self.model.copy_page(sequence.pages[full], page) {
                self.pool.release(page);
                return Err(error);
            }
            fork.pages.push(page);
        }
        for &page in &sequence.pages[..full] {
            self.pool.retain(page);
        }
        fork.pages.splice(0..0, sequence.pages[..full].iter().copied());
        fork.computed = sequence.computed;
        (fork.weights, fork.is_mixed) = (sequence.weights, sequence.is_mixed);
        Ok(true)
    }

    /// Chooses the next token of a sequence and, while the guesses are right, those after it. `rows` are the
    /// logits after its last token and after each guess.
    fn write(&mut self, sequence: &mut Sequence, drafts: &[u32], rows: &mut [f32]) -> Result<()> {
        let mut piece = Piece { sample: sequence.sample, text: String::new(), tokens: Vec::new() };
        let mut result = Ok(());
        let before = sequence.writer.completion_tokens();
        let mut guesses = drafts.iter();
        for row in rows.chunks_exact_mut(self.vocab_size) {
            if sequence.writer.finish().is_some() {
                break;
            }
            let spec = &sequence.spec;
            match sequence.writer.choose(row, spec, self.codec.as_ref(), &mut self.sampler, &mut piece) {
                Ok(Some(id)) => sequence.tokens.push(id),
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            // A right guess is in the cache already, and the next row is the one after it.
            if sequence.writer.finish().is_some() || guesses.next() != sequence.tokens.last() {
                break;
            }
            sequence.computed += 1;
            self.metrics.accepted_tokens += 1;
        }
        let chosen = sequence.writer.completion_tokens() - before;
        if chosen > drafts.len() {
            sequence.draft_room = (sequence.draft_room * 2).min(self.options.draft_tokens_max);
        } else if chosen == 1 {
            sequence.draft_room = (sequence.draft_room / 2).max(1);
        }
        extend_spans(&mut sequence.spans, sequence.weights, chosen);
        self.metrics.completion_tokens += chosen as u64;
        if let Some(live) = self.requests.get_mut(&sequence.request) {
            live.usage.completion_tokens += chosen;
            if !piece.text.is_empty() || !piece.tokens.is_empty() {
                live.tell(Event::Piece(piece));
            }
        }
        result
    }

    /// Lets complete sequences go.
    fn retire(&mut self) {
        let (done, stay) = self.running.drain(..).partition::<Vec<_>, _>(Sequence::is_complete);
        self.running = stay;
        for mut sequence in done {
            self.give_back(&mut sequence);
            let Some(live) = self.requests.get_mut(&sequence.request) else { continue };
            let (sample, completion_tokens) = (sequence.sample, sequence.writer.completion_tokens());
            let finish = sequence.writer.finish().cloned().unwrap_or(Finish::Cancelled);
            let spans = std::mem::take(&mut sequence.spans);
            live.tell(Event::Finished { sample, finish, completion_tokens, spans });
            live.unfinished -= 1;
            if live.unfinished == 0 {
                let usage = live.usage;
                live.tell(Event::Done(usage));
                if let Some(weights) = live.weights {
                    self.metrics.weights_ends.entry(weights).or_default().completed += 1;
                }
                self.requests.remove(&sequence.request);
                self.metrics.completed += 1;
            }
        }
    }
}
