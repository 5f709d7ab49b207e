"""A JSON document written piece by piece, where as one text it would take much memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import Any


def json_pieces(
    document: Any, text_of: Callable[[Any], str], *, indent: bool = True, level: int = 0
) -> Iterator[str]:
    """Yield the text of a document in which a generator stands for the list of what it yields.

    Generators are looked for in the document, in objects that hold one, and in what generators
    yield. All else is written by `text_of`, as JSON: indented by 2 with `indent`, else in one line.
    What is yielded together is what `text_of` makes of the document with lists.
    """
    members: Iterator[tuple[str, Any]]
    if isinstance(document, GeneratorType):
        begin, end = "[", "]"
        members = (("", each) for each in document)
    elif isinstance(document, dict) and any(
        isinstance(each, GeneratorType) for each in document.values()
    ):
        begin, end = "{", "}"
        colon = ": " if indent else ":"
        members = ((text_of(key) + colon, each) for key, each in document.items())
    else:
        text = text_of(document)
        yield text.replace("\n", "\n" + "  " * level) if indent and level else text
        return
    margin = "\n" + "  " * level if indent else ""
    before = begin
    for key, each in members:
        yield f"{before}{margin}{'  ' if indent else ''}{key}"
        yield from json_pieces(each, text_of, indent=indent, level=level + 1)
        before = ","
    yield f"{begin}{end}" if before == begin else f"{margin}{end}"
