//! Reading and writing key files: bounded, never overwritten, secret ones for the owner's eyes only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoErrorKind, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result};

/// Ten times the largest PEM of the kinds we read.
const KEY_BYTES_MAX: u64 = 16 << 10;

/// What a key file may hold; the first line of a PEM says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Secret,
    Public,
}

/// Reads a PEM file.
pub(super) fn read(path: &Path, role: Role) -> Result<Zeroizing<String>> {
    let file = File::open(path).map_err(|e| Error::io("open the key", path, &e))?;
    let metadata = file.metadata().map_err(|e| Error::io("read the key", path, &e))?;
    if !metadata.is_file() {
        return Err(Error::key("a key is a file").in_file(path));
    }
    if role == Role::Secret {
        refuse_readable_by_others(path, &metadata)?;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX as usize + 1));
    file.take(KEY_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read the key", path, &e))?;
    if bytes.len() as u64 > KEY_BYTES_MAX {
        let message = format!("larger than {KEY_BYTES_MAX} bytes; a key in PEM is a few hundred");
        return Err(Error::key(message).in_file(path));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::key("not a PEM text").in_file(path))?;
    Ok(Zeroizing::new(text.to_string()))
}

#[cfg(unix)]
fn refuse_readable_by_others(path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("a secret key with mode {mode:04o} is open to others; run `chmod 600` on it");
    Err(Error::key(message).in_file(path))
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_path: &Path, _metadata: &std::fs::Metadata) -> Result<()> {
    Ok(())
}

/// Writes a PEM to a file that does not exist yet. A secret one is never open to others, not even while it
/// is being written, and no reader ever sees a part of one.
pub(super) fn create(path: &Path, role: Role, pem: &str) -> Result<()> {
    let exists = || {
        let message =
            "exists already, and a key is never overwritten; name another file or move that one away";
        Error::key(message).in_file(path)
    };
    let name = path.file_name().ok_or_else(|| Error::key("the path names no file").in_file(path))?;
    let mut neighbour = name.to_os_string();
    // Two processes, or two threads of one, may make the same key file at once.
    let number = NEIGHBOURS.fetch_add(1, Ordering::Relaxed);
    neighbour.push(format!(".{}-{number}.tmp", std::process::id()));
    let neighbour = path.with_file_name(neighbour);
    write_new(&neighbour, role, pem).map_err(|e| Error::io("write the key", path, &e))?;
    // A rename would overwrite; a second name for the same file fails when the name is taken.
    let mut linked = fs::hard_link(&neighbour, path);
    let _ = fs::remove_file(&neighbour);
    if linked.as_ref().is_err_and(|e| e.kind() != IoErrorKind::AlreadyExists) {
        // A file system without links: the file is then whole or absent unless the machine stops in between.
        linked = write_new(path, role, pem);
    }
    let is_there = || role == Role::Public && fs::read(path).is_ok_and(|found| found == pem.as_bytes());
    linked
        .or_else(|e| match e.kind() {
            // A public half is written beside each signature: the same one is there already.
            IoErrorKind::AlreadyExists if is_there() => Ok(()),
            _ => Err(e),
        })
        .map_err(|e| match e.kind() {
            IoErrorKind::AlreadyExists => exists(),
            _ => Error::io("create the key file", path, &e),
        })?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    mynah_base::sync_dir(folder).map_err(|e| Error::io("sync the folder", folder, &e))
}

static NEIGHBOURS: AtomicU64 = AtomicU64::new(0);

fn write_new(path: &Path, role: Role, pem: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if role == Role::Secret {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    let written = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // The first error is the one worth telling.
        let _ = fs::remove_file(path);
    }
    written
}

/// Loads what exists; else makes it, and takes what another process made in the meantime.
pub(super) fn load_or_create<K>(
    path: &Path,
    load: impl Fn(&Path) -> Result<K>,
    create: impl FnOnce() -> Result<()>,
) -> Result<K> {
    if !path.try_exists().map_err(|e| Error::io("look for the key", path, &e))? {
        match create() {
            Err(error) if error.kind() != ErrorKind::Key => return Err(error),
            _ => {}
        }
    }
    load(path)
}

/// The label between `-----BEGIN ` and `-----`, to say what a file holds instead of what is wanted.
pub(super) fn label(pem: &str) -> Option<&str> {
    let begin = pem.find("-----BEGIN ")? + "-----BEGIN ".len();
    let rest = &pem[begin..];
    rest.find("-----").map(|end| &rest[..end]).filter(|label| label.len() <= 64)
}

/// The error for a PEM that is not the key one wants.
pub(super) fn not_a(wanted: &str, pem: &str) -> Error {
    match label(pem) {
        None => Error::key(format!("no PEM: {wanted} begins with a line -----BEGIN …-----")),
        Some("ENCRYPTED PRIVATE KEY") => Error::unsupported(
            "the key is encrypted, and mynah asks for no passwords; \
             write it unencrypted with `openssl pkcs8 -topk8 -nocrypt`",
        ),
        Some(label) => Error::key(format!("the PEM holds {label:?} that is not {wanted}")),
    }
}
