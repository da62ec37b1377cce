//! `_json`: reading and writing JSON, as the library's `json` asks for it.

use std::collections::HashMap;

use pyc_runtime::containers::{DictData, ListData, TupleData};
use pyc_runtime::str::Str;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Kind, Payload, PyResult, Raised, Value, Vm, new_object};

/// Levels of nesting; the native stack may end it sooner.
const DEPTH_MAX: usize = 50_000;

fn escape_into(out: &mut String, point: u32) {
    match point {
        0x22 => out.push_str("\\\""),
        0x5c => out.push_str("\\\\"),
        0x0a => out.push_str("\\n"),
        0x0d => out.push_str("\\r"),
        0x09 => out.push_str("\\t"),
        0x0c => out.push_str("\\f"),
        0x08 => out.push_str("\\b"),
        0x10000.. => {
            let v = point - 0x10000;
            out.push_str(&format!("\\u{:04x}\\u{:04x}", 0xd800 + (v >> 10), 0xdc00 + (v & 0x3ff)));
        }
        _ => out.push_str(&format!("\\u{point:04x}")),
    }
}

/// A string in quotes, all of it ASCII.
fn quote_ascii(text: &Str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for point in text.points() {
        match char::from_u32(point) {
            Some(c @ ' '..='~') if c != '"' && c != '\\' => out.push(c),
            _ => escape_into(&mut out, point),
        }
    }
    out.push('"');
    out
}

/// A string in quotes with only what must be escaped escaped.
fn quote(text: &Str) -> Str {
    let mut points = Vec::with_capacity(text.len() + 2);
    points.push(0x22);
    let mut escaped = String::new();
    for point in text.points() {
        if point < 0x20 || point == 0x22 || point == 0x5c {
            escaped.clear();
            escape_into(&mut escaped, point);
            points.extend(escaped.chars().map(u32::from));
        } else {
            points.push(point);
        }
    }
    points.push(0x22);
    Str::from_points(points)
}

fn string_argument<'a>(vm: &Vm, value: &'a Value) -> PyResult<&'a Str> {
    value
        .get::<Str>()
        .ok_or_else(|| vm.type_error(format!("first argument must be a string, not {}", vm.type_name(value))))
}

fn encode_ascii(vm: &Vm, args: Args) -> PyResult {
    Ok(vm.str(&quote_ascii(string_argument(vm, &args[0])?)))
}

fn encode_plain(vm: &Vm, args: Args) -> PyResult {
    Ok(vm.new_str(quote(string_argument(vm, &args[0])?)))
}

fn decode_error(vm: &Vm, message: &str, text: &Value, at: usize) -> Raised {
    let raised = || -> PyResult {
        let class = vm.get_attr_str(&vm.import("json.decoder")?, "JSONDecodeError")?;
        vm.call_pos(&class, &[vm.str(message), text.clone(), Value::from_len(at)])
    };
    match raised() {
        Ok(made) => Raised(made),
        Err(error) => error,
    }
}

/// Reads a string whose opening quote is before `from`; gives it and the place behind its closing quote.
fn scan_string(vm: &Vm, value: &Value, from: usize, strict: bool) -> PyResult<(Value, usize)> {
    let Some(text) = value.get::<Str>() else { return Err(vm.type_error("first argument must be a string")) };
    let begin = from.wrapping_sub(1);
    let length = text.len();
    let mut at = from;
    // Most strings need no unescaping: they are a slice.
    while at < length {
        match text.at(at) {
            0x22 => return Ok((vm.new_str(text.slice(from, at)), at + 1)),
            0x5c => break,
            c if c < 0x20 && strict => {
                return Err(decode_error(vm, "Invalid control character at", value, at));
            }
            _ => at += 1,
        }
    }
    let mut points: Vec<u32> = (from..at.min(length)).map(|i| text.at(i)).collect();
    let hex = |at: usize| -> Option<u32> {
        if at + 4 > length {
            return None;
        }
        (at..at + 4).try_fold(0, |n, i| Some(n << 4 | char::from_u32(text.at(i))?.to_digit(16)?))
    };
    loop {
        if at >= length {
            return Err(decode_error(vm, "Unterminated string starting at", value, begin));
        }
        let c = text.at(at);
        match c {
            0x22 => return Ok((vm.new_str(Str::from_points(points)), at + 1)),
            0x5c => {
                if at + 1 >= length {
                    return Err(decode_error(vm, "Unterminated string starting at", value, begin));
                }
                let escape = text.at(at + 1);
                let plain = match char::from_u32(escape) {
                    Some(c @ ('"' | '\\' | '/')) => Some(c as u32),
                    Some('b') => Some(8),
                    Some('f') => Some(12),
                    Some('n') => Some(10),
                    Some('r') => Some(13),
                    Some('t') => Some(9),
                    _ => None,
                };
                if let Some(point) = plain {
                    points.push(point);
                    at += 2;
                    continue;
                }
                if escape != u32::from('u') {
                    return Err(decode_error(vm, "Invalid \\escape: ", value, at));
                }
                let Some(mut point) = hex(at + 2) else {
                    return Err(decode_error(vm, "Invalid \\uXXXX escape", value, at + 1));
                };
                at += 6;
                if (0xd800..0xdc00).contains(&point)
                    && at + 1 < length
                    && text.at(at) == 0x5c
                    && text.at(at + 1) == u32::from('u')
                    && let Some(low) = hex(at + 2)
                    && (0xdc00..0xe000).contains(&low)
                {
                    point = 0x10000 + ((point - 0xd800) << 10 | (low - 0xdc00));
                    at += 6;
                }
                points.push(point);
            }
            c if c < 0x20 && strict => {
                return Err(decode_error(vm, "Invalid control character at", value, at));
            }
            c => {
                points.push(c);
                at += 1;
            }
        }
    }
}

fn scanstring(vm: &Vm, args: Args) -> PyResult {
    if args[0].get::<Str>().is_none() {
        return Err(vm.type_error(format!("first argument must be a string, not {}", vm.type_name(&args[0]))));
    }
    let end = vm.index(&args[1])?;
    let length = vm.len(&args[0])? as i64;
    if end < 0 || end > length {
        return Err(vm.value_error("end is out of bounds"));
    }
    let strict = args.opt(2).map_or(Ok(true), |s| vm.truth(s))?;
    let (text, at) = scan_string(vm, &args[0], end as usize, strict)?;
    Ok(vm.tuple(vec![text, Value::from_len(at)]))
}

/// `make_scanner(context)`
struct Scanner {
    strict: bool,
    object_hook: Value,
    pairs_hook: Value,
    parse_float: Value,
    parse_int: Value,
    parse_constant: Value,
}
impl Payload for Scanner {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        for value in
            [&self.object_hook, &self.pairs_hook, &self.parse_float, &self.parse_int, &self.parse_constant]
        {
            visit(value);
        }
    }
}

struct Reader<'a> {
    vm: &'a Vm,
    scanner: &'a Scanner,
    value: &'a Value,
    text: &'a Str,
    /// Keys seen in this call: equal ones share a string.
    keys: HashMap<Vec<u8>, Value>,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self, at: usize) -> Option<u32> {
        (at < self.text.len()).then(|| self.text.at(at))
    }

    fn is(&self, at: usize, c: char) -> bool {
        self.peek(at) == Some(u32::from(c))
    }

    fn white(&self, mut at: usize) -> usize {
        while matches!(self.peek(at), Some(0x20 | 0x09 | 0x0a | 0x0d)) {
            at += 1;
        }
        at
    }

    fn word(&self, at: usize, word: &str) -> bool {
        word.bytes().enumerate().all(|(i, b)| self.peek(at + i) == Some(u32::from(b)))
    }

    fn wrong(&self, message: &str, at: usize) -> Raised {
        decode_error(self.vm, message, self.value, at)
    }

    /// The value at a place and the place behind it; StopIteration with the place where there is none.
    fn value(&mut self, at: usize) -> PyResult<(Value, usize)> {
        let vm = self.vm;
        let stop = |at: usize| Err(vm.stop_iteration(Value::from_len(at)));
        let Some(c) = self.peek(at).and_then(char::from_u32) else { return stop(at) };
        match c {
            '"' => scan_string(vm, self.value, at + 1, self.scanner.strict),
            '{' | '[' => {
                vm.check_stack()?;
                vm.tick()?;
                if self.depth >= DEPTH_MAX {
                    let what = if c == '{' { "object" } else { "array" };
                    let text = format!(
                        "maximum recursion depth exceeded while decoding a JSON {what} from a unicode string"
                    );
                    return Err(vm.raise(&vm.exc.recursion_error, &text));
                }
                self.depth += 1;
                let result = if c == '{' { self.object(at + 1) } else { self.array(at + 1) };
                self.depth -= 1;
                result
            }
            'n' if self.word(at, "null") => Ok((Value::NONE, at + 4)),
            't' if self.word(at, "true") => Ok((Value::TRUE, at + 4)),
            'f' if self.word(at, "false") => Ok((Value::FALSE, at + 5)),
            'N' if self.word(at, "NaN") => self.constant("NaN", at),
            'I' if self.word(at, "Infinity") => self.constant("Infinity", at),
            '-' if self.word(at, "-Infinity") => self.constant("-Infinity", at),
            '-' | '0'..='9' => self.number(at),
            _ => stop(at),
        }
    }

    fn constant(&self, word: &str, at: usize) -> PyResult<(Value, usize)> {
        Ok((self.vm.call_pos(&self.scanner.parse_constant, &[self.vm.str(word)])?, at + word.len()))
    }

    fn number(&self, start: usize) -> PyResult<(Value, usize)> {
        let vm = self.vm;
        let digit = |at: usize| matches!(self.peek(at), Some(0x30..=0x39));
        let mut at = start;
        if self.is(at, '-') {
            at += 1;
        }
        if !digit(at) {
            return Err(vm.stop_iteration(Value::from_len(start)));
        }
        if self.is(at, '0') {
            at += 1;
        } else {
            while digit(at) {
                at += 1;
            }
        }
        let mut float = false;
        if self.is(at, '.') && digit(at + 1) {
            float = true;
            at += 1;
            while digit(at) {
                at += 1;
            }
        }
        if self.is(at, 'e') || self.is(at, 'E') {
            let mut behind = at + 1;
            if self.is(behind, '+') || self.is(behind, '-') {
                behind += 1;
            }
            if digit(behind) {
                float = true;
                at = behind;
                while digit(at) {
                    at += 1;
                }
            }
        }
        let text: String = (start..at).filter_map(|i| char::from_u32(self.text.at(i))).collect();
        let made = if float {
            match text.parse() {
                Ok(number) if self.scanner.parse_float.is(&vm.types.float) => vm.float(number),
                _ => vm.call_pos(&self.scanner.parse_float, &[vm.str(&text)])?,
            }
        } else {
            match text.parse() {
                Ok(number) if self.scanner.parse_int.is(&vm.types.int) => vm.int(number),
                _ => vm.call_pos(&self.scanner.parse_int, &[vm.str(&text)])?,
            }
        };
        Ok((made, at))
    }

    fn array(&mut self, from: usize) -> PyResult<(Value, usize)> {
        let mut items = Vec::new();
        let mut at = self.white(from);
        if self.is(at, ']') {
            return Ok((self.vm.list(items), at + 1));
        }
        loop {
            let (item, behind) = self.value(at)?;
            items.push(item);
            at = self.white(behind);
            if self.is(at, ']') {
                return Ok((self.vm.list(items), at + 1));
            }
            if !self.is(at, ',') {
                return Err(self.wrong("Expecting ',' delimiter", at));
            }
            let comma = at;
            at = self.white(at + 1);
            if self.is(at, ']') {
                return Err(self.wrong("Illegal trailing comma before end of array", comma));
            }
        }
    }

    fn key(&mut self, at: usize) -> PyResult<(Value, usize)> {
        let (key, behind) = scan_string(self.vm, self.value, at + 1, self.scanner.strict)?;
        let Some(bytes) = key.get::<Str>().and_then(Str::as_ascii).map(|t| t.as_bytes().to_vec()) else {
            return Ok((key, behind));
        };
        Ok((self.keys.entry(bytes).or_insert(key).clone(), behind))
    }

    fn object(&mut self, from: usize) -> PyResult<(Value, usize)> {
        let vm = self.vm;
        let with_pairs = !self.scanner.pairs_hook.is_none();
        let mut pairs = Vec::new();
        let dict = vm.dict();
        let mut at = self.white(from);
        if !self.is(at, '}') {
            loop {
                if !self.is(at, '"') {
                    return Err(self.wrong("Expecting property name enclosed in double quotes", at));
                }
                let (key, behind) = self.key(at)?;
                at = self.white(behind);
                if !self.is(at, ':') {
                    return Err(self.wrong("Expecting ':' delimiter", at));
                }
                at = self.white(at + 1);
                let (value, behind) = self.value(at)?;
                if with_pairs {
                    pairs.push(vm.tuple(vec![key, value]));
                } else {
                    vm.dict_set(&dict, key, value)?;
                }
                at = self.white(behind);
                if self.is(at, '}') {
                    break;
                }
                if !self.is(at, ',') {
                    return Err(self.wrong("Expecting ',' delimiter", at));
                }
                let comma = at;
                at = self.white(at + 1);
                if self.is(at, '}') {
                    return Err(self.wrong("Illegal trailing comma before end of object", comma));
                }
            }
        }
        at += 1;
        if with_pairs {
            return Ok((vm.call_pos(&self.scanner.pairs_hook, &[vm.list(pairs)])?, at));
        }
        if !self.scanner.object_hook.is_none() {
            return Ok((vm.call_pos(&self.scanner.object_hook, &[dict])?, at));
        }
        Ok((dict, at))
    }
}

fn scanner_call(vm: &Vm, args: Args) -> PyResult {
    let scanner = args[0].get::<Scanner>().expect("the descriptor checked the type");
    let Some(text) = args[1].get::<Str>() else {
        return Err(vm.type_error(format!("first argument must be a string, not {}", vm.type_name(&args[1]))));
    };
    let at = vm.index(&args[2])?;
    let Ok(at) = usize::try_from(at) else { return Err(vm.value_error("idx cannot be negative")) };
    let mut reader = Reader { vm, scanner, value: &args[1], text, keys: HashMap::new(), depth: 0 };
    let (value, end) = reader.value(at)?;
    Ok(vm.tuple(vec![value, Value::from_len(end)]))
}

/// `make_encoder(…)`
struct Encoder {
    markers: Value,
    default: Value,
    encoder: Value,
    indent: Value,
    key_separator: Value,
    item_separator: Value,
    sort_keys: bool,
    skip_keys: bool,
    allow_nan: bool,
    /// Which of our own functions `encoder` is: 1 ASCII, 2 plain, 0 neither.
    own: u8,
}
impl Payload for Encoder {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        for value in [&self.markers, &self.default, &self.encoder] {
            visit(value);
        }
    }
}

/// The text so far: whole strings, and ASCII that is still collected.
struct Writer<'a> {
    vm: &'a Vm,
    encoder: &'a Encoder,
    parts: Vec<Value>,
    text: String,
    indent: Option<Value>,
    depth: usize,
}

impl Writer<'_> {
    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.parts.push(self.vm.str(&text));
        }
    }

    fn push(&mut self, value: &Value) {
        match value.get::<Str>().and_then(Str::as_ascii) {
            Some(text) => self.text.push_str(text),
            None => {
                self.flush();
                self.parts.push(value.clone());
            }
        }
    }

    fn string(&mut self, value: &Value) -> PyResult<()> {
        match (self.encoder.own, value.get::<Str>()) {
            (1, Some(text)) => self.text.push_str(&quote_ascii(text)),
            (2, Some(text)) => {
                let quoted = self.vm.new_str(quote(text));
                self.push(&quoted);
            }
            _ => {
                let made = self.vm.call_pos(&self.encoder.encoder, std::slice::from_ref(value))?;
                if made.get::<Str>().is_none() {
                    return Err(self.vm.type_error(format!(
                        "encoder() must return a string, not {}",
                        self.vm.type_name(&made)
                    )));
                }
                self.push(&made);
            }
        }
        Ok(())
    }

    fn float(&self, value: &Value) -> PyResult<String> {
        let number = self.vm.to_f64(value)?;
        if number.is_finite() {
            return Ok(pyc_runtime::numbers::float_repr(number));
        }
        if !self.encoder.allow_nan {
            return Err(self.vm.value_error(format!(
                "Out of range float values are not JSON compliant: {}",
                self.vm.repr_text(value)?
            )));
        }
        Ok(match number {
            n if n.is_nan() => "NaN",
            n if n > 0.0 => "Infinity",
            _ => "-Infinity",
        }
        .into())
    }

    fn int(&self, value: &Value) -> PyResult<String> {
        let plain = vm_int_repr(self.vm, value)?;
        Ok(self.vm.text(&plain).to_string())
    }

    fn enter(&self, value: &Value) -> PyResult<Option<Value>> {
        if self.encoder.markers.is_none() {
            return Ok(None);
        }
        let id = self.vm.uint(value.bits());
        if self.vm.contains(&self.encoder.markers, &id)? {
            return Err(self.vm.value_error("Circular reference detected"));
        }
        self.vm.set_item(&self.encoder.markers, &id, value.clone())?;
        Ok(Some(id))
    }

    fn leave(&self, id: Option<Value>) -> PyResult<()> {
        id.map_or(Ok(()), |id| self.vm.delete_item(&self.encoder.markers, &id))
    }

    fn note<T>(&self, result: PyResult<T>, text: impl FnOnce() -> PyResult<String>) -> PyResult<T> {
        if let Err(error) = &result
            && !self.vm.terminating.get()
        {
            let text = text()?;
            self.vm.call_method_str(&error.0, "add_note", &[self.vm.str(&text)])?;
        }
        result
    }

    fn line(&mut self, level: usize) {
        if let Some(indent) = self.indent.clone() {
            self.text.push('\n');
            for _ in 0..level {
                self.push(&indent);
            }
        }
    }

    fn value(&mut self, value: &Value, level: usize) -> PyResult<()> {
        let vm = self.vm;
        if value.is_none() {
            self.text.push_str("null");
        } else if let Some(b) = value.as_bool() {
            self.text.push_str(if b { "true" } else { "false" });
        } else if value.kind() == Kind::Str {
            self.string(value)?;
        } else if vm.is_int(value) {
            let text = self.int(value)?;
            self.text.push_str(&text);
        } else if vm.is_a(value, &vm.types.float) {
            let text = self.float(value)?;
            self.text.push_str(&text);
        } else {
            vm.check_stack()?;
            vm.tick()?;
            if self.depth >= DEPTH_MAX {
                return Err(vm.raise(
                    &vm.exc.recursion_error,
                    "maximum recursion depth exceeded while encoding a JSON object",
                ));
            }
            self.depth += 1;
            let result = match value.kind() {
                Kind::List | Kind::Tuple => self.list(value, level),
                Kind::Dict => self.dict(value, level),
                _ => self.other(value, level),
            };
            self.depth -= 1;
            result?;
        }
        Ok(())
    }

    fn other(&mut self, value: &Value, level: usize) -> PyResult<()> {
        let id = self.enter(value)?;
        let made = self.vm.call_pos(&self.encoder.default, std::slice::from_ref(value))?;
        let result = self.value(&made, level);
        self.note(result, || Ok(format!("when serializing {} object", self.vm.type_name(value))))?;
        self.leave(id)
    }

    fn list(&mut self, value: &Value, level: usize) -> PyResult<()> {
        let items = match (value.get::<ListData>(), value.get::<TupleData>()) {
            (Some(list), _) => list.borrow().clone(),
            (_, Some(tuple)) => tuple.items().to_vec(),
            _ => self.vm.to_vec(value)?,
        };
        if items.is_empty() {
            self.text.push_str("[]");
            return Ok(());
        }
        let id = self.enter(value)?;
        self.text.push('[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.push(&self.encoder.item_separator.clone());
            }
            self.line(level + 1);
            let result = self.value(item, level + 1);
            self.note(result, || Ok(format!("when serializing {} item {at}", self.vm.type_name(value))))?;
        }
        self.line(level);
        self.text.push(']');
        self.leave(id)
    }

    fn dict(&mut self, value: &Value, level: usize) -> PyResult<()> {
        let vm = self.vm;
        let plain = value.get::<DictData>().filter(|_| value.is_exact());
        if plain.map_or_else(|| vm.len(value), |d| Ok(d.borrow().len()))? == 0 {
            self.text.push_str("{}");
            return Ok(());
        }
        let id = self.enter(value)?;
        let mut items = match plain {
            Some(dict) => dict.items(),
            None => {
                let mut pairs = Vec::new();
                for pair in vm.to_vec(&vm.call_method_str(value, "items", &[])?)? {
                    match pair.get::<TupleData>().map(TupleData::items) {
                        Some([key, value]) => pairs.push((key.clone(), value.clone())),
                        _ => return Err(vm.value_error("items must return 2-tuples")),
                    }
                }
                pairs
            }
        };
        if self.encoder.sort_keys {
            let list = vm.list(items.into_iter().map(|(k, v)| vm.tuple(vec![k, v])).collect());
            vm.call_method_str(&list, "sort", &[])?;
            items = vm
                .to_vec(&list)?
                .iter()
                .filter_map(|p| p.get::<TupleData>())
                .map(|p| (p.items()[0].clone(), p.items()[1].clone()))
                .collect();
        }
        self.text.push('{');
        let mut first = true;
        for (key, item) in &items {
            let text = if key.kind() == Kind::Str {
                None
            } else if key.is_none() {
                Some("null".to_string())
            } else if let Some(b) = key.as_bool() {
                Some(if b { "true" } else { "false" }.to_string())
            } else if vm.is_int(key) {
                Some(self.int(key)?)
            } else if vm.is_a(key, &vm.types.float) {
                Some(self.float(key)?)
            } else if self.encoder.skip_keys {
                continue;
            } else {
                return Err(vm.type_error(format!(
                    "keys must be str, int, float, bool or None, not {}",
                    vm.type_name(key)
                )));
            };
            if !std::mem::take(&mut first) {
                self.push(&self.encoder.item_separator.clone());
            }
            self.line(level + 1);
            match text {
                None => self.string(key)?,
                Some(text) => {
                    let text = vm.str(&text);
                    self.string(&text)?;
                }
            }
            self.push(&self.encoder.key_separator.clone());
            let result = self.value(item, level + 1);
            self.note(result, || {
                Ok(format!("when serializing {} item {}", vm.type_name(value), vm.repr_text(key)?))
            })?;
        }
        if !first {
            self.line(level);
        }
        self.text.push('}');
        self.leave(id)
    }
}

/// `int.__repr__`, whatever a subclass says.
fn vm_int_repr(vm: &Vm, value: &Value) -> PyResult {
    let repr = vm.get_attr(&vm.types.int, &vm.intern("__repr__"))?;
    match value.as_small() {
        Some(n) => Ok(vm.str(&n.to_string())),
        None => vm.call_pos(&repr, std::slice::from_ref(value)),
    }
}

fn encoder_call(vm: &Vm, args: Args) -> PyResult {
    let encoder = args[0].get::<Encoder>().expect("the descriptor checked the type");
    let level = usize::try_from(vm.index(&args[2])?).unwrap_or(0);
    let indent = Some(encoder.indent.clone()).filter(|i| !i.is_none());
    let mut writer = Writer { vm, encoder, parts: Vec::new(), text: String::new(), indent, depth: 0 };
    writer.value(&args[1], level)?;
    writer.flush();
    Ok(vm.tuple(writer.parts))
}

fn make_encoder(vm: &Vm, args: Args) -> PyResult {
    if !args[1].is_none() && args[1].kind() != Kind::Dict {
        return Err(vm.type_error(format!(
            "make_encoder() argument 1 must be dict or None, not {}",
            vm.type_name(&args[1])
        )));
    }
    for at in [5, 6] {
        if args[at].kind() != Kind::Str {
            return Err(vm.type_error(format!(
                "make_encoder() argument {at} must be str, not {}",
                vm.type_name(&args[at])
            )));
        }
    }
    if !args[4].is_none() && args[4].kind() != Kind::Str {
        return Err(vm.type_error(format!(
            "make_encoder() argument 4 must be str or None, not {}",
            vm.type_name(&args[4])
        )));
    }
    let module = vm.import("_json")?;
    let ours = |name: &str| vm.get_attr_str(&module, name).is_ok_and(|f| f.is(&args[3]));
    let own = if ours("encode_basestring_ascii") {
        1
    } else if ours("encode_basestring") {
        2
    } else {
        0
    };
    Ok(new_object(
        &args[0],
        Encoder {
            markers: args[1].clone(),
            default: args[2].clone(),
            encoder: args[3].clone(),
            indent: args[4].clone(),
            key_separator: args[5].clone(),
            item_separator: args[6].clone(),
            sort_keys: vm.truth(&args[7])?,
            skip_keys: vm.truth(&args[8])?,
            allow_nan: vm.truth(&args[9])?,
            own,
        },
    ))
}

fn make_scanner(vm: &Vm, args: Args) -> PyResult {
    let part = |name: &str| vm.get_attr_str(&args[1], name);
    Ok(new_object(
        &args[0],
        Scanner {
            strict: vm.truth(&part("strict")?)?,
            object_hook: part("object_hook")?,
            pairs_hook: part("object_pairs_hook")?,
            parse_float: part("parse_float")?,
            parse_int: part("parse_int")?,
            parse_constant: part("parse_constant")?,
        },
    ))
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "_json",
        &[
            ("encode_basestring_ascii", "string /", encode_ascii),
            ("encode_basestring", "string /", encode_plain),
            ("scanstring", "string end strict? /", scanstring),
        ],
    );
    let scanner = vm.new_type::<Scanner>("_json", "Scanner", None, flag::BASE);
    vm.add_methods(
        &scanner,
        &[("__new__", "context", make_scanner), ("__call__", "string idx", scanner_call)],
    );
    vm.type_changed(&scanner);
    vm.module_set(&module, "make_scanner", scanner);
    let encoder = vm.new_type::<Encoder>("_json", "Encoder", None, flag::BASE);
    vm.add_methods(
        &encoder,
        &[
            (
                "__new__",
                "markers default encoder indent key_separator item_separator sort_keys skipkeys allow_nan",
                make_encoder,
            ),
            ("__call__", "obj _current_indent_level", encoder_call),
        ],
    );
    vm.type_changed(&encoder);
    vm.module_set(&module, "make_encoder", encoder);
    Ok(module)
}
