//! Rows of the elementwise operations and comparisons.

use super::samples::{ANY, NUMBERS, one_positive, one_tensor, two_positive, two_tensors};
use super::{Args, Array, BASE, Group, Kind, Op, Value};
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;

type Call = fn(&Args<'_>) -> Result<Tensor>;
type Reference = fn(&Args<'_>) -> Result<Array>;

const PAIR: &[(&str, Kind)] = &[("a", Kind::Tensor), ("b", Kind::Tensor)];
const WITH_NUMBER: &[(&str, Kind)] = &[("x", Kind::Tensor), ("c", Kind::Float)];

const fn unary(name: &'static str, doc: &'static str, call: Call, reference: Reference) -> Op {
    Op { name, doc, call, reference, ..BASE }
}

const fn positive(name: &'static str, doc: &'static str, call: Call, reference: Reference) -> Op {
    Op { samples: one_positive, ..unary(name, doc, call, reference) }
}

const fn integer_too(op: Op) -> Op {
    Op { dtypes: NUMBERS, ..op }
}

const fn binary(name: &'static str, doc: &'static str, call: Call, reference: Reference) -> Op {
    Op {
        name,
        doc,
        call,
        reference,
        arguments: PAIR,
        shapes: "(…), (…) → broadcast",
        dtypes: NUMBERS,
        samples: two_tensors,
        ..BASE
    }
}

const fn positive_pair(op: Op) -> Op {
    Op { dtypes: &DType::FLOATS, samples: two_positive, ..op }
}

const fn with_number(name: &'static str, doc: &'static str, call: Call, reference: Reference) -> Op {
    Op {
        name,
        doc,
        call,
        reference,
        arguments: WITH_NUMBER,
        samples: |s| {
            one_tensor(s)
                .into_iter()
                .map(|mut args| {
                    args.push(Value::Float(3.0));
                    args
                })
                .collect()
        },
        ..BASE
    }
}

const fn comparison(name: &'static str, doc: &'static str, call: Call, reference: Reference) -> Op {
    Op { group: Group::Comparison, dtypes: ANY, differentiable: false, ..binary(name, doc, call, reference) }
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

pub(super) const OPS: &[Op] = &[
    integer_too(unary("neg", "−x", |a| a.tensor(0)?.neg(), |a| Ok(a.array(0)?.map(|x| -x)))),
    unary("exp", "eˣ", |a| a.tensor(0)?.exp(), |a| Ok(a.array(0)?.map(f64::exp))),
    positive("log", "ln x", |a| a.tensor(0)?.log(), |a| Ok(a.array(0)?.map(f64::ln))),
    positive("sqrt", "√x", |a| a.tensor(0)?.sqrt(), |a| Ok(a.array(0)?.map(f64::sqrt))),
    positive("rsqrt", "1/√x", |a| a.tensor(0)?.rsqrt(), |a| Ok(a.array(0)?.map(|x| 1.0 / x.sqrt()))),
    unary("sin", "sin x", |a| a.tensor(0)?.sin(), |a| Ok(a.array(0)?.map(f64::sin))),
    unary("cos", "cos x", |a| a.tensor(0)?.cos(), |a| Ok(a.array(0)?.map(f64::cos))),
    unary("tanh", "tanh x", |a| a.tensor(0)?.tanh(), |a| Ok(a.array(0)?.map(f64::tanh))),
    unary("sigmoid", "1/(1 + e⁻ˣ)", |a| a.tensor(0)?.sigmoid(), |a| Ok(a.array(0)?.map(sigmoid))),
    integer_too(unary("relu", "max(x, 0)", |a| a.tensor(0)?.relu(), |a| Ok(a.array(0)?.map(|x| x.max(0.0))))),
    unary(
        "silu",
        "x·sigmoid(x) (Elfwing et al. 2017)",
        |a| a.tensor(0)?.silu(),
        |a| Ok(a.array(0)?.map(|x| x * sigmoid(x))),
    ),
    unary(
        "gelu",
        "tanh form of GELU (Hendrycks and Gimpel 2016)",
        |a| a.tensor(0)?.gelu(),
        |a| Ok(a.array(0)?.map(gelu)),
    ),
    unary(
        "relu_square",
        "max(x, 0)² (So et al. 2021)",
        |a| crate::ops::relu_square(a.tensor(0)?),
        |a| Ok(a.array(0)?.map(|x| x.max(0.0).powi(2))),
    ),
    integer_too(unary("square", "x²", |a| a.tensor(0)?.square(), |a| Ok(a.array(0)?.map(|x| x * x)))),
    integer_too(unary("abs", "|x|", |a| a.tensor(0)?.abs(), |a| Ok(a.array(0)?.map(f64::abs)))),
    with_number(
        "pow",
        "xᶜ",
        |a| a.tensor(0)?.pow(a.float(1)?),
        |a| {
            let c = a.float(1)?;
            Ok(a.array(0)?.map(|x| x.powf(c)))
        },
    ),
    integer_too(with_number(
        "add_scalar",
        "x + c",
        |a| a.tensor(0)?.add_scalar(a.float(1)?),
        |a| {
            let c = a.float(1)?;
            Ok(a.array(0)?.map(|x| x + c))
        },
    )),
    integer_too(with_number(
        "sub_scalar",
        "x − c",
        |a| a.tensor(0)?.sub_scalar(a.float(1)?),
        |a| {
            let c = a.float(1)?;
            Ok(a.array(0)?.map(|x| x - c))
        },
    )),
    integer_too(with_number(
        "mul_scalar",
        "x·c",
        |a| a.tensor(0)?.mul_scalar(a.float(1)?),
        |a| {
            let c = a.float(1)?;
            Ok(a.array(0)?.map(|x| x * c))
        },
    )),
    with_number(
        "div_scalar",
        "x/c",
        |a| a.tensor(0)?.div_scalar(a.float(1)?),
        |a| {
            let c = a.float(1)?;
            Ok(a.array(0)?.map(|x| x / c))
        },
    ),
    Op {
        arguments: &[("x", Kind::Tensor), ("low", Kind::Float), ("high", Kind::Float)],
        samples: |s| {
            let limits = [Value::Float(-0.5), Value::Float(1.0)];
            one_tensor(s).into_iter().map(|args| [&args[..], &limits[..]].concat()).collect()
        },
        ..unary(
            "clamp",
            "x limited to low ≤ x ≤ high",
            |a| a.tensor(0)?.clamp(a.float(1)?, a.float(2)?),
            |a| {
                let (low, high) = (a.float(1)?, a.float(2)?);
                Ok(a.array(0)?.map(|x| x.clamp(low, high)))
            },
        )
    },
    binary(
        "add",
        "a + b",
        |a| a.tensor(0)?.add(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| x + y)),
    ),
    binary(
        "sub",
        "a − b",
        |a| a.tensor(0)?.sub(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| x - y)),
    ),
    binary(
        "mul",
        "a·b",
        |a| a.tensor(0)?.mul(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| x * y)),
    ),
    positive_pair(binary(
        "div",
        "a/b",
        |a| a.tensor(0)?.div(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| x / y)),
    )),
    binary(
        "maximum",
        "the greater of two; equal ones share the gradient",
        |a| a.tensor(0)?.maximum(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, f64::max)),
    ),
    binary(
        "minimum",
        "the smaller of two; equal ones share the gradient",
        |a| a.tensor(0)?.minimum(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, f64::min)),
    ),
    positive_pair(binary(
        "power",
        "a to the power b",
        |a| a.tensor(0)?.power(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, f64::powf)),
    )),
    comparison(
        "eq",
        "a = b",
        |a| a.tensor(0)?.eq(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| truth(x == y))),
    ),
    comparison(
        "ne",
        "a ≠ b",
        |a| a.tensor(0)?.ne(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| truth(x != y))),
    ),
    comparison(
        "lt",
        "a < b",
        |a| a.tensor(0)?.lt(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| truth(x < y))),
    ),
    comparison(
        "le",
        "a ≤ b",
        |a| a.tensor(0)?.le(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| truth(x <= y))),
    ),
    comparison(
        "gt",
        "a > b",
        |a| a.tensor(0)?.gt(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| truth(x > y))),
    ),
    comparison(
        "ge",
        "a ≥ b",
        |a| a.tensor(0)?.ge(a.tensor(1)?),
        |a| Ok(a.array(0)?.zip(&a.array(1)?, |x, y| truth(x >= y))),
    ),
    Op {
        name: "where_",
        group: Group::Comparison,
        arguments: &[("mask", Kind::Mask), ("a", Kind::Tensor), ("b", Kind::Tensor)],
        shapes: "(…) bool, (…), (…) → broadcast",
        doc: "a where the mask is true, else b",
        dtypes: ANY,
        call: |a| a.tensor(0)?.where_(a.tensor(1)?, a.tensor(2)?),
        reference: |a| {
            // Both choices at once: NaN marks the places where the other is taken.
            let (mask, x, y) = (a.array(0)?, a.array(1)?, a.array(2)?);
            let chosen = mask.zip(&x, |m, x| if m != 0.0 { x } else { f64::NAN });
            Ok(chosen.zip(&y, |x, y| if x.is_nan() { y } else { x }))
        },
        samples: |s| {
            let n = s.pick(3, 35, 256);
            vec![
                vec![s.mask(&[4, n]), s.normal(&[4, n]), s.normal(&[4, n])],
                vec![s.mask(&[n]), s.normal(&[4, n]), s.normal(&[])],
                vec![s.mask(&[4, 1]), s.normal(&[1]), s.normal(&[2, 1, n])],
            ]
        },
        ..BASE
    },
    Op {
        name: "logical_not",
        group: Group::Comparison,
        arguments: &[("mask", Kind::Mask)],
        shapes: "(…) bool → (…) bool",
        doc: "true and false exchanged",
        dtypes: &[DType::Bool],
        differentiable: false,
        call: |a| a.tensor(0)?.logical_not(),
        reference: |a| Ok(a.array(0)?.map(|m| 1.0 - m)),
        samples: |s| vec![vec![s.mask(&[3, 5])]],
        ..BASE
    },
    Op {
        name: "to_dtype",
        arguments: &[("x", Kind::Tensor), ("dtype", Kind::DType)],
        doc: "the values in another type",
        dtypes: ANY,
        differentiable: true,
        call: |a| a.tensor(0)?.to_dtype(a.dtype(1)?),
        reference: |a| {
            let dtype = a.dtype(1)?;
            Ok(a.array(0)?.map(|x| match dtype {
                DType::Bool => truth(x != 0.0),
                DType::I64 => x.trunc(),
                DType::U8 => x.trunc().clamp(0.0, 255.0),
                _ => x,
            }))
        },
        samples: |s| {
            let mut samples = Vec::new();
            for dtype in ["f64", "f32", "bf16", "f16", "i64", "u8", "bool"] {
                // Gradients are checked by small differences, which only doubles resolve.
                if s.pick(0, 1, 1) == 1 || dtype == "f64" {
                    let n = s.pick(3, 35, 2048);
                    samples.push(vec![s.normal(&[n, 3]), Value::Name(dtype)]);
                }
            }
            samples
        },
        ..BASE
    },
];
