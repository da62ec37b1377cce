//! The generator on a real (untrained) GPT: cached equals uncached, a batch equals its rows alone.

use std::ops::ControlFlow;

use mynah_base::Rng;
use mynah_engine::{
    Completion, ErrorKind, Finish, Generator, GptModel, Limits, Request, SamplingOptions, TextCodec,
};
use mynah_nn::{Gpt, GptConfig};
use mynah_tensor::{Tensor, no_grad};

const VOCAB: usize = 96;

struct Letters;

impl TextCodec for Letters {
    fn bytes(&self, id: u32) -> &[u8] {
        const ALL: [u8; VOCAB] = {
            let mut all = [0; VOCAB];
            let mut at = 0;
            while at < VOCAB {
                all[at] = 32 + at as u8;
                at += 1;
            }
            all
        };
        ALL.get(id as usize).map_or(&[], std::slice::from_ref)
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(|byte| u32::from(byte) - 32).collect()
    }
}

/// A model with all its switches on whose weights are large enough to have opinions.
fn model() -> Gpt {
    let config = GptConfig {
        sequence_len: 64,
        vocab_size: VOCAB,
        n_layer: 4,
        n_head: 4,
        n_kv_head: 2,
        n_embd: 64,
        short_window: Some(9),
        ..GptConfig::default()
    };
    let mut rng = Rng::new(4);
    Gpt::from_values(config, |_, shape| {
        let scale = 1.5 / (*shape.last().unwrap() as f64).sqrt();
        Ok((0..shape.iter().product()).map(|_| (rng.normal() * scale) as f32).collect())
    })
    .unwrap()
}

fn generate(model: &Gpt, request: &Request) -> Vec<Completion> {
    let model = GptModel(model);
    Generator::new(&model, &Letters).generate(request, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn request(prompt: &[u32], rows: usize, options: SamplingOptions) -> Request {
    let limits = Limits { max_tokens: 30, ..Limits::default() };
    Request { prompt: prompt.to_vec(), rows, first_row: 0, options, limits }
}

#[test]
fn cached_equals_uncached_token_for_token() {
    let model = model();
    let prompt = [5, 17, 3, 42, 8];
    let found = generate(&model, &request(&prompt, 1, SamplingOptions::greedy()));
    let mut ids: Vec<i64> = prompt.iter().map(|&id| i64::from(id)).collect();
    for step in 0..30 {
        let logits = no_grad(|| {
            let ids = Tensor::from_vec(ids.clone(), &[1, ids.len()]).unwrap();
            model.logits(&ids).unwrap().to_vec::<f32>().unwrap()
        });
        let (id, _) = mynah_engine::greatest(&logits[logits.len() - VOCAB..]).unwrap();
        assert_eq!(found[0].ids[step], id, "step {step}");
        ids.push(i64::from(id));
    }
    assert_eq!(found[0].finish, Finish::MaxTokens);
}

#[test]
fn rows_of_a_batch_are_the_rows_alone() {
    let model = model();
    let options = SamplingOptions { temperature: 0.8, top_k: 20, seed: 6, ..Default::default() };
    let limits = Limits { max_tokens: 30, stop_ids: vec![1, 2, 3, 4, 5, 6, 7], ..Limits::default() };
    let batch = Request { limits, ..request(&[5, 17, 3], 12, options) };
    let together = generate(&model, &batch);
    for (row, completion) in together.iter().enumerate() {
        let alone = generate(&model, &Request { rows: 1, first_row: row as u64, ..batch.clone() });
        assert_eq!(&alone[0], completion, "row {row}");
    }
    assert!(together.iter().any(|row| row.finish != together[0].finish || row.ids != together[0].ids));
}

#[test]
fn many_prompts_are_answered_as_alone() {
    let model = model();
    let mut rng = Rng::new(8);
    let prompts: Vec<Vec<u32>> =
        (0..100).map(|_| (0..1 + rng.index(25)).map(|_| rng.below(VOCAB as u64) as u32).collect()).collect();
    let limits = Limits { max_tokens: 20, stop_ids: vec![1, 2, 3], ..Limits::default() };
    let wrapped = GptModel(&model);
    let generator = Generator::new(&wrapped, &Letters);
    let together = generator.answer_all(&prompts, &SamplingOptions::greedy(), &limits).unwrap();
    for (prompt, completion) in prompts.iter().zip(&together) {
        let request = Request { limits: limits.clone(), ..request(prompt, 1, SamplingOptions::greedy()) };
        assert_eq!(&generate(&model, &request)[0], completion);
    }
}

#[test]
fn the_context_is_a_limit_with_a_clear_error() {
    let model = model();
    let wrapped = GptModel(&model);
    let generator = Generator::new(&wrapped, &Letters);
    let long = request(&[7; 65], 1, SamplingOptions::greedy());
    let error = generator.generate(&long, &mut |_, _| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Prompt);
    assert!(
        error.to_string().contains("65 tokens") && error.to_string().contains("context is 64"),
        "{error}"
    );
    let full = generate(&model, &request(&[7; 60], 2, SamplingOptions::greedy()));
    assert_eq!((full[1].ids.len(), &full[1].finish), (4, &Finish::ContextFull));
}
