"""Makes GGUF files with the `gguf` package: blocks of every format with their values, and models.

testdata/gguf/blocks.gguf has one tensor a format, blocks.safetensors the values that the package widens them to.
testdata/gguf/NAME.gguf is testdata/families/NAME as llama.cpp's converter would write it; its logits are
testdata/families/NAME/golden.safetensors.

    pip install gguf safetensors torch
    python gguf_files.py     (after families.py)
"""

import json
import pathlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file, save_file

DATA = pathlib.Path(__file__).resolve().parents[2] / "testdata"
OUT = DATA / "gguf"


def blocks():
    """Two rows of 256 values in each format, from random bytes with scales that are sane."""
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(OUT / "blocks.gguf", "llama")
    writer.add_array("test.list", ["a", "é"])
    expected = {}
    for kind in [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]:
        values = rng.normal(size=(2, 256)).astype(np.float32)
        if kind in (Kind.Q4_K, Kind.Q5_K, Kind.Q6_K):
            size = gguf.GGML_QUANT_SIZES[kind][1]
            data = rng.integers(0, 256, size=(2, size), dtype=np.uint8)
            places = [208] if kind == Kind.Q6_K else [0, 2]
            for block in data:
                for at in places:
                    block[at : at + 2] = np.frombuffer(np.float16(rng.normal() / 64).tobytes(), np.uint8)
        else:
            data = gguf.quants.quantize(values, kind)
        expected[kind.name] = torch.from_numpy(gguf.quants.dequantize(data, kind).astype(np.float32))
        writer.add_tensor(kind.name, data, raw_dtype=kind)
    finish(writer)
    save_file(expected, OUT / "blocks.safetensors")


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# From a name in the Hugging Face model to one in GGUF.
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
}
GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def permute(weights, heads):
    """The order of channels in which neighbours are turned together."""
    rows = weights.shape[0]
    return weights.reshape(heads, 2, rows // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def model(family, architecture, kind):
    folder = DATA / "families" / family
    config = json.loads((folder / "config.json").read_text())
    tensors = {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer = gguf.GGUFWriter(OUT / f"{family}.gguf", architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config["rope_parameters"]
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    if config.get("sliding_window") and architecture != "qwen3moe":
        writer.add_sliding_window(config["sliding_window"])
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    experts = config.get("num_experts") or config.get("num_local_experts")
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(rope, head_dim))
    if rope["rope_type"] == "longrope":
        dims = int(head_dim * rope["partial_rotary_factor"])
        original = config["original_max_position_embeddings"]
        scale = config["max_position_embeddings"] / original
        writer.add_rope_dimension_count(dims)
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(scale) / np.log(original))))
        for length in ("long", "short"):
            factors = np.array(rope[f"{length}_factor"], dtype=np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", factors)
    table = NAMES | GEMMA if architecture.startswith("gemma") else NAMES
    stacked = {}
    for key, value in sorted(tensors.items()):
        if key == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        module, part = key.rsplit(".", 1)
        prefix = ""
        if module.startswith("model.layers."):
            _, _, number, module = module.split(".", 3)
            prefix = f"blk.{number}."
        if module.startswith("mlp.experts."):
            _, _, _, name = module.split(".")
            stacked.setdefault(f"{prefix}ffn_{name.removesuffix('_proj')}_exps.{part}", []).append(value)
            continue
        if architecture == "llama" and module.endswith(("q_proj", "k_proj")):
            value = permute(value, heads if module.endswith("q_proj") else kv_heads)
        if architecture.startswith("gemma") and module.endswith("norm"):
            value = value + 1
        add(writer, f"{prefix}{table[module]}.{part}", value, kind)
    for name, values in stacked.items():
        add(writer, name, torch.stack(values), kind)
    finish(writer)


def add(writer, name, value, kind):
    data = value.numpy()
    # As the converter does: vectors and routers stay in f32.
    kind = Kind.F32 if data.ndim == 1 or "_inp" in name else kind
    writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)


def llama3_factors(rope, dims):
    """By how much each frequency is slowed down."""
    waves = 2 * np.pi * rope["rope_theta"] ** (np.arange(0, dims, 2) / dims)
    context, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((context / waves - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    blocks()
    model("llama3", "llama", Kind.BF16)
    model("gemma2", "gemma2", Kind.BF16)
    model("phi3_long", "phi3", Kind.BF16)
    model("qwen3_moe", "qwen3moe", Kind.BF16)
