"""How a record is spoken of: by its id, its URN, or a short name such as ``customers@3``.

=====================================  ==================================================
``01a205ca50f87aee91880ce46b73743f``   an id
``urn:muniment:churn:model:risk@3``    a URN of the same project
``model:risk@champion``                kind, name, and a version or alias
``risk@3``                             the same where the kind is known
``warehouse/customers@latest``         a dataset or job with its namespace
=====================================  ==================================================

``/``, ``@``, ``:`` and ``%`` within a name are percent-encoded.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import msgspec

from muniment.model.dataset import DEFAULT_NAMESPACE
from muniment.model.errors import InvalidInput
from muniment.model.ids import parse_urn
from muniment.model.names import TITLE_LIMIT, check_text, check_title

_ID = re.compile(r"[0-9a-fA-F]{32}\Z|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_VERSIONED = {"dataset": "dataset_version", "model": "model_version"}
_BY_ID = frozenset(("run", "evaluation", "note", "artifact"))
_NAMESPACED = frozenset(("dataset", "job"))
KINDS = frozenset(("run", "experiment", "job", "dataset", "model", "evaluation", "note", "saved_view", "artifact"))
"""Kinds that a reference can name; with a version, a dataset or model is one of its versions."""


class Reference(msgspec.Struct, frozen=True):
    """A parsed reference.

    Attributes:
        kind: of the record; None is any, which only an id can mean.
        id: 32 hex digits, or None if it goes by its key.
        key: namespace and name, or name.
        version: a version or alias.
        project: slug, if it was said.
    """

    kind: str | None
    id: str | None = None
    key: tuple[str, ...] = ()
    version: str | None = None
    project: str | None = None


def parse_reference(text: str, kind: str | None, field: str) -> Reference:
    """The parts of a reference.

    Args:
        text: as it was given.
        kind: what it must be: one of `KINDS`, ``dataset_version``, ``model_version``, or None for any.
        field: where it came from.

    Raises:
        InvalidInput: it is none, or of another kind.
    """
    check_text(text, field, 3 * TITLE_LIMIT)
    if _ID.match(text):
        return Reference(kind, id=text.replace("-", "").lower())
    if text.startswith("urn:"):
        urn = parse_urn(text)
        said, key, version, project = urn.kind, urn.key, urn.version, urn.project
    else:
        said, colon, rest = text.partition(":")
        if not colon:
            said, rest = (kind or "").removesuffix("_version"), text
        path, at, after = rest.partition("@")
        key, version, project = tuple(unquote(part) for part in path.split("/")), unquote(after) if at else None, None
    if said in _NAMESPACED and len(key) == 1:
        key = (DEFAULT_NAMESPACE, *key)
    if said not in KINDS or len(key) != (2 if said in _NAMESPACED else 1) or version == "":
        raise InvalidInput(
            f"{field} must be an id, a URN or KIND:NAME[@VERSION], not {text[:120]!r}; "
            f"kinds are {', '.join(sorted(KINDS))}",
            field=field,
        )
    for part in key:
        check_title(part, field)
    if said in _BY_ID:
        if project is None or not _ID.match(key[0]):
            raise InvalidInput(f"{field}: a {said} goes by its id, not by {text[:120]!r}", field=field)
        found = Reference(said, key[0].replace("-", "").lower(), (), version, project)
    else:
        found = Reference(_with_version(said, version), None, key, version, project)
    return _of_kind(found, text, kind, field)


def _with_version(kind: str, version: str | None) -> str:
    return kind if version is None else _VERSIONED.get(kind, kind)


def _of_kind(found: Reference, text: str, kind: str | None, field: str) -> Reference:
    if kind is not None and found.kind != kind:
        wanted = f"{kind.removesuffix('_version')} with a version, such as NAME@3" if "_" in kind else kind
        raise InvalidInput(f"{field} must be a {wanted}, not {text[:120]!r}", field=field)
    if found.version is not None and found.kind not in _VERSIONED.values():
        raise InvalidInput(f"{field}: a {found.kind} has no versions, so {text[:120]!r} means nothing", field=field)
    return found


def short_name(kind: str, key: tuple[str, ...], version: str | int | None = None) -> str:
    """The short form of a record's name, as `parse_reference` reads it where the kind is known."""
    if kind in _NAMESPACED and key[0] == DEFAULT_NAMESPACE:
        key = key[1:]
    path = "/".join(quote(part, safe=" ") for part in key)
    return path if version is None else f"{path}@{quote(str(version), safe=' ')}"
