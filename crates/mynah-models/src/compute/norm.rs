//! Norms over rows.

use mynah_kernels::nn;

use crate::compute::fit;
use crate::config::{Norm, NormKind};

/// A norm with its learned values.
#[derive(Debug)]
pub(crate) struct NormWeights {
    pub norm: Norm,
    /// The gain, the offset included.
    pub gain: Option<Vec<f32>>,
    pub bias: Option<Vec<f32>>,
}

impl NormWeights {
    /// y = norm(x) over rows of `width` channels; `scratch` is overwritten.
    pub(crate) fn apply(&self, x: &[f32], width: usize, y: &mut Vec<f32>, scratch: &mut Vec<f32>) {
        fit(y, x.len());
        match self.norm.kind {
            NormKind::Rms => {
                fit(scratch, x.len() / width);
                nn::rms_norm_forward(x, width, self.norm.eps, y, scratch);
            }
            NormKind::Layer => {
                fit(scratch, x.len() + x.len() / width);
                let (centred, inverse) = scratch.split_at_mut(x.len());
                for (x, centred) in x.chunks_exact(width).zip(centred.chunks_exact_mut(width)) {
                    let mean = x.iter().sum::<f32>() / width as f32;
                    centred.iter_mut().zip(x).for_each(|(c, x)| *c = x - mean);
                }
                nn::rms_norm_forward(centred, width, self.norm.eps, y, inverse);
            }
            NormKind::None => y.copy_from_slice(x),
        }
        if let Some(gain) = &self.gain {
            for y in y.chunks_exact_mut(gain.len()) {
                y.iter_mut().zip(gain).for_each(|(y, g)| *y *= g);
            }
        }
        if let Some(bias) = &self.bias {
            for y in y.chunks_exact_mut(bias.len()) {
                y.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
    }
}
