"""Exporting a project to an MLflow server, over its API.

MLflow gives ids of its own to experiments, runs and logged models. A tag tells which run of the project each of its
runs is, and another that it is whole: an export that was killed goes on where it stopped, and one that is repeated
sends only what is new.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from muniment.model import mlflow
from muniment.model.errors import Conflict, InvalidInput, MunimentError, NotFound, Unavailable
from muniment_server.annexes.connectors.mlflow.holdings import Holdings, exact
from muniment_server.annexes.connectors.mlflow.importing import Report
from muniment_server.annexes.connectors.mlflow.shapes import (
    Experiment,
    Input,
    LoggedModel,
    ModelMetric,
    RegisteredModel,
    Run,
    Version,
)
from muniment_server.annexes.connectors.mlflow.wire import Api
from muniment_server.services.intake import Refused, fingerprint

ID, WHOLE = "muniment.id", "muniment.exported"
"""Tags of what was exported: the id of the record here, and the fingerprint of a run all of which is there."""
POINTS, PAIRS = 1_000, 100
"""Metrics, and params or tags, that one request may have."""
THREADS = 4
"""Runs that are sent at a time."""
_PLACED = re.compile(r"(runs:/|models:/m-)([0-9a-f]{32})")
_LOGGED = {"READY": "LOGGED_MODEL_READY", "UPLOAD_FAILED": "LOGGED_MODEL_UPLOAD_FAILED"}


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export has done.

    Attributes:
        target: where to.
        project: where from.
        found: things that the project has, by kind.
        new: things that were sent, by kind.
        refused: things that the server did not take, by kind.
        refusals: the first thousand of them.
        seconds: how long it took.
    """

    target: str
    project: str
    found: dict[str, int]
    new: dict[str, int]
    refused: dict[str, int]
    refusals: list[Refused]
    seconds: float


KINDS = ("experiments", "runs", "params", "tags", "points", "inputs", "models", "versions", "aliases", "logged models")
"""What is counted, in the order in which it is told."""


def take(holdings: Holdings, api: Api, report: Report) -> Exported:
    """Send everything that a project has and MLflow has a place for."""
    began = time.monotonic()
    exporting = _Export(holdings, api, report)
    exporting.everything()
    return Exported(
        target=api.identity, project=holdings.project,
        found={kind: exporting.found[kind] for kind in KINDS if exporting.found[kind]},
        new={kind: exporting.new[kind] for kind in KINDS if exporting.new[kind]},
        refused=dict(exporting.refused), refusals=exporting.refusals, seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


class _There(msgspec.Struct):
    """A run on the server."""

    id: str
    location: str
    whole: str = ""
    deleted: bool = False


class _Export:
    def __init__(self, holdings: Holdings, api: Api, report: Report) -> None:
        self.holdings, self.api, self.report = holdings, api, report
        self.found: Counter[str] = Counter()
        self.new: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.refusals: list[Refused] = []
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, _There] = {}
        self.models: dict[str, str] = {}
        """Ids on the server, by those here."""
        self.measured: dict[tuple[str, str, int, int], list[tuple[str, ModelMetric]]] = {}
        """Which points of runs are of logged models too, by run, metric, step and time."""

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
        self._send_models()
        self._delete(experiments)

    def _try(self, kind: str, where: str, send: Callable[..., Any], *given: Any) -> bool:
        """Send something; whether it was taken. What is refused keeps nothing else."""
        try:
            send(*given)
        except Unavailable:
            raise
        except MunimentError as error:
            self.refused[kind] += 1
            if len(self.refusals) < 1_000:
                self.refusals.append(Refused(kind=kind, where=where, code=error.code, detail=error.message))
            return False
        return True

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
        tagged = {_tags(one)[ID]: one for one in there if ID in _tags(one)}
        for one in given:
            self.found["experiments"] += 1
            where, known = f"experiment {one.name!r}", tagged.get(one.id) or named.get(one.name)
            if known is None:
                self._try("experiments", where, self._new_experiment, one)
                continue
            number = self.experiments[one.id] = known["experiment_id"]
            if known.get("lifecycle_stage") == "deleted" and one.lifecycle == "active":
                self.api.send("experiments/restore", {"experiment_id": number})
            if known["name"] != one.name:
                renamed = {"experiment_id": number, "new_name": one.name}
                self._try("experiments", where, self.api.send, "experiments/update", renamed)
            has = _tags(known)
            for key, value in {**one.tags, ID: one.id}.items():
                if has.get(key) != value and known.get("lifecycle_stage") != "deleted":
                    tag = {"experiment_id": number, "key": key, "value": value}
                    self._try("tags", f"{where}: {key!r}", self.api.send, "experiments/set-experiment-tag", tag)

    def _new_experiment(self, one: Experiment) -> None:
        body: dict[str, Any] = {"name": one.name, "tags": _pairs({**one.tags, ID: one.id})}
        if one.location:
            body["artifact_location"] = one.location
        self.experiments[one.id] = self.api.send("experiments/create", body)["experiment_id"]
        self.new["experiments"] += 1

    def _delete(self, given: Sequence[Experiment]) -> None:
        for one in given:
            number = self.experiments.get(one.id)
            if one.lifecycle == "deleted" and number is not None:
                self._try("experiments", f"experiment {one.name!r}: deletion",
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
                tags, info = _tags(one["data"]), one["info"]
                self.runs[tags[ID]] = _There(
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
            "tags": _pairs({ID: run.id}),
        }  # fmt: skip
        if run.started is not None:
            body["start_time"] = run.started

        def send() -> None:
            info = self.api.send("runs/create", body)["run"]["info"]
            self.runs[run.id] = _There(info["run_id"], info.get("artifact_uri", ""))
            self.new["runs"] += 1

        self._try("runs", f"run {run.id}", send)

    def _fill(self, run: Run) -> Run:
        """Send what a run has, unless it is there as a whole."""
        there = self.runs.get(run.id)
        if there is None:
            return run
        portion = self.holdings.points(run.id)
        mark = str(fingerprint([run, self._digest_of(portion), sorted(self.models.items()) if run.models_in else []]))
        if there.whole == mark:
            return msgspec.structs.replace(run, points=len(portion.key))
        where = f"run {run.id}"
        if there.deleted:
            self.api.send("runs/restore", {"run_id": there.id})
        before = sum(self.refused.values())
        self._send_pairs(where, there.id, run)
        self._send_points(where, there.id, run.id, portion)
        self._send_links(where, there.id, run)
        ending: dict[str, Any] = {"run_id": there.id, "run_name": run.name, "status": run.status}
        if run.ended is not None:
            ending["end_time"] = run.ended
        self._try("runs", f"{where}: its end", self.api.send, "runs/update", ending)
        if sum(self.refused.values()) == before:
            self.api.send("runs/set-tag", {"run_id": there.id, "key": WHOLE, "value": mark})
        if run.lifecycle == "deleted":
            self.api.send("runs/delete", {"run_id": there.id})
        return msgspec.structs.replace(run, points=len(portion.key))

    @staticmethod
    def _digest_of(portion: Any) -> list[Any]:
        return [portion.keys, len(portion.key), int(portion.step.sum()), int(portion.timestamp.sum())]

    def _count(self, run: Run) -> None:
        self.found["runs"] += 1
        self.found["params"] += len(run.params)
        self.found["tags"] += len(run.tags)
        self.found["points"] += run.points or 0
        self.found["inputs"] += len(run.inputs) + len(run.models_in)

    def _send_pairs(self, where: str, there: str, run: Run) -> None:
        tags = {key: value for key, value in run.tags.items() if key != mlflow.RUN_NAME}
        parent = self.runs.get(tags.get(mlflow.PARENT_RUN, ""))
        if parent is not None:
            tags[mlflow.PARENT_RUN] = parent.id
        for name, given in (("params", run.params), ("tags", tags)):
            for part in _parts(list(given.items()), PAIRS):
                self._batch(name, where, there, {name: _pairs(dict(part))}, len(part))

    def _batch(self, kind: str, where: str, there: str, body: dict[str, Any], count: int) -> None:
        """Send a batch; if it is refused, one by one."""
        ((name, items),) = body.items()
        try:
            self.api.send("runs/log-batch", {"run_id": there, name: items})
            self.new[kind] += count
        except Unavailable:
            raise
        except MunimentError:
            for item in items:
                one = {"run_id": there, name: [item]}
                if self._try(kind, f"{where}: {item['key']!r}", self.api.send, "runs/log-batch", one):
                    self.new[kind] += 1

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
        if len(body) > 1 and self._try("inputs", where, self.api.send, "runs/log-inputs", body):
            self.new["inputs"] += len(run.inputs) + len(read)
        wrote = [link for link in run.models_out if link.model in self.models]
        if wrote:
            made = [{"model_id": self.models[link.model], "step": link.step} for link in wrote]
            self._try("inputs", where, self.api.send, "runs/outputs", {"run_id": there, "models": made})

    # models

    def _send_logged_models(self) -> None:
        known = self._known_models()
        for model in self.holdings.logged_models():
            if model.lifecycle == "deleted":  # of which MLflow's API tells nothing, and which it never restores
                continue
            self.found["logged models"] += 1
            if model.id in known:
                self.models[model.id] = known[model.id]
            else:
                self._try("logged models", f"logged model {model.id}",
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
                    if ID in _tags(one["info"]):
                        found[_tags(one["info"])[ID]] = one["info"]["model_id"]
        except NotFound:  # a release before 3 knows none
            return {}
        return found

    def _new_logged_model(self, model: LoggedModel) -> None:
        experiment, run = self.experiments.get(model.experiment), self.runs.get(model.run)
        if experiment is None:
            raise InvalidInput("its experiment is not there")
        body: dict[str, Any] = {
            "experiment_id": experiment, "name": model.name,
            "params": _pairs(model.params), "tags": _pairs({**model.tags, ID: model.id}),
        }  # fmt: skip
        if model.type:
            body["model_type"] = model.type
        if run is not None:
            body["source_run_id"] = run.id
        made = self.api.send("logged-models", body)["model"]["info"]["model_id"]
        self.models[model.id] = made
        self.new["logged models"] += 1
        if model.status in _LOGGED:
            ending = {"model_id": made, "status": _LOGGED[model.status]}
            self.api.send(f"logged-models/{made}", ending, "PATCH")

    def _send_models(self) -> None:
        for model, versions in self.holdings.models():
            self.found["models"] += 1
            self.found["versions"] += len(versions)
            self.found["aliases"] += len(model.aliases)
            if self._try("models", f"model {model.name!r}", self._new_model, model):
                self._send_versions(model, versions)

    def _new_model(self, model: RegisteredModel) -> None:
        try:
            self.api.send("registered-models/create", {
                "name": model.name, "description": model.description or "", "tags": _pairs(model.tags),
            })  # fmt: skip
            self.new["models"] += 1
        except Conflict:  # it is there
            has = self.api.get("registered-models/get", name=model.name)["registered_model"]
            if (has.get("description") or "") != (model.description or ""):
                body = {"name": model.name, "description": model.description or ""}
                self.api.send("registered-models/update", body, "PATCH")
            for key, value in model.tags.items():
                if _tags(has).get(key) != value:
                    self.api.send("registered-models/set-tag", {"name": model.name, "key": key, "value": value})

    def _send_versions(self, model: RegisteredModel, versions: Sequence[Version]) -> None:
        """Send versions under their own numbers: those in between that are gone are made and deleted."""
        query = "name = '" + model.name.replace("'", "\\'") + "'"
        there = {
            int(one["version"])
            for page in self.api.got_pages("model-versions/search", "model_versions", filter=query, max_results=10_000)
            for one in page
        }
        next_ = max(there, default=0) + 1
        for version in sorted(versions, key=lambda one: one.version):
            where = f"model {model.name!r} version {version.version}"
            if version.version not in there:
                while next_ < version.version:
                    next_ = self._gap(model.name) + 1
                if self._try("versions", where, self._new_version, version):
                    self.new["versions"] += 1
                    next_ = version.version + 1
        has = self.api.get("registered-models/get", name=model.name)["registered_model"]
        known = {one["alias"]: int(one["version"]) for one in has.get("aliases", [])}
        for alias, number in model.aliases.items():
            body = {"name": model.name, "alias": alias, "version": str(number)}
            if known.get(alias) != number and self._try(
                "aliases",
                f"model {model.name!r}: alias {alias!r}",
                self.api.send,
                "registered-models/alias",
                body,
            ):
                self.new["aliases"] += 1  # fmt: skip

    def _gap(self, model: str) -> int:
        made = self.api.send("model-versions/create", {"name": model, "source": "s3://muniment/gone"})["model_version"]
        self.api.send("model-versions/delete", {"name": model, "version": made["version"]}, "DELETE")
        return int(made["version"])

    def _new_version(self, version: Version) -> None:
        run = self.runs.get(version.run or "")
        body: dict[str, Any] = {
            "name": version.name, "source": self._placed(version.source), "tags": _pairs(version.tags),
            "description": version.description or "", "run_link": version.run_link,
        }  # fmt: skip
        if run is not None:
            body["run_id"] = run.id
        made = self.api.send("model-versions/create", body)["model_version"]
        if int(made["version"]) != version.version:
            self.api.send("model-versions/delete", {"name": version.name, "version": made["version"]}, "DELETE")
            raise InvalidInput(f"the server numbered it {made['version']}; there is a later one already")
        if version.stage != "None":
            stage = {"name": version.name, "version": str(version.version), "stage": version.stage}
            self.api.send("model-versions/transition-stage", {**stage, "archive_existing_versions": False})

    def _placed(self, source: str) -> str:
        """A place that names a run or logged model by its id here, with the id that it has there."""

        def there(found: re.Match[str]) -> str:
            run = self.runs.get(found[2])
            if found[1] == "runs:/":
                return found[0] if run is None else f"runs:/{run.id}"
            return f"models:/{self.models.get(mlflow.model_id(found[2]), mlflow.model_id(found[2]))}"

        return _PLACED.sub(there, source)


def _tags(given: Mapping[str, Any]) -> dict[str, str]:
    """The tags of something, as the API lists them."""
    return {tag["key"]: tag.get("value", "") for tag in given.get("tags", [])}


def _pairs(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in given.items()]


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _input(given: Input) -> dict[str, Any]:
    dataset = given.dataset
    said = {
        "name": dataset.name, "digest": dataset.digest, "source_type": dataset.source_type, "source": dataset.source,
        "schema": dataset.schema, "profile": dataset.profile,
    }  # fmt: skip
    return {"dataset": {name: value for name, value in said.items() if value}, "tags": _pairs(given.tags)}
