"""Writes ops.json: operations of the op table on small inputs, with PyTorch's results and gradients.

    python make_golden.py    (needs torch)

Each case is {"op", "args", "output", "grads"}. An argument is a tensor {"shape", "data"} (with "ids" or
"mask" instead of "data" for integers and booleans), a list of tensors {"tensors"}, or a plain value. The
gradients are those of sum(output * factors), factors being fixed by their position, for each argument
that holds floats, in order.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
cases = []


def factors(shape):
    count = math.prod(shape)
    return torch.tensor([((i * 7919 + 13) % 101) / 50.0 - 1.0 for i in range(count)]).reshape(shape)


def numbers(tensor):
    return [float(f"{x:.12g}") for x in tensor.detach().flatten().tolist()]


def written(value):
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
        return {"tensors": [written(x) for x in value]}
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype == torch.bool:
        return {"shape": list(value.shape), "mask": value.flatten().tolist()}
    if value.dtype == torch.int64:
        return {"shape": list(value.shape), "ids": value.flatten().tolist()}
    return {"shape": list(value.shape), "data": numbers(value)}


def case(op, args, f, constants=()):
    """Runs f on the arguments and notes everything."""
    leaves = []

    def leaf(value):
        if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
            return [leaf(x) for x in value]
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            value = value.clone().requires_grad_()
            leaves.append(value)
        return value

    given = [arg if i in constants else leaf(arg) for i, arg in enumerate(args)]
    output = f(*given)
    if output.is_floating_point() and output.requires_grad:
        (output * factors(output.shape)).sum().backward()
    grads = [numbers(x.grad if x.grad is not None else torch.zeros_like(x)) for x in leaves]
    plain = output if output.is_floating_point() else output.to(torch.float64)
    cases.append({
        "op": op,
        "args": [written(arg) for arg in args],
        "output": {"shape": list(output.shape), "data": numbers(plain)},
        "grads": grads if output.requires_grad else [],
    })


def n(*shape):
    return torch.randn(shape).mul(1000).round().div(1000)


def p(*shape):
    return torch.rand(shape).mul(1500).round().div(1000) + 0.5


def ids(below, *shape):
    return torch.randint(0, below, shape)


for name, f in {
    "neg": torch.neg, "exp": torch.exp, "sin": torch.sin, "cos": torch.cos, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid, "relu": torch.relu, "silu": F.silu, "square": torch.square, "abs": torch.abs,
    "gelu": lambda x: F.gelu(x, approximate="tanh"), "relu_square": lambda x: F.relu(x).square(),
}.items():
    case(name, [n(2, 5)], f)
for name, f in {"log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt}.items():
    case(name, [p(7)], f)
case("pow", [p(4), -1.5], torch.pow)
case("clamp", [n(8), -0.5, 0.5], torch.clamp)
for name, f in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "power": torch.pow}.items():
    case(name, [p(2, 1, 3), p(4, 1)], f)
for name, f in {"maximum": torch.maximum, "minimum": torch.minimum}.items():
    case(name, [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 2.0])], f)
for name, f in {"eq": torch.eq, "lt": torch.lt, "ge": torch.ge}.items():
    case(name, [ids(3, 2, 4), ids(3, 4)], f)
case("where_", [torch.rand(3, 4) > 0.5, n(3, 1), n(4)], torch.where)
for name, f in {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}.items():
    case(name, [n(2, 3, 4), [0, -1], True], lambda x, dims, keep: f(x, dims, keepdim=keep))
    case(name, [n(3, 4), [1], False], lambda x, dims, keep: f(x, dims, keepdim=keep))
case("max", [torch.tensor([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]]), [1], False], lambda x, d, k: torch.amax(x, d))
case("argmax", [n(3, 5), 1, False], lambda x, dim, keep: torch.argmax(x.detach(), dim))
case("argmin", [n(3, 5), 0, True], lambda x, dim, keep: torch.argmin(x.detach(), dim, keepdim=True))
case("softmax", [n(2, 5, 3), 1], lambda x, dim: torch.softmax(x, dim))
case("log_softmax", [n(3, 6), -1], lambda x, dim: torch.log_softmax(x, dim))
case("matmul", [n(2, 1, 3, 4), n(5, 4, 2)], torch.matmul)
case("matmul", [n(3, 4), n(4)], torch.matmul)
case("permute", [n(2, 3, 4), [2, 0, 1]], lambda x, order: x.permute(order))
case("reshape", [n(2, 6), [3, -1]], lambda x, shape: x.reshape(shape))
case("slice", [n(3, 7), 1, 1, -1, 2], lambda x, dim, start, end, step: x[:, start:end:step])
case("expand", [n(3, 1), [2, 3, 4]], lambda x, shape: x.expand(shape))
case("index_select", [n(4, 3), 0, ids(4, 6)], torch.index_select)
case("gather", [n(3, 5), 1, ids(5, 2, 4)], torch.gather)
case("cat", [[n(2, 3), n(2, 2)], 1], lambda xs, dim: torch.cat(xs, dim))
case("stack", [[n(2, 3), n(2, 3)], -1], lambda xs, dim: torch.stack(xs, dim))
case("linear", [n(2, 3, 5), n(4, 5)], F.linear)
case("mlp_relu_square", [n(2, 3), n(6, 3), n(2, 6)], lambda x, a, b: F.linear(F.relu(F.linear(x, a)).square(), b))
eps = float(torch.finfo(torch.float32).eps)
case("rms_norm", [n(3, 6), eps], lambda x, eps: F.rms_norm(x, (6,), eps=eps))


def rope(x, cos, sin, pos0, norm, scale):
    length, half = x.shape[1], x.shape[3] // 2
    c, s = cos[pos0 : pos0 + length, None], sin[pos0 : pos0 + length, None]
    first, second = x[..., :half], x[..., half:]
    y = torch.cat([first * c + second * s, second * c - first * s], 3)
    return (F.rms_norm(y, (2 * half,), eps=eps) if norm else y) * scale


angles = torch.outer(torch.arange(6.0), torch.tensor([1.0, 0.1]))
for norm in [True, False]:
    case("rope_norm", [n(2, 4, 2, 4), angles.cos(), angles.sin(), 1, norm, 1.2], rope, constants=(1, 2))


def attention(q, k, v, window, scale):
    length = q.shape[1]
    i, j = torch.arange(length)[:, None], torch.arange(length)[None]
    seen = (j <= i) & (j >= i - (length if window is None else window))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale, enable_gqa=True)
    return y.transpose(1, 2)


for window in [None, 2]:
    case("attention", [n(1, 5, 4, 3), n(1, 5, 2, 3), n(1, 5, 2, 3), window, 0.6], attention)
case("gated_add", [n(2, 2, 3), n(2, 2), n(2, 2, 3)], lambda v, gate, ve: v + gate[..., None] * ve)
case("shift_gated_add", [n(2, 4, 3), n(2, 4)],
     lambda x, g: torch.cat([x[:, :1], x[:, 1:] + g[:, 1:, None] * x[:, :-1]], 1))
case("scaled_sum", [n(1), n(2, 3), n(1), n(2, 3)], lambda a, x, b, z: a * x + b * z)
case("embedding", [n(5, 3), ids(5, 2, 4)], lambda table, ids: F.embedding(ids, table))
targets = torch.tensor([0, 3, -1, 2, 4])
for reduction in ["mean", "sum", "none"]:
    case("cross_entropy", [n(5, 6), targets, reduction],
         lambda x, t, reduction: F.cross_entropy(x, t, ignore_index=-1, reduction=reduction))
    for cap in [None, 1.5]:
        case("linear_cross_entropy", [n(5, 3), n(6, 3), targets, cap, reduction],
             lambda x, w, t, cap, reduction: F.cross_entropy(
                 F.linear(x, w) if cap is None else cap * torch.tanh(F.linear(x, w) / cap),
                 t, ignore_index=-1, reduction=reduction))

text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
pathlib.Path(__file__).with_name("ops.json").write_text("[\n" + text + "\n]\n")
print(len(cases), "cases")
