//! Tokenizers of every kind against Hugging Face's `tokenizers`, as recorded by `golden/make_text_golden.py`.

use mynah_base::Rng;
use mynah_tokenizer::{ErrorKind, GgufVocabulary, Special, TextTokenizer, pattern};
use serde_json::{Value, json};

use crate::{fuzzed, golden_json, small};

/// The kinds, and which of the two engines must serve each.
const KINDS: &[(&str, &str)] = &[
    ("gpt2", "byte-level BPE"),
    ("llama3", "byte-level BPE"),
    ("qwen2", "byte-level BPE"),
    ("o200k", "byte-level BPE"),
    ("deepseek", "byte-level BPE"),
    ("starcoder", "byte-level BPE"),
    ("order_of_merges", "byte-level BPE"),
    ("falcon", "tokenizers"),
    ("roberta", "tokenizers"),
    ("llama2", "tokenizers"),
    ("mistral", "tokenizers"),
    ("phi3", "tokenizers"),
    ("gemma", "tokenizers"),
    ("t5", "tokenizers"),
    ("xlm_roberta", "tokenizers"),
    ("bert", "tokenizers"),
    ("bert_cased", "tokenizers"),
    ("word_level", "tokenizers"),
    ("behaviours", "tokenizers"),
];

fn golden(kind: &str) -> (TextTokenizer, Value) {
    let file = golden_json(&format!("text/{kind}.json"));
    let tokenizer = TextTokenizer::from_hugging_face(&file["tokenizer"].to_string());
    (tokenizer.unwrap_or_else(|error| panic!("{kind}: {error}")), file["golden"].clone())
}

fn texts() -> Vec<String> {
    serde_json::from_value(golden_json("text/texts.json")["texts"].clone()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn ids_and_texts_are_those_of_tokenizers() {
    let texts = texts();
    assert!(texts.len() > 80);
    for (kind, engine) in KINDS {
        let (tokenizer, golden) = golden(kind);
        assert!(format!("{tokenizer:?}").contains(engine), "{kind}: {tokenizer:?}");
        for (at, text) in texts.iter().enumerate() {
            // What is left out is the same as what comes before it.
            let or = |list: &str, other: &Value| {
                let value = &golden[list][at];
                if value.is_null() { other.clone() } else { value.clone() }
            };
            let with_special = golden["with_special"][at].clone();
            let literal = or("literal", &with_special);
            let document = or("document", &with_special);
            let decoded = or("decoded", &json!(text));
            let shown = or("shown", &decoded);
            let context = format!("{kind} {text:?}");
            assert_eq!(tokenizer.encode_with_special(text).unwrap(), ids(&with_special), "{context}");
            assert_eq!(tokenizer.encode(text).unwrap(), ids(&literal), "literal {context}");
            let document = ids(&document);
            assert_eq!(tokenizer.encode_document(text).unwrap(), document, "document {context}");
            assert_eq!(tokenizer.decode(&document).unwrap(), decoded.as_str().unwrap(), "decode {context}");
            let shown = shown.as_str().unwrap();
            assert_eq!(tokenizer.decode_without_special(&document).unwrap(), shown, "shown {context}");
            assert_eq!(streamed(&tokenizer, &document), shown, "streamed {context}");
        }
    }
}

fn streamed(tokenizer: &TextTokenizer, ids: &[u32]) -> String {
    let mut stream = tokenizer.stream();
    let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
    text.push_str(&stream.finish());
    text
}

#[test]
fn pairs_are_those_of_tokenizers() {
    let pairs: Vec<[String; 2]> =
        serde_json::from_value(golden_json("text/texts.json")["pairs"].clone()).unwrap();
    for (kind, _) in KINDS {
        let (tokenizer, golden) = golden(kind);
        for (at, [first, second]) in pairs.iter().enumerate() {
            let found = tokenizer.encode_pair(first, second).unwrap();
            let expected = &golden["pairs"][at];
            assert_eq!(found.ids, ids(&expected[0]), "{kind} {first:?} {second:?}");
            assert_eq!(found.type_ids, ids(&expected[1]), "{kind} {first:?} {second:?}");
        }
    }
}

#[test]
fn tokens_say_what_they_are() {
    let check = |kind: &str, name: &str, is_special: bool| {
        let (tokenizer, _) = golden(kind);
        let id = tokenizer.id_of(name).unwrap_or_else(|| panic!("{kind} has no {name}"));
        assert_eq!(tokenizer.is_special(id), is_special, "{kind} {name}");
        assert_eq!(tokenizer.bytes(id), name.as_bytes(), "{kind} {name}");
        assert!((id as usize) < tokenizer.vocab_size());
        assert_eq!(tokenizer.encode_with_special(name).unwrap(), [id], "{kind} {name}");
        assert_eq!(tokenizer.encode(name).unwrap() == [id], !is_special, "{kind} {name}");
    };
    check("gpt2", "<|end|>", true);
    check("qwen2", "<|end|>", true);
    check("qwen2", "<think>", false);
    check("llama2", "</s>", true);
    check("phi3", "<think>", false);
    check("xlm_roberta", "<mask>", true);
    let (llama2, _) = golden("llama2");
    assert!(llama2.strips_first_space() && !golden("gpt2").0.strips_first_space());
    let newline = llama2.encode("\n").unwrap();
    assert_eq!(llama2.bytes(newline[newline.len() - 1]), b"\n");
    let the = llama2.encode(" the").unwrap();
    assert_eq!(llama2.bytes(the[the.len() - 1]), b" the");
    assert_eq!(llama2.first_bytes(the[the.len() - 1]), b"the");
    assert_eq!(llama2.bytes(u32::MAX), b"");
    assert_eq!(llama2.id_of("the"), None);
    assert_eq!(llama2.decode(&[u32::MAX]).unwrap_err().kind(), ErrorKind::Id);
}

#[test]
fn threads_may_share_one() {
    fn check<T: Clone + Send + Sync + 'static>(_: &T) {}
    let (tokenizer, _) = golden("llama2");
    check(&tokenizer);
    let expected = tokenizer.encode("The mynah sang.").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(tokenizer.encode("The mynah sang.").unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn ours_is_one_of_them() {
    let ours = small(pattern::GPT4_2);
    let text: TextTokenizer = ours.clone().into();
    let bos = ours.special(Special::Bos);
    assert_eq!(text.vocab_size(), ours.vocab_size());
    for seed in 0..100 {
        let sample = fuzzed(&mut Rng::new(seed), 40);
        let ids = ours.encode_ordinary(&sample);
        assert_eq!(text.encode(&sample).unwrap(), ids, "{sample:?}");
        assert_eq!(text.encode_with_special(&sample).unwrap(), ours.encode_with_special(&sample));
        assert_eq!(text.add_document_tokens(&ids), [&[bos][..], &ids].concat());
        assert_eq!(text.decode(&ids).unwrap(), sample);
    }
    assert_eq!(text.id_of("<|bos|>"), Some(bos));
    assert_eq!(text.encode_pair("a", "b").unwrap_err().kind(), ErrorKind::Unsupported);
    let saved = TextTokenizer::from_hugging_face(std::str::from_utf8(&ours.to_json()).unwrap()).unwrap();
    assert_eq!(saved.vocab_size(), ours.vocab_size());
    assert_eq!(saved.encode("the bird").unwrap(), ours.encode_ordinary("the bird"));
}

/// The GGUF form of a golden tokenizer, as the converters write it.
fn gguf(kind: &str) -> (GgufVocabulary, TextTokenizer) {
    let file = golden_json(&format!("text/{kind}.json"));
    let parts = &file["tokenizer"];
    let mut vocabulary = GgufVocabulary::default();
    let mut put = |name: &str, id: usize, token_type: i32| {
        if vocabulary.tokens.len() <= id {
            vocabulary.tokens.resize(id + 1, String::new());
            vocabulary.token_types.resize(id + 1, 5);
        }
        vocabulary.tokens[id] = name.to_string();
        vocabulary.token_types[id] = token_type;
    };
    match &parts["model"]["vocab"] {
        Value::Object(entries) => {
            for (name, id) in entries {
                let is_byte = name.len() == 6 && name.starts_with("<0x");
                put(name, id.as_u64().unwrap() as usize, if is_byte { 6 } else { 1 });
            }
        }
        entries => {
            for (id, entry) in entries.as_array().unwrap().iter().enumerate() {
                put(entry[0].as_str().unwrap(), id, 1);
            }
        }
    }
    for token in parts["added_tokens"].as_array().unwrap() {
        let token_type = if token["special"] == true { 3 } else { 4 };
        put(token["content"].as_str().unwrap(), token["id"].as_u64().unwrap() as usize, token_type);
    }
    for merge in parts["model"]["merges"].as_array().into_iter().flatten() {
        vocabulary.merges.push(format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()));
    }
    (vocabulary, TextTokenizer::from_hugging_face(&parts.to_string()).unwrap())
}

fn same(kind: &str, change: impl FnOnce(&mut GgufVocabulary)) {
    let (mut vocabulary, expected) = gguf(kind);
    change(&mut vocabulary);
    let found = TextTokenizer::from_gguf(vocabulary).unwrap_or_else(|error| panic!("{kind}: {error}"));
    assert_eq!(found.vocab_size(), expected.vocab_size(), "{kind}");
    for text in texts() {
        let context = format!("{kind} {text:?}");
        let ids = expected.encode_document(&text).unwrap();
        assert_eq!(found.encode_document(&text).unwrap(), ids, "{context}");
        assert_eq!(found.encode(&text).unwrap(), expected.encode(&text).unwrap(), "{context}");
        assert_eq!(found.decode(&ids).unwrap(), expected.decode(&ids).unwrap(), "{context}");
        assert_eq!(streamed(&found, &ids), streamed(&expected, &ids), "{context}");
    }
    for id in 0..expected.vocab_size() as u32 {
        assert_eq!(found.bytes(id), expected.bytes(id), "{kind} {id}");
        assert_eq!(found.is_special(id), expected.is_special(id), "{kind} {id}");
    }
}

#[test]
fn gguf_gives_the_ids_of_the_original() {
    let byte_level = |pre: &'static str| {
        move |vocabulary: &mut GgufVocabulary| {
            vocabulary.model = String::from("gpt2");
            vocabulary.pre = Some(String::from(pre));
        }
    };
    same("gpt2", byte_level("gpt-2"));
    same("o200k", byte_level("gpt-4o"));
    same("deepseek", byte_level("deepseek-v3"));
    same("starcoder", byte_level("starcoder"));
    same("falcon", byte_level("falcon"));
    same("llama3", |vocabulary| {
        byte_level("llama-bpe")(vocabulary);
        vocabulary.bos = vocabulary.tokens.iter().position(|token| token == "<s>").map(|id| id as u32);
    });
    same("bert", |vocabulary| {
        vocabulary.model = String::from("bert");
        for (token, kind) in vocabulary.tokens.iter_mut().zip(&vocabulary.token_types) {
            *token = match token.strip_prefix("##") {
                _ if *kind != 1 => token.clone(),
                Some(rest) => rest.to_string(),
                None => format!("▁{token}"),
            };
        }
    });
}

#[test]
fn gguf_merges_by_score() {
    // The scores of SentencePiece fall with the rank of the merge.
    let scored = |vocabulary: &mut GgufVocabulary| {
        vocabulary.model = String::from("llama");
        vocabulary.scores = (0..vocabulary.tokens.len()).map(|id| -(id as f32)).collect();
        vocabulary.merges.clear();
        vocabulary.unknown = Some(0);
        vocabulary.bos = Some(1);
    };
    same("llama2", scored);
    same("gemma", |vocabulary| {
        scored(vocabulary);
        vocabulary.add_space_prefix = Some(false);
    });
}

#[test]
fn gguf_unigram() {
    let (mut vocabulary, _) = gguf("t5");
    let file = golden_json("text/t5.json");
    vocabulary.model = String::from("t5");
    let entries = file["tokenizer"]["model"]["vocab"].as_array().unwrap();
    vocabulary.scores = entries.iter().map(|entry| entry[1].as_f64().unwrap() as f32).collect();
    vocabulary.eos = Some(1);
    let found = TextTokenizer::from_gguf(vocabulary).unwrap();
    let (expected, _) = golden("t5");
    for text in ["", "The mynah sang.", "  two  spaces ", "日本語 bird", "a</s>b"] {
        assert_eq!(found.encode_document(text).unwrap(), expected.encode_document(text).unwrap(), "{text:?}");
    }
}

#[test]
fn bad_gguf_vocabularies_are_refused() {
    let check = |kind: ErrorKind, part: &str, change: &dyn Fn(&mut GgufVocabulary)| {
        let mut vocabulary = gguf("llama2").0;
        vocabulary.model = String::from("llama");
        vocabulary.scores = vec![0.0; vocabulary.tokens.len()];
        change(&mut vocabulary);
        let error = TextTokenizer::from_gguf(vocabulary).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    check(ErrorKind::Unsupported, "model \"rwkv\"", &|v| v.model = String::from("rwkv"));
    check(ErrorKind::Format, "no tokens", &|v| v.tokens.clear());
    check(ErrorKind::Format, "entries in scores", &|v| v.scores.truncate(3));
    check(ErrorKind::Format, "needs scores", &|v| v.scores.clear());
    check(ErrorKind::Format, "token_type 9", &|v| v.token_types[0] = 9);
    check(ErrorKind::Format, "bos_token_id is 99999", &|v| v.bos = Some(99_999));
    check(ErrorKind::Format, "there is no eos token", &|v| v.add_eos = Some(true));
    check(ErrorKind::Unsupported, "\"my-split\"", &|v| {
        v.model = String::from("gpt2");
        v.pre = Some(String::from("my-split"));
    });
}

#[test]
fn hostile_files_are_refused() {
    let check = |text: &str, kind: ErrorKind, part: &str| {
        let error = TextTokenizer::from_hugging_face(text).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    let changed = |kind: &str, change: &dyn Fn(&mut Value)| {
        let mut parts = golden_json(&format!("text/{kind}.json"))["tokenizer"].clone();
        change(&mut parts);
        parts.to_string()
    };
    check("", ErrorKind::Format, "not a tokenizer.json");
    check(&"[".repeat(100_000), ErrorKind::Format, "not a tokenizer.json");
    let wild = changed("bert", &|parts| parts["model"]["vocab"]["x"] = json!(4_000_000_000u32));
    check(&wild, ErrorKind::Unsupported, "ids up to 4000000000");
    let model = changed("bert", &|parts| parts["model"]["type"] = json!("Rnn"));
    check(&model, ErrorKind::Unsupported, "model Rnn");
    let shape = changed("bert", &|parts| parts["model"]["type"] = json!("Unigram"));
    check(&shape, ErrorKind::Format, "another kind of model");
    let dropout = changed("llama2", &|parts| parts["model"]["dropout"] = json!(0.1));
    check(&dropout, ErrorKind::Unsupported, "dropout");
    let step = changed("llama2", &|parts| parts["normalizer"] = json!({"type": "Rot13"}));
    check(&step, ErrorKind::Unsupported, "normalizer");
    let decoder = changed("llama2", &|parts| parts["decoder"] = json!(7));
    check(&decoder, ErrorKind::Unsupported, "decoder");
    for (kind, part) in [("llama3", "pre_tokenizer"), ("gemma", "normalizer")] {
        for source in ["(".repeat(4_000) + &")".repeat(4_000), "x".repeat(100_000)] {
            let deep = changed(kind, &|parts| {
                let step = if part == "normalizer" {
                    json!({"type": "Replace", "pattern": {"Regex": source}, "content": "y"})
                } else {
                    json!({"type": "Split", "pattern": {"Regex": source}, "behavior": "Isolated", "invert": false})
                };
                parts[part] = step;
            });
            check(&deep, ErrorKind::Pattern, "a split pattern");
        }
    }
    let unknown = changed("bert", &|parts| parts["model"]["unk_token"] = json!("[NONE]"));
    // Found out by encoding something at load, or else by the first text that needs it.
    if let Ok(tokenizer) = TextTokenizer::from_hugging_face(&unknown) {
        assert_eq!(tokenizer.encode("ツ").unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn damaged_files_never_panic() {
    let words = ["null", "\"\"", "-1", "{}", "[]", "0.5", "\"▁\"", "4294967295", "true", "\"Sequence\""];
    let mut loaded = 0;
    for (kind, _) in KINDS {
        let good = golden_json(&format!("text/{kind}.json"))["tokenizer"].clone();
        for seed in 0..6 {
            let mut rng = Rng::new(seed);
            let mut bad = good.clone();
            for _ in 0..1 + rng.index(3) {
                spoil(&mut bad, &mut rng, &words);
            }
            let mut text = bad.to_string();
            if rng.chance(0.2) {
                let at = text.floor_char_boundary(rng.index(text.len()));
                text.truncate(at);
            }
            let Ok(tokenizer) = TextTokenizer::from_hugging_face(&text) else { continue };
            loaded += 1;
            for _ in 0..3 {
                let sample = fuzzed(&mut rng, 20);
                for ids in
                    [tokenizer.encode(&sample), tokenizer.encode_document(&sample)].into_iter().flatten()
                {
                    let _ = tokenizer.decode(&ids);
                    let _ = streamed(&tokenizer, &ids);
                }
            }
        }
    }
    assert!(loaded > 10, "only {loaded} of the damaged files loaded");
}

/// Puts some word in some place of a JSON value, most often in one of its small parts.
fn spoil(value: &mut Value, rng: &mut Rng, words: &[&str]) {
    let is_leaf = match value {
        Value::Object(entries) => entries.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        _ => true,
    };
    if is_leaf || rng.chance(0.1) {
        *value = serde_json::from_str(rng.choose::<&str>(words)).unwrap();
        return;
    }
    match value {
        Value::Object(entries) => {
            let at = rng.index(entries.len());
            if let Some((_, inner)) = entries.iter_mut().nth(at) {
                spoil(inner, rng, words);
            }
        }
        Value::Array(entries) => {
            let at = rng.index(entries.len());
            spoil(&mut entries[at], rng, words);
        }
        _ => {}
    }
}
