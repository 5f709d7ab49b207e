"""What is fuzzed: functions that take any bytes and raise nothing but errors of ours.

Each goes as far as a command would: what is read is folded, explained and rendered, and what is
rendered is checked to be safe on a terminal, or to be JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from durable_cli import render_verify, render_verify_ci
from durable_cli.app import run
from durable_cli.escapes import json_text
from durable_cli.held_text import held_json
from durable_cli.outline import outline, select
from durable_cli.output import Surface
from durable_cli.render_cost import cost_lines, cost_markdown
from durable_cli.render_json import history_object, replay_document
from durable_cli.render_markdown import render as render_markdown
from durable_cli.render_text import render as render_text
from durable_cli.render_verify_json import verify_document
from durable_core.adapters.history_file import load_history
from durable_core.adapters.price_file import read_prices
from durable_core.adapters.simulation_files import read_limits
from durable_core.errors import DurableError
from durable_core.explaining.costs import cost_of
from durable_core.explaining.explain import explain
from durable_core.explaining.report import Report
from durable_core.fold import as_found_by, folded_of
from durable_core.redaction.redact import redact
from durable_core.simulation.scenario import read_scenario
from durable_core.summaries.reading import read_summary
from durable_core.verifying.replay import unverified

_FOLDER: Final = Path(tempfile.mkdtemp(prefix="durable-fuzz-"))
_UNSAFE: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MOST_LINES: Final = 20


class Unsafe(AssertionError):
    """What was written is not what a terminal or a program may be given."""


def _file(data: bytes, name: str = "it.json") -> str:
    path = _FOLDER / name
    path.write_bytes(data)
    return str(path)


def _written(*arguments: str) -> str:
    """Return what a call writes. Raises Unsafe, and whatever a defect raises."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments))
    texts = [each.buffer.getvalue().decode() for each in (out, err)]  # type: ignore[attr-defined]
    if code not in (0, 1, 2):
        raise Unsafe(f"exit code {code}")
    if any(map(_UNSAFE.search, texts)) or texts[1].count("\n") > _MOST_LINES:
        raise Unsafe("a text that isn't safe to show")
    return texts[0]


def _checked(text: str) -> str:
    if _UNSAFE.search(text):
        raise Unsafe("a text that isn't safe to show")
    return text


def _explained(render: Callable[[Report], str]) -> Callable[[bytes], None]:
    """Return a target that explains a history and renders what is found."""

    def target(data: bytes) -> None:
        with contextlib.suppress(DurableError):
            _checked(render(explain(load_history(_file(data)), show_payloads=True)))

    return target


def _table(report: Report) -> str:
    lines = outline(select(report.rows, None, None), expand=True)
    cost = cost_of(report, read_prices("default"))
    wide, narrow = Surface(120, False, True), Surface(40, False, False, "ascii")
    tables = [render_text(report, lines, each, cost_lines(cost, each)) for each in (wide, narrow)]
    return "".join(tables)


def _markdown(report: Report) -> str:
    lines = outline(select(report.rows, None, None), expand=False)
    return render_markdown(report, lines, cost_markdown(cost_of(report, read_prices("default"))))


def _json(report: Report) -> str:
    cost = cost_of(report, read_prices("default"))
    document = replay_document([history_object(report, report.rows, cost)], cost)
    text = "".join(held_json(document))
    json.loads(text)
    return text


def command(data: bytes) -> None:
    """Explains a history as the command does, in lines of JSON."""
    for line in _written("replay", _file(data), "--format", "jsonl").splitlines():
        json.loads(line)


def loader(data: bytes) -> None:
    """Reads a history as it is, and packed."""
    with contextlib.suppress(DurableError):
        load_history(_file(data))


def fold(data: bytes) -> None:
    """Folds a history, as each of its first invocations found it too."""
    with contextlib.suppress(DurableError):
        history = load_history(_file(data))
        for each in folded_of(history).invocations[:5]:
            as_found_by(history.events, each)
            explain(history, invocation=each.number)


def updates(data: bytes) -> None:
    """Batches updates, or those of a history."""
    _written("inspect-batch", _file(data), "--expand", "--compare")
    json.loads(_written("inspect-batch", str(_FOLDER / "it.json"), "--format", "json") or "null")


def summary(data: bytes) -> None:
    """Reads a stored result of a map or parallel."""
    read_summary(data.decode("utf-8", "surrogateescape"))


def scenario(data: bytes) -> None:
    """Reads a scenario."""
    with contextlib.suppress(DurableError):
        read_scenario(data.decode("utf-8", "surrogateescape"))


def settings(data: bytes) -> None:
    """Reads limits and prices."""
    for read in (read_limits, read_prices):
        with contextlib.suppress(DurableError):
            read(_file(data, "it.toml"))


def redaction(data: bytes) -> None:
    """Redacts what a history is, and reads what comes of it."""
    try:
        load_history(_file(data))
        document = json.loads(data)
    except (DurableError, ValueError, RecursionError):
        return
    if isinstance(document, dict) and isinstance(document.get("Events"), list):
        load_history(_file(json.dumps(redact(document)).encode()))


def verdicts(data: bytes) -> None:
    """Renders a verification in all formats."""
    try:
        results: list[tuple[str, Any]] = [("it", unverified(load_history(_file(data)), "native"))]
    except DurableError as error:
        results = [("it", error)]
    json.loads(json_text(verify_document(results, 0)))
    junit = render_verify_ci.render_junit(results)
    ElementTree.fromstring(junit)
    _checked(junit)
    _checked(render_verify.render(results, 0, Surface(80, False, True)))
    _checked(render_verify_ci.render_markdown(results, 0))
    _checked(render_verify_ci.render_github(results))


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "loader": loader,
    "fold": fold,
    "command": command,
    "explain": _explained(_table),
    "markdown": _explained(_markdown),
    "json": _explained(_json),
    "verdicts": verdicts,
    "updates": updates,
    "summary": summary,
    "scenario": scenario,
    "settings": settings,
    "redaction": redaction,
}

_ROOT: Final = Path(__file__).resolve().parents[2]
_CORPUS: Final = Path(__file__).with_name("corpus")
_MOST_SEED_BYTES: Final = 20_000


def seeds(target: str) -> list[bytes]:
    """Return the inputs that a target begins with: the saved corpus, and small fixtures."""
    if target in ("scenario", "settings"):
        return [path.read_bytes() for path in sorted(_CORPUS.glob("*.toml"))]
    if target == "summary":
        return [path.read_bytes() for path in sorted((_CORPUS / "summaries").iterdir())]
    paths = [*_CORPUS.glob("*.json"), *(_ROOT / "fixtures").glob("[hsu]*s/*.json")]
    return [path.read_bytes() for path in sorted(paths) if path.stat().st_size <= _MOST_SEED_BYTES]


def main(name: str) -> None:
    """Fuzz a target with atheris, with the arguments that it takes itself."""
    import atheris  # type: ignore[import-not-found]

    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
