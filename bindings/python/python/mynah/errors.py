"""What can go wrong. Each is a :class:`MynahError` and also the exception that Python has for such a thing."""

__all__ = [
    "AlreadyExistsError",
    "BusyError",
    "DeniedError",
    "EndedError",
    "ForkError",
    "InvalidError",
    "MismatchError",
    "MynahError",
    "NewerSchemaError",
    "NotFoundError",
    "StateError",
    "StorageError",
]


class MynahError(Exception):
    """Every error of this package that is not a plain ``TypeError`` or ``ValueError`` of an argument.

    >>> try:
    ...     mynah.runs.get("no such run")
    ... except mynah.MynahError as error:
    ...     print(error)
    """


class NotFoundError(MynahError, LookupError):
    """No such run, experiment, artifact or ledger."""


class AlreadyExistsError(MynahError, ValueError):
    """The name is taken."""


class InvalidError(MynahError, ValueError):
    """A name, a length, a filter or a value is wrong."""


class StateError(MynahError, RuntimeError):
    """Right in itself, but not in the state that the ledger is in."""


class MismatchError(MynahError, ValueError):
    """Content that is not what its digest says, or that belongs to another base, model or shape."""


class EndedError(StateError):
    """The run was ended and takes nothing more."""


class ForkError(MynahError, RuntimeError):
    """A run of the parent process, or a store that cannot be opened after a fork."""


class BusyError(MynahError, TimeoutError):
    """Another process held the store for too long, or it takes no points."""


class StorageError(MynahError, OSError):
    """The file system or the database refused, or is damaged."""


class NewerSchemaError(StorageError):
    """A newer version of Mynah wrote the ledger; it was left untouched."""


class DeniedError(MynahError, PermissionError):
    """The ledger cannot be written here."""
