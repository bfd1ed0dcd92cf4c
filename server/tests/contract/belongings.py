"""Artifacts and facets in the contract: their commands in plain Python, how they are asked for, and checked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from contract import commands
from contract.commands import Draft
from contract.model import Body, Op, Refused, State
from muniment.model.artifact import Attach
from muniment.model.errors import MunimentError
from muniment_server.policy.access import Permission
from muniment_server.services import artifacts, facets
from muniment_server.store import artifacts as stored

CONTENTS = (b"", b"one", b"two" * 1_000)
"""Few contents, so that records share them."""
_PATHS = ("a", "a", "b/c")
_SLOT = st.integers(0, 3)
_CONTENT = st.integers(0, len(CONTENTS) - 1)
_FACETS = st.sampled_from((None, {"owner": "risk"}, {"owner": "risk"}, {"owner": "ü", "n": [1, 2.5, None]}))

RECIPES = st.one_of(
    st.fixed_dictionaries({
        "do": st.just("artifact.attach"), "slot": _SLOT, "path": st.sampled_from(_PATHS), "content": _CONTENT,
        "sent": st.sampled_from((True, True, False)),
    }),
    st.fixed_dictionaries({"do": st.just("artifact.detach"), "slot": _SLOT, "path": st.sampled_from(_PATHS)}),
    st.fixed_dictionaries({"do": st.just("artifact.collect"), "back": st.sampled_from((0, 0, 0, 2, 5))}),
    st.fixed_dictionaries({
        "do": st.just("facet.set"), "slot": _SLOT, "name": st.sampled_from(("owner", "größe/x")), "value": _FACETS,
    }),
)  # fmt: skip
_KINDS = ("run", "model_version", "dataset_version")
_FIXED = ("model_version", "dataset_version")


def command(state: State, recipe: Body, times: list[Any]) -> Op:
    """The command that a recipe means now; `times` are those of all entries."""
    args = {name: value for name, value in recipe.items() if name not in {"do", "slot", "back"}}
    if recipe["do"] == "artifact.collect":
        return Op(recipe["do"], "", {"before": times[-1 - recipe["back"] % len(times)] + timedelta(microseconds=1)})
    known = [record for kind in _KINDS for record in state.of(kind)] or ["f" * 32]
    action = "facet.remove" if args.get("value", "") is None else recipe["do"]
    return Op(action, known[recipe["slot"] % len(known)], args)


def prepare(common: tuple[Any, ...], op: Op) -> Any:
    """The prepared write of a command; bytes have arrived by then."""
    workspace, scope, project = common
    args = op.args
    match op.do:
        case "artifact.attach" if args["sent"]:
            received = asyncio.run(artifacts.receive(*common, _chunks(CONTENTS[args["content"]])))
            return artifacts.keeping(*common, op.target, args["path"], received)
        case "artifact.attach":
            return artifacts.attach(*common, op.target, Attach(path=args["path"], digest=digest(args["content"])))
        case "artifact.detach":
            return artifacts.detach(*common, op.target, args["path"])
        case "artifact.collect":
            ref = workspace.project(scope, project, Permission.ADMIN)
            return artifacts.collecting(ref.no, scope, args["before"])
    return facets.set_facet(*common, op.target, args["name"], args["value"])


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1_000):
        yield content[start : start + 1_000]


def digest(content: int) -> str:
    """The digest of one of the contents."""
    return f"sha256:{hashlib.sha256(CONTENTS[content]).hexdigest()}"


def _holder(draft: Draft, record: str) -> str:
    return draft.writable(record).kind


def _artifact(draft: Draft, content: int) -> str | None:
    records = draft.state.records
    return next((key for key in draft.state.of("artifact") if records[key].body["digest"] == digest(content)), None)


def _put(draft: Draft, op: Op, index: int) -> Body:
    del index
    seen = (draft.seen or {}).get("artifact") or {"id": "unknown", "location": "unknown"}
    content = op.args["content"]
    found = _artifact(draft, content)
    if found is None:
        found = seen["id"]
        draft.put("artifact", found, {
            "id": found, "digest": digest(content), "size": len(CONTENTS[content]), "media_type": None,
            "location": seen["location"], "lifecycle": "active", "created_at": draft.time,
        })  # fmt: skip
    elif draft.state.records[found].body["lifecycle"] == "collected":
        assert seen["location"] != draft.state.records[found].body["location"], "a location is used once"
        revived = {**draft.state.records[found].body, "lifecycle": "active", "location": seen["location"]}
        draft.put("artifact", found, revived)
    return _attached(draft, op, found)


def _attach(draft: Draft, op: Op, index: int) -> Body:
    if op.args["sent"]:
        return _put(draft, op, index)
    found = _artifact(draft, op.args["content"])
    if found is None or draft.state.records[found].body["lifecycle"] != "active":
        raise Refused("not_found")
    return _attached(draft, op, found)


def _detach(draft: Draft, op: Op, index: int) -> Body:
    del index
    return _attached(draft, op, None)


def _attached(draft: Draft, op: Op, artifact: str | None) -> Body:
    kind, path = _holder(draft, op.target), op.args["path"]
    has = draft.state.attachments.get(op.target, {})
    there = has.get(path)
    if kind in _FIXED and there is not None and there != artifact:
        raise Refused("conflict")
    changed = there != artifact
    if changed:
        left = {name: target for name, target in {**has, path: artifact}.items() if target is not None}
        draft.state.attachments[op.target] = left
        draft.bodies.setdefault(op.target, {}).setdefault("artifacts", {})[path] = artifact
    answer = None if artifact is None else draft.state.answer(artifact)
    return {"record": op.target, "path": path, "artifact": answer, "changed": changed, "position": draft.last}


def _collect(draft: Draft, op: Op, index: int) -> Body:
    del index
    state = draft.state
    referred = {target for has in state.attachments.values() for target in has.values()}
    taken = [
        key for key in state.of("artifact")
        if state.records[key].body["lifecycle"] == "active"
        and key not in referred
        and draft.model.entries[state.records[key].position - 1].time < op.args["before"]
    ]  # fmt: skip
    for key in taken:
        draft.put("artifact", key, {**state.records[key].body, "lifecycle": "collected"})
    size = sum(state.records[key].body["size"] for key in taken)
    return {"artifacts": len(taken), "bytes": size, "abandoned": 0}


def _facet(draft: Draft, op: Op, index: int) -> Body:
    del index
    _holder(draft, op.target)
    name, value = op.args["name"], op.args["value"]
    facet = None if value is None else {"value": value, "type_version": None, "valid": None}
    has = draft.state.facets.get(op.target, {})
    changed = has.get(name) != facet
    if changed:
        draft.state.facets[op.target] = {key: item for key, item in {**has, name: facet}.items() if item is not None}
        draft.bodies.setdefault(op.target, {}).setdefault("facets", {})[name] = facet
    return {
        "record": op.target,
        "name": name,
        "facet": facet,
        "warnings": [],
        "changed": changed,
        "position": draft.last,
    }


COMMANDS = {
    "artifact.attach": _attach,
    "artifact.detach": _detach,
    "artifact.collect": _collect,
    "facet.set": _facet,
    "facet.remove": _facet,
}
commands.COMMANDS.update(COMMANDS)


def check(workspace: Any, project: str, state: State, as_of: int, now: State) -> None:
    """Artifacts and facets of every record at a position; and bytes are there for just what is active now."""
    scope = workspace.owner_scope
    for record in [record for kind in _KINDS for record in state.of(kind)]:
        if now.records[record].body["lifecycle"] == "erased":
            continue
        page = artifacts.of_record(workspace, scope, project, record, as_of=as_of)
        has = state.attachments.get(record, {})
        assert {item.path: item.artifact.id for item in page.artifacts} == has, (record, as_of)
        assert [msgspec.to_builtins(item.artifact) for item in page.artifacts] == [
            msgspec.to_builtins(state.answer(has[path])) for path in sorted(has)
        ]
        found = facets.of_record(workspace, scope, project, record, as_of=as_of)
        assert msgspec.to_builtins(found.facets) == state.facets.get(record, {})
    ref = workspace.project(scope, project, Permission.READ)
    asyncio.run(artifacts.sweep(workspace, ref.no))
    assert stored.doomed(workspace.store, ref.no) == []
    contents = {digest(at): content for at, content in enumerate(CONTENTS)}
    for key in now.of("artifact"):
        body = now.records[key].body
        if body["lifecycle"] == "active":
            made = artifacts.by_digest(workspace, scope, project, body["digest"])
            assert asyncio.run(_read(workspace, made)) == contents[body["digest"]]
        else:
            location = workspace.blobs.folder / body["location"]
            assert not location.exists(), "what was collected is gone"
            try:
                artifacts.by_digest(workspace, scope, project, body["digest"])
            except MunimentError as error:
                assert error.code == "gone"  # noqa: PT017
            else:
                raise AssertionError("what was collected is answered")


async def _read(workspace: Any, artifact: Any) -> bytes:
    return b"".join([chunk async for chunk in artifacts.content(workspace, artifact, 0, artifact.size)])
