//! The small inference kernels against their twins.

#[path = "../nn/support.rs"]
#[allow(dead_code)]
mod support;

use mynah_kernels::infer::{Gate, Pairs, Turn, reference, *};
use mynah_kernels::nn::RowsMut;
use support::{assert_close, everywhere, normal, widen};

#[test]
fn norms_are_those_of_the_twin() {
    for (rows, width) in [(1, 1), (3, 17), (5, 1024), (40, 96)] {
        let (x, delta, gain) = (normal(1, rows * width), normal(2, rows * width), normal(3, width));
        for gain in [None, Some(&gain[..])] {
            let plain = reference::rms_norm_rows(&widen(&x), width, 1e-5, gain);
            let sum: Vec<f32> = x.iter().zip(&delta).map(|(x, d)| x + d).collect();
            let added = reference::rms_norm_rows(&widen(&sum), width, 1e-5, gain);
            for (isa, (y, x_after, y_after)) in everywhere(|| {
                let (mut y, mut x_after, mut y_after) = (vec![0.0; x.len()], x.clone(), vec![0.0; x.len()]);
                rms_norm_rows(&x, width, 1e-5, gain, &mut y);
                add_rms_norm_rows(&mut x_after, &delta, width, 1e-5, gain, &mut y_after);
                (y, x_after, y_after)
            }) {
                assert_close(&format!("norm on {}", isa.name()), &y, &plain, 1e-5);
                assert_eq!(x_after, sum);
                assert_close(&format!("norm of the sum on {}", isa.name()), &y_after, &added, 1e-5);
            }
        }
    }
}

#[test]
fn rotations_are_those_of_the_twin() {
    let (rows, heads, stride) = (7, 3, 3 * 20 + 5);
    for (head_dim, half) in [(20, 10), (20, 6), (20, 1)] {
        for pairs in [Pairs::Halves, Pairs::Neighbours] {
            let angles = normal(1, rows * half);
            let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
            let turn = Turn { heads, head_dim, half, pairs, cos: &cos, sin: &sin };
            let x = normal(2, rows * stride);
            for (isa, got) in everywhere(|| {
                let mut x = x.clone();
                rope_rows(&turn, rows, RowsMut { data: &mut x, stride });
                x
            }) {
                for row in 0..rows {
                    let width = heads * head_dim;
                    let (got, from) = (&got[row * stride..][..stride], &x[row * stride..][..stride]);
                    assert_eq!(got[width..], from[width..], "values beyond the heads stay");
                    for (got, from) in got[..width].chunks(head_dim).zip(from.chunks(head_dim)) {
                        let want = reference::rope_head(&turn, row, &widen(from));
                        assert_close(&format!("{pairs:?} on {}", isa.name()), got, &want, 1e-6);
                    }
                }
            }
        }
    }
}

#[test]
fn gates_are_those_of_the_twin() {
    let gates = [Gate::Silu, Gate::GeluTanh, Gate::Relu, Gate::Clamped { alpha: 1.702, limit: 2.0 }];
    for (rows, width) in [(1, 5), (3, 64), (9, 3000)] {
        let x: Vec<f32> = normal(4, rows * 2 * width).iter().map(|x| x * 3.0).collect();
        for gate in gates {
            let want: Vec<f64> = x
                .chunks_exact(2 * width)
                .flat_map(|row| {
                    (0..width).map(|i| reference::gate(gate, row[i].into(), row[width + i].into()))
                })
                .collect();
            for (isa, got) in everywhere(|| {
                let mut out = vec![0.0; rows * width];
                gate_rows(gate, &x, width, &mut out);
                out
            }) {
                assert_close(&format!("{gate:?} on {}", isa.name()), &got, &want, 1e-5);
            }
        }
    }
}

#[test]
fn capped_values_are_those_of_the_formula() {
    let x: Vec<f32> = normal(5, 1000).iter().map(|x| x * 40.0).collect();
    let want: Vec<f64> = x.iter().map(|&x| 30.0 * (f64::from(x) / 30.0).tanh()).collect();
    for (isa, got) in everywhere(|| {
        let mut x = x.clone();
        softcap(&mut x, 30.0);
        x
    }) {
        assert_close(&format!("softcap on {}", isa.name()), &got, &want, 1e-6);
    }
}

#[test]
fn the_greatest_values_are_found() {
    for len in [1, 5, 63, 64, 65, 1000, 40_000] {
        // Many equal values: the order of places decides.
        let x: Vec<f32> = normal(len as u64, len).iter().map(|x| (x * 8.0).round() / 8.0).collect();
        for k in [0, 1, 2, 40, 700, len, len + 5] {
            for (isa, got) in everywhere(|| {
                let mut places = vec![9];
                top_k(&x, k, &mut places);
                places
            }) {
                assert_eq!(got, reference::top_k(&x, k), "{k} of {len} on {}", isa.name());
            }
        }
    }
    let mut places = Vec::new();
    let mut x = vec![f32::NEG_INFINITY; 200];
    (x[3], x[150], x[70]) = (f32::NAN, 1.0, f32::NAN);
    top_k(&x, 3, &mut places);
    assert_eq!(places, [150, 0, 1], "a NaN is never the greatest");
    top_k(&x, 200, &mut places);
    assert_eq!(places[198..], [3, 70], "and comes last");
}
