"""What the small files beside a logged model say of it, as far as they can be read: ``MLmodel`` and requirements."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from muniment.model.mlflow import framework_of, signature_of
from muniment.model.model import Framework, Signature
from muniment.model.run import Environment

MODEL, REQUIREMENTS = "MLmodel", "requirements.txt"
ENVIRONMENTS = ("python_env.yaml", "conda.yaml")
FILES = (MODEL, REQUIREMENTS, *ENVIRONMENTS)
SIZE_LIMIT = 1_048_576
"""Bytes of a file that is read."""
PARTS_LIMIT = 200_000
"""Values in a document."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is some twenty times as fast
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*===?\s*([\w.!+-]+)\s*(?:[;#].*)?\Z")
_PYTHON = re.compile(r"python\s*==?\s*([0-9][\w.]*)\s*\Z")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say."""

    signature: Signature | None = None
    framework: Framework | None = None
    environment: Environment | None = None


def read(files: Mapping[str, bytes]) -> Told:
    """What is in the files, by their names; those that are not what they should be say nothing."""
    document = _document(files.get(MODEL))
    flavors = _mapping(document.get("flavors"))
    python = _python(flavors, files)
    packages = _packages(files.get(REQUIREMENTS, b""))
    known = python is not None or packages is not None
    return Told(
        signature=signature_of(_mapping(document.get("signature"))),
        framework=framework_of(flavors),
        environment=Environment(python=python, packages_digest=packages) if known else None,
    )


def digest(files: Mapping[str, str]) -> str:
    """The digest of files together: that of the lines ``DIGEST  PATH``, by path.

    Args:
        files: the digest of each by its path.
    """
    lines = "".join(f"{said}  {path}\n" for path, said in sorted(files.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _document(raw: bytes | None) -> dict[str, Any]:
    """A YAML mapping; what is none, or cannot be read, is empty."""
    try:
        found = yaml.load(raw or b"", Loader=_LOADER)  # noqa: S506 - it is one of the safe ones
        return _mapping(found) if _is_bounded(found) else {}
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
        return {}


def _is_bounded(document: Any) -> bool:
    """Whether a document is as small as it looks: in YAML a part may stand for another, and that for others still."""
    waiting, left = [document], PARTS_LIMIT
    while waiting and left > 0:
        part, left = waiting.pop(), left - 1
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | set | tuple):
            waiting.extend(part)
    return left > 0


def _mapping(found: Any) -> dict[str, Any]:
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _python(flavors: Mapping[str, Any], files: Mapping[str, bytes]) -> str | None:
    """The version of Python: of the generic flavor, or of the files that make an environment again."""
    said: list[Any] = [_mapping(flavors.get("python_function")).get("python_version")]
    for name in ENVIRONMENTS:
        document = _document(files.get(name))
        said.append(document.get("python"))
        listed: Any = document.get("dependencies")
        texts: Sequence[Any] = listed if isinstance(listed, list) else []
        said += [match[1] for text in texts if isinstance(text, str) and (match := _PYTHON.match(text))]
    return next((text[:100] for text in said if isinstance(text, str) and text.strip()), None)


def _packages(raw: bytes) -> str | None:
    """The digest of the packages that are pinned, as it is computed where a run's are listed; None if none is."""
    lines = set()
    for line in raw.decode("utf-8", "replace").splitlines():
        match = _PIN.match(line.strip())
        if match is not None:
            lines.add(f"{re.sub(r'[-_.]+', '-', match[1]).lower()}=={match[2]}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() if lines else None
