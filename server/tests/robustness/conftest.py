"""One stage for each engine and module: bad input must leave it as it was, so its tests can share it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from audit.sealed import build
from conftest import Postgres

from robustness.site import Site, dialect
from robustness.stage import Stage


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """A traceback drawn for a terminal takes seconds; the answers say all that is asserted."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A store with a little in it, behind the application."""
    folder = tmp_path_factory.mktemp("stage")
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    url = server.create() if server is not None else f"sqlite:///{folder / 'store.db'}"
    made = Stage(url, folder / "trust")
    yield made
    made.close()
    if server is not None:
        server.drop(url)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A store with every kind of record, seals, compacted and loose points, artifacts and erased runs."""
    folder = tmp_path_factory.mktemp("whole")
    server: Postgres | None = None if request.param == "sqlite" else request.getfixturevalue("postgres")
    site = Site(f"sqlite:///{folder / 'store.db'}" if server is None else server.create(), folder)
    build(site.url, site.trust)
    yield site
    if server is not None:
        server.drop(site.url)


@pytest.fixture(scope="module")
def taken(whole: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taken") / "backup"
    whole.take(folder)
    return folder


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    """Empty places, by engine."""
    made: list[str] = []

    def place(dialect: str) -> Site:
        folder = tmp_path / f"place-{len(made)}"
        folder.mkdir()
        if dialect == "sqlite":
            made.append("")
            return Site(f"sqlite:///{folder / 'restored.db'}", folder)
        made.append(request.getfixturevalue("postgres").create_empty())
        return Site(made[-1], folder)

    yield place
    for url in filter(None, made):
        request.getfixturevalue("postgres").drop(url)


@pytest.fixture
def empty(whole: Site, places: Callable[[str], Site]) -> Site:
    """An empty place of the same engine."""
    return places(dialect(whole.url))
