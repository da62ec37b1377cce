//! Slices.

use super::ListData;
use super::list::part_of;
use crate::object::{Kind, Payload, Value, new_object};
use crate::str::Str;
use crate::vm::{Args, PyResult, Vm};
use pyc_ir::CompareOp;

/// The payload of slices.
pub struct SliceData {
    /// `start`
    pub start: Value,
    /// `stop`
    pub stop: Value,
    /// `step`
    pub step: Value,
}
impl Payload for SliceData {
    const KIND: Kind = Kind::Slice;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.start);
        visit(&self.stop);
        visit(&self.step);
    }
}

/// A slice applied to a length.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// First index.
    pub start: i64,
    /// Where to end.
    pub stop: i64,
    /// Not 0.
    pub step: i64,
    /// How many.
    pub count: usize,
}

impl Span {
    /// Whether a sequence of a length has all of it.
    pub fn fits(self, length: usize) -> bool {
        let last = self.start + self.step * (self.count as i64 - 1).max(0);
        if self.count == 0 {
            return self.start <= length as i64;
        }
        self.start.max(last) < length as i64
    }

    /// The indices in order.
    pub fn indices(self) -> impl Iterator<Item = usize> {
        (0..self.count as i64).map(move |i| (self.start + i * self.step) as usize)
    }
}

impl Vm {
    /// The part of a text or a list of the builtin types; nothing for anything else.
    pub(crate) fn part(&self, obj: &Value, slice: &SliceData) -> Option<PyResult> {
        if let Some(text) = obj.exact::<Str>() {
            return Some(self.str_slice(text, slice));
        }
        let list = obj.exact::<ListData>()?;
        let length = list.borrow().len();
        Some(self.span(slice, length).map(|span| part_of(self, list, span)))
    }

    /// A slice object.
    pub fn slice(&self, start: Value, stop: Value, step: Value) -> Value {
        new_object(&self.types.slice, SliceData { start, stop, step })
    }

    /// Works a slice out for a length.
    ///
    /// # Errors
    /// TypeError for wrong parts, ValueError for a step of zero.
    pub fn span(&self, slice: &SliceData, length: usize) -> PyResult<Span> {
        self.span_of(&slice.start, &slice.stop, &slice.step, length)
    }

    /// As [`Vm::span`], from the parts.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn span_of(&self, start: &Value, stop: &Value, step: &Value, length: usize) -> PyResult<Span> {
        let length = length as i64;
        let part = |value: &Value| -> PyResult<Option<i64>> {
            if let Some(n) = value.as_small() {
                return Ok(Some(n));
            }
            if value.is_none() {
                return Ok(None);
            }
            if self.special(value, &self.names.__index__).is_none() {
                return Err(
                    self.type_error("slice indices must be integers or None or have an __index__ method")
                );
            }
            self.index_clamped(value).map(Some)
        };
        let step = part(step)?.unwrap_or(1).max(-i64::MAX);
        if step == 0 {
            return Err(self.value_error("slice step cannot be zero"));
        }
        let clamp = |i: i64| {
            let i = if i < 0 { i.saturating_add(length) } else { i };
            if step > 0 { i.clamp(0, length) } else { i.clamp(-1, length - 1) }
        };
        let start = part(start)?.map_or(if step > 0 { 0 } else { length - 1 }, clamp);
        let stop = part(stop)?.map_or(if step > 0 { length } else { -1 }, clamp);
        let count = if step > 0 {
            if stop > start { (stop - start - 1) / step + 1 } else { 0 }
        } else if start > stop {
            (start - stop - 1) / -step + 1
        } else {
            0
        };
        Ok(Span { start, stop, step, count: count as usize })
    }
}

fn own(value: &Value) -> &SliceData {
    value.get::<SliceData>().expect("the descriptor checked the type")
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let Some(y) = b.get::<SliceData>() else { return Ok(Value::NOT_IMPLEMENTED) };
    let x = own(a);
    let left = vm.tuple(vec![x.start.clone(), x.stop.clone(), x.step.clone()]);
    let right = vm.tuple(vec![y.start.clone(), y.stop.clone(), y.step.clone()]);
    vm.compare(op, &left, &right)
}

pub(super) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(
        &t.slice,
        &[
            ("__new__", "...", |vm, args: Args| {
                let get = |i: usize| args.all.get(i).cloned().unwrap_or(Value::NONE);
                match args.all.len() {
                    2 => Ok(vm.slice(Value::NONE, get(1), Value::NONE)),
                    3 | 4 => Ok(vm.slice(get(1), get(2), get(3))),
                    n => Err(vm.type_error(format!(
                        "slice expected at {} 1 argument, got {}",
                        if n < 2 { "least" } else { "most" },
                        n - 1
                    ))),
                }
            }),
            ("__repr__", "", |vm, args| {
                let s = own(&args[0]);
                let text = format!(
                    "slice({}, {}, {})",
                    vm.repr_text(&s.start)?,
                    vm.repr_text(&s.stop)?,
                    vm.repr_text(&s.step)?
                );
                Ok(vm.str(&text))
            }),
            ("__hash__", "", |vm, args| {
                let s = own(&args[0]);
                let key = vm.tuple(vec![s.start.clone(), s.stop.clone(), s.step.clone()]);
                Ok(vm.int(vm.hash(&key)?))
            }),
            ("indices", "length /", |vm, args| {
                let length = vm.index(&args[1])?;
                if length < 0 {
                    return Err(vm.value_error("length should not be negative"));
                }
                let span = vm.span(own(&args[0]), length as usize)?;
                Ok(vm.tuple(vec![vm.int(span.start), vm.int(span.stop), vm.int(span.step)]))
            }),
        ],
    );
    vm.add_methods(&t.slice, &crate::comparisons!(compare));
    vm.add_getset(&t.slice, "start", |_, this| Ok(own(this).start.clone()), None);
    vm.add_getset(&t.slice, "stop", |_, this| Ok(own(this).stop.clone()), None);
    vm.add_getset(&t.slice, "step", |_, this| Ok(own(this).step.clone()), None);
}
