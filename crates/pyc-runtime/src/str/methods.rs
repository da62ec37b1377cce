//! The methods of str: protocols, searching, splitting, joining.

use pyc_ir::CompareOp;

use super::Str;
use crate::args::Method;
use crate::containers::SliceData;
use crate::object::{Kind, Value, new_object};
use crate::ops::compare_with;
use crate::unicode;
use crate::vm::{Args, PyResult, Vm};

pub(super) fn own(value: &Value) -> &Str {
    value.get::<Str>().expect("the descriptor checked the type")
}

pub(super) fn arg<'a>(vm: &Vm, value: &'a Value, what: &str) -> PyResult<&'a Str> {
    value.get::<Str>().ok_or_else(|| {
        let must = if what.ends_with("not") { "" } else { " must be str, not" };
        vm.type_error(format!("{what}{must} {}", vm.type_name(value)))
    })
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let ty = &args[0];
    let value = match args.opt(1) {
        None => vm.str(""),
        Some(object) if args.opt(2).is_some() || args.opt(3).is_some() => {
            if object.kind() == Kind::Str {
                return Err(vm.type_error("decoding str is not supported"));
            }
            let text = |i: usize, default: &str| -> PyResult<String> {
                args.opt(i).map_or(Ok(default.into()), |v| vm.str_text(v))
            };
            if !matches!(object.kind(), Kind::Bytes | Kind::ByteArray)
                && object.get::<crate::bytes::MemoryData>().is_none()
            {
                return Err(vm.type_error(format!(
                    "decoding to str: need a bytes-like object, {} found",
                    vm.type_name(object)
                )));
            }
            let bytes = vm.bytes_of(object)?;
            vm.decode(&bytes, &text(2, "utf-8")?, &text(3, "strict")?)?
        }
        Some(object) => vm.to_str(object)?,
    };
    if ty.is(&vm.types.str_) {
        return Ok(value);
    }
    Ok(new_object(ty, Str::from_points(own(&value).to_points())))
}

/// `repr` of a string.
pub fn quote(s: &Str) -> String {
    let has = |c: u32| s.points().any(|p| p == c);
    let quote = if has(39) && !has(34) { '"' } else { '\'' };
    let mut out = String::with_capacity(s.len() + 2);
    out.push(quote);
    for point in s.points() {
        match point {
            9 => out.push_str("\\t"),
            10 => out.push_str("\\n"),
            13 => out.push_str("\\r"),
            92 => out.push_str("\\\\"),
            p if p == quote as u32 => {
                out.push('\\');
                out.push(quote);
            }
            p if unicode::is_printable(p) => out.extend(char::from_u32(p)),
            p if p < 256 => out.push_str(&format!("\\x{p:02x}")),
            p if p < 65536 => out.push_str(&format!("\\u{p:04x}")),
            p => out.push_str(&format!("\\U{p:08x}")),
        }
    }
    out.push(quote);
    out
}

fn compare(_: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let Some(y) = b.get::<Str>() else { return Ok(Value::NOT_IMPLEMENTED) };
    let x = own(a);
    Ok(Value::from_bool(match op {
        CompareOp::Eq => x.same(y),
        CompareOp::Ne => !x.same(y),
        _ => compare_with(op, x.compare(y)),
    }))
}

fn get_item(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    if let Some(slice) = args[1].get::<SliceData>() {
        return vm.str_slice(s, slice);
    }
    if args[1].as_small().is_none() && vm.special(&args[1], &vm.names.__index__).is_none() {
        return Err(
            vm.type_error(format!("string indices must be integers, not '{}'", vm.type_name(&args[1])))
        );
    }
    let i = vm.item_index(&args[1])?;
    let at = if i < 0 { i + s.len() as i64 } else { i };
    if at < 0 || at as usize >= s.len() {
        return Err(vm.index_error("string index out of range"));
    }
    Ok(vm.char_str(s.at(at as usize)))
}

fn repeat(vm: &Vm, args: Args) -> PyResult {
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let n = vm.index(&args[1])?.max(0) as usize;
    let s = own(&args[0]);
    let total = s.len().checked_mul(n).ok_or_else(|| vm.raise_bare(&vm.exc.memory_error))?;
    vm.check_alloc(total, if s.as_bytes().is_some() { 1 } else { 4 })?;
    Ok(vm.new_str(match s.as_bytes() {
        Some(bytes) => Str::from_latin(bytes.repeat(n)),
        None => Str::from_points(s.to_points().repeat(n)),
    }))
}

/// Start and end arguments of searching methods.
pub(super) fn bounds(vm: &Vm, args: Args, first: usize, length: usize) -> PyResult<(usize, usize)> {
    let part = |i: usize, default: i64| -> PyResult<i64> {
        match args.opt(i).filter(|v| !v.is_none()) {
            None => Ok(default),
            Some(v) => {
                if vm.special(v, &vm.names.__index__).is_none() {
                    return Err(
                        vm.type_error("slice indices must be integers or None or have an __index__ method")
                    );
                }
                let n = vm.index_clamped(v)?;
                Ok(if n < 0 { n.saturating_add(length as i64).max(0) } else { n })
            }
        }
    };
    let (from, to) = (part(first, 0)?, part(first + 1, length as i64)?.min(length as i64));
    Ok((from as usize, to as usize))
}

fn search(vm: &Vm, args: Args, backwards: bool) -> PyResult<Option<usize>> {
    let s = own(&args[0]);
    let needle = args[1]
        .get::<Str>()
        .ok_or_else(|| vm.type_error(format!("must be str, not {}", vm.type_name(&args[1]))))?;
    let (from, to) = bounds(vm, args, 2, s.len())?;
    if from > s.len() {
        return Ok(None);
    }
    Ok(if backwards { s.rfind(needle, from, to) } else { s.find(needle, from, to) })
}

fn position(vm: &Vm, found: Option<usize>, raise: bool) -> PyResult {
    match found {
        Some(at) => Ok(Value::from_len(at)),
        None if raise => Err(vm.value_error("substring not found")),
        None => Ok(Value::from_i32(-1)),
    }
}

fn count(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    let needle = arg(vm, &args[1], "must be str, not")?;
    let (mut from, to) = bounds(vm, args, 2, s.len())?;
    if needle.is_empty() {
        return Ok(Value::from_len(if from > to || from > s.len() { 0 } else { to - from + 1 }));
    }
    let mut n = 0;
    while let Some(at) = s.find(needle, from, to) {
        n += 1;
        from = at + needle.len();
    }
    Ok(Value::from_len(n))
}

fn affix(vm: &Vm, args: Args, end: bool) -> PyResult {
    let s = own(&args[0]);
    let (from, to) = bounds(vm, args, 2, s.len())?;
    let check = |value: &Value| -> PyResult<bool> {
        let name = if end { "endswith" } else { "startswith" };
        let Some(part) = value.get::<Str>() else {
            return Err(vm.type_error(format!(
                "{name} first arg must be str or a tuple of str, not {}",
                vm.type_name(value)
            )));
        };
        if from > to || to - from < part.len() || from > s.len() {
            return Ok(false);
        }
        let start = if end { to - part.len() } else { from };
        if let (Some(a), Some(b)) = (s.as_bytes(), part.as_bytes()) {
            return Ok(&a[start..start + part.len()] == b);
        }
        Ok((0..part.len()).all(|i| s.at(start + i) == part.at(i)))
    };
    if args[1].kind() == Kind::Tuple {
        for value in vm.to_vec(&args[1])? {
            if value.kind() != Kind::Str {
                let name = if end { "endswith" } else { "startswith" };
                let other = vm.type_name(&value);
                return Err(vm.type_error(format!("tuple for {name} must only contain str, not {other}")));
            }
            if check(&value)? {
                return Ok(Value::TRUE);
            }
        }
        return Ok(Value::FALSE);
    }
    Ok(Value::from_bool(check(&args[1])?))
}

/// `sep.join(iterable)`
fn join(vm: &Vm, args: Args) -> PyResult {
    let items = match vm.to_vec(&args[1]) {
        Err(e)
            if vm.is_exception(&e, &vm.exc.type_error)
                && vm.special(&args[1], &vm.names.__iter__).is_none() =>
        {
            return Err(vm.type_error("can only join an iterable"));
        }
        other => other?,
    };
    let separator = own(&args[0]);
    let mut parts: Vec<&Str> = Vec::with_capacity(items.len() * 2);
    let mut total = 0;
    for (at, item) in items.iter().enumerate() {
        let Some(s) = item.get::<Str>() else {
            return Err(vm.type_error(format!(
                "sequence item {at}: expected str instance, {} found",
                vm.type_name(item)
            )));
        };
        if at > 0 && !separator.is_empty() {
            parts.push(separator);
        }
        parts.push(s);
        total += s.len() + separator.len();
    }
    if let [item] = &items[..]
        && item.is_exact()
    {
        return Ok(item.clone());
    }
    vm.check_alloc(total, 1)?;
    Ok(vm.new_str(Str::join(&parts)))
}

fn split_limit(vm: &Vm, args: Args, at: usize) -> PyResult<usize> {
    let n = args.opt(at).map_or(Ok(-1), |v| vm.index(v))?;
    Ok(if n < 0 { usize::MAX } else { n as usize })
}

fn split(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    let limit = split_limit(vm, args, 2)?;
    let mut parts = Vec::new();
    let mut at = 0;
    match args.opt(1).filter(|v| !v.is_none()) {
        None => loop {
            while at < s.len() && unicode::is_space(s.at(at)) {
                at += 1;
            }
            if at >= s.len() {
                break;
            }
            if parts.len() >= limit {
                parts.push(vm.new_str(s.slice(at, s.len())));
                break;
            }
            let start = at;
            while at < s.len() && !unicode::is_space(s.at(at)) {
                at += 1;
            }
            parts.push(vm.new_str(s.slice(start, at)));
        },
        Some(separator) => {
            let separator = arg(vm, separator, "must be str or None, not")?;
            if separator.is_empty() {
                return Err(vm.value_error("empty separator"));
            }
            while parts.len() < limit {
                let Some(found) = s.find(separator, at, s.len()) else { break };
                parts.push(vm.new_str(s.slice(at, found)));
                at = found + separator.len();
            }
            parts.push(vm.new_str(s.slice(at, s.len())));
        }
    }
    Ok(vm.list(parts))
}

fn rsplit(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    let limit = split_limit(vm, args, 2)?;
    let mut parts = Vec::new();
    let mut end = s.len();
    match args.opt(1).filter(|v| !v.is_none()) {
        None => loop {
            while end > 0 && unicode::is_space(s.at(end - 1)) {
                end -= 1;
            }
            if end == 0 {
                break;
            }
            if parts.len() >= limit {
                parts.push(vm.new_str(s.slice(0, end)));
                break;
            }
            let stop = end;
            while end > 0 && !unicode::is_space(s.at(end - 1)) {
                end -= 1;
            }
            parts.push(vm.new_str(s.slice(end, stop)));
        },
        Some(separator) => {
            let separator = arg(vm, separator, "must be str or None, not")?;
            if separator.is_empty() {
                return Err(vm.value_error("empty separator"));
            }
            while parts.len() < limit {
                let Some(found) = s.rfind(separator, 0, end) else { break };
                parts.push(vm.new_str(s.slice(found + separator.len(), end)));
                end = found;
            }
            parts.push(vm.new_str(s.slice(0, end)));
        }
    }
    parts.reverse();
    Ok(vm.list(parts))
}

fn splitlines(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    let keep = args.opt(1).map_or(Ok(false), |v| vm.truth(v))?;
    let mut lines = Vec::new();
    let mut at = 0;
    while at < s.len() {
        let start = at;
        while at < s.len() && !unicode::is_line_break(s.at(at)) {
            at += 1;
        }
        let end = at;
        if at < s.len() {
            at += if s.at(at) == 13 && at + 1 < s.len() && s.at(at + 1) == 10 { 2 } else { 1 };
        }
        lines.push(vm.new_str(s.slice(start, if keep { at } else { end })));
    }
    Ok(vm.list(lines))
}

fn partition(vm: &Vm, args: Args, backwards: bool) -> PyResult {
    let s = own(&args[0]);
    let separator = arg(vm, &args[1], "must be str, not")?;
    if separator.is_empty() {
        return Err(vm.value_error("empty separator"));
    }
    let found = if backwards { s.rfind(separator, 0, s.len()) } else { s.find(separator, 0, s.len()) };
    let empty = || vm.str("");
    Ok(vm.tuple(match found {
        Some(at) => vec![
            vm.new_str(s.slice(0, at)),
            args[1].clone(),
            vm.new_str(s.slice(at + separator.len(), s.len())),
        ],
        None if backwards => vec![empty(), empty(), args[0].clone()],
        None => vec![args[0].clone(), empty(), empty()],
    }))
}

fn replace(vm: &Vm, args: Args) -> PyResult {
    let s = own(&args[0]);
    let what = |i: usize| format!("replace() argument {i}");
    let (old, new) = (arg(vm, &args[1], &what(1))?, arg(vm, &args[2], &what(2))?);
    let limit = split_limit(vm, args, 3)?;
    let mut parts: Vec<Str> = Vec::new();
    let mut done = 0;
    if old.is_empty() {
        for at in 0..=s.len() {
            if done < limit {
                parts.push(new.slice(0, new.len()));
                done += 1;
            }
            if at < s.len() {
                parts.push(s.slice(at, at + 1));
            }
        }
    } else {
        let mut at = 0;
        while done < limit {
            let Some(found) = s.find(old, at, s.len()) else { break };
            parts.push(s.slice(at, found));
            parts.push(new.slice(0, new.len()));
            at = found + old.len();
            done += 1;
        }
        if done == 0 && args[0].is_exact() {
            return Ok(args[0].clone());
        }
        parts.push(s.slice(at, s.len()));
    }
    vm.check_alloc(parts.iter().map(Str::len).sum(), 1)?;
    Ok(vm.new_str(Str::join(&parts.iter().collect::<Vec<_>>())))
}

fn strip(vm: &Vm, args: Args, left: bool, right: bool) -> PyResult {
    let s = own(&args[0]);
    let set = match args.opt(1).filter(|v| !v.is_none()) {
        None => None,
        Some(chars) => match chars.get::<Str>() {
            Some(chars) => Some(chars.to_points()),
            None => {
                let name = match (left, right) {
                    (true, true) => "strip",
                    (true, false) => "lstrip",
                    _ => "rstrip",
                };
                return Err(vm.type_error(format!("{name} arg must be None or str")));
            }
        },
    };
    let strips = |p: u32| match &set {
        None => unicode::is_space(p),
        Some(set) => set.contains(&p),
    };
    let (mut from, mut to) = (0, s.len());
    while left && from < to && strips(s.at(from)) {
        from += 1;
    }
    while right && to > from && strips(s.at(to - 1)) {
        to -= 1;
    }
    if from == 0 && to == s.len() && args[0].is_exact() {
        return Ok(args[0].clone());
    }
    Ok(vm.new_str(s.slice(from, to)))
}

fn hash(vm: &Vm, args: Args) -> PyResult {
    Ok(vm.int(own(&args[0]).hash() as i64))
}

const METHODS: &[Method] = &[
    ("__new__", "object? encoding? errors?", new),
    ("__repr__", "", |vm, args| Ok(vm.str(&quote(own(&args[0]))))),
    ("__str__", "", |vm, args| {
        Ok(if args[0].is_exact() {
            args[0].clone()
        } else {
            vm.new_str(own(&args[0]).slice(0, own(&args[0]).len()))
        })
    }),
    ("__hash__", "", hash),
    ("__len__", "", |_, args| Ok(Value::from_len(own(&args[0]).len()))),
    ("__getitem__", "key /", get_item),
    ("__contains__", "key /", |vm, args| match args[1].get::<Str>() {
        Some(needle) => Ok(Value::from_bool(own(&args[0]).find(needle, 0, own(&args[0]).len()).is_some())),
        None => Err(vm.type_error(format!(
            "'in <string>' requires string as left operand, not {}",
            vm.type_name(&args[1])
        ))),
    }),
    ("__iter__", "", |vm, args| Ok(crate::iterators::index_iter(&vm.types.str_iterator, &args[0]))),
    ("__add__", "value /", |vm, args| match args[1].get::<Str>() {
        Some(b) => {
            vm.check_alloc(own(&args[0]).len() + b.len(), 1)?;
            Ok(vm.new_str(Str::join(&[own(&args[0]), b])))
        }
        None => Ok(Value::NOT_IMPLEMENTED),
    }),
    ("__mul__", "value /", repeat),
    ("__rmul__", "value /", repeat),
    ("__mod__", "value /", |vm, args| super::percent::format(vm, &args[0], &args[1])),
    ("__rmod__", "value /", |vm, args| match args[1].kind() {
        Kind::Str => super::percent::format(vm, &args[1], &args[0]),
        _ => Ok(Value::NOT_IMPLEMENTED),
    }),
    ("__format__", "format_spec /", |vm, args| {
        super::number_format::format_str_value(vm, &args[0], &args[1])
    }),
    ("__getnewargs__", "", |vm, args| {
        Ok(vm.tuple(vec![vm.new_str(own(&args[0]).slice(0, own(&args[0]).len()))]))
    }),
    ("find", "sub start? end? /", |vm, args| position(vm, search(vm, args, false)?, false)),
    ("rfind", "sub start? end? /", |vm, args| position(vm, search(vm, args, true)?, false)),
    ("index", "sub start? end? /", |vm, args| position(vm, search(vm, args, false)?, true)),
    ("rindex", "sub start? end? /", |vm, args| position(vm, search(vm, args, true)?, true)),
    ("count", "sub start? end? /", count),
    ("startswith", "prefix start? end? /", |vm, args| affix(vm, args, false)),
    ("endswith", "suffix start? end? /", |vm, args| affix(vm, args, true)),
    ("join", "iterable /", join),
    ("split", "sep? maxsplit?", split),
    ("rsplit", "sep? maxsplit?", rsplit),
    ("splitlines", "keepends?", splitlines),
    ("partition", "sep /", |vm, args| partition(vm, args, false)),
    ("rpartition", "sep /", |vm, args| partition(vm, args, true)),
    ("replace", "old new / count?", replace),
    ("strip", "chars? /", |vm, args| strip(vm, args, true, true)),
    ("lstrip", "chars? /", |vm, args| strip(vm, args, true, false)),
    ("rstrip", "chars? /", |vm, args| strip(vm, args, false, true)),
];

pub(crate) fn init(vm: &Vm) {
    vm.add_methods(&vm.types.str_, METHODS);
    vm.add_methods(&vm.types.str_, &crate::comparisons!(compare));
    super::methods2::init(vm);
}
