//! `_functools`

use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

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

fn reduce(vm: &Vm, args: Args) -> PyResult {
    if vm.special(&args[1], &vm.names.__iter__).is_none()
        && vm.special(&args[1], &vm.names.__getitem__).is_none()
    {
        return Err(vm.type_error("reduce() arg 2 must support iteration"));
    }
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
    crate::functools_partial::add(vm, &module);
    crate::functools_cache::add(vm, &module);
    Ok(module)
}
