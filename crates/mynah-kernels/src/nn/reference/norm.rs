use crate::float::Float;
use crate::nn::check::{rows_of, same_len};
use crate::nn::types::RopeNorm;

/// y = x / √(mean(x²) + eps) for each row of `dim`; `inv_rms` gets one factor a row.
pub fn rms_norm_forward<T: Float>(x: &[T], dim: usize, eps: T, y: &mut [T], inv_rms: &mut [T]) {
    let rows = rows_of("rms_norm_forward", x.len(), dim);
    same_len("rms_norm_forward x, y", &[x.len(), y.len()]);
    same_len("rms_norm_forward rows, inv_rms", &[rows, inv_rms.len()]);
    for row in 0..rows {
        let x = &x[row * dim..][..dim];
        let inv = inverse_rms(x, eps);
        inv_rms[row] = inv;
        for (y, &x) in y[row * dim..][..dim].iter_mut().zip(x) {
            *y = x * inv;
        }
    }
}

fn inverse_rms<T: Float>(x: &[T], eps: T) -> T {
    let mut sum = T::ZERO;
    for &x in x {
        sum += x * x;
    }
    T::ONE / (sum / T::from_f64(x.len() as f64) + eps).sqrt()
}

/// dx = inv · (dy − y · mean(dy · y)), from the saved output and factors; `accumulate` adds to `dx`.
pub fn rms_norm_backward<T: Float>(
    y: &[T],
    inv_rms: &[T],
    dy: &[T],
    dim: usize,
    dx: &mut [T],
    accumulate: bool,
) {
    let rows = rows_of("rms_norm_backward", y.len(), dim);
    same_len("rms_norm_backward y, dy, dx", &[y.len(), dy.len(), dx.len()]);
    same_len("rms_norm_backward rows, inv_rms", &[rows, inv_rms.len()]);
    for (row, &inv) in inv_rms.iter().enumerate() {
        let at = row * dim..(row + 1) * dim;
        let (y, dy, dx) = (&y[at.clone()], &dy[at.clone()], &mut dx[at]);
        let mut dot = T::ZERO;
        for (&y, &dy) in y.iter().zip(dy) {
            dot += y * dy;
        }
        let mean = dot / T::from_f64(dim as f64);
        for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
            let value = inv * (dy - y * mean);
            *dx = if accumulate { *dx + value } else { value };
        }
    }
}

/// Rotation, then RMS norm over the head, then scale: see [`RopeNorm`].
pub fn rope_norm_forward<T: Float>(
    config: &RopeNorm<'_, T>,
    x: &[T],
    x_row_stride: usize,
    y: &mut [T],
    inv_rms: &mut [T],
) {
    let (heads, dim) = (config.heads, config.head_dim);
    let rows = config.check_forward(x.len(), x_row_stride, y.len(), inv_rms.len());
    for row in 0..rows {
        for head in 0..heads {
            let x = &x[row * x_row_stride + head * dim..][..dim];
            let y = &mut y[(row * heads + head) * dim..][..dim];
            y.copy_from_slice(x);
            if let Some((cos, sin)) = config.rotation(row) {
                for i in 0..dim / 2 {
                    let (a, b) = (x[i], x[i + dim / 2]);
                    y[i] = a * cos[i] + b * sin[i];
                    y[i + dim / 2] = b * cos[i] - a * sin[i];
                }
            }
            let mut factor = config.scale;
            if let Some(eps) = config.norm_eps {
                let inv = inverse_rms(y, eps);
                inv_rms[row * heads + head] = inv;
                factor *= inv;
            }
            for y in y {
                *y *= factor;
            }
        }
    }
}

/// Gradient of [`rope_norm_forward`] from its output `y` (both needed only with the norm on); writes `dx`
/// with its own row stride.
pub fn rope_norm_backward<T: Float>(
    config: &RopeNorm<'_, T>,
    y: &[T],
    inv_rms: &[T],
    dy: &[T],
    dx: &mut [T],
    dx_row_stride: usize,
) {
    let (heads, dim) = (config.heads, config.head_dim);
    let rows = config.check_backward(y.len(), inv_rms.len(), dy.len(), dx.len(), dx_row_stride);
    let mut rotated = vec![T::ZERO; dim];
    for row in 0..rows {
        for head in 0..heads {
            let at = (row * heads + head) * dim;
            let dy = &dy[at..][..dim];
            // Gradient before scale and norm: inv·(s·dy − (y/s)·mean(dy·y)).
            if config.norm_eps.is_some() {
                let y = &y[at..][..dim];
                let mut dot = T::ZERO;
                for (&y, &dy) in y.iter().zip(dy) {
                    dot += y * dy;
                }
                let mean = dot / T::from_f64(dim as f64) / config.scale;
                let inv = inv_rms[row * heads + head];
                for i in 0..dim {
                    rotated[i] = inv * (config.scale * dy[i] - y[i] * mean);
                }
            } else {
                for i in 0..dim {
                    rotated[i] = config.scale * dy[i];
                }
            }
            let dx = &mut dx[row * dx_row_stride + head * dim..][..dim];
            dx.copy_from_slice(&rotated);
            if let Some((cos, sin)) = config.rotation(row) {
                for i in 0..dim / 2 {
                    let (a, b) = (rotated[i], rotated[i + dim / 2]);
                    dx[i] = a * cos[i] - b * sin[i];
                    dx[i + dim / 2] = b * cos[i] + a * sin[i];
                }
            }
        }
    }
}
