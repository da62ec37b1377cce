//! On real text, where there is some: `MYNAH_DATA` names a folder with `text/*.txt` and `text/*.jsonl`.

use std::path::PathBuf;

use mynah_tokenizer::{TrainOptions, pattern};

use crate::train_with;

fn documents() -> Option<Vec<String>> {
    let Some(folder) = std::env::var_os("MYNAH_DATA") else {
        println!("MYNAH_DATA names no folder with text: skipped");
        return None;
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(PathBuf::from(folder).join("text"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut documents = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            documents.extend(lines.map(|line| line["text"].as_str().unwrap().to_string()));
        } else {
            documents.push(text);
        }
    }
    Some(documents)
}

#[test]
fn every_document_comes_back() {
    let Some(documents) = documents() else { return };
    let (tokenizer, report) = train_with(&documents, TrainOptions::default());
    assert_eq!(report.chunks_dropped, 0);
    for (document, ids) in documents.iter().zip(tokenizer.encode_batch(&documents)) {
        assert!(tokenizer.decode(&ids) == document.as_bytes());
        assert!(tokenizer.encode_ordinary(document) == ids);
    }
}

#[test]
fn every_document_is_split_as_by_the_engine() {
    let Some(documents) = documents() else { return };
    for by_hand in [pattern::GPT4_2, pattern::GPT4, pattern::GPT2] {
        // A group around it makes it a pattern that we do not know, which the engine runs.
        let by_engine = pattern::custom(&format!("(?:{})", by_hand.source())).unwrap();
        assert_eq!(by_engine.name(), None);
        for document in documents.iter().step_by(10) {
            assert!(by_hand.split(document) == by_engine.split(document));
        }
    }
}
