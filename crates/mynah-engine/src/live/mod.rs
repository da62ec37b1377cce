//! The serving engine: many requests at once over one model, with paged memory.
//!
//! [`Engine::start`] gives a model to a thread and gives back an [`EngineHandle`]. A [`Request`] goes in from any
//! thread; its [`Event`]s come out through a [`Sink`] or, for callers that may wait, an iterator. The thread moves
//! all requests together, one step of the model at a time:
//!
//! ```text
//!  submit ─▶ check ─▶ fair queue ─▶ running ─▶ step of the model ─▶ choose tokens ─▶ events
//!                         ▲            │ pages run out                   │
//!                         └────────────┘                                 └─▶ pages to the prefix cache
//! ```
//!
//! The key decision is that a request's text depends on nothing but the request: not on who else is there, whether
//! pages were shared, how the prompt was cut, whether it was put back in between or guesses were checked. Each
//! sample draws from a random stream of its own, one number a token, and the model gives the same logits for the
//! same tokens in any step. So scheduling is free to do what is fast, and the tests can hold it against every request
//! run alone.
//!
//! Rejected: an async runtime in here (a step is long and pure computation; a sink is all a server needs);
//! swapping pages out to other memory (the prefix cache and reading again do the same without copies); a
//! scheduler thread beside the model's (there is nothing to schedule while a step runs but masks, which have a thread).
//!
//! A prompt that does not fit is refused with the numbers; nothing is ever cut.
//!
//! # Use
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::sync::Arc;
//! use mynah_engine::live::*;
//!
//! fn serve(model: Box<dyn StepModel>, codec: Arc<dyn Codec>) -> mynah_engine::Result<()> {
//!     let engine = Engine::start(model, codec, EngineOptions::default())?;
//!     engine.grammar_compiler()?; // Builds the token trie now instead of at the first constrained request.
//!
//!     // A caller that may wait: an iterator that ends after `Done` or `Failed`; dropping it cancels.
//!     let mut request = Request::new(engine.codec().encode("Once upon a time"));
//!     request.max_tokens = Some(64);
//!     request.sampling.options.temperature = 0.7;
//!     request.stop_texts = vec!["\n\n".to_string()];
//!     for event in engine.submit(request)? {
//!         match event {
//!             Event::Prompt(read) => println!("{} tokens were cached", read.cached_tokens),
//!             Event::Piece(piece) => print!("{}", piece.text),
//!             Event::Finished { finish, .. } => println!("\n{finish:?}"),
//!             Event::Done(usage) => println!("{usage:?}"),
//!             Event::Failed(failed) => return Err(failed.0),
//!         }
//!     }
//!
//!     // An async server: the sink hands each event to a channel; when the connection is gone, cancel.
//!     let (sender, _receiver) = std::sync::mpsc::channel();
//!     let sink = move |event| match sender.send(event) {
//!         Ok(()) => ControlFlow::Continue(()),
//!         Err(_) => ControlFlow::Break(()),
//!     };
//!     let mut request = Request::new(engine.codec().encode("As JSON:"));
//!     request.constraint = Some(ConstraintSource::JsonObject);
//!     let cancel = engine.submit_to(request, Box::new(sink))?;
//!     cancel.cancel();
//!
//!     if !engine.health().is_well() { /* answer 503 */ }
//!     engine.drain();
//!     engine.join();
//!     Ok(())
//! }
//! ```
mod check;
mod constraint;
mod core;
mod decoder;
mod draft;
mod handle;
mod masks;
mod metrics;
mod options;
mod pages;
mod prefix;
mod queue;
mod request;
mod sampling;
mod schedule;
mod sequence;
mod settle;
mod speculate;
mod step_model;
#[cfg(test)]
mod tests;
mod weights;
mod writer;

pub use constraint::{Constraint, ConstraintSource, GrammarCompiler, TokenMask, bounded_schema};
pub use handle::{Change, Engine, EngineHandle, Events, Health, State};
pub use metrics::{Metrics, STEP_BUCKETS_MS, WeightsEnds};
pub use options::EngineOptions;
pub use request::{
    Cancel, Event, Failed, Finish, LOGPROBS_MAX, Piece, PieceToken, PromptRead, Request, SAMPLES_MAX,
    STOP_TEXT_LEN_MAX, STOP_TEXTS_MAX, Sink, StopCause, TokenLogprobs, Usage,
};
pub use sampling::Sampling;
pub use speculate::PromptLookup;
pub use step_model::{Codec, StepModel};
pub use weights::{InFlight, WeightsSpan};
