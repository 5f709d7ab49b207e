"""Changes to a handler's source, by program: each at each of its operations."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

OPERATIONS = (
    "step",
    "wait",
    "invoke",
    "create_callback",
    "wait_for_callback",
    "wait_for_condition",
    "run_in_child_context",
    "map",
    "parallel",
)

Mutation = Callable[[ast.Module, ast.Call, bool], bool]
"""Changes the call in the tree, of a native handler or not; False: this can't be done to it."""


@dataclass(frozen=True)
class Mutant:
    """A changed handler. `line` is that of the call in the original source."""

    kind: str
    line: int
    tree: ast.Module


def is_operation(node: ast.AST) -> bool:
    """Return True for a call of an operation on a context."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in OPERATIONS
        and isinstance(node.func.value, ast.Name | ast.Attribute)
        and bool(node.args or node.keywords)
    )


def mutants(
    source: str, *, native: bool, mutations: Mapping[str, Mutation] | None = None
) -> Iterator[Mutant]:
    """Return every mutant of a handler's source."""
    original = ast.parse(source)
    calls = [node for node in ast.walk(original) if is_operation(node)]
    for number, call in enumerate(calls):
        for kind, change in (mutations or MUTATIONS).items():
            tree = copy.deepcopy(original)
            same = [node for node in ast.walk(tree) if is_operation(node)][number]
            if change(tree, same, native):
                yield Mutant(kind, call.lineno, _placed(tree, call))


def _placed(tree: ast.Module, call: ast.Call) -> ast.Module:
    """Put what is new on the line of the call that was changed."""
    for node in ast.walk(tree):
        if getattr(node, "lineno", None) == NOWHERE:
            ast.copy_location(node, call)
    return ast.fix_missing_locations(tree)


NOWHERE = 1_000_000


def _parsed(text: str) -> ast.Module:
    """Return what isn't in the original source, at no line of it."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = NOWHERE
    return tree


def _replace(tree: ast.Module, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list) and old in value:
                value[value.index(old)] = new


def _whole(tree: ast.Module, call: ast.Call, native: bool) -> ast.AST:
    """Return the call with the `await` around it, where there is one."""
    if native:
        for node in ast.walk(tree):
            if isinstance(node, ast.Await) and node.value is call:
                return node
    return call


def _block_of(tree: ast.Module, call: ast.Call) -> tuple[list[ast.stmt], int] | None:
    """Return the block with the innermost statement that the call is in, and its index.

    None inside of a lambda or comprehension: no statement can stand before it.
    """
    found = None
    for parent in ast.walk(tree):
        for _, value in ast.iter_fields(parent):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                for index, statement in enumerate(value):
                    if any(node is call for node in ast.walk(statement)):
                        found = (value, index)
    if found is None:
        return None
    block, index = found
    inside = [node for node in ast.walk(block[index]) if isinstance(node, SCOPES)]
    if any(node is call for scope in inside for node in ast.walk(scope)):
        return None
    if isinstance(block[index], ast.With | ast.Try | ast.If | ast.For | ast.While):
        return None
    return found


SCOPES = (
    ast.Lambda,
    ast.ListComp,
    ast.GeneratorExp,
    ast.DictComp,
    ast.SetComp,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
)


def expression(text: str) -> ast.expr:
    statement = _parsed(text).body[0]
    assert isinstance(statement, ast.Expr)
    return statement.value


def context_of(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)
    return ast.unparse(call.func.value)


def rename(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Give the operation another name."""
    for keyword in call.keywords:
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            keyword.value = ast.Constant(f"{keyword.value.value}-renamed")
            return True
        if keyword.arg == "name":
            keyword.value = expression(f"({ast.unparse(keyword.value)} or '') + '-renamed'")
            return True
    assert isinstance(call.func, ast.Attribute)
    place = NAME_AT.get(call.func.attr, 1)
    if len(call.args) <= place:
        return False
    call.args[place] = expression(f"({ast.unparse(call.args[place])} or '') + '-renamed'")
    return True


NAME_AT = {"create_callback": 0, "invoke": 2, "wait_for_condition": 2, "map": 2}
"""Which positional argument the name is, where not the second."""


def delete(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Leave the operation out; None takes the place of its value."""
    _replace(tree, _whole(tree, call, native), ast.Constant(None))
    return True


def change_type(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Make it a wait of the same name, or a step of one."""
    assert isinstance(call.func, ast.Attribute)
    name = next((each.value for each in call.keywords if each.arg == "name"), ast.Constant(None))
    context = context_of(call)
    if call.func.attr == "wait":
        new = expression(f"{context}.step(lambda _: None, name={ast.unparse(name)})")
    else:
        second = "__import__('datetime').timedelta(seconds=1)"
        if not native:
            config = "__import__('aws_durable_execution_sdk_python.config', fromlist=['Duration'])"
            second = f"{config}.Duration.from_seconds(1)"
        new = expression(f"{context}.wait({second}, name={ast.unparse(name)})")
    _replace(tree, call, new)
    return True


def wrap(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Put it into a child context of its own."""
    context = context_of(call)
    inner = copy.deepcopy(call)
    assert isinstance(inner.func, ast.Attribute)
    inner.func.value = ast.Name("wrapped_", ast.Load())
    new = expression(f"{context}.run_in_child_context(lambda wrapped_: 0, name='wrapped')")
    assert isinstance(new, ast.Call)
    assert isinstance(new.args[0], ast.Lambda)
    new.args[0].body = inner
    _replace(tree, call, new)
    return True


def before(tree: ast.Module, call: ast.Call, text: str) -> bool:
    found = _block_of(tree, call)
    if found is None:
        return False
    block, index = found
    block[index:index] = _parsed(text).body
    return True


def insert(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Put a new step before it."""
    wait = "await " if native else ""
    if native and not _in_async(tree, call):
        return False
    return before(tree, call, f"{wait}{context_of(call)}.step(lambda _: 1, name='inserted')")


def _in_async(tree: ast.Module, call: ast.Call) -> bool:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    return any(node is call for function in functions for node in ast.walk(function))


def insert_wait_inside_try(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Put a new step before it, all of it in a `try` whose `except Exception` hides errors."""
    found = _block_of(tree, call)
    if found is None or (native and not _in_async(tree, call)):
        return False
    block, index = found
    wait = "await " if native else ""
    new = _parsed(
        f"try:\n    {wait}{context_of(call)}.step(lambda _: 1, name='hidden')\n"
        "except Exception:\n    pass"
    ).body
    block[index:index] = new
    return True


def early_return(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Return before it."""
    return before(tree, call, "if True: return None")


def raise_before(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Raise before it."""
    return before(tree, call, "if True: raise RuntimeError('mutant')")


def swap_with_next(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Swap its statement with the next one that has an operation."""
    found = _block_of(tree, call)
    if found is None:
        return False
    block, index = found
    if index + 1 >= len(block) or isinstance(block[index + 1], ast.Return | ast.With | ast.Try):
        return False
    following = [node for node in ast.walk(block[index + 1]) if is_operation(node)]
    if not following or _block_of(tree, following[0]) is None:  # type: ignore[arg-type]
        return False
    own = {node.id for node in ast.walk(block[index]) if isinstance(node, ast.Name)}
    used = {node.id for node in ast.walk(block[index + 1]) if isinstance(node, ast.Name)}
    assigned = {
        node.id
        for node in ast.walk(block[index])
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    if assigned & used or not own:
        return False  # it wouldn't run
    block[index], block[index + 1] = block[index + 1], block[index]
    return True


def change_nesting(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Make NESTED units FLAT, and the other way round."""
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr not in ("map", "parallel"):
        return False
    for node in ast.walk(call):
        if isinstance(node, ast.Attribute) and node.attr in ("FLAT", "NESTED"):
            node.attr = "NESTED" if node.attr == "FLAT" else "FLAT"
            return True
    kind = "MapConfig" if call.func.attr == "map" else "ParallelConfig"
    home = "durable_core" if native else "aws_durable_execution_sdk_python.config"
    module = f"__import__('{home}', fromlist=['x'])"
    config = next((each for each in call.keywords if each.arg == "config"), None)
    flat = ast.keyword("nesting_type", expression(f"{module}.NestingType.FLAT"))
    if config is None:
        new = expression(f"{module}.{kind}()")
        assert isinstance(new, ast.Call)
        new.keywords.append(flat)
        call.keywords.append(ast.keyword("config", new))
        return True
    if not isinstance(config.value, ast.Call) or not ast.unparse(config.value.func).endswith(kind):
        return False  # a helper of the handler's own makes it
    if any(each.arg == "nesting_type" for each in config.value.keywords):
        return False  # a variable says which
    config.value.keywords.append(flat)
    return True


def _units(call: ast.Call, text: str) -> bool:
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr not in ("map", "parallel") or not call.args:
        return False
    new = expression(f"list(0){text}")
    assert isinstance(new, ast.Subscript)
    assert isinstance(new.value, ast.Call)
    new.value.args[0] = call.args[0]
    call.args[0] = new
    return True


def drop_unit(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Leave out the last unit."""
    return _units(call, "[:-1]")


def drop_first_unit(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Leave out the first unit."""
    return _units(call, "[1:]")


def add_unit(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Have the last unit twice."""
    return _rearranged(call, "lambda units: [*units, *units[-1:]]")


def reverse_units(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Turn the order of the units round."""
    return _units(call, "[::-1]")


def swap_units(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Let the first two units change places."""
    return _rearranged(call, "lambda units: [*units[1::-1], *units[2:]]")


def _rearranged(call: ast.Call, how: str) -> bool:
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr not in ("map", "parallel") or not call.args:
        return False
    new = expression(f"({how})(list(0))")
    assert isinstance(new, ast.Call)
    assert isinstance(new.args[0], ast.Call)
    new.args[0].args[0] = call.args[0]
    call.args[0] = new
    return True


def _sometimes(tree: ast.Module, call: ast.Call, native: bool, when: str) -> bool:
    if native and not _in_async(tree, call):
        return False
    wait = "await " if native else ""
    step = f"{wait}{context_of(call)}.step(lambda _: 1, name='sometimes')"
    return before(tree, call, f"if {when}:\n    {step}")


def branch_on_chance(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Have a new step before it, or not, as chance wants."""
    return _sometimes(tree, call, native, "__import__('random').random() < 0.5")


def branch_on_time(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Have a new step before it from a moment on."""
    return _sometimes(tree, call, native, "__import__('time').time() > 1_774_000_000")


MUTATIONS: dict[str, Mutation] = {
    "rename": rename,
    "delete": delete,
    "insert": insert,
    "insert, hidden by except": insert_wait_inside_try,
    "change type": change_type,
    "wrap in a child context": wrap,
    "swap with the next": swap_with_next,
    "NESTED <-> FLAT": change_nesting,
    "drop the last unit": drop_unit,
    "drop the first unit": drop_first_unit,
    "add a unit": add_unit,
    "reverse the units": reverse_units,
    "swap two units": swap_units,
    "early return": early_return,
    "raise": raise_before,
}

CHANCE: dict[str, Mutation] = {
    "branch on random": branch_on_chance,
    "branch on time": branch_on_time,
}
"""What only several runs show."""
