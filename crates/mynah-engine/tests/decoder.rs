//! The engine over real decoders: small models with random weights from the tests of mynah-models.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use mynah_engine::SamplingOptions;
use mynah_engine::live::{
    Change, Codec, Engine, EngineHandle, EngineOptions, Event, InFlight, PromptLookup, Request, Sampling,
    StepModel, Usage,
};
use mynah_models::{Decoder, LoadOptions, Model};

/// Every token is a letter.
struct Letters(usize);

impl Codec for Letters {
    fn vocab_size(&self) -> usize {
        self.0
    }

    fn bytes(&self, id: u32) -> &[u8] {
        let at = id as usize % 26;
        &b"abcdefghijklmnopqrstuvwxyz"[at..=at]
    }

    fn is_special(&self, _: u32) -> bool {
        false
    }

    fn end_ids(&self) -> &[u32] {
        &[]
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().filter(u8::is_ascii_lowercase).map(|byte| u32::from(byte - b'a')).collect()
    }
}

fn folder(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../mynah-models/testdata")).join(name);
    if !folder.is_dir() {
        println!("the test data of mynah-models has no {name}: skipped");
        return None;
    }
    Some(folder)
}

fn open(family: &str) -> Option<Decoder> {
    let folder = folder(&format!("families/{family}"))?;
    let options =
        LoadOptions { cache_pages: Some(40), page_tokens: 16, max_slots: 8, ..LoadOptions::default() };
    Some(Decoder::open(folder.to_str()?, &options).unwrap())
}

fn start(model: Decoder, draft: Option<Decoder>, options: EngineOptions) -> EngineHandle {
    let codec = Arc::new(Letters(model.vocab_size()));
    let draft = draft.map(|draft| Box::new(draft) as Box<dyn StepModel>);
    Engine::start_with_draft(Box::new(model), draft, codec, options).unwrap()
}

/// Requests with a common beginning, some greedy, some sampled, one of several samples.
fn requests(vocab_size: usize, max_tokens: usize) -> Vec<Request> {
    let common = (0..20).map(|i| (i * 7 + 3) % vocab_size as u32);
    (0..5u32)
        .map(|number| {
            let prompt =
                common.clone().chain((0..=number).map(|i| (i * 5 + number) % vocab_size as u32)).collect();
            let temperature = if number % 2 == 0 { 0.0 } else { 0.8 };
            let options =
                SamplingOptions { temperature, seed: u64::from(number), ..SamplingOptions::default() };
            Request {
                max_tokens: Some(max_tokens),
                samples: if number == 3 { 2 } else { 1 },
                sampling: Sampling { options, ..Sampling::default() },
                ..Request::new(prompt)
            }
        })
        .collect()
}

fn collect(events: impl Iterator<Item = Event>) -> (Vec<Vec<u32>>, Usage) {
    let (mut ids, mut usage) = (vec![Vec::new(); 2], None);
    for event in events {
        match event {
            Event::Piece(piece) => ids[piece.sample].extend(piece.tokens.iter().map(|token| token.id)),
            Event::Done(done) => usage = Some(done),
            Event::Failed(failed) => panic!("{}", failed.0),
            Event::Prompt(_) | Event::Finished { .. } => {}
        }
    }
    (ids, usage.unwrap())
}

/// Alone, one after the other, against all together with small steps, shared pages and guesses.
fn check(family: &str) {
    let (Some(alone), Some(together), Some(draft)) = (open(family), open(family), open(family)) else {
        return;
    };
    let vocab_size = alone.vocab_size();
    let draft = (!draft.has_recurrent_state()).then_some(draft);
    let plain = EngineOptions { prefix_cache: false, draft_tokens_max: 0, ..EngineOptions::default() };
    let engine = start(alone, None, plain);
    let expect: Vec<_> = requests(vocab_size, 12)
        .into_iter()
        .map(|request| collect(engine.submit(request).unwrap()).0)
        .collect();
    let options = EngineOptions {
        step_tokens: 7,
        prompt_lookup: Some(PromptLookup::default()),
        ..EngineOptions::default()
    };
    let engine = start(together, draft, options);
    for round in 0..2 {
        let all: Vec<_> =
            requests(vocab_size, 12).into_iter().map(|request| engine.submit(request).unwrap()).collect();
        for (number, (events, expect)) in all.into_iter().zip(&expect).enumerate() {
            let (ids, _) = collect(events);
            assert_eq!(ids, *expect, "{family}, request {number}, round {round}");
        }
    }
    engine.drain();
    engine.join();
    let metrics = engine.metrics();
    assert_eq!((metrics.pages_used, metrics.completed, metrics.failures), (0, 10, 0));
}

#[test]
fn decoders_give_the_same_alone_and_together() {
    for family in ["llama", "qwen3", "gemma3", "mixtral", "gpt2"] {
        check(family);
    }
}

#[test]
fn recurrent_decoders_give_the_same_alone_and_together() {
    check("nemotron_h");
}

#[test]
fn adapters_come_and_go_under_traffic() {
    let (Some(model), Some(folder)) = (open("qwen3"), folder("adapters/qwen3")) else { return };
    let vocab_size = model.vocab_size();
    let engine = start(model, None, EngineOptions::default());
    let run = |adapter: Option<u32>| {
        let request = Request { adapter, ..requests(vocab_size, 12).remove(0) };
        collect(engine.submit(request).unwrap()).0
    };
    let base = run(None);
    let adapter = engine
        .between_steps(move |model| {
            let model: &mut dyn Any = model;
            let number = model.downcast_mut::<Decoder>().unwrap().load_adapter(&folder).unwrap();
            (Change::AdapterLoaded(number), number)
        })
        .unwrap();
    assert_ne!(run(Some(adapter)), base);
    assert_eq!(run(None), base);
    engine
        .between_steps(move |model| {
            let model: &mut dyn Any = model;
            model.downcast_mut::<Decoder>().unwrap().unload_adapter(adapter).unwrap();
            (Change::AdapterUnloaded(adapter), ())
        })
        .unwrap();
    let late = Request { adapter: Some(adapter), ..requests(vocab_size, 12).remove(0) };
    assert!(matches!(engine.submit(late).unwrap().last(), Some(Event::Failed(_))));
    assert_eq!(run(None), base);
}

#[test]
fn weights_are_exchanged_under_traffic() {
    let (Some(model), Some(path)) = (open("qwen3"), folder("families/qwen3")) else { return };
    let vocab_size = model.vocab_size();
    let engine = start(model, None, EngineOptions::default());
    let run = |weights: Option<u32>| {
        let request = Request { weights, ..requests(vocab_size, 12).remove(0) };
        collect(engine.submit(request).unwrap()).0
    };
    let base = run(None);
    // The same bytes again: a placebo changes nothing.
    let again = Arc::new(Model::open(path.to_str().unwrap(), &LoadOptions::default()).unwrap());
    engine
        .between_steps(move |model| {
            let model: &mut dyn Any = model;
            model.downcast_mut::<Decoder>().unwrap().install(1, again).unwrap();
            (Change::WeightsInstalled(1), ())
        })
        .unwrap();
    let under_way = engine.submit(requests(vocab_size, 12).remove(0)).unwrap();
    let chosen = Change::WeightsChosen { weights: 1, in_flight: InFlight::Continue };
    engine.between_steps(move |_| (chosen, ())).unwrap();
    assert_eq!(collect(under_way).0, base);
    assert_eq!(run(None), base);
    let removed = engine
        .between_steps(|model| {
            let model: &mut dyn Any = model;
            (Change::WeightsRemoved(0), model.downcast_mut::<Decoder>().unwrap().remove(0).is_ok())
        })
        .unwrap();
    assert!(removed);
    assert_eq!(run(None), base);
    assert_eq!(engine.metrics().weights, 1);
}
