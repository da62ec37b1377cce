//! `_net`: TCP sockets for the library's `_socket` and `select`, which are Python over this.
//!
//! The host's sockets never block. What blocks in Python waits here in short turns, so that limits are seen.

use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use pyc_runtime::host::{HostError, SocketOption};
use pyc_runtime::{Args, Method, PyResult, Raised, Value, Vm};

/// How long one turn of waiting takes at most.
const TURN: Duration = Duration::from_millis(50);
const READ: u16 = 1;
const WRITE: u16 = 4;

const AGAIN: i32 = 11;
const IN_PROGRESS: i32 = 115;

fn failed(vm: &Vm, error: HostError) -> Raised {
    vm.host_error(error, None)
}

fn number(vm: &Vm, code: i32) -> Raised {
    failed(vm, HostError::Io(std::io::Error::from_raw_os_error(code)))
}

fn handle(vm: &Vm, value: &Value) -> PyResult<i32> {
    i32::try_from(vm.index(value)?).map_err(|_| vm.overflow_error("fd is greater than maximum"))
}

fn text(vm: &Vm, value: &Value) -> PyResult<String> {
    vm.str_text(value)
}

fn address(vm: &Vm, host: &Value, port: &Value) -> PyResult<SocketAddr> {
    let ip: IpAddr = text(vm, host)?
        .parse()
        .map_err(|_| vm.os_error(&vm.exc.os_error, 22, "illegal IP address string", None))?;
    let port =
        u16::try_from(vm.index(port)?).map_err(|_| vm.overflow_error("connect(): port must be 0-65535."))?;
    Ok(SocketAddr::new(ip, port))
}

fn shown(vm: &Vm, address: SocketAddr) -> Value {
    vm.tuple(vec![vm.str(&address.ip().to_string()), Value::from_i32(i32::from(address.port()))])
}

fn option(vm: &Vm, name: &Value) -> PyResult<SocketOption> {
    Ok(match text(vm, name)?.as_str() {
        "nodelay" => SocketOption::NoDelay,
        "keepalive" => SocketOption::KeepAlive,
        "reuseaddr" => SocketOption::ReuseAddress,
        "sndbuf" => SocketOption::SendBuffer,
        "rcvbuf" => SocketOption::ReceiveBuffer,
        // The system's word for it.
        _ => return Err(number(vm, 92)),
    })
}

fn size(vm: &Vm, value: &Value) -> PyResult<usize> {
    usize::try_from(vm.index(value)?).map_err(|_| number(vm, 22))
}

/// Options as a dict of names.
fn options(vm: &Vm, value: &Value) -> PyResult<Vec<(SocketOption, usize)>> {
    let mut all = Vec::new();
    for pair in vm.to_vec(value)? {
        let pair = vm.to_vec(&pair)?;
        if let [name, value] = &pair[..] {
            all.push((option(vm, name)?, size(vm, value)?));
        }
    }
    Ok(all)
}

/// Seconds or None; the moment when waiting ends.
fn deadline(vm: &Vm, seconds: &Value) -> PyResult<Option<Instant>> {
    if seconds.is_none() {
        return Ok(None);
    }
    let seconds = vm.to_f64(seconds)?.clamp(0.0, 1e9);
    Ok(Some(Instant::now() + Duration::from_secs_f64(seconds)))
}

/// Waits until something is ready; false when the time is over.
fn wait(vm: &Vm, handles: &[(i32, u16)], until: Option<Instant>) -> PyResult<Option<Vec<u16>>> {
    loop {
        let now = Instant::now();
        let turn = until.map_or(TURN, |u| u.saturating_duration_since(now).min(TURN));
        let events = vm.host.wait(handles, turn).map_err(|e| failed(vm, e))?;
        if events.iter().any(|e| *e != 0) {
            return Ok(Some(events));
        }
        vm.check_limits()?;
        if until.is_some_and(|u| u <= Instant::now()) {
            return Ok(None);
        }
    }
}

/// Tries an operation until it does not have to wait; a time limit of 0 tries once.
fn patient<T>(
    vm: &Vm,
    handle: i32,
    event: u16,
    seconds: &Value,
    mut f: impl FnMut() -> Result<T, HostError>,
) -> PyResult<T> {
    let at_once = !seconds.is_none() && vm.to_f64(seconds)? == 0.0;
    let until = deadline(vm, seconds)?;
    loop {
        match f() {
            Err(HostError::Io(error)) if error.raw_os_error() == Some(AGAIN) && !at_once => {}
            other => return other.map_err(|e| failed(vm, e)),
        }
        if wait(vm, &[(handle, event)], until)?.is_none() {
            return Err(vm.raise(&vm.exc.timeout_error, "timed out"));
        }
    }
}

fn connect(vm: &Vm, args: Args) -> PyResult {
    let to = address(vm, &args[0], &args[1])?;
    let options = options(vm, &args[3])?;
    let made = vm.host.connect(to, &options).map_err(|e| failed(vm, e))?;
    let at_once = !args[2].is_none() && vm.to_f64(&args[2])? == 0.0;
    let close = |raised: Raised| {
        let _ = vm.host.close(made);
        raised
    };
    let ready = wait(vm, &[(made, WRITE)], deadline(vm, &args[2])?).map_err(close)?;
    let code = match ready {
        Some(_) => vm.host.socket_error(made).map_err(|e| close(failed(vm, e)))?,
        None if at_once => IN_PROGRESS,
        None => return Err(close(vm.raise(&vm.exc.timeout_error, "timed out"))),
    };
    if code != 0 && code != IN_PROGRESS {
        return Err(close(number(vm, code)));
    }
    Ok(vm.tuple(vec![Value::from_i32(made), Value::from_bool(code == 0)]))
}

const FUNCTIONS: &[Method] = &[
    ("resolve", "host /", |vm, args| {
        let name = text(vm, &args[0])?;
        let found = vm.host.resolve(&name).map_err(|e| failed(vm, e))?;
        Ok(vm.list(found.iter().map(|a| vm.str(&a.to_string())).collect()))
    }),
    ("connect", "ip port timeout options /", connect),
    ("bind", "ip port options /", |vm, args| {
        let at = address(vm, &args[0], &args[1])?;
        Ok(Value::from_i32(vm.host.bind(at, &options(vm, &args[2])?).map_err(|e| failed(vm, e))?))
    }),
    ("listen", "handle backlog /", |vm, args| {
        let backlog = vm.index(&args[1])?.clamp(0, 4096) as i32;
        vm.host.listen(handle(vm, &args[0])?, backlog).map_err(|e| failed(vm, e))?;
        Ok(Value::NONE)
    }),
    ("accept", "handle timeout /", |vm, args| {
        let listener = handle(vm, &args[0])?;
        let (made, from) = patient(vm, listener, READ, &args[1], || vm.host.accept(listener))?;
        Ok(vm.tuple(vec![Value::from_i32(made), shown(vm, from)]))
    }),
    ("send", "handle data timeout /", |vm, args| {
        let (socket, bytes) = (handle(vm, &args[0])?, vm.bytes_of(&args[1])?);
        Ok(Value::from_len(patient(vm, socket, WRITE, &args[2], || vm.host.send(socket, &bytes))?))
    }),
    ("receive", "handle limit peek timeout /", |vm, args| {
        let (socket, limit, peek) = (handle(vm, &args[0])?, size(vm, &args[1])?, vm.truth(&args[2])?);
        let bytes = patient(vm, socket, READ, &args[3], || vm.host.receive(socket, limit, peek))?;
        Ok(vm.bytes(&bytes))
    }),
    ("shutdown", "handle how /", |vm, args| {
        let how = match vm.index(&args[1])? {
            0 => Shutdown::Read,
            1 => Shutdown::Write,
            2 => Shutdown::Both,
            _ => return Err(number(vm, 22)),
        };
        vm.host.shutdown(handle(vm, &args[0])?, how).map_err(|e| failed(vm, e))?;
        Ok(Value::NONE)
    }),
    ("address", "handle peer /", |vm, args| {
        let peer = vm.truth(&args[1])?;
        Ok(shown(vm, vm.host.socket_address(handle(vm, &args[0])?, peer).map_err(|e| failed(vm, e))?))
    }),
    ("error", "handle /", |vm, args| {
        Ok(Value::from_i32(vm.host.socket_error(handle(vm, &args[0])?).map_err(|e| failed(vm, e))?))
    }),
    ("set_option", "handle name value /", |vm, args| {
        let (option, value) = (option(vm, &args[1])?, size(vm, &args[2])?);
        vm.host.set_option(handle(vm, &args[0])?, option, value).map_err(|e| failed(vm, e))?;
        Ok(Value::NONE)
    }),
    ("close", "handle /", |vm, args| {
        vm.host.close(handle(vm, &args[0])?).map_err(|e| failed(vm, e))?;
        Ok(Value::NONE)
    }),
    ("wait", "handles timeout /", |vm, args| {
        let mut handles = Vec::new();
        for pair in vm.to_vec(&args[0])? {
            let pair = vm.to_vec(&pair)?;
            if let [which, mask] = &pair[..] {
                handles.push((handle(vm, which)?, vm.index(mask)? as u16));
            }
        }
        let events = wait(vm, &handles, deadline(vm, &args[1])?)?.unwrap_or_default();
        let ready = handles.iter().zip(events).filter(|(_, events)| *events != 0);
        Ok(vm.list(
            ready
                .map(|((which, _), events)| {
                    vm.tuple(vec![Value::from_i32(*which), Value::from_i32(i32::from(events))])
                })
                .collect(),
        ))
    }),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object("_net", FUNCTIONS))
}

/// Waits until a handle can be read, in turns, so that a pipe that nobody writes to does not outlast a limit.
pub(crate) fn readable(vm: &Vm, handle: i32) -> PyResult<()> {
    if handle > 2 && vm.limits.time.is_some() {
        wait(vm, &[(handle, READ)], None)?;
    }
    Ok(())
}
