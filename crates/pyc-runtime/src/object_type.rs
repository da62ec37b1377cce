//! The methods of `object`, `type` and `super`.

use crate::args::Method;
use crate::class::{SuperData, best_base, class, type_new};
use crate::containers::DictData;
use crate::function::NativeData;
use crate::object::{Kind, Value, new_object};
use crate::str::Str;
use crate::types::{Type, flag, linearize};
use crate::vm::{Args, PyResult, Vm};

fn type_repr(vm: &Vm, args: Args) -> PyResult {
    let c = class(vm, &args[0])?;
    let module = c.own(&vm.names.__module__).filter(|m| m.kind() == Kind::Str);
    let qualname = c.qualname.borrow().clone();
    Ok(vm.str(&match module {
        Some(module) if &*vm.text(&module) != "builtins" => {
            format!("<class '{}.{qualname}'>", vm.text(&module))
        }
        _ => format!("<class '{qualname}'>"),
    }))
}

fn type_dict(vm: &Vm, this: &Value) -> PyResult {
    Ok(new_object(&vm.types.mappingproxy, crate::containers::ProxyData(this.clone())))
}

fn super_init(vm: &Vm, args: Args) -> PyResult {
    let Some(data) = args[0].get::<SuperData>() else { return Ok(Value::NONE) };
    let (start, object) = match (args.opt(1), args.opt(2)) {
        (None, _) => return Err(vm.runtime_error("super(): no arguments")),
        (Some(start), object) => (start.clone(), object.cloned().unwrap_or(Value::NONE)),
    };
    if start.kind() != Kind::Type {
        return Err(vm.type_error(format!("super() argument 1 must be a type, not {}", vm.type_name(&start))));
    }
    let object_type = if object.is_none() {
        Value::NONE
    } else if object.kind() == Kind::Type && vm.is_subtype(&object, &start) {
        object.clone()
    } else if vm.is_a(&object, &start) {
        vm.type_of(&object).clone()
    } else {
        match vm.find_attr(&object, &vm.names.__class__)? {
            Some(ty) if ty.kind() == Kind::Type && vm.is_subtype(&ty, &start) => ty,
            _ => return Err(vm.type_error("super(type, obj): obj must be an instance or subtype of type")),
        }
    };
    *data.parts.borrow_mut() = Some((start, object, object_type));
    Ok(Value::NONE)
}

fn super_repr(vm: &Vm, args: Args) -> PyResult {
    let Some((start, _, ty)) = args[0].get::<SuperData>().and_then(|d| d.parts.borrow().clone()) else {
        return Ok(vm.str("<super>"));
    };
    let name = |v: &Value| v.get::<Type>().map_or_else(|| "NULL".to_string(), |c| c.name().to_string());
    Ok(vm.str(&match ty.get::<Type>() {
        Some(c) => format!("<super: <class '{}'>, <{} object>>", name(&start), c.name()),
        None => format!("<super: <class '{}'>, NULL>", name(&start)),
    }))
}

fn object_new(vm: &Vm, args: Args) -> PyResult {
    let Some(ty) = args.all.first() else {
        return Err(vm.type_error("object.__new__(): not enough arguments"));
    };
    let Some(c) = ty.get::<Type>() else {
        return Err(
            vm.type_error(format!("object.__new__(X): X is not a type object ({})", vm.type_name(ty)))
        );
    };
    vm.plain_instance(ty, c, Args { all: &args.all[1..], names: args.names })
}

fn object_init(vm: &Vm, args: Args) -> PyResult {
    if args.all.len() > 1 {
        let ty = vm.type_of(&args.all[0]).clone();
        if vm.overrides(&ty, &vm.names.__init__) {
            return Err(
                vm.type_error("object.__init__() takes exactly one argument (the instance to initialize)")
            );
        }
        vm.check_init_args(&args.all[0], &ty, Args { all: &args.all[1..], names: args.names })?;
    }
    Ok(Value::NONE)
}

fn object_repr(vm: &Vm, args: Args) -> PyResult {
    let ty = vm.type_of(&args[0]);
    let c = class(vm, ty)?;
    let module = vm.lookup(ty, &vm.names.__module__).filter(|m| m.kind() == Kind::Str);
    let name = c.qualname.borrow().clone();
    let address = args[0].bits();
    Ok(vm.str(&match module {
        Some(m) if &*vm.text(&m) != "builtins" => format!("<{}.{name} object at {address:#x}>", vm.text(&m)),
        _ => format!("<{name} object at {address:#x}>"),
    }))
}

fn object_class_set(vm: &Vm, this: &Value, value: Value) -> PyResult<()> {
    let Some(new) = value.get::<Type>() else {
        return Err(
            vm.type_error(format!("__class__ must be set to a class, not '{}' object", vm.type_name(&value)))
        );
    };
    let old = vm.class_of(this);
    let module = this.kind() == Kind::Module;
    if !module && (!old.is_heap() || !new.is_heap()) {
        return Err(
            vm.type_error("__class__ assignment only supported for mutable types or ModuleType subclasses")
        );
    }
    let same_layout = old.vtable.id == new.vtable.id
        && old.has_attrs() == new.has_attrs()
        && old.slot_count() == new.slot_count();
    if !same_layout && !module {
        return Err(vm.type_error(format!(
            "__class__ assignment: '{}' object layout differs from '{}'",
            new.name(),
            old.name()
        )));
    }
    this.set_type(&value);
    // Shapes belong to a class; the attributes move into a dict.
    vm.instance_dict(this);
    Ok(())
}

fn object_dir(vm: &Vm, args: Args) -> PyResult {
    let mut names: Vec<Value> = Vec::new();
    let this = &args[0];
    if let Some(dict) = vm.get_attr_opt(this, &vm.names.__dict__)?
        && let Some(d) = dict.get::<DictData>()
    {
        names.extend(d.borrow().iter().map(|e| e.key.clone()));
    }
    let ty = vm.type_of(this).clone();
    for t in class(vm, &ty)?.mro.borrow().iter() {
        if let Some(c) = t.get::<Type>() {
            names.extend(c.dict.borrow().iter().map(|e| e.key.clone()));
        }
    }
    let set = vm.frozen_set(names)?;
    Ok(vm.list(vm.to_vec(&set)?))
}

fn type_dir(vm: &Vm, args: Args) -> PyResult {
    let mut names = Vec::new();
    for t in class(vm, &args[0])?.mro.borrow().iter() {
        if let Some(c) = t.get::<Type>() {
            names.extend(c.dict.borrow().iter().map(|e| e.key.clone()));
        }
    }
    let set = vm.frozen_set(names)?;
    Ok(vm.list(vm.to_vec(&set)?))
}

fn compare_identity(_: &Vm, args: Args) -> PyResult {
    Ok(if args[0].is(&args[1]) { Value::TRUE } else { Value::NOT_IMPLEMENTED })
}

fn object_ne(vm: &Vm, args: Args) -> PyResult {
    let Some(result) = vm.call_special(&args[0], &vm.names.__eq__, &args.all[1..2])? else {
        return Ok(Value::NOT_IMPLEMENTED);
    };
    if result.is(&Value::NOT_IMPLEMENTED) {
        return Ok(result);
    }
    Ok(Value::from_bool(!vm.truth(&result)?))
}

fn not_implemented(_: &Vm, _: Args) -> PyResult {
    Ok(Value::NOT_IMPLEMENTED)
}

fn getstate(vm: &Vm, args: Args) -> PyResult {
    let this = &args[0];
    let dict = match vm.instance_dict(this) {
        Some(dict) if vm.dict_len(&dict) > 0 => vm.dict_copy(&dict),
        _ => Value::NONE,
    };
    let slots = vm.dict();
    let mro = vm.class_of(this).mro.borrow().clone();
    for ty in mro {
        let names = ty.get::<Type>().map(|c| c.slots.borrow().clone()).unwrap_or_default();
        for name in names {
            if let Some(value) = vm.find_attr(this, &name)? {
                vm.dict_set_name(&slots, &name, value);
            }
        }
    }
    if vm.dict_len(&slots) > 0 { Ok(vm.tuple(vec![dict, slots])) } else { Ok(dict) }
}

fn reduce_ex(vm: &Vm, args: Args) -> PyResult {
    let this = &args[0];
    let ty = vm.type_of(this).clone();
    if let Some(own) = vm.lookup(&ty, &vm.names.__reduce__)
        && !matches!(own.get::<NativeData>(), Some(n) if n.owner.is(&vm.types.object))
    {
        return vm.call_with_self(&own, this, &[]);
    }
    object_reduce(vm, Args::pos(std::slice::from_ref(this)))
}

fn object_reduce(vm: &Vm, args: Args) -> PyResult {
    let this = &args[0];
    let ty = vm.type_of(this).clone();
    let copyreg = vm.import("copyreg")?;
    let new_args = match vm.find_attr(this, &vm.intern("__getnewargs_ex__"))? {
        Some(hook) => {
            let pair = vm.to_vec(&vm.call_pos(&hook, &[])?)?;
            let function = vm.get_attr_str(&copyreg, "__newobj_ex__")?;
            let state = state_of(vm, this)?;
            let items = vm.tuple(vec![ty, pair[0].clone(), pair[1].clone()]);
            return Ok(vm.tuple(vec![function, items, state, Value::NONE, Value::NONE]));
        }
        None => match vm.find_attr(this, &vm.names.__getnewargs__)? {
            Some(hook) => vm.to_vec(&vm.call_pos(&hook, &[])?)?,
            None => Vec::new(),
        },
    };
    let class_data = class(vm, &ty)?;
    if !class_data.is_heap()
        && class_data.vtable.kind != Kind::Instance
        && new_args.is_empty()
        && !matches!(class_data.vtable.kind, Kind::List | Kind::Dict | Kind::Exception)
    {
        return Err(vm.type_error(format!("cannot pickle '{}' object", class_data.name())));
    }
    let function = vm.get_attr_str(&copyreg, "__newobj__")?;
    let mut call_args = vec![ty];
    call_args.extend(new_args);
    let state = state_of(vm, this)?;
    let list_items = if this.kind() == Kind::List { vm.iter(this)? } else { Value::NONE };
    let dict_items = if this.kind() == Kind::Dict {
        let items = vm.call_method_str(this, "items", &[])?;
        vm.iter(&items)?
    } else {
        Value::NONE
    };
    Ok(vm.tuple(vec![function, vm.tuple(call_args), state, list_items, dict_items]))
}

fn state_of(vm: &Vm, this: &Value) -> PyResult {
    vm.call_method(this, &vm.names.__getstate__, &[])
}

fn abstract_set(vm: &Vm, this: &Value, value: Value) -> PyResult<()> {
    let c = class(vm, this)?;
    let any = !value.is_unbound() && vm.truth(&value)?;
    let old = vm.type_put(this, &vm.names.__abstractmethods__, value);
    let flags = c.flags.get();
    c.flags.set(if any { flags | flag::ABSTRACT } else { flags & !flag::ABSTRACT });
    drop(old);
    Ok(())
}

fn set_bases(vm: &Vm, this: &Value, value: Value) -> PyResult<()> {
    let name = || this.get::<Type>().map_or_else(|| "?".into(), Type::name);
    if value.kind() != Kind::Tuple {
        let given = vm.type_name(&value);
        return Err(vm.type_error(format!("can only assign tuple to {}.__bases__, not {given}", name())));
    }
    let bases = vm.to_vec(&value)?;
    if bases.is_empty() {
        let message = format!("can only assign non-empty tuple to {}.__bases__, not ()", name());
        return Err(vm.type_error(message));
    }
    let Some(rest) = linearize(&bases) else {
        return Err(vm.type_error("Cannot create a consistent method resolution order (MRO)"));
    };
    let c = class(vm, this)?;
    let mut mro = vec![this.clone()];
    mro.extend(rest);
    c.leave_bases();
    for base in &bases {
        class(vm, base)?.subclasses.borrow_mut().push(this.unowned());
    }
    let old = (c.mro.replace(mro), c.bases.replace(bases));
    vm.type_changed(this);
    drop(old);
    Ok(())
}

const OBJECT: &[Method] = &[
    ("__new__", "...", object_new),
    ("__init__", "...", object_init),
    ("__repr__", "", object_repr),
    ("__str__", "", |vm, args| vm.repr(&args[0])),
    ("__hash__", "", |vm, args| Ok(vm.int((args[0].bits() >> 4) as i64))),
    ("__eq__", "value /", compare_identity),
    ("__ne__", "value /", object_ne),
    ("__lt__", "value /", not_implemented),
    ("__le__", "value /", not_implemented),
    ("__gt__", "value /", not_implemented),
    ("__ge__", "value /", not_implemented),
    ("__getattribute__", "name /", |vm, args| {
        let name = vm.intern_value(&args[1]);
        match vm.generic_get_opt(&args[0], &name)? {
            Some(value) => Ok(value),
            None => Err(vm.no_attribute(&args[0], &name)),
        }
    }),
    ("__setattr__", "name value /", |vm, args| {
        vm.expect_str(&args[1], "attribute name")?;
        let name = vm.intern_value(&args[1]);
        vm.generic_set(&args[0], &name, args[2].clone())?;
        Ok(Value::NONE)
    }),
    ("__delattr__", "name /", |vm, args| {
        let name = vm.intern_value(&args[1]);
        vm.generic_set(&args[0], &name, Value::UNBOUND)?;
        Ok(Value::NONE)
    }),
    ("__format__", "format_spec /", |vm, args| {
        if vm.text(&args[1]).is_empty() {
            return vm.to_str(&args[0]);
        }
        Err(vm
            .type_error(format!("unsupported format string passed to {}.__format__", vm.type_name(&args[0]))))
    }),
    ("__dir__", "", object_dir),
    ("__sizeof__", "", |_, args| Ok(Value::from_len(crate::object::resize_hint(&args[0])))),
    ("__reduce__", "", object_reduce),
    ("__reduce_ex__", "protocol /", reduce_ex),
    ("__getstate__", "", getstate),
];

const TYPE: &[Method] = &[
    ("__new__", "...", type_new),
    ("__init__", "...", |_, _| Ok(Value::NONE)),
    ("__call__", "...", |vm, args| {
        vm.instantiate(&args.all[0], Args { all: &args.all[1..], names: args.names })
    }),
    ("__repr__", "", type_repr),
    ("__getattribute__", "name /", |vm, args| {
        let name = vm.intern_value(&args[1]);
        match vm.type_get_opt(&args[0], &name)? {
            Some(value) => Ok(value),
            None => Err(vm.no_attribute(&args[0], &name)),
        }
    }),
    ("__setattr__", "name value /", |vm, args| {
        let name = vm.intern_value(&args[1]);
        vm.type_set(&args[0], &name, args[2].clone())?;
        Ok(Value::NONE)
    }),
    ("__delattr__", "name /", |vm, args| {
        let name = vm.intern_value(&args[1]);
        vm.type_set(&args[0], &name, Value::UNBOUND)?;
        Ok(Value::NONE)
    }),
    ("mro", "", |vm, args| {
        let c = class(vm, &args[0])?;
        let rest = linearize(&c.bases.borrow()).unwrap_or_default();
        let mut mro = vec![args[0].clone()];
        mro.extend(rest);
        Ok(vm.list(mro))
    }),
    ("__subclasses__", "", |vm, args| {
        let list = class(vm, &args[0])?.subclasses.borrow().iter().map(|s| s.owned()).collect();
        Ok(vm.list(list))
    }),
    ("__instancecheck__", "instance /", |vm, args| {
        Ok(Value::from_bool(vm.plain_isinstance(&args[1], &args[0])?))
    }),
    ("__subclasscheck__", "subclass /", |vm, args| {
        Ok(Value::from_bool(vm.plain_issubclass(&args[1], &args[0])?))
    }),
    ("__dir__", "", type_dir),
    ("__or__", "other /", |vm, args| crate::generic::union(vm, &args[0], &args[1])),
    ("__ror__", "other /", |vm, args| crate::generic::union(vm, &args[1], &args[0])),
];

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(&t.object, OBJECT);
    vm.add_class_methods(
        &t.object,
        &[
            ("__init_subclass__", "...", |vm, args| {
                if args.all.len() > 1 {
                    let name = args.all[0].get::<Type>().map_or_else(|| "?".into(), Type::name);
                    return Err(vm.type_error(if args.names.is_empty() {
                        let given = args.all.len() - 1;
                        format!("{name}.__init_subclass__() takes no arguments ({given} given)")
                    } else {
                        format!("{name}.__init_subclass__() takes no keyword arguments")
                    }));
                }
                Ok(Value::NONE)
            }),
            ("__subclasshook__", "subclass /", not_implemented),
        ],
    );
    vm.add_getset(&t.object, "__class__", |vm, this| Ok(vm.type_of(this).clone()), Some(object_class_set));
    vm.add_getset(
        &t.object,
        "__doc__",
        |vm, this| {
            let _ = this;
            let _ = vm;
            Ok(Value::NONE)
        },
        None,
    );
    vm.set_type_attr(&t.object, "__doc__", Value::NONE);
    vm.add_methods(&t.type_, TYPE);
    vm.add_class_methods(&t.type_, &[("__prepare__", "...", |vm, _| Ok(vm.dict()))]);
    vm.add_getset(
        &t.type_,
        "__name__",
        |vm, this| Ok(vm.str(&class(vm, this)?.name())),
        Some(|vm, this, value| {
            let class = class(vm, this)?;
            let Some(text) = value.get::<Str>() else {
                let (own, given) = (class.name(), vm.type_name(&value));
                return Err(vm.type_error(format!("can only assign string to {own}.__name__, not '{given}'")));
            };
            *class.name.borrow_mut() = text.to_lossy().into();
            Ok(())
        }),
    );
    vm.add_getset(
        &t.type_,
        "__qualname__",
        |vm, this| Ok(vm.str(&class(vm, this)?.qualname.borrow())),
        Some(|vm, this, value| {
            *class(vm, this)?.qualname.borrow_mut() = vm.str_text(&value)?.into();
            Ok(())
        }),
    );
    vm.add_getset(
        &t.type_,
        "__module__",
        |vm, this| Ok(class(vm, this)?.own(&vm.names.__module__).unwrap_or_else(|| vm.str("builtins"))),
        Some(|vm, this, value| {
            drop(vm.type_put(this, &vm.names.__module__, value));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.type_,
        "__bases__",
        |vm, this| {
            let bases = class(vm, this)?.bases.borrow().clone();
            Ok(vm.tuple(bases))
        },
        Some(set_bases),
    );
    vm.add_getset(
        &t.type_,
        "__base__",
        |vm, this| {
            Ok(match class(vm, this)?.bases.borrow().as_slice() {
                [] => Value::NONE,
                bases => best_base(vm, bases)?,
            })
        },
        None,
    );
    vm.add_getset(
        &t.type_,
        "__mro__",
        |vm, this| {
            let mro = class(vm, this)?.mro.borrow().clone();
            Ok(vm.tuple(mro))
        },
        None,
    );
    vm.add_getset(&t.type_, "__dict__", type_dict, None);
    vm.add_getset(
        &t.type_,
        "__doc__",
        |vm, this| match class(vm, this)?.own(&vm.names.__doc__) {
            Some(doc) => vm.bind_in(&doc, &Value::NONE, this),
            None => Ok(Value::NONE),
        },
        Some(|vm, this, value| {
            drop(vm.type_put(this, &vm.names.__doc__, value));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.type_,
        "__annotate__",
        |vm, this| {
            let c = class(vm, this)?;
            if let Some(found) = c.own(&vm.names.__annotate__) {
                return Ok(found);
            }
            Ok(match c.own(&vm.names.__annotations__) {
                Some(dict) if vm.dict_len(&dict) > 0 => crate::annotations::annotate_function(vm, dict),
                _ => Value::NONE,
            })
        },
        Some(|vm, this, value| {
            drop(vm.type_put(this, &vm.names.__annotations__, Value::UNBOUND));
            let value = if value.is_unbound() { Value::NONE } else { value };
            drop(vm.type_put(this, &vm.names.__annotate__, value));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.type_,
        "__annotations__",
        |vm, this| {
            let c = class(vm, this)?;
            if let Some(found) = c.own(&vm.names.__annotations__) {
                return Ok(found);
            }
            if !c.is_heap() {
                return Err(vm.no_attribute(this, &vm.names.__annotations__));
            }
            let dict = match c.own(&vm.names.__annotate__).filter(|a| !a.is_none()) {
                Some(annotate) => vm.call_pos(&annotate, &[Value::from_i32(1)])?,
                None => vm.dict(),
            };
            drop(vm.type_put(this, &vm.names.__annotations__, dict.clone()));
            Ok(dict)
        },
        Some(|vm, this, value| {
            drop(vm.type_put(this, &vm.names.__annotations__, value));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.type_,
        "__type_params__",
        |vm, this| Ok(class(vm, this)?.own(&vm.names.__type_params__).unwrap_or_else(|| vm.tuple(vec![]))),
        Some(|vm, this, value| {
            drop(vm.type_put(this, &vm.names.__type_params__, value));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.type_,
        "__abstractmethods__",
        |vm, this| {
            class(vm, this)?
                .own(&vm.names.__abstractmethods__)
                .ok_or_else(|| vm.no_attribute(this, &vm.names.__abstractmethods__))
        },
        Some(abstract_set),
    );
    vm.add_getset(
        &t.type_,
        "__flags__",
        |vm, this| {
            let c = class(vm, this)?;
            let mut bits = if c.is_heap() { 1 << 9 } else { 1 << 8 };
            if c.has(flag::BASE) {
                bits |= 1 << 10;
            }
            if c.has(flag::ABSTRACT) {
                bits |= 1 << 20;
            }
            Ok(Value::from_i32(bits))
        },
        None,
    );
    vm.add_getset(
        &t.type_,
        "__basicsize__",
        |_, this| Ok(Value::from_len(crate::object::resize_hint(this))),
        None,
    );
    vm.add_getset(
        &t.type_,
        "__dictoffset__",
        |vm, this| Ok(Value::from_i32(if class(vm, this)?.has(flag::ATTRS) { -1 } else { 0 })),
        None,
    );
    vm.add_getset(&t.type_, "__weakrefoffset__", |_, _| Ok(Value::from_i32(0)), None);
    vm.add_getset(&t.type_, "__itemsize__", |_, _| Ok(Value::from_i32(0)), None);
    vm.add_getset(&t.type_, "__text_signature__", |_, _| Ok(Value::NONE), None);
    vm.add_methods(
        &t.super_,
        &[
            ("__new__", "...", |_, args| Ok(new_object(&args.all[0], SuperData::default()))),
            ("__init__", "type? object? /", super_init),
            ("__repr__", "", super_repr),
            ("__getattribute__", "name /", |vm, args| {
                let name = vm.intern_value(&args[1]);
                match vm.super_get_opt_public(&args[0], &name)? {
                    Some(value) => Ok(value),
                    None => Err(vm.no_attribute(&args[0], &name)),
                }
            }),
            ("__get__", "instance owner? /", |vm, args| {
                let parts = args[0].get::<SuperData>().and_then(|d| d.parts.borrow().clone());
                match (parts, args.opt(1)) {
                    (Some((start, object, _)), Some(this)) if object.is_none() && !this.is_none() => {
                        vm.call_pos(&vm.types.super_, &[start, this.clone()])
                    }
                    _ => Ok(args[0].clone()),
                }
            }),
        ],
    );
    vm.add_getset(
        &t.super_,
        "__thisclass__",
        |_, this| {
            Ok(this
                .get::<SuperData>()
                .and_then(|d| d.parts.borrow().as_ref().map(|p| p.0.clone()))
                .unwrap_or(Value::NONE))
        },
        None,
    );
    vm.add_getset(
        &t.super_,
        "__self__",
        |_, this| {
            Ok(this
                .get::<SuperData>()
                .and_then(|d| d.parts.borrow().as_ref().map(|p| p.1.clone()))
                .unwrap_or(Value::NONE))
        },
        None,
    );
    vm.add_getset(
        &t.super_,
        "__self_class__",
        |_, this| {
            Ok(this
                .get::<SuperData>()
                .and_then(|d| d.parts.borrow().as_ref().map(|p| p.2.clone()))
                .unwrap_or(Value::NONE))
        },
        None,
    );
}

impl Vm {
    pub(crate) fn super_get_opt_public(&self, this: &Value, name: &Value) -> PyResult<Option<Value>> {
        self.get_attr_opt(this, name)
    }
}
