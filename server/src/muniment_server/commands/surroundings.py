"""What a process finds around it, and whether that is good for Muniment: a part of `muniment doctor`."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import msgspec
import urllib3

from muniment.spool import delivery, layout
from muniment_server.services.doctor import Finding, Level, line, room
from muniment_server.store.engine import masked

PYTHON = (3, 11)
FEW_FILES, LITTLE_FILES = 256, 1024
"""Open files that a server cannot do with, and that it can for a small team."""
SERVER_SECONDS = 5.0
_PARTS = {"sklearn": ("muniment demo", "pip install 'muniment[demo]'")}
"""Modules that not everybody needs: for what, and how to get them."""
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^]]*\])?\s*(?:>=\s*([\d.]+))?")


def of_python() -> Iterator[Finding]:
    """Python and packages."""
    good = sys.version_info >= PYTHON
    advice = None if good else "use Python 3.11 or newer"
    yield Finding("ok" if good else "wrong", "Python", sys.executable, platform.python_version(), advice)
    ours = {name: _version(name) for name in ("muniment", "muniment-client")}
    found = ", ".join(f"{name} {number or 'not installed'}" for name, number in ours.items())
    if len(set(ours.values())) > 1 or None in ours.values():
        advice = "install the same release of both: pip install --upgrade muniment"
        yield Finding("wrong", "packages", sys.prefix, found, advice)
    else:
        yield Finding("ok", "packages", sys.prefix, found)
    lacking = sorted({text for name in ours for text in _lacking(name)})
    if lacking:
        advice = "pip install --upgrade muniment"
        yield Finding("wrong", "dependencies", sys.prefix, f"missing or too old: {', '.join(lacking)}", advice)
    for module, (purpose, command) in _PARTS.items():
        there = find_spec(module) is not None
        found = f"{module} {'is there' if there else 'is not installed'}, for {purpose}"
        yield Finding("ok", "optional", sys.prefix, found, None if there else command)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _lacking(name: str) -> Iterator[str]:
    """The requirements of a package that are not fulfilled here."""
    try:
        wanted = requires(name) or []
    except PackageNotFoundError:
        return
    for text in wanted:
        requirement, _, marker = text.partition(";")
        found = _REQUIREMENT.match(requirement.strip())
        if found is None or "extra" in marker or "win32" in marker:
            continue
        there = _version(found[1])
        if there is None or (found[2] and _numbers(there) < _numbers(found[2])):
            yield requirement.strip()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def of_limits() -> Iterator[Finding]:
    """Open files and the temporary folder."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    level: Level = "wrong" if files < FEW_FILES else "warning" if files < LITTLE_FILES else "ok"
    yield Finding(
        level, "open files", "this process", f"{files:,} at the most", None if level == "ok" else "ulimit -n 4096"
    )
    try:
        folder = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written by muniment doctor")
    except OSError as error:
        where = os.environ.get("TMPDIR") or tempfile.tempdir or "the temporary folder"
        yield Finding("wrong", "temporary folder", where, line(error), "set TMPDIR to a folder that can be written")
        return
    yield room("temporary folder", folder, "free some space, or set TMPDIR to another disk")


def of_spool(disk: Path) -> Iterator[Finding]:
    """What waits to be sent, and what stores have refused."""
    where = str(disk)
    try:
        waiting = delivery.waiting(disk)
    except OSError as error:
        yield Finding("wrong", "spool", where, line(error), "set MUNIMENT_SPOOL to a folder of this user")
        return
    for item in waiting:
        yield from _of_writer(disk, item)
    for path in sorted((disk / "refused").glob("*.ndjson")):
        text = "a store has refused some entries; the file says why"
        yield Finding("wrong", "refused", str(path), text, "log them again as they should be, then delete the file")
    if not any(item.left or item.trouble for item in waiting):
        yield Finding("ok", "spool", where, "nothing waits")


def _of_writer(disk: Path, item: delivery.Waiting) -> Iterator[Finding]:
    where = f"{disk / item.writer}"
    who = f"{item.program} ({item.host}, process {item.pid})"
    if item.trouble:
        text = f"what {who} has logged cannot be read: {masked(item.trouble)}"
        yield Finding("wrong", "spool", where, text, "keep the folder, and report it")
    elif item.left:
        sent = layout.read_sent([root / item.writer for root in layout.roots(disk)])
        away = sent.state != layout.GOING
        text = f"{item.left:,} entries of {who} wait for {masked(item.url)}"
        if away:
            yield Finding("wrong", "spool", where, f"{text}, which cannot be reached", "start it, then muniment sync")
        else:
            level: Level = "ok" if item.alive else "warning"
            yield Finding(level, "spool", where, text, None if item.alive else "muniment sync")


class _Info(msgspec.Struct):
    version: str


class _Document(msgspec.Struct):
    info: _Info


def of_server(url: str | None) -> Iterator[Finding]:
    """The server that clients of this environment speak to."""
    if not url:
        yield Finding("ok", "server", "MUNIMENT_URL", "is not set: none was asked")
        return
    where = masked(url)
    if not url.startswith(("http://", "https://")):
        yield Finding("ok", "server", where, "is a store's own URL: clients open it without a server")
        return
    pool = urllib3.PoolManager(retries=False, timeout=SERVER_SECONDS)
    try:
        health = pool.request("GET", f"{url.rstrip('/')}/health")
        document = pool.request("GET", f"{url.rstrip('/')}/v1/openapi.json")
        theirs = msgspec.json.decode(document.data, type=_Document).info.version
    except (urllib3.exceptions.HTTPError, msgspec.MsgspecError, ValueError) as error:
        yield Finding("wrong", "server", where, f"does not answer: {_reason(error)}", "start it, or set MUNIMENT_URL")
        return
    finally:
        pool.clear()
    if (health.status, health.data) != (200, b"OK"):
        advice = "read its log; its store may be away"
        yield Finding("wrong", "server", where, f"answers {health.status} to /health", advice)
        return
    same = theirs == _version("muniment")
    differs = None if same else f"this is {_version('muniment')}: install the same release on both sides"
    yield Finding("ok" if same else "wrong", "server", where, f"answers, release {theirs}", differs)


def _reason(error: Exception) -> str:
    if isinstance(error, msgspec.MsgspecError):
        return "what is there is no Muniment"
    return (
        "cannot be connected to" if isinstance(error, urllib3.exceptions.NewConnectionError) else type(error).__name__
    )
