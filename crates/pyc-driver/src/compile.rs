//! Text to code.

use std::sync::Arc;

use pyc_front::{Mode, SyntaxError};
use pyc_ir::Code;
use pyc_runtime::{PyResult, Raised, Value, Vm};

/// Parses and lowers a text.
pub(crate) fn lower(text: &str, filename: &str, mode: Mode) -> Result<Arc<Code>, Box<SyntaxError>> {
    let source = pyc_front::Source::new(filename, text);
    pyc_front::parse(source, mode).and_then(|module| pyc_lower::lower(&module))
}

/// `ast.PyCF_ONLY_AST`
const ONLY_TREE: u32 = 0x400;

/// Compiles text to a code object, or to a syntax tree when the flags ask for that: what an instance calls for
/// `compile`, `exec`, `eval` and imports of text.
///
/// # Errors
/// SyntaxError.
pub fn compile(vm: &Vm, text: &str, filename: &str, mode: &str, flags: u32) -> PyResult {
    let mode = match mode {
        "eval" => Mode::Expression,
        "single" => Mode::Interactive,
        _ => Mode::Module,
    };
    if flags & ONLY_TREE != 0 {
        return match pyc_front::parse_tree(pyc_front::Source::new(filename, text), mode) {
            Ok((source, parsed)) => {
                let tree = pyc_lower::tree(&source, &parsed, mode == Mode::Interactive);
                crate::syntax_tree::objects(vm, &tree)
            }
            Err(error) => Err(syntax_error(vm, &error)),
        };
    }
    match lower(text, filename, mode) {
        Ok(code) => Ok(vm.code(code)),
        Err(error) => Err(syntax_error(vm, &error)),
    }
}

pub(crate) fn syntax_error(vm: &Vm, error: &SyntaxError) -> Raised {
    let ty = match error.kind {
        "IndentationError" => &vm.exc.indentation_error,
        "TabError" => &vm.exc.tab_error,
        _ => &vm.exc.syntax_error,
    };
    let number = |n: u32| Value::from_len(n as usize);
    let info = vm.tuple(vec![
        vm.str(&error.filename),
        number(error.line),
        number(error.column),
        error.text.as_ref().map_or(Value::NONE, |t| vm.str(t)),
        number(error.end_line),
        number(error.end_column),
    ]);
    match vm.call_pos(ty, &[vm.str(&error.message), info]) {
        Ok(made) => Raised(made),
        Err(other) => other,
    }
}
