//! Links in Markdown files lead somewhere.

use std::collections::BTreeSet;

use super::Finding;
use crate::workspace::SourceFile;

/// Relative links and pictures must name a file or folder of the repository, and a `#part` a heading.
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for file in files {
        let mut path = file.path.as_str();
        while let Some((folder, _)) = path.rsplit_once('/') {
            known.insert(folder);
            path = folder;
        }
    }
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.extension() == "md") {
        let mut fenced = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(line) {
                if let Some(message) = broken(files, &known, &file.path, target) {
                    findings.push(Finding::new(&file.path, index + 1, message));
                }
            }
        }
    }
    findings
}

/// What stands in `](…)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split([')', ' ']).next())
}

fn broken(files: &[SourceFile], known: &BTreeSet<&str>, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, part) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.to_string() } else { resolve(from, path)? };
    if path.is_empty() {
        return None; // The root itself.
    }
    // Pictures are binary and so not among the text files.
    let exists = known.contains(path.as_str()) || crate::workspace::root().join(&path).exists();
    if !exists {
        return Some(format!("the link '{target}' leads nowhere"));
    }
    let page = files.iter().find(|file| file.path == path && file.extension() == "md");
    let missing = !part.is_empty() && page.is_some_and(|page| !anchors(&page.text).contains(part));
    missing.then(|| format!("'{path}' has no heading '#{part}'"))
}

/// `target` seen from the folder of `from`; nothing when it climbs out of the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Headings as the usual page renderers name them.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn links_lead_somewhere() {
        let page = |text: &str| file("docs/a.md", text);
        let other = file("docs/sub/b.md", "# A `Title` here\n");
        let count = |text: &str| check(&[page(text), file("docs/sub/b.md", &other.text)]).len();
        assert_eq!(count("[b](sub/b.md) and [folder](sub)"), 0);
        assert_eq!(count("[b](sub/b.md#a-title-here)"), 0);
        assert_eq!(count("[b](sub/b.md#another)"), 1);
        assert_eq!(count("[c](sub/c.md)"), 1);
        assert_eq!(count("[web](https://example.com/c.md)"), 0);
        assert_eq!(count("```\n[c](sub/c.md)\n```"), 0);
    }
}
