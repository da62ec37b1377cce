//! `array`: numbers of one type in a row, kept as values that were checked to fit.

use std::cell::{Cell, RefCell};

use pyc_ir::CompareOp;
use pyc_runtime::str::Str;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Kind, Method, Payload, PyResult, Raised, Value, Vm, new_object};

#[derive(Default)]
struct Array {
    code: Cell<u8>,
    items: RefCell<Vec<Value>>,
}
impl Payload for Array {}

fn own(value: &Value) -> &Array {
    value.get::<Array>().expect("the descriptor checked the type")
}

fn item_size(code: u8) -> Option<usize> {
    Some(match code {
        b'b' | b'B' => 1,
        b'h' | b'H' => 2,
        b'i' | b'I' | b'f' | b'u' | b'w' => 4,
        b'l' | b'L' | b'q' | b'Q' | b'd' => 8,
        _ => return None,
    })
}

/// A value that fits the type, as it is read back.
fn fit(vm: &Vm, code: u8, value: &Value) -> PyResult {
    match code {
        b'u' | b'w' => match value.get::<Str>() {
            Some(s) if s.len() == 1 => Ok(value.clone()),
            _ => Err(vm.type_error(
                "array item must be a unicode character, not str"
                    .replace("not str", &format!("not {}", vm.type_name(value))),
            )),
        },
        b'd' => Ok(vm.float(vm.to_f64(value)?)),
        b'f' => Ok(vm.float(f64::from(vm.to_f64(value)? as f32))),
        code => {
            if value.get::<f64>().is_some() {
                return Err(vm.type_error("'float' object cannot be interpreted as an integer"));
            }
            let number = vm.index_value(value)?;
            let (low, high, name): (i128, i128, &str) = match code {
                b'b' => (-128, 127, "signed char"),
                b'B' => (0, 255, "unsigned byte integer"),
                b'h' => (-32768, 32767, "signed short integer"),
                b'H' => (0, 65535, "unsigned short"),
                b'i' => (i32::MIN.into(), i32::MAX.into(), "signed integer"),
                b'I' => (0, u32::MAX.into(), "unsigned int"),
                b'l' | b'q' => (i64::MIN.into(), i64::MAX.into(), "signed long"),
                _ => (0, u64::MAX.into(), "unsigned long"),
            };
            let n = vm.big_int(&number).and_then(|n| i128::try_from(n).ok());
            match n {
                Some(n) if n < low => Err(vm.overflow_error(format!("{name} is less than minimum"))),
                Some(n) if n > high => Err(vm.overflow_error(format!("{name} is greater than maximum"))),
                Some(_) => Ok(number),
                None => Err(vm.overflow_error("int too large to convert")),
            }
        }
    }
}

fn make(vm: &Vm, like: &Value, items: Vec<Value>) -> Value {
    let code = Cell::new(own(like).code.get());
    new_object(&array_type(vm), Array { code, items: RefCell::new(items) })
}

fn format_of(code: u8) -> String {
    format!(
        "<{}",
        match code {
            b'l' => 'q',
            b'L' => 'Q',
            b'u' | b'w' => 'I',
            c => char::from(c),
        }
    )
}

/// The items as bytes, through `struct`.
fn to_bytes(vm: &Vm, this: &Value) -> PyResult<Vec<u8>> {
    let a = own(this);
    let items = a.items.borrow().clone();
    let module = vm.import("_struct")?;
    let format = format_of(a.code.get());
    let text = format!("<{}{}", items.len(), &format[1..]);
    let mut args = vec![vm.str(&text)];
    for item in items {
        args.push(match item.get::<Str>() {
            Some(s) => vm.int(i64::from(s.at(0))),
            None => item,
        });
    }
    let packed = vm.call_method_str(&module, "pack", &args)?;
    vm.bytes_of(&packed)
}

fn from_bytes(vm: &Vm, this: &Value, bytes: &[u8]) -> PyResult<()> {
    let a = own(this);
    let size = item_size(a.code.get()).unwrap_or(1);
    if !bytes.len().is_multiple_of(size) {
        return Err(vm.value_error("bytes length not a multiple of item size"));
    }
    let module = vm.import("_struct")?;
    let format = format!("<{}{}", bytes.len() / size, &format_of(a.code.get())[1..]);
    let values = vm.call_method_str(&module, "unpack", &[vm.str(&format), vm.bytes(bytes)])?;
    let chars = matches!(a.code.get(), b'u' | b'w');
    for value in vm.to_vec(&values)? {
        let value = if chars { vm.char_str(vm.index(&value)? as u32) } else { value };
        a.items.borrow_mut().push(value);
    }
    Ok(())
}

fn extend(vm: &Vm, this: &Value, from: &Value) -> PyResult<()> {
    let code = own(this).code.get();
    if let Some(other) = from.get::<Array>() {
        if other.code.get() != code {
            return Err(vm.type_error("can only extend with array of same kind"));
        }
        let items = other.items.borrow().clone();
        own(this).items.borrow_mut().extend(items);
        return Ok(());
    }
    let iterator = vm.iter(from)?;
    while let Some(item) = vm.next(&iterator)? {
        let item = fit(vm, code, &item)?;
        own(this).items.borrow_mut().push(item);
    }
    Ok(())
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let Some(code) = args.positional().get(1) else {
        return Err(vm.type_error("array() takes at least 1 argument (0 given)"));
    };
    let code = match code.get::<Str>() {
        Some(s) if s.len() == 1 => s.at(0) as u8,
        _ => return Err(vm.type_error("array() argument 1 must be a unicode character, not str")),
    };
    if item_size(code).is_none() {
        return Err(vm.value_error("bad typecode (must be b, B, u, w, h, H, i, I, l, L, q, Q, f or d)"));
    }
    let made = new_object(&args.all[0], Array { code: Cell::new(code), items: RefCell::default() });
    if let Some(from) = args.positional().get(2) {
        if vm.is_bytes_like(from) {
            from_bytes(vm, &made, &vm.bytes_of(from)?)?;
        } else {
            if from.kind() == Kind::Str && !matches!(code, b'u' | b'w') {
                return Err(vm.type_error(format!(
                    "cannot use a str to initialize an array with typecode '{}'",
                    char::from(code)
                )));
            }
            extend(vm, &made, from)?;
        }
    }
    Ok(made)
}

fn place(vm: &Vm, this: &Value, index: &Value, what: &str) -> PyResult<usize> {
    let n = own(this).items.borrow().len() as i64;
    let i = vm.index(index)?;
    let at = if i < 0 { i + n } else { i };
    if (0..n).contains(&at) { Ok(at as usize) } else { Err(vm.index_error(what)) }
}

fn list_of(vm: &Vm, this: &Value) -> Value {
    vm.list(own(this).items.borrow().clone())
}

/// Does to a list what is asked of the array, and takes the result back.
fn through_list(vm: &Vm, args: Args, method: &str) -> PyResult {
    let list = list_of(vm, &args[0]);
    let result = vm.call_method_str(&list, method, &args.all[1..]);
    own(&args[0]).items.replace(vm.to_vec(&list)?);
    result
}

fn wrong(vm: &Vm, args: Args, text: &str) -> Raised {
    vm.type_error(format!("{text} (not \"{}\") to array", vm.type_name(&args[1])))
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    if b.get::<Array>().is_none() {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    vm.compare(op, &list_of(vm, a), &list_of(vm, b))
}

const METHODS: &[Method] = &[
    ("__new__", "...", new),
    ("__init__", "...", |_, _| Ok(Value::NONE)),
    ("append", "v /", |vm, args| {
        let item = fit(vm, own(&args[0]).code.get(), &args[1])?;
        own(&args[0]).items.borrow_mut().push(item);
        Ok(Value::NONE)
    }),
    ("extend", "bb /", |vm, args| extend(vm, &args[0], &args[1]).map(|()| Value::NONE)),
    ("fromlist", "list /", |vm, args| {
        if args[1].kind() != Kind::List {
            return Err(vm.type_error("arg must be list"));
        }
        let before = own(&args[0]).items.borrow().clone();
        extend(vm, &args[0], &args[1]).inspect_err(|_| drop(own(&args[0]).items.replace(before)))?;
        Ok(Value::NONE)
    }),
    ("tolist", "", |vm, args| Ok(list_of(vm, &args[0]))),
    ("tobytes", "", |vm, args| Ok(vm.bytes(&to_bytes(vm, &args[0])?))),
    ("frombytes", "buffer /", |vm, args| {
        from_bytes(vm, &args[0], &vm.bytes_of(&args[1])?)?;
        Ok(Value::NONE)
    }),
    ("insert", "i v /", |vm, args| {
        let item = fit(vm, own(&args[0]).code.get(), &args[2])?;
        let n = own(&args[0]).items.borrow().len() as i64;
        let i = vm.index(&args[1])?;
        let at = if i < 0 { (i + n).max(0) } else { i.min(n) };
        own(&args[0]).items.borrow_mut().insert(at as usize, item);
        Ok(Value::NONE)
    }),
    ("pop", "i? /", |vm, args| {
        if own(&args[0]).items.borrow().is_empty() {
            return Err(vm.index_error("pop from empty array"));
        }
        let last = Value::from_i32(-1);
        let at = place(vm, &args[0], args.opt(1).unwrap_or(&last), "pop index out of range")?;
        Ok(own(&args[0]).items.borrow_mut().remove(at))
    }),
    ("remove", "v /", |vm, args| {
        for (at, item) in own(&args[0]).items.borrow().clone().iter().enumerate() {
            if vm.equal(item, &args[1])? {
                own(&args[0]).items.borrow_mut().remove(at);
                return Ok(Value::NONE);
            }
        }
        Err(vm.value_error("array.remove(x): x not in array"))
    }),
    ("index", "...", |vm, args| {
        let found = through_list(vm, args, "index");
        match vm.catch(found, &vm.exc.value_error)? {
            Some(at) => Ok(at),
            None => Err(vm.value_error("array.index(x): x not in array")),
        }
    }),
    ("count", "v /", |vm, args| through_list(vm, args, "count")),
    ("reverse", "", |_, args| {
        own(&args[0]).items.borrow_mut().reverse();
        Ok(Value::NONE)
    }),
    ("byteswap", "", |vm, args| {
        let size = item_size(own(&args[0]).code.get()).unwrap_or(1);
        let mut bytes = to_bytes(vm, &args[0])?;
        bytes.chunks_mut(size).for_each(<[u8]>::reverse);
        own(&args[0]).items.take();
        from_bytes(vm, &args[0], &bytes)?;
        Ok(Value::NONE)
    }),
    ("buffer_info", "", |vm, args| {
        let n = own(&args[0]).items.borrow().len();
        Ok(vm.tuple(vec![vm.uint(args[0].bits()), Value::from_len(n)]))
    }),
    ("tounicode", "", |vm, args| {
        if !matches!(own(&args[0]).code.get(), b'u' | b'w') {
            return Err(vm.value_error("tounicode() may only be called on unicode type arrays ('u' or 'w')"));
        }
        let list = list_of(vm, &args[0]);
        vm.call_method_str(&vm.str(""), "join", &[list])
    }),
    ("__len__", "", |_, args| Ok(Value::from_len(own(&args[0]).items.borrow().len()))),
    ("__iter__", "", |vm, args| vm.iter(&list_of(vm, &args[0]))),
    ("__contains__", "key /", |vm, args| through_list(vm, args, "__contains__")),
    ("__getitem__", "key /", |vm, args| {
        if args[1].kind() == Kind::Slice {
            let part = vm.get_item(&list_of(vm, &args[0]), &args[1])?;
            return Ok(make(vm, &args[0], vm.to_vec(&part)?));
        }
        let at = place(vm, &args[0], &args[1], "array index out of range")?;
        Ok(own(&args[0]).items.borrow()[at].clone())
    }),
    ("__setitem__", "key value /", |vm, args| {
        if args[1].kind() == Kind::Slice {
            if args[2].get::<Array>().is_none() {
                return Err(vm.type_error(format!(
                    "can only assign array (not \"{}\") to array slice",
                    vm.type_name(&args[2])
                )));
            }
            let list = list_of(vm, &args[0]);
            vm.set_item(&list, &args[1], list_of(vm, &args[2]))?;
            own(&args[0]).items.replace(vm.to_vec(&list)?);
            return Ok(Value::NONE);
        }
        let at = place(vm, &args[0], &args[1], "array assignment index out of range")?;
        let item = fit(vm, own(&args[0]).code.get(), &args[2])?;
        own(&args[0]).items.borrow_mut()[at] = item;
        Ok(Value::NONE)
    }),
    ("__delitem__", "key /", |vm, args| through_list(vm, args, "__delitem__")),
    ("__add__", "value /", |vm, args| {
        let Some(other) = args[1].get::<Array>() else {
            return Err(wrong(vm, args, "can only append array"));
        };
        let mut items = own(&args[0]).items.borrow().clone();
        items.extend(other.items.borrow().iter().cloned());
        Ok(make(vm, &args[0], items))
    }),
    ("__iadd__", "value /", |vm, args| {
        if args[1].get::<Array>().is_none() {
            return Err(
                vm.type_error(format!("can only extend with array (not \"{}\")", vm.type_name(&args[1])))
            );
        }
        extend(vm, &args[0], &args[1])?;
        Ok(args[0].clone())
    }),
    ("__mul__", "value /", |vm, args| {
        let list = vm.binary(pyc_ir::BinaryOp::Mul, &list_of(vm, &args[0]), &args[1])?;
        Ok(make(vm, &args[0], vm.to_vec(&list)?))
    }),
    ("__copy__", "", |vm, args| Ok(make(vm, &args[0], own(&args[0]).items.borrow().clone()))),
    ("__deepcopy__", "memo /", |vm, args| Ok(make(vm, &args[0], own(&args[0]).items.borrow().clone()))),
    ("__reduce_ex__", "protocol /", |vm, args| {
        let code = vm.str(&char::from(own(&args[0]).code.get()).to_string());
        Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), vm.tuple(vec![code, list_of(vm, &args[0])])]))
    }),
    ("__repr__", "", |vm, args| {
        let code = char::from(own(&args[0]).code.get());
        let name = vm.type_name(&args[0]);
        if own(&args[0]).items.borrow().is_empty() {
            return Ok(vm.str(&format!("{name}('{code}')")));
        }
        let shown = if matches!(code, 'u' | 'w') {
            vm.repr_text(&vm.call_method_str(&args[0], "tounicode", &[])?)?
        } else {
            vm.repr_text(&list_of(vm, &args[0]))?
        };
        Ok(vm.str(&format!("{name}('{code}', {shown})")))
    }),
];

fn array_type(vm: &Vm) -> Value {
    (*vm.state("array_type", || {
        let ty = vm.new_type::<Array>("array", "array", None, flag::BASE | flag::WEAK | flag::SEQUENCE);
        vm.add_methods(&ty, METHODS);
        vm.add_methods(&ty, &pyc_runtime::comparisons!(compare));
        vm.set_type_attr(&ty, "__hash__", Value::NONE);
        vm.add_getset(&ty, "typecode", |vm, t| Ok(vm.str(&char::from(own(t).code.get()).to_string())), None);
        vm.add_getset(
            &ty,
            "itemsize",
            |_, t| Ok(Value::from_len(item_size(own(t).code.get()).unwrap_or(1))),
            None,
        );
        vm.add_class_methods(
            &ty,
            &[("__class_getitem__", "item /", |vm, a| pyc_runtime::generic::alias(vm, &a[0], &a[1]))],
        );
        vm.type_changed(&ty);
        ty
    }))
    .clone()
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("array", &[]);
    vm.module_set(&module, "array", array_type(vm));
    vm.module_set(&module, "ArrayType", array_type(vm));
    vm.module_set(&module, "typecodes", vm.str("bBuwhHiIlLqQfd"));
    Ok(module)
}
