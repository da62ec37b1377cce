//! The conversation, through a pipe.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{arg, mynah, one_error, run_folder, text};

fn talk(arguments: &[&str], lines: &str) -> std::process::Output {
    let mut command = mynah(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_conversation_is_saved_and_gone_on_with() {
    let run = run_folder();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("talk.json");
    let save = format!("/save {}\n", file.display());
    let chat = ["chat", "--model", arg(run), "--max-tokens", "8"];
    let said = talk(&chat, &format!("/system Be brief.\nHello!\nAnd you?\n{save}/quit\nnever asked\n"));
    assert!(said.status.success(), "{}", text(&said.stderr));
    let saved: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let roles: Vec<&str> =
        saved["messages"].as_array().unwrap().iter().filter_map(|m| m["role"].as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);

    let mut load = chat.to_vec();
    load.extend(["--load", arg(&file)]);
    let said = talk(&load, &format!("/retry\n/reset\nHi!\n{save}"));
    assert!(said.status.success(), "{}", text(&said.stderr));
    let saved: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(saved["messages"].as_array().unwrap().len(), 3, "the instructions stay, the messages do not");
}

#[test]
fn mistakes_in_a_conversation_are_said() {
    let run = run_folder();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no-talk.json");
    fs::write(&file, "{\"messages\": 3}").unwrap();
    let chat = ["chat", "--model", arg(run)];
    one_error(&talk(&chat, "/dance\n"), &["/dance", "/help"]);
    one_error(&talk(&chat, "/temperature hot\n"), &["temperature", "hot"]);
    one_error(&talk(&chat, "/temperature -3\n"), &["temperature", "-3"]);
    one_error(&talk(&chat, &format!("/load {}\n", file.display())), &["not a conversation", arg(&file)]);
}
