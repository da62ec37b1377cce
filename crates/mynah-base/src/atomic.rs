//! Files that are whole or absent, also when the machine loses power in between.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file so that a reader sees the old content or the new, never a part: the bytes go to a
/// neighbour `NAME.tmp`, are synced to the disk, and take the final name in one rename.
///
/// # Errors
/// Whatever the file system answers (no such folder, disk full); the old file is then untouched and
/// the neighbour removed.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?
        .to_os_string();
    name.push(".tmp");
    let neighbour = path.with_file_name(name);
    let result = write_and_sync(&neighbour, write).and_then(|()| fs::rename(&neighbour, path));
    if result.is_err() {
        // The first error is the one worth telling; the neighbour may not even exist.
        let _ = fs::remove_file(&neighbour);
    }
    result?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

fn write_and_sync(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 16, File::create(path)?);
    write(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()
}

/// Makes the names in a folder durable (a rename is only on the disk once its folder is).
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    // Windows cannot open a folder as a file, and makes renames durable by itself.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("mynah-base-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = folder("atomic");
        let path = dir.join("file.txt");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        let result = write_atomic(&path, |w| {
            w.write_all(b"half of the new")?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(result.unwrap_err().to_string(), "disk full");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }
}
