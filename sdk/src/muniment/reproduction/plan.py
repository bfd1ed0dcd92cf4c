"""What is recorded of a run that has to do with running it again, and what is missing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from muniment.capture.secrets import MASK
from muniment.client import Client
from muniment.model.errors import InvalidInput, NotFound
from muniment.model.link import LineageQuery
from muniment.model.reference import parse_reference
from muniment.model.run import CHANGES, LEFT_OUT, PACKAGES, PROGRAM, Code, Environment, Run, RunData


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of a run."""

    data: RunData
    artifacts: dict[str, str] = {}
    """Digests of what belongs to code and environment, by path."""
    left_out: list[str] = []
    """What is not in the recorded code, one line each."""
    packages: list[str] = []
    """Lines as `muniment.capture.environment.packages` makes them."""
    used: dict[str, str] = {}
    """Names of the records that it used, by id."""

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.data.run

    @property
    def code(self) -> Code:
        """What was run; empty if nothing is recorded."""
        return self.run.code or Code()

    @property
    def environment(self) -> Environment:
        """What it was run in; empty if nothing is recorded."""
        return self.run.environment or Environment()

    def missing(self) -> list[str]:
        """What cannot be restored because it is not recorded, or must not be; one line each."""
        code, environment = self.code, self.environment
        lines = [f"code: {line}" for line in self.left_out]
        if not code.commit and not {CHANGES, PROGRAM} & self.artifacts.keys():
            lines.append("code: neither a commit nor a program is recorded; the command runs what is installed here")
        elif code.diff_digest and code.commit and CHANGES not in self.artifacts:
            lines.append(
                f"code: the uncommitted changes ({code.diff_digest[:12]}) are not kept; the commit alone is run"
            )
        elif not code.commit and PROGRAM in self.artifacts:
            lines.append("code: the program was in no repository; files beside it are not recorded")
        if not self.packages:
            lines.append("environment: no packages are recorded")
        if environment.image:
            lines.append(f"environment: the container's image {environment.image} is not started")
        world = (environment.variables or {}).get("WORLD_SIZE", "1")
        if world not in {"0", "1"}:
            lines.append(f"environment: it was one of {world} processes; only this one is started")
        if self.run.attempt > 1:
            lines.append(f"run: it took {self.run.attempt} attempts, and is run in one")
        if not self.run.seeds:
            lines.append("seeds: none is recorded")
        return lines


def read(client: Client, reference: str) -> Recorded:
    """Read what is recorded.

    Args:
        client: of the run's project.
        reference: the run's id or URN, or a version of a model, such as ``model:risk@champion``, for the run that made
            it.

    Raises:
        NotFound: there is no such run, or nobody knows which run made the version.
        InvalidInput: it is no reference to a run or a version of a model.
    """
    data = client.get_run(_run_of(client, reference))
    run = data.run.id
    kept = {
        item.path: item.artifact.digest.removeprefix("sha256:")
        for prefix in ("code/", "environment/")
        for item in client.artifacts(run, prefix=prefix)
        if item.path in {CHANGES, PROGRAM, LEFT_OUT, PACKAGES}
    }
    return Recorded(
        data=data,
        artifacts=kept,
        left_out=_lines(client, run, LEFT_OUT) if LEFT_OUT in kept else [],
        packages=_lines(client, run, PACKAGES) if PACKAGES in kept else [],
        used=used_by(client, run),
    )


def _run_of(client: Client, reference: str) -> str:
    kind = "model_version" if reference.startswith("model:") or ":model:" in reference else "run"
    found = parse_reference(reference, kind, "run")
    if found.id is not None:
        return found.id
    name, version = "/".join(found.key), found.version
    if version is None:
        raise InvalidInput(f"run: {reference!r} needs a version, such as {reference}@champion", field="run")
    made = client.get_model_version(name, version)
    if made.run is None:
        raise NotFound(f"nothing says which run made {reference}")
    return made.run


def used_by(client: Client, run: str) -> dict[str, str]:
    """Names of the records that a run used, by id."""
    found = client.lineage(run, LineageQuery(depth=1))
    used = {link.upstream for link in found.links if link.type == "used" and link.downstream == run}
    return {node.id: node.name for node in found.nodes if node.id in used}


def fetch(client: Client, run: str, path: str) -> bytes:
    """The bytes of an artifact of a run; they are what the store says they are."""
    with tempfile.TemporaryDirectory(prefix="muniment-") as folder:
        return client.download(run, path, Path(folder) / "artifact").read_bytes()


def _lines(client: Client, run: str, path: str) -> list[str]:
    return [line for line in fetch(client, run, path).decode("utf-8", "replace").splitlines() if line.strip()]


def masked_words(command: list[str]) -> list[str]:
    """Words of a recorded command that are not what was typed: masked, or shortened."""
    return [word for word in command if MASK in word or "… (" in word]
