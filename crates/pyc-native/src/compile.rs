//! From code to bytes.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F64, I32, I64};
use cranelift_codegen::ir::{Function, InstBuilder, TrapCode, UserFuncName};
use cranelift_codegen::isa::{OwnedTargetIsa, lookup_by_name};
use cranelift_codegen::settings::{Configurable, Flags, builder};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use pyc_ir::{Code, Op};
use pyc_runtime::Value as Object;
use pyc_runtime::native::{Blob, Helper, Layout, LoadError};

use crate::generators::{self, Resume};
use crate::lanes::{Gen, LANE, NOTHING, WORD, constant, flags, signature, slot};
use crate::types::{Mode, Ty, Types, parameters};
use crate::versions::{self, Version};

/// Code with more ops or registers than this stays with the interpreter.
const OPS_MAX: usize = 3000;
const REGISTERS_MAX: u16 = 400;

/// Machine code of one or more pieces of code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Position-independent code without relocations.
    pub bytes: Vec<u8>,
    /// For each piece that was compiled: its place in the input, and what [`Blob::load`] wants.
    pub entries: Vec<(usize, [u64; 3])>,
    /// [`Layout::hash`] of the runtime that it fits.
    pub layout: u64,
}

impl Machine {
    /// Maps it.
    ///
    /// # Errors
    /// As [`Blob::load`].
    pub fn load(&self) -> Result<Blob, LoadError> {
        let places: Vec<[u64; 3]> = self.entries.iter().map(|e| e.1).collect();
        Blob::load(&self.bytes, self.layout, &places)
    }
}

/// Names whose users look at their own frame's variables, which machine frames do not show.
const FRAME_NAMES: &[&str] = &[
    "locals",
    "vars",
    "dir",
    "eval",
    "exec",
    "_getframe",
    "currentframe",
    "f_locals",
    "gi_frame",
    "cr_frame",
];

/// Whether a piece of code can be compiled: functions and generators that do not look at their frame.
pub fn compilable(code: &Code) -> bool {
    let f = code.flags;
    // Class bodies are code without a function, too; their namespace is not the module's.
    let module = !f.function && &*code.name == "<module>";
    cfg!(all(target_arch = "x86_64", unix))
        && (f.function || module)
        && !f.coroutine
        && code.ops.len() <= OPS_MAX
        && code.registers <= REGISTERS_MAX
        && !code.names.iter().any(|n| FRAME_NAMES.contains(&&**n))
        && !code.ops.iter().any(|op| {
            !module && matches!(op, Op::Import { .. })
                || matches!(
                    op,
                    Op::LoadLocals { .. }
                        | Op::LoadClassCell { .. }
                        | Op::ImportStar { .. }
                        | Op::YieldAsync { .. }
                )
        })
}

/// Where jumps and handlers lead.
fn targets(code: &Code) -> HashSet<u32> {
    code.ops.iter().filter_map(Op::target).chain(code.handlers.iter().map(|h| h.target)).collect()
}

/// The compiler: make it once, use it often.
pub struct Compiler {
    isa: OwnedTargetIsa,
    layout: Layout,
    context: Context,
    builder: FunctionBuilderContext,
}

impl Compiler {
    /// A compiler for this machine's architecture; nothing where there is none.
    pub fn new() -> Option<Compiler> {
        if !cfg!(all(target_arch = "x86_64", unix)) {
            return None;
        }
        let mut shared = builder();
        for (name, value) in [
            ("opt_level", "speed"),
            ("enable_verifier", "false"),
            ("enable_probestack", "false"),
            ("unwind_info", "false"),
            ("is_pic", "true"),
        ] {
            shared.set(name, value).ok()?;
        }
        // The same code on every machine: only what each x86-64 has.
        let isa = lookup_by_name("x86_64-unknown-linux-gnu").ok()?.finish(Flags::new(shared)).ok()?;
        Some(Compiler {
            isa,
            layout: Layout::current(),
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
        })
    }

    /// Compiles the pieces that can be compiled.
    pub fn compile(&mut self, codes: &[&Code]) -> Machine {
        let mut machine = Machine { layout: self.layout.hash(), ..Machine::default() };
        for (at, code) in codes.iter().enumerate() {
            if !compilable(code) {
                continue;
            }
            let start = machine.bytes.len();
            if code.flags.generator {
                if let Some(resume) = self.place(&mut machine.bytes, |this, f| this.direct(code, f)) {
                    machine.entries.push((at, [resume, resume, u64::MAX]));
                }
                continue;
            }
            let Some(direct) = self.place(&mut machine.bytes, |this, function| this.direct(code, function))
            else {
                machine.bytes.truncate(start);
                continue;
            };
            let Some(array) = self.place(&mut machine.bytes, |this, function| this.array(code, function))
            else {
                machine.bytes.truncate(start);
                continue;
            };
            let f = code.flags;
            let simple = if f.varargs || f.varkeywords || code.kwonlyargcount > 0 {
                u64::MAX
            } else {
                u64::from(code.argcount)
            };
            machine.entries.push((at, [direct, array, simple]));
        }
        machine
    }

    /// Compiles one function and appends it; its offset.
    fn place(&mut self, bytes: &mut Vec<u8>, make: impl FnOnce(&mut Compiler, &mut Function)) -> Option<u64> {
        let mut function = Function::with_name_signature(UserFuncName::default(), signature(0, 0, NOTHING));
        make(self, &mut function);
        self.context.clear();
        self.context.func = function;
        let compiled = self.context.compile(&*self.isa, &mut ControlPlane::default());
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(error) => {
                debug_assert!(false, "{error:?}");
                return None;
            }
        };
        if !compiled.buffer.relocs().is_empty() {
            debug_assert!(false, "a relocation in machine code");
            return None;
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0xcc);
        let at = bytes.len() as u64;
        bytes.extend_from_slice(compiled.code_buffer());
        Some(at)
    }

    /// The entry that takes parameters from memory.
    fn array(&mut self, code: &Code, function: &mut Function) {
        function.signature = signature(3, 0, LANE);
        let count = parameters(code);
        let mut b = FunctionBuilder::new(function, &mut self.builder);
        let block = b.create_block();
        b.append_block_params_for_function_params(block);
        b.switch_to_block(block);
        let [vm, callee, arguments] = *b.block_params(block) else { return };
        let l = &self.layout;
        let empty = b.ins().iconst(I64, constant(&Object::UNBOUND));
        let mut words = vec![vm, callee];
        for at in 0..count as i32 {
            words.push(b.ins().load(I64, flags(), arguments, at * 8));
            b.ins().store(flags(), empty, arguments, at * 8);
        }
        let code = b.ins().load(I64, flags(), callee, l.function_code);
        let entry = b.ins().load(I64, flags(), code, l.code_native);
        let direct = b.ins().load(I64, flags(), entry, l.entry_direct);
        let to = b.import_signature(signature(words.len(), 0, LANE));
        let call = b.ins().call_indirect(to, direct, &words);
        let results = b.inst_results(call).to_vec();
        b.ins().return_(&results);
        b.seal_all_blocks();
        b.finalize(self.isa.frontend_config());
    }

    fn direct(&mut self, code: &Code, function: &mut Function) {
        let generator = code.flags.generator;
        let count = if generator { generators::PARAMETERS } else { parameters(code) };
        function.signature = signature(2 + count, 0, LANE);
        let loops = versions::loops(code);
        let types = Types::of(code, &versions::exits(code, &loops), Mode::Sound);
        let versions = Version::choose(code, &loops, &types);
        let mut b = FunctionBuilder::new(function, &mut self.builder);
        let start = b.create_block();
        b.append_block_params_for_function_params(start);
        b.switch_to_block(start);
        let given = b.block_params(start).to_vec();
        let registers = usize::from(code.registers);
        let tags = (0..registers).map(|_| b.declare_var(I64)).collect();
        let floats = (0..registers).map(|_| b.declare_var(F64)).collect();
        let mut blocks = HashMap::new();
        for op in types.starts() {
            if types.at(*op).is_some() {
                blocks.insert(*op, b.create_block());
            }
        }
        let [raising, unwind, nowhere] = [(); 3].map(|()| b.create_block());
        for block in [raising, unwind, nowhere] {
            b.set_cold_block(block);
        }
        let frame = slot(&mut b, self.layout.frame_size as u32);
        let window = slot(&mut b, u32::from(code.registers) * 8);
        let zero = b.ins().iconst(I64, 0);
        let mut gen_ = Gen {
            b,
            code,
            layout: &self.layout,
            types: &types,
            temporaries: code.first_temporary(),
            now: vec![Ty::EMPTY; registers],
            tags,
            floats,
            blocks,
            vm: given[0],
            function: given[1],
            code_object: zero,
            frame,
            window,
            raising,
            unwind,
            nowhere,
            below: zero,
            depth: zero,
            pc: 0,
            fused: None,
            versions,
            version: None,
            resume: generator.then(|| Resume::new(&given[2..])),
            targets: targets(code),
            signatures: HashMap::new(),
        };
        gen_.announce_versions();
        gen_.prologue(if generator { &[] } else { &given[2..] });
        gen_.body();
        gen_.emit_versions();
        gen_.close_resume();
        gen_.unwinding();
        gen_.b.seal_all_blocks();
        gen_.b.finalize(self.isa.frontend_config());
    }
}

impl Gen<'_, '_> {
    fn prologue(&mut self, given: &[cranelift_codegen::ir::Value]) {
        let l = self.layout;
        let empty = self.int(constant(&Object::UNBOUND));
        for reg in 0..self.tags.len() {
            let tag = given.get(reg).copied().unwrap_or(empty);
            self.b.def_var(self.tags[reg], tag);
        }
        let (failed, fine) = (self.cold(), self.b.create_block());
        self.depth = self.load(self.vm, l.vm_depth);
        let limit = self.load(self.vm, l.vm_recursion_limit);
        let room = self.b.ins().icmp(IntCC::UnsignedLessThan, self.depth, limit);
        self.guard(room, failed);
        let here = self.frame_address();
        let stack = self.load(self.vm, l.vm_stack_limit);
        let above = self.b.ins().icmp(IntCC::UnsignedGreaterThan, here, stack);
        self.branch(above, fine, failed);
        self.b.switch_to_block(failed);
        // Perhaps only another thread's stack; if not, the caller gets the exception.
        let good = self.call(Helper::Enter, &[], &[], WORD)[0];
        let bad = self.cold();
        self.branch(good, fine, bad);
        self.b.switch_to_block(bad);
        for value in given {
            self.call(Helper::Drop, &[*value], &[], NOTHING);
        }
        let zero = self.int(0);
        let nothing = self.b.ins().f64const(0.0);
        self.b.ins().return_(&[zero, nothing]);
        self.b.switch_to_block(fine);
        let deeper = self.b.ins().iadd_imm_s(self.depth, 1);
        self.store(self.vm, l.vm_depth, deeper);
        self.below = self.load(self.vm, l.vm_top);
        self.code_object = match &self.resume {
            Some(resume) => resume.code,
            None => self.load(self.function, l.function_code),
        };
        let frame = self.frame_address();
        self.store(frame, l.frame_previous, self.below);
        self.store(frame, l.frame_function, self.function);
        self.store(frame, l.frame_code, self.code_object);
        let clear = self.b.ins().iconst(I32, 0);
        self.b.ins().store(flags(), clear, frame, l.frame_pc);
        self.b.ins().store(flags(), clear, frame, l.frame_flags);
        self.store(self.vm, l.vm_top, frame);
        if self.resume.is_some() {
            self.dispatch();
            return;
        }
        // Cells from outside are borrowed from the closure, whose length was checked when the function was made.
        let frees = self.code.frees.len();
        if frees > 0 {
            let closure = self.load(self.function, l.function_closure);
            let items = self.load(closure, l.tuple_items);
            let first = self.code.locals.len() + self.code.cells.len();
            for at in 0..frees {
                let cell = self.load(items, at as i32 * 8);
                self.b.def_var(self.tags[first + at], cell);
            }
        }
        if let Some(types) = self.types.at(0) {
            self.now.copy_from_slice(types);
        }
        self.tick();
        if let Some(block) = self.blocks.get(&0).copied() {
            self.goto(block, &[]);
        }
    }

    fn body(&mut self) {
        let mut open = false;
        let mut done = 0;
        for at in 0..self.code.ops.len() as u32 {
            if at < done {
                continue;
            }
            if self.fused == Some(at) {
                self.fused = None;
                continue;
            }
            if self.types.is_start(at) {
                let Some(types) = self.types.at(at) else {
                    open = false;
                    continue;
                };
                let Some(block) = self.blocks.get(&at).copied() else { continue };
                if open {
                    let entry = self.block_of(at);
                    self.goto(entry, &[]);
                }
                self.b.switch_to_block(block);
                self.now.copy_from_slice(types);
                open = true;
            }
            if !open {
                continue;
            }
            self.pc = at;
            let op = self.code.ops[at as usize];
            if let Some(next) = self.super_pair(at) {
                self.super_method(&op, &next);
                done = at + 2;
                continue;
            }
            open = self.emit(&op);
        }
    }

    /// Where exceptions leave the function.
    fn unwinding(&mut self) {
        let (raising, unwind, nowhere) = (self.raising, self.unwind, self.nowhere);
        let pc = self.b.append_block_param(raising, I64);
        let held = self.b.append_block_param(raising, I64);
        self.b.switch_to_block(raising);
        let frame = self.frame_address();
        let loud = self.int(0);
        self.call(Helper::Raise, &[frame, pc, loud], &[], WORD);
        self.goto(unwind, &[held]);
        let held = self.b.append_block_param(unwind, I64);
        self.b.switch_to_block(unwind);
        self.pc = 0;
        self.now.fill(Ty::NEVER);
        self.leave(std::iter::empty());
        let window = self.b.ins().stack_addr(I64, self.window, 0);
        let count = self.int(i64::from(self.code.registers));
        self.call(Helper::DropHeld, &[window, held, count], &[], NOTHING);
        let zero = self.int(0);
        let nothing = self.b.ins().f64const(0.0);
        self.b.ins().return_(&[zero, nothing]);
        self.b.switch_to_block(nowhere);
        self.b.ins().trap(TrapCode::unwrap_user(1));
    }
}
