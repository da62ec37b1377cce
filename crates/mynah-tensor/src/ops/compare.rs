//! Comparisons, which give masks, and choice by a mask.

use crate::autograd::{no_grad, record, wants_grad};
use crate::dims::broadcast_shapes;
use crate::dtype::{DType, Element, dispatch};
use crate::error::{Result, expect_dtype, expect_same_dtype};
use crate::layout::walk;
use crate::memory::Recycled;
use crate::ops::binary::zip;
use crate::tensor::Tensor;

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident: $compare:expr;)*) => {
        impl Tensor {
            $($(#[$doc])*
            ///
            /// # Errors
            /// When the types differ, the shapes do not broadcast, or memory is short.
            pub fn $name(&self, other: &Tensor) -> Result<Tensor> {
                expect_same_dtype(stringify!($name), self, other)?;
                match self.dtype() {
                    DType::F32 => zip::<f32, bool>(stringify!($name), self, other, $compare),
                    DType::F64 => zip::<f64, bool>(stringify!($name), self, other, $compare),
                    DType::I64 => zip::<i64, bool>(stringify!($name), self, other, $compare),
                    // f32 holds every value of the small types.
                    _ => no_grad(|| self.to_dtype(DType::F32)?.$name(&other.to_dtype(DType::F32)?)),
                }
            })*
        }
    };
}

comparisons! {
    /// Where a = b, as a bool tensor.
    eq: |a, b| a == b;
    /// Where a ≠ b.
    ne: |a, b| a != b;
    /// Where a < b.
    lt: |a, b| a < b;
    /// Where a ≤ b.
    le: |a, b| a <= b;
    /// Where a > b.
    gt: |a, b| a > b;
    /// Where a ≥ b.
    ge: |a, b| a >= b;
}

impl Tensor {
    /// Where the mask (this bool tensor) is true `a`, elsewhere `b`; all three broadcast.
    ///
    /// # Errors
    /// When this is no mask, the types of a and b differ, or the shapes do not broadcast.
    pub fn where_(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        const OP: &str = "where_";
        expect_dtype(OP, self, &[DType::Bool])?;
        expect_same_dtype(OP, a, b)?;
        let shape = broadcast_shapes(OP, &broadcast_shapes(OP, a.shape(), b.shape())?, self.shape())?;
        let output = dispatch!(a.dtype(), T => choose::<T>(self, a, b, &shape)?);
        if !wants_grad(&[a, b]) {
            return Ok(output);
        }
        let (mask, dims_a, dims_b) = (crate::autograd::Saved::new(self), a.dims(), b.dims());
        Ok(record(output, OP, &[a, b], move |grad, sink| {
            let mask = mask.get(OP)?;
            let zero = Tensor::zeros(&[], grad.dtype())?;
            if sink.wants(0) {
                sink.add(0, mask.where_(&grad, &zero)?.sum_to(&dims_a)?)?;
            }
            if sink.wants(1) {
                sink.add(1, mask.where_(&zero, &grad)?.sum_to(&dims_b)?)?;
            }
            Ok(())
        }))
    }

    /// The mask with true and false exchanged.
    ///
    /// # Errors
    /// When this is no bool tensor.
    pub fn logical_not(&self) -> Result<Tensor> {
        expect_dtype("logical_not", self, &[DType::Bool])?;
        self.eq(&Tensor::scalar(false))
    }
}

fn choose<T: Element>(mask: &Tensor, a: &Tensor, b: &Tensor, shape: &[usize]) -> Result<Tensor> {
    const OP: &str = "where_";
    let mut out = Recycled::<T>::unfilled(OP, crate::dims::element_count(OP, shape)?)?;
    let (rm, ra, rb) = (mask.reader(OP)?, a.reader(OP)?, b.reader(OP)?);
    let (ms, xs, ys) = (rm.all::<bool>()?, ra.all::<T>()?, rb.all::<T>()?);
    let layouts =
        [mask.layout().expand(OP, shape)?, a.layout().expand(OP, shape)?, b.layout().expand(OP, shape)?];
    let mut rest = &mut out[..];
    walk(
        shape,
        std::array::from_fn::<_, 3, _>(|n| (&layouts[n].strides[..], layouts[n].offset)),
        |at, len, strides| {
            let (here, behind) = std::mem::take(&mut rest).split_at_mut(len);
            rest = behind;
            for (i, o) in here.iter_mut().enumerate() {
                let place = |n: usize| (at[n] as isize + i as isize * strides[n]) as usize;
                *o = if ms[place(0)] { xs[place(1)] } else { ys[place(2)] };
            }
        },
    );
    Tensor::from_buffer(OP, out, shape)
}
