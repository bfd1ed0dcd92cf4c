"""Tables of every library, told alike and kept; figures kept in the format that their path says."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

import muniment
from muniment import frames
from muniment.model.errors import InvalidInput

ROWS: list[dict[str, Any]] = [{"age": 31, "city": "Bonn"}, {"age": 47, "city": "Lyon"}]
TABLES = {
    "pandas": pd.DataFrame(ROWS),
    "polars": pl.DataFrame(ROWS),
    "pyarrow": pa.Table.from_pylist(ROWS),
    "rows": ROWS,
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[muniment.Client]:
    monkeypatch.setenv("MUNIMENT_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("MUNIMENT_CAPTURE", "none")
    yield muniment.connect(f"sqlite:///{tmp_path / 'runs.db'}")
    muniment.disconnect()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_told_by_its_content(name: str) -> None:
    told = frames.tell(TABLES[name])
    assert frames.library(TABLES[name]) == name
    assert ([column.name for column in told.schema], told.rows) == (["age", "city"], 2)
    assert all(column.type for column in told.schema)
    again: dict[str, Any] = {
        "pandas": pd.DataFrame(ROWS),
        "polars": pl.concat([pl.DataFrame(ROWS[:1]), pl.DataFrame(ROWS[1:])], rechunk=False),
        "pyarrow": pa.concat_tables([pa.Table.from_pylist(ROWS[:1]), pa.Table.from_pylist(ROWS[1:])]),
        "rows": [dict(reversed(row.items())) for row in ROWS],
    }  # fmt: skip
    assert frames.tell(again[name]).digest == told.digest, "how it lies in memory does not matter"
    other = [{"age": 31, "city": "Bonn"}, {"age": 48, "city": "Lyon"}]
    changed: dict[str, Any] = {
        "pandas": pd.DataFrame(other), "polars": pl.DataFrame(other),
        "pyarrow": pa.Table.from_pylist(other), "rows": other,
    }  # fmt: skip
    assert frames.tell(changed[name]).digest != told.digest


def test_rows_that_json_has_no_word_for() -> None:
    odd = [{"x": math.nan, "y": np.float32(0.5), "z": b"\x00", "w": Path("a")}, {"x": math.inf, 3: None}]
    content, suffix, _ = frames.as_file(odd)
    assert suffix == ".ndjson"
    first, second = map(msgspec.json.decode, content.splitlines())
    assert (first["x"], first["y"], second["x"], second["3"]) == ("NaN", 0.5, "Infinity", None)
    assert frames.tell(odd).rows == 2
    for wrong in ("text", 5, {"a": [1]}, [1, 2], np.zeros(3)):
        with pytest.raises(InvalidInput, match="DataFrame"):
            frames.tell(wrong)
        with pytest.raises(InvalidInput):
            frames.as_file(wrong)


def test_what_a_run_reads_is_a_version_by_its_content(store: muniment.Client) -> None:
    for turn in range(2):
        with muniment.start_run("e", f"turn-{turn}") as run:
            name = run.use("customers", "training", data=TABLES["pandas"])
            assert name.startswith("dataset:default/customers@")
            run.use("crm/customers@2026", "reference", slice="test", data=TABLES["polars"])
            assert run.use("customers", data="no table") == ""
        found = muniment.lineage(run.id).nodes
        assert [node.kind for node in found] == ["run", "dataset_version", "dataset_version"]
    digest = frames.tell(TABLES["pandas"]).digest
    version = store.get_dataset_version("customers", digest.partition(":")[2][:12])
    assert (version.digest, version.rows, [column.name for column in version.schema]) == (
        digest,
        2,
        ["age", "city"],
    )
    assert store.get_dataset_version("crm/customers", "2026").rows == 2
    roles = {link.role for link in muniment.lineage(run.id).links}
    assert roles == {"training", "reference[test]"}


def test_tables_and_figures_are_kept(store: muniment.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from PIL import Image

    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    with muniment.start_run("e") as run:
        for name, data in TABLES.items():
            run.log_table(data, f"tables/{name}")
        run.log_figure(figure, "curve.png")
        run.log_figure(axes, "curve.svg")
        run.log_figure(Image.new("RGB", (4, 4)), "square.jpg")
        run.log_figure("no figure", "nothing.png")
        run.log_table(5, "nothing")
    plt.close(figure)
    assert "no figure that can be written" in caplog.text
    assert "DataFrame" in caplog.text
    kept = {item.path: item.artifact.media_type for item in store.artifacts(run.id)}
    assert kept == {
        "curve.png": "image/png", "curve.svg": "image/svg+xml", "square.jpg": "image/jpeg",
        "tables/pandas.parquet": frames.PARQUET, "tables/polars.parquet": frames.PARQUET,
        "tables/pyarrow.parquet": frames.PARQUET, "tables/rows.ndjson": frames.NDJSON,
    }  # fmt: skip
    for path in store.download_all(run.id, tmp_path / "down"):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            assert parquet.read_table(io.BytesIO(content)).to_pylist() == ROWS
        elif path.suffix == ".ndjson":
            assert [msgspec.json.decode(line) for line in content.splitlines()] == ROWS
        else:
            assert content[:4] in {b"\x89PNG", b"<?xm", b"\xff\xd8\xff\xe0"}
