//! `BytesIO`: bytes in memory as a file.

use std::cell::{Cell, RefCell};

use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

use crate::support::{buffer_len, fill_buffer, memory_stream_answers, size_argument, truncate_size};

/// A file in memory.
#[derive(Default)]
pub(crate) struct BytesIo {
    data: RefCell<Vec<u8>>,
    at: Cell<usize>,
    closed: Cell<bool>,
}
impl Payload for BytesIo {}

fn own<'a>(vm: &Vm, value: &'a Value) -> PyResult<&'a BytesIo> {
    let b = value.get::<BytesIo>().expect("the descriptor checked the type");
    if b.closed.get() { Err(super::base::closed_error(vm)) } else { Ok(b) }
}

fn take(b: &BytesIo, size: Option<usize>) -> Vec<u8> {
    let data = b.data.borrow();
    let from = b.at.get().min(data.len());
    let to = size.map_or(data.len(), |n| from.saturating_add(n).min(data.len()));
    b.at.set(b.at.get().max(to));
    data[from..to].to_vec()
}

fn line_end(b: &BytesIo) -> usize {
    let data = b.data.borrow();
    let rest = &data[b.at.get().min(data.len())..];
    rest.iter().position(|c| *c == b'\n').map_or(rest.len(), |n| n + 1)
}

fn read_line(vm: &Vm, args: Args) -> PyResult {
    let b = own(vm, &args[0])?;
    let size = size_argument(vm, args.opt(1))?.unwrap_or(usize::MAX);
    Ok(vm.bytes(&take(b, Some(line_end(b).min(size)))))
}

fn next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    if !value.is_exact() {
        return super::base::next_line(vm, value);
    }
    let b = own(vm, value)?;
    let line = take(b, Some(line_end(b)));
    Ok(if line.is_empty() { None } else { Some(vm.bytes(&line)) })
}

fn read(vm: &Vm, args: Args) -> PyResult {
    let b = own(vm, &args[0])?;
    let size = size_argument(vm, args.opt(1))?;
    Ok(vm.bytes(&take(b, size)))
}

fn write(vm: &Vm, args: Args) -> PyResult {
    own(vm, &args[0])?;
    let bytes = vm.bytes_of(&args[1])?;
    let b = own(vm, &args[0])?;
    if bytes.is_empty() {
        return Ok(Value::from_i32(0));
    }
    vm.check_alloc(b.at.get().saturating_add(bytes.len()), 1)?;
    let mut data = b.data.borrow_mut();
    let (from, to) = (b.at.get(), b.at.get() + bytes.len());
    if data.len() < to {
        data.resize(to, 0);
    }
    data[from..to].copy_from_slice(&bytes);
    b.at.set(to);
    Ok(Value::from_len(bytes.len()))
}

fn seek(vm: &Vm, args: Args) -> PyResult {
    let b = own(vm, &args[0])?;
    let offset = vm.index(&args[1])?;
    let from = match args.opt(2).map_or(Ok(0), |w| vm.index(w))? {
        0 if offset < 0 => return Err(vm.value_error(format!("negative seek value {offset}"))),
        0 => 0,
        1 => b.at.get() as i64,
        2 => b.data.borrow().len() as i64,
        other => return Err(vm.value_error(format!("invalid whence ({other}, should be 0, 1 or 2)"))),
    };
    b.at.set(from.saturating_add(offset).max(0) as usize);
    Ok(Value::from_len(b.at.get()))
}

pub(super) fn init(vm: &Vm, ty: &Value) {
    vm.add_methods(
        ty,
        &[
            ("__new__", "...", |_, args| Ok(new_object(&args.all[0], BytesIo::default()))),
            ("__init__", "initial_bytes?", |vm, args| {
                let b = args[0].get::<BytesIo>().expect("the descriptor checked the type");
                let data = match args.opt(1).filter(|v| !v.is_none()) {
                    Some(initial) => vm.bytes_of(initial)?,
                    None => Vec::new(),
                };
                b.data.replace(data);
                b.at.set(0);
                b.closed.set(false);
                Ok(Value::NONE)
            }),
            ("read", "size? /", read),
            ("read1", "size? /", read),
            ("readline", "size? /", read_line),
            ("readinto", "buffer /", |vm, args| {
                let size = buffer_len(vm, &args[1])?;
                let bytes = take(own(vm, &args[0])?, Some(size));
                Ok(Value::from_len(fill_buffer(vm, &args[1], &bytes)?))
            }),
            ("write", "b /", write),
            ("seek", "offset whence? /", seek),
            ("tell", "", |vm, args| Ok(Value::from_len(own(vm, &args[0])?.at.get()))),
            ("getvalue", "", |vm, args| Ok(vm.bytes(&own(vm, &args[0])?.data.borrow()))),
            ("getbuffer", "", |vm, args| {
                let bytes = own(vm, &args[0])?.data.borrow().clone();
                vm.call_pos(&vm.types.memoryview, &[vm.bytes(&bytes)])
            }),
            ("truncate", "size? /", |vm, args| {
                let b = own(vm, &args[0])?;
                let size = truncate_size(vm, args.opt(1), b.at.get(), "negative")?;
                b.data.borrow_mut().truncate(size);
                Ok(Value::from_len(size))
            }),
            ("close", "", |_, args| {
                if let Some(b) = args[0].get::<BytesIo>() {
                    b.closed.set(true);
                    b.data.take();
                }
                Ok(Value::NONE)
            }),
            ("__getstate__", "", |vm, args| {
                let b = own(vm, &args[0])?;
                let bytes = vm.bytes(&b.data.borrow());
                Ok(vm.tuple(vec![bytes, Value::from_len(b.at.get()), Value::NONE]))
            }),
            ("__setstate__", "state /", |vm, args| {
                let b = own(vm, &args[0])?;
                let parts = vm.to_vec(&args[1])?;
                let [bytes, at, ..] = &parts[..] else {
                    return Err(vm.type_error("BytesIO.__setstate__ argument should be 3-tuple"));
                };
                b.data.replace(vm.bytes_of(bytes)?);
                b.at.set(usize::try_from(vm.index(at)?).unwrap_or(0));
                Ok(Value::NONE)
            }),
        ],
    );
    vm.add_methods(ty, &memory_stream_answers!(own));
    iterator_methods(vm, ty, next);
    vm.add_getset(
        ty,
        "closed",
        |_, this| Ok(Value::from_bool(this.get::<BytesIo>().is_some_and(|b| b.closed.get()))),
        None,
    );
    vm.type_changed(ty);
}
