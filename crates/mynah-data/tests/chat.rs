//! Conversation files: three shapes, bad records, bad files.

use std::fs;
use std::path::PathBuf;

use mynah_base::Rng;
use mynah_data::chat::{ChatOptions, load};
use mynah_data::{ErrorKind, Result};
use mynah_tokenizer::chat::{Content, Part};

fn load_text(name: &str, text: &str, strict: bool) -> Result<mynah_data::chat::Loaded> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    load(&[path], &ChatOptions { strict, ..ChatOptions::default() })
}

fn answer(text: &str) -> Content {
    load_text("x.jsonl", text, true).unwrap().conversations[0].messages[1].content.clone()
}

#[test]
fn messages_and_arrays_of_messages() {
    let lines = concat!(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"python\",\"text\":\"1+1\"},{\"type\":\"python_output\",\"text\":\"2\"},{\"type\":\"text\",\"text\":\"Two.\"}]}]}\n",
        "[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"a\"}]\n"
    );
    let loaded = load_text("x.jsonl", lines, true).unwrap();
    assert_eq!(loaded.conversations.len(), 2);
    assert_eq!(loaded.summary(), "2 conversations");
    assert_eq!(loaded.conversations[0].messages.len(), 3);
}

#[test]
fn instructions_as_array_and_as_lines() {
    let record = "{\"instruction\":\"Add\",\"input\":\"1 and 2\",\"response\":\"3\"}";
    for (name, text) in
        [("x.json", format!(" [\n{record},\n{record}]")), ("x.jsonl", format!("{record}\n{record}\n"))]
    {
        let loaded = load_text(name, &text, true).unwrap();
        assert_eq!(loaded.conversations.len(), 2);
        assert_eq!(loaded.conversations[0].messages[0].content, Content::Text("Add\n\n1 and 2".to_string()));
        assert_eq!(loaded.conversations[0].messages[1].content, Content::Text("3".to_string()));
    }
    let output = answer("{\"instruction\":\"Add\",\"input\":\"\",\"output\":\"3\"}");
    assert_eq!(output, Content::Text("3".to_string()));
}

#[test]
fn worked_answers_become_calls() {
    let record = "{\"question\":\"q\",\"answer\":\"He sold 48/2 = <<48/2=24>>24 clips.\\nIn all <<48+24=72>>72.\\n#### 72\"}";
    let text = |text: &str| Part::Text(text.to_string());
    let call = |text: &str| Part::Python(text.to_string());
    let output = |text: &str| Part::PythonOutput(text.to_string());
    let expect = vec![
        text("He sold 48/2 = "),
        call("48/2"),
        output("24"),
        text("24 clips.\nIn all "),
        call("48+24"),
        output("72"),
        text("72.\n#### 72"),
    ];
    assert_eq!(answer(record), Content::Parts(expect));
    let plain = answer("{\"question\":\"q\",\"answer\":\"no note << here\\n#### 1\"}");
    assert_eq!(plain, Content::Text("no note << here\n#### 1".to_string()));
}

#[test]
fn bad_records_are_counted_or_refused() {
    let lines = "{\"instruction\":\"a\",\"response\":\"b\"}\n{\"instruction\":\"a\",\"response\":\"\"}\n{\"other\":1}\n[{\"role\":\"assistant\",\"content\":\"a\"}]\n17\n";
    let loaded = load_text("x.jsonl", lines, false).unwrap();
    assert_eq!((loaded.conversations.len(), loaded.skipped), (1, 4));
    assert!(
        loaded.summary().contains("4 records skipped") && loaded.summary().contains("x.jsonl:2"),
        "{}",
        loaded.summary()
    );
    let error = load_text("x.jsonl", lines, true).unwrap_err().to_string();
    assert!(error.contains("x.jsonl:2") && error.contains("response"), "{error}");
    let error = load_text("x.json", "[{\"a\":1}]", true).unwrap_err().to_string();
    assert!(error.contains("record 1"), "{error}");
}

#[test]
fn files_without_a_conversation_are_errors() {
    let check = |name: &str, text: &str, kind: ErrorKind, expect: &str| {
        let error = load_text(name, text, false).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expect) && !error.to_string().contains('\n'), "{error}");
    };
    check("x.jsonl", "", ErrorKind::Empty, "the file is empty");
    check("x.json", "[]", ErrorKind::Empty, "the file is empty");
    check("x.jsonl", "{\"a\":1}\n", ErrorKind::Empty, "1 record(s) of another shape");
    check("x.jsonl", "{\"a\":1}\n{{\n", ErrorKind::Format, "x.jsonl:2: bad JSON");
    check("x.json", "[{\"a\":1},", ErrorKind::Format, "bad JSON");
    assert_eq!(load(&["/no/such/file.jsonl"], &ChatOptions::default()).unwrap_err().kind(), ErrorKind::Io);
    let small = ChatOptions { text_bytes_max: 10, ..ChatOptions::default() };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.jsonl"), "{\"instruction\":\"long enough\",\"response\":\"b\"}\n").unwrap();
    assert_eq!(load(&[dir.path()], &small).unwrap_err().kind(), ErrorKind::Setting);
}

#[test]
fn random_records_never_panic() {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        "\"messages\":",
        "\"role\":\"user\"",
        "\"content\":\"x\"",
        ",",
        "\"question\":",
        "\"answer\":\"<<\"",
        "1e999",
        "\n",
        "\\ud800",
        "\"<<a=b>>\"",
        "null",
    ];
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..1_000 {
        let mut rng = Rng::new(seed);
        let text: String = (0..rng.index(30)).map(|_| *rng.choose(&pieces)).collect();
        let name = if seed % 2 == 0 { "x.json" } else { "x.jsonl" };
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        let _ = load(&[path], &ChatOptions { strict: seed % 3 == 0, ..ChatOptions::default() });
    }
    let deep = "[".repeat(100_000);
    assert!(load_text("x.json", &deep, false).is_err() && load_text("x.jsonl", &deep, false).is_err());
}

/// Real files, where there are any: `MYNAH_DATA` names a folder with `chat/`.
#[test]
fn real_sets_load() {
    let Some(folder) = std::env::var_os("MYNAH_DATA").map(|folder| PathBuf::from(folder).join("chat")) else {
        println!("MYNAH_DATA (a folder with chat/) is not set: skipped");
        return;
    };
    let loaded = load(&[folder], &ChatOptions::default()).unwrap();
    println!("{}", loaded.summary());
    assert!(loaded.conversations.len() > 1_000);
    let calls =
        loaded.conversations.iter().filter(|c| matches!(c.messages[1].content, Content::Parts(_))).count();
    assert!(calls > 1_000, "{calls}");
}
