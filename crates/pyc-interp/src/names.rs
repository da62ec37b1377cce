//! Ops on names that are not in registers, imports and definitions.

use pyc_ir::{NO_REG, Op};
use pyc_runtime::containers::DictData;
use pyc_runtime::{Kind, PyResult, Value, Vm};

use crate::access;
use crate::exec::{Frame, cell};
use crate::steps::{empty_cell, namespace_get, unbound};

/// Does an op of this group; where control goes on when it is not the next op.
#[inline(never)]
pub(crate) fn step(vm: &Vm, frame: &Frame, namespace: &Value, op: &Op) -> PyResult<Option<u32>> {
    let (code, w) = (frame.code, frame.window);
    let temps = code.temporaries;
    crate::steps::register_macros!(w, temps);
    match *op {
        Op::DeleteLocal { reg, name } => {
            let old = w.take(reg);
            if old.is_unbound() {
                return Err(unbound(vm, code.name(name)));
            }
            drop(old);
        }
        Op::MakeCell { dst, src } => {
            let held = if src == NO_REG { None } else { w.take(src).bound().cloned() };
            w.set(dst, vm.cell(held));
        }
        Op::DeleteCell { cell: reg, name } => {
            let old = cell(w.get(reg)).0.take();
            if old.is_none() {
                return Err(empty_cell(vm, code, reg, code.name(name)));
            }
        }
        Op::LoadClassCell { dst, cell: reg, name } => {
            let name = code.name(name);
            let found = namespace_get(vm, namespace, name)?;
            let value = match found {
                Some(value) => value,
                None => match cell(w.get(reg)).0.borrow().clone() {
                    Some(value) => value,
                    None => return Err(empty_cell(vm, code, reg, name)),
                },
            };
            w.set(dst, value);
        }
        Op::StoreGlobal { name, src } => {
            let value = consume!(src);
            vm.dict_set_name(frame.globals, code.name(name), value);
        }
        Op::DeleteGlobal { name } => {
            let name = code.name(name);
            let old = frame.globals.get::<DictData>().and_then(|d| d.borrow_mut().remove_interned(name));
            if old.is_none() {
                return Err(vm.name_error(name));
            }
        }
        Op::LoadName { dst, name: index, cache } => {
            let name = code.name(index);
            let value = if namespace.is(frame.globals) {
                match access::known_global(code, frame.globals, frame.builtins, index, cache) {
                    Some(value) => value,
                    None => access::find_global(vm, code, frame.globals, frame.builtins, name, cache)?,
                }
            } else {
                match namespace_get(vm, namespace, name)? {
                    Some(value) => value,
                    None => access::find_global(vm, code, frame.globals, frame.builtins, name, cache)?,
                }
            };
            w.set(dst, value);
        }
        Op::StoreName { name, src } => {
            let value = consume!(src);
            let name = code.name(name);
            if namespace.kind() == Kind::Dict && namespace.is_exact() {
                vm.dict_set_name(namespace, name, value);
            } else {
                vm.set_item(namespace, name, value)?;
            }
        }
        Op::DeleteName { name } => {
            let name = code.name(name);
            if let Err(error) = vm.delete_item(namespace, name) {
                if vm.is_exception(&error, &vm.exc.key_error) {
                    return Err(vm.name_error(name));
                }
                return Err(error);
            }
        }
        Op::LoadLocals { dst } => w.set(dst, namespace.clone()),
        Op::DeleteAttr { obj, name } => {
            vm.set_attr(w.get(obj), code.name(name), Value::UNBOUND)?;
            release!(obj);
        }
        Op::DeleteIndex { obj, key } => {
            vm.delete_item(w.get(obj), w.get(key))?;
            release!(obj);
            release!(key);
        }
        Op::SetupAnnotations {} => {
            if namespace_get(vm, namespace, &vm.names.__annotations__)?.is_none() {
                let dict = vm.dict();
                vm.set_item(namespace, &vm.names.__annotations__, dict)?;
            }
        }
        Op::LoadBuildClass { dst } => {
            let found = frame
                .builtins
                .get::<DictData>()
                .and_then(|d| d.borrow().get_interned(&vm.names.__build_class__).cloned());
            match found {
                Some(value) => w.set(dst, value),
                None => return Err(vm.raise(&vm.exc.name_error, "__build_class__ not found")),
            }
        }
        Op::Import { dst, name, from, level } => {
            let text = vm.text(code.name(name));
            let from = code.constant(from);
            let hook = frame
                .builtins
                .get::<DictData>()
                .and_then(|d| d.borrow().get_interned(&vm.names.__import__).cloned());
            let module = match hook {
                Some(hook) if hook.kind() != Kind::Native => {
                    let locals = if namespace.is_unbound() { Value::NONE } else { namespace.clone() };
                    let args = [
                        code.name(name).clone(),
                        frame.globals.clone(),
                        locals,
                        from.clone(),
                        Value::from_len(usize::from(level)),
                    ];
                    vm.call_pos(&hook, &args)?
                }
                _ => vm.import_statement(&text, frame.globals, from, usize::from(level))?,
            };
            w.set(dst, module);
        }
        Op::ImportFrom { dst, module, name } => {
            let value = vm.import_from(w.get(module), code.name(name))?;
            w.set(dst, value);
        }
        Op::ImportStar { module } => {
            vm.import_star(w.get(module), namespace)?;
            release!(module);
        }
        Op::MakeFunction { dst, code: index, base } => {
            let function = vm.function(
                code.constant(index).clone(),
                frame.globals.clone(),
                w.take(base + 3),
                w.take(base),
                w.take(base + 1),
                w.take(base + 2),
            );
            w.set(dst, function);
        }
        Op::LoadAssertionError { dst } => w.set(dst, vm.exc.assertion_error.clone()),
        _ => unreachable!("the loop gives this group its own ops only"),
    }
    Ok(None)
}
