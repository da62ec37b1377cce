//! Builtins that are done in place: the call is there, the callee is still the builtin, and the arguments are of the
//! quick kinds. Anything else goes on to the call.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use pyc_runtime::Value as Object;
use pyc_runtime::native::{Helper, Known, MARK};

use crate::lanes::{Gen, Lane, WORD, constant, flags};
use crate::types::Ty;

/// Steps that the interpreter counts for `min` and `max` of two values: each value, and the end.
const STEPS_OF_TWO: i64 = 3;

impl Gen<'_, '_> {
    /// Does a builtin and goes to `done`; goes on where it is not the quick case.
    pub fn builtin(&mut self, known: Known, base: u16, count: u16, done: Block) {
        let arguments: Vec<Lane> = (base + 2..base + 2 + count).map(|reg| self.peek(reg)).collect();
        let this = self.peek(base + 1);
        let callee = self.peek(base);
        if !callee.ty.may(Ty::OTHER) {
            return;
        }
        let other = self.b.create_block();
        let expected = self.load(self.vm, self.layout.vm_known + known as i32 * 8);
        let same = self.b.ins().icmp(IntCC::Equal, callee.tag, expected);
        self.guard(same, other);
        let nothing = self.b.ins().f64const(0.0);
        match (known, &arguments[..]) {
            (Known::Len, [x]) => self.length(*x, callee.tag, other, done),
            (Known::IsInstance, [x, class]) => {
                self.guard_object(*x, other);
                let ty = self.load(x.tag, self.layout.object_type);
                let same = self.b.ins().icmp(IntCC::Equal, ty, class.tag);
                self.guard(same, other);
                let truth = self.int(constant(&Object::TRUE));
                self.release_builtin(callee.tag);
                self.drop_lane(class.tag, class.ty);
                self.drop_lane(x.tag, x.ty);
                self.goto(done, &[truth, nothing]);
            }
            (Known::Abs, [x]) => {
                if let (Some(float), true) = (x.float, x.ty.may(Ty::MARK)) {
                    let next = self.b.create_block();
                    let mark = self.equals(x.tag, MARK as i64);
                    self.guard(mark, next);
                    let result = self.b.ins().fabs(float);
                    let tag = self.int(MARK as i64);
                    self.release_builtin(callee.tag);
                    self.goto(done, &[tag, result]);
                    self.b.switch_to_block(next);
                }
                if x.ty.may(Ty::INT) {
                    let odd = self.is_odd(x.tag);
                    self.guard(odd, other);
                    let two = self.int(2);
                    let (negated, over) = self.b.ins().ssub_overflow(two, x.tag);
                    self.guard_not(over, other);
                    let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, x.tag, 0);
                    let result = self.b.ins().select(negative, negated, x.tag);
                    self.release_builtin(callee.tag);
                    self.goto(done, &[result, nothing]);
                } else {
                    self.goto(other, &[]);
                }
            }
            (Known::Min | Known::Max, [a, b]) => self.least(known, (*a, *b), callee.tag, other, done),
            (Known::Ord, [x]) => {
                self.guard_object(*x, other);
                let text = self.is_exactly(x.tag, self.layout.kind_str);
                self.guard(text, other);
                let result = self.call(Helper::Ord, &[x.tag], &[], WORD)[0];
                self.guard(result, other);
                self.release_builtin(callee.tag);
                self.drop_lane(x.tag, x.ty);
                self.goto(done, &[result, nothing]);
            }
            (Known::Chr, [x]) => {
                let odd = self.is_odd(x.tag);
                self.guard(odd, other);
                let n = self.untag(x.tag);
                let inside = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, n, 0x11_0000);
                self.guard(inside, other);
                self.release_builtin(callee.tag);
                let result = self.call(Helper::Chr, &[n], &[], WORD)[0];
                self.goto(done, &[result, nothing]);
            }
            (Known::Append, [x]) => {
                self.guard_object(this, other);
                let list = self.is_exactly(this.tag, self.layout.kind_list);
                self.guard(list, other);
                let length = self.load(this.tag, self.layout.list_length);
                let capacity = self.load(this.tag, self.layout.list_capacity);
                let room = self.b.ins().icmp(IntCC::UnsignedLessThan, length, capacity);
                self.guard(room, other);
                let (value, _) = self.boxed(*x);
                let items = self.load(this.tag, self.layout.list_items);
                let offset = self.b.ins().ishl_imm_u(length, 3);
                let place = self.b.ins().iadd(items, offset);
                self.store(place, 0, value);
                let more = self.b.ins().iadd_imm_s(length, 1);
                self.store(this.tag, self.layout.list_length, more);
                let none = self.int(constant(&Object::NONE));
                self.release_builtin(callee.tag);
                self.drop_lane(this.tag, Ty::OTHER);
                self.goto(done, &[none, nothing]);
            }
            _ => self.goto(other, &[]),
        }
        self.b.switch_to_block(other);
    }

    /// Gives up a reference to a builtin; the VM holds another.
    fn release_builtin(&mut self, tag: Value) {
        let refs = self.b.ins().load(I32, flags(), tag, self.layout.object_refs);
        let less = self.b.ins().iadd_imm_s(refs, -1);
        self.b.ins().store(flags(), less, tag, self.layout.object_refs);
    }

    fn length(&mut self, x: Lane, callee: Value, other: Block, done: Block) {
        self.guard_object(x, other);
        let (met, length, _) = self.meeting(false);
        let l = self.layout;
        let word = self.b.ins().uload16(I32, flags(), x.tag, l.object_kind);
        for (kind, field) in [
            (l.kind_list, l.list_length),
            (l.kind_tuple, l.tuple_length),
            (l.kind_dict, l.dict_live),
            (l.kind_str, 0),
        ] {
            let next = if kind == l.kind_str { other } else { self.b.create_block() };
            let fits = self.b.ins().icmp_imm_s(IntCC::Equal, word, i64::from(kind));
            self.guard(fits, next);
            let tag = if kind == l.kind_str {
                self.call(Helper::TextLen, &[x.tag], &[], WORD)[0]
            } else {
                let n = self.load(x.tag, field);
                self.retag(n)
            };
            self.goto(met, &[tag]);
            self.b.switch_to_block(next);
        }
        self.b.switch_to_block(met);
        self.release_builtin(callee);
        self.drop_lane(x.tag, x.ty);
        let nothing = self.b.ins().f64const(0.0);
        self.goto(done, &[length, nothing]);
    }

    /// `min` and `max` of two numbers of the same kind.
    fn least(&mut self, known: Known, (a, b): (Lane, Lane), callee: Value, other: Block, done: Block) {
        let left = self.load(self.vm, self.layout.vm_countdown);
        let left = self.b.ins().iadd_imm_s(left, -STEPS_OF_TWO);
        let enough = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, left, 0);
        self.guard(enough, other);
        let nothing = self.b.ins().f64const(0.0);
        if let (Some(x), Some(y)) = (a.float, b.float)
            && a.ty.may(Ty::MARK)
            && b.ty.may(Ty::MARK)
        {
            let next = self.b.create_block();
            for lane in [a, b] {
                if lane.ty != Ty::MARK {
                    let mark = self.equals(lane.tag, MARK as i64);
                    self.guard(mark, next);
                }
            }
            let condition = if known == Known::Min { FloatCC::LessThan } else { FloatCC::GreaterThan };
            let second = self.b.ins().fcmp(condition, y, x);
            let result = self.b.ins().select(second, y, x);
            let tag = self.int(MARK as i64);
            self.store(self.vm, self.layout.vm_countdown, left);
            self.release_builtin(callee);
            self.goto(done, &[tag, result]);
            self.b.switch_to_block(next);
        }
        if !a.ty.may(Ty::INT) || !b.ty.may(Ty::INT) {
            self.goto(other, &[]);
            return;
        }
        let both = self.b.ins().band(a.tag, b.tag);
        let odd = self.is_odd(both);
        self.guard(odd, other);
        let condition = if known == Known::Min { IntCC::SignedLessThan } else { IntCC::SignedGreaterThan };
        let second = self.b.ins().icmp(condition, b.tag, a.tag);
        let result = self.b.ins().select(second, b.tag, a.tag);
        self.store(self.vm, self.layout.vm_countdown, left);
        self.release_builtin(callee);
        self.goto(done, &[result, nothing]);
    }
}
