"""MLflow's door asked directly, by requests as its clients send them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from muniment_server.commands.embed import EmbeddedTransport

JSON = {"Content-Type": "application/json"}


class Asking:
    """Requests and their answers; those of the door that must succeed, and those that must not."""

    def __init__(self, transport: EmbeddedTransport) -> None:
        self.transport = transport

    def raw(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        """(status, document) of a request to the door."""
        found = f"?{urlencode(query, doseq=True)}" if query else ""
        target = path if path.startswith("/") else f"/api/2.0/mlflow/{path}"
        content = b"" if body is None else json.dumps(body).encode()
        answer = self.transport.request(method, target + found, JSON if content else {}, content)
        return answer.status, json.loads(answer.body)

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        status, answer = self.raw(method, path, body, **query)
        assert status == 200, answer
        return answer

    def refused(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, str]:
        """(status, message) of a request that must be refused, in MLflow's shape."""
        status, answer = self.raw(method, path, body, **query)
        assert 400 <= status < 500, answer
        assert {"error_code", "message"} <= answer.keys()
        return status, answer["message"]

    def ours(self, method: str, path: str, body: Any = None) -> Any:
        """What our own API says."""
        status, answer = self.raw(method, f"/v1/projects/default/{path}", body)
        assert status < 300, answer
        return answer

    def found(self, kind: str, where: str = "", lifecycle: str = "active") -> list[Any]:
        """What our own search finds."""
        answer = self.ours("POST", "search", {"kind": kind, "where": where, "lifecycle": lifecycle})
        records: list[Any] = answer[f"{kind}s"]
        return records

    def upload(self, record: str, path: str, content: bytes) -> None:
        """Give a record an artifact, as our own API does."""
        target = f"/v1/projects/default/records/{record}/artifacts/{quote(path)}"
        answer = self.transport.request("PUT", target, {"Content-Type": "application/octet-stream"}, content)
        assert answer.status in {200, 201}, answer.body

    def experiment(self, name: str = "e") -> str:
        """A new experiment's id."""
        made: str = self("POST", "experiments/create", {"name": name})["experiment_id"]
        return made

    def run(self, experiment: str) -> str:
        """A new run's id."""
        made: str = self("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
        return made

    def model(self, name: str, **more: Any) -> Any:
        """A new registered model."""
        return self("POST", "registered-models/create", {"name": name, **more})["registered_model"]

    def version(self, name: str, source: str = "s3://bucket/model", **more: Any) -> Any:
        """A new version of a registered model."""
        made = self("POST", "model-versions/create", {"name": name, "source": source, **more})
        return made["model_version"]


@contextmanager
def asking(store_url: str, home: Path, monkeypatch: Any) -> Iterator[Asking]:
    """A store in this process, asked at MLflow's door."""
    monkeypatch.setenv("MUNIMENT_HOME", str(home))
    transport = EmbeddedTransport(store_url)
    try:
        yield Asking(transport)
    finally:
        transport.close()
