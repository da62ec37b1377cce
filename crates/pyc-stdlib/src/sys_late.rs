//! The attributes of `sys` that few programs ask for, made when they are first asked for: a program that prints a line
//! should not wait for eight classes.

use pyc_runtime::containers::DictData;
use pyc_runtime::registry::Plain;
use pyc_runtime::{Args, PyResult, Value, Vm, new_object};

use crate::sys_module::VERSION;

/// Makes an attribute's value.
type Make = fn(&Vm) -> PyResult;

const LATE: &[(&str, Make)] = &[
    ("version_info", version_info),
    ("implementation", implementation),
    ("flags", flags),
    ("float_info", float_info),
    ("int_info", int_info),
    ("hash_info", hash_info),
    ("_asyncgen_hooks", crate::sys_hooks::asyncgen_hooks),
    ("monitoring", crate::sys_hooks::monitoring),
    ("thread_info", crate::sys_hooks::thread_info),
];

/// The module's `__getattr__`.
pub(crate) fn get(vm: &Vm, args: Args) -> PyResult {
    let name = vm.text(&args[0]);
    if let Some(value) = value(vm, &name)? {
        return Ok(value);
    }
    let module = vm.loaded_module("sys").unwrap_or(Value::NONE);
    Err(vm.no_attribute(&module, &args[0]))
}

/// The module's `__dir__`.
pub(crate) fn dir(vm: &Vm, _: Args) -> PyResult {
    for (name, _) in LATE {
        value(vm, name)?;
    }
    let sys = vm.sys.borrow().clone();
    let items = sys.get::<DictData>().map(DictData::items).unwrap_or_default();
    let hidden = ["__getattr__", "__dir__"];
    Ok(vm.list(items.into_iter().map(|(k, _)| k).filter(|k| !hidden.contains(&&*vm.text(k))).collect()))
}

/// An attribute that is made late; nothing for other names.
pub(crate) fn value(vm: &Vm, name: &str) -> PyResult<Option<Value>> {
    let Some((_, make)) = LATE.iter().find(|(late, _)| *late == name) else { return Ok(None) };
    let sys = vm.sys.borrow().clone();
    if let Some(made) = vm.dict_get_name(&sys, &vm.intern(name)) {
        return Ok(Some(made));
    }
    let made = make(vm)?;
    vm.dict_set_str(&sys, name, made.clone());
    Ok(Some(made))
}

fn version_info(vm: &Vm) -> PyResult {
    let version = vec![
        Value::from_i32(VERSION.0),
        Value::from_i32(VERSION.1),
        Value::from_i32(VERSION.2),
        vm.str("final"),
        Value::from_i32(0),
    ];
    struct_sequence(vm, "version_info", &["major", "minor", "micro", "releaselevel", "serial"], version)
}

fn implementation(vm: &Vm) -> PyResult {
    let info = value(vm, "version_info")?.unwrap_or(Value::NONE);
    Ok(named(
        vm,
        &[
            ("name", vm.str("mynah")),
            ("version", info),
            ("cache_tag", vm.str("mynah-312")),
            ("hexversion", Value::from_i32(VERSION.0 << 24 | VERSION.1 << 16)),
        ],
    ))
}

fn flags(vm: &Vm) -> PyResult {
    let flag_names = [
        "debug",
        "inspect",
        "interactive",
        "optimize",
        "dont_write_bytecode",
        "no_user_site",
        "no_site",
        "ignore_environment",
        "verbose",
        "bytes_warning",
        "quiet",
        "hash_randomization",
        "isolated",
        "dev_mode",
        "utf8_mode",
        "warn_default_encoding",
        "safe_path",
        "int_max_str_digits",
        "gil",
        "thread_inherit_context",
        "context_aware_warnings",
    ];
    let flags: Vec<Value> = flag_names
        .iter()
        .map(|name| match *name {
            "dev_mode" | "safe_path" => Value::FALSE,
            "int_max_str_digits" => Value::from_i32(4300),
            "utf8_mode" | "dont_write_bytecode" | "gil" => Value::from_i32(1),
            _ => Value::from_i32(0),
        })
        .collect();
    struct_sequence(vm, "flags", &flag_names, flags)
}

fn float_info(vm: &Vm) -> PyResult {
    let float = [
        ("max", vm.float(f64::MAX)),
        ("max_exp", Value::from_i32(1024)),
        ("max_10_exp", Value::from_i32(308)),
        ("min", vm.float(f64::MIN_POSITIVE)),
        ("min_exp", Value::from_i32(-1021)),
        ("min_10_exp", Value::from_i32(-307)),
        ("dig", Value::from_i32(15)),
        ("mant_dig", Value::from_i32(53)),
        ("epsilon", vm.float(f64::EPSILON)),
        ("radix", Value::from_i32(2)),
        ("rounds", Value::from_i32(1)),
    ];
    let (keys, values): (Vec<&str>, Vec<Value>) = float.into_iter().unzip();
    struct_sequence(vm, "float_info", &keys, values)
}

fn int_info(vm: &Vm) -> PyResult {
    let int = [
        ("bits_per_digit", 30),
        ("sizeof_digit", 4),
        ("default_max_str_digits", 4300),
        ("str_digits_check_threshold", 640),
    ];
    let values = int.iter().map(|(_, n)| Value::from_i32(*n)).collect();
    struct_sequence(vm, "int_info", &int.map(|(n, _)| n), values)
}

fn hash_info(vm: &Vm) -> PyResult {
    let hash =
        [("width", 64i64), ("modulus", (1 << 61) - 1), ("inf", 314_159), ("nan", 0), ("imag", 1_000_003)];
    let values = hash.iter().map(|(_, n)| vm.int(*n)).collect();
    struct_sequence(vm, "hash_info", &hash.map(|(n, _)| n), values)
}

fn named(vm: &Vm, parts: &[(&str, Value)]) -> Value {
    let object = new_object(&vm.types.namespace, Plain);
    for (key, value) in parts {
        let key = vm.intern(key);
        vm.set_attr_raw(&object, &key, value.clone());
    }
    object
}

/// A class derived from tuple whose attributes are its items.
fn struct_sequence(vm: &Vm, name: &str, fields: &[&str], values: Vec<Value>) -> PyResult {
    let namespace = vm.dict();
    let itemgetter = vm.get_attr_str(&vm.import("_operator")?, "itemgetter")?;
    for (at, field) in fields.iter().enumerate() {
        let getter = vm.call_pos(&itemgetter, &[Value::from_len(at)])?;
        let property = vm.call_pos(&vm.types.property, &[getter])?;
        vm.dict_set_str(&namespace, field, property);
    }
    vm.dict_set_str(&namespace, "__module__", vm.str("sys"));
    vm.dict_set_str(&namespace, "__slots__", vm.tuple(vec![]));
    vm.dict_set_str(&namespace, "n_fields", Value::from_len(fields.len()));
    let fields_list = vm.tuple(fields.iter().map(|f| vm.str(f)).collect());
    vm.dict_set_str(&namespace, "_fields_", fields_list);
    let bases = vm.tuple(vec![vm.types.tuple.clone()]);
    let ty = vm.call_pos(&vm.types.type_, &[vm.str(name), bases, namespace])?;
    let repr = vm.native(
        "__repr__",
        "",
        struct_repr,
        pyc_runtime::function::Flavor::Wrapper,
        vm.types.tuple.clone(),
    );
    vm.set_type_attr(&ty, "__repr__", repr);
    let items = vm.tuple(values);
    vm.call_pos(&ty, &[items])
}

fn struct_repr(vm: &Vm, args: Args) -> PyResult {
    let fields = vm.to_vec(&vm.get_attr_str(&args[0], "_fields_")?)?;
    let mut parts = Vec::new();
    for (field, value) in fields.iter().zip(vm.to_vec(&vm.tuple(vm.to_vec(&args[0])?))?) {
        parts.push(format!("{}={}", vm.text(field), vm.repr_text(&value)?));
    }
    Ok(vm.str(&format!("sys.{}({})", vm.type_name(&args[0]), parts.join(", "))))
}
