"""Artifacts: files in and out, what lies in a folder."""

from __future__ import annotations

import asyncio
from typing import Any

from muniment.model.errors import Conflict, Gone, InvalidInput, MunimentError
from muniment.model.mlflow import model_id
from muniment_server.api.mlflow.routes import homes, logged, models, versions
from muniment_server.api.mlflow.routes.homes import Home
from muniment_server.api.mlflow.routes.runs import run_of
from muniment_server.api.mlflow.translate import artifacts as translate
from muniment_server.api.mlflow.translate import sources
from muniment_server.api.mlflow.wire.exchange import ARTIFACTS, Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import STRING
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.api.ranges import answer
from muniment_server.api.routing import Call, Outgoing, Sent
from muniment_server.policy.access import Permission
from muniment_server.services import artifacts, folders

_DONE = Sent(200, b"")


def safe(path: str) -> str:
    """A path that stays where it is.

    Raises:
        Refusal: it does not.
    """
    if not translate.is_safe(path):
        raise invalid("Invalid path")
    return path


def _plain(path: str) -> str:
    """A safe path without parts that say nothing."""
    return translate.plain(safe(path))


async def upload_file(call: Call, given: Given) -> Sent:
    """Take in a file of a run or a logged model."""
    del given
    home, rest = await homes.of_path(call, safe(call.path["path"]))
    await _take(call, home, rest)
    return _DONE


async def upload_run_file(call: Call, given: Given) -> Sent:
    """Take in a file of a run, from a browser."""
    if not (given.get("run_id") or given.get("run_uuid")):
        raise invalid("Request must specify run_id or run_uuid.")
    if not given.get("path"):
        raise invalid("Request must specify path.")
    if call.headers.get("content-length") == "0":
        raise invalid("Request must specify data.")
    home = await homes.of_record(call, run_of(given))
    home.is_here()
    await _take(call, home, safe(given["path"]))
    return _DONE


async def _take(call: Call, home: Home, path: str) -> None:
    """Take in the bytes of a request."""
    await check_free(call, home, path)
    where = (call.workspace, call.scope, project_of(call))
    media = translate.media_of(path.rpartition("/")[2])
    received = await artifacts.receive(*where, call.body.chunks, media_type=media)
    try:
        await artifacts.keep_at(*where, home.record, path, received)
    except Conflict as error:
        raise not_kept(home, path, error) from None


async def check_free(call: Call, home: Home, path: str) -> None:
    """Check that a file may be there, before its bytes are taken in, so that what must be refused is refused early.

    Raises:
        Refusal: it may not.
    """
    if not path:
        raise invalid("Invalid path")
    try:
        await asyncio.to_thread(folders.check_free, call.workspace, call.scope, project_of(call), home.record, path)
    except Conflict as error:
        raise (home.is_deleted() if error.field == "record" else invalid(error.message)) from None


def not_kept(home: Home, path: str, error: Conflict) -> Refusal:
    """What is answered if bytes that are here cannot be kept at a path."""
    if error.field == "record":
        return home.is_deleted()
    return Refusal(
        "RESOURCE_CONFLICT",
        f"Logged model {model_id(home.record)} has another file at '{path}', and a model's files never change; log the "
        "model again.",
    )


async def download_file(call: Call, given: Given) -> Outgoing:
    """The bytes of a file of a run or a logged model, or a range of them. A folder has none."""
    del given
    path = call.path["path"]
    home, rest = await homes.of_path(call, _plain(path))
    return await _poured(call, home.record, rest, path)


async def _poured(call: Call, record: str, rest: str, path: str) -> Outgoing:
    try:
        if not rest:
            raise InvalidInput("a folder")
        found = await asyncio.to_thread(artifacts.at_path, call.workspace, call.scope, project_of(call), record, rest)
    except Gone:
        raise
    except MunimentError:
        raise missing(f"No such artifact: '{path}'") from None
    name = rest.rpartition("/")[2]
    return answer(call.workspace, found, call.headers, name, translate.media_of(name))


async def delete_files(call: Call, given: Given) -> dict[str, Any]:
    """Take away a file of a run, or a folder with all that is in it; the past keeps them."""
    del given
    home, rest = await homes.of_path(call, _plain(call.path["path"]))
    count = folders.AT_ONCE
    try:
        while count == folders.AT_ONCE:
            count = await call.commit(folders.clear(call.workspace, call.scope, project_of(call), home.record, rest))
    except Conflict as error:
        if error.field == "record":
            raise home.is_deleted() from None
        raise Refusal(
            "RESOURCE_CONFLICT",
            f"The files of logged model {model_id(home.record)} never change: none can be deleted; delete the model.",
        ) from None
    return {}


async def list_folder(call: Call, given: Given) -> dict[str, Any]:
    """What lies in a folder of a run or a logged model."""
    path = _plain(given.get("path", ""))
    above = translate.is_above(path)
    home, rest = await homes.of_path(call, f"{path}/artifacts" if above else path)
    found = await _entries(call, home.record, rest)
    if above and found:
        return {"files": [{"path": "artifacts", "is_dir": True}]}
    return translate.files(found)


async def _entries(call: Call, record: str, folder: str) -> list[folders.Entry]:
    return await asyncio.to_thread(folders.entries, call.workspace, call.scope, project_of(call), record, folder)


async def list_artifacts(call: Call, given: Given) -> dict[str, Any]:
    """What lies in a folder of a run, by paths from the run's root."""
    path = safe(given.get("path", ""))
    home = await homes.of_record(call, run_of(given))
    root = home.is_here()
    found = await _entries(call, home.record, translate.plain(path))
    return {"root_uri": root, **translate.files(found, f"{path.rstrip('/')}/" if path else "")}


async def get_run_file(call: Call, given: Given) -> Outgoing:
    """The bytes of a file of a run, or a range of them, for a browser."""
    if "path" not in given:
        raise invalid("Missing value for required parameter 'path'.")
    if not (given.get("run_id") or given.get("run_uuid")):
        raise missing("Run with id=None not found")
    home = await homes.of_record(call, run_of(given))
    path = _plain(given["path"])
    return await _file(call, home.record, path, f"{translate.inside(home.is_here())}/{path}")


async def _file(call: Call, record: str, rest: str, shown: str) -> Outgoing:
    """The bytes of what must be a file."""
    if await _entries(call, record, rest):
        raise invalid(f"Artifact path refers to a directory, not a file: '{shown}'")
    return await _poured(call, record, rest, shown)


async def get_version_file(call: Call, given: Given) -> Outgoing:
    """The bytes of a file of a registered version, or a range of them, for a browser."""
    if "path" not in given:
        raise invalid("Missing value for required parameter 'path'.")
    path = _plain(given["path"])
    uri = (await versions.get_model_version_download_uri(call, given))["artifact_uri"]
    home, folder = await _of_version(call, uri)
    rest = f"{folder}/{path}".strip("/")
    return await _file(call, home.record, rest, f"{translate.inside(home.addresses[0])}/{rest}")


async def _of_version(call: Call, uri: str) -> tuple[Home, str]:
    """(the home, the folder in it) of the files of a registered version."""
    here = translate.inside(uri)
    if here is not None:
        return await homes.of_path(call, here)
    scheme = sources.scheme_of(uri)
    made = None
    if scheme == "runs":
        made = await logged.of_run(call, sources.run_of(uri), sources.path_of(uri))
        if made is None:
            return await homes.of_record(call, run_of({"run_id": sources.run_of(uri)})), sources.path_of(uri)
    elif scheme == "models":
        made = await models.find(call, sources.of_model(uri).model_id or "")
    if made is None:
        raise invalid(f"The files of this version lie at {uri}, which this server does not read.")
    return await homes.of_record(call, made.version.id, of_model=True), ""


async def get_logged_model_file(call: Call, given: Given) -> Outgoing:
    """The bytes of a file of a logged model, or a range of them, for a browser."""
    if not given.get("artifact_file_path"):
        raise Refusal("BAD_REQUEST", 'Request must include the "artifact_file_path" query parameter.')
    path = _plain(given["artifact_file_path"])
    found = await models.read(call, call.path["model_id"])
    home = await homes.of_record(call, found.version.id, of_model=True)
    return await _file(call, home.record, path, f"{translate.inside(home.is_here())}/{path}")


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
