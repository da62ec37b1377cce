//! Generators: their registers lie in the heap frame while they are suspended, in machine registers while they run.
//!
//! The heap frame is the interpreter's, register by register, with the same place to go on from. So whoever looks at a
//! suspended generator (`throw`, `close`, `gi_frame`, the collector) finds what it expects, and either tier can go on
//! with it. While the machine code runs, the frame's registers are empty: what they held was moved.

use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use cranelift_frontend::Switch;
use pyc_ir::Op;
use pyc_runtime::Value as Object;

use crate::lanes::{Gen, Lane, constant};
use crate::types::Ty;

/// Parameters of a generator's entry beside VM and function: code, heap registers, place, sent value.
pub(crate) const PARAMETERS: usize = 4;

/// What a generator goes on with.
pub(crate) struct Resume {
    /// The code object: the function may have got another one.
    pub code: Value,
    registers: Value,
    /// Where the op to go on with is read, and written when it yields.
    place: Value,
    /// The sent value; 0: an exception waits.
    sent: Value,
    /// Where each yield goes on that was not translated yet.
    blocks: Vec<(u32, Block)>,
}

impl Resume {
    pub fn new(given: &[Value]) -> Resume {
        Resume { code: given[0], registers: given[1], place: given[2], sent: given[3], blocks: Vec::new() }
    }
}

impl Gen<'_, '_> {
    fn heap(&self) -> (Value, Value, Value) {
        match &self.resume {
            Some(r) => (r.registers, r.place, r.sent),
            None => unreachable!("only generators yield"),
        }
    }

    /// The end of a generator's prologue: on to where it was.
    pub fn dispatch(&mut self) {
        let (registers, place, _) = self.heap();
        let at = self.load(place, 0);
        let zero = self.int(0);
        self.store(place, 0, zero);
        // Cells from outside stay the heap frame's.
        let first = self.code.locals.len() + self.code.cells.len();
        for reg in first..first + self.code.frees.len() {
            let cell = self.load(registers, reg as i32 * 8);
            self.b.def_var(self.tags[reg], cell);
        }
        let start = self.b.create_block();
        let mut switch = Switch::new();
        let mut blocks = Vec::new();
        for (pc, op) in self.code.ops.iter().enumerate() {
            if matches!(op, Op::Yield { .. }) {
                let block = self.b.create_block();
                switch.set_entry(pc as u128 + 1, block);
                blocks.push((pc as u32, block));
            }
        }
        let at = self.b.ins().ireduce(I32, at);
        switch.emit(&mut self.b, at, start);
        if let Some(resume) = &mut self.resume {
            resume.blocks = blocks;
        }
        self.b.switch_to_block(start);
        if let Some(types) = self.types.at(0) {
            self.now.copy_from_slice(types);
        }
        self.reload();
        if let Some(block) = self.blocks.get(&0).copied() {
            self.goto(block, &[]);
        }
    }

    /// Moves the heap frame's registers into machine registers, as `now` says what there is.
    fn reload(&mut self) {
        let (registers, ..) = self.heap();
        let empty = self.int(constant(&Object::UNBOUND));
        for reg in self.owned_registers() {
            let ty = self.ty(reg);
            if ty == Ty::EMPTY {
                continue;
            }
            let at = i32::from(reg) * 8;
            let tag = self.load(registers, at);
            if ty.may(Ty::OBJECT.or(Ty::MARK)) {
                self.store(registers, at, empty);
            }
            let lane = if !ty.may(Ty::MARK) {
                Gen::fresh(tag, ty)
            } else if ty.may(Ty::FLOAT) {
                let float = self.b.ins().f64const(0.0);
                Lane { float: Some(float), ..Gen::fresh(tag, ty) }
            } else {
                self.unbox(Gen::fresh(tag, ty.without(Ty::MARK).or(Ty::FLOAT)), ty)
            };
            self.b.def_var(self.tags[usize::from(reg)], lane.tag);
            if let Some(float) = lane.float {
                self.b.def_var(self.floats[usize::from(reg)], float);
            }
        }
    }

    /// Moves what the registers hold to the heap frame.
    fn spill(&mut self) {
        let (registers, ..) = self.heap();
        for reg in self.owned_registers() {
            if self.ty(reg) == Ty::EMPTY && !self.is_local(reg) {
                continue;
            }
            let lane = self.peek(reg);
            let (tag, _) = self.boxed(lane);
            self.store(registers, i32::from(reg) * 8, tag);
        }
    }

    pub fn yield_op(&mut self, dst: u16, src: u16) {
        let lane = self.take(src);
        let lane = self.own(lane);
        let (_, place, sent) = self.heap();
        self.spill();
        let next = self.int(i64::from(self.pc) + 1);
        self.store(place, 0, next);
        self.leave(std::iter::empty());
        let float = self.float_of(lane);
        self.b.ins().return_(&[lane.tag, float]);
        let pc = self.pc;
        let Some(resume) = &mut self.resume else { unreachable!("only generators yield") };
        let at = resume.blocks.iter().position(|(at, _)| *at == pc);
        let Some((_, block)) = at.map(|at| resume.blocks.swap_remove(at)) else {
            unreachable!("each yield is translated once")
        };
        self.b.switch_to_block(block);
        self.reload();
        let failed = self.equals(sent, 0);
        self.check(failed);
        self.set(dst, Gen::fresh(sent, Ty::VALUE));
    }

    /// Yields that control never reaches have nowhere to go on.
    pub fn close_resume(&mut self) {
        let blocks = self.resume.as_mut().map(|r| std::mem::take(&mut r.blocks)).unwrap_or_default();
        for (_, block) in blocks {
            self.b.switch_to_block(block);
            let nowhere = self.nowhere;
            self.goto(nowhere, &[]);
        }
    }

    /// One step of `yield from`.
    pub fn send(&mut self, op: &Op, iter: u16, target: u32) {
        let (next, lanes) = self.step_core(op, false);
        self.taken(op);
        for (reg, lane) in lanes {
            self.set(reg, lane);
        }
        let over = self.equals(next, i64::from(target));
        let go = self.b.create_block();
        let stay = self.b.create_block();
        self.branch(over, go, stay);
        self.b.switch_to_block(go);
        // The iterator is gone at its end.
        let saved = self.now.clone();
        self.clear(iter);
        let block = self.block_of(target);
        self.goto(block, &[]);
        self.now = saved;
        self.b.switch_to_block(stay);
    }
}
