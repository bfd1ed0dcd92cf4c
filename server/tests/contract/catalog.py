"""Datasets, models and links in the contract: their commands in plain Python, how they are asked for, and checked."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from contract import commands
from contract.commands import Draft
from contract.model import Body, Op, Refused, State
from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.link import NewLink
from muniment.model.model import NewModel, NewModelVersion
from muniment_server.services import datasets, lineage, links, models

NAMES = ("risk", "größe", "risk", "risk")
"""Few names, so that versions meet."""
_DIGESTS = st.sampled_from((None, "sha256:1", "sha256:1", "sha256:2"))
_ALIASES = ("champion", "champion", "challenger")
_END = st.sampled_from((0, 1, 2, 0, 1, 2, 3, 9))
_FURTHER = st.sampled_from((1, 1, 2, -1, -1, 1, 1, 2, -1, 0))
"""Few ends, so that links meet, repeat and would close circles; seldom a record and itself."""

RECIPES = st.one_of(
    st.fixed_dictionaries({"do": st.just("dataset.create"), "name": st.sampled_from(NAMES)}),
    st.fixed_dictionaries({
        "do": st.just("dataset.version"), "name": st.sampled_from(NAMES), "digest": _DIGESTS,
        "version": st.sampled_from((None, None, None, "1", "2", "x")),
    }),
    st.fixed_dictionaries({"do": st.just("model.create"), "name": st.sampled_from(NAMES)}),
    st.fixed_dictionaries({
        "do": st.just("model.version"), "name": st.sampled_from(NAMES), "digest": _DIGESTS,
        "version": st.sampled_from((None, None, 1, 3)), "aliases": st.lists(st.sampled_from(_ALIASES), max_size=2),
    }),
    st.fixed_dictionaries({
        "do": st.just("model.alias"), "name": st.sampled_from(NAMES), "alias": st.sampled_from(_ALIASES),
        "version": st.sampled_from((None, 1, 1, 2, "latest")),
    }),
    st.fixed_dictionaries({
        "do": st.sampled_from(("link.add", "link.add", "link.remove")),
        "links": st.lists(
            st.tuples(_END, _FURTHER, st.sampled_from(("used", "used", "generated", "same_as")),
                      st.sampled_from(("", "", "training"))),
            min_size=1, max_size=4,
        ),
    }),
)  # fmt: skip
_KINDS = ("run", "dataset_version", "model_version")


def commands_of(state: State, recipes: list[Body]) -> list[Op]:
    """The commands that recipes mean now, after those that they need: a model and a dataset of each name."""
    names = sorted({recipe["name"] for recipe in recipes if "name" in recipe})
    needed = [
        Op(f"{kind}.create", name)
        for name in names
        for kind in ("dataset", "model")
        if named(state, kind, name) is None
    ]
    return needed + [command(state, recipe) for recipe in recipes]


def command(state: State, recipe: Body) -> Op:
    """The command that a recipe means now."""
    args = {name: value for name, value in recipe.items() if name not in {"do", "name"}}
    if recipe["do"].startswith("link."):
        known = [record for kind in _KINDS for record in state.of(kind)] or ["f" * 32]
        args["links"] = [(known[a % len(known)], known[(a + b) % len(known)], type_, role) for a, b, type_, role in
                         recipe["links"]]  # fmt: skip
    return Op(recipe["do"], recipe.get("name", ""), args)


def prepare(common: tuple[Any, ...], op: Op) -> Any:
    """The prepared write of a command."""
    args = op.args
    match op.do:
        case "dataset.create":
            return datasets.create(*common, NewDataset(name=op.target))
        case "dataset.version":
            return datasets.create_version(*common, op.target, NewDatasetVersion(**args))
        case "model.create":
            return models.create(*common, NewModel(name=op.target))
        case "model.version":
            return models.create_version(*common, op.target, NewModelVersion(**args))
        case "model.alias":
            version = None if args["version"] is None else str(args["version"])
            return models.set_alias(*common, op.target, args["alias"], version)
    given = [NewLink(upstream=a, downstream=b, type=type_, role=role) for a, b, type_, role in args["links"]]
    return (links.add if op.do == "link.add" else links.remove)(*common, given)


def named(state: State, kind: str, name: str) -> str | None:
    """The record of a kind with a name."""
    return next((key for key in state.of(kind) if state.records[key].body["name"] == name), None)


def _create(kind: str, draft: Draft, op: Op, index: int) -> Body:
    there = named(draft.state, kind, op.target)
    if there is not None:
        return draft.state.answer(there)
    made = draft.ids(index)
    body = {"id": made, "name": op.target, "description": None, "lifecycle": "active", "created_at": draft.time}
    return draft.put(kind, made, {**body, "namespace": "default"} if kind == "dataset" else body)


def _create_dataset(draft: Draft, op: Op, index: int) -> Body:
    return _create("dataset", draft, op, index)


def _create_model(draft: Draft, op: Op, index: int) -> Body:
    return _create("model", draft, op, index)


def versions(state: State, kind: str, owner: str) -> list[str]:
    """The versions of a dataset or model, oldest first."""
    return [key for key in state.of(f"{kind}_version") if state.records[key].body[kind] == owner]


def latest(state: State, kind: str, owner: str) -> str | None:
    """The youngest version that is neither deleted nor erased."""
    active = [key for key in versions(state, kind, owner) if state.records[key].body["lifecycle"] == "active"]
    return active[-1] if active else None


def _owner(draft: Draft, kind: str, name: str) -> str:
    found = named(draft.state, kind, name)
    draft.present(found or "")
    assert found is not None
    return found


def _same(draft: Draft, there: str, digest: str | None) -> Body:
    draft.present(there)
    if digest is not None and draft.state.records[there].body["digest"] != digest:
        raise Refused("conflict")
    return draft.state.answer(there)


def _dataset_version(draft: Draft, op: Op, index: int) -> Body:
    dataset = _owner(draft, "dataset", op.target)
    draft.writable(dataset)
    known = versions(draft.state, "dataset", dataset)
    bodies = {key: draft.state.records[key].body for key in known}
    version, digest = op.args["version"], op.args["digest"]
    for key, body in bodies.items():
        if body["version"] == version if version is not None else digest is not None and body["digest"] == digest:
            return _same(draft, key, digest)
    number = len(known) + 1
    while str(number) in {body["version"] for body in bodies.values()}:
        number += 1
    made = draft.ids(index)
    return draft.put("dataset_version", made, {
        "id": made, "dataset": dataset, "version": version or str(number), "digest": digest, "sources": [],
        "schema": [], "slices": [], "rows": None, "bytes": None, "license": None, "profile": None,
        "lifecycle": "active", "created_at": draft.time,
    })  # fmt: skip


def _model_version(draft: Draft, op: Op, index: int) -> Body:
    model = _owner(draft, "model", op.target)
    draft.writable(model)
    numbers = {draft.state.records[key].body["version"]: key for key in versions(draft.state, "model", model)}
    version, digest = op.args["version"], op.args["digest"]
    if version in numbers:
        made, answer = numbers[version], _same(draft, numbers[version], digest)
        if op.args["aliases"]:
            draft.writable(made)
    else:
        made = draft.ids(index)
        answer = draft.put("model_version", made, {
            "id": made, "model": model, "version": version or max(numbers, default=0) + 1, "run": None, "uri": None,
            "digest": digest, "signature": None, "framework": None, "metadata": None, "stage": "none",
            "description": None, "lifecycle": "active", "created_at": draft.time,
        })  # fmt: skip
    for alias in op.args["aliases"]:
        _mean(draft, model, alias, made)
    return answer


def _mean(draft: Draft, model: str, alias: str, target: str | None) -> bool:
    known = draft.state.aliases.get(model, {})
    if known.get(alias) == target:
        return False
    left = {name: meant for name, meant in {**known, alias: target}.items() if meant is not None}
    draft.state.aliases[model] = left
    draft.bodies.setdefault(model, {}).setdefault("aliases", {})[alias] = target
    return True


def _alias(draft: Draft, op: Op, index: int) -> Body:
    del index
    model = _owner(draft, "model", op.target)
    version = op.args["version"]
    numbers = {draft.state.records[key].body["version"]: key for key in versions(draft.state, "model", model)}
    meant = latest(draft.state, "model", model) if version == "latest" else numbers.get(version)
    draft.writable(model if version is None else meant or "")
    done = _mean(draft, model, op.args["alias"], meant)
    number = None if meant is None else draft.state.records[meant].body["version"]
    return {"alias": op.args["alias"], "version": number, "changed": done, "position": draft.last}


def _link(draft: Draft, op: Op, index: int) -> Body:
    del index
    count = 0
    for upstream, downstream, type_, role in op.args["links"]:
        for end in (upstream, downstream):
            draft.writable(end)
        if upstream == downstream:
            raise Refused("invalid_input")
        key = (downstream, upstream, type_, role)
        holds = key in draft.state.links
        if holds == (op.do == "link.add"):
            continue
        if not holds and type_ != "same_as" and upstream in walk(draft.state, downstream, "downstream"):
            raise Refused("invalid_input")
        source = None if holds else "explicit"
        draft.state.links = {other: known for other, known in draft.state.links.items() if other != key}
        if source is not None:
            draft.state.links[key] = source
        said = {"upstream": upstream, "type": type_, "role": role, "run": None, "source": source}
        draft.bodies.setdefault(downstream, {}).setdefault("links", []).append(said)
        count += 1
    return {"changed": count, "position": draft.last}


def walk(state: State, start: str, direction: str) -> dict[str, int]:
    """Every record that a walk finds, with how many links away it is."""
    found, level, depth = {start: 0}, {start}, 0
    near, far = (0, 1) if direction == "upstream" else (1, 0)
    while level:
        depth += 1
        level = {key[far] for key in state.links if key[near] in level} - found.keys()
        found.update(dict.fromkeys(level, depth))
    return found


COMMANDS = {
    "dataset.create": _create_dataset,
    "dataset.version": _dataset_version,
    "model.create": _create_model,
    "model.version": _model_version,
    "model.alias": _alias,
    "link.add": _link,
    "link.remove": _link,
}
commands.COMMANDS.update(COMMANDS)


def check(workspace: Any, project: str, state: State, as_of: int, now: State) -> None:
    """Versions, aliases and lineage of everything at a position are those of the model's state there."""
    scope = workspace.owner_scope
    gone = {key for key, record in now.records.items() if record.body["lifecycle"] == "erased"}
    for model in [key for key in state.of("model") if key not in gone]:
        found = models.get(workspace, scope, project, model, as_of)
        assert [version.id for version in found.versions] == versions(state, "model", model)
        meant = {
            name: state.records[target].body["version"]
            for name, target in state.aliases.get(model, {}).items()
            if target in state.records
        }
        assert found.aliases == meant, (model, as_of)
    for dataset in [key for key in state.of("dataset") if key not in gone]:
        of_dataset = datasets.versions(workspace, scope, project, dataset, as_of).versions
        assert [version.id for version in of_dataset] == versions(state, "dataset", dataset)
    ends = sorted({end for key in state.links for end in key[:2]})
    for end in ends[:4]:
        if end not in state.records or end in gone:
            continue  # of what was erased the past keeps no more than its place in lineage
        for direction in ("upstream", "downstream"):
            graph = lineage.lineage(
                workspace, scope, project, end, direction=direction, depth=100, limit=1000, as_of=as_of
            )
            assert {node.id: node.depth for node in graph.nodes} == walk(state, end, direction), (end, direction, as_of)
            inside = {(link.downstream, link.upstream, link.type, link.role) for link in graph.links}
            near = 0 if direction == "upstream" else 1
            reached = walk(state, end, direction)
            assert inside == {key for key in state.links if key[near] in reached}
