//! `StringIO`: text in memory as a file.

use std::cell::{Cell, RefCell};

use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::str::Str;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

use super::text::{Ends, line_length, universal};
use crate::support::{memory_stream_answers, size_argument, truncate_size};

/// A text file in memory.
#[derive(Default)]
pub(crate) struct StringIo {
    points: RefCell<Vec<u32>>,
    at: Cell<usize>,
    closed: Cell<bool>,
    ends: Cell<Ends>,
}
impl Payload for StringIo {}

fn own<'a>(vm: &Vm, value: &'a Value) -> PyResult<&'a StringIo> {
    let s = value.get::<StringIo>().expect("the descriptor checked the type");
    if s.closed.get() { Err(super::base::closed_error(vm)) } else { Ok(s) }
}

fn take(vm: &Vm, s: &StringIo, count: usize) -> Value {
    let points = s.points.borrow();
    let from = s.at.get().min(points.len());
    let to = from.saturating_add(count).min(points.len());
    s.at.set(s.at.get().max(to));
    vm.new_str(Str::from_points(points[from..to].to_vec()))
}

fn line(s: &StringIo) -> usize {
    let points = s.points.borrow();
    let rest = &points[s.at.get().min(points.len())..];
    line_length(rest, s.ends.get()).unwrap_or(rest.len())
}

fn next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    if !value.is_exact() {
        return super::base::next_line(vm, value);
    }
    let s = own(vm, value)?;
    let n = line(s);
    Ok(if n == 0 { None } else { Some(take(vm, s, n)) })
}

fn put(vm: &Vm, s: &StringIo, text: &Str) -> PyResult<()> {
    let mut new = text.to_points();
    match s.ends.get() {
        Ends::Translate => new = universal(&new),
        Ends::Cr => new.iter_mut().filter(|c| **c == 10).for_each(|c| *c = 13),
        Ends::CrLf => {
            new = new.into_iter().flat_map(|c| if c == 10 { vec![13, 10] } else { vec![c] }).collect();
        }
        Ends::Lf | Ends::Keep => {}
    }
    if new.is_empty() {
        return Ok(());
    }
    vm.check_alloc(s.at.get().saturating_add(new.len()), 4)?;
    let mut points = s.points.borrow_mut();
    let (from, to) = (s.at.get(), s.at.get() + new.len());
    if from == points.len() {
        points.extend(new);
    } else {
        if points.len() < to {
            points.resize(to, 0);
        }
        points[from..to].copy_from_slice(&new);
    }
    s.at.set(to);
    Ok(())
}

fn init_io(vm: &Vm, args: Args) -> PyResult {
    let s = args[0].get::<StringIo>().expect("the descriptor checked the type");
    s.ends.set(match args.opt(2) {
        None => Ends::Lf,
        Some(newline) => Ends::parse(vm, newline)?,
    });
    s.points.take();
    s.at.set(0);
    s.closed.set(false);
    if let Some(initial) = args.opt(1).filter(|v| !v.is_none()) {
        let Some(text) = initial.get::<Str>() else {
            return Err(
                vm.type_error(format!("initial_value must be str or None, not {}", vm.type_name(initial)))
            );
        };
        put(vm, s, text)?;
        s.at.set(0);
    }
    Ok(Value::NONE)
}

fn seek(vm: &Vm, args: Args) -> PyResult {
    let s = own(vm, &args[0])?;
    let offset = vm.index(&args[1])?;
    let whence = args.opt(2).map_or(Ok(0), |w| vm.index(w))?;
    let to = match whence {
        0 if offset < 0 => return Err(vm.value_error(format!("Negative seek position {offset}"))),
        0 => offset as usize,
        1 | 2 if offset != 0 => {
            return Err(vm.raise(&vm.exc.os_error, "Can't do nonzero cur-relative seeks"));
        }
        1 => s.at.get(),
        2 => s.points.borrow().len(),
        other => return Err(vm.value_error(format!("Invalid whence ({other}, should be 0, 1 or 2)"))),
    };
    s.at.set(to);
    Ok(Value::from_len(to))
}

pub(super) fn init(vm: &Vm, ty: &Value) {
    vm.add_methods(
        ty,
        &[
            ("__new__", "...", |_, args| Ok(new_object(&args.all[0], StringIo::default()))),
            ("__init__", "initial_value? newline?", init_io),
            ("read", "size? /", |vm, args| {
                let s = own(vm, &args[0])?;
                let size = size_argument(vm, args.opt(1))?.unwrap_or(usize::MAX);
                Ok(take(vm, s, size))
            }),
            ("readline", "size? /", |vm, args| {
                let s = own(vm, &args[0])?;
                let size = size_argument(vm, args.opt(1))?.unwrap_or(usize::MAX);
                let n = line(s).min(size);
                Ok(take(vm, s, n))
            }),
            ("write", "s /", |vm, args| {
                let s = own(vm, &args[0])?;
                let Some(text) = args[1].get::<Str>() else {
                    return Err(
                        vm.type_error(format!("string argument expected, got '{}'", vm.type_name(&args[1])))
                    );
                };
                put(vm, s, text)?;
                Ok(Value::from_len(text.len()))
            }),
            ("seek", "offset whence? /", seek),
            ("tell", "", |vm, args| Ok(Value::from_len(own(vm, &args[0])?.at.get()))),
            ("getvalue", "", |vm, args| {
                let points = own(vm, &args[0])?.points.borrow().clone();
                Ok(vm.new_str(Str::from_points(points)))
            }),
            ("truncate", "size? /", |vm, args| {
                let s = own(vm, &args[0])?;
                let size = truncate_size(vm, args.opt(1), s.at.get(), "Negative")?;
                s.points.borrow_mut().truncate(size);
                Ok(Value::from_len(size))
            }),
            ("close", "", |_, args| {
                if let Some(s) = args[0].get::<StringIo>() {
                    s.closed.set(true);
                    s.points.take();
                }
                Ok(Value::NONE)
            }),
        ],
    );
    vm.add_methods(ty, &memory_stream_answers!(own));
    iterator_methods(vm, ty, next);
    vm.add_getset(
        ty,
        "closed",
        |_, this| Ok(Value::from_bool(this.get::<StringIo>().is_some_and(|s| s.closed.get()))),
        None,
    );
    vm.add_getset(ty, "line_buffering", |_, _| Ok(Value::FALSE), None);
    vm.type_changed(ty);
}
