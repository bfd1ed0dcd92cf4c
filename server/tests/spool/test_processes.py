"""Forks, ranks, threads and signals: each process writes for itself, and a run ends once."""

from __future__ import annotations

import pytest

from spool.stage import Place, counts, run_of, steps, until

FORKS = """
import os, sys, muniment
run = muniment.start_run("forks")
print("run", run.id, flush=True)
run.log({"parent": 0})
children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        for step in range(50):
            run.log({f"child{number}": step}, step=step)
        run.log_params({f"p{number}": number})
        if number % 2:
            os._exit(0)
        sys.exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
if "slow" in sys.argv:
    print(run.record().run.state)
run.log({"parent": 1})
run.finish()
"""
MULTI = """
import multiprocessing, sys, muniment
def work(arguments):
    run, number = arguments
    rank = muniment.attach(run)
    for step in range(20):
        rank.log({f"rank{number}": step}, step=step)
    return number
if __name__ == "__main__":
    with muniment.start_run("multi") as run:
        print("run", run.id, flush=True)
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(2) as pool:
            assert pool.map(work, [(run.id, number) for number in range(6)], chunksize=1) == list(range(6))
"""
THREADS = """
import threading, muniment
barrier = threading.Barrier(8)
run = muniment.start_run("threads")
def work(number):
    barrier.wait()
    for step in range(200):
        run.log({"all": step, f"t{number}": step}, step=step * 8 + number)
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("run", run.id, flush=True)
run.finish()
"""
SIGNALS = """
import signal, muniment
run = muniment.start_run("signals")
print("run", run.id, flush=True)
rung = 0
def ring(*_):
    global rung
    number = rung
    rung += 1  # before anything is called: the next signal interrupts this one
    run.log({"rung": number}, step=number)
    run.set_tags({f"t{number}": "x"})
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for step in range(40_000):
    run.log({"a": step, "b": step}, step=step)
    if step % 10 == 0:
        run.log_params({f"p{step // 100}": "x"})
    if rung > 500:
        break
signal.setitimer(signal.ITIMER_REAL, 0)
print("rung", rung, step + 1, flush=True)
run.finish()
"""


@pytest.mark.parametrize("late", ["", "slow"])
def test_forked_processes(place: Place, late: str) -> None:
    """What a child logs is there, whether it ends by `exit` or not; it ends no run of its parent."""
    place.server.start()
    out, err = place.run(FORKS, late)
    run = run_of(out)
    if late:
        assert "running" in out, "a child that ends has not ended its parent's run"
    place.wait_empty()
    with place.client() as client:
        found = client.get_run(run)
        assert counts(found) == {"parent": 2, **{f"child{number}": 50 for number in range(4)}}
        assert steps(client, run, "parent") == [0, 1]
        assert found.params == {f"p{number}": str(number) for number in range(4)}
        assert found.run.state == "finished"
    assert not place.refused(), (err, place.refused()[:3])


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_multiprocessing(place: Place, how: str) -> None:
    place.server.start()
    path = place.folder / "multi.py"
    path.write_text(MULTI)
    code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    run = run_of(place.run(code, str(path), how)[0]) if how == "fork" else run_of(_file(place, path, how))
    place.wait_empty()
    with place.client() as client:
        found = client.get_run(run)
    assert counts(found) == {f"rank{number}": 20 for number in range(6)}
    assert found.run.state == "finished"
    assert not place.refused()


def _file(place: Place, path: object, how: str) -> str:
    code = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)"
    return place.run(code, str(path), how)[0]


def test_sixteen_ranks_of_a_run_that_comes_last(place: Place) -> None:
    """What ranks log waits for the run, whoever of them is sent first, and is not refused."""
    run = "0123456789abcdef0123456789abcde5"
    rank = """
import sys, muniment
rank = muniment.attach(sys.argv[1])
for step in range(100):
    rank.log({f"rank{sys.argv[2]}": step}, step=step)
rank.log_params({f"p{sys.argv[2]}": "x"})
rank.finish()
"""
    first = """
import sys, muniment, muniment.recorder
muniment.recorder.new_id = lambda: sys.argv[1]
run = muniment.start_run("ranks")
run.log({"rank0": 1.0})
run.finish()
"""
    place.server.start()
    ranks = [place.program(rank, run, str(number), MUNIMENT_FINISH_SECONDS="0.2") for number in range(1, 16)]
    for made in ranks:
        assert made.wait(60) == 0
    assert not place.refused()
    place.run(first, run)
    place.wait_empty()
    with place.client() as client:
        found = client.get_run(run)
    assert counts(found) == {"rank0": 1, **{f"rank{number}": 100 for number in range(1, 16)}}
    assert found.params == {f"p{number}": "x" for number in range(1, 16)}
    assert not place.refused()


def test_a_child_run_of_another_process_waits_for_its_parent(place: Place) -> None:
    place.server.start()
    parent = "0123456789abcdef0123456789abcde5"
    child = place.program(
        "import sys, muniment\n"
        "run = muniment.start_run('child', parent=sys.argv[1])\nprint('run', run.id)\nrun.finish()",
        parent, MUNIMENT_FINISH_SECONDS="0.2",
    )  # fmt: skip
    run = run_of(child.communicate()[0])
    place.run(
        "import sys, muniment, muniment.recorder\nmuniment.recorder.new_id = lambda: sys.argv[1]\n"
        "muniment.start_run('parent').finish()", parent,
    )  # fmt: skip
    place.wait_empty()
    with place.client() as client:
        assert client.get_run(run).run.parent == parent


def test_threads_begin_one_run(place: Place) -> None:
    place.server.start()
    run = run_of(place.run(THREADS)[0])
    with place.client() as client:
        found = client.get_run(run)
        assert counts(found) == {"all": 1_600, **{f"t{number}": 200 for number in range(8)}}
        assert steps(client, run, "all") == list(range(1_600))
        from muniment.model.search import Query

        assert len(client.search(Query(where="")).runs) == 1
    assert not place.refused()


def test_signals_that_log_while_it_is_logged(place: Place) -> None:
    place.server.start()
    out, err = place.run(SIGNALS)
    _, rung, reached = out.splitlines()[1].split()
    with place.client() as client:
        found = client.get_run(run_of(out))
        assert int(rung) > 50
        assert counts(found) == {"rung": int(rung), "a": int(reached), "b": int(reached)}
        assert steps(client, found.run.id, "rung") == list(range(int(rung)))
        assert found.tags == {f"t{number}": "x" for number in range(int(rung))}
    assert err == ""


def test_a_signal_that_ends_the_run_while_it_begins(place: Place) -> None:
    """Nothing that a handler does waits for what it has interrupted."""
    place.server.start()
    program = """
import os, signal, sys, muniment
from muniment.spool import process
real = process.ensure
def ensure(disk):
    process.ensure = real
    os.kill(os.getpid(), signal.SIGTERM)
    real(disk)
process.ensure = ensure
def ring(*_):
    with muniment.start_run("handler") as other:
        other.log({"a": 1})
        print("run", other.id, flush=True)
signal.signal(signal.SIGTERM, ring)
with muniment.start_run("main") as run:
    run.log({"a": 1})
"""
    run = run_of(place.run(program)[0])
    with place.client() as client:
        assert until(lambda: counts(client.get_run(run)), "the handler's run") == {"a": 1}
