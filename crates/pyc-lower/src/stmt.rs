//! Statements without handlers.

use pyc_ir::{Const, Intrinsic, NO_REG, Op, Reg};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use pyc_front::ScopeKind;

use crate::expr::binary_op;
use crate::unit::{Block, Lower, Result, TEMP};

impl<'a> Lower<'a> {
    pub fn statements(&mut self, body: &'a [Stmt]) -> Result {
        for stmt in body {
            let mark = self.mark();
            self.range = stmt.range();
            self.statement(stmt)?;
            self.reset(mark);
        }
        Ok(())
    }

    /// Whether a module or class body annotates a name anywhere outside functions.
    pub fn annotated(&self, body: &[Stmt]) -> bool {
        body.iter().any(|stmt| match stmt {
            Stmt::AnnAssign(_) => true,
            Stmt::If(s) => {
                self.annotated(&s.body) || s.elif_else_clauses.iter().any(|c| self.annotated(&c.body))
            }
            Stmt::For(s) => self.annotated(&s.body) || self.annotated(&s.orelse),
            Stmt::While(s) => self.annotated(&s.body) || self.annotated(&s.orelse),
            Stmt::With(s) => self.annotated(&s.body),
            Stmt::Try(s) => {
                self.annotated(&s.body)
                    || self.annotated(&s.orelse)
                    || self.annotated(&s.finalbody)
                    || s.handlers.iter().any(|h| {
                        let ruff_python_ast::ExceptHandler::ExceptHandler(h) = h;
                        self.annotated(&h.body)
                    })
            }
            Stmt::Match(s) => s.cases.iter().any(|c| self.annotated(&c.body)),
            _ => false,
        })
    }

    /// `__doc__` of a module or class.
    pub fn doc_name(&mut self, body: &'a [Stmt]) {
        if let Some(doc) = self.doc(body) {
            let src = self.load_const(doc);
            let name = self.name("__doc__");
            self.emit(Op::StoreName { name, src });
            self.reset(src - TEMP);
        }
    }

    pub fn doc(&self, body: &[Stmt]) -> Option<Const> {
        match body.first() {
            Some(Stmt::Expr(e)) => match &*e.value {
                Expr::StringLiteral(s) => Some(self.string(s.value.as_slice())),
                _ => None,
            },
            _ => None,
        }
    }

    fn statement(&mut self, stmt: &'a Stmt) -> Result {
        match stmt {
            Stmt::Expr(e) => {
                if self.module.mode == pyc_front::Mode::Interactive && self.scope == 0 {
                    let base = self.expr_temp(&e.value)?;
                    self.emit(Op::Intrinsic { dst: base, which: Intrinsic::Print, base, count: 1 });
                } else if self.fold(&e.value).is_none() {
                    let reg = self.expr(&e.value)?;
                    if reg >= TEMP {
                        self.emit(Op::Drop { reg });
                    }
                }
            }
            Stmt::Assign(a) => {
                if let ([Expr::Tuple(targets)], Expr::Tuple(values)) = (&a.targets[..], &*a.value)
                    && targets.elts.len() == values.elts.len()
                    && !targets.elts.iter().chain(&values.elts).any(|e| matches!(e, Expr::Starred(_)))
                    && targets.elts.len() <= 4
                {
                    // Values side by side instead of a tuple that is taken apart at once.
                    let base = TEMP + self.mark();
                    for value in &values.elts {
                        self.expr_temp(value)?;
                    }
                    self.unit.barrier = self.unit.parts.ops.len();
                    for (at, target) in targets.elts.iter().enumerate() {
                        self.assign(target, base + at as Reg)?;
                    }
                    return Ok(());
                }
                let value = self.expr(&a.value)?;
                let (last, others) = a.targets.split_last().map_or((None, &[][..]), |(l, o)| (Some(l), o));
                for target in others {
                    let copy = self.temp();
                    self.emit(Op::Copy { dst: copy, src: value });
                    self.unit.barrier = self.unit.parts.ops.len();
                    self.assign(target, copy)?;
                    self.reset(copy - TEMP);
                }
                if let Some(last) = last {
                    self.assign(last, value)?;
                }
            }
            Stmt::AugAssign(a) => self.augmented(a)?,
            Stmt::AnnAssign(a) => {
                if let Some(value) = &a.value {
                    let value = self.expr(value)?;
                    self.assign(&a.target, value)?;
                }
                let namespace = self.module.scopes.get(self.scope).kind != ScopeKind::Function;
                if namespace
                    && a.simple
                    && let Expr::Name(name) = &*a.target
                {
                    let mark = self.mark();
                    let src = self.annotation(&a.annotation)?;
                    let obj = self.load("__annotations__", a.range)?;
                    let text = self.mangled(name.id.as_str());
                    let key = self.load_const(Const::Str(text.into()));
                    self.emit(Op::StoreIndex { obj, key, src });
                    self.reset(mark);
                } else if namespace && a.value.is_none() && !self.module.future_annotations {
                    let reg = self.expr(&a.annotation)?;
                    if reg >= TEMP {
                        self.emit(Op::Drop { reg });
                    }
                }
            }
            Stmt::Return(r) => {
                if self.module.scopes.get(self.scope).kind != ScopeKind::Function {
                    return self.fail(r.range, "'return' outside function");
                }
                let value = match &r.value {
                    Some(value) => {
                        if self.unit.is_async_generator {
                            return self.fail(r.range, "'return' with value in async generator");
                        }
                        // Ways out may run code that changes locals.
                        if self.unit.blocks.is_empty() { self.expr(value)? } else { self.expr_temp(value)? }
                    }
                    None => self.load_const(Const::None),
                };
                self.range = r.range;
                self.leave(0, true)?;
                self.emit(Op::Return { src: value });
                self.reopen(0);
                self.unreachable();
            }
            Stmt::Delete(d) => {
                for target in &d.targets {
                    self.delete_target(target)?;
                }
            }
            Stmt::If(s) => {
                let end = self.label();
                let mut next = self.label();
                let before = self.unit.bound.clone();
                self.jump_unless(&s.test, next)?;
                let after_test = self.unit.bound.clone();
                self.statements(&s.body)?;
                let mut joined = self.unit.bound.clone();
                let mut has_else = false;
                let mut test_state = if self.walrus { before } else { after_test };
                for clause in &s.elif_else_clauses {
                    if self.unit.bound.is_some() {
                        self.emit(Op::Jump { target: end });
                    }
                    self.place(next);
                    next = self.label();
                    self.unit.bound = test_state.clone();
                    match &clause.test {
                        Some(test) => {
                            self.jump_unless(test, next)?;
                            if !self.walrus {
                                test_state = self.unit.bound.clone();
                            }
                        }
                        None => has_else = true,
                    }
                    self.statements(&clause.body)?;
                    joined = Lower::join(joined, self.unit.bound.clone());
                }
                self.place(next);
                self.place(end);
                self.unit.bound = if has_else { joined } else { Lower::join(joined, test_state) };
            }
            Stmt::While(s) => {
                let (body, next, end, orelse) = (self.label(), self.label(), self.label(), self.label());
                self.jump_unless(&s.test, orelse)?;
                let state = self.unit.bound.clone();
                self.place(body);
                self.unit.blocks.push(Block::Loop { next, end, iterator: None });
                self.statements(&s.body)?;
                self.unit.blocks.pop();
                self.place(next);
                self.unit.bound = state.clone();
                self.range = s.test.range();
                self.jump(&s.test, true, body)?;
                self.place(orelse);
                self.unit.bound = state.clone();
                self.statements(&s.orelse)?;
                self.place(end);
                self.unit.bound = state;
                if matches!(&*s.test, Expr::BooleanLiteral(b) if b.value) && !contains_break(&s.body) {
                    self.unreachable();
                }
            }
            Stmt::For(s) => {
                if s.is_async {
                    self.async_for(s)?
                } else {
                    self.for_loop(s)?
                }
            }
            Stmt::With(s) => self.with(s, 0)?,
            Stmt::Match(s) => self.match_statement(s)?,
            Stmt::Raise(r) => {
                let mark = self.mark();
                let exc = match &r.exc {
                    Some(e) => self.expr_temp(e)?,
                    None => NO_REG,
                };
                let cause = match &r.cause {
                    Some(e) => self.expr_temp(e)?,
                    None => NO_REG,
                };
                self.reset(mark);
                self.emit_at(r.range, Op::Raise { exc, cause });
                self.unreachable();
            }
            Stmt::Try(s) => self.try_statement(s)?,
            Stmt::Assert(s) => {
                let good = self.label();
                self.jump(&s.test, true, good)?;
                let mark = self.mark();
                let base = self.temp();
                self.emit(Op::LoadAssertionError { dst: base });
                if let Some(msg) = &s.msg {
                    self.temp();
                    self.expr_temp(msg)?;
                    self.emit(Op::Call { dst: base, base, count: 1, method: false });
                }
                self.emit_at(s.test.range(), Op::Raise { exc: base, cause: NO_REG });
                self.reset(mark);
                self.place(good);
            }
            Stmt::Import(s) => {
                for alias in &s.names {
                    let mark = self.mark();
                    let text = alias.name.as_str();
                    let name = self.name(text);
                    let from = self.constant(Const::None);
                    let dst = self.temp();
                    self.emit(Op::Import { dst, name, from, level: 0 });
                    match &alias.asname {
                        None => self.store(text.split('.').next().unwrap_or(text), dst),
                        Some(asname) => {
                            for part in text.split('.').skip(1) {
                                let inner = self.temp();
                                let name = self.name(part);
                                self.emit(Op::ImportFrom { dst: inner, module: dst, name });
                                self.emit(Op::Move { dst, src: inner });
                                self.unit.barrier = self.unit.parts.ops.len();
                                self.reset(dst - TEMP + 1);
                            }
                            self.store(asname.as_str(), dst);
                        }
                    }
                    self.reset(mark);
                }
            }
            Stmt::ImportFrom(s) => {
                let mark = self.mark();
                let text = s.module.as_ref().map_or("", |m| m.as_str()).to_string();
                let name = self.name(&text);
                let names: Vec<Const> = s.names.iter().map(|a| Const::Str(a.name.as_str().into())).collect();
                let from = self.constant(Const::Tuple(names.into()));
                let module = self.temp();
                self.emit(Op::Import { dst: module, name, from, level: s.level as u16 });
                for alias in &s.names {
                    if alias.name.as_str() == "*" {
                        self.emit(Op::ImportStar { module });
                        self.reset(mark);
                        return Ok(());
                    }
                    let dst = self.temp();
                    let name = self.name(alias.name.as_str());
                    self.emit(Op::ImportFrom { dst, module, name });
                    self.store(alias.asname.as_ref().unwrap_or(&alias.name).as_str(), dst);
                    self.reset(mark + 1);
                }
                self.emit(Op::Drop { reg: module });
            }
            Stmt::Global(_) | Stmt::Nonlocal(_) | Stmt::Pass(_) => {}
            Stmt::Break(b) => {
                let Some(at) = self.innermost_loop() else {
                    return self.fail(b.range, "'break' outside loop");
                };
                self.leave(at + 1, false)?;
                if let Block::Loop { end, iterator, .. } = self.unit.blocks[at].clone() {
                    if let Some(reg) = iterator {
                        self.emit(Op::Drop { reg });
                    }
                    self.emit(Op::Jump { target: end });
                }
                self.reopen(at + 1);
                self.unreachable();
            }
            Stmt::Continue(c) => {
                let Some(at) = self.innermost_loop() else {
                    return self.fail(c.range, "'continue' not properly in loop");
                };
                self.leave(at + 1, false)?;
                if let Block::Loop { next, .. } = self.unit.blocks[at] {
                    self.emit(Op::Jump { target: next });
                }
                self.reopen(at + 1);
                self.unreachable();
            }
            Stmt::FunctionDef(f) => self.function(f)?,
            Stmt::ClassDef(c) => self.class(c)?,
            Stmt::TypeAlias(t) => self.type_alias(t)?,
            Stmt::IpyEscapeCommand(c) => return self.fail(c.range, "invalid syntax"),
        }
        Ok(())
    }

    fn innermost_loop(&self) -> Option<usize> {
        self.unit.blocks.iter().rposition(|b| matches!(b, Block::Loop { .. }))
    }

    /// The value of an annotation, or its text.
    pub fn annotation(&mut self, annotation: &'a Expr) -> Result<Reg> {
        if self.module.future_annotations {
            let text = self.module.source.slice(annotation.range()).to_string();
            return Ok(self.load_const(Const::Str(text.into())));
        }
        self.expr_temp(annotation)
    }

    fn for_loop(&mut self, s: &'a ruff_python_ast::StmtFor) -> Result {
        let mark = self.mark();
        let (next, end, orelse) = (self.label(), self.label(), self.label());
        let src = self.expr(&s.iter)?;
        self.reset(mark);
        let iter = self.temp();
        self.emit_at(s.iter.range(), Op::GetIter { dst: iter, src });
        let state = self.unit.bound.clone();
        self.place(next);
        let dst = self.temp();
        self.emit_at(s.iter.range(), Op::ForIter { dst, iter, target: orelse });
        self.range = s.target.range();
        if let Expr::Name(name) = &*s.target
            && let crate::names::Where::Local(reg) = {
                let n = self.mangled(name.id.as_str());
                self.find(&n)
            }
        {
            if let Some(Op::ForIter { dst, .. }) = self.unit.parts.ops.last_mut() {
                *dst = reg;
            }
            if let Some(bound) = &mut self.unit.bound {
                bound.insert(reg);
            }
        } else {
            self.unit.barrier = self.unit.parts.ops.len();
            self.assign(&s.target, dst)?;
        }
        self.reset(mark + 1);
        self.unit.blocks.push(Block::Loop { next, end, iterator: Some(iter) });
        self.statements(&s.body)?;
        self.unit.blocks.pop();
        self.range = s.iter.range();
        self.emit(Op::Jump { target: next });
        self.place(orelse);
        self.reset(mark);
        self.unit.bound = state.clone();
        self.statements(&s.orelse)?;
        self.place(end);
        self.unit.bound = state;
        Ok(())
    }

    /// Assigns a register (taken) to a target.
    pub fn assign(&mut self, target: &'a Expr, src: Reg) -> Result {
        let mark = self.mark();
        let range = target.range();
        match target {
            Expr::Name(name) => {
                self.store(name.id.as_str(), src);
            }
            Expr::Attribute(a) => {
                let obj = self.expr(&a.value)?;
                let name = self.mangled(a.attr.as_str());
                let (name, cache) = (self.name(&name), self.cache());
                self.emit_at(range, Op::StoreAttr { obj, name, src, cache });
            }
            Expr::Subscript(s) => {
                let obj = self.expr(&s.value)?;
                let key = self.expr(&s.slice)?;
                self.emit_at(range, Op::StoreIndex { obj, key, src });
            }
            Expr::Tuple(_) | Expr::List(_) => {
                let elts = match target {
                    Expr::Tuple(t) => &t.elts,
                    Expr::List(l) => &l.elts,
                    _ => return Ok(()),
                };
                let stars: Vec<usize> = elts
                    .iter()
                    .enumerate()
                    .filter(|(_, e)| matches!(e, Expr::Starred(_)))
                    .map(|(i, _)| i)
                    .collect();
                if stars.len() > 1 {
                    return self.fail(range, "multiple starred expressions in assignment");
                }
                let dst = TEMP + self.mark();
                for _ in elts {
                    self.temp();
                }
                self.unit.most = self.unit.most.max(self.unit.top + 1);
                let op = match stars.first() {
                    None => Op::Unpack { dst, src, count: elts.len() as u16 },
                    Some(at) => {
                        if *at > 255 || elts.len() - at > 255 {
                            return self.fail(range, "too many expressions in star-unpacking assignment");
                        }
                        Op::UnpackStar { dst, src, before: *at as u8, after: (elts.len() - at - 1) as u8 }
                    }
                };
                self.emit_at(range, op);
                self.unit.barrier = self.unit.parts.ops.len();
                for (at, element) in elts.iter().enumerate() {
                    let element = match element {
                        Expr::Starred(s) => &s.value,
                        other => other,
                    };
                    self.range = element.range();
                    self.assign(element, dst + at as Reg)?;
                }
            }
            Expr::Starred(_) => {
                return self.fail(range, "starred assignment target must be in a list or tuple");
            }
            other => return self.fail(other.range(), "cannot assign to expression"),
        }
        self.reset(mark);
        Ok(())
    }

    fn augmented(&mut self, a: &'a ruff_python_ast::StmtAugAssign) -> Result {
        let op = binary_op(a.op);
        let mark = self.mark();
        match &*a.target {
            Expr::Name(name) => {
                let left = if self.walrus {
                    self.expr_temp(&a.target)?
                } else {
                    self.load(name.id.as_str(), name.range)?
                };
                let right = self.expr(&a.value)?;
                self.reset(mark);
                let dst = self.temp();
                self.emit_at(a.range, Op::InPlace { dst, op, left, right });
                self.store(name.id.as_str(), dst);
            }
            Expr::Attribute(t) => {
                // A variable is read where it is; what only this statement holds is kept for the store.
                let obj = self.operand(&t.value)?;
                let copy = self.temp();
                let from = if obj < TEMP { obj } else { copy };
                if from == copy {
                    self.emit(Op::Copy { dst: copy, src: obj });
                }
                let text = self.mangled(t.attr.as_str());
                let (name, cache) = (self.name(&text), self.cache());
                self.emit_at(t.range, Op::LoadAttr { dst: copy, obj: from, name, cache });
                let right = self.expr(&a.value)?;
                self.emit_at(a.range, Op::InPlace { dst: copy, op, left: copy, right });
                let cache = self.cache();
                self.emit_at(t.range, Op::StoreAttr { obj, name, src: copy, cache });
            }
            Expr::Subscript(t) => {
                let obj = self.operand(&t.value)?;
                let key = self.expr_temp(&t.slice)?;
                let (o, k) = (self.temp(), self.temp());
                let from = if obj < TEMP { obj } else { o };
                if from == o {
                    self.emit(Op::Copy { dst: o, src: obj });
                }
                self.emit(Op::Copy { dst: k, src: key });
                self.emit_at(t.range, Op::Index { dst: o, obj: from, key: k });
                self.reset(o - TEMP + 1);
                let right = self.expr(&a.value)?;
                self.emit_at(a.range, Op::InPlace { dst: o, op, left: o, right });
                self.emit_at(t.range, Op::StoreIndex { obj, key, src: o });
            }
            other => return self.fail(other.range(), "illegal expression for augmented assignment"),
        }
        self.reset(mark);
        Ok(())
    }

    fn delete_target(&mut self, target: &'a Expr) -> Result {
        let mark = self.mark();
        let range = target.range();
        match target {
            Expr::Name(name) => self.delete(name.id.as_str(), range),
            Expr::Attribute(a) => {
                let obj = self.expr(&a.value)?;
                let name = self.mangled(a.attr.as_str());
                let name = self.name(&name);
                self.emit_at(range, Op::DeleteAttr { obj, name });
            }
            Expr::Subscript(s) => {
                let obj = self.expr(&s.value)?;
                let key = self.expr(&s.slice)?;
                self.emit_at(range, Op::DeleteIndex { obj, key });
            }
            Expr::Tuple(t) => {
                for element in &t.elts {
                    self.delete_target(element)?;
                }
            }
            Expr::List(l) => {
                for element in &l.elts {
                    self.delete_target(element)?;
                }
            }
            other => return self.fail(other.range(), "cannot delete expression"),
        }
        self.reset(mark);
        Ok(())
    }
}

/// Whether a loop's body leaves this loop by `break`.
fn contains_break(body: &[Stmt]) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::Break(_) => true,
        Stmt::If(s) => contains_break(&s.body) || s.elif_else_clauses.iter().any(|c| contains_break(&c.body)),
        Stmt::For(s) => contains_break(&s.orelse),
        Stmt::While(s) => contains_break(&s.orelse),
        Stmt::With(s) => contains_break(&s.body),
        Stmt::Match(s) => s.cases.iter().any(|c| contains_break(&c.body)),
        Stmt::Try(s) => {
            contains_break(&s.body)
                || contains_break(&s.orelse)
                || contains_break(&s.finalbody)
                || s.handlers.iter().any(|h| {
                    let ruff_python_ast::ExceptHandler::ExceptHandler(h) = h;
                    contains_break(&h.body)
                })
        }
        _ => false,
    })
}
