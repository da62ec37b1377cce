//! Elementwise functions over slices: exp, log, tanh, sigmoid, and activations with their gradients.
//!
//! Errors are in units of the last place against double precision; the tests assert the bounds.

use super::check::same_len;
use super::math;
use super::simd::{Simd, kernel};
use crate::pool::{self, Shared};

/// Elements that one task takes at least: less is not worth waking a thread.
const GRAIN: usize = 16 * 1024;

macro_rules! unary {
    ($(#[$meta:meta])* $name:ident, |$s:ident, $x:ident| $value:expr) => {
        $(#[$meta])*
        pub fn $name(x: &[f32], y: &mut [f32]) {
            #[inline(always)]
            fn body<S: Simd>($s: S, x: &[f32], y: &mut [f32]) {
                let mut i = 0;
                while i < x.len() {
                    let $x = $s.load_at(x, i);
                    $s.store_at(y, i, $value);
                    i += S::LANES;
                }
            }
            kernel! { fn run(x: &[f32], y: &mut [f32]) = body }
            same_len(stringify!($name), &[x.len(), y.len()]);
            let y = Shared::new(y);
            pool::run_ranges(x.len(), GRAIN, |range| {
                // SAFETY: `run_ranges` hands out disjoint ranges.
                run(&x[range.clone()], unsafe { y.slice(range) });
            });
        }
    };
}

macro_rules! binary {
    ($(#[$meta:meta])* $name:ident, |$s:ident, $a:ident, $b:ident| $value:expr) => {
        $(#[$meta])*
        pub fn $name($a: &[f32], $b: &[f32], y: &mut [f32]) {
            #[inline(always)]
            fn body<S: Simd>($s: S, a: &[f32], b: &[f32], y: &mut [f32]) {
                let mut i = 0;
                while i < a.len() {
                    let ($a, $b) = ($s.load_at(a, i), $s.load_at(b, i));
                    $s.store_at(y, i, $value);
                    i += S::LANES;
                }
            }
            kernel! { fn run(a: &[f32], b: &[f32], y: &mut [f32]) = body }
            same_len(stringify!($name), &[$a.len(), $b.len(), y.len()]);
            let y = Shared::new(y);
            pool::run_ranges($a.len(), GRAIN, |range| {
                // SAFETY: `run_ranges` hands out disjoint ranges.
                run(&$a[range.clone()], &$b[range.clone()], unsafe { y.slice(range) });
            });
        }
    };
}

unary! {
    /// y = eˣ; 0 below −104, infinite above 88.73, NaN for NaN. Error at most 1 ulp (measured 0.94; normal results).
    exp, |s, x| math::exp(s, x)
}
unary! {
    /// y = ln x; −∞ at 0, NaN below. Error at most 1 ulp (measured 0.74).
    log, |s, x| math::log(s, x)
}
unary! {
    /// y = tanh x. Error at most 2.5 ulp (measured 2.1).
    tanh, |s, x| math::tanh(s, x)
}
unary! {
    /// y = 1 / (1 + e⁻ˣ). Error at most 2.5 ulp (measured 2.0) for x > −87, where the result
    /// is a normal number.
    sigmoid, |s, x| math::sigmoid(s, x)
}
unary! {
    /// y = x · sigmoid(x).
    silu, |s, x| s.mul(x, math::sigmoid(s, x))
}
unary! {
    /// y = ½x(1 + tanh(√(2/π)(x + 0.044715x³))): GELU in its tanh form, computed as x · sigmoid(2·…),
    /// which is the same and does not cancel for negative x.
    gelu, |s, x| s.mul(x, math::sigmoid(s, math::gelu_inner_twice(s, x)))
}
unary! {
    /// y = max(x, 0)².
    relu_square_forward, |s, x| {
        let r = s.max(s.splat(0.0), x);
        s.mul(r, r)
    }
}

binary! {
    /// dx = dy · 2·max(x, 0).
    relu_square_backward, |s, x, dy| {
        let r = s.max(s.splat(0.0), x);
        s.mul(dy, s.add(r, r))
    }
}
binary! {
    /// dx = dy · y(1 − y), from the saved output y = sigmoid(x).
    sigmoid_backward, |s, y_saved, dy| s.mul(dy, s.neg_mul_add(y_saved, y_saved, y_saved))
}
binary! {
    /// dx = dy · (1 − y²), from the saved output y = tanh(x).
    tanh_backward, |s, y_saved, dy| s.mul(dy, s.neg_mul_add(y_saved, y_saved, s.splat(1.0)))
}
binary! {
    /// dx = dy · σ(1 + x(1 − σ)) for σ = sigmoid(x), from the saved input.
    silu_backward, |s, x, dy| {
        let sigmoid = math::sigmoid(s, x);
        let slope = s.mul_add(x, s.sub(s.splat(1.0), sigmoid), s.splat(1.0));
        s.mul(s.mul(dy, sigmoid), slope)
    }
}
binary! {
    /// Gradient of [`gelu`], from the saved input.
    gelu_backward, |s, x, dy| {
        let sigmoid = math::sigmoid(s, math::gelu_inner_twice(s, x));
        let square = s.mul(x, x);
        let inner = s.mul_add(square, s.splat(math::GELU_SCALE * 3.0 * 0.044_715), s.splat(math::GELU_SCALE));
        let slope = s.mul_add(s.mul(x, s.sub(s.splat(1.0), sigmoid)), inner, s.splat(1.0));
        s.mul(s.mul(dy, sigmoid), slope)
    }
}
