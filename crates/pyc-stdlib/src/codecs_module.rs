//! `_codecs`: the registry of encodings, and the encodings that are native.

use std::cell::RefCell;

use pyc_runtime::bytes::codecs::{ERROR_HANDLERS, Step};
use pyc_runtime::containers::DictData;
use pyc_runtime::str::Str;
use pyc_runtime::{Args, Method, PyResult, Value, Vm};

#[derive(Default)]
struct Registry {
    searches: RefCell<Vec<Value>>,
    found: RefCell<Vec<(String, Value)>>,
}

fn registry(vm: &Vm) -> PyResult<std::rc::Rc<Registry>> {
    let fresh = std::cell::Cell::new(false);
    let registry = vm.state("codecs_registry", || {
        fresh.set(true);
        Registry::default()
    });
    if fresh.get() {
        // The library's encodings register themselves when they are imported.
        let imported = vm.import("encodings");
        vm.catch(imported, &vm.exc.module_not_found_error)?;
    }
    Ok(registry)
}

/// The codec of an encoding, a tuple of four functions.
pub(crate) fn lookup(vm: &Vm, encoding: &str) -> PyResult {
    let registry = registry(vm)?;
    let name: String = encoding.to_lowercase().chars().map(|c| if c == ' ' { '-' } else { c }).collect();
    if name.contains('\0') {
        return Err(vm.value_error("embedded null character"));
    }
    if let Some((_, codec)) = registry.found.borrow().iter().find(|(n, _)| *n == name) {
        return Ok(codec.clone());
    }
    let searches = registry.searches.borrow().clone();
    for search in searches {
        let codec = vm.call_pos(&search, &[vm.str(&name)])?;
        if codec.is_none() {
            continue;
        }
        if !vm.is_a(&codec, &vm.types.tuple) || vm.len(&codec)? != 4 {
            return Err(vm.type_error("codec search functions must return 4-tuples"));
        }
        registry.found.borrow_mut().push((name, codec.clone()));
        return Ok(codec);
    }
    Err(vm.raise(&vm.exc.lookup_error, &format!("unknown encoding: {encoding}")))
}

/// Text to bytes in any encoding.
pub(crate) fn encode_any(vm: &Vm, text: &Value, encoding: &str, errors: &str) -> PyResult<Vec<u8>> {
    vm.encode(text, encoding, errors)
}

fn text(vm: &Vm, value: Option<&Value>, default: &str) -> PyResult<String> {
    match value.filter(|v| !v.is_none()) {
        None => Ok(default.to_string()),
        Some(v) => Ok(vm.expect_str(v, "argument")?.to_lossy()),
    }
}

/// `codecs.encode` and `codecs.decode`.
fn convert(vm: &Vm, args: Args, which: i32) -> PyResult {
    let codec = lookup(vm, &text(vm, args.opt(1), "utf-8")?)?;
    let function = vm.get_item(&codec, &Value::from_i32(which))?;
    let errors = vm.str(&text(vm, args.opt(2), "strict")?);
    let answer = vm.call_pos(&function, &[args[0].clone(), errors])?;
    vm.get_item(&answer, &Value::from_i32(0))
}

fn pair(vm: &Vm, value: Value, count: usize) -> PyResult {
    Ok(vm.tuple(vec![value, Value::from_len(count)]))
}

fn encoder(vm: &Vm, args: Args, encoding: &str) -> PyResult {
    let count = vm.expect_str(&args[0], "argument 1")?.len();
    let bytes = vm.encode(&args[0], encoding, &text(vm, args.opt(1), "strict")?)?;
    pair(vm, vm.bytes(&bytes), count)
}

fn input(vm: &Vm, value: &Value) -> PyResult<Vec<u8>> {
    match value.get::<Str>() {
        Some(_) => vm.encode(value, "utf-8", "strict"),
        None => vm.bytes_of(value),
    }
}

fn decoder(vm: &Vm, args: Args, encoding: &str, stateful: bool) -> PyResult {
    let bytes = vm.bytes_of(&args[0])?;
    let last = !stateful || args.opt(2).map_or(Ok(false), |v| vm.truth(v))?;
    let (value, used) = vm.decode_part(&bytes, encoding, &text(vm, args.opt(1), "strict")?, last)?;
    pair(vm, value, used)
}

/// UTF-16 and UTF-32 with the order found or given: text, bytes used, order.
fn wide_decode(vm: &Vm, args: Args, width: usize) -> PyResult {
    let bytes = vm.bytes_of(&args[0])?;
    let errors = text(vm, args.opt(1), "strict")?;
    let mut order = args.opt(2).map_or(Ok(0), |v| vm.index(v))?;
    let last = args.opt(3).map_or(Ok(false), |v| vm.truth(v))?;
    let mut skip = 0;
    if order == 0 {
        let (low, high): (&[u8], &[u8]) = if width == 2 {
            (&[0xff, 0xfe], &[0xfe, 0xff])
        } else {
            (&[0xff, 0xfe, 0, 0], &[0, 0, 0xfe, 0xff])
        };
        if bytes.len() < width && !last {
            return Ok(vm.tuple(vec![vm.str(""), Value::from_i32(0), Value::from_i32(0)]));
        }
        if bytes.starts_with(low) {
            (order, skip) = (-1, width);
        } else if bytes.starts_with(high) {
            (order, skip) = (1, width);
        }
    }
    let name = match (width, order > 0) {
        (2, false) => "utf-16-le",
        (2, true) => "utf-16-be",
        (_, false) => "utf-32-le",
        (_, true) => "utf-32-be",
    };
    let (value, used) = vm.decode_part(&bytes[skip..], name, &errors, last)?;
    Ok(vm.tuple(vec![value, Value::from_len(used + skip), vm.int(order)]))
}

fn charmap_decode(vm: &Vm, args: Args) -> PyResult {
    let bytes = vm.bytes_of(&args[0])?;
    let errors = text(vm, args.opt(1), "strict")?;
    let Some(map) = args.opt(2).filter(|m| !m.is_none()) else {
        return decoder(vm, args, "latin-1", false);
    };
    let table = map.get::<Str>().map(Str::to_points);
    let (value, used) = vm.decode_steps(&bytes, 0, "charmap", &errors, true, &mut |i| {
        let undefined = Step::Wrong(i + 1, "character maps to <undefined>");
        if let Some(table) = &table {
            return Ok(match table.get(usize::from(bytes[i])) {
                Some(0xfffe) | None => undefined,
                Some(point) => Step::Point(*point, 1),
            });
        }
        let found = vm.get_item(map, &Value::from_i32(i32::from(bytes[i])));
        let Some(found) = vm.catch(found, &vm.exc.lookup_error)? else { return Ok(undefined) };
        if found.is_none() {
            return Ok(undefined);
        }
        if let Some(s) = found.get::<Str>() {
            return Ok(if s.len() == 1 && s.at(0) == 0xfffe {
                undefined
            } else {
                Step::Points(s.to_points(), 1)
            });
        }
        if !vm.is_int(&found) {
            return Err(vm.type_error("character mapping must return integer, None or str"));
        }
        match u32::try_from(vm.index(&found)?) {
            Ok(0xfffe) => Ok(undefined),
            Ok(point) if point < 0x11_0000 => Ok(Step::Point(point, 1)),
            _ => Err(vm.type_error("character mapping must be in range(0x110000)")),
        }
    })?;
    pair(vm, value, used)
}

fn charmap_encode(vm: &Vm, args: Args) -> PyResult {
    let count = vm.expect_str(&args[0], "argument 1")?.len();
    let errors = text(vm, args.opt(1), "strict")?;
    let Some(map) = args.opt(2).filter(|m| !m.is_none()) else { return encoder(vm, args, "latin-1") };
    let reason = "character maps to <undefined>";
    let bytes = vm.encode_steps(&args[0], "charmap", &errors, reason, Vec::new(), &mut |c, out| {
        let found = vm.get_item(map, &Value::from_i32(c as i32));
        let Some(found) = vm.catch(found, &vm.exc.lookup_error)? else { return Ok(false) };
        if found.is_none() {
            return Ok(false);
        }
        if vm.is_bytes_like(&found) {
            out.extend(vm.bytes_of(&found)?);
            return Ok(true);
        }
        if !vm.is_int(&found) {
            return Err(vm.type_error(format!(
                "character mapping must return integer, bytes or None, not {}",
                vm.type_name(&found)
            )));
        }
        match u8::try_from(vm.index(&found)?) {
            Ok(byte) => out.push(byte),
            Err(_) => return Err(vm.type_error("character mapping must be in range(256)")),
        }
        Ok(true)
    })?;
    pair(vm, vm.bytes(&bytes), count)
}

fn charmap_build(vm: &Vm, args: Args) -> PyResult {
    let dict = vm.dict();
    for (byte, point) in vm.expect_str(&args[0], "argument")?.points().enumerate() {
        if point != 0xfffe {
            vm.dict_set(&dict, Value::from_i32(point as i32), Value::from_len(byte))?;
        }
    }
    Ok(dict)
}

fn escape_decode(vm: &Vm, args: Args) -> PyResult {
    let bytes = input(vm, &args[0])?;
    let errors = text(vm, args.opt(1), "strict")?;
    let mut out = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] != b'\\' {
            out.push(bytes[i]);
            i += 1;
            continue;
        }
        let Some(c) = bytes.get(i + 1) else { return Err(vm.value_error("Trailing \\ in string")) };
        i += 2;
        match c {
            b'\n' => {}
            b'\\' | b'\'' | b'"' => out.push(*c),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b't' => out.push(9),
            b'n' => out.push(10),
            b'r' => out.push(13),
            b'v' => out.push(11),
            b'a' => out.push(7),
            b'0'..=b'7' => {
                let mut n = u32::from(c - b'0');
                let mut k = 1;
                while k < 3 && bytes.get(i).is_some_and(|d| (b'0'..=b'7').contains(d)) {
                    n = n * 8 + u32::from(bytes[i] - b'0');
                    i += 1;
                    k += 1;
                }
                out.push(n as u8);
            }
            b'x' => {
                let digits = bytes.get(i..i + 2).and_then(|d| std::str::from_utf8(d).ok());
                match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
                    Some(byte) => {
                        out.push(byte);
                        i += 2;
                    }
                    None => {
                        match errors.as_str() {
                            "replace" => out.push(b'?'),
                            "ignore" => {}
                            "strict" => {
                                return Err(
                                    vm.value_error(format!("invalid \\x escape at position {}", i - 2))
                                );
                            }
                            other => {
                                return Err(vm.value_error(format!(
                                    "decoding error; unknown error handling code: {other}"
                                )));
                            }
                        }
                        if bytes.get(i).is_some_and(u8::is_ascii_hexdigit) {
                            i += 1;
                        }
                    }
                }
            }
            other => out.extend([b'\\', *other]),
        }
    }
    pair(vm, vm.bytes(&out), bytes.len())
}

fn escape_encode(vm: &Vm, args: Args) -> PyResult {
    let bytes = vm.bytes_of(&args[0])?;
    let mut out = String::new();
    for b in &bytes {
        match b {
            b'\\' => out.push_str("\\\\"),
            b'\'' => out.push_str("\\'"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            32..127 => out.push(char::from(*b)),
            b => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    pair(vm, vm.bytes(out.as_bytes()), bytes.len())
}

fn unicode_escape_encode(vm: &Vm, args: Args, raw: bool) -> PyResult {
    let s = vm.expect_str(&args[0], "argument 1")?;
    let mut out = Vec::new();
    for c in s.points() {
        match c {
            _ if raw && c < 256 => out.push(c as u8),
            92 if !raw => out.extend(b"\\\\"),
            9 if !raw => out.extend(b"\\t"),
            10 if !raw => out.extend(b"\\n"),
            13 if !raw => out.extend(b"\\r"),
            32..127 => out.push(c as u8),
            0..256 => out.extend(format!("\\x{c:02x}").bytes()),
            256..65536 => out.extend(format!("\\u{c:04x}").bytes()),
            _ => out.extend(format!("\\U{c:08x}").bytes()),
        }
    }
    pair(vm, vm.bytes(&out), s.len())
}

fn unicode_escape_decode(vm: &Vm, args: Args, raw: bool) -> PyResult {
    let bytes = input(vm, &args[0])?;
    let errors = text(vm, args.opt(1), "strict")?;
    let last = args.opt(2).map_or(Ok(true), |v| vm.truth(v))?;
    let name = if raw { "rawunicodeescape" } else { "unicodeescape" };
    let (value, used) = vm.decode_steps(&bytes, 0, name, &errors, last, &mut |i| {
        if bytes[i] != b'\\' {
            return Ok(Step::Point(u32::from(bytes[i]), 1));
        }
        let Some(c) = bytes.get(i + 1).copied() else {
            return Ok(if raw { Step::Point(92, 1) } else { Step::More("\\ at end of string") });
        };
        let hex = |count: usize, reason: &'static str| {
            let digits = bytes[i + 2..].iter().take(count).take_while(|d| d.is_ascii_hexdigit()).count();
            let end = i + 2 + digits;
            if digits < count {
                return if end == bytes.len() { Step::More(reason) } else { Step::Wrong(end, reason) };
            }
            let text = std::str::from_utf8(&bytes[i + 2..end]).unwrap_or("0");
            match u32::from_str_radix(text, 16) {
                Ok(point) if point < 0x11_0000 => Step::Point(point, count + 2),
                _ => Step::Wrong(
                    end,
                    if raw { "\\Uxxxxxxxx out of range" } else { "illegal Unicode character" },
                ),
            }
        };
        if raw {
            // Only an odd number of backslashes escapes.
            let before = bytes[..i].iter().rev().take_while(|b| **b == b'\\').count();
            return Ok(match c {
                b'u' if before % 2 == 0 => hex(4, "truncated \\uXXXX escape"),
                b'U' if before % 2 == 0 => hex(8, "truncated \\UXXXXXXXX escape"),
                _ => Step::Point(92, 1),
            });
        }
        Ok(match c {
            b'\n' => Step::Points(Vec::new(), 2),
            b'\\' | b'\'' | b'"' => Step::Point(u32::from(c), 2),
            b'b' => Step::Point(8, 2),
            b'f' => Step::Point(12, 2),
            b't' => Step::Point(9, 2),
            b'n' => Step::Point(10, 2),
            b'r' => Step::Point(13, 2),
            b'v' => Step::Point(11, 2),
            b'a' => Step::Point(7, 2),
            b'0'..=b'7' => {
                let n = bytes[i + 1..].iter().take(3).take_while(|d| (b'0'..=b'7').contains(*d)).count();
                let value = bytes[i + 1..=i + n].iter().fold(0, |v, d| v * 8 + u32::from(d - b'0'));
                Step::Point(value, n + 1)
            }
            b'x' => hex(2, "truncated \\xXX escape"),
            b'u' => hex(4, "truncated \\uXXXX escape"),
            b'U' => hex(8, "truncated \\UXXXXXXXX escape"),
            b'N' => {
                let reason = "malformed \\N character escape";
                if bytes.get(i + 2) != Some(&b'{') {
                    return Ok(Step::Wrong(i + 2, reason));
                }
                let Some(length) = bytes[i + 3..].iter().position(|b| *b == b'}') else {
                    return Ok(Step::More(reason));
                };
                let end = i + 4 + length;
                let name = String::from_utf8_lossy(&bytes[i + 3..end - 1]).into_owned();
                match crate::character_by_name(&name) {
                    Some(points) => Step::Points(points, end - i),
                    None => Step::Wrong(end, "unknown Unicode character name"),
                }
            }
            c => Step::Points(vec![92, u32::from(c)], 2),
        })
    })?;
    pair(vm, value, used)
}

const FUNCTIONS: &[Method] = &[
    ("register", "search_function /", |vm, args| {
        if vm.special(&args[0], &vm.names.__call__).is_none() {
            return Err(vm.type_error("argument must be callable"));
        }
        registry(vm)?.searches.borrow_mut().push(args[0].clone());
        Ok(Value::NONE)
    }),
    ("unregister", "search_function /", |vm, args| {
        let registry = registry(vm)?;
        registry.searches.borrow_mut().retain(|s| !s.is(&args[0]));
        registry.found.take();
        Ok(Value::NONE)
    }),
    ("lookup", "encoding /", |vm, args| {
        let name = vm.expect_str(&args[0], "lookup() argument")?.to_lossy();
        lookup(vm, &name)
    }),
    ("_forget_codec", "encoding /", |vm, args| {
        let name = vm.expect_str(&args[0], "argument")?.to_lossy();
        registry(vm)?.found.borrow_mut().retain(|(n, _)| *n != name);
        Ok(Value::NONE)
    }),
    ("encode", "obj encoding? errors?", |vm, args| convert(vm, args, 0)),
    ("decode", "obj encoding? errors?", |vm, args| convert(vm, args, 1)),
    ("register_error", "errors handler /", |vm, args| {
        if vm.special(&args[1], &vm.names.__call__).is_none() {
            return Err(vm.type_error("handler must be callable"));
        }
        let handlers = vm.state(ERROR_HANDLERS, || vm.dict());
        vm.dict_set(&handlers, args[0].clone(), args[1].clone())?;
        Ok(Value::NONE)
    }),
    ("_unregister_error", "errors /", |vm, args| {
        let handlers = vm.state(ERROR_HANDLERS, || vm.dict());
        let removed = match handlers.get::<DictData>() {
            Some(dict) => dict.remove(vm, &args[0])?,
            None => None,
        };
        Ok(Value::from_bool(removed.is_some()))
    }),
    ("lookup_error", "name /", |vm, args| {
        let handlers = vm.state(ERROR_HANDLERS, || vm.dict());
        if let Some(dict) = handlers.get::<DictData>()
            && let Some(found) = dict.get(vm, &args[0])?
        {
            return Ok(found);
        }
        let name = vm.text(&args[0]);
        let owner = vm.intern("_codecs");
        let function = BUILTIN_ERRORS.iter().find(|(n, _)| *n == &*name);
        match function {
            Some((_, (method, params, code))) => Ok(vm.native_function(&owner, method, params, *code)),
            None => Err(vm.raise(&vm.exc.lookup_error, &format!("unknown error handler name '{name}'"))),
        }
    }),
    ("utf_8_encode", "str errors? /", |vm, a| encoder(vm, a, "utf-8")),
    ("utf_16_le_encode", "str errors? /", |vm, a| encoder(vm, a, "utf-16-le")),
    ("utf_16_be_encode", "str errors? /", |vm, a| encoder(vm, a, "utf-16-be")),
    ("utf_32_le_encode", "str errors? /", |vm, a| encoder(vm, a, "utf-32-le")),
    ("utf_32_be_encode", "str errors? /", |vm, a| encoder(vm, a, "utf-32-be")),
    ("utf_16_encode", "str errors? byteorder? /", |vm, a| {
        encoder(
            vm,
            a,
            match a.opt(2).map_or(Ok(0), |v| vm.index(v))? {
                0 => "utf-16",
                n if n < 0 => "utf-16-le",
                _ => "utf-16-be",
            },
        )
    }),
    ("utf_32_encode", "str errors? byteorder? /", |vm, a| {
        encoder(
            vm,
            a,
            match a.opt(2).map_or(Ok(0), |v| vm.index(v))? {
                0 => "utf-32",
                n if n < 0 => "utf-32-le",
                _ => "utf-32-be",
            },
        )
    }),
    ("latin_1_encode", "str errors? /", |vm, a| encoder(vm, a, "latin-1")),
    ("ascii_encode", "str errors? /", |vm, a| encoder(vm, a, "ascii")),
    ("utf_8_decode", "data errors? final? /", |vm, a| decoder(vm, a, "utf-8", true)),
    ("utf_16_le_decode", "data errors? final? /", |vm, a| decoder(vm, a, "utf-16-le", true)),
    ("utf_16_be_decode", "data errors? final? /", |vm, a| decoder(vm, a, "utf-16-be", true)),
    ("utf_16_decode", "data errors? final? /", |vm, a| decoder(vm, a, "utf-16", true)),
    ("utf_32_le_decode", "data errors? final? /", |vm, a| decoder(vm, a, "utf-32-le", true)),
    ("utf_32_be_decode", "data errors? final? /", |vm, a| decoder(vm, a, "utf-32-be", true)),
    ("utf_32_decode", "data errors? final? /", |vm, a| decoder(vm, a, "utf-32", true)),
    ("utf_16_ex_decode", "data errors? byteorder? final? /", |vm, a| wide_decode(vm, a, 2)),
    ("utf_32_ex_decode", "data errors? byteorder? final? /", |vm, a| wide_decode(vm, a, 4)),
    ("latin_1_decode", "data errors? /", |vm, a| decoder(vm, a, "latin-1", false)),
    ("ascii_decode", "data errors? /", |vm, a| decoder(vm, a, "ascii", false)),
    ("charmap_decode", "data errors? mapping? /", charmap_decode),
    ("charmap_encode", "str errors? mapping? /", charmap_encode),
    ("charmap_build", "map /", charmap_build),
    ("escape_decode", "data errors? /", escape_decode),
    ("escape_encode", "data errors? /", escape_encode),
    ("unicode_escape_encode", "str errors? /", |vm, a| unicode_escape_encode(vm, a, false)),
    ("raw_unicode_escape_encode", "str errors? /", |vm, a| unicode_escape_encode(vm, a, true)),
    ("unicode_escape_decode", "data errors? final? /", |vm, a| unicode_escape_decode(vm, a, false)),
    ("raw_unicode_escape_decode", "data errors? final? /", |vm, a| unicode_escape_decode(vm, a, true)),
    ("readbuffer_encode", "data errors? /", |vm, args| {
        let bytes = input(vm, &args[0])?;
        pair(vm, vm.bytes(&bytes), bytes.len())
    }),
];

/// Applies a known handler to an exception: what `codecs.strict_errors(e)` and its like give.
fn handle(vm: &Vm, args: Args, name: &str) -> PyResult {
    let exception = &args[0];
    let of = |ty: &Value| vm.is_a(exception, ty);
    let (encode, decode) = (of(&vm.exc.unicode_encode_error), of(&vm.exc.unicode_decode_error));
    let translate = of(&vm.exc.unicode_translate_error);
    if !encode && !decode && !translate {
        if name == "strict" && vm.is_a(exception, &vm.exc.base_exception) {
            return Err(pyc_runtime::Raised(exception.clone()));
        }
        return Err(vm.type_error(if name == "strict" {
            "codec must pass exception instance".to_string()
        } else {
            format!("don't know how to handle {} in error callback", vm.type_name(exception))
        }));
    }
    if name == "strict" {
        return Err(pyc_runtime::Raised(exception.clone()));
    }
    let number = |key: &str| -> PyResult<usize> {
        Ok(usize::try_from(vm.index(&vm.get_attr_str(exception, key)?)?).unwrap_or(0))
    };
    let (start, end) = (number("start")?, number("end")?);
    let object = vm.get_attr_str(exception, "object")?;
    let text = if decode {
        let bytes = vm.bytes_of(&object)?;
        let part = bytes.get(start..end.min(bytes.len())).unwrap_or(&[]);
        match name {
            "ignore" => String::new(),
            "replace" => "\u{fffd}".to_string(),
            "backslashreplace" => part.iter().map(|b| format!("\\x{b:02x}")).collect(),
            "surrogateescape" if part.iter().all(|b| *b >= 128) => {
                let points = part.iter().map(|b| 0xdc00 + u32::from(*b)).collect();
                return Ok(vm.tuple(vec![vm.new_str(Str::from_points(points)), Value::from_len(end)]));
            }
            "surrogateescape" | "surrogatepass" => return Err(pyc_runtime::Raised(exception.clone())),
            _ => return Err(vm.type_error("don't know how to handle UnicodeDecodeError in error callback")),
        }
    } else {
        let points = vm.expect_str(&object, "object")?.to_points();
        let part = points.get(start..end.min(points.len())).unwrap_or(&[]);
        if translate && !matches!(name, "ignore" | "replace" | "backslashreplace") {
            return Err(vm.type_error("don't know how to handle UnicodeTranslateError in error callback"));
        }
        match name {
            "ignore" => String::new(),
            "replace" if translate => "\u{fffd}".repeat(part.len()),
            "replace" => "?".repeat(part.len()),
            "surrogateescape" if part.iter().all(|c| (0xdc80..0xdd00).contains(c)) => {
                let bytes: Vec<u8> = part.iter().map(|c| (c - 0xdc00) as u8).collect();
                return Ok(vm.tuple(vec![vm.bytes(&bytes), Value::from_len(end)]));
            }
            "surrogateescape" => return Err(pyc_runtime::Raised(exception.clone())),
            name => {
                let value = vm.new_str(Str::from_points(part.to_vec()));
                let mut out = Vec::new();
                for c in part {
                    let one = vm.char_str(*c);
                    let ascii = *c < 128 && name != "surrogatepass";
                    let shown = if ascii && name == "xmlcharrefreplace" {
                        format!("&#{c};").into_bytes()
                    } else if ascii && name == "backslashreplace" {
                        format!("\\x{c:02x}").into_bytes()
                    } else {
                        let encoding = if name == "surrogatepass" { "utf-8" } else { "ascii" };
                        vm.encode(&one, encoding, name)?
                    };
                    out.extend(shown);
                }
                let _ = value;
                if name == "surrogatepass" {
                    return Ok(vm.tuple(vec![vm.bytes(&out), Value::from_len(end)]));
                }
                String::from_utf8_lossy(&out).into_owned()
            }
        }
    };
    Ok(vm.tuple(vec![vm.str(&text), Value::from_len(end)]))
}

const BUILTIN_ERRORS: &[(&str, Method)] = &[
    ("strict", ("strict_errors", "exc /", |vm, a| handle(vm, a, "strict"))),
    ("ignore", ("ignore_errors", "exc /", |vm, a| handle(vm, a, "ignore"))),
    ("replace", ("replace_errors", "exc /", |vm, a| handle(vm, a, "replace"))),
    ("xmlcharrefreplace", ("xmlcharrefreplace_errors", "exc /", |vm, a| handle(vm, a, "xmlcharrefreplace"))),
    ("backslashreplace", ("backslashreplace_errors", "exc /", |vm, a| handle(vm, a, "backslashreplace"))),
    ("namereplace", ("namereplace_errors", "exc /", |vm, a| handle(vm, a, "namereplace"))),
    ("surrogateescape", ("surrogateescape", "exc /", |vm, a| handle(vm, a, "surrogateescape"))),
    ("surrogatepass", ("surrogatepass", "exc /", |vm, a| handle(vm, a, "surrogatepass"))),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object("_codecs", FUNCTIONS))
}
