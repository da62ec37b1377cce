//! What only our own GPT has: smear, lambdas and backout (see `mynah_nn::GptConfig`).

use crate::cache::Cache;
use crate::compute::norm::NormWeights;
use crate::compute::sigmoid;
use crate::config::DecoderConfig;
use crate::error::Result;
use crate::files::Kept;
use crate::load::Loader;
use crate::step::Step;

/// The learned values of the extras.
#[derive(Debug, Default)]
pub(crate) struct ExtraWeights {
    /// The gate's weights and the factor.
    smear: Option<(Vec<f32>, f32)>,
    /// One a layer.
    residual_lambdas: Option<Vec<f32>>,
    /// One a layer.
    pub first_lambdas: Option<Vec<f32>>,
    pub backout: Option<f32>,
}

impl ExtraWeights {
    /// Loads what the configuration has.
    pub(crate) fn load(loader: &Loader<'_>, config: &DecoderConfig) -> Result<Self> {
        let (extras, layers) = (&config.extras, config.layers.len());
        let smear = match extras.smear {
            Some(channels) => {
                let gate = loader.vector("smear_gate.weight", channels)?;
                Some((gate, loader.vector("smear_lambda", 1)?[0]))
            }
            None => None,
        };
        let vector = |on: bool, name: &str, len: usize| on.then(|| loader.vector(name, len)).transpose();
        Ok(Self {
            smear,
            residual_lambdas: vector(extras.residual_lambdas, "resid_lambdas", layers)?,
            first_lambdas: vector(extras.first_lambdas, "x0_lambdas", layers)?,
            backout: vector(extras.backout.is_some(), "backout_lambda", 1)?.map(|value| value[0]),
        })
    }

    /// x_t += λ·σ(W x_t[:channels])·x_(t−1), x being the embeddings. The token before a segment is looked up
    /// in its pages, so that sequences may share them.
    pub(crate) fn smear(
        &self,
        config: &DecoderConfig,
        table: &Kept,
        norm: Option<&NormWeights>,
        step: &Step<'_>,
        cache: &mut Cache,
        x: &mut [f32],
    ) {
        let Some((gate, lambda)) = &self.smear else { return };
        let width = config.width;
        for (&(page, offset), &token) in step.places.iter().zip(&step.tokens) {
            cache.write_token(page as usize, offset, token);
        }
        let mut before = vec![0.0; width];
        let mut current = vec![0.0; width];
        for (row, x) in x.chunks_exact_mut(width).enumerate() {
            let position = step.positions[row];
            current.copy_from_slice(x);
            let segment = &step.segments[step.owners[row]];
            if position > 0 && position == segment.start {
                let (page, offset) = ((position - 1) / cache.page_tokens, (position - 1) % cache.page_tokens);
                let token = cache.token(segment.pages[page] as usize, offset);
                table.tensor().read_row(token as usize, &mut before);
                if let Some(norm) = norm {
                    norm.apply_to(&mut before);
                }
            }
            if position > 0 {
                let z: f32 = x.iter().zip(gate).map(|(x, w)| x * w).sum();
                let share = lambda * sigmoid(z);
                x.iter_mut().zip(&before).for_each(|(x, before)| *x += share * before);
            }
            std::mem::swap(&mut before, &mut current);
        }
    }

    /// x ← residual_lambda·x + first_lambda·first.
    pub(crate) fn mix(&self, layer: usize, x: &mut [f32], first: &[f32]) {
        if let Some(lambdas) = &self.residual_lambdas {
            let share = lambdas[layer];
            x.iter_mut().for_each(|x| *x *= share);
        }
        if let Some(lambdas) = &self.first_lambdas {
            let share = lambdas[layer];
            x.iter_mut().zip(first).for_each(|(x, first)| *x += share * first);
        }
    }
}
