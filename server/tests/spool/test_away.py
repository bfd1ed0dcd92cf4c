"""The server is away at first, dies while it is logged, and comes back; what was logged is there once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

from muniment.model.errors import NotFound
from spool.stage import Place, counts, run_of, steps, until

POINTS = 3_000
LOGS = """
import logging, sys, muniment
logging.basicConfig(stream=sys.stderr, format="%(message)s")
with muniment.start_run("away", params={"lr": 0.1}) as run:
    print("run", run.id, flush=True)
    for step in range(int(sys.argv[1])):
        run.log({"a": step, "b": -step}, step=step)
        if step % 100 == 99:
            print(step, flush=True)
            if len(sys.argv) > 2:
                sys.stdin.readline()
    run.log_artifact(b"bytes", "notes/a.txt")
print("done", flush=True)
"""
LATE = """
import logging, sys, time, muniment
logging.basicConfig(stream=sys.stderr, format="%(message)s")
run = muniment.start_run("late")
print("run", run.id, flush=True)
for step in range(1 << 30):
    run.log({"a": step}, step=step)
    time.sleep(0.01)
    if step % 20 == 0:
        print(step, flush=True)
"""


def test_a_server_that_is_there_later(place: Place) -> None:
    """The program ends long before the server is there; the next program's sender, or its own, brings it."""
    out, err = place.run(LOGS, str(POINTS), MUNIMENT_URL=place.url.replace("//", "//user:secretword@"))
    run = run_of(out)
    assert err.count("cannot be reached") == 1, err
    assert "is not sent yet" in err
    assert "secretword" not in err + place.log()
    place.server.start()
    place.wait_empty()
    with place.client() as client:
        found = client.get_run(run)
        assert counts(found) == {"a": POINTS, "b": POINTS}
        assert found.params == {"lr": "0.1"}
        assert found.run.state == "finished"
        assert steps(client, run, "a") == list(range(POINTS))
        assert [item.path for item in client.artifacts(run)] == ["notes/a.txt"]
    assert not place.refused()
    assert place.log().count("nothing can be sent") == 1, place.log()


def test_a_server_that_is_killed_again_and_again(place: Place) -> None:
    place.server.start()
    made = place.program(LATE)
    assert made.stdout is not None
    run = run_of(made.stdout.readline())
    for _ in range(3):
        reached = int(made.stdout.readline())

        def more(least: int = reached) -> bool:
            with place.client() as client:
                summary = client.get_run(run).metrics.get("a")
                return summary is not None and summary.count > least

        until(lambda: _there(more), "what was logged")
        place.server.kill()
        for _ in range(5):  # it goes on meanwhile
            reached = int(made.stdout.readline())
        place.server.start()
    until(lambda: _there(more), "what was logged")
    made.kill()
    out, err = made.communicate()
    last = max(int(line) for line in [*out.splitlines(), str(reached)])
    place.wait_empty()
    with place.client() as client:
        found = client.get_run(run)
        seen = steps(client, run, "a")
    assert found.run.state == "killed"
    assert seen == list(range(len(seen)))
    assert len(seen) > last
    assert counts(found) == {"a": len(seen)}
    said = ["away" if "cannot be reached" in line else "there" for line in err.splitlines()]
    assert said == ["away", "there"] * (len(said) // 2) + ["away"] * (len(said) % 2), err
    assert not place.refused()


def test_what_is_said_once(place: Place) -> None:
    """That the store is away, and that it is there again."""
    made = place.program(LATE)
    assert made.stderr is not None
    assert "cannot be reached" in made.stderr.readline()
    place.server.start()
    assert "is there again" in made.stderr.readline()
    made.kill()
    assert made.communicate()[1] == ""


def _there(condition: Callable[[], bool]) -> bool:
    with contextlib.suppress(NotFound):
        return condition()
    return False


def test_a_project_that_does_not_exist_stops_nobody_else(place: Place) -> None:
    """Its entries wait; those of other projects are sent, whoever was there first."""
    place.server.start()
    lost = run_of(place.run(LOGS, "100", MUNIMENT_PROJECT="nowhere", MUNIMENT_FINISH_SECONDS="3")[0])
    _, err = place.run(LOGS, "100", MUNIMENT_PROJECT="nowhere", MUNIMENT_FINISH_SECONDS="3")
    assert "does not take what this process logs" in err
    run = run_of(place.run(LOGS, "100")[0])
    with place.client() as client:
        assert counts(client.get_run(run)) == {"a": 100, "b": 100}
        client.create_project("nowhere")
        place.wait_empty()
        with client.of_project("nowhere") as other:
            assert counts(other.get_run(lost)) == {"a": 100, "b": 100}
    assert place.log().count("cannot be sent") == 2, place.log()


def test_refused_entries_are_kept(place: Place) -> None:
    """More than one answer describes."""
    place.server.start()
    program = """
import muniment
from muniment.model.batch import SetTags
from muniment.model.ids import new_id
with muniment.start_run("refused") as run:
    print("run", run.id, flush=True)
    for number in range(2_500):
        run._session.command(SetTags(run="0" * 32, tags={"number": str(number)}))
    run.log({"a": 1})
"""
    run = run_of(place.run(program)[0])
    place.wait_empty()
    kept = [json.loads(line) for line in place.refused()]
    assert [line["refused"]["tags"]["number"] for line in kept] == [str(number) for number in range(2_500)]
    assert {line["code"] for line in kept} == {"not_found"}
    with place.client() as client:
        assert counts(client.get_run(run)) == {"a": 1}


def test_one_line_too_long_stops_nothing(place: Place) -> None:
    """A limit on a stream as a whole falls on the one entry that breaks it."""
    place.server.close()
    from robustness.server import Server

    place.server = Server(
        place.server.store, place.server.trust, place.server.log, options=("--port", str(place.port)),
        settings=("muniment_server.services.bulk:LINE_LIMIT=3000",),
    )  # fmt: skip
    place.server.start()
    program = """
import muniment
with muniment.start_run("long") as run:
    print("run", run.id, flush=True)
    for number in range(20):
        run.set_tags({f"t{number}": "x" * (5_000 if number == 7 else 5)})
"""
    run = run_of(place.run(program)[0])
    with place.client() as client:
        assert sorted(client.get_run(run).tags) == sorted(f"t{number}" for number in range(20) if number != 7)
    assert [json.loads(line)["code"] for line in place.refused()] == ["too_large"]
