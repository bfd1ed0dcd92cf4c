"""Experiments."""

from __future__ import annotations

from mlflow_door.calls import Call, Case, call, case, get, post

NEW = post("experiments/create", {"name": "$u-e"}, e="experiment_id")
LOOK = get("experiments/get", experiment_id="$e")


def _search(**asked: object) -> Call:
    return post("experiments/search", {"max_results": 10, **asked})


MINE = "name LIKE '$u%'"
THREE = (
    post("experiments/create", {"name": "$u-b", "tags": [{"key": "k", "value": "v"}]}, b="experiment_id"),
    post("experiments/create", {"name": "$u-a"}, a="experiment_id"),
    post("experiments/create", {"name": "$u-C", "tags": [{"key": "odd key", "value": "it's"}]}, c="experiment_id"),
)

CREATING = [
    case("create, get, get-by-name", NEW, LOOK, get("experiments/get-by-name", experiment_name="$u-e")),
    case(
        "create with everything",
        post(
            "experiments/create",
            {
                "name": "$u-all",
                "artifact_location": "s3://bucket/folder",
                "tags": [{"key": "b", "value": "2"}, {"key": "a", "value": "1"}, {"key": "empty", "value": ""}],
            },
            e="experiment_id",
        ),
        LOOK,
    ),
    case("create twice", NEW, NEW),
    case(
        "create with a tag twice",
        post("experiments/create", {"name": "$u-e", "tags": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]}),
    ),
    *(
        case(f"create: {why}", post("experiments/create", body))
        for why, body in {
            "no name": {},
            "null name": {"name": None},
            "empty name": {"name": ""},
            "blank name": {"name": "  "},
            "number as name": {"name": 12},
            "list as name": {"name": ["a"]},
            "long name": {"name": "n" * 501},
            "tags no list": {"name": "$u-x", "tags": "t"},
            "tag without key": {"name": "$u-x", "tags": [{"value": "1"}]},
            "tag key of odd letters": {"name": "$u-x", "tags": [{"key": "a?b", "value": "1"}]},
            "tag key with ..": {"name": "$u-x", "tags": [{"key": "../b", "value": "1"}]},
            "tag key too long": {"name": "$u-x", "tags": [{"key": "k" * 251, "value": "1"}]},
            "tag value too long": {"name": "$u-x", "tags": [{"key": "k", "value": "v" * 20001}]},
            "unknown field": {"name": "$u-unknown", "nonsense": 1},
            "artifact location is a number": {"name": "$u-x", "artifact_location": 3},
            "artifact location with a fragment": {"name": "$u-x", "artifact_location": "file:///tmp/a#b"},
            "artifact location with ..": {"name": "$u-x", "artifact_location": "s3://b/../c"},
            "artifact location with a query": {"name": "$u-x", "artifact_location": "s3://b/c?d=e"},
            "slash in name": {"name": "$u/x/../y"},
            "camelCase": {"name": "$u-camel", "artifactLocation": "s3://b/c"},
            "both spellings": {"name": "$u-two", "artifactLocation": "s3://b/c", "artifact_location": "s3://b/c"},
        }.items()
    ),
    case("create: a name of 500", post("experiments/create", {"name": "$u-" + "n" * 480})),
    case("create: name with blanks around", post("experiments/create", {"name": " $u "}, e="experiment_id"), LOOK),
]

READING = [
    case("get: none", get("experiments/get", experiment_id="987654321")),
    case("get: no number", get("experiments/get", experiment_id="abc")),
    case("get: no id", get("experiments/get")),
    case("get: empty id", get("experiments/get", experiment_id="")),
    case("get: negative", get("experiments/get", experiment_id="-1")),
    case("get: too large", get("experiments/get", experiment_id="99999999999999999999")),
    case("get: the first", get("experiments/get", experiment_id="0")),
    case("get: camelCase", NEW, get("experiments/get", experimentId="$e")),
    case("get by body", NEW, call("GET", "experiments/get", {"experiment_id": "$e"})),
    case("get: number in a body", NEW, call("GET", "experiments/get", {"experiment_id": 0})),
    case("get-by-name: none", get("experiments/get-by-name", experiment_name="$u-none")),
    case("get-by-name: no name", get("experiments/get-by-name")),
    case("get-by-name: Default", get("experiments/get-by-name", experiment_name="Default")),
    case("get-by-name: other case", NEW, get("experiments/get-by-name", experiment_name="$u-E")),
]

CHANGING = [
    case("update", NEW, post("experiments/update", {"experiment_id": "$e", "new_name": "$u-new"}), LOOK),
    case("update to its own name", NEW, post("experiments/update", {"experiment_id": "$e", "new_name": "$u-e"})),
    case("update to a taken name", *THREE, post("experiments/update", {"experiment_id": "$a", "new_name": "$u-b"})),
    case("update: no new name", NEW, post("experiments/update", {"experiment_id": "$e"})),
    case("update: empty name", NEW, post("experiments/update", {"experiment_id": "$e", "new_name": ""})),
    case("update: blank name", NEW, post("experiments/update", {"experiment_id": "$e", "new_name": " "})),
    case("update: long name", NEW, post("experiments/update", {"experiment_id": "$e", "new_name": "n" * 501})),
    case("update: none", post("experiments/update", {"experiment_id": "987654321", "new_name": "$u-x"})),
    case("update: no number", post("experiments/update", {"experiment_id": "abc", "new_name": "$u-x"})),
    case("update: no id", post("experiments/update", {"new_name": "$u-x"})),
    case("update: number as id", post("experiments/update", {"experiment_id": 987654321, "new_name": "$u-x"})),
    case(
        "delete, get, restore, get",
        NEW,
        post("experiments/delete", {"experiment_id": "$e"}),
        LOOK,
        get("experiments/get-by-name", experiment_name="$u-e"),
        post("experiments/restore", {"experiment_id": "$e"}),
        LOOK,
    ),
    case(
        "delete twice",
        NEW,
        post("experiments/delete", {"experiment_id": "$e"}),
        post("experiments/delete", {"experiment_id": "$e"}),
    ),
    case("restore what is active", NEW, post("experiments/restore", {"experiment_id": "$e"})),
    case("delete: none", post("experiments/delete", {"experiment_id": "987654321"})),
    case("delete: no number", post("experiments/delete", {"experiment_id": "abc"})),
    case("delete: no id", post("experiments/delete", {})),
    case("restore: none", post("experiments/restore", {"experiment_id": "987654321"})),
    case("restore: no id", post("experiments/restore", {})),
    case(
        "deleted: update",
        NEW,
        post("experiments/delete", {"experiment_id": "$e"}),
        post("experiments/update", {"experiment_id": "$e", "new_name": "$u-x"}),
    ),
    case("deleted: create of its name", NEW, post("experiments/delete", {"experiment_id": "$e"}), NEW),
    case(
        "deleted: tag",
        NEW,
        post("experiments/delete", {"experiment_id": "$e"}),
        post("experiments/set-experiment-tag", {"experiment_id": "$e", "key": "k", "value": "v"}),
    ),
    case(
        "deleted: delete tag",
        NEW,
        post("experiments/delete", {"experiment_id": "$e"}),
        post("experiments/delete-experiment-tag", {"experiment_id": "$e", "key": "k"}),
    ),
    case(
        "deleted: run",
        NEW,
        post("experiments/delete", {"experiment_id": "$e"}),
        post("runs/create", {"experiment_id": "$e"}),
    ),
    case(
        "deleted with a run, restored",
        NEW,
        post("runs/create", {"experiment_id": "$e", "run_name": "one", "start_time": 5}, r="run.info.run_id"),
        post("runs/create", {"experiment_id": "$e", "run_name": "two", "start_time": 6}, s="run.info.run_id"),
        post("runs/delete", {"run_id": "$s"}),
        post("experiments/delete", {"experiment_id": "$e"}),
        get("runs/get", run_id="$r"),
        get("runs/get", run_id="$s"),
        post("runs/search", {"experiment_ids": ["$e"]}),
        post("runs/search", {"experiment_ids": ["$e"], "run_view_type": "DELETED_ONLY"}),
        post("runs/set-tag", {"run_id": "$r", "key": "k", "value": "v"}),
        post("runs/restore", {"run_id": "$r"}),
        post("experiments/restore", {"experiment_id": "$e"}),
        get("runs/get", run_id="$r"),
        get("runs/get", run_id="$s"),
    ),
    case(
        "delete the first experiment of a name with blanks",
        post("experiments/delete", {"experiment_id": " 987654321 "}),
    ),
]

TAGS = [
    case(
        "set tag, again, delete",
        NEW,
        post("experiments/set-experiment-tag", {"experiment_id": "$e", "key": "b", "value": "1"}),
        post("experiments/set-experiment-tag", {"experiment_id": "$e", "key": "b", "value": "2"}),
        post("experiments/set-experiment-tag", {"experiment_id": "$e", "key": "a", "value": "3"}),
        LOOK,
        post("experiments/delete-experiment-tag", {"experiment_id": "$e", "key": "b"}),
        LOOK,
        post("experiments/delete-experiment-tag", {"experiment_id": "$e", "key": "b"}),
    ),
    *(
        case(f"set tag: {why}", NEW, post("experiments/set-experiment-tag", body), LOOK)
        for why, body in {
            "no id": {"key": "k", "value": "v"},
            "none": {"experiment_id": "987654321", "key": "k", "value": "v"},
            "no number": {"experiment_id": "abc", "key": "k", "value": "v"},
            "no key": {"experiment_id": "$e", "value": "v"},
            "empty key": {"experiment_id": "$e", "key": "", "value": "v"},
            "no value": {"experiment_id": "$e", "key": "k"},
            "empty value": {"experiment_id": "$e", "key": "k", "value": ""},
            "null value": {"experiment_id": "$e", "key": "k", "value": None},
            "number as value": {"experiment_id": "$e", "key": "k", "value": 5},
            "key of odd letters": {"experiment_id": "$e", "key": "a?b", "value": "v"},
            "key with ..": {"experiment_id": "$e", "key": "a/../b", "value": "v"},
            "absolute key": {"experiment_id": "$e", "key": "/a", "value": "v"},
            "key too long": {"experiment_id": "$e", "key": "k" * 251, "value": "v"},
            "value too long": {"experiment_id": "$e", "key": "k", "value": "v" * 20001},
        }.items()
    ),
    case("delete tag: no key", NEW, post("experiments/delete-experiment-tag", {"experiment_id": "$e"})),
    case("delete tag: none", post("experiments/delete-experiment-tag", {"experiment_id": "987654321", "key": "k"})),
]

FILTERS = (
    "name = '$u-a'",
    "name != '$u-a'",
    "name LIKE '%-a'",
    "name ILIKE '%-c'",
    "name LIKE '%-c'",
    "attribute.name = '$u-a'",
    "attr.name = '$u-a'",
    "experiment_id = '$a'",
    "experiment_id = 7",
    "experiment_id = $a",
    "creation_time > 1",
    "creation_time > '1'",
    "last_update_time >= 1",
    "creation_time = 1.5",
    "creation_time LIKE '1'",
    "tags.k = 'v'",
    "tag.k = 'v'",
    "tags.k != 'v'",
    "tags.k LIKE 'V'",
    "tags.k ILIKE 'V'",
    'tags.`odd key` = "it\'s"',
    "tags.\"odd key\" LIKE 'it%'",
    "tags.none = 'v'",
    "tags.none != 'v'",
    "tags.k = v",
    "tags.k = 1",
    "tags.k > 'v'",
    "tags.k IN ('v')",
    "name IN ('$u-a')",
    "name > 'a'",
    "name = a",
    "name = 5",
    "params.x = '1'",
    "metrics.x = 1",
    "nonsense = 'x'",
    "attribute.nonsense = 'x'",
    "nonsense.x = 'y'",
    "name = '$u-a' AND",
    "name =",
    "= 'x'",
    "name = '$u-a' OR name = '$u-b'",
    "NOT name = 'x'",
    "(name = '$u-a')",
    "name = '$u-a' and tags.k = 'v'",
    "tags.k IS NULL",
    "tags.k IS NOT NULL",
    "name = '$u-a'; name = 'b'",
    "lifecycle_stage = 'active'",
    "artifact_location = 'x'",
    "name == '$u-a'",
    "name = '$u-a' name = '$u-b'",
    "name='$u-a'",
    "NAME = '$u-a'",
    "Tags.k = 'v'",
    "name like '%-a'",
    "`name` = '$u-a'",
    "attribute.`name` = '$u-a'",
)

ORDERS: tuple[object, ...] = (
    ["name"],
    ["name ASC"],
    ["name DESC"],
    ["NAME desc"],
    ["name asc"],
    ["experiment_id DESC"],
    ["experiment_id"],
    ["creation_time"],
    ["last_update_time DESC"],
    ["attribute.name"],
    ["attr.name DESC"],
    ["name", "experiment_id DESC"],
    ["tags.k"],
    ["nonsense"],
    ["name UP"],
    ["name ASC DESC"],
    [""],
    ["name,experiment_id"],
    ["lifecycle_stage"],
    "name",
    [5],
    ["`name`"],
    ["metrics.x"],
    ["name", "name DESC"],
)

SEARCHING = [
    case(
        "search: newest first", *THREE, _search(filter=MINE), get("experiments/search", max_results="10", filter=MINE)
    ),
    case(
        "search: filters",
        *THREE,
        *(_search(filter=f"{MINE} AND {filter_}", order_by=["name"]) for filter_ in FILTERS),
    ),
    case("search: garbage", _search(filter="garbage")),
    case("search: unclosed quote", _search(filter="name = 'x")),
    case("search: empty filter", *THREE, _search(filter="   ", max_results=1)),
    case(
        "search: orders",
        *THREE,
        *(_search(filter=MINE, order_by=order) for order in ORDERS),
    ),
    case(
        "search: pages",
        *THREE,
        Call("POST", "experiments/search", {"max_results": 2, "filter": MINE}, save=(("t", "next_page_token"),)),
        _search(max_results=2, filter=MINE, page_token="$t"),
        _search(max_results=3, filter=MINE),
    ),
    case(
        "search: max_results",
        *(
            _search(max_results=count, filter="name = 'none at all'")
            for count in (0, -1, 1, 50000, 50001, "5", "x", 1.5, None, 2**31, 2**63)
        ),
    ),
    case("search: no max_results", post("experiments/search", {"filter": "name = 'none at all'"})),
    case(
        "search: page tokens",
        *(
            _search(page_token=token, filter="name = 'none at all'")
            for token in (
                "garbage",
                "",
                5,
                "eyJvZmZzZXQiOiAieCJ9",
                "eyJvZmZzZXQiOiAxfQ==",
                "eyJhIjogMX0=",
                "eyJvZmZzZXQiOiAtMX0=",
            )
        ),
    ),
    case(
        "search: views",
        *THREE,
        post("experiments/delete", {"experiment_id": "$a"}),
        *(_search(view_type=view, filter=MINE) for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", 1, 2, 3, "1")),
    ),
    case(
        "search: views that are none",
        *THREE,
        *(_search(max_results=3, view_type=view) for view in ("NONE", "active_only", 0, 4)),
    ),
]

CASES: list[Case] = [*CREATING, *READING, *CHANGING, *TAGS, *SEARCHING]
