"""What tells the SDKs apart, as one row of data for each.

Sources: the estimates, caps and queues are those of AWS's Python SDK 3.0.0 (`state.py`) and its
JavaScript SDK 2.4.0 (`index.mjs`), read from the packages, and of the .NET and Java SDKs of
2026-11. The native runtime keeps .NET's row. Nothing is known of the requests of Go's and Rust's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from durable_core.frozen import dataclass
from durable_core.ids import BLAKE2B, MD5, SHA256, SHA256_OF_PATH, IdScheme
from durable_core.limits import LIMITS
from durable_core.model import OperationUpdate
from durable_core.sizes import (
    CLIENT_TOKEN_LENGTH,
    COMPACT_UTF8,
    SPACED_ASCII,
    JsonStyle,
    dotnet_estimate,
    java_estimate,
    javascript_estimate,
    python_estimate,
    request_bytes,
    update_bytes,
    utf8_bytes,
)
from durable_core.summaries.values import SummaryForm


class Sdk(StrEnum):
    """An SDK, by the name that `--sdk` takes where its requests are known."""

    DOTNET = "dotnet"
    JAVA = "java"
    JAVASCRIPT = "javascript"
    PYTHON = "python"
    GO = "go"
    RUST = "rust"


class ResultUnit(Enum):
    """In what an SDK measures a serialized result before it decides to strip it."""

    UTF8_BYTES = "bytes"
    CHARACTERS = "characters"


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkRow:
    """How people call an SDK, how it makes ids, and in which forms it stores results of units."""

    sdk: Sdk
    title: str
    ids: IdScheme
    forms: frozenset[SummaryForm]


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkRules(SdkRow):
    """How one SDK estimates, caps and queues its updates, and when it strips a result.

    `max_bytes` and `max_operations` cap one request; with `dataclasses.replace` a what-if sets
    others. The estimate of a request starts at `base_bytes`, plus the checkpoint token's length
    where `counts_token`. No SDK checks the first update of a request: one over the cap goes alone.
    With `hangs_on_oversized` it doesn't where it is queued behind another: it is put aside and
    never sent. A result is stripped when it measures more than the payload limit in `result_unit`,
    or just as much where `strips_at_limit`. `invalid_token` is what the service's refusal of a
    checkpoint token has to say for the SDK to try the invocation again: another text ends the
    execution.
    """

    max_bytes: int
    max_operations: int
    estimate: Callable[[OperationUpdate], int]
    style: JsonStyle
    base_bytes: int = 0
    counts_token: bool = False
    hangs_on_oversized: bool = False
    result_unit: ResultUnit = ResultUnit.UTF8_BYTES
    strips_at_limit: bool = False
    invalid_token: str = "Invalid Checkpoint Token"

    def base(self, token_length: int = 0) -> int:
        """Return the estimate of a request without any update."""
        return self.base_bytes + (token_length if self.counts_token else 0)

    def exact(self, update: OperationUpdate) -> int:
        """Return the bytes that one update takes when this SDK's client sends it."""
        return update_bytes(update, self.style)

    def exact_request(
        self,
        updates: Sequence[OperationUpdate],
        token_length: int = 0,
        client_token_length: int = CLIENT_TOKEN_LENGTH,
    ) -> int:
        """Return the bytes of the body of the request that carries these updates."""
        sizes = [self.exact(update) for update in updates]
        return request_bytes(sizes, self.style, token_length, client_token_length)

    def strips(self, result: str, limit: int = LIMITS.payload_bytes) -> bool:
        """Return True when the SDK strips this serialized result of a context, map or parallel."""
        measured = utf8_bytes(result) if self.result_unit is ResultUnit.UTF8_BYTES else len(result)
        return measured > limit or (self.strips_at_limit and measured == limit)


_F: Final = SummaryForm

_ROWS: Final[tuple[SdkRow, ...]] = (
    SdkRules(
        sdk=Sdk.DOTNET,
        title=".NET",
        ids=SHA256,
        forms=frozenset({_F.DOTNET, _F.COMPACT}),
        max_bytes=LIMITS.request_bytes,
        max_operations=200,
        estimate=dotnet_estimate,
        style=COMPACT_UTF8,
        base_bytes=4_096,  # kept for the token, the ARN and the framing
    ),
    SdkRules(
        sdk=Sdk.JAVA,
        title="Java",
        ids=SHA256,
        forms=frozenset({_F.JAVA, _F.DAG}),
        max_bytes=LIMITS.request_bytes,
        max_operations=200,
        estimate=java_estimate,
        style=COMPACT_UTF8,
        strips_at_limit=True,
    ),
    SdkRules(
        sdk=Sdk.JAVASCRIPT,
        title="JavaScript",
        ids=MD5,
        forms=frozenset({_F.JAVASCRIPT, _F.JAVASCRIPT_OLD, _F.DAG, _F.INLINE}),
        max_bytes=LIMITS.request_bytes,
        max_operations=250,
        estimate=javascript_estimate,
        style=COMPACT_UTF8,
        base_bytes=100,
        counts_token=True,
    ),
    SdkRules(
        sdk=Sdk.PYTHON,
        title="Python",
        ids=BLAKE2B,
        forms=frozenset({_F.PYTHON, _F.PYTHON_1, _F.DAG, _F.INLINE}),
        max_bytes=LIMITS.request_bytes,
        max_operations=250,
        estimate=python_estimate,
        style=SPACED_ASCII,
        hangs_on_oversized=True,
        result_unit=ResultUnit.CHARACTERS,
        invalid_token="Invalid checkpoint token",
    ),
    SdkRow(sdk=Sdk.GO, title="Go", ids=MD5, forms=frozenset({_F.JAVASCRIPT, _F.INLINE})),
    SdkRow(sdk=Sdk.RUST, title="Rust", ids=SHA256_OF_PATH, forms=frozenset({_F.INLINE})),
)
"""Every SDK. Dated 2026-11, like the limits."""

ALL_SDKS: Final[Mapping[Sdk, SdkRow]] = MappingProxyType({row.sdk: row for row in _ROWS})

SDKS: Final[Mapping[Sdk, SdkRules]] = MappingProxyType(
    {row.sdk: row for row in _ROWS if isinstance(row, SdkRules)}
)
"""The SDKs whose requests are known."""


def sdks_of(scheme: IdScheme) -> tuple[Sdk, ...]:
    """Return the SDKs that make ids so."""
    return tuple(row.sdk for row in _ROWS if scheme.is_like(row.ids))
