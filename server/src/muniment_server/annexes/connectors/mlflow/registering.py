"""Registered models, sent to an MLflow server under their names and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from muniment.model import mlflow
from muniment.model.errors import Conflict, InvalidInput
from muniment_server.annexes.connectors.mlflow.holdings import Holdings
from muniment_server.annexes.connectors.mlflow.sending import Tally, There, pairs, tags_of
from muniment_server.annexes.connectors.mlflow.shapes import RegisteredModel, Version
from muniment_server.annexes.connectors.mlflow.wire import Api

_PLACED = re.compile(r"(runs:/|models:/m-)([0-9a-f]{32})")


class Registering:
    """Sends the registered models of a project.

    Args:
        holdings: the project.
        api: the server.
        tally: what is kept account of.
        runs: the runs on the server, by their ids here.
        models: the ids of logged models on the server, by those here.
    """

    def __init__(
        self, holdings: Holdings, api: Api, tally: Tally, runs: Mapping[str, There], models: Mapping[str, str]
    ) -> None:
        self.holdings, self.api, self.tally, self.runs, self.models = holdings, api, tally, runs, models

    def send(self) -> None:
        """Send all of them."""
        for model, versions in self.holdings.models():
            self.tally.found["models"] += 1
            self.tally.found["versions"] += len(versions)
            self.tally.found["aliases"] += len(model.aliases)
            if self.tally.attempt("models", f"model {model.name!r}", self._new_model, model):
                self._send_versions(model, versions)

    def _new_model(self, model: RegisteredModel) -> None:
        try:
            self.api.send("registered-models/create", {
                "name": model.name, "description": model.description or "", "tags": pairs(model.tags),
            })  # fmt: skip
            self.tally.sent("models", 1)
        except Conflict:  # it is there
            has = self.api.get("registered-models/get", name=model.name)["registered_model"]
            if (has.get("description") or "") != (model.description or ""):
                body = {"name": model.name, "description": model.description or ""}
                self.api.send("registered-models/update", body, "PATCH")
            for key, value in model.tags.items():
                if tags_of(has).get(key) != value:
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
                if self.tally.attempt("versions", where, self._new_version, version):
                    self.tally.sent("versions", 1)
                    next_ = version.version + 1
        has = self.api.get("registered-models/get", name=model.name)["registered_model"]
        known = {one["alias"]: int(one["version"]) for one in has.get("aliases", [])}
        for alias, number in model.aliases.items():
            body = {"name": model.name, "alias": alias, "version": str(number)}
            if known.get(alias) != number and self.tally.attempt(
                "aliases",
                f"model {model.name!r}: alias {alias!r}",
                self.api.send,
                "registered-models/alias",
                body,
            ):
                self.tally.sent("aliases", 1)

    def _gap(self, model: str) -> int:
        made = self.api.send("model-versions/create", {"name": model, "source": "s3://muniment/gone"})["model_version"]
        self.api.send("model-versions/delete", {"name": model, "version": made["version"]}, "DELETE")
        return int(made["version"])

    def _new_version(self, version: Version) -> None:
        run = self.runs.get(version.run or "")
        body: dict[str, Any] = {
            "name": version.name, "source": self._placed(version.source), "tags": pairs(version.tags),
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
