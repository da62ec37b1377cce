//! What a program may do outside its own memory.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// A host and a port of `net.connect` and `net.listen`; no port: every port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name in lower case, or an address without brackets.
    pub host: String,
    /// TCP's port.
    pub port: Option<u16>,
}

impl Endpoint {
    /// Reads `HOST:PORT`, `HOST:*` or `[ADDRESS]:PORT`.
    fn parse(text: &str) -> Option<Endpoint> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let port = if port == "*" { None } else { Some(port.parse().ok()?) };
        (!host.is_empty()).then(|| Endpoint { host: host.to_ascii_lowercase(), port })
    }

    fn is_address(&self, address: IpAddr) -> bool {
        self.host.parse() == Ok(address)
    }

    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|p| p == port)
    }
}

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
    /// Where connections may lead.
    pub connect: Vec<Endpoint>,
    /// Where connections may be taken.
    pub listen: Vec<Endpoint>,
    /// Other programs may be started. They are not held by any capability of this program.
    pub process: bool,
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
                ("process", None) => self.process = true,
                ("net.connect" | "net.listen", Some(text)) => {
                    let Some(endpoint) = Endpoint::parse(text) else {
                        return Err(Error::new(format!(
                            "'{item}' names no host and port; write {name}=HOST:PORT or {name}=HOST:*"
                        )));
                    };
                    let list = if name == "net.connect" { &mut self.connect } else { &mut self.listen };
                    list.push(endpoint);
                }
                _ => {
                    return Err(Error::new(format!(
                        "unknown capability '{item}'; known: fs.read=DIR, fs.write=DIR, net.connect=HOST:PORT, net.listen=HOST:PORT, env.read=NAME, clock, random, process"
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

    /// Whether the addresses of a name may be asked for: when connections to it are granted.
    pub fn may_resolve(&self, name: &str) -> bool {
        self.trusted || self.connect.iter().chain(&self.listen).any(|e| e.host.eq_ignore_ascii_case(name))
    }

    /// Whether a connection may lead to an address, which was found for these names.
    pub fn may_connect(&self, address: IpAddr, port: u16, names: &[String]) -> bool {
        let is = |e: &Endpoint| e.is_address(address) || names.iter().any(|n| e.host.eq_ignore_ascii_case(n));
        self.trusted || self.connect.iter().any(|e| e.has_port(port) && is(e))
    }

    /// Whether connections may be taken at an address, which was found for these names.
    pub fn may_listen(&self, address: IpAddr, port: u16, names: &[String]) -> bool {
        let is = |e: &Endpoint| e.is_address(address) || names.iter().any(|n| e.host.eq_ignore_ascii_case(n));
        self.trusted || self.listen.iter().any(|e| e.has_port(port) && is(e))
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

    #[test]
    fn connections_lead_where_they_may() {
        let mut c = Capabilities::default();
        c.grant("net.connect=Example.org:80,net.connect=127.0.0.1:*,net.connect=[::1]:8080").unwrap();
        let (one, six) = ("127.0.0.1".parse().unwrap(), "::1".parse().unwrap());
        let far = "192.0.2.7".parse().unwrap();
        assert!(
            c.may_connect(one, 5, &[]) && c.may_connect(six, 8080, &[]) && !c.may_connect(six, 8081, &[])
        );
        let names = ["example.org".to_string()];
        assert!(
            !c.may_connect(far, 80, &[]) && c.may_connect(far, 80, &names) && !c.may_connect(far, 81, &names)
        );
        assert!(c.may_resolve("EXAMPLE.ORG") && !c.may_resolve("example.com") && !c.may_listen(one, 5, &[]));
        for wrong in
            ["net.connect", "net.connect=", "net.connect=a", "net.connect=::1:5", "net.connect=a:99999"]
        {
            assert!(c.grant(wrong).is_err(), "{wrong}");
        }
    }
}
