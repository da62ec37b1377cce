//! Processes that a program starts, behind `process`. They end with the program, however it ends.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};

use pyc_runtime::host::{Ended, Spawn};

/// The processes that run, by their numbers.
#[derive(Default)]
pub(crate) struct Processes(HashMap<i32, Child>);

fn missing() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::CHILD.raw_os_error())
}

/// Both ends of a pipe: the one that is read comes first.
pub(crate) fn pipe() -> io::Result<(File, File)> {
    let (read, write) = io::pipe()?;
    Ok((File::from(OwnedFd::from(read)), File::from(OwnedFd::from(write))))
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.0.values_mut() {
            // One that has ended by itself needs no signal.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Processes {
    /// Starts a process; `streams` are its standard streams, nothing: this process's.
    pub fn spawn(&mut self, what: &Spawn, streams: [Option<File>; 3]) -> io::Result<i32> {
        let mut command = Command::new(&what.program);
        if let Some((name, rest)) = what.arguments.split_first() {
            command.arg0(name).args(rest);
        }
        if let Some(folder) = &what.folder {
            command.current_dir(folder);
        }
        if let Some(variables) = &what.environment {
            command.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
        }
        if what.group {
            command.process_group(0);
        }
        let [input, output, errors] = streams.map(|s| s.map_or_else(Stdio::inherit, Stdio::from));
        let child = command.stdin(input).stdout(output).stderr(errors).spawn()?;
        let process = i32::try_from(child.id()).map_err(|_| missing())?;
        self.0.insert(process, child);
        Ok(process)
    }

    pub fn ended(&mut self, process: i32) -> io::Result<Option<Ended>> {
        let child = self.0.get_mut(&process).ok_or_else(missing)?;
        let Some(status) = child.try_wait()? else { return Ok(None) };
        self.0.remove(&process);
        Ok(Some(match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Exit(code),
            (None, signal) => Ended::Signal(signal.unwrap_or(0)),
        }))
    }

    pub fn signal(&self, process: i32, signal: i32) -> io::Result<()> {
        if !self.0.contains_key(&process) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let pid = rustix::process::Pid::from_raw(process).ok_or_else(invalid)?;
        if signal == 0 {
            return Ok(rustix::process::test_kill_process(pid)?);
        }
        let signal = rustix::process::Signal::from_named_raw(signal).ok_or_else(invalid)?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }
}
