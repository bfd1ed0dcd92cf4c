"""What MLflow's own server, 3.18.0, answers to the probes, written down: one file a noun, one line an answer.

``python -m mlflow_door.recorded PORT`` (from `server/tests`) asks a server on this machine again and writes the files.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from mlflow_door.calls import Answer, Case, Player

NOUNS = ("experiments", "runs", "search", "metrics", "models", "registry", "versions", "artifacts", "protocol")
CHANGED = {
    ("experiments", "create: blank name"),
    ("experiments", "update: blank name"),
    ("experiments", "search: filters"),
    ("experiments", "search: orders"),
    ("search", "filters"),
    ("models", "create from a run with an end"),
    ("models", "search: filters"),
    ("registry", "search: filters"),
    ("versions", "search: filters"),
    ("artifacts", "upload-artifact"),
    ("protocol", "the server"),
}
"""Cases to which 3.17.2, which the tests can install, answers otherwise than 3.18.0, which is written down."""
FOLDER = Path(__file__).parent / "recorded"
_LONG = re.compile(r"((.)\2{39})\2+", re.DOTALL)
_DRIVER = re.compile(r"\((?:sqlite3|psycopg2?|raised as a result).*", re.DOTALL)
_SET = re.compile(r"\{('[^{}]*')\}")
_STORE = re.compile(r"sqlite://\S+")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def cases(noun: str) -> list[Case]:
    """The cases of a noun."""
    found: list[Case] = importlib.import_module(f"mlflow_door.probes.{noun}").CASES
    assert len({one.name for one in found}) == len(found), "two cases of one name"
    return found


def settled(answer: Answer) -> Answer:
    """An answer without what differs from one process of MLflow to the next, and with long repetitions counted."""
    return Answer(answer.status, _settled(answer.body), dict(sorted(answer.headers.items())))


def _settled(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _settled(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if not isinstance(value, str):
        return value
    if key == "message":
        value = _STORE.sub("<store>", value)
        value = _DRIVER.sub("<the driver's words>", value)
        value = _ADDRESS.sub("", _SET.sub(lambda match: "{" + ", ".join(sorted(match[1].split(", "))) + "}", value))
    if value.startswith("<!doctype html>"):
        return "<page>"
    return _LONG.sub(lambda match: f"{match[2]}…*{len(match[0])}", value)


def played(noun: str, port: int) -> dict[str, list[Answer]]:
    """Every case of a noun, played on a server."""
    with Player(port) as player:
        return {one.name: [settled(answer) for answer in player.play(one)] for one in cases(noun)}


def read(noun: str) -> dict[str, list[Answer]]:
    """What is written down."""
    found = json.loads((FOLDER / f"{noun}.json").read_text("utf-8"))
    answers = [Answer(*one) for one in found["answers"]]
    return {name: [answers[place] for place in places] for name, places in found["cases"].items()}


def write(noun: str, answers: dict[str, list[Answer]]) -> None:
    """Write a noun's file."""
    places: dict[str, int] = {}
    lines = []
    for name, one_case in answers.items():
        said = [json.dumps(list(one), ensure_ascii=False, separators=(",", ":")) for one in one_case]
        numbers = [places.setdefault(one, len(places)) for one in said]
        lines.append(f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(numbers, separators=(',', ':'))}")
    FOLDER.mkdir(exist_ok=True)
    text = '{"cases": {\n' + ",\n".join(lines) + '\n}, "answers": [\n' + ",\n".join(places) + "\n]}\n"
    (FOLDER / f"{noun}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    for each in sys.argv[2:] or NOUNS:
        write(each, played(each, int(sys.argv[1])))
