//! `cargo xtask tidy`: what ARCHITECTURE.md and the house style promise, checked.
//!
//! A rule is a function from the facts (files, packages) to findings. To add one: write the function
//! with a test that breaks it, and call it in [`check`].

mod layers;
mod licences;
mod links;
mod manifests;
mod sizes;
mod sources;
mod words;

use std::fmt;
use std::process::ExitCode;

use crate::status;
use crate::workspace::{self, Package, SourceFile};

/// One broken rule: where, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    /// From 1; 0 when the finding is about the whole file.
    pub line: usize,
    pub message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: path.to_string(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Runs every rule over the checkout; exit code 1 when something was found.
///
/// # Errors
/// When the facts cannot be gathered.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    if let Some(argument) = arguments.first() {
        return Err(format!("tidy takes no argument, not '{argument}'"));
    }
    let files = workspace::files()?;
    let packages = workspace::packages()?;
    let findings = check(&files, &packages);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files and {} packages, nothing to mend", files.len(), packages.len());
        Ok(ExitCode::SUCCESS)
    } else {
        println!("tidy: {} to mend", findings.len());
        Ok(ExitCode::FAILURE)
    }
}

fn check(files: &[SourceFile], packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(layers::check(packages));
    findings.extend(licences::check(packages));
    findings.extend(manifests::check(files, packages));
    findings.extend(sizes::check(files));
    findings.extend(sources::check(files));
    findings.extend(words::check(files));
    findings.extend(links::check(files));
    let (items, malformed) = status::collect(files);
    findings.extend(malformed);
    let written = files.iter().find(|file| file.path == status::PATH).map(|file| file.text.as_str());
    if written != Some(status::render(&items).as_str()) {
        findings.push(Finding::new(
            status::PATH,
            0,
            "differs from the marks in the sources; run `cargo xtask status`",
        ));
    }
    findings.sort();
    findings
}

/// Test helper: a file from its path and text.
#[cfg(test)]
pub fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_string(), text: text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_status_list_is_found() {
        let found = |files: &[SourceFile]| {
            check(files, &[]).iter().filter(|finding| finding.path == status::PATH).count()
        };
        assert_eq!(found(&[file(status::PATH, &status::render(&[]))]), 0);
        assert_eq!(found(&[file(status::PATH, "something else\n")]), 1);
        assert_eq!(found(&[]), 1, "absent counts as different");
    }
}
