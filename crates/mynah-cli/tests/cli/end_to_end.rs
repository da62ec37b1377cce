//! From nothing to a chat, in a smoke run; and each command on what it left.

use std::fs;

use serde_json::Value;

use crate::common::{arg, ok, refused, run_folder};

#[test]
fn a_speedrun_leaves_what_it_promises() {
    let run = run_folder();
    for path in [
        "model/config.json",
        "model/model.safetensors",
        "model/metrics.jsonl",
        "model/metrics.csv",
        "base/model.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer.tiktoken",
        "report/report.html",
        "report/report.md",
        "report/report.json",
        "report/pretraining-loss.svg",
    ] {
        assert!(run.join(path).is_file(), "{path}");
    }
    let report: Value =
        serde_json::from_str(&fs::read_to_string(run.join("report/report.json")).unwrap()).unwrap();
    assert!(report["command"].as_str().unwrap().starts_with("mynah speedrun --quick --out"));
    assert!(report["notice"].as_str().unwrap().contains("smoke run"));
    let names: Vec<&str> =
        report["scores"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    for name in ["bits per byte, base model", "spelling", "counting", "addition"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let stages: Vec<&str> =
        report["stages"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(stages, ["data", "tok", "base", "chat", "eval"]);
    assert!(!report["conversations"].as_array().unwrap().is_empty());
    assert!(!report["samples"].as_array().unwrap().is_empty());
    let page = fs::read_to_string(run.join("report/report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("src=\"http"));
}

#[test]
fn a_complete_run_is_not_done_again_nor_overwritten() {
    let run = run_folder();
    let said = ok(&["speedrun", "--quick", "--out", arg(run)]);
    assert!(said.contains("already complete"), "{said}");
    assert!(ok(&["speedrun", "--resume", "--out", arg(run)]).contains("already complete"));
    let before = fs::read(run.join("model/model.safetensors")).unwrap();
    refused(&["speedrun", "--out", arg(run)], &["other options", arg(run), "--force"]);
    refused(&["speedrun", "--quick", "--seed", "7", "--out", arg(run)], &["other options"]);
    assert_eq!(fs::read(run.join("model/model.safetensors")).unwrap(), before);
}

#[test]
fn a_chat_answer_stands_alone() {
    let run = run_folder();
    let model_folder = run.join("model");
    let answers: Vec<String> = [run, &model_folder]
        .into_iter()
        .map(|model| ok(&["chat", "--model", arg(model), "-p", "What is 2 + 3?", "--max-tokens", "24"]))
        .collect();
    assert_eq!(answers[0], answers[1], "the run's folder and the model's own are the same model");
    assert!(answers[0].ends_with('\n'));
    let json = ok(&["chat", "--model", arg(run), "-p", "What is 2 + 3?", "--max-tokens", "24", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["answer"].as_str().unwrap().trim(), answers[0].trim());
    assert!(json["tokens"].as_u64().unwrap() <= 24);
}

#[test]
fn bits_per_byte_as_json() {
    let run = run_folder();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("held-out.txt");
    fs::write(&file, "Once upon a time there was a little dog.\nThe dog was happy.\n").unwrap();
    let line = ok(&["eval", "bpb", "--model", arg(run), arg(&file), "--json"]);
    let json: Value = serde_json::from_str(&line).unwrap();
    let bpb = json["bits_per_byte"].as_f64().unwrap();
    assert!(bpb > 0.5 && bpb < 16.0, "{bpb}");
    assert_eq!(json["bytes"], fs::metadata(&file).unwrap().len());
}

#[test]
fn tasks_and_samples() {
    let run = run_folder();
    let line = ok(&[
        "eval",
        "tasks",
        "--model",
        arg(run),
        "--tasks",
        "spelling,addition",
        "--questions",
        "3",
        "--json",
    ]);
    let json: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[1]["task"], "addition");
    assert_eq!(json[1]["questions"], 3);
    refused(
        &["eval", "tasks", "--model", arg(run), "--tasks", "juggling"],
        &["juggling", "--tasks", "spelling"],
    );

    let base = run.join("base");
    let sample = |seed: &str| {
        let lines = ok(&[
            "sample",
            "--model",
            arg(&base),
            "-p",
            "Once",
            "--rows",
            "3",
            "--max-tokens",
            "12",
            "--seed",
            seed,
            "--json",
        ]);
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let rows = sample("1");
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["tokens"].as_u64().unwrap() <= 12));
    assert_eq!(rows, sample("1"), "the same seed gives the same text");
    assert_ne!(rows, sample("2"));
}

#[test]
fn a_tokenizer_goes_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let (file, tokenizer) = (dir.path().join("text.txt"), dir.path().join("tokenizer"));
    let text = "the cat sat on the mat, the cat ate 12 rats — naïve café\n".repeat(40);
    fs::write(&file, &text).unwrap();
    ok(&["tok", "train", arg(&file), "--vocab-size", "300", "--out", arg(&tokenizer)]);
    let ranks = fs::read_to_string(tokenizer.join("tokenizer.tiktoken")).unwrap();
    assert!(
        ranks.lines().enumerate().all(|(rank, line)| line.ends_with(&format!(" {rank}"))),
        "token, space, rank"
    );

    let ids = ok(&["tok", "encode", "--tokenizer", arg(&tokenizer), arg(&file), "--json"]);
    let array: Vec<u32> = serde_json::from_str(&ids).unwrap();
    assert!(array.len() < text.len());
    let ids_file = dir.path().join("ids.json");
    fs::write(&ids_file, &ids).unwrap();
    assert_eq!(ok(&["tok", "decode", "--tokenizer", arg(&tokenizer), arg(&ids_file)]), text);

    let eval = ok(&["tok", "eval", "--tokenizer", arg(&tokenizer), arg(&file), "--json"]);
    let eval: Value = serde_json::from_str(&eval).unwrap();
    assert_eq!(eval["bytes"].as_u64().unwrap(), text.len() as u64);
    assert_eq!(eval["tokens"].as_u64().unwrap(), array.len() as u64);
}

#[test]
fn data_is_made_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    for out in [&a, &b] {
        let line = ok(&[
            "data",
            "make",
            "--out",
            arg(out),
            "--megabytes",
            "1",
            "--conversations",
            "20",
            "--held-out",
            "10",
            "--json",
        ]);
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["conversations"], 20);
    }
    let first = fs::read(a.join("text/train-0000.jsonl")).unwrap();
    assert_eq!(first, fs::read(b.join("text/train-0000.jsonl")).unwrap(), "same seed, same bytes");
    refused(&["data", "make", "--out", arg(&a)], &["not empty", arg(&a), "--force"]);
    let text = a.join("text");
    let json: Value = serde_json::from_str(&ok(&["data", "info", arg(&text), "--json"])).unwrap();
    assert!(json["documents"].as_u64().unwrap() > 100);
}

#[test]
fn the_plan_explains_itself() {
    let run = run_folder();
    let (tokenizer, text) = (run.join("tokenizer"), run.join("data/text"));
    let said = ok(&[
        "train",
        "base",
        "--text",
        arg(&text),
        "--tokenizer",
        arg(&tokenizer),
        "--depth",
        "3",
        "--explain",
    ]);
    assert!(said.contains("batch") && said.contains("horizon"), "{said}");
}

#[test]
fn own_text_uses_the_builtin_conversations_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (text, out) = (dir.path().join("mine.txt"), dir.path().join("run"));
    let story = |n: u32| {
        format!(
            "On day {n} the harbour was quiet. Boat {} came in with {} fish.\n\n",
            n * 7 % 1009,
            n * n % 997
        )
    };
    fs::write(&text, (0..3000).map(story).collect::<String>()).unwrap();
    let said = ok(&[
        "speedrun",
        "--quick",
        "--text",
        arg(&text),
        "--out",
        arg(&out),
        "--steps",
        "4",
        "--sft-steps",
        "2",
    ]);
    assert!(said.contains("built-in conversations"), "{said}");
    assert!(out.join("report/report.html").is_file());
    assert!(!out.join("data/text/train-0000.jsonl").exists(), "no built-in text");
}
