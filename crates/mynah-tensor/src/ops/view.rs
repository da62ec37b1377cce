//! Views: new shapes and strides over the same data. Each is recorded, so gradients flow through.

use crate::autograd::{record, wants_grad};
use crate::dims::{Dims, MAX_RANK, element_count, resolve_dim};
use crate::dtype::dispatch;
use crate::error::{Error, Result};
use crate::kernels::GRAIN;
use crate::layout::{Layout, walk};
use crate::memory::Recycled;
use crate::tensor::Tensor;

impl Tensor {
    /// The dimensions in another order: `order[i]` is the old number of new dimension i. A view.
    ///
    /// # Errors
    /// When `order` does not name each dimension once.
    pub fn permute(&self, order: &[isize]) -> Result<Tensor> {
        const OP: &str = "permute";
        let output = self.with_layout(self.layout().permute(OP, order)?);
        if !wants_grad(&[self]) {
            return Ok(output);
        }
        let mut inverse = [0isize; MAX_RANK];
        let rank = order.len();
        for (new, &old) in order.iter().enumerate() {
            inverse[resolve_dim(OP, old, rank)?] = new as isize;
        }
        Ok(record(output, OP, &[self], move |grad, sink| sink.add(0, grad.permute(&inverse[..rank])?)))
    }

    /// Two dimensions exchanged. A view.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn transpose(&self, dim_a: isize, dim_b: isize) -> Result<Tensor> {
        const OP: &str = "transpose";
        let (a, b) = (resolve_dim(OP, dim_a, self.rank())?, resolve_dim(OP, dim_b, self.rank())?);
        let mut order: [isize; MAX_RANK] = std::array::from_fn(|i| i as isize);
        order.swap(a, b);
        self.permute(&order[..self.rank()])
    }

    /// The last two dimensions exchanged. A view.
    ///
    /// # Errors
    /// When there are fewer than two.
    pub fn t(&self) -> Result<Tensor> {
        self.transpose(-2, -1)
    }

    /// The same elements in row-major order in another shape; one size may be −1 and is then computed. A
    /// view where strides can express it, else a copy.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(&self, shape: &[isize]) -> Result<Tensor> {
        const OP: &str = "reshape";
        let target = resolve_shape(OP, shape, self)?;
        match self.layout().reshape(&target) {
            Some(layout) => Ok(self.reshaped(OP, layout)),
            None => self.copy()?.reshape(shape),
        }
    }

    /// [`Tensor::reshape`] that never copies.
    ///
    /// # Errors
    /// When the number of elements differs or the strides cannot express the shape.
    pub fn view(&self, shape: &[isize]) -> Result<Tensor> {
        const OP: &str = "view";
        let target = resolve_shape(OP, shape, self)?;
        let layout = self.layout().reshape(&target).ok_or_else(|| {
            Error::shape(
                OP,
                format!(
                    "shape {:?} with strides {:?} cannot be seen as {shape:?} without a copy: use reshape",
                    self.shape(),
                    self.strides()
                ),
            )
        })?;
        Ok(self.reshaped(OP, layout))
    }

    fn reshaped(&self, op: &'static str, layout: Layout) -> Tensor {
        let output = self.with_layout(layout);
        if !wants_grad(&[self]) {
            return output;
        }
        let shape = signed(self.shape());
        let rank = self.rank();
        record(output, op, &[self], move |grad, sink| sink.add(0, grad.reshape(&shape[..rank])?))
    }

    /// Dimensions `first..=last` merged into one.
    ///
    /// # Errors
    /// When they do not exist in this order.
    pub fn flatten(&self, first: isize, last: isize) -> Result<Tensor> {
        const OP: &str = "flatten";
        if self.rank() == 0 {
            return self.reshape(&[1]);
        }
        let (first, last) = (resolve_dim(OP, first, self.rank())?, resolve_dim(OP, last, self.rank())?);
        if first > last {
            return Err(Error::argument(OP, format!("dimension {first} comes after {last}")));
        }
        let mut shape = Vec::with_capacity(MAX_RANK);
        shape.extend(self.shape()[..first].iter().map(|&size| size as isize));
        shape.push(self.shape()[first..=last].iter().product::<usize>() as isize);
        shape.extend(self.shape()[last + 1..].iter().map(|&size| size as isize));
        self.reshape(&shape)
    }

    /// A new dimension of size 1 at position `dim` (−1 appends). A view.
    ///
    /// # Errors
    /// When the position does not exist or there are too many dimensions.
    pub fn unsqueeze(&self, dim: isize) -> Result<Tensor> {
        const OP: &str = "unsqueeze";
        let dim = resolve_dim(OP, dim, self.rank() + 1)?;
        if self.rank() == MAX_RANK {
            return Err(Error::shape(
                OP,
                format!("shape {:?} has {MAX_RANK} dimensions, the most possible", self.shape()),
            ));
        }
        let mut layout = *self.layout();
        layout.shape.insert(dim, 1);
        layout.strides.insert(dim, 0);
        Ok(self.reshaped(OP, layout))
    }

    /// Without dimension `dim`, whose size must be 1. A view.
    ///
    /// # Errors
    /// When it does not exist or has another size.
    pub fn squeeze(&self, dim: isize) -> Result<Tensor> {
        const OP: &str = "squeeze";
        let dim = resolve_dim(OP, dim, self.rank())?;
        if self.shape()[dim] != 1 {
            return Err(Error::shape(
                OP,
                format!("dimension {dim} of shape {:?} is not of size 1", self.shape()),
            ));
        }
        let mut layout = *self.layout();
        layout.shape.remove(dim);
        layout.strides.remove(dim);
        Ok(self.reshaped(OP, layout))
    }

    /// Elements `start..start + len` along `dim`. A view.
    ///
    /// # Errors
    /// When the range does not lie within the dimension.
    pub fn narrow(&self, dim: isize, start: usize, len: usize) -> Result<Tensor> {
        let end = start.checked_add(len).ok_or_else(|| Error::index("narrow", "the range is too long"))?;
        self.sliced("narrow", dim, start, end, 1)
    }

    /// Every `step`-th of the elements `start..end` along `dim`; start and end may count from the end and
    /// are clamped, as in Python. A view.
    ///
    /// # Errors
    /// When the dimension does not exist or the step is zero.
    pub fn slice(&self, dim: isize, start: isize, end: isize, step: usize) -> Result<Tensor> {
        const OP: &str = "slice";
        let size = self.shape()[resolve_dim(OP, dim, self.rank())?] as isize;
        let clamp = |at: isize| (if at < 0 { at.saturating_add(size) } else { at }).clamp(0, size) as usize;
        let (start, end) = (clamp(start), clamp(end));
        self.sliced(OP, dim, start, end.max(start), step)
    }

    /// Element `index` along `dim`, without that dimension. A view.
    ///
    /// # Errors
    /// When dimension or index do not exist.
    pub fn select(&self, dim: isize, index: usize) -> Result<Tensor> {
        let end = index.checked_add(1).ok_or_else(|| Error::index("select", "the index is too large"))?;
        self.sliced("select", dim, index, end, 1)?.squeeze(dim)
    }

    fn sliced(&self, op: &'static str, dim: isize, start: usize, end: usize, step: usize) -> Result<Tensor> {
        let dim = resolve_dim(op, dim, self.rank())?;
        let output = self.with_layout(self.layout().slice(op, dim, start, end, step)?);
        if !wants_grad(&[self]) {
            return Ok(output);
        }
        let layout = Layout::contiguous(op, self.shape())?.slice(op, dim, start, end, step)?;
        let dtype = self.dtype();
        Ok(record(output, op, &[self], move |grad, sink| {
            // The gradient is zero outside of the slice: add to what is there, or to fresh zeros.
            let grad = &grad;
            dispatch!(dtype, T => {
                let reader = grad.reader(op)?;
                let values = reader.all::<T>()?;
                sink.write::<T>(0, |target, accumulate| {
                    if !accumulate {
                        target.fill(T::default());
                    }
                    let from = grad.layout();
                    let layouts = [(&layout.strides[..], layout.offset), (&from.strides[..], from.offset)];
                    walk(grad.shape(), layouts, |[t, f], len, [dt, df]| {
                        for i in 0..len as isize {
                            let place = &mut target[(t as isize + i * dt) as usize];
                            *place = add(*place, values[(f as isize + i * df) as usize]);
                        }
                    });
                    Ok(())
                })
            })
        }))
    }

    /// The elements along `dim` in reverse order. A view.
    ///
    /// # Errors
    /// When there is no such dimension.
    pub fn flip(&self, dim: isize) -> Result<Tensor> {
        const OP: &str = "flip";
        let axis = resolve_dim(OP, dim, self.rank())?;
        let output = self.with_layout(self.layout().flip(axis));
        if !wants_grad(&[self]) {
            return Ok(output);
        }
        Ok(record(output, OP, &[self], move |grad, sink| sink.add(0, grad.flip(dim)?)))
    }

    /// Repeated along dimensions of size 1 and new leading ones to reach `shape`. A view: the copies share
    /// their place.
    ///
    /// # Errors
    /// When another size would have to change.
    pub fn expand(&self, shape: &[usize]) -> Result<Tensor> {
        const OP: &str = "expand";
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let output = self.with_layout(self.layout().expand(OP, shape)?);
        if !wants_grad(&[self]) {
            return Ok(output);
        }
        let dims = self.dims();
        Ok(record(output, OP, &[self], move |grad, sink| sink.add(0, grad.sum_to(&dims)?)))
    }

    /// The tensor itself if its elements lie in row-major order without gaps, else a copy that does.
    ///
    /// # Errors
    /// When the memory does not exist or the data are being written.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() { Ok(self.clone()) } else { self.copy() }
    }

    /// A contiguous copy with its own memory.
    ///
    /// # Errors
    /// When the memory does not exist or the data are being written.
    pub fn copy(&self) -> Result<Tensor> {
        const OP: &str = "copy";
        let output = dispatch!(self.dtype(), T => {
            let reader = self.reader(OP)?;
            let data = reader.all::<T>()?;
            let mut buffer = Recycled::<T>::unfilled(OP, self.len())?;
            if self.is_contiguous() {
                let data = &data[self.range()];
                mynah_kernels::pool::run_chunks_mut(&mut buffer, GRAIN, |i, out| {
                    out.copy_from_slice(&data[i * GRAIN..][..out.len()]);
                });
            } else {
                let layout = self.layout();
                let mut rest = &mut buffer[..];
                walk(self.shape(), [(&layout.strides, layout.offset)], |[start], len, [stride]| {
                    let (here, behind) = std::mem::take(&mut rest).split_at_mut(len);
                    rest = behind;
                    if stride == 1 {
                        here.copy_from_slice(&data[start..start + len]);
                    } else {
                        for (i, place) in here.iter_mut().enumerate() {
                            *place = data[(start as isize + i as isize * stride) as usize];
                        }
                    }
                });
            }
            Tensor::from_buffer(OP, buffer, self.shape())?
        });
        if !wants_grad(&[self]) {
            return Ok(output);
        }
        Ok(record(output, OP, &[self], |grad, sink| sink.add(0, grad)))
    }

    /// Summed over the dimensions along which `shape` was broadcast to this tensor's shape.
    pub(crate) fn sum_to(&self, shape: &[usize]) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let extra = self.rank() - shape.len();
        let mut dims = Vec::with_capacity(MAX_RANK);
        for axis in 0..self.rank() {
            if axis < extra || (shape[axis - extra] == 1 && self.shape()[axis] != 1) {
                dims.push(axis as isize);
            }
        }
        let signed_shape = signed(shape);
        self.sum(&dims, true)?.reshape(&signed_shape[..shape.len()])
    }
}

fn add<T: crate::dtype::Element>(a: T, b: T) -> T {
    T::from_double(a.to_double() + b.to_double())
}

fn signed(shape: &[usize]) -> [isize; MAX_RANK] {
    std::array::from_fn(|i| shape.get(i).map_or(0, |&size| size as isize))
}

/// The sizes asked for, with a −1 replaced by what is left.
fn resolve_shape(op: &'static str, shape: &[isize], tensor: &Tensor) -> Result<Dims> {
    let fail = |why: &str| {
        Error::shape(
            op,
            format!("shape {:?} ({} elements) cannot become {shape:?}: {why}", tensor.shape(), tensor.len()),
        )
    };
    let mut sizes = Vec::with_capacity(shape.len());
    let mut unknown = None;
    for (axis, &size) in shape.iter().enumerate() {
        match size {
            -1 if unknown.is_some() => return Err(fail("only one size may be -1")),
            -1 => {
                unknown = Some(axis);
                sizes.push(1);
            }
            size if size < 0 => return Err(fail("sizes are not negative")),
            size => sizes.push(size as usize),
        }
    }
    let known = element_count(op, &sizes)?;
    if let Some(axis) = unknown {
        if known == 0 || !tensor.len().is_multiple_of(known) {
            return Err(fail("the size for -1 is not a whole number"));
        }
        sizes[axis] = tensor.len() / known;
    } else if known != tensor.len() {
        return Err(fail("the number of elements differs"));
    }
    Dims::from_slice(op, &sizes)
}
