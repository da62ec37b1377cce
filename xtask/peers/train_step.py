#!/usr/bin/env python3
"""Peer of the train-step benchmark: the same GPT and optimizer in PyTorch.

    python3 xtask/peers/train_step.py --threads 2 --mode eager|compile [--small]

Protocol: one JSON line when ready; then a line CASE on stdin runs one whole training step (forward,
backward, optimizer, zeroed gradients) and answers one JSON line; at the end of stdin the peak memory.
Float32 throughout. Attention is scaled_dot_product_attention, causal where a layer sees everything and
with a mask where it has a window; AdamW is PyTorch's fused one; Muon works on stacks of equal shapes.
With --mode compile the model and Muon's update go through torch.compile.
"""

import argparse
import json
import math
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

CASES = {
    "depth4": dict(depth=4, dim=256, heads=2, tokens=256, rows=8, vocab=4096),
    "depth6": dict(depth=6, dim=384, heads=3, tokens=512, rows=4, vocab=32768),
}
SMALL = {
    "depth4": dict(depth=4, dim=32, heads=2, tokens=32, rows=2, vocab=128),
    "depth6": dict(depth=6, dim=48, heads=3, tokens=48, rows=2, vocab=256),
}


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos + second * sin, second * cos - first * sin), -1)


class Block(nn.Module):
    def __init__(self, shape, layer):
        super().__init__()
        dim = shape["dim"]
        self.heads = shape["heads"]
        self.c_q = nn.Linear(dim, dim, bias=False)
        self.c_k = nn.Linear(dim, dim, bias=False)
        self.c_v = nn.Linear(dim, dim, bias=False)
        self.attn_proj = nn.Linear(dim, dim, bias=False)
        self.c_fc = nn.Linear(dim, 4 * dim, bias=False)
        self.mlp_proj = nn.Linear(4 * dim, dim, bias=False)
        has_value = (shape["depth"] - 1 - layer) % 2 == 0
        self.gate = nn.Linear(12, self.heads, bias=False) if has_value else None

    def forward(self, x, values, cos, sin, mask):
        b, t, dim = x.shape
        y = norm(x)
        q = self.c_q(y).view(b, t, self.heads, -1)
        k = self.c_k(y).view(b, t, self.heads, -1)
        v = self.c_v(y).view(b, t, self.heads, -1)
        if self.gate is not None:
            gate = 3 * torch.sigmoid(self.gate(y[..., :12]))
            v = v + gate.unsqueeze(-1) * values.view_as(v)
        q, k = norm(rotate(q, cos, sin)) * 1.2, norm(rotate(k, cos, sin)) * 1.2
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask, is_causal=mask is None
        )
        x = x + self.attn_proj(y.transpose(1, 2).reshape(b, t, dim))
        return x + self.mlp_proj(F.relu(self.c_fc(norm(x))).square())


class Gpt(nn.Module):
    def __init__(self, shape):
        super().__init__()
        dim, depth, vocab, tokens = shape["dim"], shape["depth"], shape["vocab"], shape["tokens"]
        self.wte = nn.Embedding(vocab, dim)
        self.blocks = nn.ModuleList([Block(shape, layer) for layer in range(depth)])
        self.values = nn.ModuleDict(
            {str(layer): nn.Embedding(vocab, dim) for layer in range(depth) if (depth - 1 - layer) % 2 == 0}
        )
        self.head = nn.Linear(dim, vocab, bias=False)
        self.resid = nn.Parameter(torch.linspace(1.15, 1.05, depth))
        self.x0 = nn.Parameter(torch.linspace(0.20, 0.05, depth))
        self.smear_gate = nn.Linear(24, 1, bias=False)
        self.smear = nn.Parameter(torch.zeros(1))
        self.backout = nn.Parameter(torch.full((1,), 0.2))
        head_dim = dim // shape["heads"]
        frequencies = 1.0 / 100_000.0 ** (torch.arange(0, head_dim, 2) / head_dim)
        angles = torch.outer(torch.arange(tokens).float(), frequencies)[:, None, :]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        # Short windows: a quarter of the text in whole tiles of 128 (of 8 in the small cases).
        tile = 128 if tokens >= 128 else 8
        window = -(-tokens // 4 // tile) * tile
        distance = torch.arange(tokens)[:, None] - torch.arange(tokens)[None, :]
        self.register_buffer("mask", (distance >= 0) & (distance <= window), persistent=False)
        self.short = [layer % 4 != 3 and layer != depth - 1 for layer in range(depth)]
        bound = 3**0.5 * dim**-0.5
        with torch.no_grad():
            self.wte.weight.normal_(0, 0.8)
            self.head.weight.normal_(0, 0.001)
            self.smear_gate.weight.uniform_(0, 0.02)
            for table in self.values.values():
                table.weight.uniform_(-bound, bound)
            for block in self.blocks:
                for layer in (block.c_q, block.c_k, block.c_v):
                    layer.weight.uniform_(-bound, bound)
                block.c_fc.weight.uniform_(-0.4 * bound, 0.4 * bound)
                block.attn_proj.weight.zero_()
                block.mlp_proj.weight.zero_()
                if block.gate is not None:
                    block.gate.weight.uniform_(0, 0.02)

    def forward(self, ids, targets):
        x = norm(self.wte(ids))
        gate = self.smear * torch.sigmoid(self.smear_gate(x[:, 1:, :24]))
        x = torch.cat((x[:, :1], x[:, 1:] + gate * x[:, :-1]), 1)
        x0 = middle = x
        for layer, block in enumerate(self.blocks):
            x = self.resid[layer] * x + self.x0[layer] * x0
            values = self.values[str(layer)](ids) if str(layer) in self.values else None
            x = block(x, values, self.cos, self.sin, self.mask if self.short[layer] else None)
            if layer == len(self.blocks) // 2:
                middle = x
        x = norm(x - self.backout * middle)
        logits = 15 * torch.tanh(self.head(x) / 15)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


POLAR = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
]


def muon_update(p, g, m, v, lr: float, momentum: float, decay: float, beta2: float):
    """One step of a stack (K, rows, cols) of matrices, in place."""
    rows, cols = p.shape[-2:]
    m.lerp_(g, 1 - momentum)
    x = g.lerp(m, momentum)
    total = x.norm(dim=(-2, -1), keepdim=True)
    x = x * (total / math.sqrt(rows) / x.norm(dim=-1, keepdim=True).clamp_min(1e-6))
    x = x / (1.01 * x.norm(dim=(-2, -1), keepdim=True) + 1e-6)
    for a, b, c in POLAR:
        if rows > cols:
            gram = x.mT @ x
            x = torch.baddbmm(x, x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), beta=a)
        else:
            gram = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x * (min(rows, cols) ** 0.5 / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-6))
    dim, size = (-1, cols) if rows >= cols else (-2, rows)
    mean = x.square().mean(dim, keepdim=True)
    v.lerp_(mean, 1 - beta2)
    scale = v.clamp_min(1e-10).rsqrt()
    before = (mean.sum((-2, -1), keepdim=True) * size).sqrt()
    after = (mean * size * scale.square()).sum((-2, -1), keepdim=True).sqrt()
    x = x * (scale * (before / after.clamp_min(1e-10)))
    p.sub_(lr * x + lr * decay * p * (x * p >= 0))


class Muon:
    def __init__(self, params, update):
        by_shape = {}
        for p in params:
            by_shape.setdefault(p.shape, []).append(p)
        self.stacks = []
        for shape, group in by_shape.items():
            second = (len(group), shape[0], 1) if shape[0] >= shape[1] else (len(group), 1, shape[1])
            self.stacks.append((group, torch.zeros(len(group), *shape), torch.zeros(second)))
        self.update = update

    @torch.no_grad()
    def step(self):
        for group, m, v in self.stacks:
            stacked = torch.stack([p.detach() for p in group])
            lr = 0.02 * max(1.0, group[0].shape[0] / group[0].shape[1]) ** 0.5
            self.update(stacked, torch.stack([p.grad for p in group]), m, v, lr, 0.95, 0.1, 0.9)
            torch._foreach_copy_(group, list(stacked.unbind(0)))


class Trainer:
    def __init__(self, shape, mode):
        torch.manual_seed(0)
        self.shape = shape
        self.model = Gpt(shape)
        scale = (shape["dim"] / 768) ** -0.5
        groups = [
            (self.head_params(), 0.004 * scale, (0.8, 0.96), 0.01),
            ([self.model.wte.weight], 0.2 * scale, (0.8, 0.995), 0.001),
            (list(self.model.values.parameters()), 0.1 * scale, (0.8, 0.995), 0.01),
            ([self.model.resid], 0.005, (0.8, 0.95), 0.05),
            ([self.model.x0], 0.5, (0.96, 0.95), 0.0),
            ([self.model.smear_gate.weight, self.model.smear, self.model.backout], 0.2, (0.8, 0.95), 0.0),
        ]
        self.adamw = torch.optim.AdamW(
            [dict(params=p, lr=lr, betas=betas, weight_decay=decay) for p, lr, betas, decay in groups],
            eps=1e-10,
            fused=True,
        )
        compiled = mode == "compile"
        update = torch.compile(muon_update, dynamic=False) if compiled else muon_update
        self.muon = Muon(list(self.model.blocks.parameters()), update)
        self.run = torch.compile(self.model, dynamic=False) if compiled else self.model
        generator = torch.Generator().manual_seed(1)
        size = (shape["rows"], shape["tokens"] + 1)
        ids = torch.randint(0, shape["vocab"], size, generator=generator)
        self.ids, self.targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    def head_params(self):
        return [self.model.head.weight]

    def step(self):
        start = time.perf_counter()
        loss = self.run(self.ids, self.targets)
        loss.backward()
        self.adamw.step()
        self.muon.step()
        self.model.zero_grad(set_to_none=True)
        value = loss.item()
        return time.perf_counter() - start, value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", choices=["eager", "compile"], default="eager")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shapes = SMALL if args.small else CASES
    version = f"torch {torch.__version__} {args.mode}"
    print(json.dumps(dict(ready=True, version=version, cases=list(shapes))), flush=True)
    trainers = {}
    for line in sys.stdin:
        case = line.strip()
        if case not in shapes:
            print(json.dumps(dict(case=case, error=f"no such case; there are {list(shapes)}")), flush=True)
            continue
        if case not in trainers:
            trainers[case] = Trainer(shapes[case], args.mode)
        before = time.process_time()
        seconds, loss = trainers[case].step()
        cpu = time.process_time() - before
        work = shapes[case]["rows"] * shapes[case]["tokens"]
        print(json.dumps(dict(case=case, seconds=seconds, work=work, unit="token", loss=loss, cpu_seconds=cpu)), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(dict(peak_rss_bytes=peak)), flush=True)


if __name__ == "__main__":
    main()
