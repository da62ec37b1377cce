//! Norms over rows.

use mynah_kernels::pool;

use crate::compute::{dot, fit};
use crate::config::{Norm, NormKind};

/// Values that one task takes at least.
const GRAIN: usize = 1 << 14;

/// A norm with its learned values.
#[derive(Debug)]
pub(crate) struct NormWeights {
    pub norm: Norm,
    /// The gain, the offset included.
    pub gain: Option<Vec<f32>>,
    pub bias: Option<Vec<f32>>,
}

impl NormWeights {
    /// y = norm(x) over rows of `width` channels.
    pub(crate) fn apply(&self, x: &[f32], width: usize, y: &mut Vec<f32>) {
        fit(y, x.len());
        let rows = GRAIN.div_ceil(width);
        pool::run_chunks_mut(y, rows * width, |task, y| {
            let x = &x[task * rows * width..][..y.len()];
            y.copy_from_slice(x);
            y.chunks_exact_mut(width).for_each(|y| self.apply_to(y));
        });
    }

    /// The norm of one row, in place.
    pub(crate) fn apply_to(&self, x: &mut [f32]) {
        let inverse = match self.norm.kind {
            NormKind::Rms => self.inverse(x),
            NormKind::Layer => {
                let mean = x.iter().sum::<f32>() / x.len() as f32;
                x.iter_mut().for_each(|x| *x -= mean);
                self.inverse(x)
            }
            NormKind::None => 1.0,
        };
        match &self.gain {
            Some(gain) => x.iter_mut().zip(gain).for_each(|(x, gain)| *x = *x * inverse * gain),
            None => x.iter_mut().for_each(|x| *x *= inverse),
        }
        if let Some(bias) = &self.bias {
            x.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
        }
    }

    fn inverse(&self, x: &[f32]) -> f32 {
        1.0 / (dot(x, x) / x.len() as f32 + self.norm.eps).sqrt()
    }
}
