//! Conversion between element types.

use half::{bf16, f16};

use crate::autograd::{record, wants_grad};
use crate::dtype::{DType, Element, dispatch};
use crate::error::Result;
use crate::kernels::map;
use crate::memory::Recycled;
use crate::tensor::Tensor;

impl Tensor {
    /// The values in another type: floats round to nearest, floats become integers by truncation and
    /// saturation, bool means non-zero. The tensor itself if it has the type already.
    ///
    /// # Errors
    /// When memory is short or the data are being written.
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        const OP: &str = "to_dtype";
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        let source = if self.is_contiguous() { self.clone() } else { crate::no_grad(|| self.contiguous())? };
        let output = match (source.dtype(), dtype) {
            // The conversions of mixed precision, spelled out to be fast.
            (DType::F32, DType::BF16) => convert(&source, bf16::from_f32)?,
            (DType::BF16, DType::F32) => convert(&source, bf16::to_f32)?,
            (DType::F32, DType::F16) => convert(&source, f16::from_f32)?,
            (DType::F16, DType::F32) => convert(&source, f16::to_f32)?,
            // All others meet in f64, which holds every value but integers beyond 2^53 exactly.
            (DType::F64, to) => dispatch!(to, B => convert(&source, B::from_double)?),
            (from, DType::F64) => dispatch!(from, A => convert(&source, |x: A| x.to_double())?),
            (_, to) => crate::no_grad(|| source.to_dtype(DType::F64)?.to_dtype(to))?,
        };
        if !wants_grad(&[self]) || !dtype.is_float() {
            return Ok(output);
        }
        let from = self.dtype();
        Ok(record(output, OP, &[self], move |grad, sink| sink.add(0, grad.to_dtype(from)?)))
    }
}

fn convert<A: Element, B: Element>(source: &Tensor, f: impl Fn(A) -> B + Sync) -> Result<Tensor> {
    let mut out = Recycled::<B>::unfilled("to_dtype", source.len())?;
    source.with_slice(|x: &[A]| map(x, &mut out, f))?;
    Tensor::from_buffer("to_dtype", out, source.shape())
}
