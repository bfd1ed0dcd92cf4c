"""Use cases of models, their versions and aliases."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.model.canonical import alike
from muniment.model.errors import Conflict, InvalidInput
from muniment.model.ids import new_id
from muniment.model.model import (
    CONTENT,
    Framework,
    Model,
    ModelChange,
    ModelData,
    ModelVersion,
    ModelVersionChange,
    NewModel,
    NewModelVersion,
    Signature,
)
from muniment.model.names import TEXT_LIMIT, check_name, check_text
from muniment.model.schema import check_bag, check_columns
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.experiments import changed
from muniment_server.services.references import LATEST, refuse_deleted, resolve, resolve_version, writable
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import belongings
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.reader import Reader
from muniment_server.store.receipts import Receipt

VERSION_LIMIT = 2**53
"""Greatest version number, exclusive: what every client can count to."""


def create(
    workspace: Workspace, scope: Scope, project: str, new: NewModel, receipt: Receipt | None = None
) -> Change[Model]:
    """Prepare a new model. One that exists with the same content is that one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new(new)
    return Change(ref.no, scope.principal, "model.create", lambda draft: create_in(draft, new), receipt)


def check_new(new: NewModel) -> None:
    """Check what can be checked without the store."""
    catalog.check_fields(new, names=("name",), texts=("description",))


def create_in(draft: Draft, new: NewModel) -> Model:
    """Create a model in a draft."""

    def make(position: int) -> Model:
        return Model(id=new_id(), name=new.name, description=new.description, created_at=draft.time, position=position)

    return of(catalog.create_named(draft, "model", (new.name,), new, make))


def of(held: Held) -> Model:
    """The model of a held record."""
    assert isinstance(held.record, Model)
    return held.record


def version_in(held: Held) -> ModelVersion:
    """The version of a held record."""
    assert isinstance(held.record, ModelVersion)
    return held.record


def update(
    workspace: Workspace, scope: Scope, project: str, key: str, change: ModelChange, receipt: Receipt | None = None
) -> Change[Model]:
    """Prepare a change of a model."""
    ref = workspace.project(scope, project, Permission.WRITE)
    catalog.check_fields(change, names=("name",), texts=("description",))

    def act(draft: Draft) -> Model:
        held = resolve(draft, key, "model", "model")
        if isinstance(change.name, str):
            other = draft.find_named("model", change.name)
            if other is not None and other.no != held.no:
                raise Conflict(f"another model is named {change.name!r}; choose another name", field="name")
        return of(draft.replace("model", held, changed(of(held), change)))

    return Change(ref.no, scope.principal, "model.update", act, receipt)


def create_version(
    workspace: Workspace, scope: Scope, project: str, key: str, new: NewModelVersion, receipt: Receipt | None = None
) -> Change[ModelVersion]:
    """Prepare a version of a model."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_version(new)
    return Change(ref.no, scope.principal, "model.version", lambda draft: create_version_in(draft, key, new), receipt)


def check_version(new: NewModelVersion) -> None:
    """Check what can be checked without the store."""
    catalog.check_fields(new, names=("digest",), texts=("description",))
    if new.uri is not None:
        check_text(new.uri, "uri", TEXT_LIMIT)
    if new.version is not None and not 0 < new.version < VERSION_LIMIT:
        raise InvalidInput(f"version must be 1 or more, not {new.version}", field="version")
    if new.signature is not None:
        for part in ("inputs", "outputs", "params"):
            check_columns(getattr(new.signature, part), f"signature.{part}")
    if new.framework is not None:
        catalog.check_fields(new.framework, names=("name", "version"), within="framework.")
    check_bag(new.metadata, "metadata")
    for alias in new.aliases:
        check_alias(alias, "aliases")


def check_alias(alias: str, field: str = "alias") -> str:
    """`alias`, if it can mean a version.

    Raises:
        InvalidInput: it is empty, or could be taken for a version.
    """
    check_name(alias, field)
    if alias == LATEST or alias.isdigit():
        raise InvalidInput(f"{alias[:100]!r} cannot be an alias: it means a version already", field=field)
    return alias


def create_version_in(draft: Draft, key: str, new: NewModelVersion) -> ModelVersion:
    """Create a version in a draft, with its aliases, and the link to the run that made it."""
    held = writable(draft, key, "model", "model")
    model = of(held).id
    run = None if new.run is None else writable(draft, new.run, "run", "run")
    there = _there(draft, model, new)
    if there is not None:
        catalog.check_same_version(there.record, new, CONTENT, "leave version out to register the next one")
        if new.aliases or run is not None:
            refuse_deleted(draft, there, f"version {version_in(there).version}", "version")
    else:
        number = new.version or draft.last_number("model_version", model) + 1
        there = draft.create(
            "model_version",
            lambda position: ModelVersion(
                id=new.id or new_id(), model=model, version=number, stage=new.stage, description=new.description,
                created_at=draft.time, position=position, **{field: getattr(new, field) for field in CONTENT},
            ),
        )  # fmt: skip
    if run is not None:
        draft.add_link(run, there, "generated", "", None, "explicit")
    for alias in new.aliases:
        draft.set_belonging("aliases", held, alias, there)
    return version_in(there)


def _there(draft: Draft, model: str, new: NewModelVersion) -> Held | None:
    """The version that has the number or the id that is given.

    Raises:
        Conflict: the id is that of another.
    """
    named = None if new.version is None else draft.find_named("model_version", model, new.version)
    known = None if new.id is None else draft.find("model_version", new.id)
    if new.id is None or (known is None and named is None):
        return named
    if known is None or version_in(known).model != model or (new.version is not None and known is not named):
        raise Conflict(f"version {new.id} is another one; use a new id, or leave it out", field="id")
    return known


def update_version(
    workspace: Workspace,
    scope: Scope,
    project: str,
    key: str,
    version: str,
    change: ModelVersionChange,
    receipt: Receipt | None = None,
) -> Change[ModelVersion]:
    """Prepare a change of where a version stands."""
    ref = workspace.project(scope, project, Permission.WRITE)
    catalog.check_fields(change, texts=("description",))

    def act(draft: Draft) -> ModelVersion:
        _, found = resolve_version(draft, key, "model", version)
        return version_in(draft.replace("model_version", found, changed(version_in(found), change)))

    return Change(ref.no, scope.principal, "model.version.update", act, receipt)


def complete_version(
    workspace: Workspace,
    scope: Scope,
    project: str,
    version: str,
    *,
    signature: Signature | None = None,
    framework: Framework | None = None,
    digest: str | None = None,
) -> Change[ModelVersion]:
    """Prepare that what was not known of a version when it was registered is filled in, once.

    Args:
        workspace: the store.
        scope: who writes.
        project: where.
        version: a reference to it.
        signature: what it takes and gives; None says nothing, here and of the others.
        framework: what it was made with.
        digest: of its files.

    The change raises `Conflict` if the version says something else already.
    """
    ref = workspace.project(scope, project, Permission.WRITE)
    given = {"signature": signature, "framework": framework, "digest": digest}
    said = {field: value for field, value in given.items() if value is not None}
    check_version(NewModelVersion(**said))  # type: ignore[arg-type]

    def act(draft: Draft) -> ModelVersion:
        held = writable(draft, version, "model_version", "version")
        before = version_in(held)
        for field, value in said.items():
            if getattr(before, field) is not None and not alike(getattr(before, field), value):
                raise Conflict(
                    f"version {before.version} has another {field}; what a version says of itself is said once",
                    field=field,
                )
        return version_in(draft.replace("model_version", held, msgspec.structs.replace(before, **said)))

    return Change(ref.no, scope.principal, "model.version.complete", act)


class AliasSet(msgspec.Struct, frozen=True, kw_only=True):
    """What an alias means now."""

    alias: str
    version: int | None
    """None: nothing."""
    changed: bool
    position: int
    """It is so since this position, or an earlier one if nothing changed."""


def set_alias(
    workspace: Workspace,
    scope: Scope,
    project: str,
    key: str,
    alias: str,
    version: str | None,
    receipt: Receipt | None = None,
) -> Change[AliasSet]:
    """Prepare that an alias means another version, or nothing."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_alias(alias)

    return Change(
        ref.no, scope.principal, "model.alias", lambda draft: set_alias_in(draft, key, alias, version), receipt
    )


def set_alias_in(draft: Draft, key: str, alias: str, version: str | None) -> AliasSet:
    """Let an alias mean another version in a draft, or nothing."""
    target = None
    if version is None:
        held = writable(draft, key, "model", "model")
    else:
        held, target = resolve_version(draft, key, "model", version)
        refuse_deleted(draft, target, f"version {version}", "version")
    done = draft.set_belonging("aliases", held, alias, target)
    number = None if target is None else version_in(target).version
    return AliasSet(alias=alias, version=number, changed=done, position=draft.last_position)


def get(workspace: Workspace, scope: Scope, project: str, key: str, as_of: int | str | None = None) -> ModelData:
    """One model with its versions and aliases, now or as of the past."""

    def ask(reader: Reader) -> ModelData:
        held = resolve(reader, key, "model", "model")
        found = reader.all_of("model_version", "model", held.record.id)
        numbers = {version.id: version.version for version in found}
        meant = belongings.all_of(reader.connection, reader.project_id, "aliases", held.no, reader.as_of)
        aliases = {name: numbers[target.said] for name, target in meant.items() if target.said in numbers}
        return ModelData(model=of(held), versions=found, aliases=aliases)

    return catalog.read(workspace, scope, project, as_of, ask)


def get_version(
    workspace: Workspace, scope: Scope, project: str, key: str, version: str, as_of: int | str | None = None
) -> ModelVersion:
    """One version of a model by number or alias, now or as of the past; ``latest`` is the youngest."""

    def ask(reader: Reader) -> Any:
        return resolve_version(reader, key, "model", version)[1].record

    made: ModelVersion = catalog.read(workspace, scope, project, as_of, ask)
    return made
