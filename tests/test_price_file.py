"""Prices as files: the default one with its sources, and a user's, read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable_core.adapters.price_file import DEFAULT_FILE, read_prices
from durable_core.adapters.toml_text import line_of_key
from durable_core.errors import SourceError
from durable_core.explaining.costs import Architecture

ALL = """
currency = "EUR"
as_of = 2026-03-01
region = "eu-west-1"
memory_mb = 1_024
architecture = "arm64"
retention_days = 30
operations = {per_million = 9, source = "a"}
data_written.per_gb = 0.5
data_retained.per_gb_month = 0.25
requests.per_million = 0.3
[compute]
x86_64.per_gb_second = 0.00002
[compute.arm64]
per_gb_second = 0
source = "free here"
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "p.toml"


def test_the_default_file_names_its_date_and_the_source_of_each_price() -> None:
    prices = read_prices("default")
    assert (prices.name, prices.currency, prices.region) == ("default", "USD", "us-east-1")
    assert prices.as_of
    assert prices.operations.amount == 8.0
    assert (prices.data_written.amount, prices.data_retained.amount) == (0.25, 0.15)
    assert prices.compute.amount == pytest.approx(0.0000166667)
    assert prices.requests.amount == 0.20
    for price in (prices.operations, prices.data_written, prices.data_retained, prices.compute):
        assert prices.as_of in price.source
        assert "pricing page" in price.source
    assert (prices.memory_mb, prices.retention_days) == (128, 14)
    assert "check them" in " ".join(DEFAULT_FILE.read_text().split()).lower()


def test_a_file_of_all_prices_leaves_nothing_of_the_default_ones(written: Path) -> None:
    written.write_text(ALL)
    prices = read_prices(str(written))
    assert prices.name == str(written)
    assert (prices.currency, prices.as_of, prices.region) == ("EUR", "2026-03-01", "eu-west-1")
    assert (prices.memory_mb, prices.retention_days) == (1024, 30)
    assert prices.architecture is Architecture.ARM64
    assert (prices.operations.amount, prices.operations.source) == (9.0, "a")
    assert (prices.compute.amount, prices.compute.source) == (0.0, "free here")
    assert "names no source" in prices.data_written.source


def test_what_a_file_leaves_out_is_the_default_s(written: Path) -> None:
    written.write_text("memory_mb = 512\n")
    prices, default = read_prices(str(written)), read_prices("default")
    assert prices.memory_mb == 512
    assert (prices.operations, prices.as_of) == (default.operations, default.as_of)


def test_the_default_date_is_not_said_of_other_prices(written: Path) -> None:
    written.write_text("[operations]\nper_million = 7\n")
    prices = read_prices(str(written))
    assert (prices.as_of, prices.region) == (None, None)


def test_arm64_has_its_own_price(written: Path) -> None:
    written.write_text('architecture = "arm64"\n')
    assert read_prices(str(written)).compute.amount == pytest.approx(0.0000133334)


def test_the_file_that_the_manual_shows_is_one(written: Path) -> None:
    page = (DEFAULT_FILE.parents[3] / "docs" / "explain.md").read_text(encoding="utf-8")
    [block] = [each.split("```")[0] for each in page.split("```toml\n")[1:]]
    written.write_text(block)
    prices, default = read_prices(str(written)), read_prices("default")
    assert prices.operations.amount == default.operations.amount
    assert prices.compute.amount == default.compute.amount
    assert (prices.as_of, prices.memory_mb) == (default.as_of, default.memory_mb)


WRONG = {
    "[operations\nper_million = 1": "not TOML",
    "a = " + "[" * 5_000: "not TOML",
    "memory_mb = " + "9" * 5_000: "not TOML",
    "x = 1\nmemory = 128": "line 1: unknown key x, expected one of as_of",
    "\n\n[operation]\nper_million = 1": "line 3: unknown key operation",
    "[operations]\nper_milion = 1": "line 2: unknown key operations.per_milion",
    "[operations]\n": "line 1: [operations]: per_million is missing",
    "[operations]\nsource = 'x'": "line 1: [operations]: per_million is missing",
    "operations = 3": "line 1: operations: expected a table, found 3",
    "compute = 3": "line 1: compute: expected a table, found 3",
    "[compute]\narm = {per_gb_second = 1}": "line 2: unknown key compute.arm",
    "[compute]\nper_gb_second = 1": "line 2: unknown key compute.per_gb_second",
    "[compute.arm64]\nper_gb_second = -1": "line 2: compute.arm64.per_gb_second: expected a number",
    "[[requests]]\nper_million = 1": "requests: expected a table",
    "\n[requests]\n\nper_million = nan": "line 4: requests.per_million: expected a number from 0",
    "[requests]\nper_million = inf": "line 2: requests.per_million: expected a number",
    "[requests]\nper_million = -0.1": "line 2: requests.per_million: expected a number",
    "[requests]\nper_million = true": "line 2: requests.per_million: expected a number",
    "[requests]\nper_million = '8'": "line 2: requests.per_million: expected a number",
    "[requests]\nper_million = 8e300": "line 2: requests.per_million: expected a number",
    "requests.per_million = [8]": "line 1: requests.per_million: expected a number",
    "[requests]\nper_million = 8\nsource = 3": "line 3: requests.source: expected some text",
    "memory_mb = 64": "line 1: memory_mb: expected a whole number from 128",
    "memory_mb = 128.0": "line 1: memory_mb: expected a whole number from 128",
    "retention_days = 0": "line 1: retention_days: expected a whole number from 1 to 90",
    "retention_days = 91": "line 1: retention_days: expected a whole number from 1 to 90",
    "architecture = 'x86'": "line 1: architecture: expected one of x86_64, arm64, found 'x86'",
    "architecture = ['arm64']": "line 1: architecture: expected one of",
    "currency = ''": "line 1: currency: expected some text",
    "as_of = 12": "line 1: as_of: expected some text",
    "currency = 'EUR'": "[operations] per_million is missing: the default prices are in USD",
    "'a\\nb' = 1": "unknown key a",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: repr(text)[:40])
def test_what_can_t_be_a_price_is_one_line_with_the_key_and_its_line(
    text: str, written: Path
) -> None:
    written.write_text(text)
    with pytest.raises(SourceError) as raised:
        read_prices(str(written))
    said = str(raised.value)
    assert said.startswith(f"{written}: {WRONG[text]}" if "line" in WRONG[text] else str(written))
    assert WRONG[text] in said
    assert "\n" not in said
    assert len(said) < len(str(written)) + 400


def test_a_file_that_is_not_there_or_not_text_is_one_line(written: Path) -> None:
    with pytest.raises(SourceError, match="not found"):
        read_prices(str(written))
    written.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="not UTF-8"):
        read_prices(str(written))


def test_the_line_of_a_key_is_found_in_every_way_to_write_it() -> None:
    text = "# a = 1\n[ a . \"b\" ]\nc = 1\n\n[d]\ne.f = 2\n'g' = {h = 3}\n"
    assert line_of_key(text, ("a", "b", "c")) == 3
    assert line_of_key(text, ("a", "b", "x")) == 2
    assert line_of_key(text, ("d", "e", "f")) == 6
    assert line_of_key(text, ("d", "g", "h")) == 7
    assert line_of_key(text, ("z",)) is None
