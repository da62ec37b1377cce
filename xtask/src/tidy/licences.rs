//! Every dependency may be shipped with an Apache-2.0 program.

use super::Finding;
use crate::workspace::Package;

/// SPDX names that ask for no more than a notice (MPL: for its own files).
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Exceptions add permissions, so a name may carry one.
const EXCEPTIONS: &[&str] = &["LLVM-exception"];

/// Packages that name a file instead of an expression, and the licence that was found in it.
const IN_A_FILE: &[(&str, &str)] = &[("rustpython-pylib", "Python-2.0: asks for its notice to be kept")];

/// Evaluates each package's SPDX expression.
pub fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let message = match &package.licence {
            None if IN_A_FILE.iter().any(|(name, _)| *name == package.name) => continue,
            None => "states no licence".to_string(),
            Some(text) => match allowed(text) {
                Some(true) => continue,
                Some(false) => format!("has the licence '{text}', which is not on the list"),
                None => format!("has a licence that cannot be read: '{text}'"),
            },
        };
        findings.push(Finding::new("Cargo.lock", 0, format!("dependency '{}' {message}", package.name)));
    }
    findings
}

/// Whether an SPDX expression can be satisfied from the list; nothing when it is malformed.
/// The old form `MIT/Apache-2.0` means OR.
fn allowed(expression: &str) -> Option<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let value = any(&words, &mut at)?;
    (at == words.len()).then_some(value)
}

fn any(words: &[&str], at: &mut usize) -> Option<bool> {
    let mut value = all(words, at)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        value |= all(words, at)?;
    }
    Some(value)
}

fn all(words: &[&str], at: &mut usize) -> Option<bool> {
    let mut value = one(words, at)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        value &= one(words, at)?;
    }
    Some(value)
}

fn one(words: &[&str], at: &mut usize) -> Option<bool> {
    let word = *words.get(*at)?;
    *at += 1;
    if word == "(" {
        let value = any(words, at)?;
        let close = *words.get(*at)?;
        *at += 1;
        return (close == ")").then_some(value);
    }
    let mut value = ALLOWED.contains(&word);
    if words.get(*at) == Some(&"WITH") {
        value &= EXCEPTIONS.contains(words.get(*at + 1)?);
        *at += 2;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_evaluated() {
        for (expression, expect) in [
            ("MIT", Some(true)),
            ("MIT/Apache-2.0", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("GPL-3.0-only OR MIT", Some(true)),
            ("GPL-3.0-only AND MIT", Some(false)),
            ("(MIT OR GPL-3.0-only) AND Unicode-3.0", Some(true)),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", Some(true)),
            ("Apache-2.0 WITH Strange-exception", Some(false)),
            ("(MIT", None),
            ("MIT MIT", None),
            ("", None),
        ] {
            assert_eq!(allowed(expression), expect, "{expression}");
        }
    }

    #[test]
    fn a_bad_licence_is_found() {
        let package = |licence: Option<&str>| Package {
            name: "x".to_string(),
            licence: licence.map(str::to_string),
            member: None,
            dependencies: Vec::new(),
            for_tests: Vec::new(),
        };
        assert!(check(&[package(Some("MIT"))]).is_empty());
        assert_eq!(check(&[package(Some("AGPL-3.0"))]).len(), 1);
        assert_eq!(check(&[package(None)]).len(), 1);
    }
}
