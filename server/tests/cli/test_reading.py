"""Reading commands: what they show, in every place that they can read from."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from cli.conftest import Place
from muniment.cli.sparkline import BLOCKS

Ask = Callable[..., Result]
Told = Callable[..., str]


def test_runs_show_what_differs_and_never_wrap(told: Told, place: Place) -> None:
    lines = told("runs", "name LIKE 'net-%'", "--order-by", "metrics.accuracy DESC").splitlines()
    head = lines[0].split()
    assert head[:5] == ["name", "state", "age", "duration", "accuracy"], "the metric that was asked for comes first"
    assert "lr" in head
    assert "model" not in head, "all of them have the same"
    assert [line.split()[0] for line in lines[1:4]] == ["net-2", "net-1", "net-0"]
    assert all(len(line) <= 120 for line in lines)
    assert lines[1].endswith(place.ids["net-2"])
    at = lines[0].index("accuracy") + len("accuracy")
    assert [line[:at].split()[-1] for line in lines[1:4]] == ["0.92", "0.91", "0.9"], "numbers end where the head does"


def test_a_narrow_table_keeps_names_and_ids(told: Told, place: Place) -> None:
    text = told("runs", "name LIKE 'net-%'", COLUMNS="60")
    assert place.ids["net-0"] in text
    assert "lr" not in text.splitlines()[0].split()
    assert "no room for" in text.splitlines()[-1]
    assert max(map(len, text.splitlines())) <= 60


def test_columns_are_chosen(told: Told, ask: Ask) -> None:
    text = told("runs", "name = 'net-1'", "--columns", "name,params.lr,metrics.val loss,metrics.`flat`,tags.team")
    assert text.splitlines()[0].split() == ["name", "lr", "val", "loss", "flat", "team"]
    assert text.splitlines()[1].split() == ["net-1", "0.01", "0.5", "2", "risk"]
    refused = ask("runs", "--columns", "nonsense")
    assert refused.exit_code == 1
    assert "'nonsense' is no column" in str(refused.exception)


def test_limits_say_that_there_is_more(told: Told) -> None:
    assert "the first 2; --limit shows more" in told("runs", "--limit", "2")
    assert "--limit" not in told("runs", "--limit", "100")
    assert json.loads(told("runs", "--limit", "0", "--json"))["runs"] == []
    assert told("runs", "state = 'killed'") == "no run matches\n"


def test_the_past_is_asked(told: Told, place: Place) -> None:
    history = json.loads(told("history", place.ids["net-1"], "--json"))
    before = history["steps"][0]["position"] - 1
    names = [data["run"]["name"] for data in json.loads(told("runs", "--as-of", str(before), "--json"))["runs"]]
    assert names == ["net-0"]
    assert "running" in told("show", "net-1", "--as-of", str(before + 1))
    refused = told("search", "run", "--as-of", str(before), "--json")
    assert json.loads(refused)["position"] == before


def test_show_tells_everything_of_a_run(told: Told, place: Place) -> None:
    text = told("show", "net-1")
    for part in (place.ids["net-1"], "churn", "seeds.numpy", "lr", "0.01", "team", "risk", "customers@1", "training"):
        assert part in text
    loss = next(line for line in text.splitlines() if line.split()[:1] == ["loss"])
    assert "1000" in loss, "the greatest value"
    drawn = [c for c in loss if c in BLOCKS]
    assert drawn.count("█") == 1, "one point in three hundred is not lost"
    assert 10 <= len(drawn) <= 40
    flat = next(line for line in told("show", "net-1", "--metric", "flat").splitlines() if "flat" in line)
    assert len({c for c in flat if c in BLOCKS}) == 1


def test_a_logarithmic_line_differs(told: Told) -> None:
    def line(*options: str) -> str:
        return "".join(c for c in told("show", "net-1", "--metric", "loss", *options) if c in BLOCKS)

    assert set(line()) == {"▁", "█"}, "one point of a thousand dwarfs the others"
    assert len(set(line("--log"))) > 2


@pytest.mark.parametrize("name", ["model:risk@champion", "model:risk@1", "{risk}"])
def test_show_tells_everything_of_a_version(told: Told, place: Place, name: str) -> None:
    text = told("show", name.format(**place.ids))
    assert text.startswith("model version risk@1\n")
    for part in ("weights/w.bin", "2.0 kB", "facet card", "owner.team", "mlflow", "Lesson", "leak", "evaluates"):
        assert part in text


def test_show_tells_of_every_other_kind(told: Told, place: Place) -> None:
    text = told("show", "model:risk")
    assert [line.split()[:2] for line in text.splitlines() if "champion" in line] == [["1", "champion"]]
    assert "1 columns  age int64" in told("show", "dataset:customers@latest")
    assert told("show", "experiment:churn").startswith("experiment churn\n")
    for kind in ("evaluation", "note", "artifact", "facet_type"):
        found = json.loads(told("search", kind, "--json"))[f"{kind}s"][0]
        assert found["id"] in told("show", found["id"])
    evaluation = json.loads(told("search", "evaluation", "--json"))["evaluations"][0]["id"]
    assert "at least 0.8" in told("show", evaluation)
    assert place.ids["net-0"] in told("show", f"run:{place.ids['net-0']}").splitlines()[1]


def test_show_has_one_document(told: Told, place: Place) -> None:
    found = json.loads(told("show", "model:risk@1", "--json"))
    assert found["record"]["id"] == place.ids["risk"]
    assert [item["path"] for item in found["artifacts"]] == ["weights/w.bin"]
    assert found["facets"]["card"]["value"]["owner"] == {"team": "risk"}
    assert found["downstream"][0]["link"]["type"] == "evaluates"


def test_compare_shows_only_what_differs(told: Told) -> None:
    text = told("compare", "net-0", "net-1", "net-2")
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "params.model" not in rows
    assert rows["metrics.accuracy"].split()[1:] == ["0.9", "▼", "0.91", "0.92", "▲"]
    assert rows["params.lr"].split()[1:] == ["0.1", "▲", "0.01", "0.001", "▼"]
    assert "other fields are the same" in text
    narrow = told("compare", "net-0", "net-1", "net-2", COLUMNS="60")
    assert sum(line.startswith("field ") for line in narrow.splitlines()) > 1, "records that do not fit stand below"
    found = json.loads(told("compare", "net-0", "net-1", "--json"))
    assert found["different"]["params.lr"] == ["0.1", "0.01"]


def test_lineage_is_a_tree(told: Told, place: Place) -> None:
    lines = told("lineage", "dataset:customers@1", "--downstream").splitlines()
    assert lines[0].startswith("dataset version customers@1")
    assert f"├─ run net-0  used (training)  {place.ids['net-0']}" in lines
    assert lines[-1].startswith("└─ ")
    assert told("lineage", "net-0").splitlines()[1].startswith("└─ dataset version customers@1  used (training)")
    assert "net-0" not in told("lineage", "dataset:customers@1", "--downstream", "--kinds", "evaluation")
    assert "nothing is recorded upstream of it" in told("lineage", "dataset:customers@1")


def test_lineage_in_forms_that_others_read(told: Told) -> None:
    assert told("lineage", "net-0", "--format", "dot").startswith("digraph lineage {\n")
    assert "activity" in json.loads(told("lineage", "net-0", "--format", "prov"))
    assert told("lineage", "net-0", "--json") == told("lineage", "net-0", "--format", "json")
    assert json.loads(told("lineage", "net-0", "--json"))["direction"] == "upstream"


def test_history_tells_before_and_after(told: Told) -> None:
    text = told("history", "net-0")
    assert "running → finished" in text
    assert "params.lr" in text
    last = json.loads(told("history", "net-0", "--json"))["steps"][-1]["position"]
    assert told("history", "net-0", "--after", str(last)) == f"nothing happened to it after position {last}\n"


@pytest.mark.parametrize("kind", ["model_version", "model-versions", "Model_Versions"])
def test_search_asks_every_kind(told: Told, kind: str) -> None:
    assert [line.split()[0] for line in told("search", kind).splitlines()] == ["name", "risk@2", "risk@1"]
    assert told("search", kind, "model.alias = 'champion'").splitlines()[1].split()[0] == "risk@1"


def test_search_without_a_kind_is_about_runs(told: Told, ask: Ask) -> None:
    assert "net-2" in told("search", "metrics.accuracy > 0.915").splitlines()[1]
    assert told("search", "run", "state = 'killed'", "--count") == "no run matches\n"
    assert "1 of 6" in told("search", "run", "--limit", "1", "--count")
    refused = ask("search", "nonsense", "name = 'a'")
    assert refused.exit_code == 1
    assert "is no kind" in str(refused.exception)


def test_search_asks_all_projects(told: Told) -> None:
    text = told("search", "experiment", "--all-projects")
    assert [line for line in text.splitlines() if line.startswith("project ")] == ["project default", "project other"]
    assert set(json.loads(told("search", "experiment", "--all-projects", "--json"))["pages"]) == {"default", "other"}
    assert told("search", "experiment", "--project", "other").splitlines()[1].startswith("elsewhere")


def test_best_answers_in_the_same_manner(told: Told, place: Place) -> None:
    text = told("best", "accuracy")
    assert text.startswith("best by accuracy: net-2\n")
    assert "0.92 at step 300" in text
    assert json.loads(told("best", "loss", "--minimize", "--json"))["run"]["id"] == place.ids["net-2"]


def test_watch_prints_one_frame_of_what_has_ended(told: Told, place: Place) -> None:
    lines = told("watch", "net-1").splitlines()
    assert lines[0].startswith("net-1  finished  ")
    assert lines[0].endswith("step 300")
    assert json.loads(told("watch", "net-1", "--json"))["run"]["id"] == place.ids["net-1"]
    assert [line.split()[0] for line in told("watch", "net-1", "--metric", "flat").splitlines()[3:]] == ["flat"]


@pytest.mark.parametrize("place", ["file"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        ("runs",), ("show", "{evil}"), ("compare", "{evil}", "net-0"), ("history", "{evil}"), ("watch", "{evil}"),
        ("show", "model:risk@1"), ("search", "note"), ("lineage", "{evil}"), ("runs", "--json"),
        ("show", "{evil}", "--json"), ("lineage", "{evil}", "--format", "dot"), ("search", "run", "--all-projects"),
    ],
)  # fmt: skip
def test_no_control_character_gets_through(told: Told, place: Place, arguments: tuple[str, ...]) -> None:
    text = told(*(argument.format(**place.ids) for argument in arguments))
    assert all(c.isprintable() for line in text.split("\n") for c in line)
    assert "\\x1b" in text or "\\u001b" in text or arguments[0] == "lineage"
