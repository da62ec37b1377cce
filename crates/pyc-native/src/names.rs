//! Variables of modules: entries of a dict, reached through the caches of the ops that read them.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{Block, InstBuilder};
use pyc_ir::Op;
use pyc_runtime::native::Helper;

use crate::lanes::{Gen, NOTHING, flags};
use crate::types::Ty;

impl Gen<'_, '_> {
    /// Binds a global. Where the code also reads it, that op's cache knows the place.
    pub fn store_global(&mut self, name: u16, src: u16) {
        let value = self.take(src);
        let value = self.own(value);
        let done = self.b.create_block();
        let slow: Block = self.b.create_block();
        let l = self.layout;
        let globals = self.load(self.function, l.function_globals);
        let names = self.load(self.code_object, l.code_names);
        let key = self.load(names, i32::from(name) * 8);
        let cache = self.code.ops.iter().find_map(|op| match *op {
            Op::LoadName { name: n, cache, .. } | Op::LoadGlobal { name: n, cache, .. } if n == name => {
                Some(cache)
            }
            _ => None,
        });
        if let Some(cache) = cache {
            let caches = self.load(self.code_object, l.code_caches);
            let at = i32::from(cache) * l.cache_size;
            let kind = self.b.ins().uload8(I32, flags(), caches, at + l.cache_kind);
            let global = self.b.ins().icmp_imm_s(IntCC::Equal, kind, 1);
            self.guard(global, slow);
            let index = self.b.ins().uload32(flags(), caches, at + l.cache_index);
            let slots = self.load(globals, l.dict_slots);
            let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, index, slots);
            self.guard(inside, slow);
            let entries = self.load(globals, l.dict_entries);
            let offset = self.b.ins().imul_imm_s(index, i64::from(l.dict_entry_size));
            let entry = self.b.ins().iadd(entries, offset);
            let found = self.load(entry, l.dict_entry_key);
            let same = self.b.ins().icmp(IntCC::Equal, found, key);
            self.guard(same, slow);
            let place = self.b.ins().iadd_imm_s(entry, i64::from(l.dict_entry_value));
            self.replace(place, value);
            self.goto(done, &[]);
        } else {
            self.goto(slow, &[]);
        }
        self.b.switch_to_block(slow);
        let (tag, _) = self.boxed(value);
        self.note_pc();
        self.call(Helper::StoreGlobal, &[globals, key, tag], &[], NOTHING);
        self.goto(done, &[]);
        self.b.switch_to_block(done);
    }

    /// Puts an owned lane in the place of a value; a float object that nobody else has is written over.
    pub fn replace(&mut self, place: cranelift_codegen::ir::Value, value: crate::lanes::Lane) {
        let old = self.load(place, 0);
        let done = self.b.create_block();
        if let (Some(float), true) = (value.float, value.ty.may(Ty::MARK)) {
            let (boxing, put) = (self.b.create_block(), self.b.create_block());
            if value.ty != Ty::MARK {
                let mark = self.equals(value.tag, pyc_runtime::native::MARK as i64);
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
            self.goto(done, &[]);
            self.b.switch_to_block(boxing);
            let unboxed = self.unboxed(float);
            let (tag, _) = self.boxed(unboxed);
            self.store(place, 0, tag);
            self.drop_lane(old, Ty::VALUE);
            self.goto(done, &[]);
            self.b.switch_to_block(put);
            if value.ty == Ty::MARK {
                self.goto(done, &[]);
                self.b.switch_to_block(done);
                return;
            }
        }
        self.store(place, 0, value.tag);
        self.drop_lane(old, Ty::VALUE);
        self.goto(done, &[]);
        self.b.switch_to_block(done);
    }
}
