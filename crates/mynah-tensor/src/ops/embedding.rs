//! Rows of a table by number.

use crate::autograd::{Saved, record, wants_grad};
use crate::dims::{MAX_RANK, element_count};
use crate::dtype::DType;
use crate::error::{Error, Result, expect_dtype, expect_rank};
use crate::kernels::{Real, dispatch_real};
use crate::memory::Recycled;
use crate::tensor::Tensor;

/// Row `ids[i]` of the (rows, dim) table for each id: ids of any shape, i64 → (…, dim). The gradient of a
/// leaf table is kept as rows: see [`Tensor::grad_rows`].
///
/// # Errors
/// When an id is no row of the table, or the ids are not i64.
pub fn embedding(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    const OP: &str = "embedding";
    expect_dtype(OP, ids, &[DType::I64])?;
    expect_rank(OP, "the table", table, 2)?;
    expect_dtype(OP, table, &DType::FLOATS)?;
    let (rows, dim) = (table.shape()[0], table.shape()[1]);
    if ids.rank() == MAX_RANK {
        return Err(Error::shape(
            OP,
            format!("the ids have {MAX_RANK} dimensions, the result would have one more"),
        ));
    }
    let ids = ids.contiguous()?;
    let mut shape = ids.dims();
    shape.push(dim);
    let bad = ids.with_slice(|ids: &[i64]| {
        ids.iter().position(|&id| id < 0 || id >= rows as i64).map(|at| (at, ids[at]))
    })?;
    if let Some((at, id)) = bad {
        return Err(Error::index(OP, format!("id {id} at position {at} is not in the table of {rows} rows")));
    }
    if table.dtype().is_half() {
        // Convert the rows that are used, not the table.
        let flat = ids.reshape(&[-1])?;
        let signed: Vec<isize> = shape.iter().map(|&size| size as isize).collect();
        return table.index_select(0, &flat)?.reshape(&signed);
    }
    let table = table.contiguous()?;
    if ids.is_empty() || dim == 0 {
        return Tensor::zeros(&shape, table.dtype());
    }
    dispatch_real!(OP, table, T => {
        let mut out = Recycled::<T>::unfilled(OP, element_count(OP, &shape)?)?;
        table.with_slice(|table: &[T]| ids.with_slice(|ids: &[i64]| T::embedding_forward(table, dim, ids, &mut out)))??;
        let output = Tensor::from_buffer(OP, out, &shape)?;
        if !wants_grad(&[&table]) {
            return Ok(output);
        }
        let ids = Saved::new(&ids);
        Ok(record(output, OP, &[&table], move |grad, sink| {
            let grad = grad.contiguous()?;
            let ids = ids.get(OP)?;
            let sum = grad.with_slice(|dy: &[T]| ids.with_slice(|ids: &[i64]| T::sum_rows(ids, dy, rows, dim)))??;
            drop(grad);
            sink.add_rows(0, sum)
        }))
    })
}
