//! `_functools`

use std::cell::RefCell;

use pyc_runtime::containers::DictData;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

/// `partial`
struct Partial {
    parts: RefCell<(Value, Value, Value)>,
}
impl Payload for Partial {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        let p = self.parts.borrow();
        visit(&p.0);
        visit(&p.1);
        visit(&p.2);
    }
}

/// `cmp_to_key`
struct Key {
    compare: Value,
    value: Value,
}
impl Payload for Key {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.compare);
        visit(&self.value);
    }
}

fn own(value: &Value) -> (Value, Value, Value) {
    value.get::<Partial>().map(|p| p.parts.borrow().clone()).unwrap_or((
        Value::NONE,
        Value::NONE,
        Value::NONE,
    ))
}

fn partial_new(vm: &Vm, args: Args) -> PyResult {
    let positional = args.positional();
    let Some(function) = positional.get(1) else {
        return Err(vm.type_error("type 'partial' takes at least one argument"));
    };
    let callable = vm.special(function, &vm.names.__call__).is_some();
    if !callable {
        return Err(vm.type_error("the first argument must be callable"));
    }
    let (mut function, mut first, keywords) = (function.clone(), Vec::new(), vm.dict());
    if function.get::<Partial>().is_some() && vm.type_of(&function).is(&args.all[0]) {
        let inner = own(&function);
        first = vm.to_vec(&inner.1)?;
        vm.dict_update(&keywords, &inner.2)?;
        function = inner.0;
    }
    first.extend_from_slice(&positional[2..]);
    for (name, value) in args.keywords() {
        vm.dict_set(&keywords, name.clone(), value.clone())?;
    }
    let parts = (function, vm.tuple(first), keywords);
    Ok(new_object(&args.all[0], Partial { parts: RefCell::new(parts) }))
}

fn partial_call(vm: &Vm, args: Args) -> PyResult {
    let (function, first, keywords) = own(&args.all[0]);
    let mut all = vm.to_vec(&first)?;
    all.extend_from_slice(&args.positional()[1..]);
    let mut names = Vec::new();
    let mut values = Vec::new();
    for (key, value) in keywords.get::<DictData>().map(DictData::items).unwrap_or_default() {
        if !args.names.iter().any(|n| vm.text(n) == vm.text(&key)) {
            names.push(key);
            values.push(value);
        }
    }
    all.extend(values);
    for (name, value) in args.keywords() {
        names.push(name.clone());
        all.push(value.clone());
    }
    vm.call(&function, Args { all: &all, names: &names })
}

fn partial_repr(vm: &Vm, args: Args) -> PyResult {
    if !vm.repr_enter(&args[0]) {
        return Ok(vm.str("..."));
    }
    let make = || -> PyResult {
        let (function, first, keywords) = own(&args[0]);
        let mut parts = vec![vm.repr_text(&function)?];
        for value in vm.to_vec(&first)? {
            parts.push(vm.repr_text(&value)?);
        }
        for (key, value) in keywords.get::<DictData>().map(DictData::items).unwrap_or_default() {
            parts.push(format!("{}={}", vm.text(&key), vm.repr_text(&value)?));
        }
        Ok(vm.str(&format!("functools.partial({})", parts.join(", "))))
    };
    let result = make();
    vm.repr_leave();
    result
}

fn reduce(vm: &Vm, args: Args) -> PyResult {
    let iterator = vm.iter(&args[1])?;
    let mut total = match args.opt(2) {
        Some(start) => start.clone(),
        None => match vm.next(&iterator)? {
            Some(first) => first,
            None => return Err(vm.type_error("reduce() of empty iterable with no initial value")),
        },
    };
    while let Some(item) = vm.next(&iterator)? {
        total = vm.call_pos(&args[0], &[total, item])?;
    }
    Ok(total)
}

fn compare(vm: &Vm, op: pyc_ir::CompareOp, a: &Value, b: &Value) -> PyResult {
    let (Some(x), Some(y)) = (a.get::<Key>(), b.get::<Key>()) else {
        return Err(vm.type_error("other argument must be K instance"));
    };
    let result = vm.call_pos(&x.compare, &[x.value.clone(), y.value.clone()])?;
    vm.compare(op, &result, &Value::from_i32(0))
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "_functools",
        &[
            ("reduce", "function iterable initial? /", reduce),
            ("cmp_to_key", "mycmp", |vm, args| {
                let ty = vm.state("cmp_key", || vm.new_type::<Key>("functools", "KeyWrapper", None, 0));
                Ok(new_object(&ty, Key { compare: args[0].clone(), value: Value::NONE }))
            }),
        ],
    );
    let key = vm.state("cmp_key", || vm.new_type::<Key>("functools", "KeyWrapper", None, 0));
    vm.add_methods(&key, &pyc_runtime::comparisons!(compare));
    vm.add_methods(
        &key,
        &[("__call__", "obj", |vm, args| {
            let Some(k) = args[0].get::<Key>() else { return Ok(Value::NONE) };
            Ok(new_object(vm.type_of(&args[0]), Key { compare: k.compare.clone(), value: args[1].clone() }))
        })],
    );
    vm.add_getset(
        &key,
        "obj",
        |_, this| Ok(this.get::<Key>().map_or(Value::NONE, |k| k.value.clone())),
        None,
    );
    vm.set_type_attr(&key, "__hash__", Value::NONE);
    let partial = vm.new_type::<Partial>("functools", "partial", None, flag::BASE | flag::ATTRS | flag::WEAK);
    vm.add_methods(
        &partial,
        &[
            ("__new__", "...", partial_new),
            ("__call__", "...", partial_call),
            ("__repr__", "", partial_repr),
            ("__reduce__", "", |vm, args| {
                let (function, first, keywords) = own(&args[0]);
                let state = vm.tuple(vec![function.clone(), first, keywords, Value::NONE]);
                Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), vm.tuple(vec![function]), state]))
            }),
            ("__setstate__", "state /", |vm, args| {
                let parts = vm.to_vec(&args[1])?;
                if let (Some(p), [f, a, k, ..]) = (args[0].get::<Partial>(), &parts[..]) {
                    *p.parts.borrow_mut() = (f.clone(), a.clone(), k.clone());
                }
                Ok(Value::NONE)
            }),
        ],
    );
    vm.add_getset(&partial, "func", |_, this| Ok(own(this).0), None);
    vm.add_getset(&partial, "args", |_, this| Ok(own(this).1), None);
    vm.add_getset(&partial, "keywords", |_, this| Ok(own(this).2), None);
    vm.add_class_methods(
        &partial,
        &[("__class_getitem__", "item /", |vm, args| pyc_runtime::generic::alias(vm, &args[0], &args[1]))],
    );
    vm.module_set(&module, "partial", partial);
    Ok(module)
}
