//! What machine code asks of the runtime for calls, attributes and builtins.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use super::Lane;
use super::helpers::{fail, lane};
use crate::containers::TupleData;
use crate::function::{Cache, answer};
use crate::object::Value;
use crate::registers::Window;
use crate::str::Str;
use crate::types::Type;
use crate::vm::Vm;

/// Builtins that machine code does in place, as long as the name still means them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// `len`
    Len,
    /// `isinstance`
    IsInstance,
    /// `abs`
    Abs,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `ord`
    Ord,
    /// `chr`
    Chr,
    /// `list.append`
    Append,
    /// `super`
    Super,
}

/// How many there are.
pub const KNOWN: usize = 9;

/// In the last word of a call: the second place of the window is self, or nothing.
pub const METHOD: u64 = 1 << 16;

impl Known {
    /// By the name that a program uses: a global, or a method.
    pub fn of(name: &str, method: bool) -> Option<Known> {
        Some(match (name, method) {
            ("len", false) => Known::Len,
            ("isinstance", false) => Known::IsInstance,
            ("abs", false) => Known::Abs,
            ("min", false) => Known::Min,
            ("max", false) => Known::Max,
            ("ord", false) => Known::Ord,
            ("chr", false) => Known::Chr,
            ("super", false) => Known::Super,
            ("append", true) => Known::Append,
            _ => return None,
        })
    }
}

impl Vm {
    /// Looks the known builtins up.
    pub(super) fn find_known(&self) {
        let mut values = Vec::new();
        for name in ["len", "isinstance", "abs", "min", "max", "ord", "chr"] {
            values.push(self.get_builtin(name));
        }
        values.push(self.lookup(&self.types.list, &self.intern("append")).unwrap_or(Value::NONE));
        values.push(self.get_builtin("super"));
        for (place, value) in self.native.known.iter().zip(&values) {
            place.set(value.bits());
        }
        drop(self.native.known_values.replace(values));
    }
}

// Every function below is only called by machine code, with the VM that it was entered with (`Vm::call_native`) and
// words as the helpers' table says.

pub(super) unsafe extern "C" fn call(vm: *const Vm, at: *mut Value, word: u64) -> Lane {
    // SAFETY: see above; the window holds a callee, self or nothing, and the arguments, which are ours.
    let (vm, window) = unsafe { (&*vm, Window::at(at)) };
    let count = (word & 0xffff) as usize;
    let result = (vm.engine().call_window)(vm, window, count, word & METHOD != 0);
    window.clear(0, count + 2);
    lane(vm, result)
}

pub(super) unsafe extern "C" fn call_names(vm: *const Vm, at: *mut Value, word: u64, names: u64) -> Lane {
    // SAFETY: as in `call`; the names are a constant of the running code.
    let (vm, window, names) = unsafe { (&*vm, Window::at(at), ManuallyDrop::new(Value::from_raw(names))) };
    let count = (word & 0xffff) as usize;
    let words = names.get::<TupleData>().map_or(&[][..], TupleData::items);
    let result = (vm.engine().call_names)(vm, window, count, word & METHOD != 0, words);
    window.clear(0, count + 2);
    lane(vm, result)
}

pub(super) unsafe extern "C" fn instance(vm: *const Vm, class: u64) -> u64 {
    // SAFETY: see above; the class is the caller's, who keeps it.
    let (vm, class) = unsafe { (&*vm, ManuallyDrop::new(Value::from_raw(class))) };
    vm.bare_instance(&class).into_raw()
}

pub(super) unsafe extern "C" fn bad_init(vm: *const Vm, result: u64, float: f64) {
    // SAFETY: see above; the result is ours.
    let (vm, result) = unsafe { (&*vm, super::helpers::owned(&*vm, result, float)) };
    let error = vm.init_result_error(&result);
    drop(result);
    fail(vm, error);
}

pub(super) unsafe extern "C" fn add_attr(
    vm: *const Vm,
    object: u64,
    cache: *const Cache,
    name: u64,
    value: u64,
) -> u64 {
    // SAFETY: see above; object and name stay the caller's, and so does the value when the answer is 0.
    let (vm, object, name, cache) = unsafe {
        let name = ManuallyDrop::new(Value::from_raw(name));
        (&*vm, ManuallyDrop::new(Value::from_raw(object)), name, &*cache)
    };
    let Some(attrs) = object.attrs() else { return 0 };
    let class = vm.class_of(&object);
    if cache.kind != answer::ADD
        || class.version.get() != cache.version
        || attrs.shape_id() != cache.shape
        || attrs.has_dict()
    {
        return 0;
    }
    let shape = attrs.shape().unwrap_or_else(|| class.root_shape()).with(&name);
    // SAFETY: the answer is 1: the value is ours.
    attrs.push(shape, unsafe { Value::from_raw(value) });
    1
}

pub(super) unsafe extern "C" fn super_method(
    vm: *const Vm,
    class: u64,
    object: u64,
    cache: *const Cell<Cache>,
    name: u64,
) -> u64 {
    // SAFETY: see above; all stay the caller's.
    let (vm, class, object, cache, name) = unsafe {
        let borrowed = |bits| ManuallyDrop::new(Value::from_raw(bits));
        (&*vm, borrowed(class), borrowed(object), &*cache, borrowed(name))
    };
    let Some(start) = class.get::<Type>() else { return 0 };
    let own = vm.class_of(&object);
    let known = cache.get();
    if known.kind == answer::SUPER && known.version == own.version.get() && known.shape == start.version.get()
    {
        return known.value.owned().into_raw();
    }
    let Some(found) = vm.super_function(&class, &object, &name) else { return 0 };
    let (version, shape) = (own.version.get(), start.version.get());
    cache.set(Cache { kind: answer::SUPER, version, shape, value: found.unowned(), ..Cache::default() });
    found.into_raw()
}

pub(super) unsafe extern "C" fn drop_held(vm: *const Vm, window: *mut Value, set: u64, count: u64) {
    // SAFETY: see above; the registers of the set hold values that are ours.
    let (vm, window) = unsafe { (&*vm, Window::at(window)) };
    // Finalizers may run machine code, whose exceptions are not ours.
    let waiting = vm.native.error.take();
    for reg in 0..count as u16 {
        if set == u64::MAX || set >> reg & 1 != 0 {
            drop(window.take(reg));
        }
    }
    vm.native.error.set(waiting);
}

pub(super) unsafe extern "C" fn chr(vm: *const Vm, n: u64) -> u64 {
    // SAFETY: see above.
    unsafe { &*vm }.char_str(n as u32).into_raw()
}

pub(super) unsafe extern "C" fn ord(_: *const Vm, text: u64) -> u64 {
    // SAFETY: see above; the text stays the caller's.
    let text = unsafe { ManuallyDrop::new(Value::from_raw(text)) };
    match text.get::<Str>() {
        Some(s) if s.len() == 1 => Value::from_len(s.at(0) as usize).into_raw(),
        _ => 0,
    }
}

pub(super) unsafe extern "C" fn text_len(_: *const Vm, text: u64) -> u64 {
    // SAFETY: see above; the text stays the caller's.
    let text = unsafe { ManuallyDrop::new(Value::from_raw(text)) };
    Value::from_len(text.get::<Str>().map_or(0, Str::len)).into_raw()
}
