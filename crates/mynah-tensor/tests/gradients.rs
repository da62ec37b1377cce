//! The autograd graph: reuse, accumulation, freeing, refusal.

use mynah_tensor::{DType, ErrorKind, Reduction, Tensor, no_grad, ops};

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, &[values.len()]).unwrap().requires_grad_().unwrap()
}

fn grad(x: &Tensor) -> Vec<f64> {
    x.grad().unwrap().expect("a gradient").to_vec().unwrap()
}

#[test]
fn a_diamond_sums_both_ways() {
    let x = leaf(&[2.0, -3.0]);
    let y = x.square().unwrap();
    // x² · x² + x² + x, with y used three times and x twice.
    let z = y.mul(&y).unwrap().add(&y).unwrap().add(&x).unwrap();
    z.sum(&[], false).unwrap().backward().unwrap();
    assert_eq!(grad(&x), [4.0 * 8.0 + 4.0 + 1.0, 4.0 * -27.0 - 6.0 + 1.0]);
}

#[test]
fn gradients_add_up_over_backward_passes() {
    let x = leaf(&[1.0, 2.0]);
    for _ in 0..3 {
        x.square().unwrap().sum(&[], false).unwrap().mul_scalar(0.5).unwrap().backward().unwrap();
    }
    assert_eq!(grad(&x), [3.0, 6.0]);
    x.zero_grad();
    assert!(x.grad().unwrap().is_none());
}

#[test]
fn one_gradient_for_two_leaves_is_not_shared() {
    let (a, b) = (leaf(&[1.0, 2.0]), leaf(&[3.0, 4.0]));
    a.add(&b).unwrap().sum(&[], false).unwrap().backward().unwrap();
    // Adding to one must not reach the other.
    a.mul_scalar(10.0).unwrap().sum(&[], false).unwrap().backward().unwrap();
    assert_eq!((grad(&a), grad(&b)), (vec![11.0, 11.0], vec![1.0, 1.0]));
    // Nor may later passes write into the gradient that the user gave.
    let given = Tensor::from_slice(&[1.0, 1.0], &[2]).unwrap();
    let c = leaf(&[0.0, 0.0]);
    c.backward_with(Some(&given), false).unwrap();
    c.backward_with(Some(&given), false).unwrap();
    assert_eq!((grad(&c), given.to_vec::<f64>().unwrap()), (vec![2.0, 2.0], vec![1.0, 1.0]));
}

#[test]
fn no_grad_and_detach_stop_gradients() {
    let x = leaf(&[3.0]);
    let silent = no_grad(|| x.square().unwrap());
    assert!(!silent.requires_grad());
    assert_eq!(silent.backward().unwrap_err().kind(), ErrorKind::Gradient);
    x.mul(&x.detach()).unwrap().backward().unwrap();
    assert_eq!(grad(&x), [3.0]);
    // A panic inside leaves recording on.
    let _ = std::panic::catch_unwind(|| no_grad(|| panic!("inside")));
    assert!(mynah_tensor::grad_enabled());
}

#[test]
fn a_graph_serves_once_unless_kept() {
    let x = leaf(&[3.0]);
    let y = x.exp().unwrap().square().unwrap();
    y.backward_with(None, true).unwrap();
    let first = grad(&x)[0];
    y.backward().unwrap();
    assert_eq!(grad(&x)[0], 2.0 * first);
    let error = y.backward().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gradient);
    assert!(error.to_string().contains("run the forward pass again"), "{error}");
}

#[test]
fn a_kept_loss_gives_the_same_gradients_again() {
    let x = Tensor::ones(&[3, 2], DType::F32).unwrap().requires_grad_().unwrap();
    let w = Tensor::from_vec(vec![0.5f32, -0.5, 1.0, 2.0], &[2, 2]).unwrap().requires_grad_().unwrap();
    let targets = Tensor::from_vec(vec![0i64, 1, -1], &[3]).unwrap();
    let loss = ops::linear_cross_entropy(&x, &w, &targets, None, Reduction::Mean).unwrap();
    loss.backward_with(None, true).unwrap();
    let (dx, dw) = (grad(&x), grad(&w));
    loss.backward().unwrap();
    let twice = |v: Vec<f64>| v.into_iter().map(|g| 2.0 * g).collect::<Vec<_>>();
    assert_eq!((grad(&x), grad(&w)), (twice(dx), twice(dw)));
    assert_eq!(loss.backward().unwrap_err().kind(), ErrorKind::Gradient);
}

#[test]
fn writing_to_a_saved_tensor_is_reported() {
    let x = leaf(&[1.0, 2.0]);
    let y = x.square().unwrap();
    x.with_slice_mut(|data: &mut [f64]| data[0] = 5.0).unwrap();
    let error = y.sum(&[], false).unwrap().backward().unwrap_err();
    assert_eq!((error.kind(), error.op()), (ErrorKind::Gradient, "square"));
    assert!(error.to_string().contains("modified in place"), "{error}");
    // Writes through a view count, writes after the backward pass do not matter.
    let y = x.exp().unwrap();
    y.backward_with(Some(&Tensor::from_slice(&[1.0, 1.0], &[2]).unwrap()), true).unwrap();
    y.detach().narrow(0, 1, 1).unwrap().fill_(0.0).unwrap();
    let error = y.sum(&[], false).unwrap().backward().unwrap_err();
    assert_eq!(error.op(), "exp");
    assert_eq!(x.fill_(0.0).unwrap_err().kind(), ErrorKind::Gradient);
    no_grad(|| x.fill_(0.0)).unwrap();
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    // A thread with a small stack: any recursion over the chain would end the process.
    let run = || {
        let x = leaf(&[1.0]);
        let mut y = x.clone();
        for _ in 0..100_000 {
            y = y.add_scalar(0.0).unwrap();
        }
        y.backward().unwrap();
        assert_eq!(grad(&x), [1.0]);
        // And one that is dropped without ever being used.
        let mut z = x.clone();
        for _ in 0..100_000 {
            z = z.mul_scalar(1.0).unwrap();
        }
        drop(z);
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn backward_asks_for_what_it_needs() {
    let x = leaf(&[1.0, 2.0]);
    let error = x.exp().unwrap().backward().unwrap_err();
    assert!(error.to_string().contains("backward_with"), "{error}");
    let wrong = Tensor::ones(&[3], DType::F64).unwrap();
    assert_eq!(x.exp().unwrap().backward_with(Some(&wrong), false).unwrap_err().kind(), ErrorKind::Gradient);
    assert_eq!(
        Tensor::ones(&[1], DType::I64).unwrap().requires_grad_().unwrap_err().kind(),
        ErrorKind::DType
    );
    assert_eq!(x.exp().unwrap().requires_grad_().unwrap_err().kind(), ErrorKind::Gradient);
}

#[test]
fn linear_adds_into_an_existing_gradient() {
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
    let w = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], &[2, 2]).unwrap().requires_grad_().unwrap();
    ops::linear(&x, &w).unwrap().sum(&[], false).unwrap().backward().unwrap();
    let first = w.grad().unwrap().unwrap();
    ops::linear(&x, &w).unwrap().sum(&[], false).unwrap().backward().unwrap();
    assert!(first.shares_storage_with(&w.grad().unwrap().unwrap()), "the gradient moved");
    assert_eq!(first.to_vec::<f32>().unwrap(), [8.0, 12.0, 8.0, 12.0]);
}

#[test]
fn embedding_gradients_are_rows_that_merge() {
    let table = Tensor::zeros(&[5, 2], DType::F32).unwrap().requires_grad_().unwrap();
    let ids = |ids: &[i64]| Tensor::from_slice(ids, &[ids.len()]).unwrap();
    let backward = |list: &[i64], factor: f64| {
        let rows = ops::embedding(&table, &ids(list)).unwrap();
        rows.mul_scalar(factor).unwrap().sum(&[], false).unwrap().backward().unwrap();
    };
    backward(&[3, 1, 3], 1.0);
    let rows = table.grad_rows().unwrap();
    assert_eq!(
        (rows.ids(), &rows.as_f32().unwrap().rows[..]),
        (&[1i64, 3][..], &[1.0f32, 1.0, 2.0, 2.0][..])
    );
    backward(&[0, 3], 10.0);
    let rows = table.grad_rows().unwrap();
    assert_eq!(rows.ids(), [0, 1, 3]);
    assert_eq!(rows.as_f32().unwrap().rows, [10.0, 10.0, 1.0, 1.0, 12.0, 12.0]);
    let dense = [10.0, 10.0, 1.0, 1.0, 0.0, 0.0, 12.0, 12.0, 0.0, 0.0];
    assert_eq!(grad(&table), dense);
    assert!(table.grad_rows().is_some(), "asking for the dense form must not change the kept one");
    // A dense gradient of the same table (tied weights) turns the rows into a dense sum.
    table.mul_scalar(2.0).unwrap().sum(&[], false).unwrap().backward().unwrap();
    assert!(table.grad_rows().is_none());
    assert_eq!(grad(&table), dense.map(|g| g + 2.0));
    backward(&[4], 1.0);
    assert_eq!(grad(&table)[8..], [3.0, 3.0]);
}

#[test]
fn the_fused_loss_scales_and_accumulates() {
    let step = |accumulate: usize| {
        let x = Tensor::from_vec(vec![0.3f32, -0.2, 0.9, 0.1], &[2, 2]).unwrap().requires_grad_().unwrap();
        let w = Tensor::from_vec(vec![0.5f32, -0.5, 1.0, 2.0, 0.1, 0.2], &[3, 2])
            .unwrap()
            .requires_grad_()
            .unwrap();
        let targets = Tensor::from_vec(vec![2i64, 0], &[2]).unwrap();
        for _ in 0..accumulate {
            let loss = ops::linear_cross_entropy(&x, &w, &targets, Some(15.0), Reduction::Mean).unwrap();
            loss.mul_scalar(1.0 / accumulate as f64).unwrap().backward().unwrap();
        }
        [grad(&x), grad(&w)].concat()
    };
    for (once, often) in step(1).iter().zip(step(4)) {
        assert!((once - often).abs() < 1e-6, "{once} {often}");
    }
}

#[test]
fn all_targets_ignored_gives_zero_loss_and_gradient() {
    let x = Tensor::ones(&[2, 2], DType::F32).unwrap().requires_grad_().unwrap();
    let w = Tensor::ones(&[3, 2], DType::F32).unwrap().requires_grad_().unwrap();
    let targets = Tensor::from_vec(vec![-1i64, -1], &[2]).unwrap();
    let loss = ops::linear_cross_entropy(&x, &w, &targets, None, Reduction::Mean).unwrap();
    assert_eq!(loss.item().unwrap(), 0.0);
    loss.backward().unwrap();
    assert_eq!((grad(&x), grad(&w)), (vec![0.0; 4], vec![0.0; 6]));
    let logits = Tensor::ones(&[2, 3], DType::F32).unwrap().requires_grad_().unwrap();
    let loss = ops::cross_entropy(&logits, &targets, Reduction::Mean).unwrap();
    loss.backward().unwrap();
    assert_eq!((loss.item().unwrap(), grad(&logits)), (0.0, vec![0.0; 6]));
}

#[test]
fn threads_may_share_a_leaf() {
    let w = leaf(&[1.0, 2.0]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    w.square().unwrap().sum(&[], false).unwrap().backward().unwrap();
                }
            });
        }
    });
    assert_eq!(grad(&w), [2.0 * 200.0, 4.0 * 200.0]);
}
