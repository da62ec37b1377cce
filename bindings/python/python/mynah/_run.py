"""A run that is being recorded; the calls of every step are in the compiled half."""

import os
import stat
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from . import _exit, _facts, _native, _values


class Run(_native.Run):
    """A run that is being recorded, made by :func:`mynah.runs.start`. Any thread may use it.

    :meth:`log` and :meth:`log_metric` put points into a queue, which a thread of its own writes; they wait only when
    the queue is full, and nothing is dropped. Everything else is in the store when the call returns.
    """

    def log_params(self, params: object) -> None:
        """Records settings: a dict, which may be nested, a dataclass or an ``argparse.Namespace``.

        A param is written once; another value for the same key is an error.

        >>> run.log_params({"rate": 3e-4, "optimizer": {"name": "adamw", "betas": (0.9, 0.95)}})
        """
        self._log_pairs(_values.flatten(params), False)

    def set_tag(self, key: str, value: object) -> None:
        """Sets a tag, which may be overwritten.

        >>> run.set_tag("team", "vision")
        """
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Sets tags.

        >>> run.set_tags({"team": "vision", "note": "with the new data"})
        """
        pairs = []
        for key, value in _values.as_mapping("tags", tags).items():
            key = _values.key_text("tag", key)
            pairs.append((key, _values.text(f"the tag '{key}'", value)))
        self._log_pairs(pairs, True)

    def log_artifact(self, path: str | os.PathLike[str], to: str | None = None) -> list[str]:
        """Keeps a file, or a folder with all in it, and says under which paths. ``to`` is the path in the run
        (default: the name of the file or folder).

        >>> run.log_artifact("plots/loss.png", to="figures/loss.png")
        """
        source = os.fsdecode(path)
        name = to if to is not None else os.path.basename(os.path.abspath(source))
        if not os.path.isdir(source):
            files = [(source, name)]
        else:
            files = []
            for folder, folders, names in os.walk(source, onerror=_raise):
                folders.sort()
                inside = os.path.relpath(folder, source).replace(os.sep, "/")
                for file in sorted(names):
                    parts = [name.rstrip("/"), "" if inside == "." else inside, file]
                    files.append((os.path.join(folder, file), "/".join(part for part in parts if part)))
        for file, target in files:
            _values.text("the path of an artifact", target)
            if not stat.S_ISREG(os.stat(file).st_mode):
                raise ValueError(f"{file!r} is not a regular file and cannot be kept")
        for file, target in files:
            self._log_file(file, target)
        return [target for _, target in files]

    def log_dataset(
        self,
        name: str,
        source: str | os.PathLike[str] | None = None,
        *,
        digest: str | None = None,
        context: str = "train",
        schema: object = None,
        profile: object = None,
    ) -> str:
        """Says which data went in, and gives its digest.

        ``source`` is a file, a folder or a URL. The digest of a file is BLAKE3 of its content; for everything else
        give one. ``context`` says what the data was for. ``schema`` and ``profile`` become JSON.

        >>> run.log_dataset("stories", "data/stories.parquet", context="train")
        """
        place = "" if source is None else os.fsdecode(source)
        scheme = place.split("://", 1)[0] if "://" in place else "local"
        if digest is None:
            if not os.path.isfile(place):
                raise ValueError(f"the dataset {name!r} needs digest=: its source {place!r} is not a file here")
            digest = self._digest(place)
        if scheme == "local" and os.path.exists(place):
            place = os.path.abspath(place)
        self._log_dataset(
            _values.text("the name of a dataset", name),
            _values.text("the digest of a dataset", digest),
            scheme,
            _facts.as_json({"uri": place} if place else {}),
            None if schema is None else _facts.as_json(schema),
            None if profile is None else _facts.as_json(profile),
            context,
        )
        return digest

    def end(self, status: str = "FINISHED", *, reason: str | None = None) -> None:
        """Writes what still waits and ends the run as ``FINISHED``, ``FAILED`` or ``KILLED``. A second call does nothing.

        ``reason`` becomes the tag ``mynah.error``. When the store cannot be written an error is raised, and the run can
        be ended again.

        >>> run.end()
        """
        if self.has_ended:
            return
        tags = [] if reason is None else [("mynah.error", _facts.clip(reason))]
        self._end(status, tags)
        _exit.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not _exit.holds(self):
            # Ended before, or a child leaves its parent's block and the run is not its to end.
            return
        status, reason = _exit.outcome(error)
        if error is None:
            self.end(status, reason=reason)
            return
        try:
            if status == "FAILED":
                lines = "".join(traceback.format_exception(error))
                self.set_tag("mynah.traceback", _facts.clip(lines[-_facts.CLIP :]))
            self.end(status, reason=reason)
        except Exception as trouble:  # noqa: BLE001 - the first error is the one worth telling
            error.add_note(f"and the run {self.id} could not be ended: {trouble}")

    def __reduce__(self) -> str:
        raise TypeError(
            "a run cannot be sent to another process; send run.id, and log in this one or start a run there"
        )

    def __repr__(self) -> str:
        state = "ended" if self.has_ended else "running"
        return f"<Run {self.id[:8]} {self.name!r} {state}>"


def _raise(error: OSError) -> None:
    raise error
