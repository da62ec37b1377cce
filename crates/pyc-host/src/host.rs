//! The outside world of a program, behind its capabilities.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pyc_runtime::host::{
    Ended, FileStat, Host, HostError, ModuleBody, ModuleSource, OpenFlags, SocketOption, Spawn,
};

use crate::capabilities::Capabilities;
use crate::network;
use crate::processes::{self, Processes};

type Answer<T> = Result<T, HostError>;

/// Where output goes.
type Sink = RefCell<Vec<u8>>;

/// Modules that are not in folders: the library's, a built program's.
pub trait Modules: Send + Sync {
    /// A module by its full name.
    fn find(&self, name: &str) -> Option<ModuleSource>;
    /// The source text of a file that [`Modules::find`] named.
    fn text(&self, filename: &str) -> Option<String>;
}

/// The host of a program.
pub struct ProgramHost {
    capabilities: Capabilities,
    /// Folders in which modules are looked for before the library.
    search: Vec<PathBuf>,
    modules: Arc<dyn Modules>,
    files: RefCell<HashMap<i32, File>>,
    /// The names that addresses were found for.
    names: RefCell<HashMap<IpAddr, Vec<String>>>,
    processes: RefCell<Processes>,
    started: Instant,
    /// Captured output instead of the process's streams.
    captured: Option<[std::rc::Rc<Sink>; 2]>,
}

const FILES_MAX: usize = 256;

impl ProgramHost {
    /// A host with these capabilities that finds modules in these folders, then in `modules`.
    pub fn new(capabilities: Capabilities, search: Vec<PathBuf>, modules: Arc<dyn Modules>) -> ProgramHost {
        ProgramHost {
            capabilities,
            search,
            modules,
            files: RefCell::default(),
            names: RefCell::default(),
            processes: RefCell::default(),
            started: Instant::now(),
            captured: None,
        }
    }

    /// Collects what is written to stdout and stderr instead of passing it on.
    pub fn capture(&mut self) -> [std::rc::Rc<Sink>; 2] {
        let sinks = [std::rc::Rc::new(Sink::default()), std::rc::Rc::new(Sink::default())];
        self.captured = Some(sinks.clone());
        sinks
    }

    fn readable(&self, path: &str) -> Answer<()> {
        if self.capabilities.may_read(path) {
            Ok(())
        } else {
            Err(HostError::Denied(format!("fs.read={path}")))
        }
    }

    fn writable(&self, path: &str) -> Answer<()> {
        if self.capabilities.may_write(path) {
            Ok(())
        } else {
            Err(HostError::Denied(format!("fs.write={path}")))
        }
    }

    /// Gives an open file a handle.
    fn keep(&self, file: File) -> Answer<i32> {
        let mut files = self.files.borrow_mut();
        if files.len() >= FILES_MAX {
            return Err(HostError::Io(io::Error::from_raw_os_error(24)));
        }
        let handle = (3..).find(|h| !files.contains_key(h)).unwrap_or(3);
        files.insert(handle, file);
        Ok(handle)
    }

    /// The names under which an address was found.
    fn names_of(&self, address: IpAddr) -> Vec<String> {
        self.names.borrow().get(&address).cloned().unwrap_or_default()
    }

    fn startable(&self) -> Answer<()> {
        if self.capabilities.trusted || self.capabilities.process {
            Ok(())
        } else {
            Err(HostError::Denied("process".into()))
        }
    }

    fn file<T>(&self, handle: i32, f: impl FnOnce(&mut File) -> io::Result<T>) -> Answer<T> {
        match self.files.borrow_mut().get_mut(&handle) {
            Some(file) => Ok(f(file)?),
            None => Err(HostError::Io(io::Error::from_raw_os_error(9))),
        }
    }
}

fn stat_of(m: &fs::Metadata) -> FileStat {
    let ns = |s: i64, n: i64| s.saturating_mul(1_000_000_000).saturating_add(n);
    FileStat {
        mode: m.mode(),
        inode: m.ino(),
        device: m.dev(),
        links: m.nlink(),
        user: m.uid(),
        group: m.gid(),
        size_bytes: m.size(),
        accessed_ns: ns(m.atime(), m.atime_nsec()),
        modified_ns: ns(m.mtime(), m.mtime_nsec()),
        changed_ns: ns(m.ctime(), m.ctime_nsec()),
    }
}

/// A module's file in a folder.
fn in_folder(folder: &Path, name: &str) -> Option<ModuleSource> {
    let package = folder.join(name);
    let init = package.join("__init__.py");
    let (file, package) =
        if init.is_file() { (init, Some(package)) } else { (folder.join(format!("{name}.py")), None) };
    let bytes = fs::read(&file).ok()?;
    Some(ModuleSource {
        body: ModuleBody::Text(String::from_utf8_lossy(&bytes).into_owned()),
        filename: file.display().to_string(),
        package: package.map(|p| p.display().to_string()),
    })
}

impl Host for ProgramHost {
    fn write(&self, handle: i32, bytes: &[u8]) -> Answer<usize> {
        match (handle, &self.captured) {
            (1 | 2, Some(sinks)) => {
                sinks[handle as usize - 1].borrow_mut().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            (1, None) => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()?;
                Ok(bytes.len())
            }
            (2, None) => {
                io::stderr().write_all(bytes)?;
                Ok(bytes.len())
            }
            _ => self.file(handle, |f| f.write(bytes)),
        }
    }

    fn read(&self, handle: i32, limit: usize) -> Answer<Vec<u8>> {
        let mut buffer = vec![0; limit.min(1 << 20)];
        let n = match handle {
            0 if self.captured.is_some() => 0,
            0 => io::stdin().read(&mut buffer)?,
            _ => self.file(handle, |f| f.read(&mut buffer))?,
        };
        buffer.truncate(n);
        Ok(buffer)
    }

    fn open(&self, path: &str, flags: OpenFlags) -> Answer<i32> {
        if flags.write || flags.append || flags.create || flags.create_new || flags.truncate {
            self.writable(path)?;
        } else {
            self.readable(path)?;
        }
        if self.files.borrow().len() >= FILES_MAX {
            return Err(HostError::Io(io::Error::from_raw_os_error(24)));
        }
        let file = OpenOptions::new()
            .read(flags.read)
            .write(flags.write)
            .append(flags.append)
            .create(flags.create)
            .create_new(flags.create_new)
            .truncate(flags.truncate)
            .open(path)?;
        if file.metadata()?.is_dir() {
            return Err(HostError::Io(io::Error::from_raw_os_error(21)));
        }
        self.keep(file)
    }

    fn close(&self, handle: i32) -> Answer<()> {
        match self.files.borrow_mut().remove(&handle) {
            Some(_) => Ok(()),
            None if (0..3).contains(&handle) => Ok(()),
            None => Err(HostError::Io(io::Error::from_raw_os_error(9))),
        }
    }

    fn seek(&self, handle: i32, to: io::SeekFrom) -> Answer<u64> {
        self.file(handle, |f| f.seek(to))
    }

    fn truncate(&self, handle: i32, size: u64) -> Answer<()> {
        self.file(handle, |f| f.set_len(size))
    }

    fn is_terminal(&self, handle: i32) -> bool {
        use std::io::IsTerminal as _;
        self.captured.is_none()
            && match handle {
                0 => io::stdin().is_terminal(),
                1 => io::stdout().is_terminal(),
                2 => io::stderr().is_terminal(),
                _ => false,
            }
    }

    fn stat(&self, path: &str, follow: bool) -> Answer<FileStat> {
        self.readable(path)?;
        let m = if follow { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
        Ok(stat_of(&m))
    }

    fn stat_handle(&self, handle: i32) -> Answer<FileStat> {
        self.file(handle, |f| f.metadata().map(|m| stat_of(&m)))
    }

    fn list(&self, path: &str) -> Answer<Vec<(String, bool)>> {
        self.readable(path)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            names.push((entry.file_name().to_string_lossy().into_owned(), entry.file_type()?.is_dir()));
        }
        names.sort();
        Ok(names)
    }

    fn make_folder(&self, path: &str) -> Answer<()> {
        self.writable(path)?;
        Ok(fs::create_dir(path)?)
    }

    fn remove_file(&self, path: &str) -> Answer<()> {
        self.writable(path)?;
        Ok(fs::remove_file(path)?)
    }

    fn remove_folder(&self, path: &str) -> Answer<()> {
        self.writable(path)?;
        Ok(fs::remove_dir(path)?)
    }

    fn rename(&self, from: &str, to: &str) -> Answer<()> {
        self.writable(from)?;
        self.writable(to)?;
        Ok(fs::rename(from, to)?)
    }

    fn read_link(&self, path: &str) -> Answer<String> {
        self.readable(path)?;
        Ok(fs::read_link(path)?.display().to_string())
    }

    fn current_folder(&self) -> Answer<String> {
        Ok(std::env::current_dir()?.display().to_string())
    }

    fn time_ns(&self) -> Answer<i64> {
        if !self.capabilities.trusted && !self.capabilities.clock {
            return Err(HostError::Denied("clock".into()));
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    fn monotonic_ns(&self) -> Answer<i64> {
        if !self.capabilities.trusted && !self.capabilities.clock {
            return Err(HostError::Denied("clock".into()));
        }
        Ok(i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, duration: Duration) -> Answer<()> {
        std::thread::sleep(duration);
        Ok(())
    }

    fn random(&self, count: usize) -> Answer<Vec<u8>> {
        if !self.capabilities.trusted && !self.capabilities.random {
            return Err(HostError::Denied("random".into()));
        }
        let mut bytes = vec![0; count.min(1 << 24)];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn environment(&self) -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .filter(|(name, _)| self.capabilities.may_read_variable(name))
            .collect()
    }

    fn module_source(&self, name: &str, path: Option<&[String]>) -> Option<ModuleSource> {
        let last = name.rsplit('.').next().unwrap_or(name);
        match path {
            Some(folders) => {
                for folder in folders {
                    if !folder.starts_with("<library>")
                        && let Some(found) = in_folder(Path::new(folder), last)
                    {
                        return Some(found);
                    }
                }
            }
            None => {
                for folder in &self.search {
                    if let Some(found) = in_folder(folder, last) {
                        return Some(found);
                    }
                }
            }
        }
        self.modules.find(name)
    }

    fn source_text(&self, filename: &str) -> Option<String> {
        self.modules.text(filename)
    }

    fn resolve(&self, name: &str) -> Answer<Vec<IpAddr>> {
        if !self.capabilities.may_resolve(name) {
            return Err(HostError::Denied(format!("net.connect={name}:*")));
        }
        let found = network::resolve(name)?;
        let mut names = self.names.borrow_mut();
        for address in &found {
            let known = names.entry(*address).or_default();
            if !known.iter().any(|n| n.eq_ignore_ascii_case(name)) {
                known.push(name.to_string());
            }
        }
        Ok(found)
    }

    fn connect(&self, to: SocketAddr, options: &[(SocketOption, usize)]) -> Answer<i32> {
        let names = self.names_of(to.ip());
        if !self.capabilities.may_connect(to.ip(), to.port(), &names) {
            let wanted = names.first().map_or_else(|| to.to_string(), |n| format!("{n}:{}", to.port()));
            return Err(HostError::Denied(format!("net.connect={wanted}")));
        }
        self.keep(network::connect(to, options)?)
    }

    fn bind(&self, at: SocketAddr, options: &[(SocketOption, usize)]) -> Answer<i32> {
        if !self.capabilities.may_listen(at.ip(), at.port(), &self.names_of(at.ip())) {
            return Err(HostError::Denied(format!("net.listen={at}")));
        }
        self.keep(network::bind(at, options)?)
    }

    fn listen(&self, handle: i32, backlog: i32) -> Answer<()> {
        self.file(handle, |f| Ok(rustix::net::listen(f, backlog)?))
    }

    fn accept(&self, handle: i32) -> Answer<(i32, SocketAddr)> {
        let (made, from) = self.file(handle, |f| network::accept(f))?;
        Ok((self.keep(made)?, from))
    }

    fn send(&self, handle: i32, bytes: &[u8]) -> Answer<usize> {
        self.file(handle, |f| network::send(f, bytes))
    }

    fn receive(&self, handle: i32, limit: usize, peek: bool) -> Answer<Vec<u8>> {
        self.file(handle, |f| network::receive(f, limit, peek))
    }

    fn shutdown(&self, handle: i32, how: Shutdown) -> Answer<()> {
        self.file(handle, |f| network::shutdown(f, how))
    }

    fn socket_address(&self, handle: i32, peer: bool) -> Answer<SocketAddr> {
        self.file(handle, |f| network::address(f, peer))
    }

    fn socket_error(&self, handle: i32) -> Answer<i32> {
        self.file(handle, |f| network::error(f))
    }

    fn set_option(&self, handle: i32, option: SocketOption, value: usize) -> Answer<()> {
        self.file(handle, |f| network::set_option(f, option, value))
    }

    fn wait(&self, handles: &[(i32, u16)], time: Duration) -> Answer<Vec<u16>> {
        let files = self.files.borrow();
        let mut known = Vec::new();
        for (handle, mask) in handles {
            let file = files.get(handle).ok_or_else(|| io::Error::from_raw_os_error(9))?;
            known.push((file, *mask));
        }
        Ok(network::wait(&known, time)?)
    }

    fn pipe(&self) -> Answer<(i32, i32)> {
        self.startable()?;
        let (read, write) = processes::pipe()?;
        let read = self.keep(read)?;
        let write = self.keep(write).inspect_err(|_| drop(self.close(read)))?;
        Ok((read, write))
    }

    fn spawn(&self, what: &Spawn) -> Answer<i32> {
        self.startable()?;
        let mut streams = [None, None, None];
        for (stream, handle) in streams.iter_mut().zip(what.streams) {
            if let Some(handle) = handle.filter(|h| *h > 2) {
                *stream = Some(self.file(handle, |f| f.try_clone())?);
            }
        }
        let mut what = what.clone();
        // A process sees no variables that this program may not see.
        what.environment.get_or_insert_with(|| self.environment());
        Ok(self.processes.borrow_mut().spawn(&what, streams)?)
    }

    fn ended(&self, process: i32) -> Answer<Option<Ended>> {
        Ok(self.processes.borrow_mut().ended(process)?)
    }

    fn signal(&self, process: i32, signal: i32) -> Answer<()> {
        Ok(self.processes.borrow().signal(process, signal)?)
    }
}
