"""How SQLite carries searches out: the indexes that were made for them are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from muniment.model.experiment import NewExperiment
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun
from muniment.model.search import Query
from muniment_server.services import experiments, metrics, runs, search
from muniment_server.services.workspace import Workspace

Plans = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def plans(tmp_path: Path) -> Any:
    """Ask a question; what was executed for it, each statement with its plan."""
    workspace = Workspace(f"sqlite:///{tmp_path / 'store.db'}", trust=tmp_path / "trust")
    scope, write = workspace.owner_scope, workspace.writer.write
    experiment = write(experiments.create(workspace, scope, "default", NewExperiment(name="e"))).id
    for number in range(20):
        params = {"lr": f"0.{number}"}
        new = NewRun(experiment="e", params=dict(params), tags={"team": "risk"})
        run = write(runs.create(workspace, scope, "default", new))
        write(metrics.log(workspace, scope, "default", run.id, NewPoints(series=["auc"], value=[float(number)])))
    executed: list[tuple[str, Any]] = []

    @sa.event.listens_for(workspace.store._reading, "before_cursor_execute")
    def remember(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        del connection, cursor, context, many
        if not statement.startswith("EXPLAIN"):
            executed.append((statement, parameters))

    def asked(*, inside: bool = False, **query: Any) -> list[tuple[str, str]]:
        executed.clear()
        if inside:  # of the experiment, as MLflow's door asks
            with search.found(workspace, scope, "default", Query(**query), [experiment]):
                pass
        else:
            search.search(workspace, scope, "default", Query(**query))
        with workspace.store.read() as connection:
            return [
                (text, "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)))
                for text, values in list(executed)
                if text.lstrip().upper().startswith("SELECT")
            ]

    yield asked
    workspace.close()


def _that(found: list[tuple[str, str]], *words: str) -> list[str]:
    """The plans of the statements in which all the words stand."""
    return [plan for text, plan in found if all(word in text for word in words)]


@pytest.mark.parametrize("order", ["metrics.auc", "metrics.auc DESC", "last(metrics.auc) DESC"])
@pytest.mark.parametrize("where", ["", "state = 'running'", "metrics.auc > 3", "metrics.auc BETWEEN 2 AND 9"])
def test_an_order_by_a_metric_walks_its_index(plans: Plans, order: str, where: str) -> None:
    walks = _that(plans(order_by=[order], where=where, limit=5), "AS by_summaries_last")
    assert len(walks) == 1
    assert "USING INDEX summaries_last" in walks[0] or "USING COVERING INDEX summaries_last" in walks[0]
    assert walks[0].startswith("SEARCH by_summaries_last")
    assert "TEMP B-TREE" not in walks[0]
    assert "SCAN" not in walks[0]


def test_the_next_page_starts_in_the_middle_of_the_index(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: list[str | None] = []
    original = search.search

    def noting(*arguments: Any) -> Any:
        page = original(*arguments)
        tokens.append(page.next)
        return page

    monkeypatch.setattr(search, "search", noting)
    plans(order_by=["metrics.auc DESC"], limit=5)
    walks = _that(plans(order_by=["metrics.auc DESC"], limit=5, page=tokens[-1]), "AS by_summaries_last")
    assert len(walks) == 1
    assert "last<?" in walks[0]
    assert "TEMP B-TREE" not in walks[0]


def test_an_equal_param_is_looked_up_in_its_index(plans: Plans) -> None:
    found = plans(where="params.lr = '0.7'", order_by=["metrics.auc DESC"])
    candidates = _that(found, "count(*)", "params AS by_params_value")
    assert len(candidates) == 1
    assert "INDEX params_value (project_id=? AND key=? AND <expr>=?)" in candidates[0]
    candidates = _that(
        plans(where="tags.team = 'risk'", order_by=["metrics.auc DESC"]), "count(*)", "tags AS by_tags_value"
    )
    assert "INDEX tags_value (project_id=? AND key=? AND <expr>=?)" in candidates[0]


@pytest.mark.parametrize(
    "query",
    [
        {"where": "params.lr = '0.7'"},
        {"where": "params.lr = '0.7'", "order_by": ["metrics.auc DESC"]},
        {"where": "tags.team = 'risk'"},
    ],
)
def test_what_is_searched_by_an_equal_param_or_tag_starts_from_its_index(plans: Plans, query: dict[str, Any]) -> None:
    searches = _that(plans(**query), "FROM runs", "EXISTS")
    assert searches
    for plan in searches:
        assert "params_value" in plan or "tags_value" in plan


def test_the_newest_runs_come_without_sorting(plans: Plans) -> None:
    (plan,) = _that(plans(limit=5), "FROM runs", "ORDER BY")
    assert "TEMP B-TREE" not in plan
    assert "SCAN" not in plan


@pytest.mark.parametrize("where", ["", "state = 'running'", "params.lr != '0.7'"])
@pytest.mark.parametrize("order", ["started_at DESC", "started_at"])
def test_the_newest_runs_of_one_experiment_come_from_its_index(plans: Plans, where: str, order: str) -> None:
    found = plans(inside=True, where=where, order_by=[order], limit=5)
    plan = _that(found, "FROM runs", "ORDER BY")[0]
    assert "USING INDEX runs_by_experiment_start (project_id=? AND experiment=?" in plan
    assert "TEMP B-TREE" not in plan
    assert "SCAN" not in plan
