//! What the tasks know of the repository: its root, its files, and Cargo's view of its crates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The folder that holds the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The Cargo that started us, so that the pinned toolchain stays in use.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// One text file of the repository; `path` is relative to the root, with `/` between parts.
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

impl SourceFile {
    /// The part of the file name after the last dot, or nothing.
    pub fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// Every text file that is committed or about to be: what git tracks and what it does not ignore.
///
/// # Errors
/// When git is absent or this is not a checkout.
pub fn files() -> Result<Vec<SourceFile>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot run git ({error}); tidy needs it to list the files"))?;
    if !output.status.success() {
        return Err("git ls-files failed; run this inside a checkout of the repository".to_string());
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut files = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // A file deleted but not yet committed is listed and absent; binary files have no words.
        if let Ok(text) = fs::read_to_string(root().join(name)) {
            files.push(SourceFile { path: name.to_string(), text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

/// One package of the dependency graph.
pub struct Package {
    pub name: String,
    pub licence: Option<String>,
    /// A crate of this workspace, with its folder relative to the root.
    pub member: Option<String>,
    /// Names of its direct dependencies of every kind (normal, build, dev).
    pub dependencies: Vec<String>,
    /// Those of them that only its tests use.
    pub for_tests: Vec<String>,
}

/// The packages of the workspace and everything they pull in.
///
/// # Errors
/// When `cargo metadata` fails, with its own words.
pub fn packages() -> Result<Vec<Package>, String> {
    // All platforms first; a machine without the crates of other platforms and without a network
    // still gets its own checked.
    let everything = metadata(&[]);
    let json = match everything {
        Ok(json) => json,
        Err(first) => {
            let host = host_triple().ok_or_else(|| first.clone())?;
            let json = metadata(&["--filter-platform", &host]).map_err(|_| first)?;
            eprintln!("note: only the dependencies for {host} are on this machine and were checked");
            json
        }
    };
    parse_metadata(&json)
}

fn metadata(extra: &[&str]) -> Result<Value, String> {
    let output = cargo()
        .args(["metadata", "--format-version", "1"])
        .args(extra)
        .output()
        .map_err(|error| format!("cannot run cargo metadata ({error})"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

fn host_triple() -> Option<String> {
    let output = Command::new("rustc").arg("-vV").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_string)
}

fn parse_metadata(json: &Value) -> Result<Vec<Package>, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let root = text(&json["workspace_root"]);
    let members: Vec<String> = json["workspace_members"].as_array().into_iter().flatten().map(text).collect();
    let packages = json["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    Ok(packages
        .iter()
        .map(|package| {
            let folder = text(&package["manifest_path"]);
            let folder = folder.trim_end_matches("Cargo.toml").trim_end_matches(['/', '\\']);
            let folder = folder.strip_prefix(&root).unwrap_or(folder).trim_start_matches(['/', '\\']);
            Package {
                name: text(&package["name"]),
                licence: package["license"].as_str().map(str::to_string),
                member: members.contains(&text(&package["id"])).then(|| folder.replace('\\', "/")),
                dependencies: package["dependencies"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|dependency| text(&dependency["name"]))
                    .collect(),
                for_tests: for_tests(&package["dependencies"]),
            }
        })
        .collect())
}

/// Names of dependencies that are of the kind "dev" wherever they stand.
fn for_tests(dependencies: &Value) -> Vec<String> {
    let all = || dependencies.as_array().into_iter().flatten();
    let is_dev = |dependency: &Value| dependency["kind"].as_str() == Some("dev");
    let name = |dependency: &Value| dependency["name"].as_str().unwrap_or_default().to_string();
    let otherwise: Vec<String> = all().filter(|d| !is_dev(d)).map(name).collect();
    all().filter(|d| is_dev(d)).map(name).filter(|name| !otherwise.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read() {
        let json = serde_json::json!({
            "workspace_root": "/r", "workspace_members": ["path+file:///r/crates/a#0.1.0"],
            "packages": [
                {"name": "a", "id": "path+file:///r/crates/a#0.1.0", "license": "Apache-2.0",
                 "manifest_path": "/r/crates/a/Cargo.toml", "dependencies": [{"name": "b"}, {"name": "b", "kind": "dev"}, {"name": "c", "kind": "dev"}]},
                {"name": "b", "id": "registry#b", "license": null,
                 "manifest_path": "/elsewhere/b/Cargo.toml", "dependencies": []}
            ]
        });
        let packages = parse_metadata(&json).unwrap();
        assert_eq!(packages[0].member.as_deref(), Some("crates/a"));
        assert_eq!(packages[0].dependencies, ["b", "b", "c"]);
        assert_eq!(packages[0].for_tests, ["c"]);
        assert_eq!(packages[1].member, None);
        assert_eq!(packages[1].licence, None);
    }
}
