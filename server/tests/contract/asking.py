"""Questions in the search language, each beside its meaning in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contract.model import Body, State

Where = tuple[str, Callable[[Body], bool]]


@dataclass(frozen=True)
class Order:
    """A sort key: `value` gives the stretch (numbers or texts, NaN or texts, missing) and what sorts within it."""

    text: str
    value: Callable[[Body], tuple[int, tuple[Any, ...]]]

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.text.endswith(" DESC")


def _metric(view: Body, name: str, aggregate: str = "last") -> Any:
    """A number, ``"NaN"``, or None if the run lacks it."""
    found = view["metrics"].get(name, {}).get(aggregate)
    return float(found) if found in {"Infinity", "-Infinity"} else found


def _number(view: Body, name: str, aggregate: str = "last") -> float | None:
    """A number that compares; NaN compares with nothing."""
    found = _metric(view, name, aggregate)
    return None if found == "NaN" else found


def _holds(value: Any, test: Callable[[Any], bool]) -> bool:
    return value is not None and test(value)


def _param(view: Body, name: str) -> float | None:
    """A param as a number."""
    try:
        return float(view["params"].get(name, "none"))
    except ValueError:
        return None


RUN_WHERES: tuple[Where, ...] = (
    ("", lambda _: True),
    ("metrics.loss > 0.25", lambda view: _holds(_number(view, "loss"), lambda value: value > 0.25)),
    ("metrics.loss != 1", lambda view: _holds(_metric(view, "loss"), lambda value: value != 1)),
    ("NOT metrics.`größe/x y` <= 0.5", lambda view: not _holds(_number(view, "größe/x y"), lambda value: value <= 0.5)),
    ("params.lr = '0.1'", lambda view: view["params"].get("lr") == "0.1"),
    ("params.lr >= 0.1", lambda view: _holds(_param(view, "lr"), lambda value: value >= 0.1)),
    ("params.n IN (1, 2)", lambda view: _param(view, "n") in {1.0, 2.0}),
    ("tags.team IN ('risk', 'growth')", lambda view: view["tags"].get("team") in {"risk", "growth"}),
    ("tags.team NOT IN ('risk')", lambda view: _holds(view["tags"].get("team"), lambda value: value != "risk")),
    ("tags.note LIKE '$%'", lambda view: _holds(view["tags"].get("note"), lambda value: value.startswith("$"))),
    (
        "state = 'finished' OR attempt > 1",
        lambda view: view["run"]["state"] == "finished" or view["run"]["attempt"] > 1,
    ),
    ("name LIKE 'run-%'", lambda view: view["run"]["name"].startswith("run-")),
    (
        "max(metrics.loss) < 2 AND min(metrics.loss) > -2",
        lambda view: (
            _holds(_number(view, "loss", "max"), lambda value: value < 2)
            and _holds(_number(view, "loss", "min"), lambda value: value > -2)
        ),
    ),
    ("min(metrics.acc) IS NULL", lambda view: _metric(view, "acc", "min") is None),
    ("first(metrics.loss) >= 0", lambda view: _holds(_number(view, "loss", "first"), lambda value: value >= 0)),
    ("count(metrics.loss) BETWEEN 2 AND 5", lambda view: 2 <= view["metrics"].get("loss", {}).get("count", 0) <= 5),
    ("description IS NOT NULL", lambda view: view["run"]["description"] is not None),
    ("position > 10", lambda view: view["run"]["position"] > 10),
    (
        "metrics.loss IS NULL AND params.lr IS NOT NULL",
        lambda view: "loss" not in view["metrics"] and "lr" in view["params"],
    ),
)

EXPERIMENT_WHERES: tuple[Where, ...] = (
    ("", lambda _: True),
    ("name LIKE '%r%'", lambda view: "r" in view["name"]),
    ("description IS NULL OR name = 'churn'", lambda view: view["description"] is None or view["name"] == "churn"),
    ("position <= 8", lambda view: view["position"] <= 8),
    ("tags.team = 'risk'", lambda view: view["tags"].get("team") == "risk"),
    ("tags.größe IS NULL", lambda view: "größe" not in view["tags"]),
)


def _by_metric(name: str, aggregate: str = "last") -> Callable[[Body], tuple[int, tuple[Any, ...]]]:
    def value(view: Body) -> tuple[int, tuple[Any, ...]]:
        found = _metric(view, name, aggregate)
        return (2, ()) if found is None else (1, ()) if found == "NaN" else (0, (found,))

    return value


def _by_param(view: Body) -> tuple[int, tuple[Any, ...]]:
    number, text = _param(view, "lr"), view["params"].get("lr")
    return (2, ()) if text is None else (1, (text,)) if number is None else (0, (number, text))


def _by_attribute(name: str) -> Callable[[Body], tuple[int, tuple[Any, ...]]]:
    return lambda view: (2, ()) if view["run"][name] is None else (0, (view["run"][name],))


def _by_team(view: Body) -> tuple[int, tuple[Any, ...]]:
    return (0, (view["tags"]["team"],)) if "team" in view["tags"] else (2, ())


RUN_ORDERS: tuple[Order, ...] = (
    Order("metrics.loss", _by_metric("loss")),
    Order("metrics.loss DESC", _by_metric("loss")),
    Order("max(metrics.loss) DESC", _by_metric("loss", "max")),
    Order("count(metrics.acc)", _by_metric("acc", "count")),
    Order("params.lr", _by_param),
    Order("params.lr DESC", _by_param),
    Order("tags.team DESC", _by_team),
    Order("tags.team", _by_team),
    Order("name", _by_attribute("name")),
    Order("state DESC", _by_attribute("state")),
    Order("started_at DESC", _by_attribute("started_at")),
    Order("ended_at", _by_attribute("ended_at")),
    Order("position DESC", _by_attribute("position")),
)

EXPERIMENT_ORDERS: tuple[Order, ...] = (
    Order("name DESC", lambda view: (0, (view["name"],))),
    Order("created_at", lambda view: (0, (view["created_at"],))),
)


def answer(state: State, kind: str, where: Where, orders: tuple[Order, ...], lifecycle: str) -> list[Body]:
    """Every record that matches, in order."""
    found: list[Body] = []
    for record_id in state.of(kind):  # in the order of their numbers, which breaks ties
        record = state.records[record_id]
        if lifecycle in {"any", record.body["lifecycle"]}:
            view = state.data(record_id) if kind == "run" else state.answer(record_id)
            if where[1](view if kind == "run" else {**view, "tags": state.tags.get(record_id, {})}):
                found.append(view)
    if not orders or orders[0].descending:
        found.reverse()
    for order in reversed(orders):
        found = [view for stretch in (0, 1, 2) for view in _sorted(found, order, stretch)]
    return found


def _sorted(views: list[Body], order: Order, stretch: int) -> list[Body]:
    of_stretch = [view for view in views if order.value(view)[0] == stretch]
    return sorted(of_stretch, key=lambda view: order.value(view)[1], reverse=order.descending)
