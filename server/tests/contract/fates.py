"""Tags, deletion, restoring and erasure of records of every kind in the contract: their commands in plain Python."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from contract import commands
from contract.commands import Draft
from contract.model import Body, Op, State
from muniment_server.services import erasure, records

_SLOT = st.integers(0, 15)
RECIPES = st.one_of(
    st.fixed_dictionaries({
        "do": st.just("record.tags"), "slot": _SLOT,
        "tags": st.dictionaries(
            st.sampled_from(("team", "größe")), st.sampled_from((None, "risk", "risk", "")), max_size=2
        ),
    }),
    st.fixed_dictionaries({"do": st.sampled_from(("record.delete", "record.delete", "record.restore")), "slot": _SLOT}),
    st.fixed_dictionaries({"do": st.sampled_from(("record.restore", "record.restore", "record.erase")), "slot": _SLOT}),
)  # fmt: skip
KINDS = ("model_version", "dataset_version", "model", "dataset", "experiment", "run")


def command(state: State, recipe: Body) -> Op:
    """The command that a recipe means now; few records of each kind, so that they meet."""
    known = [record for kind in KINDS for record in state.of(kind)[-3:]] or ["f" * 32]
    args = {"tags": recipe["tags"]} if recipe["do"] == "record.tags" else {}
    if recipe["do"] == "record.erase":
        args = {"reason": "asked for"}
    return Op(recipe["do"], known[recipe["slot"] % len(known)], args)


def prepare(common: tuple[Any, ...], op: Op) -> Any:
    """The prepared write of a command."""
    match op.do:
        case "record.tags":
            return records.set_tags(*common, op.target, op.args["tags"])
        case "record.delete":
            return records.delete(*common, op.target)
        case "record.restore":
            return records.restore(*common, op.target)
    return erasure.erase(*common, op.target, op.args["reason"])


def _tags(draft: Draft, op: Op, index: int) -> Body:
    del index
    draft.writable(op.target)
    changed = commands.change_tags(draft, op.target, op.args["tags"])
    return {"record": op.target, "changed": changed, "position": draft.last}


def _set(draft: Draft, op: Op, lifecycle: str) -> Body:
    record = draft.present(op.target)
    changed = record.body["lifecycle"] != lifecycle
    draft.put(record.kind, op.target, {**record.body, "lifecycle": lifecycle})
    return _answer(draft, op, record.kind, lifecycle, changed=changed)


def _answer(draft: Draft, op: Op, kind: str, lifecycle: str, *, changed: bool) -> Body:
    return {"record": op.target, "kind": kind, "lifecycle": lifecycle, "changed": changed, "position": draft.last}


def _delete(draft: Draft, op: Op, index: int) -> Body:
    del index
    return _set(draft, op, "deleted")


def _restore(draft: Draft, op: Op, index: int) -> Body:
    del index
    return _set(draft, op, "active")


def _erase(draft: Draft, op: Op, index: int) -> Body:
    del index
    record = draft.present(op.target)
    commands.erase(draft, op, record)
    return _answer(draft, op, record.kind, "erased", changed=True)


COMMANDS = {"record.tags": _tags, "record.delete": _delete, "record.restore": _restore, "record.erase": _erase}
commands.COMMANDS.update(COMMANDS)
