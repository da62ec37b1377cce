//! Matrix products of batches.

use mynah_kernels::gemm::{MatMut, MatRef, Store};

use crate::autograd::{Saved, record, wants_grad};
use crate::dims::{Dims, MAX_RANK, broadcast_shapes, element_count};
use crate::error::{Error, Result, expect_same_dtype};
use crate::kernels::{Real, dispatch_real, via_f32};
use crate::layout::walk;
use crate::memory::Recycled;
use crate::tensor::Tensor;

impl Tensor {
    /// The matrix product over the last two dimensions, (…, m, k)·(…, k, n) → (…, m, n). The dimensions
    /// before them broadcast. A tensor of one dimension is a row on the left and a column on the right,
    /// and that dimension is dropped from the result.
    ///
    /// # Errors
    /// When the inner sizes differ, the types differ or are no floats, or a tensor has no dimensions.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        const OP: &str = "matmul";
        if self.rank() == 0 || other.rank() == 0 {
            return Err(Error::shape(
                OP,
                format!(
                    "it takes matrices or vectors, found shapes {:?} and {:?}",
                    self.shape(),
                    other.shape()
                ),
            ));
        }
        match (self.rank(), other.rank()) {
            (1, 1) => self.unsqueeze(0)?.matmul(&other.unsqueeze(1)?)?.squeeze(0)?.squeeze(0),
            (1, _) => self.unsqueeze(0)?.matmul(other)?.squeeze(-2),
            (_, 1) => self.matmul(&other.unsqueeze(1)?)?.squeeze(-1),
            _ => product(self, other),
        }
    }
}

fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    const OP: &str = "matmul";
    expect_same_dtype(OP, a, b)?;
    if a.dtype().is_half() {
        return via_f32(&[a, b], |wide| product(wide[0], wide[1]));
    }
    let (a, b) = (forward_strides(a)?, forward_strides(b)?);
    let output = dispatch_real!(OP, a, T => multiply::<T>(&a, &b))?;
    if !wants_grad(&[&a, &b]) {
        return Ok(output);
    }
    let (dims_a, dims_b) = (a.dims(), b.dims());
    let kept_a = b.requires_grad().then(|| Saved::new(&a));
    let kept_b = a.requires_grad().then(|| Saved::new(&b));
    Ok(record(output, OP, &[&a, &b], move |grad, sink| {
        if let Some(a) = &kept_a {
            sink.add(1, a.get(OP)?.t()?.matmul(&grad)?.sum_to(&dims_b)?)?;
        }
        if let Some(b) = &kept_b {
            sink.add(0, grad.matmul(&b.get(OP)?.t()?)?.sum_to(&dims_a)?)?;
        }
        Ok(())
    }))
}

/// The kernels step forwards only; a flipped matrix is copied.
fn forward_strides(x: &Tensor) -> Result<Tensor> {
    if x.strides().iter().any(|&stride| stride < 0) { x.copy() } else { Ok(x.clone()) }
}

fn multiply<T: Real>(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    const OP: &str = "matmul";
    let (rank_a, rank_b) = (a.rank(), b.rank());
    let (m, k) = (a.shape()[rank_a - 2], a.shape()[rank_a - 1]);
    let (k_b, n) = (b.shape()[rank_b - 2], b.shape()[rank_b - 1]);
    if k != k_b {
        return Err(Error::shape(
            OP,
            format!(
                "shapes {:?} and {:?} do not multiply: the last size of the first, {k}, must equal the second last of \
                 the second, {k_b}",
                a.shape(),
                b.shape()
            ),
        ));
    }
    let batch = broadcast_shapes(OP, &a.shape()[..rank_a - 2], &b.shape()[..rank_b - 2])?;
    let mut shape = batch;
    if shape.len() + 2 > MAX_RANK {
        return Err(Error::shape(OP, "the result has too many dimensions"));
    }
    shape.push(m);
    shape.push(n);
    let mut out = Recycled::<T>::unfilled(OP, element_count(OP, &shape)?)?;
    if out.is_empty() {
        return Tensor::from_buffer(OP, out, &shape);
    }
    if k == 0 {
        out.fill(T::default());
        return Tensor::from_buffer(OP, out, &shape);
    }
    let (reader_a, reader_b) = (a.reader(OP)?, b.reader(OP)?);
    let (xs, ys) = (reader_a.all::<T>()?, reader_b.all::<T>()?);
    let (la, lb) = (batch_layout(OP, a, &batch)?, batch_layout(OP, b, &batch)?);
    let mut rest = &mut out[..];
    let matrix = |t: &Tensor| {
        let strides = t.strides();
        (strides[t.rank() - 2] as usize, strides[t.rank() - 1] as usize)
    };
    let ((row_a, col_a), (row_b, col_b)) = (matrix(a), matrix(b));
    walk(
        &batch,
        [(&la.strides[..], la.offset), (&lb.strides[..], lb.offset)],
        |[at_a, at_b], len, [da, db]| {
            for i in 0..len as isize {
                let (start_a, start_b) =
                    ((at_a as isize + i * da) as usize, (at_b as isize + i * db) as usize);
                let (here, behind) = std::mem::take(&mut rest).split_at_mut(m * n);
                rest = behind;
                let left = MatRef::with_strides(&xs[start_a..], m, k, row_a, col_a);
                let right = MatRef::with_strides(&ys[start_b..], k, n, row_b, col_b);
                T::gemm(left, right, MatMut::new(here, m, n), Store::Overwrite);
            }
        },
    );
    Tensor::from_buffer(OP, out, &shape)
}

/// The layout of the matrices' first elements over the broadcast batch dimensions.
fn batch_layout(op: &'static str, x: &Tensor, batch: &Dims) -> Result<crate::layout::Layout> {
    let mut layout = *x.layout();
    for _ in 0..2 {
        layout.shape.pop();
        layout.strides.pop();
    }
    layout.expand(op, batch)
}
