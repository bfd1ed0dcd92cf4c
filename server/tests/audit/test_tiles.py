"""Every tile of a tree of four levels, gone or cut short: named, however high it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from audit.sealed import Target
from muniment.model.experiment import NewExperiment
from muniment.model.run import NewRun
from muniment_server.annexes import keeper
from muniment_server.services import experiments, runs
from muniment_server.services.workspace import Workspace
from muniment_server.store import tiles as of_trees
from muniment_server.store.audit import chain
from muniment_server.store.tables import tiles

ENTRIES = 70
"""More than 4³, the entries under one hash of the fourth level."""


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (chain, of_trees):
        monkeypatch.setattr(module, "TILE_HEIGHT", 2)
        monkeypatch.setattr(module, "TILE_WIDTH", 4)


@pytest.mark.usefixtures("narrow")
def test_every_missing_or_shortened_tile_is_named(store_url: str, trust_folder: Path) -> None:
    workspace = Workspace(store_url, trust=trust_folder, migrate=True)
    scope = workspace.owner_scope
    run = _run(workspace)
    for number in range(ENTRIES):
        workspace.writer.write(runs.set_tags(workspace, scope, "default", run, {"number": str(number)}))
    keeper.seal(workspace)
    workspace.close()
    target = Target(store_url, trust_folder)
    try:
        project = target.projects["default"]
        with target.attacked() as connection:
            assert target.verify(connection).ok
            query = sa.select(tiles.c.height, tiles.c.number, tiles.c.hashes).where(tiles.c.project_id == project)
            found = connection.execute(query).all()
        assert max(row.height for row in found) == 3
        for height, number, hashes in found:
            where = (tiles.c.project_id == project, tiles.c.height == height, tiles.c.number == number)
            cut = sa.update(tiles).where(*where).values(hashes=hashes[:-32])
            for attack in (sa.delete(tiles).where(*where), cut):
                with target.attacked() as connection:
                    connection.execute(attack)
                    findings = target.verify(connection).findings
                span = 4**height
                least = number * 4 * span + 1
                assert len(findings) == 1, (height, number)
                assert findings[0].where in {"tiles", "ledger"}, (height, number, findings)
                assert findings[0].position is not None
                assert least <= findings[0].position <= least + 4 * span, (height, number, findings)
    finally:
        target.close()


def _run(workspace: Workspace) -> str:
    scope = workspace.owner_scope
    workspace.writer.write(experiments.create(workspace, scope, "default", NewExperiment(name="tiles")))
    return workspace.writer.write(runs.create(workspace, scope, "default", NewRun(experiment="tiles"))).id
