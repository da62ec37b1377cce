"""Runs: record one, find old ones, compare them. See :func:`start`, :func:`search`, :func:`compare`."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import _exit, _facts, _native, _values
from ._places import place
from ._record import Artifact, History, Point, Record
from ._run import Run
from .errors import InvalidError

__all__ = [
    "Artifact",
    "History",
    "Point",
    "Record",
    "Run",
    "compare",
    "get",
    "resume",
    "search",
    "start",
]


def start(
    *,
    experiment: str | None = None,
    name: str | None = None,
    params: object = None,
    tags: Mapping[str, object] | None = None,
    parent: "Run | Record | str | None" = None,
    store: str | os.PathLike[str] | None = None,
) -> Run:
    """Begins a run, which is running until it is ended.

    ``experiment`` groups runs (default: the name of the script). ``params`` are the settings: a dict, which may be
    nested, a dataclass or an ``argparse.Namespace``. ``parent`` is the run that this one belongs to (default:
    ``MYNAH_PARENT_RUN``). ``store`` is the ledger's file, or ``postgresql://HOST/DATABASE`` (default: ``MYNAH_STORE``, else ``ledger.db`` in ``MYNAH_HOME``,
    else ``~/.local/share/mynah/ledger.db``).

    Script, command, git revision, machine and versions are recorded as tags.

    >>> run = mynah.runs.start(experiment="mnist", name="a", params={"rate": 3e-4})
    >>> run.log({"loss": 0.5}, step=1)
    >>> run.end()

    or, so that an exception ends the run as failed:

    >>> with mynah.runs.start(experiment="mnist") as run:
    ...     run.log({"loss": 0.5}, step=1)
    """
    # What can be wrong is found before there is a run.
    pairs = _values.flatten(params) if params is not None else []
    all_tags = _facts.tags(_native.__version__)
    if tags is not None:
        all_tags |= _tag_texts(tags)
    named = experiment if experiment is not None else _facts.experiment()
    own_parent = parent.id if isinstance(parent, (Run, Record)) else parent
    run = Run(
        place(store),
        _values.text("the name of an experiment", named),
        None if name is None else _values.text("the name of a run", name),
        _facts.user(),
        list(all_tags.items()),
        own_parent if own_parent is not None else os.environ.get("MYNAH_PARENT_RUN") or None,
        own_parent is not None,
        None,
    )
    _exit.watch(run)
    if pairs:
        try:
            run._log_pairs(pairs, False)
        except BaseException as error:
            run.end("FAILED", reason=f"its params were refused: {error}")
            raise
    return run


def resume(run: "Record | str", *, store: str | os.PathLike[str] | None = None) -> Run:
    """Goes on in a run that was recorded before; it is running again. Points without a step come after its last.

    >>> run = mynah.runs.resume("3f2a91c0")
    """
    if isinstance(run, Record):
        named, where = run.id, run.store if store is None else place(store)
    else:
        named, where = run, place(store)
    again = Run(where, "", None, _facts.user(), [], None, False, named)
    _exit.watch(again)
    return again


def search(
    filter: str = "",
    *,
    order_by: str | Iterable[str] = (),
    experiment: str | Iterable[str] | None = None,
    limit: int | None = None,
    view: str = "active",
    store: str | os.PathLike[str] | None = None,
) -> list[Record]:
    """Runs that a filter fits, in MLflow's language: ``metrics.loss < 1 and params.rate = '0.1'``.

    ``order_by`` is ``metrics.loss``, ``attributes.start_time DESC`` or several; without it the newest come first.
    ``experiment`` is a name or several (default: all). ``view`` is ``active``, ``deleted`` or ``all``.

    >>> mynah.runs.search("metrics.loss < 1", order_by=["metrics.loss"], experiment="mnist", limit=5)
    """
    if limit is not None and limit < 0:
        raise InvalidError(f"limit is {limit}; it is a number of runs, or None for all")
    experiments = [experiment] if isinstance(experiment, str) else experiment
    orders = [order_by] if isinstance(order_by, str) else list(order_by)
    where = place(store)
    found = _native.search(
        where, filter, orders, None if experiments is None else list(experiments), limit, view
    )
    return [Record(where, **fields) for fields in found]


def get(run: str, *, store: str | os.PathLike[str] | None = None) -> Record:
    """One run by its id, the first characters of it, or its name.

    >>> mynah.runs.get("3f2a91c0").metrics["loss"]
    """
    where = place(store)
    return Record(where, **_native.get(where, run))


def compare(
    runs: "Iterable[Run | Record | str]",
    *,
    metrics: Iterable[str] = (),
    baseline: "Run | Record | str | None" = None,
    store: str | os.PathLike[str] | None = None,
) -> list[dict[str, Any]]:
    """Every run against a baseline (default: the first): what is better, what is worse, which params differ.

    ``metrics`` say which way a metric is better, which is never guessed: ``val_bpb:min``, ``accuracy:max``. Each
    answer has ``id``, ``name``, ``baseline_id``, ``is_on_front`` (nothing beats it in all of these metrics),
    ``deltas`` (``metric``, ``baseline``, ``value``, ``difference``, ``relative``, ``verdict``) and ``params``
    (``key``, ``from``, ``to``).

    >>> mynah.runs.compare(["3f2a91c0", "77b0de12"], metrics=["val_bpb:min"])[1]["deltas"]
    """
    ids = [_id(run) for run in runs]
    goals = [metrics] if isinstance(metrics, str) else list(metrics)
    return _native.compare(place(store), ids, goals, None if baseline is None else _id(baseline))


def _id(run: "Run | Record | str") -> str:
    return run.id if isinstance(run, (Run, Record)) else run


def _tag_texts(tags: Mapping[str, object]) -> dict[str, str]:
    found = {}
    for key, value in _values.as_mapping("tags", tags).items():
        key = _values.key_text("tag", key)
        found[key] = _values.text(f"the tag '{key}'", value)
    return found
