//! Linear layers without bias, and the two-layer perceptron made of them.

use mynah_kernels::gemm::{Map, MatMut, MatRef, Store};

use crate::autograd::{Saved, Sink, record, wants_grad};
use crate::dims::Dims;
use crate::error::{Error, Result, expect_rank, expect_same_dtype};
use crate::kernels::{Real, dispatch_real, via_f32};
use crate::memory::Recycled;
use crate::tensor::Tensor;

/// A tensor seen as rows: all but the last `inner` dimensions merged, at one stride.
#[derive(Clone, Copy)]
pub(crate) struct RowView {
    pub rows: usize,
    pub stride: usize,
}

/// The row view, if the last `inner` dimensions lie without gaps and the others step evenly.
pub(crate) fn row_view(x: &Tensor, inner: usize) -> Option<RowView> {
    let (shape, strides) = (x.shape(), x.strides());
    let split = shape.len().checked_sub(inner)?;
    let mut expected = 1isize;
    for axis in (split..shape.len()).rev() {
        if shape[axis] != 1 && strides[axis] != expected {
            return None;
        }
        expected *= shape[axis] as isize;
    }
    let width = expected;
    let rows: usize = shape[..split].iter().product();
    let mut stride = None;
    let mut next = 0isize;
    for axis in (0..split).rev().filter(|&axis| shape[axis] != 1) {
        if stride.is_some() && strides[axis] != next {
            return None;
        }
        stride.get_or_insert(strides[axis]);
        next = strides[axis] * shape[axis] as isize;
    }
    let stride = stride.unwrap_or(width);
    (stride >= width).then_some(RowView { rows, stride: stride as usize })
}

/// The tensor with rows as [`row_view`] sees them, copied if need be.
pub(crate) fn as_rows(x: &Tensor, inner: usize) -> Result<(Tensor, RowView)> {
    if let Some(view) = row_view(x, inner) {
        return Ok((x.clone(), view));
    }
    let x = x.contiguous()?;
    let split = x.rank() - inner;
    let stride = x.shape()[split..].iter().product();
    Ok((x.clone(), RowView { rows: x.shape()[..split].iter().product(), stride }))
}

/// The data of a row view from its first element on.
pub(crate) fn rows_data<'a, T>(all: &'a [T], x: &Tensor) -> &'a [T] {
    if x.is_empty() { &[] } else { &all[x.layout().offset..] }
}

/// A matrix tensor as the kernels take it. The caller has made strides non-negative.
fn matrix<'a, T>(all: &'a [T], w: &Tensor) -> MatRef<'a, T> {
    let strides = w.strides();
    MatRef::with_strides(
        rows_data(all, w),
        w.shape()[0],
        w.shape()[1],
        strides[0] as usize,
        strides[1] as usize,
    )
}

fn check(op: &'static str, x: &Tensor, w: &Tensor) -> Result<()> {
    expect_same_dtype(op, x, w)?;
    expect_rank(op, "the weight", w, 2)?;
    if x.shape().last() == Some(&w.shape()[1]) {
        return Ok(());
    }
    Err(Error::shape(
        op,
        format!(
            "input {:?} and weight {:?} do not fit: the last sizes must agree (the weight is (outputs, inputs))",
            x.shape(),
            w.shape()
        ),
    ))
}

/// y = x·wᵀ: x (…, k), w (n, k), y (…, n). The product of every weight matrix of the model; x may be a
/// view with gaps between its rows. The gradient of w is added into its place by the product itself.
///
/// # Errors
/// When the sizes or types do not fit.
pub fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    const OP: &str = "linear";
    check(OP, x, w)?;
    if x.dtype().is_half() {
        return via_f32(&[x, w], |wide| linear(wide[0], wide[1]));
    }
    let (x, view) = as_rows(x, 1)?;
    let w = if w.strides().iter().any(|&stride| stride < 0) { w.copy()? } else { w.clone() };
    let (n, k) = (w.shape()[0], w.shape()[1]);
    let mut shape = x.dims();
    let last = shape.len() - 1;
    shape[last] = n;
    dispatch_real!(OP, x, T => {
        let mut out = Recycled::<T>::unfilled(OP, crate::dims::element_count(OP, &shape)?)?;
        {
            let (rx, rw) = (x.reader(OP)?, w.reader(OP)?);
            let xs = MatRef::with_strides(rows_data(rx.all::<T>()?, &x), view.rows, k, view.stride, 1);
            T::gemm(xs, matrix(rw.all()?, &w).t(), MatMut::new(&mut out, view.rows, n), Store::Overwrite);
        }
        let output = Tensor::from_buffer(OP, out, &shape)?;
        if !wants_grad(&[&x, &w]) {
            return Ok(output);
        }
        let kept_x = w.requires_grad().then(|| Saved::new(&x));
        let kept_w = x.requires_grad().then(|| Saved::new(&w));
        Ok(record(output, OP, &[&x, &w], move |grad, sink| {
            let grad = grad.contiguous()?;
            let reader = grad.reader(OP)?;
            let dy = MatRef::new(&reader.all::<T>()?[grad.range()], view.rows, n);
            if let Some(x) = &kept_x {
                let x = x.get(OP)?;
                let rx = x.reader(OP)?;
                let xs = MatRef::with_strides(rows_data(rx.all::<T>()?, x), view.rows, k, view.stride, 1);
                write_product::<T>(sink, 1, (dy.t(), Map::Identity), (xs, Map::Identity))?;
            }
            if let Some(w) = &kept_w {
                let w = w.get(OP)?;
                let rw = w.reader(OP)?;
                write_product::<T>(sink, 0, (dy, Map::Identity), (matrix(rw.all()?, w), Map::Identity))?;
            }
            Ok(())
        }))
    })
}

/// Writes a·b to where the gradient of an input is collected, adding to it where there is one.
fn write_product<T: Real>(
    sink: &mut Sink<'_>,
    input: usize,
    (a, map_a): (MatRef<'_, T>, Map),
    (b, map_b): (MatRef<'_, T>, Map),
) -> Result<()> {
    sink.write::<T>(input, |target, accumulate| {
        let store = if accumulate { Store::Accumulate } else { Store::Overwrite };
        T::gemm_map(a, map_a, b, map_b, MatMut::new(target, a.rows(), b.cols()), store);
        Ok(())
    })
}

/// y = max(x·w_inᵀ, 0)²·w_outᵀ: x (…, k), w_in (h, k), w_out (n, h), y (…, n). Keeps x·w_inᵀ only: the
/// square is taken while the second product reads, its derivative while the gradient is written
/// (activation: So et al. 2021, Primer).
///
/// # Errors
/// When the sizes or types do not fit.
pub fn mlp_relu_square(x: &Tensor, w_in: &Tensor, w_out: &Tensor) -> Result<Tensor> {
    const OP: &str = "mlp_relu_square";
    check(OP, x, w_in)?;
    expect_same_dtype(OP, x, w_out)?;
    expect_rank(OP, "the output weight", w_out, 2)?;
    if w_out.shape()[1] != w_in.shape()[0] {
        return Err(Error::shape(
            OP,
            format!(
                "the weights {:?} and {:?} do not fit: the first size of the one must be the last of the other",
                w_in.shape(),
                w_out.shape()
            ),
        ));
    }
    if x.dtype().is_half() {
        return via_f32(&[x, w_in, w_out], |wide| mlp_relu_square(wide[0], wide[1], wide[2]));
    }
    let (x, view) = as_rows(x, 1)?;
    let (w_in, w_out) = (w_in.contiguous()?, w_out.contiguous()?);
    let (hidden, k, n) = (w_in.shape()[0], w_in.shape()[1], w_out.shape()[0]);
    let mut shape: Dims = x.dims();
    let last = shape.len() - 1;
    shape[last] = n;
    let rows = view.rows;
    dispatch_real!(OP, x, T => {
        let mut pre = Recycled::<T>::unfilled(OP, crate::dims::element_count(OP, &[rows, hidden])?)?;
        let mut out = Recycled::<T>::unfilled(OP, crate::dims::element_count(OP, &shape)?)?;
        {
            let (rx, rin, rout) = (x.reader(OP)?, w_in.reader(OP)?, w_out.reader(OP)?);
            let xs = MatRef::with_strides(rows_data(rx.all::<T>()?, &x), rows, k, view.stride, 1);
            T::gemm(xs, matrix(rin.all()?, &w_in).t(), MatMut::new(&mut pre, rows, hidden), Store::Overwrite);
            T::gemm_map(
                MatRef::new(&pre, rows, hidden),
                Map::ReluSquare,
                matrix(rout.all()?, &w_out).t(),
                Map::Identity,
                MatMut::new(&mut out, rows, n),
                Store::Overwrite,
            );
        }
        let output = Tensor::from_buffer(OP, out, &shape)?;
        if !wants_grad(&[&x, &w_in, &w_out]) {
            return Ok(output);
        }
        let pre = Saved::new(&Tensor::from_buffer(OP, pre, &[rows, hidden])?);
        let (kept_x, kept_in, kept_out) = (Saved::new(&x), Saved::new(&w_in), Saved::new(&w_out));
        Ok(record(output, OP, &[&x, &w_in, &w_out], move |grad, sink| {
            let grad = grad.contiguous()?;
            let reader = grad.reader(OP)?;
            let dy = MatRef::new(&reader.all::<T>()?[grad.range()], rows, n);
            let pre = pre.get(OP)?;
            let reader = pre.reader(OP)?;
            let pre = &reader.all::<T>()?[pre.range()];
            if sink.wants(2) {
                let square = (MatRef::new(pre, rows, hidden), Map::ReluSquare);
                write_product::<T>(sink, 2, (dy.t(), Map::Identity), square)?;
            }
            if !sink.wants(0) && !sink.wants(1) {
                return Ok(());
            }
            let mut dpre = Recycled::<T>::unfilled(OP, pre.len())?;
            {
                let w_out = kept_out.get(OP)?;
                let reader = w_out.reader(OP)?;
                let target = MatMut::new(&mut dpre, rows, hidden);
                T::gemm(dy, matrix(reader.all()?, w_out), target, Store::MulReluSquareGrad(pre));
            }
            let dpre = MatRef::new(&dpre, rows, hidden);
            if sink.wants(1) {
                let x = kept_x.get(OP)?;
                let rx = x.reader(OP)?;
                let xs = MatRef::with_strides(rows_data(rx.all::<T>()?, x), rows, k, view.stride, 1);
                write_product::<T>(sink, 1, (dpre.t(), Map::Identity), (xs, Map::Identity))?;
            }
            if sink.wants(0) {
                let w_in = kept_in.get(OP)?;
                let reader = w_in.reader(OP)?;
                write_product::<T>(sink, 0, (dpre, Map::Identity), (matrix(reader.all()?, w_in), Map::Identity))?;
            }
            Ok(())
        }))
    })
}
