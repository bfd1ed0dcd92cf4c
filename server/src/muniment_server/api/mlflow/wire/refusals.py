"""Errors as MLflow's clients know them: ``{"error_code", "message"}``."""

from __future__ import annotations

import msgspec

from muniment.model import errors
from muniment_server.api.mlflow.wire import elsewhere
from muniment_server.api.problems import RETRY_SECONDS, STATUS
from muniment_server.api.routing import Sent

STATUSES = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_CONFLICT": 409,
    "INTERNAL_ERROR": 500,
    "INVALID_STATE": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}
"""The status of each code."""
_CODES: dict[type[errors.MunimentError], str] = {
    errors.InvalidInput: "INVALID_PARAMETER_VALUE",
    errors.NotFound: "RESOURCE_DOES_NOT_EXIST",
    errors.Gone: "RESOURCE_DOES_NOT_EXIST",
    errors.Conflict: "RESOURCE_CONFLICT",
    errors.Denied: "PERMISSION_DENIED",
    errors.StoreFull: "INTERNAL_ERROR",
    errors.Unavailable: "TEMPORARILY_UNAVAILABLE",
    errors.MunimentError: "INTERNAL_ERROR",
}


class Refusal(Exception):
    """What MLflow's server would answer to a request that it refuses."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        self.code = code
        self.message = message
        self.status = STATUSES[code] if status is None else status
        super().__init__(message)


def invalid(message: str) -> Refusal:
    """A value that cannot be accepted."""
    return Refusal("INVALID_PARAMETER_VALUE", message)


def missing(message: str) -> Refusal:
    """Something that does not exist."""
    return Refusal("RESOURCE_DOES_NOT_EXIST", message)


def of_error(error: errors.MunimentError) -> Refusal:
    """The refusal that an error of our own becomes."""
    code = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    if isinstance(error, errors.NotFound) and error.field in {"path", "method"}:
        code = "ENDPOINT_NOT_FOUND"
    kept = isinstance(
        error, errors.StoreFull | errors.TooLarge | errors.UnsatisfiableRange
    )  # statuses that clients do not try again
    return Refusal(code, error.message, STATUS[type(error)] if kept else None)


def sent(refusal: Refusal) -> Sent:
    """A refusal as it is sent."""
    body = msgspec.json.encode({"error_code": refusal.code, "message": refusal.message})
    headers = {"retry-after": str(RETRY_SECONDS)} if refusal.status == STATUSES["TEMPORARILY_UNAVAILABLE"] else {}
    return Sent(refusal.status, body, headers=headers)


def refuse(error: errors.MunimentError, path: str) -> Sent:
    """An error of our own as MLflow's clients know it; `path` is the request's."""
    refusal = of_error(error)
    if refusal.code == "ENDPOINT_NOT_FOUND":
        other = elsewhere.told(path)
        if other is not None:
            return sent(Refusal("NOT_IMPLEMENTED", other))
    return sent(refusal)
