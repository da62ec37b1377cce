//! `try`, `with`, `async for`, and the ways out of them.

use std::collections::HashSet;

use pyc_ir::{Const, NO_REG, Op, Reg, Special};
use ruff_python_ast::{ExceptHandler, StmtFor, StmtTry, StmtWith};
use ruff_text_size::{Ranged, TextRange};

use crate::unit::{Block, Label, Lower, Result, TEMP};

/// Where the parts of one `try` statement are.
struct Trying {
    /// The caught exception.
    exc: Reg,
    /// The exception that was being handled before.
    saved: Reg,
    /// The guard around the handlers.
    cleanup: usize,
    /// Behind the statement.
    end: Label,
    /// The variables that surely were bound before it.
    before: Option<HashSet<Reg>>,
}

impl<'a> Lower<'a> {
    /// Emits what leaving the blocks from the innermost down to `until` has to do. Guards are closed on the way;
    /// `reopen` opens them again after the jump.
    pub fn leave(&mut self, until: usize, returning: bool) -> Result {
        let blocks = self.unit.blocks.clone();
        for at in (until..blocks.len()).rev() {
            self.unit.blocks.truncate(at);
            match blocks[at].clone() {
                Block::Loop { iterator, .. } => {
                    if let (Some(reg), false) = (iterator, returning) {
                        self.emit(Op::Drop { reg });
                    }
                }
                Block::Guarded { guard } => self.close_guard(guard),
                Block::Finally { body, guard } => {
                    self.close_guard(guard);
                    let range = self.range;
                    self.statements(body)?;
                    self.range = range;
                }
                Block::With { exit, is_async, guard, range } => {
                    self.close_guard(guard);
                    let before = std::mem::replace(&mut self.range, range);
                    self.call_exit(exit, is_async);
                    self.range = before;
                }
                Block::Handler { saved, exc, guard } => {
                    self.close_guard(guard);
                    self.emit(Op::LeaveHandler { saved });
                    self.emit(Op::Drop { reg: exc });
                }
                Block::Named { name, guard } => {
                    self.close_guard(guard);
                    self.forget(&name);
                }
            }
        }
        self.unit.blocks = blocks;
        Ok(())
    }

    /// Opens the guards of the blocks from `from` on again.
    pub fn reopen(&mut self, from: usize) {
        let blocks: Vec<Block<'a>> = self.unit.blocks[from..].to_vec();
        for block in blocks {
            match block {
                Block::Loop { .. } => {}
                Block::Finally { guard, .. }
                | Block::Guarded { guard }
                | Block::With { guard, .. }
                | Block::Handler { guard, .. }
                | Block::Named { guard, .. } => self.reopen_guard(guard),
            }
        }
    }

    /// `name = None; del name` at the end of `except ... as name`.
    fn forget(&mut self, name: &str) {
        let mark = self.mark();
        let none = self.load_const(Const::None);
        self.unit.barrier = self.unit.parts.ops.len();
        self.store(name, none);
        self.delete(name, TextRange::default());
        self.reset(mark);
    }

    /// Starts a handler: the exception is in a temporary of its own, the former one saved.
    fn enter_handler(&mut self, guard: usize) -> (Reg, Reg) {
        let (target, register) = (self.unit.guards[guard].target, self.unit.guards[guard].register);
        self.place(target);
        self.reset(register - TEMP);
        let exc = self.temp();
        let saved = self.temp();
        self.emit(Op::EnterHandler { saved, exc });
        (exc, saved)
    }

    /// The end of a handler's own guard: puts the former exception back and raises on.
    fn finish_handler(&mut self, guard: usize, saved: Reg) {
        self.range = TextRange::default();
        let (target, register) = (self.unit.guards[guard].target, self.unit.guards[guard].register);
        let mark = self.mark();
        self.place(target);
        self.reset(register - TEMP);
        let exc = self.temp();
        self.emit(Op::LeaveHandler { saved });
        self.emit(Op::Reraise { exc });
        self.reset(mark);
    }

    pub fn try_statement(&mut self, s: &'a StmtTry) -> Result {
        if s.finalbody.is_empty() {
            return self.try_except(s);
        }
        let mark = self.mark();
        let before = self.unit.bound.clone();
        let guard = self.guard();
        self.unit.blocks.push(Block::Finally { body: &s.finalbody, guard });
        if s.handlers.is_empty() {
            self.statements(&s.body)?;
        } else {
            self.try_except(s)?;
        }
        self.unit.blocks.pop();
        self.close_guard(guard);
        let end = self.label();
        let after_body = self.unit.bound.clone();
        if after_body.is_some() {
            self.statements(&s.finalbody)?;
            self.range = TextRange::default();
            self.emit(Op::Jump { target: end });
        }
        let normal = self.unit.bound.clone();
        // The way of an exception.
        self.unit.bound = before;
        self.range = s.range;
        let (exc, saved) = self.enter_handler(guard);
        let cleanup = self.guard();
        self.unit.blocks.push(Block::Handler { saved, exc, guard: cleanup });
        self.statements(&s.finalbody)?;
        self.unit.blocks.pop();
        self.close_guard(cleanup);
        self.range = TextRange::default();
        self.emit(Op::LeaveHandler { saved });
        self.emit(Op::Reraise { exc });
        self.finish_handler(cleanup, saved);
        self.place(end);
        self.reset(mark);
        self.unit.bound = normal;
        Ok(())
    }

    fn try_except(&mut self, s: &'a StmtTry) -> Result {
        let mark = self.mark();
        let before = self.unit.bound.clone();
        let end = self.label();
        let guard = self.guard();
        self.unit.blocks.push(Block::Guarded { guard });
        self.statements(&s.body)?;
        self.unit.blocks.pop();
        self.close_guard(guard);
        if self.unit.bound.is_some() {
            self.statements(&s.orelse)?;
            self.range = TextRange::default();
            self.emit(Op::Jump { target: end });
        }
        let mut joined = self.unit.bound.clone();
        self.unit.bound.clone_from(&before);
        self.range = s.range;
        let (exc, saved) = self.enter_handler(guard);
        let cleanup = self.guard();
        self.unit.blocks.push(Block::Handler { saved, exc, guard: cleanup });
        let state = Trying { exc, saved, cleanup, end, before };
        joined = if s.is_star {
            self.star_handlers(s, &state, joined)?
        } else {
            self.handlers(s, &state, joined)?
        };
        self.finish_handler(cleanup, saved);
        self.place(end);
        self.reset(mark);
        self.unit.bound = joined;
        Ok(())
    }

    fn handlers(
        &mut self,
        s: &'a StmtTry,
        state: &Trying,
        mut joined: Option<HashSet<Reg>>,
    ) -> Result<Option<HashSet<Reg>>> {
        let Trying { exc, saved, cleanup, end, ref before } = *state;
        let height = self.mark();
        for (at, handler) in s.handlers.iter().enumerate() {
            let ExceptHandler::ExceptHandler(h) = handler;
            let next = self.label();
            self.unit.bound.clone_from(before);
            self.range = h.range;
            match &h.type_ {
                Some(kind) => {
                    let kind_reg = self.expr(kind)?;
                    self.reset(height);
                    let dst = self.temp();
                    self.emit_at(kind.range(), Op::MatchException { dst, exc, kind: kind_reg });
                    self.emit(Op::JumpIfNot { cond: dst, target: next });
                    self.reset(height);
                }
                None if at + 1 < s.handlers.len() => {
                    return self.fail(h.range, "default 'except:' must be last");
                }
                None => {}
            }
            match &h.name {
                Some(name) => self.named_handler(name.as_str(), exc, &h.body)?,
                None => self.statements(&h.body)?,
            }
            if self.unit.bound.is_some() {
                self.range = TextRange::default();
                self.close_guard(cleanup);
                self.emit(Op::LeaveHandler { saved });
                self.emit(Op::Drop { reg: exc });
                self.emit(Op::Jump { target: end });
                self.reopen_guard(cleanup);
            }
            joined = Lower::join(joined.take(), self.unit.bound.clone());
            self.place(next);
            self.reset(height);
        }
        self.unit.blocks.pop();
        self.close_guard(cleanup);
        self.range = TextRange::default();
        self.emit(Op::LeaveHandler { saved });
        self.emit(Op::Reraise { exc });
        Ok(joined)
    }

    /// The body of `except ... as name`, with the name unbound on every way out.
    fn named_handler(&mut self, name: &'a str, exc: Reg, body: &'a [ruff_python_ast::Stmt]) -> Result {
        let height = self.mark();
        self.unit.unsure.insert(self.mangled(name));
        let copy = self.temp();
        self.emit(Op::Copy { dst: copy, src: exc });
        self.unit.barrier = self.unit.parts.ops.len();
        self.store(name, copy);
        self.reset(height);
        let guard = self.guard();
        self.unit.blocks.push(Block::Named { name: name.to_string(), guard });
        self.statements(body)?;
        self.unit.blocks.pop();
        self.close_guard(guard);
        let done = self.label();
        self.range = TextRange::default();
        if self.unit.bound.is_some() {
            self.forget(name);
            self.emit(Op::Jump { target: done });
        }
        let state = self.unit.bound.clone();
        let (target, register) = (self.unit.guards[guard].target, self.unit.guards[guard].register);
        self.place(target);
        self.reset(register - TEMP);
        let raised = self.temp();
        self.forget(name);
        self.emit(Op::Reraise { exc: raised });
        self.place(done);
        self.reset(height);
        self.unit.bound = state;
        Ok(())
    }

    fn star_handlers(
        &mut self,
        s: &'a StmtTry,
        state: &Trying,
        joined: Option<HashSet<Reg>>,
    ) -> Result<Option<HashSet<Reg>>> {
        let Trying { exc, saved, cleanup, end, ref before } = *state;
        // exc: what is left; original; list of what the handlers raised.
        let original = self.temp();
        self.emit(Op::Copy { dst: original, src: exc });
        let raised = self.temp();
        self.emit(Op::BuildList { dst: raised, base: raised, count: 0 });
        let height = self.mark();
        for handler in &s.handlers {
            let ExceptHandler::ExceptHandler(h) = handler;
            let (next, skip) = (self.label(), self.label());
            self.unit.bound.clone_from(before);
            self.range = h.range;
            let Some(kind) = &h.type_ else {
                return self.fail(h.range, "expected one or more exception types");
            };
            self.emit(Op::JumpIfNone { src: exc, target: next });
            let kind_reg = self.expr(kind)?;
            self.reset(height);
            let matched = self.temp();
            self.emit_at(kind.range(), Op::MatchGroup { dst: matched, exc, kind: kind_reg });
            self.emit(Op::JumpIfNone { src: matched, target: skip });
            let inner_saved = self.temp();
            self.emit(Op::EnterHandler { saved: inner_saved, exc: matched });
            let guard = self.guard();
            self.unit.blocks.push(Block::Handler { saved: inner_saved, exc: matched, guard });
            match &h.name {
                Some(name) => self.named_handler(name.as_str(), matched, &h.body)?,
                None => self.statements(&h.body)?,
            }
            self.unit.blocks.pop();
            self.close_guard(guard);
            self.range = TextRange::default();
            self.emit(Op::LeaveHandler { saved: inner_saved });
            self.emit(Op::Jump { target: skip });
            let (target, register) = (self.unit.guards[guard].target, self.unit.guards[guard].register);
            self.place(target);
            self.reset(register - TEMP);
            let error = self.temp();
            self.emit(Op::LeaveHandler { saved: inner_saved });
            self.emit(Op::ListAppend { list: raised, src: error });
            self.place(skip);
            self.emit(Op::Drop { reg: matched });
            self.place(next);
            self.reset(height);
        }
        self.unit.bound.clone_from(before);
        self.range = TextRange::default();
        let rest = self.temp();
        self.emit(Op::Copy { dst: rest, src: exc });
        self.emit(Op::ListAppend { list: raised, src: rest });
        self.reset(height);
        let result = self.temp();
        self.emit(Op::JoinGroup { dst: result, original, raised });
        let fine = self.label();
        self.emit(Op::JumpIfNone { src: result, target: fine });
        self.unit.blocks.pop();
        self.close_guard(cleanup);
        self.emit(Op::LeaveHandler { saved });
        self.emit(Op::Reraise { exc: result });
        self.place(fine);
        self.emit(Op::LeaveHandler { saved });
        self.emit(Op::Drop { reg: exc });
        self.emit(Op::Jump { target: end });
        Ok(Lower::join(joined, before.clone()))
    }

    /// `exit(None, None, None)`; `exit` and the register after it are taken.
    fn call_exit(&mut self, exit: Reg, is_async: bool) {
        let mark = self.mark();
        let base = self.temp();
        let this = self.temp();
        self.emit(Op::Move { dst: base, src: exit });
        self.emit(Op::Move { dst: this, src: exit + 1 });
        for _ in 0..3 {
            self.load_const(Const::None);
        }
        self.emit(Op::Call { dst: base, base, count: 3, method: true });
        self.reset(mark + 1);
        if is_async {
            self.reset(mark);
            let result = self.await_value(base, 2);
            self.emit(Op::Drop { reg: result });
        } else {
            self.emit(Op::Drop { reg: base });
        }
        self.reset(mark);
    }

    pub fn with(&mut self, s: &'a StmtWith, at: usize) -> Result {
        let Some(item) = s.items.get(at) else { return self.statements(&s.body) };
        let mark = self.mark();
        let range = item.context_expr.range();
        let context = self.expr_temp(&item.context_expr)?;
        let exit = self.temp();
        self.temp();
        let enter = self.temp();
        self.temp();
        let (enter_name, exit_name) = if s.is_async {
            (Special::AsyncEnter, Special::AsyncExit)
        } else {
            (Special::Enter, Special::Exit)
        };
        self.range = range;
        self.emit(Op::LoadSpecial { dst: enter, obj: context, method: enter_name });
        self.emit(Op::LoadSpecial { dst: exit, obj: context, method: exit_name });
        self.emit(Op::Drop { reg: context });
        self.emit(Op::Call { dst: enter, base: enter, count: 0, method: true });
        self.reset(enter - TEMP + 1);
        if s.is_async {
            self.reset(enter - TEMP);
            let result = self.await_value(enter, 1);
            debug_assert_eq!(result, enter);
        }
        // The guard's handler starts below the entered value.
        self.reset(enter - TEMP);
        let guard = self.guard();
        self.unit.blocks.push(Block::With { exit, is_async: s.is_async, guard, range });
        self.reset(enter - TEMP + 1);
        match &item.optional_vars {
            Some(target) => {
                self.unit.barrier = self.unit.parts.ops.len();
                self.range = target.range();
                self.assign(target, enter)?;
            }
            None => self.emit(Op::Drop { reg: enter }),
        }
        self.reset(enter - TEMP);
        let before = self.unit.bound.clone();
        self.with(s, at + 1)?;
        self.unit.blocks.pop();
        self.close_guard(guard);
        let end = self.label();
        self.range = range;
        if self.unit.bound.is_some() {
            self.call_exit(exit, s.is_async);
            self.emit(Op::Jump { target: end });
        }
        let (exc, saved) = self.enter_handler(guard);
        let cleanup = self.guard();
        self.unit.blocks.push(Block::Handler { saved, exc, guard: cleanup });
        let height = self.mark();
        let mut result = self.temp();
        self.emit(Op::WithExit { dst: result, base: exit, exc });
        if s.is_async {
            self.reset(height);
            result = self.await_value(result, 2);
        }
        let suppressed = self.label();
        self.emit(Op::JumpIf { cond: result, target: suppressed });
        self.reset(height);
        self.unit.blocks.pop();
        self.close_guard(cleanup);
        self.emit(Op::LeaveHandler { saved });
        self.emit_at(TextRange::default(), Op::Reraise { exc });
        self.place(suppressed);
        self.emit(Op::LeaveHandler { saved });
        self.emit(Op::Drop { reg: exc });
        self.emit(Op::Drop { reg: exit });
        self.emit(Op::Drop { reg: exit + 1 });
        self.emit(Op::Jump { target: end });
        self.finish_handler(cleanup, saved);
        self.place(end);
        self.reset(mark);
        self.unit.bound = before;
        let _ = NO_REG;
        Ok(())
    }

    pub fn async_for(&mut self, s: &'a StmtFor) -> Result {
        let mark = self.mark();
        let (next, end, orelse) = (self.label(), self.label(), self.label());
        let src = self.expr(&s.iter)?;
        self.reset(mark);
        let iter = self.temp();
        self.range = s.iter.range();
        self.emit(Op::GetAsyncIter { dst: iter, src });
        let state = self.unit.bound.clone();
        self.place(next);
        let guard = self.guard();
        let item = self.async_item(iter);
        self.close_guard(guard);
        self.unit.barrier = self.unit.parts.ops.len();
        self.assign(&s.target, item)?;
        self.reset(mark + 1);
        self.unit.blocks.push(Block::Loop { next, end, iterator: Some(iter) });
        self.statements(&s.body)?;
        self.unit.blocks.pop();
        self.emit(Op::Jump { target: next });
        self.end_async(guard, iter);
        self.place(orelse);
        self.reset(mark);
        self.unit.bound = state.clone();
        self.statements(&s.orelse)?;
        self.place(end);
        self.unit.bound = state;
        Ok(())
    }

    /// Awaits the next item of an asynchronous iterator.
    pub fn async_item(&mut self, iter: Reg) -> Reg {
        let mark = self.mark();
        let awaitable = self.temp();
        self.emit(Op::GetAsyncNext { dst: awaitable, iter });
        self.reset(mark);
        self.await_value(awaitable, 3)
    }

    /// The handler of `async_item`'s guard: goes on behind the loop at the end of the iteration.
    pub fn end_async(&mut self, guard: usize, iter: Reg) {
        let (target, register) = (self.unit.guards[guard].target, self.unit.guards[guard].register);
        self.place(target);
        self.reset(register - TEMP);
        let exc = self.temp();
        self.emit(Op::EndAsyncFor { exc });
        self.emit(Op::Drop { reg: iter });
    }
}
