//! Where weights come from: a checkpoint on disk, a server's live memory, a test's vectors.

mod memory;
mod safetensors;

use crate::{DType, Error, Result};

pub use memory::MemorySource;
pub use safetensors::SafetensorsSource;

/// A tensor as a source knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name of the whole tensor, the same for all its parts.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// The shape of what this source holds (of the part, when it is one).
    pub shape: Vec<u64>,
    /// Which part of the whole this is; nothing for a whole tensor.
    pub part: Option<Part>,
    /// The quantisation group: tensors of one group (packed weights with their scales and zero points) mean
    /// something only together, so they are planned and moved as one unit.
    pub group: Option<String>,
}

/// A slice of a tensor along one axis, as tensor-parallel ranks hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The axis that is cut.
    pub axis: u8,
    /// Where the part begins along the axis.
    pub offset: u64,
    /// The extent of the whole along the axis.
    pub extent: u64,
}

/// Tensors that can be listed and read in pieces. A server's live weights implement it, so that a manifest of
/// what is being served needs no file.
pub trait TensorSource: Sync {
    /// The tensors, in any order.
    fn tensors(&self) -> &[TensorInfo];

    /// Reads `into.len()` bytes of tensor number `tensor`, in row-major little-endian order, from this offset.
    ///
    /// # Errors
    /// `Io` when the bytes cannot be read, `Argument` when the range is outside the tensor.
    fn read(&self, tensor: usize, offset_bytes: u64, into: &mut [u8]) -> Result<()>;
}

/// Puts tensors whose names say so into quantisation groups: `q_proj.qweight` with `q_proj.scales` and
/// `q_proj.qzeros` becomes the group `q_proj`. Tensors that have a group keep it.
///
/// The names are those of GPTQ, AWQ, MLX, compressed-tensors, DeepSeek's FP8, bitsandbytes and MXFP4 checkpoints.
pub fn group_by_name(tensors: &mut [TensorInfo]) {
    use std::collections::BTreeMap;
    let mut stems: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    let stem_of = |info: &TensorInfo| quantisation_stem(&info.name).map(|(s, scale)| (s.to_string(), scale));
    for (stem, scale) in tensors.iter().filter_map(stem_of) {
        let entry = stems.entry(stem).or_default();
        entry.0 += 1;
        entry.1 |= scale;
    }
    for tensor in tensors.iter_mut().filter(|t| t.group.is_none()) {
        if let Some((stem, _)) = stem_of(tensor)
            && stems.get(&stem).is_some_and(|&(members, has_scale)| members > 1 && has_scale)
        {
            tensor.group = Some(stem);
        }
    }
}

/// The stem of a name that may belong to a quantised layer, and whether it is what the weights are scaled by.
fn quantisation_stem(name: &str) -> Option<(&str, bool)> {
    const WEIGHTS: &[&str] = &[".weight", ".qweight", ".weight_packed", "_blocks"];
    const SCALES: &[&str] = &[
        ".weight.absmax",
        ".weight.nested_absmax",
        ".weight.quant_map",
        ".weight.nested_quant_map",
        ".weight.quant_state.bitsandbytes__nf4",
        ".weight.quant_state.bitsandbytes__fp4",
        ".weight_scale_inv",
        ".weight_scale_2",
        ".weight_scale",
        ".weight_global_scale",
        ".input_global_scale",
        ".input_scale",
        ".weight_zero_point",
        ".weight_shape",
        ".weight_g_idx",
        ".g_idx",
        ".qzeros",
        ".scales",
        ".scale",
        ".biases",
        "_scales",
    ];
    let with = |suffixes: &[&str], is_scale| {
        let stem = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix))?;
        (!stem.is_empty()).then_some((stem, is_scale))
    };
    with(SCALES, true).or_else(|| with(WEIGHTS, false))
}

/// Refuses a read outside a tensor; for implementations of [`TensorSource::read`].
pub(crate) fn check_range(
    info: &TensorInfo,
    size_bytes: u64,
    offset_bytes: u64,
    length: usize,
) -> Result<()> {
    match offset_bytes.checked_add(length as u64) {
        Some(end) if end <= size_bytes => Ok(()),
        _ => Err(Error::argument(format!(
            "tensor {:?} has {size_bytes} bytes; asked for {length} from {offset_bytes}",
            info.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_travel_with_their_weights() {
        let names = [
            ("a.qweight", Some("a")),
            ("a.scales", Some("a")),
            ("a.qzeros", Some("a")),
            ("a.bias", None),
            ("norm.weight", None),
            ("b.weight", Some("b")),
            ("b.weight_scale_inv", Some("b")),
            ("c.weight", Some("c")),
            ("c.weight.absmax", Some("c")),
            ("e.gate_blocks", Some("e.gate")),
            ("e.gate_scales", Some("e.gate")),
            ("only.scale", None),
        ];
        let info = |name: &str| TensorInfo {
            name: name.to_string(),
            dtype: "U8".parse().unwrap(),
            shape: vec![4],
            part: None,
            group: None,
        };
        let mut tensors: Vec<TensorInfo> = names.iter().map(|(name, _)| info(name)).collect();
        group_by_name(&mut tensors);
        for (tensor, (name, group)) in tensors.iter().zip(names) {
            assert_eq!(tensor.group.as_deref(), group, "{name}");
        }
    }
}
