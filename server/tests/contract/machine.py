"""The state machine: everything that may happen to a store, in any order, each answer held to the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar, cast

import msgspec
from audit.sealed import Through
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contract import asking, belongings, catalog, evidence, recipes, tampering
from contract.checking import Checking
from contract.driver import PROJECT, Clock, Driver, Site, failing_commit, settled
from contract.fate_rules import Fates
from contract.model import Body, Op, Outcome, State
from muniment.model.errors import MunimentError
from muniment_server.annexes import keeper
from muniment_server.services import experiments, verify
from muniment_server.services import ledger as history
from muniment_server.services.trust import TrustFolder
from muniment_server.store.engine import Store

PROCESS = st.integers(0, 1)
NUMBER = st.integers(0, 999)
TAMPERING = st.sampled_from(list(tampering.BY_TABLE.values())).flatmap(st.sampled_from)
LIFECYCLE = st.sampled_from(("active", "any", "deleted"))
NUMBERS = st.lists(NUMBER, min_size=1, max_size=6)


class Contract(Fates, Checking, RuleBasedStateMachine):
    """One store from its beginning to its end. A subclass says on which site."""

    site: ClassVar[Site]
    folder: ClassVar[Path]
    clock: ClassVar[Clock]

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(self.site, self.folder, self.clock)
        self.keyed: list[tuple[str, Op]] = []
        self.tokens = 0
        self.since_verified = 0

    def teardown(self) -> None:
        """The last look at everything."""
        try:
            if sys.exception() is None:  # the first thing that went wrong is the one to hear of
                self.everything()
                self.check_past()
                head, kinds = self.driver.model.head, len(tampering.CHANGES)
                self.check_tampering([(13 * head + 11 * at) % kinds for at in range(6)], head)
        finally:
            self.driver.close()

    def op(self, recipe: Body) -> Op:
        """The command that a recipe means now."""
        self.tokens += 1
        return recipes.operation(
            self.driver.model, recipe, f"token-{self.tokens}-{self.tokens * 7919}", self.clock.time_ns() // 1_000_000
        )

    def write(self, recipe: Body, process: int, keyed: bool = False) -> None:
        """One request."""
        self.clock.eighths += self.tokens % 3 == 0
        op = self.op(recipe)
        key = f"key-{len(self.keyed)}" if keyed else None
        outcome = self.driver.write(op, key, repr(recipes.pinned(op)), process)
        event(f"{op.do}: {outcome.error or 'ok'}")
        if key is not None:
            self.keyed.append((key, recipes.pinned(op)))
        if op.target in self.driver.model.state.of("run"):
            for number in (0, self.driver.model.head - 1, self.driver.model.head):
                self.check_run(op.target, number or None, number or None)
            self.check_series(op.target, "loss", None, None, (None, None), 1000)

    @initialize()
    def begin(self) -> None:
        """A store in which something can be asked from the start."""
        self.driver.write(Op("experiment.create", args={"name": "churn", "description": None}))
        for own in (0, 1, 2):
            self.write({
                "do": "run.create", "experiment": 0, "own": own, "name": None, "kind": "training", "state": "running",
                "parent": None, "description": None, "seeds": None, "started_at": None, "params": {}, "tags": {},
            }, 0, keyed=True)  # fmt: skip

    # writing, one rule for each command so that each is chosen often

    @rule(recipe=recipes.EXPERIMENT_CREATE, process=PROCESS, keyed=st.booleans())
    def create_experiment(self, recipe: Body, process: int, keyed: bool) -> None:
        self.write(recipe, process, keyed)

    @rule(recipe=recipes.EXPERIMENT_UPDATE, process=PROCESS, keyed=st.booleans())
    def update_experiment(self, recipe: Body, process: int, keyed: bool) -> None:
        self.write(recipe, process, keyed)

    @rule(recipe=recipes.RUN_CREATE, process=PROCESS, keyed=st.booleans())
    def create_run(self, recipe: Body, process: int, keyed: bool) -> None:
        self.write(recipe, process, keyed)

    @rule(recipe=recipes.RUN_UPDATE, process=PROCESS, keyed=st.booleans())
    def update_run(self, recipe: Body, process: int, keyed: bool) -> None:
        self.write(recipe, process, keyed)

    @rule(recipe=recipes.ATTEMPT, process=PROCESS)
    def begin_attempt(self, recipe: Body, process: int) -> None:
        self.write(recipe, process)

    @rule(recipe=recipes.PARAMS, process=PROCESS, keyed=st.booleans())
    def log_params(self, recipe: Body, process: int, keyed: bool) -> None:
        self.write(recipe, process, keyed)

    @rule(recipe=recipes.TAGS, process=PROCESS, keyed=st.booleans())
    def set_tags(self, recipe: Body, process: int, keyed: bool) -> None:
        self.write(recipe, process, keyed)

    @rule(recipe=recipes.LOG, process=PROCESS, keyed=st.booleans())
    def log(self, recipe: Body, process: int, keyed: bool) -> None:
        self.write(recipe, process, keyed)

    @rule(recipe=recipes.LOG, process=PROCESS)
    def log_more(self, recipe: Body, process: int) -> None:
        self.write(recipe, process)

    @rule(recipe=recipes.LOG_AGAIN, process=PROCESS)
    def log_again(self, recipe: Body, process: int) -> None:
        """The very same points: known by their digest, wherever they lie now."""
        self.write(recipe, process)

    @rule(recipe=st.one_of(recipes.WRITER_LOG, recipes.WRITER_LOG, recipes.WRITER_LOG_AGAIN), process=PROCESS)
    def log_as_writer(self, recipe: Body, process: int) -> None:
        self.write(recipe, process)

    @rule(recipe=recipes.batches(), process=PROCESS, keyed=st.booleans())
    def batch(self, recipe: Body, process: int, keyed: bool) -> None:
        self.write(recipe, process, keyed)

    @rule(number=NUMBER, other=st.booleans(), process=PROCESS)
    def same_key(self, number: int, other: bool, process: int) -> None:
        """An idempotency key again, with its request or with another."""
        if self.keyed:
            key, op = self.keyed[number % len(self.keyed)]
            outcome = self.driver.write(op, key, "another request" if other else repr(op), process)
            event(f"again: {outcome.error or 'ok'}")

    @rule(given=recipes.GROUPS, twice=recipes.TWICE, fault=st.sampled_from((None, None, "full", "constraint", "bug")))
    def together(self, given: list[Body], twice: str, fault: str | None) -> None:
        """Requests in one group, of which some are refused; its commit may fail too."""
        requests = self.requests(given, twice)
        if fault is None:
            self.driver.together(requests)
            return
        # the first request is on its way when the others arrive; a group of several is then tried one by one
        alone = fault == "full" or len(requests) == 2
        with failing_commit(self.driver.first, fault, after=1):
            self.driver.together(requests, failures=frozenset(("unavailable", "refused_by_database") if alone else ()))

    @rule(given=recipes.GROUPS, twice=recipes.TWICE)
    def at_once(self, given: list[Body], twice: str) -> None:
        """Requests from threads, over all processes."""
        self.driver.together(self.requests(given[:5], twice), threaded=True)

    def requests(self, given: list[Body], twice: str) -> list[tuple[Op, str | None]]:
        """Requests with keys, of which one may be sent again while it is still in flight."""
        self.clock.eighths += self.tokens % 3 == 0
        found: list[tuple[Op, str | None]] = [(self.op(recipe), None) for recipe in given]
        if twice != "no":
            at = next((at for at, (op, _) in enumerate(found) if op.do == "run.log"), 0)
            key = f"key-{len(self.keyed)}" if twice == "with a key" else None
            op = recipes.pinned(found[at][0])
            found[at] = (op, key)
            found.append((op, key))
            if key is not None:
                self.keyed.append((key, op))
        return found

    @rule(recipe=st.one_of(recipes.TAGS, recipes.REQUESTS), error=st.sampled_from(("full", "constraint", "bug")))
    def failed_commit(self, recipe: Body, error: str) -> None:
        """Nothing of a write is left if its commit fails, and it can be sent again."""
        op = recipes.pinned(self.op(recipe))
        self.driver.failing_write(op, error)
        self.driver.write(op)
        self.driver.check_verified()

    @rule(slot=recipes.SLOTS, process=PROCESS, unlikely=st.booleans())
    def erase(self, slot: int, process: int, unlikely: bool) -> None:
        """The content of a run goes, and nothing that it left in any table says what it was."""
        if unlikely:
            return
        run = recipes.run_at(self.driver.model, slot)
        tokens, others = self.tokens_of(run, own=True), self.tokens_of(run, own=False)
        salt = self.salt_of(run)
        erased = self.driver.write(Op("run.erase", run, {"reason": "asked for"}), process=process)
        self.check_gone(tokens - others)
        assert erased.error or self.salt_of(run) != salt, "with its salt, content that is gone can still be guessed at"

    def tokens_of(self, run: str, *, own: bool) -> set[str]:
        """The tokens that a run carries, or those of all other runs: a request that came twice makes two alike."""
        return {
            body["params"]["token"]
            for entry in self.driver.model.entries
            for _, _, key, body in entry.revisions
            if (key == run) == own and body is not None and "token" in body.get("params", ())
        }

    def salt_of(self, run: str) -> str | None:
        """The salt of a record."""
        found = evidence.rows(self.driver.first, "SELECT id, salt FROM records")
        return next((row["salt"] for row in found if row["id"] == run), None)

    @rule(eighths=st.sampled_from((1, 3, 8, 80, -5, -40, -100_000)))
    def tick(self, eighths: int) -> None:
        """The clock moves, also backwards."""
        self.clock.eighths += eighths

    @rule(process=PROCESS)
    def seal(self, process: int) -> None:
        self.driver.seal(process)
        self.check_evidence()

    @rule(
        process=PROCESS,
        erase=st.one_of(st.none(), st.none(), recipes.SLOTS),
        again=recipes.LOG_AGAIN,
        late=recipes.LOG,
    )
    def compact(self, process: int, erase: int | None, again: Body, late: Body) -> None:
        """Compact what is sealed, while another process compacts the same or erases a run of it."""
        self.driver.seal()
        self.check_evidence()
        meanwhile = None
        if erase is not None:
            self.driver.compact(process)
            self.write({**late, "run": erase + 1}, process)
            self.driver.seal()
            self.check_evidence()
            meanwhile = Op("run.erase", recipes.run_at(self.driver.model, erase), {"reason": "meanwhile"})
        self.write(late, process)  # which is not sealed
        self.driver.compact(process, meanwhile)
        self.check_evidence()
        self.check_times()
        self.write(again, process)
        self.check_latest_series()

    @rule(slot=recipes.SLOTS, params=st.sampled_from(({"lr": "0.1"}, {"n": "1"})), limit=st.integers(1, 4))
    def params_arrive(self, slot: int, params: dict[str, str], limit: int) -> None:
        """A param is found from the position at which it came, and not before."""
        run = recipes.run_at(self.driver.model, slot)
        self.driver.write(Op("run.params", run, {"params": params}))
        head = self.driver.model.head
        for where in asking.RUN_WHERES:
            if where[0].startswith("params."):
                for position in range(max(1, head - 1), head + 1):
                    self.check_search("run", where, (), "any", limit, position, position)

    @rule(given=st.lists(catalog.RECIPES, min_size=3, max_size=9), process=PROCESS, back=st.integers(0, 6))
    def catalogue(self, given: list[Body], process: int, back: int) -> None:
        """Datasets, models, versions, aliases and links, and what they were a few positions ago."""
        for op in catalog.commands_of(self.driver.model.state, given):
            self.driver.write(op, process=process)
        self.check_catalogue(max(0, self.driver.model.head - back))

    def check_past(self) -> None:
        """Links and belongings before and after the entries that changed them."""
        changed = [
            entry.position for entry in self.driver.model.entries
            if any({"links", "tags", *State().belongings()} & (body or {}).keys() for *_, body in entry.revisions)
        ]  # fmt: skip
        for position in sorted({at for last in changed[-8:] for at in (last - 1, last)}):
            self.check_catalogue(position)
            self.check_belongings(position)
            self.check_fates(position)

    def check_catalogue(self, position: int) -> None:
        model = self.driver.model
        catalog.check(self.driver.first, PROJECT, model.at(position), position, model.state)

    @rule(given=st.lists(catalog.RECIPES, min_size=3, max_size=5), threaded=st.booleans(), twice=st.booleans())
    def catalogue_together(self, given: list[Body], threaded: bool, twice: bool) -> None:
        """The same at once, some of it twice: in one group, or from several processes."""
        ops = [catalog.command(self.driver.model.state, recipe) for recipe in given]
        ops += ops[:1] if twice else []
        self.driver.together([(op, None) for op in ops], threaded=threaded)
        self.check_catalogue(self.driver.model.head)

    @rule(given=st.lists(belongings.RECIPES, min_size=3, max_size=8), process=PROCESS, back=st.integers(0, 6))
    def belong(self, given: list[Body], process: int, back: int) -> None:
        """Artifacts and facets come and go, artifacts are collected; and what it was a few positions ago."""
        for recipe in given:
            self.driver.write(self.belonging(recipe), process=process)
        self.check_belongings(max(0, self.driver.model.head - back))

    @rule(given=st.lists(belongings.RECIPES, min_size=2, max_size=4), threaded=st.booleans())
    def belong_together(self, given: list[Body], threaded: bool) -> None:
        """The same at once: in one group, or from several processes."""
        ops = [self.belonging(recipe) for recipe in given]
        self.driver.together([(op, None) for op in ops], threaded=threaded)
        self.check_belongings(self.driver.model.head)

    def belonging(self, recipe: Body) -> Op:
        """The command that a recipe means now."""
        model = self.driver.model
        return belongings.command(model.state, recipe, [entry.time for entry in model.entries] or [model.time])

    def check_belongings(self, position: int) -> None:
        """Artifacts and facets at a position."""
        model = self.driver.model
        belongings.check(self.driver.first, PROJECT, model.at(position), position, model.state)

    @rule(recipe=recipes.LOG_NEAR, process=PROCESS)
    def log_near(self, recipe: Body, process: int) -> None:
        """Points that were logged before, one of them twice or with another value: more of the same is kept."""
        self.write(recipe, process)
        self.check_latest_series()

    def check_latest_series(self) -> None:
        """Every series as of each of the latest positions."""
        model = self.driver.model
        for position in range(max(1, model.head - 4), model.head + 1):
            for run in model.state.of("run")[:4]:
                self.check_series(run, "loss", position, position, (None, None), 9)

    @rule(error=st.sampled_from(("full", "bug")), compact=st.booleans())
    def keeper_fails(self, error: str, compact: bool) -> None:
        """A commit of the keeper fails: the store is as it was."""
        try:
            with failing_commit(self.driver.first, error):
                if compact:
                    keeper.compact(self.driver.first, everything=True)
                else:
                    keeper.seal(self.driver.first)
        except (MunimentError, RuntimeError):
            event("keeper failed")
        self.check_evidence()

    @rule()
    def crash(self) -> None:
        self.driver.crash()
        self.everything()

    @rule()
    def another_process(self) -> None:
        """A second process opens the store, or the older of two goes."""
        if len(self.driver.open) == 1:
            self.driver.open.append(self.driver.opened())
        else:
            self.driver.open.pop(0).close()

    @rule(numbers=st.lists(TAMPERING, min_size=2, max_size=2), pick=NUMBER)
    def tamper(self, numbers: list[int], pick: int) -> None:
        """Verify finds any one thing that was changed."""
        self.check_tampering(numbers, pick)

    def check_tampering(self, numbers: list[int], pick: int) -> None:
        """Change one thing after the other, each undone before the next."""
        self.driver.seal()
        for number in numbers:
            with tampering.unguarded(self.driver.first.store) as connection:
                done, tried = None, 0
                while done is None and tried < len(tampering.CHANGES):  # the next one, if there is no such row
                    done = tampering.tamper(connection, self.driver.project, number + tried, pick)
                    tried += 1
                outcome = verify.store(cast("Store", Through(connection)), TrustFolder(self.driver.trust))
            event(f"tamper: {tampering.table_of(done)}")
            assert not outcome.ok, f"verify does not see it: {done}"

    # asking

    @rule(slot=recipes.SLOTS, numbers=NUMBERS, offset=st.integers(-1, 1), process=PROCESS)
    def read_run(self, slot: int, numbers: list[int], offset: int, process: int) -> None:
        """A run with params, tags and summaries, now and as of the past."""
        for number in numbers:
            self.check_run(recipes.run_at(self.driver.model, slot), *self.driver.moment(number, offset), process)

    @rule(numbers=NUMBERS, offset=st.integers(-1, 1))
    def read_experiments(self, numbers: list[int], offset: int) -> None:
        """Experiments by the name or id they have at the moment."""
        workspace = self.driver.first
        for number in numbers:
            as_of, position = self.driver.moment(number, offset)
            state = self.driver.model.at(position)
            for key in (*recipes.EXPERIMENTS, "renamed", *self.driver.model.state.of("experiment")):
                found = settled(lambda: experiments.get(workspace, workspace.owner_scope, PROJECT, key, as_of))  # noqa: B023
                there = state.experiment(key)
                missing = Outcome(error="gone" if as_of is not None and self.is_erased(key) else "not_found")
                assert found == (missing if there is None else Outcome(state.answer(there))), (as_of, key)

    @rule(
        slot=recipes.SLOTS, numbers=NUMBERS, offset=st.integers(-1, 1),
        steps=st.tuples(st.one_of(st.none(), st.integers(-2, 2)), st.one_of(st.none(), st.integers(2, 12))),
        limit=st.integers(1, 6), buckets=st.integers(1, 9),
    )  # fmt: skip
    def read_series(
        self, slot: int, numbers: list[int], offset: int, steps: tuple[int | None, int | None], limit: int, buckets: int
    ) -> None:
        """Every series of a run, page by page and bit by bit, and its chart."""
        run = recipes.run_at(self.driver.model, slot)
        for number in numbers:
            as_of, position = self.driver.moment(number, offset)
            for key in ("loss", "acc", "größe/x y", "none"):
                self.check_series(run, key, as_of, position, steps, limit)
                self.check_chart(run, key, as_of, position, steps, buckets)

    @rule(
        where=st.sampled_from(asking.RUN_WHERES),
        orders=st.lists(st.sampled_from(asking.RUN_ORDERS), max_size=2),
        lifecycle=LIFECYCLE,
        limit=st.integers(1, 4),
        numbers=NUMBERS,
        offset=st.integers(-1, 1),
    )
    def search_runs(
        self,
        where: asking.Where,
        orders: list[asking.Order],
        lifecycle: str,
        limit: int,
        numbers: list[int],
        offset: int,
    ) -> None:
        """Runs that match, page by page, now and as of the past."""
        for number in numbers:
            self.check_search("run", where, tuple(orders), lifecycle, limit, *self.driver.moment(number, offset))

    @rule(
        where=st.sampled_from(asking.EXPERIMENT_WHERES),
        orders=st.lists(st.sampled_from(asking.EXPERIMENT_ORDERS), max_size=2),
        lifecycle=LIFECYCLE,
        number=NUMBER,
        offset=st.integers(-1, 1),
    )
    def search_experiments(
        self, where: asking.Where, orders: list[asking.Order], lifecycle: str, number: int, offset: int
    ) -> None:
        """Experiments that match."""
        self.check_search("experiment", where, tuple(orders), lifecycle, 1, *self.driver.moment(number, offset))

    @rule(limit=st.integers(1, 7), process=PROCESS)
    def page_feed(self, limit: int, process: int) -> None:
        """The change feed from the beginning: every position once, with what it changed."""
        self.check_feed(limit, process)

    @rule(slot=recipes.SLOTS, number=NUMBER, offset=st.integers(-1, 1))
    def read_history(self, slot: int, number: int, offset: int) -> None:
        """What happened to one record."""
        workspace, run = self.driver.first, recipes.run_at(self.driver.model, slot)
        as_of, position = self.driver.moment(number, offset)
        if run not in self.driver.model.state.records:
            return
        found = history.history(workspace, workspace.owner_scope, PROJECT, run, as_of=as_of)
        expected = [
            (entry.position, entry.time, entry.action, msgspec.to_builtins(body))
            for entry in self.driver.model.entries[:position]
            for _, _, key, body in entry.revisions
            if key == run
        ]
        assert [(row.position, row.time, row.action, row.body) for row in found] == expected

    @rule(number=NUMBER, second=NUMBER)
    def prove(self, number: int, second: int) -> None:
        """Any sealed entry is under the latest seal."""
        self.driver.seal()
        self.check_evidence()
        workspace, size = self.driver.first, self.driver.model.head
        position = number % size + 1
        proof = history.inclusion(workspace, workspace.owner_scope, PROJECT, position)
        path = [bytes.fromhex(part) for part in proof.path]
        assert evidence.path_root(bytes.fromhex(proof.leaf), position - 1, size, path).hex() == proof.seal.root
        until = position + second % (size - position + 1)
        both = history.consistency(workspace, workspace.owner_scope, PROJECT, position, until)
        leaves = self.leaves()
        if leaves is not None:
            assert proof.leaf == leaves[position - 1].hex()
            assert both.first_root == evidence.root(leaves[:position]).hex()
            assert both.second_root == evidence.root(leaves[:until]).hex()

    # what always holds

    @invariant()
    def verified(self) -> None:
        """Verify finds nothing after any kind of step; it is asked now and then."""
        self.since_verified += 1
        if self.since_verified % (3 if self.driver.site.engine == "sqlite" else 8) == 0:
            self.driver.check_verified()
