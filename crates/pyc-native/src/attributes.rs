//! Attributes and methods, through the caches that the interpreter fills.
//!
//! A cache says what was true when the interpreter last did the op: the type's version, the instance's shape, and where
//! the value then was. As long as both are the same, the value is still there; a few loads and compares decide that.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value};
use pyc_ir::Op;
use pyc_runtime::Value as Object;
use pyc_runtime::function::answer;
use pyc_runtime::native::{Helper, Known, MARK};

use crate::lanes::{Gen, LANE, Lane, WORD, constant, flags};
use crate::types::Ty;

/// A cache's place.
#[derive(Clone, Copy)]
struct Cache {
    base: Value,
    at: i32,
}

impl Gen<'_, '_> {
    fn cache(&mut self, cache: u16) -> Cache {
        let base = self.load_fixed(self.code_object, self.layout.code_caches);
        Cache { base, at: i32::from(cache) * self.layout.cache_size }
    }

    fn cache_word(&mut self, cache: Cache, field: i32) -> Value {
        self.b.ins().load(I32, flags(), cache.base, cache.at + field)
    }

    /// A name of the code, interned.
    fn name(&mut self, name: u16) -> Value {
        let names = self.load_fixed(self.code_object, self.layout.code_names);
        self.load_fixed(names, i32::from(name) * 8)
    }

    /// Goes on when a lane is an object.
    pub fn guard_object(&mut self, o: Lane, slow: Block) {
        if !o.ty.within(Ty::OBJECT) {
            let object = self.is_object(o.tag);
            self.guard(object, slow);
        }
    }

    /// Goes on when an object's type has the cache's version.
    fn guard_version(&mut self, o: Lane, cache: Cache, slow: Block) {
        let class = self.load(o.tag, self.layout.object_type);
        let version = self.b.ins().load(I32, flags(), class, self.layout.type_version);
        let known = self.cache_word(cache, self.layout.cache_version);
        let same = self.b.ins().icmp(IntCC::Equal, version, known);
        self.guard(same, slow);
    }

    fn is_kind_of(&mut self, kind: Value, answer: u8) -> Value {
        self.b.ins().icmp_imm_s(IntCC::Equal, kind, i64::from(answer))
    }

    /// Goes on when the object has attributes in front.
    fn guard_attrs(&mut self, o: Lane, slow: Block) {
        let marks = self.b.ins().uload8(I32, flags(), o.tag, self.layout.object_flags);
        let some = self.b.ins().band_imm_s(marks, i64::from(self.layout.flag_attrs));
        self.guard(some, slow);
    }

    /// A field of the attributes in front of an object.
    fn attrs_at(&self, field: i32) -> i32 {
        field - self.layout.object_attrs
    }

    fn guard_shape(&mut self, o: Lane, cache: Cache, slow: Block) {
        let at = self.attrs_at(self.layout.attrs_shape);
        let shape = self.b.ins().load(I32, flags(), o.tag, at);
        let known = self.cache_word(cache, self.layout.cache_shape);
        let same = self.b.ins().icmp(IntCC::Equal, shape, known);
        self.guard(same, slow);
    }

    /// The address of the cached attribute (`own`) or slot.
    fn attribute_place(&mut self, o: Lane, cache: Cache, own: bool, slow: Block) -> Value {
        let at = self.attrs_at(self.layout.attrs_slots);
        let slots = self.b.ins().uload16(I64, flags(), o.tag, at);
        let index = self.b.ins().uload32(flags(), cache.base, cache.at + self.layout.cache_index);
        let index = if own {
            self.b.ins().iadd(index, slots)
        } else {
            let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, index, slots);
            self.guard(inside, slow);
            index
        };
        let values = self.load(o.tag, self.attrs_at(self.layout.attrs_values));
        let offset = self.b.ins().ishl_imm_u(index, 3);
        self.b.ins().iadd(values, offset)
    }

    /// A borrowed value on to `done` with a reference of its own.
    fn give(&mut self, item: Value, unboxed: bool, done: Block) {
        let peeled = if unboxed { self.peel(item) } else { None };
        match peeled {
            Some((tag, float)) => self.goto(done, &[tag, float]),
            None => {
                self.retain(item, Ty::VALUE);
                self.goto(done, &[item]);
            }
        }
    }

    pub fn load_attr(&mut self, op: &Op, dst: u16, obj: u16, name: u16, cache: u16) {
        let unboxed = !self.is_local(dst);
        let ty = if unboxed { Ty::FRESH } else { Ty::VALUE };
        let (done, tag, float) = self.meeting(unboxed);
        let (found, item, _) = self.meeting(false);
        let slow = self.cold();
        let o = self.peek(obj);
        if o.ty.may(Ty::OTHER) {
            let c = self.cache(cache);
            self.guard_object(o, slow);
            let kind = self.b.ins().uload8(I32, flags(), c.base, c.at + self.layout.cache_kind);
            let (slot, class, module) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
            let (getter, of_type) = (self.b.create_block(), self.b.create_block());
            self.guard_version(o, c, of_type);
            let own = self.is_kind_of(kind, answer::OWN);
            self.guard(own, slot);
            self.guard_attrs(o, slow);
            self.guard_shape(o, c, slow);
            let place = self.attribute_place(o, c, true, slow);
            let value = self.load(place, 0);
            self.goto(found, &[value]);
            self.b.switch_to_block(slot);
            let is_slot = self.is_kind_of(kind, answer::SLOT);
            self.guard(is_slot, module);
            self.guard_attrs(o, slow);
            let place = self.attribute_place(o, c, false, slow);
            let value = self.load(place, 0);
            let empty = self.equals(value, constant(&Object::UNBOUND));
            self.guard_not(empty, slow);
            self.goto(found, &[value]);
            self.b.switch_to_block(module);
            let of_module = self.is_kind_of(kind, answer::MODULE);
            self.guard(of_module, class);
            let value = self.module_item(o, c, name, slow);
            self.goto(found, &[value]);
            // A number or constant of the class needs no binding.
            self.b.switch_to_block(class);
            let of_class = self.is_kind_of(kind, answer::CLASS);
            self.guard(of_class, getter);
            self.guard_unshadowed(o, c, slow);
            let value = self.load(c.base, c.at + self.layout.cache_value);
            let object = self.is_object(value);
            self.guard_not(object, slow);
            self.goto(found, &[value]);
            self.b.switch_to_block(getter);
            let is_getter = self.is_kind_of(kind, answer::GETTER);
            self.guard(is_getter, slow);
            self.property(obj, o, c, unboxed, (slow, done));
            self.b.switch_to_block(of_type);
            let value = self.type_item(o, c, kind, slow);
            let bound = self.wraps(value, slow);
            self.guard_not(bound, slow);
            self.goto(found, &[value]);
            self.b.switch_to_block(found);
            if self.is_local(obj) {
                self.give(item, unboxed, done);
            } else {
                // The object may be the only one that holds the value.
                let (kept, tag, float) = self.meeting(unboxed);
                self.give(item, unboxed, kept);
                self.b.switch_to_block(kept);
                self.drop_lane(o.tag, o.ty);
                let words: Vec<Value> = std::iter::once(tag).chain(float).collect();
                self.goto(done, &words);
            }
        } else {
            self.goto(slow, &[]);
            // Nothing comes here.
            self.b.switch_to_block(found);
            let trap = self.int(constant(&Object::NONE));
            let words = if unboxed { vec![trap, self.b.ins().f64const(0.0)] } else { vec![trap] };
            self.goto(done, &words);
        }
        self.slow_step(op, slow, done, unboxed);
        self.b.switch_to_block(done);
        self.taken(op);
        self.set(dst, Lane { tag, float, ty, own: true });
    }

    /// Calls the getter of a property.
    fn property(&mut self, obj: u16, o: Lane, cache: Cache, unboxed: bool, (slow, done): (Block, Block)) {
        let property = self.load(cache.base, cache.at + self.layout.cache_value);
        let getter = self.load(property, self.layout.property_getter);
        self.guard(getter, slow);
        let object = self.is_object(getter);
        self.guard(object, slow);
        let function = self.has_kind(getter, self.layout.kind_function);
        self.guard(function, slow);
        let code = self.load(getter, self.layout.function_code);
        let entry = self.load(code, self.layout.code_native);
        self.guard(entry, slow);
        let simple = self.load(entry, self.layout.entry_simple);
        let fits = self.equals(simple, 1);
        self.guard(fits, slow);
        let direct = self.load(entry, self.layout.entry_direct);
        // The property may lose it while it runs.
        self.retain(getter, Ty::OTHER);
        let saved = self.now.clone();
        if self.is_local(obj) {
            self.retain(o.tag, Ty::OTHER);
        } else {
            self.clear(obj);
        }
        self.note_pc();
        let results = self.call_address(direct, &[self.vm, getter, o.tag], &[], LANE);
        self.drop_lane(getter, Ty::OTHER);
        let failed = self.equals(results[0], 0);
        self.check(failed);
        if unboxed {
            self.goto(done, &[results[0], results[1]]);
        } else {
            let lane = Lane { tag: results[0], float: Some(results[1]), ty: Ty::ANY, own: true };
            let (tag, _) = self.boxed(lane);
            self.goto(done, &[tag]);
        }
        self.now = saved;
    }

    /// The cached value of a class's own attribute; borrowed.
    fn type_item(&mut self, o: Lane, cache: Cache, kind: Value, slow: Block) -> Value {
        let on_type = self.is_kind_of(kind, answer::ON_TYPE);
        self.guard(on_type, slow);
        let class = self.has_kind(o.tag, self.layout.kind_type);
        self.guard(class, slow);
        let version = self.b.ins().load(I32, flags(), o.tag, self.layout.type_version);
        let known = self.cache_word(cache, self.layout.cache_version);
        let same = self.b.ins().icmp(IntCC::Equal, version, known);
        self.guard(same, slow);
        self.load(cache.base, cache.at + self.layout.cache_value)
    }

    /// Whether a value is a class method; away to `slow` for a static one.
    fn wraps(&mut self, value: Value, slow: Block) -> Value {
        let met = self.b.create_block();
        let answer = self.b.append_block_param(met, I32);
        let no = self.b.ins().iconst(I32, 0);
        let object = self.is_object(value);
        let next = self.b.create_block();
        self.b.ins().brif(object, next, &[], met, &[BlockArg::from(no)]);
        self.b.switch_to_block(next);
        let statics = self.has_kind(value, self.layout.kind_static);
        self.guard_not(statics, slow);
        let class = self.b.ins().uload8(I32, flags(), value, self.layout.object_kind);
        let class = self.b.ins().icmp_imm_s(IntCC::Equal, class, i64::from(self.layout.kind_class_method));
        let class = self.b.ins().uextend(I32, class);
        self.goto(met, &[class]);
        self.b.switch_to_block(met);
        answer
    }

    /// The value at the cached place of a module's namespace; borrowed.
    fn module_item(&mut self, o: Lane, cache: Cache, name: u16, slow: Block) -> Value {
        let module = self.has_kind(o.tag, self.layout.kind_module);
        self.guard(module, slow);
        let dict = self.load(o.tag, self.layout.module_dict);
        let exact = self.is_exactly(dict, self.layout.kind_dict);
        self.guard(exact, slow);
        let index = self.b.ins().uload32(flags(), cache.base, cache.at + self.layout.cache_index);
        let key = self.name(name);
        self.dict_value(dict, index, key, slow)
    }

    /// Goes on when the instance has the attributes of the cache's shape and no others.
    fn guard_unshadowed(&mut self, o: Lane, cache: Cache, slow: Block) {
        self.guard_attrs(o, slow);
        self.guard_shape(o, cache, slow);
        let dict = self.load(o.tag, self.attrs_at(self.layout.attrs_dict));
        self.guard_not(dict, slow);
    }

    pub fn load_method(&mut self, op: &Op, dst: u16, obj: u16, name: u16, cache: u16) {
        let done = self.b.create_block();
        let function = self.b.append_block_param(done, I64);
        let this = self.b.append_block_param(done, I64);
        let slow = self.cold();
        let o = self.peek(obj);
        if o.ty.may(Ty::OBJECT) {
            let c = self.cache(cache);
            self.guard_object(o, slow);
            let kind = self.b.ins().uload8(I32, flags(), c.base, c.at + self.layout.cache_kind);
            let (bare, bound, module) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
            let of_type = self.b.create_block();
            let empty = self.int(constant(&Object::UNBOUND));
            self.guard_version(o, c, of_type);
            let of_class = self.is_kind_of(kind, answer::CLASS);
            self.guard(of_class, bare);
            self.guard_unshadowed(o, c, slow);
            self.goto(bound, &[]);
            self.b.switch_to_block(bare);
            let is_bare = self.is_kind_of(kind, answer::BARE);
            self.guard(is_bare, module);
            self.goto(bound, &[]);
            self.b.switch_to_block(bound);
            let value = self.load(c.base, c.at + self.layout.cache_value);
            self.retain(value, Ty::OTHER);
            if self.is_local(obj) {
                self.retain(o.tag, Ty::OTHER);
            }
            self.goto(done, &[value, o.tag]);
            self.b.switch_to_block(module);
            let of_module = self.is_kind_of(kind, answer::MODULE);
            self.guard(of_module, slow);
            let value = self.module_item(o, c, name, slow);
            self.retain(value, Ty::VALUE);
            if !self.is_local(obj) {
                self.drop_lane(o.tag, Ty::OTHER);
            }
            self.goto(done, &[value, empty]);
            self.b.switch_to_block(of_type);
            let value = self.type_item(o, c, kind, slow);
            let (plain, wrapped) = (self.b.create_block(), self.b.create_block());
            let is_static = self.b.create_block();
            let object = self.is_object(value);
            self.guard(object, plain);
            let of_class = self.has_kind(value, self.layout.kind_class_method);
            self.branch(of_class, wrapped, is_static);
            self.b.switch_to_block(is_static);
            let statics = self.has_kind(value, self.layout.kind_static);
            let unwrap = self.b.create_block();
            self.branch(statics, unwrap, plain);
            self.b.switch_to_block(wrapped);
            let inner = self.load(value, self.layout.class_method_value);
            self.retain(inner, Ty::VALUE);
            if self.is_local(obj) {
                self.retain(o.tag, Ty::OTHER);
            }
            self.goto(done, &[inner, o.tag]);
            for (block, inner) in [(unwrap, true), (plain, false)] {
                self.b.switch_to_block(block);
                let value = if inner { self.load(value, self.layout.static_method_value) } else { value };
                self.retain(value, Ty::VALUE);
                if !self.is_local(obj) {
                    self.drop_lane(o.tag, Ty::OTHER);
                }
                self.goto(done, &[value, empty]);
            }
        } else {
            self.goto(slow, &[]);
        }
        self.b.switch_to_block(slow);
        let saved = self.now.clone();
        let (_, lanes) = self.step_core(op, false);
        let words: Vec<Value> = lanes.iter().map(|(_, lane)| lane.tag).collect();
        self.goto(done, &words);
        self.now = saved;
        self.b.switch_to_block(done);
        self.taken(op);
        self.set(dst, Gen::fresh(function, Ty::VALUE));
        self.set(dst + 1, Gen::fresh(this, Ty::VALUE.or(Ty::EMPTY)));
    }

    pub fn store_attr(&mut self, op: &Op, obj: u16, name: u16, src: u16, cache: u16) {
        let done = self.b.create_block();
        let slow = self.cold();
        let (o, s) = (self.peek(obj), self.peek(src));
        if o.ty.may(Ty::OTHER) {
            let s = Lane { own: !self.is_local(src), ..s };
            let c = self.cache(cache);
            self.guard_object(o, slow);
            self.guard_version(o, c, slow);
            self.guard_attrs(o, slow);
            let kind = self.b.ins().uload8(I32, flags(), c.base, c.at + self.layout.cache_kind);
            let (slot, add) = (self.b.create_block(), self.b.create_block());
            let put = self.b.create_block();
            let place = self.b.append_block_param(put, I64);
            let plain = self.is_kind_of(kind, answer::PLAIN);
            self.guard(plain, slot);
            self.guard_shape(o, c, slow);
            let at = self.attribute_place(o, c, true, slow);
            self.goto(put, &[at]);
            self.b.switch_to_block(slot);
            let is_slot = self.is_kind_of(kind, answer::SLOT);
            self.guard(is_slot, add);
            let at = self.attribute_place(o, c, false, slow);
            self.goto(put, &[at]);
            // A new attribute.
            self.b.switch_to_block(add);
            let adds = self.is_kind_of(kind, answer::ADD);
            self.guard(adds, slow);
            self.guard_unshadowed(o, c, slow);
            let owned = self.own(s);
            let (value, _) = self.boxed(owned);
            let cache = self.b.ins().iadd_imm_s(c.base, i64::from(c.at));
            let name = self.name(name);
            self.call(Helper::AddAttr, &[o.tag, cache, name, value], &[], WORD);
            self.release_object(obj, o);
            self.goto(done, &[]);
            self.b.switch_to_block(put);
            let old = self.load(place, 0);
            if let (Some(float), true) = (s.float, s.ty.may(Ty::MARK)) {
                self.overwrite_float((s, float), old, place, (obj, o), done);
            }
            let owned = self.own(s);
            self.store(place, 0, owned.tag);
            self.drop_lane(old, Ty::VALUE);
            self.release_object(obj, o);
            self.goto(done, &[]);
        } else {
            self.goto(slow, &[]);
        }
        self.slow_step(op, slow, done, false);
        self.b.switch_to_block(done);
        self.taken(op);
    }

    /// The `LoadMethod` after a call of `super` with two arguments that only it reads, if the op at a place is such a
    /// call by the callee's name.
    pub fn super_pair(&self, at: u32) -> Option<Op> {
        let Op::Call { dst, base, count: 2, method: false } = self.code.ops[at as usize] else { return None };
        let next = *self.code.ops.get(at as usize + 1)?;
        let fits = matches!(next, Op::LoadMethod { obj, .. } if obj == dst) && !self.is_local(dst);
        let called =
            fits && !self.types.is_start(at + 1) && self.known_callee(base, false) == Some(Known::Super);
        called.then_some(next)
    }

    /// `super().name` for a call, without an object for `super()`.
    pub fn super_method(&mut self, op: &Op, next: &Op) {
        let (Op::Call { base, .. }, Op::LoadMethod { dst, name, cache, .. }) = (*op, *next) else { return };
        let (after, other) = (self.b.create_block(), self.b.create_block());
        let (callee, class, this) = (self.peek(base), self.peek(base + 2), self.peek(base + 3));
        let start = self.now.clone();
        if class.ty.may(Ty::OTHER) && this.ty.may(Ty::OTHER) {
            let expected = self.load(self.vm, self.layout.vm_known + Known::Super as i32 * 8);
            let same = self.b.ins().icmp(IntCC::Equal, callee.tag, expected);
            self.guard(same, other);
            self.guard_object(this, other);
            self.guard_object(class, other);
            let c = self.cache(cache);
            let place = self.b.ins().iadd_imm_s(c.base, i64::from(c.at));
            let name = self.name(name);
            let function = self.call(Helper::SuperMethod, &[class.tag, this.tag, place, name], &[], WORD)[0];
            self.guard(function, other);
            for reg in base..base + 4 {
                self.clear(reg);
            }
            self.drop_lane(callee.tag, callee.ty.without(Ty::ITSELF));
            self.drop_lane(class.tag, class.ty);
            self.set(dst, Gen::fresh(function, Ty::VALUE));
            self.set(dst + 1, Gen::fresh(this.tag, Ty::VALUE.or(Ty::EMPTY)));
            self.goto(after, &[]);
        } else {
            self.goto(other, &[]);
        }
        self.now = start;
        self.b.switch_to_block(other);
        self.emit(op);
        self.pc += 1;
        self.emit(next);
        self.goto(after, &[]);
        self.b.switch_to_block(after);
    }

    fn release_object(&mut self, obj: u16, o: Lane) {
        if !self.is_local(obj) {
            self.drop_lane(o.tag, o.ty);
        }
    }

    /// Stores an unboxed float: into the float object that is there, when nobody else has it. Goes on where the lane
    /// is no unboxed float.
    fn overwrite_float(
        &mut self,
        (s, float): (Lane, Value),
        old: Value,
        place: Value,
        (obj, o): (u16, Lane),
        done: Block,
    ) {
        let (put, boxing) = (self.b.create_block(), self.b.create_block());
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
        self.release_object(obj, o);
        self.goto(done, &[]);
        self.b.switch_to_block(boxing);
        let unboxed = self.unboxed(float);
        let (tag, _) = self.boxed(unboxed);
        self.store(place, 0, tag);
        self.drop_lane(old, Ty::VALUE);
        self.release_object(obj, o);
        self.goto(done, &[]);
        self.b.switch_to_block(put);
    }
}
