//! The engine's thread: health, cancelling, draining, dying.

use std::sync::mpsc;

use super::toy::{Toy, ToyCodec};
use super::*;
use crate::ErrorKind;
use crate::live::{Engine, EngineHandle, InFlight, Sampling, State, StepModel};

fn start(toy: Toy) -> EngineHandle {
    Engine::start(Box::new(toy), Arc::new(ToyCodec::new()), EngineOptions::default()).unwrap()
}

fn request(text: &str, max_tokens: usize) -> Request {
    Request {
        max_tokens: Some(max_tokens),
        sampling: Sampling::greedy(),
        ignore_end: true,
        ..Request::new(text.bytes().map(u32::from).collect())
    }
}

#[test]
fn requests_from_many_threads_are_answered() {
    let engine = start(Toy::new(64, 4));
    let expect: Vec<Seen> = (0..8).map(|i| alone(Toy::new(64, 4), request(&format!("no {i}"), 20))).collect();
    std::thread::scope(|scope| {
        for (i, expect) in expect.iter().enumerate() {
            let engine = engine.clone();
            scope.spawn(move || {
                let events: Vec<Event> = engine.submit(request(&format!("no {i}"), 20)).unwrap().collect();
                assert_eq!(Seen::of(1, &events).ids, expect.ids);
            });
        }
    });
    assert!(engine.health().is_well());
    engine.drain();
    engine.join();
    let metrics = engine.metrics();
    assert_eq!((metrics.completed, metrics.completion_tokens, metrics.pages_used), (8, 160, 0));
    assert_eq!(engine.health().state, State::Stopped);
    assert_eq!(engine.submit(request("late", 1)).map(|_| ()).unwrap_err().kind(), ErrorKind::Draining);
}

#[test]
fn a_client_that_goes_away_is_cancelled() {
    let mut toy = Toy::new(1000, 4);
    toy.context = 4000;
    let engine = start(toy);
    let mut events = engine.submit(request("long", 3900)).unwrap();
    assert!(matches!(events.next(), Some(Event::Prompt(_))));
    drop(events);
    let (sender, receiver) = mpsc::channel();
    let sink = move |event: Event| {
        let is_piece = matches!(event, Event::Piece(_));
        sender.send(event).unwrap();
        if is_piece { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    engine.submit_to(request("long", 3900), Box::new(sink)).unwrap();
    // The sink is dropped when the request is over, and with it the sender.
    assert_eq!(receiver.iter().count(), 2);
    engine.drain();
    engine.join();
    let metrics = engine.metrics();
    assert_eq!((metrics.cancellations, metrics.completed, metrics.pages_used), (2, 0, 0));
    assert!(metrics.completion_tokens < 3900);
}

#[test]
fn a_panic_is_told_to_everybody() {
    let mut toy = Toy::new(64, 4);
    toy.panics_at = Some(5);
    let engine = start(toy);
    let events: Vec<Event> = engine.submit(request("x", 50)).unwrap().collect();
    let seen = Seen::of(1, &events);
    assert!(seen.error.as_ref().is_some_and(|error| error.contains("restart")), "{seen:?}");
    engine.join();
    assert_eq!(engine.health().state, State::Dead);
    assert!(!engine.health().is_well() && !engine.health().accepts);
    assert_eq!(engine.submit(request("y", 1)).map(|_| ()).unwrap_err().kind(), ErrorKind::Dead);
    assert_eq!(engine.requests(), 0);
}

#[test]
fn shutdown_fails_what_is_under_way() {
    let mut toy = Toy::new(1000, 4);
    toy.context = 4000;
    let engine = start(toy);
    let mut events = engine.submit(request("long", 3900)).unwrap();
    assert!(events.next().is_some());
    engine.shutdown();
    engine.join();
    assert!(matches!(events.last(), Some(Event::Failed(_))));
}

#[test]
fn the_model_is_changed_between_steps() {
    let engine = start(Toy::new(64, 4));
    let prompt = "the same prompt, long enough for pages";
    let old: Vec<Event> = engine.submit(request(prompt, 5)).unwrap().collect();
    let install = |model: &mut dyn StepModel| {
        let model: &mut dyn std::any::Any = model;
        (Change::WeightsInstalled(9), model.downcast_mut::<Toy>().unwrap().page_tokens)
    };
    assert_eq!(engine.between_steps(install).unwrap(), 4);
    let chosen = Change::WeightsChosen { weights: 9, in_flight: InFlight::Recompute };
    engine.between_steps(move |_| (chosen, ())).unwrap();
    let new: Vec<Event> = engine.submit(request(prompt, 5)).unwrap().collect();
    let (old, new) = (Seen::of(1, &old), Seen::of(1, &new));
    assert_ne!(old.ids, new.ids);
    assert_eq!(new.ids, alone_with(9, request(prompt, 5)).ids);
    assert_eq!(new.usage.unwrap().cached_tokens, 0);
    let again: Vec<Event> = engine.submit(request(prompt, 5)).unwrap().collect();
    // All but the last token, whose logits are needed; part of them from a copied page.
    assert_eq!(Seen::of(1, &again).usage.unwrap().cached_tokens, prompt.len() - 1);
}

#[test]
fn too_many_requests_are_refused() {
    let mut toy = Toy::new(1000, 4);
    toy.context = 4000;
    let options = EngineOptions { requests_max: 2, ..EngineOptions::default() };
    let engine = Engine::start(Box::new(toy), Arc::new(ToyCodec::new()), options).unwrap();
    let held: Vec<_> = (0..2).map(|_| engine.submit(request("long", 3900)).unwrap()).collect();
    assert_eq!(engine.submit(request("one more", 1)).map(|_| ()).unwrap_err().kind(), ErrorKind::Busy);
    drop(held);
}

/// A toy that waits in each step until it is told to go on.
struct Waiting {
    toy: Toy,
    entered: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl crate::live::StepModel for Waiting {
    fn vocab_size(&self) -> usize {
        self.toy.vocab_size()
    }

    fn context_length(&self) -> usize {
        self.toy.context_length()
    }

    fn page_tokens(&self) -> usize {
        self.toy.page_tokens()
    }

    fn page_count(&self) -> usize {
        self.toy.page_count()
    }

    fn slot_count(&self) -> usize {
        self.toy.slot_count()
    }

    fn has_recurrent_state(&self) -> bool {
        false
    }

    fn step(&mut self, segments: &[mynah_models::Segment<'_>], logits: &mut Vec<f32>) -> crate::Result<()> {
        self.entered.send(()).unwrap();
        self.go_on.recv().unwrap();
        self.toy.step(segments, logits)
    }

    fn copy_page(&mut self, from: u32, to: u32) -> crate::Result<()> {
        self.toy.copy_page(from, to)
    }

    fn clear_slot(&mut self, slot: u32) -> crate::Result<()> {
        self.toy.clear_slot(slot)
    }
}

#[test]
fn a_step_that_takes_too_long_is_told() {
    let (entered, has_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let model = Waiting { toy: Toy::new(64, 4), entered, go_on: may_go_on };
    // With no patience at all every step is too long, whatever the machine does.
    let options = EngineOptions { stuck_after: std::time::Duration::ZERO, ..EngineOptions::default() };
    let engine = Engine::start(Box::new(model), Arc::new(ToyCodec::new()), options).unwrap();
    assert_eq!(engine.health().state, State::Idle);
    let events = engine.submit(request("x", 1)).unwrap();
    has_entered.recv().unwrap();
    let health = engine.health();
    assert_eq!((health.state, health.is_well()), (State::Stuck, false));
    assert!(health.step_running.is_some());
    go_on.send(()).unwrap();
    assert!(matches!(events.last(), Some(Event::Done(_))));
    engine.drain();
    engine.join();
    assert_eq!(engine.health().state, State::Stopped);
}

#[test]
fn a_constraint_that_cannot_be_enforced_is_refused_at_once() {
    let engine = start(Toy::new(64, 4));
    let schema = serde_json::json!({"type": "array", "uniqueItems": true});
    let constraint = Some(crate::live::ConstraintSource::JsonSchema(schema));
    let error = engine.submit(Request { constraint, ..request("x", 1) }).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Constraint);
    assert!(error.to_string().contains("\"uniqueItems\""), "{error}");
    assert_eq!(engine.requests(), 0);
}

#[test]
fn a_sink_that_panics_ends_its_request_only() {
    let engine = start(Toy::new(64, 4));
    let sink = |event: Event| {
        assert!(matches!(event, Event::Prompt(_)), "this sink panics at the first piece");
        ControlFlow::Continue(())
    };
    engine.submit_to(request("panics", 20), Box::new(sink)).unwrap();
    let events: Vec<Event> = engine.submit(request("fine", 20)).unwrap().collect();
    assert_eq!(Seen::of(1, &events).ids[0].len(), 20);
    engine.drain();
    engine.join();
    assert_eq!((engine.metrics().cancellations, engine.health().state), (1, State::Stopped));
}
