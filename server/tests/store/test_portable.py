"""A project taken out and in again is the same project, on either engine; what was tampered with is not taken in."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from audit.sealed import build
from conftest import Postgres, copied

from muniment.model.errors import Conflict, InvalidInput, MunimentError
from muniment.model.link import LineageQuery
from muniment.model.run import NewRun
from muniment.model.search import Query
from muniment_server.annexes import keeper
from muniment_server.services import lineage, portable, runs, search, verify
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace


def silent(what: str, done: int, total: int) -> None:
    assert what
    assert done <= total or total == 0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Workspace]]:
    """A store with every kind of record, compacted and loose points, artifacts and erased runs; and its engine."""
    folder = tmp_path_factory.mktemp("whole")
    server: Postgres | None = None if request.param == "sqlite" else request.getfixturevalue("postgres")
    url = f"sqlite:///{folder / 'store.db'}" if server is None else server.create()
    build(url, folder / "trust")
    opened = Workspace(url, trust=folder / "trust", artifacts=(folder / "artifacts").as_uri())
    yield request.param, opened
    opened.close()
    if server is not None:
        server.drop(url)


@pytest.fixture
def elsewhere(
    whole: tuple[str, Workspace], request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> Iterator[Workspace]:
    """An empty store on the other engine."""
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create() if whole[0] == "sqlite" else copied(sqlite_template, tmp_path / "elsewhere.db")
    opened = Workspace(url, trust=tmp_path / "trust", artifacts=(tmp_path / "bytes").as_uri())
    yield opened
    opened.close()
    if whole[0] == "sqlite":
        server.drop(url)


@pytest.fixture
def empty(tmp_path: Path, sqlite_template: Path) -> Iterator[Workspace]:
    opened = Workspace(
        copied(sqlite_template, tmp_path / "empty.db"), trust=tmp_path / "t", artifacts=(tmp_path / "b").as_uri()
    )
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def exported(whole: tuple[str, Workspace], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "default"
    portable.take_out(whole[1], whole[1].owner_scope, DEFAULT_PROJECT, folder, silent)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the evidence of where it came from."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "origin"
    }


def answers(workspace: Workspace) -> list[Any]:
    """What both stores are asked."""
    at = workspace, workspace.owner_scope, DEFAULT_PROJECT
    kinds = ("run", "dataset", "dataset_version", "model", "model_version", "evaluation", "note", "saved_view")
    found = [search.search(*at, Query(kind=kind, order_by=["created_at DESC"], limit=1_000)) for kind in kinds]
    found += [search.search(*at, Query(kind=kind, where="text MATCH 'a*'")) for kind in ("dataset", "note")]
    upstream = lineage.asked(*at, "model:risk@latest", LineageQuery())
    return [*found, upstream]


def test_taken_in_on_the_other_engine_it_is_the_same(
    whole: tuple[str, Workspace], exported: Path, elsewhere: Workspace, tmp_path: Path
) -> None:
    files = contents(exported)
    assert {"manifest.json", "tables/ledger.ndjson", "tables/revisions.ndjson"} <= files.keys()
    assert any(path.startswith("points/") for path in files)
    assert any(path.startswith("artifacts/") for path in files)
    told = portable.take_in(elsewhere, elsewhere.owner_scope, exported, silent)
    keeper.seal(elsewhere)
    again = tmp_path / "again"
    assert portable.take_out(elsewhere, elsewhere.owner_scope, DEFAULT_PROJECT, again, silent) == told
    assert contents(again) == files
    outcome = verify.store(elsewhere.store, elsewhere.trust)
    outcome = asyncio.run(verify.with_bytes(elsewhere.store, elsewhere.blobs, outcome, silent))
    assert outcome.ok, outcome.findings
    assert outcome.artifacts
    assert answers(elsewhere) == answers(whole[1])


def test_compaction_changes_nothing_of_it(exported: Path, empty: Workspace, tmp_path: Path) -> None:
    portable.take_in(empty, empty.owner_scope, exported, silent)
    keeper.seal(empty)
    keeper.compact(empty)
    portable.take_out(empty, empty.owner_scope, DEFAULT_PROJECT, tmp_path / "again", silent)
    assert contents(tmp_path / "again") == contents(exported)


def test_its_history_goes_on(exported: Path, empty: Workspace) -> None:
    told = portable.take_in(empty, empty.owner_scope, exported, silent)
    at = empty, empty.owner_scope, DEFAULT_PROJECT
    experiment = search.search(*at, Query(kind="experiment", limit=1)).experiments[0]  # type: ignore[attr-defined]
    made = empty.writer.write(runs.create(*at, NewRun(experiment=experiment.id, name="the next one")))
    assert made.position == told.position + 1
    keeper.seal(empty)
    outcome = verify.store(empty.store, empty.trust)
    assert outcome.ok, outcome.findings
    with pytest.raises(Conflict, match="has a history already"):
        portable.take_in(empty, empty.owner_scope, exported, silent)
    other = portable.take_in(empty, empty.owner_scope, exported, silent, slug="copy")
    assert other.root == told.root
    with pytest.raises(Conflict, match="is there already"):
        portable.take_out(empty, empty.owner_scope, DEFAULT_PROJECT, exported, silent)


def untouched(workspace: Workspace) -> bool:
    with workspace.store.read() as connection:
        from muniment_server.store import projects

        folder = Path(workspace.blobs.folder) if workspace.blobs.folder else None
        files = [] if folder is None else [path for path in folder.rglob("*") if path.is_file()]
        return min(projects.positions(connection).values()) == 0 and not files


def changed(folder: Path, path: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file, and let the manifest say that it was always so."""
    file = folder / path
    file.write_bytes(change(file.read_bytes()))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    content = file.read_bytes()
    manifest["files"][path] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def edited(path: str, field: str, value: Any) -> Callable[[Path], None]:
    """Give the first row of a table that has another value this one."""

    def damage(folder: Path) -> None:
        def change(content: bytes) -> bytes:
            rows = [json.loads(line) for line in content.splitlines()]
            row = next(row for row in rows if row[field] not in {None, value})
            row[field] = value
            return b"".join(json.dumps(row).encode() + b"\n" for row in rows)

        changed(folder, f"tables/{path}.ndjson", change)

    return damage


def swapped_points(folder: Path) -> None:
    """Points whose values differ by a bit, in a segment that is well-formed."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    def change(content: bytes) -> bytes:
        found = pq.read_table(io.BytesIO(content))
        values = found.column("value").to_pylist()
        values[0] = values[0] + 1 if values[0] == values[0] else 0.0
        at = found.schema.get_field_index("value")
        sink = io.BytesIO()
        pq.write_table(found.set_column(at, "value", pa.array(values)), sink)
        return sink.getvalue()

    changed(folder, next(path for path in sorted(contents(folder)) if path.startswith("points/")), change)


def manifest_of(**fields: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest.update(fields)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


def without_last(path: str) -> Callable[[Path], None]:
    return lambda folder: changed(folder, path, lambda content: b"".join(content.splitlines(keepends=True)[:-1]))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte": (lambda folder: (folder / "tables/runs.ndjson").write_bytes(b"{}\n"), "not what the manifest says"),
    "a file less": (lambda folder: (folder / "tables/runs.ndjson").unlink(), "cannot be read"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "no export"),
    "no JSON": (lambda folder: (folder / "manifest.json").write_text("{"), "no manifest"),
    "a path": (manifest_of(files={"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}), "no file of an export"),
    "a format": (manifest_of(format=99), "cannot read"),
    "a root": (manifest_of(root="0" * 64), "has root"),
    "a shorter history": (manifest_of(position=7), "."),
    "a name": (edited("runs", "name", "another"), "does not verify"),
    "a param": (edited("params", "value", "another"), "does not verify"),
    "a metric": (edited("summaries", "last", 17.5), "does not verify"),
    "an actor": (edited("ledger", "actor", "0" * 32), "."),
    "a payload": (edited("ledger", "payload", "{}"), "does not verify"),
    "a revision": (edited("revisions", "body", "{}"), "."),
    "a column": (lambda folder: changed(folder, "tables/tags.ndjson", lambda _: b'{"x":1}\n'), "too much or missing"),
    "a link less": (without_last("tables/links.ndjson"), "does not verify"),
    "a row less": (without_last("tables/revisions.ndjson"), "."),
    "points": (swapped_points, "."),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_tampered_with_is_not_taken_in(exported: Path, empty: Workspace, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(exported, folder)
    act, said = DAMAGES[damage]
    act(folder)
    with pytest.raises(InvalidInput, match=said) as caught:
        portable.take_in(empty, empty.owner_scope, folder, silent)
    assert "\n" not in str(caught.value)
    assert untouched(empty)


def test_bytes_that_are_missing_are_told_when_they_are_taken_out(
    exported: Path, empty: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(exported, tmp_path / "some")
    manifest = json.loads((tmp_path / "some" / "manifest.json").read_bytes())
    for path in [path for path in manifest["files"] if path.startswith("artifacts/")]:
        del manifest["files"][path]
        (tmp_path / "some" / path).unlink()
    (tmp_path / "some" / "manifest.json").write_text(json.dumps(manifest))
    portable.take_in(empty, empty.owner_scope, tmp_path / "some", silent)
    with pytest.raises(MunimentError):
        portable.take_out(empty, empty.owner_scope, DEFAULT_PROJECT, tmp_path / "again", silent)
    assert not list(tmp_path.glob("*again*")), "it is there whole or not at all"
    told = portable.take_out(empty, empty.owner_scope, DEFAULT_PROJECT, tmp_path / "again", silent, content=False)
    assert told.artifacts == 0
