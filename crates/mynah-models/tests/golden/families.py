"""Makes tiny random models of every family with `transformers`, and the logits they give.

Each folder of testdata/families has a model as `save_pretrained` writes it (config.json, model.safetensors)
and golden.safetensors: the tokens (as floats) and the logits after each of them, computed in f32.

    pip install torch transformers safetensors
    python families.py [NAME ...]
"""

import pathlib
import shutil
import sys

import torch
import transformers

transformers.utils.logging.disable_progress_bar()
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

OUT = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "families"
VOCAB = 96

# Small, but with several heads, groups of heads, and layers of every kind of the family.
SIZES = dict(
    vocab_size=VOCAB,
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)


def yarn(factor, original, **more):
    return dict(rope_type="yarn", rope_theta=10000.0, factor=factor, original_max_position_embeddings=original, **more)


MOE = dict(num_experts_per_tok=2, moe_intermediate_size=16)
PHI3 = SIZES | dict(
    sliding_window=20,
    rope_parameters=dict(
        rope_type="longrope",
        rope_theta=10000.0,
        partial_rotary_factor=0.75,
        short_factor=[1.0, 1.1, 1.3],
        long_factor=[1.2, 2.0, 4.0],
    ),
)

FAMILIES = {
    "llama": ("Llama", SIZES, "float32"),
    "llama3": (
        "Llama",
        SIZES
        | dict(
            head_dim=16,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=500000.0,
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=32,
            ),
        ),
        "bfloat16",
    ),
    "mistral": ("Mistral", SIZES | dict(sliding_window=6), "bfloat16"),
    "qwen2": (
        "Qwen2",
        SIZES | dict(use_sliding_window=True, sliding_window=5, max_window_layers=1, rope_parameters=yarn(4.0, 16)),
        "float16",
    ),
    "qwen3": ("Qwen3", SIZES | dict(head_dim=12, rope_parameters=dict(rope_type="linear", rope_theta=1e6, factor=4.0)), "bfloat16"),
    "gemma": ("Gemma", SIZES | dict(head_dim=12, num_key_value_heads=1), "bfloat16"),
    "gemma2": (
        "Gemma2",
        SIZES
        | dict(
            head_dim=12,
            sliding_window=5,
            # GGUF does not keep it: there it is the size of a head.
            query_pre_attn_scalar=12,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0,
        ),
        "bfloat16",
    ),
    "gemma3": (
        "Gemma3",
        SIZES
        | dict(
            head_dim=12,
            num_hidden_layers=3,
            sliding_window=5,
            query_pre_attn_scalar=20,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0),
                sliding_attention=dict(rope_type="default", rope_theta=1e4),
            ),
        ),
        "bfloat16",
    ),
    "phi3_short": ("Phi3", PHI3 | dict(original_max_position_embeddings=32, max_position_embeddings=32), "bfloat16"),
    "phi3_long": ("Phi3", PHI3 | dict(original_max_position_embeddings=16), "bfloat16"),
    "glm": ("Glm", SIZES | dict(head_dim=8, attention_bias=True), "bfloat16"),
    "glm4": ("Glm4", SIZES | dict(head_dim=12, attention_bias=True), "bfloat16"),
    "gpt2": (
        "GPT2",
        dict(vocab_size=VOCAB, n_positions=40, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2),
        "bfloat16",
    ),
    "mixtral": ("Mixtral", SIZES | dict(MOE, num_local_experts=4, sliding_window=7), "bfloat16"),
    "qwen2_moe": (
        "Qwen2Moe",
        SIZES
        | MOE
        | dict(num_experts=4, shared_expert_intermediate_size=24, norm_topk_prob=False, mlp_only_layers=[0]),
        "bfloat16",
    ),
    "qwen3_moe": ("Qwen3Moe", SIZES | MOE | dict(head_dim=8, num_experts=4, norm_topk_prob=True), "bfloat16"),
    "glm4_moe": (
        "Glm4Moe",
        SIZES
        | MOE
        | dict(
            head_dim=12,
            n_routed_experts=8,
            n_group=4,
            topk_group=2,
            n_shared_experts=2,
            first_k_dense_replace=1,
            routed_scaling_factor=1.5,
            use_qk_norm=True,
            attention_bias=True,
        ),
        "bfloat16",
    ),
    "minimax_m2": (
        "MiniMaxM2",
        SIZES | MOE | dict(head_dim=12, num_local_experts=4, rotary_dim=6, intermediate_size=16),
        "bfloat16",
    ),
    "nemotron_h": (
        "NemotronH",
        SIZES
        | MOE
        | dict(
            num_hidden_layers=4,
            layers_block_type=["linear_attention", "moe", "full_attention", "mlp"],
            head_dim=8,
            mamba_num_heads=4,
            mamba_head_dim=8,
            n_groups=2,
            ssm_state_size=8,
            conv_kernel=4,
            chunk_size=8,
            n_routed_experts=4,
            moe_shared_expert_intermediate_size=24,
            routed_scaling_factor=2.5,
        ),
        "bfloat16",
    ),
    "olmo2": ("Olmo2", SIZES, "bfloat16"),
    "gpt_oss_mxfp4": (
        "GptOss",
        SIZES
        | dict(MOE, head_dim=8, num_local_experts=2, intermediate_size=32, num_hidden_layers=1, sliding_window=5),
        "bfloat16",
    ),
    "gpt_oss": (
        "GptOss",
        SIZES
        | dict(
            MOE,
            head_dim=8,
            num_local_experts=4,
            intermediate_size=16,
            sliding_window=5,
            rope_parameters=yarn(4.0, 16, beta_fast=32.0, beta_slow=1.0, truncate=False) | dict(rope_theta=150000.0),
        ),
        "bfloat16",
    ),
}


def make(name):
    family, settings, dtype = FAMILIES[name]
    torch.manual_seed(sum(name.encode()))
    config = next(getattr(transformers, family + c) for c in ("TextConfig", "Config") if hasattr(transformers, family + c))(
        **settings
    )
    config._attn_implementation = "eager"
    classes = [f"{family}ForCausalLM", f"{family}LMHeadModel"]
    model = next(getattr(transformers, c) for c in classes if hasattr(transformers, c))(config)
    for key, value in model.named_parameters():
        with torch.no_grad():
            randomize(key, value)
            # Rounded to the type of the file, then computed in f32.
            value.copy_(value.to(getattr(torch, dtype)))
    packed = four_bits(model) if name == "gpt_oss_mxfp4" else {}
    for key, value in model.named_buffers():
        if "e_score_correction_bias" in key:
            value.copy_((torch.randn_like(value) * 0.3).to(getattr(torch, dtype)))
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state = {key: value.to(getattr(torch, dtype)) for key, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = model.float().eval()
    tokens = torch.randint(3, VOCAB, (1, 24))
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits[0]
    save_file({"tokens": tokens[0].float(), "logits": logits.float().contiguous()}, folder / "golden.safetensors")
    if name == "gpt_oss_mxfp4":
        pack(folder / "model.safetensors", packed)
    size = sum(path.stat().st_size for path in folder.iterdir())
    spread = logits.std().item()
    print(f"{name}: {size // 1024} KB, logits {spread:.2f}")


def four_bits(model):
    """Gives the experts weights that four-bit floats hold exactly; returns their blocks and scales."""
    packed = {}
    for key, value in model.named_parameters():
        if key.endswith(("experts.gate_up_proj", "experts.down_proj")):
            experts, inputs, outputs = value.shape
            blocks = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
            scales = torch.randint(122, 125, (experts, outputs, inputs // 32), dtype=torch.uint8)
            packed |= {f"{key}_blocks": blocks, f"{key}_scales": scales}
            value.data.copy_(convert_moe_packed_tensors(blocks, scales, dtype=torch.float32))
    return packed


def pack(path, packed):
    """Puts blocks and scales in the place of the weights, as the published files have them."""
    tensors = {key: value for key, value in load_file(path).items() if f"{key}_blocks" not in packed}
    save_file(tensors | packed, path, metadata={"format": "pt"})


def randomize(key, value):
    """Values that let every part matter, and norms that are not the identity."""
    if "A_log" in key:
        value.copy_(torch.rand_like(value))
    elif "norm" in key and key.endswith("weight"):
        value.add_(torch.randn_like(value) * 0.2)
    elif value.dim() == 1:
        value.copy_(torch.randn_like(value) * 0.3)
    else:
        value.copy_(torch.randn_like(value) * (1.2 / value.shape[-1] ** 0.5))


if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        make(name)
