//! First values of the parameters.

use mynah_base::Rng;
use mynah_kernels::pool;

/// Values drawn by one generator; a parameter is cut into pieces of this length, each with its own
/// stream, so that pieces may be drawn in any order by any number of threads.
const PIECE: usize = 1 << 14;

/// How a parameter begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Init {
    Constant(f32),
    /// Mean 0, this standard deviation.
    Normal(f64),
    /// Low and high.
    Uniform(f64, f64),
    /// From the first value at element 0 linearly to the second at the last.
    Ramp(f64, f64),
}

/// The values of parameter number `index` of a model with this seed.
pub(crate) fn draw(seed: u64, index: u64, shape: &[usize], init: Init) -> Vec<f32> {
    let len = shape.iter().product();
    let mut values = vec![0f32; len];
    match init {
        Init::Constant(value) => values.fill(value),
        Init::Ramp(first, last) => {
            let steps = (len.max(2) - 1) as f64;
            for (i, value) in values.iter_mut().enumerate() {
                *value = (first + (last - first) * i as f64 / steps) as f32;
            }
        }
        Init::Normal(std) => pool::run_chunks_mut(&mut values, PIECE, |piece, part| {
            let mut rng = stream(seed, index, piece);
            part.iter_mut().for_each(|value| *value = (std * rng.normal()) as f32);
        }),
        Init::Uniform(low, high) => pool::run_chunks_mut(&mut values, PIECE, |piece, part| {
            let mut rng = stream(seed, index, piece);
            part.iter_mut().for_each(|value| *value = rng.uniform_in(low, high) as f32);
        }),
    }
    values
}

fn stream(seed: u64, index: u64, piece: usize) -> Rng {
    Rng::for_item(seed, index << 32 | piece as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_as_asked_and_threads_do_not_matter() {
        let normal = draw(1, 2, &[300, 200], Init::Normal(0.8));
        let mean = normal.iter().sum::<f32>() / 60_000.0;
        let std = (normal.iter().map(|x| x * x).sum::<f32>() / 60_000.0).sqrt();
        assert!(mean.abs() < 0.02 && (std - 0.8).abs() < 0.01, "mean {mean}, std {std}");
        assert_eq!(normal, pool::with_threads(1, || draw(1, 2, &[300, 200], Init::Normal(0.8))));
        assert_ne!(normal, draw(1, 3, &[300, 200], Init::Normal(0.8)));
        let uniform = draw(1, 2, &[60_000], Init::Uniform(-0.5, 0.5));
        assert!(uniform.iter().all(|x| (-0.5..0.5).contains(x)));
        assert_eq!(draw(1, 2, &[4], Init::Ramp(1.0, 0.25)), [1.0, 0.75, 0.5, 0.25]);
        assert_eq!(draw(1, 2, &[1], Init::Ramp(1.15, 1.05)), [1.15]);
    }
}
