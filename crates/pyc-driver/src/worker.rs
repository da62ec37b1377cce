//! Hostile code in a process of its own, which the system holds apart as well.
//!
//! The interpreter's capabilities and limits hold already; a worker is the second wall, for the case that the first has
//! a hole: [`confine`] gives up, for the whole process and for good, whatever a program with these capabilities cannot
//! need. A worker that crashes is an error value of [`Worker::run`].

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pyc_host::Error;

use crate::run::{Options, Outcome};

/// Gives up what a run with these options cannot need: network, processes, files where none are granted, more memory
/// and time than the limits. It holds for the process, to its end.
///
/// # Errors
/// On systems other than Linux on x86-64 and aarch64, and where the kernel refuses.
pub fn confine(options: &Options) -> Result<(), Error> {
    system::confine(options)
}

/// Whether [`confine`] works here.
pub const CAN_CONFINE: bool =
    cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));

/// Starts worker processes.
#[derive(Clone, Debug)]
pub struct Worker {
    /// A program whose `py run` is that of mynah: `mynah` itself.
    pub program: PathBuf,
    /// Wall time.
    pub time: Duration,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of output.
    pub output_bytes: u64,
    /// What the code may do, as `--allow` takes it; it must need no files.
    pub allow: Vec<String>,
}

/// What a process needs besides, before it is ended from outside.
const GRACE: Duration = Duration::from_secs(2);

impl Worker {
    /// Runs a text as a program. Its own exceptions and limits are in the outcome.
    ///
    /// # Errors
    /// When the process cannot be started, crashes, or does not end.
    pub fn run(&self, text: &str) -> Result<Outcome, Error> {
        let fail = |e: std::io::Error| Error::new(format!("cannot run a worker: {e}"));
        let mut command = Command::new(&self.program);
        command.args(["py", "run", "--max-time", &self.time.as_secs_f64().to_string()]);
        command.args(["--max-memory", &self.memory_bytes.to_string()]);
        command.args(["--max-output", &self.output_bytes.to_string()]);
        if CAN_CONFINE {
            command.arg("--worker");
        }
        for item in &self.allow {
            command.args(["--allow", item]);
        }
        let mut child = command
            .arg("-")
            .env_clear()
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(fail)?;
        let deadline = Instant::now() + self.time + GRACE;
        let (tell, told) = mpsc::channel();
        let limit = 4 * self.output_bytes;
        if let Some(pipe) = child.stdout.take() {
            read_all(0, pipe, limit, tell.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            read_all(1, pipe, limit, tell.clone());
        }
        drop(tell);
        if let Some(mut pipe) = child.stdin.take() {
            // A worker that ended before it read everything tells why at its end.
            let _ = pipe.write_all(text.as_bytes());
        }
        let mut read = [Vec::new(), Vec::new()];
        let mut late = false;
        loop {
            match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((at, bytes)) => read[at] = bytes,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    late = true;
                    child.kill().map_err(fail)?;
                    break;
                }
            }
        }
        let status = child.wait().map_err(fail)?;
        if late {
            return Err(Error::new(format!(
                "the worker did not end in {} s",
                (self.time + GRACE).as_secs_f64()
            )));
        }
        let [output, errors] = read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        match status.code() {
            Some(code) => Ok(Outcome { output, errors, exit: code as u8, leaked_blocks: 0, steps: 0 }),
            None => Err(Error::new(format!("the worker crashed ({status})"))),
        }
    }
}

/// Reads a pipe to its end in a thread, so that the process never waits for it. What was read before an error counts.
fn read_all(at: usize, pipe: impl Read + Send + 'static, limit: u64, tell: mpsc::Sender<(usize, Vec<u8>)>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut pipe = pipe.take(limit);
        let _ = pipe.read_to_end(&mut bytes);
        // More is thrown away, so that the writer is not held up.
        let _ = std::io::copy(&mut pipe.into_inner(), &mut std::io::sink());
        let _ = tell.send((at, bytes));
    });
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system {
    use std::collections::BTreeMap;

    use libc as c;
    use rlimit::{Resource, setrlimit};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };

    use super::{Error, Options};

    /// What every run needs: memory, the open streams, threads of its own, clocks.
    const ALWAYS: &[i64] = &[
        c::SYS_read,
        c::SYS_readv,
        c::SYS_write,
        c::SYS_writev,
        c::SYS_close,
        c::SYS_fstat,
        c::SYS_lseek,
        c::SYS_mmap,
        c::SYS_mprotect,
        c::SYS_munmap,
        c::SYS_mremap,
        c::SYS_madvise,
        c::SYS_brk,
        c::SYS_rt_sigaction,
        c::SYS_rt_sigprocmask,
        c::SYS_rt_sigreturn,
        c::SYS_sigaltstack,
        c::SYS_futex,
        c::SYS_sched_yield,
        c::SYS_nanosleep,
        c::SYS_clock_nanosleep,
        c::SYS_clock_gettime,
        c::SYS_clock_getres,
        c::SYS_gettimeofday,
        c::SYS_getrandom,
        c::SYS_getpid,
        c::SYS_gettid,
        c::SYS_exit,
        c::SYS_exit_group,
        c::SYS_set_robust_list,
        c::SYS_rseq,
        c::SYS_restart_syscall,
        c::SYS_tgkill,
        c::SYS_sched_getaffinity,
        c::SYS_getcwd,
        c::SYS_ppoll,
        c::SYS_membarrier,
        c::SYS_fcntl,
    ];

    /// What granted files need besides; which files is checked before the system is asked.
    const FILES: &[i64] = &[
        c::SYS_openat,
        c::SYS_newfstatat,
        c::SYS_statx,
        c::SYS_readlinkat,
        c::SYS_getdents64,
        c::SYS_mkdirat,
        c::SYS_unlinkat,
        c::SYS_renameat2,
        c::SYS_renameat,
        c::SYS_ftruncate,
        c::SYS_pread64,
        c::SYS_pwrite64,
        c::SYS_fsync,
        c::SYS_faccessat,
    ];

    #[cfg(target_arch = "x86_64")]
    const FILES_OLD: &[i64] = &[
        c::SYS_open,
        c::SYS_poll,
        c::SYS_stat,
        c::SYS_lstat,
        c::SYS_readlink,
        c::SYS_mkdir,
        c::SYS_unlink,
        c::SYS_rmdir,
        c::SYS_rename,
        c::SYS_access,
    ];
    #[cfg(target_arch = "aarch64")]
    const FILES_OLD: &[i64] = &[];

    /// Address space besides the limit on memory: the program itself, its stack, what the allocator reserves.
    const SPACE_BYTES: u64 = 4 << 30;
    const FILES_MAX: u64 = 320;

    pub(super) fn confine(options: &Options) -> Result<(), Error> {
        let granted = &options.capabilities;
        if granted.process || !granted.connect.is_empty() || !granted.listen.is_empty() {
            return Err(Error::new(
                "a confined process has neither network nor processes; leave out net.connect, net.listen and process",
            ));
        }
        let limit = |resource: Resource, value: u64| {
            setrlimit(resource, value, value)
                .map_err(|e| Error::new(format!("cannot set the limit {}: {e}", resource.as_name())))
        };
        limit(Resource::CORE, 0)?;
        limit(Resource::NOFILE, FILES_MAX)?;
        if let Some(memory) = options.limits.memory_bytes {
            limit(Resource::AS, memory.saturating_mul(2).saturating_add(SPACE_BYTES))?;
        }
        if let Some(time) = options.limits.time {
            limit(Resource::CPU, time.as_secs().saturating_add(2))?;
        }
        let filters =
            filters(options).map_err(|e| Error::new(format!("cannot make the worker's filter: {e}")))?;
        for filter in &filters {
            seccompiler::apply_filter(filter).map_err(|e| {
                Error::new(format!("the kernel refuses the worker's filter ({e}); it needs seccomp"))
            })?;
        }
        Ok(())
    }

    fn filters(options: &Options) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for call in ALWAYS {
            rules.insert(*call, Vec::new());
        }
        let capabilities = &options.capabilities;
        let files = capabilities.trusted
            || capabilities.random
            || !capabilities.read.is_empty()
            || !capabilities.write.is_empty();
        if files {
            for call in FILES.iter().chain(FILES_OLD) {
                rules.insert(*call, Vec::new());
            }
        }
        let only = |argument: u8, operator: SeccompCmpOp, value: u64| {
            SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)?])
        };
        let thread = c::CLONE_THREAD as u64;
        rules.insert(c::SYS_clone, vec![only(0, SeccompCmpOp::MaskedEq(thread), thread)?]);
        #[allow(clippy::unnecessary_cast, reason = "the type depends on the C library")]
        rules.insert(c::SYS_ioctl, vec![only(1, SeccompCmpOp::Eq, c::TCGETS as u64)?]);
        rules.insert(c::SYS_prctl, vec![only(0, SeccompCmpOp::Eq, c::PR_SET_NAME as u64)?]);
        // Reading limits, not setting them.
        rules.insert(c::SYS_prlimit64, vec![only(2, SeccompCmpOp::Eq, 0)?]);
        // The other filter answers this one; of two refusals the later filter's would count.
        rules.insert(c::SYS_clone3, Vec::new());
        let arch = std::env::consts::ARCH.try_into()?;
        let denied = SeccompAction::Errno(c::EPERM as u32);
        let main = SeccompFilter::new(rules, denied, SeccompAction::Allow, arch)?.try_into()?;
        // Threads are started with the older call, whose flags a filter can read.
        let newer = BTreeMap::from([(c::SYS_clone3, Vec::new())]);
        let absent = SeccompAction::Errno(c::ENOSYS as u32);
        let newer = SeccompFilter::new(newer, SeccompAction::Allow, absent, arch)?.try_into()?;
        // The last one applied may not forbid applying the next.
        Ok([newer, main])
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod system {
    use super::{Error, Options};

    pub(super) fn confine(_: &Options) -> Result<(), Error> {
        Err(Error::new("workers need Linux on x86-64 or aarch64; run without --worker"))
    }
}
