"""The use case of bulk onboarding: many commands, in as few entries as their size allows; a bad one stops no other."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import msgspec

from muniment.model import batch as commands
from muniment.model.bulk import REFUSALS, Imported, Line, Refusal
from muniment.model.errors import Conflict, InvalidInput, MunimentError, TooLarge, misshapen
from muniment.model.ids import parse_id
from muniment.model.othername import spelled
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import arrows, batch, othernames
from muniment_server.services.workspace import Change, ProjectRef, Workspace
from muniment_server.store import expecting
from muniment_server.store.draft import Draft
from muniment_server.store.expecting import Expected
from muniment_server.store.group import Withdrawn
from muniment_server.store.kinds import KINDS

LINES = 2_000
"""Lines in one entry."""
SIZE = 8 * 1024 * 1024
"""Bytes in one entry, about."""
LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of one line."""
_CAREFUL = 64
"""Lines tried at once after one was refused."""
_DECODER = msgspec.json.Decoder(Line)
Raw = bytes | arrows.Item
"""A line as it came."""
Step = tuple[int, Callable[[Draft], Any] | MunimentError, Line | None]
"""How far the writer has come with a line; what it does, or why it cannot; the line."""


class _Refused(Withdrawn):
    """One of the steps of a chunk was refused; those before it can be carried out."""

    def __init__(self, at: int, error: MunimentError) -> None:
        super().__init__(at)
        self.at, self.error = at, error


class _Done(msgspec.Struct):
    """What a chunk did."""

    new: int
    equal: int
    position: int


async def take_in(
    workspace: Workspace,
    scope: Scope,
    project: str,
    chunks: AsyncIterator[bytes],
    writer: str | None = None,
    after: int | None = None,
    *,
    arrow: bool = False,
) -> Imported:
    """Carry out a stream of lines.

    Args:
        workspace: the store.
        scope: who sends them.
        project: where to.
        chunks: the stream, as it comes.
        writer: 32 hex digits that stand for this stream; sent again after it broke off, it goes on where it ended.
        after: how far the writer must have come; then every line says where it is `at`.
        arrow: whether the stream is of Arrow and not of NDJSON.

    Raises:
        Conflict: the writer has come elsewhere than `after`, or another stream of it went on meanwhile.
        InvalidInput: the stream cannot be read further; what was committed before stays.
    """
    if after is not None and writer is None:
        raise InvalidInput("after says how far a writer has come; say which writer", field="after")
    ref = await asyncio.to_thread(workspace.project, scope, project, Permission.WRITE)
    stream = _Import(workspace, scope, ref, None if writer is None else _mark_of(writer))
    await stream.begin(after)
    async for lines in arrows.gathered(chunks, LINES, SIZE, LINE_LIMIT) if arrow else _gathered(chunks):
        await stream.carry_out(lines)
    await stream.end()
    return Imported(
        lines=stream.line, skipped=stream.skipped, new=stream.new, equal=stream.equal,
        refused=stream.refused, refused_before=stream.refused_before, refusals=stream.refusals,
        mark=stream.mark, position=stream.position,
    )  # fmt: skip


def _mark_of(writer: str) -> str:
    """The name of an import's mark, which is none of a writer of points."""
    return hashlib.sha256(f"import:{parse_id(writer, field='writer')}".encode()).hexdigest()[:32]


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Lines, as many at a time as one entry may have."""
    lines: list[bytes] = []
    size, parts, length = 0, list[bytes](), 0
    async for chunk in chunks:
        first, *more = chunk.split(b"\n")
        parts.append(first)
        length += len(first)
        if max(length, *map(len, more), 0) > LINE_LIMIT:
            raise TooLarge(f"a line has more than {LINE_LIMIT:,} bytes", field="body")
        for part in more:
            lines.append(b"".join(parts))
            size += length
            parts, length = [part], len(part)
            if len(lines) >= LINES or size >= SIZE:
                yield lines
                lines, size = [], 0
    if length:
        lines.append(b"".join(parts))
    if lines:
        yield lines


class _Import:
    """One stream."""

    def __init__(self, workspace: Workspace, scope: Scope, ref: ProjectRef, writer: str | None) -> None:
        self.workspace, self.scope, self.ref, self.writer = workspace, scope, ref, writer
        self.line = self.skipped = self.new = self.equal = self.refused = self.position = 0
        self.read = 0
        """How far the writer comes with what was read."""
        self.marked = False
        """Whether lines say where they are at."""
        self.skip = self.refused_before = self.mark = 0
        """What earlier tries carried out, what they refused of it, and how far this writer has come."""
        self.window = LINES
        self.refusals: list[Refusal] = []

    async def begin(self, after: int | None) -> None:
        """See how far the writer has come."""
        self.marked = after is not None

        def look(draft: Draft) -> tuple[int, int, int]:
            mark = None if self.writer is None else draft.writer_mark(self.writer)
            return (0, 0, draft.last_position) if mark is None else (mark[0], mark[2], draft.last_position)

        self.skip, self.refused_before, self.position = await self._write(look)
        self.mark = self.skip
        self.read = self.skip if self.marked else 0
        if after is not None and after != self.mark:
            raise Conflict(f"this writer has come to {self.mark}, not to {after}; go on from there", field="after")

    async def end(self) -> None:
        """Remember that lines at the end were refused."""
        if self.writer is not None and self.mark < self.read:  # and none of them is looked at again
            await self._write(lambda draft: self._act(draft, [], self.read))
            self.mark = self.read

    async def _write(self, act: Callable[[Draft], Any]) -> Any:
        return await self.workspace.writer.write_async(Change(self.ref.no, self.scope.principal, "import", act))

    async def carry_out(self, lines: Sequence[Raw]) -> None:
        """Carry out some lines; those that are refused are noted, and the others go on."""
        steps = await asyncio.to_thread(list, self._prepared(lines))
        start = 0
        while start < len(steps):
            number, act, _ = steps[start]
            if isinstance(act, MunimentError):
                self._refuse(number, act)
                start += 1
                continue
            limit = min(start + self.window, len(steps))
            end = next((at for at in range(start, limit) if isinstance(steps[at][1], MunimentError)), limit)
            start = await self._commit(steps, start, end)

    async def _commit(self, steps: list[Step], start: int, end: int) -> int:
        """Carry out the steps from `start` on; where to go on. After a refusal fewer are tried at a time."""
        while True:
            part = steps[start:end]
            last = steps[end - 1][0]
            try:
                done = await self._write(lambda draft: self._act(draft, part, last))  # noqa: B023 - awaited here
            except _Refused as refused:
                self.window = max(1, min(self.window // 2, _CAREFUL))
                at = start + refused.at
                if refused.at:  # those before it once more, without it
                    end = at
                    continue
                self._refuse(steps[at][0], refused.error)
                return at + 1
            self.window = min(2 * self.window, LINES)
            self.new, self.equal, self.position = self.new + done.new, self.equal + done.equal, done.position
            if self.writer is not None:
                self.mark = last
            return end

    def _act(self, draft: Draft, steps: list[Step], last: int) -> _Done:
        """Carry out steps in a draft, and remember how far the writer has come."""
        if self.writer is not None and (draft.writer_mark(self.writer) or (0,))[0] != self.mark:
            raise Conflict("another stream with this writer has gone on meanwhile; send it again", field="writer")
        expecting.look_up(draft, _expected(steps))
        new = 0
        for at, (_, act, line) in enumerate(steps):
            assert not isinstance(act, MunimentError)
            assert line is not None
            try:
                new += _step(draft, act, line)
            except MunimentError as error:
                raise _Refused(at, error) from None
        if self.writer is not None:
            draft.advance_writer(self.writer, last, draft.last_position, self.refused_before + self.refused)
        return _Done(new, len(steps) - new, draft.last_position)

    def _refuse(self, line: int, error: MunimentError) -> None:
        self.refused += 1
        if len(self.refusals) < REFUSALS:
            self.refusals.append(Refusal(line=line, code=error.code, detail=error.message, field=error.field))

    def _prepared(self, lines: Sequence[Raw]) -> Iterator[Step]:
        for raw in lines:
            self.line += 1
            if not self.marked:
                self.read = self.line
                if self.line <= self.skip:
                    self.skipped += 1
                    continue
            if isinstance(raw, bytes) and not raw.strip():
                continue
            try:
                line = _decoded(raw)
                self._advance(line)
                if line.called is not None:
                    spelled(line.called)
                yield self.read, batch.prepared(line.command), line
            except MunimentError as error:
                yield self.read, error, None

    def _advance(self, line: Line) -> None:
        """Come as far as a line says."""
        if (line.at is not None) != self.marked:
            raise InvalidInput("at belongs to every line of a stream with after, and to no other", field="at")
        if line.at is not None:
            if line.at <= self.read:
                raise InvalidInput(f"at is {line.at}, and the line before was at {self.read} already", field="at")
            self.read = line.at


def _decoded(raw: Raw) -> Line:
    if isinstance(raw, MunimentError):
        raise raw
    try:
        return _DECODER.decode(raw) if isinstance(raw, bytes) else msgspec.convert(raw, Line)
    except msgspec.ValidationError as error:
        raise misshapen(error, "line") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the line is no JSON: {str(error)[:200]}", field="line") from None


_NAMED = {
    commands.CreateExperiment: "experiment", commands.CreateJob: "job", commands.CreateDataset: "dataset",
    commands.CreateModel: "model", commands.CreateSavedView: "saved_view",
}  # fmt: skip
_ID = re.compile("[0-9a-f]{32}")


def _expected(steps: list[Step]) -> Expected:
    """What the steps will ask for, so that it is looked up at once."""
    made = Expected()
    for _, _, line in steps:
        assert line is not None
        kind = _NAMED.get(type(line.command))
        if kind is not None:
            key = tuple([getattr(line.command, column) for column in KINDS[kind].key])
            made.names.setdefault(kind, set()).add(key)
        for field in ("id", "run", "record"):
            value = getattr(line.command, field, None)
            if isinstance(value, str) and _ID.fullmatch(value):
                made.ids.add(value)
        if line.called is not None:
            made.called.add(spelled(line.called))
    return made


def _step(draft: Draft, act: Callable[[Draft], Any], line: Line) -> bool:
    """Carry out one line; whether it changed anything."""
    if line.called is not None and draft.find_called(spelled(line.called)) is not None:
        return False
    touched = draft.touched
    result = act(draft)
    if line.called is not None:
        made = getattr(result, "id", None)
        held = None if made is None else draft.find_any(made)
        if held is None:
            raise Conflict("called belongs to commands that make a record; leave it out here", field="called")
        othernames.name_in(draft, held, line.called, None)
    return draft.touched != touched
