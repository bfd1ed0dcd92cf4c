"""MLflow's own database, read as it is: SQLite or PostgreSQL, of any release that keeps runs in tables.

Tables and columns that an older release lacks are as if they were empty. Nothing is locked for longer than one page:
what is read page by page need not be of one moment, since a run that changes meanwhile is looked at again next time.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from muniment.model.errors import InvalidInput
from muniment_server.annexes.connectors.mlflow import history
from muniment_server.annexes.connectors.mlflow.files import Folder
from muniment_server.annexes.connectors.mlflow.shapes import (
    Dataset,
    Experiment,
    Input,
    LoggedModel,
    ModelLink,
    ModelMetric,
    Place,
    Portion,
    RegisteredModel,
    Run,
    Version,
)
from muniment_server.store.engine import masked

AT_ONCE = 5_000
"""Keys that one statement asks for."""
PAGE = 500
"""Runs in one page."""
_DEFAULTS: dict[str, Any] = {
    "workspace": "default", "step": 0, "is_nan": False, "lifecycle_stage": "active", "version": 0, "status": "",
}  # fmt: skip
_STATUSES = {0: "UNSPECIFIED", 1: "PENDING", 2: "READY", 3: "UPLOAD_FAILED"}
"""Of logged models, as the database keeps them."""


class Database:
    """One MLflow database.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://USER@HOST/DATABASE``, as MLflow takes it.
        workspace: which of MLflow's workspaces to read.
    """

    def __init__(self, url: str, workspace: str = "default") -> None:
        self.url = _parsed(url)
        self.workspace = workspace
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        host = self.url.host or self.url.query.get("host")  # a socket's folder is said there
        plain = sa.URL.create(
            self.url.get_backend_name(), host=host if isinstance(host, str) else None, port=self.url.port,
            database=self.url.database,
        )  # fmt: skip
        self.identity = plain.render_as_string() + ("" if workspace == "default" else f"#{workspace}")
        self._engine = self._opened()
        with history.reading(self.identity):
            inspector = sa.inspect(self._engine)
            names = set(inspector.get_table_names())
            self._columns = {
                name: {column["name"] for column in inspector.get_columns(name)} for name in names & TABLES
            }
        missing = {"experiments", "runs", "metrics", "params", "tags"} - names
        if missing:
            raise InvalidInput(
                f"{masked(self.identity)[:200]} is no database of MLflow: it has no table {min(missing)!r}"
            )

    def _opened(self) -> sa.Engine:
        if not self.is_sqlite:
            engine = sa.create_engine(self.url, pool_size=1, max_overflow=2)

            @sa.event.listens_for(engine, "connect")
            def configure(raw: Any, record: object) -> None:
                del record
                raw.read_only = True

            return engine
        path = Path(self.url.database or "")
        if not path.is_file():
            raise InvalidInput(f"{path} is no file; say where MLflow's database is: sqlite:///PATH")
        name = f"file:{quote(str(path))}?mode=ro"
        return sa.create_engine(
            "sqlite+pysqlite://",
            creator=lambda: sqlite3.connect(name, uri=True, check_same_thread=False, timeout=30),
            poolclass=sa.pool.QueuePool,
        )

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    # asking

    def _table(self, name: str, *columns: str) -> sa.Select[Any]:
        """Some columns of a table; those that it lacks are what they would be by default."""
        there = self._columns[name]
        found = sa.table(name, *map(sa.column, sorted(there)))
        return sa.select(
            *(found.c[column] if column in there else sa.literal(_DEFAULTS.get(column)).label(column)
              for column in columns)
        )  # fmt: skip

    def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        with history.reading(self.identity), self._engine.connect() as connection:
            return connection.execute(query).all()

    def _has(self, name: str) -> bool:
        return name in self._columns

    def _of(self, name: str, key: str, wanted: Iterable[Any], *columns: str) -> dict[Any, list[Any]]:
        """Rows of a table by a key, for those that are wanted."""
        found: dict[Any, list[Any]] = defaultdict(list)
        keys = list(wanted) if self._has(name) else []
        for start in range(0, len(keys), AT_ONCE):
            chosen = sa.column(key).in_(keys[start : start + AT_ONCE])
            for row in self._rows(self._table(name, key, *columns).where(chosen)):
                found[row[0]].append(row[1:])
        return found

    def _here(self, query: sa.Select[Any], name: str) -> sa.Select[Any]:
        """Only the rows of the workspace."""
        return query.where(sa.column("workspace") == self.workspace) if "workspace" in self._columns[name] else query

    # what there is

    def totals(self) -> tuple[int, int | None]:
        """How many runs and points there are."""
        runs = self._rows(sa.select(sa.func.count()).select_from(sa.table("runs")))[0][0]
        points = self._rows(sa.select(sa.func.count()).select_from(sa.table("metrics")))[0][0]
        return int(runs), int(points)

    def experiments(self) -> list[Experiment]:
        """All experiments, deleted ones included."""
        query = self._table(
            "experiments", "experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time",
            "last_update_time",
        )  # fmt: skip
        rows = self._rows(self._here(query, "experiments").order_by(sa.column("experiment_id")))
        tags = self._of("experiment_tags", "experiment_id", [row[0] for row in rows], "key", "value")
        return [
            Experiment(
                id=str(row[0]), name=row[1], location=row[2] or "", lifecycle=row[3] or "active", created=row[4],
                updated=row[5], tags=_texts(tags[row[0]]),
            )
            for row in rows
        ]  # fmt: skip

    def runs(self) -> Iterator[list[Run]]:
        """All runs, those that began first before those that began later, in pages."""
        known = {int(experiment.id) for experiment in self.experiments()}
        query = self._table("runs", "run_uuid", "start_time", "experiment_id")
        order = sorted((row[1] or 0, row[0]) for row in self._rows(query) if row[2] in known)
        for start in range(0, len(order), PAGE):
            yield self._page([run for _, run in order[start : start + PAGE]])

    def _page(self, ids: list[str]) -> list[Run]:
        rows = self._of(
            "runs", "run_uuid", ids, "experiment_id", "name", "user_id", "status", "start_time", "end_time",
            "lifecycle_stage", "deleted_time", "artifact_uri",
        )  # fmt: skip
        params = self._of("params", "run_uuid", ids, "key", "value")
        tags = self._of("tags", "run_uuid", ids, "key", "value")
        inputs, links = self._inputs(ids), self._model_links(ids)
        counts = self._counts(ids)
        return [
            Run(
                id=run, experiment=str(row[0]), name=row[1], user=row[2], status=row[3] or "RUNNING", started=row[4],
                ended=row[5], lifecycle=row[6] or "active", deleted=row[7], location=row[8] or "",
                params=_texts(params[run]), tags=_texts(tags[run]), inputs=inputs[run],
                models_in=links["RUN_INPUT", run], models_out=links["RUN_OUTPUT", run], points=counts.get(run, 0),
            )
            for run in ids
            for row in rows[run]
        ]  # fmt: skip

    def _counts(self, ids: list[str]) -> dict[str, int]:
        run = sa.column("run_uuid", sa.String)
        columns: list[Any] = [run, sa.func.count()]
        query = sa.select(*columns).select_from(sa.table("metrics")).where(run.in_(ids)).group_by(run)
        return {row[0]: int(row[1]) for row in self._rows(query)}

    def _inputs(self, ids: list[str]) -> dict[str, list[Input]]:
        """Datasets that runs read."""
        found: dict[str, list[Input]] = defaultdict(list)
        if not (self._has("inputs") and self._has("datasets")):
            return found
        query = self._table("inputs", "input_uuid", "source_id", "destination_id").where(
            sa.column("destination_id").in_(ids), sa.column("source_type") == "DATASET",
            sa.column("destination_type") == "RUN",
        )  # fmt: skip
        rows = sorted(self._rows(query), key=lambda row: row[0])
        datasets = self._of(
            "datasets", "dataset_uuid", {row[1] for row in rows}, "name", "digest", "dataset_source_type",
            "dataset_source", "dataset_schema", "dataset_profile",
        )  # fmt: skip
        tags = self._of("input_tags", "input_uuid", [row[0] for row in rows], "name", "value")
        for input_, source, run in rows:
            for name, digest, *rest in datasets[source]:
                type_, where, schema, profile = (part or "" for part in rest)
                found[run].append(Input(
                    dataset=Dataset(name=name, digest=digest, source_type=type_, source=where, schema=schema,
                                    profile=profile),
                    tags=_texts(tags[input_]),
                ))  # fmt: skip
        return found

    def _model_links(self, ids: list[str]) -> dict[tuple[str, str], list[ModelLink]]:
        """Logged models that runs read and wrote, by how and run."""
        found: dict[tuple[str, str], list[ModelLink]] = defaultdict(list)
        if self._has("inputs"):
            query = self._table("inputs", "source_type", "source_id", "destination_id", "step").where(
                sa.column("source_id").in_(ids), sa.column("source_type").in_(("RUN_INPUT", "RUN_OUTPUT"))
            )
            for row in sorted(map(tuple, self._rows(query))):
                found[row[0], row[1]].append(ModelLink(model=row[2], step=row[3] or 0))
        return found

    def whole(self, runs: Sequence[Run]) -> list[Run]:
        """The same runs: a page tells everything."""
        return list(runs)

    def points(self, runs: Sequence[Run]) -> Iterable[Portion]:
        """The metric history of some runs."""
        return history.read(self._engine, self.identity, self._columns["metrics"], runs)

    def place(self, of: Run | LoggedModel) -> Place:
        """Where the artifacts of a run or logged model lie: in a folder of this machine."""
        return Folder(of.location)

    def models(self) -> Iterator[tuple[RegisteredModel, list[Version]]]:
        """All registered models with their versions."""
        if not self._has("registered_models"):
            return
        query = self._table("registered_models", "name", "creation_time", "last_updated_time", "description")
        for row in self._rows(self._here(query, "registered_models").order_by(sa.column("name"))):
            yield (
                RegisteredModel(
                    name=row[0], created=row[1], updated=row[2], description=row[3],
                    tags=_texts(self._named("registered_model_tags", row[0], "key", "value")),
                    aliases=_numbers(self._named("registered_model_aliases", row[0], "alias", "version")),
                ),
                self._versions(row[0]),
            )  # fmt: skip

    def _named(self, table: str, model: str, *columns: str) -> Sequence[Any]:
        """Rows of a table about a registered model."""
        if not self._has(table):
            return []
        return self._rows(self._here(self._table(table, *columns).where(sa.column("name") == model), table))

    def _versions(self, model: str) -> list[Version]:
        tags: dict[int, list[Any]] = defaultdict(list)
        for version, key, value in self._named("model_version_tags", model, "version", "key", "value"):
            tags[version].append((key, value))
        rows = self._named(
            "model_versions", model, "version", "creation_time", "last_updated_time", "description", "user_id",
            "current_stage", "source", "storage_location", "run_id", "run_link", "status", "status_message",
        )  # fmt: skip
        return [
            Version(
                name=model, version=row[0], created=row[1], updated=row[2], description=row[3], user=row[4],
                stage=row[5] or "None", source=row[6] or "", location=row[7] or "", run=row[8] or None,
                run_link=row[9] or "", status=row[10] or "READY", status_message=row[11] or "",
                tags=_texts(tags[row[0]]),
            )
            for row in sorted(map(tuple, rows), key=lambda row: row[0])
            if row[5] != "Deleted_Internal"  # what is left of a deleted version until it is cleaned up
        ]  # fmt: skip

    def logged_models(self) -> Iterator[list[LoggedModel]]:
        """All logged models, deleted ones included, in pages."""
        if not self._has("logged_models"):
            return
        known = {int(experiment.id) for experiment in self.experiments()}
        query = self._table("logged_models", "model_id", "experiment_id", "creation_timestamp_ms")
        order = sorted((row[2] or 0, row[0]) for row in self._rows(query) if row[1] in known)
        for start in range(0, len(order), PAGE):
            yield self._models_page([model for _, model in order[start : start + PAGE]])

    def _models_page(self, ids: list[str]) -> list[LoggedModel]:
        rows = self._of(
            "logged_models", "model_id", ids, "experiment_id", "name", "artifact_location", "creation_timestamp_ms",
            "last_updated_timestamp_ms", "status", "status_message", "lifecycle_stage", "model_type", "source_run_id",
        )  # fmt: skip
        tags = self._of("logged_model_tags", "model_id", ids, "tag_key", "tag_value")
        params = self._of("logged_model_params", "model_id", ids, "param_key", "param_value")
        metrics = self._of(
            "logged_model_metrics", "model_id", ids, "metric_name", "metric_value", "metric_timestamp_ms",
            "metric_step", "run_id", "dataset_name", "dataset_digest",
        )  # fmt: skip
        return [
            LoggedModel(
                id=model, experiment=str(row[0]), name=row[1], location=row[2] or "", created=row[3], updated=row[4],
                status=_STATUSES.get(row[5], "UNSPECIFIED"), status_message=row[6] or "",
                lifecycle=row[7] or "active", type=row[8] or "", run=row[9] or "", params=_texts(params[model]),
                tags=_texts(tags[model]),
                metrics=[
                    ModelMetric(key=key, value="NaN" if value is None else value, timestamp=at, step=step or 0,
                                run=run or "", dataset_name=name, dataset_digest=digest)
                    for key, value, at, step, run, name, digest in metrics[model]
                ],
            )
            for model in ids
            for row in rows[model]
        ]  # fmt: skip


TABLES = {
    "experiments", "experiment_tags", "runs", "tags", "params", "metrics", "datasets", "inputs", "input_tags",
    "registered_models", "registered_model_tags", "registered_model_aliases", "model_versions", "model_version_tags",
    "logged_models", "logged_model_tags", "logged_model_params", "logged_model_metrics",
}  # fmt: skip
"""The tables that are read, of those that the release has."""


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        parsed = None
    backend = "" if parsed is None else parsed.get_backend_name()
    if parsed is None or backend not in {"sqlite", "postgresql", "postgres"}:
        raise InvalidInput(
            "MLflow is read from http://HOST, sqlite:///PATH or postgresql://USER@HOST/DATABASE, "
            f"not {masked(url)[:120]!r}; what lies in another database, its server tells"
        )
    if backend == "sqlite":
        if not parsed.database:
            raise InvalidInput("sqlite:/// must be followed by the path of MLflow's database")
        return parsed.set(drivername="sqlite+pysqlite", database=str(Path(parsed.database).absolute()))
    return parsed.set(drivername="postgresql+psycopg")


def _numbers(pairs: Iterable[Sequence[Any]]) -> dict[str, int]:
    return {str(name): int(number) for name, number in sorted(map(tuple, pairs))}


def _texts(pairs: Iterable[Sequence[Any]]) -> dict[str, str]:
    """Keys and values; a value that is nothing is empty, and one that is no text is spelled as one."""
    return {str(key): value if isinstance(value, str) else "" if value is None else str(value)
            for key, value in sorted(map(tuple, pairs), key=lambda pair: str(pair[0]))}  # fmt: skip
