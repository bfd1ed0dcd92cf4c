"""The v1 API through its application: both formats, batches, retries, history and proofs."""

from __future__ import annotations

import gzip
import threading
import time
from typing import Any

import msgspec
from api.conftest import BASE, JSON, Door

from muniment.model import merkle
from muniment.model.ledger import ConsistencyProof, InclusionProof
from muniment_server.annexes import keeper

RUN = "01a205ca50f87aee91880ce46b73743f"


def start(door: Door, **fields: Any) -> str:
    status, run = door("POST", f"{BASE}/runs", {"experiment": "churn", **fields})
    assert status == 201, run
    return str(run["id"])


def test_json_and_messagepack_say_the_same(door: Door) -> None:
    run = start(door, params={"lr": 0.5, "deep": True, "n": 3}, seeds={"numpy": 7})
    door("POST", f"{BASE}/runs/{run}/points", {"series": ["a"], "value": [1.5, "NaN", "-Infinity"], "step": [0, 1, 2]})
    as_json = door("GET", f"{BASE}/runs/{run}")[1]
    packed = door.transport.request("GET", f"{BASE}/runs/{run}", {"Accept": "application/msgpack"}, b"")
    again = msgspec.json.decode(msgspec.json.encode(msgspec.msgpack.decode(packed.body)))
    assert again == as_json
    assert as_json["params"] == {"deep": "true", "lr": "0.5", "n": "3"}
    assert as_json["metrics"]["a"]["last"] == "-Infinity"


def test_gzip_is_understood(door: Door) -> None:
    run = start(door)
    body = gzip.compress(msgspec.json.encode({"params": {"a": "b"}}))
    answer = door.transport.request("POST", f"{BASE}/runs/{run}/params", {**JSON, "Content-Encoding": "gzip"}, body)
    assert answer.status == 200
    assert door("GET", f"{BASE}/runs/{run}")[1]["params"] == {"a": "b"}


def test_a_batch_is_one_entry_or_nothing(door: Door) -> None:
    before = door.head()
    commands: list[dict[str, Any]] = [
        {"do": "run.create", "experiment": "churn", "id": RUN, "params": {"a": 1}},
        {"do": "run.log", "run": RUN, "series": ["loss"], "value": [1.0]},
        {"do": "run.tags", "run": RUN, "tags": {"x": "y"}},
        {"do": "run.update", "run": RUN, "state": "finished"},
    ]
    status, refused = door(
        "POST", f"{BASE}/batch", {"commands": [*commands, {"do": "run.params", "run": RUN, "params": {"a": 2}}]}
    )
    assert (status, refused["field"].split(".")[0]) == (409, "commands[4]")
    assert door.head() == before
    status, done = door("POST", f"{BASE}/batch", {"commands": commands})
    assert status == 200
    assert done["position"] == door.head() == before + 2  # the commands, and the points of one run
    page = door("GET", f"{BASE}/changes?after={before}")[1]
    assert [change["type"] for change in page["changes"]] == ["muniment.batch", "muniment.run.log"]
    body = page["changes"][0]["data"]["revisions"][0]["body"]
    assert body["run"]["state"] == "finished"
    assert body["params"] == {"a": "1"}
    assert body["tags"] == {"x": "y"}


def test_an_idempotency_key_gives_the_first_answer_again(door: Door) -> None:
    first = door("POST", f"{BASE}/runs", {"experiment": "churn"}, Idempotency_Key="k1")
    head = door.head()
    assert door("POST", f"{BASE}/runs", {"experiment": "churn"}, Idempotency_Key="k1") == first
    assert door("POST", f"{BASE}/runs", {"experiment": "churn", "name": "x"}, Idempotency_Key="k1")[0] == 422
    assert door.head() == head
    assert door("POST", f"{BASE}/runs", {"experiment": "churn"}, Idempotency_Key="k2")[1]["id"] != first[1]["id"]


def test_a_writer_s_sequence_is_recorded_once(door: Door) -> None:
    run = start(door)
    points = {"series": ["a"], "value": [1.0], "writer": RUN, "sequence": 1}
    assert door("POST", f"{BASE}/runs/{run}/points", points)[1]["replayed"] is False
    head = door.head()
    assert door("POST", f"{BASE}/runs/{run}/points", points)[1] == {"position": head, "points": 1, "replayed": True}
    assert door("POST", f"{BASE}/runs/{run}/points", {**points, "sequence": 3})[0] == 409
    assert door.head() == head


def test_what_is_already_so_writes_nothing(door: Door) -> None:
    run = start(door, tags={"a": "b"}, params={"p": "1"})
    head = door.head()
    assert door("POST", f"{BASE}/runs/{run}/tags", {"tags": {"a": "b", "none": None}})[1]["changed"] == 0
    assert door("POST", f"{BASE}/runs/{run}/params", {"params": {"p": 1}})[1]["changed"] == 0
    assert door("PATCH", f"{BASE}/runs/{run}", {"state": "running"})[0] == 200
    assert door("POST", f"{BASE}/experiments", {"name": "churn"})[0] == 201
    assert door.head() == head


def test_attempts_stay_in_the_history(door: Door) -> None:
    run = start(door)
    assert door("POST", f"{BASE}/runs/{run}/attempts")[0] == 409
    door("PATCH", f"{BASE}/runs/{run}", {"state": "failed"})
    assert door("POST", f"{BASE}/runs/{run}/attempts")[1]["attempt"] == 2
    revisions = door("GET", f"{BASE}/records/{run}/history")[1]["revisions"]
    assert [(r["body"]["run"]["attempt"], r["body"]["run"]["state"]) for r in revisions] == [
        (1, "running"), (1, "failed"), (2, "running"),
    ]  # fmt: skip


def test_a_long_poll_is_woken_by_a_write(door: Door) -> None:
    head = door.head()
    begun = time.monotonic()
    threading.Timer(0.3, start, (door,)).start()
    page = door("GET", f"{BASE}/changes?after={head}&wait=20")[1]
    assert [change["type"] for change in page["changes"]] == ["muniment.run.create"]
    assert time.monotonic() - begun < 10
    assert door("GET", f"{BASE}/changes?after={page['next']}")[1]["changes"] == []


def test_proofs_can_be_checked_without_the_server(door: Door) -> None:
    workspace = door.transport._workspace
    run = start(door)
    for step in range(300):
        door("POST", f"{BASE}/runs/{run}/points", {"series": ["a"], "value": [1.0], "step": [step]})
        if step % 100 == 50:
            keeper.seal(workspace)
    keeper.seal(workspace)
    head = door.head()
    for position in (1, 2, 255, 256, 257, head):
        raw = door("GET", f"{BASE}/ledger/{position}/proof")[1]
        proof = msgspec.convert(raw, InclusionProof)
        path = [bytes.fromhex(step) for step in proof.path]
        leaf, root = bytes.fromhex(proof.leaf), bytes.fromhex(proof.seal.root)
        assert merkle.verify_inclusion(leaf, position - 1, proof.seal.size, path, root)
        assert workspace.trust.verify(
            proof.seal.key, bytes.fromhex(proof.seal.hash), bytes.fromhex(proof.seal.signature)
        )
    for first in (1, 100, 256, head):
        found = msgspec.convert(door("GET", f"{BASE}/consistency?first={first}")[1], ConsistencyProof)
        path = [bytes.fromhex(step) for step in found.path]
        roots = bytes.fromhex(found.first_root), bytes.fromhex(found.second_root)
        assert merkle.verify_consistency(found.first, found.second, *roots, path)
    assert door("GET", f"{BASE}/ledger/{head + 1}/proof")[0] == 404
    assert door("POST", f"{BASE}/verify")[1]["ok"] is True


def test_erasure_leaves_the_proof_and_nothing_else(door: Door) -> None:
    run = start(door, params={"secret": "s3cret-value"}, tags={"secret": "s3cret-value"})
    door("POST", f"{BASE}/runs/{run}/points", {"series": ["a"], "value": [1.0]})
    before = door.head()
    status, left = door("POST", f"{BASE}/runs/{run}/erase", {"reason": "asked to"})
    assert (status, left["lifecycle"]) == (200, "erased")
    assert door("POST", f"{BASE}/runs/{run}/params", {"params": {"b": 1}})[0] == 410
    assert door("GET", f"{BASE}/runs/{run}?as_of={before}")[0] == 410
    history = door("GET", f"{BASE}/records/{run}/history")[1]["revisions"]
    assert [revision["body"] for revision in history[:-1]] == [None] * (len(history) - 1)
    assert history[-1]["body"]["reason"] == "asked to"
    page = door("GET", f"{BASE}/changes")[1]
    assert b"s3cret" not in msgspec.json.encode(page)
    assert (
        door("POST", f"{BASE}/search", {"lifecycle": "any", "where": "params.secret = 's3cret-value'"})[1]["runs"] == []
    )
    assert door("POST", f"{BASE}/verify")[1]["ok"] is True


def test_a_moment_can_be_a_time(door: Door) -> None:
    run = start(door, name="before")
    moment = door("GET", f"{BASE}/ledger?after={door.head() - 1}")[1]["entries"][0]["time"]
    time.sleep(0.01)
    door("PATCH", f"{BASE}/runs/{run}", {"name": "after"})
    assert door("GET", f"{BASE}/runs/{run}?as_of={moment}")[1]["run"]["name"] == "before"
    assert door("GET", f"{BASE}/runs/{run}")[1]["run"]["name"] == "after"
    assert door("GET", f"{BASE}/runs/{run}?as_of=2000-01-01")[0] == 404
    assert door("GET", f"{BASE}/runs/{run}?as_of=nonsense")[0] == 400


def test_the_same_points_twice_in_a_batch_are_recorded_once(door: Door) -> None:
    run = start(door)
    before = door.head()
    log = {"do": "run.log", "run": run, "series": ["a"], "value": [1.0], "timestamp": [5]}
    status, done = door("POST", f"{BASE}/batch", {"commands": [log, log]})
    assert status == 200
    assert [result["replayed"] for result in done["results"]] == [False, True]
    assert door.head() == before + 1


def test_a_name_that_became_free_in_a_batch_can_be_taken_in_it(door: Door) -> None:
    create: dict[str, Any] = {"do": "experiment.create", "name": "a"}
    commands = [create, {"do": "experiment.update", "experiment": "a", "name": "b"}, create]
    status, done = door("POST", f"{BASE}/batch", {"commands": commands})
    assert status == 200
    assert len({result["id"] for result in done["results"]}) == 2
    assert door("GET", f"{BASE}/experiments/a")[1]["id"] == done["results"][2]["id"]
