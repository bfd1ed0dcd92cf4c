"""An MLflow server as a source: what its API tells.

It does not say how many points a metric has, so a run is known to have changed by its latest points, its state, params
and tags; what was logged late, below the latest point, is seen when everything is looked at again.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from muniment.model.errors import NotFound
from muniment_server.annexes.connectors.mlflow.files import Folder, OfRun, Proxied
from muniment_server.annexes.connectors.mlflow.shapes import (
    Dataset,
    Experiment,
    Input,
    Latest,
    LoggedModel,
    ModelLink,
    ModelMetric,
    Place,
    Portion,
    RegisteredModel,
    Run,
    Version,
)
from muniment_server.annexes.connectors.mlflow.wire import CONNECTIONS, Api

PAGE = 500
"""Runs in one page."""
HISTORY = 25_000
"""Points in one page of a metric's history."""
TOGETHER = 131_072
"""Points of one portion, about."""
_AHEAD = 4 * CONNECTIONS
"""Requests for histories that may be under way or wait to be used."""


class Server:
    """One MLflow server.

    Args:
        url: ``http://HOST:PORT``.
        workspace: which of its workspaces.
    """

    def __init__(self, url: str, workspace: str = "default") -> None:
        self.api = Api(url, workspace)
        self._threads = ThreadPoolExecutor(CONNECTIONS, "muniment-mlflow")

    @property
    def identity(self) -> str:
        """The server's URL without credentials."""
        return self.api.identity

    def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(cancel_futures=True)
        self.api.close()

    def totals(self) -> tuple[int, int | None]:
        """A server does not say how much it has."""
        return 0, None

    def experiments(self) -> list[Experiment]:
        """All experiments, deleted ones included."""
        pages = self.api.pages("experiments/search", "experiments", max_results=1_000, view_type="ALL")
        found = [
            Experiment(
                id=str(one["experiment_id"]), name=one["name"], location=one.get("artifact_location") or "",
                lifecycle=one.get("lifecycle_stage") or "active", created=_number(one.get("creation_time")),
                updated=_number(one.get("last_update_time")), tags=_texts(one.get("tags")),
            )
            for page in pages
            for one in page
        ]  # fmt: skip
        return sorted(found, key=lambda one: (len(one.id), one.id))

    def runs(self) -> Iterator[list[Run]]:
        """All runs, those that began first before those that began later, in pages."""
        experiments = [one.id for one in self.experiments()]
        if experiments:
            pages = self.api.pages(
                "runs/search", "runs", experiment_ids=experiments, run_view_type="ALL", max_results=PAGE,
                order_by=["attributes.start_time ASC"],
            )  # fmt: skip
            for page in pages:
                yield [_run(one) for one in page]

    def whole(self, runs: Sequence[Run]) -> list[Run]:
        """The same runs with the logged models that they read, which a search leaves out."""
        return [found for found in self._threads.map(self._whole, [run.id for run in runs]) if found is not None]

    def _whole(self, run: str) -> Run | None:
        try:
            return _run(self.api.get("runs/get", run_id=run)["run"])
        except NotFound:
            return None

    def points(self, runs: Sequence[Run]) -> Iterable[Portion]:
        """The metric history of some runs."""
        waiting: deque[tuple[str, str, Future[list[Any]]]] = deque()
        wanted = iter([(run.id, latest.key) for run in runs for latest in run.latest])

        def ask() -> None:
            for run, key in wanted:
                waiting.append((run, key, self._threads.submit(self._history, run, key)))
                if len(waiting) >= _AHEAD:
                    return

        ask()
        found: dict[str, list[Any]] = {}
        size, now = 0, ""
        while waiting:
            run, key, future = waiting.popleft()
            if found and (run != now or size >= TOGETHER):
                yield _portion(now, found)
                found, size = {}, 0
            found[key], now = future.result(), run
            size += len(found[key])
            ask()
        if found:
            yield _portion(now, found)

    def _history(self, run: str, key: str) -> list[Any]:
        pages = self.api.got_pages("metrics/get-history", "metrics", run_id=run, metric_key=key, max_results=HISTORY)
        return [point for page in pages for point in page]

    def place(self, of: Run | LoggedModel) -> Place:
        """Where the artifacts of a run or logged model lie: the server gives them out."""
        if isinstance(of, Run):
            return OfRun(self.api, of.id)
        return Proxied(self.api, of.location) if of.location.startswith("mlflow-artifacts:") else Folder(of.location)

    def models(self) -> Iterator[tuple[RegisteredModel, list[Version]]]:
        """All registered models with their versions."""
        versions: dict[str, list[Version]] = defaultdict(list)
        for page in self.api.got_pages("model-versions/search", "model_versions", max_results=10_000):
            for one in page:
                versions[one["name"]].append(_version(one))
        for page in self.api.got_pages("registered-models/search", "registered_models", max_results=1_000):
            for one in page:
                aliases = {each["alias"]: int(each["version"]) for each in one.get("aliases", [])}
                yield (
                    RegisteredModel(
                        name=one["name"], created=_number(one.get("creation_timestamp")),
                        updated=_number(one.get("last_updated_timestamp")), description=one.get("description") or None,
                        tags=_texts(one.get("tags")), aliases=dict(sorted(aliases.items())),
                    ),
                    sorted(versions[one["name"]], key=lambda version: version.version),
                )  # fmt: skip

    def logged_models(self) -> Iterator[list[LoggedModel]]:
        """All logged models in pages; of deleted ones a server tells nothing."""
        experiments = [one.id for one in self.experiments()]
        if not experiments:
            return
        pages = self.api.pages(
            "logged-models/search", "models", experiment_ids=experiments, max_results=50,
            order_by=[{"field_name": "creation_timestamp", "ascending": True}],
        )  # fmt: skip
        try:
            for page in pages:
                yield [_logged_model(one) for one in page]
        except NotFound:  # a release before 3 knows none
            return


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _texts(pairs: Any) -> dict[str, str]:
    found = {str(one["key"]): str(one.get("value", "")) for one in pairs or []}
    return dict(sorted(found.items()))


def _double(value: Any) -> float:
    return math.nan if value is None else float(value)


def _run(given: dict[str, Any]) -> Run:
    info, data = given["info"], given.get("data", {})
    inputs, outputs = given.get("inputs", {}), given.get("outputs", {})
    return Run(
        id=info.get("run_id") or info["run_uuid"], experiment=str(info["experiment_id"]),
        name=info.get("run_name") or None, user=info.get("user_id") or None, status=info.get("status") or "RUNNING",
        started=_number(info.get("start_time")), ended=_number(info.get("end_time")),
        lifecycle=info.get("lifecycle_stage") or "active", location=info.get("artifact_uri") or "",
        params=_texts(data.get("params")), tags=_texts(data.get("tags")),
        inputs=[
            Input(
                dataset=Dataset(**{name: one["dataset"].get(name) or "" for name in Dataset.__struct_fields__}),
                tags=_texts(one.get("tags")),
            )
            for one in inputs.get("dataset_inputs", [])
        ],
        models_in=[ModelLink(model=one["model_id"]) for one in inputs.get("model_inputs", [])],
        models_out=[
            ModelLink(model=one["model_id"], step=int(one.get("step", 0))) for one in outputs.get("model_outputs", [])
        ],
        latest=sorted(
            (
                Latest(one["key"], _double(one.get("value")), int(one.get("timestamp", 0)), int(one.get("step", 0)))
                for one in data.get("metrics", [])
            ),
            key=lambda latest: latest.key,
        ),
    )  # fmt: skip


def _portion(run: str, found: dict[str, list[Any]]) -> Portion:
    rows = [(at, point) for at, points in enumerate(found.values()) for point in points]
    return Portion(
        run, list(found), np.array([at for at, _ in rows], np.int64),
        np.array([int(point.get("step", 0)) for _, point in rows], np.int64),
        np.array([int(point.get("timestamp", 0)) for _, point in rows], np.int64),
        np.array([_double(point.get("value")) for _, point in rows], np.float64),
    )  # fmt: skip


def _version(given: dict[str, Any]) -> Version:
    return Version(
        name=given["name"], version=int(given["version"]), created=_number(given.get("creation_timestamp")),
        updated=_number(given.get("last_updated_timestamp")), description=given.get("description") or None,
        user=given.get("user_id") or None, stage=given.get("current_stage") or "None",
        source=given.get("source") or "", run=given.get("run_id") or None, run_link=given.get("run_link") or "",
        status=given.get("status") or "READY", status_message=given.get("status_message") or "",
        tags=_texts(given.get("tags")),
    )  # fmt: skip


def _logged_model(given: dict[str, Any]) -> LoggedModel:
    info, data = given["info"], given.get("data", {})
    return LoggedModel(
        id=info["model_id"], experiment=str(info["experiment_id"]), name=info.get("name") or "",
        location=info.get("artifact_uri") or "", created=_number(info.get("creation_timestamp_ms")),
        updated=_number(info.get("last_updated_timestamp_ms")),
        status=str(info.get("status") or "").removeprefix("LOGGED_MODEL_") or "UNSPECIFIED",
        status_message=info.get("status_message") or "", type=info.get("model_type") or "",
        run=info.get("source_run_id") or "", params=_texts(data.get("params")), tags=_texts(info.get("tags")),
        metrics=[
            ModelMetric(
                key=one["key"], value=_plain(_double(one.get("value"))), timestamp=int(one.get("timestamp", 0)),
                step=int(one.get("step", 0)), run=one.get("run_id") or "", dataset_name=one.get("dataset_name") or None,
                dataset_digest=one.get("dataset_digest") or None,
            )
            for one in data.get("metrics", [])
        ],
    )  # fmt: skip


def _plain(value: float) -> float | str:
    return "NaN" if math.isnan(value) else value
