"""Runs handlers of AWS's SDK on AWS's local runner, and says what both it and the cloud record.

    python tests/conformance/local_runner.py CASE...

Prints the histories of the cases as JSON, by the cases' names. A process of its own: the runner
leaves threads, loops and sockets behind.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from conformance_cases import AWS_ONLY, CASES, DOCUMENTED, FURTHER, Case
from conformance_driver import HERE, handler_in
from conformance_skeleton import skeleton

PATIENCE_SECONDS = 30
EVERY_CASE = CASES | DOCUMENTED | AWS_ONLY | FURTHER

NOT_TOLD = (
    r"ExecutionTimeout \d+",
    r"(Heartbeat)?Timeout \d+",
    r"ExecutedVersion [^,\s]+",
    r"TenantId [^,\s]+",
    r"DurableExecutionArn",
)
"""Details that AWS's runner leaves out, or that differ from run to run."""


def histories_on_local_runner(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the histories that AWS's local runner writes of the cases, by their names."""
    command = [sys.executable, __file__, *names]
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, env=os.environ | paths, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    histories: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return histories


def history_on_local_runner(case: Case) -> dict[str, Any]:
    """Return the history that AWS's local runner writes of a case, waits skipped.

    Callbacks are answered in the order of the scenario, as soon as they are there.
    """
    from aws_durable_execution_sdk_python.lambda_service import ErrorObject
    from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

    script = tomllib.loads(case.scenario)
    with DurableFunctionTestRunner(_handler(case.handler), poll_interval=0.01) as runner:
        for invoke in script.get("invoke", ()):
            plain = ":plain_" in invoke["handler"]
            register = runner.register_function if plain else runner.register_durable_function
            register(invoke["function"], _handler(invoke["handler"]))
        arn = runner.run_async(input=json.dumps(case.event))
        answered: set[str] = set()
        for callback in script.get("callback", ()):
            callback_id = _open_callback(runner, arn, callback["name"], answered)
            if callback.get("outcome") == "failure":
                error = callback["error"]
                said = ErrorObject(error["message"], error["type"], error.get("data"), None)
                runner.send_callback_failure(callback_id, said)
            else:
                runner.send_callback_success(callback_id, callback["payload"].encode())
        runner.wait_for_result(arn, timeout=PATIENCE_SECONDS)
        events = runner.get_execution_history(arn, include_execution_data=True).events
    text = json.dumps([event.to_dict() for event in events], default=datetime.isoformat)
    return {"Events": json.loads(text)}


def _handler(spec: str) -> Any:
    module, _, function = spec.partition(":")
    return handler_in(HERE / "aws" / f"{module}.py", function)


def _open_callback(runner: Any, arn: str, name: str, answered: set[str]) -> str:
    wanted = None if name == "*" else name
    while True:
        callback_id: str = runner.wait_for_callback(arn, wanted, timeout=PATIENCE_SECONDS)
        if callback_id not in answered:
            answered.add(callback_id)
            return callback_id


def told_by_both(history: dict[str, Any]) -> list[str]:
    """Return the lines of a history without what AWS's local runner doesn't tell as the cloud does.

    Those are the invocations and their errors, the first or last attempt's RetryDetails, the state
    of a poll that goes on, and some details of starts.
    """
    return [line for line in map(_told, skeleton(history)) if line]


def _told(line: str) -> str:
    if line.startswith("InvocationCompleted"):
        return ""
    if line.startswith("StepSucceeded") and "(WaitForCondition)" in line and "next in" in line:
        line = line.partition(":")[0]
    if line.startswith("StepSucceeded"):
        line = re.sub(r", try \d+$", "", line)
    line = line.replace(", next in 0 s", "")
    for detail in NOT_TOLD:
        line = re.sub(rf"(, )?\b{detail}", "", line)
    return re.sub(r":\s*,?\s*$", "", line).replace(": , ", ": ")


if __name__ == "__main__":
    logging.disable()
    found = {name: history_on_local_runner(EVERY_CASE[name]) for name in sys.argv[1:]}
    json.dump(found, sys.stdout)
