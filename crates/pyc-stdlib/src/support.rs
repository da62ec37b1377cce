//! What several modules need: tuples with named parts, paths, files as bytes.

use pyc_runtime::bytes::{ByteArrayData, MemoryData};
use pyc_runtime::containers::TupleData;
use pyc_runtime::function::Flavor;
use pyc_runtime::str::Str;
use pyc_runtime::{Args, Kind, PyResult, Value, Vm};

/// A class derived from tuple whose attributes are its items, as `time.struct_time`. `fields` names the items;
/// those after `visible` are attributes only.
pub(crate) fn struct_type(vm: &Vm, module: &str, name: &str, fields: &[&str], visible: usize) -> PyResult {
    let namespace = vm.dict();
    let operator = vm.import("_operator")?;
    let itemgetter = vm.get_attr_str(&operator, "itemgetter")?;
    for (at, field) in fields.iter().take(visible).enumerate() {
        let getter = vm.call_pos(&itemgetter, &[Value::from_len(at)])?;
        let property = vm.call_pos(&vm.types.property, &[getter])?;
        vm.dict_set_str(&namespace, field, property);
    }
    vm.dict_set_str(&namespace, "__module__", vm.str(module));
    for (key, n) in [("n_fields", fields.len()), ("n_sequence_fields", visible), ("n_unnamed_fields", 0)] {
        vm.dict_set_str(&namespace, key, Value::from_len(n));
    }
    let all = vm.tuple(fields.iter().map(|f| vm.str(f)).collect());
    vm.dict_set_str(&namespace, "_fields_", all);
    let shown = vm.tuple(fields.iter().take(visible).map(|f| vm.str(f)).collect());
    vm.dict_set_str(&namespace, "__match_args__", shown);
    let tuple = vm.types.tuple.clone();
    let native = |name, params, function| vm.native(name, params, function, Flavor::Wrapper, tuple.clone());
    vm.dict_set_str(&namespace, "__repr__", native("__repr__", "", struct_repr));
    vm.dict_set_str(&namespace, "__reduce__", native("__reduce__", "", struct_reduce));
    let new = vm.native("__new__", "...", struct_new, Flavor::New, tuple.clone());
    vm.dict_set_str(&namespace, "__new__", vm.static_method(new));
    vm.call_pos(&vm.types.type_, &[vm.str(name), vm.tuple(vec![tuple]), namespace])
}

/// An instance of a [`struct_type`] with a value for each field.
pub(crate) fn struct_make(vm: &Vm, ty: &Value, values: Vec<Value>) -> PyResult {
    vm.call_pos(ty, &[vm.tuple(values)])
}

fn struct_new(vm: &Vm, args: Args) -> PyResult {
    let class = &args.all[0];
    let number = |key: &str| -> PyResult<usize> { Ok(vm.index(&vm.get_attr_str(class, key)?)? as usize) };
    let (total, visible) = (number("n_fields")?, number("n_sequence_fields")?);
    let name = vm.str_text(&vm.get_attr_str(class, "__name__")?)?;
    let Some(given) = args.all.get(1) else {
        return Err(vm.type_error(format!("{name}() missing required argument 'sequence' (pos 1)")));
    };
    let values = match vm.to_vec(given) {
        Ok(values) => values,
        Err(error) if vm.is_exception(&error, &vm.exc.type_error) => {
            return Err(vm.type_error("constructor requires a sequence"));
        }
        Err(error) => return Err(error),
    };
    if values.len() < visible || values.len() > total {
        let bound = match (total == visible, values.len() < visible) {
            (true, _) => format!("a {visible}-sequence"),
            (false, true) => format!("an at least {visible}-sequence"),
            (false, false) => format!("an at most {total}-sequence"),
        };
        return Err(vm.type_error(format!("{name}() takes {bound} ({}-sequence given)", values.len())));
    }
    let tuple_new = vm.get_attr(&vm.types.tuple, &vm.names.__new__)?;
    let made = vm.call_pos(&tuple_new, &[class.clone(), vm.tuple(values[..visible].to_vec())])?;
    let fields = vm.to_vec(&vm.get_attr_str(class, "_fields_")?)?;
    for (at, field) in fields.iter().enumerate().skip(visible) {
        let value = match (values.get(at), args.opt(2)) {
            (Some(value), _) => value.clone(),
            (None, Some(dict)) => vm.call_method_str(dict, "get", &[field.clone(), Value::NONE])?,
            (None, None) => Value::NONE,
        };
        let key = vm.intern_value(field);
        vm.set_attr_raw(&made, &key, value);
    }
    Ok(made)
}

fn struct_repr(vm: &Vm, args: Args) -> PyResult {
    let class = vm.type_of(&args[0]).clone();
    let fields = vm.to_vec(&vm.get_attr_str(&class, "_fields_")?)?;
    let items = args[0].get::<TupleData>().map(|t| t.items().to_vec()).unwrap_or_default();
    let mut parts = Vec::new();
    for (field, value) in fields.iter().zip(&items) {
        parts.push(format!("{}={}", vm.text(field), vm.repr_text(value)?));
    }
    let module = vm.str_text(&vm.get_attr(&class, &vm.names.__module__)?)?;
    Ok(vm.str(&format!("{module}.{}({})", vm.type_name(&args[0]), parts.join(", "))))
}

fn struct_reduce(vm: &Vm, args: Args) -> PyResult {
    let class = vm.type_of(&args[0]).clone();
    let items = args[0].get::<TupleData>().map(|t| t.items().to_vec()).unwrap_or_default();
    let extra = vm.dict();
    for field in vm.to_vec(&vm.get_attr_str(&class, "_fields_")?)?.iter().skip(items.len()) {
        let value = vm.get_attr(&args[0], &vm.intern_value(field))?;
        vm.dict_set(&extra, field.clone(), value)?;
    }
    let arguments = vm.tuple(vec![vm.tuple(items), extra]);
    Ok(vm.tuple(vec![class, arguments]))
}

/// `os.fspath`
pub(crate) fn fspath(vm: &Vm, value: &Value) -> PyResult {
    if matches!(value.kind(), Kind::Str | Kind::Bytes) {
        return Ok(value.clone());
    }
    let made = vm.call_special(value, &vm.names.__fspath__, &[])?;
    match made {
        Some(path) if matches!(path.kind(), Kind::Str | Kind::Bytes) => Ok(path),
        Some(other) => Err(vm.type_error(format!(
            "expected {}.__fspath__() to return str or bytes, not {}",
            vm.type_name(value),
            vm.type_name(&other)
        ))),
        None => Err(
            vm.type_error(format!("expected str, bytes or os.PathLike object, not {}", vm.type_name(value)))
        ),
    }
}

/// A path argument as text for the host.
pub(crate) fn path_text(vm: &Vm, value: &Value) -> PyResult<String> {
    let path = fspath(vm, value)?;
    let text = match path.get::<Str>() {
        Some(s) => s.to_text(),
        None => String::from_utf8(vm.bytes_of(&path)?).ok(),
    };
    match text {
        Some(text) if text.contains('\0') => Err(vm.value_error("embedded null byte")),
        Some(text) => Ok(text),
        None => Err(vm.value_error("file names that are not UTF-8 are not supported")),
    }
}

/// Copies bytes to the start of a writable buffer and gives how many fit.
pub(crate) fn fill_buffer(vm: &Vm, target: &Value, bytes: &[u8]) -> PyResult<usize> {
    if let Some(array) = target.get::<ByteArrayData>() {
        let mut array = array.0.borrow_mut();
        let n = bytes.len().min(array.len());
        array[..n].copy_from_slice(&bytes[..n]);
        return Ok(n);
    }
    if let Some(view) = target.get::<MemoryData>()
        && let Some(array) = view.object.get::<ByteArrayData>()
    {
        let mut array = array.0.borrow_mut();
        let n = bytes.len().min(view.length);
        if let Some(part) = array.get_mut(view.start..view.start + n) {
            part.copy_from_slice(&bytes[..n]);
            return Ok(n);
        }
    }
    Err(vm.type_error(format!("a read-write bytes-like object is required, not '{}'", vm.type_name(target))))
}

/// The length of a bytes-like object.
pub(crate) fn buffer_len(vm: &Vm, value: &Value) -> PyResult<usize> {
    if let Some(view) = value.get::<MemoryData>() {
        Ok(view.length)
    } else if vm.is_bytes_like(value) {
        vm.len(value)
    } else {
        Err(vm.type_error(format!("a bytes-like object is required, not '{}'", vm.type_name(value))))
    }
}

/// A size argument: absent, None and negative ones mean "all".
pub(crate) fn size_argument(vm: &Vm, value: Option<&Value>) -> PyResult<Option<usize>> {
    match value {
        None => Ok(None),
        Some(v) if v.is_none() => Ok(None),
        Some(v) => match vm.special(v, &vm.names.__index__) {
            Some(_) => Ok(usize::try_from(vm.index(v)?).ok()),
            None => {
                Err(vm.type_error(format!("argument should be integer or None, not '{}'", vm.type_name(v))))
            }
        },
    }
}

/// The exception class of a module, made once for each instance; `key` is its name in the instance's state.
pub(crate) fn error_type(vm: &Vm, key: &'static str, module: &str, name: &str, base: &Value) -> Value {
    (*vm.state(key, || {
        let namespace = vm.dict();
        vm.dict_set_str(&namespace, "__module__", vm.str(module));
        let bases = vm.tuple(vec![base.clone()]);
        // A plain class cannot fail to be made.
        vm.call_pos(&vm.types.type_, &[vm.str(name), bases, namespace]).unwrap_or_else(|_| base.clone())
    }))
    .clone()
}

/// The argument of `truncate` of a stream in memory: the place where it is, when absent.
pub(crate) fn truncate_size(vm: &Vm, value: Option<&Value>, at: usize, negative: &str) -> PyResult<usize> {
    match value.filter(|s| !s.is_none()) {
        Some(size) => {
            let n = vm.index(size)?;
            usize::try_from(n).map_err(|_| vm.value_error(format!("{negative} size value {n}")))
        }
        None => Ok(at),
    }
}

/// The questions that an open stream in memory always answers the same; `open` checks that it is.
macro_rules! memory_stream_answers {
    ($open:path) => {
        [
            ("flush", "", |vm: &Vm, args: Args| $open(vm, &args[0]).map(|_| Value::NONE)),
            ("isatty", "", |vm: &Vm, args: Args| $open(vm, &args[0]).map(|_| Value::FALSE)),
            ("readable", "", |vm: &Vm, args: Args| $open(vm, &args[0]).map(|_| Value::TRUE)),
            ("writable", "", |vm: &Vm, args: Args| $open(vm, &args[0]).map(|_| Value::TRUE)),
            ("seekable", "", |vm: &Vm, args: Args| $open(vm, &args[0]).map(|_| Value::TRUE)),
        ] as [pyc_runtime::Method; 5]
    };
}
pub(crate) use memory_stream_answers;
