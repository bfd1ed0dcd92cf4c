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
from muniment.model.bulk import REFUSALS, Imported
from muniment.model.errors import Conflict, InvalidInput, MunimentError, NotFound, Unavailable
from muniment.model.run import TERMINAL, RunChange
from muniment.spool import layout
from muniment.spool.layout import AWAY, GOING, HELD, About, File
from muniment.spool.reader import Damaged, Entry, Reader

STREAM_BYTES = 8 * 1024 * 1024
"""Bytes of one stream, about."""
GATHER_SECONDS = 1.0
"""How long entries wait for more of them, if nobody is in a hurry; ``$MUNIMENT_GATHER_SECONDS`` says otherwise."""
PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the next try, while the store cannot be reached."""
LOOK_SECONDS = 0.02
"""How often segments are looked at."""
SCAN_SECONDS = 0.25
"""How often new writers are looked for."""
AWAIT_SECONDS = 3_600.0
"""How long what a dead process has logged to another one's run waits for that run."""


class Awaiting(Exception):
    """What follows is of a run that the store does not have yet; somebody else brings it."""


def _passing(error: MunimentError) -> bool:
    """Whether it says what is wrong with the store, or between it and here, rather than with what was sent."""
    return isinstance(error, Unavailable) or type(error) is MunimentError


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
        said = layout.read_sent(places)
        self.refused = said.refused
        self.trouble = ""
        """Why the store takes nothing of this writer, though it is there."""
        self._said, self._counted = said.done, said.counted
        self._until, self._tries = 0.0, 0
        self._mark: int | None = None
        self._reader = Reader(places)
        self._uploaded: list[tuple[int, Path]] = []
        self._last = time.monotonic()
        self._gather = _gather_seconds()

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
        return urgent > self.done or time.monotonic() - self._last >= self._gather

    @property
    def held(self) -> bool:
        """Whether it is too early to try again."""
        return time.monotonic() < self._until

    def hold(self, trouble: str = "") -> None:
        """Wait before the next try, longer each time."""
        self.trouble = trouble
        self._until = time.monotonic() + min(0.1 * 2**self._tries, PAUSES[-1])
        self._tries = min(self._tries + 1, 16)

    def bring(self) -> bool:
        """Bring everything that is there; whether the store had to be asked for anything.

        Raises:
            MunimentError: the store cannot be reached, or takes no streams.
            Awaiting: a run that is another writer's is not in the store yet.
            Damaged: what is there cannot be read.
        """
        self._last = time.monotonic()
        asked = self._mark is None
        if asked:
            self._ask()
            self.report(GOING)
        while self.done < self._reader.extent()[0]:
            self._stream()
            self._tidy()
            self.report(GOING)
            asked, self._tries, self.trouble = True, 0, ""
        return asked

    def _ask(self) -> None:
        """Ask the store how far this writer has come."""
        before = self._said if self._mark is None else self.done
        told = self.client.import_lines([], writer=self.name)
        found = self._reader.segments()
        self.done = max(told.mark, found[0][0]) if found else told.mark
        if told.refused_before > self._counted:  # the answer that said which has been lost
            self._keep_doubtful(before, told.mark, told.refused_before - self._counted)
        self._mark, self._counted = told.mark, told.refused_before

    def _stream(self) -> None:
        """Send entries, up to a size, or up to a file or a run that is another writer's."""
        entries: list[Entry] = []
        end, size = self.done, 0
        try:
            for entry in self._reader.entries(self.done):
                if entries and (entry.file is not None or entry.need):
                    break
                end = entry.end
                if entry.need:
                    self._await(entry.need)
                elif entry.file is not None:
                    entries.append(Entry(end, self._upload(end, entry.file)))
                    break
                elif entry.command:
                    entries.append(entry)
                    size += len(entry.command)
                    if size >= STREAM_BYTES or len(entries) >= REFUSALS:  # no more refusals are described
                        break
        except Damaged:
            if not entries:
                self._pass_over()
                return
        self.done = self._sent(entries, end) if entries else end

    def _pass_over(self) -> None:
        """Go on behind what has been lost with the machine's memory; called while that is an error."""
        later = None
        if self.about.host == layout.host() and self.about.boot != layout.boot():
            later = self._reader.gap(self.done)
        if later is None:
            raise  # noqa: PLE0704 - what the caller handles
        self.refused += 1
        self._note(later, "lost", f"slots {self.done} to {later} were in memory when the machine stopped", None)
        self.done = later

    def _await(self, run: str) -> None:
        try:
            self.client.get_run(run)
        except NotFound:
            newest = max((path.stat().st_mtime for _, path in self._reader.segments()), default=0.0)
            if self.alive or time.time() - newest < AWAIT_SECONDS:
                raise Awaiting(f"run {run} is not there yet") from None

    def _sent(self, entries: list[Entry], end: int) -> int:
        """Send a stream; how far the writer is then."""
        lines = [b'{"at":%d,"command":%s}' % (entry.end, entry.command) for entry in entries]
        try:
            told = self.client.import_lines(lines, writer=self.name, after=self._mark)
        except Conflict:  # an earlier try has arrived after all, or somebody else brings the same
            self._ask()
            return self.done
        except InvalidInput as error:  # of the stream as a whole, such as a line that is too long
            if len(entries) > 1:
                half = entries[: len(entries) // 2]
                return self._sent(half, half[-1].end)
            self.refused += 1
            self._note(end, error.code, error.message, msgspec.json.decode(entries[0].command))
            return end
        except MunimentError:
            self._said, self._mark = self.done, None  # it may have arrived, and a long stream hides that it has
            raise
        self._mark, self._counted = told.mark, told.refused_before + told.refused
        self._keep_refused(told, {entry.end: entry.command for entry in entries})
        return end

    def _upload(self, end: int, file: File) -> bytes:
        """Upload a file; a command that gives it to its run, which it has then."""
        found = [place / "files" / file.name for place in self.places if (place / "files" / file.name).exists()]
        digest = ""
        if found:
            try:
                attached = self.client.upload(file.run, file.path, found[0], file.media_type)
            except MunimentError as error:
                if _passing(error):
                    raise
                kept = self._refusals() / file.name  # nothing is thrown away
                shutil.move(found[0], kept)
                self.refused += 1
                self._note(end, error.code, error.message, {"run": file.run, "path": file.path, "kept": str(kept)})
            else:
                digest = "" if attached.artifact is None else attached.artifact.digest
                self._uploaded.append((end, found[0]))
        return msgspec.json.encode(
            {
                "do": "artifact.attach", "record": file.run, "path": file.path,
                "digest": digest or ("none" if found else "lost"),
            }
        )  # fmt: skip

    def _keep_refused(self, told: Imported, commands: dict[int, bytes]) -> None:
        for refusal in told.refusals:
            command = msgspec.json.decode(commands.get(refusal.line, b"null"))
            does = command.get("do") if isinstance(command, dict) else None
            if does == "run.attempt" or (does == "artifact.attach" and command["digest"] == "none"):
                continue  # a run that still runs goes on; a file that was refused is noted already
            self.refused += 1
            self._note(refusal.line, refusal.code, refusal.detail, command)

    def _note(self, at: int, code: str, detail: str, command: Any) -> None:
        """Keep what the store has refused, and why."""
        line = msgspec.json.encode({"at": at, "code": code, "detail": detail, "refused": command})
        with (self._refusals() / f"{self.name}.ndjson").open("ab") as file:
            try:
                file.write(line + b"\n")
                file.flush()
            except OSError:
                spare = layout.memory_root(self.places[0].parent)
                if spare is None:
                    raise
                with (layout.private(spare) / "refused").open("ab") as other:
                    other.write(line + b"\n")

    def _keep_doubtful(self, after: int, until: int, count: int) -> None:
        """Keep entries of which the store has refused some, and has said in a lost answer which."""
        self.refused += count
        with suppress(Damaged):
            for entry in self._reader.entries(after, until):
                if entry.command:
                    detail = f"the store refused {count} of the entries from {after} to {until}; which is not known"
                    self._note(entry.end, "unknown", detail, msgspec.json.decode(entry.command))

    def _refusals(self) -> Path:
        """The folder of what was refused."""
        return layout.private(self.places[0].parent / "refused")

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
        done = max(self._said, self.done) if self._mark is None else self.done
        raw = layout.SENT.pack(done, state, self.refused, layout.milliseconds(), self._counted)
        for place in self.places:
            with suppress(OSError):
                descriptor = os.open(place / "sent", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
                try:
                    found = self.client.get_run(note.name)
                    if found.run.state not in TERMINAL:
                        self.client.update_run(note.name, RunChange(state="killed"))
                except MunimentError as error:
                    if _passing(error):
                        raise
        for place in self.places:
            _remove(place)


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
        self._stopped = self._hasten = False
        self._tries = 0
        self._scanned = 0.0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Bring what comes, until it is stopped."""
        while not self._stopped:
            try:
                self.round()
            except Exception as error:  # noqa: BLE001 - nothing would be sent any more
                self._failed(f"{type(error).__name__}: {error}")
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
            every, self._hasten = every or self._hasten, False
            for letters in list(self.letters.values()):
                if letters.held:
                    continue
                try:
                    self._deliver(letters, every=every)
                except Awaiting:  # so it is time for the one who brings that run
                    letters.hold()
                    self._hasten = True
                except MunimentError as error:
                    if isinstance(error, Unavailable):
                        self._failed(error.message)
                        return
                    self._put_off(letters, error.message)
                except FileNotFoundError:  # somebody else has brought it, and removed it
                    self.letters.pop(letters.name, None)
                except (Damaged, msgspec.DecodeError) as error:
                    self._aside.add(letters.name)
                    del self.letters[letters.name]
                    letters.report(HELD)
                    self._say(f"what {letters.places[0]} holds cannot be read, and stays there: {error}")
                except Exception as error:  # noqa: BLE001 - the others go on, whatever it is
                    self._put_off(letters, f"{type(error).__name__}: {error}")

    def _deliver(self, letters: Letters, *, every: bool) -> None:
        """Bring what one writer has written, if it is due; tidy up after one that is done."""
        alive, asked = letters.alive, False
        if every or letters.due() or not alive:
            asked = letters.bring()
        if not alive and not letters.left:
            letters.finish()
            del self.letters[letters.name]
        if asked:
            self._went()

    def _put_off(self, letters: Letters, why: str) -> None:
        """Let a writer wait of which the store takes nothing, and say so once."""
        if letters.trouble != why:
            self._say(f"what {letters.places[0]} holds cannot be sent, and waits there: {why}")
        letters.hold(why)
        letters.report(HELD)

    def _went(self) -> None:
        if self.failure is not None:
            self._say("the store is there again; what waited is sent")
            for letters in self.letters.values():
                letters.report(HELD if letters.trouble else GOING)
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


def _gather_seconds() -> float:
    try:
        return float(os.environ.get("MUNIMENT_GATHER_SECONDS", ""))
    except ValueError:
        return GATHER_SECONDS


def writers(disk: Path) -> dict[str, tuple[list[Path], About]]:
    """The writers whose entries lie in a spool, by id: their folders, and what they say of themselves."""
    found: dict[str, tuple[list[Path], About]] = {}
    for root in layout.roots(disk):
        if not layout.ours(root):  # nobody else lets this user send anything
            continue
        try:
            names = sorted(path.name for path in root.iterdir())
        except OSError:
            continue
        for name in names:
            try:
                about = msgspec.json.decode((root / name / "about.json").read_bytes(), type=About)
            except (OSError, msgspec.DecodeError):
                continue
            if layout.ours(root / name):
                found.setdefault(name, ([], about))[0].append(root / name)
    return found


def _remove(place: Path) -> None:
    """Remove a writer's folder. What makes it one goes last, so that whoever is killed meanwhile leaves a whole one."""
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "about.json":
            path.unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
