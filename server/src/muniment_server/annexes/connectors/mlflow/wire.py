"""Requests to an MLflow server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import urllib3

from muniment.model.errors import Conflict, Denied, InvalidInput, MunimentError, NotFound, Unavailable

CONNECTIONS = 8
"""Requests at a time."""
_SECONDS = 120.0
_PIECE = 1 << 20
_ERRORS: dict[int, type[MunimentError]] = {401: Denied, 403: Denied, 404: NotFound, 409: Conflict}
_API = "/api/2.0/mlflow/"


class Api:
    """One MLflow server, with credentials as MLflow's own client takes them: from the URL or its variables.

    Args:
        url: of the server.
        workspace: which of its workspaces.
    """

    def __init__(self, url: str, workspace: str = "default") -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidInput(f"an MLflow server is http://HOST:PORT, not {url.rpartition('@')[2][:120]!r}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        """Without credentials."""
        self.identity = self.url + ("" if workspace == "default" else f"#{workspace}")
        """What tells it from other servers."""
        self._headers = {"Accept": "application/json", **_credentials(parts.username, parts.password)}
        if workspace != "default":
            self._headers["X-MLFLOW-WORKSPACE"] = workspace
        self._pool = urllib3.PoolManager(
            maxsize=CONNECTIONS, block=True, timeout=urllib3.Timeout(connect=10.0, read=_SECONDS)
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get(self, path: str, /, **query: Any) -> dict[str, Any]:
        """Ask for something."""
        given = urlencode({name: value for name, value in query.items() if value is not None})
        return self._decoded(self._asked("GET", f"{_API}{path}?{given}", again=True))

    def search(self, path: str, /, **body: Any) -> dict[str, Any]:
        """Ask for something with a body; it is asked again if the server fails."""
        return self._decoded(self._asked("POST", _API + path, body, again=True))

    def send(self, path: str, body: Mapping[str, Any], method: str = "POST") -> dict[str, Any]:
        """Change something."""
        return self._decoded(self._asked(method, _API + path, body))

    def pages(self, path: str, name: str, /, **body: Any) -> Iterator[list[Any]]:
        """The pages of a search with a body.

        Args:
            path: of the search.
            name: under which a page lists what was found.
            **body: what is asked.
        """
        token = None
        while True:
            page = self.search(path, **body, **({"page_token": token} if token else {}))
            yield page.get(name, [])
            token = page.get("next_page_token")
            if not token:
                return

    def got_pages(self, path: str, name: str, /, **query: Any) -> Iterator[list[Any]]:
        """The pages of a search without a body, as `pages`."""
        token = None
        while True:
            page = self.get(path, **query, page_token=token)
            yield page.get(name, [])
            token = page.get("next_page_token")
            if not token:
                return

    def listed(self, target: str) -> dict[str, Any]:
        """What a path from the root of the server answers."""
        return self._decoded(self._asked("GET", target, again=True))

    def download(self, target: str) -> Iterator[bytes]:
        """The bytes at a path from the root of the server, in pieces."""
        answer = self._asked("GET", target, again=True, stream=True)
        try:
            yield from answer.stream(_PIECE)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self.url} was lost while it sent {target[:100]}: {error}") from None
        finally:
            answer.release_conn()

    def upload(self, target: str, pieces: Iterator[bytes]) -> None:
        """Put bytes at a path from the root of the server."""
        headers = {**self._headers, "Content-Type": "application/octet-stream"}
        self._checked("PUT", target, self._carried("PUT", target, headers, pieces, retries=False))

    def _asked(
        self, method: str, target: str, body: Mapping[str, Any] | None = None, *, again: bool = False,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        headers, content = dict(self._headers), None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        retries = urllib3.Retry(
            total=5, backoff_factor=0.5, allowed_methods=None, raise_on_status=False, redirect=0,
            status_forcelist=(429, 500, 502, 503, 504) if again else (429, 503), read=5 if again else 0,
            other=0 if not again else 5,
        )  # fmt: skip
        answer = self._carried(method, target, headers, content, retries=retries, stream=stream)
        return self._checked(method, target, answer)

    def _carried(
        self, method: str, target: str, headers: dict[str, str], content: Any, *, retries: Any, stream: bool = False
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                method, self.url + target, headers=headers, body=content, retries=retries, preload_content=not stream
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise Unavailable(f"{self.url} cannot be reached: {reason}") from None

    def _checked(self, method: str, target: str, answer: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
        if answer.status < 300:
            return answer
        code, message = _refusal(answer.data)
        kind = _ERRORS.get(answer.status, Unavailable if answer.status >= 500 or answer.status == 429 else InvalidInput)
        if code == "RESOURCE_ALREADY_EXISTS":
            kind = Conflict
        said = message or f"status {answer.status}"
        if answer.status == 401:
            said = "it wants credentials: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or …_TOKEN"
        raise kind(f"{self.url}, {method} {target.partition('?')[0]}: {said[:500]}")

    def _decoded(self, answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        try:
            found = json.loads(answer.data or b"{}")  # which takes the NaN that some releases send
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise InvalidInput(f"{self.url} is no MLflow server: it answers {bytes(answer.data[:40])!r}")
        return found


def _refusal(body: bytes) -> tuple[str, str]:
    """Code and message of an error."""
    try:
        found = json.loads(body)
        return str(found.get("error_code", "")), str(found.get("message", ""))
    except (ValueError, AttributeError):
        return "", body[:200].decode(errors="replace")


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    user = unquote(user) if user else os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = unquote(password) if password else os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if user:
        return dict(urllib3.make_headers(basic_auth=f"{user}:{password or ''}"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def quoted(path: str) -> str:
    """A path of artifacts as a part of a URL."""
    return quote(path, safe="/")
