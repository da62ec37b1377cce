//! `sys`

use std::cell::RefCell;

use pyc_runtime::args::NativeFn;
use pyc_runtime::exceptions::ExceptionData;
use pyc_runtime::module::ModuleData;
use pyc_runtime::str::Str;
use pyc_runtime::{Args, Method, PyResult, Value, Vm};

use crate::{streams, sys_late};

/// The version of Python whose semantics are followed.
pub(crate) const VERSION: (i32, i32, i32) = (3, 12, 8);

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
    let owner = vm.intern("sys");
    for (name, params, function) in
        [("__getattr__", "name /", sys_late::get as NativeFn), ("__dir__", "", sys_late::dir)]
    {
        set(name, vm.native_function(&owner, name, params, function));
    }
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
