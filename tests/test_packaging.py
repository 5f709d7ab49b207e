"""What is built: exactly the two packages in the wheel, and nobody's own package is shadowed."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without any network by the installed hatchling."""
    return built(tmp_path_factory.mktemp("dist"), "wheel")


def built(folder: Path, target: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [distribution] = folder.iterdir()
    return distribution


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_exactly_the_two_packages(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    info = f"durable_cli-{wheel.name.split('-')[1]}.dist-info"
    assert tops == {"durable_cli", "durable_core", info}


def test_the_wheel_holds_every_module_of_them_and_their_types(wheel: Path) -> None:
    packages = [ROOT / "durable_cli", ROOT / "core" / "durable_core"]
    modules = {
        path.relative_to(package.parent).as_posix()
        for package in packages
        for path in package.rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    assert modules <= set(names(wheel))
    assert {"durable_cli/py.typed", "durable_core/py.typed"} <= modules


def test_the_wheel_holds_the_default_prices(wheel: Path) -> None:
    assert "durable_core/adapters/prices.toml" in names(wheel)


def test_the_wheel_brings_the_command_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {
            name.rpartition("/")[2]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    assert "durable = durable_cli.__main__:main" in texts["entry_points.txt"]
    assert "Apache License" in texts["LICENSE"]
    assert "Name: durable-cli\n" in texts["METADATA"]
    assert "Requires-Python: >=3.11\n" in texts["METADATA"]


def test_the_first_page_comes_with_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [each for each in archive.namelist() if each.endswith("/METADATA")]
        described = archive.read(metadata).decode()
    assert (ROOT / "README.md").read_text(encoding="utf-8").strip() in described


def test_the_source_distribution_holds_the_manual_that_its_tests_read(tmp_path: Path) -> None:
    with tarfile.open(built(tmp_path, "sdist")) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    pages = {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md")}
    assert held >= {"README.md", "CHANGELOG.md", "LICENSE", "tests/test_docs.py", *pages}


def test_a_users_own_core_tests_and_fixtures_are_the_users(wheel: Path, tmp_path: Path) -> None:
    site, project = tmp_path / "site", tmp_path / "project"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in ("core", "tests", "fixtures"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text(f"WHOSE = 'the user has {name}'\n")
    history = ROOT / "fixtures" / "histories" / "waits.json"
    code = f"""
import sys
from durable_cli.app import run
import durable_core
assert durable_core.__file__.startswith({str(site)!r}), durable_core.__file__
assert run(["replay", {str(history)!r}, "-o", "report.txt"]) == 0
import core, tests, fixtures
for module in (core, tests, fixtures):
    assert module.WHOSE == f"the user has {{module.__name__}}"
"""
    # As an installed tool sees it: the package last, the project added in front.
    environment = {"PYTHONPATH": f"{project}:{site}"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report.txt").read_text(encoding="utf-8").startswith(str(history))
