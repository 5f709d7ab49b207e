"""Every claim of README.md and of the manual in docs/ that a test can run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_core import simulate
from durable_core._version import __version__
from durable_core.adapters.simulation_files import read_scenario_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fixtures"))

import doc_examples  # noqa: E402  # the script that writes the examples' outputs

TEXTS = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in doc_examples.PAGES
}
EXAMPLES = [
    pytest.param(match[1], match[2], id=f"{name} {match[1]}")
    for name, text in TEXTS.items()
    for match in doc_examples.BLOCK.finditer(text)
]


# -- examples ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_an_example_prints_what_the_page_shows(command: str, shown: str) -> None:
    assert doc_examples.output_of(command) == shown


def test_every_console_block_is_an_example_that_runs() -> None:
    blocks = sum(text.count("```console\n") for text in TEXTS.values())
    assert len(EXAMPLES) == blocks >= 15


FILE_BLOCK = re.compile(r"```\w+\n# ([\w.]+\.(?:py|toml))\n((?:(?!```).*\n)*)```\n")
SHELL_LINE = re.compile(r"^durable .*$", re.MULTILINE)


def test_the_commands_of_the_first_page_work_one_after_another(tmp_path: Path) -> None:
    text = TEXTS["README.md"]
    for name, content in FILE_BLOCK.findall(text):
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    blocks = re.findall(r"```sh\n((?:(?!```).*\n)*)```\n", text)
    commands = [line for block in blocks for line in SHELL_LINE.findall(block)]
    assert len(commands) >= 5
    for command in commands:
        doc_examples.output_of(command, tmp_path, codes=(0,))


def toml_blocks() -> list[str]:
    """The scenarios that the pages show: price files have a test of their own."""
    texts = (TEXTS["README.md"], TEXTS["docs/simulate.md"])
    return [
        block for text in texts for block in re.findall(r"```toml\n(.*?)```\n", text, re.DOTALL)
    ]


@pytest.mark.parametrize("block", toml_blocks())
def test_a_scenario_that_a_page_shows_is_one(block: str, tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(block, encoding="utf-8")
    read_scenario_file(str(scenario))


def test_the_native_handler_that_a_page_shows_runs() -> None:
    [code] = re.findall(r"```python\n(.*?)```\n", TEXTS["docs/simulate.md"], re.DOTALL)
    names: dict[str, Any] = {"__name__": "shown"}
    exec(code, names)
    assert simulate(names["handler"], None).result == "450000"


# -- JSON documents ----------------------------------------------------------------------------

RETRIES = "fixtures/handlers/native_retries.py:handler"
FLAT = "fixtures/histories/flat_overflow_reentered.json"
RENAMED = "fixtures/handlers/unsafe_rename.py:handler"
SCHEMAS = {
    "durable.replay/1": "replay fixtures/histories/nested_maps.json --format json --prices default",
    "durable.simulate/1": f"simulate --handler {RETRIES} --format json --prices default",
    "durable.verify/1": f"replay {FLAT} --handler {RENAMED} --format json",
    "durable.inspect-batch/1": "inspect-batch fixtures/updates/small_updates.json --format json",
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_field_of_a_document_is_in_the_manual(schema: str) -> None:
    document = json.loads(doc_examples.output_of(f"durable {SCHEMAS[schema]}"))
    assert document.pop("schema") == schema
    if schema == "durable.simulate/1":  # these are as in durable.replay/1
        document |= dict.fromkeys(("metering", "limits", "nesting", "cost"))
    text = TEXTS["docs/json.md"]
    section = text[text.index(f"## `{schema}`") :].split("\n## `", 1)[0]
    undocumented = {key for key in keys_of(document) if f"`{key}`" not in section}
    assert undocumented == set()


def keys_of(value: Any) -> Iterator[str]:
    """Give the fields of a document, at any depth, but of what others define: error objects,
    invocation times by what was done, and estimates by SDK."""
    if isinstance(value, list):
        for item in value:
            yield from keys_of(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key not in ("error", "in_invocations", "did", "estimates"):
                yield from keys_of(item)


# -- pages -------------------------------------------------------------------------------------

FIRST_PAGE_BYTES = 10_000
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```\n", re.DOTALL | re.MULTILINE)


def test_the_first_page_is_short() -> None:
    assert len(TEXTS["README.md"].encode()) <= FIRST_PAGE_BYTES


def links_of(name: str) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of each link of a page to something in the repository."""
    page = ROOT / name
    for target in LINK.findall(CODE.sub("", TEXTS[name])):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def anchors_of(name: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", TEXTS[name]), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_each_link_of_a_page_leads_to_a_file_and_a_heading(name: str) -> None:
    for path, anchor in links_of(name):
        assert path.exists(), path
        assert not anchor or anchor in anchors_of(path.relative_to(ROOT).as_posix()), anchor


def test_each_page_is_reached_from_the_first_one() -> None:
    linked = {path for path, _ in links_of("README.md")}
    assert linked >= {page.resolve() for page in doc_examples.PAGES[1:]}


def test_the_wheel_that_the_first_page_installs_has_the_name_that_is_built() -> None:
    wheels = set(re.findall(r"durable_cli-[\w.]+-py3-none-any\.whl", TEXTS["README.md"]))
    assert wheels == {f"durable_cli-{__version__}-py3-none-any.whl"}


def test_the_first_page_names_the_two_commands_that_do_everything() -> None:
    assert "make demo" in TEXTS["README.md"]
    assert "make test" in TEXTS["README.md"]
