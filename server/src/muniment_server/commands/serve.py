"""`muniment serve`."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated

import pyarrow as pa
import structlog
import typer
import uvicorn

from muniment.model.errors import Unavailable
from muniment_server.annexes.keeper import Keeper
from muniment_server.api.app import Application
from muniment_server.api.doors import ROUTES
from muniment_server.commands.logs import LogFormat, configure
from muniment_server.commands.options import ArtifactsOption, StoreOption, TrustOption, store_url
from muniment_server.services.workspace import Workspace
from muniment_server.store.engine import Durability, parse_url

LOOPBACK = frozenset(("localhost", "127.0.0.1", "[::1]", "::1"))
GRACE_SECONDS = 5
"""How long requests under way may take after the order to stop."""

_log = structlog.get_logger()


def serve(
    store: StoreOption = None,
    trust: TrustOption = None,
    artifacts: ArtifactsOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5050,
    durability: Annotated[
        Durability, typer.Option(help="What an acknowledged write survives: this process, or a loss of power too.")
    ] = "process",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name by which this server may be addressed. Repeatable.")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="How logs are written.")] = "auto",
) -> None:
    """Serve a store over HTTP.

    Examples:
      muniment serve

      muniment serve --store sqlite:///team.db --port 8080

      muniment serve --store postgresql://muniment@db/muniment --host 0.0.0.0 --trust /mnt/elsewhere/trust
      --artifacts s3://team/muniment
    """
    configure(log_format)
    url = store_url(store)
    with _only_server_of(url), _listening(host, port) as listener:
        workspace = Workspace(url, durability=durability, trust=trust, artifacts=artifacts)
        keeper = Keeper(workspace)
        keeper.start()
        address = listener.getsockname()
        _log.info(
            "serving", url=f"http://{host}:{address[1]}", store=workspace.store.name,
            artifacts=workspace.blobs.url, trust=str(workspace.trust.path), version=version("muniment"),
        )  # fmt: skip
        for order in (signal.SIGTERM, signal.SIGINT):
            signal.signal(order, lambda *_: None)  # uvicorn raises the signal again once it has stopped
        try:
            _collect_seldom()
            server = _Server(workspace, _config(workspace, _hosts(host, allow_host or [])))
            server.run(sockets=[listener])
        finally:
            keeper.stop()
            workspace.close()
            _log.info("stopped")


def _collect_seldom() -> None:
    """Let Python look for circles of garbage less often: what a write of many records holds is no garbage yet.

    A process of our own may do so; the one that a store is embedded in belongs to somebody else.
    """
    gc.collect()
    gc.freeze()  # what was imported stays
    gc.set_threshold(10_000, 10, 10)
    pa.set_memory_pool(pa.system_memory_pool())  # which gives back what a segment needed; Arrow's own keeps it


def _hosts(host: str, more: list[str]) -> frozenset[str] | None:
    """The names to answer to: any, unless this machine alone is listened to."""
    if host not in LOOPBACK:
        return frozenset((*LOOPBACK, *more)) if more else None
    return LOOPBACK | {name.lower() for name in more}


def _config(workspace: Workspace, hosts: frozenset[str] | None) -> uvicorn.Config:
    return uvicorn.Config(
        Application(workspace, ROUTES, hosts),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class _Server(uvicorn.Server):
    """Ends streams before it waits for connections, so that stopping takes no longer than the work under way."""

    def __init__(self, workspace: Workspace, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._workspace = workspace

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._workspace.feed.close()
        super().handle_exit(sig, frame)


@contextmanager
def _only_server_of(url: str) -> Iterator[None]:
    """Hold the right to serve a SQLite file.

    Raises:
        Unavailable: another server has it.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        yield
        return
    path = Path(parsed.database)
    if not path.parent.is_dir():
        raise Unavailable(f"the folder {path.parent} does not exist; create it, or name another --store")
    name = path.with_name(path.name + "-serve.lock")
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Unavailable(f"{name} cannot be made: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(lock, 20).decode(errors="replace").strip()
            raise Unavailable(
                f"{path} is served already, by process {owner or 'unknown'}: "
                "use that server, stop it, or name another --store"
            ) from None
        with suppress(OSError):  # the number is a courtesy to whoever is refused; a full disk may keep it out
            os.truncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())
        yield
    finally:
        os.close(lock)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"port {port} of {host} is taken; stop what listens there, or choose another --port"
            ) from None
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}") from None
    with listener:
        yield listener
