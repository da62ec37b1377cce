//! Agreement with rustbpe and tiktoken, as recorded by `golden/make_golden.py`.

use mynah_tokenizer::{Tokenizer, TrainOptions, pattern};

use crate::{golden_json, golden_path, train_with};

#[test]
fn ids_are_those_of_tiktoken() {
    let golden = golden_json("ids.json");
    let texts: Vec<&str> =
        golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let ids_by_pattern = golden["ids"].as_object().unwrap();
    assert_eq!(ids_by_pattern.len(), 3);
    for (name, expected) in ids_by_pattern {
        let pattern = pattern::by_name(name).unwrap();
        let tokenizer = Tokenizer::load_tiktoken(&golden_path("ranks.tiktoken"), pattern).unwrap();
        let expected: Vec<Vec<u32>> = serde_json::from_value(expected.clone()).unwrap();
        assert_eq!(expected.len(), texts.len());
        for (text, expected) in texts.iter().zip(expected) {
            assert_eq!(tokenizer.encode_ordinary(text), expected, "{name} {text:?}");
            assert_eq!(tokenizer.decode_string(&expected), *text, "{name}");
        }
    }
}

#[test]
fn merges_are_those_of_rustbpe() {
    let golden = golden_json("merges.json");
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let documents: Vec<String> = serde_json::from_value(case["documents"].clone()).unwrap();
        let expected: Vec<String> = serde_json::from_value(case["tokens"].clone()).unwrap();
        let pattern = pattern::by_name(case["pattern"].as_str().unwrap()).unwrap();
        let vocab_size = case["vocabulary"].as_u64().unwrap() as usize;
        for threads in [1, 3] {
            let options = TrainOptions {
                vocab_size,
                pattern: pattern.clone(),
                threads: Some(threads),
                ..TrainOptions::default()
            };
            let (tokenizer, report) = train_with(&documents, options);
            let hex = |id: u32| tokenizer.token(id).unwrap().iter().map(|b| format!("{b:02x}")).collect();
            let found: Vec<String> = (256..tokenizer.vocab_size() as u32 - 9).map(hex).collect();
            assert_eq!(found, expected, "{} {:?}", case["name"], pattern);
            assert_eq!(report.merges as usize, expected.len());
        }
    }
}
