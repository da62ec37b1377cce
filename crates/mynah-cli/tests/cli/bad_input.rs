//! Every kind of bad input gets one clear line that says what, where and what to do; the exit code is not 0,
//! and nothing that was there before is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{arg, copy, mynah, ok, one_error, refused, run_folder, snapshot, text};

/// A folder with a tokenizer and some text, fresh for each test.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn train_base<'a>(text: &'a Path, tokenizer: &'a Path, out: &'a Path) -> Vec<&'a str> {
    vec![
        "train",
        "base",
        "--text",
        arg(text),
        "--tokenizer",
        arg(tokenizer),
        "--out",
        arg(out),
        "--depth",
        "1",
        "--width",
        "32",
        "--head-dim",
        "16",
        "--context",
        "32",
        "--batch-tokens",
        "64",
        "--steps",
        "2",
    ]
}

#[test]
fn no_such_file() {
    let (run, place) = (run_folder(), Place::new());
    let (absent, out, tokenizer) = (place.path("absent.txt"), place.path("out"), run.join("tokenizer"));
    refused(&["tok", "train", arg(&absent), "--out", arg(&out)], &["no such file", arg(&absent)]);
    refused(&["tok", "encode", "--tokenizer", arg(&tokenizer), arg(&absent)], &[arg(&absent)]);
    refused(&["tok", "encode", "--tokenizer", arg(&absent), arg(&absent)], &[arg(&absent)]);
    refused(&["eval", "bpb", "--model", arg(run), arg(&absent)], &["no such file", arg(&absent)]);
    refused(&["eval", "bpb", "--model", arg(&absent), "x.txt"], &["no such folder", arg(&absent), "--model"]);
    refused(&["chat", "--model", arg(&absent), "-p", "Hi"], &["no such folder", arg(&absent)]);
    refused(&["speedrun", "--text", arg(&absent), "--out", arg(&out)], &["no such file", arg(&absent)]);
    refused(&["speedrun", "--chat", arg(&absent), "--out", arg(&out)], &["no such file", arg(&absent)]);
    refused(&train_base(&absent, &tokenizer, &out), &["no such file", arg(&absent)]);
    refused(&["data", "info", arg(&absent)], &["no such file", arg(&absent)]);
    assert!(!out.join("speedrun.json").exists());
}

#[test]
fn no_model_yet() {
    let place = Place::new();
    let output = mynah(&["chat", "-p", "Hi"]).env("MYNAH_HOME", place.path("home")).output().unwrap();
    one_error(&output, &["no speedrun yet", "mynah speedrun"]);
}

#[test]
fn a_folder_without_text() {
    let place = Place::new();
    place.file("picture.png", [0x89, b'P', b'N', b'G']);
    let (folder, out) = (place.dir.path().to_path_buf(), place.path("out"));
    refused(&["tok", "train", arg(&folder), "--out", arg(&out)], &[arg(&folder)]);
    refused(&["speedrun", "--text", arg(&folder), "--out", arg(&out)], &[arg(&folder)]);
    refused(&["data", "info", arg(&folder)], &[arg(&folder)]);
}

#[test]
fn invalid_utf8_is_replaced_and_counted_or_refused() {
    let (run, place) = (run_folder(), Place::new());
    let (tokenizer, out) = (run.join("tokenizer"), place.path("out"));
    let mut bytes = b"the quick brown fox ".repeat(50);
    bytes.extend([0xff, b' ', 0xfe, b'.']);
    let file = place.file("broken.txt", &bytes);
    let train = ["tok", "train", arg(&file), "--vocab-size", "300", "--out", arg(&out)];
    let output = mynah(&train).output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("2 places were not UTF-8"), "{}", text(&output.stderr));
    let strict: Vec<&str> = train.iter().copied().chain(["--strict"]).collect();
    refused(&strict, &["not UTF-8", arg(&file)]);
    assert!(out.join("tokenizer.json").is_file(), "the first one is still there");

    // Encoding keeps the bytes as they are.
    let encode = ["tok", "encode", "--tokenizer", arg(&tokenizer), arg(&file), "--json"];
    let ids = place.file("ids.json", ok(&encode));
    let decoded = mynah(&["tok", "decode", "--tokenizer", arg(&tokenizer), arg(&ids)]).output().unwrap();
    assert_eq!(decoded.stdout, bytes);
    let strict: Vec<&str> = encode.iter().copied().chain(["--strict"]).collect();
    refused(&strict, &["not UTF-8", arg(&file), "--strict"]);
}

#[test]
fn an_empty_corpus() {
    let (run, place) = (run_folder(), Place::new());
    let (file, out, tokenizer) = (place.file("empty.txt", ""), place.path("out"), run.join("tokenizer"));
    refused(&["tok", "train", arg(&file), "--out", arg(&out)], &["no text", arg(&file)]);
    refused(&["eval", "bpb", "--model", arg(run), arg(&file)], &["no text", arg(&file)]);
    refused(&["speedrun", "--text", arg(&file), "--out", arg(&out)], &["no text", arg(&file)]);
    refused(&train_base(&file, &tokenizer, &out), &["no text", arg(&file)]);
    let chat = place.file("empty.jsonl", "");
    refused(&["speedrun", "--chat", arg(&chat), "--out", arg(&out)], &["no conversation", arg(&chat)]);
    let model = run.join("base");
    refused(
        &["train", "sft", "--model", arg(&model), "--chat", arg(&chat), "--out", arg(&out)],
        &["no conversation"],
    );
}

#[test]
fn a_corpus_smaller_than_one_batch() {
    let (run, place) = (run_folder(), Place::new());
    let (file, out, tokenizer) =
        (place.file("tiny.txt", "Hi there."), place.path("out"), run.join("tokenizer"));
    refused(&train_base(&file, &tokenizer, &out), &["tokens", "one batch needs", "more text"]);
    assert!(!out.join("config.json").exists());
}

#[test]
fn a_parquet_file_without_a_text_column() {
    let place = Place::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/no_text_column.parquet");
    let out = place.path("out");
    refused(&["tok", "train", arg(&file), "--out", arg(&out)], &["text", arg(&file)]);
    refused(&["speedrun", "--text", arg(&file), "--out", arg(&out)], &["text", arg(&file)]);
    let garbage = place.file("garbage.parquet", "PAR1 this is no Parquet file PAR1");
    refused(&["data", "info", arg(&garbage)], &[arg(&garbage)]);
}

#[test]
fn a_truncated_checkpoint() {
    let (run, place) = (run_folder(), Place::new());
    let copied = place.path("run");
    copy(run, &copied);
    let weights = copied.join("model/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    for keep in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&weights, &whole[..keep]).unwrap();
        refused(&["chat", "--model", arg(&copied), "-p", "Hi"], &["model.safetensors"]);
    }
    for garbage in ["", "{", "[1,2]", "{\"n_layer\": \"two\"}"] {
        fs::write(&weights, &whole).unwrap();
        fs::write(copied.join("model/config.json"), garbage).unwrap();
        refused(&["chat", "--model", arg(&copied), "-p", "Hi"], &["config.json"]);
    }
}

#[test]
fn resuming_from_a_damaged_checkpoint_names_it() {
    let (run, place) = (run_folder(), Place::new());
    let (text, tokenizer, out) = (run.join("data/text"), run.join("tokenizer"), place.path("out"));
    let mut arguments = train_base(&text, &tokenizer, &out);
    arguments.extend(["--save-every", "1"]);
    ok(&arguments);
    let latest = fs::read_to_string(out.join("checkpoints/LATEST")).unwrap();
    let weights = out.join("checkpoints").join(latest.trim()).join("optimizer.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    arguments.push("--resume");
    let line = refused(&arguments, &["optimizer.safetensors", "--resume 1"]);
    let before = snapshot(&out);
    assert_eq!(refused(&arguments, &[]), line);
    assert_eq!(snapshot(&out), before, "nothing is changed");
    arguments.push("1");
    ok(&arguments);
}

#[test]
fn a_checkpoint_of_another_shape() {
    let (run, place) = (run_folder(), Place::new());
    let copied = place.path("run");
    copy(run, &copied);
    let (text, tokenizer, other) = (run.join("data/text"), run.join("tokenizer"), place.path("other"));
    ok(&train_base(&text, &tokenizer, &other));
    fs::copy(other.join("model.safetensors"), copied.join("model/model.safetensors")).unwrap();
    refused(&["chat", "--model", arg(&copied), "-p", "Hi"], &["model.safetensors"]);
    // Also without digests to tell: the shapes themselves do not fit.
    for name in ["manifest.json", "facts.json"] {
        let _ = fs::remove_file(copied.join("model").join(name));
    }
    refused(&["chat", "--model", arg(&copied), "-p", "Hi"], &["model.safetensors", "another model"]);
    // Going on with other options than the run began with.
    let mut arguments = train_base(&text, &tokenizer, &other);
    arguments.extend(["--resume", "--set", "smear=false"]);
    refused(&arguments, &["smear", "resume"]);
}

#[test]
fn a_tokenizer_that_does_not_match() {
    let (run, place) = (run_folder(), Place::new());
    let (text, other) = (run.join("data/text"), place.path("tokenizer"));
    ok(&["tok", "train", arg(&text), "--vocab-size", "400", "--out", arg(&other)]);
    let chat = ["chat", "--model", arg(run), "--tokenizer", arg(&other), "-p", "Hi"];
    refused(&chat, &["tokenizer", "model", "400"]);
    let file = place.file("a.txt", "some text");
    refused(
        &["eval", "bpb", "--model", arg(run), "--tokenizer", arg(&other), arg(&file)],
        &["tokenizer does not match"],
    );
    // The same size, other merges: only the digest tells.
    let size = run_vocab_size(run);
    let shuffled = place.file(
        "other.txt",
        "zxqv jjwk qqzz vvxx ".repeat(50) + &fs::read_to_string(text.join("train-0000.jsonl")).unwrap(),
    );
    ok(&["tok", "train", arg(&shuffled), "--vocab-size", &size, "--out", arg(&other)]);
    refused(&chat, &["tokenizer does not match", "digest"]);
    let broken = place.path("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("tokenizer.json"), "{\"model\":{").unwrap();
    refused(&["chat", "--model", arg(run), "--tokenizer", arg(&broken), "-p", "Hi"], &["tokenizer.json"]);
}

fn run_vocab_size(run: &Path) -> String {
    let config = fs::read_to_string(run.join("model/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["vocab_size"].to_string()
}

/// A disk that takes no more: every file is limited to a few KiB.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let (run, place) = (run_folder(), Place::new());
    let (text_folder, tokenizer, out) = (run.join("data/text"), run.join("tokenizer"), place.path("out"));
    let limited = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
        command.args(["-c", script, env!("CARGO_BIN_EXE_mynah")]).args(arguments).stdin(Stdio::null());
        command.output().unwrap()
    };
    // A tokenizer that cannot be written leaves the old one.
    let old = place.path("old");
    ok(&["tok", "train", arg(&text_folder), "--vocab-size", "280", "--out", arg(&old)]);
    let before = snapshot(&old);
    one_error(
        &limited(&["tok", "train", arg(&text_folder), "--vocab-size", "2000", "--out", arg(&old)]),
        &[arg(&old)],
    );
    assert_eq!(snapshot(&old), before);
    // A checkpoint that cannot be written leaves the one before.
    one_error(&limited(&train_base(&text_folder, &tokenizer, &out)), &["cannot"]);
    assert!(!out.join("model.safetensors").exists());
    ok(&{
        let mut arguments = train_base(&text_folder, &tokenizer, &out);
        arguments.extend(["--save-every", "1"]);
        arguments
    });
    let before = snapshot(&out);
    let chat = run.join("data/chat/train.jsonl");
    let sft = place.path("sft");
    let output = limited(&[
        "train",
        "sft",
        "--model",
        arg(&out),
        "--chat",
        arg(&chat),
        "--steps",
        "1",
        "--out",
        arg(&sft),
    ]);
    one_error(&output, &["cannot"]);
    assert_eq!(snapshot(&out), before, "the base model is as it was");
    // A pipe or device that takes nothing.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = place.file("a.txt", "some text");
    let output =
        mynah(&["tok", "encode", "--tokenizer", arg(&tokenizer), arg(&file)]).stdout(full).output().unwrap();
    one_error(&output, &["cannot write", "stdout"]);
}

#[test]
fn settings_that_cannot_be() {
    let (run, place) = (run_folder(), Place::new());
    let (text, tokenizer, out) = (run.join("data/text"), run.join("tokenizer"), place.path("out"));
    let base = |extra: &[&str], words: &[&str]| {
        let mut arguments = vec!["train", "base", "--text", arg(&text), "--tokenizer", arg(&tokenizer)];
        arguments.extend(["--out", arg(&out)]);
        arguments.extend(extra);
        refused(&arguments, words);
    };
    base(&["--depth", "0"], &["--depth is 0"]);
    base(&["--depth", "-1"], &["--depth", "--help"]);
    base(&["--depth", "2", "--batch-tokens", "100", "--context", "64"], &["batch", "100"]);
    base(&["--depth", "2", "--set", "wings=2"], &["wings", "--set"]);
    base(&["--depth", "2", "--context", "64", "--minutes", "-3"], &["minutes"]);
    refused(&["speedrun", "--depth", "0", "--out", arg(&out)], &["--depth is 0"]);
    refused(&["speedrun", "--vocab-size", "7", "--out", arg(&out)], &["vocabulary of 7"]);
    refused(&["tok", "train", arg(&text), "--vocab-size", "7", "--out", arg(&out)], &["vocabulary of 7"]);
    refused(&["tok", "train", arg(&text), "--pattern", "(", "--out", arg(&out)], &["pattern"]);
    refused(&["chat", "--model", arg(run), "-p", "Hi", "--top-p", "2"], &["top-p is 2"]);
    refused(&["chat", "--model", arg(run), "-p", "Hi", "--temperature", "-1"], &["temperature is -1"]);
    refused(&["chat", "--model", arg(run), "-p", " "], &["prompt is empty"]);
    refused(&["nonsense"], &["nonsense", "--help"]);
    refused(&["tok", "train"], &["--help"]);
    assert!(!out.exists());
}

#[test]
fn a_prompt_longer_than_the_context() {
    let run = run_folder();
    let long = "very long words ".repeat(400);
    refused(&["chat", "--model", arg(run), "-p", &long], &["tokens", "context", "shorten"]);
    refused(&["sample", "--model", arg(run), "-p", &long], &["tokens", "context", "shorten"]);
}

#[test]
fn ids_outside_the_vocabulary() {
    let (run, place) = (run_folder(), Place::new());
    let tokenizer = run.join("tokenizer");
    for (ids, word) in [("[1, 99999999]", "99999999"), ("[1, 2", "array"), ("1 two", "two")] {
        let file = place.file("ids.json", ids);
        refused(&["tok", "decode", "--tokenizer", arg(&tokenizer), arg(&file)], &[word]);
    }
}

#[test]
fn resuming_what_is_not_there() {
    let (run, place) = (run_folder(), Place::new());
    let (text, tokenizer, out) = (run.join("data/text"), run.join("tokenizer"), place.path("out"));
    refused(&["speedrun", "--resume", "--out", arg(&out)], &["no run to resume", arg(&out)]);
    let mut arguments = train_base(&text, &tokenizer, &out);
    arguments.push("--resume");
    refused(&arguments, &["resume", arg(&out)]);
    fs::create_dir_all(place.path("mine")).unwrap();
    let mine = place.path("mine");
    fs::write(mine.join("novel.txt"), "chapter one").unwrap();
    refused(&["speedrun", "--quick", "--out", arg(&mine)], &["other files", arg(&mine)]);
    refused(&["speedrun", "--quick", "--force", "--out", arg(&mine)], &["other files"]);
    assert_eq!(fs::read_to_string(mine.join("novel.txt")).unwrap(), "chapter one");
}
