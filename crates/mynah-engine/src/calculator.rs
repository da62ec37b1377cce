//! The calculator tool: one arithmetic or counting expression in, one short text out.
//!
//! The grammar is a small part of Python's, and where it takes an expression it gives Python's answer,
//! digit for digit:
//!
//! ```text
//! + - * / // % **   ( )   unary + -   12   1,234   1_000   3.5   .5   1e-3
//! len("text")   "text".count("t")   "text".lower()   "text".upper()
//! ```
//!
//! Whole numbers stay whole (at most 38 digits) except under `/`; everything else is a 64-bit float.
//! A comma between groups of three digits is read as a thousands separator, because that is how people
//! and models write numbers.
//!
//! Model output is hostile input: length, depth and magnitude are bounded, the work is proportional to the
//! length, and there are no names, attributes, loops or memory beyond one short text. What cannot be
//! computed comes back as a text that the model can read, `error: division by zero` ([`answer`]).

mod number;
mod parser;

use std::fmt;

pub use number::format_float;

/// The longest expression taken, in bytes.
pub const LENGTH_MAX: usize = 512;
/// The deepest nesting of parentheses, calls, signs and powers taken.
pub const DEPTH_MAX: usize = 32;

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number of at most 38 digits.
    Integer(i128),
    /// A finite 64-bit float.
    Float(f64),
    /// A text, as `"a".upper()` gives it.
    Text(String),
}

impl fmt::Display for Value {
    /// As Python's `str()`: `24`, `0.5`, `3.3333333333333335`, `1e+16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(value) => write!(f, "{value}"),
            Value::Float(value) => f.write_str(&format_float(*value)),
            Value::Text(value) => f.write_str(value),
        }
    }
}

/// Why an expression has no value. `Display` gives the words that the model reads after `error: `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalculatorError {
    /// Longer than [`LENGTH_MAX`] bytes.
    TooLong,
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// Not in the grammar; the byte where reading stopped.
    Syntax(usize),
    /// `/`, `//` or `%` by zero, or zero to a negative power.
    DivisionByZero,
    /// A whole number beyond 38 digits or a float beyond its range.
    TooLarge,
    /// A negative number to a broken power, whose value is complex.
    NotReal,
    /// An operator between a number and a text, or a call on the wrong kind of value.
    WrongType,
}

impl fmt::Display for CalculatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {LENGTH_MAX} bytes"),
            Self::TooDeep => write!(f, "nested deeper than {DEPTH_MAX}"),
            Self::Syntax(at) => write!(f, "invalid syntax at {at}"),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::TooLarge => f.write_str("number too large"),
            Self::NotReal => f.write_str("not a real number"),
            Self::WrongType => f.write_str("wrong type"),
        }
    }
}

impl std::error::Error for CalculatorError {}

/// Evaluates one expression.
///
/// # Errors
/// [`CalculatorError`] for anything outside the grammar or the bounds; never panics.
pub fn evaluate(expression: &str) -> Result<Value, CalculatorError> {
    if expression.len() > LENGTH_MAX {
        return Err(CalculatorError::TooLong);
    }
    parser::evaluate(expression)
}

/// The text to put between `<|output_start|>` and `<|output_end|>`: the value as Python prints it, or
/// `error: ` and the reason.
pub fn answer(expression: &str) -> String {
    match evaluate(expression) {
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expect: &str) {
        assert_eq!(answer(expression), expect, "{expression}");
    }

    #[test]
    fn computes_as_python_does() {
        for (expression, expect) in [
            ("12*2", "24"),
            ("1/2", "0.5"),
            ("10/3", "3.3333333333333335"),
            ("4/2", "2.0"),
            ("-7//2", "-4"),
            ("-7%3", "2"),
            ("7.5//-2", "-4.0"),
            ("-2**2", "-4"),
            ("2**-1", "0.5"),
            ("2**3**2", "512"),
            ("(1+2)*-(3)", "-9"),
            ("0.1+0.2", "0.30000000000000004"),
            ("1,234+1", "1235"),
            ("2**100", "1267650600228229401496703205376"),
            (" 5 - -5 ", "10"),
            ("1e16*1", "1e+16"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
        ] {
            check(expression, expect);
        }
    }

    #[test]
    fn counts_letters() {
        check("\"strawberry\".count(\"r\")", "3");
        check("'strawberry'.count('r')", "3");
        check("len('naïve')", "5");
        check("'Banana'.lower().count('b')", "1");
        check("'aaa'.count('')", "4");
        check("'a b'.upper()", "A B");
        check("len('abc') + 2*3", "9");
    }

    #[test]
    fn says_why_there_is_no_value() {
        for (expression, expect) in [
            ("1/0", "error: division by zero"),
            ("0**-1", "error: division by zero"),
            ("1%0.0", "error: division by zero"),
            ("10**38*10**38", "error: number too large"),
            ("1e308*10", "error: number too large"),
            ("(-8)**0.5", "error: not a real number"),
            ("2+", "error: invalid syntax at 2"),
            ("", "error: invalid syntax at 0"),
            ("1 2", "error: invalid syntax at 2"),
            ("__import__('os')", "error: invalid syntax at 0"),
            ("'a'+1", "error: wrong type"),
            ("'a'*1000000", "error: wrong type"),
            ("len(3)", "error: wrong type"),
            ("'a'.replace('a')", "error: invalid syntax at 4"),
            ("'open", "error: invalid syntax at 0"),
            ("12,34", "error: invalid syntax at 2"),
            ("007", "error: invalid syntax at 0"),
        ] {
            check(expression, expect);
        }
    }

    #[test]
    fn is_bounded() {
        check(&"1+".repeat(400), "error: longer than 512 bytes");
        check(&"(".repeat(100), "error: nested deeper than 32");
        check(&"-".repeat(100), "error: nested deeper than 32");
        check(&format!("{}1", "2**".repeat(100)), "error: nested deeper than 32");
        check("9**9**9**9", "error: number too large");
        check("1**99999999999999999999999999999999", "1");
        check("99999999999999999999999999999999999999999", "error: number too large");
    }

    #[test]
    fn survives_any_bytes() {
        let mut rng = mynah_base::Rng::new(5);
        let pieces = [
            "1",
            "0",
            ".",
            "e",
            "+",
            "-",
            "*",
            "/",
            "%",
            "(",
            ")",
            "'",
            "\"",
            ",",
            "_",
            "len",
            ".count",
            "é",
            "\\",
            " ",
            "\0",
            "٣",
            "9999999999",
            "lower",
            "\n",
        ];
        for _ in 0..20_000 {
            let n = rng.index(12);
            let text: String = (0..n).map(|_| *rng.choose(&pieces)).collect();
            let found = answer(&text);
            assert!(found.len() <= LENGTH_MAX + 16, "{text:?} gave {found:?}");
        }
    }
}
