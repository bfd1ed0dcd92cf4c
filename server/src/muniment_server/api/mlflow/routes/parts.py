"""Files that are sent in parts: begun, sent part by part to this server, and completed or given up."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from muniment.model.errors import Conflict, KeyReused
from muniment_server.api.mlflow.routes import homes
from muniment_server.api.mlflow.routes.artifacts import check_free, not_kept, safe
from muniment_server.api.mlflow.translate import artifacts as translate
from muniment_server.api.mlflow.wire.addresses import address_of
from muniment_server.api.mlflow.wire.exchange import ARTIFACTS, WORKSPACE_HEADER, Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import INT32, INT64, STRING, many
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid
from muniment_server.api.routing import Call, Sent
from muniment_server.policy.access import Permission
from muniment_server.services import parts

_PRIVATE = {"cache-control": "no-store"}
"""Of answers that hold what authorizes."""
_PART = f"{ARTIFACTS[0]}/mpu/part"


def _target(call: Call, given: Given) -> str:
    """The file's path: the folder that the address names, and the name of what the client reads, wherever that is."""
    name = re.split(r"[/\\]", given["path"])[-1]
    if not name:
        raise invalid("Invalid path")
    return safe(f"{safe(call.path['path']).rstrip('/')}/{name}")


async def create_multipart_upload(call: Call, given: Given) -> Sent:
    """Begin to take in a file in parts: where to send each of them."""
    home, rest = await homes.of_path(call, _target(call, given))
    await check_free(call, home, rest)
    address = address_of(call.headers)
    if address is None:  # in these words, on which clients send the file in one
        raise Refusal("NOT_IMPLEMENTED", "Multipart upload is not supported for the current artifact repository")
    count = given.get("num_parts", 0)
    where = (call.workspace, call.scope, project_of(call))
    upload = await asyncio.to_thread(parts.begin, *where, home.record, rest, count)
    named = "project" in call.path or WORKSPACE_HEADER in call.headers
    root = f"{address}/p/{quote(project_of(call), safe='')}{_PART}" if named else f"{address}{_PART}"
    # clients send the parts without what authorizes them otherwise; whoever asks gets their own back
    own = {"Authorization": call.headers["authorization"]} if "authorization" in call.headers else {}
    credentials = [
        {
            "url": f"{root}?{urlencode({'upload_id': upload, 'part_number': number})}",
            "part_number": number,
            "headers": own,
        }
        for number in range(1, count + 1)
    ]
    body = msgspec.json.encode({"upload_id": upload, "credentials": credentials})
    return Sent(200, body, headers=_PRIVATE)


async def upload_part(call: Call, given: Given) -> Sent:
    """Take in a part of a file."""
    where = (call.workspace, call.scope, project_of(call))
    tag = await parts.take(*where, given["upload_id"], given["part_number"], call.body.chunks)
    return Sent(200, b"", headers={"etag": f'"{tag}"'})


async def complete_multipart_upload(call: Call, given: Given) -> dict[str, Any]:
    """Put the parts of a file together."""
    home, rest = await homes.of_path(call, _target(call, given))
    tags = [(part.get("part_number", 0), part.get("etag", "")) for part in given.get("parts", [])]
    media = translate.media_of(rest.rpartition("/")[2])
    where = (call.workspace, call.scope, project_of(call))
    await check_free(call, home, rest)
    try:
        await parts.complete(*where, home.record, rest, given.get("upload_id", ""), tags, media)
    except KeyReused as error:
        raise invalid(error.message) from None
    except Conflict as error:
        raise not_kept(home, rest, error) from None
    return {}


async def abort_multipart_upload(call: Call, given: Given) -> dict[str, Any]:
    """Give up a file that is sent in parts; its run may be gone."""
    spot = translate.spot(_target(call, given))
    if spot is None:
        raise invalid("upload_id is of another path")
    where = (call.workspace, call.scope, project_of(call))
    await parts.abort(*where, spot.record, spot.rest, given.get("upload_id", ""))
    return {}


_PATH = ("path", ("required", "string"))

ENDPOINTS = [
    Endpoint(
        method="POST", path="/mpu/create/{path:path}", handler=create_multipart_upload, permission=Permission.WRITE,
        message={"path": STRING, "num_parts": INT64}, checks=(_PATH, ("num_parts", ("integer",))), prefixes=ARTIFACTS,
    ),
    Endpoint(
        method="PUT", path="/mpu/part", handler=upload_part, permission=Permission.WRITE,
        message={"upload_id": STRING, "part_number": INT32},
        checks=(("upload_id", ("required",)), ("part_number", ("required",))), prefixes=ARTIFACTS, streams=True,
    ),
    Endpoint(
        method="POST", path="/mpu/complete/{path:path}", handler=complete_multipart_upload,
        permission=Permission.WRITE, checks=(_PATH, ("upload_id", ("string",)), ("parts", ("required",))),
        message={
            "path": STRING, "upload_id": STRING, "parts": many(part_number=INT64, etag=STRING, url=STRING),
        },
        prefixes=ARTIFACTS,
    ),
    Endpoint(
        method="POST", path="/mpu/abort/{path:path}", handler=abort_multipart_upload, permission=Permission.WRITE,
        message={"path": STRING, "upload_id": STRING}, checks=(_PATH, ("upload_id", ("string",))), prefixes=ARTIFACTS,
    ),
]  # fmt: skip
