"""One stage for each engine and module: bad input must leave it as it was, so its tests can share it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

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
