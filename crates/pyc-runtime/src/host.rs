//! The world outside, behind capabilities, and the limits that a program cannot catch.
//!
//! Everything a program does outside its own memory goes through [`Host`]; the driver implements it and checks
//! the granted capabilities there, at one layer.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyc_ir::Code;

use crate::object::{collect, threshold, used_bytes};
use crate::vm::{PyResult, Raised, Vm};

/// An operation that the host refused or that failed.
#[derive(Debug)]
pub enum HostError {
    /// The capability that is missing, as it would be granted: `fs.read=DIR`.
    Denied(String),
    /// The system's answer.
    Io(io::Error),
}

impl From<io::Error> for HostError {
    fn from(error: io::Error) -> HostError {
        HostError::Io(error)
    }
}

/// What `stat` gives.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct FileStat {
    pub mode: u32,
    pub inode: u64,
    pub device: u64,
    pub links: u64,
    pub user: u32,
    pub group: u32,
    pub size_bytes: u64,
    pub accessed_ns: i64,
    pub modified_ns: i64,
    pub changed_ns: i64,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct OpenFlags {
    pub read: bool,
    pub write: bool,
    pub append: bool,
    pub create: bool,
    pub create_new: bool,
    pub truncate: bool,
}

/// What programs may set on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SocketOption {
    NoDelay,
    KeepAlive,
    ReuseAddress,
    SendBuffer,
    ReceiveBuffer,
}

/// A process to start. Handles are ours; nothing: the standard stream of this process.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Spawn {
    pub program: String,
    /// The first is the name that the process sees.
    pub arguments: Vec<String>,
    pub folder: Option<String>,
    /// The whole environment; nothing: the variables that this program may read.
    pub environment: Option<Vec<(String, String)>>,
    pub streams: [Option<i32>; 3],
    /// A process group of its own.
    pub group: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
}

fn no_network<T>(to: impl std::fmt::Display) -> Result<T, HostError> {
    Err(HostError::Denied(format!("net.connect={to}")))
}

fn no_process<T>() -> Result<T, HostError> {
    Err(HostError::Denied("process".into()))
}

/// The outside. Handles are numbers as `open` gives them; 0, 1 and 2 are the standard streams.
#[allow(missing_docs)]
pub trait Host {
    fn write(&self, handle: i32, bytes: &[u8]) -> Result<usize, HostError>;
    fn read(&self, handle: i32, limit: usize) -> Result<Vec<u8>, HostError>;
    fn open(&self, path: &str, flags: OpenFlags) -> Result<i32, HostError>;
    fn close(&self, handle: i32) -> Result<(), HostError>;
    fn seek(&self, handle: i32, to: io::SeekFrom) -> Result<u64, HostError>;
    fn truncate(&self, handle: i32, size: u64) -> Result<(), HostError>;
    fn is_terminal(&self, handle: i32) -> bool;
    fn stat(&self, path: &str, follow: bool) -> Result<FileStat, HostError>;
    fn stat_handle(&self, handle: i32) -> Result<FileStat, HostError>;
    /// Names and whether they are folders.
    fn list(&self, path: &str) -> Result<Vec<(String, bool)>, HostError>;
    fn make_folder(&self, path: &str) -> Result<(), HostError>;
    fn remove_file(&self, path: &str) -> Result<(), HostError>;
    fn remove_folder(&self, path: &str) -> Result<(), HostError>;
    fn rename(&self, from: &str, to: &str) -> Result<(), HostError>;
    fn read_link(&self, path: &str) -> Result<String, HostError>;
    fn current_folder(&self) -> Result<String, HostError>;
    /// Nanoseconds since 1970.
    fn time_ns(&self) -> Result<i64, HostError>;
    /// Nanoseconds since some moment.
    fn monotonic_ns(&self) -> Result<i64, HostError>;
    fn sleep(&self, duration: Duration) -> Result<(), HostError>;
    fn random(&self, count: usize) -> Result<Vec<u8>, HostError>;
    /// The variables that may be read.
    fn environment(&self) -> Vec<(String, String)>;
    /// A module's source from where modules are looked for: the text and its file name, and whether it is a
    /// package. `None`: no such module.
    fn module_source(&self, name: &str, path: Option<&[String]>) -> Option<ModuleSource>;
    /// The text of a module that came as code, for tracebacks.
    fn source_text(&self, filename: &str) -> Option<String>;

    // TCP sockets and pipes: handles that never block. A host without a network refuses by these answers.

    /// The addresses of a name.
    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, HostError> {
        no_network(format_args!("{name}:*"))
    }
    /// Begins to connect; [`Host::wait`] tells when it is done, [`Host::socket_error`] whether it went well.
    fn connect(&self, to: SocketAddr, options: &[(SocketOption, usize)]) -> Result<i32, HostError> {
        let _ = options;
        no_network(to)
    }
    /// A socket with an address of this machine, for [`Host::listen`].
    fn bind(&self, at: SocketAddr, options: &[(SocketOption, usize)]) -> Result<i32, HostError> {
        let _ = options;
        Err(HostError::Denied(format!("net.listen={at}")))
    }
    fn listen(&self, handle: i32, backlog: i32) -> Result<(), HostError> {
        let _ = (handle, backlog);
        no_network("")
    }
    fn accept(&self, handle: i32) -> Result<(i32, SocketAddr), HostError> {
        let _ = handle;
        no_network("")
    }
    fn send(&self, handle: i32, bytes: &[u8]) -> Result<usize, HostError> {
        let _ = (handle, bytes);
        no_network("")
    }
    /// `peek`: what is received stays to be received again.
    fn receive(&self, handle: i32, limit: usize, peek: bool) -> Result<Vec<u8>, HostError> {
        let _ = (handle, limit, peek);
        no_network("")
    }
    fn shutdown(&self, handle: i32, how: Shutdown) -> Result<(), HostError> {
        let _ = (handle, how);
        no_network("")
    }
    /// The socket's own address, or its peer's.
    fn socket_address(&self, handle: i32, peer: bool) -> Result<SocketAddr, HostError> {
        let _ = (handle, peer);
        no_network("")
    }
    /// The error that waits on a socket, as the system numbers it; 0: none.
    fn socket_error(&self, handle: i32) -> Result<i32, HostError> {
        let _ = handle;
        no_network("")
    }
    fn set_option(&self, handle: i32, option: SocketOption, value: usize) -> Result<(), HostError> {
        let _ = (handle, option, value);
        no_network("")
    }
    /// Waits until one of the handles can be read (1) or written (4) as its mask wants, or the time is over; gives
    /// each one's events in order, with errors (8) and hang-ups (16).
    fn wait(&self, handles: &[(i32, u16)], time: Duration) -> Result<Vec<u16>, HostError> {
        let _ = time;
        Ok(handles.iter().map(|h| h.1).collect())
    }

    // Processes.

    /// The end that is read and the end that is written.
    fn pipe(&self) -> Result<(i32, i32), HostError> {
        no_process()
    }
    fn spawn(&self, what: &Spawn) -> Result<i32, HostError> {
        let _ = what;
        no_process()
    }
    /// How a process that this program started ended; nothing while it runs.
    fn ended(&self, process: i32) -> Result<Option<Ended>, HostError> {
        let _ = process;
        no_process()
    }
    /// Sends a signal to a process that this program started.
    fn signal(&self, process: i32, signal: i32) -> Result<(), HostError> {
        let _ = (process, signal);
        no_process()
    }
}

/// What a module consists of.
#[derive(Clone, Debug)]
pub enum ModuleBody {
    /// Text to compile.
    Text(String),
    /// Compiled code; [`Host::source_text`] gives its text when it is wanted.
    Code(Arc<Code>),
    /// Compiled code with its machine code; see [`Vm::load_machine_code`].
    Machine {
        /// The code.
        code: Arc<Code>,
        /// Checksum of its packed form.
        of: u64,
        /// The section with machine code.
        section: Vec<u8>,
    },
    /// Nothing that can be used: what the ImportError says.
    Broken(String),
}

/// A module found by the host.
#[derive(Clone, Debug)]
pub struct ModuleSource {
    /// Text or code.
    pub body: ModuleBody,
    /// `__file__`
    pub filename: String,
    /// It has submodules, in this folder.
    pub package: Option<String>,
}

/// Bounds of a run; nothing: unbounded.
#[derive(Default, Debug)]
pub struct Limits {
    /// Wall time.
    pub time: Option<Duration>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Steps: loop rounds, calls and iterator items.
    pub steps: Option<u64>,
    /// Bytes written to the standard streams.
    pub output_bytes: Option<u64>,
    /// Steps counted so far, up to the last look.
    pub steps_used: Cell<u64>,
    window: Cell<i64>,
    started: Cell<Option<Instant>>,
    base_bytes: Cell<i64>,
    written: Cell<u64>,
    /// Which limit ended the program.
    pub hit: RefCell<Option<String>>,
}

const WINDOW: i64 = 2048;

impl Limits {
    pub(crate) fn start(&self, vm: &Vm) {
        self.started.set(Some(Instant::now()));
        self.base_bytes.set(used_bytes());
        self.open_window(vm);
    }

    fn open_window(&self, vm: &Vm) {
        let left = self.steps.map_or(WINDOW, |s| WINDOW.min((s - self.steps_used.get().min(s)) as i64 + 1));
        self.window.set(left);
        vm.countdown.set(left);
    }
}

impl Vm {
    /// Looks at time, memory and steps, and at the collector.
    ///
    /// # Errors
    /// The limit that was hit.
    #[cold]
    #[inline(never)]
    pub fn check_limits(&self) -> PyResult<()> {
        let limits = &self.limits;
        limits.steps_used.set(limits.steps_used.get() + (limits.window.get() - self.countdown.get()) as u64);
        if let Some(steps) = limits.steps
            && limits.steps_used.get() > steps
        {
            limits.steps_used.set(steps);
            return Err(self.terminate(format!("step limit of {steps} exceeded")));
        }
        limits.open_window(self);
        if let (Some(time), Some(started)) = (limits.time, limits.started.get())
            && started.elapsed() > time
        {
            return Err(self.terminate(format!("time limit of {} s exceeded", time.as_secs_f64())));
        }
        self.check_memory(0)?;
        if threshold() {
            collect();
        }
        Ok(())
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        let limits = &self.limits;
        limits.steps_used.get() + (limits.window.get() - self.countdown.get()).max(0) as u64
    }

    /// Whether `more` bytes may be allocated.
    ///
    /// # Errors
    /// The memory limit, or MemoryError for sizes that no machine has.
    pub fn check_memory(&self, more: u64) -> PyResult<()> {
        if more > 1 << 40 {
            return Err(self.raise_bare(&self.exc.memory_error));
        }
        if let Some(limit) = self.limits.memory_bytes {
            let used = (used_bytes() - self.limits.base_bytes.get()).max(0) as u64;
            if used.saturating_add(more) > limit {
                return Err(self.terminate(format!("memory limit of {limit} bytes exceeded")));
            }
        }
        Ok(())
    }

    /// Before a container of `count` elements of `size` bytes is made.
    ///
    /// # Errors
    /// As [`Vm::check_memory`].
    pub fn check_alloc(&self, count: usize, size: usize) -> PyResult<()> {
        let bytes = (count as u64).saturating_mul(size as u64);
        if bytes > 1 << 16 { self.check_memory(bytes) } else { Ok(()) }
    }

    /// Counts output.
    ///
    /// # Errors
    /// The output limit.
    pub fn check_output(&self, bytes: usize) -> PyResult<()> {
        let written = self.limits.written.get() + bytes as u64;
        self.limits.written.set(written);
        match self.limits.output_bytes {
            Some(limit) if written > limit => {
                Err(self.terminate(format!("output limit of {limit} bytes exceeded")))
            }
            _ => Ok(()),
        }
    }

    /// Ends the program: no handler and no finally block runs.
    pub fn terminate(&self, what: String) -> Raised {
        self.terminating.set(true);
        self.limits.hit.replace(Some(what.clone()));
        self.raise(&self.exc.system_exit, &what)
    }

    /// The exception for a refused or failed operation of the host.
    pub fn host_error(&self, error: HostError, path: Option<&str>) -> Raised {
        match error {
            HostError::Denied(capability) => {
                let text = format!(
                    "capability '{capability}' is not granted; run with --allow {capability} or --trusted"
                );
                self.os_error(&self.exc.permission_error, 13, &text, path)
            }
            HostError::Io(error) => {
                let code = error.raw_os_error().unwrap_or(5);
                let text = error.to_string();
                let text = text.split(" (os error").next().unwrap_or(&text).to_string();
                let kind = self.os_error_type(code);
                self.os_error(&kind, code, &text, path)
            }
        }
    }
}
