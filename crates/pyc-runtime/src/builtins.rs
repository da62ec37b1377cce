//! The builtin functions.

use crate::args::Method;
use crate::function::{CodeData, Flavor};
use crate::object::{Kind, Value};
use crate::str::Str;
use crate::types::Type;
use crate::vm::{Args, PyResult, Vm};
use pyc_ir::{BinaryOp, CompareOp};

impl Vm {
    /// `ascii()`
    ///
    /// # Errors
    /// What `__repr__` raises.
    pub fn ascii(&self, value: &Value) -> PyResult {
        let text = self.repr(value)?;
        let Some(s) = text.get::<Str>() else { return Ok(text) };
        if s.is_ascii() {
            return Ok(text);
        }
        let mut out = String::new();
        for point in s.points() {
            match point {
                0..128 => out.extend(char::from_u32(point)),
                128..256 => out.push_str(&format!("\\x{point:02x}")),
                256..65536 => out.push_str(&format!("\\u{point:04x}")),
                _ => out.push_str(&format!("\\U{point:08x}")),
            }
        }
        Ok(self.str(&out))
    }

    /// `dir(obj)`
    ///
    /// # Errors
    /// What `__dir__` raises.
    pub fn dir(&self, value: &Value) -> PyResult<Vec<Value>> {
        match self.special(value, &self.names.__dir__) {
            Some(method) => {
                let list = self.call_with_self(&method, value, &[])?;
                let items = self.to_vec(&list)?;
                self.sort_values(items, None, false).map_err(|(_, e)| e)
            }
            None => Ok(Vec::new()),
        }
    }

    /// Issues a warning through the module `warnings` when it is loaded.
    ///
    /// # Errors
    /// When a filter turns it into an exception.
    pub fn warn(&self, category: &Value, message: &str) -> PyResult<()> {
        let warnings = match self.loaded_module("warnings") {
            Some(module) => module,
            None => match self.import("warnings") {
                Ok(module) => module,
                Err(_) => return Ok(()),
            },
        };
        let warn = self.get_attr_str(&warnings, "warn")?;
        self.call_pos(&warn, &[self.str(message), category.clone()])?;
        Ok(())
    }
}

fn print(vm: &Vm, args: Args) -> PyResult {
    let (mut separator, mut end, mut file, mut flush) = (None, None, None, false);
    for (name, value) in args.keywords() {
        match &*vm.text(name) {
            "sep" | "end" if !value.is_none() && value.kind() != Kind::Str => {
                return Err(vm.type_error(format!(
                    "{} must be None or a string, not {}",
                    vm.text(name),
                    vm.type_name(value)
                )));
            }
            "sep" => separator = Some(value.clone()).filter(|v| !v.is_none()),
            "end" => end = Some(value.clone()).filter(|v| !v.is_none()),
            "file" => file = Some(value.clone()).filter(|v| !v.is_none()),
            "flush" => flush = vm.truth(value)?,
            other => {
                return Err(vm.type_error(format!("print() got an unexpected keyword argument '{other}'")));
            }
        }
    }
    let file = match file {
        Some(file) => file,
        None => {
            let sys = vm.sys.borrow().clone();
            match vm.dict_get_name(&sys, &vm.names.stdout) {
                Some(file) if !file.is_none() => file,
                Some(_) => return Ok(Value::NONE),
                None => return Err(vm.runtime_error("lost sys.stdout")),
            }
        }
    };
    let mut parts: Vec<Value> = Vec::new();
    for (at, value) in args.positional().iter().enumerate() {
        if at > 0 {
            parts.push(separator.clone().unwrap_or_else(|| vm.chars[32].clone()));
        }
        parts.push(vm.to_str(value)?);
    }
    parts.push(end.unwrap_or_else(|| vm.chars[10].clone()));
    let texts: Vec<&Str> = parts.iter().filter_map(|p| p.get::<Str>()).collect();
    let text = vm.new_str(Str::join(&texts));
    vm.call_method(&file, &vm.names.write, &[text])?;
    if flush {
        vm.call_method(&file, &vm.names.flush, &[])?;
    }
    Ok(Value::NONE)
}

fn min_max(vm: &Vm, args: Args, name: &str, op: CompareOp) -> PyResult {
    let (mut key, mut default) = (None, None);
    for (word, value) in args.keywords() {
        match &*vm.text(word) {
            "key" => key = Some(value.clone()).filter(|v| !v.is_none()),
            "default" => default = Some(value.clone()),
            other => {
                return Err(vm.type_error(format!("{name}() got an unexpected keyword argument '{other}'")));
            }
        }
    }
    let positional = args.positional();
    let items = match positional {
        [] => return Err(vm.type_error(format!("{name} expected at least 1 argument, got 0"))),
        [one] => vm.iter(one)?,
        more => {
            if default.is_some() {
                return Err(vm.type_error(format!(
                    "Cannot specify a default for {name}() with multiple positional arguments"
                )));
            }
            vm.iter(&vm.tuple(more.to_vec()))?
        }
    };
    let mut best: Option<(Value, Value)> = None;
    while let Some(item) = vm.next(&items)? {
        let measure = match &key {
            Some(key) => vm.call_pos(key, std::slice::from_ref(&item))?,
            None => item.clone(),
        };
        let better = match &best {
            None => true,
            Some((_, held)) => vm.compare_true(op, &measure, held)?,
        };
        if better {
            best = Some((item, measure));
        }
    }
    match (best, default) {
        (Some((item, _)), _) => Ok(item),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(vm.value_error(format!("{name}() iterable argument is empty"))),
    }
}

fn sum(vm: &Vm, args: Args) -> PyResult {
    let mut total = args.opt(1).cloned().unwrap_or(Value::from_i32(0));
    match total.kind() {
        Kind::Str => return Err(vm.type_error("sum() can't sum strings [use ''.join(seq) instead]")),
        Kind::Bytes => return Err(vm.type_error("sum() can't sum bytes [use b''.join(seq) instead]")),
        Kind::ByteArray => return Err(vm.type_error("sum() can't sum bytearray [use b''.join(seq) instead]")),
        _ => {}
    }
    let iterator = vm.iter(&args[0])?;
    // Floats are added with a running compensation (Neumaier), as CPython 3.12 does.
    let mut float: Option<(f64, f64)> = None;
    while let Some(item) = vm.next(&iterator)? {
        if let Some((sum, compensation)) = &mut float {
            let x = match item.exact::<f64>() {
                Some(x) => Some(*x),
                None => item.as_small().map(|n| n as f64),
            };
            if let Some(x) = x {
                let t = *sum + x;
                *compensation += if sum.abs() >= x.abs() { (*sum - t) + x } else { (x - t) + *sum };
                *sum = t;
                continue;
            }
            total = vm.float(finish(*sum, *compensation));
            float = None;
        } else if let (Some(a), Some(x)) = (total.exact::<f64>(), item.exact::<f64>()) {
            float = Some(add(*a, 0.0, *x));
            continue;
        } else if let (Some(a), Some(x)) = (total.as_small(), item.exact::<f64>()) {
            float = Some(add(a as f64, 0.0, *x));
            continue;
        }
        total = vm.binary(BinaryOp::Add, &total, &item)?;
    }
    Ok(match float {
        Some((sum, compensation)) => vm.float(finish(sum, compensation)),
        None => total,
    })
}

fn add(sum: f64, compensation: f64, x: f64) -> (f64, f64) {
    let t = sum + x;
    (t, compensation + if sum.abs() >= x.abs() { (sum - t) + x } else { (x - t) + sum })
}

fn finish(sum: f64, compensation: f64) -> f64 {
    if compensation.is_finite() && compensation != 0.0 { sum + compensation } else { sum }
}

fn any_all(vm: &Vm, args: Args, stop: bool) -> PyResult {
    let iterator = vm.iter(&args[0])?;
    while let Some(item) = vm.next(&iterator)? {
        if vm.truth(&item)? == stop {
            return Ok(Value::from_bool(stop));
        }
    }
    Ok(Value::from_bool(!stop))
}

fn iter(vm: &Vm, args: Args) -> PyResult {
    match args.opt(1) {
        None => vm.iter(&args[0]),
        Some(sentinel) => {
            if !callable(vm, &args[0]) {
                return Err(vm.type_error("iter(v, w): v must be callable"));
            }
            Ok(crate::iterators::callable_iter(vm, &args[0], sentinel))
        }
    }
}

fn next(vm: &Vm, args: Args) -> PyResult {
    let iterator = &args[0];
    if vm.special(iterator, &vm.names.__next__).is_none() {
        return Err(vm.type_error(format!("'{}' object is not an iterator", vm.type_name(iterator))));
    }
    match args.opt(1) {
        Some(default) => Ok(vm.next(iterator)?.unwrap_or_else(|| default.clone())),
        None => {
            vm.tick()?;
            let method = vm.special(iterator, &vm.names.__next__).unwrap_or(Value::NONE);
            vm.call_with_self(&method, iterator, &[])
        }
    }
}

fn callable(vm: &Vm, value: &Value) -> bool {
    matches!(value.kind(), Kind::Function | Kind::Native | Kind::Method | Kind::Type)
        || vm.special(value, &vm.names.__call__).is_some()
}

fn attribute_name(vm: &Vm, value: &Value, what: &str) -> PyResult {
    if value.kind() != Kind::Str {
        return Err(
            vm.type_error(format!("{what}attribute name must be string, not '{}'", vm.type_name(value)))
        );
    }
    Ok(vm.intern_value(value))
}

fn getattr(vm: &Vm, args: Args) -> PyResult {
    let name = attribute_name(vm, &args[1], "")?;
    match args.opt(2) {
        None => vm.get_attr(&args[0], &name),
        Some(default) => Ok(vm.find_attr(&args[0], &name)?.unwrap_or_else(|| default.clone())),
    }
}

fn code_point(vm: &Vm, args: Args) -> PyResult {
    let n = vm.index_clamped(&args[0])?;
    if i32::try_from(n).is_err() {
        return Err(vm.overflow_error("Python int too large to convert to C int"));
    }
    if !(0..0x11_0000).contains(&n) {
        return Err(vm.value_error("chr() arg not in range(0x110000)"));
    }
    Ok(vm.char_str(n as u32))
}

fn ord(vm: &Vm, args: Args) -> PyResult {
    let length = if let Some(s) = args[0].get::<Str>() {
        if s.len() == 1 {
            return Ok(Value::from_len(s.at(0) as usize));
        }
        s.len()
    } else if vm.is_bytes_like(&args[0]) {
        let bytes = vm.bytes_of(&args[0])?;
        if let [b] = &bytes[..] {
            return Ok(Value::from_i32(i32::from(*b)));
        }
        bytes.len()
    } else {
        return Err(
            vm.type_error(format!("ord() expected string of length 1, but {} found", vm.type_name(&args[0])))
        );
    };
    Err(vm.type_error(format!("ord() expected a character, but string of length {length} found")))
}

fn radix(vm: &Vm, args: Args, radix: u32, prefix: &str) -> PyResult {
    let n = vm.index_value(&args[0])?;
    let n = vm.big_int(&n).unwrap_or_default();
    let text = n.magnitude().to_str_radix(radix);
    let sign = if n.sign() == num_bigint::Sign::Minus { "-" } else { "" };
    Ok(vm.str(&format!("{sign}{prefix}{text}")))
}

fn round(vm: &Vm, args: Args) -> PyResult {
    let given: Vec<Value> = args.opt(1).filter(|v| !v.is_none()).cloned().into_iter().collect();
    match vm.call_special(&args[0], &vm.names.__round__, &given)? {
        Some(result) => Ok(result),
        None => {
            Err(vm.type_error(format!("type {} doesn't define __round__ method", vm.type_name(&args[0]))))
        }
    }
}

fn pow(vm: &Vm, args: Args) -> PyResult {
    match args.opt(2).filter(|m| !m.is_none()) {
        None => vm.binary(BinaryOp::Pow, &args[0], &args[1]),
        Some(modulus) => {
            if let Some(result) =
                vm.call_special(&args[0], &vm.names.__pow__, &[args[1].clone(), modulus.clone()])?
                && !result.is(&Value::NOT_IMPLEMENTED)
            {
                return Ok(result);
            }
            Err(vm.type_error(format!(
                "unsupported operand type(s) for ** or pow(): '{}', '{}', '{}'",
                vm.type_name(&args[0]),
                vm.type_name(&args[1]),
                vm.type_name(modulus)
            )))
        }
    }
}

fn divmod(vm: &Vm, args: Args) -> PyResult {
    match vm.binary_methods(&vm.names.__divmod__, &vm.names.__rdivmod__, &args[0], &args[1])? {
        Some(result) => Ok(result),
        None => Err(vm.type_error(format!(
            "unsupported operand type(s) for divmod(): '{}' and '{}'",
            vm.type_name(&args[0]),
            vm.type_name(&args[1])
        ))),
    }
}

fn sorted(vm: &Vm, args: Args) -> PyResult {
    let items = vm.to_vec(&args[0])?;
    let reverse = args.opt(2).map_or(Ok(false), |r| vm.truth(r))?;
    let sorted = vm.sort_values(items, args.opt(1).filter(|k| !k.is_none()), reverse).map_err(|(_, e)| e)?;
    Ok(vm.list(sorted))
}

/// The namespaces of `exec` and `eval`.
fn namespaces(
    vm: &Vm,
    name: &str,
    globals: Option<&Value>,
    locals: Option<&Value>,
) -> PyResult<(Value, Value)> {
    vm.sync_frames();
    let depth = vm.frames.borrow().len();
    let globals_value = match globals.filter(|g| !g.is_none()) {
        Some(g) if g.kind() == Kind::Dict => g.clone(),
        Some(g) => {
            return Err(vm.type_error(if name == "eval" {
                "globals must be a dict".to_string()
            } else {
                format!("{name}() globals must be a dict, not {}", vm.type_name(g))
            }));
        }
        None => vm.current_globals(),
    };
    let locals_value = match (locals.filter(|l| !l.is_none()), globals.filter(|g| !g.is_none())) {
        (Some(l), _) => {
            if vm.special(l, &vm.names.__getitem__).is_none() {
                return Err(vm.type_error("locals must be a mapping"));
            }
            l.clone()
        }
        (None, Some(_)) => globals_value.clone(),
        (None, None) if depth > 0 => vm.locals_at(depth - 1),
        (None, None) => globals_value.clone(),
    };
    if vm.dict_get_name(&globals_value, &vm.names.__builtins__).is_none() {
        let builtins = vm.loaded_module("builtins").unwrap_or_else(|| vm.builtins.clone());
        vm.dict_set_name(&globals_value, &vm.names.__builtins__, builtins);
    }
    Ok((globals_value, locals_value))
}

fn source_text(vm: &Vm, value: &Value, what: &str) -> PyResult<String> {
    if let Some(s) = value.get::<Str>() {
        return s.to_text().ok_or_else(|| vm.value_error("source code string cannot contain surrogates"));
    }
    if vm.is_bytes_like(value) {
        let text = vm.decode(&vm.bytes_of(value)?, "utf-8", "strict")?;
        return vm.str_text(&text);
    }
    Err(vm.type_error(format!("{what} arg 1 must be a string, bytes or code object")))
}

fn run(vm: &Vm, args: Args, mode: &str) -> PyResult {
    let (globals, locals) = namespaces(vm, mode, args.opt(1), args.opt(2))?;
    let code = if args[0].kind() == Kind::Code {
        args[0].clone()
    } else {
        let text = source_text(vm, &args[0], &format!("{mode}()"))?;
        vm.compile(&text, "<string>", mode, 0)?
    };
    if code.get::<CodeData>().is_some_and(|c| !c.ir.frees.is_empty()) && args.opt(3).is_none() {
        return Err(vm.type_error(format!("code object passed to {mode}() may not contain free variables")));
    }
    let closure = args.opt(3).filter(|c| !c.is_none()).map_or(Ok(Vec::new()), |c| vm.to_vec(c))?;
    let result = (vm.engine().run)(vm, &code, &globals, &locals, &closure)?;
    Ok(if mode == "exec" { Value::NONE } else { result })
}

fn compile(vm: &Vm, args: Args) -> PyResult {
    let mode = vm.str_text(&args[2])?;
    if !matches!(mode.as_str(), "exec" | "eval" | "single") {
        return Err(vm.value_error("compile() mode must be 'exec', 'eval' or 'single'"));
    }
    let flags = args.opt(3).map_or(Ok(0), |f| vm.index(f))?;
    if flags & 0x1000 != 0 {
        return Err(vm.value_error("compile() with type comments is not supported"));
    }
    // A tree is compiled from the text that it stands for.
    let tree = vm.find_attr(vm.type_of(&args[0]), &vm.intern("_field_kinds"))?.is_some();
    if tree && flags & 0x400 != 0 {
        return Ok(args[0].clone());
    }
    let text = if tree {
        let unparse = vm.get_attr_str(&vm.import("ast")?, "unparse")?;
        let fixed = vm.call_pos(&unparse, &args.all[..1])?;
        vm.str_text(&fixed)?
    } else {
        source_text(vm, &args[0], "compile()")?
    };
    let filename = if vm.is_bytes_like(&args[1]) {
        String::from_utf8_lossy(&vm.bytes_of(&args[1])?).into_owned()
    } else {
        vm.str_text(&args[1])?
    };
    vm.compile(&text, &filename, &mode, flags as u32)
}

fn vars(vm: &Vm, args: Args) -> PyResult {
    match args.opt(0) {
        None => Ok(vm.current_locals()),
        Some(value) => match vm.find_attr(value, &vm.names.__dict__)? {
            Some(dict) => Ok(dict),
            None => Err(vm.type_error("vars() argument must have __dict__ attribute")),
        },
    }
}

fn dir(vm: &Vm, args: Args) -> PyResult {
    let names = match args.opt(0) {
        Some(value) => vm.dir(value)?,
        None => {
            let locals = vm.current_locals();
            let keys = vm.to_vec(&locals)?;
            vm.sort_values(keys, None, false).map_err(|(_, e)| e)?
        }
    };
    Ok(vm.list(names))
}

fn import(vm: &Vm, args: Args) -> PyResult {
    let name = vm.str_text(&args[0])?;
    let globals = args.opt(1).cloned().unwrap_or_else(|| vm.dict());
    let from = args.opt(3).cloned().unwrap_or(Value::NONE);
    let level = args.opt(4).map_or(Ok(0), |l| vm.index(l))?;
    if level < 0 {
        return Err(vm.value_error("level must be >= 0"));
    }
    if name.is_empty() && level == 0 {
        return Err(vm.value_error("Empty module name"));
    }
    vm.import_statement(&name, &globals, &from, level as usize)
}

fn input(vm: &Vm, args: Args) -> PyResult {
    let sys = vm.sys.borrow().clone();
    if let Some(prompt) = args.opt(0) {
        let text = vm.to_str(prompt)?;
        if let Some(out) = vm.dict_get_name(&sys, &vm.names.stdout) {
            vm.call_method(&out, &vm.names.write, &[text])?;
            vm.call_method(&out, &vm.names.flush, &[])?;
        }
    }
    let Some(stdin) = vm.dict_get_name(&sys, &vm.names.stdin) else {
        return Err(vm.runtime_error("input(): lost sys.stdin"));
    };
    let line = vm.call_method(&stdin, &vm.names.readline, &[])?;
    let text = vm.str_text(&line)?;
    if text.is_empty() {
        return Err(vm.raise(&vm.exc.eof_error, "EOF when reading a line"));
    }
    Ok(vm.str(text.strip_suffix('\n').unwrap_or(&text)))
}

const FUNCTIONS: &[Method] = &[
    ("print", "...", print),
    ("len", "obj /", |vm, args| Ok(Value::from_len(vm.len(&args[0])?))),
    ("repr", "obj /", |vm, args| vm.repr(&args[0])),
    ("ascii", "obj /", |vm, args| vm.ascii(&args[0])),
    ("hash", "obj /", |vm, args| Ok(vm.int(vm.hash(&args[0])?))),
    ("id", "obj /", |vm, args| Ok(vm.uint(args[0].bits()))),
    ("abs", "x /", |vm, args| match vm.call_special(&args[0], &vm.names.__abs__, &[])? {
        Some(result) => Ok(result),
        None => Err(vm.type_error(format!("bad operand type for abs(): '{}'", vm.type_name(&args[0])))),
    }),
    ("min", "...", |vm, args| min_max(vm, args, "min", CompareOp::Lt)),
    ("max", "...", |vm, args| min_max(vm, args, "max", CompareOp::Gt)),
    ("sum", "iterable / start?", sum),
    ("any", "iterable /", |vm, args| any_all(vm, args, true)),
    ("all", "iterable /", |vm, args| any_all(vm, args, false)),
    ("iter", "object sentinel? /", iter),
    ("next", "iterator default? /", next),
    ("callable", "obj /", |vm, args| Ok(Value::from_bool(callable(vm, &args[0])))),
    ("getattr", "object name default? /", getattr),
    ("hasattr", "obj name /", |vm, args| {
        let name = attribute_name(vm, &args[1], "")?;
        Ok(Value::from_bool(vm.find_attr(&args[0], &name)?.is_some()))
    }),
    ("setattr", "obj name value /", |vm, args| {
        let name = attribute_name(vm, &args[1], "")?;
        vm.set_attr(&args[0], &name, args[2].clone()).map(|()| Value::NONE)
    }),
    ("delattr", "obj name /", |vm, args| {
        let name = attribute_name(vm, &args[1], "")?;
        vm.set_attr(&args[0], &name, Value::UNBOUND).map(|()| Value::NONE)
    }),
    ("isinstance", "obj class_or_tuple /", |vm, args| {
        Ok(Value::from_bool(vm.is_instance(&args[0], &args[1])?))
    }),
    ("issubclass", "cls class_or_tuple /", |vm, args| {
        Ok(Value::from_bool(vm.is_subclass(&args[0], &args[1])?))
    }),
    ("chr", "i /", code_point),
    ("ord", "c /", ord),
    ("bin", "number /", |vm, args| radix(vm, args, 2, "0b")),
    ("oct", "number /", |vm, args| radix(vm, args, 8, "0o")),
    ("hex", "number /", |vm, args| radix(vm, args, 16, "0x")),
    ("round", "number ndigits?", round),
    ("pow", "base exp mod?", pow),
    ("divmod", "x y /", divmod),
    ("sorted", "iterable / * key? reverse?", sorted),
    ("format", "value format_spec? /", |vm, args| {
        let spec = args.opt(1).cloned().unwrap_or_else(|| vm.str(""));
        if spec.kind() != Kind::Str {
            return Err(
                vm.type_error(format!("format() argument 2 must be str, not {}", vm.type_name(&spec)))
            );
        }
        vm.format(&args[0], &spec)
    }),
    ("globals", "", |vm, _| Ok(vm.current_globals())),
    ("locals", "", |vm, _| Ok(vm.current_locals())),
    ("vars", "object? /", vars),
    ("dir", "object? /", dir),
    ("exec", "source / globals? locals? * closure?", |vm, args| run(vm, args, "exec")),
    ("eval", "source / globals? locals?", |vm, args| run(vm, args, "eval")),
    ("compile", "source filename mode flags? dont_inherit? optimize? * _feature_version?", compile),
    ("input", "prompt? /", input),
    ("__import__", "name globals? locals? fromlist? level?", import),
    ("__build_class__", "...", |vm, args| vm.build_class(args)),
    ("aiter", "async_iterable /", |vm, args| match vm.call_special(&args[0], &vm.names.__aiter__, &[])? {
        Some(iterator) if vm.special(&iterator, &vm.names.__anext__).is_some() => Ok(iterator),
        Some(iterator) => Err(vm.type_error(format!(
            "aiter() returned not an async iterator of type '{}'",
            vm.type_name(&iterator)
        ))),
        None => Err(vm.type_error(format!("'{}' object is not an async iterable", vm.type_name(&args[0])))),
    }),
    ("anext", "async_iterator default? /", |vm, args| {
        if args.opt(1).is_some() {
            return Err(vm.runtime_error("anext() with a default is not supported"));
        }
        match vm.call_special(&args[0], &vm.names.__anext__, &[])? {
            Some(awaitable) => Ok(awaitable),
            None => {
                Err(vm.type_error(format!("'{}' object is not an async iterator", vm.type_name(&args[0]))))
            }
        }
    }),
];

pub(crate) fn init(vm: &Vm) {
    let owner = vm.intern("builtins");
    for (name, params, function) in FUNCTIONS {
        let value = vm.native(name, params, *function, Flavor::Function, owner.clone());
        vm.set_builtin(name, value);
    }
    let t = &vm.types;
    for ty in [
        &t.object,
        &t.type_,
        &t.int,
        &t.bool_,
        &t.float,
        &t.complex,
        &t.str_,
        &t.bytes,
        &t.bytearray,
        &t.memoryview,
        &t.tuple,
        &t.list,
        &t.dict,
        &t.set,
        &t.frozenset,
        &t.range,
        &t.slice,
        &t.property,
        &t.staticmethod,
        &t.classmethod,
        &t.super_,
        &t.reversed,
        &t.enumerate,
        &t.zip,
        &t.map,
        &t.filter,
    ] {
        let name = ty.get::<Type>().map(Type::name).unwrap_or_else(|| "".into());
        vm.set_builtin(&name, ty.clone());
    }
    for (name, value) in [
        ("None", Value::NONE),
        ("True", Value::TRUE),
        ("False", Value::FALSE),
        ("Ellipsis", Value::ELLIPSIS),
        ("NotImplemented", Value::NOT_IMPLEMENTED),
        ("__debug__", Value::TRUE),
    ] {
        vm.set_builtin(name, value);
    }
    vm.set_builtin("__name__", vm.str("builtins"));
    vm.set_builtin("__doc__", Value::NONE);
    vm.add_methods(
        &t.none,
        &[
            ("__repr__", "", |vm, _| Ok(vm.str("None"))),
            ("__bool__", "", |_, _| Ok(Value::FALSE)),
            ("__new__", "", |_, _| Ok(Value::NONE)),
            ("__hash__", "", |vm, _| Ok(vm.int(0xfca8_6420))),
            ("__or__", "value /", |vm, args| crate::generic::union(vm, &args[0], &args[1])),
            ("__ror__", "value /", |vm, args| crate::generic::union(vm, &args[1], &args[0])),
        ],
    );
    vm.add_methods(
        &t.not_implemented,
        &[
            ("__repr__", "", |vm, _| Ok(vm.str("NotImplemented"))),
            ("__new__", "", |_, _| Ok(Value::NOT_IMPLEMENTED)),
            ("__reduce__", "", |vm, _| Ok(vm.str("NotImplemented"))),
        ],
    );
    vm.add_methods(
        &t.ellipsis,
        &[
            ("__repr__", "", |vm, _| Ok(vm.str("Ellipsis"))),
            ("__new__", "", |_, _| Ok(Value::ELLIPSIS)),
            ("__reduce__", "", |vm, _| Ok(vm.str("Ellipsis"))),
        ],
    );
    let module =
        crate::object::new_object(&t.module, crate::module::ModuleData { dict: vm.builtins.clone() });
    vm.dict_set_str(&vm.modules, "builtins", module);
}
