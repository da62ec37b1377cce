//! Globals and cells: quick paths through the runtime's own data.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F64, I32, I64};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value};
use pyc_ir::Op;

use crate::calls::ITSELF;
use crate::lanes::{Gen, flags};
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
}
