"""What exactly made a model version, and what is missing to make it again."""

from __future__ import annotations

from muniment.model.link import NODES_LIMIT
from muniment.model.model import ModelVersion
from muniment.model.question import Input, Reproducibility
from muniment.model.reference import short_name
from muniment.model.run import Run
from muniment_server.policy.access import Scope
from muniment_server.services import catalog
from muniment_server.services.lineage import DEPTH, nodes_of
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Workspace
from muniment_server.store import asking, links, runs
from muniment_server.store.reader import Reader


def reproducibility(
    workspace: Workspace, scope: Scope, project: str, version: str, as_of: int | str | None = None
) -> Reproducibility:
    """Everything that made a model version: run, code, data, environment, seeds, params; and what is missing of it."""

    def ask(reader: Reader) -> Reproducibility:
        held = resolve(reader, version, "model_version", "version")
        made = held.record
        assert isinstance(made, ModelVersion)
        maker = None if made.run is None else reader.find("run", made.run)
        run = None if maker is None else maker.record
        assert run is None or isinstance(run, Run)
        inputs = [] if maker is None else inputs_of(reader, maker.no)
        walk = links.walk(
            reader.connection, reader.project_id, held.no, "upstream", depth=DEPTH, limit=NODES_LIMIT,
            as_of=reader.as_of,
        )  # fmt: skip
        above = {number: depth for number, depth in walk.depths.items() if depth}
        known = links.records_of(reader.connection, reader.project_id, links.Found(above, [], truncated=False))
        params = {} if run is None else runs.find(
            reader.connection, scope, reader.project_id, run.id, as_of=reader.as_of
        ).params  # fmt: skip
        model = reader.by_ids("model", [made.model])[made.model]
        return Reproducibility(
            name=short_name("model", (model.name,), made.version),
            model_version=made,
            run=run,
            params=params,
            inputs=inputs,
            ancestors=nodes_of(reader, above, known),
            evaluations=asking.evaluations_of(reader, made.id),
            missing=missing_of(made, run, inputs),
            position=reader.position,
        )

    return catalog.read(workspace, scope, project, as_of, ask)


def inputs_of(reader: Reader, run: int) -> list[Input]:
    """The dataset versions that a run used, by role and name."""
    used = asking.linked(reader, [run], near="downstream", type_="used")
    versions = reader.numbered("dataset_version", sorted({far for _, far, _, _ in used}))
    owners = reader.by_ids("dataset", {version.dataset for version in versions.values()})
    found = []
    for _, far, _, role in used:
        if far in versions:
            owner = owners[versions[far].dataset]
            name = short_name("dataset", (owner.namespace, owner.name), versions[far].version)
            found.append(Input(name=name, role=role, version=versions[far]))
    return sorted(found, key=lambda item: (item.role, item.name))


def missing_of(version: ModelVersion, run: Run | None, inputs: list[Input]) -> list[str]:
    """What would be needed to make a model version again and is not recorded."""
    if run is None:
        return ["run: nothing says which run made this version"]
    missing = []
    if run.lifecycle == "erased":
        missing.append("run: its content was erased")
    code = run.code
    if code is None or not code.commit:
        missing.append("code: no commit is recorded")
    elif code.diff_digest:
        missing.append(
            f"code: uncommitted changes were there ({code.diff_digest[:19]}), of which only a digest is kept"
        )
    if code is None or not (code.entry_point or code.command):
        missing.append("code: no entry point or command is recorded")
    environment = run.environment
    if environment is None or not (environment.packages_digest or environment.image):
        missing.append("environment: neither packages nor an image are recorded")
    if not run.seeds:
        missing.append("seed: none is recorded")
    if not inputs:
        missing.append("data: the run names no dataset version that it used")
    missing += [f"data: {item.name} has no digest" for item in inputs if item.version.digest is None]
    if version.digest is None:
        missing.append("model: the version has no digest, so what is made again cannot be compared with it")
    return missing
