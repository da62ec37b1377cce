#![expect(clippy::type_complexity, reason = "the cases are tables of functions")]

use crate::support::*;
use mynah_kernels::nn::{self, reference};

type Slice = fn(&[f32], &mut [f32]);

/// Distance in units of the last place of the exact result.
fn ulps(got: f32, want: f64) -> f64 {
    let nearest = want as f32;
    let ulp = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
    (f64::from(got) - want).abs() / ulp
}

/// Every 3001st float of the range of bit patterns between two positive floats, and its negative.
fn sweep(from: f32, to: f32, both_signs: bool) -> Vec<f32> {
    let bits = (from.to_bits()..=to.to_bits()).step_by(3001).map(f32::from_bits);
    bits.flat_map(|x| if both_signs { vec![x, -x] } else { vec![x] }).collect()
}

#[test]
fn errors_stay_within_the_stated_ulps() {
    let cases: [(&str, Slice, fn(f64) -> f64, Vec<f32>, f64); 4] = [
        ("exp", nn::exp, f64::exp, sweep(1e-8, 87.0, true), 1.0),
        ("log", nn::log, f64::ln, sweep(1e-45, f32::MAX, false), 1.0),
        ("tanh", nn::tanh, f64::tanh, sweep(1e-38, 20.0, true), 2.5),
        ("sigmoid", nn::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), sweep(1e-8, 87.0, true), 2.5),
    ];
    for (name, kernel, exact, inputs, limit) in cases {
        for (isa, got) in everywhere(|| {
            let mut y = vec![0.0; inputs.len()];
            kernel(&inputs, &mut y);
            y
        }) {
            let errors = inputs.iter().zip(&got).map(|(&x, &y)| (ulps(y, exact(f64::from(x))), x));
            let worst = errors.fold((0.0, 0.0), |worst, e| if e.0 > worst.0 { e } else { worst });
            println!("{name} {}: {:.3} ulp at {}", isa.name(), worst.0, worst.1);
            assert!(worst.0 <= limit, "{name} {}: {:.2} ulp at {}", isa.name(), worst.0, worst.1);
        }
    }
}

#[test]
fn special_values() {
    let inf = f32::INFINITY;
    let cases: [(&str, Slice, &[(f32, f32)]); 4] = [
        (
            "exp",
            nn::exp,
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (inf, inf),
                (-inf, 0.0),
                (88.8, inf),
                (-104.5, 0.0),
                (1e30, inf),
                (-1e30, 0.0),
            ],
        ),
        (
            "log",
            nn::log,
            &[(1.0, 0.0), (0.0, -inf), (-0.0, -inf), (inf, inf), (-1.0, f32::NAN), (-inf, f32::NAN)],
        ),
        ("tanh", nn::tanh, &[(0.0, 0.0), (inf, 1.0), (-inf, -1.0), (1e-40, 1e-40), (-1e-40, -1e-40)]),
        ("sigmoid", nn::sigmoid, &[(0.0, 0.5), (inf, 1.0), (-inf, 0.0), (1e30, 1.0), (-1e30, 0.0)]),
    ];
    for (name, kernel, pairs) in cases {
        for (isa, got) in everywhere(|| {
            let x: Vec<f32> = pairs.iter().map(|pair| pair.0).chain([f32::NAN]).collect();
            let mut y = vec![0.0; x.len()];
            kernel(&x, &mut y);
            y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
        }) {
            for (&(x, want), &got) in pairs.iter().zip(&got) {
                let got = f32::from_bits(got);
                let same = got == want || got.is_nan() && want.is_nan();
                assert!(same, "{name}({x}) is {got}, not {want} ({})", isa.name());
            }
            assert!(f32::from_bits(got[pairs.len()]).is_nan(), "{name}(NaN) is a number ({})", isa.name());
        }
    }
    // Into the subnormal range one rounding, not a flush to zero.
    let (x, mut y) = ([-100.0f32], [0.0]);
    nn::exp(&x, &mut y);
    assert!(y[0] > 0.0 && (f64::from(y[0]) / (-100f64).exp() - 1.0).abs() < 0.02, "exp(-100) is {}", y[0]);
}

#[test]
fn elementwise_kernels_agree_with_the_reference() {
    let unary: [(&str, Slice, fn(&[f64], &mut [f64])); 7] = [
        ("exp", nn::exp, reference::exp),
        ("tanh", nn::tanh, reference::tanh),
        ("sigmoid", nn::sigmoid, reference::sigmoid),
        ("silu", nn::silu, reference::silu),
        ("gelu", nn::gelu, reference::gelu),
        ("relu_square", nn::relu_square_forward, reference::relu_square_forward),
        (
            "log",
            |x, y| nn::log(&x.iter().map(|x| x.abs()).collect::<Vec<_>>(), y),
            |x, y| reference::log(&x.iter().map(|x| x.abs()).collect::<Vec<_>>(), y),
        ),
    ];
    for len in [0, 1, 7, 16, 33, 70_001] {
        let x: Vec<f32> = normal(len as u64, len).iter().map(|x| 3.0 * x).collect();
        for (name, kernel, oracle) in unary {
            let mut want = vec![0.0; len];
            oracle(&widen(&x), &mut want);
            for (isa, got) in everywhere(|| {
                let mut y = vec![9.0; len];
                kernel(&x, &mut y);
                y
            }) {
                assert_close(&format!("{name} {} {len}", isa.name()), &got, &want, 1e-6);
            }
        }
    }
}

type Backward<T> = fn(&[T], &[T], &mut [T]);

#[test]
fn activation_gradients() {
    // The saved tensor of the first two is the output, of the others the input.
    let cases: [(&str, Backward<f32>, Backward<f64>, fn(&[f64], &mut [f64]), bool); 5] = [
        ("sigmoid", nn::sigmoid_backward, reference::sigmoid_backward, reference::sigmoid, true),
        ("tanh", nn::tanh_backward, reference::tanh_backward, reference::tanh, true),
        ("silu", nn::silu_backward, reference::silu_backward, reference::silu, false),
        ("gelu", nn::gelu_backward, reference::gelu_backward, reference::gelu, false),
        (
            "relu_square",
            nn::relu_square_backward,
            reference::relu_square_backward,
            reference::relu_square_forward,
            false,
        ),
    ];
    let (x, dy) = (normal_f64(1, 37), normal_f64(2, 37));
    for (name, kernel, oracle, forward, saves_output) in cases {
        let mut y = vec![0.0; x.len()];
        forward(&x, &mut y);
        let saved = if saves_output { &y } else { &x };
        let mut dx = vec![0.0; x.len()];
        oracle(saved, &dy, &mut dx);
        assert_gradient(name, &x, &dx, |x| {
            let mut y = vec![0.0; x.len()];
            forward(x, &mut y);
            dot(&y, &dy)
        });
        let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
        for (isa, got) in everywhere(|| {
            let mut dx = vec![0.0; x.len()];
            kernel(&narrow(saved), &narrow(&dy), &mut dx);
            dx
        }) {
            assert_close(&format!("{name} {}", isa.name()), &got, &dx, 1e-6);
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    assert_panics("lengths differ: [3, 4]", || nn::exp(&[0.0; 3], &mut [0.0; 4]));
}
