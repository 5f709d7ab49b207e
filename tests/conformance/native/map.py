"""Suite 9: maps, one item after the other unless said otherwise."""

from datetime import timedelta

from durable_core import CompletionConfig, MapConfig, NestingType


def sequential(**options):
    """Return the configuration of items that run one after the other."""
    return MapConfig(max_concurrency=1, **options)


def until(**criteria):
    """Return the configuration of items in sequence with completion criteria."""
    return sequential(completion_config=CompletionConfig(**criteria))


async def itself(_ctx, item, _index, _items):
    """Return the item."""
    return item


async def itself_unless_fail(_ctx, item, _index, _items):
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


async def greets_each(event, ctx):
    async def greet(item_ctx, item, _index, _items):
        return await item_ctx.step(lambda _: f"Hello, {item}!")

    return (await ctx.map(event, greet, name="map", config=sequential())).get_results()


async def unnamed(event, ctx):
    async def double(_ctx, item, _index, _items):
        return item * 2

    return (await ctx.map(event, double, config=sequential())).get_results()


async def item_and_index(event, ctx):
    async def add(_ctx, item, index, _items):
        return item + index

    return (await ctx.map(event, add, name="indexed", config=sequential())).get_results()


async def rethrows(_event, ctx):
    config = until(tolerated_failure_count=0)
    batch = await ctx.map(["fail", "never"], itself_unless_fail, name="throwing", config=config)
    batch.throw_if_error()
    return batch.get_results()


async def min_successful(_event, ctx):
    items = ["i0", "i1", "i2", "i3"]
    batch = await ctx.map(items, itself, name="min-successful", config=until(min_successful=2))
    return projection(batch, "completionReason", "successCount", "totalCount")


async def tolerated(_event, ctx):
    config = until(tolerated_failure_count=1)
    items = ["i0", "fail", "i2"]
    return projection(await ctx.map(items, itself_unless_fail, name="tolerated", config=config))


async def concurrent(_event, ctx):
    config = MapConfig(max_concurrency=2)
    batch = await ctx.map(["r0", "r1", "r2"], itself, name="concurrent", config=config)
    return batch.get_results()


async def flat(_event, ctx):
    async def in_step(item_ctx, item, _index, _items):
        return await item_ctx.step(lambda _: item)

    config = sequential(nesting_type=NestingType.FLAT)
    return (await ctx.map(["fa", "fb"], in_step, name="flat", config=config)).get_results()


async def named_items(event, ctx):
    async def tenfold(_ctx, item, _index, _items):
        return item * 10

    config = sequential(item_namer=lambda item, _index: f"item-{item}")
    return (await ctx.map(event, tenfold, name="named-items", config=config)).get_results()


async def overflows(_event, ctx):
    async def large(_ctx, item, _index, _items):
        return item * 70_000

    batch = await ctx.map(list("abcd"), large, name="large", config=sequential())
    return projection(batch, "successCount", "totalCount")


async def wait_afterwards(_event, ctx):
    async def shout(_ctx, item, _index, _items):
        return item.upper()

    batch = await ctx.map(["a", "b"], shout, name="then-wait", config=sequential())
    await ctx.wait(timedelta(seconds=1))
    return batch.get_results()


async def failure_then_wait(_event, ctx):
    config = until(tolerated_failure_count=1)
    batch = await ctx.map(["ok", "fail"], itself_unless_fail, name="fail-then-wait", config=config)
    await ctx.wait(timedelta(seconds=1))
    return projection(batch)
