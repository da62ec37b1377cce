//! `_contextvars`: a stack of contexts, each a map from variables to values.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pyc_runtime::types::flag;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

/// `ContextVar`
struct Variable {
    name: Value,
    default: Value,
}
impl Payload for Variable {}

/// `Token`
struct Token {
    variable: Value,
    context: Value,
    old: Value,
    used: Cell<bool>,
}
impl Payload for Token {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.context);
        visit(&self.old);
    }
}

/// `Context`
#[derive(Default)]
struct Context {
    values: RefCell<Vec<(Value, Value)>>,
    entered: Cell<bool>,
}
impl Payload for Context {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.values.borrow().iter().for_each(|(_, v)| visit(v));
    }
    fn clear(&self) {
        drop(self.values.take());
    }
}

struct State {
    current: RefCell<Value>,
    context_type: Value,
    token_type: Value,
    missing: Value,
}

fn state(vm: &Vm) -> Rc<State> {
    vm.state("contextvars", || {
        let context_type = context_type(vm);
        let missing = vm.new_type::<pyc_runtime::registry::Plain>("_contextvars", "Token.MISSING", None, 0);
        vm.add_methods(&missing, &[("__repr__", "", |vm, _| Ok(vm.str("<Token.MISSING>")))]);
        let missing = new_object(&missing, pyc_runtime::registry::Plain);
        let token_type = token_type(vm, &missing);
        let current = RefCell::new(new_object(&context_type, Context::default()));
        State { current, context_type, token_type, missing }
    })
}

fn context(value: &Value) -> &Context {
    value.get::<Context>().expect("the descriptor checked the type")
}

fn variable(value: &Value) -> &Variable {
    value.get::<Variable>().expect("the descriptor checked the type")
}

fn find(context: &Context, variable: &Value) -> Option<Value> {
    context.values.borrow().iter().find(|(k, _)| k.is(variable)).map(|(_, v)| v.clone())
}

/// Sets or removes a variable's value and gives the old one.
fn replace(context: &Context, variable: &Value, value: Option<Value>) -> Option<Value> {
    let mut values = context.values.borrow_mut();
    match (values.iter().position(|(k, _)| k.is(variable)), value) {
        (Some(at), Some(value)) => Some(std::mem::replace(&mut values[at].1, value)),
        (Some(at), None) => Some(values.remove(at).1),
        (None, Some(value)) => {
            values.push((variable.clone(), value));
            None
        }
        (None, None) => None,
    }
}

fn check_variable(vm: &Vm, key: &Value) -> PyResult<()> {
    if key.get::<Variable>().is_some() {
        return Ok(());
    }
    Err(vm.type_error(format!("a ContextVar key was expected, got {}", vm.repr_text(key)?)))
}

fn run(vm: &Vm, args: Args) -> PyResult {
    let Some(function) = args.positional().get(1) else {
        return Err(vm.type_error("run() missing 1 required positional argument"));
    };
    let own = context(&args.all[0]);
    if own.entered.replace(true) {
        return Err(vm.runtime_error(format!(
            "cannot enter context: {} is already entered",
            vm.repr_text(&args.all[0])?
        )));
    }
    let before = state(vm).current.replace(args.all[0].clone());
    let result = vm.call(function, Args { all: &args.all[2..], names: args.names });
    drop(state(vm).current.replace(before));
    own.entered.set(false);
    result
}

fn copy(vm: &Vm, of: &Value) -> Value {
    let values = RefCell::new(context(of).values.borrow().clone());
    new_object(&state(vm).context_type, Context { values, entered: Cell::new(false) })
}

fn pairs(vm: &Vm, this: &Value, pick: fn(&Vm, &Value, &Value) -> Value) -> PyResult {
    let all = context(this).values.borrow().iter().map(|(k, v)| pick(vm, k, v)).collect();
    vm.iter(&vm.list(all))
}

fn context_type(vm: &Vm) -> Value {
    let ty = vm.new_type::<Context>("_contextvars", "Context", None, flag::WEAK | flag::MAPPING);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "", |_, args| Ok(new_object(&args[0], Context::default()))),
            ("run", "...", run),
            ("copy", "", |vm, args| Ok(copy(vm, &args[0]))),
            ("__getitem__", "key /", |vm, args| {
                check_variable(vm, &args[1])?;
                find(context(&args[0]), &args[1]).ok_or_else(|| vm.key_error(&args[1]))
            }),
            ("get", "key default? /", |vm, args| {
                check_variable(vm, &args[1])?;
                let default = || args.opt(2).cloned().unwrap_or(Value::NONE);
                Ok(find(context(&args[0]), &args[1]).unwrap_or_else(default))
            }),
            ("__contains__", "key /", |vm, args| {
                check_variable(vm, &args[1])?;
                Ok(Value::from_bool(find(context(&args[0]), &args[1]).is_some()))
            }),
            ("__len__", "", |_, args| Ok(Value::from_len(context(&args[0]).values.borrow().len()))),
            ("__iter__", "", |vm, args| pairs(vm, &args[0], |_, k, _| k.clone())),
            ("keys", "", |vm, args| pairs(vm, &args[0], |_, k, _| k.clone())),
            ("values", "", |vm, args| pairs(vm, &args[0], |_, _, v| v.clone())),
            ("items", "", |vm, args| pairs(vm, &args[0], |vm, k, v| vm.tuple(vec![k.clone(), v.clone()]))),
            ("__eq__", "other /", |vm, args| {
                let Some(other) = args[1].get::<Context>() else { return Ok(Value::NOT_IMPLEMENTED) };
                let mine = context(&args[0]).values.borrow().clone();
                if mine.len() != other.values.borrow().len() {
                    return Ok(Value::FALSE);
                }
                for (key, value) in &mine {
                    match find(other, key) {
                        Some(theirs) if vm.equal(value, &theirs)? => {}
                        _ => return Ok(Value::FALSE),
                    }
                }
                Ok(Value::TRUE)
            }),
        ],
    );
    vm.set_type_attr(&ty, "__hash__", Value::NONE);
    vm.type_changed(&ty);
    ty
}

fn token(value: &Value) -> &Token {
    value.get::<Token>().expect("the descriptor checked the type")
}

fn token_type(vm: &Vm, missing: &Value) -> Value {
    let ty = vm.new_type::<Token>("_contextvars", "Token", None, flag::NO_NEW);
    vm.add_methods(
        &ty,
        &[
            ("__repr__", "", |vm, args| {
                let t = token(&args[0]);
                let used = if t.used.get() { " used" } else { "" };
                let variable = vm.repr_text(&t.variable)?;
                Ok(vm.str(&format!("<Token{used} var={variable} at {:#x}>", args[0].bits())))
            }),
            ("__enter__", "", |_, args| Ok(args[0].clone())),
            ("__exit__", "...", |vm, args| {
                let t = token(&args.all[0]);
                vm.call_method_str(&t.variable.clone(), "reset", &[args.all[0].clone()])
            }),
        ],
    );
    vm.add_getset(&ty, "var", |_, this| Ok(token(this).variable.clone()), None);
    vm.add_getset(&ty, "old_value", |_, this| Ok(token(this).old.clone()), None);
    vm.set_type_attr(&ty, "MISSING", missing.clone());
    vm.add_class_methods(
        &ty,
        &[("__class_getitem__", "item /", |vm, args| pyc_runtime::generic::alias(vm, &args[0], &args[1]))],
    );
    vm.type_changed(&ty);
    ty
}

fn reset(vm: &Vm, args: Args) -> PyResult {
    let Some(t) = args[1].get::<Token>() else {
        return Err(vm.type_error(format!("expected an instance of Token, got {}", vm.repr_text(&args[1])?)));
    };
    if t.used.get() {
        let text = vm.repr_text(&args[1])?;
        return Err(vm.runtime_error(format!("{text} has already been used once")));
    }
    if !t.variable.is(&args[0]) {
        let text = vm.repr_text(&args[1])?;
        return Err(vm.value_error(format!("{text} was created by a different ContextVar")));
    }
    let current = state(vm).current.borrow().clone();
    if !t.context.is(&current) {
        let text = vm.repr_text(&args[1])?;
        return Err(vm.value_error(format!("{text} was created in a different Context")));
    }
    t.used.set(true);
    let old = Some(t.old.clone()).filter(|o| !o.is(&state(vm).missing));
    drop(replace(context(&current), &args[0], old));
    Ok(Value::NONE)
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let shared = state(vm);
    let module = vm.native_module_object(
        "_contextvars",
        &[("copy_context", "", |vm, _| {
            let current = state(vm).current.borrow().clone();
            Ok(copy(vm, &current))
        })],
    );
    let ty = vm.new_type::<Variable>("_contextvars", "ContextVar", None, flag::WEAK);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "name / * default?", |vm, args| {
                if args[1].kind() != pyc_runtime::Kind::Str {
                    return Err(vm.type_error("context variable name must be a str"));
                }
                let default = args.opt(2).cloned().unwrap_or(Value::UNBOUND);
                Ok(new_object(&args[0], Variable { name: args[1].clone(), default }))
            }),
            ("get", "default? /", |vm, args| {
                let current = state(vm).current.borrow().clone();
                if let Some(value) = find(context(&current), &args[0]) {
                    return Ok(value);
                }
                match args.opt(1).or(variable(&args[0]).default.bound()) {
                    Some(default) => Ok(default.clone()),
                    None => Err(vm.raise_with(&vm.exc.lookup_error, vec![args[0].clone()])),
                }
            }),
            ("set", "value /", |vm, args| {
                let shared = state(vm);
                let current = shared.current.borrow().clone();
                let old = replace(context(&current), &args[0], Some(args[1].clone()));
                let old = old.unwrap_or_else(|| shared.missing.clone());
                let made = Token { variable: args[0].clone(), context: current, old, used: Cell::new(false) };
                Ok(new_object(&shared.token_type, made))
            }),
            ("reset", "token /", reset),
            ("__repr__", "", |vm, args| {
                let v = variable(&args[0]);
                let name = vm.repr_text(&v.name)?;
                let default = match v.default.bound() {
                    Some(default) => format!(" default={}", vm.repr_text(default)?),
                    None => String::new(),
                };
                Ok(vm.str(&format!("<ContextVar name={name}{default} at {:#x}>", args[0].bits())))
            }),
        ],
    );
    vm.add_getset(&ty, "name", |_, this| Ok(variable(this).name.clone()), None);
    vm.add_class_methods(
        &ty,
        &[("__class_getitem__", "item /", |vm, args| pyc_runtime::generic::alias(vm, &args[0], &args[1]))],
    );
    vm.type_changed(&ty);
    vm.module_set(&module, "ContextVar", ty);
    vm.module_set(&module, "Context", shared.context_type.clone());
    vm.module_set(&module, "Token", shared.token_type.clone());
    Ok(module)
}
