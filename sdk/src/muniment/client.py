"""The client: one method per operation, records in and out."""

from __future__ import annotations

from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from muniment.model.errors import MunimentError, all_errors
from muniment.model.experiment import Experiment, NewExperiment
from muniment.model.ids import new_id
from muniment.model.metric import Chart, NewPoints, PointsWritten, Series
from muniment.model.project import NewProject, Project
from muniment.model.run import NewRun, Run, RunChange, RunData
from muniment.model.search import Page, Query
from muniment.transport import Answer, open_transport

MSGPACK = "application/msgpack"
T = TypeVar("T")


class _Refusal(msgspec.Struct):
    """The parts of a problem that the client needs."""

    code: str = "error"
    detail: str = ""
    field: str | None = None


class Client:
    """A connection to one project of a store. Safe to use from many threads.

    Args:
        url: ``http://HOST:PORT``, or a store's own URL (``sqlite:///PATH``) to work without a server.
        project: the project.
    """

    def __init__(self, url: str, project: str = "default") -> None:
        self.url = url
        self.project = project
        self._transport = open_transport(url)
        self._base = f"/v1/projects/{quote(project, safe='')}"

    def close(self) -> None:
        """Close the connection; an embedded store is sealed."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def call(self, method: str, target: str, answer: type[T], body: Any = None, *, once: bool = False) -> T:
        """One request.

        Args:
            method: of HTTP.
            target: path and query string.
            answer: the type of the answer.
            body: a record to send.
            once: send an idempotency key, so that a retry cannot do it twice.

        Raises:
            MunimentError: what the server said, as the class of its code.
        """
        headers = {"Accept": MSGPACK}
        raw = b""
        if body is not None:
            headers["Content-Type"] = MSGPACK
            raw = msgspec.msgpack.encode(body)
        if once:
            headers["Idempotency-Key"] = new_id()
        received = self._transport.request(method, target, headers, raw)
        if received.status >= 400:
            raise _error(received)
        return msgspec.msgpack.decode(received.body, type=answer)

    def create_project(self, slug: str, description: str | None = None) -> Project:
        """Create a project; one that exists with the same content is returned."""
        return self.call("POST", "/v1/projects", Project, NewProject(slug=slug, description=description))

    def create_experiment(self, name: str, description: str | None = None) -> Experiment:
        """Create an experiment; one that exists is returned."""
        new = NewExperiment(name=name, description=description)
        return self.call("POST", f"{self._base}/experiments", Experiment, new)

    def create_run(self, new: NewRun) -> Run:
        """Start a run. Give it an id to make the call repeatable."""
        return self.call("POST", f"{self._base}/runs", Run, new, once=new.id is None)

    def update_run(self, run: str, change: RunChange) -> Run:
        """Change a run's own fields."""
        return self.call("PATCH", f"{self._base}/runs/{run}", Run, change)

    def get_run(self, run: str, *, as_of: int | str | None = None) -> RunData:
        """One run with its params, tags and summaries, now or as of a position or time."""
        return self.call("GET", f"{self._base}/runs/{run}{_query(as_of=as_of)}", RunData)

    def log_params(self, run: str, params: dict[str, str | int | float | bool]) -> None:
        """Log params of a run; one that is there with another value is refused."""
        self.call("POST", f"{self._base}/runs/{run}/params", dict, {"params": params})

    def set_tags(self, run: str, tags: dict[str, str | None]) -> None:
        """Set tags of a run; None removes one."""
        self.call("POST", f"{self._base}/runs/{run}/tags", dict, {"tags": tags})

    def log_points(self, run: str, points: NewPoints) -> PointsWritten:
        """Log points of a run."""
        return self.call("POST", f"{self._base}/runs/{run}/points", PointsWritten, points)

    def search(self, query: Query) -> Page:
        """One page of a search."""
        return self.call("POST", f"{self._base}/search", Page, query)

    def series(self, run: str, key: str, *, as_of: int | str | None = None, page: str | None = None) -> Series:
        """A page of one series; its columns are packed 64-bit little-endian (`array.array` or numpy read them)."""
        return self.call("GET", f"{self._base}/runs/{run}/series{_query(key=key, as_of=as_of, page=page)}", Series)

    def chart(self, run: str, key: str, *, buckets: int = 500, as_of: int | str | None = None) -> Chart:
        """One series as it is drawn."""
        query = _query(key=key, buckets=buckets, as_of=as_of)
        return self.call("GET", f"{self._base}/runs/{run}/series/chart{query}", Chart)


def _query(**values: Any) -> str:
    given = {name: value for name, value in values.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _error(received: Answer) -> MunimentError:
    try:
        refusal = msgspec.json.decode(received.body, type=_Refusal)
    except msgspec.DecodeError:
        refusal = _Refusal(detail=f"the server answered {received.status}: {received.body[:200]!r}")
    cls = all_errors().get(refusal.code, MunimentError)
    return cls(refusal.detail, field=refusal.field)
