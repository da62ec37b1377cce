//! A training run goes on with weights that an agent keeps.

use std::path::{Path, PathBuf};

use mynah_swap::host::Store;

use crate::common::{arg, mynah, ok, one_error, run_folder, text};

/// A folder as an agent keeps it, with the quick run's chat model live.
fn agent_folder(home: &Path) -> (PathBuf, String) {
    let folder = home.join("agent");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["model.safetensors", "config.json"] {
        std::fs::copy(run_folder().join("model").join(name), folder.join(name)).unwrap();
    }
    ok(&["weights", "manifest", arg(&folder), "--model", "quick"]);
    let store = Store::open(&folder).unwrap();
    let version = store.adopt().unwrap();
    store.point(&version).unwrap();
    (folder, version.to_string())
}

/// The weights that a run of a few steps ends with, and what it said.
fn train(home: &Path, name: &str, model: &str, more: &[&str]) -> (Vec<u8>, String) {
    let chat = home.join("talks.jsonl");
    let line = |number: usize| {
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"say {number}\"}}, {{\"role\": \"assistant\", \"content\": \"{number}\"}}]}}\n"
        )
    };
    std::fs::write(&chat, (0..64).map(line).collect::<String>()).unwrap();
    let (model, tokenizer, out) = (run_folder().join(model), run_folder().join("tokenizer"), home.join(name));
    let output = mynah(&["train", "sft", "--model", arg(&model), "--tokenizer", arg(&tokenizer)])
        .args(["--chat", arg(&chat), "--out", arg(&out), "--steps", "3", "--no-record"])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let said = text(&output.stdout) + &text(&output.stderr);
    (std::fs::read(out.join("model.safetensors")).unwrap(), said)
}

#[test]
fn a_run_goes_on_with_what_an_agent_makes_live() {
    let home = tempfile::tempdir().unwrap();
    let (folder, version) = agent_folder(home.path());
    let (own, _) = train(home.path(), "own", "base", &[]);
    let take = ["--take-from", arg(&folder), "--take-optimizer", "reset"];
    let (taken, said) = train(home.path(), "taken", "base", &take);
    assert!(said.contains(&format!("step 0: goes on with weights {version}")), "{said}");
    assert!(taken != own, "the weights were said to be taken, and were not");
    // The version is the run's from there on: going on does not take it again.
    let (again, said) = train(home.path(), "taken", "base", &[take.as_slice(), &["--resume"]].concat());
    assert!(again == taken && !said.contains("goes on with weights"), "{said}");
}

#[test]
fn damaged_weights_are_not_taken_and_the_run_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let (folder, version) = agent_folder(home.path());
    let path = folder.join("versions").join(version.trim_start_matches("blake3:")).join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    // The folder's own file may be the same one.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let (own, _) = train(home.path(), "own", "base", &[]);
    let (taken, said) = train(home.path(), "taken", "base", &["--take-from", arg(&folder)]);
    assert_eq!(said.matches("were not taken").count(), 1, "{said}");
    assert!(taken == own, "damaged weights were taken");

    let nothing = home.path().join("nothing");
    let (model, out) = (run_folder().join("base"), home.path().join("out"));
    let (tokenizer, chat) = (run_folder().join("tokenizer"), home.path().join("talks.jsonl"));
    let output = mynah(&["train", "sft", "--model", arg(&model), "--tokenizer", arg(&tokenizer)])
        .args(["--chat", arg(&chat), "--out", arg(&out), "--no-record", "--take-from", arg(&nothing)])
        .output()
        .unwrap();
    one_error(&output, &["no agent keeps versions here"]);
}
