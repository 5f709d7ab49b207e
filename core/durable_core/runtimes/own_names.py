"""Modules of the user that have the name of one of Python's, or of a package that is loaded here.

Python keeps one module a name. In Lambda the user's folder is first on the path, and whoever
imports a name first decides what all others get. Here more is loaded than in Lambda, and what is
loaded has to go on working: the user's code gets its own `signal.py`, under another name in
`sys.modules`, and everything else gets Python's.
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, Final

_LOADED_LATER: Final = frozenset({"rich"})
"""What we import by ourselves after the user's folder is on the path."""


class OwnNames:
    """A finder on `sys.meta_path` for modules whose own names can't be had, and the import
    statement of the user's code, which finds them. Names that were made stay."""

    def __init__(self) -> None:
        self._places: dict[str, Path] = {}
        self._shared: dict[str, dict[str, Path]] = {}  # by folders: names that others have too
        self._shared_names: frozenset[str] = frozenset()
        self._folder_of: dict[str, str | None] = {}  # by files that import
        self._import: Callable[..., Any] | None = None

    def alias(self, place: Path, prefix: str, name: str) -> str:
        """Return another name for the module in a file, or the package in a folder."""
        for known, where in self._places.items():
            if where == place:
                return known
        self._install()
        stem = re.sub(r"\W", "_", f"{name}_of_{place.parent.name}")
        alias = prefix + stem
        while alias in sys.modules or alias in self._places:
            alias += "_"
        self._places[alias] = place
        return alias

    def share(self, folder: Path, is_own: Callable[[str, Path], bool]) -> None:
        """Let the code in a folder have its own modules, also of names that are taken.

        `is_own` tells whether the module that has a name by now is the one at a place. A package
        with compiled modules, which no process loads twice, is left to whoever has its name.
        """
        found = {
            name: path
            for name, path in _modules_in(folder)
            if _is_taken(name) and not is_own(name, path) and not _is_compiled(path)
        }
        if self._shared.get(str(folder), {}) == found:
            return
        self._shared[str(folder)] = found
        self._shared_names = frozenset().union(*self._shared.values())
        self._folder_of.clear()
        self._install()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where a module is that has such a name; None for all others."""
        place = self._places.get(fullname)
        if place is None:
            is_shared = path is None and fullname in self._shared_names
            return PathFinder.find_spec(fullname, self._path_of_others()) if is_shared else None
        spec = _spec_of(fullname, place)
        for finder in sys.meta_path:
            # Whoever loads the user's modules otherwise does so under any name.
            if (adopt := getattr(finder, "adopt", None)) is not None:
                spec = adopt(spec)
        return spec

    def _path_of_others(self) -> list[str]:
        return [each for each in sys.path if each not in self._shared]

    def _install(self) -> None:
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        if self._shared_names and self._import is None:
            self._import = builtins.__import__
            builtins.__import__ = self._imported

    def _imported(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Do what an import statement says, with the names that its own folder has."""
        assert self._import is not None
        top, dot, rest = name.partition(".")
        if level == 0 and top in self._shared_names and globals is not None:
            place = self._own_place(top, globals.get("__file__"))
            if place is not None:
                name = self.alias(place, "", top) + dot + rest
        return self._import(name, globals, locals, fromlist, level)

    def _own_place(self, name: str, file: object) -> Path | None:
        """Return the module of a name in the folder of a file that imports it. A file that imports
        its own name means the other one."""
        if not isinstance(file, str):
            return None
        if file not in self._folder_of:
            within = [
                each for each in self._shared if file.startswith(each.rstrip(os.sep) + os.sep)
            ]
            self._folder_of[file] = max(within, key=len, default=None)
        folder = self._folder_of[file]
        place = self._shared[folder].get(name) if folder is not None else None
        return None if place is None or str(place) == file else place


def _modules_in(folder: Path) -> list[tuple[str, Path]]:
    try:
        with os.scandir(folder) as entries:
            inside = [(each.name, Path(each.path)) for each in entries]
    except OSError:
        return []
    files = [(name[:-3], path) for name, path in inside if name.endswith(".py")]
    packages = [
        (name, path)
        for name, path in inside
        if name.isidentifier() and _is_taken(name) and (path / "__init__.py").is_file()
    ]
    return [*files, *packages]  # a package goes before a file of its name, as in Python


def _is_taken(name: str) -> bool:
    return name in sys.stdlib_module_names or name in sys.modules or name in _LOADED_LATER


def _is_compiled(place: Path) -> bool:
    if not place.is_dir():
        return False
    return any(path.name.endswith(tuple(EXTENSION_SUFFIXES)) for path in place.rglob("*"))


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


OWN_NAMES: Final = OwnNames()
