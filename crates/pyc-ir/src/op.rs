//! The ops: one table, from which the enum, the text form, the packed form and the register roles are made.

use crate::pack::{Reader, Writer};

/// A register of a frame: locals first, then cells, then temporaries.
pub type Reg = u16;

/// Stands for "no register" where an operand is optional.
pub const NO_REG: Reg = u16::MAX;

/// Index of an op that starts a block.
pub type Target = u32;

/// How an op touches a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Writes it; what it held is dropped.
    Def,
    /// Reads it; a temporary is empty afterwards.
    Take,
    /// Reads it and leaves it.
    Keep,
}

/// One operand of an op, for the text form and the verifier.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Field {
    /// A register and how it is touched.
    Reg(Role, Reg),
    /// Consecutive registers that are taken: first and count follow from the op.
    Base(Reg),
    /// Index into the constants.
    Const(u16),
    /// Index into the names.
    Name(u16),
    /// Where control may go.
    Target(Target),
    /// A plain number.
    Number(i32),
    /// An inline cache's index.
    Cache(u16),
    /// A named choice.
    Word(&'static str),
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum $name { $(#[doc = $text] $variant),* }
        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            /// All words, for the number of the op table.
            pub(crate) const WORDS: &'static str = concat!($($text, " "),*);
            /// The word of the text form.
            pub fn word(self) -> &'static str { match self { $($name::$variant => $text),* } }
            /// The choice with this word.
            pub fn from_word(word: &str) -> Option<$name> {
                match word { $($text => Some($name::$variant),)* _ => None }
            }
        }
    };
}

words!(
    /// Binary arithmetic; the word is the operator.
    BinaryOp {
        Add = "+", Sub = "-", Mul = "*", Div = "/", FloorDiv = "//", Mod = "%", Pow = "**", MatMul = "@",
        LShift = "<<", RShift = ">>", And = "&", Or = "|", Xor = "^",
    }
);
words!(
    /// Rich comparison.
    CompareOp { Lt = "<", Le = "<=", Eq = "==", Ne = "!=", Gt = ">", Ge = ">=" }
);
words!(
    /// Unary arithmetic.
    UnaryOp { Neg = "-", Pos = "+", Invert = "~" }
);
words!(
    /// Conversion of an f-string field.
    Conversion { None = "none", Str = "s", Repr = "r", Ascii = "a" }
);
words!(
    /// Special methods that statements call.
    Special { Enter = "__enter__", Exit = "__exit__", AsyncEnter = "__aenter__", AsyncExit = "__aexit__" }
);
words!(
    /// Rare operations that need no op of their own.
    Intrinsic {
        TypeVar = "typevar", TypeVarBound = "typevar_bound", ParamSpec = "paramspec",
        TypeVarTuple = "typevartuple", TypeAlias = "typealias", SubscriptGeneric = "subscript_generic",
        SetTypeParams = "set_type_params", Print = "print", SetDefault = "set_default",
        Interpolation = "interpolation", Template = "template",
    }
);

macro_rules! field_type {
    (def) => {
        Reg
    };
    (take) => {
        Reg
    };
    (keep) => {
        Reg
    };
    (base) => {
        Reg
    };
    (constant) => {
        u16
    };
    (name) => {
        u16
    };
    (cache) => {
        u16
    };
    (target) => {
        Target
    };
    (count) => {
        u16
    };
    (byte) => {
        u8
    };
    (small) => {
        i16
    };
    (flag) => {
        bool
    };
    (binary) => {
        BinaryOp
    };
    (compare) => {
        CompareOp
    };
    (unary) => {
        UnaryOp
    };
    (conversion) => {
        Conversion
    };
    (special) => {
        Special
    };
    (intrinsic) => {
        Intrinsic
    };
}
macro_rules! field_out {
    (def, $v:expr) => {
        Field::Reg(Role::Def, *$v)
    };
    (take, $v:expr) => {
        Field::Reg(Role::Take, *$v)
    };
    (keep, $v:expr) => {
        Field::Reg(Role::Keep, *$v)
    };
    (base, $v:expr) => {
        Field::Base(*$v)
    };
    (constant, $v:expr) => {
        Field::Const(*$v)
    };
    (name, $v:expr) => {
        Field::Name(*$v)
    };
    (cache, $v:expr) => {
        Field::Cache(*$v)
    };
    (target, $v:expr) => {
        Field::Target(*$v)
    };
    (count, $v:expr) => {
        Field::Number(i32::from(*$v))
    };
    (byte, $v:expr) => {
        Field::Number(i32::from(*$v))
    };
    (small, $v:expr) => {
        Field::Number(i32::from(*$v))
    };
    (flag, $v:expr) => {
        Field::Number(i32::from(*$v))
    };
    ($word:ident, $v:expr) => {
        Field::Word($v.word())
    };
}
macro_rules! field_register {
    (def, $v:expr, $see:expr) => {
        $see($v)
    };
    (take, $v:expr, $see:expr) => {
        $see($v)
    };
    (keep, $v:expr, $see:expr) => {
        $see($v)
    };
    (base, $v:expr, $see:expr) => {
        $see($v)
    };
    ($other:ident, $v:expr, $see:expr) => {};
}
macro_rules! field_in {
    (def, $t:expr) => {
        register($t)?
    };
    (take, $t:expr) => {
        register($t)?
    };
    (keep, $t:expr) => {
        register($t)?
    };
    (base, $t:expr) => {
        register($t)?
    };
    (constant, $t:expr) => {
        prefixed($t, 'c')? as u16
    };
    (name, $t:expr) => {
        prefixed($t, 'n')? as u16
    };
    (cache, $t:expr) => {
        prefixed($t, 'k')? as u16
    };
    (target, $t:expr) => {
        prefixed($t, 'b')?
    };
    (count, $t:expr) => {
        $t.parse().ok()?
    };
    (byte, $t:expr) => {
        $t.parse().ok()?
    };
    (small, $t:expr) => {
        $t.parse().ok()?
    };
    (flag, $t:expr) => {
        $t == "1"
    };
    (binary, $t:expr) => {
        BinaryOp::from_word($t)?
    };
    (compare, $t:expr) => {
        CompareOp::from_word($t)?
    };
    (unary, $t:expr) => {
        UnaryOp::from_word($t)?
    };
    (conversion, $t:expr) => {
        Conversion::from_word($t)?
    };
    (special, $t:expr) => {
        Special::from_word($t)?
    };
    (intrinsic, $t:expr) => {
        Intrinsic::from_word($t)?
    };
}

/// Writes an operand in the packed form.
macro_rules! field_pack {
    (small, $v:expr, $out:expr) => {
        $out.push_signed(i64::from(*$v))
    };
    (flag, $v:expr, $out:expr) => {
        $out.push_byte(u8::from(*$v))
    };
    (byte, $v:expr, $out:expr) => {
        $out.push_byte(*$v)
    };
    (target, $v:expr, $out:expr) => {
        $out.push(*$v)
    };
    (binary, $v:expr, $out:expr) => {
        $out.push_byte(*$v as u8)
    };
    (compare, $v:expr, $out:expr) => {
        $out.push_byte(*$v as u8)
    };
    (unary, $v:expr, $out:expr) => {
        $out.push_byte(*$v as u8)
    };
    (conversion, $v:expr, $out:expr) => {
        $out.push_byte(*$v as u8)
    };
    (special, $v:expr, $out:expr) => {
        $out.push_byte(*$v as u8)
    };
    (intrinsic, $v:expr, $out:expr) => {
        $out.push_byte(*$v as u8)
    };
    (constant, $v:expr, $out:expr) => {
        $out.push(u32::from(*$v))
    };
    (name, $v:expr, $out:expr) => {
        $out.push(u32::from(*$v))
    };
    (cache, $v:expr, $out:expr) => {
        $out.push(u32::from(*$v))
    };
    (count, $v:expr, $out:expr) => {
        $out.push(u32::from(*$v))
    };
    // Registers: the absent one takes a byte, too.
    ($register:ident, $v:expr, $out:expr) => {
        $out.push(u32::from(*$v) + 1 & 0xffff)
    };
}
/// Reads an operand of the packed form.
macro_rules! field_unpack {
    (small, $r:expr) => {
        i16::try_from($r.signed()?).ok()?
    };
    (flag, $r:expr) => {
        match $r.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        }
    };
    (byte, $r:expr) => {
        $r.byte()?
    };
    (target, $r:expr) => {
        $r.number()?
    };
    (binary, $r:expr) => {
        *BinaryOp::ALL.get(usize::from($r.byte()?))?
    };
    (compare, $r:expr) => {
        *CompareOp::ALL.get(usize::from($r.byte()?))?
    };
    (unary, $r:expr) => {
        *UnaryOp::ALL.get(usize::from($r.byte()?))?
    };
    (conversion, $r:expr) => {
        *Conversion::ALL.get(usize::from($r.byte()?))?
    };
    (special, $r:expr) => {
        *Special::ALL.get(usize::from($r.byte()?))?
    };
    (intrinsic, $r:expr) => {
        *Intrinsic::ALL.get(usize::from($r.byte()?))?
    };
    (constant, $r:expr) => {
        $r.short()?
    };
    (name, $r:expr) => {
        $r.short()?
    };
    (cache, $r:expr) => {
        $r.short()?
    };
    (count, $r:expr) => {
        $r.short()?
    };
    ($register:ident, $r:expr) => {
        $r.short()?.wrapping_sub(1)
    };
}

fn prefixed(text: &str, prefix: char) -> Option<u32> {
    text.strip_prefix(prefix)?.parse().ok()
}

fn register(text: &str) -> Option<Reg> {
    if text == "-" { Some(NO_REG) } else { prefixed(text, 'r').and_then(|r| Reg::try_from(r).ok()) }
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident { $($field:ident : $kind:ident),* }),* $(,)?) => {
        /// One operation. Operands named `base` are the first of consecutive registers that are taken.
        #[derive(Clone, Copy, PartialEq, Debug)]
        #[allow(missing_docs, reason = "the table documents each op; its operands carry their role as name")]
        pub enum Op { $($(#[$doc])* $name { $($field: field_type!($kind)),* }),* }

        #[repr(u8)]
        enum Number { $($name),* }
        /// The ops' numbers in the packed form.
        #[allow(non_upper_case_globals, reason = "named like the ops")]
        mod numbers { $(pub(super) const $name: u8 = super::Number::$name as u8;)* }

        impl Op {
            /// The op's name in the text form.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name { .. } => stringify!($name)),* }
            }
            /// Calls `see` with each operand's name and value, in order.
            #[allow(unused_variables, unused_mut)]
            pub fn fields(&self, mut see: impl FnMut(&'static str, Field)) {
                match self { $(Op::$name { $($field),* } => { $(see(stringify!($field), field_out!($kind, $field));)* }),* }
            }
            /// Shows each register operand.
            #[allow(unused_variables, unused_mut)]
            fn registers_mut(&mut self, mut see: impl FnMut(&mut Reg)) {
                match self { $(Op::$name { $($field),* } => { $(field_register!($kind, $field, see);)* }),* }
            }
            /// The op with this name, its operands' texts coming from `next`.
            #[allow(unused_variables, unused_mut)]
            pub(crate) fn from_text<'a>(name: &str, mut next: impl FnMut(&'static str) -> Option<&'a str>) -> Option<Op> {
                match name {
                    $(stringify!($name) => {
                        $(let $field = { let text = next(stringify!($field))?; field_in!($kind, text) };)*
                        Some(Op::$name { $($field),* })
                    })*
                    _ => None,
                }
            }
            /// Writes the packed form: the op's number, its operands.
            pub(crate) fn pack(&self, out: &mut Writer) {
                match self { $(Op::$name { $($field),* } => {
                    out.push_byte(numbers::$name);
                    $(field_pack!($kind, $field, out);)*
                })* }
            }
            /// Reads what [`Op::pack`] wrote.
            pub(crate) fn unpack(r: &mut Reader) -> Option<Op> {
                Some(match r.byte()? {
                    $(numbers::$name => Op::$name { $($field: field_unpack!($kind, r)),* },)*
                    _ => return None,
                })
            }
            /// Every op with its operands, for the number of the table.
            pub(crate) const TABLE: &'static str =
                concat!($(stringify!($name), $(" ", stringify!($field), ":", stringify!($kind),)* ";"),*);
            /// The op with its target (when it has one) passed through `map`.
            #[must_use]
            pub fn with_target(mut self, map: impl Fn(Target) -> Target) -> Op {
                match &mut self {
                    Op::Jump { target } | Op::JumpIf { target, .. } | Op::JumpIfNot { target, .. }
                    | Op::JumpCompare { target, .. } | Op::JumpCompareInt { target, .. }
                    | Op::JumpIfNone { target, .. } | Op::JumpIfUnbound { target, .. }
                    | Op::ForIter { target, .. } | Op::Send { target, .. } => *target = map(*target),
                    _ => {}
                }
                self
            }
        }
    };
}

ops! {
    /// A constant into a register.
    Const { dst: def, value: constant },
    /// Moves; a local is copied.
    Move { dst: def, src: take },
    /// Copies, also a temporary.
    Copy { dst: def, src: keep },
    /// Empties a register.
    Drop { reg: take },
    /// Raises UnboundLocalError when the local is empty.
    CheckLocal { reg: keep, name: name },
    /// `del` of a local, which must not be empty.
    DeleteLocal { reg: take, name: name },
    /// A new cell that holds what `src` held (nothing: an empty cell).
    MakeCell { dst: def, src: take },
    /// What a cell holds; NameError when empty.
    LoadCell { dst: def, cell: keep, name: name },
    /// Replaces what a cell holds.
    StoreCell { cell: keep, src: take },
    /// Empties a cell, which must not be empty.
    DeleteCell { cell: keep, name: name },
    /// In a class body: the namespace's value, else the cell's.
    LoadClassCell { dst: def, cell: keep, name: name },
    /// Global, then builtin.
    LoadGlobal { dst: def, name: name, cache: cache },
    /// Binds a global.
    StoreGlobal { name: name, src: take },
    /// `del` of a global.
    DeleteGlobal { name: name },
    /// Namespace, then global, then builtin.
    LoadName { dst: def, name: name, cache: cache },
    /// Binds in the namespace.
    StoreName { name: name, src: take },
    /// `del` in the namespace.
    DeleteName { name: name },
    /// The namespace itself.
    LoadLocals { dst: def },
    /// `obj.name`.
    LoadAttr { dst: def, obj: take, name: name, cache: cache },
    /// `obj.name` for a call: the function into `dst`, its self (or nothing) into the next register.
    LoadMethod { dst: def, obj: take, name: name, cache: cache },
    /// `obj.name = src`.
    StoreAttr { obj: take, name: name, src: take, cache: cache },
    /// `del obj.name`.
    DeleteAttr { obj: take, name: name },
    /// `obj[key]`.
    Index { dst: def, obj: take, key: take },
    /// `obj[key] = src`.
    StoreIndex { obj: take, key: take, src: take },
    /// `del obj[key]`.
    DeleteIndex { obj: take, key: take },
    /// `slice(a, b, c)` from three registers.
    BuildSlice { dst: def, base: base },
    /// `left + right`.
    Add { dst: def, left: take, right: take },
    /// `left - right`.
    Sub { dst: def, left: take, right: take },
    /// `left * right`.
    Mul { dst: def, left: take, right: take },
    /// `left + value`.
    AddInt { dst: def, left: take, value: small },
    /// `left - value`.
    SubInt { dst: def, left: take, value: small },
    /// Any binary operator.
    Binary { dst: def, op: binary, left: take, right: take },
    /// Augmented assignment's operator.
    InPlace { dst: def, op: binary, left: take, right: take },
    /// Unary operator.
    Unary { dst: def, op: unary, src: take },
    /// `not`.
    Not { dst: def, src: take },
    /// Truth as True or False.
    ToBool { dst: def, src: take },
    /// Comparison as an object.
    Compare { dst: def, op: compare, left: take, right: take },
    /// `is`, `is not`.
    Is { dst: def, left: take, right: take, negate: flag },
    /// `in`, `not in`.
    Contains { dst: def, item: take, container: take, negate: flag },
    /// A tuple of `count` registers.
    BuildTuple { dst: def, base: base, count: count },
    /// A list of `count` registers.
    BuildList { dst: def, base: base, count: count },
    /// A set of `count` registers.
    BuildSet { dst: def, base: base, count: count },
    /// A dict of `count` pairs of registers.
    BuildDict { dst: def, base: base, count: count },
    /// Joins `count` strings.
    BuildString { dst: def, base: base, count: count },
    /// Appends to a list under construction.
    ListAppend { list: keep, src: take },
    /// Extends a list under construction.
    ListExtend { list: keep, src: take },
    /// Adds to a set under construction.
    SetAdd { set: keep, src: take },
    /// Adds all to a set under construction.
    SetUpdate { set: keep, src: take },
    /// Sets an item of a dict under construction.
    DictSet { dict: keep, key: take, src: take },
    /// `**src` in a dict display.
    DictUpdate { dict: keep, src: take },
    /// `**src` in a call: no key twice; `callee` for the message.
    DictMerge { dict: keep, src: take, callee: keep },
    /// A list under construction becomes a tuple.
    ListToTuple { dst: def, src: take },
    /// `*src` of a call as a tuple; `callee` for the message.
    StarArgs { dst: def, src: take, callee: keep },
    /// An f-string field; `spec` may be absent.
    Format { dst: def, src: take, conversion: conversion, spec: take },
    /// Into `count` registers from `dst` on.
    Unpack { dst: keep, src: take, count: count },
    /// With a starred target after `before` others and before `after` others.
    UnpackStar { dst: keep, src: take, before: byte, after: byte },
    /// Calls: `base` the callee, then self (when `method`), then `count` arguments.
    Call { dst: def, base: base, count: count, method: flag },
    /// The last arguments have the names of the constant tuple.
    CallKw { dst: def, base: base, count: count, method: flag, names: constant },
    /// `base`: callee, self (when `method`), tuple, dict or None.
    CallEx { dst: def, base: base, method: flag },
    /// `iter(src)`.
    GetIter { dst: def, src: take },
    /// Next item, or drops the iterator and goes on at `target`.
    ForIter { dst: def, iter: keep, target: target },
    /// Goes on elsewhere.
    Jump { target: target },
    /// When true.
    JumpIf { cond: take, target: target },
    /// When false.
    JumpIfNot { cond: take, target: target },
    /// When the comparison is `sense`.
    JumpCompare { op: compare, left: take, right: take, sense: flag, target: target },
    /// The same against a small number.
    JumpCompareInt { op: compare, left: take, value: small, sense: flag, target: target },
    /// When it is None (leaves it).
    JumpIfNone { src: keep, target: target },
    /// When the register is empty.
    JumpIfUnbound { src: keep, target: target },
    /// Leaves the function.
    Return { src: take },
    /// `raise`, `raise exc`, `raise exc from cause`.
    Raise { exc: take, cause: take },
    /// Raises again as it was.
    Reraise { exc: take },
    /// The caught exception becomes the one being handled; the former into `saved`.
    EnterHandler { saved: def, exc: keep },
    /// The former one is being handled again.
    LeaveHandler { saved: take },
    /// Whether `except kind` catches.
    MatchException { dst: def, exc: keep, kind: take },
    /// `except* kind`: the matching part into `dst` (None: none), the rest stays in `exc`.
    MatchGroup { dst: def, exc: keep, kind: take },
    /// What `except*` raises in the end (None: nothing) from the original and the list of raised ones.
    JoinGroup { dst: def, original: take, raised: take },
    /// Looks a special method up for `with`: function and self into `dst` and the next.
    LoadSpecial { dst: def, obj: keep, method: special },
    /// Calls `__exit__` (callee and self at `base`) with the exception.
    WithExit { dst: def, base: keep, exc: keep },
    /// Hands `src` out and gets the sent value; `delegate` is the iterator of `yield from`.
    Yield { dst: def, src: take, delegate: keep },
    /// `yield` of an asynchronous generator.
    YieldAsync { dst: def, src: take },
    /// The iterator of `yield from`.
    GetYieldFromIter { dst: def, src: take },
    /// The iterator of `await`; `context` says what for (0 plain, 1 `__aenter__`, 2 `__aexit__`, 3 `__anext__`).
    GetAwaitable { dst: def, src: take, context: byte },
    /// Sends `value` to `iter`; its result into `dst` and on at `target` when it is done.
    Send { dst: def, iter: keep, value: take, target: target },
    /// `aiter(src)`.
    GetAsyncIter { dst: def, src: take },
    /// The awaitable of the next item.
    GetAsyncNext { dst: def, iter: keep },
    /// At the end of `async for`: passes anything but StopAsyncIteration on.
    EndAsyncFor { exc: take },
    /// A function from a code constant; at `base`: defaults, keyword defaults, annotations, closure (each may be None).
    MakeFunction { dst: def, code: constant, base: base },
    /// The builder of classes.
    LoadBuildClass { dst: def },
    /// `import name`; the constants: names after `from` (or None), level.
    Import { dst: def, name: name, from: constant, level: count },
    /// `from module import name`.
    ImportFrom { dst: def, module: keep, name: name },
    /// `from module import *`.
    ImportStar { module: take },
    /// Whether a pattern's subject is a sequence.
    MatchSequence { dst: def, src: keep },
    /// Whether it is a mapping.
    MatchMapping { dst: def, src: keep },
    /// The values of the keys of a tuple as a tuple, or None.
    MatchKeys { dst: def, src: keep, keys: keep },
    /// The attributes of a class pattern as a tuple, or None.
    MatchClass { dst: def, src: keep, class: take, count: count, names: constant },
    /// `len(src)`.
    Len { dst: def, src: keep },
    /// A dict without the keys of a tuple.
    DictWithout { dst: def, src: keep, keys: take },
    /// `AssertionError`.
    LoadAssertionError { dst: def },
    /// Makes `__annotations__` where it is missing.
    SetupAnnotations {},
    /// A rare operation on `count` registers.
    Intrinsic { dst: def, which: intrinsic, base: base, count: count },
}

impl Op {
    /// How many consecutive registers the operand `base` covers.
    pub fn base_count(&self) -> usize {
        match *self {
            Op::BuildSlice { .. } => 3,
            Op::BuildTuple { count, .. }
            | Op::BuildList { count, .. }
            | Op::BuildSet { count, .. }
            | Op::BuildString { count, .. }
            | Op::Intrinsic { count, .. } => usize::from(count),
            Op::BuildDict { count, .. } => 2 * usize::from(count),
            Op::Call { count, .. } | Op::CallKw { count, .. } => 2 + usize::from(count),
            Op::CallEx { .. } | Op::MakeFunction { .. } => 4,
            _ => 0,
        }
    }

    /// How many registers from `dst` on the op writes.
    pub fn def_count(&self) -> usize {
        match *self {
            Op::LoadMethod { .. } | Op::LoadSpecial { .. } => 2,
            Op::Unpack { count, .. } => usize::from(count),
            Op::UnpackStar { before, after, .. } => usize::from(before) + 1 + usize::from(after),
            _ => 1,
        }
    }

    /// Whether control never reaches the op after it.
    pub fn ends_block(&self) -> bool {
        matches!(self, Op::Jump { .. } | Op::Return { .. } | Op::Raise { .. } | Op::Reraise { .. })
    }

    /// Where else control may go.
    pub fn target(&self) -> Option<Target> {
        let mut found = None;
        self.fields(|_, field| {
            if let Field::Target(target) = field {
                found = Some(target);
            }
        });
        found
    }
}

impl Op {
    /// The op with every register passed through `map`.
    #[must_use]
    pub fn with_registers(mut self, map: impl Fn(Reg) -> Reg) -> Op {
        self.registers_mut(|reg| *reg = map(*reg));
        self
    }
}
