//! Seeded inputs, comparison, and finite differences.

use mynah_base::Rng;
use mynah_kernels::cpu::{Isa, with_isa};
use mynah_kernels::pool;

/// Normal values from a seed.
pub fn normal(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.normal() as f32).collect()
}

/// The same in double precision.
pub fn normal_f64(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.normal()).collect()
}

pub fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Asserts |got − want| ≤ tolerance · (1 + |want|) everywhere.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs();
        assert!(
            error <= tolerance * (1.0 + want.abs()),
            "{what}[{i}]: got {got}, want {want}, error {error:e}"
        );
    }
}

/// Runs `kernel` on every instruction set with 1, 2 and 3 threads. The results of one instruction set must be
/// the same bytes whatever the threads, also when repeated. Returns one result for each instruction set.
#[track_caller]
pub fn everywhere<R: PartialEq + std::fmt::Debug>(kernel: impl Fn() -> R) -> Vec<(Isa, R)> {
    let each = |&isa: &Isa| {
        with_isa(isa, || {
            let once = pool::with_threads(1, &kernel);
            for threads in [1, 2, 3] {
                let again = pool::with_threads(threads, &kernel);
                assert!(once == again, "{} differs with {threads} threads", isa.name());
            }
            (isa, once)
        })
    };
    Isa::available().iter().map(each).collect()
}

/// Asserts that `gradient` is that of `loss` at `x`, by central differences.
#[track_caller]
pub fn assert_gradient(what: &str, x: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    assert_eq!(x.len(), gradient.len(), "{what}: lengths");
    let mut at = x.to_vec();
    let step = 1e-5;
    for i in 0..x.len() {
        at[i] = x[i] + step;
        let above = loss(&at);
        at[i] = x[i] - step;
        let below = loss(&at);
        at[i] = x[i];
        let slope = (above - below) / (2.0 * step);
        let error = (slope - gradient[i]).abs();
        assert!(error <= 1e-6 * (1.0 + slope.abs()), "{what}[{i}]: {} but the slope is {slope}", gradient[i]);
    }
}

/// Σ a·b: turns any output into a loss whose gradient with respect to the output is `b`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Asserts that `body` panics with a message that contains `text`.
#[track_caller]
pub fn assert_panics(text: &str, body: impl FnOnce() + std::panic::UnwindSafe) {
    let error = std::panic::catch_unwind(body).expect_err("no panic");
    let message = error.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(message.contains(text), "the panic says {message:?}, not {text:?}");
}
