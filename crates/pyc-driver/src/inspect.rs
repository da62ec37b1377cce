//! What is in a built program, which modules there are, and what of a program would not run.

use std::collections::HashMap;
use std::path::Path;

use pyc_front::{Mode, SyntaxError};
use pyc_host::{Error, Manifest, Pack};

use crate::library;

/// What a built program consists of.
pub struct Inspection {
    /// Its description.
    pub manifest: Manifest,
    /// Its modules.
    pub pack: Pack,
    /// Of the modules that have machine code: how many functions, how many bytes.
    pub native: HashMap<String, (usize, usize)>,
    /// Bytes of the executable without the program.
    pub runtime_bytes: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Whether the executable in front has the hash of the manifest.
    pub runtime_unchanged: bool,
}

/// Reads a built program.
///
/// # Errors
/// When the file cannot be read, carries no program, or is damaged.
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    let (pack, runtime_bytes) = pyc_host::find(path)?;
    let manifest = Manifest::parse(pack.manifest())?;
    let bytes =
        std::fs::read(path).map_err(|e| Error::new(format!("cannot read '{}': {e}", path.display())))?;
    let runtime = bytes.get(..usize::try_from(runtime_bytes).unwrap_or(usize::MAX)).unwrap_or_default();
    let runtime_unchanged = blake3::hash(runtime).to_hex().as_str() == manifest.runtime_hash;
    let mut native = HashMap::new();
    for entry in pack.entries() {
        pack.code(entry)?;
        if let Some((_, section)) = pack.machine(entry)? {
            let (count, bytes, _) = pyc_runtime::native::inspect(&section)
                .map_err(|e| Error::new(format!("module '{}': {e}", entry.name)))?;
            native.insert(entry.name.clone(), (count, bytes));
        }
    }
    let size_bytes = bytes.len() as u64;
    Ok(Inspection { manifest, pack, native, runtime_bytes, size_bytes, runtime_unchanged })
}

/// A module of the standard library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryModule {
    /// Its name.
    pub name: String,
    /// Written in Rust.
    pub native: bool,
}

/// All modules that programs can name: the native ones and the Python ones, by name.
pub fn library_modules() -> Vec<LibraryModule> {
    let native =
        pyc_stdlib::MODULES.iter().map(|(name, _)| LibraryModule { name: (*name).into(), native: true });
    let python = library::names().into_iter().map(|name| LibraryModule { name: name.into(), native: false });
    let mut all: Vec<LibraryModule> = native.chain(python).collect();
    // A native module goes before a Python one of the same name.
    all.sort_by(|a, b| a.name.cmp(&b.name).then(b.native.cmp(&a.native)));
    all.dedup_by(|b, a| a.name == b.name);
    all
}

/// Something in a file that would not run.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// `SyntaxError` and its kinds, or `import` for a module that there is not.
    pub kind: String,
    /// What is wrong.
    pub message: String,
    /// The line and, under it, where.
    pub excerpt: String,
}

impl Finding {
    fn syntax(error: &SyntaxError) -> Finding {
        let mut excerpt = String::new();
        if let Some(text) = &error.text {
            let text = text.trim_end();
            let start = (error.column as usize).saturating_sub(1);
            let same_line = error.end_line == error.line && error.end_column > error.column;
            let width = if same_line { (error.end_column - error.column) as usize } else { 1 };
            let pad: String = text.chars().take(start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let missing = " ".repeat(start.saturating_sub(pad.chars().count()));
            excerpt = format!("{text}\n{pad}{missing}{}", "^".repeat(width.min(400)));
        }
        Finding {
            file: error.filename.clone(),
            line: error.line,
            column: error.column,
            kind: error.kind.to_string(),
            message: error.message.clone(),
            excerpt,
        }
    }
}

/// Looks at a program's file: its first syntax error, or the imports that nothing would answer.
///
/// # Errors
/// When the file cannot be read.
pub fn check(path: &Path) -> Result<Vec<Finding>, Error> {
    let text = crate::read_source(path)?;
    let name = path.display().to_string();
    let code = match crate::compile::lower(&text, &name, Mode::Module) {
        Ok(code) => code,
        Err(error) => return Ok(vec![Finding::syntax(&error)]),
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for (name, line) in crate::build::own_imports(&code) {
        let top = name.split('.').next().unwrap_or(&name);
        let own = folder.join(format!("{top}.py")).is_file() || folder.join(top).is_dir();
        // `os.path` is a name of `os`, which is no package.
        let attribute =
            name != top && crate::build::is_module(top) && !library::find(top).is_some_and(|m| m.1);
        if own || attribute || crate::build::is_module(&name) {
            continue;
        }
        let excerpt = text.lines().nth((line as usize).saturating_sub(1)).unwrap_or_default().to_string();
        found.push(Finding {
            file: path.display().to_string(),
            line,
            column: 1,
            kind: "import".into(),
            message: format!("there is no module '{name}' beside the program or in the library"),
            excerpt,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_say_where() {
        let folder = tempfile::tempdir().unwrap();
        let check_text = |text: &str| {
            let file = folder.path().join("a.py");
            std::fs::write(&file, text).unwrap();
            check(&file).unwrap()
        };
        assert!(check_text("import json, os.path\nfrom . import b\n").is_empty());
        let found = check_text("import json\nimport numpy as np\n");
        assert_eq!((found.len(), found[0].line, found[0].kind.as_str()), (1, 2, "import"));
        assert!(found[0].message.contains("'numpy'") && found[0].excerpt == "import numpy as np");
        let found = check_text("x = 1\ny = (2 +\n");
        assert_eq!((found[0].line, found[0].kind.as_str()), (2, "SyntaxError"));
        assert_eq!(found[0].excerpt, "y = (2 +\n    ^");
    }

    #[test]
    fn the_library_is_listed() {
        let modules = library_modules();
        let find = |name: &str| modules.iter().find(|m| m.name == name).map(|m| m.native);
        assert_eq!((find("math"), find("json"), find("nowhere")), (Some(true), Some(false), None));
    }
}
