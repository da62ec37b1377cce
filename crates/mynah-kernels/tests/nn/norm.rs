use crate::support::*;
use mynah_kernels::nn::{self, RopeNorm, reference};

#[test]
fn rms_norm_agrees_with_the_reference() {
    for (rows, dim) in [(0, 5), (1, 1), (3, 7), (5, 64), (70, 384), (9, 1000)] {
        let mut x = normal(1, rows * dim);
        if rows > 2 {
            x[dim..2 * dim].fill(0.0);
        }
        let dy = normal(2, rows * dim);
        let eps = f32::EPSILON;
        let (mut y, mut inv) = (vec![0.0; rows * dim], vec![0.0; rows]);
        reference::rms_norm_forward(&widen(&x), dim, f64::from(eps), &mut y, &mut inv);
        let mut dx = vec![0.0; rows * dim];
        reference::rms_norm_backward(&y, &inv, &widen(&dy), dim, &mut dx, false);
        for (isa, (got_y, got_dx, got_sum)) in everywhere(|| {
            let (mut y, mut inv) = (vec![0.0; rows * dim], vec![0.0; rows]);
            nn::rms_norm_forward(&x, dim, eps, &mut y, &mut inv);
            let (mut dx, mut sum) = (vec![7.0; rows * dim], vec![1.0; rows * dim]);
            nn::rms_norm_backward(&y, &inv, &dy, dim, &mut dx, false);
            nn::rms_norm_backward(&y, &inv, &dy, dim, &mut sum, true);
            (y, dx, sum)
        }) {
            let what = format!("{} {rows}×{dim}", isa.name());
            assert_close(&format!("y {what}"), &got_y, &y, 2e-6);
            assert_close(&format!("dx {what}"), &got_dx, &dx, 2e-5);
            let plus_one: Vec<f64> = dx.iter().map(|dx| dx + 1.0).collect();
            assert_close(&format!("accumulated {what}"), &got_sum, &plus_one, 2e-5);
        }
    }
}

#[test]
fn rms_norm_gradient() {
    let (x, dy) = (normal_f64(3, 15), normal_f64(4, 15));
    let forward = |x: &[f64]| {
        let (mut y, mut inv) = (vec![0.0; 15], vec![0.0; 3]);
        reference::rms_norm_forward(x, 5, 1e-3, &mut y, &mut inv);
        (y, inv)
    };
    let (y, inv) = forward(&x);
    let mut dx = vec![0.0; 15];
    reference::rms_norm_backward(&y, &inv, &dy, 5, &mut dx, false);
    assert_gradient("rms_norm", &x, &dx, |x| dot(&forward(x).0, &dy));
}

#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    tokens: usize,
    heads: usize,
    dim: usize,
    rope: bool,
    norm: bool,
    padding: usize,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (batch, tokens, heads, dim) in [(1, 1, 1, 2), (2, 3, 2, 6), (2, 40, 3, 64), (1, 33, 2, 128)] {
        for (rope, norm) in [(true, true), (true, false), (false, true), (false, false)] {
            for padding in [0, 5] {
                cases.push(Case { batch, tokens, heads, dim, rope, norm, padding });
            }
        }
    }
    cases
}

fn tables(positions: usize, half: usize) -> (Vec<f64>, Vec<f64>) {
    let angles = (0..positions * half).map(|i| (i / half) as f64 * 0.7f64.powi((i % half) as i32));
    (angles.clone().map(f64::cos).collect(), angles.map(f64::sin).collect())
}

#[test]
fn rope_norm_agrees_with_the_reference_and_its_gradient_with_differences() {
    for case in cases() {
        let Case { batch, tokens, heads, dim, rope, norm, padding } = case;
        let (rows, width) = (batch * tokens, heads * dim);
        let stride = width + padding;
        let x = normal(5, rows * stride);
        let dy = normal(6, rows * width);
        let (cos, sin) = tables(tokens + 2, dim / 2);
        let config = RopeNorm {
            tokens,
            heads,
            head_dim: dim,
            tables: rope.then_some((&cos[..], &sin[..])),
            pos0: 2,
            norm_eps: norm.then_some(1e-6),
            scale: 1.2,
        };
        let forward = |x: &[f64]| {
            let (mut y, mut inv) = (vec![0.0; rows * width], vec![0.0; if norm { rows * heads } else { 0 }]);
            reference::rope_norm_forward(&config, x, stride, &mut y, &mut inv);
            (y, inv)
        };
        let (y, inv) = forward(&widen(&x));
        let mut dx = vec![0.0; rows * stride];
        reference::rope_norm_backward(&config, &y, &inv, &widen(&dy), &mut dx, stride);
        if rows * stride < 100 {
            assert_gradient(&format!("{case:?}"), &widen(&x), &dx, |x| dot(&forward(x).0, &widen(&dy)));
        }
        let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let (cos32, sin32) = (narrow(&cos), narrow(&sin));
        let fast = RopeNorm {
            tokens,
            heads,
            head_dim: dim,
            tables: rope.then_some((&cos32[..], &sin32[..])),
            pos0: 2,
            norm_eps: norm.then_some(1e-6f32),
            scale: 1.2f32,
        };
        for (isa, (got_y, got_dx)) in everywhere(|| {
            let (mut y, mut inv) = (vec![0.0; rows * width], vec![0.0; if norm { rows * heads } else { 0 }]);
            nn::rope_norm_forward(&fast, &x, stride, &mut y, &mut inv);
            let mut dx = vec![0.0; rows * stride];
            nn::rope_norm_backward(&fast, &y, &inv, &dy, &mut dx, stride);
            (y, dx)
        }) {
            assert_close(&format!("y {} {case:?}", isa.name()), &got_y, &y, 3e-6);
            assert_close(&format!("dx {} {case:?}", isa.name()), &got_dx, &dx, 1e-5);
        }
    }
}

#[test]
fn rope_refuses_an_odd_head_and_a_short_table() {
    let config = |head_dim, table: &'static [f32]| RopeNorm {
        tokens: 2,
        heads: 1,
        head_dim,
        tables: Some((table, table)),
        pos0: 0,
        norm_eps: None,
        scale: 1.0,
    };
    let run = move |head_dim: usize, table| {
        move || {
            let x = vec![0.0; 2 * head_dim];
            nn::rope_norm_forward(&config(head_dim, table), &x, head_dim, &mut x.clone(), &mut []);
        }
    };
    assert_panics("even head, got 3", run(3, &[0.0; 8]));
    assert_panics("do not fit in a table of 3", run(4, &[0.0; 3]));
}
