//! Floats: arithmetic with Python's signs and errors, text, and the methods.

use num_bigint::BigInt;
use num_traits::{FromPrimitive as _, Signed as _, ToPrimitive as _, Zero as _};
use pyc_ir::{BinaryOp, CompareOp};

use super::IntData;
use crate::args::Method;
use crate::object::{Value, new_object};
use crate::ops::{compare_floats, compare_with};
use crate::str::Str;
use crate::vm::{Args, PyResult, Vm};

/// The nearest float; nothing when too large.
pub(crate) fn big_to_f64(n: &BigInt) -> Option<f64> {
    let bits = n.bits();
    if bits <= 64 {
        return n.to_f64();
    }
    let shift = bits - 66;
    let magnitude = n.abs();
    let top = &magnitude >> shift;
    let lost = (&top << shift) != magnitude;
    let sticky = if lost { top | BigInt::from(1) } else { top };
    let value = scaled(&sticky, shift as i64)?;
    Some(if n.is_negative() { -value } else { value })
}

/// `n * 2^exponent`, rounded once to the nearest even; `n` has fewer than 128 bits. Nothing when too large.
pub(crate) fn scaled(n: &BigInt, exponent: i64) -> Option<f64> {
    let n = n.to_u128()?;
    if n == 0 {
        return Some(0.0);
    }
    let bits = 128 - i64::from(n.leading_zeros());
    let top = bits + exponent;
    if top > 1024 {
        return None;
    }
    // The mantissa has 53 bits, fewer for subnormal results.
    let keep = if top < -1021 { 53 - (-1021 - top) } else { 53 };
    let drop = bits - keep;
    let mantissa = if drop <= 0 {
        n
    } else if drop > 127 {
        0
    } else {
        let low = n & ((1 << drop) - 1);
        let half = 1u128 << (drop - 1);
        let base = n >> drop;
        base + u128::from(low > half || low == half && base & 1 == 1)
    };
    let drop = drop.max(0);
    let mut value = mantissa as f64;
    let mut power = exponent + drop;
    while power > 1000 {
        value *= 2f64.powi(1000);
        power -= 1000;
    }
    while power < -1000 {
        value *= 2f64.powi(-1000);
        power += 1000;
    }
    value *= 2f64.powi(power as i32);
    if value.is_infinite() { None } else { Some(value) }
}

/// Binary operators on floats; nothing for operators that floats lack.
#[inline]
pub fn binary(vm: &Vm, op: BinaryOp, x: f64, y: f64) -> Option<PyResult> {
    Some(Ok(vm.float(match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div if y != 0.0 => x / y,
        BinaryOp::FloorDiv if y != 0.0 => floor_mod(x, y).0,
        BinaryOp::Mod if y != 0.0 => floor_mod(x, y).1,
        BinaryOp::Pow => return Some(power(vm, x, y)),
        BinaryOp::Div => return Some(Err(vm.raise(&vm.exc.zero_division_error, "float division by zero"))),
        BinaryOp::FloorDiv => {
            return Some(Err(vm.raise(&vm.exc.zero_division_error, "float floor division by zero")));
        }
        BinaryOp::Mod => return Some(Err(vm.raise(&vm.exc.zero_division_error, "float modulo"))),
        _ => return None,
    })))
}

/// Floored quotient and remainder.
pub(crate) fn floor_mod(x: f64, y: f64) -> (f64, f64) {
    let mut rest = x % y;
    let mut quotient = (x - rest) / y;
    if rest != 0.0 {
        if (y < 0.0) != (rest < 0.0) {
            rest += y;
            quotient -= 1.0;
        }
    } else {
        rest = 0f64.copysign(y);
    }
    let whole = if quotient != 0.0 {
        let mut floor = quotient.floor();
        if quotient - floor > 0.5 {
            floor += 1.0;
        }
        floor
    } else {
        0f64.copysign(x / y)
    };
    (whole, rest)
}

pub(super) fn power(vm: &Vm, x: f64, y: f64) -> PyResult {
    if x == 0.0 && y < 0.0 {
        return Err(vm.raise(&vm.exc.zero_division_error, "0.0 cannot be raised to a negative power"));
    }
    if x < 0.0 && x.is_finite() && y.is_finite() && y.floor() != y {
        return super::complex::power(vm, (x, 0.0), (y, 0.0));
    }
    let result = x.powf(y);
    if result.is_infinite() && x.is_finite() && y.is_finite() {
        let args = vec![Value::from_i32(34), vm.str("Numerical result out of range")];
        return Err(vm.raise_with(&vm.exc.overflow_error, args));
    }
    Ok(vm.float(result))
}

/// `int(f)`.
pub(crate) fn to_int(vm: &Vm, f: f64) -> PyResult {
    if f.is_nan() {
        return Err(vm.value_error("cannot convert float NaN to integer"));
    }
    if f.is_infinite() {
        return Err(vm.overflow_error("cannot convert float infinity to integer"));
    }
    if f.abs() < 4e18 {
        return Ok(vm.int(f as i64));
    }
    Ok(vm.big(BigInt::from_f64(f.trunc()).unwrap_or_default()))
}

/// The shortest text that reads back as the same float.
pub fn float_repr(f: f64) -> String {
    if f.is_nan() {
        return "nan".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let text = format!("{f:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{f}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A float from text as `float(text)` reads it.
pub fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c.is_whitespace());
    let text: String = text
        .chars()
        .map(|c| match crate::unicode::decimal_digit(c as u32) {
            Some(d) if !c.is_ascii() => char::from(b'0' + d as u8),
            _ => c,
        })
        .collect();
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
        if *byte == b'_' && !(at > 0 && digit(at - 1) && digit(at + 1)) {
            return None;
        }
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let lower = plain.to_ascii_lowercase();
    let body = lower.trim_start_matches(['+', '-']);
    if lower.len() - body.len() > 1 {
        return None;
    }
    let value = match body {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ if body.starts_with(|c: char| c.is_ascii_digit() || c == '.') => body.parse().ok()?,
        _ => return None,
    };
    Some(if lower.starts_with('-') { -value } else { value })
}

fn own(value: &Value) -> f64 {
    value.get::<f64>().copied().unwrap_or(0.0)
}

fn other(vm: &Vm, value: &Value) -> PyResult<Option<f64>> {
    if value.get::<IntData>().is_some() {
        return vm.to_f64(value).map(Some);
    }
    Ok(vm.number(value))
}

fn arithmetic(vm: &Vm, op: BinaryOp, a: &Value, b: &Value) -> PyResult {
    match (other(vm, a)?, other(vm, b)?) {
        (Some(x), Some(y)) => binary(vm, op, x, y).unwrap_or(Ok(Value::NOT_IMPLEMENTED)),
        _ => Ok(Value::NOT_IMPLEMENTED),
    }
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let x = own(a);
    if let Some(y) = b.get::<f64>() {
        return Ok(Value::from_bool(compare_floats(op, x, *y)));
    }
    let Some(y) = vm.big_int(b) else { return Ok(Value::NOT_IMPLEMENTED) };
    if !x.is_finite() {
        return Ok(Value::from_bool(compare_floats(op, x, 0.0)));
    }
    let whole = BigInt::from_f64(x.trunc()).unwrap_or_default();
    let order = whole.cmp(&y).then(x.fract().partial_cmp(&0.0).unwrap_or(std::cmp::Ordering::Equal));
    Ok(Value::from_bool(compare_with(op, order)))
}

/// Hash of a float; equal to that of an equal int.
pub(crate) fn hash(f: f64) -> i64 {
    if f.is_infinite() {
        return if f > 0.0 { 314_159 } else { -314_159 };
    }
    if f.is_nan() {
        return 0;
    }
    if f.fract() == 0.0 && f.abs() < 1e18 {
        return super::hash_small(f as i64);
    }
    let (mut mantissa, mut exponent) = frexp(f.abs());
    let mut h: u64 = 0;
    while mantissa != 0.0 {
        h = ((h << 28) & ((1 << 61) - 1)) | h >> (61 - 28);
        mantissa *= 268_435_456.0;
        exponent -= 28;
        let part = mantissa as u64;
        mantissa -= part as f64;
        h += part;
        if h >= (1 << 61) - 1 {
            h -= (1 << 61) - 1;
        }
    }
    let shift = exponent.rem_euclid(61) as u32;
    h = ((h << shift) & ((1 << 61) - 1)) | if shift == 0 { 0 } else { h >> (61 - shift) };
    let h = if f < 0.0 { -(h as i64) } else { h as i64 };
    if h == -1 { -2 } else { h }
}

/// Mantissa in 0.5..1 and exponent.
pub(crate) fn frexp(f: f64) -> (f64, i32) {
    if f == 0.0 || !f.is_finite() {
        return (f, 0);
    }
    let bits = f.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    if exponent == 0 {
        let (m, e) = frexp(f * 2f64.powi(54));
        return (m, e - 54);
    }
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent - 1022)
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let value = match args.opt(1) {
        None => 0.0,
        Some(x) => match x.get::<Str>() {
            Some(s) => parse_float(&s.to_lossy()).ok_or(()).or_else(|()| {
                Err(vm.value_error(format!("could not convert string to float: {}", vm.repr_text(x)?)))
            })?,
            None if vm.is_bytes_like(x) => {
                let ascii = |b: &u8| if b.is_ascii() { char::from(*b) } else { '\u{fffd}' };
                let text: String = vm.bytes_of(x)?.iter().map(ascii).collect();
                parse_float(&text).ok_or(()).or_else(|()| {
                    Err(vm.value_error(format!("could not convert string to float: {}", vm.repr_text(x)?)))
                })?
            }
            None => match vm.to_f64(x) {
                Ok(f) => f,
                Err(error)
                    if vm.is_exception(&error, &vm.exc.type_error)
                        && vm.special(x, &vm.names.__float__).is_none() =>
                {
                    return Err(vm.type_error(format!(
                        "float() argument must be a string or a real number, not '{}'",
                        vm.type_name(x)
                    )));
                }
                Err(error) => return Err(error),
            },
        },
    };
    Ok(new_object(&args[0], value))
}

fn ratio(vm: &Vm, args: Args) -> PyResult {
    let f = own(&args[0]);
    if f.is_nan() {
        return Err(vm.value_error("cannot convert NaN to integer ratio"));
    }
    if f.is_infinite() {
        return Err(vm.overflow_error("cannot convert Infinity to integer ratio"));
    }
    let (mut mantissa, mut exponent) = frexp(f);
    for _ in 0..300 {
        if mantissa == mantissa.floor() {
            break;
        }
        mantissa *= 2.0;
        exponent -= 1;
    }
    let n = BigInt::from_f64(mantissa).unwrap_or_default();
    let one = BigInt::from(1);
    let (n, d) = if exponent > 0 { (n << exponent as u64, one) } else { (n, one << (-exponent) as u64) };
    Ok(vm.tuple(vec![vm.big(n), vm.big(d)]))
}

fn round(vm: &Vm, args: Args) -> PyResult {
    let f = own(&args[0]);
    let Some(digits) = args.opt(1).filter(|d| !d.is_none()) else {
        return to_int(vm, f.round_ties_even());
    };
    let digits = vm.index_clamped(digits)?;
    if !f.is_finite() || digits > 323 {
        return Ok(vm.float(f));
    }
    if digits < -308 {
        return Ok(vm.float(0f64.copysign(f)));
    }
    let rounded = if digits >= 0 {
        format!("{f:.*}", digits as usize).parse().unwrap_or(f)
    } else {
        // The exact decimal value decides, so go through integers.
        let n = BigInt::from_f64(f.trunc()).unwrap_or_default();
        let value = super::int::parse_int(&n.to_string(), 10).unwrap_or_default();
        let unit = num_traits::pow::Pow::pow(BigInt::from(10), (-digits) as u64);
        let magnitude = value.abs();
        let rest = &magnitude % &unit;
        let quotient = &magnitude / &unit;
        let twice = &rest * 2;
        let odd = (&quotient % 2) == BigInt::from(1);
        let up = twice > unit || twice == unit && (odd || f.fract() != 0.0);
        let result = (if up { quotient + 1 } else { quotient }) * unit;
        result.to_f64().unwrap_or(f).copysign(f)
    };
    if rounded.is_infinite() {
        return Err(vm.overflow_error("rounded value too large to represent"));
    }
    Ok(vm.float(rounded))
}

fn hex(f: f64) -> String {
    if !f.is_finite() {
        return float_repr(f);
    }
    let sign = if f.is_sign_negative() { "-" } else { "" };
    if f == 0.0 {
        return format!("{sign}0x0.0p+0");
    }
    let bits = f.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    let (lead, exponent) = if exponent == 0 { (0, -1022) } else { (1, exponent - 1023) };
    format!("{sign}0x{lead}.{fraction:013x}p{exponent:+}")
}

fn from_hex(vm: &Vm, args: Args) -> PyResult {
    let text = vm.expect_str(&args[1], "fromhex() argument")?.to_lossy();
    let bad = || vm.value_error("invalid hexadecimal floating-point string");
    let lower = text.trim().to_ascii_lowercase();
    let (negative, body) = match lower.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, lower.strip_prefix('+').unwrap_or(&lower)),
    };
    let value = match body {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ => {
            let body = body.strip_prefix("0x").unwrap_or(body);
            let (digits, exponent) = body.split_once('p').unwrap_or((body, "0"));
            let exponent: i64 = exponent.parse().map_err(|_| bad())?;
            let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
            let all = format!("{whole}{part}");
            if all.is_empty() || !all.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(bad());
            }
            let n = BigInt::parse_bytes(all.as_bytes(), 16).ok_or_else(bad)?;
            let shift = exponent - 4 * part.len() as i64;
            let extra = (n.bits() as i64 - 100).max(0);
            let top = &n >> extra as u64;
            let sticky = if (&top << extra as u64) != n { top | BigInt::from(1) } else { top };
            scaled(&sticky, shift + extra)
                .ok_or_else(|| vm.overflow_error("hexadecimal value too large to represent as a float"))?
        }
    };
    let value = vm.float(if negative { -value } else { value });
    if args[0].is(&vm.types.float) { Ok(value) } else { vm.call_pos(&args[0], &[value]) }
}

macro_rules! rows {
    ($($name:literal $rname:literal $op:ident),*) => {
        &[$(
            ($name, "value /", |vm, args| arithmetic(vm, BinaryOp::$op, &args[0], &args[1])),
            ($rname, "value /", |vm, args| arithmetic(vm, BinaryOp::$op, &args[1], &args[0])),
        )*]
    };
}
const BINARY: &[Method] = rows!(
    "__add__" "__radd__" Add, "__sub__" "__rsub__" Sub, "__mul__" "__rmul__" Mul, "__truediv__" "__rtruediv__" Div,
    "__floordiv__" "__rfloordiv__" FloorDiv, "__mod__" "__rmod__" Mod
);

fn divmod(vm: &Vm, a: &Value, b: &Value) -> PyResult {
    match (other(vm, a)?, other(vm, b)?) {
        (Some(_), Some(0.0)) => Err(vm.raise(&vm.exc.zero_division_error, "float floor division by zero")),
        (Some(x), Some(y)) => {
            let (q, r) = floor_mod(x, y);
            Ok(vm.tuple(vec![vm.float(q), vm.float(r)]))
        }
        _ => Ok(Value::NOT_IMPLEMENTED),
    }
}

const METHODS: &[Method] = &[
    ("__new__", "x? /", new),
    ("__repr__", "", |vm, args| Ok(vm.str(&float_repr(own(&args[0]))))),
    ("__hash__", "", |vm, args| {
        let f = own(&args[0]);
        // NaNs hash by identity, so that a set of them does not degenerate.
        Ok(vm.int(if f.is_nan() { (args[0].bits() >> 4) as i64 } else { hash(f) }))
    }),
    ("__bool__", "", |_, args| Ok(Value::from_bool(own(&args[0]) != 0.0))),
    ("__neg__", "", |vm, args| Ok(vm.float(-own(&args[0])))),
    ("__pos__", "", |vm, args| Ok(vm.float(own(&args[0])))),
    ("__abs__", "", |vm, args| Ok(vm.float(own(&args[0]).abs()))),
    ("__int__", "", |vm, args| to_int(vm, own(&args[0]))),
    ("__trunc__", "", |vm, args| to_int(vm, own(&args[0]))),
    ("__floor__", "", |vm, args| to_int(vm, own(&args[0]).floor())),
    ("__ceil__", "", |vm, args| to_int(vm, own(&args[0]).ceil())),
    ("__float__", "", |vm, args| Ok(vm.float(own(&args[0])))),
    ("__round__", "ndigits? /", round),
    ("__pow__", "value mod? /", |vm, args| {
        if args.opt(2).is_some_and(|m| !m.is_none()) {
            return Err(vm.type_error("pow() 3rd argument not allowed unless all arguments are integers"));
        }
        arithmetic(vm, BinaryOp::Pow, &args[0], &args[1])
    }),
    ("__rpow__", "value mod? /", |vm, args| arithmetic(vm, BinaryOp::Pow, &args[1], &args[0])),
    ("__divmod__", "value /", |vm, args| divmod(vm, &args[0], &args[1])),
    ("__rdivmod__", "value /", |vm, args| divmod(vm, &args[1], &args[0])),
    ("__format__", "format_spec /", |vm, args| {
        crate::str::number_format::format_float_value(vm, &args[0], &args[1])
    }),
    ("__getnewargs__", "", |vm, args| Ok(vm.tuple(vec![vm.float(own(&args[0]))]))),
    ("is_integer", "", |_, args| {
        Ok(Value::from_bool(own(&args[0]).is_finite() && own(&args[0]).fract() == 0.0))
    }),
    ("conjugate", "", |vm, args| Ok(vm.float(own(&args[0])))),
    ("as_integer_ratio", "", ratio),
    ("hex", "", |vm, args| Ok(vm.str(&hex(own(&args[0]))))),
];

pub(super) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(&t.float, BINARY);
    vm.add_methods(&t.float, METHODS);
    vm.add_methods(&t.float, &crate::comparisons!(compare));
    vm.add_class_methods(
        &t.float,
        &[
            ("fromhex", "string /", from_hex),
            ("__getformat__", "typestr /", |vm, _| Ok(vm.str("IEEE, little-endian"))),
        ],
    );
    vm.add_getset(&t.float, "real", |vm, this| Ok(vm.float(own(this))), None);
    vm.add_getset(&t.float, "imag", |vm, _| Ok(vm.float(0.0)), None);
    let _ = BigInt::zero();
}
