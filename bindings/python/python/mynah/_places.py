"""Where the ledger is, by the same rules as the program ``mynah``."""

import os


def place(store: str | os.PathLike[str] | None) -> str:
    """The file that is meant: as given, else ``MYNAH_STORE``, else ``ledger.db`` in the home folder."""
    given = store if store is not None else os.environ.get("MYNAH_STORE") or None
    if given is None:
        home = os.environ.get("MYNAH_HOME") or os.path.expanduser("~/.local/share/mynah")
        given = os.path.join(home, "ledger.db")
    path = os.fspath(given)
    if not isinstance(path, str):
        raise TypeError(f"store is a path as text, not {type(path).__name__}")
    return path
