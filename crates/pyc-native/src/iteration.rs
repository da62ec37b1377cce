//! Loops over iterators: ranges, lists and tuples in place, everything else by a direct helper.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use pyc_ir::Op;
use pyc_runtime::Value as Object;
use pyc_runtime::native::{Helper, MARK};

use crate::lanes::{Gen, Lane, WORD, constant, flags};
use crate::types::Ty;

impl Gen<'_, '_> {
    pub fn get_iter(&mut self, dst: u16, src: u16) {
        let a = self.take(src);
        let word = self.owners(0, &[a]);
        let float = self.float_of(a);
        self.note_pc();
        let result = self.call(Helper::GetIter, &[word, a.tag], &[float], WORD)[0];
        self.result_of(result);
        self.set(dst, Gen::fresh(result, Ty::OTHER));
    }

    /// The unpacking op that is all that happens to a loop's item, when it directly follows.
    fn unpacks_item(&self, item: u16) -> Option<(Op, u16, u16)> {
        let next = self.pc + 1;
        if self.is_local(item) || self.targets.contains(&next) {
            return None;
        }
        match self.code.ops.get(next as usize).copied() {
            Some(op @ Op::Unpack { dst, src, count }) if src == item && (2..=8).contains(&count) => {
                Some((op, dst, count))
            }
            _ => None,
        }
    }

    pub fn for_iter(&mut self, dst: u16, iter: u16, target: u32) {
        let iterator = self.peek(iter);
        if iterator.ty == Ty::RANGE {
            self.for_range(dst, iter, target, iterator);
            return;
        }
        let fused = self.unpacks_item(dst);
        let (go, tag, _) = self.meeting(false);
        let (slow, end, end_list) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.tick();
        if !iterator.ty.within(Ty::OBJECT) {
            let object = self.is_object(iterator.tag);
            self.guard(object, slow);
        }
        let l = self.layout;
        // The kind is looked at once.
        let kind = self.b.ins().uload8(I32, flags(), iterator.tag, l.object_kind);
        let list = self.b.create_block();
        if fused.is_none() {
            let range = self.b.ins().icmp_imm_s(IntCC::Equal, kind, i64::from(l.kind_range_iter));
            self.guard(range, list);
            let left = self.load(iterator.tag, l.range_iter_left);
            let more = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, left, 0);
            self.guard(more, end);
            let next = self.load(iterator.tag, l.range_iter_next);
            let (double, over) = self.b.ins().sadd_overflow(next, next);
            self.guard_not(over, slow);
            let less = self.b.ins().iadd_imm_s(left, -1);
            self.store(iterator.tag, l.range_iter_left, less);
            let step = self.load(iterator.tag, l.range_iter_step);
            let after = self.b.ins().iadd(next, step);
            self.store(iterator.tag, l.range_iter_next, after);
            let n = self.b.ins().bor_imm_u(double, 1);
            self.goto(go, &[n]);
        } else {
            self.goto(list, &[]);
        }
        self.b.switch_to_block(list);
        let tuple = self.b.create_block();
        let is_list = self.b.ins().icmp_imm_s(IntCC::Equal, kind, i64::from(l.kind_list_iter));
        self.guard(is_list, tuple);
        let reversed = self.b.ins().uload8(I32, flags(), iterator.tag, l.list_iter_reversed);
        self.guard_not(reversed, slow);
        let from = (l.list_iter_list, l.list_iter_at, l.list_length, l.list_items);
        self.item_of(iterator.tag, from, slow, go);
        self.b.switch_to_block(tuple);
        let is_tuple = self.b.ins().icmp_imm_s(IntCC::Equal, kind, i64::from(l.kind_tuple_iter));
        self.guard(is_tuple, slow);
        let from = (l.tuple_iter_tuple, l.tuple_iter_at, l.tuple_length, l.tuple_items);
        self.item_of(iterator.tag, from, slow, go);
        // Anything else, and the ends of lists and tuples.
        self.b.switch_to_block(slow);
        self.note_pc();
        let parts = self.b.create_block();
        let item = match fused {
            None => self.call(Helper::Next, &[iterator.tag], &[], WORD)[0],
            Some((_, _, count)) => {
                let empty = self.int(constant(&Object::UNBOUND));
                for at in 0..i32::from(count) {
                    self.b.ins().stack_store(I64, empty, self.window, at * 8);
                }
                let window = self.b.ins().stack_addr(I64, self.window, 0);
                let count = self.int(i64::from(count));
                let words = [iterator.tag, window, count];
                let item = self.call(Helper::NextUnpacked, &words, &[], WORD)[0];
                let stored = self.equals(item, MARK as i64);
                self.guard_not(stored, parts);
                item
            }
        };
        self.result_of(item);
        let ended = self.equals(item, constant(&Object::UNBOUND));
        self.guard_not(ended, end_list);
        self.goto(go, &[item]);
        self.b.switch_to_block(end_list);
        self.goto(end, &[]);
        // The end: the iterator is dropped.
        self.b.switch_to_block(end);
        let saved = self.now.clone();
        self.clear(iter);
        self.drop_lane(iterator.tag, iterator.ty);
        let block = self.block_of(target);
        self.goto(block, &[]);
        self.now = saved;
        let Some((op, first, count)) = fused else {
            self.b.switch_to_block(go);
            self.set(dst, Gen::fresh(tag, Ty::VALUE));
            return;
        };
        let done = self.b.create_block();
        self.b.switch_to_block(parts);
        let tags: Vec<Value> =
            (0..i32::from(count)).map(|at| self.b.ins().stack_load(I64, I64, self.window, at * 8)).collect();
        self.goto(done, &tags);
        // The item comes whole and is taken apart as by the op of its own.
        self.b.switch_to_block(go);
        self.pc += 1;
        self.set(dst, Gen::fresh(tag, Ty::VALUE));
        let item = Lane { own: true, ..self.peek(dst) };
        let strange = self.cold();
        self.parts_of(item, count, strange, done);
        self.b.switch_to_block(strange);
        let saved = self.now.clone();
        let (_, lanes) = self.step_core(&op, false);
        let tags: Vec<Value> = lanes.iter().map(|(_, lane)| lane.tag).collect();
        self.goto(done, &tags);
        self.now = saved;
        self.unpacked(&op, first, count, done);
        self.fused = Some(self.pc);
    }

    /// As [`Gen::for_iter`] in a version for a range.
    fn for_range(&mut self, dst: u16, iter: u16, target: u32, iterator: Lane) {
        let (large, end) = (self.cold(), self.b.create_block());
        self.tick();
        let l = self.layout;
        let left = self.load(iterator.tag, l.range_iter_left);
        let more = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, left, 0);
        self.guard(more, end);
        let next = self.load(iterator.tag, l.range_iter_next);
        let (double, over) = self.b.ins().sadd_overflow(next, next);
        self.guard_not(over, large);
        let less = self.b.ins().iadd_imm_s(left, -1);
        self.store(iterator.tag, l.range_iter_left, less);
        let step = self.load(iterator.tag, l.range_iter_step);
        let after = self.b.ins().iadd(next, step);
        self.store(iterator.tag, l.range_iter_next, after);
        let n = self.b.ins().bor_imm_u(double, 1);
        let go = self.b.create_block();
        self.goto(go, &[]);
        let saved = self.now.clone();
        self.b.switch_to_block(end);
        self.clear(iter);
        self.drop_lane(iterator.tag, Ty::OTHER);
        let block = self.block_of(target);
        self.goto(block, &[]);
        self.now.clone_from(&saved);
        // A large integer leaves the version.
        self.b.switch_to_block(large);
        self.note_pc();
        let item = self.call(Helper::Next, &[iterator.tag], &[], WORD)[0];
        self.result_of(item);
        self.set(dst, Gen::fresh(item, Ty::VALUE));
        let general = self.general_block(self.pc + 1);
        self.goto(general, &[]);
        self.now = saved;
        self.b.switch_to_block(go);
        self.set(dst, Gen::fresh(n, Ty::INT));
    }

    /// The next item of an iterator over a list or tuple, on to `go`.
    fn item_of(&mut self, iterator: Value, from: (i32, i32, i32, i32), slow: Block, go: Block) {
        let (sequence, at, length, items) = from;
        let sequence = self.load(iterator, sequence);
        let object = self.is_object(sequence);
        self.guard(object, slow);
        let index = self.load(iterator, at);
        let length = self.load(sequence, length);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, index, length);
        self.guard(inside, slow);
        let items = self.load(sequence, items);
        let place = self.b.ins().ishl_imm_u(index, 3);
        let address = self.b.ins().iadd(items, place);
        let item = self.load(address, 0);
        self.retain(item, Ty::VALUE);
        let after = self.b.ins().iadd_imm_s(index, 1);
        self.store(iterator, at, after);
        self.goto(go, &[item]);
    }
}
