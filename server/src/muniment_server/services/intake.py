"""Taking in what another system has: steps that are carried out or reported, and how far each of its records has come.

A source is read again and again. What it has of a record is told by a fingerprint, which is kept as the mark of a
writer of its own, in the transaction that brings the record up to date: an import that was killed goes on where it
stopped, and one that finds nothing new writes nothing. A mark spares work and protects nothing; whatever is brought
once more, changes nothing.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from muniment.model.errors import Conflict, MunimentError, Unavailable
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import expecting, receipts, records
from muniment_server.store.draft import Draft
from muniment_server.store.expecting import Expected
from muniment_server.store.group import Withdrawn

WINDOW = 512
"""Bundles in one entry."""
REFUSALS = 1_000
"""Refused steps that are described."""


class Step(msgspec.Struct, frozen=True):
    """One thing to do.

    Attributes:
        kind: what it is counted as, such as ``params``.
        where: of which record, for a report.
        act: does it in a draft; how many things are new by it.
        parts: the same in smaller steps, for when it is refused.
        vital: whether nothing of its bundle can be done without it.
    """

    kind: str
    where: str
    act: Callable[[Draft], int]
    parts: Callable[[], list[Step]] | None = None
    vital: bool = False


class Bundle(msgspec.Struct):
    """Steps about one record, in order.

    Attributes:
        name: of the record.
        steps: what to do.
        expected: what they will ask for.
        mark: the fingerprint that the record has come to when they are done, and all that was written before of it.
    """

    name: str
    steps: list[Step]
    expected: Expected = msgspec.field(default_factory=Expected)
    mark: int | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """What was not taken in."""

    kind: str
    where: str
    code: str
    detail: str


class _Refused(Withdrawn):
    """A step was refused: nothing of its write is done."""

    def __init__(self, bundle: int, step: int, error: MunimentError) -> None:
        super().__init__(bundle, step)
        self.bundle, self.step, self.error = bundle, step, error


def fingerprint(document: object) -> int:
    """63 bits of the SHA-256 of a document of structs, dicts, lists and scalars."""
    digest = hashlib.sha256(msgspec.json.encode(document, order="sorted")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Counted:
    """What is new and what was refused, by kind. One thread reads while another writes, and both may refuse."""

    def __init__(self) -> None:
        self.new: Counter[str] = Counter()
        """Things that were not there or were different."""
        self.refused: Counter[str] = Counter()
        """Things that were not taken."""
        self.refusals: list[Refused] = []
        """The first of them."""
        self._lock = threading.Lock()

    def note(self, kind: str, where: str, error: MunimentError) -> None:
        """Note what was refused."""
        with self._lock:
            self.refused[kind] += 1
            if len(self.refusals) < REFUSALS:
                self.refusals.append(Refused(kind=kind, where=where, code=error.code, detail=error.message))


class Intake(Counted):
    """What one import writes into one project.

    Args:
        workspace: the store.
        scope: who imports.
        project: where to.
        source: what stands for the source of the import, the same each time.
    """

    def __init__(self, workspace: Workspace, scope: Scope, project: str, source: str) -> None:
        super().__init__()
        self.workspace, self.scope, self.project, self.source = workspace, scope, project, source
        self.ref = workspace.project(scope, project, Permission.WRITE)
        self.position = 0
        """Everything is recorded at or before this position."""
        self._stream = self._writer("")
        self._turn = self._sequences([self._stream]).get(self._stream, (0, 0, 0))[0]
        self._marks: dict[str, int] = {}
        """How often the mark of a record has been set."""
        self._spoiled: set[str] = set()
        """Records of which something was refused, and which get no mark."""
        self._window = WINDOW

    def _writer(self, name: str) -> str:
        """The writer that stands for a record of the source; the empty name is the source as a whole."""
        return hashlib.sha256(f"intake:{self.source}\n{name}".encode()).hexdigest()[:32]

    def _sequences(self, writers: Sequence[str]) -> dict[str, tuple[int, int, int]]:
        with self.workspace.store.read() as connection:
            return receipts.writer_marks(connection, self.ref.no, writers)

    def marks(self, names: Sequence[str]) -> dict[str, int]:
        """The fingerprints that records of the source have come to, by name; those that have one."""
        by_writer = {self._writer(name): name for name in names}
        found = {by_writer[writer]: mark for writer, mark in self._sequences(list(by_writer)).items()}
        self._marks.update((name, mark[0]) for name, mark in found.items())
        return {name: mark[2] for name, mark in found.items()}

    def here(self, ids: Sequence[str]) -> set[str]:
        """Those of some ids that records of the project have."""
        with self.workspace.store.read() as connection:
            return records.present(connection, self.ref.no, ids)

    def refuse(self, name: str, kind: str, where: str, error: MunimentError) -> None:
        """Note what cannot be taken in. The record is looked at again next time, and this told again."""
        self._spoiled.add(name)
        self.note(kind, where, error)

    def write(self, bundles: Sequence[Bundle]) -> None:
        """Carry bundles out; steps that are refused are noted, and everything else goes on.

        Raises:
            Conflict: another import of the same source goes on.
            Unavailable: the store cannot be written to now.
        """
        waiting = [msgspec.structs.replace(bundle, steps=list(bundle.steps)) for bundle in bundles]
        start = 0
        while start < len(waiting):
            part = waiting[start : start + self._window]
            try:
                self._commit(part)
            except _Refused as refused:
                if refused.bundle:  # those before it once more, without it
                    self._window = refused.bundle
                    continue
                self._window = 1
                self._without(part[0], refused)
                continue
            start += len(part)
            self._window = min(2 * self._window, WINDOW)

    def _without(self, bundle: Bundle, refused: _Refused) -> None:
        """Take a refused step out of its bundle, or put its parts in its place."""
        step = bundle.steps[refused.step]
        parts = [] if step.parts is None else step.parts()
        if len(parts) < 2:
            self.refuse(bundle.name, step.kind, step.where, refused.error)
            parts = []
        if step.vital:
            bundle.steps.clear()
        else:
            bundle.steps[refused.step : refused.step + 1] = parts

    def _commit(self, bundles: Sequence[Bundle]) -> None:
        new, advanced, position = self.workspace.writer.write(
            Change(self.ref.no, self.scope.principal, "import", lambda draft: self._act(draft, bundles))
        )
        self.new.update(new)
        self._turn += advanced
        self.position = max(self.position, position)

    def _act(self, draft: Draft, bundles: Sequence[Bundle]) -> tuple[Counter[str], int, int]:
        if (draft.writer_mark(self._stream) or (0,))[0] != self._turn:
            raise Conflict("another import of this source into this project goes on; wait for its end")
        expecting.look_up(draft, _together(bundles))
        new: Counter[str] = Counter()
        for at, bundle in enumerate(bundles):
            for number, step in enumerate(bundle.steps):
                try:
                    new[step.kind] += step.act(draft)
                except Unavailable:
                    raise
                except MunimentError as error:
                    raise _Refused(at, number, error) from None
        marked = [(one.name, one.mark) for one in bundles if one.mark is not None and one.name not in self._spoiled]
        if not (draft.touched or marked):
            return new, 0, draft.last_position
        for name, mark in marked:
            draft.advance_writer(self._writer(name), self._marks.get(name, 0) + 1, draft.last_position, mark)
        draft.advance_writer(self._stream, self._turn + 1, draft.last_position, 0)
        return new, 1, draft.last_position


def _together(bundles: Sequence[Bundle]) -> Expected:
    whole = Expected()
    for bundle in bundles:
        for kind, keys in bundle.expected.names.items():
            whole.names.setdefault(kind, set()).update(keys)
        whole.ids.update(bundle.expected.ids)
        whole.called.update(bundle.expected.called)
    return whole
