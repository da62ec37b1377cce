//! Ops that the interpreter runs, on registers that go through memory.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F64, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use pyc_ir::{Field, NO_REG, Op, Role};
use pyc_runtime::Value as Object;
use pyc_runtime::native::{Helper, MARK};

use crate::lanes::{Gen, Lane, WORD, constant, flags};
use crate::types::{Mode, Ty, apply};

/// The registers that an op reads, and those that it writes.
fn registers_of(op: &Op) -> (Vec<u16>, Vec<u16>) {
    let (mut read, mut written) = (Vec::new(), Vec::new());
    op.fields(|name, field| match field {
        Field::Reg(_, NO_REG) => {}
        Field::Base(first) => read.extend(first..first + op.base_count() as u16),
        Field::Reg(role, reg) if role == Role::Def || name == "dst" => {
            written.extend(reg..reg + op.def_count() as u16);
        }
        Field::Reg(_, reg) => read.push(reg),
        _ => {}
    });
    match *op {
        Op::MatchGroup { exc, .. } => written.push(exc),
        // The callee's self stands behind it.
        Op::WithExit { base, .. } => read.push(base + 1),
        _ => {}
    }
    read.sort_unstable();
    read.dedup();
    (read, written)
}

/// Something that a window's slot holds beside what the register holds.
struct Extra {
    reg: u16,
    tag: Value,
    /// The register's tag, when only an unboxed float made an object.
    only: Option<Value>,
    ty: Ty,
}

impl Gen<'_, '_> {
    /// The interpreter's op.
    pub fn step(&mut self, op: &Op, quiet: bool) {
        let (_, lanes) = self.step_core(op, quiet);
        self.taken(op);
        for (reg, lane) in lanes {
            self.set(reg, lane);
        }
        // Two ops leave what they took in its place.
        let left = match *op {
            Op::ListToTuple { dst, src } if src != dst => Some(src),
            Op::DictWithout { dst, keys, .. } if keys != dst => Some(keys),
            _ => None,
        };
        if let Some(reg) = left.filter(|reg| !self.is_local(*reg)) {
            let tag = self.b.ins().stack_load(I64, I64, self.window, i32::from(reg) * 8);
            self.drop_lane(tag, Ty::VALUE);
        }
        if let Op::CheckLocal { reg, .. } = *op {
            self.now[usize::from(reg)] = self.ty(reg).without(Ty::EMPTY);
        }
    }

    /// Ends the slow path of an op that has a quick one: the interpreter's op, then on to `done` with its result.
    pub fn slow_step(&mut self, op: &Op, slow: Block, done: Block, with_float: bool) {
        self.b.switch_to_block(slow);
        let saved = self.now.clone();
        let (_, lanes) = self.step_core(op, false);
        let mut arguments = Vec::new();
        if let Some((_, lane)) = lanes.first() {
            arguments.push(lane.tag);
            if with_float {
                arguments.push(lane.float.unwrap_or_else(|| self.b.ins().f64const(0.0)));
            }
        }
        self.goto(done, &arguments);
        self.now = saved;
    }

    /// Forgets the registers that an op has taken.
    pub fn taken(&mut self, op: &Op) {
        for reg in registers_of(op).0 {
            if self.leaves(op, reg) && self.ty(reg) != Ty::EMPTY {
                self.clear(reg);
            }
        }
    }

    /// Runs an op on the window: the next op's place, and what it wrote. The registers it took are gone from the
    /// window; [`Gen::taken`] says so. What a written register held stays with the register.
    pub fn step_core(&mut self, op: &Op, quiet: bool) -> (Value, Vec<(u16, Lane)>) {
        let (read, written) = registers_of(op);
        let mut extras: Vec<Extra> = Vec::new();
        for reg in read.iter().copied() {
            let lane = self.peek(reg);
            let (tag, made) = self.boxed(lane);
            self.b.ins().stack_store(I64, tag, self.window, i32::from(reg) * 8);
            let leaves = self.leaves(op, reg);
            if written.contains(&reg) && !leaves {
                // The op drops what the slot holds when it writes; the register keeps its own.
                if made {
                    // Only a float that was boxed here needs no second reference.
                    let known = lane.ty.without(Ty::MARK);
                    self.retain(lane.tag, known.or(if known == Ty::NEVER { Ty::NEVER } else { Ty::INT }));
                } else {
                    self.retain(tag, lane.ty);
                }
                extras.push(Extra {
                    reg,
                    tag,
                    only: None,
                    ty: lane.ty.without(Ty::MARK).or(Ty::OBJECT).or(Ty::INT),
                });
            } else if made && !leaves {
                let only = (lane.ty != Ty::MARK).then_some(lane.tag);
                extras.push(Extra { reg, tag, only, ty: Ty::FLOAT });
            }
        }
        let empty = self.int(constant(&Object::UNBOUND));
        for reg in written.iter().copied().filter(|reg| !read.contains(reg)) {
            self.b.ins().stack_store(I64, empty, self.window, i32::from(reg) * 8);
        }
        self.note_pc();
        let frame = self.frame_address();
        let window = self.b.ins().stack_addr(I64, self.window, 0);
        let pc = self.int(i64::from(self.pc));
        let next = self.call(Helper::Step, &[frame, window, pc], &[], WORD)[0];
        let failed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, next, 0);
        let error = self.cold();
        self.guard_not(failed, error);
        let here = self.b.current_block();
        self.b.switch_to_block(error);
        let saved = self.now.clone();
        self.drop_extras(&extras, &[]);
        self.taken(op);
        self.raise(quiet);
        self.now = saved;
        if let Some(here) = here {
            self.b.switch_to_block(here);
        }
        self.drop_extras(&extras, &written);
        let mut after = self.now.clone();
        apply(self.code, op, &mut after, if self.version.is_some() { Mode::Version } else { Mode::Sound });
        let mut lanes = Vec::new();
        for reg in written {
            let ty = after[usize::from(reg)];
            let tag = self.b.ins().stack_load(I64, I64, self.window, i32::from(reg) * 8);
            let held = ty.without(Ty::MARK).or(if ty.may(Ty::MARK) { Ty::FLOAT } else { Ty::NEVER });
            let lane = if ty.may(Ty::MARK) && !ty.may(Ty::FLOAT) {
                self.unbox(Gen::fresh(tag, held), ty)
            } else {
                let float = ty.may(Ty::MARK).then(|| self.b.ins().f64const(0.0));
                Lane { tag, float, ty, own: true }
            };
            lanes.push((reg, lane));
        }
        (next, lanes)
    }

    /// Whether an op moves a register's value out of the window.
    fn leaves(&self, op: &Op, reg: u16) -> bool {
        let mut leaves = false;
        op.fields(|_, field| match field {
            Field::Reg(Role::Take, r) if r == reg => {
                leaves |= !self.is_local(reg)
                    || matches!(op, Op::MakeCell { .. } | Op::Drop { .. } | Op::DeleteLocal { .. });
            }
            Field::Base(first) => leaves |= (first..first + op.base_count() as u16).contains(&reg),
            _ => {}
        });
        leaves
    }

    fn drop_extras(&mut self, extras: &[Extra], written: &[u16]) {
        for extra in extras.iter().filter(|e| !written.contains(&e.reg)) {
            let Some(only) = extra.only else {
                self.drop_lane(extra.tag, extra.ty);
                continue;
            };
            let (made, done) = (self.b.create_block(), self.b.create_block());
            let mark = self.equals(only, MARK as i64);
            self.branch(mark, made, done);
            self.b.switch_to_block(made);
            self.drop_lane(extra.tag, extra.ty);
            self.goto(done, &[]);
            self.b.switch_to_block(done);
        }
    }

    /// An owned value with its float taken out of the object, when it is one.
    pub fn unbox(&mut self, lane: Lane, ty: Ty) -> Lane {
        let done = self.b.create_block();
        let tag = self.b.append_block_param(done, I64);
        let float = self.b.append_block_param(done, F64);
        let nothing = self.b.ins().f64const(0.0);
        let other = self.b.create_block();
        let object = self.is_object(lane.tag);
        self.guard(object, other);
        let exact = self.is_exactly(lane.tag, self.layout.kind_float);
        self.guard(exact, other);
        let number = self.b.ins().load(F64, flags(), lane.tag, self.layout.float_value);
        self.drop_lane(lane.tag, Ty::FLOAT);
        let mark = self.int(MARK as i64);
        self.goto(done, &[mark, number]);
        self.b.switch_to_block(other);
        self.goto(done, &[lane.tag, nothing]);
        self.b.switch_to_block(done);
        Lane { tag, float: Some(float), ty, own: true }
    }
}
