"""Makes tiny embedding models with `transformers`, in the folders of sentence-transformers, and their vectors.

    pip install torch transformers safetensors
    python embedders.py
"""

import json
import pathlib
import shutil

import torch
import transformers
from families import randomize
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "embedders"
SIZES = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    pad_token_id=1,
)


def make(family, mean, normalise, **settings):
    torch.manual_seed(9)
    config = getattr(transformers, family + "Config")(**SIZES, **settings)
    config._attn_implementation = "eager"
    model = getattr(transformers, family + "Model")(config).eval()
    for key, value in model.named_parameters():
        with torch.no_grad():
            randomize("norm." + key if "LayerNorm" in key else key, value)
            value.copy_(value.to(torch.bfloat16))
    folder = OUT / config.model_type
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder, state_dict={k: v.to(torch.bfloat16) for k, v in model.state_dict().items()})
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalise
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        dict(idx=i, name=str(i), path=path, type=f"sentence_transformers.models.{kind}")
        for i, (kind, path) in enumerate(zip(kinds, paths))
    ]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2))
    (folder / "1_Pooling").mkdir()
    pooling = dict(word_embedding_dimension=32, pooling_mode_cls_token=not mean, pooling_mode_mean_tokens=mean)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling, indent=2))
    texts = {f"text{n}": torch.randint(2, 64, (1, n)) for n in (1, 5, 17)}
    golden = {}
    for name, tokens in texts.items():
        with torch.no_grad():
            states = model(tokens).last_hidden_state[0]
        vector = states.mean(0) if mean else states[0]
        if normalise:
            vector = torch.nn.functional.normalize(vector, dim=0)
        golden |= {f"{name}.tokens": tokens[0].float(), f"{name}.vector": vector.contiguous()}
    save_file(golden, folder / "golden.safetensors")


if __name__ == "__main__":
    make("Bert", mean=True, normalise=True, max_position_embeddings=20)
    make("XLMRoberta", mean=False, normalise=False, max_position_embeddings=24, type_vocab_size=1)
