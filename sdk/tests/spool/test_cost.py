"""What logging costs: memory that does not grow, and time that no training loop notices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import resource, sys, time
from pathlib import Path
from muniment.model.ids import new_id
from muniment.spool.writer import RunSeries, Writer

def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def complain(*told):
    raise AssertionError(told)

made = Writer("http://127.0.0.1:9", "default", Path(sys.argv[1]), complain)
series = RunSeries(new_id())
def write(count):
    for step in range(count):
        made.points(series, {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, step, 1)
        if step % 20_000 == 0:  # a sender removes what it has sent
            for path in sorted(made.folder.glob("*.segment"))[:-1]:
                path.unlink()
write(50_000)
before, began = rss(), time.process_time()
write(500_000)
print(rss() - before, (time.process_time() - began) / 500_000 * 1e6)
"""


def test_memory_is_flat(tmp_path: Path) -> None:
    """Two million points: 64 MB of entries. A process may hold the one segment that it writes to, of 4 MB at the most.

    Twice that is allowed, because the allocator and the page size of the machine are not ours. Time is of the
    processor, so that a busy machine changes little; it takes some 2 µs, and 50 would still be no network.
    """
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "spool")], capture_output=True, text=True, check=True
    )
    grown, microseconds = map(float, done.stdout.split())
    assert grown < 8 * 2**20, f"{grown / 2**20:.1f} MB"
    assert microseconds < 50
