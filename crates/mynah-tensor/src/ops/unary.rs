//! Elementwise functions of one tensor.

use mynah_kernels::float::Float;

use crate::autograd::{Saved, record, wants_grad};
use crate::dtype::DType;
use crate::error::{Result, expect_dtype};
use crate::kernels::{Real, dispatch_real, map, map2, via_f32};
use crate::memory::Recycled;
use crate::tensor::Tensor;

/// The functions, with the numbers they take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unary {
    Neg,
    Exp,
    Log,
    Sqrt,
    Rsqrt,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Relu,
    ReluSquare,
    Silu,
    Gelu,
    Square,
    Abs,
    Pow(f64),
    AddScalar(f64),
    MulScalar(f64),
    Clamp(f64, f64),
}

/// What the gradient is computed from.
#[derive(PartialEq)]
enum Keeps {
    Nothing,
    Input,
    Output,
}

impl Unary {
    fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Sqrt => "sqrt",
            Unary::Rsqrt => "rsqrt",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Relu => "relu",
            Unary::ReluSquare => "relu_square",
            Unary::Silu => "silu",
            Unary::Gelu => "gelu",
            Unary::Square => "square",
            Unary::Abs => "abs",
            Unary::Pow(_) => "pow",
            Unary::AddScalar(_) => "add_scalar",
            Unary::MulScalar(_) => "mul_scalar",
            Unary::Clamp(..) => "clamp",
        }
    }

    fn keeps(self) -> Keeps {
        match self {
            Unary::Neg | Unary::AddScalar(_) | Unary::MulScalar(_) => Keeps::Nothing,
            Unary::Exp | Unary::Sqrt | Unary::Rsqrt | Unary::Tanh | Unary::Sigmoid | Unary::Relu => {
                Keeps::Output
            }
            _ => Keeps::Input,
        }
    }

    fn forward<T: Real>(self, x: &[T], y: &mut [T]) {
        let (zero, one) = (<T as Float>::ZERO, <T as Float>::ONE);
        let number = <T as Float>::from_f64;
        match self {
            Unary::Exp => <T as Real>::exp(x, y),
            Unary::Log => T::log(x, y),
            Unary::Tanh => <T as Real>::tanh(x, y),
            Unary::Sigmoid => T::sigmoid(x, y),
            Unary::Silu => T::silu(x, y),
            Unary::Gelu => T::gelu(x, y),
            Unary::ReluSquare => T::relu_square_forward(x, y),
            Unary::Neg => map(x, y, |x| -x),
            Unary::Sqrt => map(x, y, Float::sqrt),
            Unary::Rsqrt => map(x, y, |x: T| one / Float::sqrt(x)),
            Unary::Sin => map(x, y, Float::sin),
            Unary::Cos => map(x, y, Float::cos),
            // NaN stays NaN in these comparisons.
            Unary::Relu => map(x, y, |x| if x < zero { zero } else { x }),
            Unary::Square => map(x, y, |x| x * x),
            Unary::Abs => map(x, y, Float::abs),
            Unary::Pow(p) => map(x, y, |x: T| Float::powf(x, number(p))),
            Unary::AddScalar(c) => map(x, y, |x| x + number(c)),
            Unary::MulScalar(c) => map(x, y, |x| x * number(c)),
            Unary::Clamp(low, high) => {
                let (low, high) = (number(low), number(high));
                map(x, y, |x| {
                    if x < low {
                        low
                    } else if x > high {
                        high
                    } else {
                        x
                    }
                });
            }
        }
    }

    /// dx from dy and what was kept (nothing: `kept` is dy).
    fn backward<T: Real>(self, kept: &[T], dy: &[T], dx: &mut [T]) {
        let zero = <T as Float>::ZERO;
        let number = <T as Float>::from_f64;
        match self {
            Unary::Neg => map(dy, dx, |dy| -dy),
            Unary::AddScalar(_) => map(dy, dx, |dy| dy),
            Unary::MulScalar(c) => map(dy, dx, |dy| dy * number(c)),
            Unary::Exp => map2(kept, dy, dx, |y, dy| dy * y),
            Unary::Sqrt => map2(kept, dy, dx, |y, dy| dy / (y + y)),
            Unary::Rsqrt => map2(kept, dy, dx, |y, dy| number(-0.5) * dy * y * y * y),
            Unary::Tanh => T::tanh_backward(kept, dy, dx),
            Unary::Sigmoid => T::sigmoid_backward(kept, dy, dx),
            Unary::Relu => map2(kept, dy, dx, |y, dy| if y > zero { dy } else { zero }),
            Unary::ReluSquare => T::relu_square_backward(kept, dy, dx),
            Unary::Silu => T::silu_backward(kept, dy, dx),
            Unary::Gelu => T::gelu_backward(kept, dy, dx),
            Unary::Log => map2(kept, dy, dx, |x, dy| dy / x),
            Unary::Sin => map2(kept, dy, dx, |x: T, dy| dy * Float::cos(x)),
            Unary::Cos => map2(kept, dy, dx, |x: T, dy| -dy * Float::sin(x)),
            Unary::Square => map2(kept, dy, dx, |x, dy| dy * (x + x)),
            Unary::Abs => map2(kept, dy, dx, |x, dy| {
                let positive = if x > zero { dy } else { zero };
                if x < zero { -dy } else { positive }
            }),
            Unary::Pow(0.0) => dx.fill(zero),
            Unary::Pow(p) => {
                map2(kept, dy, dx, |x: T, dy| dy * number(p) * Float::powf(x, number(p - 1.0)));
            }
            Unary::Clamp(low, high) => {
                let (low, high) = (number(low), number(high));
                map2(kept, dy, dx, |x, dy| {
                    let dy = if x < low { zero } else { dy };
                    if x > high { zero } else { dy }
                });
            }
        }
    }

    /// The functions that make sense for integers, wrapping at 2^63.
    fn forward_integer(self) -> Option<fn(i64, f64) -> i64> {
        match self {
            Unary::Neg => Some(|x, _| x.wrapping_neg()),
            Unary::Abs => Some(|x, _| x.wrapping_abs()),
            Unary::Relu => Some(|x, _| x.max(0)),
            Unary::Square => Some(|x, _| x.wrapping_mul(x)),
            Unary::AddScalar(c) if c.fract() == 0.0 => Some(|x, c| x.wrapping_add(c as i64)),
            Unary::MulScalar(c) if c.fract() == 0.0 => Some(|x, c| x.wrapping_mul(c as i64)),
            _ => None,
        }
    }
}

pub(crate) fn apply(op: Unary, x: &Tensor) -> Result<Tensor> {
    let name = op.name();
    if x.dtype().is_half() {
        return via_f32(&[x], |x| apply(op, x[0]));
    }
    let x = x.contiguous()?;
    if x.dtype() == DType::I64
        && let Some(f) = op.forward_integer()
    {
        let number = if let Unary::AddScalar(c) | Unary::MulScalar(c) = op { c } else { 0.0 };
        let mut buffer = Recycled::<i64>::unfilled(name, x.len())?;
        x.with_slice(|x: &[i64]| map(x, &mut buffer, |x| f(x, number)))?;
        return Tensor::from_buffer(name, buffer, x.shape());
    }
    dispatch_real!(name, x, T => {
        let mut buffer = Recycled::<T>::unfilled(name, x.len())?;
        x.with_slice(|x: &[T]| op.forward(x, &mut buffer))?;
        let output = Tensor::from_buffer(name, buffer, x.shape())?;
        if !wants_grad(&[&x]) {
            return Ok(output);
        }
        let kept = match op.keeps() {
            Keeps::Nothing => None,
            Keeps::Input => Some(Saved::new(&x)),
            Keeps::Output => Some(Saved::new(&output)),
        };
        Ok(record(output, name, &[&x], move |grad, sink| {
            let grad = grad.contiguous()?;
            let kept = match &kept {
                Some(kept) => kept.get(name)?.clone(),
                None => grad.clone(),
            };
            let mut buffer = Recycled::<T>::unfilled(name, grad.len())?;
            grad.with_slice(|dy: &[T]| kept.with_slice(|kept: &[T]| op.backward(kept, dy, &mut buffer)))??;
            sink.add(0, Tensor::from_buffer(name, buffer, grad.shape())?)
        }))
    })
}

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $name:ident => $op:ident;)*) => {
        impl Tensor {
            $($(#[$doc])*
            ///
            /// # Errors
            /// When the element type does not fit or memory is short.
            pub fn $name(&self) -> Result<Tensor> {
                apply(Unary::$op, self)
            })*
        }
    };
}

unary_methods! {
    /// −x.
    neg => Neg;
    /// eˣ.
    exp => Exp;
    /// Natural logarithm.
    log => Log;
    /// Square root.
    sqrt => Sqrt;
    /// 1/√x.
    rsqrt => Rsqrt;
    /// Sine.
    sin => Sin;
    /// Cosine.
    cos => Cos;
    /// Hyperbolic tangent.
    tanh => Tanh;
    /// 1/(1 + e⁻ˣ).
    sigmoid => Sigmoid;
    /// max(x, 0); the gradient at 0 is 0.
    relu => Relu;
    /// x·sigmoid(x) (Elfwing et al. 2017).
    silu => Silu;
    /// The tanh form of GELU (Hendrycks and Gimpel 2016).
    gelu => Gelu;
    /// x².
    square => Square;
    /// |x|; the gradient at 0 is 0.
    abs => Abs;
}

impl Tensor {
    /// x to the power of a number.
    ///
    /// # Errors
    /// When the element type does not fit or memory is short.
    pub fn pow(&self, exponent: f64) -> Result<Tensor> {
        apply(Unary::Pow(exponent), self)
    }

    /// x + c.
    ///
    /// # Errors
    /// When the element type does not fit or memory is short.
    pub fn add_scalar(&self, c: f64) -> Result<Tensor> {
        apply(Unary::AddScalar(c), self)
    }

    /// x − c.
    ///
    /// # Errors
    /// When the element type does not fit or memory is short.
    pub fn sub_scalar(&self, c: f64) -> Result<Tensor> {
        apply(Unary::AddScalar(-c), self)
    }

    /// x·c.
    ///
    /// # Errors
    /// When the element type does not fit or memory is short.
    pub fn mul_scalar(&self, c: f64) -> Result<Tensor> {
        apply(Unary::MulScalar(c), self)
    }

    /// x/c.
    ///
    /// # Errors
    /// When the element type does not fit or memory is short.
    pub fn div_scalar(&self, c: f64) -> Result<Tensor> {
        expect_dtype("div_scalar", self, &DType::FLOATS)?;
        apply(Unary::MulScalar(1.0 / c), self)
    }

    /// x limited to low ≤ x ≤ high.
    ///
    /// # Errors
    /// When the element type does not fit or memory is short.
    pub fn clamp(&self, low: f64, high: f64) -> Result<Tensor> {
        apply(Unary::Clamp(low, high), self)
    }
}
