"""How requests reach a store: over HTTP, or in this very process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple, Protocol

from muniment.model.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    import urllib3

TIMEOUT_SECONDS = 60.0
PIECE = 1 << 20
"""Bytes of one piece of an artifact."""


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Opened(NamedTuple):
    """A response whose body comes piece by piece."""

    status: int
    headers: dict[str, str]
    chunks: Iterator[bytes]


class Transport(Protocol):
    """Whatever can carry a request."""

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send one request and wait for its answer.

        Args:
            method: of HTTP.
            target: path and query string, percent-encoded.
            headers: by name.
            body: bytes, or empty.

        Raises:
            Unavailable: the store cannot be reached.
        """
        ...

    def open(self, method: str, target: str, headers: dict[str, str], body: Iterable[bytes]) -> Opened:
        """Send one request piece by piece, and read its answer so. It is not tried again.

        Args:
            method: of HTTP.
            target: path and query string, percent-encoded.
            headers: by name.
            body: pieces of it.

        Raises:
            Unavailable: the store cannot be reached; while reading, that it was lost.
        """
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class HttpTransport:
    """Requests over HTTP with keep-alive; safe to use from many threads.

    Args:
        url: of the server, such as ``http://127.0.0.1:5050``.
    """

    def __init__(self, url: str) -> None:
        import urllib3  # noqa: PLC0415 - importing muniment costs nothing of this

        self._url = url.rstrip("/")
        scheme, _, rest = self._url.partition("://")
        self._said = f"{scheme}://{rest.rpartition('@')[2]}"
        """The URL without a password, which must not get into a log."""
        self._retries = urllib3.Retry(
            total=4, backoff_factor=0.2, allowed_methods=None, status_forcelist=[503], raise_on_status=False
        )
        self._pool: urllib3.PoolManager = urllib3.PoolManager(
            num_pools=2, maxsize=16, timeout=urllib3.Timeout(total=TIMEOUT_SECONDS), retries=self._retries
        )

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send one request; what fails on the way is tried again, which every request of this client survives."""
        import urllib3  # noqa: PLC0415

        try:
            answer = self._pool.request(method, self._url + target, headers=headers, body=body or None)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise Unavailable(f"{self._said} cannot be reached: {reason}") from None
        return Answer(answer.status, dict(answer.headers), answer.data)

    def open(self, method: str, target: str, headers: dict[str, str], body: Iterable[bytes]) -> Opened:
        """Send one request piece by piece; its answer comes so too."""
        import urllib3  # noqa: PLC0415

        try:
            answer = self._pool.request(
                method, self._url + target, headers=headers, body=body or None, preload_content=False, retries=False,
                timeout=urllib3.Timeout(connect=TIMEOUT_SECONDS, read=TIMEOUT_SECONDS), decode_content=False,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self._said} cannot be reached: {error}") from None

        def chunks() -> Iterator[bytes]:
            try:
                yield from answer.stream(PIECE)
            except urllib3.exceptions.HTTPError as error:
                raise Unavailable(f"{self._said} was lost while it answered: {error}") from None
            finally:
                answer.release_conn()

        return Opened(answer.status, {name.lower(): value for name, value in answer.headers.items()}, chunks())

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


def open_transport(url: str) -> Transport:
    """The transport for a URL: ``http(s)://HOST``, or a store's own URL to work without a server.

    Raises:
        InvalidInput: the URL is none of these.
        Unavailable: a store's own URL needs the package `muniment`, which is not installed.
    """
    scheme = url.partition(":")[0]
    if scheme in {"http", "https"}:
        return HttpTransport(url)
    if scheme not in {"sqlite", "postgresql"}:
        raise InvalidInput(f"a store is http://HOST:PORT, sqlite:///PATH or postgresql://…, not {url[:120]!r}")
    found = list(entry_points(group="muniment.transports", name="embedded"))
    if not found:
        raise Unavailable(f"{url} is opened in this process, which needs the server package: pip install muniment")
    opened: Transport = found[0].load()(url)
    return opened
