"""An evaluation: how good a model version is on a dataset version, or on a slice of it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal

import msgspec

from muniment.model.experiment import Lifecycle
from muniment.model.ids import Id
from muniment.model.metric import Number, WireNumber

Verdict = Literal["passed", "failed", "none"]
"""``none`` is said where no threshold was set."""


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a metric has to reach; both ends belong to it."""

    min: Number | None = None
    max: Number | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation. What it says never changes."""

    id: Id
    model_version: Id
    dataset_version: Id
    slice: str | None = None
    run: Id | None = None
    """The run that evaluated."""
    metrics: dict[str, WireNumber] = {}
    thresholds: dict[str, Threshold] = {}
    verdict: Verdict = "none"
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewEvaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to record one. An `id` given by the producer makes the call repeatable."""

    model_version: str
    """Its id, or ``name@version`` or ``name@alias``."""
    dataset_version: str
    """Its id, or ``name@version``."""
    id: Id | None = None
    slice: str | None = None
    run: Id | None = None
    metrics: dict[str, WireNumber]
    thresholds: dict[str, Threshold] = {}


def verdict_of(metrics: dict[str, WireNumber], thresholds: dict[str, Threshold]) -> Verdict:
    """Whether every threshold is met; a metric that is missing or not finite meets none."""
    if not thresholds:
        return "none"
    for name, threshold in thresholds.items():
        value = float(metrics.get(name, "NaN"))
        low = threshold.min is None or value >= threshold.min
        high = threshold.max is None or value <= threshold.max
        if not math.isfinite(value) or not low or not high:
            return "failed"
    return "passed"
