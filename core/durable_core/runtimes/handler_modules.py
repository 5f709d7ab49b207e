"""The modules of the user's project: how they get into this process, and which are theirs.

A module that has the name of one of Python's or of one that is loaded already, or a name that no
import can say, is imported under another name (`own_names`): nothing of ours is replaced.
"""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

from durable_core.runtimes.aws_python.installed import PACKAGE
from durable_core.runtimes.handler_place import Place
from durable_core.runtimes.own_names import OWN_NAMES

_KEPT: Final = frozenset({"durable_core", "durable_cli", "__main__", "__mp_main__", PACKAGE})
_PATHS: Final = sysconfig.get_paths()  # once: each `get_path` finds all
_LIBRARIES: Final = tuple(
    path + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    for path in (_PATHS[name], str(Path(_PATHS[name]).resolve()))
)
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


_put: set[str] = set()
"""Folders that are on `sys.path` because of a handler."""


def put_on_path(place: Place) -> None:
    """Put the handler's folder first on `sys.path`, as Lambda's task root is, and those of the
    project last; nothing else of it changes."""
    for each in map(str, place.last):
        if each not in sys.path:
            sys.path.append(each)
            _put.add(each)
    if place.first is not None:
        _put_first(str(place.first))
    importlib.invalidate_caches()
    if place.first is not None:
        OWN_NAMES.share(place.first, _is_loaded_from)


def _put_first(folder: str) -> None:
    if folder not in sys.path:
        _put.add(folder)
    elif sys.path[0] != folder:
        sys.path.remove(folder)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)


@contextmanager
def off_path() -> Iterator[None]:
    """Take those folders off `sys.path`, while a process is started that takes the path over."""
    before = list(sys.path)
    sys.path[:] = [each for each in before if each not in _put]
    try:
        yield
    finally:
        sys.path[:] = before


# -- names -------------------------------------------------------------------------------------


def import_name(place: Place) -> str:
    """Return the name under which the module is imported: its own, where that can be."""
    top, *rest = place.parts
    if place.top is not None and ("." in top or _is_taken(top, place.top)):
        top = OWN_NAMES.alias(place.top, "", top)
    if rest and place.file is not None and "." in rest[-1]:
        package = ".".join([top, *rest[:-1]])
        return OWN_NAMES.alias(place.file, f"{package}.", rest[-1])
    return ".".join([top, *rest])


def _is_taken(name: str, own: Path) -> bool:
    """Tell whether a module from elsewhere has the name here, or would get it."""
    if name not in sys.modules:
        return name in sys.stdlib_module_names
    return not _is_loaded_from(name, own)


def _is_loaded_from(name: str, own: Path) -> bool:
    loaded = sys.modules.get(name)
    return loaded is not None and any(_is_at(found, own) for found in _locations(loaded))


def _is_at(found: str, own: Path) -> bool:
    path = Path(found).resolve()
    return own.resolve() in (path, path.parent)


def file_in_place_of(package: str) -> str | None:
    """Return the name of the user's file that has the name of an installed package, and is loaded
    in its place; None: none has."""
    loaded = sys.modules.get(package)
    found = [] if loaded is None else _locations(loaded)
    if not found or _is_library(found[0]):
        return None
    libraries = [each for each in sys.path if _is_library(each + os.sep)]
    is_installed = PathFinder.find_spec(package, libraries) is not None
    return Path(found[0]).name if is_installed else None


# -- whose they are ----------------------------------------------------------------------------


def forget_modules(before: Iterable[str], folders: Iterable[Path], own: Iterable[str]) -> None:
    """Unload the user's modules that weren't there before.

    Theirs is what is in one of the folders or in an editable install, and no part of an installed
    package. A package with compiled modules, which no process loads twice, stays, unless its name
    is among `own`: the handler's.
    """
    kept = set(before)
    listed = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    searched = [Path(each).resolve() for each in listed if each]
    found: dict[str, bool] = {}
    compiled: set[str] = set()
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if name in kept or top in _KEPT:
            continue
        if not issubclass(type(module), ModuleType):  # what a module put there in its place
            if top in own:
                found[name] = False
            continue
        locations = _locations(module)
        if not locations or any(map(_is_library, locations)):
            continue
        paths = [Path(each).resolve() for each in locations]
        if not _are_in(paths, folders) and _are_in(paths, searched):
            continue
        found[name] = any(str(path).endswith(tuple(EXTENSION_SUFFIXES)) for path in paths)
        if found[name]:
            compiled.add(top)
    # All are found before the first is forgotten: a namespace package asks for its parent.
    for name, is_compiled in found.items():
        if not is_compiled and name.partition(".")[0] not in compiled - set(own):
            del sys.modules[name]


def _are_in(paths: Iterable[Path], folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for path in paths for folder in folders)


def _is_library(path: str) -> bool:
    return path.startswith(_LIBRARIES) or not _INSTALLED.isdisjoint(Path(path).parts)


def _locations(module: ModuleType) -> list[str]:
    """Return the file of a module, or the folders of a package that has none."""
    if not issubclass(type(module), ModuleType):  # whose attributes may do anything
        return []
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return [file]
    path = getattr(module, "__path__", ())
    try:
        return list(path)
    except KeyError:  # a namespace package whose parent is gone
        return list(getattr(path, "_path", ()))
