"""What exactly made a model version, and what is missing to make it again."""

from __future__ import annotations

from muniment.model.link import NODES_LIMIT
from muniment.model.model import ModelVersion
from muniment.model.question import Input, Reproducibility
from muniment.model.run import CHANGES, PROGRAM, Run
from muniment_server.policy.access import Scope
from muniment_server.services import catalog
from muniment_server.services.lineage import DEPTH, display_name, nodes_of, owners_of
from muniment_server.services.references import resolve_version
from muniment_server.services.workspace import Workspace
from muniment_server.store import asking, links, runs
from muniment_server.store.held import Held
from muniment_server.store.reader import Reader

_PARAMS = runs.Columns(tags=frozenset(), metrics=frozenset())


def reproducibility(
    workspace: Workspace, scope: Scope, project: str, model: str, version: str, as_of: int | str | None = None
) -> Reproducibility:
    """Everything that made a model version: run, code, data, environment, seeds, params; and what is missing of it."""

    def ask(reader: Reader) -> Reproducibility:
        owner, held = resolve_version(reader, model, "model", version)
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
        params: dict[str, str] = {}
        if run is not None:
            found = runs.find(reader.connection, scope, reader.project_id, run.id, _PARAMS, as_of=reader.as_of)
            params = found.params
        return Reproducibility(
            name=display_name("model_version", made, {owner.record.id: owner.record}),
            model_version=made,
            run=run,
            params=params,
            inputs=inputs,
            ancestors=nodes_of(reader, above, known),
            evaluations=asking.evaluations_of(reader, made.id),
            missing=missing_of(made, run, inputs, _kept(reader, maker)),
            position=reader.position,
        )

    return catalog.read(workspace, scope, project, as_of, ask)


def inputs_of(reader: Reader, run: int) -> list[Input]:
    """The dataset versions that a run used, by role and name."""
    used = [(row[1], row[3]) for row in links.touching(
        reader.connection, reader.project_id, "downstream", [run], reader.as_of, "used"
    )]  # fmt: skip
    versions = reader.numbered("dataset_version", sorted({number for number, _ in used}))
    owners = owners_of(reader, versions.values())
    found = [
        Input(name=display_name("dataset_version", versions[number], owners), role=role, version=versions[number])
        for number, role in used
        if number in versions
    ]
    return sorted(found, key=lambda item: (item.role, item.name))


def _kept(reader: Reader, run: Held | None) -> frozenset[str]:
    """Which of the files that belong to its code a run has."""
    if run is None:
        return frozenset()
    return frozenset(path for path in (CHANGES, PROGRAM) if reader.belonging("artifacts", run, path))


def missing_of(version: ModelVersion, run: Run | None, inputs: list[Input], kept: frozenset[str]) -> list[str]:
    """What would be needed to make a model version again and is not recorded.

    Args:
        version: the version.
        run: that made it.
        inputs: what the run used.
        kept: paths of the files that the run has of its code.
    """
    if run is None:
        return ["run: nothing says which run made this version"]
    missing = []
    if run.lifecycle == "erased":
        missing.append("run: its content was erased")
    code = run.code
    if code is None or not code.commit:
        if PROGRAM not in kept:
            missing.append("code: no commit is recorded")
    elif code.diff_digest and CHANGES not in kept:
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
