"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from muniment.model.errors import InvalidInput
from muniment_server.services.workspace import Workspace, data_folder
from muniment_server.store.engine import parse_url

StoreOption = Annotated[
    str | None,
    typer.Option(
        help="sqlite:///PATH or postgresql://USER@HOST/DATABASE. Default: a file in your data directory.",
        envvar="MUNIMENT_STORE",
    ),
]
TrustOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the signing key and the published checkpoints. Keep it away from the store.",
        envvar="MUNIMENT_TRUST",
    ),
]
ArtifactsOption = Annotated[
    str | None,
    typer.Option(
        help="Where the bytes of artifacts lie: file:///FOLDER, s3://BUCKET/PREFIX, gs://… or az://…. "
        "Default: a folder beside the store.",
        envvar="MUNIMENT_ARTIFACTS",
    ),
]


def store_url(given: str | None) -> str:
    """The store to use: the given one, or a file in the user's data directory."""
    if given:
        return given
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'store.db'}"


@contextmanager
def opening(store: str | None, artifacts: str | None, trust: Path | None) -> Iterator[Workspace]:
    """The store that the options name, with its writer, for one command."""
    workspace = Workspace(store_url(store), trust=trust, artifacts=artifacts)
    try:
        yield workspace
    finally:
        workspace.close()


def check_there(url: str) -> None:
    """Check that a store that is only to be read is there: SQLite would make an empty one of a mistyped path.

    Raises:
        InvalidInput: there is no such file.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        raise InvalidInput(f"there is no store at {parsed.database}; name it by --store", field="store")
