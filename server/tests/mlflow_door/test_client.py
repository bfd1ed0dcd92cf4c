"""MLflow's own client, unmodified and in an environment of its own, against `muniment serve`, on both engines.

The programs in `programs` print what they read back. What they read back from MLflow's own server is in
`recorded/PROGRAM.json`; ``python -m mlflow_door.test_client PORT PROGRAM`` (from `server/tests`) writes it down from a
new one on this machine. Then our own API is asked of the same records.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from robustness.server import DEFAULT, Wire

from mlflow_door.peers import environment, python
from mlflow_door.recorded import FOLDER

PROGRAMS = Path(__file__).parent / "programs"
SECONDS = 300
QUICKLY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "1"}
"""What fails is told at once, and no process is started to find out what a model imports."""
_HEX = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r":/\d+/")
PROJECT = "/v1/projects/churn"


class Ours:
    """Our own API, over a new connection each time: programs run for longer than an idle one is kept.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Any:
        """The decoded answer to a GET that must succeed."""
        with Wire(self._port) as wire:
            return wire.get(path)

    def post(self, path: str, body: Any) -> Any:
        """The decoded answer to a POST that must succeed."""
        with Wire(self._port) as wire:
            return wire.post(path, body)

    def content(self, path: str) -> bytes:
        """The bytes that are answered to a GET that must succeed."""
        with Wire(self._port) as wire:
            reply = wire.call("GET", path)
        assert reply.status == 200, reply
        return reply.body


@pytest.fixture
def ours(our_port: int) -> Ours:
    return Ours(our_port)


def play(
    program: str, url: str, folder: Path, *parts: str, what: str = "mlflow", **variables: str
) -> tuple[dict[str, Any], str]:
    """(what a program read back, what it was warned of); it runs in the environment of that name."""
    done = subprocess.run(
        [str(python(what)), str(PROGRAMS / f"{program}.py"), *parts],
        cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False,
        env={**environment(folder), **QUICKLY, "MLFLOW_TRACKING_URI": url, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told, done.stderr


def plain(told: Any) -> Any:
    """What a program read back, without the ids that the server chose."""
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    return json.loads(_NUMBER.sub(":/N/", _HEX.sub("ID", text)))


def recorded(program: str) -> Any:
    """What a program read back from MLflow's own server."""
    return json.loads((FOLDER / f"{program}.json").read_text("utf-8"))


def used_by(ours: Ours, run: str) -> list[dict[str, Any]]:
    """The links by which a run used something."""
    found = ours.get(f"{DEFAULT}/lineage/{run}?direction=upstream&depth=1")
    return [link for link in found["links"] if link["downstream"] == run and link["type"] == "used"]


def test_the_fluent_api_reads_back_what_it_does_from_mlflow(our_port: int, ours: Ours, tmp_path: Path) -> None:
    told, said = play("fluent", f"http://127.0.0.1:{our_port}", tmp_path)
    theirs = recorded("fluent")
    for part, found in plain(told).items():
        assert found == theirs[part], part
    assert "Traceback" not in said

    outer = ours.get(f"{DEFAULT}/runs/{told['logging']['run']}")
    assert (outer["run"]["name"], outer["run"]["state"]) == ("named again", "finished")
    assert outer["params"] == {"lr": "0.1", "depth": "3", "why": "ü" * 10}
    assert outer["metrics"]["loss"]["last"] == pytest.approx(0.2)
    assert (outer["metrics"]["loss"]["count"], outer["metrics"]["inf"]["last"]) == (5, "Infinity"), "as it was logged"
    inner = ours.get(f"{DEFAULT}/runs/{told['logging']['inner']}")
    assert inner["run"]["parent"] == outer["run"]["id"]
    (link,) = used_by(ours, outer["run"]["id"])
    assert link["role"] == "training"
    (version,) = ours.get(f"{DEFAULT}/datasets/train/versions")["versions"]
    assert version["id"] == link["upstream"]
    assert [column["name"] for column in version["schema"]] == ["x", "y"]
    assert version["sources"][0]["uri"] == "https://data.example/train.csv"

    files = ours.get(f"{DEFAULT}/records/{told['files']['run']}/artifacts")["artifacts"]
    assert {one["path"] for one in files if not one["path"].startswith("images/")} == set(theirs["files"]["names"])
    assert ours.content(f"{DEFAULT}/records/{told['files']['run']}/artifacts/notes/a.txt") == b"text"
    much = ours.get(f"{DEFAULT}/runs/{told['much']['run']}")
    assert (much["metrics"]["fast"]["count"], much["metrics"]["batch"]["count"]) == (600, 1_000)
    assert ours.get(f"{DEFAULT}/experiments/other")["lifecycle"] == "active"
    searched = ours.get(f"{DEFAULT}/experiments/searching")["id"]
    found = ours.post(f"{DEFAULT}/search", {"where": f"experiment = '{searched}' AND metrics.loss < 0.25"})
    assert sorted(one["run"]["name"] for one in found["runs"]) == ["run-0", "run-1", "run-2"]


def test_what_trains_and_registers_reads_back_what_it_does_from_mlflow(
    our_port: int, ours: Ours, tmp_path: Path
) -> None:
    told, said = play("training", f"http://127.0.0.1:{our_port}", tmp_path)
    theirs = recorded("training")
    for part, found in plain(told).items():
        assert found == theirs[part], part
    traces = [line for line in said.splitlines() if "not kept by Muniment" in line]
    assert traces, "that a trace is kept nowhere is said"
    assert all("WARNING" in line for line in traces), "and is no more than a warning"
    assert "Traceback" not in said

    run = ours.get(f"{DEFAULT}/runs/{told['autologged']['run']}")
    assert run["run"]["state"] == "finished"
    assert run["params"]["logisticregression__C"] == "0.5"
    assert [link["role"] for link in used_by(ours, run["run"]["id"])] == ["train"]
    model = told["registered"]["model"].removeprefix("m-")
    files = ours.get(f"{DEFAULT}/records/{model}/artifacts")["artifacts"]
    assert {"MLmodel", "requirements.txt", "input_example.json"} <= {one["path"] for one in files}
    churn = ours.get(f"{DEFAULT}/models/churn")
    assert [version["version"] for version in churn["versions"]] == [1, 2]
    assert churn["aliases"] == {"champion": 1}
    assert {version["run"] for version in churn["versions"]} == {told["registered"]["run"]}
    made = ours.get(f"{DEFAULT}/lineage/{told['registered']['run']}?direction=downstream&depth=1")
    assert model in {link["downstream"] for link in made["links"]}
    trials = [ours.get(f"{DEFAULT}/runs/{one}")["run"] for one in told["studied"]["runs"]]
    assert [one["state"] for one in trials] == ["finished"] * 3


@pytest.mark.parametrize("way", ["path", "workspace"])
def test_a_project_is_a_tracking_uri_or_a_workspace(our_port: int, ours: Ours, tmp_path: Path, way: str) -> None:
    ours.post("/v1/projects", {"slug": "churn"})
    before = ours.get(f"{DEFAULT}/changes?limit=1")["position"]
    base = f"http://127.0.0.1:{our_port}"
    if way == "path":
        told, _ = play("fluent", f"{base}/p/churn", tmp_path, "files")
    else:
        told, _ = play("fluent", base, tmp_path, "files", MLFLOW_WORKSPACE="churn")
    assert plain(told)["files"] == recorded("fluent")["files"]
    run = told["files"]["run"]
    assert ours.get(f"{PROJECT}/runs/{run}")["run"]["state"] == "finished"
    found = ours.get(f"{PROJECT}/records/{run}/artifacts?prefix=folder")
    assert [one["path"] for one in found["artifacts"]] == ["folder/in/ü b.bin", "folder/large"]
    assert ours.get(f"{DEFAULT}/changes?limit=1")["position"] == before, "nothing of it is in another project"


@pytest.mark.parametrize("asked", [{}, {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true"}], ids=["told", "asked"])
def test_large_files_are_sent_in_parts(our_port: int, ours: Ours, tmp_path: Path, asked: dict[str, str]) -> None:
    def taken() -> list[float]:
        said = ours.content("/metrics").decode()
        names = ("create_multipart_upload", "upload_part", "complete_multipart_upload")
        found = [re.search(rf'requests_total{{[^}}]*"mlflow_{name}"[^}}]*}} (.*)', said) for name in names]
        return [float(one[1]) if one else 0.0 for one in found]

    before = taken()
    told, said = play(
        "fluent", f"http://127.0.0.1:{our_port}", tmp_path, "files", **asked, MLFLOW_TRACKING_TOKEN="secret",
        MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="1000000", MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE="700000",
    )  # fmt: skip
    assert plain(told)["files"] == recorded("fluent")["files"]
    assert "Traceback" not in said
    assert [now - then for now, then in zip(taken(), before, strict=True)] == [1, 5, 1], "3.2 MB in parts of 0.7 MB"
    found = f"{DEFAULT}/records/{told['files']['run']}/artifacts"
    assert ours.content(f"{found}/folder/large") == b"0123456789abcdef" * 200_000


def _record(port: str, program: str) -> None:
    told, _ = play(program, f"http://127.0.0.1:{port}", Path.cwd())
    text = json.dumps(plain(told), indent=1, ensure_ascii=False)
    (FOLDER / f"{program}.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    _record(*sys.argv[1:])
