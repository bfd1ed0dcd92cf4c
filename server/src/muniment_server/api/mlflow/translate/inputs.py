"""Datasets as MLflow logs them, and what they are here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.mlflow import CONTEXT, FACET, DatasetFacet, columns_of, rows_of, sources_of
from muniment_server.api.mlflow.translate.runs import INPUT
from muniment_server.api.mlflow.wire.checks import check_length
from muniment_server.api.mlflow.wire.refusals import invalid
from muniment_server.services.inputs import NewInput

NAME_LIMIT, DIGEST_LIMIT, SOURCE_LIMIT, SCHEMA_LIMIT, PROFILE_LIMIT = 500, 36, 65_535, 1_048_575, 16_777_215
TAG_KEY_LIMIT, TAG_LIMIT = 255, 500


def new_input(given: Mapping[str, Any]) -> NewInput:
    """A dataset that a request says a run used.

    Raises:
        Refusal: it has no name or digest, or something is too long.
    """
    dataset: Mapping[str, Any] = given.get("dataset", {})
    tags = {tag.get("key", ""): tag.get("value", "") for tag in given.get("tags", [])}
    for name, limit in (
        ("name", NAME_LIMIT), ("digest", DIGEST_LIMIT), ("source", SOURCE_LIMIT), ("schema", SCHEMA_LIMIT),
        ("profile", PROFILE_LIMIT),
    ):  # fmt: skip
        check_length(name, limit, dataset.get(name, ""))
    for name in ("name", "digest"):
        if not dataset.get(name):
            raise invalid(f"Missing value for required parameter 'datasets.dataset.{name}'.")
    for key, value in tags.items():
        check_length("key", TAG_KEY_LIMIT, key)
        check_length("value", TAG_LIMIT, value)
    said = DatasetFacet(
        source_type=dataset.get("source_type", ""), source=dataset.get("source", ""),
        schema=dataset.get("schema", ""), profile=dataset.get("profile", ""),
    )  # fmt: skip
    rest = {key: value for key, value in tags.items() if key != CONTEXT}
    return NewInput(
        dataset=NewDataset(name=dataset["name"]),
        version=NewDatasetVersion(
            digest=dataset["digest"],
            sources=sources_of(said.source_type, said.source),
            schema=columns_of(said.schema),
            rows=rows_of(said.profile),
        ),
        role=tags.get(CONTEXT, ""),
        about={FACET: msgspec.to_builtins(said)},
        said={INPUT: rest} if rest else {},
    )
