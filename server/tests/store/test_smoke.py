"""The shortest path through the floors, on both engines."""

from __future__ import annotations

from muniment.model.experiment import NewExperiment
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun
from muniment_server.annexes import keeper
from muniment_server.services import experiments, metrics, runs, verify
from muniment_server.services.workspace import Workspace


def test_a_run_is_kept_sealed_and_verified(workspace: Workspace) -> None:
    scope, write = workspace.owner_scope, workspace.writer.write
    write(experiments.create(workspace, scope, "default", NewExperiment(name="churn")))
    run = write(runs.create(workspace, scope, "default", NewRun(experiment="churn", params={"lr": 0.1})))
    write(metrics.log(workspace, scope, "default", run.id, NewPoints(series=["loss"], value=[1.0, 0.5], step=[1, 2])))
    data = runs.get(workspace, scope, "default", run.id)
    assert data.params == {"lr": "0.1"}
    assert data.metrics["loss"].last == 0.5
    keeper.seal(workspace)
    assert keeper.compact(workspace, everything=True) == 1
    outcome = verify.store(workspace.store, workspace.trust)
    assert outcome.ok, outcome.findings
    assert outcome.sealed == outcome.entries
