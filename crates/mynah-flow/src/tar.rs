//! Folders as `.tar` files: the same folder gives the same bytes, and what is read stays inside.
//!
//! POSIX ustar with a pax header where a name or size does not fit. Owners, times and rights are always the same: they
//! are not part of what a bundle says. Rejected: a crate; what is needed of the format fits here, and unpacking
//! somebody else's archive is where the others put their trust.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::path::{FlowPath, clip};

const BLOCK: usize = 512;
const ENTRIES_MAX: usize = 100_000;
const PAX_BYTES_MAX: u64 = 64 << 10;
/// What eleven octal digits hold.
const SIZE_MAX: u64 = (1 << 33) - 1;

/// Writes these files of a folder, in this order.
pub(crate) fn pack(folder: &Path, files: &[FlowPath], to: &mut impl Write) -> Result<()> {
    for path in files {
        let at = path.below(folder);
        let io = |e: &io::Error| Error::io("pack it", &at, e);
        let mut file = File::open(&at).map_err(|e| io(&e))?;
        let size_bytes = file.metadata().map_err(|e| io(&e))?.len();
        entry(path.as_str(), size_bytes, to).map_err(|e| io(&e))?;
        let copied = io::copy(&mut Read::by_ref(&mut file).take(size_bytes), to).map_err(|e| io(&e))?;
        if copied != size_bytes {
            return Err(Error::bundle("became shorter while it was packed").in_file(&at));
        }
        pad(size_bytes, to).map_err(|e| io(&e))?;
    }
    to.write_all(&[0; 2 * BLOCK]).map_err(|e| Error::io("end the archive", folder, &e))
}

fn entry(path: &str, size_bytes: u64, to: &mut impl Write) -> io::Result<()> {
    let split = split(path);
    if split.is_none() || size_bytes > SIZE_MAX {
        let text = record("path", path) + &record("size", &size_bytes.to_string());
        to.write_all(&header("pax", "", text.len() as u64, b'x'))?;
        to.write_all(text.as_bytes())?;
        pad(text.len() as u64, to)?;
    }
    let (prefix, name) = split.unwrap_or(("", "pax"));
    to.write_all(&header(name, prefix, size_bytes.min(SIZE_MAX), b'0'))
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut digits = 1;
    while (rest.len() + digits).to_string().len() > digits {
        digits += 1;
    }
    format!("{}{rest}", rest.len() + digits)
}

/// Prefix and name, when they fit.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    let at = path.match_indices('/').map(|(at, _)| at).find(|at| path.len() - at - 1 <= 100)?;
    (at <= 155).then(|| (&path[..at], &path[at + 1..]))
}

fn header(name: &str, prefix: &str, size_bytes: u64, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size_bytes:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn pad(size_bytes: u64, to: &mut impl Write) -> io::Result<()> {
    let rest = size_bytes as usize % BLOCK;
    if rest == 0 { Ok(()) } else { to.write_all(&[0; BLOCK][rest..]) }
}

/// Unpacks an archive into a folder that does not exist yet. Only files and folders, each once, each inside.
pub(crate) fn unpack(archive: &Path, to: &Path) -> Result<()> {
    let mut file = File::open(archive).map_err(|e| Error::io("open the archive", archive, &e))?;
    fs::create_dir(to).map_err(|e| Error::io("create the folder", to, &e))?;
    let unpacked = unpack_all(&mut io::BufReader::new(&mut file), to);
    if unpacked.is_err() {
        let _ = fs::remove_dir_all(to);
    }
    unpacked.map_err(|error| error.in_file(archive))
}

fn unpack_all(from: &mut impl Read, to: &Path) -> Result<()> {
    let mut pax: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..ENTRIES_MAX {
        let block = block(from)?;
        if block.iter().all(|byte| *byte == 0) {
            return end(from);
        }
        let header = Header::parse(&block)?;
        match header.kind {
            b'x' => {
                pax = extended(from, header.size_bytes)?;
                continue;
            }
            b'0' | 0 | b'5' => {}
            kind => {
                let what = match kind {
                    b'1' | b'2' => "a link",
                    b'3' | b'4' | b'6' => "a device",
                    _ => "of an unknown kind",
                };
                return Err(Error::bundle(format!(
                    "the entry {:?} is {what}; only files are expected",
                    clip(&header.path)
                )));
            }
        }
        let size_bytes = match pax.get("size") {
            Some(text) => text.parse().map_err(|_| Error::bundle("a size that is no number"))?,
            None => header.size_bytes,
        };
        let path = pax.get("path").unwrap_or(&header.path);
        let path = FlowPath::parse(path).map_err(|error| Error::bundle(error.to_string()))?;
        pax.clear();
        if header.kind == b'5' {
            let at = path.below(to);
            fs::create_dir_all(&at).map_err(|e| Error::io("create the folder", &at, &e))?;
            continue;
        }
        write(from, &path, size_bytes, to)?;
    }
    Err(Error::bundle(format!("more than {ENTRIES_MAX} entries")))
}

fn write(from: &mut impl Read, path: &FlowPath, size_bytes: u64, to: &Path) -> Result<()> {
    let at = path.below(to);
    if let Some(parent) = at.parent() {
        fs::create_dir_all(parent).map_err(|e| Error::io("create the folder", parent, &e))?;
    }
    let file = OpenOptions::new().write(true).create_new(true).open(&at);
    let mut file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::bundle(format!("the entry {path} is there twice")),
        _ => Error::io("create it", &at, &error),
    })?;
    let copied =
        io::copy(&mut from.take(size_bytes), &mut file).map_err(|e| Error::io("unpack it", &at, &e))?;
    if copied != size_bytes {
        return Err(Error::bundle(format!("the archive ends within {path}")));
    }
    skip_padding(from, size_bytes)
}

fn block(from: &mut impl Read) -> Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    from.read_exact(&mut block).map_err(|_| Error::bundle("the archive is cut off"))?;
    Ok(block)
}

fn skip_padding(from: &mut impl Read, size_bytes: u64) -> Result<()> {
    let rest = size_bytes as usize % BLOCK;
    if rest == 0 {
        return Ok(());
    }
    let mut padding = [0; BLOCK];
    from.read_exact(&mut padding[rest..]).map_err(|_| Error::bundle("the archive is cut off"))
}

/// After the first empty block nothing but emptiness may come.
fn end(from: &mut impl Read) -> Result<()> {
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) if buffer[..count].iter().all(|byte| *byte == 0) => {}
            Ok(_) => return Err(Error::bundle("something comes after the end of the archive")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::bundle(format!("cannot read the archive's end: {error}"))),
        }
    }
}

fn extended(from: &mut impl Read, size_bytes: u64) -> Result<BTreeMap<String, String>> {
    let malformed = || Error::bundle("a malformed pax header");
    if size_bytes > PAX_BYTES_MAX {
        return Err(malformed());
    }
    let mut bytes = vec![0; size_bytes as usize];
    from.read_exact(&mut bytes).map_err(|_| Error::bundle("the archive is cut off"))?;
    skip_padding(from, size_bytes)?;
    let mut records = BTreeMap::new();
    let mut rest = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    while !rest.is_empty() {
        let (length, _) = rest.split_once(' ').ok_or_else(malformed)?;
        let length: usize = length.parse().map_err(|_| malformed())?;
        let record = rest.get(..length).ok_or_else(malformed)?;
        let (_, pair) = record.split_once(' ').ok_or_else(malformed)?;
        let (key, value) =
            pair.strip_suffix('\n').and_then(|pair| pair.split_once('=')).ok_or_else(malformed)?;
        records.insert(key.to_string(), value.to_string());
        rest = &rest[length..];
    }
    Ok(records)
}

struct Header {
    path: String,
    size_bytes: u64,
    kind: u8,
}

impl Header {
    fn parse(block: &[u8; BLOCK]) -> Result<Header> {
        let malformed = |what: &str| Error::bundle(format!("no ustar archive: {what}"));
        let text = |from: usize, to: usize| -> Result<&str> {
            let field = &block[from..to];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            std::str::from_utf8(&field[..end]).map_err(|_| malformed("a name that is not UTF-8"))
        };
        let octal = |from: usize, to: usize| {
            u64::from_str_radix(text(from, to)?.trim(), 8).map_err(|_| malformed("a number that is none"))
        };
        if &block[257..262] != b"ustar" {
            return Err(malformed("the magic word is missing"));
        }
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        if octal(148, 156)? != sum - own + 8 * u64::from(b' ') {
            return Err(malformed("a header's sum is wrong"));
        }
        let (name, prefix) = (text(0, 100)?, text(345, 500)?);
        let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") };
        Ok(Header { path, size_bytes: octal(124, 136)?, kind: block[156] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Vec<FlowPath>) {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "d".repeat(150), "f".repeat(90));
        let longer = format!("{}/{}.ü", "e".repeat(200), "g".repeat(200));
        let mut names = vec!["a", "b/c.txt", "empty", &long, &longer];
        names.sort();
        for (i, name) in names.iter().enumerate() {
            let path = dir.path().join("in").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x".repeat(if *name == "empty" { 0 } else { 511 + i })).unwrap();
        }
        let files = names.into_iter().map(|name| FlowPath::parse(name).unwrap()).collect();
        (dir, files)
    }

    #[test]
    fn what_was_packed_comes_out_and_other_programs_read_it() {
        let (dir, files) = folder();
        let mut bytes = Vec::new();
        pack(&dir.path().join("in"), &files, &mut bytes).unwrap();
        let mut again = Vec::new();
        pack(&dir.path().join("in"), &files, &mut again).unwrap();
        assert_eq!(bytes, again);
        let archive = dir.path().join("a.tar");
        fs::write(&archive, &bytes).unwrap();
        unpack(&archive, &dir.path().join("out")).unwrap();
        for file in &files {
            let [before, after] =
                ["in", "out"].map(|name| fs::read(file.below(&dir.path().join(name))).unwrap());
            assert_eq!(before, after, "{file}");
        }
        assert!(unpack(&archive, &dir.path().join("out")).is_err(), "never into what exists");
        let Ok(output) =
            std::process::Command::new("tar").arg("-tf").arg(&archive).env("LC_ALL", "C.UTF-8").output()
        else {
            println!("skipped: no tar program to compare with");
            return;
        };
        let listed = String::from_utf8_lossy(&output.stdout).lines().count();
        assert!(output.status.success() && listed == files.len(), "{output:?}");
    }

    fn refused(bytes: &[u8], says: &str) {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a.tar");
        fs::write(&archive, bytes).unwrap();
        let error = unpack(&archive, &dir.path().join("deep/out"))
            .or_else(|_| unpack(&archive, &dir.path().join("out")))
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }

    fn one(name: &str, kind: u8) -> Vec<u8> {
        let mut bytes = header(name, "", 1, kind).to_vec();
        bytes.extend([b'x'; BLOCK]);
        bytes.extend([0; 2 * BLOCK]);
        bytes
    }

    #[test]
    fn hostile_archives_are_refused() {
        refused(&one("../outside", b'0'), "leaves the folder");
        refused(&one("/etc/passwd", b'0'), "is absolute");
        refused(&one("a", b'2'), "is a link");
        refused(&one("a", b'1'), "is a link");
        refused(&one("a", b'6'), "is a device");
        refused(&one("a", b'L'), "of an unknown kind");
        refused(b"", "cut off");
        refused(b"PK\x03\x04", "cut off");
        refused(&[b'x'; 2048], "magic");
        let twice = [&one("a", b'0')[..2 * BLOCK], &one("a", b'0')].concat();
        refused(&twice, "there twice");
        let mut wrong = one("a", b'0');
        wrong[0] = b'b';
        refused(&wrong, "sum is wrong");
        let trailing = [one("a", b'0'), vec![1]].concat();
        refused(&trailing, "after the end");
        refused(&one("a", b'0')[..BLOCK + 100], "cut off");
        let mut huge = header("a", "", SIZE_MAX, b'0').to_vec();
        huge.extend([0; BLOCK]);
        refused(&huge, "ends within a");
        let mut pax = header("pax", "", PAX_BYTES_MAX + 1, b'x').to_vec();
        pax.extend([0; BLOCK]);
        refused(&pax, "malformed pax");
        for text in ["5 path", "99 path=a\n", "x path=a\n", "0 path=a\n", "14 path=../../x\n"] {
            let mut bytes = header("pax", "", text.len() as u64, b'x').to_vec();
            bytes.extend(text.as_bytes());
            bytes.resize(2 * BLOCK, 0);
            bytes.extend(one("a", b'0'));
            refused(&bytes, "");
        }
    }

    #[test]
    fn no_flipped_bit_writes_outside_or_panics() {
        let (dir, files) = folder();
        let mut bytes = Vec::new();
        pack(&dir.path().join("in"), &files, &mut bytes).unwrap();
        let archive = dir.path().join("a.tar");
        let mut rng = mynah_base::Rng::new(11);
        for _ in 0..300 {
            let mut broken = bytes.clone();
            let at = (rng.uniform() * broken.len() as f64) as usize;
            broken[at] ^= 1 << (rng.uniform() * 8.0) as u32;
            fs::write(&archive, broken).unwrap();
            let out = dir.path().join("box/out");
            fs::create_dir_all(out.parent().unwrap()).unwrap();
            let _ = unpack(&archive, &out);
            crate::files::remove(&out).unwrap();
            assert_eq!(fs::read_dir(dir.path().join("box")).unwrap().count(), 0);
        }
    }
}
