"""How runs end: by themselves, by an exception, by the program's end, by a kill; and how they go on."""

from __future__ import annotations

import signal
import time

import pytest

from muniment.model.search import Query
from spool.stage import Place, counts, run_of, until

WITH = """
import os, signal, sys, muniment
with muniment.start_run("ending") as run:
    print("run", run.id, flush=True)
    run.log({"a": 1})
    %s
"""
BARE = """
import os, signal, sys, muniment
run = muniment.start_run("ending")
print("run", run.id, flush=True)
run.log({"a": 1})
%s
"""
ENDINGS = [
    ("pass", 0, "finished"),
    ("raise ValueError('x')", 1, "failed"),
    ("raise KeyboardInterrupt", -signal.SIGINT, "killed"),
    ("sys.exit(0)", 0, "finished"),
    ("sys.exit(3)", 3, "failed"),
    ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, "killed"),
    ("os._exit(1)", 1, "killed"),
]


@pytest.mark.parametrize("frame", [WITH, BARE], ids=["with", "bare"])
def test_endings(place: Place, frame: str) -> None:
    place.server.start()
    for line, code, said in ENDINGS:
        # Python tells nobody of a status, after the program's own last line
        state = "finished" if frame is BARE and line == "sys.exit(3)" else said
        run = run_of(place.run(frame.replace("%s", line), code_wanted=code)[0])
        with place.client() as client:
            until(lambda run=run: _ended(place, run), "the end of the run")
            found = client.get_run(run)
        assert (found.run.state, counts(found)) == (state, {"a": 1}), line
        assert found.run.ended_at is not None
    assert not place.refused()


def _ended(place: Place, run: str) -> bool:
    with place.client() as client:
        return any(data.run.id == run and data.run.state != "running" for data in client.search(Query(where="")).runs)


def test_nested_and_decorated_runs(place: Place) -> None:
    place.server.start()
    program = """
import muniment
@muniment.start_run("inner", tags={"k": "v"})
def train(lr, depth=3, run=None):
    run.log({"a": lr})
    return run.id
with muniment.start_run("outer") as outer:
    print(outer.id, train(0.1), train(0.2, depth=5))
    with muniment.start_run("inner") as inner:
        print(inner.id)
print(train(0.3))
"""
    out, _ = place.run(program)
    outer, first, second, inner, last = out.split()
    with place.client() as client:
        found = {name: client.get_run(name) for name in (outer, first, second, inner, last)}
    assert [found[name].run.parent for name in (outer, first, second, inner, last)] == [None, outer, outer, outer, None]
    assert found[second].params == {"lr": "0.2", "depth": "5"}
    assert found[second].tags == {"k": "v"}
    assert {data.run.state for data in found.values()} == {"finished"}


def test_a_run_that_was_killed_goes_on(place: Place) -> None:
    """Also while the store is away: the attempts come in their order."""
    first = run_of(place.run(WITH.replace("%s", "os.kill(os.getpid(), 9)"), code_wanted=-9)[0])
    program = """
import sys, muniment
with muniment.start_run("ending", resume=sys.argv[1]) as run:
    run.log({"a": 2}, step=1)
"""
    place.run(program, first, MUNIMENT_FINISH_SECONDS="0")
    place.server.start()
    place.wait_empty()
    with place.client() as client:
        found = client.get_run(first)
    assert (found.run.attempt, found.run.state, counts(found)) == (2, "finished", {"a": 2})
    assert not place.refused()


def test_how_long_the_end_waits(place: Place) -> None:
    """MUNIMENT_FINISH_SECONDS of a store that hangs; a store that is away is not waited for."""
    import socket

    with socket.create_server(("127.0.0.1", place.port)):
        started = time.monotonic()
        _, err = place.run(BARE.replace("%s", "run.finish()"), MUNIMENT_FINISH_SECONDS="1")
        assert "is not sent yet" in err
        assert 1 <= time.monotonic() - started < 20
    place.kill_senders()
    started = time.monotonic()
    _, err = place.run(BARE.replace("%s", "run.finish()"), MUNIMENT_FINISH_SECONDS="600")
    assert "cannot be reached" in err
    assert time.monotonic() - started < 30


def test_entries_are_gathered(place: Place) -> None:
    """MUNIMENT_GATHER_SECONDS: what nobody waits for is sent together, what somebody waits for at once."""
    place.server.start()
    program = """
import time, muniment
from muniment.fluent import session
run = muniment.start_run("gathered")
print("run", run.id, flush=True)
run.wait()
print("there", flush=True)
for step in range(100):
    run.log({"a": step})
    time.sleep(0.01)
print(session().client.get_run(run.id).metrics)
run.finish()
"""
    out, _ = place.run(program, MUNIMENT_GATHER_SECONDS="600")
    assert out.splitlines()[1:] == ["there", "{}"]
    with place.client() as client:
        assert counts(client.get_run(run_of(out))) == {"a": 100}
