"""Files that are sent in parts, as MLflow's clients send large ones; and what is refused of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlflow_door.test_artifacts import API, NONE, TRAVERSALS, Door
from muniment.model.errors import InvalidInput, NotFound
from muniment.transport import Answer
from muniment_server.commands.embed import EmbeddedTransport
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import artifacts, parts
from muniment_server.services.workspace import Workspace
from muniment_server.store import artifacts as stored
from muniment_server.store.tables import uploads

MPU = "/api/2.0/mlflow-artifacts/mpu"
HOST = {"host": "127.0.0.1:5050"}


class Parts(Door):
    """A door that files are sent to in parts."""

    def mpu(self, verb: str, root: str, path: str = "/data/big.bin", **more: Any) -> tuple[int, Any]:
        answer = self.raw(
            "POST", f"{MPU}/{verb}/{root}", json.dumps({"path": path, **more}).encode(),
            content_type="application/json", **HOST,
        )  # fmt: skip
        return answer.status, json.loads(answer.body)

    def begin(self, root: str, count: int, path: str = "/data/big.bin") -> Any:
        status, answer = self.mpu("create", root, path, num_parts=count)
        assert status == 200, answer
        return answer

    def send(self, credential: Any, content: bytes) -> Answer:
        split = urlsplit(credential["url"])
        before, self.before = self.before, ""
        answer = self.raw("PUT", f"{split.path}?{split.query}", content)
        self.before = before
        return answer

    def sent(self, begun: Any, *contents: bytes) -> list[dict[str, Any]]:
        """What names the parts that were sent."""
        made = []
        for credential, content in zip(begun["credentials"], contents, strict=True):
            answer = self.send(credential, content)
            assert (answer.status, answer.body) == (200, b"")
            made.append({"part_number": credential["part_number"], "etag": answer.headers["etag"], "url": "x"})
        return made

    def arriving(self) -> int:
        """How many uploads the store knows to be under way or to be deleted."""
        with self.transport._workspace.store.read() as connection:
            return len(connection.execute(uploads.select()).all())

    def files(self) -> int:
        """How many files of artifacts there are."""
        folder = self.transport._workspace.blobs.folder
        assert folder is not None
        return sum(1 for found in folder.rglob("*") if found.is_file())

    def collect(self, seconds: int) -> Any:
        return self("POST", "/v1/projects/default/artifacts/collect", {"older_than": seconds})[1]


@pytest.fixture
def door(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    monkeypatch.setenv("MUNIMENT_HOME", str(tmp_path / "home"))
    transport = EmbeddedTransport(store_url)
    yield Parts(transport)
    transport.close()


@pytest.fixture
def workspace(store_url: str, tmp_path: Path) -> Iterator[Workspace]:
    opened = Workspace(store_url, trust=tmp_path / "trust", artifacts=(tmp_path / "artifacts").as_uri())
    yield opened
    opened.close()


def test_parts_become_one_file_and_are_gone(door: Parts) -> None:
    run = door.run()
    root = f"0/{run}/artifacts/data"
    begun = door.begin(root, 3)
    assert [one["part_number"] for one in begun["credentials"]] == [1, 2, 3]
    assert all(one["url"].startswith(f"http://127.0.0.1:5050{MPU}/part?") for one in begun["credentials"])
    assert [one["headers"] for one in begun["credentials"]] == [{}] * 3
    tags = door.sent(begun, b"a" * 70_000, b"b" * 70_000, b"c")
    assert door.listed(root) == [], "nothing is there before it is whole"
    tags[1]["etag"] = tags[1]["etag"].strip('"')  # as some proxies leave it
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags) == (200, {})
    whole = b"a" * 70_000 + b"b" * 70_000 + b"c"
    assert door.raw("GET", f"/get-artifact?run_id={run}&path=data/big.bin").body == whole
    found = door("GET", f"/v1/projects/default/records/{run}/artifacts")[1]["artifacts"]
    assert [(one["path"], one["artifact"]["size"]) for one in found] == [("data/big.bin", 140_001)]
    assert (door.arriving(), door.files()) == (0, 1), "no part is left"


def test_completing_again_is_answered_as_before(door: Parts) -> None:
    root = f"0/{door.run()}/artifacts"
    begun = door.begin(root, 2)
    tags = door.sent(begun, b"first", b"second")
    for _ in range(2):
        assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags) == (200, {})
    position = door("GET", "/v1/projects/default/changes", limit="1")[1]["position"]
    door.put(f"{root}/big.bin", b"another")
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags) == (200, {})
    assert door.listed(root) == [("big.bin", 7)], "what was done once is not done again"
    assert door("GET", "/v1/projects/default/changes", limit="1")[1]["position"] == position + 1
    status, refusal = door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags[:1])
    assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert door.mpu("abort", root, upload_id=begun["upload_id"]) == (200, {})
    assert door.listed(root) == [("big.bin", 7)]


def test_a_file_without_bytes_has_no_parts(door: Parts) -> None:
    root = f"0/{door.run()}/artifacts"
    begun = door.begin(root, 0)
    assert begun["credentials"] == []
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=[]) == (200, {})
    assert door.listed(root) == [("big.bin", None)]


def test_each_part_is_named_once_in_order(door: Parts) -> None:
    root = f"0/{door.run()}/artifacts"
    begun = door.begin(root, 2)
    first, second = door.sent(begun, b"first", b"second")
    other = door.begin(root, 2)
    (strange, _) = door.sent(other, b"strange", b"strange")
    cases = {
        "two parts": [[], [first], [second, first], [first, first], [first, second, {**second, "part_number": 3}]],
        "not here": [
            [first, {**first, "part_number": 2}], [{**strange, "part_number": 1}, second],
            [first, {**second, "etag": f"{NONE}.{'0' * 64}"}],
        ],
        "is none that this server gave": [
            [first, {**second, "etag": etag}] for etag in ("", "x", "../../x", f"{NONE}.{'0' * 63}/", '"' + "0" * 97)
        ],
        "is not what its ETag says": [[first, {**second, "etag": second["etag"].replace(".", ".0")[:-2] + '"'}]],
    }  # fmt: skip
    for said, orders in cases.items():
        for tags in orders:
            status, refusal = door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags)
            assert status in {400, 404}, (tags, refusal)
            assert said in refusal["message"].replace("2 parts", "two parts"), (tags, refusal)
    assert door.listed(root) == []
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=[first, second]) == (200, {})


def test_a_part_may_be_sent_again(door: Parts) -> None:
    run = door.run()
    root = f"0/{run}/artifacts"
    begun = door.begin(root, 2)
    first, second = door.sent(begun, b"first", b"second")
    again = {**first, "etag": door.send(begun["credentials"][0], b"1st").headers["etag"]}
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=[again, second]) == (200, {})
    assert door.raw("GET", f"/get-artifact?run_id={run}&path=big.bin").body == b"1stsecond"
    assert (door.arriving(), door.files()) == (0, 1)


def test_giving_up_deletes_the_parts(door: Parts) -> None:
    run = door.run()
    root = f"0/{run}/artifacts"
    begun, other = door.begin(root, 2), door.begin(root, 1, "other")
    tags = door.sent(begun, b"first", b"second")
    kept = door.sent(other, b"other")
    for _ in range(2):
        assert door.mpu("abort", root, upload_id=begun["upload_id"]) == (200, {})
    assert (door.arriving(), door.files()) == (1, 1), "what is of another upload stays"
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags)[0] == 404
    assert door("POST", f"/v1/projects/default/runs/{run}/erase", {"reason": "test"})[0] == 200
    assert door.mpu("complete", root, "other", upload_id=other["upload_id"], parts=kept)[0] in {400, 404}
    assert door.mpu("abort", root, "other", upload_id=other["upload_id"]) == (200, {}), "of a run that is no more too"
    assert (door.arriving(), door.files()) == (0, 0)


def test_what_is_never_completed_is_collected(door: Parts) -> None:
    root = f"0/{door.run()}/artifacts"
    begun = door.begin(root, 1)
    tags = door.sent(begun, b"first")
    assert door.collect(3_600)["abandoned"] == 0, "a part that came just now is not"
    assert door.files() == 1
    assert door.collect(0)["abandoned"] == 1
    assert (door.arriving(), door.files()) == (0, 0)
    status, refusal = door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags)
    assert (status, refusal["message"]) == (404, "part 1 of this upload is not here; send it again")
    again = door.sent(begun, b"first")
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=again) == (200, {})


def test_an_id_is_of_one_file_of_one_project(door: Parts) -> None:
    assert door("POST", "/v1/projects", {"slug": "churn"})[0] == 201
    one, two = door.run(), door.run()
    root = f"0/{one}/artifacts"
    begun = door.begin(root, 1)
    tags = door.sent(begun, b"secret")
    said, _, code = begun["upload_id"].partition(".")
    forged = [f"{said}.{code[::-1]}", f"{said[:-2]}AA.{code}", said, "", ".", "x.y", "ü.ü", "\x00"]
    for upload in forged:
        for verb in ("complete", "abort"):
            status, refusal = door.mpu(verb, root, upload_id=upload, parts=tags)
            assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), (verb, upload)
        assert door.raw("PUT", f"{MPU}/part?upload_id={upload.encode().hex()}&part_number=1", b"x").status == 400
    for place, path in ((f"0/{two}/artifacts", "big.bin"), (root, "small.bin"), (f"{root}/sub", "big.bin")):
        for verb in ("complete", "abort"):
            status, refusal = door.mpu(verb, place, path, upload_id=begun["upload_id"], parts=tags)
            assert (status, refusal["message"]) == (400, "this upload is of another path"), (verb, place)
    door.before = "/p/churn"
    theirs = f"0/{door.run()}/artifacts"
    foreign = door.begin(theirs, 1)
    assert foreign["credentials"][0]["url"].startswith(f"http://127.0.0.1:5050/p/churn{MPU}/part?")
    door.sent(foreign, b"theirs")
    assert door.mpu("complete", theirs, upload_id=foreign["upload_id"], parts=tags)[0] == 404
    assert door.mpu("complete", theirs, upload_id=begun["upload_id"], parts=tags)[0] == 400
    query = urlsplit(begun["credentials"][0]["url"]).query
    assert door.raw("PUT", f"{MPU}/part?{query}", b"x").status == 400
    assert door.listed(theirs) == []
    door.before = ""
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags) == (200, {})


def test_what_bounds_an_upload(door: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    root = f"0/{door.run()}/artifacts"
    for count in (-1, parts.PARTS_LIMIT + 1, 2**62):
        status, refusal = door.mpu("create", root, num_parts=count)
        assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), count
    assert len(door.begin(root, parts.PARTS_LIMIT)["credentials"]) == parts.PARTS_LIMIT
    begun = door.begin(root, 2)
    for number in ("0", "3", "-1", "x", ""):
        query = f"upload_id={begun['upload_id']}&part_number={number}"
        assert door.raw("PUT", f"{MPU}/part?{query}", b"x").status == 400, number
    monkeypatch.setattr(parts, "PART_LIMIT", 10)
    assert door.send(begun["credentials"][0], b"x" * 10).status == 200
    assert door.send(begun["credentials"][1], b"x" * 11).status == 413
    assert (door.arriving(), door.files()) == (1, 1)
    monkeypatch.setattr(parts, "SECONDS", -1)
    assert "too long ago" in json.loads(door.send(begun["credentials"][1], b"x").body)["message"]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_elsewhere(door: Parts, path: str) -> None:
    run = door.run()
    for verb in ("create", "complete", "abort"):
        status, refusal = door.mpu(verb, f"0/{run}/artifacts/{path}", upload_id="x", parts=[], num_parts=1)
        assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), verb


def test_where_no_file_may_be_none_is_begun(door: Parts) -> None:
    run = door.run()
    root = f"0/{run}/artifacts"
    for path in ("..", "a/..", "", "/", "a%00", "%2e%2e%2fx", "."):
        assert door.mpu("create", root, path, num_parts=1)[0] == 400, path
    door.put(f"{root}/dir/a")
    for place, path in ((root, "/x/dir"), (f"{root}/dir/a", "b")):
        status, refusal = door.mpu("create", place, path, num_parts=1)
        assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    for place in (f"9/{run}/artifacts", f"0/{NONE}/artifacts", "free", f"0/{run}"):
        assert door.mpu("create", place, num_parts=1)[0] == 404, place
    begun = door.begin(root, 1, "C:\\data\\big.bin")
    tags = door.sent(begun, b"x")
    assert door("POST", f"{API}/runs/delete", {"run_id": run})[0] == 200
    said = (400, f"The run {run} must be in the 'active' state. Current state is deleted.")
    for verb in ("create", "complete"):
        status, refusal = door.mpu(verb, root, upload_id=begun["upload_id"], parts=tags)
        assert (status, refusal["message"]) == said
    assert door("POST", f"{API}/runs/restore", {"run_id": run})[0] == 200
    assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags) == (200, {}), "the name is big.bin"


def test_a_models_files_never_change(door: Parts) -> None:
    model = door("POST", f"{API}/logged-models", {"experiment_id": "0", "name": "m"})[1]["model"]["info"]["model_id"]
    root = f"0/models/{model}/artifacts"
    door.put(f"{root}/big.bin", b"firstsecond")
    for content, status in ((b"second", 200), (b"other", 409)):
        begun = door.begin(root, 2)
        tags = door.sent(begun, b"first", content)
        assert door.mpu("complete", root, upload_id=begun["upload_id"], parts=tags)[0] == status
        assert door.mpu("abort", root, upload_id=begun["upload_id"]) == (200, {})
    assert door.listed(root) == [("big.bin", 11)]
    assert (door.arriving(), door.files()) == (0, 1)


def test_parts_are_sent_to_the_address_that_the_client_knows(door: Parts) -> None:
    root = f"0/{door.run()}/artifacts"

    def begun(**headers: str) -> tuple[str, Answer]:
        answer = door.raw(
            "POST", f"{MPU}/create/{root}", b'{"path": "big", "num_parts": 1}', content_type="application/json",
            **headers,
        )  # fmt: skip
        said = json.loads(answer.body)
        info = json.loads(door.raw("GET", "/api/3.0/mlflow/server-info", **headers).body)
        assert info["multipart_uploads_enabled"] is (answer.status == 200)
        return (said["credentials"][0]["url"].partition("/api/")[0] if answer.status == 200 else ""), answer

    assert begun(host="[::1]:80")[0] == "http://[::1]:80"
    assert begun(host="inner", x_forwarded_proto="https")[0] == "https://inner"
    proxied = {"x_forwarded_proto": "https, http", "x_forwarded_host": "muniment.example:8443"}
    assert begun(host="inner", **proxied, x_forwarded_prefix="/ml/")[0] == "https://muniment.example:8443/ml"
    assert begun(host="inner", x_mlflow_workspace="default")[0] == "http://inner/p/default"
    unknown = [
        {}, {"host": "a b"}, {"host": "a/b"}, {"host": "x@y"}, {"host": "a", "x_forwarded_proto": "ftp"},
        {"host": "a", "x_forwarded_for": "10.0.0.1"}, {"host": "a", "via": "1.1 b"},
        {"host": "a", "x_forwarded_prefix": "//b"},
    ]  # fmt: skip
    for headers in unknown:
        answer = begun(**headers)[1]
        said = json.loads(answer.body)
        assert answer.status == 501, headers
        assert said["message"].startswith("Multipart upload is not supported"), "by which clients send the file in one"
    own = begun(host="a", authorization="Bearer mine")[1]
    assert json.loads(own.body)["credentials"][0]["headers"] == {"Authorization": "Bearer mine"}
    assert own.headers["cache-control"] == "no-store"


async def _said(content: bytes) -> AsyncIterator[bytes]:
    yield content


def test_an_id_is_of_one_principal(workspace: Workspace) -> None:
    mine, theirs = workspace.owner_scope, Scope("0" * 32)
    upload = parts.begin(workspace, mine, "default", NONE, "a", 1)
    with pytest.raises(InvalidInput, match="to you"):
        asyncio.run(parts.take(workspace, theirs, "default", upload, 1, _said(b"x")))
    with pytest.raises(InvalidInput, match="to you"):
        asyncio.run(parts.abort(workspace, theirs, "default", NONE, "a", upload))
    with pytest.raises(InvalidInput, match="to you"):
        asyncio.run(parts.complete(workspace, theirs, "default", NONE, "a", upload, []))
    asyncio.run(parts.take(workspace, mine, "default", upload, 1, _said(b"x")))


def test_whoever_completes_at_the_same_time_is_answered_the_same(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope, received = workspace.owner_scope, []
    plain = artifacts.receive

    async def counted(*given: Any, **more: Any) -> Any:
        received.append(1)
        return await plain(*given, **more)

    async def run() -> None:
        made = await artifacts.keep(workspace, scope, "default", await plain(workspace, scope, "default", _said(b"y")))
        record = await _run(workspace)
        upload = parts.begin(workspace, scope, "default", record, "a", 1)
        tag = await parts.take(workspace, scope, "default", upload, 1, _said(b"y"))
        monkeypatch.setattr(artifacts, "receive", counted)
        given = (workspace, scope, "default", record, "a", upload, [(1, tag)])
        waiting = [asyncio.ensure_future(parts.complete(*given)) for _ in range(4)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # a client that would not wait: the work goes on for the others
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        found = await asyncio.gather(*waiting[1:])
        assert {one.artifact.digest for one in found if one.artifact} == {made.digest}
        assert {one.position for one in found} == {found[0].position}
        assert len(received) == 1, "and it is put together once"

    asyncio.run(run())


async def _run(workspace: Workspace) -> str:
    from muniment.model.experiment import NewExperiment
    from muniment.model.run import NewRun
    from muniment_server.services import experiments, runs

    scope = workspace.owner_scope
    experiment = experiments.create(workspace, scope, "default", NewExperiment(name="e"))
    await workspace.writer.write_async(experiment)
    return (await workspace.writer.write_async(runs.create(workspace, scope, "default", NewRun(experiment="e")))).id


def test_a_part_of_an_upload_that_ended_meanwhile_is_refused(workspace: Workspace) -> None:
    scope = workspace.owner_scope
    places: list[str] = []

    async def run() -> None:
        upload = parts.begin(workspace, scope, "default", NONE, "a", 1)

        async def slow() -> AsyncIterator[bytes]:
            ref = workspace.project(scope, "default", Permission.READ)
            stored.doom_below(workspace.store, ref.no, ref.id)
            places.extend(stored.doomed(workspace.store, ref.no))
            stored.forget(workspace.store, ref.no, places)  # nothing lies there yet
            yield b"x"

        with pytest.raises(NotFound, match="meanwhile"):
            await parts.take(workspace, scope, "default", upload, 1, slow())

    asyncio.run(run())
    folder = workspace.blobs.folder
    assert folder is not None
    assert [(folder / place).exists() for place in places] == [False]
