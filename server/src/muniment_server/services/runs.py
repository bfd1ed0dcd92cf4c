"""Use cases of runs: start, change, params, tags, attempts."""

from __future__ import annotations

from datetime import datetime

import msgspec

from muniment.model.errors import Conflict, InvalidInput, NotFound
from muniment.model.ids import new_id, parse_id
from muniment.model.names import TEXT_LIMIT, check_document, check_map, check_name, check_text, check_time, check_title
from muniment.model.run import TERMINAL, NewRun, Run, RunChange, RunData, param_text
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import moments
from muniment_server.services.experiments import changed, held_by_key
from muniment_server.services.experiments import of as experiment_of
from muniment_server.services.references import writable as writable_record
from muniment_server.services.workspace import Change, Workspace, refuse_erased
from muniment_server.store import runs
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.receipts import Receipt

DOCUMENT_LIMIT = 262_144
"""Bytes of JSON in `code`, `environment` or `seeds`."""


def create(
    workspace: Workspace, scope: Scope, project: str, new: NewRun, receipt: Receipt | None = None
) -> Change[Run]:
    """Prepare a new run. With the id of one that was started alike, it is that one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    params = check_new(new)
    return Change(ref.no, scope.principal, "run.create", lambda draft: create_in(draft, new, params), receipt)


def check_new(new: NewRun) -> dict[str, str]:
    """Check what can be checked without the store; the params as text."""
    check_title(new.experiment, "experiment")
    if new.name is not None:
        check_title(new.name, "name")
    _check_fields(new)
    check_map(new.tags, "tags")
    return texts(new.params)


def texts(params: dict[str, str | int | float | bool]) -> dict[str, str]:
    """Params as they are kept.

    Raises:
        InvalidInput: a key or value is not acceptable.
    """
    made = {key: param_text(value) for key, value in params.items()}
    check_map(made, "params")
    return made


def _check_fields(given: NewRun | RunChange) -> None:
    if isinstance(given.description, str):
        check_text(given.description, "description", TEXT_LIMIT)
    if isinstance(given.user, str):
        check_name(given.user, "user")
    for name in ("code", "environment", "seeds"):
        document = getattr(given, name)
        if document is None or document is msgspec.UNSET:
            continue
        parts = document if isinstance(document, dict) else msgspec.structs.asdict(document)
        check_document(parts, name)
        size = len(msgspec.json.encode(document))
        if size > DOCUMENT_LIMIT:
            raise InvalidInput(f"{name} has {size:,} bytes of JSON; the limit is {DOCUMENT_LIMIT:,}", field=name)
    start, end = given.started_at, given.ended_at
    for name, moment in (("started_at", start), ("ended_at", end)):
        if isinstance(moment, datetime):
            check_time(moment, name)
    if isinstance(start, datetime) and isinstance(end, datetime) and end < start:
        raise InvalidInput("ended_at is before started_at", field="ended_at")


def create_in(draft: Draft, new: NewRun, params: dict[str, str]) -> Run:
    """Create a run in a draft."""
    experiment = experiment_of(held_by_key(draft, new.experiment))
    if new.id is not None:
        there = draft.find("run", new.id)
        if there is not None:
            return _same(draft, there, new, params, experiment.id)
    if experiment.lifecycle != "active":
        raise Conflict(
            f"experiment {experiment.name!r} is deleted; restore it before starting runs", field="experiment"
        )
    if new.parent is not None and draft.find("run", new.parent) is None:
        raise NotFound(f"parent run {new.parent} does not exist in this project", field="parent")
    job = None if new.job is None else writable_record(draft, new.job, "job", "job")
    run_id = new.id or new_id()
    running = new.state != "scheduled"

    def make(position: int) -> Run:
        return Run(
            id=run_id,
            experiment=experiment.id,
            name=new.name or f"run-{run_id[-8:]}",
            kind=new.kind,
            state=new.state,
            parent=new.parent,
            description=new.description,
            user=new.user,
            code=new.code,
            environment=new.environment,
            seeds=new.seeds,
            created_at=draft.time,
            started_at=new.started_at or (draft.time if running else None),
            ended_at=new.ended_at or (draft.time if new.state in TERMINAL else None),
            job=None if job is None else job.record.id,
            position=position,
        )

    held = draft.create("run", make)
    if params:
        draft.add_params(held, params)
    if new.tags:
        draft.change_tags(held, dict(new.tags))
    return of(held)


def _same(draft: Draft, there: Held, new: NewRun, params: dict[str, str], experiment: str) -> Run:
    """The run that was started alike before."""
    run = of(there)
    refuse_erased(run.lifecycle, f"run {run.id}")
    known = draft.params(there)
    alike = (
        run.experiment == experiment
        and run.kind == new.kind
        and (new.name is None or run.name == new.name)
        and run.parent == new.parent
        and all(known.get(key) == value for key, value in params.items())
    )
    if not alike:
        raise Conflict(f"run {run.id} exists and was started differently; use a new id", field="id")
    return run


def of(held: Held) -> Run:
    """The run of a held record."""
    assert isinstance(held.record, Run)
    return held.record


def held_by_id(draft: Draft, run_id: str) -> Held:
    """The run with this id, ready to be written to.

    Raises:
        NotFound: there is none.
        Gone: it was erased.
    """
    found = draft.find("run", run_id)
    if found is None:
        raise NotFound(f"run {run_id} does not exist in this project", field="run")
    refuse_erased(of(found).lifecycle, f"run {run_id}")
    return found


def writable(draft: Draft, run_id: str) -> Held:
    """The run with this id, if something may be logged to it.

    Raises:
        NotFound, Gone: as `held_by_id`.
        Conflict: it is deleted.
    """
    found = held_by_id(draft, run_id)
    if of(found).lifecycle == "deleted":
        raise Conflict(f"run {run_id} is deleted; restore it before logging to it", field="run")
    return found


def get(workspace: Workspace, scope: Scope, project: str, run_id: str, as_of: int | str | None = None) -> RunData:
    """One run with its params, tags and summaries, now or as of the past."""
    ref = workspace.project(scope, project, Permission.READ)
    run_id = parse_id(run_id, field="run")
    with workspace.store.read() as connection:
        at = moments.position(connection, ref.no, as_of)
        return runs.find(connection, scope, ref.no, run_id, as_of=at)


def update(
    workspace: Workspace, scope: Scope, project: str, run_id: str, change: RunChange, receipt: Receipt | None = None
) -> Change[Run]:
    """Prepare a change of a run's own fields."""
    ref = workspace.project(scope, project, Permission.WRITE)
    run_id = parse_id(run_id, field="run")
    check_change(change)
    return Change(ref.no, scope.principal, "run.update", lambda draft: update_in(draft, run_id, change), receipt)


def check_change(change: RunChange) -> None:
    """Check what can be checked without the store."""
    if isinstance(change.name, str):
        check_title(change.name, "name")
    _check_fields(change)


def update_in(draft: Draft, run_id: str, change: RunChange) -> Run:
    """Change a run in a draft. A run that ends without saying when, ended now."""
    held = held_by_id(draft, run_id)
    run = of(held)
    if isinstance(change.parent, str):
        _check_parent(draft, run, change.parent)
    made = changed(run, change)
    if made.state in TERMINAL and run.state not in TERMINAL and made.ended_at is None:
        made = msgspec.structs.replace(made, ended_at=draft.time)
    if made.state not in TERMINAL and change.ended_at is msgspec.UNSET and made.ended_at is not None:
        made = msgspec.structs.replace(made, ended_at=None)
    if made.state != "scheduled" and made.started_at is None:
        made = msgspec.structs.replace(made, started_at=draft.time)
    return of(draft.replace("run", held, made))


def _check_parent(draft: Draft, run: Run, parent: str) -> None:
    seen = {run.id}
    at: str | None = parent
    while at is not None:
        if at in seen:
            raise Conflict(f"run {run.id} cannot be its own ancestor", field="parent")
        seen.add(at)
        found = draft.find("run", at)
        if found is None:
            raise NotFound(f"parent run {at} does not exist in this project", field="parent")
        at = of(found).parent


def begin_attempt(
    workspace: Workspace, scope: Scope, project: str, run_id: str, receipt: Receipt | None = None
) -> Change[Run]:
    """Prepare the next attempt of a run that has ended."""
    ref = workspace.project(scope, project, Permission.WRITE)
    run_id = parse_id(run_id, field="run")
    return Change(ref.no, scope.principal, "run.attempt", lambda draft: begin_attempt_in(draft, run_id), receipt)


def begin_attempt_in(draft: Draft, run_id: str) -> Run:
    """Begin the next attempt in a draft; the earlier one stays in the run's history."""
    held = writable(draft, run_id)
    run = of(held)
    if run.state not in TERMINAL:
        raise Conflict(f"run {run.id} is {run.state}; only a run that has ended can be attempted again", field="run")
    again = msgspec.structs.replace(run, attempt=run.attempt + 1, state="running", started_at=draft.time, ended_at=None)
    return of(draft.replace("run", held, again))


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to params or tags."""

    changed: int
    """How many were new or different."""
    position: int
    """Everything that was asked for is recorded at or before this position."""


def log_params(
    workspace: Workspace,
    scope: Scope,
    project: str,
    run_id: str,
    params: dict[str, str | int | float | bool],
    receipt: Receipt | None = None,
) -> Change[Logged]:
    """Prepare params of a run. Those that are there already must be equal."""
    ref = workspace.project(scope, project, Permission.WRITE)
    run_id, made = parse_id(run_id, field="run"), texts(params)

    def act(draft: Draft) -> Logged:
        count = draft.add_params(writable(draft, run_id), made)
        return Logged(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "run.params", act, receipt)


def set_tags(
    workspace: Workspace,
    scope: Scope,
    project: str,
    run_id: str,
    tags: dict[str, str | None],
    receipt: Receipt | None = None,
) -> Change[Logged]:
    """Prepare tags of a run; null removes one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    run_id = parse_id(run_id, field="run")
    check_map({key: value or "" for key, value in tags.items()}, "tags")

    def act(draft: Draft) -> Logged:
        count = draft.change_tags(writable(draft, run_id), tags)
        return Logged(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "run.tags", act, receipt)
