"""Records, every version of them."""

from __future__ import annotations

from typing import Any

from muniment.model.dataset import Slice, Source
from muniment.model.evaluation import Threshold
from muniment.model.metric import WireNumber
from muniment.model.model import Framework, Signature
from muniment.model.run import Code, Environment
from muniment.model.schema import Column
from muniment_server.store.tables.base import CLUSTERED, SHARDED, column, index, of_record, table, versions
from muniment_server.store.types import Id, Instant, Integer, Json, Text

projects = table(
    "projects",
    *versions(),
    column("id", Id()),
    column("slug", Text),
    column("description", Text, null=True),
    column("created_at", Instant()),
    of_record("projects"),
    **CLUSTERED,
)
index("projects_slug", projects, projects.c.project_id, projects.c.slug, current=True, unique=True)

principals = table(
    "principals",
    *versions(),
    column("id", Id()),
    column("name", Text),
    column("kind", Text),
    column("created_at", Instant()),
    of_record("principals"),
    **CLUSTERED,
)
index("principals_name", principals, principals.c.project_id, principals.c.name, current=True, unique=True)

experiments = table(
    "experiments",
    *versions(),
    column("id", Id()),
    column("name", Text),
    column("description", Text, null=True),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("experiments"),
    **SHARDED,
    **CLUSTERED,
)
index("experiments_id", experiments, experiments.c.project_id, experiments.c.id, current=True)
index("experiments_name", experiments, experiments.c.project_id, experiments.c.name, current=True, unique=True)

runs = table(
    "runs",
    *versions(),
    column("id", Id()),
    column("experiment", Id()),
    column("name", Text),
    column("kind", Text),
    column("state", Text),
    column("attempt", Integer),
    column("parent", Id(), null=True),
    column("lifecycle", Text),
    column("description", Text, null=True),
    column("user", Text, null=True),
    column("code", Json(Code), null=True),
    column("environment", Json(Environment), null=True),
    column("seeds", Json(dict[str, int]), null=True),
    column("created_at", Instant()),
    column("started_at", Instant(), null=True),
    column("ended_at", Instant(), null=True),
    column("job", Id(), null=True),
    of_record("runs"),
    **SHARDED,
    **CLUSTERED,
)
index("runs_by_experiment", runs, runs.c.project_id, runs.c.experiment, runs.c.no, current=True)
index(
    "runs_by_experiment_start", runs, runs.c.project_id, runs.c.experiment, runs.c.started_at, runs.c.no, current=True
)
index("runs_by_job", runs, runs.c.project_id, runs.c.job, runs.c.no, current=True)
index("runs_by_start", runs, runs.c.project_id, runs.c.started_at, runs.c.no, current=True)
index("runs_by_name", runs, runs.c.project_id, runs.c.name, runs.c.no, current=True)

jobs = table(
    "jobs",
    *versions(),
    column("id", Id()),
    column("namespace", Text),
    column("name", Text),
    column("type", Text, null=True),
    column("description", Text, null=True),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("jobs"),
    **SHARDED,
    **CLUSTERED,
)
index("jobs_name", jobs, jobs.c.project_id, jobs.c.name, jobs.c.namespace, current=True, unique=True)

datasets = table(
    "datasets",
    *versions(),
    column("id", Id()),
    column("namespace", Text),
    column("name", Text),
    column("description", Text, null=True),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("datasets"),
    **SHARDED,
    **CLUSTERED,
)
index(
    "datasets_name", datasets, datasets.c.project_id, datasets.c.name, datasets.c.namespace, current=True, unique=True
)

dataset_versions = table(
    "dataset_versions",
    *versions(),
    column("id", Id()),
    column("dataset", Id()),
    column("version", Text),
    column("digest", Text, null=True),
    column("sources", Json(list[Source])),
    column("schema", Json(list[Column])),
    column("slices", Json(list[Slice])),
    column("rows", Integer, null=True),
    column("bytes", Integer, null=True),
    column("license", Text, null=True),
    column("profile", Json(dict[str, Any]), null=True),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("dataset_versions"),
    **SHARDED,
    **CLUSTERED,
)
index(
    "dataset_versions_version", dataset_versions,
    dataset_versions.c.project_id, dataset_versions.c.dataset, dataset_versions.c.version, current=True, unique=True,
)  # fmt: skip
index(
    "dataset_versions_called", dataset_versions,
    dataset_versions.c.project_id, dataset_versions.c.version, dataset_versions.c.dataset, current=True,
)  # fmt: skip
index(
    "dataset_versions_digest", dataset_versions,
    dataset_versions.c.project_id, dataset_versions.c.dataset, dataset_versions.c.digest, dataset_versions.c.no,
    current=True,
)  # fmt: skip

models = table(
    "models",
    *versions(),
    column("id", Id()),
    column("name", Text),
    column("description", Text, null=True),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("models"),
    **SHARDED,
    **CLUSTERED,
)
index("models_name", models, models.c.project_id, models.c.name, current=True, unique=True)

model_versions = table(
    "model_versions",
    *versions(),
    column("id", Id()),
    column("model", Id()),
    column("version", Integer),
    column("run", Id(), null=True),
    column("uri", Text, null=True),
    column("digest", Text, null=True),
    column("signature", Json(Signature), null=True),
    column("framework", Json(Framework), null=True),
    column("metadata", Json(dict[str, Any]), null=True),
    column("stage", Text),
    column("description", Text, null=True),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("model_versions"),
    **SHARDED,
    **CLUSTERED,
)
index(
    "model_versions_version", model_versions,
    model_versions.c.project_id, model_versions.c.model, model_versions.c.version, current=True, unique=True,
)  # fmt: skip
index(
    "model_versions_by_run", model_versions,
    model_versions.c.project_id, model_versions.c.run, model_versions.c.no, current=True,
)  # fmt: skip

evaluations = table(
    "evaluations",
    *versions(),
    column("id", Id()),
    column("model_version", Id()),
    column("dataset_version", Id()),
    column("slice", Text, null=True),
    column("run", Id(), null=True),
    column("metrics", Json(dict[str, WireNumber])),
    column("thresholds", Json(dict[str, Threshold])),
    column("verdict", Text),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("evaluations"),
    **SHARDED,
    **CLUSTERED,
)
index(
    "evaluations_by_model", evaluations,
    evaluations.c.project_id, evaluations.c.model_version, evaluations.c.no, current=True,
)  # fmt: skip
index(
    "evaluations_by_dataset", evaluations,
    evaluations.c.project_id, evaluations.c.dataset_version, evaluations.c.slice, evaluations.c.no, current=True,
)  # fmt: skip

artifacts = table(
    "artifacts",
    *versions(),
    column("id", Id()),
    column("digest", Text),
    column("size", Integer),
    column("media_type", Text, null=True),
    column("location", Text),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("artifacts"),
    **SHARDED,
    **CLUSTERED,
)
index("artifacts_digest", artifacts, artifacts.c.project_id, artifacts.c.digest, current=True, unique=True)

facet_types = table(
    "facet_types",
    *versions(),
    column("id", Id()),
    column("name", Text),
    column("version", Integer),
    column("schema", Json(dict[str, Any])),
    column("mode", Text),
    column("description", Text, null=True),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("facet_types"),
    **SHARDED,
    **CLUSTERED,
)
index(
    "facet_types_version", facet_types,
    facet_types.c.project_id, facet_types.c.name, facet_types.c.version, current=True, unique=True,
)  # fmt: skip

notes = table(
    "notes",
    *versions(),
    column("id", Id()),
    column("subject", Id(), null=True),
    column("title", Text, null=True),
    column("text", Text),
    column("author", Id()),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("notes"),
    **SHARDED,
    **CLUSTERED,
)
index("notes_subject", notes, notes.c.project_id, notes.c.subject, notes.c.no, current=True)

saved_views = table(
    "saved_views",
    *versions(),
    column("id", Id()),
    column("name", Text),
    column("page", Text),
    column("state", Json(dict[str, Any])),
    column("description", Text, null=True),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("saved_views"),
    **SHARDED,
    **CLUSTERED,
)
index("saved_views_name", saved_views, saved_views.c.project_id, saved_views.c.name, current=True, unique=True)

foreigns = table(
    "foreigns",
    *versions(),
    column("id", Id()),
    column("urn", Text),
    column("project", Id()),
    column("kind", Text),
    column("record", Id()),
    column("lifecycle", Text),
    column("created_at", Instant()),
    of_record("foreigns"),
    **SHARDED,
    **CLUSTERED,
)
"""Records of other projects that are linked to records of this one."""
index("foreigns_urn", foreigns, foreigns.c.project_id, foreigns.c.urn, current=True, unique=True)
