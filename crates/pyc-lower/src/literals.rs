//! Literals and constant folding.

use pyc_front::Source;
use pyc_ir::Const;
use ruff_python_ast::{Expr, Number, Operator, StringLiteral, UnaryOp};

use crate::unit::Lower;

impl<'a> Lower<'a> {
    /// A string literal.
    pub fn string(&self, parts: &[StringLiteral]) -> Const {
        string(&self.module.source, parts)
    }

    /// The constant that an expression is, when it is one.
    pub fn fold(&self, expr: &Expr) -> Option<Const> {
        Some(match expr {
            Expr::NumberLiteral(n) => number(&n.value),
            Expr::StringLiteral(s) => self.string(s.value.as_slice()),
            Expr::BytesLiteral(b) => {
                Const::Bytes(b.value.iter().flat_map(|p| p.value.iter().copied()).collect())
            }
            Expr::BooleanLiteral(b) => Const::Bool(b.value),
            Expr::NoneLiteral(_) => Const::None,
            Expr::EllipsisLiteral(_) => Const::Ellipsis,
            Expr::Tuple(t) if t.ctx.is_load() => {
                Const::Tuple(t.elts.iter().map(|e| self.fold(e)).collect::<Option<_>>()?)
            }
            Expr::UnaryOp(u) => match (u.op, self.fold(&u.operand)?) {
                (UnaryOp::USub, Const::Int(n)) => Const::Int(n.checked_neg()?),
                (UnaryOp::USub, Const::BigInt(n)) if n.bytes().all(|b| b.is_ascii_digit()) => {
                    Const::BigInt(format!("-{n}").into())
                }
                (UnaryOp::USub, Const::Float(f)) => Const::Float(-f),
                (UnaryOp::USub, Const::Complex(a, b)) => Const::Complex(-a, -b),
                (UnaryOp::UAdd, c @ (Const::Int(_) | Const::Float(_))) => c,
                (UnaryOp::Invert, Const::Int(n)) => Const::Int(!n),
                _ => return None,
            },
            Expr::BinOp(b) => {
                let (x, y) = (self.fold(&b.left)?, self.fold(&b.right)?);
                match (b.op, x, y) {
                    (Operator::Add, Const::Int(x), Const::Int(y)) => Const::Int(x.checked_add(y)?),
                    (Operator::Sub, Const::Int(x), Const::Int(y)) => Const::Int(x.checked_sub(y)?),
                    (Operator::Mult, Const::Int(x), Const::Int(y)) => Const::Int(x.checked_mul(y)?),
                    (Operator::LShift, Const::Int(x), Const::Int(y)) if (0..62).contains(&y) => {
                        let r = x.checked_mul(1i64 << y)?;
                        Const::Int(r)
                    }
                    (Operator::Pow, Const::Int(x), Const::Int(y)) if (0..64).contains(&y) => {
                        Const::Int(x.checked_pow(y as u32)?)
                    }
                    (Operator::Add, Const::Float(x), Const::Float(y)) => Const::Float(x + y),
                    (Operator::Sub, Const::Float(x), Const::Float(y)) => Const::Float(x - y),
                    (Operator::Mult, Const::Float(x), Const::Float(y)) => Const::Float(x * y),
                    (Operator::Div, Const::Float(x), Const::Float(y)) if y != 0.0 => Const::Float(x / y),
                    (Operator::Add, Const::Int(x), Const::Complex(a, b)) if x.unsigned_abs() < 1 << 53 => {
                        Const::Complex(x as f64 + a, b)
                    }
                    (Operator::Add, Const::Float(x), Const::Complex(a, b)) => Const::Complex(x + a, b),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

/// A string literal; lone surrogates are read from the source, which the parser's text cannot hold.
pub(crate) fn string(source: &Source, parts: &[StringLiteral]) -> Const {
    let wide = parts.iter().any(|p| {
        let text = source.slice(p.range);
        let lower = text.to_ascii_lowercase();
        lower.contains("\\ud8")
            || lower.contains("\\ud9")
            || lower.contains("\\uda")
            || lower.contains("\\udb")
            || lower.contains("\\udc")
            || lower.contains("\\udd")
            || lower.contains("\\ude")
            || lower.contains("\\udf")
            || lower.contains("\\u0000d")
    });
    if !wide {
        return Const::Str(parts.iter().map(|p| &*p.value).collect::<String>().into());
    }
    let mut points = Vec::new();
    for part in parts {
        let mut raw = false;
        let text = source.slice(part.range);
        let start = text.find(['"', '\'']).unwrap_or(0);
        raw |= text[..start].contains(['r', 'R']);
        let quote =
            if text[start..].starts_with("\"\"\"") || text[start..].starts_with("'''") { 3 } else { 1 };
        let body = text.get(start + quote..text.len() - quote).unwrap_or("");
        if raw {
            points.extend(body.chars().map(u32::from));
        } else {
            unescape(body, &mut points);
        }
    }
    if points.iter().any(|p| (0xd800..0xe000).contains(p)) {
        Const::Wide(points.into())
    } else {
        Const::Str(points.into_iter().filter_map(char::from_u32).collect::<String>().into())
    }
}

/// A number literal.
pub(crate) fn number(value: &Number) -> Const {
    match value {
        Number::Int(i) => match i.as_i64() {
            Some(n) => Const::Int(n),
            None => Const::BigInt(i.to_string().into()),
        },
        Number::Float(f) => Const::Float(*f),
        Number::Complex { real, imag } => Const::Complex(*real, *imag),
    }
}

fn unescape(body: &str, points: &mut Vec<u32>) {
    let chars: Vec<char> = body.chars().collect();
    let mut i = 0;
    while i < chars.len() {
        if chars[i] != '\\' {
            points.push(chars[i] as u32);
            i += 1;
            continue;
        }
        let Some(c) = chars.get(i + 1).copied() else { break };
        let hex = |from: usize, n: usize| {
            let text: String = chars.get(from..from + n)?.iter().collect();
            u32::from_str_radix(&text, 16).ok()
        };
        let (point, used) = match c {
            '\n' => {
                i += 2;
                continue;
            }
            'n' => (10, 2),
            'r' => (13, 2),
            't' => (9, 2),
            'a' => (7, 2),
            'b' => (8, 2),
            'f' => (12, 2),
            'v' => (11, 2),
            '\\' | '\'' | '"' => (c as u32, 2),
            '0'..='7' => {
                let n = (1..=3).take_while(|k| chars.get(i + k).is_some_and(|c| c.is_digit(8))).count();
                let text: String = chars[i + 1..=i + n].iter().collect();
                (u32::from_str_radix(&text, 8).unwrap_or(0), n + 1)
            }
            'x' => (hex(i + 2, 2).unwrap_or(0), 4),
            'u' => (hex(i + 2, 4).unwrap_or(0), 6),
            'U' => (hex(i + 2, 8).unwrap_or(0), 10),
            _ => {
                points.push(92);
                i += 1;
                continue;
            }
        };
        points.push(point);
        i += used;
    }
}
