"""Every report of every fixture, whole: a change of what users read is seen in the difference."""

import subprocess
import sys
from pathlib import Path

import pytest

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
REPORTS = sorted((FIXTURES / "reports").iterdir())
SOURCES = [*(FIXTURES / "histories").glob("*.json"), *(FIXTURES / "states").glob("*.json")]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports as they are now, written from another folder by a process of its own."""
    folder = tmp_path_factory.mktemp("reports")
    script = [sys.executable, str(FIXTURES / "write_reports.py"), str(folder)]
    subprocess.run(script, check=True, cwd=folder, env={"FORCE_COLOR": "1", "COLUMNS": "50"})
    return folder


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.name)
def test_a_report_says_what_was_read_and_approved(path: Path, written: Path) -> None:
    now = (written / path.name).read_text(encoding="utf-8")
    assert now.splitlines() == path.read_text(encoding="utf-8").splitlines()


def test_every_fixture_has_its_report_and_every_report_its_fixture(written: Path) -> None:
    assert {path.name for path in REPORTS} == {path.name for path in written.iterdir()}
    assert {path.stem for path in REPORTS} == {path.stem for path in SOURCES}
