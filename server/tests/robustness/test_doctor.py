"""`muniment doctor`: a sound installation is found to be sound, and each thing that can be wrong is found once."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from muniment.spool import layout
from muniment_server.annexes import keeper
from muniment_server.commands import surroundings
from muniment_server.services import doctor
from muniment_server.services.doctor import Finding
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import Workspace
from muniment_server.store import inspection
from muniment_server.store.engine import Store
from robustness.server import QUICK_KEEPER, SCRIPT, Server, clean_environment
from robustness.site import Site, dialect
from robustness.test_backup import upload
from robustness.test_full_disk import disk

__all__ = ["disk"]


@pytest.fixture
def site(store_url: str, tmp_path: Path) -> Site:
    """A sound store: sealed, published, with an artifact."""
    made = Site(store_url, tmp_path)
    workspace = made.open()
    upload(workspace, b"content")
    keeper.seal(workspace)
    workspace.close()
    return made


def told(site: Site, *more: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    """(exit status, answer, everything that was said) of the command."""
    done = subprocess.run(
        [str(SCRIPT), "doctor", *site.options(), *more, "--json"], capture_output=True, text=True, check=False,
        timeout=120, env=clean_environment({"MUNIMENT_SPOOL": str(site.trust.parent / "spool"), **environment}),
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout), done.stdout


def wrong(findings: Iterator[Finding] | list[Finding], what: str) -> Finding:
    """The one thing that is wrong; it says what to do."""
    found = [finding for finding in findings if finding.level == "wrong"]
    assert [finding.what for finding in found] == [what], found
    assert found[0].advice
    assert "\n" not in f"{found[0].where}{found[0].found}{found[0].advice}"
    return found[0]


def examined(site: Site) -> list[Finding]:
    store = Store(site.url)
    try:
        return list(doctor.of_installation(store, site.trust, site.artifacts.as_uri()))
    finally:
        store.close()


def changed(site: Site, statement: str) -> None:
    """Change a store behind its back."""
    store = Store(site.url)
    with store.write() as connection:
        connection.execute(sa.text(statement))
    store.close()


def test_a_sound_installation(site: Site) -> None:
    status, answer, _ = told(site)
    assert (status, answer["ok"]) == (0, True), answer
    found = {item["what"]: item["found"] for item in answer["findings"]}
    assert {"Python", "packages", "store", "engine", "schema", "keeper", "signing key", "published", "artifacts",
            "bytes", "spool", "server", "open files", "temporary folder"} <= found.keys()  # fmt: skip
    assert found["bytes"].startswith("1 of 1")
    if dialect(site.url) == "sqlite":
        assert found["journal mode"] == "wal"
    else:
        assert "clock" in found
    before = sorted(path for path in site.trust.parent.rglob("*") if not path.name.endswith(("-wal", "-shm")))
    assert examined(site)
    after = sorted(path for path in site.trust.parent.rglob("*") if not path.name.endswith(("-wal", "-shm")))
    assert after == before, "it changes nothing"


def test_for_people_it_is_a_table(site: Site) -> None:
    (site.trust / "signing.key").chmod(0o644)
    done = subprocess.run(
        [str(SCRIPT), "doctor", *site.options()], capture_output=True, text=True, check=False,
        env=clean_environment({"MUNIMENT_SPOOL": str(site.trust.parent / "spool")}),
    )  # fmt: skip
    assert done.returncode == 1
    assert "✓ " in done.stdout
    assert "✗ " in done.stdout
    assert "→ chmod 600" in done.stdout


def test_a_server_that_answers(site: Site, tmp_path: Path) -> None:
    options = ("--artifacts", site.artifacts.as_uri())
    with Server(site.url, site.trust, tmp_path / "log", settings=QUICK_KEEPER, options=options) as server:
        server.start()
        found = list(surroundings.of_server(f"http://127.0.0.1:{server.port}"))
        server.stop()
    assert [item.level for item in found] == ["ok"]
    assert metadata.version("muniment") in found[0].found
    gone = wrong(surroundings.of_server(f"http://somebody:secret@127.0.0.1:{server.port}"), "server")
    assert "secret" not in str(gone)


@pytest.mark.parametrize(
    ("health", "document", "said"),
    [(200, {"info": {"version": "0.0.1"}}, "release 0.0.1"), (503, {"info": {"version": "0.1.0"}}, "answers 503"),
     (200, {}, "no Muniment")],
)  # fmt: skip
def test_a_server_of_another_kind(health: int, document: dict[str, Any], said: str) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(health if self.path == "/health" else 200)
            self.end_headers()
            self.wfile.write(b"OK" if self.path == "/health" else json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found = list(surroundings.of_server(f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()
        thread.join()
    assert said in wrong(found, "server").found


def test_no_secret_is_said(site: Site) -> None:
    site.url = "postgresql://muniment:s3cret@127.0.0.1:1/muniment?connect_timeout=2"
    status, answer, said = told(site, MUNIMENT_URL="http://me:s3cret@127.0.0.1:1")
    assert status == 1
    assert {item["what"] for item in answer["findings"] if item["level"] == "wrong"} == {"store", "server"}
    assert "s3cret" not in said
    site.url = "postgres://muniment:s3cret@127.0.0.1/muniment"
    assert "s3cret" not in told(site)[2]


def test_no_store(places: Callable[[str], Site], engine_name: str) -> None:
    site = places(engine_name)
    found = wrong(examined(site), "store" if engine_name == "sqlite" else "schema")
    assert "muniment serve" in str(found.advice)
    assert not site.is_there


def test_no_database(tmp_path: Path) -> None:
    site = Site(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    (tmp_path / "store.db").write_bytes(b"no database at all" * 100)
    assert "not a database" in wrong(examined(site), "store").found


@pytest.mark.parametrize(("revision", "said"), [("0002", "muniment migrate"), ("9999", "upgrade")])
def test_another_schema(site: Site, revision: str, said: str) -> None:
    changed(site, f"UPDATE alembic_version SET version_num = '{revision}'")
    assert said in str(wrong(examined(site), "schema").advice)


def test_an_old_engine(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor._LEAST, dialect(site.url), (99,))
    assert "99 or newer" in str(wrong(examined(site), "engine").advice)


def test_the_clock_of_the_database(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "clock", lambda _: datetime.now(UTC) + timedelta(seconds=30))
    assert wrong(examined(site), "clock").found == "30.0 s behind the database"


def test_a_clock_that_is_behind_history(site: Site) -> None:
    changed(site, "UPDATE heads SET time = time + 3600000000")
    assert "behind the latest entry" in wrong(examined(site), "clock").found


def test_entries_that_nobody_seals(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = site.open()
    upload(workspace, b"another")
    workspace.close()
    assert all(finding.level != "wrong" for finding in examined(site)), "it may take a moment"
    monkeypatch.setattr(doctor, "WAITING_SECONDS", 0.0)
    found = wrong(examined(site), "keeper")
    assert "1 entries unsealed" in found.found
    assert "start muniment serve" in str(found.advice)


def test_seals_that_are_not_published(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    file = site.trust / "checkpoints.ndjson"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    monkeypatch.setattr(doctor, "WAITING_SECONDS", 0.0)
    assert f"seal {len(lines) - 1} of {len(lines)}" in wrong(examined(site), "published").found


def test_a_store_behind_its_checkpoints(site: Site) -> None:
    last = list(TrustFolder(site.trust).checkpoints())[-1]
    TrustFolder(site.trust).publish([msgspec.structs.replace(last, number=last.number + 1)])
    assert "lost what was sealed" in str(wrong(examined(site), "published").advice)


def test_a_key_that_others_may_read(site: Site) -> None:
    (site.trust / "signing.key").chmod(0o640)
    assert "chmod 600" in str(wrong(examined(site), "signing key").advice)


def test_a_trust_folder_without_keys(site: Site) -> None:
    for key in site.trust.glob("*.pub"):
        key.unlink()
    assert "nothing can be verified" in str(wrong(examined(site), "public keys").advice)


def test_no_trust_folder(site: Site) -> None:
    shutil.rmtree(site.trust)
    assert "--trust" in str(wrong(examined(site), "trust folder").advice)
    assert not site.trust.exists()


def test_bytes_that_were_changed(site: Site) -> None:
    file = next(path for path in site.artifacts.rglob("*") if path.is_file())
    file.write_bytes(b"changed")
    assert "1 of 1 missing or changed" in wrong(examined(site), "bytes").found


def test_artifacts_that_are_not_there(site: Site) -> None:
    shutil.rmtree(site.artifacts)
    assert "1 artifacts should be" in wrong(examined(site), "artifacts").found
    assert not site.artifacts.exists()


def test_artifacts_that_cannot_be_written(site: Site) -> None:
    shutil.rmtree(site.artifacts)
    site.artifacts.write_bytes(b"a file, where a folder should be")
    found = [finding.what for finding in examined(site) if finding.level == "wrong"]
    assert found == ["artifacts", "bytes"]


def test_uploads_that_never_ended(site: Site) -> None:
    changed(site, "INSERT INTO uploads (project_id, location, state, since) VALUES (1, 'x', 'arriving', 0)")
    found = [finding for finding in examined(site) if finding.what == "uploads"]
    assert [(item.level, item.advice) for item in found] == [("warning", "muniment collect")]


def test_little_room(disk: Path, tmp_path: Path) -> None:
    site = Site(f"sqlite:///{disk / 'store.db'}", tmp_path)
    Workspace(site.url, trust=site.trust).close()
    assert "GiB free" in wrong(examined(site), "disk of the store").found
    site = Site(f"sqlite:///{tmp_path / 'store.db'}", disk)
    workspace = site.open()
    upload(workspace, b"content")
    workspace.close()
    assert "muniment collect" in str(wrong(examined(site), "disk of artifacts").advice)


def test_few_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        found = list(surroundings.of_limits())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "200 at the most" in wrong(found, "open files").found


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert "TMPDIR" in str(wrong(surroundings.of_limits(), "temporary folder").advice)


def test_python_and_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(finding.level == "ok" for finding in surroundings.of_python())
    known = surroundings._version
    monkeypatch.setattr(surroundings, "PYTHON", (99, 0))
    wrong(surroundings.of_python(), "Python")
    monkeypatch.setattr(surroundings, "PYTHON", (3, 11))
    monkeypatch.setattr(surroundings, "_version", lambda name: "9.9" if name == "muniment-client" else known(name))
    assert "same release" in str(wrong(surroundings.of_python(), "packages").advice)
    monkeypatch.setattr(surroundings, "_version", lambda name: "0.0.1" if name == "psycopg" else known(name))
    assert "psycopg" in wrong(surroundings.of_python(), "dependencies").found
    monkeypatch.setattr(surroundings, "_version", lambda name: None if name == "lark" else known(name))
    assert "lark" in wrong(surroundings.of_python(), "dependencies").found


_LEAVES = """
import os, sys
from pathlib import Path
from muniment.spool import layout
from muniment.spool.writer import Writer
writer = Writer("http://me:s3cret@127.0.0.1:1", "default", Path(sys.argv[1]), lambda *_: None)
writer.entry(layout.COMMAND, b"{}")
writer.hurry()
os._exit(0)
"""
"""A process that logs something and dies."""


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool in which a process has left something."""
    folder = tmp_path / "spool"
    subprocess.run([sys.executable, "-c", _LEAVES, str(folder)], check=True)
    return folder


def test_what_waits_in_the_spool(spool: Path) -> None:
    found = list(surroundings.of_spool(spool))
    assert [(item.what, item.level, item.advice) for item in found] == [("spool", "warning", "muniment sync")]
    assert "s3cret" not in str(found)
    writer = next(path.parent for path in spool.glob("*/about.json"))
    (writer / "sent").write_bytes(layout.SENT.pack(0, layout.AWAY, 0, layout.milliseconds(), 0))
    assert "cannot be reached" in wrong(surroundings.of_spool(spool), "spool").found


def test_what_was_refused(spool: Path) -> None:
    (spool / "refused").mkdir()
    (spool / "refused" / "one.ndjson").write_bytes(b"{}\n")
    assert "the file says why" in wrong(surroundings.of_spool(spool), "refused").found


def test_a_spool_that_cannot_be_read(spool: Path) -> None:
    segment = next(path for root in layout.roots(spool) for path in root.glob("*/*.segment"))
    segment.write_bytes(b"damaged" * 1_000)
    assert "cannot be read" in wrong(surroundings.of_spool(spool), "spool").found
