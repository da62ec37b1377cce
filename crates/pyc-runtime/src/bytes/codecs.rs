//! Text encodings: UTF-8, UTF-16, UTF-32, Latin-1 and ASCII here, the others through the `codecs` registry.
//!
//! One loop decodes and one encodes; an encoding is a step of it. What cannot be converted goes to the error handler,
//! a known one or one that the program registered, which gives a replacement and where to go on.

use crate::containers::TupleData;
use crate::object::{Kind, Value};
use crate::str::Str;
use crate::vm::{PyResult, Raised, Vm};

/// What a decoder found at a place.
pub enum Step {
    /// A code point of so many bytes.
    Point(u32, usize),
    /// Several code points of so many bytes.
    Points(Vec<u32>, usize),
    /// Bytes up to this place are wrong.
    Wrong(usize, &'static str),
    /// The character is not complete; the reason if nothing follows.
    More(&'static str),
}

/// What stands in for text that cannot be encoded.
enum Replacement {
    Text(Vec<u32>),
    Bytes(Vec<u8>),
}

/// Where error handlers of programs are kept: name to function.
pub const ERROR_HANDLERS: &str = "codec_error_handlers";

fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

/// The encodings that need no registry, by their usual names.
fn known(name: &str) -> Option<&'static str> {
    Some(match normal(name).as_str() {
        "utf-8" | "utf8" | "u8" | "utf" | "cp65001" => "utf-8",
        "utf-8-sig" => "utf-8-sig",
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "8859" | "l1" | "latin" | "cp819" => "latin-1",
        "ascii" | "us-ascii" | "646" => "ascii",
        "utf-16" | "utf16" | "u16" => "utf-16",
        "utf-16-le" | "utf-16le" | "utf-16-le " => "utf-16-le",
        "utf-16-be" | "utf-16be" => "utf-16-be",
        "utf-32" | "utf32" | "u32" => "utf-32",
        "utf-32-le" | "utf-32le" => "utf-32-le",
        "utf-32-be" | "utf-32be" => "utf-32-be",
        _ => return None,
    })
}

fn utf8_step(bytes: &[u8], i: usize, pass: bool) -> Step {
    let b = bytes[i];
    let (need, low, high) = match b {
        0..=0x7f => return Step::Point(u32::from(b), 1),
        0xc2..=0xdf => (1, 0x80, 0xbf),
        0xe0 => (2, 0xa0, 0xbf),
        0xed => (2, 0x80, if pass { 0xbf } else { 0x9f }),
        0xe1..=0xef => (2, 0x80, 0xbf),
        0xf0 => (3, 0x90, 0xbf),
        0xf4 => (3, 0x80, 0x8f),
        0xf1..=0xf3 => (3, 0x80, 0xbf),
        _ => return Step::Wrong(i + 1, "invalid start byte"),
    };
    let mut point = u32::from(b) & (0x3f >> need);
    for k in 1..=need {
        match bytes.get(i + k) {
            None => return Step::More("unexpected end of data"),
            Some(c) if if k == 1 { (low..=high).contains(c) } else { (0x80..=0xbf).contains(c) } => {
                point = point << 6 | u32::from(*c) & 0x3f;
            }
            Some(_) => return Step::Wrong(i + k, "invalid continuation byte"),
        }
    }
    Step::Point(point, need + 1)
}

fn utf16_step(bytes: &[u8], i: usize, big: bool, pass: bool) -> Step {
    let unit = |at: usize| -> Option<u32> {
        let pair = [*bytes.get(at)?, *bytes.get(at + 1)?];
        Some(u32::from(if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }))
    };
    match unit(i) {
        None => Step::More("truncated data"),
        Some(high @ 0xd800..0xdc00) => match unit(i + 2) {
            Some(low @ 0xdc00..0xe000) => Step::Point(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), 4),
            _ if pass => Step::Point(high, 2),
            Some(_) => Step::Wrong(i + 2, "illegal UTF-16 surrogate"),
            None => Step::More("unexpected end of data"),
        },
        Some(low @ 0xdc00..0xe000) if !pass => {
            let _ = low;
            Step::Wrong(i + 2, "illegal encoding")
        }
        Some(unit) => Step::Point(unit, 2),
    }
}

fn utf32_step(bytes: &[u8], i: usize, big: bool, pass: bool) -> Step {
    let Some(four) = bytes.get(i..i + 4).and_then(|c| <[u8; 4]>::try_from(c).ok()) else {
        return Step::More("truncated data");
    };
    let point = if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
    match point {
        0xd800..0xe000 if !pass => {
            Step::Wrong(i + 4, "code point in surrogate code point range(0xd800, 0xe000)")
        }
        0x11_0000.. => Step::Wrong(i + 4, "code point not in range(0x110000)"),
        point => Step::Point(point, 4),
    }
}

fn put_utf8(point: u32, out: &mut Vec<u8>) {
    let tail = |shift: u32| 0x80 | (point >> shift & 0x3f) as u8;
    match point {
        0..0x80 => out.push(point as u8),
        0x80..0x800 => out.extend([0xc0 | (point >> 6) as u8, tail(0)]),
        0x800..0x10000 => out.extend([0xe0 | (point >> 12) as u8, tail(6), tail(0)]),
        _ => out.extend([0xf0 | (point >> 18) as u8, tail(12), tail(6), tail(0)]),
    }
}

fn put_utf16(point: u32, big: bool, out: &mut Vec<u8>) {
    let mut unit = |u: u32| {
        let u = u as u16;
        out.extend(if big { u.to_be_bytes() } else { u.to_le_bytes() });
    };
    if point >= 0x10000 {
        unit(0xd800 + ((point - 0x10000) >> 10));
        unit(0xdc00 + ((point - 0x10000) & 0x3ff));
    } else {
        unit(point);
    }
}

impl Vm {
    /// Bytes to text.
    ///
    /// # Errors
    /// UnicodeDecodeError; LookupError for unknown encodings.
    pub fn decode(&self, bytes: &[u8], encoding: &str, errors: &str) -> PyResult {
        let Some(name) = known(encoding) else { return self.decode_registered(bytes, encoding, errors) };
        Ok(self.decode_part(bytes, name, errors, true)?.0)
    }

    /// As [`Vm::decode`], for a known encoding; unless `last`, an incomplete character at the end is left. Gives the
    /// text and how many bytes it took.
    ///
    /// # Errors
    /// As [`Vm::decode`].
    pub fn decode_part(
        &self,
        bytes: &[u8],
        encoding: &str,
        errors: &str,
        last: bool,
    ) -> PyResult<(Value, usize)> {
        let pass = errors == "surrogatepass";
        match known(encoding) {
            Some("utf-8") => {
                if bytes.is_ascii() {
                    return Ok((self.new_str(Str::from_ascii(bytes.to_vec())), bytes.len()));
                }
                self.decode_steps(bytes, 0, "utf-8", errors, last, &mut |i| Ok(utf8_step(bytes, i, pass)))
            }
            Some("utf-8-sig") => {
                let from = if bytes.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
                self.decode_steps(bytes, from, "utf-8", errors, last, &mut |i| Ok(utf8_step(bytes, i, pass)))
            }
            Some("latin-1") => Ok((self.new_str(Str::from_latin(bytes.to_vec())), bytes.len())),
            Some("ascii") => self.decode_steps(bytes, 0, "ascii", errors, last, &mut |i| {
                Ok(match bytes[i] {
                    b @ 0..128 => Step::Point(u32::from(b), 1),
                    _ => Step::Wrong(i + 1, "ordinal not in range(128)"),
                })
            }),
            Some(name @ ("utf-16" | "utf-16-le" | "utf-16-be")) => {
                let (big, from) = match (name, bytes) {
                    ("utf-16-be", _) => (true, 0),
                    ("utf-16", [0xff, 0xfe, ..]) => (false, 2),
                    ("utf-16", [0xfe, 0xff, ..]) => (true, 2),
                    _ => (false, 0),
                };
                let name = if big { "utf-16-be" } else { "utf-16-le" };
                self.decode_steps(bytes, from, name, errors, last, &mut |i| {
                    Ok(utf16_step(bytes, i, big, pass))
                })
            }
            Some(name @ ("utf-32" | "utf-32-le" | "utf-32-be")) => {
                let (big, from) = match (name, bytes) {
                    ("utf-32-be", _) => (true, 0),
                    ("utf-32", [0xff, 0xfe, 0, 0, ..]) => (false, 4),
                    ("utf-32", [0, 0, 0xfe, 0xff, ..]) => (true, 4),
                    _ => (false, 0),
                };
                let name = if big { "utf-32-be" } else { "utf-32-le" };
                self.decode_steps(bytes, from, name, errors, last, &mut |i| {
                    Ok(utf32_step(bytes, i, big, pass))
                })
            }
            _ => Err(self.unknown_encoding(encoding)),
        }
    }

    fn unknown_encoding(&self, encoding: &str) -> Raised {
        self.raise(&self.exc.lookup_error, &format!("unknown encoding: {encoding}"))
    }

    /// The loop of every decoder. Gives the text and how many bytes it took.
    ///
    /// # Errors
    /// UnicodeDecodeError, and what error handlers raise.
    pub fn decode_steps(
        &self,
        bytes: &[u8],
        from: usize,
        encoding: &str,
        errors: &str,
        last: bool,
        step: &mut dyn FnMut(usize) -> PyResult<Step>,
    ) -> PyResult<(Value, usize)> {
        let mut points = Vec::with_capacity(bytes.len());
        let mut i = from;
        while i < bytes.len() {
            match step(i)? {
                Step::Point(point, used) => {
                    points.push(point);
                    i += used;
                }
                Step::Points(all, used) => {
                    points.extend(all);
                    i += used;
                }
                Step::Wrong(end, reason) => {
                    i = self.decode_wrong(bytes, encoding, i..end, reason, errors, &mut points)?;
                }
                Step::More(reason) => {
                    if !last {
                        break;
                    }
                    let end = bytes.len();
                    i = self.decode_wrong(bytes, encoding, i..end, reason, errors, &mut points)?;
                }
            }
        }
        Ok((self.new_str(Str::from_points(points)), i))
    }

    /// Asks the error handler about wrong bytes; gives where to go on.
    fn decode_wrong(
        &self,
        bytes: &[u8],
        encoding: &str,
        wrong: std::ops::Range<usize>,
        reason: &str,
        errors: &str,
        out: &mut Vec<u32>,
    ) -> PyResult<usize> {
        let part = &bytes[wrong.clone()];
        let exception = || {
            let args = [
                self.str(encoding),
                self.bytes(bytes),
                Value::from_len(wrong.start),
                Value::from_len(wrong.end),
                self.str(reason),
            ];
            self.call_pos(&self.exc.unicode_decode_error, &args)
        };
        let handler = self.error_handler(errors)?;
        match errors {
            _ if handler.is_some() => {}
            "ignore" => return Ok(wrong.end),
            "replace" => {
                out.push(0xfffd);
                return Ok(wrong.end);
            }
            "backslashreplace" => {
                part.iter().for_each(|b| out.extend(format!("\\x{b:02x}").chars().map(u32::from)));
                return Ok(wrong.end);
            }
            "surrogateescape" if part[0] >= 128 => {
                let high = part.iter().take_while(|b| **b >= 128);
                let before = out.len();
                out.extend(high.map(|b| 0xdc00 + u32::from(*b)));
                return Ok(wrong.start + out.len() - before);
            }
            "strict" | "surrogatepass" | "surrogateescape" => {
                let exception = exception()?;
                self.set_context(&exception);
                return Err(Raised(exception));
            }
            "xmlcharrefreplace" | "namereplace" => {
                return Err(self.type_error("don't know how to handle UnicodeDecodeError in error callback"));
            }
            _ => {}
        }
        let Some(handler) = handler else { return Err(self.unknown_handler(errors)) };
        let answer = self.call_pos(&handler, &[exception()?])?;
        let message = "decoding error handler must return (str, int) tuple";
        let (text, at) = self.handler_answer(&answer, message)?;
        let Some(text) = text.get::<Str>() else { return Err(self.type_error(message)) };
        out.extend(text.points());
        self.handler_position(at, bytes.len())
    }

    fn unknown_handler(&self, errors: &str) -> Raised {
        self.raise(&self.exc.lookup_error, &format!("unknown error handler name '{errors}'"))
    }

    /// A handler that the program registered.
    fn error_handler(&self, errors: &str) -> PyResult<Option<Value>> {
        let handlers = self.state(ERROR_HANDLERS, || self.dict());
        match handlers.get::<crate::containers::DictData>() {
            Some(dict) if !dict.borrow().is_empty() => dict.get(self, &self.str(errors)),
            _ => Ok(None),
        }
    }

    fn handler_answer<'a>(&self, answer: &'a Value, message: &str) -> PyResult<(&'a Value, i64)> {
        match answer.get::<TupleData>().map(TupleData::items) {
            Some([text, at]) if self.is_int(at) => Ok((text, self.index(at)?)),
            _ => Err(self.type_error(message)),
        }
    }

    fn handler_position(&self, at: i64, length: usize) -> PyResult<usize> {
        let place = if at < 0 { at + length as i64 } else { at };
        match usize::try_from(place) {
            Ok(place) if place <= length => Ok(place),
            _ => Err(self.index_error(format!("position {at} from error handler out of bounds"))),
        }
    }

    fn decode_registered(&self, bytes: &[u8], encoding: &str, errors: &str) -> PyResult {
        let codec = self.registered_codec(encoding)?;
        self.check_text_encoding(&codec, encoding, "decode")?;
        let decoder = self.get_item(&codec, &Value::from_i32(1))?;
        let answer = self.call_pos(&decoder, &[self.bytes(bytes), self.str(errors)])?;
        let text = self.get_item(&answer, &Value::from_i32(0))?;
        if text.kind() != Kind::Str {
            return Err(self.type_error(format!(
                "'{encoding}' decoder returned '{}' instead of 'str'; use codecs.decode() to decode to arbitrary types",
                self.type_name(&text)
            )));
        }
        Ok(text)
    }

    fn check_text_encoding(&self, codec: &Value, encoding: &str, what: &str) -> PyResult<()> {
        match self.find_attr(codec, &self.intern("_is_text_encoding"))? {
            Some(flag) if !self.truth(&flag)? => Err(self.raise(
                &self.exc.lookup_error,
                &format!(
                    "'{encoding}' is not a text encoding; use codecs.{what}() to handle arbitrary codecs"
                ),
            )),
            _ => Ok(()),
        }
    }

    fn registered_codec(&self, encoding: &str) -> PyResult {
        if self.native_module("_codecs").is_none() {
            return Err(self.unknown_encoding(encoding));
        }
        let module = self.import("_codecs")?;
        self.call_method_str(&module, "lookup", &[self.str(encoding)])
    }

    /// Text to bytes.
    ///
    /// # Errors
    /// UnicodeEncodeError; LookupError for unknown encodings.
    pub fn encode(&self, value: &Value, encoding: &str, errors: &str) -> PyResult<Vec<u8>> {
        let s = self.expect_str(value, "encode() argument")?;
        let name = known(encoding);
        if let (Some("utf-8" | "ascii" | "latin-1"), Some(ascii)) = (name, s.as_ascii()) {
            return Ok(ascii.as_bytes().to_vec());
        }
        let pass = errors == "surrogatepass";
        let surrogate = |point: u32| !pass && (0xd800..0xe000).contains(&point);
        match name {
            Some(name @ ("utf-8" | "utf-8-sig")) => {
                let mark = if name == "utf-8" { Vec::new() } else { vec![0xef, 0xbb, 0xbf] };
                self.encode_steps(value, "utf-8", errors, "surrogates not allowed", mark, &mut |c, out| {
                    if surrogate(c) {
                        return Ok(false);
                    }
                    put_utf8(c, out);
                    Ok(true)
                })
            }
            Some("latin-1") => {
                let reason = "ordinal not in range(256)";
                self.encode_steps(value, "latin-1", errors, reason, Vec::new(), &mut |c, out| {
                    u8::try_from(c).map(|b| out.push(b)).map_or(Ok(false), |()| Ok(true))
                })
            }
            Some("ascii") => {
                let reason = "ordinal not in range(128)";
                self.encode_steps(value, "ascii", errors, reason, Vec::new(), &mut |c, out| {
                    if c < 128 {
                        out.push(c as u8);
                    }
                    Ok(c < 128)
                })
            }
            Some(name @ ("utf-16" | "utf-16-le" | "utf-16-be")) => {
                let big = name == "utf-16-be";
                let mark = if name == "utf-16" { vec![0xff, 0xfe] } else { Vec::new() };
                self.encode_steps(value, name, errors, "surrogates not allowed", mark, &mut |c, out| {
                    if surrogate(c) {
                        return Ok(false);
                    }
                    put_utf16(c, big, out);
                    Ok(true)
                })
            }
            Some(name @ ("utf-32" | "utf-32-le" | "utf-32-be")) => {
                let big = name == "utf-32-be";
                let mark = if name == "utf-32" { vec![0xff, 0xfe, 0, 0] } else { Vec::new() };
                self.encode_steps(value, name, errors, "surrogates not allowed", mark, &mut |c, out| {
                    if surrogate(c) {
                        return Ok(false);
                    }
                    out.extend(if big { c.to_be_bytes() } else { c.to_le_bytes() });
                    Ok(true)
                })
            }
            _ => {
                let codec = self.registered_codec(encoding)?;
                self.check_text_encoding(&codec, encoding, "encode")?;
                let encoder = self.get_item(&codec, &Value::from_i32(0))?;
                let answer = self.call_pos(&encoder, &[value.clone(), self.str(errors)])?;
                let bytes = self.get_item(&answer, &Value::from_i32(0))?;
                if !self.is_bytes_like(&bytes) {
                    return Err(self.type_error(format!(
                        "'{encoding}' encoder returned '{}' instead of 'bytes'; use codecs.encode() to encode to arbitrary types",
                        self.type_name(&bytes)
                    )));
                }
                self.bytes_of(&bytes)
            }
        }
    }

    /// The loop of every encoder. `put` writes a code point, or says that it cannot.
    ///
    /// # Errors
    /// UnicodeEncodeError, and what error handlers raise.
    pub fn encode_steps(
        &self,
        value: &Value,
        encoding: &str,
        errors: &str,
        reason: &str,
        mark: Vec<u8>,
        put: &mut dyn FnMut(u32, &mut Vec<u8>) -> PyResult<bool>,
    ) -> PyResult<Vec<u8>> {
        let points = self.expect_str(value, "encode() argument")?.to_points();
        let mut out = mark;
        out.reserve(points.len());
        let mut at = 0;
        while at < points.len() {
            if put(points[at], &mut out)? {
                at += 1;
                continue;
            }
            let mut end = at + 1;
            let mut scratch = Vec::new();
            while end < points.len() && !put(points[end], &mut scratch)? {
                end += 1;
            }
            let (replacement, next) = self.encode_wrong(value, &points, encoding, at..end, reason, errors)?;
            match replacement {
                Replacement::Bytes(bytes) => out.extend(bytes),
                Replacement::Text(text) => {
                    for c in text {
                        if !put(c, &mut out)? {
                            return Err(self.encode_failed(value, encoding, at..end, reason));
                        }
                    }
                }
            }
            at = next;
        }
        Ok(out)
    }

    fn encode_exception(
        &self,
        value: &Value,
        name: &str,
        wrong: std::ops::Range<usize>,
        why: &str,
    ) -> PyResult {
        let args = [
            self.str(name),
            value.clone(),
            Value::from_len(wrong.start),
            Value::from_len(wrong.end),
            self.str(why),
        ];
        self.call_pos(&self.exc.unicode_encode_error, &args)
    }

    fn encode_failed(&self, value: &Value, name: &str, wrong: std::ops::Range<usize>, why: &str) -> Raised {
        match self.encode_exception(value, name, wrong, why) {
            Ok(exception) => {
                self.set_context(&exception);
                Raised(exception)
            }
            Err(error) => error,
        }
    }

    fn encode_wrong(
        &self,
        value: &Value,
        points: &[u32],
        encoding: &str,
        wrong: std::ops::Range<usize>,
        reason: &str,
        errors: &str,
    ) -> PyResult<(Replacement, usize)> {
        let part = &points[wrong.clone()];
        let handler = self.error_handler(errors)?;
        let text = match errors {
            _ if handler.is_some() => None,
            "ignore" => Some(String::new()),
            "replace" => Some("?".repeat(part.len())),
            "backslashreplace" => Some(part.iter().map(|c| escape(*c)).collect()),
            "xmlcharrefreplace" => Some(part.iter().map(|c| format!("&#{c};")).collect()),
            "namereplace" => {
                let mut text = String::new();
                for c in part {
                    text.push_str(
                        &self.character_name(*c)?.map_or_else(|| escape(*c), |n| format!("\\N{{{n}}}")),
                    );
                }
                Some(text)
            }
            "surrogateescape" if part.iter().all(|c| (0xdc80..0xdd00).contains(c)) => {
                let bytes = part.iter().map(|c| (c - 0xdc00) as u8).collect();
                return Ok((Replacement::Bytes(bytes), wrong.end));
            }
            "strict" | "surrogateescape" | "surrogatepass" => {
                return Err(self.encode_failed(value, encoding, wrong, reason));
            }
            _ => None,
        };
        if let Some(text) = text {
            return Ok((Replacement::Text(text.chars().map(u32::from).collect()), wrong.end));
        }
        let Some(handler) = handler else { return Err(self.unknown_handler(errors)) };
        let exception = self.encode_exception(value, encoding, wrong, reason)?;
        let answer = self.call_pos(&handler, &[exception])?;
        let message = "encoding error handler must return (str/bytes, int) tuple";
        let (made, at) = self.handler_answer(&answer, message)?;
        let at = self.handler_position(at, points.len())?;
        if made.kind() == Kind::Bytes {
            return Ok((Replacement::Bytes(self.bytes_of(made)?), at));
        }
        match made.get::<Str>() {
            Some(text) => Ok((Replacement::Text(text.to_points()), at)),
            None => Err(self.type_error(message)),
        }
    }

    fn character_name(&self, point: u32) -> PyResult<Option<String>> {
        if self.native_module("unicodedata").is_none() {
            return Ok(None);
        }
        let module = self.import("unicodedata")?;
        let name = self.call_method_str(&module, "name", &[self.char_str(point), Value::NONE])?;
        Ok(name.get::<Str>().map(Str::to_lossy))
    }
}

fn escape(point: u32) -> String {
    match point {
        0..256 => format!("\\x{point:02x}"),
        256..65536 => format!("\\u{point:04x}"),
        _ => format!("\\U{point:08x}"),
    }
}
