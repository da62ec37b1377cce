//! `match`.

use pyc_ir::{CompareOp, Const, Op, Reg};
use ruff_python_ast::{Pattern, Singleton, StmtMatch};
use ruff_text_size::Ranged;

use crate::unit::{Label, Lower, Result};

/// Names a pattern binds, and the hidden locals that hold their values until it has matched.
type Captures = Vec<(String, Reg)>;

impl<'a> Lower<'a> {
    pub fn match_statement(&mut self, s: &'a StmtMatch) -> Result {
        let mark = self.mark();
        let subject = self.hidden("subject");
        let value = self.expr(&s.subject)?;
        self.reset(mark);
        self.unit.barrier = self.unit.parts.ops.len();
        self.move_to(subject, value);
        let end = self.label();
        let before = self.unit.bound.clone();
        let mut joined = None;
        let mut exhaustive = false;
        for case in &s.cases {
            let next = self.label();
            self.unit.bound.clone_from(&before);
            self.range = case.pattern.range();
            let mut captures = Vec::new();
            let first_hidden = self.unit.parts.locals.len() as Reg;
            self.pattern(&case.pattern, subject, next, &mut captures)?;
            for (name, reg) in &captures {
                let copy = self.temp();
                self.emit(Op::Move { dst: copy, src: *reg });
                self.unit.barrier = self.unit.parts.ops.len();
                self.store(name, copy);
                self.reset(mark);
            }
            for reg in first_hidden..self.unit.parts.locals.len() as Reg {
                if self.unit.parts.locals[usize::from(reg)].starts_with(".p") {
                    self.emit_clear(reg);
                }
            }
            if let Some(guard) = &case.guard {
                self.jump_unless(guard, next)?;
            }
            self.emit_clear(subject);
            // A later case needs the subject only when this one did not match.
            self.statements(&case.body)?;
            if self.unit.bound.is_some() {
                self.emit(Op::Jump { target: end });
            }
            joined = Lower::join(joined, self.unit.bound.clone());
            exhaustive |= case.pattern.is_irrefutable() && case.guard.is_none();
            self.place(next);
            self.reset(mark);
        }
        self.emit_clear(subject);
        self.place(end);
        self.unit.bound = if exhaustive { joined } else { Lower::join(joined, before) };
        Ok(())
    }

    /// A hidden local for a part of the subject.
    fn part(&mut self) -> Reg {
        self.hidden("p")
    }

    fn pattern(
        &mut self,
        pattern: &'a Pattern,
        subject: Reg,
        fail: Label,
        captures: &mut Captures,
    ) -> Result {
        let mark = self.mark();
        self.range = pattern.range();
        match pattern {
            Pattern::MatchValue(p) => {
                let right = self.expr(&p.value)?;
                self.reset(mark);
                self.emit_at(
                    p.range,
                    Op::JumpCompare { op: CompareOp::Eq, left: subject, right, sense: false, target: fail },
                );
            }
            Pattern::MatchSingleton(p) => {
                let value = match p.value {
                    Singleton::None => Const::None,
                    Singleton::True => Const::Bool(true),
                    Singleton::False => Const::Bool(false),
                };
                let right = self.load_const(value);
                self.reset(mark);
                let dst = self.temp();
                self.emit(Op::Is { dst, left: subject, right, negate: false });
                self.emit(Op::JumpIfNot { cond: dst, target: fail });
            }
            Pattern::MatchSequence(p) => {
                let dst = self.temp();
                self.emit(Op::MatchSequence { dst, src: subject });
                self.emit(Op::JumpIfNot { cond: dst, target: fail });
                let star = p.patterns.iter().position(|p| matches!(p, Pattern::MatchStar(_)));
                if p.patterns.iter().filter(|p| matches!(p, Pattern::MatchStar(_))).count() > 1 {
                    return self.fail(p.range, "multiple starred expressions in sequence pattern");
                }
                let length = p.patterns.len();
                self.emit(Op::Len { dst, src: subject });
                let (op, value) = match star {
                    None => (CompareOp::Eq, length),
                    Some(_) => (CompareOp::Ge, length - 1),
                };
                self.emit(Op::JumpCompareInt {
                    op,
                    left: dst,
                    value: value as i16,
                    sense: false,
                    target: fail,
                });
                let only_wild = p.patterns.iter().all(|p| {
                    matches!(p, Pattern::MatchAs(a) if a.pattern.is_none() && a.name.is_none())
                        || matches!(p, Pattern::MatchStar(s) if s.name.is_none())
                });
                if !only_wild {
                    let parts: Vec<Reg> = p.patterns.iter().map(|_| self.part()).collect();
                    let base = parts[0];
                    self.emit(match star {
                        None => Op::Unpack { dst: base, src: subject, count: length as u16 },
                        Some(at) => Op::UnpackStar {
                            dst: base,
                            src: subject,
                            before: at as u8,
                            after: (length - at - 1) as u8,
                        },
                    });
                    self.reset(mark);
                    for (inner, reg) in p.patterns.iter().zip(parts) {
                        match inner {
                            Pattern::MatchStar(s) => {
                                if let Some(name) = &s.name {
                                    self.capture(name.as_str(), reg, captures, s.range)?;
                                }
                            }
                            other => self.pattern(other, reg, fail, captures)?,
                        }
                    }
                }
            }
            Pattern::MatchMapping(p) => {
                let dst = self.temp();
                self.emit(Op::MatchMapping { dst, src: subject });
                self.emit(Op::JumpIfNot { cond: dst, target: fail });
                if !p.keys.is_empty() {
                    self.emit(Op::Len { dst, src: subject });
                    self.emit(Op::JumpCompareInt {
                        op: CompareOp::Ge,
                        left: dst,
                        value: p.keys.len() as i16,
                        sense: false,
                        target: fail,
                    });
                }
                self.reset(mark);
                let base = crate::unit::TEMP + mark;
                for key in &p.keys {
                    self.expr_temp(key)?;
                }
                self.reset(mark);
                let keys = self.part();
                self.emit(Op::BuildTuple { dst: keys, base, count: p.keys.len() as u16 });
                let values = self.part();
                self.emit(Op::MatchKeys { dst: values, src: subject, keys });
                self.emit(Op::JumpIfNone { src: values, target: fail });
                if !p.patterns.is_empty() {
                    let parts: Vec<Reg> = p.patterns.iter().map(|_| self.part()).collect();
                    self.emit(Op::Unpack { dst: parts[0], src: values, count: parts.len() as u16 });
                    for (inner, reg) in p.patterns.iter().zip(parts) {
                        self.pattern(inner, reg, fail, captures)?;
                    }
                }
                if let Some(rest) = &p.rest {
                    let reg = self.part();
                    self.emit(Op::DictWithout { dst: reg, src: subject, keys });
                    self.capture(rest.as_str(), reg, captures, rest.range)?;
                }
            }
            Pattern::MatchClass(p) => {
                let class = self.expr_temp(&p.cls)?;
                let names: Vec<Const> =
                    p.arguments.keywords.iter().map(|k| Const::Str(k.attr.as_str().into())).collect();
                for (at, k) in p.arguments.keywords.iter().enumerate() {
                    if p.arguments.keywords[..at].iter().any(|o| o.attr.as_str() == k.attr.as_str()) {
                        return self.fail(
                            k.range,
                            format!("attribute name repeated in class pattern: {}", k.attr.as_str()),
                        );
                    }
                }
                let count = p.arguments.patterns.len() as u16;
                let total = p.arguments.patterns.len() + names.len();
                let names = self.constant(Const::Tuple(names.into()));
                self.reset(mark);
                let values = self.part();
                self.emit(Op::MatchClass { dst: values, src: subject, class, count, names });
                self.emit(Op::JumpIfNone { src: values, target: fail });
                if total > 0 {
                    let parts: Vec<Reg> = (0..total).map(|_| self.part()).collect();
                    self.emit(Op::Unpack { dst: parts[0], src: values, count: total as u16 });
                    let inner =
                        p.arguments.patterns.iter().chain(p.arguments.keywords.iter().map(|k| &k.pattern));
                    for (inner, reg) in inner.zip(parts) {
                        self.pattern(inner, reg, fail, captures)?;
                    }
                }
            }
            Pattern::MatchStar(p) => return self.fail(p.range, "invalid syntax"),
            Pattern::MatchAs(p) => {
                if let Some(inner) = &p.pattern {
                    self.pattern(inner, subject, fail, captures)?;
                }
                if let Some(name) = &p.name {
                    self.capture(name.as_str(), subject, captures, p.range)?;
                }
            }
            Pattern::MatchOr(p) => {
                let done = self.label();
                let mut shared: Option<Captures> = None;
                for (at, inner) in p.patterns.iter().enumerate() {
                    let last = at + 1 == p.patterns.len();
                    let next = if last { fail } else { self.label() };
                    let mut own = Vec::new();
                    self.pattern(inner, subject, next, &mut own)?;
                    match &shared {
                        None => {
                            // Every alternative leaves its captures in the same places.
                            let mut places = Vec::new();
                            for (name, reg) in &own {
                                let place = self.part();
                                self.emit(Op::Copy { dst: place, src: *reg });
                                places.push((name.clone(), place));
                            }
                            shared = Some(places);
                        }
                        Some(places) => {
                            let places = places.clone();
                            if own.len() != places.len()
                                || own.iter().any(|(n, _)| !places.iter().any(|(m, _)| m == n))
                            {
                                return self.fail(inner.range(), "alternative patterns bind different names");
                            }
                            for (name, reg) in &own {
                                if let Some((_, place)) = places.iter().find(|(n, _)| n == name) {
                                    self.emit(Op::Copy { dst: *place, src: *reg });
                                }
                            }
                        }
                    }
                    if !last {
                        self.emit(Op::Jump { target: done });
                        self.place(next);
                    }
                }
                self.place(done);
                for (name, reg) in shared.unwrap_or_default() {
                    self.capture(&name, reg, captures, p.range)?;
                }
            }
        }
        self.reset(mark);
        Ok(())
    }

    fn capture(
        &mut self,
        name: &str,
        reg: Reg,
        captures: &mut Captures,
        range: ruff_text_size::TextRange,
    ) -> Result {
        if captures.iter().any(|(n, _)| n == name) {
            return self.fail(range, format!("multiple assignments to name '{name}' in pattern"));
        }
        captures.push((name.to_string(), reg));
        Ok(())
    }
}
