"""Where we answer otherwise than MLflow's server, and why. Whatever is not in this table must be the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mlflow_door.calls import Answer, Call, Case


class Pair(NamedTuple):
    """The answers of both to one call."""

    case: str
    call: Call
    theirs: Answer
    ours: Answer

    @property
    def code(self) -> str:
        """What we call the error, if it is one."""
        return _said(self.ours, "error_code")

    @property
    def words(self) -> str:
        """What we say of the error, if it is one."""
        return _said(self.ours, "message")


def _said(answer: Answer, key: str) -> str:
    return str(answer.body.get(key, "")) if isinstance(answer.body, dict) else ""


def _refused(answer: Answer) -> bool:
    return 400 <= answer.status < 500


Holds = Callable[[Pair], bool]


def _case(*names: str) -> Holds:
    return lambda pair: pair.case in names


def _begins(*words: str) -> Holds:
    return lambda pair: pair.words.startswith(words)


def _only_at(*keys: str) -> Holds:
    """Whether the two differ in these fields alone."""
    return lambda pair: (
        pair.theirs.status == pair.ours.status
        and all(at.rpartition(".")[2] in keys for at, _, _ in deep(pair.theirs.body, pair.ours.body))
        and pair.theirs.headers == pair.ours.headers
    )


def _only_rows(pair: Pair) -> bool:
    """Whether the same rows come in another order."""
    return _sorted(pair.theirs.body) == _sorted(pair.ours.body)


def _rows(answer: Answer, key: str) -> list[Any]:
    return list(answer.body.get(key, [])) if isinstance(answer.body, dict) else []


def _sorted(body: Any) -> list[str]:
    return sorted(map(repr, body.get("runs", []))) if isinstance(body, dict) else []


def _same_but_words(pair: Pair) -> bool:
    return (pair.theirs.status, _said(pair.theirs, "error_code")) == (pair.ours.status, pair.code)


def _asks(pair: Pair) -> str:
    """The filter and the order of a search."""
    asked = dict(pair.call.query) if pair.call.query else pair.call.body
    return f"{asked.get('filter')} {asked.get('order_by')}" if isinstance(asked, dict) else ""


_SYNTAX = (
    *("Invalid clause", "Invalid comparison", "Invalid comparator", "Invalid order", "Invalid attribute key"),
    *("Invalid entity", "Invalid identifier", "Invalid filter", "Expected", "Parameter value", "While parsing"),
    *("Search filter", "Invalid value for numeric attribute"),
)

KNOWN: dict[str, Holds] = {
    "What a caller did wrong is no failure of the server, which clients would try again": lambda pair: (
        (pair.theirs.status >= 500 or pair.theirs.status == 0) and pair.ours.status < 500
    ),
    "Their parser stops in the middle of a wrong body and stores the half it has read, as a success": (
        _begins("Invalid value for '", "Missing value for required parameter 'datasets.dataset.")
    ),
    "A path or a method that is none is an error like every other one here, theirs is a page of its framework": (
        lambda pair: pair.theirs.body == "<page>" and 400 <= pair.ours.status < 502
    ),
    "Other products' endpoints say so": lambda pair: pair.ours.status == 501,
    "Their database trips over what it was given; we say what is wrong with it, or do what was meant": lambda pair: (
        _said(pair.theirs, "error_code") == "BAD_REQUEST" and not _said(pair.theirs, "message")
    ),
    "A filter is read by a reader of our own: of several mistakes it may name another": lambda pair: (
        _same_but_words(pair) and _said(pair.theirs, "message").startswith(_SYNTAX) and pair.words.startswith(_SYNTAX)
    ),
    "A filter with a word too many is refused, theirs is read past the mistake": lambda pair: (
        pair.theirs.status == 200 and pair.ours.status == 400 and pair.words.startswith(_SYNTAX)
    ),
    "Keys and names have a length here; SQLite has none": lambda pair: "the limit is" in pair.words,
    "Text is Unicode without NUL and without half characters": lambda pair: (
        "NUL character" in pair.words or "surrogate" in pair.words
    ),
    "A page's token is of one question and cannot be made up": lambda pair: (
        pair.ours.status == 400 and ("page token" in pair.words or "page is " in pair.words)
    ),
    "A run has the hours of its start and its end, from the server if the client has none": (
        _only_at("start_time", "end_time")
    ),
    "A run always has its name, as a tag too": _case("delete-tag: the name"),
    "A name, a key and a page are not empty": lambda pair: (
        pair.ours.status == 400 and ("must not be empty" in pair.words or "must be a positive integer" in pair.words)
    ),
    "A tag of an experiment that is given twice counts once, as it does for models": _case("create with a tag twice"),
    "NaN is less than every number of its step, and NaN of a model too; theirs takes it for nought": lambda pair: (
        pair.theirs.status == pair.ours.status
        and all(
            at.endswith(".value") and "NaN" in {str(their), str(our)}
            for at, their, our in deep(pair.theirs.body, pair.ours.body)
        )
    ),
    "Of two mistakes in one question either may be named": lambda pair: (
        pair.call.path == "/get-artifact" and _refused(pair.theirs) and _refused(pair.ours)
    ),
    "Numbers that Python reads and their parser does not are stored by theirs as 0 at the hour 0": (
        _case("values that are no numbers")
    ),
    "An id is given back as it came": _case("delete the first experiment of a name with blanks"),
    "A rename touches a model, not its versions": _only_at("last_updated_timestamp"),
    "A DELETE may name the record in its query too": _case("delete: none"),
    "An alias that is a number means a version": lambda pair: "means a version already" in pair.words,
    "What may be the source of a version is said in words of our own": lambda pair: (
        pair.call.path == "model-versions/create" and _same_but_words(pair)
    ),
    "A model that is none is not kept as an input or an output": lambda pair: (
        pair.call.path in {"runs/log-inputs", "runs/outputs"} and pair.code == "RESOURCE_DOES_NOT_EXIST"
    ),
    "What is deleted is not changed": lambda pair: (
        pair.theirs.status in {200, 400, 404}
        and (pair.words.startswith("Logged model with ID") or "Current state is deleted" in pair.words)
    ),
    "A backslash before % or _ in a pattern makes it a plain letter": lambda pair: "\\%" in _asks(pair),
    "Strings of a list may stand beside each other, and a number may have a sign": lambda pair: (
        "('$r1' '$r2')" in _asks(pair) or "+1" in _asks(pair)
    ),
    "What runs can be filtered by they can be sorted by": lambda pair: "Run name" in _asks(pair),
    "Params that are numbers are sorted as numbers": lambda pair: (
        "param" in _asks(pair) and _only_rows(pair) and "order_by" in str(pair.call.body)
    ),
    "Infinity is kept as it is, and is not the largest number": lambda pair: "e308" in _asks(pair),
    "NaN is no JSON": lambda pair: pair.call.path.endswith("history-bulk") and "nan" in str(pair.theirs.body),
    "Whatever a dataset was used for is kept, whenever it is said": _case("inputs"),
    "A dataset has a kind": _case("inputs: no source_type"),
    "Each dataset on which a model was measured has a latest value": lambda pair: (
        pair.call.path == "logged-models/search" and "models" not in pair.theirs.body and "acc" in str(pair.ours.body)
    ),
    "A page's token that is of another filter begins anew": lambda pair: _said(pair.theirs, "message").startswith(
        "Filter string in the page token"
    ),
    "A file's name is sent as RFC 6266 wants it": lambda pair: (
        (pair.theirs.status, pair.theirs.body) == (pair.ours.status, pair.ours.body)
        and set(pair.theirs.headers) == set(pair.ours.headers)
        and {name for name in pair.theirs.headers if pair.theirs.headers[name] != pair.ours.headers[name]}
        == {"content-disposition"}
    ),
    "A folder is no file: 404, for which load_model waits": lambda pair: (
        _said(pair.theirs, "detail").startswith("Artifact path refers to a directory") and pair.ours.status == 404
    ),
    "Artifacts are those of runs and models, nothing lies beside them": _begins("No such artifact: '"),
    "A path with a backslash, an empty part or a line's end is refused": lambda pair: (
        pair.ours.status == 400 and pair.words.startswith(("Invalid path", "path must be parts joined"))
    ),
    "A range that cannot be read is no range, one that is not there is an error like others": _case("ranges"),
    "The kind of a body is not spelled in letters of a size": _case("content types"),
    "A body of a GET is read by the same rule as every other": _case("a GET with a body of another type"),
    "Projects stand where MLflow has workspaces": _case("workspaces"),
    "The server says what it is and can": _case("the server"),
    "A dataset without a source is the one that is known by its name and digest": _case("inputs: no source"),
    "An id that is missing is shown as nothing": lambda pair: "id=None" in _said(pair.theirs, "message"),
    "There are no routes for OPTIONS": lambda pair: pair.call.method == "OPTIONS",
    "HEAD is what GET is, without the body; theirs wants a body of JSON": lambda pair: (
        pair.call.method == "HEAD" and "artifacts" not in pair.call.path
    ),
    "What only MLflow's own pages ask is not there": lambda pair: pair.call.path.endswith(
        ("/artifacts/files", "/ui-telemetry")
    ),
    "A folder is there while a file is in it": lambda pair: (
        pair.theirs.status == pair.ours.status == 200
        and "artifacts" in pair.call.path
        and bool(_rows(pair.theirs, "files"))
        and all(row in _rows(pair.theirs, "files") for row in _rows(pair.ours, "files"))
        and all(row["is_dir"] for row in _rows(pair.theirs, "files") if row not in _rows(pair.ours, "files"))
    ),
    "Files can be sent in parts to every store; theirs passes parts on to a bucket, and has none": lambda pair: (
        "/mpu/" in pair.call.path and pair.theirs.status == 501
    ),
    "A trace is no record here": lambda pair: pair.call.path == "/v1/traces",
}
"""Reasons, and what they are reasons for."""


def differences(played: Case, theirs: list[Answer], ours: list[Answer]) -> Iterator[str]:
    """What differs between two playings of a case and is not in the table, a text for each call.

    Where one of the two refused a change that the other made, what they hold afterwards is not compared.
    """
    for one, their, our in zip(played.calls, theirs, ours, strict=True):
        plain = _plain(their), _plain(our)
        if plain[0] == plain[1]:
            continue
        pair = Pair(played.name, one, *plain)
        if not any(holds(pair) for holds in KNOWN.values()):
            yield f"{played.name}: {one.method} {one.path} {one.query or ''} {one.body or ''}\n{_shown(pair)}"
        if (their.status < 300) != (our.status < 300) and not _reads(one):
            return


def _reads(one: Call) -> bool:
    return one.method == "GET" or "search" in one.path or "get-latest" in one.path


def _plain(answer: Answer) -> Answer:
    """An answer without what only MLflow's dashboards read, and without a database driver's words."""
    if not isinstance(answer.body, dict) or "error_code" not in answer.body:
        return answer
    body = {key: value for key, value in answer.body.items() if key in {"error_code", "message"}}
    body["message"] = re.sub(r"( Error: )?<the driver's words>", "", str(body.get("message", "")))
    return Answer(answer.status, body, answer.headers)


def _shown(pair: Pair) -> str:
    if pair.theirs.status == pair.ours.status and isinstance(pair.theirs.body, dict):
        found = [
            f"  at {at}: theirs {a!r:.300}, ours {b!r:.300}" for at, a, b in deep(pair.theirs.body, pair.ours.body)
        ]
        if found:
            return "\n".join(found[:5])
    return f"  theirs {pair.theirs!r:.500}\n  ours   {pair.ours!r:.500}"


def deep(theirs: Any, ours: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The places where two documents differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            yield from deep(theirs.get(key, "(absent)"), ours.get(key, "(absent)"), f"{at}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for place, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from deep(one, other, f"{at}[{place}]")
    elif theirs != ours:
        yield at, theirs, ours
