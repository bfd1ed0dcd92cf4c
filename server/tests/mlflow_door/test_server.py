"""What clients ask of the server itself, and what they are told of what it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muniment_server.commands.embed import EmbeddedTransport

OTHERS = (
    ("POST", "/api/3.0/mlflow/traces", "Traces"),
    ("POST", "/ajax-api/3.0/mlflow/traces/search", "Traces"),
    ("GET", "/api/2.0/mlflow/traces/tr-1/info", "Traces"),
    ("POST", "/api/3.0/mlflow/traces/tr-1/assessments", "Traces"),
    ("GET", "/api/3.0/mlflow/scorers/list", "Scorers"),
    ("POST", "/api/3.0/mlflow/datasets/create", "Evaluation datasets"),
    ("POST", "/api/3.0/mlflow/review-queues/create", "Review queues"),
    ("GET", "/api/3.0/mlflow/gateway/endpoints/list", "The gateway"),
    ("GET", "/ajax-api/2.0/mlflow/gateway-proxy", "The gateway"),
    ("POST", "/api/3.0/mlflow/prompt-optimization/jobs", "Jobs"),
    ("GET", "/api/2.0/mlflow/webhooks", "Webhooks"),
    ("POST", "/api/2.0/mlflow/users/create", "Users"),
    ("POST", "/graphql", "GraphQL"),
    ("GET", "/ajax-api/3.0/mlflow/ui-telemetry", "Telemetry"),
    ("DELETE", "/api/3.0/mlflow/workspaces/default", "Workspaces"),
    ("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url", "Presigned"),
)


@pytest.fixture(scope="module")
def transport(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedTransport:
    folder: Path = tmp_path_factory.mktemp("store")
    return EmbeddedTransport(f"sqlite:///{folder / 'store.db'}")


@pytest.mark.parametrize(("method", "path", "begin"), OTHERS)
@pytest.mark.parametrize("before", ["", "/p/default"])
def test_what_is_another_products_is_said_to_be(
    transport: EmbeddedTransport, method: str, path: str, begin: str, before: str
) -> None:
    answer = transport.request(method, before + path, {"content-type": "application/json"}, b"{}")
    said = json.loads(answer.body)
    assert (answer.status, said["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert said["message"].startswith(begin)
    assert "\n" not in said["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/2.0/mlflow/nonsense"), ("GET", "/api/3.0/mlflow/experiments/get"), ("GET", "/ajax-api/x"),
        ("GET", "/api/2.0/mlflow-artifacts/nonsense"),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/nonsense/0/a"), ("POST", "/api/2.0/mlflow/experiments/get"),
        ("GET", "/api/2.0/mlflow/server-info"), ("GET", "/api/2.0/mlflow/datasetsx"),
    ],
)  # fmt: skip
def test_what_is_nobodys_is_not_found(transport: EmbeddedTransport, method: str, path: str) -> None:
    answer = transport.request(method, path, {"content-type": "application/json"}, b"{}")
    said = json.loads(answer.body)
    assert (answer.status, said["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_workspaces_are_projects(transport: EmbeddedTransport) -> None:
    def ask(method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        raw = b"" if body is None else json.dumps(body).encode()
        answer = transport.request(method, f"/api/3.0/mlflow{path}", {"content-type": "application/json"}, raw)
        return answer.status, json.loads(answer.body)

    status, info = ask("GET", "/server-info")
    assert status == 200
    assert info["workspaces_enabled"] is True
    assert info["multipart_downloads_enabled"] is info["artifacts_presigned_only"] is False
    assert ask("POST", "/workspaces", {"name": "new", "description": "d"}) == (
        201, {"workspace": {"name": "new", "description": "d"}}
    )  # fmt: skip
    assert ask("GET", "/workspaces/new") == (200, {"workspace": {"name": "new", "description": "d"}})
    listed = ask("GET", "/workspaces")[1]["workspaces"]
    assert [one["name"] for one in listed] == ["default", "new"]  # type: ignore[attr-defined]
    assert json.loads(transport.request("GET", "/v1/projects/new", {}, b"").body)["description"] == "d"
    assert ask("POST", "/workspaces", {"name": "new"})[1]["error_code"] == "RESOURCE_ALREADY_EXISTS"
    assert ask("POST", "/workspaces", {"name": "Not A Slug"})[1]["error_code"] == "INVALID_PARAMETER_VALUE"
    assert ask("GET", "/workspaces/none")[1]["error_code"] == "RESOURCE_DOES_NOT_EXIST"
