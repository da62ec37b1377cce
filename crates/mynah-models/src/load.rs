//! From tensors in files to the weights of parts.

use std::ops::Range;

use half::f16;
use mynah_kernels::pool;
use mynah_kernels::quant::{Format, Matrix};

use crate::adapter::{Module, Modules};
use crate::compute::attention::{AttentionWeights, ValueEmbedding};
use crate::compute::experts::ExpertWeights;
use crate::compute::linear::Linear;
use crate::compute::mamba::MambaWeights;
use crate::compute::mlp::MlpWeights;
use crate::compute::norm::NormWeights;
use crate::config::{Attention, Mamba, MixtureOfExperts, Mlp, Norm, NormKind};
use crate::error::{Error, Result};
use crate::families::Names;
use crate::files::{DType, Tensor, Weights};
use crate::options::Quantize;

/// Largest value of the gate of our GPT's value embeddings.
const VALUE_GATE_RANGE: f32 = 3.0;

/// One of the tensors that become a matrix: rows are outputs.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Its module: the tensor is `MODULE.weight`, the bias `MODULE.bias`.
    pub module: String,
    /// The tensors' own names, where they do not follow from the module's.
    pub named: Option<(String, String)>,
    /// Outputs this piece gives.
    pub outputs: usize,
    /// All outputs of its tensor, of which it takes those in `order`.
    pub tensor_outputs: usize,
    /// Which outputs.
    pub order: Order,
    /// The tensor is (inputs, outputs).
    pub transposed: bool,
    /// The place on the first axis, where a tensor holds many matrices, and their number.
    pub stacked: Option<(usize, usize)>,
}

/// Which rows of a tensor a piece takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// From this one on.
    From(usize),
    /// Every second, from this one on.
    Alternate(usize),
}

impl Piece {
    /// A whole tensor.
    pub(crate) fn whole(module: String, outputs: usize) -> Self {
        Self {
            module,
            named: None,
            outputs,
            tensor_outputs: outputs,
            order: Order::From(0),
            transposed: false,
            stacked: None,
        }
    }

    fn output(&self, index: usize) -> usize {
        match self.order {
            Order::From(start) => start + index,
            Order::Alternate(start) => start + 2 * index,
        }
    }

    fn weight_name(&self) -> String {
        self.named.as_ref().map_or_else(|| format!("{}.weight", self.module), |(weight, _)| weight.clone())
    }

    fn bias_name(&self) -> String {
        self.named.as_ref().map_or_else(|| format!("{}.bias", self.module), |(_, bias)| bias.clone())
    }
}

/// Makes weights and numbers the linear layers.
pub(crate) struct Loader<'a> {
    pub weights: &'a Weights,
    pub names: &'a Names,
    /// Channels of the residual stream.
    pub width: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Rounding of the matrices.
    pub quantize: Option<Quantize>,
    /// Whether adapters may change the layers that are loaded now.
    pub adaptable: bool,
    /// What adapters may change.
    pub modules: Modules,
    /// Linear layers so far.
    pub linears: usize,
    /// Attention parts so far.
    pub cache_layers: usize,
    /// Mamba mixers so far.
    pub mixers: usize,
}

impl<'a> Loader<'a> {
    /// A loader that has made nothing yet.
    pub(crate) fn new(
        weights: &'a Weights,
        names: &'a Names,
        width: usize,
        vocab_size: usize,
        quantize: Option<Quantize>,
    ) -> Self {
        Self {
            weights,
            names,
            width,
            vocab_size,
            quantize,
            adaptable: true,
            modules: Modules::new(),
            linears: 0,
            cache_layers: 0,
            mixers: 0,
        }
    }

    /// A vector of `len` values.
    pub(crate) fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let tensor = self.weights.get(name)?;
        // A vector may be stored with axes of length 1.
        if tensor.len() != len || tensor.shape.iter().filter(|&&d| d > 1).count() > 1 {
            tensor.expect(&[len])?;
        }
        tensor.to_f32()
    }

    /// The learned values of a norm over `len` channels in the module `name`.
    pub(crate) fn norm(&self, norm: Norm, name: &str, len: usize) -> Result<NormWeights> {
        let learned = norm.kind != NormKind::None;
        let gain = (norm.gain && learned).then(|| self.vector(&format!("{name}.weight"), len)).transpose()?;
        let gain = gain.map(|gain| gain.iter().map(|g| g + norm.gain_offset).collect());
        let bias = (norm.bias && learned).then(|| self.vector(&format!("{name}.bias"), len)).transpose()?;
        Ok(NormWeights { norm, gain, bias })
    }

    /// The linear layer whose outputs are those of the pieces in a row.
    pub(crate) fn linear(&mut self, pieces: &[Piece], inputs: usize, bias: bool) -> Result<Linear> {
        let mut matrices = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let tensor = self.matrix_tensor(piece, inputs)?;
            let matrix = build(piece, &tensor, inputs, self.quantize)
                .map_err(|error| Error::format(tensor.path, format!("tensor {}: {error}", tensor.name)))?;
            matrices.push(matrix);
            self.weights.done_with(&tensor.name);
        }
        let matrix = match matrices.pop() {
            Some(only) if matrices.is_empty() => only,
            last => {
                matrices.extend(last);
                Matrix::stack(matrices).map_err(|error| Error::config(error.to_string()))?
            }
        };
        let bias = if bias { Some(self.bias(pieces)?) } else { None };
        let index = self.linears;
        self.linears += 1;
        let mut start = 0;
        for piece in pieces {
            if self.adaptable {
                let module = Module { linear: index, start, outputs: piece.outputs, inputs };
                self.modules.insert(piece.module.clone(), module);
            }
            start += piece.outputs;
        }
        Ok(Linear { matrix, bias, index })
    }

    /// The tensor of a piece, its shape checked.
    fn matrix_tensor(&self, piece: &Piece, inputs: usize) -> Result<Tensor<'_>> {
        let tensor = self.weights.get(&piece.weight_name())?;
        let (rows, cols) =
            if piece.transposed { (inputs, piece.tensor_outputs) } else { (piece.tensor_outputs, inputs) };
        match piece.stacked {
            Some((_, count)) => tensor.expect(&[count, rows, cols])?,
            None => tensor.expect(&[rows, cols])?,
        }
        tensor.expect_floats()?;
        Ok(tensor)
    }

    fn bias(&self, pieces: &[Piece]) -> Result<Vec<f32>> {
        let mut bias = Vec::new();
        for piece in pieces {
            let tensor = self.weights.get(&piece.bias_name())?;
            let skip = match piece.stacked {
                Some((at, count)) => {
                    tensor.expect(&[count, piece.tensor_outputs])?;
                    at * piece.tensor_outputs
                }
                None => {
                    tensor.expect(&[piece.tensor_outputs])?;
                    0
                }
            };
            let all = tensor.to_f32()?;
            bias.extend((0..piece.outputs).map(|i| all[skip + piece.output(i)]));
        }
        Ok(bias)
    }

    /// An attention part in the layer of this prefix.
    pub(crate) fn attention(&mut self, config: &Attention, prefix: &str) -> Result<AttentionWeights> {
        let names = self.names;
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let input = if names.query_key_value.is_empty() {
            [(names.query, q), (names.key, kv), (names.value, kv)]
                .map(|(name, outputs)| Piece::whole(format!("{prefix}{name}"), outputs))
                .to_vec()
        } else {
            let piece = Piece::whole(format!("{prefix}{}", names.query_key_value), q + 2 * kv);
            vec![Piece { transposed: names.transposed, ..piece }]
        };
        let input = self.linear(&input, self.width, config.input_bias)?;
        let piece = Piece::whole(format!("{prefix}{}", names.output), self.width);
        let output =
            self.linear(&[Piece { transposed: names.transposed, ..piece }], q, config.output_bias)?;
        let (mut query_norm, mut key_norm) = (None, None);
        if let Some(norm) = config.query_key_norm {
            let (q, kv) = if norm.whole { (q, kv) } else { (config.head_dim, config.head_dim) };
            query_norm = Some(self.norm(norm.norm, &format!("{prefix}{}", names.query_norm), q)?);
            key_norm = Some(self.norm(norm.norm, &format!("{prefix}{}", names.key_norm), kv)?);
        }
        let sinks = config
            .sinks
            .then(|| self.vector(&format!("{prefix}{}", names.sinks), config.heads))
            .transpose()?;
        self.cache_layers += 1;
        Ok(AttentionWeights {
            config: config.clone(),
            input,
            output,
            query_norm,
            key_norm,
            sinks,
            value_embedding: config
                .value_embedding
                .map(|channels| self.value_embedding(config, prefix, channels))
                .transpose()?,
            cache_layer: self.cache_layers - 1,
        })
    }

    /// Our GPT's value embedding of a layer.
    fn value_embedding(&self, config: &Attention, prefix: &str, channels: usize) -> Result<ValueEmbedding> {
        let layer = prefix.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let table = self.weights.keep(&format!("value_embeds.{layer}.weight"))?;
        table.tensor().expect(&[self.vocab_size, config.kv_heads * config.head_dim])?;
        let gate = self.weights.get(&format!("{prefix}attn.ve_gate.weight"))?;
        gate.expect(&[config.kv_heads, channels])?;
        Ok(ValueEmbedding { table, gate: gate.to_f32()?, channels, range: VALUE_GATE_RANGE })
    }

    /// A Mamba mixer in the layer of this prefix.
    pub(crate) fn mamba(&mut self, config: &Mamba, prefix: &str) -> Result<MambaWeights> {
        let prefix = format!("{prefix}{}", self.names.mamba);
        let (inner, channels) = (config.inner(), config.conv_channels());
        let input = Piece::whole(format!("{prefix}in_proj"), inner + channels + config.heads);
        let input = self.linear(&[input], self.width, config.bias)?;
        let conv = self.weights.get(&format!("{prefix}conv1d.weight"))?;
        if conv.shape != [channels, config.taps] {
            conv.expect(&[channels, 1, config.taps])?;
        }
        let conv = conv.to_f32()?;
        let conv_bias =
            config.conv_bias.then(|| self.vector(&format!("{prefix}conv1d.bias"), channels)).transpose()?;
        let logarithms = self.vector(&format!("{prefix}A_log"), config.heads)?;
        self.mixers += 1;
        Ok(MambaWeights {
            config: *config,
            input,
            conv,
            conv_bias,
            step_bias: self.vector(&format!("{prefix}dt_bias"), config.heads)?,
            decay: logarithms.iter().map(|a| -a.exp()).collect(),
            skip: self.vector(&format!("{prefix}D"), config.heads)?,
            norm: self.vector(&format!("{prefix}norm.weight"), inner)?,
            output: self.linear(
                &[Piece::whole(format!("{prefix}out_proj"), self.width)],
                inner,
                config.bias,
            )?,
            number: self.mixers - 1,
        })
    }

    /// A feed-forward part whose modules begin with `prefix`.
    pub(crate) fn mlp(&mut self, config: &Mlp, prefix: &str) -> Result<MlpWeights> {
        let names = self.names;
        let (input, output) =
            self.mlp_pieces(config, prefix, names.gate, names.up, names.gate_up, names.down);
        let (input, output) = (
            self.linear(&input, self.width, config.bias)?,
            self.linear(&output, config.hidden, config.bias)?,
        );
        Ok(MlpWeights { config: *config, input, output })
    }

    fn mlp_pieces(
        &self,
        config: &Mlp,
        prefix: &str,
        gate: &str,
        up: &str,
        gate_up: &str,
        down: &str,
    ) -> (Vec<Piece>, Vec<Piece>) {
        let transposed = self.names.transposed;
        let piece = |name: &str, outputs: usize| Piece {
            transposed,
            ..Piece::whole(format!("{prefix}{name}"), outputs)
        };
        let input = if config.gated && !gate_up.is_empty() {
            vec![piece(gate_up, 2 * config.hidden)]
        } else if config.gated {
            vec![piece(gate, config.hidden), piece(up, config.hidden)]
        } else {
            vec![piece(up, config.hidden)]
        };
        (input, vec![piece(down, self.width)])
    }

    /// A mixture of experts in the layer of this prefix.
    pub(crate) fn experts(&mut self, config: &MixtureOfExperts, prefix: &str) -> Result<ExpertWeights> {
        let names = self.names;
        let router = Piece::whole(format!("{prefix}{}", names.router), config.experts);
        // The router decides what is computed: it is not rounded. Experts see only some of the rows of a step,
        // and adapters do not follow them there.
        self.adaptable = false;
        let quantize = self.quantize.take();
        let router = self.linear(&[router], self.width, config.router_bias)?;
        self.quantize = quantize;
        let choice_bias = if names.router_choice_bias.is_empty() {
            None
        } else {
            Some(self.vector(&format!("{prefix}{}", names.router_choice_bias), config.experts)?)
        };
        let mut experts = Vec::with_capacity(config.experts);
        for expert in 0..config.experts {
            let (input, output) = self.expert_pieces(config, prefix, expert);
            let input = self.linear(&input, self.width, config.expert.bias)?;
            let output = self.linear(&output, config.expert.hidden, config.expert.bias)?;
            experts.push((input, output));
        }
        let (mut shared, mut shared_gate) = (None, None);
        if let Some(expert) = &config.shared {
            let prefix = format!("{prefix}{}", names.shared_expert);
            let (gate, up, down) = names.shared_parts;
            let (input, output) = self.mlp_pieces(&expert.mlp, &prefix, gate, up, "", down);
            let input = self.linear(&input, self.width, expert.mlp.bias)?;
            let output = self.linear(&output, expert.mlp.hidden, expert.mlp.bias)?;
            shared = Some(MlpWeights { config: expert.mlp, input, output });
        }
        if config.shared.is_some_and(|shared| shared.gated) {
            let gate = Piece::whole(format!("{prefix}{}", names.shared_gate), 1);
            let quantize = self.quantize.take();
            shared_gate = Some(self.linear(&[gate], self.width, false)?);
            self.quantize = quantize;
        }
        self.adaptable = true;
        Ok(ExpertWeights { config: *config, router, choice_bias, experts, shared, shared_gate })
    }

    fn expert_pieces(
        &self,
        config: &MixtureOfExperts,
        prefix: &str,
        expert: usize,
    ) -> (Vec<Piece>, Vec<Piece>) {
        let names = self.names;
        let mlp = &config.expert;
        if !names.experts_interleaved.is_empty() {
            // GPT-OSS: gate and up alternate in one tensor of all experts; four-bit files have outputs first.
            let piece = |name: &str, outputs: usize, tensor_outputs: usize, order: Order| {
                let weight = format!("{prefix}{name}");
                let transposed = !self.weights.has(&format!("{weight}_blocks"));
                Piece {
                    module: weight.clone(),
                    named: Some((weight.clone(), format!("{weight}_bias"))),
                    outputs,
                    tensor_outputs,
                    order,
                    transposed,
                    stacked: Some((expert, config.experts)),
                }
            };
            let (input, output) = (names.experts_interleaved, names.experts_down);
            let gates = piece(input, mlp.hidden, 2 * mlp.hidden, Order::Alternate(0));
            let ups = piece(input, mlp.hidden, 2 * mlp.hidden, Order::Alternate(1));
            return (vec![gates, ups], vec![piece(output, self.width, self.width, Order::From(0))]);
        }
        if !names.experts_stacked {
            let prefix = format!("{prefix}{}", names.expert.replace("{}", &expert.to_string()));
            let (gate, up, down) = names.expert_parts;
            return self.mlp_pieces(mlp, &prefix, gate, up, "", down);
        }
        let (gate, up, down) = names.expert_parts;
        let piece = |name: &str, outputs: usize| Piece {
            stacked: Some((expert, config.experts)),
            ..Piece::whole(format!("{prefix}{name}"), outputs)
        };
        let input = if mlp.gated {
            vec![piece(gate, mlp.hidden), piece(up, mlp.hidden)]
        } else {
            vec![piece(up, mlp.hidden)]
        };
        (input, vec![piece(down, self.width)])
    }
}

/// The matrix of a piece: the file's own values where the kernels know its format, else the next best that
/// holds them exactly, else (when asked for) rounded.
fn build(
    piece: &Piece,
    tensor: &Tensor<'_>,
    inputs: usize,
    quantize: Option<Quantize>,
) -> mynah_kernels::Result<Matrix> {
    let exact = match tensor.dtype {
        // Four-bit floats times powers of two.
        DType::Mxfp4 => Format::Bf16,
        other => other.format().unwrap_or(Format::F32),
    };
    let rounded = match quantize {
        // Blocks of 32 have to divide a row.
        Some(quantize) if exact.is_float() && inputs.is_multiple_of(32) => match quantize {
            Quantize::Q8 => Format::Q8_0,
            Quantize::Q4 => Format::Q4_0,
        },
        _ => exact,
    };
    if quantize.is_some()
        && let Some(bytes) = four_bits_as_eight(piece, tensor, inputs)
    {
        return Matrix::from_bytes(Format::Q8_0, piece.outputs, inputs, &bytes);
    }
    if piece.transposed || tensor.dtype.format().is_none() {
        let mut values = vec![0.0f32; piece.outputs * inputs];
        fill(piece, tensor, inputs, &mut values);
        return Matrix::from_f32(rounded, piece.outputs, inputs, &values);
    }
    let row_bytes = exact.row_bytes(inputs)?;
    let matrix = piece.stacked.map_or(0, |(at, _)| at);
    let rows = &tensor.bytes[matrix * piece.tensor_outputs * row_bytes..][..piece.tensor_outputs * row_bytes];
    match piece.order {
        Order::From(start) => {
            let rows = &rows[start * row_bytes..][..piece.outputs * row_bytes];
            if rounded == exact {
                Matrix::from_bytes(exact, piece.outputs, inputs, rows)
            } else {
                Matrix::quantize(exact, rounded, piece.outputs, inputs, rows)
            }
        }
        Order::Alternate(start) => {
            let rows: Vec<u8> =
                rows.chunks_exact(row_bytes).skip(start).step_by(2).flatten().copied().collect();
            if rounded == exact {
                Matrix::from_bytes(exact, piece.outputs, inputs, &rows)
            } else {
                Matrix::quantize(exact, rounded, piece.outputs, inputs, &rows)
            }
        }
    }
}

/// MXFP4 as Q8_0, which holds its values exactly: twice a four-bit float is a whole number up to 12, and the
/// scale, a power of two, is halved. `None` for other tensors, and for scales beyond those of f16.
fn four_bits_as_eight(piece: &Piece, tensor: &Tensor<'_>, inputs: usize) -> Option<Vec<u8>> {
    if tensor.dtype != DType::Mxfp4 || piece.transposed {
        return None;
    }
    const TWICE: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
    let blocks = inputs / 32;
    let first = piece.stacked.map_or(0, |(at, _)| at) * piece.tensor_outputs;
    let mut bytes = Vec::with_capacity(piece.outputs * blocks * 34);
    for output in 0..piece.outputs {
        let row = (first + piece.output(output)) * blocks;
        for block in row..row + blocks {
            let exponent = i32::from(tensor.scales[block]) - 127 - 1;
            // What f16 has without rounding.
            if !(-24..=15).contains(&exponent) {
                return None;
            }
            bytes.extend(f16::from_f32(2f32.powi(exponent)).to_le_bytes());
            for pair in &tensor.bytes[block * 16..][..16] {
                bytes.extend([pair & 15, pair >> 4].map(|q| TWICE[usize::from(q)] as u8));
            }
        }
    }
    Some(bytes)
}

/// Reads the rows of a piece, in parallel.
fn fill(piece: &Piece, tensor: &Tensor<'_>, inputs: usize, out: &mut [f32]) {
    let matrix = piece.stacked.map_or(0, |(at, _)| at);
    if piece.transposed {
        // (inputs, outputs) in the file.
        let mut row = vec![0.0; piece.tensor_outputs];
        for input in 0..inputs {
            tensor.read_row(matrix * inputs + input, &mut row);
            for output in 0..piece.outputs {
                out[output * inputs + input] = row[piece.output(output)];
            }
        }
        return;
    }
    // Rows in tasks of some hundred thousand values.
    let rows = (1usize << 17).div_ceil(inputs);
    pool::run_chunks_mut(out, rows * inputs, |task, out| {
        for (i, out) in out.chunks_exact_mut(inputs).enumerate() {
            let output = piece.output(task * rows + i);
            tensor.read_row(matrix * piece.tensor_outputs + output, out);
        }
    });
}

/// The layers that tensors are there for: one more than the greatest number behind `prefix`.
pub(crate) fn layers_in(weights: &Weights, prefix: &str) -> Range<usize> {
    let numbers = weights
        .names()
        .filter_map(|name| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok());
    0..numbers.max().map_or(0, |last| last.saturating_add(1))
}

/// An error when files have another number of layers than the configuration.
pub(crate) fn check_layers(weights: &Weights, prefix: &str, expected: usize, extra: usize) -> Result<()> {
    let found = layers_in(weights, prefix).end;
    if found < expected || found > expected + extra {
        return Err(Error::mismatch(format!(
            "{}: the weights have {found} layers ({prefix}…), the configuration has {expected}; \
             the weights belong to another model",
            weights.files()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bit_floats_are_exact_in_eight_bits() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/families/gpt_oss_mxfp4");
        let weights = Weights::open_folder(&path).unwrap();
        let name = "model.layers.0.mlp.experts.gate_up_proj";
        let tensor = weights.get(name).unwrap();
        assert_eq!((tensor.dtype, &tensor.shape[..]), (DType::Mxfp4, &[2, 64, 32][..]));
        let whole = Piece::whole(name.to_string(), 64);
        let piece = Piece { outputs: 32, order: Order::Alternate(1), stacked: Some((1, 2)), ..whole };
        let exact = build(&piece, &tensor, 32, None).unwrap();
        let eight = build(&piece, &tensor, 32, Some(Quantize::Q4)).unwrap();
        assert_eq!((exact.format(), eight.format()), (Format::Bf16, Format::Q8_0));
        let (mut a, mut b, mut c) = ([0.0; 32], [0.0; 32], [0.0; 32]);
        for row in 0..32 {
            exact.row(row, &mut a);
            eight.row(row, &mut b);
            tensor.read_row(64 + 2 * row + 1, &mut c);
            assert!(a == b && a == c && a.iter().any(|x| *x != 0.0), "row {row}");
        }
    }
}
