"""Answers that are lost, requests that arrive twice, and streams that break off: everything is there, once."""

from __future__ import annotations

import json

import pytest

from spool.proxy import Proxy
from spool.stage import Place, counts, run_of, steps

POINTS = 40_000
LOGS = """
import sys, muniment
from muniment.model.batch import SetTags
with muniment.start_run("proxied") as run:
    print("run", run.id, flush=True)
    for step in range(int(sys.argv[1])):
        run.log({"a": step, "b": -step}, step=step)
    for number in range(30):
        run.set_tags({f"t{number}": "x"})
        if number % 3 == 0:
            run._session.command(SetTags(run="0" * 32, tags={"number": str(number)}))
    run.log_artifact(b"x" * 1_000_000, "big.bin")
    run.set_tags({"last": "one"})
"""


@pytest.mark.parametrize("does", ["drop", "cut", "twice"])
def test_everything_is_there_once(place: Place, does: str) -> None:
    """Every third import, and each kind of another request once."""
    place.server.start()
    done: set[str] = set()

    def act(line: str, imports: int) -> str:
        kind = line.partition("?")[0].rpartition("/")[2]
        if "/import" in line:
            return does if imports % 3 == 1 else "pass"
        new = kind not in done
        done.add(kind)
        return does if new else "pass"

    with Proxy(place.server.port, act) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        out, err = place.run(LOGS, str(POINTS), MUNIMENT_URL=url, MUNIMENT_GATHER_SECONDS="0")
        place.wait_empty()
    run = run_of(out)
    with place.client() as client:
        found = client.get_run(run)
        assert counts(found) == {"a": POINTS, "b": POINTS}, proxy.seen
        assert steps(client, run, "b") == list(range(POINTS))
        assert found.run.state == "finished"
        assert sorted(found.tags) == sorted([*(f"t{number}" for number in range(30)), "last"])
        assert [item.artifact.size for item in client.artifacts(run) if item.artifact] == [1_000_000]
    assert sum(did == does for _, did in proxy.seen) >= 2, proxy.seen
    kept = [json.loads(line)["refused"] for line in place.refused()]
    refused = {line["tags"]["number"] for line in kept if line["do"] == "run.tags" and line["run"] == "0" * 32}
    assert refused == {str(number) for number in range(0, 30, 3)}, (err, place.refused())


def test_a_run_is_marked_killed_though_that_was_cut_off(place: Place) -> None:
    """The last request of a dead writer's sender is lost: it is asked again, rather than forgotten."""
    place.server.start()
    cut: list[str] = []

    def act(line: str, _: int) -> str:
        if line.startswith("PATCH") and len(cut) < 8:  # more often than a request is tried by itself
            cut.append(line)
            return "cut"
        return "pass"

    program = """
import os, muniment
run = muniment.start_run("killed")
print("run", run.id, flush=True)
run.log({"a": 1})
os.kill(os.getpid(), 9)
"""
    with Proxy(place.server.port, act) as proxy:
        out, _ = place.run(program, code_wanted=-9, MUNIMENT_URL=f"http://127.0.0.1:{proxy.port}")
        place.wait_empty()
    assert len(cut) == 8
    with place.client() as client:
        assert client.get_run(run_of(out)).run.state == "killed"
