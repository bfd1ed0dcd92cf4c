"""The use case of asking whether the store can serve."""

from __future__ import annotations

from muniment_server.services.workspace import Workspace
from muniment_server.store import heads
from muniment_server.store.tables import SYSTEM_PROJECT


def check(workspace: Workspace) -> None:
    """Read the store.

    Raises:
        Unavailable: it cannot be read.
    """
    with workspace.store.read() as connection:
        heads.read(connection, SYSTEM_PROJECT)
