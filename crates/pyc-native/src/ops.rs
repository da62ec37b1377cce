//! One op after the other.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData};
use pyc_ir::{BinaryOp, CompareOp, Const, Op};
use pyc_runtime::Value as Object;
use pyc_runtime::native::helpers::{GROW, OTHER};
use pyc_runtime::native::{Helper, MARK};

use crate::lanes::{Gen, Lane, NOTHING, constant};
use crate::types::{Ty, small};

impl Gen<'_, '_> {
    /// Translates an op; false when control does not go on after it.
    pub fn emit(&mut self, op: &Op) -> bool {
        match *op {
            Op::Const { dst, value } => {
                let lane = self.constant_lane(value);
                self.set(dst, lane);
            }
            Op::Move { dst, src } => {
                let lane = self.take(src);
                let lane = self.own(lane);
                self.set(dst, lane);
            }
            Op::Copy { dst, src } => {
                let lane = self.peek(src);
                let lane = self.own(lane);
                self.set(dst, lane);
            }
            Op::Drop { reg } => {
                let lane = self.peek(reg);
                self.clear(reg);
                self.drop_lane(lane.tag, lane.ty);
            }
            Op::CheckLocal { reg, .. } => {
                if self.ty(reg).may(Ty::EMPTY) {
                    let tag = self.tag(reg);
                    let empty = self.equals(tag, constant(&Object::UNBOUND));
                    let failed = self.cold();
                    self.guard_not(empty, failed);
                    let here = self.b.current_block();
                    self.b.switch_to_block(failed);
                    let saved = self.now.clone();
                    self.step_core(op, false);
                    self.exit_raised();
                    self.now = saved;
                    if let Some(here) = here {
                        self.b.switch_to_block(here);
                    }
                    self.now[usize::from(reg)] = self.ty(reg).without(Ty::EMPTY);
                }
            }
            Op::StoreGlobal { name, src } | Op::StoreName { name, src } => self.store_global(name, src),
            Op::LoadGlobal { dst, name, cache } | Op::LoadName { dst, name, cache } => {
                self.load_global(op, dst, name, cache)
            }
            Op::LoadCell { dst, cell, .. } => self.load_cell(op, dst, cell),
            Op::StoreCell { cell, src } => self.store_cell(op, cell, src),
            Op::EnterHandler { saved, exc } => self.enter_handler(saved, exc),
            Op::LeaveHandler { saved } => self.leave_handler(saved),
            Op::MatchException { dst, exc, kind } => self.match_exception(op, dst, exc, kind),
            Op::Add { dst, left, right } => self.arithmetic(BinaryOp::Add, false, dst, left, right),
            Op::Sub { dst, left, right } => self.arithmetic(BinaryOp::Sub, false, dst, left, right),
            Op::Mul { dst, left, right } => self.arithmetic(BinaryOp::Mul, false, dst, left, right),
            Op::Binary { dst, op, left, right } => self.arithmetic(op, false, dst, left, right),
            Op::InPlace { dst, op, left, right } => self.arithmetic(op, true, dst, left, right),
            Op::AddInt { dst, left, value } => self.arithmetic_small(BinaryOp::Add, dst, left, value),
            Op::SubInt { dst, left, value } => self.arithmetic_small(BinaryOp::Sub, dst, left, value),
            Op::Unary { dst, op, src } => {
                let a = self.take(src);
                let lane = self.emit_unary(op, a);
                self.set(dst, lane);
            }
            Op::Not { dst, src } => self.truth_value(dst, src, true),
            Op::ToBool { dst, src } => self.truth_value(dst, src, false),
            Op::Compare { dst, op, left, right } => {
                let (a, b) = (self.take(left), self.take(right));
                let lane = self.emit_compare(op, a, b);
                self.set(dst, lane);
            }
            Op::Is { dst, left, right, negate } => {
                let (a, b) = (self.take(left), self.take(right));
                let mut same = self.b.ins().icmp(IntCC::Equal, a.tag, b.tag);
                if let (Some(x), Some(y)) = (a.float, b.float) {
                    // Unboxed floats have no identity; equal bits are taken for the same object.
                    let x = self.b.ins().bitcast(I64, MemFlagsData::new(), x);
                    let y = self.b.ins().bitcast(I64, MemFlagsData::new(), y);
                    let bits = self.b.ins().icmp(IntCC::Equal, x, y);
                    let object = self.b.ins().icmp_imm_s(IntCC::NotEqual, a.tag, MARK as i64);
                    let either = self.b.ins().bor(bits, object);
                    same = self.b.ins().band(same, either);
                }
                if negate {
                    same = self.b.ins().bxor_imm_u(same, 1);
                }
                let tag = self.bool_tag(same);
                self.release(a);
                self.release(b);
                self.set(dst, Gen::fresh(tag, Ty::BOOL));
            }
            Op::Index { dst, obj, key } => self.index(op, dst, obj, key),
            Op::StoreIndex { obj, key, src } => self.store_index(op, obj, key, src),
            Op::Call { dst, base, count, method } => self.call_op(dst, base, count, method),
            Op::CallKw { dst, base, count, method, names } => {
                self.call_names(dst, base, count, method, names);
            }
            Op::LoadAttr { dst, obj, name, cache } => self.load_attr(op, dst, obj, name, cache),
            Op::LoadMethod { dst, obj, name, cache } => self.load_method(op, dst, obj, name, cache),
            Op::StoreAttr { obj, name, src, cache } => self.store_attr(op, obj, name, src, cache),
            Op::GetIter { dst, src } => self.get_iter(dst, src),
            Op::ForIter { dst, iter, target } => self.for_iter(dst, iter, target),
            Op::Contains { dst, item, container, negate } => self.contains(dst, item, container, negate),
            Op::BuildTuple { dst, base, count } => {
                self.build(Helper::BuildTuple, Ty::TUPLE, dst, base, count)
            }
            Op::BuildList { dst, base, count } => self.build(Helper::BuildList, Ty::LIST, dst, base, count),
            Op::BuildString { dst, base, count } => {
                self.build(Helper::BuildString, Ty::OTHER, dst, base, count)
            }
            Op::BuildSlice { dst, base } => {
                if !self.slice_and_index(dst, base) {
                    self.build_slice(dst, base);
                }
            }
            Op::ListAppend { list, src } => self.list_append(op, list, src),
            Op::Format { dst, src, conversion, spec } => self.format(dst, src, conversion, spec),
            Op::Unpack { dst, src, count } => self.unpack(op, dst, src, count),
            Op::Jump { target } => {
                self.jump(target);
                return false;
            }
            Op::JumpIf { cond, target } => self.jump_truth(cond, true, target),
            Op::JumpIfNot { cond, target } => self.jump_truth(cond, false, target),
            Op::JumpCompare { op, left, right, sense, target } => {
                let (a, b) = (self.take(left), self.take(right));
                self.jump_compare(op, a, b, sense, target);
            }
            Op::JumpCompareInt { op, left, value, sense, target } => {
                let a = self.take(left);
                let b = self.small(value);
                self.jump_compare(op, a, b, sense, target);
            }
            Op::JumpIfNone { src, target } => self.jump_if_tag(src, &Object::NONE, target),
            Op::JumpIfUnbound { src, target } => self.jump_if_tag(src, &Object::UNBOUND, target),
            Op::Return { src } => {
                self.return_op(src);
                return false;
            }
            Op::Yield { dst, src, .. } => self.yield_op(dst, src),
            Op::Send { iter, target, .. } => self.send(op, iter, target),
            Op::Raise { .. } => {
                self.step_core(op, false);
                self.exit_raised();
                return false;
            }
            Op::Reraise { .. } => {
                self.step_core(op, true);
                self.exit_raised();
                return false;
            }
            Op::EndAsyncFor { .. } => self.step(op, true),
            _ => self.step(op, false),
        }
        true
    }

    pub fn small(&mut self, value: i16) -> Lane {
        let tag = self.int(i64::from(value) << 1 | 1);
        Gen::fresh(tag, Ty::INT)
    }

    pub fn constant_lane(&mut self, index: u16) -> Lane {
        let word = |value: &Object, ty: Ty| (constant(value), ty);
        let (bits, ty) = match &self.code.consts[usize::from(index)] {
            Const::None => word(&Object::NONE, Ty::CONST),
            Const::Ellipsis => word(&Object::ELLIPSIS, Ty::CONST),
            Const::Bool(b) => word(&Object::from_bool(*b), Ty::BOOL),
            Const::Int(n) if small(*n) => (n << 1 | 1, Ty::INT),
            Const::Float(f) => {
                let float = self.b.ins().f64const(*f);
                return self.unboxed(float);
            }
            other => {
                let ty = if matches!(other, Const::Tuple(_)) { Ty::TUPLE } else { Ty::OTHER };
                let table = self.load(self.code_object, self.layout.code_consts);
                let tag = self.load(table, i32::from(index) * 8);
                self.retain(tag, ty);
                return Gen::fresh(tag, ty);
            }
        };
        let tag = self.int(bits);
        Gen::fresh(tag, ty)
    }

    fn arithmetic(&mut self, op: BinaryOp, in_place: bool, dst: u16, left: u16, right: u16) {
        let (a, b) = (self.take(left), self.take(right));
        // A text that only this register has may grow.
        let grows = op == BinaryOp::Add && left != right && (left == dst || a.own);
        if self.version_integers(op, if in_place { OTHER } else { 0 }, dst, a, b) {
            return;
        }
        let lane = self.emit_binary(op, in_place, a, b, if grows { GROW } else { 0 });
        self.set(dst, lane);
    }

    fn arithmetic_small(&mut self, op: BinaryOp, dst: u16, left: u16, value: i16) {
        let a = self.take(left);
        let b = self.small(value);
        if self.version_integers(op, 0, dst, a, b) {
            return;
        }
        let lane = self.emit_binary(op, false, a, b, 0);
        self.set(dst, lane);
    }

    fn truth_value(&mut self, dst: u16, src: u16, negate: bool) {
        let lane = self.take(src);
        let (yes, no, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let tag = self.b.append_block_param(done, I64);
        self.emit_truth(lane, yes, no);
        for (block, truth) in [(yes, !negate), (no, negate)] {
            self.b.switch_to_block(block);
            let value = self.int(constant(&Object::from_bool(truth)));
            self.goto(done, &[value]);
        }
        self.b.switch_to_block(done);
        self.set(dst, Gen::fresh(tag, Ty::BOOL));
    }

    // Jumps.

    /// Goes to an op; backwards counts a step.
    pub fn jump(&mut self, target: u32) {
        if target <= self.pc {
            self.tick();
            if self.turn(target) {
                return;
            }
        }
        let block = self.block_of(target);
        self.goto(block, &[]);
    }

    fn jump_truth(&mut self, cond: u16, sense: bool, target: u32) {
        let lane = self.take(cond);
        let (go, stay) = (self.b.create_block(), self.b.create_block());
        let (yes, no) = if sense { (go, stay) } else { (stay, go) };
        self.emit_truth(lane, yes, no);
        self.b.switch_to_block(go);
        self.jump(target);
        self.b.switch_to_block(stay);
    }

    fn jump_compare(&mut self, op: CompareOp, a: Lane, b: Lane, sense: bool, target: u32) {
        let (go, stay) = (self.b.create_block(), self.b.create_block());
        let (yes, no) = if sense { (go, stay) } else { (stay, go) };
        self.emit_compare_jump(op, a, b, yes, no);
        self.b.switch_to_block(go);
        self.jump(target);
        self.b.switch_to_block(stay);
    }

    fn jump_if_tag(&mut self, src: u16, value: &Object, target: u32) {
        let tag = self.tag(src);
        let same = self.equals(tag, constant(value));
        let (go, stay) = (self.b.create_block(), self.b.create_block());
        self.branch(same, go, stay);
        self.b.switch_to_block(go);
        self.jump(target);
        self.b.switch_to_block(stay);
    }

    /// Takes the frame off and drops what the registers hold.
    pub fn leave(&mut self, registers: impl Iterator<Item = u16>) {
        self.store(self.vm, self.layout.vm_top, self.below);
        self.store(self.vm, self.layout.vm_depth, self.depth);
        let marks = self.b.ins().stack_load(I64, I32, self.frame, self.layout.frame_flags);
        let (cold, done) = (self.cold(), self.b.create_block());
        self.branch(marks, cold, done);
        self.b.switch_to_block(cold);
        let frame = self.frame_address();
        self.call(Helper::Leave, &[frame], &[], NOTHING);
        self.goto(done, &[]);
        self.b.switch_to_block(done);
        for reg in registers {
            let ty = self.ty(reg);
            if ty.may(Ty::OBJECT) {
                let tag = self.tag(reg);
                self.drop_lane(tag, ty);
            }
        }
    }

    fn return_op(&mut self, src: u16) {
        let lane = self.peek(src);
        // The frame ends: also a local moves.
        let borrowed = self.is_local(src) && !self.owns(src);
        let lane = if borrowed { self.own(lane) } else { lane };
        if !borrowed {
            self.clear(src);
        }
        let registers: Vec<u16> = self.owned_registers();
        self.leave(registers.into_iter());
        let float = match lane.float {
            Some(float) => float,
            None => self.b.ins().f64const(0.0),
        };
        self.b.ins().return_(&[lane.tag, float]);
    }

    /// Whether the register's reference is the frame's; cells from outside belong to the function's closure.
    pub fn owns(&self, reg: u16) -> bool {
        let first = self.code.locals.len() + self.code.cells.len();
        !(first..first + self.code.frees.len()).contains(&usize::from(reg))
    }

    pub fn owned_registers(&self) -> Vec<u16> {
        (0..self.code.registers).filter(|reg| self.owns(*reg)).collect()
    }
}
