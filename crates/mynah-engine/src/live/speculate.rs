//! Speculative decoding (Leviathan et al., 2023; Chen et al., 2023): guess what comes next, check it in one step.
//!
//! A step that reads five tokens of a sequence costs hardly more than one that reads one. So tokens are guessed,
//! read together with the last certain one, and each row of logits is used as if it had been computed alone: the
//! token is chosen as always, with the sequence's own random stream, and when it is the guessed one, the next
//! row is right too. The text is therefore the same token for token with and without guessing, at any temperature.
//! For guesses that are not themselves random this accepts with the probability that rejection sampling has: that
//! of the guessed token.
//!
//! Guesses come from three places, in this order: tokens that a constraint leaves no choice about; what followed
//! the last few tokens when they came before (prompt lookup; Saxena, 2023); and a small model of the same
//! vocabulary ([`Drafter`]). What a wrong guess wrote lies behind the sequence's end, in pages that it alone holds,
//! and is overwritten by the next step; only what is certain is ever shared. Models with recurrent state
//! cannot take a token back and are not guessed for.

use mynah_models::Logits;

use super::core::Core;
use super::draft::Wanted;
use super::schedule::Planned;

/// How to guess from the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptLookup {
    /// The longest run of last tokens that is looked for, first.
    pub run_max: usize,
    /// The shortest.
    pub run_min: usize,
}

impl Default for PromptLookup {
    fn default() -> Self {
        Self { run_max: 4, run_min: 2 }
    }
}

/// How far back is searched.
const SEARCH_TOKENS_MAX: usize = 16_384;
/// How many tokens are guessed for a sequence of which nothing is known yet.
pub(super) const DRAFT_ROOM_START: usize = 4;

/// What followed the last occurrence of the longest run of last tokens that occurred before.
fn look_up(tokens: &[u32], options: PromptLookup, count: usize) -> &[u32] {
    let tokens = &tokens[tokens.len().saturating_sub(SEARCH_TOKENS_MAX)..];
    for len in (options.run_min.max(1)..=options.run_max).rev() {
        if tokens.len() <= len {
            continue;
        }
        let (before, run) = tokens.split_at(tokens.len() - len);
        // The run may overlap its earlier occurrence: in "aaaa" the next is "a".
        let found = (0..before.len()).rev().find(|&at| tokens[at..at + len] == *run);
        if let Some(at) = found {
            let next = at + len;
            return &tokens[next..tokens.len().min(next + count)];
        }
    }
    &[]
}

impl Core {
    /// Adds guesses to the sequences of a plan that write, as far as the step and the free pages go.
    pub fn draft(&mut self, plan: &mut [Planned]) {
        if self.is_recurrent || self.options.draft_tokens_max == 0 {
            return;
        }
        let planned: usize = plan.iter().map(|planned| planned.count).sum();
        let mut left = self.options.step_tokens.saturating_sub(planned);
        let mut wanted = Vec::new();
        for (number, planned) in plan.iter_mut().enumerate() {
            let sequence = &mut self.running[planned.index];
            // The prompt's own last token comes with the prompt: its end is no place to guess yet.
            if planned.count != 1 || sequence.tokens.len() <= sequence.spec.prompt.len() {
                continue;
            }
            let writable = sequence.spec.max_tokens - sequence.writer.completion_tokens();
            let most = writable.saturating_sub(1).min(left);
            let mut drafts = sequence.writer.forced();
            drafts.truncate(most.min(FORCED_TOKENS_MAX));
            let room = most.min(sequence.draft_room);
            if drafts.is_empty()
                && let Some(lookup) = self.options.prompt_lookup
            {
                drafts = look_up(&sequence.tokens, lookup, room).to_vec();
            }
            if drafts.is_empty() {
                wanted.push((number, room));
                // Reserved until the other model has answered.
                left -= room;
            } else {
                left -= self.attach(planned, &drafts);
            }
        }
        let Some(mut drafter) = self.drafter.take() else { return };
        let wants: Vec<Wanted<'_>> = wanted
            .iter()
            .filter(|(_, room)| *room > 0)
            .map(|&(number, count)| {
                let sequence = &self.running[plan[number].index];
                Wanted { number, sequence: sequence.arrival, tokens: &sequence.tokens, count }
            })
            .collect();
        // Without guesses everything goes on, only slower; the next step tries again.
        let drafted = drafter.propose(&wants).unwrap_or_else(|_| {
            self.metrics.draft_failures += 1;
            Vec::new()
        });
        for (number, drafts) in drafted {
            self.attach(&mut plan[number], &drafts);
        }
        self.drafter = Some(drafter);
    }

    /// Puts guesses behind a sequence's tokens as far as there are pages; says how many.
    fn attach(&mut self, planned: &mut Planned, drafts: &[u32]) -> usize {
        let known = self.running[planned.index].tokens.len();
        let valid = drafts.iter().take_while(|&&id| (id as usize) < self.vocab_size).count();
        let mut count = 0;
        while count < valid {
            if self.running[planned.index].pages.len() * self.page_tokens <= known + count {
                let Some(page) = self.take_page() else { break };
                self.running[planned.index].pages.push(page);
            }
            count += 1;
        }
        if count > 0 {
            let sequence = &mut self.running[planned.index];
            sequence.tokens.extend_from_slice(&drafts[..count]);
            sequence.draft_count = count;
            planned.drafted = count;
            planned.logits = Logits::All;
            self.metrics.drafted_tokens += count as u64;
        }
        count
    }
}

/// The most tokens that a constraint forces in one step.
const FORCED_TOKENS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_up_what_followed_last_time() {
        let check = |tokens: &[u32], count, expect: &[u32]| {
            assert_eq!(look_up(tokens, PromptLookup::default(), count), expect, "{tokens:?}");
        };
        check(&[1, 2, 3, 4, 1, 2], 2, &[3, 4]);
        check(&[1, 2, 3, 4, 1, 2], 9, &[3, 4, 1, 2]);
        // The longer run wins, then the later place.
        check(&[7, 1, 2, 8, 1, 2, 9, 7, 1, 2], 1, &[8]);
        check(&[1, 2, 8, 1, 2, 9, 1, 2], 1, &[9]);
        check(&[5, 5, 5, 5], 2, &[5]);
        check(&[1, 2, 3, 9, 3], 2, &[]);
        check(&[], 2, &[]);
        check(&[1], 2, &[]);
    }
}
