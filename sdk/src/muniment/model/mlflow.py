"""How MLflow's words become Muniment's and back: what its door, its importer and its exporter agree on.

Pure: nothing here knows of requests or databases. Times are epoch milliseconds there and UTC moments here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from muniment.model.dataset import Source
from muniment.model.model import Framework, Signature, Stage
from muniment.model.run import Code, RunState
from muniment.model.schema import Column

SYSTEM = "mlflow"
"""The system under which MLflow's names of records are kept."""
FACET = "mlflow"
"""The facet that keeps, word for word, what only MLflow has a place for."""
DEFAULT_EXPERIMENT, DEFAULT_EXPERIMENT_ID = "Default", "0"
"""The experiment of runs that name none, and what MLflow calls it."""
DEFAULT_EXPERIMENT_NAME = f"experiment/{DEFAULT_EXPERIMENT_ID}"
"""The other name of that experiment, in system `SYSTEM` without a namespace."""

RUN_NAME, PARENT_RUN, USER = "mlflow.runName", "mlflow.parentRunId", "mlflow.user"
"""Tags of runs: the first is the run's name, and no tag here; the others stay tags too."""
CONTEXT = "mlflow.data.context"
"""The tag of a dataset input that is the role of its link."""
COMMIT, REPOSITORY, BRANCH = "mlflow.source.git.commit", "mlflow.source.git.repoURL", "mlflow.source.git.branch"
ENTRY_POINT = "mlflow.source.name"
FAMILY_TAG = "mlflow.loggedModels"
"""The tag of a model that stands for the logged models of one name in one experiment: that experiment's id."""

STATES: dict[str, RunState] = {
    "RUNNING": "running", "SCHEDULED": "scheduled", "FINISHED": "finished", "FAILED": "failed", "KILLED": "killed",
}  # fmt: skip
STATUSES = {state: status for status, state in STATES.items()}
STAGES: dict[str, Stage] = {
    "None": "none", "Development": "development", "Staging": "staging", "Production": "production",
    "Archived": "archived",
}  # fmt: skip
STAGE_NAMES = {stage: name for name, stage in STAGES.items()}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MODEL_ID = re.compile(r"m-([0-9a-f]{32})\Z")
_LATEST_MILLISECOND = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


def moment(milliseconds: int) -> datetime:
    """The moment of epoch milliseconds; what lies beyond the year 9999 becomes its end."""
    return _EPOCH + min(max(milliseconds, 0), _LATEST_MILLISECOND) * _MILLISECOND


def milliseconds(at: datetime) -> int:
    """Epoch milliseconds of a moment, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def code_of(tags: Mapping[str, str]) -> Code | None:
    """What a run's tags say of its code; None if they say nothing."""
    made = Code(
        commit=tags.get(COMMIT), repository=tags.get(REPOSITORY), branch=tags.get(BRANCH),
        entry_point=tags.get(ENTRY_POINT),
    )  # fmt: skip
    return None if made == Code() else made


def model_id(record_id: str) -> str:
    """What MLflow calls the logged model that is a model version with this id."""
    return f"m-{record_id}"


def version_id(model: str) -> str | None:
    """The id of the model version that is a logged model; None if `model` is no logged model's id."""
    found = _MODEL_ID.match(model)
    return None if found is None else found[1]


def family_name(experiment: str, name: str) -> str:
    """The name of the model that stands for the logged models `name` of an experiment.

    It holds a slash, which no registered model's name may.
    """
    return f"{experiment}/{name}"[:250]


class DatasetFacet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the facet of a dataset version keeps of MLflow's dataset."""

    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


def columns_of(schema: str) -> list[Column]:
    """The columns of MLflow's JSON schema of a dataset, as far as it has any."""
    document = _json(schema)
    if not isinstance(document, dict):
        return []
    spec = document.get("mlflow_colspec", document.get("mlflow_tensorspec"))
    if isinstance(spec, dict):  # a tensor dataset says features and targets apart
        spec = [item for part in map(_json, spec.values()) if isinstance(part, list) for item in part]
    return _columns(spec)


def signature_of(signature: Mapping[str, Any]) -> Signature | None:
    """The signature in a logged model's ``MLmodel`` file; None if it says nothing that can be read."""
    parts = {name: _columns(_json(signature.get(name))) for name in ("inputs", "outputs", "params")}
    return Signature(**parts) if any(parts.values()) else None


def framework_of(flavors: Mapping[str, Any]) -> Framework | None:
    """The framework among the flavors of an ``MLmodel`` file: the first that is not the generic one."""
    for name, said in flavors.items():
        if name != "python_function" and name:
            written = said if isinstance(said, Mapping) else {}
            version = next((value for key, value in written.items() if key.endswith("_version")), None)
            return Framework(name=name[:250], version=None if version is None else str(version)[:250] or None)
    return None


def rows_of(profile: str) -> int | None:
    """The number of rows in MLflow's JSON profile of a dataset, if it says one."""
    document = _json(profile)
    count = document.get("num_rows") if isinstance(document, dict) else None
    return count if isinstance(count, int) and 0 <= count < 2**53 else None


def sources_of(source_type: str, source: str) -> list[Source]:
    """Where a dataset lies, from MLflow's JSON of its source."""
    document = _json(source)
    if isinstance(document, dict):
        for name in ("uri", "url", "path", "table_name", "delta_table_name"):
            if isinstance(document.get(name), str) and document[name]:
                return [Source(uri=document[name], format=source_type or None)]
    return [Source(uri=source, format=source_type or None)] if source and not isinstance(document, dict) else []


def _json(text: Any) -> Any:
    if not isinstance(text, str) or not text:
        return text if isinstance(text, list) else None
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return None


def _columns(spec: Any) -> list[Column]:
    found: dict[str, Column] = {}
    for item in spec if isinstance(spec, list) else []:
        if not isinstance(item, dict):
            continue
        name, kind, shape = str(item.get("name") or f"column_{len(found)}")[:250], item.get("type"), None
        tensor = item.get("tensor-spec")
        if isinstance(tensor, dict):
            kind, shape = tensor.get("dtype"), tensor.get("shape")
        if isinstance(kind, str) and kind and not name.isspace() and name not in found:
            required = item.get("required")
            found[name] = Column(
                name=name, type=kind[:250], shape=shape if _is_shape(shape) else None,
                nullable=not required if isinstance(required, bool) else None,
            )  # fmt: skip
    return list(found.values())


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and all(type(size) is int and -1 <= size < 2**53 for size in shape)
