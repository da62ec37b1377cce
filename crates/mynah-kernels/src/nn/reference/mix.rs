use crate::float::Float;
use crate::nn::check::{rows_of, same_len};

/// y = v + gate·ve, with one gate per group of `dim` values (a head).
pub fn gated_add_forward<T: Float>(v: &[T], gate: &[T], ve: &[T], dim: usize, y: &mut [T]) {
    let rows = rows_of("gated_add_forward", v.len(), dim);
    same_len("gated_add_forward v, ve, y", &[v.len(), ve.len(), y.len()]);
    same_len("gated_add_forward rows, gate", &[rows, gate.len()]);
    for i in 0..v.len() {
        y[i] = v[i] + gate[i / dim] * ve[i];
    }
}

/// dgate = Σ dy·ve and dve = gate·dy; the gradient of `v` is `dy` itself.
pub fn gated_add_backward<T: Float>(
    gate: &[T],
    ve: &[T],
    dy: &[T],
    dim: usize,
    dgate: &mut [T],
    dve: &mut [T],
) {
    let rows = rows_of("gated_add_backward", dy.len(), dim);
    same_len("gated_add_backward ve, dy, dve", &[ve.len(), dy.len(), dve.len()]);
    same_len("gated_add_backward rows, gate, dgate", &[rows, gate.len(), dgate.len()]);
    dgate.fill(T::ZERO);
    for i in 0..dy.len() {
        dve[i] = gate[i / dim] * dy[i];
        dgate[i / dim] += dy[i] * ve[i];
    }
}

/// y[b,t] = x[b,t] + gate[b,t]·x[b,t−1]; position 0 is copied and its gate ignored.
pub fn shift_gated_add_forward<T: Float>(x: &[T], gate: &[T], tokens: usize, dim: usize, y: &mut [T]) {
    let rows = rows_of("shift_gated_add_forward", x.len(), dim);
    rows_of("shift_gated_add_forward tokens", rows, tokens);
    same_len("shift_gated_add_forward x, y", &[x.len(), y.len()]);
    same_len("shift_gated_add_forward rows, gate", &[rows, gate.len()]);
    for (row, &gate) in gate.iter().enumerate() {
        for i in row * dim..(row + 1) * dim {
            y[i] = if row % tokens == 0 { x[i] } else { x[i] + gate * x[i - dim] };
        }
    }
}

/// dx[t] = dy[t] + gate[t+1]·dy[t+1] and dgate[t] = Σ dy[t]·x[t−1] (zero at position 0).
pub fn shift_gated_add_backward<T: Float>(
    x: &[T],
    gate: &[T],
    dy: &[T],
    tokens: usize,
    dim: usize,
    dx: &mut [T],
    dgate: &mut [T],
) {
    let rows = rows_of("shift_gated_add_backward", x.len(), dim);
    rows_of("shift_gated_add_backward tokens", rows, tokens);
    same_len("shift_gated_add_backward x, dy, dx", &[x.len(), dy.len(), dx.len()]);
    same_len("shift_gated_add_backward rows, gate, dgate", &[rows, gate.len(), dgate.len()]);
    dgate.fill(T::ZERO);
    for row in 0..rows {
        let last = (row + 1) % tokens == 0;
        for i in row * dim..(row + 1) * dim {
            dx[i] = if last { dy[i] } else { dy[i] + gate[row + 1] * dy[i + dim] };
            if row % tokens != 0 {
                dgate[row] += dy[i] * x[i - dim];
            }
        }
    }
}

/// y = a·x + b·z.
pub fn scaled_sum_forward<T: Float>(a: T, x: &[T], b: T, z: &[T], y: &mut [T]) {
    same_len("scaled_sum_forward x, z, y", &[x.len(), z.len(), y.len()]);
    for i in 0..x.len() {
        y[i] = a * x[i] + b * z[i];
    }
}

/// dx = a·dy, dz = b·dy; returns (da, db) = (Σ dy·x, Σ dy·z).
pub fn scaled_sum_backward<T: Float>(
    a: T,
    x: &[T],
    b: T,
    z: &[T],
    dy: &[T],
    dx: &mut [T],
    dz: &mut [T],
) -> (T, T) {
    same_len("scaled_sum_backward", &[x.len(), z.len(), dy.len(), dx.len(), dz.len()]);
    let (mut da, mut db) = (T::ZERO, T::ZERO);
    for i in 0..x.len() {
        dx[i] = a * dy[i];
        dz[i] = b * dy[i];
        da += dy[i] * x[i];
        db += dy[i] * z[i];
    }
    (da, db)
}
