//! The readable twins: what a product with weights in each format is, from the bytes of the file.

use super::activations::quantise_group;
use super::blocks::{self, GROUP, Kind};
use super::format::Format;

/// The values of row-major `bytes` in `format`, as many as `out` holds.
///
/// # Panics
/// If `bytes` are not those of `out.len()` values.
pub fn dequantize(format: Format, bytes: &[u8], out: &mut [f32]) {
    assert_eq!(
        format.row_bytes(out.len()).ok(),
        Some(bytes.len()),
        "dequantize: bytes of {} values",
        out.len()
    );
    blocks::row_values(format, bytes, out);
}

/// y (M,N) = x (M,K) · Wᵀ for W (N,K) in the bytes of its file. With a block format both sides are integers:
/// see [`Matrix::matmul`](super::Matrix::matmul), whose bits this gives.
///
/// # Panics
/// If the sizes do not belong together.
pub fn matmul(format: Format, weights: &[u8], cols: usize, x: &[f32], y: &mut [f32]) {
    let row_bytes = format.row_bytes(cols).expect("a row of whole blocks");
    let rows = weights.len() / row_bytes;
    assert_eq!(x.len() / cols * rows, y.len(), "matmul: y is not {} rows of {rows}", x.len() / cols);
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(rows)) {
        for (y, row) in y.iter_mut().zip(weights.chunks_exact(row_bytes)) {
            *y = if format.is_float() { float_dot(format, row, x) } else { group_dot(format, row, x) };
        }
    }
}

/// Columns in order, one fused multiply-add each.
fn float_dot(format: Format, row: &[u8], x: &[f32]) -> f32 {
    let columns = x.iter().enumerate();
    columns.fold(0.0, |sum, (i, x)| blocks::float_at(format, row, i).mul_add(*x, sum))
}

/// Groups in order: an exact sum of integers, then one fused multiply-add for each scale.
fn group_dot(format: Format, row: &[u8], x: &[f32]) -> f32 {
    let kind = Kind::of(format);
    let mut sum = 0.0f32;
    for (g, x) in x.chunks_exact(GROUP).enumerate() {
        let weights = blocks::group(format, row, g);
        let (scales, min) = weights.scales.values();
        let (x, x_scale) = quantise_group(x.try_into().expect("a group"));
        let dot = |columns: std::ops::Range<usize>| -> f32 {
            let product = |i: usize| (i32::from(weights.codes[i]) - kind.offset()) * i32::from(x[i]);
            columns.map(product).sum::<i32>() as f32
        };
        match kind {
            Kind::Plain { .. } => sum = dot(0..32).mul_add(scales[0] * x_scale, sum),
            Kind::Min => {
                let x_sum = x.iter().map(|&x| i32::from(x)).sum::<i32>() as f32;
                sum = dot(0..32).mul_add(scales[0] * x_scale, sum);
                sum = (-min).mul_add(x_scale * x_sum, sum);
            }
            Kind::Halves => {
                sum = dot(0..16).mul_add(scales[0] * x_scale, sum);
                sum = dot(16..32).mul_add(scales[1] * x_scale, sum);
            }
        }
    }
    sum
}
