//! `functools.partial` and its `Placeholder`.

use std::cell::RefCell;

use pyc_runtime::containers::{DictData, TupleData};
use pyc_runtime::registry::Plain;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Kind, Payload, PyResult, Value, Vm, new_object};

/// Function, arguments, keywords, and how many of the arguments are placeholders.
#[derive(Clone)]
struct Parts {
    function: Value,
    first: Value,
    keywords: Value,
    holes: usize,
}

struct Partial(RefCell<Parts>);
impl Payload for Partial {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        let p = self.0.borrow();
        visit(&p.function);
        visit(&p.first);
        visit(&p.keywords);
    }
}

fn own(value: &Value) -> Parts {
    value.get::<Partial>().expect("the descriptor checked the type").0.borrow().clone()
}

fn placeholder(vm: &Vm) -> Value {
    (*vm.state("functools_placeholder", || {
        let ty = vm.new_type::<Plain>("functools", "_PlaceholderType", None, flag::NO_NEW);
        vm.add_methods(
            &ty,
            &[
                ("__repr__", "", |vm, _| Ok(vm.str("Placeholder"))),
                ("__reduce__", "", |vm, _| Ok(vm.str("Placeholder"))),
            ],
        );
        vm.type_changed(&ty);
        new_object(&ty, Plain)
    }))
    .clone()
}

fn callable(vm: &Vm, value: &Value) -> bool {
    vm.special(value, &vm.names.__call__).is_some()
}

/// Puts arguments where placeholders are; what is left over stands behind.
fn fill(vm: &Vm, first: &[Value], given: &[Value]) -> Vec<Value> {
    let hole = placeholder(vm);
    let mut given = given.iter();
    let mut all: Vec<Value> = first
        .iter()
        .map(|v| if v.is(&hole) { given.next().cloned().unwrap_or_else(|| hole.clone()) } else { v.clone() })
        .collect();
    all.extend(given.cloned());
    all
}

fn count_holes(vm: &Vm, values: &[Value]) -> usize {
    let hole = placeholder(vm);
    values.iter().filter(|v| v.is(&hole)).count()
}

fn no_trailing(vm: &Vm, values: &[Value]) -> PyResult<()> {
    match values.last() {
        Some(last) if last.is(&placeholder(vm)) => {
            Err(vm.type_error("trailing Placeholders are not allowed"))
        }
        _ => Ok(()),
    }
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let positional = args.positional();
    let Some(function) = positional.get(1) else {
        return Err(vm.type_error("type 'partial' takes at least one argument"));
    };
    if !callable(vm, function) {
        return Err(vm.type_error("the first argument must be callable"));
    }
    let given = &positional[2..];
    no_trailing(vm, given)?;
    let hole = placeholder(vm);
    if args.keywords().any(|(_, value)| value.is(&hole)) {
        return Err(vm.type_error("Placeholder cannot be passed as a keyword argument"));
    }
    let (mut function, mut first, keywords) = (function.clone(), given.to_vec(), vm.dict());
    // A plain partial of a partial is one partial; an instance with attributes of its own stays what it is.
    let flat = function.get::<Partial>().is_some()
        && vm.type_of(&function).is(&args.all[0])
        && vm.instance_dict(&function).is_none_or(|d| vm.dict_len(&d) == 0);
    if flat {
        let inner = own(&function);
        let before = inner.first.get::<TupleData>().map(|t| t.items().to_vec()).unwrap_or_default();
        first = fill(vm, &before, given);
        vm.dict_update(&keywords, &inner.keywords)?;
        function = inner.function;
    }
    for (name, value) in args.keywords() {
        vm.dict_set(&keywords, name.clone(), value.clone())?;
    }
    let holes = count_holes(vm, &first);
    let parts = Parts { function, first: vm.tuple(first), keywords, holes };
    Ok(new_object(&args.all[0], Partial(RefCell::new(parts))))
}

fn call(vm: &Vm, args: Args) -> PyResult {
    let parts = own(&args.all[0]);
    let given = &args.positional()[1..];
    if given.len() < parts.holes {
        return Err(vm.type_error(format!(
            "missing positional arguments in 'partial' call; expected at least {}, got {}",
            parts.holes,
            given.len()
        )));
    }
    let first = parts.first.get::<TupleData>().map(TupleData::items).unwrap_or_default();
    let mut all = if parts.holes > 0 {
        fill(vm, first, given)
    } else {
        let mut all = first.to_vec();
        all.extend_from_slice(given);
        all
    };
    let mut names: Vec<Value> = Vec::new();
    for (key, value) in parts.keywords.get::<DictData>().map(DictData::items).unwrap_or_default() {
        if key.kind() != Kind::Str {
            return Err(vm.type_error("keywords must be strings"));
        }
        if !args.names.iter().any(|n| n.is(&key) || vm.text(n) == vm.text(&key)) {
            names.push(vm.intern_value(&key));
            all.push(value);
        }
    }
    for (name, value) in args.keywords() {
        names.push(name.clone());
        all.push(value.clone());
    }
    vm.call(&parts.function, Args { all: &all, names: &names })
}

fn repr(vm: &Vm, args: Args) -> PyResult {
    let class = vm.type_of(&args[0]).clone();
    let text = |name: &Value| -> PyResult<String> {
        let value = vm.get_attr(&class, name)?;
        vm.str_text(&value)
    };
    let name = format!("{}.{}", text(&vm.names.__module__)?, text(&vm.names.__qualname__)?);
    if !vm.repr_enter(&args[0]) {
        return Ok(vm.str("..."));
    }
    let make = || -> PyResult {
        let parts = own(&args[0]);
        let mut shown = vec![vm.repr_text(&parts.function)?];
        for value in vm.to_vec(&parts.first)? {
            shown.push(vm.repr_text(&value)?);
        }
        for (key, value) in parts.keywords.get::<DictData>().map(DictData::items).unwrap_or_default() {
            let key = vm.to_str(&key)?;
            shown.push(format!("{}={}", vm.str_text(&key)?, vm.repr_text(&value)?));
        }
        Ok(vm.str(&format!("{name}({})", shown.join(", "))))
    };
    let result = make();
    vm.repr_leave();
    result
}

fn reduce(vm: &Vm, args: Args) -> PyResult {
    let parts = own(&args[0]);
    let namespace = match vm.instance_dict(&args[0]) {
        Some(dict) if vm.dict_len(&dict) > 0 => dict,
        _ => Value::NONE,
    };
    let state = vm.tuple(vec![parts.function.clone(), parts.first, parts.keywords, namespace]);
    Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), vm.tuple(vec![parts.function]), state]))
}

fn set_state(vm: &Vm, args: Args) -> PyResult {
    let state = args[1].get::<TupleData>().map(TupleData::items);
    let wrong = || vm.type_error("invalid partial state");
    let Some([function, first, keywords, namespace]) = state else { return Err(wrong()) };
    let dict_or_none = |v: &Value| v.is_none() || v.kind() == Kind::Dict;
    let Some(values) = first.get::<TupleData>() else { return Err(wrong()) };
    if !callable(vm, function) || !dict_or_none(keywords) || !dict_or_none(namespace) {
        return Err(wrong());
    }
    no_trailing(vm, values.items())?;
    let holes = count_holes(vm, values.items());
    let first = if first.is_exact() { first.clone() } else { vm.tuple(values.items().to_vec()) };
    let keywords = match keywords {
        k if k.is_none() => vm.dict(),
        k if k.is_exact() => k.clone(),
        k => vm.dict_copy(k),
    };
    if let Some(p) = args[0].get::<Partial>() {
        drop(p.0.replace(Parts { function: function.clone(), first, keywords, holes }));
    }
    let namespace = if namespace.is_none() { vm.dict() } else { namespace.clone() };
    vm.set_attr(&args[0], &vm.names.__dict__, namespace)?;
    Ok(Value::NONE)
}

pub(crate) fn add(vm: &Vm, module: &Value) {
    let partial = vm.new_type::<Partial>("functools", "partial", None, flag::BASE | flag::ATTRS | flag::WEAK);
    vm.add_methods(
        &partial,
        &[
            ("__new__", "...", new),
            ("__call__", "...", call),
            ("__repr__", "", repr),
            ("__reduce__", "", reduce),
            ("__setstate__", "state /", set_state),
            ("__get__", "instance owner? /", |vm, args| {
                Ok(if args[1].is_none() {
                    args[0].clone()
                } else {
                    vm.method(args[0].clone(), args[1].clone())
                })
            }),
        ],
    );
    vm.add_getset(&partial, "func", |_, this| Ok(own(this).function), None);
    vm.add_getset(&partial, "args", |_, this| Ok(own(this).first), None);
    vm.add_getset(&partial, "keywords", |_, this| Ok(own(this).keywords), None);
    vm.add_getset(&partial, "_phcount", |_, this| Ok(Value::from_len(own(this).holes)), None);
    vm.add_class_methods(
        &partial,
        &[("__class_getitem__", "item /", |vm, args| pyc_runtime::generic::alias(vm, &args[0], &args[1]))],
    );
    vm.type_changed(&partial);
    vm.module_set(module, "partial", partial);
    let hole = placeholder(vm);
    vm.module_set(module, "_PlaceholderType", vm.type_of(&hole).clone());
    vm.module_set(module, "Placeholder", hole);
}
