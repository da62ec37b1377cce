//! Who takes part in a step and with which tokens: pages, admission, preemption.
//!
//! Sequences run in one order, by rank and then by age. Pages are given out along this order and taken away from
//! its end, so the first one always gets on: no request starves, and since each fits alone (checked when it is
//! submitted) nothing can deadlock. A sequence that is put back keeps its tokens and its random stream; its pages
//! go to the prefix cache, so that it mostly finds them again.

use mynah_models::Logits;

use super::core::Core;
use super::prefix::Found;
use super::sequence::Sequence;

/// A sequence's part of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    /// Its place among the running ones.
    pub index: usize,
    /// The first position.
    pub start: usize,
    /// How many of its own tokens.
    pub count: usize,
    /// How many guessed tokens after them.
    pub drafted: usize,
    pub logits: Logits,
}

impl Planned {
    /// Rows of logits it gets.
    pub fn rows(&self) -> usize {
        match self.logits {
            Logits::None => 0,
            Logits::Last => 1,
            Logits::All => self.count + self.drafted,
        }
    }
}

/// The most tokens of one sequence in a step when logits of all of them are wanted: a row is as long as the
/// vocabulary.
const SCORED_TOKENS_MAX: usize = 64;

/// A sequence that was put back this often rises by one rank.
const PREEMPTIONS_A_RANK: u32 = 4;

impl Core {
    /// Gives pages out, admits who waits, and cuts the step.
    pub fn schedule(&mut self) -> Vec<Planned> {
        if self.step_number.is_multiple_of(16) {
            let old = self.step_number.saturating_sub(self.options.aging_steps);
            self.queue.promote(old, self.step_number);
        }
        self.secure_pages();
        self.admit();
        self.plan()
    }

    /// The pages for this many positions.
    pub fn pages_for(&self, positions: usize) -> usize {
        positions.div_ceil(self.page_tokens)
    }

    /// A free page, from the prefix cache if need be.
    pub fn take_page(&mut self) -> Option<u32> {
        loop {
            if let Some(page) = self.pool.take() {
                return Some(page);
            }
            if !self.tree.evict(&mut self.pool) {
                return None;
            }
        }
    }

    /// Every running sequence gets the pages for all tokens it has; when they run out, the last one goes.
    fn secure_pages(&mut self) {
        let mut at = 0;
        while at < self.running.len() {
            let needed = self.pages_for(self.running[at].tokens.len());
            while at < self.running.len() && self.running[at].pages.len() < needed {
                match self.take_page() {
                    Some(page) => self.running[at].pages.push(page),
                    None => self.put_back_last(),
                }
            }
            at += 1;
        }
    }

    /// Puts the last of the running sequences back into the queue.
    fn put_back_last(&mut self) {
        let Some(mut sequence) = self.running.pop() else { return };
        self.give_back(&mut sequence);
        self.metrics.preemptions += 1;
        sequence.preemptions += 1;
        if sequence.preemptions.is_multiple_of(PREEMPTIONS_A_RANK) {
            sequence.rank += 1;
        }
        sequence.waiting_since = self.step_number;
        self.queue.push_front(sequence);
    }

    /// Takes pages and slot from a sequence; full pages can be found again in the prefix cache.
    pub fn give_back(&mut self, sequence: &mut Sequence) {
        self.share(sequence);
        self.leave_tail(sequence);
        for page in sequence.pages.drain(..) {
            self.pool.release(page);
        }
        sequence.computed = 0;
        if let Some(drafter) = &mut self.drafter {
            drafter.forget(sequence.arrival);
        }
        self.slots.extend(sequence.slot.take());
    }

    /// Puts the full pages of a sequence into the prefix cache.
    pub fn share(&mut self, sequence: &mut Sequence) {
        if !self.options.prefix_cache || self.is_recurrent || sequence.is_mixed {
            return;
        }
        let tokens = &sequence.tokens[..sequence.computed];
        let root = (sequence.weights, sequence.spec.adapter);
        self.tree.insert(root, tokens, &mut sequence.pages, &mut self.pool);
    }

    /// Puts the last page of a sequence that has ended, which is not full, into the prefix cache, to be copied.
    fn leave_tail(&mut self, sequence: &Sequence) {
        if !self.options.prefix_cache || self.is_recurrent || sequence.is_mixed {
            return;
        }
        let full = sequence.computed / self.page_tokens;
        if let Some(&page) = sequence.pages.get(full) {
            let root = (sequence.weights, sequence.spec.adapter);
            self.tree.insert_tail(root, &sequence.tokens[..sequence.computed], page, &mut self.pool);
        }
    }

    /// Admits waiting sequences as long as there is something left of the step, a place, and pages for all
    /// tokens of the next one.
    fn admit(&mut self) {
        let pending: usize = self.running.iter().map(Sequence::pending).sum();
        let mut left = self.options.step_tokens.saturating_sub(pending);
        while left > 0 {
            let Some(head) = self.queue.head() else { return };
            let rank = head.rank;
            let is_full = self.running.len() >= self.options.running_max
                || (self.is_recurrent && self.slots.is_empty());
            let admitted = if is_full { None } else { self.admit_head() };
            match (admitted, self.running.last()) {
                (Some(pending), _) => left = left.saturating_sub(pending),
                (None, Some(last)) if last.rank < rank => self.put_back_last(),
                _ => return,
            }
        }
    }

    /// Admits the head of the queue if there are pages for it, and says how many tokens it has to read.
    fn admit_head(&mut self) -> Option<usize> {
        let head = self.queue.head()?;
        let given = self.requests.get(&head.request).and_then(|live| live.weights);
        let weights = given.unwrap_or_else(|| self.weights.next());
        let total = head.tokens.len().div_ceil(self.page_tokens);
        let shares = self.options.prefix_cache && !self.is_recurrent && !head.scores_prompt();
        let found = if shares {
            self.tree.find((weights, head.spec.adapter), &head.tokens, &mut self.pool)
        } else {
            Found::default()
        };
        let cached = found.pages.len();
        // Running sequences will each want a page soon; taking the last ones would only put the new one back.
        let needed = total - cached + self.running.len();
        let Found { mut pages, mut part } = found;
        if self.pool.available_count() < needed
            && let Some((page, _)) = part.take()
        {
            // The last pages are worth more than a copy of one.
            self.pool.release(page);
        }
        if self.pool.available_count() < needed {
            Found { pages, part }.release(&mut self.pool);
            return None;
        }
        while pages.len() < total {
            let Some(page) = self.take_page() else { break };
            pages.push(page);
        }
        let mut computed = cached * self.page_tokens;
        if let Some((page, common)) = part {
            // Without the copy the tokens are read, that is all.
            if pages.get(cached).is_some_and(|&own| self.model.copy_page(page, own).is_ok()) {
                computed += common;
            }
            self.pool.release(page);
        }
        let mut sequence = self.queue.pop()?;
        sequence.pages = pages;
        sequence.computed = computed;
        (sequence.weights, sequence.is_mixed) = (weights, false);
        if self.is_recurrent {
            sequence.slot = self.slots.pop();
        }
        if given.is_none() {
            self.weights.advance();
        }
        if let Some(live) = self.requests.get_mut(&sequence.request) {
            live.weights = Some(weights);
            if !live.is_prompt_told {
                live.usage.cached_tokens = sequence.computed;
            }
        }
        let pending = sequence.pending();
        self.insert_running(sequence);
        Some(pending)
    }

    /// Puts a sequence among the running ones, in order.
    pub fn insert_running(&mut self, sequence: Sequence) {
        let at = self.running.partition_point(|other| other.order() < sequence.order());
        self.running.insert(at, sequence);
    }

    /// Cuts the step: first those that write, then prompts as far as the step goes.
    fn plan(&mut self) -> Vec<Planned> {
        let mut plan = Vec::with_capacity(self.running.len());
        for (index, sequence) in self.running.iter().enumerate() {
            if sequence.pending() == 1 {
                plan.push(Planned {
                    index,
                    start: sequence.computed,
                    count: 1,
                    drafted: 0,
                    logits: Logits::Last,
                });
            }
        }
        // Prompts go on, if slowly, even when writers fill the step.
        let mut left = self.options.step_tokens.saturating_sub(plan.len()).max(self.page_tokens);
        for (index, sequence) in self.running.iter().enumerate() {
            let pending = sequence.pending();
            if pending == 1 || left == 0 {
                continue;
            }
            let scores = sequence.scores_prompt();
            let most = if scores { left.min(SCORED_TOKENS_MAX) } else { left };
            let count = pending.min(most);
            let logits = match () {
                () if scores => Logits::All,
                () if count == pending => Logits::Last,
                () => Logits::None,
            };
            plan.push(Planned { index, start: sequence.computed, count, drafted: 0, logits });
            left -= count;
        }
        plan.sort_by_key(|planned| planned.index);
        plan
    }
}
