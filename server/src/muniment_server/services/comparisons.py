"""What tells records apart, and what happened to one: fields before and after."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.model.errors import InvalidInput
from muniment.model.link import Node
from muniment.model.metric import Summary
from muniment.model.question import COMPARED_LIMIT, Compare, Comparison, FieldChange, History, HistoryStep
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog, moments
from muniment_server.services.lineage import nodes_of
from muniment_server.services.references import resolve
from muniment_server.services.reports import inputs_of
from muniment_server.services.workspace import Workspace
from muniment_server.store import ledger, runs, tables
from muniment_server.store.held import Held
from muniment_server.store.kinds import kind_of
from muniment_server.store.reader import Reader

HISTORY_PAGE = 500
"""Changes of a record in one answer."""
_OWN = frozenset(("id", "position", "created_at"))
"""Fields in which any two records differ."""


def compare(workspace: Workspace, scope: Scope, project: str, asked: Compare) -> Comparison:
    """Only the fields in which some records of one kind differ; of runs also params, tags, metrics and data."""
    if not 2 <= len(asked.records) <= COMPARED_LIMIT:
        raise InvalidInput(f"records lists {len(asked.records)}; it takes 2 to {COMPARED_LIMIT}", field="records")

    def ask(reader: Reader) -> Comparison:
        held = [resolve(reader, text, None, f"records[{at}]") for at, text in enumerate(asked.records)]
        kinds = {kind_of(item.record).name for item in held}
        if len(kinds) > 1:
            raise InvalidInput(f"records are of different kinds: {', '.join(sorted(kinds))}", field="records")
        sides = [_fields(reader, scope, item) for item in held]
        names = sorted(set().union(*sides))
        columns = {name: [side.get(name) for side in sides] for name in names}
        different = {name: values for name, values in columns.items() if any(value != values[0] for value in values)}
        known = {item.no: (item.record.id, kind_of(item.record).name) for item in held}
        by_id = {node.id: node for node in nodes_of(reader, dict.fromkeys(known, 0), known)}
        shown: list[Node] = [by_id[item.record.id] for item in held]
        return Comparison(
            records=shown, different=different, same=len(names) - len(different), position=reader.position
        )

    return catalog.read(workspace, scope, project, asked.as_of, ask)


def _fields(reader: Reader, scope: Scope, held: Held) -> dict[str, Any]:
    """Every field of a record by its path, such as ``code.commit``."""
    kind = kind_of(held.record).name
    made = {name: value for name, value in flat(msgspec.to_builtins(held.record)).items() if name not in _OWN}
    if kind != "run":
        tags = runs.items(reader.connection, tables.tags, reader.project_id, [held.no], None, reader.as_of)
        return made | {f"tags.{name}": value for name, value in tags.get(held.no, {}).items()}
    data = runs.find(reader.connection, scope, reader.project_id, held.record.id, as_of=reader.as_of)
    made.update({f"params.{name}": value for name, value in data.params.items()})
    made.update({f"tags.{name}": value for name, value in data.tags.items()})
    made.update({f"metrics.{name}": _last(summary) for name, summary in data.metrics.items()})
    for item in inputs_of(reader, held.no):
        made.setdefault(f"inputs.{item.role or 'data'}", []).append(item.name)
    return made


def _last(summary: Summary) -> Any:
    return summary.last


def flat(document: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a document by their paths; lists are leaves."""
    if not isinstance(document, dict):
        return {prefix: document}
    made: dict[str, Any] = {}
    for name, value in document.items():
        if value is not None:
            made.update(flat(value, f"{prefix}.{name}" if prefix else str(name)))
    return made


def history(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    *,
    after: int = 0,
    limit: int = HISTORY_PAGE,
    as_of: int | str | None = None,
) -> History:
    """Everything that happened to a record, oldest first, each field before and after."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        at = moments.position(connection, ref.no, as_of)
        reader = Reader(connection, scope, ref.no, at)
        held = resolve(reader, record, None, "record")
        state: dict[str, Any] = {}
        steps: list[HistoryStep] = []
        start = 0
        while True:  # from the beginning, since what was before a change is what all earlier ones said
            found = ledger.history(connection, ref.no, held.no, after=start, limit=HISTORY_PAGE, as_of=at)
            for revision in found:
                changes = _applied(state, revision.kind, revision.body)
                if revision.position > after and len(steps) <= limit:
                    steps.append(
                        HistoryStep(
                            position=revision.position,
                            time=revision.time,
                            actor=revision.actor,
                            action=revision.action,
                            changes=changes,
                            erased=revision.body is None,
                        )
                    )
            if len(found) < HISTORY_PAGE or len(steps) > limit:
                break
            start = found[-1].position
    more = len(steps) > limit
    return History(
        record=held.record.id,
        kind=kind_of(held.record).name,
        steps=steps[:limit],
        next=steps[limit - 1].position if more else None,
    )


_FAMILIES = ("params", "tags", "aliases", "artifacts", "facets", "names")
"""What a revision says by name, beside the record's own fields."""
_PREFIXES = tuple(f"{family}." for family in _FAMILIES)


def _applied(state: dict[str, Any], kind: str, body: dict[str, Any] | None) -> list[FieldChange]:
    """What a revision changes in the fields known so far, which follow it."""
    if body is None:
        state.clear()
        return []
    after: dict[str, Any] = {}
    if kind in body:
        now = flat(body[kind])
        gone = [name for name in state if name not in now and not name.startswith(_PREFIXES)]
        after.update(dict.fromkeys((name for name in gone if not name.startswith("links.")), None))
        after.update(now)
    for family in _FAMILIES:
        after.update({f"{family}.{name}": value for name, value in (body.get(family) or {}).items()})
    for link in body.get("links") or ():
        name = f"links.{link['type']}.{link['upstream']}" + (f".{link['role']}" if link["role"] else "")
        after[name] = link["source"]
    for name in body.keys() - {kind, "links", *_FAMILIES}:
        after[name] = body[name]
    changes = [
        FieldChange(field=name, before=state.get(name), after=value)
        for name, value in after.items()
        if state.get(name) != value
    ]
    for change in changes:
        if change.after is None:
            state.pop(change.field, None)
        else:
            state[change.field] = change.after
    return sorted(changes, key=lambda change: change.field)
