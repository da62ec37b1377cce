//! `keys()`, `values()`, `items()` of dicts.

use pyc_ir::CompareOp;

use super::dict::{DictData, ProxyData};
use super::tuple::TupleData;
use crate::args::Method;
use crate::object::{Payload, Value, new_object};
use crate::vm::{Args, PyResult, Vm};

/// A view of a dict.
pub struct DictView {
    /// The dict.
    pub dict: Value,
    /// 0 keys, 1 values, 2 items.
    pub what: u8,
}
impl Payload for DictView {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.dict);
    }
}

pub(super) fn view(vm: &Vm, dict: &Value, what: u8) -> Value {
    let t = &vm.types;
    let ty = [&t.dict_keys, &t.dict_values, &t.dict_items][usize::from(what)];
    new_object(ty, DictView { dict: dict.clone(), what })
}

fn own(value: &Value) -> &DictView {
    value.get::<DictView>().expect("the descriptor checked the type")
}

fn table(value: &Value) -> &DictData {
    own(value).dict.get::<DictData>().expect("a view is of a dict")
}

fn contents(vm: &Vm, value: &Value) -> Vec<Value> {
    let what = own(value).what;
    table(value)
        .items()
        .into_iter()
        .map(|(k, v)| match what {
            0 => k,
            1 => v,
            _ => vm.tuple(vec![k, v]),
        })
        .collect()
}

fn contains(vm: &Vm, view: &Value, item: &Value) -> PyResult<bool> {
    if own(view).what == 0 {
        return Ok(table(view).get(vm, item)?.is_some());
    }
    let Some([key, value]) = item.get::<TupleData>().map(TupleData::items) else { return Ok(false) };
    match table(view).get(vm, key)? {
        Some(found) => vm.equal(&found, value),
        None => Ok(false),
    }
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let set_like = b.kind() == crate::object::Kind::Set || b.get::<DictView>().is_some_and(|v| v.what != 1);
    if !set_like {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let (left, right) = (vm.frozen_set(contents(vm, a))?, vm.frozen_set(vm.to_vec(b)?)?);
    vm.compare(op, &left, &right)
}

fn set_operation(vm: &Vm, a: &Value, b: &Value, op: &str) -> PyResult {
    let left = vm.set(vm.to_vec(a)?)?;
    vm.call_method_str(&left, op, std::slice::from_ref(b))
}

const SHARED: &[Method] = &[
    ("__len__", "", |_, args| Ok(Value::from_len(table(&args[0]).borrow().len()))),
    ("__iter__", "", |vm, args| {
        Ok(crate::iterators::dict_iter(vm, &own(&args[0]).dict, own(&args[0]).what, false))
    }),
    ("__reversed__", "", |vm, args| {
        Ok(crate::iterators::dict_iter(vm, &own(&args[0]).dict, own(&args[0]).what, true))
    }),
    ("__repr__", "", |vm, args| {
        if !vm.repr_enter(&args[0]) {
            return Ok(vm.str("..."));
        }
        let items = contents(vm, &args[0]);
        let inner = vm.repr_items(|at| items.get(at).cloned());
        vm.repr_leave();
        Ok(vm.str(&format!("{}([{}])", vm.type_name(&args[0]), inner?)))
    }),
];

const SETS: &[Method] = &[
    ("__contains__", "key /", |vm, args| Ok(Value::from_bool(contains(vm, &args[0], &args[1])?))),
    ("__and__", "value /", |vm, args| set_operation(vm, &args[0], &args[1], "intersection")),
    ("__rand__", "value /", |vm, args| set_operation(vm, &args[1], &args[0], "intersection")),
    ("__or__", "value /", |vm, args| set_operation(vm, &args[0], &args[1], "union")),
    ("__ror__", "value /", |vm, args| set_operation(vm, &args[1], &args[0], "union")),
    ("__sub__", "value /", |vm, args| set_operation(vm, &args[0], &args[1], "difference")),
    ("__rsub__", "value /", |vm, args| set_operation(vm, &args[1], &args[0], "difference")),
    ("__xor__", "value /", |vm, args| set_operation(vm, &args[0], &args[1], "symmetric_difference")),
    ("__rxor__", "value /", |vm, args| set_operation(vm, &args[1], &args[0], "symmetric_difference")),
    ("isdisjoint", "other /", |vm, args: Args| {
        for item in vm.to_vec(&args[1])? {
            if contains(vm, &args[0], &item)? {
                return Ok(Value::FALSE);
            }
        }
        Ok(Value::TRUE)
    }),
];

pub(super) fn init(vm: &Vm) {
    let t = &vm.types;
    for ty in [&t.dict_keys, &t.dict_values, &t.dict_items] {
        vm.add_methods(ty, SHARED);
        vm.add_getset(
            ty,
            "mapping",
            |vm, this| Ok(new_object(&vm.types.mappingproxy, ProxyData(own(this).dict.clone()))),
            None,
        );
    }
    for ty in [&t.dict_keys, &t.dict_items] {
        vm.add_methods(ty, SETS);
        vm.add_methods(ty, &crate::comparisons!(compare));
    }
}
