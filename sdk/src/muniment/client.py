"""The client: one method per operation, records in and out."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from pathlib import Path as Path_
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from muniment import transfer
from muniment.model.artifact import Attached, Attachment, Attachments
from muniment.model.bulk import Imported, Line
from muniment.model.dataset import Dataset, DatasetVersion, NewDataset, NewDatasetVersion
from muniment.model.errors import MunimentError, all_errors
from muniment.model.evaluation import Evaluation, NewEvaluation
from muniment.model.experiment import Experiment, NewExperiment
from muniment.model.facet import Facet, Facets, FacetSet, FacetType, NewFacet, NewFacetType
from muniment.model.ids import new_id
from muniment.model.job import Job, NewJob
from muniment.model.ledger import Changes
from muniment.model.link import Lineage, LineageQuery, NewLink
from muniment.model.metric import Chart, NewPoints, PointsWritten, Series
from muniment.model.model import Model, ModelData, ModelVersion, NewModel, NewModelVersion
from muniment.model.note import NewNote, Note
from muniment.model.othername import NamedRecord, NameSet, NewOtherName, OtherNames
from muniment.model.project import NewProject, Project
from muniment.model.question import (
    AncestryDifference,
    Best,
    BestQuery,
    Compare,
    Comparison,
    History,
    Path,
    Reproducibility,
    SimilarRuns,
)
from muniment.model.record import LifecycleSet, NewErasure, NewTags, Tags, TagsSet
from muniment.model.run import NewRun, Run, RunChange, RunData
from muniment.model.search import Page, Query, WorkspacePage, WorkspaceQuery
from muniment.transport import Answer, Opened, open_transport

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

    def of_project(self, project: str) -> Client:
        """A client of another project by the same connection, which stays this one's to close."""
        made = copy.copy(self)
        made.project = project
        made._base = f"/v1/projects/{quote(project, safe='')}"  # noqa: SLF001 - it is of this class
        return made

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

    def open(self, method: str, target: str, headers: dict[str, str], body: Iterable[bytes] = ()) -> Opened:
        """One request whose body and answer come piece by piece. It is not tried again.

        Raises:
            MunimentError: what the server said, as the class of its code.
        """
        opened = self._transport.open(method, target, {"Accept": MSGPACK, **headers}, body)
        if opened.status >= 400:
            raise _error(Answer(opened.status, opened.headers, b"".join(opened.chunks)))
        return opened

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

    def search_all(self, query: WorkspaceQuery) -> WorkspacePage:
        """The first page of a search in each project that the caller may read."""
        return self.call("POST", "/v1/search", WorkspacePage, query)

    def changes(self, *, after: str = "0", limit: int | None = None, wait: float | None = None) -> Changes:
        """What was written after a cursor, in order; from the beginning of the project if none is given.

        Args:
            after: the ``next`` of the page before, or a position.
            limit: entries at the most.
            wait: seconds to wait for news if there is none, up to 60.
        """
        return self.call("GET", f"{self._base}/changes{_query(after=after, limit=limit, wait=wait)}", Changes)

    def series(self, run: str, key: str, *, as_of: int | str | None = None, page: str | None = None) -> Series:
        """A page of one series; its columns are packed 64-bit little-endian (`array.array` or numpy read them)."""
        return self.call("GET", f"{self._base}/runs/{run}/series{_query(key=key, as_of=as_of, page=page)}", Series)

    def chart(self, run: str, key: str, *, buckets: int = 500, as_of: int | str | None = None) -> Chart:
        """One series as it is drawn."""
        query = _query(key=key, buckets=buckets, as_of=as_of)
        return self.call("GET", f"{self._base}/runs/{run}/series/chart{query}", Chart)

    # records

    def create_job(self, new: NewJob) -> Job:
        """Create a job; one that exists with the same content is returned."""
        return self.call("POST", f"{self._base}/jobs", Job, new)

    def create_dataset(self, new: NewDataset) -> Dataset:
        """Create a dataset; one that exists with the same content is returned."""
        return self.call("POST", f"{self._base}/datasets", Dataset, new)

    def create_dataset_version(self, dataset: str, new: NewDatasetVersion) -> DatasetVersion:
        """Record a version of a dataset; the same version, or the same digest, is returned as it is."""
        once = new.version is None and new.digest is None
        target = f"{self._base}/datasets/{_part(dataset)}/versions"
        return self.call("POST", target, DatasetVersion, new, once=once)

    def get_dataset_version(self, dataset: str, version: str, *, as_of: int | str | None = None) -> DatasetVersion:
        """One version of a dataset; ``latest`` is the youngest."""
        target = f"{self._base}/datasets/{_part(dataset)}/versions/{_part(version)}{_query(as_of=as_of)}"
        return self.call("GET", target, DatasetVersion)

    def create_model(self, new: NewModel) -> Model:
        """Create a model; one that exists with the same content is returned."""
        return self.call("POST", f"{self._base}/models", Model, new)

    def get_model(self, model: str, *, as_of: int | str | None = None) -> ModelData:
        """A model with its versions and aliases."""
        return self.call("GET", f"{self._base}/models/{_part(model)}{_query(as_of=as_of)}", ModelData)

    def create_model_version(self, model: str, new: NewModelVersion) -> ModelVersion:
        """Register a version of a model."""
        target = f"{self._base}/models/{_part(model)}/versions"
        return self.call("POST", target, ModelVersion, new, once=new.version is None)

    def get_model_version(self, model: str, version: str | int, *, as_of: int | str | None = None) -> ModelVersion:
        """One version of a model, by number, alias or ``latest``."""
        target = f"{self._base}/models/{_part(model)}/versions/{_part(str(version))}{_query(as_of=as_of)}"
        return self.call("GET", target, ModelVersion)

    def set_alias(self, model: str, alias: str, version: str | int) -> None:
        """Let an alias of a model mean a version from now on."""
        self.call("PUT", f"{self._base}/models/{_part(model)}/aliases/{_part(alias)}", dict, {"version": version})

    def create_evaluation(self, new: NewEvaluation) -> Evaluation:
        """Record how good a model version is on a dataset version or a slice of it."""
        return self.call("POST", f"{self._base}/evaluations", Evaluation, new, once=new.id is None)

    def add_links(self, links: list[NewLink]) -> None:
        """Record that data flowed from one record to another; what holds already stays."""
        self.call("POST", f"{self._base}/links", dict, {"links": links})

    # artifacts

    def upload(
        self, record: str, path: str, source: str | os.PathLike[str] | bytes, media_type: str | None = None
    ) -> Attached:
        """Give a record a file or bytes under a path; what the store has already is not sent again.

        Args:
            record: a run, a version, an evaluation, by id or reference.
            path: where the record has it, such as ``model/weights.bin``.
            source: a file, or the bytes.
            media_type: what it is; guessed from the path if it is left out.
        """
        return transfer.upload(self, f"{self._base}/records/{_part(record)}/artifacts", path, source, media_type)

    def artifacts(self, record: str, *, prefix: str = "", as_of: int | str | None = None) -> list[Attachment]:
        """The artifacts of a record, by path."""
        found: list[Attachment] = []
        after: str | None = ""
        while after is not None:
            query = _query(prefix=prefix, after=after, as_of=as_of)
            page = self.call("GET", f"{self._base}/records/{_part(record)}/artifacts{query}", Attachments)
            found += page.artifacts
            after = page.next
        return found

    def download(self, record: str, path: str, to: str | os.PathLike[str], *, as_of: int | str | None = None) -> Path_:
        """Write an artifact of a record to a file, or into a folder; it is there whole, with its digest checked.

        Raises:
            Unavailable: the bytes are not what they should be, or the store was lost too often.
        """
        target = f"{self._base}/records/{_part(record)}/artifacts/{quote(path)}{_query(as_of=as_of)}"
        return transfer.download(self, target, path, to)

    def download_all(
        self, record: str, to: str | os.PathLike[str], *, prefix: str = "", as_of: int | str | None = None
    ) -> list[Path_]:
        """Write all artifacts of a record into a folder, by their paths."""
        found = self.artifacts(record, prefix=prefix, as_of=as_of)
        return [self.download(record, item.path, transfer.within(to, item.path), as_of=as_of) for item in found]

    def remove_artifact(self, record: str, path: str) -> None:
        """Take an artifact away from a record; the past keeps it."""
        self.call("DELETE", f"{self._base}/records/{_part(record)}/artifacts/{quote(path)}", Attached)

    # what holds for records of every kind, given by id or reference

    def set_record_tags(self, record: str, tags: dict[str, str | None]) -> TagsSet:
        """Set tags of a record; None removes one."""
        return self.call("POST", f"{self._base}/records/{_part(record)}/tags", TagsSet, NewTags(tags=tags))

    def tags(self, record: str, *, as_of: int | str | None = None) -> dict[str, str]:
        """The tags of a record."""
        return self.call("GET", f"{self._base}/records/{_part(record)}/tags{_query(as_of=as_of)}", Tags).tags

    def delete(self, record: str) -> LifecycleSet:
        """Delete a record: searches pass it over, and nothing is written to it until it is restored."""
        return self.call("DELETE", f"{self._base}/records/{_part(record)}", LifecycleSet)

    def restore(self, record: str) -> LifecycleSet:
        """Restore a record that was deleted."""
        return self.call("POST", f"{self._base}/records/{_part(record)}/restore", LifecycleSet)

    def erase(self, record: str, reason: str) -> LifecycleSet:
        """Erase the content of a record for good. The reason stays in the history."""
        target = f"{self._base}/records/{_part(record)}/erase"
        return self.call("POST", target, LifecycleSet, NewErasure(reason=reason))

    # what people and other systems say of records

    def create_facet_type(self, new: NewFacetType) -> FacetType:
        """Say what facets of a name must be."""
        return self.call("POST", f"{self._base}/facet-types", FacetType, new, once=new.version is None)

    def set_facet(self, record: str, name: str, value: dict[str, Any]) -> FacetSet:
        """Set a facet of a record; it is checked against its type, if it has one."""
        target = f"{self._base}/records/{_part(record)}/facets/{_part(name)}"
        return self.call("PUT", target, FacetSet, NewFacet(value=value))

    def facets(self, record: str, *, as_of: int | str | None = None) -> dict[str, Facet]:
        """The facets of a record, by name."""
        return self.call("GET", f"{self._base}/records/{_part(record)}/facets{_query(as_of=as_of)}", Facets).facets

    def create_note(self, text: str, *, subject: str | None = None, title: str | None = None) -> Note:
        """Write a note on a record, or on the project."""
        new = NewNote(id=new_id(), subject=subject, title=title, text=text)
        return self.call("POST", f"{self._base}/notes", Note, new)

    def give_name(self, record: str, system: str, name: str, namespace: str = "", url: str | None = None) -> NameSet:
        """Let another system's name mean a record."""
        new = NewOtherName(record=record, system=system, namespace=namespace, name=name, url=url)
        return self.call("POST", f"{self._base}/names", NameSet, new)

    def names(self, record: str, *, as_of: int | str | None = None) -> list[NamedRecord]:
        """What other systems call a record."""
        return self.call("GET", f"{self._base}/records/{_part(record)}/names{_query(as_of=as_of)}", OtherNames).names

    def find_by_name(self, system: str, name: str, namespace: str = "") -> NamedRecord:
        """The record that another system's name means."""
        query = _query(system=system, namespace=namespace, name=name)
        return self.call("GET", f"{self._base}/names{query}", NamedRecord)

    def import_lines(
        self, lines: Iterable[Line | bytes], *, writer: str | None = None, after: int | None = None
    ) -> Imported:
        """Take in many commands; what is refused is reported, and the others go on.

        Args:
            lines: commands, or lines of NDJSON as they are.
            writer: 32 hex digits that stand for this stream; sent again with the same, it goes on where it broke off.
            after: how far the writer must have come; then every line says where it is `at`.

        Raises:
            Conflict: the writer has come elsewhere than `after`; an empty stream without it tells where.
        """
        target = f"{self._base}/import{_query(writer=writer, after=after)}"
        opened = self.open("POST", target, {"Content-Type": "application/x-ndjson"}, transfer.ndjson(lines))
        return msgspec.msgpack.decode(b"".join(opened.chunks), type=Imported)

    def import_table(self, table: Any, do: str, *, writer: str | None = None, after: int | None = None) -> Imported:
        """Take in a table, each row a command; what is refused is reported, and the others go on. Needs pyarrow.

        Args:
            table: an Arrow table or reader, a frame of polars or pandas: what gives an Arrow stream. Its columns are
                the command's fields; null is a field left out. `called` and `at` may be columns too, as in a `Line`.
            do: the command, such as ``dataset.create``. With ``run.log`` each row is a point: columns `run`, `key`,
                `value`, and `step` and `timestamp` if it has them; the points of one run in a record batch are one
                line.
            writer: as for `import_lines`.
            after: as for `import_lines`.

        Raises:
            Conflict: the writer has come elsewhere than `after`.
            InvalidInput: the table has columns that the command has not, or of types that it cannot take.
        """
        target = f"{self._base}/import{_query(writer=writer, after=after)}"
        opened = self.open("POST", target, {"Content-Type": transfer.ARROW}, transfer.arrow(table, do))
        return msgspec.msgpack.decode(b"".join(opened.chunks), type=Imported)

    # questions

    def lineage(self, record: str, query: LineageQuery) -> Lineage:
        """What a record descends from, or what descends from it."""
        asked = {name: getattr(query, name) for name in query.__struct_fields__}
        return self.call("GET", f"{self._base}/lineage/{_part(record)}{_query(**asked)}", Lineage)

    def best_on(self, query: BestQuery) -> Best:
        """The runs that scored best on a dataset version or a slice of it."""
        asked = {name: getattr(query, name) for name in query.__struct_fields__}
        return self.call("GET", f"{self._base}/best{_query(**asked)}", Best)

    def similar_runs(self, run: str, *, limit: int = 20, as_of: int | str | None = None) -> SimilarRuns:
        """Runs on data like that of a run, each with its reasons."""
        target = f"{self._base}/runs/{run}/similar{_query(limit=limit, as_of=as_of)}"
        return self.call("GET", target, SimilarRuns)

    def reproducibility(self, model: str, version: str | int, *, as_of: int | str | None = None) -> Reproducibility:
        """Everything that made a model version, and what is missing to make it again."""
        target = f"{self._base}/models/{_part(model)}/versions/{_part(str(version))}/reproducibility"
        return self.call("GET", target + _query(as_of=as_of), Reproducibility)

    def compare(self, records: list[str], *, as_of: int | str | None = None) -> Comparison:
        """Only the fields in which some records of one kind differ."""
        return self.call("POST", f"{self._base}/compare", Comparison, Compare(records=records, as_of=as_of))

    def changes_of(self, record: str, *, after: int = 0, as_of: int | str | None = None) -> History:
        """Everything that happened to a record, each field before and after."""
        return self.call(
            "GET", f"{self._base}/records/{_part(record)}/changes{_query(after=after, as_of=as_of)}", History
        )

    def path(self, first: str, last: str, *, as_of: int | str | None = None) -> Path:
        """How data came from one record to another, by the fewest links."""
        return self.call("GET", f"{self._base}/lineage/{_part(first)}/path/{_part(last)}{_query(as_of=as_of)}", Path)

    def ancestry_difference(self, first: str, second: str, *, as_of: int | str | None = None) -> AncestryDifference:
        """What only one of two records descends from."""
        target = f"{self._base}/lineage/{_part(first)}/difference/{_part(second)}{_query(as_of=as_of)}"
        return self.call("GET", target, AncestryDifference)


def _part(text: str) -> str:
    """A part of a path, whatever it holds."""
    return quote(text, safe="")


def _query(**values: Any) -> str:
    given = {name: value for name, value in values.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _error(received: Answer) -> MunimentError:
    try:
        refusal = msgspec.json.decode(received.body, type=_Refusal)
    except ValueError:
        refusal = _Refusal(detail=f"the server answered {received.status}: {received.body[:200]!r}")
    cls = all_errors().get(refusal.code, MunimentError)
    return cls(refusal.detail, field=refusal.field)
