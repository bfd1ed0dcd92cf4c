"""Which Python: what is installed, what must not be looked for, and a virtual environment from a wheel at hand."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import msgspec
import pytest

from muniment.capture import environment
from muniment.model.errors import Unavailable
from muniment.model.run import Environment
from muniment.reproduction import interpreter
from muniment.reproduction.interpreter import Choice, Interpreter, projects_in, requirements


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wheel of acme-layers 1.5, where alone pip looks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "acme_layers-1.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("acme_layers.py", "NAME = 'acme'\n")
        info = "acme_layers-1.5.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: acme-layers\nVersion: 1.5\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


def choose(tmp_path: Path, choice: Choice, packages: list[str], **recorded: str) -> Interpreter:
    made = msgspec.structs.replace(Environment(python=environment.python(), packages_digest="0" * 64), **recorded)
    checkout = tmp_path / "code"
    checkout.mkdir(exist_ok=True)
    return interpreter.choose(choice, made, packages, tmp_path / "environment", checkout, lambda _: None)


def test_what_came_from_elsewhere_is_looked_for_in_no_index(tmp_path: Path) -> None:
    lines = [
        "numpy==2.1.0",
        "acme==0.2.dev1  # from git+https://example.org/acme.git@3f2a9c1",
        "plain==1.0  # from https://example.org/plain.whl#sha256=00",
        "mine==0.1  # editable",
        "ours==0.2  # editable",
        "local==3.0  # from a local folder",
        "odd==1.0  # from git+file:///x@1",
        "# numpy==1.0 is there too, behind the other numpy",
    ]
    wanted, skipped = requirements(lines, {"mine": tmp_path})
    assert wanted == [
        "numpy==2.1.0", "acme @ git+https://example.org/acme.git@3f2a9c1",
        "plain @ https://example.org/plain.whl#sha256=00", f"--editable {tmp_path}",
    ]  # fmt: skip
    assert [line.split()[1] for line in skipped] == ["ours==0.2", "local==3.0", "odd==1.0"]


def test_projects_are_found_by_their_normalized_names(tmp_path: Path) -> None:
    for folder, text in {
        ".": '[project]\nname = "Top_Thing"\n',
        "packages/inner": '[project]\nname = "inner"\n',
        "broken": "[project\n",
        "a/b/c": '[project]\nname = "deep"\n',
    }.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "pyproject.toml").write_text(text)
    assert projects_in(tmp_path) == {"top-thing": tmp_path, "inner": tmp_path / "packages/inner"}


def test_the_same_packages_are_the_same_environment(tmp_path: Path) -> None:
    here, listed = environment.capture()
    made = choose(tmp_path, "recorded", listed.decode().splitlines(), packages_digest=str(here.packages_digest))
    assert made.kind == "same"
    assert not (tmp_path / "environment").exists()


def test_what_differs_is_told(tmp_path: Path) -> None:
    here, listed = environment.capture()
    lines = [line for line in listed.decode().splitlines() if not line.startswith("pytest==")]
    made = choose(tmp_path, "current", ["acme==1.0", *lines, "pytest==0.1"], python="3.10.2")
    assert made.kind == "current"
    told = [line for line in made.not_restored if "installed for development" not in line]
    assert told[:2] == [
        f"environment: Python was 3.10.2, is {here.python}", "environment: acme was 1.0, is not there",
    ]  # fmt: skip
    assert len(told) == 3
    assert told[2].startswith("environment: pytest was 0.1, is ")


@pytest.mark.usefixtures("wheels")
def test_packages_are_installed_anew(tmp_path: Path) -> None:
    made = choose(tmp_path, "recorded", ["acme-layers==1.5"])
    assert made.kind == "rebuilt"
    assert not [line for line in made.not_restored if "acme" in line]
    said = subprocess.run(
        [made.python, "-c", "import acme_layers as a; print(a.NAME)"], capture_output=True, check=True
    )
    assert said.stdout == b"acme\n"


@pytest.mark.usefixtures("wheels")
def test_a_package_that_is_not_to_be_had_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"acme-layers==2\.0"):
        choose(tmp_path, "recorded", ["acme-layers==2.0"])
    (tmp_path / "two").mkdir()
    made = choose(tmp_path / "two", "auto", ["acme-layers==2.0"])
    assert made.kind == "current"
    assert "acme-layers==2.0" in next(line for line in made.not_restored if line.startswith("environment: not built"))


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    for version, why in (
        ("3.1.4", "python3.1 is not on PATH"),
        ("3.10.14 (PyPy 7.3.1)", "PyPy.* is not looked"),
        ("", "no Py"),
    ):
        with pytest.raises(Unavailable, match=why):
            choose(tmp_path, "recorded", ["acme==1"], python=version)


def test_a_folder_package_is_not_taken_from_an_index_unasked(tmp_path: Path) -> None:
    made = choose(tmp_path, "auto", ["acme==1.0  # from a local folder"])
    assert made.kind == "current"
    assert any("acme==1.0 was installed from a local folder" in line for line in made.not_restored)
