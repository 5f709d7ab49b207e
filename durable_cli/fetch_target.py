"""Where fetched executions go: standard output, a file, or a folder with one file an execution."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from durable_cli.escapes import json_text
from durable_cli.output import Output
from durable_cli.whole_file import Spared, refuse_existing, write_whole
from durable_core.arns import parse_execution_arn
from durable_core.errors import SourceError, UsageError
from durable_core.execution_document import ExecutionDocument
from durable_core.frozen import dataclass
from durable_core.redaction.identifiers import has_identifiers
from durable_core.redaction.keep_paths import KeepPath
from durable_core.wire import REDACTED


@dataclass(slots=True)
class Target:
    """Where documents go, and whether they are redacted on their way."""

    output: str | None = None
    folder: Path | None = None
    force: bool = False
    redact: bool = False
    keep: tuple[KeepPath, ...] = ()
    kept: dict[str, dict[str, None]] = field(default_factory=dict)
    """The names that redactions kept, by what they are of."""
    _arns: dict[str, str] = field(default_factory=dict)  # by the names of files
    _keys: dict[str, bytes] = field(default_factory=dict)  # of redactions, by roots

    def check(self) -> None:
        """Raise UsageError or SourceError when nothing can be written there."""
        if self.output is not None and self.folder is not None:
            raise UsageError("expected either --output or --output-dir")
        Spared({}).check({"--output": self.output}, force=self.force)

    def expect(self, count: int, *, with_children: bool) -> None:
        """Raise UsageError when that many documents can't go there."""
        if self.folder is None and (count > 1 or with_children):
            what = f"{count:,} executions" if count > 1 else "--with-children"
            raise UsageError(f"{what} need --output-dir DIR: a file holds one execution")

    def refuse(self, arn: str) -> None:
        """Raise SourceError when the execution's file is there, as far as its ARN tells."""
        parts = parse_execution_arn(arn)
        if self.folder is None or parts is None or self.force:
            return
        if self.redact and has_identifiers(f"{parts.function} {parts.name}"):
            return  # what the file is called follows from what is in it
        file = self._file_name(parts.function, parts.name, parts.run_id, arn)
        refuse_existing(self.folder / file)

    def write(self, document: ExecutionDocument, root: str) -> str | None:
        """Write one document, and return the file it went to.

        `root` is the execution whose child, or child's child, it is: documents of one root have
        the same stand-ins. Raises SourceError.
        """
        wire = self._prepared(document, root)
        text = json_text(wire) + "\n"
        if self.folder is None and self.output is None:
            Output().write(text)
            return None
        path = Path(self.output) if self.output is not None else self._path_of(wire, document.arn)
        write_whole(path, text, force=self.force)
        return str(path)

    def names_kept(self) -> str | None:
        """Return which names redactions kept, in words; None where they kept none."""
        said = [f"{_KINDS[kind]} ({_listed(list(names))})" for kind, names in self.kept.items()]
        return (
            f"kept are the names of {', '.join(said)}: read them before you share" if said else None
        )

    def _path_of(self, wire: Mapping[str, Any], arn: str) -> Path:
        assert self.folder is not None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(str(self.folder), f"can't be made: {error.strerror}") from None
        shown_arn = str(wire.get("DurableExecutionArn") or "")
        parts = parse_execution_arn(shown_arn)
        function = str(wire.get("FunctionArn") or "").split(":")
        name = wire.get("DurableExecutionName")
        return self.folder / self._file_name(
            parts.function if parts else function[6] if len(function) > 6 else "function",
            parts.name if parts else str(name or "execution"),
            shown_arn.rpartition("/")[2],
            arn,
        )

    def _file_name(self, function: str, name: str, run_id: str, arn: str) -> str:
        """Return a name that no other execution of this call has; `arn` tells it from others."""
        stem = f"{_plain(function)}.{_plain(name)}"
        # A file system may not tell capital letters from small ones.
        if self._arns.setdefault(stem.casefold(), arn) != arn:
            stem = f"{stem}.{_plain(run_id)}"
        return f"{stem}.json"

    def _prepared(self, document: ExecutionDocument, root: str) -> dict[str, Any]:
        wire = document.to_wire()
        if not self.redact:
            return wire
        from durable_core.redaction.redact import key_for, redact

        if root not in self._keys:
            self._keys[root] = key_for(wire, os.urandom)
        redacted = redact(wire, self.keep, self._keys[root])
        for kind, names in redacted[REDACTED].get("Names", {}).items():
            self.kept.setdefault(kind, {}).update(dict.fromkeys(names))
        return redacted


_KINDS: Final = {
    "Functions": "functions",
    "Executions": "executions",
    "Operations": "operations",
    "Units": "units",
    "SubTypes": "sub-types",
    "EventTypes": "types of events",
    "ErrorTypes": "types of errors",
    "Fields": "fields",
}
_NAMED: Final = 5
"""How many names of a kind are told; the document lists them all."""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:80]
