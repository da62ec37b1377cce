//! The tool of a chat model that writes an expression: Python, within bounds.
//!
//! What the calculator's small grammar takes, it answers: at once, and as Python would (its goldens are Python's). For
//! the rest (lists, strings, comparisons, functions of the builtins) the expression is evaluated by our Python, which
//! may do nothing outside and is bounded in steps, time, memory and in what it gives back.

use std::cell::RefCell;
use std::time::Duration;

use mynah_engine::calculator;
use pyc_driver::{Capabilities, Instance, Limits, Program};

const STEPS_MAX: u64 = 1_000_000;
const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// Longer results are cut; a model's context is short.
const RESULT_CHARS_MAX: usize = 200;

const TEXT: &str = "def answer(text):\n    return str(eval(text, {}))\n";

thread_local! {
    static PROGRAM: RefCell<Option<Program>> = const { RefCell::new(None) };
}

/// The result of an expression, or `error: …`; what a model reads after its call.
pub fn answer(expression: &str) -> String {
    let told = calculator::answer(expression);
    // Only what the grammar does not know goes on; a division by zero stays one.
    if !told.starts_with("error: invalid syntax") || expression.len() > calculator::LENGTH_MAX {
        return told;
    }
    python(expression).unwrap_or(told)
}

/// Python's answer; nothing where Python finds no expression either, so that the model is told the place.
fn python(expression: &str) -> Option<String> {
    let program = PROGRAM.with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.is_none() {
            *kept = Program::compile(TEXT, "calculator").ok();
        }
        kept.clone()
    })?;
    let mut limits = Limits::default();
    limits.steps = Some(STEPS_MAX);
    limits.time = Some(Duration::from_secs(1));
    limits.memory_bytes = Some(MEMORY_BYTES_MAX);
    limits.output_bytes = Some(0);
    // Every expression has an instance of its own: nothing is left behind for the next.
    let instance = Instance::new(&program, Capabilities::default(), limits, &[]).ok()?;
    let told = instance.call("answer", |vm| vec![vm.str(expression.trim())], |vm, value| vm.str_text(value));
    match told {
        Ok(text) if text.chars().count() > RESULT_CHARS_MAX => {
            Some(text.chars().take(RESULT_CHARS_MAX).chain("...".chars()).collect())
        }
        Ok(text) => Some(text),
        Err(error) => {
            let error = error.to_string();
            let last = error.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("no result").trim();
            if last.starts_with("SyntaxError") || last.starts_with("IndentationError") {
                return None;
            }
            Some(format!("error: {}", last.chars().take(RESULT_CHARS_MAX).collect::<String>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expect: &str) {
        assert_eq!(answer(expression), expect, "{expression}");
    }

    #[test]
    fn what_the_grammar_takes_is_as_before() {
        check("2 + 2", "4");
        check("\"strawberry\".count(\"r\")", "3");
        check("1,234 * 2", "2468");
        check("1 / 0", &calculator::answer("1 / 0"));
    }

    #[test]
    fn the_rest_is_python() {
        check("sorted([3, 1, 2])", "[1, 2, 3]");
        check("max(len(w) for w in 'a bcd ef'.split())", "3");
        check("2 ** 100 > 10 ** 20", "True");
        check("'abc'[::-1]", "cba");
    }

    #[test]
    fn it_is_bounded() {
        assert!(answer("[x for x in iter(int, 1)]").starts_with("error: "));
        assert!(answer("[0] * 10 ** 12").starts_with("error: "));
        assert!(answer("open('/etc/passwd').read()").starts_with("error: PermissionError"));
        assert!(answer("'ab' * 1000").chars().count() <= RESULT_CHARS_MAX + 3);
        assert!(answer("how many").starts_with("error: invalid syntax"));
        assert!(answer("nothing_here").starts_with("error: "));
    }
}
