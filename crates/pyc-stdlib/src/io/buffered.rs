//! `BufferedReader`, `BufferedWriter`, `BufferedRandom`, `BufferedRWPair`.

use std::cell::{Cell, RefCell};
use std::io::SeekFrom;

use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::str::Str;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

use super::file::File;
use super::{BUFFER_BYTES, Types, unsupported};
use crate::support::{buffer_len, fill_buffer, size_argument};

/// A buffer over a raw stream.
pub(crate) struct Buffered {
    raw: RefCell<Value>,
    reads: Cell<bool>,
    writes: Cell<bool>,
    /// Read ahead; `at` is the first byte not yet given out.
    ahead: RefCell<Vec<u8>>,
    at: Cell<usize>,
    /// Not yet written.
    pending: RefCell<Vec<u8>>,
    size: Cell<usize>,
}
impl Payload for Buffered {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.raw.borrow());
    }
    fn clear(&self) {
        drop(self.raw.replace(Value::NONE));
    }
}

fn own(value: &Value) -> &Buffered {
    value.get::<Buffered>().expect("the descriptor checked the type")
}

/// The raw stream as ours, when nothing overrides it.
fn plain_file(raw: &Value) -> Option<&File> {
    if raw.is_exact() { raw.get::<File>() } else { None }
}

impl Buffered {
    fn raw(&self, vm: &Vm) -> PyResult {
        let raw = self.raw.borrow().clone();
        if raw.is_unbound() {
            return Err(vm.value_error("I/O operation on uninitialized object"));
        }
        if raw.is_none() {
            return Err(vm.value_error("raw stream has been detached"));
        }
        Ok(raw)
    }

    fn unread(&self) -> usize {
        self.ahead.borrow().len() - self.at.get()
    }

    /// Reads once from the raw stream; `None` when it would block.
    fn raw_read(&self, vm: &Vm, limit: usize) -> PyResult<Option<Vec<u8>>> {
        let raw = self.raw(vm)?;
        if let Some(file) = plain_file(&raw) {
            return file.read(vm, limit).map(Some);
        }
        let buffer = vm.call_pos(&vm.types.bytearray, &[Value::from_len(limit)])?;
        let n = vm.call_method_str(&raw, "readinto", std::slice::from_ref(&buffer))?;
        if n.is_none() {
            return Ok(None);
        }
        let n = vm.index(&n)?;
        let bytes = vm.bytes_of(&buffer)?;
        match usize::try_from(n).ok().and_then(|n| bytes.get(..n)) {
            Some(part) => Ok(Some(part.to_vec())),
            None => Err(vm.raise(
                &vm.exc.os_error,
                &format!(
                    "raw readinto() returned invalid length {n} (should have been between 0 and {limit})"
                ),
            )),
        }
    }

    /// Fills the read-ahead when it is empty; how much there is.
    fn fill(&self, vm: &Vm) -> PyResult<Option<usize>> {
        if self.unread() > 0 {
            return Ok(Some(self.unread()));
        }
        self.flush(vm)?;
        let Some(part) = self.raw_read(vm, self.size.get())? else { return Ok(None) };
        let n = part.len();
        self.ahead.replace(part);
        self.at.set(0);
        Ok(Some(n))
    }

    fn take(&self, count: usize) -> Vec<u8> {
        let ahead = self.ahead.borrow();
        let from = self.at.get();
        let to = from.saturating_add(count).min(ahead.len());
        self.at.set(to);
        ahead[from..to].to_vec()
    }

    fn read(&self, vm: &Vm, size: Option<usize>) -> PyResult {
        let mut all = self.take(size.unwrap_or(usize::MAX));
        let Some(size) = size else {
            self.flush(vm)?;
            let raw = self.raw(vm)?;
            let rest = match plain_file(&raw) {
                Some(file) => file.read_all(vm)?,
                None => {
                    let rest = vm.call_method_str(&raw, "readall", &[]);
                    match vm.catch(rest, &vm.exc.attribute_error)? {
                        Some(rest) if rest.is_none() && all.is_empty() => return Ok(rest),
                        Some(rest) if rest.is_none() => Vec::new(),
                        Some(rest) => vm.bytes_of(&rest)?,
                        None => {
                            let mut rest = Vec::new();
                            while let Some(part) = self.raw_read(vm, self.size.get())?
                                && !part.is_empty()
                            {
                                vm.check_alloc(rest.len() + part.len(), 1)?;
                                rest.extend(part);
                            }
                            rest
                        }
                    }
                }
            };
            all.extend(rest);
            return Ok(vm.bytes(&all));
        };
        vm.check_alloc(size, 1)?;
        while all.len() < size {
            match self.fill(vm)? {
                None if all.is_empty() => return Ok(Value::NONE),
                None | Some(0) => break,
                Some(_) => all.extend(self.take(size - all.len())),
            }
        }
        Ok(vm.bytes(&all))
    }

    fn line(&self, vm: &Vm, limit: usize) -> PyResult<Vec<u8>> {
        let mut line = Vec::new();
        while line.len() < limit && self.fill(vm)?.unwrap_or(0) > 0 {
            let end = {
                let ahead = self.ahead.borrow();
                ahead[self.at.get()..].iter().position(|b| *b == b'\n').map(|n| n + 1)
            };
            line.extend(self.take(end.unwrap_or(usize::MAX).min(limit - line.len())));
            vm.check_memory(line.len() as u64)?;
            if line.ends_with(b"\n") {
                break;
            }
        }
        Ok(line)
    }

    /// Writes out what is pending.
    fn flush(&self, vm: &Vm) -> PyResult<()> {
        let bytes = self.pending.take();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let raw = self.raw(vm)?;
            let written = match plain_file(&raw) {
                Some(file) => file.write(vm, rest),
                None => vm.call_method(&raw, &vm.names.write, &[vm.bytes(rest)]).and_then(|n| {
                    if n.is_none() {
                        return Err(vm.os_error(
                            &vm.os_error_type(11),
                            11,
                            "write could not complete without blocking",
                            None,
                        ));
                    }
                    let n = vm.index(&n)?;
                    usize::try_from(n)
                        .ok()
                        .filter(|n| *n <= rest.len())
                        .ok_or_else(|| vm.raise(&vm.exc.os_error, "raw write() returned invalid length"))
                }),
            };
            match written {
                Ok(n) => rest = &rest[n.min(rest.len())..],
                Err(error) => {
                    self.pending.borrow_mut().splice(0..0, rest.iter().copied());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn raw_seek(&self, vm: &Vm, to: SeekFrom) -> PyResult<u64> {
        let raw = self.raw(vm)?;
        if let Some(file) = plain_file(&raw) {
            return file.seek(vm, to);
        }
        let (offset, whence) = match to {
            SeekFrom::Start(n) => (n as i64, 0),
            SeekFrom::Current(n) => (n, 1),
            SeekFrom::End(n) => (n, 2),
        };
        let at = if whence == 1 && offset == 0 {
            vm.call_method_str(&raw, "tell", &[])?
        } else {
            vm.call_method_str(&raw, "seek", &[vm.int(offset), Value::from_i32(whence)])?
        };
        let at = vm.index(&at)?;
        u64::try_from(at)
            .map_err(|_| vm.raise(&vm.exc.os_error, &format!("Raw stream returned invalid position {at}")))
    }

    /// Forgets what was read ahead, so that the raw stream stands where the program thinks it does.
    fn rewind(&self, vm: &Vm) -> PyResult<()> {
        let unread = self.unread();
        self.ahead.take();
        self.at.set(0);
        if unread > 0 {
            self.raw_seek(vm, SeekFrom::Current(-(unread as i64)))?;
        }
        Ok(())
    }
}

fn check_open(vm: &Vm, this: &Value) -> PyResult<()> {
    let raw = own(this).raw(vm)?;
    if super::base::is_closed(vm, &raw)? { Err(super::base::closed_error(vm)) } else { Ok(()) }
}

fn init_buffer(vm: &Vm, args: Args, reads: bool, writes: bool) -> PyResult {
    let b = own(&args[0]);
    let size = args.opt(2).map_or(Ok(BUFFER_BYTES as i64), |s| vm.index(s))?;
    if size <= 0 {
        return Err(vm.value_error("buffer size must be strictly positive"));
    }
    if plain_file(&args[1]).is_none() {
        if reads {
            super::base::check_can(vm, &args[1], "readable")?;
        }
        if writes {
            super::base::check_can(vm, &args[1], "writable")?;
        }
    }
    drop(b.raw.replace(args[1].clone()));
    b.reads.set(reads);
    b.writes.set(writes);
    b.size.set((size as usize).min(1 << 24));
    b.ahead.take();
    b.at.set(0);
    b.pending.take();
    Ok(Value::NONE)
}

fn new_buffer(_: &Vm, args: Args) -> PyResult {
    Ok(new_object(
        &args.all[0],
        Buffered {
            raw: RefCell::new(Value::UNBOUND),
            reads: Cell::new(false),
            writes: Cell::new(false),
            ahead: RefCell::default(),
            at: Cell::new(0),
            pending: RefCell::default(),
            size: Cell::new(BUFFER_BYTES),
        },
    ))
}

fn next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    if !value.is_exact() {
        return super::base::next_line(vm, value);
    }
    check_open(vm, value)?;
    let line = own(value).line(vm, usize::MAX)?;
    Ok(if line.is_empty() { None } else { Some(vm.bytes(&line)) })
}

fn close(vm: &Vm, args: Args) -> PyResult {
    let b = own(&args[0]);
    let raw = b.raw.borrow().clone();
    if !raw.is_object() || super::base::is_closed(vm, &raw)? {
        return Ok(Value::NONE);
    }
    let flushed = vm.call_method(&args[0], &vm.names.flush, &[]);
    let closed = vm.call_method(&raw, &vm.names.close, &[]);
    flushed?;
    closed
}

fn seek(vm: &Vm, args: Args) -> PyResult {
    check_open(vm, &args[0])?;
    let b = own(&args[0]);
    let (offset, from) = (vm.index(&args[1])?, args.opt(2).map_or(Ok(0), |w| vm.index(w))?);
    if !(0..3).contains(&from) {
        return Err(vm.value_error(format!("whence value {from} unsupported")));
    }
    super::base::check_can(vm, &b.raw(vm)?, "seekable")?;
    b.flush(vm)?;
    if from == 1 {
        b.rewind(vm)?;
    }
    b.ahead.take();
    b.at.set(0);
    let to = super::whence(vm, offset, from)?;
    Ok(vm.uint(b.raw_seek(vm, to)?))
}

fn write(vm: &Vm, args: Args) -> PyResult {
    check_open(vm, &args[0])?;
    let b = own(&args[0]);
    if !b.writes.get() {
        return Err(unsupported(vm, "write"));
    }
    if args[1].get::<Str>().is_some() {
        return Err(vm.type_error("a bytes-like object is required, not 'str'"));
    }
    let bytes = vm.bytes_of(&args[1])?;
    b.rewind(vm)?;
    vm.check_memory(bytes.len() as u64)?;
    b.pending.borrow_mut().extend(&bytes);
    if b.pending.borrow().len() >= b.size.get() {
        b.flush(vm)?;
    }
    Ok(Value::from_len(bytes.len()))
}

fn reading<'a>(vm: &Vm, this: &'a Value, what: &str) -> PyResult<&'a Buffered> {
    check_open(vm, this)?;
    if own(this).reads.get() { Ok(own(this)) } else { Err(unsupported(vm, what)) }
}

fn read_once(vm: &Vm, b: &Buffered, size: usize) -> PyResult<Vec<u8>> {
    if size == 0 {
        return Ok(Vec::new());
    }
    b.fill(vm)?;
    Ok(b.take(size))
}

fn common(vm: &Vm, ty: &Value) {
    vm.add_methods(
        ty,
        &[
            ("__new__", "...", new_buffer),
            ("read", "size? /", |vm, args| {
                let b = reading(vm, &args[0], "read")?;
                if let Some(n) = args.opt(1)
                    && vm.is_int(n)
                    && vm.index(n)? < -1
                {
                    return Err(vm.value_error("read length must be non-negative or -1"));
                }
                b.read(vm, size_argument(vm, args.opt(1))?)
            }),
            ("read1", "size? /", |vm, args| {
                let b = reading(vm, &args[0], "read1")?;
                let size = size_argument(vm, args.opt(1))?.unwrap_or(b.size.get());
                Ok(vm.bytes(&read_once(vm, b, size)?))
            }),
            ("peek", "size? /", |vm, args| {
                let b = reading(vm, &args[0], "peek")?;
                b.fill(vm)?;
                let bytes = vm.bytes(&b.ahead.borrow()[b.at.get()..]);
                Ok(bytes)
            }),
            ("readinto", "buffer /", |vm, args| {
                let b = reading(vm, &args[0], "readinto")?;
                let size = buffer_len(vm, &args[1])?;
                let got = b.read(vm, Some(size))?;
                if got.is_none() {
                    return Ok(got);
                }
                Ok(Value::from_len(fill_buffer(vm, &args[1], &vm.bytes_of(&got)?)?))
            }),
            ("readinto1", "buffer /", |vm, args| {
                let b = reading(vm, &args[0], "readinto1")?;
                let bytes = read_once(vm, b, buffer_len(vm, &args[1])?)?;
                Ok(Value::from_len(fill_buffer(vm, &args[1], &bytes)?))
            }),
            ("readline", "size? /", |vm, args| {
                let b = reading(vm, &args[0], "readline")?;
                let limit = size_argument(vm, args.opt(1))?.unwrap_or(usize::MAX);
                Ok(vm.bytes(&b.line(vm, limit)?))
            }),
            ("write", "b /", write),
            ("flush", "", |vm, args| {
                check_open(vm, &args[0])?;
                let b = own(&args[0]);
                if b.writes.get() {
                    b.flush(vm)?;
                }
                let raw = b.raw(vm)?;
                vm.call_method(&raw, &vm.names.flush, &[])
            }),
            ("seek", "offset whence? /", seek),
            ("tell", "", |vm, args| {
                check_open(vm, &args[0])?;
                let b = own(&args[0]);
                let at = b.raw_seek(vm, SeekFrom::Current(0))?;
                let here = at as i64 - b.unread() as i64 + b.pending.borrow().len() as i64;
                Ok(vm.int(here))
            }),
            ("truncate", "size? /", |vm, args| {
                check_open(vm, &args[0])?;
                let b = own(&args[0]);
                if !b.writes.get() {
                    return Err(unsupported(vm, "truncate"));
                }
                b.flush(vm)?;
                b.rewind(vm)?;
                let size = args.opt(1).cloned().unwrap_or(Value::NONE);
                vm.call_method_str(&b.raw(vm)?, "truncate", &[size])
            }),
            ("close", "", close),
            ("detach", "", |vm, args| {
                let b = own(&args[0]);
                let raw = b.raw(vm)?;
                vm.call_method(&args[0], &vm.names.flush, &[])?;
                drop(b.raw.replace(Value::NONE));
                Ok(raw)
            }),
            ("fileno", "", |vm, args| vm.call_method(&own(&args[0]).raw(vm)?, &vm.names.fileno, &[])),
            ("isatty", "", |vm, args| vm.call_method_str(&own(&args[0]).raw(vm)?, "isatty", &[])),
            ("seekable", "", |vm, args| vm.call_method_str(&own(&args[0]).raw(vm)?, "seekable", &[])),
            ("readable", "", |vm, args| {
                let b = own(&args[0]);
                if b.reads.get() {
                    vm.call_method_str(&b.raw(vm)?, "readable", &[])
                } else {
                    Ok(Value::FALSE)
                }
            }),
            ("writable", "", |vm, args| {
                let b = own(&args[0]);
                if b.writes.get() {
                    vm.call_method_str(&b.raw(vm)?, "writable", &[])
                } else {
                    Ok(Value::FALSE)
                }
            }),
            ("__repr__", "", |vm, args| {
                let name = vm.type_name(&args[0]);
                let raw = own(&args[0]).raw.borrow().clone();
                let file = if raw.is_object() { vm.find_attr(&raw, &vm.names.name)? } else { None };
                Ok(vm.str(&match file {
                    Some(file) => format!("<_io.{name} name={}>", vm.repr_text(&file)?),
                    None => format!("<_io.{name}>"),
                }))
            }),
        ],
    );
    iterator_methods(vm, ty, next);
    vm.add_getset(ty, "raw", |vm, this| own(this).raw(vm), None);
    vm.add_getset(
        ty,
        "closed",
        |vm, this| {
            let raw = own(this).raw.borrow().clone();
            if !raw.is_object() {
                return Ok(Value::FALSE);
            }
            vm.get_attr_str(&raw, "closed")
        },
        None,
    );
    for name in ["name", "mode"] {
        vm.add_getset(
            ty,
            name,
            if name == "name" {
                |vm, this| vm.get_attr(&own(this).raw(vm)?, &vm.names.name)
            } else {
                |vm, this| vm.get_attr_str(&own(this).raw(vm)?, "mode")
            },
            None,
        );
    }
}

pub(super) fn init(vm: &Vm, t: &Types) {
    for ty in [&t.reader, &t.writer, &t.random] {
        common(vm, ty);
    }
    vm.add_methods(&t.reader, &[("__init__", "raw buffer_size?", |vm, a| init_buffer(vm, a, true, false))]);
    vm.add_methods(&t.writer, &[("__init__", "raw buffer_size?", |vm, a| init_buffer(vm, a, false, true))]);
    vm.add_methods(&t.random, &[("__init__", "raw buffer_size?", |vm, a| init_buffer(vm, a, true, true))]);
    for ty in [&t.reader, &t.writer, &t.random] {
        vm.type_changed(ty);
    }
}

/// `BufferedRWPair`: a reader and a writer as attributes.
pub(super) fn pair_type(vm: &Vm, t: &Types) -> PyResult {
    let ty = vm.new_type::<pyc_runtime::registry::Plain>(
        "_io",
        "BufferedRWPair",
        Some(&t.buffered),
        flag::BASE | flag::ATTRS | flag::WEAK,
    );
    vm.add_methods(
        &ty,
        &[("__init__", "reader writer buffer_size?", |vm, args| {
            let t = super::types(vm);
            let size = args.opt(3).cloned().unwrap_or(Value::from_len(BUFFER_BYTES));
            let reader = vm.call_pos(&t.reader, &[args[1].clone(), size.clone()])?;
            let writer = vm.call_pos(&t.writer, &[args[2].clone(), size])?;
            vm.set_attr_raw(&args[0], &vm.intern("_reader"), reader);
            vm.set_attr_raw(&args[0], &vm.intern("_writer"), writer);
            Ok(Value::NONE)
        })],
    );
    fn pass(vm: &Vm, args: Args, part: &str, method: &str) -> PyResult {
        let stream = vm.get_attr_str(&args.all[0], part)?;
        vm.call_method_str(&stream, method, &args.all[1..])
    }
    vm.add_methods(
        &ty,
        &[
            ("read", "...", |vm, a| pass(vm, a, "_reader", "read")),
            ("read1", "...", |vm, a| pass(vm, a, "_reader", "read1")),
            ("peek", "...", |vm, a| pass(vm, a, "_reader", "peek")),
            ("readinto", "...", |vm, a| pass(vm, a, "_reader", "readinto")),
            ("readinto1", "...", |vm, a| pass(vm, a, "_reader", "readinto1")),
            ("readable", "...", |vm, a| pass(vm, a, "_reader", "readable")),
            ("write", "...", |vm, a| pass(vm, a, "_writer", "write")),
            ("flush", "...", |vm, a| pass(vm, a, "_writer", "flush")),
            ("writable", "...", |vm, a| pass(vm, a, "_writer", "writable")),
            ("close", "", |vm, a| {
                let first = pass(vm, a, "_writer", "close");
                pass(vm, a, "_reader", "close")?;
                first
            }),
        ],
    );
    vm.add_getset(
        &ty,
        "closed",
        |vm, this| {
            let writer = vm.get_attr_str(this, "_writer")?;
            vm.get_attr_str(&writer, "closed")
        },
        None,
    );
    vm.type_changed(&ty);
    Ok(ty)
}
