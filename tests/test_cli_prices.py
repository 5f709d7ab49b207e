"""`--prices` of `durable replay` and `durable simulate`: what is shown, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_cli.output import Surface, cell_len
from durable_cli.render_cost import amount_text, cost_lines, price_text
from durable_core.adapters.history_file import load_history
from durable_core.adapters.price_file import read_prices
from durable_core.explaining.costs import cost_of
from durable_core.explaining.explain import explain

ROOT = Path(__file__).resolve().parent.parent
HISTORIES = ROOT / "fixtures" / "histories"
FLAT = str(HISTORIES / "flat_overflow_reentered.json")
NESTED = str(HISTORIES / "nested_maps.json")
INVOKING = str(HISTORIES / "chained_invoke_succeeded.json")
SOURCES = [*HISTORIES.glob("*.json"), *(ROOT / "fixtures" / "states").glob("*.json")]
HANDLER = str(ROOT / "fixtures" / "handlers" / "native_nested_overflow.py:handler")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "DURABLE_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def durable(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        done = capsys.readouterr()
        return code, done.out, done.err

    return call


@pytest.mark.parametrize("format", ["table", "json", "jsonl", "markdown"])
def test_without_prices_no_money_is_shown(format: str, durable: Any) -> None:
    code, out, _ = durable("replay", NESTED, FLAT, "--format", format)
    assert code == 0
    assert "USD" not in out
    assert "cost" not in out


def test_a_report_ends_with_what_it_cost_before_the_reasons(durable: Any) -> None:
    source = str(HISTORIES / "step_retries_exhausted.json")
    _, out, _ = durable("replay", source, "--prices", "default", "--width", "110")
    lines = out.splitlines()
    [at] = [number for number, line in enumerate(lines) if line.startswith("  cost ")]
    block = "\n".join(lines[at:])
    assert "for this execution, USD " in lines[at]
    assert "for a million like it" in lines[at]
    assert "operations     48.00" in block  # 6 metered: the execution, two contexts, 3 attempts
    assert "6 metered, at 8.00 a million" in block
    assert "as of 2025-12, us-east-1, for 128 MB" in block
    assert "check them" in block
    assert block.index("prices") < block.index("why it failed")


def test_nesting_is_told_with_the_operations_and_the_money(durable: Any) -> None:
    _, out, _ = durable("replay", NESTED, "--prices", "default", "--width", "130")
    assert 'as FLAT       Map "shelves" (1): 2 operations and 76 bytes fewer, USD 16.02 less' in out
    assert 'as NESTED     Map "books" (1.0.1): 2 operations and up to 370 bytes more' in out


def test_several_histories_end_with_what_they_cost_together(durable: Any) -> None:
    _, out, _ = durable("replay", NESTED, FLAT, INVOKING, "--prices", "default", "--width", "130")
    last = out[out.index("3 histories: 3 SUCCEEDED") :]
    assert "for 3 executions, USD " in last
    assert "for a million like them" in last
    assert "what the invoked functions cost is not in it" in last


def test_json_carries_each_cost_and_the_cost_together(durable: Any) -> None:
    _, out, _ = durable("replay", NESTED, FLAT, "--prices", "default", "--format", "json")
    document = json.loads(out)
    each = [history["cost"] for history in document["histories"]]
    together = document["cost"]
    assert together["executions"] == 2
    assert together["total"] == pytest.approx(sum(cost["total"] for cost in each))
    for cost in (*each, together):
        assert cost["total"] == pytest.approx(sum(part["cost"] for part in cost["parts"]))
        assert cost["prices"]["as_of"] == "2025-12"
        for part in cost["parts"]:
            assert part["cost"] == pytest.approx(part["quantity"] * part["price"])
            assert part["price_source"]
    shelves = document["histories"][0]["nesting"][0]
    assert (shelves["name"], shelves["recorded"], shelves["instead"]) == (
        "shelves",
        "NESTED",
        "FLAT",
    )
    assert shelves["metered_operations"] == -2
    assert shelves["cost_per_million"] < -16


def test_json_without_prices_has_the_change_of_nesting_without_money(durable: Any) -> None:
    _, out, _ = durable("replay", NESTED, "--format", "json")
    [history] = json.loads(out)["histories"]
    assert [each["metered_operations"] for each in history["nesting"]] == [-2, 2, -2]
    assert not any("cost_per_million" in each for each in history["nesting"])
    assert "cost" not in history


def test_json_lines_end_with_a_line_of_what_all_cost_together(durable: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    options = ("--prices", "default", "--format", "jsonl")
    code, out, _ = durable("replay", NESTED, str(broken), FLAT, *options)
    assert code == 2
    first, unread, second, last = map(json.loads, out.splitlines())
    assert "unreadable" in unread
    assert set(last) == {"schema", "cost"}
    total = first["cost"]["total"] + second["cost"]["total"]
    assert last["cost"]["total"] == pytest.approx(total)
    _, out, _ = durable("replay", NESTED, *options)
    assert len(out.splitlines()) == 1


def test_markdown_shows_prices_as_they_can_be_copied(durable: Any) -> None:
    _, out, _ = durable("replay", INVOKING, "--prices", "default", "--format", "markdown")
    assert "at 0.0000166667 a GB-second" in out
    assert "&#8203;" not in out


def test_markdown_has_the_cost_as_a_table(durable: Any) -> None:
    _, out, _ = durable("replay", NESTED, FLAT, "--prices", "default", "--format", "markdown")
    assert out.count("| part | USD a million | share | of |") == 3
    assert "### All of them" in out
    assert "- As FLAT" in out


def test_a_file_of_prices_is_named_with_what_it_says(durable: Any, tmp_path: Path) -> None:
    prices = tmp_path / "p.toml"
    prices.write_text('as_of = "2027-01"\n[operations]\nper_million = 80\n')
    _, out, _ = durable("replay", NESTED, "--prices", str(prices), "--width", "200")
    assert "12 metered, at 80.00 a million" in out
    assert f"prices        {prices}, as of 2027-01, for 128 MB" in out


def test_a_wrong_file_of_prices_is_one_line_and_exit_code_2(durable: Any, tmp_path: Path) -> None:
    prices = tmp_path / "p.toml"
    prices.write_text("[operations]\nper_million = nan\n")
    for arguments in (("replay", NESTED), ("simulate", "--handler", HANDLER)):
        code, out, err = durable(*arguments, "--prices", str(prices))
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert f"{prices}: line 2: operations.per_million: expected a number from 0" in err


def test_prices_have_no_effect_with_a_handler_and_are_refused(durable: Any) -> None:
    code, out, err = durable("replay", FLAT, "--handler", HANDLER, "--prices", "default")
    assert (code, out) == (2, "")
    assert "--prices" in err
    assert "--handler" in err


def test_what_a_file_says_reaches_no_terminal_and_no_document_as_markup(
    durable: Any, tmp_path: Path
) -> None:
    prices = tmp_path / "p.toml"
    rates = "".join(
        f"[{table}]\n{key} = 1\n"
        for table, key in (
            ("operations", "per_million"),
            ("data_written", "per_gb"),
            ("data_retained", "per_gb_month"),
            ("compute.x86_64", "per_gb_second"),
            ("compute.arm64", "per_gb_second"),
            ("requests", "per_million"),
        )
    )
    hostile = r"\u001b[31m<b>@user|\u202e"
    prices.write_text(f'currency = "{hostile}"\nregion = "{hostile}"\nas_of = "{hostile}"\n{rates}')
    for format in ("table", "markdown", "json"):
        code, out, _ = durable("replay", NESTED, "--prices", str(prices), "--format", format)
        assert code == 0
        assert "\x1b" not in out
        assert "\u202e" not in out
        if format == "markdown":
            assert "<b>" not in out
            assert "@user" not in out


# -- simulate ------------------------------------------------------------------------------------


def test_a_simulation_shows_its_cost_and_that_compute_isn_t_known(durable: Any) -> None:
    code, out, _ = durable(
        "simulate", "--handler", HANDLER, "--prices", "default", "--width", "120"
    )
    assert code == 0
    assert "at least USD" in out
    assert "compute isn't known: a simulation's time is virtual" in out
    assert "as FLAT" in out


def test_a_simulation_s_document_carries_metering_limits_and_cost(durable: Any) -> None:
    _, out, _ = durable("simulate", "--handler", HANDLER, "--format", "json")
    document = json.loads(out)
    assert "cost" not in document
    totals = document["totals"]
    metering = document["metering"]
    rows = document["operations"]
    assert totals["metered_operations"] == 1 + sum(row["metered_operations"] for row in rows)
    own = metering["execution"]["metered_bytes"]
    assert totals["metered_bytes"] == own + sum(row["metered_bytes"] for row in rows)
    used = {use["key"]: (use["used"], use["limit"]) for use in document["limits"]}
    assert used["operations"] == (totals["operations"], 3_000)
    assert used["metered_operations"] == (totals["metered_operations"], 3_000)
    _, out, _ = durable("simulate", "--handler", HANDLER, "--format", "json", "--prices", "default")
    cost = json.loads(out)["cost"]
    assert cost["at_least"]
    assert {part["part"]: part["cost"] for part in cost["parts"]}["compute"] is None


MANY = """
from datetime import timedelta

async def handler(event, ctx):
    async def unit(inside, item, index, items):
        return None

    await ctx.map(list(range(2_450)), unit, "m")
"""


def test_both_counts_are_shown_when_one_comes_near_the_cap(durable: Any, tmp_path: Path) -> None:
    (tmp_path / "many_units.py").write_text(MANY)
    handler = f"{tmp_path}{os.sep}many_units.py:handler"
    _, out, _ = durable("simulate", "--handler", handler, "--width", "120")
    assert "2,451 of 3,000 operations" in out
    assert "2,452 of 3,000 operations (open whether the cap counts these)" in out


# -- how figures read ----------------------------------------------------------------------------


def test_amounts_read_without_exponents_and_show_three_digits() -> None:
    assert amount_text(0) == "0.00"
    assert amount_text(1234.5) == "1,234.50"
    assert amount_text(0.1) == "0.10"
    assert amount_text(0.0123456) == "0.0123"
    assert amount_text(0.0000001234) == "0.000000123"
    assert amount_text(1e-30) == "0.000000000000000"
    assert price_text(8.0) == "8.00"
    assert price_text(0.0000166667) == "0.0000166667"
    assert price_text(1e9) == "1,000,000,000.00"


@pytest.mark.parametrize("path", sorted(SOURCES), ids=lambda path: path.stem)
def test_no_line_of_the_cost_is_wider_than_the_surface(path: Path) -> None:
    cost = cost_of(explain(load_history(str(path))), read_prices("default"))
    for width in range(40, 160, 9):
        for line in cost_lines(cost, Surface(width, False, False, "ascii")):
            assert cell_len(line) <= width
            assert line.isascii()


def test_the_report_doesn_t_overwrite_the_prices_that_it_is_made_with(
    durable: Any, tmp_path: Path
) -> None:
    prices = tmp_path / "p.toml"
    prices.write_text("memory_mb = 512\n")
    code, _, err = durable("replay", NESTED, "--prices", str(prices), "-o", str(prices))
    assert code == 2
    assert "--output and --prices name the same file" in err
    assert prices.read_text() == "memory_mb = 512\n"
