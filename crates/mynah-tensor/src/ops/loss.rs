//! Cross-entropy, from logits and fused with the layer that makes them.

use mynah_kernels::float::Float;
use mynah_kernels::nn::{CrossEntropyShape, LossScale, count_targets};
use mynah_kernels::pool;

use crate::autograd::{Kept, Saved, Sink, record, wants_grad};
use crate::dtype::DType;
use crate::error::{Error, Result, expect_dtype, expect_rank, expect_same_dtype, expect_shape};
use crate::kernels::{Real, dispatch_real, map, sum, update, via_f32};
use crate::memory::Recycled;
use crate::tensor::Tensor;

/// What becomes of the losses of single rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Their mean over the rows that are not ignored; 0 if all are.
    Mean,
    /// Their sum.
    Sum,
    /// They are the result, 0 for ignored rows.
    None,
}

impl Reduction {
    /// The lower-case name (`mean`, `sum`, `none`).
    pub const fn name(self) -> &'static str {
        match self {
            Reduction::Mean => "mean",
            Reduction::Sum => "sum",
            Reduction::None => "none",
        }
    }

    /// The reduction with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Mean, Self::Sum, Self::None].into_iter().find(|reduction| reduction.name() == name)
    }
}

/// Refuses targets that are neither −1 nor a class; counts those that are one.
fn check_targets(op: &'static str, targets: &Tensor, classes: usize) -> Result<usize> {
    targets.with_slice(|targets: &[i64]| {
        match targets.iter().position(|&target| target != -1 && (target < 0 || target >= classes as i64)) {
            Some(at) => Err(Error::index(
                op,
                format!(
                    "target {} at position {at} is neither one of {classes} classes nor -1 (ignored)",
                    targets[at]
                ),
            )),
            None => Ok(count_targets(targets)),
        }
    })?
}

/// −log softmax(logits)[target] for each row: logits (…, C), targets (…) i64, −1 = ignored.
///
/// # Errors
/// When the shapes do not fit or a target is no class.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor> {
    const OP: &str = "cross_entropy";
    let Some((&classes, rows)) = logits.shape().split_last() else {
        return Err(Error::shape(OP, "logits need at least one dimension"));
    };
    expect_dtype(OP, targets, &[DType::I64])?;
    expect_shape(OP, "targets", targets, rows)?;
    if logits.dtype().is_half() {
        return via_f32(&[logits], |x| cross_entropy(x[0], targets, reduction));
    }
    let (logits, targets) = (logits.contiguous()?, targets.contiguous()?);
    let counted = check_targets(OP, &targets, classes)?;
    dispatch_real!(OP, logits, T => {
        // The logarithms are kept: the gradient is their exponential minus one at the target.
        let mut logs = Recycled::<T>::unfilled(OP, logits.len())?;
        let mut losses = Recycled::<T>::unfilled(OP, targets.len())?;
        if !logs.is_empty() {
            logits.with_slice(|x: &[T]| T::log_softmax_rows(x, classes, &mut logs))?;
        }
        targets.with_slice(|targets: &[i64]| {
            for (row, (&target, loss)) in targets.iter().zip(losses.iter_mut()).enumerate() {
                *loss = if target < 0 { <T as Float>::ZERO } else { -logs[row * classes + target as usize] };
            }
        })?;
        let output = reduce(OP, losses, targets.shape(), counted, reduction)?;
        if !wants_grad(&[&logits]) {
            return Ok(output);
        }
        let targets = Saved::new(&targets);
        let shape = logits.dims();
        Ok(record(output, OP, &[&logits], move |grad, sink| {
            let grad = grad.contiguous()?;
            let mut dx = Recycled::<T>::unfilled(OP, logs.len())?;
            if !dx.is_empty() {
                <T as Real>::exp(&logs, &mut dx);
            }
            let count = <T as Float>::from_f64(counted.max(1) as f64);
            let finish = |target: i64, grad: T, dx: &mut [T]| {
                if target < 0 {
                    dx.fill(<T as Float>::ZERO);
                    return;
                }
                let factor = if reduction == Reduction::Mean { grad / count } else { grad };
                dx[target as usize] -= <T as Float>::ONE;
                dx.iter_mut().for_each(|x| *x *= factor);
            };
            targets.get(OP)?.with_slice(|targets: &[i64]| {
                grad.with_slice(|grad: &[T]| {
                    pool::run_chunks_mut(&mut dx, classes.max(1), |row, dx| {
                        let at = if reduction == Reduction::None { row } else { 0 };
                        finish(targets[row], grad[at], dx);
                    });
                })
            })??;
            sink.add(0, Tensor::from_buffer(OP, dx, &shape)?)
        }))
    })
}

fn reduce<T: Real>(
    op: &'static str,
    losses: Recycled<T>,
    shape: &[usize],
    counted: usize,
    reduction: Reduction,
) -> Result<Tensor> {
    let total = match reduction {
        Reduction::None => return Tensor::from_buffer(op, losses, shape),
        Reduction::Sum => sum(&losses),
        Reduction::Mean => sum(&losses) / counted.max(1) as f64,
    };
    let mut out = Recycled::<T>::unfilled(op, 1)?;
    out[0] = <T as Float>::from_f64(total);
    Tensor::from_buffer(op, out, &[])
}

/// The cross-entropy of z = cap(x·wᵀ): x (…, d), w (V, d), targets (…) i64, −1 = ignored. With
/// `softcap` c the logits are c·tanh(z/c) (Gemma Team 2024). Works through the rows in pieces, so the
/// logits of all rows never exist. For mean and sum the forward pass computes the gradients too, while
/// it has the logits at hand, and the backward pass only scales them.
///
/// # Errors
/// When shapes or types do not fit, a target is no class, or the cap is not positive.
pub fn linear_cross_entropy(
    x: &Tensor,
    w: &Tensor,
    targets: &Tensor,
    softcap: Option<f32>,
    reduction: Reduction,
) -> Result<Tensor> {
    const OP: &str = "linear_cross_entropy";
    expect_same_dtype(OP, x, w)?;
    expect_rank(OP, "the weight", w, 2)?;
    expect_dtype(OP, targets, &[DType::I64])?;
    let (vocab, dim) = (w.shape()[0], w.shape()[1]);
    let Some((&last, rows)) = x.shape().split_last() else {
        return Err(Error::shape(OP, "x needs at least one dimension"));
    };
    if last != dim {
        return Err(Error::shape(
            OP,
            format!("x {:?} and weight {:?} do not fit: the last sizes must agree", x.shape(), w.shape()),
        ));
    }
    expect_shape(OP, "targets", targets, rows)?;
    if !softcap.is_none_or(|cap| cap > 0.0 && cap.is_finite()) {
        return Err(Error::argument(OP, format!("the softcap must be positive, found {softcap:?}")));
    }
    if x.dtype().is_half() {
        return via_f32(&[x, w], |wide| linear_cross_entropy(wide[0], wide[1], targets, softcap, reduction));
    }
    let (x, w, targets) = (x.contiguous()?, w.contiguous()?, targets.contiguous()?);
    let counted = check_targets(OP, &targets, vocab)?;
    let shape = CrossEntropyShape { dim, vocab, softcap };
    dispatch_real!(OP, x, T => {
        if dim == 0 || targets.is_empty() {
            return linear_without_rows::<T>(&x, &w, &targets, reduction);
        }
        let mut losses = Recycled::<T>::unfilled(OP, targets.len())?;
        let wanted = wants_grad(&[&x, &w]);
        let scale = match reduction {
            Reduction::Mean => LossScale::Mean,
            _ => LossScale::Sum,
        };
        if !wanted || reduction == Reduction::None {
            x.with_slice(|x: &[T]| w.with_slice(|w: &[T]| targets.with_slice(|targets: &[i64]| {
                T::linear_cross_entropy_forward(&shape, x, w, targets, &mut losses);
            })))???;
            let output = reduce(OP, losses, targets.shape(), counted, reduction)?;
            if !wanted {
                return Ok(output);
            }
            let kept = (Saved::new(&x), Saved::new(&w), Saved::new(&targets));
            return Ok(record(output, OP, &[&x, &w], move |grad, sink| {
                let (x, w, targets) = (kept.0.get(OP)?, kept.1.get(OP)?, kept.2.get(OP)?);
                let grad = grad.contiguous()?;
                let mut losses = Recycled::<T>::unfilled(OP, targets.len())?;
                let mut dx = Recycled::<T>::unfilled(OP, x.len())?;
                sink_weight::<T>(sink, w, |dw, accumulate| {
                    grad.with_slice(|grad: &[T]| x.with_slice(|x: &[T]| w.with_slice(|w: &[T]| {
                        targets.with_slice(|targets: &[i64]| {
                            let scale = LossScale::Rows(grad);
                            T::linear_cross_entropy(&shape, x, w, targets, scale, &mut losses, &mut dx, dw, accumulate);
                        })
                    })))???
                })?;
                sink.add(0, Tensor::from_buffer(OP, dx, x.shape())?)
            }));
        }
        let mut dx = Recycled::<T>::unfilled(OP, x.len())?;
        let mut dw = Recycled::<T>::unfilled(OP, w.len())?;
        x.with_slice(|x: &[T]| w.with_slice(|w: &[T]| targets.with_slice(|targets: &[i64]| {
            T::linear_cross_entropy(&shape, x, w, targets, scale, &mut losses, &mut dx, &mut dw, false);
        })))???;
        let output = reduce(OP, losses, targets.shape(), counted, reduction)?;
        let dx = Kept::new(Tensor::from_buffer(OP, dx, x.shape())?);
        let dw = Kept::new(Tensor::from_buffer(OP, dw, w.shape())?);
        Ok(record(output, OP, &[&x, &w], move |grad, sink| {
            let factor = grad.with_slice(|grad: &[T]| grad[0])?;
            for (input, kept) in [(1, &dw), (0, &dx)] {
                let ready = kept.take(OP, sink)?;
                add_scaled::<T>(sink, input, ready, factor)?;
            }
            Ok(())
        }))
    })
}

/// Adds factor·grad to an input's gradient, without a pass over it where the factor is 1.
fn add_scaled<T: Real>(sink: &mut Sink<'_>, input: usize, grad: Tensor, factor: T) -> Result<()> {
    if factor == <T as Float>::ONE {
        return sink.add(input, grad);
    }
    grad.with_slice(|grad: &[T]| {
        sink.write::<T>(input, |target, accumulate| {
            if accumulate {
                update(target, grad, |sum, grad| sum + factor * grad);
            } else {
                map(grad, target, |grad| factor * grad);
            }
            Ok(())
        })
    })?
}

/// Lets `fill` write the weight's gradient, to a scratch buffer if nobody wants it.
fn sink_weight<T: Real>(
    sink: &mut Sink<'_>,
    w: &Tensor,
    fill: impl FnOnce(&mut [T], bool) -> Result<()>,
) -> Result<()> {
    if sink.wants(1) {
        return sink.write::<T>(1, fill);
    }
    fill(&mut Recycled::<T>::unfilled("linear_cross_entropy", w.len())?, false)
}

/// The cases without a single product: no rows, or rows without values.
fn linear_without_rows<T: Real>(
    x: &Tensor,
    w: &Tensor,
    targets: &Tensor,
    reduction: Reduction,
) -> Result<Tensor> {
    let logits = crate::ops::linear(x, w)?;
    cross_entropy(&logits, targets, reduction)
}
