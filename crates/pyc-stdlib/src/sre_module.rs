//! `_sre`: patterns, matches, and the functions that the library's pattern compiler asks for.

use std::cell::RefCell;

use pyc_runtime::containers::DictData;
use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::str::Str;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Kind, Payload, PyResult, Value, Vm, new_object};

use crate::sre_engine::{Matcher, lower, lower_ascii, upper};

/// A compiled pattern.
struct Pattern {
    source: Value,
    flags: Value,
    code: Vec<u32>,
    groups: usize,
    group_index: Value,
    index_group: Value,
}
impl Payload for Pattern {}

/// A match.
struct Match {
    pattern: Value,
    text: Value,
    marks: Vec<usize>,
    last_index: i64,
    from: usize,
    to: usize,
}
impl Payload for Match {}

/// A replacement with groups: literal, group, literal, ...
struct Template(Vec<Value>);
impl Payload for Template {}

/// `finditer` and `scanner`.
struct Scanner {
    pattern: Value,
    text: Value,
    points: Vec<u32>,
    state: RefCell<(usize, bool)>,
    end: usize,
    anchored: bool,
}
impl Payload for Scanner {}

fn pattern(value: &Value) -> &Pattern {
    value.get::<Pattern>().expect("the descriptor checked the type")
}
fn found(value: &Value) -> &Match {
    value.get::<Match>().expect("the descriptor checked the type")
}

fn types(vm: &Vm) -> std::rc::Rc<[Value; 4]> {
    vm.state("sre_types", || {
        let ty = |name: &str| name.to_string();
        let _ = ty;
        [
            vm.new_type::<Pattern>("re", "Pattern", None, flag::WEAK),
            vm.new_type::<Match>("re", "Match", None, flag::WEAK),
            vm.new_type::<Template>("_sre", "SRE_Template", None, 0),
            vm.new_type::<Scanner>("_sre", "SRE_Scanner", None, 0),
        ]
    })
}

/// The code points or bytes of a subject, checked against the pattern's kind.
fn subject(vm: &Vm, p: &Pattern, text: &Value) -> PyResult<Vec<u32>> {
    let wants_text = p.source.kind() == Kind::Str || p.source.is_none() && text.kind() == Kind::Str;
    match text.get::<Str>() {
        Some(s) if wants_text => Ok(s.to_points()),
        Some(_) => Err(vm.type_error("cannot use a bytes pattern on a string-like object")),
        None if vm.is_bytes_like(text) => {
            if wants_text {
                return Err(vm.type_error("cannot use a string pattern on a bytes-like object"));
            }
            Ok(vm.bytes_of(text)?.into_iter().map(u32::from).collect())
        }
        None => {
            Err(vm.type_error(format!("expected string or bytes-like object, got '{}'", vm.type_name(text))))
        }
    }
}

/// A part of the subject as an object of its kind.
fn part(vm: &Vm, text: &Value, from: usize, to: usize) -> Value {
    match text.get::<Str>() {
        Some(s) => vm.new_str(s.slice(from, to.max(from))),
        None => vm.bytes(vm.bytes_of(text).unwrap_or_default().get(from..to).unwrap_or(&[])),
    }
}

fn bounds(vm: &Vm, args: Args, n: usize) -> PyResult<(usize, usize)> {
    let get = |i: usize, d: usize| -> PyResult<usize> {
        Ok(args.opt(i).map_or(Ok(d as i64), |v| vm.index_clamped(v))?.clamp(0, n as i64) as usize)
    };
    Ok((get(2, 0)?, get(3, n)?))
}

fn make_match(
    vm: &Vm,
    this: &Value,
    text: &Value,
    m: &Matcher,
    from: usize,
    to: usize,
    bounds: (usize, usize),
) -> Value {
    let mut marks = vec![from, to];
    marks.extend_from_slice(&m.marks);
    let _ = bounds;
    new_object(
        &types(vm)[1],
        Match {
            pattern: this.clone(),
            text: text.clone(),
            marks,
            last_index: m.last_index,
            from: bounds.0,
            to: bounds.1,
        },
    )
}

fn run(vm: &Vm, args: Args, search: bool, full: bool) -> PyResult {
    let p = pattern(&args[0]);
    let text = subject(vm, p, &args[1])?;
    let (from, end) = bounds(vm, args, text.len())?;
    if from > end {
        return Ok(Value::NONE);
    }
    let mut m = Matcher::new(vm, &text, &p.code, p.groups, from, end);
    m.full = full;
    let hit = if search { m.search(from)? } else { m.match_at(from)?.map(|to| (from, to)) };
    Ok(hit.map_or(Value::NONE, |(a, b)| make_match(vm, &args[0], &args[1], &m, a, b, (from, end))))
}

/// Every match from left to right, empty ones not where the one before ended.
fn each(
    vm: &Vm,
    p: &Pattern,
    text: &[u32],
    from: usize,
    end: usize,
    mut see: impl FnMut(&Matcher, usize, usize) -> PyResult<bool>,
) -> PyResult<()> {
    let mut m = Matcher::new(vm, text, &p.code, p.groups, from, end);
    let mut at = from;
    while at <= end {
        let Some((a, b)) = m.search(at)? else { break };
        if !see(&m, a, b)? {
            break;
        }
        m.must_advance = a == b;
        at = b;
    }
    Ok(())
}

fn find_all(vm: &Vm, args: Args) -> PyResult {
    let p = pattern(&args[0]);
    let text = subject(vm, p, &args[1])?;
    let (from, end) = bounds(vm, args, text.len())?;
    let mut all = Vec::new();
    each(vm, p, &text, from, end, |m, a, b| {
        let group = |i: usize| {
            let (x, y) = (m.marks[2 * i], m.marks[2 * i + 1]);
            if x == usize::MAX || y == usize::MAX {
                part(vm, &args[1], 0, 0)
            } else {
                part(vm, &args[1], x, y)
            }
        };
        all.push(match p.groups {
            0 => part(vm, &args[1], a, b),
            1 => group(0),
            n => vm.tuple((0..n).map(group).collect()),
        });
        Ok(true)
    })?;
    Ok(vm.list(all))
}

fn split(vm: &Vm, args: Args) -> PyResult {
    let p = pattern(&args[0]);
    let text = subject(vm, p, &args[1])?;
    let most = args.opt(2).map_or(Ok(0), |v| vm.index(v))?;
    let mut parts = Vec::new();
    let (mut last, mut n) = (0, 0);
    each(vm, p, &text, 0, text.len(), |m, a, b| {
        parts.push(part(vm, &args[1], last, a));
        for i in 0..p.groups {
            let (x, y) = (m.marks[2 * i], m.marks[2 * i + 1]);
            parts.push(if x == usize::MAX || y == usize::MAX {
                Value::NONE
            } else {
                part(vm, &args[1], x, y)
            });
        }
        last = b;
        n += 1;
        Ok(most <= 0 || n < most)
    })?;
    parts.push(part(vm, &args[1], last, text.len()));
    Ok(vm.list(parts))
}

fn substitute(vm: &Vm, args: Args, counted: bool) -> PyResult {
    // self, repl, string, count
    let p = pattern(&args[0]);
    let text = subject(vm, p, &args[2])?;
    let most = args.opt(3).map_or(Ok(0), |v| vm.index(v))?;
    let mut replacement = args[1].clone();
    let callable = vm.special(&replacement, &vm.names.__call__).is_some();
    if !callable {
        let escaped = match replacement.get::<Str>() {
            Some(s) => s.points().any(|c| c == 92),
            None => vm.bytes_of(&replacement)?.contains(&b'\\'),
        };
        if escaped {
            let re = vm.import("re")?;
            let compile = vm.get_attr_str(&re, "_compile_template")?;
            replacement = vm.call_pos(&compile, &[args[0].clone(), replacement])?;
        }
    }
    let bytes = args[2].kind() != Kind::Str;
    let mut out: Vec<u32> = Vec::new();
    let append = |out: &mut Vec<u32>, value: &Value| -> PyResult<()> {
        match value.get::<Str>() {
            Some(s) if !bytes => out.extend(s.points()),
            None if bytes && vm.is_bytes_like(value) => {
                out.extend(vm.bytes_of(value)?.into_iter().map(u32::from))
            }
            _ => {
                let wanted = if bytes { "a bytes-like object" } else { "str instance" };
                return Err(vm.type_error(format!(
                    "sequence item 0: expected {wanted}, {} found",
                    vm.type_name(value)
                )));
            }
        }
        Ok(())
    };
    let (mut last, mut n) = (0, 0);
    each(vm, p, &text, 0, text.len(), |m, a, b| {
        out.extend_from_slice(&text[last..a]);
        if callable {
            let made = make_match(vm, &args[0], &args[2], m, a, b, (0, text.len()));
            let result = vm.call_pos(&replacement, &[made])?;
            if !result.is_none() {
                append(&mut out, &result)?;
            }
        } else if let Some(template) = replacement.get::<Template>() {
            for (at, item) in template.0.iter().enumerate() {
                if at % 2 == 0 {
                    append(&mut out, item)?;
                } else {
                    let g = item.as_small().unwrap_or(0) as usize;
                    let (x, y) = if g == 0 { (a, b) } else { (m.marks[2 * g - 2], m.marks[2 * g - 1]) };
                    if x != usize::MAX && y != usize::MAX {
                        out.extend_from_slice(&text[x..y]);
                    }
                }
            }
        } else {
            append(&mut out, &replacement)?;
        }
        vm.check_alloc(out.len(), 4)?;
        last = b;
        n += 1;
        Ok(most <= 0 || n < most)
    })?;
    out.extend_from_slice(&text[last..]);
    let result = if bytes {
        vm.bytes(&out.into_iter().map(|c| c as u8).collect::<Vec<_>>())
    } else {
        vm.new_str(Str::from_points(out))
    };
    Ok(if counted { vm.tuple(vec![result, vm.int(n)]) } else { result })
}

fn scanner(vm: &Vm, args: Args) -> PyResult {
    let p = pattern(&args[0]);
    let points = subject(vm, p, &args[1])?;
    let (from, end) = bounds(vm, args, points.len())?;
    let scanner = Scanner {
        pattern: args[0].clone(),
        text: args[1].clone(),
        points,
        state: RefCell::new((from, false)),
        end,
        anchored: false,
    };
    Ok(new_object(&types(vm)[3], scanner))
}

fn scan(vm: &Vm, this: &Value, search: bool) -> PyResult<Option<Value>> {
    let Some(s) = this.get::<Scanner>() else { return Ok(None) };
    let (at, advance) = *s.state.borrow();
    if at > s.end {
        return Ok(None);
    }
    let p = pattern(&s.pattern);
    let mut m = Matcher::new(vm, &s.points, &p.code, p.groups, at, s.end);
    m.must_advance = advance;
    let hit = if search && !s.anchored { m.search(at)? } else { m.match_at(at)?.map(|b| (at, b)) };
    match hit {
        Some((a, b)) => {
            *s.state.borrow_mut() = (b, a == b);
            Ok(Some(make_match(vm, &s.pattern, &s.text, &m, a, b, (0, s.end))))
        }
        None => {
            *s.state.borrow_mut() = (s.end + 1, false);
            Ok(None)
        }
    }
}

/// The number of a group from its number or name.
fn group_number(vm: &Vm, m: &Match, key: &Value) -> PyResult<usize> {
    let p = pattern(&m.pattern);
    let n = if vm.special(key, &vm.names.__index__).is_some() {
        Some(vm.index(key)?)
    } else {
        p.group_index.get::<DictData>().map_or(Ok(None), |d| d.get(vm, key))?.and_then(|v| v.as_small())
    };
    match n {
        Some(n) if n >= 0 && n as usize <= p.groups => Ok(n as usize),
        _ => Err(vm.index_error("no such group")),
    }
}

fn group(vm: &Vm, m: &Match, n: usize, default: &Value) -> Value {
    let (a, b) = (m.marks[2 * n], m.marks[2 * n + 1]);
    if a == usize::MAX || b == usize::MAX { default.clone() } else { part(vm, &m.text, a, b) }
}

fn groups_call(vm: &Vm, args: Args) -> PyResult {
    let m = found(&args.all[0]);
    let keys = &args.all[1..];
    match keys {
        [] => Ok(group(vm, m, 0, &Value::NONE)),
        [key] => Ok(group(vm, m, group_number(vm, m, key)?, &Value::NONE)),
        keys => {
            let all = keys
                .iter()
                .map(|k| Ok(group(vm, m, group_number(vm, m, k)?, &Value::NONE)))
                .collect::<PyResult<_>>()?;
            Ok(vm.tuple(all))
        }
    }
}

fn edge(vm: &Vm, args: Args, which: usize) -> PyResult {
    let m = found(&args[0]);
    let n = args.opt(1).map_or(Ok(0), |k| group_number(vm, m, k))?;
    let at = |i: usize| match m.marks[2 * n + i] {
        usize::MAX => Value::from_i32(-1),
        at => Value::from_len(at),
    };
    Ok(if which == 2 { vm.tuple(vec![at(0), at(1)]) } else { at(which) })
}

fn group_dict(vm: &Vm, args: Args) -> PyResult {
    let m = found(&args[0]);
    let default = args.opt(1).cloned().unwrap_or(Value::NONE);
    let result = vm.dict();
    for (name, n) in
        pattern(&m.pattern).group_index.get::<DictData>().map(DictData::items).unwrap_or_default()
    {
        let n = n.as_small().unwrap_or(0) as usize;
        vm.dict_set(&result, name, group(vm, m, n, &default))?;
    }
    Ok(result)
}

fn pattern_repr(vm: &Vm, args: Args) -> PyResult {
    let p = pattern(&args[0]);
    let flags = vm.as_i64(&p.flags).unwrap_or(0);
    let names = [
        (2, "IGNORECASE"),
        (4, "LOCALE"),
        (8, "MULTILINE"),
        (16, "DOTALL"),
        (64, "VERBOSE"),
        (128, "DEBUG"),
        (256, "ASCII"),
    ];
    let shown: Vec<String> =
        names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, n)| format!("re.{n}")).collect();
    let text: String = vm.repr_text(&p.source)?.chars().take(200).collect();
    Ok(vm.str(&if shown.is_empty() {
        format!("re.compile({text})")
    } else {
        format!("re.compile({text}, {})", shown.join("|"))
    }))
}

fn compile(vm: &Vm, args: Args) -> PyResult {
    let mut code = Vec::new();
    for word in vm.to_vec(&args[2])? {
        code.push(
            u32::try_from(vm.index(&word)?)
                .map_err(|_| vm.overflow_error("regular expression code size limit exceeded"))?,
        );
    }
    let p = Pattern {
        source: args[0].clone(),
        flags: args[1].clone(),
        code,
        groups: vm.index(&args[3])?.max(0) as usize,
        group_index: args[4].clone(),
        index_group: args[5].clone(),
    };
    Ok(new_object(&types(vm)[0], p))
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let point = |vm: &Vm, v: &Value| -> PyResult<u32> { Ok(vm.index(v)?.clamp(0, 0x10_ffff) as u32) };
    let _ = point;
    let module = vm.native_module_object(
        "_sre",
        &[
            ("compile", "pattern flags code groups groupindex indexgroup", compile),
            ("template", "pattern template /", |vm, args| {
                let items = vm.to_vec(&args[1])?;
                Ok(new_object(&types(vm)[2], Template(items)))
            }),
            ("getcodesize", "", |_, _| Ok(Value::from_i32(4))),
            ("ascii_iscased", "character /", |vm, args| {
                Ok(Value::from_bool(
                    (vm.index(&args[0])? as u32) < 128 && (vm.index(&args[0])? as u8).is_ascii_alphabetic(),
                ))
            }),
            ("unicode_iscased", "character /", |vm, args| {
                let c = vm.index(&args[0])? as u32;
                Ok(Value::from_bool(lower(c) != c || upper(c) != c))
            }),
            ("ascii_tolower", "character /", |vm, args| {
                Ok(Value::from_len(lower_ascii(vm.index(&args[0])? as u32) as usize))
            }),
            ("unicode_tolower", "character /", |vm, args| {
                Ok(Value::from_len(lower(vm.index(&args[0])? as u32) as usize))
            }),
        ],
    );
    for (name, n) in [
        ("MAGIC", 20_230_612i64),
        ("CODESIZE", 4),
        ("MAXREPEAT", 4_294_967_295),
        ("MAXGROUPS", 1_073_741_823),
    ] {
        vm.module_set(&module, name, vm.int(n));
    }
    let t = types(vm);
    vm.add_methods(
        &t[0],
        &[
            ("match", "string pos? endpos?", |vm, args| run(vm, args, false, false)),
            ("fullmatch", "string pos? endpos?", |vm, args| run(vm, args, false, true)),
            ("search", "string pos? endpos?", |vm, args| run(vm, args, true, false)),
            ("findall", "string pos? endpos?", find_all),
            ("finditer", "string pos? endpos?", |vm, args| {
                let s = scanner(vm, args)?;
                vm.iter(&s)
            }),
            ("scanner", "string pos? endpos?", scanner),
            ("split", "string maxsplit?", split),
            ("sub", "repl string count?", |vm, args| substitute(vm, args, false)),
            ("subn", "repl string count?", |vm, args| substitute(vm, args, true)),
            ("__repr__", "", pattern_repr),
            ("__copy__", "", |_, args| Ok(args[0].clone())),
            ("__deepcopy__", "memo /", |_, args| Ok(args[0].clone())),
            ("__hash__", "", |vm, args| {
                let p = pattern(&args[0]);
                let key = vm.tuple(vec![p.source.clone(), p.flags.clone()]);
                Ok(vm.int(vm.hash(&key)?))
            }),
            ("__eq__", "value /", |vm, args| {
                let (a, Some(b)) = (pattern(&args[0]), args[1].get::<Pattern>()) else {
                    return Ok(Value::NOT_IMPLEMENTED);
                };
                Ok(Value::from_bool(
                    vm.equal(&a.source, &b.source)? && vm.equal(&a.flags, &b.flags)? && a.code == b.code,
                ))
            }),
            ("__reduce__", "", |vm, args| {
                let p = pattern(&args[0]);
                let compile = vm.get_attr_str(&vm.import("re")?, "_compile")?;
                Ok(vm.tuple(vec![compile, vm.tuple(vec![p.source.clone(), p.flags.clone()])]))
            }),
        ],
    );
    vm.add_getset(&t[0], "pattern", |_, this| Ok(pattern(this).source.clone()), None);
    vm.add_getset(&t[0], "flags", |_, this| Ok(pattern(this).flags.clone()), None);
    vm.add_getset(&t[0], "groups", |_, this| Ok(Value::from_len(pattern(this).groups)), None);
    vm.add_getset(
        &t[0],
        "groupindex",
        |vm, this| vm.call_pos(&vm.types.mappingproxy, &[pattern(this).group_index.clone()]),
        None,
    );
    vm.add_methods(
        &t[1],
        &[
            ("group", "...", groups_call),
            ("__getitem__", "key /", |vm, args| groups_call(vm, args)),
            ("groups", "default?", |vm, args| {
                let m = found(&args[0]);
                let default = args.opt(1).cloned().unwrap_or(Value::NONE);
                Ok(vm.tuple((1..=pattern(&m.pattern).groups).map(|n| group(vm, m, n, &default)).collect()))
            }),
            ("groupdict", "default?", group_dict),
            ("start", "group? /", |vm, args| edge(vm, args, 0)),
            ("end", "group? /", |vm, args| edge(vm, args, 1)),
            ("span", "group? /", |vm, args| edge(vm, args, 2)),
            ("expand", "template", |vm, args| {
                let m = found(&args[0]);
                let compile = vm.get_attr_str(&vm.import("re")?, "_compile_template")?;
                let made = vm.call_pos(&compile, &[m.pattern.clone(), args[1].clone()])?;
                let items = made.get::<Template>().map(|t| t.0.clone()).unwrap_or_default();
                let empty = part(vm, &m.text, 0, 0);
                let parts = items
                    .iter()
                    .enumerate()
                    .map(|(at, i)| {
                        if at % 2 == 0 {
                            i.clone()
                        } else {
                            group(vm, m, i.as_small().unwrap_or(0) as usize, &empty)
                        }
                    })
                    .collect();
                vm.call_method_str(&empty, "join", &[vm.list(parts)])
            }),
            ("__copy__", "", |_, args| Ok(args[0].clone())),
            ("__deepcopy__", "memo /", |_, args| Ok(args[0].clone())),
            ("__repr__", "", |vm, args| {
                let m = found(&args[0]);
                let text = vm.repr_text(&group(vm, m, 0, &Value::NONE))?;
                Ok(vm.str(&format!("<re.Match object; span=({}, {}), match={text}>", m.marks[0], m.marks[1])))
            }),
        ],
    );
    vm.add_getset(&t[1], "string", |_, this| Ok(found(this).text.clone()), None);
    vm.add_getset(&t[1], "re", |_, this| Ok(found(this).pattern.clone()), None);
    vm.add_getset(&t[1], "pos", |_, this| Ok(Value::from_len(found(this).from)), None);
    vm.add_getset(&t[1], "endpos", |_, this| Ok(Value::from_len(found(this).to)), None);
    vm.add_getset(
        &t[1],
        "lastindex",
        |_, this| {
            Ok(match found(this).last_index {
                n if n < 0 => Value::NONE,
                n => Value::from_len(n as usize),
            })
        },
        None,
    );
    vm.add_getset(
        &t[1],
        "lastgroup",
        |vm, this| match found(this).last_index {
            n if n < 0 => Ok(Value::NONE),
            n => vm.get_item(&pattern(&found(this).pattern).index_group, &vm.int(n)),
        },
        None,
    );
    vm.add_getset(
        &t[1],
        "regs",
        |vm, this| {
            let at = |i: usize| if i == usize::MAX { Value::from_i32(-1) } else { Value::from_len(i) };
            let pairs = found(this).marks.chunks(2).map(|p| vm.tuple(vec![at(p[0]), at(p[1])])).collect();
            Ok(vm.tuple(pairs))
        },
        None,
    );
    for ty in [&t[0], &t[1]] {
        vm.add_class_methods(
            ty,
            &[("__class_getitem__", "item /", |vm, args| {
                pyc_runtime::generic::alias(vm, &args[0], &args[1])
            })],
        );
    }
    iterator_methods(vm, &t[3], |vm, this| scan(vm, this, true));
    vm.add_methods(
        &t[3],
        &[
            ("match", "", |vm, args| Ok(scan(vm, &args[0], false)?.unwrap_or(Value::NONE))),
            ("search", "", |vm, args| Ok(scan(vm, &args[0], true)?.unwrap_or(Value::NONE))),
        ],
    );
    vm.add_getset(
        &t[3],
        "pattern",
        |_, this| Ok(this.get::<Scanner>().map_or(Value::NONE, |s| s.pattern.clone())),
        None,
    );
    Ok(module)
}
