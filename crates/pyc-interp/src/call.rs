//! Calls: binding arguments, frames, generators.

use pyc_ir::NO_REG;
use pyc_runtime::containers::{DictData, TupleData};
use pyc_runtime::frame::FrameRecord;
use pyc_runtime::function::{CodeData, FunctionData};
use pyc_runtime::generator::{GeneratorData, GeneratorFrame, GeneratorKind};
use pyc_runtime::registers::Window;
use pyc_runtime::str::Str;
use pyc_runtime::vm::Resumed;
use pyc_runtime::{Args, PyResult, Raised, Value, Vm};

use crate::exec::{Exit, Frame, Suspended, run};

/// Registers a running frame for the time of `body`.
#[inline]
fn with_frame<T>(vm: &Vm, frame: &Frame, namespace: &Value, body: impl FnOnce() -> T) -> PyResult<T> {
    {
        let mut frames = vm.frames.borrow_mut();
        if frames.len() >= vm.recursion_limit.get() {
            drop(frames);
            return Err(vm.raise(&vm.exc.recursion_error, "maximum recursion depth exceeded"));
        }
        if let Some(last) = frames.last_mut() {
            last.pc = vm.pc.get();
        }
        frames.push(FrameRecord {
            code: frame.code_value.clone(),
            globals: frame.globals.clone(),
            builtins: frame.builtins.clone(),
            namespace: namespace.clone(),
            window: frame.window,
            pc: 0,
            result: NO_REG,
            flags: 0,
            object: None,
        });
    }
    let result = body();
    let (record, pc) = {
        let mut frames = vm.frames.borrow_mut();
        let record = frames.pop();
        (record, frames.last().map_or(0, |f| f.pc))
    };
    if let Some(mut record) = record {
        if record.object.is_some() {
            record.pc = vm.pc.get();
            vm.detach_frame(&record);
        }
        drop(record);
    }
    vm.pc.set(pc);
    Ok(result)
}

fn window(vm: &Vm, count: usize) -> PyResult<Window> {
    match vm.stack.push(count) {
        Some(window) => Ok(window),
        None => Err(vm.raise(&vm.exc.recursion_error, "maximum recursion depth exceeded")),
    }
}

fn returned(exit: Exit) -> Value {
    match exit {
        Exit::Return(value) | Exit::Yield(value) => value,
    }
}

/// The engine's `call`.
pub(crate) fn call_function(vm: &Vm, callee: &Value, data: &FunctionData, args: Args) -> PyResult {
    vm.check_stack()?;
    let code_value = data.code.borrow().clone();
    let Some(code) = code_value.get::<CodeData>() else { return Err(vm.type_error("not a function")) };
    let registers = usize::from(code.ir.registers);
    if code.ir.flags.generator || code.ir.flags.coroutine {
        let mut boxed = vec![Value::UNBOUND; registers].into_boxed_slice();
        bind(vm, data, code, args, Window::over(&mut boxed))?;
        return Ok(make_generator(vm, data, &code_value, code, boxed));
    }
    let w = window(vm, registers)?;
    let result = bind(vm, data, code, args, w).and_then(|()| {
        let _ = callee;
        let frame = Frame {
            code_value: &code_value,
            code,
            globals: &data.globals,
            builtins: &data.builtins,
            window: w,
        };
        with_frame(vm, &frame, &Value::UNBOUND, || run(vm, &frame, 0, None, &Value::UNBOUND))?
    });
    vm.stack.pop(w, registers);
    result.map(returned)
}

/// Calls a plain Python function whose arguments stand in the caller's registers; they are moved.
/// `None`: not that simple, nothing was touched.
#[inline]
pub(crate) fn call_moving(
    vm: &Vm,
    callee: &Value,
    from: Window,
    first: u16,
    count: usize,
) -> Option<PyResult> {
    let data = callee.get::<FunctionData>()?;
    let code_value = data.code.borrow().clone();
    let code = code_value.get::<CodeData>()?;
    let f = code.ir.flags;
    if f.generator
        || f.coroutine
        || f.varargs
        || f.varkeywords
        || code.ir.kwonlyargcount > 0
        || usize::from(code.ir.argcount) != count
    {
        return None;
    }
    if let Err(error) = vm.check_stack() {
        return Some(Err(error));
    }
    let registers = usize::from(code.ir.registers);
    let w = match window(vm, registers) {
        Ok(w) => w,
        Err(error) => return Some(Err(error)),
    };
    for index in 0..count as u16 {
        w.set(index, from.take(first + index));
    }
    bind_closure(data, code, w);
    let frame =
        Frame { code_value: &code_value, code, globals: &data.globals, builtins: &data.builtins, window: w };
    let result =
        with_frame(vm, &frame, &Value::UNBOUND, || run(vm, &frame, 0, None, &Value::UNBOUND)).and_then(|r| r);
    vm.stack.pop(w, registers);
    Some(result.map(returned))
}

#[inline]
fn bind_closure(data: &FunctionData, code: &CodeData, w: Window) {
    if let Some(closure) = data.closure.get::<TupleData>() {
        let first = code.ir.locals.len() + code.ir.cells.len();
        for (at, cell) in closure.items().iter().take(code.ir.frees.len()).enumerate() {
            w.set((first + at) as u16, cell.clone());
        }
    }
}

fn make_generator(
    vm: &Vm,
    data: &FunctionData,
    code_value: &Value,
    code: &CodeData,
    registers: Box<[Value]>,
) -> Value {
    let kind = match (code.ir.flags.generator, code.ir.flags.coroutine) {
        (true, true) => GeneratorKind::Async,
        (_, true) => GeneratorKind::Coroutine,
        _ => GeneratorKind::Generator,
    };
    let (name, qualname) = {
        let extras = data.extras.borrow();
        (extras.name.clone(), extras.qualname.clone())
    };
    let frame = GeneratorFrame {
        registers,
        pc: 0,
        sent_register: NO_REG,
        started: false,
        delegate: NO_REG,
        globals: data.globals.clone(),
        builtins: data.builtins.clone(),
        handled: Value::NONE,
    };
    vm.generator(kind, code_value.clone(), name, qualname, frame)
}

/// Binds arguments to parameters, with CPython's messages.
fn bind(vm: &Vm, data: &FunctionData, code: &CodeData, args: Args, w: Window) -> PyResult<()> {
    let ir = &code.ir;
    let (argcount, kwonly) = (usize::from(ir.argcount), usize::from(ir.kwonlyargcount));
    let total = argcount + kwonly;
    let positional = args.positional();
    for (at, value) in positional.iter().take(argcount).enumerate() {
        w.set(at as u16, value.clone());
    }
    let star = total as u16;
    if ir.flags.varargs {
        let rest = positional.get(argcount..).unwrap_or(&[]).to_vec();
        w.set(star, vm.tuple(rest));
    }
    let mut extra = None;
    if ir.flags.varkeywords {
        let dict = vm.dict();
        w.set(star + u16::from(ir.flags.varargs), dict.clone());
        extra = Some(dict);
    }
    let qualname = || vm.text(&data.extras.borrow().qualname).to_string();
    let mut positional_only_given = Vec::new();
    for (name, value) in args.keywords() {
        let posonly = usize::from(ir.posonlyargcount);
        let wanted = vm.intern_value(name);
        let found = code.locals[..total].iter().position(|n| n.is(&wanted));
        match found {
            Some(at) if at >= posonly => {
                if !w.get(at as u16).is_unbound() {
                    return Err(vm.type_error(format!(
                        "{}() got multiple values for argument '{}'",
                        qualname(),
                        vm.text(name)
                    )));
                }
                w.set(at as u16, value.clone());
            }
            found => match &extra {
                Some(dict) => {
                    if name.get::<Str>().is_none() {
                        return Err(vm.type_error(format!("{}() keywords must be strings", qualname())));
                    }
                    vm.dict_set(dict, name.clone(), value.clone())?;
                }
                None if found.is_some() => positional_only_given.push(vm.text(name).to_string()),
                None => {
                    return Err(vm.type_error(format!(
                        "{}() got an unexpected keyword argument '{}'",
                        qualname(),
                        vm.text(name)
                    )));
                }
            },
        }
    }
    if !positional_only_given.is_empty() {
        return Err(vm.type_error(format!(
            "{}() got some positional-only arguments passed as keyword arguments: '{}'",
            qualname(),
            positional_only_given.join(", ")
        )));
    }
    let defaults = data.defaults.borrow().clone();
    let default_items = defaults.get::<TupleData>().map_or(&[][..], TupleData::items);
    if positional.len() > argcount && !ir.flags.varargs {
        return Err(too_many(vm, data, code, positional.len(), default_items.len(), w));
    }
    let first_default = argcount - default_items.len().min(argcount);
    let mut missing = Vec::new();
    for at in 0..argcount {
        if w.get(at as u16).is_unbound() {
            if at >= first_default {
                let skip = default_items.len() - (argcount - first_default);
                w.set(at as u16, default_items[skip + at - first_default].clone());
            } else {
                missing.push(vm.text(&code.locals[at]).to_string());
            }
        }
    }
    if !missing.is_empty() {
        return Err(vm.type_error(format!(
            "{}() missing {}",
            qualname(),
            missing_text(&missing, "positional")
        )));
    }
    if kwonly > 0 {
        let kwdefaults = data.kwdefaults.borrow().clone();
        for at in argcount..total {
            if w.get(at as u16).is_unbound() {
                let value = kwdefaults
                    .get::<DictData>()
                    .and_then(|d| d.borrow().get_interned(&code.locals[at]).cloned());
                match value {
                    Some(value) => w.set(at as u16, value),
                    None => missing.push(vm.text(&code.locals[at]).to_string()),
                }
            }
        }
        if !missing.is_empty() {
            return Err(vm.type_error(format!(
                "{}() missing {}",
                qualname(),
                missing_text(&missing, "keyword-only")
            )));
        }
    }
    bind_closure(data, code, w);
    Ok(())
}

fn missing_text(names: &[String], kind: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    let list = match &quoted[..] {
        [one] => one.clone(),
        [a, b] => format!("{a} and {b}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
        [] => String::new(),
    };
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} required {kind} argument{plural}: {list}", names.len())
}

fn too_many(
    vm: &Vm,
    data: &FunctionData,
    code: &CodeData,
    given: usize,
    defaults: usize,
    w: Window,
) -> Raised {
    let argcount = usize::from(code.ir.argcount);
    let name = vm.text(&data.extras.borrow().qualname);
    let kwonly_given = (argcount..argcount + usize::from(code.ir.kwonlyargcount))
        .filter(|at| !w.get(*at as u16).is_unbound())
        .count();
    let takes = if defaults > 0 {
        format!("from {} to {argcount}", argcount - defaults.min(argcount))
    } else {
        argcount.to_string()
    };
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let many = defaults > 0 || argcount != 1;
    let extra = if kwonly_given > 0 {
        format!(
            " positional argument{} (and {kwonly_given} keyword-only argument{})",
            plural(given),
            plural(kwonly_given)
        )
    } else {
        String::new()
    };
    let verb = if given == 1 && kwonly_given == 0 { "was" } else { "were" };
    vm.type_error(format!(
        "{name}() takes {takes} positional argument{} but {given}{extra} {verb} given",
        if many { "s" } else { "" }
    ))
}

/// The engine's `run`: module and class bodies, `exec`, `eval`.
pub(crate) fn run_code(
    vm: &Vm,
    code_value: &Value,
    globals: &Value,
    namespace: &Value,
    closure: &[Value],
) -> PyResult {
    vm.check_stack()?;
    let Some(code) = code_value.get::<CodeData>() else {
        return Err(vm.type_error("a code object is required"));
    };
    let builtins = vm
        .dict_get_name(globals, &vm.names.__builtins__)
        .map_or_else(|| vm.builtins.clone(), |b| vm.builtins_dict(&b));
    let registers = usize::from(code.ir.registers);
    let w = window(vm, registers)?;
    let first = code.ir.locals.len() + code.ir.cells.len();
    for (at, cell) in closure.iter().take(code.ir.frees.len()).enumerate() {
        w.set((first + at) as u16, cell.clone());
    }
    let frame = Frame { code_value, code, globals, builtins: &builtins, window: w };
    let namespace = if code.ir.flags.function { Value::UNBOUND } else { namespace.clone() };
    let result = with_frame(vm, &frame, &namespace, || run(vm, &frame, 0, None, &namespace)).and_then(|r| r);
    vm.stack.pop(w, registers);
    result.map(returned)
}

/// The engine's `resume`.
pub(crate) fn resume(vm: &Vm, generator: &Value, sent: Result<Value, Raised>) -> PyResult<Resumed> {
    let Some(data) = generator.get::<GeneratorData>() else { return Err(vm.type_error("not a generator")) };
    let Some(mut state) = data.frame.borrow_mut().take() else { return Ok(Resumed::Returned(Value::NONE)) };
    let Some(code) = data.code.get::<CodeData>() else { return Err(vm.type_error("not a generator")) };
    data.running.set(true);
    let outer = vm.handled.borrow().clone();
    if !state.handled.is_none() {
        let own = std::mem::replace(&mut state.handled, Value::NONE);
        drop(vm.handled.replace(own));
    }
    let (globals, builtins) = (state.globals.clone(), state.builtins.clone());
    let w = Window::over(&mut state.registers);
    let frame = Frame { code_value: &data.code, code, globals: &globals, builtins: &builtins, window: w };
    let mut suspended = Suspended { pc: state.pc, sent_register: NO_REG, delegate: NO_REG, thrown: None };
    match sent {
        Ok(value) if state.started && state.sent_register != NO_REG => w.set(state.sent_register, value),
        Ok(_) => {}
        Err(error) => suspended.thrown = Some(error),
    }
    // A thrown exception arises at the yield itself.
    let start = state.pc;
    state.started = true;
    let result = with_frame(vm, &frame, &Value::UNBOUND, || {
        run(vm, &frame, start, Some(&mut suspended), &Value::UNBOUND)
    })
    .and_then(|r| r);
    let own = vm.handled.replace(outer.clone());
    data.running.set(false);
    match result {
        Ok(Exit::Yield(value)) => {
            state.pc = suspended.pc;
            state.sent_register = suspended.sent_register;
            state.delegate = suspended.delegate;
            if !own.is(&outer) {
                state.handled = own;
            }
            *data.frame.borrow_mut() = Some(state);
            Ok(Resumed::Yielded(value))
        }
        Ok(Exit::Return(value)) => {
            drop(state);
            Ok(Resumed::Returned(value))
        }
        Err(error) => {
            drop(state);
            Err(error)
        }
    }
}
