//! Exception types and objects, and how native code raises them.

use std::cell::RefCell;

use crate::args::{Method, NO};
use crate::containers::TupleData;
use crate::object::{Kind, Payload, VTable, Value, new_object};
use crate::registry::Types;
use crate::str::Str;
use crate::types::{Type, flag, make_type};
use crate::vm::{Args, PyResult, Raised, Vm};

/// The payload of an exception.
pub struct ExceptionData {
    /// `args`, a tuple.
    pub args: RefCell<Value>,
    /// `__traceback__`
    pub traceback: RefCell<Value>,
    /// `__cause__`
    pub cause: RefCell<Value>,
    /// `__context__`
    pub context: RefCell<Value>,
    /// `__suppress_context__`
    pub suppress: std::cell::Cell<bool>,
}

impl Payload for ExceptionData {
    const KIND: Kind = Kind::Exception;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        for cell in [&self.args, &self.traceback, &self.cause, &self.context] {
            visit(&cell.borrow());
        }
    }
    fn clear(&self) {
        for cell in [&self.traceback, &self.cause, &self.context] {
            drop(cell.replace(Value::NONE));
        }
    }
}

macro_rules! exceptions {
    ($root:ident; $($field:ident = $name:literal : $base:ident;)*) => {
        /// The builtin exception types.
        #[allow(missing_docs)]
        pub struct Exceptions { pub $root: Value, $(pub $field: Value),* }
        impl Exceptions {
            pub(crate) fn new(types: &Types) -> Exceptions {
                let $root = types.base_exception.clone();
                let make = |name: &str, base: &Value| {
                    let rest = base.get::<Type>().map(|b| b.mro.borrow().clone()).unwrap_or_default();
                    make_type(&types.type_, name, VTable::of::<ExceptionData>(), vec![base.clone()], rest,
                        flag::BASE | flag::ATTRS | flag::IDENTITY | flag::IMMUTABLE)
                };
                $(let $field = make($name, &$base);)*
                Exceptions { $root, $($field),* }
            }
            pub(crate) fn all(&self) -> Vec<(&'static str, &Value)> {
                vec![("BaseException", &self.$root), $(($name, &self.$field)),*]
            }
        }
    };
}

exceptions! {
    base_exception;
    system_exit = "SystemExit": base_exception;
    keyboard_interrupt = "KeyboardInterrupt": base_exception;
    generator_exit = "GeneratorExit": base_exception;
    base_exception_group = "BaseExceptionGroup": base_exception;
    exception = "Exception": base_exception;
    stop_iteration = "StopIteration": exception;
    stop_async_iteration = "StopAsyncIteration": exception;
    arithmetic_error = "ArithmeticError": exception;
    floating_point_error = "FloatingPointError": arithmetic_error;
    overflow_error = "OverflowError": arithmetic_error;
    zero_division_error = "ZeroDivisionError": arithmetic_error;
    assertion_error = "AssertionError": exception;
    attribute_error = "AttributeError": exception;
    buffer_error = "BufferError": exception;
    eof_error = "EOFError": exception;
    import_error = "ImportError": exception;
    module_not_found_error = "ModuleNotFoundError": import_error;
    lookup_error = "LookupError": exception;
    index_error = "IndexError": lookup_error;
    key_error = "KeyError": lookup_error;
    memory_error = "MemoryError": exception;
    name_error = "NameError": exception;
    unbound_local_error = "UnboundLocalError": name_error;
    os_error = "OSError": exception;
    blocking_io_error = "BlockingIOError": os_error;
    child_process_error = "ChildProcessError": os_error;
    connection_error = "ConnectionError": os_error;
    broken_pipe_error = "BrokenPipeError": connection_error;
    connection_aborted_error = "ConnectionAbortedError": connection_error;
    connection_refused_error = "ConnectionRefusedError": connection_error;
    connection_reset_error = "ConnectionResetError": connection_error;
    file_exists_error = "FileExistsError": os_error;
    file_not_found_error = "FileNotFoundError": os_error;
    interrupted_error = "InterruptedError": os_error;
    is_a_directory_error = "IsADirectoryError": os_error;
    not_a_directory_error = "NotADirectoryError": os_error;
    permission_error = "PermissionError": os_error;
    process_lookup_error = "ProcessLookupError": os_error;
    timeout_error = "TimeoutError": os_error;
    reference_error = "ReferenceError": exception;
    runtime_error = "RuntimeError": exception;
    not_implemented_error = "NotImplementedError": runtime_error;
    recursion_error = "RecursionError": runtime_error;
    syntax_error = "SyntaxError": exception;
    indentation_error = "IndentationError": syntax_error;
    tab_error = "TabError": indentation_error;
    system_error = "SystemError": exception;
    type_error = "TypeError": exception;
    value_error = "ValueError": exception;
    unicode_error = "UnicodeError": value_error;
    unicode_decode_error = "UnicodeDecodeError": unicode_error;
    unicode_encode_error = "UnicodeEncodeError": unicode_error;
    unicode_translate_error = "UnicodeTranslateError": unicode_error;
    warning = "Warning": exception;
    bytes_warning = "BytesWarning": warning;
    deprecation_warning = "DeprecationWarning": warning;
    encoding_warning = "EncodingWarning": warning;
    future_warning = "FutureWarning": warning;
    import_warning = "ImportWarning": warning;
    pending_deprecation_warning = "PendingDeprecationWarning": warning;
    resource_warning = "ResourceWarning": warning;
    runtime_warning = "RuntimeWarning": warning;
    syntax_warning = "SyntaxWarning": warning;
    unicode_warning = "UnicodeWarning": warning;
    user_warning = "UserWarning": warning;
}

impl Vm {
    /// An exception object with these arguments, without running `__init__`.
    pub fn new_exception(&self, ty: &Value, args: Vec<Value>) -> Value {
        let args = self.tuple(args);
        new_object(
            ty,
            ExceptionData {
                args: RefCell::new(args),
                traceback: RefCell::new(Value::NONE),
                cause: RefCell::new(Value::NONE),
                context: RefCell::new(Value::NONE),
                suppress: std::cell::Cell::new(false),
            },
        )
    }

    /// An exception with a message; its context is the one being handled.
    #[cold]
    pub fn raise(&self, ty: &Value, message: &str) -> Raised {
        let message = self.str(message);
        self.raise_with(ty, vec![message])
    }

    /// An exception without arguments.
    #[cold]
    pub fn raise_bare(&self, ty: &Value) -> Raised {
        self.raise_with(ty, Vec::new())
    }

    /// An exception with arguments.
    #[cold]
    pub fn raise_with(&self, ty: &Value, args: Vec<Value>) -> Raised {
        let value = self.new_exception(ty, args);
        self.set_context(&value);
        Raised(value)
    }

    /// Sets `__context__` to the exception being handled, breaking would-be cycles.
    pub fn set_context(&self, value: &Value) {
        let handled = self.handled.borrow().clone();
        if handled.is_none() || handled.is(value) {
            return;
        }
        // If the new one already is somewhere in the chain, cut it out there.
        let mut at = handled.clone();
        let mut steps = 0;
        while let Some(data) = at.get::<ExceptionData>() {
            let next = data.context.borrow().clone();
            if next.is_none() || steps > 10_000 {
                break;
            }
            if next.is(value) {
                drop(data.context.replace(Value::NONE));
                break;
            }
            at = next;
            steps += 1;
        }
        if let Some(data) = value.get::<ExceptionData>() {
            drop(data.context.replace(handled));
        }
    }

    /// TypeError.
    #[cold]
    pub fn type_error(&self, message: impl AsRef<str>) -> Raised {
        self.raise(&self.exc.type_error, message.as_ref())
    }
    /// ValueError.
    #[cold]
    pub fn value_error(&self, message: impl AsRef<str>) -> Raised {
        self.raise(&self.exc.value_error, message.as_ref())
    }
    /// IndexError.
    #[cold]
    pub fn index_error(&self, message: impl AsRef<str>) -> Raised {
        self.raise(&self.exc.index_error, message.as_ref())
    }
    /// OverflowError.
    #[cold]
    pub fn overflow_error(&self, message: impl AsRef<str>) -> Raised {
        self.raise(&self.exc.overflow_error, message.as_ref())
    }
    /// RuntimeError.
    #[cold]
    pub fn runtime_error(&self, message: impl AsRef<str>) -> Raised {
        self.raise(&self.exc.runtime_error, message.as_ref())
    }
    /// KeyError.
    #[cold]
    pub fn key_error(&self, key: &Value) -> Raised {
        self.raise_with(&self.exc.key_error, vec![key.clone()])
    }
    /// StopIteration with a value.
    #[cold]
    pub fn stop_iteration(&self, value: Value) -> Raised {
        let args = if value.is_none() { vec![] } else { vec![value.clone()] };
        let exception = self.new_exception(&self.exc.stop_iteration, args);
        self.set_attr_raw(&exception, &self.names.value, value);
        Raised(exception)
    }
    /// AttributeError with its name and object.
    #[cold]
    pub fn attribute_error(&self, object: &Value, name: &Value, message: impl AsRef<str>) -> Raised {
        let raised = self.raise(&self.exc.attribute_error, message.as_ref());
        self.set_attr_raw(&raised.0, &self.names.name, name.clone());
        self.set_attr_raw(&raised.0, &self.names.obj, object.clone());
        raised
    }
    /// NameError with its name.
    #[cold]
    pub fn name_error(&self, name: &Value) -> Raised {
        let raised = self.raise(&self.exc.name_error, &format!("name '{}' is not defined", self.text(name)));
        self.set_attr_raw(&raised.0, &self.names.name, name.clone());
        raised
    }

    /// Whether an exception is an instance of a type.
    pub fn is_exception(&self, raised: &Raised, ty: &Value) -> bool {
        self.is_a(&raised.0, ty)
    }

    /// `Ok(None)` for the given exception type, other errors unchanged: `match vm.catch(r, &vm.exc.key_error)?`.
    ///
    /// # Errors
    /// Exceptions of other types, and anything once a limit was hit.
    pub fn catch<T>(&self, result: PyResult<T>, ty: &Value) -> PyResult<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if !self.terminating.get() && self.is_exception(&error, ty) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The subclass of OSError for an error number.
    pub fn os_error_type(&self, code: i32) -> Value {
        let e = &self.exc;
        match code {
            1 | 13 => &e.permission_error,
            2 => &e.file_not_found_error,
            3 => &e.process_lookup_error,
            4 => &e.interrupted_error,
            10 => &e.child_process_error,
            11 | 114 | 115 => &e.blocking_io_error,
            17 => &e.file_exists_error,
            20 => &e.not_a_directory_error,
            21 => &e.is_a_directory_error,
            32 | 108 => &e.broken_pipe_error,
            103 => &e.connection_aborted_error,
            104 => &e.connection_reset_error,
            110 => &e.timeout_error,
            111 => &e.connection_refused_error,
            _ => &e.os_error,
        }
        .clone()
    }

    /// An OSError with number, text and file name.
    pub fn os_error(&self, ty: &Value, code: i32, text: &str, path: Option<&str>) -> Raised {
        let mut args = vec![Value::from_i32(code), self.str(text)];
        let raised = self.raise_with(ty, args.clone());
        if let Some(path) = path {
            args.push(self.str(path));
        }
        self.fill_os_error(&raised.0, &args);
        raised
    }

    fn fill_os_error(&self, value: &Value, args: &[Value]) {
        let n = &self.names;
        let get = |i: usize| args.get(i).cloned().unwrap_or(Value::NONE);
        if args.len() >= 2 {
            self.set_attr_raw(value, &n.errno, get(0));
            self.set_attr_raw(value, &n.strerror, get(1));
            self.set_attr_raw(value, &n.filename, get(2));
            let second = self.intern("filename2");
            self.set_attr_raw(value, &second, get(4));
        }
    }

    /// Makes an exception from what stands after `raise`: an instance, or a class to call.
    ///
    /// # Errors
    /// TypeError when it is neither.
    pub fn to_exception(&self, value: &Value) -> PyResult {
        if value.kind() == Kind::Exception {
            return Ok(value.clone());
        }
        if self.is_exception_type(value) {
            let made = self.call(value, Args::pos(&[]))?;
            if made.kind() == Kind::Exception {
                return Ok(made);
            }
            return Err(self.type_error(format!(
                "calling {} should have returned an instance of BaseException, not {}",
                self.repr_text(value)?,
                self.repr_text(self.type_of(&made))?
            )));
        }
        Err(self.type_error("exceptions must derive from BaseException"))
    }

    /// Whether a value is a class of exceptions.
    pub fn is_exception_type(&self, value: &Value) -> bool {
        value.kind() == Kind::Type && self.is_subtype(value, &self.exc.base_exception)
    }

    /// Whether `except kind` catches an exception.
    ///
    /// # Errors
    /// TypeError when `kind` is no exception class or tuple of them.
    pub fn exception_matches(&self, exception: &Value, kind: &Value) -> PyResult<bool> {
        if let Some(kinds) = kind.get::<TupleData>() {
            for kind in kinds.items() {
                if self.exception_matches(exception, kind)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        if !self.is_exception_type(kind) {
            return Err(
                self.type_error("catching classes that do not inherit from BaseException is not allowed")
            );
        }
        Ok(self.is_a(exception, kind))
    }

    /// Arguments of an exception.
    pub fn exception_args(&self, value: &Value) -> Vec<Value> {
        value
            .get::<ExceptionData>()
            .and_then(|d| d.args.borrow().get::<TupleData>().map(|t| t.items().to_vec()))
            .unwrap_or_default()
    }
}

fn data<'a>(vm: &Vm, value: &'a Value) -> PyResult<&'a ExceptionData> {
    value.get::<ExceptionData>().ok_or_else(|| {
        vm.type_error(format!(
            "descriptor requires a 'BaseException' object but received '{}'",
            vm.type_name(value)
        ))
    })
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let ty = &args[0];
    // OSError with an error number becomes the matching subclass.
    if ty.is(&vm.exc.os_error)
        && args.positional().len() >= 3
        && let Some(code) = args[1].as_small()
    {
        let ty = vm.os_error_type(code as i32);
        return Ok(vm.new_exception(&ty, args.positional()[1..].to_vec()));
    }
    Ok(vm.new_exception(ty, args.positional()[1..].to_vec()))
}

fn init_exception(vm: &Vm, args: Args) -> PyResult {
    let d = data(vm, &args[0])?;
    if let Some((name, _)) = args.keywords().next() {
        let _ = name;
        return Err(vm.type_error(format!("{}() takes no keyword arguments", vm.type_name(&args[0]))));
    }
    let rest = vm.tuple(args.positional()[1..].to_vec());
    drop(d.args.replace(rest));
    Ok(Value::NONE)
}

fn init_with_names(vm: &Vm, args: Args, names: &[&str]) -> PyResult<Vec<Value>> {
    let this = &args[0];
    let rest = args.positional()[1..].to_vec();
    for name in names {
        let name = vm.intern(name);
        vm.set_attr_raw(this, &name, Value::NONE);
    }
    for (name, value) in args.keywords() {
        if !names.contains(&&*vm.text(name)) {
            return Err(vm.type_error(format!(
                "{}() got an unexpected keyword argument '{}'",
                vm.type_name(this),
                vm.text(name)
            )));
        }
        let name = vm.intern_value(name);
        vm.set_attr_raw(this, &name, value.clone());
    }
    let tuple = vm.tuple(rest.clone());
    drop(data(vm, this)?.args.replace(tuple));
    Ok(rest)
}

fn init_stop(vm: &Vm, args: Args) -> PyResult {
    init_exception(vm, args)?;
    let value = args.positional().get(1).cloned().unwrap_or(Value::NONE);
    vm.set_attr_raw(&args[0], &vm.names.value, value);
    Ok(Value::NONE)
}

fn init_exit(vm: &Vm, args: Args) -> PyResult {
    init_exception(vm, args)?;
    let rest = &args.positional()[1..];
    let code = match rest {
        [] => Value::NONE,
        [one] => one.clone(),
        more => vm.tuple(more.to_vec()),
    };
    vm.set_attr_raw(&args[0], &vm.names.code, code);
    Ok(Value::NONE)
}

fn init_name(vm: &Vm, args: Args) -> PyResult {
    init_with_names(vm, args, &["name"])?;
    Ok(Value::NONE)
}

fn init_attribute(vm: &Vm, args: Args) -> PyResult {
    init_with_names(vm, args, &["name", "obj"])?;
    Ok(Value::NONE)
}

fn init_import(vm: &Vm, args: Args) -> PyResult {
    let rest = init_with_names(vm, args, &["name", "path", "name_from"])?;
    let msg = if rest.len() == 1 { rest[0].clone() } else { Value::NONE };
    vm.set_attr_raw(&args[0], &vm.names.msg, msg);
    Ok(Value::NONE)
}

fn init_os(vm: &Vm, args: Args) -> PyResult {
    init_exception(vm, args)?;
    let rest = &args.positional()[1..];
    if (2..=5).contains(&rest.len()) {
        vm.fill_os_error(&args[0], rest);
        let two = vm.tuple(rest[..2].to_vec());
        drop(data(vm, &args[0])?.args.replace(two));
    } else {
        for name in [&vm.names.errno, &vm.names.strerror, &vm.names.filename] {
            vm.set_attr_raw(&args[0], name, Value::NONE);
        }
    }
    Ok(Value::NONE)
}

fn init_syntax(vm: &Vm, args: Args) -> PyResult {
    init_exception(vm, args)?;
    let rest = &args.positional()[1..];
    let this = &args[0];
    let n = &vm.names;
    for name in [
        &n.msg,
        &n.filename,
        &n.lineno,
        &n.offset,
        &n.text,
        &n.end_lineno,
        &n.end_offset,
        &n.print_file_and_line,
    ] {
        vm.set_attr_raw(this, name, Value::NONE);
    }
    if let Some(msg) = rest.first() {
        vm.set_attr_raw(this, &n.msg, msg.clone());
    }
    if let Some(info) = rest.get(1) {
        let info = vm.to_vec(info)?;
        for (name, value) in
            [&n.filename, &n.lineno, &n.offset, &n.text, &n.end_lineno, &n.end_offset].into_iter().zip(info)
        {
            vm.set_attr_raw(this, name, value);
        }
    }
    Ok(Value::NONE)
}

fn init_unicode(vm: &Vm, args: Args) -> PyResult {
    init_exception(vm, args)?;
    let rest = &args.positional()[1..];
    let translate = vm.is_a(&args[0], &vm.exc.unicode_translate_error);
    let fields: &[&str] = if translate {
        &["object", "start", "end", "reason"]
    } else {
        &["encoding", "object", "start", "end", "reason"]
    };
    if rest.len() != fields.len() {
        return Err(vm.type_error(format!(
            "function takes exactly {} arguments ({} given)",
            fields.len(),
            rest.len()
        )));
    }
    for (name, value) in fields.iter().zip(rest) {
        let name = vm.intern(name);
        vm.set_attr_raw(&args[0], &name, value.clone());
    }
    Ok(Value::NONE)
}

fn str_unicode(vm: &Vm, args: Args) -> PyResult {
    let get = |name: &str| vm.get_attr_str(&args[0], name);
    let (Ok(object), Ok(start), Ok(end), Ok(reason)) =
        (get("object"), get("start"), get("end"), get("reason"))
    else {
        return Ok(vm.str(""));
    };
    let (from, to) = (start.as_small().unwrap_or(0), end.as_small().unwrap_or(0));
    let reason = vm.str_text(&reason)?;
    let one = to == from + 1;
    let text = if let Some(s) = object.get::<Str>() {
        let what = match get("encoding") {
            Ok(encoding) if !vm.is_a(&args[0], &vm.exc.unicode_translate_error) => {
                format!("'{}' codec can't encode", vm.str_text(&encoding)?)
            }
            _ => "can't translate".into(),
        };
        if one && (from as usize) < s.len() {
            let c = s.at(from as usize);
            let shown = match c {
                0..256 => format!("\\x{c:02x}"),
                256..65536 => format!("\\u{c:04x}"),
                _ => format!("\\U{c:08x}"),
            };
            format!("{what} character '{shown}' in position {from}: {reason}")
        } else {
            format!("{what} characters in position {from}-{}: {reason}", to - 1)
        }
    } else {
        let encoding = vm.str_text(&get("encoding")?)?;
        let bytes = vm.bytes_of(&object)?;
        if one && (from as usize) < bytes.len() {
            format!(
                "'{encoding}' codec can't decode byte 0x{:02x} in position {from}: {reason}",
                bytes[from as usize]
            )
        } else {
            format!("'{encoding}' codec can't decode bytes in position {from}-{}: {reason}", to - 1)
        }
    };
    Ok(vm.str(&text))
}

fn str_exception(vm: &Vm, args: Args) -> PyResult {
    let list = vm.exception_args(&args[0]);
    match list.as_slice() {
        [] => Ok(vm.str("")),
        [one] => vm.to_str(one),
        more => vm.repr(&vm.tuple(more.to_vec())),
    }
}

fn str_key(vm: &Vm, args: Args) -> PyResult {
    match vm.exception_args(&args[0]).as_slice() {
        [one] => vm.repr(one),
        _ => str_exception(vm, args),
    }
}

fn str_import(vm: &Vm, args: Args) -> PyResult {
    str_exception(vm, args)
}

fn str_os(vm: &Vm, args: Args) -> PyResult {
    let get = |name: &Value| vm.get_attr(&args[0], name).unwrap_or(Value::NONE);
    let (code, text, path) = (get(&vm.names.errno), get(&vm.names.strerror), get(&vm.names.filename));
    let second = vm.get_attr_str(&args[0], "filename2").unwrap_or(Value::NONE);
    if code.is_none() && text.is_none() {
        return str_exception(vm, args);
    }
    let mut out = format!("[Errno {}] {}", vm.str_text(&code)?, vm.str_text(&text)?);
    if !path.is_none() {
        out.push_str(&format!(": {}", vm.repr_text(&path)?));
    }
    if !second.is_none() {
        out.push_str(&format!(" -> {}", vm.repr_text(&second)?));
    }
    Ok(vm.str(&out))
}

fn str_syntax(vm: &Vm, args: Args) -> PyResult {
    let get = |name: &Value| vm.get_attr(&args[0], name).unwrap_or(Value::NONE);
    let (msg, file, line) = (get(&vm.names.msg), get(&vm.names.filename), get(&vm.names.lineno));
    let msg = vm.str_text(&msg)?;
    let name = file.get::<Str>().map(|f| f.to_lossy().rsplit('/').next().unwrap_or("").to_string());
    Ok(vm.str(&match (name, line.as_small()) {
        (Some(name), Some(line)) => format!("{msg} ({name}, line {line})"),
        (Some(name), None) => format!("{msg} ({name})"),
        (None, Some(line)) => format!("{msg} (line {line})"),
        _ => msg,
    }))
}

fn repr_exception(vm: &Vm, args: Args) -> PyResult {
    let list = vm.exception_args(&args[0]);
    let name = vm.type_name(&args[0]);
    let inner = match list.as_slice() {
        [one] => format!("({})", vm.repr_text(one)?),
        more => vm.repr_text(&vm.tuple(more.to_vec()))?,
    };
    Ok(vm.str(&format!("{name}{inner}")))
}

fn with_traceback(vm: &Vm, args: Args) -> PyResult {
    set_traceback(vm, &args[0], args[1].clone())?;
    Ok(args[0].clone())
}

fn set_traceback(vm: &Vm, this: &Value, value: Value) -> PyResult<()> {
    if !value.is_none() && value.get::<crate::traceback::TracebackData>().is_none() {
        return Err(vm.type_error("__traceback__ must be a traceback or None"));
    }
    drop(data(vm, this)?.traceback.replace(value));
    Ok(())
}

fn add_note(vm: &Vm, args: Args) -> PyResult {
    if args[1].kind() != Kind::Str {
        return Err(vm.type_error(format!("note must be a str, not '{}'", vm.type_name(&args[1]))));
    }
    let notes = match vm.get_attr_opt(&args[0], &vm.names.__notes__)? {
        Some(notes) => notes,
        None => {
            let list = vm.list(Vec::new());
            vm.set_attr(&args[0], &vm.names.__notes__, list.clone())?;
            list
        }
    };
    vm.list_append(&notes, args[1].clone())?;
    Ok(Value::NONE)
}

fn set_chain(vm: &Vm, this: &Value, value: Value, cause: bool) -> PyResult<()> {
    let what = if cause { "cause" } else { "context" };
    if !value.is_none() && value.kind() != Kind::Exception {
        return Err(vm.type_error(format!("exception {what} must be None or derive from BaseException")));
    }
    let d = data(vm, this)?;
    if cause {
        d.suppress.set(true);
        drop(d.cause.replace(value));
    } else {
        drop(d.context.replace(value));
    }
    Ok(())
}

fn reduce(vm: &Vm, args: Args) -> PyResult {
    let tuple = vm.tuple(vm.exception_args(&args[0]));
    let dict = vm.get_attr(&args[0], &vm.names.__dict__)?;
    let mut items = vec![vm.type_of(&args[0]).clone(), tuple];
    if vm.truth(&dict)? {
        items.push(dict);
    }
    Ok(vm.tuple(items))
}

fn setstate(vm: &Vm, args: Args) -> PyResult {
    if let Some(dict) = args[1].get::<crate::containers::DictData>() {
        let items: Vec<_> = dict.borrow().iter().map(|e| (e.key.clone(), e.value.clone())).collect();
        for (name, value) in items {
            vm.set_attr(&args[0], &name, value)?;
        }
    }
    Ok(Value::NONE)
}

const METHODS: &[Method] = &[
    ("__new__", "...", new),
    ("__init__", "...", init_exception),
    ("__str__", "", str_exception),
    ("__repr__", "", repr_exception),
    ("with_traceback", "tb /", with_traceback),
    ("add_note", "note /", add_note),
    ("__reduce__", "", reduce),
    ("__setstate__", "state /", setstate),
];

pub(crate) fn init(vm: &Vm) {
    let e = &vm.exc;
    vm.add_methods(&e.base_exception, METHODS);
    vm.add_getset(
        &e.base_exception,
        "args",
        |vm, this| Ok(data(vm, this)?.args.borrow().clone()),
        Some(|vm, this, value| {
            let items = vm.to_vec(&value)?;
            drop(data(vm, this)?.args.replace(vm.tuple(items)));
            Ok(())
        }),
    );
    vm.add_getset(
        &e.base_exception,
        "__traceback__",
        |vm, this| Ok(data(vm, this)?.traceback.borrow().clone()),
        Some(set_traceback),
    );
    vm.add_getset(
        &e.base_exception,
        "__cause__",
        |vm, this| Ok(data(vm, this)?.cause.borrow().clone()),
        Some(|vm, this, v| set_chain(vm, this, v, true)),
    );
    vm.add_getset(
        &e.base_exception,
        "__context__",
        |vm, this| Ok(data(vm, this)?.context.borrow().clone()),
        Some(|vm, this, v| set_chain(vm, this, v, false)),
    );
    vm.add_getset(
        &e.base_exception,
        "__suppress_context__",
        |vm, this| Ok(Value::from_bool(data(vm, this)?.suppress.get())),
        Some(|vm, this, v| {
            data(vm, this)?.suppress.set(vm.truth(&v)?);
            Ok(())
        }),
    );
    vm.add_methods(&e.stop_iteration, &[("__init__", "...", init_stop)]);
    vm.add_methods(&e.system_exit, &[("__init__", "...", init_exit)]);
    vm.add_methods(&e.name_error, &[("__init__", "...", init_name)]);
    vm.add_methods(&e.attribute_error, &[("__init__", "...", init_attribute)]);
    vm.add_methods(&e.import_error, &[("__init__", "...", init_import), ("__str__", "", str_import)]);
    vm.add_methods(&e.os_error, &[("__init__", "...", init_os), ("__str__", "", str_os)]);
    vm.add_methods(&e.syntax_error, &[("__init__", "...", init_syntax), ("__str__", "", str_syntax)]);
    vm.add_methods(&e.key_error, &[("__str__", "", str_key)]);
    for ty in [&e.unicode_decode_error, &e.unicode_encode_error, &e.unicode_translate_error] {
        vm.add_methods(ty, &[("__init__", "...", init_unicode), ("__str__", "", str_unicode)]);
    }
    // Attributes that exist even when native code made the exception without `__init__`.
    for (ty, names) in [
        (&e.name_error, &["name"][..]),
        (&e.attribute_error, &["name", "obj"]),
        (&e.import_error, &["name", "path", "msg", "name_from"]),
        (&e.stop_iteration, &["value"]),
        (&e.system_exit, &["code"]),
        (&e.os_error, &["errno", "strerror", "filename", "filename2"]),
        (
            &e.syntax_error,
            &[
                "msg",
                "filename",
                "lineno",
                "offset",
                "text",
                "end_lineno",
                "end_offset",
                "print_file_and_line",
            ],
        ),
    ] {
        for name in names {
            vm.set_type_attr(ty, name, Value::NONE);
        }
    }
    crate::groups::init(vm);
    for (name, ty) in e.all() {
        vm.set_builtin(name, ty.clone());
    }
    vm.set_builtin("EnvironmentError", e.os_error.clone());
    vm.set_builtin("IOError", e.os_error.clone());
    let _ = NO;
}
