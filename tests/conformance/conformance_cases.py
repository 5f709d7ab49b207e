"""Which handler shows which requirement, with what event, and what the world outside does.

The numbers are those of the published, language-neutral conformance requirements for SDKs of Lambda
durable executions. `scenario` is a scenario file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One requirement: `handler` is `module:function` in `native/` and `aws/`.

    `isolated`: the handler ends its process.
    """

    handler: str
    event: Any = None
    scenario: str = ""
    isolated: bool = False


YES = """
[[callback]]
name = "*"
payload = '"yes"'
"""

NUMBER = """
[[callback]]
name = "*"
payload = "42"
"""

STATUS = """
[[callback]]
name = "*"
payload = '{"status": "approved"}'
"""

REFUSED = """
[[callback]]
name = "*"
outcome = "failure"
error = {type = "RejectedError", message = "not approved"}
"""

REFUSED_WITH_DATA = """
[[callback]]
name = "*"
outcome = "failure"
error = {type = "RejectedError", message = "not approved", data = "ticket 7"}
"""

REFUSES = """
[[invoke]]
function = "refuses"
handler = "further:durable_refuses"
"""

BOTH = """
[[callback]]
name = "buyer"
payload = '"buys"'

[[callback]]
name = "seller"
payload = '"sells"'
"""

ONE_LATER = """
[[callback]]
name = "buyer"
payload = '"buys"'
after_seconds = 3

[[callback]]
name = "seller"
payload = '"sells"'
after_seconds = 4
"""

BEAT_THEN_YES = """
[[callback]]
name = "*"
outcome = "heartbeat"
after_seconds = 0

[[callback]]
name = "*"
payload = '"yes"'
"""

TARGETS = """
[[invoke]]
function = "echo"
handler = "invoke:echo"

[[invoke]]
function = "measure"
handler = "invoke:measure"

[[invoke]]
function = "refuse"
handler = "invoke:refuse"
"""

SHOP = """
[[invoke]]
function = "prices"
handler = "documented:plain_prices"

[[invoke]]
function = "payments"
handler = "documented:payments"
"""

CRASH = """
[[crash]]
invocation = 1
checkpoint = 1
when = "after"
"""

LOGS = (
    ("1-7", "Greeting step started for: Ada", 1),
    ("1-7", "Greeting step completed with: Hello, Ada!", 1),
    ("1-17", "running for Ada", 1),
    ("1-18", "running for Ada", 2),
    ("3-11", "in the child context for apple", 2),
    ("3-17", "in the child context for apple", 1),
)
"""What the handler of a case logs, and how often. The logger under a context's own logs during a
replay too: so a body that runs again is seen to."""

CASES: dict[str, Case] = {
    "1-1": Case("step:greets", "World"),
    "1-2": Case("step:named", "World"),
    "1-3": Case("step:two_in_sequence"),
    "1-6": Case("step:own_serdes", "hello world"),
    "1-7": Case("step:logs", "Ada"),
    "1-8": Case("step:step_then_wait"),
    "1-11": Case("step:retried_once"),
    "1-12": Case("step:out_of_attempts"),
    "1-13": Case("step:default_retries"),
    "1-16": Case("step:not_retryable"),
    "1-17": Case("step:dies_once_at_most", "Ada", isolated=True),
    "1-18": Case("step:dies_then_retried", "Ada", isolated=True),
    "2-1": Case("wait:unnamed"),
    "2-2": Case("wait:named"),
    "2-3": Case("wait:two_in_sequence"),
    "3-1": Case("child:one_step", "apple"),
    "3-2": Case("child:named_by_input", {"name": "fruit", "value": "apple"}),
    "3-3": Case("child:two_in_sequence", "apple"),
    "3-6": Case("child:nested", "apple"),
    "3-7": Case("child:retried_inside", "apple"),
    "3-8": Case("child:fails_inside"),
    "3-11": Case("child:overflows", "apple"),
    "3-12": Case(
        "child:dies_inside",
        "apple",
        CRASH,
    ),
    "3-13": Case("child:waits_inside", "apple"),
    "3-16": Case("child:returns_nothing"),
    "3-17": Case("child:logs_only", "apple"),
    "3-18": Case("child:step_and_wait_inside_and_after", "apple"),
    "4-1": Case("callback:named_by_input", "order-17", YES),
    "4-2": Case("callback:named", None, YES),
    "4-3": Case("callback:with_timeout", "order-17"),
    "4-6": Case("callback:named_by_input", "order-17", REFUSED),
    "4-7": Case("callback:step_between", "order-17", REFUSED),
    "4-8": Case("callback:step_between_with_timeout", "order-17"),
    "4-11": Case("callback:timeout_during_wait", "order-17"),
    "4-12": Case("callback:wait_afterwards", "order-17", YES),
    "4-13": Case("callback:failure_caught", "order-17", REFUSED),
    "4-16": Case("callback:own_serdes", "order-17", NUMBER),
    "4-17": Case(
        "callback:two_in_sequence",
        ["buyer", "seller"],
        BOTH,
    ),
    "4-18": Case(
        "callback:two_at_once",
        ["buyer", "seller"],
        ONE_LATER,
    ),
    "5-1": Case("invoke:echoes", "apple", TARGETS),
    "5-2": Case("invoke:named_by_input", {"name": "fruit", "payload": "apple"}, TARGETS),
    "5-3": Case("invoke:echoes", {"order": {"id": 17, "lines": ["pear", None, 2.5]}}, TARGETS),
    "5-6": Case("invoke:failure_caught", None, TARGETS),
    "5-7": Case("invoke:large_payload", None, TARGETS),
    "5-8": Case("invoke:for_tenant", {"tenantId": "blue", "payload": "apple"}, TARGETS),
    "5-11": Case("invoke:step_before", None, TARGETS),
    "5-12": Case("invoke:step_afterwards", None, TARGETS),
    "5-13": Case("invoke:inside_child", None, TARGETS),
    "5-16": Case("invoke:own_serdes", "hello", TARGETS),
    "6-1": Case("wait_for_condition:counts", 3),
    "6-2": Case("wait_for_condition:met_at_once", 5),
    "6-3": Case("wait_for_condition:named", 2),
    "6-6": Case("wait_for_condition:out_of_attempts", 0),
    "6-7": Case("wait_for_condition:check_fails"),
    "6-8": Case("wait_for_condition:failure_caught"),
    "6-11": Case("wait_for_condition:own_serdes"),
    "6-12": Case("wait_for_condition:step_afterwards", 2),
    "6-13": Case("wait_for_condition:two_in_sequence"),
    "7-1": Case("wait_for_callback:named_by_input", "order-17", YES),
    "7-2": Case("wait_for_callback:named", None, YES),
    "7-3": Case("wait_for_callback:unnamed", None, YES),
    "7-6": Case("wait_for_callback:failure_caught", "order-17", REFUSED),
    "7-7": Case("wait_for_callback:submitter_fails", "order-17"),
    "7-8": Case("wait_for_callback:inside_child", "order-17", YES),
    "7-11": Case("wait_for_callback:own_serdes", "order-17", STATUS),
    "7-12": Case("wait_for_callback:heartbeat_timeout", "order-17"),
    "7-13": Case(
        "wait_for_callback:heartbeat_then_success",
        "order-17",
        BEAT_THEN_YES,
    ),
    "8-1": Case("parallel:two_steps"),
    "8-2": Case("parallel:unnamed"),
    "8-3": Case("parallel:named_branches"),
    "8-6": Case("parallel:fail_fast"),
    "8-7": Case("parallel:rethrows"),
    "8-8": Case("parallel:min_successful"),
    "8-11": Case("parallel:concurrent"),
    "8-12": Case("parallel:flat"),
    "8-13": Case("parallel:percentage_exceeded"),
    "8-16": Case("parallel:all_fail"),
    "8-17": Case("parallel:min_not_reached"),
    "8-18": Case("parallel:combined_criteria"),
    "8-21": Case("parallel:nested"),
    "8-22": Case("parallel:percentage_at_boundary"),
    "9-1": Case("map:greets_each", ["World", "Kiro"]),
    "9-2": Case("map:unnamed", [1, 2]),
    "9-3": Case("map:item_and_index", [10, 20, 30]),
    "9-6": Case("map:rethrows"),
    "9-7": Case("map:min_successful"),
    "9-8": Case("map:tolerated"),
    "9-11": Case("map:concurrent"),
    "9-12": Case("map:flat"),
    "9-13": Case("map:named_items", [1, 2]),
    "9-16": Case("map:overflows"),
    "9-17": Case("map:wait_afterwards"),
    "9-18": Case("map:failure_then_wait"),
}

DOCUMENTED: dict[str, Case] = {
    "decorators of steps and child contexts": Case("documented:decorated", {"sku": "pear"}),
    "decorators of branches": Case("documented:branches"),
    "decorator of submitters": Case("documented:asked", None, YES),
    "own predicate, NESTED": Case("documented:completes_by_predicate"),
    "own predicate, FLAT": Case("documented:completes_flat_by_predicate"),
    "a namer that raises": Case("documented:fails_to_name"),
    "with_retry": Case("documented:retries_a_block"),
    "linear retries": Case("documented:backs_off_linearly"),
    "targets of both kinds": Case("documented:invokes_both_kinds", "pear", SHOP),
    "own summary": Case("documented:summarizes_itself"),
    "virtual child context": Case("documented:stays_virtual"),
}
"""What the documentation of AWS's SDK shows besides, in both runtimes."""

AWS_ONLY: dict[str, Case] = {
    "results in files": Case("documented:keeps_results_in_files"),
    "plugin": Case("documented:watched"),
}
"""What only AWS's SDK has."""

FURTHER: dict[str, Case] = {
    "error caught": Case("further:catches_its_own_error"),
    "types that are retried": Case("further:retries_some_types"),
    "messages that are retried": Case("further:retries_some_messages"),
    "types that are kept": Case("further:keeps_types"),
    "result of a step that is no JSON": Case("further:returns_what_is_no_json"),
    "final result that is no JSON": Case("further:ends_with_what_is_no_json"),
    "at most once, retried": Case("further:tries_once_in_each_attempt"),
    "SerDes that can't write": Case("further:cannot_write_a_step"),
    "ExecutionError": Case("further:ends_by_an_execution_error"),
    "large context, then a failure": Case("further:fails_after_a_large_context"),
    "failure in a virtual context": Case("further:fails_in_a_virtual_context"),
    "failure of a context caught in another": Case("further:catches_in_a_context"),
    "callback refused, with data": Case("further:reads_a_refusal", None, REFUSED_WITH_DATA),
    "callback left open": Case("further:leaves_a_callback_open"),
    "callback refused in a map": Case("further:is_refused_in_a_map", None, REFUSED),
    "submitter that fails": Case("further:cannot_submit"),
    "polls in vain": Case("further:polls_in_vain"),
    "polls in a context": Case("further:polls_in_a_context"),
    "durable target that fails": Case("further:is_refused_by_a_durable_target", None, REFUSES),
    "payload that can't be written": Case("further:cannot_write_a_payload"),
    "failures over what is tolerated": Case("further:exceeds_what_is_tolerated"),
    "map of nothing": Case("further:maps_nothing"),
    "waits in maps of maps": Case("further:waits_in_maps_of_maps"),
    "failure in a stripped map, NESTED": Case("further:rebuilds_a_failure", "NESTED"),
    "failure in a stripped map, FLAT": Case("further:rebuilds_a_failure", "FLAT"),
    "large units": Case("further:rebuilds_large_units"),
    "named branches, stripped": Case("further:rebuilds_named_branches"),
    "SerDes of units": Case("further:writes_units_loudly"),
    "SerDes of units that can't write": Case("further:cannot_write_a_unit"),
    "retries in FLAT units": Case("further:retries_in_flat_units"),
    "with_retry that gives up": Case("further:gives_up_a_block"),
}
"""What neither the requirements nor the documentation show, for AWS's SDK."""

CHANCE = {"1-13"}
"""Cases whose delays are drawn, by each runtime in its own way."""
