//! The packed form: bytes for files. Reading is bounded, never panics, and ends in the verifier.
//!
//! Layout: magic, format, number of the op table, CRC of the rest; strings (each once); codes, inner ones before
//! those that hold them, the outermost last. Numbers are LEB128; a position is written as its difference from the one
//! before, because neighbours share a line. A file of another op table is refused: its ops mean something else.

use std::collections::HashMap;
use std::sync::Arc;

use crate::code::{Code, CodeFlags, CodeParts, Const, Handler, Position};
use crate::op::{BinaryOp, CompareOp, Conversion, Intrinsic, Op, Special, UnaryOp};
use crate::verify::IrError;

const MAGIC: &[u8; 4] = b"pyIR";
const FORMAT: u8 = 1;
/// Magic, format, table, checksum.
const HEADER_BYTES: usize = 4 + 1 + 8 + 4;
/// How deep constant tuples may nest; the parser's own bound is lower.
const DEPTH_MAX: u32 = 400;

/// The number of the op table that this build packs and reads (FNV-1a of its text).
pub const TABLE_NUMBER: u64 = {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let parts = [
        Op::TABLE,
        BinaryOp::WORDS,
        CompareOp::WORDS,
        UnaryOp::WORDS,
        Conversion::WORDS,
        Special::WORDS,
        Intrinsic::WORDS,
    ];
    let mut part = 0;
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        part += 1;
    }
    hash
};

/// FNV-1a over eight bytes at a time: finds damage, and is no defence against a forger (the verifier is).
fn checksum(bytes: &[u8]) -> u32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (hash ^ hash >> 32) as u32
}

/// Bytes being written.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn push_byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }
    pub(crate) fn push(&mut self, number: u32) {
        self.push_long(u64::from(number));
    }
    fn push_long(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
    pub(crate) fn push_signed(&mut self, number: i64) {
        self.push_long((number << 1 ^ number >> 63) as u64);
    }
}

/// Bytes being read; `None` at their end, and for numbers that are too large.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }
    #[inline]
    fn long(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
    #[inline]
    pub(crate) fn number(&mut self) -> Option<u32> {
        match self.bytes.split_first() {
            Some((first, rest)) if *first < 0x80 => {
                self.bytes = rest;
                Some(u32::from(*first))
            }
            _ => u32::try_from(self.long()?).ok(),
        }
    }
    #[inline]
    pub(crate) fn short(&mut self) -> Option<u16> {
        u16::try_from(self.number()?).ok()
    }
    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.long()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }
    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }
    /// A count of things that take at least one byte each, so that nothing is reserved for what cannot be there.
    fn count(&mut self) -> Option<usize> {
        let count = self.number()? as usize;
        (count <= self.bytes.len()).then_some(count)
    }
}

/// Writes code and the code inside it.
///
/// # Errors
/// When constants nest deeper than the form allows.
pub fn encode(code: &Code) -> Result<Vec<u8>, IrError> {
    let mut packer =
        Packer { out: Writer { bytes: Vec::new() }, strings: HashMap::new(), list: Vec::new(), codes: 0 };
    packer.code(code)?;
    let mut text = Writer { bytes: Vec::new() };
    text.push(packer.list.len() as u32);
    for string in &packer.list {
        text.push(string.len() as u32);
        text.bytes.extend_from_slice(string.as_bytes());
    }
    text.push(packer.codes);
    text.bytes.extend_from_slice(&packer.out.bytes);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + text.bytes.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&TABLE_NUMBER.to_le_bytes());
    bytes.extend_from_slice(&checksum(&text.bytes).to_le_bytes());
    bytes.extend_from_slice(&text.bytes);
    Ok(bytes)
}

struct Packer<'a> {
    out: Writer,
    strings: HashMap<&'a str, u32>,
    list: Vec<&'a str>,
    codes: u32,
}

impl<'a> Packer<'a> {
    /// Writes the codes inside, then this one; gives its number.
    fn code(&mut self, code: &'a Code) -> Result<u32, IrError> {
        let mut inner = Vec::new();
        for constant in &code.consts {
            if let Const::Code(code) = constant {
                inner.push(self.code(code)?);
            }
        }
        let mut inner = inner.into_iter();
        for text in [&code.name, &code.qualname, &code.filename] {
            self.string(text);
        }
        let f = code.flags;
        let bits = [f.function, f.varargs, f.varkeywords, f.generator, f.coroutine, f.nested, code.has_doc];
        self.out.push_byte(bits.iter().rev().fold(0, |all, bit| all << 1 | u8::from(*bit)));
        for number in [code.argcount, code.posonlyargcount, code.kwonlyargcount, code.registers, code.caches]
        {
            self.out.push(u32::from(number));
        }
        self.out.push(code.first_line);
        for list in [&code.locals, &code.cells, &code.frees, &code.names] {
            self.out.push(list.len() as u32);
            for name in list {
                self.string(name);
            }
        }
        self.out.push(code.consts.len() as u32);
        for constant in &code.consts {
            match constant {
                Const::Code(_) => {
                    self.out.push_byte(12);
                    self.out.push(inner.next().unwrap_or_default());
                }
                constant => self
                    .constant(constant, 0)
                    .map_err(|what| IrError::new(format!("{}: {what}", code.qualname)))?,
            }
        }
        self.out.push(code.handlers.len() as u32);
        for h in &code.handlers {
            for number in [h.start, h.end, h.target, u32::from(h.register), u32::from(h.depth)] {
                self.out.push(number);
            }
        }
        self.out.push(code.ops.len() as u32);
        for op in &code.ops {
            op.pack(&mut self.out);
        }
        let mut before = Position { line: code.first_line, ..Position::default() };
        for position in &code.positions {
            self.position(before, *position);
            before = *position;
        }
        self.codes += 1;
        Ok(self.codes - 1)
    }

    fn string(&mut self, text: &'a str) {
        let next = self.list.len() as u32;
        let number = *self.strings.entry(text).or_insert(next);
        if number == next {
            self.list.push(text);
        }
        self.out.push(number);
    }

    fn position(&mut self, before: Position, p: Position) {
        if p == before {
            return self.out.push_byte(0);
        }
        let lines = i64::from(p.line) - i64::from(before.line);
        let folded = (lines << 1 ^ lines >> 63) as u64;
        let long = u64::from(p.end_line != p.line);
        self.out.push_long((folded << 1 | long) + 1);
        self.out.push(p.column);
        if long == 1 {
            self.out.push_signed(i64::from(p.end_line) - i64::from(p.line));
        }
        self.out.push_signed(i64::from(p.end_column) - i64::from(p.column));
    }

    fn constant(&mut self, constant: &'a Const, depth: u32) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("constants nest deeper than {DEPTH_MAX}"));
        }
        match constant {
            Const::None => self.out.push_byte(0),
            Const::Ellipsis => self.out.push_byte(1),
            Const::Bool(b) => self.out.push_byte(2 + u8::from(*b)),
            Const::Int(i) => {
                self.out.push_byte(4);
                self.out.push_signed(*i);
            }
            Const::BigInt(digits) => {
                self.out.push_byte(5);
                self.string(digits);
            }
            Const::Float(f) => {
                self.out.push_byte(6);
                self.out.bytes.extend_from_slice(&f.to_bits().to_le_bytes());
            }
            Const::Complex(re, im) => {
                self.out.push_byte(7);
                self.out.bytes.extend_from_slice(&re.to_bits().to_le_bytes());
                self.out.bytes.extend_from_slice(&im.to_bits().to_le_bytes());
            }
            Const::Str(text) => {
                self.out.push_byte(8);
                self.string(text);
            }
            Const::Wide(points) => {
                self.out.push_byte(9);
                self.out.push(points.len() as u32);
                for point in points {
                    self.out.push(*point);
                }
            }
            Const::Bytes(bytes) => {
                self.out.push_byte(10);
                self.out.push(bytes.len() as u32);
                self.out.bytes.extend_from_slice(bytes);
            }
            Const::Tuple(items) | Const::FrozenSet(items) => {
                self.out.push_byte(if matches!(constant, Const::Tuple(_)) { 11 } else { 13 });
                self.out.push(items.len() as u32);
                for item in items {
                    self.constant(item, depth + 1)?;
                }
            }
            Const::Code(_) => return Err("code inside a tuple constant".into()),
        }
        Ok(())
    }
}

/// Reads what [`encode`] wrote, and verifies it.
///
/// # Errors
/// Bytes of another format or op table, damage, and code that breaks a rule.
pub fn decode(bytes: &[u8]) -> Result<Arc<Code>, IrError> {
    let fail = |what: &str| IrError::new(format!("packed code: {what}"));
    let mut reader = Reader { bytes };
    let header = (reader.take(4), reader.byte(), reader.word(), reader.take(4));
    let (Some(magic), Some(format), Some(table), Some(sum)) = header else {
        return Err(fail("too short for a header"));
    };
    if magic != MAGIC || format != FORMAT {
        return Err(fail("not of this format"));
    }
    if table != TABLE_NUMBER {
        return Err(fail("made by a version with other ops"));
    }
    if sum != checksum(reader.bytes).to_le_bytes() {
        return Err(fail("damaged (the checksum differs)"));
    }
    decode_body(reader)
}

/// Everything after the header.
fn decode_body(mut reader: Reader) -> Result<Arc<Code>, IrError> {
    let place = |reader: &Reader, left: usize| {
        IrError::new(format!("packed code: cannot be read at byte {}", left - reader.bytes.len()))
    };
    let all = reader.bytes.len();
    let Some((strings, codes)) = strings(&mut reader) else { return Err(place(&reader, all)) };
    let mut done: Vec<Arc<Code>> = Vec::new();
    for _ in 0..codes {
        let parts = read_code(&mut reader, &strings, &done).ok_or_else(|| place(&reader, all))?;
        done.push(Arc::new(parts.finish()?));
    }
    match done.pop() {
        Some(code) if reader.bytes.is_empty() => Ok(code),
        _ => Err(place(&reader, all)),
    }
}

fn strings<'a>(reader: &mut Reader<'a>) -> Option<(Vec<&'a str>, usize)> {
    let count = reader.count()?;
    let mut strings = Vec::with_capacity(count);
    for _ in 0..count {
        let length = reader.count()?;
        strings.push(std::str::from_utf8(reader.take(length)?).ok()?);
    }
    Some((strings, reader.count()?))
}

fn read_code(r: &mut Reader, strings: &[&str], done: &[Arc<Code>]) -> Option<CodeParts> {
    let text = |r: &mut Reader| strings.get(r.number()? as usize).copied();
    let (name, qualname, filename) = (text(r)?.into(), text(r)?.into(), text(r)?.into());
    let bits = r.byte()?;
    let bit = |at: u8| bits >> at & 1 == 1;
    let flags = CodeFlags {
        function: bit(0),
        varargs: bit(1),
        varkeywords: bit(2),
        generator: bit(3),
        coroutine: bit(4),
        nested: bit(5),
        // Only `code.replace` sets it, at run time.
        awaitable: false,
    };
    let (argcount, posonlyargcount, kwonlyargcount) = (r.short()?, r.short()?, r.short()?);
    let (registers, caches, first_line) = (r.short()?, r.short()?, r.number()?);
    let names = |r: &mut Reader| -> Option<Vec<Box<str>>> {
        let count = r.count()?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(text(r)?.into());
        }
        Some(list)
    };
    let (locals, cells, frees, names) = (names(r)?, names(r)?, names(r)?, names(r)?);
    let mut consts = Vec::new();
    for _ in 0..r.count()? {
        consts.push(read_constant(r, strings, Some(done), 0)?);
    }
    let mut handlers = Vec::new();
    for _ in 0..r.count()? {
        let (start, end, target) = (r.number()?, r.number()?, r.number()?);
        handlers.push(Handler { start, end, target, register: r.short()?, depth: r.short()? });
    }
    let count = r.count()?;
    let mut ops = Vec::with_capacity(count);
    for _ in 0..count {
        ops.push(Op::unpack(r)?);
    }
    let mut positions = Vec::with_capacity(count);
    let mut before = Position { line: first_line, ..Position::default() };
    for _ in 0..count {
        before = read_position(r, before)?;
        positions.push(before);
    }
    Some(CodeParts {
        name,
        qualname,
        filename,
        first_line,
        flags,
        argcount,
        posonlyargcount,
        kwonlyargcount,
        locals,
        cells,
        frees,
        registers,
        caches,
        has_doc: bit(6),
        consts,
        names,
        ops,
        positions,
        handlers,
    })
}

fn read_position(r: &mut Reader, before: Position) -> Option<Position> {
    let Some(head) = r.long()?.checked_sub(1) else { return Some(before) };
    let plus = |n: u32, by: i64| u32::try_from(i64::from(n).checked_add(by)?).ok();
    let folded = head >> 1;
    let line = plus(before.line, (folded >> 1) as i64 ^ -((folded & 1) as i64))?;
    let column = r.number()?;
    let end_line = if head & 1 == 1 { plus(line, r.signed()?)? } else { line };
    Some(Position { line, column, end_line, end_column: plus(column, r.signed()?)? })
}

fn read_constant(r: &mut Reader, strings: &[&str], codes: Option<&[Arc<Code>]>, depth: u32) -> Option<Const> {
    let text = |r: &mut Reader| strings.get(r.number()? as usize).copied();
    Some(match r.byte()? {
        0 => Const::None,
        1 => Const::Ellipsis,
        2 => Const::Bool(false),
        3 => Const::Bool(true),
        4 => Const::Int(r.signed()?),
        5 => {
            let digits = text(r)?;
            let plain = digits.strip_prefix('-').unwrap_or(digits);
            if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            Const::BigInt(digits.into())
        }
        6 => Const::Float(f64::from_bits(r.word()?)),
        7 => Const::Complex(f64::from_bits(r.word()?), f64::from_bits(r.word()?)),
        8 => Const::Str(text(r)?.into()),
        9 => {
            let mut points = Vec::new();
            for _ in 0..r.count()? {
                points.push(r.number().filter(|point| *point < 0x11_0000)?);
            }
            Const::Wide(points.into())
        }
        10 => {
            let count = r.count()?;
            Const::Bytes(r.take(count)?.into())
        }
        kind @ (11 | 13) if depth < DEPTH_MAX => {
            let mut items = Vec::new();
            for _ in 0..r.count()? {
                items.push(read_constant(r, strings, None, depth + 1)?);
            }
            if kind == 11 { Const::Tuple(items.into()) } else { Const::FrozenSet(items.into()) }
        }
        12 => Const::Code(codes?.get(r.number()? as usize)?.clone()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::NO_REG;

    fn sample() -> Code {
        let inner = CodeParts {
            name: "f".into(),
            qualname: "g.<locals>.f".into(),
            registers: 3,
            first_line: 7,
            flags: CodeFlags { function: true, varargs: true, ..CodeFlags::default() },
            locals: vec!["args".into()],
            ops: vec![Op::Return { src: 0 }],
            positions: vec![Position { line: 3, column: 1, end_line: 5, end_column: 0 }],
            ..CodeParts::default()
        };
        let inner = Arc::new(inner.finish().unwrap());
        let consts = vec![
            Const::Str("a \"b\"\n\u{301}\\".into()),
            Const::Code(inner.clone()),
            Const::Tuple([Const::Int(i64::MIN), Const::Float(-0.0), Const::Bytes([0, 255].into())].into()),
            Const::Wide([0xd800, 65].into()),
            Const::BigInt("-123456789012345678901234567890".into()),
            Const::FrozenSet([Const::Bool(true), Const::None, Const::Ellipsis].into()),
            Const::Complex(0.0, 1.5),
            Const::Code(inner),
            Const::Tuple([Const::Str("k".into())].into()),
        ];
        let ops = vec![
            Op::Const { dst: 0, value: 2 },
            Op::Binary { dst: 1, op: BinaryOp::FloorDiv, left: 0, right: 0 },
            Op::AddInt { dst: 1, left: 0, value: -300 },
            Op::JumpCompare { op: CompareOp::Eq, left: 0, right: 1, sense: false, target: 0 },
            Op::CallKw { dst: 0, base: 1, count: 1, method: true, names: 8 },
            Op::MakeFunction { dst: 0, code: 1, base: 2 },
            Op::LoadSpecial { dst: 0, obj: 0, method: Special::Exit },
            Op::Raise { exc: 1, cause: NO_REG },
        ];
        let parts = CodeParts {
            name: "<module>".into(),
            positions: (0..8)
                .map(|n| Position { line: n / 3 * 100, column: n, end_line: n / 3 * 100, end_column: 2 })
                .collect(),
            ops,
            consts,
            names: vec!["a".into(), "b".into()],
            registers: 8,
            caches: 2,
            handlers: vec![Handler { start: 0, end: 2, target: 3, register: 1, depth: 0 }],
            ..CodeParts::default()
        };
        parts.finish().unwrap()
    }

    #[test]
    fn the_packed_form_round_trips() {
        let code = sample();
        let bytes = encode(&code).unwrap();
        assert_eq!(*decode(&bytes).unwrap(), code);
        assert_eq!(encode(&code).unwrap(), bytes);
    }

    #[test]
    fn other_formats_tables_and_damage_are_refused() {
        let bytes = encode(&sample()).unwrap();
        let with = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            decode(&bytes).unwrap_err().to_string()
        };
        assert!(with(0).contains("format") && with(4).contains("format"));
        assert!(with(5).contains("other ops"));
        assert!(with(20).contains("damaged"));
        assert!(decode(&bytes[..10]).unwrap_err().to_string().contains("too short"));
    }

    /// Bytes changed behind the checksum's back: an error or verified code, never a panic.
    #[test]
    fn hostile_bytes_never_panic() {
        let bytes = encode(&sample()).unwrap();
        let body = &bytes[HEADER_BYTES..];
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut accepted = 0;
        for round in 0..40_000 {
            let mut changed = body.to_vec();
            for _ in 0..=random() % 4 {
                let at = random() as usize % changed.len();
                match random() % 4 {
                    0 => changed[at] = random() as u8,
                    1 => changed[at] ^= 1 << (random() % 8),
                    2 => changed.truncate(at.max(1)),
                    _ => changed.insert(at, random() as u8),
                }
            }
            let read = decode_body(Reader { bytes: &changed });
            if let Ok(code) = read {
                accepted += 1;
                let again = encode(&code).unwrap_or_else(|e| panic!("round {round}: {e}"));
                assert!(decode(&again).is_ok_and(|c| encode(&c).is_ok_and(|b| b == again)), "round {round}");
            }
        }
        assert!(accepted > 100, "the changes are too wild: {accepted} of 40000 accepted");
    }

    #[test]
    fn deep_constants_are_bounded() {
        let mut constant = Const::Tuple([].into());
        for _ in 0..DEPTH_MAX + 10 {
            constant = Const::Tuple([constant].into());
        }
        let parts = CodeParts {
            consts: vec![constant],
            registers: 1,
            ops: vec![Op::Return { src: 0 }],
            positions: vec![Position::default()],
            ..CodeParts::default()
        };
        assert!(encode(&parts.finish().unwrap()).unwrap_err().to_string().contains("deeper"));
    }
}
