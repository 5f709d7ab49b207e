"""Suite 6: polls."""

from aws_durable_execution_sdk_python import (
    DurableContext,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy
from aws_durable_execution_sdk_python.serdes import SerDes
from aws_durable_execution_sdk_python.waits import (
    WaitForConditionConfig,
    WaitForConditionDecision,
    WaitStrategyConfig,
    create_wait_strategy,
)

SECOND = Duration.from_seconds(1)


class Reversed(SerDes[str]):
    """Stores texts backwards, between angle brackets."""

    def serialize(self, value, _):
        return f"<{value[::-1]}>"

    def deserialize(self, data, _):
        return data[1:-1][::-1]


def poll_until(is_enough, initial_state, serdes=None):
    """Return the configuration of a poll, a second apart, that ends when it is enough."""

    def decide(state, _attempts):
        if is_enough(state):
            return WaitForConditionDecision.stop_polling()
        return WaitForConditionDecision.continue_waiting(SECOND)

    return WaitForConditionConfig(wait_strategy=decide, initial_state=initial_state, serdes=serdes)


def one_more(state, _):
    """Count on."""
    return state + 1


def count_to(context: DurableContext, number, start=0, name=None):
    """Poll a counter until it reaches the number."""
    config = poll_until(lambda state: state >= number, start)
    return context.wait_for_condition(one_more, config, name=name)


def broken(_state, _):
    """Fail."""
    raise RuntimeError("the check failed")


@durable_execution
def counts(event, context: DurableContext):
    return count_to(context, event)


@durable_execution
def met_at_once(_event, context: DurableContext):
    return context.wait_for_condition(
        lambda state, _: state, poll_until(lambda state: state >= 5, 5)
    )


@durable_execution
def named(_event, context: DurableContext):
    return count_to(context, 2, name="poll-status")


@durable_execution
def out_of_attempts(_event, context: DurableContext):
    strategy = create_wait_strategy(
        WaitStrategyConfig(
            should_continue_polling=lambda _: True,
            max_attempts=3,
            initial_delay=SECOND,
            backoff_rate=1,
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
    return context.wait_for_condition(one_more, config)


@durable_execution
def check_fails(_event, context: DurableContext):
    return context.wait_for_condition(broken, poll_until(bool, 0))


@durable_execution
def failure_caught(_event, context: DurableContext):
    from aws_durable_execution_sdk_python import WaitForConditionError  # which 1.x hasn't

    try:
        return context.wait_for_condition(broken, poll_until(bool, 0))
    except WaitForConditionError:
        return "recovered"


@durable_execution
def own_serdes(_event, context: DurableContext):
    config = poll_until(lambda state: len(state) >= 2, "", serdes=Reversed())
    return context.wait_for_condition(lambda state, _: f"{state}x", config)


@durable_execution
def step_afterwards(event, context: DurableContext):
    count = count_to(context, event)
    return context.step(lambda _: count * 10)


@durable_execution
def two_in_sequence(_event, context: DurableContext):
    return count_to(context, 4, start=count_to(context, 2))
