//! Short lists of dimension sizes, kept inline so that making a tensor needs no extra allocation.

use std::ops::{Deref, DerefMut};

use crate::error::{Error, Result};

/// The most dimensions a tensor can have.
pub const MAX_RANK: usize = 8;

/// Up to [`MAX_RANK`] values, stored inline.
#[derive(Clone, Copy)]
pub(crate) struct List<T> {
    len: u8,
    values: [T; MAX_RANK],
}

/// The sizes of the dimensions.
pub(crate) type Dims = List<usize>;
/// The distance in elements between neighbours along each dimension; may be zero or negative.
pub(crate) type Strides = List<isize>;

impl<T: Copy + Default> List<T> {
    pub(crate) fn new() -> Self {
        Self { len: 0, values: [T::default(); MAX_RANK] }
    }

    /// The list with these values.
    pub(crate) fn from_slice(op: &'static str, values: &[T]) -> Result<Self> {
        if values.len() > MAX_RANK {
            let found = values.len();
            return Err(Error::shape(
                op,
                format!("{found} dimensions asked, at most {MAX_RANK} are possible"),
            ));
        }
        let mut list = Self::new();
        list.values[..values.len()].copy_from_slice(values);
        list.len = values.len() as u8;
        Ok(list)
    }

    /// Appends a value. The caller knows that there is room.
    pub(crate) fn push(&mut self, value: T) {
        self.values[self.len as usize] = value;
        self.len += 1;
    }

    pub(crate) fn insert(&mut self, index: usize, value: T) {
        let len = self.len as usize;
        self.values.copy_within(index..len, index + 1);
        self.values[index] = value;
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, index: usize) {
        let len = self.len as usize;
        self.values.copy_within(index + 1..len, index);
        self.len -= 1;
    }

    pub(crate) fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
    }
}

impl<T> Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.values[..self.len as usize]
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.len as usize]
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for List<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

/// The number of elements of a shape.
///
/// # Errors
/// When it does not fit in memory addresses.
pub(crate) fn element_count(op: &'static str, shape: &[usize]) -> Result<usize> {
    // A zero anywhere makes the tensor empty, however large the other dimensions are.
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .filter(|&count| count <= isize::MAX as usize / 16)
        .ok_or_else(|| {
            Error::shape(op, format!("shape {shape:?} has more elements than memory has addresses"))
        })
}

/// Resolves a dimension number that may count from the end (−1 is the last).
pub(crate) fn resolve_dim(op: &'static str, dim: isize, rank: usize) -> Result<usize> {
    let resolved = if dim < 0 { dim + rank as isize } else { dim };
    if (0..rank as isize).contains(&resolved) {
        return Ok(resolved as usize);
    }
    Err(Error::index(op, format!("dimension {dim} does not exist in a tensor with {rank} dimensions")))
}

/// The shape two shapes broadcast to by NumPy's rule: aligned at the last dimension, sizes equal or 1.
pub(crate) fn broadcast_shapes(op: &'static str, a: &[usize], b: &[usize]) -> Result<Dims> {
    let rank = a.len().max(b.len());
    let mut shape = Dims::new();
    for axis in 0..rank {
        let size = |s: &[usize]| (axis + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
        let (x, y) = (size(a), size(b));
        if x != y && x != 1 && y != 1 {
            return Err(Error::shape(
                op,
                format!(
                    "shapes {a:?} and {b:?} do not broadcast: sizes {x} and {y} meet at dimension {axis} of the result; \
                     they must be equal or one of them 1"
                ),
            ));
        }
        shape.push(if x == 1 { y } else { x });
    }
    Ok(shape)
}
