//! memoryview: a part of bytes or a byte array, read as items of one type.

use std::cell::Cell;

use super::{ByteArrayData, MemoryData};
use crate::args::Method;
use crate::containers::SliceData;
use crate::object::{Kind, Value, new_object};
use crate::vm::{Args, PyResult, Vm};

fn item_bytes(format: u8) -> usize {
    match format {
        b'h' | b'H' => 2,
        b'i' | b'I' | b'f' => 4,
        b'l' | b'L' | b'q' | b'Q' | b'n' | b'N' | b'd' => 8,
        _ => 1,
    }
}

fn count(m: &MemoryData) -> usize {
    m.length / item_bytes(m.format)
}

/// The value of an item's bytes.
fn item(vm: &Vm, format: u8, bytes: &[u8]) -> Value {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    let n = u64::from_le_bytes(eight);
    let shift = 64 - 8 * bytes.len() as u32;
    match format {
        b'c' => vm.bytes(bytes),
        b'?' => Value::from_bool(n != 0),
        b'd' => vm.float(f64::from_bits(n)),
        b'f' => vm.float(f64::from(f32::from_bits(n as u32))),
        f if f.is_ascii_lowercase() => vm.int((n << shift) as i64 >> shift),
        _ => vm.uint(n),
    }
}

/// The bytes of an item.
fn pack(vm: &Vm, format: u8, value: &Value) -> PyResult<Vec<u8>> {
    let shown = char::from(format);
    let wrong_type = || vm.type_error(format!("memoryview: invalid type for format '{shown}'"));
    let wrong_value = || vm.value_error(format!("memoryview: invalid value for format '{shown}'"));
    match format {
        b'd' | b'f' => {
            let number = match vm.number(value) {
                Some(number) => number,
                None => vm.to_f64(value).map_err(|_| wrong_type())?,
            };
            Ok(if format == b'd' {
                number.to_le_bytes().to_vec()
            } else {
                (number as f32).to_le_bytes().to_vec()
            })
        }
        b'?' => Ok(vec![u8::from(vm.truth(value)?)]),
        b'c' => match value.kind() {
            Kind::Bytes => {
                let bytes = vm.bytes_of(value)?;
                if bytes.len() == 1 { Ok(bytes) } else { Err(wrong_value()) }
            }
            _ => Err(wrong_type()),
        },
        _ => {
            if vm.special(value, &vm.names.__index__).is_none() {
                return Err(wrong_type());
            }
            let number = vm.index_value(value)?;
            let size = item_bytes(format);
            let big = vm.big_int(&number).ok_or_else(wrong_type)?;
            let number = i128::try_from(big).map_err(|_| wrong_value())?;
            let bits = 8 * size as u32;
            let fits = if format.is_ascii_lowercase() {
                (-(1i128 << (bits - 1))..1 << (bits - 1)).contains(&number)
            } else {
                (0..1i128 << bits).contains(&number)
            };
            if fits { Ok(number.to_le_bytes()[..size].to_vec()) } else { Err(wrong_value()) }
        }
    }
}

fn memory(value: &Value) -> &MemoryData {
    value.get::<MemoryData>().expect("the descriptor checked the type")
}

fn memory_item(vm: &Vm, args: Args) -> PyResult {
    let m = memory(&args[0]);
    let bytes = vm.bytes_of(&args[0])?;
    if let Some(slice) = args[1].get::<SliceData>() {
        let size = item_bytes(m.format);
        let span = vm.span(slice, bytes.len() / size)?;
        if span.step != 1 {
            let picked: Vec<u8> =
                span.indices().flat_map(|i| bytes[i * size..(i + 1) * size].iter().copied()).collect();
            return Ok(new_object(
                &vm.types.memoryview,
                MemoryData {
                    object: vm.bytes(&picked),
                    start: 0,
                    length: span.count * size,
                    format: m.format,
                    released: Cell::new(false),
                },
            ));
        }
        let part = MemoryData {
            object: m.object.clone(),
            start: m.start + span.start as usize * size,
            length: span.count * size,
            format: m.format,
            released: Cell::new(false),
        };
        return Ok(new_object(&vm.types.memoryview, part));
    }
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Err(vm.type_error("memoryview: invalid slice key"));
    }
    let (i, size) = (vm.index(&args[1])?, item_bytes(m.format));
    let count = (bytes.len() / size) as i64;
    let at = if i < 0 { i + count } else { i };
    if !(0..count).contains(&at) {
        return Err(vm.index_error("index out of bounds on dimension 1"));
    }
    Ok(item(vm, m.format, &bytes[at as usize * size..][..size]))
}

const MEMORY: &[Method] = &[
    ("__new__", "object", |vm, args| {
        if !vm.is_bytes_like(&args[1]) {
            return Err(vm.type_error(format!(
                "memoryview: a bytes-like object is required, not '{}'",
                vm.type_name(&args[1])
            )));
        }
        let length = vm.bytes_of(&args[1])?.len();
        let (object, start) = match args[1].get::<MemoryData>() {
            Some(m) => (m.object.clone(), m.start),
            None => (args[1].clone(), 0),
        };
        let format = args[1].get::<MemoryData>().map_or(b'B', |m| m.format);
        Ok(new_object(&args[0], MemoryData { object, start, length, format, released: Cell::new(false) }))
    }),
    ("__len__", "", |vm, args| {
        vm.bytes_of(&args[0])?;
        Ok(Value::from_len(count(memory(&args[0]))))
    }),
    ("__getitem__", "key /", memory_item),
    ("__setitem__", "key value /", |vm, args| {
        let m = memory(&args[0]);
        vm.bytes_of(&args[0])?;
        let Some(target) = m.object.get::<ByteArrayData>() else {
            return Err(vm.type_error("cannot modify read-only memory"));
        };
        let size = item_bytes(m.format);
        let store = |at: usize, bytes: &[u8]| {
            let mut target = target.0.borrow_mut();
            match target.get_mut(m.start + at..m.start + at + bytes.len()) {
                Some(part) => part.copy_from_slice(bytes),
                None => debug_assert!(false, "the view lies within the array"),
            }
        };
        if let Some(slice) = args[1].get::<SliceData>() {
            let span = vm.span(slice, m.length / size)?;
            let new = vm.bytes_of(&args[2])?;
            let same_items = args[2].get::<MemoryData>().map_or(size == 1, |o| item_bytes(o.format) == size);
            if new.len() != span.count * size || !same_items {
                return Err(
                    vm.value_error("memoryview assignment: lvalue and rvalue have different structures")
                );
            }
            span.indices().zip(new.chunks_exact(size)).for_each(|(i, bytes)| store(i * size, bytes));
            return Ok(Value::NONE);
        }
        let count = (m.length / size) as i64;
        let i = vm.index(&args[1])?;
        let at = if i < 0 { i + count } else { i };
        if !(0..count).contains(&at) {
            return Err(vm.index_error("index out of bounds on dimension 1"));
        }
        let bytes = pack(vm, m.format, &args[2])?;
        store(at as usize * size, &bytes);
        Ok(Value::NONE)
    }),
    ("__iter__", "", |vm, args| Ok(crate::iterators::index_iter(&vm.types.memory_iterator, &args[0]))),
    ("__eq__", "value /", |vm, args| {
        if vm.is_bytes_like(&args[1]) {
            Ok(Value::from_bool(vm.bytes_of(&args[0]).ok() == vm.bytes_of(&args[1]).ok()))
        } else {
            Ok(Value::NOT_IMPLEMENTED)
        }
    }),
    ("__hash__", "", |vm, args| {
        let bytes = vm.bytes_of(&args[0])?;
        if memory(&args[0]).object.kind() != Kind::Bytes {
            return Err(vm.value_error("cannot hash writable memoryview object"));
        }
        vm.hash(&vm.bytes(&bytes)).map(|h| vm.int(h))
    }),
    ("__repr__", "", |vm, args| Ok(vm.str(&format!("<memory at {:#x}>", args[0].bits())))),
    ("__enter__", "", |vm, args| {
        vm.bytes_of(&args[0])?;
        Ok(args[0].clone())
    }),
    ("__exit__", "...", |_, args| {
        memory(&args.all[0]).released.set(true);
        Ok(Value::NONE)
    }),
    ("release", "", |_, args| {
        memory(&args[0]).released.set(true);
        Ok(Value::NONE)
    }),
    ("tobytes", "order?", |vm, args| Ok(vm.bytes(&vm.bytes_of(&args[0])?))),
    ("tolist", "", |vm, args| {
        let (bytes, format) = (vm.bytes_of(&args[0])?, memory(&args[0]).format);
        Ok(vm.list(bytes.chunks_exact(item_bytes(format)).map(|b| item(vm, format, b)).collect()))
    }),
    ("hex", "sep? bytes_per_sep?", |vm, args| {
        let bytes = vm.bytes(&vm.bytes_of(&args[0])?);
        let rest: Vec<Value> = args.all[1..].iter().filter(|v| !v.is_unbound()).cloned().collect();
        vm.call_method_str(&bytes, "hex", &rest)
    }),
    ("toreadonly", "", |vm, args| {
        let copied = vm.bytes(&vm.bytes_of(&args[0])?);
        let length = memory(&args[0]).length;
        Ok(new_object(
            &vm.types.memoryview,
            MemoryData {
                object: copied,
                start: 0,
                length,
                format: memory(&args[0]).format,
                released: Cell::new(false),
            },
        ))
    }),
    ("cast", "format shape?", |vm, args| {
        let m = memory(&args[0]);
        let text = vm.expect_str(&args[1], "cast() argument 'format'")?.to_lossy();
        let format = match text.trim_start_matches('@').as_bytes() {
            [format] if b"cbB?hHiIlLqQnNfd".contains(format) => *format,
            _ => {
                return Err(vm.value_error(
                    "memoryview: destination format must be a native single character format prefixed with an optional '@'",
                ));
            }
        };
        if args.opt(2).is_some() {
            return Err(vm.raise(&vm.exc.not_implemented_error, "memoryview.cast: shapes are not supported"));
        }
        if item_bytes(format) > 1 && item_bytes(m.format) > 1 {
            return Err(vm.type_error("memoryview: cannot cast between two non-byte formats"));
        }
        if !m.length.is_multiple_of(item_bytes(format)) {
            return Err(vm.type_error("memoryview: length is not a multiple of itemsize"));
        }
        vm.bytes_of(&args[0])?;
        let view = MemoryData {
            object: m.object.clone(),
            start: m.start,
            length: m.length,
            format,
            released: Cell::new(false),
        };
        Ok(new_object(&vm.types.memoryview, view))
    }),
];

pub(super) fn init(vm: &Vm) {
    let ty = &vm.types.memoryview;
    vm.add_methods(ty, MEMORY);
    vm.add_getset(ty, "obj", |_, this| Ok(memory(this).object.clone()), None);
    vm.add_getset(ty, "nbytes", |_, this| Ok(Value::from_len(memory(this).length)), None);
    vm.add_getset(ty, "itemsize", |_, this| Ok(Value::from_len(item_bytes(memory(this).format))), None);
    vm.add_getset(ty, "ndim", |_, _| Ok(Value::from_i32(1)), None);
    vm.add_getset(ty, "format", |vm, this| Ok(vm.str(&char::from(memory(this).format).to_string())), None);
    vm.add_getset(ty, "shape", |vm, this| Ok(vm.tuple(vec![Value::from_len(count(memory(this)))])), None);
    vm.add_getset(
        ty,
        "strides",
        |vm, this| Ok(vm.tuple(vec![Value::from_len(item_bytes(memory(this).format))])),
        None,
    );
    vm.add_getset(ty, "suboffsets", |vm, _| Ok(vm.tuple(vec![])), None);
    vm.add_getset(
        ty,
        "readonly",
        |_, this| Ok(Value::from_bool(memory(this).object.kind() == Kind::Bytes)),
        None,
    );
    for name in ["contiguous", "c_contiguous", "f_contiguous"] {
        vm.add_getset(ty, name, |_, _| Ok(Value::TRUE), None);
    }
}
