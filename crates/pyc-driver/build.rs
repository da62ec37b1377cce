//! Packs the Python part of the standard library, from the published crate that carries it, into one file.

use std::fmt::Write as _;
use std::path::Path;

/// Folders and files that programs do not import.
const SKIPPED: &[&str] = &[
    "idlelib",
    "tkinter",
    "turtledemo",
    "turtle.py",
    "ensurepip",
    "pydoc_data",
    "lib2to3",
    "test",
    "tests",
    "__pycache__",
    "venv",
    "site-packages",
    "antigravity.py",
    "this.py",
    "ctypes",
    "curses",
    "dbm",
    "sqlite3",
    "msilib",
    "distutils",
    "wsgiref",
    "xmlrpc",
    "multiprocessing",
    "__phello__",
    "_android_support.py",
    "_ios_support.py",
    "_apple_support.py",
    "_aix_support.py",
];

/// Modules of our own in Python.
const OWN: &str = "../pyc-stdlib/python";

fn collect(folder: &Path, prefix: &str, index: &mut String, blob: &mut Vec<u8>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}."), index, blob);
        } else if let Some(stem) = name.strip_suffix(".py") {
            let Ok(text) = std::fs::read(&path) else { continue };
            let (module, package) = match stem {
                "__init__" => (prefix.trim_end_matches('.').to_string(), 1),
                stem => (format!("{prefix}{stem}"), 0),
            };
            let _ = writeln!(index, "{module} {package} {} {}", blob.len(), text.len());
            blob.extend_from_slice(&text);
        }
    }
}

fn main() {
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let (mut index, mut blob) = (String::new(), Vec::new());
    collect(Path::new(rustpython_pylib::LIB_PATH), "", &mut index, &mut blob);
    // CPython has a twin of this module in C; programs here get the one in Python by both names.
    let row =
        index.lines().find_map(|line| line.strip_prefix("_pydatetime").filter(|rest| rest.starts_with(' ')));
    if let Some(row) = row.map(ToOwned::to_owned) {
        let _ = writeln!(index, "_datetime{row}");
    }
    // Later lines win: what is written here in Python stands beside the native modules.
    collect(Path::new(OWN), "", &mut index, &mut blob);
    std::fs::write(Path::new(&out).join("library.index"), index).expect("the build folder can be written");
    std::fs::write(Path::new(&out).join("library.bin"), blob).expect("the build folder can be written");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={OWN}");
}
