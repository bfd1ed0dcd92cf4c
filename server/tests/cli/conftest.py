"""Records to read, in every place that the command line can read from: a file, PostgreSQL, a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import Result
from robustness.server import Server, clean_environment
from typer.testing import CliRunner

from muniment import fluent
from muniment.cli.app import build
from muniment.model.evaluation import Threshold
from muniment.model.facet import NewFacetType
from muniment.model.run import RunChange
from muniment.model.schema import Column

EVIL = "bad\x1b[31mname\nof\x9ba\u202erun"
"""A name that would command a terminal."""


class Place(NamedTuple):
    """A store with records, and the ids of some."""

    url: str
    ids: dict[str, str]


def record(url: str) -> dict[str, str]:
    """Fill a store with a small family of records; some ids by name."""
    client = fluent.connect(url)
    ids: dict[str, str] = {}
    raw = fluent.dataset("customers", version="1", rows=9, schema=[Column(name="age", type="int64")])
    for number, rate in enumerate((0.1, 0.01, 0.001)):
        name = f"net-{number}"
        params = {"lr": rate, "model": "net", "seed": number}
        with fluent.start_run("churn", name, params=params, tags={"team": "risk"}, seeds={"numpy": 7}) as run:
            run.use(raw, role="training")
            for step in range(300):
                run.log({"loss": 1000.0 if step == 137 else 1 / (step + 1 + number), "flat": 2.0}, step=step)
            run.log({"accuracy": 0.9 + number / 100, "val loss": 0.5}, step=300)
        ids[name] = run.id
    with fluent.start_run("churn", EVIL, params={"lr\x1b]0;x\x07": "a\x1b[2Jb"}, tags={"t\x9b": "\x07"}) as run:
        run.log({"loss\x1b[1m": float("nan")}, step=0)
    ids["evil"] = run.id
    for _ in range(2):
        with fluent.start_run("churn", "twin") as run:
            pass
        ids["twin"] = run.id
    client.update_run(ids["twin"], RunChange(state="failed"))
    made = fluent.register("risk", None, aliases=["champion"], uri="file:///tmp/risk")
    ids["risk"] = made.id
    fluent.register("risk", None, uri="file:///tmp/risk-2")
    fluent.evaluate(made, raw, {"auc": 0.7, "odd": float("nan")}, thresholds={"auc": Threshold(min=0.8)})
    client.create_note("Mind the\x1b[5m leak\nof labels.", subject="model:risk@1", title="Lesson")
    client.create_facet_type(NewFacetType(name="card", schema={"type": "object"}))
    client.set_facet("model:risk@1", "card", {"owner": {"team": "risk"}, "tags": ["a", "b"]})
    client.give_name("model:risk@1", "mlflow", "models:/risk/1")
    client.upload("model:risk@1", "weights/w.bin", b"0" * 2048)
    client.create_project("other")
    other = fluent.connect(url, "other")
    other.create_experiment("elsewhere")
    fluent.disconnect()
    return ids


@pytest.fixture(scope="session", params=["file", "postgresql", "server"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each place with the same records; tests only read."""
    folder: Path = tmp_path_factory.mktemp(f"cli-{request.param}")
    before = os.environ.get("MUNIMENT_HOME")
    os.environ["MUNIMENT_HOME"] = str(folder)
    try:
        if request.param == "postgresql":
            server = request.getfixturevalue("postgres")
            url = server.create().replace("+psycopg", "")
            yield Place(url, record(url))
            server.drop(url)
        elif request.param == "file":
            url = f"sqlite:///{folder / 'store.db'}"
            yield Place(url, record(url))
        else:
            with Server(f"sqlite:///{folder / 'store.db'}", folder / "trust", folder / "log").start() as running:
                url = f"http://127.0.0.1:{running.port}"
                yield Place(url, record(url))
    finally:
        os.environ.pop("MUNIMENT_HOME")
        if before is not None:
            os.environ["MUNIMENT_HOME"] = before


@pytest.fixture
def ask(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process; its output is a pipe of 120 columns."""
    for name in ("MUNIMENT_PROJECT", "COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUNIMENT_URL", place.url)

    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(build(), list(arguments), env=environment)

    return run


@pytest.fixture
def told(ask: Callable[..., Result]) -> Callable[..., str]:
    """What a command that must succeed prints."""

    def run(*arguments: str, **environment: str) -> str:
        result = ask(*arguments, **environment)
        assert result.exit_code == 0, (result.output, result.exception)
        return str(result.stdout)

    return run


def process(*arguments: str, environment: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """A `muniment` command in a process of its own."""
    command = [sys.executable, "-c", "from muniment.cli import main; main()", *arguments]
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, env=clean_environment(environment), **given)


def finished(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a `muniment` command in a process of its own."""
    started = process(*arguments, environment=environment)
    out, err = started.communicate(timeout=120)
    return started.returncode, out.decode(), err.decode()
