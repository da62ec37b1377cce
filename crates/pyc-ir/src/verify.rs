//! What every piece of code promises to those that run it.

use std::fmt;

use crate::code::{CodeParts, Const};
use crate::op::{Field, NO_REG, Op, Role};

/// Code that breaks a rule, or text that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IrError {
    message: String,
}

impl IrError {
    pub(crate) fn new(message: impl Into<String>) -> IrError {
        IrError { message: message.into() }
    }
}

impl fmt::Display for IrError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for IrError {}

/// Operands that may be absent.
fn optional(op: &Op, field: &str) -> bool {
    matches!(
        (op, field),
        (Op::MakeCell { .. }, "src")
            | (Op::Format { .. }, "spec")
            | (Op::Raise { .. }, _)
            | (Op::Yield { .. }, "delegate")
            | (Op::DictMerge { .. } | Op::StarArgs { .. }, "callee")
    )
}

pub(crate) fn check(code: &CodeParts) -> Result<(), IrError> {
    let fail = |at: usize, what: String| Err(IrError::new(format!("{}: op {at}: {what}", code.qualname)));
    let fixed = code.locals.len() + code.cells.len() + code.frees.len();
    let registers = usize::from(code.registers);
    if code.ops.is_empty() || !code.ops[code.ops.len() - 1].ends_block() {
        return fail(code.ops.len(), "control falls off the end".into());
    }
    if code.positions.len() != code.ops.len() {
        return fail(0, format!("{} positions for {} ops", code.positions.len(), code.ops.len()));
    }
    let parameters = usize::from(code.argcount)
        + usize::from(code.kwonlyargcount)
        + usize::from(code.flags.varargs)
        + usize::from(code.flags.varkeywords);
    if registers == usize::from(NO_REG) || fixed > registers || parameters > code.locals.len() {
        return fail(0, format!("{registers} registers, {fixed} names, {parameters} parameters"));
    }
    if code.posonlyargcount > code.argcount || code.has_doc && code.consts.is_empty() {
        return fail(0, "the counts of parameters or constants disagree".into());
    }
    for (at, op) in code.ops.iter().enumerate() {
        let mut wrong = None;
        op.fields(|name, field| {
            let good = match field {
                Field::Reg(_, NO_REG) => optional(op, name),
                Field::Reg(Role::Def, reg) => usize::from(reg) + op.def_count() <= registers,
                Field::Reg(_, reg) if name == "dst" => usize::from(reg) + op.def_count() <= registers,
                Field::Reg(_, reg) => usize::from(reg) < registers,
                Field::Base(reg) => usize::from(reg) + op.base_count().max(2) <= registers,
                Field::Const(index) => usize::from(index) < code.consts.len(),
                Field::Name(index) => usize::from(index) < code.names.len(),
                Field::Cache(index) => index < code.caches,
                Field::Target(target) => (target as usize) < code.ops.len(),
                Field::Number(_) | Field::Word(_) => true,
            };
            if !good {
                wrong = Some(format!("operand {name} of {} is out of range: {field:?}", op.name()));
            }
        });
        if let Some(what) = wrong {
            return fail(at, what);
        }
        let constant = |index: u16| &code.consts[usize::from(index)];
        let typed = match *op {
            Op::MakeFunction { code, .. } => matches!(constant(code), Const::Code(_)),
            Op::CallKw { names, count, .. } | Op::MatchClass { names, count, .. } => {
                matches!(constant(names), Const::Tuple(t) if (t.len() <= usize::from(count) || matches!(op, Op::MatchClass { .. }))
                    && t.iter().all(|c| matches!(c, Const::Str(_))))
            }
            _ => true,
        };
        if !typed {
            return fail(at, format!("a constant of {} has the wrong kind", op.name()));
        }
    }
    for handler in &code.handlers {
        let ops = code.ops.len() as u32;
        if handler.start > handler.end
            || handler.end > ops
            || handler.target >= ops
            || handler.register >= code.registers
            || usize::from(handler.depth) < fixed
            || handler.depth > code.registers
        {
            return fail(handler.target as usize, format!("a handler is out of range: {handler:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Position;

    fn code(ops: Vec<Op>) -> CodeParts {
        CodeParts {
            positions: vec![Position::default(); ops.len()],
            ops,
            registers: 4,
            ..CodeParts::default()
        }
    }

    #[test]
    fn out_of_range_operands_are_refused() {
        assert!(code(vec![Op::Return { src: 3 }]).finish().is_ok());
        for bad in [
            vec![Op::Return { src: 4 }],
            vec![Op::Const { dst: 0, value: 0 }, Op::Return { src: 0 }],
            vec![Op::Jump { target: 1 }],
            vec![Op::Move { dst: 0, src: 1 }],
            vec![Op::Call { dst: 0, base: 1, count: 2, method: false }, Op::Return { src: 0 }],
            vec![Op::Return { src: NO_REG }],
            vec![],
        ] {
            assert!(code(bad.clone()).finish().is_err(), "{bad:?}");
        }
    }
}
