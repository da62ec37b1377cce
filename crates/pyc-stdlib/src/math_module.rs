//! `math`

use num_bigint::BigInt;
use num_integer::Integer as _;
use num_traits::{One as _, Signed as _, ToPrimitive as _, Zero as _};
use pyc_runtime::numbers::IntData;
use pyc_runtime::{Args, Method, PyResult, Value, Vm};

fn domain(vm: &Vm) -> pyc_runtime::Raised {
    vm.value_error("math domain error")
}

/// A function of one float; NaN from a number is a domain error, infinity from a finite one an overflow.
fn one(vm: &Vm, args: Args, f: fn(f64) -> f64, overflow: bool) -> PyResult {
    let x = vm.to_f64(&args[0])?;
    let y = f(x);
    if y.is_nan() && !x.is_nan() {
        return Err(domain(vm));
    }
    if y.is_infinite() && x.is_finite() {
        return Err(if overflow { vm.overflow_error("math range error") } else { domain(vm) });
    }
    Ok(vm.float(y))
}

fn log_of(vm: &Vm, value: &Value, f: fn(f64) -> f64) -> PyResult<f64> {
    if let Some(big) = value.get::<IntData>() {
        if !big.0.is_positive() {
            return Err(domain(vm));
        }
        // ln(m * 2^e) = ln m + e ln 2, which works beyond the range of floats.
        let bits = big.0.bits();
        let shift = bits.saturating_sub(64);
        let top = (&big.0 >> shift).to_f64().unwrap_or(1.0);
        return Ok(f(top) + shift as f64 * f(2.0));
    }
    let x = vm.to_f64(value)?;
    if x <= 0.0 {
        return Err(domain(vm));
    }
    Ok(f(x))
}

fn log(vm: &Vm, args: Args) -> PyResult {
    let x = log_of(vm, &args[0], f64::ln)?;
    match args.opt(1) {
        None => Ok(vm.float(x)),
        Some(base) => {
            let b = log_of(vm, base, f64::ln)?;
            if b == 0.0 {
                return Err(vm.raise(&vm.exc.zero_division_error, "float division by zero"));
            }
            Ok(vm.float(x / b))
        }
    }
}

fn integer(vm: &Vm, value: &Value) -> PyResult<BigInt> {
    let n = vm.index_value(value)?;
    Ok(vm.big_int(&n).unwrap_or_default())
}

fn factorial(vm: &Vm, args: Args) -> PyResult {
    let n = integer(vm, &args[0])?;
    if n.is_negative() {
        return Err(vm.value_error("factorial() not defined for negative values"));
    }
    let Some(n) = n.to_u64().filter(|n| *n < 1 << 31) else {
        return Err(vm.overflow_error("factorial() argument should not exceed 2147483647"));
    };
    fn product(vm: &Vm, low: u64, high: u64) -> PyResult<BigInt> {
        if high - low < 16 {
            return Ok((low..=high).fold(BigInt::one(), |p, k| p * k));
        }
        vm.tick()?;
        let middle = (low + high) / 2;
        Ok(product(vm, low, middle)? * product(vm, middle + 1, high)?)
    }
    vm.check_memory(n * 8)?;
    Ok(vm.big(if n < 2 { BigInt::one() } else { product(vm, 2, n)? }))
}

fn comb(vm: &Vm, args: Args) -> PyResult {
    let (n, k) = (integer(vm, &args[0])?, integer(vm, &args[1])?);
    if n.is_negative() || k.is_negative() {
        return Err(vm.value_error(format!(
            "{} must be a non-negative integer",
            if n.is_negative() { "n" } else { "k" }
        )));
    }
    if k > n {
        return Ok(Value::from_i32(0));
    }
    let k = k.clone().min(&n - &k);
    let k = k.to_u64().ok_or_else(|| vm.overflow_error("min(n - k, k) must not exceed 2**63"))?;
    let mut result = BigInt::one();
    for i in 0..k {
        result = result * (&n - i) / (i + 1);
        vm.tick()?;
    }
    Ok(vm.big(result))
}

fn perm(vm: &Vm, args: Args) -> PyResult {
    let n = integer(vm, &args[0])?;
    let Some(k) = args.opt(1).filter(|k| !k.is_none()) else { return factorial(vm, args) };
    let k = integer(vm, k)?;
    if n.is_negative() || k.is_negative() {
        return Err(vm.value_error(format!(
            "{} must be a non-negative integer",
            if n.is_negative() { "n" } else { "k" }
        )));
    }
    if k > n {
        return Ok(Value::from_i32(0));
    }
    let mut result = BigInt::one();
    for i in 0..k.to_u64().unwrap_or(u64::MAX) {
        result *= &n - i;
        vm.tick()?;
    }
    Ok(vm.big(result))
}

fn rounded(vm: &Vm, args: Args, name: &str, f: fn(f64) -> f64) -> PyResult {
    let name = vm.intern(name);
    if args[0].get::<f64>().is_none()
        && let Some(result) = vm.call_special(&args[0], &name, &[])?
    {
        return Ok(result);
    }
    let x = vm.to_f64(&args[0])?;
    vm.call_method_str(&vm.float(f(x)), "__int__", &[])
}

/// Exactly rounded sum (Shewchuk's partial sums).
fn fsum(vm: &Vm, args: Args) -> PyResult {
    let mut partials: Vec<f64> = Vec::new();
    let iterator = vm.iter(&args[0])?;
    let (mut special, mut infinite, mut any_special) = (0.0, 0.0, false);
    while let Some(item) = vm.next(&iterator)? {
        let mut x = vm.to_f64(&item)?;
        if !x.is_finite() {
            special += x;
            if x.is_infinite() {
                infinite += x;
            }
            any_special = true;
            continue;
        }
        let mut kept = 0;
        for at in 0..partials.len() {
            let mut y = partials[at];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        partials.truncate(kept);
        partials.push(x);
        if x.is_infinite() {
            return Err(vm.overflow_error("intermediate overflow in fsum"));
        }
    }
    if any_special {
        return if f64::is_nan(infinite) {
            Err(vm.value_error("-inf + inf in fsum"))
        } else {
            Ok(vm.float(special))
        };
    }
    let mut sum = partials.pop().unwrap_or(0.0);
    while let Some(y) = partials.pop() {
        let x = sum;
        sum = x + y;
        let low = y - (sum - x);
        if low != 0.0 {
            // Half-way cases round to even together with what is left below.
            if let Some(next) = partials.last()
                && (low < 0.0) == (*next < 0.0)
            {
                let double = low * 2.0;
                let candidate = sum + double;
                if double == candidate - sum {
                    sum = candidate;
                }
            }
            break;
        }
    }
    Ok(vm.float(sum))
}

fn hypot(vm: &Vm, args: Args) -> PyResult {
    let mut values = Vec::new();
    for value in args.all {
        values.push(vm.to_f64(value)?.abs());
    }
    Ok(vm.float(norm(&values)))
}

fn norm(values: &[f64]) -> f64 {
    if values.iter().any(|v| v.is_infinite()) {
        return f64::INFINITY;
    }
    if values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let max = values.iter().copied().fold(0.0, f64::max);
    if max == 0.0 || values.len() < 2 {
        return max;
    }
    if max < f64::MIN_POSITIVE {
        // Subnormal numbers have no exponent to scale by.
        let larger: Vec<f64> = values.iter().map(|v| v / f64::MIN_POSITIVE).collect();
        return f64::MIN_POSITIVE * norm(&larger);
    }
    // Squares of numbers below 1 are summed in double length from 1 up, so that no bit is lost until the end, and a
    // step of Newton's method corrects the root.
    let exponent = libm::ilogb(max) + 1;
    let scaled = |v: f64| libm::ldexp(v, -exponent);
    let (mut sum, mut low, mut lower) = (1.0, 0.0, 0.0);
    let mut add = |a: f64, b: f64| {
        let high = a * b;
        let rest = a.mul_add(b, -high);
        let next = sum + high;
        lower += high - (next - sum);
        low += rest;
        sum = next;
        sum - 1.0 + (low + lower)
    };
    let mut total = 0.0;
    for v in values {
        total = add(scaled(*v), scaled(*v));
    }
    let root = total.sqrt();
    let rest = add(-root, root);
    libm::ldexp(root + rest / (2.0 * root), exponent)
}

fn isclose(vm: &Vm, args: Args) -> PyResult {
    let (a, b) = (vm.to_f64(&args[0])?, vm.to_f64(&args[1])?);
    let relative = args.opt(2).map_or(Ok(1e-9), |v| vm.to_f64(v))?;
    let absolute = args.opt(3).map_or(Ok(0.0), |v| vm.to_f64(v))?;
    if relative < 0.0 || absolute < 0.0 {
        return Err(vm.value_error("tolerances must be non-negative"));
    }
    let close = a == b
        || a.is_finite() && b.is_finite() && (a - b).abs() <= (relative * a.abs().max(b.abs())).max(absolute);
    Ok(Value::from_bool(close))
}

fn gamma(vm: &Vm, args: Args) -> PyResult {
    let x = vm.to_f64(&args[0])?;
    if x == f64::NEG_INFINITY || x <= 0.0 && x.fract() == 0.0 {
        return Err(domain(vm));
    }
    if x.fract() == 0.0 && x <= 23.0 {
        return Ok(vm.float((1..x as u64).fold(1.0, |p, k| p * k as f64)));
    }
    if x > 171.7 && x.is_finite() {
        return Err(vm.overflow_error("math range error"));
    }
    Ok(vm.float(libm::tgamma(x)))
}

fn two(vm: &Vm, args: Args) -> PyResult<(f64, f64)> {
    Ok((vm.to_f64(&args[0])?, vm.to_f64(&args[1])?))
}

/// That many floats from `x` towards `y`.
fn next_after(x: f64, y: f64, steps: u64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    if x == y {
        return y;
    }
    if steps == 0 {
        return x;
    }
    // Floats in order are numbers in order, when those below zero count downwards.
    let place = |f: f64| -> i128 {
        let bits = i128::from(f.abs().to_bits());
        if f.is_sign_negative() { -bits } else { bits }
    };
    let (from, to) = (place(x), place(y));
    let steps = i128::from(steps);
    let at = if to > from { (from + steps).min(to) } else { (from - steps).max(to) };
    if at == to {
        return y;
    }
    let f = f64::from_bits(at.unsigned_abs() as u64);
    if at < 0 || at == 0 && x.is_sign_negative() { -f } else { f }
}

fn fma(vm: &Vm, args: Args) -> PyResult {
    let (x, y, z) = (vm.to_f64(&args[0])?, vm.to_f64(&args[1])?, vm.to_f64(&args[2])?);
    let result = x.mul_add(y, z);
    if result.is_finite() {
        return Ok(vm.float(result));
    }
    if result.is_nan() {
        if !x.is_nan() && !y.is_nan() && !z.is_nan() {
            return Err(vm.value_error("invalid operation in fma"));
        }
    } else if x.is_finite() && y.is_finite() && z.is_finite() {
        return Err(vm.overflow_error("overflow in fma"));
    }
    Ok(vm.float(result))
}

fn prod(vm: &Vm, args: Args) -> PyResult {
    let mut total = args.opt(1).cloned().unwrap_or(Value::from_i32(1));
    let iterator = vm.iter(&args[0])?;
    while let Some(item) = vm.next(&iterator)? {
        total = vm.binary(pyc_ir::BinaryOp::Mul, &total, &item)?;
    }
    Ok(total)
}

fn fold_integers(vm: &Vm, args: Args, start: i32, f: fn(&BigInt, &BigInt) -> BigInt) -> PyResult {
    let mut result = BigInt::from(start);
    for (at, value) in args.all.iter().enumerate() {
        let n = integer(vm, value)?;
        result = if at == 0 { n.abs() } else { f(&result, &n) };
    }
    Ok(vm.big(result))
}

macro_rules! plain {
    ($($name:literal $f:expr, $overflow:literal);* $(;)?) => { &[$(($name, "x /", |vm, args| one(vm, args, $f, $overflow))),*] };
}
const PLAIN: &[Method] = plain! {
    "sin" f64::sin, false; "cos" f64::cos, false; "tan" f64::tan, false; "asin" f64::asin, false; "acos" f64::acos, false;
    "atan" f64::atan, false; "sinh" f64::sinh, true; "cosh" f64::cosh, true; "tanh" f64::tanh, false; "asinh" libm::asinh, false;
    "acosh" libm::acosh, false; "atanh" libm::atanh, false; "exp" f64::exp, true; "exp2" f64::exp2, true; "expm1" f64::exp_m1, true;
    "log1p" f64::ln_1p, false; "sqrt" f64::sqrt, false; "cbrt" f64::cbrt, false; "fabs" f64::abs, false;
    "degrees" f64::to_degrees, true; "radians" f64::to_radians, false; "erf" libm::erf, false; "erfc" libm::erfc, false;
};

const FUNCTIONS: &[Method] = &[
    ("log", "x base? /", log),
    ("log2", "x /", |vm, args| Ok(vm.float(log_of(vm, &args[0], f64::log2)?))),
    ("log10", "x /", |vm, args| Ok(vm.float(log_of(vm, &args[0], f64::log10)?))),
    ("pow", "x y /", |vm, args| {
        let (x, y) = two(vm, args)?;
        let r = x.powf(y);
        if r.is_nan() && !x.is_nan() && !y.is_nan() || x == 0.0 && y < 0.0 && y.is_finite() {
            return Err(domain(vm));
        }
        if r.is_infinite() && x.is_finite() && y.is_finite() {
            return Err(vm.overflow_error("math range error"));
        }
        Ok(vm.float(r))
    }),
    ("atan2", "y x /", |vm, args| two(vm, args).map(|(y, x)| vm.float(y.atan2(x)))),
    ("copysign", "x y /", |vm, args| two(vm, args).map(|(x, y)| vm.float(x.copysign(y)))),
    ("fmod", "x y /", |vm, args| {
        let (x, y) = two(vm, args)?;
        if y == 0.0 && !x.is_nan() || x.is_infinite() && !y.is_nan() {
            return Err(domain(vm));
        }
        Ok(vm.float(x % y))
    }),
    ("remainder", "x y /", |vm, args| {
        let (x, y) = two(vm, args)?;
        if y == 0.0 && !x.is_nan() || x.is_infinite() && !y.is_nan() {
            return Err(domain(vm));
        }
        if y.is_infinite() {
            return Ok(vm.float(x));
        }
        let (a, b) = (x.abs(), y.abs());
        let m = a % b;
        let c = b - m;
        let r = if m < c {
            m
        } else if m > c {
            -c
        } else {
            m - 2.0 * ((0.5 * (a - m)) % b)
        };
        Ok(vm.float(r * 1f64.copysign(x)))
    }),
    ("ldexp", "x i /", |vm, args| {
        let (x, i) = (vm.to_f64(&args[0])?, vm.index_clamped(&args[1])?.clamp(-5000, 5000) as i32);
        let mut r = x;
        let mut left = i;
        while left != 0 && r != 0.0 && r.is_finite() {
            let step = left.clamp(-500, 500);
            r *= 2f64.powi(step);
            left -= step;
        }
        if r.is_infinite() && x.is_finite() {
            return Err(vm.overflow_error("math range error"));
        }
        Ok(vm.float(r))
    }),
    ("frexp", "x /", |vm, args| {
        let x = vm.to_f64(&args[0])?;
        let (m, e) = if x == 0.0 || !x.is_finite() {
            (x, 0)
        } else {
            let scaled = if x.abs() < f64::MIN_POSITIVE { x * 2f64.powi(54) } else { x };
            let e = ((scaled.to_bits() >> 52 & 0x7ff) as i32) - 1022;
            (
                f64::from_bits(scaled.to_bits() & !(0x7ff << 52) | 1022 << 52),
                if scaled == x { e } else { e - 54 },
            )
        };
        Ok(vm.tuple(vec![vm.float(m), Value::from_i32(e)]))
    }),
    ("modf", "x /", |vm, args| {
        let x = vm.to_f64(&args[0])?;
        let whole = x.trunc();
        let part = if x.is_infinite() { 0f64.copysign(x) } else { (x - whole).copysign(x) };
        Ok(vm.tuple(vec![vm.float(part), vm.float(whole)]))
    }),
    ("floor", "x /", |vm, args| rounded(vm, args, "__floor__", f64::floor)),
    ("ceil", "x /", |vm, args| rounded(vm, args, "__ceil__", f64::ceil)),
    ("trunc", "x /", |vm, args| match vm.call_special(&args[0], &vm.names.__trunc__, &[])? {
        Some(result) => Ok(result),
        None => {
            Err(vm.type_error(format!("type {} doesn't define __trunc__ method", vm.type_name(&args[0]))))
        }
    }),
    ("isnan", "x /", |vm, args| Ok(Value::from_bool(vm.to_f64(&args[0])?.is_nan()))),
    ("isinf", "x /", |vm, args| Ok(Value::from_bool(vm.to_f64(&args[0])?.is_infinite()))),
    ("isfinite", "x /", |vm, args| Ok(Value::from_bool(vm.to_f64(&args[0])?.is_finite()))),
    ("isclose", "a b * rel_tol? abs_tol?", isclose),
    ("gcd", "...", |vm, args| fold_integers(vm, args, 0, |a, b| a.gcd(b))),
    ("lcm", "...", |vm, args| {
        fold_integers(vm, args, 1, |a, b| if a.is_zero() || b.is_zero() { BigInt::zero() } else { a.lcm(b) })
    }),
    ("factorial", "n /", factorial),
    ("comb", "n k /", comb),
    ("perm", "n k? /", perm),
    ("isqrt", "n /", |vm, args| {
        let n = integer(vm, &args[0])?;
        if n.is_negative() {
            return Err(vm.value_error("isqrt() argument must be nonnegative"));
        }
        Ok(vm.big(n.sqrt()))
    }),
    ("fsum", "seq /", fsum),
    ("prod", "iterable / * start?", prod),
    ("sumprod", "p q /", |vm, args| {
        let (p, q) = (vm.to_vec(&args[0])?, vm.to_vec(&args[1])?);
        if p.len() != q.len() {
            return Err(vm.value_error("Inputs are not the same length"));
        }
        let mut total = Value::from_i32(0);
        for (a, b) in p.iter().zip(&q) {
            let product = vm.binary(pyc_ir::BinaryOp::Mul, a, b)?;
            total = vm.binary(pyc_ir::BinaryOp::Add, &total, &product)?;
        }
        Ok(total)
    }),
    ("hypot", "...", hypot),
    ("dist", "p q /", |vm, args| {
        let (p, q) = (vm.to_vec(&args[0])?, vm.to_vec(&args[1])?);
        if p.len() != q.len() {
            return Err(vm.value_error("both points must have the same number of dimensions"));
        }
        let mut values = Vec::new();
        for (a, b) in p.iter().zip(&q) {
            values.push((vm.to_f64(a)? - vm.to_f64(b)?).abs());
        }
        Ok(vm.float(norm(&values)))
    }),
    ("fma", "x y z /", fma),
    ("gamma", "x /", gamma),
    ("lgamma", "x /", |vm, args| {
        let x = vm.to_f64(&args[0])?;
        if x <= 0.0 && x.fract() == 0.0 && x.is_finite() {
            return Err(domain(vm));
        }
        Ok(vm.float(if x.is_infinite() {
            f64::INFINITY
        } else if x == 1.0 || x == 2.0 {
            0.0
        } else {
            libm::lgamma(x)
        }))
    }),
    ("nextafter", "x y / * steps?", |vm, args| {
        let (x, y) = two(vm, args)?;
        let steps = match args.opt(2).filter(|s| !s.is_none()) {
            None => 1,
            Some(s) => match vm.index_clamped(s)? {
                n if n < 0 => return Err(vm.value_error("steps must be a non-negative integer")),
                n => n as u64,
            },
        };
        Ok(vm.float(next_after(x, y, steps)))
    }),
    ("ulp", "x /", |vm, args| {
        let x = vm.to_f64(&args[0])?.abs();
        Ok(vm.float(if !x.is_finite() {
            x
        } else if x == f64::MAX {
            x - next_after(x, 0.0, 1)
        } else {
            next_after(x, f64::INFINITY, 1) - x
        }))
    }),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("math", FUNCTIONS);
    let owner = vm.intern("math");
    for (name, params, function) in PLAIN {
        vm.module_set(&module, name, vm.native_function(&owner, name, params, *function));
    }
    for (name, value) in [
        ("pi", std::f64::consts::PI),
        ("e", std::f64::consts::E),
        ("tau", std::f64::consts::TAU),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ] {
        vm.module_set(&module, name, vm.float(value));
    }
    Ok(module)
}
