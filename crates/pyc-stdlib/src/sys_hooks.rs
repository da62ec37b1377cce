//! What `sys` lets programs hook: tracing and monitoring (refused, as nothing calls them here), asynchronous
//! generators, breakpoints, unraisable exceptions; and the builtins that `site` adds elsewhere.

use pyc_runtime::registry::Plain;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Method, PyResult, Raised, Value, Vm, new_object};

use crate::support::{struct_make, struct_type};

/// A hook that only None can be set to.
fn only_none(vm: &Vm, value: &Value, what: &str) -> PyResult {
    if value.is_none() {
        return Ok(Value::NONE);
    }
    Err(vm.runtime_error(format!("sys.{what} is not supported: programs are not traced")))
}

fn breakpoint_hook(vm: &Vm, args: Args) -> PyResult {
    let chosen = vm
        .host
        .environment()
        .into_iter()
        .find(|(name, _)| name == "PYTHONBREAKPOINT")
        .map_or(String::new(), |(_, value)| value);
    if chosen == "0" {
        return Ok(Value::NONE);
    }
    let path = if chosen.is_empty() { "pdb.set_trace" } else { chosen.as_str() };
    let (module, name) = path.rsplit_once('.').unwrap_or(("builtins", path));
    let found = if module.is_empty() || name.is_empty() {
        None
    } else {
        vm.import(module).ok().and_then(|_| vm.loaded_module(module))
    };
    let hook = match found {
        Some(module) => vm.find_attr(&module, &vm.intern(name))?,
        None => None,
    };
    match hook {
        Some(hook) => vm.call(&hook, args),
        None => {
            let text = format!("Ignoring unimportable $PYTHONBREAKPOINT: \"{path}\"");
            vm.warn(&vm.exc.runtime_warning, &text)?;
            Ok(Value::NONE)
        }
    }
}

fn set_asyncgen_hooks(vm: &Vm, args: Args) -> PyResult {
    for (at, what) in [(0, "firstiter"), (1, "finalizer")] {
        if let Some(hook) = args.opt(at)
            && !hook.is_none()
            && vm.special(hook, &vm.names.__call__).is_none()
        {
            return Err(vm.type_error(format!("callable {what} expected, got {}", vm.type_name(hook))));
        }
    }
    let (first, finalizer) = vm.async_hooks.borrow().clone();
    let new = (args.opt(0).cloned().unwrap_or(first), args.opt(1).cloned().unwrap_or(finalizer));
    drop(vm.async_hooks.replace(new));
    Ok(Value::NONE)
}

fn unraisable_hook(vm: &Vm, args: Args) -> PyResult {
    let value = vm.get_attr_str(&args[0], "exc_value")?;
    let message = vm.get_attr_str(&args[0], "err_msg")?;
    let object = vm.get_attr_str(&args[0], "object")?;
    let message = if message.is_none() { "Exception ignored in".to_string() } else { vm.str_text(&message)? };
    let object = if object.is_none() { String::new() } else { format!(": {}", vm.repr_text(&object)?) };
    let shown = if value.is_none() { String::new() } else { vm.format_exception(&value) };
    vm.write_stderr(&format!("{message}{object}\n{shown}"));
    Ok(Value::NONE)
}

fn origin_depth(vm: &Vm) -> std::rc::Rc<std::cell::Cell<i64>> {
    vm.state("coroutine_origin_depth", || std::cell::Cell::new(0))
}

const FUNCTIONS: &[Method] = &[
    ("settrace", "function /", |vm, args| only_none(vm, &args[0], "settrace")),
    ("setprofile", "function /", |vm, args| only_none(vm, &args[0], "setprofile")),
    ("_settraceallthreads", "function /", |vm, args| only_none(vm, &args[0], "_settraceallthreads")),
    ("_setprofileallthreads", "function /", |vm, args| only_none(vm, &args[0], "_setprofileallthreads")),
    ("setswitchinterval", "interval /", |vm, args| {
        if vm.to_f64(&args[0])? <= 0.0 {
            return Err(vm.value_error("switch interval must be strictly positive"));
        }
        // Threads run one after the other; there is nothing to switch.
        Ok(Value::NONE)
    }),
    ("breakpointhook", "...", breakpoint_hook),
    ("unraisablehook", "unraisable /", unraisable_hook),
    ("get_asyncgen_hooks", "", |vm, _| {
        let (first, finalizer) = vm.async_hooks.borrow().clone();
        let ty = crate::sys_late::value(vm, "_asyncgen_hooks")?.unwrap_or(Value::NONE);
        struct_make(vm, &ty, vec![first, finalizer])
    }),
    ("set_asyncgen_hooks", "firstiter? finalizer?", set_asyncgen_hooks),
    // The depth is remembered; where coroutines were made is not kept, so their `cr_origin` is None.
    ("get_coroutine_origin_tracking_depth", "", |vm, _| Ok(vm.int(origin_depth(vm).get()))),
    ("set_coroutine_origin_tracking_depth", "depth", |vm, args| match vm.index(&args[0])? {
        n if n < 0 => Err(vm.value_error("depth must be >= 0")),
        n => {
            origin_depth(vm).set(n);
            Ok(Value::NONE)
        }
    }),
    ("_clear_type_descriptors", "type /", |vm, args| {
        for name in ["__dict__", "__weakref__"] {
            if let Some(class) = args[0].get::<pyc_runtime::types::Type>() {
                let old = class.dict.borrow_mut().remove_interned(&vm.intern(name));
                drop(old);
            }
        }
        vm.type_changed(&args[0]);
        Ok(Value::NONE)
    }),
    ("_is_gil_enabled", "", |_, _| Ok(Value::TRUE)),
    ("_is_interned", "string /", |_, args| Ok(Value::from_bool(args[0].is_interned()))),
    ("_is_immortal", "op /", |_, args| Ok(Value::from_bool(!args[0].is_object()))),
    ("_current_frames", "", |vm, _| {
        let frames = vm.dict();
        let depth = vm.frames.borrow().len();
        if depth > 0 {
            vm.dict_set(&frames, Value::from_i32(1), vm.frame_at(depth - 1))?;
        }
        Ok(frames)
    }),
    ("getunicodeinternedsize", "...", |vm, _| {
        Err(vm.raise(&vm.exc.not_implemented_error, "sys.getunicodeinternedsize is not supported"))
    }),
];

const EVENTS: &[&str] = &[
    "PY_START",
    "PY_RESUME",
    "PY_RETURN",
    "PY_YIELD",
    "CALL",
    "LINE",
    "INSTRUCTION",
    "JUMP",
    "BRANCH_LEFT",
    "BRANCH_RIGHT",
    "STOP_ITERATION",
    "RAISE",
    "EXCEPTION_HANDLED",
    "PY_UNWIND",
    "PY_THROW",
    "RERAISE",
    "C_RETURN",
    "C_RAISE",
    "BRANCH",
];

fn namespace(vm: &Vm, parts: Vec<(&str, Value)>) -> Value {
    let object = new_object(&vm.types.namespace, Plain);
    for (key, value) in parts {
        vm.set_attr_raw(&object, &vm.intern(key), value);
    }
    object
}

/// `sys.monitoring`: its constants, which the library reads, and functions that refuse.
pub(crate) fn monitoring(vm: &Vm) -> PyResult {
    let module = vm.native_module_object(
        "sys.monitoring",
        &[
            ("use_tool_id", "tool_id name /", |vm, _| {
                Err(vm.runtime_error("sys.monitoring is not supported: programs are not traced"))
            }),
            ("free_tool_id", "tool_id /", |_, _| Ok(Value::NONE)),
            ("clear_tool_id", "tool_id /", |_, _| Ok(Value::NONE)),
            ("get_tool", "tool_id /", |_, _| Ok(Value::NONE)),
            ("restart_events", "", |_, _| Ok(Value::NONE)),
        ],
    );
    let mut events: Vec<(&str, Value)> =
        EVENTS.iter().enumerate().map(|(bit, name)| (*name, Value::from_i32(1 << bit))).collect();
    events.push(("NO_EVENTS", Value::from_i32(0)));
    vm.module_set(&module, "events", namespace(vm, events));
    for (name, id) in [("DEBUGGER_ID", 0), ("COVERAGE_ID", 1), ("PROFILER_ID", 2), ("OPTIMIZER_ID", 5)] {
        vm.module_set(&module, name, Value::from_i32(id));
    }
    for name in ["DISABLE", "MISSING"] {
        vm.module_set(&module, name, vm.call_pos(&vm.types.object, &[])?);
    }
    Ok(module)
}

pub(crate) fn asyncgen_hooks(vm: &Vm) -> PyResult {
    struct_type(vm, "sys", "asyncgen_hooks", &["firstiter", "finalizer"], 2)
}

pub(crate) fn thread_info(vm: &Vm) -> PyResult {
    let info = struct_type(vm, "sys", "thread_info", &["name", "lock", "version"], 3)?;
    struct_make(vm, &info, vec![vm.str("pthread"), vm.str("semaphore"), Value::NONE])
}

/// `exit` and `quit`.
fn quitter(vm: &Vm, name: &'static str, ty: &Value) {
    let object = new_object(ty, Plain);
    vm.set_attr_raw(&object, &vm.names.name, vm.str(name));
    vm.set_builtin(name, object);
}

pub(crate) fn add(vm: &Vm, module: &Value) -> PyResult<()> {
    for (name, params, function) in FUNCTIONS {
        let owner = vm.intern("sys");
        vm.module_set(module, name, vm.native_function(&owner, name, params, *function));
    }
    for name in ["breakpointhook", "unraisablehook"] {
        vm.module_set(module, &format!("__{name}__"), vm.get_attr_str(module, name)?);
    }
    vm.module_set(module, "abiflags", vm.str(""));
    let breakpoint = vm.native(
        "breakpoint",
        "...",
        |vm, args| {
            let sys = vm.sys.borrow().clone();
            match vm.dict_get_name(&sys, &vm.intern("breakpointhook")) {
                Some(hook) => vm.call(&hook, args),
                None => Err(vm.runtime_error("lost sys.breakpointhook")),
            }
        },
        pyc_runtime::function::Flavor::Function,
        vm.intern("builtins"),
    );
    vm.set_builtin("breakpoint", breakpoint);
    let ty = vm.new_type::<Plain>("_sitebuiltins", "Quitter", None, flag::ATTRS);
    vm.add_methods(
        &ty,
        &[
            ("__repr__", "", |vm, args| {
                let name = vm.get_attr(&args[0], &vm.names.name)?;
                Ok(vm.str(&format!("Use {}() or Ctrl-D (i.e. EOF) to exit", vm.text(&name))))
            }),
            ("__call__", "code?", |vm, args| {
                let code = args.opt(1).cloned().unwrap_or(Value::NONE);
                Err(Raised(vm.call_pos(&vm.exc.system_exit, &[code])?))
            }),
        ],
    );
    vm.type_changed(&ty);
    quitter(vm, "exit", &ty);
    quitter(vm, "quit", &ty);
    Ok(())
}
