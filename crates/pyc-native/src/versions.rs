//! Loops in two versions: one for small integers, unboxed floats and ranges where the loop has them, one for anything.
//!
//! The analysis of [`crate::types`] cannot know what a parameter or an item of a list is, so a loop that computes with
//! one checks its tag again and again. Here a guess is made (what comes of a float constant is a float, what comes of
//! `range()` is an integer), checked once where the loop is entered, and the loop is translated a second time with the
//! guess as its types. Where the version cannot go on (a sum overflows, the registers are of another type when the
//! loop turns) control goes to the same op of the general version: both have the same registers, so nothing is rebuilt.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{Block, InstBuilder};
use pyc_ir::{BinaryOp, Code, Op};
use pyc_runtime::native::helpers::OTHER;
use pyc_runtime::native::{Helper, MARK};

use crate::lanes::{Gen, Lane, flags};
use crate::types::{Mode, Ty, Types, operands, stays_int};

/// Ops of a loop that gets a second version, at most.
const OPS_MAX: u32 = 200;
/// Versions in a function, at most.
const VERSIONS_MAX: usize = 8;

/// A loop's first and last op.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    fn holds(self, op: u32) -> bool {
        self.start <= op && op <= self.end
    }
}

/// A loop's version for chosen types.
pub(crate) struct Version {
    pub span: Span,
    /// What registers must be when the loop begins.
    wants: Vec<(u16, Ty)>,
    types: Types,
    /// Where the loop is entered from outside: the check.
    entry: Option<Block>,
    blocks: HashMap<u32, Block>,
}

/// The innermost loops that may get a version.
pub(crate) fn loops(code: &Code) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for (at, op) in code.ops.iter().enumerate() {
        let Some(target) = op.target().filter(|target| *target as usize <= at) else { continue };
        let end = at as u32;
        match found.iter_mut().find(|l| l.start == target) {
            Some(known) => known.end = end,
            None => found.push(Span { start: target, end }),
        }
    }
    let all = found.clone();
    found.retain(|l| {
        let inner = |other: &Span| other != l && l.holds(other.start);
        let suspends =
            || code.ops[l.start as usize..=l.end as usize].iter().any(|op| matches!(op, Op::Yield { .. }));
        l.end - l.start < OPS_MAX && !all.iter().any(inner) && !suspends()
    });
    found.truncate(VERSIONS_MAX);
    found
}

/// Where a version may have to go on in the general code: behind its arithmetic.
pub(crate) fn exits(code: &Code, loops: &[Span]) -> Vec<u32> {
    let ops = loops.iter().flat_map(|l| l.start..=l.end);
    ops.filter(|at| operands(&code.ops[*at as usize]).is_some()).map(|at| at + 1).collect()
}

/// Registers that a loop computes with.
fn computed(op: &Op) -> [Option<u16>; 2] {
    match *op {
        Op::Compare { left, right, .. } | Op::JumpCompare { left, right, .. } => [Some(left), Some(right)],
        Op::JumpCompareInt { left, .. } => [Some(left), None],
        Op::Index { key, .. } | Op::StoreIndex { key, .. } => [Some(key), None],
        _ => operands(op).map_or([None, None], |(_, left, right)| [Some(left), right]),
    }
}

impl Version {
    /// The versions that pay.
    pub fn choose(code: &Code, loops: &[Span], general: &Types) -> Vec<Version> {
        if loops.is_empty() {
            return Vec::new();
        }
        let guess = Types::of(code, &[], Mode::Guess);
        loops.iter().filter_map(|l| Version::of(code, *l, general, &guess)).collect()
    }

    fn of(code: &Code, span: Span, general: &Types, guess: &Types) -> Option<Version> {
        let known = general.at(span.start)?;
        let mut guesses: Vec<Ty> = guess.at(span.start)?.iter().map(|t| t.without(Ty::EMPTY)).collect();
        let ops = &code.ops[span.start as usize..=span.end as usize];
        // What is compared or counted with an integer all through the loop is one, too.
        let written = |reg: u16| {
            ops.iter().any(|op| {
                let mut writes = false;
                op.fields(|name, field| {
                    if let pyc_ir::Field::Reg(role, r) = field
                        && (role == pyc_ir::Role::Def || name == "dst")
                    {
                        writes |= (r..r + op.def_count() as u16).contains(&reg);
                    }
                });
                writes
            })
        };
        for op in ops {
            if let [Some(a), Some(b)] = computed(op) {
                for (one, other) in [(a, b), (b, a)] {
                    if guesses[usize::from(one)] == Ty::INT
                        && guesses[usize::from(other)] == Ty::NEVER
                        && other < code.first_temporary()
                        && !written(other)
                    {
                        guesses[usize::from(other)] = Ty::INT;
                    }
                }
            }
        }
        let mut wants = Vec::new();
        for (reg, (ty, guess)) in known.iter().zip(&guesses).enumerate() {
            let used = ops.iter().any(|op| computed(op).contains(&Some(reg as u16)));
            let fits = (*guess == Ty::INT || *guess == Ty::MARK) && ty.may(*guess) && ty != guess && used;
            let ranged = *guess == Ty::RANGE
                && ty.may(Ty::OTHER)
                && matches!(ops[0], Op::ForIter { iter, .. } if usize::from(iter) == reg)
                // The general code may do both at once: there is no place between them to go to.
                && !matches!(ops.get(1), Some(Op::Unpack { .. }));
            if fits || ranged {
                wants.push((reg as u16, *guess));
            }
        }
        if wants.is_empty() {
            return None;
        }
        let mut entry = known.to_vec();
        for (reg, ty) in &wants {
            entry[usize::from(*reg)] = *ty;
        }
        let types = Types::of_loop(code, span.start, span.end, &entry);
        Some(Version { span, wants, types, entry: None, blocks: HashMap::new() })
    }
}

impl Gen<'_, '_> {
    /// The block of an op as a jump from the current one reaches it.
    pub fn block_of(&self, target: u32) -> Block {
        if let Some(version) = self.version.map(|at| &self.versions[at])
            && version.span.holds(target)
            && let Some(block) = version.blocks.get(&target)
        {
            return *block;
        }
        let outside = self.version.is_some()
            || !self.versions.iter().any(|v| v.span.start == target && v.span.holds(self.pc));
        if outside
            && let Some(entry) = self.versions.iter().find(|v| v.span.start == target).and_then(|v| v.entry)
        {
            return entry;
        }
        self.general_block(target)
    }

    /// The block of an op in the general code.
    pub fn general_block(&self, target: u32) -> Block {
        self.blocks.get(&target).copied().unwrap_or(self.nowhere)
    }

    /// Makes the blocks that the general code needs of the versions.
    pub fn announce_versions(&mut self) {
        for at in 0..self.versions.len() {
            let entry = self.b.create_block();
            self.versions[at].entry = Some(entry);
        }
    }

    /// Translates the versions, after the general code.
    pub fn emit_versions(&mut self) {
        for at in 0..self.versions.len() {
            let span = self.versions[at].span;
            let starts = self.versions[at].types.starts().to_vec();
            for op in starts {
                if self.versions[at].types.at(op).is_some() {
                    let block = self.b.create_block();
                    self.versions[at].blocks.insert(op, block);
                }
            }
            let (Some(entry), Some(first)) =
                (self.versions[at].entry, self.versions[at].blocks.get(&span.start).copied())
            else {
                continue;
            };
            // The check.
            let general = self.general_block(span.start);
            self.b.switch_to_block(entry);
            match self.types.at(span.start) {
                Some(types) => self.now.copy_from_slice(types),
                None => {
                    self.goto(general, &[]);
                    continue;
                }
            }
            self.pc = span.start;
            self.check_wants(at, general);
            self.goto(first, &[]);
            self.version = Some(at);
            let mut open = false;
            let mut done = 0;
            for op in span.start..=span.end {
                if op < done {
                    continue;
                }
                if self.fused == Some(op) {
                    self.fused = None;
                    continue;
                }
                if self.versions[at].types.is_start(op) {
                    let Some(block) = self.versions[at].blocks.get(&op).copied() else {
                        open = false;
                        continue;
                    };
                    if open {
                        self.goto(block, &[]);
                    }
                    self.b.switch_to_block(block);
                    let Some(types) = self.versions[at].types.at(op) else { continue };
                    self.now.copy_from_slice(types);
                    open = true;
                }
                if !open {
                    continue;
                }
                self.pc = op;
                let next = self.super_pair(op);
                let op = self.code.ops[op as usize];
                if let Some(next) = next {
                    self.super_method(&op, &next);
                    done = self.pc + 1;
                    continue;
                }
                open = self.emit(&op);
            }
            if open {
                let block = self.block_of(span.end + 1);
                self.goto(block, &[]);
            }
            self.version = None;
        }
    }

    /// Goes on when the registers are as a version wants them; else to `no`.
    fn check_wants(&mut self, at: usize, no: Block) {
        for place in 0..self.versions[at].wants.len() {
            let (reg, want) = self.versions[at].wants[place];
            if self.ty(reg) == want {
                continue;
            }
            let tag = self.tag(reg);
            match want {
                Ty::INT => {
                    let odd = self.is_odd(tag);
                    self.guard(odd, no);
                }
                Ty::MARK => {
                    let mark = self.equals(tag, MARK as i64);
                    self.guard(mark, no);
                }
                _ => {
                    let object = self.is_object(tag);
                    self.guard(object, no);
                    let kind = self.b.ins().uload8(I32, flags(), tag, self.layout.object_kind);
                    let range = i64::from(self.layout.kind_range_iter);
                    let range = self.b.ins().icmp_imm_s(IntCC::Equal, kind, range);
                    self.guard(range, no);
                }
            }
        }
    }

    /// A jump back to the start of the version's loop.
    pub fn turn(&mut self, target: u32) -> bool {
        let Some(at) = self.version.filter(|at| self.versions[*at].span.start == target) else {
            return false;
        };
        let general = self.general_block(target);
        let no = self.cold();
        let wants_more =
            self.versions[at].wants.iter().any(|(reg, want)| self.now[usize::from(*reg)] != *want);
        self.check_wants(at, no);
        let first = self.versions[at].blocks.get(&target).copied().unwrap_or(general);
        self.goto(first, &[]);
        if wants_more {
            self.b.switch_to_block(no);
            self.goto(general, &[]);
        }
        true
    }

    /// Arithmetic of small integers in a version; an overflow leaves it.
    pub fn version_integers(&mut self, op: BinaryOp, word: u64, dst: u16, a: Lane, b: Lane) -> bool {
        if self.version.is_none() || a.ty != Ty::INT || b.ty != Ty::INT || !stays_int(op) {
            return false;
        }
        let slow = self.cold();
        let Some(result) = self.integers(op, a.tag, b.tag, slow) else { return false };
        let go = self.b.create_block();
        self.goto(go, &[]);
        self.b.switch_to_block(slow);
        let saved = self.now.clone();
        let (tag, _) = self.slow_numbers(Helper::Binary, op as u64 | word & OTHER, a, b);
        self.set(dst, Gen::fresh(tag, Ty::INT.or(Ty::OTHER)));
        let general = self.general_block(self.pc + 1);
        self.goto(general, &[]);
        self.now = saved;
        self.b.switch_to_block(go);
        self.set(dst, Gen::fresh(result, Ty::INT));
        true
    }
}
