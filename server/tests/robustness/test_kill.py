"""`kill -9` of the server while it is written to, again and again on one store: nothing acknowledged is ever lost.

MUNIMENT_KILL_ROUNDS sets the rounds on each engine (5; the long run takes 100).
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import sqlalchemy as sa

from muniment_server.store.engine import Store
from muniment_server.store.tables import segments
from robustness.load import EXPERIMENT, Writer, check_tiles
from robustness.server import DEFAULT, QUICK_KEEPER, Server, every_entry, head_of, verify

ROUNDS = int(os.environ.get("MUNIMENT_KILL_ROUNDS", "5"))
WRITERS = 6
LOAD_SECONDS = (0.3, 0.7)
"""Between these, at random, the server is killed."""
SETUP_ENTRIES = 1
"""The experiment that all runs are of."""


def test_nothing_acknowledged_is_lost(store_url: str, trust_folder: Path, tmp_path: Path) -> None:
    """Kill, start, send again what was not answered, look at everything; on the same store."""
    chance = random.Random(17)
    writers = [Writer(seed) for seed in range(WRITERS)]
    checked, retried = 0, 0
    with Server(store_url, trust_folder, tmp_path / "log", settings=QUICK_KEEPER) as server:
        server.start()
        with server.wire() as wire:
            wire.post(f"{DEFAULT}/experiments", {"name": EXPERIMENT})
        for _ in range(ROUNDS):
            _load_and_kill(server, writers, chance.uniform(*LOAD_SECONDS))
            verify(store_url, trust_folder)
            server.start()
            with server.wire() as wire:
                for writer in writers:
                    assert not writer.refused, writer.refused
                    retried += writer.retry(wire)
                    writer.check_touched(wire)
                checked += len(every_entry(wire, after=checked))
                assert checked == head_of(wire)
                check_tiles(writers, checked, SETUP_ENTRIES)
        with server.wire() as wire:
            assert len(every_entry(wire)) == checked
            for writer in writers:
                writer.check_all(wire)
        server.stop()
        assert not server.events("keeper failed; it will try again"), server.said()
    outcome = verify(store_url, trust_folder)
    assert outcome.sealed == outcome.published == outcome.entries
    assert retried > 0, "no request was under way when the server was killed: the test tests nothing"
    assert _segments(store_url) > 0, "nothing was compacted: the test tests too little"


def _load_and_kill(server: Server, writers: list[Writer], seconds: float) -> None:
    """Every writer writes on a thread of its own until the server dies under it."""
    wires = [server.wire() for _ in writers]
    threads = [
        threading.Thread(target=writer.work, args=(wire, lambda: False), name=f"writer-{number}")
        for number, (writer, wire) in enumerate(zip(writers, wires, strict=True))
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    assert server.running, server.said()
    server.kill()
    for thread in threads:
        thread.join()
    for wire in wires:
        wire.close()


def _segments(store_url: str) -> int:
    store = Store(store_url)
    try:
        with store.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(segments)).scalar_one())
    finally:
        store.close()
