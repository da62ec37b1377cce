//! `list[int]` and `int | str`.

use crate::args::Method;
use crate::containers::TupleData;
use crate::object::{Kind, Payload, Value, new_object};
use crate::types::Type;
use crate::vm::{Args, PyResult, Vm};

/// A generic alias: origin and arguments; or the members of a union.
pub struct AliasData {
    origin: Value,
    arguments: Value,
    starred: bool,
}
impl Payload for AliasData {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.origin);
        visit(&self.arguments);
    }
}

/// `origin[item]`
pub fn alias(vm: &Vm, origin: &Value, item: &Value) -> PyResult {
    let arguments = if item.kind() == Kind::Tuple { item.clone() } else { vm.tuple(vec![item.clone()]) };
    Ok(new_object(&vm.types.generic_alias, AliasData { origin: origin.clone(), arguments, starred: false }))
}

fn own(value: &Value) -> &AliasData {
    value.get::<AliasData>().expect("the descriptor checked the type")
}

fn items(value: &Value) -> Vec<Value> {
    value.get::<TupleData>().map(|t| t.items().to_vec()).unwrap_or_default()
}

fn is_union(vm: &Vm, value: &Value) -> bool {
    vm.type_of(value).is(&vm.types.union_type)
}

/// `a | b` of types.
pub fn union(vm: &Vm, a: &Value, b: &Value) -> PyResult {
    let usable = |v: &Value| {
        v.is_none()
            || v.kind() == Kind::Type
            || v.get::<AliasData>().is_some()
            || vm.special(v, &vm.intern("__typing_subst__")).is_some()
    };
    if !usable(a) || !usable(b) {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let mut members: Vec<Value> = Vec::new();
    for side in [a, b] {
        let list = if is_union(vm, side) {
            items(&own(side).arguments)
        } else {
            vec![if side.is_none() { vm.types.none.clone() } else { side.clone() }]
        };
        for member in list {
            let mut known = false;
            for m in &members {
                known |= vm.equal(m, &member)?;
            }
            if !known {
                members.push(member);
            }
        }
    }
    if members.len() == 1 {
        return Ok(members.remove(0));
    }
    let arguments = vm.tuple(members);
    Ok(new_object(&vm.types.union_type, AliasData { origin: Value::NONE, arguments, starred: false }))
}

/// `Union[a, b]`: what is no type by itself (a string, a special form) goes through the library's check.
fn union_class_item(vm: &Vm, args: Args) -> PyResult {
    let members = if args[1].kind() == Kind::Tuple { items(&args[1]) } else { vec![args[1].clone()] };
    if members.is_empty() {
        return Err(vm.type_error("Cannot take a Union of no types."));
    }
    let mut flat: Vec<Value> = Vec::new();
    for member in members {
        let parts = if is_union(vm, &member) {
            items(&own(&member).arguments)
        } else if member.is_none() {
            vec![vm.types.none.clone()]
        } else if member.kind() == Kind::Type || member.get::<AliasData>().is_some() {
            vec![member]
        } else {
            let typing = vm.import("typing")?;
            let message = vm.str("Union[arg, ...]: each arg must be a type.");
            vec![vm.call_method_str(&typing, "_type_check", &[member, message])?]
        };
        for part in parts {
            let mut known = false;
            for other in &flat {
                known |= vm.equal(other, &part)?;
            }
            if !known {
                flat.push(part);
            }
        }
    }
    if flat.len() == 1 {
        return Ok(flat.remove(0));
    }
    let arguments = vm.tuple(flat);
    Ok(new_object(&vm.types.union_type, AliasData { origin: Value::NONE, arguments, starred: false }))
}

fn shown(vm: &Vm, value: &Value) -> PyResult<String> {
    if value.is(&Value::ELLIPSIS) {
        return Ok("...".into());
    }
    if value.is(&vm.types.none) {
        return Ok("None".into());
    }
    if value.get::<AliasData>().is_none()
        && value.kind() == Kind::Type
        && let Some(class) = value.get::<Type>()
    {
        let module = if value.is(&vm.types.type_) {
            // On `type` itself the name finds the descriptor.
            "builtins".to_string()
        } else {
            vm.str_text(&vm.get_attr(value, &vm.names.__module__)?)?
        };
        let name = class.qualname.borrow().clone();
        return Ok(if module == "builtins" { name.to_string() } else { format!("{module}.{name}") });
    }
    if value.kind() == Kind::List {
        let mut parts = Vec::new();
        for item in vm.to_vec(value)? {
            parts.push(shown(vm, &item)?);
        }
        return Ok(format!("[{}]", parts.join(", ")));
    }
    vm.repr_text(value)
}

fn repr(vm: &Vm, args: Args) -> PyResult {
    let data = own(&args[0]);
    let mut parts = Vec::new();
    for item in items(&data.arguments) {
        parts.push(shown(vm, &item)?);
    }
    if is_union(vm, &args[0]) {
        return Ok(vm.str(&parts.join(" | ")));
    }
    let inner = if parts.is_empty() { "()".to_string() } else { parts.join(", ") };
    let star = if data.starred { "*" } else { "" };
    Ok(vm.str(&format!("{star}{}[{inner}]", shown(vm, &data.origin)?)))
}

fn parameters(vm: &Vm, arguments: &Value) -> PyResult<Vec<Value>> {
    let mut found: Vec<Value> = Vec::new();
    for item in items(arguments) {
        if item.kind() == Kind::Type {
            continue;
        }
        let inner = if item.kind() == Kind::List {
            parameters(vm, &vm.tuple(vm.to_vec(&item)?))?
        } else if vm.special(&item, &vm.names.__typing_subst__).is_some() {
            vec![item.clone()]
        } else {
            match vm.find_attr(&item, &vm.names.__parameters__)? {
                Some(list) if list.kind() == Kind::Tuple => items(&list),
                _ => vec![],
            }
        };
        for parameter in inner {
            if !found.iter().any(|f| f.is(&parameter)) {
                found.push(parameter);
            }
        }
    }
    Ok(found)
}

fn get_item(vm: &Vm, args: Args) -> PyResult {
    let data = own(&args[0]);
    let wanted = parameters(vm, &data.arguments)?;
    let given = if args[1].kind() == Kind::Tuple { items(&args[1]) } else { vec![args[1].clone()] };
    if wanted.is_empty() {
        return Err(vm.type_error(format!("{} is not a generic class", vm.repr_text(&args[0])?)));
    }
    if wanted.len() != given.len() {
        let what = if given.len() > wanted.len() { "many" } else { "few" };
        return Err(vm.type_error(format!(
            "Too {what} arguments for {}; actual {}, expected {}",
            vm.repr_text(&args[0])?,
            given.len(),
            wanted.len()
        )));
    }
    let mut made = Vec::new();
    for item in items(&data.arguments) {
        if let Some(at) = wanted.iter().position(|w| w.is(&item)) {
            let hook = vm.get_attr(&item, &vm.names.__typing_subst__)?;
            made.push(vm.call_pos(&hook, std::slice::from_ref(&given[at]))?);
        } else if item.kind() != Kind::Type
            && let Some(inner) = vm.find_attr(&item, &vm.names.__parameters__)?
            && !items(&inner).is_empty()
        {
            let part = items(&inner)
                .iter()
                .filter_map(|p| wanted.iter().position(|w| w.is(p)).map(|at| given[at].clone()))
                .collect();
            made.push(vm.get_item(&item, &vm.tuple(part))?);
        } else {
            made.push(item);
        }
    }
    let arguments = vm.tuple(made);
    if is_union(vm, &args[0]) {
        let mut result: Option<Value> = None;
        for item in items(&arguments) {
            result = Some(match result {
                None => item,
                Some(sofar) => vm.binary(pyc_ir::BinaryOp::Or, &sofar, &item)?,
            });
        }
        return Ok(result.unwrap_or(Value::NONE));
    }
    Ok(new_object(
        vm.type_of(&args[0]),
        AliasData { origin: data.origin.clone(), arguments, starred: data.starred },
    ))
}

fn get_attribute(vm: &Vm, args: Args) -> PyResult {
    // Only names that the alias lacks come here.
    let name = vm.intern_value(&args[1]);
    let text = vm.text(&name);
    if is_union(vm, &args[0])
        || text.starts_with("__")
            && text.ends_with("__")
            && !matches!(
                &*text,
                "__name__"
                    | "__qualname__"
                    | "__module__"
                    | "__doc__"
                    | "__abstractmethods__"
                    | "__annotations__"
            )
    {
        let message = format!("'{}' object has no attribute '{text}'", vm.type_name(&args[0]));
        return Err(vm.attribute_error(&args[0], &name, message));
    }
    vm.get_attr(&own(&args[0]).origin, &name)
}

const ALIAS: &[Method] = &[
    ("__new__", "origin args /", |vm, args| {
        let arguments =
            if args[2].kind() == Kind::Tuple { args[2].clone() } else { vm.tuple(vec![args[2].clone()]) };
        Ok(new_object(&args[0], AliasData { origin: args[1].clone(), arguments, starred: false }))
    }),
    ("__call__", "...", |vm, args| {
        let made = vm.call(&own(&args.all[0]).origin, Args { all: &args.all[1..], names: args.names })?;
        let result = vm.set_attr(&made, &vm.names.__orig_class__, args.all[0].clone());
        vm.catch(result, &vm.exc.attribute_error)
            .or_else(|e| if vm.is_exception(&e, &vm.exc.type_error) { Ok(None) } else { Err(e) })?;
        Ok(made)
    }),
    ("__mro_entries__", "bases /", |vm, args| Ok(vm.tuple(vec![own(&args[0]).origin.clone()]))),
    ("__iter__", "", |vm, args| {
        let d = own(&args[0]);
        let starred = new_object(
            vm.type_of(&args[0]),
            AliasData { origin: d.origin.clone(), arguments: d.arguments.clone(), starred: true },
        );
        vm.iter(&vm.tuple(vec![starred]))
    }),
    ("__instancecheck__", "instance /", |vm, _| {
        Err(vm.type_error("isinstance() argument 2 cannot be a parameterized generic"))
    }),
    ("__subclasscheck__", "subclass /", |vm, _| {
        Err(vm.type_error("issubclass() argument 2 cannot be a parameterized generic"))
    }),
];

const SHARED: &[Method] = &[
    ("__repr__", "", repr),
    ("__getitem__", "item /", get_item),
    ("__or__", "value /", |vm, args| union(vm, &args[0], &args[1])),
    ("__ror__", "value /", |vm, args| union(vm, &args[1], &args[0])),
    ("__getattr__", "name /", get_attribute),
    ("__hash__", "", |vm, args| {
        let d = own(&args[0]);
        let key = if is_union(vm, &args[0]) {
            vm.frozen_set(items(&d.arguments))?
        } else {
            vm.tuple(vec![d.origin.clone(), d.arguments.clone()])
        };
        Ok(vm.int(vm.hash(&key)?))
    }),
    ("__eq__", "value /", |vm, args| {
        let Some(b) = args[1].get::<AliasData>() else { return Ok(Value::NOT_IMPLEMENTED) };
        let a = own(&args[0]);
        if is_union(vm, &args[0]) {
            let (x, y) = (vm.frozen_set(items(&a.arguments))?, vm.frozen_set(items(&b.arguments))?);
            return Ok(Value::from_bool(is_union(vm, &args[1]) && vm.equal(&x, &y)?));
        }
        Ok(Value::from_bool(
            vm.equal(&a.origin, &b.origin)?
                && vm.equal(&a.arguments, &b.arguments)?
                && a.starred == b.starred,
        ))
    }),
];

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    for ty in [&t.generic_alias, &t.union_type] {
        vm.add_methods(ty, SHARED);
        vm.add_getset(ty, "__args__", |_, this| Ok(own(this).arguments.clone()), None);
        vm.add_getset(
            ty,
            "__parameters__",
            |vm, this| Ok(vm.tuple(parameters(vm, &own(this).arguments)?)),
            None,
        );
        vm.set_type_attr(ty, "__module__", vm.str("types"));
    }
    vm.add_methods(&t.generic_alias, ALIAS);
    vm.add_class_methods(&t.union_type, &[("__class_getitem__", "item /", union_class_item)]);
    vm.add_getset(&t.union_type, "__origin__", |vm, _| Ok(vm.types.union_type.clone()), None);
    vm.add_getset(&t.generic_alias, "__origin__", |_, this| Ok(own(this).origin.clone()), None);
    vm.add_getset(&t.generic_alias, "__unpacked__", |_, this| Ok(Value::from_bool(own(this).starred)), None);
    vm.add_methods(
        &t.union_type,
        &[
            ("__instancecheck__", "instance /", |vm, args| {
                for member in items(&own(&args[0]).arguments) {
                    if vm.is_instance(&args[1], &member)? {
                        return Ok(Value::TRUE);
                    }
                }
                Ok(Value::FALSE)
            }),
            ("__subclasscheck__", "subclass /", |vm, args| {
                for member in items(&own(&args[0]).arguments) {
                    if vm.is_subclass(&args[1], &member)? {
                        return Ok(Value::TRUE);
                    }
                }
                Ok(Value::FALSE)
            }),
        ],
    );
    for (ty, name) in
        [(&t.generic_alias, "GenericAlias"), (&t.union_type, "UnionType"), (&t.namespace, "SimpleNamespace")]
    {
        if let Some(class) = ty.get::<Type>() {
            *class.name.borrow_mut() = name.into();
            *class.qualname.borrow_mut() = name.into();
        }
        vm.set_type_attr(ty, "__module__", vm.str("types"));
    }
    for (ty, module) in [(&t.weakref, "weakref"), (&t.weakproxy, "weakref")] {
        vm.set_type_attr(ty, "__module__", vm.str(module));
    }
}
