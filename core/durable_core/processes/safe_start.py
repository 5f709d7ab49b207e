"""How the Python processes of ours start: with no code from the current folder.

Python looks for modules in the current folder first when it is started with `-c`, as
`multiprocessing` does, or with `-m`, and wherever PYTHONPATH has an empty entry. A history is often
verified in a folder of downloads: a `socket.py` in there is not ours to run. The folder of the
handler is put on the path when the handler is loaded (`handler_modules`), and only then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from durable_core.runtimes.handler_modules import off_path

_SAFE_PATH: Final = "PYTHONSAFEPATH"
_OURS: Final = "durable"
"""Any value means yes: this one tells ours from the user's own."""


def start_variables(environment: Mapping[str, str], hash_seed: int | None = None) -> dict[str, str]:
    """Return the environment that a Python process of ours is started with; None: any hash seed.

    The process has to call `restore_environment` before it runs the user's code.
    """
    variables = dict(environment)
    variables.setdefault(_SAFE_PATH, _OURS)
    if hash_seed is not None:
        variables["PYTHONHASHSEED"] = str(hash_seed)
    if "PYTHONPATH" in variables:
        named = [each for each in variables["PYTHONPATH"].split(os.pathsep) if each]
        variables["PYTHONPATH"] = os.pathsep.join(named)
        if not named:
            del variables["PYTHONPATH"]
    return variables


@contextmanager
def starting(hash_seed: int | None = None) -> Iterator[None]:
    """Set this process's environment to `start_variables`, and leave the user's folders off its
    path, while `multiprocessing` starts a process, which takes both over."""
    before = dict(os.environ)
    wanted = start_variables(before, hash_seed)
    names = [name for name in {*before, *wanted} if before.get(name) != wanted.get(name)]
    _set(wanted, names)
    try:
        with off_path():
            yield
    finally:
        _set(before, names)


def restore_environment() -> None:
    """Undo in this process what the processes that the user's code starts are not to inherit."""
    if os.environ.get(_SAFE_PATH) == _OURS:
        del os.environ[_SAFE_PATH]


def _set(values: Mapping[str, str], names: list[str]) -> None:
    for name in names:
        if name in values:
            os.environ[name] = values[name]
        else:
            os.environ.pop(name, None)
