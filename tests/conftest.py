"""What holds for every test: neither a busy machine nor another test's modules make it fail."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "durable",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("durable")


@pytest.fixture(autouse=True)
def _forget_modules_of_the_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Unload what a test imported from a folder of its own: another may have the same names."""
    before = set(sys.modules)
    yield
    folder = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None) or ""
        if path.startswith(folder):
            del sys.modules[name]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Nothing is logged."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)
