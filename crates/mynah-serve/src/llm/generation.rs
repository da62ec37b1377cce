//! A request in the engine, as an async server sees it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use mynah_base::time::now_ms;
use mynah_engine::live::{Cancel, Event, Finish, Piece, PromptRead, Request, Usage, WeightsSpan};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::failure::{Failure, Kind, Outcome};
use super::model::ServedModel;

/// A running request. Dropping it cancels it: when a client goes away, the engine hears of it before its next step.
pub(crate) struct Generation {
    // Unbounded, and yet bounded: one event a token, and the request's tokens are limited.
    events: UnboundedReceiver<Event>,
    cancel: Cancel,
}

impl Generation {
    /// Hands a request to the engine. May compile a grammar: call it on a thread that may wait.
    pub(crate) fn start(model: &ServedModel, request: Request) -> Outcome<Generation> {
        let (sender, events) = unbounded_channel();
        // Timed on the engine's side: a client that reads slowly says nothing about the model.
        let mut timer = model.meter.begin(request.samples);
        let sink = move |event| {
            timer.event(&event);
            match sender.send(event) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        let cancel = model.engine.submit_to(request, Box::new(sink))?;
        Ok(Generation { events, cancel })
    }

    /// The next event; a failure ends everything.
    pub(crate) async fn next(&mut self) -> Outcome<Step> {
        match self.events.recv().await {
            Some(Event::Prompt(prompt)) => Ok(Step::Prompt(prompt)),
            Some(Event::Piece(piece)) => Ok(Step::Piece(piece)),
            Some(Event::Finished { sample, finish, spans, .. }) => Ok(Step::Finished(sample, finish, spans)),
            Some(Event::Done(usage)) => Ok(Step::Done(usage)),
            Some(Event::Failed(failed)) => Err(failed.0.into()),
            None => Err(Failure::new(Kind::Unavailable, "the engine has stopped; try again later")),
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What happens in a generation.
#[derive(Debug)]
pub(crate) enum Step {
    Prompt(PromptRead),
    Piece(Piece),
    Finished(usize, Finish, Vec<WeightsSpan>),
    Done(Usage),
}

/// A name for an answer that no other has: `chatcmpl-…`.
pub(crate) fn fresh_id(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}{:012x}{:08x}", now_ms(), mix(COUNT.fetch_add(1, Ordering::Relaxed)) as u32)
}

/// A seed for a request that names none.
pub(crate) fn fresh_seed() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = time.map_or(0, |time| time.as_nanos() as u64);
    mix(nanoseconds ^ mix(COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// SplitMix64's finaliser: neighbouring numbers come out far apart (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let value =
        (value.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Seconds since the Unix epoch.
pub(crate) fn now_s() -> i64 {
    now_ms() / 1_000
}

/// OpenAI's word for an end.
pub(crate) fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop(_) => "stop",
        Finish::Length => "length",
        // Whoever cancelled is not there to read it.
        Finish::Cancelled => "stop",
    }
}

/// OpenAI's usage of several requests together.
pub(crate) fn usage_json(usages: &[Usage]) -> Value {
    let sum = |part: fn(&Usage) -> usize| usages.iter().map(part).sum::<usize>();
    let (prompt, completion) = (sum(|u| u.prompt_tokens), sum(|u| u.completion_tokens));
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(|u| u.cached_tokens)},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_seeds_differ() {
        let names: std::collections::BTreeSet<String> = (0..1_000).map(|_| fresh_id("x-")).collect();
        let seeds: std::collections::BTreeSet<u64> = (0..1_000).map(|_| fresh_seed()).collect();
        assert_eq!((names.len(), seeds.len()), (1_000, 1_000));
    }
}
