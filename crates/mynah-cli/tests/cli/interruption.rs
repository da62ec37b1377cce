//! Ctrl-C saves, and going on gives what never stopping would have.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::common::{arg, mynah, ok, one_error, refused, run_folder};

fn arguments<'a>(text: &'a str, tokenizer: &'a str, out: &'a str) -> Vec<&'a str> {
    vec![
        "train",
        "base",
        "--text",
        text,
        "--tokenizer",
        tokenizer,
        "--out",
        out,
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
        "300",
        "--save-every",
        "20",
        "--validate-every",
        "0",
        "--sample-every",
        "0",
        "--threads",
        "1",
    ]
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_goes_on_to_the_same_weights() {
    let run = run_folder();
    let (text, tokenizer) = (run.join("data/text"), run.join("tokenizer"));
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    ok(&arguments(arg(&text), arg(&tokenizer), arg(&whole)));

    let options = arguments(arg(&text), arg(&tokenizer), arg(&cut));
    let mut child = mynah(&options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let saved = said.any(|line| line.unwrap().contains("saved"));
    assert!(saved, "no checkpoint was saved");
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    said.for_each(drop);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        println!("the run was faster than the interruption; nothing to compare: skipped");
        return;
    }
    one_error(&output, &["stopped on request", "--resume"]);
    // What it left is a model already.
    ok(&["sample", "--model", arg(&cut), "-p", "a", "--max-tokens", "2"]);
    refused(&options, &["already holds a run", "--resume"]);
    let mut resume = options.clone();
    resume.push("--resume");
    ok(&resume);
    let weights = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert_eq!(weights(&whole), weights(&cut), "the same bytes as without the stop");
}
