//! Operators whose operands are not both small integers or both floats; the loop handles those.

use pyc_ir::{BinaryOp, CompareOp};
use pyc_runtime::generator::{GeneratorData, GeneratorKind};
use pyc_runtime::registers::Window;
use pyc_runtime::str::Str;
use pyc_runtime::{Kind, PyResult, Value, Vm};

/// `dst`, `left` and `right` of an op.
type Operands = (u16, u16, u16);

/// `left op right`.
#[inline(never)]
pub(crate) fn binary(
    vm: &Vm,
    w: Window,
    temps: u16,
    op: BinaryOp,
    (dst, left, right): Operands,
) -> PyResult<()> {
    let value = vm.binary(op, w.get(left), w.get(right))?;
    crate::steps::register_macros!(w, temps);
    release!(left);
    release!(right);
    w.set(dst, value);
    Ok(())
}

/// `left + right`; a text that only this frame refers to grows in place.
#[inline(never)]
pub(crate) fn add(vm: &Vm, w: Window, temps: u16, dst: u16, left: u16, right: u16) -> PyResult<()> {
    if append(vm, w, temps, (dst, left, right))? {
        return Ok(());
    }
    binary(vm, w, temps, BinaryOp::Add, (dst, left, right))
}

/// `left op= right`.
#[inline(never)]
pub(crate) fn in_place(
    vm: &Vm,
    w: Window,
    temps: u16,
    op: BinaryOp,
    (dst, left, right): Operands,
) -> PyResult<()> {
    if op == BinaryOp::Add && append(vm, w, temps, (dst, left, right))? {
        return Ok(());
    }
    let value = vm.in_place(op, w.get(left), w.get(right))?;
    crate::steps::register_macros!(w, temps);
    release!(left);
    release!(right);
    w.set(dst, value);
    Ok(())
}

/// Appends to the text in `left` when nobody else can see that; false when nothing was done.
#[inline]
fn append(vm: &Vm, w: Window, temps: u16, (dst, left, right): Operands) -> PyResult<bool> {
    let (a, b) = (w.get(left), w.get(right));
    let (Some(x), Some(y)) = (a.exact::<Str>(), b.exact::<Str>()) else { return Ok(false) };
    if !a.is_unique() || !(left == dst || left >= temps) || left == right {
        return Ok(false);
    }
    vm.check_alloc(x.len() + y.len(), 1)?;
    let mut text = w.take(left);
    if !text.payload_mut::<Str>().is_some_and(|text| text.append(y)) {
        w.set(left, text);
        return Ok(false);
    }
    crate::steps::register_macros!(w, temps);
    if right != dst {
        release!(right);
    }
    w.set(dst, text);
    Ok(true)
}

/// `left + value`, `left - value`.
#[inline(never)]
pub(crate) fn with_int(
    vm: &Vm,
    w: Window,
    temps: u16,
    op: BinaryOp,
    dst: u16,
    left: u16,
    value: i16,
) -> PyResult<()> {
    let result = vm.binary(op, w.get(left), &Value::from_i32(i32::from(value)))?;
    crate::steps::register_macros!(w, temps);
    release!(left);
    w.set(dst, result);
    Ok(())
}

/// A comparison as an object.
#[inline(never)]
pub(crate) fn compare(
    vm: &Vm,
    w: Window,
    temps: u16,
    op: CompareOp,
    (dst, left, right): Operands,
) -> PyResult<()> {
    let value = vm.compare(op, w.get(left), w.get(right))?;
    crate::steps::register_macros!(w, temps);
    release!(left);
    release!(right);
    w.set(dst, value);
    Ok(())
}

/// A comparison as truth.
#[inline(never)]
pub(crate) fn compare_true(
    vm: &Vm,
    w: Window,
    temps: u16,
    op: CompareOp,
    left: u16,
    right: u16,
) -> PyResult<bool> {
    let truth = vm.compare_true(op, w.get(left), w.get(right))?;
    crate::steps::register_macros!(w, temps);
    release!(left);
    release!(right);
    Ok(truth)
}

/// A comparison with a small number as truth.
#[inline(never)]
pub(crate) fn compare_int(
    vm: &Vm,
    w: Window,
    temps: u16,
    op: CompareOp,
    left: u16,
    value: i16,
) -> PyResult<bool> {
    let truth = vm.compare_true(op, w.get(left), &Value::from_i32(i32::from(value)))?;
    crate::steps::register_macros!(w, temps);
    release!(left);
    Ok(truth)
}

/// `iter(value)` of a `for`.
#[inline(never)]
pub(crate) fn get_iter(vm: &Vm, value: &Value) -> PyResult {
    let iterator = match value.kind() {
        Kind::Generator => value.clone(),
        _ => vm.iter(value)?,
    };
    if let Some(data) = iterator.get::<GeneratorData>()
        && data.kind != GeneratorKind::Generator
    {
        return Err(vm.type_error(format!("'{}' object is not iterable", vm.type_name(&iterator))));
    }
    Ok(iterator)
}
