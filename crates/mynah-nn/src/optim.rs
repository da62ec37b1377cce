//! AdamW and Muon over groups of parameters, each group with its own settings.
//!
//! The semantics are those of the nanochat recipe, formula for formula; the arithmetic is in
//! `mynah_kernels::nn`. Matrices of the blocks go to Muon, everything else to AdamW. A table whose
//! gradient touched few rows is stepped from those rows, with the same result as from a gradient full of
//! zeros.

use std::collections::BTreeMap;

use mynah_kernels::nn::{self, AdamW, Muon, MuonMatrix};
use mynah_tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::derive::StepSettings;
use crate::error::{Error, Result};
use crate::gpt::Gpt;

/// Learning rates and decay of a run, after scaling; [`crate::derive::Plan`] makes them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Token embedding; value embeddings take half of it.
    pub embedding: f64,
    /// Output head.
    pub head: f64,
    /// Matrices, by Muon.
    pub matrix: f64,
    /// x0 lambdas; residual lambdas, biases and gains take a hundredth of it.
    pub scalar: f64,
    /// Decay of the matrices.
    pub matrix_weight_decay: f64,
}

/// Rate of the smear gate and the smear and backout lambdas; the recipe does not scale it.
const SMEAR_LR: f64 = 0.2;
const ADAM_EPS: f64 = 1e-10;

/// How a group is stepped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Decoupled weight decay (arXiv 1711.05101).
    #[serde(rename = "adamw")]
    AdamW {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
    },
    /// Orthogonalised momentum for matrices.
    Muon(MuonSettings),
}

/// The stages of Muon, each switchable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MuonSettings {
    /// Decay of the momentum.
    pub momentum: f64,
    /// Look ahead along the momentum.
    pub nesterov: bool,
    /// Bring all rows to the same norm first (arXiv 2603.28254).
    pub equilibrate: bool,
    /// Polar Express iterations, 0 to 5 (arXiv 2505.16932).
    pub iterations: usize,
    /// Set the Frobenius norm to √min(m, n) afterwards (arXiv 2602.21545).
    pub renormalize: bool,
    /// Decay of NorMuon's second moment (arXiv 2510.05491); `None` skips the stage.
    pub beta2: Option<f64>,
    /// Decay only where update and parameter agree in sign.
    pub cautious: bool,
}

impl Default for MuonSettings {
    fn default() -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            equilibrate: true,
            iterations: 5,
            renormalize: true,
            beta2: Some(0.9),
            cautious: true,
        }
    }
}

/// Parameters that share their settings.
#[derive(Clone, Debug)]
pub struct ParamGroup {
    /// A name for people and checkpoints.
    pub name: String,
    /// How the group is stepped.
    pub algorithm: Algorithm,
    /// Rate at a multiplier of 1.
    pub base_lr: f64,
    /// Rate of the next step.
    pub lr: f64,
    /// Weight decay of the next step.
    pub weight_decay: f64,
    /// The parameters with their names.
    pub params: Vec<(String, Tensor)>,
}

impl ParamGroup {
    /// A group of AdamW with the recipe's epsilon.
    pub fn adamw(
        name: &str,
        lr: f64,
        betas: (f64, f64),
        weight_decay: f64,
        params: Vec<(String, Tensor)>,
    ) -> Self {
        let algorithm = Algorithm::AdamW { beta1: betas.0, beta2: betas.1, eps: ADAM_EPS };
        Self { name: name.to_string(), algorithm, base_lr: lr, lr, weight_decay, params }
    }

    /// A group of Muon with all stages on.
    pub fn muon(name: &str, lr: f64, weight_decay: f64, params: Vec<(String, Tensor)>) -> Self {
        let algorithm = Algorithm::Muon(MuonSettings::default());
        Self { name: name.to_string(), algorithm, base_lr: lr, lr, weight_decay, params }
    }
}

/// State of one parameter, empty before its first step: AdamW's two moments, or Muon's momentum and
/// second moment.
#[derive(Clone, Debug, Default)]
struct State {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
}

impl State {
    /// Zeros before the first step; memory fresh from the system is zero already.
    fn begin(&mut self, first: usize, second: usize) {
        if self.first.is_empty() {
            (self.first, self.second) = (vec![0.0; first], vec![0.0; second]);
        }
    }
}

/// What becomes of an optimizer's state when its parameters get other values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StatePolicy {
    /// It stays: the new values are close to the old ones.
    Preserve,
    /// It begins anew, as in a new run.
    Reset,
    /// Momentum counts this much of what it did, from 0 to 1. Second moments and step counts stay: they say how large
    /// gradients are, and steps keep their length.
    Attenuate(f32),
}

/// Steps the parameters of its groups from their gradients.
#[derive(Debug)]
pub struct Optimizer {
    groups: Vec<ParamGroup>,
    /// By group, by parameter.
    states: Vec<Vec<State>>,
}

/// The part of an optimizer's state that is not tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSettings {
    groups: Vec<GroupSettings>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupSettings {
    name: String,
    algorithm: Algorithm,
    base_lr: f64,
    lr: f64,
    weight_decay: f64,
    /// Steps taken, by parameter.
    steps: BTreeMap<String, u64>,
}

impl Optimizer {
    /// An optimizer over these groups.
    ///
    /// # Errors
    /// When a parameter is in two groups, or a Muon parameter is no matrix.
    pub fn new(groups: Vec<ParamGroup>) -> Result<Self> {
        let mut seen = std::collections::BTreeSet::new();
        for group in &groups {
            for (name, tensor) in &group.params {
                if !seen.insert(name.as_str()) {
                    return Err(Error::config(format!("optimizer: parameter {name} is in two groups")));
                }
                if matches!(group.algorithm, Algorithm::Muon(_)) && tensor.rank() != 2 {
                    return Err(Error::config(format!(
                        "optimizer: group {} uses Muon, which steps matrices, but {name} has shape {:?}",
                        group.name,
                        tensor.shape()
                    )));
                }
            }
        }
        let states = groups.iter().map(|group| vec![State::default(); group.params.len()]).collect();
        Ok(Self { groups, states })
    }

    /// The recipe's groups for a GPT: head, embedding, value embeddings and lambdas by AdamW, each with its
    /// own betas, and the matrices of the blocks by Muon.
    ///
    /// # Errors
    /// As [`Optimizer::new`].
    pub fn for_gpt(model: &Gpt, rates: &Rates) -> Result<Self> {
        let mut parts: BTreeMap<&str, Vec<(String, Tensor)>> = BTreeMap::new();
        for (name, tensor) in model.named_parameters() {
            let group = match name.as_str() {
                "lm_head.weight" => "head",
                "transformer.wte.weight" => "embedding",
                "resid_lambdas" => "residual_lambdas",
                "x0_lambdas" => "x0_lambdas",
                "smear_gate.weight" | "smear_lambda" | "backout_lambda" => "smear_backout",
                name if name.starts_with("value_embeds.") => "value_embeddings",
                // Biases and gains of an ablation.
                _ if tensor.rank() == 1 => "vectors",
                _ => "matrices",
            };
            parts.entry(group).or_default().push((name.clone(), tensor.clone()));
        }
        let mut take = |name: &str| parts.remove(name).unwrap_or_default();
        // A shared table is trained as the head it also is: at an embedding's rate its logits would explode.
        let embedding_lr = if model.config().tied_embeddings { rates.head } else { rates.embedding };
        let small_lr = rates.scalar * 0.01;
        let groups = vec![
            ParamGroup::adamw("head", rates.head, (0.8, 0.96), 0.01, take("head")),
            ParamGroup::adamw("embedding", embedding_lr, (0.8, 0.995), 0.001, take("embedding")),
            ParamGroup::adamw(
                "value_embeddings",
                rates.embedding * 0.5,
                (0.8, 0.995),
                0.01,
                take("value_embeddings"),
            ),
            ParamGroup::adamw("residual_lambdas", small_lr, (0.8, 0.95), 0.05, take("residual_lambdas")),
            ParamGroup::adamw("x0_lambdas", rates.scalar, (0.96, 0.95), 0.0, take("x0_lambdas")),
            ParamGroup::adamw("smear_backout", SMEAR_LR, (0.8, 0.95), 0.0, take("smear_backout")),
            ParamGroup::adamw("vectors", small_lr, (0.8, 0.95), 0.0, take("vectors")),
            ParamGroup::muon("matrices", rates.matrix, rates.matrix_weight_decay, take("matrices")),
        ];
        Self::new(groups.into_iter().filter(|group| !group.params.is_empty()).collect())
    }

    /// The groups.
    pub fn groups(&self) -> &[ParamGroup] {
        &self.groups
    }

    /// The groups, to change settings. Adding or removing parameters is a programmer's error and makes the
    /// next step panic.
    pub fn groups_mut(&mut self) -> &mut [ParamGroup] {
        &mut self.groups
    }

    /// Sets rates, Muon's momentum and Muon's decay as a schedule decided for the next step.
    pub fn apply(&mut self, settings: &StepSettings) {
        for group in &mut self.groups {
            group.lr = group.base_lr * settings.lr_multiplier;
            if let Algorithm::Muon(muon) = &mut group.algorithm {
                muon.momentum = settings.muon_momentum;
                group.weight_decay = settings.muon_weight_decay;
            }
        }
    }

    /// Brings the state in line with parameters that got other values.
    pub fn adapt_state(&mut self, policy: StatePolicy) {
        for state in self.states.iter_mut().flatten() {
            match policy {
                StatePolicy::Preserve => {}
                StatePolicy::Reset => *state = State::default(),
                StatePolicy::Attenuate(factor) => {
                    state.first.iter_mut().for_each(|momentum| *momentum *= factor);
                }
            }
        }
    }

    /// Drops the gradients of all parameters; their memory is reused by the next step.
    pub fn zero_grad(&self) {
        self.groups.iter().flat_map(|group| &group.params).for_each(|(_, tensor)| tensor.zero_grad());
    }

    /// Bytes of state held.
    pub fn size_bytes(&self) -> usize {
        let state = |s: &State| (s.first.len() + s.second.len()) * size_of::<f32>();
        self.states.iter().flatten().map(state).sum()
    }

    /// Steps every parameter that has a gradient.
    ///
    /// # Errors
    /// When a parameter or gradient is in use at this moment.
    pub fn step(&mut self) -> Result<()> {
        for (group, states) in self.groups.iter().zip(&mut self.states) {
            assert_eq!(group.params.len(), states.len(), "parameters were added to or removed from a group");
            match group.algorithm {
                Algorithm::AdamW { beta1, beta2, eps } => {
                    for ((_, tensor), state) in group.params.iter().zip(states) {
                        let settings = AdamW {
                            lr: group.lr,
                            beta1,
                            beta2,
                            eps,
                            weight_decay: group.weight_decay,
                            step: state.steps + 1,
                        };
                        step_adamw(&settings, tensor, state)?;
                    }
                }
                Algorithm::Muon(muon) => step_muon(group, &muon, states)?,
            }
        }
        Ok(())
    }

    /// The settings and step counts, for a checkpoint.
    pub fn settings(&self) -> OptimizerSettings {
        let groups = self.groups.iter().zip(&self.states).map(|(group, states)| GroupSettings {
            name: group.name.clone(),
            algorithm: group.algorithm,
            base_lr: group.base_lr,
            lr: group.lr,
            weight_decay: group.weight_decay,
            steps: group
                .params
                .iter()
                .zip(states)
                .map(|((name, _), state)| (name.clone(), state.steps))
                .collect(),
        });
        OptimizerSettings { groups: groups.collect() }
    }

    /// The state tensors with names and shapes, for a checkpoint: `NAME.first` and `NAME.second` of every
    /// parameter that has been stepped.
    pub fn state_tensors(&self) -> Vec<(String, Vec<usize>, &[f32])> {
        let mut tensors = Vec::new();
        for (group, states) in self.groups.iter().zip(&self.states) {
            for ((name, tensor), state) in
                group.params.iter().zip(states).filter(|(_, state)| state.steps > 0)
            {
                tensors.push((format!("{name}.first"), tensor.shape().to_vec(), state.first.as_slice()));
                let shape = second_shape(&group.algorithm, tensor.shape());
                tensors.push((format!("{name}.second"), shape, state.second.as_slice()));
            }
        }
        tensors
    }

    /// Takes over saved settings and state; `read` is called for each tensor with its name and shape.
    ///
    /// # Errors
    /// When the settings belong to other groups or parameters, and whatever `read` answers; the optimizer
    /// is then unchanged.
    pub fn restore(
        &mut self,
        settings: &OptimizerSettings,
        mut read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<()> {
        let found: Vec<&str> = settings.groups.iter().map(|group| group.name.as_str()).collect();
        let expected: Vec<&str> = self.groups.iter().map(|group| group.name.as_str()).collect();
        if found != expected {
            return Err(Error::mismatch(format!(
                "optimizer state has the groups {found:?}, this model has {expected:?}"
            )));
        }
        let mut states = Vec::new();
        for (group, saved) in self.groups.iter().zip(&settings.groups) {
            let same_kind =
                std::mem::discriminant(&group.algorithm) == std::mem::discriminant(&saved.algorithm);
            if !same_kind || saved.steps.len() != group.params.len() {
                return Err(Error::mismatch(format!(
                    "optimizer state: group {} has {} parameters of {:?}, this model has {} of {:?}",
                    group.name,
                    saved.steps.len(),
                    saved.algorithm,
                    group.params.len(),
                    group.algorithm
                )));
            }
            let mut group_states = Vec::new();
            for (name, tensor) in &group.params {
                let Some(&steps) = saved.steps.get(name) else {
                    return Err(Error::mismatch(format!(
                        "optimizer state: group {} lacks parameter {name}",
                        group.name
                    )));
                };
                let mut state = State { steps, ..State::default() };
                if steps > 0 {
                    state.first = read(&format!("{name}.first"), tensor.shape())?;
                    state.second =
                        read(&format!("{name}.second"), &second_shape(&saved.algorithm, tensor.shape()))?;
                }
                group_states.push(state);
            }
            states.push(group_states);
        }
        for (group, saved) in self.groups.iter_mut().zip(&settings.groups) {
            group.algorithm = saved.algorithm;
            group.base_lr = saved.base_lr;
            group.lr = saved.lr;
            group.weight_decay = saved.weight_decay;
        }
        self.states = states;
        Ok(())
    }
}

/// Shape of the second state tensor: the parameter's for AdamW, one value a row or column for Muon.
fn second_shape(algorithm: &Algorithm, shape: &[usize]) -> Vec<usize> {
    match algorithm {
        Algorithm::AdamW { .. } => shape.to_vec(),
        Algorithm::Muon(_) => vec![nn::muon_second_len(shape[0], shape[1])],
    }
}

fn step_adamw(settings: &AdamW, tensor: &Tensor, state: &mut State) -> Result<()> {
    let rows = tensor.grad_rows();
    let dense = if rows.is_some() { None } else { tensor.grad()? };
    if rows.is_none() && dense.is_none() {
        return Ok(());
    }
    state.begin(tensor.len(), tensor.len());
    let (first, second) = (&mut state.first, &mut state.second);
    if let Some(rows) = rows.as_ref().and_then(|rows| rows.as_f32().map(|values| (rows.dim(), values))) {
        let (dim, rows) = rows;
        tensor.with_f32_mut(|param| {
            nn::adamw_step_rows(settings, dim, param, &rows.ids, &rows.rows, first, second)
        })?;
    } else if let Some(grad) = dense {
        grad.with_f32(|grad| {
            tensor.with_f32_mut(|param| nn::adamw_step(settings, param, grad, first, second))
        })??;
    }
    state.steps += 1;
    Ok(())
}

fn step_muon(group: &ParamGroup, muon: &MuonSettings, states: &mut [State]) -> Result<()> {
    let settings = Muon {
        lr: group.lr,
        momentum: muon.momentum,
        nesterov: muon.nesterov,
        equilibrate: muon.equilibrate,
        iterations: muon.iterations,
        renormalize: muon.renormalize,
        beta2: muon.beta2,
        weight_decay: group.weight_decay,
        cautious: muon.cautious,
    };
    let mut work = Vec::new();
    for ((_, tensor), state) in group.params.iter().zip(states) {
        let Some(grad) = tensor.grad()? else { continue };
        state.begin(tensor.len(), nn::muon_second_len(tensor.shape()[0], tensor.shape()[1]));
        work.push((tensor, grad, state));
    }
    let mut work = work.into_iter();
    with_matrices(&mut work, Vec::new(), &settings)
}

/// Opens all parameters and gradients, one inside the other, so that the kernel sees every matrix at once
/// and can spread them over the threads.
fn with_matrices<'a, 'w>(
    work: &mut dyn Iterator<Item = (&'w Tensor, Tensor, &'w mut State)>,
    mut matrices: Vec<MuonMatrix<'a, f32>>,
    settings: &Muon,
) -> Result<()>
where
    'w: 'a,
{
    let Some((tensor, grad, state)) = work.next() else {
        nn::muon_step_many(settings, &mut matrices);
        return Ok(());
    };
    let (rows, cols) = (tensor.shape()[0], tensor.shape()[1]);
    let State { first, second, steps } = state;
    grad.with_f32(|grad| {
        tensor.with_f32_mut(|param| {
            let mut matrices: Vec<MuonMatrix<'_, f32>> = matrices;
            matrices.push(MuonMatrix {
                rows,
                cols,
                lr_factor: (rows as f64 / cols as f64).max(1.0).sqrt(),
                param,
                grad,
                momentum: first,
                second,
            });
            with_matrices(work, matrices, settings)
        })
    })???;
    *steps += 1;
    Ok(())
}
