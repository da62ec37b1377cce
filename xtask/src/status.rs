//! `cargo xtask status`: what is partial, collected from marks in the sources into `docs/STATUS.md`.
//!
//! One form, so that it can be found:
//! `MARK(area, milestone:…, priority:P0-P3, status:missing|partial|planned|divergent): action`,
//! where MARK is the usual four capital letters.

use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

use crate::tidy::Finding;
use crate::workspace::{self, SourceFile};

/// Where the list is kept.
pub const PATH: &str = "docs/STATUS.md";

/// The mark, in two parts so that this file holds none.
const MARK: &str = concat!("TO", "DO");

/// One thing that is not done.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    pub priority: String,
    pub area: String,
    pub milestone: String,
    pub status: String,
    pub action: String,
    pub path: String,
}

/// Rewrites the list.
///
/// # Errors
/// When a mark is malformed or the file cannot be written.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    if let Some(argument) = arguments.first() {
        return Err(format!("status takes no argument, not '{argument}'"));
    }
    let (items, malformed) = collect(&workspace::files()?);
    for finding in &malformed {
        println!("{finding}");
    }
    let path = workspace::root().join(PATH);
    fs::write(&path, render(&items)).map_err(|error| format!("{PATH}: {error}"))?;
    println!("{PATH}: {} open", items.len());
    Ok(if malformed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The marks of every source file, and the malformed ones.
pub fn collect(files: &[SourceFile]) -> (Vec<Item>, Vec<Finding>) {
    let mut items = Vec::new();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| matches!(file.extension(), "rs" | "py" | "toml" | "sh" | "c")) {
        for (index, line) in file.text.lines().enumerate() {
            let Some(at) = mark_at(line) else { continue };
            match parse(&line[at + MARK.len()..], &file.path) {
                Ok(item) => items.push(item),
                Err(why) => findings.push(Finding {
                    path: file.path.clone(),
                    line: index + 1,
                    message: format!("{why}; the form is {MARK}(area, milestone:…, priority:P0-P3, status:missing|partial|planned|divergent): action"),
                }),
            }
        }
    }
    items.sort();
    (items, findings)
}

fn mark_at(line: &str) -> Option<usize> {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(MARK)
        .find(|(at, _)| {
            !word(line[..*at].chars().next_back()) && !word(line[at + MARK.len()..].chars().next())
        })
        .map(|(at, _)| at)
}

fn parse(rest: &str, path: &str) -> Result<Item, String> {
    let inside = rest.strip_prefix('(').ok_or("no '(' after the mark")?;
    let (fields, action) = inside.split_once("):").ok_or("no '): action'")?;
    let mut fields = fields.split(',').map(str::trim);
    let area = fields.next().unwrap_or_default();
    let (mut milestone, mut priority, mut status) = ("", "", "");
    for field in fields {
        match field.split_once(':') {
            Some(("milestone", value)) => milestone = value,
            Some(("priority", value)) => priority = value,
            Some(("status", value)) => status = value,
            _ => return Err(format!("unknown field '{field}'")),
        }
    }
    let action = action.trim();
    if area.is_empty() || milestone.is_empty() || action.is_empty() {
        return Err("area, milestone and action may not be empty".to_string());
    }
    if !["P0", "P1", "P2", "P3"].contains(&priority) {
        return Err(format!("priority '{priority}'"));
    }
    if !["missing", "partial", "planned", "divergent"].contains(&status) {
        return Err(format!("status '{status}'"));
    }
    let text = str::to_string;
    Ok(Item {
        priority: text(priority),
        area: text(area),
        milestone: text(milestone),
        status: text(status),
        action: text(action),
        path: text(path),
    })
}

/// The whole file. Without line numbers: it should not change when code above a mark does.
pub fn render(items: &[Item]) -> String {
    let mut text = String::from(
        "# Status\n\nWhat is partial, collected from the sources by `cargo xtask status`. Do not edit by hand.\n\n",
    );
    if items.is_empty() {
        text.push_str("Nothing is marked as open.\n");
        return text;
    }
    text.push_str("| priority | area | milestone | status | action | file |\n|---|---|---|---|---|---|\n");
    for item in items {
        let action = item.action.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {action} | `{}` |",
            item.priority, item.area, item.milestone, item.status, item.path
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: String) -> [SourceFile; 1] {
        [SourceFile { path: "a.rs".to_string(), text }]
    }

    #[test]
    fn a_mark_becomes_a_row() {
        let line = format!("// {MARK}(tensor, milestone:2, priority:P1, status:partial): add bf16 gather");
        let (items, findings) = collect(&source(line));
        assert!(findings.is_empty());
        assert!(render(&items).contains("| P1 | tensor | 2 | partial | add bf16 gather | `a.rs` |"));
    }

    #[test]
    fn malformed_marks_are_found() {
        for bad in [
            "",
            ": do it",
            "(x): y",
            "(x, milestone:1, priority:P9, status:partial): y",
            "(x, milestone:1, priority:P1, status:done): y",
            "(x, milestone:1, priority:P1, status:partial):",
        ] {
            let (items, findings) = collect(&source(format!("// {MARK}{bad}")));
            assert!(items.is_empty() && findings.len() == 1, "{bad}");
        }
        let (items, findings) = collect(&source(format!("let {MARK}S = 1; // {MARK}_LIST")));
        assert!(items.is_empty() && findings.is_empty(), "part of a longer word");
    }
}
