"""How classes of values are declared: `@dataclass(frozen=True)`, made in a seventh of the time.

A frozen dataclass sets each of its fields by a call of `object.__setattr__`. Reading a history
makes thousands of them, which would be a tenth of the time of a replay. mypy holds these classes
frozen, as it knows no other `dataclass` than that of `dataclasses`; at run time they compare and
hash as frozen ones do, and nothing but mypy keeps code from writing to them.

A command declares more than a hundred classes before it does anything, and `dataclasses` compiles
four methods for each. Only the one that makes a value is worth it, and that only once a value is
made, which most commands do of a part of the classes: to compare, hash and show values is the same
code for all classes here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass as dataclass
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if not TYPE_CHECKING:

    def dataclass(kind: type | None = None, /, *, frozen: bool = False, **options: Any) -> Any:
        """Declare a dataclass, as `dataclasses.dataclass` does; see above what `frozen` does.

        It takes `slots` and `kw_only`; all classes compare by their values, none has an order.
        """
        if kind is None:
            return lambda each: dataclass(each, frozen=frozen, **options)
        own = vars(kind)
        made = dataclasses.dataclass(kind, init=False, repr=False, eq=False, **options)
        if "__init__" not in own:
            made.__init__ = _init_when_called(made)
        made._compared = _getter([each.name for each in dataclasses.fields(made) if each.compare])
        if "__repr__" not in own:
            made.__repr__ = _repr
        if "__eq__" not in own:
            made.__eq__ = _eq
        if "__hash__" not in own:
            made.__hash__ = _hash if frozen else None
        return made

    def _init_when_called(kind: type) -> Any:
        def __init__(self: Any, *args: Any, **named: Any) -> None:
            kind.__init__ = _init_of(kind)
            kind.__init__(self, *args, **named)

        __init__.__qualname__ = f"{kind.__qualname__}.__init__"
        return __init__

    def _init_of(kind: type) -> Any:
        """Return the method that makes a value, as `dataclasses` would have compiled it."""
        known: dict[str, Any] = {"_left_out": _LEFT_OUT}
        parameters: dict[bool, list[str]] = {False: ["self"], True: []}
        body = []
        for each in dataclasses.fields(kind):
            name = value = each.name
            default, make = each.default, each.default_factory
            if make is not dataclasses.MISSING:
                known[f"_make_{name}"], default = make, _LEFT_OUT
                value = f"_make_{name}()"
                if each.init:
                    value = f"{value} if {name} is _left_out else {name}"
            elif not each.init:
                value = f"_default_{name}"
            has_default = default is not dataclasses.MISSING
            known[f"_default_{name}"] = default
            if each.init:
                parameter = f"{name}=_default_{name}" if has_default else name
                parameters[each.kw_only].append(parameter)
            if each.init or has_default:
                body.append(f"    self.{name} = {value}")
        if hasattr(kind, "__post_init__"):
            body.append("    self.__post_init__()")
        named = ["*", *parameters[True]] if parameters[True] else []
        head = f"def __init__({', '.join([*parameters[False], *named])}):"
        exec("\n".join([head, *(body or ["    pass"])]), known)  # our own names
        made = known["__init__"]
        made.__qualname__ = f"{kind.__qualname__}.__init__"
        return made

    _LEFT_OUT: Any = object()

    def _getter(names: list[str]) -> Any:
        return attrgetter(*names) if names else lambda value: ()

    def _eq(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        compared = self.__class__._compared
        return compared(self) == compared(other)

    def _hash(self: Any) -> int:
        return hash(self.__class__._compared(self))

    @recursive_repr()
    def _repr(self: Any) -> str:
        shown = [each.name for each in dataclasses.fields(self) if each.repr]
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({values})"
