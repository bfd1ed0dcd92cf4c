"""Random questions: a tree and the text that must be read as that tree.

Tree and text are drawn together, so that each constructor of the language is spelled in every way that it may be:
case, prefixes, quotes, blanks, redundant parentheses, BETWEEN for two comparisons.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from muniment_server.language.tree import And, Compare, Field, In, Like, Match, Missing, Node, Not, Or, Order
from muniment_server.language.vocabulary import KINDS
from search.catalogs import ALIASES, METRICS, NAMES
from search.stores import KEYS, NUMBERS, TEXTS, TIMES, VALUES

Spelled = tuple[Any, str]
"""Something of the tree, and its text."""

_BARE = re.compile(r"[^\W\d][\w/-]*\Z")
_PREFIXES = {
    "metric": ("metric", "metrics"),
    "param": ("param", "params", "parameter", "parameters"),
    "tag": ("tag", "tags"),
}
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_ALL = ("attribute", "metric", "param", "tag", "relation", "score")
_DEPTH = 3
_WORDS = (
    ("gradient", "gradient"), ("gradient", "Gradient"), ("boosting", "BOOSTING"), ("grosse", "Größe"),
    ("baume", "bäume"), ("gradients_2", "gradients_2"), ("日本語", "日本語"), ("naive", "naïve"), ("churn", "churn"),
    ("mit", "MIT"), ("a", "a"), ("ann", "Ann"), ("absent", "absent"),
)  # fmt: skip
"""Words as they are kept, and as somebody may type them."""
_NEVER_LOGGED = "never logged"


class Known:
    """What there is to ask for: the kind of record, and values that some record has."""

    def __init__(self, kind: str, ids: Sequence[str], times: Sequence[Any]) -> None:
        self.kind = kind
        self.vocabulary = KINDS[kind]
        self.spellings: dict[str, list[str]] = {}
        for spelling, attribute in self.vocabulary.attributes.items():
            self.spellings.setdefault(attribute.name, []).append(spelling)
        self.types = {attribute.name: attribute.type for attribute in self.vocabulary.attributes.values()}
        self.relations = {name: attribute.type for name, attribute in self.vocabulary.relations.items()}
        self.ids = [*ids, "0" * 32]
        self.times = [*times, *TIMES]

    def has(self, kind: str) -> bool:
        """Whether records have fields of a kind."""
        if kind == "score":
            return self.vocabulary.scores
        return kind == "attribute" or kind in self.vocabulary.families or (kind == "relation" and bool(self.relations))

    def type_of(self, field: Field) -> str:
        """The type of an attribute or relation; of others their kind."""
        return {"attribute": self.types, "relation": self.relations}.get(field.kind, {}).get(field.name, field.kind)


@st.composite
def cased(draw: DrawFn, word: str) -> str:
    """A word of the language in some case."""
    return draw(st.sampled_from((word, word.upper(), word.lower(), word.title())))


def blank() -> SearchStrategy[str]:
    """At least one character of white space."""
    return st.sampled_from((" ", " ", "  ", "\n", "\t"))


def gap() -> SearchStrategy[str]:
    """White space where none is needed."""
    return st.sampled_from(("", "", " ", "\n "))


def quoted(text: str, mark: str) -> str:
    """A text between quotation marks; one inside is doubled."""
    return mark + text.replace(mark, mark * 2) + mark


@st.composite
def spelled_text(draw: DrawFn, text: str) -> str:
    return quoted(text, draw(st.sampled_from("'\"")))


@st.composite
def spelled_number(draw: DrawFn, number: float) -> str:
    """A number, an infinite one as a decimal that is too large."""
    if isinstance(number, float):
        if math.isinf(number):
            return "1e999" if number > 0 else "-1e999"
        ways = [repr(number), f"{number:.20e}"]
        if number.is_integer() and abs(number) < 2**53:
            ways += [f"{int(number)}", f"{int(number)}."]
        if 0 < number < 1 and repr(number).startswith("0."):
            ways.append(repr(number)[1:])
    else:
        ways = [str(number), f"{number:+d}"]
        ways += [f"00{number}"] if number >= 0 else []
    return draw(st.sampled_from([way for way in ways if float(way) == float(number)]))


@st.composite
def spelled_key(draw: DrawFn, key: str) -> str:
    """A key, part by part where its parts need no quotes."""
    ways = [quoted(key, "`"), quoted(key, '"')]
    parts = key.split(".")
    if all(_BARE.match(part) for part in parts):
        ways += [key, key, (draw(gap()) + "." + draw(gap())).join(parts)]
    elif key.isdigit():
        ways.append(key)
    return draw(st.sampled_from(ways))


@st.composite
def fields(draw: DrawFn, known: Known, *kinds: str) -> Spelled:
    """A field of one of these kinds, as it stands alone (without an aggregate)."""
    kind = draw(st.sampled_from([kind for kind in kinds if known.has(kind)]))
    if kind == "attribute":
        name = draw(st.sampled_from(sorted(known.types)))
        word = draw(st.sampled_from(known.spellings[name]))
        prefix = draw(st.sampled_from(("", "", "attribute", "attributes", "attr", known.kind)))
        text = draw(cased(prefix)) + "." + draw(cased(word)) if prefix else draw(cased(word))
        return Field("attribute", name), text
    if kind == "relation":
        name = draw(st.sampled_from(sorted(known.relations)))
        return Field("relation", known.vocabulary.relations[name].name), ".".join(
            [draw(cased(part)) for part in name.split(".")]
        )
    if kind == "score":
        key = draw(st.sampled_from((*METRICS, _NEVER_LOGGED)))
        first = draw(st.sampled_from(("evaluation", *(("metrics", "metric") if known.kind == "evaluation" else ()))))
        return Field("score", key), draw(cased(first)) + "." + draw(spelled_key(key))
    key = draw(st.sampled_from((*KEYS[:8], *KEYS, _NEVER_LOGGED)))
    text = draw(cased(draw(st.sampled_from(_PREFIXES[kind])))) + "." + draw(spelled_key(key))
    return Field(kind, key), text  # type: ignore[arg-type]


@st.composite
def operands(draw: DrawFn, known: Known, *kinds: str) -> Spelled:
    """A field, perhaps aggregated."""
    field, text = draw(fields(known, *(kinds or _ALL)))
    aggregate = draw(st.sampled_from((None, "last", "first", "min", "max", "count")))
    if field.kind != "metric" or aggregate is None:
        return field, text
    opening = f"{draw(cased(aggregate))}{draw(gap())}({draw(gap())}"
    return Field("metric", field.name, aggregate), f"{opening}{text}{draw(gap())})"  # type: ignore[arg-type]


def _numbers() -> SearchStrategy[Any]:
    finite = [value for value in VALUES if not math.isnan(value)]
    return st.sampled_from((*finite, 0, 1, 2, 3, 10, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63) + 1, 4.5))


@st.composite
def values(draw: DrawFn, known: Known, field: Field, *, numeric: bool | None = None) -> Spelled:
    """A value that may be compared with the field; `numeric` decides for a param."""
    kind: str | None = {"metric": "integer", "score": "integer", "tag": "text"}.get(field.kind)
    if field.kind in {"attribute", "relation"}:
        kind = known.type_of(field)
    elif field.kind == "param":
        kind = "integer" if (draw(st.booleans()) if numeric is None else numeric) else "text"
    if kind == "integer":
        number = draw(_numbers())
        return number, draw(spelled_number(number))
    if kind == "id":
        found = draw(st.sampled_from(known.ids))
        dashed = f"{found[:8]}-{found[8:12]}-{found[12:16]}-{found[16:20]}-{found[20:]}"
        return found, draw(spelled_text(draw(st.sampled_from((found, found.upper(), dashed)))))
    if kind == "time":
        moment = draw(st.sampled_from(known.times))
        iso = moment.isoformat()
        if moment.microsecond % 1000 == 0 and draw(st.booleans()):
            return moment, str(round(moment.timestamp() * 1000))
        return moment, draw(spelled_text(draw(st.sampled_from((iso, iso.replace("+00:00", "Z"), iso[:-6])))))
    text = draw(
        st.sampled_from(
            (
                *TEXTS,
                *NUMBERS,
                "running",
                "finished",
                "active",
                "deleted",
                "training",
                "name",
                *NAMES,
                *ALIASES,
                "1",
                "2",
                "n",
                "MIT",
            )
        )
    )
    return text, draw(spelled_text(text))


@st.composite
def patterns(draw: DrawFn, ids: tuple[str, ...] = ()) -> str:
    """A LIKE pattern: something that is there, with wildcards and escapes sprinkled over it."""
    base = draw(st.sampled_from(ids or TEXTS + NUMBERS[:6]))[:80]
    letters = list(base) + draw(st.lists(st.sampled_from("%_\\aA*?[]^-é𝒳"), max_size=3))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(letters) - 1, 0)))
        letters[at : at + draw(st.integers(0, 2))] = [draw(st.sampled_from(("%", "_", "\\", "\\%", "\\_", "%%")))]
    return "".join(letters)


@st.composite
def matches(draw: DrawFn) -> Spelled:
    """A condition on the words of all texts."""
    wanted: list[tuple[str, bool]] = []
    spelled = []
    for _ in range(draw(st.integers(1, 2))):
        plain, way = draw(st.sampled_from(_WORDS))
        cut = draw(st.integers(1, len(plain))) if plain.isascii() and way.isascii() else None
        wanted.append((plain if cut is None else plain[:cut], cut is not None))
        spelled.append(way if cut is None else f"{way[:cut]}*")
    text = draw(spelled_text(" ".join(spelled)))
    return Match(tuple(dict.fromkeys(wanted))), f"{draw(cased('text'))} {draw(cased('match'))} {text}"


@st.composite
def leaves(draw: DrawFn, known: Known) -> Spelled:
    """A condition on one field."""
    if draw(st.integers(0, 11)) == 0:
        return draw(matches())
    field, text = draw(operands(known))
    is_id = known.type_of(field) == "id"
    likeable = field.kind in {"param", "tag"} or known.type_of(field) in {"text", "id"}
    shapes = ["compare", "compare", "in", "null", *(["like"] * 3 if likeable else []), *([] if is_id else ["between"])]
    shape = draw(st.sampled_from(shapes))
    if shape == "null":
        negated = draw(st.booleans())
        words = [draw(cased(word)) for word in (("is", "not", "null") if negated else ("is", "null"))]
        node: Node = Not(Missing(field)) if negated else Missing(field)
        return node, draw(blank()).join((text, *words))
    if shape == "compare":
        op = draw(st.sampled_from(("=", "!=") if is_id else _COMPARISONS))
        value, literal = draw(values(known, field))
        return Compare(field, op, value), f"{text}{draw(gap())}{op}{draw(gap())}{literal}"  # type: ignore[arg-type]
    negated = draw(st.booleans())
    negation = draw(cased("not")) + draw(blank()) if negated else ""
    if shape == "like":
        fold, pattern = draw(st.booleans()), draw(patterns(tuple(known.ids) if is_id else ()))
        word = draw(cased("ilike" if fold else "like"))
        node = Like(field, pattern, fold, negated)
        return node, f"{text}{draw(blank())}{negation}{word}{draw(gap())}{draw(spelled_text(pattern))}"
    numeric = draw(st.booleans())
    if shape == "in":
        found = draw(st.lists(values(known, field, numeric=numeric), min_size=1, max_size=4))
        listed = f"{draw(gap())},{draw(gap())}".join(literal for _, literal in found)
        node = In(field, tuple(value for value, _ in found), negated)
        return node, f"{text}{draw(blank())}{negation}{draw(cased('in'))}{draw(gap())}({listed})"
    (low, low_text), (high, high_text) = (draw(values(known, field, numeric=numeric)) for _ in "lh")
    inside = And((Compare(field, ">=", low), Compare(field, "<=", high)))
    node = And((Not(Missing(field)), Not(inside))) if negated else inside
    words = [text, f"{negation}{draw(cased('between'))}", low_text, draw(cased("and")), high_text]
    return node, draw(blank()).join(words)


@st.composite
def conditions(draw: DrawFn, known: Known, depth: int = _DEPTH) -> Spelled:
    """A condition; its text needs no parentheses around it only if it is a leaf or a negation."""
    shape = draw(st.sampled_from(("leaf", "leaf", "not", "and", "or"))) if depth else "leaf"
    if shape == "leaf":
        return draw(leaves(known))
    if shape == "not":
        node, text = draw(_atoms(known, depth - 1))
        return Not(node), f"{draw(cased('not'))}{draw(blank())}{text}"
    word = draw(cased(shape))
    parts = draw(st.lists(_atoms(known, depth - 1), min_size=2, max_size=3))
    made = tuple(node for node, _ in parts)
    text = f"{draw(blank())}{word}{draw(blank())}".join(text for _, text in parts)
    return (And if shape == "and" else Or)(made), text


@st.composite
def _atoms(draw: DrawFn, known: Known, depth: int) -> Spelled:
    """A condition as a part of another one: in parentheses, unless it is a leaf and they are left out."""
    node, text = draw(conditions(known, depth))
    bare = isinstance(node, Compare | In | Like | Match | Missing)
    if bare and draw(st.booleans()):
        return node, text
    return node, f"({draw(gap())}{text}{draw(gap())})"


@st.composite
def precedence(draw: DrawFn, known: Known) -> Spelled:
    """NOT binds closest, then AND, then OR: the only place where a tree of two levels has no parentheses."""
    alternatives = []
    for _ in range(draw(st.integers(1, 3))):
        items = draw(st.lists(leaves(known), min_size=1, max_size=3))
        flags = [draw(st.booleans()) for _ in items]
        nodes = tuple(Not(node) if flag else node for flag, (node, _) in zip(flags, items, strict=True))
        text = " AND ".join(f"NOT {text}" if flag else text for flag, (_, text) in zip(flags, items, strict=True))
        alternatives.append((nodes[0] if len(nodes) == 1 else And(nodes), text))
    joined = " or ".join(text for _, text in alternatives)
    return (alternatives[0][0] if len(alternatives) == 1 else Or(tuple(n for n, _ in alternatives))), joined


@st.composite
def orders(draw: DrawFn, known: Known) -> Spelled:
    """One sort key."""
    sortable = ("attribute", "metric", "param", "tag", *(("score",) if known.kind == "evaluation" else ()))
    field, text = draw(operands(known, *sortable))
    direction = draw(st.sampled_from(("", "asc", "desc")))
    return Order(field, direction == "desc"), text + (draw(blank()) + draw(cased(direction)) if direction else "")


@st.composite
def columns(draw: DrawFn, known: Known) -> tuple[dict[str, set[str] | None], list[str]]:
    """The names chosen of each family (None is all of them), and the texts that choose them."""
    chosen: dict[str, set[str] | None] = {"param": set(), "tag": set(), "metric": set()}
    texts = []
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.integers(0, 3)) == 0:
            family = draw(st.sampled_from(sorted(chosen)))
            chosen[family] = None
            texts.append(f"{family}s")
            continue
        field, text = draw(fields(known, "metric", "param", "tag"))
        names = chosen[field.kind]
        if names is not None:
            names.add(field.name)
        texts.append(text)
    return chosen, texts
