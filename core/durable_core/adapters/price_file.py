"""The file that holds prices: the one that ships with `durable`, and the user's own over it.

A user's file holds what differs from the default one; it is read strictly, since a price that is
misspelt would silently be another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from durable_core.adapters.toml_text import line_of_key, text_of_toml
from durable_core.errors import SourceError
from durable_core.explaining.costs import Architecture, Price, Prices
from durable_core.frozen import dataclass
from durable_core.toml_document import read_toml

DEFAULT: Final = "default"
DEFAULT_FILE: Final = Path(__file__).with_name("prices.toml")

_PRICE_KEYS: Final[Mapping[tuple[str, ...], str]] = {
    ("operations",): "per_million",
    ("data_written",): "per_gb",
    ("data_retained",): "per_gb_month",
    **{("compute", each.value): "per_gb_second" for each in Architecture},
    ("requests",): "per_million",
}
_SETTINGS: Final = (
    "as_of",
    "region",
    "currency",
    "memory_mb",
    "architecture",
    "retention_days",
)
_MOST: Final = 1_000_000_000
_LEAST_MEMORY_MB: Final = 128  # Lambda's quotas page, 2026-11
_MOST_RETENTION_DAYS: Final = 90  # RetentionPeriodInDays, service model, botocore 1.44


def read_prices(name: str) -> Prices:
    """Return the prices of a TOML file, with the default ones for what it leaves out.

    `default` is the file that ships with `durable`. Raises SourceError, with the line, for a file
    that can't be read, a key that isn't known and a value that can't be.
    """
    default = _read(str(DEFAULT_FILE))
    if name == DEFAULT:
        return _prices(DEFAULT, default, default)
    return _prices(name, _read(name), default)


@dataclass(frozen=True, slots=True)
class _PriceFile:
    settings: Mapping[str, Any]
    prices: Mapping[tuple[str, ...], Price]


def _prices(name: str, own: _PriceFile, default: _PriceFile) -> Prices:
    settings = {**default.settings, **own.settings}
    missing = [table for table in _PRICE_KEYS if table not in own.prices]
    if settings["currency"] != default.settings["currency"] and missing:
        table, key = missing[0], _PRICE_KEYS[missing[0]]
        problem = (
            f"[{'.'.join(table)}] {key} is missing: the default prices are in "
            f"{default.settings['currency']}, these in {settings['currency']}"
        )
        raise SourceError(name, problem)
    if own.prices:  # the default's date and Region say nothing of them
        settings |= {key: own.settings.get(key) for key in ("as_of", "region")}
    prices = {**default.prices, **own.prices}
    return Prices(
        name=name,
        as_of=settings["as_of"],
        region=settings["region"],
        currency=settings["currency"],
        operations=prices["operations",],
        data_written=prices["data_written",],
        data_retained=prices["data_retained",],
        compute=prices["compute", settings["architecture"]],
        requests=prices["requests",],
        memory_mb=settings["memory_mb"],
        architecture=Architecture(settings["architecture"]),
        retention_days=settings["retention_days"],
    )


# -- reading it strictly -------------------------------------------------------------------------


def _read(path: str) -> _PriceFile:
    text = text_of_toml(path)
    return _Reader(path, text).file(read_toml(text, path))


class _Reader:
    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def file(self, document: Mapping[str, Any]) -> _PriceFile:
        tables = [table[0] for table in _PRICE_KEYS]
        self._check_keys((), document, (*_SETTINGS, *dict.fromkeys(tables)))
        settings = {key: self._setting(key, document[key]) for key in _SETTINGS if key in document}
        for name in dict.fromkeys(tables):
            self._check_table((name,), document.get(name, {}))
        self._check_keys(
            ("compute",), document.get("compute", {}), [each.value for each in Architecture]
        )
        prices: dict[tuple[str, ...], Price] = {}
        for table, key in _PRICE_KEYS.items():
            given: Any = document
            for part in table[:-1]:
                given = given.get(part, {})
            if table[-1] in given:
                self._check_table(table, given[table[-1]])
                prices[table] = self._price(table, key, given[table[-1]])
        return _PriceFile(settings, prices)

    def _setting(self, key: str, value: Any) -> Any:
        match key:
            case "memory_mb":
                return self._whole(key, value, _LEAST_MEMORY_MB, _MOST)
            case "retention_days":
                return self._whole(key, value, 1, _MOST_RETENTION_DAYS)
            case "architecture":
                if value in list(Architecture):
                    return value
                raise self._wrong((key,), f"one of {', '.join(Architecture)}", value)
            case "as_of" if isinstance(value, date):
                return value.isoformat()
        return self._text_value((key,), value)

    def _price(self, table: tuple[str, ...], key: str, given: Mapping[str, Any]) -> Price:
        self._check_keys(table, given, (key, "source"))
        where = (*table, key)
        if key not in given:
            raise self._error(table, f"[{'.'.join(table)}]: {key} is missing")
        amount = given[key]
        is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if not is_number or not (0 <= amount <= _MOST) or not math.isfinite(amount):
            raise self._wrong(where, f"a number from 0 to {_MOST:,}", amount)
        source = given.get("source", f"{self._path}, which names no source")
        return Price(float(amount), self._text_value((*table, "source"), source))

    def _whole(self, key: str, value: Any, least: int, most: int) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise self._wrong((key,), f"a whole number from {least:,} to {most:,}", value)

    def _text_value(self, where: tuple[str, ...], value: Any) -> str:
        if isinstance(value, str) and value.strip():
            return value
        raise self._wrong(where, "some text", value)

    def _check_table(self, where: tuple[str, ...], value: Any) -> None:
        if not isinstance(value, dict):
            raise self._wrong(where, "a table", value)

    def _check_keys(self, table: tuple[str, ...], given: Mapping[str, Any], known: Any) -> None:
        for key in given:
            if key not in known:
                expected = ", ".join(known)
                name = ".".join((*table, key))
                raise self._error((*table, key), f"unknown key {name}, expected one of {expected}")

    def _wrong(self, where: tuple[str, ...], expected: str, found: Any) -> SourceError:
        shown = repr(found)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        return self._error(where, f"{'.'.join(where)}: expected {expected}, found {shown}")

    def _error(self, where: tuple[str, ...], problem: str) -> SourceError:
        line = line_of_key(self._text, where)
        return SourceError(self._path, problem, f"line {line}" if line else None)
