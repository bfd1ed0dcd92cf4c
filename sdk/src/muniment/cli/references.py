"""From what a person types to a reference that the store understands, with near names where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import msgspec

from muniment.client import Client
from muniment.model.dataset import DEFAULT_NAMESPACE
from muniment.model.errors import InvalidInput, MunimentError, NotFound
from muniment.model.reference import KINDS, short_name
from muniment.model.search import Kind, Query

RECORD_HELP = "An id, KIND:NAME such as experiment:digits, model:digits@champion or dataset:digits@1, or a run's name."
LOOKED_AT = 500
"""Names among which near ones are looked for: the youngest."""
NAMED = 3
"""Near names, or ids of runs with one name, that are told."""
_ID = re.compile(r"[0-9a-fA-F]{32}\Z|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def is_id(text: str) -> bool:
    """Whether a text is the id of a record."""
    return bool(_ID.match(text))


def reference(client: Client, text: str, as_of: str | None = None) -> str:
    """What the store calls the record that a person means.

    A run may be given by its name, if only one run has it: ``run:NAME``, or the name alone.

    Raises:
        NotFound: no run is called so; near names are told.
        InvalidInput: several are.
    """
    kind, colon, rest = text.partition(":")
    if _ID.match(text) or text.startswith("urn:"):
        return text
    if colon and kind in KINDS:
        if _ID.match(rest):
            return rest
        return run_called(client, rest, as_of) if kind == "run" else text
    if "@" in text:
        raise InvalidInput(f"say of what kind {text!r} is: model:{text} or dataset:{text}")
    return run_called(client, text, as_of)


def run_called(client: Client, name: str, as_of: str | None = None) -> str:
    """The id of the one run that has a name.

    Raises:
        NotFound: there is none; near names are told.
        InvalidInput: several are called so.
    """
    where = f"name = {quoted(name)}"
    found = client.search(Query(where=where, columns=[], limit=NAMED + 1, as_of=as_of)).runs
    if not found:
        raise NotFound(f"there is no run called {name!r}{near(name, _names(client, 'run', as_of))}")
    if len(found) > 1:
        ids = ", ".join(data.run.id for data in found[:NAMED])
        more = ", …" if len(found) > NAMED else ""
        raise InvalidInput(f"several runs are called {name!r}; give an id: {ids}{more}")
    return found[0].run.id


def run_reference(client: Client, text: str) -> str:
    """The id of the run that a person means.

    Raises:
        InvalidInput: it is no run.
        NotFound: there is none.
    """
    found = reference(client, text)
    if not _ID.match(found):
        raise InvalidInput(f"{text!r} is no run; give a run's id or its name")
    return found


@contextmanager
def hinting(client: Client, texts: list[str], as_of: str | None = None) -> Iterator[None]:
    """Tell near names where the store does not know one of `texts`."""
    try:
        yield
    except NotFound as error:
        text = next((text for text in texts if text in error.message), None)
        hint = "" if text is None else _hint(client, text, as_of)
        raise NotFound(f"{error.message}{hint}", field=error.field) from None


def _hint(client: Client, text: str, as_of: str | None) -> str:
    kind, _, rest = text.partition(":")
    if _ID.match(text) or kind not in KINDS:
        return ""
    path, at, version = rest.partition("@")
    try:
        hint = near(path, _names(client, kind, as_of), f"{kind}:")
        if at and kind in {"dataset", "model"} and not hint:
            hint = near(version, _versions(client, kind, path, as_of), f"{kind}:{path}@", every=True)
    except MunimentError:
        return ""  # the first error is the news
    return hint


def near(text: str, names: list[str], prefix: str = "", *, every: bool = False) -> str:
    """``; did you mean …`` with the names nearest to `text`, or nothing.

    Args:
        text: what was not found.
        names: what there is; if `text` is among them, it is not what is missing, and nothing is said.
        prefix: of every name that is told.
        every: tell some of `names` even if none is near.
    """
    if text in names:
        return ""
    found = get_close_matches(text, names, NAMED, 0.6) or (names[:NAMED] if every else [])
    return f"; did you mean {', '.join(prefix + name for name in found)}?" if found else ""


def _names(client: Client, kind: str, as_of: str | None) -> list[str]:
    """How the youngest records of a kind are called."""
    asked: Kind = msgspec.convert(kind, Kind)
    query = Query(kind=asked, columns=[] if kind == "run" else None, limit=LOOKED_AT, as_of=as_of)
    return list(dict.fromkeys(_name(kind, record) for record in records(client.search(query), kind)))


def _name(kind: str, record: Any) -> str:
    if kind in {"dataset", "job"}:
        return short_name(kind, (record.namespace, record.name))
    return str(getattr(record, "name", None) or record.id)


def _versions(client: Client, kind: str, path: str, as_of: str | None) -> list[str]:
    if kind == "model":
        data = client.get_model(path, as_of=as_of)
        return [*data.aliases, *(str(made.version) for made in reversed(data.versions))]
    namespace, _, name = path.rpartition("/")
    where = f"dataset.name = {quoted(name)} AND dataset.namespace = {quoted(namespace or DEFAULT_NAMESPACE)}"
    found = client.search(Query(kind="dataset_version", where=where, limit=LOOKED_AT, as_of=as_of))
    return [made.version for made in found.dataset_versions]


def called(client: Client, kind: Kind, ids: set[str], as_of: str | None = None) -> dict[str, str]:
    """Names of some records of a kind, by id; versions are called by their owner's name, as ``digits@3``."""
    if not ids:
        return {}
    listed = ", ".join(quoted(record) for record in sorted(ids)[:LOOKED_AT])
    query = Query(kind=kind, where=f"id IN ({listed})", limit=LOOKED_AT, lifecycle="any", as_of=as_of)
    return versioned(client, kind, records(client.search(query), kind), as_of)


def versioned(client: Client, kind: Kind, found: list[Any], as_of: str | None = None) -> dict[str, str]:
    """How records that are there are called, by id; a version by its owner's name, as ``digits@3``."""
    owner = kind.removesuffix("_version")
    if kind == owner:
        return {record.id: _name(kind, record) for record in found}
    asked: Kind = msgspec.convert(owner, Kind)
    owners = called(client, asked, {getattr(record, owner) for record in found}, as_of)
    return {record.id: f"{owners.get(getattr(record, owner), owner)}@{record.version}" for record in found}


def records(page: Any, kind: str) -> list[Any]:
    """The records of a page, without what was logged to runs."""
    found = getattr(page, f"{kind}s")
    return [data.run for data in found] if kind == "run" else list(found)


def quoted(text: str) -> str:
    """Text as the search language reads it."""
    return "'" + text.replace("'", "''") + "'"


def key(family: str, name: str) -> str:
    """A param, tag or metric as the search language reads it."""
    return f"{family}.`{name.replace('`', '``')}`"
