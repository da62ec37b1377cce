//! Softmax and its logarithm along one dimension.

use crate::autograd::{Saved, record, wants_grad};
use crate::dims::resolve_dim;
use crate::error::Result;
use crate::kernels::{Real, dispatch_real, via_f32};
use crate::memory::Recycled;
use crate::tensor::Tensor;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Log,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Plain => "softmax",
            Form::Log => "log_softmax",
        }
    }

    fn forward<T: Real>(self, x: &[T], cols: usize, y: &mut [T]) {
        match self {
            Form::Plain => T::softmax_rows(x, cols, y),
            Form::Log => T::log_softmax_rows(x, cols, y),
        }
    }

    fn backward<T: Real>(self, y: &[T], dy: &[T], cols: usize, dx: &mut [T]) {
        match self {
            Form::Plain => T::softmax_backward_rows(y, dy, cols, dx),
            Form::Log => T::log_softmax_backward_rows(y, dy, cols, dx),
        }
    }
}

impl Tensor {
    /// eˣ / Σ eˣ along `dim`.
    ///
    /// # Errors
    /// When there is no such dimension or the type has no fractions.
    pub fn softmax(&self, dim: isize) -> Result<Tensor> {
        along(Form::Plain, self, dim)
    }

    /// x − ln Σ eˣ along `dim`.
    ///
    /// # Errors
    /// When there is no such dimension or the type has no fractions.
    pub fn log_softmax(&self, dim: isize) -> Result<Tensor> {
        along(Form::Log, self, dim)
    }
}

fn along(form: Form, x: &Tensor, dim: isize) -> Result<Tensor> {
    let op = form.name();
    let dim = resolve_dim(op, dim, x.rank())?;
    if x.dtype().is_half() {
        return via_f32(&[x], |x| along(form, x[0], dim as isize));
    }
    if dim + 1 != x.rank() {
        return along(form, &x.transpose(dim as isize, -1)?, -1)?.transpose(dim as isize, -1);
    }
    let x = x.contiguous()?;
    let cols = x.shape()[dim];
    dispatch_real!(op, x, T => {
        let mut out = Recycled::<T>::unfilled(op, x.len())?;
        if !out.is_empty() {
            x.with_slice(|x: &[T]| form.forward(x, cols, &mut out))?;
        }
        let output = Tensor::from_buffer(op, out, x.shape())?;
        if !wants_grad(&[&x]) {
            return Ok(output);
        }
        let saved = Saved::new(&output);
        Ok(record(output, op, &[&x], move |grad, sink| {
            let (grad, y) = (grad.contiguous()?, saved.get(op)?);
            let mut dx = Recycled::<T>::unfilled(op, grad.len())?;
            if !dx.is_empty() {
                y.with_slice(|y: &[T]| grad.with_slice(|dy: &[T]| form.backward(y, dy, cols, &mut dx)))??;
            }
            sink.add(0, Tensor::from_buffer(op, dx, grad.shape())?)
        }))
    })
}
