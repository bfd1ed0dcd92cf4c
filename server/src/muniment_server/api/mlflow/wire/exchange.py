"""Endpoints: from a declaration to routes that read a message, call a handler, and answer in MLflow's way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from muniment.model.errors import MunimentError
from muniment_server.api.mlflow.wire.message import Check, Message, document_of, of_query, read
from muniment_server.api.mlflow.wire.refusals import Refusal, of_error, refuse, sent
from muniment_server.api.routing import Call, Incoming, Method, Outgoing, Protocol, Route, Sent
from muniment_server.policy.access import Permission
from muniment_server.services.workspace import DEFAULT_PROJECT

JSON = "application/json"
WORKSPACE_HEADER = "x-mlflow-workspace"
"""Names the project, where the path does not."""

PROTOCOL = Protocol(
    ("/api/2.0/mlflow", "/api/3.0/mlflow", "/ajax-api/", "/get-artifact", "/model-versions/get-artifact", "/graphql"),
    refuse,
)
TRACKING = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
"""Where most paths begin: for programs, and for browsers."""
TRACKING_3 = ("/api/3.0/mlflow", "/ajax-api/3.0/mlflow")
ARTIFACTS = ("/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts")

Given = dict[str, Any]
"""The fields of a request's message that are present."""
Handler = Callable[[Call, Given], Awaitable[Any]]
"""Answers with what is encoded as JSON, or with an answer that is ready."""


def project_of(call: Call) -> str:
    """The slug of the project that a request is about."""
    return call.path.get("project") or call.headers.get(WORKSPACE_HEADER) or DEFAULT_PROJECT


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the protocol.

    Attributes:
        method: of HTTP.
        path: behind each of the prefixes; begins with a slash.
        handler: carries it out. Its name is the operation's.
        permission: what it takes.
        message: the fields of the request.
        checks: what is checked of them, in order.
        prefixes: where the path stands.
        streams: whether the body is the bytes of a file, taken as they come; the message is in the query then.
        plain: what most requests are, and their handler; it answers None to leave one to the other handler.
    """

    method: Method
    path: str
    handler: Handler
    permission: Permission
    message: Message = {}
    checks: tuple[Check, ...] = ()
    prefixes: tuple[str, ...] = TRACKING
    streams: bool = False
    plain: tuple[type[msgspec.Struct], Callable[[Call, Any], Awaitable[Any]]] | None = None

    def routes(self) -> list[Route]:
        """The routes of this operation, one for each prefix."""
        handler = _adapted(self)
        return [
            Route(
                method=self.method, path=f"{prefix}{self.path}", handler=handler, permission=self.permission,
                body=Incoming if self.streams else bytes, query=list, answer=dict, protocol=PROTOCOL,
                twin=at > 0,
            )
            for at, prefix in enumerate(self.prefixes)
        ]  # fmt: skip


def _adapted(endpoint: Endpoint) -> Callable[[Call], Awaitable[Sent | Outgoing]]:
    decoder = None if endpoint.plain is None else msgspec.json.Decoder(endpoint.plain[0])

    async def handle(call: Call) -> Sent | Outgoing:
        try:
            if endpoint.permission is not Permission.PUBLIC:
                call.workspace.project(call.scope, project_of(call), endpoint.permission)
            answer = None
            if endpoint.plain is not None and decoder is not None and call.headers.get("content-type") == JSON:
                plain = _decoded(decoder, call.body)
                answer = None if plain is None else await endpoint.plain[1](call, plain)
            if answer is None:
                answer = await endpoint.handler(call, _given(endpoint, call))
        except Refusal as refusal:
            return sent(refusal)
        except MunimentError as error:
            return sent(of_error(error))
        return answer if isinstance(answer, Sent | Outgoing) else Sent(200, msgspec.json.encode(answer))

    handle.__name__ = f"mlflow_{endpoint.handler.__name__}"
    handle.__doc__ = endpoint.handler.__doc__
    handle.__module__ = endpoint.handler.__module__
    return handle


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError):
        return None


def _given(endpoint: Endpoint, call: Call) -> Given:
    bare = endpoint.method in {"GET", "DELETE"} and not call.body  # clients send such requests without a media type
    if (call.query and endpoint.method == "GET") or bare or endpoint.streams or not endpoint.message:
        document = of_query(call.query, endpoint.message)
    else:
        document = document_of(call.body, call.headers.get("content-type", ""))
    return read(document, endpoint.message, endpoint.checks)
