"""Where the module of a handler is: from what the user wrote to a name that Python imports.

`module:function`, `module.function` and `folder/module.function` (as Lambda spells them) are looked
for in the working directory, in the project around it, then on `sys.path`, which has what is
installed. A file is imported under the name that code around it knows it by: inside of its package,
where it belongs to one. The project's own folder and its `src` come last on the path. The working
directory is on the path only where the handler is in it: there may be anything in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Final

from durable_core.frozen import dataclass
from durable_core.patterns import pattern
from durable_core.runtimes.handler_errors import BadSpec, ModuleMissing


@dataclass(frozen=True, slots=True)
class Place:
    """Where a handler is looked for.

    `parts` are the names of its module and of the packages around it, from the outside in; `top` is
    the file or folder of the first one and `file` that of the module, where they are known.
    `function` None: the file's only one. `first` goes first on `sys.path` (None: it is installed),
    `last` go last. `names` tell it from handlers of other files: the module's, or the path as the
    user sees it. `folder` is the working directory.
    """

    parts: tuple[str, ...]
    function: str | None
    first: Path | None
    last: tuple[Path, ...]
    top: Path | None
    file: Path | None
    names: tuple[str, ...]
    folder: Path

    @property
    def folders(self) -> set[Path]:
        """The folders that go on `sys.path`."""
        return {*self.last} if self.first is None else {self.first, *self.last}

    @property
    def module(self) -> str:
        """The module's name, as its author knows it."""
        return ".".join(self.parts)


EXPECTED: Final = "expected module:function, module.function, file.py:function or file.py"
_PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")
_PACKAGE: Final = "__init__.py"
_RELATIVE_IMPORT: Final = pattern(rb"^[ \t]*from[ \t]+(\.+)", re.MULTILINE)


def place_of(spec: str, folder: Path) -> Place:
    """Return where the handler that a spec names is. `folder` is the working directory.

    Raises BadSpec, and ModuleMissing for a file that isn't there.
    """
    if spec.endswith(".py"):
        return _of_file(spec, folder / spec, None, folder)
    left, colon, function = spec.rpartition(":")
    if not colon:
        left, _, function = spec.rpartition(".")
    if not left or not all(part.isidentifier() for part in function.split(".")):
        raise BadSpec(spec, f"names no function of a module: {EXPECTED}")
    if colon and left.endswith(".py"):
        return _of_file(spec, folder / left, function, folder)
    if "/" in left and (left.startswith("/") or ".." in left.split("/")):
        return _of_file(spec, folder / f"{left}.py", function, folder)
    # Lambda lets folders be written so.
    parts = [part for part in left.split("/") if part != "."] if "/" in left else [left]
    names = tuple(name for part in parts for name in part.split("."))
    if not names or not all(names) or any(name != name.strip() for name in names):
        raise BadSpec(spec, f"{left!r} is no name of a module: {EXPECTED}")
    return _of_module(names, function, folder)


# -- modules -----------------------------------------------------------------------------------


def _of_module(names: tuple[str, ...], function: str, folder: Path) -> Place:
    project = tuple(_project_folders(folder))
    home = next((each for each in (folder, *project) if _has_module(each, names)), None)
    if home is None:
        return Place(names, function, None, (), None, None, names, folder)
    top = _top(names[0], home)
    if home.is_relative_to(folder):
        return Place(names, function, folder, project, top, None, names, folder)
    last = tuple(each for each in project if not each.is_relative_to(folder))
    return Place(names, function, home, last, top, None, names, folder)


def _has_module(folder: Path, names: tuple[str, ...]) -> bool:
    """Tell whether a module is in a folder; a folder of packages without `__init__.py` counts by
    the module that is in it."""
    *packages, module = names
    inside = folder.joinpath(*packages)
    files = [inside / f"{module}{suffix}" for suffix in all_suffixes()]
    is_there = any(each.is_file() for each in (*files, inside / module / _PACKAGE))
    return is_there or _top(names[0], folder) is not None


def _top(name: str, folder: Path) -> Path | None:
    """Return the folder of a regular package, or the file of a module, in a folder."""
    if (folder / name / _PACKAGE).is_file():
        return folder / name
    return folder / f"{name}.py" if (folder / f"{name}.py").is_file() else None


def _project_folders(inside: Path) -> Iterator[Path]:
    """Yield the folder of the project that a folder belongs to, and where its sources may be."""
    for folder in (inside, *inside.parents):
        if any((folder / name).is_file() for name in _PROJECT_FILES):
            yield folder
            if folder != inside and (folder / "src").is_dir():
                yield folder / "src"
            break
    if (inside / "src").is_dir():
        yield inside / "src"


# -- files -------------------------------------------------------------------------------------


def _of_file(spec: str, written: Path, function: str | None, folder: Path) -> Place:
    file = Path(written.parent.resolve(), written.name)
    if not file.is_file():
        raise ModuleMissing(spec, f"there is no file {written}")
    around = [folder, *_project_folders(folder)]
    if not file.is_relative_to(folder):
        around = [each for each in around if file.is_relative_to(each)]
    known = [*around, *_project_folders(file.parent)]
    root = _root_of(file, [each for each in known if file.is_relative_to(each)])
    names = file.relative_to(root).with_suffix("").parts
    if names[-1] == "__init__" and len(names) > 1:
        names = names[:-1]
    top = root / names[0] if len(file.relative_to(root).parts) > 1 else file
    # A folder of a package is no place for modules of their own, but one may import them so.
    last = [*known, file.parent] if len(names) > 1 else known
    seen = file.relative_to(folder) if file.is_relative_to(folder) else Path(*file.parts[-2:])
    shown = tuple(part for part in seen.with_suffix("").parts if part != "__init__")
    return Place(names, function, root, tuple(last), top, file, shown or names, folder)


def _root_of(file: Path, known: list[Path]) -> Path:
    """Return the folder from which a file is imported: the one around its package, and further up
    where its relative imports need that (packages may do without `__init__.py`)."""
    root = file.parent
    while (root / _PACKAGE).is_file() and _can_be_package(root):
        root = root.parent
    needed = _levels_above(file)
    if len(file.relative_to(root).parts) - 1 >= needed:
        return root
    packages = [
        each.parent
        for each in reversed(root.parents)
        if (each / _PACKAGE).is_file() and any(each.is_relative_to(one) for one in known)
    ]
    enough = [
        each
        for each in [*packages[:1], *sorted(known, key=lambda one: -len(one.parts))]
        if len(file.relative_to(each).parts) - 1 >= needed
        and all(map(_can_be_package, _between(each, file.parent)))
    ]
    return enough[0] if enough else root


def _between(root: Path, folder: Path) -> Iterator[Path]:
    while folder != root:
        yield folder
        folder = folder.parent


def _can_be_package(folder: Path) -> bool:
    return "." not in folder.name and folder != folder.parent


def _levels_above(file: Path) -> int:
    """Return how many packages its relative imports need the file to be in."""
    try:
        found = _RELATIVE_IMPORT.findall(file.read_bytes())
    except OSError:
        return 0  # importing it will say why
    return max(map(len, found), default=0)
