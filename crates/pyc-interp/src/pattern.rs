//! Class and mapping patterns, and rare operations.

use pyc_ir::Intrinsic;
use pyc_runtime::containers::{DictData, TupleData};
use pyc_runtime::types::{Type, flag};
use pyc_runtime::{Args, Kind, PyResult, Value, Vm};

/// Whether a sequence pattern may match.
pub(crate) fn is_sequence(vm: &Vm, value: &Value) -> PyResult<bool> {
    let class = vm.class_of(value);
    if class.has(flag::SEQUENCE) {
        return Ok(!matches!(value.kind(), Kind::Str | Kind::Bytes | Kind::ByteArray));
    }
    if !class.is_heap() && value.kind() != Kind::Other {
        return Ok(false);
    }
    abc(vm, value, "Sequence")
}

/// Whether a mapping pattern may match.
pub(crate) fn is_mapping(vm: &Vm, value: &Value) -> PyResult<bool> {
    let class = vm.class_of(value);
    if class.has(flag::MAPPING) {
        return Ok(true);
    }
    if !class.is_heap() && value.kind() != Kind::Other {
        return Ok(false);
    }
    abc(vm, value, "Mapping")
}

/// Classes registered with `collections.abc`, once that module is loaded.
fn abc(vm: &Vm, value: &Value, name: &str) -> PyResult<bool> {
    match vm.loaded_module("_collections_abc").or_else(|| vm.loaded_module("collections.abc")) {
        Some(module) => {
            let class = vm.get_attr_str(&module, name)?;
            if vm.is_instance(value, &class)? {
                return Ok(!matches!(value.kind(), Kind::Str | Kind::Bytes | Kind::ByteArray));
            }
            Ok(false)
        }
        None => Ok(false),
    }
}

/// The values of keys, or None.
pub(crate) fn match_keys(vm: &Vm, subject: &Value, keys: &Value) -> PyResult {
    let keys = vm.to_vec(keys)?;
    let mut values = Vec::new();
    let missing = vm.call_pos(&vm.types.object, &[])?;
    let get = vm.get_attr_str(subject, "get")?;
    for (at, key) in keys.iter().enumerate() {
        for other in &keys[..at] {
            if vm.equal(other, key)? {
                return Err(
                    vm.value_error(format!("mapping pattern checks duplicate key ({})", vm.repr_text(key)?))
                );
            }
        }
        let value = match subject.exact::<DictData>() {
            Some(dict) => dict.get(vm, key)?.unwrap_or_else(|| missing.clone()),
            None => vm.call_pos(&get, &[key.clone(), missing.clone()])?,
        };
        if value.is(&missing) {
            return Ok(Value::NONE);
        }
        values.push(value);
    }
    Ok(vm.tuple(values))
}

/// The attributes of a class pattern, or None.
pub(crate) fn match_class(vm: &Vm, subject: &Value, class: &Value, count: usize, names: &Value) -> PyResult {
    if class.kind() != Kind::Type {
        return Err(vm.type_error("called match pattern must be a class"));
    }
    if !vm.is_instance(subject, class)? {
        return Ok(Value::NONE);
    }
    let class_name = class.get::<Type>().map_or_else(|| "?".into(), Type::name);
    let mut values = Vec::new();
    let mut seen: Vec<Value> = Vec::new();
    if count > 0 {
        let (allowed, whole) = match vm.find_attr(class, &vm.names.__match_args__)? {
            Some(list) => {
                if list.kind() != Kind::Tuple {
                    return Err(vm.type_error(format!(
                        "{class_name}.__match_args__ must be a tuple (got {})",
                        vm.type_name(&list)
                    )));
                }
                (vm.to_vec(&list)?, false)
            }
            None => {
                let t = &vm.types;
                let own = [
                    &t.bool_,
                    &t.bytearray,
                    &t.bytes,
                    &t.dict,
                    &t.float,
                    &t.frozenset,
                    &t.int,
                    &t.list,
                    &t.set,
                    &t.str_,
                    &t.tuple,
                ];
                (Vec::new(), own.iter().any(|ty| vm.is_subtype(class, ty)))
            }
        };
        let most = if whole { 1 } else { allowed.len() };
        if count > most {
            let plural = if most == 1 { "" } else { "s" };
            return Err(vm.type_error(format!(
                "{class_name}() accepts {most} positional sub-pattern{plural} ({count} given)"
            )));
        }
        if whole {
            values.push(subject.clone());
        } else {
            for name in &allowed[..count] {
                if name.kind() != Kind::Str {
                    return Err(vm.type_error(format!(
                        "__match_args__ elements must be strings (got {})",
                        vm.type_name(name)
                    )));
                }
                let name = vm.intern_value(name);
                seen.push(name.clone());
                match vm.find_attr(subject, &name)? {
                    Some(value) => values.push(value),
                    None => return Ok(Value::NONE),
                }
            }
        }
    }
    for name in vm.to_vec(names)? {
        let name = vm.intern_value(&name);
        if seen.iter().any(|s| s.is(&name)) {
            return Err(vm.type_error(format!(
                "{class_name}() got multiple sub-patterns for attribute '{}'",
                vm.text(&name)
            )));
        }
        match vm.find_attr(subject, &name)? {
            Some(value) => values.push(value),
            None => return Ok(Value::NONE),
        }
    }
    Ok(vm.tuple(values))
}

/// A dict without some keys.
pub(crate) fn without(vm: &Vm, subject: &Value, keys: &Value) -> PyResult {
    let dict = vm.dict();
    vm.dict_update(&dict, subject)?;
    for key in keys.get::<TupleData>().map_or(&[][..], TupleData::items) {
        vm.delete_item(&dict, key)?;
    }
    Ok(dict)
}

/// Rare operations.
pub(crate) fn intrinsic(vm: &Vm, which: Intrinsic, args: &[Value]) -> PyResult {
    let typing = |name: &str| -> PyResult { vm.get_attr_str(&vm.import("typing")?, name) };
    match which {
        Intrinsic::TypeVar | Intrinsic::TypeVarBound => {
            let ty = typing("TypeVar")?;
            let (mut all, mut names) = (vec![args[0].clone()], Vec::new());
            if which == Intrinsic::TypeVarBound {
                // Evaluated here instead of on first use: forward references in bounds are rare.
                let value = vm.call_pos(&args[1], &[])?;
                if args[2].is(&Value::TRUE) {
                    all.extend(vm.to_vec(&value)?);
                } else {
                    all.push(value);
                    names.push(vm.intern("bound"));
                }
            }
            all.push(Value::TRUE);
            names.push(vm.intern("infer_variance"));
            vm.call(&ty, Args { all: &all, names: &names })
        }
        Intrinsic::ParamSpec => vm.call_pos(&typing("ParamSpec")?, args),
        Intrinsic::TypeVarTuple => vm.call_pos(&typing("TypeVarTuple")?, args),
        Intrinsic::TypeAlias => {
            let value = vm.call_pos(&args[2], &[])?;
            let params = if args[1].is_none() { vm.tuple(vec![]) } else { args[1].clone() };
            let names = [vm.intern("type_params")];
            vm.call(&typing("TypeAliasType")?, Args { all: &[args[0].clone(), value, params], names: &names })
        }
        Intrinsic::SubscriptGeneric => {
            let generic = typing("Generic")?;
            let mut items = Vec::new();
            let variadic = typing("TypeVarTuple")?;
            for item in vm.to_vec(&args[0])? {
                if vm.is_a(&item, &variadic) {
                    items.extend(vm.to_vec(&item)?);
                } else {
                    items.push(item);
                }
            }
            vm.get_item(&generic, &vm.tuple(items))
        }
        Intrinsic::SetTypeParams => {
            vm.set_attr(&args[0], &vm.names.__type_params__, args[1].clone())?;
            Ok(args[0].clone())
        }
        Intrinsic::Print => {
            let sys = vm.sys.borrow().clone();
            let name = vm.intern("displayhook");
            match vm.dict_get_name(&sys, &name) {
                Some(hook) => vm.call_pos(&hook, args),
                None => Err(vm.runtime_error("lost sys.displayhook")),
            }
        }
        Intrinsic::SetDefault => Ok(Value::NONE),
        Intrinsic::Interpolation => Ok(pyc_runtime::template::interpolation(vm, args)),
        Intrinsic::Template => pyc_runtime::template::template(vm, args),
    }
}
