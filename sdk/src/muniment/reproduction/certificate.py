"""The certificate: what came of running again what a run recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from muniment.model.ids import Id
from muniment.model.metric import WireNumber

FACET = "reproduction"
"""The facet of both runs that holds the certificate, and the role of the link between them."""

KEPT = 2_000
"""Metrics, and lines on what was not restored, that a recorded certificate has."""

Verdict = Literal["equal", "within_tolerance", "different", "failed"]
MetricVerdict = Literal["equal", "within_tolerance", "different", "only_original", "only_reproduction"]
EnvironmentKind = Literal["same", "rebuilt", "current"]
"""``same``: the Python and packages that were recorded are those at hand; ``rebuilt``: they were installed anew;
``current``: those at hand were taken, which differ."""


class MetricComparison(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One metric of two runs."""

    verdict: MetricVerdict
    points: list[int]
    """Of the original and of the reproduction; repetitions of a step and value count once."""
    differing: int = 0
    """Steps at which the values are not the same bit for bit."""
    step: int | None = None
    """The first step that decided: beyond tolerance, or, where none is, the first that is not the same."""
    original: WireNumber | None = None
    """The value there; None if there is none."""
    reproduction: WireNumber | None = None
    largest: float | None = None
    """The greatest relative difference of two finite values of one step."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What came of running again what a run recorded. Lists and maps are empty where there is nothing to say."""

    of: Id
    """The run that was reproduced."""
    by: Id | None
    """The run that did it; None if the command began none."""
    verdict: Verdict
    reason: str | None = None
    """Why it failed, in one line."""
    metrics: dict[str, MetricComparison] = {}
    compared: int = 0
    """How many metrics were compared; those beyond `KEPT` are not in a recorded certificate, the equal ones first."""
    params: dict[str, list[str | None]] = {}
    """Params and seeds (``seeds.NAME``) that differ: of the original and of the reproduction."""
    not_restored: list[str] = []
    """What could not be restored, or is not known to be the same; one line each."""
    environment: EnvironmentKind
    code: str
    """What was restored of the code, in words."""
    command: list[str]
    exit_status: int | None = None
    """Of the command; None if its time was up."""
    tolerance: float = 0.0
    """The relative difference that was allowed."""
    absolute: float = 0.0
    """The absolute difference that was allowed."""
    made_at: datetime
