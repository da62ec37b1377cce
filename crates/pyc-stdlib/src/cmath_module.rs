//! `cmath`: functions of complex numbers.

use num_complex::Complex64;
use pyc_runtime::numbers::ComplexData;
use pyc_runtime::{Args, Method, PyResult, Value, Vm};

fn argument(vm: &Vm, value: &Value) -> PyResult<Complex64> {
    if let Some(c) = value.get::<ComplexData>() {
        return Ok(Complex64::new(c.re, c.im));
    }
    let name = vm.intern("__complex__");
    if let Some(made) = vm.call_special(value, &name, &[])?
        && let Some(c) = made.get::<ComplexData>()
    {
        return Ok(Complex64::new(c.re, c.im));
    }
    Ok(Complex64::new(vm.to_f64(value)?, 0.0))
}

fn apply(vm: &Vm, args: Args, f: fn(Complex64) -> Complex64) -> PyResult {
    let z = argument(vm, &args[0])?;
    let r = f(z);
    let finite = z.re.is_finite() && z.im.is_finite();
    if finite && (r.re.is_nan() || r.im.is_nan()) {
        return Err(vm.value_error("math domain error"));
    }
    if finite && (r.re.is_infinite() || r.im.is_infinite()) {
        return Err(vm.overflow_error("math range error"));
    }
    Ok(vm.complex(r.re, r.im))
}

fn logarithm(vm: &Vm, args: Args) -> PyResult {
    let z = argument(vm, &args[0])?;
    if z == Complex64::ZERO {
        return Err(vm.value_error("math domain error"));
    }
    let r = match args.opt(1) {
        Some(base) => {
            let base = argument(vm, base)?;
            if base == Complex64::ONE || base == Complex64::ZERO {
                return Err(vm.raise(&vm.exc.zero_division_error, "complex division by zero"));
            }
            z.ln() / base.ln()
        }
        None => z.ln(),
    };
    Ok(vm.complex(r.re, r.im))
}

fn is_close(vm: &Vm, args: Args) -> PyResult {
    let (a, b) = (argument(vm, &args[0])?, argument(vm, &args[1])?);
    let relative = args.opt(2).map_or(Ok(1e-9), |v| vm.to_f64(v))?;
    let absolute = args.opt(3).map_or(Ok(0.0), |v| vm.to_f64(v))?;
    if relative < 0.0 || absolute < 0.0 {
        return Err(vm.value_error("tolerances must be non-negative"));
    }
    if a == b {
        return Ok(Value::TRUE);
    }
    if [a.re, a.im, b.re, b.im].iter().any(|f| f.is_infinite()) {
        return Ok(Value::FALSE);
    }
    let d = (a - b).norm();
    Ok(Value::from_bool(d <= relative * a.norm().max(b.norm()) || d <= absolute))
}

const FUNCTIONS: &[Method] = &[
    ("sqrt", "z /", |vm, a| apply(vm, a, |z| z.sqrt())),
    ("exp", "z /", |vm, a| apply(vm, a, |z| z.exp())),
    ("log", "z base? /", logarithm),
    ("log10", "z /", |vm, a| apply(vm, a, |z| z.log10())),
    ("sin", "z /", |vm, a| apply(vm, a, |z| z.sin())),
    ("cos", "z /", |vm, a| apply(vm, a, |z| z.cos())),
    ("tan", "z /", |vm, a| apply(vm, a, |z| z.tan())),
    ("asin", "z /", |vm, a| apply(vm, a, |z| z.asin())),
    ("acos", "z /", |vm, a| apply(vm, a, |z| z.acos())),
    ("atan", "z /", |vm, a| apply(vm, a, |z| z.atan())),
    ("sinh", "z /", |vm, a| apply(vm, a, |z| z.sinh())),
    ("cosh", "z /", |vm, a| apply(vm, a, |z| z.cosh())),
    ("tanh", "z /", |vm, a| apply(vm, a, |z| z.tanh())),
    ("asinh", "z /", |vm, a| apply(vm, a, |z| z.asinh())),
    ("acosh", "z /", |vm, a| apply(vm, a, |z| z.acosh())),
    ("atanh", "z /", |vm, a| apply(vm, a, |z| z.atanh())),
    ("phase", "z /", |vm, args| Ok(vm.float(argument(vm, &args[0])?.arg()))),
    ("polar", "z /", |vm, args| {
        let (r, phi) = argument(vm, &args[0])?.to_polar();
        Ok(vm.tuple(vec![vm.float(r), vm.float(phi)]))
    }),
    ("rect", "r phi /", |vm, args| {
        let z = Complex64::from_polar(vm.to_f64(&args[0])?, vm.to_f64(&args[1])?);
        Ok(vm.complex(z.re, z.im))
    }),
    ("isfinite", "z /", |vm, args| Ok(Value::from_bool(argument(vm, &args[0])?.is_finite()))),
    ("isinf", "z /", |vm, args| Ok(Value::from_bool(argument(vm, &args[0])?.is_infinite()))),
    ("isnan", "z /", |vm, args| Ok(Value::from_bool(argument(vm, &args[0])?.is_nan()))),
    ("isclose", "a b * rel_tol? abs_tol?", is_close),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("cmath", FUNCTIONS);
    for (name, value) in [
        ("pi", std::f64::consts::PI),
        ("e", std::f64::consts::E),
        ("tau", std::f64::consts::TAU),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ] {
        vm.module_set(&module, name, vm.float(value));
    }
    vm.module_set(&module, "infj", vm.complex(0.0, f64::INFINITY));
    vm.module_set(&module, "nanj", vm.complex(0.0, f64::NAN));
    Ok(module)
}
