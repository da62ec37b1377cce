use crate::float::Float;
use crate::nn::check::{rows_of, same_len};
use crate::nn::types::{CrossEntropyShape, LossScale};

/// Loss of each row, −log softmax(cap(x·Wᵀ))[target]; 0 where the target is −1.
pub fn linear_cross_entropy_forward<T: Float>(
    shape: &CrossEntropyShape,
    x: &[T],
    w: &[T],
    targets: &[i64],
    losses: &mut [T],
) {
    let rows = shape.check(x.len(), w.len(), targets, losses.len());
    let mut logits = vec![T::ZERO; shape.vocab];
    for row in 0..rows {
        losses[row] = T::ZERO;
        if targets[row] >= 0 {
            let (max, sum) = capped_logits(shape, &x[row * shape.dim..][..shape.dim], w, &mut logits);
            losses[row] = max + sum.ln() - logits[targets[row] as usize];
        }
    }
}

/// Fills `logits`; returns their maximum and Σ exp(z − max).
fn capped_logits<T: Float>(shape: &CrossEntropyShape, x: &[T], w: &[T], logits: &mut [T]) -> (T, T) {
    for (logit, w) in logits.iter_mut().zip(w.chunks_exact(shape.dim)) {
        let mut z = T::ZERO;
        for (&x, &w) in x.iter().zip(w) {
            z += x * w;
        }
        if let Some(cap) = shape.softcap {
            let cap = T::from_f64(f64::from(cap));
            z = cap * (z / cap).tanh();
        }
        *logit = z;
    }
    denominator(logits)
}

/// Losses as [`linear_cross_entropy_forward`], and the gradients of the scaled sum of them: `dx` is
/// overwritten, `dw` is overwritten or, with `accumulate`, added to.
#[expect(clippy::too_many_arguments, reason = "the tensors of the formula, each needed")]
pub fn linear_cross_entropy<T: Float>(
    shape: &CrossEntropyShape,
    x: &[T],
    w: &[T],
    targets: &[i64],
    scale: LossScale<'_, T>,
    losses: &mut [T],
    dx: &mut [T],
    dw: &mut [T],
    accumulate: bool,
) {
    let rows = shape.check(x.len(), w.len(), targets, losses.len());
    same_len("linear_cross_entropy x, dx", &[x.len(), dx.len()]);
    same_len("linear_cross_entropy w, dw", &[w.len(), dw.len()]);
    let dim = shape.dim;
    let counted = targets.iter().filter(|&&target| target >= 0).count();
    let mut logits = vec![T::ZERO; shape.vocab];
    dx.fill(T::ZERO);
    if !accumulate {
        dw.fill(T::ZERO);
    }
    for row in 0..rows {
        losses[row] = T::ZERO;
        if targets[row] < 0 {
            continue;
        }
        let target = targets[row] as usize;
        let x = &x[row * dim..][..dim];
        let dx = &mut dx[row * dim..][..dim];
        let (max, sum) = capped_logits(shape, x, w, &mut logits);
        losses[row] = max + sum.ln() - logits[target];
        let factor = scale.of(row, counted);
        for (class, &z) in logits.iter().enumerate() {
            let mut dz = (z - max).exp() / sum;
            if class == target {
                dz -= T::ONE;
            }
            if let Some(cap) = shape.softcap {
                let t = z / T::from_f64(f64::from(cap));
                dz *= T::ONE - t * t;
            }
            dz *= factor;
            for d in 0..dim {
                dx[d] += dz * w[class * dim + d];
                dw[class * dim + d] += dz * x[d];
            }
        }
    }
}

/// (max, Σ exp(x − max)) of a row.
fn denominator<T: Float>(x: &[T]) -> (T, T) {
    let max = x.iter().fold(T::NEG_INFINITY, |max, &x| if x > max { x } else { max });
    let mut sum = T::ZERO;
    for &x in x {
        sum += (x - max).exp();
    }
    (max, sum)
}

/// y = softmax of each row of `cols`.
pub fn softmax_rows<T: Float>(x: &[T], cols: usize, y: &mut [T]) {
    rows_of("softmax_rows", x.len(), cols);
    same_len("softmax_rows x, y", &[x.len(), y.len()]);
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
        let (max, sum) = denominator(x);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = (x - max).exp() / sum;
        }
    }
}

/// y = log softmax of each row of `cols`.
pub fn log_softmax_rows<T: Float>(x: &[T], cols: usize, y: &mut [T]) {
    rows_of("log_softmax_rows", x.len(), cols);
    same_len("log_softmax_rows x, y", &[x.len(), y.len()]);
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
        let (max, sum) = denominator(x);
        let lse = max + sum.ln();
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x - lse;
        }
    }
}

/// dx = y·(dy − Σ dy·y) of each row, from the saved output `y`.
pub fn softmax_backward_rows<T: Float>(y: &[T], dy: &[T], cols: usize, dx: &mut [T]) {
    rows_of("softmax_backward_rows", y.len(), cols);
    same_len("softmax_backward_rows y, dy, dx", &[y.len(), dy.len(), dx.len()]);
    for ((y, dy), dx) in y.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)) {
        let mut dot = T::ZERO;
        for (&y, &dy) in y.iter().zip(dy) {
            dot += y * dy;
        }
        for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
            *dx = y * (dy - dot);
        }
    }
}

/// dx = dy − e^y·Σ dy of each row, from the saved output `y` (log-probabilities).
pub fn log_softmax_backward_rows<T: Float>(y: &[T], dy: &[T], cols: usize, dx: &mut [T]) {
    rows_of("log_softmax_backward_rows", y.len(), cols);
    same_len("log_softmax_backward_rows y, dy, dx", &[y.len(), dy.len(), dx.len()]);
    for ((y, dy), dx) in y.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)) {
        let mut sum = T::ZERO;
        for &dy in dy {
            sum += dy;
        }
        for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
            *dx = dy - y.exp() * sum;
        }
    }
}

/// Index of the first greatest value of each row; a NaN never wins.
pub fn argmax_rows<T: Float>(x: &[T], cols: usize, out: &mut [i64]) {
    let rows = rows_of("argmax_rows", x.len(), cols);
    same_len("argmax_rows rows, out", &[rows, out.len()]);
    for (x, out) in x.chunks_exact(cols).zip(out) {
        let mut best = 0;
        let mut value = T::NEG_INFINITY;
        for (i, &x) in x.iter().enumerate() {
            if x > value {
                (best, value) = (i, x);
            }
        }
        *out = best as i64;
    }
}
