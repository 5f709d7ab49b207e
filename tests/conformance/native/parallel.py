"""Suite 8: parallel branches, one after the other unless said otherwise."""

from durable_core import CompletionConfig, NestingType, ParallelBranch, ParallelConfig


def returns(value):
    """Return a branch that returns the value."""

    async def branch(_ctx):
        return value

    return branch


def step_of(value):
    """Return a branch that is one step."""
    return lambda ctx: ctx.step(lambda _: value)


async def fails(_ctx):
    """Fail, as a branch."""
    raise RuntimeError("branch failed")


def sequential(**options):
    """Return the configuration of branches that run one after the other."""
    return ParallelConfig(max_concurrency=1, **options)


def until(**criteria):
    """Return the configuration of branches in sequence with completion criteria."""
    return sequential(completion_config=CompletionConfig(**criteria))


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


REASON_AND_COUNTS = ("completionReason", "successCount", "failureCount", "totalCount")


async def two_steps(_event, ctx):
    branches = [step_of("task-1"), step_of("task-2")]
    return (await ctx.parallel(branches, name="parallel", config=sequential())).get_results()


async def unnamed(_event, ctx):
    branches = [returns("alpha"), returns("beta")]
    return (await ctx.parallel(branches, config=sequential())).get_results()


async def named_branches(_event, ctx):
    branches = [
        ParallelBranch(returns("one"), name="first"),
        ParallelBranch(returns("two"), name="second"),
    ]
    return (await ctx.parallel(branches, name="named", config=sequential())).get_results()


async def fail_fast(_event, ctx):
    branches = [returns("ok"), fails, returns("never")]
    config = until(tolerated_failure_count=0)
    return projection(await ctx.parallel(branches, name="failfast", config=config))


async def rethrows(_event, ctx):
    config = until(tolerated_failure_count=0)
    batch = await ctx.parallel([fails, returns("never")], name="throwing", config=config)
    batch.throw_if_error()
    return batch.get_results()


async def min_successful(_event, ctx):
    branches = [returns(f"b{number}") for number in range(4)]
    batch = await ctx.parallel(branches, name="min-successful", config=until(min_successful=2))
    return projection(batch, "completionReason", "successCount", "totalCount")


async def concurrent(_event, ctx):
    branches = [returns(f"r{number}") for number in range(3)]
    config = ParallelConfig(max_concurrency=2)
    return (await ctx.parallel(branches, name="concurrent", config=config)).get_results()


async def flat(_event, ctx):
    config = sequential(nesting_type=NestingType.FLAT)
    batch = await ctx.parallel([step_of("fa"), step_of("fb")], name="flat", config=config)
    return batch.get_results()


async def percentage_exceeded(_event, ctx):
    branches = [fails, fails, returns("never"), returns("never")]
    config = until(tolerated_failure_percentage=25)
    batch = await ctx.parallel(branches, name="tolerated-pct", config=config)
    return projection(batch, *REASON_AND_COUNTS)


async def all_fail(_event, ctx):
    config = until(tolerated_failure_count=3)
    return projection(await ctx.parallel([fails] * 3, name="all-fail", config=config))


async def min_not_reached(_event, ctx):
    branches = [returns("b0"), fails, returns("b2")]
    config = until(min_successful=3)
    return projection(await ctx.parallel(branches, name="min-not-reached", config=config))


async def combined_criteria(_event, ctx):
    branches = [fails, fails, returns("never"), returns("never")]
    config = until(min_successful=3, tolerated_failure_count=1)
    batch = await ctx.parallel(branches, name="combined", config=config)
    return projection(batch, *REASON_AND_COUNTS)


async def nested(_event, ctx):
    async def outer_branch(branch):
        steps = [step_of("i1"), step_of("i2")]
        return (await branch.parallel(steps, name="inner", config=sequential())).get_results()

    return (await ctx.parallel([outer_branch], name="outer", config=sequential())).get_results()


async def percentage_at_boundary(_event, ctx):
    branches = [fails, returns("b1"), returns("b2"), returns("b3")]
    config = until(tolerated_failure_percentage=25)
    return projection(await ctx.parallel(branches, name="pct-boundary", config=config))
