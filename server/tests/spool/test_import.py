"""A stream of an import that says itself how far it is: what holds between tries, whatever arrives when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.client import Client
from muniment.model.bulk import Imported
from muniment.model.errors import Conflict, InvalidInput, MunimentError
from muniment.model.ids import new_id

RUN = "0123456789abcdef0123456789abcde7"


@pytest.fixture
def client(store_url: str, trust_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("MUNIMENT_TRUST", str(trust_folder))
    with Client(store_url.replace("+psycopg", "")) as made:
        made.import_lines([b'{"command":{"do":"experiment.create","name":"e"}}',
                           b'{"command":{"do":"run.create","experiment":"e","id":"%s"}}' % RUN.encode()])  # fmt: skip
        yield made


def tag(at: int, name: object, run: str = RUN) -> bytes:
    return b'{"at":%d,"command":{"do":"run.tags","run":"%s","tags":{"%s":"x"}}}' % (
        at,
        run.encode(),
        str(name).encode(),
    )


def point(at: int, step: int) -> bytes:
    return b'{"at":%d,"command":{"do":"run.log","run":"%s","series":["a"],"key":[0],"step":[%d],"value":[1]}}' % (
        at, RUN.encode(), step,
    )  # fmt: skip


def test_marks(client: Client) -> None:
    writer = new_id()
    assert client.import_lines([], writer=writer).mark == 0
    assert client.import_lines([tag(5, 1), tag(9, 2)], writer=writer, after=0).mark == 9
    for after in (0, 5, 8, 10):
        with pytest.raises(Conflict, match="9"):
            client.import_lines([tag(20, 3)], writer=writer, after=after)
    assert client.import_lines([], writer=writer).mark == 9
    told = client.import_lines([tag(9, "same"), tag(8, "less"), tag(10, "more")], writer=writer, after=9)
    assert (told.refused, told.mark) == (2, 10), "what does not go on is refused, and the others are not"
    told = client.import_lines([tag(12, "none", "0" * 32)], writer=writer, after=10)
    assert (told.refused, told.mark) == (1, 12), "a refused line is done with too"
    told = client.import_lines([], writer=writer)
    assert (told.mark, told.refused_before) == (12, 3)
    for line in (b'{"command":{"do":"run.tags","run":"%s","tags":{}}}' % RUN.encode(), b"nonsense", tag(2**63, "x")):
        told = client.import_lines([line, tag(told.mark + 5, "on")], writer=writer, after=told.mark)
        assert told.refused == 1
    assert sorted(client.get_run(RUN).tags) == ["1", "2", "more", "on"]
    with pytest.raises(InvalidInput, match="writer"):
        client.import_lines([tag(1, "x")], after=0)


def test_two_that_bring_the_same(client: Client) -> None:
    """Whoever loses is told, and nothing is carried out twice."""
    writer = new_id()
    lines = [point(at, at) for at in range(1, 301)]
    told: list[Imported | MunimentError] = []

    def send() -> None:
        try:
            told.append(client.import_lines(lines, writer=writer, after=0))
        except MunimentError as error:
            told.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Imported) for one in told) == 1, told
    assert all(isinstance(one, Imported | Conflict) for one in told)
    assert client.get_run(RUN).metrics["a"].count == 300


@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    gaps=st.lists(st.integers(1, 5), min_size=1, max_size=12),
    tries=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans()), max_size=6),
)
def test_each_line_is_carried_out_once(client: Client, gaps: list[int], tries: list[tuple[int, int, bool]]) -> None:
    """Streams that begin and end anywhere, right or wrong about how far the writer is."""
    ats = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    writer, mark = new_id(), 0
    before = client.get_run(RUN).metrics["a"].count if client.get_run(RUN).metrics else 0
    for start, end, honest in [*tries, (0, 99, True)]:
        after = mark if honest else ([0, *ats])[min(start, len(ats))]
        lines = [point(at, at) for at in ats if at > after][: end + 1]
        if after != mark:
            with pytest.raises(Conflict):
                client.import_lines(lines, writer=writer, after=after)
            continue
        mark = client.import_lines(lines, writer=writer, after=after).mark
    assert mark == ats[-1]
    assert client.get_run(RUN).metrics["a"].count - before == len(ats)
