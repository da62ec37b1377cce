//! Recursive descent over the bytes of one expression; the value is computed while reading.

use super::number::{Operator, apply, float, integer, negate};
use super::{CalculatorError, DEPTH_MAX, Value};

type Result<T> = std::result::Result<T, CalculatorError>;

/// Reads and evaluates a whole expression.
pub(super) fn evaluate(expression: &str) -> Result<Value> {
    let mut parser = Parser { text: expression, at: 0, depth: 0 };
    let value = parser.sum()?;
    parser.skip_spaces();
    if parser.at < expression.len() { Err(parser.syntax()) } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// sum = product (("+" | "-") product)*
    fn sum(&mut self) -> Result<Value> {
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Some(b'+') => Operator::Add,
                Some(b'-') => Operator::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.product()?;
            left = apply(operator, &left, &right)?;
        }
    }

    /// product = signed (("*" | "/" | "//" | "%") signed)*
    fn product(&mut self) -> Result<Value> {
        let mut left = self.signed()?;
        loop {
            let operator = match self.peek() {
                Some(b'*') => Operator::Multiply,
                Some(b'/') if self.text.as_bytes().get(self.at + 1) == Some(&b'/') => Operator::FloorDivide,
                Some(b'/') => Operator::Divide,
                Some(b'%') => Operator::Remainder,
                _ => return Ok(left),
            };
            self.at += if operator == Operator::FloorDivide { 2 } else { 1 };
            let right = self.signed()?;
            left = apply(operator, &left, &right)?;
        }
    }

    /// signed = ("+" | "-") signed | power
    fn signed(&mut self) -> Result<Value> {
        let sign = match self.peek() {
            Some(sign @ (b'+' | b'-')) => sign,
            _ => return self.power(),
        };
        self.at += 1;
        let value = self.nested(Self::signed)?;
        match (sign, value) {
            (_, Value::Text(_)) => Err(CalculatorError::WrongType),
            (b'-', value) => negate(value),
            (_, value) => Ok(value),
        }
    }

    /// power = postfix ["**" signed]; binds tighter than a sign on its left, looser than one on its right.
    fn power(&mut self) -> Result<Value> {
        let base = self.postfix()?;
        if self.peek() != Some(b'*') || self.text.as_bytes().get(self.at + 1) != Some(&b'*') {
            return Ok(base);
        }
        self.at += 2;
        let exponent = self.nested(Self::signed)?;
        apply(Operator::Power, &base, &exponent)
    }

    /// postfix = atom ("." method "(" [sum] ")")*
    fn postfix(&mut self) -> Result<Value> {
        let mut value = self.atom()?;
        while matches!(value, Value::Text(_)) && self.peek() == Some(b'.') {
            self.at += 1;
            let name_at = self.at;
            let name = self.name();
            let argument = match name {
                "lower" | "upper" => None,
                "count" => Some(()),
                _ => return Err(CalculatorError::Syntax(name_at)),
            };
            self.expect(b'(')?;
            let argument = argument.map(|()| self.nested(Self::sum)).transpose()?;
            self.expect(b')')?;
            value = call_method(&value, name, argument.as_ref())?;
        }
        Ok(value)
    }

    /// atom = number | text | "(" sum ")" | "len" "(" sum ")"
    fn atom(&mut self) -> Result<Value> {
        match self.peek() {
            Some(b'(') => {
                self.at += 1;
                let value = self.nested(Self::sum)?;
                self.expect(b')')?;
                Ok(value)
            }
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote),
            Some(b'0'..=b'9' | b'.') => self.number(),
            _ => {
                let name_at = self.at;
                if self.name() != "len" {
                    return Err(CalculatorError::Syntax(name_at));
                }
                self.expect(b'(')?;
                let value = self.nested(Self::sum)?;
                self.expect(b')')?;
                match value {
                    Value::Text(text) => Ok(Value::Integer(text.chars().count() as i128)),
                    _ => Err(CalculatorError::WrongType),
                }
            }
        }
    }

    /// A number as Python writes it, with `1,234` read as 1234.
    fn number(&mut self) -> Result<Value> {
        let start = self.at;
        let mut digits = String::new();
        self.digits(&mut digits);
        self.thousands(&mut digits);
        let whole = digits.len();
        let mut is_float = false;
        if self.byte() == Some(b'.') {
            is_float = true;
            self.at += 1;
            digits.push('.');
            self.digits(&mut digits);
            if digits.len() == 1 {
                return Err(CalculatorError::Syntax(start));
            }
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            is_float = true;
            self.at += 1;
            digits.push('e');
            if let Some(sign @ (b'+' | b'-')) = self.byte() {
                digits.push(sign as char);
                self.at += 1;
            }
            let before = digits.len();
            self.digits(&mut digits);
            if digits.len() == before {
                return Err(CalculatorError::Syntax(start));
            }
        }
        if is_float {
            return float(digits.parse().map_err(|_| CalculatorError::Syntax(start))?);
        }
        // Python refuses 007, lest it be taken for an octal number.
        if whole > 1 && digits.starts_with('0') && digits.bytes().any(|digit| digit != b'0') {
            return Err(CalculatorError::Syntax(start));
        }
        integer(digits.parse().ok())
    }

    /// Decimal digits, with single underscores between them.
    fn digits(&mut self, into: &mut String) {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            let follows_digit = self.at > 0 && bytes[self.at - 1].is_ascii_digit();
            let before_digit = bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
            match byte {
                b'0'..=b'9' => into.push(byte as char),
                b'_' if follows_digit && before_digit => {}
                _ => return,
            }
            self.at += 1;
        }
    }

    /// `,ddd` groups after one to three digits.
    fn thousands(&mut self, into: &mut String) {
        let bytes = self.text.as_bytes();
        if !(1..=3).contains(&into.len()) {
            return;
        }
        while let Some([b',', group @ ..]) = bytes.get(self.at..self.at + 4)
            && group.iter().all(u8::is_ascii_digit)
            && !bytes.get(self.at + 4).is_some_and(u8::is_ascii_digit)
        {
            into.extend(group.iter().map(|&digit| digit as char));
            self.at += 4;
        }
    }

    /// A text in single or double quotes; `\\`, `\'`, `\"`, `\n` and `\t` are the escapes.
    fn quoted(&mut self, quote: u8) -> Result<Value> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.text[start + 1..].char_indices();
        while let Some((offset, character)) = characters.next() {
            match character {
                '\n' => break,
                '\\' => match characters.next() {
                    Some((_, escaped @ ('\\' | '\'' | '"'))) => text.push(escaped),
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    _ => break,
                },
                _ if character == quote as char => {
                    self.at = start + 1 + offset + 1;
                    return Ok(Value::Text(text));
                }
                _ => text.push(character),
            }
        }
        Err(CalculatorError::Syntax(start))
    }

    fn name(&mut self) -> &'a str {
        self.skip_spaces();
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        self.at += length;
        &rest[..length]
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value>) -> Result<Value> {
        if self.depth == DEPTH_MAX {
            return Err(CalculatorError::TooDeep);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek() != Some(byte) {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not a space.
    fn peek(&mut self) -> Option<u8> {
        self.skip_spaces();
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn syntax(&self) -> CalculatorError {
        CalculatorError::Syntax(self.at)
    }
}

fn call_method(value: &Value, name: &str, argument: Option<&Value>) -> Result<Value> {
    match (value, name, argument) {
        (Value::Text(text), "lower", None) => Ok(Value::Text(text.to_lowercase())),
        (Value::Text(text), "upper", None) => Ok(Value::Text(text.to_uppercase())),
        (Value::Text(text), "count", Some(Value::Text(wanted))) if wanted.is_empty() => {
            Ok(Value::Integer(text.chars().count() as i128 + 1))
        }
        (Value::Text(text), "count", Some(Value::Text(wanted))) => {
            Ok(Value::Integer(text.matches(wanted.as_str()).count() as i128))
        }
        _ => Err(CalculatorError::WrongType),
    }
}
