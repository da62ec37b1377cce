"""Writes blocks.txt: blocks of each ggml format as random bytes, and their values as the `gguf` package decodes them.

Lines: format name, the bytes in hexadecimal, the values as the hexadecimal bits of f32, separated by spaces.
Needs: pip install gguf numpy.
"""

import gguf
import numpy as np

BLOCKS = {"Q8_0": 3, "Q4_0": 3, "Q4_K": 2, "Q5_K": 2, "Q6_K": 2}
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}

rng = np.random.default_rng(4)
with open("blocks.txt", "w") as out:
    for name, count in BLOCKS.items():
        kind = gguf.GGMLQuantizationType[name]
        length, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
        for at in SCALES[name]:
            scales = rng.uniform(-0.1, 0.1, count).astype("<f2")
            blocks[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
        values = gguf.quants.dequantize(blocks.reshape(1, -1), kind).astype(np.float32).ravel()
        assert values.size == count * length
        bits = " ".join(f"{bits:x}" for bits in values.view(np.uint32))
        out.write(f"{name} {blocks.tobytes().hex()} {bits}\n")
