//! Gradients of tables of which a step touches few rows.

use std::sync::{Arc, Mutex, PoisonError};

use mynah_kernels::nn::SparseRows;

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The gradient of a (rows, dim) table as the rows that are not zero: ascending ids, each once, and a row
/// of values for each. Cloning is cheap.
#[derive(Clone)]
pub struct RowGrad {
    values: Arc<Values>,
    table_rows: usize,
    dim: usize,
}

enum Values {
    F32(SparseRows<f32>),
    F64(SparseRows<f64>),
}

/// Row buffers that wait for the next step.
static IDLE: Mutex<Vec<SparseRows<f32>>> = Mutex::new(Vec::new());

/// More than any model has embedding tables.
const IDLE_MAX: usize = 64;

impl Drop for Values {
    fn drop(&mut self) {
        if let Values::F32(rows) = self {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(std::mem::take(rows));
            }
        }
    }
}

impl RowGrad {
    /// The ids of the rows, ascending.
    pub fn ids(&self) -> &[i64] {
        match &*self.values {
            Values::F32(rows) => &rows.ids,
            Values::F64(rows) => &rows.ids,
        }
    }

    /// The length of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The values, (ids, dim), of an f32 table, as the kernels take them.
    pub fn as_f32(&self) -> Option<&SparseRows<f32>> {
        if let Values::F32(rows) = &*self.values { Some(rows) } else { None }
    }

    /// The values, (ids, dim), of an f64 table.
    pub fn as_f64(&self) -> Option<&SparseRows<f64>> {
        if let Values::F64(rows) = &*self.values { Some(rows) } else { None }
    }

    /// Sums the rows of `dy` (ids, dim) by id.
    pub(crate) fn sum_f32(ids: &[i64], dy: &[f32], table_rows: usize, dim: usize) -> Self {
        let mut rows = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        mynah_kernels::nn::embedding_backward(ids, dy, dim, &mut rows);
        Self { values: Arc::new(Values::F32(rows)), table_rows, dim }
    }

    /// [`RowGrad::sum_f32`] in double precision.
    pub(crate) fn sum_f64(ids: &[i64], dy: &[f64], table_rows: usize, dim: usize) -> Self {
        let mut rows = SparseRows::default();
        mynah_kernels::nn::reference::embedding_backward(ids, dy, dim, &mut rows);
        Self { values: Arc::new(Values::F64(rows)), table_rows, dim }
    }

    /// The sum of two gradients of one table.
    pub(crate) fn merge(self, other: &RowGrad) -> Result<Self> {
        // The kernel sums rows by id: give it both lists, one after the other.
        let ids = [self.ids(), other.ids()].concat();
        match (&*self.values, &*other.values) {
            (Values::F32(a), Values::F32(b)) => {
                Ok(Self::sum_f32(&ids, &[&a.rows[..], &b.rows[..]].concat(), self.table_rows, self.dim))
            }
            (Values::F64(a), Values::F64(b)) => {
                Ok(Self::sum_f64(&ids, &[&a.rows[..], &b.rows[..]].concat(), self.table_rows, self.dim))
            }
            _ => Err(Error::dtype("embedding", "row gradients of different types meet in one table")),
        }
    }

    /// Adds the rows to a dense (rows, dim) gradient in place.
    pub(crate) fn add_to(&self, dense: &Tensor) -> Result<()> {
        match &*self.values {
            Values::F32(rows) => dense.with_slice_mut(|data: &mut [f32]| scatter(data, rows, self.dim)),
            Values::F64(rows) => dense.with_slice_mut(|data: &mut [f64]| scatter(data, rows, self.dim)),
        }
    }

    /// The gradient with its zeros.
    ///
    /// # Errors
    /// When the memory does not exist.
    pub fn to_dense(&self) -> Result<Tensor> {
        let dtype = match &*self.values {
            Values::F32(_) => crate::DType::F32,
            Values::F64(_) => crate::DType::F64,
        };
        let dense = Tensor::zeros(&[self.table_rows, self.dim], dtype)?;
        self.add_to(&dense)?;
        Ok(dense)
    }
}

fn scatter<T: Copy + std::ops::AddAssign>(dense: &mut [T], sparse: &SparseRows<T>, dim: usize) {
    for (&id, row) in sparse.ids.iter().zip(sparse.rows.chunks_exact(dim)) {
        for (place, &value) in dense[id as usize * dim..][..dim].iter_mut().zip(row) {
            *place += value;
        }
    }
}
