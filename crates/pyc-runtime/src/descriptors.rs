//! Descriptors: property, staticmethod, classmethod, native getters, slots.

use std::cell::{OnceCell, RefCell};

use crate::args::Method;
use crate::object::{Kind, Payload, Value, new_object};
use crate::types::Type;
use crate::vm::{Args, PyResult, Vm};

/// Reads a computed attribute.
pub type Getter = fn(&Vm, &Value) -> PyResult;
/// Sets it; the empty value deletes.
pub type Setter = fn(&Vm, &Value, Value) -> PyResult<()>;

/// A computed attribute of a builtin type.
pub struct GetSetData {
    /// Its name.
    pub name: &'static str,
    /// The type.
    pub owner: Value,
    /// Reads.
    pub get: Getter,
    /// Sets.
    pub set: Option<Setter>,
}
impl Payload for GetSetData {
    const KIND: Kind = Kind::GetSet;
}

/// A slot of a class with `__slots__`.
pub struct MemberData {
    /// Its name.
    pub name: Value,
    /// The class.
    pub owner: Value,
    /// The place among the instance's slots.
    pub index: usize,
}
impl Payload for MemberData {
    const KIND: Kind = Kind::Member;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.owner);
    }
}

/// `property`
#[derive(Default)]
pub struct PropertyData {
    /// Getter, setter, deleter; None when absent.
    pub parts: RefCell<[Option<Value>; 3]>,
    doc: RefCell<Option<Value>>,
    name: RefCell<Option<Value>>,
}
impl Payload for PropertyData {
    const KIND: Kind = Kind::Property;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.parts.borrow().iter().flatten().for_each(&mut *visit);
        self.doc.borrow().iter().for_each(visit);
    }
    fn clear(&self) {
        let old = self.parts.take();
        drop(old);
    }
}

/// `staticmethod`
pub struct StaticMethodData(pub RefCell<Value>);
impl Payload for StaticMethodData {
    const KIND: Kind = Kind::StaticMethod;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.0.borrow());
    }
}

/// `classmethod`
pub struct ClassMethodData(pub RefCell<Value>);
impl Payload for ClassMethodData {
    const KIND: Kind = Kind::ClassMethod;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.0.borrow());
    }
}

thread_local! {
    static DOCS: OnceCell<()> = const { OnceCell::new() };
}

impl Vm {
    /// A static method around a function.
    pub fn static_method(&self, function: Value) -> Value {
        new_object(&self.types.staticmethod, StaticMethodData(RefCell::new(function)))
    }

    /// A class method around a function.
    pub fn class_method(&self, function: Value) -> Value {
        new_object(&self.types.classmethod, ClassMethodData(RefCell::new(function)))
    }
}

fn property(value: &Value) -> &PropertyData {
    value.get::<PropertyData>().expect("the descriptor checked the type")
}

fn given(value: Option<&Value>) -> Option<Value> {
    value.filter(|v| !v.is_none()).cloned()
}

fn property_new(vm: &Vm, args: Args) -> PyResult {
    let _ = vm;
    Ok(new_object(&args.all[0], PropertyData::default()))
}

fn property_init(vm: &Vm, args: Args) -> PyResult {
    let p = property(&args[0]);
    let parts = [given(args.opt(1)), given(args.opt(2)), given(args.opt(3))];
    let mut doc = given(args.opt(4));
    if doc.is_none()
        && let Some(getter) = &parts[0]
    {
        doc = vm.get_attr_opt(getter, &vm.names.__doc__)?.filter(|d| !d.is_none());
    }
    let old = p.parts.replace(parts);
    drop(old);
    if !args[0].is_exact()
        && let Some(doc) = &doc
    {
        vm.set_attr(&args[0], &vm.names.__doc__, doc.clone())?;
    }
    drop(p.doc.replace(doc));
    Ok(Value::NONE)
}

fn property_copy(vm: &Vm, args: Args, which: usize) -> PyResult {
    let p = property(&args[0]);
    let mut parts = p.parts.borrow().clone();
    parts[which] = given(Some(&args[1]));
    let ty = vm.type_of(&args[0]).clone();
    let part = |i: usize| parts[i].clone().unwrap_or(Value::NONE);
    let doc = if which == 0 { Value::NONE } else { p.doc.borrow().clone().unwrap_or(Value::NONE) };
    let made = vm.call(&ty, Args::pos(&[part(0), part(1), part(2), doc]))?;
    if let Some(copy) = made.get::<PropertyData>() {
        *copy.name.borrow_mut() = p.name.borrow().clone();
    }
    Ok(made)
}

fn property_name(vm: &Vm, this: &Value) -> String {
    let p = property(this);
    if let Some(name) = &*p.name.borrow() {
        return format!(" '{}'", vm.text(name));
    }
    if let Some(getter) = &p.parts.borrow()[0]
        && let Ok(Some(name)) = vm.get_attr_opt(getter, &vm.names.__name__)
    {
        return format!(" '{}'", vm.text(&name));
    }
    String::new()
}

impl Vm {
    /// Reads through a property.
    ///
    /// # Errors
    /// AttributeError without a getter; what the getter raises.
    pub fn property_get(&self, descriptor: &Value, this: &Value) -> PyResult {
        let getter = property(descriptor).parts.borrow()[0].clone();
        match getter {
            Some(getter) => self.call(&getter, Args::pos(std::slice::from_ref(this))),
            None => {
                let message = format!(
                    "property{} of '{}' object has no getter",
                    property_name(self, descriptor),
                    self.class_of(this).qualname.borrow()
                );
                Err(self.raise(&self.exc.attribute_error, &message))
            }
        }
    }

    fn property_set(&self, descriptor: &Value, this: &Value, value: Value) -> PyResult<()> {
        let (which, what) = if value.is_unbound() { (2, "deleter") } else { (1, "setter") };
        let function = property(descriptor).parts.borrow()[which].clone();
        match function {
            Some(f) if which == 2 => self.call(&f, Args::pos(std::slice::from_ref(this))).map(drop),
            Some(f) => self.call(&f, Args::pos(&[this.clone(), value])).map(drop),
            None => {
                let message = format!(
                    "property{} of '{}' object has no {what}",
                    property_name(self, descriptor),
                    self.class_of(this).qualname.borrow()
                );
                Err(self.raise(&self.exc.attribute_error, &message))
            }
        }
    }

    /// The slot that a member descriptor stands for.
    ///
    /// # Errors
    /// AttributeError when it is empty; TypeError for objects of another class.
    pub fn member_get(&self, descriptor: &Value, this: &Value) -> PyResult {
        let member = descriptor.get::<MemberData>().expect("the descriptor checked the type");
        self.check_member(member, this)?;
        let value = this.attrs().and_then(|a| a.slot(member.index)).unwrap_or(Value::UNBOUND);
        if value.is_unbound() {
            let message =
                format!("'{}' object has no attribute '{}'", self.type_name(this), self.text(&member.name));
            return Err(self.attribute_error(this, &member.name, message));
        }
        Ok(value)
    }

    fn check_member(&self, member: &MemberData, this: &Value) -> PyResult<()> {
        if !self.is_subtype(self.type_of(this), &member.owner) {
            let owner = member.owner.get::<Type>().map_or_else(|| "?".into(), Type::name);
            return Err(self.type_error(format!(
                "descriptor '{}' for '{owner}' objects doesn't apply to a '{}' object",
                self.text(&member.name),
                self.type_name(this)
            )));
        }
        Ok(())
    }

    /// Sets (or with the empty value deletes) through a data descriptor; false when it is none.
    ///
    /// # Errors
    /// What the descriptor raises.
    pub fn descriptor_set(&self, descriptor: &Value, this: &Value, value: Value) -> PyResult<bool> {
        match descriptor.kind() {
            Kind::Property => self.property_set(descriptor, this, value)?,
            Kind::Member => {
                let member = descriptor.get::<MemberData>().expect("the kind says so");
                self.check_member(member, this)?;
                if let Some(attrs) = this.attrs() {
                    let old = attrs.replace_slot(member.index, value.clone());
                    if value.is_unbound() && old.as_ref().is_none_or(Value::is_unbound) {
                        return Err(self.attribute_error(this, &member.name, self.text(&member.name)));
                    }
                }
            }
            Kind::GetSet => {
                let data = descriptor.get::<GetSetData>().expect("the kind says so");
                match data.set {
                    Some(set) => set(self, this, value)?,
                    None => {
                        let owner = data.owner.get::<Type>().map_or_else(|| "?".into(), Type::name);
                        let name = self.intern(data.name);
                        // What are members in CPython says it in other words.
                        let message = if &*owner == "range" {
                            "readonly attribute".to_string()
                        } else {
                            format!("attribute '{}' of '{owner}' objects is not writable", data.name)
                        };
                        return Err(self.attribute_error(this, &name, message));
                    }
                }
            }
            Kind::Function
            | Kind::Native
            | Kind::StaticMethod
            | Kind::ClassMethod
            | Kind::Str
            | Kind::Int => return Ok(false),
            _ => {
                let name = if value.is_unbound() { &self.names.__delete__ } else { &self.names.__set__ };
                let Some(method) = self.special(descriptor, name) else {
                    if self.special(descriptor, &self.names.__set__).is_some()
                        || self.special(descriptor, &self.names.__delete__).is_some()
                    {
                        return Err(self.raise(&self.exc.attribute_error, &self.text(name)));
                    }
                    return Ok(false);
                };
                if value.is_unbound() {
                    self.call_with_self(&method, descriptor, std::slice::from_ref(this))?;
                } else {
                    self.call_with_self(&method, descriptor, &[this.clone(), value])?;
                }
            }
        }
        Ok(true)
    }

    /// Whether a value found on a type comes before the instance's own attributes.
    #[inline]
    pub fn is_data_descriptor(&self, value: &Value) -> bool {
        match value.kind() {
            Kind::Property | Kind::Member | Kind::GetSet => true,
            Kind::Function
            | Kind::Native
            | Kind::StaticMethod
            | Kind::ClassMethod
            | Kind::Str
            | Kind::Type => false,
            _ if !value.is_object() => false,
            _ => {
                self.special(value, &self.names.__set__).is_some()
                    || self.special(value, &self.names.__delete__).is_some()
            }
        }
    }
}

fn property_slot_get(vm: &Vm, args: Args) -> PyResult {
    match args.opt(1).filter(|v| !v.is_none()) {
        None => Ok(args[0].clone()),
        Some(this) => vm.property_get(&args[0], this),
    }
}

fn slot_set(vm: &Vm, args: Args) -> PyResult {
    vm.descriptor_set(&args[0], &args[1], args[2].clone())?;
    Ok(Value::NONE)
}

fn slot_delete(vm: &Vm, args: Args) -> PyResult {
    vm.descriptor_set(&args[0], &args[1], Value::UNBOUND)?;
    Ok(Value::NONE)
}

fn native_get(vm: &Vm, args: Args) -> PyResult {
    match args.opt(1).filter(|v| !v.is_none()) {
        None => Ok(args[0].clone()),
        Some(this) => vm.bind(&args[0], this),
    }
}

fn wrapped(value: &Value) -> Value {
    match (value.get::<StaticMethodData>(), value.get::<ClassMethodData>()) {
        (Some(s), _) => s.0.borrow().clone(),
        (_, Some(c)) => c.0.borrow().clone(),
        _ => Value::NONE,
    }
}

fn wrapper_init(vm: &Vm, args: Args) -> PyResult {
    let function = args[1].clone();
    if let Some(s) = args[0].get::<StaticMethodData>() {
        drop(s.0.replace(function.clone()));
    } else if let Some(c) = args[0].get::<ClassMethodData>() {
        drop(c.0.replace(function.clone()));
    }
    for name in [&vm.names.__module__, &vm.names.__name__, &vm.names.__qualname__, &vm.names.__doc__] {
        if let Some(value) = vm.get_attr_opt(&function, name)? {
            vm.set_attr_raw(&args[0], name, value);
        }
    }
    vm.set_attr_raw(&args[0], &vm.names.__wrapped__, function);
    Ok(Value::NONE)
}

fn wrapper_get(vm: &Vm, args: Args) -> PyResult {
    let this = args.opt(1).cloned().unwrap_or(Value::NONE);
    let owner = match args.opt(2).filter(|v| !v.is_none()) {
        Some(owner) => owner.clone(),
        None => vm.type_of(&this).clone(),
    };
    vm.bind_in(&args[0], &this, &owner)
}

fn wrapper_repr(vm: &Vm, args: Args) -> PyResult {
    let inner = vm.repr_text(&wrapped(&args[0]))?;
    Ok(vm.str(&format!("<{}({inner})>", vm.type_name(&args[0]))))
}

fn getset_repr(vm: &Vm, args: Args) -> PyResult {
    let (what, name, owner) = match (args[0].get::<GetSetData>(), args[0].get::<MemberData>()) {
        (Some(g), _) => ("attribute", g.name.to_string(), g.owner.clone()),
        (_, Some(m)) => ("member", vm.text(&m.name).to_string(), m.owner.clone()),
        _ => return Ok(Value::NONE),
    };
    let owner = owner.get::<Type>().map_or_else(|| "?".into(), Type::name);
    Ok(vm.str(&format!("<{what} '{name}' of '{owner}' objects>")))
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    // What a wrapped function says of its parameters is asked of it, unless something else was set.
    for ty in [&t.staticmethod, &t.classmethod] {
        vm.add_getset(
            ty,
            "__annotations__",
            |vm, this| match vm.own_attr(this, &vm.names.__annotations__) {
                Some(own) => Ok(own),
                None => vm.get_attr(&wrapped(this), &vm.names.__annotations__),
            },
            Some(|vm, this, value| {
                vm.set_attr_raw(this, &vm.names.__annotations__, value);
                Ok(())
            }),
        );
        vm.add_getset(
            ty,
            "__annotate__",
            |vm, this| match vm.own_attr(this, &vm.names.__annotate__) {
                Some(own) => Ok(own),
                None => vm.get_attr(&wrapped(this), &vm.names.__annotate__),
            },
            Some(|vm, this, value| {
                vm.set_attr_raw(this, &vm.names.__annotate__, value);
                Ok(())
            }),
        );
    }
    const PROPERTY: &[Method] = &[
        ("__new__", "...", property_new),
        ("__init__", "fget? fset? fdel? doc?", property_init),
        ("__get__", "instance owner? /", property_slot_get),
        ("__set__", "instance value /", slot_set),
        ("__delete__", "instance /", slot_delete),
        ("getter", "function /", |vm, args| property_copy(vm, args, 0)),
        ("setter", "function /", |vm, args| property_copy(vm, args, 1)),
        ("deleter", "function /", |vm, args| property_copy(vm, args, 2)),
        ("__set_name__", "owner name /", |_, args| {
            *property(&args[0]).name.borrow_mut() = Some(args[2].clone());
            Ok(Value::NONE)
        }),
    ];
    vm.add_methods(&t.property, PROPERTY);
    let part = |this: &Value, i: usize| property(this).parts.borrow()[i].clone().unwrap_or(Value::NONE);
    let _ = part;
    vm.add_getset(
        &t.property,
        "fget",
        |_, this| Ok(property(this).parts.borrow()[0].clone().unwrap_or(Value::NONE)),
        None,
    );
    vm.add_getset(
        &t.property,
        "fset",
        |_, this| Ok(property(this).parts.borrow()[1].clone().unwrap_or(Value::NONE)),
        None,
    );
    vm.add_getset(
        &t.property,
        "fdel",
        |_, this| Ok(property(this).parts.borrow()[2].clone().unwrap_or(Value::NONE)),
        None,
    );
    vm.add_getset(
        &t.property,
        "__doc__",
        |_, this| Ok(property(this).doc.borrow().clone().unwrap_or(Value::NONE)),
        Some(|_, this, value| {
            drop(property(this).doc.replace(value.bound().cloned()));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.property,
        "__isabstractmethod__",
        |vm, this| {
            let parts = property(this).parts.borrow().clone();
            for part in parts.iter().flatten() {
                if let Some(value) = vm.get_attr_opt(part, &vm.names.__isabstractmethod__)?
                    && vm.truth(&value)?
                {
                    return Ok(Value::TRUE);
                }
            }
            Ok(Value::FALSE)
        },
        None,
    );
    vm.add_methods(
        &t.staticmethod,
        &[("__new__", "...", |_, args| {
            Ok(new_object(
                &args.all[0],
                StaticMethodData(RefCell::new(args.all.get(1).cloned().unwrap_or(Value::NONE))),
            ))
        })],
    );
    vm.add_methods(
        &t.classmethod,
        &[("__new__", "...", |_, args| {
            Ok(new_object(
                &args.all[0],
                ClassMethodData(RefCell::new(args.all.get(1).cloned().unwrap_or(Value::NONE))),
            ))
        })],
    );
    for ty in [&t.staticmethod, &t.classmethod] {
        vm.add_methods(
            ty,
            &[
                ("__init__", "function /", wrapper_init),
                ("__get__", "instance owner? /", wrapper_get),
                ("__repr__", "", wrapper_repr),
            ],
        );
        vm.add_getset(ty, "__func__", |_, this| Ok(wrapped(this)), None);
        vm.add_getset(
            ty,
            "__isabstractmethod__",
            |vm, this| {
                let value = vm.get_attr_opt(&wrapped(this), &vm.names.__isabstractmethod__)?;
                Ok(Value::from_bool(value.is_some_and(|v| vm.truth(&v).unwrap_or(false))))
            },
            None,
        );
    }
    vm.add_methods(
        &t.staticmethod,
        &[("__call__", "...", |vm, args| {
            vm.call(&wrapped(&args.all[0]), Args { all: &args.all[1..], names: args.names })
        })],
    );
    for ty in [&t.getset, &t.member] {
        vm.add_methods(
            ty,
            &[
                ("__get__", "instance owner? /", native_get),
                ("__set__", "instance value /", slot_set),
                ("__delete__", "instance /", slot_delete),
                ("__repr__", "", getset_repr),
            ],
        );
        vm.add_getset(
            ty,
            "__name__",
            |vm, this| {
                Ok(match (this.get::<GetSetData>(), this.get::<MemberData>()) {
                    (Some(g), _) => vm.intern(g.name),
                    (_, Some(m)) => m.name.clone(),
                    _ => Value::NONE,
                })
            },
            None,
        );
        vm.add_getset(
            ty,
            "__objclass__",
            |_, this| {
                Ok(match (this.get::<GetSetData>(), this.get::<MemberData>()) {
                    (Some(g), _) => g.owner.clone(),
                    (_, Some(m)) => m.owner.clone(),
                    _ => Value::NONE,
                })
            },
            None,
        );
        vm.add_getset(ty, "__doc__", |_, _| Ok(Value::NONE), None);
    }
}
