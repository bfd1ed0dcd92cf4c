"""What MLflow's server checks of names and values, with its own words, so that its clients' users read the same."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from muniment_server.api.mlflow.wire.refusals import Refusal, invalid

KEY_LIMIT, PARAM_LIMIT, TAG_LIMIT = 250, 6_000, 8_000
"""Characters. Longer values of params and tags are cut there, as MLflow does."""
EXPERIMENT_NAME_LIMIT, EXPERIMENT_TAG_LIMIT, REGISTRY_TAG_LIMIT = 500, 20_000, 100_000
METRICS_LIMIT, ITEMS_LIMIT, ENTITIES_LIMIT = 1_000, 100, 1_000
"""Metrics, params or tags, and all of them together in one batch."""

_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}\Z")
_KEY = re.compile(r"[/\w.\- :]*\Z")
_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
    "slashes (/)."
)


def invalid_value(path: str, value: Any, hint: str = "") -> Refusal:
    """A value that cannot be accepted, with its place."""
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return invalid(f"Invalid value {shown} for parameter '{path}' supplied{f': {hint}' if hint else '.'}")


def check_key(name: str, path: str) -> None:
    """Check the key of a metric, param or tag.

    Raises:
        Refusal: it holds other characters, or would mean another file if it were one.
    """
    if not _KEY.match(name):
        raise invalid_value(path, name, _CHARACTERS)
    check_path(name, path)


def check_path(name: str, path: str) -> None:
    """Check that a name would not mean another file if it were one.

    Raises:
        Refusal: it would.
    """
    plain = posixpath.normpath(name)
    if plain != name or plain == "." or plain.startswith(("..", "/")):
        raise invalid_value(
            path, name,
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
            f"This name would resolve to {plain!r}",
        )  # fmt: skip


def check_length(what: str, limit: int, value: str) -> None:
    """Check a length in characters."""
    if len(value) > limit:
        raise invalid(f"'{what}' exceeds the maximum length of {limit} characters")


def check_metric(name: str, timestamp: int, value: float, path: str = "") -> None:
    """Check one point."""
    check_key(name, f"{path}.name" if path else "name")
    if timestamp < 0:
        raise invalid_value(
            f"{path}.timestamp" if path else "timestamp", timestamp,
            f"metric '{name}' (value={value}). Timestamp must be a nonnegative long (64-bit integer) ",
        )  # fmt: skip
    check_length("Metric name", KEY_LIMIT, name)


def check_measured_on(point: Mapping[str, Any]) -> None:
    """Check that a point of a dataset says which one."""
    if bool(point.get("dataset_name")) != bool(point.get("dataset_digest")):
        raise invalid("Both dataset_name and dataset_digest must be provided if one is provided")


def checked_param(key: str, value: str, path: str = "") -> str:
    """Check a param; its value as it is kept."""
    check_key(key, f"{path}.key" if path else "key")
    check_length("Param key", KEY_LIMIT, key)
    return value[:PARAM_LIMIT]


def checked_tag(key: str, value: str, path: str = "") -> str:
    """Check a tag of a run; its value as it is kept."""
    where = f"{path}.key" if path else "key"
    check_key(key, where)
    check_length(where, KEY_LIMIT, key)
    return value[:TAG_LIMIT]


def check_record_tag(key: str, value: str, limit: int) -> None:
    """Check a tag of an experiment or of the registry, whose values are not cut."""
    check_key(key, "key")
    check_length("key", KEY_LIMIT, key)
    check_length("value", limit, value)


def check_batch(metrics: int, params: int, tags: int) -> None:
    """Check how much is in one batch."""
    for what, limit, count in (
        ("metrics", METRICS_LIMIT, metrics),
        ("params", ITEMS_LIMIT, params),
        ("tags", ITEMS_LIMIT, tags),
        ("metrics, params, and tags", ENTITIES_LIMIT, metrics + params + tags),
    ):
        if count > limit:
            raise invalid(
                f"A batch logging request can contain at most {limit} {what}. Got {count} {what}. Please split up "
                f"{what} across multiple requests and try again."
            )


def check_run_id(run: str) -> None:
    """Check that a text can be a run's id."""
    if not _RUN_ID.match(run):
        raise invalid_value("run_id", run)


def check_experiment_name(name: str) -> None:
    """Check the name of an experiment."""
    if not name.strip():
        raise invalid(f"Invalid experiment name: '{name}'")
    check_length("name", EXPERIMENT_NAME_LIMIT, name)


def check_location(location: str) -> None:
    """Check the address under which artifacts are said to lie."""
    parsed = urlsplit(location)
    if parsed.fragment or ";" in parsed.path.rpartition("/")[2]:
        raise invalid("'artifact_location' URL can't include fragments or params.")


def experiment_number(text: str) -> int:
    """The number that an experiment's id is.

    Raises:
        Refusal: it is none.
    """
    try:
        number = int(text)
    except ValueError:
        raise invalid(f"Invalid experiment ID '{text}'. Experiment ID must be a valid integer.") from None
    return number if abs(number) < 2**63 else -1
