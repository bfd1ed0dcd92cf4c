"""Use cases of a registry of models: a model by its name with what stands for it, and changes of several records.

A model that is deleted here gives its name back: it keeps its versions, links and past under another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from muniment.model.errors import Conflict, NotFound
from muniment.model.facet import Facet
from muniment.model.ids import new_id
from muniment.model.model import Model, ModelVersion, NewModel, NewModelVersion, Stage
from muniment.model.names import NAME_LIMIT, check_map, check_name
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog, details, facets, models
from muniment_server.services.details import Details
from muniment_server.services.references import LATEST, Finder, refuse_deleted, resolve, writable
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import belongings, ledger
from muniment_server.store import models as store
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.reader import Reader

RETIRED = "retired"
"""The facet of a model that gave its name back: ``name``, what it was called, and ``at``, when that ended."""

Documents = Mapping[str, dict[str, Any]]
"""Documents of facets by their names."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a model, with what belongs to it."""

    model: Model
    version: ModelVersion
    details: Details
    aliases: list[str]
    """Those that mean it."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a registry shows it."""

    model: Model
    details: Details
    youngest: list[Version]
    """The active version with the greatest number in each stage, oldest first."""
    aliases: dict[str, int]
    """The numbers of the versions that they mean."""
    changed_at: datetime
    """When it or any of its versions was last written."""


class Mention(msgspec.Struct, frozen=True, kw_only=True):
    """A tag of another record that shall speak of a new version.

    Attributes:
        record: its id.
        key: the tag's.
        make: the tag from what it was and the number of the version.
    """

    record: str
    key: str
    make: Callable[[str | None, int], str]


def named(workspace: Workspace, scope: Scope, project: str, name: str) -> Model:
    """The model that is called so and not deleted.

    Raises:
        NotFound: there is none.
    """
    return catalog.read(workspace, scope, project, None, lambda reader: models.of(_active(reader, name)))


def _active(finder: Finder, name: str) -> Held:
    held = finder.find_named("model", name)
    if held is None or models.of(held).lifecycle != "active":
        raise NotFound(f"model {name[:100]!r} does not exist in this project", field="model")
    return held


def standing(
    workspace: Workspace, scope: Scope, project: str, found: Sequence[Model], family: str
) -> list[Standing]:  # fmt: skip
    """How models stand, in their order; a handful of queries however many they are.

    Args:
        workspace: the store.
        scope: who asks.
        project: where.
        found: as they are now.
        family: how the names of the facets begin that are wanted.
    """
    if not found:
        return []
    return catalog.read(workspace, scope, project, None, lambda reader: _standing(reader, found, family))


def _standing(reader: Reader, found: Sequence[Model], family: str) -> list[Standing]:
    connection, project_id = reader.connection, reader.project_id
    ids = [model.id for model in found]
    numbers = reader.numbers(ids)
    meant = store.meanings(connection, project_id, sorted(numbers.values()))
    youngest = store.youngest_by_stage(connection, project_id, ids)
    targets = {number for aliases in meant.values() for number in aliases.values()}
    versions = reader.numbered("model_version", sorted({*youngest, *targets}))
    chosen = sorted(youngest)
    about = details.read(reader, [versions[number] for number in chosen], family)
    own = details.read(reader, found, family)
    times = _changed(reader, found)
    made = []
    for model, said in zip(found, own, strict=True):
        aliases = {name: target for name, target in meant.get(numbers[model.id], {}).items() if target in versions}
        mine = [
            Version(
                model=model, version=versions[number], details=told,
                aliases=[name for name, target in aliases.items() if target == number],
            )
            for number, told in zip(chosen, about, strict=True)
            if versions[number].model == model.id
        ]  # fmt: skip
        made.append(
            Standing(
                model=model, details=said, youngest=mine, changed_at=times[model.id],
                aliases={name: versions[target].version for name, target in aliases.items()},
            )
        )  # fmt: skip
    return made


def _changed(reader: Reader, found: Sequence[Model]) -> dict[str, datetime]:
    """When models or any of their versions were last written."""
    written = store.last_written(reader.connection, reader.project_id, [model.id for model in found])
    last = {model.id: max(model.position, written.get(model.id, 0)) for model in found}
    times = ledger.times(reader.connection, reader.project_id, last.values())
    return {model: times[position] for model, position in last.items()}


def changed(workspace: Workspace, scope: Scope, project: str, found: Sequence[Model]) -> dict[str, datetime]:
    """By their ids, when models or any of their versions were last written."""
    return catalog.read(workspace, scope, project, None, lambda reader: _changed(reader, found))


def version(
    workspace: Workspace, scope: Scope, project: str, name: str, wanted: int | str, family: str
) -> Version:  # fmt: skip
    """A version of a model by its number, an alias, or ``latest``, if neither it nor the model is deleted.

    Raises:
        NotFound: there is none; the error's field is ``model`` or ``version``.
    """

    def ask(reader: Reader) -> Version:
        held = _active(reader, name)
        return _told(reader, models.of(held), models.version_in(_version(reader, held, wanted)), family)

    return catalog.read(workspace, scope, project, None, ask)


def versions(
    workspace: Workspace, scope: Scope, project: str, found: Sequence[ModelVersion], family: str
) -> list[Version]:  # fmt: skip
    """Versions of any models with what belongs to them, but for aliases, in their order."""
    if not found:
        return []

    def ask(reader: Reader) -> list[Version]:
        owners = reader.by_ids("model", (one.model for one in found))
        about = details.read(reader, found, family)
        return [
            Version(model=owners[one.model], version=one, details=told, aliases=[])
            for one, told in zip(found, about, strict=True)
        ]

    return catalog.read(workspace, scope, project, None, ask)


def by_id(workspace: Workspace, scope: Scope, project: str, record: str, family: str) -> Version:
    """A version by its id, deleted or not, with what belongs to it, but for aliases.

    Raises:
        NotFound: there is none.
        Gone: it was erased.
    """

    def ask(reader: Reader) -> Version:
        found = models.version_in(resolve(reader, record, "model_version", "version"))
        owner = reader.find("model", found.model)
        assert owner is not None
        (told,) = details.read(reader, [found], family)
        return Version(model=models.of(owner), version=found, details=told, aliases=[])

    return catalog.read(workspace, scope, project, None, ask)


def facet_of(workspace: Workspace, scope: Scope, project: str, record: str, name: str) -> dict[str, Any] | None:
    """The document of one facet of a version by its id; None if the version, or its model, is deleted or not there.

    It costs the same however many other facets there are.
    """

    def ask(reader: Reader) -> dict[str, Any] | None:
        held = reader.find("model_version", record)
        if held is None:
            return None
        owner = reader.find("model", models.version_in(held).model)
        lifecycles = {models.version_in(held).lifecycle, owner and models.of(owner).lifecycle}
        said = reader.belonging("facets", held, name) if lifecycles == {"active"} else None
        return None if said is None else dict(said["value"])

    return catalog.read(workspace, scope, project, None, ask)


def active_versions(
    workspace: Workspace, scope: Scope, project: str, found: Sequence[Model], family: str
) -> list[Version]:  # fmt: skip
    """All active versions of models, oldest first, with what belongs to them, but for aliases."""
    if not found:
        return []

    def ask(reader: Reader) -> list[Version]:
        owners = {model.id: model for model in found}
        every = store.versions_of(reader.connection, reader.project_id, list(owners))
        about = details.read(reader, every, family)
        return [
            Version(model=owners[one.model], version=one, details=told, aliases=[])
            for one, told in zip(every, about, strict=True)
        ]

    return catalog.read(workspace, scope, project, None, ask)


def _told(reader: Reader, model: Model, found: ModelVersion, family: str) -> Version:
    (about,) = details.read(reader, [found], family)
    numbers = reader.numbers([model.id, found.id])
    meant = store.meanings(reader.connection, reader.project_id, [numbers[model.id]]).get(numbers[model.id], {})
    aliases = [name for name, target in meant.items() if target == numbers[found.id]]
    return Version(model=model, version=found, details=about, aliases=aliases)


def _version(finder: Finder, held: Held, wanted: int | str) -> Held:
    """The active version of a model that is meant."""
    found, owner = None, held.record.id
    if isinstance(wanted, int):
        found = finder.find_named("model_version", owner, wanted) if 0 < wanted < models.VERSION_LIMIT else None
    elif wanted == LATEST:
        found = finder.latest("model_version", owner)
    else:
        found = finder.find_alias(held, wanted)
    if found is None or models.version_in(found).lifecycle != "active":
        raise NotFound(
            f"model {models.of(held).name[:100]!r} has no version {str(wanted)[:100]!r}", field="version"
        )  # fmt: skip
    return found


def register(
    workspace: Workspace, scope: Scope, project: str, new: NewModel, tags: dict[str, str], documents: Documents
) -> Change[Model]:
    """Prepare a model, with tags and facets, that must not be there yet; a deleted one gives its name back.

    The change raises `Conflict` if it is.
    """
    ref = workspace.project(scope, project, Permission.WRITE)
    models.check_new(new)
    _check(tags, documents)

    def act(draft: Draft) -> Model:
        _free(draft, new.name, None)
        made = models.create_in(draft, new)
        held = draft.find("model", made.id)
        assert held is not None
        _dress(draft, held, tags, documents)
        return made

    return Change(ref.no, scope.principal, "model.create", act)


def _check(tags: dict[str, str], documents: Documents) -> None:
    check_map(tags, "tags")
    for name, value in documents.items():
        facets.check_facet(name, value)


def _dress(draft: Draft, held: Held, tags: Mapping[str, str], documents: Documents) -> None:
    draft.change_tags(held, dict(tags))
    for name, value in documents.items():
        draft.set_belonging("facets", held, name, msgspec.to_builtins(Facet(value=value)))


def _free(draft: Draft, name: str, taker: Held | None) -> None:
    """See to it that no other model has a name.

    Raises:
        Conflict: one has it that is not deleted.
    """
    there = draft.find_named("model", name)
    if there is None or (taker is not None and there.no == taker.no):
        return
    if models.of(there).lifecycle != "deleted":
        raise Conflict(f"model {name!r} exists; choose another name", field="name")
    _retire(draft, there)


def _retire(draft: Draft, held: Held) -> Model:
    """Delete a model that gives its name back."""
    before = models.of(held)
    base = f"{before.name[: NAME_LIMIT - 50]} (deleted {draft.time:%Y-%m-%dT%H:%M:%S.%fZ})"
    name, count = base, 1
    while draft.find_named("model", name) is not None:
        count += 1
        name = f"{base} {count}"
    made = draft.replace("model", held, msgspec.structs.replace(before, name=name, lifecycle="deleted"))
    said = {"name": before.name, "at": f"{draft.time:%Y-%m-%dT%H:%M:%S.%fZ}"}
    draft.set_belonging("facets", made, RETIRED, msgspec.to_builtins(Facet(value=said)))
    return models.of(made)


def retire(workspace: Workspace, scope: Scope, project: str, name: str) -> Change[Model]:
    """Prepare that a model is deleted and its name is free; it goes on under another, with all that it has."""
    ref = workspace.project(scope, project, Permission.WRITE)
    return Change(ref.no, scope.principal, "model.retire", lambda draft: _retire(draft, _active(draft, name)))


def rename(workspace: Workspace, scope: Scope, project: str, name: str, new_name: str) -> Change[Model]:
    """Prepare another name of a model.

    The change raises `Conflict` if another has it that is not deleted.
    """
    ref = workspace.project(scope, project, Permission.WRITE)
    check_name(new_name, "name")

    def act(draft: Draft) -> Model:
        held = _active(draft, name)
        _free(draft, new_name, held)
        return models.of(draft.replace("model", held, msgspec.structs.replace(models.of(held), name=new_name)))

    return Change(ref.no, scope.principal, "model.update", act)


def add_version(
    workspace: Workspace,
    scope: Scope,
    project: str,
    owner: NewModel,
    new: NewModelVersion,
    *,
    tags: dict[str, str],
    documents: Documents,
    owner_tags: dict[str, str] | None = None,
    derived_from: str | None = None,
    mention: Mention | None = None,
) -> Change[ModelVersion]:
    """Prepare a version of a model with all that belongs to it.

    Args:
        workspace: the store.
        scope: who writes.
        project: where.
        owner: the model, by its name.
        new: the version.
        tags: of the version.
        documents: its facets.
        owner_tags: of the model if it has to be made first; None: it must be there.
        derived_from: the id of the version that this one was made from.
        mention: a tag of another record that shall speak of this version.
    """
    ref = workspace.project(scope, project, Permission.WRITE)
    models.check_new(owner)
    models.check_version(new)
    _check(tags, documents)

    def act(draft: Draft) -> ModelVersion:
        held = _owner(draft, owner, owner_tags)
        made = models.create_version_in(draft, held.record.id, new)
        mine = draft.find("model_version", made.id)
        assert mine is not None
        _dress(draft, mine, tags, documents)
        if derived_from is not None:
            draft.add_link(writable(draft, derived_from, "model_version", "derived_from"), mine, "derived_from", "",
                           None, "explicit")  # fmt: skip
        if mention is not None:
            other = writable(draft, mention.record, None, "record")
            draft.change_tags(other, {mention.key: mention.make(draft.tags(other).get(mention.key), made.version)})
        return made

    return Change(ref.no, scope.principal, "model.version", act)


def _owner(draft: Draft, owner: NewModel, tags: dict[str, str] | None) -> Held:
    held = draft.find_named("model", owner.name)
    if tags is None or (held is not None and models.of(held).lifecycle == "active"):
        return _active(draft, owner.name)
    _free(draft, owner.name, None)
    made = draft.create(
        "model",
        lambda position: Model(
            id=new_id(), name=owner.name, description=owner.description, created_at=draft.time, position=position
        ),
    )
    draft.change_tags(made, dict(tags))
    return made


def set_stage(
    workspace: Workspace, scope: Scope, project: str, name: str, number: int, stage: Stage, *, archive: bool
) -> Change[ModelVersion]:
    """Prepare that a version is in a stage; with `archive`, the others that are in it are archived with it."""
    ref = workspace.project(scope, project, Permission.WRITE)

    def act(draft: Draft) -> ModelVersion:
        held = _active(draft, name)
        found = _version(draft, held, number)
        others = store.in_stage(draft.connection, draft.project_id, held.record.id, stage) if archive else []
        for other in others:
            if other != found.record.id:
                _move(draft, draft.find("model_version", other), "archived")
        return _move(draft, found, stage)

    # alone, so that no other change of the same transaction moves a version unseen
    return Change(ref.no, scope.principal, "model.version.update", act, alone=archive)


def _move(draft: Draft, held: Held | None, stage: Stage) -> ModelVersion:
    assert held is not None
    changed_one = msgspec.structs.replace(models.version_in(held), stage=stage)
    return models.version_in(draft.replace("model_version", held, changed_one))


def end_version(workspace: Workspace, scope: Scope, project: str, name: str, number: int) -> Change[ModelVersion]:
    """Prepare that a version is deleted, and aliases that mean it end. Its number is not used again."""
    ref = workspace.project(scope, project, Permission.WRITE)

    def act(draft: Draft) -> ModelVersion:
        held = _active(draft, name)
        found = refuse_deleted(draft, _version(draft, held, number), f"version {number}", "version")
        for alias, meant in belongings.all_of(draft.connection, draft.project_id, "aliases", held.no).items():
            if meant.stored == found.no:
                draft.set_belonging("aliases", held, alias, None)
        gone = msgspec.structs.replace(models.version_in(found), lifecycle="deleted")
        return models.version_in(draft.replace("model_version", found, gone))

    # alone, so that no other change of the same transaction lets an alias mean it unseen
    return Change(ref.no, scope.principal, "model.version.delete", act, alone=True)
