"""The end of the process, and its copies: what becomes of runs that nobody ended.

A run that is not ended when the interpreter exits is written to the last point. It becomes ``FAILED`` when an exception
ends the program and ``KILLED`` otherwise, never ``FINISHED``: from here a program that ended early looks like one that
came to its end.
"""

import atexit
import os
import sys

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._run import Run

#: Runs that are not ended. They are held here, so that one that nobody holds is not lost.
_live: dict[str, "Run"] = {}
_watched_by_multiprocessing = False
#: A fork waits this long for points that are not yet written.
FORK_WAIT_S = 10.0

UNENDED = "the program came to its end without run.end(), and not in a `with` block"


def watch(run: "Run") -> None:
    """Sees to it that the run is written when the process ends."""
    _live[run.id] = run
    _watch_multiprocessing()


def forget(run: "Run") -> None:
    """The run was ended."""
    if _live.get(run.id) is run:
        del _live[run.id]


def holds(run: "Run") -> bool:
    """Whether the run is this process's to end, and is not ended."""
    return _live.get(run.id) is run


def outcome(error: BaseException | None) -> tuple[str, str | None]:
    """Status and reason that an exception stands for."""
    match error:
        case None:
            return "FINISHED", None
        case SystemExit(code=None | 0):
            return "FINISHED", None
        case KeyboardInterrupt():
            return "KILLED", "interrupted"
        case SystemExit(code=code):
            return "FAILED", f"SystemExit: {code}"
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - somebody else's __str__
        words = "(its text cannot be made)"
    name = type(error).__name__
    return "FAILED", f"{name}: {words}" if words else name


def _end_all() -> None:
    error = sys.exception()
    if error is None and not hasattr(sys, "ps1"):
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    status, reason = ("KILLED", UNENDED) if error is None else outcome(error)
    if status == "FINISHED":
        status, reason = "KILLED", UNENDED
    for run in list(_live.values()):
        try:
            run.end(status, reason=reason)
        except Exception as trouble:  # noqa: BLE001 - the others must be written all the same
            counts = run.stats()
            print(
                f"mynah: the run {run.id} could not be ended: {trouble} ({counts['queued']} points not written)",
                file=sys.stderr,
            )
    _native.close()


def _watch_multiprocessing() -> None:
    # A process that multiprocessing forked ends without atexit.
    global _watched_by_multiprocessing
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if _watched_by_multiprocessing or process is None or util is None:
        return
    if process.parent_process() is not None:
        util.Finalize(None, _end_all, exitpriority=100)
        _watched_by_multiprocessing = True


def _before_fork() -> None:
    _native.before_fork(FORK_WAIT_S)


def _after_fork_in_child() -> None:
    global _watched_by_multiprocessing
    _watched_by_multiprocessing = False
    # The parent's runs are the parent's to end.
    _live.clear()
    _native.after_fork_in_child()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_native.after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
