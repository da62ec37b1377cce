//! Rows of the views, and of picking and joining.

use super::samples::{ANY, ints};
use super::{Args, Array, BASE, Group, Kind, Op, Sampler, Value};
use crate::dtype::DType;
use crate::error::Result;
use crate::ops;
use crate::tensor::Tensor;

type Call = fn(&Args<'_>) -> Result<Tensor>;
type Reference = fn(&Args<'_>) -> Result<Array>;

const X: (&str, Kind) = ("x", Kind::Tensor);

const fn view(
    name: &'static str,
    arguments: &'static [(&'static str, Kind)],
    shapes: &'static str,
    doc: &'static str,
    call: Call,
    reference: Reference,
) -> Op {
    Op {
        name,
        group: Group::View,
        arguments,
        shapes,
        doc,
        dtypes: ANY,
        call,
        reference,
        flops: |_, _| 0.0,
        ..BASE
    }
}

/// A dimension that may count from the end.
fn axis(x: &Array, dim: isize) -> usize {
    dim.rem_euclid(x.shape.len() as isize) as usize
}

/// The array whose dimension i is dimension `order[i]` of x.
fn permuted(x: &Array, order: &[usize]) -> Array {
    let shape: Vec<usize> = order.iter().map(|&axis| x.shape[axis]).collect();
    Array::build(&shape, |index| {
        let mut from = vec![0; index.len()];
        for (&axis, &i) in order.iter().zip(index) {
            from[axis] = i;
        }
        x.at(&from)
    })
}

fn exchanged(x: &Array, a: isize, b: isize) -> Array {
    let mut order: Vec<usize> = (0..x.shape.len()).collect();
    order.swap(axis(x, a), axis(x, b));
    permuted(x, &order)
}

/// The elements of x whose place along `axis` is `place(i)`, for i below `len`.
fn picked(x: &Array, axis: usize, len: usize, place: impl Fn(usize) -> usize) -> Array {
    let mut shape = x.shape.clone();
    shape[axis] = len;
    Array::build(&shape, |index| {
        let mut from = index.to_vec();
        from[axis] = place(index[axis]);
        x.at(&from)
    })
}

fn reshaped(args: &Args<'_>) -> Result<Array> {
    let (x, shape) = (args.array(0)?, args.ints(1)?);
    let known: isize = shape.iter().filter(|&&size| size >= 0).product();
    let shape: Vec<usize> = shape
        .iter()
        .map(|&size| if size < 0 { x.data.len() / known as usize } else { size as usize })
        .collect();
    Ok(x.reshaped(&shape))
}

fn without(x: Array, axis: usize) -> Array {
    let mut shape = x.shape.clone();
    shape.remove(axis);
    x.reshaped(&shape)
}

fn cube(s: &mut Sampler) -> Value {
    let n = s.pick(4, 18, 256);
    s.normal(&[2, 3, n])
}

pub(super) const OPS: &[Op] = &[
    Op {
        samples: |s| vec![vec![cube(s), ints(&[2, 0, 1])], vec![cube(s), ints(&[-2, -1, 0])]],
        ..view(
            "permute",
            &[X, ("order", Kind::Ints)],
            "(…) → dimensions in the order given",
            "the dimensions in another order, a view",
            |a| a.tensor(0)?.permute(&a.ints(1)?),
            |a| {
                let x = a.array(0)?;
                let order: Vec<usize> = a.ints(1)?.into_iter().map(|dim| axis(&x, dim)).collect();
                Ok(permuted(&x, &order))
            },
        )
    },
    Op {
        samples: |s| {
            vec![vec![cube(s), Value::Int(0), Value::Int(-1)], vec![cube(s), Value::Int(1), Value::Int(1)]]
        },
        ..view(
            "transpose",
            &[X, ("dim_a", Kind::Int), ("dim_b", Kind::Int)],
            "(…) → two dimensions exchanged",
            "two dimensions exchanged, a view",
            |a| a.tensor(0)?.transpose(a.int(1)?, a.int(2)?),
            |a| Ok(exchanged(&a.array(0)?, a.int(1)?, a.int(2)?)),
        )
    },
    Op {
        samples: |s| vec![vec![cube(s)]],
        ..view(
            "t",
            &[X],
            "(…, m, n) → (…, n, m)",
            "the last two dimensions exchanged, a view",
            |a| a.tensor(0)?.t(),
            |a| Ok(exchanged(&a.array(0)?, -2, -1)),
        )
    },
    Op {
        samples: |s| {
            let mut samples = vec![vec![cube(s), ints(&[3, -1])], vec![cube(s), ints(&[-1])]];
            if let Value::Tensor(x) = cube(s)
                && let Ok(x) = x.permute(&[1, 0, 2])
            {
                samples.push(vec![Value::Tensor(x), ints(&[6, -1, 1])]);
            }
            samples
        },
        ..view(
            "reshape",
            &[X, ("shape", Kind::Ints)],
            "(…) → shape, one size may be −1",
            "the same elements in another shape, a view where possible",
            |a| a.tensor(0)?.reshape(&a.ints(1)?),
            reshaped,
        )
    },
    Op {
        samples: |s| vec![vec![cube(s), ints(&[1, 6, -1])]],
        ..view(
            "view",
            &[X, ("shape", Kind::Ints)],
            "(…) → shape, one size may be −1",
            "the same elements in another shape, never a copy",
            |a| a.tensor(0)?.view(&a.ints(1)?),
            reshaped,
        )
    },
    Op {
        samples: |s| {
            vec![vec![cube(s), Value::Int(0), Value::Int(1)], vec![cube(s), Value::Int(-2), Value::Int(-1)]]
        },
        ..view(
            "flatten",
            &[X, ("first", Kind::Int), ("last", Kind::Int)],
            "(…) → dimensions first to last as one",
            "dimensions merged into one",
            |a| a.tensor(0)?.flatten(a.int(1)?, a.int(2)?),
            |a| {
                let x = a.array(0)?;
                let (first, last) = (axis(&x, a.int(1)?), axis(&x, a.int(2)?));
                let merged = x.shape[first..=last].iter().product();
                let shape = [&x.shape[..first], &[merged], &x.shape[last + 1..]].concat();
                Ok(x.reshaped(&shape))
            },
        )
    },
    Op {
        samples: |s| {
            vec![
                vec![cube(s), Value::Int(1)],
                vec![cube(s), Value::Int(-1)],
                vec![s.normal(&[]), Value::Int(0)],
            ]
        },
        ..view(
            "unsqueeze",
            &[X, ("dim", Kind::Int)],
            "(…) → (…, 1, …)",
            "a new dimension of size 1, a view",
            |a| a.tensor(0)?.unsqueeze(a.int(1)?),
            |a| {
                let x = a.array(0)?;
                let mut shape = x.shape.clone();
                shape.insert(a.int(1)?.rem_euclid(shape.len() as isize + 1) as usize, 1);
                Ok(x.reshaped(&shape))
            },
        )
    },
    Op {
        samples: |s| vec![vec![s.normal(&[2, 1, 3]), Value::Int(1)], vec![s.normal(&[2, 1]), Value::Int(-1)]],
        ..view(
            "squeeze",
            &[X, ("dim", Kind::Int)],
            "(…, 1, …) → (…)",
            "without a dimension of size 1, a view",
            |a| a.tensor(0)?.squeeze(a.int(1)?),
            |a| {
                let x = a.array(0)?;
                let dim = axis(&x, a.int(1)?);
                Ok(without(x, dim))
            },
        )
    },
    Op {
        samples: |s| {
            vec![
                vec![cube(s), Value::Int(-1), Value::Int(1), Value::Int(2)],
                vec![cube(s), Value::Int(1), Value::Int(0), Value::Int(0)],
            ]
        },
        ..view(
            "narrow",
            &[X, ("dim", Kind::Int), ("start", Kind::Int), ("len", Kind::Int)],
            "(…) → size len along dim",
            "elements start to start + len along dim, a view",
            |a| a.tensor(0)?.narrow(a.int(1)?, a.size(2)?, a.size(3)?),
            |a| {
                let x = a.array(0)?;
                let start = a.size(2)?;
                Ok(picked(&x, axis(&x, a.int(1)?), a.size(3)?, |i| start + i))
            },
        )
    },
    Op {
        samples: |s| {
            vec![
                vec![cube(s), Value::Int(2), Value::Int(1), Value::Int(-1), Value::Int(2)],
                vec![cube(s), Value::Int(0), Value::Int(-5), Value::Int(99), Value::Int(1)],
            ]
        },
        ..view(
            "slice",
            &[X, ("dim", Kind::Int), ("start", Kind::Int), ("end", Kind::Int), ("step", Kind::Int)],
            "(…) → fewer along dim",
            "every step-th element from start to end, counted as in Python, a view",
            |a| a.tensor(0)?.slice(a.int(1)?, a.int(2)?, a.int(3)?, a.size(4)?),
            |a| {
                let x = a.array(0)?;
                let dim = axis(&x, a.int(1)?);
                let size = x.shape[dim] as isize;
                let place = |at: isize| (if at < 0 { at + size } else { at }).clamp(0, size) as usize;
                let (start, end, step) = (place(a.int(2)?), place(a.int(3)?), a.size(4)?);
                let places: Vec<usize> = (start..end).step_by(step).collect();
                Ok(picked(&x, dim, places.len(), |i| places[i]))
            },
        )
    },
    Op {
        samples: |s| vec![vec![cube(s), Value::Int(1), Value::Int(2)]],
        ..view(
            "select",
            &[X, ("dim", Kind::Int), ("index", Kind::Int)],
            "(…) → (…) without dim",
            "one element along dim, a view",
            |a| a.tensor(0)?.select(a.int(1)?, a.size(2)?),
            |a| {
                let x = a.array(0)?;
                let (dim, index) = (axis(&x, a.int(1)?), a.size(2)?);
                Ok(without(picked(&x, dim, 1, |_| index), dim))
            },
        )
    },
    Op {
        samples: |s| vec![vec![cube(s), Value::Int(-1)], vec![cube(s), Value::Int(0)]],
        ..view(
            "flip",
            &[X, ("dim", Kind::Int)],
            "(…) → (…)",
            "the elements along dim in reverse order, a view",
            |a| a.tensor(0)?.flip(a.int(1)?),
            |a| {
                let x = a.array(0)?;
                let dim = axis(&x, a.int(1)?);
                let size = x.shape[dim];
                Ok(picked(&x, dim, size, |i| size - 1 - i))
            },
        )
    },
    Op {
        samples: |s| vec![vec![s.normal(&[3, 1]), ints(&[2, 3, 4])], vec![s.normal(&[]), ints(&[2, 2])]],
        ..view(
            "expand",
            &[X, ("shape", Kind::Ints)],
            "(…) → shape",
            "repeated along dimensions of size 1 and new leading ones, a view",
            |a| a.tensor(0)?.expand(&a.sizes(1)?),
            |a| Ok(a.array(0)?.zip(&Array::build(&a.sizes(1)?, |_| 0.0), |x, _| x)),
        )
    },
    view(
        "contiguous",
        &[X],
        "(…) → (…)",
        "in row-major order without gaps",
        |a| a.tensor(0)?.contiguous(),
        |a| a.array(0),
    ),
    view("copy", &[X], "(…) → (…)", "a contiguous copy", |a| a.tensor(0)?.copy(), |a| a.array(0)),
    Op {
        group: Group::Index,
        samples: |s| {
            let count = s.pick(5, 40, 2048);
            vec![
                vec![cube(s), Value::Int(1), s.ids(&[count], 3)],
                vec![cube(s), Value::Int(-1), s.ids(&[count], 4)],
                vec![cube(s), Value::Int(0), s.ids(&[0], 1)],
            ]
        },
        ..view(
            "index_select",
            &[X, ("dim", Kind::Int), ("indices", Kind::Ids)],
            "(…), (n) i64 → size n along dim",
            "the slices along dim that the indices name",
            |a| a.tensor(0)?.index_select(a.int(1)?, a.tensor(2)?),
            |a| {
                let (x, ids) = (a.array(0)?, a.array(2)?);
                Ok(picked(&x, axis(&x, a.int(1)?), ids.data.len(), |i| ids.data[i] as usize))
            },
        )
    },
    Op {
        group: Group::Index,
        samples: |s| {
            vec![
                vec![cube(s), Value::Int(1), s.ids(&[2, 5, 4], 3)],
                vec![cube(s), Value::Int(-1), s.ids(&[1, 2, 3], 4)],
            ]
        },
        ..view(
            "gather",
            &[X, ("dim", Kind::Int), ("index", Kind::Ids)],
            "(…), index i64 → shape of index",
            "one element for each index along dim",
            |a| a.tensor(0)?.gather(a.int(1)?, a.tensor(2)?),
            |a| {
                let (x, index) = (a.array(0)?, a.array(2)?);
                let dim = axis(&x, a.int(1)?);
                Ok(Array::build(&index.shape, |at| {
                    let mut from = at.to_vec();
                    from[dim] = index.at(at) as usize;
                    x.at(&from)
                }))
            },
        )
    },
    Op {
        group: Group::Index,
        samples: |s| {
            let several = |values: Vec<Value>| {
                let tensors = values.into_iter().filter_map(|value| match value {
                    Value::Tensor(tensor) => Some(tensor),
                    _ => None,
                });
                Value::Tensors(tensors.collect())
            };
            vec![
                vec![several(vec![s.normal(&[2, 3]), s.normal(&[2, 1]), s.normal(&[2, 0])]), Value::Int(1)],
                vec![several(vec![s.normal(&[2, 3]), s.normal(&[4, 3])]), Value::Int(-2)],
            ]
        },
        ..view(
            "cat",
            &[("tensors", Kind::Tensors), ("dim", Kind::Int)],
            "[(…), …] → sizes added along dim",
            "the tensors one after the other along dim",
            |a| ops::cat(&a.tensors(0)?, a.int(1)?),
            |a| {
                let parts: Vec<Array> = a.tensors(0)?.into_iter().map(Array::of).collect::<Result<_>>()?;
                let dim = axis(&parts[0], a.int(1)?);
                let mut shape = parts[0].shape.clone();
                shape[dim] = parts.iter().map(|part| part.shape[dim]).sum();
                Ok(Array::build(&shape, |index| {
                    let mut from = index.to_vec();
                    for part in &parts {
                        if from[dim] < part.shape[dim] {
                            return part.at(&from);
                        }
                        from[dim] -= part.shape[dim];
                    }
                    f64::NAN
                }))
            },
        )
    },
    Op {
        group: Group::Index,
        dtypes: &DType::ALL,
        samples: |s| {
            let tensors = (0..3).filter_map(|_| match s.normal(&[2, 3]) {
                Value::Tensor(tensor) => Some(tensor),
                _ => None,
            });
            let tensors: Vec<Tensor> = tensors.collect();
            [0, 1, -1].map(|dim| vec![Value::Tensors(tensors.clone()), Value::Int(dim)]).to_vec()
        },
        ..view(
            "stack",
            &[("tensors", Kind::Tensors), ("dim", Kind::Int)],
            "[(…), …] → a new dimension dim",
            "the tensors along a new dimension",
            |a| ops::stack(&a.tensors(0)?, a.int(1)?),
            |a| {
                let parts: Vec<Array> = a.tensors(0)?.into_iter().map(Array::of).collect::<Result<_>>()?;
                let mut shape = parts[0].shape.clone();
                let dim = a.int(1)?.rem_euclid(shape.len() as isize + 1) as usize;
                shape.insert(dim, parts.len());
                Ok(Array::build(&shape, |index| {
                    let mut from = index.to_vec();
                    let which = from.remove(dim);
                    parts[which].at(&from)
                }))
            },
        )
    },
];
