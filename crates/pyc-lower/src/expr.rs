//! Expressions.

use pyc_ir::UnaryOp as IrUnary;
use pyc_ir::{BinaryOp, CompareOp, Const, Conversion, Intrinsic, NO_REG, Op, Reg};
use ruff_python_ast::{
    BoolOp, CmpOp, ConversionFlag, Expr, ExprCall, FString, FStringPart, InterpolatedStringElement, Operator,
    UnaryOp,
};
use ruff_text_size::{Ranged, TextRange};

use crate::names::Where;
use crate::unit::{Label, Lower, Result, TEMP};

pub(crate) fn binary_op(op: Operator) -> BinaryOp {
    match op {
        Operator::Add => BinaryOp::Add,
        Operator::Sub => BinaryOp::Sub,
        Operator::Mult => BinaryOp::Mul,
        Operator::MatMult => BinaryOp::MatMul,
        Operator::Div => BinaryOp::Div,
        Operator::Mod => BinaryOp::Mod,
        Operator::Pow => BinaryOp::Pow,
        Operator::LShift => BinaryOp::LShift,
        Operator::RShift => BinaryOp::RShift,
        Operator::BitOr => BinaryOp::Or,
        Operator::BitXor => BinaryOp::Xor,
        Operator::BitAnd => BinaryOp::And,
        Operator::FloorDiv => BinaryOp::FloorDiv,
    }
}

fn compare_op(op: CmpOp) -> Option<CompareOp> {
    Some(match op {
        CmpOp::Eq => CompareOp::Eq,
        CmpOp::NotEq => CompareOp::Ne,
        CmpOp::Lt => CompareOp::Lt,
        CmpOp::LtE => CompareOp::Le,
        CmpOp::Gt => CompareOp::Gt,
        CmpOp::GtE => CompareOp::Ge,
        _ => return None,
    })
}

impl<'a> Lower<'a> {
    /// The value of an expression: a local, or a temporary at the height where it began.
    pub fn expr(&mut self, expr: &'a Expr) -> Result<Reg> {
        self.depth += 1;
        if self.depth > 2000 {
            return self.fail(expr.range(), "too many nested expressions");
        }
        let result = self.expr_inner(expr);
        self.depth -= 1;
        result
    }

    /// As `expr`, always in a temporary.
    pub fn expr_temp(&mut self, expr: &'a Expr) -> Result<Reg> {
        let mark = self.mark();
        let reg = self.expr(expr)?;
        if reg >= TEMP {
            return Ok(reg);
        }
        self.reset(mark);
        let dst = self.temp();
        self.emit_at(expr.range(), Op::Move { dst, src: reg });
        Ok(dst)
    }

    /// As `expr`, safe against assignments in operands that come later.
    pub fn operand(&mut self, expr: &'a Expr) -> Result<Reg> {
        if self.walrus { self.expr_temp(expr) } else { self.expr(expr) }
    }

    fn expr_inner(&mut self, expr: &'a Expr) -> Result<Reg> {
        let range = expr.range();
        let mark = self.mark();
        if let Some(constant) = self.fold(expr) {
            let value = self.constant(constant);
            let dst = self.temp();
            self.emit_at(range, Op::Const { dst, value });
            return Ok(dst);
        }
        match expr {
            Expr::Name(name) => {
                if name.id.as_str() == "__debug__" {
                    return Ok(self.load_const(Const::Bool(true)));
                }
                self.load(name.id.as_str(), range)
            }
            Expr::BinOp(b) => {
                let left = self.operand(&b.left)?;
                if let (Operator::Add | Operator::Sub, Some(Const::Int(n))) = (b.op, self.fold(&b.right))
                    && let Ok(value) = i16::try_from(n)
                {
                    self.reset(mark);
                    let dst = self.temp();
                    let op = if b.op == Operator::Add {
                        Op::AddInt { dst, left, value }
                    } else {
                        Op::SubInt { dst, left, value }
                    };
                    self.emit_at(range, op);
                    return Ok(dst);
                }
                let right = self.expr(&b.right)?;
                self.reset(mark);
                let dst = self.temp();
                let op = match b.op {
                    Operator::Add => Op::Add { dst, left, right },
                    Operator::Sub => Op::Sub { dst, left, right },
                    Operator::Mult => Op::Mul { dst, left, right },
                    other => Op::Binary { dst, op: binary_op(other), left, right },
                };
                self.emit_at(range, op);
                Ok(dst)
            }
            Expr::UnaryOp(u) => {
                let src = self.expr(&u.operand)?;
                self.reset(mark);
                let dst = self.temp();
                let op = match u.op {
                    UnaryOp::Not => Op::Not { dst, src },
                    UnaryOp::USub => Op::Unary { dst, op: IrUnary::Neg, src },
                    UnaryOp::UAdd => Op::Unary { dst, op: IrUnary::Pos, src },
                    UnaryOp::Invert => Op::Unary { dst, op: IrUnary::Invert, src },
                };
                self.emit_at(range, op);
                Ok(dst)
            }
            Expr::BoolOp(b) => {
                let end = self.label();
                let dst = self.expr_temp(&b.values[0])?;
                for value in &b.values[1..] {
                    let cond = self.temp();
                    self.emit_at(range, Op::Copy { dst: cond, src: dst });
                    let jump = match b.op {
                        BoolOp::And => Op::JumpIfNot { cond, target: end },
                        BoolOp::Or => Op::JumpIf { cond, target: end },
                    };
                    self.emit_at(range, jump);
                    self.emit(Op::Drop { reg: dst });
                    self.reset(mark);
                    let state = self.unit.bound.clone();
                    self.expr_temp(value)?;
                    self.unit.bound = state;
                }
                self.place(end);
                Ok(dst)
            }
            Expr::Compare(c) => self.compare(c),
            Expr::If(i) => {
                let (other, end) = (self.label(), self.label());
                self.jump_unless(&i.test, other)?;
                let state = self.unit.bound.clone();
                let dst = self.expr_temp(&i.body)?;
                self.emit(Op::Jump { target: end });
                self.place(other);
                self.reset(mark);
                self.unit.bound = state.clone();
                self.expr_temp(&i.orelse)?;
                self.place(end);
                self.unit.bound = state;
                Ok(dst)
            }
            Expr::Named(n) => {
                let value = self.expr_temp(&n.value)?;
                let copy = self.temp();
                self.emit_at(range, Op::Copy { dst: copy, src: value });
                if let Expr::Name(name) = &*n.target {
                    self.range = range;
                    self.unit.barrier = self.unit.parts.ops.len();
                    self.store(name.id.as_str(), copy);
                }
                self.reset(mark + 1);
                Ok(value)
            }
            Expr::Lambda(lambda) => self.lambda(lambda),
            Expr::Tuple(t) => self.sequence(&t.elts, range, 0),
            Expr::List(l) => self.sequence(&l.elts, range, 1),
            Expr::Set(s) => self.sequence(&s.elts, range, 2),
            Expr::Dict(d) => self.dict(d),
            Expr::ListComp(c) => self.comprehension(c, &c.generators, range, 0, None, &c.elt),
            Expr::SetComp(c) => self.comprehension(c, &c.generators, range, 1, None, &c.elt),
            Expr::DictComp(c) => self.comprehension(c, &c.generators, range, 2, c.key.as_deref(), &c.value),
            Expr::Generator(g) => self.generator_expression(g),
            Expr::Await(a) => {
                let src = self.expr(&a.value)?;
                self.reset(mark);
                self.range = range;
                Ok(self.await_value(src, 0))
            }
            Expr::Yield(y) => {
                let src = match &y.value {
                    Some(value) => self.expr(value)?,
                    None => self.load_const(Const::None),
                };
                self.reset(mark);
                let dst = self.temp();
                self.unit.most = self.unit.most.max(self.unit.top + 1);
                let op = if self.unit.is_async_generator {
                    Op::YieldAsync { dst, src }
                } else {
                    Op::Yield { dst, src, delegate: NO_REG }
                };
                self.emit_at(range, op);
                Ok(dst)
            }
            Expr::YieldFrom(y) => {
                let src = self.expr(&y.value)?;
                self.reset(mark);
                let iter = self.temp();
                self.emit_at(range, Op::GetYieldFromIter { dst: iter, src });
                self.range = range;
                Ok(self.delegate(iter))
            }
            Expr::Call(call) => self.call(call),
            Expr::FString(f) => self.f_string(f.value.as_slice(), range),
            Expr::TString(t) => {
                let mark = self.mark();
                let base = TEMP + mark;
                let mut count = 0;
                for part in &t.value {
                    self.template_part(&part.elements, &mut count)?;
                }
                self.reset(mark);
                let dst = self.temp();
                self.emit_at(range, Op::Intrinsic { dst, which: Intrinsic::Template, base, count });
                Ok(dst)
            }
            Expr::Attribute(a) => {
                let obj = self.expr(&a.value)?;
                self.reset(mark);
                let dst = self.temp();
                let name = self.mangled(a.attr.as_str());
                let (name, cache) = (self.name(&name), self.cache());
                self.emit_at(range, Op::LoadAttr { dst, obj, name, cache });
                Ok(dst)
            }
            Expr::Subscript(s) => {
                let obj = self.operand(&s.value)?;
                let key = self.subscript_key(&s.slice)?;
                self.reset(mark);
                let dst = self.temp();
                self.emit_at(range, Op::Index { dst, obj, key });
                Ok(dst)
            }
            Expr::Slice(s) => {
                let mut base = 0;
                for (at, part) in [&s.lower, &s.upper, &s.step].into_iter().enumerate() {
                    let reg = match part {
                        Some(part) => self.expr_temp(part)?,
                        None => self.load_const(Const::None),
                    };
                    if at == 0 {
                        base = reg;
                    }
                }
                self.reset(mark);
                let dst = self.temp();
                self.emit_at(range, Op::BuildSlice { dst, base });
                Ok(dst)
            }
            Expr::Starred(s) => self.fail(s.range, "can't use starred expression here"),
            other => self.fail(other.range(), "invalid syntax"),
        }
    }

    pub fn subscript_key(&mut self, slice: &'a Expr) -> Result<Reg> {
        self.expr(slice)
    }

    /// `src` is awaited; its result in a temporary.
    pub fn await_value(&mut self, src: Reg, context: u8) -> Reg {
        let iter = self.temp();
        self.emit(Op::GetAwaitable { dst: iter, src, context });
        self.delegate(iter)
    }

    /// The loop of `yield from`: `iter` is the topmost temporary and holds the result afterwards.
    fn delegate(&mut self, iter: Reg) -> Reg {
        let value = self.load_const(Const::None);
        let result = self.temp();
        let (again, done) = (self.label(), self.label());
        self.place(again);
        self.emit(Op::Send { dst: result, iter, value, target: done });
        self.emit(Op::Yield { dst: value, src: result, delegate: iter });
        self.emit(Op::Jump { target: again });
        self.place(done);
        self.emit(Op::Move { dst: iter, src: result });
        self.reset(iter - TEMP + 1);
        iter
    }

    /// Displays: 0 tuple, 1 list, 2 set.
    fn sequence(&mut self, items: &'a [Expr], range: TextRange, kind: u8) -> Result<Reg> {
        let mark = self.mark();
        if items.iter().any(|e| matches!(e, Expr::Starred(_))) || items.len() > 200 {
            let dst = self.temp();
            self.emit_at(
                range,
                if kind == 2 {
                    Op::BuildSet { dst, base: dst, count: 0 }
                } else {
                    Op::BuildList { dst, base: dst, count: 0 }
                },
            );
            for item in items {
                if let Expr::Starred(s) = item {
                    let src = self.expr(&s.value)?;
                    let op = if kind == 2 {
                        Op::SetUpdate { set: dst, src }
                    } else {
                        Op::ListExtend { list: dst, src }
                    };
                    self.emit_at(s.range, op);
                } else {
                    let src = self.expr(item)?;
                    self.emit(if kind == 2 {
                        Op::SetAdd { set: dst, src }
                    } else {
                        Op::ListAppend { list: dst, src }
                    });
                }
                self.reset(mark + 1);
            }
            if kind == 0 {
                self.emit(Op::ListToTuple { dst, src: dst });
            }
            return Ok(dst);
        }
        let base = TEMP + self.mark();
        for item in items {
            self.expr_temp(item)?;
        }
        self.reset(mark);
        let dst = self.temp();
        let count = items.len() as u16;
        let op = match kind {
            0 => Op::BuildTuple { dst, base, count },
            1 => Op::BuildList { dst, base, count },
            _ => Op::BuildSet { dst, base, count },
        };
        self.emit_at(range, op);
        Ok(dst)
    }

    fn dict(&mut self, d: &'a ruff_python_ast::ExprDict) -> Result<Reg> {
        let mark = self.mark();
        if d.items.len() <= 100 && d.items.iter().all(|i| i.key.is_some()) {
            let base = TEMP + mark;
            for item in &d.items {
                if let Some(key) = &item.key {
                    self.expr_temp(key)?;
                    self.expr_temp(&item.value)?;
                }
            }
            self.reset(mark);
            let dst = self.temp();
            self.emit_at(d.range, Op::BuildDict { dst, base, count: d.items.len() as u16 });
            return Ok(dst);
        }
        let dst = self.temp();
        self.emit_at(d.range, Op::BuildDict { dst, base: dst, count: 0 });
        for item in &d.items {
            match &item.key {
                Some(key) => {
                    let key = self.expr_temp(key)?;
                    let src = self.expr_temp(&item.value)?;
                    self.emit(Op::DictSet { dict: dst, key, src });
                }
                None => {
                    let src = self.expr(&item.value)?;
                    self.emit_at(item.value.range(), Op::DictUpdate { dict: dst, src });
                }
            }
            self.reset(mark + 1);
        }
        Ok(dst)
    }

    fn emit_compare(&mut self, dst: Reg, op: CmpOp, left: Reg, right: Reg) {
        self.emit(match op {
            CmpOp::Is => Op::Is { dst, left, right, negate: false },
            CmpOp::IsNot => Op::Is { dst, left, right, negate: true },
            CmpOp::In => Op::Contains { dst, item: left, container: right, negate: false },
            CmpOp::NotIn => Op::Contains { dst, item: left, container: right, negate: true },
            other => Op::Compare { dst, op: compare_op(other).unwrap_or(CompareOp::Eq), left, right },
        });
    }

    fn compare(&mut self, c: &'a ruff_python_ast::ExprCompare) -> Result<Reg> {
        let mark = self.mark();
        if c.ops.len() == 1 {
            let left = self.operand(&c.left)?;
            let right = self.expr(&c.comparators[0])?;
            self.reset(mark);
            let dst = self.temp();
            self.range = c.range;
            self.emit_compare(dst, c.ops[0], left, right);
            return Ok(dst);
        }
        // The result, the operand that two comparisons share, and behind them what one comparison needs.
        let (end, cleanup) = (self.label(), self.label());
        let mut left = self.expr_temp(&c.left)?;
        let dst = left;
        let shared = dst + 1;
        for (at, (op, value)) in c.ops.iter().zip(&c.comparators).enumerate() {
            let last = at + 1 == c.ops.len();
            let right = self.expr_temp(value)?;
            self.range = c.range;
            if last {
                self.emit_compare(dst, *op, left, right);
                self.emit(Op::Jump { target: end });
                break;
            }
            let kept = self.temp();
            self.emit(Op::Copy { dst: kept, src: right });
            self.emit_compare(dst, *op, left, right);
            let cond = right;
            self.emit(Op::Copy { dst: cond, src: dst });
            self.emit(Op::JumpIfNot { cond, target: cleanup });
            self.emit(Op::Drop { reg: dst });
            self.emit(Op::Move { dst: shared, src: kept });
            self.reset(mark + 2);
            left = shared;
        }
        self.place(cleanup);
        // The copy that was kept lies one further from the second comparison on.
        for reg in dst + 2..=dst + 3 {
            self.emit(Op::Drop { reg });
        }
        self.unit.most = self.unit.most.max(mark + 4);
        self.place(end);
        self.reset(mark + 1);
        Ok(dst)
    }

    /// Goes to `target` when the condition is false.
    pub fn jump_unless(&mut self, test: &'a Expr, target: Label) -> Result {
        self.jump(test, false, target)
    }

    /// Goes to `target` when the condition's truth is `sense`.
    pub fn jump(&mut self, test: &'a Expr, sense: bool, target: Label) -> Result {
        let mark = self.mark();
        let range = test.range();
        match test {
            Expr::UnaryOp(u) if u.op == UnaryOp::Not => return self.jump(&u.operand, !sense, target),
            Expr::BoolOp(b) => {
                // `a and b` is false at the first false one; `a or b` is true at the first true one.
                let short = b.op == BoolOp::Or;
                let (last, first) =
                    b.values.split_last().map_or((None, &b.values[..]), |(l, f)| (Some(l), f));
                if short == sense {
                    let mut state = self.unit.bound.clone();
                    for (at, value) in first.iter().enumerate() {
                        self.jump(value, sense, target)?;
                        if at == 0 {
                            state = self.unit.bound.clone();
                        }
                    }
                    if let Some(last) = last {
                        self.jump(last, sense, target)?;
                    }
                    self.unit.bound = state;
                } else {
                    let skip = self.label();
                    let mut state = self.unit.bound.clone();
                    for (at, value) in first.iter().enumerate() {
                        self.jump(value, !sense, skip)?;
                        if at == 0 {
                            state = self.unit.bound.clone();
                        }
                    }
                    if let Some(last) = last {
                        self.jump(last, sense, target)?;
                    }
                    self.place(skip);
                    self.unit.bound = state;
                }
                return Ok(());
            }
            Expr::Compare(c) if c.ops.len() == 1 => {
                if let Some(op) = compare_op(c.ops[0]) {
                    let left = self.operand(&c.left)?;
                    if let Some(Const::Int(n)) = self.fold(&c.comparators[0])
                        && let Ok(value) = i16::try_from(n)
                    {
                        self.reset(mark);
                        self.emit_at(range, Op::JumpCompareInt { op, left, value, sense, target });
                        return Ok(());
                    }
                    let right = self.expr(&c.comparators[0])?;
                    self.reset(mark);
                    self.emit_at(range, Op::JumpCompare { op, left, right, sense, target });
                    return Ok(());
                }
            }
            Expr::BooleanLiteral(b) => {
                if b.value == sense {
                    self.emit_at(range, Op::Jump { target });
                }
                return Ok(());
            }
            _ => {}
        }
        let cond = self.expr(test)?;
        self.reset(mark);
        self.emit_at(range, if sense { Op::JumpIf { cond, target } } else { Op::JumpIfNot { cond, target } });
        Ok(())
    }

    fn call(&mut self, call: &'a ExprCall) -> Result<Reg> {
        let range = call.range();
        let mark = self.mark();
        let base = self.temp();
        let this = self.temp();
        let mut method = false;
        match &*call.func {
            Expr::Attribute(a) if !call.arguments.keywords.iter().any(|k| k.arg.is_none()) => {
                self.reset(mark);
                let obj = self.expr(&a.value)?;
                self.reset(mark + 2);
                let name = self.mangled(a.attr.as_str());
                let (name, cache) = (self.name(&name), self.cache());
                self.emit_at(a.range, Op::LoadMethod { dst: base, obj, name, cache });
                method = true;
            }
            Expr::Name(name)
                if name.id.as_str() == "super"
                    && call.arguments.is_empty()
                    && matches!(self.find("super"), Where::Global) =>
            {
                return self.super_call(call);
            }
            func => {
                self.reset(mark);
                let reg = self.expr_temp(func)?;
                debug_assert_eq!(reg, base);
                self.reset(mark + 2);
            }
        }
        let _ = this;
        self.arguments(&call.arguments, base, method, range, mark)
    }

    /// Arguments and the call; `base` and the register after it hold callee and self.
    pub fn arguments(
        &mut self,
        arguments: &'a ruff_python_ast::Arguments,
        base: Reg,
        method: bool,
        range: TextRange,
        mark: Reg,
    ) -> Result<Reg> {
        let plain = !arguments.args.iter().any(|a| matches!(a, Expr::Starred(_)))
            && arguments.keywords.iter().all(|k| k.arg.is_some())
            && arguments.args.len() + arguments.keywords.len() < 200;
        self.check_keywords(arguments)?;
        if plain {
            for arg in &arguments.args {
                self.expr_temp(arg)?;
            }
            let mut names = Vec::new();
            for keyword in &arguments.keywords {
                if let Some(name) = &keyword.arg {
                    names.push(Const::Str(name.as_str().into()));
                    self.expr_temp(&keyword.value)?;
                }
            }
            let count = (arguments.args.len() + names.len()) as u16;
            self.reset(mark);
            let dst = self.temp();
            let op = if names.is_empty() {
                Op::Call { dst, base, count, method }
            } else {
                let names = self.constant(Const::Tuple(names.into()));
                Op::CallKw { dst, base, count, method, names }
            };
            self.emit_at(range, op);
            return Ok(dst);
        }
        let positional = self.temp();
        self.range = range;
        self.emit(Op::BuildList { dst: positional, base: positional, count: 0 });
        let inside = self.mark();
        for arg in &arguments.args {
            if let Expr::Starred(s) = arg {
                let src = self.expr(&s.value)?;
                self.reset(inside);
                let tuple = self.temp();
                self.emit_at(s.range, Op::StarArgs { dst: tuple, src, callee: base });
                self.emit(Op::ListExtend { list: positional, src: tuple });
            } else {
                let src = self.expr(arg)?;
                self.emit(Op::ListAppend { list: positional, src });
            }
            self.reset(inside);
        }
        self.emit(Op::ListToTuple { dst: positional, src: positional });
        let named = self.temp();
        if arguments.keywords.is_empty() {
            let none = self.constant(Const::None);
            self.emit(Op::Const { dst: named, value: none });
        } else {
            self.emit(Op::BuildDict { dst: named, base: named, count: 0 });
            let inside = self.mark();
            for keyword in &arguments.keywords {
                match &keyword.arg {
                    Some(name) => {
                        let dict = self.temp();
                        let key = self.load_const(Const::Str(name.as_str().into()));
                        let src = self.expr_temp(&keyword.value)?;
                        self.emit(Op::BuildDict { dst: dict, base: key, count: 1 });
                        let _ = src;
                        self.emit(Op::DictMerge { dict: named, src: dict, callee: base });
                    }
                    None => {
                        let src = self.expr(&keyword.value)?;
                        self.emit_at(range, Op::DictMerge { dict: named, src, callee: base });
                    }
                }
                self.reset(inside);
            }
        }
        self.reset(mark);
        let dst = self.temp();
        self.emit_at(range, Op::CallEx { dst, base, method });
        Ok(dst)
    }

    fn check_keywords(&self, arguments: &ruff_python_ast::Arguments) -> Result {
        for (at, keyword) in arguments.keywords.iter().enumerate() {
            if let Some(name) = &keyword.arg
                && arguments.keywords[..at]
                    .iter()
                    .any(|k| k.arg.as_ref().is_some_and(|n| n.as_str() == name.as_str()))
            {
                return self.fail(keyword.range, format!("keyword argument repeated: {}", name.as_str()));
            }
        }
        Ok(())
    }

    /// `super()` without arguments: the class cell and the first parameter are passed.
    fn super_call(&mut self, call: &'a ExprCall) -> Result<Reg> {
        let mark = self.mark();
        self.reset(mark);
        self.range = call.range();
        let base = self.load("super", call.func.range())?;
        self.reset(mark + 2);
        let first = self.unit.parts.locals.first().map(ToString::to_string);
        let has_first = self.unit.parts.argcount > 0 || self.unit.parts.flags.varargs;
        let cell = match self.find("__class__") {
            Where::Cell(cell) => Some(cell),
            _ => None,
        };
        let mut count = 0;
        if let (Some(cell), Some(first), true) = (cell, first, has_first) {
            let dst = self.temp();
            let name = self.name("__class__");
            self.emit(Op::LoadCell { dst, cell, name });
            let place = self.find(&first);
            let dst = self.temp();
            let name = self.name(&first);
            match place {
                Where::Cell(cell) => self.emit(Op::LoadCell { dst, cell, name }),
                Where::Local(src) => self.emit(Op::Move { dst, src }),
                _ => return self.fail(call.range(), "super(): no arguments"),
            }
            count = 2;
        }
        self.reset(mark);
        let dst = self.temp();
        self.emit(Op::Call { dst, base, count, method: false });
        Ok(dst)
    }

    fn f_string(&mut self, parts: &'a [FStringPart], range: TextRange) -> Result<Reg> {
        let mark = self.mark();
        let base = TEMP + mark;
        let mut count = 0u16;
        let mut literal = String::new();
        for part in parts {
            match part {
                FStringPart::Literal(s) => literal.push_str(&s.value),
                FStringPart::FString(f) => self.f_elements(f, &mut literal, &mut count)?,
            }
        }
        self.flush_literal(&mut literal, &mut count);
        self.reset(mark);
        let dst = self.temp();
        self.emit_at(range, Op::BuildString { dst, base, count });
        Ok(dst)
    }

    fn flush_literal(&mut self, literal: &mut String, count: &mut u16) {
        if !literal.is_empty() {
            self.load_const(Const::Str(std::mem::take(literal).into()));
            *count += 1;
        }
    }

    fn f_elements(&mut self, f: &'a FString, literal: &mut String, count: &mut u16) -> Result {
        for element in &f.elements {
            self.f_element(element, literal, count)?;
        }
        Ok(())
    }

    /// The strings and interpolations of a template, each in a register of its own.
    fn template_part(&mut self, elements: &'a [InterpolatedStringElement], count: &mut u16) -> Result {
        for element in elements {
            let field = match element {
                InterpolatedStringElement::Literal(text) => {
                    self.load_const(Const::Str((&*text.value).into()));
                    *count += 1;
                    continue;
                }
                InterpolatedStringElement::Interpolation(field) => field,
            };
            let mut conversion = match field.conversion {
                ConversionFlag::None => Const::None,
                ConversionFlag::Str => Const::Str("s".into()),
                ConversionFlag::Repr => Const::Str("r".into()),
                ConversionFlag::Ascii => Const::Str("a".into()),
            };
            let source = self.module.source.slice(field.expression.range()).to_string();
            if let Some(debug) = &field.debug_text {
                let text = format!("{}{source}{}", debug.leading(), debug.trailing());
                self.load_const(Const::Str(text.into()));
                *count += 1;
                if matches!(conversion, Const::None) && field.format_spec.is_none() {
                    conversion = Const::Str("r".into());
                }
            }
            let base = TEMP + self.mark();
            self.expr_temp(&field.expression)?;
            self.load_const(Const::Str(source.into()));
            self.load_const(conversion);
            let inner = self.mark();
            let first = TEMP + inner;
            let (mut text, mut n) = (String::new(), 0);
            if let Some(spec) = &field.format_spec {
                for element in &spec.elements {
                    self.f_element(element, &mut text, &mut n)?;
                }
            }
            self.flush_literal(&mut text, &mut n);
            self.reset(inner);
            let dst = self.temp();
            self.emit(Op::BuildString { dst, base: first, count: n });
            self.reset(base - TEMP);
            let dst = self.temp();
            self.emit_at(field.range, Op::Intrinsic { dst, which: Intrinsic::Interpolation, base, count: 4 });
            *count += 1;
        }
        Ok(())
    }

    fn f_element(
        &mut self,
        element: &'a InterpolatedStringElement,
        literal: &mut String,
        count: &mut u16,
    ) -> Result {
        match element {
            InterpolatedStringElement::Literal(text) => literal.push_str(&text.value),
            InterpolatedStringElement::Interpolation(field) => {
                let mut conversion = match field.conversion {
                    ConversionFlag::None => Conversion::None,
                    ConversionFlag::Str => Conversion::Str,
                    ConversionFlag::Repr => Conversion::Repr,
                    ConversionFlag::Ascii => Conversion::Ascii,
                };
                if field.debug_text.is_some() {
                    // Everything between the brace and the end of the expression with its sign, as written.
                    let whole = self.module.source.slice(field.range);
                    let inner = &whole[1..];
                    let end = usize::from(field.expression.end() - field.range.start()) - 1;
                    let after = inner[end..].find('=').map_or(end, |at| end + at + 1);
                    let blanks = inner[after..].len() - inner[after..].trim_start().len();
                    literal.push_str(&inner[..after + blanks]);
                    if conversion == Conversion::None && field.format_spec.is_none() {
                        conversion = Conversion::Repr;
                    }
                }
                self.flush_literal(literal, count);
                let mark = self.mark();
                let src = self.expr_temp(&field.expression)?;
                let spec = match &field.format_spec {
                    None => NO_REG,
                    Some(spec) => {
                        let inner = self.mark();
                        let base = TEMP + inner;
                        let (mut text, mut n) = (String::new(), 0);
                        for element in &spec.elements {
                            self.f_element(element, &mut text, &mut n)?;
                        }
                        self.flush_literal(&mut text, &mut n);
                        self.reset(inner);
                        let dst = self.temp();
                        self.emit(Op::BuildString { dst, base, count: n });
                        dst
                    }
                };
                self.reset(mark);
                let dst = self.temp();
                self.emit_at(field.range, Op::Format { dst, src, conversion, spec });
                *count += 1;
            }
        }
        Ok(())
    }
}
