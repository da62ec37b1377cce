//! The engine's thread: health, cancelling, draining, dying.

use std::sync::mpsc;

use super::toy::{Toy, ToyCodec};
use super::*;
use crate::ErrorKind;
use crate::live::{Change, Engine, EngineHandle, Sampling, State};

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
    let page_tokens = engine
        .between_steps(|model| {
            let model: &mut dyn std::any::Any = model;
            let toy = model.downcast_mut::<Toy>().unwrap();
            toy.weights = 9;
            (Change::Recompute, toy.page_tokens)
        })
        .unwrap();
    assert_eq!(page_tokens, 4);
    let new: Vec<Event> = engine.submit(request(prompt, 5)).unwrap().collect();
    let (old, new) = (Seen::of(1, &old), Seen::of(1, &new));
    assert_ne!(old.ids, new.ids);
    let mut changed = Toy::new(64, 4);
    changed.weights = 9;
    assert_eq!(new.ids, alone(changed, request(prompt, 5)).ids);
    assert_eq!(new.usage.unwrap().cached_tokens, 0);
    let again: Vec<Event> = engine.submit(request(prompt, 5)).unwrap().collect();
    assert_eq!(Seen::of(1, &again).usage.unwrap().cached_tokens, prompt.len() / 4 * 4);
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
