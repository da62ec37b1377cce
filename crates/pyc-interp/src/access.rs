//! Attributes, methods and globals through inline caches.

use pyc_runtime::containers::DictData;
use pyc_runtime::descriptors::{ClassMethodData, MemberData, StaticMethodData};
use pyc_runtime::dict::Dict;
use pyc_runtime::function::answer::{
    ADD, BARE, BUILTIN, CLASS, GETTER, GLOBAL, MODULE, ON_TYPE, OWN, PLAIN, SLOT,
};
use pyc_runtime::function::{Cache, CodeData, Flavor, NativeData};
use pyc_runtime::module::ModuleData;
use pyc_runtime::object::Attrs;
use pyc_runtime::shape::ATTRIBUTES_MAX;
use pyc_runtime::types::{Type, flag};
use pyc_runtime::{Kind, PyResult, Value, Vm};

/// `obj.name` from the cache.
#[inline(always)]
pub(crate) fn known_attr(vm: &Vm, code: &CodeData, obj: &Value, cache: u16) -> Option<Value> {
    let c = code.cache(cache).get();
    let attrs = obj.attrs()?;
    if vm.class_of(obj).version.get() != c.version {
        return None;
    }
    if c.kind == OWN && attrs.shape_id() == c.shape {
        return Some(attrs.value(c.index as usize));
    }
    if c.kind == SLOT {
        return attrs.slot(c.index as usize).filter(|v| !v.is_unbound());
    }
    None
}

/// `obj.name` when the cache does not hold the value itself.
#[inline(never)]
pub(crate) fn load_attr(vm: &Vm, code: &CodeData, obj: &Value, name: &Value, cache: u16) -> PyResult {
    let c = code.cache(cache).get();
    match c.kind {
        MODULE => {
            if let Some(value) = module_hint(obj, name, c.index) {
                return Ok(value);
            }
        }
        SLOT | GETTER | CLASS if vm.class_of(obj).version.get() == c.version => match c.kind {
            SLOT => return vm.member_get(&c.value, obj),
            GETTER => return vm.bind(&c.value, obj),
            _ if unshadowed(obj, c.shape) => return vm.bind(&c.value, obj),
            _ => {}
        },
        ON_TYPE => {
            if let Some(class) = obj.get::<Type>()
                && class.version.get() == c.version
                && c.value.kind() != Kind::ClassMethod
            {
                return Ok(on_type(&c.value));
            }
        }
        _ => {}
    }
    let result = vm.get_attr(obj, name)?;
    if c.misses < 20 {
        fill(vm, code, obj, name, cache, &result, c.misses + 1);
    }
    Ok(result)
}

/// Whether an instance has the attributes of this shape (0: none) and no others.
#[inline(always)]
fn unshadowed(obj: &Value, shape: u32) -> bool {
    obj.attrs().is_none_or(|a| a.shape_id() == shape && !a.has_dict())
}

/// What access through the class gives for a value of its dictionary that needs no fresh binding.
fn on_type(found: &Value) -> Value {
    match found.get::<StaticMethodData>() {
        Some(method) => method.0.borrow().clone(),
        None => found.clone(),
    }
}

fn module_hint(obj: &Value, name: &Value, index: u32) -> Option<Value> {
    let module = obj.get::<ModuleData>()?;
    let dict = module.dict.get::<DictData>()?.borrow();
    dict.entry(index as usize).filter(|e| e.key.is(name)).map(|e| e.value.clone())
}

fn fill(vm: &Vm, code: &CodeData, obj: &Value, name: &Value, cache: u16, result: &Value, misses: u8) {
    if !name.is_interned() {
        return;
    }
    let class = vm.class_of(obj);
    let version = class.version.get();
    let entry = |kind: u8| Cache { version, kind, misses, ..Cache::default() };
    let place = code.cache(cache);
    match obj.kind() {
        Kind::Module => {
            if let Some(index) =
                obj.get::<ModuleData>().and_then(|m| m.dict.get::<DictData>()?.borrow().find_interned(name))
            {
                place.set(Cache { index: index as u32, ..entry(MODULE) });
            }
            return;
        }
        Kind::Type => {
            // Only what belongs to the class itself and needs no fresh binding.
            let plain_meta = vm.type_of(obj).is(&vm.types.type_);
            // What stands in a dictionary of the mro, and needs no fresh binding, stays as long as the version.
            let Some(found) = vm.lookup(obj, name) else { return };
            let stable = match found.kind() {
                Kind::Function | Kind::Native | Kind::Str | Kind::Int => found.is(result),
                Kind::StaticMethod => found.is_exact(),
                Kind::ClassMethod => {
                    found.is_exact()
                        && found
                            .get::<ClassMethodData>()
                            .is_some_and(|m| m.0.borrow().kind() == Kind::Function)
                }
                _ => !found.is_object(),
            };
            if plain_meta
                && stable
                && vm.lookup(&vm.types.type_, name).is_none()
                && let Some(own) = obj.get::<Type>()
            {
                place.set(Cache { version: own.version.get(), value: found.unowned(), ..entry(ON_TYPE) });
            }
            return;
        }
        Kind::Super | Kind::Method => return,
        _ => {}
    }
    if class.has(flag::GETATTRIBUTE) {
        return;
    }
    let found = vm.lookup(vm.type_of(obj), name);
    if let Some(found) = &found
        && vm.is_data_descriptor(found)
    {
        match found.kind() {
            Kind::Member => {
                let index = found.get::<MemberData>().map_or(u32::MAX, |m| m.index as u32);
                place.set(Cache { index, value: found.unowned(), ..entry(SLOT) });
            }
            Kind::Property if found.is_exact() => {
                place.set(Cache { value: found.unowned(), ..entry(GETTER) });
            }
            _ => {}
        }
        return;
    }
    let attrs = obj.attrs();
    if let Some(index) = attrs.and_then(|a| a.shape()?.find(name)) {
        let shape = attrs.map_or(0, Attrs::shape_id);
        place.set(Cache { shape, index: index as u32, ..entry(OWN) });
        return;
    }
    if let Some(found) = found
        && attrs.is_none_or(|a| !a.has_dict())
    {
        let shape = attrs.map_or(0, Attrs::shape_id);
        place.set(Cache { shape, value: found.unowned(), ..entry(CLASS) });
    }
}

/// The function of `obj.name(...)` from the cache, when `obj` is its self.
#[inline(always)]
pub(crate) fn known_method(vm: &Vm, code: &CodeData, obj: &Value, cache: u16) -> Option<Value> {
    let c = code.cache(cache).get();
    if vm.class_of(obj).version.get() != c.version {
        return None;
    }
    match c.kind {
        BARE => Some(c.value.owned()),
        CLASS if unshadowed(obj, c.shape) => Some(c.value.owned()),
        _ => None,
    }
}

/// `obj.name` for a call: function and self, or value and nothing.
#[inline(never)]
pub(crate) fn load_method(
    vm: &Vm,
    code: &CodeData,
    obj: &Value,
    name: &Value,
    cache: u16,
) -> PyResult<(Value, Value)> {
    let place = code.cache(cache);
    let c = place.get();
    match c.kind {
        MODULE => {
            if let Some(value) = module_hint(obj, name, c.index) {
                return Ok((value, Value::UNBOUND));
            }
        }
        ON_TYPE => {
            if let Some(class) = obj.get::<Type>()
                && class.version.get() == c.version
            {
                return Ok(match c.value.get::<ClassMethodData>() {
                    Some(method) => (method.0.borrow().clone(), obj.clone()),
                    None => (on_type(&c.value), Value::UNBOUND),
                });
            }
        }
        _ => {}
    }
    let (function, this) = vm.load_method(obj, name)?;
    if c.misses >= 20 || !name.is_interned() {
        return Ok((function, this));
    }
    if this.is_unbound() {
        if matches!(obj.kind(), Kind::Module | Kind::Type) {
            fill(vm, code, obj, name, cache, &function, c.misses + 1);
        }
        return Ok((function, this));
    }
    let class = vm.class_of(obj);
    let simple = match function.kind() {
        Kind::Function => true,
        Kind::Native => function
            .get::<NativeData>()
            .is_some_and(|n| n.flavor == Flavor::Method || n.flavor == Flavor::Wrapper),
        _ => false,
    };
    if !simple || class.has(flag::GETATTRIBUTE) || obj.kind() == Kind::Super {
        return Ok((function, this));
    }
    let entry = Cache {
        version: class.version.get(),
        misses: c.misses + 1,
        value: function.unowned(),
        ..Cache::default()
    };
    match obj.attrs() {
        None if obj.kind() != Kind::Function => place.set(Cache { kind: BARE, ..entry }),
        Some(attrs) if !attrs.has_dict() => {
            place.set(Cache { kind: CLASS, shape: attrs.shape_id(), ..entry });
        }
        _ => {}
    }
    Ok((function, this))
}

/// `obj.name = value`
#[inline(always)]
pub(crate) fn store_attr(
    vm: &Vm,
    code: &CodeData,
    obj: &Value,
    name: u16,
    value: Value,
    cache: u16,
) -> PyResult<()> {
    let c = code.cache(cache).get();
    let class = vm.class_of(obj);
    if let Some(attrs) = obj.attrs()
        && class.version.get() == c.version
    {
        if c.kind == PLAIN && attrs.shape_id() == c.shape {
            drop(attrs.replace(c.index as usize, value));
            return Ok(());
        }
        if c.kind == SLOT {
            drop(attrs.replace_slot(c.index as usize, value));
            return Ok(());
        }
        if c.kind == ADD && attrs.shape_id() == c.shape && !attrs.has_dict() {
            let shape = attrs.shape().unwrap_or_else(|| class.root_shape());
            attrs.push(shape.with(code.name(name)), value);
            return Ok(());
        }
    }
    store_slowly(vm, code, obj, code.name(name), value, cache)
}

#[inline(never)]
fn store_slowly(
    vm: &Vm,
    code: &CodeData,
    obj: &Value,
    name: &Value,
    value: Value,
    cache: u16,
) -> PyResult<()> {
    let before = obj.attrs().filter(|a| !a.has_dict()).map(Attrs::shape_id);
    vm.set_attr(obj, name, value)?;
    let place = code.cache(cache);
    let misses = place.get().misses;
    if misses >= 20 || !name.is_interned() {
        return Ok(());
    }
    let class = vm.class_of(obj);
    if class.has(flag::SETATTR) {
        return Ok(());
    }
    let entry = Cache { version: class.version.get(), misses: misses + 1, ..Cache::default() };
    let found = vm.lookup(vm.type_of(obj), name);
    if let Some(member) = found.as_ref().and_then(|f| f.get::<MemberData>()) {
        place.set(Cache { kind: SLOT, index: member.index as u32, ..entry });
        return Ok(());
    }
    let plain = class.has(flag::ATTRS)
        && !matches!(obj.kind(), Kind::Type | Kind::Module | Kind::Function | Kind::Super)
        && found.is_none_or(|found| !vm.is_data_descriptor(&found));
    if let Some(attrs) = obj.attrs().filter(|_| plain)
        && let Some(before) = before
        && let Some(index) = attrs.shape().and_then(|s| s.find(name))
    {
        if attrs.shape_id() == before {
            place.set(Cache { kind: PLAIN, shape: before, index: index as u32, ..entry });
        } else if index + 1 < ATTRIBUTES_MAX {
            place.set(Cache { kind: ADD, shape: before, ..entry });
        }
    }
    Ok(())
}

/// A global or builtin from the cache.
#[inline(always)]
pub(crate) fn known_global(
    code: &CodeData,
    globals: &Value,
    builtins: &Value,
    name: u16,
    cache: u16,
) -> Option<Value> {
    let c = code.cache(cache).get();
    let dict = globals.get::<DictData>()?.borrow();
    let at = |dict: &Dict| {
        dict.entry(c.index as usize).filter(|e| e.key.is(code.name(name))).map(|e| e.value.clone())
    };
    match c.kind {
        GLOBAL => at(&dict),
        BUILTIN if dict.version == c.version => at(&builtins.get::<DictData>()?.borrow()),
        _ => None,
    }
}

/// A global or builtin.
#[inline(never)]
pub(crate) fn find_global(
    vm: &Vm,
    code: &CodeData,
    globals: &Value,
    builtins: &Value,
    name: &Value,
    cache: u16,
) -> PyResult {
    let Some(dict) = globals.get::<DictData>() else { return Err(vm.name_error(name)) };
    let place = code.cache(cache);
    let table = dict.borrow();
    if let Some(index) = table.find_interned(name) {
        place.set(Cache { kind: GLOBAL, index: index as u32, ..Cache::default() });
        if let Some(entry) = table.entry(index) {
            return Ok(entry.value.clone());
        }
    }
    let version = table.version;
    drop(table);
    if let Some(b) = builtins.get::<DictData>() {
        let table = b.borrow();
        if let Some(index) = table.find_interned(name) {
            place.set(Cache { kind: BUILTIN, version, index: index as u32, ..Cache::default() });
            if let Some(entry) = table.entry(index) {
                return Ok(entry.value.clone());
            }
        }
    }
    Err(vm.name_error(name))
}
