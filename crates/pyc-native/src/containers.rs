//! Subscripts, slices, displays and unpacking: lists and tuples in place, everything else by a direct helper.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F64, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use pyc_ir::{Conversion, NO_REG, Op};
use pyc_runtime::Value as Object;
use pyc_runtime::native::helpers::{OTHER, OWN_A, OWN_B, OWN_C};
use pyc_runtime::native::{Helper, MARK};

use crate::lanes::{Gen, LANE, Lane, NOTHING, WORD, constant, flags};
use crate::types::Ty;

impl Gen<'_, '_> {
    /// The place of an integer in a sequence of a length.
    fn place(&mut self, key: Value, length: Value, slow: Block) -> Value {
        let i = self.untag(key);
        let negative = self.b.ins().sshr_imm_u(i, 63);
        let more = self.b.ins().band(negative, length);
        let i = self.b.ins().iadd(i, more);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, i, length);
        self.guard(inside, slow);
        self.b.ins().ishl_imm_u(i, 3)
    }

    fn guard_int(&mut self, lane: Lane, no: Block) {
        if lane.ty != Ty::INT {
            let odd = self.is_odd(lane.tag);
            self.guard(odd, no);
        }
    }

    fn guard_kind(&mut self, lane: Lane, exact: Ty, kind: i32, no: Block) {
        if lane.ty == exact {
            return;
        }
        if !lane.ty.within(Ty::OBJECT) {
            let object = self.is_object(lane.tag);
            self.guard(object, no);
        }
        let fits = self.is_exactly(lane.tag, kind);
        self.guard(fits, no);
    }

    pub fn index(&mut self, op: &Op, dst: u16, obj: u16, key: u16) {
        let unboxed = !self.is_local(dst);
        let ty = if unboxed { Ty::FRESH } else { Ty::VALUE };
        let (done, tag, float) = self.meeting(unboxed);
        let slow = self.cold();
        let (o, k) = (self.peek(obj), self.peek(key));
        if k.ty.may(Ty::INT) && o.ty.may(Ty::LIST.or(Ty::TUPLE)) {
            self.guard_int(k, slow);
            let tuple = if o.ty.may(Ty::TUPLE) { self.b.create_block() } else { slow };
            if o.ty.may(Ty::LIST) {
                if !o.ty.within(Ty::OBJECT) {
                    let object = self.is_object(o.tag);
                    self.guard(object, slow);
                }
                if o.ty != Ty::LIST {
                    let list = self.is_exactly(o.tag, self.layout.kind_list);
                    self.guard(list, tuple);
                }
                self.item(
                    o,
                    obj,
                    k,
                    (self.layout.list_items, self.layout.list_length),
                    (slow, done),
                    unboxed,
                );
            } else {
                self.goto(tuple, &[]);
            }
            if tuple != slow {
                self.b.switch_to_block(tuple);
                self.guard_kind(
                    Lane { ty: o.ty.without(Ty::LIST), ..o },
                    Ty::TUPLE,
                    self.layout.kind_tuple,
                    slow,
                );
                self.item(
                    o,
                    obj,
                    k,
                    (self.layout.tuple_items, self.layout.tuple_length),
                    (slow, done),
                    unboxed,
                );
            }
        } else {
            self.goto(slow, &[]);
        }
        self.b.switch_to_block(slow);
        let saved = self.now.clone();
        let (o, k) = (self.take(obj), self.take(key));
        let word = self.owners(if unboxed { 0 } else { OTHER }, &[o, k]);
        let (fa, fb) = (self.float_of(o), self.float_of(k));
        self.note_pc();
        let result = self.call(Helper::GetItem, &[word, o.tag, k.tag], &[fa, fb], LANE);
        self.result_of(result[0]);
        if unboxed {
            self.goto(done, &[result[0], result[1]]);
        } else {
            self.goto(done, &[result[0]]);
        }
        self.now = saved;
        self.b.switch_to_block(done);
        self.taken(op);
        self.set(dst, Lane { tag, float, ty, own: true });
    }

    /// The item of a list or tuple, on to `done`.
    fn item(
        &mut self,
        o: Lane,
        obj: u16,
        k: Lane,
        at: (i32, i32),
        (slow, done): (Block, Block),
        unboxed: bool,
    ) {
        let length = self.load(o.tag, at.1);
        let place = self.place(k.tag, length, slow);
        let items = self.load(o.tag, at.0);
        let address = self.b.ins().iadd(items, place);
        let item = self.load(address, 0);
        let lane = if unboxed { self.peel(item) } else { None };
        let (tag, float) = match lane {
            Some((tag, float)) => (tag, Some(float)),
            None => {
                self.retain(item, Ty::VALUE);
                (item, None)
            }
        };
        if !self.is_local(obj) {
            self.drop_lane(o.tag, o.ty);
        }
        match float {
            Some(float) => self.goto(done, &[tag, float]),
            None => self.goto(done, &[tag]),
        }
    }

    /// A borrowed value as an owned lane: a float object's number, anything else with a reference of its own.
    pub fn peel(&mut self, item: Value) -> Option<(Value, Value)> {
        let (met, tag, float) = self.meeting(true);
        let nothing = self.b.ins().f64const(0.0);
        let (plain, other) = (self.b.create_block(), self.b.create_block());
        let object = self.is_object(item);
        self.guard(object, plain);
        let exact = self.is_exactly(item, self.layout.kind_float);
        self.guard(exact, other);
        let number = self.b.ins().load(F64, flags(), item, self.layout.float_value);
        let mark = self.int(MARK as i64);
        self.goto(met, &[mark, number]);
        self.b.switch_to_block(other);
        self.retain(item, Ty::OTHER);
        self.goto(met, &[item, nothing]);
        self.b.switch_to_block(plain);
        self.goto(met, &[item, nothing]);
        self.b.switch_to_block(met);
        Some((tag, float?))
    }

    pub fn store_index(&mut self, op: &Op, obj: u16, key: u16, src: u16) {
        let done = self.b.create_block();
        let slow = self.cold();
        let (o, k, s) = (self.peek(obj), self.peek(key), self.peek(src));
        if k.ty.may(Ty::INT) && o.ty.may(Ty::LIST) {
            self.guard_int(k, slow);
            self.guard_kind(o, Ty::LIST, self.layout.kind_list, slow);
            let length = self.load(o.tag, self.layout.list_length);
            let place = self.place(k.tag, length, slow);
            let items = self.load(o.tag, self.layout.list_items);
            let address = self.b.ins().iadd(items, place);
            let s = Lane { own: !self.is_local(src), ..s };
            let s = self.own(s);
            self.replace(address, s);
            if !self.is_local(obj) {
                self.drop_lane(o.tag, o.ty);
            }
            self.goto(done, &[]);
        } else {
            self.goto(slow, &[]);
        }
        self.b.switch_to_block(slow);
        let saved = self.now.clone();
        let (o, k, s) = (self.take(obj), self.take(key), self.take(src));
        let word = self.owners(0, &[o, k, s]);
        let (fa, fb, fc) = (self.float_of(o), self.float_of(k), self.float_of(s));
        self.note_pc();
        let result = self.call(Helper::SetItem, &[word, o.tag, k.tag, s.tag], &[fa, fb, fc], WORD)[0];
        self.result_of(result);
        self.goto(done, &[]);
        self.now = saved;
        self.b.switch_to_block(done);
        self.taken(op);
    }

    /// A lane's float for a helper.
    pub fn float_of(&mut self, lane: Lane) -> Value {
        match lane.float {
            Some(float) => float,
            None => self.b.ins().f64const(0.0),
        }
    }

    /// The word that says which lanes a helper owns.
    pub fn owners(&mut self, word: u64, lanes: &[Lane]) -> Value {
        let owned = [OWN_A, OWN_B, OWN_C];
        let word = lanes.iter().zip(owned).filter(|(l, _)| l.own).fold(word, |word, (_, bit)| word | bit);
        self.int(word as i64)
    }

    /// Ends a slow path with a helper's result: to the handler when it is 0.
    pub fn result_of(&mut self, result: Value) {
        let failed = self.equals(result, 0);
        self.check(failed);
    }

    /// Moves registers that an op takes to the window, from its first place on: their address.
    pub fn pass(&mut self, base: u16, count: u16) -> Value {
        for at in 0..count {
            let lane = self.take(base + at);
            let lane = self.own(lane);
            let (tag, _) = self.boxed(lane);
            self.b.ins().stack_store(I64, tag, self.window, i32::from(at) * 8);
        }
        self.b.ins().stack_addr(I64, self.window, 0)
    }

    /// A display of `count` registers.
    pub fn build(&mut self, helper: Helper, ty: Ty, dst: u16, base: u16, count: u16) {
        let items = self.pass(base, count);
        let number = self.int(i64::from(count));
        self.note_pc();
        let made = self.call(helper, &[items, number], &[], WORD)[0];
        if helper == Helper::BuildString {
            self.result_of(made);
        }
        self.set(dst, Gen::fresh(made, ty));
    }

    pub fn build_slice(&mut self, dst: u16, base: u16) {
        let parts = self.pass(base, 3);
        let made = self.call(Helper::BuildSlice, &[parts], &[], WORD)[0];
        self.set(dst, Gen::fresh(made, Ty::OTHER));
    }

    /// A slice that is only made for the subscript behind it; false when it is not.
    pub fn slice_and_index(&mut self, slice: u16, base: u16) -> bool {
        let next = self.pc + 1;
        if self.is_local(slice) || self.types.is_start(next) {
            return false;
        }
        match self.code.ops.get(next as usize).copied() {
            Some(Op::Index { dst, obj, key }) if key == slice && obj != slice => {
                let parts = self.pass(base, 3);
                self.pc = next;
                let o = self.take(obj);
                let word = self.owners(0, &[o]);
                let float = self.float_of(o);
                self.note_pc();
                let result = self.call(Helper::GetSlice, &[word, o.tag, parts], &[float], WORD)[0];
                self.result_of(result);
                let lane = Gen::fresh(result, Ty::VALUE);
                let lane = if self.is_local(dst) { lane } else { self.unbox(lane, Ty::FRESH) };
                self.set(dst, lane);
            }
            Some(Op::StoreIndex { obj, key, src }) if key == slice && obj != slice && src != slice => {
                let parts = self.pass(base, 3);
                self.pc = next;
                let (o, s) = (self.take(obj), self.take(src));
                let word = OWN_C * u64::from(s.own);
                let word = self.owners(word, &[o]);
                let (of, sf) = (self.float_of(o), self.float_of(s));
                self.note_pc();
                let words = [word, o.tag, parts, s.tag];
                let result = self.call(Helper::SetSlice, &words, &[of, sf], WORD)[0];
                self.result_of(result);
            }
            _ => return false,
        }
        self.fused = Some(next);
        true
    }

    pub fn contains(&mut self, dst: u16, item: u16, container: u16, negate: bool) {
        let (a, b) = (self.take(item), self.take(container));
        let word = self.owners(if negate { OTHER } else { 0 }, &[a, b]);
        let (fa, fb) = (self.float_of(a), self.float_of(b));
        self.note_pc();
        let result = self.call(Helper::Contains, &[word, a.tag, b.tag], &[fa, fb], WORD)[0];
        self.result_of(result);
        self.set(dst, Gen::fresh(result, Ty::BOOL));
    }

    pub fn format(&mut self, dst: u16, src: u16, conversion: Conversion, spec: u16) {
        let a = self.take(src);
        let b = if spec == NO_REG {
            Gen::fresh(self.int(constant(&Object::UNBOUND)), Ty::EMPTY)
        } else {
            self.take(spec)
        };
        let word = self.owners(conversion as u64, &[a, b]);
        let float = self.float_of(a);
        self.note_pc();
        let result = self.call(Helper::Format, &[word, a.tag, b.tag], &[float], WORD)[0];
        self.result_of(result);
        self.set(dst, Gen::fresh(result, Ty::VALUE));
    }

    /// An item more for a list under construction.
    pub fn list_append(&mut self, op: &Op, list: u16, src: u16) {
        let held = self.peek(list);
        if held.ty != Ty::LIST {
            self.step(op, false);
            return;
        }
        let item = self.take(src);
        let item = self.own(item);
        let (tag, _) = self.boxed(item);
        let (full, done) = (self.cold(), self.b.create_block());
        let length = self.load(held.tag, self.layout.list_length);
        let capacity = self.load(held.tag, self.layout.list_capacity);
        let room = self.b.ins().icmp(IntCC::UnsignedLessThan, length, capacity);
        self.guard(room, full);
        let items = self.load(held.tag, self.layout.list_items);
        let place = self.b.ins().ishl_imm_u(length, 3);
        let address = self.b.ins().iadd(items, place);
        self.store(address, 0, tag);
        let more = self.b.ins().iadd_imm_s(length, 1);
        self.store(held.tag, self.layout.list_length, more);
        self.goto(done, &[]);
        self.b.switch_to_block(full);
        self.call(Helper::Push, &[held.tag, tag], &[], NOTHING);
        self.goto(done, &[]);
        self.b.switch_to_block(done);
    }

    /// Takes a list or tuple of the right length apart in place.
    pub fn unpack(&mut self, op: &Op, dst: u16, src: u16, count: u16) {
        let o = self.peek(src);
        if !o.ty.may(Ty::LIST.or(Ty::TUPLE)) || count > 8 {
            self.step(op, false);
            return;
        }
        let done = self.b.create_block();
        let slow = self.cold();
        let o = Lane { own: !self.is_local(src), ..o };
        self.parts_of(o, count, slow, done);
        // Anything else is the interpreter's.
        self.b.switch_to_block(slow);
        let saved = self.now.clone();
        let (_, lanes) = self.step_core(op, false);
        let tags: Vec<Value> = lanes.iter().map(|(_, lane)| lane.tag).collect();
        self.goto(done, &tags);
        self.now = saved;
        self.unpacked(op, dst, count, done);
    }

    /// The items of a list or tuple with `count` of them, on to `done`; the container is given up when it is owned.
    pub fn parts_of(&mut self, o: Lane, count: u16, slow: Block, done: Block) {
        if !o.ty.within(Ty::OBJECT) {
            let object = self.is_object(o.tag);
            self.guard(object, slow);
        }
        let l = self.layout;
        let mut ways = Vec::new();
        let tuple = (l.kind_tuple, l.tuple_items, l.tuple_length);
        let list = (l.kind_list, l.list_items, l.list_length);
        if o.ty.may(Ty::TUPLE) {
            ways.push((Ty::TUPLE, tuple));
        }
        if o.ty.may(Ty::LIST) {
            ways.push((Ty::LIST, list));
        }
        let mut rest = o.ty;
        for (ty, (kind, items, length)) in ways {
            let next = self.b.create_block();
            if rest != ty {
                let exact = self.is_exactly(o.tag, kind);
                self.guard(exact, next);
            }
            rest = rest.without(ty);
            let length = self.load(o.tag, length);
            let fits = self.equals(length, i64::from(count));
            self.guard(fits, slow);
            let items = self.load(o.tag, items);
            let tags: Vec<Value> = (0..count).map(|at| self.load(items, i32::from(at) * 8)).collect();
            for tag in &tags {
                self.retain(*tag, Ty::VALUE);
            }
            self.release(o);
            self.goto(done, &tags);
            self.b.switch_to_block(next);
        }
        self.goto(slow, &[]);
    }

    /// What `done` got goes into the registers of an unpacking op.
    pub fn unpacked(&mut self, op: &Op, dst: u16, count: u16, done: Block) {
        let tags: Vec<Value> = (0..count).map(|_| self.b.append_block_param(done, I64)).collect();
        self.b.switch_to_block(done);
        self.taken(op);
        for (at, tag) in tags.into_iter().enumerate() {
            self.set(dst + at as u16, Gen::fresh(tag, Ty::VALUE));
        }
    }
}
