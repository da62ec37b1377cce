//! The loop.

use pyc_ir::{BinaryOp, CompareOp, Conversion, NO_REG, Op};
use pyc_runtime::containers::{DictData, ListData, SetData, TupleData};
use pyc_runtime::function::{CellData, CodeData, NativeData};
use pyc_runtime::generator::{GeneratorData, GeneratorKind};
use pyc_runtime::iterators::{ListIter, RangeIter};
use pyc_runtime::ops::{compare_floats, compare_with};
use pyc_runtime::registers::Window;
use pyc_runtime::str::Str;
use pyc_runtime::vm::Resumed;
use pyc_runtime::{Args, Kind, PyResult, Raised, Value, Vm};

use crate::steps::{
    callee_text, empty_cell, index, load_special, merge_keywords, namespace_get, send, unbound, unpack,
    unpack_error,
};
use crate::{access, call, pattern};

/// What a frame runs with.
pub(crate) struct Frame<'a> {
    pub code_value: &'a Value,
    pub code: &'a CodeData,
    pub globals: &'a Value,
    pub builtins: &'a Value,
    pub window: Window,
}

/// How a frame ended for now.
pub(crate) enum Exit {
    Return(Value),
    Yield(Value),
}

/// Where a generator goes on.
pub(crate) struct Suspended {
    pub pc: u32,
    pub sent_register: u16,
    pub delegate: u16,
    pub thrown: Option<Raised>,
}

/// Looks at two values as the interpreter compares them most often.
#[inline(always)]
fn quick_compare(op: CompareOp, a: &Value, b: &Value) -> Option<bool> {
    if let Some((x, y)) = a.both_small(b) {
        return Some(compare_with(op, x.cmp(&y)));
    }
    if let (Some(x), Some(y)) = (a.exact::<f64>(), b.exact::<f64>()) {
        return Some(compare_floats(op, *x, *y));
    }
    None
}

fn cell(value: &Value) -> &CellData {
    value.get::<CellData>().expect("lowering puts cells here")
}

/// Runs a frame from an op on. `generator`: it may be suspended; `namespace`: of modules and class bodies.
pub(crate) fn run(
    vm: &Vm,
    frame: &Frame,
    start: u32,
    mut generator: Option<&mut Suspended>,
    namespace: &Value,
) -> PyResult<Exit> {
    let code = frame.code;
    let w = frame.window;
    let ops = code.ir.ops.as_slice();
    let names = code.names.as_slice();
    let temps = code.ir.first_temporary();
    let mut pc = start as usize;
    vm.tick()?;
    let mut pending = generator.as_mut().and_then(|g| g.thrown.take());
    loop {
        let error: Raised = 'failed: {
            if let Some(error) = pending.take() {
                if start == 0 {
                    // Thrown into a generator that has not started: no handler is open yet.
                    return Err(error);
                }
                pc = (start as usize).max(1);
                vm.set_context(&error.0);
                break 'failed error;
            }
            macro_rules! tri {
                ($result:expr) => {
                    match $result {
                        Ok(value) => value,
                        Err(error) => break 'failed error,
                    }
                };
            }
            macro_rules! release {
                ($reg:expr) => {
                    if $reg >= temps {
                        drop(w.take($reg));
                    }
                };
            }
            macro_rules! consume {
                ($reg:expr) => {
                    if $reg >= temps { w.take($reg) } else { w.get($reg).clone() }
                };
            }
            macro_rules! jump {
                ($target:expr) => {{
                    let target = $target as usize;
                    if target < pc {
                        tri!(vm.tick());
                    }
                    pc = target;
                }};
            }
            macro_rules! arithmetic {
                ($dst:expr, $left:expr, $right:expr, $op:ident, $int:expr, $float:expr) => {{
                    let (a, b) = (w.get($left), w.get($right));
                    if let Some((x, y)) = a.both_small(b)
                        && let Some(value) = $int(x, y)
                    {
                        w.set($dst, value);
                    } else if let (Some(x), Some(y)) = (a.exact::<f64>(), b.exact::<f64>()) {
                        let result: f64 = $float(*x, *y);
                        if $left >= temps && a.reuse_float(result) {
                            let value = w.take($left);
                            w.set($dst, value);
                        } else if $right >= temps && b.reuse_float(result) {
                            let value = w.take($right);
                            w.set($dst, value);
                        } else {
                            w.set($dst, vm.float(result));
                        }
                    } else {
                        let value = tri!(vm.binary(BinaryOp::$op, a, b));
                        release!($left);
                        release!($right);
                        w.set($dst, value);
                    }
                }};
            }
            loop {
                let op = &ops[pc];
                vm.pc.set(pc as u32);
                pc += 1;
                match *op {
                    Op::Const { dst, value } => w.set(dst, code.consts[usize::from(value)].clone()),
                    Op::Move { dst, src } => {
                        let value = consume!(src);
                        w.set(dst, value);
                    }
                    Op::Copy { dst, src } => {
                        let value = w.get(src).clone();
                        w.set(dst, value);
                    }
                    Op::Drop { reg } => drop(w.take(reg)),
                    Op::CheckLocal { reg, name } => {
                        if w.get(reg).is_unbound() {
                            break 'failed unbound(vm, &names[usize::from(name)]);
                        }
                    }
                    Op::DeleteLocal { reg, name } => {
                        let old = w.take(reg);
                        if old.is_unbound() {
                            break 'failed unbound(vm, &names[usize::from(name)]);
                        }
                        drop(old);
                    }
                    Op::MakeCell { dst, src } => {
                        let held = if src == NO_REG { None } else { w.take(src).bound().cloned() };
                        w.set(dst, vm.cell(held));
                    }
                    Op::LoadCell { dst, cell: reg, name } => {
                        let held = cell(w.get(reg)).0.borrow().clone();
                        match held {
                            Some(value) => w.set(dst, value),
                            None => break 'failed empty_cell(vm, code, reg, &names[usize::from(name)]),
                        }
                    }
                    Op::StoreCell { cell: reg, src } => {
                        let value = consume!(src);
                        let old = cell(w.get(reg)).0.replace(Some(value));
                        drop(old);
                    }
                    Op::DeleteCell { cell: reg, name } => {
                        let old = cell(w.get(reg)).0.take();
                        if old.is_none() {
                            break 'failed empty_cell(vm, code, reg, &names[usize::from(name)]);
                        }
                    }
                    Op::LoadClassCell { dst, cell: reg, name } => {
                        let name = &names[usize::from(name)];
                        let found = tri!(namespace_get(vm, namespace, name));
                        let value = match found {
                            Some(value) => value,
                            None => match cell(w.get(reg)).0.borrow().clone() {
                                Some(value) => value,
                                None => break 'failed empty_cell(vm, code, reg, name),
                            },
                        };
                        w.set(dst, value);
                    }
                    Op::LoadGlobal { dst, name, cache } => {
                        let value = tri!(access::load_global(
                            vm,
                            code,
                            frame.globals,
                            frame.builtins,
                            &names[usize::from(name)],
                            cache
                        ));
                        w.set(dst, value);
                    }
                    Op::StoreGlobal { name, src } => {
                        let value = consume!(src);
                        vm.dict_set_name(frame.globals, &names[usize::from(name)], value);
                    }
                    Op::DeleteGlobal { name } => {
                        let name = &names[usize::from(name)];
                        let old = frame
                            .globals
                            .get::<DictData>()
                            .and_then(|d| d.borrow_mut().remove_interned(name));
                        if old.is_none() {
                            break 'failed vm.name_error(name);
                        }
                    }
                    Op::LoadName { dst, name, cache } => {
                        let name = &names[usize::from(name)];
                        let value = if namespace.is(frame.globals) {
                            tri!(access::load_global(vm, code, frame.globals, frame.builtins, name, cache))
                        } else {
                            match tri!(namespace_get(vm, namespace, name)) {
                                Some(value) => value,
                                None => tri!(access::load_global(
                                    vm,
                                    code,
                                    frame.globals,
                                    frame.builtins,
                                    name,
                                    cache
                                )),
                            }
                        };
                        w.set(dst, value);
                    }
                    Op::StoreName { name, src } => {
                        let value = consume!(src);
                        let name = &names[usize::from(name)];
                        if namespace.kind() == Kind::Dict && namespace.is_exact() {
                            vm.dict_set_name(namespace, name, value);
                        } else {
                            tri!(vm.set_item(namespace, name, value));
                        }
                    }
                    Op::DeleteName { name } => {
                        let name = &names[usize::from(name)];
                        if let Err(error) = vm.delete_item(namespace, name) {
                            if vm.is_exception(&error, &vm.exc.key_error) {
                                break 'failed vm.name_error(name);
                            }
                            break 'failed error;
                        }
                    }
                    Op::LoadLocals { dst } => w.set(dst, namespace.clone()),
                    Op::LoadAttr { dst, obj, name, cache } => {
                        let value =
                            tri!(access::load_attr(vm, code, w.get(obj), &names[usize::from(name)], cache));
                        release!(obj);
                        w.set(dst, value);
                    }
                    Op::LoadMethod { dst, obj, name, cache } => {
                        let (function, this) =
                            tri!(access::load_method(vm, code, w.get(obj), &names[usize::from(name)], cache));
                        release!(obj);
                        w.set(dst, function);
                        w.set(dst + 1, this.unwrap_or(Value::UNBOUND));
                    }
                    Op::StoreAttr { obj, name, src, cache } => {
                        let value = consume!(src);
                        tri!(access::store_attr(
                            vm,
                            code,
                            w.get(obj),
                            &names[usize::from(name)],
                            value,
                            cache
                        ));
                        release!(obj);
                    }
                    Op::DeleteAttr { obj, name } => {
                        tri!(vm.set_attr(w.get(obj), &names[usize::from(name)], Value::UNBOUND));
                        release!(obj);
                    }
                    Op::Index { dst, obj, key } => {
                        let value = tri!(index(vm, w.get(obj), w.get(key)));
                        release!(obj);
                        release!(key);
                        w.set(dst, value);
                    }
                    Op::StoreIndex { obj, key, src } => {
                        let value = consume!(src);
                        let (o, k) = (w.get(obj), w.get(key));
                        let mut value = Some(value);
                        if let (Some(list), Some(i)) = (o.exact::<ListData>(), k.as_small()) {
                            let mut items = list.borrow_mut();
                            let at = if i < 0 { i + items.len() as i64 } else { i };
                            if let Some(slot) = items.get_mut(at as usize)
                                && at >= 0
                                && let Some(value) = value.take()
                            {
                                let old = std::mem::replace(slot, value);
                                drop(items);
                                drop(old);
                            }
                        }
                        if let Some(value) = value {
                            tri!(vm.set_item(o, k, value));
                        }
                        release!(obj);
                        release!(key);
                    }
                    Op::DeleteIndex { obj, key } => {
                        tri!(vm.delete_item(w.get(obj), w.get(key)));
                        release!(obj);
                        release!(key);
                    }
                    Op::BuildSlice { dst, base } => {
                        let value = vm.slice(w.take(base), w.take(base + 1), w.take(base + 2));
                        w.set(dst, value);
                    }
                    Op::Add { dst, left, right } => {
                        arithmetic!(dst, left, right, Add, |x: i64, y: i64| Value::small(x + y), |x, y| x + y)
                    }
                    Op::Sub { dst, left, right } => {
                        arithmetic!(dst, left, right, Sub, |x: i64, y: i64| Value::small(x - y), |x, y| x - y)
                    }
                    Op::Mul { dst, left, right } => {
                        arithmetic!(
                            dst,
                            left,
                            right,
                            Mul,
                            |x: i64, y: i64| x.checked_mul(y).and_then(Value::small),
                            |x, y| x * y
                        )
                    }
                    Op::AddInt { dst, left, value } => {
                        let a = w.get(left);
                        if let Some(sum) = a.as_small().and_then(|x| Value::small(x + i64::from(value))) {
                            w.set(dst, sum);
                        } else {
                            let result =
                                tri!(vm.binary(BinaryOp::Add, a, &Value::from_i32(i32::from(value))));
                            release!(left);
                            w.set(dst, result);
                        }
                    }
                    Op::SubInt { dst, left, value } => {
                        let a = w.get(left);
                        if let Some(sum) = a.as_small().and_then(|x| Value::small(x - i64::from(value))) {
                            w.set(dst, sum);
                        } else {
                            let result =
                                tri!(vm.binary(BinaryOp::Sub, a, &Value::from_i32(i32::from(value))));
                            release!(left);
                            w.set(dst, result);
                        }
                    }
                    Op::Binary { dst, op, left, right } => {
                        let value = tri!(vm.binary(op, w.get(left), w.get(right)));
                        release!(left);
                        release!(right);
                        w.set(dst, value);
                    }
                    Op::InPlace { dst, op, left, right } => {
                        let (a, b) = (w.get(left), w.get(right));
                        let quick = match (op, a.both_small(b)) {
                            (BinaryOp::Add, Some((x, y))) => Value::small(x + y),
                            (BinaryOp::Sub, Some((x, y))) => Value::small(x - y),
                            _ => None,
                        };
                        let value = match quick {
                            Some(value) => value,
                            None => tri!(vm.in_place(op, a, b)),
                        };
                        release!(left);
                        release!(right);
                        w.set(dst, value);
                    }
                    Op::Unary { dst, op, src } => {
                        let value = tri!(vm.unary(op, w.get(src)));
                        release!(src);
                        w.set(dst, value);
                    }
                    Op::Not { dst, src } => {
                        let truth = tri!(vm.truth(w.get(src)));
                        release!(src);
                        w.set(dst, Value::from_bool(!truth));
                    }
                    Op::ToBool { dst, src } => {
                        let truth = tri!(vm.truth(w.get(src)));
                        release!(src);
                        w.set(dst, Value::from_bool(truth));
                    }
                    Op::Compare { dst, op, left, right } => {
                        let (a, b) = (w.get(left), w.get(right));
                        let value = match quick_compare(op, a, b) {
                            Some(truth) => Value::from_bool(truth),
                            None => tri!(vm.compare(op, a, b)),
                        };
                        release!(left);
                        release!(right);
                        w.set(dst, value);
                    }
                    Op::Is { dst, left, right, negate } => {
                        let same = w.get(left).is(w.get(right));
                        release!(left);
                        release!(right);
                        w.set(dst, Value::from_bool(same != negate));
                    }
                    Op::Contains { dst, item, container, negate } => {
                        let found = tri!(vm.contains(w.get(container), w.get(item)));
                        release!(item);
                        release!(container);
                        w.set(dst, Value::from_bool(found != negate));
                    }
                    Op::BuildTuple { dst, base, count } => {
                        let items = (0..count).map(|i| w.take(base + i)).collect();
                        w.set(dst, vm.tuple(items));
                    }
                    Op::BuildList { dst, base, count } => {
                        let items = (0..count).map(|i| w.take(base + i)).collect();
                        w.set(dst, vm.list(items));
                    }
                    Op::BuildSet { dst, base, count } => {
                        let items = (0..count).map(|i| w.take(base + i)).collect();
                        let set = tri!(vm.set(items));
                        w.set(dst, set);
                    }
                    Op::BuildDict { dst, base, count } => {
                        let dict = vm.dict();
                        for i in 0..count {
                            tri!(vm.dict_set(&dict, w.take(base + 2 * i), w.take(base + 2 * i + 1)));
                        }
                        w.set(dst, dict);
                    }
                    Op::BuildString { dst, base, count } => {
                        let value = {
                            let parts: Vec<&Str> = w
                                .slice(base, usize::from(count))
                                .iter()
                                .filter_map(|v| v.get::<Str>())
                                .collect();
                            tri!(vm.check_alloc(parts.iter().map(|p| p.len()).sum(), 1));
                            vm.new_str(Str::join(&parts))
                        };
                        w.clear(base, usize::from(count));
                        w.set(dst, value);
                    }
                    Op::ListAppend { list, src } => {
                        let value = consume!(src);
                        if let Some(items) = w.get(list).get::<ListData>() {
                            items.borrow_mut().push(value);
                        }
                    }
                    Op::ListExtend { list, src } => {
                        let result = vm.list_extend(w.get(list), w.get(src));
                        if let Err(error) = result {
                            if vm.is_exception(&error, &vm.exc.type_error)
                                && vm.special(w.get(src), &vm.names.__iter__).is_none()
                            {
                                break 'failed vm.type_error(format!(
                                    "Value after * must be an iterable, not {}",
                                    vm.type_name(w.get(src))
                                ));
                            }
                            break 'failed error;
                        }
                        release!(src);
                    }
                    Op::SetAdd { set, src } => {
                        let value = consume!(src);
                        if let Some(items) = w.get(set).get::<SetData>() {
                            tri!(items.add(vm, value));
                        }
                    }
                    Op::SetUpdate { set, src } => {
                        let items = tri!(vm.to_vec(w.get(src)));
                        for item in items {
                            if let Some(set) = w.get(set).get::<SetData>() {
                                tri!(set.add(vm, item));
                            }
                        }
                        release!(src);
                    }
                    Op::DictSet { dict, key, src } => {
                        let (key, value) = (consume!(key), consume!(src));
                        tri!(vm.dict_set(w.get(dict), key, value));
                    }
                    Op::DictUpdate { dict, src } => {
                        let source = w.get(src);
                        if source.kind() != Kind::Dict && tri!(vm.find_attr(source, &vm.names.keys)).is_none()
                        {
                            break 'failed vm
                                .type_error(format!("'{}' object is not a mapping", vm.type_name(source)));
                        }
                        tri!(vm.dict_update(w.get(dict), source));
                        release!(src);
                    }
                    Op::DictMerge { dict, src, callee } => {
                        tri!(merge_keywords(vm, w.get(dict), w.get(src), w.get(callee)));
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
                            break 'failed vm.type_error(format!(
                                "{what} argument after * must be an iterable, not {}",
                                vm.type_name(source)
                            ));
                        }
                        let items = tri!(vm.to_vec(source));
                        release!(src);
                        w.set(dst, vm.tuple(items));
                    }
                    Op::Format { dst, src, conversion, spec } => {
                        let value = w.get(src);
                        let shown = match conversion {
                            Conversion::None => value.clone(),
                            Conversion::Str => tri!(vm.to_str(value)),
                            Conversion::Repr => tri!(vm.repr(value)),
                            Conversion::Ascii => tri!(vm.ascii(value)),
                        };
                        let text = if spec == NO_REG {
                            tri!(vm.format(&shown, &vm.names.empty))
                        } else {
                            tri!(vm.format(&shown, w.get(spec)))
                        };
                        release!(src);
                        if spec != NO_REG {
                            release!(spec);
                        }
                        w.set(dst, text);
                    }
                    Op::Unpack { dst, src, count } => {
                        tri!(unpack(vm, w, dst, src, usize::from(count), temps));
                    }
                    Op::UnpackStar { dst, src, before, after } => {
                        let source = consume!(src);
                        let items = match vm.to_vec(&source) {
                            Ok(items) => items,
                            Err(error) => break 'failed unpack_error(vm, &source, error),
                        };
                        let (before, after) = (usize::from(before), usize::from(after));
                        if items.len() < before + after {
                            break 'failed vm.value_error(format!(
                                "not enough values to unpack (expected at least {}, got {})",
                                before + after,
                                items.len()
                            ));
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
                    Op::Call { dst, base, count, method } => {
                        let callee = w.get(base);
                        let bound = method && !w.get(base + 1).is_unbound();
                        let (first, total) = if bound {
                            (base + 1, usize::from(count) + 1)
                        } else {
                            (base + 2, usize::from(count))
                        };
                        let result = match callee.kind() {
                            Kind::Function => match call::call_moving(vm, callee, w, first, total) {
                                Some(result) => result,
                                None => vm.call(callee, Args::pos(w.slice(first, total))),
                            },
                            Kind::Native => match callee.get::<NativeData>() {
                                Some(native) => vm.call_native_data(native, Args::pos(w.slice(first, total))),
                                None => vm.call(callee, Args::pos(w.slice(first, total))),
                            },
                            _ => vm.call(callee, Args::pos(w.slice(first, total))),
                        };
                        let value = tri!(result);
                        drop(w.take(base));
                        if method {
                            drop(w.take(base + 1));
                        }
                        w.clear(base + 2, usize::from(count));
                        w.set(dst, value);
                    }
                    Op::CallKw { dst, base, count, method, names } => {
                        let bound = method && !w.get(base + 1).is_unbound();
                        let (first, total) = if bound {
                            (base + 1, usize::from(count) + 1)
                        } else {
                            (base + 2, usize::from(count))
                        };
                        let words = code.consts[usize::from(names)]
                            .get::<TupleData>()
                            .map_or(&[][..], TupleData::items);
                        let value =
                            tri!(vm.call(w.get(base), Args { all: w.slice(first, total), names: words }));
                        drop(w.take(base));
                        if method {
                            drop(w.take(base + 1));
                        }
                        w.clear(base + 2, usize::from(count));
                        w.set(dst, value);
                    }
                    Op::CallEx { dst, base, method } => {
                        let mut all = Vec::new();
                        if method && !w.get(base + 1).is_unbound() {
                            all.push(w.get(base + 1).clone());
                        }
                        all.extend_from_slice(
                            w.get(base + 2).get::<TupleData>().map_or(&[][..], TupleData::items),
                        );
                        let mut words = Vec::new();
                        if let Some(dict) = w.get(base + 3).get::<DictData>() {
                            for (key, value) in dict.items() {
                                if key.kind() != Kind::Str {
                                    break 'failed vm.type_error("keywords must be strings");
                                }
                                words.push(key);
                                all.push(value);
                            }
                        }
                        let value = tri!(vm.call(w.get(base), Args { all: &all, names: &words }));
                        w.clear(base, 4);
                        w.set(dst, value);
                    }
                    Op::GetIter { dst, src } => {
                        let value = w.get(src);
                        let iterator = match value.kind() {
                            Kind::List if value.is_exact() => pyc_runtime::iterators::list_iter(vm, value),
                            Kind::Generator => value.clone(),
                            _ => tri!(vm.iter(value)),
                        };
                        if let Some(data) = iterator.get::<GeneratorData>()
                            && data.kind != GeneratorKind::Generator
                        {
                            break 'failed vm
                                .type_error(format!("'{}' object is not iterable", vm.type_name(&iterator)));
                        }
                        release!(src);
                        w.set(dst, iterator);
                    }
                    Op::ForIter { dst, iter, target } => {
                        tri!(vm.tick());
                        let iterator = w.get(iter);
                        let next = match iterator.kind() {
                            Kind::RangeIter => iterator.get::<RangeIter>().and_then(|r| {
                                let left = r.left.get();
                                if left <= 0 {
                                    return None;
                                }
                                r.left.set(left - 1);
                                let n = r.next.get();
                                r.next.set(n + r.step);
                                Some(vm.int(n))
                            }),
                            Kind::ListIter => match iterator.get::<ListIter>() {
                                Some(it) if !it.reversed => {
                                    let at = it.at.get();
                                    let item = it
                                        .list
                                        .borrow()
                                        .get::<ListData>()
                                        .and_then(|l| l.borrow().get(at).cloned());
                                    it.at.set(at + 1);
                                    if item.is_none() {
                                        drop(it.list.replace(Value::NONE));
                                    }
                                    item
                                }
                                _ => tri!(vm.next(iterator)),
                            },
                            _ => match vm.class_of(iterator).next.get() {
                                Some(step) => tri!(step(vm, iterator)),
                                None => tri!(vm.next(iterator)),
                            },
                        };
                        match next {
                            Some(value) => w.set(dst, value),
                            None => {
                                drop(w.take(iter));
                                pc = target as usize;
                            }
                        }
                    }
                    Op::Jump { target } => jump!(target),
                    Op::JumpIf { cond, target } => {
                        let truth = tri!(vm.truth(w.get(cond)));
                        release!(cond);
                        if truth {
                            jump!(target);
                        }
                    }
                    Op::JumpIfNot { cond, target } => {
                        let truth = tri!(vm.truth(w.get(cond)));
                        release!(cond);
                        if !truth {
                            jump!(target);
                        }
                    }
                    Op::JumpCompare { op, left, right, sense, target } => {
                        let (a, b) = (w.get(left), w.get(right));
                        let truth = match quick_compare(op, a, b) {
                            Some(truth) => truth,
                            None => {
                                let truth = tri!(vm.compare_true(op, a, b));
                                release!(left);
                                release!(right);
                                truth
                            }
                        };
                        if truth == sense {
                            jump!(target);
                        }
                    }
                    Op::JumpCompareInt { op, left, value, sense, target } => {
                        let a = w.get(left);
                        let truth = match a.as_small() {
                            Some(x) => compare_with(op, x.cmp(&i64::from(value))),
                            None => {
                                let truth = tri!(vm.compare_true(op, a, &Value::from_i32(i32::from(value))));
                                release!(left);
                                truth
                            }
                        };
                        if truth == sense {
                            jump!(target);
                        }
                    }
                    Op::JumpIfNone { src, target } => {
                        if w.get(src).is_none() {
                            jump!(target);
                        }
                    }
                    Op::JumpIfUnbound { src, target } => {
                        if w.get(src).is_unbound() {
                            jump!(target);
                        }
                    }
                    Op::Return { src } => return Ok(Exit::Return(consume!(src))),
                    Op::Raise { exc, cause } => {
                        let raised = if exc == NO_REG {
                            let handled = vm.handled.borrow().clone();
                            if handled.is_none() {
                                break 'failed vm.runtime_error("No active exception to reraise");
                            }
                            break 'failed Raised(handled);
                        } else {
                            let value = consume!(exc);
                            tri!(vm.to_exception(&value))
                        };
                        if cause != NO_REG {
                            let cause = consume!(cause);
                            let cause = if cause.is_none() {
                                cause
                            } else {
                                match vm.to_exception(&cause) {
                                    Ok(cause) => cause,
                                    Err(error)
                                        if cause.kind() == Kind::Type && vm.is_exception_type(&cause) =>
                                    {
                                        break 'failed error;
                                    }
                                    Err(_) => {
                                        break 'failed vm
                                            .type_error("exception causes must derive from BaseException");
                                    }
                                }
                            };
                            tri!(vm.set_attr(&raised, &vm.names.__cause__, cause));
                        }
                        vm.set_context(&raised);
                        break 'failed Raised(raised);
                    }
                    Op::Reraise { exc } => break 'failed Raised(consume!(exc)),
                    Op::EnterHandler { saved, exc } => {
                        let caught = w.get(exc).clone();
                        let former = vm.handled.replace(caught);
                        w.set(saved, former);
                    }
                    Op::LeaveHandler { saved } => {
                        let former = w.take(saved);
                        let old = vm.handled.replace(if former.is_unbound() { Value::NONE } else { former });
                        drop(old);
                    }
                    Op::MatchException { dst, exc, kind } => {
                        let matches = tri!(vm.exception_matches(w.get(exc), w.get(kind)));
                        release!(kind);
                        w.set(dst, Value::from_bool(matches));
                    }
                    Op::MatchGroup { dst, exc, kind } => {
                        let (matching, rest) = tri!(vm.match_group(w.get(exc), w.get(kind)));
                        release!(kind);
                        w.set(exc, rest.unwrap_or(Value::NONE));
                        w.set(dst, matching.unwrap_or(Value::NONE));
                    }
                    Op::JoinGroup { dst, original, raised } => {
                        let list = w.get(raised).get::<ListData>().map(ListData::take).unwrap_or_default();
                        let joined = tri!(vm.join_group(w.get(original), list));
                        release!(original);
                        release!(raised);
                        w.set(dst, joined.unwrap_or(Value::NONE));
                    }
                    Op::LoadSpecial { dst, obj, method } => {
                        let (function, this) = tri!(load_special(vm, w.get(obj), method));
                        w.set(dst, function);
                        w.set(dst + 1, this);
                    }
                    Op::WithExit { dst, base, exc } => {
                        let exception = w.get(exc).clone();
                        let ty = vm.type_of(&exception).clone();
                        let traceback = tri!(vm.get_attr(&exception, &vm.names.__traceback__));
                        let args = [w.get(base + 1).clone(), ty, exception, traceback];
                        let from = usize::from(args[0].is_unbound());
                        let value = tri!(vm.call(w.get(base), Args::pos(&args[from..])));
                        w.set(dst, value);
                    }
                    Op::Yield { dst, src, delegate } => {
                        let value = consume!(src);
                        if let Some(g) = generator {
                            *g = Suspended { pc: pc as u32, sent_register: dst, delegate, thrown: None };
                        }
                        return Ok(Exit::Yield(value));
                    }
                    Op::YieldAsync { dst, src } => {
                        let value = vm.async_yield(consume!(src));
                        if let Some(g) = generator {
                            *g = Suspended {
                                pc: pc as u32,
                                sent_register: dst,
                                delegate: NO_REG,
                                thrown: None,
                            };
                        }
                        return Ok(Exit::Yield(value));
                    }
                    Op::GetYieldFromIter { dst, src } => {
                        let value = w.get(src);
                        let iterator = match value.get::<GeneratorData>() {
                            Some(data)
                                if data.kind == GeneratorKind::Coroutine && !code.ir.flags.coroutine =>
                            {
                                break 'failed vm.type_error(
                                    "cannot 'yield from' a coroutine object in a non-coroutine generator",
                                );
                            }
                            Some(data) if data.kind != GeneratorKind::Async => value.clone(),
                            _ => tri!(vm.iter(value)),
                        };
                        release!(src);
                        w.set(dst, iterator);
                    }
                    Op::GetAwaitable { dst, src, context } => {
                        let value = w.get(src);
                        let result = vm.awaitable(value);
                        let iterator = match result {
                            Ok(iterator) => iterator,
                            Err(error) => {
                                if context > 0
                                    && vm.special(value, &vm.names.__await__).is_none()
                                    && vm.is_exception(&error, &vm.exc.type_error)
                                {
                                    let name = vm.type_name(value);
                                    break 'failed vm.type_error(match context {
                                        1 => format!("'async with' received an object from __aenter__ that does not implement __await__: {name}"),
                                        2 => format!("'async with' received an object from __aexit__ that does not implement __await__: {name}"),
                                        _ => format!("'async for' received an invalid object from __anext__: {name}"),
                                    });
                                }
                                break 'failed error;
                            }
                        };
                        release!(src);
                        w.set(dst, iterator);
                    }
                    Op::Send { dst, iter, value, target } => {
                        let iterator = w.get(iter).clone();
                        let sent = consume!(value);
                        match tri!(send(vm, &iterator, sent)) {
                            Resumed::Yielded(value) => w.set(dst, value),
                            Resumed::Returned(value) => {
                                drop(iterator);
                                drop(w.take(iter));
                                w.set(dst, value);
                                pc = target as usize;
                            }
                        }
                    }
                    Op::GetAsyncIter { dst, src } => {
                        let value = w.get(src);
                        let Some(iterator) = tri!(vm.call_special(value, &vm.names.__aiter__, &[])) else {
                            break 'failed vm.type_error(format!(
                                "'async for' requires an object with __aiter__ method, got {}",
                                vm.type_name(value)
                            ));
                        };
                        if vm.special(&iterator, &vm.names.__anext__).is_none() {
                            break 'failed vm.type_error(format!(
                                "'async for' received an object from __aiter__ that does not implement __anext__: {}",
                                vm.type_name(&iterator)
                            ));
                        }
                        release!(src);
                        w.set(dst, iterator);
                    }
                    Op::GetAsyncNext { dst, iter } => {
                        let iterator = w.get(iter);
                        let Some(awaitable) = tri!(vm.call_special(iterator, &vm.names.__anext__, &[]))
                        else {
                            break 'failed vm.type_error(format!(
                                "'async for' requires an iterator with __anext__ method, got {}",
                                vm.type_name(iterator)
                            ));
                        };
                        w.set(dst, awaitable);
                    }
                    Op::EndAsyncFor { exc } => {
                        let caught = consume!(exc);
                        if !vm.is_a(&caught, &vm.exc.stop_async_iteration) {
                            break 'failed Raised(caught);
                        }
                    }
                    Op::MakeFunction { dst, code: index, base } => {
                        let function = vm.function(
                            code.consts[usize::from(index)].clone(),
                            frame.globals.clone(),
                            w.take(base + 3),
                            w.take(base),
                            w.take(base + 1),
                            w.take(base + 2),
                        );
                        w.set(dst, function);
                    }
                    Op::LoadBuildClass { dst } => {
                        let found = frame
                            .builtins
                            .get::<DictData>()
                            .and_then(|d| d.borrow().get_interned(&vm.names.__build_class__).cloned());
                        match found {
                            Some(value) => w.set(dst, value),
                            None => break 'failed vm.raise(&vm.exc.name_error, "__build_class__ not found"),
                        }
                    }
                    Op::Import { dst, name, from, level } => {
                        let text = vm.text(&names[usize::from(name)]);
                        let from = &code.consts[usize::from(from)];
                        let hook = frame
                            .builtins
                            .get::<DictData>()
                            .and_then(|d| d.borrow().get_interned(&vm.names.__import__).cloned());
                        let module = match hook {
                            Some(hook) if hook.kind() != Kind::Native => {
                                let locals =
                                    if namespace.is_unbound() { Value::NONE } else { namespace.clone() };
                                let args = [
                                    names[usize::from(name)].clone(),
                                    frame.globals.clone(),
                                    locals,
                                    from.clone(),
                                    Value::from_len(usize::from(level)),
                                ];
                                tri!(vm.call_pos(&hook, &args))
                            }
                            _ => tri!(vm.import_statement(&text, frame.globals, from, usize::from(level))),
                        };
                        w.set(dst, module);
                    }
                    Op::ImportFrom { dst, module, name } => {
                        let value = tri!(vm.import_from(w.get(module), &names[usize::from(name)]));
                        w.set(dst, value);
                    }
                    Op::ImportStar { module } => {
                        tri!(vm.import_star(w.get(module), namespace));
                        release!(module);
                    }
                    Op::MatchSequence { dst, src } => {
                        let matches = tri!(pattern::is_sequence(vm, w.get(src)));
                        w.set(dst, Value::from_bool(matches));
                    }
                    Op::MatchMapping { dst, src } => {
                        let matches = tri!(pattern::is_mapping(vm, w.get(src)));
                        w.set(dst, Value::from_bool(matches));
                    }
                    Op::MatchKeys { dst, src, keys } => {
                        let values = tri!(pattern::match_keys(vm, w.get(src), w.get(keys)));
                        w.set(dst, values);
                    }
                    Op::MatchClass { dst, src, class, count, names } => {
                        let words = &code.consts[usize::from(names)];
                        let values = tri!(pattern::match_class(
                            vm,
                            w.get(src),
                            w.get(class),
                            usize::from(count),
                            words
                        ));
                        release!(class);
                        w.set(dst, values);
                    }
                    Op::Len { dst, src } => {
                        let n = tri!(vm.len(w.get(src)));
                        w.set(dst, Value::from_len(n));
                    }
                    Op::DictWithout { dst, src, keys } => {
                        let dict = tri!(pattern::without(vm, w.get(src), w.get(keys)));
                        w.set(dst, dict);
                    }
                    Op::LoadAssertionError { dst } => w.set(dst, vm.exc.assertion_error.clone()),
                    Op::SetupAnnotations {} => {
                        if tri!(namespace_get(vm, namespace, &vm.names.__annotations__)).is_none() {
                            let dict = vm.dict();
                            tri!(vm.set_item(namespace, &vm.names.__annotations__, dict));
                        }
                    }
                    Op::Intrinsic { dst, which, base, count } => {
                        let value = tri!(pattern::intrinsic(vm, which, w.slice(base, usize::from(count))));
                        w.clear(base, usize::from(count));
                        w.set(dst, value);
                    }
                }
            }
        };
        let at = (pc - 1) as u32;
        if vm.terminating.get() {
            return Err(error);
        }
        if !matches!(ops[at as usize], Op::Reraise { .. } | Op::EndAsyncFor { .. }) {
            let object = vm.frames.borrow().last().and_then(|f| f.object.clone()).unwrap_or(Value::NONE);
            vm.add_traceback(&error.0, frame.code_value, frame.globals, at, object);
        }
        match code.ir.handler(at) {
            Some(handler) => {
                let count = usize::from(code.ir.registers) - usize::from(handler.depth);
                w.clear(handler.depth, count);
                w.set(handler.register, error.0);
                pc = handler.target as usize;
            }
            None => return Err(error),
        }
    }
}
