"""How large packages, functions and files of the project are, and which modules import which.

Run it as `python tests/figures.py [ROOT]`; ROOT is a checkout (default: this one), so that two
revisions can be compared. It reads source text only and imports nothing of what it measures.

    packages            modules and lines of each package of durable_core, and of durable_cli
    functions           lines of a function: median, 90th percentile, longest; how many are over 60
    files               those over 400 lines
    classes             names of public classes, and those that stand in more than one module
    one importer        modules that a single other module imports
    circles             groups of modules that import one another while they are loaded
"""

import ast
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LONG_FUNCTION = 60
LONG_FILE = 400


@dataclass(frozen=True)
class Module:
    """A module of the project: its dotted name, and its parsed source."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def package(self) -> str:
        """The package of the first level below `durable_core` (or `durable_cli`) it belongs to."""
        parts = self.name.split(".")
        is_package = self.path.name == "__init__.py"
        return (
            ".".join(parts[:2]) if len(parts) > 2 or (is_package and len(parts) == 2) else parts[0]
        )


def modules(root: Path) -> dict[str, Module]:
    """Every module of the two import packages under `root`, by dotted name."""
    found = {}
    for base in (root / "core", root):
        for package in ("durable_core", "durable_cli"):
            for path in sorted((base / package).rglob("*.py")):
                parts = path.relative_to(base).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found[name] = Module(name, path)
    return found


def function_lengths(module: Module) -> Iterator[tuple[int, str]]:
    """Lines and qualified name of each function, its decorators left out."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{module.name}.{node.name}"


def public_classes(module: Module) -> Iterator[str]:
    """Names of the classes at the top of a module that don't begin with an underscore."""
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def imports(module: Module, known: dict[str, Module], *, late: bool) -> set[str]:
    """The project's modules that `module` imports; `late`: also in functions and for types."""
    found = set()
    for node in ast.walk(module.tree) if late else _when_loaded(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inside if name in known}
            if any(name not in known for name in inside):
                found.add(node.module)
    return (found & known.keys()) - {module.name}


def _when_loaded(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _when_loaded(child)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach one another (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return found


def print_packages(known: dict[str, Module]) -> None:
    lines, count = Counter[str](), Counter[str]()
    for module in known.values():
        lines[module.package] += module.lines
        count[module.package] += 1
    print(f"{'packages':<34}{'modules':>8}{'lines':>8}")
    for package in sorted(lines):
        print(f"  {package:<32}{count[package]:>8}{lines[package]:>8}")
    print(f"  {'all':<32}{len(known):>8}{sum(lines.values()):>8}")


def print_functions(known: dict[str, Module]) -> None:
    for top in ("durable_core", "durable_cli"):
        inside = [module for name, module in known.items() if name.startswith(top)]
        lengths = sorted(found for module in inside for found in function_lengths(module))
        sizes = [size for size, _name in lengths]
        ninetieth = sizes[int(len(sizes) * 0.9)]
        middle = statistics.median(sizes)
        print(f"\nfunctions of {top}: {len(sizes)}")
        print(f"  median {middle:.0f}, 90th percentile {ninetieth}, longest {sizes[-1]} lines")
        print_named(
            f"  over {LONG_FUNCTION} lines",
            {name: str(size) for size, name in lengths if size > LONG_FUNCTION},
        )


def print_classes(known: dict[str, Module]) -> None:
    where = defaultdict(list)
    for module in known.values():
        for name in public_classes(module):
            where[name].append(module.name)
    doubles = {name: ", ".join(places) for name, places in sorted(where.items()) if len(places) > 1}
    print(f"\nnames of public classes: {len(where)}")
    print_named("names that stand in more than one module", doubles)


def print_imports(known: dict[str, Module]) -> None:
    importers = defaultdict(set)
    for name, module in known.items():
        for other in imports(module, known, late=True):
            importers[other].add(name)
    single = {name: min(who) for name, who in sorted(importers.items()) if len(who) == 1}
    print_named("\nmodules with one importer", single)
    graph = {name: imports(module, known, late=False) for name, module in known.items()}
    print_named(
        "\ncircles of imports", {group[0]: ", ".join(group[1:]) for group in circles(graph)}
    )
    between = {(known[one].package, known[other].package) for one in graph for other in graph[one]}
    mutual = {
        one: other for one, other in sorted(between) if one < other and (other, one) in between
    }
    print_named("packages that import each other", mutual)


def print_named(title: str, found: dict[str, str]) -> None:
    print(f"{title}: {len(found)}")
    for name, what in found.items():
        print(f"    {name}: {what}")


def main(root: Path) -> None:
    """Print the figures of the checkout at `root`."""
    known = modules(root)
    print_packages(known)
    print_functions(known)
    files = sorted(((module.lines, name) for name, module in known.items()), reverse=True)
    long_files = {name: str(lines) for lines, name in files if lines > LONG_FILE}
    print_named(f"\nfiles over {LONG_FILE} lines", long_files)
    print_classes(known)
    print_imports(known)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1])
