"""The rules of the state machine by which records are tagged, deleted, restored and erased, and what is asked then."""

from __future__ import annotations

from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import rule

from contract import catalog
from contract.driver import PROJECT, Driver, settled
from contract.fates import KINDS, RECIPES, command
from contract.model import Body, Outcome, State
from muniment_server.services import datasets, models, records

PROCESS = st.integers(0, 1)
_LATEST = st.fixed_dictionaries({
    "do": st.just("model.alias"), "name": st.just("risk"), "alias": st.just("champion"), "version": st.just("latest"),
})  # fmt: skip
_NEWEST = st.one_of(
    _LATEST,
    _LATEST,
    st.fixed_dictionaries({
        "do": st.sampled_from(("record.delete", "record.delete", "record.restore")),
        "slot": st.sampled_from((2, 2, 1, 0)),
    }),
    st.fixed_dictionaries({
        "do": st.just("model.version"), "name": st.just("risk"), "digest": st.none(), "version": st.none(),
        "aliases": st.just([]),
    }),
)  # fmt: skip
"""Few model versions, so that which is the latest changes within a transaction."""


def check(workspace: Any, project: str, state: State, as_of: int, now: State) -> None:
    """Tags of every record at a position, and which version is the latest there."""
    scope = workspace.owner_scope
    for record in [record for kind in KINDS for record in now.of(kind)]:
        found = settled(lambda record=record: records.tags_of(workspace, scope, project, record, as_of))
        if now.records[record].body["lifecycle"] == "erased":
            expected = Outcome(error="gone")
        elif record in state.records:
            expected = Outcome({"tags": state.tags.get(record, {})})
        else:
            expected = Outcome(error="not_found")
        assert found == expected, (record, as_of, found, expected)
    for kind, room in (("model", models), ("dataset", datasets)):
        for owner in state.of(kind):
            if now.records[owner].body["lifecycle"] == "erased":
                continue
            youngest = catalog.latest(state, kind, owner)
            found = settled(
                lambda room=room, owner=owner: room.get_version(workspace, scope, project, owner, "latest", as_of)
            )
            expected = Outcome(error="not_found") if youngest is None else Outcome(state.answer(youngest))
            assert found == expected, (owner, as_of, found, expected)


class Fates:
    """The rules of the state machine."""

    driver: Driver

    @rule(given=st.lists(RECIPES, min_size=2, max_size=6), process=PROCESS, back=st.integers(0, 6))
    def fate(self, given: list[Body], process: int, back: int) -> None:
        """Records are tagged, deleted, restored and erased; and what they were a few positions ago."""
        for recipe in given:
            op = command(self.driver.model.state, recipe)
            outcome = self.driver.write(op, process=process)
            event(f"{op.do}: {outcome.error or 'ok'}")
        self.check_fates(max(0, self.driver.model.head - back))

    @rule(
        given=st.one_of(
            st.lists(st.one_of(RECIPES, catalog.RECIPES), min_size=3, max_size=5),
            st.lists(_NEWEST, min_size=3, max_size=5),
        ),
        threaded=st.sampled_from((False, False, True)), twice=st.booleans(),
    )  # fmt: skip
    def fate_together(self, given: list[Body], threaded: bool, twice: bool) -> None:
        """The same at once, among versions, aliases and links: in one group, or from several processes."""
        state = self.driver.model.state
        ops = [(command if "slot" in recipe else catalog.command)(state, recipe) for recipe in given]
        ops += ops[:1] if twice else []
        self.driver.together([(op, None) for op in ops], threaded=threaded)
        self.check_fates(self.driver.model.head)

    def check_fates(self, position: int) -> None:
        """Tags and latest versions at a position."""
        model = self.driver.model
        check(self.driver.first, PROJECT, model.at(position), position, model.state)
