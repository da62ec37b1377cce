"""Runs as they were recorded: values, points, files."""

import array
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

from . import _native


class Point(NamedTuple):
    """One measured point."""

    step: int
    timestamp_ms: int
    value: float


class Artifact(NamedTuple):
    """A file of a run: its path there, its length, its BLAKE3 digest."""

    path: str
    size_bytes: int
    digest: str


class History(Sequence[Point]):
    """The points of a metric by time. A sequence of :class:`Point`, and its columns as arrays.

    ``steps``, ``timestamps_ms`` and ``values`` are NumPy arrays where NumPy is installed, else ``array.array``.

    >>> history = mynah.runs.get("3f2a91c0").history("loss")
    >>> history[-1].value, history.values.min()
    """

    def __init__(self, columns: tuple[bytes, bytes, bytes]) -> None:
        self.steps = _column("q", columns[0])
        self.timestamps_ms = _column("q", columns[1])
        self.values = _column("d", columns[2])

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, at: int) -> Point: ...
    @overload
    def __getitem__(self, at: slice) -> list[Point]: ...
    def __getitem__(self, at: int | slice) -> Point | list[Point]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return Point(int(self.steps[at]), int(self.timestamps_ms[at]), float(self.values[at]))

    def __iter__(self) -> Iterator[Point]:
        columns = (self.steps, self.timestamps_ms, self.values)
        return map(Point._make, zip(*(column.tolist() for column in columns), strict=True))

    def __repr__(self) -> str:
        return f"<History of {len(self)} points>"


def _column(kind: str, data: bytes) -> Any:
    try:
        import numpy
    except ImportError:
        return array.array(kind, data)
    return numpy.frombuffer(data, dtype={"q": numpy.int64, "d": numpy.float64}[kind])


@dataclass(frozen=True, repr=False)
class Record:
    """A run as it was when it was asked for. ``metrics`` are the latest values, ``params`` and ``tags`` text.

    >>> record = mynah.runs.get("3f2a91c0")
    >>> record.status, record.metrics["loss"], record.params["rate"]
    """

    store: str
    id: str
    name: str
    experiment: str
    experiment_id: str
    #: ``RUNNING``, ``SCHEDULED``, ``FINISHED``, ``FAILED`` or ``KILLED``.
    status: str
    start_time_ms: int
    end_time_ms: int | None
    user: str
    parent_id: str | None
    is_deleted: bool
    #: Why it is kept out of comparisons, if it is.
    quarantine: str | None
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    #: Each with ``name``, ``digest``, ``source`` and ``context``.
    datasets: list[dict[str, str | None]] = field(default_factory=list)

    def history(self, key: str) -> History:
        """All points of a metric; none when it has no such metric.

        >>> record.history("loss").values
        """
        return History(_native.history(self.store, self.id, key))

    def artifacts(self) -> list[Artifact]:
        """The files of the run, by path.

        >>> [artifact.path for artifact in record.artifacts()]
        """
        return [Artifact(*found) for found in _native.artifacts(self.store, self.id)]

    def read_artifact(self, path: str) -> bytes:
        """The content of a file.

        >>> record.read_artifact("config.json")
        """
        return _native.read_artifact(self.store, self.id, path)

    def save_artifact(self, path: str, to: str | os.PathLike[str]) -> None:
        """Writes a file of the run to a place outside.

        >>> record.save_artifact("model/weights.safetensors", "weights.safetensors")
        """
        _native.save_artifact(self.store, self.id, path, os.fspath(to))

    def to_dict(self) -> dict[str, Any]:
        """One flat dict, for a data frame: ``metrics.loss``, ``params.rate``, ``tags.team`` and the rest.

        >>> pandas.DataFrame(run.to_dict() for run in mynah.runs.search())
        """
        plain = ("id", "name", "experiment", "status", "start_time_ms", "end_time_ms", "user", "parent_id")
        flat = {name: getattr(self, name) for name in plain}
        for group in ("metrics", "params", "tags"):
            flat |= {f"{group}.{key}": value for key, value in getattr(self, group).items()}
        return flat

    def __repr__(self) -> str:
        return f"<Record {self.id[:8]} {self.name!r} {self.status}>"
