//! Ops that build containers and texts, take them apart, and match patterns.

use pyc_ir::{Conversion, NO_REG, Op};
use pyc_runtime::containers::{DictData, ListData, SetData, TupleData};
use pyc_runtime::str::Str;
use pyc_runtime::{Args, Kind, PyResult, Value, Vm};

use crate::exec::Frame;
use crate::pattern;
use crate::steps::{callee_text, merge_keywords, unpack_error};

/// Does an op of this group; where control goes on when it is not the next op.
#[inline(never)]
pub(crate) fn step(vm: &Vm, frame: &Frame, op: &Op) -> PyResult<Option<u32>> {
    let (code, w) = (frame.code, frame.window);
    let temps = code.temporaries;
    crate::steps::register_macros!(w, temps);
    match *op {
        Op::BuildSlice { dst, base } => {
            let value = vm.slice(w.take(base), w.take(base + 1), w.take(base + 2));
            w.set(dst, value);
        }
        Op::BuildSet { dst, base, count } => {
            let items = (0..count).map(|i| w.take(base + i)).collect();
            let set = vm.set(items)?;
            w.set(dst, set);
        }
        Op::BuildDict { dst, base, count } => {
            let dict = vm.dict();
            for i in 0..count {
                vm.dict_set(&dict, w.take(base + 2 * i), w.take(base + 2 * i + 1))?;
            }
            w.set(dst, dict);
        }
        Op::BuildString { dst, base, count } => {
            let value = {
                let parts: Vec<&Str> =
                    w.slice(base, usize::from(count)).iter().filter_map(|v| v.get::<Str>()).collect();
                vm.check_alloc(parts.iter().map(|p| p.len()).sum(), 1)?;
                vm.new_str(Str::join(&parts))
            };
            w.clear(base, usize::from(count));
            w.set(dst, value);
        }
        Op::ListExtend { list, src } => {
            let result = vm.list_extend(w.get(list), w.get(src));
            if let Err(error) = result {
                if vm.is_exception(&error, &vm.exc.type_error)
                    && vm.special(w.get(src), &vm.names.__iter__).is_none()
                {
                    return Err(vm.type_error(format!(
                        "Value after * must be an iterable, not {}",
                        vm.type_name(w.get(src))
                    )));
                }
                return Err(error);
            }
            release!(src);
        }
        Op::SetAdd { set, src } => {
            let value = consume!(src);
            if let Some(items) = w.get(set).get::<SetData>() {
                items.add(vm, value)?;
            }
        }
        Op::SetUpdate { set, src } => {
            let items = vm.to_vec(w.get(src))?;
            for item in items {
                if let Some(set) = w.get(set).get::<SetData>() {
                    set.add(vm, item)?;
                }
            }
            release!(src);
        }
        Op::DictSet { dict, key, src } => {
            let (key, value) = (consume!(key), consume!(src));
            vm.dict_set(w.get(dict), key, value)?;
        }
        Op::DictUpdate { dict, src } => {
            let source = w.get(src);
            if source.kind() != Kind::Dict && vm.find_attr(source, &vm.names.keys)?.is_none() {
                return Err(vm.type_error(format!("'{}' object is not a mapping", vm.type_name(source))));
            }
            vm.dict_update(w.get(dict), source)?;
            release!(src);
        }
        Op::DictMerge { dict, src, callee } => {
            merge_keywords(vm, w.get(dict), w.get(src), w.get(callee))?;
            release!(src);
        }
        Op::ListToTuple { dst, src } => {
            let items = w.get(src).get::<ListData>().map(ListData::take).unwrap_or_default();
            w.set(dst, vm.tuple(items));
        }
        Op::StarArgs { dst, src, callee } => {
            let source = w.get(src);
            if vm.special(source, &vm.names.__iter__).is_none()
                && vm.special(source, &vm.names.__getitem__).is_none()
            {
                let what = callee_text(vm, w.get(callee));
                return Err(vm.type_error(format!(
                    "{what} argument after * must be an iterable, not {}",
                    vm.type_name(source)
                )));
            }
            let items = vm.to_vec(source)?;
            release!(src);
            w.set(dst, vm.tuple(items));
        }
        Op::Format { dst, src, conversion, spec } => {
            let value = w.get(src);
            let shown = match conversion {
                Conversion::None => value.clone(),
                Conversion::Str => vm.to_str(value)?,
                Conversion::Repr => vm.repr(value)?,
                Conversion::Ascii => vm.ascii(value)?,
            };
            let text = if spec == NO_REG {
                vm.format(&shown, &vm.names.empty)?
            } else {
                vm.format(&shown, w.get(spec))?
            };
            release!(src);
            if spec != NO_REG {
                release!(spec);
            }
            w.set(dst, text);
        }
        Op::UnpackStar { dst, src, before, after } => {
            let source = consume!(src);
            let items = match vm.to_vec(&source) {
                Ok(items) => items,
                Err(error) => return Err(unpack_error(vm, &source, error)),
            };
            let (before, after) = (usize::from(before), usize::from(after));
            if items.len() < before + after {
                return Err(vm.value_error(format!(
                    "not enough values to unpack (expected at least {}, got {})",
                    before + after,
                    items.len()
                )));
            }
            let middle = items[before..items.len() - after].to_vec();
            for (at, item) in items[..before].iter().enumerate() {
                w.set(dst + at as u16, item.clone());
            }
            w.set(dst + before as u16, vm.list(middle));
            for (at, item) in items[items.len() - after..].iter().enumerate() {
                w.set(dst + (before + 1 + at) as u16, item.clone());
            }
        }
        Op::CallEx { dst, base, method } => {
            let mut all = Vec::new();
            if method && !w.get(base + 1).is_unbound() {
                all.push(w.get(base + 1).clone());
            }
            all.extend_from_slice(w.get(base + 2).get::<TupleData>().map_or(&[][..], TupleData::items));
            let mut words = Vec::new();
            if let Some(dict) = w.get(base + 3).get::<DictData>() {
                for (key, value) in dict.items() {
                    if key.kind() != Kind::Str {
                        return Err(vm.type_error("keywords must be strings"));
                    }
                    words.push(key);
                    all.push(value);
                }
            }
            let value = vm.call(w.get(base), Args { all: &all, names: &words })?;
            w.clear(base, 4);
            w.set(dst, value);
        }
        Op::MatchSequence { dst, src } => {
            let matches = pattern::is_sequence(vm, w.get(src))?;
            w.set(dst, Value::from_bool(matches));
        }
        Op::MatchMapping { dst, src } => {
            let matches = pattern::is_mapping(vm, w.get(src))?;
            w.set(dst, Value::from_bool(matches));
        }
        Op::MatchKeys { dst, src, keys } => {
            let values = pattern::match_keys(vm, w.get(src), w.get(keys))?;
            w.set(dst, values);
        }
        Op::MatchClass { dst, src, class, count, names } => {
            let words = code.constant(names);
            let values = pattern::match_class(vm, w.get(src), w.get(class), usize::from(count), words)?;
            release!(class);
            w.set(dst, values);
        }
        Op::Len { dst, src } => {
            let n = vm.len(w.get(src))?;
            w.set(dst, Value::from_len(n));
        }
        Op::DictWithout { dst, src, keys } => {
            let dict = pattern::without(vm, w.get(src), w.get(keys))?;
            w.set(dst, dict);
        }
        Op::Intrinsic { dst, which, base, count } => {
            let value = pattern::intrinsic(vm, which, w.slice(base, usize::from(count)))?;
            w.clear(base, usize::from(count));
            w.set(dst, value);
        }
        _ => unreachable!("the loop gives this group its own ops only"),
    }
    Ok(None)
}
