"""The one way for text from elsewhere into each kind of output.

Text that came from a history, a payload or a name is hostile. On its way to a terminal, a log or a
table it passes `clean`, into a JSON document `json_text`, into Markdown `markdown_text`, into XML
`xml_text` and `xml_attribute`, into a workflow command of GitHub's `workflow_text` and
`workflow_property`. What a whole output says, on stdout and stderr alike, passes
`safe_text.without_commands` at last.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, Final

from durable_core.excerpts import excerpt
from durable_core.patterns import pattern
from durable_core.safe_text import COMMAND

# -- a terminal, a log ---------------------------------------------------------------------------

# What could reorder or hide text (Unicode's categories Cf, Zl and Zp): soft hyphens, joiners, bidi
# marks, separators, signs that embrace others, tags.
_HIDING: Final = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_UNSAFE = pattern(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_HIDING}]")
_UNSAFE_IN_JSON = pattern(f"[\x7f-\x9f{_HIDING}]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if short:
        return short
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


MOST_SHOWN: Final = 2_000
"""How much a report shows of one text, in columns: nobody reads a name or message of 800 KB."""


def clean(text: str, *, whole: bool = False) -> str:
    """Return the text with everything escaped that could move, colour or hide on a terminal, or
    that a CI runner takes for a command anywhere in a line. One that is longer than any report can
    use is cut, unless it is wanted `whole`."""
    if len(text) > MOST_SHOWN and not whole:
        text = excerpt(text, MOST_SHOWN) or ""
    text = _UNSAFE.sub(_escape, text)
    return COMMAND.sub(r"\1\\x5b", text) if "#" in text else text


# -- JSON ----------------------------------------------------------------------------------------


def _unicode_escape(text: str) -> str:
    """Return the text as the escapes of JSON, which people read as well."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Write what a stream can't encode as an escape: what was valid JSON stays valid."""
    assert isinstance(error, UnicodeEncodeError)
    return _unicode_escape(error.object[error.start : error.end]), error.end


ESCAPE: Final = "durable.escape"
"""How a stream is to write what it can't encode: `text.encode(encoding, ESCAPE)`."""
codecs.register_error(ESCAPE, _escape_unencodable)


def json_text(document: Any, *, indent: bool = True) -> str:
    """Return the document as JSON text that is also safe on a terminal and in the log of a CI run.

    Keys keep their order. Lone surrogates are written as escapes.
    """
    import orjson

    try:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except (TypeError, UnicodeEncodeError):
        import json

        text = json.dumps(document, indent=2 if indent else None)
    if "#" in text:
        text = COMMAND.sub(r"\1\\u005b", text)
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSAFE_IN_JSON.sub(lambda match: _unicode_escape(match.group()), text)


# -- Markdown ------------------------------------------------------------------------------------

# Two things make something of a text on GitHub. The parser does, of its punctuation: that is
# written as character references. GitHub then looks into what was parsed, where these are
# characters again, for mentions, numbers of issues, commits, emoji, addresses and formulas: a
# zero-width space in what it looks for keeps it from finding any (in `clean` text there is none but
# ours), and a dollar is put into an element of its own, as GitHub's documentation of formulas says.

_SPECIAL: Final = pattern(r"[\\`*_{}\[\]<>()#+!|~&$@\u200b]")
_BLOCK: Final = pattern(r"^(?:[-=](?=[-= ]|$)| |\d+[.)](?= |$))")
"""What begins a list, underlines a heading or begins code, at the start of a text."""

_GAP: Final = "\u200b"
_FOUND: Final = pattern(
    r"(?<=@)"  # a mention, half of a mail address
    r"|(?<=#)(?=\w)"  # an issue
    r"|(?<=:)(?=//|[\w+-]+:)"  # the start of an address, an emoji
    r"|(?<=www)(?=\.)"
    r"|(?<=gh-)(?=\d)",  # an issue
    re.IGNORECASE,
)
_REFERENCE: Final = pattern(r"([A-Z][A-Z0-9]+-)(?=\d)")
"""An issue of another tracker, as a repository may link them, or a published weakness."""
_COMMIT: Final = pattern(r"(?<![0-9a-z])[0-9a-f]{7,40}(?![0-9a-z])", re.IGNORECASE)
_SHORT: Final = 6
"""So many digits in hex are no commit."""


def markdown_text(text: str, *, whole: bool = False) -> str:
    """Return text of which Markdown makes nothing: no markup, link, image, mention, reference,
    emoji, formula or HTML comes of it, neither in a cell of a table nor in a paragraph or list.

    One that is very long is cut, as by `clean`, unless it is wanted `whole`."""
    text = _FOUND.sub(_GAP, clean(text, whole=whole))
    text = _REFERENCE.sub(rf"\1{_GAP}", text)
    text = _COMMIT.sub(_broken, text)
    start = _BLOCK.match(text)
    if start is None:
        return _SPECIAL.sub(_reference, text)
    head, tail = text[: start.end() - 1], text[start.end() :]
    return head + f"&#{ord(start.group()[-1])};" + _SPECIAL.sub(_reference, tail)


def _reference(match: re.Match[str]) -> str:
    char = match.group()
    return "<span>&#36;</span>" if char == "$" else f"&#{ord(char)};"


def _broken(match: re.Match[str]) -> str:
    digits = match.group()
    return _GAP.join(digits[at : at + _SHORT] for at in range(0, len(digits), _SHORT))


# -- XML, GitHub's workflow commands -------------------------------------------------------------


def xml_text(text: str, *, whole: bool = False) -> str:
    """Return text that can stand between the tags of an XML document; `whole` as of `clean`."""
    from xml.sax.saxutils import escape  # brings urllib with it, and HTTP

    return escape(clean(text, whole=whole))


def xml_attribute(text: str) -> str:
    """Return the text as the value of an attribute of XML, in quotes."""
    from xml.sax.saxutils import quoteattr

    return quoteattr(clean(text))


def workflow_text(text: str) -> str:
    """Return text that can be the message of a workflow command."""
    return clean(text).replace("%", "%25")


def workflow_property(text: str) -> str:
    """Return text that can be the value of a property of a workflow command."""
    return workflow_text(text).replace(":", "%3A").replace(",", "%2C")
