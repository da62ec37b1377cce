//! Arrows point down only. The tables are ARCHITECTURE.md's, as data.

use super::Finding;
use crate::workspace::Package;

/// Crate and layer. A crate may depend only on crates of a lower layer and of its own product.
const LAYERS: &[(&str, u32)] = &[
    ("mynah-base", 0),
    ("mynah-kernels", 1),
    ("mynah-tokenizer", 1),
    ("mynah-trust", 1),
    ("mynah-chat", 1),
    ("mynah-swap", 2),
    ("mynah-tensor", 2),
    ("mynah-data", 2),
    ("mynah-ledger", 2),
    ("mynah-mpi", 3),
    ("mynah-nn", 3),
    ("mynah-govern", 3),
    ("mynah-flow", 3),
    ("mynah-train", 4),
    ("mynah-models", 4),
    ("mynah-engine", 5),
    ("mynah-serve", 6),
    ("mynah-cli", 7),
    ("pyc-abi", 0),
    ("pyc-front", 1),
    ("pyc-ir", 1),
    ("pyc-runtime", 2),
    ("pyc-lower", 2),
    ("pyc-opt", 2),
    ("pyc-interp", 3),
    ("pyc-stdlib", 3),
    ("pyc-native", 3),
    ("pyc-wasm", 3),
    ("pyc-host", 4),
    ("pyc-driver", 5),
    ("pyc-stub", 6),
];

/// Outside crates that only one of ours may know: (prefix of the dependency's name, the crate).
const ONLY: &[(&str, &str)] = &[
    ("rusqlite", "mynah-ledger"),
    ("postgres", "mynah-ledger"),
    // Before `tokio`, whose prefix it has: the first that fits counts.
    ("tokio-postgres", "mynah-ledger"),
    ("llguidance", "mynah-engine"),
    ("minijinja", "mynah-chat"),
    ("tokenizers", "mynah-tokenizer"),
    ("parquet", "mynah-data"),
    ("arrow", "mynah-data"),
    ("safetensors", "mynah-nn"),
    ("axum", "mynah-serve"),
    ("tokio", "mynah-serve"),
    ("hyper", "mynah-serve"),
    ("anyhow", "mynah-cli"),
    ("clap", "mynah-cli"),
    ("indicatif", "mynah-cli"),
    ("cranelift", "pyc-native"),
    ("wasm-encoder", "pyc-wasm"),
    ("rustpython-pylib", "pyc-driver"),
];

/// Crates that stand beside the layers: nothing depends on them.
const BESIDE: &[&str] = &["xtask"];

/// Layering, exclusive knowledge, folder = crate, and one version of everything outside.
pub fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let layer = |name: &str| LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer);
    let member = |name: &str| packages.iter().any(|p| p.member.is_some() && p.name == name);
    for package in packages {
        let Some(folder) = &package.member else { continue };
        let manifest = format!("{folder}/Cargo.toml");
        let mut found = |message: String| findings.push(Finding::new(&manifest, 0, message));
        let beside = BESIDE.contains(&package.name.as_str());
        let own = layer(&package.name);
        if own.is_none() && !beside {
            found(format!("'{}' is in no layer; add it to xtask/src/tidy/layers.rs", package.name));
        }
        if folder.rsplit('/').next() != Some(package.name.as_str()) {
            found(format!("the folder should be named like the crate, '{}'", package.name));
        }
        for dependency in &package.dependencies {
            if let Some((_, owner)) = ONLY.iter().find(|(prefix, _)| dependency.starts_with(prefix))
                && *owner != package.name
                // A test may look at what another crate wrote, or break it.
                && !package.for_tests.contains(dependency)
            {
                found(format!("only {owner} may depend on '{dependency}'"));
            }
            if !member(dependency) {
                continue;
            }
            if BESIDE.contains(&dependency.as_str()) {
                found(format!("nothing may depend on '{dependency}'"));
            }
            let product = |name: &str| name.split('-').next().map(str::to_string);
            if product(dependency) != product(&package.name) && !beside && package.name != "mynah-cli" {
                found(format!("'{dependency}' belongs to the other product"));
            }
            if let (Some(own), Some(theirs)) = (own, layer(dependency))
                && theirs >= own
            {
                found(format!("layer {own} may not depend on '{dependency}' of layer {theirs}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_string(),
            licence: None,
            member: name.contains('-').then(|| format!("crates/{name}")),
            dependencies: dependencies.iter().map(|d| d.to_string()).collect(),
            for_tests: Vec::new(),
        }
    }

    fn messages(packages: &[Package]) -> Vec<String> {
        check(packages).into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn arrows_point_down() {
        let good = [package("mynah-base", &["libc"]), package("mynah-kernels", &["mynah-base"])];
        assert!(check(&good).is_empty());
        let up = [package("mynah-base", &["mynah-kernels"]), package("mynah-kernels", &[])];
        assert_eq!(messages(&up), ["layer 0 may not depend on 'mynah-kernels' of layer 1"]);
        let sideways = [package("mynah-train", &["mynah-models"]), package("mynah-models", &[])];
        assert_eq!(messages(&sideways), ["layer 4 may not depend on 'mynah-models' of layer 4"]);
    }

    #[test]
    fn an_unknown_crate_is_an_error() {
        assert!(messages(&[package("mynah-extra", &[])])[0].contains("in no layer"));
    }

    #[test]
    fn knowledge_is_exclusive() {
        assert!(check(&[package("mynah-data", &["parquet"])]).is_empty());
        assert_eq!(messages(&[package("mynah-nn", &["tokio"])]), ["only mynah-serve may depend on 'tokio'"]);
        let mut tested = package("mynah-nn", &["rusqlite"]);
        assert_eq!(messages(std::slice::from_ref(&tested)).len(), 1);
        tested.for_tests.push("rusqlite".to_string());
        assert!(check(&[tested]).is_empty());
    }

    #[test]
    fn products_do_not_mix() {
        let mixed = [package("pyc-ir", &["mynah-base"]), package("mynah-base", &[])];
        assert_eq!(messages(&mixed), ["'mynah-base' belongs to the other product"]);
    }

    #[test]
    fn folder_is_crate() {
        let mut moved = package("mynah-base", &[]);
        moved.member = Some("crates/base".to_string());
        assert_eq!(messages(&[moved]), ["the folder should be named like the crate, 'mynah-base'"]);
    }
}
