//! `mynah bench serve`.

use crate::common::{arg, ok, refused};
use serde_json::Value;

/// The last line of stdout.
fn last(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().unwrap_or_default()).unwrap()
}

#[test]
fn a_server_with_random_weights_is_measured() {
    let quick = ["--tokens", "8", "--rounds", "2", "--concurrency", "1,2", "--prompt-tokens", "64"];
    let mut arguments = vec!["bench", "serve", "--make-model", "tiny", "--prefix-tokens", "200"];
    arguments.extend(quick);
    let stdout = ok(&arguments);
    let found = last(&stdout);
    for key in [
        "start_s",
        "ttft_ms",
        "ttft_cached_ms",
        "inter_token_p50_ms",
        "inter_token_p99_ms",
        "prefill_tokens_per_s",
        "decode_tokens_per_s",
        "throughput_1_tokens_per_s",
        "throughput_2_tokens_per_s",
        "bandwidth_percent",
        "operations_percent",
        "engine_request_us",
        "read_gb_per_s",
    ] {
        assert!(found[key].as_f64().is_some_and(|value| value > 0.0), "{key} in {found}");
    }
    // The whole prefix is found in the cache, to the token.
    let cached = stdout.split_once("first token, ").and_then(|(_, rest)| {
        let (_, rest) = rest.split_once("first token, ")?;
        rest.split_once(" of ")?.0.parse::<usize>().ok()
    });
    assert!(cached.is_some_and(|tokens| tokens >= 200), "{stdout}");
}

#[test]
fn a_model_is_only_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("models");
    let make = ["bench", "serve", "--make-model", "tiny", "--quantize", "q4", "--out", arg(&out)];
    let path = last(&ok(&make))["model"].as_str().unwrap().to_string();
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(b"GGUF") && path.ends_with("random-tiny-q4_0.gguf"), "{path}");
    ok(&make);
    assert!(bytes == std::fs::read(&path).unwrap(), "the same model each time");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let serve = |arguments: &[&'static str]| [&["bench", "serve"], arguments].concat();
    refused(&serve(&["--make-model", "7b"]), &["'7b'", "0.5b"]);
    refused(&serve(&["--url", "https://127.0.0.1:1"]), &["http://"]);
    refused(&serve(&["--url", "http://127.0.0.1:1"]), &["cannot connect", "http://127.0.0.1:1"]);
    refused(&serve(&["--url", "http://a", "--make-model", "tiny"]), &["--make-model"]);
    refused(&serve(&["--out", "x"]), &["--make-model"]);
    refused(&serve(&["--make-model", "tiny", "--concurrency", "0"]), &["--concurrency"]);
}
