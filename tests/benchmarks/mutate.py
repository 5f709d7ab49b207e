"""How well `durable replay --handler` sees changed code: a corpus of mutants, made by program.

    python tests/benchmarks/mutate.py [--list] [--of HANDLER]

Each handler of `fixtures/handlers` is changed in every way below at each of its operations and
verified against its own recorded history. A mutant is *visible* when what it asks for by name,
type or order is another sequence than the recorded one; where it should be found follows from the
recorded positions of the operations on the changed line, not from the verifier's own report.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "core"), str(ROOT / "fixtures"), str(ROOT / "fixtures" / "handlers")]

from durable_core.adapters.history_file import load_history  # noqa: E402
from durable_core.examination import Examination  # noqa: E402
from durable_core.explain import folded_of  # noqa: E402
from durable_core.history import RecordedHistory, history_of_events  # noqa: E402
from durable_core.ids import position_text  # noqa: E402
from durable_core.native_replay import NativeReplayer  # noqa: E402
from durable_core.recorded_tree import tree_of  # noqa: E402
from durable_core.replay import Replayer, VerifyOptions, verify_history  # noqa: E402
from durable_core.simulate import simulate  # noqa: E402
from durable_core.verification import Verdict, Verification  # noqa: E402

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


@dataclass(frozen=True)
class Subject:
    """A handler with one of its histories."""

    module: str
    source: str
    file: str
    history: RecordedHistory
    is_native: bool

    def load(self, tree: ast.Module) -> Any:
        """Return the handler of a changed source."""
        names: dict[str, Any] = {"__name__": self.module, "__file__": self.file}
        exec(compile(tree, self.file, "exec"), names)
        return names["handler"]

    def replayer(self, handler: Any) -> Replayer:
        """Return what runs the handler under an examination."""
        if self.is_native:
            return NativeReplayer(handler)
        from durable_core.adapters.aws_replay import AwsReplayer

        return AwsReplayer(handler)


@dataclass(frozen=True)
class Mutant:
    """A changed handler. `line` is that of the call in the original source."""

    kind: str
    line: int
    tree: ast.Module


def subjects() -> Iterator[Subject]:
    """Return every fixture handler with every history of it."""
    import record

    for name, recording in record.RECORDINGS.items():
        file = ROOT / "fixtures" / "handlers" / f"{recording.module}.py"
        try:
            importlib.import_module(recording.module)
        except ImportError:
            continue  # written for a later SDK than the one that is installed
        history = load_history(str(ROOT / "fixtures" / "histories" / f"{name}.json"))
        yield Subject(recording.module, file.read_text(), str(file), history, False)
    for file in sorted((ROOT / "fixtures" / "handlers").glob("native_*.py")):
        module = importlib.import_module(file.stem)
        simulated = simulate(module.handler)
        history = history_of_events(file.stem, simulated.events, arn=simulated.arn)
        yield Subject(file.stem, file.read_text(), str(file), history, True)


# -- where operations are ------------------------------------------------------------------------


def is_operation(node: ast.AST) -> bool:
    """Return True for a call of an operation on a context."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in OPERATIONS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("context", "ctx", "child", "inner", "c")
    )


def asked_positions(subject: Subject) -> dict[int, str]:
    """Return, for each line of the original, the position of the first operation asked for there.

    Taken from the recorded tree by running the original, which agrees with its record.
    """
    folded = folded_of(subject.history)
    replayer = subject.replayer(subject.load(ast.parse(subject.source)))
    examination = Examination(tree_of(folded.operations, replayer.scheme), folded.execution)
    replayer.replay(examination, subject.history.arn or "arn:x:function:f:1/durable-execution/a/b")
    found: dict[int, tuple[int, str]] = {}
    for trace in examination.traces:
        for index, asked in enumerate(trace.asked):
            recorded = index < len(trace.sequence) and trace.sequence[index] is not None
            if asked.where is None or asked.where.file != subject.file or not recorded:
                continue
            position = position_text((*trace.path, index + 1))
            known = found.get(asked.where.line)
            if known is None or asked.moment < known[0]:
                found[asked.where.line] = (asked.moment, position)
    return {line: position for line, (_, position) in found.items()}


# -- the mutations -------------------------------------------------------------------------------


def mutants(subject: Subject) -> Iterator[Mutant]:
    """Return every mutant of a handler."""
    original = ast.parse(subject.source)
    calls = [node for node in ast.walk(original) if is_operation(node)]
    for number, call in enumerate(calls):
        for kind, change in MUTATIONS.items():
            tree = copy.deepcopy(original)
            same = [node for node in ast.walk(tree) if is_operation(node)][number]
            if change(tree, same, subject.is_native):
                yield Mutant(kind, call.lineno, ast.fix_missing_locations(tree))


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
    inside = [node for node in ast.walk(block[index]) if isinstance(node, _SCOPES)]
    if any(node is call for scope in inside for node in ast.walk(scope)):
        return None
    if isinstance(block[index], ast.With | ast.Try | ast.If | ast.For | ast.While):
        return None
    return found


_SCOPES = (
    ast.Lambda,
    ast.ListComp,
    ast.GeneratorExp,
    ast.DictComp,
    ast.SetComp,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
)


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _context(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)
    return ast.unparse(call.func.value)


def rename(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Give the operation another name."""
    for keyword in call.keywords:
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            keyword.value = ast.Constant(f"{keyword.value.value}-renamed")
            return True
        if keyword.arg == "name":
            keyword.value = ast.BinOp(keyword.value, ast.Add(), ast.Constant("-renamed"))
            return True
    if native and len(call.args) >= 2 and isinstance(call.args[-1], ast.Constant):
        call.args[-1] = ast.Constant(f"{call.args[-1].value}-renamed")
        return True
    return False


def delete(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Leave the operation out; None takes the place of its value."""
    _replace(tree, _whole(tree, call, native), ast.Constant(None))
    return True


def change_type(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Make it a wait of the same name, or a step of one."""
    assert isinstance(call.func, ast.Attribute)
    name = next((each.value for each in call.keywords if each.arg == "name"), ast.Constant(None))
    context = _context(call)
    if call.func.attr == "wait":
        new = _expression(f"{context}.step(lambda _: None, name={ast.unparse(name)})")
    else:
        second = "__import__('datetime').timedelta(seconds=1)"
        if not native:
            config = "__import__('aws_durable_execution_sdk_python.config', fromlist=['Duration'])"
            second = f"{config}.Duration.from_seconds(1)"
        new = _expression(f"{context}.wait({second}, name={ast.unparse(name)})")
    _replace(tree, call, new)
    return True


def wrap(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Put it into a child context of its own."""
    context = _context(call)
    inner = copy.deepcopy(call)
    assert isinstance(inner.func, ast.Attribute)
    inner.func.value = ast.Name("wrapped_", ast.Load())
    new = _expression(f"{context}.run_in_child_context(lambda wrapped_: 0, name='wrapper')")
    assert isinstance(new, ast.Call)
    assert isinstance(new.args[0], ast.Lambda)
    new.args[0].body = inner
    _replace(tree, call, new)
    return True


def _before(tree: ast.Module, call: ast.Call, text: str) -> bool:
    found = _block_of(tree, call)
    if found is None:
        return False
    block, index = found
    block[index:index] = ast.parse(text).body
    return True


def insert(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Put a new step before it."""
    wait = "await " if native else ""
    if native and not _in_async(tree, call):
        return False
    return _before(tree, call, f"{wait}{_context(call)}.step(lambda _: 1, name='inserted')")


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
    new = ast.parse(
        f"try:\n    {wait}{_context(call)}.step(lambda _: 1, name='hidden')\n"
        "except Exception:\n    pass"
    ).body
    block[index:index] = new
    return True


def early_return(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Return before it."""
    return _before(tree, call, "if True: return None")


def raise_before(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Raise before it."""
    return _before(tree, call, "if True: raise RuntimeError('mutant')")


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
    flat = ast.keyword("nesting_type", _expression(f"{module}.NestingType.FLAT"))
    if config is None:
        new = _expression(f"{module}.{kind}()")
        assert isinstance(new, ast.Call)
        new.keywords.append(flat)
        call.keywords.append(ast.keyword("config", new))
        return True
    if not isinstance(config.value, ast.Call):
        return False
    config.value.keywords.append(flat)
    return True


def _units(call: ast.Call, text: str) -> bool:
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr not in ("map", "parallel") or not call.args:
        return False
    new = _expression(f"list(0){text}")
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
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr not in ("map", "parallel") or not call.args:
        return False
    new = _expression("(lambda units: [*units, *units[-1:]])(list(0))")
    assert isinstance(new, ast.Call)
    assert isinstance(new.args[0], ast.Call)
    new.args[0].args[0] = call.args[0]
    call.args[0] = new
    return True


def reverse_units(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Turn the order of the units round."""
    return _units(call, "[::-1]")


Mutation = Callable[[ast.Module, ast.Call, bool], bool]
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
    "early return": early_return,
    "raise": raise_before,
}


# -- what came of them ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """A mutant, where it should be found, and what was found."""

    subject: Subject
    mutant: Mutant
    position: str
    outcome: Verification

    @property
    def is_found(self) -> bool:
        """True when it is diverged."""
        return self.outcome.verdict is Verdict.DIVERGED

    @property
    def is_at_its_place(self) -> bool:
        """True when the first divergence is where the change is: there, or in a unit of it."""
        first = self.outcome.first
        if first is None:
            return False
        of_units = "unit" in self.mutant.kind or "FLAT" in self.mutant.kind
        in_a_unit = of_units and first.position.startswith(f"{self.position}.")
        return first.position == self.position or in_a_unit


def results(of: str | None = None) -> Iterator[Result]:
    """Verify every mutant whose operation is in the history."""
    for subject in subjects():
        if of is not None and subject.module != of:
            continue
        positions = asked_positions(subject)
        for mutant in mutants(subject):
            position = positions.get(mutant.line)
            if position is None:
                continue  # the recorded run never came there
            try:
                replayer = subject.replayer(subject.load(mutant.tree))
            except Exception as error:
                print(f"{subject.module}:{mutant.line} {mutant.kind}: {error!r}", file=sys.stderr)
                continue
            outcome = verify_history(replayer, subject.history, VerifyOptions())
            yield Result(subject, mutant, position, outcome)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true", help="list what was not found")
    parser.add_argument("--of", help="only this handler")
    arguments = parser.parse_args()
    logging.disable()
    made: Counter[str] = Counter()
    found: Counter[str] = Counter()
    placed: Counter[str] = Counter()
    for result in results(arguments.of):
        kind = result.mutant.kind
        made[kind] += 1
        found[kind] += result.is_found
        placed[kind] += result.is_at_its_place
        if arguments.list and not result.is_at_its_place:
            where = f"{result.subject.history.source.rsplit('/', 1)[-1]}:{result.mutant.line}"
            print(f"{where} {kind}: at {result.position}: {result.outcome}")
    print(f"{'mutation':28}{'made':>6}{'diverged':>10}{'in place':>10}")
    for kind in MUTATIONS:
        print(f"{kind:28}{made[kind]:>6}{found[kind]:>10}{placed[kind]:>10}")
    print(f"{'all':28}{made.total():>6}{found.total():>10}{placed.total():>10}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
