//! Single requests: what is generated, why it ends, what the client is told.

use super::toy::{CALL, END, Toy, ToyCodec};
use super::*;
use crate::live::{Codec, PieceToken, Sampling, StopCause};
use crate::{ErrorKind, SamplingOptions, greatest};

fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

fn greedy(prompt: &str, max_tokens: usize) -> Request {
    Request { max_tokens: Some(max_tokens), sampling: Sampling::greedy(), ..Request::new(ids(prompt)) }
}

/// The greedy completion by the model's own logits, without an engine.
fn oracle(toy: &Toy, prompt: &[u32], max_tokens: usize) -> (Vec<u32>, Finish) {
    let mut tokens = prompt.to_vec();
    for _ in 0..max_tokens {
        let (id, _) = greatest(&toy.logits(&tokens, None)).unwrap();
        if id == END {
            return (tokens[prompt.len()..].to_vec(), Finish::Stop(StopCause::End(END)));
        }
        tokens.push(id);
    }
    (tokens[prompt.len()..].to_vec(), Finish::Length)
}

#[test]
fn greedy_requests_together_are_what_the_model_says() {
    for step_tokens in [1, 3, 1000] {
        let toy = Toy::new(64, 4).with_alphabet(b"abcdefghi ");
        let options = EngineOptions { step_tokens, ..EngineOptions::default() };
        let mut core = core(toy.clone(), options);
        let prompts: Vec<String> =
            (0..12).map(|i| "the prompt ".repeat(1 + i % 3) + &i.to_string()).collect();
        let tickets: Vec<Ticket> =
            prompts.iter().map(|prompt| submit(&mut core, greedy(prompt, 20))).collect();
        finish(&mut core);
        let mut ended = 0;
        for (prompt, ticket) in prompts.iter().zip(&tickets) {
            let (expect, finish) = oracle(&toy, &ids(prompt), 20);
            let seen = ticket.seen();
            assert_eq!(seen.ids[0], expect, "{prompt}");
            assert_eq!(seen.texts[0].as_bytes(), expect.iter().map(|&id| id as u8).collect::<Vec<_>>());
            assert_eq!(seen.finishes[0], Some(finish.clone()));
            ended += usize::from(finish != Finish::Length);
            let usage = seen.usage.unwrap();
            assert_eq!(usage.prompt_tokens, prompt.len());
            assert_eq!(usage.completion_tokens, expect.len() + usize::from(finish != Finish::Length));
        }
        assert!((1..12).contains(&ended), "both ends should be tested: {ended}");
        check_pages(&mut core);
    }
}

#[test]
fn prompts_are_cut_into_steps_and_writers_go_first() {
    let mut toy = Toy::new(64, 4);
    toy.alphabet = ids("abcd");
    let options = EngineOptions { step_tokens: 8, ..EngineOptions::default() };
    let mut core = core(toy, options);
    let first = submit(&mut core, greedy("ab", 40));
    core.step();
    let _second = submit(&mut core, greedy(&"x".repeat(50), 1));
    for step in 0..6 {
        let before = first.seen().ids[0].len();
        core.step();
        assert_eq!(first.seen().ids[0].len(), before + 1, "the writer waits in step {step}");
    }
    finish(&mut core);
    let toy = (core.model.as_ref() as &dyn std::any::Any).downcast_ref::<Toy>().unwrap();
    assert_eq!(toy.step_tokens_max, 8);
}

#[test]
fn lengths_are_refused_with_the_numbers() {
    let facts = ModelFacts::of(&Toy::new(64, 4)).unwrap();
    let message = |request: Request| {
        let error = check(request, &facts, compiler).map(|_| ()).unwrap_err();
        (error.kind(), error.to_string())
    };
    assert_eq!(
        message(greedy(&"x".repeat(200), 57)),
        (
            ErrorKind::Prompt,
            "the prompt has 200 tokens and max_tokens is 57, 257 together; the model's context is 256 tokens"
                .to_string()
        )
    );
    assert!(message(Request::new(ids(&"x".repeat(256)))).1.contains("leaves no room"));
    assert!(message(Request::new(vec![])).1.contains("empty"));
    assert!(message(Request::new(vec![5, 260])).1.contains("token 1 of the prompt is 260"));
    assert_eq!(message(Request { samples: 0, ..greedy("a", 1) }).0, ErrorKind::Option);
    assert_eq!(message(Request { stop_texts: vec![String::new()], ..greedy("a", 1) }).0, ErrorKind::Option);
    assert_eq!(message(Request { logprobs: Some(101), ..greedy("a", 1) }).0, ErrorKind::Option);
    assert_eq!(message(Request { priority: 101, ..greedy("a", 1) }).0, ErrorKind::Option);
    // Too little memory is said to be that.
    let small = ModelFacts::of(&Toy::new(4, 4)).unwrap();
    let error = check(greedy("abcd", 20), &small, compiler).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("holds 16 (the model could read 256)"), "{error}");
    let (spec, _) = check(Request::new(ids("abc")), &facts, compiler).unwrap();
    assert_eq!(spec.max_tokens, 253);
}

#[test]
fn stop_texts_and_tokens_end_a_completion() {
    let toy = Toy::new(64, 4);
    let whole = alone(toy.clone(), Request { ignore_end: true, ..greedy("hello", 30) });
    let id = whole.ids[0][7];
    let at = whole.ids[0].iter().position(|&other| other == id).unwrap();
    let by_id = alone(toy.clone(), Request { stop_ids: vec![id], ignore_end: true, ..greedy("hello", 30) });
    assert_eq!(by_id.ids[0], whole.ids[0][..at]);
    assert_eq!(by_id.finishes[0], Some(Finish::Stop(StopCause::Token(id))));
    assert_eq!(by_id.usage.unwrap().completion_tokens, at + 1);
    // A stop text of letters over several tokens.
    let mut toy = toy;
    toy.alphabet = ids("abcd");
    let whole = alone(toy.clone(), Request { ignore_end: true, ..greedy("hello", 30) });
    let stop = whole.texts[0][10..13].to_string();
    let at = whole.texts[0].find(&stop).unwrap();
    for include in [false, true] {
        let request = Request {
            stop_texts: vec!["never".to_string(), stop.clone()],
            include_stop_text: include,
            logprobs: Some(0),
            ignore_end: true,
            ..greedy("hello", 30)
        };
        let seen = alone(toy.clone(), request);
        let end = if include { at + 3 } else { at };
        assert_eq!(seen.texts[0], whole.texts[0][..end]);
        assert_eq!(seen.ids[0], whole.ids[0][..end], "tokens of a hidden stop text are hidden");
        assert_eq!(seen.finishes[0], Some(Finish::Stop(StopCause::Text(stop.clone()))));
    }
}

#[test]
fn special_tokens_show_their_names_only_when_asked_for() {
    let mut toy = Toy::new(64, 4);
    toy.alphabet = vec![CALL];
    let hidden = alone(toy.clone(), greedy("a", 2));
    assert_eq!((hidden.texts[0].as_str(), hidden.ids[0].len()), ("", 2));
    let shown = alone(toy, Request { show_special: true, ..greedy("a", 2) });
    assert_eq!(shown.texts[0], "<|call|><|call|>");
}

#[test]
fn log_probabilities_are_the_models_own() {
    let toy = Toy::new(64, 4);
    let prompt = ids("log probabilities of a longer prompt than one chunk can hold, with some more words");
    let request = Request {
        max_tokens: Some(3),
        logprobs: Some(2),
        prompt_logprobs: Some(1),
        sampling: Sampling { logit_bias: vec![(65, 50.0)], ..Sampling::greedy() },
        ..Request::new(prompt.clone())
    };
    let seen = alone(toy.clone(), request);
    let softmax = |tokens: &[u32]| {
        let row: Vec<f64> = toy.logits(tokens, None).iter().map(|&x| f64::from(x)).collect();
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        row.into_iter().map(|x| (x - sum.ln()) as f32).collect::<Vec<f32>>()
    };
    let Event::Prompt(read) = &seen.events[0] else { panic!("{:?}", seen.events[0]) };
    let scored = read.logprobs.as_ref().unwrap();
    assert_eq!(scored.len(), prompt.len() - 1);
    for (at, found) in scored.iter().enumerate() {
        let expect = softmax(&prompt[..=at]);
        assert_eq!(found.id, prompt[at + 1]);
        assert!((found.logprob - expect[prompt[at + 1] as usize]).abs() < 1e-4);
        assert_eq!(found.top[0].0, greatest(&expect).unwrap().0);
    }
    let Event::Piece(piece) = &seen.events[1] else { panic!("{:?}", seen.events[1]) };
    let PieceToken { id, logprobs } = &piece.tokens[0];
    let expect = softmax(&prompt);
    let logprobs = logprobs.as_ref().unwrap();
    // The bias chooses, but is not in the numbers.
    assert_eq!((*id, logprobs.top.len()), (65, 2));
    assert!((logprobs.logprob - expect[65]).abs() < 1e-4);
    assert_eq!(logprobs.top[0].0, greatest(&expect).unwrap().0);
}

#[test]
fn text_is_never_split_and_broken_bytes_are_replaced() {
    let mut toy = Toy::new(64, 4);
    toy.alphabet = "é🐦".bytes().map(u32::from).collect();
    for seed in 0..20 {
        let options = SamplingOptions { seed, ..SamplingOptions::default() };
        let sampling = Sampling { options, ..Sampling::default() };
        let seen = alone(toy.clone(), Request { sampling, ..greedy("x", 40) });
        let codec = ToyCodec::new();
        let bytes: Vec<u8> = seen.ids[0].iter().flat_map(|&id| codec.bytes(id)).copied().collect();
        assert_eq!(seen.texts[0], String::from_utf8_lossy(&bytes), "seed {seed}");
        assert_eq!(seen.ids[0].len(), 40);
    }
}

#[test]
fn no_tokens_only_reads_the_prompt() {
    let seen = alone(Toy::new(64, 4), greedy("warm", 0));
    assert_eq!(seen.finishes[0], Some(Finish::Length));
    assert_eq!(seen.usage.unwrap().completion_tokens, 0);
    assert!(seen.texts[0].is_empty());
}

#[test]
fn a_failing_step_fails_its_requests_and_nothing_else() {
    let mut toy = Toy::new(64, 4);
    toy.fails_at = Some(3);
    let mut core = core(toy, EngineOptions::default());
    let first = submit(&mut core, greedy("one", 10));
    finish(&mut core);
    assert_eq!(first.seen().error.as_deref(), Some("the toy fails as it was told"));
    let second = submit(&mut core, greedy("one", 10));
    finish(&mut core);
    assert_eq!(second.seen().ids[0].len(), 10);
    assert_eq!((core.metrics.failures, core.metrics.completed), (1, 1));
    check_pages(&mut core);
}

#[test]
fn an_unknown_adapter_fails_alone() {
    let mut core = core(Toy::new(64, 4), EngineOptions::default());
    let wrong = submit(&mut core, Request { adapter: Some(7), ..greedy("one", 10) });
    let base = submit(&mut core, greedy("one", 10));
    let adapted = submit(&mut core, Request { adapter: Some(1), ..greedy("one", 10) });
    finish(&mut core);
    assert_eq!(wrong.seen().error.as_deref(), Some("no adapter is loaded under the number 7"));
    assert_eq!(base.seen().ids[0].len(), 10);
    assert_ne!(base.seen().ids, adapted.seen().ids);
    check_pages(&mut core);
}

#[test]
fn samples_of_one_prompt_share_its_pages_and_differ() {
    let mut core = core(Toy::new(64, 4), EngineOptions::default());
    let options = SamplingOptions { seed: 3, ..SamplingOptions::default() };
    let sampling = Sampling { options, ..Sampling::default() };
    let prompt = "forty-two tokens of prompt for everybody..";
    let request =
        || Request { samples: 8, sampling: sampling.clone(), ignore_end: true, ..greedy(prompt, 6) };
    let ticket = submit(&mut core, request());
    core.step();
    // Ten full pages together, and for each sample the rest of the prompt.
    assert_eq!((core.metrics.running, core.metrics.pages_used), (8, 10 + 8));
    finish(&mut core);
    let seen = ticket.seen();
    for (sample, ids) in seen.ids.iter().enumerate() {
        assert_eq!(ids.len(), 6);
        assert!(seen.ids[..sample].iter().all(|other| other != ids), "{seen:?}");
    }
    assert_eq!(seen.usage, Some(Usage { prompt_tokens: 42, cached_tokens: 0, completion_tokens: 48 }));
    check_pages(&mut core);
}

#[test]
fn a_failing_draft_model_costs_only_time() {
    let mut draft = Toy::new(64, 4);
    draft.fails_at = Some(2);
    let mut core = core(Toy::new(64, 4), EngineOptions::default());
    core.drafter = Some(crate::live::draft::Drafter::new(Box::new(draft), super::toy::VOCAB, 64).unwrap());
    let request = || Request { ignore_end: true, ..greedy("drafted", 30) };
    let ticket = submit(&mut core, request());
    finish(&mut core);
    assert_eq!(ticket.seen().ids, alone(Toy::new(64, 4), request()).ids);
    assert_eq!(core.metrics.draft_failures, 1);
    // The draft model is the model itself here, so all its guesses are right.
    assert!(core.metrics.accepted_tokens > 15 && core.metrics.steps < 15, "{:?}", core.metrics);
    check_pages(&mut core);
}

#[test]
fn draft_models_that_do_not_fit_are_refused() {
    let refused = |model: Toy, vocab_size: usize| {
        crate::live::draft::Drafter::new(Box::new(model), vocab_size, 64).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refused(Toy::new(4, 4), 300).contains("the draft model has 260 token ids, the model 300"));
    assert!(refused(Toy::new(4, 4).recurrent(2), super::toy::VOCAB).contains("recurrent"));
}

#[test]
fn a_prompt_that_is_still_being_read_is_shared_already() {
    let options = EngineOptions { step_tokens: 16, ..EngineOptions::default() };
    let mut core = core(Toy::new(100, 4), options);
    let prompt = "one long beginning of two requests that come at the same time";
    let tickets = [1, 2].map(|number| submit(&mut core, greedy(&format!("{prompt} {number}"), 3)));
    finish(&mut core);
    // All but the last step of the first one's prompt.
    assert_eq!(tickets[1].seen().usage.unwrap().cached_tokens, prompt.len() / 16 * 16);
    for (number, ticket) in (1..).zip(tickets) {
        let expect = alone(Toy::new(100, 4), greedy(&format!("{prompt} {number}"), 3));
        assert_eq!(ticket.seen().ids, expect.ids);
    }
    check_pages(&mut core);
}
