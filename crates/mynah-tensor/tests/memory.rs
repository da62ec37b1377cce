//! Memory: recycled between steps, freed as the backward pass goes, never read before it is written.
//! One test a process, since the counters are those of the process.

use mynah_base::Rng;
use mynah_tensor::{DType, Reduction, Tensor, memory, no_grad, ops};

struct Model {
    table: Tensor,
    layers: Vec<[Tensor; 3]>,
    head: Tensor,
}

impl Model {
    fn new() -> Self {
        let mut rng = Rng::new(5);
        let mut weight = |shape: &[usize]| {
            Tensor::normal(&mut rng, shape, 0.0, 0.1, DType::F32).unwrap().requires_grad_().unwrap()
        };
        Self {
            table: weight(&[50, 16]),
            layers: (0..4).map(|_| [weight(&[48, 16]), weight(&[64, 16]), weight(&[16, 64])]).collect(),
            head: weight(&[50, 16]),
        }
    }

    fn loss(&self, ids: &Tensor, targets: &Tensor) -> Tensor {
        let eps = f64::from(f32::EPSILON);
        let mut x = ops::embedding(&self.table, ids).unwrap();
        let (batch, tokens) = (ids.shape()[0] as isize, ids.shape()[1] as isize);
        for [qkv, w_in, w_out] in &self.layers {
            let mixed = ops::linear(&ops::rms_norm(&x, eps).unwrap(), qkv).unwrap();
            let head =
                |i: usize| mixed.narrow(-1, 16 * i, 16).unwrap().reshape(&[batch, tokens, 2, 8]).unwrap();
            let q = ops::rope_norm(&head(0), None, 0, true, 1.2).unwrap();
            let k = ops::rope_norm(&head(1), None, 0, true, 1.2).unwrap();
            let y = ops::attention(&q, &k, &head(2), Some(4), 0.35).unwrap();
            x = x.add(&y.reshape(&[batch, tokens, 16]).unwrap()).unwrap();
            x = x.add(&ops::mlp_relu_square(&ops::rms_norm(&x, eps).unwrap(), w_in, w_out).unwrap()).unwrap();
        }
        let x = ops::rms_norm(&x, eps).unwrap();
        ops::linear_cross_entropy(&x, &self.head, targets, Some(15.0), Reduction::Mean).unwrap()
    }

    fn parameters(&self) -> Vec<&Tensor> {
        std::iter::once(&self.table).chain(self.layers.iter().flatten()).chain([&self.head]).collect()
    }

    /// One step of gradient descent; the loss before it.
    fn step(&self, rng: &mut Rng) -> f64 {
        let mut draw = || {
            let ids = (0..4 * 12).map(|_| rng.index(50) as i64).collect::<Vec<_>>();
            Tensor::from_slice(&ids, &[4, 12]).unwrap()
        };
        let (ids, targets) = (draw(), draw());
        let loss = self.loss(&ids, &targets);
        loss.backward().unwrap();
        for parameter in self.parameters() {
            let grad = parameter.grad().unwrap().expect("every parameter has a gradient");
            assert!(grad.to_vec::<f32>().unwrap().iter().all(|g| g.is_finite()));
            grad.with_f32(|grad| {
                parameter.with_f32_mut(|values| {
                    for (value, grad) in values.iter_mut().zip(grad) {
                        *value -= 0.1 * grad;
                    }
                })
            })
            .unwrap()
            .unwrap();
            parameter.zero_grad();
        }
        loss.item().unwrap()
    }
}

#[test]
fn steps_recycle_and_never_read_what_they_did_not_write() {
    // Every buffer is handed out full of NaN: a hole anywhere would reach the loss or a gradient.
    memory::set_poison(true);
    let model = Model::new();
    let poisoned: Vec<f64> = {
        let mut rng = Rng::new(1);
        (0..5).map(|_| model.step(&mut rng)).collect()
    };
    assert!(poisoned.iter().all(|loss| loss.is_finite()), "{poisoned:?}");

    // The same numbers without poison: no result depends on what a buffer held.
    memory::set_poison(false);
    let again = Model::new();
    let mut rng = Rng::new(1);
    let plain: Vec<f64> = (0..5).map(|_| again.step(&mut rng)).collect();
    assert_eq!(poisoned, plain);

    // From the second step on, live memory returns to where it was and the footprint does not grow.
    let resting = memory::live_bytes();
    let footprint = memory::live_bytes() + memory::idle_bytes();
    memory::reset_peak();
    for _ in 0..5 {
        again.step(&mut rng);
        assert_eq!(memory::live_bytes(), resting);
        assert_eq!(memory::live_bytes() + memory::idle_bytes(), footprint, "a step took new memory");
    }
    let peak = memory::peak_bytes();
    assert!(peak > resting && peak <= footprint, "{resting} {peak} {footprint}");

    // The graph holds memory until backward has freed it, and no_grad holds none.
    let ids = Tensor::zeros(&[4, 12], DType::I64).unwrap();
    let before = memory::live_bytes();
    let loss = again.loss(&ids, &ids);
    let held = memory::live_bytes() - before;
    loss.backward().unwrap();
    again.parameters().iter().for_each(|parameter| parameter.zero_grad());
    let after = memory::live_bytes() - before;
    assert!(held > 20 * after.max(1), "held {held}, after the backward pass {after}");
    let quiet = no_grad(|| again.loss(&ids, &ids));
    assert!(memory::live_bytes() - before <= 2 * 1024, "{}", memory::live_bytes() - before);
    assert_eq!(quiet.item().unwrap(), loss.item().unwrap());

    memory::trim();
    assert_eq!(memory::idle_bytes(), 0);
}
