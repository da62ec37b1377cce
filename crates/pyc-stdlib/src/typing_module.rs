//! `_typing`: type variables, aliases and `Generic`, for the library's `typing`.

use std::cell::RefCell;

use pyc_runtime::registry::Plain;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

/// What kind of parameter a type variable is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    One,
    Many,
    Parameters,
}

/// `TypeVar`, `TypeVarTuple`, `ParamSpec`
struct Variable {
    sort: Sort,
    name: Value,
    bound: Value,
    constraints: Value,
    covariant: bool,
    contravariant: bool,
    infer: bool,
    default: RefCell<Value>,
}
impl Payload for Variable {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.bound);
        visit(&self.constraints);
        visit(&self.default.borrow());
    }
}

/// `ParamSpecArgs`, `ParamSpecKwargs`
struct Part {
    origin: Value,
}
impl Payload for Part {}

/// `TypeAliasType`
struct Alias {
    name: Value,
    value: Value,
    parameters: Value,
}
impl Payload for Alias {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.value);
        visit(&self.parameters);
    }
}

fn variable(value: &Value) -> &Variable {
    value.get::<Variable>().expect("the descriptor checked the type")
}

fn typing(vm: &Vm, name: &str, args: &[Value]) -> PyResult {
    let module = vm.import("typing")?;
    vm.call_method_str(&module, name, args)
}

/// Remembers the module whose code makes an object.
fn placed(vm: &Vm, made: Value) -> Value {
    let module = vm.current_global(&vm.names.__name__).unwrap_or(Value::NONE);
    vm.set_attr_raw(&made, &vm.names.__module__, module);
    made
}

fn no_default(vm: &Vm) -> Value {
    (*vm.state("typing_no_default", || {
        let ty = vm.new_type::<Plain>("typing", "NoDefaultType", None, 0);
        vm.add_methods(
            &ty,
            &[
                ("__repr__", "", |vm, _| Ok(vm.str("typing.NoDefault"))),
                ("__reduce__", "", |vm, _| Ok(vm.str("NoDefault"))),
            ],
        );
        new_object(&ty, Plain)
    }))
    .clone()
}

fn check_name(vm: &Vm, name: &Value, ty: &str) -> PyResult<()> {
    match name.kind() {
        pyc_runtime::Kind::Str => Ok(()),
        _ => Err(vm.type_error(format!("{ty}() argument 'name' must be str, not {}", vm.type_name(name)))),
    }
}

fn new_type_var(vm: &Vm, args: Args) -> PyResult {
    let positional = args.positional();
    let [class, name, constraints @ ..] = positional else {
        return Err(vm.type_error("TypeVar() missing required argument 'name' (pos 1)"));
    };
    check_name(vm, name, "typevar")?;
    let (mut bound, mut default) = (Value::NONE, no_default(vm));
    let (mut covariant, mut contravariant, mut infer) = (false, false, false);
    for (key, value) in args.keywords() {
        match &*vm.text(key) {
            "bound" => bound = value.clone(),
            "default" => default = value.clone(),
            "covariant" => covariant = vm.truth(value)?,
            "contravariant" => contravariant = vm.truth(value)?,
            "infer_variance" => infer = vm.truth(value)?,
            other => {
                return Err(vm.type_error(format!("typevar() got an unexpected keyword argument '{other}'")));
            }
        }
    }
    if covariant && contravariant {
        return Err(vm.value_error("Bivariant types are not supported."));
    }
    if infer && (covariant || contravariant) {
        return Err(vm.value_error("Variance cannot be specified with infer_variance."));
    }
    if !bound.is_none() {
        bound = typing(vm, "_type_check", &[bound, vm.str("Bound must be a type.")])?;
    }
    if constraints.len() == 1 {
        return Err(vm.type_error("A single constraint is not allowed"));
    }
    if !constraints.is_empty() && !bound.is_none() {
        return Err(vm.type_error("Constraints cannot be combined with bound=..."));
    }
    let mut checked = Vec::new();
    for constraint in constraints {
        let message = vm.str("TypeVar(name, constraint, ...): constraints must be types.");
        checked.push(typing(vm, "_type_check", &[constraint.clone(), message])?);
    }
    Ok(placed(
        vm,
        new_object(
            class,
            Variable {
                sort: Sort::One,
                name: name.clone(),
                bound,
                constraints: vm.tuple(checked),
                covariant,
                contravariant,
                infer,
                default: RefCell::new(default),
            },
        ),
    ))
}

fn new_other(vm: &Vm, args: Args, sort: Sort) -> PyResult {
    let name = args[1].clone();
    check_name(vm, &name, if sort == Sort::Many { "typevartuple" } else { "paramspec" })?;
    let flag = |at: usize| args.opt(at).map_or(Ok(false), |v| vm.truth(v));
    let many = sort == Sort::Many;
    let (bound, covariant, contravariant, infer, default) = if many {
        (Value::NONE, false, false, false, args.opt(2))
    } else {
        let bound = args.opt(2).cloned().unwrap_or(Value::NONE);
        (bound, flag(3)?, flag(4)?, flag(5)?, args.opt(6))
    };
    if covariant && contravariant {
        return Err(vm.value_error("Bivariant types are not supported."));
    }
    Ok(placed(
        vm,
        new_object(
            &args[0],
            Variable {
                sort,
                name,
                bound,
                constraints: vm.tuple(vec![]),
                covariant,
                contravariant,
                infer,
                default: RefCell::new(default.cloned().unwrap_or_else(|| no_default(vm))),
            },
        ),
    ))
}

fn repr(vm: &Vm, args: Args) -> PyResult {
    let v = variable(&args[0]);
    let name = vm.text(&v.name);
    let mark = match (v.sort, v.infer, v.covariant, v.contravariant) {
        (Sort::Many, ..) | (_, true, ..) => "",
        (_, _, true, _) => "+",
        (_, _, _, true) => "-",
        _ => "~",
    };
    Ok(vm.str(&format!("{mark}{name}")))
}

fn union_of(vm: &Vm, args: Args) -> PyResult {
    vm.get_item(&vm.types.union_type, &vm.tuple(vec![args[0].clone(), args[1].clone()]))
}

fn union_reversed(vm: &Vm, args: Args) -> PyResult {
    vm.get_item(&vm.types.union_type, &vm.tuple(vec![args[1].clone(), args[0].clone()]))
}

fn common(vm: &Vm, ty: &Value) {
    vm.add_methods(
        ty,
        &[
            ("__repr__", "", repr),
            ("__or__", "value /", union_of),
            ("__ror__", "value /", union_reversed),
            ("__reduce__", "", |_, args| Ok(variable(&args[0]).name.clone())),
            ("has_default", "", |vm, args| {
                let default = variable(&args[0]).default.borrow().clone();
                Ok(Value::from_bool(!default.is(&no_default(vm))))
            }),
            ("__mro_entries__", "bases /", |vm, args| {
                let kind = vm.type_name(&args[0]);
                Err(vm.type_error(format!("Cannot subclass an instance of {kind}")))
            }),
        ],
    );
    vm.add_getset(ty, "__name__", |_, this| Ok(variable(this).name.clone()), None);
    vm.add_getset(ty, "__default__", |_, this| Ok(variable(this).default.borrow().clone()), None);
    vm.add_getset(ty, "__covariant__", |_, t| Ok(Value::from_bool(variable(t).covariant)), None);
    vm.add_getset(ty, "__contravariant__", |_, t| Ok(Value::from_bool(variable(t).contravariant)), None);
    vm.add_getset(ty, "__infer_variance__", |_, t| Ok(Value::from_bool(variable(t).infer)), None);
    vm.add_getset(ty, "__bound__", |_, this| Ok(variable(this).bound.clone()), None);
    for name in ["evaluate_default", "evaluate_bound", "evaluate_constraints"] {
        vm.add_getset(ty, name, |_, _| Ok(Value::NONE), None);
    }
}

fn part_type(vm: &Vm, name: &'static str) -> Value {
    let ty = vm.new_type::<Part>("typing", name, None, flag::WEAK);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "origin /", |_, args| Ok(new_object(&args[0], Part { origin: args[1].clone() }))),
            ("__eq__", "other /", |vm, args| {
                let same_type = vm.type_of(&args[0]).is(vm.type_of(&args[1]));
                match (args[0].get::<Part>(), args[1].get::<Part>()) {
                    (Some(a), Some(b)) if same_type => Ok(Value::from_bool(vm.equal(&a.origin, &b.origin)?)),
                    _ => Ok(Value::NOT_IMPLEMENTED),
                }
            }),
            ("__repr__", "", |vm, args| {
                let origin = args[0].get::<Part>().map_or(Value::NONE, |p| p.origin.clone());
                let name = match origin.get::<Variable>() {
                    Some(v) => vm.text(&v.name).to_string(),
                    None => vm.repr_text(&origin)?,
                };
                let part = if &*vm.type_name(&args[0]) == "ParamSpecArgs" { "args" } else { "kwargs" };
                Ok(vm.str(&format!("{name}.{part}")))
            }),
            ("__mro_entries__", "bases /", |vm, args| {
                let kind = vm.type_name(&args[0]);
                Err(vm.type_error(format!("Cannot subclass an instance of {kind}")))
            }),
        ],
    );
    vm.set_type_attr(&ty, "__hash__", Value::NONE);
    vm.add_getset(
        &ty,
        "__origin__",
        |_, this| Ok(this.get::<Part>().map_or(Value::NONE, |p| p.origin.clone())),
        None,
    );
    vm.type_changed(&ty);
    ty
}

fn alias(value: &Value) -> &Alias {
    value.get::<Alias>().expect("the descriptor checked the type")
}

fn alias_type(vm: &Vm) -> Value {
    let ty = vm.new_type::<Alias>("typing", "TypeAliasType", None, flag::WEAK | flag::ATTRS);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "name value * type_params?", |vm, args| {
                check_name(vm, &args[1], "typealias")?;
                let parameters = args.opt(3).cloned().unwrap_or_else(|| vm.tuple(vec![]));
                if !vm.is_a(&parameters, &vm.types.tuple) {
                    return Err(vm.type_error("type_params must be a tuple"));
                }
                Ok(placed(
                    vm,
                    new_object(&args[0], Alias { name: args[1].clone(), value: args[2].clone(), parameters }),
                ))
            }),
            ("__repr__", "", |_, args| Ok(alias(&args[0]).name.clone())),
            ("__reduce__", "", |_, args| Ok(alias(&args[0]).name.clone())),
            ("__or__", "value /", union_of),
            ("__ror__", "value /", union_reversed),
            ("__getitem__", "item /", |vm, args| {
                if vm.len(&alias(&args[0]).parameters)? == 0 {
                    return Err(vm.type_error("Only generic type aliases are subscriptable"));
                }
                pyc_runtime::generic::alias(vm, &args[0], &args[1])
            }),
            ("__iter__", "", |vm, args| {
                let unpack = vm.get_attr_str(&vm.import("typing")?, "Unpack")?;
                let item = vm.get_item(&unpack, &args[0])?;
                vm.iter(&vm.tuple(vec![item]))
            }),
        ],
    );
    vm.add_getset(&ty, "__name__", |_, this| Ok(alias(this).name.clone()), None);
    vm.add_getset(&ty, "__value__", |_, this| Ok(alias(this).value.clone()), None);
    vm.add_getset(&ty, "__type_params__", |_, this| Ok(alias(this).parameters.clone()), None);
    vm.add_getset(
        &ty,
        "__parameters__",
        |vm, this| {
            let mut all = Vec::new();
            for parameter in vm.to_vec(&alias(this).parameters)? {
                if parameter.get::<Variable>().is_some_and(|v| v.sort == Sort::Many) {
                    all.extend(vm.to_vec(&parameter)?);
                } else {
                    all.push(parameter);
                }
            }
            Ok(vm.tuple(all))
        },
        None,
    );
    vm.type_changed(&ty);
    ty
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "_typing",
        &[("_idfunc", "...", |vm, args: Args| {
            args.all.last().cloned().ok_or_else(|| vm.type_error("_idfunc expected 1 argument, got 0"))
        })],
    );
    let flags = flag::ATTRS | flag::WEAK;
    let one = vm.new_type::<Variable>("typing", "TypeVar", None, flags);
    common(vm, &one);
    vm.add_methods(
        &one,
        &[
            ("__new__", "...", new_type_var),
            ("__typing_subst__", "arg /", |vm, args| {
                typing(vm, "_typevar_subst", &[args[0].clone(), args[1].clone()])
            }),
            ("__typing_prepare_subst__", "alias args /", |vm, args| {
                let v = variable(&args[0]);
                let parameters = vm.get_attr_str(&args[1], "__parameters__")?;
                let given = vm.to_vec(&args[2])?;
                let at = vm.index(&vm.call_method_str(&parameters, "index", &[args[0].clone()])?)?;
                if (at as usize) < given.len() {
                    return Ok(args[2].clone());
                }
                let default = v.default.borrow().clone();
                if at as usize == given.len() && !default.is(&no_default(vm)) {
                    let mut all = given;
                    all.push(default);
                    return Ok(vm.tuple(all));
                }
                Err(vm.type_error(format!("Too few arguments for {}", vm.repr_text(&args[1])?)))
            }),
        ],
    );
    vm.add_getset(&one, "__constraints__", |_, t| Ok(variable(t).constraints.clone()), None);
    let many = vm.new_type::<Variable>("typing", "TypeVarTuple", None, flags);
    common(vm, &many);
    vm.add_methods(
        &many,
        &[
            ("__new__", "name * default?", |vm, args| new_other(vm, args, Sort::Many)),
            ("__iter__", "", |vm, args| {
                let unpack = vm.get_attr_str(&vm.import("typing")?, "Unpack")?;
                let item = vm.get_item(&unpack, &args[0])?;
                vm.iter(&vm.tuple(vec![item]))
            }),
            ("__typing_subst__", "arg /", |vm, _| {
                Err(vm.type_error("Substitution of bare TypeVarTuple is not supported"))
            }),
            ("__typing_prepare_subst__", "alias args /", |vm, args| {
                typing(
                    vm,
                    "_typevartuple_prepare_subst",
                    &[args[0].clone(), args[1].clone(), args[2].clone()],
                )
            }),
        ],
    );
    let parameters = vm.new_type::<Variable>("typing", "ParamSpec", None, flags);
    common(vm, &parameters);
    vm.add_methods(
        &parameters,
        &[
            ("__new__", "name * bound? covariant? contravariant? infer_variance? default?", |vm, args| {
                new_other(vm, args, Sort::Parameters)
            }),
            ("__typing_subst__", "arg /", |vm, args| {
                typing(vm, "_paramspec_subst", &[args[0].clone(), args[1].clone()])
            }),
            ("__typing_prepare_subst__", "alias args /", |vm, args| {
                typing(vm, "_paramspec_prepare_subst", &[args[0].clone(), args[1].clone(), args[2].clone()])
            }),
        ],
    );
    vm.add_getset(&parameters, "args", |vm, this| part(vm, "ParamSpecArgs", this), None);
    vm.add_getset(&parameters, "kwargs", |vm, this| part(vm, "ParamSpecKwargs", this), None);
    for ty in [&one, &many, &parameters] {
        vm.type_changed(ty);
    }
    let generic = vm.new_type::<Plain>("typing", "Generic", None, flag::BASE);
    vm.add_class_methods(
        &generic,
        &[
            ("__class_getitem__", "...", |vm, args: Args| {
                let module = vm.import("typing")?;
                let function = vm.get_attr_str(&module, "_generic_class_getitem")?;
                vm.call(&function, args)
            }),
            ("__init_subclass__", "...", |vm, args: Args| {
                let module = vm.import("typing")?;
                let function = vm.get_attr_str(&module, "_generic_init_subclass")?;
                vm.call(&function, args)
            }),
        ],
    );
    vm.type_changed(&generic);
    let aliases = alias_type(vm);
    for (name, value) in [
        ("TypeVar", one),
        ("TypeVarTuple", many),
        ("ParamSpec", parameters),
        ("ParamSpecArgs", part_type(vm, "ParamSpecArgs")),
        ("ParamSpecKwargs", part_type(vm, "ParamSpecKwargs")),
        ("TypeAliasType", aliases),
        ("Generic", generic),
        ("Union", vm.types.union_type.clone()),
        ("NoDefault", no_default(vm)),
    ] {
        vm.module_set(&module, name, value);
    }
    Ok(module)
}

fn part(vm: &Vm, kind: &str, origin: &Value) -> PyResult {
    let ty = vm.get_attr_str(&vm.import("_typing")?, kind)?;
    vm.call_pos(&ty, std::slice::from_ref(origin))
}
