"""Errors as RFC 9457 problem details, the one error shape of our own API."""

from __future__ import annotations

import msgspec

from muniment.model import errors

STATUS: dict[type[errors.MunimentError], int] = {
    errors.MunimentError: 500,
    errors.InvalidInput: 400,
    errors.TooLarge: 413,
    errors.UnsatisfiableRange: 416,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.KeyReused: 422,
    errors.Gone: 410,
    errors.Denied: 403,
    errors.Unavailable: 503,
    errors.StoreFull: 507,
    errors.SchemaMismatch: 503,
}
"""The status of each class of error; a test asserts that none is missing."""

RETRY_SECONDS = 1
"""What `Retry-After` says with 503."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None


def problem(error: errors.MunimentError, status: int | None = None) -> Problem:
    """The problem details of an error."""
    title = (type(error).__doc__ or "").strip().splitlines()[0].rstrip(".")
    return Problem(
        type=f"urn:muniment:error:{error.code}",
        title=title,
        status=status or STATUS[type(error)],
        detail=error.message,
        code=error.code,
        field=error.field,
    )
