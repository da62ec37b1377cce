"""Versions of weights: named by their content, moved by their differences, pushed into live servers.

>>> from mynah import weights
>>> old = weights.open("step-100")                      # a folder of safetensors
>>> new = weights.of(model.state_dict(), model="step")  # or tensors in memory (torch, numpy)
>>> stream = new.delta(old)                             # exact; small when little has changed
>>> old.apply(stream).version == new.version            # every chunk is checked
True
>>> weights.push("step-101", to=["http://127.0.0.1:8000"], base="step-100")

``push``, ``rollback`` and ``status`` run the program ``mynah`` (``MYNAH_BIN``, or from ``PATH``).
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import _native
from .errors import InvalidError, MynahError, NotFoundError

__all__ = ["Mapped", "Weights", "of", "open", "push", "rename", "rollback", "status"]

#: Types of numpy and torch by the names of safetensors.
_DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16",
    "bfloat16": "BF16", "uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64",
    "float64": "F64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


class Weights:
    """A version of weights. Made by :func:`open`, :func:`of` and :meth:`apply`."""

    def __init__(self, native: _native.Weights):
        self._native = native

    @property
    def version(self) -> str:
        """The digest of the manifest, ``blake3:…``: the same for the same tensors, model, epoch and parent."""
        return self._native.version

    @property
    def manifest(self) -> dict:
        """The manifest: head and tensors with their digests."""
        return json.loads(self._native.json())

    def tensors(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Name, dtype (as safetensors writes it) and shape of each tensor."""
        return [(name, dtype, tuple(shape)) for name, dtype, shape in self._native.tensors()]

    def read(self, name: str) -> bytes:
        """The bytes of a tensor: row-major, little-endian."""
        data = self._native.read(name)
        if data is None:
            raise NotFoundError(f"there is no tensor {name!r} in version {self.version}")
        return data

    def changed(self, base: "Weights") -> list[str]:
        """Names of the tensors that are new, or whose content differs from ``base``."""
        return self._native.changed(base._native)

    def plan(self, base: "Weights") -> dict:
        """What a server that has ``base`` needs: changes, bytes, share."""
        return json.loads(self._native.plan(base._native))

    def delta(self, base: "Weights") -> bytes:
        """The stream from ``base`` to this version, exact to the last bit."""
        return self._native.delta(base._native)

    def apply(self, stream: bytes) -> "Weights":
        """The version that a stream leads to from this one. Raises :class:`~mynah.errors.MismatchError` for a stream
        from another base, or of which a chunk is not what the new manifest says."""
        return Weights(self._native.apply(bytes(stream)))

    def save(self, folder: str | os.PathLike) -> None:
        """Writes ``model.safetensors`` and the manifest into a folder."""
        self._native.save(Path(folder))

    def __repr__(self) -> str:
        return f"<Weights {self.version}, {len(self.tensors())} tensors>"


def open(folder, *, model: str | None = None, epoch: int | None = None, parent: str | None = None) -> Weights:
    """The weights of a folder of safetensors; every byte is read and hashed. A manifest that lies there is used unless
    ``model`` or ``epoch`` are given."""
    return Weights(_native.Weights.open(Path(folder), model, epoch, parent))


def of(tensors: Mapping, *, model: str, epoch: int | None = None, parent: str | None = None, partial=False) -> Weights:
    """Weights in memory: names with numpy arrays, torch tensors, or ``(dtype, shape, bytes)``. The bytes are copied.

    ``partial``: tensors that are not named stay as they are in the version before.
    """
    given = [(name, *_parts(name, tensor)) for name, tensor in tensors.items()]
    return Weights(_native.Weights.of(given, model, epoch, parent, partial))


def _parts(name: str, tensor) -> tuple[str, list[int], memoryview]:
    if isinstance(tensor, tuple):
        dtype, shape, data = tensor
        return dtype, list(shape), memoryview(data).cast("B")
    dtype = getattr(tensor, "dtype", "")
    # A dtype of numpy has a name without its byte order, one of torch is its name.
    kind = getattr(dtype, "name", str(dtype).removeprefix("torch."))
    if kind not in _DTYPES:
        raise InvalidError(f"tensor {name!r} is a {type(tensor).__name__} of dtype {kind or 'none'}; give an array, "
                           "a tensor, or (dtype, shape, bytes)")  # fmt: skip
    shape = [int(extent) for extent in tensor.shape]
    if hasattr(tensor, "detach"):
        import torch

        tensor = tensor.detach().cpu().contiguous()
        # Not every dtype of torch is one of numpy; all are bytes.
        return _DTYPES[kind], shape, memoryview(tensor.reshape(-1).view(torch.uint8).numpy()).cast("B")
    if tensor.dtype.byteorder == ">":
        tensor = tensor.astype(tensor.dtype.newbyteorder("<"))
    return _DTYPES[kind], shape, memoryview(tensor.tobytes())


class Mapped(dict):
    """Tensors under their new names. ``unmapped``: names that no rule matched; they are left out."""

    unmapped: list[str]


def rename(tensors: Mapping, rules: Iterable[tuple[str, str]], *, strict=True) -> Mapped:
    """Names tensors anew, for engines that call them otherwise.

    Each rule is a regular expression for the whole name and what it becomes; the first that matches counts, and an
    empty result drops the tensor. With ``strict`` a name that no rule matches is an error that lists all of them;
    without it, ``unmapped`` lists them: that is the dry run.

    >>> rename({"blocks.0.wq": q}, [(r"blocks\\.(\\d+)\\.wq", r"model.layers.\\1.self_attn.q_proj.weight")])
    """
    compiled = [(re.compile(pattern), target) for pattern, target in rules]
    mapped = Mapped()
    mapped.unmapped = []
    for name, tensor in tensors.items():
        found = next(((match, target) for pattern, target in compiled if (match := pattern.fullmatch(name))), None)
        if found is None:
            mapped.unmapped.append(name)
            continue
        target = found[0].expand(found[1])
        if target in mapped:
            raise InvalidError(f"two tensors become {target!r}; the second is {name!r}")
        if target:
            mapped[target] = tensor
    if strict and mapped.unmapped:
        raise InvalidError(f"no rule matches {', '.join(mapped.unmapped)}")
    return mapped


def push(checkpoint, to: Iterable[str], *, base=None, policy="finish", key=None, admin_key=None, program=None) -> dict:
    """Pushes a version into live servers, all of them or none: a folder, or :class:`Weights`. Gives the report: version,
    epoch, bytes, seconds. Raises :class:`~mynah.errors.MynahError` with the reason when the servers keep what they had.

    ``base``: the folder of the version that the servers have, so that only what changed inside chunks is sent.
    ``policy``: what becomes of answers under way: finish, continue, recompute, abort.
    ``key``: file of the Ed25519 key to sign with. ``admin_key``: the servers' (also ``MYNAH_ADMIN_KEY``).
    """
    options = ["--policy", policy, *(["--base", os.fspath(base)] if base else [])]
    if key:
        options += ["--key", os.fspath(key)]
    if not isinstance(checkpoint, Weights):
        return _run("push", to, admin_key, program, [*options, "--", os.fspath(checkpoint)])
    with tempfile.TemporaryDirectory(prefix="mynah-push-") as folder:
        checkpoint.save(folder)
        # The servers' epochs are theirs: the program makes a manifest that follows them.
        for path in Path(folder).glob("weights.manifest*"):
            path.unlink()
        return _run("push", to, admin_key, program, [*options, "--", folder])


def rollback(to: Iterable[str], *, policy="finish", key=None, admin_key=None, program=None) -> dict:
    """Takes live servers back to the version before; no weights are sent."""
    options = ["--policy", policy, *(["--key", os.fspath(key)] if key else [])]
    return _run("rollback", to, admin_key, program, options)


def status(to: Iterable[str], *, admin_key=None, program=None) -> list[dict]:
    """What live servers serve: ``server`` and ``status`` (or ``error``) of each."""
    return _run("status", to, admin_key, program, [])


def _run(verb: str, to: Iterable[str], admin_key: str | None, program, options: list[str]):
    program = program or os.environ.get("MYNAH_BIN") or shutil.which("mynah")
    if not program:
        raise NotFoundError("the program mynah is not on PATH; give its path as `program`, or as MYNAH_BIN")
    servers = [to] if isinstance(to, str) else list(to)
    # A command line can be read by everybody on the machine.
    environment = {**os.environ, **({"MYNAH_ADMIN_KEY": admin_key} if admin_key else {})}
    command = [os.fspath(program), "weights", verb, "--json"]
    for server in servers:
        command += ["--to", server]
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if verb == "status" and lines:
        return json.loads(lines[-1])
    if done.returncode != 0 or not lines:
        raise MynahError(done.stderr.strip().removeprefix("error: ") or f"mynah weights {verb} failed")
    return json.loads(lines[-1])
