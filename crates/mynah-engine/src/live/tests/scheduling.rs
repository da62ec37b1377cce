//! Who goes first, who is put back, and that everybody gets on.

use std::any::Any;
use std::time::Duration;

use super::toy::Toy;
use super::*;
use crate::live::{Change, Sampling};

fn request(text: &str, max_tokens: usize) -> Request {
    Request {
        max_tokens: Some(max_tokens),
        sampling: Sampling::greedy(),
        ignore_end: true,
        ..Request::new(text.bytes().map(u32::from).collect())
    }
}

fn one_at_a_time() -> EngineOptions {
    EngineOptions { running_max: 1, ..EngineOptions::default() }
}

#[test]
fn a_higher_priority_goes_first_and_costs_nobody_a_token() {
    let mut core = core(Toy::new(64, 4), one_at_a_time());
    let low = submit(&mut core, request("the low one", 30));
    for _ in 0..5 {
        core.step();
    }
    let high = submit(&mut core, Request { priority: 1, ..request("the high one", 10) });
    while !high.is_over() {
        core.step();
    }
    assert!(!low.is_over());
    assert_eq!(core.metrics.preemptions, 1);
    finish(&mut core);
    assert_eq!(low.seen().ids, alone(Toy::new(64, 4), request("the low one", 30)).ids);
    check_pages(&mut core);
}

#[test]
fn clients_take_turns() {
    let mut core = core(Toy::new(64, 4), one_at_a_time());
    let of = |client: &str, text: &str| Request { client: client.to_string(), ..request(text, 100) };
    let many: Vec<Ticket> = (0..30).map(|i| submit(&mut core, of("many", &format!("number {i}")))).collect();
    core.step();
    let few: Vec<Ticket> = (0..3).map(|i| submit(&mut core, of("few", &format!("other {i}")))).collect();
    while !few.iter().all(Ticket::is_over) {
        core.step();
    }
    let done = many.iter().filter(|ticket| ticket.is_over()).count();
    // A turn is about ten such requests, so the second client waits for one turn, not for all thirty.
    assert!((1..20).contains(&done), "{done} requests went before");
    finish(&mut core);
}

#[test]
fn no_priority_starves() {
    let options = EngineOptions { aging_steps: 40, ..one_at_a_time() };
    let mut core = core(Toy::new(64, 4), options);
    let low = submit(&mut core, Request { priority: -5, ..request("the low one", 10) });
    let mut served = 0;
    for _ in 0..3000 {
        while core.queue.len() < 3 {
            submit(&mut core, Request { priority: 5, ..request("always another one", 10) });
            served += 1;
        }
        core.step();
        if low.is_over() {
            break;
        }
    }
    assert!(low.is_over(), "still waiting after {served} others");
    assert!(served > 3);
}

#[test]
fn a_request_that_is_late_fails() {
    let mut core = core(Toy::new(64, 4), EngineOptions::default());
    let late = submit(&mut core, Request { deadline: Some(Duration::ZERO), ..request("late", 10) });
    let other =
        submit(&mut core, Request { deadline: Some(Duration::from_secs(3600)), ..request("other", 10) });
    finish(&mut core);
    assert_eq!(
        late.seen().error.as_deref(),
        Some("the request's deadline passed after 0 tokens of the completion")
    );
    assert_eq!(other.seen().ids[0].len(), 10);
    check_pages(&mut core);
}

#[test]
fn running_requests_keep_or_recompute_when_weights_change() {
    let change_to = |core: &mut Core, change| {
        let model: &mut dyn Any = core.model.as_mut();
        model.downcast_mut::<Toy>().unwrap().weights = 5;
        core.changed(change);
    };
    let old = alone(Toy::new(64, 4), request("a request", 20));
    for change in [Change::Keep, Change::Recompute] {
        let mut core = core(Toy::new(64, 4), EngineOptions::default());
        let ticket = submit(&mut core, request("a request", 20));
        for _ in 0..8 {
            core.step();
        }
        change_to(&mut core, change);
        finish(&mut core);
        let seen = ticket.seen();
        assert_eq!(seen.ids[0][..8], old.ids[0][..8]);
        if change == Change::Keep {
            // What the toy computes next follows from what is in the cache.
            assert_eq!(seen.ids, old.ids);
        } else {
            let mut toy = Toy::new(64, 4);
            toy.weights = 5;
            let mut prompt: Vec<u32> = "a request".bytes().map(u32::from).collect();
            prompt.extend(&old.ids[0][..8]);
            let rest = alone(toy, Request { prompt, ..request("", 12) });
            assert_eq!(seen.ids[0][8..], rest.ids[0]);
        }
        // Nothing of the old weights is found afterwards.
        let again = submit(&mut core, request("a request", 20));
        finish(&mut core);
        assert_eq!(again.seen().usage.unwrap().cached_tokens, if change == Change::Keep { 0 } else { 8 });
        check_pages(&mut core);
    }
}

#[test]
fn an_adapter_that_is_unloaded_takes_its_requests_along() {
    let mut core = core(Toy::new(64, 4), EngineOptions::default());
    let with = submit(&mut core, Request { adapter: Some(1), ..request("with", 20) });
    let without = submit(&mut core, request("without", 20));
    core.step();
    core.changed(Change::AdapterUnloaded(1));
    let late = submit(&mut core, Request { adapter: Some(1), ..request("late", 20) });
    finish(&mut core);
    assert_eq!(late.seen().error.as_deref(), Some("no adapter is loaded under the number 1"));
    core.changed(Change::AdapterLoaded(3));
    let new = submit(&mut core, Request { adapter: Some(3), ..request("new", 20) });
    finish(&mut core);
    assert_eq!(new.seen().ids[0].len(), 20);
    assert_eq!(with.seen().error.as_deref(), Some("the request's adapter was unloaded before it was done"));
    assert_eq!(without.seen().ids[0].len(), 20);
    check_pages(&mut core);
}
