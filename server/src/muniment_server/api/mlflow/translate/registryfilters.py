"""Filters and orders over registered models and their versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from muniment.model.mlflow import FAMILY_TAG
from muniment_server.api.mlflow.translate.filters import MODEL_VERSIONS, MODELS, Clause, Value, parse, quoted, where
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid

IS_PROMPT = "mlflow.prompt.is_prompt"
"""The tag of models, and of their versions, that are prompts."""
_NO_FAMILY = f"tags.`{FAMILY_TAG}` IS NULL"
_REGISTERED = "model.lifecycle = 'active' AND model.name NOT LIKE '%/%'"
"""Versions of models that the registry shows; a model that stands for logged models has a slash in its name."""
_NO_PROMPT = f"(tags.`{IS_PROMPT}` IS NULL OR tags.`{IS_PROMPT}` != 'true')"
_RUN_ID = re.compile(r"[0-9a-f]{32}\Z")
_WORD = re.compile(r"[^\W\d][\w.`\"]*\Z|`[^`]*`\Z")
_ORDERS = {"ASC": False, "DESC": True}


class Key(msgspec.Struct, frozen=True):
    """One sort key: ``name``, ``version``, ``created`` or ``changed``."""

    name: str
    descending: bool


def of_models(text: str) -> tuple[str, list[Clause]]:
    """The condition on models that a filter is, and its comparisons."""
    clauses = parse(text, MODELS)
    return _joined(clauses, _NO_FAMILY), clauses


def of_versions(text: str) -> tuple[str, list[Clause]]:
    """The condition on versions that a filter is, and its comparisons."""
    clauses = parse(text, MODEL_VERSIONS)
    return _joined(clauses, _REGISTERED), clauses


def _joined(clauses: list[Clause], always: str) -> str:
    """Prompts are not found unless they are asked for; a condition that excludes them holds of what has no such tag."""
    asked = next((clause for clause in clauses if (clause.entity, clause.key) == ("tag", IS_PROMPT)), None)
    wanted = asked is not None and (asked.op, str(asked.value).lower()) in {("=", "true"), ("!=", "false")}
    parts = [always] if wanted else [always, _NO_PROMPT]
    for clause in clauses:
        if clause.entity == "tag" and clause.key == IS_PROMPT and not wanted:
            continue
        parts.append(_of_run(clause) if clause.key == "run_id" and clause.entity == "attribute" else where([clause]))
    return " AND ".join(parts)


def _of_run(clause: Clause) -> str:
    """A version without a run has an empty text there, and is missing one here."""
    if clause.op in {"LIKE", "ILIKE"}:
        if clause.value and not str(clause.value).strip("%"):
            return "position > 0"
        raise invalid(f"run_id can be compared by =, !=, IN and NOT IN, not by {clause.op}")
    values: Sequence[Value] = clause.value if isinstance(clause.value, tuple) else (clause.value,)
    ids = [quoted(str(value)) for value in values if _RUN_ID.match(str(value))]
    among = f"run IN ({', '.join(ids)})" if ids else "position < 0"
    held = f"({among} OR run IS NULL)" if "" in values else among
    if clause.op in {"=", "IN"}:
        return held
    without = f"run NOT IN ({', '.join(ids)})" if ids else "run IS NOT NULL"
    return without if "" in values else f"({without} OR run IS NULL)"


def model_order(given: Sequence[str]) -> list[Key]:
    """Sort keys of models; ties are broken by the name."""
    keys = {"name": "name", "timestamp": "changed", "last_updated_timestamp": "changed"}

    def read(name: str) -> str:
        if name not in keys:
            raise invalid(f"Invalid order by key '{name}' specified. Valid keys are '{{'timestamp', 'name'}}'")
        return keys[name]

    return _complete(_order(given, read), Key("name", descending=False))


def version_order(given: Sequence[str]) -> list[Key]:
    """Sort keys of versions, by the last change if there are none; ties are broken by name and number."""
    keys = {
        "name": "name", "version_number": "version", "creation_timestamp": "created",
        "last_updated_timestamp": "changed",
    }  # fmt: skip
    known = "{'last_updated_timestamp', 'version_number', 'name', 'creation_timestamp'}"

    def read(name: str) -> str:
        entity, dot, key = name.partition(".")
        if dot and entity in {"tag", "tags"}:
            raise invalid(f"Invalid order by key '{key}' specified. Valid keys are {known}")
        plain = key if dot and entity in {"attribute", "attributes"} else name
        plain = plain.strip('`"')
        if plain == "version":
            raise invalid(f"Invalid order_by clause '{name}'. Could not be parsed.")
        if plain not in keys:
            raise invalid(f"Invalid attribute key '{plain}' specified. Valid keys are '{known}'")
        return keys[plain]

    chosen = _order(given, read) or [Key("changed", descending=True)]
    return _complete(chosen, Key("name", descending=False), Key("version", descending=True))


def _order(given: Sequence[str], read: Callable[[str], str]) -> list[Key]:
    found: list[Key] = []
    for text in given:
        words = text.split()
        if len(words) not in {1, 2} or not _WORD.match(words[0]):
            raise invalid(f"Invalid order_by clause '{text}'. Could not be parsed.")
        if len(words) == 2 and words[1].upper() not in _ORDERS:
            raise invalid(f"Invalid ordering key in order_by clause '{text}'.")
        name = read(words[0])
        if name in {key.name for key in found}:
            raise Refusal("INVALID_PARAMETER_VALUE", f"`order_by` contains duplicate fields: {list(given)}")
        found.append(Key(name, descending=len(words) == 2 and _ORDERS[words[1].upper()]))
    return found


def _complete(found: list[Key], *ties: Key) -> list[Key]:
    return [*found, *(tie for tie in ties if tie.name not in {key.name for key in found})]
