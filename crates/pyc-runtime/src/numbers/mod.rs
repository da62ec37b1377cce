//! int, bool, float, complex.

mod complex;
pub(crate) mod float;
mod int;

pub use complex::ComplexData;
pub(crate) use float::to_int;
pub use float::{float_repr, parse_float};
pub use int::{IntData, hash_big, hash_small, parse_int};

use num_bigint::BigInt;
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};
use pyc_ir::BinaryOp;

use crate::object::{Kind, Value, new_object};
use crate::vm::{PyResult, Vm};

pub(crate) fn init(vm: &Vm) {
    int::init(vm);
    float::init(vm);
    complex::init(vm);
}

impl Vm {
    /// An int.
    #[inline]
    pub fn int(&self, n: i64) -> Value {
        match Value::small(n) {
            Some(value) => value,
            None => new_object(&self.types.int, IntData(BigInt::from(n))),
        }
    }

    /// An int of any size.
    pub fn big(&self, n: BigInt) -> Value {
        match n.to_i64().and_then(Value::small) {
            Some(value) => value,
            None => new_object(&self.types.int, IntData(n)),
        }
    }

    /// An int from an unsigned number.
    pub fn uint(&self, n: u64) -> Value {
        match i64::try_from(n) {
            Ok(n) => self.int(n),
            Err(_) => self.big(BigInt::from(n)),
        }
    }

    /// A float.
    #[inline]
    pub fn float(&self, f: f64) -> Value {
        new_object(&self.types.float, f)
    }

    /// A complex number.
    pub fn complex(&self, re: f64, im: f64) -> Value {
        new_object(&self.types.complex, ComplexData { re, im })
    }

    /// Whether it is an int (also a bool or of a subclass).
    #[inline]
    pub fn is_int(&self, value: &Value) -> bool {
        value.as_small().is_some() || value.kind() == Kind::Int || value.as_bool().is_some()
    }

    /// The value of an int of any kind.
    pub fn big_int(&self, value: &Value) -> Option<BigInt> {
        if let Some(n) = value.as_small() {
            return Some(BigInt::from(n));
        }
        if let Some(b) = value.as_bool() {
            return Some(BigInt::from(i32::from(b)));
        }
        value.get::<IntData>().map(|d| d.0.clone())
    }

    /// The value of an int, when it fits.
    #[inline]
    pub fn as_i64(&self, value: &Value) -> Option<i64> {
        if let Some(n) = value.as_small() {
            return Some(n);
        }
        if let Some(b) = value.as_bool() {
            return Some(i64::from(b));
        }
        value.get::<IntData>()?.0.to_i64()
    }

    /// The number of an int or float, without calling anything; nothing for other types.
    pub fn number(&self, value: &Value) -> Option<f64> {
        if let Some(f) = value.get::<f64>() {
            return Some(*f);
        }
        if let Some(n) = self.as_i64(value) {
            return Some(n as f64);
        }
        value.get::<IntData>().and_then(|d| float::big_to_f64(&d.0))
    }

    /// A float argument: float, int, `__float__` or `__index__`.
    ///
    /// # Errors
    /// TypeError, and OverflowError for ints that are too large.
    pub fn to_f64(&self, value: &Value) -> PyResult<f64> {
        if let Some(f) = value.get::<f64>() {
            return Ok(*f);
        }
        if let Some(n) = self.as_i64(value) {
            return Ok(n as f64);
        }
        if let Some(d) = value.get::<IntData>() {
            return float::big_to_f64(&d.0)
                .ok_or_else(|| self.overflow_error("int too large to convert to float"));
        }
        if let Some(result) = self.call_special(value, &self.names.__float__, &[])? {
            return match result.get::<f64>() {
                Some(f) => Ok(*f),
                None => Err(self.type_error(format!(
                    "{}.__float__ returned non-float (type {})",
                    self.type_name(value),
                    self.type_name(&result)
                ))),
            };
        }
        if self.special(value, &self.names.__index__).is_some() {
            let n = self.index_value(value)?;
            return self.to_f64(&n);
        }
        Err(self.type_error(format!("must be real number, not {}", self.type_name(value))))
    }

    /// An int literal as it stands in the source.
    pub fn parse_int_literal(&self, text: &str) -> Value {
        parse_int(text, 0).map_or(Value::NONE, |n| self.big(n))
    }
}

/// Binary operators on exact ints and floats; nothing when the operands are anything else.
#[inline]
pub fn quick_binary(vm: &Vm, op: BinaryOp, a: &Value, b: &Value) -> Option<PyResult> {
    if op == BinaryOp::MatMul {
        return None;
    }
    if let Some((x, y)) = a.both_small(b) {
        return Some(small_binary(vm, op, x, y));
    }
    match (a.exact::<f64>(), b.exact::<f64>()) {
        (Some(x), Some(y)) => float::binary(vm, op, *x, *y),
        (Some(x), None) => float::binary(vm, op, *x, b.as_small()? as f64),
        (None, Some(y)) => float::binary(vm, op, a.as_small()? as f64, *y),
        (None, None) => None,
    }
}

/// Binary operators on small ints.
pub fn small_binary(vm: &Vm, op: BinaryOp, x: i64, y: i64) -> PyResult {
    let exact = match op {
        // Small ints have 63 bits, so sums cannot overflow 64.
        BinaryOp::Add => Some(x + y),
        BinaryOp::Sub => Some(x - y),
        BinaryOp::Mul => x.checked_mul(y),
        BinaryOp::And => Some(x & y),
        BinaryOp::Or => Some(x | y),
        BinaryOp::Xor => Some(x ^ y),
        BinaryOp::FloorDiv if y != 0 => Some(num_integer::Integer::div_floor(&x, &y)),
        BinaryOp::Mod if y != 0 => Some(num_integer::Integer::mod_floor(&x, &y)),
        BinaryOp::RShift if y >= 0 => Some(x >> y.min(63)),
        BinaryOp::LShift if (0..62).contains(&y) && x.unsigned_abs().leading_zeros() as i64 > y + 1 => {
            Some(x << y)
        }
        BinaryOp::Div if y != 0 => {
            // Exact when both fit a double's mantissa.
            if x.unsigned_abs() < 1 << 53 && y.unsigned_abs() < 1 << 53 {
                return Ok(vm.float(x as f64 / y as f64));
            }
            None
        }
        BinaryOp::Pow if (0..=62).contains(&y) => x.checked_pow(y as u32),
        _ => None,
    };
    match exact {
        Some(n) => Ok(vm.int(n)),
        None => int::big_binary(vm, op, &BigInt::from(x), &BigInt::from(y)),
    }
}

pub(super) fn sign(n: &BigInt) -> i32 {
    if n.is_zero() {
        0
    } else if n.is_negative() {
        -1
    } else {
        1
    }
}
