//! Numbers: operators and comparisons with their quick cases in place.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F64, I64};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, InstructionData, Opcode, Value};
use pyc_ir::{BinaryOp, CompareOp, UnaryOp};
use pyc_runtime::Value as Object;
use pyc_runtime::native::helpers::{OTHER, OWN_A, OWN_B};
use pyc_runtime::native::{Helper, MARK};

use crate::lanes::{Gen, LANE, Lane, WORD, constant};
use crate::types::{Ty, binary, compare, unary};

/// Integers up to here are floats without loss.
const EXACT: i64 = 1 << 53;

impl Gen<'_, '_> {
    /// The integer of a tag that is one.
    pub fn untag(&mut self, tag: Value) -> Value {
        self.b.ins().sshr_imm_u(tag, 1)
    }

    /// The tag of an integer that fits.
    pub fn retag(&mut self, n: Value) -> Value {
        let shifted = self.b.ins().ishl_imm_u(n, 1);
        self.b.ins().bor_imm_u(shifted, 1)
    }

    /// The lane as a float, or away to `no`. With `exact`, integers that a float cannot hold go to `no` too.
    fn number(&mut self, lane: Lane, exact: bool, no: Block) -> Value {
        let ty = lane.ty;
        if let (Ty::MARK, Some(float)) = (ty, lane.float) {
            return float;
        }
        let done = self.b.create_block();
        let merged = self.b.append_block_param(done, F64);
        if let (true, Some(float)) = (ty.may(Ty::MARK), lane.float) {
            let mark = self.equals(lane.tag, MARK as i64);
            let next = self.b.create_block();
            self.b.ins().brif(mark, done, &[BlockArg::from(float)], next, &[]);
            self.b.switch_to_block(next);
        }
        if ty.may(Ty::FLOAT) {
            let next = self.b.create_block();
            if !ty.within(Ty::OBJECT) {
                let object = self.is_object(lane.tag);
                self.guard(object, next);
            }
            if !ty.within(Ty::FLOAT) {
                let float = self.is_exactly(lane.tag, self.layout.kind_float);
                self.guard(float, if ty.within(Ty::OBJECT) { next } else { no });
            }
            let float = self.b.ins().load(F64, crate::lanes::flags(), lane.tag, self.layout.float_value);
            self.goto(done, &[float]);
            self.b.switch_to_block(next);
        }
        if ty.may(Ty::INT) {
            if ty != Ty::INT {
                let odd = self.is_odd(lane.tag);
                self.guard(odd, no);
            }
            let n = self.untag(lane.tag);
            if exact {
                let shifted = self.b.ins().iadd_imm_s(n, EXACT);
                let fits = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, shifted, 2 * EXACT);
                self.guard(fits, no);
            }
            let float = self.b.ins().fcvt_from_sint(F64, n);
            self.goto(done, &[float]);
        } else {
            self.goto(no, &[]);
        }
        self.b.switch_to_block(done);
        merged
    }

    /// An operator on two tags that are integers; away to `slow` when the result is none in the quick way.
    pub fn integers(&mut self, op: BinaryOp, a: Value, b: Value, slow: Block) -> Option<Value> {
        Some(match op {
            BinaryOp::Add => {
                let b = self.b.ins().iadd_imm_s(b, -1);
                let (sum, over) = self.b.ins().sadd_overflow(a, b);
                self.guard_not(over, slow);
                sum
            }
            BinaryOp::Sub => {
                let b = self.b.ins().iadd_imm_s(b, -1);
                let (difference, over) = self.b.ins().ssub_overflow(a, b);
                self.guard_not(over, slow);
                difference
            }
            BinaryOp::Mul => {
                let a = self.b.ins().iadd_imm_s(a, -1);
                let b = self.untag(b);
                let (product, over) = self.b.ins().smul_overflow(a, b);
                self.guard_not(over, slow);
                self.b.ins().bor_imm_u(product, 1)
            }
            BinaryOp::FloorDiv | BinaryOp::Mod => {
                if let Some(n) = self.known_int(b).filter(|n| *n > 0) {
                    return Some(self.divided(op, a, n));
                }
                let (x, y) = (self.untag(a), self.untag(b));
                // 0 raises and -1 may overflow.
                let shifted = self.b.ins().iadd_imm_s(y, 1);
                let fine = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, shifted, 1);
                self.guard(fine, slow);
                let quotient = self.b.ins().sdiv(x, y);
                let product = self.b.ins().imul(quotient, y);
                let rest = self.b.ins().isub(x, product);
                let zero = self.equals(rest, 0);
                let signs = self.b.ins().bxor(rest, y);
                let same = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, signs, 0);
                let keep = self.b.ins().bor(zero, same);
                if op == BinaryOp::Mod {
                    let other = self.b.ins().iadd(rest, y);
                    let rest = self.b.ins().select(keep, rest, other);
                    return Some(self.retag(rest));
                }
                let other = self.b.ins().iadd_imm_s(quotient, -1);
                let quotient = self.b.ins().select(keep, quotient, other);
                self.retag(quotient)
            }
            BinaryOp::And => self.b.ins().band(a, b),
            BinaryOp::Or => self.b.ins().bor(a, b),
            BinaryOp::Xor => {
                let bits = self.b.ins().bxor(a, b);
                self.b.ins().bor_imm_u(bits, 1)
            }
            BinaryOp::RShift | BinaryOp::LShift => {
                let count = self.untag(b);
                let fits = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, count, 62);
                self.guard(fits, slow);
                if op == BinaryOp::RShift {
                    let n = self.untag(a);
                    let shifted = self.b.ins().sshr(n, count);
                    return Some(self.retag(shifted));
                }
                let n = self.b.ins().iadd_imm_s(a, -1);
                let shifted = self.b.ins().ishl(n, count);
                let back = self.b.ins().sshr(shifted, count);
                let same = self.b.ins().icmp(IntCC::Equal, back, n);
                self.guard(same, slow);
                self.b.ins().bor_imm_u(shifted, 1)
            }
            BinaryOp::Div => {
                let (x, y) = (self.untag(a), self.untag(b));
                let _ = (x, y);
                return None;
            }
            BinaryOp::Pow | BinaryOp::MatMul => return None,
        })
    }

    /// The integer of a tag that the code itself says.
    fn known_int(&self, tag: Value) -> Option<i64> {
        let tag = self.b.func.dfg.resolve_aliases(tag);
        let inst = self.b.func.dfg.value_def(tag).inst()?;
        match self.b.func.dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } if imm.bits() & 1 == 1 => {
                Some(imm.bits() >> 1)
            }
            _ => None,
        }
    }

    /// Floor division or modulo of an integer's tag by a positive constant.
    fn divided(&mut self, op: BinaryOp, a: Value, n: i64) -> Value {
        let x = self.untag(a);
        if n & (n - 1) == 0 {
            if op == BinaryOp::Mod {
                return self.b.ins().band_imm_s(a, (n - 1) << 1 | 1);
            }
            let quotient = self.b.ins().sshr_imm_u(x, i64::from(n.trailing_zeros()));
            return self.retag(quotient);
        }
        let y = self.int(n);
        let quotient = self.b.ins().sdiv(x, y);
        let product = self.b.ins().imul(quotient, y);
        let rest = self.b.ins().isub(x, product);
        // All ones where the rest is negative.
        let negative = self.b.ins().sshr_imm_u(rest, 63);
        if op == BinaryOp::Mod {
            let more = self.b.ins().band(negative, y);
            let rest = self.b.ins().iadd(rest, more);
            return self.retag(rest);
        }
        let quotient = self.b.ins().iadd(quotient, negative);
        self.retag(quotient)
    }

    /// An operator on two floats; away to `slow` for those that raise.
    fn floats(&mut self, op: BinaryOp, a: Value, b: Value, slow: Block) -> Option<Value> {
        Some(match op {
            BinaryOp::Add => self.b.ins().fadd(a, b),
            BinaryOp::Sub => self.b.ins().fsub(a, b),
            BinaryOp::Mul => self.b.ins().fmul(a, b),
            BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Mod => {
                let zero = self.b.ins().f64const(0.0);
                let fine = self.b.ins().fcmp(FloatCC::NotEqual, b, zero);
                self.guard(fine, slow);
                match op {
                    BinaryOp::Div => self.b.ins().fdiv(a, b),
                    BinaryOp::FloorDiv => self.call_plain(Helper::FloorDiv, &[a, b]),
                    _ => self.call_plain(Helper::Mod, &[a, b]),
                }
            }
            BinaryOp::Pow => {
                // Not positive, or a result out of range: exceptions and complex numbers.
                let zero = self.b.ins().f64const(0.0);
                let infinite = self.b.ins().f64const(f64::INFINITY);
                let positive = self.b.ins().fcmp(FloatCC::GreaterThan, a, zero);
                self.guard(positive, slow);
                let result = self.call_plain(Helper::Pow, &[a, b]);
                let fine = self.b.ins().fcmp(FloatCC::LessThan, result, infinite);
                self.guard(fine, slow);
                result
            }
            _ => return None,
        })
    }

    /// A binary operator on lanes that the op took; `grow` is for the helper.
    pub fn emit_binary(&mut self, op: BinaryOp, in_place: bool, a: Lane, b: Lane, grow: u64) -> Lane {
        let ty = binary(op, a.ty, b.ty);
        let done = self.b.create_block();
        let tag = self.b.append_block_param(done, I64);
        let float = ty.may(Ty::MARK).then(|| self.b.append_block_param(done, F64));
        let slow = self.cold();
        let arithmetic = !matches!(op, BinaryOp::Pow | BinaryOp::MatMul | BinaryOp::Div);
        if arithmetic && a.ty.may(Ty::INT) && b.ty.may(Ty::INT) && ty.may(Ty::INT) {
            let other = self.b.create_block();
            match (a.ty == Ty::INT, b.ty == Ty::INT) {
                (true, true) => {}
                (true, false) => {
                    let odd = self.is_odd(b.tag);
                    self.guard(odd, other);
                }
                (false, true) => {
                    let odd = self.is_odd(a.tag);
                    self.guard(odd, other);
                }
                (false, false) => {
                    let both = self.b.ins().band(a.tag, b.tag);
                    let odd = self.is_odd(both);
                    self.guard(odd, other);
                }
            }
            if let Some(result) = self.integers(op, a.tag, b.tag, slow) {
                if float.is_some() {
                    let nothing = self.b.ins().f64const(0.0);
                    self.goto(done, &[result, nothing]);
                } else {
                    self.goto(done, &[result]);
                }
            }
            self.b.switch_to_block(other);
        }
        let floaty = |ty: Ty| ty.may(Ty::MARK.or(Ty::FLOAT));
        let bits = matches!(
            op,
            BinaryOp::And
                | BinaryOp::Or
                | BinaryOp::Xor
                | BinaryOp::LShift
                | BinaryOp::RShift
                | BinaryOp::MatMul
        );
        let division = op == BinaryOp::Div && a.ty.may(Ty::INT) && b.ty.may(Ty::INT);
        if let Some(_) = float
            && !bits
            && (floaty(a.ty) || floaty(b.ty) || division)
        {
            // Integers divide as floats when nothing is lost.
            let x = self.number(a, op == BinaryOp::Div && !b.ty.within(Ty::MARK), slow);
            let y = self.number(b, op == BinaryOp::Div && !a.ty.within(Ty::MARK), slow);
            // Both integers never get here with operators that have a case above.
            if op == BinaryOp::Pow && a.ty.may(Ty::INT) && b.ty.may(Ty::INT) {
                let both = self.b.ins().band(a.tag, b.tag);
                let odd = self.is_odd(both);
                self.guard_not(odd, slow);
            }
            if let Some(result) = self.floats(op, x, y, slow) {
                for lane in [a, b] {
                    if lane.own && lane.ty.may(Ty::FLOAT) {
                        self.drop_lane(lane.tag, lane.ty);
                    }
                }
                let mark = self.int(MARK as i64);
                self.goto(done, &[mark, result]);
            } else {
                self.goto(slow, &[]);
            }
        } else {
            self.goto(slow, &[]);
        }
        self.b.switch_to_block(slow);
        let other = if in_place { OTHER | grow } else { grow };
        let result = self.slow_numbers(Helper::Binary, op as u64 | other, a, b);
        match float {
            Some(_) => self.goto(done, &[result.0, result.1]),
            None => self.goto(done, &[result.0]),
        }
        self.b.switch_to_block(done);
        if ty == Ty::MARK {
            let tag = self.int(MARK as i64);
            return Lane { tag, float, ty, own: true };
        }
        Lane { tag, float, ty, own: true }
    }

    /// Calls a helper for two operands and checks for an exception.
    pub fn slow_numbers(&mut self, helper: Helper, word: u64, a: Lane, b: Lane) -> (Value, Value) {
        let word = word | if a.own { OWN_A } else { 0 } | if b.own { OWN_B } else { 0 };
        let word = self.int(word as i64);
        let nothing = self.b.ins().f64const(0.0);
        let (x, y) = (a.float.unwrap_or(nothing), b.float.unwrap_or(nothing));
        self.note_pc();
        let result = self.call(helper, &[word, a.tag, b.tag], &[x, y], LANE);
        let failed = self.equals(result[0], 0);
        self.check(failed);
        (result[0], result[1])
    }

    pub fn emit_unary(&mut self, op: UnaryOp, a: Lane) -> Lane {
        let ty = unary(op, a.ty);
        let done = self.b.create_block();
        let tag = self.b.append_block_param(done, I64);
        let float = self.b.append_block_param(done, F64);
        let slow = self.cold();
        let nothing = self.b.ins().f64const(0.0);
        if a.ty.may(Ty::INT) && ty.may(Ty::INT) {
            let other = self.b.create_block();
            if a.ty != Ty::INT {
                let odd = self.is_odd(a.tag);
                self.guard(odd, other);
            }
            let result = match op {
                UnaryOp::Neg => {
                    let two = self.int(2);
                    let (result, over) = self.b.ins().ssub_overflow(two, a.tag);
                    self.guard_not(over, slow);
                    result
                }
                UnaryOp::Pos => a.tag,
                UnaryOp::Invert => self.b.ins().ineg(a.tag),
            };
            self.goto(done, &[result, nothing]);
            self.b.switch_to_block(other);
        }
        if let (Some(x), true) = (a.float, op == UnaryOp::Neg && ty.may(Ty::MARK)) {
            if a.ty != Ty::MARK {
                let mark = self.equals(a.tag, MARK as i64);
                self.guard(mark, slow);
            }
            let result = self.b.ins().fneg(x);
            let mark = self.int(MARK as i64);
            self.goto(done, &[mark, result]);
        } else {
            self.goto(slow, &[]);
        }
        self.b.switch_to_block(slow);
        let word = self.int((op as u64 | if a.own { OWN_A } else { 0 }) as i64);
        self.note_pc();
        let result = self.call(Helper::Unary, &[word, a.tag], &[a.float.unwrap_or(nothing)], LANE);
        let failed = self.equals(result[0], 0);
        self.check(failed);
        self.goto(done, &[result[0], result[1]]);
        self.b.switch_to_block(done);
        let float = ty.may(Ty::MARK).then_some(float);
        if ty == Ty::MARK {
            let tag = self.int(MARK as i64);
            return Lane { tag, float, ty, own: true };
        }
        Lane { tag, float, ty, own: true }
    }

    /// Compares two lanes that the op took and goes on at `yes` or `no`.
    pub fn emit_compare_jump(&mut self, op: CompareOp, a: Lane, b: Lane, yes: Block, no: Block) {
        let slow = self.cold();
        self.quick_compare(op, a, b, yes, no, slow);
        self.b.switch_to_block(slow);
        let (tag, _) = self.slow_numbers(Helper::Compare, op as u64 | OTHER, a, b);
        let truth = self.equals(tag, constant(&Object::TRUE));
        self.branch(truth, yes, no);
    }

    /// Compares two lanes that the op took.
    pub fn emit_compare(&mut self, op: CompareOp, a: Lane, b: Lane) -> Lane {
        let ty = compare(a.ty, b.ty);
        let done = self.b.create_block();
        let tag = self.b.append_block_param(done, I64);
        let float = ty.may(Ty::MARK).then(|| self.b.append_block_param(done, F64));
        let (yes, no, slow) = (self.b.create_block(), self.b.create_block(), self.cold());
        self.quick_compare(op, a, b, yes, no, slow);
        for (block, value) in [(yes, Object::TRUE), (no, Object::FALSE)] {
            self.b.switch_to_block(block);
            let value = self.int(constant(&value));
            self.finish(done, value, float.is_some());
        }
        self.b.switch_to_block(slow);
        let (tag_slow, float_slow) = self.slow_numbers(Helper::Compare, op as u64, a, b);
        match float {
            Some(_) => self.goto(done, &[tag_slow, float_slow]),
            None => self.goto(done, &[tag_slow]),
        }
        self.b.switch_to_block(done);
        Lane { tag, float, ty, own: true }
    }

    fn finish(&mut self, done: Block, tag: Value, float: bool) {
        if float {
            let nothing = self.b.ins().f64const(0.0);
            self.goto(done, &[tag, nothing]);
        } else {
            self.goto(done, &[tag]);
        }
    }

    fn quick_compare(&mut self, op: CompareOp, a: Lane, b: Lane, yes: Block, no: Block, slow: Block) {
        if a.ty.may(Ty::INT) && b.ty.may(Ty::INT) {
            let other = self.b.create_block();
            if a.ty != Ty::INT || b.ty != Ty::INT {
                let both = self.b.ins().band(a.tag, b.tag);
                let odd = self.is_odd(both);
                self.guard(odd, other);
            }
            let condition = match op {
                CompareOp::Lt => IntCC::SignedLessThan,
                CompareOp::Le => IntCC::SignedLessThanOrEqual,
                CompareOp::Eq => IntCC::Equal,
                CompareOp::Ne => IntCC::NotEqual,
                CompareOp::Gt => IntCC::SignedGreaterThan,
                CompareOp::Ge => IntCC::SignedGreaterThanOrEqual,
            };
            let truth = self.b.ins().icmp(condition, a.tag, b.tag);
            self.branch(truth, yes, no);
            self.b.switch_to_block(other);
        }
        let floaty = |ty: Ty| ty.may(Ty::MARK.or(Ty::FLOAT));
        if !floaty(a.ty) && !floaty(b.ty) {
            self.goto(slow, &[]);
            return;
        }
        let x = self.number(a, true, slow);
        let y = self.number(b, true, slow);
        let condition = match op {
            CompareOp::Lt => FloatCC::LessThan,
            CompareOp::Le => FloatCC::LessThanOrEqual,
            CompareOp::Eq => FloatCC::Equal,
            CompareOp::Ne => FloatCC::NotEqual,
            CompareOp::Gt => FloatCC::GreaterThan,
            CompareOp::Ge => FloatCC::GreaterThanOrEqual,
        };
        let truth = self.b.ins().fcmp(condition, x, y);
        for lane in [a, b] {
            if lane.own && lane.ty.may(Ty::FLOAT) {
                self.drop_lane(lane.tag, lane.ty);
            }
        }
        self.branch(truth, yes, no);
    }

    /// Goes on at `yes` or `no` by a lane's truth.
    pub fn emit_truth(&mut self, lane: Lane, yes: Block, no: Block) {
        let tag = lane.tag;
        if lane.ty == Ty::BOOL {
            let truth = self.equals(tag, constant(&Object::TRUE));
            self.branch(truth, yes, no);
            return;
        }
        if lane.ty.may(Ty::BOOL) {
            let is_true = self.equals(tag, constant(&Object::TRUE));
            self.guard_not(is_true, yes);
            let is_false = self.equals(tag, constant(&Object::FALSE));
            self.guard_not(is_false, no);
        }
        if lane.ty.may(Ty::CONST) {
            let none = self.equals(tag, constant(&Object::NONE));
            self.guard_not(none, no);
        }
        if lane.ty.may(Ty::INT) {
            let other = self.b.create_block();
            if lane.ty != Ty::INT {
                let odd = self.is_odd(tag);
                self.guard(odd, other);
            }
            let zero = self.equals(tag, 1);
            self.branch(zero, no, yes);
            self.b.switch_to_block(other);
        }
        if let (Some(float), true) = (lane.float, lane.ty.may(Ty::MARK)) {
            let other = self.b.create_block();
            if lane.ty != Ty::MARK {
                let mark = self.equals(tag, MARK as i64);
                self.guard(mark, other);
            }
            let zero = self.b.ins().f64const(0.0);
            let truth = self.b.ins().fcmp(FloatCC::NotEqual, float, zero);
            self.branch(truth, yes, no);
            self.b.switch_to_block(other);
        }
        self.note_pc();
        let own = self.int(i64::from(lane.own));
        let truth = self.call(Helper::Truth, &[tag, own], &[], WORD)[0];
        let failed = self.equals(truth, 0);
        self.check(failed);
        let truth = self.equals(truth, constant(&Object::TRUE));
        self.branch(truth, yes, no);
    }
}
