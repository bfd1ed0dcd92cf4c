"""A store that is opened in the program itself: a thread sends, and what a program left behind the next one brings."""

from __future__ import annotations

import pytest

from muniment.client import Client
from spool.stage import Place, counts, run_of

LOGS = """
import os, sys, time, muniment
run = muniment.start_run("embedded")
print("run", run.id, flush=True)
for step in range(2_000):
    run.log({"a": step}, step=step)
if "fork" in sys.argv:
    pid = os.fork()
    if pid == 0:
        run.log({"child": 1})
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
if "kill" in sys.argv:
    os.kill(os.getpid(), 9)
run.finish()
muniment.disconnect()
"""


@pytest.mark.parametrize("how", ["plain", "fork"])
def test_a_thread_sends(place: Place, how: str) -> None:
    url = f"sqlite:///{place.folder / 'own.db'}"
    out, _ = place.run(LOGS, how, MUNIMENT_URL=url, MUNIMENT_TRUST=str(place.folder / "trust"))
    assert not place.senders()
    if how == "fork":  # its parent may have been gone before
        place.run(LOGS, "plain", MUNIMENT_URL=url, MUNIMENT_TRUST=str(place.folder / "trust"))
    with Client(url) as client:
        found = client.get_run(run_of(out))
    assert counts(found) == {"a": 2_000, **({"child": 1} if how == "fork" else {})}
    assert found.run.state == "finished"
    assert not place.refused()


def test_the_next_program_brings_it(place: Place) -> None:
    url = f"sqlite:///{place.folder / 'own.db'}"
    out, _ = place.run(LOGS, "kill", code_wanted=-9, MUNIMENT_URL=url, MUNIMENT_TRUST=str(place.folder / "trust"))
    place.run(LOGS, "plain", MUNIMENT_URL=url, MUNIMENT_TRUST=str(place.folder / "trust"))
    with Client(url) as client:
        found = client.get_run(run_of(out))
    assert counts(found) == {"a": 2_000}
    assert found.run.state == "killed"
    assert not place.refused()
