"""Questions as single calls: the best run on some data, and runs on similar data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from muniment.model.dataset import DatasetVersion
from muniment.model.link import NODES_LIMIT, Direction
from muniment.model.names import check_name
from muniment.model.question import HITS_LIMIT, Best, BestQuery, Reason, Score, Similar, SimilarRuns, Why
from muniment.model.schema import similarity
from muniment_server.policy.access import Scope
from muniment_server.services import catalog
from muniment_server.services.lineage import DEPTH, display_name, owners_of
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Workspace
from muniment_server.store import asking, links, runs
from muniment_server.store.reader import Reader

SCHEMAS_LIMIT = 20_000
"""Dataset versions, youngest first, whose schemas are compared."""
ALIKE = 0.5
"""Share of columns from which two schemas are similar."""
_WEIGHT: dict[Reason, float] = {
    "same version": 1.0, "same dataset": 0.8, "overlapping slice": 0.6, "shared ancestor": 0.4, "similar schema": 0.3,
}  # fmt: skip


def best(workspace: Workspace, scope: Scope, project: str, query: BestQuery) -> Best:
    """The runs that scored best on a dataset version or a slice of it.

    Evaluations on it tell, for the runs that made the model versions; of a whole version also the metrics of the runs
    that used it.
    """
    check_name(query.metric, "metric")

    def ask(reader: Reader) -> Best:
        held = resolve(reader, query.dataset, "dataset_version", "dataset")
        scores = _evaluated(reader, held.record.id, query)
        if query.slice is None:
            scores += _measured(reader, held.no, query.metric)
        sign = -1 if query.order == "greatest" else 1
        scores.sort(key=lambda score: (sign * score.value, score.run.id if score.run else ""))
        return Best(
            metric=query.metric, dataset_version=held.record.id, slice=query.slice, scores=scores[: query.limit],
            position=reader.position,
        )  # fmt: skip

    return catalog.read(workspace, scope, project, query.as_of, ask)


def _evaluated(reader: Reader, dataset_version: str, query: BestQuery) -> list[Score]:
    found = [
        item
        for item in asking.evaluations_on(reader, dataset_version, query.slice)
        if math.isfinite(float(item.metrics.get(query.metric, math.nan)))
    ]
    models = reader.by_ids("model_version", (item.model_version for item in found))
    found = [
        item for item in found
        if item.model_version not in models or models[item.model_version].lifecycle != "deleted"
    ]  # fmt: skip
    made_by = {key: model.run for key, model in models.items() if model.run is not None}
    known = reader.by_ids("run", made_by.values())
    return [
        Score(
            value=float(item.metrics[query.metric]),
            run=known.get(made_by.get(item.model_version, "")),
            model_version=item.model_version,
            evaluation=item.id,
        )
        for item in found
    ]


def _measured(reader: Reader, number: int, metric: str) -> list[Score]:
    users = {row[0] for row in links.touching(
        reader.connection, reader.project_id, "upstream", [number], reader.as_of, "used"
    )}  # fmt: skip
    known = reader.numbered("run", sorted(users))
    summaries = runs.metrics_of(
        reader.connection, reader.project_id, {no: run.id for no, run in known.items()}, frozenset((metric,)),
        reader.as_of,
    )  # fmt: skip
    return [
        Score(value=value, run=known[no])
        for no, found in summaries.items()
        if isinstance(value := found[metric].last, float) and known[no].lifecycle == "active"
    ]


def similar(
    workspace: Workspace, scope: Scope, project: str, run: str, *, limit: int = 20, as_of: int | str | None = None
) -> SimilarRuns:
    """Runs on data like that of a run, each with its reasons."""

    def ask(reader: Reader) -> SimilarRuns:
        held = resolve(reader, run, "run", "run")
        found = _Likeness(reader, held.no)
        hits = found.hits()
        known = reader.numbered("run", sorted(hits))
        made = [
            Similar(run=known[no], score=_score(reasons), reasons=reasons)
            for no, reasons in hits.items()
            if no in known and known[no].lifecycle == "active"
        ]
        made.sort(key=lambda hit: (-hit.score, -len(hit.reasons), -hit.run.position, hit.run.id))
        return SimilarRuns(
            run=held.record.id, similar=made[: min(limit, HITS_LIMIT)], truncated=len(made) > limit,
            position=reader.position,
        )  # fmt: skip

    return catalog.read(workspace, scope, project, as_of, ask)


def _score(reasons: Iterable[Why]) -> float:
    return max(_WEIGHT[why.reason] * (float(why.detail) if why.reason == "similar schema" else 1) for why in reasons)


class _Likeness:
    """Which dataset versions are like those that a run used, and who used them."""

    def __init__(self, reader: Reader, run: int) -> None:
        self.reader = reader
        self.run = run
        self.mine = reader.numbered("dataset_version", self._used(run))
        self.others = asking.latest_dataset_versions(reader, SCHEMAS_LIMIT)
        self.others.update(self.mine)
        self._owners = owners_of(reader, self.others.values())

    def _links(self, end: Direction, numbers: Iterable[int], type_: str | None = None) -> list[Any]:
        reader = self.reader
        return sorted(
            map(tuple, links.touching(reader.connection, reader.project_id, end, list(numbers), reader.as_of, type_))
        )

    def _used(self, run: int) -> list[int]:
        return sorted({row[1] for row in self._links("downstream", [run], "used")})

    def _name(self, version: DatasetVersion) -> str:
        return display_name("dataset_version", version, self._owners)

    def hits(self) -> dict[int, list[Why]]:
        """Reasons by the number of the run."""
        reasons: dict[int, list[Why]] = {}
        for number, version in self.mine.items():
            for other, why in self._alike(number, version):
                reasons.setdefault(other, []).append(why)
        hits: dict[int, list[Why]] = {}
        for user, used, *_ in self._links("upstream", reasons, "used"):
            if user != self.run:
                known = hits.setdefault(user, [])
                known.extend(why for why in reasons[used] if why not in known)
        return hits

    def _alike(self, number: int, version: DatasetVersion) -> Iterable[tuple[int, Why]]:
        """(number, reason) of the versions that are like one; only the best reason of each."""
        ancestry = self._descendants(number)
        for other, theirs in self.others.items():
            found: tuple[Reason, str] | None = None
            if other == number:
                found = ("same version", "")
            elif theirs.dataset == version.dataset:
                found = ("same dataset", "")
            elif shared := _shared_slice(version, theirs):
                found = ("overlapping slice", shared)
            elif other in ancestry:
                found = ("shared ancestor", ancestry[other])
            else:
                share = similarity(version.schema, theirs.schema)
                if share >= ALIKE:
                    found = ("similar schema", f"{share:.2f}")
            if found is not None:
                yield other, Why(reason=found[0], mine=self._name(version), theirs=self._name(theirs), detail=found[1])

    def _descendants(self, number: int) -> dict[int, str]:
        """Dataset versions that descend from an ancestor of one and are none of its ancestors; that ancestor's name."""
        walk = links.walk(
            self.reader.connection, self.reader.project_id, number, "upstream",
            depth=DEPTH, limit=NODES_LIMIT, as_of=self.reader.as_of,
        )  # fmt: skip
        # all ancestors are walked down from at once, and what is found keeps the name of the one it was found from
        found = {
            ancestor: self._name(self.others[ancestor])
            for ancestor, depth in walk.depths.items()
            if depth and ancestor in self.others
        }
        level = list(found)
        while level and len(found) < NODES_LIMIT:
            reached: dict[int, str] = {}
            for downstream, upstream, *_ in self._links("upstream", level):
                if downstream not in found:
                    reached.setdefault(downstream, found[upstream])
            found.update(reached)
            level = list(reached)
        return {number: name for number, name in found.items() if number in self.others and number not in walk.depths}


def _shared_slice(one: DatasetVersion, other: DatasetVersion) -> str | None:
    """A slice of one version that is the same as one of another: the same digest, or the same filter of a like name."""
    for mine in one.slices:
        for theirs in other.slices:
            same = mine.digest is not None and mine.digest == theirs.digest
            alike = mine.filter is not None and (mine.name, mine.filter) == (theirs.name, theirs.filter)
            if same or alike:
                return mine.name
    return None
