"""A disk that is full, memory that is too, and room again: nothing is raised, and what is lost is told once."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from muniment.spool import layout
from spool.stage import Place, counts, run_of, steps

_LIBC = ctypes.CDLL(None, use_errno=True)
LOGS = """
import logging, os, resource, sys, time, muniment
logging.basicConfig(stream=sys.stderr, format="%(message)s")
disk = sys.argv[1]
def stuff(name):
    with open(os.path.join(disk, name), "wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            pass
"""
FILLS = (
    LOGS
    + """
if sys.argv[2] == "before":
    stuff("ballast")
run = muniment.start_run("full")
print("run", run.id, flush=True)
for step in range(60_000):
    run.log({"a": step}, step=step)
    if step == 10_000 and sys.argv[2] == "meanwhile":
        stuff("ballast")
    if step == 40_000:
        print("flushed", run.flush(), flush=True)
        os.unlink(os.path.join(disk, "ballast"))
run.log_artifact(b"x" * 10_000, "kept.bin")
run.finish()
"""
)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Place]:
    """A spool on a disk of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if _LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=3m") != 0:
        pytest.skip(f"this process may not mount a disk: {os.strerror(ctypes.get_errno())}")
    with Place(tmp_path, folder / "spool") as made:
        yield made
    assert _LIBC.umount2(str(folder).encode(), 2) == 0


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_full_disk(full: Place, when: str) -> None:
    """What is logged waits in memory, is sent from there, and goes to the disk again when there is room."""
    full.server.start()
    out, err = full.run(FILLS, str(full.disk.parent), when, MUNIMENT_GATHER_SECONDS="600")
    run = run_of(out)
    full.wait_empty()
    with full.client() as client:
        found = client.get_run(run)
        assert counts(found) == {"a": 60_000}
        assert steps(client, run, "a") == list(range(60_000))
        assert found.run.state == "finished"
        assert [item.path for item in client.artifacts(run)] == ["kept.bin"]
    assert err.count("waits in memory") == 1, err
    assert "neither" not in err
    assert "flushed False" in out, "memory does not survive the loss of power"
    memory = layout.memory_root(full.disk)
    assert memory is not None
    assert not list(memory.glob("*/*.segment"))


def test_a_full_disk_and_a_kill(full: Place) -> None:
    """The run whose note had no room on the disk is marked killed too."""
    full.server.start()
    program = (
        LOGS
        + """
stuff("ballast")
run = muniment.start_run("full")
print("run", run.id, flush=True)
for step in range(1000):
    run.log({"a": step}, step=step)
os.kill(os.getpid(), 9)
"""
    )
    out, _ = full.run(program, str(full.disk.parent), code_wanted=-9)
    full.wait_empty()
    with full.client() as client:
        found = client.get_run(run_of(out))
    assert (found.run.state, counts(found)) == ("killed", {"a": 1_000})


LIMITED = (
    LOGS
    + """
from muniment.fluent import session
run = muniment.start_run("limited")
print("run", run.id, flush=True)
run.log({"a": 0}, step=0)
writer = session().writer
kept = 1
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
began, tries = time.monotonic(), 200_000
for step in range(1, tries):
    lost = writer.lost
    run.log({"a": step}, step=step)
    kept += writer.lost == lost
print("lost", writer.lost, tries - kept, flush=True)
run.set_tags({"lost": "x"})
run.log_params({"lost": "x"})
run.log_artifact(b"x" * 10_000, "lost.bin")
run.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
time.sleep(0.6)
for step in range(tries, tries + 1000):
    run.log({"a": step}, step=step)
run.log_params({"later": "x"})
run.finish()
print("all", kept + 1000, time.monotonic() - began, flush=True)
"""
)


def test_no_room_anywhere(place: Place) -> None:
    """Files may not grow, on disk nor in memory: points are lost, counted and told once; then it goes on."""
    place.server.start()
    out, err = place.run(LIMITED, str(place.folder))
    said = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert said["lost"][0] == said["lost"][1] != "0"
    with place.client() as client:
        found = client.get_run(run_of(out))
        assert counts(found) == {"a": int(said["all"][0])}
        assert len(steps(client, found.run.id, "a")) == int(said["all"][0])
    assert found.params == {"later": "x"}
    assert found.run.state == "finished"
    assert err.count("neither on disk nor in memory") == 1, err
    assert "Traceback" not in err


def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    """Where no folder can be made, memory does, and the sender finds it there."""
    (tmp_path / "file").write_bytes(b"")
    with Place(tmp_path, tmp_path / "file" / "spool") as made:
        made.server.start()
        program = """
import logging, muniment, sys
logging.basicConfig(stream=sys.stderr, format="%(message)s")
run = muniment.start_run("nowhere")
print("run", run.id, flush=True)
run.log({"a": 1})
run.finish()
"""
        out, err = made.run(program)
        assert "waits in memory" in err
        with made.client() as client:
            assert counts(client.get_run(run_of(out))) == {"a": 1}
