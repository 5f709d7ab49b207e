"""Native handlers for what the documentation of AWS's SDK shows besides the requirements."""

from __future__ import annotations

from datetime import timedelta

from durable_core import (
    ChildConfig,
    CompletionConfig,
    JitterStrategy,
    LinearRetryStrategyConfig,
    MapConfig,
    NestingType,
    ParallelConfig,
    RetryPresets,
    StepConfig,
    WithRetryConfig,
    complete_batch,
    continue_batch,
    create_linear_retry_strategy,
    durable_parallel_branch,
    durable_step,
    durable_wait_for_callback,
    durable_with_child_context,
    with_retry,
)

SECOND = timedelta(seconds=1)
ONE_BY_ONE = 1


@durable_step
def priced(step, sku, pieces):
    step.logger.info("pricing %s", sku)
    return {"sku": sku, "total": 3 * pieces}


@durable_with_child_context
async def packed(child, pieces):
    boxes = await child.step(lambda _: pieces // 2, name="count-boxes")
    return await child.step(lambda _: f"{boxes} boxes", name="label")


@durable_parallel_branch(name="stock")
async def stock_of(branch, sku):
    return await branch.step(lambda _: len(sku), name="look-up")


@durable_parallel_branch()
async def price_of(branch, sku):
    return await branch.step(lambda _: sku.upper(), name="look-up")


@durable_wait_for_callback
def asks(callback_id, about, question, urgency):
    about.logger.info("%s (%d): answer to %s", question, urgency, callback_id)


async def decorated(event, ctx):
    price = await ctx.step(priced(event["sku"], pieces=4))
    await ctx.wait(duration=SECOND, name="settle")
    boxes = await ctx.run_in_child_context(packed(4))
    return [price, boxes, await ctx.step(priced("b", 1), "again")]


async def branches(event, ctx):
    config = ParallelConfig(max_concurrency=ONE_BY_ONE)
    batch = await ctx.parallel(
        functions=[stock_of("pear"), price_of("pear")], name="load", config=config
    )
    return batch.get_results()


async def asked(event, ctx):
    return await ctx.wait_for_callback(asks("ready?", urgency=2))


async def _completing(ctx, nesting):
    async def unit(each, item, index, items):
        return await each.step(lambda _: item * 2, name="double")

    def enough(status):
        return complete_batch() if status.success_count >= 2 else continue_batch()

    config = MapConfig(
        max_concurrency=ONE_BY_ONE,
        nesting_type=nesting,
        completion_config=CompletionConfig(should_complete=enough),
    )
    batch = await ctx.map([1, 2, 3, 4], unit, "quorum", config)
    await ctx.wait(SECOND)
    return [batch.completion_reason, batch.get_results()]


async def completes_by_predicate(event, ctx):
    return await _completing(ctx, NestingType.NESTED)


async def completes_flat_by_predicate(event, ctx):
    return await _completing(ctx, NestingType.FLAT)


async def fails_to_name(event, ctx):
    def name(item, index):
        raise LookupError("no name")

    async def unit(each, item, index, items):
        return item

    try:
        await ctx.map([1], unit, "named", MapConfig(item_namer=name))
    except Exception as error:
        return [type(error).__name__, error.error_type]


async def retries_a_block(event, ctx):
    async def block(child, attempt):
        await child.step(lambda _: attempt, name=f"try-{attempt}")
        if attempt < 3:
            raise ConnectionError("not yet")
        return attempt

    config = WithRetryConfig(retry_strategy=RetryPresets.fixed(timedelta(seconds=2)))
    return await with_retry(ctx, block, config, "block")


async def backs_off_linearly(event, ctx):
    def body(step):
        if step.attempt < 4:
            raise TimeoutError("busy")
        return step.attempt

    strategy = create_linear_retry_strategy(
        LinearRetryStrategyConfig(
            initial_delay=timedelta(seconds=2),
            increment=timedelta(seconds=3),
            jitter_strategy=JitterStrategy.NONE,
            retryable_error_types=[TimeoutError],
        )
    )
    return await ctx.step(body, "call", StepConfig(retry_strategy=strategy))


async def invokes_both_kinds(event, ctx):
    price = await ctx.invoke("prices", {"sku": event}, name="price")
    return await ctx.invoke("payments", {"amount": price["price"]}, name="payment")


async def summarizes_itself(event, ctx):
    async def body(child):
        return await child.step(lambda _: "y", name="letter") * 300_000

    config = ChildConfig(summary_generator=lambda result: f'"{len(result)} letters"')
    large = await ctx.run_in_child_context(body, "letters", config)
    await ctx.wait(SECOND)
    return len(large)


async def stays_virtual(event, ctx):
    async def body(child):
        await child.wait(SECOND, name="pause")
        return await child.step(lambda _: 5, name="five")

    five = await ctx.run_in_child_context(body, "unseen", ChildConfig(is_virtual=True))
    return await ctx.step(lambda _: five + 1, name="six")


def plain_prices(event, lambda_context):
    return {"price": len(event["sku"]) + len(lambda_context.function_name)}


async def payments(event, ctx):
    return {"charged": await ctx.step(lambda _: event["amount"], name="charge")}
