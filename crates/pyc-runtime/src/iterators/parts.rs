//! Items that are taken apart at once: enumerate, zip and the items of dicts give their parts without a tuple.

use super::{DictIter, Enumerate, ListIter, Zip, dict_entry};
use crate::object::Value;
use crate::registers::Window;
use crate::vm::{PyResult, Vm};

/// The next item of an iterator whose items are tuples that it makes: its parts go into `window`, without the tuple.
/// An item of another kind, or of another length, is given as it is.
///
/// # Errors
/// As [`Vm::next`], apart from the step, which the caller counts.
pub(crate) fn next_parts(vm: &Vm, value: &Value, window: Window, count: usize) -> PyResult<Parts> {
    if count == 2
        && let Some(iter) = value.exact::<Enumerate>()
    {
        let iterator = iter.iterator.borrow().clone();
        let Some(item) = vm.next(&iterator)? else { return Ok(Parts::End) };
        let count = iter.count.borrow().clone();
        let next = match count.as_small().and_then(|n| Value::small(n + 1)) {
            Some(next) => next,
            None => vm.binary(pyc_ir::BinaryOp::Add, &count, &Value::from_i32(1))?,
        };
        drop(iter.count.replace(next));
        window.set(0, count);
        window.set(1, item);
        return Ok(Parts::Stored);
    }
    if let Some(iter) = value.exact::<Zip>()
        && iter.iterators.len() == count
        && !iter.strict.get()
    {
        if iter.done.get() || count == 0 {
            return Ok(Parts::End);
        }
        for (at, iterator) in iter.iterators.iter().enumerate() {
            let next = vm.next(iterator);
            match next {
                Ok(Some(item)) => window.set(at as u16, item),
                other => {
                    window.clear(0, at);
                    if other?.is_none() {
                        iter.done.set(true);
                    }
                    return Ok(Parts::End);
                }
            }
        }
        return Ok(Parts::Stored);
    }
    if count == 2
        && let Some(iter) = value.exact::<DictIter>()
        && iter.what == 2
    {
        return Ok(match dict_entry(vm, iter)? {
            Some((key, value)) => {
                window.set(0, key);
                window.set(1, value);
                Parts::Stored
            }
            None => Parts::End,
        });
    }
    let backwards = value.get::<ListIter>().is_some_and(|it| it.reversed);
    let item = match vm.class_of(value).next.get() {
        Some(step) if !backwards => step(vm, value)?,
        _ => vm.next(value)?,
    };
    Ok(item.map_or(Parts::End, Parts::Item))
}

/// What [`next_parts`] found.
pub(crate) enum Parts {
    Stored,
    Item(Value),
    End,
}
