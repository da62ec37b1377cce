//! Settings that families share.

use serde_json::Value;

use crate::config::{Activation, Attention, DecoderConfig, Extras, Layer, Mlp, Norm, Op, Pairs, Part, Rope};
use crate::error::{Error, Result};
use crate::families::Request;
use crate::files::json::Json;

/// No model has more layers.
const LAYERS_MAX: usize = 10_000;
/// No model has more experts.
const EXPERTS_MAX: usize = 10_000;

/// The sizes nearly every `config.json` has.
pub(crate) struct Sizes {
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocab_size: usize,
    pub context_length: usize,
}

impl Sizes {
    pub(crate) fn read(request: &Request<'_>) -> Result<Self> {
        let json = request.json;
        let width = json.len("hidden_size")?;
        let heads = json.len("num_attention_heads")?;
        let kv_heads = json.len_if("num_key_value_heads")?.unwrap_or(heads);
        let head_dim = match json.len_if("head_dim")? {
            Some(dim) => dim,
            None if width.is_multiple_of(heads) => width / heads,
            None => {
                return Err(json.wrong(
                    "hidden_size",
                    &Value::from(width),
                    &format!("divisible by {heads} heads"),
                ));
            }
        };
        if !heads.is_multiple_of(kv_heads) {
            return Err(json.wrong(
                "num_key_value_heads",
                &Value::from(kv_heads),
                &format!("a divisor of the {heads} query heads"),
            ));
        }
        let layers = match request.layers {
            Some(layers) => layers,
            None => layer_count(json, "num_hidden_layers")?,
        };
        let most = json.len("max_position_embeddings")?;
        let context_length = request.context_length.map_or(most, |wanted| wanted.min(most));
        Ok(Self {
            width,
            layers,
            heads,
            kv_heads,
            head_dim,
            vocab_size: json.len("vocab_size")?,
            context_length,
        })
    }

    /// Plain attention of these sizes.
    pub(crate) fn attention(&self, rope: Option<usize>) -> Attention {
        Attention {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            rope,
            window: None,
            scale: 1.0 / (self.head_dim as f32).sqrt(),
            softcap: None,
            sinks: false,
            query_key_norm: None,
            input_bias: false,
            output_bias: false,
            value_embedding: None,
        }
    }

    /// A decoder of these sizes with the given layers.
    pub(crate) fn decoder(
        &self,
        request: &Request<'_>,
        ropes: Vec<Rope>,
        final_norm: Norm,
        layers: Vec<Layer>,
    ) -> DecoderConfig {
        DecoderConfig {
            architecture: request.architecture.to_string(),
            vocab_size: self.vocab_size,
            context_length: self.context_length,
            width: self.width,
            embedding_scale: 1.0,
            embedding_norm: None,
            learned_positions: None,
            ropes,
            layers,
            final_norm,
            // Many files leave the setting out: a head that is not there is the embedding.
            tied_head: request.json.flag("tie_word_embeddings", false).unwrap_or(false)
                || !(request.has)("lm_head.weight"),
            head_bias: false,
            logit_softcap: None,
            extras: Extras::default(),
        }
    }
}

/// A number of layers.
pub(crate) fn layer_count(json: &Json, key: &str) -> Result<usize> {
    let layers = json.len(key)?;
    if layers > LAYERS_MAX {
        return Err(json.wrong(key, &Value::from(layers), &format!("at most {LAYERS_MAX}")));
    }
    Ok(layers)
}

/// A layer of attention and a feed-forward part, each after a norm.
pub(crate) fn layer(attention: Attention, feed_forward: Op, norm: Norm) -> Layer {
    let part = |op: Op| Part { norm_in: Some(norm), op, norm_out: None };
    Layer { parts: vec![part(Op::Attention(attention)), part(feed_forward)] }
}

/// As [`layer`], with the same norm also behind each part.
pub(crate) fn sandwich(attention: Attention, feed_forward: Op, norm: Norm) -> Layer {
    let part = |op: Op| Part { norm_in: Some(norm), op, norm_out: Some(norm) };
    Layer { parts: vec![part(Op::Attention(attention)), part(feed_forward)] }
}

/// The nonlinearity under `key`.
pub(crate) fn activation(json: &Json, key: &str, default: Activation) -> Result<Activation> {
    Ok(match json.text_if(key)? {
        None => default,
        Some("silu" | "swish") => Activation::Silu,
        Some("gelu") => Activation::Gelu,
        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Activation::GeluTanh,
        Some("relu") => Activation::Relu,
        Some("relu2") => Activation::ReluSquare,
        Some(_) => {
            return Err(json.unsupported(key, "silu, gelu, gelu_new, gelu_pytorch_tanh, relu, relu2"));
        }
    })
}

/// A gated feed-forward part of `intermediate_size` channels.
pub(crate) fn gated_mlp(json: &Json, bias: bool) -> Result<Mlp> {
    let activation = activation(json, "hidden_act", Activation::Silu)?;
    Ok(Mlp { hidden: json.len("intermediate_size")?, activation, gated: true, bias })
}

/// Number of experts and how many a token goes through.
pub(crate) fn expert_counts(json: &Json, key: &str) -> Result<(usize, usize)> {
    let (experts, chosen) = (json.len(key)?, json.len("num_experts_per_tok")?);
    if experts > EXPERTS_MAX || chosen > experts {
        return Err(json.wrong(
            "num_experts_per_tok",
            &Value::from(chosen),
            &format!("at most {key} = {experts}, which may be {EXPERTS_MAX} at most"),
        ));
    }
    Ok((experts, chosen))
}

/// The root-mean-square norm of the file.
pub(crate) fn rms(json: &Json) -> Result<Norm> {
    Ok(Norm::rms(json.positive_or("rms_norm_eps", 1e-6)? as f32))
}

/// Where the window of each layer comes from when files do not list the layers' types.
pub(crate) enum Windows {
    /// All layers.
    All,
    /// From this layer on.
    From(usize),
    /// All but every n-th, which sees everything.
    AllButEvery(usize),
}

/// The window of each layer: `sliding_window` where `layer_types` (or else `otherwise`) says so.
pub(crate) fn windows(json: &Json, layers: usize, otherwise: Windows) -> Result<Vec<Option<usize>>> {
    let window = json.len_if("sliding_window")?;
    if let Some(types) = json.texts_if("layer_types")? {
        if types.len() != layers {
            return Err(json.wrong(
                "layer_types",
                &Value::from(types.len()),
                &format!("a list of {layers}, one type a layer"),
            ));
        }
        return types
            .iter()
            .map(|kind| match kind.as_str() {
                "full_attention" => Ok(None),
                "sliding_attention" => window.map(Some).ok_or_else(|| json.missing("sliding_window")),
                _ => Err(json.unsupported("layer_types", "full_attention, sliding_attention")),
            })
            .collect();
    }
    let slides = |layer: usize| match otherwise {
        Windows::All => true,
        Windows::From(first) => layer >= first,
        Windows::AllButEvery(n) => !(layer + 1).is_multiple_of(n),
    };
    Ok((0..layers).map(|layer| window.filter(|_| slides(layer))).collect())
}

/// The settings of a rotation: those of transformers 5 (`rope_parameters`) or those before it
/// (`rope_theta`, `rope_scaling`).
pub(crate) fn rope_settings(json: &Json, kind: Option<&str>) -> Result<Option<Json>> {
    let settings = json.object_if("rope_parameters")?;
    match (settings, kind) {
        (Some(settings), Some(kind)) if settings.has(kind) => settings.object_if(kind),
        (Some(settings), _) => Ok(Some(settings)),
        (None, _) => json.object_if("rope_scaling"),
    }
}

/// The rotation of heads of `head_dim` channels.
pub(crate) fn rope(request: &Request<'_>, head_dim: usize, pairs: Pairs) -> Result<Rope> {
    let json = request.json;
    let settings = rope_settings(json, None)?;
    let share = match &settings {
        Some(settings) if settings.has("partial_rotary_factor") => {
            settings.number("partial_rotary_factor")?
        }
        _ => match (json.number_if("partial_rotary_factor")?, json.len_if("rotary_dim")?) {
            (Some(share), _) => share,
            (None, Some(dims)) => dims as f64 / head_dim as f64,
            (None, None) => request.rotary_share,
        },
    };
    if !(share > 0.0 && share <= 1.0) {
        return Err(json.wrong("partial_rotary_factor", &Value::from(share), "above 0 and at most 1"));
    }
    let dims = (head_dim as f64 * share) as usize;
    let base = match &settings {
        Some(settings) if settings.has("rope_theta") => settings.positive_or("rope_theta", 1e4)?,
        _ => json.positive_or("rope_theta", 10_000.0)?,
    };
    scaled_rope(request, settings.as_ref(), dims, base, pairs)
}

/// A rotation without scaling.
pub(crate) fn plain_rope(json: &Json, dims: usize, base: f64, pairs: Pairs) -> Result<Rope> {
    if dims == 0 || !dims.is_multiple_of(2) {
        return Err(Error::config(format!(
            "{}: rotary embeddings of {dims} channels; they turn pairs, so the number must be even and above 0",
            json.path().display()
        )));
    }
    // In f32, as the original implementations compute it.
    let frequencies = (0..dims / 2).map(|i| 1.0 / (base as f32).powf((2 * i) as f32 / dims as f32)).collect();
    Ok(Rope { dims, pairs, frequencies, magnitude: 1.0 })
}

/// A rotation with the scaling its settings ask for.
pub(crate) fn scaled_rope(
    request: &Request<'_>,
    settings: Option<&Json>,
    dims: usize,
    base: f64,
    pairs: Pairs,
) -> Result<Rope> {
    let json = request.json;
    let mut rope = plain_rope(json, dims, base, pairs)?;
    let Some(settings) = settings else { return Ok(rope) };
    let key = if settings.has("rope_type") { "rope_type" } else { "type" };
    match settings.text_if(key)? {
        None | Some("default") => {}
        Some("linear") => {
            let factor = settings.positive_or("factor", 1.0)? as f32;
            rope.frequencies.iter_mut().for_each(|f| *f /= factor);
        }
        Some("llama3") => llama3(settings, &mut rope)?,
        Some("yarn") => yarn(json, settings, base, &mut rope)?,
        Some("longrope" | "su") => longrope(request, settings, base, &mut rope)?,
        // Its frequencies depend on the length of the sequence, which keys in a shared cache cannot.
        Some(_) => return Err(settings.unsupported(key, "default, linear, llama3, yarn, longrope")),
    }
    Ok(rope)
}

/// Llama 3.1's scaling: low frequencies slower by a factor, high ones as they are, smooth between
/// (the model's reference code, `apply_scaling`).
fn llama3(settings: &Json, rope: &mut Rope) -> Result<()> {
    let factor = settings.positive_or("factor", 8.0)?;
    let low = settings.positive_or("low_freq_factor", 1.0)?;
    let high = settings.positive_or("high_freq_factor", 4.0)?;
    let context = settings.positive_or("original_max_position_embeddings", 8192.0)?;
    for frequency in &mut rope.frequencies {
        let f = f64::from(*frequency);
        let wave = std::f64::consts::TAU / f;
        let scaled = if wave < context / high {
            f
        } else if wave > context / low {
            f / factor
        } else {
            let smooth = (context / wave - low) / (high - low);
            (1.0 - smooth) * f / factor + smooth * f
        };
        *frequency = scaled as f32;
    }
    Ok(())
}

/// YaRN (arXiv 2309.00071, section 3.2 and 3.4).
fn yarn(json: &Json, settings: &Json, base: f64, rope: &mut Rope) -> Result<()> {
    let original = settings.positive_if("original_max_position_embeddings")?;
    let most = json.positive_or("max_position_embeddings", 4096.0)?;
    let context = original.unwrap_or(most);
    let factor = match settings.positive_if("factor")? {
        Some(factor) => factor,
        None => most / context,
    };
    let magnitude = |scale: f64, m: f64| if scale <= 1.0 { 1.0 } else { 0.1 * m * scale.ln() + 1.0 };
    let (all, one) = (settings.positive_if("mscale_all_dim")?, settings.positive_if("mscale")?);
    rope.magnitude = match (settings.positive_if("attention_factor")?, one, all) {
        (Some(given), _, _) => given,
        (None, Some(one), Some(all)) => magnitude(factor, one) / magnitude(factor, all),
        (None, _, _) => magnitude(factor, 1.0),
    } as f32;
    let (fast, slow) = (settings.positive_or("beta_fast", 32.0)?, settings.positive_or("beta_slow", 1.0)?);
    let dims = rope.dims as f64;
    // The pair that makes this many turns within the original context.
    let pair = |turns: f64| dims * (context / (turns * std::f64::consts::TAU)).ln() / (2.0 * base.ln());
    let (mut low, mut high) = (pair(fast), pair(slow));
    if settings.flag("truncate", true)? {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(dims - 1.0));
    if low == high {
        high += 0.001;
    }
    for (i, frequency) in rope.frequencies.iter_mut().enumerate() {
        let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        let f = f64::from(*frequency);
        *frequency = (f / factor * ramp + f * (1.0 - ramp)) as f32;
    }
    Ok(())
}

/// LongRoPE (arXiv 2402.13753) as Phi-3 uses it. The published code changes all frequencies when a sequence
/// outgrows the original context, which would make remembered keys wrong; here the context that is asked for
/// decides once: factors for long texts if it is longer than the original one.
fn longrope(request: &Request<'_>, settings: &Json, base: f64, rope: &mut Rope) -> Result<()> {
    let json = request.json;
    let most = json.positive_or("max_position_embeddings", 4096.0)?;
    let original = match json.positive_if("original_max_position_embeddings")? {
        Some(original) => original,
        None => settings.positive_if("original_max_position_embeddings")?.unwrap_or(most),
    };
    let wanted = request.context_length.map_or(most, |wanted| (wanted as f64).min(most));
    let key = if wanted > original { "long_factor" } else { "short_factor" };
    let factors = settings.numbers_if(key)?.ok_or_else(|| settings.missing(key))?;
    if factors.len() != rope.frequencies.len() || factors.iter().any(|f| *f <= 0.0) {
        return Err(settings.wrong(
            key,
            &Value::from(factors.len()),
            &format!("a list of {} positive numbers", rope.frequencies.len()),
        ));
    }
    for (i, (frequency, factor)) in rope.frequencies.iter_mut().zip(factors).enumerate() {
        let power = (base as f32).powf((2 * i) as f32 / rope.dims as f32);
        *frequency = 1.0 / (factor as f32 * power);
    }
    let scale = settings.positive_if("factor")?.unwrap_or(most / original);
    rope.magnitude = match settings.positive_if("attention_factor")? {
        Some(given) => given as f32,
        None if scale <= 1.0 => 1.0,
        None => (1.0 + scale.ln() / original.ln()).sqrt() as f32,
    };
    Ok(())
}
