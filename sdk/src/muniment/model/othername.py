"""What other systems call a record: an MLflow run id, an OpenLineage name, the URN of another catalogue."""

from __future__ import annotations

from urllib.parse import quote, unquote

import msgspec

from muniment.model.errors import TooLarge
from muniment.model.ids import Id
from muniment.model.names import check_name, check_text

SPELLED_LIMIT = 1_500
"""Characters of system, namespace and name, percent-encoded; what an index of every engine can hold."""


class OtherName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name of a record in another system; it means one record of a project."""

    system: str
    """Such as ``mlflow``, ``openlineage`` or ``feast``."""
    namespace: str = ""
    """What the system needs to tell its names apart; may be empty."""
    name: str


class NewOtherName(OtherName, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name to give."""

    record: str
    """A reference to the record, such as its id or ``dataset:customers``."""
    url: str | None = None
    """Where the other system shows it."""


class NamedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a name of another system means."""

    system: str
    namespace: str
    name: str
    url: str | None
    record: Id
    kind: str


class NameSet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to giving or taking a name."""

    record: Id | None
    """Whose name it is, or was; None if it was nobody's."""
    changed: bool
    position: int
    """It is so since this position, or an earlier one if nothing changed."""


class OtherNames(msgspec.Struct, frozen=True, kw_only=True):
    """What other systems call a record."""

    names: list[NamedRecord]


def spelled(name: OtherName) -> str:
    """The three parts in one, percent-encoded and joined by ``/``.

    Raises:
        InvalidInput, TooLarge: a part is not acceptable.
    """
    check_name(name.system, "system")
    check_text(name.namespace, "namespace", SPELLED_LIMIT)
    check_text(name.name, "name", SPELLED_LIMIT)
    if not name.name:
        check_name(name.name, "name")
    whole = "/".join(quote(part, safe=":@=+,. ") for part in (name.system, name.namespace, name.name))
    if len(whole) > SPELLED_LIMIT:
        raise TooLarge(
            f"system, namespace and name have {len(whole):,} characters, percent-encoded; "
            f"the limit is {SPELLED_LIMIT:,}",
            field="name",
        )
    return whole


def parts_of(whole: str) -> tuple[str, str, str]:
    """System, namespace and name."""
    system, namespace, name = (unquote(part) for part in whole.split("/"))
    return system, namespace, name
