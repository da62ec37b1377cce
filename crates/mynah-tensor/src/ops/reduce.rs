//! Reductions over dimensions.

use mynah_kernels::pool;

use crate::autograd::{Saved, record, wants_grad};
use crate::dims::{Dims, MAX_RANK, resolve_dim};
use crate::dtype::{DType, Element, dispatch};
use crate::error::{Error, Result, expect_dtype};
use crate::kernels::{GRAIN, Real, sum, via_f32};
use crate::memory::Recycled;
use crate::tensor::Tensor;

/// Which dimensions a reduction goes over, and the shapes around it.
struct Plan {
    /// The shape with the reduced dimensions at size 1.
    kept: Dims,
    /// The shape without them.
    squeezed: Dims,
    /// Kept dimensions first, reduced ones last.
    order: [isize; MAX_RANK],
    /// Elements that each result is made of.
    count: usize,
    /// Whether the reduced dimensions are the first ones.
    leading: bool,
}

impl Plan {
    /// No dimensions given means all.
    fn new(op: &'static str, x: &Tensor, dims: &[isize]) -> Result<Self> {
        let rank = x.rank();
        let mut reduced = [dims.is_empty(); MAX_RANK];
        for &dim in dims {
            let dim = resolve_dim(op, dim, rank)?;
            if std::mem::replace(&mut reduced[dim], true) {
                return Err(Error::argument(op, format!("dimension {dim} is named twice in {dims:?}")));
            }
        }
        let (mut kept, mut squeezed, mut count) = (Dims::new(), Dims::new(), 1);
        let mut order = [0; MAX_RANK];
        let mut next = 0;
        for (axis, &size) in x.shape().iter().enumerate() {
            kept.push(if reduced[axis] { 1 } else { size });
            if reduced[axis] {
                count *= size;
            } else {
                squeezed.push(size);
                order[next] = axis as isize;
                next += 1;
            }
        }
        for axis in (0..rank).filter(|&axis| reduced[axis]) {
            order[next] = axis as isize;
            next += 1;
        }
        let split = reduced[..rank].iter().take_while(|&&r| r).count();
        let leading = split > 0 && reduced[split..rank].iter().all(|&r| !r);
        Ok(Self { kept, squeezed, order, count, leading })
    }

    fn shape(&self, keepdim: bool) -> &Dims {
        if keepdim { &self.kept } else { &self.squeezed }
    }

    /// The elements with those of each result in a row.
    fn rows(&self, x: &Tensor) -> Result<Tensor> {
        crate::no_grad(|| x.permute(&self.order[..x.rank()])?.contiguous())
    }
}

impl Tensor {
    /// The sum over `dims` (all, if none is named). Floats sum in their own type, integers and masks in
    /// i64. With `keepdim` the dimensions stay with size 1.
    ///
    /// # Errors
    /// When a dimension does not exist.
    pub fn sum(&self, dims: &[isize], keepdim: bool) -> Result<Tensor> {
        const OP: &str = "sum";
        let plan = Plan::new(OP, self, dims)?;
        let shape = plan.shape(keepdim);
        let output = match self.dtype() {
            dtype if dtype.is_half() => return via_f32(&[self], |x| x[0].sum(dims, keepdim)),
            DType::F32 => sums::<f32>(self, &plan, shape)?,
            DType::F64 => sums::<f64>(self, &plan, shape)?,
            dtype => {
                let rows = plan.rows(self)?;
                dispatch!(dtype, T => {
                    let total = |row: &[T]| row.iter().fold(0i64, |sum, x| sum.wrapping_add(x.to_int()));
                    reduce_rows::<T, i64>(OP, &rows, &plan, shape, total)?
                })
            }
        };
        if !wants_grad(&[self]) {
            return Ok(output);
        }
        let (kept, whole) = (plan.kept, self.dims());
        Ok(record(output, OP, &[self], move |grad, sink| {
            sink.add(0, as_shape(&grad, &kept)?.expand(&whole)?)
        }))
    }

    /// The mean over `dims` (all, if none is named), for float types.
    ///
    /// # Errors
    /// When a dimension does not exist or the type has no fractions.
    pub fn mean(&self, dims: &[isize], keepdim: bool) -> Result<Tensor> {
        const OP: &str = "mean";
        expect_dtype(OP, self, &DType::FLOATS)?;
        if self.dtype().is_half() {
            return via_f32(&[self], |x| x[0].mean(dims, keepdim));
        }
        let count = Plan::new(OP, self, dims)?.count;
        self.sum(dims, keepdim)?.mul_scalar(1.0 / count as f64)
    }

    /// The greatest element over `dims` (all, if none is named). Equal ones share the gradient.
    ///
    /// # Errors
    /// When a dimension does not exist or there are no elements to choose from.
    pub fn max(&self, dims: &[isize], keepdim: bool) -> Result<Tensor> {
        extreme("max", self, dims, keepdim, Best::Greatest)
    }

    /// The smallest element over `dims` (all, if none is named). Equal ones share the gradient.
    ///
    /// # Errors
    /// When a dimension does not exist or there are no elements to choose from.
    pub fn min(&self, dims: &[isize], keepdim: bool) -> Result<Tensor> {
        extreme("min", self, dims, keepdim, Best::Smallest)
    }

    /// The index of the greatest element along `dim`, as i64; the first of equal ones, a NaN before all.
    ///
    /// # Errors
    /// When the dimension does not exist or is empty.
    pub fn argmax(&self, dim: isize, keepdim: bool) -> Result<Tensor> {
        arg_extreme("argmax", self, dim, keepdim, Best::Greatest)
    }

    /// The index of the smallest element along `dim`, as i64; the first of equal ones, a NaN before all.
    ///
    /// # Errors
    /// When the dimension does not exist or is empty.
    pub fn argmin(&self, dim: isize, keepdim: bool) -> Result<Tensor> {
        arg_extreme("argmin", self, dim, keepdim, Best::Smallest)
    }
}

/// The tensor in a shape of as many elements.
fn as_shape(x: &Tensor, shape: &Dims) -> Result<Tensor> {
    let signed: [isize; MAX_RANK] = std::array::from_fn(|i| shape.get(i).map_or(0, |&size| size as isize));
    x.reshape(&signed[..shape.len()])
}

fn sums<T: Real>(x: &Tensor, plan: &Plan, shape: &Dims) -> Result<Tensor> {
    const OP: &str = "sum";
    if plan.leading && plan.count > 1 && x.is_contiguous() && plan.squeezed.iter().product::<usize>() > 1 {
        return sum_leading::<T>(x, plan.count, shape);
    }
    let rows = plan.rows(x)?;
    reduce_rows::<T, T>(OP, &rows, plan, shape, |row| T::from_double(sum(row)))
}

/// The sum over leading dimensions: rows are added to one row, so memory is read in order.
fn sum_leading<T: Real>(x: &Tensor, count: usize, shape: &Dims) -> Result<Tensor> {
    const OP: &str = "sum";
    let width = x.len() / count;
    let mut out = Recycled::<T>::unfilled(OP, width)?;
    x.with_slice(|x: &[T]| {
        // Columns are shared out, so the order of additions does not depend on the threads.
        const COLUMNS: usize = 256;
        pool::run_chunks_mut(&mut out, COLUMNS, |i, out| {
            let start = i * COLUMNS;
            let mut totals = [0f64; COLUMNS];
            for row in x.chunks_exact(width) {
                for (total, &value) in totals.iter_mut().zip(&row[start..start + out.len()]) {
                    *total += value.to_double();
                }
            }
            for (out, &total) in out.iter_mut().zip(&totals) {
                *out = T::from_double(total);
            }
        });
    })?;
    Tensor::from_buffer(OP, out, shape)
}

fn reduce_rows<T: Element, R: Element>(
    op: &'static str,
    rows: &Tensor,
    plan: &Plan,
    shape: &Dims,
    f: impl Fn(&[T]) -> R + Sync,
) -> Result<Tensor> {
    let mut out = Recycled::<R>::unfilled(op, shape.iter().product())?;
    let count = plan.count;
    rows.with_slice(|x: &[T]| {
        if out.len() == 1 {
            // One long row: the function itself may use the threads.
            out[0] = f(x);
            return;
        }
        let per_task = (GRAIN / count.max(1)).max(1);
        pool::run_chunks_mut(&mut out, per_task, |i, out| {
            for (j, out) in out.iter_mut().enumerate() {
                *out = f(&x[(i * per_task + j) * count..][..count]);
            }
        });
    })?;
    Tensor::from_buffer(op, out, shape)
}

fn refuse_empty(op: &'static str, x: &Tensor, plan: &Plan) -> Result<()> {
    if plan.count == 0 && plan.squeezed.iter().product::<usize>() > 0 {
        return Err(Error::shape(op, format!("shape {:?} has no elements to choose from", x.shape())));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Best {
    Greatest,
    Smallest,
}

/// The first element that none beats; a NaN, which is unequal to itself, wins at once.
fn best_index<T: Element>(row: &[T], which: Best) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if value.partial_cmp(value).is_none() {
            return i;
        }
        let beats = match which {
            Best::Greatest => *value > row[best],
            Best::Smallest => *value < row[best],
        };
        if beats {
            best = i;
        }
    }
    best
}

fn extreme(op: &'static str, x: &Tensor, dims: &[isize], keepdim: bool, best: Best) -> Result<Tensor> {
    let plan = Plan::new(op, x, dims)?;
    refuse_empty(op, x, &plan)?;
    let rows = plan.rows(x)?;
    let shape = plan.shape(keepdim);
    let output = dispatch!(x.dtype(), T => {
        reduce_rows::<T, T>(op, &rows, &plan, shape, |row| row[best_index(row, best)])?
    });
    if !wants_grad(&[x]) {
        return Ok(output);
    }
    let (kept, whole) = (plan.kept, x.dims());
    let (saved_x, saved_y) = (Saved::new(x), Saved::new(&output));
    Ok(record(output, op, &[x], move |grad, sink| {
        let extreme = as_shape(saved_y.get(op)?, &kept)?.expand(&whole)?;
        let mask = saved_x.get(op)?.eq(&extreme)?.to_dtype(grad.dtype())?;
        let axes: Vec<isize> =
            (0..whole.len()).filter(|&i| kept[i] != whole[i]).map(|i| i as isize).collect();
        let ties = if axes.is_empty() { mask.clone() } else { mask.sum(&axes, true)? };
        sink.add(0, mask.mul(&as_shape(&grad, &kept)?.div(&ties)?)?)
    }))
}

fn arg_extreme(op: &'static str, x: &Tensor, dim: isize, keepdim: bool, best: Best) -> Result<Tensor> {
    let plan = Plan::new(op, x, &[dim])?;
    refuse_empty(op, x, &plan)?;
    let rows = plan.rows(x)?;
    dispatch!(x.dtype(), T => {
        reduce_rows::<T, i64>(op, &rows, &plan, plan.shape(keepdim), |row| best_index(row, best) as i64)
    })
}
