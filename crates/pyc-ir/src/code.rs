//! A function's, class body's or module's code.

use std::sync::Arc;

use crate::op::Op;
use crate::verify::{self, IrError};

/// A constant. Strings that hold lone surrogates are kept as code points.
#[derive(Clone, Debug, PartialEq)]
pub enum Const {
    /// `None`
    None,
    /// `...`
    Ellipsis,
    /// `True`, `False`
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// Any other integer, in decimal digits.
    BigInt(Box<str>),
    /// A float.
    Float(f64),
    /// An imaginary literal or folded complex: real, imaginary.
    Complex(f64, f64),
    /// A string.
    Str(Box<str>),
    /// A string with lone surrogates.
    Wide(Box<[u32]>),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// A tuple.
    Tuple(Box<[Const]>),
    /// A frozen set.
    FrozenSet(Box<[Const]>),
    /// Code of a function or class inside.
    Code(Arc<Code>),
}

/// What kind of code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CodeFlags {
    /// Names live in registers (functions); otherwise in a namespace (modules, class bodies).
    pub function: bool,
    /// Has `*args`.
    pub varargs: bool,
    /// Has `**kwargs`.
    pub varkeywords: bool,
    /// A generator function.
    pub generator: bool,
    /// `async def`; with `generator` an asynchronous generator.
    pub coroutine: bool,
    /// Defined inside a function.
    pub nested: bool,
    /// A generator that `await` takes (`types.coroutine`).
    pub awaitable: bool,
}

/// Where an op comes from; lines from 1, columns in bytes from 0. Line 0: nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Position {
    /// First line.
    pub line: u32,
    /// First column.
    pub column: u32,
    /// Last line.
    pub end_line: u32,
    /// Column after the last.
    pub end_column: u32,
}

/// Ops `start..end` are guarded: an exception goes into `register` and control to `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// First guarded op.
    pub start: u32,
    /// After the last guarded op.
    pub end: u32,
    /// First op of the handler.
    pub target: u32,
    /// Where the exception goes.
    pub register: u16,
    /// Temporaries from here on are dropped on the way.
    pub depth: u16,
}

/// Everything a [`Code`] consists of, before it is verified.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CodeParts {
    /// `__name__`
    pub name: Box<str>,
    /// `__qualname__`
    pub qualname: Box<str>,
    /// The source file.
    pub filename: Box<str>,
    /// Line of the `def`, or of its first decorator.
    pub first_line: u32,
    /// Kind.
    pub flags: CodeFlags,
    /// Parameters that may be given by position.
    pub argcount: u16,
    /// The first of these by position only.
    pub posonlyargcount: u16,
    /// Parameters by keyword only.
    pub kwonlyargcount: u16,
    /// Names of the locals: parameters first, then `*args`, `**kwargs`, the others.
    pub locals: Vec<Box<str>>,
    /// Cells made here, in the registers after the locals.
    pub cells: Vec<Box<str>>,
    /// Cells from outside, in the registers after those.
    pub frees: Vec<Box<str>>,
    /// All registers.
    pub registers: u16,
    /// Inline caches.
    pub caches: u16,
    /// The docstring is constant 0.
    pub has_doc: bool,
    /// Constants.
    pub consts: Vec<Const>,
    /// Names of globals and attributes.
    pub names: Vec<Box<str>>,
    /// The ops.
    pub ops: Vec<Op>,
    /// One for each op.
    pub positions: Vec<Position>,
    /// Innermost first.
    pub handlers: Vec<Handler>,
}

impl CodeParts {
    /// Verifies and freezes.
    ///
    /// # Errors
    /// When something an op mentions does not exist, or the last op falls off the end.
    pub fn finish(self) -> Result<Code, IrError> {
        verify::check(&self)?;
        Ok(Code { parts: self })
    }
}

/// Verified code; reads like [`CodeParts`].
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    parts: CodeParts,
}

impl std::ops::Deref for Code {
    type Target = CodeParts;
    fn deref(&self) -> &CodeParts {
        &self.parts
    }
}

impl Code {
    /// The handler that guards an op.
    pub fn handler(&self, op: u32) -> Option<&Handler> {
        self.parts.handlers.iter().find(|h| h.start <= op && op < h.end)
    }

    /// The register of the first temporary.
    pub fn first_temporary(&self) -> u16 {
        (self.parts.locals.len() + self.parts.cells.len() + self.parts.frees.len()) as u16
    }

    /// The ops that begin a block, in order.
    pub fn block_starts(&self) -> Vec<u32> {
        let mut starts = vec![0];
        for (at, op) in self.parts.ops.iter().enumerate() {
            if let Some(target) = op.target() {
                starts.push(target);
            }
            if (op.target().is_some() || op.ends_block()) && at + 1 < self.parts.ops.len() {
                starts.push(at as u32 + 1);
            }
        }
        starts.extend(self.parts.handlers.iter().map(|h| h.target));
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}
