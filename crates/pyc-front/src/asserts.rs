//! Asserts that show their values, for test runners: a text is rewritten, line for line.
//!
//! `assert a == b` becomes `assert (_left_ := (a)) == (_right_ := (b)), _show_('==', _left_, _right_)`: everything is
//! computed once, and in the order of the original. Line numbers stay; columns behind an assert do not.

use ruff_python_ast::statement_visitor::{StatementVisitor, walk_stmt};
use ruff_python_ast::{Expr, Stmt, StmtAssert};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::errors::SyntaxError;
use crate::parse::{Mode, parse};
use crate::source::Source;

/// Rewrites the asserts of functions and of the module's top level (those of class bodies stay: names bound there
/// would be attributes). The program must have a builtin `_show_(operator, left, right, *message)`, which gives the
/// message; the operator is empty for a plain value, `not` for a negated one.
///
/// # Errors
/// The first syntax error of the text.
pub fn show_asserts(text: &str, filename: &str) -> Result<String, Box<SyntaxError>> {
    let module = parse(Source::new(filename, text), Mode::Module)?;
    let mut asserts = Asserts::default();
    for stmt in module.body() {
        asserts.visit_stmt(stmt);
    }
    let mut edits = asserts.edits;
    edits.sort_by_key(|(range, order, _)| (range.start(), *order));
    let mut out = String::with_capacity(text.len() + 80 * edits.len());
    let mut at = TextSize::new(0);
    for (range, _, text) in edits {
        out.push_str(module.source.slice(TextRange::new(at, range.start())));
        out.push_str(&text);
        at = range.end();
    }
    out.push_str(&module.source.text[usize::from(at)..]);
    Ok(out)
}

#[derive(Default)]
struct Asserts {
    /// What is replaced (an empty range: inserted), by place and then by order.
    edits: Vec<(TextRange, usize, String)>,
}

impl<'a> StatementVisitor<'a> for Asserts {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Assert(assert) => self.rewrite(assert),
            Stmt::ClassDef(class) => {
                for stmt in class.body.iter().filter(|s| !s.is_assert_stmt()) {
                    self.visit_stmt(stmt);
                }
            }
            stmt => walk_stmt(self, stmt),
        }
    }
}

impl Asserts {
    fn insert(&mut self, at: TextSize, text: &str) {
        let order = self.edits.len();
        self.edits.push((TextRange::empty(at), order, text.to_string()));
    }

    fn bind(&mut self, name: &str, expr: &Expr) {
        self.insert(expr.start(), &format!("({name} := ("));
        self.insert(expr.end(), "))");
    }

    fn rewrite(&mut self, assert: &StmtAssert) {
        let show = match &*assert.test {
            Expr::Compare(compare) if compare.comparators.len() == 1 => {
                self.bind("_left_", &compare.left);
                self.bind("_right_", &compare.comparators[0]);
                format!("_show_({:?}, _left_, _right_", compare.ops[0].as_str())
            }
            Expr::UnaryOp(unary) if unary.op == ruff_python_ast::UnaryOp::Not => {
                self.bind("_left_", &unary.operand);
                "_show_('not', _left_, None".to_string()
            }
            test => {
                self.bind("_left_", test);
                "_show_('', _left_, None".to_string()
            }
        };
        match &assert.msg {
            Some(message) => {
                self.insert(message.start(), &format!("{show}, ("));
                self.insert(message.end(), "))");
            }
            None => {
                // The test may stand in parentheses of its own, which end with the statement.
                self.insert(assert.end(), &format!(", {show})"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let shown = show_asserts(text, "t.py").unwrap();
        assert_eq!(shown, expect);
        assert!(parse(Source::new("t.py", shown.as_str()), Mode::Module).is_ok(), "{shown}");
        assert_eq!(shown.lines().count(), text.lines().count());
    }

    #[test]
    fn asserts_are_rewritten_in_place() {
        check(
            "def f():\n    assert a + 1 == b\n",
            "def f():\n    assert (_left_ := (a + 1)) == (_right_ := (b)), _show_(\"==\", _left_, _right_)\n",
        );
        check(
            "assert (x not in\n  y), 'm'  # c\n",
            "assert ((_left_ := (x)) not in\n  (_right_ := (y))), _show_(\"not in\", _left_, _right_, ('m'))  # c\n",
        );
        check("assert not f(1)\n", "assert not (_left_ := (f(1))), _show_('not', _left_, None)\n");
        check("assert (f())\n", "assert ((_left_ := (f()))), _show_('', _left_, None)\n");
        check("assert a < b < c\n", "assert (_left_ := (a < b < c)), _show_('', _left_, None)\n");
    }

    #[test]
    fn class_bodies_stay() {
        check(
            "class A:\n    assert 1\n    def f(self): assert self\n",
            "class A:\n    assert 1\n    def f(self): assert (_left_ := (self)), _show_('', _left_, None)\n",
        );
    }
}
