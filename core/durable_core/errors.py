"""What can go wrong, said so that it shows who is to blame.

Every error carries its facts as fields and makes its one line of text from them only in
`__str__`. `durable_cli.exits` maps the classes to exit codes; nothing else does.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with everything that isn't printable escaped.

    Control characters, line breaks and lone surrogates of somebody's input must not reach a
    terminal, and an error stays on one line.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


class DurableError(Exception):
    """Any failure that this project reports by itself: one clear line, never a traceback.

    `is_finding`: it was what there was to find out, not something that kept us from finding out.
    """

    is_finding = False


class WireError(DurableError):
    """A JSON value that is not what the service API says it is.

    `path` is where inside the document (`Events[3].StepSucceededDetails`), `expected` what should
    stand there, `found` what does.
    """

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path = path
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.problem}")

    @property
    def problem(self) -> str:
        """What is wrong, without where."""
        return f"expected {self.expected}, found {self.found}"

    def within(self, path: str) -> WireError:
        """Return the same error with its path put inside another one."""
        return WireError(path + self.path, self.expected, self.found)


class SourceError(DurableError):
    """A file, stream or document that can't be read as what it should be. The input is to blame.

    `source` is the name that the user gave, `where` the line, byte or EventId (or None), `problem`
    says what is wrong and what was expected.
    """

    def __init__(self, source: str, problem: str, where: str | None = None) -> None:
        super().__init__(source, problem, where)
        self.source = source
        self.problem = problem
        self.where = where

    def __str__(self) -> str:
        parts = (self.source, self.where, self.problem)
        return printable(": ".join(part for part in parts if part))


class AwsError(DurableError):
    """AWS refused, was not reachable, or answered what it never should. The service is to blame.

    `subject` is what was asked for (an ARN, a function's name), `problem` what happened, `advice`
    what the user can do.
    """

    def __init__(self, subject: str, problem: str, advice: str) -> None:
        super().__init__(subject, problem, advice)
        self.subject = subject
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        parts = (self.subject, self.problem, self.advice)
        return printable(": ".join(part for part in parts if part))


class HistoryError(DurableError):
    """Events that can't belong to one execution. The history is to blame.

    Raised by `history` and `fold`; `event_id` is the event at which it showed, or None.
    """

    def __init__(self, problem: str, event_id: int | None = None) -> None:
        super().__init__(problem, event_id)
        self.problem = problem
        self.event_id = event_id

    def __str__(self) -> str:
        where = "" if self.event_id is None else f"EventId {self.event_id}: "
        return printable(where + self.problem)


class ImpossibleOperation(DurableError):
    """A recorded operation in a state that the service never writes for its type.

    Raised by `decide`; says nothing about the code that is replayed.
    """

    def __init__(self, operation_id: str, problem: str) -> None:
        super().__init__(operation_id, problem)
        self.operation_id = operation_id
        self.problem = problem

    def __str__(self) -> str:
        return f"operation {self.operation_id}: {self.problem}"


class NotEnforced(DurableError):
    """The operating system can't hold what verifying code is refused. The system is to blame.

    `missing` says what it doesn't hold, and why.
    """

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(missing)
        self.missing = missing

    def __str__(self) -> str:
        why = "; ".join(self.missing)
        return printable(f"cannot verify: --guard enforce can't be had on this system: {why}")


class UsageError(DurableError):
    """The command line asks for something that can't be. The user's call is to blame."""


class SourceDefect(DurableError):
    """A defect of `durable` itself that showed at one source: we are to blame, and the other
    sources go on. `kind` and `text` are those of the exception."""

    def __init__(self, source: str, kind: str, text: str) -> None:
        super().__init__(source, kind, text)
        self.source = source
        self.kind = kind
        self.text = text

    def __str__(self) -> str:
        said = f"{self.kind}: {self.text}" if self.text else self.kind
        hint = "DURABLE_DEBUG=1 shows the traceback"
        return printable(f"{self.source}: a defect in durable itself: {said} ({hint})")
