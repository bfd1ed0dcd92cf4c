"""Registered models: their life, tags, aliases and searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow_door.calls import Call, Case, call, case, get, post
from mlflow_door.probes.runs import tag

NEW = post("registered-models/create", {"name": "$u-m"})
LOOK = get("registered-models/get", name="$u-m")


def version(name: str = "$u-m", **more: Any) -> Call:
    return post("model-versions/create", {"name": name, "source": "s3://bucket/model", **more})


def model(verb: str, how: str = "POST", **body: Any) -> Call:
    return call(how, f"registered-models/{verb}", {"name": "$u-m", **body})


def alias(how: str, **body: Any) -> Call:
    return call(how, "registered-models/alias", {"name": "$u-m", **body})


def tagging(change: Callable[..., Call], *looks: Call) -> tuple[Call, ...]:
    """Tags of a model or version that are set, set again, taken away twice, and odd ones.

    Args:
        change: a call that changes it.
        looks: what shows it; when tags are taken away the first alone.
    """
    odd = (
        {"key": "n"},
        {"key": "n", "value": ""},
        {"value": "v"},
        {"key": "", "value": "v"},
        {"key": "a?b", "value": "v"},
        {"key": "k" * 251, "value": "v"},
        {"key": "k", "value": "v" * 100001},
        {"key": "k", "value": 5},
    )
    return (
        *(change("set-tag", key=key, value=value) for key, value in (("k", "1"), ("k", "2"), ("a", "3"))),
        *looks,
        *2 * (change("delete-tag", "DELETE", key="k"),),
        looks[0],
        *(change("set-tag", **body) for body in odd),
    )


MODELS = [
    case("create, get", NEW, LOOK, NEW),
    case(
        "create with everything",
        post(
            "registered-models/create",
            {"name": "$u-m", "description": "what it is", "tags": [tag("b", "2"), tag("a", "1")]},
        ),
        LOOK,
    ),
    *(
        case(f"create: {why}", post("registered-models/create", body))
        for why, body in {
            "no name": {},
            "empty name": {"name": ""},
            "blank name": {"name": " "},
            "null name": {"name": None},
            "number as name": {"name": 5},
            "name with slash": {"name": "$u/a"},
            "name with colon": {"name": "$u:a"},
            "name with odd letters": {"name": "$u ?&#%ü"},
            "name of 256": {"name": "$u-" + "n" * 245},
            "name of 300": {"name": "$u-" + "n" * 289},
            "name of 1000": {"name": "$u-" + "n" * 989},
            "name ..": {"name": ".."},
            "empty description": {"name": "$u-d", "description": ""},
            "description number": {"name": "$u-x", "description": 5},
            "description of 5001": {"name": "$u-long", "description": "d" * 5001},
            "tags no list": {"name": "$u-x", "tags": "a"},
            "tag without key": {"name": "$u-x", "tags": [{"value": "v"}]},
            "tag without value": {"name": "$u-y", "tags": [{"key": "k"}]},
            "tag twice": {"name": "$u-z", "tags": [tag("k", "1"), tag("k", "2")]},
            "tag of odd letters": {"name": "$u-x", "tags": [tag("a?b")]},
            "tag key of 251": {"name": "$u-x", "tags": [tag("k" * 251)]},
            "tag value of 100001": {"name": "$u-x", "tags": [tag("k", "v" * 100001)]},
            "a prompt": {"name": "$u-p", "tags": [tag("mlflow.prompt.is_prompt", "true")]},
        }.items()
    ),
    case("get: none", get("registered-models/get", name="$u-none")),
    case("get: no name", get("registered-models/get")),
    case("get: empty name", get("registered-models/get", name="")),
    case("get: other case", NEW, get("registered-models/get", name="$u-M")),
    case(
        "update",
        NEW,
        model("update", "PATCH", description="new"),
        LOOK,
        model("update", "PATCH", description=""),
        model("update", "PATCH"),
        model("update", "POST", description="x"),
        call("PATCH", "registered-models/update", {"name": "$u-none", "description": "x"}),
        call("PATCH", "registered-models/update", {"description": "x"}),
        model("update", "PATCH", description=5),
    ),
    case(
        "rename",
        NEW,
        version(),
        model("set-tag", key="k", value="v"),
        alias("POST", alias="champion", version="1"),
        model("rename", new_name="$u-n"),
        LOOK,
        get("registered-models/get", name="$u-n"),
        get("model-versions/get", name="$u-n", version="1"),
        get("model-versions/get", name="$u-m", version="1"),
        get("registered-models/alias", name="$u-n", alias="champion"),
        NEW,
        model("rename", new_name="$u-n"),
        model("rename", new_name="$u-m"),
        model("rename", new_name=""),
        model("rename"),
        model("rename", new_name=" "),
        model("rename", new_name="a/b"),
        post("registered-models/rename", {"name": "$u-none", "new_name": "$u-x"}),
    ),
    case(
        "delete and make again",
        NEW,
        version(),
        version(),
        alias("POST", alias="a", version="1"),
        model("delete", "DELETE"),
        LOOK,
        model("delete", "DELETE"),
        get("model-versions/get", name="$u-m", version="1"),
        NEW,
        LOOK,
        version(),
        get("registered-models/alias", name="$u-m", alias="a"),
    ),
    case(
        "delete: none",
        call("DELETE", "registered-models/delete", {"name": "$u-none"}),
        call("DELETE", "registered-models/delete", {}),
        call("DELETE", "registered-models/delete"),
        call("DELETE", "registered-models/delete?name=$u-none"),
        call("POST", "registered-models/delete", {"name": "$u-none"}),
    ),
    case(
        "tags",
        NEW,
        *tagging(model, LOOK),
        model("set-tag", key="k", value=None),
        post("registered-models/set-tag", {"name": "$u-none", "key": "k", "value": "v"}),
        post("registered-models/set-tag", {"key": "k", "value": "v"}),
        call("DELETE", "registered-models/delete-tag", {"name": "$u-none", "key": "k"}),
        model("delete-tag", "DELETE"),
        LOOK,
    ),
    case(
        "aliases",
        NEW,
        version(),
        version(),
        alias("POST", alias="champion", version="1"),
        alias("POST", alias="Challenger", version="2"),
        alias("POST", alias="b-_2", version="1"),
        LOOK,
        get("model-versions/get", name="$u-m", version="1"),
        get("registered-models/alias", name="$u-m", alias="champion"),
        get("registered-models/alias", name="$u-m", alias="challenger"),
        alias("POST", alias="champion", version="2"),
        LOOK,
        get("registered-models/alias", name="$u-m", alias="champion"),
        alias("DELETE", alias="champion"),
        alias("DELETE", alias="champion"),
        get("registered-models/alias", name="$u-m", alias="champion"),
        LOOK,
        *(
            alias("POST", **body)
            for body in (
                {"alias": "latest", "version": "1"},
                {"alias": "Latest", "version": "1"},
                {"alias": "v1", "version": "1"},
                {"alias": "V23", "version": "1"},
                {"alias": "v1x", "version": "1"},
                {"alias": "a b", "version": "1"},
                {"alias": "a/b", "version": "1"},
                {"alias": "a.b", "version": "1"},
                {"alias": "", "version": "1"},
                {"alias": "a" * 256, "version": "1"},
                {"alias": "ü", "version": "1"},
                {"version": "1"},
                {"alias": "x"},
                {"alias": "x", "version": "9"},
                {"alias": "x", "version": "abc"},
                {"alias": "x", "version": 1},
                {"alias": "x", "version": "1.5"},
                {"alias": "5", "version": "1"},
            )
        ),
        post("registered-models/alias", {"name": "$u-none", "alias": "x", "version": "1"}),
        post("registered-models/alias", {"alias": "x", "version": "1"}),
        get("registered-models/alias", name="$u-none", alias="x"),
        get("registered-models/alias", name="$u-m"),
        get("registered-models/alias", name="$u-m", alias="none"),
        get("registered-models/alias", name="$u-m", alias="latest"),
        alias("DELETE"),
        alias("DELETE", alias="v1"),
        call("DELETE", "registered-models/alias", {"name": "$u-none", "alias": "x"}),
        LOOK,
    ),
    case(
        "a deleted version's aliases",
        NEW,
        version(),
        version(),
        alias("POST", alias="a", version="1"),
        call("DELETE", "model-versions/delete", {"name": "$u-m", "version": "1"}),
        get("registered-models/alias", name="$u-m", alias="a"),
        LOOK,
    ),
]

FOUR = (
    post("registered-models/create", {"name": "$u-b", "tags": [tag("k", "v")]}),
    post(
        "registered-models/create", {"name": "$u-a", "tags": [tag("k", "w"), tag("odd key", "Abc")], "description": "d"}
    ),
    post("registered-models/create", {"name": "$u-C"}),
    post("registered-models/create", {"name": "$u-p", "tags": [tag("mlflow.prompt.is_prompt", "true")]}),
    version("$u-b"),
    version("$u-b"),
    post(
        "model-versions/transition-stage",
        {"name": "$u-b", "version": "1", "stage": "Production", "archive_existing_versions": False},
    ),
    post("registered-models/alias", {"name": "$u-b", "alias": "best", "version": "1"}),
)
MINE = "name LIKE '$u%'"
TAGGED = (
    "tags.k = 'v'",
    "tag.k = 'v'",
    "tags.k != 'v'",
    "tags.k LIKE 'V'",
    "tags.k ILIKE 'V'",
    "tags.`odd key` = 'Abc'",
)
FILTERS = (
    "name = '$u-a'",
    "name != '$u-a'",
    "name LIKE '%-c'",
    "name ILIKE '%-c'",
    "name > 'a'",
    "name = $u",
    "name = 5",
    "name IN ('$u-a', '$u-b')",
    "name NOT IN ('$u-a')",
    *TAGGED,
    "tags.\"odd key\" LIKE 'A%'",
    "tags.none = 'v'",
    "tags.none != 'v'",
    "tags.k IS NULL",
    "tags.k IS NOT NULL",
    "tags.k IN ('v')",
    "tags.k > 'v'",
    "tags.k = 'v' AND tags.k = 'w'",
    "tags.k = 'w' AND tags.`odd key` = 'Abc'",
    "tags.k = 1",
    "tag.`mlflow.prompt.is_prompt` != 'true'",
    "tags.`mlflow.prompt.is_prompt` != 'true'",
    "tag.`mlflow.prompt.is_prompt` = 'true'",
    "tags.`mlflow.prompt.is_prompt` = 'false'",
    "tag.mlflow.prompt.is_prompt != 'true'",
    "description = 'd'",
    "nonsense = 'x'",
    "version = '1'",
    "run_id = 'x'",
    "metrics.x = 1",
    "params.x = '1'",
    "name = '$u-a' OR name = '$u-b'",
    "(name = '$u-a')",
    "name =",
    "attribute.name = '$u-a'",
    "attributes.name = '$u-a'",
    "name == '$u-a'",
    "name = '$u-a' AND",
    "last_updated_timestamp > 1",
    "creation_timestamp > 1",
    "name LIKE 'a' AND name LIKE 'b'",
    "aliases = 'x'",
)
ORDERS: tuple[Any, ...] = (
    ["name"],
    ["name ASC"],
    ["name DESC"],
    ["name desc"],
    ["last_updated_timestamp"],
    ["last_updated_timestamp DESC"],
    ["timestamp"],
    ["timestamp DESC"],
    ["last_updated_timestamp ASC", "name DESC"],
    ["creation_timestamp"],
    ["creation_time"],
    ["nonsense"],
    ["tags.k"],
    ["name UP"],
    ["name ASC DESC"],
    [""],
    ["name", "name DESC"],
    "name",
    [5],
    ["attribute.name"],
    ["`name`"],
)


def search(*more: tuple[str, str], **asked: str) -> Call:
    return get("registered-models/search", *more, **asked)


def pages(ask: Callable[..., Call]) -> tuple[Call, ...]:
    """The first two pages of a search, and the second in another size."""
    first = ask(filter=MINE, max_results="2")._replace(save=(("t", "next_page_token"),))
    return first, ask(filter=MINE, max_results="2", page_token="$t"), ask(filter=MINE, page_token="$t")


def odd_pages(ask: Callable[..., Call], most: int) -> tuple[Call, ...]:
    """A search for nothing with odd sizes and tokens.

    Args:
        ask: a search.
        most: that a page may have.
    """
    nothing = "name = 'none at all'"
    return (
        *(ask(filter=nothing, max_results=count) for count in ("0", "-1", str(most), str(most + 1), "x", "")),
        *(ask(filter=nothing, page_token=token) for token in ("garbage", "", "eyJvZmZzZXQiOiAieCJ9")),
    )


SEARCHING = [
    case(
        "search",
        *FOUR,
        search(filter=MINE),
        search(filter=MINE + " AND tag.`mlflow.prompt.is_prompt` != 'true'"),
        post("registered-models/search", {"filter": MINE}),
    ),
    case(
        "search: filters",
        *FOUR,
        *(search(filter=f"{MINE} AND {filter_}") for filter_ in FILTERS),
        search(filter="garbage"),
        search(filter="name = 'x"),
        search(filter=" "),
        search(filter="name = '$u-p'"),
        search(filter="name LIKE '$u%' AND tags.`mlflow.prompt.is_prompt` = 'true'"),
    ),
    case(
        "search: orders",
        *FOUR,
        *(
            search(("filter", MINE), *(("order_by", str(one)) for one in order))
            if isinstance(order, list)
            else search(filter=MINE, order_by=order)
            for order in ORDERS
        ),
    ),
    case(
        "search: pages",
        *FOUR,
        *pages(search),
        search(filter="name = 'none'", page_token="$t", max_results="2"),
        search(filter=MINE, max_results="2", page_token="$t", order_by="name DESC"),
        *odd_pages(search, 1_000),
    ),
    case(
        "latest versions",
        *FOUR,
        version("$u-b"),
        *(
            post("registered-models/get-latest-versions", body)
            for body in (
                {"name": "$u-b"},
                {"name": "$u-b", "stages": ["Production"]},
                {"name": "$u-b", "stages": ["None", "Staging"]},
                {"name": "$u-b", "stages": ["production"]},
                {"name": "$u-b", "stages": ["nonsense"]},
                {"name": "$u-b", "stages": []},
                {"name": "$u-a"},
                {"name": "$u-none"},
                {},
                {"name": "$u-b", "stages": "Production"},
                {"name": "$u-b", "stages": [5]},
            )
        ),
        get("registered-models/get-latest-versions", name="$u-b"),
        get("registered-models/get-latest-versions", ("name", "$u-b"), ("stages", "None"), ("stages", "Production")),
    ),
]

CASES: list[Case] = [*MODELS, *SEARCHING]
