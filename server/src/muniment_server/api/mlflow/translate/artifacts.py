"""Artifacts as MLflow spells them: what a path means here, and what lies in a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from mimetypes import guess_type
from typing import Any
from urllib.parse import unquote

import msgspec

from muniment.model.mlflow import version_id
from muniment_server.services.folders import Entry

SCHEME = "mlflow-artifacts:"
"""How the addresses begin of what is kept by this server."""
PATH_LIMIT = 2_000
"""Characters of a path with all that stands before the artifact's own."""

_SPOT = re.compile(
    r"(?P<root>(?P<before>.+?)/(?:(?P<run>[0-9a-f]{32})|models/(?P<model>m-[0-9a-f]{32}))/artifacts)(?:/(?P<rest>.*))?\Z"
)
_ABOVE = re.compile(r".+/(?:[0-9a-f]{32}|models/m-[0-9a-f]{32})\Z")
_STEPS = 5
"""How often a path is decoded to see whether it leads elsewhere."""
_TEXTS = frozenset((
    "txt", "log", "err", "cfg", "conf", "cnf", "cf", "ini", "properties", "prop", "hocon", "toml", "yaml", "yml", "xml",
    "json", "js", "py", "py3", "csv", "tsv", "md", "rst", "ipynb", "MLmodel", "MLproject",
))  # fmt: skip
"""Endings of files, and names of files without one, that MLflow's server calls plain text."""


class Spot(msgspec.Struct, frozen=True):
    """What a path means.

    Attributes:
        root: the part of it that stands for the whole record, as it was given.
        before: the part of that which stands before the record.
        record: the record's id.
        of_model: whether it is a logged model; otherwise it is a run.
        rest: the path within the record; empty is all of it.
    """

    root: str
    before: str
    record: str
    of_model: bool
    rest: str


def is_safe(path: str) -> bool:
    """Whether a path stays where it is, however often it is decoded."""
    if len(path) > PATH_LIMIT:
        return False
    for _ in range(_STEPS):
        parts = re.split(r"[/\\]", path)
        if ".." in parts or path.startswith(("/", "\\")) or re.match(r"[a-zA-Z][\w+.-]*:(/|\\)", path):
            return False
        if "#" in path or "\\" in path or re.search(r"[\x00-\x1f\x7f]", path):
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False


def plain(path: str) -> str:
    """A path without empty parts and those that mean where they stand."""
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def spot(path: str) -> Spot | None:
    """What a path means; None if it is none of a run or a logged model."""
    found = _SPOT.match(path)
    if found is None:
        return None
    record = found["run"] or version_id(found["model"])
    assert record is not None
    return Spot(found["root"], found["before"], record, of_model=found["run"] is None, rest=found["rest"] or "")


def is_above(path: str) -> bool:
    """Whether a path is that of a run or a logged model, without the folder that its artifacts are in."""
    return _ABOVE.match(path) is not None


def inside(uri: str) -> str | None:
    """The path behind an address of what is kept by this server; None if it is kept elsewhere."""
    if not uri.startswith(SCHEME):
        return None
    rest = uri.removeprefix(SCHEME)
    if rest.startswith("//"):  # with the name of a host
        rest = rest[2:].partition("/")[2]
    return rest.strip("/")


def files(found: Sequence[Entry], before: str = "") -> dict[str, Any]:
    """What lies in a folder.

    Args:
        found: it.
        before: what stands before the names.
    """
    made: list[dict[str, Any]] = []
    for entry in sorted(found, key=lambda entry: entry.name):
        one: dict[str, Any] = {"path": f"{before}{entry.name}", "is_dir": entry.size is None}
        if entry.size:
            one["file_size"] = entry.size
        made.append(one)
    return {"files": made} if made else {}


def media_of(name: str) -> str:
    """What a file is, by its name."""
    head, dot, ending = name.rpartition(".")
    if (ending if dot and head else name) in _TEXTS:
        return "text/plain"
    return guess_type(name)[0] or "application/octet-stream"
