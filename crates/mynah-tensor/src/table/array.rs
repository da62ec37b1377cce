//! Arrays of the references: a shape and f64 values in row-major order, and the plainest way to do
//! anything with them.

use crate::error::Result;
use crate::tensor::Tensor;

/// A dense array of f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The sizes of the dimensions.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub data: Vec<f64>,
}

impl Array {
    /// The values of a tensor.
    ///
    /// # Errors
    /// When the tensor is being written.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        Ok(Self { shape: tensor.shape().to_vec(), data: tensor.to_vec()? })
    }

    /// The array whose element at each index is `value(index)`.
    pub fn build(shape: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let count: usize = shape.iter().product();
        let data = (0..count).map(|place| value(&index_of(place, shape))).collect();
        Self { shape: shape.to_vec(), data }
    }

    /// The element at an index.
    ///
    /// # Panics
    /// When the index does not exist.
    pub fn at(&self, index: &[usize]) -> f64 {
        assert_eq!(index.len(), self.shape.len(), "index {index:?} in shape {:?}", self.shape);
        let mut place = 0;
        for (&i, &size) in index.iter().zip(&self.shape) {
            assert!(i < size, "index {index:?} in shape {:?}", self.shape);
            place = place * size + i;
        }
        self.data[place]
    }

    /// f of each element.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().map(|&x| f(x)).collect() }
    }

    /// f of each pair of elements, with broadcasting.
    pub fn zip(&self, other: &Array, f: impl Fn(f64, f64) -> f64) -> Self {
        let rank = self.shape.len().max(other.shape.len());
        let size =
            |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
        let shape: Vec<usize> = (0..rank)
            .map(|axis| match (size(&self.shape, axis), size(&other.shape, axis)) {
                (1, b) => b,
                (a, _) => a,
            })
            .collect();
        Array::build(&shape, |index| f(self.broadcast_at(index), other.broadcast_at(index)))
    }

    /// The element that an index of a larger shape broadcasts from.
    pub fn broadcast_at(&self, index: &[usize]) -> f64 {
        let skip = index.len() - self.shape.len();
        let own: Vec<usize> =
            index[skip..].iter().zip(&self.shape).map(|(&i, &size)| if size == 1 { 0 } else { i }).collect();
        self.at(&own)
    }

    /// Folds the elements over `dims` (all, if none is named).
    pub fn reduce(&self, dims: &[isize], keepdim: bool, start: f64, f: impl Fn(f64, f64) -> f64) -> Self {
        let rank = self.shape.len();
        let reduced: Vec<bool> = (0..rank)
            .map(|axis| dims.is_empty() || dims.iter().any(|&d| d.rem_euclid(rank as isize) as usize == axis))
            .collect();
        let kept: Vec<usize> =
            (0..rank).map(|axis| if reduced[axis] { 1 } else { self.shape[axis] }).collect();
        let mut out = vec![start; kept.iter().product()];
        for (place, &value) in self.data.iter().enumerate() {
            let index = index_of(place, &self.shape);
            let mut to = 0;
            for axis in 0..rank {
                to = to * kept[axis] + if reduced[axis] { 0 } else { index[axis] };
            }
            out[to] = f(out[to], value);
        }
        let shape =
            if keepdim { kept } else { (0..rank).filter(|&a| !reduced[a]).map(|a| kept[a]).collect() };
        Self { shape, data: out }
    }

    /// The same values in another shape.
    pub fn reshaped(self, shape: &[usize]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), self.data.len(), "{:?} to {shape:?}", self.shape);
        Self { shape: shape.to_vec(), data: self.data }
    }

    /// The array as rows of its last dimension.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.data.chunks_exact(self.shape.last().copied().unwrap_or(1).max(1))
    }
}

/// The index of the element at a place in row-major order.
fn index_of(place: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = place;
    let mut index = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        index[axis] = rest % shape[axis];
        rest /= shape[axis];
    }
    index
}
