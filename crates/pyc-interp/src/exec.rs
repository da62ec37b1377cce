//! The loop: the ops that programs spend their time in. Everything else is a call away, so that the loop's own
//! state stays in machine registers: names, imports and definitions (`names`), containers and patterns (`build`),
//! exceptions (`raising`), awaiting (`suspend`), operators on anything but numbers (`operators`).

use pyc_ir::{BinaryOp, CompareOp, NO_REG, Op};
use pyc_runtime::containers::{ListData, TupleData};
use pyc_runtime::function::{CellData, CodeData, FunctionData};
use pyc_runtime::iterators::{ListIter, RangeIter};
use pyc_runtime::ops::{compare_floats, compare_with};
use pyc_runtime::registers::Window;
use pyc_runtime::{Args, Kind, PyResult, Raised, Value, Vm};

use crate::steps::{empty_cell, index, unbound, unpack};
use crate::{access, build, call, names, operators, raising, suspend};

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
    /// One op was run; the next one's place.
    Next(u32),
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

pub(crate) fn cell(value: &Value) -> &CellData {
    value.get::<CellData>().expect("lowering puts cells here")
}

/// Where a thrown exception or a failed op leads: the handler's first op, or out of the frame.
#[inline(never)]
fn handle(vm: &Vm, frame: &Frame, at: u32, error: Raised) -> PyResult<usize> {
    if vm.terminating.get() {
        return Err(error);
    }
    let (code, w) = (frame.code, frame.window);
    if !matches!(code.ir.ops[at as usize], Op::Reraise { .. } | Op::EndAsyncFor { .. }) {
        let object = vm.frames.borrow().last().and_then(|f| f.object.clone()).unwrap_or(Value::NONE);
        vm.add_traceback(&error.0, frame.code_value, frame.globals, at, object);
    }
    match code.ir.handler(at) {
        Some(handler) => {
            w.clear(handler.depth, usize::from(code.registers) - usize::from(handler.depth));
            w.set(handler.register, error.0);
            Ok(handler.target as usize)
        }
        None => Err(error),
    }
}

/// Runs a frame from an op on, or, with `STEP`, the one op of a machine frame. `generator`: it may be suspended; `namespace`: of modules and class bodies.
pub(crate) fn run<const STEP: bool>(
    vm: &Vm,
    frame: &Frame,
    start: u32,
    mut generator: Option<&mut Suspended>,
    namespace: &Value,
) -> PyResult<Exit> {
    let code = frame.code;
    let w = frame.window;
    let ops = code.ir.ops.as_slice();
    let temps = code.temporaries;
    let mut pc = start as usize;
    if !STEP {
        vm.tick()?;
    }
    if let Some(error) = generator.as_mut().and_then(|g| g.thrown.take()) {
        if start == 0 {
            // Thrown into a generator that has not started: no handler is open yet.
            return Err(error);
        }
        vm.set_context(&error.0);
        // It arises at the yield itself.
        pc = handle(vm, frame, start - 1, error)?;
    }
    crate::steps::register_macros!(w, temps);
    loop {
        let error: Raised = 'failed: {
            macro_rules! tri {
                ($result:expr) => {
                    match $result {
                        Ok(value) => value,
                        Err(error) => break 'failed error,
                    }
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
            // Numbers here, everything else out of line. A float that only this frame refers to is overwritten.
            macro_rules! arithmetic {
                ($dst:expr, $left:expr, $right:expr, $slow:expr, $int:expr, $float:expr) => {{
                    let (a, b) = (w.get($left), w.get($right));
                    if let Some((x, y)) = a.both_small(b)
                        && let Some(value) = $int(x, y)
                    {
                        w.set($dst, value);
                    } else if let (Some(x), Some(y)) = (a.exact::<f64>(), b.exact::<f64>()) {
                        let result: f64 = $float(*x, *y);
                        if ($left >= temps || $left == $dst) && a.reuse_float(result) {
                            if $left != $dst {
                                let value = w.take($left);
                                w.set($dst, value);
                            }
                        } else if $right >= temps && b.reuse_float(result) {
                            let value = w.take($right);
                            w.set($dst, value);
                        } else {
                            w.set($dst, vm.float(result));
                        }
                        if $right >= temps && $right != $dst {
                            release!($right);
                        }
                        if $left >= temps && $left != $dst {
                            release!($left);
                        }
                    } else {
                        tri!($slow);
                    }
                }};
            }
            loop {
                let op = &ops[pc];
                if !STEP {
                    vm.pc.set(pc as u32);
                }
                pc += 1;
                match *op {
                    Op::Const { dst, value } => w.set(dst, code.constant(value).clone()),
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
                            break 'failed unbound(vm, code.name(name));
                        }
                    }
                    Op::LoadCell { dst, cell: reg, name } => {
                        let held = cell(w.get(reg)).0.borrow().clone();
                        match held {
                            Some(value) => w.set(dst, value),
                            None => break 'failed empty_cell(vm, code, reg, code.name(name)),
                        }
                    }
                    Op::StoreCell { cell: reg, src } => {
                        let value = consume!(src);
                        let old = cell(w.get(reg)).0.replace(Some(value));
                        drop(old);
                    }
                    Op::LoadGlobal { dst, name, cache } => {
                        let value =
                            match access::known_global(code, frame.globals, frame.builtins, name, cache) {
                                Some(value) => value,
                                None => {
                                    let name = code.name(name);
                                    tri!(access::find_global(
                                        vm,
                                        code,
                                        frame.globals,
                                        frame.builtins,
                                        name,
                                        cache
                                    ))
                                }
                            };
                        w.set(dst, value);
                    }
                    Op::LoadAttr { dst, obj, name, cache } => {
                        let value = match access::known_attr(vm, code, w.get(obj), cache) {
                            Some(value) => value,
                            None => tri!(access::load_attr(vm, code, w.get(obj), code.name(name), cache)),
                        };
                        release!(obj);
                        w.set(dst, value);
                    }
                    Op::LoadMethod { dst, obj, name, cache } => {
                        if let Some(function) = access::known_method(vm, code, w.get(obj), cache) {
                            let this = consume!(obj);
                            w.set(dst, function);
                            w.set(dst + 1, this);
                        } else {
                            let name = code.name(name);
                            let (function, this) =
                                tri!(access::load_method(vm, code, w.get(obj), name, cache));
                            release!(obj);
                            w.set(dst, function);
                            w.set(dst + 1, this);
                        }
                    }
                    Op::StoreAttr { obj, name, src, cache } => {
                        let value = consume!(src);
                        tri!(access::store_attr(vm, code, w.get(obj), name, value, cache));
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
                    Op::Add { dst, left, right } => {
                        arithmetic!(
                            dst,
                            left,
                            right,
                            operators::add(vm, w, temps, dst, left, right),
                            |x: i64, y: i64| Value::small(x + y),
                            |x, y| x + y
                        )
                    }
                    Op::Sub { dst, left, right } => {
                        arithmetic!(
                            dst,
                            left,
                            right,
                            operators::binary(vm, w, temps, BinaryOp::Sub, (dst, left, right)),
                            |x: i64, y: i64| Value::small(x - y),
                            |x, y| x - y
                        )
                    }
                    Op::Mul { dst, left, right } => {
                        arithmetic!(
                            dst,
                            left,
                            right,
                            operators::binary(vm, w, temps, BinaryOp::Mul, (dst, left, right)),
                            |x: i64, y: i64| x.checked_mul(y).and_then(Value::small),
                            |x, y| x * y
                        )
                    }
                    Op::AddInt { dst, left, value } => {
                        let sum = w.get(left).as_small().and_then(|x| Value::small(x + i64::from(value)));
                        match sum {
                            Some(sum) => w.set(dst, sum),
                            None => {
                                tri!(operators::with_int(vm, w, temps, BinaryOp::Add, dst, left, value))
                            }
                        }
                    }
                    Op::SubInt { dst, left, value } => {
                        let sum = w.get(left).as_small().and_then(|x| Value::small(x - i64::from(value)));
                        match sum {
                            Some(sum) => w.set(dst, sum),
                            None => {
                                tri!(operators::with_int(vm, w, temps, BinaryOp::Sub, dst, left, value))
                            }
                        }
                    }
                    Op::Binary { dst, op, left, right } => {
                        let quick = match w.get(left).both_small(w.get(right)) {
                            Some((x, y)) => match op {
                                BinaryOp::And => Value::small(x & y),
                                BinaryOp::Or => Value::small(x | y),
                                BinaryOp::Xor => Value::small(x ^ y),
                                BinaryOp::Mod if y > 0 => Value::small(x.rem_euclid(y)),
                                BinaryOp::FloorDiv if y > 0 => Value::small(x.div_euclid(y)),
                                BinaryOp::RShift if (0..63).contains(&y) => Value::small(x >> y),
                                _ => None,
                            },
                            None => None,
                        };
                        match quick {
                            Some(value) => w.set(dst, value),
                            None => tri!(operators::binary(vm, w, temps, op, (dst, left, right))),
                        }
                    }
                    Op::InPlace { dst, op, left, right } => match op {
                        BinaryOp::Add => arithmetic!(
                            dst,
                            left,
                            right,
                            operators::in_place(vm, w, temps, op, (dst, left, right)),
                            |x: i64, y: i64| Value::small(x + y),
                            |x, y| x + y
                        ),
                        BinaryOp::Sub => arithmetic!(
                            dst,
                            left,
                            right,
                            operators::in_place(vm, w, temps, op, (dst, left, right)),
                            |x: i64, y: i64| Value::small(x - y),
                            |x, y| x - y
                        ),
                        _ => tri!(operators::in_place(vm, w, temps, op, (dst, left, right))),
                    },
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
                        match quick_compare(op, w.get(left), w.get(right)) {
                            Some(truth) => {
                                release!(left);
                                release!(right);
                                w.set(dst, Value::from_bool(truth));
                            }
                            None => tri!(operators::compare(vm, w, temps, op, (dst, left, right))),
                        }
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
                        let tuple = vm.tuple_of(usize::from(count), (0..count).map(|i| w.take(base + i)));
                        w.set(dst, tuple);
                    }
                    Op::BuildList { dst, base, count } => {
                        let items = (0..count).map(|i| w.take(base + i)).collect();
                        w.set(dst, vm.list(items));
                    }
                    Op::ListAppend { list, src } => {
                        let value = consume!(src);
                        if let Some(items) = w.get(list).get::<ListData>() {
                            items.borrow_mut().push(value);
                        }
                    }
                    Op::Unpack { dst, src, count } => {
                        tri!(unpack(vm, w, dst, src, usize::from(count), temps));
                    }
                    Op::Call { dst, base, count, method } => {
                        let callee = w.get(base);
                        let bound = method && !w.get(base + 1).is_unbound();
                        let (first, total) = if bound {
                            (base + 1, usize::from(count) + 1)
                        } else {
                            (base + 2, usize::from(count))
                        };
                        if let Some(function) = callee.get::<FunctionData>()
                            && let Some(result) = call::moving(vm, function, None, w, first, total)
                        {
                            // The arguments were moved: nothing but the callee is left.
                            let value = tri!(result);
                            if dst != base {
                                drop(w.take(base));
                            }
                            w.set(dst, value);
                        } else {
                            let value = tri!(call::anything(vm, callee, w, first, total));
                            w.clear(base, 2 + usize::from(count));
                            w.set(dst, value);
                        }
                    }
                    Op::CallKw { dst, base, count, method, names } => {
                        let bound = method && !w.get(base + 1).is_unbound();
                        let (first, total) = if bound {
                            (base + 1, usize::from(count) + 1)
                        } else {
                            (base + 2, usize::from(count))
                        };
                        let words = code.constant(names).get::<TupleData>().map_or(&[][..], TupleData::items);
                        let args = Args { all: w.slice(first, total), names: words };
                        let value = tri!(vm.call(w.get(base), args));
                        w.clear(base, 2 + usize::from(count));
                        w.set(dst, value);
                    }
                    Op::GetIter { dst, src } => {
                        let iterator = tri!(operators::get_iter(vm, w.get(src)));
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
                        let truth = match quick_compare(op, w.get(left), w.get(right)) {
                            Some(truth) => {
                                release!(left);
                                release!(right);
                                truth
                            }
                            None => tri!(operators::compare_true(vm, w, temps, op, left, right)),
                        };
                        if truth == sense {
                            jump!(target);
                        }
                    }
                    Op::JumpCompareInt { op, left, value, sense, target } => {
                        let truth = match w.get(left).as_small() {
                            Some(x) => compare_with(op, x.cmp(&i64::from(value))),
                            None => tri!(operators::compare_int(vm, w, temps, op, left, value)),
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
                            let pc = pc as u32;
                            *g = Suspended { pc, sent_register: dst, delegate: NO_REG, thrown: None };
                        }
                        return Ok(Exit::Yield(value));
                    }
                    Op::DeleteLocal { .. }
                    | Op::MakeCell { .. }
                    | Op::DeleteCell { .. }
                    | Op::LoadClassCell { .. }
                    | Op::StoreGlobal { .. }
                    | Op::DeleteGlobal { .. }
                    | Op::LoadName { .. }
                    | Op::StoreName { .. }
                    | Op::DeleteName { .. }
                    | Op::LoadLocals { .. }
                    | Op::DeleteAttr { .. }
                    | Op::DeleteIndex { .. }
                    | Op::SetupAnnotations { .. }
                    | Op::LoadBuildClass { .. }
                    | Op::Import { .. }
                    | Op::ImportFrom { .. }
                    | Op::ImportStar { .. }
                    | Op::MakeFunction { .. }
                    | Op::LoadAssertionError { .. } => {
                        if let Some(target) = tri!(names::step(vm, frame, namespace, op)) {
                            pc = target as usize;
                        }
                    }
                    Op::BuildSlice { .. }
                    | Op::BuildSet { .. }
                    | Op::BuildDict { .. }
                    | Op::BuildString { .. }
                    | Op::ListExtend { .. }
                    | Op::SetAdd { .. }
                    | Op::SetUpdate { .. }
                    | Op::DictSet { .. }
                    | Op::DictUpdate { .. }
                    | Op::DictMerge { .. }
                    | Op::ListToTuple { .. }
                    | Op::StarArgs { .. }
                    | Op::Format { .. }
                    | Op::UnpackStar { .. }
                    | Op::CallEx { .. }
                    | Op::MatchSequence { .. }
                    | Op::MatchMapping { .. }
                    | Op::MatchKeys { .. }
                    | Op::MatchClass { .. }
                    | Op::Len { .. }
                    | Op::DictWithout { .. }
                    | Op::Intrinsic { .. } => {
                        if let Some(target) = tri!(build::step(vm, frame, op)) {
                            pc = target as usize;
                        }
                    }
                    Op::Raise { .. }
                    | Op::Reraise { .. }
                    | Op::EnterHandler { .. }
                    | Op::LeaveHandler { .. }
                    | Op::MatchException { .. }
                    | Op::MatchGroup { .. }
                    | Op::JoinGroup { .. }
                    | Op::LoadSpecial { .. }
                    | Op::WithExit { .. } => {
                        if let Some(target) = tri!(raising::step(vm, frame, op)) {
                            pc = target as usize;
                        }
                    }
                    Op::GetYieldFromIter { .. }
                    | Op::GetAwaitable { .. }
                    | Op::Send { .. }
                    | Op::GetAsyncIter { .. }
                    | Op::GetAsyncNext { .. }
                    | Op::EndAsyncFor { .. } => {
                        if let Some(target) = tri!(suspend::step(vm, frame, op)) {
                            pc = target as usize;
                        }
                    }
                }
                if STEP {
                    return Ok(Exit::Next(pc as u32));
                }
            }
        };
        if STEP {
            return Err(error);
        }
        pc = handle(vm, frame, (pc - 1) as u32, error)?;
    }
}
