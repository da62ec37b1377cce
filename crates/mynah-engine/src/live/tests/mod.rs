//! The engine against models whose every logit is known and which check the paging contract.

mod constraints;
mod requests;
mod scheduling;
mod schema;
mod simulation;
mod threads;
mod toy;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use super::check::{ModelFacts, check};
use super::core::{Core, SinkGuard, Submission};
use super::{Cancel, Change, EngineOptions, Event, Finish, GrammarCompiler, Request, Usage};
use toy::{Toy, ToyCodec};

/// What a client has seen of a request.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    finishes: Vec<Option<Finish>>,
    events: Vec<Event>,
    usage: Option<Usage>,
    error: Option<String>,
}

impl Seen {
    fn of(samples: usize, events: &[Event]) -> Self {
        let mut seen = Self {
            texts: vec![String::new(); samples],
            ids: vec![Vec::new(); samples],
            finishes: vec![None; samples],
            events: events.to_vec(),
            usage: None,
            error: None,
        };
        for event in events {
            match event {
                Event::Prompt(_) => {}
                Event::Piece(piece) => {
                    seen.texts[piece.sample].push_str(&piece.text);
                    seen.ids[piece.sample].extend(piece.tokens.iter().map(|token| token.id));
                }
                Event::Finished { sample, finish, .. } => seen.finishes[*sample] = Some(finish.clone()),
                Event::Done(usage) => seen.usage = Some(*usage),
                Event::Failed(failed) => seen.error = Some(failed.0.to_string()),
            }
        }
        seen
    }
}

/// A request in a core without a thread.
struct Ticket {
    samples: usize,
    events: Arc<Mutex<Vec<Event>>>,
    cancel: Cancel,
}

impl Ticket {
    fn seen(&self) -> Seen {
        Seen::of(self.samples, &self.events.lock().unwrap())
    }

    fn is_over(&self) -> bool {
        let events = self.events.lock().unwrap();
        matches!(events.last(), Some(Event::Done(_) | Event::Failed(_)))
    }
}

fn core(toy: Toy, options: EngineOptions) -> Core {
    let options = EngineOptions { adapters: vec![0, 1], ..options };
    Core::new(Box::new(toy), Arc::new(ToyCodec::new()), options)
}

/// The compiler for the toy's tokens.
fn compiler() -> crate::Result<&'static GrammarCompiler> {
    static COMPILER: OnceLock<GrammarCompiler> = OnceLock::new();
    Ok(COMPILER.get_or_init(|| GrammarCompiler::new(Arc::new(ToyCodec::new())).unwrap()))
}

fn submit(core: &mut Core, request: Request) -> Ticket {
    let samples = request.samples;
    let priority = request.priority;
    let deadline = request.deadline.map(|deadline| Instant::now() + deadline);
    let facts = ModelFacts::of(core.model.as_ref()).unwrap();
    let (spec, constraint) = check(request, &facts, compiler).unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let (log, cancel) = (events.clone(), Cancel::default());
    let sink = move |event| {
        log.lock().unwrap().push(event);
        ControlFlow::Continue(())
    };
    core.submit(Submission {
        spec: Arc::new(spec),
        constraint,
        priority,
        sink: SinkGuard::new(Box::new(sink), None),
        cancel: cancel.clone(),
        deadline,
    });
    Ticket { samples, events, cancel }
}

/// Steps until nothing is left; a core that does not get there in this many steps is stuck.
fn finish(core: &mut Core) {
    for _ in 0..200_000 {
        if core.is_idle() {
            return;
        }
        core.step();
    }
    panic!("not done after 200,000 steps: {:?}", core.metrics);
}

/// Every page is free or only cached; without the cache all are free.
fn check_pages(core: &mut Core) {
    assert!(core.running.is_empty() && core.queue.is_empty() && core.requests.is_empty());
    assert_eq!(core.pool.available_count(), core.pool.count(), "a page was not given back");
    while core.tree.evict(&mut core.pool) {}
    assert_eq!(core.pool.free_count(), core.pool.count(), "a page was not given back");
}

/// One request alone, with memory enough and nothing shared.
fn alone(toy: Toy, request: Request) -> Seen {
    alone_on(toy, 0, request)
}

/// The same with these weights of a small toy.
fn alone_with(weights: u32, request: Request) -> Seen {
    alone_on(Toy::new(64, 4), weights, request)
}

fn alone_on(toy: Toy, weights: u32, request: Request) -> Seen {
    let options = EngineOptions { prefix_cache: false, ..EngineOptions::default() };
    let mut core = core(toy, options);
    core.changed(Change::WeightsInstalled(weights));
    let ticket = submit(&mut core, Request { weights: Some(weights), ..request });
    finish(&mut core);
    check_pages(&mut core);
    ticket.seen()
}
