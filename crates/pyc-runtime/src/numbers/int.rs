//! Integers beyond 63 bits and of subclasses, and the methods of int and bool.

use num_bigint::{BigInt, Sign};
use num_integer::Integer as _;
use num_traits::{Num as _, One as _, Signed as _, ToPrimitive as _, Zero as _};
use pyc_ir::{BinaryOp, CompareOp};

use super::{float, sign};
use crate::args::Method;
use crate::object::{Kind, Payload, Value, new_object};
use crate::ops::compare_with;
use crate::str::Str;
use crate::vm::{Args, PyResult, Vm};

/// The payload of ints in memory.
pub struct IntData(pub BigInt);
impl Payload for IntData {
    const KIND: Kind = Kind::Int;
}

const MODULUS: i64 = (1 << 61) - 1;

/// Hash of a small int: modulo 2^61 - 1.
#[inline]
pub fn hash_small(n: i64) -> i64 {
    if (-MODULUS..MODULUS).contains(&n) {
        return if n == -1 {
            -2
        } else if n == -MODULUS {
            0
        } else {
            n
        };
    }
    let h = n % MODULUS;
    if h == -1 { -2 } else { h }
}

/// Hash of any int.
pub fn hash_big(n: &BigInt) -> i64 {
    let h = (n % MODULUS).to_i64().unwrap_or(0);
    if h == -1 { -2 } else { h }
}

/// An int from text as `int(text, base)` reads it; base 0 takes the prefix.
pub fn parse_int(text: &str, base: u32) -> Option<BigInt> {
    let text = text.trim_matches(|c: char| c.is_whitespace());
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = body.get(..2).map(str::to_ascii_lowercase);
    let prefix = match lower.as_deref() {
        Some("0x") => Some(16),
        Some("0o") => Some(8),
        Some("0b") => Some(2),
        _ => None,
    };
    let (base, digits) = match (base, prefix) {
        (0, Some(b)) => (b, body[2..].strip_prefix('_').unwrap_or(&body[2..])),
        (0, None) => {
            if body.len() > 1 && body.starts_with('0') && body.bytes().any(|b| !matches!(b, b'0' | b'_')) {
                return None;
            }
            (10, body)
        }
        (b, Some(p)) if b == p => (b, body[2..].strip_prefix('_').unwrap_or(&body[2..])),
        (b, _) => (b, body),
    };
    if digits.is_empty()
        || digits.starts_with('_')
        || digits.ends_with('_')
        || digits.contains("__")
        || digits.starts_with(['+', '-'])
    {
        return None;
    }
    let plain: String = digits
        .chars()
        .filter(|c| *c != '_')
        .map(|c| match crate::unicode::decimal_digit(c as u32) {
            Some(d) if !c.is_ascii() => char::from(b'0' + d as u8),
            _ => c,
        })
        .collect();
    if let Ok(n) = i64::from_str_radix(&plain, base) {
        return Some(BigInt::from(if negative { -n } else { n }));
    }
    let n = BigInt::from_str_radix(&plain, base).ok()?;
    Some(if negative { -n } else { n })
}

/// Binary operators on ints of any size.
pub fn big_binary(vm: &Vm, op: BinaryOp, x: &BigInt, y: &BigInt) -> PyResult {
    let bits = x.bits() + y.bits();
    if bits > 1 << 19 {
        // Large products take time and memory; both limits are looked at.
        vm.check_memory(bits / 4)?;
        vm.check_limits()?;
    }
    Ok(match op {
        BinaryOp::Add => vm.big(x + y),
        BinaryOp::Sub => vm.big(x - y),
        BinaryOp::Mul => vm.big(x * y),
        BinaryOp::And => vm.big(x & y),
        BinaryOp::Or => vm.big(x | y),
        BinaryOp::Xor => vm.big(x ^ y),
        BinaryOp::Div => return true_divide(vm, x, y),
        BinaryOp::FloorDiv | BinaryOp::Mod if y.is_zero() => {
            let what = if op == BinaryOp::Mod {
                "integer modulo by zero"
            } else {
                "integer division or modulo by zero"
            };
            return Err(vm.raise(&vm.exc.zero_division_error, what));
        }
        BinaryOp::FloorDiv => vm.big(x.div_floor(y)),
        BinaryOp::Mod => vm.big(x.mod_floor(y)),
        BinaryOp::LShift | BinaryOp::RShift => {
            if y.is_negative() {
                return Err(vm.value_error("negative shift count"));
            }
            if op == BinaryOp::RShift {
                return Ok(match y.to_u64() {
                    Some(n) if n < x.bits() + 64 => vm.big(x >> n),
                    _ => Value::from_i32(if x.is_negative() { -1 } else { 0 }),
                });
            }
            if x.is_zero() {
                return Ok(Value::from_i32(0));
            }
            match y.to_u64() {
                Some(n) if n < 1 << 40 => {
                    vm.check_memory(n / 8)?;
                    if n > 1 << 33 {
                        return Err(vm.raise_bare(&vm.exc.memory_error));
                    }
                    vm.big(x << n)
                }
                _ => return Err(vm.overflow_error("too many digits in integer")),
            }
        }
        BinaryOp::Pow => return power(vm, x, y),
        BinaryOp::MatMul => return Ok(Value::NOT_IMPLEMENTED),
    })
}

fn power(vm: &Vm, x: &BigInt, y: &BigInt) -> PyResult {
    if y.is_negative() {
        let (a, b) = (float::big_to_f64(x), float::big_to_f64(y));
        return match (a, b) {
            (Some(a), Some(b)) => float::power(vm, a, b),
            _ => Err(vm.overflow_error("int too large to convert to float")),
        };
    }
    if x.is_zero() || x.is_one() {
        return Ok(if y.is_zero() { Value::from_i32(1) } else { vm.big(x.clone()) });
    }
    if x == &BigInt::from(-1) {
        return Ok(Value::from_i32(if y.is_even() { 1 } else { -1 }));
    }
    let exponent = y.to_u64().filter(|e| *e < 1 << 40);
    let bits = exponent.map(|e| (x.bits() - 1).max(1).saturating_mul(e));
    match (exponent, bits) {
        (Some(e), Some(bits)) if bits < 1 << 33 => {
            vm.check_memory(bits / 4)?;
            if bits > 1 << 22 {
                // Multiplies itself up step by step, so that the time limit is seen.
                let (mut result, mut base, mut left) = (BigInt::one(), x.clone(), e);
                while left > 0 {
                    if left & 1 == 1 {
                        result *= &base;
                    }
                    left >>= 1;
                    if left > 0 {
                        base = &base * &base;
                    }
                    vm.check_limits()?;
                }
                return Ok(vm.big(result));
            }
            Ok(vm.big(num_traits::pow::Pow::pow(x, e)))
        }
        _ => {
            vm.check_memory(1 << 40)?;
            Err(vm.raise_bare(&vm.exc.memory_error))
        }
    }
}

/// Correctly rounded quotient.
fn true_divide(vm: &Vm, x: &BigInt, y: &BigInt) -> PyResult {
    if y.is_zero() {
        return Err(vm.raise(&vm.exc.zero_division_error, "division by zero"));
    }
    if let (Some(a), Some(b)) = (x.to_i64(), y.to_i64())
        && a.unsigned_abs() < 1 << 53
        && b.unsigned_abs() < 1 << 53
    {
        return Ok(vm.float(a as f64 / b as f64));
    }
    let negative = x.is_negative() != y.is_negative();
    let (a, b) = (x.abs(), y.abs());
    if a.is_zero() {
        return Ok(vm.float(0.0));
    }
    // Scale so that the quotient has 66 bits or more, then round once with a sticky bit.
    let shift = 66 - (a.bits() as i64 - b.bits() as i64);
    let (quotient, rest) =
        if shift >= 0 { (&a << shift as u64).div_rem(&b) } else { a.div_rem(&(&b << (-shift) as u64)) };
    let sticky = if rest.is_zero() { quotient } else { quotient | BigInt::one() };
    let Some(result) = float::scaled(&sticky, -shift) else {
        return Err(vm.overflow_error("integer division result too large for a float"));
    };
    Ok(vm.float(if negative { -result } else { result }))
}

fn pair(vm: &Vm, a: &Value, b: &Value) -> Option<(BigInt, BigInt)> {
    Some((vm.big_int(a)?, vm.big_int(b)?))
}

fn binary(vm: &Vm, op: BinaryOp, a: &Value, b: &Value) -> PyResult {
    match (vm.as_i64(a).and_then(Value::small), vm.as_i64(b).and_then(Value::small)) {
        (Some(x), Some(y)) => match (x.as_small(), y.as_small()) {
            (Some(x), Some(y)) => super::small_binary(vm, op, x, y),
            _ => Ok(Value::NOT_IMPLEMENTED),
        },
        _ => match pair(vm, a, b) {
            Some((x, y)) => big_binary(vm, op, &x, &y),
            None => Ok(Value::NOT_IMPLEMENTED),
        },
    }
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    match pair(vm, a, b) {
        Some((x, y)) => Ok(Value::from_bool(compare_with(op, x.cmp(&y)))),
        None => Ok(Value::NOT_IMPLEMENTED),
    }
}

fn own(vm: &Vm, value: &Value) -> BigInt {
    vm.big_int(value).unwrap_or_default()
}

/// Decimal text, within the limit.
pub(crate) fn to_decimal(vm: &Vm, value: &Value) -> PyResult<String> {
    if let Some(n) = value.as_small() {
        return Ok(n.to_string());
    }
    let n = own(vm, value);
    let most = vm.int_digits_max.get();
    if most > 0 && n.bits() > (most as u64) * 10 / 3 {
        let text_digits = (n.bits() as f64 * std::f64::consts::LOG10_2) as usize;
        if text_digits >= most {
            return Err(vm.value_error(format!(
                "Exceeds the limit ({most} digits) for integer string conversion; use sys.set_int_max_str_digits() to increase the limit"
            )));
        }
    }
    Ok(n.to_string())
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let ty = &args[0];
    let value = convert(vm, args.opt(1), args.opt(2))?;
    subclass(vm, ty, value)
}

fn subclass(vm: &Vm, ty: &Value, value: Value) -> PyResult {
    if ty.is(&vm.types.int) {
        return Ok(value);
    }
    let n = own(vm, &value);
    Ok(new_object(ty, IntData(n)))
}

fn convert(vm: &Vm, x: Option<&Value>, base: Option<&Value>) -> PyResult {
    let Some(x) = x else {
        if base.is_some() {
            return Err(vm.type_error("int() missing string argument"));
        }
        return Ok(Value::from_i32(0));
    };
    let text = if let Some(s) = x.get::<Str>() {
        Some(s.to_lossy())
    } else if vm.is_bytes_like(x) && (base.is_none() || x.get::<crate::bytes::MemoryData>().is_none()) {
        // Only ASCII counts, so a byte beyond must not become a space of Latin-1.
        Some(vm.bytes_of(x)?.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '\u{fffd}' }).collect())
    } else {
        None
    };
    if let Some(text) = text {
        let base = match base {
            Some(base) => vm.index(base)?,
            None => 10,
        };
        if base != 0 && !(2..=36).contains(&base) {
            return Err(vm.value_error("int() base must be >= 2 and <= 36, or 0"));
        }
        let digits = text.trim().trim_start_matches(['-', '+']).chars().filter(|c| *c != '_').count();
        let most = vm.int_digits_max.get();
        if most > 0 && digits > most && !(base as u64).is_power_of_two() {
            return Err(vm.value_error(format!(
                "Exceeds the limit ({most} digits) for integer string conversion: value has {digits} digits; use sys.set_int_max_str_digits() to increase the limit"
            )));
        }
        return match parse_int(&text, base as u32) {
            Some(n) => Ok(vm.big(n)),
            None => {
                Err(vm
                    .value_error(format!("invalid literal for int() with base {base}: {}", vm.repr_text(x)?)))
            }
        };
    }
    if base.is_some() {
        return Err(vm.type_error("int() can't convert non-string with explicit base"));
    }
    if vm.is_int(x) && x.is_exact() {
        return Ok(vm.big(own(vm, x)));
    }
    if let Some(f) = x.exact::<f64>() {
        return float::to_int(vm, *f);
    }
    if let Some(result) = vm.call_special(x, &vm.names.__int__, &[])? {
        if !vm.is_int(&result) {
            return Err(vm.type_error(format!("__int__ returned non-int (type {})", vm.type_name(&result))));
        }
        return Ok(vm.big(own(vm, &result)));
    }
    if vm.special(x, &vm.names.__index__).is_some() {
        return vm.index_value(x);
    }
    if let Some(result) = vm.call_special(x, &vm.names.__trunc__, &[])? {
        return vm.index_value(&result);
    }
    Err(vm.type_error(format!(
        "int() argument must be a string, a bytes-like object or a real number, not '{}'",
        vm.type_name(x)
    )))
}

fn pow_method(vm: &Vm, args: Args) -> PyResult {
    let Some(modulus) = args.opt(2).filter(|m| !m.is_none()) else {
        return binary(vm, BinaryOp::Pow, &args[0], &args[1]);
    };
    let (Some(x), Some(y), Some(m)) = (vm.big_int(&args[0]), vm.big_int(&args[1]), vm.big_int(modulus))
    else {
        return Ok(Value::NOT_IMPLEMENTED);
    };
    if m.is_zero() {
        return Err(vm.value_error("pow() 3rd argument cannot be 0"));
    }
    let (x, y) = if y.is_negative() {
        let size = m.abs();
        let gcd = x.mod_floor(&size).extended_gcd(&size);
        if !gcd.gcd.is_one() {
            return Err(vm.value_error("base is not invertible for the given modulus"));
        }
        (gcd.x.mod_floor(&size), -y)
    } else {
        (x, y)
    };
    let size = m.abs();
    if size.is_one() {
        return Ok(Value::from_i32(0));
    }
    let result = x.mod_floor(&size).modpow(&y, &size);
    Ok(vm.big(if m.is_negative() && !result.is_zero() { result + m } else { result }))
}

fn divmod(vm: &Vm, args: Args) -> PyResult {
    let Some((x, y)) = pair(vm, &args[0], &args[1]) else { return Ok(Value::NOT_IMPLEMENTED) };
    if y.is_zero() {
        return Err(vm.raise(&vm.exc.zero_division_error, "integer division or modulo by zero"));
    }
    let (q, r) = x.div_mod_floor(&y);
    Ok(vm.tuple(vec![vm.big(q), vm.big(r)]))
}

fn round(vm: &Vm, args: Args) -> PyResult {
    let n = own(vm, &args[0]);
    let Some(digits) = args.opt(1).filter(|d| !d.is_none()) else { return Ok(vm.big(n)) };
    let digits = vm.index(digits)?;
    if digits >= 0 {
        return Ok(vm.big(n));
    }
    if -digits > n.to_string().len() as i64 + 1 {
        return Ok(Value::from_i32(0));
    }
    let unit = num_traits::pow::Pow::pow(BigInt::from(10), (-digits) as u64);
    let (quotient, rest) = n.div_mod_floor(&unit);
    let twice = &rest * 2;
    let up = twice > unit || twice == unit && quotient.is_odd();
    Ok(vm.big((if up { quotient + 1 } else { quotient }) * unit))
}

fn to_bytes(vm: &Vm, args: Args) -> PyResult {
    let n = own(vm, &args[0]);
    let length = args.opt(1).map_or(Ok(1), |l| vm.index(l))?;
    let big = match args.opt(2) {
        None => true,
        Some(order) => byte_order(vm, order)?,
    };
    let signed = args.opt(3).map_or(Ok(false), |s| vm.truth(s))?;
    if length < 0 {
        return Err(vm.value_error("length argument must be non-negative"));
    }
    vm.check_alloc(length as usize, 1)?;
    if n.is_negative() && !signed {
        return Err(vm.overflow_error("can't convert negative int to unsigned"));
    }
    let mut bytes = if signed { n.to_signed_bytes_le() } else { n.to_bytes_le().1 };
    while bytes.len() > length as usize && bytes.last().is_some_and(|b| *b == 0 && !signed) {
        bytes.pop();
    }
    if n.is_zero() {
        bytes.clear();
    }
    if bytes.len() > length as usize {
        return Err(vm.overflow_error("int too big to convert"));
    }
    bytes.resize(length as usize, if n.is_negative() { 255 } else { 0 });
    if big {
        bytes.reverse();
    }
    Ok(vm.bytes(&bytes))
}

fn byte_order(vm: &Vm, value: &Value) -> PyResult<bool> {
    match &*vm.text(value) {
        "big" => Ok(true),
        "little" => Ok(false),
        _ => Err(vm.value_error("byteorder must be either 'little' or 'big'")),
    }
}

fn from_bytes(vm: &Vm, args: Args) -> PyResult {
    let mut bytes = if args[1].kind() == Kind::Bytes || args[1].kind() == Kind::ByteArray {
        vm.bytes_of(&args[1])?
    } else {
        vm.to_bytes(&args[1])?
    };
    let big = args.opt(2).map_or(Ok(true), |o| byte_order(vm, o))?;
    let signed = args.opt(3).map_or(Ok(false), |s| vm.truth(s))?;
    if big {
        bytes.reverse();
    }
    let n =
        if signed { BigInt::from_signed_bytes_le(&bytes) } else { BigInt::from_bytes_le(Sign::Plus, &bytes) };
    let value = vm.big(n);
    if args[0].is(&vm.types.int) { Ok(value) } else { vm.call_pos(&args[0], &[value]) }
}

macro_rules! binary_rows {
    ($($name:literal $rname:literal $op:ident),*) => {
        &[$(
            ($name, "value /", |vm, args| binary(vm, BinaryOp::$op, &args[0], &args[1])),
            ($rname, "value /", |vm, args| binary(vm, BinaryOp::$op, &args[1], &args[0])),
        )*]
    };
}

const BINARY: &[Method] = binary_rows!(
    "__add__" "__radd__" Add, "__sub__" "__rsub__" Sub, "__mul__" "__rmul__" Mul, "__truediv__" "__rtruediv__" Div,
    "__floordiv__" "__rfloordiv__" FloorDiv, "__mod__" "__rmod__" Mod, "__lshift__" "__rlshift__" LShift,
    "__rshift__" "__rrshift__" RShift, "__and__" "__rand__" And, "__or__" "__ror__" Or, "__xor__" "__rxor__" Xor
);

const METHODS: &[Method] = &[
    ("__new__", "x? / base?", new),
    ("__repr__", "", |vm, args| Ok(vm.str(&to_decimal(vm, &args[0])?))),
    ("__hash__", "", |vm, args| Ok(vm.int(hash_big(&own(vm, &args[0]))))),
    ("__bool__", "", |vm, args| Ok(Value::from_bool(!own(vm, &args[0]).is_zero()))),
    ("__pow__", "value mod? /", pow_method),
    ("__rpow__", "value mod? /", |vm, args| binary(vm, BinaryOp::Pow, &args[1], &args[0])),
    ("__divmod__", "value /", divmod),
    ("__rdivmod__", "value /", |vm, args| divmod(vm, Args::pos(&[args[1].clone(), args[0].clone()]))),
    ("__neg__", "", |vm, args| Ok(vm.big(-own(vm, &args[0])))),
    ("__pos__", "", |vm, args| Ok(vm.big(own(vm, &args[0])))),
    ("__abs__", "", |vm, args| Ok(vm.big(own(vm, &args[0]).abs()))),
    ("__invert__", "", |vm, args| Ok(vm.big(!own(vm, &args[0])))),
    ("__int__", "", |vm, args| Ok(vm.big(own(vm, &args[0])))),
    ("__index__", "", |vm, args| Ok(vm.big(own(vm, &args[0])))),
    ("__trunc__", "", |vm, args| Ok(vm.big(own(vm, &args[0])))),
    ("__floor__", "", |vm, args| Ok(vm.big(own(vm, &args[0])))),
    ("__ceil__", "", |vm, args| Ok(vm.big(own(vm, &args[0])))),
    ("__round__", "ndigits? /", round),
    ("__float__", "", |vm, args| Ok(vm.float(vm.to_f64(&vm.big(own(vm, &args[0])))?))),
    ("__format__", "format_spec /", |vm, args| {
        crate::str::number_format::format_int_value(vm, &args[0], &args[1])
    }),
    ("__getnewargs__", "", |vm, args| Ok(vm.tuple(vec![vm.big(own(vm, &args[0]))]))),
    ("bit_length", "", |vm, args| Ok(Value::from_len(own(vm, &args[0]).bits() as usize))),
    ("bit_count", "", |vm, args| Ok(Value::from_len(own(vm, &args[0]).magnitude().count_ones() as usize))),
    ("conjugate", "", |vm, args| Ok(vm.big(own(vm, &args[0])))),
    ("as_integer_ratio", "", |vm, args| Ok(vm.tuple(vec![vm.big(own(vm, &args[0])), Value::from_i32(1)]))),
    ("is_integer", "", |_, _| Ok(Value::TRUE)),
    ("to_bytes", "length? byteorder? * signed?", to_bytes),
];

fn bool_op(vm: &Vm, op: BinaryOp, a: &Value, b: &Value) -> PyResult {
    let result = binary(vm, op, a, b)?;
    match (a.as_bool(), b.as_bool()) {
        (Some(_), Some(_)) => Ok(Value::from_bool(result.as_small() == Some(1))),
        _ => Ok(result),
    }
}

const BOOL: &[Method] = &[
    ("__new__", "x? /", |vm, args| Ok(Value::from_bool(args.opt(1).map_or(Ok(false), |x| vm.truth(x))?))),
    ("__repr__", "", |vm, args| Ok(vm.str(if args[0].is(&Value::TRUE) { "True" } else { "False" }))),
    ("__and__", "value /", |vm, args| bool_op(vm, BinaryOp::And, &args[0], &args[1])),
    ("__or__", "value /", |vm, args| bool_op(vm, BinaryOp::Or, &args[0], &args[1])),
    ("__xor__", "value /", |vm, args| bool_op(vm, BinaryOp::Xor, &args[0], &args[1])),
    ("__rand__", "value /", |vm, args| bool_op(vm, BinaryOp::And, &args[1], &args[0])),
    ("__ror__", "value /", |vm, args| bool_op(vm, BinaryOp::Or, &args[1], &args[0])),
    ("__rxor__", "value /", |vm, args| bool_op(vm, BinaryOp::Xor, &args[1], &args[0])),
];

pub(super) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(&t.int, BINARY);
    vm.add_methods(&t.int, METHODS);
    vm.add_methods(&t.int, &crate::comparisons!(compare));
    vm.add_class_methods(&t.int, &[("from_bytes", "bytes byteorder? * signed?", from_bytes)]);
    vm.add_getset(&t.int, "real", |vm, this| Ok(vm.big(own(vm, this))), None);
    vm.add_getset(&t.int, "numerator", |vm, this| Ok(vm.big(own(vm, this))), None);
    vm.add_getset(&t.int, "imag", |_, _| Ok(Value::from_i32(0)), None);
    vm.add_getset(&t.int, "denominator", |_, _| Ok(Value::from_i32(1)), None);
    vm.add_methods(&t.bool_, BOOL);
    let _ = sign(&BigInt::zero());
}
