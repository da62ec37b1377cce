//! Mixtures of experts.
//!
//! The rows of a step are sorted by expert, so that an expert's matrices are read once. A row's weighted sum
//! is made in the order of the experts' numbers, whatever else is in the batch.

use crate::compute::linear::Linear;
use crate::compute::mlp::{MlpWeights, activate};
use crate::compute::{fit, sigmoid};
use crate::config::{MixtureOfExperts, Router};
use crate::step::{Scratch, Step};

/// The weights of a mixture of experts.
#[derive(Debug)]
pub(crate) struct ExpertWeights {
    pub config: MixtureOfExperts,
    pub router: Linear,
    /// Added to the scores for the choice only.
    pub choice_bias: Option<Vec<f32>>,
    /// (gate and up, down) of each expert.
    pub experts: Vec<(Linear, Linear)>,
    pub shared: Option<MlpWeights>,
    /// One row of weights.
    pub shared_gate: Option<Linear>,
}

impl ExpertWeights {
    /// out = Σ weight·expert(x) + shared(x).
    pub(crate) fn forward(&self, step: &Step<'_>, x: &[f32], scratch: &mut Scratch, out: &mut Vec<f32>) {
        let rows = step.tokens.len();
        let width = x.len() / rows;
        fit(out, x.len());
        out.fill(0.0);
        let mut scores = Vec::new();
        step.linear(&self.router, x, &mut scores, &mut scratch.multiply);
        let mut chosen: Vec<(usize, usize, f32)> = Vec::with_capacity(rows * self.config.chosen);
        for (row, scores) in scores.chunks_exact(self.config.experts).enumerate() {
            let choice = choose(&self.config, scores, self.choice_bias.as_deref());
            chosen.extend(choice.into_iter().map(|(expert, weight)| (expert, row, weight)));
        }
        chosen.sort_unstable_by_key(|&(expert, row, _)| (expert, row));
        let mut gathered = Vec::new();
        for group in chosen.chunk_by(|a, b| a.0 == b.0) {
            gathered.clear();
            for &(_, row, _) in group {
                gathered.extend_from_slice(&x[row * width..][..width]);
            }
            let (input, output) = &self.experts[group[0].0];
            let Scratch { a: hidden, b: activated, c: result, multiply, .. } = scratch;
            input.apply(&gathered, group.len(), hidden, multiply);
            activate(&self.config.expert, hidden, activated);
            output.apply(activated, group.len(), result, multiply);
            for (&(_, row, weight), result) in group.iter().zip(result.chunks_exact(width)) {
                let out = &mut out[row * width..][..width];
                out.iter_mut().zip(result).for_each(|(out, y)| *out += weight * y);
            }
        }
        let Some(shared) = &self.shared else { return };
        let mut result = Vec::new();
        shared.forward(step, x, scratch, &mut result);
        if let Some(gate) = &self.shared_gate {
            let mut gates = Vec::new();
            step.linear(gate, x, &mut gates, &mut scratch.multiply);
            for (result, gate) in result.chunks_exact_mut(width).zip(gates) {
                let gate = sigmoid(gate);
                result.iter_mut().for_each(|y| *y *= gate);
            }
        }
        out.iter_mut().zip(&result).for_each(|(out, y)| *out += y);
    }
}

/// The experts of a row and their weights, from the router's scores.
fn choose(config: &MixtureOfExperts, scores: &[f32], bias: Option<&[f32]>) -> Vec<(usize, f32)> {
    let softmax = |scores: &mut dyn Iterator<Item = f32>| -> Vec<f32> {
        let scores: Vec<f32> = scores.collect();
        let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = scores.iter().map(|s| (s - greatest).exp()).collect();
        let sum: f32 = powers.iter().sum();
        powers.iter().map(|p| p / sum).collect()
    };
    match config.router {
        Router::Softmax { normalise } => {
            let weights = softmax(&mut scores.iter().copied());
            let chosen = largest(&weights, config.chosen);
            weigh(&weights, &chosen, normalise, 0.0, 1.0)
        }
        Router::SoftmaxOfChosen => {
            let chosen = largest(scores, config.chosen);
            let weights = softmax(&mut chosen.iter().map(|&expert| scores[expert]));
            chosen.into_iter().zip(weights).collect()
        }
        Router::Sigmoid { groups, groups_chosen, normalise, scale } => {
            let weights: Vec<f32> = scores.iter().map(|&s| sigmoid(s)).collect();
            let mut choice: Vec<f32> = weights.clone();
            if let Some(bias) = bias {
                choice.iter_mut().zip(bias).for_each(|(c, b)| *c += b);
            }
            if groups > groups_chosen {
                // A group counts as the sum of its two best (arXiv 2412.19437, section 2.1.2).
                let size = config.experts / groups;
                let marks: Vec<f32> = choice
                    .chunks_exact(size)
                    .map(|group| largest(group, 2).into_iter().map(|expert| group[expert]).sum())
                    .collect();
                let kept = largest(&marks, groups_chosen);
                for (group, choice) in choice.chunks_exact_mut(size).enumerate() {
                    if !kept.contains(&group) {
                        choice.fill(f32::NEG_INFINITY);
                    }
                }
            }
            let chosen = largest(&choice, config.chosen);
            weigh(&weights, &chosen, normalise, 1e-20, scale)
        }
    }
}

fn weigh(weights: &[f32], chosen: &[usize], normalise: bool, eps: f32, scale: f32) -> Vec<(usize, f32)> {
    let sum: f32 =
        if normalise { chosen.iter().map(|&expert| weights[expert]).sum::<f32>() + eps } else { 1.0 };
    chosen.iter().map(|&expert| (expert, weights[expert] / sum * scale)).collect()
}

/// The places of the `count` largest values, the first of equals first.
fn largest(values: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.truncate(count);
    order
}
