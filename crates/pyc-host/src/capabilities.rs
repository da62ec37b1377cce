//! What a program may do outside its own memory.

use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// Granted capabilities; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Everything is allowed.
    pub trusted: bool,
    /// Folders and files that may be read.
    pub read: Vec<PathBuf>,
    /// Folders and files that may be written.
    pub write: Vec<PathBuf>,
    /// Environment variables that may be read; `*`: all.
    pub environment: Vec<String>,
    /// The clock.
    pub clock: bool,
    /// The system's random numbers.
    pub random: bool,
}

impl Capabilities {
    /// Everything.
    pub fn trusted() -> Capabilities {
        Capabilities { trusted: true, ..Capabilities::default() }
    }

    /// Adds the capabilities of a list such as `fs.read=data,clock`.
    ///
    /// # Errors
    /// Names a capability that does not exist or that this version cannot grant.
    pub fn grant(&mut self, list: &str) -> Result<(), Error> {
        for item in list.split(',').map(str::trim).filter(|i| !i.is_empty()) {
            let (name, value) = item.split_once('=').map_or((item, None), |(n, v)| (n, Some(v)));
            match (name, value) {
                ("fs.read", Some(path)) => self.read.push(absolute(path)),
                ("fs.write", Some(path)) => self.write.push(absolute(path)),
                ("env.read", Some(name)) => self.environment.push(name.to_string()),
                ("clock", None) => self.clock = true,
                ("random", None) => self.random = true,
                ("net.connect" | "process", _) => {
                    return Err(Error::new(format!(
                        "the capability '{name}' cannot be granted yet: programs have neither sockets nor processes"
                    )));
                }
                _ => {
                    return Err(Error::new(format!(
                        "unknown capability '{item}'; known: fs.read=DIR, fs.write=DIR, env.read=NAME, clock, random"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether a path may be read.
    pub fn may_read(&self, path: &str) -> bool {
        self.trusted || within(&self.read, path) || within(&self.write, path)
    }

    /// Whether a path may be written.
    pub fn may_write(&self, path: &str) -> bool {
        self.trusted || within(&self.write, path)
    }

    /// Whether a variable may be read.
    pub fn may_read_variable(&self, name: &str) -> bool {
        self.trusted || self.environment.iter().any(|n| n == "*" || n == name)
    }
}

/// The path without `.` and `..`, links resolved as far as it exists.
fn absolute(path: &str) -> PathBuf {
    let mut plain = if Path::new(path).is_absolute() {
        PathBuf::new()
    } else {
        std::env::current_dir().unwrap_or_default()
    };
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    // A link must not lead out of a granted folder, so the existing part is resolved.
    let mut rest = Vec::new();
    let mut known = plain.clone();
    loop {
        match known.canonicalize() {
            Ok(real) => {
                let mut real = real;
                real.extend(rest.iter().rev());
                return real;
            }
            Err(_) => match (known.file_name().map(ToOwned::to_owned), known.pop()) {
                (Some(name), true) => rest.push(name),
                _ => return plain,
            },
        }
    }
}

fn within(granted: &[PathBuf], path: &str) -> bool {
    let path = absolute(path);
    granted.iter().any(|g| path.starts_with(g))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_what_was_granted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("out.txt"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("out.txt"), folder.path().join("in/link")).unwrap();
        let inside = folder.path().join("in");
        let mut c = Capabilities::default();
        c.grant(&format!("fs.read={}", inside.display())).unwrap();
        let may = |name: &str| c.may_read(&inside.join(name).display().to_string());
        assert!(may("a.txt") && may("sub/b.txt"));
        assert!(!may("../out.txt") && !may("link"));
        assert!(!c.may_write(&inside.join("a.txt").display().to_string()));
        assert!(c.grant("fly").is_err());
    }
}
