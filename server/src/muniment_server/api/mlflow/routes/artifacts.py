"""Artifacts: files in and out, what lies in a folder."""

from __future__ import annotations

import asyncio
from typing import Any

from muniment.model.errors import Conflict, Gone, InvalidInput, MunimentError, NotFound
from muniment.model.mlflow import FACET, FAMILY_TAG, model_id
from muniment.model.model import ModelVersion
from muniment.model.run import Run
from muniment_server.api.mlflow.routes import logged, models, numbers, versions
from muniment_server.api.mlflow.routes.runs import run_of
from muniment_server.api.mlflow.translate import artifacts as translate
from muniment_server.api.mlflow.translate import runs as spelling
from muniment_server.api.mlflow.translate import sources
from muniment_server.api.mlflow.translate.artifacts import Spot
from muniment_server.api.mlflow.wire.exchange import ARTIFACTS, Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import STRING
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.api.ranges import answer
from muniment_server.api.routing import Call, Outgoing, Sent
from muniment_server.policy.access import Permission
from muniment_server.services import artifacts, details, folders, records

_LAYOUT = (
    "this server keeps the artifacts of runs and logged models: {experiment id}/{run id}/artifacts/… and "
    "{experiment id}/models/{model id}/artifacts/…"
)
_DONE = Sent(200, b"")


def _safe(path: str) -> str:
    if not translate.is_safe(path):
        raise invalid("Invalid path")
    return path


async def _spot(call: Call, path: str) -> tuple[Spot, Run | ModelVersion]:
    """The record whose artifact a path is, and where it is among them.

    Raises:
        Refusal: there is none, or the path is not one by which this server gives it out.
    """
    spot = translate.spot(_safe(path))
    if spot is None:
        raise missing(f"No such artifact: '{path}'; {_LAYOUT}")
    record = await _record(call, spot.record, of_model=spot.of_model)
    if record is None:
        what = f"Logged model with ID '{model_id(spot.record)}'" if spot.of_model else f"Run with id={spot.record}"
        raise missing(f"{what} not found")
    if spot.root not in {translate.inside(uri) for uri in await _addresses(call, record)}:
        what = f"logged model {model_id(spot.record)}" if spot.of_model else f"run {spot.record}"
        raise missing(f"No such artifact: '{path}'; {what} is not of experiment {spot.before}")
    return spot, record


async def _record(call: Call, record: str, *, of_model: bool) -> Run | ModelVersion | None:
    try:
        found = await asyncio.to_thread(folders.holder, call.workspace, call.scope, project_of(call), record)
    except (NotFound, Gone, InvalidInput) as error:
        if isinstance(error, NotFound) and error.field == "project":
            raise
        return None
    return found if isinstance(found, ModelVersion if of_model else Run) else None


async def _addresses(call: Call, record: Run | ModelVersion) -> list[str]:
    """Where the artifacts of a run or a logged model are: first what clients are told."""
    (about,) = await asyncio.to_thread(details.of, call.workspace, call.scope, project_of(call), [record], FACET)
    said = about.facets.get(FACET, {}).get("artifact_uri")
    experiment = record.experiment if isinstance(record, Run) else await _experiment(call, record)
    if experiment is None:
        return []
    place = (await numbers.of_ids(call, {experiment}))[experiment]
    if isinstance(record, Run):
        derived = spelling.artifact_uri(place, record.id)
    else:
        derived = f"{place.artifacts.rstrip('/')}/models/{model_id(record.id)}/artifacts"
    return [said, derived] if isinstance(said, str) and said else [derived]


async def _experiment(call: Call, version: ModelVersion) -> str | None:
    """The id of the experiment of a logged model; None if it is a version that is none."""
    about = await asyncio.to_thread(records.tags_of, call.workspace, call.scope, project_of(call), version.model)
    return about.tags.get(FAMILY_TAG)


async def _at(call: Call, path: str) -> tuple[Spot, Run | ModelVersion]:
    """The same for a path of which parts that say nothing are left out."""
    return await _spot(call, translate.plain(_safe(path)))


async def upload_file(call: Call, given: Given) -> Sent:
    """Take in a file of a run or a logged model."""
    del given
    path = call.path["path"]
    spot, record = await _spot(call, path)
    await _take(call, spot.rest, record)
    return _DONE


async def upload_run_file(call: Call, given: Given) -> Sent:
    """Take in a file of a run, from a browser."""
    if not (given.get("run_id") or given.get("run_uuid")):
        raise invalid("Request must specify run_id or run_uuid.")
    if not given.get("path"):
        raise invalid("Request must specify path.")
    if call.headers.get("content-length") == "0":
        raise invalid("Request must specify data.")
    record = await _run(call, run_of(given))
    await _kept_here(call, record)
    await _take(call, _safe(given["path"]), record)
    return _DONE


async def _take(call: Call, path: str, record: Run | ModelVersion) -> None:
    """Take in the bytes of a request."""
    if not path:
        raise invalid("Invalid path")
    project = project_of(call)
    if record.lifecycle == "deleted":
        raise _is_deleted(record)
    try:  # before the bytes are taken in, so that what must be refused is refused early
        await asyncio.to_thread(folders.check_free, call.workspace, call.scope, project, record.id, path)
    except Conflict as error:
        raise invalid(error.message) from None
    received = await artifacts.receive(
        call.workspace, call.scope, project, call.body.chunks, media_type=translate.media_of(path.rpartition("/")[2])
    )
    try:
        await artifacts.keep_at(call.workspace, call.scope, project, record.id, path, received)
    except Conflict as error:
        if isinstance(record, ModelVersion):
            raise Refusal(
                "RESOURCE_CONFLICT",
                f"Logged model {model_id(record.id)} has another file at '{path}', and a model's files never change; "
                "log the model again.",
            ) from None
        raise invalid(error.message) from None


def _is_deleted(record: Run | ModelVersion) -> Refusal:
    what = f"The run {record.id}" if isinstance(record, Run) else f"The logged model {model_id(record.id)}"
    return invalid(f"{what} must be in the 'active' state. Current state is deleted.")


async def download_file(call: Call, given: Given) -> Outgoing:
    """The bytes of a file of a run or a logged model, or a range of them. A folder has none."""
    del given
    path = call.path["path"]
    spot, record = await _at(call, path)
    return await _poured(call, record, spot.rest, path)


async def _poured(call: Call, record: Run | ModelVersion, rest: str, path: str) -> Outgoing:
    try:
        if not rest:
            raise InvalidInput("a folder")
        found = await asyncio.to_thread(
            artifacts.at_path, call.workspace, call.scope, project_of(call), record.id, rest
        )
    except Gone:
        raise
    except MunimentError:
        raise missing(f"No such artifact: '{path}'") from None
    name = rest.rpartition("/")[2]
    return answer(call.workspace, found, call.headers, name, translate.media_of(name))


async def delete_files(call: Call, given: Given) -> dict[str, Any]:
    """Take away a file of a run, or a folder with all that is in it; the past keeps them."""
    del given
    spot, record = await _at(call, call.path["path"])
    if record.lifecycle == "deleted":
        raise _is_deleted(record)
    try:
        while await call.commit(
            folders.clear(call.workspace, call.scope, project_of(call), record.id, spot.rest)
        ) == folders.AT_ONCE:  # fmt: skip
            pass
    except Conflict:
        raise Refusal(
            "RESOURCE_CONFLICT",
            f"The files of logged model {model_id(record.id)} never change, so none can be deleted; delete the model.",
        ) from None
    return {}


async def list_folder(call: Call, given: Given) -> dict[str, Any]:
    """What lies in a folder of a run or a logged model."""
    path = translate.plain(_safe(given.get("path", "")))
    if translate.is_above(path):
        spot, record = await _spot(call, f"{path}/artifacts")
        return {"files": [{"path": "artifacts", "is_dir": True}]} if await _entries(call, record, spot.rest) else {}
    spot, record = await _at(call, path)
    return translate.files(await _entries(call, record, spot.rest))


async def _entries(call: Call, record: Run | ModelVersion, folder: str) -> list[folders.Entry]:
    return await asyncio.to_thread(
        folders.entries, call.workspace, call.scope, project_of(call), record.id, folder
    )  # fmt: skip


async def list_artifacts(call: Call, given: Given) -> dict[str, Any]:
    """What lies in a folder of a run, by paths from the run's root."""
    path = _safe(given.get("path", ""))
    record = await _run(call, run_of(given))
    root = await _kept_here(call, record)
    folder = translate.plain(path)
    found = translate.files(await _entries(call, record, folder), f"{path.rstrip('/')}/" if path else "")
    return {"root_uri": root, **found}


async def _run(call: Call, run: str) -> Run:
    record = await _record(call, run, of_model=False)
    if not isinstance(record, Run):
        raise missing(f"Run with id={run} not found")
    return record


async def _kept_here(call: Call, run: Run) -> str:
    """Where a run's artifacts are, if they are here.

    Raises:
        Refusal: they lie elsewhere, where clients go themselves.
    """
    addresses = await _addresses(call, run)
    if translate.inside(addresses[0]) is None:
        raise invalid(
            f"The artifacts of run {run.id} lie at {addresses[0]}, which this server does not read; clients with "
            "access to that place list and read them there."
        )
    return addresses[0]


async def get_run_file(call: Call, given: Given) -> Outgoing:
    """The bytes of a file of a run, or a range of them, for a browser."""
    if "path" not in given:
        raise invalid("Missing value for required parameter 'path'.")
    if not (given.get("run_id") or given.get("run_uuid")):
        raise missing("Run with id=None not found")
    record = await _run(call, run_of(given))
    rest = translate.plain(_safe(given["path"]))
    shown = f"{translate.inside(await _kept_here(call, record))}/{rest}"
    if await _entries(call, record, rest):
        raise invalid(f"Artifact path refers to a directory, not a file: '{shown}'")
    return await _poured(call, record, rest, shown)


async def get_version_file(call: Call, given: Given) -> Outgoing:
    """The bytes of a file of a registered version, or a range of them, for a browser."""
    if "path" not in given:
        raise invalid("Missing value for required parameter 'path'.")
    path = translate.plain(_safe(given["path"]))
    uri = (await versions.get_model_version_download_uri(call, given))["artifact_uri"]
    here, record, folder = translate.inside(uri), None, ""
    if here is not None:
        spot, record = await _at(call, here)
        folder = spot.rest
    elif sources.scheme_of(uri) == "runs":
        run, folder = sources.run_of(uri), sources.path_of(uri)
        made = await logged.of_run(call, run, folder)
        record, folder = (await _run(call, run), folder) if made is None else (made.version, "")
    elif sources.scheme_of(uri) == "models":
        made = await models.find(call, sources.of_model(uri).model_id or "")
        record = None if made is None else made.version
    if record is None:
        raise invalid(f"The files of this version lie at {uri}, which this server does not read.")
    rest = f"{folder}/{path}".strip("/")
    shown = f"{here}/{path}" if here is not None else path
    if await _entries(call, record, rest):
        raise invalid(f"Artifact path refers to a directory, not a file: '{shown}'")
    return await _poured(call, record, rest, shown)


async def get_logged_model_file(call: Call, given: Given) -> Outgoing:
    """The bytes of a file of a logged model, or a range of them, for a browser."""
    if not given.get("artifact_file_path"):
        raise Refusal("BAD_REQUEST", 'Request must include the "artifact_file_path" query parameter.')
    rest = translate.plain(_safe(given["artifact_file_path"]))
    found = await models.read(call, call.path["model_id"])
    shown = f"{translate.inside(await models.location(call, found))}/{rest}"
    if await _entries(call, found.version, rest):
        raise invalid(f"Artifact path refers to a directory, not a file: '{shown}'")
    return await _poured(call, found.version, rest, shown)


_FILE = "/artifacts/{path:path}"
_OF_RUN = {"run_id": STRING, "run_uuid": STRING, "path": STRING}

ENDPOINTS = [
    Endpoint(
        method="GET", path="/artifacts", handler=list_folder, permission=Permission.READ, message={"path": STRING},
        prefixes=ARTIFACTS,
    ),
    Endpoint(
        method="GET", path=_FILE, handler=download_file, permission=Permission.READ, prefixes=ARTIFACTS,
    ),
    Endpoint(
        method="PUT", path=_FILE, handler=upload_file, permission=Permission.WRITE, prefixes=ARTIFACTS, streams=True,
    ),
    Endpoint(
        method="DELETE", path=_FILE, handler=delete_files, permission=Permission.WRITE, prefixes=ARTIFACTS,
    ),
    Endpoint(
        method="GET", path="/artifacts/list", handler=list_artifacts, permission=Permission.READ,
        message={**_OF_RUN, "page_token": STRING}, checks=(("run_id", ("required", "string")),),
    ),
    Endpoint(
        method="GET", path="/get-artifact", handler=get_run_file, permission=Permission.READ, message=_OF_RUN,
        prefixes=("",),
    ),
    Endpoint(
        method="GET", path="/model-versions/get-artifact", handler=get_version_file, permission=Permission.READ,
        message={"name": STRING, "version": STRING, "path": STRING}, prefixes=("",),
    ),
    Endpoint(
        method="GET", path="/logged-models/{model_id}/artifacts/files", handler=get_logged_model_file,
        permission=Permission.READ, message={"artifact_file_path": STRING}, prefixes=("/ajax-api/2.0/mlflow",),
    ),
    Endpoint(
        method="POST", path="/upload-artifact", handler=upload_run_file, permission=Permission.WRITE, message=_OF_RUN,
        prefixes=("/ajax-api/2.0/mlflow",), streams=True,
    ),
]  # fmt: skip
