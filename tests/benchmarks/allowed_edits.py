"""Edits of a handler's source that change nothing that is recorded: none may raise an alarm."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutations import SCOPES, Mutation, before, context_of, expression


def other_body(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Give a step another body, one that fails should it ever run."""
    named = any(each.arg == "name" for each in call.keywords)
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr != "step" or not named or not call.args:
        return False  # without a name of its own it has that of its function
    call.args[0] = expression("lambda *_: 1 // 0")
    return True


def logs(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Log before it."""
    context = context_of(call)
    return before(tree, call, f"{context}.logger.info('before %s', {ast.unparse(call.func)!r})")


def renames_variables(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Rename every variable that is only assigned and read in functions."""
    outside = {each.id for node in tree.body for each in _names_outside(node)}
    inside = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } - outside
    shared = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Global | ast.Nonlocal)
        for name in node.names
    }
    given = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    renamed = inside - shared - given
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in renamed:
            node.id = f"{node.id}_renamed"
    return bool(renamed)


def _names_outside(node: ast.stmt) -> Iterator[ast.Name]:
    if not isinstance(node, SCOPES):
        yield from (each for each in ast.walk(node) if isinstance(each, ast.Name))


def other_concurrency(tree: ast.Module, call: ast.Call, native: bool) -> bool:
    """Let two units run at a time, or one where it was said."""
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr not in ("map", "parallel"):
        return False
    config = next((each.value for each in call.keywords if each.arg == "config"), None)
    if not isinstance(config, ast.Call) or any(each.arg is None for each in config.keywords):
        return False
    if not ast.unparse(config.func).endswith(("MapConfig", "ParallelConfig")):
        return False  # a helper of the handler's own makes it
    for keyword in config.keywords:
        if keyword.arg == "max_concurrency":
            keyword.value = ast.Constant(1)
            return True
    config.keywords.append(ast.keyword("max_concurrency", ast.Constant(2)))
    return True


ALLOWED: dict[str, Mutation] = {
    "another body of a step": other_body,
    "logging added": logs,
    "variables renamed": renames_variables,
    "another max_concurrency": other_concurrency,
}
"""What changes nothing that is recorded."""
