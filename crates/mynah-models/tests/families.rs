//! Every family against the logits of `transformers`, whole, token by token, in chunks and in a batch.

mod common;

use std::path::Path;

use common::{difference, golden, open, open_with, options, run, testdata};
use mynah_models::{Decoder, LoadOptions, Logits, Segment};

/// Largest difference to the golden logits.
const CLOSE: f32 = 1e-4;

#[test]
fn logits_are_those_of_transformers() {
    let mut count = 0;
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(testdata().join("families")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let worst = std::panic::catch_unwind(|| check(&path)).unwrap_or(f32::INFINITY);
        println!("{}: {worst:e}", path.file_name().unwrap().display());
        if worst > CLOSE {
            failed.push((path, worst));
        }
        count += 1;
    }
    assert!(failed.is_empty(), "too far from the golden logits: {failed:?}");
    assert!(count > 0, "no goldens");
}

/// The difference to the golden logits, having checked that every way to read the prompt gives the same bits.
fn check(path: &Path) -> f32 {
    let golden = golden(&path.join("golden.safetensors"));
    let mut decoder = open(path);
    let tokens = golden.tokens.as_slice();
    let name = path.display();
    // Pages in no order, to see that they are looked up.
    let pages: Vec<u32> = (0..10).map(|i| (i * 7 + 3) % 40).collect();
    let whole = run(&mut decoder, tokens, &[tokens.len()], &pages, 0);
    let single = run(&mut decoder, tokens, &[1], &pages, 0);
    assert!(whole == single, "{name}: token by token differs by {}", difference(&whole, &single));
    let chunks = run(&mut decoder, tokens, &[5, 1, 9, 2, 4], &pages, 1);
    assert!(whole == chunks, "{name}: in chunks differs by {}", difference(&whole, &chunks));
    let mut alone = open_with(path, &LoadOptions { threads: Some(1), ..options() });
    let serial = run(&mut alone, tokens, &[9], &pages, 0);
    assert!(whole == serial, "{name}: with one thread differs by {}", difference(&whole, &serial));
    // Of tokens whose logits are not wanted only what others need is computed.
    let (mut last, mut skipped) = (Vec::new(), Vec::new());
    let segment = |range: std::ops::Range<usize>, logits: Logits| Segment {
        tokens: &tokens[range.clone()],
        start: range.start,
        pages: &pages,
        slot: 0,
        weights: 0,
        adapter: None,
        logits,
    };
    alone.step(&[segment(0..11, Logits::None)], &mut skipped).unwrap();
    assert!(skipped.is_empty());
    alone.step(&[segment(11..tokens.len(), Logits::Last)], &mut last).unwrap();
    assert!(last == whole[whole.len() - last.len()..], "{name}: the last token's logits differ");
    let batch = in_batch(&mut decoder, tokens);
    assert!(whole == batch, "{name}: in a batch differs by {}", difference(&whole, &batch));
    difference(&whole, &golden.logits)
}

/// The same prompt while two others run.
fn in_batch(decoder: &mut Decoder, tokens: &[u32]) -> Vec<f32> {
    let others: Vec<Vec<u32>> =
        [11, 5].iter().map(|step| tokens.iter().map(|t| (t * step + 7) % 90).collect()).collect();
    let pages: Vec<Vec<u32>> = (0..3).map(|i| (i * 12..i * 12 + 10).collect()).collect();
    let vocabulary = decoder.vocab_size();
    let (mut all, mut logits) = (Vec::new(), Vec::new());
    let (mut first, mut ours, mut last) = (0, 0, 0);
    while ours < tokens.len() {
        let lens = [3, 1 + ours % 4, 2];
        let cut = |start: usize, len: usize| start..(start + len).min(tokens.len());
        let mut segments = Vec::new();
        let mut skip = 0;
        for (slot, (text, start, len)) in
            [(&others[0][..], first, lens[0]), (tokens, ours, lens[1]), (&others[1][..], last, lens[2])]
                .into_iter()
                .enumerate()
        {
            let range = cut(start, len);
            if range.is_empty() {
                continue;
            }
            let logits = if slot == 1 { Logits::All } else { Logits::Last };
            skip += usize::from(slot == 0);
            let (pages, slot) = (&pages[slot][..], slot as u32);
            segments.push(Segment {
                tokens: &text[range],
                start,
                pages,
                slot,
                weights: 0,
                adapter: None,
                logits,
            });
        }
        decoder.step(&segments, &mut logits).unwrap();
        let taken = cut(ours, lens[1]).len();
        all.extend_from_slice(&logits[skip * vocabulary..][..taken * vocabulary]);
        first = cut(first, lens[0]).end;
        ours += taken;
        last = cut(last, lens[2]).end;
    }
    all
}
