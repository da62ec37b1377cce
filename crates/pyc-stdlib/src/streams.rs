//! `sys.stdin`, `sys.stdout` and `sys.stderr` as text streams over the host.

use std::cell::{Cell, RefCell};

use pyc_runtime::str::Str;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

/// A standard stream.
pub(crate) struct Stream {
    handle: i32,
    buffer: RefCell<Vec<u8>>,
    /// Flushed at each line's end.
    by_line: Cell<bool>,
    /// Flushed at each write.
    at_once: Cell<bool>,
    /// What becomes of text that cannot be encoded.
    errors: RefCell<String>,
    at_end: Cell<bool>,
}
impl Payload for Stream {}

const BUFFER_BYTES: usize = 8 << 10;

fn own(value: &Value) -> &Stream {
    value.get::<Stream>().expect("the descriptor checked the type")
}

fn flush(vm: &Vm, stream: &Stream) -> PyResult<()> {
    let bytes = stream.buffer.take();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match vm.host.write(stream.handle, rest) {
            Ok(0) => break,
            Ok(n) => rest = &rest[n.min(rest.len())..],
            Err(error) => return Err(vm.host_error(error, None)),
        }
    }
    Ok(())
}

fn write(vm: &Vm, args: Args) -> PyResult {
    let stream = own(&args[0]);
    let Some(text) = args[1].get::<Str>() else {
        return Err(vm.type_error(format!("write() argument must be str, not {}", vm.type_name(&args[1]))));
    };
    let errors = stream.errors.borrow().clone();
    let bytes = vm.encode(&args[1], "utf-8", &errors)?;
    vm.check_output(bytes.len())?;
    let line = stream.by_line.get() && bytes.contains(&b'\n');
    stream.buffer.borrow_mut().extend(bytes);
    if line || stream.at_once.get() || stream.buffer.borrow().len() >= BUFFER_BYTES {
        flush(vm, stream)?;
    }
    Ok(Value::from_len(text.len()))
}

/// Fills the buffer of an input stream; false at the end.
fn fill(vm: &Vm, stream: &Stream) -> PyResult<bool> {
    if stream.at_end.get() {
        return Ok(false);
    }
    match vm.host.read(stream.handle, BUFFER_BYTES) {
        Ok(bytes) => {
            stream.at_end.set(bytes.is_empty());
            stream.buffer.borrow_mut().extend(&bytes);
            Ok(!bytes.is_empty())
        }
        Err(error) => Err(vm.host_error(error, None)),
    }
}

fn read_line(vm: &Vm, stream: &Stream) -> PyResult {
    loop {
        let found = stream.buffer.borrow().iter().position(|b| *b == b'\n');
        if let Some(at) = found {
            let line: Vec<u8> = stream.buffer.borrow_mut().drain(..=at).collect();
            return vm.decode(&line, "utf-8", "strict");
        }
        if !fill(vm, stream)? {
            let rest = stream.buffer.take();
            return vm.decode(&rest, "utf-8", "strict");
        }
    }
}

fn read(vm: &Vm, args: Args) -> PyResult {
    let stream = own(&args[0]);
    while fill(vm, stream)? {}
    let all = stream.buffer.take();
    vm.decode(&all, "utf-8", "strict")
}

fn next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let line = read_line(vm, own(value))?;
    Ok(if line.get::<Str>().is_some_and(Str::is_empty) { None } else { Some(line) })
}

/// The standard streams are UTF-8 and end lines with a line feed; the rest can be chosen.
fn reconfigure(vm: &Vm, args: Args) -> PyResult {
    let stream = own(&args[0]);
    let given = |at: usize| args.opt(at).filter(|v| !v.is_none());
    let refuse = |what: &str| crate::io::unsupported(vm, what);
    if let Some(encoding) = given(1) {
        let name = vm.expect_str(encoding, "reconfigure() argument 'encoding'")?.to_lossy().to_lowercase();
        if !matches!(name.replace('_', "-").as_str(), "utf-8" | "utf8") {
            return Err(refuse(&format!("the standard streams are UTF-8; '{name}' is not supported")));
        }
    }
    if let Some(newline) = given(3)
        && !matches!(
            vm.expect_str(newline, "reconfigure() argument 'newline'")?.to_lossy().as_str(),
            "" | "\n"
        )
    {
        return Err(refuse("the standard streams end lines with a line feed only"));
    }
    if let Some(errors) = given(2) {
        let name = vm.expect_str(errors, "reconfigure() argument 'errors'")?.to_lossy();
        stream.errors.replace(name);
    } else if given(1).is_some() {
        stream.errors.replace("strict".into());
    }
    flush(vm, stream)?;
    if let Some(by_line) = given(4) {
        stream.by_line.set(vm.truth(by_line)?);
    }
    if let Some(at_once) = given(5) {
        stream.at_once.set(vm.truth(at_once)?);
    }
    Ok(Value::NONE)
}

/// Makes a standard stream.
pub(crate) fn make(vm: &Vm, handle: i32) -> Value {
    let ty = vm.state("standard_stream", || {
        let ty = vm.new_type::<Stream>("_io", "TextIOWrapper", None, flag::IDENTITY);
        vm.add_methods(
            &ty,
            &[
                ("write", "s /", write),
                ("writelines", "lines /", |vm, args| {
                    for line in vm.to_vec(&args[1])? {
                        write(vm, Args::pos(&[args[0].clone(), line]))?;
                    }
                    Ok(Value::NONE)
                }),
                ("flush", "", |vm, args| flush(vm, own(&args[0])).map(|()| Value::NONE)),
                ("readline", "size? /", |vm, args| read_line(vm, own(&args[0]))),
                ("read", "size? /", read),
                ("readlines", "hint? /", |vm, args| {
                    let mut lines = Vec::new();
                    while let Some(line) = next(vm, &args[0])? {
                        lines.push(line);
                    }
                    Ok(vm.list(lines))
                }),
                ("isatty", "", |vm, args| Ok(Value::from_bool(vm.host.is_terminal(own(&args[0]).handle)))),
                ("fileno", "", |_, args| Ok(Value::from_i32(own(&args[0]).handle))),
                ("readable", "", |_, args| Ok(Value::from_bool(own(&args[0]).handle == 0))),
                ("writable", "", |_, args| Ok(Value::from_bool(own(&args[0]).handle != 0))),
                ("seekable", "", |_, _| Ok(Value::FALSE)),
                ("close", "", |_, _| Ok(Value::NONE)),
                ("__enter__", "", |_, args| Ok(args[0].clone())),
                ("__exit__", "...", |_, _| Ok(Value::NONE)),
                ("reconfigure", "* encoding? errors? newline? line_buffering? write_through?", reconfigure),
            ],
        );
        pyc_runtime::iterators::iterator_methods(vm, &ty, next);
        vm.add_getset(&ty, "encoding", |vm, _| Ok(vm.str("utf-8")), None);
        vm.add_getset(&ty, "errors", |vm, this| Ok(vm.str(&own(this).errors.borrow())), None);
        vm.add_getset(&ty, "closed", |_, _| Ok(Value::FALSE), None);
        vm.add_getset(&ty, "newlines", |_, _| Ok(Value::NONE), None);
        vm.add_getset(&ty, "line_buffering", |_, this| Ok(Value::from_bool(own(this).by_line.get())), None);
        vm.add_getset(&ty, "write_through", |_, this| Ok(Value::from_bool(own(this).at_once.get())), None);
        vm.add_getset(
            &ty,
            "name",
            |vm, this| Ok(vm.str(["<stdin>", "<stdout>", "<stderr>"][own(this).handle as usize])),
            None,
        );
        vm.add_getset(
            &ty,
            "mode",
            |vm, this| Ok(vm.str(if own(this).handle == 0 { "r" } else { "w" })),
            None,
        );
        ty
    });
    let by_line = handle == 2 || vm.host.is_terminal(handle);
    new_object(
        &ty,
        Stream {
            handle,
            buffer: RefCell::default(),
            by_line: Cell::new(by_line),
            at_once: Cell::new(false),
            errors: RefCell::new(if handle == 2 { "backslashreplace" } else { "strict" }.into()),
            at_end: Cell::new(false),
        },
    )
}

/// Writes out what the standard streams hold.
pub fn flush_standard(vm: &Vm) {
    let sys = vm.sys.borrow().clone();
    for name in [&vm.names.stdout, &vm.names.stderr] {
        if let Some(stream) = vm.dict_get_name(&sys, name) {
            match stream.get::<Stream>() {
                Some(data) => drop(flush(vm, data)),
                None if !stream.is_none() => drop(vm.call_method(&stream, &vm.names.flush, &[])),
                None => {}
            }
        }
    }
    let originals = vm.state("standard_originals", || RefCell::new(Vec::<Value>::new()));
    for stream in originals.borrow().iter() {
        if let Some(data) = stream.get::<Stream>() {
            drop(flush(vm, data));
        }
    }
}
