use crate::support::*;
use mynah_kernels::nn::{self, CrossEntropyShape, LossScale, reference};

struct Case {
    rows: usize,
    shape: CrossEntropyShape,
    targets: Vec<i64>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, dim, vocab) in [(0, 3, 4), (1, 1, 1), (5, 3, 7), (3, 8, 130), (400, 12, 131), (20, 40, 517)] {
        for softcap in [None, Some(15.0), Some(0.5)] {
            let targets: Vec<i64> =
                (0..rows).map(|i| if i % 4 == 1 { -1 } else { (i * 7 % vocab) as i64 }).collect();
            let shape = CrossEntropyShape { dim, vocab, softcap };
            cases.push(Case { rows, shape, targets });
            cases.push(Case { rows, shape, targets: vec![-1; rows] });
        }
    }
    cases
}

fn scales<T: From<f32>>(rows: usize) -> Vec<T> {
    (0..rows).map(|i| T::from(((i % 9) as f32 - 4.0) / 4.0)).collect()
}

fn all<T: From<f32>>(row_scales: &[T]) -> [LossScale<'_, T>; 3] {
    [LossScale::Sum, LossScale::Mean, LossScale::Rows(row_scales)]
}

fn name(scale: &LossScale<'_, f64>) -> &'static str {
    match scale {
        LossScale::Sum => "sum",
        LossScale::Mean => "mean",
        LossScale::Rows(_) => "rows",
    }
}

#[test]
fn agrees_with_the_reference() {
    for Case { rows, shape, targets } in cases() {
        let (x, w) = (normal(1, rows * shape.dim), normal(2, shape.vocab * shape.dim));
        let (scales32, scales64) = (scales::<f32>(rows), scales::<f64>(rows));
        for (fast, slow) in all(&scales32).into_iter().zip(all(&scales64)) {
            let (mut losses, mut dx, mut dw) = (vec![0.0; rows], vec![0.0; x.len()], vec![0.0; w.len()]);
            reference::linear_cross_entropy(
                &shape,
                &widen(&x),
                &widen(&w),
                &targets,
                slow,
                &mut losses,
                &mut dx,
                &mut dw,
                false,
            );
            for (isa, got) in everywhere(|| {
                let mut only = vec![5.0; rows];
                nn::linear_cross_entropy_forward(&shape, &x, &w, &targets, &mut only);
                let (mut losses, mut dx, mut dw) = (vec![5.0; rows], vec![5.0; x.len()], vec![5.0; w.len()]);
                let mut run = |dw: &mut [f32], accumulate| {
                    nn::linear_cross_entropy(
                        &shape,
                        &x,
                        &w,
                        &targets,
                        fast,
                        &mut losses,
                        &mut dx,
                        dw,
                        accumulate,
                    );
                };
                run(&mut dw, false);
                let mut more = vec![1.0; w.len()];
                run(&mut more, true);
                (only, losses, dx, dw, more)
            }) {
                let what = format!("{} {rows} {shape:?} scale {}", isa.name(), name(&slow));
                assert_close(&format!("forward losses {what}"), &got.0, &losses, 1e-5);
                assert_close(&format!("losses {what}"), &got.1, &losses, 1e-5);
                assert_close(&format!("dx {what}"), &got.2, &dx, 3e-5);
                assert_close(&format!("dw {what}"), &got.3, &dw, 1e-4);
                let plus_one: Vec<f64> = dw.iter().map(|dw| dw + 1.0).collect();
                assert_close(&format!("accumulated dw {what}"), &got.4, &plus_one, 1e-4);
            }
        }
    }
}

#[test]
fn gradient_of_the_reference() {
    for Case { rows, shape, targets } in
        cases().into_iter().filter(|case| case.rows < 6 && case.shape.vocab < 20)
    {
        let (x, w) = (normal_f64(1, rows * shape.dim), normal_f64(2, shape.vocab * shape.dim));
        let row_scales = scales::<f64>(rows);
        for scale in all(&row_scales) {
            let (mut losses, mut dx, mut dw) = (vec![0.0; rows], vec![0.0; x.len()], vec![0.0; w.len()]);
            reference::linear_cross_entropy(
                &shape,
                &x,
                &w,
                &targets,
                scale,
                &mut losses,
                &mut dx,
                &mut dw,
                false,
            );
            let counted = nn::count_targets(&targets).max(1) as f64;
            let loss = |x: &[f64], w: &[f64]| {
                let mut losses = vec![0.0; rows];
                reference::linear_cross_entropy_forward(&shape, x, w, &targets, &mut losses);
                match scale {
                    LossScale::Sum => losses.iter().sum::<f64>(),
                    LossScale::Mean => losses.iter().sum::<f64>() / counted,
                    LossScale::Rows(scales) => dot(&losses, scales),
                }
            };
            assert_gradient("dx", &x, &dx, |x| loss(x, &w));
            assert_gradient("dw", &w, &dw, |w| loss(&x, w));
        }
    }
}

#[test]
fn a_target_outside_the_classes_is_refused() {
    let shape = CrossEntropyShape { dim: 1, vocab: 3, softcap: None };
    let refuse = move |target| {
        move || nn::linear_cross_entropy_forward(&shape, &[0.0; 2], &[0.0; 3], &[0, target], &mut [0.0; 2])
    };
    assert_panics("target 3 at position 1", refuse(3));
    assert_panics("target -2 at position 1", refuse(-2));
}

#[test]
fn softmax_of_rows() {
    for (rows, cols) in [(0, 3), (2, 1), (3, 7), (5, 64), (40, 1001)] {
        let x: Vec<f32> = normal(1, rows * cols).iter().map(|x| 5.0 * x).collect();
        let dy = normal(2, rows * cols);
        let len = x.len();
        let (mut soft, mut log) = (vec![0.0; len], vec![0.0; len]);
        reference::softmax_rows(&widen(&x), cols, &mut soft);
        reference::log_softmax_rows(&widen(&x), cols, &mut log);
        let (mut dsoft, mut dlog) = (vec![0.0; len], vec![0.0; len]);
        reference::softmax_backward_rows(&soft, &widen(&dy), cols, &mut dsoft);
        reference::log_softmax_backward_rows(&log, &widen(&dy), cols, &mut dlog);
        if rows == 3 {
            let loss = |f: fn(&[f64], usize, &mut [f64]), x: &[f64]| {
                let mut y = vec![0.0; len];
                f(x, cols, &mut y);
                dot(&y, &widen(&dy))
            };
            assert_gradient("softmax", &widen(&x), &dsoft, |x| loss(reference::softmax_rows, x));
            assert_gradient("log_softmax", &widen(&x), &dlog, |x| loss(reference::log_softmax_rows, x));
        }
        for (isa, got) in everywhere(|| {
            let mut out: [Vec<f32>; 4] = std::array::from_fn(|_| vec![0.0; len]);
            nn::softmax_rows(&x, cols, &mut out[0]);
            nn::log_softmax_rows(&x, cols, &mut out[1]);
            let (soft, log) = (out[0].clone(), out[1].clone());
            nn::softmax_backward_rows(&soft, &dy, cols, &mut out[2]);
            nn::log_softmax_backward_rows(&log, &dy, cols, &mut out[3]);
            out
        }) {
            for (i, want) in [&soft, &log, &dsoft, &dlog].into_iter().enumerate() {
                assert_close(&format!("output {i} {} {rows}×{cols}", isa.name()), &got[i], want, 1e-5);
            }
        }
    }
}

#[test]
fn softmax_of_masked_and_hostile_rows() {
    let inf = f32::INFINITY;
    for (isa, got) in everywhere(|| {
        let mut y = [0.0; 3];
        nn::softmax_rows(&[-inf, 0.0, 0.0], 3, &mut y);
        let mut large = [0.0; 3];
        nn::softmax_rows(&[1e38, 1e38, -1e38], 3, &mut large);
        (y, large)
    }) {
        assert_eq!(got, ([0.0, 0.5, 0.5], [0.5, 0.5, 0.0]), "{}", isa.name());
    }
}

#[test]
fn argmax_takes_the_first_greatest() {
    let nan = f32::NAN;
    let mut long = vec![0.0; 100];
    (long[37], long[38], long[90]) = (2.0, nan, 2.0);
    for (isa, got) in everywhere(|| {
        let (mut short, mut one) = ([9; 3], [9]);
        nn::argmax_rows(&[1.0, 3.0, 3.0, nan, -1.0, nan, nan, nan, nan], 3, &mut short);
        nn::argmax_rows(&long, 100, &mut one);
        (short, one)
    }) {
        assert_eq!(got, ([1, 1, 0], [37]), "{}", isa.name());
    }
}
