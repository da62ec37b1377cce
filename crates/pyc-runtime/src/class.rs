//! `object`, `type`, `super`: making classes and instances.

use std::cell::RefCell;

use crate::containers::{DictData, TupleData};
use crate::descriptors::{Getter, Setter};
use crate::function::{CellData, FunctionData, NativeData};
use crate::object::{Kind, Payload, Unowned, Value, new_object};
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
    value.get::<Type>().ok_or_else(|| {
        vm.type_error(format!("descriptor requires a 'type' object but received a '{}'", vm.type_name(value)))
    })
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
                            return Err(self.init_result_error(&result));
                        }
                    }
                }
            }
        }
        Ok(made)
    }

    /// Finds out whether calling a class makes a plain instance and calls a Python `__init__`, and remembers that.
    pub fn find_constructor(&self, ty: &Value) -> Option<Unowned> {
        let class = ty.get::<Type>()?;
        let plain = self.type_of(ty).is(&self.types.type_)
            && class.vtable.kind == Kind::Instance
            && !class.has(flag::NO_NEW | flag::ABSTRACT)
            && !self.overrides(ty, &self.names.__new__);
        let init = self.lookup(ty, &self.names.__init__)?;
        if !plain || init.kind() != Kind::Function {
            return None;
        }
        class.set_constructor(&init);
        class.constructor()
    }

    /// An instance as [`Vm::find_constructor`] allows.
    #[inline]
    pub fn bare_instance(&self, ty: &Value) -> Value {
        new_object(ty, Plain)
    }

    /// The TypeError for an `__init__` that returned something.
    #[cold]
    pub fn init_result_error(&self, result: &Value) -> crate::vm::Raised {
        self.type_error(format!("__init__() should return None, not '{}'", self.type_name(result)))
    }

    pub(crate) fn overrides(&self, ty: &Value, name: &Value) -> bool {
        self.lookup(ty, name)
            .is_some_and(|m| !matches!(m.get::<NativeData>(), Some(n) if n.owner.is(&self.types.object)))
    }

    pub(crate) fn check_init_args(&self, made: &Value, ty: &Value, args: Args) -> PyResult<()> {
        if args.all.is_empty() || self.overrides(ty, &self.names.__new__) {
            return Ok(());
        }
        let _ = made;
        Err(self
            .type_error(format!("{}() takes no arguments", ty.get::<Type>().map_or("?".into(), Type::name))))
    }

    /// `object.__new__`.
    ///
    /// # Errors
    /// TypeError for abstract classes and surplus arguments.
    pub fn plain_instance(&self, ty: &Value, class: &Type, args: Args) -> PyResult {
        if !args.all.is_empty() {
            if self.overrides(ty, &self.names.__new__) {
                return Err(
                    self.type_error("object.__new__() takes exactly one argument (the type to instantiate)")
                );
            }
            if !self.overrides(ty, &self.names.__init__) {
                return Err(self.type_error(format!("{}() takes no arguments", class.name())));
            }
        }
        if class.has(flag::ABSTRACT) {
            return Err(self.abstract_error(ty, class));
        }
        if class.vtable.kind != Kind::Instance {
            let base =
                class.mro.borrow().iter().find(|t| t.get::<Type>().is_some_and(|c| !c.is_heap())).cloned();
            let base = base.and_then(|b| b.get::<Type>().map(Type::name)).unwrap_or_else(|| "object".into());
            return Err(self
                .type_error(format!("object.__new__({}) is not safe, use {base}.__new__()", class.name())));
        }
        Ok(new_object(ty, Plain))
    }

    #[cold]
    fn abstract_error(&self, ty: &Value, class: &Type) -> crate::vm::Raised {
        let names =
            class.own(&self.names.__abstractmethods__).and_then(|n| self.to_vec(&n).ok()).unwrap_or_default();
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

/// The class that last added slots to a type's instances.
fn slots_from(class: &Type) -> Option<Value> {
    let has_slots = |t: &&Value| t.get::<Type>().is_some_and(|t| !t.slots.borrow().is_empty());
    class.mro.borrow().iter().find(has_slots).cloned()
}

/// The base whose layout the instances have.
pub(crate) fn best_base(vm: &Vm, bases: &[Value]) -> PyResult {
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
                // Slots must come from one line of classes.
                if let (Some(mine), Some(theirs)) = (slots_from(b), slots_from(c))
                    && !vm.is_subtype(&mine, &theirs)
                    && !vm.is_subtype(&theirs, &mine)
                {
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

/// `obj.__dict__`
pub(crate) const DICT_GET: Getter =
    |vm, this| vm.instance_dict(this).ok_or_else(|| vm.no_attribute(this, &vm.names.__dict__));

/// `obj.__dict__ = value`
pub(crate) const DICT_SET: Setter = |vm, this, value| {
    if value.is_unbound() {
        vm.instance_dict(this);
        if let Some(attrs) = this.attrs() {
            drop(attrs.replace_dict(Some(vm.dict())));
        }
        return Ok(());
    }
    if value.kind() != Kind::Dict {
        return Err(
            vm.type_error(format!("__dict__ must be set to a dictionary, not a '{}'", vm.type_name(&value)))
        );
    }
    vm.instance_dict(this);
    if let Some(attrs) = this.attrs() {
        drop(attrs.replace_dict(Some(value)));
    }
    Ok(())
};

/// `obj.__weakref__`
pub(crate) const WEAK_GET: Getter =
    |vm, this| Ok(vm.weak_references(this).first().cloned().unwrap_or(Value::NONE));

pub(crate) fn type_new(vm: &Vm, args: Args) -> PyResult {
    let positional = args.positional();
    if positional.len() == 2 && positional[0].is(&vm.types.type_) {
        return Ok(vm.type_of(&positional[1]).clone());
    }
    if positional.len() != 4 {
        return Err(vm.type_error("type() takes 1 or 3 arguments"));
    }
    let (meta, name, bases_value, namespace) =
        (&positional[0], &positional[1], &positional[2], &positional[3]);
    if name.kind() != Kind::Str {
        return Err(
            vm.type_error(format!("type.__new__() argument 1 must be str, not {}", vm.type_name(name)))
        );
    }
    let Some(bases) = bases_value.get::<TupleData>() else {
        return Err(vm.type_error(format!(
            "type.__new__() argument 2 must be tuple, not {}",
            vm.type_name(bases_value)
        )));
    };
    let Some(original) = namespace.get::<DictData>() else {
        return Err(
            vm.type_error(format!("type.__new__() argument 3 must be dict, not {}", vm.type_name(namespace)))
        );
    };
    let mut bases = bases.items().to_vec();
    for base in &bases {
        if base.kind() != Kind::Type {
            if vm.find_attr(base, &vm.names.__mro_entries__)?.is_some() {
                return Err(
                    vm.type_error("type() doesn't support MRO entry resolution; use types.new_class()")
                );
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
    let meta = &winner;
    if bases.is_empty() {
        bases.push(vm.types.object.clone());
    }
    let base = best_base(vm, &bases)?;
    let base_class = class(vm, &base)?;
    let n = &vm.names;
    let mut dict = original.borrow().clone();
    // Slots and dict.
    let inherited_attrs = bases.iter().any(|b| b.get::<Type>().is_some_and(|c| c.has(flag::ATTRS)));
    let inherited_weak = bases.iter().any(|b| b.get::<Type>().is_some_and(|c| c.has(flag::WEAK)));
    // Objects of variable size have no room for the list of their weak references.
    let may_be_weak = !matches!(base_class.vtable.kind, Kind::Int | Kind::Tuple | Kind::Bytes);
    let mut flags = flag::HEAP | flag::BASE | (base_class.flags.get() & (flag::SEQUENCE | flag::MAPPING));
    if inherited_weak {
        flags |= flag::WEAK;
    }
    for b in &bases {
        flags |= class(vm, b)?.flags.get() & (flag::SEQUENCE | flag::MAPPING | flag::SLOTS);
    }
    let slots_value = dict.get_interned(&n.__slots__).cloned();
    let mut slot_names: Vec<Value> = Vec::new();
    match &slots_value {
        None => {
            flags |= flag::ATTRS;
            if may_be_weak {
                flags |= flag::WEAK;
            }
        }
        Some(slots) => {
            let list = if slots.kind() == Kind::Str { vec![slots.clone()] } else { vm.to_vec(slots)? };
            if inherited_attrs {
                flags |= flag::ATTRS;
            }
            for slot in list {
                if slot.kind() != Kind::Str {
                    return Err(vm.type_error(format!(
                        "__slots__ items must be strings, not '{}'",
                        vm.type_name(&slot)
                    )));
                }
                let text = vm.text(&slot);
                if !text
                    .chars()
                    .enumerate()
                    .all(|(i, c)| c == '_' || c.is_alphabetic() || i > 0 && c.is_numeric())
                    || text.is_empty()
                {
                    return Err(vm.type_error("__slots__ must be identifiers"));
                }
                match &*text {
                    "__dict__" if flags & flag::ATTRS != 0 => {
                        return Err(vm.type_error("__dict__ slot disallowed: we already got one"));
                    }
                    "__dict__" => flags |= flag::ATTRS,
                    "__weakref__" if flags & flag::WEAK != 0 => {
                        return Err(vm.type_error("__weakref__ slot disallowed: we already got one"));
                    }
                    "__weakref__" => flags |= flag::WEAK,
                    text => {
                        let class_name = vm.text(name);
                        let stripped = class_name.trim_start_matches('_');
                        let mangled =
                            if text.starts_with("__") && !text.ends_with("__") && !stripped.is_empty() {
                                format!("_{stripped}{text}")
                            } else {
                                text.to_string()
                            };
                        let slot = vm.intern(&mangled);
                        if dict.get_interned(&slot).is_some()
                            && !slot.is(&n.__qualname__)
                            && !slot.is(&n.__classcell__)
                        {
                            return Err(vm.value_error(format!(
                                "'{mangled}' in __slots__ conflicts with class variable"
                            )));
                        }
                        slot_names.push(slot);
                    }
                }
            }
            if !slot_names.is_empty() {
                if matches!(base_class.vtable.kind, Kind::Int | Kind::Tuple | Kind::Bytes) {
                    return Err(vm.type_error(format!(
                        "nonempty __slots__ not supported for subtype of '{}'",
                        base_class.name()
                    )));
                }
                flags |= flag::SLOTS;
            }
        }
    }
    // The order of bases.
    let Some(rest) = linearize(&bases) else {
        let names = bases
            .iter()
            .map(|b| b.get::<Type>().map_or("?".to_string(), |c| c.name().to_string()))
            .collect::<Vec<_>>();
        return Err(vm.type_error(format!(
            "Cannot create a consistent method resolution order (MRO) for bases {}",
            names.join(", ")
        )));
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
        let member = crate::descriptors::MemberData {
            name: slot.clone(),
            owner: ty.clone(),
            index: first_slot + index,
        };
        dict.set_interned(slot, new_object(&vm.types.member, member));
    }
    *own.slots.borrow_mut() = slot_names;
    // Names with a meaning.
    if let Some(qualname) = dict.remove_interned(&n.__qualname__) {
        if qualname.kind() != Kind::Str {
            return Err(
                vm.type_error(format!("type __qualname__ must be a str, not {}", vm.type_name(&qualname)))
            );
        }
        *own.qualname.borrow_mut() = vm.text(&qualname);
    }
    let cell = dict.remove_interned(&n.__classcell__);
    for (added, name, get, set) in [
        (flags & flag::ATTRS != 0 && !inherited_attrs, "__dict__", DICT_GET, Some(DICT_SET)),
        (flags & flag::WEAK != 0 && !inherited_weak, "__weakref__", WEAK_GET, None),
    ] {
        let key = vm.intern(name);
        // A metaclass has the `__dict__` of `type`, a module's class that of modules.
        let inherited = || {
            own.mro.borrow().iter().skip(1).any(|b| b.get::<Type>().is_some_and(|b| b.own(&key).is_some()))
        };
        if added && dict.get_interned(&key).is_none() && !inherited() {
            let data = crate::descriptors::GetSetData { name, owner: ty.clone(), get, set };
            dict.set_interned(&key, new_object(&vm.types.getset, data));
        }
    }
    if dict.get_interned(&n.__module__).is_none()
        && let Some(module) = vm.current_global(&n.__name__)
    {
        dict.set_interned(&n.__module__, module);
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
        if let Some(hook) = vm.special(&value, &n.__set_name__)
            && let Err(error) = vm.call_with_self(&hook, &value, &[ty.clone(), key.clone()])
        {
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
    // The parent hears of its new subclass.
    let parent = new_object(
        &vm.types.super_,
        SuperData { parts: RefCell::new(Some((ty.clone(), ty.clone(), ty.clone()))) },
    );
    let hook = vm.get_attr(&parent, &n.__init_subclass__)?;
    let keyword_values = &args.all[positional.len()..];
    vm.call(&hook, Args { all: keyword_values, names: args.names })?;
    Ok(ty)
}
