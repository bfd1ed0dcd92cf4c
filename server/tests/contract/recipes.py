"""What hypothesis draws. A draw never depends on the store's state: it holds slots, looked up when it is used.

So the same draws are possible whatever order threads ran in, and a failing sequence shrinks well.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from contract.commands import Model
from contract.model import Body, Op, bits_of

OWN = tuple(f"0192f0c1d2e37abc8000{number:012x}" for number in range(6))
"""Ids that producers choose."""
EXPERIMENTS = ("churn", "fraud", "demand")
WRITERS = ("0192f0c1d2e37abc9000000000000001", "0192f0c1d2e37abc9000000000000002")
STATES = ("scheduled", "running", "finished", "failed", "killed")
MOMENTS = (None, datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC))
_KEYS = ("loss", "acc", "größe/x y")
_PARAMS = st.dictionaries(
    st.sampled_from(("lr", "n", "loss", "größe/x y")),
    st.sampled_from(("0.1", "0.1", "0.10", "1", "2", "$int:5", "")),
    max_size=3,
)
_TAG_KEYS = st.sampled_from(("team", "note", "loss"))
_TAG_VALUES = st.sampled_from(("risk", "growth", "$$x", "ü", ""))
_SEEDS = st.sampled_from((None, {"numpy": 7}, {"numpy": 2**60, "$torch": -1}))
_DESCRIPTIONS = st.sampled_from((None, "first", "$float:NaN", "zweite ☂"))
SLOTS = st.integers(0, 15)
_NANS = (bits_of(math.nan), 0xFFF8000000000000, 0x7FF8000000000123)
_VALUES = st.sampled_from(
    (
        *map(bits_of, (0.0, -0.0, 0.0, -0.0, 0.25, 0.5, 1.0, -1.0, 3.5, -7.25, 1e308, 5e-324, math.inf, -math.inf)),
        *_NANS,
    )
)
_STEPS = st.one_of(st.integers(0, 2), st.integers(-3, 12), st.sampled_from((-(2**63), 2**63 - 1, 2**40)))
_TIMES = st.sampled_from((1_767_225_600_000, 0, 1_767_225_600_000, 1_767_225_600_001, 1_767_225_700_000, 2**53 + 1))
_POINT = st.tuples(st.sampled_from((_KEYS[0], *_KEYS)), _STEPS, _TIMES, _VALUES)


@st.composite
def _points(draw: st.DrawFn) -> Body:
    points = draw(st.lists(_POINT, min_size=1, max_size=7))
    if draw(st.integers(0, 9)) == 0:  # enough to be compressed, and to fill a segment
        points = [(key, step % 1000 + at, time, bits) for at in range(20) for key, step, time, bits in points]
    return {"points": points, "packed": draw(st.booleans()), "now": draw(st.integers(0, 4)) == 0}


EXPERIMENT_CREATE = st.fixed_dictionaries({
    "do": st.just("experiment.create"), "name": st.sampled_from(EXPERIMENTS), "description": _DESCRIPTIONS,
})  # fmt: skip
EXPERIMENT_UPDATE = st.fixed_dictionaries(
    {"do": st.just("experiment.update"), "experiment": SLOTS},
    optional={
        "name": st.sampled_from((*EXPERIMENTS, "renamed")), "description": _DESCRIPTIONS,
        "lifecycle": st.sampled_from(("active", "active", "deleted")),
    },
)  # fmt: skip
RUN_CREATE = st.fixed_dictionaries({
    "do": st.just("run.create"), "experiment": SLOTS, "own": st.one_of(st.none(), st.integers(0, 5)),
    "name": st.sampled_from((None, "alpha", "beta")), "kind": st.sampled_from(("training", "training", "evaluation")),
    "state": st.sampled_from(("running", *STATES)), "parent": st.one_of(st.none(), st.none(), SLOTS),
    "description": _DESCRIPTIONS, "seeds": _SEEDS, "started_at": st.sampled_from(MOMENTS), "params": _PARAMS,
    "tags": st.dictionaries(_TAG_KEYS, _TAG_VALUES, max_size=2),
})  # fmt: skip
RUN_UPDATE = st.fixed_dictionaries(
    {"do": st.just("run.update"), "run": SLOTS},
    optional={
        "name": st.sampled_from(("alpha", "gamma")), "state": st.sampled_from(STATES),
        "parent": st.one_of(st.none(), SLOTS), "lifecycle": st.sampled_from(("active", "active", "deleted")),
        "description": _DESCRIPTIONS, "user": st.sampled_from((None, "ada")), "seeds": _SEEDS,
        "started_at": st.sampled_from(MOMENTS),
    },
)  # fmt: skip
ATTEMPT = st.fixed_dictionaries({"do": st.just("run.attempt"), "run": SLOTS})
PARAMS = st.fixed_dictionaries({"do": st.just("run.params"), "run": SLOTS, "params": _PARAMS})
TAGS = st.fixed_dictionaries({
    "do": st.just("run.tags"), "run": SLOTS, "fresh": st.sampled_from((False, False, True)),
    "tags": st.dictionaries(_TAG_KEYS, st.one_of(st.none(), _TAG_VALUES), max_size=3),
})  # fmt: skip
LOG = st.fixed_dictionaries({"do": st.just("run.log"), "run": SLOTS, "points": _points()})
WRITER_LOG = st.fixed_dictionaries({
    "do": st.just("run.log"), "run": SLOTS, "points": _points(), "writer": st.sampled_from(WRITERS),
    "ahead": st.sampled_from((1, 1, 1, 0, -1, 2)),
})  # fmt: skip
LOG_AGAIN = st.fixed_dictionaries({"do": st.just("run.log"), "again": st.integers(0, 99), "shuffled": st.booleans()})
LOG_NEAR = st.fixed_dictionaries({
    "do": st.just("run.log"), "again": st.integers(0, 99), "shuffled": st.booleans(),
    "altered": st.sampled_from(("twice", "value")), "value": _VALUES,
})  # fmt: skip
WRITER_LOG_AGAIN = st.fixed_dictionaries({
    "do": st.just("run.log"), "again": st.integers(0, 99), "shuffled": st.booleans(),
    "writer": st.sampled_from(WRITERS), "ahead": st.sampled_from((1, 0)),
})  # fmt: skip

COMMANDS = st.one_of(
    LOG, RUN_CREATE, TAGS, PARAMS, RUN_UPDATE, LOG_AGAIN, EXPERIMENT_CREATE, EXPERIMENT_UPDATE, ATTEMPT
)
"""What may stand in a batch."""


_NAMING = st.one_of(EXPERIMENT_UPDATE, EXPERIMENT_CREATE, EXPERIMENT_UPDATE, RUN_CREATE)
"""What asks for names and gives them, so that within one transaction they change hands."""


@st.composite
def batches(draw: st.DrawFn) -> Body:
    """A batch, which may hold a command twice."""
    commands = draw(st.lists(draw(st.sampled_from((COMMANDS, COMMANDS, _NAMING))), min_size=1, max_size=5))
    if draw(st.integers(0, 3)) == 0:
        commands.append(commands[draw(st.integers(0, len(commands) - 1))])
    return {"do": "batch", "commands": commands}


REQUESTS = st.one_of(COMMANDS, WRITER_LOG, WRITER_LOG_AGAIN, batches())
_OF_ONE_RUN = st.lists(st.one_of(TAGS, RUN_UPDATE, TAGS, PARAMS, ATTEMPT), min_size=3, max_size=6).map(
    lambda given: [{**recipe, "run": given[0]["run"]} for recipe in given]
)
GROUPS = st.one_of(st.lists(REQUESTS, min_size=2, max_size=6), st.lists(_NAMING, min_size=3, max_size=6), _OF_ONE_RUN)
TWICE = st.sampled_from(("no", "no", "with a key", "without a key"))


def operation(model: Model, recipe: Body, token: str, clock: int) -> Op:
    """The command that a recipe means now.

    Args:
        model: where slots are looked up.
        recipe: what was drawn.
        token: text that a new run carries, by which what is left of it is found after its erasure.
        clock: epoch milliseconds, for points that leave their time to the server.
    """
    do = recipe["do"]
    rest = {key: value for key, value in recipe.items() if key not in {"do", "run", "experiment", "own"}}
    if do == "batch":
        commands = tuple(operation(model, command, token, clock) for command in recipe["commands"])
        return Op("batch", commands=commands)
    if do == "experiment.create":
        return Op(do, args=rest)
    if do == "experiment.update":
        return Op(do, _experiment(model, recipe["experiment"]), rest)
    if isinstance(rest.get("parent"), int):
        rest["parent"] = run_at(model, rest["parent"])
    if do == "run.create":
        own = None if recipe["own"] is None else OWN[recipe["own"]]
        rest.update(
            id=own, user=f"u-{token}", params={**rest["params"], "token": token}, tags={**rest["tags"], "token": token}
        )
        return Op(do, _experiment(model, recipe["experiment"]), rest)
    if do == "run.log":
        return _log(model, recipe, clock)
    if rest.pop("fresh", False):
        rest["tags"] = {**rest["tags"], f"key {token}": "a name that nobody used"}
    return Op(do, run_at(model, recipe["run"]), rest)


def _log(model: Model, recipe: Body, clock: int) -> Op:
    if "again" in recipe:
        known = sorted((position, run, points) for (run, points), position in model.digests.items())
        if not known:
            return Op("run.log", OWN[0], {"points": [("loss", 0, 0, 0)]})
        _, run, points = known[recipe["again"] % len(known)]
        points = _altered(recipe, points)
        again: Body = {"points": list(points[::-1] if recipe["shuffled"] else points), "packed": True}
        return Op("run.log", run, {**again, **_sequence(model, recipe)})
    args: Body = dict(recipe["points"])
    if args["now"]:
        args["points"] = [(key, step, clock, bits) for key, step, _, bits in args["points"]]
    if not args["packed"]:  # JSON knows one NaN
        args["points"] = [(*rest, _NANS[0] if bits in _NANS else bits) for *rest, bits in args["points"]]
    return Op("run.log", run_at(model, recipe["run"]), {**args, **_sequence(model, recipe)})


def _altered(recipe: Body, points: Any) -> Any:
    """The points, one of them twice or with another value if the recipe says so."""
    if recipe.get("altered") == "twice":
        return (*points, points[0])
    if recipe.get("altered") == "value":
        key, step, time, _ = points[0]
        return (*points, (key, step, time, recipe["value"]))
    return points


def _sequence(model: Model, recipe: Body) -> Body:
    if "writer" not in recipe:
        return {}
    mark = model.writers.get(recipe["writer"], (0, {}))[0]
    return {"writer": recipe["writer"], "sequence": mark + recipe["ahead"]}


def run_at(model: Model, slot: int) -> str:
    """The run in a slot: mostly one that exists and has content, or one with an own id, whatever became of it."""
    known = [run for run in model.state.of("run") if model.state.records[run].body["lifecycle"] != "erased"]
    return OWN[slot % len(OWN)] if slot > 12 or not known else known[slot % len(known)]


def _experiment(model: Model, slot: int) -> str:
    """The name or id of an experiment, which may not exist."""
    known = model.state.of("experiment")
    if slot < 4 or not known:
        return (*EXPERIMENTS, "renamed")[slot % 4]
    found = known[slot % len(known)]
    return found if slot % 2 else str(model.state.records[found].body["name"])


def pinned(op: Op) -> Op:
    """The same command when it is sent again later: times that the server chose are said."""
    args: dict[str, Any] = {**op.args, "now": False} if op.do == "run.log" else op.args
    return replace(op, args=args, commands=tuple(map(pinned, op.commands)))
