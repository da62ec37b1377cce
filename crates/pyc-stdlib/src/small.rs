//! Small modules: `_abc`, `_weakref`, `_thread`, `_string`, `_signal`, `atexit`, `errno`, `gc`, `marshal`.

use std::cell::RefCell;

use pyc_runtime::str::Str;
use pyc_runtime::types::{Type, flag};
use pyc_runtime::{Args, Kind, Payload, PyResult, Value, Vm, new_object};

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
    let subclasses = class.get::<Type>().map(|c| c.subclasses.borrow().clone()).unwrap_or_default();
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

/// A lock of a program with one thread.
#[derive(Default)]
struct Lock {
    held: std::cell::Cell<u32>,
    again: std::cell::Cell<bool>,
}
impl Payload for Lock {}

fn acquire(vm: &Vm, args: Args) -> PyResult {
    let Some(lock) = args[0].get::<Lock>() else { return Ok(Value::FALSE) };
    if lock.held.get() > 0 && !lock.again.get() {
        let blocking = args.opt(1).map_or(Ok(true), |b| vm.truth(b))?;
        if blocking && args.opt(2).is_none() {
            return Err(vm.runtime_error("deadlock: the only thread waits for a lock that it holds"));
        }
        return Ok(Value::FALSE);
    }
    lock.held.set(lock.held.get() + 1);
    Ok(Value::TRUE)
}

fn release(vm: &Vm, args: Args) -> PyResult {
    let Some(lock) = args.all[0].get::<Lock>() else { return Ok(Value::NONE) };
    if lock.held.get() == 0 {
        return Err(vm.runtime_error(if lock.again.get() {
            "cannot release un-acquired lock"
        } else {
            "release unlocked lock"
        }));
    }
    lock.held.set(lock.held.get() - 1);
    Ok(Value::NONE)
}

pub(crate) fn thread_module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "_thread",
        &[
            ("get_ident", "", |_, _| Ok(Value::from_i32(1))),
            ("get_native_id", "", |_, _| Ok(Value::from_i32(1))),
            ("allocate_lock", "", |vm, _| {
                vm.call_pos(&vm.get_attr_str(&vm.import("_thread")?, "LockType")?, &[])
            }),
            ("start_new_thread", "...", |vm, _| {
                Err(vm.runtime_error("threads are not supported: programs run in one thread"))
            }),
            ("_count", "", |_, _| Ok(Value::from_i32(0))),
            ("stack_size", "size? /", |_, _| Ok(Value::from_i32(0))),
        ],
    );
    for (name, again) in [("LockType", false), ("RLock", true)] {
        let ty = vm.new_type::<Lock>(
            "_thread",
            if again { "RLock" } else { "lock" },
            None,
            flag::WEAK | flag::BASE,
        );
        vm.add_methods(
            &ty,
            &[
                (
                    "__new__",
                    "...",
                    if again {
                        |_, args| {
                            Ok(new_object(
                                &args.all[0],
                                Lock { again: std::cell::Cell::new(true), ..Lock::default() },
                            ))
                        }
                    } else {
                        |_, args| Ok(new_object(&args.all[0], Lock::default()))
                    },
                ),
                ("acquire", "blocking? timeout?", acquire),
                ("__enter__", "", acquire),
                ("release", "", release),
                ("__exit__", "...", release),
                ("locked", "", |_, args| {
                    Ok(Value::from_bool(args[0].get::<Lock>().is_some_and(|l| l.held.get() > 0)))
                }),
                ("_is_owned", "", |_, args| {
                    Ok(Value::from_bool(args[0].get::<Lock>().is_some_and(|l| l.held.get() > 0)))
                }),
            ],
        );
        vm.module_set(&module, name, ty.clone());
        if !again {
            vm.module_set(&module, "lock", ty);
        }
    }
    vm.module_set(&module, "TIMEOUT_MAX", vm.float(9e9));
    vm.module_set(&module, "error", vm.exc.runtime_error.clone());
    let local = vm.call_pos(&vm.types.type_, &[vm.str("_local"), vm.tuple(vec![]), vm.dict()])?;
    vm.module_set(&module, "_local", local);
    Ok(module)
}

pub(crate) fn string_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object(
        "_string",
        &[
            ("formatter_parser", "string /", |vm, args| {
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

pub(crate) fn signal_module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "_signal",
        &[
            ("default_int_handler", "...", |vm, _| Err(vm.raise_bare(&vm.exc.keyboard_interrupt))),
            ("getsignal", "signalnum /", |_, _| Ok(Value::NONE)),
        ],
    );
    for (name, n) in [("SIGINT", 2), ("SIGTERM", 15), ("SIG_DFL", 0), ("SIG_IGN", 1), ("NSIG", 65)] {
        vm.module_set(&module, name, Value::from_i32(n));
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
            ("_ncallbacks", "", |_, _| Ok(Value::from_i32(0))),
            ("_clear", "", |_, _| Ok(Value::NONE)),
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

pub(crate) fn gc_module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "gc",
        &[
            ("collect", "generation?", |_, _| Ok(Value::from_len(pyc_runtime::object::collect()))),
            ("enable", "", |_, _| {
                pyc_runtime::object::set_threshold(50_000);
                Ok(Value::NONE)
            }),
            ("disable", "", |_, _| {
                pyc_runtime::object::set_threshold(0);
                Ok(Value::NONE)
            }),
            ("isenabled", "", |_, _| Ok(Value::TRUE)),
            ("get_objects", "generation?", |vm, _| Ok(vm.list(pyc_runtime::object::tracked()))),
            ("get_threshold", "", |vm, _| {
                Ok(vm.tuple(vec![Value::from_i32(50_000), Value::from_i32(0), Value::from_i32(0)]))
            }),
            ("set_threshold", "...", |_, _| Ok(Value::NONE)),
            ("get_count", "", |vm, _| {
                Ok(vm.tuple(vec![
                    Value::from_len(pyc_runtime::object::tracked_count()),
                    Value::from_i32(0),
                    Value::from_i32(0),
                ]))
            }),
            ("freeze", "", |_, _| Ok(Value::NONE)),
            ("unfreeze", "", |_, _| Ok(Value::NONE)),
            ("is_tracked", "obj /", |_, args| {
                Ok(Value::from_bool(matches!(
                    args[0].kind(),
                    Kind::List | Kind::Dict | Kind::Tuple | Kind::Set | Kind::Instance
                )))
            }),
            ("get_debug", "", |_, _| Ok(Value::from_i32(0))),
            ("set_debug", "flags /", |_, _| Ok(Value::NONE)),
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
