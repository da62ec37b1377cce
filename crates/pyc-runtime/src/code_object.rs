//! The attributes and methods of code objects.

use std::sync::Arc;

use pyc_ir::Code;

use crate::function::CodeData;
use crate::object::Value;
use crate::vm::{Args, PyResult, Vm};

fn code_repr(vm: &Vm, args: Args) -> PyResult {
    let Some(c) = args[0].get::<CodeData>() else { return Ok(Value::NONE) };
    Ok(vm.str(&format!(
        "<code object {} at {:#x}, file \"{}\", line {}>",
        c.ir.name,
        args[0].bits(),
        c.ir.filename,
        c.ir.first_line
    )))
}

/// `inspect.CO_ITERABLE_COROUTINE`
const ITERABLE_COROUTINE: i32 = 0x100;

fn code_flags(code: &Code) -> i32 {
    let f = code.flags;
    let mut bits = 0;
    if f.function {
        bits |= 1 | 2;
    }
    if f.varargs {
        bits |= 4;
    }
    if f.varkeywords {
        bits |= 8;
    }
    if f.nested {
        bits |= 16;
    }
    if f.awaitable {
        bits |= ITERABLE_COROUTINE;
    }
    bits | match (f.generator, f.coroutine) {
        (true, false) => 0x20,
        (false, true) => 0x80,
        (true, true) => 0x200,
        _ => 0,
    }
}

fn code_replace(vm: &Vm, args: Args) -> PyResult {
    let Some(c) = args[0].get::<CodeData>() else { return Ok(Value::NONE) };
    let mut parts = (**c.ir).clone();
    for (name, value) in args.keywords() {
        match &*vm.text(name) {
            "co_name" => parts.name = vm.str_text(value)?.into(),
            "co_qualname" => parts.qualname = vm.str_text(value)?.into(),
            "co_filename" => parts.filename = vm.str_text(value)?.into(),
            "co_firstlineno" => parts.first_line = value.as_small().unwrap_or(0) as u32,
            "co_flags" => {
                let old = code_flags(&c.ir);
                let new = vm.index(value)? as i32;
                if (old ^ new) & !ITERABLE_COROUTINE != 0 {
                    return Err(vm.value_error(format!(
                        "replacing co_flags {old:#x} by {new:#x} is not supported: only CO_ITERABLE_COROUTINE can change"
                    )));
                }
                parts.flags.awaitable = new & ITERABLE_COROUTINE != 0;
            }
            other => {
                return Err(vm.value_error(format!("replacing {other} of a code object is not supported")));
            }
        }
    }
    match parts.finish() {
        Ok(code) => Ok(vm.code(Arc::new(code))),
        Err(error) => Err(vm.value_error(error.to_string())),
    }
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    macro_rules! code_field {
        ($name:literal, |$vm:ident, $code:ident| $value:expr) => {
            vm.add_getset(
                &t.code,
                $name,
                |$vm, this| {
                    let $code = this.get::<CodeData>().expect("the descriptor checked the type");
                    Ok($value)
                },
                None,
            );
        };
    }
    code_field!("co_name", |vm, c| vm.str(&c.ir.name));
    code_field!("co_qualname", |vm, c| vm.str(&c.ir.qualname));
    code_field!("co_filename", |vm, c| vm.str(&c.ir.filename));
    code_field!("co_firstlineno", |_vm, c| Value::from_len(c.ir.first_line as usize));
    code_field!("co_argcount", |_vm, c| Value::from_len(usize::from(c.ir.argcount)));
    code_field!("co_posonlyargcount", |_vm, c| Value::from_len(usize::from(c.ir.posonlyargcount)));
    code_field!("co_kwonlyargcount", |_vm, c| Value::from_len(usize::from(c.ir.kwonlyargcount)));
    code_field!("co_nlocals", |_vm, c| Value::from_len(c.ir.locals.len()));
    code_field!("co_stacksize", |_vm, c| Value::from_len(usize::from(c.ir.registers)));
    code_field!("co_flags", |_vm, c| Value::from_i32(code_flags(&c.ir)));
    code_field!("co_varnames", |vm, c| vm.tuple(c.locals.clone()));
    code_field!("co_names", |vm, c| vm.tuple(c.names.clone()));
    code_field!("co_consts", |vm, c| vm.tuple(c.consts.clone()));
    code_field!("co_cellvars", |vm, c| vm.tuple(c.ir.cells.iter().map(|n| vm.intern(n)).collect()));
    code_field!("co_freevars", |vm, c| vm.tuple(c.ir.frees.iter().map(|n| vm.intern(n)).collect()));
    code_field!("co_code", |vm, c| vm.bytes(&vec![0; c.ir.ops.len()]));
    vm.add_methods(
        &t.code,
        &[
            ("__repr__", "", code_repr),
            ("replace", "...", code_replace),
            ("co_positions", "", |vm, args| {
                let c = args[0].get::<CodeData>().expect("the descriptor checked the type");
                let row = |p: &pyc_ir::Position| {
                    let all = [p.line, p.end_line, p.column, p.end_column];
                    vm.tuple(all.iter().map(|n| Value::from_len(*n as usize)).collect())
                };
                let rows = vm.list(c.ir.positions.iter().map(row).collect());
                vm.iter(&rows)
            }),
            ("co_lines", "", |vm, args| {
                let c = args[0].get::<CodeData>().expect("the descriptor checked the type");
                let row = |(i, p): (usize, &pyc_ir::Position)| {
                    vm.tuple(vec![
                        Value::from_len(i * 2),
                        Value::from_len(i * 2 + 2),
                        Value::from_len(p.line as usize),
                    ])
                };
                let rows = vm.list(c.ir.positions.iter().enumerate().map(row).collect());
                vm.iter(&rows)
            }),
        ],
    );
}
