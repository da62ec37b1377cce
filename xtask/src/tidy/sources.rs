//! Small things a reviewer should not have to look for: skipped tests without a reason, leftovers of a
//! merge, crates without an essay.

use super::Finding;
use crate::workspace::SourceFile;

/// Line rules over every file, and the essay that opens each crate.
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    // Written in two parts so that this file does not break its own rules.
    let ignored = concat!("#[ig", "nore");
    let markers = [concat!("<<<<", "<<< "), concat!(">>>>", ">>> "), concat!("||||", "||| ")];
    let mut findings = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            let mut found = |message: &str| findings.push(Finding::new(&file.path, index + 1, message));
            if markers.iter().any(|marker| line.starts_with(marker)) {
                found("a merge was left unfinished");
            }
            if file.extension() == "rs"
                && let Some(rest) = line.trim_start().strip_prefix(ignored)
                && !rest.starts_with(" = \"")
            {
                found("a skipped test needs its reason: `= \"why\"`");
            }
        }
        if file.path.starts_with("crates/") && file.path.ends_with("/src/lib.rs") {
            let essay = file.text.lines().take_while(|line| line.starts_with("//!")).count();
            if essay < 3 {
                let message = "opens with an essay: what the crate is, the key decision, what was rejected";
                findings.push(Finding::new(&file.path, 1, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn skipped_tests_need_a_reason() {
        let bare = concat!("    #[ig", "nore]\n");
        let reasoned = concat!("    #[ig", "nore = \"takes an hour\"]\n");
        assert_eq!(check(&[file("a.rs", bare)]).len(), 1);
        assert!(check(&[file("a.rs", reasoned)]).is_empty());
    }

    #[test]
    fn merge_markers_are_found() {
        let text = concat!("<<<<", "<<< ours\n", "a\n", "=======\n", ">>>>", ">>> theirs\n");
        assert_eq!(check(&[file("a.md", text)]).len(), 2);
        assert!(check(&[file("a.md", "Title\n=======\n")]).is_empty());
    }

    #[test]
    fn a_crate_opens_with_an_essay() {
        assert_eq!(check(&[file("crates/a/src/lib.rs", "//! Short.\n")]).len(), 1);
        assert!(check(&[file("crates/a/src/lib.rs", "//! A.\n//!\n//! Why.\n")]).is_empty());
    }
}
