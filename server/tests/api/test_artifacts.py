"""Artifacts through the API: bytes in and out, references counted, and nothing that is referred to ever collected."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from api.conftest import BASE, Door

from muniment.client import Client
from muniment.model.errors import MunimentError
from muniment.transport import Answer, Opened
from muniment_server.services import verify
from muniment_server.store.tables import uploads

BYTES = bytes(range(256)) * 5_000
DIGEST = f"sha256:{hashlib.sha256(BYTES).hexdigest()}"


@pytest.fixture
def run(door: Door) -> str:
    return str(door.made("runs", {"experiment": "churn"})["id"])


@pytest.fixture
def files(door: Door) -> Path:
    folder = door.transport._workspace.blobs.folder
    assert folder is not None
    return folder


def decoded(answer: Answer) -> Any:
    return msgspec.json.decode(answer.body)


def put(door: Door, record: str, path: str, body: bytes, query: str = "", **headers: str) -> Answer:
    return door.raw("PUT", f"records/{record}/artifacts/{path}{query}", body, **headers)


def kept(files: Path) -> list[Path]:
    return sorted(path for path in files.rglob("*") if path.is_file())


def under_way(door: Door) -> int:
    with door.transport._workspace.store.read() as connection:
        return len(connection.execute(uploads.select()).all())


def test_bytes_go_in_and_come_out(door: Door, run: str) -> None:
    answer = put(door, run, "model/weights.bin", BYTES, f"?digest={DIGEST}", content_type="application/x-weights")
    assert answer.status == 200, answer
    made = decoded(answer)
    assert (made["path"], made["changed"], made["position"]) == ("model/weights.bin", True, door.head())
    assert made["artifact"]["digest"] == DIGEST
    assert (made["artifact"]["size"], made["artifact"]["media_type"]) == (len(BYTES), "application/x-weights")
    back = door.raw("GET", f"records/{run}/artifacts/model/weights.bin")
    assert (back.status, back.body) == (200, BYTES)
    assert back.headers["content-type"] == "application/x-weights"
    assert back.headers["etag"] == f'"{DIGEST}"'
    assert back.headers["content-disposition"].startswith("attachment;")
    assert "sandbox" in back.headers["content-security-policy"]
    same = door.raw("GET", f"artifacts/{DIGEST}/content")
    assert same.body == BYTES


@pytest.mark.parametrize(
    ("given", "status", "part", "said"),
    [
        ("bytes=0-9", 206, BYTES[:10], f"bytes 0-9/{len(BYTES)}"),
        ("bytes=1279990-", 206, BYTES[1_279_990:], f"bytes 1279990-1279999/{len(BYTES)}"),
        ("bytes=-3", 206, BYTES[-3:], f"bytes 1279997-1279999/{len(BYTES)}"),
        ("bytes=1279990-99999999", 206, BYTES[1_279_990:], f"bytes 1279990-1279999/{len(BYTES)}"),
        ("bytes=5-4", 200, BYTES, None),
        ("bytes=0-1,5-6", 200, BYTES, None),
        ("lines=1-2", 200, BYTES, None),
        ("bytes=-", 200, BYTES, None),
        ("bytes=1280000-", 416, None, None),
        ("bytes=-0", 416, None, None),
    ],
)
def test_ranges(door: Door, run: str, given: str, status: int, part: bytes | None, said: str | None) -> None:
    assert put(door, run, "a", BYTES).status == 200
    answer = door.raw("GET", f"records/{run}/artifacts/a", Range=given)
    assert answer.status == status
    assert answer.headers.get("content-range") == said
    if part is not None:
        assert answer.body == part
        assert answer.headers["content-length"] == str(len(part))
    else:
        assert decoded(answer)["code"] == "unsatisfiable_range"


def test_what_the_client_has_is_not_sent_and_what_was_replaced_is_sent_whole(door: Door, run: str) -> None:
    put(door, run, "a", BYTES)
    answer = door.raw("GET", f"records/{run}/artifacts/a", If_None_Match=f'"x", "{DIGEST}"')
    assert (answer.status, answer.body) == (304, b"")
    ranged = {"Range": "bytes=0-3"}
    assert door.raw("GET", f"records/{run}/artifacts/a", If_Range=f'"{DIGEST}"', **ranged).body == BYTES[:4]
    assert door.raw("GET", f"records/{run}/artifacts/a", If_Range='"sha256:other"', **ranged).body == BYTES


def test_nothing_is_left_of_bytes_with_another_digest(door: Door, run: str, files: Path) -> None:
    before = door.head()
    for target in (f"records/{run}/artifacts/a", "artifacts"):
        method = "POST" if target == "artifacts" else "PUT"
        answer = door.raw(method, f"{target}?digest={'0' * 64}", BYTES)
        assert answer.status == 400
        assert decoded(answer)["field"] == "digest"
        assert DIGEST in decoded(answer)["detail"]
    assert put(door, run, "a", BYTES, "?digest=md5:x").status == 400
    assert door.head() == before
    assert kept(files) == []
    assert under_way(door) == 0


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "a/./x", "/etc/passwd", "a//x", "a/", "a%5Cx", "a%0Ax", "C:%5Cx", "C:x", "%2e%2e/x", "a%00",
     "x" * 501, "..%2Fx", "%2Fetc%2Fpasswd"],
)  # fmt: skip
def test_no_path_leads_elsewhere(door: Door, run: str, files: Path, path: str) -> None:
    before = door.head()
    answer = put(door, run, path, b"x")
    assert answer.status in {400, 413}, answer
    assert "\n" not in decoded(answer)["detail"]
    assert door.head() == before
    assert kept(files) == []
    assert door.raw("DELETE", f"records/{run}/artifacts/{path}").status in {400, 413}


def test_only_records_that_may_have_artifacts_get_them(door: Door, files: Path) -> None:
    experiment = door("GET", f"{BASE}/experiments/churn")[1]["id"]
    for record, status in ((experiment, 400), ("f" * 32, 404), ("dataset:none@1", 404)):
        assert put(door, record, "a", BYTES).status == status
    assert kept(files) == []


def test_the_same_bytes_lie_there_once(door: Door, run: str, files: Path) -> None:
    first = decoded(put(door, run, "a", BYTES))["artifact"]
    again = decoded(put(door, run, "a", BYTES))
    assert (again["changed"], again["artifact"]) == (False, first)
    other = decoded(put(door, run, "b/c", BYTES))
    assert (other["changed"], other["artifact"]) == (True, first)
    assert len(kept(files)) == 1
    assert under_way(door) == 0
    found = door("GET", f"{BASE}/artifacts/{DIGEST}")[1]
    assert found["references"] == 2
    assert found["referrers"] == [{"record": run, "kind": "run", "path": path} for path in ("a", "b/c")]


def test_a_digest_that_is_there_need_not_be_sent(door: Door, run: str) -> None:
    assert door.refused("POST", f"records/{run}/artifacts", {"path": "a", "digest": DIGEST})["code"] == "not_found"
    artifact = decoded(door.raw("POST", "artifacts", BYTES))
    assert artifact["digest"] == DIGEST
    made = door.made(f"records/{run}/artifacts", {"path": "a", "digest": DIGEST})
    assert made["artifact"]["id"] == artifact["id"]


def test_pages_of_paths(door: Door, run: str) -> None:
    for name in ("b/1", "b/2", "a", "b/sub/x", "bb"):
        put(door, run, name, name.encode())
    everything = door("GET", f"{BASE}/records/{run}/artifacts")[1]
    assert [item["path"] for item in everything["artifacts"]] == ["a", "b/1", "b/2", "b/sub/x", "bb"]
    page = door("GET", f"{BASE}/records/{run}/artifacts?prefix=b/&limit=2")[1]
    assert ([item["path"] for item in page["artifacts"]], page["next"]) == (["b/1", "b/2"], "b/2")
    rest = door("GET", f"{BASE}/records/{run}/artifacts?prefix=b/&limit=2&after={page['next']}")[1]
    assert ([item["path"] for item in rest["artifacts"]], rest["next"]) == (["b/sub/x"], None)


def test_a_path_means_other_bytes_from_now_on_and_the_past_keeps_what_it_meant(door: Door, run: str) -> None:
    first = decoded(put(door, run, "a", b"one"))["position"]
    put(door, run, "a", b"two")
    assert door.raw("GET", f"records/{run}/artifacts/a").body == b"two"
    assert door.raw("GET", f"records/{run}/artifacts/a?as_of={first}").body == b"one"
    door.raw("DELETE", f"records/{run}/artifacts/a")
    assert door.raw("GET", f"records/{run}/artifacts/a").status == 404
    assert door("GET", f"{BASE}/records/{run}/artifacts")[1]["artifacts"] == []
    assert door.raw("GET", f"records/{run}/artifacts/a?as_of={first}").body == b"one"


def test_the_artifacts_of_a_version_never_change(door: Door) -> None:
    door.made("models", {"name": "risk"})
    door.made("models/risk/versions", {})
    assert put(door, "model:risk@1", "w", b"one").status == 200
    assert put(door, "model:risk@1", "x", b"two").status == 200
    assert decoded(put(door, "model:risk@1", "w", b"one"))["changed"] is False
    refused = put(door, "model:risk@1", "w", b"three")
    assert (refused.status, decoded(refused)["code"]) == (409, "conflict")
    assert door.raw("DELETE", "records/model:risk@1/artifacts/w").status == 409
    assert door.raw("GET", "records/model:risk@1/artifacts/w").body == b"one"


def collect(door: Door, **given: Any) -> dict[str, Any]:
    status, answer = door("POST", f"{BASE}/artifacts/collect", {"older_than": 0, **given})
    assert status == 200, answer
    return dict(answer)


def test_only_what_nothing_refers_to_is_collected(door: Door, run: str, files: Path) -> None:
    at = decoded(put(door, run, "a", BYTES))["position"]
    put(door, run, "b", BYTES)
    door.raw("POST", "artifacts", b"nobody's")
    assert collect(door, dry_run=True) == {"artifacts": 1, "bytes": 8, "abandoned": 0}
    assert len(kept(files)) == 2
    assert collect(door, older_than=3_600)["artifacts"] == 0
    assert collect(door) == {"artifacts": 1, "bytes": 8, "abandoned": 0}
    assert len(kept(files)) == 1
    door.raw("DELETE", f"records/{run}/artifacts/a")
    assert collect(door)["artifacts"] == 0
    assert door.raw("GET", f"records/{run}/artifacts/b").body == BYTES
    door.raw("DELETE", f"records/{run}/artifacts/b")
    assert collect(door)["artifacts"] == 1
    assert kept(files) == []
    past = door("GET", f"{BASE}/records/{run}/artifacts?as_of={at}")[1]["artifacts"]
    assert [item["artifact"]["digest"] for item in past] == [DIGEST]
    gone = door.raw("GET", f"records/{run}/artifacts/a?as_of={at}")
    assert (gone.status, decoded(gone)["code"]) == (410, "gone")
    assert door("GET", f"{BASE}/artifacts/{DIGEST}")[1]["artifact"]["lifecycle"] == "collected"
    assert door.refused("POST", f"records/{run}/artifacts", {"path": "a", "digest": DIGEST})["code"] == "not_found"
    assert decoded(put(door, run, "a", BYTES))["artifact"]["lifecycle"] == "active"
    assert door.raw("GET", f"records/{run}/artifacts/a?as_of={at}").body == BYTES
    assert collect(door)["artifacts"] == 0


def test_an_erased_run_refers_to_nothing(door: Door, run: str, files: Path) -> None:
    put(door, run, "a", BYTES)
    assert door("POST", f"{BASE}/runs/{run}/erase", {"reason": "asked for"})[0] == 200
    assert collect(door)["artifacts"] == 1
    assert kept(files) == []
    assert door("POST", f"{BASE}/verify")[1]["ok"]


def test_an_upload_that_never_ended_is_given_up_and_cannot_come_back(door: Door, run: str, files: Path) -> None:
    workspace = door.transport._workspace
    from muniment_server.services import artifacts as use_cases

    async def one() -> Any:
        async def chunks() -> Any:
            yield BYTES

        return await use_cases.receive(workspace, workspace.owner_scope, "default", chunks())

    import asyncio

    received = asyncio.run(one())  # and then the process dies
    assert len(kept(files)) == 1
    assert collect(door, older_than=3_600)["abandoned"] == 0
    assert collect(door, dry_run=True)["abandoned"] == 1
    assert collect(door)["abandoned"] == 1
    assert kept(files) == []
    with pytest.raises(MunimentError, match="given up"):
        asyncio.run(use_cases.keep(workspace, workspace.owner_scope, "default", received))
    assert door("GET", f"{BASE}/search", None)[0] == 404
    assert put(door, run, "a", BYTES).status == 200


def test_collection_never_takes_what_is_referred_to(door: Door, run: str) -> None:
    """Some give and take the same few artifacts while others collect; whoever has one can always read it."""
    bodies = [f"bytes {number}".encode() * 1_000 for number in range(3)]
    failures: list[str] = []
    stop = threading.Event()

    def work(name: str) -> None:
        for turn in range(25):
            body = bodies[turn % len(bodies)]
            answer = put(door, run, name, body)
            if answer.status not in {200, 503}:
                failures.append(f"put {answer.status} {answer.body[:200]!r}")
            back = door.raw("GET", f"records/{run}/artifacts/{name}")
            if answer.status == 200 and (back.status, back.body) != (200, body):
                failures.append(f"get {back.status} {back.body[:200]!r}")
            if turn % 2:
                door.raw("DELETE", f"records/{run}/artifacts/{name}")

    def sweep() -> None:
        while not stop.is_set():
            collect(door)

    collecting = threading.Thread(target=sweep)
    working = [threading.Thread(target=work, args=(f"of {number}",)) for number in range(4)]
    for thread in (collecting, *working):
        thread.start()
    for thread in working:
        thread.join()
    stop.set()
    collecting.join()
    assert not failures, failures[:3]
    assert door("POST", f"{BASE}/verify")[1]["ok"]


def test_changed_or_missing_bytes_are_found_and_never_passed_off_as_whole(door: Door, run: str, files: Path) -> None:
    import asyncio

    workspace = door.transport._workspace
    put(door, run, "a", BYTES)
    put(door, run, "b", b"other")
    a = next(path for path in kept(files) if path.stat().st_size == len(BYTES))

    def problems() -> list[str]:
        whole = verify.store(workspace.store, workspace.trust)
        found = asyncio.run(verify.with_bytes(workspace.store, workspace.blobs, whole, lambda *_: None))
        assert found.artifacts == 2
        return [finding.problem for finding in found.findings]

    assert problems() == []
    a.write_bytes(BYTES[:-1] + b"!")
    assert ["not what they were" in problem for problem in problems()] == [True]
    answer = door.raw("GET", f"records/{run}/artifacts/a")
    assert len(answer.body) < int(answer.headers.get("content-length", len(BYTES)))
    a.unlink()
    assert ["missing" in problem for problem in problems()] == [True]
    assert door.raw("GET", f"records/{run}/artifacts/a").status == 404


def test_an_empty_artifact_is_whole(door: Door, run: str) -> None:
    import asyncio

    workspace = door.transport._workspace
    assert put(door, run, "pkg/__init__.py", b"").status == 200
    back = door.raw("GET", f"records/{run}/artifacts/pkg/__init__.py")
    assert (back.status, back.body) == (200, b"")
    whole = verify.store(workspace.store, workspace.trust)
    assert asyncio.run(verify.with_bytes(workspace.store, workspace.blobs, whole, lambda *_: None)).ok


def test_a_media_type_is_one(door: Door, run: str) -> None:
    for odd in ("text/plain\r\nX-Evil: 1", "no type", "a/b/c", "x" * 300 + "/y", "/x", "text/"):
        assert put(door, run, "a", b"x", content_type=odd).status == 400, odd
    assert put(door, run, "a", b"x", content_type="text/plain; charset=utf-8").status == 200


def test_what_was_answered_of_an_erased_run_is_not_answered_again(door: Door, run: str) -> None:
    """Kept answers of retries go with the run."""
    given = {"Idempotency_Key": "k1"}
    facet = f"{BASE}/records/{run}/facets/patient"
    assert door("PUT", facet, {"value": {"who": "JohnSecretDoe"}}, **given)[0] == 200
    put(door, run, "JanePrivate.csv", b"x")
    named = {"path": "JanePrivate2.csv", "digest": hashlib.sha256(b"x").hexdigest()}
    assert door("POST", f"{BASE}/records/{run}/artifacts", named, Idempotency_Key="k2")[0] == 200
    assert door("POST", f"{BASE}/runs/{run}/erase", {"reason": "asked for"})[0] == 200
    assert door("PUT", facet, {"value": {"who": "JohnSecretDoe"}}, **given)[0] == 410
    assert door("POST", f"{BASE}/records/{run}/artifacts", named, Idempotency_Key="k2")[0] == 410


def test_an_embedded_store_can_be_closed_whatever_is_half_read(door: Door, run: str) -> None:
    put(door, run, "a", BYTES * 20)
    half = [door.transport.open("GET", f"{BASE}/records/{run}/artifacts/a", {}, ()) for _ in range(30)]
    for opened in half:
        next(opened.chunks)
    assert door.raw("GET", f"records/{run}/artifacts?limit=1").status == 200

    def broken() -> Any:
        yield b"x"
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="own"):
        door.transport.open("PUT", f"{BASE}/records/{run}/artifacts/b", {}, broken())
    door.transport.close()
    with pytest.raises(MunimentError, match="closed"):
        list(half[0].chunks)


class Flaky:
    """A transport that loses its answers after some bytes."""

    def __init__(self, inner: Any, losses: int) -> None:
        self.inner, self.losses = inner, losses
        self.requests: list[dict[str, str]] = []

    def open(self, method: str, target: str, headers: dict[str, str], body: Any) -> Opened:
        self.requests.append(headers)
        opened = self.inner.open(method, target, headers, body)
        if not self.losses:
            return opened
        self.losses -= 1
        return Opened(opened.status, opened.headers, iter([next(opened.chunks)[:100_000]]))


def test_the_client_sends_files_once_and_goes_on_where_a_download_broke_off(
    door: Door, run: str, tmp_path: Path
) -> None:
    client = Client.__new__(Client)
    client.url, client.project, client._base = "", "default", BASE
    client._transport = door.transport
    source = tmp_path / "weights.bin"
    source.write_bytes(BYTES)
    assert client.upload(run, "model/weights.bin", source).changed
    assert client.upload(run, "again", BYTES).artifact == client.artifacts(run)[1].artifact
    assert [item.path for item in client.artifacts(run, prefix="model/")] == ["model/weights.bin"]
    client._transport = flaky = Flaky(door.transport, 2)  # type: ignore[assignment]
    made = client.download(run, "model/weights.bin", tmp_path / "back.bin")
    assert made.read_bytes() == BYTES
    assert [request.get("Range") for request in flaky.requests] == [None, "bytes=100000-", "bytes=200000-"]
    client._transport = door.transport
    folder = tmp_path / "all"
    folder.mkdir()
    assert sorted(path.relative_to(folder).as_posix() for path in client.download_all(run, folder)) == [
        "again", "model/weights.bin",
    ]  # fmt: skip
    client._transport = Flaky(door.transport, 99)  # type: ignore[assignment]
    with pytest.raises(MunimentError, match="broke off"):
        client.download(run, "model/weights.bin", tmp_path / "never.bin")
    assert sorted(os.listdir(tmp_path)) == sorted({*os.listdir(tmp_path)} - {"never.bin"})  # noqa: PTH208
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]  # noqa: PTH208
