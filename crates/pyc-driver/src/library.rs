//! The Python part of the standard library: its text always, its code where the product carries it compiled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyc_front::Mode;
use pyc_host::{Entry, Error, Modules, Pack, PackWriter};
use pyc_ir::Code;
use pyc_runtime::host::{ModuleBody, ModuleSource};

const INDEX: &str = include_str!(concat!(env!("OUT_DIR"), "/library.index"));
const BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/library.bin"));

/// Where a module's text lies in the blob, and whether it is a package.
type Place = (bool, usize, usize);

fn table() -> &'static HashMap<&'static str, Place> {
    static TABLE: OnceLock<HashMap<&'static str, Place>> = OnceLock::new();
    TABLE.get_or_init(|| {
        INDEX
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let (name, package) = (words.next()?, words.next()? == "1");
                Some((name, (package, words.next()?.parse().ok()?, words.next()?.parse().ok()?)))
            })
            .collect()
    })
}

/// A module's text and whether it is a package.
pub(crate) fn find(name: &str) -> Option<(&'static str, bool)> {
    let (package, start, length) = *table().get(name)?;
    let text = std::str::from_utf8(BLOB.get(start..start + length)?).ok()?;
    Some((text, package))
}

/// Names of all modules, sorted.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = table().keys().copied().collect();
    names.sort_unstable();
    names
}

/// The name that tracebacks show.
pub(crate) fn filename(name: &str, package: bool) -> String {
    let path = name.replace('.', "/");
    if package { format!("<library>/{path}/__init__.py") } else { format!("<library>/{path}.py") }
}

static COMPILED: OnceLock<Pack> = OnceLock::new();

/// Makes the library known in compiled form, as [`pack_library`] wrote it; imports then decode it.
///
/// # Errors
/// When the pack is unusable. A second call changes nothing.
pub fn install_library(pack: &'static [u8]) -> Result<(), Error> {
    let pack = Pack::from_bytes(pack)?;
    let _ = COMPILED.set(pack);
    Ok(())
}

/// Compiles the whole library into a pack. Modules that do not compile (none, where the parser reads the library's
/// version) stay out, and their names are given.
///
/// # Errors
/// Code that cannot be packed.
pub fn pack_library() -> Result<(Vec<u8>, Vec<String>), Error> {
    let mut writer = PackWriter::default();
    let mut left_out = Vec::new();
    for name in names() {
        let Some((text, package)) = find(name) else { continue };
        let filename = filename(name, package);
        match crate::compile::lower(text, &filename, Mode::Module) {
            // The text is carried anyway.
            Ok(code) => {
                writer.add(Entry::new(name, filename, package, true), &code, "", |_| Vec::new())?;
            }
            Err(error) => left_out.push(format!("{name}: {error}")),
        }
    }
    Ok((writer.finish(""), left_out))
}

/// A module's code, compiled or decoded once in a process: instances share it.
///
/// # Errors
/// The SyntaxError's text.
pub(crate) fn code(name: &str) -> Option<Result<Arc<Code>, String>> {
    static CODES: Mutex<Option<HashMap<&'static str, Arc<Code>>>> = Mutex::new(None);
    let (key, (package, ..)) = table().get_key_value(name)?;
    let lock = || CODES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(code) = lock().get_or_insert_default().get(key) {
        return Some(Ok(code.clone()));
    }
    let carried = COMPILED.get().and_then(|pack| pack.code(pack.entry(name)?).ok());
    let code = match carried {
        Some(code) => code,
        None => match crate::compile::lower(find(name)?.0, &filename(name, *package), Mode::Module) {
            Ok(code) => code,
            Err(error) => return Some(Err(error.to_string())),
        },
    };
    lock().get_or_insert_default().insert(key, code.clone());
    Some(Ok(code))
}

/// The library as an instance's host sees it.
pub struct Library;

impl Modules for Library {
    fn find(&self, name: &str) -> Option<ModuleSource> {
        let body = match code(name)? {
            Ok(code) => ModuleBody::Code(code),
            // Compiling it again raises the error in the program.
            Err(_) => ModuleBody::Text(find(name)?.0.to_string()),
        };
        let package = find(name)?.1;
        Some(ModuleSource {
            body,
            filename: filename(name, package),
            package: package.then(|| format!("<library>/{}", name.replace('.', "/"))),
        })
    }

    fn text(&self, filename: &str) -> Option<String> {
        let path = filename.strip_prefix("<library>/")?.strip_suffix(".py")?;
        let path = path.strip_suffix("/__init__").unwrap_or(path);
        Some(find(&path.replace('/', "."))?.0.to_string())
    }
}
