"""Experiments as MLflow spells them."""

from __future__ import annotations

from typing import Any

from muniment.model.experiment import Experiment
from muniment.model.mlflow import milliseconds
from muniment_server.api.mlflow.translate import kept
from muniment_server.services.details import Details


def artifact_location(number: str, said: str | None) -> str:
    """Where an experiment's artifacts go: what was said when it was made, or through this server."""
    return said or f"mlflow-artifacts:/{number}"


def to_mlflow(experiment: Experiment, details: Details, number: str, project: str) -> dict[str, Any]:
    """An experiment.

    Args:
        experiment: it.
        details: its tags and facets.
        number: what MLflow's clients call it.
        project: which they call a workspace.
    """
    said = kept.about(details.facets)
    made: dict[str, Any] = {
        "experiment_id": number,
        "name": experiment.name,
        "artifact_location": artifact_location(number, said.get("artifact_location")),
        "lifecycle_stage": "deleted" if experiment.lifecycle == "deleted" else "active",
        "last_update_time": milliseconds(details.changed_at),
        "creation_time": milliseconds(experiment.created_at),
    }
    if details.tags:
        made["tags"] = tags(details.tags)
    made["workspace"] = project
    return made


def tags(given: dict[str, str]) -> list[dict[str, str]]:
    """Tags or params."""
    return [{"key": key, "value": value} for key, value in given.items()]
