//! The abstract classes.

use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::{Args, PyResult, Raised, Value, Vm};

use super::{Types, unsupported};
use crate::support::{buffer_len, fill_buffer, size_argument};

const CLOSED: &str = "__IOBase_closed";

/// Whether a stream says that it is closed.
pub(super) fn is_closed(vm: &Vm, this: &Value) -> PyResult<bool> {
    let closed = vm.get_attr_str(this, "closed")?;
    vm.truth(&closed)
}

pub(super) fn closed_error(vm: &Vm) -> Raised {
    vm.value_error("I/O operation on closed file.")
}

fn check_open(vm: &Vm, this: &Value) -> PyResult<()> {
    if is_closed(vm, this)? { Err(closed_error(vm)) } else { Ok(()) }
}

/// Raises unless a stream's method (`readable`, ...) answers yes.
pub(super) fn check_can(vm: &Vm, this: &Value, what: &str) -> PyResult<()> {
    let answer = vm.call_method_str(this, what, &[])?;
    if vm.truth(&answer)? {
        Ok(())
    } else {
        let word = match what {
            "readable" => "read",
            "writable" => "write",
            _ => "seek",
        };
        Err(unsupported(vm, &format!("File or stream is not {word}able.").replace("writeable", "writable")))
    }
}

/// `readline` in terms of `peek` and `read`.
fn read_line(vm: &Vm, args: Args) -> PyResult {
    let this = &args[0];
    let limit = size_argument(vm, args.opt(1))?.unwrap_or(usize::MAX);
    let peek = vm.find_attr(this, &vm.intern("peek"))?;
    let mut line: Vec<u8> = Vec::new();
    while line.len() < limit {
        let mut want = 1;
        if let Some(peek) = &peek {
            let ahead = vm.call_pos(peek, &[Value::from_i32(1)])?;
            let ahead = vm.bytes_of(&ahead)?;
            if !ahead.is_empty() {
                want = ahead.iter().position(|b| *b == b'\n').map_or(ahead.len(), |at| at + 1);
                want = want.min(limit - line.len());
            }
        }
        let got = vm.call_method(this, &vm.names.read, &[Value::from_len(want)])?;
        if got.is_none() {
            break;
        }
        if got.kind() != pyc_runtime::Kind::Bytes {
            return Err(vm.raise(
                &vm.exc.os_error,
                &format!("read() should have returned a bytes object, not '{}'", vm.type_name(&got)),
            ));
        }
        let got = vm.bytes_of(&got)?;
        line.extend_from_slice(&got);
        if got.is_empty() || line.ends_with(b"\n") {
            break;
        }
    }
    Ok(vm.bytes(&line))
}

/// The next line of any stream; nothing at the end.
pub(super) fn next_line(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let line = vm.call_method(this, &vm.names.readline, &[])?;
    Ok(if vm.len(&line)? == 0 { None } else { Some(line) })
}

fn next_checked(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    next_line(vm, this)
}

pub(super) fn read_lines(vm: &Vm, args: Args) -> PyResult {
    let hint = size_argument(vm, args.opt(1))?.filter(|n| *n > 0);
    let mut lines = Vec::new();
    let mut total = 0;
    while let Some(line) = vm.next(&args[0])? {
        total += vm.len(&line)?;
        lines.push(line);
        if hint.is_some_and(|h| total >= h) {
            break;
        }
    }
    Ok(vm.list(lines))
}

fn close(vm: &Vm, args: Args) -> PyResult {
    let key = vm.intern(CLOSED);
    if vm.own_attr(&args[0], &key).is_none() {
        let flushed = vm.call_method(&args[0], &vm.names.flush, &[]);
        vm.set_attr_raw(&args[0], &key, Value::TRUE);
        flushed?;
    }
    Ok(Value::NONE)
}

fn raw_read(vm: &Vm, args: Args) -> PyResult {
    let Some(size) = size_argument(vm, args.opt(1))? else {
        return vm.call_method_str(&args[0], "readall", &[]);
    };
    vm.check_alloc(size, 1)?;
    let buffer = vm.call_pos(&vm.types.bytearray, &[Value::from_len(size)])?;
    let n = vm.call_method_str(&args[0], "readinto", std::slice::from_ref(&buffer))?;
    if n.is_none() {
        return Ok(n);
    }
    let n = vm.index(&n)?;
    let bytes = vm.bytes_of(&buffer)?;
    match usize::try_from(n).ok().and_then(|n| bytes.get(..n)) {
        Some(part) => Ok(vm.bytes(part)),
        None => Err(vm.value_error(format!("readinto returned {n} outside buffer size {size}"))),
    }
}

fn read_all(vm: &Vm, args: Args) -> PyResult {
    let mut all = Vec::new();
    loop {
        let part = vm.call_method(&args[0], &vm.names.read, &[Value::from_len(super::BUFFER_BYTES)])?;
        if part.is_none() && all.is_empty() {
            return Ok(part);
        }
        let part = if part.is_none() { Vec::new() } else { vm.bytes_of(&part)? };
        if part.is_empty() {
            return Ok(vm.bytes(&all));
        }
        vm.check_alloc(all.len() + part.len(), 1)?;
        all.extend(part);
    }
}

fn read_into(vm: &Vm, args: Args, method: &str) -> PyResult {
    let size = buffer_len(vm, &args[1])?;
    let part = vm.call_method_str(&args[0], method, &[Value::from_len(size)])?;
    let bytes = vm.bytes_of(&part)?;
    if bytes.len() > size {
        return Err(vm.value_error(format!(
            "read() returned too much data: {size} bytes requested, {} returned",
            bytes.len()
        )));
    }
    Ok(Value::from_len(fill_buffer(vm, &args[1], &bytes)?))
}

pub(super) fn init(vm: &Vm, t: &Types) {
    vm.add_methods(
        &t.base,
        &[
            ("__new__", "...", |_, args| {
                Ok(pyc_runtime::new_object(&args.all[0], pyc_runtime::registry::Plain))
            }),
            ("__init__", "...", |_, _| Ok(Value::NONE)),
            ("__del__", "", |vm, args| {
                let closed = is_closed(vm, &args[0]);
                if let Ok(false) = closed {
                    let _ = vm.call_method(&args[0], &vm.names.close, &[]);
                }
                Ok(Value::NONE)
            }),
            ("close", "", close),
            ("flush", "", |vm, args| {
                check_open(vm, &args[0])?;
                Ok(Value::NONE)
            }),
            ("__enter__", "", |vm, args| {
                check_open(vm, &args[0])?;
                Ok(args[0].clone())
            }),
            ("__exit__", "...", |vm, args| vm.call_method(&args.all[0], &vm.names.close, &[])),
            ("seek", "...", |vm, _| Err(unsupported(vm, "seek"))),
            ("tell", "", |vm, args| {
                vm.call_method_str(&args[0], "seek", &[Value::from_i32(0), Value::from_i32(1)])
            }),
            ("truncate", "size? /", |vm, _| Err(unsupported(vm, "truncate"))),
            ("fileno", "", |vm, _| Err(unsupported(vm, "fileno"))),
            ("isatty", "", |vm, args| {
                check_open(vm, &args[0])?;
                Ok(Value::FALSE)
            }),
            ("readable", "", |_, _| Ok(Value::FALSE)),
            ("writable", "", |_, _| Ok(Value::FALSE)),
            ("seekable", "", |_, _| Ok(Value::FALSE)),
            ("readline", "size? /", read_line),
            ("readlines", "hint? /", read_lines),
            ("writelines", "lines /", |vm, args| {
                check_open(vm, &args[0])?;
                let iterator = vm.iter(&args[1])?;
                while let Some(line) = vm.next(&iterator)? {
                    vm.call_method(&args[0], &vm.names.write, &[line])?;
                }
                Ok(Value::NONE)
            }),
            ("_checkClosed", "msg? /", |vm, args| check_open(vm, &args[0]).map(|()| Value::NONE)),
            ("_checkReadable", "msg? /", |vm, args| {
                check_can(vm, &args[0], "readable").map(|()| Value::TRUE)
            }),
            ("_checkWritable", "msg? /", |vm, args| {
                check_can(vm, &args[0], "writable").map(|()| Value::TRUE)
            }),
            ("_checkSeekable", "msg? /", |vm, args| {
                check_can(vm, &args[0], "seekable").map(|()| Value::TRUE)
            }),
        ],
    );
    iterator_methods(vm, &t.base, next_checked);
    vm.add_methods(
        &t.base,
        &[("__iter__", "", |vm, args| {
            check_open(vm, &args[0])?;
            Ok(args[0].clone())
        })],
    );
    vm.add_getset(
        &t.base,
        "closed",
        |vm, this| Ok(Value::from_bool(vm.own_attr(this, &vm.intern(CLOSED)).is_some())),
        None,
    );
    vm.add_methods(
        &t.raw,
        &[
            ("read", "size? /", raw_read),
            ("readall", "", read_all),
            ("readinto", "buffer /", |vm, _| Err(unsupported(vm, "readinto"))),
            ("write", "b /", |vm, _| Err(unsupported(vm, "write"))),
        ],
    );
    vm.add_methods(
        &t.buffered,
        &[
            ("detach", "", |vm, _| Err(unsupported(vm, "detach"))),
            ("read", "size? /", |vm, _| Err(unsupported(vm, "read"))),
            ("read1", "size? /", |vm, _| Err(unsupported(vm, "read1"))),
            ("write", "b /", |vm, _| Err(unsupported(vm, "write"))),
            ("readinto", "buffer /", |vm, args| read_into(vm, args, "read")),
            ("readinto1", "buffer /", |vm, args| read_into(vm, args, "read1")),
        ],
    );
    vm.add_methods(
        &t.text,
        &[
            ("detach", "", |vm, _| Err(unsupported(vm, "detach"))),
            ("read", "size? /", |vm, _| Err(unsupported(vm, "read"))),
            ("readline", "size? /", |vm, _| Err(unsupported(vm, "readline"))),
            ("write", "s /", |vm, _| Err(unsupported(vm, "write"))),
        ],
    );
    for name in ["encoding", "newlines", "errors"] {
        vm.add_getset(&t.text, name, |_, _| Ok(Value::NONE), None);
    }
}
