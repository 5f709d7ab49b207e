"""The modules of the user's project: how they get into this process, and which are theirs.

A module that has the name of one that is loaded already (of Python, or of an installed package),
or a name that no import can say, is imported under another name: nothing of ours is replaced.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES, FrozenImporter, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from durable_core.adapters.aws_sdk.installed import PACKAGE
from durable_core.adapters.handler_place import Place

_KEPT: Final = frozenset({"durable_core", "durable_cli", "__main__", "__mp_main__", PACKAGE})
_LIBRARIES: Final = tuple(
    path + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    for path in (sysconfig.get_path(name), str(Path(sysconfig.get_path(name)).resolve()))
)
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


def put_on_path(place: Place) -> None:
    """Put the handler's folder first on `sys.path`, as Lambda's task root is, and those of the
    project last; nothing else of it changes."""
    first = str(place.first)
    if sys.path[:1] != [first]:
        if first in sys.path:
            sys.path.remove(first)
        sys.path.insert(0, first)
    for each in map(str, place.last):
        if each not in sys.path:
            sys.path.append(each)
    importlib.invalidate_caches()


# -- names -------------------------------------------------------------------------------------


def import_name(place: Place) -> str:
    """Return the name under which the module is imported: its own, where that can be."""
    top, *rest = place.parts
    if place.top is not None and ("." in top or _is_taken(top, place.top)):
        top = _ALIASES.of(place.top, "", top)
    if rest and place.file is not None and "." in rest[-1]:
        package = ".".join([top, *rest[:-1]])
        return _ALIASES.of(place.file, f"{package}.", rest[-1])
    return ".".join([top, *rest])


def _is_taken(name: str, own: Path) -> bool:
    """Tell whether a module from elsewhere has the name here, or would get it."""
    loaded = sys.modules.get(name)
    if loaded is None:
        is_builtin = name in sys.builtin_module_names
        return is_builtin or FrozenImporter.find_spec(name) is not None
    return not any(_is_at(found, own) for found in _locations(loaded))


def _is_at(found: str, own: Path) -> bool:
    path = Path(found).resolve()
    return own.resolve() in (path, path.parent)


class _Aliases:
    """A finder on `sys.meta_path` for modules whose own names can't be had. Made names stay."""

    def __init__(self) -> None:
        self._places: dict[str, Path] = {}

    def of(self, place: Path, prefix: str, name: str) -> str:
        """Return another name for the module in a file, or the package in a folder."""
        for known, where in self._places.items():
            if where == place:
                return known
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        stem = re.sub(r"\W", "_", f"{name}_of_{place.parent.name}")
        alias = prefix + stem
        while alias in sys.modules or alias in self._places:
            alias += "_"
        self._places[alias] = place
        return alias

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where a module is that has such a name; None for all others."""
        place = self._places.get(fullname)
        if place is None:
            return None
        spec = _spec_of(fullname, place)
        for finder in sys.meta_path:
            # Whoever loads the user's modules otherwise does so under any name.
            if (adopt := getattr(finder, "adopt", None)) is not None:
                spec = adopt(spec)
        return spec


def _spec_of(name: str, place: Path) -> ModuleSpec | None:
    if not place.is_dir():
        return importlib.util.spec_from_file_location(name, place)
    folders = [str(place)]
    if (place / "__init__.py").is_file():
        return importlib.util.spec_from_file_location(
            name, place / "__init__.py", submodule_search_locations=folders
        )
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = folders
    return spec


_ALIASES: Final = _Aliases()


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
