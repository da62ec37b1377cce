//! Matrices as strided views over slices, and what is done with a product.

use crate::float::Float;
use std::ops::Range;

/// A read-only matrix: element (i, j) is `data[i * row_stride + j * col_stride]`.
///
/// Strides are in elements and may be anything, 0 included (a repeated row), as long as the last
/// element is inside `data`. A transposed matrix is the same data with the strides exchanged.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> MatRef<'a, T> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// A matrix with any strides.
    ///
    /// # Panics
    /// If the last element lies outside `data`.
    pub fn with_strides(
        data: &'a [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        check_bounds(data.len(), rows, cols, row_stride, col_stride);
        Self { data, rows, cols, row_stride, col_stride }
    }

    /// The transposed view.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// The view of the rows in `range`.
    ///
    /// # Panics
    /// If `range` is not inside `0..rows`.
    pub fn row_range(self, range: Range<usize>) -> Self {
        check_range(&range, self.rows, "rows");
        let rows = range.len();
        let skip = if rows == 0 || self.cols == 0 { 0 } else { range.start * self.row_stride };
        Self { data: &self.data[skip..], rows, ..self }
    }

    /// The view of the columns in `range`.
    ///
    /// # Panics
    /// If `range` is not inside `0..cols`.
    pub fn col_range(self, range: Range<usize>) -> Self {
        self.t().row_range(range).t()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from one row to the next.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// Elements from one column to the next.
    pub fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// The slice under the view, from element (0, 0) on.
    pub fn data(&self) -> &'a [T] {
        self.data
    }
}

impl<T: Copy> MatRef<'_, T> {
    /// Element (i, j).
    pub fn at(&self, i: usize, j: usize) -> T {
        assert!(i < self.rows && j < self.cols, "({i}, {j}) is outside a {}x{} matrix", self.rows, self.cols);
        self.data[i * self.row_stride + j * self.col_stride]
    }
}

/// A matrix to write to, laid out as [`MatRef`]. No two elements may share a place.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> MatMut<'a, T> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// A matrix whose rows or columns may lie apart.
    ///
    /// # Panics
    /// If the last element lies outside `data`, or if the strides make elements overlap.
    pub fn with_strides(
        data: &'a mut [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        check_bounds(data.len(), rows, cols, row_stride, col_stride);
        // After check_bounds no product below can overflow, unless the matrix is empty.
        let apart = rows == 0
            || cols == 0
            || (rows == 1 || row_stride > (cols - 1) * col_stride) && (cols == 1 || col_stride > 0)
            || (cols == 1 || col_stride > (rows - 1) * row_stride) && (rows == 1 || row_stride > 0);
        assert!(
            apart,
            "a {rows}x{cols} matrix to write to has overlapping elements with strides ({row_stride}, {col_stride})"
        );
        Self { data, rows, cols, row_stride, col_stride }
    }

    /// The transposed view.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// The same matrix, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> MatMut<'_, T> {
        MatMut { data: self.data, ..*self }
    }

    /// The same matrix, to read.
    pub fn as_ref(&self) -> MatRef<'_, T> {
        MatRef {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            col_stride: self.col_stride,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from one row to the next.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// Elements from one column to the next.
    pub fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// The slice under the view, from element (0, 0) on.
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data
    }
}

/// What becomes of a finished product p = a·b. The other matrix `o` of the variants that have one lies
/// under the same strides as c: its element (i, j) is at `o[i * c.row_stride + j * c.col_stride]`.
#[derive(Clone, Copy, Debug)]
pub enum Store<'a, T> {
    /// c = p
    Overwrite,
    /// c = c + p
    Accumulate,
    /// c = p + o
    Add(&'a [T]),
    /// c = alpha·p + beta·o
    AddScaled {
        /// Factor of the product.
        alpha: T,
        /// Factor of the other matrix.
        beta: T,
        /// The other matrix.
        other: &'a [T],
    },
    /// c = p · 2·max(o, 0): the gradient through `ReluSquare`, o being what it was applied to.
    MulReluSquareGrad(&'a [T]),
}

impl<'a, T: Float> Store<'a, T> {
    /// The other matrix, if there is one.
    pub(crate) fn other(&self) -> Option<&'a [T]> {
        match *self {
            Store::Overwrite | Store::Accumulate => None,
            Store::Add(other) | Store::AddScaled { other, .. } | Store::MulReluSquareGrad(other) => {
                Some(other)
            }
        }
    }

    /// What element `c` becomes when its product is `p`; `at` is its place under the strides.
    pub(crate) fn finish(&self, p: T, c: T, at: usize) -> T {
        match *self {
            Store::Overwrite => p,
            Store::Accumulate => c + p,
            Store::Add(other) => p + other[at],
            Store::AddScaled { alpha, beta, other } => alpha * p + beta * other[at],
            Store::MulReluSquareGrad(pre) => p * relu_square_grad(pre[at]),
        }
    }
}

/// A function applied to every element of an operand as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// x
    Identity,
    /// max(x, 0)²
    ReluSquare,
}

impl Map {
    /// The function's value. NaN stays NaN.
    #[inline(always)]
    pub(crate) fn apply<T: Float>(self, x: T) -> T {
        match self {
            Map::Identity => x,
            Map::ReluSquare => {
                let positive = if x < T::ZERO { T::ZERO } else { x };
                positive * positive
            }
        }
    }
}

/// d/dx max(x, 0)² = 2·max(x, 0). NaN stays NaN.
#[inline(always)]
pub(crate) fn relu_square_grad<T: Float>(x: T) -> T {
    let positive = if x < T::ZERO { T::ZERO } else { x };
    positive + positive
}

fn check_range(range: &Range<usize>, len: usize, what: &str) {
    assert!(range.start <= range.end && range.end <= len, "{what} {range:?} of a matrix with {len} {what}");
}

/// Panics unless the last element of the matrix lies inside `len` elements.
pub(crate) fn check_bounds(len: usize, rows: usize, cols: usize, row_stride: usize, col_stride: usize) {
    if rows == 0 || cols == 0 {
        return;
    }
    let last = (rows - 1)
        .checked_mul(row_stride)
        .and_then(|r| (cols - 1).checked_mul(col_stride).and_then(|c| r.checked_add(c)));
    assert!(
        last.is_some_and(|last| last < len),
        "a {rows}x{cols} matrix with strides ({row_stride}, {col_stride}) does not fit in {len} elements"
    );
}

/// Panics unless a (m, k), b (k, n), c (m, n) and the matrix in `store` belong together.
pub(crate) fn check_product<T: Float>(
    a: &MatRef<'_, T>,
    b: &MatRef<'_, T>,
    c: &MatMut<'_, T>,
    store: &Store<'_, T>,
) {
    assert!(
        a.cols == b.rows && a.rows == c.rows && b.cols == c.cols,
        "cannot multiply {}x{} by {}x{} into {}x{}",
        a.rows,
        a.cols,
        b.rows,
        b.cols,
        c.rows,
        c.cols
    );
    if let Some(other) = store.other() {
        check_bounds(other.len(), c.rows, c.cols, c.row_stride, c.col_stride);
    }
}
