//! What is served, without a browser.

use mynah_serve::LlmConfig;

use crate::common::{Answer, call, serve};

/// The page's files by following what each names, from `/` on.
fn all_files(get: impl Fn(&str) -> Answer) -> Vec<(String, Answer)> {
    let mut left = vec!["/".to_string()];
    let mut found: Vec<(String, Answer)> = Vec::new();
    while let Some(path) = left.pop() {
        if found.iter().any(|(known, _)| *known == path) {
            continue;
        }
        let answer = get(&path);
        for quoted in answer.body.split('"').skip(1).step_by(2) {
            match quoted.strip_prefix("./") {
                Some(name) if name.ends_with(".js") => left.push(format!("/page/{name}")),
                None if quoted.starts_with("/page/") => left.push(quoted.to_string()),
                _ => {}
            }
        }
        found.push((path, answer));
    }
    found
}

#[test]
fn every_file_is_served_to_everybody_under_a_strict_policy() {
    // With a key: the page must come before it can ask for one.
    let server = serve(LlmConfig { api_keys: vec!["0123456789abcdef".to_string()], ..LlmConfig::default() });
    let files = all_files(|path| call(&server, "GET", path, "", b""));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/chat-page");
    let written = std::fs::read_dir(folder).expect("the page's folder").count();
    // All but package.json, which is for tests of the logic.
    assert_eq!(files.len(), written - 1, "{:?}", files.iter().map(|(path, _)| path).collect::<Vec<_>>());
    for (path, answer) in &files {
        assert_eq!(answer.status, 200, "{path}");
        let head = answer.head.to_lowercase();
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: "));
        let policy = policy.unwrap_or_else(|| panic!("{path} has no policy"));
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(policy.contains("require-trusted-types-for 'script'"), "{policy}");
        assert!(head.contains("x-content-type-options: nosniff"), "{path}");
        let kind = match path.rsplit_once('.') {
            Some((_, "js")) => "text/javascript",
            Some((_, "css")) => "text/css",
            _ => "text/html",
        };
        assert!(head.contains(&format!("content-type: {kind}; charset=utf-8")), "{path}: {head}");
    }
    assert_eq!(call(&server, "GET", "/v1/models", "", b"").status, 401, "the API itself stays closed");
    assert_eq!(call(&server, "GET", "/page/nothing.js", "", b"").status, 401);
}

#[test]
fn no_file_reaches_outside_or_makes_markup_of_text() {
    let server = serve(LlmConfig::default());
    for (path, answer) in all_files(|path| call(&server, "GET", path, "", b"")) {
        let text = &answer.body;
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("] {
            assert!(!text.contains(word), "{path} has {word}");
        }
        // Patterns that recognise an address are fine, addresses are not.
        for (place, _) in text.match_indices("://") {
            let before = &text[..place];
            assert!(
                !before.ends_with("http") && !before.ends_with("https"),
                "{path} has an address: {}",
                &text[place - 8..place + 12]
            );
        }
        for word in ["@import", "url(", "onclick=\"", "style=\"", "javascript:"] {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
}
