"""Where a registered version comes from: what its source means, and whether it may be said."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

import msgspec

from muniment_server.api.mlflow.wire.refusals import Refusal, invalid

PROMPTS = frozenset(("dummy-source", "prompt-template"))
"""Sources of versions that are prompts, which have no files."""
_HOSTED = frozenset(("ftp", "sftp", "hdfs", "viewfs", "http", "https", "mlflow-artifacts", "r2", "b2", "abfss"))
"""Schemes in which a source names a host, to which no one shall be sent by a source."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source that begins with ``models:/``.

    Attributes:
        model_id: of a logged model; None if it is a registered version.
        name: of the registered model.
        version: its number, as it is spelled.
        stage: whose latest version it is.
        alias: that means it. Without any of these it is the latest version.
    """

    model_id: str | None = None
    name: str = ""
    version: str | None = None
    stage: str | None = None
    alias: str | None = None


def _split(source: str, *, allow_fragments: bool = True) -> SplitResult:
    """The parts of an address.

    Raises:
        Refusal: it is none, such as one with half a bracket.
    """
    try:
        return urlsplit(source, allow_fragments=allow_fragments)
    except ValueError as error:
        raise invalid(f"Invalid model version source: '{source}'. It is no address: {error}.") from None


def scheme_of(source: str) -> str:
    """The scheme of a source; a path has none."""
    return _split(source).scheme.lower()


def check_host(source: str) -> None:
    """Check that a source names no host of a protocol that speaks to hosts."""
    parts = _split(source)
    if parts.scheme.lower() in _HOSTED and parts.netloc:
        raise invalid(
            f"'source' cannot use the '{parts.scheme}' scheme: the '{parts.scheme}' scheme addresses a host other than "
            "the tracking server's configured artifact storage, so the server would connect to the host named in the "
            "URI."
        )


def of_model(source: str) -> Source:
    """The parts of a source that begins with ``models:/``."""
    parts = _split(source, allow_fragments=False)
    words = parts.path.lstrip("/").split("/")
    if parts.netloc or not parts.path.startswith("/") or len(words) > 2 or not words[0].strip():
        raise elsewhere(source, "model_id")
    if len(words) == 2:
        name, last = words
        if not last.strip():
            raise elsewhere(source, "model_id")
        if last.isdigit():
            return Source(name=name, version=last)
        return Source(name=name) if last.lower() == "latest" else Source(name=name, stage=last)
    if "@" in words[0]:
        name, _, alias = words[0].rpartition("@")
        if not alias.strip():
            raise elsewhere(source, "model_id")
        return Source(name=name, alias=alias)
    return Source(model_id=words[0])


def run_of(source: str) -> str:
    """The run of a source that begins with ``runs:/``."""
    return _split(source).path.lstrip("/").split("/")[0]


def path_of(source: str) -> str:
    """The path within its run of a source that begins with ``runs:/``."""
    return _split(source).path.lstrip("/").partition("/")[2].rstrip("/")


def elsewhere(source: str, parameter: str) -> Refusal:
    """What is answered to a source that lies in another run or model than is said."""
    return invalid(
        f"Invalid model version source: '{source}'. The {parameter} request parameter must identify the resource that "
        "contains the source."
    )


def check(source: str, run: str | None, model: str | None, root: str | None) -> None:
    """Check that a source lies in the run or logged model that it is said to come from.

    Args:
        source: it.
        run: the id of the run.
        model: the id of the logged model; the run does not matter then.
        root: where the artifacts of that run or model lie; None if there is no such run or model.

    Raises:
        Refusal: it lies elsewhere, in a folder of the server, or says how to get out of where it lies.
    """
    parameter = "model_id" if model else "run_id"
    scheme = scheme_of(source)
    if scheme in {"", "file"}:
        raise invalid(
            f"Invalid model version source: '{source}'. To use a local path as a model version source, the {parameter} "
            "request parameter has to be specified and the local path has to be contained within the artifact "
            f"directory of the run specified by the {parameter}."
        )
    _check_path(source)
    parts = _split(source)
    if scheme == "runs" and (model or parts.netloc or not run or run_of(source) != run):
        raise elsewhere(source, parameter)
    if scheme == "models":
        said = of_model(source).model_id
        if said is not None and said != model:
            raise elsewhere(source, "model_id")
    if scheme == "mlflow-artifacts" and (root is None or not _within(source, root)):
        raise elsewhere(source, parameter)


def _check_path(source: str) -> None:
    plain = source
    while (unquoted := unquote_plus(plain)) != plain:
        plain = unquoted
    path = re.sub(r"/+", "/", _split(plain).path.rstrip("/"))
    resolved = posixpath.normpath(path) if path.startswith("/") else None
    if "\x00" in path or ".." in plain.split("/") or resolved != path:
        raise invalid(
            f"Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, "
            "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references "
            "present. Please provide an absolute path."
        )


def _within(source: str, root: str) -> bool:
    inner, outer = _parts(source), _parts(root)
    return inner[0] == outer[0] and bool(outer[1]) and inner[1][: len(outer[1])] == outer[1]


def _parts(uri: str) -> tuple[tuple[str, str], list[str]]:
    found = _split(uri)
    words = []
    for word in found.path.split("/"):
        plain = word
        while (unquoted := unquote(plain)) != plain:
            plain = unquoted
        words.append(plain)
    return (found.scheme.lower(), found.netloc.lower()), [word for word in words if word]
