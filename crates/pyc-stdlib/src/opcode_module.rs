//! `_opcode`, `_imp`, `_tokenize`: what the library asks of CPython's own machinery.
//!
//! Programs here have registers and no byte code, so no opcode has an argument, and whatever would need byte code is
//! refused by name.

use pyc_runtime::{Args, Method, PyResult, Value, Vm};

fn never(_: &Vm, _: Args) -> PyResult {
    Ok(Value::FALSE)
}

fn nothing(vm: &Vm, _: Args) -> PyResult {
    Ok(vm.list(vec![]))
}

const OPCODE: &[Method] = &[
    ("is_valid", "opcode", never),
    ("has_arg", "opcode", never),
    ("has_const", "opcode", never),
    ("has_name", "opcode", never),
    ("has_jump", "opcode", never),
    ("has_free", "opcode", never),
    ("has_local", "opcode", never),
    ("has_exc", "opcode", never),
    ("get_intrinsic1_descs", "", nothing),
    ("get_intrinsic2_descs", "", nothing),
    ("get_special_method_names", "", nothing),
    ("get_nb_ops", "", nothing),
    ("get_specialization_stats", "", |_, _| Ok(Value::NONE)),
    ("stack_effect", "...", |vm, _| {
        Err(vm.raise(&vm.exc.not_implemented_error, "stack_effect: programs have no byte code"))
    }),
    ("get_executor", "...", |vm, _| {
        Err(vm.raise(&vm.exc.not_implemented_error, "get_executor: programs have no byte code"))
    }),
];

pub(crate) fn opcode_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object("_opcode", OPCODE))
}

const IMP: &[Method] = &[
    ("acquire_lock", "", |_, _| Ok(Value::NONE)),
    ("release_lock", "", |_, _| Ok(Value::NONE)),
    ("lock_held", "", never),
    ("extension_suffixes", "", nothing),
    ("is_builtin", "name /", |vm, args| {
        Ok(Value::from_i32(i32::from(vm.native_module(&vm.text(&args[0])).is_some())))
    }),
    ("is_frozen", "name /", never),
    ("is_frozen_package", "name /", never),
    ("create_builtin", "spec /", |vm, args| {
        let name = vm.get_attr(&args[0], &vm.names.name)?;
        vm.import(&vm.str_text(&name)?)
    }),
    ("exec_builtin", "module /", |_, _| Ok(Value::from_i32(0))),
    ("_override_frozen_modules_for_tests", "override /", |_, _| Ok(Value::NONE)),
    ("_override_multi_interp_extensions_check", "override /", |_, _| Ok(Value::from_i32(0))),
    ("_frozen_module_names", "", nothing),
    ("get_frozen_object", "name data? /", |vm, args| {
        let name = vm.text(&args[0]);
        Err(vm.raise(&vm.exc.import_error, &format!("No such frozen object named {name}")))
    }),
    ("source_hash", "key source /", |vm, _| {
        Err(vm.raise(&vm.exc.not_implemented_error, "_imp.source_hash is not supported"))
    }),
    ("_fix_co_filename", "code path /", |vm, _| {
        Err(vm.raise(&vm.exc.not_implemented_error, "_imp._fix_co_filename is not supported"))
    }),
];

pub(crate) fn imp_module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("_imp", IMP);
    vm.module_set(&module, "check_hash_based_pycs", vm.str("never"));
    vm.module_set(&module, "pyc_magic_number_token", Value::from_i32(0));
    Ok(module)
}

/// `_tokenize`: its iterator is refused until there is a tokenizer to connect.
pub(crate) fn tokenize_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object(
        "_tokenize",
        &[("TokenizerIter", "...", |vm, _| {
            Err(vm.raise(&vm.exc.not_implemented_error, "the module tokenize is not supported"))
        })],
    ))
}
