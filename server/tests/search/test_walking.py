"""Orders by a metric, walked no further than a bound: the pages are those of plain Python, wherever the bound falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import ENGINES

from muniment.model.batch import Batch, CreateExperiment, CreateRun, LogPoints
from muniment.model.ids import new_id
from muniment.model.project import NewProject
from muniment.model.run import RunChange
from muniment.model.search import Query
from muniment_server.services import batch, projects, runs, search
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace
from muniment_server.store.search import pages, walking

RUNS = 70
NAN = float("nan")
LOSSES = (0.5, 0.5, 0.5, 1.0, 1.0, -0.0, 0.0, float("inf"), float("-inf"), NAN, None)
"""Few values, so that there are ties; None is a run without the metric."""
Row = dict[str, Any]
Condition = tuple[str, Callable[[Row], bool]]


def _above(row: Row, key: str, least: float) -> bool:
    return row[key] is not None and row[key] > least


CONDITIONS: list[Condition] = [
    ("params.lr = '0.1'", lambda row: row["lr"] == "0.1"),
    ("params.lr != '0.1'", lambda row: row["lr"] not in {None, "0.1"}),
    ("NOT params.lr = '0.1'", lambda row: row["lr"] != "0.1"),
    ("params.lr IS NULL", lambda row: row["lr"] is None),
    ("params.rare = 'yes'", lambda row: row["rare"]),
    ("params.rare = 'no'", lambda _: False),
    ("metrics.auc > 1", lambda row: _above(row, "auc", 1)),
    ("metrics.auc > 1 AND params.lr >= '0.1'", lambda row: _above(row, "auc", 1) and (row["lr"] or "") >= "0.1"),
    ("NOT (metrics.auc > 1 OR params.lr = '0.2')", lambda row: not (_above(row, "auc", 1) or row["lr"] == "0.2")),
    ("metrics.loss > 0", lambda row: _above(row, "loss", 0)),
    ("metrics.loss > 0.5 OR params.rare = 'yes'", lambda row: _above(row, "loss", 0.5) or row["rare"]),
    ("metrics.loss IS NOT NULL AND tags.team = 'b'", lambda row: row["loss"] is not None and row["team"] == "b"),
    ("tags.team = 'a' AND state = 'running'", lambda row: row["team"] == "a" and row["state"] == "running"),
    ("text MATCH 'odd' AND params.lr = '0.2'", lambda row: row["no"] % 2 == 1 and row["lr"] == "0.2"),
    ("experiment.name = 'f' AND metrics.auc < 2", lambda row: row["experiment"] == "f" and 0 <= row["auc"] < 2),
]
ORDERS: list[tuple[list[str], list[tuple[str, bool]]]] = [
    (["metrics.loss"], [("loss", False)]),
    (["metrics.loss DESC"], [("loss", True)]),
    (["metrics.loss", "metrics.auc DESC"], [("loss", False), ("auc", True)]),
    (["metrics.loss DESC", "params.lr", "name DESC"], [("loss", True), ("lr", False), ("name", True)]),
    (["metrics.loss", "metrics.loss DESC"], [("loss", False)]),
]


@pytest.fixture(scope="module", params=ENGINES)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[Row]]]:
    """A workspace, and what is in its default project; another project has the same names."""
    folder = tmp_path_factory.mktemp("walking")
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    url = server.create_empty() if server is not None else f"sqlite:///{folder / 'store.db'}"
    workspace = Workspace(url, trust=folder / "trust", migrate=True)
    workspace.writer.write(projects.create(workspace.owner_scope, NewProject(slug="other")))
    _filled(workspace, "other", Random(2))
    yield workspace, _filled(workspace, DEFAULT_PROJECT, Random(1))
    workspace.close()
    if server is not None:
        server.drop(url)


def _filled(workspace: Workspace, project: str, rng: Random) -> list[Row]:
    scope, write = workspace.owner_scope, workspace.writer.write
    write(batch.run(workspace, scope, project, Batch(commands=[CreateExperiment(name=name) for name in "ef"])))
    made: list[Row] = []
    for no in range(RUNS):
        row: Row = {
            "no": no, "id": new_id(), "name": f"{'odd' if no % 2 else 'even'} {no % 5}",
            "experiment": rng.choice("eef"), "state": rng.choice(("running", "finished")),
            "lr": rng.choice(("0.1", "0.2", "0.3", None)),
            "rare": no in {3, 47, 48}, "team": rng.choice("abb"), "loss": rng.choice(LOSSES),
            "auc": rng.choice((0.0, 1.0, 2.0, 3.0, NAN)), "lifecycle": rng.choice(("active",) * 5 + ("deleted",)),
        }  # fmt: skip
        params = {"lr": row["lr"]} if row["lr"] is not None else {}
        create = CreateRun(
            id=row["id"], name=row["name"], experiment=row["experiment"], state=row["state"],
            params={**params, "rare": "yes"} if row["rare"] else params, tags={"team": row["team"]},
        )  # fmt: skip
        logged = {key: row[key] for key in ("loss", "auc") if row[key] is not None}
        values: list[Any] = ["NaN" if value != value else value for value in logged.values()]  # noqa: PLR0124
        values = [{float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(value, value) for value in values]
        log = LogPoints(run=row["id"], series=list(logged), key=list(range(len(logged))), value=values)
        write(batch.run(workspace, scope, project, Batch(commands=[create, log])))
        if row["lifecycle"] == "deleted":
            write(runs.update(workspace, scope, project, row["id"], RunChange(lifecycle="deleted")))
        made.append(row)
    return made


def _in_order(rows: list[Row], keys: list[tuple[str, bool]]) -> list[Row]:
    """Numbers, then NaN, then what is missing, whichever the direction; ties by number, as the first key."""
    found = sorted(rows, key=lambda row: row["no"], reverse=keys[0][1])
    for key, down in reversed(keys):
        present = [row for row in found if row[key] is not None and row[key] == row[key]]
        if key == "lr":
            present.sort(key=lambda row: float(row["lr"]), reverse=down)
        else:
            present.sort(key=lambda row: row[key], reverse=down)
        absent = [row for row in found if row[key] is None]
        found = [*present, *(row for row in found if row[key] is not None and row[key] != row[key]), *absent]
    return found


@pytest.fixture(params=[1, 12, 4_000], ids=lambda far: f"far-{far}")
def far(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How far a walk goes before PostgreSQL is left to its own plan; an equal param never starts from its own index."""
    monkeypatch.setattr(walking, "_FAR", request.param)
    monkeypatch.setattr(walking, "_FURTHER", 1)
    monkeypatch.setattr(pages, "FEW", dict.fromkeys(ENGINES, 0))
    return int(request.param)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: ", ".join(order[0]))
def test_pages_of_a_bounded_walk_are_those_of_plain_python(
    stage: tuple[Workspace, list[Row]], far: int, order: Any
) -> None:
    workspace, rows = stage
    rng = Random(f"{far}{order}")
    for where, holds in CONDITIONS:
        lifecycle = rng.choice(("active", "active", "deleted", "any"))
        wanted = [row for row in rows if lifecycle in {"any", row["lifecycle"]} and holds(row)]
        expected = [row["id"] for row in _in_order(wanted, order[1])]
        assert _pages(workspace, where, order[0], lifecycle, rng.choice((3, 8, 50))) == expected, where


def _pages(workspace: Workspace, where: str, order: list[str], lifecycle: Any, limit: int) -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        query = Query(where=where, order_by=order, limit=limit, page=token, lifecycle=lifecycle)
        page = search.search(workspace, workspace.owner_scope, DEFAULT_PROJECT, query)
        found += [data.run.id for data in page.runs]
        token = page.next
        if token is None:
            return found
        assert len(page.runs) == limit
        assert len(found) < RUNS


@pytest.mark.parametrize(
    ("bound", "where", "limit", "walks"),
    [
        (40, "params.lr = '0.1'", 2, ["nearest"]),
        (1, "params.rare = 'yes'", 2, ["nearest", "whole"]),
        (40, "state = 'running'", 2, ["whole"]),
    ],
)
def test_postgresql_walks_to_the_bound_and_goes_on_only_if_it_must(
    stage: tuple[Workspace, list[Row]], bound: int, where: str, limit: int, walks: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    workspace, _ = stage
    monkeypatch.setattr(walking, "_FAR", bound)
    monkeypatch.setattr(walking, "_FURTHER", 1)
    monkeypatch.setattr(pages, "FEW", dict.fromkeys(ENGINES, 0))
    executed: list[str] = []

    def remember(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        del connection, cursor, parameters, context, many
        if "by_summaries_last" in statement:
            executed.append("nearest" if "WITH TIES" in statement else "whole")

    sa.event.listen(workspace.store._reading, "before_cursor_execute", remember)
    try:
        query = Query(where=where, order_by=["metrics.loss"], limit=limit)
        search.search(workspace, workspace.owner_scope, DEFAULT_PROJECT, query)
    finally:
        sa.event.remove(workspace.store._reading, "before_cursor_execute", remember)
    assert executed == (["whole"] if workspace.store.is_sqlite else walks)
