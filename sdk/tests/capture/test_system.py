"""What processes use: real ones, and folders that look like the kernel's."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from muniment.capture import machine, system
from muniment.capture.system import Sampler

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's files are Linux's")

WORK = """
    import subprocess, sys, time
    if len(sys.argv) > 1:
        kept = bytearray(50_000_000)
        until = time.process_time() + 0.5
        while time.process_time() < until:
            pass
        print("worked", flush=True)
        sys.stdin.readline()
    else:
        child = subprocess.Popen([sys.executable, __file__, "child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        sys.stdin.readline()
        child.stdout.readline()
        print("worked", flush=True)
        sys.stdin.readline()
        child.communicate()
        print("ended", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with a child; each line it is given lets it go on by a step."""
    script = tmp_path / "work.py"
    script.write_text(textwrap.dedent(WORK))
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as made:
        yield made
        made.kill()


def _step(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline()


@linux
def test_a_process_and_its_children(family: subprocess.Popen[str]) -> None:
    begun = time.monotonic()
    sampler = Sampler(family.pid)
    _step(family)
    found = sampler.sample()
    spent = found["system.cpu_percent"] * (time.monotonic() - begun) / 100
    assert 0.45 < spent < 1.5, "the child's half second, and what starting Python takes"
    assert found["system.processes"] == 2
    assert found["system.memory_bytes"] > 50_000_000
    _step(family)
    later = sampler.sample()
    assert later["system.processes"] == 1
    assert later["system.memory_bytes"] < 50_000_000
    assert "system.gpu.0.memory_bytes" not in later
    family.kill()
    family.wait()
    assert sampler.sample() == {}


@linux
def test_this_very_process_and_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threading.active_count()
    sampler = Sampler()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    found = sampler.sample()
    assert found["system.cpu_percent"] > 0
    assert found["system.memory_bytes"] > 1 << 20
    monkeypatch.setattr(system, "_SHORTEST", 3_600)
    assert "system.cpu_percent" not in sampler.sample(), "at once there is nothing to divide by"
    assert threading.active_count() == threads


@linux
def test_bytes_written_are_counted(tmp_path: Path) -> None:
    sampler = Sampler()
    with (tmp_path / "file").open("wb") as file:
        file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    found = sampler.sample()
    assert found["system.disk_written_bytes"] >= (1 << 20 if _keeps_files(tmp_path) else 0)
    assert found["system.disk_written_bytes"] < 1 << 28, "since the sampler was made, not since the process was"


def _keeps_files(folder: Path) -> bool:
    """Whether a folder lies on a disk; what is written to memory is no write."""
    answer = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout
    return answer.strip() not in {"tmpfs", "ramfs"}


class Kernel:
    """A folder like /proc, in which processes can be made to have used whatever a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def process(self, pid: int, parent: int, ticks: tuple[int, int, int, int] = (0, 0, 0, 0), pages: int = 1,
                born: int = 5, read: int | None = 0) -> None:  # fmt: skip
        place = self.folder / str(pid)
        place.mkdir(exist_ok=True)
        user, kernel, child_user, child_kernel = ticks
        fields = [
            "S",
            parent,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            user,
            kernel,
            child_user,
            child_kernel,
            0,
            0,
            1,
            0,
            born,
            0,
            pages,
        ]
        (place / "stat").write_text(f"{pid} (a ) (b) 7) {' '.join(map(str, fields))} 0 0\n")
        if read is not None:
            (place / "io").write_text(f"rchar: 9\nread_bytes: {read}\nwrite_bytes: {read * 2}\n")

    def net(self, pid: int, received: int, sent: int) -> None:
        (self.folder / str(pid) / "net").mkdir(exist_ok=True)
        (self.folder / str(pid) / "net/dev").write_text(
            "Inter-|   Receive  |  Transmit\n face |bytes    packets|bytes    packets\n"
            "    lo: 77 1 0 0 0 0 0 0 77 1 0 0 0 0 0 0\n"
            f"  eth0:{received} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n"
        )

    def end(self, pid: int) -> None:
        for file in (self.folder / str(pid)).iterdir():
            file.unlink()
        (self.folder / str(pid)).rmdir()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    (tmp_path / "self").mkdir()
    (tmp_path / "uptime").write_text("1 1\n")
    return Kernel(tmp_path)


@linux
def test_counters_never_fall(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(system.time, "monotonic", lambda: clock[0])
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    kernel.process(10, 1, (tick, 0, 0, 0), pages=3, read=100)
    kernel.process(11, 10, (0, 0, 0, 0), pages=4, read=50)
    kernel.process(12, 11, (0, 0, 0, 0), pages=5)
    kernel.process(13, 1, (9, 9, 9, 9), pages=99)
    kernel.net(10, 1_000, 2_000)
    sampler = Sampler(10, kernel.folder)
    clock[0] += 2
    kernel.process(11, 10, (tick, tick, 0, 0), pages=4, read=80)
    kernel.net(10, 1_500, 2_100)
    assert sampler.sample() == {
        "system.memory_bytes": 12 * page, "system.processes": 3, "system.cpu_percent": 100.0,
        "system.disk_read_bytes": 30, "system.disk_written_bytes": 60,
        "system.net_received_bytes": 500, "system.net_sent_bytes": 100,
    }  # fmt: skip
    clock[0] += 1
    kernel.end(12)
    kernel.end(11)
    kernel.process(
        10, 1, (tick, 0, tick, tick), pages=3, read=185
    )  # it has waited for its child, which had read 5 more
    found = sampler.sample()
    assert found["system.cpu_percent"] == 0
    assert found["system.disk_read_bytes"] == 35
    clock[0] += 1
    kernel.process(10, 1, (tick, 0, 0, 0), pages=3, read=10)
    found = sampler.sample()
    assert (found["system.cpu_percent"], found["system.disk_read_bytes"]) == (0, 35)
    kernel.process(10, 1, pages=3, born=6)
    assert sampler.sample() == {}, "another process with the same number"


@linux
def test_what_may_not_be_read_is_left_out(kernel: Kernel) -> None:
    kernel.process(10, 1)
    kernel.process(11, 10, read=None)
    found = Sampler(10, kernel.folder).sample()
    assert set(found) == {"system.memory_bytes", "system.processes"}
    assert Sampler(99, kernel.folder).sample() == {}


def test_gpus_by_their_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, 97, 1024, 60, 250.5'\necho '1, [N/A], 1, 40, [N/A]'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    sampler = Sampler()
    found = {name: value for name, value in sampler.sample().items() if ".gpu." in name}
    assert found == {
        "system.gpu.0.utilization_percent": 97, "system.gpu.0.memory_bytes": 1024 << 20,
        "system.gpu.0.power_watts": 250.5, "system.gpu.0.temperature_celsius": 60,
        "system.gpu.1.memory_bytes": 1 << 20, "system.gpu.1.temperature_celsius": 40,
    }  # fmt: skip
    program.unlink()
    assert not any(".gpu." in name for name in sampler.sample())
    asked: list[str] = []
    monkeypatch.setattr(system, "ask_gpus", lambda fields: asked.append(fields) or [])
    sampler.sample()
    assert asked == [], "what did not answer once is not asked for again"
    assert machine.ask_gpus("index") == []


def test_gpus_by_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is stood in for: there is no GPU where tests run."""

    def unsupported(*_: object) -> None:
        raise RuntimeError("Not Supported")

    library = types.SimpleNamespace(
        nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 1, nvmlDeviceGetHandleByIndex=lambda number: f"gpu {number}",
        nvmlDeviceGetUtilizationRates=lambda _: types.SimpleNamespace(gpu=50, memory=1),
        nvmlDeviceGetMemoryInfo=lambda _: types.SimpleNamespace(used=123, total=999),
        nvmlDeviceGetTemperature=unsupported, nvmlDeviceGetPowerUsage=lambda _: 12_500,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", library)
    found = Sampler().sample()
    assert {name: value for name, value in found.items() if ".gpu." in name} == {
        "system.gpu.0.utilization_percent": 50, "system.gpu.0.memory_bytes": 123, "system.gpu.0.power_watts": 12.5,
    }  # fmt: skip
    monkeypatch.setattr(library, "nvmlInit", unsupported)
    assert not any(".gpu." in name for name in Sampler().sample())


def test_elsewhere_the_standard_library_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(system, "_SHORTEST", 0.0)
    sampler = Sampler()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    found = sampler.sample()
    assert set(found) == {"system.cpu_percent", "system.memory_peak_bytes"}
    assert found["system.cpu_percent"] > 0
    assert Sampler(os.getppid()).sample() == {}
    monkeypatch.setitem(sys.modules, "resource", None)
    assert set(sampler.sample()) == {"system.cpu_percent"}
