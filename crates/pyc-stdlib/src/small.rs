//! Small modules: `_abc`, `_weakref`, `_warnings`, `_string`, `_signal`, `atexit`, `errno`, `gc`, `marshal`.

use std::cell::RefCell;

use pyc_runtime::str::Str;
use pyc_runtime::types::{Type, flag};
use pyc_runtime::{Args, Kind, PyResult, Value, Vm};

/// Registered and remembered classes of an abstract class.
fn registry(vm: &Vm, class: &Value) -> PyResult {
    let key = vm.intern("_abc_registry_list");
    if let Some(found) = class.get::<Type>().and_then(|c| c.own(&key)) {
        return Ok(found);
    }
    let list = vm.list(vec![]);
    vm.type_set(class, &key, list.clone())?;
    Ok(list)
}

fn abc_init(vm: &Vm, args: Args) -> PyResult {
    let class = &args[0];
    let Some(c) = class.get::<Type>() else { return Err(vm.type_error("_abc_init needs a class")) };
    let mut names: Vec<Value> = Vec::new();
    let abstract_value = |value: &Value| -> PyResult<bool> {
        match vm.find_attr(value, &vm.names.__isabstractmethod__)? {
            Some(flag) => vm.truth(&flag),
            None => Ok(false),
        }
    };
    let own: Vec<(Value, Value)> = c.dict.borrow().iter().map(|e| (e.key.clone(), e.value.clone())).collect();
    for (name, value) in own {
        if abstract_value(&value)? {
            names.push(name);
        }
    }
    for base in c.bases.borrow().clone() {
        if let Some(inherited) = vm.find_attr(&base, &vm.names.__abstractmethods__)? {
            for name in vm.to_vec(&inherited)? {
                let name = vm.intern_value(&name);
                if let Some(value) = vm.find_attr(class, &name)?
                    && abstract_value(&value)?
                    && !names.iter().any(|n| n.is(&name))
                {
                    names.push(name);
                }
            }
        }
    }
    let set = vm.frozen_set(names)?;
    vm.set_attr(class, &vm.names.__abstractmethods__, set)?;
    Ok(Value::NONE)
}

fn abc_subclasscheck(vm: &Vm, args: Args) -> PyResult {
    let (class, sub) = (&args[0], &args[1]);
    if sub.kind() != Kind::Type {
        return Err(vm.type_error("issubclass() arg 1 must be a class"));
    }
    vm.check_stack()?;
    let hook = vm.get_attr_str(class, "__subclasshook__")?;
    let answer = vm.call_pos(&hook, std::slice::from_ref(sub))?;
    if !answer.is(&Value::NOT_IMPLEMENTED) {
        return Ok(Value::from_bool(vm.truth(&answer)?));
    }
    if vm.is_subtype(sub, class) {
        return Ok(Value::TRUE);
    }
    for registered in vm.to_vec(&registry(vm, class)?)? {
        if vm.is_subclass(sub, &registered)? {
            return Ok(Value::TRUE);
        }
    }
    let subclasses: Vec<Value> = class
        .get::<Type>()
        .map(|c| c.subclasses.borrow().iter().map(|s| s.owned()).collect())
        .unwrap_or_default();
    for subclass in subclasses {
        if vm.is_subclass(sub, &subclass)? {
            return Ok(Value::TRUE);
        }
    }
    Ok(Value::FALSE)
}

pub(crate) fn abc_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object(
        "_abc",
        &[
            ("_abc_init", "cls /", abc_init),
            ("_abc_register", "cls subclass /", |vm, args| {
                if args[1].kind() != Kind::Type {
                    return Err(vm.type_error("Can only register classes"));
                }
                if vm.is_subclass(&args[0], &args[1])? && !vm.is_subclass(&args[1], &args[0])? {
                    return Err(vm.runtime_error("Refusing to create an inheritance cycle"));
                }
                let list = registry(vm, &args[0])?;
                vm.list_append(&list, args[1].clone())?;
                let kinds = [
                    ("Sequence", flag::SEQUENCE),
                    ("MutableSequence", flag::SEQUENCE),
                    ("Mapping", flag::MAPPING),
                    ("MutableMapping", flag::MAPPING),
                ];
                if let (Some(class), Some(sub)) = (args[0].get::<Type>(), args[1].get::<Type>()) {
                    for (name, bit) in kinds {
                        if &*class.name() == name && !matches!(&*sub.name(), "str" | "bytes" | "bytearray") {
                            sub.set(bit);
                        }
                    }
                }
                Ok(args[1].clone())
            }),
            ("_abc_instancecheck", "cls instance /", |vm, args| {
                let class = vm.get_attr(&args[1], &vm.names.__class__)?;
                if vm.is_subclass(&class, &args[0])? {
                    return Ok(Value::TRUE);
                }
                let real = vm.type_of(&args[1]).clone();
                Ok(Value::from_bool(!real.is(&class) && vm.is_subclass(&real, &args[0])?))
            }),
            ("_abc_subclasscheck", "cls subclass /", abc_subclasscheck),
            ("get_cache_token", "", |_, _| Ok(Value::from_i32(0))),
            ("_reset_registry", "cls /", |_, _| Ok(Value::NONE)),
            ("_reset_caches", "cls /", |_, _| Ok(Value::NONE)),
            ("_get_dump", "cls /", |vm, args| {
                let set = vm.set(vm.to_vec(&registry(vm, &args[0])?)?)?;
                Ok(vm.tuple(vec![set, vm.set(vec![])?, vm.set(vec![])?, Value::from_i32(0)]))
            }),
        ],
    ))
}

pub(crate) fn weakref_module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "_weakref",
        &[
            ("getweakrefcount", "object /", |vm, args| {
                Ok(Value::from_len(vm.weak_references(&args[0]).len()))
            }),
            ("getweakrefs", "object /", |vm, args| Ok(vm.list(vm.weak_references(&args[0])))),
            ("proxy", "object callback? /", |vm, args| {
                vm.weak_reference(&vm.types.weakproxy, &args[0], args.opt(1).cloned().unwrap_or(Value::NONE))
            }),
            ("_remove_dead_weakref", "dct key /", |vm, args| {
                let result = vm.delete_item(&args[0], &args[1]);
                vm.catch(result, &vm.exc.key_error)?;
                Ok(Value::NONE)
            }),
        ],
    );
    for (name, ty) in [
        ("ref", &vm.types.weakref),
        ("ReferenceType", &vm.types.weakref),
        ("ProxyType", &vm.types.weakproxy),
        ("CallableProxyType", &vm.types.weakproxy),
    ] {
        vm.module_set(&module, name, ty.clone());
    }
    Ok(module)
}

fn format_argument(vm: &Vm, value: &Value) -> PyResult<()> {
    match value.get::<Str>() {
        Some(_) => Ok(()),
        None => Err(vm.type_error(format!("expected str, got {}", vm.type_name(value)))),
    }
}

pub(crate) fn string_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object(
        "_string",
        &[
            ("formatter_parser", "string /", |vm, args| {
                format_argument(vm, &args[0])?;
                let text = vm.str_text(&args[0])?;
                let mut parts = Vec::new();
                let mut literal = String::new();
                let chars: Vec<char> = text.chars().collect();
                let mut i = 0;
                while i < chars.len() {
                    let c = chars[i];
                    if (c == '{' || c == '}') && chars.get(i + 1) == Some(&c) {
                        literal.push(c);
                        i += 2;
                        continue;
                    }
                    if c == '}' {
                        return Err(vm.value_error("Single '}' encountered in format string"));
                    }
                    if c != '{' {
                        literal.push(c);
                        i += 1;
                        continue;
                    }
                    let start = i + 1;
                    let mut depth = 1;
                    i = start;
                    while i < chars.len() && depth > 0 {
                        match chars[i] {
                            '{' => depth += 1,
                            '}' => depth -= 1,
                            _ => {}
                        }
                        i += 1;
                    }
                    if depth > 0 {
                        return Err(vm.value_error(if start >= chars.len() {
                            "Single '{' encountered in format string"
                        } else {
                            "expected '}' before end of string"
                        }));
                    }
                    let field: String = chars[start..i - 1].iter().collect();
                    let mut bracket = false;
                    let end = field.char_indices().find(|(_, c)| {
                        bracket = match c {
                            '[' => true,
                            ']' => false,
                            _ => bracket,
                        };
                        !bracket && matches!(c, '!' | ':')
                    });
                    let (name, rest) = field.split_at(end.map_or(field.len(), |(at, _)| at));
                    let (conversion, spec) = match rest.strip_prefix('!') {
                        Some(rest) => (
                            rest.chars().next().map(|c| c.to_string()),
                            rest.get(1..).and_then(|r| r.strip_prefix(':')).unwrap_or(""),
                        ),
                        None => (None, rest.strip_prefix(':').unwrap_or("")),
                    };
                    let conversion = conversion.map_or(Value::NONE, |c| vm.str(&c));
                    parts.push(vm.tuple(vec![vm.str(&literal), vm.str(name), vm.str(spec), conversion]));
                    literal.clear();
                }
                if !literal.is_empty() {
                    parts.push(vm.tuple(vec![vm.str(&literal), Value::NONE, Value::NONE, Value::NONE]));
                }
                vm.iter(&vm.list(parts))
            }),
            ("formatter_field_name_split", "string /", |vm, args| {
                format_argument(vm, &args[0])?;
                let text = vm.str_text(&args[0])?;
                let at = text.find(['.', '[']).unwrap_or(text.len());
                let (first, mut rest) = text.split_at(at);
                let number = |t: &str| match t.parse::<i64>() {
                    Ok(n) if t.bytes().all(|b| b.is_ascii_digit()) => vm.int(n),
                    _ => vm.str(t),
                };
                let mut parts = Vec::new();
                while !rest.is_empty() {
                    if let Some(r) = rest.strip_prefix('.') {
                        let end = r.find(['.', '[']).unwrap_or(r.len());
                        parts.push(vm.tuple(vec![Value::TRUE, vm.str(&r[..end])]));
                        rest = &r[end..];
                    } else {
                        let r = &rest[1..];
                        let Some(end) = r.find(']') else {
                            return Err(vm.value_error("Missing ']' in format string"));
                        };
                        parts.push(vm.tuple(vec![Value::FALSE, number(&r[..end])]));
                        rest = &r[end + 1..];
                    }
                }
                let iterator = vm.iter(&vm.list(parts))?;
                Ok(vm.tuple(vec![number(first), iterator]))
            }),
        ],
    ))
}

const SIGNALS: &[(&str, i32)] = &[
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGCHLD", 17),
    ("SIGCONT", 18),
    ("SIGSTOP", 19),
    ("SIGTSTP", 20),
];

/// Handlers by signal; what was not set has the default.
fn handlers(vm: &Vm) -> Value {
    (*vm.state("signal_handlers", || vm.dict())).clone()
}

fn signal_number(vm: &Vm, value: &Value) -> PyResult<i64> {
    let n = vm.index(value)?;
    if (1..65).contains(&n) { Ok(n) } else { Err(vm.value_error("signal number out of range")) }
}

fn current_handler(vm: &Vm, number: i64) -> PyResult {
    let found = vm.call_method_str(&handlers(vm), "get", &[vm.int(number)])?;
    if !found.is_none() {
        return Ok(found);
    }
    if number == 2 {
        return vm.get_attr_str(&vm.import("_signal")?, "default_int_handler");
    }
    Ok(Value::from_i32(0))
}

/// A program gets no signals from outside; it can raise its own.
pub(crate) fn signal_module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "_signal",
        &[
            ("default_int_handler", "...", |vm, _| Err(vm.raise_bare(&vm.exc.keyboard_interrupt))),
            ("getsignal", "signalnum /", |vm, args| {
                let number = signal_number(vm, &args[0])?;
                current_handler(vm, number)
            }),
            ("signal", "signalnum handler /", |vm, args| {
                let number = signal_number(vm, &args[0])?;
                let usable = vm.is_int(&args[1]) && matches!(vm.as_i64(&args[1]), Some(0 | 1))
                    || vm.special(&args[1], &vm.names.__call__).is_some();
                if !usable {
                    return Err(vm.type_error(
                        "signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object",
                    ));
                }
                let old = current_handler(vm, number)?;
                vm.dict_set(&handlers(vm), vm.int(number), args[1].clone())?;
                Ok(old)
            }),
            ("raise_signal", "signalnum /", |vm, args| {
                let number = signal_number(vm, &args[0])?;
                let handler = current_handler(vm, number)?;
                match vm.as_i64(&handler) {
                    Some(1) => Ok(Value::NONE),
                    Some(_) => {
                        let made = vm.call_pos(&vm.exc.system_exit, &[vm.int(128 + number)])?;
                        Err(pyc_runtime::Raised(made))
                    }
                    None => {
                        vm.call_pos(&handler, &[vm.int(number), Value::NONE])?;
                        Ok(Value::NONE)
                    }
                }
            }),
            // No signal comes from outside, so there is nothing to wake up for.
            ("set_wakeup_fd", "fd * warn_on_full_buffer?", |vm, args| {
                let last = vm.state("signal_wakeup", || std::cell::Cell::new(-1i64));
                Ok(vm.int(last.replace(vm.index(&args[0])?)))
            }),
            ("siginterrupt", "signalnum flag /", |vm, args| {
                signal_number(vm, &args[0])?;
                Ok(Value::NONE)
            }),
            ("valid_signals", "", |vm, _| vm.set((1..65).map(Value::from_i32).collect())),
            ("strsignal", "signalnum /", |vm, args| {
                let number = signal_number(vm, &args[0])?;
                let name = SIGNALS.iter().find(|(_, n)| i64::from(*n) == number);
                Ok(name.map_or(Value::NONE, |(name, _)| vm.str(name)))
            }),
        ],
    );
    for (name, n) in SIGNALS.iter().chain(&[("SIG_DFL", 0), ("SIG_IGN", 1), ("NSIG", 65)]) {
        vm.module_set(&module, name, Value::from_i32(*n));
    }
    Ok(module)
}

pub(crate) fn atexit_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object(
        "atexit",
        &[
            ("register", "...", |vm, args| {
                let list = vm.state("atexit", || RefCell::new(Vec::<(Vec<Value>, Vec<Value>)>::new()));
                list.borrow_mut().push((args.all.to_vec(), args.names.to_vec()));
                Ok(args.all[0].clone())
            }),
            ("unregister", "func /", |vm, args| {
                let list = vm.state("atexit", || RefCell::new(Vec::<(Vec<Value>, Vec<Value>)>::new()));
                let all = list.take();
                let mut kept = Vec::new();
                for entry in all {
                    if !vm.equal(&entry.0[0], &args[0])? {
                        kept.push(entry);
                    }
                }
                *list.borrow_mut() = kept;
                Ok(Value::NONE)
            }),
            ("_run_exitfuncs", "", |vm, _| {
                let list = vm.state("atexit", || RefCell::new(Vec::<(Vec<Value>, Vec<Value>)>::new()));
                loop {
                    let next = list.borrow_mut().pop();
                    let Some((all, names)) = next else { return Ok(Value::NONE) };
                    if let Err(error) = vm.call(&all[0], Args { all: &all[1..], names: &names }) {
                        vm.unraisable(error, "Exception ignored in atexit callback: ", Some(&all[0]));
                    }
                }
            }),
            ("_ncallbacks", "", |vm, _| {
                let list = vm.state("atexit", || RefCell::new(Vec::<(Vec<Value>, Vec<Value>)>::new()));
                let count = list.borrow().len();
                Ok(Value::from_len(count))
            }),
            ("_clear", "", |vm, _| {
                drop(vm.state("atexit", || RefCell::new(Vec::<(Vec<Value>, Vec<Value>)>::new())).take());
                Ok(Value::NONE)
            }),
        ],
    ))
}

pub(crate) fn errno_module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("errno", &[]);
    let codes = vm.dict();
    for (name, n) in [
        ("EPERM", 1),
        ("ENOENT", 2),
        ("ESRCH", 3),
        ("EINTR", 4),
        ("EIO", 5),
        ("ENXIO", 6),
        ("E2BIG", 7),
        ("EBADF", 9),
        ("ECHILD", 10),
        ("EAGAIN", 11),
        ("ENOMEM", 12),
        ("EACCES", 13),
        ("EFAULT", 14),
        ("EBUSY", 16),
        ("EEXIST", 17),
        ("EXDEV", 18),
        ("ENODEV", 19),
        ("ENOTDIR", 20),
        ("EISDIR", 21),
        ("EINVAL", 22),
        ("ENFILE", 23),
        ("EMFILE", 24),
        ("EFBIG", 27),
        ("ENOSPC", 28),
        ("ESPIPE", 29),
        ("EROFS", 30),
        ("EPIPE", 32),
        ("EDOM", 33),
        ("ERANGE", 34),
        ("ENAMETOOLONG", 36),
        ("ENOSYS", 38),
        ("ENOTEMPTY", 39),
        ("ELOOP", 40),
        ("EWOULDBLOCK", 11),
        ("ECONNREFUSED", 111),
        ("ECONNRESET", 104),
        ("ECONNABORTED", 103),
        ("ETIMEDOUT", 110),
        ("EINPROGRESS", 115),
        ("EALREADY", 114),
        ("ESHUTDOWN", 108),
        ("ENOTSUP", 95),
        ("EOPNOTSUPP", 95),
        ("ENOTCONN", 107),
    ] {
        vm.module_set(&module, name, Value::from_i32(n));
        vm.dict_set(&codes, Value::from_i32(n), vm.str(name))?;
    }
    vm.module_set(&module, "errorcode", codes);
    Ok(module)
}

/// What `gc` remembers of its settings.
struct Collector {
    on: std::cell::Cell<bool>,
    count: std::cell::Cell<usize>,
    older: std::cell::Cell<(i64, i64)>,
}

fn collector(vm: &Vm) -> std::rc::Rc<Collector> {
    vm.state("gc", || Collector {
        on: std::cell::Cell::new(true),
        count: std::cell::Cell::new(50_000),
        older: std::cell::Cell::new((10, 10)),
    })
}

fn unsupported(vm: &Vm, what: &str) -> pyc_runtime::Raised {
    vm.raise(&vm.exc.not_implemented_error, &format!("{what} is not supported"))
}

pub(crate) fn gc_module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "gc",
        &[
            ("collect", "generation?", |_, _| Ok(Value::from_len(pyc_runtime::object::collect()))),
            ("enable", "", |vm, _| {
                let gc = collector(vm);
                gc.on.set(true);
                pyc_runtime::object::set_threshold(gc.count.get());
                Ok(Value::NONE)
            }),
            ("disable", "", |vm, _| {
                collector(vm).on.set(false);
                pyc_runtime::object::set_threshold(0);
                Ok(Value::NONE)
            }),
            ("isenabled", "", |vm, _| Ok(Value::from_bool(collector(vm).on.get()))),
            ("get_objects", "generation?", |vm, _| Ok(vm.list(pyc_runtime::object::tracked()))),
            ("get_threshold", "", |vm, _| {
                let gc = collector(vm);
                let (older, oldest) = gc.older.get();
                Ok(vm.tuple(vec![Value::from_len(gc.count.get()), vm.int(older), vm.int(oldest)]))
            }),
            ("set_threshold", "threshold0 threshold1? threshold2? /", |vm, args| {
                let gc = collector(vm);
                let count = usize::try_from(vm.index(&args[0])?).unwrap_or(0);
                let (older, oldest) = gc.older.get();
                // There are no generations; the other two are only remembered.
                gc.older.set((
                    args.opt(1).map_or(Ok(older), |v| vm.index(v))?,
                    args.opt(2).map_or(Ok(oldest), |v| vm.index(v))?,
                ));
                gc.count.set(count);
                pyc_runtime::object::set_threshold(if gc.on.get() { count } else { 0 });
                Ok(Value::NONE)
            }),
            ("get_count", "", |vm, _| {
                Ok(vm.tuple(vec![
                    Value::from_len(pyc_runtime::object::tracked_count()),
                    Value::from_i32(0),
                    Value::from_i32(0),
                ]))
            }),
            ("get_referrers", "...", |vm, args| {
                let mut found = Vec::new();
                for object in pyc_runtime::object::tracked() {
                    if args.all.iter().any(|a| pyc_runtime::object::refers(&object, a)) {
                        found.push(object);
                    }
                }
                Ok(vm.list(found))
            }),
            ("get_referents", "...", |vm, args| {
                Ok(vm.list(args.all.iter().flat_map(pyc_runtime::object::referents).collect()))
            }),
            ("freeze", "", |vm, _| Err(unsupported(vm, "gc.freeze"))),
            ("unfreeze", "", |vm, _| Err(unsupported(vm, "gc.unfreeze"))),
            ("get_freeze_count", "", |_, _| Ok(Value::from_i32(0))),
            ("is_tracked", "obj /", |_, args| Ok(Value::from_bool(args[0].is_tracked()))),
            ("is_finalized", "obj /", |_, args| Ok(Value::from_bool(args[0].is_finalized()))),
            ("get_debug", "", |_, _| Ok(Value::from_i32(0))),
            ("set_debug", "flags /", |vm, args| match vm.index(&args[0])? {
                0 => Ok(Value::NONE),
                _ => Err(unsupported(vm, "gc.set_debug")),
            }),
        ],
    );
    vm.module_set(&module, "garbage", vm.list(vec![]));
    vm.module_set(&module, "callbacks", vm.list(vec![]));
    Ok(module)
}

pub(crate) fn marshal_module(vm: &Vm) -> PyResult {
    let refuse = |vm: &Vm, _: Args| -> PyResult {
        Err(vm.value_error("marshal is not supported: code has no portable form here"))
    };
    let module = vm.native_module_object("marshal", &[("dumps", "...", refuse), ("loads", "...", refuse)]);
    vm.module_set(&module, "version", Value::from_i32(4));
    let _ = Str::new("");
    Ok(module)
}

/// `warn` for those who import the C module; everything else of warnings is the library's.
pub(crate) fn warnings_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object(
        "_warnings",
        &[("warn", "...", |vm, args| {
            let warn = vm.get_attr_str(&vm.import("warnings")?, "warn")?;
            vm.call(&warn, args)
        })],
    ))
}
