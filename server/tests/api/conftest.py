"""The v1 API, asked as a client would ask it: JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muniment.transport import Answer
from muniment_server.commands.embed import EmbeddedTransport

JSON = {"Content-Type": "application/json"}
BASE = "/v1/projects/default"


class Door:
    """JSON in, (status, document) out."""

    def __init__(self, transport: EmbeddedTransport) -> None:
        self.transport = transport

    def __call__(self, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        raw = b"" if body is None else msgspec.json.encode(body)
        sent = {**(JSON if raw else {}), **{name.replace("_", "-"): value for name, value in headers.items()}}
        answer = self.transport.request(method, target, sent, raw)
        return answer.status, msgspec.json.decode(answer.body)

    def raw(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """A request as it is, and its answer."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.transport.request(method, f"{BASE}/{target}", sent, body)

    def head(self) -> int:
        """The project's latest position."""
        return int(self("GET", f"{BASE}/changes?limit=1")[1]["position"])

    def made(self, target: str, body: Any) -> Any:
        """What a POST that must succeed answers."""
        status, answer = self("POST", f"{BASE}/{target}", body)
        assert status in {200, 201}, answer
        return answer

    def refused(self, method: str, target: str, body: Any = None) -> Any:
        """The problem that a request that must be refused is answered with; it has one clear line."""
        before = self.head()
        status, answer = self(method, f"{BASE}/{target}", body)
        assert 400 <= status < 500, answer
        assert answer["detail"]
        assert "\n" not in answer["detail"]
        assert self.head() == before, "a refused request writes nothing"
        return answer


@pytest.fixture
def door(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setenv("MUNIMENT_HOME", str(tmp_path / "home"))
    transport = EmbeddedTransport(store_url)
    made = Door(transport)
    assert made("POST", f"{BASE}/experiments", {"name": "churn"})[0] == 201
    yield made
    transport.close()
