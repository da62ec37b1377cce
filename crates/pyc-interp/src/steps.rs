//! Steps of ops that are not on the hot path, or that several ops share.

use pyc_ir::Special;
use pyc_runtime::containers::{DictData, ListData, TupleData};
use pyc_runtime::function::{CodeData, NativeData};
use pyc_runtime::generator::{GeneratorData, GeneratorKind};
use pyc_runtime::registers::Window;
use pyc_runtime::str::Str;
use pyc_runtime::vm::Resumed;
use pyc_runtime::{Kind, PyResult, Raised, Value, Vm};

/// Defines `release!` and `consume!` for a window: they empty temporaries and leave variables alone.
macro_rules! register_macros {
    ($w:ident, $temps:ident) => {
        #[allow(unused_macros, reason = "not every op needs both")]
        macro_rules! release {
            ($reg:expr) => {
                if $reg >= $temps {
                    drop($w.take($reg));
                }
            };
        }
        #[allow(unused_macros, reason = "not every op needs both")]
        macro_rules! consume {
            ($reg:expr) => {
                if $reg >= $temps { $w.take($reg) } else { $w.get($reg).clone() }
            };
        }
    };
}
pub(crate) use register_macros;

/// `obj[key]`, with the common cases first.
#[inline]
pub(crate) fn index(vm: &Vm, obj: &Value, key: &Value) -> PyResult {
    if let Some(i) = key.as_small() {
        if let Some(list) = obj.exact::<ListData>() {
            let items = list.borrow();
            let at = if i < 0 { i + items.len() as i64 } else { i };
            if at >= 0
                && let Some(item) = items.get(at as usize)
            {
                return Ok(item.clone());
            }
        } else if let Some(tuple) = obj.exact::<TupleData>() {
            let items = tuple.items();
            let at = if i < 0 { i + items.len() as i64 } else { i };
            if at >= 0
                && let Some(item) = items.get(at as usize)
            {
                return Ok(item.clone());
            }
        } else if let Some(s) = obj.exact::<Str>() {
            let at = if i < 0 { i + s.len() as i64 } else { i };
            if at >= 0 && (at as usize) < s.len() {
                return Ok(vm.char_str(s.at(at as usize)));
            }
        }
    }
    vm.get_item(obj, key)
}

#[cold]
pub(crate) fn unbound(vm: &Vm, name: &Value) -> Raised {
    let text = vm.text(name);
    let raised = vm.raise(
        &vm.exc.unbound_local_error,
        &format!("cannot access local variable '{text}' where it is not associated with a value"),
    );
    vm.set_attr_raw(&raised.0, &vm.names.name, name.clone());
    raised
}

#[cold]
pub(crate) fn empty_cell(vm: &Vm, code: &CodeData, register: u16, name: &Value) -> Raised {
    let free = usize::from(register) >= code.ir.locals.len() + code.ir.cells.len();
    if !free {
        return unbound(vm, name);
    }
    let raised = vm.raise(
        &vm.exc.name_error,
        &format!(
            "cannot access free variable '{}' where it is not associated with a value in enclosing scope",
            vm.text(name)
        ),
    );
    vm.set_attr_raw(&raised.0, &vm.names.name, name.clone());
    raised
}

/// A name in a namespace that may be any mapping.
pub(crate) fn namespace_get(vm: &Vm, namespace: &Value, name: &Value) -> PyResult<Option<Value>> {
    if namespace.kind() == Kind::Dict && namespace.is_exact() {
        return Ok(vm.dict_get_name(namespace, name));
    }
    let result = vm.get_item(namespace, name);
    vm.catch(result, &vm.exc.key_error)
}

pub(crate) fn callee_text(vm: &Vm, callee: &Value) -> String {
    let module = vm.find_attr(callee, &vm.names.__module__).ok().flatten();
    let name = vm.find_attr(callee, &vm.names.__qualname__).ok().flatten();
    match (module, name) {
        (Some(module), Some(name)) if module.kind() == Kind::Str && &*vm.text(&module) != "builtins" => {
            format!("{}.{}()", vm.text(&module), vm.text(&name))
        }
        (_, Some(name)) => format!("{}()", vm.text(&name)),
        _ => vm.repr_text(callee).unwrap_or_default(),
    }
}

/// `**source` of a call.
pub(crate) fn merge_keywords(vm: &Vm, dict: &Value, source: &Value, callee: &Value) -> PyResult<()> {
    let items = match source.exact::<DictData>() {
        Some(d) => d.items(),
        None => {
            if vm.find_attr(source, &vm.names.keys)?.is_none() {
                return Err(vm.type_error(format!(
                    "{} argument after ** must be a mapping, not {}",
                    callee_text(vm, callee),
                    vm.type_name(source)
                )));
            }
            let copy = vm.dict();
            vm.dict_update(&copy, source)?;
            copy.get::<DictData>().map(DictData::items).unwrap_or_default()
        }
    };
    let Some(target) = dict.get::<DictData>() else { return Ok(()) };
    for (key, value) in items {
        if target.get(vm, &key)?.is_some() {
            return Err(vm.type_error(format!(
                "{} got multiple values for keyword argument '{}'",
                callee_text(vm, callee),
                vm.str_text(&key)?
            )));
        }
        target.set(vm, key, value)?;
    }
    Ok(())
}

#[cold]
pub(crate) fn unpack_error(vm: &Vm, source: &Value, error: Raised) -> Raised {
    if vm.is_exception(&error, &vm.exc.type_error) && vm.special(source, &vm.names.__iter__).is_none() {
        return vm.type_error(format!("cannot unpack non-iterable {} object", vm.type_name(source)));
    }
    error
}

pub(crate) fn unpack(vm: &Vm, w: Window, dst: u16, src: u16, count: usize, temps: u16) -> PyResult<()> {
    let source = if src >= temps { w.take(src) } else { w.get(src).clone() };
    let few =
        |got: usize| vm.value_error(format!("not enough values to unpack (expected {count}, got {got})"));
    let many = || vm.value_error(format!("too many values to unpack (expected {count})"));
    if let Some(tuple) = source.exact::<TupleData>() {
        let items = tuple.items();
        if items.len() != count {
            return Err(if items.len() < count { few(items.len()) } else { many() });
        }
        for (at, item) in items.iter().enumerate() {
            w.set(dst + at as u16, item.clone());
        }
        return Ok(());
    }
    if let Some(list) = source.exact::<ListData>() {
        let items = list.borrow().clone();
        if items.len() != count {
            return Err(if items.len() < count { few(items.len()) } else { many() });
        }
        for (at, item) in items.into_iter().enumerate() {
            w.set(dst + at as u16, item);
        }
        return Ok(());
    }
    let iterator = vm.iter(&source).map_err(|e| unpack_error(vm, &source, e))?;
    let mut items = Vec::with_capacity(count);
    while items.len() < count {
        match vm.next(&iterator)? {
            Some(item) => items.push(item),
            None => return Err(few(items.len())),
        }
    }
    if vm.next(&iterator)?.is_some() {
        return Err(many());
    }
    for (at, item) in items.into_iter().enumerate() {
        w.set(dst + at as u16, item);
    }
    Ok(())
}

pub(crate) fn load_special(vm: &Vm, obj: &Value, method: Special) -> PyResult<(Value, Value)> {
    let name = match method {
        Special::Enter => &vm.names.__enter__,
        Special::Exit => &vm.names.__exit__,
        Special::AsyncEnter => &vm.names.__aenter__,
        Special::AsyncExit => &vm.names.__aexit__,
    };
    match vm.special(obj, name) {
        Some(function) => match function.kind() {
            Kind::Function => Ok((function, obj.clone())),
            Kind::Native => match function.get::<NativeData>() {
                Some(n)
                    if matches!(
                        n.flavor,
                        pyc_runtime::function::Flavor::Method | pyc_runtime::function::Flavor::Wrapper
                    ) =>
                {
                    Ok((function, obj.clone()))
                }
                _ => Ok((vm.bind(&function, obj)?, Value::UNBOUND)),
            },
            _ => Ok((vm.bind(&function, obj)?, Value::UNBOUND)),
        },
        None => {
            let ty = vm.type_name(obj);
            let is_async = matches!(method, Special::AsyncEnter | Special::AsyncExit);
            let what = if is_async { "asynchronous context manager" } else { "context manager" };
            let missed = match method {
                Special::Exit => " (missed __exit__ method)",
                Special::AsyncExit => " (missed __aexit__ method)",
                _ => "",
            };
            Err(vm.type_error(format!("'{ty}' object does not support the {what} protocol{missed}")))
        }
    }
}

/// One step of `yield from`.
pub(crate) fn send(vm: &Vm, iterator: &Value, sent: Value) -> PyResult<Resumed> {
    if let Some(data) = iterator.get::<GeneratorData>()
        && data.kind != GeneratorKind::Async
    {
        return vm.generator_step(iterator, Ok(sent));
    }
    let result = if sent.is_none() {
        match vm.special(iterator, &vm.names.__next__) {
            Some(method) => {
                vm.tick()?;
                vm.call_with_self(&method, iterator, &[])
            }
            None => {
                return Err(vm.type_error(format!("'{}' object is not an iterator", vm.type_name(iterator))));
            }
        }
    } else {
        vm.call_method(iterator, &vm.names.send, &[sent])
    };
    match result {
        Ok(value) => Ok(Resumed::Yielded(value)),
        Err(error) if vm.is_exception(&error, &vm.exc.stop_iteration) && !vm.terminating.get() => {
            Ok(Resumed::Returned(vm.stop_value(&error.0)))
        }
        Err(error) => Err(error),
    }
}
