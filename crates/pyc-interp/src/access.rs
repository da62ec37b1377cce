//! Attributes, methods and globals through inline caches.

use pyc_runtime::containers::DictData;
use pyc_runtime::function::{Cache, CodeData, Flavor, NativeData};
use pyc_runtime::module::ModuleData;
use pyc_runtime::types::{Type, flag};
use pyc_runtime::{Kind, PyResult, Value, Vm};

const OWN: u8 = 1;
const CLASS: u8 = 2;
const MODULE: u8 = 3;
const SLOT: u8 = 4;
const GETTER: u8 = 5;
const BARE: u8 = 6;
const ON_TYPE: u8 = 7;
const PLAIN: u8 = 8;

const GLOBAL: u8 = 1;
const BUILTIN: u8 = 2;

/// `obj.name`
#[inline]
pub(crate) fn load_attr(vm: &Vm, code: &CodeData, obj: &Value, name: &Value, cache: u16) -> PyResult {
    let c = code.caches[usize::from(cache)].get();
    if c.kind == OWN
        && let Some(attrs) = obj.attrs()
        && vm.class_of(obj).version.get() == c.version
        && let Some(shape) = &*attrs.shape.borrow()
        && shape.id == c.shape
    {
        return Ok(attrs.values.borrow()[c.index as usize].clone());
    }
    load_attr_slow(vm, code, obj, name, cache, c)
}

fn load_attr_slow(vm: &Vm, code: &CodeData, obj: &Value, name: &Value, cache: u16, c: Cache) -> PyResult {
    match c.kind {
        MODULE => {
            if let Some(value) = module_hint(obj, name, c.index) {
                return Ok(value);
            }
        }
        SLOT | GETTER | CLASS if vm.class_of(obj).version.get() == c.version => {
            let held = code.cached.borrow()[usize::from(cache)].clone();
            match (c.kind, held) {
                (SLOT, Some(descriptor)) => return vm.member_get(&descriptor, obj),
                (GETTER, Some(descriptor)) => return vm.bind(&descriptor, obj),
                (CLASS, Some(value))
                    if obj.attrs().is_none_or(|a| {
                        a.shape.borrow().as_ref().map_or(0, |s| s.id) == c.shape && a.dict.borrow().is_none()
                    }) =>
                {
                    return vm.bind(&value, obj);
                }
                _ => {}
            }
        }
        ON_TYPE => {
            if let Some(class) = obj.get::<Type>()
                && class.version.get() == c.version
                && let Some(value) = code.cached.borrow()[usize::from(cache)].clone()
            {
                return Ok(value);
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

fn module_hint(obj: &Value, name: &Value, index: u32) -> Option<Value> {
    let module = obj.get::<ModuleData>()?;
    let dict = module.dict.get::<DictData>()?.borrow();
    dict.entry(index as usize).filter(|e| e.key.is(name)).map(|e| e.value.clone())
}

fn set(code: &CodeData, cache: u16, entry: Cache, value: Option<Value>) {
    code.caches[usize::from(cache)].set(entry);
    let old = std::mem::replace(&mut code.cached.borrow_mut()[usize::from(cache)], value);
    drop(old);
}

fn fill(vm: &Vm, code: &CodeData, obj: &Value, name: &Value, cache: u16, result: &Value, misses: u8) {
    if !name.is_interned() {
        return;
    }
    let class = vm.class_of(obj);
    let version = class.version.get();
    let entry = |kind: u8| Cache { version, kind, misses, ..Cache::default() };
    match obj.kind() {
        Kind::Module => {
            if let Some(index) =
                obj.get::<ModuleData>().and_then(|m| m.dict.get::<DictData>()?.borrow().find_interned(name))
            {
                set(code, cache, Cache { index: index as u32, ..entry(MODULE) }, None);
            }
            return;
        }
        Kind::Type => {
            // Only what belongs to the class itself and needs no fresh binding.
            let plain_meta = vm.type_of(obj).is(&vm.types.type_);
            let stable = matches!(result.kind(), Kind::Function | Kind::Native | Kind::Str | Kind::Int)
                || !result.is_object();
            if plain_meta
                && stable
                && vm.lookup(&vm.types.type_, name).is_none()
                && let Some(own) = obj.get::<Type>()
            {
                set(
                    code,
                    cache,
                    Cache { version: own.version.get(), ..entry(ON_TYPE) },
                    Some(result.clone()),
                );
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
            Kind::Member => set(code, cache, entry(SLOT), Some(found.clone())),
            Kind::Property if found.is_exact() => set(code, cache, entry(GETTER), Some(found.clone())),
            _ => {}
        }
        return;
    }
    let shape = obj.attrs().and_then(|a| a.shape.borrow().clone());
    if let Some(shape) = &shape
        && let Some(index) = shape.find(name)
    {
        set(code, cache, Cache { shape: shape.id, index: index as u32, ..entry(OWN) }, None);
        return;
    }
    if let Some(found) = found
        && obj.attrs().is_none_or(|a| a.dict.borrow().is_none())
    {
        set(code, cache, Cache { shape: shape.map_or(0, |s| s.id), ..entry(CLASS) }, Some(found));
    }
}

/// `obj.name` for a call: function and self, or value and nothing.
#[inline]
pub(crate) fn load_method(
    vm: &Vm,
    code: &CodeData,
    obj: &Value,
    name: &Value,
    cache: u16,
) -> PyResult<(Value, Option<Value>)> {
    let c = code.caches[usize::from(cache)].get();
    match c.kind {
        CLASS | BARE if vm.class_of(obj).version.get() == c.version => {
            let free = c.kind == BARE
                || obj.attrs().is_some_and(|a| {
                    a.shape.borrow().as_ref().map_or(0, |s| s.id) == c.shape
                        && (c.shape != 0 || a.dict.borrow().is_none())
                });
            if free && let Some(function) = code.cached.borrow()[usize::from(cache)].clone() {
                return Ok((function, Some(obj.clone())));
            }
        }
        MODULE => {
            if let Some(value) = module_hint(obj, name, c.index) {
                return Ok((value, None));
            }
        }
        ON_TYPE => {
            if let Some(class) = obj.get::<Type>()
                && class.version.get() == c.version
                && let Some(value) = code.cached.borrow()[usize::from(cache)].clone()
            {
                return Ok((value, None));
            }
        }
        _ => {}
    }
    let (function, this) = vm.load_method(obj, name)?;
    if c.misses < 20 {
        if this.is_unbound() {
            if matches!(obj.kind(), Kind::Module | Kind::Type) {
                fill(vm, code, obj, name, cache, &function, c.misses + 1);
            }
        } else {
            let class = vm.class_of(obj);
            let simple = match function.kind() {
                Kind::Function => true,
                Kind::Native => function
                    .get::<NativeData>()
                    .is_some_and(|n| n.flavor == Flavor::Method || n.flavor == Flavor::Wrapper),
                _ => false,
            };
            if simple && !class.has(flag::GETATTRIBUTE) {
                let entry = Cache { version: class.version.get(), misses: c.misses + 1, ..Cache::default() };
                match obj.attrs() {
                    None if obj.kind() != Kind::Function => {
                        set(code, cache, Cache { kind: BARE, ..entry }, Some(function.clone()))
                    }
                    Some(attrs) if attrs.dict.borrow().is_none() => {
                        let shape = attrs.shape.borrow().as_ref().map_or(0, |s| s.id);
                        set(code, cache, Cache { kind: CLASS, shape, ..entry }, Some(function.clone()));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok((function, this.bound().cloned()))
}

/// `obj.name = value`
#[inline]
pub(crate) fn store_attr(
    vm: &Vm,
    code: &CodeData,
    obj: &Value,
    name: &Value,
    value: Value,
    cache: u16,
) -> PyResult<()> {
    let c = code.caches[usize::from(cache)].get();
    if c.kind == PLAIN && vm.class_of(obj).version.get() == c.version {
        if let Some(attrs) = obj.attrs()
            && attrs.shape.borrow().as_ref().is_some_and(|s| s.id == c.shape)
        {
            let old = std::mem::replace(&mut attrs.values.borrow_mut()[c.index as usize], value);
            drop(old);
            return Ok(());
        }
        vm.set_attr_raw(obj, name, value);
        return Ok(());
    }
    vm.set_attr(obj, name, value)?;
    if c.misses >= 20 || !name.is_interned() {
        return Ok(());
    }
    let class = vm.class_of(obj);
    let plain = !class.has(flag::SETATTR)
        && class.has(flag::ATTRS)
        && !matches!(obj.kind(), Kind::Type | Kind::Module | Kind::Function | Kind::Super)
        && vm.lookup(vm.type_of(obj), name).is_none_or(|found| !vm.is_data_descriptor(&found));
    if plain
        && let Some(attrs) = obj.attrs()
        && let Some(shape) = &*attrs.shape.borrow()
        && let Some(index) = shape.find(name)
    {
        set(
            code,
            cache,
            Cache {
                version: class.version.get(),
                shape: shape.id,
                index: index as u32,
                kind: PLAIN,
                misses: c.misses + 1,
            },
            None,
        );
    }
    Ok(())
}

/// A global or builtin.
#[inline]
pub(crate) fn load_global(
    vm: &Vm,
    code: &CodeData,
    globals: &Value,
    builtins: &Value,
    name: &Value,
    cache: u16,
) -> PyResult {
    let c = code.caches[usize::from(cache)].get();
    let Some(dict) = globals.get::<DictData>() else { return Err(vm.name_error(name)) };
    if c.kind == GLOBAL {
        if let Some(entry) = dict.borrow().entry(c.index as usize)
            && entry.key.is(name)
        {
            return Ok(entry.value.clone());
        }
    } else if c.kind == BUILTIN
        && dict.borrow().version == c.version
        && let Some(b) = builtins.get::<DictData>()
        && let Some(entry) = b.borrow().entry(c.index as usize)
        && entry.key.is(name)
    {
        return Ok(entry.value.clone());
    }
    let place = &code.caches[usize::from(cache)];
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
