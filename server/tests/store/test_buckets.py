"""Artifacts in a bucket: the same use cases over S3's own protocol."""

from __future__ import annotations

import asyncio
import hashlib
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from muniment.model.artifact import Collect
from muniment.model.errors import InvalidInput, MunimentError, Unavailable
from muniment.model.experiment import NewExperiment
from muniment.model.run import NewRun
from muniment_server.services import artifacts, experiments, runs, verify
from muniment_server.services.workspace import Workspace
from muniment_server.store.blobs import Blobs

BYTES = bytes(range(256)) * 50_000
"""More than two parts of an upload."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    bucket = urllib.request.Request(f"{url}/team", method="PUT")
    urllib.request.urlopen(bucket).close()
    yield url
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return "s3://team/muniment"


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1 << 20):
        yield content[start : start + (1 << 20)]


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def test_artifacts_lie_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    workspace = Workspace(f"sqlite:///{tmp_path / 'store.db'}", artifacts=bucket)
    common: Any = (workspace, workspace.owner_scope, "default")

    async def use() -> None:
        run = workspace.writer.write(runs.create(*common, NewRun(experiment="e"))).id
        received = await artifacts.receive(*common, _chunks(BYTES), digest=hashlib.sha256(BYTES).hexdigest())
        made = (await artifacts.keep_at(*common, run, "w", received)).artifact
        assert made is not None
        assert await _whole(artifacts.content(workspace, made, 0, made.size)) == BYTES
        assert await _whole(artifacts.content(workspace, made, 5_000_000, 1_000)) == BYTES[5_000_000:5_001_000]
        with pytest.raises(InvalidInput, match="digest"):
            await artifacts.receive(*common, _chunks(BYTES), digest="0" * 64)
        whole = verify.store(workspace.store, workspace.trust)
        found = await verify.with_bytes(workspace.store, workspace.blobs, whole, lambda *_: None)
        assert (found.ok, found.artifacts) == (True, 1)
        await workspace.writer.write_async(artifacts.detach(*common, run, "w"))
        assert (await artifacts.collect(*common, Collect(older_than=0))).artifacts == 1
        with pytest.raises(MunimentError):
            await _whole(workspace.blobs.get(made.location, 0, made.size))

    try:
        workspace.writer.write(experiments.create(*common, NewExperiment(name="e")))
        asyncio.run(use())
    finally:
        workspace.close()


def test_a_bucket_that_is_not_there_is_told_in_one_line(bucket: str) -> None:
    blobs = Blobs(f"{bucket.replace('team', 'nobodys')}")
    with pytest.raises(Unavailable) as caught:
        asyncio.run(blobs.put("a", _chunks(b"x")))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("url", ["http://example.com/x", "/folder", "ftp://x", ""])
def test_a_place_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="artifacts lie at"):
        Blobs(url)
