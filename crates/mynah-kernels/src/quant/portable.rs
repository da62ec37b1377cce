//! The kernels in plain Rust, for any machine. They are what the vector kernels compute, lane by lane.

use super::activations::Left;
use super::blocks::{GROUP, Kind};
use super::format::Format;
use super::layout::{self, FLOAT_ROWS, ROWS};
use super::multiply::{FloatLeft, Kernel, Panel, Target};

pub(super) struct Portable;

/// a·b + c in one rounding where the processor has an instruction for it; a library call for each product
/// would be slower than all the rest.
#[inline(always)]
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
}

impl Kernel for Portable {
    const ROWS_MAX: usize = 4;
    const FLOAT_ROWS_MAX: usize = 4;

    unsafe fn unpack(format: Format, block: &[u8], groups: std::ops::Range<usize>, panel: Panel) {
        let layout = layout::Layout::of(format);
        for (i, g) in groups.enumerate() {
            // SAFETY: the panel has room for the groups (the caller's promise).
            let (codes, scales) = unsafe { (&mut *panel.codes(i), &mut *panel.scales(i)) };
            let from = &block[layout.codes_at(g)..];
            for (q, codes) in codes.chunks_exact_mut(4 * ROWS).enumerate() {
                for (r, quad) in codes.chunks_exact_mut(4).enumerate() {
                    layout::quad_of(format, from, r, q, quad);
                }
            }
            let [first, second] = scales;
            for (r, (first, second)) in first.iter_mut().zip(second).enumerate() {
                let (values, min) = layout::scales_of(format, block, r, g).values();
                *first = values[0];
                *second = if Kind::of(format) == Kind::Min { -min } else { values[1] };
            }
        }
    }

    unsafe fn tile(kind: Kind, panels: &[Panel], left: Left, groups: usize, target: Target) {
        for m in 0..target.rows {
            let left = left.from(m, 0, kind);
            for (b, panel) in panels.iter().enumerate() {
                let target = target.block(m, b * ROWS);
                // SAFETY: row m and block b are inside the target.
                let mut y = unsafe { target.load::<ROWS>() };
                for g in 0..groups {
                    // SAFETY: the panel and the rows have `groups` groups (the caller's promise).
                    unsafe { add_group(kind, panel, left.from(0, g, kind), g, &mut y) };
                }
                // SAFETY: as above.
                unsafe { target.store(&y) };
            }
        }
    }

    unsafe fn few(_: Format, _: &[u8], _: Left, _: usize, _: Target) -> bool {
        false
    }

    unsafe fn float_tile(format: Format, block: *const u8, left: FloatLeft, cols: usize, target: Target) {
        let width = format.block_bytes();
        for m in 0..target.rows {
            let target = target.block(m, 0);
            let x = left.x.wrapping_add(m * left.stride);
            // SAFETY: row m is inside the target.
            let mut y = unsafe { target.load::<FLOAT_ROWS>() };
            for k in 0..cols {
                // SAFETY: the block and the row of x have `cols` columns (the caller's promise).
                let (column, x) = unsafe {
                    let column = block.add(k * FLOAT_ROWS * width);
                    (std::slice::from_raw_parts(column, FLOAT_ROWS * width), *x.add(k))
                };
                for (r, y) in y.iter_mut().enumerate() {
                    let at = layout::float_index(format, r, 0);
                    *y = mul_add(super::blocks::float_at(format, column, at), x, *y);
                }
            }
            // SAFETY: as above.
            unsafe { target.store(&y) };
        }
    }
}

/// Adds the products of one group of one row of x with sixteen rows of weights.
///
/// # Safety
/// Group `g` is inside the panel; `left` is at that group.
#[inline(always)]
unsafe fn add_group(kind: Kind, panel: &Panel, left: Left, g: usize, y: &mut [f32; ROWS]) {
    // SAFETY: the caller's promise.
    let (codes, scales) = unsafe { (&*panel.codes(g), &*panel.scales(g)) };
    // SAFETY: as above: 32 codes and a scale.
    let (x, x_scale) = unsafe { (&*left.codes.cast::<[i8; GROUP]>(), *left.scales) };
    let dots = |quads: std::ops::Range<usize>, start: i32| {
        let mut sums = [start; ROWS];
        for q in quads {
            let codes = &codes[q * 4 * ROWS..][..4 * ROWS];
            for (sum, codes) in sums.iter_mut().zip(codes.as_chunks::<4>().0) {
                for i in 0..4 {
                    *sum += i32::from(codes[i]) * i32::from(x[4 * q + i]);
                }
            }
        }
        sums
    };
    let mut add = |sums: [i32; ROWS], scales: &[f32; ROWS]| {
        for ((y, sum), scale) in y.iter_mut().zip(sums).zip(scales) {
            *y = mul_add(sum as f32, scale * x_scale, *y);
        }
    };
    match kind {
        // SAFETY: one start a group.
        Kind::Plain { .. } => add(dots(0..8, unsafe { *left.starts }), &scales[0]),
        Kind::Min => {
            add(dots(0..8, 0), &scales[0]);
            // SAFETY: one factor a group.
            let x_sum = unsafe { *left.mins };
            for (y, min) in y.iter_mut().zip(&scales[1]) {
                *y = mul_add(*min, x_sum, *y);
            }
        }
        Kind::Halves => {
            // SAFETY: two starts a group.
            let starts = unsafe { [*left.starts, *left.starts.add(1)] };
            add(dots(0..4, starts[0]), &scales[0]);
            add(dots(4..8, starts[1]), &scales[1]);
        }
    }
}
