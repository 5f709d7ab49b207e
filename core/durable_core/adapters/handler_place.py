"""Where the module of a handler is: from what the user wrote to a name that Python imports.

`module:function`, `module.function` and `folder/module.function` (as Lambda spells them) are looked
for where `python -c "import module"` would: in the working directory, then on `sys.path`, which has
editable installs. A file is imported under the name that code around it knows it by: inside of its
package, where it belongs to one. The project's own folder and its `src` come last on the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from durable_core.adapters.handler_errors import BadSpec, ModuleMissing
from durable_core.values import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a handler is looked for.

    `parts` are the names of its module and of the packages around it, from the outside in; `top` is
    the file or folder of the first one and `file` that of the module, where they are known.
    `function` None: the file's only one. `first` goes first on `sys.path`, `last` go last.
    `names` tell it from handlers of other files: the module's, or the path as the user sees it.
    """

    parts: tuple[str, ...]
    function: str | None
    first: Path
    last: tuple[Path, ...]
    top: Path | None
    file: Path | None
    names: tuple[str, ...]

    @property
    def module(self) -> str:
        """The module's name, as its author knows it."""
        return ".".join(self.parts)


EXPECTED: Final = "expected module:function, module.function, file.py:function or file.py"
_PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")
_PACKAGE: Final = "__init__.py"
_RELATIVE_IMPORT: Final = re.compile(rb"^[ \t]*from[ \t]+(\.+)", re.MULTILINE)


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
    last = tuple(_project_folders(folder))
    return Place(names, function, folder, last, _top(names[0], folder, last), None, names)


# -- modules -----------------------------------------------------------------------------------


def _top(name: str, folder: Path, more: tuple[Path, ...]) -> Path | None:
    """Return the file of a module, or the folder of a package, in one of the user's folders."""
    for each in (folder, *more):
        if (each / name / _PACKAGE).is_file():
            return each / name
        if (each / f"{name}.py").is_file():
            return each / f"{name}.py"
    return None


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
    known = [folder, *_project_folders(folder), *_project_folders(file.parent)]
    root = _root_of(file, [each for each in known if file.is_relative_to(each)])
    names = file.relative_to(root).with_suffix("").parts
    if names[-1] == "__init__" and len(names) > 1:
        names = names[:-1]
    top = root / names[0] if len(file.relative_to(root).parts) > 1 else file
    # A folder of a package is no place for modules of their own, but one may import them so.
    last = [*known, file.parent] if len(names) > 1 else known
    seen = file.relative_to(folder) if file.is_relative_to(folder) else Path(*file.parts[-2:])
    shown = tuple(part for part in seen.with_suffix("").parts if part != "__init__")
    return Place(names, function, root, tuple(last), top, file, shown or names)


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
