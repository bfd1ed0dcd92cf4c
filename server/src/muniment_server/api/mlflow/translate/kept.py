"""What the door has kept in facets, read back: a facet belongs to a record like any other, and anybody may have set it.

What is not as the door writes it is left out; the rest counts. So no facet makes a record unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from muniment.model.mlflow import FACET

STATUSES = (
    "LOGGED_MODEL_STATUS_UNSPECIFIED", "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED",
)  # fmt: skip
METRICS = f"{FACET}.metrics/"
"""How the names of facets begin that keep what one request measured of a model."""
_ID = re.compile(r"[0-9a-f]{32}\Z")


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """What the facet of a version keeps of a logged model.

    Attributes:
        name: the model's.
        status: one of `STATUSES`.
        experiment: the id of its experiment.
        model_type: what its users call its type.
        source_run_id: the run that is said to have made it.
        params: by their keys.
        updated: when its status was last changed, in epoch milliseconds; 0 is never.
    """

    name: str
    status: str
    experiment: str
    model_type: str = ""
    source_run_id: str = ""
    params: dict[str, str]
    updated: int = 0


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A value that was measured of a model."""

    key: str
    value: float
    timestamp: int
    step: int
    run_id: str
    dataset_name: str = ""
    dataset_digest: str = ""


def is_id(text: str) -> bool:
    """Whether a text can be a record's id."""
    return _ID.match(text) is not None


def texts(said: Any) -> dict[str, str]:
    """The fields of a facet that are text; none if there is no facet."""
    if not isinstance(said, Mapping):
        return {}
    return {name: value for name, value in said.items() if isinstance(value, str)}


def about(facets: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a record's own facet."""
    return texts(facets.get(FACET))


def logged(said: Any) -> Logged | None:
    """What the facet of a version says of a logged model; None if it is that of none."""
    known = texts(said)
    name, status, experiment = (known.get(field) for field in ("name", "status", "experiment"))
    if not name or status not in STATUSES or not experiment or not is_id(experiment):
        return None
    updated = said.get("updated")
    return Logged(
        name=name, status=status, experiment=experiment, model_type=known.get("model_type", ""),
        source_run_id=known.get("source_run_id", ""), params=texts(said.get("params")),
        updated=updated if type(updated) is int else 0,
    )  # fmt: skip


def outputs(facets: Mapping[str, Any], begin: str) -> Iterator[tuple[str, int]]:
    """(id of the model, step) of the facets of a run whose names begin so, and that say one."""
    for name, said in facets.items():
        if name.startswith(begin) and "model_id" in texts(said):
            step = said.get("step")
            yield said["model_id"], step if type(step) is int else 0


def points(facets: Mapping[str, Any]) -> Iterator[Point]:
    """All that was measured of a logged model, in the order in which it came."""
    for name, said in sorted(facets.items()):
        run = texts(said).get("run_id") if name.startswith(METRICS) else None
        listed = said.get("points") if run is not None else None
        for one in listed if isinstance(listed, list) else []:
            if not isinstance(one, Mapping):
                continue
            try:
                yield msgspec.convert({**one, "value": float(one["value"]), "run_id": run}, Point)
            except (KeyError, TypeError, ValueError):  # which msgspec's error is, too
                continue
