//! Helpers of machine code for containers, texts and iteration; what [`super::helpers`] says holds here. Each does
//! what the interpreter does for the op of the same name.

use pyc_ir::Conversion;

use super::helpers::{OTHER, OWN_A, OWN_B, OWN_C, Operand, done, fail, lane, owned};
use super::{Lane, MARK};
use crate::containers::{ListData, assigned, part_of, set_part};
use crate::generator::{GeneratorData, GeneratorKind};
use crate::iterators::{ListIter, Parts, next_parts};
use crate::object::{Kind, Value};
use crate::registers::Window;
use crate::str::Str;
use crate::vm::{PyResult, Vm};

fn word_of(vm: &Vm, result: PyResult) -> u64 {
    match result {
        Ok(value) => value.into_raw(),
        Err(error) => fail(vm, error),
    }
}

/// A lane; with [`OTHER`] in the word a float stays the object that it is.
fn item_lane(vm: &Vm, word: u64, result: PyResult) -> Lane {
    match result {
        Ok(value) if word & OTHER != 0 => Lane { tag: value.into_raw(), float: 0.0 },
        other => lane(vm, other),
    }
}

/// `obj[key]`.
pub(super) unsafe extern "C" fn get_item(
    vm: *const Vm,
    word: u64,
    obj: u64,
    key: u64,
    fa: f64,
    fb: f64,
) -> Lane {
    // SAFETY: machine code gives its VM and lanes as the table says; the word tells who owns them.
    let (vm, obj, key) = unsafe {
        let vm = &*vm;
        (vm, Operand::new(vm, obj, fa, word & OWN_A != 0), Operand::new(vm, key, fb, word & OWN_B != 0))
    };
    let result = match (key.value.as_small(), obj.value.exact::<Str>()) {
        (Some(i), Some(text)) => {
            let at = if i < 0 { i + text.len() as i64 } else { i };
            if at >= 0 && (at as usize) < text.len() {
                Ok(vm.char_str(text.at(at as usize)))
            } else {
                vm.get_item(&obj.value, &key.value)
            }
        }
        _ => vm.get_item(&obj.value, &key.value),
    };
    drop((obj, key));
    item_lane(vm, word, result)
}

/// `obj[key] = src`.
pub(super) unsafe extern "C" fn set_item(
    vm: *const Vm,
    word: u64,
    obj: u64,
    key: u64,
    src: u64,
    fa: f64,
    fb: f64,
    fc: f64,
) -> u64 {
    // SAFETY: as above.
    let (vm, obj, key, value) = unsafe {
        let vm = &*vm;
        let value = Operand::new(vm, src, fc, word & OWN_C != 0).into_value();
        (
            vm,
            Operand::new(vm, obj, fa, word & OWN_A != 0),
            Operand::new(vm, key, fb, word & OWN_B != 0),
            value,
        )
    };
    let result = vm.set_item(&obj.value, &key.value, value);
    drop((obj, key));
    done(vm, result)
}

/// `obj[a:b:c]`, the parts in the window; they are moved.
pub(super) unsafe extern "C" fn get_slice(
    vm: *const Vm,
    word: u64,
    obj: u64,
    window: *mut Value,
    fa: f64,
) -> u64 {
    // SAFETY: as above; the window has three values.
    let (vm, obj, w) = unsafe {
        let vm = &*vm;
        (vm, Operand::new(vm, obj, fa, word & OWN_A != 0), Window::at(window))
    };
    let (start, stop, step) = (w.take(0), w.take(1), w.take(2));
    let result = if let Some(list) = obj.value.exact::<ListData>() {
        let length = list.borrow().len();
        vm.span_of(&start, &stop, &step, length).map(|span| part_of(vm, list, span))
    } else if let Some(text) = obj.value.exact::<Str>() {
        vm.span_of(&start, &stop, &step, text.len()).map(|span| vm.str_part(text, span))
    } else {
        vm.get_item(&obj.value, &vm.slice(start, stop, step))
    };
    drop(obj);
    word_of(vm, result)
}

/// `obj[a:b:c] = src`, the parts in the window; they are moved.
pub(super) unsafe extern "C" fn set_slice(
    vm: *const Vm,
    word: u64,
    obj: u64,
    window: *mut Value,
    src: u64,
    fa: f64,
    fc: f64,
) -> u64 {
    // SAFETY: as above; the window has three values.
    let (vm, obj, value, w) = unsafe {
        let vm = &*vm;
        let value = Operand::new(vm, src, fc, word & OWN_C != 0).into_value();
        (vm, Operand::new(vm, obj, fa, word & OWN_A != 0), value, Window::at(window))
    };
    let (start, stop, step) = (w.take(0), w.take(1), w.take(2));
    let result = match obj.value.exact::<ListData>() {
        Some(list) => put(vm, list, value, [&start, &stop, &step]),
        None => vm.set_item(&obj.value, &vm.slice(start, stop, step), value),
    };
    drop(obj);
    done(vm, result)
}

fn put(vm: &Vm, list: &ListData, value: Value, [start, stop, step]: [&Value; 3]) -> PyResult<()> {
    // A list that nobody else has gives its items away.
    let new = match value.exact::<ListData>() {
        Some(items) if value.is_unique() => items.take(),
        _ => assigned(vm, &value)?,
    };
    let span = vm.span_of(start, stop, step, list.borrow().len())?;
    set_part(vm, list, span, new)
}

/// `item in container`; with [`OTHER`] `not in`.
pub(super) unsafe extern "C" fn contains(
    vm: *const Vm,
    word: u64,
    item: u64,
    container: u64,
    fa: f64,
    fb: f64,
) -> u64 {
    // SAFETY: as above.
    let (vm, item, container) = unsafe {
        let vm = &*vm;
        (
            vm,
            Operand::new(vm, item, fa, word & OWN_A != 0),
            Operand::new(vm, container, fb, word & OWN_B != 0),
        )
    };
    let result = vm.contains(&container.value, &item.value);
    drop((item, container));
    word_of(vm, result.map(|found| Value::from_bool(found != (word & OTHER != 0))))
}

/// `iter(src)` of a `for`.
pub(super) unsafe extern "C" fn get_iter(vm: *const Vm, word: u64, src: u64, fa: f64) -> u64 {
    // SAFETY: as above.
    let (vm, src) = unsafe {
        let vm = &*vm;
        (vm, Operand::new(vm, src, fa, word & OWN_A != 0))
    };
    let iterator = match src.value.kind() {
        Kind::Generator => Ok((*src.value).clone()),
        _ => vm.iter(&src.value),
    };
    let result = match iterator {
        Ok(iterator)
            if iterator.get::<GeneratorData>().is_some_and(|data| data.kind != GeneratorKind::Generator) =>
        {
            Err(vm.type_error(format!("'{}' object is not iterable", vm.type_name(&iterator))))
        }
        other => other,
    };
    drop(src);
    word_of(vm, result)
}

/// The next item of a borrowed iterator; the empty value at its end. The caller has counted the step.
pub(super) unsafe extern "C" fn next(vm: *const Vm, iterator: u64) -> u64 {
    // SAFETY: as above.
    let (vm, iterator) = unsafe {
        let vm = &*vm;
        (vm, Operand::new(vm, iterator, 0.0, false))
    };
    let item = match vm.class_of(&iterator.value).next.get() {
        // The interpreter counts a step more for a list backwards.
        Some(step) if iterator.value.kind() != Kind::ListIter => step(vm, &iterator.value),
        Some(step) if iterator.value.get::<ListIter>().is_some_and(|it| !it.reversed) => {
            step(vm, &iterator.value)
        }
        _ => vm.next(&iterator.value),
    };
    word_of(vm, item.map(|item| item.unwrap_or(Value::UNBOUND)))
}

/// As [`next`]; an item that the iterator would make a tuple of comes in its parts, in the window: then [`MARK`].
pub(super) unsafe extern "C" fn next_unpacked(
    vm: *const Vm,
    iterator: u64,
    window: *mut Value,
    count: u64,
) -> u64 {
    // SAFETY: as above; the window has `count` empty places.
    let (vm, iterator, w) = unsafe {
        let vm = &*vm;
        (vm, Operand::new(vm, iterator, 0.0, false), Window::at(window))
    };
    match next_parts(vm, &iterator.value, w, count as usize) {
        Ok(Parts::Stored) => MARK,
        Ok(Parts::Item(item)) => item.into_raw(),
        Ok(Parts::End) => Value::UNBOUND.bits(),
        Err(error) => fail(vm, error),
    }
}

/// A tuple of the window's values, which are moved.
pub(super) unsafe extern "C" fn build_tuple(vm: *const Vm, window: *mut Value, count: u64) -> u64 {
    // SAFETY: as above; the window has `count` values.
    let (vm, w) = unsafe { (&*vm, Window::at(window)) };
    vm.tuple_of(count as usize, (0..count as u16).map(|i| w.take(i))).into_raw()
}

/// A list of the window's values, which are moved.
pub(super) unsafe extern "C" fn build_list(vm: *const Vm, window: *mut Value, count: u64) -> u64 {
    // SAFETY: as above; the window has `count` values.
    let (vm, w) = unsafe { (&*vm, Window::at(window)) };
    vm.list((0..count as u16).map(|i| w.take(i)).collect()).into_raw()
}

/// The window's strings, joined; they are moved.
pub(super) unsafe extern "C" fn build_string(vm: *const Vm, window: *mut Value, count: u64) -> u64 {
    // SAFETY: as above; the window has `count` values.
    let (vm, w) = unsafe { (&*vm, Window::at(window)) };
    let result = {
        let parts: Vec<&Str> = w.slice(0, count as usize).iter().filter_map(|v| v.get::<Str>()).collect();
        vm.check_alloc(parts.iter().map(|p| p.len()).sum(), 1).map(|()| vm.new_str(Str::join(&parts)))
    };
    w.clear(0, count as usize);
    word_of(vm, result)
}

/// A slice object of the window's three values, which are moved.
pub(super) unsafe extern "C" fn build_slice(vm: *const Vm, window: *mut Value) -> u64 {
    // SAFETY: as above; the window has three values.
    let (vm, w) = unsafe { (&*vm, Window::at(window)) };
    vm.slice(w.take(0), w.take(1), w.take(2)).into_raw()
}

/// A field of an f-string; the word's low byte is the conversion. The empty value stands for no specification.
pub(super) unsafe extern "C" fn format(vm: *const Vm, word: u64, src: u64, spec: u64, fa: f64) -> u64 {
    // SAFETY: as above.
    let (vm, src, spec) = unsafe {
        let vm = &*vm;
        (vm, Operand::new(vm, src, fa, word & OWN_A != 0), Operand::new(vm, spec, 0.0, word & OWN_B != 0))
    };
    let value = match Conversion::ALL[(word & 0xff) as usize] {
        Conversion::None => Ok((*src.value).clone()),
        Conversion::Str => vm.to_str(&src.value),
        Conversion::Repr => vm.repr(&src.value),
        Conversion::Ascii => vm.ascii(&src.value),
    };
    let spec_value = if spec.value.is_unbound() { &vm.names.empty } else { &*spec.value };
    let result = value.and_then(|value| vm.format(&value, spec_value));
    drop((src, spec));
    word_of(vm, result)
}

/// Appends an owned item to a list that has no room for it.
pub(super) unsafe extern "C" fn push(vm: *const Vm, list: u64, item: u64) {
    // SAFETY: as above.
    let (list, item) = unsafe { (Operand::new(&*vm, list, 0.0, false), owned(&*vm, item, 0.0)) };
    if let Some(items) = list.value.get::<ListData>() {
        items.borrow_mut().push(item);
    }
}

/// Binds a global to an owned value.
pub(super) unsafe extern "C" fn store_global(vm: *const Vm, globals: u64, name: u64, value: u64) {
    // SAFETY: as above; the name is the code's.
    let (vm, globals, name, value) = unsafe {
        let vm = &*vm;
        let operand = |tag| Operand::new(vm, tag, 0.0, false);
        (vm, operand(globals), operand(name), owned(vm, value, 0.0))
    };
    vm.dict_set_name(&globals.value, &name.value, value);
}
