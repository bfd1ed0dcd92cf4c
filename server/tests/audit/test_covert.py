"""Attacks that know what is checked and go around it: each has a name, and must be found all the same."""

from __future__ import annotations

import pytest

from audit import covert
from audit.sealed import Target
from muniment_server.store import tables

FOUND = [
    pytest.param(covert.other_points_under_the_kept_hash, id="other points under the kept hash"),
    pytest.param(covert.points_dropped, id="points dropped"),
    pytest.param(covert.run_erased_in_silence, id="run erased in silence"),
    pytest.param(covert.param_erased_in_silence, id="param erased in silence"),
    pytest.param(covert.head_removed, id="head removed"),
    pytest.param(covert.project_emptied, id="project emptied"),
    pytest.param(covert.tag_from_beyond_the_head, id="tag from beyond the head"),
    pytest.param(covert.tag_from_before_the_beginning, id="tag from before the beginning"),
    pytest.param(covert.points_from_before_the_beginning, id="points from before the beginning"),
    pytest.param(covert.inserted(tables.ledger, position=0), id="entry before the beginning"),
    pytest.param(covert.inserted(tables.ledger, project_id=999), id="entry of a project that does not exist"),
    pytest.param(covert.inserted(tables.seals, number=0, size=10**6), id="seal before the first"),
    *(
        pytest.param(covert.numbered(table, number, **values), id=f"{table.name} numbered {number}")
        for number in (0, -1)
        for table, values in (
            (tables.runs, {}),
            (tables.experiments, {"name": "forged"}),
            (tables.projects, {"slug": "forged"}),
            (tables.params, {}),
            (tables.tags, {}),
            (tables.summaries, {}),
            (tables.segment_runs, {}),
            (tables.records, {}),
            (tables.jobs, {"name": "forged"}),
            (tables.datasets, {"name": "forged"}),
            (tables.dataset_versions, {"version": "forged"}),
            (tables.models, {"name": "forged"}),
            (tables.model_versions, {"version": 99}),
            (tables.evaluations, {}),
            (tables.artifacts, {"digest": "forged"}),
            (tables.facet_types, {"version": 99}),
            (tables.notes, {}),
            (tables.saved_views, {"name": "forged"}),
            (tables.links, {}),
            (tables.aliases, {}),
            (tables.attachments, {}),
            (tables.facets, {}),
            (tables.names, {"name": "s//forged"}),
            (tables.scores, {}),
        )
    ),
    *(
        pytest.param(covert.moved(table), id=f"{table.name} of another record")
        for table in (tables.aliases, tables.attachments, tables.facets, tables.names)
    ),
    *(
        pytest.param(covert.given_back(table, **values), id=f"{table.name} of the erased")
        for table, values in (
            (tables.aliases, {}),
            (tables.attachments, {}),
            (tables.facets, {}),
            (tables.names, {"name": "s//gone"}),
            (tables.links, {}),
        )
    ),
    *(
        pytest.param(covert.record_erased_in_silence(table), id=f"{table.name} erased in silence")
        for table in (
            tables.experiments,
            tables.jobs,
            tables.datasets,
            tables.dataset_versions,
            tables.models,
            tables.model_versions,
            tables.evaluations,
            tables.notes,
            tables.saved_views,
            tables.facet_types,
        )
    ),
    *(
        pytest.param(covert.given_back(table, of, **values), id=f"{table.name} of the erased in {of.name}")
        for table, of, values in (
            (tables.tags, tables.models, {}),
            (tables.facets, tables.notes, {}),
            (tables.names, tables.jobs, {"name": "s//gone"}),
            (tables.aliases, tables.models, {}),
            (tables.links, tables.model_versions, {}),
            (tables.scores, tables.evaluations, {}),
        )
    ),
    *(
        pytest.param(covert.said_to_be(table, to), id=f"{to} in {table.name}")
        for table in (tables.jobs, tables.datasets, tables.models, tables.evaluations, tables.notes)
        for to in ("erased", "deleted")
    ),
    *(
        pytest.param(covert.changed(table, target=number), id=f"{table.name} of record {number}")
        for table in (tables.aliases, tables.attachments)
        for number in (0, -1, 9999)
    ),
    *(pytest.param(covert.link_through(number), id=f"link through run {number}") for number in (1, -1, 9999)),
    pytest.param(covert.inserted(tables.scores, key=9999), id="score of a key that does not exist"),
    pytest.param(covert.changed(tables.scores, value=0.25), id="score that was no number"),
    pytest.param(covert.link_twice, id="link twice"),
    pytest.param(covert.link_not_ended, id="link that had ended"),
    pytest.param(covert.numbered(tables.records, 9999), id="record that nothing was said of"),
    pytest.param(covert.inserted(tables.summaries, key=9999), id="summary of a key that does not exist"),
    pytest.param(covert.inserted(tables.segment_runs, run=9999), id="segment of a run that does not exist"),
    pytest.param(covert.inserted(tables.tiles, number=77, hashes=b""), id="empty tile"),
    pytest.param(covert.erased_points(run=2), id="run of an erased entry"),
    pytest.param(covert.inserted(tables.heads, project_id=999), id="head of nothing"),
    pytest.param(covert.inserted(tables.tiles, number=77), id="tile too many"),
    pytest.param(covert.inserted(tables.segment_runs, segment=7777), id="run of a segment that does not exist"),
    pytest.param(covert.inserted(tables.seals, number=10**6, size=10**6), id="seal out of order"),
    pytest.param(covert.numbered(tables.runs, 9999), id="run with a number of its own"),
    pytest.param(covert.numbered(tables.params, 9999), id="param of a run that does not exist"),
    pytest.param(covert.inserted(tables.ledger, position=10**6), id="entry after the last"),
]

HOSTILE = [
    pytest.param(covert.changed(tables.points, digest=None), id="no digest"),
    pytest.param(covert.segment_of(lambda _: None), id="no segment"),
    pytest.param(covert.raw("runs", "state", "flying"), id="an unknown state"),
    pytest.param(covert.raw("experiments", "lifecycle", "flying"), id="an unknown lifecycle"),
    pytest.param(covert.raw("runs", "code", "{"), id="no JSON"),
    pytest.param(covert.raw("runs", "seeds", '{"numpy":"one"}'), id="JSON of another shape"),
    pytest.param(covert.raw("runs", "created_at", 2**62), id="a time beyond all times"),
    pytest.param(covert.raw("artifacts", "lifecycle", "deleted"), id="a lifecycle of another kind"),
    pytest.param(covert.raw("model_versions", "stage", "flying"), id="an unknown stage"),
    pytest.param(covert.raw("facet_types", "mode", "flying"), id="an unknown mode"),
    pytest.param(covert.raw("evaluations", "verdict", "flying"), id="an unknown verdict"),
    pytest.param(covert.raw("evaluations", "metrics", '{"auc":"high"}'), id="a metric that is no number"),
    pytest.param(covert.raw("evaluations", "thresholds", '{"auc":{"least":1}}'), id="a threshold of another shape"),
    pytest.param(covert.raw("dataset_versions", "slices", "{}"), id="slices of another shape"),
    pytest.param(covert.raw("dataset_versions", "profile", "[" * 100_000), id="JSON too deep to read"),
    pytest.param(covert.raw("saved_views", "state", '{"a":1e999}'), id="JSON with a number beyond all numbers"),
    pytest.param(covert.raw("facets", "value", "{"), id="a facet that is no JSON"),
    pytest.param(covert.raw("names", "value", "null"), id="a name of nothing"),
    pytest.param(covert.raw("names", "name", "%%%"), id="a name that no spelling makes"),
    pytest.param(covert.raw("links", "type", "flying"), id="an unknown type of link"),
    pytest.param(covert.raw("links", "source", ""), id="an unknown source of a link"),
    pytest.param(covert.raw("ledger", "time", 2**62), id="an entry's time beyond all times"),
    *(
        pytest.param(covert.erasure_saying(body), id=f"an erasure that says {body[:20]}")
        for body in (
            "{",
            "[]",
            "[" * 100_000,
            '{"run":5}',
            '{"erased":{"points":5}}',
            '{"erased":{"points":[[]]}}',
            '{"run":{"id":[]}}',
            '"$int:x"',
        )
    ),
    *(
        pytest.param(covert.erasure_saying(body, "record.erase"), id=f"an erasure of any kind that says {body[:20]}")
        for body in ("{", "[]", '{"model":5}', '{"erased":{"revisions":[[]]}}', '{"model":{"id":[]}}')
    ),
    pytest.param(covert.segment_of(lambda _: b"garbage"), id="garbage for a segment"),
    pytest.param(covert.segment_of(lambda file: file[:-20]), id="half a segment"),
]


@pytest.mark.parametrize("attack", FOUND)
def test_it_is_found(target: Target, attack: covert.Attack) -> None:
    with target.attacked() as connection:
        attack(connection, target)
        assert not target.verify(connection).ok


@pytest.mark.parametrize("attack", HOSTILE)
def test_what_no_release_ever_wrote_is_a_finding_and_no_failure(target: Target, attack: covert.Attack) -> None:
    with target.attacked() as connection:
        attack(connection, target)
        assert not target.verify(connection).ok


def test_only_what_was_attacked_is_accused(target: Target) -> None:
    with target.attacked() as connection:
        covert.changed(tables.seals, "big", signature=bytes(64))(connection, target)
        outcome = target.verify(connection)
    (finding,) = outcome.findings
    assert finding.project == target.ids[target.projects["big"]]
    assert finding.where == "seals"
