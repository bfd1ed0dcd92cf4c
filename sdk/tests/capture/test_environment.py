"""What a program runs in, from folders that look like a machine's."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import msgspec
import pytest

from muniment.capture import PARTS, chosen, environment, machine, storable


def _distribution(site: Path, name: str, version: str, direct: str | None = None, kind: str = "dist-info") -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.{kind}"
    folder.mkdir(parents=True)
    file = "METADATA" if kind == "dist-info" else "PKG-INFO"
    (folder / file).write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: s\n\nName: not-this\n"
    )
    if direct is not None:
        (folder / "direct_url.json").write_text(direct)


def test_this_very_process() -> None:
    found, packages = environment.capture()
    assert found.python == platform.python_version()
    assert found.packages_digest == hashlib.sha256(packages).hexdigest()
    lines = packages.decode().split("\n")
    assert lines == sorted(lines)
    assert f"msgspec=={msgspec.__version__}" in lines
    assert not any(line.startswith("pytest  ") for line in lines)
    assert found.hardware is not None
    assert found.hardware["machine"] == platform.machine()
    assert 0 < found.hardware["cores"] <= (os.cpu_count() or 1)
    assert found.hardware["memory_bytes"] > 1 << 20
    assert environment.capture()[1] == packages


def test_packages_are_noted_as_pip_reads_them(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    _distribution(first, "Plain_Name", "1.0")
    _distribution(first, "twice", "2.0")
    _distribution(second, "twice", "1.0")
    _distribution(second, "plain.name", "1.0")
    _distribution(first, "old", "0.1", kind="egg-info")
    _distribution(first, "from-git", "0.2.dev1", '{"url": "https://ada:pw@example.org/a.git", "vcs_info": '
                  '{"vcs": "git", "commit_id": "abc123", "requested_revision": "main"}}')  # fmt: skip
    _distribution(first, "from-web", "3", '{"url": "https://example.org/w.whl?token=abc", "archive_info": '
                  '{"hash": "sha256=ff", "hashes": {"sha256": "ff"}}}')  # fmt: skip
    _distribution(first, "from-file", "4", '{"url": "file:///somebody/w.whl", "archive_info": {"hash": "sha256=ee"}}')
    _distribution(first, "from-folder", "5", '{"url": "file:///somebody/x", "dir_info": {}}')
    _distribution(first, "edited", "6", '{"url": "file:///somebody/y", "dir_info": {"editable": true}}')
    _distribution(first, "broken-note", "7", "{")
    (first / "broken-1.0.dist-info").mkdir()
    developed = tmp_path / "developed"
    (developed / "mine.egg-info").mkdir(parents=True)
    (developed / "mine.egg-info/PKG-INFO").write_text("Name: mine\nVersion: 8\n")
    (developed / "setup.py").write_text("")
    lines = environment.packages(distributions(path=[str(first), str(second), str(developed)]))
    assert lines == [
        "# twice==1.0 is there too, behind the other twice",
        "broken-note==7",
        "edited==6  # editable",
        "from-file==4  # from a local file#sha256=ee",
        "from-folder==5  # from a local folder",
        "from-git==0.2.dev1  # from git+https://example.org/a.git@abc123",
        "from-web==3  # from https://example.org/w.whl#sha256=ff",
        "mine==8  # editable",
        "old==0.1",
        "plain-name==1.0",
        "twice==2.0",
    ]
    listed = tmp_path / "packages.txt"
    listed.write_text("\n".join(lines))
    # pip's own reading of requirements, which needs no index
    program = (
        "import sys; from pip._internal.req.req_file import parse_requirements\n"
        "from pip._internal.network.session import PipSession\n"
        "print([found.requirement for found in parse_requirements(sys.argv[1], session=PipSession())])"
    )
    read = subprocess.run([sys.executable, "-c", program, str(listed)], capture_output=True, text=True, check=False)
    assert read.stdout.strip() == str([line.partition("  #")[0] for line in lines[1:]]), read.stderr


def test_only_variables_of_the_list_are_read() -> None:
    found = environment.variables({"OMP_NUM_THREADS": "4", "AWS_SECRET_ACCESS_KEY": "x", "PATH": "/bin",
                                   "PYTHONHASHSEED": "0", "XLA_FLAGS": "x" * 5_000})  # fmt: skip
    assert set(found) == {"OMP_NUM_THREADS", "PYTHONHASHSEED", "XLA_FLAGS"}
    assert len(found["XLA_FLAGS"]) < 1_100
    assert list(environment.VARIABLES) == sorted(set(environment.VARIABLES))


def test_the_image(tmp_path: Path) -> None:
    assert environment.image({}, tmp_path) is None
    assert environment.image({"CI_JOB_IMAGE": "a:1", "MUNIMENT_IMAGE": "b@sha256:0"}, tmp_path) == "b@sha256:0"
    assert environment.image(
        {"SINGULARITY_CONTAINER": "docker://ada:pw@host/a:1", "MUNIMENT_IMAGE": " "}, tmp_path
    ) == ("docker://host/a:1")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").write_text('engine="podman-5"\nimage="example.org/fit:3"\nimageid="ff"\n')
    assert environment.image({}, tmp_path) == "example.org/fit:3"


def _files(root: Path, files: dict[str, str]) -> Path:
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


@pytest.fixture
def _many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


MEMORY = {"proc/meminfo": "MemTotal:       67108864 kB\nMemFree: 1 kB\n"}
GIB = 1 << 30


@pytest.mark.usefixtures("_many_cores")
@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, 16, 64 * GIB),
        (
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n",
             "sys/fs/cgroup/memory.max": "max\n"},
            1.5, 64 * GIB,
        ),
        (  # a limit of a group further out counts as well
            {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
             "sys/fs/cgroup/a/cpu.max": "400000 100000\n", "sys/fs/cgroup/a/b/memory.max": f"{8 * GIB}\n",
             "sys/fs/cgroup/a/memory.max": f"{4 * GIB}\n"},
            4, 4 * GIB,
        ),
        (  # version 1 in a container: the path is the host's, the files are at the top
            {"proc/self/cgroup": "5:cpu,cpuacct:/docker/ff\n3:memory:/docker/ff\n1:name=systemd:/x\n",
             "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
             "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
             "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n"},
            2.5, 2 * GIB,
        ),
        (  # version 1 without limits
            {"proc/self/cgroup": "5:cpu:/a\n3:memory:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
             "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
             "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n"},
            16, 64 * GIB,
        ),
        (  # both at once
            {"proc/self/cgroup": "2:memory:/a\n0::/b\n", "sys/fs/cgroup/unified/b/cpu.max": "100000 50000\n",
             "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{GIB}\n"},
            2, GIB,
        ),
        ({"proc/self/cgroup": "0::/../..\nnonsense\n\n", "sys/fs/cgroup/cpu.max": "x y z"}, 16, 64 * GIB),
    ],
)  # fmt: skip
def test_limits_of_control_groups(tmp_path: Path, files: dict[str, str], cores: float, memory: int) -> None:
    root = _files(tmp_path, MEMORY | files)
    assert machine.cores(root) == cores
    assert machine.memory(root) == memory


def test_a_machine_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    root = _files(tmp_path, MEMORY | {
        "etc/os-release": 'NAME="X"\nPRETTY_NAME="Some Linux 12"\n',
        "proc/cpuinfo": "processor: 0\nmodel name\t: A Fast One @ 3 GHz\nprocessor: 1\nmodel name\t: A Fast One\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA X100\nIRQ: 1\n",
    })  # fmt: skip
    found = machine.hardware(root)
    assert found["os"].startswith("Some Linux 12, ")
    assert found["cpu"] == "A Fast One @ 3 GHz"
    assert found["gpus"] == [{"name": "NVIDIA X100"}]
    assert "cpu" not in machine.hardware(tmp_path / "nothing")


def _program(folder: Path, text: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_gpus_by_their_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(machine, "GPU_SECONDS", 1.0)
    _program(tmp_path, "echo 'NVIDIA X100, 81559, 550.1'; echo 'NVIDIA Y, [N/A], 550.1'")
    assert machine.gpus(tmp_path) == [
        {"name": "NVIDIA X100", "memory_bytes": 81559 << 20, "driver": "550.1"},
        {"name": "NVIDIA Y", "driver": "550.1"},
    ]
    for text in ("echo broken; exit 9", "exec sleep 60", "printf '\\377\\000'; exit 1"):
        _program(tmp_path, text)
        assert machine.gpus(tmp_path) == []


def test_one_failure_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(environment, "hardware", broken)
    monkeypatch.setattr(environment, "packages", broken)
    found, packages = environment.capture()
    assert (found.hardware, found.packages_digest, packages) == (None, None, b"")
    assert found.python


def test_what_is_chosen() -> None:
    for setting in (None, "", " ", "all", "ALL"):
        assert chosen(setting) == PARTS
    assert chosen("none") == chosen("code,none") == frozenset()
    assert chosen("code, Seeds,") == {"code", "seeds"}
    assert chosen("cod") == frozenset(), "a slip of the pen captures less, not more"
    assert chosen("code,environment,seeds,command") == PARTS


def test_what_is_storable() -> None:
    assert storable("a\x00b\udcff", 10) == "a\N{REPLACEMENT CHARACTER}b?"
    assert storable("x" * 12, 10) == "x" * 10 + "… (2 more characters)"
