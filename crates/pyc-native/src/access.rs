//! Globals, cells, subscripts, calls and loops: quick paths through the runtime's own data.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F64, I32, I64};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value};
use pyc_ir::Op;
use pyc_runtime::native::MARK;

use crate::calls::ITSELF;
use crate::lanes::{Gen, Lane, flags};
use crate::types::{Ty, calls_itself};

impl Gen<'_, '_> {
    /// A block where the ways to an op's result meet.
    pub fn meeting(&mut self, with_float: bool) -> (Block, Value, Option<Value>) {
        let done = self.b.create_block();
        let tag = self.b.append_block_param(done, I64);
        let float = with_float.then(|| self.b.append_block_param(done, F64));
        (done, tag, float)
    }

    pub fn load_global(&mut self, op: &Op, dst: u16, name: u16, cache: u16) {
        let (done, tag, _) = self.meeting(false);
        let slow = self.cold();
        let caches = self.load_fixed(self.code_object, self.layout.code_caches);
        let at = i32::from(cache) * self.layout.cache_size;
        let kind = self.b.ins().uload8(I32, flags(), caches, at + self.layout.cache_kind);
        let index = self.b.ins().uload32(flags(), caches, at + self.layout.cache_index);
        let names = self.load_fixed(self.code_object, self.layout.code_names);
        let key = self.load_fixed(names, i32::from(name) * 8);
        let global = self.b.ins().icmp_imm_s(IntCC::Equal, kind, 1);
        let other = self.b.create_block();
        let globals = self.load_fixed(self.function, self.layout.function_globals);
        self.guard(global, other);
        let value = self.dict_value(globals, index, key, slow);
        if calls_itself(self.code, name, cache) {
            // The call asks for this mark: no reference is needed to what is running.
            let own = self.b.ins().icmp(IntCC::Equal, value, self.function);
            let mark = self.int(ITSELF);
            let next = self.b.create_block();
            self.b.ins().brif(own, done, &[BlockArg::from(mark)], next, &[]);
            self.b.switch_to_block(next);
        }
        self.retain(value, Ty::VALUE);
        self.goto(done, &[value]);
        self.b.switch_to_block(other);
        let builtin = self.b.ins().icmp_imm_s(IntCC::Equal, kind, 2);
        self.guard(builtin, slow);
        let version = self.b.ins().load(I32, flags(), globals, self.layout.dict_version);
        let known = self.b.ins().load(I32, flags(), caches, at + self.layout.cache_version);
        let same = self.b.ins().icmp(IntCC::Equal, version, known);
        self.guard(same, slow);
        let builtins = self.load_fixed(self.function, self.layout.function_builtins);
        let value = self.dict_value(builtins, index, key, slow);
        self.retain(value, Ty::VALUE);
        self.goto(done, &[value]);
        self.slow_step(op, slow, done, false);
        self.b.switch_to_block(done);
        let ty = if calls_itself(self.code, name, cache) { Ty::VALUE.or(Ty::ITSELF) } else { Ty::VALUE };
        self.set(dst, Gen::fresh(tag, ty));
    }

    /// The value at a place of a dict, borrowed, when its key is the expected one.
    pub fn dict_value(&mut self, dict: Value, index: Value, key: Value, slow: Block) -> Value {
        let slots = self.load(dict, self.layout.dict_slots);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, index, slots);
        self.guard(inside, slow);
        let entries = self.load(dict, self.layout.dict_entries);
        let offset = self.b.ins().imul_imm_s(index, i64::from(self.layout.dict_entry_size));
        let entry = self.b.ins().iadd(entries, offset);
        let found = self.load(entry, self.layout.dict_entry_key);
        let same = self.b.ins().icmp(IntCC::Equal, found, key);
        self.guard(same, slow);
        self.load(entry, self.layout.dict_entry_value)
    }

    pub fn load_cell(&mut self, op: &Op, dst: u16, cell: u16) {
        let held = self.tag(cell);
        let (done, tag, _) = self.meeting(false);
        let slow = self.cold();
        if self.ty(cell) != Ty::OTHER {
            self.goto(slow, &[]);
        } else {
            let value = self.load(held, self.layout.cell_value);
            let full = self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0);
            self.guard(full, slow);
            self.retain(value, Ty::VALUE);
            self.goto(done, &[value]);
        }
        self.slow_step(op, slow, done, false);
        self.b.switch_to_block(done);
        self.set(dst, Gen::fresh(tag, Ty::VALUE));
    }

    pub fn store_cell(&mut self, op: &Op, cell: u16, src: u16) {
        if self.ty(cell) != Ty::OTHER {
            return self.step(op, false);
        }
        let held = self.tag(cell);
        let lane = self.take(src);
        let lane = self.own(lane);
        let (value, _) = self.boxed(lane);
        let old = self.load(held, self.layout.cell_value);
        self.store(held, self.layout.cell_value, value);
        let done = self.b.create_block();
        self.guard(old, done);
        self.drop_lane(old, Ty::VALUE);
        self.goto(done, &[]);
        self.b.switch_to_block(done);
    }

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
        self.slow_step(op, slow, done, unboxed);
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
            let old = self.load(address, 0);
            let s = Lane { own: !self.is_local(src), ..s };
            let put = self.b.create_block();
            if let (Some(float), true) = (s.float, s.ty.may(Ty::MARK)) {
                // A float object that only the list has is written over.
                let boxing = self.b.create_block();
                if s.ty != Ty::MARK {
                    let mark = self.equals(s.tag, MARK as i64);
                    self.guard(mark, put);
                }
                let object = self.is_object(old);
                self.guard(object, boxing);
                let exact = self.is_exactly(old, self.layout.kind_float);
                self.guard(exact, boxing);
                let refs = self.b.ins().load(I32, flags(), old, self.layout.object_refs);
                let alone = self.b.ins().icmp_imm_s(IntCC::Equal, refs, 1);
                self.guard(alone, boxing);
                self.b.ins().store(flags(), float, old, self.layout.float_value);
                if !self.is_local(obj) {
                    self.drop_lane(o.tag, o.ty);
                }
                self.goto(done, &[]);
                self.b.switch_to_block(boxing);
                let unboxed = self.unboxed(float);
                let (tag, _) = self.boxed(unboxed);
                self.store(address, 0, tag);
                self.drop_lane(old, Ty::VALUE);
                if !self.is_local(obj) {
                    self.drop_lane(o.tag, o.ty);
                }
                self.goto(done, &[]);
            } else {
                self.goto(put, &[]);
            }
            self.b.switch_to_block(put);
            let s = self.own(s);
            self.store(address, 0, s.tag);
            self.drop_lane(old, Ty::VALUE);
            if !self.is_local(obj) {
                self.drop_lane(o.tag, o.ty);
            }
            self.goto(done, &[]);
        } else {
            self.goto(slow, &[]);
        }
        self.slow_step(op, slow, done, false);
        self.b.switch_to_block(done);
        self.taken(op);
    }

    pub fn for_iter(&mut self, op: &Op, dst: u16, iter: u16, target: u32) {
        let iterator = self.peek(iter);
        let (go, tag, _) = self.meeting(false);
        let (slow, end) = (self.cold(), self.b.create_block());
        if !iterator.ty.within(Ty::OBJECT) {
            let object = self.is_object(iterator.tag);
            self.guard(object, slow);
        }
        let other = self.b.create_block();
        let range = self.has_kind(iterator.tag, self.layout.kind_range_iter);
        self.guard(range, other);
        let next = self.load(iterator.tag, self.layout.range_iter_next);
        let (double, over) = self.b.ins().sadd_overflow(next, next);
        self.guard_not(over, slow);
        let left = self.load(iterator.tag, self.layout.range_iter_left);
        self.tick();
        let more = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, left, 0);
        self.guard(more, end);
        let less = self.b.ins().iadd_imm_s(left, -1);
        self.store(iterator.tag, self.layout.range_iter_left, less);
        let step = self.load(iterator.tag, self.layout.range_iter_step);
        let after = self.b.ins().iadd(next, step);
        self.store(iterator.tag, self.layout.range_iter_next, after);
        let n = self.b.ins().bor_imm_u(double, 1);
        self.goto(go, &[n]);
        self.b.switch_to_block(other);
        let list = self.has_kind(iterator.tag, self.layout.kind_list_iter);
        self.guard(list, slow);
        let reversed = self.b.ins().uload8(I32, flags(), iterator.tag, self.layout.list_iter_reversed);
        self.guard_not(reversed, slow);
        let list = self.load(iterator.tag, self.layout.list_iter_list);
        let object = self.is_object(list);
        self.guard(object, slow);
        let at = self.load(iterator.tag, self.layout.list_iter_at);
        let length = self.load(list, self.layout.list_length);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, at, length);
        self.guard(inside, slow);
        self.tick();
        let items = self.load(list, self.layout.list_items);
        let place = self.b.ins().ishl_imm_u(at, 3);
        let address = self.b.ins().iadd(items, place);
        let item = self.load(address, 0);
        self.retain(item, Ty::VALUE);
        let after = self.b.ins().iadd_imm_s(at, 1);
        self.store(iterator.tag, self.layout.list_iter_at, after);
        self.goto(go, &[item]);
        // Anything else, and the ends of lists.
        self.b.switch_to_block(slow);
        let saved = self.now.clone();
        let (next, lanes) = self.step_core(op, false);
        let over = self.equals(next, i64::from(target));
        let (ended, item) = (self.b.create_block(), self.b.create_block());
        self.branch(over, ended, item);
        self.b.switch_to_block(item);
        if let Some((_, lane)) = lanes.first() {
            self.goto(go, &[lane.tag]);
        }
        self.b.switch_to_block(ended);
        self.clear(iter);
        let block = self.blocks.get(&target).copied().unwrap_or(self.nowhere);
        self.goto(block, &[]);
        self.now.clone_from(&saved);
        // The range is used up.
        self.b.switch_to_block(end);
        self.clear(iter);
        self.drop_lane(iterator.tag, Ty::OTHER);
        self.goto(block, &[]);
        self.now = saved;
        self.b.switch_to_block(go);
        self.set(dst, Gen::fresh(tag, Ty::VALUE));
    }
}
