//! Every crate takes the workspace's lints, and `unsafe` stays on its islands.

use super::Finding;
use crate::workspace::{Package, SourceFile};

/// Crates that may hold `unsafe`: they write their lints out instead of inheriting them.
const UNSAFE_ISLANDS: &[&str] = &["mynah-kernels", "mynah-mpi", "pyc-runtime"];

/// Checks each member's `Cargo.toml`, and the lock file's origins.
pub fn check(files: &[SourceFile], packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some(folder) = &package.member else { continue };
        let path = format!("{folder}/Cargo.toml");
        let Some(manifest) = files.iter().find(|file| file.path == path) else { continue };
        let lints = section(&manifest.text, "[lints]");
        let inherits = lints.is_some_and(|lines| lines.contains(&"workspace = true"));
        let island = UNSAFE_ISLANDS.contains(&package.name.as_str());
        let own_table = section(&manifest.text, "[lints.rust]").is_some()
            && section(&manifest.text, "[lints.clippy]")
                .is_some_and(|lines| lines.contains(&"undocumented_unsafe_blocks = \"deny\""));
        if !(inherits || island && own_table) {
            findings.push(Finding::new(&path, 0, "needs `[lints]` with `workspace = true`"));
        }
    }
    for file in files.iter().filter(|file| file.extension() == "rs") {
        let island = UNSAFE_ISLANDS.iter().any(|name| file.path.starts_with(&format!("crates/{name}/")));
        if island {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            if uses_unsafe(line) {
                findings.push(Finding::new(
                    &file.path,
                    index + 1,
                    "unsafe code outside the islands (mynah-kernels and those listed in tidy)",
                ));
            }
        }
    }
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.lock")) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(source) = line.strip_prefix("source = ")
                && source != "\"registry+https://github.com/rust-lang/crates.io-index\""
            {
                findings.push(Finding::new(&file.path, index + 1, "only crates.io belongs in a lock file"));
            }
        }
    }
    findings
}

/// The lines of a TOML table, without blank ones, or nothing when the table is absent.
fn section<'a>(manifest: &'a str, header: &str) -> Option<Vec<&'a str>> {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != header);
    lines.next()?;
    Some(lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty()).collect())
}

/// The keyword opening a block, function, impl or trait; comments, strings and lint names do not count.
fn uses_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let keyword = concat!("uns", "afe");
    code.match_indices(keyword).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + keyword.len()..].trim_start();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"' || c == '`')
            && ["{", "fn ", "impl", "trait ", "extern"].iter().any(|next| after.starts_with(next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    fn member(name: &str) -> Package {
        let (licence, dependencies) = (None, Vec::new());
        Package {
            name: name.to_string(),
            licence,
            member: Some(format!("crates/{name}")),
            dependencies,
            for_tests: Vec::new(),
        }
    }

    #[test]
    fn lints_are_inherited() {
        let good = file("crates/a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n");
        let bad = file("crates/b/Cargo.toml", "[package]\n[dependencies]\nworkspace = true\n");
        assert!(check(&[good], &[member("a")]).is_empty());
        assert_eq!(check(&[bad], &[member("b")]).len(), 1);
    }

    #[test]
    fn an_island_writes_its_lints_out() {
        let text =
            "[lints.rust]\nmissing_docs = \"warn\"\n[lints.clippy]\nundocumented_unsafe_blocks = \"deny\"\n";
        let path = "crates/mynah-kernels/Cargo.toml";
        assert!(check(&[file(path, text)], &[member("mynah-kernels")]).is_empty());
        assert_eq!(check(&[file(path, "[lints.rust]\n")], &[member("mynah-kernels")]).len(), 1);
    }

    #[test]
    fn unsafe_stays_on_its_island() {
        let block = concat!("let x = uns", "afe { *pointer };\n");
        assert_eq!(check(&[file("crates/mynah-nn/src/a.rs", block)], &[]).len(), 1);
        assert!(check(&[file("crates/mynah-kernels/src/a.rs", block)], &[]).is_empty());
        let word = concat!("// uns", "afe { } is not used here\n");
        assert!(check(&[file("crates/mynah-nn/src/a.rs", word)], &[]).is_empty());
    }

    #[test]
    fn lock_files_name_only_the_public_registry() {
        let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert!(check(&[file("Cargo.lock", public)], &[]).is_empty());
        let other = "source = \"registry+https://mirror.example/index\"\n";
        assert_eq!(check(&[file("Cargo.lock", other)], &[]).len(), 1);
    }
}
