//! Muon: momentum, orthogonalised by Polar Express, scaled by NorMuon.
//!
//! Besides the matrix products a step makes four passes over the matrix: momentum with row norms, row
//! factors, norms of the result, update. Factors that follow each other are multiplied first.

use super::reference::POLAR_EXPRESS;
use super::scratch::{self, padded, take};
use super::simd::{Simd, kernel};
use super::softmax::scale_row;
use super::types::{Muon, MuonMatrix};
use crate::gemm::{MatMut, MatRef, Store, gemm, gemm_symmetric};
use crate::pool;

/// One Muon step of one matrix: the stages of [`Muon`] in their order.
pub fn muon_step(config: &Muon, matrix: &mut MuonMatrix<'_, f32>) {
    matrix.check(config);
    let (rows, cols) = (matrix.rows, matrix.cols);
    if rows == 0 || cols == 0 {
        return;
    }
    let side = rows.min(cols);
    let square = side * side;
    let lens = [rows * cols, rows * cols, square, square, square, square, rows, rows.max(cols)];
    scratch::with(lens.iter().map(|&len| padded(len)).sum(), |mut space| {
        let [x, next, s0, s1, s2, s3, row_factors, factors] = lens.map(|len| take(&mut space, len));
        let momentum = config.momentum as f32;
        lookahead(matrix.grad, matrix.momentum, momentum, config.nesterov, cols, x, row_factors);
        equilibrate(config, row_factors);
        scale_rows(x, cols, row_factors);
        let x = orthogonalize(config.iterations, rows, cols, x, next, [s0, s1, s2, s3]);
        let lr = config.lr * matrix.lr_factor;
        let tall = rows >= cols;
        final_factors(config, x, cols, tall, matrix.second, factors);
        let decay = (lr * config.weight_decay) as f32;
        update(x, cols, factors, tall, lr as f32, decay, config.cautious, matrix.param);
    });
}

/// One Muon step of many matrices, of any shapes. With at least as many matrices as threads each thread
/// takes whole matrices: products this small do not use many threads well.
pub fn muon_step_many(config: &Muon, matrices: &mut [MuonMatrix<'_, f32>]) {
    if matrices.len() < pool::threads() {
        for matrix in matrices {
            muon_step(config, matrix);
        }
        return;
    }
    // The largest first, so that no thread begins one when the others are done.
    let mut order: Vec<_> = matrices.iter_mut().collect();
    order.sort_by_key(|matrix| std::cmp::Reverse(matrix.rows * matrix.cols * matrix.rows.min(matrix.cols)));
    pool::run_chunks_mut(&mut order, 1, |_, matrix| muon_step(config, matrix[0]));
}

kernel! {
    /// m ← m + (1 − momentum)(g − m); x = g + momentum·(m − g), or m; `squares` gets Σ x² of each row.
    fn lookahead(
        g: &[f32],
        m: &mut [f32],
        momentum: f32,
        nesterov: bool,
        cols: usize,
        x: &mut [f32],
        squares: &mut [f32],
    ) = lookahead_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn lookahead_body<S: Simd>(
    s: S,
    g: &[f32],
    m: &mut [f32],
    momentum: f32,
    nesterov: bool,
    cols: usize,
    x: &mut [f32],
    squares: &mut [f32],
) {
    let (rest, momentum) = (s.splat(1.0 - momentum), s.splat(momentum));
    let rows = g.chunks_exact(cols).zip(m.chunks_exact_mut(cols)).zip(x.chunks_exact_mut(cols));
    for (((g, m), x), square) in rows.zip(squares) {
        let mut sum = s.splat(0.0);
        let mut i = 0;
        while i < cols {
            let (gradient, old) = (s.load_at(g, i), s.load_at(m, i));
            let new = s.mul_add(rest, s.sub(gradient, old), old);
            s.store_at(m, i, new);
            let look = if nesterov { s.mul_add(momentum, s.sub(new, gradient), gradient) } else { new };
            s.store_at(x, i, look);
            sum = s.mul_add(look, look, sum);
            i += S::LANES;
        }
        *square = s.sum(sum);
    }
}

/// Turns the sums of squares of the rows into their factors: equal norms if wanted, then 1 / (1.01·‖X‖ + 1e-6)
/// if an orthogonalisation follows.
fn equilibrate(config: &Muon, rows: &mut [f32]) {
    let total: f64 = rows.iter().map(|&square| f64::from(square)).sum();
    let target = (total / rows.len() as f64).sqrt();
    let mut after = 0.0;
    for row in rows.iter_mut() {
        let norm = f64::from(*row).sqrt();
        let factor = if config.equilibrate { target / norm.max(1e-6) } else { 1.0 };
        after += (norm * factor).powi(2);
        *row = factor as f32;
    }
    if config.iterations > 0 {
        let factor = (1.0 / (after.sqrt() * 1.01 + 1e-6)) as f32;
        rows.iter_mut().for_each(|row| *row *= factor);
    }
}

kernel! { fn scale_rows(x: &mut [f32], cols: usize, factors: &[f32]) = scale_rows_body }

#[inline(always)]
fn scale_rows_body<S: Simd>(s: S, x: &mut [f32], cols: usize, factors: &[f32]) {
    for (x, &factor) in x.chunks_exact_mut(cols).zip(factors) {
        scale_row(s, x, factor);
    }
}

/// From this ratio of its sides on a matrix is orthogonalised through its Gram matrix.
const GRAM_RATIO: usize = 2;
/// Iterations between two looks at the matrix itself. The Gram matrix holds squares of singular values, so
/// rounding hides those below 3e-4 of the largest; two iterations lift them by more than 30 before the next
/// Gram matrix is taken, three more leave a relative error of 1e-5.
const STRETCHES: [usize; 2] = [2, 3];

/// Polar Express on X (rows, cols), already scaled to norm below 1; returns the buffer with the result.
///
/// An iteration is X ← p(A)·X with A = X·Xᵀ and p(A) = a + b·A + c·A², for a matrix that is not tall.
fn orthogonalize<'a>(
    iterations: usize,
    rows: usize,
    cols: usize,
    x: &'a mut [f32],
    next: &'a mut [f32],
    squares: [&mut [f32]; 4],
) -> &'a mut [f32] {
    // The smaller Gram matrix: X·Xᵀ on the left of a wide X, Xᵀ·X on the right of a tall one.
    let wide = rows <= cols;
    let side = rows.min(cols);
    let gram = |x: &[f32], out: &mut [f32]| {
        let x = MatRef::new(x, rows, cols);
        let (left, right) = if wide { (x, x.t()) } else { (x.t(), x) };
        gemm_symmetric(left, right, MatMut::new(out, side, side), Store::Overwrite);
    };
    let apply = |factor: &[f32], x: &[f32], store: Store<'_, f32>, out: &mut [f32]| {
        let (factor, x) = (MatRef::new(factor, side, side), MatRef::new(x, rows, cols));
        let (left, right) = if wide { (factor, x) } else { (x, factor) };
        gemm(left, right, MatMut::new(out, rows, cols), store);
    };
    let coefficients = &POLAR_EXPRESS[..iterations];
    let [a0, polynomial, product, all] = squares;
    let (mut x, mut next) = (x, next);
    if rows.max(cols) < GRAM_RATIO * side {
        for &(a, b, c) in coefficients {
            gram(x, a0);
            let store = Store::AddScaled { alpha: c as f32, beta: b as f32, other: a0 };
            symmetric(a0, a0, side, store, polynomial);
            apply(polynomial, x, Store::AddScaled { alpha: 1.0, beta: a as f32, other: x }, next);
            std::mem::swap(&mut x, &mut next);
        }
        return x;
    }
    // All that is made from A by products and sums commutes, so that every product of two is symmetric, the
    // Gram matrix after an iteration is p·A·p, and the iterations meet X as one matrix.
    let (mut polynomial, mut product, mut all) = (polynomial, product, all);
    let mut rest = coefficients;
    for stretch in STRETCHES.into_iter().chain(std::iter::repeat(STRETCHES[1])) {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(stretch.min(rest.len()));
        rest = later;
        gram(x, a0);
        for (i, &(a, b, c)) in now.iter().enumerate() {
            let store = Store::AddScaled { alpha: c as f32, beta: b as f32, other: a0 };
            symmetric(a0, a0, side, store, polynomial);
            polynomial.iter_mut().step_by(side + 1).for_each(|x| *x += a as f32);
            if i + 1 < now.len() {
                symmetric(polynomial, a0, side, Store::Overwrite, product);
                symmetric(product, polynomial, side, Store::Overwrite, a0);
            }
            if i == 0 {
                std::mem::swap(&mut all, &mut polynomial);
            } else {
                symmetric(polynomial, all, side, Store::Overwrite, product);
                std::mem::swap(&mut all, &mut product);
            }
        }
        apply(all, x, Store::Overwrite, next);
        std::mem::swap(&mut x, &mut next);
    }
    x
}

/// The product of two matrices (side, side) that commute and are symmetric.
fn symmetric(a: &[f32], b: &[f32], side: usize, store: Store<'_, f32>, out: &mut [f32]) {
    let (a, b) = (MatRef::new(a, side, side), MatRef::new(b, side, side));
    gemm_symmetric(a, b, MatMut::new(out, side, side), store);
}

/// Factor of each row (tall) or column (wide) of X in the update: renormalisation and NorMuon, whose second
/// moment is brought up to date.
fn final_factors(config: &Muon, x: &[f32], cols: usize, tall: bool, second: &mut [f32], factors: &mut [f32]) {
    if !config.renormalize && config.beta2.is_none() {
        factors.fill(1.0);
        return;
    }
    if tall {
        row_squares(x, cols, factors);
    } else {
        factors.fill(0.0);
        column_squares(x, cols, factors);
    }
    let side = (x.len() / factors.len()) as f64;
    let total: f64 = factors.iter().map(|&square| f64::from(square)).sum();
    let norm = if config.renormalize { side.sqrt() / total.sqrt().max(1e-6) } else { 1.0 };
    let Some(beta2) = config.beta2 else {
        factors.fill(norm as f32);
        return;
    };
    let (mut before, mut after) = (0.0, 0.0);
    for (second, factor) in second.iter_mut().zip(factors.iter_mut()) {
        let square = norm * norm * f64::from(*factor);
        *second += (1.0 - beta2) as f32 * ((square / side) as f32 - *second);
        let step = 1.0 / f64::from(*second).max(1e-10).sqrt();
        before += square;
        after += square * step * step;
        *factor = (norm * step) as f32;
    }
    let restore = (before.sqrt() / after.sqrt().max(1e-10)) as f32;
    factors.iter_mut().for_each(|factor| *factor *= restore);
}

kernel! { fn row_squares(x: &[f32], cols: usize, sums: &mut [f32]) = row_squares_body }

#[inline(always)]
fn row_squares_body<S: Simd>(s: S, x: &[f32], cols: usize, sums: &mut [f32]) {
    for (x, sum) in x.chunks_exact(cols).zip(sums) {
        *sum = super::math::dot(s, x, x);
    }
}

kernel! { fn column_squares(x: &[f32], cols: usize, sums: &mut [f32]) = column_squares_body }

#[inline(always)]
fn column_squares_body<S: Simd>(s: S, x: &[f32], cols: usize, sums: &mut [f32]) {
    for x in x.chunks_exact(cols) {
        let mut i = 0;
        while i < cols {
            let value = s.load_at(x, i);
            s.store_at(sums, i, s.mul_add(value, value, s.load_at(sums, i)));
            i += S::LANES;
        }
    }
}

kernel! {
    /// p ← p − lr·u − decay·p for u = X with its row or column factors; with `cautious` the decay acts only
    /// where u·p ≥ 0.
    fn update(
        x: &[f32],
        cols: usize,
        factors: &[f32],
        by_row: bool,
        lr: f32,
        decay: f32,
        cautious: bool,
        p: &mut [f32],
    ) = update_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn update_body<S: Simd>(
    s: S,
    x: &[f32],
    cols: usize,
    factors: &[f32],
    by_row: bool,
    lr: f32,
    decay: f32,
    cautious: bool,
    p: &mut [f32],
) {
    let (zero, lr, decay) = (s.splat(0.0), s.splat(lr), s.splat(decay));
    for (row, (x, p)) in x.chunks_exact(cols).zip(p.chunks_exact_mut(cols)).enumerate() {
        let row_factor = s.splat(if by_row { factors[row] } else { 1.0 });
        let mut i = 0;
        while i < cols {
            let factor = if by_row { row_factor } else { s.load_at(factors, i) };
            let (u, old) = (s.mul(s.load_at(x, i), factor), s.load_at(p, i));
            let against = s.less(s.mul(u, old), zero);
            let decayed = if cautious { s.select(against, zero, decay) } else { decay };
            let new = s.neg_mul_add(lr, u, s.neg_mul_add(decayed, old, old));
            s.store_at(p, i, new);
            i += S::LANES;
        }
    }
}
