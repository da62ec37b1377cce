//! Packed modules: an index, then the code, the source text and the machine code of each.
//!
//! Only the index is read when a pack is opened; a module is read when it is imported, and its source (deflated) when
//! a traceback shows it. So the start of a program does not depend on how much it carries.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use pyc_ir::Code;
use pyc_runtime::host::{ModuleBody, ModuleSource};

use crate::error::Error;
use crate::host::Modules;

const MAGIC: &[u8; 8] = b"mynahPK1";
/// Magic, length and checksum of the index.
const HEAD_BYTES: usize = 8 + 4 + 8;
const INDEX_BYTES_MAX: usize = 1 << 26;
const SOURCE_BYTES_MAX: u64 = 1 << 28;

/// Where a section lies, from the end of the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Range {
    start: u64,
    length: u64,
}

/// A module of a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its full name.
    pub name: String,
    /// `__file__`
    pub filename: String,
    /// It has submodules.
    pub package: bool,
    /// It comes from the library, not from the program.
    pub library: bool,
    /// Bytes of its source text.
    pub source_bytes: u64,
    code: Range,
    source: Range,
    native: Range,
}

impl Entry {
    /// A module that is to be packed.
    pub fn new(name: impl Into<String>, filename: impl Into<String>, package: bool, library: bool) -> Entry {
        Entry { name: name.into(), filename: filename.into(), package, library, ..Entry::default() }
    }

    /// Bytes of its packed code.
    pub fn code_bytes(&self) -> u64 {
        self.code.length
    }

    /// Bytes of its machine code.
    pub fn native_bytes(&self) -> u64 {
        self.native.length
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Makes a pack.
#[derive(Default)]
pub struct PackWriter {
    entries: Vec<Entry>,
    data: Vec<u8>,
}

impl PackWriter {
    fn section(&mut self, bytes: &[u8]) -> Range {
        let range = Range { start: self.data.len() as u64, length: bytes.len() as u64 };
        self.data.extend_from_slice(bytes);
        range
    }

    /// Adds a module; `entry` says name, file and kind. `native` gets the checksum of the packed code and gives the
    /// section with machine code, empty where there is none.
    ///
    /// # Errors
    /// Code that cannot be packed.
    pub fn add(
        &mut self,
        entry: Entry,
        code: &Code,
        source: &str,
        native: impl FnOnce(u64) -> Vec<u8>,
    ) -> Result<(), Error> {
        let packed = pyc_ir::encode(code).map_err(|e| Error::new(format!("{}: {e}", entry.filename)))?;
        let native = native(pyc_runtime::native::checksum(&packed));
        let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        let deflated = deflated
            .write_all(source.as_bytes())
            .and_then(|()| deflated.finish())
            .map_err(|e| Error::new(format!("{}: {e}", entry.filename)))?;
        let code = self.section(&packed);
        let source_range = self.section(&deflated);
        let native = self.section(&native);
        self.entries.push(Entry {
            code,
            source: source_range,
            native,
            source_bytes: source.len() as u64,
            ..entry
        });
        Ok(())
    }

    /// The pack's bytes, with this manifest. Modules are in the order in which they were added.
    pub fn finish(self, manifest: &str) -> Vec<u8> {
        let mut index = Vec::new();
        let number = |index: &mut Vec<u8>, n: u64| index.extend_from_slice(&n.to_le_bytes());
        let text = |index: &mut Vec<u8>, text: &str| {
            index.extend_from_slice(&(text.len() as u32).to_le_bytes());
            index.extend_from_slice(text.as_bytes());
        };
        text(&mut index, manifest);
        number(&mut index, self.entries.len() as u64);
        for entry in &self.entries {
            text(&mut index, &entry.name);
            text(&mut index, &entry.filename);
            index.push(u8::from(entry.package) | u8::from(entry.library) << 1);
            number(&mut index, entry.source_bytes);
            for range in [entry.code, entry.source, entry.native] {
                number(&mut index, range.start);
                number(&mut index, range.length);
            }
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(index.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&checksum(&index).to_le_bytes());
        bytes.extend_from_slice(&index);
        bytes.extend_from_slice(&self.data);
        bytes
    }
}

/// Where the bytes are.
enum Storage {
    Memory(Cow<'static, [u8]>),
    /// In a file, from an offset, with a length.
    File(File, u64, u64),
}

impl Storage {
    fn length(&self) -> u64 {
        match self {
            Storage::Memory(bytes) => bytes.len() as u64,
            Storage::File(_, _, length) => *length,
        }
    }

    fn read(&self, range: Range) -> Option<Cow<'_, [u8]>> {
        let end = range.start.checked_add(range.length)?;
        if end > self.length() {
            return None;
        }
        match self {
            Storage::Memory(bytes) => Some(Cow::Borrowed(&bytes[range.start as usize..end as usize])),
            Storage::File(file, start, _) => {
                let mut bytes = vec![0; usize::try_from(range.length).ok()?];
                file.read_exact_at(&mut bytes, start.checked_add(range.start)?).ok()?;
                Some(Cow::Owned(bytes))
            }
        }
    }
}

/// An opened pack.
pub struct Pack {
    storage: Storage,
    /// Where the sections begin.
    base: u64,
    manifest: String,
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

impl Pack {
    /// Opens a pack in memory.
    ///
    /// # Errors
    /// When the bytes are no pack, or damaged.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Pack, Error> {
        Pack::open(Storage::Memory(bytes.into()))
    }

    /// Opens the pack of `length` bytes at an offset of a file.
    ///
    /// # Errors
    /// When there is no pack, or it is damaged.
    pub fn from_file(file: File, start: u64, length: u64) -> Result<Pack, Error> {
        Pack::open(Storage::File(file, start, length))
    }

    fn open(storage: Storage) -> Result<Pack, Error> {
        let bad = |what: &str| Error::new(format!("the packed program is unusable: {what}"));
        let head = storage.read(Range { start: 0, length: HEAD_BYTES as u64 });
        let head = head.ok_or_else(|| bad("it is too short"))?;
        let (magic, rest) = head.split_at(8);
        let (length, sum) = rest.split_at(4);
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
        if magic != MAGIC {
            return Err(bad("it is of another version"));
        }
        if length > INDEX_BYTES_MAX {
            return Err(bad("its index is too long"));
        }
        let index = storage.read(Range { start: HEAD_BYTES as u64, length: length as u64 });
        let index = index.ok_or_else(|| bad("its index is cut off"))?;
        if checksum(&index).to_le_bytes() != *sum {
            return Err(bad("its index is damaged (the checksum differs)"));
        }
        let (manifest, entries) = read_index(&index).ok_or_else(|| bad("its index cannot be read"))?;
        drop((head, index));
        let by_name = entries.iter().enumerate().map(|(at, e)| (e.name.clone(), at)).collect();
        Ok(Pack { storage, base: (HEAD_BYTES + length) as u64, manifest, entries, by_name })
    }

    /// The manifest's text; empty in a pack of the library.
    pub fn manifest(&self) -> &str {
        &self.manifest
    }

    /// The modules.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A module by its name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|at| &self.entries[*at])
    }

    fn section(&self, range: Range) -> Option<Cow<'_, [u8]>> {
        self.storage.read(Range { start: self.base.checked_add(range.start)?, length: range.length })
    }

    /// A module's code.
    ///
    /// # Errors
    /// When it is damaged or made by another version.
    pub fn code(&self, entry: &Entry) -> Result<Arc<Code>, Error> {
        let bytes = self.section(entry.code);
        let bytes =
            bytes.ok_or_else(|| Error::new(format!("the code of module '{}' is cut off", entry.name)))?;
        pyc_ir::decode(&bytes).map_err(|e| Error::new(format!("module '{}': {e}", entry.name)))
    }

    /// A module's source text.
    pub fn source(&self, entry: &Entry) -> Option<String> {
        let bytes = self.section(entry.source)?;
        let mut text = String::new();
        let limit = entry.source_bytes.min(SOURCE_BYTES_MAX);
        flate2::read::DeflateDecoder::new(&*bytes).take(limit).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// A module's machine code as [`pyc_runtime::native::section`] wrote it; empty when it has none.
    pub fn native(&self, entry: &Entry) -> Option<Cow<'_, [u8]>> {
        self.section(entry.native)
    }

    /// A module's machine code, and the checksum of the code that it belongs to.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn machine(&self, entry: &Entry) -> Result<Option<(u64, Vec<u8>)>, Error> {
        if entry.native.length == 0 {
            return Ok(None);
        }
        let cut = || Error::new(format!("the machine code of module '{}' is cut off", entry.name));
        let section = self.native(entry).ok_or_else(cut)?.into_owned();
        let code = self.section(entry.code).ok_or_else(cut)?;
        Ok(Some((pyc_runtime::native::checksum(&code), section)))
    }
}

fn read_index(mut rest: &[u8]) -> Option<(String, Vec<Entry>)> {
    let number = |rest: &mut &[u8]| {
        let (head, tail) = rest.split_first_chunk::<8>()?;
        *rest = tail;
        Some(u64::from_le_bytes(*head))
    };
    let text = |rest: &mut &[u8]| {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (text, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *rest = tail;
        std::str::from_utf8(text).ok().map(str::to_string)
    };
    let manifest = text(&mut rest)?;
    let mut entries = Vec::new();
    for _ in 0..number(&mut rest)? {
        let (name, filename) = (text(&mut rest)?, text(&mut rest)?);
        let (flags, tail) = rest.split_first()?;
        rest = tail;
        let source_bytes = number(&mut rest)?;
        let mut range = || Some(Range { start: number(&mut rest)?, length: number(&mut rest)? });
        let (code, source, native) = (range()?, range()?, range()?);
        let (package, library) = (flags & 1 == 1, flags & 2 == 2);
        entries.push(Entry { name, filename, package, library, source_bytes, code, source, native });
    }
    rest.is_empty().then_some((manifest, entries))
}

impl Modules for Pack {
    fn find(&self, name: &str) -> Option<ModuleSource> {
        let entry = self.entry(name)?;
        // Damaged code is told where the import fails, not as a missing module.
        let body = match (self.code(entry), self.machine(entry)) {
            (Ok(code), Ok(None)) => ModuleBody::Code(code),
            (Ok(code), Ok(Some((of, section)))) => ModuleBody::Machine { code, of, section },
            (Err(error), _) | (_, Err(error)) => ModuleBody::Broken(error.to_string()),
        };
        let folder = || entry.filename.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
        Some(ModuleSource { body, filename: entry.filename.clone(), package: entry.package.then(folder) })
    }

    fn text(&self, filename: &str) -> Option<String> {
        self.source(self.entries.iter().find(|e| e.filename == filename)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pyc_ir::{CodeParts, Op, Position};

    fn code() -> Code {
        let parts = CodeParts {
            name: "<module>".into(),
            registers: 1,
            ops: vec![Op::Return { src: 0 }],
            positions: vec![Position::default()],
            ..CodeParts::default()
        };
        parts.finish().unwrap()
    }

    fn packed() -> Vec<u8> {
        let mut writer = PackWriter::default();
        writer.add(Entry::new("a", "a.py", false, false), &code(), "x = 1\n", |_| Vec::new()).unwrap();
        writer
            .add(Entry::new("b", "b/__init__.py", true, false), &code(), "", |_| b"machine".to_vec())
            .unwrap();
        writer.finish("filename a.py\n")
    }

    #[test]
    fn a_pack_gives_back_what_was_put_in() {
        let pack = Pack::from_bytes(packed()).unwrap();
        assert_eq!(pack.manifest(), "filename a.py\n");
        let (a, b) = (pack.entry("a").unwrap(), pack.entry("b").unwrap());
        assert_eq!(pack.source(a).unwrap(), "x = 1\n");
        assert_eq!(*pack.code(b).unwrap(), code());
        assert_eq!(&*pack.native(b).unwrap(), b"machine");
        let found = pack.find("b").unwrap();
        assert!(matches!(found.body, ModuleBody::Machine { .. }));
        assert!(matches!(pack.find("a").unwrap().body, ModuleBody::Code(_)));
        assert_eq!((found.filename.as_str(), found.package.as_deref()), ("b/__init__.py", Some("b")));
        assert!(pack.find("c").is_none());
    }

    #[test]
    fn hostile_packs_never_panic() {
        let bytes = packed();
        let mut seed = 0x1234_5678_9abc_def1u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut opened = 0;
        for _ in 0..20_000 {
            let mut changed = bytes.clone();
            for _ in 0..=random() % 3 {
                let at = random() as usize % changed.len();
                if random() % 4 == 0 { changed.truncate(at.max(1)) } else { changed[at] = random() as u8 }
            }
            // The checksum is made right again, so that what lies behind it is reached.
            if let Some(length) =
                changed.get(8..12).map(|l| u32::from_le_bytes(l.try_into().unwrap()) as usize)
                && let Some(index) = changed.get(HEAD_BYTES..HEAD_BYTES.saturating_add(length))
            {
                let sum = checksum(index);
                changed[12..20].copy_from_slice(&sum.to_le_bytes());
            }
            if let Ok(pack) = Pack::from_bytes(changed) {
                opened += 1;
                for entry in pack.entries() {
                    let _ = (pack.code(entry), pack.source(entry), pack.machine(entry));
                }
            }
        }
        assert!(opened > 1000, "{opened}");
    }
}
