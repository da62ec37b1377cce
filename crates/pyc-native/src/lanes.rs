//! Building blocks: lanes, references, calls of helpers, and what happens when an op raises.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F64, I32, I64};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, InstBuilder, MemFlagsData, SigRef, Signature, StackSlot, StackSlotData,
    StackSlotKind, Value,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};
use pyc_ir::Code;
use pyc_runtime::Value as Object;
use pyc_runtime::native::{Helper, Layout, MARK};

use crate::generators::Resume;
use crate::types::{Ty, Types};
use crate::versions::Version;

/// A value in machine registers; the float counts when the tag is [`MARK`].
#[derive(Clone, Copy)]
pub(crate) struct Lane {
    pub tag: Value,
    pub float: Option<Value>,
    pub ty: Ty,
    /// The reference is ours: a temporary that an op took.
    pub own: bool,
}

/// A function under construction.
pub(crate) struct Gen<'a, 'f> {
    pub b: FunctionBuilder<'f>,
    pub code: &'a Code,
    pub layout: &'a Layout,
    pub types: &'a Types,
    pub temporaries: u16,
    /// What each register may hold here.
    pub now: Vec<Ty>,
    pub tags: Vec<Variable>,
    pub floats: Vec<Variable>,
    pub blocks: HashMap<u32, Block>,
    pub vm: Value,
    pub function: Value,
    pub code_object: Value,
    pub frame: StackSlot,
    pub window: StackSlot,
    /// Where an exception leaves the function: from here it is told to the traceback (with the op's place), from the
    /// other the frame ends. Both get the set of registers that the window then holds.
    pub raising: Block,
    pub unwind: Block,
    /// Control never comes here.
    pub nowhere: Block,
    pub below: Value,
    pub depth: Value,
    /// The op being translated.
    pub pc: u32,
    /// The next op, when it is done already.
    pub fused: Option<u32>,
    /// The versions of loops, and the one being translated.
    pub versions: Vec<Version>,
    pub version: Option<usize>,
    /// What a generator goes on with.
    pub resume: Option<Resume>,
    /// Where jumps and handlers lead.
    pub targets: HashSet<u32>,
    pub signatures: HashMap<(usize, usize, u8), SigRef>,
}

pub(crate) fn flags() -> MemFlagsData {
    MemFlagsData::trusted()
}

pub(crate) fn constant(value: &Object) -> i64 {
    value.bits() as i64
}

/// What a called function returns.
pub(crate) const NOTHING: u8 = 0;
pub(crate) const WORD: u8 = 1;
pub(crate) const LANE: u8 = 2;
pub(crate) const FLOAT: u8 = 3;

pub(crate) fn signature(words: usize, floats: usize, returns: u8) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend((0..words).map(|_| AbiParam::new(I64)));
    signature.params.extend((0..floats).map(|_| AbiParam::new(F64)));
    match returns {
        WORD => signature.returns.push(AbiParam::new(I64)),
        LANE => signature.returns.extend([AbiParam::new(I64), AbiParam::new(F64)]),
        FLOAT => signature.returns.push(AbiParam::new(F64)),
        _ => {}
    }
    signature
}

pub(crate) fn slot(b: &mut FunctionBuilder, size: u32) -> StackSlot {
    b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, size, 4))
}

impl Gen<'_, '_> {
    pub fn int(&mut self, n: i64) -> Value {
        self.b.ins().iconst(I64, n)
    }

    pub fn load(&mut self, base: Value, offset: i32) -> Value {
        self.b.ins().load(I64, flags(), base, offset)
    }

    /// A word that never changes while this code runs, at an address that is always good: of the VM, the function, its
    /// code, and what they lead to. It is loaded once, wherever that suits.
    pub fn load_fixed(&mut self, base: Value, offset: i32) -> Value {
        self.b.ins().load(I64, flags().with_readonly(), base, offset)
    }

    pub fn store(&mut self, base: Value, offset: i32, value: Value) {
        self.b.ins().store(flags(), value, base, offset);
    }

    pub fn cold(&mut self) -> Block {
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        block
    }

    pub fn goto(&mut self, block: Block, args: &[Value]) {
        let args: Vec<BlockArg> = args.iter().map(|a| BlockArg::from(*a)).collect();
        self.b.ins().jump(block, &args);
    }

    /// Branches on a condition; both blocks have no parameters.
    pub fn branch(&mut self, condition: Value, yes: Block, no: Block) {
        self.b.ins().brif(condition, yes, &[], no, &[]);
    }

    /// Goes on in a new block when the condition holds, else in `no`.
    pub fn guard(&mut self, condition: Value, no: Block) {
        let yes = self.b.create_block();
        self.branch(condition, yes, no);
        self.b.switch_to_block(yes);
    }

    /// As [`Gen::guard`] when the condition does not hold.
    pub fn guard_not(&mut self, condition: Value, yes: Block) {
        let no = self.b.create_block();
        self.branch(condition, yes, no);
        self.b.switch_to_block(no);
    }

    pub fn equals(&mut self, value: Value, n: i64) -> Value {
        self.b.ins().icmp_imm_s(IntCC::Equal, value, n)
    }

    pub fn is_odd(&mut self, tag: Value) -> Value {
        self.b.ins().band_imm_s(tag, 1)
    }

    pub fn is_object(&mut self, tag: Value) -> Value {
        let low = self.b.ins().band_imm_s(tag, 3);
        self.equals(low, 0)
    }

    /// Whether an object has a kind and its builtin type.
    pub fn is_exactly(&mut self, tag: Value, kind: i32) -> Value {
        let word = self.b.ins().uload16(I32, flags(), tag, self.layout.object_kind);
        self.b.ins().icmp_imm_s(IntCC::Equal, word, i64::from(kind))
    }

    /// Whether an object has a kind.
    pub fn has_kind(&mut self, tag: Value, kind: i32) -> Value {
        let word = self.b.ins().uload8(I32, flags(), tag, self.layout.object_kind);
        self.b.ins().icmp_imm_s(IntCC::Equal, word, i64::from(kind))
    }

    fn call_signature(&mut self, words: usize, floats: usize, returns: u8) -> SigRef {
        if let Some(found) = self.signatures.get(&(words, floats, returns)) {
            return *found;
        }
        let made = self.b.import_signature(signature(words, floats, returns));
        self.signatures.insert((words, floats, returns), made);
        made
    }

    pub fn call_address(
        &mut self,
        address: Value,
        words: &[Value],
        floats: &[Value],
        returns: u8,
    ) -> Vec<Value> {
        let signature = self.call_signature(words.len(), floats.len(), returns);
        let arguments: Vec<Value> = words.iter().chain(floats).copied().collect();
        let call = self.b.ins().call_indirect(signature, address, &arguments);
        self.b.inst_results(call).to_vec()
    }

    /// Calls a helper that takes no VM.
    pub fn call_plain(&mut self, helper: Helper, floats: &[Value]) -> Value {
        let address = self.load(self.vm, self.layout.vm_helpers + helper as i32 * 8);
        self.call_address(address, &[], floats, FLOAT)[0]
    }

    /// Calls a helper; the VM comes first.
    pub fn call(&mut self, helper: Helper, words: &[Value], floats: &[Value], returns: u8) -> Vec<Value> {
        let address = self.load(self.vm, self.layout.vm_helpers + helper as i32 * 8);
        let mut all = vec![self.vm];
        all.extend_from_slice(words);
        self.call_address(address, &all, floats, returns)
    }

    pub fn frame_address(&mut self) -> Value {
        self.b.ins().stack_addr(I64, self.frame, 0)
    }

    /// Says where we are, before anything that may look.
    pub fn note_pc(&mut self) {
        let pc = self.b.ins().iconst(I32, i64::from(self.pc));
        self.b.ins().stack_store(I64, pc, self.frame, self.layout.frame_pc);
    }

    // Registers.

    pub fn ty(&self, reg: u16) -> Ty {
        self.now[usize::from(reg)]
    }

    pub fn is_local(&self, reg: u16) -> bool {
        reg < self.temporaries
    }

    pub fn tag(&mut self, reg: u16) -> Value {
        match self.ty(reg) {
            Ty::EMPTY => self.int(constant(&Object::UNBOUND)),
            Ty::MARK => self.int(MARK as i64),
            _ => self.b.use_var(self.tags[usize::from(reg)]),
        }
    }

    /// A register's lane; it stays where it is.
    pub fn peek(&mut self, reg: u16) -> Lane {
        let ty = self.ty(reg);
        let tag = self.tag(reg);
        let float = ty.may(Ty::MARK).then(|| self.b.use_var(self.floats[usize::from(reg)]));
        Lane { tag, float, ty, own: false }
    }

    /// A register's lane as an op takes it: temporaries are empty afterwards.
    pub fn take(&mut self, reg: u16) -> Lane {
        let lane = self.peek(reg);
        if self.is_local(reg) {
            return lane;
        }
        self.clear(reg);
        Lane { own: true, ..lane }
    }

    /// Forgets what a register holds.
    pub fn clear(&mut self, reg: u16) {
        let empty = self.int(constant(&Object::UNBOUND));
        self.b.def_var(self.tags[usize::from(reg)], empty);
        self.now[usize::from(reg)] = Ty::EMPTY;
    }

    /// Writes an owned lane; what the register held is dropped.
    pub fn set(&mut self, reg: u16, lane: Lane) {
        let before = Gen::fresh(self.tag(reg), self.ty(reg));
        self.b.def_var(self.tags[usize::from(reg)], lane.tag);
        if let Some(float) = lane.float {
            self.b.def_var(self.floats[usize::from(reg)], float);
        }
        self.now[usize::from(reg)] = lane.ty;
        self.drop_lane(before.tag, before.ty);
    }

    pub fn fresh(tag: Value, ty: Ty) -> Lane {
        Lane { tag, float: None, ty, own: true }
    }

    pub fn unboxed(&mut self, float: Value) -> Lane {
        let tag = self.int(MARK as i64);
        Lane { tag, float: Some(float), ty: Ty::MARK, own: true }
    }

    // References.

    /// One reference more.
    pub fn retain(&mut self, tag: Value, ty: Ty) {
        if !ty.may(Ty::OBJECT) {
            return;
        }
        let done = self.b.create_block();
        if !ty.within(Ty::OBJECT) {
            let object = self.is_object(tag);
            self.guard(object, done);
        }
        let refs = self.b.ins().load(I32, flags(), tag, self.layout.object_refs);
        let more = self.b.ins().iadd_imm_s(refs, 1);
        self.b.ins().store(flags(), more, tag, self.layout.object_refs);
        self.goto(done, &[]);
        self.b.switch_to_block(done);
    }

    /// One reference less.
    pub fn drop_lane(&mut self, tag: Value, ty: Ty) {
        if !ty.may(Ty::OBJECT) {
            return;
        }
        let done = self.b.create_block();
        let last = self.cold();
        if !ty.within(Ty::OBJECT) {
            let object = self.is_object(tag);
            self.guard(object, done);
        }
        let refs = self.b.ins().load(I32, flags(), tag, self.layout.object_refs);
        let one = self.b.ins().icmp_imm_s(IntCC::Equal, refs, 1);
        self.guard_not(one, last);
        let less = self.b.ins().iadd_imm_s(refs, -1);
        self.b.ins().store(flags(), less, tag, self.layout.object_refs);
        self.goto(done, &[]);
        self.b.switch_to_block(last);
        self.note_pc();
        self.call(Helper::Drop, &[tag], &[], NOTHING);
        self.goto(done, &[]);
        self.b.switch_to_block(done);
    }

    /// The lane with a reference of its own.
    pub fn own(&mut self, lane: Lane) -> Lane {
        if !lane.own {
            self.retain(lane.tag, lane.ty);
        }
        Lane { own: true, ..lane }
    }

    /// The lane without its reference, when it had one.
    pub fn release(&mut self, lane: Lane) {
        if lane.own {
            self.drop_lane(lane.tag, lane.ty);
        }
    }

    /// The lane as a value: an unboxed float becomes an object. The second answer is a value that the caller must
    /// drop when the lane is not its own: an object made here for a local (or something that needs no dropping).
    pub fn boxed(&mut self, lane: Lane) -> (Value, bool) {
        let Some(float) = lane.float else { return (lane.tag, false) };
        if !lane.ty.may(Ty::MARK) {
            return (lane.tag, false);
        }
        if lane.ty == Ty::MARK {
            return (self.call(Helper::Box, &[], &[float], WORD)[0], true);
        }
        let done = self.b.create_block();
        let merged = self.b.append_block_param(done, I64);
        let mark = self.equals(lane.tag, MARK as i64);
        let make = self.b.create_block();
        self.b.ins().brif(mark, make, &[], done, &[BlockArg::from(lane.tag)]);
        self.b.switch_to_block(make);
        let object = self.call(Helper::Box, &[], &[float], WORD)[0];
        self.goto(done, &[object]);
        self.b.switch_to_block(done);
        (merged, true)
    }

    // Exceptions.

    /// Where control goes when a condition says that an exception waits.
    pub fn check(&mut self, failed: Value) {
        let error = self.cold();
        self.guard_not(failed, error);
        let here = self.b.current_block();
        self.b.switch_to_block(error);
        self.raise(false);
        if let Some(here) = here {
            self.b.switch_to_block(here);
        }
    }

    /// An exception waits: it passes this op. Ends the block.
    pub fn raise(&mut self, quiet: bool) {
        let pc = self.int(i64::from(self.pc));
        let Some(handler) = self.code.handler(self.pc).copied() else {
            let held = self.put_in_window();
            if quiet {
                let unwind = self.unwind;
                self.goto(unwind, &[held]);
            } else {
                let raising = self.raising;
                self.goto(raising, &[pc, held]);
            }
            return;
        };
        let frame = self.frame_address();
        let quiet = self.int(i64::from(quiet));
        let caught = self.call(Helper::Raise, &[frame, pc, quiet], &[], WORD)[0];
        let (catch, out) = (self.cold(), self.cold());
        self.branch(caught, catch, out);
        self.b.switch_to_block(out);
        self.exit_raised();
        self.b.switch_to_block(catch);
        let exception = self.call(Helper::Caught, &[], &[], WORD)[0];
        let saved = self.now.clone();
        for reg in handler.depth..self.code.registers {
            if self.ty(reg).may(Ty::OBJECT) {
                let tag = self.tag(reg);
                self.call(Helper::Drop, &[tag], &[], NOTHING);
            }
            if self.ty(reg) != Ty::EMPTY {
                self.clear(reg);
            }
        }
        self.set(handler.register, Gen::fresh(exception, Ty::OTHER));
        let target = self.general_block(handler.target);
        self.goto(target, &[]);
        self.now = saved;
    }

    /// Leaves the function with an exception that the traceback knows.
    pub fn exit_raised(&mut self) {
        let held = self.put_in_window();
        let unwind = self.unwind;
        self.goto(unwind, &[held]);
    }

    /// Puts the references that the registers own into the window; the set of them. With more registers than a set has
    /// places the set is full, and the window holds all.
    fn put_in_window(&mut self) -> Value {
        let mut held = 0u64;
        let many = self.code.registers > 64;
        for reg in 0..self.code.registers {
            let object = self.owns(reg) && self.ty(reg).may(Ty::OBJECT);
            if !object && !many {
                continue;
            }
            let tag = if object { self.tag(reg) } else { self.int(constant(&Object::UNBOUND)) };
            self.b.ins().stack_store(I64, tag, self.window, i32::from(reg) * 8);
            if !many {
                held |= 1 << reg;
            }
        }
        self.int(if many { -1 } else { held as i64 })
    }

    /// Counts a step.
    pub fn tick(&mut self) {
        let left = self.load(self.vm, self.layout.vm_countdown);
        let left = self.b.ins().iadd_imm_s(left, -1);
        self.store(self.vm, self.layout.vm_countdown, left);
        let over = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, left, 0);
        let cold = self.cold();
        self.guard_not(over, cold);
        let here = self.b.current_block();
        self.b.switch_to_block(cold);
        self.note_pc();
        let fine = self.call(Helper::Tick, &[], &[], WORD)[0];
        let error = self.cold();
        if let Some(here) = here {
            self.branch(fine, here, error);
            self.b.switch_to_block(error);
            self.raise(false);
            self.b.switch_to_block(here);
        }
    }

    pub fn bool_tag(&mut self, condition: Value) -> Value {
        let yes = self.int(constant(&Object::TRUE));
        let no = self.int(constant(&Object::FALSE));
        self.b.ins().select(condition, yes, no)
    }
}
