//! The text form: one line an op, blocks labelled by their first op. `parse(&print(code))` gives the code back.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::code::{Code, CodeFlags, CodeParts, Const, Handler, Position};
use crate::op::{Field, NO_REG, Op};
use crate::verify::IrError;

/// Writes code and the code inside it.
pub fn print(code: &Code) -> String {
    let mut out = String::new();
    write_code(&mut out, code);
    out
}

fn write_code(out: &mut String, code: &Code) {
    for constant in &code.consts {
        if let Const::Code(inner) = constant {
            write_code(out, inner);
        }
    }
    let f = code.flags;
    let _ = writeln!(out, "code {:?} {:?} {:?}", code.name, code.qualname, code.filename);
    let flags =
        [f.function, f.varargs, f.varkeywords, f.generator, f.coroutine, f.nested, f.awaitable, code.has_doc];
    let bits: String = flags.iter().map(|set| if *set { '1' } else { '0' }).collect();
    let _ = writeln!(
        out,
        "shape {} {bits} {} {} {} {} {}",
        code.first_line,
        code.argcount,
        code.posonlyargcount,
        code.kwonlyargcount,
        code.registers,
        code.caches
    );
    for (word, list) in
        [("local", &code.locals), ("cell", &code.cells), ("free", &code.frees), ("name", &code.names)]
    {
        for name in list {
            let _ = writeln!(out, "{word} {name:?}");
        }
    }
    for constant in &code.consts {
        let mut text = String::new();
        write_const(&mut text, constant);
        let _ = writeln!(out, "const {text}");
    }
    for h in &code.handlers {
        let _ = writeln!(out, "handler {} {} {} {} {}", h.start, h.end, h.target, h.register, h.depth);
    }
    let starts = code.block_starts();
    for (at, (op, p)) in code.ops.iter().zip(&code.positions).enumerate() {
        if starts.binary_search(&(at as u32)).is_ok() {
            let _ = writeln!(out, "b{at}:");
        }
        let mut line = format!("  {}", op.name());
        op.fields(|name, field| {
            let _ = match field {
                Field::Reg(_, NO_REG) => write!(line, " {name}=-"),
                Field::Reg(_, r) | Field::Base(r) => write!(line, " {name}=r{r}"),
                Field::Const(i) => write!(line, " {name}=c{i}"),
                Field::Name(i) => write!(line, " {name}=n{i}"),
                Field::Target(t) => write!(line, " {name}=b{t}"),
                Field::Number(n) => write!(line, " {name}={n}"),
                Field::Cache(i) => write!(line, " {name}=k{i}"),
                Field::Word(w) => write!(line, " {name}={w}"),
            };
        });
        let _ = writeln!(out, "{line} @{}:{}-{}:{}", p.line, p.column, p.end_line, p.end_column);
    }
    out.push_str("end\n");
}

fn write_const(out: &mut String, constant: &Const) {
    let _ = match constant {
        Const::None => write!(out, "none"),
        Const::Ellipsis => write!(out, "ellipsis"),
        Const::Bool(b) => write!(out, "bool {b}"),
        Const::Int(i) => write!(out, "int {i}"),
        Const::BigInt(digits) => write!(out, "big {digits}"),
        Const::Float(f) => write!(out, "float {:x}", f.to_bits()),
        Const::Complex(a, b) => write!(out, "complex {:x} {:x}", a.to_bits(), b.to_bits()),
        Const::Str(s) => write!(out, "str {s:?}"),
        Const::Wide(s) => write!(out, "wide {}", s.iter().map(|c| format!("{c:x}.")).collect::<String>()),
        Const::Bytes(b) => write!(out, "bytes x{}", b.iter().map(|c| format!("{c:02x}")).collect::<String>()),
        Const::Tuple(items) | Const::FrozenSet(items) => {
            let _ = write!(
                out,
                "{} {}",
                if matches!(constant, Const::Tuple(_)) { "tuple" } else { "set" },
                items.len()
            );
            for item in items {
                out.push(' ');
                write_const(out, item);
            }
            Ok(())
        }
        // The codes inside come first, in order.
        Const::Code(_) => write!(out, "code"),
    };
}

/// Reads what [`print`] wrote.
///
/// # Errors
/// Names the line that cannot be read, or the rule that the code breaks.
pub fn parse(text: &str) -> Result<Code, IrError> {
    let mut done: Vec<Arc<Code>> = Vec::new();
    let mut parts: Option<CodeParts> = None;
    let mut slots: Vec<usize> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bad = || IrError::new(format!("line {}: cannot read '{line}'", number + 1));
        let words = tokens(line).ok_or_else(bad)?;
        let mut words = words.iter().map(String::as_str);
        let Some(first) = words.next() else { continue };
        if first == "code" {
            let mut name = || words.next().map(Box::from).ok_or_else(bad);
            parts = Some(CodeParts {
                name: name()?,
                qualname: name()?,
                filename: name()?,
                ..CodeParts::default()
            });
            continue;
        }
        let code = parts.as_mut().ok_or_else(bad)?;
        match first {
            "end" => {
                let mut code = parts.take().ok_or_else(bad)?;
                // The codes inside were printed just before, in the order of the constants.
                let first = done.len().checked_sub(slots.len()).ok_or_else(bad)?;
                for (slot, inner) in slots.drain(..).zip(done.drain(first..)) {
                    code.consts[slot] = Const::Code(inner);
                }
                done.push(Arc::new(code.finish()?));
            }
            "local" => code.locals.push(words.next().ok_or_else(bad)?.into()),
            "cell" => code.cells.push(words.next().ok_or_else(bad)?.into()),
            "free" => code.frees.push(words.next().ok_or_else(bad)?.into()),
            "name" => code.names.push(words.next().ok_or_else(bad)?.into()),
            "shape" => read_shape(code, &mut words).ok_or_else(bad)?,
            "handler" => {
                let mut next = || words.next()?.parse::<u32>().ok();
                let mut read = || {
                    Some(Handler {
                        start: next()?,
                        end: next()?,
                        target: next()?,
                        register: next()? as u16,
                        depth: next()? as u16,
                    })
                };
                code.handlers.push(read().ok_or_else(bad)?);
            }
            "const" if line == "const code" => {
                slots.push(code.consts.len());
                code.consts.push(Const::None);
            }
            "const" => code.consts.push(read_const(&mut words).ok_or_else(bad)?),
            label if label.starts_with('b') && label.ends_with(':') => {}
            name => {
                let mut position = None;
                let mut fields = Vec::new();
                for word in words {
                    match word.strip_prefix('@') {
                        Some(p) => position = read_position(p),
                        None => fields.push(word.split_once('=').ok_or_else(bad)?),
                    }
                }
                let mut fields = fields.into_iter();
                let op = Op::from_text(name, |wanted| {
                    let (name, value) = fields.next()?;
                    // `===` splits at the first sign: the word is "==".
                    (name == wanted).then_some(value)
                });
                code.ops.push(op.ok_or_else(bad)?);
                code.positions.push(position.ok_or_else(bad)?);
            }
        }
    }
    match done.pop() {
        Some(code) if done.is_empty() => Ok(Arc::unwrap_or_clone(code)),
        _ => Err(IrError::new("the text holds no code, or code that nothing mentions")),
    }
}

fn read_shape<'a>(code: &mut CodeParts, words: &mut impl Iterator<Item = &'a str>) -> Option<()> {
    code.first_line = words.next()?.parse().ok()?;
    let bits: Vec<bool> = words.next()?.chars().map(|c| c == '1').collect();
    let [function, varargs, varkeywords, generator, coroutine, nested, awaitable, has_doc] = bits[..] else {
        return None;
    };
    code.flags = CodeFlags { function, varargs, varkeywords, generator, coroutine, nested, awaitable };
    code.has_doc = has_doc;
    let mut next = || words.next()?.parse().ok();
    code.argcount = next()?;
    code.posonlyargcount = next()?;
    code.kwonlyargcount = next()?;
    code.registers = next()?;
    code.caches = next()?;
    Some(())
}

fn read_position(text: &str) -> Option<Position> {
    let (from, to) = text.split_once('-')?;
    let ((line, column), (end_line, end_column)) = (from.split_once(':')?, to.split_once(':')?);
    let n = |t: &str| t.parse().ok();
    Some(Position { line: n(line)?, column: n(column)?, end_line: n(end_line)?, end_column: n(end_column)? })
}

fn read_const<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Const> {
    let bits = |t: &str| u64::from_str_radix(t, 16).ok().map(f64::from_bits);
    Some(match words.next()? {
        "none" => Const::None,
        "ellipsis" => Const::Ellipsis,
        "bool" => Const::Bool(words.next()? == "true"),
        "int" => Const::Int(words.next()?.parse().ok()?),
        "big" => Const::BigInt(words.next()?.into()),
        "float" => Const::Float(bits(words.next()?)?),
        "complex" => Const::Complex(bits(words.next()?)?, bits(words.next()?)?),
        "str" => Const::Str(words.next()?.into()),
        "wide" => Const::Wide(
            words
                .next()
                .unwrap_or("")
                .split_terminator('.')
                .map(|c| u32::from_str_radix(c, 16).ok())
                .collect::<Option<_>>()?,
        ),
        "bytes" => {
            let hex = words.next()?.strip_prefix('x')?;
            let byte = |i: usize| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok();
            Const::Bytes((0..hex.len()).step_by(2).map(byte).collect::<Option<_>>()?)
        }
        kind @ ("tuple" | "set") => {
            let count: usize = words.next()?.parse().ok()?;
            let mut items = Vec::new();
            for _ in 0..count {
                items.push(read_const(words)?);
            }
            if kind == "tuple" { Const::Tuple(items.into()) } else { Const::FrozenSet(items.into()) }
        }
        _ => return None,
    })
}

/// Splits at blanks; a quoted word is a Rust string literal.
fn tokens(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = unquote(quoted)?;
            words.push(word);
            rest = after.trim_start();
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            words.push(rest[..end].to_string());
            rest = rest[end..].trim_start();
        }
    }
    Some(words)
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((word, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => word.push('\n'),
                'r' => word.push('\r'),
                't' => word.push('\t'),
                '0' => word.push('\0'),
                'u' => {
                    let (open, _) = chars.next()?;
                    let hex = text[open + 1..].split('}').next()?;
                    word.push(char::from_u32(u32::from_str_radix(hex, 16).ok()?)?);
                    for _ in 0..=hex.len() {
                        chars.next();
                    }
                }
                other => word.push(other),
            },
            c => word.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{BinaryOp, CompareOp};

    #[test]
    fn the_text_form_round_trips() {
        let inner = CodeParts {
            name: "f".into(),
            qualname: "g.<locals>.f".into(),
            registers: 3,
            ops: vec![Op::Return { src: 0 }],
            positions: vec![Position { line: 3, column: 1, end_line: 3, end_column: 9 }],
            ..CodeParts::default()
        };
        let consts = vec![
            Const::Str("a \"b\"\n\u{301}\\".into()),
            Const::Code(Arc::new(inner.finish().unwrap())),
            Const::Tuple([Const::Int(-1), Const::Float(0.5), Const::Bytes([0, 255].into())].into()),
            Const::Wide([0xd800, 65].into()),
        ];
        let ops = vec![
            Op::Const { dst: 0, value: 2 },
            Op::Binary { dst: 1, op: BinaryOp::FloorDiv, left: 0, right: 0 },
            Op::JumpCompare { op: CompareOp::Eq, left: 0, right: 1, sense: false, target: 0 },
            Op::Raise { exc: 1, cause: NO_REG },
        ];
        let outer = CodeParts {
            name: "<module>".into(),
            positions: vec![Position::default(); ops.len()],
            ops,
            consts,
            registers: 8,
            handlers: vec![Handler { start: 0, end: 2, target: 3, register: 1, depth: 0 }],
            ..CodeParts::default()
        };
        let code = outer.finish().unwrap();
        let text = print(&code);
        assert!(text.contains("\nb3:\n  Raise exc=r1 cause=- @"), "{text}");
        assert_eq!(parse(&text).unwrap(), code);
        assert!(parse(&text.replace("Raise", "Praise")).unwrap_err().to_string().contains("cannot read"));
    }
}
