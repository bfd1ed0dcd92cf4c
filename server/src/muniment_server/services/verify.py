"""The use case of verification."""

from __future__ import annotations

import hashlib

import msgspec
import sqlalchemy as sa

from muniment.model.artifact import Artifact
from muniment.model.errors import MunimentError, NotFound
from muniment.model.ledger import Finding, Verification
from muniment.model.project import SYSTEM
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import Workspace
from muniment_server.store import artifacts, projects
from muniment_server.store.audit import Report, chain, rows, series
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store

VERIFY_SECONDS = 86_400.0
"""Verification reads everything, however long that takes."""


def project(workspace: Workspace, scope: Scope, slug: str) -> Verification:
    """Verify one project of a store that is being served."""
    ref = workspace.project(scope, slug, Permission.READ)
    with workspace.store.read(VERIFY_SECONDS) as connection:
        return _verify(connection, workspace.trust, {ref.no}, _silent)


def within(connection: sa.Connection, trust: TrustFolder, project_id: int | None, report: Report) -> Verification:
    """Verify one project, or all of them, as a transaction sees it, before anybody else can."""
    return _verify(connection, trust, None if project_id is None else {project_id}, report)


def store(opened: Store, trust: TrustFolder, report: Report | None = None) -> Verification:
    """Verify a whole store.

    Args:
        opened: the store.
        trust: keys and checkpoints.
        report: hears how far it is.
    """
    with opened.read(VERIFY_SECONDS) as connection:
        return _verify(connection, trust, None, report or _silent)


async def with_bytes(opened: Store, blobs: Blobs, outcome: Verification, report: Report) -> Verification:
    """Verify the bytes of every artifact too: each is read, and its digest taken."""
    findings, count = list(outcome.findings), 0
    with opened.read() as connection:
        ids = projects.numbers(connection)
    for number, name in sorted(ids.items()):
        last = 0
        while True:
            with opened.read() as connection:
                found = artifacts.active_after(connection, number, last)
            if not found:
                break
            for last, artifact in found:
                problem = await _wrong_bytes(blobs, artifact)
                if problem is not None and not _still(opened, number, last, artifact):
                    problem = None  # it was collected meanwhile
                count += 1
                report("artifacts", count, count)
                if problem is not None:
                    findings.append(
                        Finding(project=name, position=artifact.position, where="artifacts", problem=problem)
                    )
    return msgspec.structs.replace(outcome, ok=not findings, findings=findings, artifacts=count)


def _still(opened: Store, project_id: int, number: int, artifact: Artifact) -> bool:
    """Whether an artifact still says that its bytes are where they were looked for."""
    with opened.read() as connection:
        found = artifacts.active_after(connection, project_id, number - 1)
    return bool(found) and found[0] == (number, artifact)


async def _wrong_bytes(blobs: Blobs, artifact: Artifact) -> str | None:
    hashed, size = hashlib.sha256(), 0
    try:
        async for chunk in blobs.whole(artifact.location):
            hashed.update(chunk)
            size += len(chunk)
            if size > artifact.size:
                break
    except NotFound:
        return f"the bytes of {artifact.digest} are missing at {artifact.location}"
    except MunimentError as error:
        return f"the bytes of {artifact.digest} at {artifact.location} cannot be read: {error.message}"
    if size != artifact.size or f"sha256:{hashed.hexdigest()}" != artifact.digest:
        return f"the bytes of {artifact.digest} at {artifact.location} are not what they were"
    return None


def _silent(what: str, done: int, total: int) -> None:
    """Nobody watches."""


def _verify(connection: sa.Connection, trust: TrustFolder, only: set[int] | None, report: Report) -> Verification:
    try:
        ids = projects.numbers(connection)
        sealed = chain.seals(connection, ids, trust)
        heads = projects.positions(connection)
    except Exception as error:  # noqa: BLE001 - whatever was put there must be a finding
        return _illegible(error)
    wanted = sorted(
        number for number in {*ids, *heads, *rows.projects_of_any_row(connection)} if only is None or number in only
    )
    names = {ids[number] for number in wanted if number in ids}
    findings = [finding for finding in sealed.findings if only is None or finding.project in names]
    findings += _unknown(sealed.published, ids, only)
    outcomes = []
    for number in wanted:
        if number not in ids or number not in heads:
            problem = "there are rows of it and no project" if number not in ids else "it has no head"
            findings.append(Finding(project=ids.get(number, str(number)), position=1, where="heads", problem=problem))
            continue
        outcomes.append(_project(connection, number, ids[number], sealed, report))
        findings += outcomes[-1].findings
    chains = [seals for name, seals in sealed.seals.items() if name in names]
    return Verification(
        ok=not findings,
        projects=len(wanted),
        entries=sum(outcome.entries for outcome in outcomes),
        points=sum(outcome.points for outcome in outcomes),
        records=sum(outcome.records for outcome in outcomes),
        seals=sum(map(len, chains)),
        sealed=sum(seals[-1].size for seals in chains),
        published=sum(size for name, size in sealed.published.items() if name in names),
        findings=findings,
    )


def _illegible(error: Exception) -> Verification:
    """What is said of a store whose projects or seals cannot be read at all."""
    problem = f"the projects and seals cannot be read: {error}".splitlines()[0]
    finding = Finding(project=SYSTEM, position=None, where="seals", problem=problem)
    return Verification(
        ok=False, projects=0, entries=0, points=0, records=0, seals=0, sealed=0, published=0, findings=[finding]
    )


def _unknown(published: dict[str, int], ids: dict[int, str], only: set[int] | None) -> list[Finding]:
    """Projects that checkpoints speak of and the store does not have."""
    if only is not None:
        return []
    missing = sorted(set(published) - set(ids.values()))
    problem = "it has published seals and is not in the store"
    return [Finding(project=name, position=1, where="projects", problem=problem) for name in missing]


class _Outcome(msgspec.Struct):
    entries: int = 0
    points: int = 0
    records: int = 0
    findings: list[Finding] = []


def _project(connection: sa.Connection, number: int, name: str, sealed: chain.Sealed, report: Report) -> _Outcome:
    """Check one project; what is recomputed from a broken history would only repeat the news, so it is left out."""
    made = _Outcome(findings=[])
    try:
        checked = chain.entries(connection, number, name, sealed.seals.get(name, []), report, broken=sealed.broken)
    except Exception as error:  # noqa: BLE001 - whatever was put there must be a finding
        problem = f"the history cannot be read: {error}".splitlines()[0]
        made.findings.append(Finding(project=name, position=None, where="ledger", problem=problem))
        return made
    made.entries = checked.count
    if checked.finding is not None:
        made.findings.append(checked.finding)
    if made.findings or any(finding.project == name for finding in sealed.findings):
        return made
    for where, check in (("records", rows.check), ("summaries", series.check)):
        try:
            count, finding = check(connection, number, name, report)
        except Exception as error:  # noqa: BLE001 - whatever was put there must be a finding
            problem = f"what is stored cannot be read: {error}".splitlines()[0]
            count, finding = 0, Finding(project=name, position=None, where=where, problem=problem)
        if where == "records":
            made.records = count
        else:
            made.points = count
        if finding is not None:
            made.findings.append(finding)
    return made
