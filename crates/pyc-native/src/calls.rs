//! Calls: machine code to machine code, classes with a Python `__init__`, and everything else through the window.
//!
//! The callee is what the program loaded at this moment. When it is a function with machine code that takes just these
//! arguments, they are passed as they are; a class that makes plain instances gets one made and its `__init__` called
//! the same way. Defaults, keywords, bound methods and native functions are the interpreter's `call_window`: one call
//! without the rest of an interpreted op.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use pyc_ir::{CompareOp, Field, Op, Role};
use pyc_runtime::Value as Object;
use pyc_runtime::native::calls::METHOD;
use pyc_runtime::native::{Helper, Known};

use crate::lanes::{Gen, LANE, Lane, NOTHING, WORD, constant, flags};
use crate::types::Ty;

/// The mark for the function that is running; see [`Ty::ITSELF`].
pub(crate) const ITSELF: i64 = 7 << 3 | 2;

/// Where the ways to a call's result meet, and where the window takes over.
#[derive(Clone, Copy)]
struct Ways {
    base: u16,
    count: u16,
    slow: Block,
    done: Block,
}

impl Ways {
    fn registers(self) -> std::ops::Range<u16> {
        self.base..self.base + 2 + self.count
    }
}

impl Gen<'_, '_> {
    pub fn call_op(&mut self, dst: u16, base: u16, count: u16, method: bool) {
        let (done, tag, float) = self.meeting(true);
        let slow = self.cold();
        let ways = Ways { base, count, slow, done };
        if let Some(known) = self.known_callee(base, method) {
            self.builtin(known, base, count, done);
        }
        self.box_arguments(ways);
        let callee = self.peek(base);
        if callee.ty.may(Ty::ITSELF) {
            self.call_itself(ways);
        }
        let callee = Lane { tag: self.tag(base), ..callee };
        if callee.ty.may(Ty::OTHER) {
            if !callee.ty.within(Ty::OBJECT) {
                let object = self.is_object(callee.tag);
                self.guard(object, slow);
            }
            let class = self.b.create_block();
            let function = self.has_kind(callee.tag, self.layout.kind_function);
            self.guard(function, class);
            self.call_function(ways, callee.tag, method);
            self.b.switch_to_block(class);
            let is_class = self.has_kind(callee.tag, self.layout.kind_type);
            self.guard(is_class, slow);
            self.call_class(ways, callee.tag, method);
        } else {
            self.goto(slow, &[]);
        }
        self.b.switch_to_block(slow);
        self.call_through_window(ways, method, None);
        self.b.switch_to_block(done);
        self.end_call(ways, dst, tag, float);
    }

    /// A call whose last arguments have names.
    pub fn call_names(&mut self, dst: u16, base: u16, count: u16, method: bool, names: u16) {
        let (done, tag, float) = self.meeting(true);
        let ways = Ways { base, count, slow: done, done };
        self.box_arguments(ways);
        let table = self.load_fixed(self.code_object, self.layout.code_consts);
        let names = self.load_fixed(table, i32::from(names) * 8);
        self.call_through_window(ways, method, Some(names));
        self.b.switch_to_block(done);
        self.end_call(ways, dst, tag, float);
    }

    fn end_call(&mut self, ways: Ways, dst: u16, tag: Value, float: Option<Value>) {
        for reg in ways.registers() {
            self.clear(reg);
        }
        let ty = if self.is_local(dst) { Ty::ANY } else { Ty::FRESH };
        self.set(dst, Lane { tag, float, ty, own: true });
    }

    /// Arguments become values: every way takes them so.
    fn box_arguments(&mut self, ways: Ways) {
        for reg in ways.registers() {
            let lane = self.peek(reg);
            if lane.ty.may(Ty::MARK) {
                let (boxed, _) = self.boxed(lane);
                self.b.def_var(self.tags[usize::from(reg)], boxed);
                self.now[usize::from(reg)] = lane.ty.without(Ty::MARK).or(Ty::FLOAT);
            }
        }
    }

    fn call_through_window(&mut self, ways: Ways, method: bool, names: Option<Value>) {
        let saved = self.now.clone();
        for reg in ways.registers() {
            let tag = self.tag(reg);
            self.b.ins().stack_store(I64, tag, self.window, i32::from(reg) * 8);
        }
        let word = u64::from(ways.count) | if method { METHOD } else { 0 };
        let word = self.int(word as i64);
        let place = self.b.ins().stack_addr(I64, self.window, i32::from(ways.base) * 8);
        self.note_pc();
        let results = match names {
            None => self.call(Helper::Call, &[place, word], &[], LANE),
            Some(names) => self.call(Helper::CallNames, &[place, word, names], &[], LANE),
        };
        for reg in ways.registers() {
            self.clear(reg);
        }
        let failed = self.equals(results[0], 0);
        self.check(failed);
        self.goto(ways.done, &[results[0], results[1]]);
        self.now = saved;
    }

    /// The registers whose values a function gets, and whether that has to be found out first: the second of a
    /// method's registers may be empty.
    fn argument_ways(&mut self, ways: Ways, method: bool) -> Vec<(Vec<u16>, Option<Block>)> {
        let Ways { base, count, .. } = ways;
        let this_ty = self.ty(base + 1);
        let without: Vec<u16> = (base + 2..base + 2 + count).collect();
        let with: Vec<u16> = (base + 1..base + 2 + count).collect();
        if !method || this_ty == Ty::EMPTY {
            return vec![(without, None)];
        }
        if !this_ty.may(Ty::EMPTY) {
            return vec![(with, None)];
        }
        let this = self.tag(base + 1);
        let (bare, bound) = (self.b.create_block(), self.b.create_block());
        let empty = self.equals(this, constant(&Object::UNBOUND));
        self.branch(empty, bare, bound);
        vec![(with, Some(bound)), (without, Some(bare))]
    }

    fn call_function(&mut self, ways: Ways, callee: Value, method: bool) {
        let code = self.load(callee, self.layout.function_code);
        let entry = self.load(code, self.layout.code_native);
        self.guard(entry, ways.slow);
        let simple = self.load(entry, self.layout.entry_simple);
        let saved = self.now.clone();
        for (registers, block) in self.argument_ways(ways, method) {
            if let Some(block) = block {
                self.b.switch_to_block(block);
            }
            let fits = self.equals(simple, registers.len() as i64);
            self.guard(fits, ways.slow);
            let direct = self.load(entry, self.layout.entry_direct);
            let results = self.call_direct(ways, direct, callee, &registers);
            self.drop_lane(callee, Ty::OTHER);
            let failed = self.equals(results[0], 0);
            self.check(failed);
            self.goto(ways.done, &[results[0], results[1]]);
            self.now.clone_from(&saved);
        }
    }

    /// Calls machine code with registers as arguments, which are empty then.
    fn call_direct(&mut self, ways: Ways, direct: Value, function: Value, registers: &[u16]) -> Vec<Value> {
        let mut words = vec![self.vm, function];
        for reg in registers {
            words.push(self.tag(*reg));
        }
        self.note_pc();
        let results = self.call_address(direct, &words, &[], LANE);
        for reg in ways.registers() {
            self.clear(reg);
        }
        results
    }

    /// The callee may be the function that is running: its code is this code.
    fn call_itself(&mut self, ways: Ways) {
        let Ways { base, count, done, .. } = ways;
        let (mark, other, same, replaced) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block(), self.cold());
        let tag = self.tag(base);
        let itself = self.equals(tag, ITSELF);
        self.branch(itself, mark, other);
        self.b.switch_to_block(mark);
        let code = self.load(self.function, self.layout.function_code);
        let unchanged = self.b.ins().icmp(IntCC::Equal, code, self.code_object);
        self.branch(unchanged, same, replaced);
        self.b.switch_to_block(same);
        let saved = self.now.clone();
        let entry = self.load_fixed(self.code_object, self.layout.code_native);
        let direct = self.load_fixed(entry, self.layout.entry_direct);
        let registers: Vec<u16> = (base + 2..base + 2 + count).collect();
        self.leaf(ways);
        let results = self.call_direct(ways, direct, self.function, &registers);
        let failed = self.equals(results[0], 0);
        self.check(failed);
        self.goto(done, &[results[0], results[1]]);
        self.now = saved;
        // Somebody has given it other code.
        self.b.switch_to_block(replaced);
        self.retain(self.function, Ty::OTHER);
        self.b.def_var(self.tags[usize::from(base)], self.function);
        self.goto(other, &[]);
        self.b.switch_to_block(other);
        self.now[usize::from(base)] = self.ty(base).without(Ty::ITSELF);
    }

    /// What this function does first, when that is to compare a parameter with a small number and to return at once: the
    /// caller does it and makes no frame. Goes on where the callee would.
    fn leaf(&mut self, ways: Ways) {
        let ops = &self.code.ops;
        let skip = |mut at: usize| {
            while matches!(ops.get(at), Some(Op::CheckLocal { .. })) {
                at += 1;
            }
            at
        };
        let first = skip(0);
        let Some(Op::JumpCompareInt { op, left, value, sense, target }) = ops.get(first).copied() else {
            return;
        };
        if left >= self.code.argcount || target as usize <= first {
            return;
        }
        let result = |at: usize| match (ops.get(skip(at)), ops.get(skip(at) + 1)) {
            (Some(Op::Return { src }), _) if *src < self.code.argcount => Some(Err(*src)),
            (Some(Op::Const { dst, value }), Some(Op::Return { src })) if dst == src => Some(Ok(*value)),
            (Some(Op::Copy { dst, src: from } | Op::Move { dst, src: from }), Some(Op::Return { src }))
                if dst == src && *from < self.code.argcount =>
            {
                Some(Err(*from))
            }
            _ => None,
        };
        let (taken, stayed) = (result(target as usize), result(first + 1));
        let (result, when) = match (taken, stayed) {
            (Some(result), _) => (result, sense),
            (_, Some(result)) => (result, !sense),
            _ => return,
        };
        let Ways { base, count, done, .. } = ways;
        let whole = self.b.create_block();
        let tested = self.peek(base + 2 + left);
        if !tested.ty.may(Ty::INT) {
            return;
        }
        if tested.ty != Ty::INT {
            let odd = self.is_odd(tested.tag);
            self.guard(odd, whole);
        }
        let condition = match op {
            CompareOp::Lt => IntCC::SignedLessThan,
            CompareOp::Le => IntCC::SignedLessThanOrEqual,
            CompareOp::Eq => IntCC::Equal,
            CompareOp::Ne => IntCC::NotEqual,
            CompareOp::Gt => IntCC::SignedGreaterThan,
            CompareOp::Ge => IntCC::SignedGreaterThanOrEqual,
        };
        let truth = self.b.ins().icmp_imm_s(condition, tested.tag, i64::from(value) << 1 | 1);
        if when {
            self.guard(truth, whole);
        } else {
            self.guard_not(truth, whole);
        }
        // The call counts one step and needs room for one frame.
        let left = self.load(self.vm, self.layout.vm_countdown);
        let left = self.b.ins().iadd_imm_s(left, -1);
        let enough = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, left, 0);
        self.guard(enough, whole);
        let limit = self.load(self.vm, self.layout.vm_recursion_limit);
        let depth = self.b.ins().iadd_imm_s(self.depth, 1);
        let room = self.b.ins().icmp(IntCC::UnsignedLessThan, depth, limit);
        self.guard(room, whole);
        self.store(self.vm, self.layout.vm_countdown, left);
        let saved = self.now.clone();
        let lane = match result {
            Ok(value) => self.constant_lane(value),
            Err(parameter) => {
                let lane = self.peek(base + 2 + parameter);
                self.clear(base + 2 + parameter);
                lane
            }
        };
        for reg in base + 2..base + 2 + count {
            let given = self.peek(reg);
            self.clear(reg);
            self.drop_lane(given.tag, given.ty);
        }
        let float = lane.float.unwrap_or_else(|| self.b.ins().f64const(0.0));
        self.goto(done, &[lane.tag, float]);
        self.now = saved;
        self.b.switch_to_block(whole);
    }

    /// A class whose instances are made by `object.__new__` and set up by a Python `__init__`.
    fn call_class(&mut self, ways: Ways, class: Value, method: bool) {
        let Ways { base, count, slow, done } = ways;
        if method && self.ty(base + 1) != Ty::EMPTY {
            let this = self.tag(base + 1);
            let empty = self.equals(this, constant(&Object::UNBOUND));
            self.guard(empty, slow);
        }
        let version = self.b.ins().load(I32, flags(), class, self.layout.type_version);
        let known = self.b.ins().load(I32, flags(), class, self.layout.type_constructor_version);
        let same = self.b.ins().icmp(IntCC::Equal, version, known);
        self.guard(same, slow);
        let init = self.load(class, self.layout.type_constructor);
        let code = self.load(init, self.layout.function_code);
        let entry = self.load(code, self.layout.code_native);
        self.guard(entry, slow);
        let simple = self.load(entry, self.layout.entry_simple);
        let fits = self.equals(simple, i64::from(count) + 1);
        self.guard(fits, slow);
        let direct = self.load(entry, self.layout.entry_direct);
        let saved = self.now.clone();
        // The class may lose its `__init__` while that runs.
        self.retain(init, Ty::OTHER);
        let made = self.call(Helper::Instance, &[class], &[], WORD)[0];
        self.retain(made, Ty::OTHER);
        let mut words = vec![self.vm, init, made];
        for reg in base + 2..base + 2 + count {
            words.push(self.tag(reg));
        }
        self.note_pc();
        let results = self.call_address(direct, &words, &[], LANE);
        for reg in ways.registers() {
            self.clear(reg);
        }
        self.drop_lane(init, Ty::OTHER);
        self.drop_lane(class, Ty::OTHER);
        let none = self.equals(results[0], constant(&Object::NONE));
        let odd = self.cold();
        self.guard(none, odd);
        let nothing = self.b.ins().f64const(0.0);
        self.goto(done, &[made, nothing]);
        self.b.switch_to_block(odd);
        let (bad, failed) = (self.cold(), self.cold());
        let raised = self.equals(results[0], 0);
        self.branch(raised, failed, bad);
        self.b.switch_to_block(bad);
        self.call(Helper::BadInit, &[results[0]], &[results[1]], NOTHING);
        self.goto(failed, &[]);
        self.b.switch_to_block(failed);
        self.call(Helper::Drop, &[made], &[], NOTHING);
        self.raise(false);
        self.now = saved;
    }

    /// The builtin that the callee of the present op is by its name; what it is in truth shows when it runs.
    pub fn known_callee(&self, base: u16, method: bool) -> Option<Known> {
        let before = &self.code.ops[..self.pc as usize];
        let made = before.iter().rev().find(|op| {
            let mut writes = false;
            op.fields(|name, field| match field {
                Field::Reg(role, reg) if role == Role::Def || name == "dst" => {
                    writes |= (reg..reg + op.def_count() as u16).contains(&base);
                }
                _ => {}
            });
            writes
        })?;
        let name = |index: u16| &*self.code.names[usize::from(index)];
        match *made {
            Op::LoadGlobal { name: index, .. } if !method => Known::of(name(index), false),
            Op::LoadMethod { dst, name: index, .. } if method && dst == base => Known::of(name(index), true),
            _ => None,
        }
    }
}
