//! Arithmetic with Python's rules for whole numbers and floats.

use super::{CalculatorError, Value};

type Result<T> = std::result::Result<T, CalculatorError>;

/// Whole numbers stay below this in magnitude, so that every one has at most 38 digits.
const INTEGER_LIMIT: u128 = 10u128.pow(38);

/// A two-sided operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
}

/// `left operator right`.
pub(super) fn apply(operator: Operator, left: &Value, right: &Value) -> Result<Value> {
    match (left, right) {
        (Value::Integer(a), Value::Integer(b)) => apply_integers(operator, *a, *b),
        (Value::Text(_), _) | (_, Value::Text(_)) => Err(CalculatorError::WrongType),
        _ => apply_floats(operator, as_float(left), as_float(right)),
    }
}

/// `-value`.
pub(super) fn negate(value: Value) -> Result<Value> {
    match value {
        Value::Integer(a) => Ok(Value::Integer(-a)),
        Value::Float(a) => Ok(Value::Float(-a)),
        Value::Text(_) => Err(CalculatorError::WrongType),
    }
}

/// A whole number, refused from 10³⁸ on.
pub(super) fn integer(value: Option<i128>) -> Result<Value> {
    match value {
        Some(value) if value.unsigned_abs() < INTEGER_LIMIT => Ok(Value::Integer(value)),
        _ => Err(CalculatorError::TooLarge),
    }
}

/// A float, refused when it is infinite or no number.
pub(super) fn float(value: f64) -> Result<Value> {
    if value.is_finite() { Ok(Value::Float(value)) } else { Err(CalculatorError::TooLarge) }
}

fn as_float(value: &Value) -> f64 {
    match value {
        Value::Integer(a) => *a as f64,
        Value::Float(a) => *a,
        Value::Text(_) => f64::NAN,
    }
}

fn apply_integers(operator: Operator, a: i128, b: i128) -> Result<Value> {
    match operator {
        Operator::Add => integer(a.checked_add(b)),
        Operator::Subtract => integer(a.checked_sub(b)),
        Operator::Multiply => integer(a.checked_mul(b)),
        Operator::Divide => float(true_divide(a, b)?),
        Operator::FloorDivide => integer(Some(floor_divide(a, b)?)),
        Operator::Remainder => integer(Some(a - floor_divide(a, b)? * b)),
        Operator::Power if b < 0 => apply_floats(Operator::Power, a as f64, b as f64),
        Operator::Power => integer(power(a, b)),
    }
}

fn floor_divide(a: i128, b: i128) -> Result<i128> {
    if b == 0 {
        return Err(CalculatorError::DivisionByZero);
    }
    let quotient = a / b;
    Ok(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

/// `a ** b` for b ≥ 0; `None` when it does not fit.
fn power(a: i128, b: i128) -> Option<i128> {
    match a {
        0 => Some(i128::from(b == 0)),
        1 => Some(1),
        -1 => Some(if b % 2 == 0 { 1 } else { -1 }),
        // Two to the 127th already does not fit, so the exponent is small here.
        _ => a.checked_pow(u32::try_from(b).ok().filter(|&b| b < 127)?),
    }
}

/// `a / b`, rounded once and to even, as Python does it also where the whole numbers are beyond 2⁵³.
fn true_divide(a: i128, b: i128) -> Result<f64> {
    if b == 0 {
        return Err(CalculatorError::DivisionByZero);
    }
    let (numerator, denominator) = (a.unsigned_abs(), b.unsigned_abs());
    let mut quotient = numerator / denominator;
    let mut rest = numerator % denominator;
    let mut exponent = 0;
    // 56 bits are the 53 of a float and room for the rounding bit and the bit for "something below".
    while quotient < 1 << 56 && rest != 0 {
        rest *= 2; // below 2·10³⁸ < 2¹²⁸
        quotient *= 2;
        exponent -= 1;
        if rest >= denominator {
            rest -= denominator;
            quotient += 1;
        }
    }
    let sticky = u128::from(rest != 0);
    let magnitude = (quotient | sticky) as f64 * 2f64.powi(exponent);
    Ok(if (a < 0) != (b < 0) && a != 0 { -magnitude } else { magnitude })
}

fn apply_floats(operator: Operator, a: f64, b: f64) -> Result<Value> {
    let divides = matches!(operator, Operator::Divide | Operator::FloorDivide | Operator::Remainder);
    if divides && b == 0.0 {
        return Err(CalculatorError::DivisionByZero);
    }
    float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::FloorDivide => divide_with_remainder(a, b).0,
        Operator::Remainder => divide_with_remainder(a, b).1,
        Operator::Power if a == 0.0 && b < 0.0 => return Err(CalculatorError::DivisionByZero),
        Operator::Power if a < 0.0 && b.fract() != 0.0 => return Err(CalculatorError::NotReal),
        Operator::Power => a.powf(b),
    })
}

/// The floor of a / b and the remainder with the sign of b, as CPython's `divmod` computes them.
fn divide_with_remainder(a: f64, b: f64) -> (f64, f64) {
    let mut remainder = a % b;
    let mut quotient = (a - remainder) / b;
    if remainder == 0.0 {
        remainder = 0f64.copysign(b);
    } else if (b < 0.0) != (remainder < 0.0) {
        remainder += b;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0f64.copysign(a / b), remainder);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, remainder)
}

/// A float as Python's `repr` writes it: the fewest digits that read back as the same number, always with
/// a point or an exponent, the exponent from 10¹⁶ up and below 10⁻⁴.
pub fn format_float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_string();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_large_whole_numbers_with_one_rounding() {
        // Python: (2**53+1)/1, (10**37+1)/10**37, 10**37/3, 1/10**37
        assert_eq!(true_divide((1 << 53) + 1, 1).unwrap(), 9_007_199_254_740_992.0);
        assert_eq!(true_divide(10i128.pow(37) + 1, 10i128.pow(37)).unwrap(), 1.0);
        assert_eq!(true_divide(10i128.pow(37), 3).unwrap(), 3.333_333_333_333_333_4e36);
        assert_eq!(true_divide(-1, 10i128.pow(37)).unwrap(), -1e-37);
    }

    #[test]
    fn small_quotients_match_the_float_division() {
        let mut rng = mynah_base::Rng::new(1);
        for _ in 0..10_000 {
            let (a, b) = (rng.below(1 << 53) as i128, 1 + rng.below(1 << 53) as i128);
            assert_eq!(true_divide(a, b).unwrap(), a as f64 / b as f64, "{a}/{b}");
        }
    }
}
