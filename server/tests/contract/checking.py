"""Looking: what the store says at a moment against what the model says of it."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import event

from contract import asking, evidence, model
from contract.driver import PROJECT, Driver, settled
from contract.model import Body, Outcome
from muniment.model.search import Query
from muniment_server.services import ledger as history
from muniment_server.services import metrics, runs, search

Steps = tuple[int | None, int | None]


class Checking:
    """Everything that is asked of a store; the machine says when."""

    driver: Driver

    def check_gone(self, tokens: set[str]) -> None:
        """No table holds a token any more, and on SQLite no page of the file does."""
        if not tokens:
            return
        event("erased")
        for table in ("ledger", "revisions", "runs", "params", "tags", "receipts", "records", "keys", "words"):
            for row in evidence.rows(self.driver.first, f"SELECT * FROM {table}"):
                text = repr(row)
                assert not any(token in text or token.encode().hex() in text for token in tokens), (table, row)
        if self.driver.site.engine == "sqlite":
            url = self.driver.site.crashed(self.driver.url)
            path = Path(url.removeprefix("sqlite:///"))
            with sqlite3.connect(path) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            data = path.read_bytes()
            self.driver.site.drop(url)
            assert not any(token.encode() in data for token in tokens), "an erased page was not overwritten"

    # time, processes, the keeper

    def check_run(self, run: str, as_of: int | str | None, position: int | None, process: int = 0) -> None:
        """One run at one moment."""
        workspace = self.driver.at(process)
        found = settled(lambda: runs.get(workspace, workspace.owner_scope, PROJECT, run, as_of))
        state = self.driver.model.at(position)
        missing = "gone" if position is not None and self.is_erased(run) else "not_found"
        assert found == (Outcome(state.data(run)) if run in state.records else Outcome(error=missing)), (
            as_of,
            run,
            found,
            state.records.get(run),
        )

    def is_erased(self, run: str) -> bool:
        """Whether a run was erased."""
        record = self.driver.model.state.records.get(run)
        return record is not None and record.body["lifecycle"] == "erased"

    def check_series(self, run: str, key: str, as_of: Any, position: int | None, steps: Steps, limit: int) -> None:
        """The pages of a series at one moment."""
        workspace = self.driver.first
        rows: list[tuple[int, int, int]] = []
        after: str | None = None
        more = True
        common = (workspace, workspace.owner_scope, PROJECT, run, key)
        refused = self.series_refused(run, key, position)
        if refused is not None:
            assert settled(lambda: metrics.series(*common, as_of=as_of)) == Outcome(error=refused)
            return
        expected = self.driver.model.at(position).series(run, key, *steps)
        while more:
            page = metrics.series(
                *common, steps=steps, limit=limit + len(expected) // 5, page=after, as_of=as_of, packed=True
            )
            rows.extend(_unpacked(page))
            after, more = page.next, page.next is not None
        assert rows == expected, (run, key, as_of)

    def check_chart(self, run: str, key: str, as_of: Any, position: int | None, steps: Steps, buckets: int) -> None:
        """The chart of a series at one moment."""
        workspace = self.driver.first
        common = (workspace, workspace.owner_scope, PROJECT, run, key)
        drawn = settled(lambda: metrics.chart(*common, buckets=buckets, steps=steps, as_of=as_of))
        refused = self.series_refused(run, key, position)
        if refused is not None:
            assert drawn == Outcome(error=refused)
            return
        expected = model.chart(self.driver.model.at(position).series(run, key, *steps), buckets)
        shown = {"key": key, **expected, "position": self.driver.model.head if position is None else position}
        assert msgspec.json.decode(msgspec.json.encode(drawn.answer)) == json.loads(json.dumps(shown)), (
            run,
            key,
            as_of,
        )

    def series_refused(self, run: str, key: str, position: int | None) -> str | None:
        """The error that a series is answered with."""
        if self.is_erased(run) and (position is not None or run in self.driver.model.state.records):
            return "gone"
        if run not in self.driver.model.at(position).records or key not in self.driver.model.names:
            return "not_found"
        return None

    def check_search(
        self,
        kind: Any,
        where: asking.Where,
        orders: tuple[asking.Order, ...],
        lifecycle: Any,
        limit: int,
        as_of: int | str | None,
        position: int | None,
    ) -> None:
        """A search with all its pages, at a moment."""
        workspace = self.driver.first
        found: list[Body] = []
        token = None
        while True:
            query = Query(
                kind=kind, where=where[0], order_by=[order.text for order in orders], lifecycle=lifecycle,
                limit=limit, page=token, as_of=as_of, count=True,
            )  # fmt: skip
            page = search.search(workspace, workspace.owner_scope, PROJECT, query)
            found.extend(_builtins(page.runs if kind == "run" else page.experiments))
            token = page.next
            if token is None:
                break
        expected = asking.answer(self.driver.model.at(position), kind, where, orders, lifecycle)
        assert found == expected, f"{where[0]} {orders} {lifecycle} as of {as_of}\n{found}\n{expected}"
        assert page.total == len(expected)

    def check_times(self) -> None:
        """The position that is meant by the time of each entry, and by the moment before it."""
        workspace = self.driver.first
        for moment in {entry.time for entry in self.driver.model.entries}:
            for at in (moment, moment - timedelta(microseconds=1)):
                page = search.search(workspace, workspace.owner_scope, PROJECT, Query(limit=0, as_of=at.isoformat()))
                assert page.position == self.driver.model.position_at(at), at

    def check_change(self, change: Any, position: int) -> None:
        """One change of the feed."""
        entry = self.driver.model.entries[position - 1]
        revisions = [{"kind": kind, "record": key, "body": body} for _, kind, key, body in entry.revisions]
        shown = msgspec.to_builtins(change.data.revisions)
        assert shown == msgspec.to_builtins(revisions), (position, shown, revisions)
        points = None if entry.run is None else {"run": entry.run, "count": len(entry.points)}
        assert _builtins(change.data.points) == points
        assert (change.data.position, change.data.actor) == (position, self.driver.first.owner)
        assert (change.time, change.type) == (entry.time, f"muniment.{entry.action}")

    def leaves(self) -> list[bytes] | None:
        """Every leaf, unless an entry was erased before anybody looked at it."""
        known = self.driver.evidence.leaves
        return [known[at] for at in sorted(known)] if len(known) == self.driver.model.head else None

    def check_evidence(self) -> None:
        """What lies in the tables, and the seals over it."""
        driver, workspace = self.driver, self.driver.first
        driver.evidence.check(workspace, driver.project, driver.model)
        entries = history.entries(workspace, workspace.owner_scope, PROJECT)
        assert [entry.position for entry in entries] == list(range(1, driver.model.head + 1))
        for entry, known in zip(entries, driver.model.entries, strict=True):
            assert (entry.time, entry.actor, entry.action, entry.kind) == (
                known.time,
                workspace.owner,
                known.action,
                known.kind,
            )
            if entry.position in driver.evidence.leaves:
                assert entry.leaf == driver.evidence.leaves[entry.position].hex(), entry
        leaves = self.leaves()
        for seal in history.seals(workspace, workspace.owner_scope, PROJECT):
            assert leaves is None or seal.root == evidence.root(leaves[: seal.size]).hex(), seal

    def everything(self) -> None:
        """Every run, every series, the feed, the evidence, verify."""
        driver, workspace = self.driver, self.driver.first
        driver.check_head()
        again = driver.model.at(driver.model.head)
        assert again == driver.model.state, "the model itself is wrong"
        for run in driver.model.state.of("run"):
            found = settled(lambda run=run: runs.get(workspace, workspace.owner_scope, PROJECT, run))
            assert found == Outcome(driver.model.state.data(run)), run
            for key in driver.model.state.metrics(run):
                series = metrics.series(workspace, workspace.owner_scope, PROJECT, run, key, packed=True)
                assert _unpacked(series) == driver.model.state.series(run, key)
        self.check_feed(1000)
        self.check_evidence()
        driver.check_verified()

    def check_feed(self, limit: int, process: int = 0) -> None:
        """The change feed from the beginning, page by page."""
        workspace, after, seen = self.driver.at(process), "0", 0
        while seen < self.driver.model.head:
            page = history.changes(workspace, workspace.owner_scope, PROJECT, after=after, limit=limit)
            assert 0 < len(page.changes) <= limit
            assert page.position == self.driver.model.head
            for change in page.changes:
                seen += 1
                self.check_change(change, seen)
            after = page.next
        assert history.changes(workspace, workspace.owner_scope, PROJECT, after=after).changes == []


def _builtins(value: Any) -> Any:
    return settled(lambda: value).answer


def _unpacked(page: Any) -> list[tuple[int, int, int]]:
    """(step, timestamp, bits) of a packed page."""
    columns = [
        [int.from_bytes(data[at : at + 8], "little", signed=signed) for at in range(0, len(data), 8)]
        for data, signed in ((page.step, True), (page.timestamp, True), (page.value, False))
    ]
    return list(zip(*columns, strict=True))
