//! What a register may hold at each op: a forward analysis over sets of tags.

use pyc_ir::{BinaryOp, Code, Const, Field, NO_REG, Op, Role, UnaryOp};

/// A set of what a lane's tag may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ty(u16);

impl Ty {
    pub const NEVER: Ty = Ty(0);
    /// The empty value.
    pub const EMPTY: Ty = Ty(1);
    /// A small integer.
    pub const INT: Ty = Ty(2);
    /// An unboxed float.
    pub const MARK: Ty = Ty(4);
    pub const BOOL: Ty = Ty(8);
    /// None and the other constants.
    pub const CONST: Ty = Ty(16);
    /// A float object.
    pub const FLOAT: Ty = Ty(32);
    /// A list object of the builtin type.
    pub const LIST: Ty = Ty(64);
    /// A tuple object of the builtin type.
    pub const TUPLE: Ty = Ty(128);
    /// Any other object, large integers included.
    pub const OTHER: Ty = Ty(256);
    /// The mark for the very function that is running, about to be called.
    pub const ITSELF: Ty = Ty(512);
    /// An iterator over a range of machine integers; only told apart in a loop's version for it.
    pub const RANGE: Ty = Ty(1024);
    pub const OBJECT: Ty = Ty(32 | 64 | 128 | 256 | 1024);
    /// Anything but the empty value and an unboxed float.
    pub const VALUE: Ty = Ty(2 | 8 | 16 | 32 | 64 | 128 | 256);
    /// Anything that is there.
    pub const ANY: Ty = Ty(2 | 4 | 8 | 16 | 32 | 64 | 128 | 256);
    /// Anything that is there, floats unboxed.
    pub const FRESH: Ty = Ty(2 | 4 | 8 | 16 | 64 | 128 | 256);

    pub const fn or(self, other: Ty) -> Ty {
        Ty(self.0 | other.0)
    }
    pub const fn without(self, other: Ty) -> Ty {
        Ty(self.0 & !other.0)
    }
    pub const fn may(self, other: Ty) -> bool {
        self.0 & other.0 != 0
    }
    pub const fn within(self, other: Ty) -> bool {
        self.0 & !other.0 == 0
    }
    fn is_int(self) -> bool {
        self.within(Ty::INT.or(Ty::BOOL))
    }
    fn is_float(self) -> bool {
        self.within(Ty::MARK.or(Ty::FLOAT))
    }
    fn is_number(self) -> bool {
        self.within(Ty::INT.or(Ty::BOOL).or(Ty::MARK).or(Ty::FLOAT))
    }
}

/// The result of a binary operator.
pub(crate) fn binary(op: BinaryOp, a: Ty, b: Ty) -> Ty {
    let (a, b) = (a.without(Ty::EMPTY), b.without(Ty::EMPTY));
    let floats = a.is_number() && b.is_number() && (a.is_float() || b.is_float());
    let ints = a.is_int() && b.is_int();
    let large = Ty::INT.or(Ty::OTHER);
    match op {
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::FloorDiv | BinaryOp::Mod if floats => {
            Ty::MARK
        }
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::FloorDiv | BinaryOp::Mod if ints => large,
        BinaryOp::Mul if a == Ty::LIST && b.is_int() || b == Ty::LIST && a.is_int() => Ty::LIST,
        BinaryOp::Add if a == Ty::LIST && b == Ty::LIST => Ty::LIST,
        BinaryOp::Div if a.is_number() && b.is_number() => Ty::MARK,
        BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::LShift | BinaryOp::RShift if ints => {
            large.or(Ty::BOOL)
        }
        _ => Ty::FRESH,
    }
}

/// The result of a unary operator.
pub(crate) fn unary(op: UnaryOp, a: Ty) -> Ty {
    let a = a.without(Ty::EMPTY);
    match op {
        UnaryOp::Neg | UnaryOp::Pos if a.is_float() => Ty::MARK,
        _ if a.is_int() => Ty::INT.or(Ty::OTHER),
        _ => Ty::FRESH,
    }
}

/// The result of a comparison.
pub(crate) fn compare(a: Ty, b: Ty) -> Ty {
    if a.is_number() && b.is_number() { Ty::BOOL } else { Ty::FRESH }
}

fn constant(value: &Const) -> Ty {
    match value {
        Const::None | Const::Ellipsis => Ty::CONST,
        Const::Bool(_) => Ty::BOOL,
        Const::Int(n) if small(*n) => Ty::INT,
        Const::Float(_) => Ty::MARK,
        Const::Tuple(_) => Ty::TUPLE,
        _ => Ty::OTHER,
    }
}

/// Whether an integer is stored in the tag.
pub(crate) fn small(n: i64) -> bool {
    (n << 1) >> 1 == n
}

/// What an analysis is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// What may be.
    Sound,
    /// The same inside a loop's version, which is left where a small integer overflows.
    Version,
    /// What will be, when nothing speaks against it: only to choose versions by. Nothing known is [`Ty::NEVER`].
    Guess,
}

/// Operators that a version of a loop takes from small integers to small integers.
pub(crate) fn stays_int(op: BinaryOp) -> bool {
    !matches!(op, BinaryOp::Div | BinaryOp::Pow | BinaryOp::MatMul)
}

fn mixed(mode: Mode, op: BinaryOp, a: Ty, b: Ty) -> Ty {
    match mode {
        Mode::Sound => binary(op, a, b),
        Mode::Version if a == Ty::INT && b == Ty::INT && stays_int(op) => Ty::INT,
        Mode::Version => binary(op, a, b),
        Mode::Guess if a == Ty::MARK || b == Ty::MARK || op == BinaryOp::Div => Ty::MARK,
        Mode::Guess if a == Ty::INT || b == Ty::INT => Ty::INT,
        Mode::Guess => Ty::NEVER,
    }
}

/// The operands and the operator of arithmetic; a small number is no register.
pub(crate) fn operands(op: &Op) -> Option<(BinaryOp, u16, Option<u16>)> {
    match *op {
        Op::Add { left, right, .. } => Some((BinaryOp::Add, left, Some(right))),
        Op::Sub { left, right, .. } => Some((BinaryOp::Sub, left, Some(right))),
        Op::Mul { left, right, .. } => Some((BinaryOp::Mul, left, Some(right))),
        Op::AddInt { left, .. } => Some((BinaryOp::Add, left, None)),
        Op::SubInt { left, .. } => Some((BinaryOp::Sub, left, None)),
        Op::Binary { op, left, right, .. } | Op::InPlace { op, left, right, .. } => {
            Some((op, left, Some(right)))
        }
        _ => None,
    }
}

/// The guess for an op's result.
fn guess(code: &Code, op: &Op, types: &[Ty]) -> Ty {
    let get = |reg: u16| types[usize::from(reg)];
    match *op {
        Op::Const { value, .. } => constant(&code.consts[usize::from(value)]),
        Op::Move { src, .. } | Op::Copy { src, .. } | Op::GetIter { src, .. } | Op::Unary { src, .. } => {
            get(src)
        }
        // The builtin is taken for what its name says.
        Op::LoadGlobal { name, .. } if &*code.names[usize::from(name)] == "range" => Ty::RANGE,
        Op::Call { base, .. } if get(base) == Ty::RANGE => Ty::RANGE,
        Op::ForIter { iter, .. } if get(iter) == Ty::RANGE => Ty::INT,
        Op::Len { .. } => Ty::INT,
        _ => Ty::NEVER,
    }
}

/// Changes the registers' types as an op does when it ends well and control goes to the next op.
pub(crate) fn apply(code: &Code, op: &Op, types: &mut [Ty], mode: Mode) {
    let temporaries = code.first_temporary();
    let get = |types: &[Ty], reg: u16| types[usize::from(reg)];
    let result = match *op {
        _ if let Some((op, left, right)) = operands(op) => {
            mixed(mode, op, get(types, left), right.map_or(Ty::INT, |right| get(types, right)))
        }
        _ if mode == Mode::Guess => guess(code, op, types),
        Op::ForIter { iter, .. } if get(types, iter) == Ty::RANGE => Ty::INT,
        Op::Const { value, .. } => constant(&code.consts[usize::from(value)]),
        Op::Move { src, .. } | Op::Copy { src, .. } => get(types, src),
        Op::Unary { op, src, .. } => unary(op, get(types, src)),
        Op::Compare { left, right, .. } => compare(get(types, left), get(types, right)),
        Op::Not { .. }
        | Op::ToBool { .. }
        | Op::Is { .. }
        | Op::Contains { .. }
        | Op::MatchException { .. }
        | Op::MatchSequence { .. }
        | Op::MatchMapping { .. } => Ty::BOOL,
        Op::BuildTuple { .. } | Op::ListToTuple { .. } | Op::StarArgs { .. } => Ty::TUPLE,
        Op::BuildList { .. } => Ty::LIST,
        Op::BuildSet { .. }
        | Op::BuildDict { .. }
        | Op::BuildString { .. }
        | Op::BuildSlice { .. }
        | Op::GetIter { .. }
        | Op::MakeCell { .. }
        | Op::MakeFunction { .. } => Ty::OTHER,
        Op::Len { .. } => Ty::INT,
        Op::LoadGlobal { name, cache, .. } if calls_itself(code, name, cache) => Ty::VALUE.or(Ty::ITSELF),
        // A float object that goes into a local keeps its identity.
        Op::Call { dst, .. } | Op::CallKw { dst, .. } if dst < temporaries => Ty::ANY,
        Op::Call { .. } | Op::CallKw { .. } => Ty::FRESH,
        Op::Index { dst, .. } | Op::LoadAttr { dst, .. } if dst >= temporaries => Ty::FRESH,
        _ => Ty::VALUE,
    };
    let mut written = None;
    op.fields(|name, field| match field {
        Field::Reg(Role::Take, reg) if reg != NO_REG => {
            let moved = reg >= temporaries
                || matches!(op, Op::MakeCell { .. } | Op::Drop { .. } | Op::DeleteLocal { .. });
            if moved {
                types[usize::from(reg)] = Ty::EMPTY;
            }
        }
        Field::Base(first) => {
            for reg in first..first + op.base_count() as u16 {
                types[usize::from(reg)] = Ty::EMPTY;
            }
        }
        Field::Reg(Role::Def, reg) => written = Some(reg),
        Field::Reg(_, reg) if name == "dst" => written = Some(reg),
        _ => {}
    });
    if let Some(first) = written {
        for reg in first..first + op.def_count() as u16 {
            types[usize::from(reg)] = result;
        }
        // The second register holds self, or nothing.
        if matches!(op, Op::LoadMethod { .. } | Op::LoadSpecial { .. }) {
            types[usize::from(first) + 1] = Ty::VALUE.or(Ty::EMPTY);
        }
    }
    match *op {
        Op::LeaveHandler { saved } => types[usize::from(saved)] = Ty::EMPTY,
        Op::CheckLocal { reg, .. } => types[usize::from(reg)] = get(types, reg).without(Ty::EMPTY),
        Op::MatchGroup { exc, .. } => types[usize::from(exc)] = Ty::VALUE,
        _ => {}
    }
}

/// Types at the start of each block; none where control never comes.
pub(crate) struct Types {
    starts: Vec<u32>,
    at: Vec<Option<Vec<Ty>>>,
}

impl Types {
    /// The types at an op that starts a block.
    pub fn at(&self, op: u32) -> Option<&[Ty]> {
        self.at[self.starts.binary_search(&op).ok()?].as_deref()
    }

    /// Whether an op starts a block.
    pub fn is_start(&self, op: u32) -> bool {
        self.starts.binary_search(&op).is_ok()
    }

    /// The ops that start blocks.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Analyses a function's code, with more starts of blocks than it has.
    pub fn of(code: &Code, more: &[u32], mode: Mode) -> Types {
        let mut starts = code.block_starts();
        starts.extend_from_slice(more);
        starts.sort_unstable();
        starts.dedup();
        let mut this = Types { at: vec![None; starts.len()], starts };
        let mut entry = vec![Ty::EMPTY; usize::from(code.registers)];
        let guess = mode == Mode::Guess;
        entry[..parameters(code)].fill(if guess { Ty::NEVER } else { Ty::VALUE });
        let first = code.locals.len() + code.cells.len();
        entry[first..first + code.frees.len()].fill(if guess { Ty::NEVER } else { Ty::OTHER });
        this.at[0] = Some(entry);
        this.run(code, code.ops.len() as u32, mode, &|_| true);
        this
    }

    /// Analyses a loop whose registers are of some types whenever it begins.
    pub fn of_loop(code: &Code, start: u32, end: u32, entry: &[Ty]) -> Types {
        let starts: Vec<u32> =
            code.block_starts().into_iter().filter(|s| (start..=end).contains(s)).collect();
        let mut this = Types { at: vec![None; starts.len()], starts };
        if let Some(first) = this.at.first_mut() {
            *first = Some(entry.to_vec());
        }
        this.run(code, end + 1, Mode::Version, &|target| target != start);
        this
    }

    /// Works from the first block on, up to an op.
    fn run(&mut self, code: &Code, end: u32, mode: Mode, goes: &dyn Fn(u32) -> bool) {
        let mut work = vec![0];
        while let Some(block) = work.pop() {
            let Some(mut types) = self.at[block].clone() else { continue };
            let mut at = self.starts[block];
            loop {
                let op = &code.ops[at as usize];
                // A version's handlers are the generic ones.
                if mode != Mode::Version
                    && let Some(handler) = code.handler(at)
                {
                    let mut caught = types.clone();
                    let mut after = types.clone();
                    apply(code, op, &mut after, mode);
                    for (reg, ty) in caught.iter_mut().enumerate() {
                        if after[reg] == Ty::EMPTY {
                            *ty = ty.or(Ty::EMPTY);
                        }
                    }
                    caught[usize::from(handler.depth)..].fill(Ty::EMPTY);
                    caught[usize::from(handler.register)] = Ty::OTHER;
                    self.flow(handler.target, &caught, &mut work);
                }
                let before = types.clone();
                apply(code, op, &mut types, mode);
                if let Some(target) = op.target()
                    && goes(target)
                {
                    let mut taken = types.clone();
                    if let Op::ForIter { dst, iter, .. } = *op {
                        taken[usize::from(dst)] = before[usize::from(dst)];
                        taken[usize::from(iter)] = Ty::EMPTY;
                    }
                    if let Op::Send { iter, .. } = *op {
                        taken[usize::from(iter)] = Ty::EMPTY;
                    }
                    self.flow(target, &taken, &mut work);
                }
                if op.ends_block() {
                    break;
                }
                at += 1;
                if self.is_start(at) {
                    self.flow(at, &types, &mut work);
                    break;
                }
                if at >= end {
                    break;
                }
            }
        }
    }

    fn flow(&mut self, target: u32, types: &[Ty], work: &mut Vec<usize>) {
        let Ok(block) = self.starts.binary_search(&target) else { return };
        match &mut self.at[block] {
            Some(known) => {
                let mut changed = false;
                for (known, new) in known.iter_mut().zip(types) {
                    let joined = known.or(*new);
                    changed |= joined != *known;
                    *known = joined;
                }
                if changed {
                    work.push(block);
                }
            }
            none => {
                *none = Some(types.to_vec());
                work.push(block);
            }
        }
    }
}

/// Whether what a `LoadGlobal` gives, which has the name of the code's own function, is called with the arguments that
/// such a function takes: then the running function itself needs no reference on the way to the call.
pub(crate) fn calls_itself(code: &Code, name: u16, cache: u16) -> bool {
    let f = code.flags;
    // A generator's entry takes no arguments.
    if f.generator {
        return false;
    }
    if code.names[usize::from(name)] != code.name || f.varargs || f.varkeywords || code.kwonlyargcount > 0 {
        return false;
    }
    let mut loaded = NO_REG;
    for op in &code.ops {
        if loaded == NO_REG {
            if let Op::LoadGlobal { dst, cache: c, .. } = *op
                && c == cache
            {
                loaded = dst;
                if dst < code.first_temporary() {
                    return false;
                }
            }
            continue;
        }
        if let Op::Call { base, count, method: false, .. } = *op
            && base == loaded
        {
            return count == code.argcount;
        }
        let mut touched = false;
        op.fields(|_, field| match field {
            Field::Base(first) => touched |= (first..first + op.base_count() as u16).contains(&loaded),
            Field::Reg(_, reg) => touched |= reg == loaded,
            _ => {}
        });
        if touched {
            return false;
        }
    }
    false
}

/// How many parameters a function has in all.
pub(crate) fn parameters(code: &Code) -> usize {
    usize::from(code.argcount)
        + usize::from(code.kwonlyargcount)
        + usize::from(code.flags.varargs)
        + usize::from(code.flags.varkeywords)
}
