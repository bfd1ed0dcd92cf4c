"""MLflow's filter strings and sort keys in our own search language, which holds more than they do.

A filter is comparisons joined by AND; what is asked of each entity differs by what is searched, and so do the messages
about what cannot be asked. Values keep their meaning: text compares by code point, ``!=`` never meets what is missing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from muniment.model.mlflow import STATES
from muniment_server.api.mlflow.translate import uris
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.wire.refusals import invalid

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    | (?P<list>\([^()]*\))
    | (?P<comparison><=|>=|!=|<>|==|=|<|>)
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.`"]))
    | (?P<name>[^\s'"`=<>!(),;.]+(?:\.(?:`[^`]*`|"[^"]*"|[^\s'"`=<>!(),;]+))*|`[^`]*`)
    | (?P<other>[;,.!()'"`])
    )""",
    re.VERBOSE,
)
_LISTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_ORDER = re.compile(r"(.+?)(?:\s+(ASC|DESC))?\s*\Z", re.IGNORECASE | re.DOTALL)

Value = str | float | int | tuple[str, ...] | None


class Clause(msgspec.Struct, frozen=True):
    """One comparison: ``metric.auc > 0.9``. `value` is None of IS NULL and IS NOT NULL."""

    entity: str
    key: str
    op: str
    value: Value


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked of one noun.

    Attributes:
        entities: every spelling of an entity, with what it means.
        default: the entity of a key without one.
        texts: attributes that are text, by every spelling.
        numbers: attributes that are numbers.
        listed: attributes that may be IN a list.
        known: what a message says of the attributes there are.
        kinds: what a message says of the entities there are.
        comparators: of text that is no attribute; a message lists them all, or names the one that is wrong.
        noun: what messages call it, of the registry's nouns, of which some is read and said differently.
    """

    entities: dict[str, str]
    default: str = "attribute"
    texts: dict[str, str]
    numbers: dict[str, str] = {}
    listed: frozenset[str] = frozenset()
    known: tuple[str, ...] = ()
    kinds: str = ""
    comparators: tuple[str, ...] = ()
    noun: str = ""


RUNS = Spoken(
    entities={
        "metric": "metric", "metrics": "metric", "parameter": "param", "parameters": "param", "param": "param",
        "params": "param", "tag": "tag", "tags": "tag", "attribute": "attribute", "attributes": "attribute",
        "attr": "attribute", "run": "attribute", "dataset": "dataset", "datasets": "dataset",
    },
    texts={
        "run_id": "run_id", "run_name": "run_name", "run name": "run_name", "Run name": "run_name",
        "Run Name": "run_name", "user_id": "user_id", "status": "status", "artifact_uri": "artifact_uri",
    },
    numbers={
        "start_time": "start_time", "created": "start_time", "Created": "start_time", "end_time": "end_time",
    },
    listed=frozenset(("run_id",)),
    known=(
        "run_id", "run_name", "user_id", "status", "artifact_uri", "start_time", "end_time", "run name", "Run name",
        "Run Name", "created", "Created",
    ),
    kinds="Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']",
    comparators=("!=", "=", "ILIKE", "IS NOT NULL", "IS NULL", "LIKE"),
)  # fmt: skip
EXPERIMENTS = Spoken(
    entities={"attribute": "attribute", "attributes": "attribute", "tag": "tag", "tags": "tag"},
    texts={"name": "name", "experiment_id": "experiment_id"},
    numbers={"creation_time": "creation_time", "last_update_time": "last_update_time"},
    listed=frozenset(("experiment_id",)),
    known=("creation_time", "last_update_time", "experiment_id", "name"),
    kinds="Valid entity types are ('attribute', 'attributes', 'tag', 'tags')",
)
MODELS = Spoken(
    entities={"attribute": "attribute", "tag": "tag", "tags": "tag"},
    texts={"name": "name"},
    listed=frozenset(("name",)),
    known=("name",),
    kinds="Valid entity types are ('attribute', 'tag', 'tags')",
    noun="registered model",
)
MODEL_VERSIONS = Spoken(
    entities={"attribute": "attribute", "tag": "tag", "tags": "tag"},
    texts={"name": "model.name", "run_id": "run_id", "source_path": "uri"},
    numbers={"version_number": "version"},
    listed=frozenset(("model.name", "run_id")),
    known=("version_number", "run_id", "source_path", "name"),
    kinds="Valid entity types are ('attribute', 'tag', 'tags')",
    noun="model version",
)
_KEYWORDS = frozenset(("version", "source"))
"""Words that the registry's filters cannot be about, since MLflow's parser takes them for SQL."""
_TEXT_OPS = frozenset(("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"))
_NUMBER_OPS = frozenset((">", ">=", "!=", "=", "<", "<="))
_STORED = {
    "run_id": "id", "run_name": "name", "user_id": "user", "status": "state", "start_time": "started_at",
    "end_time": "ended_at", "experiment_id": "id", "creation_time": "created_at", "last_update_time": "created_at",
}  # fmt: skip


def tokens(text: str) -> list[tuple[str, str]]:
    """(sort, spelling) of the words of a filter."""
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise invalid(f"Invalid clause(s) in filter string: {text[at:].strip()[:200]}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def parse(text: str, spoken: Spoken) -> list[Clause]:
    """The comparisons of a filter.

    Raises:
        Refusal: it cannot be read, or asks for what the noun does not have.
    """
    if text and not text.strip():
        raise invalid(f"Invalid filter '{text}'. Could not be parsed.")
    words = tokens(text)
    clauses: list[Clause] = []
    at = 0
    while at < len(words):
        if any(sort == "other" and spelling == ";" for sort, spelling in words):
            raise invalid(f'Search filter contained multiple expression "{text}". Provide AND-ed expression list.')
        if clauses:
            if words[at][1].upper() != "AND":
                raise invalid(f"Invalid clause(s) in filter string: {words[at][1]}")
            at += 1
            if at == len(words):
                break
        at = _clause(words, at, spoken, clauses)
    return clauses


def _clause(words: list[tuple[str, str]], at: int, spoken: Spoken, clauses: list[Clause]) -> int:
    """Read one comparison; where the next word is."""
    sort, name = words[at]
    operator = [spelling.upper() for _, spelling in words[at + 1 : at + 4]]
    keyword = spoken.noun and name in _KEYWORDS
    if sort not in {"name", "text"} or not operator or name.upper() == "NOT" or keyword:
        raise invalid(f"Invalid clause(s) in filter string: {', '.join(word for _, word in words[at : at + 3])}")
    entity, key = _identifier(name, spoken)
    if operator[:2] == ["IS", "NULL"] or operator[:3] == ["IS", "NOT", "NULL"]:
        if spoken.noun:
            raise invalid(f"IS NULL / IS NOT NULL is not supported for {spoken.noun} search.")
        if entity not in {"tag", "param"}:
            raise invalid(f"IS NULL / IS NOT NULL is only supported for tags and params, not for '{entity}' '{key}'")
        clauses.append(Clause(entity, key, " ".join(operator[: 2 + (operator[1] == "NOT")]), None))
        return at + 3 + (operator[1] == "NOT")
    op, next_at = operator[0], at + 2
    if operator[0] == "NOT" and len(operator) > 1:
        op, next_at = f"NOT {operator[1]}", at + 3
    if next_at >= len(words):
        raise invalid(f"Invalid clause(s) in filter string: {', '.join(word for _, word in words[at:next_at])}")
    if spoken.noun and words[next_at][0] == "other":
        raise invalid(f"Invalid clause(s) in filter string: {', '.join(word for _, word in words[at:])}")
    value = (_registry_value if spoken.noun else _value)(words[next_at], entity, key, op, spoken)
    clauses.append(Clause(entity, key, op, value))
    return next_at + 1


def _identifier(name: str, spoken: Spoken) -> tuple[str, str]:
    """(entity, key) of what stands before an operator."""
    entity, dot, key = name.partition(".")
    if not dot:
        entity, key = spoken.default, name
    elif entity not in spoken.entities:
        raise invalid(f"Invalid entity type '{entity}'. {spoken.kinds}")
    else:
        entity = spoken.entities[entity]
    key = key[1:-1] if len(key) > 1 and key[0] == key[-1] and key[0] in '`"' else key
    if entity == "attribute":
        found = spoken.texts.get(key) or spoken.numbers.get(key)
        if found is None:
            raise invalid(f"Invalid attribute key '{key}' specified. Valid keys are '{_set(spoken.known)}'")
        key = found
    if entity == "dataset" and key not in {"name", "digest", "context"}:
        raise invalid(
            f"Invalid dataset key '{key}' specified. Valid keys are '{_set(('name', 'digest', 'context'))}'"
        )  # fmt: skip
    return entity, key


def _set(items: Iterable[str]) -> str:
    """A set as Python shows it, in an order of its own."""
    return "{" + ", ".join(repr(item) for item in sorted(items)) + "}"


def _value(word: tuple[str, str], entity: str, key: str, op: str, spoken: Spoken) -> Value:
    """The value of a comparison, of the type that the entity has."""
    sort, spelling = word
    name = "parameter" if entity == "param" else entity
    if entity == "metric" or (entity == "attribute" and key in spoken.numbers.values()):
        what = "metric" if entity == "metric" else "attribute"
        if sort != "number":
            raise invalid(
                f"Expected numeric value type for metric. Found {spelling}" if what == "metric" else
                f"Expected numeric value type for numeric attribute: {key}. Found {spelling}"
            )  # fmt: skip
        if op not in _NUMBER_OPS:
            raise invalid(f"Invalid comparator '{op}' not one of '{_set(_NUMBER_OPS)}'")
        return _number(spelling, key, what)
    if op in {"IN", "NOT IN"}:
        return _list(sort, spelling, entity, key, spoken)
    if sort != "text":
        if sort == "name":
            raise invalid(
                "Parameter value is either not quoted or unidentified quote types used for string value "
                f"{spelling}. Use either single or double quotes."
            )
        raise invalid(
            f"Expected a quoted string value for attributes. Got value {spelling}" if entity == "attribute" else
            f"Expected a quoted string value for {name} (e.g. 'my-value'). Got value {spelling}"
        )  # fmt: skip
    if op not in (_TEXT_OPS if entity in {"attribute", "dataset"} else spoken.comparators or _TEXT_OPS):
        raise invalid(
            f"Invalid comparator '{op}' not one of '{_set(_TEXT_OPS)}'" if entity == "attribute" else
            f"Invalid comparator '{op}' not one of '{_set(spoken.comparators)}'" if spoken.comparators else
            f"Invalid comparator for {entity}: {op}"
        )  # fmt: skip
    return spelling[1:-1]


def _registry_value(word: tuple[str, str], entity: str, key: str, op: str, spoken: Spoken) -> Value:
    """The same for the registry's nouns."""
    sort, spelling = word
    if entity == "attribute" and key in spoken.numbers.values() and op not in {"IN", "NOT IN"}:
        name = next(name for name, meant in spoken.numbers.items() if meant == key)
        if op not in _NUMBER_OPS:
            raise invalid(f"Invalid comparator for attribute {name}: {op}")
        try:
            return int(spelling[1:-1] if sort == "text" else spelling)
        except ValueError:
            raise invalid(f"Invalid value for numeric attribute '{name}': {spelling}") from None
    if op in {"IN", "NOT IN"}:
        return _list(sort, spelling, entity, key, spoken)
    if entity == "attribute" and sort == "number":
        raise invalid(
            f"Only the '{{'last_updated_timestamp', {', '.join(map(repr, spoken.numbers))}, 'creation_timestamp'}}' "
            "attributes support comparison with numeric values." if spoken.numbers else
            f"Expected a quoted string value or a list of quoted string values for attributes. Got value {spelling}"
        )  # fmt: skip
    if entity == "attribute" and op not in _TEXT_OPS:
        raise invalid(f"Invalid comparator for attribute: {op}")
    return _value(word, entity, key, op, spoken)


def _number(spelling: str, key: str, what: str) -> float | int:
    if what == "metric":
        return min(max(float(spelling), -sys.float_info.max), sys.float_info.max)
    try:
        return int(spelling)
    except ValueError:
        raise invalid(f"Invalid value for numeric attribute '{key}': '{spelling}'") from None


def _list(sort: str, spelling: str, entity: str, key: str, spoken: Spoken) -> tuple[str, ...]:
    if entity == "attribute" and key not in spoken.listed and sort == "list":
        known = sorted(name.removeprefix("model.") for name in spoken.listed)
        raise invalid(f"Only {known} attributes support comparison with a list of quoted string values.")
    if entity not in {"attribute", "dataset"}:
        named = "parameter" if entity == "param" else entity
        raise invalid(f"Expected a quoted string value for {named} (e.g. 'my-value'). Got value {spelling}")
    return listed(sort, spelling)


def listed(sort: str, spelling: str) -> tuple[str, ...]:
    """The texts of a list."""
    if sort != "list" or _LISTED.sub("", spelling[1:-1]).replace(",", "").strip():
        raise invalid(
            "While parsing a list in the query, expected string value, punctuation, or whitespace, but got different "
            f"type in list: {spelling}"
        )
    found = tuple(one or other for one, other in _LISTED.findall(spelling))
    if not found:
        raise invalid(
            "While parsing a list in the query, expected a non-empty list of string values, but got empty list"
        )
    return found


def quoted(text: str) -> str:
    """A text in our own language."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def where(clauses: Sequence[Clause], ids: Mapping[Value, str] | None = None, places: Sequence[Place] = ()) -> str:
    """The condition of comparisons in our own language.

    Args:
        clauses: all of them must hold.
        ids: what the values of ids that MLflow makes mean here.
        places: of runs, the experiments that are searched.
    """
    return " AND ".join(_rendered(clause, ids or {}, places) for clause in clauses)


def _rendered(clause: Clause, ids: Mapping[Value, str], places: Sequence[Place]) -> str:
    key = clause.key.replace("`", "``")
    if clause.entity in {"param", "tag", "metric"}:
        if clause.entity == "tag" and clause.key == "mlflow.runName":
            if clause.value is None:  # every run has a name
                return "position < 0" if clause.op == "IS NULL" else "position >= 0"
            return _compared("name", clause.op, clause.value)
        return _compared(f"{clause.entity}s.`{key}`", clause.op, clause.value)
    if clause.entity == "dataset":
        return _compared(f"dataset.{'role' if key == 'context' else key}", clause.op, clause.value)
    if clause.key == "status":
        return _status(clause)
    if clause.key == "user_id":
        return _user(clause)
    if clause.key == "artifact_uri":
        return uris.condition(clause.op, str(clause.value), places)
    if clause.key in {"run_id", "experiment_id"}:
        return _id(clause, ids)
    return _compared(_STORED.get(clause.key, clause.key), clause.op, clause.value)


def _compared(field: str, op: str, value: Value) -> str:
    if value is None:
        return f"{field} {op}"
    if isinstance(value, tuple):
        return f"{field} {op} ({', '.join(quoted(item) for item in value)})"
    return f"{field} {op} {quoted(value) if isinstance(value, str) else repr(value)}"


def _status(clause: Clause) -> str:
    """Statuses are spelled differently here: those that the comparison holds for are listed."""
    held = [state for status, state in STATES.items() if holds(clause, status)]
    return f"state IN ({', '.join(map(quoted, held))})" if held else "position < 0"


def _user(clause: Clause) -> str:
    """Nobody is an empty text there, and missing here."""
    nobody = holds(clause, "")
    named = _compared("user", clause.op, clause.value)
    return f"(user IS NULL OR {named})" if nobody else named


def holds(clause: Clause, text: str) -> bool:
    """Whether a comparison with text holds for one."""
    value = clause.value
    if isinstance(value, tuple):
        return (text in value) == (clause.op == "IN")
    if clause.op in {"LIKE", "ILIKE"}:
        parts = [".*" if letter == "%" else "." if letter == "_" else re.escape(letter) for letter in str(value)]
        folded = re.IGNORECASE if clause.op == "ILIKE" else 0
        return re.fullmatch("".join(parts), text, re.DOTALL | folded) is not None
    return {"=": text == value, "!=": text != value}.get(clause.op, False)


_RUN_ID = re.compile(r"[0-9a-f]{32}\Z")
_NOBODY = "0" * 32


def _id(clause: Clause, ids: Mapping[Value, str]) -> str:
    """A text that is no id is that of nothing."""
    if clause.op in {"LIKE", "ILIKE"} and clause.key == "run_id":
        return _compared("id", clause.op, clause.value)
    if clause.op in {"LIKE", "ILIKE"}:
        raise invalid(f"{clause.key} can be compared by =, !=, IN and NOT IN, not by {clause.op}")
    values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
    texts = [ids.get(value, str(value)) for value in values]
    meant = [text if _RUN_ID.match(text) else _NOBODY for text in texts]
    word = "NOT IN" if clause.op in {"!=", "NOT IN"} else "IN"
    return f"id {word} ({', '.join(map(quoted, meant))})"


def parse_experiments(text: str) -> list[Clause]:
    """The comparisons of a filter over experiments."""
    return parse(text, EXPERIMENTS)


def _order(text: str, spoken: Spoken) -> tuple[str, str, bool]:
    """(entity, key, descending) of a sort key."""
    if len(text.split()) == 2 and text.split()[1].upper() not in {"ASC", "DESC"} and "`" not in text:
        raise invalid(f"Invalid ordering key in order_by clause '{text}'.")
    match = _ORDER.match(text.strip())
    if match is None:
        raise invalid(f"Invalid order_by clause '{text}'. Could not be parsed.")
    words = tokens(match[1])
    if len(words) != 1 or words[0][0] not in {"name", "text"}:
        spoken_as = match[1].strip()
        if spoken_as not in spoken.texts and spoken_as not in spoken.numbers:
            raise invalid(f"Invalid order_by clause '{text}'. Could not be parsed.")
    entity, key = _identifier(match[1].strip(), spoken)
    return entity, key, (match[2] or "ASC").upper() == "DESC"


def run_order(order_by: Sequence[str]) -> list[str]:
    """Sort keys of runs; ties are broken by the start, newest first."""
    made = []
    for text in order_by:
        entity, key, descending = _order(text, RUNS)
        if entity == "dataset" or key == "artifact_uri":
            raise invalid(f"Invalid order_by clause '{text}'. Runs cannot be sorted by it.")
        spelled = key.replace("`", "``")
        field = _STORED[key] if entity == "attribute" else f"{entity}s.`{spelled}`"
        field = "name" if (entity, key) == ("tag", "mlflow.runName") else field
        made.append(f"{field} {'DESC' if descending else 'ASC'}")
    return made if any(key.startswith("started_at ") for key in made) else [*made, "started_at DESC"]


def experiment_order(order_by: Sequence[str]) -> list[str]:
    """Sort keys of experiments; the newest first if there are none."""
    made = []
    for text in order_by:
        entity, key, descending = _order(text, EXPERIMENTS)
        if entity != "attribute":
            raise invalid(f"Invalid order_by entity: {entity}")
        field = {"experiment_id": "created_at"}.get(key) or _STORED.get(key, key)
        made.append(f"{field} {'DESC' if descending else 'ASC'}")
    return made or ["created_at DESC"]
