//! Arguments to try operations with.

use mynah_base::Rng;

use crate::dtype::DType;
use crate::table::Value;
use crate::tensor::Tensor;

/// How large samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Small enough for finite differences of every element.
    Gradient,
    /// Past the edges of vectors and tiles.
    Agreement,
    /// As in a training step of a small model.
    Benchmark,
}

/// Draws samples from a seed.
pub struct Sampler {
    rng: Rng,
    scale: Scale,
}

impl Sampler {
    /// A sampler.
    pub fn new(seed: u64, scale: Scale) -> Self {
        Self { rng: Rng::new(seed), scale }
    }

    /// The size for this scale.
    pub fn pick(&self, gradient: usize, agreement: usize, benchmark: usize) -> usize {
        match self.scale {
            Scale::Gradient => gradient,
            Scale::Agreement => agreement,
            Scale::Benchmark => benchmark,
        }
    }

    /// Normal numbers.
    pub fn normal(&mut self, shape: &[usize]) -> Value {
        self.tensor(shape, |rng| rng.normal())
    }

    /// Numbers between 0.5 and 2, for functions of positive numbers.
    pub fn positive(&mut self, shape: &[usize]) -> Value {
        self.tensor(shape, |rng| rng.uniform_in(0.5, 2.0))
    }

    /// Whole numbers from 0 to `below` − 1.
    pub fn ids(&mut self, shape: &[usize], below: usize) -> Value {
        let count = shape.iter().product();
        let ids = (0..count).map(|_| self.rng.index(below) as i64).collect();
        made(Tensor::from_vec::<i64>(ids, shape))
    }

    /// Classes from 0 to `below` − 1, some replaced by −1 (ignored).
    pub fn targets(&mut self, shape: &[usize], below: usize) -> Value {
        let count = shape.iter().product();
        let ids = (0..count).map(|i| if i % 5 == 3 { -1 } else { self.rng.index(below) as i64 }).collect();
        made(Tensor::from_vec::<i64>(ids, shape))
    }

    /// True and false.
    pub fn mask(&mut self, shape: &[usize]) -> Value {
        let count = shape.iter().product();
        let values = (0..count).map(|_| self.rng.chance(0.5)).collect();
        made(Tensor::from_vec::<bool>(values, shape))
    }

    /// Numbers of any distribution, in f64.
    pub fn tensor(&mut self, shape: &[usize], mut draw: impl FnMut(&mut Rng) -> f64) -> Value {
        let count = shape.iter().product();
        let values = (0..count).map(|_| draw(&mut self.rng)).collect();
        made(Tensor::from_vec::<f64>(values, shape))
    }
}

/// Samples have as many values as their shape says, so making them cannot fail; if it did, the value is
/// empty and the operation refuses it.
fn made(tensor: crate::Result<Tensor>) -> Value {
    tensor.map_or(Value::None, Value::Tensor)
}

fn transposed(value: Value) -> Value {
    match value {
        Value::Tensor(tensor) => made(tensor.t()),
        other => other,
    }
}

/// The shapes that elementwise functions are tried with: a vector, a matrix, a view, an empty tensor.
pub(super) fn one_tensor(s: &mut Sampler) -> Vec<Vec<Value>> {
    let n = s.pick(5, 67, 2048);
    if s.scale == Scale::Benchmark {
        return vec![vec![s.normal(&[n, 256])]];
    }
    vec![
        vec![s.normal(&[n])],
        vec![s.normal(&[3, n])],
        vec![transposed(s.normal(&[3, 4]))],
        vec![s.normal(&[2, 0, 3])],
        vec![s.normal(&[])],
    ]
}

/// [`one_tensor`] of positive numbers.
pub(super) fn one_positive(s: &mut Sampler) -> Vec<Vec<Value>> {
    let n = s.pick(5, 67, 2048);
    vec![vec![s.positive(&[n, s.pick(2, 3, 256)])]]
}

/// Pairs of tensors in all the ways that broadcast.
pub(super) fn two_tensors(s: &mut Sampler) -> Vec<Vec<Value>> {
    pairs(s, Sampler::normal)
}

/// [`two_tensors`] of positive numbers.
pub(super) fn two_positive(s: &mut Sampler) -> Vec<Vec<Value>> {
    pairs(s, Sampler::positive)
}

fn pairs(s: &mut Sampler, draw: fn(&mut Sampler, &[usize]) -> Value) -> Vec<Vec<Value>> {
    let n = s.pick(3, 67, 256);
    if s.scale == Scale::Benchmark {
        return vec![vec![draw(s, &[2048, n]), draw(s, &[2048, n])]];
    }
    vec![
        vec![draw(s, &[4, n]), draw(s, &[4, n])],
        vec![draw(s, &[4, n]), draw(s, &[n])],
        vec![draw(s, &[4, 1]), draw(s, &[4, n])],
        vec![draw(s, &[4, n]), draw(s, &[])],
        vec![draw(s, &[1]), draw(s, &[2, n])],
        vec![draw(s, &[2, 1, n]), draw(s, &[3, 1])],
        vec![draw(s, &[3, 4]), transposed(draw(s, &[4, 3]))],
        vec![draw(s, &[0, n]), draw(s, &[n])],
    ]
}

/// Whole numbers as an argument.
pub(super) fn ints(values: &[i64]) -> Value {
    Value::Ints(values.to_vec())
}

/// Tables of cosines and sines of rotary positions.
pub(super) fn rotary(positions: usize, half: usize) -> (Value, Value) {
    let angle = |i: usize| (i / half) as f64 * 0.9f64.powi((i % half) as i32);
    let table = |f: fn(f64) -> f64| {
        made(Tensor::from_vec::<f64>(
            (0..positions * half).map(|i| f(angle(i))).collect(),
            &[positions, half],
        ))
    };
    (table(f64::cos), table(f64::sin))
}

/// The types of comparisons and movement: all of them.
pub(super) const ANY: &[DType] = &DType::ALL;
/// The types of arithmetic.
pub(super) const NUMBERS: &[DType] = &[DType::F32, DType::F64, DType::BF16, DType::F16, DType::I64];
