//! UTF-8, UTF-16, UTF-32, Latin-1 and ASCII.

use crate::object::Value;
use crate::str::Str;
use crate::vm::{PyResult, Vm};

fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

impl Vm {
    /// Bytes to text.
    ///
    /// # Errors
    /// UnicodeDecodeError; LookupError for unknown encodings.
    pub fn decode(&self, bytes: &[u8], encoding: &str, errors: &str) -> PyResult {
        let points = match normal(encoding).as_str() {
            "utf-8" | "utf8" | "u8" | "cp65001" => {
                if bytes.is_ascii() {
                    return Ok(self.new_str(Str::from_ascii(bytes.to_vec())));
                }
                self.decode_utf8(bytes, errors)?
            }
            "utf-8-sig" => {
                self.decode_utf8(bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes), errors)?
            }
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "8859" | "l1" => {
                return Ok(self.new_str(Str::from_latin(bytes.to_vec())));
            }
            "ascii" | "us-ascii" | "646" => {
                let mut points = Vec::with_capacity(bytes.len());
                for (at, byte) in bytes.iter().enumerate() {
                    if *byte < 128 {
                        points.push(u32::from(*byte));
                    } else {
                        self.decode_error(
                            "ascii",
                            bytes,
                            at,
                            at + 1,
                            "ordinal not in range(128)",
                            errors,
                            &mut points,
                        )?;
                    }
                }
                points
            }
            "utf-16" | "utf16" | "utf-16-le" | "utf-16le" | "utf-16-be" | "utf-16be" => {
                let name = normal(encoding);
                let (big, rest) = match (name.as_str(), bytes) {
                    ("utf-16-be" | "utf-16be", _) => (true, bytes),
                    ("utf-16-le" | "utf-16le", _) => (false, bytes),
                    (_, [0xff, 0xfe, rest @ ..]) => (false, rest),
                    (_, [0xfe, 0xff, rest @ ..]) => (true, rest),
                    _ => (false, bytes),
                };
                let mut points = Vec::new();
                let units: Vec<u16> = rest
                    .chunks_exact(2)
                    .map(|c| {
                        if big { u16::from_be_bytes([c[0], c[1]]) } else { u16::from_le_bytes([c[0], c[1]]) }
                    })
                    .collect();
                let mut i = 0;
                while i < units.len() {
                    let unit = u32::from(units[i]);
                    let next = units.get(i + 1).map(|u| u32::from(*u));
                    match (unit, next) {
                        (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
                            points.push(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                            i += 1;
                        }
                        (0xd800..0xe000, _) => self.decode_error(
                            "utf-16",
                            bytes,
                            i * 2,
                            i * 2 + 2,
                            "illegal encoding",
                            errors,
                            &mut points,
                        )?,
                        _ => points.push(unit),
                    }
                    i += 1;
                }
                if rest.len() % 2 == 1 {
                    self.decode_error(
                        "utf-16",
                        bytes,
                        bytes.len() - 1,
                        bytes.len(),
                        "truncated data",
                        errors,
                        &mut points,
                    )?;
                }
                points
            }
            "utf-32" | "utf32" | "utf-32-le" | "utf-32-be" => {
                let name = normal(encoding);
                let (big, rest) = match (name.as_str(), bytes) {
                    ("utf-32-be", _) => (true, bytes),
                    (_, [0xff, 0xfe, 0, 0, rest @ ..]) => (false, rest),
                    _ => (false, bytes),
                };
                let mut points = Vec::new();
                for (at, c) in rest.chunks(4).enumerate() {
                    let Ok(c) = <[u8; 4]>::try_from(c) else {
                        self.decode_error(
                            "utf-32",
                            bytes,
                            at * 4,
                            bytes.len(),
                            "truncated data",
                            errors,
                            &mut points,
                        )?;
                        break;
                    };
                    let point = if big { u32::from_be_bytes(c) } else { u32::from_le_bytes(c) };
                    if point < 0x11_0000 {
                        points.push(point);
                    } else {
                        self.decode_error(
                            "utf-32",
                            bytes,
                            at * 4,
                            at * 4 + 4,
                            "code point not in range(0x110000)",
                            errors,
                            &mut points,
                        )?;
                    }
                }
                points
            }
            _ => return Err(self.raise(&self.exc.lookup_error, &format!("unknown encoding: {encoding}"))),
        };
        Ok(self.new_str(Str::from_points(points)))
    }

    fn decode_utf8(&self, bytes: &[u8], errors: &str) -> PyResult<Vec<u32>> {
        let mut points = Vec::with_capacity(bytes.len());
        let mut i = 0;
        while i < bytes.len() {
            let b = bytes[i];
            if b < 128 {
                points.push(u32::from(b));
                i += 1;
                continue;
            }
            let (need, low, high) = match b {
                0xc2..=0xdf => (1, 0x80, 0xbf),
                0xe0 => (2, 0xa0, 0xbf),
                0xed => (2, 0x80, 0x9f),
                0xe1..=0xef => (2, 0x80, 0xbf),
                0xf0 => (3, 0x90, 0xbf),
                0xf4 => (3, 0x80, 0x8f),
                0xf1..=0xf3 => (3, 0x80, 0xbf),
                _ => {
                    if errors == "surrogatepass" {
                        // falls through to the error
                    }
                    self.decode_error("utf-8", bytes, i, i + 1, "invalid start byte", errors, &mut points)?;
                    i += 1;
                    continue;
                }
            };
            if errors == "surrogatepass" && b == 0xed && bytes.len() > i + 2 && bytes[i + 1] >= 0xa0 {
                points.push(0xd000 | (u32::from(bytes[i + 1]) & 0x3f) << 6 | u32::from(bytes[i + 2]) & 0x3f);
                i += 3;
                continue;
            }
            let mut point = u32::from(b) & (0x3f >> need);
            let mut good = 0;
            for k in 1..=need {
                match bytes.get(i + k) {
                    Some(c) if if k == 1 { (low..=high).contains(c) } else { (0x80..=0xbf).contains(c) } => {
                        point = point << 6 | u32::from(*c) & 0x3f;
                        good = k;
                    }
                    _ => break,
                }
            }
            if good == need {
                points.push(point);
                i += need + 1;
            } else {
                let end = i + good + 1;
                let reason =
                    if end >= bytes.len() { "unexpected end of data" } else { "invalid continuation byte" };
                self.decode_error("utf-8", bytes, i, end, reason, errors, &mut points)?;
                i = end;
            }
        }
        Ok(points)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of the exception")]
    fn decode_error(
        &self,
        encoding: &str,
        bytes: &[u8],
        start: usize,
        end: usize,
        reason: &str,
        errors: &str,
        out: &mut Vec<u32>,
    ) -> PyResult<()> {
        match errors {
            "ignore" => {}
            "replace" => out.push(0xfffd),
            "backslashreplace" => bytes[start..end]
                .iter()
                .for_each(|b| out.extend(format!("\\x{b:02x}").chars().map(u32::from))),
            "surrogateescape" => out.extend(bytes[start..end].iter().map(|b| 0xdc00 + u32::from(*b))),
            "strict" | "surrogatepass" => {
                let args = [
                    self.str(encoding),
                    self.bytes(bytes),
                    Value::from_len(start),
                    Value::from_len(end),
                    self.str(reason),
                ];
                let exception = self.call_pos(&self.exc.unicode_decode_error, &args)?;
                self.set_context(&exception);
                return Err(crate::vm::Raised(exception));
            }
            _ => {
                return Err(
                    self.raise(&self.exc.lookup_error, &format!("unknown error handler name '{errors}'"))
                );
            }
        }
        Ok(())
    }

    /// Text to bytes.
    ///
    /// # Errors
    /// UnicodeEncodeError; LookupError for unknown encodings.
    pub fn encode(&self, value: &Value, encoding: &str, errors: &str) -> PyResult<Vec<u8>> {
        let s = self.expect_str(value, "encode() argument")?;
        let name = normal(encoding);
        let limit = match name.as_str() {
            "utf-8" | "utf8" | "u8" | "utf-8-sig" | "cp65001" => {
                if let Some(ascii) = s.as_ascii() {
                    let mut out = if name == "utf-8-sig" { vec![0xef, 0xbb, 0xbf] } else { Vec::new() };
                    out.extend_from_slice(ascii.as_bytes());
                    return Ok(out);
                }
                0x11_0000
            }
            "utf-16" | "utf16" | "utf-16-le" | "utf-16le" | "utf-16-be" | "utf-16be" | "utf-32" | "utf32"
            | "utf-32-le" | "utf-32-be" => 0x11_0000,
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "8859" | "l1" => 256,
            "ascii" | "us-ascii" | "646" => 128,
            _ => return Err(self.raise(&self.exc.lookup_error, &format!("unknown encoding: {encoding}"))),
        };
        let wide = limit > 256;
        let big = name.ends_with("be");
        let sixteen = name.starts_with("utf-16") || name == "utf16";
        let thirty_two = name.starts_with("utf-32") || name == "utf32";
        let mut out = Vec::with_capacity(s.len());
        match name.as_str() {
            "utf-8-sig" => out.extend([0xef, 0xbb, 0xbf]),
            "utf-16" | "utf16" => out.extend([0xff, 0xfe]),
            "utf-32" | "utf32" => out.extend([0xff, 0xfe, 0, 0]),
            _ => {}
        }
        let put = |out: &mut Vec<u8>, point: u32| {
            if sixteen {
                let mut unit = |u: u16| out.extend(if big { u.to_be_bytes() } else { u.to_le_bytes() });
                if point >= 0x10000 {
                    unit((0xd800 + ((point - 0x10000) >> 10)) as u16);
                    unit((0xdc00 + ((point - 0x10000) & 0x3ff)) as u16);
                } else {
                    unit(point as u16);
                }
            } else if thirty_two {
                out.extend(if big { point.to_be_bytes() } else { point.to_le_bytes() });
            } else if !wide || point < 128 {
                out.push(point as u8);
            } else if point < 0x800 {
                out.extend([0xc0 | (point >> 6) as u8, 0x80 | (point & 0x3f) as u8]);
            } else if point < 0x10000 {
                out.extend([
                    0xe0 | (point >> 12) as u8,
                    0x80 | (point >> 6 & 0x3f) as u8,
                    0x80 | (point & 0x3f) as u8,
                ]);
            } else {
                out.extend([
                    0xf0 | (point >> 18) as u8,
                    0x80 | (point >> 12 & 0x3f) as u8,
                    0x80 | (point >> 6 & 0x3f) as u8,
                    0x80 | (point & 0x3f) as u8,
                ]);
            }
        };
        let points = s.to_points();
        let mut at = 0;
        while at < points.len() {
            let point = points[at];
            let surrogate = wide && (0xd800..0xe000).contains(&point);
            if point < limit && !surrogate {
                put(&mut out, point);
                at += 1;
                continue;
            }
            match errors {
                "ignore" => {}
                "replace" => put(&mut out, 63),
                "backslashreplace" => {
                    let text = match point {
                        0..256 => format!("\\x{point:02x}"),
                        256..65536 => format!("\\u{point:04x}"),
                        _ => format!("\\U{point:08x}"),
                    };
                    text.chars().for_each(|c| put(&mut out, u32::from(c)));
                }
                "xmlcharrefreplace" => {
                    format!("&#{point};").chars().for_each(|c| put(&mut out, u32::from(c)))
                }
                "namereplace" => {
                    format!("\\N{{U+{point:04X}}}").chars().for_each(|c| put(&mut out, u32::from(c)))
                }
                "surrogatepass" if surrogate => put(&mut out, point),
                "surrogateescape" if (0xdc80..0xdd00).contains(&point) => out.push((point - 0xdc00) as u8),
                "strict" | "surrogateescape" | "surrogatepass" => {
                    let reason = if surrogate {
                        "surrogates not allowed".to_string()
                    } else {
                        format!("ordinal not in range({limit})")
                    };
                    let shown = match limit {
                        128 => "ascii",
                        256 => "latin-1",
                        _ if sixteen => "utf-16",
                        _ => "utf-8",
                    };
                    let mut end = at + 1;
                    while end < points.len()
                        && if wide { (0xd800..0xe000).contains(&points[end]) } else { points[end] >= limit }
                    {
                        end += 1;
                    }
                    let args = [
                        self.str(shown),
                        value.clone(),
                        Value::from_len(at),
                        Value::from_len(end),
                        self.str(&reason),
                    ];
                    let exception = self.call_pos(&self.exc.unicode_encode_error, &args)?;
                    self.set_context(&exception);
                    return Err(crate::vm::Raised(exception));
                }
                _ => {
                    return Err(
                        self.raise(&self.exc.lookup_error, &format!("unknown error handler name '{errors}'"))
                    );
                }
            }
            at += 1;
        }
        Ok(out)
    }
}
