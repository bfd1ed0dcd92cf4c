"""What lies in the database, read with plain SQL and checked with hashlib: leaves, payloads, roots, segments.

Nothing here trusts the store's own reading: a hash without its salt, a seal over a wrong leaf or a point that
compaction changed is found even if the store agrees with itself about it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from contract.commands import Model
from contract.model import Entry, Point, bits_of, micros
from muniment_server.services.workspace import Workspace

POINTS_ACTION = "run.log"


def plain(value: Any) -> Any:
    """Bytes and UUIDs of both engines as hex."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return value.hex if hasattr(value, "hex") and not isinstance(value, float) else value


def rows(workspace: Workspace, query: str, **values: Any) -> list[dict[str, Any]]:
    """The rows of a plain query."""
    with workspace.store.read() as connection:
        found = connection.execute(sa.text(query), values).mappings().all()
    return [{key: plain(value) for key, value in row.items()} for row in found]


def digest(points: tuple[Point, ...]) -> bytes:
    """The digest of points (rule 5)."""
    names = sorted({point[0] for point in points}, key=str.encode)
    made = hashlib.sha256(struct.pack(">I", len(names)))
    for name in names:
        made.update(struct.pack(">I", len(name.encode())) + name.encode())
    for key, step, timestamp, bits in sorted((names.index(key), *rest) for key, *rest in points):
        made.update(struct.pack(">IqqQ", key, step, timestamp, bits))
    return made.digest()


def _salt(record: str, position: int) -> bytes:
    return hmac.new(bytes.fromhex(record), position.to_bytes(8, "big"), "sha256").digest()


def root(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash of RFC 6962 over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:])).digest()


def path_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an audit path leads to (RFC 9162, 2.1.3.2)."""
    last, node = size - 1, leaf
    for sibling in path:
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    return node


class Evidence:
    """The hashes of a project as they were first seen; they may never change afterwards.

    Args:
        actor: id of the principal who does everything.
    """

    def __init__(self, actor: str) -> None:
        self.actor = actor
        self.leaves: dict[int, bytes] = {}
        self.payloads: dict[int, bytes] = {}

    def leaf(self, entry: Entry, payload: bytes) -> bytes:
        """The leaf of an entry (rule 5)."""
        second = entry.time.strftime("%Y-%m-%dT%H:%M:%S")
        body = {
            "action": entry.action, "actor": self.actor, "payload": payload.hex(), "position": entry.position,
            "time": f"{second}.{micros(entry.time) % 1_000_000:06d}Z",
        }  # fmt: skip
        return hashlib.sha256(b"\x00" + json.dumps(body, separators=(",", ":"), sort_keys=True).encode()).digest()

    def check(self, workspace: Workspace, project: int, model: Model) -> None:
        """Recompute every payload and leaf from what is stored, and hold them to what was seen before."""
        salts = {
            row["id"]: row
            for row in rows(workspace, "SELECT id, no, salt FROM records WHERE project_id = :p", p=project)
        }
        assert len({row["salt"] for row in salts.values()}) == len(salts), "salts are random"
        commands = self._commands(workspace, project, salts)
        level0 = rows(workspace, "SELECT * FROM points WHERE project_id = :p", p=project)
        level1, gone = self._segments(workspace, project, model, {row["position"] for row in level0})
        places = Counter([*commands, *(row["position"] for row in level0), *level1, *gone])
        assert places == Counter(range(1, model.head + 1)), "each entry lies in exactly one place (rule 1)"
        for entry in model.entries:
            if entry.kind == "commands":
                payload = commands[entry.position]
            elif entry.erased:
                payload = self.payloads.get(entry.position) or b""
            else:
                assert entry.run is not None
                text = f'{{"digest":"{digest(entry.points).hex()}","points":{len(entry.points)},"run":"{entry.run}"}}'
                payload = hashlib.sha256(_salt(salts[entry.run]["salt"], entry.position) + text.encode()).digest()
            if entry.erased and not payload:
                continue  # erased before it was ever looked at
            known = self.payloads.setdefault(entry.position, payload)
            assert known == payload, f"the payload of entry {entry.position} changed"
            self.leaves[entry.position] = self.leaf(entry, payload)
        for row in level0:
            if row["payload"] is None:
                assert (
                    row["payload_hash"] == self.payloads.get(row["position"], bytes.fromhex(row["payload_hash"])).hex()
                )
                assert row["digest"] is None

    def _commands(self, workspace: Workspace, project: int, salts: dict[str, Any]) -> dict[int, bytes]:
        ids = {row["no"]: (key, row["salt"]) for key, row in salts.items()}
        named: dict[int, list[list[str]]] = {}
        query = "SELECT * FROM revisions WHERE project_id = :p ORDER BY position, record"
        for row in rows(workspace, query, p=project):
            record, salt = ids[row["record"]]
            named.setdefault(row["position"], []).append([row["kind"], record, row["hash"]])
            if row["body"] is not None:
                hashed = hashlib.sha256(_salt(salt, row["position"]) + row["body"].encode()).hexdigest()
                assert hashed == row["hash"], f"the hash of revision {row['position']} is salted"
        payloads = {}
        entries = rows(workspace, "SELECT * FROM ledger WHERE project_id = :p", p=project)
        assert len({row["salt"] for row in entries}) == len(entries), "salts are random"
        for row in entries:
            text = json.dumps({"revisions": named[row["position"]]}, separators=(",", ":")).encode()
            assert bytes.fromhex(row["payload"]) == text
            assert len(row["salt"]) == 32
            payloads[row["position"]] = hashlib.sha256(bytes.fromhex(row["salt"]) + text).digest()
            assert payloads[row["position"]].hex() == row["payload_hash"], "a payload is salted"
        return payloads

    def _segments(
        self, workspace: Workspace, project: int, model: Model, level0: set[int]
    ) -> tuple[set[int], set[int]]:
        """(positions with points, erased positions) in level 1, every point there held to the model (rule 7)."""
        found: Counter[Any] = Counter()
        gone: set[int] = set()
        where: dict[int, int] = {}
        for segment in rows(workspace, "SELECT first, payload FROM segments WHERE project_id = :p", p=project):
            table = pq.read_table(pa.BufferReader(bytes.fromhex(segment["payload"])), use_threads=False)
            for row in table.to_pylist():
                assert where.setdefault(row["position"], segment["first"]) == segment["first"]
                found[
                    row["position"], micros(row["time"]), row["actor"], row["run"], row["key"], row["step"],
                    row["timestamp"], bits_of(row["value"]),
                ] += 1  # fmt: skip
            for entry in json.loads((table.schema.metadata or {}).get(b"muniment.erased", b"[]")):
                assert entry["position"] not in gone
                gone.add(entry["position"])
                known = self.payloads.setdefault(entry["position"], bytes.fromhex(entry["payload_hash"]))
                assert known.hex() == entry["payload_hash"], "the hash of an erased entry stays"
                at = model.entries[entry["position"] - 1]
                assert (entry["time"], entry["actor"], at.erased) == (micros(at.time), self.actor, True)
        expected: Counter[Any] = Counter()
        for at in model.entries:
            if at.run is not None and at.position not in level0:
                for point in at.points:
                    expected[at.position, micros(at.time), self.actor, at.run, *point] += 1
        assert found == expected, "compaction keeps every point as it came"
        return set(where), gone
