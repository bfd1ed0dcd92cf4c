"""Walks over random graphs, cut short or not, now and as of the past, against the same walk in plain Python."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from muniment.model.batch import AddLink, Batch, CreateExperiment, CreateRun
from muniment.model.ids import new_id
from muniment.model.link import Direction, NewLink
from muniment_server.policy.access import Permission
from muniment_server.services import batch
from muniment_server.services import links as linking
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace
from muniment_server.store import links, tables

RECORDS = 40
Row = tuple[int, ...]


def walked(rows: list[Row], start: int, direction: Direction, *, depth: int, limit: int) -> Any:
    """What `links.walk` promises: level by level, in order, whole until the limit, and every link among what is found.

    Gives (depths, links among what was found and left, whether there is more).
    """
    near, far = (0, 1) if direction == "upstream" else (1, 0)
    depths, level, used, more = {start: 0}, [start], set(), False
    for distance in range(1, depth + 1):
        reached = []
        for row in sorted(row for row in rows if row[near] in level):
            if row[far] not in depths:
                if len(depths) >= limit:
                    more = True
                    continue
                depths[row[far]] = distance
                reached.append(row[far])
            used.add(row)
        level = reached
    more = more or any(row[near] in level and row[far] not in depths for row in rows)
    return depths, used, more


@pytest.mark.parametrize("seed", range(3))
def test_a_walk_is_what_plain_python_walks(workspace: Workspace, seed: int) -> None:
    rng = Random(seed)
    runs = [new_id() for _ in range(RECORDS)]
    pairs = {tuple(sorted(rng.sample(range(RECORDS), 2))) for _ in range(4 * RECORDS)}
    scope, write = workspace.owner_scope, workspace.writer.write
    commands: list[Any] = [CreateExperiment(name="graph")]
    commands += [CreateRun(experiment="graph", id=run, name=run) for run in runs]
    commands += [AddLink(upstream=runs[a], downstream=runs[b], type="derived") for a, b in sorted(pairs)]
    before = write(batch.run(workspace, scope, DEFAULT_PROJECT, Batch(commands=commands))).position
    for a, b in rng.sample(sorted(pairs), RECORDS):
        ended = [NewLink(upstream=runs[a], downstream=runs[b], type="derived")]
        write(linking.remove(workspace, scope, DEFAULT_PROJECT, ended))
    project = workspace.project(scope, DEFAULT_PROJECT, Permission.READ).no
    with workspace.store.read() as connection:
        kept = tables.links
        rows = [tuple(row) for row in connection.execute(kept.select().where(kept.c.project_id == project))]
        names = [column.name for column in kept.columns]
        wanted = [names.index(c) for c in ("downstream", "upstream", "type", "role", "run", "source", "valid_from")]
        until = names.index("valid_to")
        numbers = sorted({row[names.index("downstream")] for row in rows})
        cuts = 0
        for as_of in (None, before):
            holding = [tuple(row[at] for at in wanted) for row in rows if as_of is not None or row[until] is None]
            for start in rng.sample(numbers, 8):
                for direction in ("upstream", "downstream"):
                    for depth, limit in ((100, 1_000), (100, 12), (100, 5), (2, 1_000), (3, 9), (100, 1)):
                        found = links.walk(
                            connection, project, start, direction, depth=depth, limit=limit, as_of=as_of
                        )  # fmt: skip
                        depths, used, more = walked(holding, start, direction, depth=depth, limit=limit)
                        assert (found.depths, set(found.links), found.truncated) == (depths, used, more)
                        cuts += more
        assert cuts > 20
