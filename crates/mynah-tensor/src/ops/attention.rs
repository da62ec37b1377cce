//! Causal attention that never builds the matrix of scores.

use mynah_kernels::nn::{AttentionShape, Rows, RowsMut};

use crate::autograd::{Saved, record, wants_grad};
use crate::error::{Error, Result, expect_rank, expect_same_dtype, expect_shape};
use crate::kernels::{Real, dispatch_real, via_f32};
use crate::memory::Recycled;
use crate::ops::linear::{as_rows, rows_data};
use crate::tensor::Tensor;

/// softmax(scale·q·kᵀ)·v with a causal mask: q (B, T, H, D), k and v (B, T, Hkv, D) → (B, T, H, D). Query
/// head h uses key head h/(H/Hkv) (Ainslie et al. 2023). With a window W, query i sees keys i−W ≤ j ≤ i.
/// Scores live in tiles only (Dao et al. 2022). The inputs may be views with gaps between their tokens.
///
/// # Errors
/// When sizes or types do not fit, or H is no multiple of Hkv.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, window: Option<usize>, scale: f64) -> Result<Tensor> {
    const OP: &str = "attention";
    expect_rank(OP, "q", q, 4)?;
    expect_rank(OP, "k", k, 4)?;
    expect_same_dtype(OP, q, k)?;
    expect_same_dtype(OP, q, v)?;
    let &[batch, tokens, heads, head_dim] = q.shape() else {
        return Err(Error::shape(OP, "q needs 4 dimensions"));
    };
    let kv_heads = k.shape()[2];
    expect_shape(OP, "k", k, &[batch, tokens, kv_heads, head_dim])?;
    expect_shape(OP, "v", v, k.shape())?;
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(Error::shape(
            OP,
            format!(
                "{heads} query heads cannot share {kv_heads} key heads evenly: q {:?}, k {:?}",
                q.shape(),
                k.shape()
            ),
        ));
    }
    if q.dtype().is_half() {
        return via_f32(&[q, k, v], |wide| attention(wide[0], wide[1], wide[2], window, scale));
    }
    if q.is_empty() {
        return q.mul_scalar(1.0);
    }
    let shape = AttentionShape { batch, tokens, heads, kv_heads, head_dim, causal: true, window, scale };
    let ((q, view_q), (k, view_k), (v, view_v)) = (as_rows(q, 2)?, as_rows(k, 2)?, as_rows(v, 2)?);
    let (width, key_width) = (heads * head_dim, kv_heads * head_dim);
    dispatch_real!(OP, q, T => {
        let mut out = Recycled::<T>::unfilled(OP, q.len())?;
        let mut lse = Recycled::<T>::unfilled(OP, batch * heads * tokens)?;
        {
            let (rq, rk, rv) = (q.reader(OP)?, k.reader(OP)?, v.reader(OP)?);
            T::attention_forward(
                &shape,
                Rows::new(rows_data(rq.all()?, &q), view_q.stride),
                Rows::new(rows_data(rk.all()?, &k), view_k.stride),
                Rows::new(rows_data(rv.all()?, &v), view_v.stride),
                RowsMut::new(&mut out, width),
                &mut lse,
            );
        }
        let output = Tensor::from_buffer(OP, out, q.shape())?;
        if !wants_grad(&[&q, &k, &v]) {
            return Ok(output);
        }
        let kept = [Saved::new(&q), Saved::new(&k), Saved::new(&v), Saved::new(&output)];
        Ok(record(output, OP, &[&q, &k, &v], move |grad, sink| {
            let grad = grad.contiguous()?;
            let (q, k, v, out) = (kept[0].get(OP)?, kept[1].get(OP)?, kept[2].get(OP)?, kept[3].get(OP)?);
            let mut dq = Recycled::<T>::unfilled(OP, q.len())?;
            let mut dk = Recycled::<T>::unfilled(OP, k.len())?;
            let mut dv = Recycled::<T>::unfilled(OP, v.len())?;
            {
                let (rq, rk, rv) = (q.reader(OP)?, k.reader(OP)?, v.reader(OP)?);
                let (ro, rg) = (out.reader(OP)?, grad.reader(OP)?);
                T::attention_backward(
                    &shape,
                    Rows::new(rows_data(rq.all()?, q), view_q.stride),
                    Rows::new(rows_data(rk.all()?, k), view_k.stride),
                    Rows::new(rows_data(rv.all()?, v), view_v.stride),
                    Rows::new(rows_data(ro.all()?, out), width),
                    &lse,
                    Rows::new(rows_data(rg.all()?, &grad), width),
                    RowsMut::new(&mut dq, width),
                    RowsMut::new(&mut dk, key_width),
                    RowsMut::new(&mut dv, key_width),
                );
            }
            sink.add(0, Tensor::from_buffer(OP, dq, q.shape())?)?;
            sink.add(1, Tensor::from_buffer(OP, dk, k.shape())?)?;
            sink.add(2, Tensor::from_buffer(OP, dv, v.shape())?)
        }))
    })
}
