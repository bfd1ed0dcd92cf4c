"""Hashes that must never change, because stores that exist hold them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from muniment.model.canonical import canonical
from muniment.model.ledger import commands_payload, derived_salt, instant, leaf_hash, points_payload, seal_hash

ACTOR = "01a205ca50d9736389231fd436e48471"


@given(st.integers(1, 2**53 - 1), st.integers(0, 4 * 10**15), st.sampled_from(["run.log", "batch", "store.create"]))
def test_a_leaf_is_the_hash_of_the_canonical_entry(position: int, micros: int, action: str) -> None:
    payload = hashlib.sha256(str(position).encode()).digest()
    document = {
        "position": position,
        "time": instant(micros),
        "actor": ACTOR,
        "action": action,
        "payload": payload.hex(),
    }
    expected = hashlib.sha256(b"\x00" + canonical(document)).digest()
    assert leaf_hash(position, micros, ACTOR, action, payload) == expected


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_times_have_six_decimals(moment: datetime) -> None:
    micros = (moment - EPOCH) // timedelta(microseconds=1)
    assert datetime.fromisoformat(instant(micros)) == moment
    assert len(instant(micros)) == 27


def test_a_points_payload_is_canonical() -> None:
    digest = bytes(32)
    assert points_payload(ACTOR, 5, digest) == canonical({"run": ACTOR, "points": 5, "digest": digest.hex()})


def test_known_answers() -> None:
    assert (
        leaf_hash(1, 0, ACTOR, "run.log", bytes(32)).hex()
        == "8fd26a19eb29d9404f7562da0b63ab3fa70fd9232266e9a1c92dd310d1d92798"
    )
    assert derived_salt(bytes(16), 7).hex() == "fd6c2087de4441030fcf8895ffba9c1ea82f70a58e09c7803dfc228ccded1660"
    assert commands_payload([("run", ACTOR, bytes(2))]) == b'{"revisions":[["run","' + ACTOR.encode() + b'","0000"]]}'
    assert (
        seal_hash(1, 0, ACTOR, 2, "00", "ff").hex()
        == "2c5f69f2261c10e122ca75e3ce7d71db67d3791bbec21df6c50f8834f5717fca"
    )
