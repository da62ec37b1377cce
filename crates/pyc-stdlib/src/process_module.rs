//! `_posixsubprocess` and what `posix` says of processes, behind `process`.

use std::time::Duration;

use pyc_runtime::host::{Ended, HostError, Spawn};
use pyc_runtime::{Args, Method, PyResult, Value, Vm};

use crate::support::path_text;

/// `WNOHANG`
const AT_ONCE: i64 = 1;
/// Between two looks at a process that is waited for.
const PAUSE: Duration = Duration::from_millis(2);

fn text(vm: &Vm, value: &Value) -> PyResult<String> {
    path_text(vm, value)
}

fn stream(vm: &Vm, value: &Value) -> PyResult<Option<i32>> {
    Ok(i32::try_from(vm.index(value)?).ok().filter(|n| *n >= 0))
}

/// `fork_exec` as the library's `subprocess` calls it; the program runs when this returns.
fn fork_exec(vm: &Vm, args: Args) -> PyResult {
    let [
        arguments,
        programs,
        _close,
        keep,
        folder,
        environment,
        input,
        _,
        _,
        output,
        _,
        errors,
        _,
        _,
        _,
        session,
        group,
        user @ ..,
    ] = args.all
    else {
        return Err(vm.type_error("fork_exec() takes 22 arguments"));
    };
    let refuse = |what: &str| {
        Err(vm.raise(
            &vm.exc.not_implemented_error,
            &format!("subprocess: {what} is not supported, because a process is not made by fork here"),
        ))
    };
    // The pipe for errors of the child is the only one that may be kept; it is closed in the child as all are.
    if vm.to_vec(keep)?.len() > 1 {
        return refuse("pass_fds");
    }
    if vm.truth(session)? {
        return refuse("start_new_session");
    }
    let unset = |v: &Value| v.is_none() || vm.index(v).is_ok_and(|n| n == -1);
    if !user.iter().all(unset) {
        return refuse("user, group, umask or preexec_fn");
    }
    let mut what = Spawn { group: vm.index(group)? == 0, ..Spawn::default() };
    for argument in vm.to_vec(arguments)? {
        what.arguments.push(text(vm, &argument)?);
    }
    if !folder.is_none() {
        what.folder = Some(text(vm, folder)?);
    }
    if !environment.is_none() {
        let mut all = Vec::new();
        for item in vm.to_vec(environment)? {
            let item = text(vm, &item)?;
            if let Some((name, value)) = item.split_once('=') {
                all.push((name.to_string(), value.to_string()));
            }
        }
        what.environment = Some(all);
    }
    what.streams = [stream(vm, input)?, stream(vm, output)?, stream(vm, errors)?];
    let mut last = HostError::Io(std::io::Error::from_raw_os_error(2));
    for program in vm.to_vec(programs)? {
        what.program = text(vm, &program)?;
        match vm.host.spawn(&what) {
            Ok(process) => return Ok(Value::from_i32(process)),
            Err(HostError::Io(error)) if matches!(error.raw_os_error(), Some(2 | 20)) => {
                last = HostError::Io(error);
            }
            Err(error) => {
                last = error;
                break;
            }
        }
    }
    Err(vm.host_error(last, what.arguments.first().map(String::as_str)))
}

/// `_posixsubprocess`
pub(crate) fn module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object("_posixsubprocess", &[("fork_exec", "...", fork_exec)]))
}

fn wait(vm: &Vm, args: Args) -> PyResult {
    let process = i32::try_from(vm.index(&args[0])?).unwrap_or(-1);
    let at_once = vm.index(&args[1])? & AT_ONCE != 0;
    loop {
        let ended = vm.host.ended(process).map_err(|e| vm.host_error(e, None))?;
        let status = match ended {
            Some(Ended::Exit(code)) => (code & 0xff) << 8,
            Some(Ended::Signal(signal)) => signal,
            None if at_once => return Ok(vm.tuple(vec![Value::from_i32(0), Value::from_i32(0)])),
            None => {
                vm.host.sleep(PAUSE).map_err(|e| vm.host_error(e, None))?;
                vm.check_limits()?;
                continue;
            }
        };
        return Ok(vm.tuple(vec![Value::from_i32(process), Value::from_i32(status)]));
    }
}

/// The functions of `posix` that concern processes.
pub(crate) const FUNCTIONS: &[Method] = &[
    ("pipe", "", |vm, _| {
        let (read, write) = vm.host.pipe().map_err(|e| vm.host_error(e, None))?;
        Ok(vm.tuple(vec![Value::from_i32(read), Value::from_i32(write)]))
    }),
    ("waitpid", "pid options /", wait),
    ("waitstatus_to_exitcode", "status", |vm, args| {
        let status = vm.index(&args[0])?;
        Ok(vm.int(if status & 0x7f == 0 { status >> 8 & 0xff } else { -(status & 0x7f) }))
    }),
    // A program may signal itself and the processes that it has started.
    ("kill", "pid signal /", |vm, args| {
        let process = vm.index(&args[0])?;
        if process != 1 {
            let (process, signal) = (i32::try_from(process).unwrap_or(-1), vm.index(&args[1])? as i32);
            vm.host.signal(process, signal).map_err(|e| vm.host_error(e, None))?;
            return Ok(Value::NONE);
        }
        let raise = vm.get_attr_str(&vm.import("_signal")?, "raise_signal")?;
        vm.call_pos(&raise, &args.all[1..2])
    }),
];
