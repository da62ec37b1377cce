//! Who goes first, who is put back, and that everybody gets on.

use std::time::Duration;

use super::toy::Toy;
use super::*;
use crate::live::{InFlight, Sampling};

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

/// A core of three weights that has made eight tokens of a request.
fn under_way() -> (Core, Ticket) {
    let mut core = core(Toy::new(64, 4), EngineOptions::default());
    core.changed(Change::WeightsInstalled(1));
    core.changed(Change::WeightsInstalled(2));
    let ticket = submit(&mut core, request("a request", 20));
    for _ in 0..8 {
        core.step();
    }
    (core, ticket)
}

fn choose(core: &mut Core, weights: u32, in_flight: InFlight) {
    core.changed(Change::WeightsChosen { weights, in_flight });
}

fn spans(seen: &Seen) -> Vec<(u32, usize)> {
    let mut found = Vec::new();
    for event in &seen.events {
        if let Event::Finished { spans, .. } = event {
            found.extend(spans.iter().map(|span| (span.weights, span.tokens)));
        }
    }
    found
}

#[test]
fn requests_under_way_end_with_their_weights() {
    let (mut core, ticket) = under_way();
    choose(&mut core, 1, InFlight::Finish);
    let later = submit(&mut core, request("a request", 20));
    finish(&mut core);
    assert_eq!(ticket.seen().ids, alone_with(0, request("a request", 20)).ids);
    assert_eq!(spans(&ticket.seen()), [(0, 20)]);
    assert_eq!(later.seen().ids, alone_with(1, request("a request", 20)).ids);
    assert_eq!(spans(&later.seen()), [(1, 20)]);
    // The prefix cache knows the pages of both, and mixes none.
    assert_eq!(later.seen().usage.unwrap().cached_tokens, 0);
    for weights in [0, 1] {
        let again = submit(&mut core, Request { weights: Some(weights), ..request("a request", 20) });
        finish(&mut core);
        assert_eq!(again.seen().usage.unwrap().cached_tokens, 8);
        assert_eq!(again.seen().ids, alone_with(weights, request("a request", 20)).ids);
    }
    core.changed(Change::WeightsRemoved(0));
    let gone = submit(&mut core, Request { weights: Some(0), ..request("a request", 20) });
    assert_eq!(gone.seen().error.as_deref(), Some("there are no weights 0"));
    check_pages(&mut core);
}

#[test]
fn requests_under_way_go_on_with_new_weights() {
    let old = alone_with(0, request("a request", 20));
    for in_flight in [InFlight::Continue, InFlight::Recompute] {
        let (mut core, ticket) = under_way();
        choose(&mut core, 1, in_flight);
        finish(&mut core);
        let seen = ticket.seen();
        assert_eq!(spans(&seen), [(0, 8), (1, 12)]);
        assert_eq!(seen.ids[0][..8], old.ids[0][..8]);
        assert_ne!(seen.ids[0][8..], old.ids[0][8..]);
        let mut prompt: Vec<u32> = "a request".bytes().map(u32::from).collect();
        prompt.extend(&old.ids[0][..8]);
        let read_again = alone_with(1, Request { prompt, ..request("", 12) });
        assert_eq!(seen.ids[0][8..] == read_again.ids[0], in_flight == InFlight::Recompute);
        // Nothing of the old weights, and nothing mixed, is found afterwards.
        let again = submit(&mut core, request("a request", 20));
        finish(&mut core);
        let cached = if in_flight == InFlight::Continue { 0 } else { 8 };
        assert_eq!(again.seen().usage.unwrap().cached_tokens, cached);
        assert_eq!(again.seen().ids, alone_with(1, request("a request", 20)).ids);
        check_pages(&mut core);
    }
}

#[test]
fn requests_under_way_are_told_that_their_weights_are_gone() {
    let (mut core, ticket) = under_way();
    let named = submit(&mut core, Request { weights: Some(2), ..request("a request", 20) });
    choose(&mut core, 1, InFlight::Abort);
    let waiting = submit(&mut core, request("not begun", 20));
    finish(&mut core);
    let error = "the weights were replaced before the request was done; send it again";
    assert_eq!(ticket.seen().error.as_deref(), Some(error));
    assert_eq!(spans(&named.seen()), [(2, 20)]);
    assert_eq!(spans(&waiting.seen()), [(1, 20)]);
    check_pages(&mut core);
}

#[test]
fn a_share_of_the_requests_tries_other_weights() {
    let mut core = core(Toy::new(64, 4), EngineOptions::default());
    core.changed(Change::WeightsInstalled(1));
    core.changed(Change::WeightsTried { weights: 1, permille: 500 });
    let tickets: Vec<Ticket> = (0..6).map(|_| submit(&mut core, request("a request", 10))).collect();
    core.step();
    // Those on trial stay with it whatever is chosen.
    choose(&mut core, 0, InFlight::Abort);
    finish(&mut core);
    let got: Vec<_> = tickets.iter().map(|ticket| spans(&ticket.seen())[0].0).collect();
    assert_eq!(got, [0, 1, 0, 1, 0, 1]);
    // The trial failed: what is under way goes over to the others.
    let late: Vec<Ticket> = (0..2).map(|_| submit(&mut core, request("another", 10))).collect();
    core.step();
    core.step();
    core.changed(Change::WeightsTried { weights: 1, permille: 0 });
    choose(&mut core, 0, InFlight::Recompute);
    finish(&mut core);
    assert_eq!(spans(&late[0].seen()), [(0, 10)]);
    assert_eq!(spans(&late[1].seen()), [(1, 2), (0, 8)]);
    core.changed(Change::WeightsRemoved(1));
    check_pages(&mut core);
}

#[test]
fn ends_are_counted_by_weights() {
    let mut toy = Toy::new(64, 4);
    toy.fails_at = Some(3);
    let mut core = core(toy, EngineOptions::default());
    core.changed(Change::WeightsInstalled(1));
    let before = submit(&mut core, request("before", 2));
    finish(&mut core);
    core.changed(Change::WeightsTried { weights: 1, permille: 1000 });
    // Its step fails.
    let on_trial = submit(&mut core, request("on trial", 4));
    finish(&mut core);
    assert!(before.seen().error.is_none() && on_trial.seen().error.is_some());
    let again = submit(&mut core, request("again", 4));
    finish(&mut core);
    assert!(again.seen().error.is_none());
    let ends = |completed, failed| crate::live::WeightsEnds { completed, failed, broken: 0 };
    let counted: Vec<_> = core.metrics.weights_ends.clone().into_iter().collect();
    assert_eq!(counted, [(0, ends(1, 0)), (1, ends(1, 1))]);
    core.changed(Change::WeightsRemoved(1));
    assert!(!core.metrics.weights_ends.contains_key(&1));
}

#[test]
fn what_runs_is_put_back_or_ended() {
    let (mut core, ticket) = under_way();
    core.changed(Change::PutBack);
    assert!(core.running.is_empty());
    finish(&mut core);
    assert_eq!(ticket.seen().ids, alone_with(0, request("a request", 20)).ids);
    let (mut core, ticket) = under_way();
    let waits = submit(&mut core, request("another", 4));
    core.changed(Change::Aborted);
    finish(&mut core);
    for ticket in [ticket, waits] {
        assert!(ticket.seen().error.unwrap().contains("send it again"));
    }
    check_pages(&mut core);
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
