//! Calls: binding arguments, frames, generators.

use pyc_ir::{NO_REG, Op};
use pyc_runtime::containers::{DictData, TupleData};
use pyc_runtime::frame::FrameRecord;
use pyc_runtime::function::{CodeData, FunctionData, MethodData, NativeData};
use pyc_runtime::generator::{GeneratorData, GeneratorFrame, GeneratorKind};
use pyc_runtime::native::Entry;
use pyc_runtime::registers::Window;
use pyc_runtime::str::Str;
use pyc_runtime::types::Type;
use pyc_runtime::vm::{Resumed, StepFrame};
use pyc_runtime::{Args, Kind, PyResult, Raised, Value, Vm};

use crate::exec::{Exit, Frame, Suspended, run};
use crate::{build, names, raising};

/// Runs a frame: registered among the running ones for the time.
#[inline]
fn execute(
    vm: &Vm,
    frame: &Frame,
    start: u32,
    generator: Option<&mut Suspended>,
    namespace: &Value,
) -> PyResult<Exit> {
    {
        if vm.depth() >= vm.recursion_limit.get() {
            return Err(too_deep(vm));
        }
        vm.materialise();
        let mut frames = vm.frames.borrow_mut();
        if let Some(last) = frames.last_mut()
            && last.native.is_null()
        {
            last.pc = vm.pc.get();
        }
        frames.push(FrameRecord {
            code: frame.code_value.unowned(),
            globals: frame.globals.unowned(),
            builtins: frame.builtins.unowned(),
            namespace: namespace.unowned(),
            window: frame.window,
            pc: 0,
            object: None,
            native: std::ptr::null(),
        });
    }
    vm.set_depth(vm.depth() + 1);
    let result = run::<false>(vm, frame, start, generator, namespace);
    vm.set_depth(vm.depth() - 1);
    let mut frames = vm.frames.borrow_mut();
    if frames.last().is_some_and(|f| f.object.is_some()) {
        drop(frames);
        leave_with_object(vm);
        frames = vm.frames.borrow_mut();
    } else {
        let left = frames.len() - 1;
        frames.truncate(left);
    }
    vm.pc.set(frames.last().map_or(0, |f| f.pc));
    result
}

#[cold]
fn too_deep(vm: &Vm) -> Raised {
    vm.raise(&vm.exc.recursion_error, "maximum recursion depth exceeded")
}

/// Ends the innermost frame, whose frame object somebody asked for.
#[cold]
fn leave_with_object(vm: &Vm) {
    let record = vm.frames.borrow_mut().pop();
    if let Some(mut record) = record {
        record.pc = vm.pc.get();
        vm.detach_frame(&record);
    }
}

fn returned(exit: Exit) -> Value {
    match exit {
        Exit::Return(value) | Exit::Yield(value) => value,
        Exit::Next(_) => Value::NONE,
    }
}

/// Whether `given` arguments by position are all that a plain function needs; how many defaults it takes, then.
#[inline(always)]
fn plain_call(data: &FunctionData, code: &CodeData, given: usize) -> Option<usize> {
    if !code.plain || given > usize::from(code.argcount) {
        return None;
    }
    let missing = usize::from(code.argcount) - given;
    if missing > 0 {
        let defaults = data.defaults.borrow();
        if defaults.get::<TupleData>().map_or(0, |d| d.items().len()) < missing {
            return None;
        }
    }
    Some(missing)
}

/// Runs a plain function in a window that has its arguments but not its defaults and cells.
#[inline(always)]
fn run_plain(
    vm: &Vm,
    data: &FunctionData,
    code_value: &Value,
    code: &CodeData,
    w: Window,
    missing: usize,
) -> PyResult {
    if missing > 0 {
        let defaults = data.defaults.borrow().clone();
        let items = defaults.get::<TupleData>().map_or(&[][..], TupleData::items);
        let first = usize::from(code.argcount) - missing;
        for (at, value) in items[items.len() - missing..].iter().enumerate() {
            w.set((first + at) as u16, value.clone());
        }
    }
    if let Some(entry) = vm.native_entry(code) {
        let result = vm.call_native(entry, data, w);
        vm.stack.pop(w, usize::from(code.registers));
        return result;
    }
    bind_closure(data, code, w);
    let frame = Frame { code_value, code, globals: &data.globals, builtins: &data.builtins, window: w };
    let result = execute(vm, &frame, 0, None, &Value::UNBOUND);
    vm.stack.pop(w, usize::from(code.registers));
    result.map(returned)
}

/// Parameters that a call of machine code holds on the stack.
const BUFFER: usize = 8;

/// Calls machine code with `given` arguments and as many defaults as are missing.
#[inline(always)]
fn call_machine(
    vm: &Vm,
    data: &FunctionData,
    code: &CodeData,
    entry: &Entry,
    values: impl Iterator<Item = Value>,
    missing: usize,
) -> PyResult {
    let mut buffer = [const { Value::UNBOUND }; BUFFER];
    let argcount = usize::from(code.argcount);
    for (slot, value) in buffer.iter_mut().zip(values) {
        *slot = value;
    }
    if missing > 0 {
        let defaults = data.defaults.borrow();
        let items = defaults.get::<TupleData>().map_or(&[][..], TupleData::items);
        let last = &items[items.len() - missing..];
        for (slot, value) in buffer[argcount - missing..argcount].iter_mut().zip(last) {
            *slot = value.clone();
        }
    }
    vm.call_native(entry, data, Window::over(&mut buffer))
}

/// The engine's `call`.
pub(crate) fn call_function(vm: &Vm, data: &FunctionData, this: Option<&Value>, args: Args) -> PyResult {
    vm.check_stack()?;
    let code_value = data.code.borrow().clone();
    let Some(code) = code_value.get::<CodeData>() else { return Err(vm.type_error("not a function")) };
    let registers = usize::from(code.registers);
    let first = usize::from(this.is_some());
    let given = args.all.len() + first;
    if args.names.is_empty()
        && let Some(missing) = plain_call(data, code, given)
    {
        let values = this.into_iter().chain(args.all).cloned();
        if usize::from(code.argcount) <= BUFFER
            && let Some(entry) = vm.native_entry(code)
        {
            return call_machine(vm, data, code, entry, values, missing);
        }
        let Some(w) = vm.stack.push_with(registers, given, values) else { return Err(too_deep(vm)) };
        return run_plain(vm, data, &code_value, code, w, missing);
    }
    if let Some(this) = this {
        let mut all = Vec::with_capacity(given);
        all.push(this.clone());
        all.extend_from_slice(args.all);
        return call_bound(vm, data, &code_value, code, Args { all: &all, names: args.names });
    }
    call_bound(vm, data, &code_value, code, args)
}

/// Calls with any arguments.
fn call_bound(vm: &Vm, data: &FunctionData, code_value: &Value, code: &CodeData, args: Args) -> PyResult {
    let registers = usize::from(code.registers);
    if code.ir.flags.generator || code.ir.flags.coroutine {
        let mut boxed = vec![Value::UNBOUND; registers].into_boxed_slice();
        bind(vm, data, code, args, Window::over(&mut boxed))?;
        return Ok(make_generator(vm, data, code_value, code, boxed));
    }
    let Some(w) = vm.stack.push(registers) else { return Err(too_deep(vm)) };
    let result = bind(vm, data, code, args, w).and_then(|()| {
        if let Some(entry) = vm.native_entry(code) {
            return vm.call_native(entry, data, w).map(Exit::Return);
        }
        let frame = Frame { code_value, code, globals: &data.globals, builtins: &data.builtins, window: w };
        execute(vm, &frame, 0, None, &Value::UNBOUND)
    });
    vm.stack.pop(w, registers);
    result.map(returned)
}

/// Calls a plain Python function whose arguments stand in the caller's registers (after `this`, if any); they are
/// moved. `None`: not that simple, nothing was touched.
#[inline(never)]
pub(crate) fn moving(
    vm: &Vm,
    data: &FunctionData,
    this: Option<&Value>,
    from: Window,
    first: u16,
    count: usize,
) -> Option<PyResult> {
    let code_value = data.code.borrow().clone();
    let code = code_value.get::<CodeData>()?;
    let given = count + usize::from(this.is_some());
    let missing = plain_call(data, code, given)?;
    let moved = (0..count as u16).map(|at| from.take(first + at));
    if ((missing == 0 && this.is_none()) || usize::from(code.argcount) <= BUFFER)
        && let Some(entry) = vm.native_entry(code)
    {
        if missing == 0 && this.is_none() {
            return Some(vm.call_native(entry, data, from.from(first)));
        }
        let values = this.cloned().into_iter().chain(moved);
        return Some(call_machine(vm, data, code, entry, values, missing));
    }
    if let Err(error) = vm.check_stack() {
        return Some(Err(error));
    }
    let registers = usize::from(code.registers);
    let window = match this {
        None => vm.stack.push_with(registers, given, moved),
        Some(this) => vm.stack.push_with(registers, given, std::iter::once(this.clone()).chain(moved)),
    };
    let Some(w) = window else { return Some(Err(too_deep(vm))) };
    Some(run_plain(vm, data, &code_value, code, w, missing))
}

/// Calls what is no plain Python function, with arguments in the caller's registers.
#[inline(never)]
pub(crate) fn anything(vm: &Vm, callee: &Value, w: Window, first: u16, count: usize) -> PyResult {
    match callee.kind() {
        Kind::Native => {
            if let Some(native) = callee.get::<NativeData>() {
                return vm.call_native_data(native, Args::pos(w.slice(first, count)));
            }
        }
        Kind::Type => {
            if let Some(result) = construct(vm, callee, w, first, count) {
                return result;
            }
        }
        Kind::Method => {
            if let Some(method) = callee.get::<MethodData>()
                && let Some(function) = method.function.get::<FunctionData>()
                && let Some(result) = moving(vm, function, Some(&method.this), w, first, count)
            {
                return result;
            }
        }
        _ => {}
    }
    vm.call(callee, Args::pos(w.slice(first, count)))
}

/// The engine's `call_window`.
pub(crate) fn from_window(vm: &Vm, w: Window, count: usize, method: bool) -> PyResult {
    let bound = method && !w.get(1).is_unbound();
    let (first, total) = if bound { (1, count + 1) } else { (2, count) };
    let callee = w.get(0);
    if let Some(function) = callee.get::<FunctionData>()
        && let Some(result) = moving(vm, function, None, w, first, total)
    {
        return result;
    }
    anything(vm, callee, w, first, total)
}

/// The engine's `call_names`.
pub(crate) fn with_names(vm: &Vm, w: Window, count: usize, method: bool, names: &[Value]) -> PyResult {
    let bound = method && !w.get(1).is_unbound();
    let (first, total) = if bound { (1, count + 1) } else { (2, count) };
    let callee = w.get(0);
    let args = Args { all: w.slice(first, total), names };
    match callee.kind() {
        Kind::Function => {
            if let Some(function) = callee.get::<FunctionData>()
                && let Some(result) = named(vm, function, None, args)
            {
                return result;
            }
        }
        Kind::Type => {
            if let Some(class) = callee.get::<Type>()
                && let Some(init) = class.constructor().or_else(|| vm.find_constructor(callee))
            {
                let init = init.owned();
                if let Some(data) = init.get::<FunctionData>()
                    && let Some(result) = named(vm, data, Some(callee), args)
                {
                    return result;
                }
            }
        }
        _ => {}
    }
    vm.call(callee, args)
}

/// Calls machine code with arguments that have names; of a class's `__init__`, for a new instance. `None`: not that
/// simple, nothing has happened.
fn named(vm: &Vm, data: &FunctionData, class: Option<&Value>, args: Args) -> Option<PyResult> {
    let code_value = data.code.borrow().clone();
    let code = code_value.get::<CodeData>()?;
    let ir = &code.ir;
    let (argcount, flags) = (usize::from(ir.argcount), ir.flags);
    let total = argcount + usize::from(ir.kwonlyargcount);
    let positional = args.positional();
    if flags.varargs
        || flags.varkeywords
        || total > BUFFER
        || positional.len() + usize::from(class.is_some()) > argcount
    {
        return None;
    }
    // A generator's entry is of another kind.
    if flags.generator || flags.coroutine {
        return None;
    }
    let entry = vm.native_entry(code)?;
    let mut buffer = [const { Value::UNBOUND }; BUFFER];
    // The class stands for its instance until it is made.
    for (slot, value) in buffer.iter_mut().zip(class.into_iter().chain(positional)) {
        *slot = value.clone();
    }
    let parameters = &code.locals[..total];
    for (name, value) in args.keywords() {
        let at = parameters.iter().position(|n| n.is(name))?;
        if at < usize::from(ir.posonlyargcount) || !buffer[at].is_unbound() {
            return None;
        }
        buffer[at] = value.clone();
    }
    let defaults = data.defaults.borrow();
    let items = defaults.get::<TupleData>().map_or(&[][..], TupleData::items);
    for (back, slot) in buffer[..argcount].iter_mut().rev().enumerate() {
        if slot.is_unbound() {
            *slot = items.get(items.len().checked_sub(back + 1)?)?.clone();
        }
    }
    drop(defaults);
    for at in argcount..total {
        if buffer[at].is_unbound() {
            let defaults = data.kwdefaults.borrow();
            let value = defaults.get::<DictData>()?.borrow().get_interned(&parameters[at]).cloned();
            buffer[at] = value?;
        }
    }
    let Some(class) = class else { return Some(vm.call_native(entry, data, Window::over(&mut buffer))) };
    let made = vm.bare_instance(class);
    buffer[0] = made.clone();
    Some(vm.call_native(entry, data, Window::over(&mut buffer)).and_then(|value| match value.is_none() {
        true => Ok(made),
        false => Err(vm.init_result_error(&value)),
    }))
}

/// Makes an instance of a class with a plain `__init__` and `object`'s `__new__`; nothing when it is another class.
fn construct(vm: &Vm, class_value: &Value, w: Window, first: u16, count: usize) -> Option<PyResult> {
    let class = class_value.get::<Type>()?;
    let init = match class.constructor() {
        Some(init) => init,
        None => vm.find_constructor(class_value)?,
    };
    // The class may lose its `__init__` while it runs.
    let init = init.owned();
    let data = init.get::<FunctionData>()?;
    // An instance that comes to nothing would be finalized.
    let code = data.code.borrow().clone();
    plain_call(data, code.get::<CodeData>()?, count + 1)?;
    let made = vm.bare_instance(class_value);
    let result = moving(vm, data, Some(&made), w, first, count)?;
    Some(result.and_then(|value| if value.is_none() { Ok(made) } else { Err(vm.init_result_error(&value)) }))
}

#[inline]
fn bind_closure(data: &FunctionData, code: &CodeData, w: Window) {
    if let Some(closure) = data.closure.get::<TupleData>() {
        for (at, cell) in closure.items().iter().take(code.ir.frees.len()).enumerate() {
            w.set(code.first_free + at as u16, cell.clone());
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
        function: vm.function_object(data),
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
    if !code.ir.flags.function
        && namespace.is(globals)
        && closure.is_empty()
        && let Some(entry) = vm.native_entry(code)
    {
        let none = || Value::NONE;
        let function = vm.function(code_value.clone(), globals.clone(), none(), none(), none(), none());
        let Some(data) = function.get::<FunctionData>() else { return Err(vm.type_error("not a function")) };
        return vm.call_native(entry, data, Window::over(&mut []));
    }
    let registers = usize::from(code.registers);
    let Some(w) = vm.stack.push(registers) else { return Err(too_deep(vm)) };
    for (at, cell) in closure.iter().take(code.ir.frees.len()).enumerate() {
        w.set(code.first_free + at as u16, cell.clone());
    }
    let frame = Frame { code_value, code, globals, builtins: &builtins, window: w };
    let namespace = if code.ir.flags.function { Value::UNBOUND } else { namespace.clone() };
    let result = execute(vm, &frame, 0, None, &namespace);
    vm.stack.pop(w, registers);
    result.map(returned)
}

/// The engine's `step`: one op of a machine frame.
pub(crate) fn step(vm: &Vm, at: &StepFrame, pc: u32) -> PyResult<u32> {
    let Some(code) = at.code.get::<CodeData>() else { return Err(vm.type_error("not a function")) };
    let frame =
        Frame { code_value: at.code, code, globals: at.globals, builtins: at.builtins, window: at.window };
    // The only other code in machine frames is modules'.
    let namespace = if code.ir.flags.function { &Value::UNBOUND } else { at.globals };
    // Whole groups of ops need nothing of the loop.
    let op = &code.ir.ops[pc as usize];
    let next = match op {
        Op::BuildSlice { .. }
        | Op::BuildSet { .. }
        | Op::BuildDict { .. }
        | Op::BuildString { .. }
        | Op::ListExtend { .. }
        | Op::SetAdd { .. }
        | Op::DictSet { .. }
        | Op::DictUpdate { .. }
        | Op::DictMerge { .. }
        | Op::ListToTuple { .. }
        | Op::StarArgs { .. }
        | Op::Format { .. }
        | Op::CallEx { .. } => build::step(vm, &frame, op)?,
        Op::Raise { .. }
        | Op::Reraise { .. }
        | Op::MatchException { .. }
        | Op::LoadSpecial { .. }
        | Op::WithExit { .. } => raising::step(vm, &frame, op)?,
        Op::MakeCell { .. } | Op::MakeFunction { .. } | Op::StoreGlobal { .. } => {
            names::step(vm, &frame, namespace, op)?
        }
        _ => return step_in_loop(vm, &frame, namespace, pc),
    };
    Ok(next.unwrap_or(pc + 1))
}

#[inline(never)]
fn step_in_loop(vm: &Vm, frame: &Frame, namespace: &Value, pc: u32) -> PyResult<u32> {
    match run::<true>(vm, frame, pc, None, namespace)? {
        Exit::Next(next) => Ok(next),
        Exit::Return(_) | Exit::Yield(_) => Err(vm.runtime_error("an op left its frame")),
    }
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
    if data.kind == GeneratorKind::Generator
        && (sent.is_ok() || state.started)
        && let Some(entry) = vm.native_entry(code)
    {
        state.started = true;
        let result = vm.resume_native(entry, &data.code, code, &mut state, sent);
        let same = vm.handled.borrow().is(&outer);
        let own = if same { None } else { Some(vm.handled.replace(outer)) };
        data.running.set(false);
        if let Ok(Resumed::Yielded(_)) = &result {
            if let Some(own) = own {
                state.handled = own;
            }
            *data.frame.borrow_mut() = Some(state);
        }
        return result;
    }
    let w = Window::over(&mut state.registers);
    let mut suspended = Suspended { pc: state.pc, sent_register: NO_REG, delegate: NO_REG, thrown: None };
    match sent {
        Ok(value) if state.started && state.sent_register != NO_REG => w.set(state.sent_register, value),
        Ok(_) => {}
        Err(error) => suspended.thrown = Some(error),
    }
    // A thrown exception arises at the yield itself.
    let start = state.pc;
    state.started = true;
    let frame =
        Frame { code_value: &data.code, code, globals: &state.globals, builtins: &state.builtins, window: w };
    let result = execute(vm, &frame, start, Some(&mut suspended), &Value::UNBOUND);
    // What is handled inside stays with the generator; outside it is what it was.
    let same = vm.handled.borrow().is(&outer);
    let own = if same { None } else { Some(vm.handled.replace(outer)) };
    data.running.set(false);
    match result {
        Ok(Exit::Yield(value)) => {
            state.pc = suspended.pc;
            state.sent_register = suspended.sent_register;
            state.delegate = suspended.delegate;
            if let Some(own) = own {
                state.handled = own;
            }
            *data.frame.borrow_mut() = Some(state);
            Ok(Resumed::Yielded(value))
        }
        Ok(Exit::Next(_)) => Ok(Resumed::Returned(Value::NONE)),
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
