use crate::float::Float;
use crate::nn::check::{ids_ascend, rows_of, same_len, volume};
use crate::nn::types::{AdamW, Muon, MuonMatrix};

/// Polar Express for 5 iterations with safety 2e-2 and cushion 2: (a, b, c) of X ← aX + (bA + cA²)X with
/// A = XXᵀ (arXiv 2505.16932, section 4).
pub(crate) const POLAR_EXPRESS: [(f64, f64, f64); 5] = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
];

/// One AdamW step: p ← p(1 − lr·wd); m, v moments; p ← p − lr/bias₁ · m / (√(v/bias₂) + eps).
pub fn adamw_step<T: Float>(config: &AdamW, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
    same_len("adamw_step p, g, m, v", &[p.len(), g.len(), m.len(), v.len()]);
    for i in 0..p.len() {
        adamw_one(config, &mut p[i], g[i], &mut m[i], &mut v[i]);
    }
}

fn adamw_one<T: Float>(config: &AdamW, p: &mut T, g: T, m: &mut T, v: &mut T) {
    let at = T::from_f64;
    let bias1 = 1.0 - config.beta1.powf(config.step as f64);
    let bias2 = 1.0 - config.beta2.powf(config.step as f64);
    *m += at(1.0 - config.beta1) * (g - *m);
    *v += at(1.0 - config.beta2) * (g * g - *v);
    let denominator = v.sqrt() * at(1.0 / bias2.sqrt()) + at(config.eps);
    *p = *p * at(1.0 - config.lr * config.weight_decay) - at(config.lr / bias1) * (*m / denominator);
}

/// [`adamw_step`] of a (vocab, dim) table whose gradient is zero outside the rows `ids` (ascending, unique).
pub fn adamw_step_rows<T: Float>(
    config: &AdamW,
    dim: usize,
    p: &mut [T],
    ids: &[i64],
    rows: &[T],
    m: &mut [T],
    v: &mut [T],
) {
    let vocab = rows_of("adamw_step_rows p", p.len(), dim);
    same_len("adamw_step_rows p, m, v", &[p.len(), m.len(), v.len()]);
    same_len("adamw_step_rows ids·dim, rows", &[volume("ids·dim", &[ids.len(), dim]), rows.len()]);
    ids_ascend("adamw_step_rows", ids, vocab);
    let mut g = vec![T::ZERO; p.len()];
    for (&id, row) in ids.iter().zip(rows.chunks_exact(dim)) {
        g[id as usize * dim..][..dim].copy_from_slice(row);
    }
    adamw_step(config, p, &g, m, v);
}

fn norm<T: Float>(x: &[T]) -> T {
    let mut sum = T::ZERO;
    for &x in x {
        sum += x * x;
    }
    sum.sqrt()
}

fn at_least<T: Float>(x: T, floor: f64) -> T {
    if x > T::from_f64(floor) { x } else { T::from_f64(floor) }
}

/// One Muon step of one matrix: the stages of [`Muon`] in their order.
pub fn muon_step<T: Float>(config: &Muon, matrix: &mut MuonMatrix<'_, T>) {
    matrix.check(config);
    let at = T::from_f64;
    let (rows, cols) = (matrix.rows, matrix.cols);
    if rows == 0 || cols == 0 {
        return;
    }
    let mut x = matrix.grad.to_vec();
    for (x, m) in x.iter_mut().zip(matrix.momentum.iter_mut()) {
        *m += at(1.0 - config.momentum) * (*x - *m);
        *x = if config.nesterov { *x + at(config.momentum) * (*m - *x) } else { *m };
    }
    if config.equilibrate {
        let target = norm(&x) / at((rows as f64).sqrt());
        for row in x.chunks_exact_mut(cols) {
            let factor = target / at_least(norm(row), 1e-6);
            row.iter_mut().for_each(|x| *x *= factor);
        }
    }
    if config.iterations > 0 {
        polar_express(&mut x, rows, cols, config.iterations);
    }
    if config.renormalize {
        let factor = at((rows.min(cols) as f64).sqrt()) / at_least(norm(&x), 1e-6);
        x.iter_mut().for_each(|x| *x *= factor);
    }
    if let Some(beta2) = config.beta2 {
        normuon(&mut x, rows, cols, beta2, matrix.second);
    }
    let lr = at(config.lr * matrix.lr_factor);
    let decay = at(config.lr * matrix.lr_factor * config.weight_decay);
    for (p, &x) in matrix.param.iter_mut().zip(&x) {
        let decays = !config.cautious || x * *p >= T::ZERO;
        *p -= lr * x + if decays { decay * *p } else { T::ZERO };
    }
}

/// The nearest orthogonal matrix, approached by `iterations` odd polynomials of X (rows, cols).
pub fn polar_express<T: Float>(x: &mut [T], rows: usize, cols: usize, iterations: usize) {
    same_len("polar_express rows·cols, x", &[rows * cols, x.len()]);
    let factor = T::ONE / (norm(x) * T::from_f64(1.01) + T::from_f64(1e-6));
    x.iter_mut().for_each(|x| *x *= factor);
    let side = rows.min(cols);
    // Element (i, k) of the wide orientation, whose Gram matrix is the smaller one.
    let at = |i: usize, k: usize| if rows > cols { k * cols + i } else { i * cols + k };
    for &(a, b, c) in &POLAR_EXPRESS[..iterations] {
        let mut gram = vec![T::ZERO; side * side];
        for i in 0..side {
            for j in 0..side {
                for k in 0..rows.max(cols) {
                    gram[i * side + j] += x[at(i, k)] * x[at(j, k)];
                }
            }
        }
        let mut polynomial = vec![T::ZERO; side * side];
        for i in 0..side {
            for j in 0..side {
                let mut square = T::ZERO;
                for k in 0..side {
                    square += gram[i * side + k] * gram[k * side + j];
                }
                polynomial[i * side + j] = T::from_f64(b) * gram[i * side + j] + T::from_f64(c) * square;
            }
        }
        let old = x.to_vec();
        for i in 0..side {
            for k in 0..rows.max(cols) {
                let mut sum = T::from_f64(a) * old[at(i, k)];
                for j in 0..side {
                    sum += polynomial[i * side + j] * old[at(j, k)];
                }
                x[at(i, k)] = sum;
            }
        }
    }
}

/// Divides each row (tall) or column (wide) by the root of its running mean square, then restores the
/// Frobenius norm.
fn normuon<T: Float>(x: &mut [T], rows: usize, cols: usize, beta2: f64, second: &mut [T]) {
    let tall = rows >= cols;
    let group = |i: usize| if tall { i / cols } else { i % cols };
    let size = T::from_f64(rows.min(cols) as f64);
    let mut mean = vec![T::ZERO; second.len()];
    for (i, &x) in x.iter().enumerate() {
        mean[group(i)] += x * x / size;
    }
    let (mut before, mut after) = (T::ZERO, T::ZERO);
    for (second, &mean) in second.iter_mut().zip(&mean) {
        *second += T::from_f64(1.0 - beta2) * (mean - *second);
        before += mean * size;
        after += mean * size / at_least(*second, 1e-10);
    }
    let restore = before.sqrt() / at_least(after.sqrt(), 1e-10);
    for (i, x) in x.iter_mut().enumerate() {
        *x *= restore / at_least(second[group(i)], 1e-10).sqrt();
    }
}
