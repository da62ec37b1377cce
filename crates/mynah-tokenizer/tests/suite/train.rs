//! Training against a readable reference, and its settings.

use std::collections::BTreeMap;

use mynah_base::Rng;
use mynah_tokenizer::{ErrorKind, TrainOptions, Trainer, pattern};

use crate::{fuzzed, train_with};

/// The textbook algorithm: count all pairs anew in every step.
fn reference(documents: &[String], pattern: &pattern::Pattern, merges_max: usize) -> Vec<Vec<u8>> {
    let chunks = documents.iter().flat_map(|document| pattern.split(document));
    let mut words: Vec<Vec<u32>> = chunks.map(|chunk| chunk.bytes().map(u32::from).collect()).collect();
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    for _ in 0..merges_max {
        let mut counts: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for word in &words {
            word.windows(2).for_each(|pair| *counts.entry((pair[0], pair[1])).or_default() += 1);
        }
        let Some(highest) = counts.values().max() else { break };
        let best = counts.iter().find(|(_, count)| *count == highest).unwrap().0;
        let new = tokens.len() as u32;
        tokens.push([tokens[best.0 as usize].clone(), tokens[best.1 as usize].clone()].concat());
        for word in &mut words {
            let mut at = 0;
            while at + 1 < word.len() {
                if (word[at], word[at + 1]) == *best {
                    word[at] = new;
                    word.remove(at + 1);
                }
                at += 1;
            }
        }
    }
    tokens.split_off(256)
}

#[test]
fn agrees_with_the_textbook() {
    for seed in 0..24 {
        let mut rng = Rng::new(seed);
        let few_letters =
            |rng: &mut Rng| (0..60).map(|_| *rng.choose(&['a', 'b', 'c', ' '])).collect::<String>();
        let documents: Vec<String> = (0..6)
            .map(|_| if seed % 2 == 0 { few_letters(&mut rng) } else { fuzzed(&mut rng, 12) })
            .collect();
        for pattern in [pattern::GPT4_2, pattern::GPT2, pattern::custom("(?s).+").unwrap()] {
            let expected = reference(&documents, &pattern, 120);
            for threads in [1, 2] {
                let options = TrainOptions {
                    vocab_size: 256 + 9 + 120,
                    pattern: pattern.clone(),
                    threads: Some(threads),
                    ..TrainOptions::default()
                };
                let (tokenizer, _) = train_with(&documents, options);
                let found: Vec<Vec<u8>> = (256..tokenizer.vocab_size() as u32 - 9)
                    .map(|id| tokenizer.token(id).unwrap().to_vec())
                    .collect();
                assert_eq!(found, expected, "seed {seed} {pattern:?} threads {threads}");
            }
        }
    }
}

#[test]
fn nothing_to_learn_gives_bytes() {
    for documents in [vec![], vec![""], vec!["a", "b", ""]] {
        let (tokenizer, report) = train_with(&documents, TrainOptions::default());
        assert_eq!(tokenizer.vocab_size(), 256 + 9);
        assert_eq!((report.merges, report.documents), (0, documents.len() as u64));
        assert_eq!(tokenizer.decode_string(&tokenizer.encode_ordinary("bird")), "bird");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let check = |options: TrainOptions, part: &str| {
        let error = Trainer::new(options).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(part), "{error}");
    };
    check(
        TrainOptions { vocab_size: 264, ..TrainOptions::default() },
        "a vocabulary of 264 tokens: give 265",
    );
    check(TrainOptions { vocab_size: usize::MAX, ..TrainOptions::default() }, "2097151");
    check(TrainOptions { chunk_bytes_max: 0, ..TrainOptions::default() }, "give 1 KiB to 1 GiB");
}

#[test]
fn memory_stays_within_the_bound() {
    // Five frequent words and half a million rare ones, in documents of half a batch.
    let mut rng = Rng::new(2);
    let mut document = String::new();
    while document.len() < 17 << 20 {
        if rng.chance(0.7) {
            document.push_str(rng.choose::<&str>(&[" mynah", " bird", " wire", " song", " listens"]));
        } else {
            document.push_str(&format!(" w{}x", (b'a' + rng.below(26) as u8) as char));
            (0..3).for_each(|_| document.push((b'a' + rng.below(26) as u8) as char));
        }
    }
    let documents = [document.as_str(), document.as_str(), "a last one"];
    let train = |chunk_bytes_max, threads| {
        let options = TrainOptions {
            vocab_size: 300,
            chunk_bytes_max,
            threads: Some(threads),
            ..TrainOptions::default()
        };
        let (tokenizer, report) = train_with(&documents, options);
        (tokenizer.digest(), report)
    };
    let (digest, bounded) = train(64 << 10, 1);
    assert!(bounded.unique_chunks <= 1_024 && bounded.chunks_dropped > 100_000, "{bounded:?}");
    assert_eq!(train(64 << 10, 3), (digest, bounded), "the threads change what is forgotten");
}
