"""The variables of this process's environment, looked at as a whole without decoding each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

_ENVIRON: Final = os.environ
"""The one that the system's is changed by, whatever code of a handler puts in its place."""


def encoded_variables() -> dict[Any, Any]:
    """Return what `os.environ` keeps: names and values as the system has them. It isn't to be
    changed, and changes with the environment."""
    kept: dict[Any, Any] = vars(_ENVIRON)["_data"]
    return kept


def is_set(name: str) -> bool:
    """Tell whether a variable is set, whatever code of a handler would see of it."""
    return _ENVIRON.encodekey(name) in encoded_variables()


@contextmanager
def variables_kept() -> Iterator[None]:
    """Leave no change of the environment behind."""
    # Pairs, not names to look up: what is withheld from a handler notes each name looked up.
    before = dict(dict.items(encoded_variables()))
    try:
        yield
    finally:
        if encoded_variables() != before:
            _restore(before)


def _restore(before: Mapping[Any, Any]) -> None:
    decode = _ENVIRON.decodekey
    for name in encoded_variables().keys() - before.keys():
        del _ENVIRON[decode(name)]
    for name, value in before.items():
        if encoded_variables().get(name) != value:
            _ENVIRON[decode(name)] = decode(value)
