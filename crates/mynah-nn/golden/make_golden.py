#!/usr/bin/env python3
"""Makes the golden vectors of mynah-nn with PyTorch.

    python3 crates/mynah-nn/golden/make_golden.py

An own model, written from the formulas of the recipe, run in float64 and stored as float32. Weights and
token ids come from a hash that `tests/golden.rs` computes too, so the files hold results only:

    cases.json           the configurations
    full.safetensors     the case with every switch on: logits and every element of every gradient
    digests.safetensors  all cases: loss, logits, and a digest of each gradient and of each parameter after
                         ten optimizer steps

A digest is 2 projections onto hashed vectors (they move when any element does), the norm, and samples
at fixed places.
"""

import json
import math
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS, TOKENS, STEPS, SAMPLES = 2, 20, 10, 6
EPS = 2.0**-23

BASE = dict(
    sequence_len=24, vocab_size=48, n_layer=4, n_head=4, n_kv_head=2, n_embd=32,
    window_pattern="SSSL", short_window=5, rotary=True, rotary_base=100000.0, qk_norm=True, qk_scale=1.2,
    activation="relu_square", tied_embeddings=False, norm="rms", norm_gain=False, biases=False,
    embedding_norm=True, value_embeddings=True, residual_lambdas=True, x0_lambdas=True, smear=True,
    backout=True, softcap=15.0,
)

# A bias on keys moves all scores of a query alike unless keys are rotated or normalised: its gradient would be
# rounding noise, so biases are not part of `all_off` but have a case of their own.
CASES = {
    "all_on": {},
    "all_off": dict(
        n_kv_head=4, window_pattern="L", rotary=False, qk_norm=False, activation="gelu", tied_embeddings=True,
        norm="layer", norm_gain=True, embedding_norm=False, value_embeddings=False,
        residual_lambdas=False, x0_lambdas=False, smear=False, backout=False, softcap=None,
    ),
    "rotary_off": dict(rotary=False),
    "qk_norm_off": dict(qk_norm=False),
    "gelu": dict(activation="gelu"),
    "silu": dict(activation="silu"),
    "tied": dict(tied_embeddings=True),
    "norm_layer": dict(norm="layer"),
    # Without norms the stream grows: keep it where tanh and relu² do not saturate.
    "norm_none": dict(norm="none", activation="silu", softcap=None),
    "norm_gain": dict(norm_gain=True),
    "biases": dict(biases=True),
    "no_grouped_queries": dict(n_kv_head=4),
    "value_embeddings_off": dict(value_embeddings=False),
    "residual_lambdas_off": dict(residual_lambdas=False),
    "x0_lambdas_off": dict(x0_lambdas=False),
    "smear_off": dict(smear=False),
    "backout_off": dict(backout=False),
    "windows_off": dict(window_pattern="L"),
    "softcap_off": dict(softcap=None),
    "embedding_norm_off": dict(embedding_norm=False),
}

# Small enough that ten steps do not leave the region the weights begin in, large enough to matter.
RATES = dict(embedding=0.02, head=0.004, matrix=0.01, scalar=0.02, matrix_weight_decay=0.1)


# ---------------------------------------------------------------- hashed numbers, the same in Rust

MASK = (1 << 64) - 1


def seed_of(name):
    """FNV-1a, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def hashed_bits(name, count):
    """SplitMix64 of seed + i."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed_of(name))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def hashed(name, count):
    """Uniform in [-1, 1)."""
    return (hashed_bits(name, count) >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def hashed_ids(name, count, bound):
    return (hashed_bits(name, count) % np.uint64(bound)).astype(np.int64)


def value_range(name, shape):
    """Centre and half width of a parameter's hashed values."""
    if name == "resid_lambdas":
        return 1.0, 0.2
    if name in ("x0_lambdas", "smear_lambda", "backout_lambda"):
        return 0.3, 0.2
    if name.endswith(".bias"):
        return 0.0, 0.2
    if ".norm_" in name:
        return 1.0, 0.3
    if name == "lm_head.weight" or name.endswith("gate.weight"):
        return 0.0, 0.5
    if name == "transformer.wte.weight":
        return 0.0, 1.0
    if name.startswith("value_embeds."):
        return 0.0, 0.5
    return 0.0, math.sqrt(3.0 / shape[1])


def hashed_param(name, shape):
    centre, width = value_range(name, shape)
    values = (centre + width * hashed(name, math.prod(shape))).astype(np.float32)
    return torch.tensor(values.astype(np.float64)).reshape(shape).requires_grad_(True)


# ---------------------------------------------------------------- the model


class Config:
    def __init__(self, fields):
        self.__dict__.update(fields)
        self.head_dim = self.n_embd // self.n_head
        self.kv_dim = self.n_kv_head * self.head_dim

    def has_value(self, layer):
        return self.value_embeddings and (self.n_layer - 1 - layer) % 2 == 0

    def window(self, layer):
        full = layer == self.n_layer - 1 or self.window_pattern[layer % len(self.window_pattern)] == "L"
        return None if full else self.short_window


def shapes(c):
    """Name and shape of every parameter."""
    d, kv, v = c.n_embd, c.kv_dim, c.vocab_size
    out = {"transformer.wte.weight": (v, d)}

    def linear(name, outputs, inputs):
        out[name + ".weight"] = (outputs, inputs)
        if c.biases:
            out[name + ".bias"] = (outputs,)

    if c.norm_gain and c.embedding_norm:
        out["transformer.norm_e.weight"] = (d,)
    for i in range(c.n_layer):
        at = f"transformer.h.{i}."
        if c.norm_gain:
            out[at + "norm_attn.weight"] = (d,)
            out[at + "norm_mlp.weight"] = (d,)
        linear(at + "attn.c_q", d, d)
        linear(at + "attn.c_k", kv, d)
        linear(at + "attn.c_v", kv, d)
        linear(at + "attn.c_proj", d, d)
        linear(at + "mlp.c_fc", 4 * d, d)
        linear(at + "mlp.c_proj", d, 4 * d)
        if c.has_value(i):
            out[at + "attn.ve_gate.weight"] = (c.n_kv_head, 12)
            out[f"value_embeds.{i}.weight"] = (v, kv)
    if c.norm_gain:
        out["transformer.norm_f.weight"] = (d,)
    if not c.tied_embeddings:
        out["lm_head.weight"] = (v, d)
    if c.residual_lambdas:
        out["resid_lambdas"] = (c.n_layer,)
    if c.x0_lambdas:
        out["x0_lambdas"] = (c.n_layer,)
    if c.smear:
        out["smear_gate.weight"] = (1, 24)
        out["smear_lambda"] = (1,)
    if c.backout:
        out["backout_lambda"] = (1,)
    return out


def rms(x):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)


def logits_of(c, p, ids):
    def norm(x, gain):
        if c.norm == "layer":
            x = x - x.mean(-1, keepdim=True)
        if c.norm != "none":
            x = rms(x)
        return x * p[gain] if c.norm_gain else x

    def linear(x, name):
        return F.linear(x, p[name + ".weight"], p.get(name + ".bias"))

    b, t = ids.shape
    # Angles in float32, as the recipe computes them; the rest of the model in float64.
    exponents = torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim
    angles = torch.outer(torch.arange(t, dtype=torch.float32), 1.0 / c.rotary_base**exponents).double()
    cos, sin = angles.cos()[:, None, :], angles.sin()[:, None, :]

    def rotate(x):  # (B, T, H, D)
        if c.rotary:
            first, second = x.chunk(2, -1)
            x = torch.cat([first * cos + second * sin, second * cos - first * sin], -1)
        return (rms(x) if c.qk_norm else x) * np.float64(np.float32(c.qk_scale))

    x = p["transformer.wte.weight"][ids]
    if c.embedding_norm:
        x = norm(x, "transformer.norm_e.weight")
    if c.smear:
        gate = p["smear_lambda"] * torch.sigmoid(x[..., :24] @ p["smear_gate.weight"].T)
        before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
        x = x + gate * before
    x0 = x
    middle = None
    place = torch.arange(t)
    for i in range(c.n_layer):
        at = f"transformer.h.{i}."
        if c.residual_lambdas:
            x = p["resid_lambdas"][i] * x
        if c.x0_lambdas:
            x = x + p["x0_lambdas"][i] * x0
        y = norm(x, at + "norm_attn.weight")
        q = linear(y, at + "attn.c_q").view(b, t, c.n_head, c.head_dim)
        k = linear(y, at + "attn.c_k").view(b, t, c.n_kv_head, c.head_dim)
        v = linear(y, at + "attn.c_v").view(b, t, c.n_kv_head, c.head_dim)
        if c.has_value(i):
            gate = 3 * torch.sigmoid(y[..., :12] @ p[at + "attn.ve_gate.weight"].T)
            v = v + gate[..., None] * p[f"value_embeds.{i}.weight"][ids].view(v.shape)
        q, k = rotate(q), rotate(k)
        group = c.n_head // c.n_kv_head
        k, v = k.repeat_interleave(group, 2), v.repeat_interleave(group, 2)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(c.head_dim)
        distance = place[:, None] - place[None, :]
        seen = distance >= 0
        if c.window(i) is not None:
            seen &= distance <= c.window(i)
        weights = scores.masked_fill(~seen, -math.inf).softmax(-1)
        attended = torch.einsum("bhij,bjhd->bihd", weights, v).reshape(b, t, -1)
        x = x + linear(attended, at + "attn.c_proj")
        hidden = linear(norm(x, at + "norm_mlp.weight"), at + "mlp.c_fc")
        if c.activation == "relu_square":
            hidden = hidden.relu().square()
        elif c.activation == "gelu":
            hidden = F.gelu(hidden, approximate="tanh")
        else:
            hidden = F.silu(hidden)
        x = x + linear(hidden, at + "mlp.c_proj")
        if i == c.n_layer // 2:
            middle = x
    if c.backout:
        x = x - p["backout_lambda"] * middle
    x = norm(x, "transformer.norm_f.weight")
    logits = x @ p["transformer.wte.weight" if c.tied_embeddings else "lm_head.weight"].T
    return logits if c.softcap is None else c.softcap * torch.tanh(logits / c.softcap)


# ---------------------------------------------------------------- the optimizer

POLAR = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
]


def group_of(c, name, shape):
    """Algorithm, rate, betas or momentum, decay of a parameter."""
    r = RATES
    if name == "lm_head.weight":
        return "adamw", r["head"], (0.8, 0.96), 0.01
    if name == "transformer.wte.weight":
        return "adamw", r["head"] if c.tied_embeddings else r["embedding"], (0.8, 0.995), 0.001
    if name.startswith("value_embeds."):
        return "adamw", 0.5 * r["embedding"], (0.8, 0.995), 0.01
    if name == "resid_lambdas":
        return "adamw", 0.01 * r["scalar"], (0.8, 0.95), 0.05
    if name == "x0_lambdas":
        return "adamw", r["scalar"], (0.96, 0.95), 0.0
    if name in ("smear_gate.weight", "smear_lambda", "backout_lambda"):
        return "adamw", 0.2, (0.8, 0.95), 0.0
    if len(shape) == 1:
        return "adamw", 0.01 * r["scalar"], (0.8, 0.95), 0.0
    return "muon", r["matrix"], 0.95, r["matrix_weight_decay"]


def adamw(p, g, state, lr, betas, decay, step):
    m, v = state.setdefault("m", torch.zeros_like(p)), state.setdefault("v", torch.zeros_like(p))
    m += (1 - betas[0]) * (g - m)
    v += (1 - betas[1]) * (g * g - v)
    root = (v / (1 - betas[1] ** step)).sqrt() + 1e-10
    p.mul_(1 - lr * decay).sub_(lr / (1 - betas[0] ** step) * m / root)


def muon(p, g, state, lr, momentum, decay, beta2=0.9):
    rows, cols = p.shape
    m = state.setdefault("m", torch.zeros_like(p))
    m += (1 - momentum) * (g - m)
    x = g + momentum * (m - g)
    # Equal rows.
    x = x * (x.norm() / math.sqrt(rows) / x.norm(dim=1, keepdim=True).clamp_min(1e-6))
    # Nearest semi-orthogonal matrix.
    x = x / (1.01 * x.norm() + 1e-6)
    tall = rows > cols
    for a, b, c in POLAR:
        gram = x.T @ x if tall else x @ x.T
        poly = b * gram + c * gram @ gram
        x = a * x + (x @ poly if tall else poly @ x)
    x = x * (math.sqrt(min(rows, cols)) / x.norm().clamp_min(1e-6))
    # One second moment a row (or a column of a wide matrix), keeping the whole norm.
    dim, size = (1, cols) if rows >= cols else (0, rows)
    mean = x.square().mean(dim, keepdim=True)
    second = state.setdefault("v", torch.zeros_like(mean))
    second += (1 - beta2) * (mean - second)
    scale = second.clamp_min(1e-10).rsqrt()
    before = (mean.sum() * size).sqrt()
    after = (mean * size * scale.square()).sum().sqrt()
    x = x * scale * (before / after.clamp_min(1e-10))
    lr = lr * math.sqrt(max(1.0, rows / cols))
    p.sub_(lr * x + lr * decay * p * (x * p >= 0))


# ---------------------------------------------------------------- files


def digest(name, tensor):
    x = tensor.detach().double().numpy().reshape(-1)
    a, b = hashed("projection.0." + name, x.size), hashed("projection.1." + name, x.size)
    places = hashed_ids("samples." + name, SAMPLES, x.size)
    return np.concatenate([[np.linalg.norm(x), a @ x, b @ x], x[places]])


def save(path, tensors):
    header, at, data = {}, 0, []
    for name, values in tensors.items():
        array = np.ascontiguousarray(values, dtype=np.float32)
        header[name] = dict(dtype="F32", shape=list(array.shape), data_offsets=[at, at + array.nbytes])
        at += array.nbytes
        data.append(array.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    full, digests = {}, {}
    for case, changes in CASES.items():
        config = Config({**BASE, **changes})
        params = {name: hashed_param(name, shape) for name, shape in shapes(config).items()}
        ids = torch.tensor(hashed_ids("ids", ROWS * TOKENS, config.vocab_size).reshape(ROWS, TOKENS))
        targets = torch.tensor(hashed_ids("targets", ROWS * TOKENS, config.vocab_size).reshape(ROWS, TOKENS))
        targets[0, 3] = targets[1, 0] = -1
        states = {name: {} for name in params}
        losses = []
        for step in range(1, STEPS + 1):
            logits = logits_of(config, params, ids)
            loss = F.cross_entropy(logits.view(-1, config.vocab_size), targets.view(-1), ignore_index=-1)
            loss.backward()
            losses.append(loss.item())
            if step == 1:
                digests[f"{case}/logits"] = digest("logits", logits)
                grads = [digest(name, p.grad) for name, p in params.items()]
                if case == "all_on":
                    full["logits"] = logits.detach().numpy()
                    full.update({name: p.grad.numpy().copy() for name, p in params.items()})
            with torch.no_grad():
                for name, p in params.items():
                    kind, lr, betas, decay = group_of(config, name, p.shape)
                    if kind == "adamw":
                        adamw(p, p.grad, states[name], lr, betas, decay, step)
                    else:
                        muon(p, p.grad, states[name], lr, betas, decay)
                    p.grad = None
        # One row a parameter, in the order of sorted names.
        order = sorted(range(len(params)), key=lambda i: list(params)[i])
        digests[f"{case}/losses"] = np.array(losses)
        digests[f"{case}/gradients"] = np.stack([grads[i] for i in order])
        digests[f"{case}/parameters"] = np.stack([digest(name, params[name]) for name in sorted(params)])
        print(f"{case:22s} losses {losses[0]:.5f} to {losses[-1]:.5f}", file=sys.stderr)
    save(os.path.join(HERE, "full.safetensors"), full)
    save(os.path.join(HERE, "digests.safetensors"), digests)
    with open(os.path.join(HERE, "cases.json"), "w") as file:
        json.dump({case: {**BASE, **changes} for case, changes in CASES.items()}, file, indent=0)
        file.write("\n")


if __name__ == "__main__":
    main()
