//! Tokenizer files: ours there and back, those of others, and hostile ones.

use std::fs;
use std::path::Path;

use mynah_base::Rng;
use mynah_tokenizer::{ErrorKind, HUGGING_FACE_FILE, Special, TIKTOKEN_FILE, Tokenizer, pattern};
use serde_json::{Value, json};

use crate::{PIECES, fuzzed, golden_path, small};

fn same_ids(a: &Tokenizer, b: &Tokenizer) {
    for seed in 0..100 {
        let text = fuzzed(&mut Rng::new(seed), 40);
        assert_eq!(a.encode_ordinary(&text), b.encode_ordinary(&text), "{text:?}");
    }
}

#[test]
fn what_is_saved_loads_as_the_same() {
    for pattern in [pattern::GPT4_2, pattern::GPT4, pattern::GPT2, pattern::custom(r"\w+|\W").unwrap()] {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = small(pattern.clone());
        tokenizer.save(dir.path()).unwrap();
        tokenizer.save(dir.path()).unwrap();
        let loaded = Tokenizer::load(dir.path()).unwrap();
        assert_eq!(loaded.digest(), tokenizer.digest());
        assert_eq!(loaded.pattern(), &pattern);
        let ranks = Tokenizer::load_tiktoken(&dir.path().join(TIKTOKEN_FILE), pattern).unwrap();
        for special in Special::ALL {
            assert_eq!(loaded.special(special), tokenizer.special(special));
            assert_eq!(ranks.special(special), tokenizer.special(special));
        }
        same_ids(&loaded, &tokenizer);
        same_ids(&ranks, &tokenizer);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "something was left behind");
    }
}

#[test]
fn digests_tell_tokenizers_apart() {
    let digests = [pattern::GPT4_2, pattern::GPT4, pattern::GPT2].map(|pattern| small(pattern).digest());
    assert_eq!(digests[0].len(), 64);
    assert!(digests[0] != digests[1] && digests[1] != digests[2]);
    let path = golden_path("ranks.tiktoken");
    let [a, b] = [pattern::GPT4, pattern::GPT2].map(|p| Tokenizer::load_tiktoken(&path, p).unwrap().digest());
    assert_ne!(a, b);
}

fn refused_ranks(content: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ranks");
    fs::write(&path, content).unwrap();
    let error = Tokenizer::load_tiktoken(&path, pattern::GPT4_2).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Format | ErrorKind::Unsupported));
    error.to_string().replace(&*path.to_string_lossy(), "FILE")
}

#[test]
fn bad_ranks_are_refused() {
    let good = fs::read_to_string(golden_path("ranks.tiktoken")).unwrap();
    let check =
        |content: String, expect: &str| assert_eq!(refused_ranks(&content), format!("FILE: {expect}"));
    check(format!("{good}YQ\n"), "line 992: not `base64 rank`: is this a ranks file?");
    check(format!("{good}Y?== 991\n"), "line 992: the token is not valid base64");
    check(format!("{good}enp6eg== many\n"), "line 992: the rank is not a number");
    check(format!("{good}enp6eg== -1\n"), "line 992: the rank is not a number");
    check(format!("{good}enp6eg== 0\n"), "line 992: rank 0 is given twice");
    check(format!("{good}enp6eg== 995\n"), "no token has rank 991, though 992 tokens have ranks up to 995");
    check(
        format!("{good}enp6eg== 4000000000\n"),
        "line 992: rank 4000000000 is beyond the 2097151 supported",
    );
    check(format!("{good} 991\n"), "token 991 has no bytes");
    check(format!("{good}YQ== 991\n"), "tokens 97 and 991 have the same bytes a");
    check(
        good.replacen("AA==", "enp6eg==", 1),
        "no token for the single byte 0x00: byte-level BPE needs all 256",
    );
    check(String::new(), "no token for the single byte 0x00: byte-level BPE needs all 256");
}

/// A minimal file in the format of GPT-2, changed by `change`.
fn foreign(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, mynah_tokenizer::Error> {
    let mut file: Value = {
        let dir = tempfile::tempdir().unwrap();
        small(pattern::GPT2).save(dir.path()).unwrap();
        serde_json::from_str(&fs::read_to_string(dir.path().join(HUGGING_FACE_FILE)).unwrap()).unwrap()
    };
    file["pre_tokenizer"] = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    let end = file["added_tokens"][0]["id"].clone();
    file["added_tokens"] = json!([{"id": end, "content": "<|endoftext|>", "special": true}]);
    file["model"]["vocab"]["<|endoftext|>"] = end;
    change(&mut file);
    load_text(&serde_json::to_string(&file).unwrap())
}

fn load_text(text: &str) -> Result<Tokenizer, mynah_tokenizer::Error> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(HUGGING_FACE_FILE), text).unwrap();
    Tokenizer::load(dir.path())
}

#[test]
fn files_of_others_load() {
    let ours = small(pattern::GPT2);
    let theirs = foreign(|_| ()).unwrap();
    same_ids(&ours, &theirs);
    let end = ours.special(Special::Bos);
    assert_eq!(theirs.decode_string(&[end]), "<|endoftext|>");
    assert!(theirs.is_special(end));
    // Its nine special tokens come after those of the file.
    assert_eq!(theirs.special(Special::Bos), end + 1);

    let strings = foreign(|file| {
        for merge in file["model"]["merges"].as_array_mut().unwrap() {
            *merge = json!(format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()));
        }
    });
    assert_eq!(strings.unwrap().digest(), theirs.digest());
}

#[test]
fn a_token_that_merging_cannot_reach_is_used_only_if_the_file_says_so() {
    let add = |file: &mut Value, ignore_merges: bool| {
        let vocab = file["model"]["vocab"].as_object_mut().unwrap();
        vocab.insert("zqzqz".to_string(), json!(vocab.len()));
        file["model"]["ignore_merges"] = json!(ignore_merges);
    };
    let last = |tokenizer: &Tokenizer| tokenizer.special(Special::Bos) - 1;
    let merged = foreign(|file| add(file, false)).unwrap();
    assert!(!merged.encode_ordinary("zqzqz").contains(&last(&merged)));
    let whole = foreign(|file| add(file, true)).unwrap();
    assert_eq!(whole.encode_ordinary("zqzqz"), [last(&whole)]);
    let dir = tempfile::tempdir().unwrap();
    whole.save(dir.path()).unwrap();
    assert_eq!(Tokenizer::load(dir.path()).unwrap().digest(), whole.digest());
}

#[test]
fn unsupported_files_are_refused_by_name() {
    let check = |change: &dyn Fn(&mut Value), part: &str| {
        let error = foreign(change).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    check(&|file| file["model"]["type"] = json!("WordPiece"), "model WordPiece is not supported");
    check(&|file| file["model"]["dropout"] = json!(0.1), "BPE with dropout");
    check(&|file| file["model"]["byte_fallback"] = json!(true), "BPE with byte_fallback");
    check(&|file| file["model"]["end_of_word_suffix"] = json!("</w>"), "end_of_word_suffix");
    check(&|file| file["model"]["continuing_subword_prefix"] = json!("##"), "continuing_subword_prefix");
    check(&|file| file["normalizer"] = json!({"type": "NFC"}), "normalizer NFC is not supported");
    check(&|file| file["pre_tokenizer"] = json!({"type": "Metaspace"}), "pre_tokenizer Metaspace");
    check(&|file| file["pre_tokenizer"]["add_prefix_space"] = json!(true), "\"add_prefix_space\":true");
    check(&|file| file["pre_tokenizer"] = Value::Null, "pre_tokenizer of unknown type");
    let digits = json!({"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]});
    check(&|file| file["pre_tokenizer"] = digits.clone(), "Sequence of [Digits, ByteLevel]");
    check(&|file| file["added_tokens"][0]["special"] = json!(false), "\"<|endoftext|>\" is not special");
    check(
        &|file| file["model"]["vocab"]["日本"] = json!(0),
        "\"日本\" is not written in byte-level characters",
    );
    check(
        &|file| {
            let merges = file["model"]["merges"].as_array_mut().unwrap();
            merges.swap(0, 1);
        },
        "merges in another order than their ids",
    );
}

#[test]
fn broken_files_are_refused() {
    let check = |change: &dyn Fn(&mut Value), part: &str| {
        let error = foreign(change).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    check(&|file| file["model"] = Value::Null, "not a tokenizer.json of a BPE");
    check(&|file| file["model"]["vocab"] = json!([1]), "an object of token → id");
    check(&|file| file["model"]["vocab"]["a"] = json!(-1), "not a tokenizer.json of a BPE");
    check(&|file| file["model"]["vocab"]["a"] = json!(u32::MAX), "id 4294967295 is too large");
    check(&|file| file["model"]["vocab"]["a"] = json!(98), "two tokens have id 98");
    check(&|file| drop(file["model"]["vocab"].as_object_mut().unwrap().remove("a")), "no token has id 97");
    check(&|file| file["added_tokens"][0]["content"] = json!(""), "two tokens have id");
    check(&|file| file["model"]["merges"][0] = json!("ab"), "merge 0 \"ab\" is not `left right`");
    check(&|file| file["model"]["merges"][0] = json!(["a"]), "not a tokenizer.json of a BPE");
    check(&|file| file["model"]["merges"][0] = json!(["q", "zzq"]), "merge 0: zzq is not a token");
    check(&|file| file["model"]["merges"][1] = file["model"]["merges"][0].clone(), "is listed twice");
    let twice = r#"{"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}}"#;
    assert!(load_text(twice).unwrap_err().to_string().contains("tokens 0 and 1 have the same bytes a"));
    for text in ["", "{}", "[", "nonsense", &"[".repeat(100_000)] {
        assert_eq!(load_text(text).unwrap_err().kind(), ErrorKind::Format);
    }
    let error = foreign(|file| {
        file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "(unclosed"}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]});
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Pattern);
}

#[test]
fn damaged_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    small(pattern::GPT4_2).save(dir.path()).unwrap();
    let [json, ranks] =
        [HUGGING_FACE_FILE, TIKTOKEN_FILE].map(|name| fs::read(dir.path().join(name)).unwrap());
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        for (name, good) in [(HUGGING_FACE_FILE, &json), (TIKTOKEN_FILE, &ranks)] {
            let mut bad = good.clone();
            for _ in 0..1 + rng.index(3) {
                let at = rng.index(bad.len());
                match rng.index(3) {
                    0 => bad[at] = rng.below(256) as u8,
                    1 => bad.truncate(at.max(1)),
                    _ => drop(bad.splice(at..at, rng.choose::<&str>(PIECES).bytes())),
                }
            }
            fs::write(dir.path().join(name), bad).unwrap();
        }
        // A flipped letter may leave a good file; what loads must work.
        let path = dir.path().join(TIKTOKEN_FILE);
        let loaded = [Tokenizer::load(dir.path()), Tokenizer::load_tiktoken(&path, pattern::GPT4_2)];
        for tokenizer in loaded.into_iter().flatten() {
            let text = fuzzed(&mut rng, 20);
            assert_eq!(tokenizer.decode_string(&tokenizer.encode_ordinary(&text)), text);
        }
    }
}

#[test]
fn absent_and_unwritable_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Tokenizer::load(&dir.path().join("nowhere")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("nowhere"), "{error}");
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let error = small(pattern::GPT2).save(Path::new(&file)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(fs::read_to_string(file).unwrap(), "in the way");
    for bad in ["(", "", &"x".repeat(20_000)] {
        assert_eq!(pattern::custom(bad).unwrap_err().kind(), ErrorKind::Pattern);
    }
    assert_eq!(pattern::by_name("gpt5").unwrap_err().kind(), ErrorKind::Pattern);
}
