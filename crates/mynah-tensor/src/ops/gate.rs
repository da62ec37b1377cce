//! Mixing of streams: value gates, the shift gate, and sums with learned factors.

use mynah_kernels::float::Float;

use crate::autograd::{Saved, record, wants_grad};
use crate::error::{Error, Result, expect_rank, expect_same_dtype, expect_shape};
use crate::kernels::{Real, dispatch_real, via_f32};
use crate::memory::Recycled;
use crate::tensor::Tensor;

/// y = v + gate·ve, one gate a head: v and ve (…, H, D), gate (…, H).
///
/// # Errors
/// When the shapes or types do not fit.
pub fn gated_add(v: &Tensor, gate: &Tensor, ve: &Tensor) -> Result<Tensor> {
    const OP: &str = "gated_add";
    expect_same_dtype(OP, v, gate)?;
    expect_same_dtype(OP, v, ve)?;
    let Some((&dim, heads)) = v.shape().split_last() else {
        return Err(Error::shape(OP, "v needs at least one dimension"));
    };
    expect_shape(OP, "ve", ve, v.shape())?;
    expect_shape(OP, "the gate", gate, heads)?;
    if v.dtype().is_half() {
        return via_f32(&[v, gate, ve], |wide| gated_add(wide[0], wide[1], wide[2]));
    }
    let (v, gate, ve) = (v.contiguous()?, gate.contiguous()?, ve.contiguous()?);
    if v.is_empty() {
        return v.add(&ve);
    }
    dispatch_real!(OP, v, T => {
        let mut out = Recycled::<T>::unfilled(OP, v.len())?;
        {
            let (rv, rg, re) = (v.reader(OP)?, gate.reader(OP)?, ve.reader(OP)?);
            let (v, gate, ve) = (&rv.all::<T>()?[v.range()], &rg.all::<T>()?[gate.range()], &re.all::<T>()?[ve.range()]);
            T::gated_add_forward(v, gate, ve, dim, &mut out);
        }
        let output = Tensor::from_buffer(OP, out, v.shape())?;
        if !wants_grad(&[&v, &gate, &ve]) {
            return Ok(output);
        }
        let (kept_gate, kept_ve) = (Saved::new(&gate), Saved::new(&ve));
        Ok(record(output, OP, &[&v, &gate, &ve], move |grad, sink| {
            let grad = grad.contiguous()?;
            if sink.wants(1) || sink.wants(2) {
                let (gate, ve) = (kept_gate.get(OP)?, kept_ve.get(OP)?);
                let mut dgate = Recycled::<T>::unfilled(OP, gate.len())?;
                let mut dve = Recycled::<T>::unfilled(OP, ve.len())?;
                grad.with_slice(|dy: &[T]| gate.with_slice(|g: &[T]| ve.with_slice(|e: &[T]| {
                    T::gated_add_backward(g, e, dy, dim, &mut dgate, &mut dve);
                })))???;
                sink.add(1, Tensor::from_buffer(OP, dgate, gate.shape())?)?;
                sink.add(2, Tensor::from_buffer(OP, dve, ve.shape())?)?;
            }
            sink.add(0, grad)
        }))
    })
}

/// y[b,t] = x[b,t] + gate[b,t]·x[b,t−1]; the first token of a row is copied and its gate ignored:
/// x (B, T, C), gate (B, T).
///
/// # Errors
/// When the shapes or types do not fit.
pub fn shift_gated_add(x: &Tensor, gate: &Tensor) -> Result<Tensor> {
    const OP: &str = "shift_gated_add";
    expect_rank(OP, "x", x, 3)?;
    expect_same_dtype(OP, x, gate)?;
    expect_shape(OP, "the gate", gate, &x.shape()[..2])?;
    if x.dtype().is_half() {
        return via_f32(&[x, gate], |wide| shift_gated_add(wide[0], wide[1]));
    }
    if x.is_empty() {
        return x.mul_scalar(1.0);
    }
    let (tokens, dim) = (x.shape()[1], x.shape()[2]);
    let (x, gate) = (x.contiguous()?, gate.contiguous()?);
    dispatch_real!(OP, x, T => {
        let mut out = Recycled::<T>::unfilled(OP, x.len())?;
        x.with_slice(|x: &[T]| gate.with_slice(|gate: &[T]| T::shift_gated_add_forward(x, gate, tokens, dim, &mut out)))??;
        let output = Tensor::from_buffer(OP, out, x.shape())?;
        if !wants_grad(&[&x, &gate]) {
            return Ok(output);
        }
        let (kept_x, kept_gate) = (Saved::new(&x), Saved::new(&gate));
        Ok(record(output, OP, &[&x, &gate], move |grad, sink| {
            let grad = grad.contiguous()?;
            let (x, gate) = (kept_x.get(OP)?, kept_gate.get(OP)?);
            let mut dx = Recycled::<T>::unfilled(OP, x.len())?;
            let mut dgate = Recycled::<T>::unfilled(OP, gate.len())?;
            grad.with_slice(|dy: &[T]| x.with_slice(|x: &[T]| gate.with_slice(|g: &[T]| {
                T::shift_gated_add_backward(x, g, dy, tokens, dim, &mut dx, &mut dgate);
            })))???;
            sink.add(0, Tensor::from_buffer(OP, dx, x.shape())?)?;
            sink.add(1, Tensor::from_buffer(OP, dgate, gate.shape())?)
        }))
    })
}

/// y = a·x + b·z with factors that are tensors of one element and can learn.
///
/// # Errors
/// When x and z differ in shape, types differ, or a factor has not exactly one element.
pub fn scaled_sum(a: &Tensor, x: &Tensor, b: &Tensor, z: &Tensor) -> Result<Tensor> {
    const OP: &str = "scaled_sum";
    for other in [a, b, z] {
        expect_same_dtype(OP, x, other)?;
    }
    expect_shape(OP, "z", z, x.shape())?;
    if a.len() != 1 || b.len() != 1 {
        return Err(Error::shape(
            OP,
            format!("the factors need one element each, found shapes {:?} and {:?}", a.shape(), b.shape()),
        ));
    }
    if x.dtype().is_half() {
        return via_f32(&[a, x, b, z], |wide| scaled_sum(wide[0], wide[1], wide[2], wide[3]));
    }
    let (x, z) = (x.contiguous()?, z.contiguous()?);
    dispatch_real!(OP, x, T => {
        let (factor_a, factor_b) = (only::<T>(a)?, only::<T>(b)?);
        let mut out = Recycled::<T>::unfilled(OP, x.len())?;
        x.with_slice(|x: &[T]| z.with_slice(|z: &[T]| T::scaled_sum_forward(factor_a, x, factor_b, z, &mut out)))??;
        let output = Tensor::from_buffer(OP, out, x.shape())?;
        if !wants_grad(&[a, &x, b, &z]) {
            return Ok(output);
        }
        let (kept_x, kept_z) = (Saved::new(&x), Saved::new(&z));
        let (dims_a, dims_b) = (a.dims(), b.dims());
        Ok(record(output, OP, &[a, &x, b, &z], move |grad, sink| {
            let grad = grad.contiguous()?;
            let (x, z) = (kept_x.get(OP)?, kept_z.get(OP)?);
            let mut dx = Recycled::<T>::unfilled(OP, x.len())?;
            let mut dz = Recycled::<T>::unfilled(OP, z.len())?;
            let (da, db) = grad.with_slice(|dy: &[T]| x.with_slice(|x: &[T]| z.with_slice(|z: &[T]| {
                T::scaled_sum_backward(factor_a, x, factor_b, z, dy, &mut dx, &mut dz)
            })))???;
            // Freed first: one of the sums below may need as much memory.
            drop(grad);
            sink.add(0, Tensor::full(&dims_a, Float::to_f64(da), x.dtype())?)?;
            sink.add(2, Tensor::full(&dims_b, Float::to_f64(db), x.dtype())?)?;
            sink.add(1, Tensor::from_buffer(OP, dx, x.shape())?)?;
            sink.add(3, Tensor::from_buffer(OP, dz, z.shape())?)
        }))
    })
}

/// The one element of a factor.
fn only<T: Real>(factor: &Tensor) -> Result<T> {
    Ok(factor.reader("scaled_sum")?.all::<T>()?[factor.layout().offset])
}
