"""`kill -9` of whoever logs and of whoever sends, at any moment: all that was logged is there, and nothing twice."""

from __future__ import annotations

import random
import subprocess
import time

from muniment.model.errors import NotFound
from muniment.spool import layout
from spool.stage import Place, counts, run_of, steps, until

ROUNDS = 8
LOGS = """
import sys, muniment
run = muniment.start_run("killed", params={"seed": 1})
out = sys.stdout
out.write(f"run {run.id}\\n")
out.flush()
for step in range(int(sys.argv[1])):
    run.log({"a": step, "b": -step}, step=step)
    out.write(f"{step}\\n")
    out.flush()
run.finish()
"""
ENDLESS = str(1 << 40)


def test_what_log_has_returned_for_survives(place: Place) -> None:
    """A line is printed after each call: each that was read is of points that must be there."""
    place.server.start()
    chance = random.Random(11)
    reached: dict[str, int] = {}
    for _ in range(ROUNDS):
        made = place.program(LOGS, ENDLESS)
        assert made.stdout is not None
        run = run_of(made.stdout.readline())
        wanted, last = int(10 ** chance.uniform(0, 4)), ""
        for _ in range(wanted):
            last = made.stdout.readline()
        made.kill()
        for line in made.stdout:
            last = line if line.endswith("\n") else last
        reached[run] = int(last) + 1
    place.wait_empty()
    with place.client() as client:
        for run, least in reached.items():
            found = client.get_run(run)
            count = counts(found)["a"]
            assert least <= count <= least + 1, "one more may have been logged that was not printed"
            assert counts(found) == {"a": count, "b": count}, "all points of a call, or none"
            assert steps(client, run, "a") == steps(client, run, "b") == list(range(count))
            assert found.run.state == "killed"
            assert found.params == {"seed": "1"}
    assert not place.refused()


UNTIL_STOPPED = """
import os, sys, time, muniment
run = muniment.start_run("killed")
step = 0
while not os.path.exists(sys.argv[1]):
    for _ in range(100):
        run.log({"a": step, "b": -step}, step=step)
        step += 1
    time.sleep(0.005)
run.finish()
print("run", run.id, step)
"""


def test_senders_that_are_killed(place: Place) -> None:
    """Again and again while it is logged; another one begins, and goes on where the last one was."""
    place.server.start()
    made = place.program(UNTIL_STOPPED, str(place.folder / "stop"), MUNIMENT_GATHER_SECONDS="0")
    chance = random.Random(5)
    for _ in range(6):
        until(place.senders, "a sender")
        time.sleep(chance.uniform(0, 0.8))
        assert place.kill_senders() >= 1
        _start_sender(place)
    (place.folder / "stop").touch()
    out, err = made.communicate(timeout=60)
    assert made.returncode == 0, err
    place.wait_empty()
    run, count = run_of(out), int(out.split()[2])
    with place.client() as client:
        found = client.get_run(run)
        assert counts(found) == {"a": count, "b": count}
        assert steps(client, run, "a") == list(range(count))
        assert found.run.state == "finished"
    assert not place.refused()


def test_a_sender_that_was_killed_is_replaced_by_the_program(place: Place) -> None:
    """Nobody has to wait for the end of a run to see what is logged after that."""
    place.server.start()
    program = """
import time, muniment
run = muniment.start_run("long")
print("run", run.id, flush=True)
for step in range(1 << 30):
    run.log({"a": step}, step=step)
    time.sleep(0.02)
"""
    made = place.program(program)
    assert made.stdout is not None
    run = run_of(made.stdout.readline())
    with place.client() as client:

        def received() -> int:
            try:
                return counts(client.get_run(run)).get("a", 0)
            except NotFound:
                return 0

        until(received, "what was logged")
        assert place.kill_senders() == 1
        before = received()
        until(lambda: received() > before + 100, "what was logged after the sender was killed")


def test_several_senders_at_once(place: Place) -> None:
    """Two machines with one spool, and the end of neither waits for the other."""
    made = place.program(LOGS, "30000", MUNIMENT_FINISH_SECONDS="0")
    out, err = made.communicate()
    assert made.returncode == 0, err
    run = run_of(out)
    place.kill_senders()
    names = ("one", "two", "three")
    senders = [_sender_of(place, name) for name in names]
    # each is there before there is somebody to send to: one that starts late finds nothing left to do
    until(lambda: len(list(place.disk.glob("sender-*.lock"))) == len({*names, layout.host()}), "every sender's lock")
    place.server.start()
    place.wait_empty()
    for sender in senders:
        sender.kill()
        assert "Traceback" not in sender.communicate()[1]
    with place.client() as client:
        found = client.get_run(run)
        assert counts(found) == {"a": 30_000, "b": 30_000}
        assert steps(client, run, "a") == list(range(30_000))
        assert found.run.state == "finished"
    assert not place.refused()


def _start_sender(place: Place) -> None:
    code = "from pathlib import Path; from muniment.spool import process; import sys; process.ensure(Path(sys.argv[1]))"
    place.program(code, str(place.disk))


def _sender_of(place: Place, host: str) -> subprocess.Popen[str]:
    code = """
import sys
from muniment.spool import layout, process
layout.host = lambda: sys.argv[1]
process.main(sys.argv[2])
"""
    return place.program(code, host, str(place.disk))
