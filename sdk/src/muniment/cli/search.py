"""`muniment search`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, get_args

import msgspec
import typer

from muniment.cli.options import AsOfOption, JsonOption, ProjectOption, UrlOption, opened
from muniment.cli.references import called, records, versioned
from muniment.cli.runs import found, mentioned, usual
from muniment.cli.screen import Screen
from muniment.cli.spelling import NONE, ago, cut, number, size, value
from muniment.cli.tables import Column
from muniment.client import Client
from muniment.model.errors import InvalidInput
from muniment.model.search import Kind, Page, Query, WorkspacePage, WorkspaceQuery

KINDS: tuple[str, ...] = get_args(Kind)
_QUIET = frozenset(("position", "lifecycle", "created_at", "sources", "schema", "slices", "profile", "signature",
                    "metadata", "thresholds", "state", "location", "author"))  # fmt: skip
"""Fields that are too long, or too seldom asked for, to stand in a table."""
_SPOKEN_OF: dict[str, tuple[str, ...]] = {
    "model_version": ("run",), "evaluation": ("model_version", "dataset_version", "run"),
}  # fmt: skip
"""Fields that are ids of records, of the kind that they are called after."""
_FIRST = (
    "name",
    "title",
    "text",
    "namespace",
    "version",
    "model_version",
    "slice",
    "verdict",
    "metrics",
    "stage",
    "size",
)
"""Fields that tell records of a kind apart, the most telling first."""


def complete_kind(incomplete: str) -> list[str]:
    """Kinds that begin so, for the shell."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="A kind (run if left out) and a condition.", metavar="[KIND] [WHERE]", autocompletion=complete_kind
        ),
    ] = None,
    order_by: Annotated[
        list[str] | None, typer.Option(help="Such as 'created_at DESC'; may be given again for ties.", metavar="KEY")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Records at the most; of each project with --all-projects.")] = 20,
    all_projects: Annotated[bool, typer.Option("--all-projects", help="In every project of the store.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Also count all that match.")] = False,
    as_of: AsOfOption = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Records of a kind that meet a condition of the search language.

    Kinds: run, experiment, job, dataset, dataset_version, model, model_version, evaluation, artifact, note,
    saved_view, facet_type. With --json: the API's answer, {"runs": […], …, "next", "total", "position"} with the list
    of the kind filled; with --all-projects {"pages": {project: answer}}.

    Examples:
      muniment search "metrics.accuracy > 0.97 AND params.model = 'random-forest'"

      muniment search model_version "model.alias = 'champion'"

      muniment search evaluation "verdict = 'failed' AND dataset.name = 'digits'"

      muniment search note "text MATCH 'leak'" --all-projects
    """
    kind, where = parts(words or [])
    query = Query(kind=kind, where=where, order_by=order_by or [], limit=limit, count=count, as_of=as_of)
    screen = Screen()
    now = datetime.now(UTC)
    with opened(url, project) as client:
        answer = _everywhere(client, query) if all_projects else found(client, query, limit)
        here = isinstance(answer, Page) and not json
        known = names(client, query, records(answer, kind)) if here else {}
    if json:
        screen.json(answer)
    elif isinstance(answer, Page):
        draw(screen, answer, query, now, known)
    else:
        for at, (slug, page) in enumerate(sorted(answer.pages.items())):
            if at:
                screen.line()
            screen.line((f"project {slug}", "bold"))
            draw(screen, page, query, now, {})


def parts(words: list[str]) -> tuple[Kind, str]:
    """The kind and the condition of what was typed; the plural and dashes are understood.

    Raises:
        InvalidInput: it is more than these.
    """
    kind, rest = "run", list(words)
    if rest:
        first = rest[0].lower().replace("-", "_")
        known = first if first in KINDS else first.removesuffix("s")
        if known in KINDS:
            kind = known
            rest = rest[1:]
    if len(rest) > 1:
        raise InvalidInput(
            f"{rest[0]!r} is no kind; search takes [KIND] [WHERE] with the condition in quotes; "
            f"kinds are {', '.join(KINDS)}"
        )
    return msgspec.convert(kind, Kind), rest[0] if rest else ""


def _everywhere(client: Client, query: Query) -> WorkspacePage:
    return client.search_all(WorkspaceQuery(**{name: getattr(query, name) for name in Query.__struct_fields__}))


def names(client: Client, query: Query, here: list[Any]) -> dict[str, str]:
    """Names, by id, of the records that some records of a project speak of, and of versions themselves."""
    as_of = None if query.as_of is None else str(query.as_of)
    made: dict[str, str] = {}
    for name in _SPOKEN_OF.get(query.kind, ()):
        spoken = {getattr(record, name) for record in here if getattr(record, name) is not None}
        made.update(called(client, msgspec.convert(name, Kind), spoken, as_of))
    if query.kind in {"dataset_version", "model_version"}:
        made.update(versioned(client, query.kind, here, as_of))
    return made


def draw(screen: Screen, page: Page, query: Query, now: datetime, known: dict[str, str]) -> None:
    """Print the records of a page as a table; ids that they speak of by the names that are known."""
    here = records(page, query.kind)
    if not here:
        screen.line(f"no {query.kind.replace('_', ' ')} matches")
        return
    if query.kind == "run":
        columns = usual(page.runs, now, mentioned(" ".join([*query.order_by, query.where])))
    else:
        columns = columns_of(here, now, known)
    hidden = screen.table(columns)
    if page.total is not None:
        screen.line((f"{len(here)} of {page.total}", "dim"))
    elif page.next is not None:
        screen.line((f"the first {len(here)}; --limit shows more", "dim"))
    if hidden:
        screen.line((cut(f"no room for {', '.join(hidden)}", screen.width, screen.glyphs.more), "dim"))


def columns_of(here: list[Any], now: datetime, known: dict[str, str]) -> list[Column]:
    """Columns of records of one kind: what tells them apart first, the id last, nothing that all lack."""
    versions = [known.get(record.id) for record in here]
    named = all(versions)
    fields = [name for name in here[0].__struct_fields__ if name not in _QUIET and name != "id"]
    fields = [name for name in fields if not (named and name in {"version", "dataset", "model"})]
    fields.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    columns = {name: [_cell(name, getattr(record, name), known) for record in here] for name in fields}
    if named:
        columns = {"name": [str(name) for name in versions], **columns}
    made = []
    for rank, (name, cells) in enumerate(columns.items()):
        if all(cell == NONE for cell in cells):
            continue
        numeric = all(isinstance(getattr(record, name, ""), int | None) for record in here)
        ids = all(len(cell) == 32 for cell in cells)
        made.append(Column(
            head=name, cells=cells, right=numeric, rank=rank if rank < 4 else rank + 2,
            least=None if numeric or ids else 10,
        ))  # fmt: skip
    ages = Column(head="age", cells=[ago(record.created_at, now) for record in here], right=True, rank=4)
    return [*made, ages, Column(head="id", cells=[record.id for record in here], style="dim")]


def _cell(name: str, item: Any, known: dict[str, str]) -> str:
    if isinstance(item, str) and item in known:
        return known[item]
    if name == "size":
        return size(item)
    if isinstance(item, dict) and name == "metrics":
        return " ".join(f"{key}={number(found, 4)}" for key, found in item.items()) or NONE
    return value(msgspec.to_builtins(item))
