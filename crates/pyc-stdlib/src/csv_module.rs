//! `_csv`: the reader and the writer of comma-separated values, and dialects.

use std::cell::Cell;

use pyc_runtime::containers::DictData;
use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::str::Str;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Kind, Method, Payload, PyResult, Raised, Value, Vm, new_object};

const QUOTE_MINIMAL: i64 = 0;
const QUOTE_ALL: i64 = 1;
const QUOTE_NONNUMERIC: i64 = 2;
const QUOTE_NONE: i64 = 3;
const QUOTE_STRINGS: i64 = 4;
const QUOTE_NOTNULL: i64 = 5;

/// `Dialect`
#[derive(Clone, Debug)]
struct Dialect {
    delimiter: u32,
    quotechar: Option<u32>,
    escapechar: Option<u32>,
    doublequote: bool,
    skipinitialspace: bool,
    lineterminator: Vec<u32>,
    quoting: i64,
    strict: bool,
}
impl Payload for Dialect {}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    StartRecord,
    StartField,
    Escaped,
    InField,
    InQuoted,
    EscapedQuoted,
    QuoteInQuoted,
    EatEnd,
    AfterEscapedEnd,
}

/// `reader`
struct Reader {
    lines: Value,
    dialect: Value,
    line_num: Cell<usize>,
}
impl Payload for Reader {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.lines);
    }
}

/// `writer`
struct Writer {
    write: Value,
    dialect: Value,
}
impl Payload for Writer {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.write);
    }
}

struct Shared {
    dialects: Value,
    limit: Cell<i64>,
    error: Value,
    dialect_type: Value,
    reader_type: Value,
    writer_type: Value,
}

fn shared(vm: &Vm) -> std::rc::Rc<Shared> {
    vm.state("csv", || Shared {
        dialects: vm.dict(),
        limit: Cell::new(131_072),
        error: crate::support::error_type(vm, "csv_error", "_csv", "Error", &vm.exc.exception),
        dialect_type: dialect_type(vm),
        reader_type: reader_type(vm),
        writer_type: writer_type(vm),
    })
}

fn error(vm: &Vm, text: &str) -> Raised {
    vm.raise(&shared(vm).error, text)
}

fn dialect_of(value: &Value) -> &Dialect {
    value.get::<Dialect>().expect("the descriptor checked the type")
}

/// A one-character setting.
fn character(vm: &Vm, name: &str, value: Option<Value>, default: Option<u32>) -> PyResult<Option<u32>> {
    let Some(value) = value else { return Ok(default) };
    if value.is_none() && name != "delimiter" {
        return Ok(None);
    }
    let Some(s) = value.get::<Str>() else {
        let or_none = if name == "delimiter" { "" } else { " or None" };
        return Err(
            vm.type_error(format!("\"{name}\" must be string{or_none}, not {}", vm.type_name(&value)))
        );
    };
    if s.len() > 1 || s.is_empty() && name == "delimiter" {
        return Err(vm.type_error(format!("\"{name}\" must be a 1-character string")));
    }
    Ok(if s.is_empty() { None } else { Some(s.at(0)) })
}

const SETTINGS: &[&str] = &[
    "delimiter",
    "doublequote",
    "escapechar",
    "lineterminator",
    "quotechar",
    "quoting",
    "skipinitialspace",
    "strict",
];

/// `Dialect(dialect=None, **settings)`
fn new_dialect(vm: &Vm, base: Option<&Value>, given: &[(String, Value)]) -> PyResult {
    let mut base = base.filter(|b| !b.is_none()).cloned();
    if let Some(name) = &base
        && name.kind() == Kind::Str
    {
        base = Some(get_dialect(vm, name)?);
    }
    if let (Some(b), true) = (&base, given.is_empty())
        && b.get::<Dialect>().is_some()
    {
        return Ok(b.clone());
    }
    if let Some((name, _)) = given.iter().find(|(n, _)| !SETTINGS.contains(&n.as_str())) {
        return Err(vm.type_error(format!("'{name}' is an invalid keyword argument for this function")));
    }
    let setting = |name: &str| -> PyResult<Option<Value>> {
        if let Some((_, value)) = given.iter().find(|(n, _)| n == name) {
            return Ok(Some(value.clone()));
        }
        match &base {
            Some(base) => vm.find_attr(base, &vm.intern(name)),
            None => Ok(None),
        }
    };
    let flag = |name: &str, default: bool| -> PyResult<bool> {
        setting(name)?.map_or(Ok(default), |v| vm.truth(&v))
    };
    let quoting = match setting("quoting")? {
        None => QUOTE_MINIMAL,
        Some(v) if vm.is_int(&v) && vm.type_of(&v).is(&vm.types.int) => {
            let n = vm.as_i64(&v).unwrap_or(-1);
            if !(QUOTE_MINIMAL..=QUOTE_NOTNULL).contains(&n) {
                return Err(vm.type_error("bad \"quoting\" value"));
            }
            n
        }
        Some(_) => return Err(vm.type_error("\"quoting\" must be an integer")),
    };
    let quotechar_given = setting("quotechar")?;
    let lineterminator = match setting("lineterminator")? {
        None => vec![13, 10],
        Some(v) if v.is_none() => Vec::new(),
        Some(v) => match v.get::<Str>() {
            Some(s) => s.to_points(),
            None => {
                return Err(
                    vm.type_error(format!("\"lineterminator\" must be a string, not {}", vm.type_name(&v)))
                );
            }
        },
    };
    let dialect = Dialect {
        delimiter: character(vm, "delimiter", setting("delimiter")?, Some(44))?.unwrap_or(44),
        quotechar: character(vm, "quotechar", quotechar_given.clone(), Some(34))?,
        escapechar: character(vm, "escapechar", setting("escapechar")?, None)?,
        doublequote: flag("doublequote", true)?,
        skipinitialspace: flag("skipinitialspace", false)?,
        lineterminator,
        quoting: if quotechar_given.as_ref().is_some_and(Value::is_none) && setting("quoting")?.is_none() {
            QUOTE_NONE
        } else {
            quoting
        },
        strict: flag("strict", false)?,
    };
    if dialect.quoting != QUOTE_NONE && dialect.quotechar.is_none() {
        return Err(vm.type_error("quotechar must be set if quoting enabled"));
    }
    for (name, c) in [
        ("delimiter", Some(dialect.delimiter)),
        ("quotechar", dialect.quotechar),
        ("escapechar", dialect.escapechar),
    ] {
        if matches!(c, Some(10 | 13)) {
            return Err(vm.value_error(format!("bad {name} value")));
        }
    }
    for (a, b, c, d) in [
        ("delimiter", "escapechar", Some(dialect.delimiter), dialect.escapechar),
        ("delimiter", "quotechar", Some(dialect.delimiter), dialect.quotechar),
        ("escapechar", "quotechar", dialect.escapechar, dialect.quotechar),
    ] {
        if c.is_some() && c == d {
            return Err(vm.value_error(format!("bad {a} or {b} value")));
        }
    }
    Ok(new_object(&shared(vm).dialect_type, dialect))
}

fn named(vm: &Vm, args: Args) -> Vec<(String, Value)> {
    args.keywords().map(|(k, v)| (vm.text(k).to_string(), v.clone())).collect()
}

fn get_dialect(vm: &Vm, name: &Value) -> PyResult {
    let shared = shared(vm);
    let found = match shared.dialects.get::<DictData>() {
        Some(dict) => dict.get(vm, name)?,
        None => None,
    };
    found.ok_or_else(|| error(vm, "unknown dialect"))
}

fn optional(vm: &Vm, c: Option<u32>) -> Value {
    c.map_or(Value::NONE, |c| vm.char_str(c))
}

fn dialect_type(vm: &Vm) -> Value {
    let ty = vm.new_type::<Dialect>("_csv", "Dialect", None, flag::BASE);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "...", |vm, args| {
                let mut given = named(vm, args);
                let mut base = args.positional().get(1).cloned();
                if let Some(at) = given.iter().position(|(n, _)| n == "dialect") {
                    base = Some(given.remove(at).1);
                }
                new_dialect(vm, base.as_ref(), &given)
            }),
            ("__init__", "...", |_, _| Ok(Value::NONE)),
            ("__reduce_ex__", "protocol /", |vm, _| Err(vm.type_error("cannot pickle 'Dialect' instances"))),
        ],
    );
    vm.add_getset(&ty, "delimiter", |vm, t| Ok(vm.char_str(dialect_of(t).delimiter)), None);
    vm.add_getset(&ty, "quotechar", |vm, t| Ok(optional(vm, dialect_of(t).quotechar)), None);
    vm.add_getset(&ty, "escapechar", |vm, t| Ok(optional(vm, dialect_of(t).escapechar)), None);
    vm.add_getset(&ty, "doublequote", |_, t| Ok(Value::from_bool(dialect_of(t).doublequote)), None);
    vm.add_getset(&ty, "skipinitialspace", |_, t| Ok(Value::from_bool(dialect_of(t).skipinitialspace)), None);
    vm.add_getset(&ty, "strict", |_, t| Ok(Value::from_bool(dialect_of(t).strict)), None);
    vm.add_getset(&ty, "quoting", |vm, t| Ok(vm.int(dialect_of(t).quoting)), None);
    vm.add_getset(
        &ty,
        "lineterminator",
        |vm, t| Ok(vm.new_str(Str::from_points(dialect_of(t).lineterminator.clone()))),
        None,
    );
    ty
}

/// The fields of a record under way.
struct Parser<'a> {
    dialect: &'a Dialect,
    state: State,
    field: Vec<u32>,
    quoted: bool,
    fields: Vec<Value>,
    limit: usize,
}

impl Parser<'_> {
    fn save(&mut self, vm: &Vm) -> PyResult<()> {
        let text = vm.new_str(Str::from_points(std::mem::take(&mut self.field)));
        let quoted = std::mem::take(&mut self.quoted);
        let empty = vm.len(&text)? == 0;
        let value = match self.dialect.quoting {
            QUOTE_NONNUMERIC if !quoted => vm.call_pos(&vm.types.float, &[text])?,
            QUOTE_STRINGS if !quoted && empty => Value::NONE,
            QUOTE_STRINGS if !quoted => vm.call_pos(&vm.types.float, &[text])?,
            QUOTE_NOTNULL if !quoted && empty => Value::NONE,
            _ => text,
        };
        self.fields.push(value);
        Ok(())
    }

    fn add(&mut self, vm: &Vm, c: u32) -> PyResult<()> {
        if self.field.len() >= self.limit {
            return Err(error(vm, &format!("field larger than field limit ({})", self.limit)));
        }
        self.field.push(c);
        Ok(())
    }

    /// Takes a character; `None` is the end of a line that the iterator gave.
    fn step(&mut self, vm: &Vm, c: Option<u32>) -> PyResult<()> {
        let d = self.dialect;
        let end = matches!(c, None | Some(10 | 13));
        let after = |c: Option<u32>| if c.is_none() { State::StartRecord } else { State::EatEnd };
        match self.state {
            State::StartRecord if c.is_none() => {}
            State::StartRecord if end => self.state = State::EatEnd,
            State::StartRecord | State::StartField => {
                self.state = State::StartField;
                if end {
                    self.save(vm)?;
                    self.state = after(c);
                } else if c.is_some() && c == d.quotechar && d.quoting != QUOTE_NONE {
                    self.quoted = true;
                    self.state = State::InQuoted;
                } else if c.is_some() && c == d.escapechar {
                    self.state = State::Escaped;
                } else if c == Some(32) && d.skipinitialspace {
                } else if c == Some(d.delimiter) {
                    self.save(vm)?;
                } else if let Some(c) = c {
                    self.add(vm, c)?;
                    self.state = State::InField;
                }
            }
            State::Escaped => match c {
                Some(c @ (10 | 13)) => {
                    self.add(vm, c)?;
                    self.state = State::AfterEscapedEnd;
                }
                c => {
                    self.add(vm, c.unwrap_or(10))?;
                    self.state = State::InField;
                }
            },
            State::AfterEscapedEnd if c.is_none() => {}
            State::AfterEscapedEnd | State::InField => {
                if end {
                    self.save(vm)?;
                    self.state = after(c);
                } else if c.is_some() && c == d.escapechar {
                    self.state = State::Escaped;
                } else if c == Some(d.delimiter) {
                    self.save(vm)?;
                    self.state = State::StartField;
                } else if let Some(c) = c {
                    self.add(vm, c)?;
                    self.state = State::InField;
                }
            }
            State::InQuoted => match c {
                None => {}
                c if c == d.escapechar => self.state = State::EscapedQuoted,
                c if c == d.quotechar && d.quoting != QUOTE_NONE => {
                    self.state = if d.doublequote { State::QuoteInQuoted } else { State::InField };
                }
                Some(c) => self.add(vm, c)?,
            },
            State::EscapedQuoted => {
                self.add(vm, c.unwrap_or(10))?;
                self.state = State::InQuoted;
            }
            State::QuoteInQuoted => {
                if d.quoting != QUOTE_NONE && c.is_some() && c == d.quotechar {
                    self.add(vm, c.unwrap_or(34))?;
                    self.state = State::InQuoted;
                } else if c == Some(d.delimiter) {
                    self.save(vm)?;
                    self.state = State::StartField;
                } else if end {
                    self.save(vm)?;
                    self.state = after(c);
                } else if d.strict {
                    let (delimiter, quote) = (vm.char_str(d.delimiter), optional(vm, d.quotechar));
                    return Err(error(
                        vm,
                        &format!("'{}' expected after '{}'", vm.text(&delimiter), vm.text(&quote)),
                    ));
                } else if let Some(c) = c {
                    self.add(vm, c)?;
                    self.state = State::InField;
                }
            }
            State::EatEnd => match c {
                Some(10 | 13) => {}
                None => self.state = State::StartRecord,
                Some(_) => {
                    return Err(error(
                        vm,
                        "new-line character seen in unquoted field - do you need to open the file with newline=''?",
                    ));
                }
            },
        }
        Ok(())
    }
}

fn read_record(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(reader) = value.get::<Reader>() else { return Ok(None) };
    let dialect = dialect_of(&reader.dialect);
    let limit = usize::try_from(shared(vm).limit.get()).unwrap_or(0);
    let mut p =
        Parser { dialect, state: State::StartRecord, field: vec![], quoted: false, fields: vec![], limit };
    loop {
        let Some(line) = vm.next(&reader.lines)? else {
            if !p.field.is_empty() || p.state == State::InQuoted {
                if dialect.strict {
                    return Err(error(vm, "unexpected end of data"));
                }
                p.save(vm)?;
                return Ok(Some(vm.list(p.fields)));
            }
            return Ok(None);
        };
        let Some(text) = line.get::<Str>() else {
            return Err(error(
                vm,
                &format!(
                    "iterator should return strings, not {} (the file should be opened in text mode)",
                    vm.type_name(&line)
                ),
            ));
        };
        reader.line_num.set(reader.line_num.get() + 1);
        for c in text.points() {
            p.step(vm, Some(c))?;
        }
        p.step(vm, None)?;
        if p.state == State::StartRecord {
            return Ok(Some(vm.list(p.fields)));
        }
    }
}

fn reader_type(vm: &Vm) -> Value {
    let ty = vm.new_type::<Reader>("_csv", "reader", None, flag::NO_NEW);
    iterator_methods(vm, &ty, read_record);
    vm.add_getset(
        &ty,
        "dialect",
        |_, t| Ok(t.get::<Reader>().map_or(Value::NONE, |r| r.dialect.clone())),
        None,
    );
    vm.add_getset(
        &ty,
        "line_num",
        |_, t| Ok(Value::from_len(t.get::<Reader>().map_or(0, |r| r.line_num.get()))),
        None,
    );
    ty
}

/// The text of a row.
fn format_row(vm: &Vm, d: &Dialect, row: &Value) -> PyResult<Vec<u32>> {
    let iterator = match vm.iter(row) {
        Ok(iterator) => iterator,
        Err(e) if vm.is_exception(&e, &vm.exc.type_error) => {
            return Err(error(vm, &format!("iterable expected, not {}", vm.type_name(row))));
        }
        Err(e) => return Err(e),
    };
    let mut out: Vec<u32> = Vec::new();
    let mut count = 0;
    let mut lone_empty = false;
    while let Some(field) = vm.next(&iterator)? {
        let is_number = vm.number(&field).is_some() || vm.special(&field, &vm.names.__float__).is_some();
        let is_text = field.kind() == Kind::Str;
        let mut quoted = match d.quoting {
            QUOTE_ALL => true,
            QUOTE_NONNUMERIC => !is_number,
            QUOTE_STRINGS => is_text,
            QUOTE_NOTNULL => !field.is_none(),
            _ => false,
        };
        let text = if field.is_none() { vm.str("") } else { vm.to_str(&field)? };
        let points = text.get::<Str>().map(Str::to_points).unwrap_or_default();
        if count > 0 {
            out.push(d.delimiter);
        }
        let mut shown: Vec<u32> = Vec::new();
        for c in &points {
            let special = *c == d.delimiter
                || Some(*c) == d.escapechar
                || Some(*c) == d.quotechar
                || matches!(c, 10 | 13)
                || d.lineterminator.contains(c);
            if special {
                let mut escape = false;
                if d.quoting == QUOTE_NONE {
                    escape = true;
                } else if Some(*c) == d.quotechar {
                    if d.doublequote {
                        shown.push(*c);
                        quoted = true;
                    } else {
                        escape = true;
                    }
                } else if Some(*c) == d.escapechar {
                    escape = true;
                }
                if escape {
                    match d.escapechar {
                        Some(e) => shown.push(e),
                        None => return Err(error(vm, "need to escape, but no escapechar set")),
                    }
                } else {
                    quoted = true;
                }
            }
            shown.push(*c);
        }
        if points.first() == Some(&32) && d.skipinitialspace && d.delimiter == 32 {
            quoted = true;
        }
        lone_empty = count == 0 && points.is_empty() && !quoted;
        match (quoted, d.quotechar) {
            (true, Some(quote)) => {
                out.push(quote);
                out.extend(shown);
                out.push(quote);
            }
            _ => out.extend(shown),
        }
        count += 1;
    }
    if count == 1 && lone_empty {
        let may = !matches!(d.quoting, QUOTE_NONE | QUOTE_STRINGS | QUOTE_NOTNULL);
        match d.quotechar {
            Some(quote) if may => out.extend([quote, quote]),
            _ => return Err(error(vm, "single empty field record must be quoted")),
        }
    }
    out.extend(&d.lineterminator);
    Ok(out)
}

fn write_row(vm: &Vm, this: &Value, row: &Value) -> PyResult {
    let w = this.get::<Writer>().expect("the descriptor checked the type");
    let text = format_row(vm, dialect_of(&w.dialect), row)?;
    vm.call_pos(&w.write, &[vm.new_str(Str::from_points(text))])
}

fn writer_type(vm: &Vm) -> Value {
    let ty = vm.new_type::<Writer>("_csv", "writer", None, flag::NO_NEW);
    vm.add_methods(
        &ty,
        &[
            ("writerow", "row /", |vm, args| write_row(vm, &args[0], &args[1])),
            ("writerows", "rows /", |vm, args| {
                let iterator = vm.iter(&args[1])?;
                while let Some(row) = vm.next(&iterator)? {
                    write_row(vm, &args[0], &row)?;
                }
                Ok(Value::NONE)
            }),
        ],
    );
    vm.add_getset(
        &ty,
        "dialect",
        |_, t| Ok(t.get::<Writer>().map_or(Value::NONE, |w| w.dialect.clone())),
        None,
    );
    ty
}

/// The dialect of a call: second argument or `dialect=`, and the other keywords.
fn call_dialect(vm: &Vm, args: Args) -> PyResult {
    let mut given = named(vm, args);
    let mut base = args.positional().get(1).cloned();
    if let Some(at) = given.iter().position(|(n, _)| n == "dialect") {
        base = Some(given.remove(at).1);
    }
    new_dialect(vm, base.as_ref(), &given)
}

const FUNCTIONS: &[Method] = &[
    ("reader", "...", |vm, args| {
        let Some(lines) = args.positional().first() else {
            return Err(vm.type_error("reader expected at least 1 argument, got 0"));
        };
        let (lines, dialect) = (vm.iter(lines)?, call_dialect(vm, args)?);
        Ok(new_object(&shared(vm).reader_type, Reader { lines, dialect, line_num: Cell::new(0) }))
    }),
    ("writer", "...", |vm, args| {
        let Some(file) = args.positional().first() else {
            return Err(vm.type_error("writer expected at least 1 argument, got 0"));
        };
        let dialect = call_dialect(vm, args)?;
        let Some(write) = vm.find_attr(file, &vm.names.write)? else {
            return Err(vm.type_error("argument 1 must have a \"write\" method"));
        };
        Ok(new_object(&shared(vm).writer_type, Writer { write, dialect }))
    }),
    ("register_dialect", "...", |vm, args| {
        let Some(name) = args.positional().first() else {
            return Err(vm.type_error("register_dialect expected at least 1 argument, got 0"));
        };
        if name.kind() != Kind::Str {
            return Err(vm.type_error("dialect name must be a string"));
        }
        let dialect = call_dialect(vm, args)?;
        vm.dict_set(&shared(vm).dialects, name.clone(), dialect)?;
        Ok(Value::NONE)
    }),
    ("unregister_dialect", "name /", |vm, args| {
        get_dialect(vm, &args[0])?;
        vm.delete_item(&shared(vm).dialects, &args[0])?;
        Ok(Value::NONE)
    }),
    ("get_dialect", "name /", |vm, args| get_dialect(vm, &args[0])),
    ("list_dialects", "", |vm, _| Ok(vm.list(vm.to_vec(&shared(vm).dialects)?))),
    ("field_size_limit", "limit? /", |vm, args| {
        let shared = shared(vm);
        let old = shared.limit.get();
        if let Some(limit) = args.opt(0) {
            if !vm.is_int(limit) {
                return Err(vm.type_error("limit must be an integer"));
            }
            shared.limit.set(vm.index(limit)?);
        }
        Ok(vm.int(old))
    }),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("_csv", FUNCTIONS);
    let shared = shared(vm);
    for (name, value) in [
        ("QUOTE_MINIMAL", QUOTE_MINIMAL),
        ("QUOTE_ALL", QUOTE_ALL),
        ("QUOTE_NONNUMERIC", QUOTE_NONNUMERIC),
        ("QUOTE_NONE", QUOTE_NONE),
        ("QUOTE_STRINGS", QUOTE_STRINGS),
        ("QUOTE_NOTNULL", QUOTE_NOTNULL),
    ] {
        vm.module_set(&module, name, vm.int(value));
    }
    vm.module_set(&module, "Error", shared.error.clone());
    vm.module_set(&module, "Dialect", shared.dialect_type.clone());
    vm.module_set(&module, "Reader", shared.reader_type.clone());
    vm.module_set(&module, "Writer", shared.writer_type.clone());
    vm.module_set(&module, "_dialects", shared.dialects.clone());
    vm.module_set(&module, "__version__", vm.str("1.0"));
    Ok(module)
}
