//! Picking elements by index.

use crate::autograd::{Saved, record, wants_grad};
use crate::dims::{element_count, resolve_dim};
use crate::dtype::{DType, Element, dispatch};
use crate::error::{Error, Result, expect_dtype, expect_rank};
use crate::memory::Recycled;
use crate::tensor::Tensor;

/// A contiguous tensor seen as (outer, size, inner) around one dimension.
struct Around {
    outer: usize,
    size: usize,
    inner: usize,
}

impl Around {
    fn new(shape: &[usize], dim: usize) -> Self {
        Self {
            outer: shape[..dim].iter().product(),
            size: shape[dim],
            inner: shape[dim + 1..].iter().product(),
        }
    }
}

fn check_indices(op: &'static str, indices: &[i64], size: usize) -> Result<()> {
    match indices.iter().position(|&index| index < 0 || index >= size as i64) {
        None => Ok(()),
        Some(at) => {
            Err(Error::index(op, format!("index {} at position {at} is not in 0..{size}", indices[at])))
        }
    }
}

impl Tensor {
    /// The slices along `dim` that the i64 vector `indices` names, in its order.
    ///
    /// # Errors
    /// When the dimension or an index does not exist, or the indices are no i64 vector.
    pub fn index_select(&self, dim: isize, indices: &Tensor) -> Result<Tensor> {
        const OP: &str = "index_select";
        let dim = resolve_dim(OP, dim, self.rank())?;
        expect_dtype(OP, indices, &[DType::I64])?;
        expect_rank(OP, "indices", indices, 1)?;
        let (x, indices) = (self.contiguous()?, indices.contiguous()?);
        let around = Around::new(x.shape(), dim);
        let mut shape = x.dims();
        shape[dim] = indices.len();
        let output = dispatch!(x.dtype(), T => {
            let mut out = Recycled::<T>::unfilled(OP, element_count(OP, &shape)?)?;
            x.with_slice(|x: &[T]| indices.with_slice(|indices: &[i64]| {
                check_indices(OP, indices, around.size)?;
                for_each_slice(&around, indices, |to, from, inner| {
                    out[to..to + inner].copy_from_slice(&x[from..from + inner]);
                });
                Ok(())
            }))???;
            Tensor::from_buffer(OP, out, &shape)?
        });
        if !wants_grad(&[&x]) {
            return Ok(output);
        }
        let saved = Saved::new(&indices);
        let dtype = x.dtype();
        Ok(record(output, OP, &[&x], move |grad, sink| {
            let (grad, indices) = (grad.contiguous()?, saved.get(OP)?);
            dispatch!(dtype, T => sink.write::<T>(0, |target, accumulate| {
                if !accumulate {
                    target.fill(T::default());
                }
                grad.with_slice(|grad: &[T]| indices.with_slice(|indices: &[i64]| {
                    for_each_slice(&around, indices, |from, to, inner| {
                        for (target, &grad) in target[to..to + inner].iter_mut().zip(&grad[from..from + inner]) {
                            *target = T::from_double(target.to_double() + grad.to_double());
                        }
                    });
                }))?
            }))
        }))
    }

    /// out[i][j][k] = x[index[i][j][k]][j][k] for `dim` 0, and so on: one element for each index. The
    /// i64 index has as many dimensions as x and is nowhere larger than x except along `dim`.
    ///
    /// # Errors
    /// When shapes do not fit or an index does not exist.
    pub fn gather(&self, dim: isize, index: &Tensor) -> Result<Tensor> {
        const OP: &str = "gather";
        let dim = resolve_dim(OP, dim, self.rank())?;
        expect_dtype(OP, index, &[DType::I64])?;
        expect_rank(OP, "index", index, self.rank())?;
        for axis in 0..self.rank() {
            if axis != dim && index.shape()[axis] > self.shape()[axis] {
                return Err(Error::shape(
                    OP,
                    format!(
                        "index shape {:?} is larger than {:?} at dimension {axis}",
                        index.shape(),
                        self.shape()
                    ),
                ));
            }
        }
        // Where the index is smaller, only the corner of x takes part.
        let mut x = self.clone();
        for axis in (0..self.rank()).filter(|&axis| axis != dim) {
            if index.shape()[axis] < x.shape()[axis] {
                x = x.narrow(axis as isize, 0, index.shape()[axis])?;
            }
        }
        let (x, index) = (x.contiguous()?, index.contiguous()?);
        let around = Around::new(x.shape(), dim);
        let count = index.shape()[dim];
        let output = dispatch!(x.dtype(), T => {
            let mut out = Recycled::<T>::unfilled(OP, index.len())?;
            x.with_slice(|x: &[T]| index.with_slice(|index: &[i64]| {
                check_indices(OP, index, around.size)?;
                for_each_element(&around, count, index, |at, from| out[at] = x[from]);
                Ok(())
            }))???;
            Tensor::from_buffer(OP, out, index.shape())?
        });
        if !wants_grad(&[&x]) {
            return Ok(output);
        }
        let saved = Saved::new(&index);
        let dtype = x.dtype();
        Ok(record(output, OP, &[&x], move |grad, sink| {
            let (grad, index) = (grad.contiguous()?, saved.get(OP)?);
            dispatch!(dtype, T => sink.write::<T>(0, |target, accumulate| {
                if !accumulate {
                    target.fill(T::default());
                }
                grad.with_slice(|grad: &[T]| index.with_slice(|index: &[i64]| {
                    for_each_element(&around, count, index, |at, to| {
                        target[to] = T::from_double(target[to].to_double() + grad[at].to_double());
                    });
                }))?
            }))
        }))
    }
}

/// Calls `visit(place in the selection, place in x, length)` for each run that an index names.
fn for_each_slice(around: &Around, indices: &[i64], mut visit: impl FnMut(usize, usize, usize)) {
    for outer in 0..around.outer {
        for (i, &index) in indices.iter().enumerate() {
            let to = (outer * indices.len() + i) * around.inner;
            visit(to, (outer * around.size + index as usize) * around.inner, around.inner);
        }
    }
}

/// Calls `visit(place in index, place in x)` for each element of a gather.
fn for_each_element(around: &Around, count: usize, index: &[i64], mut visit: impl FnMut(usize, usize)) {
    let mut at = 0;
    for outer in 0..around.outer {
        for _ in 0..count {
            for inner in 0..around.inner {
                visit(at, (outer * around.size + index[at] as usize) * around.inner + inner);
                at += 1;
            }
        }
    }
}
