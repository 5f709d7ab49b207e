"""The ARN of an execution: what one is, and what is in it. One place for both."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from durable_core.frozen import dataclass
from durable_core.patterns import pattern

EXECUTION_ARN: Final = pattern(
    r"arn:(?P<partition>[a-zA-Z0-9-]+):lambda:(?P<region>[a-zA-Z0-9-]+):(?P<account_id>[0-9]{12})"
    r":function:(?P<function>[a-zA-Z0-9_-]+):(?P<version>\$LATEST(?:\.PUBLISHED)?|[0-9]+)"
    r"/durable-execution/(?P<name>[a-zA-Z0-9_-]+)/(?P<run_id>[a-zA-Z0-9_-]+)"
)
"""The service's own pattern: shape `DurableExecutionArn` in the service model, botocore 1.44."""

MAX_LENGTH: Final = 1024
"""The longest ARN of an execution, from the same shape."""

LOCAL_EXECUTION: Final = pattern(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/[a-zA-Z0-9_-]{1,64}")
"""What AWS's local runner (1.4.0) has instead of an ARN. Lambda knows nothing of the kind."""

EXPECTED: Final = (
    "arn:aws:lambda:REGION:ACCOUNT:function:NAME:VERSION/durable-execution/EXECUTION/ID"
)

_FUNCTION_REGION: Final = pattern(r"(?:arn:[a-zA-Z0-9-]*:lambda:)([a-z0-9-]+):[0-9]{12}:.*")
_ACCOUNT: Final = pattern(r"(?<![0-9a-zA-Z])[0-9]{12}(?![0-9a-zA-Z])")


@dataclass(frozen=True, slots=True)
class ExecutionArn:
    """The parts of an execution's ARN."""

    arn: str
    partition: str
    region: str
    account_id: str
    function: str
    version: str
    name: str
    run_id: str


def parse_execution_arn(text: str) -> ExecutionArn | None:
    """Return the parts of an execution's ARN, or None when the text isn't one."""
    match = EXECUTION_ARN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    return ExecutionArn(text, **match.groupdict()) if match else None


def is_local_execution(text: str) -> bool:
    """Tell whether the text is how AWS's local runner calls an execution."""
    return LOCAL_EXECUTION.fullmatch(text) is not None


def version_of_function(name: str) -> str:
    """Return the version that runs where a function is invoked by a name or ARN.

    A numeric qualifier names it; no qualifier, $LATEST and an alias run $LATEST (source: AWS's
    Python testing library 1.4.0).
    """
    qualifier = name.rpartition(":")[2]
    return qualifier if qualifier.isdecimal() else "$LATEST"


def region_of_function(name: str) -> str | None:
    """Return the region in a function's ARN; None for a bare name."""
    match = _FUNCTION_REGION.fullmatch(name)
    return match[1] if match else None


def accounts_in(text: str) -> list[str]:
    """Return the account ids in an ARN or anything like one, in their order."""
    return _ACCOUNT.findall(text)


# -- names of what is simulated ------------------------------------------------------------------

UNKNOWN_ARN: Final = (
    "arn:aws:lambda:us-east-1:123456789012:function:handler:$LATEST/durable-execution/verified/1"
)
"""What an execution is called whose record doesn't say."""

_MOST: Final = 64
"""Characters in the name of a function (CreateFunction) and of an execution (shape
`DurableExecutionName`)."""
_MOST_OF_FIRST: Final = 48
"""So many for an execution that none invoked: those that it invokes are numbered after it."""
_PLAIN: Final = pattern(r"[a-zA-Z0-9_]+")


def names_of_handler(parts: Sequence[str]) -> tuple[str, str]:
    """Return the names of a function and an execution for the handler of these modules and name.

    Both follow the service's rules, and other parts give other names: where characters have to be
    replaced or left out, a hash of the parts is added.
    """
    return _named(parts, _MOST), _named(parts, _MOST_OF_FIRST)


def _named(parts: Sequence[str], most: int) -> str:
    name = "-".join(re.sub(r"[^a-zA-Z0-9_]", "-", part) for part in parts)
    if len(name) <= most and all(map(_PLAIN.fullmatch, parts)):
        return name
    whole = "\0".join(parts).encode("utf-8", "surrogatepass")
    suffix = f"-{hashlib.sha256(whole).hexdigest()[:8]}"
    return name[-(most - len(suffix)) :].strip("-") + suffix


def name_of_invoked(execution: str, number: int) -> str:
    """Return the name of the n-th execution that one invokes."""
    suffix = f"-{number}"
    return execution[: _MOST - len(suffix)] + suffix
