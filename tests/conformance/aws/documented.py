"""Handlers of AWS's SDK for what its documentation shows besides the requirements."""

from __future__ import annotations

import tempfile

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    ChildConfig,
    CompletionConfig,
    Duration,
    JitterStrategy,
    MapConfig,
    NestingType,
    ParallelConfig,
    StepConfig,
    complete_batch,
    continue_batch,
)
from aws_durable_execution_sdk_python.context import (
    durable_parallel_branch,
    durable_step,
    durable_wait_for_callback,
    durable_with_child_context,
)
from aws_durable_execution_sdk_python.filesystem_serdes import (
    FileSystemSerDes,
    FileSystemSerDesConfig,
    FileSystemSerDesMode,
)
from aws_durable_execution_sdk_python.plugin import (
    DurableInstrumentationPlugin,
    InvocationStartInfo,
    OperationStartInfo,
)
from aws_durable_execution_sdk_python.retries import (
    LinearRetryStrategyConfig,
    RetryPresets,
    WithRetryConfig,
    create_linear_retry_strategy,
    with_retry,
)

SECOND = Duration.from_seconds(1)
ONE_BY_ONE = 1
noticed: list[str] = []


@durable_step
def priced(step: StepContext, sku: str, pieces: int) -> dict:
    step.logger.info("pricing %s", sku)
    return {"sku": sku, "total": 3 * pieces}


@durable_with_child_context
def packed(child: DurableContext, pieces: int) -> str:
    boxes = child.step(lambda _: pieces // 2, name="count-boxes")
    return child.step(lambda _: f"{boxes} boxes", name="label")


@durable_parallel_branch(name="stock")
def stock_of(branch: DurableContext, sku: str) -> int:
    return branch.step(lambda _: len(sku), name="look-up")


@durable_parallel_branch()
def price_of(branch: DurableContext, sku: str) -> str:
    return branch.step(lambda _: sku.upper(), name="look-up")


@durable_wait_for_callback
def asks(callback_id: str, about, question: str, urgency: int) -> None:
    about.logger.info("%s (%d): answer to %s", question, urgency, callback_id)


@durable_execution
def decorated(event, context: DurableContext):
    price = context.step(priced(event["sku"], pieces=4))
    context.wait(duration=SECOND, name="settle")
    return [price, context.run_in_child_context(packed(4)), context.step(priced("b", 1), "again")]


@durable_execution
def branches(event, context: DurableContext):
    config = ParallelConfig(max_concurrency=ONE_BY_ONE)
    return context.parallel(
        functions=[stock_of("pear"), price_of("pear")], name="load", config=config
    ).get_results()


@durable_execution
def asked(event, context: DurableContext):
    return context.wait_for_callback(asks("ready?", urgency=2))


def _completing(context: DurableContext, nesting: NestingType):
    def unit(each: DurableContext, item, index, items):
        return each.step(lambda _: item * 2, name="double")

    def enough(status):
        return complete_batch() if status.success_count >= 2 else continue_batch()

    batch = context.map(
        [1, 2, 3, 4],
        unit,
        "quorum",
        MapConfig(
            max_concurrency=ONE_BY_ONE,
            nesting_type=nesting,
            completion_config=CompletionConfig(should_complete=enough),
        ),
    )
    context.wait(SECOND)
    return [batch.completion_reason.value, batch.get_results()]


@durable_execution
def completes_by_predicate(event, context: DurableContext):
    return _completing(context, NestingType.NESTED)


@durable_execution
def completes_flat_by_predicate(event, context: DurableContext):
    return _completing(context, NestingType.FLAT)


@durable_execution
def fails_to_name(event, context: DurableContext):
    def name(item, index):
        raise LookupError("no name")

    def unit(each: DurableContext, item, index, items):
        return item

    try:
        context.map([1], unit, "named", MapConfig(item_namer=name))
    except Exception as error:
        return [type(error).__name__, error.error_type]


@durable_execution
def retries_a_block(event, context: DurableContext):
    def block(child: DurableContext, attempt: int):
        child.step(lambda _: attempt, name=f"try-{attempt}")
        if attempt < 3:
            raise ConnectionError("not yet")
        return attempt

    config = WithRetryConfig(retry_strategy=RetryPresets.fixed(Duration.from_seconds(2)))
    return with_retry(context, block, config, "block")


@durable_execution
def backs_off_linearly(event, context: DurableContext):
    def body(step: StepContext):
        if step.attempt < 4:
            raise TimeoutError("busy")
        return step.attempt

    strategy = create_linear_retry_strategy(
        LinearRetryStrategyConfig(
            initial_delay=Duration.from_seconds(2),
            increment=Duration.from_seconds(3),
            jitter_strategy=JitterStrategy.NONE,
            retryable_error_types=[TimeoutError],
        )
    )
    return context.step(body, "call", StepConfig(retry_strategy=strategy))


@durable_execution
def invokes_both_kinds(event, context: DurableContext):
    price = context.invoke("prices", {"sku": event}, name="price")
    return context.invoke("payments", {"amount": price["price"]}, name="payment")


def plain_prices(event, lambda_context):
    return {"price": len(event["sku"]) + len(lambda_context.function_name)}


@durable_execution
def payments(event, context: DurableContext):
    return {"charged": context.step(lambda _: event["amount"], name="charge")}


@durable_execution
def summarizes_itself(event, context: DurableContext):
    def body(child: DurableContext):
        return child.step(lambda _: "y", name="letter") * 300_000

    config = ChildConfig(summary_generator=lambda result: f'"{len(result)} letters"')
    large = context.run_in_child_context(body, "letters", config)
    context.wait(SECOND)
    return len(large)


@durable_execution
def stays_virtual(event, context: DurableContext):
    def body(child: DurableContext):
        child.wait(SECOND, name="pause")
        return child.step(lambda _: 5, name="five")

    five = context.run_in_child_context(body, "unseen", ChildConfig(is_virtual=True))
    return context.step(lambda _: five + 1, name="six")


@durable_execution
def keeps_results_in_files(event, context: DurableContext):
    with tempfile.TemporaryDirectory() as folder:
        kept = FileSystemSerDes(
            folder, FileSystemSerDesConfig(storage_mode=FileSystemSerDesMode.OVERFLOW)
        )
        large = context.step(lambda _: "x" * 300_000, "large", StepConfig(serdes=kept))
        small = context.step(lambda _: "y", "small", StepConfig(serdes=kept))
    return [len(large), small]


class Noticing(DurableInstrumentationPlugin):
    """Notes what the SDK tells its plugins."""

    def on_invocation_start(self, info: InvocationStartInfo) -> None:
        noticed.append("invocation")

    def on_operation_start(self, info: OperationStartInfo) -> None:
        noticed.append(f"{info.name}")


class NoticingFactory:
    """Makes one for each invocation."""

    def create_plugin(self, info: InvocationStartInfo) -> Noticing:
        return Noticing()


@durable_execution(plugins=[NoticingFactory()])
def watched(event, context: DurableContext):
    if not context.is_replaying():
        noticed.clear()
    context.step(lambda _: 1, name="first")
    context.wait(SECOND, name="pause")
    context.step(lambda _: 2, name="second")
    return noticed
