"""A row that speaks of a record far away is found, and does not keep verification busy for ever."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from muniment.model.experiment import NewExperiment
from muniment.model.link import NewLink
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun
from muniment_server.services import experiments, links, metrics, runs, verify
from muniment_server.services.workspace import Workspace


@pytest.mark.parametrize("change", ["links SET downstream", "summaries SET run"])
def test_a_row_of_a_record_far_away(workspace: Workspace, change: str) -> None:
    common: Any = (workspace, workspace.owner_scope, "default")
    write = workspace.writer.write
    write(experiments.create(*common, NewExperiment(name="e")))
    first, second = (write(runs.create(*common, NewRun(experiment="e"))).id for _ in "ab")
    write(links.add(*common, [NewLink(upstream=first, downstream=second, type="derived_from")]))
    write(metrics.log(*common, first, NewPoints(series=["loss"], value=[1.0])))
    assert verify.store(workspace.store, workspace.trust).ok
    with workspace.store.write() as connection:
        connection.execute(sa.text(f"UPDATE {change} = 1000000000000"))
    started = time.monotonic()
    found = verify.store(workspace.store, workspace.trust)
    assert [finding.where for finding in found.findings] == [change.partition(" ")[0]]
    assert time.monotonic() - started < 60, "it ends, and is not measured"
