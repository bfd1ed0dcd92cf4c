"""Running again what a run recorded, from the plan to the certificate."""

from __future__ import annotations

import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from muniment.client import Client
from muniment.model.errors import Conflict
from muniment.model.ids import new_id
from muniment.model.link import NewLink
from muniment.model.run import REPRODUCTION, TERMINAL, RunData
from muniment.model.search import Query
from muniment.reproduction import checkout as checkout_
from muniment.reproduction import interpreter as interpreter_
from muniment.reproduction import running
from muniment.reproduction.certificate import FACET, KEPT, Certificate, MetricComparison
from muniment.reproduction.comparing import SYSTEM, Chunk, Tolerance, compare_series, compare_texts, verdict_of
from muniment.reproduction.plan import Recorded, fetch, read, used_by
from muniment.spool import layout
from muniment.spool.delivery import deliver


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is to be reproduced.

    Attributes:
        command: to run in place of the recorded one.
        folder: where to put code and environment; a temporary one if it is None.
        keep: keep the temporary folder.
        repository: path or URL to take the commit from.
        environment: which Python.
        tolerance: how far values may be apart.
        timeout: seconds that the command may take.
        quiet: standard output belongs to somebody else.
    """

    command: list[str] | None = None
    folder: Path | None = None
    keep: bool = False
    repository: str | None = None
    environment: interpreter_.Choice = "auto"
    tolerance: Tolerance = Tolerance()
    timeout: float | None = None
    quiet: bool = False


def reproduce(
    url: str,
    project: str,
    run: str,
    wish: Wish,
    *,
    agreed: Callable[[Recorded, list[str]], bool] = lambda _, __: True,
    tell: Callable[[str], None] = lambda _: None,
) -> Certificate | None:
    """Run again what a run recorded, compare, and record the certificate.

    The store is not open in this process while the command runs.

    Args:
        url: of the store.
        project: of the run.
        run: the run, or a version of a model that it made.
        wish: how.
        agreed: is shown what is recorded and the command, and says whether to go on.
        tell: hears what is being done.

    Returns:
        The certificate; None if it was not to go on.

    Raises:
        MunimentError: it could not be run.
    """
    if url.startswith("sqlite:///"):  # the command runs in another folder
        url = "sqlite:///" + str(Path(url.removeprefix("sqlite:///")).absolute())
    with Client(url, project) as client:
        recorded = read(client, run)
        command = running.command_of(recorded.code, wish.command)
        if not agreed(recorded, command):
            return None
        base = _fresh(wish.folder)
        try:
            code = checkout_.restore(
                recorded, lambda path: fetch(client, recorded.run.id, path), base / "code", wish.repository, Path.cwd()
            )
        except BaseException:
            _tidy(base, wish)
            raise
    try:
        return _run_and_compare(url, project, recorded, command, wish, code, tell)
    finally:
        _tidy(base, wish, tell)


def _fresh(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="muniment-reproduction-")).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} is there and not empty; say another --folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _tidy(base: Path, wish: Wish, tell: Callable[[str], None] = lambda _: None) -> None:
    if wish.keep or wish.folder is not None:
        tell(f"code and environment are in {base}")
    else:
        shutil.rmtree(base, ignore_errors=True)


def _run_and_compare(
    url: str, project: str, recorded: Recorded, command: list[str], wish: Wish, code: checkout_.Checkout,
    tell: Callable[[str], None],
) -> Certificate:  # fmt: skip
    tell(f"restored: {code.said}")
    python = interpreter_.choose(
        wish.environment, recorded.environment, recorded.packages, code.top.parent / "environment", code.top, tell
    )
    token = new_id()
    made = running.words(command, recorded.code, code, python.python)
    told = running.told(url, project, recorded.run.id, token)
    tell(f"running: {running.shown(made)}")
    status = running.run(
        made, code.folder,
        running.variables(recorded.environment, os.environ, python, code, told),
        wish.timeout, quiet=wish.quiet,
    )  # fmt: skip
    begun = Certificate(
        of=recorded.run.id, by=None, verdict="failed", environment=python.kind, code=code.said, command=command,
        exit_status=status, tolerance=wish.tolerance.relative, absolute=wish.tolerance.absolute,
        not_restored=[*recorded.missing(), *code.not_restored, *python.not_restored], made_at=datetime.now(UTC),
    )  # fmt: skip
    with _opened(url, project, token) as client:
        found = _certified(client, recorded, begun, _begun_with(client, token), wish.tolerance)
        _record(client, found)
    return found


@contextmanager
def _opened(url: str, project: str, token: str) -> Iterator[Client]:
    """The store again, with everything that the command has logged, as far as it can be had."""
    with Client(url, project) as client:
        begun = _begun_with(client, token)
        if begun and all(data.run.state in TERMINAL for data in begun):
            yield client
            return
    deliver(layout.root(), lambda *_: None)  # it may not have been waited for
    with Client(url, project) as client:
        yield client


def _begun_with(client: Client, token: str) -> list[RunData]:
    """The runs that the command has begun, in the order in which it began them."""
    query = Query(where=f"tags.`{REPRODUCTION}` = '{token}'", limit=1_000)
    found: list[RunData] = []
    while True:
        page = client.search(query)
        found += page.runs
        if page.next is None:
            return sorted(found, key=lambda data: (data.run.created_at, data.run.id))
        query = msgspec.structs.replace(query, page=page.next)


def counterpart(recorded: RunData, begun: list[RunData]) -> RunData | None:
    """The run that stands for the recorded one: by experiment, name, params and kind, as far as these tell them apart.

    None if there is none, or if several could be it.
    """
    left = begun
    tests: tuple[Callable[[RunData], bool], ...] = (
        lambda data: data.run.experiment == recorded.run.experiment,
        lambda data: data.run.name == recorded.run.name,
        lambda data: data.params == recorded.params,
        lambda data: data.run.kind == recorded.run.kind,
    )
    for test in tests:
        left = [data for data in left if test(data)] or left
    return left[0] if len(left) == 1 else None


def _certified(
    client: Client, recorded: Recorded, begun: Certificate, runs: list[RunData], tolerance: Tolerance
) -> Certificate:
    """The certificate, with what the command has come to."""
    change = msgspec.structs.replace
    if begun.exit_status is None:
        begun = change(begun, reason="its time was up, and it was ended")
    found = counterpart(recorded.data, runs)
    if found is None:
        ended = begun.reason or (f"it ended with status {begun.exit_status}" if begun.exit_status else "")
        several = f"it began {len(runs):,} runs, and none of them is alone by name or params"
        reason = several if runs else "it began no run in this store and project"
        return change(begun, reason=f"{ended}; {reason}" if ended else reason)
    original = recorded.data
    metrics = dict(_compared(client, original, found, tolerance))
    made = change(
        begun, by=found.run.id, metrics=metrics, compared=len(metrics), params=_differing(original, found),
        not_restored=[*begun.not_restored, *_data(recorded, used_by(client, found.run.id))],
    )  # fmt: skip
    if made.reason:
        return made
    if found.run.state != original.run.state:
        return change(made, reason=f"its run is {found.run.state}, the original is {original.run.state}")
    if begun.exit_status and original.run.state == "finished":
        return change(made, reason=f"it ended with status {begun.exit_status}")
    if not metrics:
        return change(made, reason="neither run has a metric to compare")
    return change(made, verdict=verdict_of(metrics))


def _compared(
    client: Client, original: RunData, found: RunData, tolerance: Tolerance
) -> Iterable[tuple[str, MetricComparison]]:
    names = sorted(name for name in original.metrics.keys() | found.metrics.keys() if not name.startswith(SYSTEM))
    for name in names:
        if name not in found.metrics:
            yield name, MetricComparison(verdict="only_original", points=[original.metrics[name].count, 0])
        elif name not in original.metrics:
            yield name, MetricComparison(verdict="only_reproduction", points=[0, found.metrics[name].count])
        else:
            first, second = _chunks(client, original.run.id, name), _chunks(client, found.run.id, name)
            yield name, compare_series(first, second, tolerance)


def _chunks(client: Client, run: str, metric: str) -> Iterator[Chunk]:
    """A series, page by page."""
    page: str | None = None
    while True:
        found = client.series(run, metric, page=page)
        assert isinstance(found.step, bytes)
        assert isinstance(found.value, bytes)
        yield Chunk(array("q", found.step), array("d", found.value))
        if found.next is None:
            return
        page = found.next


def _differing(original: RunData, found: RunData) -> dict[str, list[str | None]]:
    """Params and seeds that differ."""
    params = compare_texts(original.params, found.params)
    first, second = original.run.seeds or {}, found.run.seeds or {}
    seeds = compare_texts(
        {f"seeds.{name}": str(seed) for name, seed in first.items()},
        {f"seeds.{name}": str(seed) for name, seed in second.items()},
    )
    return params | seeds


def _data(recorded: Recorded, used: dict[str, str]) -> list[str]:
    """Data that only one of the runs is recorded to have used."""
    lines = [
        f"data: {name} is not recorded as used this time" for id_, name in recorded.used.items() if id_ not in used
    ]
    return lines + [f"data: {name} was not used then" for id_, name in used.items() if id_ not in recorded.used]


def _record(client: Client, certificate: Certificate) -> None:
    """Give both runs the certificate, and link them."""
    ordered = sorted(certificate.metrics.items(), key=lambda item: item[1].verdict == "equal")
    kept = msgspec.structs.replace(
        certificate, metrics=dict(ordered[:KEPT]), not_restored=certificate.not_restored[:KEPT]
    )
    document = msgspec.to_builtins(kept)
    client.set_facet(certificate.of, FACET, document)
    if certificate.by is not None:
        client.set_facet(certificate.by, FACET, document)
        client.add_links([NewLink(upstream=certificate.of, downstream=certificate.by, type="derived_from", role=FACET)])
