"""`muniment import mlflow` and `muniment export mlflow` as people type them, and the guide that shows them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

from conftest import copied
from robustness.server import SCRIPT, clean_environment

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "guides" / "mlflow-history.md"
SHOWN = re.compile(r"```console\n\$ (muniment .*?)\n(.*?)```", re.DOTALL)
EXAMPLE = re.compile(r"^ {4}(muniment .*)$", re.MULTILINE)
LOOSE = re.compile(r"sqlite:///\S+|[\d.,]+")


def muniment(*arguments: str, folder: Path, code: int = 0) -> str:
    done = subprocess.run(
        [SCRIPT, *arguments], cwd=folder, env=clean_environment({"COLUMNS": "100"}), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_the_guide_shows_what_happens(
    database: Path, sqlite_template: Path, empty_server: str, server: str, tmp_path: Path
) -> None:
    text = GUIDE.read_text("utf-8")
    store = copied(sqlite_template, tmp_path / "store.db")
    ((line, shown),) = SHOWN.findall(text)
    answer = muniment(*shlex.split(line)[1:], "--store", store, folder=database.parent)
    if os.environ.get("MUNIMENT_UPDATE"):
        tidy = re.sub(r"sqlite:///\S+", "sqlite:////srv/mlflow/mlflow.db", answer)
        tidy = "\n".join(row.rstrip() for row in tidy.splitlines())
        GUIDE.write_text(text.replace(f"$ {line}\n{shown}```", f"$ {line}\n{tidy}\n```"), "utf-8")
    else:
        assert LOOSE.sub("#", " ".join(answer.split())) == LOOSE.sub("#", " ".join(shown.split()))
    lines = [one for one in EXAMPLE.findall(text) if "postgresql" not in one]
    assert len(lines) == 3
    for one in lines:
        words = [part.replace("http://127.0.0.1:5000", server).replace("http://127.0.0.1:5001", empty_server)
                 for part in shlex.split(one)[1:]]  # fmt: skip
        assert "refused:" not in muniment(*words, "--store", store, folder=database.parent)


def test_answers_for_programs(database: Path, sqlite_template: Path, tmp_path: Path) -> None:
    store = copied(sqlite_template, tmp_path / "store.db")
    arguments = ("import", "mlflow", f"sqlite:///{database}", "--store", store, "--json")
    first, second = (json.loads(muniment(*arguments, folder=tmp_path)) for _ in range(2))
    assert first["new"] == first["found"] == second["found"]
    assert (second["new"], second["position"]) == ({}, first["position"])
    assert first["found"]["runs"] == 12


def test_folders_are_imported_as_before(database: Path, sqlite_template: Path, tmp_path: Path) -> None:
    store = copied(sqlite_template, tmp_path / "store.db")
    muniment("import", "mlflow", f"sqlite:///{database}", "--store", store, folder=tmp_path)
    said = muniment("export", "out", "--store", store, folder=tmp_path)
    assert said == muniment("export", "folder", "again", "--store", store, folder=tmp_path)
    other = copied(sqlite_template, tmp_path / "other.db")
    assert said.splitlines()[1] in muniment("import", "--store", other, "out", folder=tmp_path)
    muniment("verify", "--store", other, folder=tmp_path)
    again = json.loads(
        muniment("import", "mlflow", f"sqlite:///{database}", "--store", other, "--json", folder=tmp_path)
    )
    assert {kind: count for kind, count in again["new"].items() if kind in {"points", "params", "tags"}} == {}


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path) -> None:
    for arguments, said in (
        (("import", "mlflow", "sqlite:///none.db"), "is no file"),
        (("import", "mlflow", "ftp://x"), "MLflow is read from http://HOST"),
        (("import", "mlflow", "http://127.0.0.1:1"), "http://127.0.0.1:1 cannot be reached"),
        (("export", "mlflow", "sqlite:///x.db"), "an MLflow server is http://HOST:PORT"),
        (("import", "mlflow", "postgresql://eve:secret@127.0.0.1:1/mlflow"), "postgresql://127.0.0.1:1/mlflow"),
        (("import", "nofolder"), "it has no manifest.json"),
    ):
        text = muniment(*arguments, "--store", f"sqlite:///{tmp_path}/store.db", folder=tmp_path, code=1)
        assert said in text
        assert len(text.strip().splitlines()) == 1
        assert "secret" not in text
