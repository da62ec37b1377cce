//! Making tensors from values.

use mynah_base::Rng;

use crate::dims::element_count;
use crate::dtype::{DType, Element, dispatch};
use crate::error::{Error, Result};
use crate::memory::Recycled;
use crate::tensor::Tensor;

impl Tensor {
    /// A tensor of this shape over the values in row-major order.
    ///
    /// # Errors
    /// When the number of values is not that of the shape.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: &[usize]) -> Result<Self> {
        const OP: &str = "from_vec";
        let wanted = element_count(OP, shape)?;
        if wanted != values.len() {
            return Err(Error::shape(
                OP,
                format!("{} values given for shape {shape:?}, which has {wanted} elements", values.len()),
            ));
        }
        Self::from_buffer(OP, Recycled::from_vec(values), shape)
    }

    /// A tensor of this shape filled with a copy of the values.
    ///
    /// # Errors
    /// As [`Tensor::from_vec`].
    pub fn from_slice<T: Element>(values: &[T], shape: &[usize]) -> Result<Self> {
        const OP: &str = "from_slice";
        let wanted = element_count(OP, shape)?;
        if wanted != values.len() {
            return Err(Error::shape(
                OP,
                format!("{} values given for shape {shape:?}, which has {wanted} elements", values.len()),
            ));
        }
        let mut buffer = Recycled::unfilled(OP, wanted)?;
        buffer.copy_from_slice(values);
        Self::from_buffer(OP, buffer, shape)
    }

    /// A tensor without dimensions that holds one value.
    pub fn scalar<T: Element>(value: T) -> Self {
        // One element of no dimensions cannot fail to fit.
        let layout = crate::layout::Layout {
            shape: crate::dims::Dims::new(),
            strides: crate::dims::Strides::new(),
            offset: 0,
        };
        let storage = crate::storage::Storage::new(Recycled::from_vec(vec![value]));
        Self::from_parts(std::sync::Arc::new(storage), layout)
    }

    /// Zeros.
    ///
    /// # Errors
    /// When the memory does not exist.
    pub fn zeros(shape: &[usize], dtype: DType) -> Result<Self> {
        const OP: &str = "zeros";
        let len = element_count(OP, shape)?;
        dispatch!(dtype, T => Self::from_buffer(OP, Recycled::<T>::zeroed(OP, len)?, shape))
    }

    /// Ones.
    ///
    /// # Errors
    /// When the memory does not exist.
    pub fn ones(shape: &[usize], dtype: DType) -> Result<Self> {
        Self::full(shape, 1.0, dtype)
    }

    /// One value everywhere.
    ///
    /// # Errors
    /// When the memory does not exist.
    pub fn full(shape: &[usize], value: f64, dtype: DType) -> Result<Self> {
        dispatch!(dtype, T => Self::generate("full", shape, |_| T::from_double(value)))
    }

    /// start, start + step, … up to but without `end`.
    ///
    /// # Errors
    /// When `step` is zero, leads away from `end`, or the count is not finite.
    pub fn arange(start: f64, end: f64, step: f64, dtype: DType) -> Result<Self> {
        const OP: &str = "arange";
        let count = ((end - start) / step).ceil();
        if !count.is_finite() || count < 0.0 {
            return Err(Error::argument(OP, format!("no way from {start} to {end} in steps of {step}")));
        }
        let shape = [count as usize];
        element_count(OP, &shape)?;
        dispatch!(dtype, T => Self::generate(OP, &shape, |i| T::from_double(start + i as f64 * step)))
    }

    /// Uniform numbers in [low, high).
    ///
    /// # Errors
    /// When the type has no fractions or the memory does not exist.
    pub fn uniform(rng: &mut Rng, shape: &[usize], low: f64, high: f64, dtype: DType) -> Result<Self> {
        expect_float("uniform", dtype)?;
        dispatch!(dtype, T => Self::generate("uniform", shape, |_| T::from_double(rng.uniform_in(low, high))))
    }

    /// Normal numbers with this mean and standard deviation.
    ///
    /// # Errors
    /// When the type has no fractions or the memory does not exist.
    pub fn normal(rng: &mut Rng, shape: &[usize], mean: f64, deviation: f64, dtype: DType) -> Result<Self> {
        expect_float("normal", dtype)?;
        dispatch!(dtype, T => Self::generate("normal", shape, |_| T::from_double(mean + deviation * rng.normal())))
    }

    fn generate<T: Element>(
        op: &'static str,
        shape: &[usize],
        mut value: impl FnMut(usize) -> T,
    ) -> Result<Self> {
        let mut buffer = Recycled::<T>::unfilled(op, element_count(op, shape)?)?;
        for (i, place) in buffer.iter_mut().enumerate() {
            *place = value(i);
        }
        Self::from_buffer(op, buffer, shape)
    }

    /// Zeros of this tensor's shape and type.
    ///
    /// # Errors
    /// When the memory does not exist.
    pub fn zeros_like(&self) -> Result<Self> {
        Self::zeros(self.shape(), self.dtype())
    }

    /// Ones of this tensor's shape and type.
    ///
    /// # Errors
    /// When the memory does not exist.
    pub fn ones_like(&self) -> Result<Self> {
        Self::ones(self.shape(), self.dtype())
    }
}

fn expect_float(op: &'static str, dtype: DType) -> Result<()> {
    if dtype.is_float() {
        return Ok(());
    }
    Err(Error::dtype(op, format!("{dtype} has no fractions: ask for a float type")))
}
