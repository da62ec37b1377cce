use crate::float::Float;
use crate::nn::types::{AttentionShape, DecodeShape, Rows, RowsMut};

/// Attention of (B,T,H,D) queries over (B,T,Hkv,D) keys and values; `lse` is (B,H,T), the logarithm of each
/// query's softmax denominator.
pub fn attention_forward<T: Float>(
    shape: &AttentionShape,
    q: Rows<'_, T>,
    k: Rows<'_, T>,
    v: Rows<'_, T>,
    out: RowsMut<'_, T>,
    lse: &mut [T],
) {
    let (width, key_width) = (shape.query_width(), shape.key_width());
    shape.check(
        "attention_forward",
        &[
            ("q", q.data.len(), q.stride, width),
            ("k", k.data.len(), k.stride, key_width),
            ("v", v.data.len(), v.stride, key_width),
            ("out", out.data.len(), out.stride, width),
        ],
        lse.len(),
    );
    let (dim, tokens) = (shape.head_dim, shape.tokens);
    let scale = T::from_f64(shape.scale);
    for b in 0..shape.batch {
        for h in 0..shape.heads {
            let kv = h / (shape.heads / shape.kv_heads);
            for i in 0..tokens {
                let q = &q.data[(b * tokens + i) * q.stride + h * dim..][..dim];
                let out = &mut out.data[(b * tokens + i) * out.stride + h * dim..][..dim];
                let keys = shape.keys(i);
                let row = |rows: &Rows<'_, T>, j: usize| (b * tokens + j) * rows.stride + kv * dim;
                lse[(b * shape.heads + h) * tokens + i] = attend(
                    q,
                    keys.map(|j| (&k.data[row(&k, j)..][..dim], &v.data[row(&v, j)..][..dim])),
                    scale,
                    out,
                );
            }
        }
    }
}

/// One query over its keys and values; returns the logarithm of the softmax denominator.
fn attend<'a, T: Float>(
    q: &[T],
    keys: impl Iterator<Item = (&'a [T], &'a [T])> + Clone,
    scale: T,
    out: &mut [T],
) -> T {
    let scores: Vec<T> = keys.clone().map(|(k, _)| scale * dot(q, k)).collect();
    let max = scores.iter().fold(T::NEG_INFINITY, |max, &s| if s > max { s } else { max });
    let mut sum = T::ZERO;
    out.fill(T::ZERO);
    for (&score, (_, v)) in scores.iter().zip(keys) {
        let p = (score - max).exp();
        sum += p;
        for (out, &v) in out.iter_mut().zip(v) {
            *out += p * v;
        }
    }
    for out in out {
        *out = *out / sum;
    }
    max + sum.ln()
}

fn dot<T: Float>(a: &[T], b: &[T]) -> T {
    let mut sum = T::ZERO;
    for (&a, &b) in a.iter().zip(b) {
        sum += a * b;
    }
    sum
}

/// Gradients of [`attention_forward`]; overwrites dq, dk and dv.
#[expect(clippy::too_many_arguments, reason = "the tensors of the formula, each needed")]
pub fn attention_backward<T: Float>(
    shape: &AttentionShape,
    q: Rows<'_, T>,
    k: Rows<'_, T>,
    v: Rows<'_, T>,
    out: Rows<'_, T>,
    lse: &[T],
    dout: Rows<'_, T>,
    dq: RowsMut<'_, T>,
    dk: RowsMut<'_, T>,
    dv: RowsMut<'_, T>,
) {
    let (width, key_width) = (shape.query_width(), shape.key_width());
    shape.check(
        "attention_backward",
        &[
            ("q", q.data.len(), q.stride, width),
            ("k", k.data.len(), k.stride, key_width),
            ("v", v.data.len(), v.stride, key_width),
            ("out", out.data.len(), out.stride, width),
            ("dout", dout.data.len(), dout.stride, width),
            ("dq", dq.data.len(), dq.stride, width),
            ("dk", dk.data.len(), dk.stride, key_width),
            ("dv", dv.data.len(), dv.stride, key_width),
        ],
        lse.len(),
    );
    let (dim, tokens) = (shape.head_dim, shape.tokens);
    let scale = T::from_f64(shape.scale);
    for row in 0..shape.batch * tokens {
        dq.data[row * dq.stride..][..width].fill(T::ZERO);
        dk.data[row * dk.stride..][..key_width].fill(T::ZERO);
        dv.data[row * dv.stride..][..key_width].fill(T::ZERO);
    }
    for b in 0..shape.batch {
        for h in 0..shape.heads {
            let kv = h / (shape.heads / shape.kv_heads);
            for i in 0..tokens {
                let row = b * tokens + i;
                let q = &q.data[row * q.stride + h * dim..][..dim];
                let out = &out.data[row * out.stride + h * dim..][..dim];
                let dout = &dout.data[row * dout.stride + h * dim..][..dim];
                let dq = &mut dq.data[row * dq.stride + h * dim..][..dim];
                let lse = lse[(b * shape.heads + h) * tokens + i];
                let delta = dot(out, dout);
                for j in shape.keys(i) {
                    let row = b * tokens + j;
                    let k = &k.data[row * k.stride + kv * dim..][..dim];
                    let v = &v.data[row * v.stride + kv * dim..][..dim];
                    let dk = &mut dk.data[row * dk.stride + kv * dim..][..dim];
                    let dv = &mut dv.data[row * dv.stride + kv * dim..][..dim];
                    let p = (scale * dot(q, k) - lse).exp();
                    let ds = scale * p * (dot(dout, v) - delta);
                    for d in 0..dim {
                        dv[d] += p * dout[d];
                        dq[d] += ds * k[d];
                        dk[d] += ds * q[d];
                    }
                }
            }
        }
    }
}

/// New queries (queries, H, D) against a cache of keys and values whose rows 0..start+queries are filled.
pub fn attention_decode<T: Float>(
    shape: &DecodeShape,
    q: &[T],
    k: Rows<'_, T>,
    v: Rows<'_, T>,
    out: &mut [T],
) {
    shape.check(q.len(), (k.data.len(), k.stride), (v.data.len(), v.stride), out.len());
    let dim = shape.head_dim;
    let scale = T::from_f64(shape.scale);
    for i in 0..shape.queries {
        let position = shape.start + i;
        let first = shape.window.map_or(0, |window| position.saturating_sub(window));
        for h in 0..shape.heads {
            let at = h / (shape.heads / shape.kv_heads) * dim;
            let q = &q[(i * shape.heads + h) * dim..][..dim];
            let out = &mut out[(i * shape.heads + h) * dim..][..dim];
            let keys = (first..position + 1)
                .map(|j| (&k.data[j * k.stride + at..][..dim], &v.data[j * v.stride + at..][..dim]));
            attend(q, keys, scale, out);
        }
    }
}
