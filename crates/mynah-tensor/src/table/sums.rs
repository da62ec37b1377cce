//! Rows of the reductions, softmax, and the matrix product.

use super::samples::{ANY, NUMBERS, ints};
use super::{Args, Array, BASE, Group, Kind, Op, Sampler, Value};
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;

type Call = fn(&Args<'_>) -> Result<Tensor>;
type Reference = fn(&Args<'_>) -> Result<Array>;

fn over_dims(s: &mut Sampler) -> Vec<Vec<Value>> {
    let n = s.pick(3, 35, 256);
    let rows = s.pick(2, 5, 2048);
    let mut samples = Vec::new();
    for (dims, keepdim) in [(&[][..], false), (&[-1], false), (&[0], true), (&[0, 2], false), (&[1], true)] {
        samples.push(vec![s.normal(&[rows, 2, n]), ints(dims), Value::Flag(keepdim)]);
    }
    if let Value::Tensor(x) = s.normal(&[3, n])
        && let Ok(view) = x.t()
    {
        samples.push(vec![Value::Tensor(view.clone()), ints(&[0]), Value::Flag(false)]);
        samples.push(vec![Value::Tensor(view), ints(&[1]), Value::Flag(false)]);
    }
    samples.push(vec![s.normal(&[]), ints(&[]), Value::Flag(false)]);
    samples
}

const fn reduction(name: &'static str, doc: &'static str, call: Call, reference: Reference) -> Op {
    Op {
        name,
        group: Group::Reduction,
        arguments: &[("x", Kind::Tensor), ("dims", Kind::Ints), ("keepdim", Kind::Flag)],
        shapes: "(…) → (…) without dims",
        doc,
        call,
        reference,
        samples: over_dims,
        flops: |args, _| args.tensor(0).map_or(0.0, |x| x.len() as f64),
        ..BASE
    }
}

const fn best(name: &'static str, doc: &'static str, call: Call, reference: Reference) -> Op {
    Op {
        name,
        group: Group::Reduction,
        arguments: &[("x", Kind::Tensor), ("dim", Kind::Int), ("keepdim", Kind::Flag)],
        shapes: "(…) → (…) without dim, i64",
        doc,
        dtypes: NUMBERS,
        differentiable: false,
        call,
        reference,
        samples: |s| {
            let n = s.pick(3, 35, 256);
            vec![
                vec![s.normal(&[4, n]), Value::Int(-1), Value::Flag(false)],
                vec![s.normal(&[4, n]), Value::Int(0), Value::Flag(true)],
            ]
        },
        flops: |args, _| args.tensor(0).map_or(0.0, |x| x.len() as f64),
    }
}

/// The index of the first element along a dimension that `better` prefers to all before it.
fn best_index(args: &Args<'_>, better: fn(f64, f64) -> bool) -> Result<Array> {
    let (x, dim, keepdim) = (args.array(0)?, args.int(1)?, args.flag(2)?);
    let axis = dim.rem_euclid(x.shape.len() as isize) as usize;
    let mut kept = x.shape.clone();
    kept[axis] = 1;
    let out = Array::build(&kept, |index| {
        let mut index = index.to_vec();
        let mut best = 0;
        for i in 0..x.shape[axis] {
            index[axis] = i;
            let value = x.at(&index);
            index[axis] = best;
            if better(value, x.at(&index)) {
                best = i;
            }
        }
        best as f64
    });
    if keepdim {
        return Ok(out);
    }
    kept.remove(axis);
    Ok(out.reshaped(&kept))
}

fn softmax(args: &Args<'_>, log: bool) -> Result<Array> {
    let (x, dim) = (args.array(0)?, args.int(1)?);
    let max = x.reduce(&[dim], true, f64::NEG_INFINITY, f64::max);
    let shifted = x.zip(&max, |x, max| x - max);
    let total = shifted.map(f64::exp).reduce(&[dim], true, 0.0, |a, b| a + b);
    Ok(if log {
        shifted.zip(&total, |x, sum| x - sum.ln())
    } else {
        shifted.zip(&total, |x, sum| x.exp() / sum)
    })
}

fn along_dim(s: &mut Sampler) -> Vec<Vec<Value>> {
    let n = s.pick(4, 70, 512);
    let rows = s.pick(3, 7, 2048);
    let mut samples = vec![vec![s.normal(&[rows, n]), Value::Int(-1)]];
    if s.pick(0, 0, 1) == 0 {
        samples.push(vec![s.normal(&[2, n, 3]), Value::Int(1)]);
        samples.push(vec![s.normal(&[0, n]), Value::Int(1)]);
    }
    samples
}

const fn soft(name: &'static str, doc: &'static str, call: Call, reference: Reference) -> Op {
    Op {
        name,
        group: Group::Reduction,
        arguments: &[("x", Kind::Tensor), ("dim", Kind::Int)],
        doc,
        call,
        reference,
        samples: along_dim,
        flops: |_, output| 4.0 * output.len() as f64,
        ..BASE
    }
}

pub(super) const OPS: &[Op] = &[
    Op {
        dtypes: ANY,
        ..reduction(
            "sum",
            "Σ x; integers and masks sum in i64",
            |a| a.tensor(0)?.sum(&a.ints(1)?, a.flag(2)?),
            |a| Ok(a.array(0)?.reduce(&a.ints(1)?, a.flag(2)?, 0.0, |x, y| x + y)),
        )
    },
    reduction(
        "mean",
        "Σ x / n",
        |a| a.tensor(0)?.mean(&a.ints(1)?, a.flag(2)?),
        |a| {
            let x = a.array(0)?;
            let sum = x.reduce(&a.ints(1)?, a.flag(2)?, 0.0, |x, y| x + y);
            let count = x.data.len() as f64 / sum.data.len() as f64;
            Ok(sum.map(|x| x / count))
        },
    ),
    Op {
        dtypes: ANY,
        ..reduction(
            "max",
            "the greatest element; equal ones share the gradient",
            |a| a.tensor(0)?.max(&a.ints(1)?, a.flag(2)?),
            |a| Ok(a.array(0)?.reduce(&a.ints(1)?, a.flag(2)?, f64::NEG_INFINITY, f64::max)),
        )
    },
    Op {
        dtypes: ANY,
        ..reduction(
            "min",
            "the smallest element; equal ones share the gradient",
            |a| a.tensor(0)?.min(&a.ints(1)?, a.flag(2)?),
            |a| Ok(a.array(0)?.reduce(&a.ints(1)?, a.flag(2)?, f64::INFINITY, f64::min)),
        )
    },
    best(
        "argmax",
        "the index of the greatest element, the first of equal ones",
        |a| a.tensor(0)?.argmax(a.int(1)?, a.flag(2)?),
        |a| best_index(a, |x, best| x > best),
    ),
    best(
        "argmin",
        "the index of the smallest element, the first of equal ones",
        |a| a.tensor(0)?.argmin(a.int(1)?, a.flag(2)?),
        |a| best_index(a, |x, best| x < best),
    ),
    soft("softmax", "eˣ / Σ eˣ", |a| a.tensor(0)?.softmax(a.int(1)?), |a| softmax(a, false)),
    soft("log_softmax", "x − ln Σ eˣ", |a| a.tensor(0)?.log_softmax(a.int(1)?), |a| softmax(a, true)),
    Op {
        name: "matmul",
        group: Group::Matrix,
        arguments: &[("a", Kind::Tensor), ("b", Kind::Tensor)],
        shapes: "(…, m, k), (…, k, n) → (…, m, n)",
        doc: "matrix product over the last two dimensions, the others broadcast",
        dtypes: &DType::FLOATS,
        call: |a| a.tensor(0)?.matmul(a.tensor(1)?),
        reference: |args| {
            let (mut a, mut b) = (args.array(0)?, args.array(1)?);
            let (row, column) = (a.shape.len() == 1, b.shape.len() == 1);
            if row {
                a.shape.insert(0, 1);
            }
            if column {
                b.shape.push(1);
            }
            let (ra, rb) = (a.shape.len(), b.shape.len());
            let inner = a.shape[ra - 1];
            let batch = Array::build(&a.shape[..ra - 2], |_| 0.0)
                .zip(&Array::build(&b.shape[..rb - 2], |_| 0.0), |_, _| 0.0);
            let shape = [&batch.shape[..], &[a.shape[ra - 2], b.shape[rb - 1]]].concat();
            let out = Array::build(&shape, |index| {
                let (at, cell) = index.split_at(index.len() - 2);
                let pick = |i: usize, j: usize| [at, &[i, j]].concat();
                (0..inner)
                    .map(|k| a.broadcast_at(&pick(cell[0], k)) * b.broadcast_at(&pick(k, cell[1])))
                    .sum()
            });
            let mut shape = out.shape.clone();
            if column {
                shape.pop();
            }
            if row {
                shape.remove(shape.len() - if column { 1 } else { 2 });
            }
            Ok(out.reshaped(&shape))
        },
        samples: |s| {
            if s.pick(0, 0, 1) == 1 {
                return vec![vec![s.normal(&[2048, 256]), s.normal(&[256, 1024])]];
            }
            let (m, k, n) = (s.pick(2, 19, 0), s.pick(3, 33, 0), s.pick(4, 37, 0));
            let flipped = |value: Value| match value {
                Value::Tensor(x) => x.t().map_or(Value::None, Value::Tensor),
                other => other,
            };
            vec![
                vec![s.normal(&[m, k]), s.normal(&[k, n])],
                vec![flipped(s.normal(&[k, m])), flipped(s.normal(&[n, k]))],
                vec![s.normal(&[2, 1, m, k]), s.normal(&[3, k, n])],
                vec![s.normal(&[k]), s.normal(&[k])],
                vec![s.normal(&[2, m, k]), s.normal(&[k])],
                vec![s.normal(&[k]), s.normal(&[2, k, n])],
                vec![s.normal(&[m, 0]), s.normal(&[0, n])],
                vec![s.normal(&[0, k]), s.normal(&[k, n])],
            ]
        },
        flops: |args, output| {
            let inner = args.tensor(0).map_or(0, |a| a.shape().last().copied().unwrap_or(0));
            2.0 * output.len() as f64 * inner as f64
        },
        ..BASE
    },
];
