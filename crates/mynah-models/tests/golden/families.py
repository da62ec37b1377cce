"""Makes tiny random models of every family with `transformers`, and the logits they give.

Each folder of testdata/families has a model as `save_pretrained` writes it (config.json, model.safetensors)
and golden.safetensors: the tokens (as floats) and the logits after each of them, computed in f32.

    pip install torch transformers safetensors
    python families.py [NAME ...]
"""

import json
import pathlib
import shutil
import sys

import torch
import transformers

transformers.utils.logging.disable_progress_bar()
from safetensors.torch import save_file

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
}


def make(name):
    family, settings, dtype = FAMILIES[name]
    torch.manual_seed(sum(name.encode()))
    config = getattr(transformers, family + "Config")(**settings)
    config._attn_implementation = "eager"
    classes = [f"{family}ForCausalLM", f"{family}LMHeadModel"]
    model = next(getattr(transformers, c) for c in classes if hasattr(transformers, c))(config)
    for key, value in model.named_parameters():
        with torch.no_grad():
            randomize(key, value)
            # Rounded to the type of the file, then computed in f32.
            value.copy_(value.to(getattr(torch, dtype)))
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
    size = sum(path.stat().st_size for path in folder.iterdir())
    spread = logits.std().item()
    print(f"{name}: {size // 1024} KB, logits {spread:.2f}")


def randomize(key, value):
    """Values that let every part matter, and norms that are not the identity."""
    if "norm" in key and key.endswith("weight"):
        value.add_(torch.randn_like(value) * 0.2)
    elif value.dim() == 1:
        value.copy_(torch.randn_like(value) * 0.3)
    else:
        value.copy_(torch.randn_like(value) * (1.2 / value.shape[-1] ** 0.5))


if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        make(name)
