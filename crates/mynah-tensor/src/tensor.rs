//! The tensor: a view of a storage, and its place in the autograd graph.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::autograd::{self, Leaf, Node};
use crate::dims::Dims;
use crate::dtype::{DType, Element, dispatch};
use crate::error::{Error, Result};
use crate::layout::{Layout, walk};
use crate::memory::Recycled;
use crate::storage::{Reader, Storage};

/// A multi-dimensional array of one element type. Cloning is cheap and shares the data.
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub storage: Arc<Storage>,
    pub layout: Layout,
    /// Set by `requires_grad_`: where gradients are collected.
    pub leaf: OnceLock<Arc<Leaf>>,
    /// The operation that made this tensor, when a gradient may be asked of it.
    pub node: Option<Arc<Node>>,
}

impl Tensor {
    pub(crate) fn from_parts(storage: Arc<Storage>, layout: Layout) -> Self {
        Tensor(Arc::new(Inner { storage, layout, leaf: OnceLock::new(), node: None }))
    }

    /// A contiguous tensor over a filled buffer whose length is that of the shape.
    pub(crate) fn from_buffer<T: Element>(
        op: &'static str,
        buffer: Recycled<T>,
        shape: &[usize],
    ) -> Result<Self> {
        let layout = Layout::contiguous(op, shape)?;
        if layout.len() != buffer.len() {
            let found = buffer.len();
            return Err(Error::shape(op, format!("{found} elements do not fill shape {shape:?}")));
        }
        Ok(Self::from_parts(Arc::new(Storage::new(buffer)), layout))
    }

    /// Another view of the same data, outside of any graph.
    pub(crate) fn with_layout(&self, layout: Layout) -> Self {
        Self::from_parts(Arc::clone(&self.0.storage), layout)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.0.layout
    }

    pub(crate) fn dims(&self) -> Dims {
        self.0.layout.shape
    }

    /// The sizes of the dimensions; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.0.layout.shape
    }

    /// The distance in elements between neighbours along each dimension.
    pub fn strides(&self) -> &[isize] {
        &self.0.layout.strides
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.layout.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.layout.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.storage.dtype()
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.0.layout.is_contiguous()
    }

    /// Whether two tensors share their data (as views do).
    pub fn shares_storage_with(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0.storage, &other.0.storage)
    }

    /// The size of dimension `dim`, which may count from the end.
    ///
    /// # Errors
    /// When there is no such dimension.
    pub fn size(&self, dim: isize) -> Result<usize> {
        Ok(self.shape()[crate::dims::resolve_dim("size", dim, self.rank())?])
    }

    pub(crate) fn reader(&self, op: &'static str) -> Result<Reader<'_>> {
        self.0.storage.read(op)
    }

    /// The slice of a contiguous tensor inside its storage.
    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        let start = self.0.layout.offset;
        start..start + self.len()
    }

    /// Lends the elements of a contiguous tensor.
    ///
    /// # Errors
    /// When the tensor is not contiguous, holds another type, or is being written.
    pub fn with_slice<T: Element, R>(&self, body: impl FnOnce(&[T]) -> R) -> Result<R> {
        const OP: &str = "with_slice";
        self.expect_contiguous(OP)?;
        let reader = self.reader(OP)?;
        Ok(body(&reader.all::<T>()?[self.range()]))
    }

    /// Lends the elements of a contiguous tensor for writing in place, as optimizers and loaders do. The
    /// graph does not record it; a backward pass that needs the old values reports the change.
    ///
    /// # Errors
    /// When the tensor is not contiguous, holds another type, or is in use.
    pub fn with_slice_mut<T: Element, R>(&self, body: impl FnOnce(&mut [T]) -> R) -> Result<R> {
        const OP: &str = "with_slice_mut";
        self.expect_contiguous(OP)?;
        let mut writer = self.0.storage.write(OP)?;
        Ok(body(&mut writer.all::<T>()?[self.range()]))
    }

    /// [`Tensor::with_slice`] for f32.
    ///
    /// # Errors
    /// As [`Tensor::with_slice`].
    pub fn with_f32<R>(&self, body: impl FnOnce(&[f32]) -> R) -> Result<R> {
        self.with_slice(body)
    }

    /// [`Tensor::with_slice_mut`] for f32.
    ///
    /// # Errors
    /// As [`Tensor::with_slice_mut`].
    pub fn with_f32_mut<R>(&self, body: impl FnOnce(&mut [f32]) -> R) -> Result<R> {
        self.with_slice_mut(body)
    }

    fn expect_contiguous(&self, op: &'static str) -> Result<()> {
        if self.is_contiguous() {
            return Ok(());
        }
        Err(Error::shape(
            op,
            format!(
                "the tensor of shape {:?} with strides {:?} is not contiguous: call contiguous() first",
                self.shape(),
                self.strides()
            ),
        ))
    }

    /// The elements in row-major order, converted to `T` where the tensor holds another type.
    ///
    /// # Errors
    /// When the tensor is being written at this moment.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        const OP: &str = "to_vec";
        let reader = self.reader(OP)?;
        let mut out = Vec::with_capacity(self.len());
        dispatch!(self.dtype(), S => {
            let data = reader.all::<S>()?;
            let layout = self.layout();
            let integers = !S::DTYPE.is_float();
            walk(self.shape(), [(&layout.strides, layout.offset)], |[start], len, [stride]| {
                for i in 0..len {
                    let value = data[(start as isize + i as isize * stride) as usize];
                    out.push(if integers { T::from_int(value.to_int()) } else { T::from_double(value.to_double()) });
                }
            });
        });
        Ok(out)
    }

    /// The only element.
    ///
    /// # Errors
    /// When there is not exactly one element.
    pub fn item(&self) -> Result<f64> {
        if self.len() != 1 {
            return Err(Error::shape(
                "item",
                format!("it takes one element, found shape {:?}", self.shape()),
            ));
        }
        Ok(self.to_vec::<f64>()?[0])
    }

    /// Whether gradients flow into or through this tensor.
    pub fn requires_grad(&self) -> bool {
        self.0.node.is_some() || self.0.leaf.get().is_some()
    }

    /// Whether the tensor was not made by a recorded operation.
    pub fn is_leaf(&self) -> bool {
        self.0.node.is_none()
    }

    /// Makes this tensor (and its clones) collect gradients, and returns it.
    ///
    /// # Errors
    /// When the type has no fractions, or the tensor was made by a recorded operation.
    pub fn requires_grad_(&self) -> Result<Tensor> {
        const OP: &str = "requires_grad_";
        if !self.dtype().is_float() {
            return Err(Error::dtype(OP, format!("{} values have no gradient", self.dtype())));
        }
        if !self.is_leaf() {
            return Err(Error::gradient(
                OP,
                "the tensor is the result of a recorded operation: detach() it first",
            ));
        }
        self.0.leaf.get_or_init(|| Arc::new(Leaf::new(self.dims(), self.dtype())));
        Ok(self.clone())
    }

    /// The same data outside of the graph.
    pub fn detach(&self) -> Tensor {
        self.with_layout(*self.layout())
    }

    /// How often the data have been written; views share the count.
    pub fn version(&self) -> u64 {
        self.0.storage.version()
    }

    /// Overwrites this tensor's elements with those of `source` (broadcast, converted), in place.
    ///
    /// # Errors
    /// When the shapes do not fit, the data are in use, or a recorded operation made this tensor.
    pub fn copy_(&self, source: &Tensor) -> Result<()> {
        const OP: &str = "copy_";
        self.expect_writable(OP)?;
        let source = autograd::no_grad(|| {
            let source = source.to_dtype(self.dtype())?.expand(self.shape())?;
            // A copy onto itself reads a copy.
            if source.shares_storage_with(self) { source.copy() } else { Ok(source) }
        })?;
        let reader = source.reader(OP)?;
        let mut writer = self.0.storage.write(OP)?;
        let (to, from) = (self.layout(), source.layout());
        dispatch!(self.dtype(), T => {
            let (target, values) = (writer.all::<T>()?, reader.all::<T>()?);
            let layouts = [(&to.strides[..], to.offset), (&from.strides[..], from.offset)];
            walk(self.shape(), layouts, |[t, f], len, [dt, df]| {
                if dt == 1 && df == 1 {
                    target[t..t + len].copy_from_slice(&values[f..f + len]);
                } else {
                    for i in 0..len as isize {
                        target[(t as isize + i * dt) as usize] = values[(f as isize + i * df) as usize];
                    }
                }
            });
        });
        Ok(())
    }

    /// Overwrites every element with `value`, in place.
    ///
    /// # Errors
    /// When the data are in use, or a recorded operation made this tensor.
    pub fn fill_(&self, value: f64) -> Result<()> {
        self.expect_writable("fill_")?;
        let mut writer = self.0.storage.write("fill_")?;
        dispatch!(self.dtype(), T => {
            let data = writer.all::<T>()?;
            let value = T::from_double(value);
            let layout = self.layout();
            walk(self.shape(), [(&layout.strides, layout.offset)], |[start], len, [stride]| {
                for i in 0..len as isize {
                    data[(start as isize + i * stride) as usize] = value;
                }
            });
        });
        Ok(())
    }

    fn expect_writable(&self, op: &'static str) -> Result<()> {
        if self.0.node.is_some() || (self.requires_grad() && autograd::grad_enabled()) {
            return Err(Error::gradient(
                op,
                "the tensor takes part in a graph: write inside no_grad(), or to a detach() of it",
            ));
        }
        if self.shape().iter().zip(self.strides()).any(|(&size, &stride)| size > 1 && stride == 0) {
            return Err(Error::argument(
                op,
                "the tensor is expanded, several elements share one place: copy it first",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?}", self.dtype(), self.shape())?;
        if self.len() <= 16
            && let Ok(values) = self.to_vec::<f64>()
        {
            write!(f, ", {values:?}")?;
        }
        if let Some(node) = &self.0.node {
            write!(f, ", made by {}", node.op())?;
        } else if self.requires_grad() {
            write!(f, ", requires grad")?;
        }
        write!(f, ")")
    }
}
