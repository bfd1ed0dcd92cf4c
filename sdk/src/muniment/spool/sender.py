"""Bringing what a spool holds to the store, each entry once."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from muniment.client import Client
from muniment.model.bulk import Imported
from muniment.model.errors import Conflict, MunimentError
from muniment.model.run import TERMINAL, RunChange
from muniment.spool import layout
from muniment.spool.layout import AWAY, GOING, About, File
from muniment.spool.reader import Damaged, Entry, Reader

STREAM_BYTES = 8 * 1024 * 1024
"""Bytes of one stream, about."""
GATHER_SECONDS = 1.0
"""How long points wait for more of them, if nobody is in a hurry."""
PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the next try, while the store cannot be reached."""
LOOK_SECONDS = 0.02
"""How often segments are looked at."""
SCAN_SECONDS = 0.25
"""How often new writers are looked for."""
_STATUSES = frozenset(("unavailable", "store_full"))
"""Codes of what is wrong with the store rather than with what was sent."""


class Letters:
    """What one writer has written, on its way to the store.

    Args:
        name: the writer's id.
        places: its folders.
        about: where it goes.
        client: of its store and project.
    """

    def __init__(self, name: str, places: list[Path], about: About, client: Client) -> None:
        self.name, self.places, self.about, self.client = name, places, about, client
        self.done = 0
        """Slots that need not be looked at again."""
        self.refused = 0
        self._mark: int | None = None
        self._reader = Reader(places)
        self._uploaded: list[tuple[int, Path]] = []
        self._last = 0.0

    @property
    def alive(self) -> bool:
        """Whether the process that writes lives."""
        return any(layout.is_locked(place / "lock") for place in self.places)

    @property
    def left(self) -> int:
        """Slots that the store does not have yet."""
        return max(0, self._reader.extent()[0] - self.done)

    def due(self) -> bool:
        """Whether there is something to bring, and it is time."""
        extent, urgent = self._reader.extent()
        if extent <= self.done:
            return False
        return urgent > self.done or time.monotonic() - self._last >= GATHER_SECONDS

    def bring(self) -> None:
        """Bring everything that is there.

        Raises:
            MunimentError: the store cannot be reached, or takes no streams.
            Damaged: what is there cannot be read.
        """
        self._last = time.monotonic()
        if self._mark is None:
            self._ask()
        while self.done < self._reader.extent()[0]:
            self._stream()
            self._tidy()
            self.report(GOING)

    def _ask(self) -> None:
        """Ask the store how far this writer has come."""
        self._mark = self.client.import_lines([], writer=self.name).mark
        found = self._reader.segments()
        self.done = max(self._mark, found[0][0]) if found else self._mark

    def _stream(self) -> None:
        """Send entries, up to a size, or up to a file."""
        entries: list[Entry] = []
        end, size = self.done, 0
        for entry in self._reader.entries(self.done):
            if entry.file is not None and entries:
                break
            end = entry.end
            if entry.file is not None:
                entries.append(Entry(end, self._upload(end, entry.file)))
                break
            if entry.command:
                entries.append(entry)
                size += len(entry.command)
                if size >= STREAM_BYTES:
                    break
        if entries and not self._sent(entries):
            return
        self.done = end

    def _sent(self, entries: list[Entry]) -> bool:
        """Send a stream; False if the writer has come elsewhere, from where it goes on."""
        lines = [b'{"at":%d,"command":%s}' % (entry.end, entry.command) for entry in entries]
        try:
            told = self.client.import_lines(lines, writer=self.name, after=self._mark)
        except Conflict:  # an earlier try has arrived after all, or somebody else brings the same
            self._ask()
            return False
        self._mark = told.mark
        self._keep_refused(told, {entry.end: entry.command for entry in entries})
        return True

    def _upload(self, end: int, file: File) -> bytes:
        """Upload a file; a command that gives it to its run, which it has then."""
        found = [place / "files" / file.name for place in self.places if (place / "files" / file.name).exists()]
        digest = ""
        if found:
            try:
                attached = self.client.upload(file.run, file.path, found[0], file.media_type)
            except MunimentError as error:
                if error.code in _STATUSES:
                    raise
                kept = self._refusals().parent / file.name  # nothing is thrown away
                shutil.move(found[0], kept)
                self._note(end, error.code, error.message, {"run": file.run, "path": file.path, "kept": str(kept)})
            else:
                digest = "" if attached.artifact is None else attached.artifact.digest
                self._uploaded.append((end, found[0]))
        return msgspec.json.encode(
            {"do": "artifact.attach", "record": file.run, "path": file.path, "digest": digest or "none"}
        )

    def _keep_refused(self, told: Imported, commands: dict[int, bytes]) -> None:
        for refusal in told.refusals:
            command = msgspec.json.decode(commands.get(refusal.line, b"null"))
            does = command.get("do") if isinstance(command, dict) else None
            if does == "run.attempt" or (does == "artifact.attach" and command["digest"] == "none"):
                continue  # a run that still runs goes on; a file that was refused is noted already
            self._note(refusal.line, refusal.code, refusal.detail, command)

    def _note(self, at: int, code: str, detail: str, command: Any) -> None:
        """Keep what the store has refused, and why."""
        self.refused += 1
        line = msgspec.json.encode({"at": at, "code": code, "detail": detail, "refused": command})
        with self._refusals().open("ab") as file:
            file.write(line + b"\n")

    def _refusals(self) -> Path:
        return layout.private(self.places[0].parent / "refused") / f"{self.name}.ndjson"

    def _tidy(self) -> None:
        """Delete what the store has."""
        while self._uploaded and self._uploaded[0][0] <= self.done:
            self._uploaded.pop(0)[1].unlink(missing_ok=True)
        found = self._reader.segments()
        for (_, path), (following, _) in itertools.pairwise(found):
            if following <= self.done:
                path.unlink(missing_ok=True)

    def report(self, state: int) -> None:
        """Say how far this is, for the writer to see."""
        raw = layout.SENT.pack(self.done, state, self.refused, layout.milliseconds())
        with suppress(OSError):
            descriptor = os.open(self.places[0] / "sent", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, raw, 0)
            finally:
                os.close(descriptor)

    def finish(self) -> None:
        """Of a writer that has died: end the runs that it has not ended, and remove what it has left.

        Raises:
            MunimentError: the store cannot be reached.
        """
        for place in self.places:
            for note in (place / "runs").glob("*"):
                with suppress(MunimentError):
                    found = self.client.get_run(note.name)
                    if found.run.state not in TERMINAL:
                        self.client.update_run(note.name, RunChange(state="killed"))
        for place in self.places:
            shutil.rmtree(place, ignore_errors=True)


class Route(threading.Thread):
    """Brings what some writers write to one store, as long as it is there.

    Args:
        disk: the spool's folder.
        accepts: which writers.
        client: opens the store for a writer.
        say: told of trouble and of its end.
    """

    def __init__(
        self,
        disk: Path,
        accepts: Callable[[str, About], bool],
        client: Callable[[About], Client],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name="muniment-sender", daemon=True)
        self.wake = threading.Event()
        self.failure: str | None = None
        self.letters: dict[str, Letters] = {}
        self._disk, self._accepts, self._client, self._say = disk, accepts, client, say
        self._clients: dict[str, Client] = {}
        self._aside: set[str] = set()
        self._stopped = False
        self._tries = 0
        self._scanned = 0.0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Bring what comes, until it is stopped."""
        while not self._stopped:
            self.round()
            pause = PAUSES[min(self._tries, len(PAUSES)) - 1] if self._tries else LOOK_SECONDS
            if self.wake.wait(pause):
                self.wake.clear()

    def stop(self) -> None:
        """Let the thread end after what it is at."""
        self._stopped = True
        self.wake.set()
        if self.is_alive():
            self.join()

    def round(self, *, every: bool = False) -> None:
        """Bring what is due, or everything that is there."""
        with self._lock:
            self._scan(now=every)
            for letters in list(self.letters.values()):
                try:
                    alive = letters.alive
                    if every or letters.due() or not alive:
                        letters.bring()
                    if not alive and not letters.left:
                        letters.finish()
                        del self.letters[letters.name]
                    self._went()
                except MunimentError as error:
                    self._failed(error.message)
                    return
                except FileNotFoundError:  # somebody else has brought it, and removed it
                    self.letters.pop(letters.name, None)
                except (Damaged, OSError, msgspec.DecodeError) as error:
                    self._aside.add(letters.name)
                    del self.letters[letters.name]
                    self._say(f"what {letters.places[0]} holds cannot be read, and stays there: {error}")

    def _went(self) -> None:
        if self.failure is not None:
            self._say("the store is there again; what waited is sent")
        self.failure, self._tries = None, 0

    def _failed(self, why: str) -> None:
        if self.failure is None:
            self._say(f"nothing can be sent, so it waits in {self._disk}: {why}")
        self.failure = why
        self._tries += 1
        for letters in self.letters.values():
            letters.report(AWAY)

    def _scan(self, *, now: bool) -> None:
        if not now and time.monotonic() - self._scanned < SCAN_SECONDS:
            return
        self._scanned = time.monotonic()
        for name, (places, about) in writers(self._disk).items():
            if name in self.letters:
                self.letters[name].places[:] = places
            elif name not in self._aside and self._accepts(name, about):
                if about.project not in self._clients:
                    self._clients[about.project] = self._client(about)
                self.letters[name] = Letters(name, places, about, self._clients[about.project])


def writers(disk: Path) -> dict[str, tuple[list[Path], About]]:
    """The writers whose entries lie in a spool, by id: their folders, and what they say of themselves."""
    found: dict[str, tuple[list[Path], About]] = {}
    for root in layout.roots(disk):
        try:
            names = sorted(path.name for path in root.iterdir())
        except OSError:
            continue
        for name in names:
            try:
                about = msgspec.json.decode((root / name / "about.json").read_bytes(), type=About)
            except (OSError, msgspec.DecodeError):
                continue
            found.setdefault(name, ([], about))[0].append(root / name)
    return found
