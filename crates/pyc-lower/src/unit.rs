//! One code object being made: registers, constants, labels, guards.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pyc_front::{Module, ScopeId, SyntaxError};
use pyc_ir::{Code, CodeFlags, CodeParts, Const, Handler, NO_REG, Op, Position, Reg, Target};
use ruff_text_size::TextRange;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<SyntaxError>>;

/// Cells have numbers from here, free cells and temporaries from the next ones, until `finish`.
pub(crate) const CELL: Reg = 0x4000;
pub(crate) const FREE: Reg = 0x6000;
pub(crate) const TEMP: Reg = 0x8000;

pub(crate) type Label = Target;

/// What a way out of a block has to do.
#[derive(Clone)]
pub(crate) enum Block<'a> {
    /// A loop; `iterator` is dropped by `break`.
    Loop { next: Label, end: Label, iterator: Option<Reg> },
    /// The body of `try` with these statements after it.
    Finally { body: &'a [ruff_python_ast::Stmt], guard: usize },
    /// The body of `try` with handlers.
    Guarded { guard: usize },
    /// The body of `with`: callee and self of `__exit__`.
    With { exit: Reg, is_async: bool, guard: usize, range: TextRange },
    /// A handler: the exception handled before is put back.
    Handler { saved: Reg, exc: Reg, guard: usize },
    /// The body of `except ... as name`.
    Named { name: String, guard: usize },
}

pub(crate) struct Guard {
    pub target: Label,
    pub register: Reg,
    pub depth: Reg,
    pub level: usize,
    pub start: Option<u32>,
}

pub(crate) struct Unit<'a> {
    pub parts: CodeParts,
    pub scope: ScopeId,
    pub labels: Vec<u32>,
    pub top: Reg,
    pub most: Reg,
    pub consts: HashMap<String, u16>,
    pub names: HashMap<String, u16>,
    pub locals: HashMap<String, Reg>,
    /// Variables of comprehensions that are being lowered.
    pub inner: HashMap<(ScopeId, String), Reg>,
    pub bound: Option<HashSet<Reg>>,
    /// Names that some `del` or handler unbinds: always checked.
    pub unsure: HashSet<String>,
    pub blocks: Vec<Block<'a>>,
    pub guards: Vec<Guard>,
    pub handlers: Vec<(usize, Handler)>,
    pub barrier: usize,
    pub is_async_generator: bool,
}

pub(crate) struct Lower<'a> {
    pub module: &'a Module,
    pub unit: Unit<'a>,
    pub scope: ScopeId,
    pub range: TextRange,
    /// The text has `:=`, so operands that are locals may change while others are evaluated.
    pub walrus: bool,
    pub depth: u32,
}

impl<'a> Unit<'a> {
    pub fn new(scope: ScopeId) -> Unit<'a> {
        Unit {
            parts: CodeParts::default(),
            scope,
            labels: Vec::new(),
            top: 0,
            most: 0,
            consts: HashMap::new(),
            names: HashMap::new(),
            locals: HashMap::new(),
            inner: HashMap::new(),
            bound: Some(HashSet::new()),
            unsure: HashSet::new(),
            blocks: Vec::new(),
            guards: Vec::new(),
            handlers: Vec::new(),
            barrier: 0,
            is_async_generator: false,
        }
    }
}

impl<'a> Lower<'a> {
    pub fn new(module: &'a Module) -> Lower<'a> {
        Lower {
            module,
            unit: Unit::new(0),
            scope: 0,
            range: TextRange::default(),
            walrus: module.source.text.contains(":="),
            depth: 0,
        }
    }

    pub fn fail<T>(&self, range: TextRange, message: impl Into<String>) -> Result<T> {
        Err(Box::new(SyntaxError::new(&self.module.source, range, message)))
    }

    pub fn emit(&mut self, op: Op) {
        let (line, column) = self.module.source.place(self.range.start());
        let (end_line, end_column) = self.module.source.place(self.range.end());
        let position = if self.range.is_empty() {
            Position::default()
        } else {
            Position { line, column, end_line, end_column }
        };
        self.unit.parts.ops.push(op);
        self.unit.parts.positions.push(position);
    }

    /// Emits with the place of a node, and keeps the place around.
    pub fn emit_at(&mut self, range: TextRange, op: Op) {
        let before = std::mem::replace(&mut self.range, range);
        self.emit(op);
        self.range = before;
    }

    pub fn here(&self) -> u32 {
        self.unit.parts.ops.len() as u32
    }

    pub fn label(&mut self) -> Label {
        self.unit.labels.push(u32::MAX);
        self.unit.labels.len() as u32 - 1
    }

    pub fn place(&mut self, label: Label) {
        self.unit.labels[label as usize] = self.here();
        self.unit.barrier = self.unit.parts.ops.len();
    }

    pub fn temp(&mut self) -> Reg {
        let reg = TEMP + self.unit.top;
        self.unit.top += 1;
        self.unit.most = self.unit.most.max(self.unit.top);
        reg
    }

    pub fn mark(&self) -> Reg {
        self.unit.top
    }

    pub fn reset(&mut self, mark: Reg) {
        self.unit.top = mark;
    }

    /// A local of the unit that no program sees.
    pub fn hidden(&mut self, name: &str) -> Reg {
        let reg = self.unit.parts.locals.len() as Reg;
        self.unit.parts.locals.push(format!(".{name}").into());
        reg
    }

    pub fn constant(&mut self, constant: Const) -> u16 {
        let key = match &constant {
            Const::Code(_) => None,
            Const::Float(f) => Some(format!("float {:x}", f.to_bits())),
            Const::Complex(a, b) => Some(format!("complex {:x} {:x}", a.to_bits(), b.to_bits())),
            Const::Tuple(items)
                if items.iter().any(|i| matches!(i, Const::Float(_) | Const::Complex(..))) =>
            {
                None
            }
            other => Some(format!("{other:?}")),
        };
        if let Some(key) = &key
            && let Some(at) = self.unit.consts.get(key)
        {
            return *at;
        }
        let at = self.unit.parts.consts.len() as u16;
        self.unit.parts.consts.push(constant);
        if let Some(key) = key {
            self.unit.consts.insert(key, at);
        }
        at
    }

    pub fn name(&mut self, name: &str) -> u16 {
        if let Some(at) = self.unit.names.get(name) {
            return *at;
        }
        let at = self.unit.parts.names.len() as u16;
        self.unit.parts.names.push(name.into());
        self.unit.names.insert(name.to_string(), at);
        at
    }

    pub fn cache(&mut self) -> u16 {
        self.unit.parts.caches += 1;
        self.unit.parts.caches - 1
    }

    pub fn load_const(&mut self, constant: Const) -> Reg {
        let value = self.constant(constant);
        let dst = self.temp();
        self.emit(Op::Const { dst, value });
        dst
    }

    pub fn unreachable(&mut self) {
        self.unit.bound = None;
    }

    /// The state after two ways meet.
    pub fn join(a: Option<HashSet<Reg>>, b: Option<HashSet<Reg>>) -> Option<HashSet<Reg>> {
        match (a, b) {
            (None, state) | (state, None) => state,
            (Some(a), Some(b)) => Some(a.intersection(&b).copied().collect()),
        }
    }

    /// Opens a guarded range; exceptions go into a temporary at the current height.
    pub fn guard(&mut self) -> usize {
        let target = self.label();
        let level = self.unit.blocks.len() + 1;
        let guard = Guard {
            target,
            register: TEMP + self.unit.top,
            depth: TEMP + self.unit.top,
            level,
            start: Some(self.here()),
        };
        self.unit.most = self.unit.most.max(self.unit.top + 1);
        self.unit.guards.push(guard);
        self.unit.guards.len() - 1
    }

    pub fn close_guard(&mut self, guard: usize) {
        let end = self.here();
        let g = &mut self.unit.guards[guard];
        if let Some(start) = g.start.take()
            && start < end
        {
            let handler = Handler { start, end, target: g.target, register: g.register, depth: g.depth };
            let level = g.level;
            self.unit.handlers.push((level, handler));
        }
    }

    pub fn reopen_guard(&mut self, guard: usize) {
        let here = self.here();
        self.unit.guards[guard].start = Some(here);
    }

    pub fn module(mut self) -> Result<Arc<Code>> {
        let module = self.module;
        let (flags, body) = (CodeFlags::default(), module.body());
        self.begin("<module>", "<module>", flags, 1);
        if let ruff_python_ast::Mod::Expression(expression) = &module.tree {
            let value = self.expr(&expression.body)?;
            self.range = TextRange::default();
            self.emit(Op::Return { src: value });
        } else {
            if self.module.mode == pyc_front::Mode::Module {
                self.doc_name(body);
            }
            if self.annotated(body) {
                self.emit(Op::SetupAnnotations {});
            }
            self.statements(body)?;
            self.range = TextRange::default();
            let none = self.load_const(Const::None);
            self.emit(Op::Return { src: none });
        }
        Ok(Arc::new(self.finish()?.0))
    }

    /// Starts a unit for a scope; names of parameters come from the caller.
    pub fn begin(&mut self, name: &str, qualname: &str, flags: CodeFlags, line: u32) {
        let parts = &mut self.unit.parts;
        parts.name = name.into();
        parts.qualname = qualname.into();
        parts.filename = self.module.source.filename.as_str().into();
        parts.flags = flags;
        parts.first_line = line;
        let scope = self.module.scopes.get(self.unit.scope);
        use pyc_front::{Place, ScopeKind};
        for name in &scope.order {
            match scope.place(name) {
                Place::Cell => parts.cells.push(name.as_str().into()),
                Place::Free => parts.frees.push(name.as_str().into()),
                _ => {}
            }
        }
        parts.frees.extend(scope.carried.iter().map(|name| Box::from(name.as_str())));
        if scope.kind == ScopeKind::Class && scope.needs_class_cell {
            parts.cells.push("__class__".into());
        }
    }

    /// Runs `body` in a unit of its own and gives the code.
    pub fn nested(&mut self, scope: ScopeId, body: impl FnOnce(&mut Self) -> Result) -> Result<Arc<Code>> {
        let outer = std::mem::replace(&mut self.unit, Unit::new(scope));
        let (outer_scope, outer_range) = (std::mem::replace(&mut self.scope, scope), self.range);
        let result = body(self).and_then(|()| {
            let inner = std::mem::replace(&mut self.unit, Unit::new(scope));
            let finished = Lower {
                module: self.module,
                unit: inner,
                scope,
                range: self.range,
                walrus: self.walrus,
                depth: 0,
            };
            finished.finish().map(|(code, _)| Arc::new(code))
        });
        self.unit = outer;
        self.scope = outer_scope;
        self.range = outer_range;
        result
    }

    /// Numbers registers and targets and verifies.
    pub fn finish(self) -> Result<(Code, ())> {
        let module = self.module;
        let mut unit = self.unit;
        let (locals, cells) = (unit.parts.locals.len() as Reg, unit.parts.cells.len() as Reg);
        let frees = unit.parts.frees.len() as Reg;
        let too_large = unit.parts.locals.len() >= usize::from(CELL)
            || unit.most > 0x3000
            || unit.parts.consts.len() > 60_000
            || unit.parts.names.len() > 60_000
            || unit.parts.ops.len() > 30_000_000;
        let error = |message: &str| Box::new(SyntaxError::new(&module.source, TextRange::default(), message));
        if too_large {
            return Err(error("this block of code is too large"));
        }
        let number = |reg: Reg| match reg {
            NO_REG => NO_REG,
            r if r >= TEMP => locals + cells + frees + (r - TEMP),
            r if r >= FREE => locals + cells + (r - FREE),
            r if r >= CELL => locals + (r - CELL),
            r => r,
        };
        let labels = &unit.labels;
        let mut ops = Vec::with_capacity(unit.parts.ops.len());
        for op in &unit.parts.ops {
            ops.push(op.with_registers(number).with_target(|label| labels[label as usize]));
        }
        unit.parts.ops = ops;
        unit.handlers.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        unit.parts.handlers = unit
            .handlers
            .iter()
            .map(|(_, h)| Handler {
                start: h.start,
                end: h.end,
                target: labels[h.target as usize],
                register: number(h.register),
                depth: number(h.depth),
            })
            .collect();
        unit.parts.registers = locals + cells + frees + unit.most + 4;
        let name = unit.parts.qualname.clone();
        unit.parts
            .finish()
            .map(|code| (code, ()))
            .map_err(|e| error(&format!("internal error lowering {name}: {e}")))
    }
}
