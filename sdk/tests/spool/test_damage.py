"""Segments that are not what a writer wrote, of another start of the machine, or somebody else's."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.client import Client
from muniment.model.bulk import Imported
from muniment.model.ids import new_id
from muniment.spool import layout, sender, writer
from muniment.spool.reader import Damaged, Entry, Reader
from muniment.spool.sender import Letters, Route
from muniment.spool.writer import RunSeries, Writer

RUN = "0" * 31 + "1"


class Store(Client):
    """A store that takes everything, and counts points."""

    def __init__(self) -> None:
        self.mark: dict[str, int] = {}
        self.steps: list[int] = []
        self.texts: list[str] = []
        self.uploaded: list[str] = []

    def import_lines(self, lines: Any, *, writer: str | None = None, after: int | None = None) -> Imported:
        assert writer is not None
        assert after is None or after == self.mark.get(writer, 0)
        for line in lines:
            said = msgspec.json.decode(line)
            assert said["at"] > self.mark.get(writer, 0)
            self.mark[writer] = said["at"]
            if said["command"]["do"] == "run.log":
                self.steps += said["command"]["step"]
            else:
                self.texts.append(said["command"]["do"])
        return Imported(
            lines=0, skipped=0, new=0, equal=0, refused=0, refused_before=0, refusals=[],
            mark=self.mark.get(writer, 0), position=0,
        )  # fmt: skip

    def get_run(self, run: str, *, as_of: int | str | None = None) -> Any:
        del run, as_of


def complain(kind: str, line: str) -> None:
    raise AssertionError((kind, line))


def written(folder: Path, points: int = 60, *, tiny: bool = True) -> Writer:
    made = Writer("http://127.0.0.1:9", "default", folder, complain)
    if tiny:
        made._size = layout.HEADER + 24 * layout.SLOT
    series = RunSeries(RUN)
    for step in range(points):
        made.points(series, {"a": step}, step, 1)
        if step % 9 == 0:
            made.entry(layout.COMMAND, b'{"do":"x%d"}' % step)
    return made


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_BYTES", layout.HEADER + 24 * layout.SLOT)


def route(folder: Path, store: Store) -> tuple[Route, list[str]]:
    said: list[str] = []
    return Route(folder, lambda *_: True, lambda _: store, said.append), said


def listed(entries: Iterator[Entry]) -> list[int]:
    found: list[int] = []
    for entry in entries:
        if entry.command:
            found += msgspec.json.decode(entry.command).get("step", [])
    return found


@settings(
    max_examples=80, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_flipped_and_cut(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever is broken: no crash, and what is not in the broken segment is what was written."""
    folder = tmp_path_factory.mktemp("spool")
    made = written(folder)
    other = written(folder, 20)
    paths = sorted(made.folder.glob("*.segment"))
    assert len(paths) > 3
    path = data.draw(st.sampled_from(paths), "segment")
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans(), "cut"):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 8), "flips")):
            at = data.draw(st.one_of(st.integers(0, 300), st.integers(layout.HEADER, len(raw) - 1)), "at")
            raw[at] ^= data.draw(st.integers(1, 255), "by")
    path.write_bytes(raw)
    made.close()
    other.close()
    store = Store()
    sending, _ = route(folder, store)
    sending.round(every=True)
    assert not other.folder.exists(), "the other one is sent, and tidied away"
    before = listed(Reader([copied(made, paths[: paths.index(path)])]).entries(0))
    mine = store.steps[:-20] if made.id < other.id else store.steps[20:]
    assert mine[: len(before)] == before
    shutil.rmtree(folder)


def copied(made: Writer, paths: list[Path]) -> Path:
    """A folder with some of the writer's segments, written once more."""
    again = made.disk / "again"
    again.mkdir()
    whole = written(made.disk / "whole")
    for path in paths:
        shutil.copyfile(whole.folder / path.name, again / path.name)
    whole.close()
    return again


def test_what_can_be_told_is_told(tmp_path: Path) -> None:
    """Each of these makes the reader stop there, and what comes before it is sent."""
    for number, (at, by) in enumerate([
        (layout.HEADER + 3 * layout.SLOT, struct.pack("@II", 9, 5)),
        (layout.HEADER + 3 * layout.SLOT, struct.pack("@II", layout.COMMAND, 1 << 31)),
        (0, b"x"),
        (layout.COMMITTED, struct.pack("@Q", 1 << 40)),
        (16, struct.pack("@Q", 3)),
    ]):  # fmt: skip
        folder = tmp_path / str(number)
        made = written(folder)
        path = sorted(made.folder.glob("*.segment"))[2]
        with path.open("r+b") as file:
            file.seek(at)
            file.write(by)
        with pytest.raises(Damaged):
            list(Reader([made.folder]).entries(0))
        store = Store()
        sending, said = route(folder, store)
        sending.round(every=True)
        first = sorted(made.folder.glob("*.segment"))
        assert path in first
        assert store.steps, number
        assert store.steps == list(range(len(store.steps)))
        assert len(said) == 1
        assert "stays there" in said[0]
        made.close()
        sending.round(every=True)
        assert path.exists(), "nothing of it is thrown away"


def test_only_what_was_synced_is_believed_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = written(tmp_path / "spool", 500, tiny=False)
    made.sync()
    synced = made.committed
    series = RunSeries(RUN)
    for step in range(500, 600):
        made.points(series, {"a": step}, step, 1)
    made.close()
    store = Store()
    monkeypatch.setattr(layout, "boot", lambda: "another")
    assert Reader([made.folder]).extent()[0] == synced
    sending, _ = route(tmp_path / "spool", store)
    sending.round(every=True)
    assert store.steps == list(range(500))
    assert not made.folder.exists()


def test_what_memory_has_lost_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments that lay in memory are gone after a restart; those behind them on the disk were synced, and are sent."""
    made = written(tmp_path / "spool")
    made.sync()
    made.close()
    paths = sorted(made.folder.glob("*.segment"))
    paths[1].unlink()
    store = Store()
    sending, said = route(tmp_path / "spool", store)
    sending.round(every=True)
    assert "missing" in said[0], "of this start of the machine it is no matter of course"
    monkeypatch.setattr(layout, "boot", lambda: "another")
    before = len(store.steps)
    sending, said = route(tmp_path / "spool", store)
    sending.round(every=True)
    assert store.steps[-1] == 59
    assert 0 < before < len(store.steps) < 60
    assert len(set(store.steps)) == len(store.steps)
    lost = (tmp_path / "spool" / "refused" / f"{made.id}.ndjson").read_text()
    assert '"code":"lost"' in lost
    assert not made.folder.exists()


def test_flush_brings_all_that_belongs_to_it_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The segment alone is worth nothing: who writes, files to keep, and the folders' own lists belong to it."""
    done: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real(fd))[1])
    made = written(tmp_path / "spool")
    name = made.keep(b"content")
    made.sync()
    paths = [str(path) for path in made.folder.glob("*.segment")]
    wanted = [made.folder, made.disk, made.folder / "about.json", made.folder / "files", made.folder / "files" / name]
    assert {*paths, *map(str, wanted)} <= set(done)
    done.clear()
    made.sync()
    assert set(done) == {max(paths)}, "once is enough"
    made.close()


def test_a_flush_that_failed_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = written(tmp_path / "spool")

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="Input"):
            made.sync()
    made.sync()
    monkeypatch.setattr(layout, "boot", lambda: "another")
    assert listed(Reader([made.folder]).entries(0)) == list(range(60))
    made.close()


def test_strangers_are_not_listened_to(tmp_path: Path) -> None:
    """A folder that others may write to is not read; a file of the spool has no path."""
    made = written(tmp_path / "spool")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    file = layout.File(run=RUN, path="stolen", name="../../../secret")
    made.entry(layout.FILE, msgspec.json.encode(file))
    made.close()
    store = Store()
    sending, said = route(tmp_path / "spool", store)
    sending.round(every=True)
    assert not store.uploaded
    assert secret.exists()
    assert "no file of this spool" in said[0]
    other = written(tmp_path / "spool")
    other.close()
    other.folder.chmod(0o777)
    assert other.id not in sender.writers(tmp_path / "spool")
    other.folder.chmod(0o700)
    assert other.id in sender.writers(tmp_path / "spool")
    (tmp_path / "spool").chmod(0o777)
    assert not sender.writers(tmp_path / "spool")
    (tmp_path / "link").symlink_to(tmp_path / "spool")
    assert not sender.writers(tmp_path / "link")


def test_a_folder_that_is_not_ours_is_not_written_to(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    made = Writer("http://127.0.0.1:9", "default", tmp_path / "link", lambda kind, line: said.append(f"{kind} {line}"))
    made.points(RunSeries(RUN), {"a": 1}, 0, 0)
    assert not list((tmp_path / "real").iterdir())
    assert [word.partition(" ")[0] for word in said] == ["disk"], "memory takes it"
    open_folder = tmp_path / "open"
    open_folder.mkdir(mode=0o777)
    open_folder.chmod(0o777)
    good = written(open_folder)
    assert open_folder.stat().st_mode & 0o777 == 0o700
    assert good.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in good.folder.iterdir()} == {0}
    made.close()
    good.close()
    memory = layout.memory_root(tmp_path / "link")
    assert memory is not None
    shutil.rmtree(memory)


def test_a_stray_file_hides_nothing(tmp_path: Path) -> None:
    made = written(tmp_path / "spool")
    for name in ("x.segment", "notes.segment", "0000000000000009.segment.new", ".segment"):
        (made.folder / name).write_bytes(b"x")
    assert listed(Reader([made.folder]).entries(0)) == list(range(60))
    made.close()


def test_letters_go_on_where_a_damaged_one_stays(tmp_path: Path) -> None:
    about = layout.About(url="", project="", host="", boot="", pid=0, program="", started=0)
    made = written(tmp_path / "spool")
    letters = Letters(made.id, [made.folder], about, Store())
    letters.bring()
    assert letters.done == made.committed
    assert layout.read_sent([made.folder]).done == letters.done
    made.close()
    assert new_id() > made.id
