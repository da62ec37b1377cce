//! `object`, `type`, `super`: making classes and instances.

use std::cell::RefCell;

use crate::args::Method;
use crate::containers::{DictData, TupleData};
use crate::function::{CellData, Flavor, FunctionData, NativeData};
use crate::object::{Kind, Payload, Value, new_object};
use crate::registry::Plain;
use crate::types::{Type, flag, linearize, make_type};
use crate::vm::{Args, PyResult, Vm};

/// The payload of `super()`.
#[derive(Default)]
pub struct SuperData {
    /// Class to start after, object, class whose order is followed.
    pub parts: RefCell<Option<(Value, Value, Value)>>,
}
impl Payload for SuperData {
    const KIND: Kind = Kind::Super;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        if let Some((a, b, c)) = &*self.parts.borrow() {
            visit(a);
            visit(b);
            visit(c);
        }
    }
}

pub(crate) fn class<'a>(vm: &Vm, value: &'a Value) -> PyResult<&'a Type> {
    value.get::<Type>().ok_or_else(|| vm.type_error(format!("descriptor requires a 'type' object but received a '{}'", vm.type_name(value))))
}

impl Vm {
    /// `cls(...)`; nothing when a metaclass has its own `__call__`.
    pub fn call_type(&self, ty: &Value, args: Args) -> Option<PyResult> {
        let meta = self.type_of(ty);
        if !meta.is(&self.types.type_) {
            let call = self.lookup(meta, &self.names.__call__)?;
            if !matches!(call.get::<NativeData>(), Some(n) if n.owner.is(&self.types.type_)) {
                return None;
            }
        } else if ty.is(&self.types.type_) && args.all.len() == 1 && args.names.is_empty() {
            return Some(Ok(self.type_of(&args.all[0]).clone()));
        }
        Some(self.instantiate(ty, args))
    }

    /// `type.__call__`: `__new__`, then `__init__`.
    ///
    /// # Errors
    /// What they raise.
    pub fn instantiate(&self, ty: &Value, args: Args) -> PyResult {
        let Some(class) = ty.get::<Type>() else { return Err(self.type_error("not a type")) };
        let Some(new) = self.lookup(ty, &self.names.__new__) else {
            return Err(self.type_error(format!("cannot create '{}' instances", class.name())));
        };
        if class.has(flag::NO_NEW) {
            return Err(self.type_error(format!("cannot create '{}' instances", class.name())));
        }
        let made = match new.get::<NativeData>() {
            Some(native) if native.owner.is(&self.types.object) => self.plain_instance(ty, class, args)?,
            Some(_) => self.call_prepended(&new, ty, args)?,
            None => {
                let new = self.bind_in(&new, &Value::NONE, ty)?;
                self.call_prepended(&new, ty, args)?
            }
        };
        if self.type_of(&made).is(ty) || self.is_a(&made, ty) {
            let made_type = self.type_of(&made).clone();
            if let Some(init) = self.lookup(&made_type, &self.names.__init__) {
                match init.get::<NativeData>() {
                    Some(native) if native.owner.is(&self.types.object) => {
                        self.check_init_args(&made, &made_type, args)?;
                    }
                    _ => {
                        let result = if init.kind() == Kind::Function || init.kind() == Kind::Native {
                            self.call_prepended(&init, &made, args)?
                        } else {
                            let bound = self.bind(&init, &made)?;
                            self.call(&bound, args)?
                        };
                        if !result.is_none() {
                            return Err(self.type_error(format!(
                                "__init__() should return None, not '{}'",
                                self.type_name(&result)
                            )));
                        }
                    }
                }
            }
        }
        Ok(made)
    }

    fn overrides(&self, ty: &Value, name: &Value) -> bool {
        self.lookup(ty, name).is_some_and(|m| !matches!(m.get::<NativeData>(), Some(n) if n.owner.is(&self.types.object)))
    }

    fn check_init_args(&self, made: &Value, ty: &Value, args: Args) -> PyResult<()> {
        if args.all.is_empty() || self.overrides(ty, &self.names.__new__) {
            return Ok(());
        }
        let _ = made;
        Err(self.type_error(format!("{}() takes no arguments", ty.get::<Type>().map_or("?".into(), Type::name))))
    }

    /// `object.__new__`.
    ///
    /// # Errors
    /// TypeError for abstract classes and surplus arguments.
    pub fn plain_instance(&self, ty: &Value, class: &Type, args: Args) -> PyResult {
        if !args.all.is_empty() {
            if self.overrides(ty, &self.names.__new__) {
                return Err(self.type_error("object.__new__() takes exactly one argument (the type to instantiate)"));
            }
            if !self.overrides(ty, &self.names.__init__) {
                return Err(self.type_error(format!("{}() takes no arguments", class.name())));
            }
        }
        if class.has(flag::ABSTRACT) {
            return Err(self.abstract_error(ty, class));
        }
        if class.vtable.kind != Kind::Instance {
            let base = class.mro.borrow().iter().find(|t| t.get::<Type>().is_some_and(|c| !c.is_heap())).cloned();
            let base = base.and_then(|b| b.get::<Type>().map(Type::name)).unwrap_or_else(|| "object".into());
            return Err(self.type_error(format!("object.__new__({}) is not safe, use {base}.__new__()", class.name())));
        }
        Ok(new_object(ty, Plain))
    }

    #[cold]
    fn abstract_error(&self, ty: &Value, class: &Type) -> crate::vm::Raised {
        let names = class.own(&self.names.__abstractmethods__).and_then(|n| self.to_vec(&n).ok()).unwrap_or_default();
        let mut names: Vec<String> = names.iter().map(|n| self.text(n).to_string()).collect();
        names.sort();
        let _ = ty;
        let plural = if names.len() == 1 { "" } else { "s" };
        let list = names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ");
        self.type_error(format!(
            "Can't instantiate abstract class {} without an implementation for abstract method{plural} {list}",
            class.name()
        ))
    }

    /// The most derived metaclass.
    ///
    /// # Errors
    /// TypeError when they conflict.
    pub fn winning_metaclass(&self, meta: &Value, bases: &[Value]) -> PyResult {
        let mut winner = meta.clone();
        for base in bases {
            let own = self.type_of(base).clone();
            if self.is_subtype(&winner, &own) {
                continue;
            }
            if self.is_subtype(&own, &winner) {
                winner = own;
                continue;
            }
            return Err(self.type_error(
                "metaclass conflict: the metaclass of a derived class must be a (non-strict) subclass of the metaclasses of all its bases",
            ));
        }
        Ok(winner)
    }

    /// `__build_class__`.
    ///
    /// # Errors
    /// What the body, the bases and the metaclass raise.
    pub fn build_class(&self, args: Args) -> PyResult {
        let positional = args.positional();
        let (function, name) = (positional[0].clone(), positional[1].clone());
        let mut bases = Vec::new();
        let mut changed = false;
        for base in &positional[2..] {
            if base.kind() != Kind::Type
                && let Some(hook) = self.find_attr(base, &self.names.__mro_entries__)?
            {
                let original = self.tuple(positional[2..].to_vec());
                let entries = self.call_pos(&hook, &[original])?;
                let Some(entries) = entries.get::<TupleData>() else {
                    return Err(self.type_error("__mro_entries__ must return a tuple"));
                };
                bases.extend(entries.items().iter().cloned());
                changed = true;
                continue;
            }
            bases.push(base.clone());
        }
        let mut meta = None;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (key, value) in args.keywords() {
            if key.is(&self.names.metaclass) || &*self.text(key) == "metaclass" {
                meta = Some(value.clone());
            } else {
                names.push(key.clone());
                values.push(value.clone());
            }
        }
        let mut meta = meta.unwrap_or_else(|| match bases.first() {
            Some(base) => self.type_of(base).clone(),
            None => self.types.type_.clone(),
        });
        if meta.kind() == Kind::Type {
            meta = self.winning_metaclass(&meta, &bases)?;
        }
        let bases_tuple = self.tuple(bases);
        let with_keywords = |mut all: Vec<Value>| {
            all.extend(values.iter().cloned());
            all
        };
        let namespace = match self.find_attr(&meta, &self.names.__prepare__)? {
            Some(prepare) => {
                let all = with_keywords(vec![name.clone(), bases_tuple.clone()]);
                let made = self.call(&prepare, Args { all: &all, names: &names })?;
                if made.kind() != Kind::Dict && self.special(&made, &self.names.__getitem__).is_none() {
                    let meta_name = meta.get::<Type>().map_or_else(|| "<metaclass>".into(), Type::name);
                    return Err(self.type_error(format!(
                        "{meta_name}.__prepare__() must return a mapping, not {}",
                        self.type_name(&made)
                    )));
                }
                made
            }
            None => self.dict(),
        };
        let Some(data) = function.get::<FunctionData>() else {
            return Err(self.type_error("__build_class__: func must be a function"));
        };
        let code = data.code.borrow().clone();
        let closure = data.closure.get::<TupleData>().map(|t| t.items().to_vec()).unwrap_or_default();
        let cell = (self.engine().run)(self, &code, &data.globals, &namespace, &closure)?;
        if changed {
            let original = self.tuple(positional[2..].to_vec());
            let key = self.names.__orig_bases__.clone();
            self.set_item(&namespace, &key, original)?;
        }
        let all = with_keywords(vec![name.clone(), bases_tuple, namespace]);
        let made = self.call(&meta, Args { all: &all, names: &names })?;
        if let Some(held) = cell.get::<CellData>()
            && made.kind() == Kind::Type
        {
            let current = held.0.borrow().clone();
            match current {
                None => {
                    return Err(self.runtime_error(format!(
                        "__class__ not set defining {} as {}. Was __classcell__ propagated to type.__new__?",
                        self.repr_text(&name)?,
                        self.repr_text(&made)?
                    )));
                }
                Some(current) if !current.is(&made) => {
                    return Err(self.type_error(format!(
                        "__class__ set to {} defining {} as {}",
                        self.repr_text(&current)?,
                        self.repr_text(&name)?,
                        self.repr_text(&made)?
                    )));
                }
                Some(_) => {}
            }
        }
        Ok(made)
    }
}

/// The base whose layout the instances have.
fn best_base(vm: &Vm, bases: &[Value]) -> PyResult {
    let mut best: Option<&Value> = None;
    for base in bases {
        let c = class(vm, base)?;
        if !c.has(flag::BASE) {
            return Err(vm.type_error(format!("type '{}' is not an acceptable base type", c.name())));
        }
        let replace = match best {
            None => true,
            Some(current) => {
                let b = class(vm, current)?;
                let plain = b.vtable.kind == Kind::Instance;
                let other_plain = c.vtable.kind == Kind::Instance;
                let same = std::ptr::eq(b.vtable, c.vtable) || b.vtable.id == c.vtable.id;
                if !plain && !other_plain && !same {
                    return Err(vm.type_error("multiple bases have instance lay-out conflict"));
                }
                if b.slot_count() > 0 && c.slot_count() > 0 && !c.derives_from(current) && !b.derives_from(base) {
                    return Err(vm.type_error("multiple bases have instance lay-out conflict"));
                }
                (plain && !other_plain) || c.slot_count() > b.slot_count()
            }
        };
        if replace {
            best = Some(base);
        }
    }
    Ok(best.cloned().unwrap_or_else(|| vm.types.object.clone()))
}

fn type_new(vm: &Vm, args: Args) -> PyResult {
    let positional = args.positional();
    if positional.len() == 2 && positional[0].is(&vm.types.type_) {
        return Ok(vm.type_of(&positional[1]).clone());
    }
    if positional.len() != 4 {
        return Err(vm.type_error("type() takes 1 or 3 arguments"));
    }
    let (meta, name, bases_value, namespace) = (&positional[0], &positional[1], &positional[2], &positional[3]);
    if name.kind() != Kind::Str {
        return Err(vm.type_error(format!("type.__new__() argument 1 must be str, not {}", vm.type_name(name))));
    }
    let Some(bases) = bases_value.get::<TupleData>() else {
        return Err(vm.type_error(format!("type.__new__() argument 2 must be tuple, not {}", vm.type_name(bases_value))));
    };
    let Some(original) = namespace.get::<DictData>() else {
        return Err(vm.type_error(format!("type.__new__() argument 3 must be dict, not {}", vm.type_name(namespace))));
    };
    let mut bases = bases.items().to_vec();
    for base in &bases {
        if base.kind() != Kind::Type {
            if vm.find_attr(base, &vm.names.__mro_entries__)?.is_some() {
                return Err(vm.type_error("type() doesn't support MRO entry resolution; use types.new_class()"));
            }
            return Err(vm.type_error("bases must be types"));
        }
    }
    for (at, base) in bases.iter().enumerate() {
        if bases[..at].iter().any(|b| b.is(base)) {
            return Err(vm.type_error(format!("duplicate base class {}", class(vm, base)?.name())));
        }
    }
    let winner = vm.winning_metaclass(meta, &bases)?;
    if !winner.is(meta) {
        let new = vm.lookup(&winner, &vm.names.__new__);
        if let Some(new) = new
            && !matches!(new.get::<NativeData>(), Some(n) if n.owner.is(&vm.types.type_))
        {
            let bound = vm.bind_in(&new, &Value::NONE, &winner)?;
            return vm.call_prepended(&bound, &winner, Args { all: &args.all[1..], names: args.names });
        }
    }
    if bases.is_empty() {
        bases.push(vm.types.object.clone());
    }
    let base = best_base(vm, &bases)?;
    let base_class = class(vm, &base)?;
    let n = &vm.names;
    let mut dict = original.borrow().clone();
    // Slots and dict.
    let inherited_attrs = bases.iter().any(|b| b.get::<Type>().is_some_and(|c| c.has(flag::ATTRS)));
    let mut flags = flag::HEAP | flag::BASE | flag::WEAK | (base_class.flags.get() & (flag::SEQUENCE | flag::MAPPING));
    for b in &bases {
        flags |= class(vm, b)?.flags.get() & (flag::SEQUENCE | flag::MAPPING | flag::SLOTS);
    }
    let slots_value = dict.get_interned(&n.__slots__).cloned();
    let mut slot_names: Vec<Value> = Vec::new();
    match &slots_value {
        None => flags |= flag::ATTRS,
        Some(slots) => {
            let list = if slots.kind() == Kind::Str { vec![slots.clone()] } else { vm.to_vec(slots)? };
            if inherited_attrs {
                flags |= flag::ATTRS;
            }
            for slot in list {
                if slot.kind() != Kind::Str {
                    return Err(vm.type_error(format!("__slots__ items must be strings, not '{}'", vm.type_name(&slot))));
                }
                let text = vm.text(&slot);
                if !text.chars().enumerate().all(|(i, c)| c == '_' || c.is_alphabetic() || i > 0 && c.is_numeric()) || text.is_empty() {
                    return Err(vm.type_error("__slots__ must be identifiers"));
                }
                match &*text {
                    "__dict__" => flags |= flag::ATTRS,
                    "__weakref__" => {}
                    text => {
                        let class_name = vm.text(name);
                        let stripped = class_name.trim_start_matches('_');
                        let mangled = if text.starts_with("__") && !text.ends_with("__") && !stripped.is_empty() {
                            format!("_{stripped}{text}")
                        } else {
                            text.to_string()
                        };
                        let slot = vm.intern(&mangled);
                        if dict.get_interned(&slot).is_some() && !slot.is(&n.__qualname__) && !slot.is(&n.__classcell__) {
                            return Err(vm.value_error(format!("'{mangled}' in __slots__ conflicts with class variable")));
                        }
                        slot_names.push(slot);
                    }
                }
            }
            if !slot_names.is_empty() {
                if matches!(base_class.vtable.kind, Kind::Int | Kind::Tuple | Kind::Bytes) {
                    return Err(vm.type_error(format!("nonempty __slots__ not supported for subtype of '{}'", base_class.name())));
                }
                flags |= flag::SLOTS;
            }
        }
    }
    // The order of bases.
    let Some(rest) = linearize(&bases) else {
        let names = bases.iter().map(|b| b.get::<Type>().map_or("?".to_string(), |c| c.name().to_string())).collect::<Vec<_>>();
        return Err(vm.type_error(format!("Cannot create a consistent method resolution order (MRO) for bases {}", names.join(", "))));
    };
    let name_text = vm.text(name);
    if name_text.contains('\0') {
        return Err(vm.value_error("type name must not contain null characters"));
    }
    let ty = make_type(meta, &name_text, base_class.vtable, bases.clone(), rest, flags);
    let own = class(vm, &ty)?;
    own.next.set(base_class.next.get());
    let first_slot = bases.iter().filter_map(|b| b.get::<Type>()).map(Type::slot_count).max().unwrap_or(0);
    own.set_slot_count(first_slot + slot_names.len());
    for (index, slot) in slot_names.iter().enumerate() {
        let member = crate::descriptors::MemberData { name: slot.clone(), owner: ty.clone(), index: first_slot + index };
        dict.set_interned(slot, new_object(&vm.types.member, member));
    }
    *own.slots.borrow_mut() = slot_names;
    // Names with a meaning.
    if let Some(qualname) = dict.remove_interned(&n.__qualname__) {
        if qualname.kind() != Kind::Str {
            return Err(vm.type_error(format!("type __qualname__ must be a str, not {}", vm.type_name(&qualname))));
        }
        *own.qualname.borrow_mut() = vm.text(&qualname);
    }
    let cell = dict.remove_interned(&n.__classcell__);
    if dict.get_interned(&n.__module__).is_none() {
        if let Some(module) = vm.current_global(&n.__name__) {
            dict.set_interned(&n.__module__, module);
        }
    }
    for special in [&n.__init_subclass__, &n.__class_getitem__] {
        if let Some(f) = dict.get_interned(special).cloned()
            && f.kind() == Kind::Function
        {
            dict.set_interned(special, vm.class_method(f));
        }
    }
    if let Some(f) = dict.get_interned(&n.__new__).cloned()
        && f.kind() == Kind::Function
    {
        dict.set_interned(&n.__new__, vm.static_method(f));
    }
    if dict.get_interned(&n.__eq__).is_some() && dict.get_interned(&n.__hash__).is_none() {
        dict.set_interned(&n.__hash__, Value::NONE);
    }
    if dict.get_interned(&n.__doc__).is_none() {
        dict.set_interned(&n.__doc__, Value::NONE);
    }
    let set_names: Vec<(Value, Value)> = dict.iter().map(|e| (e.key.clone(), e.value.clone())).collect();
    *own.dict.borrow_mut() = dict;
    if let Some(cell) = cell
        && let Some(held) = cell.get::<CellData>()
    {
        drop(held.0.replace(Some(ty.clone())));
    }
    vm.type_changed(&ty);
    // A metaclass may order the bases itself.
    if let Some(order) = vm.lookup(meta, &n.mro)
        && order.kind() == Kind::Function
    {
        let list = vm.call_with_self(&order, &ty, &[])?;
        *own.mro.borrow_mut() = vm.to_vec(&list)?;
        vm.type_changed(&ty);
    }
    for (key, value) in set_names {
        if matches!(value.kind(), Kind::Function | Kind::Str | Kind::Native) || !value.is_object() {
            continue;
        }
        if let Some(hook) = vm.special(&value, &n.__set_name__) {
            if let Err(error) = vm.call_with_self(&hook, &value, &[ty.clone(), key.clone()]) {
                let note = format!(
                    "Error calling __set_name__ on '{}' instance {} in '{}'",
                    vm.type_name(&value),
                    vm.repr_text(&key)?,
                    own.name()
                );
                let _ = vm.call_method_str(&error.0, "add_note", &[vm.str(&note)]);
                return Err(error);
            }
        }
    }
    // The parent hears of its new subclass.
    let parent = new_object(&vm.types.super_, SuperData { parts: RefCell::new(Some((ty.clone(), ty.clone(), ty.clone()))) });
    let hook = vm.get_attr(&parent, &n.__init_subclass__)?;
    let keyword_values = &args.all[positional.len()..];
    vm.call(&hook, Args { all: keyword_values, names: args.names })?;
    Ok(ty)
}

fn type_repr(vm: &Vm, args: Args) -> PyResult {
    let c = class(vm, &args[0])?;
    let module = c.own(&vm.names.__module__).filter(|m| m.kind() == Kind::Str);
    let qualname = c.qualname.borrow().clone();
    Ok(vm.str(&match module {
        Some(module) if &*vm.text(&module) != "builtins" => format!("<class '{}.{qualname}'>", vm.text(&module)),
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
    let Some((start, _, ty)) = args[0].get::<SuperData>().and_then(|d| d.parts.borrow().clone()) else { return Ok(vm.str("<super>")) };
    let name = |v: &Value| v.get::<Type>().map_or_else(|| "NULL".to_string(), |c| c.name().to_string());
    Ok(vm.str(&match ty.get::<Type>() {
        Some(c) => format!("<super: <class '{}'>, <{} object>>", name(&start), c.name()),
        None => format!("<super: <class '{}'>, NULL>", name(&start)),
    }))
}

fn object_new(vm: &Vm, args: Args) -> PyResult {
    let Some(ty) = args.all.first() else { return Err(vm.type_error("object.__new__(): not enough arguments")) };
    let Some(c) = ty.get::<Type>() else {
        return Err(vm.type_error(format!("object.__new__(X): X is not a type object ({})", vm.type_name(ty))));
    };
    vm.plain_instance(ty, c, Args { all: &args.all[1..], names: args.names })
}

fn object_init(vm: &Vm, args: Args) -> PyResult {
    if args.all.len() > 1 {
        let ty = vm.type_of(&args.all[0]).clone();
        if vm.overrides(&ty, &vm.names.__init__) {
            return Err(vm.type_error("object.__init__() takes exactly one argument (the instance to initialize)"));
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
        return Err(vm.type_error(format!("__class__ must be set to a class, not '{}' object", vm.type_name(&value))));
    };
    let old = vm.class_of(this);
    let module = this.kind() == Kind::Module;
    if !module && (!old.is_heap() || !new.is_heap()) {
        return Err(vm.type_error("__class__ assignment only supported for mutable types or ModuleType subclasses"));
    }
    let same_layout = old.vtable.id == new.vtable.id && old.has_attrs() == new.has_attrs() && old.slot_count() == new.slot_count();
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
    let Some(result) = vm.call_special(&args[0], &vm.names.__eq__, &args.all[1..2])? else { return Ok(Value::NOT_IMPLEMENTED) };
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
    if !class_data.is_heap() && class_data.vtable.kind != Kind::Instance && new_args.is_empty() && !matches!(class_data.vtable.kind, Kind::List | Kind::Dict | Kind::Exception) {
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
    if value.is_unbound() {
        c.dict.borrow_mut().remove_interned(&vm.names.__abstractmethods__);
    } else {
        c.dict.borrow_mut().set_interned(&vm.names.__abstractmethods__, value);
    }
    let flags = c.flags.get();
    c.flags.set(if any { flags | flag::ABSTRACT } else { flags & !flag::ABSTRACT });
    vm.type_changed(this);
    Ok(())
}

fn set_bases(vm: &Vm, this: &Value, value: Value) -> PyResult<()> {
    let bases = vm.to_vec(&value)?;
    let Some(rest) = linearize(&bases) else {
        return Err(vm.type_error("Cannot create a consistent method resolution order (MRO)"));
    };
    let c = class(vm, this)?;
    let mut mro = vec![this.clone()];
    mro.extend(rest);
    for base in &bases {
        class(vm, base)?.subclasses.borrow_mut().push(this.clone());
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
        Err(vm.type_error(format!("unsupported format string passed to {}.__format__", vm.type_name(&args[0]))))
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
    ("__call__", "...", |vm, args| vm.instantiate(&args.all[0], Args { all: &args.all[1..], names: args.names })),
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
        let list = class(vm, &args[0])?.subclasses.borrow().clone();
        Ok(vm.list(list))
    }),
    ("__instancecheck__", "instance /", |vm, args| Ok(Value::from_bool(vm.plain_isinstance(&args[1], &args[0])?))),
    ("__subclasscheck__", "subclass /", |vm, args| Ok(Value::from_bool(vm.plain_issubclass(&args[1], &args[0])?))),
    ("__dir__", "", type_dir),
    ("__or__", "other /", |vm, args| crate::generic::union(vm, &args[0], &args[1])),
    ("__ror__", "other /", |vm, args| crate::generic::union(vm, &args[1], &args[0])),
];

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(&t.object, OBJECT);
    vm.add_class_methods(&t.object, &[
        ("__init_subclass__", "...", |vm, args| {
            if args.all.len() > 1 {
                let name = args.all[0].get::<Type>().map_or_else(|| "?".into(), Type::name);
                return Err(vm.type_error(format!("{name}.__init_subclass__() takes no {}arguments", if args.names.is_empty() { "" } else { "keyword " })));
            }
            Ok(Value::NONE)
        }),
        ("__subclasshook__", "subclass /", not_implemented),
    ]);
    vm.add_getset(&t.object, "__class__", |vm, this| Ok(vm.type_of(this).clone()), Some(object_class_set));
    vm.add_getset(&t.object, "__doc__", |vm, this| {
        let _ = this;
        let _ = vm;
        Ok(Value::NONE)
    }, None);
    vm.set_type_attr(&t.object, "__doc__", Value::NONE);
    vm.add_methods(&t.type_, TYPE);
    vm.add_class_methods(&t.type_, &[("__prepare__", "...", |vm, _| Ok(vm.dict()))]);
    vm.add_getset(&t.type_, "__name__", |vm, this| Ok(vm.str(&class(vm, this)?.name())), Some(|vm, this, value| {
        let text = vm.expect_str(&value, "can only assign string to type.__name__, it")?.to_lossy();
        *class(vm, this)?.name.borrow_mut() = text.into();
        Ok(())
    }));
    vm.add_getset(&t.type_, "__qualname__", |vm, this| Ok(vm.str(&class(vm, this)?.qualname.borrow())), Some(|vm, this, value| {
        *class(vm, this)?.qualname.borrow_mut() = vm.str_text(&value)?.into();
        Ok(())
    }));
    vm.add_getset(&t.type_, "__module__", |vm, this| {
        Ok(class(vm, this)?.own(&vm.names.__module__).unwrap_or_else(|| vm.str("builtins")))
    }, Some(|vm, this, value| {
        class(vm, this)?.dict.borrow_mut().set_interned(&vm.names.__module__, value);
        vm.type_changed(this);
        Ok(())
    }));
    vm.add_getset(&t.type_, "__bases__", |vm, this| {
        let bases = class(vm, this)?.bases.borrow().clone();
        Ok(vm.tuple(bases))
    }, Some(set_bases));
    vm.add_getset(&t.type_, "__base__", |vm, this| {
        Ok(match class(vm, this)?.bases.borrow().as_slice() {
            [] => Value::NONE,
            bases => best_base(vm, bases)?,
        })
    }, None);
    vm.add_getset(&t.type_, "__mro__", |vm, this| {
        let mro = class(vm, this)?.mro.borrow().clone();
        Ok(vm.tuple(mro))
    }, None);
    vm.add_getset(&t.type_, "__dict__", type_dict, None);
    vm.add_getset(&t.type_, "__doc__", |vm, this| {
        match class(vm, this)?.own(&vm.names.__doc__) {
            Some(doc) => vm.bind_in(&doc, &Value::NONE, this),
            None => Ok(Value::NONE),
        }
    }, Some(|vm, this, value| {
        class(vm, this)?.dict.borrow_mut().set_interned(&vm.names.__doc__, value);
        Ok(())
    }));
    vm.add_getset(&t.type_, "__annotations__", |vm, this| {
        let c = class(vm, this)?;
        if let Some(found) = c.own(&vm.names.__annotations__) {
            return Ok(found);
        }
        if !c.is_heap() {
            return Err(vm.no_attribute(this, &vm.names.__annotations__));
        }
        let dict = vm.dict();
        c.dict.borrow_mut().set_interned(&vm.names.__annotations__, dict.clone());
        Ok(dict)
    }, Some(|vm, this, value| {
        if value.is_unbound() {
            class(vm, this)?.dict.borrow_mut().remove_interned(&vm.names.__annotations__);
        } else {
            class(vm, this)?.dict.borrow_mut().set_interned(&vm.names.__annotations__, value);
        }
        Ok(())
    }));
    vm.add_getset(&t.type_, "__type_params__", |vm, this| {
        Ok(class(vm, this)?.own(&vm.names.__type_params__).unwrap_or_else(|| vm.tuple(vec![])))
    }, Some(|vm, this, value| {
        class(vm, this)?.dict.borrow_mut().set_interned(&vm.names.__type_params__, value);
        Ok(())
    }));
    vm.add_getset(&t.type_, "__abstractmethods__", |vm, this| {
        class(vm, this)?.own(&vm.names.__abstractmethods__).ok_or_else(|| vm.no_attribute(this, &vm.names.__abstractmethods__))
    }, Some(abstract_set));
    vm.add_getset(&t.type_, "__flags__", |vm, this| {
        let c = class(vm, this)?;
        let mut bits = if c.is_heap() { 1 << 9 } else { 1 << 8 };
        if c.has(flag::BASE) {
            bits |= 1 << 10;
        }
        if c.has(flag::ABSTRACT) {
            bits |= 1 << 20;
        }
        Ok(Value::from_i32(bits))
    }, None);
    vm.add_getset(&t.type_, "__basicsize__", |_, this| Ok(Value::from_len(crate::object::resize_hint(this))), None);
    vm.add_getset(&t.type_, "__dictoffset__", |vm, this| Ok(Value::from_i32(if class(vm, this)?.has(flag::ATTRS) { -1 } else { 0 })), None);
    vm.add_getset(&t.type_, "__weakrefoffset__", |_, _| Ok(Value::from_i32(0)), None);
    vm.add_getset(&t.type_, "__itemsize__", |_, _| Ok(Value::from_i32(0)), None);
    vm.add_getset(&t.type_, "__text_signature__", |_, _| Ok(Value::NONE), None);
    // `__dict__` of instances is looked up on object; types without attributes have none.
    vm.add_getset(&t.object, "__dict__", |vm, this| {
        vm.instance_dict(this).ok_or_else(|| vm.no_attribute(this, &vm.names.__dict__))
    }, Some(|vm, this, value| {
        if value.kind() != Kind::Dict {
            return Err(vm.type_error(format!("__dict__ must be set to a dictionary, not a '{}'", vm.type_name(&value))));
        }
        vm.instance_dict(this);
        if let Some(attrs) = this.attrs() {
            drop(attrs.dict.replace(Some(value)));
        }
        Ok(())
    }));
    vm.add_getset(&t.object, "__weakref__", |_, _| Ok(Value::NONE), None);
    vm.add_methods(&t.super_, &[
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
    ]);
    vm.add_getset(&t.super_, "__thisclass__", |_, this| Ok(this.get::<SuperData>().and_then(|d| d.parts.borrow().as_ref().map(|p| p.0.clone())).unwrap_or(Value::NONE)), None);
    vm.add_getset(&t.super_, "__self__", |_, this| Ok(this.get::<SuperData>().and_then(|d| d.parts.borrow().as_ref().map(|p| p.1.clone())).unwrap_or(Value::NONE)), None);
    vm.add_getset(&t.super_, "__self_class__", |_, this| Ok(this.get::<SuperData>().and_then(|d| d.parts.borrow().as_ref().map(|p| p.2.clone())).unwrap_or(Value::NONE)), None);
    let _ = Flavor::Method;
}

impl Vm {
    pub(crate) fn super_get_opt_public(&self, this: &Value, name: &Value) -> PyResult<Option<Value>> {
        self.get_attr_opt(this, name)
    }
}
