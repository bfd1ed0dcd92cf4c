"""Searches answer what a plain evaluation in Python answers: now, in the past, page by page, on both engines."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from muniment.model.run import RunData
from muniment.model.search import Query
from muniment_server.language.parser import parse_where
from muniment_server.language.tree import EVERYTHING
from muniment_server.services import search
from muniment_server.services.workspace import Workspace
from muniment_server.store.search import pages, walking
from muniment_server.store.search.source import mentions_words
from search import oracle, questions
from search.oracle import Record
from search.questions import Known
from search.stores import Builder, Kept

QUESTIONS = int(os.environ.get("MUNIMENT_TEST_SEARCH_QUESTIONS", "400"))
"""Questions on each engine."""
STORES = int(os.environ.get("MUNIMENT_TEST_SEARCH_STORES", "12"))
"""Random stores that are asked."""
SEED = int(os.environ.get("MUNIMENT_TEST_SEARCH_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
"""What the stores are drawn from; a failure says it."""
RUNS = (5, 15, 30, 45)
KINDS = (
    "run", "experiment", "job", "dataset", "dataset_version", "model", "model_version", "model_version", "evaluation",
    "evaluation", "note",
)  # fmt: skip
"""What is asked for; some more often."""


class Stores:
    """Random projects of one store, built when they are first asked, so that a question costs (and shrinks) little."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._kept: dict[int, tuple[Kept, dict[str, Known]]] = {}

    def get(self, number: int) -> tuple[Kept, dict[str, Known]]:
        """A project, and what can be asked of it."""
        if number not in self._kept:
            kept = Builder(self.workspace, f"p-{number}", SEED + number).build(RUNS[number % len(RUNS)])
            self._kept[number] = kept, {kind: _known(kept, kind) for kind in KINDS}
        return self._kept[number]


def test_a_search_answers_what_plain_python_answers(workspace: Workspace) -> None:
    _many(workspace, QUESTIONS)


def test_walks_that_end_at_once_answer_what_plain_python_answers(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is rare enough to start from, and an order by a metric is walked for as many rows as are wanted."""
    monkeypatch.setattr(walking, "_FAR", 1)
    monkeypatch.setattr(walking, "_FURTHER", 1)
    monkeypatch.setattr(pages, "FEW", dict.fromkeys(pages.FEW, 0))
    _many(workspace, QUESTIONS // 3)


def _many(workspace: Workspace, count: int) -> None:
    stores = Stores(workspace)

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(data=st.data())
    def ask(data: DataObject) -> None:
        number = data.draw(st.integers(0, STORES - 1), label=f"store of MUNIMENT_TEST_SEARCH_SEED={SEED}")
        kept, known = stores.get(number)
        kind = data.draw(st.sampled_from(("run",) * 7 + KINDS[1:]))
        _ask(workspace, kept, known[kind], data)

    ask()


def _known(kept: Kept, kind: str) -> Known:
    """What can be asked for: ids and times, in the order in which records were made, which a seed decides."""
    versions = [
        version
        for family in map(kept.lives, dict.fromkeys(KINDS))
        for life in sorted(family.values(), key=lambda life: life.no)
        for version in life.versions
    ]
    ids = [life.versions[0].id for family in map(kept.lives, dict.fromkeys(KINDS)) for life in family.values()]
    return Known(kind, ids, [version.created_at for version in versions])


def _ask(workspace: Workspace, kept: Kept, known: Known, data: DataObject) -> None:
    where, text = data.draw(
        st.one_of(questions.conditions(known), questions.precedence(known), st.just((EVERYTHING, " "))), label="where"
    )
    keys = data.draw(st.lists(questions.orders(known), max_size=3), label="order_by")
    as_of = data.draw(st.none() | st.integers(0, kept.head), label="as_of")
    if mentions_words(where):
        as_of = None
    chosen, columns = data.draw(questions.columns(known), label="columns") if known.kind == "run" else ({}, None)
    everything = data.draw(st.booleans())
    query = Query(
        kind=known.kind,  # type: ignore[arg-type]
        where=text,
        order_by=[text for _, text in keys],
        limit=data.draw(st.sampled_from((1, 2, 3, 5, 8, 100)), label="limit"),
        columns=None if everything else columns,
        as_of=str(as_of) if as_of is not None and data.draw(st.booleans()) else as_of,
        lifecycle=data.draw(st.sampled_from(("active", "any", "any", "deleted"))),
        count=data.draw(st.booleans()),
    )
    assert parse_where(text, known.kind) == where
    records = kept.at(known.kind, as_of)
    expected = oracle.search(records, where, [order for order, _ in keys], query.lifecycle)
    found = _pages(workspace, kept, query, len(expected))
    assert [_id(item) for item in found] == [record.record.id for record in expected]
    for item, record in zip(found, expected, strict=True):
        _same(item, record, {} if query.columns is None else chosen)


def _id(item: Any) -> str:
    return str(item.run.id if isinstance(item, RunData) else item.id)


def _pages(workspace: Workspace, kept: Kept, query: Query, expected: int) -> list[Any]:
    """The whole answer, page by page."""
    found: list[Any] = []
    token = None
    while True:
        page = search.search(workspace, workspace.owner_scope, kept.slug, _on(query, token))
        items = getattr(page, f"{query.kind}s")
        assert len(items) <= query.limit
        assert page.total == (expected if query.count else None)
        assert page.position == (kept.head if query.as_of is None else int(query.as_of))
        found.extend(items)
        token = page.next
        if token is None:
            return found
        assert len(items) == query.limit
        assert len(found) < expected, "there is a next page of nothing"


def _on(query: Query, token: str | None) -> Query:
    fields = {name: getattr(query, name) for name in query.__struct_fields__}
    return Query(**{**fields, "page": token})


def _same(item: Any, record: Record, chosen: dict[str, set[str] | None]) -> None:
    """Whether an answered record is the expected one, with the chosen columns; none chosen are all."""
    if not isinstance(item, RunData):
        assert item == record.record
        return
    assert item.run == record.record
    assert item.params == _chosen(record.params, chosen.get("param"))
    assert item.tags == _chosen(record.tags, chosen.get("tag"))
    points = _chosen(record.points, chosen.get("metric"))
    assert item.metrics == {key: oracle.summary(found) for key, found in points.items()}


def _chosen(items: dict[str, Any], names: set[str] | None) -> dict[str, Any]:
    return items if names is None else {key: value for key, value in items.items() if key in names}
