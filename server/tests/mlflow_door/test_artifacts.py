"""Artifacts through MLflow's door: where a path leads, what a folder holds, and what our own API says of the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from muniment.transport import Answer
from muniment_server.commands.embed import EmbeddedTransport
from muniment_server.services import artifacts, folders
from muniment_server.store import belongings

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
MPU = "/api/2.0/mlflow-artifacts/mpu"
API = "/api/2.0/mlflow"
NONE = "0123456789abcdef0123456789abcdef"
TRAVERSALS = (
    "../x", "..", "a/../b", "%2e%2e/x", "..%2fx", "%252e%252e/x", "%25252e%25252e%25252fx", "a%5C..%5Cb", "..%5Cx",
    "a%00b", "a%0Ab", "a%23b", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a\\b", "x" * 3_000,
)  # fmt: skip


class Door:
    """Requests of MLflow's protocol to a store in this process."""

    def __init__(self, transport: EmbeddedTransport) -> None:
        self.transport = transport
        self.before = ""

    def raw(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.transport.request(method, self.before + target, sent, body)

    def __call__(self, method: str, target: str, body: Any = None, **query: str) -> tuple[int, Any]:
        where = f"{target}?{urlencode(query)}" if query else target
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self.raw(method, where, raw, content_type="application/json")
        return answer.status, json.loads(answer.body or b"null")

    def run(self, experiment: str = "0") -> str:
        """A new run; its id."""
        return str(self("POST", f"{API}/runs/create", {"experiment_id": experiment})[1]["run"]["info"]["run_id"])

    def put(self, path: str, body: bytes = b"bytes") -> None:
        """A file, which must be taken."""
        answer = self.raw("PUT", f"{PROXY}/{quote(path)}", body)
        assert (answer.status, answer.body) == (200, b""), answer

    def listed(self, path: str) -> list[tuple[str, int | None]]:
        """(name, size) of what lies in a folder; a folder has no size, nor is one said of an empty file."""
        status, found = self("GET", PROXY, path=path)
        assert status == 200, found
        return [(one["path"], one.get("file_size")) for one in found.get("files", [])]


@pytest.fixture
def door(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setenv("MUNIMENT_HOME", str(tmp_path / "home"))
    transport = EmbeddedTransport(store_url)
    yield Door(transport)
    transport.close()


def test_a_file_is_the_attachment_of_the_run_and_its_past_is_kept(door: Door) -> None:
    run = door.run()
    door.put(f"0/{run}/artifacts/plots/roc.html", b"<b>first</b>")
    record = f"/v1/projects/default/records/{run}/artifacts"
    position = door("GET", "/v1/projects/default/changes", limit="1")[1]["position"]
    door.put(f"0/{run}/artifacts/plots/roc.html", b"<b>second</b>")
    found = door.raw("GET", f"{PROXY}/0/{run}/artifacts/plots/roc.html")
    assert (found.status, found.body) == (200, b"<b>second</b>")
    assert found.headers["content-type"] == "text/html"
    assert found.headers["content-disposition"].startswith("attachment;"), "a browser never shows it as a page"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert door.raw("GET", f"{record}/plots/roc.html?as_of={position}").body == b"<b>first</b>"
    assert door.raw("GET", f"{record}/plots/roc.html").body == b"<b>second</b>"
    part = door.raw("GET", f"{PROXY}/0/{run}/artifacts/plots/roc.html", range="bytes=3-8")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"second", "bytes 3-8/13")
    beyond = door.raw("GET", f"{PROXY}/0/{run}/artifacts/plots/roc.html", range="bytes=99-")
    assert beyond.status == 416

    assert door("DELETE", f"{PROXY}/0/{run}/artifacts/plots") == (200, {})
    assert door("DELETE", f"{PROXY}/0/{run}/artifacts/plots") == (200, {}), "what is not there can be deleted too"
    status, refusal = door("GET", f"{PROXY}/0/{run}/artifacts/plots/roc.html")
    assert (status, refusal["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert door.raw("GET", f"{record}/plots/roc.html?as_of={position}").body == b"<b>first</b>"


def test_folders_are_what_stands_before_a_slash(door: Door) -> None:
    run = door.run()
    for path, size in (("a.txt", 3), ("empty", 0), ("sub/b", 2), ("sub/deep/c", 1), ("sub-x", 4), ("sub.d/e", 5)):
        door.put(f"0/{run}/artifacts/{path}", b"x" * size)
    root = f"0/{run}/artifacts"
    assert door.listed(root) == [("a.txt", 3), ("empty", None), ("sub", None), ("sub-x", 4), ("sub.d", None)]
    assert door.listed(f"{root}/sub") == door.listed(f"./{root}//sub/") == [("b", 2), ("deep", None)]
    assert door.listed(f"{root}/none") == door.listed(f"{root}/a.txt") == []
    assert door.listed(f"0/{run}") == [("artifacts", None)]
    status, found = door("GET", f"{API}/artifacts/list", run_id=run, path="sub")
    assert found == {
        "root_uri": f"mlflow-artifacts:/{root}",
        "files": [
            {"path": "sub/b", "is_dir": False, "file_size": 2},
            {"path": "sub/deep", "is_dir": True},
        ],
    }
    assert door("GET", f"{API}/artifacts/list", run_id=NONE)[0] == 404
    for folder in ("", "/", "/sub", "/sub/deep/", "/none"):
        status, refusal = door("GET", f"{PROXY}/{root}{folder}")
        assert (status, refusal["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), folder
    for clash in ("sub", "a.txt/x", "sub/b/c/d"):
        status, refusal = door("PUT", f"{PROXY}/{root}/{clash}", "x")
        assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), clash
    assert door("DELETE", f"{PROXY}/{root}/") == (200, {})
    assert door.listed(root) == []


def test_a_level_is_what_reading_everything_below_would_find(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    random.seed(7)
    monkeypatch.setattr(belongings, "LEVEL_PAGE", 3)
    monkeypatch.setattr(folders, "AT_ONCE", 4)
    run = door.run()
    parts = ("a", "b", "a-", "a.", "a0", "ü", "z")
    paths: set[str] = set()
    for _ in range(60):
        path = "/".join(random.choices(parts, k=random.randint(1, 4)))
        if not any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in paths):
            paths.add(path)
            door.put(f"0/{run}/artifacts/{path}")
    assert len(paths) > 20
    for folder in {"", *(path[:at] for path in paths for at, sign in enumerate(path) if sign == "/")}:
        begin = f"{folder}/" if folder else ""
        rests = [path.removeprefix(begin) for path in paths if path.startswith(begin)]
        wanted = sorted({(rest.partition("/")[0], None if "/" in rest else 5) for rest in rests})
        assert door.listed(f"0/{run}/artifacts/{folder}") == wanted, folder
    assert door("DELETE", f"{PROXY}/0/{run}/artifacts") == (200, {}), "more than are taken away at once"
    assert door.listed(f"0/{run}/artifacts") == []


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_elsewhere(door: Door, path: str) -> None:
    run = door.run()
    for method in ("PUT", "GET", "DELETE"):
        answer = door.raw(method, f"{PROXY}/0/{run}/artifacts/{path}", b"x" if method == "PUT" else b"")
        said = json.loads(answer.body)
        assert (answer.status, said["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), (method, said)
    assert door.raw("GET", f"{PROXY}?path=0/{run}/artifacts/{path}").status == 400
    assert door.raw("GET", f"{API}/artifacts/list?run_id={run}&path={path}").status == 400
    assert door.raw("GET", f"/get-artifact?run_id={run}&path={path}").status == 400
    assert door.listed(f"0/{run}/artifacts") == []


@pytest.mark.parametrize("path", ["/etc/passwd", "%2Fetc%2Fpasswd", "C:/x", "a//b", "./a", "a/.", "x" * 600])
def test_a_path_that_is_no_file_of_a_record_is_not_taken(door: Door, path: str) -> None:
    run = door.run()
    answer = door.raw("PUT", f"{PROXY}/0/{run}/artifacts/{path}", b"x")
    assert answer.status in {400, 413}, answer
    assert door.listed(f"0/{run}/artifacts") == []


def test_a_path_belongs_to_one_experiment_and_one_run(door: Door) -> None:
    other = door("POST", f"{API}/experiments/create", {"name": "other"})[1]["experiment_id"]
    run = door.run(other)
    door.put(f"{other}/{run}/artifacts/a")
    inner = f"{other}/{run}/artifacts/0/{NONE}/artifacts/models/m-{NONE}/artifacts/a"
    door.put(inner, b"inner")
    assert door.raw("GET", f"{PROXY}/{inner}").body == b"inner", "the first record in a path is the one that is meant"
    for path in (
        f"0/{run}/artifacts/a", f"99/{run}/artifacts/a", f"{other}/{NONE}/artifacts/a", f"{run}/artifacts/a", "free/a",
        f"{other}/{run}/a", f"{other}/a", f"{other}/models/m-{run}/artifacts/a", f"{other}/models/m-{NONE}/artifacts/a",
    ):  # fmt: skip
        for method in ("GET", "PUT", "DELETE"):
            status, refusal = door(method, f"{PROXY}/{path}", "x" if method == "PUT" else None)
            assert (status, refusal["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), (method, path, refusal)
            assert "\n" not in refusal["message"]
    for folder in ("", "0", other, "free"):
        assert door("GET", PROXY, path=folder)[0] == 404
    assert door("GET", PROXY)[0] == 404


def test_a_deleted_run_is_read_and_not_written(door: Door) -> None:
    run = door.run()
    door.put(f"0/{run}/artifacts/a")
    assert door("POST", f"{API}/runs/delete", {"run_id": run})[0] == 200
    assert door.listed(f"0/{run}/artifacts") == [("a", 5)]
    assert door.raw("GET", f"{PROXY}/0/{run}/artifacts/a").body == b"bytes"
    for method in ("PUT", "DELETE"):
        status, refusal = door(method, f"{PROXY}/0/{run}/artifacts/a", "x")
        assert (status, refusal["message"]) == (
            400, f"The run {run} must be in the 'active' state. Current state is deleted."
        )  # fmt: skip


def test_what_lies_elsewhere_is_said_to_lie_there(door: Door) -> None:
    made = door("POST", f"{API}/experiments/create", {"name": "far", "artifact_location": "s3://bucket/far"})[1]
    run = door.run(made["experiment_id"])
    for target in (f"{API}/artifacts/list?run_id={run}", f"/get-artifact?run_id={run}&path=a"):
        status, refusal = door("GET", target)
        assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert f"s3://bucket/far/{run}/artifacts" in refusal["message"]
    near = door(
        "POST", f"{API}/experiments/create", {"name": "near", "artifact_location": "mlflow-artifacts:/team/near"}
    )[1]
    run = door.run(near["experiment_id"])
    door.put(f"team/near/{run}/artifacts/a", b"here")
    assert door.raw("GET", f"/get-artifact?run_uuid={run}&path=a").body == b"here"


def test_a_browser_gets_and_sends_files_of_a_run(door: Door) -> None:
    run = door.run()
    sent = door.raw("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=up/a.txt", b"text")
    assert (sent.status, sent.body) == (200, b"")
    found = door.raw("GET", f"/get-artifact?run_id={run}&path=up/a.txt")
    assert (found.status, found.body, found.headers["content-type"]) == (200, b"text", "text/plain")
    status, refusal = door("GET", f"/get-artifact?run_id={run}&path=up")
    assert (status, refusal["message"]) == (
        400, f"Artifact path refers to a directory, not a file: '0/{run}/artifacts/up'"
    )  # fmt: skip
    assert door("GET", f"/get-artifact?run_id={run}")[0] == 400
    assert door("GET", f"/get-artifact?run_id={run}&path=none")[0] == 404
    assert door("GET", "/get-artifact?path=up/a.txt")[0] == 404


def test_a_project_has_its_own(door: Door) -> None:
    assert door("POST", "/v1/projects", {"slug": "churn"})[0] == 201
    run = door.run()
    door.put(f"0/{run}/artifacts/a", b"default")
    door.before = "/p/churn"
    status, refusal = door("GET", f"{PROXY}/0/{run}/artifacts/a")
    assert (status, refusal["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    other = door.run()
    door.put(f"0/{other}/artifacts/a", b"churn")
    door.before = ""
    header = door.raw("GET", f"{PROXY}/0/{other}/artifacts/a", x_mlflow_workspace="churn")
    assert (header.status, header.body) == (200, b"churn")
    record = door.raw("GET", f"/v1/projects/churn/records/{other}/artifacts/a")
    assert record.body == b"churn"


def test_a_models_files_never_change(door: Door) -> None:
    run = door.run()
    made = door("POST", f"{API}/logged-models", {"experiment_id": "0", "name": "m", "source_run_id": run})[1]["model"]
    model = made["info"]["model_id"]
    root = f"0/models/{model}/artifacts"
    assert made["info"]["artifact_uri"] == f"mlflow-artifacts:/{root}"
    door.put(f"{root}/MLmodel", b"first")
    door.put(f"{root}/MLmodel", b"first")
    status, refusal = door("PUT", f"{PROXY}/{root}/MLmodel", "other")
    assert (status, refusal["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert model in refusal["message"]
    status, refusal = door("DELETE", f"{PROXY}/{root}/MLmodel")
    assert (status, refusal["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert door("DELETE", f"{PROXY}/{root}/none") == (200, {})
    assert door.raw("GET", f"{PROXY}/{root}/MLmodel").body == b"first"
    assert door.listed(root) == [("MLmodel", 5)]
    record = f"/v1/projects/default/records/{model.removeprefix('m-')}/artifacts/MLmodel"
    assert door.raw("GET", record).body == b"first"
    for path in (f"1/models/{model}/artifacts/a", f"0/{model.removeprefix('m-')}/artifacts/a"):
        assert door("PUT", f"{PROXY}/{path}", "x")[0] == 404


def test_a_registered_versions_files_are_those_of_its_source(door: Door) -> None:
    run = door.run()
    door.put(f"0/{run}/artifacts/sub/a.txt", b"of the run")
    model = door("POST", f"{API}/logged-models", {"experiment_id": "0", "name": "m", "source_run_id": run})[1]["model"]
    door.put(f"0/models/{model['info']['model_id']}/artifacts/a.txt", b"of the model")
    assert door("POST", f"{API}/registered-models/create", {"name": "r"})[0] == 200
    sources = [
        f"mlflow-artifacts:/0/{run}/artifacts/sub", f"runs:/{run}/sub", f"runs:/{run}/m",
        f"models:/{model['info']['model_id']}", "s3://bucket/far",
    ]  # fmt: skip
    for source in sources:
        said = (
            {"run_id": run, "model_id": model["info"]["model_id"]} if source.startswith("models:") else {"run_id": run}
        )
        status, answer = door("POST", f"{API}/model-versions/create", {"name": "r", "source": source, **said})
        assert status == 200, answer
    found = [door.raw("GET", f"/model-versions/get-artifact?name=r&version={at}&path=a.txt") for at in range(1, 6)]
    assert [one.body for one in found[:4]] == [b"of the run", b"of the run", b"of the model", b"of the model"]
    refusal = json.loads(found[4].body)
    assert (found[4].status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "s3://bucket/far" in refusal["message"]
    for query, status in (
        ("name=r&version=1&path=none", 404), ("name=r&version=1&path=../x", 400), ("name=r&version=1", 400),
        ("name=r&version=9&path=a.txt", 404), ("name=none&version=1&path=a.txt", 404),
    ):  # fmt: skip
        assert door.raw("GET", f"/model-versions/get-artifact?{query}").status == status, query


def test_head_is_get_without_the_bytes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    run = door.run()
    door.put(f"0/{run}/artifacts/a.txt", b"some text")
    targets = [
        f"{PROXY}/0/{run}/artifacts/a.txt", f"/get-artifact?run_id={run}&path=a.txt", f"{PROXY}/0/{run}/artifacts/none",
        f"{PROXY}?path=0/{run}/artifacts", f"{API}/runs/get?run_id={run}", f"{API}/nothing", "/v1/projects/default",
        f"/v1/projects/default/records/{run}/artifacts/a.txt", "/health",
    ]  # fmt: skip
    found = {target: door.raw("GET", target) for target in targets}

    async def unread(*given: Any) -> Any:
        raise AssertionError(given)
        yield

    monkeypatch.setattr(artifacts, "content", unread)
    for target, whole in found.items():
        answer = door.raw("HEAD", target)
        assert answer == Answer(whole.status, whole.headers, b""), target
        assert int(answer.headers["content-length"]) == len(whole.body)
    part = door.raw("HEAD", targets[0], range="bytes=5-8")
    assert (part.status, part.headers["content-length"]) == (206, "4")
    assert door.raw("HEAD", f"{MPU}/part").status == 404, "what is no GET has no HEAD"
