//! The page's logic that needs no page: streams, Markdown, the tree of a conversation, requests. Run by Node.js.

use std::process::Command;

#[test]
fn the_logic_of_the_page() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chat/logic");
    let version = Command::new("node").arg("--version").output();
    // `v20.1.0`: tests are run by Node itself since 18.
    let major = version.ok().and_then(|output| {
        String::from_utf8(output.stdout).ok()?.strip_prefix('v')?.split('.').next()?.parse::<u32>().ok()
    });
    if major.is_none_or(|major| major < 18) {
        println!("no Node.js 18 or newer in PATH: skipped");
        return;
    }
    let files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of the tests")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    let output = Command::new("node").arg("--test").args(&files).output().expect("Node.js");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().any(|line| line.trim_start_matches(['#', 'ℹ', ' ']) == "fail 0"), "{text}");
}
