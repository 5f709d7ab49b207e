"""Suite 8: parallel branches, one after the other unless said otherwise."""

from aws_durable_execution_sdk_python import DurableContext, ParallelBranch, durable_execution
from aws_durable_execution_sdk_python.config import (
    CompletionConfig,
    NestingType,
    ParallelConfig,
)


def returns(value):
    """Return a branch that returns the value."""
    return lambda _: value


def step_of(value):
    """Return a branch that is one step."""
    return lambda branch: branch.step(lambda _: value)


def fails(_):
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


@durable_execution
def two_steps(_event, context: DurableContext):
    branches = [step_of("task-1"), step_of("task-2")]
    return context.parallel(branches, name="parallel", config=sequential()).get_results()


@durable_execution
def unnamed(_event, context: DurableContext):
    branches = [returns("alpha"), returns("beta")]
    return context.parallel(branches, config=sequential()).get_results()


@durable_execution
def named_branches(_event, context: DurableContext):
    branches = [
        ParallelBranch(returns("one"), name="first"),
        ParallelBranch(returns("two"), name="second"),
    ]
    return context.parallel(branches, name="named", config=sequential()).get_results()


@durable_execution
def fail_fast(_event, context: DurableContext):
    branches = [returns("ok"), fails, returns("never")]
    config = until(tolerated_failure_count=0)
    return projection(context.parallel(branches, name="failfast", config=config))


@durable_execution
def rethrows(_event, context: DurableContext):
    config = until(tolerated_failure_count=0)
    batch = context.parallel([fails, returns("never")], name="throwing", config=config)
    batch.throw_if_error()
    return batch.get_results()


@durable_execution
def min_successful(_event, context: DurableContext):
    branches = [returns(f"b{number}") for number in range(4)]
    batch = context.parallel(branches, name="min-successful", config=until(min_successful=2))
    return projection(batch, "completionReason", "successCount", "totalCount")


@durable_execution
def concurrent(_event, context: DurableContext):
    branches = [returns(f"r{number}") for number in range(3)]
    config = ParallelConfig(max_concurrency=2)
    return context.parallel(branches, name="concurrent", config=config).get_results()


@durable_execution
def flat(_event, context: DurableContext):
    config = sequential(nesting_type=NestingType.FLAT)
    return context.parallel(
        [step_of("fa"), step_of("fb")], name="flat", config=config
    ).get_results()


@durable_execution
def percentage_exceeded(_event, context: DurableContext):
    branches = [fails, fails, returns("never"), returns("never")]
    config = until(tolerated_failure_percentage=25)
    batch = context.parallel(branches, name="tolerated-pct", config=config)
    return projection(batch, *REASON_AND_COUNTS)


@durable_execution
def all_fail(_event, context: DurableContext):
    config = until(tolerated_failure_count=3)
    return projection(context.parallel([fails] * 3, name="all-fail", config=config))


@durable_execution
def min_not_reached(_event, context: DurableContext):
    branches = [returns("b0"), fails, returns("b2")]
    config = until(min_successful=3)
    return projection(context.parallel(branches, name="min-not-reached", config=config))


@durable_execution
def combined_criteria(_event, context: DurableContext):
    branches = [fails, fails, returns("never"), returns("never")]
    config = until(min_successful=3, tolerated_failure_count=1)
    batch = context.parallel(branches, name="combined", config=config)
    return projection(batch, *REASON_AND_COUNTS)


@durable_execution
def nested(_event, context: DurableContext):
    def outer_branch(branch: DurableContext):
        steps = [step_of("i1"), step_of("i2")]
        return branch.parallel(steps, name="inner", config=sequential()).get_results()

    return context.parallel([outer_branch], name="outer", config=sequential()).get_results()


@durable_execution
def percentage_at_boundary(_event, context: DurableContext):
    branches = [fails, returns("b1"), returns("b2"), returns("b3")]
    config = until(tolerated_failure_percentage=25)
    return projection(context.parallel(branches, name="pct-boundary", config=config))
