"""The names that handlers import, their order and defaults: those of AWS's Python SDK, cheaply."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import aws_durable_execution_sdk_python as theirs
import pytest
from aws_durable_execution_sdk_python import config as their_config
from aws_durable_execution_sdk_python import retries as their_retries
from aws_durable_execution_sdk_python import waits as their_waits
from aws_durable_execution_sdk_python.concurrency.models import BatchResult as TheirBatchResult
from aws_durable_execution_sdk_python.context import DurableContext as TheirContext

import durable_core

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", durable_core.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    assert getattr(durable_core, name) is not None


def test_the_list_of_names_is_complete() -> None:
    assert sorted(durable_core._HOME) == sorted(set(durable_core.__all__) - {"__version__"})
    assert not hasattr(durable_core, "NoSuchName")


def test_importing_the_package_loads_nothing_else() -> None:
    program = "import sys, durable_core; print(*(m for m in sys.modules if 'durable_core.' in m))"
    command = [sys.executable, "-c", program]
    environment = {"PYTHONPATH": str(ROOT / "core")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["durable_core._version"]


OPERATIONS = (
    "step",
    "wait",
    "invoke",
    "map",
    "parallel",
    "run_in_child_context",
    "create_callback",
    "wait_for_callback",
    "wait_for_condition",
    "set_logger",
    "is_replaying",
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_take_what_the_sdk_s_take(operation: str) -> None:
    def shape(function: object) -> list[tuple[str, object]]:
        parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        return [(parameter.name, parameter.default) for parameter in parameters]

    ours = shape(getattr(durable_core.DurableContext, operation))
    assert ours == shape(getattr(TheirContext, operation))


CONFIGS = [
    (their_config, name)
    for name in (
        "StepConfig",
        "ChildConfig",
        "ParallelConfig",
        "MapConfig",
        "InvokeConfig",
        "CallbackConfig",
        "WaitForCallbackConfig",
        "ParallelBranch",
        "CompletionConfig",
        "CompletionDecision",
        "CompletionStatus",
        "CompletionItemStatus",
    )
]
CONFIGS += [
    (their_retries, "RetryStrategyConfig"),
    (their_retries, "LinearRetryStrategyConfig"),
    (their_retries, "RetryDecision"),
    (their_waits, "WaitStrategyConfig"),
    (their_waits, "WaitForConditionConfig"),
    (their_waits, "WaitForConditionDecision"),
]


def plain(value: object) -> object:
    """Return a default as something that both sides share."""
    if isinstance(value, their_config.Duration):
        return value.seconds
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return getattr(value, "value", value)


@pytest.mark.parametrize(("module", "name"), CONFIGS)
def test_configs_have_the_fields_order_and_defaults_of_the_sdk_s(module: object, name: str) -> None:
    def shape(kind: type) -> list[tuple[str, object, bool]]:
        fields = []
        for field in dataclasses.fields(kind):
            default = field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            fields.append((field.name, plain(default), field.kw_only))
        return fields

    ours = [f for f in shape(getattr(durable_core, name)) if f[:2] != ("delay", 0)]
    expected = shape(getattr(module, name))
    assert ours == [f for f in expected if f[0] != "delay" or len(ours) == len(expected)]


def test_batch_results_have_the_accessors_of_the_sdk_s() -> None:
    wanted = {
        name
        for name in dir(TheirBatchResult)
        if not name.startswith("_") and name not in ("from_dict", "from_items", "to_dict")
    }
    ours = set(dir(durable_core.BatchResult)) | {"all", "completion_reason"}
    assert wanted <= ours


def test_what_the_sdk_exports_for_handlers_is_here_too() -> None:
    not_for_native_handlers = {
        "PluginLoadError",
        "durable_execution",
    }
    assert set(theirs.__all__) - not_for_native_handlers <= set(durable_core.__all__)
