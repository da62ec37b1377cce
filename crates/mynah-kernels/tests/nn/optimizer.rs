use crate::support::*;
use mynah_kernels::nn::{self, AdamW, Muon, MuonMatrix, muon_second_len, reference};

fn adamw(step: u64) -> AdamW {
    AdamW { lr: 0.01, beta1: 0.8, beta2: 0.96, eps: 1e-10, weight_decay: 0.1, step }
}

#[test]
fn adamw_agrees_with_the_reference() {
    for len in [0, 1, 19, 50_001] {
        let start = normal(1, len);
        let grads: Vec<Vec<f32>> = (0..3).map(|i| normal(10 + i, len)).collect();
        let (mut p, mut m, mut v) = (widen(&start), vec![0.0; len], vec![0.0; len]);
        for (i, g) in grads.iter().enumerate() {
            reference::adamw_step(&adamw(i as u64 + 1), &mut p, &widen(g), &mut m, &mut v);
        }
        for (isa, got) in everywhere(|| {
            let (mut p, mut m, mut v) = (start.clone(), vec![0.0; len], vec![0.0; len]);
            for (i, g) in grads.iter().enumerate() {
                nn::adamw_step(&adamw(i as u64 + 1), &mut p, g, &mut m, &mut v);
            }
            (p, m, v)
        }) {
            assert_close(&format!("p {} {len}", isa.name()), &got.0, &p, 1e-6);
            assert_close(&format!("m {} {len}", isa.name()), &got.1, &m, 1e-6);
            assert_close(&format!("v {} {len}", isa.name()), &got.2, &v, 1e-6);
        }
    }
}

#[test]
fn adamw_without_history_moves_by_the_learning_rate() {
    // The first bias-corrected step is lr·sign(g), whatever the size of the gradient.
    let config = AdamW { weight_decay: 0.0, ..adamw(1) };
    let (mut p, mut m, mut v) = ([1.0f32; 3], [0.0; 3], [0.0; 3]);
    nn::adamw_step(&config, &mut p, &[5.0, -1e-3, 0.0], &mut m, &mut v);
    for (p, want) in p.iter().zip([0.99, 1.01, 1.0]) {
        assert!((p - want).abs() < 1e-6, "{p} is not {want}");
    }
}

#[test]
fn moments_of_unseen_rows_end_at_zero() {
    let (mut p, mut m, mut v) = (vec![1.0f32], vec![1e-3f32], vec![1e-6f32]);
    for step in 1..2_000 {
        nn::adamw_step(&adamw(step), &mut p, &[0.0], &mut m, &mut v);
        assert!(m[0] == 0.0 || m[0].is_normal(), "step {step}: {:e} is subnormal", m[0]);
        assert!(v[0] == 0.0 || v[0].is_normal(), "step {step}: {:e} is subnormal", v[0]);
    }
    assert_eq!(m[0], 0.0);
}

#[test]
fn sparse_rows_mean_zero_gradients() {
    let (vocab, dim) = (300, 70);
    for ids in [vec![], vec![0], vec![5, 6, 299], (0..300).collect::<Vec<i64>>()] {
        let rows = normal(3, ids.len() * dim);
        let (start, m0) = (normal(1, vocab * dim), normal(2, vocab * dim));
        let v0: Vec<f32> = m0.iter().map(|m| m * m + 0.01).collect();
        let mut dense = vec![0.0; vocab * dim];
        for (&id, row) in ids.iter().zip(rows.chunks(dim)) {
            dense[id as usize * dim..][..dim].copy_from_slice(row);
        }
        everywhere(|| {
            let (mut p, mut m, mut v) = (start.clone(), m0.clone(), v0.clone());
            nn::adamw_step_rows(&adamw(7), dim, &mut p, &ids, &rows, &mut m, &mut v);
            let (mut p2, mut m2, mut v2) = (start.clone(), m0.clone(), v0.clone());
            nn::adamw_step(&adamw(7), &mut p2, &dense, &mut m2, &mut v2);
            assert!(p == p2 && m == m2 && v == v2, "rows differ from the dense step");
            (p, m, v)
        });
    }
}

#[test]
fn sparse_rows_must_ascend() {
    let refuse = |ids: [i64; 2]| {
        move || {
            let (mut p, mut m, mut v) = ([0.0; 6], [0.0; 6], [0.0; 6]);
            nn::adamw_step_rows(&adamw(1), 2, &mut p, &ids, &[0.0; 4], &mut m, &mut v);
        }
    };
    assert_panics("ascending", refuse([1, 1]));
    assert_panics("ascending", refuse([2, 0]));
    assert_panics("outside 0..3", refuse([0, 3]));
}

struct State {
    rows: usize,
    cols: usize,
    param: Vec<f32>,
    grads: Vec<Vec<f32>>,
}

fn state(seed: u64, rows: usize, cols: usize) -> State {
    let grads = (0..3).map(|i| normal(seed + i, rows * cols)).collect();
    State { rows, cols, param: normal(seed + 10, rows * cols), grads }
}

/// Three steps of each matrix; parameters, momentum and second moment one after the other.
fn fast(config: &Muon, states: &[State]) -> Vec<f32> {
    let mut own: Vec<_> = states
        .iter()
        .map(|s| {
            let len = s.rows * s.cols;
            (s.param.clone(), vec![0.0; len], vec![0.0; muon_second_len(s.rows, s.cols)])
        })
        .collect();
    for step in 0..3 {
        let mut matrices: Vec<MuonMatrix<'_, f32>> = states
            .iter()
            .zip(&mut own)
            .map(|(s, (param, momentum, second))| MuonMatrix {
                rows: s.rows,
                cols: s.cols,
                lr_factor: 0.5,
                param,
                grad: &s.grads[step],
                momentum,
                second,
            })
            .collect();
        nn::muon_step_many(config, &mut matrices);
    }
    own.into_iter().flat_map(|(p, m, v)| [p, m, v]).flatten().collect()
}

fn slow(config: &Muon, states: &[State]) -> Vec<f64> {
    let mut all = Vec::new();
    for s in states {
        let len = s.rows * s.cols;
        let (mut param, mut momentum) = (widen(&s.param), vec![0.0; len]);
        let mut second = vec![0.0; muon_second_len(s.rows, s.cols)];
        for grad in &s.grads {
            let mut matrix = MuonMatrix {
                rows: s.rows,
                cols: s.cols,
                lr_factor: 0.5,
                param: &mut param,
                grad: &widen(grad),
                momentum: &mut momentum,
                second: &mut second,
            };
            reference::muon_step(config, &mut matrix);
        }
        all.extend([param, momentum, second].into_iter().flatten());
    }
    all
}

#[test]
fn muon_agrees_with_the_reference_with_each_stage_on_and_off() {
    let full = Muon { weight_decay: 0.3, ..Muon::default() };
    let configs = [
        full,
        Muon { nesterov: false, ..full },
        Muon { momentum: 0.0, ..full },
        Muon { equilibrate: false, ..full },
        Muon { iterations: 2, ..full },
        Muon { iterations: 0, ..full },
        Muon { renormalize: false, ..full },
        Muon { beta2: None, ..full },
        Muon { cautious: false, ..full },
        Muon { weight_decay: 0.0, ..full },
    ];
    let states = [state(1, 1, 1), state(20, 12, 12), state(40, 20, 33), state(60, 48, 17), state(80, 1, 9)];
    for config in configs {
        // Each matrix alone and all of them together.
        let want = slow(&config, &states);
        for (isa, got) in everywhere(|| fast(&config, &states)) {
            assert_close(&format!("all {} {config:?}", isa.name()), &got, &want, 1e-4);
        }
        for state in states.chunks(1) {
            let want = slow(&config, state);
            for (isa, got) in everywhere(|| fast(&config, state)) {
                let what = format!("{}×{} {} {config:?}", state[0].rows, state[0].cols, isa.name());
                assert_close(&what, &got, &want, 1e-4);
            }
        }
    }
}

#[test]
fn a_zero_gradient_leaves_numbers() {
    let zero = State { grads: vec![vec![0.0; 12]; 3], ..state(1, 3, 4) };
    let got = fast(&Muon::default(), &[zero]);
    assert!(got.iter().all(|x| x.is_finite()));
}

#[test]
fn polar_express_comes_near_an_orthogonal_matrix() {
    let (rows, cols) = (10, 30);
    let mut x = normal_f64(1, rows * cols);
    reference::polar_express(&mut x, rows, cols, 5);
    for i in 0..rows {
        for j in 0..rows {
            let product = dot(&x[i * cols..][..cols], &x[j * cols..][..cols]);
            let want = if i == j { 1.0 } else { 0.0 };
            assert!((product - want).abs() < 0.2, "row {i} times row {j} is {product}");
        }
    }
}

#[test]
fn muon_of_a_gradient_of_low_rank_agrees_with_the_reference() {
    // Three directions and a ten-thousandth of everything else: the Gram matrix alone would lose the rest.
    for (rows, cols) in [(24, 96), (120, 30), (32, 32)] {
        let mut state = state(90, rows, cols);
        for (seed, grad) in state.grads.iter_mut().enumerate() {
            let (left, right) = (normal(91 + seed as u64, rows * 3), normal(95 + seed as u64, 3 * cols));
            for (i, g) in grad.iter_mut().enumerate() {
                let (row, col) = (i / cols, i % cols);
                let low: f32 = (0..3).map(|r| left[row * 3 + r] * right[r * cols + col]).sum();
                *g = low + 1e-4 * *g;
            }
        }
        let config = Muon { weight_decay: 0.3, ..Muon::default() };
        let want = slow(&config, std::slice::from_ref(&state));
        for (isa, got) in everywhere(|| fast(&config, std::slice::from_ref(&state))) {
            assert_close(&format!("{rows}×{cols} {}", isa.name()), &got, &want, 3e-4);
        }
    }
}
