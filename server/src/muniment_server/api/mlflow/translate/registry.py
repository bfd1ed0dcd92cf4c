"""Registered models and their versions as MLflow spells them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from muniment.model.mlflow import STAGE_NAMES, STAGES, milliseconds
from muniment.model.model import Stage
from muniment.model.names import TEXT_LIMIT, check_text
from muniment_server.api.mlflow.translate import kept
from muniment_server.api.mlflow.translate.experiments import tags as pairs
from muniment_server.api.mlflow.wire import checks
from muniment_server.api.mlflow.wire.message import SEE_DOCS
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.services.registry import Standing, Version

MODEL_VERSIONS = "mlflow.modelVersions"
"""The tag of a logged model that lists the registered versions of it."""
STAGE_LIST = ("None", "Staging", "Production", "Archived")
ACTIVE_STAGES = ("Staging", "Production")
ALIAS_LIMIT = 255
_ALIAS = re.compile(r"[\w\-]*\Z")
_OF_VERSION = re.compile(r"v\d+\Z", re.IGNORECASE)


def check_name(name: str, parameter: str = "name") -> str:
    """The name, if a registered model can have it."""
    if not name.strip():
        raise invalid(f"Missing value for required parameter '{parameter}'.")
    if "/" in name or ":" in name:
        raise invalid(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.")
    checks.check_path(name, "name")
    return check_text(name, parameter, TEXT_LIMIT)


def number(version: str) -> int:
    """The number that the text of a version is."""
    try:
        return int(version)
    except ValueError:
        raise invalid(f"Parameter 'version' must be an integer, got '{version}'.") from None


def stage(name: str) -> Stage:
    """The stage that is called so, whatever the case."""
    found = next((known for known in STAGE_LIST if known.lower() == name.lower()), None)
    if found is None:
        raise invalid(f"Invalid Model Version stage: {name}. Value must be one of {', '.join(STAGE_LIST)}.")
    return STAGES[found]


def check_alias(alias: str) -> None:
    """Check the spelling of an alias."""
    if not _ALIAS.match(alias):
        raise invalid(
            f"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )
    checks.check_length("Registered model alias name", ALIAS_LIMIT, alias)


def check_free_alias(alias: str) -> None:
    """Check that an alias means nothing by itself."""
    check_alias(alias)
    if alias.lower() == "latest":
        raise invalid("'latest' alias name (case insensitive) is reserved.")
    if _OF_VERSION.match(alias):
        raise invalid(f"Version alias name '{alias}' is reserved.")


def required(given: dict[str, Any], name: str) -> str:
    """A field that must be there, where it is asked for only after others were checked."""
    if not given.get(name):
        raise invalid(f"Missing value for required parameter '{name}'.{SEE_DOCS}")
    return str(given[name])


def no_model(name: str) -> Refusal:
    """What is answered where there is no model of a name."""
    return missing(f"Registered Model with name={name} not found")


def no_version(name: str, version: int | str) -> Refusal:
    """What is answered where there is no version of a number."""
    return missing(f"Model Version (name={name}, version={version}) not found")


def model(standing: Standing) -> dict[str, Any]:
    """A registered model."""
    made: dict[str, Any] = {
        "name": standing.model.name,
        "creation_timestamp": milliseconds(standing.model.created_at),
        "last_updated_timestamp": milliseconds(standing.changed_at),
    }
    if standing.model.description:
        made["description"] = standing.model.description
    if standing.youngest:
        made["latest_versions"] = [version(one, aliases=False) for one in standing.youngest]
    if standing.details.tags:
        made["tags"] = pairs(standing.details.tags)
    if standing.aliases:
        made["aliases"] = [{"alias": name, "version": str(meant)} for name, meant in sorted(standing.aliases.items())]
    return made


def by_stage(standing: Standing) -> Standing:
    """The same with the latest versions by the names of their stages, as a search tells them."""
    youngest = sorted(standing.youngest, key=lambda one: STAGE_NAMES[one.version.stage])
    return msgspec.structs.replace(standing, youngest=youngest)


def version(found: Version, *, aliases: bool = True) -> dict[str, Any]:
    """A version of a registered model."""
    one, said = found.version, kept.about(found.details.facets)
    made: dict[str, Any] = {
        "name": found.model.name,
        "version": str(one.version),
        "creation_timestamp": milliseconds(one.created_at),
        "last_updated_timestamp": milliseconds(found.details.changed_at),
        "current_stage": STAGE_NAMES[one.stage],
    }
    if one.description is not None:
        made["description"] = one.description
    made |= {"source": one.uri or "", "run_id": one.run or said.get("run_id", ""), "status": "READY"}
    if found.details.tags:
        made["tags"] = pairs(found.details.tags)
    made["run_link"] = said.get("run_link", "")
    if aliases and found.aliases:
        made["aliases"] = sorted(found.aliases)
    return made


def download_uri(found: Version) -> str:
    """Where the files of a version are."""
    said = kept.about(found.details.facets)
    return str(said.get("storage_location") or found.version.uri or "")


def document(*, run_id: str, run_link: str, model_id: str, storage: str, known_run: bool) -> dict[str, Any]:
    """What the facet of a version keeps of what only MLflow has a place for."""
    said = {"run_link": run_link, "model_id": model_id, "storage_location": storage}
    if not known_run:
        said["run_id"] = run_id
    return {name: value for name, value in said.items() if value}


def mention(name: str, before: str | None, version: int) -> str:
    """The tag of a logged model that lists its registered versions, with one more."""
    try:
        listed = msgspec.json.decode(before) if before else []
    except ValueError:
        listed = []
    mine = {"name": name, "version": version}
    if not isinstance(listed, list):
        listed = []
    return msgspec.json.encode(listed if mine in listed else [*listed, mine]).decode()
