"""Questions that cannot be answered are refused with one clear line; those within the limits are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from muniment.model.errors import InvalidInput, NotFound, TooLarge
from muniment.model.experiment import NewExperiment
from muniment.model.project import NewProject
from muniment.model.run import NewRun
from muniment.model.search import Page, Query
from muniment_server.language import parser
from muniment_server.services import experiments, projects, runs, search
from muniment_server.services.workspace import Workspace

Ask = Callable[..., Page]

WHERE: dict[str, str] = {
    "colour = 'red'": "is not known",
    "metrics = 1": "is not known",
    "run.metrics.loss > 1": "is not known",
    "`name` = 'a'": "cannot be read at character 1",
    "name = 'it's'": "cannot be read at character",
    "name = 'open": "cannot be read at character 8",
    "name = 'a')": "cannot be read at character 11",
    "name == 'a'": "cannot be read at character 7",
    "name = 'a' name = 'b'": "cannot be read at character 12",
    "name = a": "cannot be read at character 8",
    "name = 1": "name is text; write it as '1'",
    "tags.team = 1": "is text; write it as '1'",
    "metrics.loss = 'low'": "is a number; 'low' is text",
    "metrics.loss IN (1, 'low')": "is a number; 'low' is text",
    "metrics.loss LIKE '1%'": "LIKE compares text",
    "attempt LIKE '1%'": "LIKE compares text",
    "created_at LIKE '2026%'": "LIKE compares text",
    "attempt = 'one'": "attempt is a number",
    "id = 'short'": "must be a UUID of 32 hex digits",
    "id > '00000000000000000000000000000000'": "knows only =, !=, IN, LIKE and IS NULL",
    "experiment BETWEEN 'a' AND 'b'": "knows only =, !=, IN, LIKE and IS NULL",
    "id = 5": "id is text; write it as '5'",
    "created_at > 'yesterday'": "is a time such as",
    "created_at > 1e300": "out of range",
    "created_at > 1e999": "out of range",
    "created_at > 99999999999999999": "out of range",
    "attempt > 12x": "12x is no number",
    "attempt > 99999999999999999999": "does not fit into 64 bits",
    "max(name) = 'a'": "max(…) applies to metrics, not to name",
    "avg(metrics.loss) > 1": "cannot be read at character",
    "params.lr IN (1, 'a')": "IN mixes text and numbers",
    "params.lr IN ()": "cannot be read at character",
    "name = 'a\x00b'": "NUL character",
    "name ~ 'a'": "cannot be read at character 6",
    "name LIKE 5": "cannot be read at character 11",
    "'name' = 'a'": "cannot be read at character 1",
}
"""What cannot be read or makes no sense, and what is said of it."""
CUT_SHORT = ["name = ", "(name = 'a'", "name", "NOT", "name = 'a' AND", "metrics.", "name IN ('a',"]
UNTIDY = ["created_at > '0001-01-01T00:00:00+01:00'", "created_at > '9999-12-31T23:59:59-01:00'", "name = '\ud800'"]


@pytest.fixture
def ask(workspace: Workspace) -> Ask:
    """Search a project with three runs."""
    scope, write = workspace.owner_scope, workspace.writer.write
    write(experiments.create(workspace, scope, "default", NewExperiment(name="e")))
    for number in range(3):
        write(runs.create(workspace, scope, "default", NewRun(experiment="e", name=f"r{number}", params={"n": number})))

    def asked(project: str = "default", **query: Any) -> Page:
        return search.search(workspace, scope, project, Query(**query))

    return asked


def _refused(ask: Ask, expected: str, error: type[InvalidInput] = InvalidInput, **query: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(**query)
    assert type(caught.value) is error
    assert expected in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 600
    assert caught.value.field is not None


def test_conditions_are_refused_in_one_line(ask: Ask) -> None:
    for where, expected in WHERE.items():
        _refused(ask, expected, where=where)
    for where in ("metrics.loss > 1", "params.a = 'b'", "state = 'running'"):
        with pytest.raises(InvalidInput, match=r"has no|is not known"):
            ask(kind="experiment", where=where)


@pytest.mark.parametrize("where", CUT_SHORT)
def test_a_condition_that_is_cut_short_ends_too_early(ask: Ask, where: str) -> None:
    _refused(ask, "ends too early", where=where)


@pytest.mark.parametrize("where", UNTIDY)
def test_times_and_texts_beyond_all_bounds_are_refused(ask: Ask, where: str) -> None:
    _refused(ask, "", where=where)


def test_a_moment_beyond_all_bounds_is_refused(ask: Ask) -> None:
    _refused(ask, "", as_of="0001-01-01T00:00:00+01:00")


def test_orders_and_columns_are_refused_in_one_line(ask: Ask) -> None:
    _refused(ask, "is not known", order_by=["colour"])
    _refused(ask, "cannot be read at character 6", order_by=["name UP"])
    _refused(ask, "", order_by=[""])
    _refused(ask, "cannot be read", order_by=["name, id"])
    _refused(ask, "the limit is 8", TooLarge, order_by=["name"] * 9)
    _refused(ask, "always comes with a run", columns=["name"])
    _refused(ask, "the limit is 1000", TooLarge, columns=["tags.a"] * 1001)
    _refused(ask, "cannot be read", columns=["tags.a = 1"])


def test_limits(ask: Ask) -> None:
    _refused(ask, "the limit is 16,384", TooLarge, where="name = '" + "x" * parser.LENGTH_LIMIT + "'")
    many = ", ".join(map(str, range(parser.LIST_LIMIT + 1)))
    _refused(ask, "IN lists 1,001 values", where=f"params.n IN ({many})")
    _refused(ask, "201 comparisons", TooLarge, where="attempt = 1 OR " * parser.TERM_LIMIT + "attempt = 1")
    for depth in (parser.DEPTH_LIMIT + 1, 200, 3000):
        _refused(ask, "nested too deeply", TooLarge, where="NOT " * depth + "attempt = 1")
        closed = min(depth, 2000)
        _refused(ask, "nested too deeply", TooLarge, where="NOT (" * closed + "attempt=1" + ")" * closed)


def test_what_is_within_the_limits_is_answered(ask: Ask) -> None:
    assert len(ask(where="(" * 50 + "attempt = 1" + ")" * 50).runs) == 3
    many = ", ".join(map(str, range(parser.LIST_LIMIT)))
    assert len(ask(where=f"params.n IN ({many})").runs) == 3
    assert len(ask(where="NOT " * (parser.DEPTH_LIMIT - 2) + "attempt = 1").runs) == 3
    assert len(ask(where="attempt = 1 OR " * (parser.TERM_LIMIT - 1) + "attempt = 1").runs) == 3
    assert len(ask(where="name LIKE '" + "*" * 16_000 + "'").runs) == 0


@pytest.mark.parametrize(
    "where",
    [
        "attempt = 1 OR " * (parser.TERM_LIMIT - 1) + "attempt = 1",
        "params.n=1 AND " * (parser.TERM_LIMIT - 1) + "params.n = 1",
        "NOT " * (parser.DEPTH_LIMIT - 1) + "attempt = 1",
        "NOT (" * (parser.DEPTH_LIMIT - 1) + "params.n = 1" + ")" * (parser.DEPTH_LIMIT - 1),
        "NOT (attempt = 1 OR name = 'a' AND " * 9 + "params.n = 1" + ")" * 9,
    ],
)
def test_the_largest_conditions_are_answered(ask: Ask, where: str) -> None:
    assert len(where) <= parser.LENGTH_LIMIT
    ask(where=where)


def test_no_depth_slips_through() -> None:
    """However little of Python's stack is left, depth is refused in Muniment's own words."""
    for depth in range(parser.DEPTH_LIMIT + 1, 600):
        for leaf in ("a = 1", "attempt = 1"):
            with pytest.raises(InvalidInput):
                parser.parse_where("NOT " * depth + leaf, "run")


def test_tokens_belong_to_one_question(workspace: Workspace, ask: Ask) -> None:
    write, scope = workspace.writer.write, workspace.owner_scope
    write(projects.create(scope, NewProject(slug="other")))
    write(experiments.create(workspace, scope, "other", NewExperiment(name="e")))
    token = ask(limit=1, where="position > 0", order_by=["name"]).next
    assert token is not None
    question: dict[str, Any] = {"limit": 1, "where": "position > 0", "order_by": ["name"], "page": token}
    assert [item.run.name for item in ask(**question).runs] == ["r1"]
    assert [item.run.name for item in ask(**{**question, "limit": 9, "count": True}).runs] == ["r1", "r2"]
    others: tuple[dict[str, Any], ...] = (
        {"where": "position>0"}, {"kind": "experiment"}, {"order_by": []}, {"order_by": ["name desc"]}, {"as_of": 1},
        {"lifecycle": "any"}, {"project": "other"},
    )  # fmt: skip
    for change in others:
        _refused(ask, "page is of another question", **{**question, **change})
    for garbage in ("x", "", "k8Q", "é", "====", "k8QIBgXVaP5tJUwCkQY", token[:-2], token + "A", "A" * 5000, "\x00"):
        if garbage:  # an empty token is none
            _refused(ask, "page is", **{**question, "page": garbage})


def test_other_errors(ask: Ask) -> None:
    _refused(ask, "is not a position of this project", as_of=99)
    _refused(ask, "as_of", as_of="last week")
    with pytest.raises(NotFound):
        ask(project="nowhere")
