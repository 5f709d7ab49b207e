"""Sets that are walked in an order that we choose, to find who depends on it.

Python walks a set of strings in an order that each process draws by lot, one of objects in the
order of their addresses. Two processes may well draw the same order of two or three, so that
comparing two runs is not enough. Here the user's own modules are compiled so that the sets that
they make are of a class of ours: walked by code outside of steps in one order in a run, and in the
opposite one in the next. Sets of numbers stay in Python's order, which is always the same.

For a process of its own only, before the user's modules are imported. As pytest rewrites asserts.
"""

from __future__ import annotations

import ast
import builtins
import importlib.machinery
import sys
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from datetime import date, time, timedelta
from enum import Enum
from numbers import Number
from typing import Any, Final, Protocol

from durable_core.sandbox.sources import Source
from durable_core.sandbox.user_code import is_installed, is_users


class Orders(Protocol):
    """Who says in which order sets are walked."""

    def note(self, source: Source, function: str, *, by_users: bool = False) -> bool:
        """Note that code walks a set. Return False for code that isn't to be led astray."""

    def reversed_order(self, source: Source) -> bool:
        """Return True in a run in which orders are the other way round."""

    def number(self, thing: object) -> int:
        """Return a number for an object: in the order in which they are first asked about."""


_orders: Orders | None = None

ORDER_OF_A_SET: Final = "the order of a set"
_MOST: Final = 64
"""Of more elements two processes never have the same order."""


def varies(element: object) -> bool:
    """Return True for what another process gives another hash, and so another place in a set."""
    if isinstance(element, tuple | frozenset):
        return any(map(varies, element))
    if element is None or isinstance(element, str | bytes | date | time | timedelta | Enum):
        return not isinstance(element, Number)
    return _has_only_an_address(element)


def _has_only_an_address(element: object) -> bool:
    kind: Any = type(element)
    return kind.__hash__ is object.__hash__


def _key(orders: Orders, element: object) -> tuple[int, str, int]:
    if _has_only_an_address(element):
        return 1, "", orders.number(element)
    return 0, repr(element), 0


def in_order(elements: Iterable[Any]) -> list[Any]:
    """Return the elements of a set as they are walked in this run."""
    found = list(elements)
    orders = _orders
    if orders is None or not 1 < len(found) <= _MOST or not any(map(varies, found)):
        return found
    if not orders.note(Source.HASH_SEED, ORDER_OF_A_SET, by_users=True):
        return found
    reversed_order = orders.reversed_order(Source.HASH_SEED)
    return sorted(found, key=lambda each: _key(orders, each), reverse=reversed_order)


class _Walked:
    """What the two classes have in common. Their names are those of what they stand for."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(in_order(super().__iter__()))  # type: ignore[misc]

    def __repr__(self) -> str:
        plain = _plain(self)
        inside = ", ".join(map(repr, self)) if plain else ""
        if isinstance(self, frozenset):
            return f"frozenset({{{inside}}})" if plain else "frozenset()"
        return f"{{{inside}}}" if plain else "set()"

    def __deepcopy__(self, memo: Any) -> Any:
        kind: Any = type(self)
        return kind(deepcopy(list(_plain(self)), memo))

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = _plain(self)
        return type(plain), (list(plain),)


class OrderedSet(_Walked, set[Any]):
    """A set of the user's."""

    def __init__(self, elements: Iterable[Any] = ()) -> None:
        super().__init__(_numbered(elements))

    def add(self, element: Any) -> None:
        """Add an element."""
        super().add(*_numbered([element]))

    def pop(self) -> Any:
        """Remove the first element as they are walked."""
        for element in self:
            self.remove(element)
            return element
        return super().pop()


class OrderedFrozenset(_Walked, frozenset[Any]):
    """A frozenset of the user's."""

    def __new__(cls, elements: Iterable[Any] = ()) -> OrderedFrozenset:
        return super().__new__(cls, _numbered(elements))


def _numbered(elements: Iterable[Any]) -> Iterable[Any]:
    """Number what a set is made of, in the order in which it comes."""
    if _orders is None or isinstance(elements, set | frozenset):
        return elements
    elements = list(elements)
    for each in elements:
        if _has_only_an_address(each):
            _orders.number(each)
    return elements


def walked(value: Any) -> Any:
    """Return a set as one of ours, anything else as it is."""
    if type(value) is set:
        return OrderedSet(value)
    return OrderedFrozenset(value) if type(value) is frozenset else value


def _plain(value: Any) -> Any:
    """Return a set of ours as Python's own."""
    if isinstance(value, OrderedSet):
        return set(set.__iter__(value))
    if isinstance(value, OrderedFrozenset):
        return frozenset(frozenset.__iter__(value))
    return value


def _returning_ours(kind: Any, name: str) -> Callable[..., Any]:
    real = getattr(kind, name)

    def method(self: Any, *others: Any) -> Any:
        return walked(_plain(real(self, *others)))

    return method


_MADE_BY: Final = (
    *("__and__", "__or__", "__sub__", "__xor__", "__rand__", "__ror__", "__rsub__", "__rxor__"),
    *("union", "intersection", "difference", "symmetric_difference", "copy"),
)
for _name in _MADE_BY:
    setattr(OrderedSet, _name, _returning_ours(set, _name))
    setattr(OrderedFrozenset, _name, _returning_ours(frozenset, _name))
for _kind, _named in ((OrderedSet, "set"), (OrderedFrozenset, "frozenset")):
    _kind.__name__ = _kind.__qualname__ = _named
    _kind.__module__ = "builtins"


# -- the user's modules ----------------------------------------------------------------------------

_SET, _FROZENSET, _WALKED, _PLAIN = (
    "__durable_set__",
    "__durable_frozenset__",
    "__durable_walked__",
    "__durable_plain__",
)
_NAMES: Final = {"set": _SET, "frozenset": _FROZENSET}
_TAKE_KINDS: Final = frozenset({"defaultdict", "field", "Field", "map", "partial"})
"""Functions that make something of a class that they are given."""
_ANY_ORDER: Final = frozenset({"sorted", "min", "max", "any", "all"})
"""Functions to which the order of what they walk makes no difference, without a key."""
_OF_SETS: Final = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)


def install(orders: Orders) -> None:
    """Have the user's modules compiled for it from now on. Can't be undone."""
    global _orders
    _orders = orders
    makers = {_SET: OrderedSet, _FROZENSET: OrderedFrozenset, _WALKED: walked, _PLAIN: _plain}
    vars(builtins).update(makers)
    finders = sys.meta_path
    finders.insert(finders.index(importlib.machinery.PathFinder), _Finder())


class _Finder(importlib.machinery.PathFinder):
    """Finds modules where Python does, and loads the user's own by `_Loader`."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        return cls.adopt(super().find_spec(fullname, path, target))

    @staticmethod
    def adopt(spec: Any) -> Any:
        """Return the spec of a module, which `_Loader` loads where it is the user's."""
        if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
            file = spec.loader.path
            if is_users(file) and not is_installed(file):
                spec.loader = _Loader(spec.name, file)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles a module each time: nothing is cached."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return compile(rewritten(self.get_data(path), path), path, "exec", dont_inherit=True)


def rewritten(source: bytes | str, file: str = "<source>") -> ast.Module:
    """Return the module whose sets are ours. Raises SyntaxError as Python does."""
    tree = ast.parse(source, file)
    _Rewriter(tree).visit(tree)
    return ast.fix_missing_locations(tree)


class _Rewriter(ast.NodeTransformer):
    """Replaces what makes sets; annotations stay as they are."""

    def __init__(self, tree: ast.Module) -> None:
        stored = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        }
        self._kinds = {name: ours for name, ours in _NAMES.items() if name not in stored}

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        return _call(_SET, node, ast.Tuple(node.elts, ast.Load()))

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return _call(_SET, node, ast.ListComp(node.elt, node.generators))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        sides = isinstance(node.left, ast.Constant) or isinstance(node.right, ast.Constant)
        return node if sides or not isinstance(node.op, _OF_SETS) else _call(_WALKED, node, node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else None
        name = function.id if isinstance(function, ast.Name) else name
        if isinstance(function, ast.Name) and name in self._kinds:
            node.func = ast.copy_location(ast.Name(self._kinds[name], ast.Load()), function)
        elif name in _TAKE_KINDS:
            node.args = [self._kind(each) for each in node.args]
            for keyword in node.keywords:
                keyword.value = self._kind(keyword.value)
        elif name in _ANY_ORDER and len(node.args) == 1 and not node.keywords:
            node.args = [_call(_PLAIN, node.args[0], node.args[0])]
        return node

    def _kind(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name) and node.id in self._kinds:
            return ast.copy_location(ast.Name(self._kinds[node.id], ast.Load()), node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Leave sets that are only looked into."""
        kept = [
            isinstance(operator, ast.In | ast.NotIn) and isinstance(side, ast.Set)
            for operator, side in zip(node.ops, node.comparators, strict=True)
        ]
        node.left = self.visit(node.left)
        node.comparators = [
            side if keep else self.visit(side)
            for keep, side in zip(kept, node.comparators, strict=True)
        ]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        returns, node.returns = node.returns, None
        self.generic_visit(node)
        node.returns = returns
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        returns, node.returns = node.returns, None
        self.generic_visit(node)
        node.returns = returns
        return node


def _call(name: str, place: ast.expr, argument: ast.expr) -> ast.expr:
    made = ast.Call(ast.Name(name, ast.Load()), [argument], [])
    for node in (made, made.func, argument):
        ast.copy_location(node, place)
    return made
