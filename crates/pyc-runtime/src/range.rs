//! `range`.

use num_bigint::BigInt;
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};
use pyc_ir::CompareOp;

use crate::args::Method;
use crate::containers::SliceData;
use crate::object::{Kind, Payload, Value, new_object};
use crate::vm::{Args, PyResult, Vm};

/// The payload of ranges: int objects, and machine integers when they fit.
pub struct RangeData {
    /// `start`
    pub start: Value,
    /// `stop`
    pub stop: Value,
    /// `step`
    pub step: Value,
    /// Start, step and length when all fit.
    pub small: Option<(i64, i64, i64)>,
}
impl Payload for RangeData {
    const KIND: Kind = Kind::Range;
}

fn length(start: &BigInt, stop: &BigInt, step: &BigInt) -> BigInt {
    let n: BigInt =
        if step.is_positive() { (stop - start + step - 1) / step } else { (start - stop - step - 1) / -step };
    let empty = if step.is_positive() { start >= stop } else { start <= stop };
    if empty { BigInt::zero() } else { n }
}

impl Vm {
    /// A range object.
    pub fn range(&self, start: Value, stop: Value, step: Value) -> Value {
        let small = match (start.as_small(), stop.as_small(), step.as_small()) {
            (Some(a), Some(b), Some(s))
                if s != 0 && a.abs() < 1 << 61 && b.abs() < 1 << 61 && s.abs() < 1 << 61 =>
            {
                let n = if s > 0 { (b - a + s - 1).max(0) / s } else { (a - b - s - 1).max(0) / -s };
                Some((a, s, if s > 0 && a >= b || s < 0 && a <= b { 0 } else { n }))
            }
            _ => None,
        };
        new_object(&self.types.range, RangeData { start, stop, step, small })
    }
}

fn own(value: &Value) -> &RangeData {
    value.get::<RangeData>().expect("the descriptor checked the type")
}

fn parts(vm: &Vm, r: &RangeData) -> (BigInt, BigInt, BigInt) {
    let big = |v: &Value| vm.big_int(v).unwrap_or_default();
    (big(&r.start), big(&r.stop), big(&r.step))
}

fn big_length(vm: &Vm, r: &RangeData) -> BigInt {
    match r.small {
        Some((_, _, n)) => BigInt::from(n),
        None => {
            let (a, b, s) = parts(vm, r);
            length(&a, &b, &s)
        }
    }
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let part = |i: usize| vm.index_value(&args.all[i]);
    let one = Value::from_i32(1);
    match args.all.len() {
        2 => Ok(vm.range(Value::from_i32(0), part(1)?, one)),
        3 => Ok(vm.range(part(1)?, part(2)?, one)),
        4 => {
            let step = part(3)?;
            if vm.big_int(&step).is_some_and(|s| s.is_zero()) {
                return Err(vm.value_error("range() arg 3 must not be zero"));
            }
            Ok(vm.range(part(1)?, part(2)?, step))
        }
        1 => Err(vm.type_error("range expected at least 1 argument, got 0")),
        n => Err(vm.type_error(format!("range expected at most 3 arguments, got {}", n - 1))),
    }
}

fn item(vm: &Vm, r: &RangeData, at: &BigInt) -> Value {
    if let (Some((start, step, _)), Some(i)) = (r.small, at.to_i64()) {
        return vm.int(start + i * step);
    }
    let (start, _, step) = parts(vm, r);
    vm.big(start + at * step)
}

fn get_item(vm: &Vm, args: Args) -> PyResult {
    let r = own(&args[0]);
    let n = big_length(vm, r);
    if let Some(slice) = args[1].get::<SliceData>() {
        let Some(n) = n.to_i64() else {
            return Err(vm.overflow_error("Python int too large to convert to C ssize_t"));
        };
        let span = vm.span(slice, n as usize)?;
        let step = parts(vm, r).2 * span.step;
        return Ok(vm.range(
            item(vm, r, &BigInt::from(span.start)),
            item(vm, r, &BigInt::from(span.stop)),
            vm.big(step),
        ));
    }
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Err(vm.type_error(format!(
            "range indices must be integers or slices, not {}",
            vm.type_name(&args[1])
        )));
    }
    let index = vm.big_int(&vm.index_value(&args[1])?).unwrap_or_default();
    let at = if index.is_negative() { index + &n } else { index };
    if at.is_negative() || at >= n {
        return Err(vm.index_error("range object index out of range"));
    }
    Ok(item(vm, r, &at))
}

fn position(vm: &Vm, r: &RangeData, value: &Value) -> PyResult<Option<BigInt>> {
    if !vm.is_int(value) {
        // Only equality decides: 2.0 in range(3).
        let iterator = crate::iterators::range_iter(vm, r);
        let mut at = BigInt::zero();
        while let Some(next) = vm.next(&iterator)? {
            if vm.equal(&next, value)? {
                return Ok(Some(at));
            }
            at += 1;
        }
        return Ok(None);
    }
    let x = vm.big_int(value).unwrap_or_default();
    let (start, _, step) = parts(vm, r);
    let offset = x - start;
    if !(&offset % &step).is_zero() {
        return Ok(None);
    }
    let at = offset / step;
    Ok((!at.is_negative() && at < big_length(vm, r)).then_some(at))
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let Some(y) = b.get::<RangeData>() else { return Ok(Value::NOT_IMPLEMENTED) };
    let x = own(a);
    let (n, m) = (big_length(vm, x), big_length(vm, y));
    let same = n == m
        && (n.is_zero()
            || parts(vm, x).0 == parts(vm, y).0
                && (n == BigInt::from(1) || parts(vm, x).2 == parts(vm, y).2));
    Ok(match op {
        CompareOp::Eq => Value::from_bool(same),
        CompareOp::Ne => Value::from_bool(!same),
        _ => Value::NOT_IMPLEMENTED,
    })
}

const METHODS: &[Method] = &[
    ("__new__", "...", new),
    ("__repr__", "", |vm, args| {
        let r = own(&args[0]);
        let (a, b, s) = (vm.repr_text(&r.start)?, vm.repr_text(&r.stop)?, vm.repr_text(&r.step)?);
        Ok(vm.str(&if s == "1" { format!("range({a}, {b})") } else { format!("range({a}, {b}, {s})") }))
    }),
    ("__len__", "", |vm, args| {
        let n = big_length(vm, own(&args[0]));
        match n.to_i64() {
            Some(n) => Ok(vm.int(n)),
            None => Err(vm.overflow_error("Python int too large to convert to C ssize_t")),
        }
    }),
    ("__bool__", "", |vm, args| Ok(Value::from_bool(!big_length(vm, own(&args[0])).is_zero()))),
    ("__hash__", "", |vm, args| {
        let r = own(&args[0]);
        let n = big_length(vm, r);
        let (first, step) = if n.is_zero() {
            (Value::NONE, Value::NONE)
        } else if n == BigInt::from(1) {
            (r.start.clone(), Value::NONE)
        } else {
            (r.start.clone(), r.step.clone())
        };
        let key = vm.tuple(vec![vm.big(n), first, step]);
        Ok(vm.int(vm.hash(&key)?))
    }),
    ("__getitem__", "key /", get_item),
    ("__contains__", "key /", |vm, args| {
        Ok(Value::from_bool(position(vm, own(&args[0]), &args[1])?.is_some()))
    }),
    ("__iter__", "", |vm, args| Ok(crate::iterators::range_iter(vm, own(&args[0])))),
    ("__reversed__", "", |vm, args| {
        let r = own(&args[0]);
        let n = big_length(vm, r);
        let (start, _, step) = parts(vm, r);
        let last: BigInt = &start + (n - 1) * &step;
        let reversed = vm.range(vm.big(last), vm.big(start - &step), vm.big(-step));
        Ok(crate::iterators::range_iter(vm, own(&reversed)))
    }),
    ("__reduce__", "", |vm, args| {
        let r = own(&args[0]);
        let parts = vm.tuple(vec![r.start.clone(), r.stop.clone(), r.step.clone()]);
        Ok(vm.tuple(vec![vm.types.range.clone(), parts]))
    }),
    ("count", "value /", |vm, args| {
        Ok(Value::from_i32(i32::from(position(vm, own(&args[0]), &args[1])?.is_some())))
    }),
    ("index", "value /", |vm, args| match position(vm, own(&args[0]), &args[1])? {
        Some(at) => Ok(vm.big(at)),
        None if vm.is_int(&args[1]) => {
            Err(vm.value_error(format!("{} is not in range", vm.repr_text(&args[1])?)))
        }
        None => Err(vm.value_error("sequence.index(x): x not in sequence")),
    }),
];

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(&t.range, METHODS);
    vm.add_methods(&t.range, &crate::comparisons!(compare));
    vm.add_getset(&t.range, "start", |_, this| Ok(own(this).start.clone()), None);
    vm.add_getset(&t.range, "stop", |_, this| Ok(own(this).stop.clone()), None);
    vm.add_getset(&t.range, "step", |_, this| Ok(own(this).step.clone()), None);
}
