//! Rows of the kernels that the language model is made of.

use super::samples::rotary;
use super::{Args, Array, BASE, Group, Kind, Op, Sampler, Value};
use crate::error::Result;
use crate::ops;

const T: Kind = Kind::Tensor;

/// Σ over the last dimension of x of x·w for each row of w.
fn times_rows(x: &Array, w: &Array) -> Array {
    let shape = [&x.shape[..x.shape.len() - 1], &w.shape[..1]].concat();
    let data =
        x.rows().flat_map(|x| w.rows().map(move |w| x.iter().zip(w).map(|(x, w)| x * w).sum())).collect();
    Array { shape, data }
}

/// Each row divided by its root mean square.
fn normalised(x: &Array, eps: f64) -> Array {
    let data = x
        .rows()
        .flat_map(|row| {
            let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
            row.iter().map(move |x| x / (mean + eps).sqrt())
        })
        .collect();
    Array { shape: x.shape.clone(), data }
}

fn attended(args: &Args<'_>) -> Result<Array> {
    let (q, k, v) = (args.array(0)?, args.array(1)?, args.array(2)?);
    let (window, scale) = (args.optional_size(3)?, args.float(4)?);
    let (heads, dim, shared) = (q.shape[2], q.shape[3], q.shape[2] / k.shape[2]);
    debug_assert!(heads.is_multiple_of(k.shape[2]));
    Ok(Array::build(&q.shape, |at| {
        let (b, i, h, d) = (at[0], at[1], at[2], at[3]);
        let first = window.map_or(0, |w| i.saturating_sub(w));
        let weights: Vec<f64> = (first..=i)
            .map(|j| {
                (0..dim).map(|d| q.at(&[b, i, h, d]) * k.at(&[b, j, h / shared, d])).sum::<f64>() * scale
            })
            .collect();
        let max = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = weights.iter().map(|w| (w - max).exp()).sum();
        weights.iter().zip(first..).map(|(w, j)| (w - max).exp() / total * v.at(&[b, j, h / shared, d])).sum()
    }))
}

/// The losses of rows of logits, reduced.
fn losses(logits: &Array, targets: &Array, reduction: ops::Reduction) -> Array {
    let rows: Vec<f64> = logits
        .rows()
        .zip(&targets.data)
        .map(|(row, &target)| {
            if target < 0.0 {
                return 0.0;
            }
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = row.iter().map(|z| (z - max).exp()).sum();
            max + total.ln() - row[target as usize]
        })
        .collect();
    let counted = targets.data.iter().filter(|&&target| target >= 0.0).count();
    let total: f64 = rows.iter().sum();
    match reduction {
        ops::Reduction::None => Array { shape: targets.shape.clone(), data: rows },
        ops::Reduction::Sum => Array { shape: vec![], data: vec![total] },
        ops::Reduction::Mean => Array { shape: vec![], data: vec![total / counted.max(1) as f64] },
    }
}

/// (batch, tokens, channels) of a step.
fn stream(s: &Sampler) -> (usize, usize, usize) {
    (s.pick(2, 3, 8), s.pick(3, 37, 256), s.pick(4, 96, 256))
}

fn weights(s: &mut Sampler, shape: &[usize]) -> Value {
    let scale = (shape[1].max(1) as f64).sqrt().recip();
    s.tensor(shape, |rng| rng.normal() * scale)
}

/// The first `len` channels, a view with gaps between its rows.
fn narrowed(value: Value, len: usize) -> Value {
    match value {
        Value::Tensor(x) => x.narrow(-1, 0, len).map_or(Value::None, Value::Tensor),
        other => other,
    }
}

fn last_size(args: &Args<'_>, index: usize) -> f64 {
    args.tensor(index).map_or(0.0, |x| x.shape().last().copied().unwrap_or(0) as f64)
}

const FUSED: Op = Op { group: Group::Fused, ..BASE };

pub(super) const OPS: &[Op] = &[
    Op {
        name: "linear",
        arguments: &[("x", T), ("w", T)],
        shapes: "(…, k), (n, k) → (…, n)",
        doc: "x·wᵀ",
        call: |a| ops::linear(a.tensor(0)?, a.tensor(1)?),
        reference: |a| Ok(times_rows(&a.array(0)?, &a.array(1)?)),
        samples: |s| {
            let (b, t, c) = stream(s);
            let n = s.pick(5, 70, 1024);
            vec![
                vec![s.normal(&[b, t, c]), weights(s, &[n, c])],
                vec![narrowed(s.normal(&[b, t, c]), 3), weights(s, &[n, 3])],
                vec![s.normal(&[c]), weights(s, &[n, c])],
                vec![s.normal(&[0, c]), weights(s, &[n, c])],
            ]
        },
        flops: |a, y| 2.0 * y.len() as f64 * last_size(a, 0),
        ..FUSED
    },
    Op {
        name: "mlp_relu_square",
        arguments: &[("x", T), ("w_in", T), ("w_out", T)],
        shapes: "(…, k), (h, k), (n, h) → (…, n)",
        doc: "max(x·w_inᵀ, 0)²·w_outᵀ (So et al. 2021)",
        call: |a| ops::mlp_relu_square(a.tensor(0)?, a.tensor(1)?, a.tensor(2)?),
        reference: |a| {
            let hidden = times_rows(&a.array(0)?, &a.array(1)?);
            Ok(times_rows(&hidden.map(|x| x.max(0.0).powi(2)), &a.array(2)?))
        },
        samples: |s| {
            let (b, t, c) = stream(s);
            vec![vec![s.normal(&[b, t, c]), weights(s, &[4 * c, c]), weights(s, &[c, 4 * c])]]
        },
        flops: |a, y| 16.0 * y.len() as f64 * last_size(a, 0),
        ..FUSED
    },
    Op {
        name: "rms_norm",
        arguments: &[("x", T), ("eps", Kind::Float)],
        shapes: "(…, C) → (…, C)",
        doc: "x / √(mean x² + eps) (Zhang and Sennrich 2019)",
        call: |a| ops::rms_norm(a.tensor(0)?, a.float(1)?),
        reference: |a| Ok(normalised(&a.array(0)?, a.float(1)?)),
        samples: |s| {
            let (b, t, c) = stream(s);
            let eps = Value::Float(f64::from(f32::EPSILON));
            vec![
                vec![s.normal(&[b, t, c]), eps.clone()],
                vec![s.normal(&[t, 5]), Value::Float(0.1)],
                vec![s.normal(&[0, 5]), eps],
            ]
        },
        flops: |_, y| 4.0 * y.len() as f64,
        ..FUSED
    },
    Op {
        name: "rope_norm",
        arguments: &[
            ("x", T),
            ("cos", Kind::OptionalConstant),
            ("sin", Kind::OptionalConstant),
            ("pos0", Kind::Int),
            ("norm", Kind::Flag),
            ("scale", Kind::Float),
        ],
        shapes: "(B, T, H, D), (P, D/2), (P, D/2) → (B, T, H, D)",
        doc: "rotary positions (Su et al. 2021), RMS norm over D, times scale",
        call: |a| {
            let tables = a.optional_tensor(1)?.zip(a.optional_tensor(2)?);
            ops::rope_norm(a.tensor(0)?, tables, a.size(3)?, a.flag(4)?, a.float(5)?)
        },
        reference: |a| {
            let mut x = a.array(0)?;
            let (pos0, half) = (a.size(3)?, x.shape[3] / 2);
            if a.optional_tensor(1)?.is_some() {
                let (cos, sin) = (a.array(1)?, a.array(2)?);
                x = Array::build(&x.shape, |at| {
                    let (t, d) = (pos0 + at[1], at[3] % half);
                    let (c, s) = (cos.at(&[t, d]), sin.at(&[t, d]));
                    let (first, second) =
                        (x.at(&[at[0], at[1], at[2], d]), x.at(&[at[0], at[1], at[2], d + half]));
                    if at[3] < half { first * c + second * s } else { second * c - first * s }
                });
            }
            if a.flag(4)? {
                x = normalised(&x, f64::from(f32::EPSILON));
            }
            let scale = a.float(5)?;
            Ok(x.map(|x| x * scale))
        },
        samples: |s| {
            let (b, t, _) = stream(s);
            let dim = s.pick(4, 32, 64);
            let (cos, sin) = rotary(t + 2, dim / 2);
            let mut samples = Vec::new();
            for (rope, norm, pos0, scale) in
                [(true, true, 0, 1.2), (true, false, 2, 1.0), (false, true, 0, 0.5)]
            {
                let tables = if rope { [cos.clone(), sin.clone()] } else { [Value::None, Value::None] };
                let mut sample = vec![s.normal(&[b, t, 3, dim])];
                sample.extend(tables);
                sample.extend([Value::Int(pos0), Value::Flag(norm), Value::Float(scale)]);
                samples.push(sample);
            }
            samples
        },
        flops: |_, y| 8.0 * y.len() as f64,
        ..FUSED
    },
    Op {
        name: "attention",
        arguments: &[("q", T), ("k", T), ("v", T), ("window", Kind::OptionalInt), ("scale", Kind::Float)],
        shapes: "(B, T, H, D), (B, T, Hkv, D), (B, T, Hkv, D) → (B, T, H, D)",
        doc: "causal softmax(scale·q·kᵀ)·v; key i − window ≤ j ≤ i (Dao et al. 2022)",
        call: |a| ops::attention(a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, a.optional_size(3)?, a.float(4)?),
        reference: attended,
        samples: |s| {
            let (b, t, dim) = (s.pick(2, 2, 8), s.pick(4, 70, 256), s.pick(4, 16, 64));
            let mut samples = Vec::new();
            for (heads, kv_heads, window) in
                [(2, 2, Value::None), (4, 2, Value::Int(2)), (3, 1, Value::Int(0))]
            {
                samples.push(vec![
                    s.normal(&[b, t, heads, dim]),
                    s.normal(&[b, t, kv_heads, dim]),
                    s.normal(&[b, t, kv_heads, dim]),
                    window,
                    Value::Float((dim as f64).sqrt().recip()),
                ]);
            }
            samples
        },
        // Half of the scores are masked; each costs D multiply-adds twice.
        flops: |a, y| 2.0 * y.len() as f64 * a.tensor(0).map_or(0.0, |q| q.shape()[1] as f64),
        ..FUSED
    },
    Op {
        name: "gated_add",
        arguments: &[("v", T), ("gate", T), ("ve", T)],
        shapes: "(…, H, D), (…, H), (…, H, D) → (…, H, D)",
        doc: "v + gate·ve",
        call: |a| ops::gated_add(a.tensor(0)?, a.tensor(1)?, a.tensor(2)?),
        reference: |a| {
            let (mut gate, ve) = (a.array(1)?, a.array(2)?);
            gate.shape.push(1);
            Ok(a.array(0)?.zip(&gate.zip(&ve, |g, e| g * e), |v, ge| v + ge))
        },
        samples: |s| {
            let (b, t, _) = stream(s);
            let dim = s.pick(3, 33, 64);
            vec![vec![s.normal(&[b, t, 2, dim]), s.normal(&[b, t, 2]), s.normal(&[b, t, 2, dim])]]
        },
        flops: |_, y| 2.0 * y.len() as f64,
        ..FUSED
    },
    Op {
        name: "shift_gated_add",
        arguments: &[("x", T), ("gate", T)],
        shapes: "(B, T, C), (B, T) → (B, T, C)",
        doc: "x[t] + gate[t]·x[t−1], the first token copied",
        call: |a| ops::shift_gated_add(a.tensor(0)?, a.tensor(1)?),
        reference: |a| {
            let (x, gate) = (a.array(0)?, a.array(1)?);
            Ok(Array::build(&x.shape, |at| match at[1] {
                0 => x.at(at),
                t => x.at(at) + gate.at(&[at[0], t]) * x.at(&[at[0], t - 1, at[2]]),
            }))
        },
        samples: |s| {
            let (b, t, c) = stream(s);
            vec![vec![s.normal(&[b, t, c]), s.normal(&[b, t])], vec![s.normal(&[b, 1, c]), s.normal(&[b, 1])]]
        },
        flops: |_, y| 2.0 * y.len() as f64,
        ..FUSED
    },
    Op {
        name: "scaled_sum",
        arguments: &[("a", T), ("x", T), ("b", T), ("z", T)],
        shapes: "(1), (…), (1), (…) → (…)",
        doc: "a·x + b·z",
        call: |a| ops::scaled_sum(a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, a.tensor(3)?),
        reference: |args| {
            let (a, b) = (args.array(0)?.data[0], args.array(2)?.data[0]);
            Ok(args.array(1)?.zip(&args.array(3)?, |x, z| a * x + b * z))
        },
        samples: |s| {
            let (b, t, c) = stream(s);
            vec![
                vec![s.normal(&[]), s.normal(&[b, t, c]), s.normal(&[1]), s.normal(&[b, t, c])],
                vec![s.normal(&[1, 1]), s.normal(&[0]), s.normal(&[]), s.normal(&[0])],
            ]
        },
        flops: |_, y| 3.0 * y.len() as f64,
        ..FUSED
    },
    Op {
        name: "embedding",
        arguments: &[("table", T), ("ids", Kind::Ids)],
        shapes: "(V, D), (…) i64 → (…, D)",
        doc: "rows of a table by id; the gradient is kept as rows",
        call: |a| ops::embedding(a.tensor(0)?, a.tensor(1)?),
        reference: |a| {
            let (table, ids) = (a.array(0)?, a.array(1)?);
            let shape = [&ids.shape[..], &table.shape[1..]].concat();
            let rows: Vec<&[f64]> = table.rows().collect();
            Ok(Array {
                shape,
                data: ids.data.iter().flat_map(|&id| rows[id as usize].iter().copied()).collect(),
            })
        },
        samples: |s| {
            let (b, t, c) = stream(s);
            let vocab = s.pick(5, 50, 4096);
            vec![
                vec![s.normal(&[vocab, c]), s.ids(&[b, t], vocab)],
                vec![s.normal(&[vocab, c]), s.ids(&[], vocab)],
                vec![s.normal(&[vocab, c]), s.ids(&[0], vocab)],
            ]
        },
        flops: |_, _| 0.0,
        ..FUSED
    },
    Op {
        name: "cross_entropy",
        arguments: &[("logits", T), ("targets", Kind::Ids), ("reduction", Kind::Reduction)],
        shapes: "(…, C), (…) i64 → () or (…)",
        doc: "−ln softmax(logits)[target], −1 ignored",
        call: |a| ops::cross_entropy(a.tensor(0)?, a.tensor(1)?, a.reduction(2)?),
        reference: |a| Ok(losses(&a.array(0)?, &a.array(1)?, a.reduction(2)?)),
        samples: |s| {
            let (b, t, _) = stream(s);
            let classes = s.pick(4, 65, 4096);
            ["mean", "sum", "none"]
                .map(|name| vec![s.normal(&[b, t, classes]), s.targets(&[b, t], classes), Value::Name(name)])
                .to_vec()
        },
        flops: |a, _| 4.0 * a.tensor(0).map_or(0.0, |x| x.len() as f64),
        ..FUSED
    },
    Op {
        name: "linear_cross_entropy",
        arguments: &[
            ("x", T),
            ("w", T),
            ("targets", Kind::Ids),
            ("softcap", Kind::OptionalFloat),
            ("reduction", Kind::Reduction),
        ],
        shapes: "(…, d), (V, d), (…) i64 → () or (…)",
        doc: "cross-entropy of cap(x·wᵀ), the logits in pieces (cap: Gemma Team 2024)",
        call: |a| {
            let softcap = a.optional_float(3)?.map(|cap| cap as f32);
            ops::linear_cross_entropy(a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, softcap, a.reduction(4)?)
        },
        reference: |a| {
            let mut logits = times_rows(&a.array(0)?, &a.array(1)?);
            if let Some(cap) = a.optional_float(3)? {
                logits = logits.map(|z| cap * (z / cap).tanh());
            }
            Ok(losses(&logits, &a.array(2)?, a.reduction(4)?))
        },
        samples: |s| {
            let (b, t, c) = stream(s);
            let vocab = s.pick(5, 70, 4096);
            [("mean", Some(1.5)), ("sum", None), ("none", Some(15.0)), ("mean", None)]
                .map(|(name, cap)| {
                    vec![
                        s.normal(&[b, t, c]),
                        weights(s, &[vocab, c]),
                        s.targets(&[b, t], vocab),
                        cap.map_or(Value::None, Value::Float),
                        Value::Name(name),
                    ]
                })
                .to_vec()
        },
        flops: |a, _| {
            let size = |index| a.tensor(index).map_or(0.0, |x| x.len() as f64);
            2.0 * size(0) * size(1) / last_size(a, 0)
        },
        ..FUSED
    },
];
