//! The methods of bytes, bytearray and memoryview.

use std::cell::RefCell;

use pyc_ir::CompareOp;

use super::{ByteArrayData, BytesData};
use crate::args::Method;
use crate::containers::SliceData;
use crate::object::{Kind, Value, new_object};
use crate::ops::compare_with;
use crate::str::Str;
use crate::vm::{Args, PyResult, Vm};

fn own(vm: &Vm, value: &Value) -> Vec<u8> {
    vm.bytes_of(value).unwrap_or_default()
}

/// A result of the same kind as `like`.
fn make(vm: &Vm, like: &Value, bytes: Vec<u8>) -> Value {
    if like.kind() == Kind::ByteArray {
        new_object(&vm.types.bytearray, ByteArrayData(RefCell::new(bytes)))
    } else {
        new_object(&vm.types.bytes, BytesData(bytes.into()))
    }
}

fn contents(vm: &Vm, args: Args) -> PyResult<Vec<u8>> {
    let text = |i: usize, default: &str| -> PyResult<String> {
        args.opt(i).map_or(Ok(default.into()), |v| vm.str_text(v))
    };
    let Some(source) = args.opt(1) else { return Ok(Vec::new()) };
    if source.kind() == Kind::Str {
        if args.opt(2).is_none() {
            return Err(vm.type_error("string argument without an encoding"));
        }
        return vm.encode(source, &text(2, "utf-8")?, &text(3, "strict")?);
    }
    if args.opt(2).is_some() {
        return Err(vm.type_error("encoding without a string argument"));
    }
    let sized = !vm.is_bytes_like(source)
        && (vm.is_int(source)
            || vm.special(source, &vm.names.__bytes__).is_none()
                && vm.special(source, &vm.names.__index__).is_some());
    if sized {
        let n = vm.index(source)?;
        if n < 0 {
            return Err(vm.value_error("negative count"));
        }
        vm.check_alloc(n as usize, 1)?;
        return Ok(vec![0; n as usize]);
    }
    vm.to_bytes(source)
}

/// `b'...'`
pub fn quote(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut out = format!("b{quote}");
    for b in bytes {
        match b {
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\\' => out.push_str("\\\\"),
            b if char::from(*b) == quote => {
                out.push('\\');
                out.push(quote);
            }
            32..127 => out.push(char::from(*b)),
            b => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    out.push(quote);
    out
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    if !vm.is_bytes_like(b) {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    Ok(Value::from_bool(compare_with(op, own(vm, a).cmp(&own(vm, b)))))
}

fn get_item(vm: &Vm, args: Args) -> PyResult {
    if let Some(at) = args[1].as_small().and_then(|at| usize::try_from(at).ok()) {
        let byte = match args[0].get::<BytesData>() {
            Some(bytes) => bytes.0.get(at).copied(),
            None => args[0].get::<ByteArrayData>().and_then(|b| b.0.borrow().get(at).copied()),
        };
        if let Some(byte) = byte {
            return Ok(Value::from_i32(i32::from(byte)));
        }
    }
    let bytes = own(vm, &args[0]);
    if let Some(slice) = args[1].get::<SliceData>() {
        let span = vm.span(slice, bytes.len())?;
        return Ok(make(vm, &args[0], span.indices().map(|i| bytes[i]).collect()));
    }
    let name = vm.type_name(&args[0]);
    let what = if &*name == "bytes" { "byte" } else { "bytearray" };
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Err(vm.type_error(format!(
            "{what} indices must be integers or slices, not {}",
            vm.type_name(&args[1])
        )));
    }
    let i = vm.item_index(&args[1])?;
    let at = if i < 0 { i + bytes.len() as i64 } else { i };
    match bytes.get(at as usize) {
        Some(b) if at >= 0 => Ok(Value::from_i32(i32::from(*b))),
        _ => Err(vm.index_error(if &*name == "bytes" {
            "index out of range"
        } else {
            "bytearray index out of range"
        })),
    }
}

/// A needle: bytes-like, or an integer for one byte.
fn needle(vm: &Vm, value: &Value) -> PyResult<Vec<u8>> {
    if vm.is_int(value) {
        return match u8::try_from(vm.index_clamped(value)?) {
            Ok(b) => Ok(vec![b]),
            Err(_) => Err(vm.value_error("byte must be in range(0, 256)")),
        };
    }
    if !vm.is_bytes_like(value) {
        return Err(vm.type_error(format!(
            "argument should be integer or bytes-like object, not '{}'",
            vm.type_name(value)
        )));
    }
    vm.bytes_of(value)
}

fn bounds(vm: &Vm, args: Args, n: usize) -> PyResult<(usize, usize)> {
    let part = |i: usize, default: usize| -> PyResult<usize> {
        match args.opt(i).filter(|v| !v.is_none()) {
            None => Ok(default),
            Some(v) => {
                let at = vm.index_clamped(v)?;
                Ok(if at < 0 { at.saturating_add(n as i64).max(0) as usize } else { at as usize })
            }
        }
    };
    Ok((part(2, 0)?, part(3, n)?.min(n)))
}

fn search(vm: &Vm, args: Args, backwards: bool) -> PyResult<Option<usize>> {
    let (hay, needle) = (own(vm, &args[0]), needle(vm, &args[1])?);
    let (from, to) = bounds(vm, args, hay.len())?;
    if from > to || to - from < needle.len() {
        return Ok(None);
    }
    let part = &hay[from..to];
    let found =
        if backwards { memchr::memmem::rfind(part, &needle) } else { memchr::memmem::find(part, &needle) };
    Ok(found.map(|at| at + from))
}

fn position(vm: &Vm, found: Option<usize>, raise: bool) -> PyResult {
    match found {
        Some(at) => Ok(Value::from_len(at)),
        None if raise => Err(vm.value_error("subsection not found")),
        None => Ok(Value::from_i32(-1)),
    }
}

fn affix(vm: &Vm, args: Args, end: bool) -> PyResult {
    let bytes = own(vm, &args[0]);
    let (from, to) = bounds(vm, args, bytes.len())?;
    let parts = if args[1].kind() == Kind::Tuple { vm.to_vec(&args[1])? } else { vec![args[1].clone()] };
    for part in parts {
        if !vm.is_bytes_like(&part) {
            let name = if end { "endswith" } else { "startswith" };
            return Err(vm.type_error(format!(
                "{name} first arg must be bytes or a tuple of bytes, not {}",
                vm.type_name(&part)
            )));
        }
        let part = vm.bytes_of(&part)?;
        if from <= to
            && from <= bytes.len()
            && (if end { bytes[from..to].ends_with(&part) } else { bytes[from..to].starts_with(&part) })
        {
            return Ok(Value::TRUE);
        }
    }
    Ok(Value::FALSE)
}

/// Methods that strings have too and that treat ASCII alike go through Latin-1 text.
fn through_text(vm: &Vm, args: Args, name: &str) -> PyResult {
    let to_text = |value: &Value| -> PyResult {
        if vm.is_bytes_like(value) {
            Ok(vm.new_str(Str::from_latin(vm.bytes_of(value)?)))
        } else {
            Ok(value.clone())
        }
    };
    for value in &args.all[1..] {
        if value.kind() == Kind::Str {
            return Err(vm.type_error("a bytes-like object is required, not 'str'"));
        }
    }
    let mut converted = Vec::new();
    for value in &args.all[1..] {
        if !value.is_unbound() {
            converted.push(to_text(value)?);
        }
    }
    let result = vm.call_method_str(&to_text(&args.all[0])?, name, &converted)?;
    from_text(vm, &args.all[0], result)
}

fn from_text(vm: &Vm, like: &Value, value: Value) -> PyResult {
    if let Some(s) = value.get::<Str>() {
        let bytes = s.as_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        return Ok(make(vm, like, bytes));
    }
    match value.kind() {
        Kind::List => {
            let items =
                vm.to_vec(&value)?.into_iter().map(|v| from_text(vm, like, v)).collect::<PyResult<_>>()?;
            Ok(vm.list(items))
        }
        Kind::Tuple => {
            let items =
                vm.to_vec(&value)?.into_iter().map(|v| from_text(vm, like, v)).collect::<PyResult<_>>()?;
            Ok(vm.tuple(items))
        }
        _ => Ok(value),
    }
}

fn join(vm: &Vm, args: Args) -> PyResult {
    let separator = own(vm, &args[0]);
    let mut out = Vec::new();
    for (at, item) in vm.to_vec(&args[1])?.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(&separator);
        }
        if !vm.is_bytes_like(item) {
            return Err(vm.type_error(format!(
                "sequence item {at}: expected a bytes-like object, {} found",
                vm.type_name(item)
            )));
        }
        out.extend(vm.bytes_of(item)?);
    }
    Ok(make(vm, &args[0], out))
}

fn hex(vm: &Vm, args: Args) -> PyResult {
    let bytes = own(vm, &args[0]);
    let mut out = String::new();
    let separator = args.opt(1).map_or(Ok(String::new()), |s| {
        if vm.is_bytes_like(s) {
            Ok(own(vm, s).iter().map(|b| char::from(*b)).collect())
        } else {
            vm.str_text(s)
        }
    })?;
    let every = args.opt(2).map_or(Ok(1), |v| vm.index(v))?;
    let n = bytes.len() as i64;
    for (at, b) in bytes.iter().enumerate() {
        let at = at as i64;
        let due = every > 0 && (n - at) % every == 0 || every < 0 && at % every == 0;
        if at > 0 && due {
            out.push_str(&separator);
        }
        out.push_str(&format!("{b:02x}"));
    }
    Ok(vm.str(&out))
}

fn from_hex(vm: &Vm, args: Args) -> PyResult {
    let text = vm.expect_str(&args[1], "fromhex() argument")?.to_lossy();
    let mut bytes = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut i = 0;
    while i < chars.len() {
        if chars[i].is_ascii_whitespace() {
            i += 1;
            continue;
        }
        let digit = |at: usize| chars.get(at).and_then(|c| c.to_digit(16));
        match (digit(i), digit(i + 1)) {
            (Some(a), Some(b)) => bytes.push((a * 16 + b) as u8),
            (first, _) => {
                let at = if first.is_some() { i + 1 } else { i };
                return Err(
                    vm.value_error(format!("non-hexadecimal number found in fromhex() arg at position {at}"))
                );
            }
        }
        i += 2;
    }
    let made = vm.bytes(&bytes);
    if args[0].is(&vm.types.bytes) { Ok(made) } else { vm.call_pos(&args[0], &[made]) }
}

fn translate(vm: &Vm, args: Args) -> PyResult {
    let gone = args.opt(2).map_or(Ok(Vec::new()), |d| vm.bytes_of(d))?;
    let table = if args[1].is_none() { None } else { Some(vm.bytes_of(&args[1])?) };
    if table.as_ref().is_some_and(|t| t.len() != 256) {
        return Err(vm.value_error("translation table must be 256 characters long"));
    }
    let out = own(vm, &args[0])
        .into_iter()
        .filter(|b| !gone.contains(b))
        .map(|b| table.as_ref().map_or(b, |t| t[usize::from(b)]))
        .collect();
    Ok(make(vm, &args[0], out))
}

macro_rules! text_methods {
    ($($name:literal $params:literal),*) => { &[$(($name, $params, |vm, args| through_text(vm, args, $name)),)*] };
}
const THROUGH_TEXT: &[Method] = text_methods!(
    "split" "sep? maxsplit?", "rsplit" "sep? maxsplit?", "splitlines" "keepends?", "partition" "sep /", "rpartition" "sep /",
    "replace" "old new count? /", "strip" "bytes? /", "lstrip" "bytes? /", "rstrip" "bytes? /", "ljust" "width fillchar? /",
    "rjust" "width fillchar? /", "center" "width fillchar? /", "zfill" "width /", "expandtabs" "tabsize?",
    "removeprefix" "prefix /", "removesuffix" "suffix /", "title" "", "isspace" "", "istitle" ""
);

fn ascii(vm: &Vm, args: Args, f: fn(u8) -> u8) -> PyResult {
    Ok(make(vm, &args[0], own(vm, &args[0]).into_iter().map(f).collect()))
}

fn all(vm: &Vm, args: Args, f: fn(&u8) -> bool) -> PyResult {
    let bytes = own(vm, &args[0]);
    Ok(Value::from_bool(!bytes.is_empty() && bytes.iter().all(f)))
}

fn repeat(vm: &Vm, args: Args) -> PyResult {
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let n = vm.index(&args[1])?.max(0) as usize;
    let bytes = own(vm, &args[0]);
    vm.check_alloc(bytes.len().saturating_mul(n), 1)?;
    Ok(make(vm, &args[0], bytes.repeat(n)))
}

const SHARED: &[Method] =
    &[
        ("__len__", "", |vm, args| Ok(Value::from_len(own(vm, &args[0]).len()))),
        ("__getitem__", "key /", get_item),
        ("__contains__", "key /", |vm, args| {
            if !vm.is_int(&args[1]) && !vm.is_bytes_like(&args[1]) {
                let name = vm.type_name(&args[1]);
                return Err(vm.type_error(format!("a bytes-like object is required, not '{name}'")));
            }
            Ok(Value::from_bool(memchr::memmem::find(&own(vm, &args[0]), &needle(vm, &args[1])?).is_some()))
        }),
        ("__add__", "value /", |vm, args| {
            if !vm.is_bytes_like(&args[1]) {
                return Ok(Value::NOT_IMPLEMENTED);
            }
            Ok(make(vm, &args[0], [own(vm, &args[0]), own(vm, &args[1])].concat()))
        }),
        ("__mul__", "value /", repeat),
        ("__rmul__", "value /", repeat),
        ("__mod__", "value /", |vm, args| {
            let template: Vec<u32> = own(vm, &args[0]).iter().map(|b| u32::from(*b)).collect();
            let points = crate::str::percent::run(vm, &template, &args[1], true)?;
            Ok(make(vm, &args[0], points.into_iter().map(|p| p as u8).collect()))
        }),
        ("decode", "encoding? errors?", |vm, args| {
            let text = |i: usize, default: &str| -> PyResult<String> {
                args.opt(i).map_or(Ok(default.into()), |v| vm.str_text(v))
            };
            vm.decode(&own(vm, &args[0]), &text(1, "utf-8")?, &text(2, "strict")?)
        }),
        ("find", "sub start? end? /", |vm, args| position(vm, search(vm, args, false)?, false)),
        ("rfind", "sub start? end? /", |vm, args| position(vm, search(vm, args, true)?, false)),
        ("index", "sub start? end? /", |vm, args| position(vm, search(vm, args, false)?, true)),
        ("rindex", "sub start? end? /", |vm, args| position(vm, search(vm, args, true)?, true)),
        ("count", "sub start? end? /", |vm, args| {
            let (hay, needle) = (own(vm, &args[0]), needle(vm, &args[1])?);
            let (from, to) = bounds(vm, args, hay.len())?;
            if from > to {
                return Ok(Value::from_i32(0));
            }
            let part = &hay[from.min(hay.len())..to];
            Ok(Value::from_len(if needle.is_empty() {
                part.len() + 1
            } else {
                memchr::memmem::find_iter(part, &needle).count()
            }))
        }),
        ("startswith", "prefix start? end? /", |vm, args| affix(vm, args, false)),
        ("endswith", "suffix start? end? /", |vm, args| affix(vm, args, true)),
        ("join", "iterable /", join),
        ("hex", "sep? bytes_per_sep?", hex),
        ("translate", "table / delete?", translate),
        ("lower", "", |vm, args| ascii(vm, args, |b| b.to_ascii_lowercase())),
        ("upper", "", |vm, args| ascii(vm, args, |b| b.to_ascii_uppercase())),
        ("swapcase", "", |vm, args| {
            ascii(vm, args, |b| {
                if b.is_ascii_lowercase() { b.to_ascii_uppercase() } else { b.to_ascii_lowercase() }
            })
        }),
        ("capitalize", "", |vm, args| {
            let mut bytes = own(vm, &args[0]).to_ascii_lowercase();
            if let Some(first) = bytes.first_mut() {
                *first = first.to_ascii_uppercase();
            }
            Ok(make(vm, &args[0], bytes))
        }),
        ("isalpha", "", |vm, args| all(vm, args, u8::is_ascii_alphabetic)),
        ("isdigit", "", |vm, args| all(vm, args, u8::is_ascii_digit)),
        ("isalnum", "", |vm, args| all(vm, args, u8::is_ascii_alphanumeric)),
        ("isascii", "", |vm, args| Ok(Value::from_bool(own(vm, &args[0]).is_ascii()))),
        ("islower", "", |vm, args| {
            Ok(Value::from_bool(
                own(vm, &args[0]).iter().any(u8::is_ascii_lowercase)
                    && !own(vm, &args[0]).iter().any(u8::is_ascii_uppercase),
            ))
        }),
        ("isupper", "", |vm, args| {
            Ok(Value::from_bool(
                own(vm, &args[0]).iter().any(u8::is_ascii_uppercase)
                    && !own(vm, &args[0]).iter().any(u8::is_ascii_lowercase),
            ))
        }),
    ];

fn array(value: &Value) -> &RefCell<Vec<u8>> {
    &value.get::<ByteArrayData>().expect("the descriptor checked the type").0
}

fn byte(vm: &Vm, value: &Value) -> PyResult<u8> {
    u8::try_from(vm.index_clamped(value)?).map_err(|_| vm.value_error("byte must be in range(0, 256)"))
}

fn array_set(vm: &Vm, args: Args) -> PyResult {
    let a = array(&args[0]);
    let length = a.borrow().len();
    if let Some(slice) = args[1].get::<SliceData>() {
        let span = vm.span(slice, length)?;
        let new = match args.opt(2) {
            None => Vec::new(),
            Some(v) => vm.to_bytes(v)?,
        };
        if span.step == 1 {
            a.borrow_mut().splice(span.start as usize..span.start as usize + span.count, new);
        } else if args.opt(2).is_none() {
            let mut at: Vec<usize> = span.indices().collect();
            at.sort_unstable();
            for i in at.into_iter().rev() {
                a.borrow_mut().remove(i);
            }
        } else if new.len() == span.count {
            span.indices().zip(new).for_each(|(i, b)| a.borrow_mut()[i] = b);
        } else {
            return Err(vm.value_error(format!(
                "attempt to assign bytes of size {} to extended slice of size {}",
                new.len(),
                span.count
            )));
        }
        return Ok(Value::NONE);
    }
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Err(vm.type_error(format!(
            "bytearray indices must be integers or slices, not {}",
            vm.type_name(&args[1])
        )));
    }
    let i = vm.item_index(&args[1])?;
    // Both conversions may run code that changes the array, so its length is asked afterwards.
    let new = args.opt(2).map(|v| byte(vm, v)).transpose()?;
    let mut a = a.borrow_mut();
    let at = if i < 0 { i + a.len() as i64 } else { i };
    let Some(place) = usize::try_from(at).ok().filter(|at| *at < a.len()) else {
        return Err(vm.index_error("bytearray index out of range"));
    };
    match new {
        Some(b) => a[place] = b,
        None => drop(a.remove(place)),
    }
    Ok(Value::NONE)
}

const ARRAY: &[Method] = &[
    ("__new__", "...", |_, args| Ok(new_object(&args.all[0], ByteArrayData::default()))),
    ("__init__", "source? encoding? errors?", |vm, args| {
        let bytes = contents(vm, args)?;
        *array(&args[0]).borrow_mut() = bytes;
        Ok(Value::NONE)
    }),
    ("__repr__", "", |vm, args| {
        Ok(vm.str(&format!("{}({})", vm.type_name(&args[0]), quote(&own(vm, &args[0])))))
    }),
    ("__iter__", "", |vm, args| Ok(crate::iterators::index_iter(&vm.types.bytearray_iterator, &args[0]))),
    ("__setitem__", "key value /", array_set),
    ("__delitem__", "key /", array_set),
    ("__iadd__", "value /", |vm, args| {
        let more = vm.bytes_of(&args[1])?;
        array(&args[0]).borrow_mut().extend(more);
        Ok(args[0].clone())
    }),
    ("__imul__", "value /", |vm, args| {
        let made = repeat(vm, args)?;
        *array(&args[0]).borrow_mut() = own(vm, &made);
        Ok(args[0].clone())
    }),
    ("append", "item /", |vm, args| {
        let b = byte(vm, &args[1])?;
        array(&args[0]).borrow_mut().push(b);
        Ok(Value::NONE)
    }),
    ("extend", "iterable /", |vm, args| {
        let more = vm.to_bytes(&args[1])?;
        array(&args[0]).borrow_mut().extend(more);
        Ok(Value::NONE)
    }),
    ("insert", "index item /", |vm, args| {
        let (i, b) = (vm.index_clamped(&args[1])?, byte(vm, &args[2])?);
        let mut a = array(&args[0]).borrow_mut();
        let n = a.len() as i64;
        a.insert(if i < 0 { (i.saturating_add(n)).max(0) } else { i.min(n) } as usize, b);
        Ok(Value::NONE)
    }),
    ("pop", "index? /", |vm, args| {
        let i = args.opt(1).map_or(Ok(-1), |v| vm.item_index(v))?;
        let mut a = array(&args[0]).borrow_mut();
        let n = a.len() as i64;
        if n == 0 {
            return Err(vm.index_error("pop from empty bytearray"));
        }
        let at = if i < 0 { i + n } else { i };
        if at < 0 || at >= n {
            return Err(vm.index_error("pop index out of range"));
        }
        Ok(Value::from_i32(i32::from(a.remove(at as usize))))
    }),
    ("remove", "value /", |vm, args| {
        let b = byte(vm, &args[1])?;
        let mut a = array(&args[0]).borrow_mut();
        match a.iter().position(|x| *x == b) {
            Some(at) => {
                a.remove(at);
                Ok(Value::NONE)
            }
            None => Err(vm.value_error("value not found in bytearray")),
        }
    }),
    ("clear", "", |_, args| {
        array(&args[0]).borrow_mut().clear();
        Ok(Value::NONE)
    }),
    ("reverse", "", |_, args| {
        array(&args[0]).borrow_mut().reverse();
        Ok(Value::NONE)
    }),
    ("copy", "", |vm, args| Ok(make(vm, &args[0], own(vm, &args[0])))),
];

fn hash_of(bytes: &[u8]) -> i64 {
    (crate::str::hash_bytes(bytes) & (u64::MAX >> 1)) as i64
}

fn maketrans(vm: &Vm, args: Args) -> PyResult {
    let (from, to) = (vm.bytes_of(&args[0])?, vm.bytes_of(&args[1])?);
    if from.len() != to.len() {
        return Err(vm.value_error("maketrans arguments must have same length"));
    }
    let mut table: Vec<u8> = (0..=255).collect();
    from.iter().zip(to).for_each(|(a, b)| table[usize::from(*a)] = b);
    Ok(vm.bytes(&table))
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    for ty in [&t.bytes, &t.bytearray] {
        vm.add_methods(ty, SHARED);
        vm.add_methods(ty, THROUGH_TEXT);
        vm.add_methods(ty, &crate::comparisons!(compare));
        vm.add_class_methods(ty, &[("fromhex", "string /", from_hex)]);
        vm.add_static_methods(ty, &[("maketrans", "frm to /", maketrans)]);
    }
    vm.add_methods(
        &t.bytes,
        &[
            ("__new__", "source? encoding? errors?", |vm, args| {
                if let Some(source) = args.opt(1)
                    && args[0].is(&vm.types.bytes)
                    && vm.type_of(source).is(&vm.types.bytes)
                {
                    return Ok(source.clone());
                }
                Ok(new_object(&args[0], BytesData(contents(vm, args)?.into())))
            }),
            ("__repr__", "", |vm, args| Ok(vm.str(&quote(&own(vm, &args[0]))))),
            ("__hash__", "", |vm, args| Ok(vm.int(hash_of(&own(vm, &args[0]))))),
            ("__iter__", "", |vm, args| Ok(crate::iterators::index_iter(&vm.types.bytes_iterator, &args[0]))),
            ("__bytes__", "", |vm, args| Ok(vm.bytes(&own(vm, &args[0])))),
            ("__getnewargs__", "", |vm, args| Ok(vm.tuple(vec![vm.bytes(&own(vm, &args[0]))]))),
        ],
    );
    vm.add_methods(&t.bytearray, ARRAY);
}
