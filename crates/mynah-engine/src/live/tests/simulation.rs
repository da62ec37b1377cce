//! Seeded random traffic: whatever happens around a request, it gets what it gets alone.

use mynah_base::Rng;

use super::toy::Toy;
use super::*;
use crate::SamplingOptions;
use crate::live::draft::Drafter;
use crate::live::{InFlight, Sampling};

/// A random request; equal numbers give equal requests.
fn request(rng: &mut Rng, context: usize) -> Request {
    let common = ["", "you are a helpful bird. ", "you are a helpful bird. answer in one word: "];
    let mut prompt: Vec<u32> = rng.choose(&common).bytes().map(u32::from).collect();
    prompt.extend((0..1 + rng.index(20)).map(|_| 97 + rng.index(4) as u32));
    prompt.truncate(context / 2);
    let max_tokens = rng.index((context - prompt.len()).min(40)) + usize::from(rng.chance(0.95));
    let options = SamplingOptions {
        temperature: if rng.chance(0.4) { 0.0 } else { rng.uniform_in(0.3, 1.5) },
        top_k: if rng.chance(0.3) { 1 + rng.index(8) } else { 0 },
        top_p: if rng.chance(0.3) { rng.uniform_in(0.3, 1.0) } else { 1.0 },
        min_p: if rng.chance(0.2) { rng.uniform_in(0.0, 0.5) } else { 0.0 },
        seed: rng.next_u64(),
    };
    let sampling = Sampling {
        options,
        repetition_penalty: if rng.chance(0.2) { 1.3 } else { 1.0 },
        presence_penalty: if rng.chance(0.2) { 0.7 } else { 0.0 },
        frequency_penalty: if rng.chance(0.2) { 0.2 } else { 0.0 },
        logit_bias: if rng.chance(0.2) { vec![(98, 2.0)] } else { Vec::new() },
        ..Sampling::default()
    };
    Request {
        samples: if rng.chance(0.25) { 1 + rng.index(5) } else { 1 },
        max_tokens: Some(max_tokens.min(context - prompt.len())),
        sampling,
        stop_texts: if rng.chance(0.3) { vec!["abc".into(), "dd".into()] } else { Vec::new() },
        include_stop_text: rng.chance(0.5),
        ignore_end: rng.chance(0.3),
        logprobs: rng.chance(0.2).then(|| rng.index(4)),
        prompt_logprobs: rng.chance(0.1).then_some(1),
        adapter: rng.chance(0.2).then(|| rng.index(2) as u32),
        priority: rng.index(3) as i32,
        client: rng.index(4).to_string(),
        ..Request::new(prompt)
    }
}

/// What must be equal: everything but how it was cut into events.
fn outcome(seen: &Seen) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut tokens = vec![String::new(); seen.ids.len()];
    for event in &seen.events {
        match event {
            Event::Piece(piece) => {
                tokens[piece.sample] += &format!("{:?}", piece.tokens).replace(['[', ']'], "")
            }
            Event::Prompt(read) => tokens[0] += &format!("{:?}", read.logprobs),
            _ => {}
        }
    }
    let tokens: Vec<String> =
        tokens.into_iter().map(|text| text.replace("PieceToken", "").replace(", ", "")).collect();
    (seen.texts.clone(), seen.ids.clone(), seen.finishes.clone(), tokens)
}

/// Installs weights, gives them all requests to come or some of them, and takes out what nobody uses.
fn exchange(core: &mut Core, weights: u32, rng: &mut Rng) {
    core.changed(Change::WeightsInstalled(weights));
    if rng.chance(0.5) {
        core.changed(Change::WeightsTried { weights, permille: rng.index(1000) as u32 });
    } else {
        core.changed(Change::WeightsTried { weights: 0, permille: 0 });
        core.changed(Change::WeightsChosen { weights, in_flight: InFlight::Finish });
    }
    core.measure();
    let in_use: Vec<u32> = core.metrics.weights_requests.keys().copied().collect();
    for old in 0..weights {
        if old != core.metrics.weights && !in_use.contains(&old) {
            core.changed(Change::WeightsRemoved(old));
        }
    }
}

/// The weights that chose all tokens of a request; nothing when there were several.
fn only_weights(seen: &Seen) -> Option<u32> {
    let mut found = Vec::new();
    for event in &seen.events {
        if let Event::Finished { spans, .. } = event {
            found.extend(spans.iter().map(|span| span.weights));
        }
    }
    found.dedup();
    (found.len() <= 1).then(|| found.first().copied().unwrap_or(0))
}

/// Runs traffic of one seed; gives the counters.
fn simulate(seed: u64) -> crate::live::Metrics {
    let mut rng = Rng::new(seed);
    let page_tokens = 1 + rng.index(6);
    let pages = 12 + rng.index(50);
    let mut toy = Toy::new(pages, page_tokens).with_alphabet(b"abcd");
    toy.context = 20 + rng.index(100);
    if rng.chance(0.15) {
        let slots = 1 + rng.index(4);
        toy = toy.recurrent(slots);
    }
    let mut plenty = Toy::new(400, page_tokens).with_alphabet(b"abcd");
    plenty.context = toy.context;
    let context = toy.context.min(pages * page_tokens);
    let options = EngineOptions {
        running_max: 1 + rng.index(12),
        step_tokens: 1 + rng.index(60),
        prefix_cache: rng.chance(0.8),
        aging_steps: 1 + rng.index(100) as u64,
        ..EngineOptions::default()
    };
    let speculates = rng.chance(0.5);
    let options = EngineOptions {
        draft_tokens_max: 1 + rng.index(6),
        prompt_lookup: speculates.then(crate::live::PromptLookup::default),
        ..options
    };
    let note = format!("seed {seed}, {pages} pages of {page_tokens}, {options:?}");
    let mut core = core(toy, options);
    if rng.chance(0.4) {
        // Right about half of the time: it has other weights for the adapters, and few pages.
        let draft = Toy::new(10 + rng.index(30), page_tokens).with_alphabet(b"abcd");
        core.drafter = Some(Drafter::new(Box::new(draft), super::toy::VOCAB, 16).unwrap());
    }
    let mut open: Vec<(Ticket, u64, bool)> = Vec::new();
    let swaps = rng.chance(0.5);
    let mut weights = 0;
    for _ in 0..25 {
        for _ in 0..rng.index(4) {
            let at = rng.next_u64();
            let ticket = submit(&mut core, request(&mut Rng::new(at), context));
            open.push((ticket, at, false));
        }
        for _ in 0..rng.index(12) {
            core.step();
        }
        if swaps && rng.chance(0.3) {
            weights += 1;
            exchange(&mut core, weights, &mut rng);
        }
        if rng.chance(0.3) && !open.is_empty() {
            let at = rng.index(open.len());
            let (ticket, _, cancelled) = &mut open[at];
            if !ticket.is_over() {
                ticket.cancel.cancel();
                core.step();
                *cancelled = true;
                assert!(ticket.is_over(), "cancelling takes more than a step: {note}");
            }
        }
    }
    finish(&mut core);
    for (number, (ticket, at, cancelled)) in open.iter().enumerate() {
        let seen = ticket.seen();
        assert_eq!(seen.error, None, "request {number}: {note}");
        let weights = only_weights(&seen).unwrap_or_else(|| panic!("request {number} is mixed: {note}"));
        let expect = &alone_on(plenty.clone(), weights, request(&mut Rng::new(*at), context));
        if *cancelled {
            for (text, whole) in seen.texts.iter().zip(&expect.texts) {
                // What was held back as the beginning of a stop text comes out in the end.
                let certain = &text[..text.len().saturating_sub(2)];
                assert!(whole.starts_with(certain), "request {number}: {text:?} {whole:?} {note}");
            }
        } else {
            assert_eq!(outcome(&seen), outcome(expect), "request {number}: {note}");
            let (found, expect) = (seen.usage.unwrap(), expect.usage.unwrap());
            assert_eq!(found.completion_tokens, expect.completion_tokens, "request {number}: {note}");
        }
    }
    let metrics = core.metrics.clone();
    check_pages(&mut core);
    metrics
}

#[test]
fn every_request_gets_what_it_gets_alone() {
    let (mut preempted, mut hits, mut accepted, mut rejected) = (0, 0, 0, 0);
    for seed in 0..60 {
        let metrics = simulate(seed);
        preempted += metrics.preemptions;
        hits += metrics.prefix_hit_tokens;
        accepted += metrics.accepted_tokens;
        rejected += metrics.drafted_tokens - metrics.accepted_tokens;
    }
    // The traffic is hard enough to mean something.
    assert!(preempted > 100 && hits > 1000, "{preempted} preemptions, {hits} tokens found");
    assert!(accepted > 1000 && rejected > 1000, "{accepted} guesses right, {rejected} wrong");
}

#[test]
fn the_same_traffic_gives_the_same_steps() {
    let (mut a, mut b) = (simulate(7), simulate(7));
    for metrics in [&mut a, &mut b] {
        metrics.step_time_counts = [0; 13];
        metrics.step_time_total_us = 0;
    }
    assert_eq!(a, b);
}
