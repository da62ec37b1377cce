//! `_contextvars`: one context, as there is one thread.

use std::cell::RefCell;

use pyc_runtime::types::flag;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

/// `ContextVar`
struct Variable {
    name: Value,
    default: Value,
    value: RefCell<Value>,
}
impl Payload for Variable {}

/// `Token`
struct Token {
    variable: Value,
    old: Value,
}
impl Payload for Token {}

/// `Context`
struct Context;
impl Payload for Context {}

fn own(value: &Value) -> &Variable {
    value.get::<Variable>().expect("the descriptor checked the type")
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "_contextvars",
        &[("copy_context", "", |vm, _| {
            let ty = vm.get_attr_str(&vm.import("_contextvars")?, "Context")?;
            vm.call_pos(&ty, &[])
        })],
    );
    let token = vm.new_type::<Token>("_contextvars", "Token", None, 0);
    vm.add_getset(
        &token,
        "var",
        |_, this| Ok(this.get::<Token>().map_or(Value::NONE, |t| t.variable.clone())),
        None,
    );
    vm.module_set(&module, "Token", token);
    let variable = vm.new_type::<Variable>("_contextvars", "ContextVar", None, flag::WEAK);
    vm.add_methods(
        &variable,
        &[
            ("__new__", "name / * default?", |_, args| {
                let default = args.opt(2).cloned().unwrap_or(Value::UNBOUND);
                Ok(new_object(
                    &args[0],
                    Variable { name: args[1].clone(), default, value: RefCell::new(Value::UNBOUND) },
                ))
            }),
            ("get", "default? /", |vm, args| {
                let v = own(&args[0]);
                let held = v.value.borrow().clone();
                if !held.is_unbound() {
                    return Ok(held);
                }
                if let Some(default) = args.opt(1).or(v.default.bound()) {
                    return Ok(default.clone());
                }
                Err(vm.raise_with(&vm.exc.lookup_error, vec![args[0].clone()]))
            }),
            ("set", "value /", |vm, args| {
                let old = own(&args[0]).value.replace(args[1].clone());
                let ty = vm.get_attr_str(&vm.import("_contextvars")?, "Token")?;
                Ok(new_object(&ty, Token { variable: args[0].clone(), old }))
            }),
            ("reset", "token /", |vm, args| {
                let Some(token) = args[1].get::<Token>() else {
                    return Err(vm.type_error("expected an instance of Token"));
                };
                drop(own(&args[0]).value.replace(token.old.clone()));
                Ok(Value::NONE)
            }),
        ],
    );
    vm.add_getset(&variable, "name", |_, this| Ok(own(this).name.clone()), None);
    vm.add_class_methods(
        &variable,
        &[("__class_getitem__", "item /", |vm, args| pyc_runtime::generic::alias(vm, &args[0], &args[1]))],
    );
    vm.module_set(&module, "ContextVar", variable);
    let context = vm.new_type::<Context>("_contextvars", "Context", None, flag::WEAK);
    vm.add_methods(
        &context,
        &[
            ("__new__", "", |_, args| Ok(new_object(&args[0], Context))),
            ("run", "...", |vm, args: Args| {
                vm.call(&args.all[1], Args { all: &args.all[2..], names: args.names })
            }),
            ("copy", "", |_, args| Ok(args[0].clone())),
        ],
    );
    vm.module_set(&module, "Context", context);
    Ok(module)
}
