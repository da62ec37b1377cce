//! The methods of str: case, classes of characters, padding, translation, encoding.

use super::Str;
use super::methods::{arg, own};
use crate::args::Method;
use crate::containers::DictData;
use crate::object::{Kind, Value};
use crate::unicode as u;
use crate::vm::{Args, PyResult, Vm};

fn map_chars(vm: &Vm, s: &Str, mut f: impl FnMut(usize, char, &mut Vec<u32>)) -> Value {
    let mut out = Vec::with_capacity(s.len());
    for (at, point) in s.points().enumerate() {
        match char::from_u32(point) {
            Some(c) => f(at, c, &mut out),
            None => out.push(point),
        }
    }
    vm.new_str(Str::from_points(out))
}

/// The string itself, or its value when it is of a subclass.
pub(super) fn plain(vm: &Vm, value: &Value) -> Value {
    if value.is_exact() {
        return value.clone();
    }
    let s = own(value);
    vm.new_str(s.slice(0, s.len()))
}

/// Lower case of the character at a place: a capital sigma at a word's end has a form of its own.
fn lower_at(s: &Str, at: usize, c: char, out: &mut Vec<u32>) {
    const SIGMA: char = '\u{3a3}';
    if c != SIGMA {
        out.extend(c.to_lowercase().map(u32::from));
        return;
    }
    // Rust's string function knows the rule; what stands before and behind decides.
    let text = |from: usize, to: usize| -> String {
        (from..to).map(|i| char::from_u32(s.at(i)).unwrap_or('\u{fffd}')).collect()
    };
    let before = text(0, at);
    let whole = format!("{before}{SIGMA}{}", text(at + 1, s.len())).to_lowercase();
    let last = whole.get(before.to_lowercase().len()..).is_some_and(|rest| rest.starts_with('\u{3c2}'));
    out.push(if last { 0x3c2 } else { 0x3c3 });
}

fn lower(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    if let Some(ascii) = s.as_ascii() {
        return Ok(vm.new_str(Str::from_ascii(ascii.to_ascii_lowercase().into_bytes())));
    }
    // The final sigma depends on its neighbours, which Rust's string function knows.
    if let Some(text) = s.to_text() {
        return Ok(vm.str(&text.to_lowercase()));
    }
    Ok(map_chars(vm, s, |_, c, out| out.extend(c.to_lowercase().map(u32::from))))
}

fn upper(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    if let Some(ascii) = s.as_ascii() {
        return Ok(vm.new_str(Str::from_ascii(ascii.to_ascii_uppercase().into_bytes())));
    }
    Ok(map_chars(vm, s, |_, c, out| out.extend(c.to_uppercase().map(u32::from))))
}

/// Title case of one character: like upper case, but of several letters only the first stays upper.
fn title_char(c: char, out: &mut Vec<u32>) {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => out.push(0x1c5),
        'Ǉ' | 'ǈ' | 'ǉ' => out.push(0x1c8),
        'Ǌ' | 'ǋ' | 'ǌ' => out.push(0x1cb),
        'Ǳ' | 'ǲ' | 'ǳ' => out.push(0x1f2),
        // Georgian has no title case of its own.
        '\u{10d0}'..='\u{10ff}' => out.push(u32::from(c)),
        // Greek letters with an iota below keep it below.
        '\u{1f80}'..='\u{1faf}' => out.push(u32::from(c) | 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => out.push(u32::from(c) + 9),
        '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}' => out.push(u32::from(c)),
        c => {
            for (at, part) in c.to_uppercase().enumerate() {
                if at == 0 {
                    out.push(u32::from(part));
                } else if ('\u{1f00}'..='\u{1fff}').contains(&c) && part == '\u{399}' {
                    out.push(0x345);
                } else {
                    out.extend(part.to_lowercase().map(u32::from));
                }
            }
        }
    }
}

fn title(vm: &Vm, args: Args) -> PyResult {
    let mut inside = false;
    let s = own(&args[0]);
    Ok(map_chars(vm, s, |at, c, out| {
        let cased = c.is_lowercase() || c.is_uppercase() || u::is_title(c as u32);
        if inside {
            lower_at(s, at, c, out);
        } else {
            title_char(c, out);
        }
        inside = cased;
    }))
}

fn capitalize(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    Ok(map_chars(vm, s, |at, c, out| {
        if at == 0 {
            title_char(c, out);
        } else {
            lower_at(s, at, c, out);
        }
    }))
}

fn swapcase(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    Ok(map_chars(vm, s, |at, c, out| {
        if c.is_uppercase() {
            lower_at(s, at, c, out);
        } else if c.is_lowercase() {
            out.extend(c.to_uppercase().map(u32::from));
        } else {
            out.push(u32::from(c));
        }
    }))
}

fn casefold(vm: &Vm, args: Args) -> PyResult {
    Ok(map_chars(vm, own(&args[0]), |_, c, out| match c {
        'ß' | 'ẞ' => out.extend([115, 115]),
        'ς' => out.push(0x3c3),
        'ſ' => out.push(115),
        'ı' => out.push(0x131),
        c => out.extend(c.to_uppercase().flat_map(char::to_lowercase).map(u32::from)),
    }))
}

fn all(args: Args, test: fn(u32) -> bool) -> PyResult {
    let s = own(&args[0]);
    Ok(Value::from_bool(!s.is_empty() && s.points().all(test)))
}

fn cased(args: Args, good: fn(u32) -> bool, bad: fn(u32) -> bool) -> PyResult {
    let s = own(&args[0]);
    Ok(Value::from_bool(s.points().any(good) && !s.points().any(bad)))
}

fn is_title(_: &Vm, args: Args) -> PyResult {
    let (mut previous, mut any) = (false, false);
    for point in own(&args[0]).points() {
        if u::is_upper(point) || u::is_title(point) {
            if previous {
                return Ok(Value::FALSE);
            }
            (previous, any) = (true, true);
        } else if u::is_lower(point) {
            if !previous {
                return Ok(Value::FALSE);
            }
            any = true;
        } else {
            previous = false;
        }
    }
    Ok(Value::from_bool(any))
}

fn is_identifier(_: &Vm, args: Args) -> PyResult {
    let mut points = own(&args[0]).points();
    let start = points.next().is_some_and(u::is_identifier_start);
    Ok(Value::from_bool(start && points.all(u::is_identifier_part)))
}

fn pad(vm: &Vm, args: Args, left: impl Fn(usize, usize) -> usize) -> PyResult {
    let s = own(&args[0]);
    let width = vm.index(&args[1])?.max(0) as usize;
    let fill = match args.opt(2) {
        None => 32,
        Some(f) => match f.get::<Str>() {
            Some(f) if f.len() == 1 => f.at(0),
            Some(_) => return Err(vm.type_error("The fill character must be exactly one character long")),
            None => {
                return Err(vm.type_error(format!(
                    "The fill character must be a unicode character, not {}",
                    vm.type_name(f)
                )));
            }
        },
    };
    if width <= s.len() {
        return Ok(plain(vm, &args[0]));
    }
    vm.check_alloc(width, 4)?;
    let total = width - s.len();
    let before = left(total, width);
    let mut out = vec![fill; before];
    out.extend(s.points());
    out.resize(width, fill);
    Ok(vm.new_str(Str::from_points(out)))
}

fn zfill(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    let width = vm.index(&args[1])?.max(0) as usize;
    if width <= s.len() {
        return Ok(plain(vm, &args[0]));
    }
    vm.check_alloc(width, 4)?;
    let sign = !s.is_empty() && matches!(s.at(0), 43 | 45);
    let mut out = Vec::with_capacity(width);
    out.extend(sign.then(|| s.at(0)));
    out.resize(out.len() + width - s.len(), 48);
    out.extend(s.points().skip(usize::from(sign)));
    Ok(vm.new_str(Str::from_points(out)))
}

fn expandtabs(vm: &Vm, args: Args) -> PyResult {
    let size = args.opt(1).map_or(Ok(8), |v| vm.index(v))?.max(0) as usize;
    let mut out = Vec::new();
    let mut column = 0;
    for point in own(&args[0]).points() {
        match point {
            9 => {
                if size > 0 {
                    let n = size - column % size;
                    vm.check_alloc(n, 4)?;
                    out.resize(out.len() + n, 32);
                    column += n;
                }
            }
            10 | 13 => {
                out.push(point);
                column = 0;
            }
            p => {
                out.push(p);
                column += 1;
            }
        }
    }
    Ok(vm.new_str(Str::from_points(out)))
}

fn maketrans(vm: &Vm, args: Args) -> PyResult {
    let table = vm.dict();
    match args.opt(1) {
        None => {
            let Some(source) = args[0].get::<DictData>() else {
                return Err(vm.type_error("if you give only one argument to maketrans it must be a dict"));
            };
            for (key, value) in source.items() {
                let key = match key.get::<Str>() {
                    Some(s) if s.len() == 1 => Value::from_len(s.at(0) as usize),
                    Some(_) => {
                        return Err(vm.value_error("string keys in translate table must be of length 1"));
                    }
                    None if vm.is_int(&key) => key,
                    None => {
                        return Err(vm.type_error("keys in translate table must be strings or integers"));
                    }
                };
                vm.dict_set(&table, key, value)?;
            }
        }
        Some(to) => {
            let (from, to) =
                (arg(vm, &args[0], "maketrans() argument 1")?, arg(vm, to, "maketrans() argument 2")?);
            if from.len() != to.len() {
                return Err(vm.value_error("the first two maketrans arguments must have equal length"));
            }
            for (a, b) in from.points().zip(to.points()) {
                vm.dict_set(&table, Value::from_len(a as usize), Value::from_len(b as usize))?;
            }
            if let Some(gone) = args.opt(2) {
                for point in arg(vm, gone, "maketrans() argument 3")?.points() {
                    vm.dict_set(&table, Value::from_len(point as usize), Value::NONE)?;
                }
            }
        }
    }
    Ok(table)
}

fn translate(vm: &Vm, args: Args) -> PyResult {
    let mut out = Vec::new();
    for point in own(&args[0]).points() {
        let result = vm.get_item(&args[1], &Value::from_len(point as usize));
        match vm.catch(result, &vm.exc.lookup_error)? {
            None => out.push(point),
            Some(value) if value.is_none() => {}
            Some(value) => match value.get::<Str>() {
                Some(s) => out.extend(s.points()),
                None => match vm.as_i64(&value) {
                    Some(n) if (0..0x11_0000).contains(&n) => out.push(n as u32),
                    Some(_) => return Err(vm.value_error("character mapping must be in range(0x110000)")),
                    None => return Err(vm.type_error("character mapping must return integer, None or str")),
                },
            },
        }
    }
    Ok(vm.new_str(Str::from_points(out)))
}

fn remove_affix(vm: &Vm, args: Args, end: bool) -> PyResult {
    let (s, part) = (
        own(&args[0]),
        arg(vm, &args[1], if end { "removesuffix() argument" } else { "removeprefix() argument" })?,
    );
    let n = s.len();
    if part.len() <= n && !part.is_empty() {
        if end && s.find(part, n - part.len(), n).is_some() {
            return Ok(vm.new_str(s.slice(0, n - part.len())));
        }
        if !end && s.find(part, 0, part.len()).is_some() {
            return Ok(vm.new_str(s.slice(part.len(), n)));
        }
    }
    Ok(plain(vm, &args[0]))
}

fn encode(vm: &Vm, args: Args) -> PyResult {
    let text = |i: usize, default: &str| -> PyResult<String> {
        args.opt(i).map_or(Ok(default.into()), |v| vm.str_text(v))
    };
    let bytes = vm.encode(&args[0], &text(1, "utf-8")?, &text(2, "strict")?)?;
    Ok(vm.bytes(&bytes))
}

const METHODS: &[Method] = &[
    ("lower", "", lower),
    ("upper", "", upper),
    ("title", "", title),
    ("capitalize", "", capitalize),
    ("swapcase", "", swapcase),
    ("casefold", "", casefold),
    ("isalpha", "", |_, args| all(args, u::is_alpha)),
    ("isdecimal", "", |_, args| all(args, u::is_decimal)),
    ("isdigit", "", |_, args| all(args, u::is_digit)),
    ("isnumeric", "", |_, args| all(args, u::is_numeric)),
    ("isalnum", "", |_, args| all(args, |p| u::is_alpha(p) || u::is_numeric(p))),
    ("isspace", "", |_, args| all(args, u::is_space)),
    ("isprintable", "", |_, args| Ok(Value::from_bool(own(&args[0]).points().all(u::is_printable)))),
    ("isascii", "", |_, args| Ok(Value::from_bool(own(&args[0]).is_ascii()))),
    ("islower", "", |_, args| cased(args, u::is_lower, |p| u::is_upper(p) || u::is_title(p))),
    ("isupper", "", |_, args| cased(args, u::is_upper, |p| u::is_lower(p) || u::is_title(p))),
    ("istitle", "", is_title),
    ("isidentifier", "", is_identifier),
    ("ljust", "width fillchar? /", |vm, args| pad(vm, args, |_, _| 0)),
    ("rjust", "width fillchar? /", |vm, args| pad(vm, args, |total, _| total)),
    ("center", "width fillchar? /", |vm, args| pad(vm, args, |total, width| total / 2 + (total & width & 1))),
    ("zfill", "width /", zfill),
    ("expandtabs", "tabsize?", expandtabs),
    ("translate", "table /", translate),
    ("removeprefix", "prefix /", |vm, args| remove_affix(vm, args, false)),
    ("removesuffix", "suffix /", |vm, args| remove_affix(vm, args, true)),
    ("encode", "encoding? errors?", encode),
    ("format", "...", |vm, args| super::format::format_method(vm, args)),
    ("format_map", "mapping /", |vm, args| super::format::format_map(vm, &args[0], &args[1])),
];

pub(super) fn init(vm: &Vm) {
    vm.add_methods(&vm.types.str_, METHODS);
    vm.add_static_methods(&vm.types.str_, &[("maketrans", "x y? z? /", maketrans)]);
    let _ = Kind::Str;
}
