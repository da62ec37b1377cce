//! Several tensors put together.

use crate::autograd::{record, wants_grad};
use crate::dims::{element_count, resolve_dim};
use crate::dtype::dispatch;
use crate::error::{Error, Result, expect_same_dtype};
use crate::memory::Recycled;
use crate::tensor::Tensor;

/// The tensors one after the other along `dim`; all other sizes must agree.
///
/// # Errors
/// When there are none, or types or sizes differ.
pub fn cat(tensors: &[&Tensor], dim: isize) -> Result<Tensor> {
    const OP: &str = "cat";
    let Some(first) = tensors.first() else {
        return Err(Error::argument(OP, "there are no tensors to put together"));
    };
    let dim = resolve_dim(OP, dim, first.rank())?;
    let mut shape = first.dims();
    shape[dim] = 0;
    for tensor in tensors {
        expect_same_dtype(OP, first, tensor)?;
        let agrees = tensor.rank() == first.rank()
            && (0..shape.len()).all(|axis| axis == dim || tensor.shape()[axis] == shape[axis]);
        if !agrees {
            return Err(Error::shape(
                OP,
                format!(
                    "shapes {:?} and {:?} differ beside dimension {dim}, along which they are put together",
                    first.shape(),
                    tensor.shape()
                ),
            ));
        }
        shape[dim] += tensor.shape()[dim];
    }
    let parts: Vec<Tensor> = tensors.iter().map(|tensor| tensor.contiguous()).collect::<Result<_>>()?;
    let inner: usize = shape[dim + 1..].iter().product();
    let outer: usize = shape[..dim].iter().product();
    let stride = shape[dim] * inner;
    let output = dispatch!(first.dtype(), T => {
        let mut out = Recycled::<T>::unfilled(OP, element_count(OP, &shape)?)?;
        let mut start = 0;
        for part in &parts {
            let width = part.shape()[dim] * inner;
            part.with_slice(|x: &[T]| {
                for i in 0..outer {
                    out[i * stride + start..][..width].copy_from_slice(&x[i * width..][..width]);
                }
            })?;
            start += width;
        }
        Tensor::from_buffer(OP, out, &shape)?
    });
    let inputs: Vec<&Tensor> = parts.iter().collect();
    if !wants_grad(&inputs) {
        return Ok(output);
    }
    let sizes: Vec<usize> = parts.iter().map(|part| part.shape()[dim]).collect();
    Ok(record(output, OP, &inputs, move |grad, sink| {
        let mut start = 0;
        for (input, &size) in sizes.iter().enumerate() {
            if sink.wants(input) {
                sink.add(input, grad.narrow(dim as isize, start, size)?)?;
            }
            start += size;
        }
        Ok(())
    }))
}

/// The tensors, all of one shape, along a new dimension `dim`.
///
/// # Errors
/// As [`cat`].
pub fn stack(tensors: &[&Tensor], dim: isize) -> Result<Tensor> {
    let parts: Vec<Tensor> = tensors.iter().map(|tensor| tensor.unsqueeze(dim)).collect::<Result<_>>()?;
    cat(&parts.iter().collect::<Vec<_>>(), dim)
}
