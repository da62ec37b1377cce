//! Low-rank adapters (LoRA, arXiv 2106.09685) in the files of PEFT: `adapter_config.json` beside
//! `adapter_model.safetensors`.
//!
//! An adapter stays apart from the weights, so that sequences with and without it run in the same step. A
//! projection that was fused with others gets its share at its own outputs.

use std::collections::BTreeMap;
use std::path::Path;

use mynah_kernels::quant::{Format, Matrix, Scratch};
use serde_json::Value;

use crate::compute::fit;
use crate::compute::linear::Linear;
use crate::error::{Error, ErrorKind, Result};
use crate::files::Weights;
use crate::files::json::Json;
use crate::segment::Segment;

/// A projection of the model that an adapter can change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Module {
    /// The linear layer it is part of.
    pub linear: usize,
    /// Its first output there.
    pub start: usize,
    pub outputs: usize,
    pub inputs: usize,
}

/// The projections by their names in the original model.
pub(crate) type Modules = BTreeMap<String, Module>;

/// The loaded adapters by number.
pub(crate) type Adapters = BTreeMap<u32, Adapter>;

/// What an adapter adds to the model.
#[derive(Debug)]
pub(crate) struct Adapter {
    /// By the linear layer.
    deltas: BTreeMap<usize, Vec<Delta>>,
}

/// y[start..] += scale · B·A·x.
#[derive(Debug)]
struct Delta {
    start: usize,
    /// (rank, inputs)
    down: Matrix,
    /// (outputs, rank)
    up: Matrix,
    scale: f32,
}

/// What the configuration says of scales.
struct Scales {
    alpha: f64,
    /// Modules with a value of their own, by the end of their names.
    patterns: Vec<(String, f64)>,
    /// Divide by √rank instead of by the rank (arXiv 2312.03732).
    root: bool,
}

impl Adapter {
    /// Reads the adapter in a folder for a model of these projections.
    ///
    /// # Errors
    /// When files are missing or damaged, or the adapter changes what is not supported here.
    pub(crate) fn open(folder: &Path, modules: &Modules) -> Result<Self> {
        let json = Json::read(&folder.join("adapter_config.json"))?;
        let scales = scales(&json)?;
        let weights = Weights::open_files(&[folder.join("adapter_model.safetensors")])?;
        let mut deltas: BTreeMap<usize, Vec<Delta>> = BTreeMap::new();
        let mut pairs = 0;
        for name in weights.names() {
            let Some(module_name) = name.strip_suffix(".lora_A.weight") else {
                if name.ends_with(".lora_B.weight") && weights.has(&name.replace(".lora_B.", ".lora_A.")) {
                    continue;
                }
                return Err(Error::unsupported(format!(
                    "{}: tensor {name} is not supported in an adapter; pairs of lora_A.weight and lora_B.weight are",
                    weights.files()
                )));
            };
            let original = original(module_name);
            let Some(module) = modules.get(&original) else {
                return Err(Error::unsupported(format!(
                    "{}: the adapter changes {original}, which this model does not have or which adapters cannot \
                     change here (attention and dense feed-forward projections can be)",
                    weights.files()
                )));
            };
            let down = weights.get(name)?;
            let rank = match *down.shape {
                [rank, _] if rank > 0 => rank,
                _ => {
                    return Err(Error::format(
                        down.path,
                        format!("tensor {name} has shape {:?}", down.shape),
                    ));
                }
            };
            down.expect(&[rank, module.inputs])?;
            let up = weights.get(&format!("{module_name}.lora_B.weight"))?;
            up.expect(&[module.outputs, rank])?;
            let matrix = |tensor: &crate::files::Tensor<'_>| {
                Matrix::from_f32(Format::F32, tensor.shape[0], tensor.shape[1], &tensor.to_f32()?)
                    .map_err(|error| Error::format(tensor.path, format!("tensor {}: {error}", tensor.name)))
            };
            let delta = Delta {
                start: module.start,
                down: matrix(&down)?,
                up: matrix(&up)?,
                scale: scales.of(&original, rank),
            };
            deltas.entry(module.linear).or_default().push(delta);
            pairs += 1;
        }
        if pairs == 0 {
            return Err(Error::format(&folder.join("adapter_model.safetensors"), "it has no lora_A tensors"));
        }
        Ok(Self { deltas })
    }
}

/// The name of a module in the original model.
fn original(name: &str) -> String {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    match name.strip_prefix("model.language_model.") {
        Some(rest) => format!("model.{rest}"),
        None => name.strip_prefix("language_model.").unwrap_or(name).to_string(),
    }
}

fn scales(json: &Json) -> Result<Scales> {
    if json.text_if("peft_type")?.is_some_and(|kind| kind != "LORA") {
        return Err(json.unsupported("peft_type", "LORA"));
    }
    for key in ["use_dora", "lora_bias"] {
        if json.flag(key, false)? {
            return Err(json.unsupported(key, "false"));
        }
    }
    if json.text_if("bias")?.is_some_and(|bias| bias != "none") {
        return Err(json.unsupported("bias", "none"));
    }
    if let Some(saved) = json.value("modules_to_save")
        && saved.as_array().is_none_or(|list| !list.is_empty())
    {
        return Err(json.unsupported("modules_to_save", "null"));
    }
    let mut patterns = Vec::new();
    if let Some(values) = json.object_if("alpha_pattern")? {
        for (key, value) in values.entries() {
            let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
            match value.as_f64().filter(|alpha| alpha.is_finite()) {
                Some(alpha) if plain => patterns.push((key.clone(), alpha)),
                _ => return Err(json.unsupported("alpha_pattern", "plain names of modules with numbers")),
            }
        }
    }
    let alpha = match json.number_if("lora_alpha")? {
        Some(alpha) => alpha,
        None => return Err(json.wrong("lora_alpha", &Value::Null, "a number")),
    };
    Ok(Scales { alpha, patterns, root: json.flag("use_rslora", false)? })
}

impl Scales {
    fn of(&self, module: &str, rank: usize) -> f32 {
        let ends =
            |key: &str| module.strip_suffix(key).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let alpha = self.patterns.iter().find(|(key, _)| ends(key)).map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = rank as f64;
        (alpha / if self.root { rank.sqrt() } else { rank }) as f32
    }
}

/// Adds to y = layer(x) what the adapters of the segments give.
pub(crate) fn add_adapters(
    adapters: &Adapters,
    segments: &[Segment<'_>],
    layer: &Linear,
    x: &[f32],
    y: &mut [f32],
    multiply: &mut Scratch,
) {
    let (inputs, outputs) = (layer.matrix.cols(), layer.matrix.rows());
    let (mut low, mut high) = (Vec::new(), Vec::new());
    let mut first = 0;
    for segment in segments {
        let count = segment.tokens.len();
        let x = &x[first * inputs..][..count * inputs];
        let y = &mut y[first * outputs..][..count * outputs];
        first += count;
        let adapter = segment.adapter.and_then(|number| adapters.get(&number));
        for delta in adapter.and_then(|adapter| adapter.deltas.get(&layer.index)).into_iter().flatten() {
            fit(&mut low, count * delta.down.rows());
            delta.down.matmul(x, &mut low, multiply);
            fit(&mut high, count * delta.up.rows());
            delta.up.matmul(&low, &mut high, multiply);
            for (y, high) in y.chunks_exact_mut(outputs).zip(high.chunks_exact(delta.up.rows())) {
                let y = &mut y[delta.start..][..high.len()];
                y.iter_mut().zip(high).for_each(|(y, h)| *y += delta.scale * h);
            }
        }
    }
}

/// An adapter that is not there.
pub(crate) fn missing(number: u32) -> Error {
    Error::new(ErrorKind::Input, format!("adapter {number} is not loaded"))
}
