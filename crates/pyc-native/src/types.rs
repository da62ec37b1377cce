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
    pub const OBJECT: Ty = Ty(32 | 64 | 128 | 256);
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

/// Changes the registers' types as an op does when it ends well and control goes to the next op.
pub(crate) fn apply(code: &Code, op: &Op, types: &mut [Ty]) {
    let temporaries = code.first_temporary();
    let get = |types: &[Ty], reg: u16| types[usize::from(reg)];
    let result = match *op {
        Op::Const { value, .. } => constant(&code.consts[usize::from(value)]),
        Op::Move { src, .. } | Op::Copy { src, .. } => get(types, src),
        Op::Add { left, right, .. } => binary(BinaryOp::Add, get(types, left), get(types, right)),
        Op::Sub { left, right, .. } => binary(BinaryOp::Sub, get(types, left), get(types, right)),
        Op::Mul { left, right, .. } => binary(BinaryOp::Mul, get(types, left), get(types, right)),
        Op::AddInt { left, .. } => binary(BinaryOp::Add, get(types, left), Ty::INT),
        Op::SubInt { left, .. } => binary(BinaryOp::Sub, get(types, left), Ty::INT),
        Op::Binary { op, left, right, .. } | Op::InPlace { op, left, right, .. } => {
            binary(op, get(types, left), get(types, right))
        }
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

    /// Analyses a function's code.
    pub fn of(code: &Code) -> Types {
        let starts = code.block_starts();
        let mut this = Types { at: vec![None; starts.len()], starts };
        let mut entry = vec![Ty::EMPTY; usize::from(code.registers)];
        entry[..parameters(code)].fill(Ty::VALUE);
        let first = code.locals.len() + code.cells.len();
        entry[first..first + code.frees.len()].fill(Ty::OTHER);
        let mut work = vec![0];
        this.at[0] = Some(entry);
        while let Some(block) = work.pop() {
            let Some(mut types) = this.at[block].clone() else { continue };
            let mut at = this.starts[block];
            loop {
                let op = &code.ops[at as usize];
                if let Some(handler) = code.handler(at) {
                    let mut caught = types.clone();
                    let mut after = types.clone();
                    apply(code, op, &mut after);
                    for (reg, ty) in caught.iter_mut().enumerate() {
                        if after[reg] == Ty::EMPTY {
                            *ty = ty.or(Ty::EMPTY);
                        }
                    }
                    caught[usize::from(handler.depth)..].fill(Ty::EMPTY);
                    caught[usize::from(handler.register)] = Ty::OTHER;
                    this.flow(handler.target, &caught, &mut work);
                }
                let before = types.clone();
                apply(code, op, &mut types);
                if let Some(target) = op.target() {
                    let mut taken = types.clone();
                    if let Op::ForIter { dst, iter, .. } = *op {
                        taken[usize::from(dst)] = before[usize::from(dst)];
                        taken[usize::from(iter)] = Ty::EMPTY;
                    }
                    this.flow(target, &taken, &mut work);
                }
                if op.ends_block() {
                    break;
                }
                at += 1;
                if this.is_start(at) {
                    this.flow(at, &types, &mut work);
                    break;
                }
            }
        }
        this
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
