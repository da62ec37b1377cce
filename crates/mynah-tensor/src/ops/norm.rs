//! Normalisation, rotary positions, and the activation.

use mynah_kernels::float::Float;
use mynah_kernels::nn::RopeNorm;

use crate::autograd::{Saved, record, wants_grad};
use crate::error::{Error, Result, expect_rank, expect_same_dtype, expect_shape};
use crate::kernels::{Real, dispatch_real, via_f32};
use crate::memory::Recycled;
use crate::ops::linear::{as_rows, rows_data};
use crate::ops::unary::{self, Unary};
use crate::tensor::Tensor;

/// max(x, 0)² (So et al. 2021, Primer).
///
/// # Errors
/// When the type has no fractions.
pub fn relu_square(x: &Tensor) -> Result<Tensor> {
    unary::apply(Unary::ReluSquare, x)
}

/// y = x / √(mean(x²) + eps) over the last dimension, without parameters (Zhang and Sennrich 2019).
/// PyTorch's default `eps` is `f32::EPSILON`.
///
/// # Errors
/// When there is no last dimension or the type has no fractions.
pub fn rms_norm(x: &Tensor, eps: f64) -> Result<Tensor> {
    const OP: &str = "rms_norm";
    if x.dtype().is_half() {
        return via_f32(&[x], |x| rms_norm(x[0], eps));
    }
    let Some(&dim) = x.shape().last() else {
        return Err(Error::shape(OP, "a scalar has no last dimension to normalise over"));
    };
    let x = x.contiguous()?;
    if x.is_empty() {
        return x.mul_scalar(1.0);
    }
    dispatch_real!(OP, x, T => {
        let mut out = Recycled::<T>::unfilled(OP, x.len())?;
        let mut inv = Recycled::<T>::unfilled(OP, x.len() / dim)?;
        x.with_slice(|x: &[T]| T::rms_norm_forward(x, dim, <T as Float>::from_f64(eps), &mut out, &mut inv))?;
        let output = Tensor::from_buffer(OP, out, x.shape())?;
        if !wants_grad(&[&x]) {
            return Ok(output);
        }
        let saved = Saved::new(&output);
        Ok(record(output, OP, &[&x], move |grad, sink| {
            let (grad, y) = (grad.contiguous()?, saved.get(OP)?);
            sink.write::<T>(0, |dx, accumulate| {
                y.with_slice(|y: &[T]| {
                    grad.with_slice(|dy: &[T]| T::rms_norm_backward(y, &inv, dy, dim, dx, accumulate))
                })?
            })
        }))
    })
}

/// Rotary positions (Su et al. 2021) from tables (positions, D/2), then RMS norm over the head, then a
/// factor: x (B, T, H, D) → (B, T, H, D). The token at T = 0 has position `pos0`. Without tables nothing
/// is rotated, without `norm` nothing normalised. The halves of a head rotate together:
/// y₁ = x₁·c + x₂·s, y₂ = x₂·c − x₁·s. x may be a view with gaps between its tokens.
///
/// # Errors
/// When sizes or types do not fit or the tables are too short; when `scale` is 0 with the norm.
pub fn rope_norm(
    x: &Tensor,
    tables: Option<(&Tensor, &Tensor)>,
    pos0: usize,
    norm: bool,
    scale: f64,
) -> Result<Tensor> {
    const OP: &str = "rope_norm";
    expect_rank(OP, "x", x, 4)?;
    let (tokens, heads, head_dim) = (x.shape()[1], x.shape()[2], x.shape()[3]);
    if let Some((cos, sin)) = tables {
        expect_same_dtype(OP, x, cos)?;
        expect_same_dtype(OP, x, sin)?;
        expect_rank(OP, "the cosine table", cos, 2)?;
        expect_shape(OP, "the sine table", sin, cos.shape())?;
        if !head_dim.is_multiple_of(2) || cos.shape()[1] != head_dim / 2 {
            return Err(Error::shape(
                OP,
                format!(
                    "tables {:?} do not fit x {:?}: they need half of an even head size",
                    cos.shape(),
                    x.shape()
                ),
            ));
        }
        let positions = pos0.saturating_add(tokens);
        if positions > cos.shape()[0] {
            return Err(Error::index(
                OP,
                format!("position {} is beyond the table of {} positions", positions - 1, cos.shape()[0]),
            ));
        }
    }
    if norm && scale == 0.0 {
        return Err(Error::argument(OP, "the scale must not be 0 after a norm"));
    }
    if x.dtype().is_half() {
        let mut inputs = vec![x];
        inputs.extend(tables.iter().flat_map(|&(cos, sin)| [cos, sin]));
        return via_f32(&inputs, |wide| {
            rope_norm(wide[0], tables.map(|_| (wide[1], wide[2])), pos0, norm, scale)
        });
    }
    if x.is_empty() {
        return x.mul_scalar(scale);
    }
    let (x, view) = as_rows(x, 2)?;
    let tables = match tables {
        Some((cos, sin)) => Some((cos.detach().contiguous()?, sin.detach().contiguous()?)),
        None => None,
    };
    dispatch_real!(OP, x, T => {
        let mut out = Recycled::<T>::unfilled(OP, x.len())?;
        let mut inv = Recycled::<T>::unfilled(OP, if norm { view.rows * heads } else { 0 })?;
        let norm_eps = norm.then(|| <T as Float>::from_f64(f64::from(f32::EPSILON)));
        let run = move |tables: &Option<(Tensor, Tensor)>, body: &mut dyn FnMut(&RopeNorm<'_, T>)| -> Result<()> {
            let config = RopeNorm { tokens, heads, head_dim, tables: None, pos0, norm_eps, scale: <T as Float>::from_f64(scale) };
            match tables {
                None => body(&config),
                Some((cos, sin)) => cos.with_slice(|c: &[T]| sin.with_slice(|s: &[T]| {
                    body(&RopeNorm { tables: Some((c, s)), ..config });
                }))??,
            }
            Ok(())
        };
        {
            let reader = x.reader(OP)?;
            let xs = rows_data(reader.all::<T>()?, &x);
            run(&tables, &mut |config| T::rope_norm_forward(config, xs, view.stride, &mut out, &mut inv))?;
        }
        let output = Tensor::from_buffer(OP, out, x.shape())?;
        if !wants_grad(&[&x]) {
            return Ok(output);
        }
        let saved = norm.then(|| Saved::new(&output));
        Ok(record(output, OP, &[&x], move |grad, sink| {
            let grad = grad.contiguous()?;
            let mut dx = Recycled::<T>::unfilled(OP, grad.len())?;
            grad.with_slice(|dy: &[T]| match &saved {
                Some(y) => y.get(OP)?.with_slice(|y: &[T]| {
                    run(&tables, &mut |config| T::rope_norm_backward(config, y, &inv, dy, &mut dx, heads * head_dim))
                })?,
                None => run(&tables, &mut |config| {
                    T::rope_norm_backward(config, &[], &inv, dy, &mut dx, heads * head_dim);
                }),
            })??;
            sink.add(0, Tensor::from_buffer(OP, dx, grad.shape())?)
        }))
    })
}
