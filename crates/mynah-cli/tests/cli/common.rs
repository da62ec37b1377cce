//! Running the program, and one model for all tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The program, in a home of its own.
pub fn mynah(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
    command.args(arguments).stdin(Stdio::null());
    // In the build folder, one for each run of the tests: what an earlier program left is not looked at.
    let home = format!("home-{}", std::process::id());
    command.env("MYNAH_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join(home));
    command
}

/// Runs it and gives stdout; a failure shows what it said.
pub fn ok(arguments: &[&str]) -> String {
    let output = mynah(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "mynah {arguments:?} failed\nstdout: {}\nstderr: {}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Runs it, expects one clear line that contains these words, and gives the line.
pub fn refused(arguments: &[&str], words: &[&str]) -> String {
    one_error(&mynah(arguments).output().unwrap(), words)
}

/// Checks that a run failed with exactly one error line that contains these words.
pub fn one_error(output: &Output, words: &[&str]) -> String {
    let stderr = text(&output.stderr);
    let code = output.status.code();
    assert!(code.is_some_and(|code| code != 0), "exit {code:?}\n{stderr}\n{}", text(&output.stdout));
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one error line, not\n{stderr}");
    assert_eq!(stderr.lines().last(), Some(errors[0]), "nothing after the error:\n{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    for word in words {
        assert!(errors[0].contains(word), "'{word}' is missing in: {}", errors[0]);
    }
    errors[0].to_string()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The folder of a quick speedrun, made once for the whole test program.
pub fn run_folder() -> &'static Path {
    static RUN: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, run) = RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let said = ok(&["speedrun", "--quick", "--out", arg(&run)]);
        assert!(said.contains("smoke run"), "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("now run `mynah chat`") && last.contains(arg(&run)), "{last}");
        (dir, run)
    });
    run
}

/// Every file below a folder with its bytes, to see that nothing was lost.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// A copy of a folder, links followed.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for (path, bytes) in snapshot(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, bytes).unwrap();
    }
}
