//! Complex numbers.

use pyc_ir::{BinaryOp, CompareOp};

use super::float::hash as float_hash;
use super::{float_repr, parse_float};
use crate::args::Method;
use crate::object::{Kind, Payload, Value, new_object};
use crate::str::Str;
use crate::vm::{Args, PyResult, Vm};

/// The payload of complex numbers.
#[derive(Clone, Copy)]
pub struct ComplexData {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}
impl Payload for ComplexData {
    const KIND: Kind = Kind::Complex;
}

type C = (f64, f64);

fn own(value: &Value) -> C {
    value.get::<ComplexData>().map_or((0.0, 0.0), |c| (c.re, c.im))
}

fn part(vm: &Vm, value: &Value) -> Option<C> {
    match value.get::<ComplexData>() {
        Some(c) => Some((c.re, c.im)),
        None => vm.number(value).map(|f| (f, 0.0)),
    }
}

fn multiply(a: C, b: C) -> C {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

fn divide(a: C, b: C) -> Option<C> {
    if b.0.abs() >= b.1.abs() {
        if b.0 == 0.0 && b.1 == 0.0 {
            return None;
        }
        let ratio = b.1 / b.0;
        let d = b.0 + b.1 * ratio;
        Some(((a.0 + a.1 * ratio) / d, (a.1 - a.0 * ratio) / d))
    } else {
        let ratio = b.0 / b.1;
        let d = b.0 * ratio + b.1;
        Some(((a.0 * ratio + a.1) / d, (a.1 * ratio - a.0) / d))
    }
}

pub(super) fn power(vm: &Vm, a: C, b: C) -> PyResult {
    if b == (0.0, 0.0) {
        return Ok(vm.complex(1.0, 0.0));
    }
    if a == (0.0, 0.0) {
        if b.1 != 0.0 || b.0 < 0.0 {
            return Err(vm.raise(&vm.exc.zero_division_error, "zero to a negative or complex power"));
        }
        return Ok(vm.complex(0.0, 0.0));
    }
    if b.1 == 0.0 && b.0.fract() == 0.0 && b.0.abs() <= 100.0 {
        let (mut result, mut base, mut n) = ((1.0, 0.0), a, b.0.abs() as u32);
        while n > 0 {
            if n & 1 == 1 {
                result = multiply(result, base);
            }
            base = multiply(base, base);
            n >>= 1;
        }
        if b.0 < 0.0 {
            return match divide((1.0, 0.0), result) {
                Some((re, im)) => Ok(vm.complex(re, im)),
                None => Err(vm.raise(&vm.exc.zero_division_error, "zero to a negative or complex power")),
            };
        }
        return Ok(vm.complex(result.0, result.1));
    }
    let magnitude = a.0.hypot(a.1);
    let mut length = magnitude.powf(b.0);
    let angle = a.1.atan2(a.0);
    let mut phase = angle * b.0;
    if b.1 != 0.0 {
        length /= (angle * b.1).exp();
        phase += b.1 * magnitude.ln();
    }
    Ok(vm.complex(length * phase.cos(), length * phase.sin()))
}

fn binary(vm: &Vm, op: BinaryOp, a: &Value, b: &Value) -> PyResult {
    let (Some(x), Some(y)) = (part(vm, a), part(vm, b)) else { return Ok(Value::NOT_IMPLEMENTED) };
    let (re, im) = match op {
        BinaryOp::Add => (x.0 + y.0, x.1 + y.1),
        BinaryOp::Sub => (x.0 - y.0, x.1 - y.1),
        BinaryOp::Mul => multiply(x, y),
        BinaryOp::Div => match divide(x, y) {
            Some(c) => c,
            None => return Err(vm.raise(&vm.exc.zero_division_error, "complex division by zero")),
        },
        _ => return power(vm, x, y),
    };
    Ok(vm.complex(re, im))
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let (Some(x), Some(y)) = (part(vm, a), part(vm, b)) else { return Ok(Value::NOT_IMPLEMENTED) };
    Ok(match op {
        CompareOp::Eq => Value::from_bool(x == y),
        CompareOp::Ne => Value::from_bool(x != y),
        _ => Value::NOT_IMPLEMENTED,
    })
}

fn number_text(f: f64) -> String {
    let text = float_repr(f);
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

/// `repr` of a complex number.
pub(crate) fn complex_repr(re: f64, im: f64) -> String {
    if re == 0.0 && re.is_sign_positive() {
        return format!("{}j", number_text(im));
    }
    let sign = if im.is_sign_negative() && !im.is_nan() { "" } else { "+" };
    format!("({}{sign}{}j)", number_text(re), number_text(im))
}

fn parse(text: &str) -> Option<C> {
    let mut text = text.trim();
    if let Some(inner) = text.strip_prefix('(') {
        text = inner.strip_suffix(')')?.trim();
    }
    let Some(body) = text.strip_suffix(['j', 'J']) else { return parse_float(text).map(|f| (f, 0.0)) };
    let bytes = body.as_bytes();
    let split = (1..bytes.len())
        .rev()
        .find(|i| matches!(bytes[*i], b'+' | b'-') && !matches!(bytes[*i - 1], b'e' | b'E'));
    let imaginary = |t: &str| match t {
        "" | "+" => Some(1.0),
        "-" => Some(-1.0),
        t if t.starts_with(char::is_whitespace) || t.ends_with(char::is_whitespace) => None,
        t => parse_float(t),
    };
    match split {
        Some(at) => Some((parse_float(&body[..at])?, imaginary(&body[at..])?)),
        None => Some((0.0, imaginary(body)?)),
    }
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let (re, im) = (args.opt(1), args.opt(2));
    if let Some(s) = re.and_then(|r| r.get::<Str>()) {
        if im.is_some() {
            return Err(vm.type_error("complex() can't take second arg if first is a string"));
        }
        let Some((re, im)) = parse(&s.to_lossy()) else {
            return Err(vm.value_error("complex() arg is a malformed string"));
        };
        return Ok(new_object(&args[0], ComplexData { re, im }));
    }
    let convert = |value: Option<&Value>, what: &str| -> PyResult<C> {
        let Some(value) = value else { return Ok((0.0, 0.0)) };
        if let Some(c) = part(vm, value) {
            return Ok(c);
        }
        if let Some(result) = vm.call_special(value, &vm.names.__complex__, &[])? {
            return match result.get::<ComplexData>() {
                Some(c) => Ok((c.re, c.im)),
                None => Err(vm.type_error(format!(
                    "{}.__complex__() must return a complex, not {}",
                    vm.type_name(value),
                    vm.type_name(&result)
                ))),
            };
        }
        if vm.special(value, &vm.names.__float__).is_none()
            && vm.special(value, &vm.names.__index__).is_none()
        {
            return Err(vm.type_error(format!(
                "complex() {what} argument must be a {}number, not '{}'",
                if what == "first" { "string or a " } else { "" },
                vm.type_name(value)
            )));
        }
        Ok((vm.to_f64(value)?, 0.0))
    };
    let a = convert(re, "first")?;
    let b = convert(im, "second")?;
    Ok(new_object(&args[0], ComplexData { re: a.0 - b.1, im: a.1 + b.0 }))
}

macro_rules! rows {
    ($($name:literal $rname:literal $op:ident),*) => {
        &[$(
            ($name, "value /", |vm, args| binary(vm, BinaryOp::$op, &args[0], &args[1])),
            ($rname, "value /", |vm, args| binary(vm, BinaryOp::$op, &args[1], &args[0])),
        )*]
    };
}
const BINARY: &[Method] = rows!("__add__" "__radd__" Add, "__sub__" "__rsub__" Sub, "__mul__" "__rmul__" Mul, "__truediv__" "__rtruediv__" Div);
const METHODS: &[Method] = &[
    ("__new__", "real? imag?", new),
    ("__pow__", "value mod? /", |vm, args| {
        if args.opt(2).is_some_and(|m| !m.is_none()) {
            return Err(vm.value_error("complex modulo"));
        }
        binary(vm, BinaryOp::Pow, &args[0], &args[1])
    }),
    ("__rpow__", "value mod? /", |vm, args| binary(vm, BinaryOp::Pow, &args[1], &args[0])),
    ("__repr__", "", |vm, args| {
        let (re, im) = own(&args[0]);
        Ok(vm.str(&complex_repr(re, im)))
    }),
    ("__hash__", "", |vm, args| {
        let (re, im) = own(&args[0]);
        let h = float_hash(re).wrapping_add(float_hash(im).wrapping_mul(1_000_003));
        Ok(vm.int(if h == -1 { -2 } else { h }))
    }),
    ("__bool__", "", |_, args| Ok(Value::from_bool(own(&args[0]) != (0.0, 0.0)))),
    ("__neg__", "", |vm, args| {
        let (re, im) = own(&args[0]);
        Ok(vm.complex(-re, -im))
    }),
    ("__pos__", "", |_, args| Ok(args[0].clone())),
    ("__abs__", "", |vm, args| {
        let (re, im) = own(&args[0]);
        Ok(vm.float(re.hypot(im)))
    }),
    ("__complex__", "", |_, args| Ok(args[0].clone())),
    ("__getnewargs__", "", |vm, args| {
        let (re, im) = own(&args[0]);
        Ok(vm.tuple(vec![vm.float(re), vm.float(im)]))
    }),
    ("conjugate", "", |vm, args| {
        let (re, im) = own(&args[0]);
        Ok(vm.complex(re, -im))
    }),
    ("__format__", "format_spec /", |vm, args| {
        crate::str::number_format::format_complex_value(vm, &args[0], &args[1])
    }),
];

pub(super) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(&t.complex, BINARY);
    vm.add_methods(&t.complex, METHODS);
    vm.add_methods(&t.complex, &crate::comparisons!(compare));
    vm.add_getset(&t.complex, "real", |vm, this| Ok(vm.float(own(this).0)), None);
    vm.add_getset(&t.complex, "imag", |vm, this| Ok(vm.float(own(this).1)), None);
}
