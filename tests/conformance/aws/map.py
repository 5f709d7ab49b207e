"""Suite 9: maps, one item after the other unless said otherwise."""

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    CompletionConfig,
    Duration,
    MapConfig,
    NestingType,
)


def sequential(**options):
    """Return the configuration of items that run one after the other."""
    return MapConfig(max_concurrency=1, **options)


def until(**criteria):
    """Return the configuration of items in sequence with completion criteria."""
    return sequential(completion_config=CompletionConfig(**criteria))


def itself(_context, item, _index, _items):
    """Return the item."""
    return item


def itself_unless_fail(_context, item, _index, _items):
    """Return the item, or fail where it says so."""
    if item == "fail":
        raise RuntimeError("item failed")
    return item


def projection(batch, *fields):
    """Return what the fields say of a batch."""
    values = {
        "completionReason": batch.completion_reason.value,
        "status": batch.status.value,
        "successCount": batch.success_count,
        "failureCount": batch.failure_count,
        "totalCount": batch.total_count,
    }
    return {field: values[field] for field in fields or values}


@durable_execution
def greets_each(event, context: DurableContext):
    def greet(item_context, item, _index, _items):
        return item_context.step(lambda _: f"Hello, {item}!")

    return context.map(event, greet, name="map", config=sequential()).get_results()


@durable_execution
def unnamed(event, context: DurableContext):
    def double(_context, item, _index, _items):
        return item * 2

    return context.map(event, double, config=sequential()).get_results()


@durable_execution
def item_and_index(event, context: DurableContext):
    def add(_context, item, index, _items):
        return item + index

    return context.map(event, add, name="indexed", config=sequential()).get_results()


@durable_execution
def rethrows(_event, context: DurableContext):
    config = until(tolerated_failure_count=0)
    batch = context.map(["fail", "never"], itself_unless_fail, name="throwing", config=config)
    batch.throw_if_error()
    return batch.get_results()


@durable_execution
def min_successful(_event, context: DurableContext):
    items = ["i0", "i1", "i2", "i3"]
    batch = context.map(items, itself, name="min-successful", config=until(min_successful=2))
    return projection(batch, "completionReason", "successCount", "totalCount")


@durable_execution
def tolerated(_event, context: DurableContext):
    config = until(tolerated_failure_count=1)
    items = ["i0", "fail", "i2"]
    return projection(context.map(items, itself_unless_fail, name="tolerated", config=config))


@durable_execution
def concurrent(_event, context: DurableContext):
    config = MapConfig(max_concurrency=2)
    return context.map(["r0", "r1", "r2"], itself, name="concurrent", config=config).get_results()


@durable_execution
def flat(_event, context: DurableContext):
    def in_step(item_context, item, _index, _items):
        return item_context.step(lambda _: item)

    config = sequential(nesting_type=NestingType.FLAT)
    return context.map(["fa", "fb"], in_step, name="flat", config=config).get_results()


@durable_execution
def named_items(event, context: DurableContext):
    def tenfold(_context, item, _index, _items):
        return item * 10

    config = sequential(item_namer=lambda item, _index: f"item-{item}")
    return context.map(event, tenfold, name="named-items", config=config).get_results()


@durable_execution
def overflows(_event, context: DurableContext):
    def large(_context, item, _index, _items):
        return item * 70_000

    batch = context.map(list("abcd"), large, name="large", config=sequential())
    return projection(batch, "successCount", "totalCount")


@durable_execution
def wait_afterwards(_event, context: DurableContext):
    def shout(_context, item, _index, _items):
        return item.upper()

    batch = context.map(["a", "b"], shout, name="then-wait", config=sequential())
    context.wait(Duration.from_seconds(1))
    return batch.get_results()


@durable_execution
def failure_then_wait(_event, context: DurableContext):
    config = until(tolerated_failure_count=1)
    batch = context.map(["ok", "fail"], itself_unless_fail, name="fail-then-wait", config=config)
    context.wait(Duration.from_seconds(1))
    return projection(batch)
