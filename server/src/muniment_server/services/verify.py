"""The use case of verification."""

from __future__ import annotations

import sqlalchemy as sa

from muniment.model.ledger import Finding, Verification
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import Workspace
from muniment_server.store import projects
from muniment_server.store.audit import chain, rows, series
from muniment_server.store.engine import Store

VERIFY_SECONDS = 86_400.0
"""Verification reads everything, however long that takes."""


def project(workspace: Workspace, scope: Scope, slug: str) -> Verification:
    """Verify one project of a store that is being served."""
    ref = workspace.project(scope, slug, Permission.READ)
    with workspace.store.read(VERIFY_SECONDS) as connection:
        return _verify(connection, workspace.trust, {ref.no})


def store(opened: Store, trust: TrustFolder) -> Verification:
    """Verify a whole store."""
    with opened.read(VERIFY_SECONDS) as connection:
        return _verify(connection, trust, None)


def _verify(connection: sa.Connection, trust: TrustFolder, only: set[int] | None) -> Verification:
    ids = projects.numbers(connection)
    sealed = chain.seals(connection, ids, trust)
    wanted = sorted(number for number in projects.positions(connection) if only is None or number in only)
    names = {ids[number] for number in wanted if number in ids}
    findings = [finding for finding in sealed.findings if only is None or finding.project in names]
    entries = points = records = 0
    for number in wanted:
        if number not in ids:
            findings.append(
                Finding(project=str(number), position=None, where="projects", problem="it has a head and no record")
            )
            continue
        checked = chain.entries(connection, number, ids[number], sealed.seals.get(ids[number], []))
        entries += checked.count
        if checked.finding is not None:
            findings.append(checked.finding)
            continue  # what is recomputed from a broken history would only repeat the news
        of_records, record_finding = rows.check(connection, number, ids[number])
        of_points, point_finding = series.check(connection, number, ids[number])
        records, points = records + of_records, points + of_points
        findings.extend(finding for finding in (record_finding, point_finding) if finding is not None)
    chains = [seals for name, seals in sealed.seals.items() if name in names]
    return Verification(
        ok=not findings,
        projects=len(wanted),
        entries=entries,
        points=points,
        records=records,
        seals=sum(map(len, chains)),
        sealed=sum(seals[-1].size for seals in chains),
        published=sum(size for name, size in sealed.published.items() if name in names),
        findings=findings,
    )
