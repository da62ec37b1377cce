//! `_struct`: values packed as bytes.

use std::cell::{Cell, RefCell};

use num_bigint::BigInt;
use num_traits::{Signed as _, ToPrimitive as _};
use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Method, Payload, PyResult, Raised, Value, Vm, new_object};

use crate::support::{buffer_len, fill_buffer};

/// One field of a layout: the code, how often (for `s` and `p`: how long), its size, where it lies.
#[derive(Clone, Copy)]
struct Field {
    code: u8,
    count: usize,
    size: usize,
    at: usize,
}

/// A parsed format.
#[derive(Clone, Default)]
struct Layout {
    fields: Vec<Field>,
    size: usize,
    big: bool,
    values: usize,
}

/// `Struct`
#[derive(Default)]
struct Struct {
    format: RefCell<String>,
    layout: RefCell<Option<std::rc::Rc<Layout>>>,
}
impl Payload for Struct {}

/// `iter_unpack`'s iterator.
struct Unpacking {
    layout: std::rc::Rc<Layout>,
    bytes: Vec<u8>,
    at: Cell<usize>,
}
impl Payload for Unpacking {}

fn error_type(vm: &Vm) -> Value {
    crate::support::error_type(vm, "struct_error", "struct", "error", &vm.exc.exception)
}

fn error(vm: &Vm, text: &str) -> Raised {
    vm.raise(&error_type(vm), text)
}

const TOTAL_MAX: usize = 1 << 40;

fn parse(vm: &Vm, format: &str) -> PyResult<Layout> {
    let mut chars = format.bytes().peekable();
    let (mut native, mut big) = (true, false);
    match chars.peek() {
        Some(b'@') => drop(chars.next()),
        Some(b'=' | b'<') => {
            native = false;
            chars.next();
        }
        Some(b'>' | b'!') => {
            (native, big) = (false, true);
            chars.next();
        }
        _ => {}
    }
    let mut layout = Layout { big, ..Layout::default() };
    while let Some(c) = chars.next() {
        if c.is_ascii_whitespace() {
            continue;
        }
        let (mut count, mut code) = (1usize, c);
        if c.is_ascii_digit() {
            count = usize::from(c - b'0');
            loop {
                match chars.next() {
                    Some(d) if d.is_ascii_digit() => {
                        count = count
                            .checked_mul(10)
                            .and_then(|n| n.checked_add(usize::from(d - b'0')))
                            .filter(|n| *n < TOTAL_MAX)
                            .ok_or_else(|| error(vm, "overflow in item count"))?;
                    }
                    Some(other) => {
                        code = other;
                        break;
                    }
                    None => return Err(error(vm, "repeat count given without format specifier")),
                }
            }
        }
        let size = match code {
            b'x' | b'c' | b'b' | b'B' | b'?' | b's' | b'p' => 1,
            b'h' | b'H' | b'e' => 2,
            b'i' | b'I' | b'f' => 4,
            b'l' | b'L' if native => 8,
            b'l' | b'L' => 4,
            b'q' | b'Q' | b'd' => 8,
            b'n' | b'N' | b'P' if native => 8,
            _ => return Err(error(vm, "bad char in struct format")),
        };
        let align = if native { size } else { 1 };
        layout.size = layout.size.next_multiple_of(align);
        let field = Field { code, count, size, at: layout.size };
        layout.values += match code {
            b'x' => 0,
            b's' | b'p' => 1,
            _ => count,
        };
        layout.size = size
            .checked_mul(count)
            .and_then(|n| n.checked_add(layout.size))
            .filter(|n| *n < TOTAL_MAX)
            .ok_or_else(|| error(vm, "total struct size too long"))?;
        layout.fields.push(field);
    }
    Ok(layout)
}

fn layout_of(vm: &Vm, format: &Value) -> PyResult<(String, std::rc::Rc<Layout>)> {
    let text = match format.kind() {
        pyc_runtime::Kind::Str => vm.text(format).to_string(),
        pyc_runtime::Kind::Bytes => String::from_utf8_lossy(&vm.bytes_of(format)?).into_owned(),
        _ => {
            return Err(vm.type_error(format!(
                "Struct() argument 1 must be a str or bytes object, not {}",
                vm.type_name(format)
            )));
        }
    };
    let cache = vm.state("struct_cache", || RefCell::new(Vec::<(String, std::rc::Rc<Layout>)>::new()));
    if let Some((_, layout)) = cache.borrow().iter().find(|(f, _)| *f == text) {
        return Ok((text, layout.clone()));
    }
    let layout = std::rc::Rc::new(parse(vm, &text)?);
    let mut cache = cache.borrow_mut();
    if cache.len() >= 64 {
        cache.clear();
    }
    cache.push((text.clone(), layout.clone()));
    Ok((text, layout))
}

fn put(out: &mut [u8], bytes: &[u8], big: bool) {
    let n = out.len();
    if big {
        out.iter_mut().zip(bytes[..n].iter().rev()).for_each(|(o, b)| *o = *b);
    } else {
        out.copy_from_slice(&bytes[..n]);
    }
}

fn range_error(vm: &Vm, code: u8, low: i128, high: i128) -> Raised {
    if matches!(code, b'q' | b'Q' | b'l' | b'L' | b'n' | b'N' | b'P') && high > i128::from(u32::MAX) {
        let text = if low < 0 { "int too large to convert" } else { "argument out of range" };
        return error(vm, if low < 0 { "argument out of range" } else { text });
    }
    error(vm, &format!("'{}' format requires {low} <= number <= {high}", char::from(code)))
}

fn pack_one(vm: &Vm, field: &Field, value: &Value, out: &mut [u8], big: bool) -> PyResult<()> {
    match field.code {
        b'c' => {
            if value.kind() != pyc_runtime::Kind::Bytes && value.kind() != pyc_runtime::Kind::ByteArray
                || vm.len(value)? != 1
            {
                return Err(error(vm, "char format requires a bytes object of length 1"));
            }
            out[0] = vm.bytes_of(value)?[0];
        }
        b'?' => out[0] = u8::from(vm.truth(value)?),
        b'e' | b'f' | b'd' => {
            let f = match vm.to_f64(value) {
                Ok(f) => f,
                Err(e) if vm.is_exception(&e, &vm.exc.type_error) => {
                    return Err(error(vm, "required argument is not a float"));
                }
                Err(e) => return Err(e),
            };
            match field.code {
                b'd' => put(out, &f.to_le_bytes(), big),
                b'f' => {
                    let single = f as f32;
                    if single.is_infinite() && f.is_finite() {
                        return Err(vm.overflow_error("float too large to pack with f format"));
                    }
                    put(out, &single.to_le_bytes(), big);
                }
                _ => match half_bits(f) {
                    Some(bits) => put(out, &bits.to_le_bytes(), big),
                    None => return Err(vm.overflow_error("float too large to pack with e format")),
                },
            }
        }
        code => {
            let number = match vm.big_int(value) {
                Some(n) => n,
                None if vm.special(value, &vm.names.__index__).is_some() => {
                    let made = vm.index_value(value)?;
                    vm.big_int(&made).unwrap_or_default()
                }
                None => return Err(error(vm, "required argument is not an integer")),
            };
            let bits = field.size * 8;
            let signed = code.is_ascii_lowercase();
            let (low, high) = if signed {
                (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
            } else {
                (0, (1i128 << bits) - 1)
            };
            match number.to_i128().filter(|n| (low..=high).contains(n)) {
                Some(n) => put(out, &n.to_le_bytes(), big),
                None if number.abs() >= BigInt::from(1) << 64 && field.size == 8 => {
                    return Err(error(vm, "int too large to convert"));
                }
                None => return Err(range_error(vm, code, low, high)),
            }
        }
    }
    Ok(())
}

/// A double as the bits of a half, rounded to even; nothing when it is too large.
fn half_bits(f: f64) -> Option<u16> {
    let sign = if f.is_sign_negative() { 0x8000 } else { 0 };
    if f.is_nan() {
        return Some(sign | 0x7e00);
    }
    if f.is_infinite() {
        return Some(sign | 0x7c00);
    }
    let magnitude = f.abs();
    // The unit of the last place: 2^-24 below 2^-14, else 2^(exponent - 10).
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(-14);
    let scaled = (magnitude / 2f64.powi(exponent - 10)).round_ties_even();
    let (mut exponent, mut scaled) = (exponent, scaled as u32);
    if scaled == 2048 {
        scaled = 1024;
        exponent += 1;
    }
    if exponent > 15 {
        return None;
    }
    if scaled < 1024 {
        return Some(sign | scaled as u16);
    }
    Some(sign | (((exponent + 15) as u16) << 10) | (scaled - 1024) as u16)
}

fn half_value(bits: u16) -> f64 {
    let sign = if bits & 0x8000 != 0 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    }
}

fn pack(vm: &Vm, layout: &Layout, values: &[Value], what: &str) -> PyResult<Vec<u8>> {
    if values.len() != layout.values {
        return Err(error(
            vm,
            &format!("{what} expected {} items for packing (got {})", layout.values, values.len()),
        ));
    }
    vm.check_alloc(layout.size, 1)?;
    let mut out = vec![0; layout.size];
    let mut values = values.iter();
    for field in &layout.fields {
        match field.code {
            b'x' => {}
            b's' | b'p' => {
                let Some(value) = values.next() else { break };
                if !vm.is_bytes_like(value) {
                    return Err(error(
                        vm,
                        &format!("argument for '{}' must be a bytes object", char::from(field.code)),
                    ));
                }
                let bytes = vm.bytes_of(value)?;
                let room = &mut out[field.at..field.at + field.count];
                if field.code == b's' {
                    let n = bytes.len().min(room.len());
                    room[..n].copy_from_slice(&bytes[..n]);
                } else if !room.is_empty() {
                    let n = bytes.len().min(room.len() - 1).min(255);
                    room[0] = n as u8;
                    room[1..=n].copy_from_slice(&bytes[..n]);
                }
            }
            _ => {
                for k in 0..field.count {
                    let at = field.at + k * field.size;
                    let Some(value) = values.next() else { break };
                    pack_one(vm, field, value, &mut out[at..at + field.size], layout.big)?;
                }
            }
        }
    }
    Ok(out)
}

fn unpack(vm: &Vm, layout: &Layout, bytes: &[u8]) -> Value {
    let mut values = Vec::with_capacity(layout.values);
    for field in &layout.fields {
        match field.code {
            b'x' => {}
            b's' => values.push(vm.bytes(&bytes[field.at..field.at + field.count])),
            b'p' => {
                let room = &bytes[field.at..field.at + field.count];
                let n = room.first().map_or(0, |n| usize::from(*n)).min(room.len().saturating_sub(1));
                values.push(vm.bytes(room.get(1..=n).unwrap_or(&[])));
            }
            code => {
                for k in 0..field.count {
                    let at = field.at + k * field.size;
                    let mut eight = [0u8; 8];
                    let part = &bytes[at..at + field.size];
                    for (i, b) in part.iter().enumerate() {
                        eight[if layout.big { field.size - 1 - i } else { i }] = *b;
                    }
                    let n = u64::from_le_bytes(eight);
                    let shift = 64 - field.size as u32 * 8;
                    values.push(match code {
                        b'c' => vm.bytes(part),
                        b'?' => Value::from_bool(n != 0),
                        b'd' => vm.float(f64::from_bits(n)),
                        b'f' => vm.float(f64::from(f32::from_bits(n as u32))),
                        b'e' => vm.float(half_value(n as u16)),
                        code if code.is_ascii_lowercase() => vm.int((n << shift) as i64 >> shift),
                        _ => vm.uint(n),
                    });
                }
            }
        }
    }
    vm.tuple(values)
}

fn unpack_whole(vm: &Vm, layout: &Layout, buffer: &Value) -> PyResult {
    let bytes = vm.bytes_of(buffer)?;
    if bytes.len() != layout.size {
        return Err(error(vm, &format!("unpack requires a buffer of {} bytes", layout.size)));
    }
    Ok(unpack(vm, layout, &bytes))
}

/// An offset into a buffer of `length` bytes that has room for the layout.
fn place(vm: &Vm, layout: &Layout, length: usize, offset: i64, what: &str) -> PyResult<usize> {
    let (size, verb) = (layout.size, if what == "pack_into" { "packing" } else { "unpacking" });
    let mut at = offset;
    if at < 0 {
        if offset + size as i64 > 0 {
            return Err(error(
                vm,
                &if what == "pack_into" {
                    format!("no space to pack {size} bytes at offset {offset}")
                } else {
                    format!("not enough data to unpack {size} bytes")
                },
            ));
        }
        at += length as i64;
        if at < 0 {
            return Err(error(vm, &format!("offset {offset} out of range for {length}-byte buffer")));
        }
    }
    let at = at as usize;
    if length < at || length - at < size {
        let needed = at + size;
        return Err(error(
            vm,
            &format!(
                "{what} requires a buffer of at least {needed} bytes for {verb} {size} bytes at offset {at} (actual buffer size is {length})"
            ),
        ));
    }
    Ok(at)
}

fn unpack_from(vm: &Vm, layout: &Layout, buffer: &Value, offset: Option<&Value>) -> PyResult {
    let bytes = vm.bytes_of(buffer)?;
    let offset = offset.map_or(Ok(0), |o| vm.index(o))?;
    let at = place(vm, layout, bytes.len(), offset, "unpack_from")?;
    Ok(unpack(vm, layout, &bytes[at..at + layout.size]))
}

fn pack_into(vm: &Vm, layout: &Layout, buffer: &Value, offset: &Value, values: &[Value]) -> PyResult {
    let length = buffer_len(vm, buffer)?;
    let at = place(vm, layout, length, vm.index(offset)?, "pack_into")?;
    let packed = pack(vm, layout, values, "pack_into")?;
    let mut whole = vm.bytes_of(buffer)?;
    whole[at..at + packed.len()].copy_from_slice(&packed);
    fill_buffer(vm, buffer, &whole)?;
    Ok(Value::NONE)
}

fn iter_unpack(vm: &Vm, layout: std::rc::Rc<Layout>, buffer: &Value) -> PyResult {
    let bytes = vm.bytes_of(buffer)?;
    if layout.size == 0 {
        return Err(error(vm, "cannot iteratively unpack with a struct of length 0"));
    }
    if !bytes.len().is_multiple_of(layout.size) {
        return Err(error(
            vm,
            &format!("iterative unpacking requires a buffer of a multiple of {} bytes", layout.size),
        ));
    }
    let ty = vm.state("unpack_iterator", || {
        let ty = vm.new_type::<Unpacking>("_struct", "unpack_iterator", None, flag::NO_NEW);
        iterator_methods(vm, &ty, |vm, value| {
            let Some(u) = value.get::<Unpacking>() else { return Ok(None) };
            let at = u.at.get();
            let Some(part) = u.bytes.get(at..at + u.layout.size) else { return Ok(None) };
            u.at.set(at + u.layout.size);
            Ok(Some(unpack(vm, &u.layout, part)))
        });
        ty
    });
    Ok(new_object(&ty, Unpacking { layout, bytes, at: Cell::new(0) }))
}

fn own(vm: &Vm, value: &Value) -> PyResult<std::rc::Rc<Layout>> {
    let s = value.get::<Struct>().expect("the descriptor checked the type");
    s.layout.borrow().clone().ok_or_else(|| vm.runtime_error("Struct object is not initialized"))
}

fn need(vm: &Vm, args: Args, count: usize, what: &str) -> PyResult<()> {
    if args.all.len() < count {
        return Err(
            vm.type_error(format!("{what} expected at least {count} arguments, got {}", args.all.len()))
        );
    }
    Ok(())
}

const FUNCTIONS: &[Method] = &[
    ("calcsize", "format /", |vm, args| Ok(Value::from_len(layout_of(vm, &args[0])?.1.size))),
    ("pack", "...", |vm, args| {
        need(vm, args, 1, "pack")?;
        Ok(vm.bytes(&pack(vm, &layout_of(vm, &args.all[0])?.1, &args.all[1..], "pack")?))
    }),
    ("unpack", "format buffer /", |vm, args| unpack_whole(vm, &layout_of(vm, &args[0])?.1, &args[1])),
    ("unpack_from", "format buffer offset?", |vm, args| {
        unpack_from(vm, &layout_of(vm, &args[0])?.1, &args[1], args.opt(2))
    }),
    ("pack_into", "...", |vm, args| {
        need(vm, args, 3, "pack_into")?;
        pack_into(vm, &layout_of(vm, &args.all[0])?.1, &args.all[1], &args.all[2], &args.all[3..])
    }),
    ("iter_unpack", "format buffer /", |vm, args| iter_unpack(vm, layout_of(vm, &args[0])?.1, &args[1])),
    ("_clearcache", "", |vm, _| {
        vm.state("struct_cache", || RefCell::new(Vec::<(String, std::rc::Rc<Layout>)>::new())).take();
        Ok(Value::NONE)
    }),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("_struct", FUNCTIONS);
    vm.module_set(&module, "error", error_type(vm));
    let ty = vm.new_type::<Struct>("_struct", "Struct", None, flag::BASE | flag::WEAK | flag::ATTRS);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "...", |_, args| Ok(new_object(&args.all[0], Struct::default()))),
            ("__init__", "format", |vm, args| {
                let s = args[0].get::<Struct>().expect("the descriptor checked the type");
                let (text, layout) = layout_of(vm, &args[1])?;
                s.format.replace(text);
                s.layout.replace(Some(layout));
                Ok(Value::NONE)
            }),
            ("pack", "...", |vm, args| {
                Ok(vm.bytes(&pack(vm, &*own(vm, &args.all[0])?, &args.all[1..], "pack")?))
            }),
            ("unpack", "buffer /", |vm, args| unpack_whole(vm, &*own(vm, &args[0])?, &args[1])),
            ("unpack_from", "buffer offset?", |vm, args| {
                unpack_from(vm, &*own(vm, &args[0])?, &args[1], args.opt(2))
            }),
            ("pack_into", "...", |vm, args| {
                need(vm, args, 3, "pack_into")?;
                pack_into(vm, &*own(vm, &args.all[0])?, &args.all[1], &args.all[2], &args.all[3..])
            }),
            ("iter_unpack", "buffer /", |vm, args| iter_unpack(vm, own(vm, &args[0])?, &args[1])),
            ("__repr__", "", |vm, args| {
                let s = args[0].get::<Struct>().expect("the descriptor checked the type");
                let format = vm.repr_text(&vm.str(&s.format.borrow()))?;
                Ok(vm.str(&format!("{}({format})", vm.type_name(&args[0]))))
            }),
        ],
    );
    vm.add_getset(
        &ty,
        "format",
        |vm, this| Ok(this.get::<Struct>().map_or(Value::NONE, |s| vm.str(&s.format.borrow()))),
        None,
    );
    vm.add_getset(&ty, "size", |vm, this| Ok(Value::from_len(own(vm, this)?.size)), None);
    vm.type_changed(&ty);
    vm.module_set(&module, "Struct", ty);
    Ok(module)
}
