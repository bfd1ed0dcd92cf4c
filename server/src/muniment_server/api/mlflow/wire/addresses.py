"""The address by which a client has reached this server, for answers that hold addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOST = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?\Z", re.ASCII)
_PREFIX = re.compile(r"(?:/[\w.~-]+)*/?\Z", re.ASCII)
_PROXIES = ("x-forwarded-for", "x-real-ip", "forwarded", "via")
"""Headers by which a proxy shows itself."""


def address_of(headers: Mapping[str, str]) -> str | None:
    """Scheme, host and what a proxy has put before our paths, without a slash at its end.

    What a proxy says of them is believed: the address goes to nobody but who sent the request. None if it is not
    known, because a proxy shows itself and does not say how it was reached (`X-Forwarded-Proto`).

    Args:
        headers: of the request, by lower-case name.
    """
    scheme = _first(headers, "x-forwarded-proto")
    if not scheme and any(name in headers for name in _PROXIES):
        return None
    host = _first(headers, "x-forwarded-host") or headers.get("host", "")
    prefix = _first(headers, "x-forwarded-prefix")
    scheme = scheme.lower() or "http"
    if scheme not in {"http", "https"} or not _HOST.match(host) or not _PREFIX.match(prefix):
        return None
    return f"{scheme}://{host}{prefix.rstrip('/')}"


def _first(headers: Mapping[str, str], name: str) -> str:
    """What the proxy that is nearest to the client says."""
    return headers.get(name, "").partition(",")[0].strip()
