"""Exporting a project to an MLflow server, over its API.

MLflow gives ids of its own to experiments, runs and logged models. A tag tells which run of the project each of its
runs is, and another that it is whole: an export that was killed goes on where it stopped, and one that is repeated
sends only what is new.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import msgspec

from muniment.model import mlflow
from muniment.model.artifact import Attachment
from muniment.model.errors import InvalidInput, MunimentError, NotFound, TooLarge, Unavailable
from muniment_server.annexes.connectors.mlflow.files import Proxied
from muniment_server.annexes.connectors.mlflow.holdings import Holdings, exact
from muniment_server.annexes.connectors.mlflow.registering import Registering
from muniment_server.annexes.connectors.mlflow.sending import Tally, There, pairs, tags_of
from muniment_server.annexes.connectors.mlflow.shapes import (
    Experiment,
    Input,
    LoggedModel,
    ModelMetric,
    Run,
)
from muniment_server.annexes.connectors.mlflow.telling import Done, Report
from muniment_server.annexes.connectors.mlflow.wire import Api
from muniment_server.services.intake import fingerprint

ID, WHOLE = "muniment.id", "muniment.exported"
"""Tags of what was exported: the id of the record here, and the fingerprint of a run all of which is there."""
POINTS, PAIRS = 1_000, 100
"""Metrics, and params or tags, that one request may have."""
LENGTHS = {"params": 6_000, "tags": 8_000}
"""Characters of a value that a server keeps; it cuts longer ones without a word."""
THREADS = 4
"""Runs that are sent at a time."""
_LOGGED = {"READY": "LOGGED_MODEL_READY", "UPLOAD_FAILED": "LOGGED_MODEL_UPLOAD_FAILED"}


class Exported(Done, frozen=True, kw_only=True):
    """What an export has done, and to which server."""

    target: str


KINDS = (
    "experiments", "runs", "params", "tags", "points", "inputs", "models", "versions", "aliases", "logged models",
    "artifacts",
)  # fmt: skip
"""What is counted, in the order in which it is told."""


def take(holdings: Holdings, api: Api, report: Report, *, artifacts: bool = False) -> Exported:
    """Send everything that a project has and MLflow has a place for.

    Args:
        holdings: the project.
        api: the server.
        report: is told how far it is.
        artifacts: send the bytes of artifacts.
    """
    began = time.monotonic()
    exporting = _Export(holdings, api, report, artifacts=artifacts)
    exporting.everything()
    return Exported(
        target=api.identity, project=holdings.project,
        found={kind: exporting.tally.found[kind] for kind in KINDS if exporting.tally.found[kind]},
        new={kind: exporting.tally.new[kind] for kind in KINDS if exporting.tally.new[kind]},
        refused=dict(exporting.tally.refused), refusals=exporting.tally.refusals,
        seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


class _Export:
    def __init__(self, holdings: Holdings, api: Api, report: Report, *, artifacts: bool) -> None:
        self.holdings, self.api, self.report, self.artifacts = holdings, api, report, artifacts
        self.tally = Tally()
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, There] = {}
        self.models: dict[str, str] = {}
        """Ids on the server, by those here."""
        self.measured: dict[tuple[str, str, int, int], list[tuple[str, ModelMetric]]] = {}
        """Which points of runs are of logged models too, by run, metric, step and time."""
        self._datasets: set[tuple[str, str, str]] = set()
        """Experiment, name and digest of those that the server has been told of."""
        self._telling = Lock()

    def everything(self) -> None:
        """Send everything, in an order in which what is referred to is there."""
        experiments = self.holdings.experiments()
        self._send_experiments(experiments)
        self._look_for_runs()
        for page in self.holdings.runs():
            for run in page:
                self._begin(run)
        self._send_logged_models()
        done = 0
        with ThreadPoolExecutor(THREADS, "muniment-export") as threads:
            for page in self.holdings.runs():
                for run in threads.map(self._fill, page):
                    done += 1
                    self._count(run)
                    self.report("runs", done, len(self.runs))
        Registering(self.holdings, self.api, self.tally, self.runs, self.models).send()
        self._delete(experiments)

    def _gone(self, path: str, body: dict[str, Any], method: str = "POST") -> None:
        """Delete something that may be deleted."""
        try:
            self.api.send(path, body, method)
        except NotFound:
            return

    # experiments

    def _send_experiments(self, given: Sequence[Experiment]) -> None:
        pages = self.api.pages("experiments/search", "experiments", max_results=1_000, view_type="ALL")
        there = [one for page in pages for one in page]
        named = {one["name"]: one for one in there}
        tagged = {tags_of(one)[ID]: one for one in there if ID in tags_of(one)}
        for one in given:
            self.tally.found["experiments"] += 1
            where, known = f"experiment {one.name!r}", tagged.get(one.id) or named.get(one.name)
            if known is None:
                self.tally.attempt("experiments", where, self._new_experiment, one)
                continue
            number = self.experiments[one.id] = known["experiment_id"]
            if known.get("lifecycle_stage") == "deleted" and one.lifecycle == "active":
                self.api.send("experiments/restore", {"experiment_id": number})
            if known["name"] != one.name:
                renamed = {"experiment_id": number, "new_name": one.name}
                self.tally.attempt("experiments", where, self.api.send, "experiments/update", renamed)
            has = tags_of(known)
            for key, value in {**one.tags, ID: one.id}.items():
                if has.get(key) != value and known.get("lifecycle_stage") != "deleted":
                    tag = {"experiment_id": number, "key": key, "value": value}
                    self.tally.attempt(
                        "tags", f"{where}: {key!r}", self.api.send, "experiments/set-experiment-tag", tag
                    )

    def _new_experiment(self, one: Experiment) -> None:
        body: dict[str, Any] = {"name": one.name, "tags": pairs({**one.tags, ID: one.id})}
        if one.location:
            body["artifact_location"] = one.location
        self.experiments[one.id] = self.api.send("experiments/create", body)["experiment_id"]
        self.tally.sent("experiments", 1)

    def _delete(self, given: Sequence[Experiment]) -> None:
        for one in given:
            number = self.experiments.get(one.id)
            if one.lifecycle == "deleted" and number is not None:
                self.tally.attempt("experiments", f"experiment {one.name!r}: deletion",
                          self._gone, "experiments/delete",
                                                              {"experiment_id": number})  # fmt: skip

    # runs

    def _look_for_runs(self) -> None:
        """Find the runs that an earlier export has sent."""
        if not self.experiments:
            return
        pages = self.api.pages(
            "runs/search", "runs", experiment_ids=sorted(set(self.experiments.values())), run_view_type="ALL",
            max_results=500, filter=f"tags.`{ID}` != ''",
        )  # fmt: skip
        for page in pages:
            for one in page:
                tags, info = tags_of(one["data"]), one["info"]
                self.runs[tags[ID]] = There(
                    info["run_id"], info.get("artifact_uri", ""), tags.get(WHOLE, ""),
                    info.get("lifecycle_stage") == "deleted",
                )  # fmt: skip

    def _begin(self, run: Run) -> None:
        """Create a run with its tags, if it is not there."""
        experiment = self.experiments.get(run.experiment)
        if run.id in self.runs or experiment is None:
            return
        tags = {key: value for key, value in run.tags.items() if key != mlflow.RUN_NAME}
        parent = self.runs.get(tags.get(mlflow.PARENT_RUN, ""))
        if parent is not None:
            tags[mlflow.PARENT_RUN] = parent.id
        body: dict[str, Any] = {
            "experiment_id": experiment, "run_name": run.name, "user_id": run.user or "",
            "tags": pairs({ID: run.id}),
        }  # fmt: skip
        if run.started is not None:
            body["start_time"] = run.started

        def send() -> None:
            info = self.api.send("runs/create", body)["run"]["info"]
            self.runs[run.id] = There(info["run_id"], info.get("artifact_uri", ""))
            self.tally.sent("runs", 1)

        self.tally.attempt("runs", f"run {run.id}", send)

    def _fill(self, run: Run) -> Run:
        """Send what a run has, unless it is there as a whole."""
        there = self.runs.get(run.id)
        if there is None:
            return run
        portion = self.holdings.points(run.id)
        kept = self.holdings.artifacts(run.id) if self.artifacts else []
        read = sorted(self.models.items()) if run.models_in else []
        files = [(one.path, one.artifact.digest) for one in kept]
        mark = str(fingerprint([run, self._digest_of(portion), read, files]))
        if there.whole == mark:
            return msgspec.structs.replace(run, points=len(portion.key))
        where = f"run {run.id}"
        if there.deleted:
            self.api.send("runs/restore", {"run_id": there.id})
        before = sum(self.tally.refused.values())
        self._send_pairs(where, there.id, run)
        self._send_points(where, there.id, run.id, portion)
        self._send_links(where, there.id, run)
        self._send_files(where, there.location, kept)
        ending: dict[str, Any] = {"run_id": there.id, "run_name": run.name, "status": run.status}
        if run.ended is not None:
            ending["end_time"] = run.ended
        self.tally.attempt("runs", f"{where}: its end", self.api.send, "runs/update", ending)
        if sum(self.tally.refused.values()) == before:
            self.api.send("runs/set-tag", {"run_id": there.id, "key": WHOLE, "value": mark})
        if run.lifecycle == "deleted":
            self.api.send("runs/delete", {"run_id": there.id})
        return msgspec.structs.replace(run, points=len(portion.key))

    @staticmethod
    def _digest_of(portion: Any) -> list[Any]:
        return [portion.keys, len(portion.key), int(portion.step.sum()), int(portion.timestamp.sum())]

    def _count(self, run: Run) -> None:
        self.tally.found["runs"] += 1
        self.tally.found["params"] += len(run.params)
        self.tally.found["tags"] += len(run.tags)
        self.tally.found["points"] += run.points or 0
        self.tally.found["inputs"] += len(run.inputs) + len(run.models_in)

    def _send_pairs(self, where: str, there: str, run: Run) -> None:
        tags = {key: value for key, value in run.tags.items() if key != mlflow.RUN_NAME}
        parent = self.runs.get(tags.get(mlflow.PARENT_RUN, ""))
        if parent is not None:
            tags[mlflow.PARENT_RUN] = parent.id
        for name, given in (("params", run.params), ("tags", tags)):
            for key, value in given.items():
                self.tally.attempt(name, f"{where}: {key!r}", _check_length, value, LENGTHS[name])
            for part in _parts(list(given.items()), PAIRS):
                self._batch(name, where, there, {name: pairs(dict(part))}, len(part))

    def _batch(self, kind: str, where: str, there: str, body: dict[str, Any], count: int) -> None:
        """Send a batch; if it is refused, one by one."""
        ((name, items),) = body.items()
        try:
            self.api.send("runs/log-batch", {"run_id": there, name: items})
            self.tally.sent(kind, count)
        except Unavailable:
            raise
        except MunimentError:
            for item in items:
                one = {"run_id": there, name: [item]}
                if self.tally.attempt(kind, f"{where}: {item['key']!r}", self.api.send, "runs/log-batch", one):
                    self.tally.sent(kind, 1)

    def _send_points(self, where: str, there: str, run: str, portion: Any) -> None:
        columns = zip(
            portion.key.tolist(), portion.step.tolist(), portion.timestamp.tolist(), portion.value.tolist(), strict=True
        )
        points = []
        for key, step, timestamp, value in columns:
            point = {"key": portion.keys[key], "value": exact(value), "timestamp": timestamp, "step": step}
            of_models = self.measured.get((run, portion.keys[key], step, timestamp), [])
            points += [{**point, **self._of_model(model, metric)} for model, metric in of_models] or [point]
        for part in _parts(points, POINTS):
            self._batch("points", where, there, {"metrics": list(part)}, len(part))

    def _of_model(self, model: str, metric: ModelMetric) -> dict[str, str]:
        said = {"model_id": self.models[model]}
        if metric.dataset_name:
            said["dataset_name"] = metric.dataset_name
        if metric.dataset_digest:
            said["dataset_digest"] = metric.dataset_digest
        return said

    def _send_links(self, where: str, there: str, run: Run) -> None:
        body: dict[str, Any] = {"run_id": there}
        read = [self.models[link.model] for link in run.models_in if link.model in self.models]
        if run.inputs:
            body["datasets"] = [_input(one) for one in run.inputs]
        if read:
            body["models"] = [{"model_id": model} for model in read]
        if len(body) > 1 and self.tally.attempt("inputs", where, self._send_inputs, run, body):
            self.tally.sent("inputs", len(run.inputs) + len(read))
        wrote = [link for link in run.models_out if link.model in self.models]
        if wrote:
            made = [{"model_id": self.models[link.model], "step": link.step} for link in wrote]
            self.tally.attempt("inputs", where, self.api.send, "runs/outputs", {"run_id": there, "models": made})

    def _send_inputs(self, run: Run, body: dict[str, Any]) -> None:
        """Tell what a run read. MLflow refuses a dataset that is new to it if two requests bring it at once."""
        used = {(run.experiment, one.dataset.name, one.dataset.digest) for one in run.inputs}
        if used <= self._datasets:
            self.api.send("runs/log-inputs", body)
            return
        with self._telling:
            self.api.send("runs/log-inputs", body)
            self._datasets |= used

    def _send_files(self, where: str, location: str, kept: Sequence[Attachment]) -> None:
        """Send artifacts, if the server takes them in itself."""
        for one in kept:
            self.tally.met("artifacts", 1)
            if self.tally.attempt("artifacts", f"{where}: {one.path}", self._send_file, location, one):
                self.tally.sent("artifacts", 1)

    def _send_file(self, location: str, one: Attachment) -> None:
        if not location.startswith("mlflow-artifacts:"):
            raise InvalidInput(f"the server wants it at {location[:200]}, and takes no artifacts in itself")
        Proxied(self.api, location).write(one.path, self.holdings.bytes_of(one.artifact))

    # models

    def _send_logged_models(self) -> None:
        known = self._known_models()
        for model in self.holdings.logged_models():
            if model.lifecycle == "deleted":  # of which MLflow's API tells nothing, and which it never restores
                continue
            self.tally.found["logged models"] += 1
            if model.id in known:
                self.models[model.id] = known[model.id]
            else:
                self.tally.attempt("logged models", f"logged model {model.id}",
                          self._new_logged_model, model)  # fmt: skip
            if model.id in self.models:
                for metric in model.metrics:
                    at = metric.run, metric.key, metric.step, metric.timestamp
                    self.measured.setdefault(at, []).append((model.id, metric))

    def _known_models(self) -> dict[str, str]:
        """Logged models that an earlier export has sent."""
        ids = sorted(set(self.experiments.values()))
        if not ids:
            return {}
        found = {}
        try:
            for page in self.api.pages("logged-models/search", "models", experiment_ids=ids, max_results=50):
                for one in page:
                    if ID in tags_of(one["info"]):
                        found[tags_of(one["info"])[ID]] = one["info"]["model_id"]
        except NotFound:  # a release before 3 knows none
            return {}
        return found

    def _new_logged_model(self, model: LoggedModel) -> None:
        experiment, run = self.experiments.get(model.experiment), self.runs.get(model.run)
        if experiment is None:
            raise InvalidInput("its experiment is not there")
        body: dict[str, Any] = {
            "experiment_id": experiment, "name": model.name,
            "params": pairs(model.params), "tags": pairs({**model.tags, ID: model.id}),
        }  # fmt: skip
        if model.type:
            body["model_type"] = model.type
        if run is not None:
            body["source_run_id"] = run.id
        info = self.api.send("logged-models", body)["model"]["info"]
        made = self.models[model.id] = info["model_id"]
        record = mlflow.version_id(model.id)
        if self.artifacts and record is not None:
            self._send_files(f"logged model {model.id}", info.get("artifact_uri", ""), self.holdings.artifacts(record))
        self.tally.sent("logged models", 1)
        if model.status in _LOGGED:
            ending = {"model_id": made, "status": _LOGGED[model.status]}
            self.api.send(f"logged-models/{made}", ending, "PATCH")


def _check_length(value: str, limit: int) -> None:
    if len(value) > limit:
        raise TooLarge(f"it has {len(value):,} characters, of which MLflow keeps {limit:,}")


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _input(given: Input) -> dict[str, Any]:
    dataset = given.dataset
    said = {
        "name": dataset.name, "digest": dataset.digest, "source_type": dataset.source_type, "source": dataset.source,
        "schema": dataset.schema, "profile": dataset.profile,
    }  # fmt: skip
    return {"dataset": {name: value for name, value in said.items() if value}, "tags": pairs(given.tags)}
