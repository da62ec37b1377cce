//! Files stay readable in one sitting.

use super::Finding;
use crate::workspace::SourceFile;

const LINES_MAX: usize = 900;

/// Longer files and why: only data may be, never logic.
const DATA: &[(&str, &str)] = &[];

/// Committed goldens and pictures stay small; nobody wants to clone megabytes of them.
const BYTES_MAX: usize = 400 << 10;

/// Rust and Python files by lines, every other text file by bytes.
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    check_with(files, DATA)
}

fn check_with(files: &[SourceFile], data: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        let code = matches!(file.extension(), "rs" | "py");
        if code && lines > LINES_MAX && !data.iter().any(|(path, _)| *path == file.path) {
            let message = format!("{lines} lines, {LINES_MAX} at most; split it, or list it as data");
            findings.push(Finding::new(&file.path, 0, message));
        }
        if file.text.len() > BYTES_MAX && !file.path.ends_with("Cargo.lock") {
            let message = format!("{} KiB of text, {} at most", file.text.len() >> 10, BYTES_MAX >> 10);
            findings.push(Finding::new(&file.path, 0, message));
        }
    }
    for (path, _) in data {
        if !files.iter().any(|file| file.path == *path) {
            findings.push(Finding::new(path, 0, "listed as data in xtask/src/tidy/sizes.rs, but absent"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn long_files_are_found() {
        let long = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(check_with(&[file("a.rs", &long)], &[]).len(), 1);
        assert!(check_with(&[file("a.rs", &long)], &[("a.rs", "a table")]).is_empty());
        assert!(check_with(&[file("a.md", &long)], &[]).is_empty());
        assert_eq!(check_with(&[], &[("gone.rs", "a table")]).len(), 1);
        assert_eq!(check_with(&[file("a.json", &"x".repeat(BYTES_MAX + 1))], &[]).len(), 1);
    }
}
