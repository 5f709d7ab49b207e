"""Which driver runs a handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_core.runtimes.aws_python.installed import found_below
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.verifying.replay import Replayer


def replayer_of(handler: Callable[..., Any]) -> Replayer:
    """Return what runs a handler, whatever SDK it is written with."""
    if found_below(handler) is None:
        return NativeReplayer(handler)
    from durable_core.runtimes.aws_python.replay import AwsReplayer

    return AwsReplayer(handler)
