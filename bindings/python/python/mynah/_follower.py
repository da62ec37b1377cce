"""A serving engine of others that follows versions of weights: staged and checked first, taken at one word."""

from collections.abc import Callable, Iterable, Sequence

from . import weights
from .errors import MismatchError, StateError

Rules = Sequence[tuple[str, str]]


class Follower:
    """Keeps the version that an engine serves, the one before, and the one that is staged.

    ``load`` gets the tensors that differ, as pairs of name and ``torch.Tensor``, under the engine's names.
    """

    def __init__(self, base: weights.Weights, load: Callable[[list], None], rules: Rules | None = None):
        self.live = base
        self.previous: weights.Weights | None = None
        self.staged: weights.Weights | None = None
        self._load = load
        self._rules = rules
        # Before anything is moved: a name that no rule knows is found here, not at the first commit.
        self._tensors(base, [name for name, _, _ in base.tensors()], read=False)

    def stage(self, stream: bytes) -> str:
        """Builds and checks the version that a stream leads to; what is served stays."""
        self.staged = self.live.apply(stream)
        return self.staged.version

    def commit(self, version: str) -> str:
        """Loads the staged version, which must be the one named."""
        if self.staged is None:
            raise StateError("no version is staged")
        if self.staged.version != version:
            raise MismatchError(f"staged is {self.staged.version}, not {version}")
        self._take(self.staged)
        self.staged = None
        return version

    def rollback(self) -> str:
        """Loads the version before again."""
        if self.previous is None:
            raise StateError("there is no version before this one")
        self._take(self.previous)
        self.staged = None
        return self.live.version

    def status(self) -> dict:
        """Versions: live, previous, staged."""
        named = {"live": self.live, "previous": self.previous, "staged": self.staged}
        return {name: held.version if held else None for name, held in named.items()}

    def _take(self, version: weights.Weights) -> None:
        self._load(self._tensors(version, version.changed(self.live)))
        self.previous, self.live = self.live, version

    def _tensors(self, version: weights.Weights, names: Iterable[str], read=True) -> list:
        wanted = {name: name for name in names}
        named = weights.rename(wanted, self._rules) if self._rules else wanted
        if not read:
            return []
        kinds = {name: (dtype, shape) for name, dtype, shape in version.tensors()}
        return [(target, tensor(version.read(name), *kinds[name])) for target, name in named.items()]


def tensor(data: bytes, dtype: str, shape: tuple[int, ...]):
    """A tensor of torch from bytes."""
    import torch

    kinds = {safetensors: name for name, safetensors in weights._DTYPES.items()}
    if dtype not in kinds:
        raise MismatchError(f"torch has no type for {dtype}")
    if not data:
        return torch.empty(shape, dtype=getattr(torch, kinds[dtype]))
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, kinds[dtype])).reshape(shape)
