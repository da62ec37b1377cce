//! Type objects: method resolution order, lookup, and making them.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use crate::dict::Dict;
use crate::object::{Kind, Payload, Unowned, VTable, Value, new_object};
use crate::shape::Shape;
use crate::vm::{PyResult, Vm};

/// Properties of a type, as bits.
pub mod flag {
    /// Made by `class` or `type()`.
    pub const HEAP: u32 = 1;
    /// Instances have a `__dict__`.
    pub const ATTRS: u32 = 2;
    /// May be a base.
    pub const BASE: u32 = 4;
    /// Has `__del__`.
    pub const DEL: u32 = 8;
    /// `__getattribute__` is not object's.
    pub const GETATTRIBUTE: u32 = 16;
    /// `__getattr__` exists.
    pub const GETATTR: u32 = 32;
    /// `__setattr__` or `__delattr__` is not object's.
    pub const SETATTR: u32 = 64;
    /// Sequence patterns match.
    pub const SEQUENCE: u32 = 128;
    /// Mapping patterns match.
    pub const MAPPING: u32 = 256;
    /// Its attributes cannot be set.
    pub const IMMUTABLE: u32 = 512;
    /// Instances may be referred to weakly.
    pub const WEAK: u32 = 1024;
    /// Has abstract methods that instances must not have.
    pub const ABSTRACT: u32 = 2048;
    /// Cannot be called to make instances.
    pub const NO_NEW: u32 = 4096;
    /// Instances of user classes with `__slots__` and no dict: for layout checks.
    pub const SLOTS: u32 = 8192;
    /// `__eq__`/`__hash__` come from object: identity decides.
    pub const IDENTITY: u32 = 16384;
}

/// A native iterator's step.
pub type NextFn = fn(&Vm, &Value) -> PyResult<Option<Value>>;

/// The payload of a type object.
pub struct Type {
    /// `__name__`
    pub name: RefCell<Rc<str>>,
    /// `__qualname__`
    pub qualname: RefCell<Rc<str>>,
    /// How instances are laid out.
    pub vtable: &'static VTable,
    /// [`flag`]s.
    pub flags: Cell<u32>,
    /// Changes whenever an attribute of the type or a base changes; never used twice.
    pub version: Cell<u32>,
    /// `__bases__`
    pub bases: RefCell<Vec<Value>>,
    /// `__mro__`, the type itself first.
    pub mro: RefCell<Vec<Value>>,
    /// `__dict__`, names interned.
    pub dict: RefCell<Dict>,
    /// Native step of the iterator protocol, unless `__next__` is overridden.
    pub next: Cell<Option<NextFn>>,
    /// Types derived from it, which take themselves out when they end.
    pub subclasses: RefCell<Vec<Unowned>>,
    /// The layout of fresh instances.
    pub shape: OnceCell<Rc<Shape>>,
    /// `__slots__` of it and its bases.
    pub slots: RefCell<Vec<Value>>,
    slot_total: Cell<usize>,
    /// How many attributes instances had in the end, for their first allocation.
    pub usual_attributes: Cell<usize>,
    /// What calling it does, as of a version (see [`Type::constructor`]).
    pub(crate) constructor: Cell<Unowned>,
    pub(crate) constructor_version: Cell<u32>,
}

impl Payload for Type {
    const KIND: Kind = Kind::Type;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        if !self.is_heap() {
            return;
        }
        self.bases.borrow().iter().for_each(&mut *visit);
        self.mro.borrow().iter().for_each(&mut *visit);
        self.dict.borrow().visit(visit);
    }
    fn clear(&self) {
        // What caches remember of it is not true any more.
        self.version.set(fresh_version());
        self.leave_bases();
        let dict = self.dict.take();
        let mro = self.mro.take();
        let bases = self.bases.take();
        drop((dict, mro, bases));
    }
}

impl Drop for Type {
    fn drop(&mut self) {
        self.leave_bases();
    }
}

thread_local! {
    static VERSIONS: Cell<u32> = const { Cell::new(1) };
}

/// A version that no type has had.
pub fn fresh_version() -> u32 {
    VERSIONS.with(|v| v.replace(v.get() + 1))
}

impl Type {
    /// Whether `class` or `type()` made it.
    #[inline(always)]
    pub fn is_heap(&self) -> bool {
        self.flags.get() & flag::HEAP != 0
    }
    /// Whether instances have a `__dict__` or slots.
    #[inline(always)]
    pub fn has_attrs(&self) -> bool {
        self.flags.get() & (flag::ATTRS | flag::SLOTS) != 0
    }
    /// Whether instances run `__del__`.
    #[inline(always)]
    pub fn has_del(&self) -> bool {
        self.flags.get() & flag::DEL != 0
    }
    /// Whether a flag is set.
    #[inline(always)]
    pub fn has(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }
    /// Sets a flag.
    pub fn set(&self, flag: u32) {
        self.flags.set(self.flags.get() | flag);
    }
    /// How many `__slots__` instances have.
    #[inline(always)]
    pub fn slot_count(&self) -> usize {
        self.slot_total.get()
    }
    /// Room for slots and attributes that fresh instances get.
    #[inline(always)]
    pub fn attribute_room(&self) -> usize {
        self.slot_total.get() + self.usual_attributes.get()
    }
    /// The `__init__` to call when instances are made by `object.__new__` (empty: `object`'s), as found out for the
    /// version that the type now has.
    #[inline(always)]
    pub fn constructor(&self) -> Option<Unowned> {
        (self.constructor_version.get() == self.version.get()).then_some(self.constructor.get())
    }
    /// Remembers for [`Type::constructor`].
    pub fn set_constructor(&self, init: &Value) {
        self.constructor.set(init.unowned());
        self.constructor_version.set(self.version.get());
    }
    /// Sets the number of slots.
    pub fn set_slot_count(&self, count: usize) {
        self.slot_total.set(count);
    }
    /// The layout of fresh instances.
    #[inline]
    pub fn root_shape(&self) -> &Rc<Shape> {
        self.shape.get_or_init(Shape::root)
    }
    /// The name, cheap to keep.
    pub fn name(&self) -> Rc<str> {
        self.name.borrow().clone()
    }
    /// Whether `base` (a type object) is in the mro.
    pub fn derives_from(&self, base: &Value) -> bool {
        self.mro.borrow().iter().any(|t| t.is(base))
    }
    /// Takes itself out of the lists of its bases.
    pub fn leave_bases(&self) {
        for base in self.bases.borrow().iter().filter_map(|b| b.get::<Type>()) {
            base.subclasses.borrow_mut().retain(|s| s.get::<Type>().is_none_or(|s| !std::ptr::eq(s, self)));
        }
    }
    /// The value that the type itself (not a base) has under a name.
    pub fn own(&self, name: &Value) -> Option<Value> {
        self.dict.borrow().get_interned(name).cloned()
    }
}

/// Makes a type object of any kind; `mro` starts with nothing and is filled here.
pub fn make_type(
    metatype: &Value,
    name: &str,
    vtable: &'static VTable,
    bases: Vec<Value>,
    mro_rest: Vec<Value>,
    flags: u32,
) -> Value {
    let next = mro_rest.first().and_then(|b| b.get::<Type>()).and_then(|b| b.next.get());
    let value = new_object(
        metatype,
        Type {
            name: RefCell::new(name.into()),
            qualname: RefCell::new(name.into()),
            vtable,
            flags: Cell::new(flags),
            version: Cell::new(fresh_version()),
            bases: RefCell::new(bases.clone()),
            mro: RefCell::default(),
            dict: RefCell::default(),
            next: Cell::new(next),
            subclasses: RefCell::default(),
            shape: OnceCell::new(),
            slots: RefCell::default(),
            slot_total: Cell::new(0),
            usual_attributes: Cell::new(0),
            constructor: Cell::new(Unowned::UNBOUND),
            constructor_version: Cell::new(0),
        },
    );
    if let Some(ty) = value.get::<Type>() {
        let mut mro = vec![value.clone()];
        mro.extend(mro_rest);
        *ty.mro.borrow_mut() = mro;
    }
    for base in &bases {
        if let Some(base) = base.get::<Type>() {
            base.subclasses.borrow_mut().push(value.unowned());
        }
    }
    value
}

/// C3 linearization of the bases' orders, without the type itself; nothing when they contradict each other.
pub fn linearize(bases: &[Value]) -> Option<Vec<Value>> {
    let mut lists: Vec<Vec<Value>> =
        bases.iter().filter_map(|b| b.get::<Type>().map(|t| t.mro.borrow().clone())).collect();
    lists.push(bases.to_vec());
    let mut order = Vec::new();
    loop {
        lists.retain(|list| !list.is_empty());
        if lists.is_empty() {
            return Some(order);
        }
        let head = lists
            .iter()
            .map(|list| &list[0])
            .find(|head| !lists.iter().any(|list| list[1..].iter().any(|t| t.is(head))))?
            .clone();
        for list in &mut lists {
            if list[0].is(&head) {
                list.remove(0);
            }
        }
        order.push(head);
    }
}

impl Vm {
    /// The type of any value.
    #[inline(always)]
    pub fn type_of<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.type_value() {
            Some(ty) => ty,
            None => self.type_of_immediate(value),
        }
    }

    #[inline]
    fn type_of_immediate(&self, value: &Value) -> &Value {
        let t = &self.types;
        if value.as_small().is_some() {
            &t.int
        } else if value.as_bool().is_some() {
            &t.bool_
        } else if value.is_none() {
            &t.none
        } else if value.is(&Value::NOT_IMPLEMENTED) {
            &t.not_implemented
        } else {
            &t.ellipsis
        }
    }

    /// The payload of a value's type.
    #[inline(always)]
    pub fn class_of<'a>(&'a self, value: &'a Value) -> &'a Type {
        match value.class() {
            Some(class) => class,
            None => self.type_of_immediate(value).get::<Type>().expect("the type of a value is a type"),
        }
    }

    /// The name of a value's type, for messages.
    pub fn type_name(&self, value: &Value) -> Rc<str> {
        self.class_of(value).name()
    }

    /// Looks an interned name up along the mro, without binding it.
    #[inline]
    pub fn lookup(&self, ty: &Value, name: &Value) -> Option<Value> {
        let class = ty.get::<Type>()?;
        let version = class.version.get();
        let place = (version as usize).wrapping_mul(31).wrapping_add((name.bits() >> 4) as usize);
        {
            let cache = self.method_cache.borrow();
            if let Some(entry) = cache.get(place & cache.len().wrapping_sub(1))
                && entry.version == version
                && entry.name == name.bits()
            {
                return entry.value.bound().cloned();
            }
        }
        self.lookup_missed(class, name, place)
    }

    #[inline(never)]
    fn lookup_missed(&self, class: &Type, name: &Value, place: usize) -> Option<Value> {
        let version = class.version.get();
        let found = lookup_slow(class, name);
        // As long as the version stays, a dictionary of the mro holds the value.
        let value = found.as_ref().map_or(Unowned::UNBOUND, Value::unowned);
        let entry = crate::vm::CacheEntry { version, name: name.bits(), value };
        let mut cache = self.method_cache.borrow_mut();
        let misses = self.method_misses.get().saturating_add(1);
        self.method_misses.set(misses);
        let (few, many) = crate::vm::METHOD_CACHE;
        if misses as usize > few && cache.len() == few {
            cache.clear();
            cache.resize(many, crate::vm::CacheEntry::EMPTY);
        }
        let mask = cache.len().wrapping_sub(1);
        if let Some(slot) = cache.get_mut(place & mask) {
            *slot = entry;
        }
        found
    }

    /// Looks a special method up on a value's type.
    #[inline]
    pub fn special(&self, value: &Value, name: &Value) -> Option<Value> {
        self.lookup(self.type_of(value), name)
    }

    /// Called after every change of a type's attributes.
    pub fn type_changed(&self, ty: &Value) {
        let Some(class) = ty.get::<Type>() else { return };
        class.version.set(fresh_version());
        self.refresh_flags(ty, class);
        let subclasses: Vec<Value> = class.subclasses.borrow().iter().map(|s| s.owned()).collect();
        for subclass in subclasses {
            self.type_changed(&subclass);
        }
    }

    /// Sets (the empty value: removes) an entry of a type's dictionary; gives the former value.
    pub fn type_put(&self, ty: &Value, name: &Value, value: Value) -> Option<Value> {
        let class = ty.get::<Type>()?;
        let old = if value.is_unbound() {
            class.dict.borrow_mut().remove_interned(name)
        } else {
            class.dict.borrow_mut().set_interned(name, value)
        };
        self.type_changed(ty);
        old
    }

    /// Gives a builtin type the flags of its only base when no special method of its own decides about them; the base
    /// has its flags already.
    pub(crate) fn inherits_flags(&self, class: &Type) -> bool {
        let n = &self.names;
        let deciding = [
            &n.__del__,
            &n.__getattr__,
            &n.__getattribute__,
            &n.__setattr__,
            &n.__delattr__,
            &n.__eq__,
            &n.__hash__,
        ];
        let bases = class.bases.borrow();
        let [base] = &bases[..] else { return false };
        let Some(base) = base.get::<Type>() else { return false };
        let own = class.dict.borrow();
        if class.is_heap() || deciding.iter().any(|name| own.find_interned(name).is_some()) {
            return false;
        }
        let mask = flag::DEL | flag::GETATTRIBUTE | flag::GETATTR | flag::SETATTR | flag::IDENTITY;
        class.flags.set(class.flags.get() & !mask | base.flags.get() & mask);
        true
    }

    /// Works out the flags that depend on which special methods exist.
    pub fn refresh_flags(&self, ty: &Value, class: &Type) {
        let n = &self.names;
        let mut flags = class.flags.get()
            & !(flag::DEL | flag::GETATTRIBUTE | flag::GETATTR | flag::SETATTR | flag::IDENTITY);
        let from_object = |name: &Value| match lookup_slow(class, name) {
            Some(found) => self.object_method(name).is_some_and(|own| own.is(&found)),
            None => true,
        };
        // The core types' own access rules are known by kind; hooks of Python code and of other native types run.
        let t = &self.types;
        let core = [&t.object, &t.type_, &t.module, &t.super_, &t.method, &t.generic_alias, &t.union_type];
        let hooked = |name: &Value| {
            lookup_slow(class, name).is_some_and(|found| match found.get::<crate::function::NativeData>() {
                Some(native) => native.owner.kind() == Kind::Type && !core.iter().any(|c| native.owner.is(c)),
                None => true,
            })
        };
        if lookup_slow(class, &n.__del__).is_some() {
            flags |= flag::DEL;
        }
        if lookup_slow(class, &n.__getattr__).is_some() {
            flags |= flag::GETATTR;
        }
        if hooked(&n.__getattribute__) {
            flags |= flag::GETATTRIBUTE;
        }
        if hooked(&n.__setattr__) || hooked(&n.__delattr__) {
            flags |= flag::SETATTR;
        }
        if from_object(&n.__eq__) && from_object(&n.__hash__) {
            flags |= flag::IDENTITY;
        }
        class.flags.set(flags);
        // A Python-level `__next__` replaces the native step.
        let native = class.mro.borrow().iter().find_map(|t| {
            let t = t.get::<Type>()?;
            let own = t.own(&n.__next__)?;
            Some(if own.kind() == Kind::Native { t.next.get() } else { None })
        });
        if let Some(step) = native
            && class.is_heap()
        {
            class.next.set(step);
        }
        let _ = ty;
    }

    fn object_method(&self, name: &Value) -> Option<Value> {
        self.types.object.get::<Type>()?.own(name)
    }

    /// `isinstance` by the real type only.
    #[inline]
    pub fn is_a(&self, value: &Value, ty: &Value) -> bool {
        let own = self.type_of(value);
        own.is(ty) || own.get::<Type>().is_some_and(|c| c.derives_from(ty))
    }

    /// `issubclass` by the real order only.
    pub fn is_subtype(&self, ty: &Value, base: &Value) -> bool {
        ty.is(base) || ty.get::<Type>().is_some_and(|c| c.derives_from(base))
    }

    /// A builtin type of a native module; its bases come from `base`.
    pub fn new_type<T: Payload>(&self, module: &str, name: &str, base: Option<&Value>, flags: u32) -> Value {
        let base = base.unwrap_or(&self.types.object);
        let rest = base.get::<Type>().map(|b| b.mro.borrow().clone()).unwrap_or_default();
        let inherited = base
            .get::<Type>()
            .map_or(0, |b| b.flags.get() & (flag::ATTRS | flag::WEAK | flag::SEQUENCE | flag::MAPPING));
        let ty = make_type(
            &self.types.type_,
            name,
            VTable::of::<T>(),
            vec![base.clone()],
            rest,
            flags | inherited | flag::IMMUTABLE | flag::IDENTITY,
        );
        if module != "builtins" {
            self.set_type_attr(&ty, "__module__", self.str(module));
        }
        if let Some(class) = ty.get::<Type>() {
            self.add_instance_descriptors(&ty, class);
        }
        ty
    }

    /// Sets an attribute of a type from native code.
    pub fn set_type_attr(&self, ty: &Value, name: &str, value: Value) {
        let name = self.intern(name);
        if let Some(class) = ty.get::<Type>() {
            let old = class.dict.borrow_mut().set_interned(&name, value);
            drop(old);
            class.version.set(fresh_version());
        }
    }
}

/// Along the mro, without the cache.
pub fn lookup_slow(class: &Type, name: &Value) -> Option<Value> {
    class.mro.borrow().iter().find_map(|t| t.get::<Type>()?.own(name))
}
