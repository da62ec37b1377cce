//! The table of the standard library: what each of CPython's modules is here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use pyc_host::Error;

use super::Ratchet;
use crate::library;

/// A page in Markdown: each module that an installed CPython names, whether it is native, pure Python or absent here,
/// and how many of its tests pass.
///
/// # Errors
/// When that CPython cannot be run.
pub fn stdlib_table(python: &Path, ratchet: &Ratchet) -> Result<String, Error> {
    let ask = "import sys; print('\\n'.join(sys.stdlib_module_names))";
    let answer = Command::new(python)
        .args(["-I", "-c", ask])
        .output()
        .map_err(|e| Error::new(format!("cannot run '{}': {e}", python.display())))?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let theirs: BTreeSet<&str> = text.lines().collect();
    if theirs.is_empty() {
        return Err(Error::new(format!("'{}' did not name its modules", python.display())));
    }
    let native: BTreeSet<&str> = pyc_stdlib::MODULES.iter().map(|(name, _)| *name).collect();
    let pure: BTreeSet<&str> = library::names().into_iter().filter(|name| !name.contains('.')).collect();
    let mut names: BTreeSet<&str> = theirs.clone();
    names.extend(&native);
    let (mut rows, mut counts) = (String::new(), [0; 3]);
    for name in names {
        let (kind, at) = if native.contains(name) || name == "builtins" {
            ("native", 0)
        } else if pure.contains(name) {
            ("Python", 1)
        } else {
            ("absent", 2)
        };
        counts[at] += 1;
        let tests = match ratchet.modules.get(&format!("test_{name}")) {
            Some((passed, run)) => format!("{passed}/{run}"),
            None => String::new(),
        };
        let _ = writeln!(rows, "| {name} | {kind} | {tests} |");
    }
    let [native, pure, absent] = counts;
    Ok(format!(
        "# The standard library\n\n\
         Made by `mynah py test --regrtest all --ratchet testdata/py/regrtest.txt --library-table docs/stdlib.md`. The Python part is that of CPython 3.14; `native` modules are written in Rust; `absent` ones cannot be imported. Tests are the methods of CPython {}'s test module of the same name that pass here, of all that apply.\n\n\
         {native} native, {pure} in Python, {absent} absent.\n\n\
         | module | here | tests |\n|---|---|--:|\n{rows}",
        ratchet.version
    ))
}
