"""What is no sound backup, or has no room, is refused with one line, and nothing is left of it."""

from __future__ import annotations

import json
import re
import resource
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from store.test_migrations import statements

from muniment.model.errors import Conflict, InvalidInput, MunimentError, StoreFull
from muniment_server.annexes import keeper
from muniment_server.services import bundles
from muniment_server.services.trust import TrustFolder
from muniment_server.store import migrations
from muniment_server.store.engine import Store
from robustness.server import run_command
from robustness.site import Site, dialect, left_in
from robustness.test_full_disk import _stuff, disk

__all__ = ["disk"]
Damage = Callable[[Path], None]


def first(folder: Path, pattern: str) -> Path:
    """The first large file of some kind."""
    return max((path for path in folder.glob(pattern) if path.is_file()), key=lambda path: path.stat().st_size)


def cut(pattern: str) -> Damage:
    def damage(folder: Path) -> None:
        file = first(folder, pattern)
        file.write_bytes(file.read_bytes()[:-1])

    return damage


def flipped(pattern: str) -> Damage:
    def damage(folder: Path) -> None:
        file = first(folder, pattern)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    return damage


def missing(pattern: str) -> Damage:
    return lambda folder: first(folder, pattern).unlink()


def halved(folder: Path) -> None:
    file = folder / "manifest.json"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def manifest_of(**fields: Any) -> Damage:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest.update(fields)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


def agreeing(change: Damage) -> Damage:
    """The manifest says that it was always so."""

    def damage(folder: Path) -> None:
        change(folder)
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["files"] = {path: msgspec.to_builtins(bundles.measured(folder / path)) for path in manifest["files"]}
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


def another_name(folder: Path) -> None:
    """A run gets another name, or loses its params, in the store itself."""
    if (folder / "store.sqlite").exists():
        with closing(sqlite3.connect(folder / "store.sqlite")) as store:
            store.execute("UPDATE runs SET name = 'another' WHERE valid_to IS NULL")
            store.commit()
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for left in folder.glob("store.sqlite-*"):
            left.unlink()
    else:
        table = folder / "tables" / "params.copy"
        table.write_bytes(table.read_bytes()[:19] + b"\xff\xff")


def no_store(folder: Path) -> None:
    for file in (*folder.glob("store.sqlite"), *folder.glob("tables/runs.copy")):
        file.write_bytes(b"no store at all" * 100)


def forged_seal(folder: Path) -> None:
    file = folder / "trust" / "checkpoints.ndjson"
    lines = file.read_bytes().splitlines(keepends=True)
    lines[-1] = re.sub(rb'"root":"[0-9a-f]{4}', b'"root":"0000', lines[-1])
    file.write_bytes(b"".join(lines))


def another_place(folder: Path) -> None:
    file = folder / "artifacts.ndjson"
    file.write_bytes(re.sub(rb'"location":"[^"]*"', b'"location":"../../outside"', file.read_bytes(), count=1))


def one_less(folder: Path) -> None:
    file = folder / "artifacts.ndjson"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[1:]))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no manifest": (missing("manifest.json"), "is no backup"),
    "a manifest cut short": (halved, "is not that of a backup"),
    "no JSON": (lambda folder: (folder / "manifest.json").write_text("{"), "is not that of a backup"),
    "a format": (manifest_of(format=99), "cannot read"),
    "a schema": (manifest_of(schema="9999"), "cannot read"),
    "no files": (manifest_of(files={}), "does not name"),
    "the store cut short": (lambda folder: cut(store_of(folder))(folder), "changed or cut short"),
    "the store flipped": (lambda folder: flipped(store_of(folder))(folder), "changed or cut short"),
    "no store": (lambda folder: missing(store_of(folder))(folder), "cannot be read"),
    "an artifact flipped": (flipped("artifacts/*/*"), "changed or cut short"),
    "no artifact": (missing("artifacts/*/*"), "cannot be read"),
    "the list": (flipped("artifacts.ndjson"), "changed or cut short"),
    "a key": (flipped("trust/*.pub"), "changed or cut short"),
    "the checkpoints": (cut("trust/checkpoints.ndjson"), "changed or cut short"),
    "a store that was changed": (agreeing(another_name), "does not verify"),
    "what is no store": (agreeing(no_store), "no store|no table of a store"),
    "a checkpoint that was changed": (agreeing(forged_seal), "does not verify"),
    "no public key": (agreeing(lambda folder: first(folder, "trust/*.pub").write_bytes(b"")), "does not verify"),
    "a place outside": (agreeing(another_place), "which no store has"),
    "an artifact less": (agreeing(one_less), "not what the records of the store speak for"),
}  # fmt: skip


def store_of(folder: Path) -> str:
    return "store.sqlite" if (folder / "store.sqlite").exists() else "tables/ledger.copy"


def untouched(site: Site) -> bool:
    """Whether nothing at all was left at a place."""
    return not site.is_there and not left_in(site.trust, site.artifacts, site.trust.parent)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup(taken: Path, empty: Site, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(taken, folder)
    act, said = DAMAGES[damage]
    act(folder)
    with pytest.raises(MunimentError, match=said) as caught:
        empty.put_back(folder)
    assert isinstance(caught.value, InvalidInput), caught.value
    assert "\n" not in str(caught.value)
    assert untouched(empty)


def test_the_command_says_it_in_one_line(taken: Path, empty: Site, tmp_path: Path) -> None:
    shutil.copytree(taken, tmp_path / "damaged")
    DAMAGES["the store flipped"][0](tmp_path / "damaged")
    done = run_command("restore", str(tmp_path / "damaged"), *empty.options())
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "changed or cut short" in done.stderr
    assert untouched(empty)


def test_the_other_engine(whole: Site, taken: Path, places: Callable[[str], Site]) -> None:
    other = places("postgresql" if dialect(whole.url) == "sqlite" else "sqlite")
    with pytest.raises(Conflict, match="muniment export and import"):
        other.put_back(taken)
    assert untouched(other)


def test_a_place_that_is_taken(whole: Site, taken: Path, empty: Site) -> None:
    empty.put_back(taken)
    with pytest.raises(Conflict, match="there is a store already"):
        empty.put_back(taken)
    with pytest.raises(Conflict, match="there is a store already"):
        whole.put_back(taken)
    empty.verify()
    whole.verify()


def test_what_sqlite_left_beside(places: Callable[[str], Site], tmp_path: Path) -> None:
    """A write-ahead log of a lost file would be read into the restored one."""
    whole, site = places("sqlite"), places("sqlite")
    whole.open().close()
    whole.take(tmp_path / "backup")
    left = Path(site.url.removeprefix("sqlite:///") + "-wal")
    left.write_bytes(b"of another store")
    with pytest.raises(Conflict, match="move it away"):
        site.put_back(tmp_path / "backup")
    assert left_in(site.trust.parent) == [left]


def test_a_trust_folder_that_knows_more(whole: Site, taken: Path, empty: Site, places: Callable[[str], Site]) -> None:
    """What was published after the backup is lost: that is not passed over in silence."""
    empty.put_back(taken)
    workspace = empty.open()
    made = keeper.seal(workspace)
    workspace.close()
    assert made, "something was left to seal"
    again = places(dialect(whole.url))
    shutil.copytree(empty.trust, again.trust)
    before = (again.trust / "checkpoints.ndjson").read_bytes()
    with pytest.raises(Conflict, match="what came after it is lost"):
        again.put_back(taken)
    assert not again.is_there
    assert not again.artifacts.exists()
    assert (again.trust / "checkpoints.ndjson").read_bytes() == before
    (again.trust / "checkpoints.ndjson").unlink()
    again.put_back(taken)
    again.verify()
    key = TrustFolder(again.trust).key
    assert key == TrustFolder(empty.trust).key, "the key that was there signs on"


def test_the_trust_folder_of_another_store(taken: Path, empty: Site) -> None:
    shutil.copytree(taken / "trust", empty.trust)
    forged_seal(empty.trust.parent)
    with pytest.raises(Conflict, match="trust folder of another store"):
        empty.put_back(taken)
    assert not empty.is_there


def test_no_store_to_back_up(places: Callable[[str], Site], engine_name: str, tmp_path: Path) -> None:
    site = places(engine_name)
    with pytest.raises(InvalidInput, match=r"there is no store|holds no store"):
        site.take(tmp_path / "made" / "backup")
    assert not site.is_there
    assert not left_in(tmp_path / "made")


def test_an_older_schema_is_brought_up_to_date(engine_name: str, places: Callable[[str], Site], tmp_path: Path) -> None:
    old, fresh = places(engine_name), places(engine_name)
    store = Store(old.url)
    with store.write() as connection:
        migrations.bring(connection, "0002")
        for statement in statements(engine_name):
            connection.exec_driver_sql(statement)
    store.close()
    told = old.take(tmp_path / "backup")
    assert (told.schema, told.artifacts) == ("0002", 0)
    done = fresh.put_back(tmp_path / "backup")
    assert done.schema == ("0002", migrations.head())
    fresh.verify()
    store = Store(old.url)
    migrations.prepare(store, migrate=True)
    store.close()
    assert fresh.contents(tmp_path / "a") == old.contents(tmp_path / "b")


def test_the_disk_of_the_backup_is_full(whole: Site, disk: Path) -> None:
    for room in (0, 16 * 4_096, 60 * 4_096):
        _stuff(disk / "stuffing", after=room)
        with pytest.raises(StoreFull, match="no room for") as caught:
            whole.take(disk / "made" / "backup")
        assert "\n" not in str(caught.value)
        assert not [path for path in left_in(disk / "made") if path.is_file()]
    (disk / "stuffing").unlink()
    (disk / "ballast").unlink()
    whole.take(disk / "made" / "backup")


@pytest.mark.parametrize("what", ["artifacts", "trust"])
def test_the_disk_of_what_is_restored_is_full(taken: Path, empty: Site, disk: Path, what: str) -> None:
    setattr(empty, what, disk / what)
    has_no_room(taken, empty, disk)


def test_the_disk_of_the_restored_file_is_full(places: Callable[[str], Site], disk: Path, tmp_path: Path) -> None:
    """The disk of PostgreSQL is its own."""
    whole, site = places("sqlite"), places("sqlite")
    whole.open().close()
    whole.take(tmp_path / "backup")
    site.url = f"sqlite:///{disk / 'restored.db'}"
    has_no_room(tmp_path / "backup", site, disk)


def has_no_room(folder: Path, site: Site, disk: Path) -> None:
    """A restore is refused until there is room, and leaves nothing before."""
    _stuff(disk / "stuffing")
    with pytest.raises(StoreFull) as caught:
        site.put_back(folder)
    assert "\n" not in str(caught.value)
    assert not site.is_there
    assert not [path for path in left_in(site.trust, site.artifacts) if path.is_file()]
    assert {path.name for path in disk.iterdir() if path.is_file()} == {"stuffing", "ballast"}
    (disk / "stuffing").unlink()
    (disk / "ballast").unlink()
    site.put_back(folder)
    site.verify()


def test_the_files_of_a_backup_may_not_grow(whole: Site, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = 40_000 if dialect(whole.url) == "sqlite" else 2_000  # SQLite must map its own index of the log
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StoreFull, match="no room for"):
            whole.take(tmp_path / "made" / "backup")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not left_in(tmp_path / "made")
