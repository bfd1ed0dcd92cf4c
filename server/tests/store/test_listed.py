"""What is asked of many records at once, by their numbers: of none, of one, of more than a statement may list."""

from __future__ import annotations

from typing import Any

import pytest

from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.experiment import NewExperiment
from muniment.model.link import NewLink
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun
from muniment.model.search import Query
from muniment_server.policy.access import Permission
from muniment_server.services import datasets, erasure, experiments, facets, links, metrics, runs, search, snapshots
from muniment_server.services.workspace import Workspace
from muniment_server.store import belongings, points, summaries
from muniment_server.store import links as kept_links

MANY = 70_000
"""More than either engine takes as single parameters."""


@pytest.fixture
def filled(workspace: Workspace) -> list[str]:
    """The ids of three runs; the last was erased, and the first two used a dataset and have a facet each."""
    common: Any = (workspace, workspace.owner_scope, "default")
    write = workspace.writer.write
    write(experiments.create(*common, NewExperiment(name="e")))
    write(datasets.create(*common, NewDataset(name="d")))
    version = write(datasets.create_version(*common, "d", NewDatasetVersion(digest="1")))
    made = []
    for at in range(3):
        new = NewRun(experiment="e", name=f"n{at}", params={"b": str(at), "a": "x"}, tags={"t": str(at)})
        run = write(runs.create(*common, new)).id
        write(metrics.log(*common, run, NewPoints(series=["z", "y"], key=[0, 1, 0], value=[1.0, float(at), 2.0])))
        write(links.add(*common, [NewLink(upstream=version.id, downstream=run, type="used", role="train")]))
        write(facets.set_facet(*common, run, "x/one", {"at": at}))
        made.append(run)
    write(runs.set_tags(*common, made[1], {"t": None, "u": "2"}))
    write(erasure.erase_run(*common, made[2], "the subject asked"))
    return made


@pytest.mark.parametrize("numbers", [[], [2**40], list(range(MANY)), list(range(MANY - 1, -1, -1))])
def test_however_many_are_listed(workspace: Workspace, filled: list[str], numbers: list[int]) -> None:
    assert filled
    project = workspace.project(workspace.owner_scope, "default", Permission.READ).no
    with workspace.store.read() as connection:
        common = (connection, project)
        used = kept_links.into(*common, numbers, "used")
        last = summaries.last_of_runs(*common, numbers)
        every = summaries.of_runs(*common, numbers)
        some = summaries.of_runs(*common, numbers, {"y", "never logged"})
        documents = belongings.documents(*common, "facets", numbers, "x/")
        names = points.key_names(*common, numbers)
    assert list(last) == numbers
    if len(numbers) < MANY:
        assert (used, every, some, documents, names) == ([], {}, {}, {}, {})
        return
    assert len(used) == len(every) == len(documents) == 2
    assert {downstream for downstream, *_ in used} == set(every) == set(documents) == {no for no in last if last[no]}
    assert {role for *_, role in used} == {"train"}
    assert sorted(names.values()) == list(names.values()) == ["a", "b", "t", "u", "y", "z"]
    for no, one in every.items():
        assert [(found.key, found.value) for found in last[no]] == [(key, one[key].last) for key in ("y", "z")]
        assert some[no] == {"y": one["y"]}


def test_a_snapshot_says_what_a_search_says(workspace: Workspace, filled: list[str]) -> None:
    common: Any = (workspace, workspace.owner_scope, "default")
    query = Query(lifecycle="any", order_by=["name"])
    found, token = snapshots.find(*common, query, [search.search(*common, query).runs[0].run.experiment], "x/")
    assert token is None
    pages = search.search(*common, query).runs
    assert [one.data.run for one in found] == [page.run for page in pages]
    for one, page in zip(found, pages, strict=True):
        assert one == snapshots.get(*common, one.data.run.id, "x/")
        assert {item.key: item.value for item in one.data.params} == page.params
        assert {item.key: item.value for item in one.data.tags} == page.tags
        assert {
            last.key: (last.value, last.timestamp, last.step) for last in one.data.metrics
        } == {key: (m.last, m.last_timestamp, m.last_step) for key, m in page.metrics.items()}  # fmt: skip
    by_id = {one.data.run.id: one for one in found}
    assert [item.key for item in by_id[filled[0]].data.params] == ["a", "b"]
    assert by_id[filled[1]].about.facets == {"x/one": {"at": 1}}
    assert [used.role for used in by_id[filled[1]].about.datasets] == ["train"]
    erased = by_id[filled[2]]
    assert (erased.data.params, erased.data.tags, erased.data.metrics, erased.about.facets) == ([], [], [], {})
