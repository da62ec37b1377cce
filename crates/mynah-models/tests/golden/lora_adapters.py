"""Makes a LoRA adapter of a golden model with `peft`, and the logits with it.

    pip install torch transformers peft safetensors
    python lora_adapters.py     (after families.py)
"""

import pathlib
import shutil

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

transformers.utils.logging.disable_progress_bar()

DATA = pathlib.Path(__file__).resolve().parents[2] / "testdata"


def make(family, targets, name, **settings):
    torch.manual_seed(5)
    folder = DATA / "families" / family
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    config = LoraConfig(r=4, target_modules=targets, lora_alpha=6, task_type="CAUSAL_LM", **settings)
    model = get_peft_model(model, config).eval()
    for key, value in model.named_parameters():
        if "lora_" in key:
            value.data.copy_(torch.randn_like(value) * 0.3)
    out = DATA / "adapters" / name
    shutil.rmtree(out, ignore_errors=True)
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    path = out / "adapter_config.json"
    # Where the base model lay is nobody's business.
    path.write_text(path.read_text().replace(str(folder), f"families/{family}"))
    tokens = load_file(folder / "golden.safetensors")["tokens"].long()[None]
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits[0]
    save_file({"tokens": tokens[0].float(), "logits": logits.float().contiguous()}, out / "golden.safetensors")


if __name__ == "__main__":
    make("qwen3", ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"], "qwen3", alpha_pattern={"o_proj": 2})
    make("phi3_short", ["qkv_proj", "gate_up_proj"], "phi3_short", use_rslora=True)
