"""How classes of values are declared: `@dataclass(frozen=True)`, made in a seventh of the time.

A frozen dataclass sets each of its fields by a call of `object.__setattr__`. Reading a history
makes thousands of them, which would be a tenth of the time of a replay. mypy holds these classes
frozen, as it knows no other `dataclass` than that of `dataclasses`; at run time they compare and
hash as frozen ones do, and nothing but mypy keeps code from writing to them.

A command declares more than a hundred classes before it does anything, and `dataclasses` compiles
four methods for each. Only the one that makes a value is worth it, for the classes of which values
are made: it is compiled when the first one is. To compare, hash and show values is the same code
for all classes here. `NOTHING` is the empty mapping that such a value can have as a default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass as dataclass
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final


class _Nothing(Mapping[str, Any]):
    """The empty mapping, as a value that can't change (and so can be a default)."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


NOTHING: Final[Mapping[str, Any]] = _Nothing()

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
            made.__init__ = _compiled_at_first_call(made)
        made._compared = _getter([each.name for each in dataclasses.fields(made) if each.compare])
        if "__repr__" not in own:
            made.__repr__ = _repr
        if "__eq__" not in own:
            made.__eq__ = _eq
        if "__hash__" not in own:
            made.__hash__ = _hash if frozen else None
        return made

    def _compiled_at_first_call(made: Any) -> Any:
        def __init__(*args: Any, **fields: Any) -> None:
            made.__init__ = _init(made)
            made.__init__(*args, **fields)

        return __init__

    def _init(made: Any) -> Any:
        """Compile the method that makes a value of a class."""
        names: dict[str, Any] = {"_MADE": object()}
        parameters, keywords, body = ["_self"], ["*"], []
        for each in dataclasses.fields(made):
            default, value = f"_default_{each.name}", each.name
            parameter = f"{each.name}={default}"
            if each.default_factory is not dataclasses.MISSING:
                names[default] = each.default_factory
                parameter = f"{each.name}=_MADE"
                is_left_out = f"{each.name} is _MADE" if each.init else "True"
                value = f"{default}() if {is_left_out} else {each.name}"
            elif each.default is not dataclasses.MISSING:
                names[default] = each.default
                value = each.name if each.init else default
            elif each.init:
                parameter = each.name
            else:
                continue
            body.append(f"  _self.{each.name} = {value}")
            if each.init:
                (keywords if each.kw_only else parameters).append(parameter)
        if hasattr(made, "__post_init__"):
            body.append("  _self.__post_init__()")
        parameters += keywords if len(keywords) > 1 else ()
        source = "\n".join([f"def __init__({', '.join(parameters)}):", *body, "  pass"])
        exec(source, names)
        init = names["__init__"]
        init.__qualname__ = f"{made.__qualname__}.__init__"
        return init

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
