//! A program of a stage: started in its own process group, watched, and ended with everything it started.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};

/// How often a running program's log, time and the flow's interruption are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Where a program puts temporary files; also what it is known by after its flow was killed.
pub(crate) const TEMPORARY: &str = "TMPDIR";
const TAIL_BYTES: u64 = 2_000;
const TAIL_LINES: usize = 20;

/// What to start, and within which limits.
pub(crate) struct Spec<'a> {
    pub program: &'a str,
    pub arguments: &'a [String],
    pub folder: &'a Path,
    pub environment: &'a BTreeMap<String, String>,
    /// Takes both what it prints and its errors.
    pub log: &'a Path,
    pub log_bytes_max: u64,
    pub timeout: Option<Duration>,
    /// Between the polite and the final end.
    pub grace: Duration,
    pub stop: &'a AtomicBool,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    /// Its own fault, in words, with the end of its log.
    Failure(String),
    /// The flow was interrupted.
    Interrupted,
}

/// Runs a program to its end. `started` gets the process id as soon as there is one.
///
/// # Errors
/// `Stage` when it cannot be started, `Io` when its log cannot be written; what `started` returns.
pub(crate) fn run(spec: &Spec<'_>, started: impl FnOnce(u32) -> Result<()>) -> Result<Ending> {
    let io = |e: &std::io::Error| Error::io("write the log", spec.log, e);
    let log = OpenOptions::new().append(true).create(true).open(spec.log).map_err(|e| io(&e))?;
    let mut command = Command::new(spec.program);
    command
        .args(spec.arguments)
        .current_dir(spec.folder)
        .env_clear()
        .envs(spec.environment)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|e| io(&e))?)
        .stderr(log);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = spawn(&mut command).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; is it installed, in PATH, or (as a path) among the inputs?",
            std::io::ErrorKind::PermissionDenied => {
                "; is it executable, and may the folders of PATH be read?"
            }
            _ => "",
        };
        Error::stage(format!("cannot start {:?}: {error}{hint}", spec.program))
    })?;
    let pid = child.id();
    let group = Group(pid);
    if let Err(error) = started(pid) {
        group.kill();
        let _ = child.wait();
        return Err(error);
    }
    watch(spec, child, &group)
}

/// Starts a program. One that has just been written may still be open for writing in a process that another thread is
/// starting at this moment; that passes.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..100 {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::sleep(LOOK),
            other => return other,
        }
    }
    command.spawn()
}

fn watch(spec: &Spec<'_>, child: Child, group: &Group) -> Result<Ending> {
    let began = Instant::now();
    let (send, receive) = mpsc::channel();
    std::thread::Builder::new()
        .name("flow-wait".to_string())
        .spawn(move || {
            // The receiver is gone only when the flow gave up on the program.
            let _ = send.send(wait(child));
        })
        .map_err(|error| Error::stage(format!("cannot start a thread that waits: {error}")))?;
    loop {
        match receive.recv_timeout(LOOK) {
            Ok(status) => return judge(spec, status),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::stage("the thread that waits has ended"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let too_long = spec.timeout.is_some_and(|limit| began.elapsed() >= limit);
        let log_bytes = std::fs::metadata(spec.log).map_or(0, |metadata| metadata.len());
        let ending = if spec.stop.load(Ordering::Relaxed) {
            Ending::Interrupted
        } else if too_long {
            let limit = spec.timeout.unwrap_or_default();
            Ending::Failure(format!("ended after its timeout of {} s{}", limit.as_secs_f64(), tail(spec.log)))
        } else if log_bytes > spec.log_bytes_max {
            let limit = mynah_base::units::bytes(spec.log_bytes_max);
            Ending::Failure(format!("ended because its log is larger than {limit}{}", tail(spec.log)))
        } else {
            continue;
        };
        group.terminate();
        if receive.recv_timeout(spec.grace).is_err() {
            group.kill();
            // A killed process ends unless the kernel holds it; then nobody can do more.
            let _ = receive.recv_timeout(Duration::from_secs(10));
        }
        return Ok(ending);
    }
}

fn judge(spec: &Spec<'_>, status: std::io::Result<ExitStatus>) -> Result<Ending> {
    let status =
        status.map_err(|error| Error::stage(format!("cannot wait for {:?}: {error}", spec.program)))?;
    if status.success() {
        return Ok(Ending::Success);
    }
    // An interruption from the terminal may reach the program before us.
    if spec.stop.load(Ordering::Relaxed) {
        return Ok(Ending::Interrupted);
    }
    let what = match status.code() {
        Some(code) => format!("{:?} ended with code {code}", spec.program),
        None => format!("{:?} was ended by a signal ({status})", spec.program),
    };
    Ok(Ending::Failure(what + &tail(spec.log)))
}

/// Waits for the process; then ends what it left running, as long as its id is still its own.
fn wait(mut child: Child) -> std::io::Result<ExitStatus> {
    #[cfg(all(unix, not(target_os = "openbsd")))]
    {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        if let Some(pid) = Pid::from_raw(child.id() as i32) {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == rustix::io::Errno::INTR) {}
            Group(child.id()).kill();
        }
    }
    child.wait()
}

/// A process group, by its leader.
struct Group(u32);

impl Group {
    fn terminate(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
    }

    fn kill(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(pid) =
            i32::try_from(self.0).ok().filter(|pid| *pid > 1).and_then(rustix::process::Pid::from_raw)
        {
            // An empty group is what is wanted.
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }
}

/// Ends the programs that a killed flow left running: those whose folder for temporary files lies in its scratch
/// folder. Gives the names of the folders in there that they worked in. Where the system has no `/proc` it finds none.
pub(crate) fn end_left_behind(scratch: &Path) -> Vec<String> {
    let mut folders = Vec::new();
    let prefix = format!("{TEMPORARY}={}/", scratch.display()).into_bytes();
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let mut found = false;
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            // Those of other users cannot be read, and those that have ended have none.
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let Some(rest) =
                environment.split(|byte| *byte == 0).find_map(|pair| pair.strip_prefix(&prefix[..]))
            else {
                continue;
            };
            found = true;
            end_process(pid);
            let folder =
                String::from_utf8_lossy(rest.split(|byte| *byte == b'/').next().unwrap_or(rest)).into_owned();
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        // A process that is being ended still writes for a moment, and may just have started another.
        if !found || Instant::now() >= until {
            return folders;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn end_process(pid: i32) {
    #[cfg(unix)]
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = pid;
}

/// The end of a log, to be put behind a message.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let size_bytes = file.metadata()?.len();
        file.seek(SeekFrom::Start(size_bytes.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // What is cut begins somewhere in a line.
        let whole =
            if size_bytes > TAIL_BYTES { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        let lines: Vec<&str> = whole.trim_end().lines().collect();
        let lines = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        let visible = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
        Ok(lines
            .iter()
            .map(|line| format!("\n    {}", line.chars().map(visible).collect::<String>()))
            .collect())
    };
    match read() {
        Ok(lines) if !lines.is_empty() => format!("; the end of {}:{lines}", log.display()),
        _ => "; it printed nothing".to_string(),
    }
}

/// The error of a stage that was interrupted.
pub(crate) fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "the flow was interrupted; run it again to go on")
}
