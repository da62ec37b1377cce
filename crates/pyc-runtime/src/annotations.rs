//! `__annotations__` and `__annotate__` of functions.

use crate::containers::TupleData;
use crate::function::{Flavor, function};
use crate::object::{Kind, Value};
use crate::vm::{PyResult, Vm};

/// `__annotations__` as a dict; a tuple of names and values becomes one here.
pub(crate) fn annotations(vm: &Vm, this: &Value) -> PyResult {
    let f = function(this);
    let current = f.extras.borrow().annotations.clone();
    if current.kind() == Kind::Dict {
        return Ok(current);
    }
    if !current.is_none() && current.is_object() && current.kind() != Kind::Tuple {
        let made = vm.call_pos(&current, &[Value::from_i32(1)])?;
        f.extras.borrow_mut().annotations = made.clone();
        return Ok(made);
    }
    let dict = vm.dict();
    if let Some(pairs) = current.get::<TupleData>() {
        for pair in pairs.items().chunks(2) {
            vm.dict_set(&dict, pair[0].clone(), pair[1].clone())?;
        }
    }
    f.extras.borrow_mut().annotations = dict.clone();
    Ok(dict)
}

/// `__annotate__`: what was set, or a function that gives the annotations as they are.
pub(crate) fn annotate(vm: &Vm, this: &Value) -> PyResult {
    let current = function(this).extras.borrow().annotations.clone();
    if current.is_object() && !matches!(current.kind(), Kind::Dict | Kind::Tuple) {
        return Ok(current);
    }
    let dict = annotations(vm, this)?;
    Ok(if vm.dict_len(&dict) == 0 { Value::NONE } else { annotate_function(vm, dict) })
}

/// A function that gives a dict of annotations when it is asked for values (format 1).
pub(crate) fn annotate_function(vm: &Vm, annotations: Value) -> Value {
    let function = vm.native(
        "__annotate__",
        "annotations format /",
        |vm, args| match vm.index(&args[1])? {
            1 => Ok(args[0].clone()),
            _ => Err(vm.raise_bare(&vm.exc.not_implemented_error)),
        },
        Flavor::Function,
        vm.intern("builtins"),
    );
    vm.method(function, annotations)
}

/// `__annotations__` and `__annotate__` share one place: a function put there is called for the dict when somebody
/// asks for it (see [`annotations`]).
fn put_annotations(this: &Value, value: Value) {
    let old = std::mem::replace(&mut function(this).extras.borrow_mut().annotations, value);
    drop(old);
}

pub(crate) fn set_annotations(vm: &Vm, this: &Value, value: Value) -> PyResult<()> {
    if !value.is_unbound() && !value.is_none() && value.kind() != Kind::Dict {
        return Err(vm.type_error("__annotations__ must be set to a dict object"));
    }
    put_annotations(this, if value.is_unbound() { Value::NONE } else { value });
    Ok(())
}

pub(crate) fn set_annotate(vm: &Vm, this: &Value, value: Value) -> PyResult<()> {
    if value.is_unbound() {
        return Err(vm.type_error("cannot delete __annotate__ attribute"));
    }
    if value.is_none() {
        // Annotations that were already made stay.
        let made = matches!(function(this).extras.borrow().annotations.kind(), Kind::Dict | Kind::Tuple);
        if !made {
            put_annotations(this, value);
        }
        return Ok(());
    }
    if vm.special(&value, &vm.names.__call__).is_none() {
        return Err(vm.type_error("__annotate__ must be callable or None"));
    }
    put_annotations(this, value);
    Ok(())
}
