//! `sys`

use std::cell::RefCell;

use pyc_runtime::exceptions::ExceptionData;
use pyc_runtime::module::ModuleData;
use pyc_runtime::registry::Plain;
use pyc_runtime::str::Str;
use pyc_runtime::{Args, Method, PyResult, Value, Vm, new_object};

use crate::streams;

/// The version of Python whose semantics are followed.
const VERSION: (i32, i32, i32) = (3, 12, 8);

fn exc_info(vm: &Vm, _: Args) -> PyResult {
    let handled = vm.handled.borrow().clone();
    if handled.is_none() {
        return Ok(vm.tuple(vec![Value::NONE, Value::NONE, Value::NONE]));
    }
    let traceback = handled.get::<ExceptionData>().map_or(Value::NONE, |d| d.traceback.borrow().clone());
    Ok(vm.tuple(vec![vm.type_of(&handled).clone(), handled, traceback]))
}

fn exit(vm: &Vm, args: Args) -> PyResult {
    let list = args.opt(0).cloned().into_iter().collect::<Vec<_>>();
    let made = vm.call_pos(&vm.exc.system_exit, &list)?;
    Err(pyc_runtime::Raised(made))
}

fn get_frame(vm: &Vm, args: Args) -> PyResult {
    let depth = args.opt(0).map_or(Ok(0), |d| vm.index(d))?;
    vm.sync_frames();
    let count = vm.frames.borrow().len() as i64;
    if depth < 0 || depth >= count {
        return Err(vm.value_error("call stack is not deep enough"));
    }
    Ok(vm.frame_at((count - 1 - depth) as usize))
}

fn display_hook(vm: &Vm, args: Args) -> PyResult {
    if args[0].is_none() {
        return Ok(Value::NONE);
    }
    let text = vm.repr_text(&args[0])?;
    let sys = vm.sys.borrow().clone();
    if let Some(out) = vm.dict_get_name(&sys, &vm.names.stdout) {
        vm.call_method(&out, &vm.names.write, &[vm.str(&format!("{text}\n"))])?;
    }
    vm.set_builtin("_", args[0].clone());
    Ok(Value::NONE)
}

fn except_hook(vm: &Vm, args: Args) -> PyResult {
    let text = vm.format_exception(&args[1]);
    vm.write_stderr(&text);
    Ok(Value::NONE)
}

const FUNCTIONS: &[Method] = &[
    ("exc_info", "", exc_info),
    ("exception", "", |vm, _| Ok(vm.handled.borrow().clone())),
    ("exit", "status? /", exit),
    ("_getframe", "depth? /", get_frame),
    ("_getframemodulename", "depth?", |vm, args| {
        let depth = args.opt(0).map_or(Ok(0), |d| vm.index(d))?;
        vm.sync_frames();
        let frames = vm.frames.borrow();
        let at = frames.len() as i64 - 1 - depth;
        match frames.get(at as usize) {
            Some(frame) if at >= 0 => {
                Ok(vm.dict_get_name(&frame.globals, &vm.names.__name__).unwrap_or(Value::NONE))
            }
            _ => Ok(Value::NONE),
        }
    }),
    ("getrecursionlimit", "", |vm, _| Ok(Value::from_len(vm.recursion_limit.get()))),
    ("setrecursionlimit", "limit /", |vm, args| {
        let n = vm.index(&args[0])?;
        if n < 1 {
            return Err(vm.value_error("recursion limit must be greater or equal than 1"));
        }
        vm.recursion_limit.set(n as usize);
        Ok(Value::NONE)
    }),
    ("getrefcount", "object /", |_, args| {
        Ok(Value::from_len(args[0].reference_count().min(1 << 30) as usize))
    }),
    ("getsizeof", "object default?", |vm, args| match vm.call_method_str(&args[0], "__sizeof__", &[]) {
        Ok(size) => Ok(size),
        Err(error) => args.opt(1).cloned().ok_or(error),
    }),
    ("intern", "string /", |vm, args| {
        vm.expect_str(&args[0], "intern() argument")?;
        Ok(vm.intern_value(&args[0]))
    }),
    ("getdefaultencoding", "", |vm, _| Ok(vm.str("utf-8"))),
    ("getfilesystemencoding", "", |vm, _| Ok(vm.str("utf-8"))),
    ("getfilesystemencodeerrors", "", |vm, _| Ok(vm.str("surrogateescape"))),
    ("get_int_max_str_digits", "", |vm, _| Ok(Value::from_len(vm.int_digits_max.get()))),
    ("set_int_max_str_digits", "maxdigits", |vm, args| {
        let n = vm.index(&args[0])?;
        if n != 0 && n < 640 {
            return Err(vm.value_error("maxdigits must be 0 or larger than 640"));
        }
        vm.int_digits_max.set(n as usize);
        Ok(Value::NONE)
    }),
    ("call_tracing", "func args /", |vm, args| vm.call_pos(&args[0], &vm.to_vec(&args[1])?)),
    ("gettrace", "", |_, _| Ok(Value::NONE)),
    ("getprofile", "", |_, _| Ok(Value::NONE)),
    ("getswitchinterval", "", |vm, _| Ok(vm.float(0.005))),
    ("is_finalizing", "", |_, _| Ok(Value::FALSE)),
    ("displayhook", "object /", display_hook),
    ("excepthook", "exctype value traceback /", except_hook),
    ("_clear_type_cache", "", |_, _| Ok(Value::NONE)),
    ("audit", "...", |_, _| Ok(Value::NONE)),
];

/// A tuple with named parts, as `sys.version_info`.
fn named(vm: &Vm, name: &str, parts: &[(&str, Value)]) -> Value {
    let object = new_object(&vm.types.namespace, Plain);
    for (key, value) in parts {
        let key = vm.intern(key);
        vm.set_attr_raw(&object, &key, value.clone());
    }
    let _ = name;
    object
}

/// A class derived from tuple whose attributes are its items.
fn struct_sequence(vm: &Vm, name: &str, fields: &[&str], values: Vec<Value>) -> PyResult {
    let namespace = vm.dict();
    for (at, field) in fields.iter().enumerate() {
        let operator = vm.import("_operator")?;
        let getter = vm.call_pos(&vm.get_attr_str(&operator, "itemgetter")?, &[Value::from_len(at)])?;
        let property = vm.call_pos(&vm.types.property, &[getter])?;
        vm.dict_set_str(&namespace, field, property);
    }
    vm.dict_set_str(&namespace, "__module__", vm.str("sys"));
    vm.dict_set_str(&namespace, "__slots__", vm.tuple(vec![]));
    vm.dict_set_str(&namespace, "n_fields", Value::from_len(fields.len()));
    let fields_list = vm.tuple(fields.iter().map(|f| vm.str(f)).collect());
    vm.dict_set_str(&namespace, "_fields_", fields_list);
    let bases = vm.tuple(vec![vm.types.tuple.clone()]);
    let ty = vm.call_pos(&vm.types.type_, &[vm.str(name), bases, namespace])?;
    let repr = vm.native(
        "__repr__",
        "",
        struct_repr,
        pyc_runtime::function::Flavor::Wrapper,
        vm.types.tuple.clone(),
    );
    vm.set_type_attr(&ty, "__repr__", repr);
    let items = vm.tuple(values);
    vm.call_pos(&ty, &[items])
}

fn struct_repr(vm: &Vm, args: Args) -> PyResult {
    let fields = vm.to_vec(&vm.get_attr_str(&args[0], "_fields_")?)?;
    let mut parts = Vec::new();
    for (field, value) in fields.iter().zip(vm.to_vec(&vm.tuple(vm.to_vec(&args[0])?))?) {
        parts.push(format!("{}={}", vm.text(field), vm.repr_text(&value)?));
    }
    Ok(vm.str(&format!("sys.{}({})", vm.type_name(&args[0]), parts.join(", "))))
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("sys", FUNCTIONS);
    let set = |name: &str, value: Value| vm.module_set(&module, name, value);
    if let Some(data) = module.get::<ModuleData>() {
        drop(vm.sys.replace(data.dict.clone()));
    }
    set("modules", vm.modules.clone());
    set("maxsize", vm.int(i64::MAX));
    set("maxunicode", Value::from_i32(0x10_ffff));
    set("byteorder", vm.str("little"));
    set("platform", vm.str("linux"));
    set("executable", vm.str(""));
    for name in ["prefix", "exec_prefix", "base_prefix", "base_exec_prefix"] {
        set(name, vm.str(""));
    }
    set("platlibdir", vm.str("lib"));
    set("argv", vm.list(vec![vm.str("")]));
    set("orig_argv", vm.list(vec![]));
    set("path", vm.list(vec![]));
    set("meta_path", vm.list(vec![crate::finder::make(vm)]));
    set("float_repr_style", vm.str("short"));
    set("path_hooks", vm.list(vec![]));
    set("path_importer_cache", vm.dict());
    set("warnoptions", vm.list(vec![]));
    set("_xoptions", vm.dict());
    set("dont_write_bytecode", Value::TRUE);
    set("pycache_prefix", Value::NONE);
    set("copyright", vm.str(""));
    set("api_version", Value::from_i32(1013));
    set("ps1", vm.str(">>> "));
    set("ps2", vm.str("... "));
    set("version", vm.str(&format!("{}.{}.{} (mynah)", VERSION.0, VERSION.1, VERSION.2)));
    set("hexversion", Value::from_i32(VERSION.0 << 24 | VERSION.1 << 16 | VERSION.2 << 8 | 0xf0));
    set("_git", vm.tuple(vec![vm.str("mynah"), vm.str(""), vm.str("")]));
    set("__displayhook__", vm.get_attr_str(&module, "displayhook")?);
    set("__excepthook__", vm.get_attr_str(&module, "excepthook")?);
    let names: Vec<Value> = vm.native_module_names().iter().map(|n| vm.str(n)).collect();
    set("builtin_module_names", vm.tuple(names));
    set("stdlib_module_names", vm.frozen_set(vec![])?);
    let version = vec![
        Value::from_i32(VERSION.0),
        Value::from_i32(VERSION.1),
        Value::from_i32(VERSION.2),
        vm.str("final"),
        Value::from_i32(0),
    ];
    let info =
        struct_sequence(vm, "version_info", &["major", "minor", "micro", "releaselevel", "serial"], version)?;
    set("version_info", info.clone());
    set(
        "implementation",
        named(
            vm,
            "implementation",
            &[
                ("name", vm.str("mynah")),
                ("version", info),
                ("cache_tag", vm.str("mynah-312")),
                ("hexversion", Value::from_i32(VERSION.0 << 24 | VERSION.1 << 16)),
            ],
        ),
    );
    let flag_names = [
        "debug",
        "inspect",
        "interactive",
        "optimize",
        "dont_write_bytecode",
        "no_user_site",
        "no_site",
        "ignore_environment",
        "verbose",
        "bytes_warning",
        "quiet",
        "hash_randomization",
        "isolated",
        "dev_mode",
        "utf8_mode",
        "warn_default_encoding",
        "safe_path",
        "int_max_str_digits",
        "gil",
        "thread_inherit_context",
        "context_aware_warnings",
    ];
    let flags: Vec<Value> = flag_names
        .iter()
        .map(|name| match *name {
            "dev_mode" | "safe_path" => Value::FALSE,
            "int_max_str_digits" => Value::from_i32(4300),
            "utf8_mode" | "dont_write_bytecode" | "gil" => Value::from_i32(1),
            _ => Value::from_i32(0),
        })
        .collect();
    set("flags", struct_sequence(vm, "flags", &flag_names, flags)?);
    let float = [
        ("max", vm.float(f64::MAX)),
        ("max_exp", Value::from_i32(1024)),
        ("max_10_exp", Value::from_i32(308)),
        ("min", vm.float(f64::MIN_POSITIVE)),
        ("min_exp", Value::from_i32(-1021)),
        ("min_10_exp", Value::from_i32(-307)),
        ("dig", Value::from_i32(15)),
        ("mant_dig", Value::from_i32(53)),
        ("epsilon", vm.float(f64::EPSILON)),
        ("radix", Value::from_i32(2)),
        ("rounds", Value::from_i32(1)),
    ];
    let (keys, values): (Vec<&str>, Vec<Value>) = float.into_iter().unzip();
    set("float_info", struct_sequence(vm, "float_info", &keys, values)?);
    let int = [
        ("bits_per_digit", 30),
        ("sizeof_digit", 4),
        ("default_max_str_digits", 4300),
        ("str_digits_check_threshold", 640),
    ];
    let values = int.iter().map(|(_, n)| Value::from_i32(*n)).collect();
    set("int_info", struct_sequence(vm, "int_info", &int.map(|(n, _)| n), values)?);
    let hash =
        [("width", 64i64), ("modulus", (1 << 61) - 1), ("inf", 314_159), ("nan", 0), ("imag", 1_000_003)];
    let values = hash.iter().map(|(_, n)| vm.int(*n)).collect();
    set("hash_info", struct_sequence(vm, "hash_info", &hash.map(|(n, _)| n), values)?);
    let originals = vm.state("standard_originals", || RefCell::new(Vec::<Value>::new()));
    for (handle, name) in [(0, "stdin"), (1, "stdout"), (2, "stderr")] {
        let stream = streams::make(vm, handle);
        set(name, stream.clone());
        set(&format!("__{name}__"), stream.clone());
        originals.borrow_mut().push(stream);
    }
    crate::sys_hooks::add(vm, &module)?;
    Ok(module)
}

/// Sets `sys.argv` and `sys.path`.
pub fn set_arguments(vm: &Vm, arguments: &[String], path: &[String]) {
    let sys = vm.sys.borrow().clone();
    let list = |items: &[String]| vm.list(items.iter().map(|a| vm.str(a)).collect());
    vm.dict_set_str(&sys, "argv", list(arguments));
    vm.dict_set_str(&sys, "path", list(path));
    let _ = Str::new("");
}
