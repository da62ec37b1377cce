//! Where the elements of a tensor lie in its storage, and the views that only change that.

use crate::dims::{Dims, MAX_RANK, Strides, element_count, resolve_dim};
use crate::error::{Error, Result};

/// Shape, strides and offset, in elements. Views are new layouts over the same storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layout {
    pub shape: Dims,
    pub strides: Strides,
    pub offset: usize,
}

impl Layout {
    /// Row-major, without gaps, from the start of the storage.
    pub fn contiguous(op: &'static str, shape: &[usize]) -> Result<Self> {
        element_count(op, shape)?;
        let shape = Dims::from_slice(op, shape)?;
        Ok(Self { shape, strides: row_major(&shape), offset: 0 })
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements lie in order without gaps (dimensions of size 1 may have any stride).
    pub fn is_contiguous(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let mut expected = 1isize;
        for (&size, &stride) in self.shape.iter().zip(self.strides.iter()).rev() {
            if size != 1 {
                if stride != expected {
                    return false;
                }
                expected *= size as isize;
            }
        }
        true
    }

    /// The dimensions in the order given.
    pub fn permute(&self, op: &'static str, order: &[isize]) -> Result<Self> {
        let rank = self.shape.len();
        if order.len() != rank {
            return Err(Error::shape(
                op,
                format!("order {order:?} must name each dimension of {:?} once", self.shape),
            ));
        }
        let mut seen = [false; MAX_RANK];
        let (mut shape, mut strides) = (Dims::new(), Strides::new());
        for &dim in order {
            let dim = resolve_dim(op, dim, rank)?;
            if std::mem::replace(&mut seen[dim], true) {
                return Err(Error::shape(op, format!("order {order:?} names dimension {dim} twice")));
            }
            shape.push(self.shape[dim]);
            strides.push(self.strides[dim]);
        }
        Ok(Self { shape, strides, offset: self.offset })
    }

    /// Every `step`-th of the elements `start..end` along `dim` (`step` ≥ 1, range within the size).
    pub fn slice(&self, op: &'static str, dim: usize, start: usize, end: usize, step: usize) -> Result<Self> {
        let size = self.shape[dim];
        if start > end || end > size || step == 0 {
            return Err(Error::index(
                op,
                format!(
                    "range {start}..{end} with step {step} does not fit dimension {dim} of shape {:?}",
                    self.shape
                ),
            ));
        }
        let mut layout = *self;
        layout.shape[dim] = (end - start).div_ceil(step);
        layout.strides[dim] = self.strides[dim] * step as isize;
        // An empty view keeps its offset, which then always lies inside the storage.
        if layout.shape[dim] > 0 {
            layout.offset = (self.offset as isize + start as isize * self.strides[dim]) as usize;
        }
        Ok(layout)
    }

    /// The elements along `dim` in reverse order.
    pub fn flip(&self, dim: usize) -> Self {
        let mut layout = *self;
        let size = self.shape[dim];
        if size > 1 && self.len() > 0 {
            layout.offset = (self.offset as isize + (size - 1) as isize * self.strides[dim]) as usize;
        }
        layout.strides[dim] = -self.strides[dim];
        layout
    }

    /// Repeats dimensions of size 1 (and new leading ones) to reach `shape`, without copying.
    pub fn expand(&self, op: &'static str, shape: &[usize]) -> Result<Self> {
        element_count(op, shape)?;
        let rank = shape.len();
        let old = self.shape.len();
        let fail = || {
            Error::shape(
                op,
                format!(
                    "shape {:?} cannot be expanded to {shape:?}: only sizes of 1 and new leading dimensions can grow",
                    self.shape
                ),
            )
        };
        if rank < old {
            return Err(fail());
        }
        let mut strides = Strides::new();
        let target = Dims::from_slice(op, shape)?;
        for (axis, &size) in shape.iter().enumerate() {
            let stride = match (axis + old).checked_sub(rank) {
                None => 0,
                Some(i) if self.shape[i] == size => self.strides[i],
                Some(i) if self.shape[i] == 1 => 0,
                Some(_) => return Err(fail()),
            };
            strides.push(stride);
        }
        Ok(Self { shape: target, strides, offset: self.offset })
    }

    /// The same elements in another shape of as many, if strides can express it.
    pub fn reshape(&self, shape: &Dims) -> Option<Self> {
        let mut strides = row_major(shape);
        if self.is_contiguous() {
            return Some(Self { shape: *shape, strides, offset: self.offset });
        }
        // The old dimensions merged into runs that lie in memory like one, outermost first. A new
        // dimension must divide a run; it cannot reach over two.
        let mut runs = [(1usize, 0isize); MAX_RANK];
        let mut count = 0;
        for (&size, &stride) in self.shape.iter().zip(self.strides.iter()).filter(|&(&size, _)| size != 1) {
            if count > 0 && runs[count - 1].1 == stride * size as isize {
                runs[count - 1] = (runs[count - 1].0 * size, stride);
            } else {
                runs[count] = (size, stride);
                count += 1;
            }
        }
        let mut runs = runs[..count].iter().rev();
        let (mut left, mut stride) = (1, 0);
        for axis in (0..shape.len()).rev().filter(|&axis| shape[axis] != 1) {
            if left == 1 {
                (left, stride) = *runs.next()?;
            }
            if left % shape[axis] != 0 {
                return None;
            }
            strides[axis] = stride;
            stride *= shape[axis] as isize;
            left /= shape[axis];
        }
        Some(Self { shape: *shape, strides, offset: self.offset })
    }
}

/// The strides of a row-major layout without gaps.
pub(crate) fn row_major(shape: &Dims) -> Strides {
    let mut strides = Strides::new();
    for _ in shape.iter() {
        strides.push(0);
    }
    let mut stride = 1isize;
    for axis in (0..shape.len()).rev() {
        strides[axis] = stride;
        stride = stride.saturating_mul(shape[axis].max(1) as isize);
    }
    strides
}

/// Walks several layouts of one shape together. Neighbouring dimensions that every layout steps through
/// evenly are merged first, so `visit` gets long inner runs: the element offsets of their starts, their
/// length, and the stride of each layout inside.
pub(crate) fn walk<const N: usize>(
    shape: &[usize],
    layouts: [(&[isize], usize); N],
    mut visit: impl FnMut([usize; N], usize, [isize; N]),
) {
    if shape.contains(&0) {
        return;
    }
    // Merged dimensions, innermost first.
    let mut sizes = [1usize; MAX_RANK];
    let mut strides = [[0isize; N]; MAX_RANK];
    let mut rank = 0;
    for axis in (0..shape.len()).rev() {
        if shape[axis] == 1 {
            continue;
        }
        let here: [isize; N] = std::array::from_fn(|n| layouts[n].0[axis]);
        let merges = rank > 0 && (0..N).all(|n| here[n] == strides[rank - 1][n] * sizes[rank - 1] as isize);
        if merges {
            sizes[rank - 1] *= shape[axis];
        } else {
            sizes[rank] = shape[axis];
            strides[rank] = here;
            rank += 1;
        }
    }
    let mut at: [isize; N] = std::array::from_fn(|n| layouts[n].1 as isize);
    let mut index = [0usize; MAX_RANK];
    loop {
        visit(at.map(|offset| offset as usize), sizes[0], strides[0]);
        let mut axis = 1;
        loop {
            if axis >= rank {
                return;
            }
            index[axis] += 1;
            for n in 0..N {
                at[n] += strides[axis][n];
            }
            if index[axis] < sizes[axis] {
                break;
            }
            index[axis] = 0;
            for n in 0..N {
                at[n] -= strides[axis][n] * sizes[axis] as isize;
            }
            axis += 1;
        }
    }
}
