//! Weak references and proxies.

use std::cell::{Cell, RefCell};

use crate::object::{Payload, Value, new_object};
use crate::types::flag;
use crate::vm::{Args, PyResult, Vm};

/// The payload of weak references: the address of the object, nothing once it is gone.
pub struct WeakData {
    target: Cell<Option<u64>>,
    holder: RefCell<Option<std::mem::ManuallyDrop<Value>>>,
    callback: RefCell<Value>,
    hash: Cell<Option<i64>>,
}
impl Payload for WeakData {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.callback.borrow());
    }
}

impl WeakData {
    /// The object, while it lives.
    pub fn target(&self) -> Option<Value> {
        self.target.get()?;
        self.holder.borrow().as_ref().map(|v| Value::clone(v))
    }
}

impl Drop for WeakData {
    fn drop(&mut self) {
        // The reference is not counted, so it is forgotten, never dropped.
        self.holder.borrow_mut().take();
    }
}

/// A reference that is not counted.
#[allow(unsafe_code)]
fn uncounted(value: &Value) -> std::mem::ManuallyDrop<Value> {
    // SAFETY: a bitwise copy that is never dropped; `clear` empties it before the object's memory is given back,
    // so it is only cloned while the object lives.
    std::mem::ManuallyDrop::new(unsafe { std::ptr::read(value) })
}

/// Empties all weak references to an object and calls their callbacks.
pub(crate) fn clear(vm: &Vm, value: &Value) {
    let Some(list) = vm.weak.borrow_mut().remove(&value.bits()) else { return };
    let mut callbacks = Vec::new();
    for reference in list {
        let Some(data) = reference.get::<WeakData>() else { continue };
        data.target.set(None);
        data.holder.borrow_mut().take();
        let callback = data.callback.replace(Value::NONE);
        // A reference that only this table keeps is going away itself and calls nothing.
        if !callback.is_none() && reference.reference_count() > 1 {
            callbacks.push((callback, reference));
        }
    }
    for (callback, reference) in callbacks {
        if let Err(error) = vm.call_pos(&callback, std::slice::from_ref(&reference)) {
            vm.unraisable(error, "Exception ignored in: ", Some(&callback));
        }
    }
}

impl Vm {
    /// How many weak references an object has, and the references.
    pub fn weak_references(&self, value: &Value) -> Vec<Value> {
        self.prune(value);
        self.weak.borrow().get(&value.bits()).cloned().unwrap_or_default()
    }

    /// Forgets references that nobody but the table holds.
    fn prune(&self, value: &Value) {
        let mut gone = Vec::new();
        if let Some(list) = self.weak.borrow_mut().get_mut(&value.bits()) {
            let mut at = 0;
            while at < list.len() {
                if list[at].reference_count() == 1 {
                    gone.push(list.swap_remove(at));
                } else {
                    at += 1;
                }
            }
        }
    }

    /// A weak reference of a type; without a callback the existing one is given.
    ///
    /// # Errors
    /// TypeError for objects that cannot be referred to weakly.
    pub fn weak_reference(&self, ty: &Value, value: &Value, callback: Value) -> PyResult {
        let class = self.class_of(value);
        if !class.has(flag::WEAK) || !value.is_object() {
            return Err(self.type_error(format!("cannot create weak reference to '{}' object", class.name())));
        }
        if class.has(flag::SLOTS) && !class.has(flag::ATTRS) {
            let allowed = class.mro.borrow().iter().any(|t| {
                let Some(c) = t.get::<crate::types::Type>() else { return false };
                let Some(slots) = c.own(&self.names.__slots__) else { return c.is_heap() };
                self.contains(&slots, &self.names.__weakref__).unwrap_or(false)
            });
            if !allowed {
                return Err(
                    self.type_error(format!("cannot create weak reference to '{}' object", class.name()))
                );
            }
        }
        self.prune(value);
        if callback.is_none() {
            let existing = self.weak.borrow().get(&value.bits()).and_then(|list| {
                list.iter()
                    .find(|r| {
                        self.type_of(r).is(ty)
                            && r.get::<WeakData>().is_some_and(|d| d.callback.borrow().is_none())
                    })
                    .cloned()
            });
            if let Some(existing) = existing {
                return Ok(existing);
            }
        }
        let made = new_object(
            ty,
            WeakData {
                target: Cell::new(Some(value.bits())),
                holder: RefCell::new(Some(uncounted(value))),
                callback: RefCell::new(callback),
                hash: Cell::new(None),
            },
        );
        value.mark_weakly_referenced();
        self.weak.borrow_mut().entry(value.bits()).or_default().push(made.clone());
        Ok(made)
    }
}

fn own(value: &Value) -> &WeakData {
    value.get::<WeakData>().expect("the descriptor checked the type")
}

fn proxied(vm: &Vm, value: &Value) -> PyResult {
    own(value)
        .target()
        .ok_or_else(|| vm.raise(&vm.exc.reference_error, "weakly-referenced object no longer exists"))
}

fn unwrap(vm: &Vm, value: &Value) -> PyResult {
    if value.get::<WeakData>().is_some() && vm.type_of(value).is(&vm.types.weakproxy) {
        proxied(vm, value)
    } else {
        Ok(value.clone())
    }
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(
        &t.weakref,
        &[
            ("__new__", "object callback? /", |vm, args: Args| {
                let callback = args.opt(2).cloned().unwrap_or(Value::NONE);
                vm.weak_reference(&args[0], &args[1], callback)
            }),
            ("__init__", "...", |_, _| Ok(Value::NONE)),
            ("__call__", "", |_, args| Ok(own(&args[0]).target().unwrap_or(Value::NONE))),
            ("__hash__", "", |vm, args| {
                let data = own(&args[0]);
                if let Some(hash) = data.hash.get() {
                    return Ok(vm.int(hash));
                }
                let Some(target) = data.target() else {
                    return Err(vm.type_error("weak object has gone away"));
                };
                let hash = vm.hash(&target)?;
                data.hash.set(Some(hash));
                Ok(vm.int(hash))
            }),
            ("__eq__", "value /", |vm, args| {
                let Some(other) = args[1].get::<WeakData>() else { return Ok(Value::NOT_IMPLEMENTED) };
                match (own(&args[0]).target(), other.target()) {
                    (Some(a), Some(b)) => Ok(Value::from_bool(vm.equal(&a, &b)?)),
                    _ => Ok(Value::from_bool(args[0].is(&args[1]))),
                }
            }),
            ("__repr__", "", |vm, args| {
                let address = args[0].bits();
                Ok(vm.str(&match own(&args[0]).target() {
                    Some(target) => format!(
                        "<weakref at {address:#x}; to '{}' at {:#x}>",
                        vm.type_name(&target),
                        target.bits()
                    ),
                    None => format!("<weakref at {address:#x}; dead>"),
                }))
            }),
        ],
    );
    vm.add_getset(&t.weakref, "__callback__", |_, this| Ok(own(this).callback.borrow().clone()), None);
    vm.add_class_methods(
        &t.weakref,
        &[("__class_getitem__", "item /", |vm, args| crate::generic::alias(vm, &args[0], &args[1]))],
    );
    macro_rules! forward {
        ($($name:literal),*) => {
            vm.add_methods(&t.weakproxy, &[$(
                ($name, "...", |vm, args| {
                    let target = proxied(vm, &args.all[0])?;
                    let rest: Vec<Value> = args.all[1..].iter().map(|v| unwrap(vm, v)).collect::<PyResult<_>>()?;
                    let name = vm.intern($name);
                    match vm.special(&target, &name) {
                        Some(method) => vm.call_with_self(&method, &target, &rest),
                        None => Ok(Value::NOT_IMPLEMENTED),
                    }
                }),
            )*]);
        };
    }
    forward!(
        "__add__",
        "__radd__",
        "__sub__",
        "__rsub__",
        "__mul__",
        "__rmul__",
        "__truediv__",
        "__floordiv__",
        "__mod__",
        "__pow__",
        "__and__",
        "__or__",
        "__xor__",
        "__lshift__",
        "__rshift__",
        "__neg__",
        "__pos__",
        "__abs__",
        "__invert__",
        "__int__",
        "__float__",
        "__index__",
        "__len__",
        "__getitem__",
        "__setitem__",
        "__delitem__",
        "__contains__",
        "__iter__",
        "__next__",
        "__eq__",
        "__ne__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
        "__call__",
        "__iadd__",
        "__isub__",
        "__imul__",
        "__reversed__"
    );
    vm.add_methods(
        &t.weakproxy,
        &[
            ("__bool__", "", |vm, args| Ok(Value::from_bool(vm.truth(&proxied(vm, &args[0])?)?))),
            ("__str__", "", |vm, args| vm.to_str(&proxied(vm, &args[0])?)),
            ("__repr__", "", |vm, args| {
                let address = args[0].bits();
                Ok(vm.str(&match own(&args[0]).target() {
                    Some(target) => format!(
                        "<weakproxy at {address:#x} to {} at {:#x}>",
                        vm.type_name(&target),
                        target.bits()
                    ),
                    None => format!("<weakproxy at {address:#x} to NoneType at 0x0>"),
                }))
            }),
            ("__hash__", "", |vm, _| Err(vm.type_error("unhashable type: 'weakref.ProxyType'"))),
        ],
    );
    let getattr = |vm: &Vm, args: Args| -> PyResult {
        let name = vm.intern_value(&args[1]);
        vm.get_attr(&proxied(vm, &args[0])?, &name)
    };
    vm.add_methods(
        &t.weakproxy,
        &[
            ("__getattr__", "name /", getattr),
            ("__setattr__", "name value /", |vm, args| {
                let name = vm.intern_value(&args[1]);
                vm.set_attr(&proxied(vm, &args[0])?, &name, args[2].clone())?;
                Ok(Value::NONE)
            }),
            ("__delattr__", "name /", |vm, args| {
                let name = vm.intern_value(&args[1]);
                vm.set_attr(&proxied(vm, &args[0])?, &name, Value::UNBOUND)?;
                Ok(Value::NONE)
            }),
        ],
    );
}
