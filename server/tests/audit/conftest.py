"""The store that is attacked, built once on each engine: every attack on it is undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audit.sealed import Target, build


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A sealed store, built once."""
    folder = tmp_path_factory.mktemp("sealed")
    server = None if request.param == "sqlite" else request.getfixturevalue("postgres")
    url = f"sqlite:///{folder / 'store.db'}" if server is None else server.create()
    build(url, folder / "trust")
    opened = Target(url, folder / "trust")
    yield opened
    opened.close()
    if server is not None:
        server.drop(url)
