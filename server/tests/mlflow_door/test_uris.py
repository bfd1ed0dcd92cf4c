"""Searches by the ids of runs and by where their artifacts are, which no run keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_door.asking import Asking, asking
from muniment_server.api.mlflow.translate import uris

PROXY = "mlflow-artifacts:/"
RUN = "01a205ca50f87aee91880ce46b73743f"


@pytest.fixture
def ask(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    with asking(store_url, tmp_path / "home", monkeypatch) as found:
        yield found


def like(text: str, pattern: str, *, fold: bool = False) -> bool:
    letters = {"%": ".*", "_": "."}
    made = "".join(letters.get(one) or re.escape(one) for one in pattern)
    return re.fullmatch(made, text, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


@st.composite
def _patterns(draw: Any, text: str) -> str:
    """A text with some of it replaced, so that it matches, or nearly does."""
    made = text
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(made))), draw(st.integers(0, 25))
        made = made[:at] + draw(st.sampled_from(("%", "%", "_" * length, "%_%", "a", "/%/", ""))) + made[at + length :]
    return made


@settings(max_examples=2_000, derandomize=True, database=None, deadline=None)
@given(data=st.data(), before=st.sampled_from(("mlflow-artifacts:/1/", "", "a/", "aaaa", "s3://b/01a205ca50/")))
def test_what_an_id_must_be_is_what_the_whole_must_be(data: Any, before: str) -> None:
    after = data.draw(st.sampled_from(("/artifacts", "", "f/f", "?x=3f")))
    pattern = data.draw(_patterns(f"{before}{RUN}{after}"))
    found = uris._of_ids(uris._tokens(pattern), before, after)
    for run in (RUN, RUN[::-1], "a" * 32, "3f" * 16):
        by_id = any(like(run, "".join(token[0] for token in one)) for one in found)
        assert by_id == like(f"{before}{run}{after}", pattern), (pattern, found)


def test_runs_are_found_by_where_their_artifacts_are(ask: Asking) -> None:
    places = [
        ask.experiment("one"), ask.experiment("two"),
        *(
            ask("POST", "experiments/create", {"name": name, "artifact_location": where})["experiment_id"]
            for name, where in (("far", "s3://bucket/Far"), ("asked", "s3://bucket/x?version=2"))
        ),
    ]  # fmt: skip
    known = {}
    for run in [ask.run(place) for place in places for _ in range(2)]:
        known[run] = ask("GET", "runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    assert len(set(known.values())) == 8
    first, *_ = known
    texts = [*known.values(), f"{PROXY}{places[0]}", "", first, f"{PROXY}{places[1]}/{first}/artifacts"]
    patterns = [
        "%", "", "mlflow%", "s3%", "S3://BUCKET/far/%", f"%{first}%", f"%{first}/artifacts", f"%{first[-4:]}_artifacts",
        f"{PROXY}{places[0]}/%", f"{PROXY}_%/artifacts", f"%{first[:4]}%{first[-4:]}%", "%a%", "%/%/%/artifacts",
        "%version=2", "%/artifacts_version=_", known[first], known[first].upper(), "_" * len(known[first]), "%\\_%",
    ]  # fmt: skip

    def found(where: str) -> set[str]:
        body = {"experiment_ids": places, "filter": where}
        return {one["info"]["run_id"] for one in ask("POST", "runs/search", body).get("runs", [])}

    for text in texts:
        assert found(f"artifact_uri = '{text}'") == {run for run, uri in known.items() if uri == text}
        assert found(f"attributes.artifact_uri != '{text}'") == {run for run, uri in known.items() if uri != text}
    for pattern in patterns:
        for op in ("LIKE", "ILIKE"):
            plain = pattern.replace("\\_", "\x00")
            wanted = {run for run, uri in known.items() if like(uri, plain, fold=op == "ILIKE")}
            assert found(f"artifact_uri {op} '{pattern}'") == wanted, (op, pattern)
    both = f"artifact_uri LIKE '{PROXY}%' AND run.artifact_uri LIKE '%{first}%' AND artifact_uri != 'x'"
    assert found(both) == {first}


def test_runs_are_found_by_a_part_of_their_id(ask: Asking) -> None:
    experiment = ask.experiment()
    runs = [ask.run(experiment) for _ in range(5)]

    def found(where: str) -> set[str]:
        body = {"experiment_ids": [experiment], "filter": where}
        return {one["info"]["run_id"] for one in ask("POST", "runs/search", body).get("runs", [])}

    tail = runs[2][-6:]
    for pattern in ("%", f"%{tail}", f"%{tail.upper()}", runs[0][:8] + "%", f"{runs[1][:-1]}_", "_" * 32, "_" * 31, ""):
        for op in ("LIKE", "ILIKE"):
            wanted = {run for run in runs if like(run, pattern, fold=op == "ILIKE")}
            assert found(f"run_id {op} '{pattern}'") == wanted, (op, pattern)
            assert found(f"attributes.run_id {op} '{pattern}' AND run_id != '{runs[0]}'") == wanted - {runs[0]}
    assert found(f"run_id IN ('{runs[3]}', 'none')") == {runs[3]}
    assert found(f"run_id NOT IN ('{runs[3]}', 'none')") == set(runs) - {runs[3]}
