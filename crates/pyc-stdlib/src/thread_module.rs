//! `_thread`: threads of a program that has one native thread.
//!
//! A thread runs to its end where it is started, which is one of the orders that threads may run in; a program that
//! needs two of them to take turns gets a RuntimeError that says so instead of waiting for ever.

use std::cell::{Cell, RefCell};

use pyc_runtime::types::flag;
use pyc_runtime::{Args, Method, Payload, PyResult, Value, Vm, new_object};

/// `lock` and `RLock`
#[derive(Default)]
struct Lock {
    held: Cell<u32>,
    owner: Cell<i64>,
    again: bool,
}
impl Payload for Lock {}

/// `_ThreadHandle`
#[derive(Default)]
struct Handle {
    ident: Cell<i64>,
    done: Cell<bool>,
}
impl Payload for Handle {}

/// `_local`: a dict for each thread.
#[derive(Default)]
struct Local {
    dicts: RefCell<Vec<(i64, Value)>>,
    start: RefCell<(Vec<Value>, Vec<Value>)>,
}
impl Payload for Local {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.dicts.borrow().iter().for_each(|(_, d)| visit(d));
    }
    fn clear(&self) {
        drop(self.dicts.take());
    }
}

/// Which thread runs, and the last number given.
struct Threads {
    current: Cell<i64>,
    last: Cell<i64>,
    running: Cell<i64>,
}

const MAIN: i64 = 1;

fn threads(vm: &Vm) -> std::rc::Rc<Threads> {
    vm.state("threads", || Threads { current: Cell::new(MAIN), last: Cell::new(MAIN), running: Cell::new(0) })
}

fn own(value: &Value) -> &Lock {
    value.get::<Lock>().expect("the descriptor checked the type")
}

fn acquire(vm: &Vm, args: Args) -> PyResult {
    let lock = own(&args[0]);
    let me = threads(vm).current.get();
    let blocking = args.opt(1).map_or(Ok(true), |b| vm.truth(b))?;
    let timeout = args.opt(2).map_or(Ok(-1.0), |t| vm.to_f64(t))?;
    if !blocking && timeout >= 0.0 {
        return Err(vm.value_error("can't specify a timeout for a non-blocking call"));
    }
    if timeout < 0.0 && timeout != -1.0 {
        return Err(vm.value_error("timeout value must be a non-negative number"));
    }
    if lock.held.get() > 0 && !(lock.again && lock.owner.get() == me) {
        if blocking && timeout < 0.0 {
            return Err(vm.runtime_error(
                "deadlock: a thread waits for a lock, and the one that holds it cannot run (threads run one after the other)",
            ));
        }
        return Ok(Value::FALSE);
    }
    lock.held.set(lock.held.get() + 1);
    lock.owner.set(me);
    Ok(Value::TRUE)
}

fn release(vm: &Vm, args: Args) -> PyResult {
    let lock = own(&args.all[0]);
    let mine = !lock.again || lock.owner.get() == threads(vm).current.get();
    if lock.held.get() == 0 || !mine {
        return Err(vm.runtime_error(if lock.again {
            "cannot release un-acquired lock"
        } else {
            "release unlocked lock"
        }));
    }
    lock.held.set(lock.held.get() - 1);
    Ok(Value::NONE)
}

const LOCK: &[Method] = &[
    ("acquire", "blocking? timeout?", acquire),
    ("acquire_lock", "blocking? timeout?", acquire),
    ("__enter__", "", acquire),
    ("release", "", release),
    ("release_lock", "", release),
    ("__exit__", "...", release),
    ("locked", "", |_, args| Ok(Value::from_bool(own(&args[0]).held.get() > 0))),
    ("locked_lock", "", |_, args| Ok(Value::from_bool(own(&args[0]).held.get() > 0))),
    ("_is_owned", "", |vm, args| {
        let lock = own(&args[0]);
        Ok(Value::from_bool(lock.held.get() > 0 && lock.owner.get() == threads(vm).current.get()))
    }),
    ("_recursion_count", "", |_, args| Ok(Value::from_len(own(&args[0]).held.get() as usize))),
    ("_release_save", "", |vm, args| {
        let lock = own(&args[0]);
        let saved = vm.tuple(vec![Value::from_len(lock.held.get() as usize), vm.int(lock.owner.get())]);
        lock.held.set(0);
        Ok(saved)
    }),
    ("_acquire_restore", "state /", |vm, args| {
        let parts = vm.to_vec(&args[1])?;
        let [count, owner] = &parts[..] else { return Err(vm.type_error("a saved state is a pair")) };
        own(&args[0]).held.set(vm.index(count)? as u32);
        own(&args[0]).owner.set(vm.index(owner)?);
        Ok(Value::NONE)
    }),
    ("_at_fork_reinit", "", |_, args| {
        own(&args[0]).held.set(0);
        Ok(Value::NONE)
    }),
    ("__repr__", "", |vm, args| {
        let lock = own(&args[0]);
        let state = if lock.held.get() > 0 { "locked" } else { "unlocked" };
        let more = if lock.again {
            let owner = if lock.held.get() > 0 { lock.owner.get() } else { 0 };
            format!(" owner={owner} count={}", lock.held.get())
        } else {
            String::new()
        };
        let name = if lock.again { "RLock" } else { "lock" };
        Ok(vm.str(&format!("<{state} _thread.{name} object{more} at {:#x}>", args[0].bits())))
    }),
];

/// Runs a function as a new thread, to its end.
fn run(vm: &Vm, function: &Value, args: Args, handle: Option<&Value>) -> PyResult<i64> {
    vm.check_stack()?;
    let threads = threads(vm);
    let ident = threads.last.get() + 1;
    threads.last.set(ident);
    let before = threads.current.replace(ident);
    if let Some(handle) = handle.and_then(|h| h.get::<Handle>()) {
        handle.ident.set(ident);
    }
    threads.running.set(threads.running.get() + 1);
    let handled = vm.handled.replace(Value::NONE);
    let result = vm.call(function, args);
    drop(vm.handled.replace(handled));
    threads.running.set(threads.running.get() - 1);
    threads.current.set(before);
    if let Some(handle) = handle.and_then(|h| h.get::<Handle>()) {
        handle.done.set(true);
    }
    match result {
        Err(error) if vm.terminating.get() => return Err(error),
        Err(error) if !vm.is_exception(&error, &vm.exc.system_exit) => {
            vm.unraisable(error, "Exception ignored in thread started by: ", Some(function));
        }
        _ => {}
    }
    Ok(ident)
}

fn start_new(vm: &Vm, args: Args) -> PyResult {
    let positional = args.positional();
    let [function, given, rest @ ..] = positional else {
        return Err(vm.type_error("start_new_thread expected at least 2 arguments"));
    };
    if vm.special(function, &vm.names.__call__).is_none() {
        return Err(vm.type_error("first arg must be callable"));
    }
    let mut all = vm.to_vec(given)?;
    let mut names = Vec::new();
    if let Some(keywords) = rest.first() {
        for name in vm.to_vec(keywords)? {
            all.push(vm.get_item(keywords, &name)?);
            names.push(vm.intern_value(&name));
        }
    }
    Ok(vm.int(run(vm, function, Args { all: &all, names: &names }, None)?))
}

fn local_dict(vm: &Vm, this: &Value) -> PyResult {
    let local = this.get::<Local>().expect("the descriptor checked the type");
    let me = threads(vm).current.get();
    if let Some((_, dict)) = local.dicts.borrow().iter().find(|(id, _)| *id == me) {
        return Ok(dict.clone());
    }
    let dict = vm.dict();
    local.dicts.borrow_mut().push((me, dict.clone()));
    // Each thread sees a fresh object, so `__init__` runs for each.
    let (all, names) = local.start.borrow().clone();
    if me != MAIN || local.dicts.borrow().len() > 1 {
        let init = vm.get_attr(this, &vm.names.__init__)?;
        vm.call(&init, Args { all: &all, names: &names })?;
    }
    Ok(dict)
}

const LOCAL: &[Method] = &[
    ("__new__", "...", |vm, args| {
        let made = new_object(&args.all[0], Local::default());
        if let Some(local) = made.get::<Local>() {
            local.start.replace((args.all[1..].to_vec(), args.names.to_vec()));
        }
        let plain = vm
            .lookup(&args.all[0], &vm.names.__init__)
            .is_some_and(|i| i.kind() == pyc_runtime::Kind::Native);
        if plain && args.all.len() > 1 {
            return Err(vm.type_error("Initialization arguments are not supported"));
        }
        local_dict(vm, &made)?;
        Ok(made)
    }),
    ("__init__", "...", |_, _| Ok(Value::NONE)),
    ("__getattribute__", "name /", |vm, args| {
        let name = vm.intern_value(&args[1]);
        let dict = local_dict(vm, &args[0])?;
        // As for any object: descriptors with a setter, the thread's own values, the class.
        let on_class = vm.lookup(vm.type_of(&args[0]), &name);
        let wins = on_class.as_ref().is_some_and(|found| vm.is_data_descriptor(found));
        if !wins && let Some(value) = vm.dict_get_name(&dict, &name) {
            return Ok(value);
        }
        match vm.generic_get_opt(&args[0], &name)? {
            Some(value) => Ok(value),
            None => Err(vm.no_attribute(&args[0], &name)),
        }
    }),
];

fn local_set(vm: &Vm, args: Args) -> PyResult {
    let dict = local_dict(vm, &args[0])?;
    vm.dict_set(&dict, vm.intern_value(&args[1]), args[2].clone())?;
    Ok(Value::NONE)
}

fn local_delete(vm: &Vm, args: Args) -> PyResult {
    let dict = local_dict(vm, &args[0])?;
    if vm.dict_get_name(&dict, &vm.intern_value(&args[1])).is_none() {
        return Err(vm.no_attribute(&args[0], &args[1]));
    }
    vm.delete_item(&dict, &args[1])?;
    Ok(Value::NONE)
}

fn handle_type(vm: &Vm) -> Value {
    (*vm.state("thread_handle", || {
        let ty = vm.new_type::<Handle>("_thread", "_ThreadHandle", None, 0);
        vm.add_methods(
            &ty,
            &[
                ("__new__", "", |_, args| Ok(new_object(&args[0], Handle::default()))),
                ("is_done", "", |_, args| {
                    Ok(Value::from_bool(args[0].get::<Handle>().is_some_and(|h| h.done.get())))
                }),
                ("_set_done", "", |_, args| {
                    if let Some(h) = args[0].get::<Handle>() {
                        h.done.set(true);
                    }
                    Ok(Value::NONE)
                }),
                ("join", "timeout? /", |vm, args| {
                    let done = args[0].get::<Handle>().is_some_and(|h| h.done.get());
                    match args.opt(1).filter(|t| !t.is_none()) {
                        None if !done => Err(vm.runtime_error("Cannot join current thread")),
                        _ => Ok(Value::NONE),
                    }
                }),
            ],
        );
        vm.add_getset(&ty, "ident", |vm, t| Ok(vm.int(t.get::<Handle>().map_or(0, |h| h.ident.get()))), None);
        ty
    }))
    .clone()
}

const FUNCTIONS: &[Method] = &[
    ("get_ident", "", |vm, _| Ok(vm.int(threads(vm).current.get()))),
    ("get_native_id", "", |vm, _| Ok(vm.int(threads(vm).current.get()))),
    ("_get_main_thread_ident", "", |vm, _| Ok(vm.int(MAIN))),
    ("_is_main_interpreter", "", |_, _| Ok(Value::TRUE)),
    ("daemon_threads_allowed", "", |_, _| Ok(Value::TRUE)),
    ("allocate_lock", "", |vm, _| vm.call_pos(&vm.get_attr_str(&vm.import("_thread")?, "LockType")?, &[])),
    ("start_new_thread", "...", start_new),
    ("start_joinable_thread", "function handle? daemon?", |vm, args| {
        let handle = match args.opt(1).filter(|h| !h.is_none()) {
            Some(handle) => handle.clone(),
            None => vm.call_pos(&handle_type(vm), &[])?,
        };
        run(vm, &args[0], Args::pos(&[]), Some(&handle))?;
        Ok(handle)
    }),
    ("_make_thread_handle", "ident /", |vm, args| {
        let handle = vm.call_pos(&handle_type(vm), &[])?;
        if let Some(h) = handle.get::<Handle>() {
            h.ident.set(vm.index(&args[0])?);
        }
        Ok(handle)
    }),
    // Every thread has ended before the one that started it goes on.
    ("_shutdown", "", |_, _| Ok(Value::NONE)),
    ("_count", "", |vm, _| Ok(vm.int(threads(vm).running.get()))),
    ("stack_size", "size? /", |vm, args| match args.opt(0) {
        Some(size) if vm.index(size)? != 0 => Err(vm.value_error("the stack size of threads cannot be set")),
        _ => Ok(Value::from_i32(0)),
    }),
    ("interrupt_main", "signum? /", |vm, _| Err(vm.raise_bare(&vm.exc.keyboard_interrupt))),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("_thread", FUNCTIONS);
    for (name, again) in [("lock", false), ("RLock", true)] {
        let ty = vm.new_type::<Lock>("_thread", name, None, flag::WEAK | if again { flag::BASE } else { 0 });
        let new: Method = if again {
            ("__new__", "", |_, args| Ok(new_object(&args[0], Lock { again: true, ..Lock::default() })))
        } else {
            ("__new__", "", |_, args| Ok(new_object(&args[0], Lock::default())))
        };
        vm.add_methods(&ty, &[new]);
        vm.add_methods(&ty, LOCK);
        vm.type_changed(&ty);
        if !again {
            vm.module_set(&module, "LockType", ty.clone());
        }
        vm.module_set(&module, name, ty);
    }
    vm.module_set(&module, "TIMEOUT_MAX", vm.float(9_223_372_036.0));
    vm.module_set(&module, "error", vm.exc.runtime_error.clone());
    vm.module_set(&module, "_ThreadHandle", handle_type(vm));
    let local = vm.new_type::<Local>("_thread", "_local", None, flag::BASE | flag::WEAK | flag::HEAP);
    vm.add_methods(&local, LOCAL);
    vm.add_getset(&local, "__dict__", local_dict, None);
    for (name, params, function) in [
        ("__setattr__", "name value /", local_set as pyc_runtime::args::NativeFn),
        ("__delattr__", "name /", local_delete),
    ] {
        let method = vm.native(name, params, function, pyc_runtime::function::Flavor::Wrapper, local.clone());
        vm.set_type_attr(&local, name, method);
    }
    vm.type_changed(&local);
    vm.module_set(&module, "_local", local);
    Ok(module)
}
