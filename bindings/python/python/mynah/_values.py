"""Params and tags as the ledger holds them: text by key, every leaf of a nested value on its own."""

import dataclasses
from collections.abc import Mapping
from typing import Any

#: Values deeper than this are refused; a dict that holds itself has no end.
DEPTH_MAX = 32


def text(what: str, value: object) -> str:
    """One value as text. ``None`` is ``none``, a bool ``true`` or ``false``, as the program ``mynah`` writes it."""
    if isinstance(value, str):
        out = str(value)
    elif value is None:
        out = "none"
    elif isinstance(value, bool):
        out = "true" if value else "false"
    else:
        out = str(value)
    try:
        out.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} is not valid Unicode: {out[:80]!r}") from None
    return out


def key_text(what: str, key: object) -> str:
    """A key; only text and numbers are names."""
    if isinstance(key, (str, int)) and not isinstance(key, bool):
        return text(f"the key of a {what}", key)
    raise TypeError(f"the key of a {what} is text, not a {type(key).__name__}: {key!r:.80}")


def as_mapping(what: str, values: object) -> Mapping[Any, Any]:
    """A dict, a dataclass, or an object with attributes such as ``argparse.Namespace``."""
    if isinstance(values, Mapping):
        return values
    if dataclasses.is_dataclass(values) and not isinstance(values, type):
        return dataclasses.asdict(values)
    if hasattr(values, "__dict__") and not isinstance(values, type):
        return vars(values)
    raise TypeError(f"{what} are a dict of values by name, not a {type(values).__name__}")


def flatten(values: object) -> list[tuple[str, str]]:
    """Every leaf with its path: ``optimizer.betas.0``."""
    out: list[tuple[str, str]] = []
    for key, value in as_mapping("params", values).items():
        _flatten(key_text("param", key), value, out, 1)
    return out


def _flatten(path: str, value: object, out: list[tuple[str, str]], depth: int) -> None:
    if depth > DEPTH_MAX:
        raise ValueError(f"the param '{path[:80]}' is nested more than {DEPTH_MAX} deep")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _flatten(f"{path}.{key_text('param', key)}", inner, out, depth + 1)
    elif isinstance(value, (list, tuple)) and value:
        for index, inner in enumerate(value):
            _flatten(f"{path}.{index}", inner, out, depth + 1)
    else:
        out.append((path, text(f"the param '{path}'", value)))
