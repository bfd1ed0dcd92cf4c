"""Break the package on purpose, again and again, and see that the state machine notices: ``python -m contract.mutate``.

Run it from ``server/tests``. Each mutation gets a copy of the package of its own; a minute or less for most.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

import muniment_server
from contract.mutations import MUTATIONS, Mutation
from contract.mutations_catalog import CATALOG_MUTATIONS

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = Path(muniment_server.__file__).parent
_WHERE = re.compile(r"machine\.py:\d+: in (\w+)")
_WHY = re.compile(r"^E   (?:\w+\.)*(\w*(?:Error|Exception)\b.*)", re.MULTILINE)


class Outcome:
    """What became of one mutation."""

    def __init__(self, mutation: Mutation, code: int, output: str, seconds: float) -> None:
        self.mutation = mutation
        self.caught = code == 1
        self.seconds = seconds
        where, why = _WHERE.findall(output), _WHY.search(output)
        self.where = where[0] if where else ""
        self.why = why.group(1)[:90] if why else ("" if code in {0, 1} else f"pytest ended with {code}")


def attempt(mutation: Mutation, engine: str, examples: int, steps: int) -> Outcome:
    """Run the state machine on a mutated copy, from a random seed."""
    folder = Path(tempfile.mkdtemp(prefix="muniment-mutation-"))
    folder.chmod(0o755)
    try:
        shutil.copytree(PACKAGE, folder / "muniment_server", ignore=shutil.ignore_patterns("__pycache__"))
        path = folder / "muniment_server" / mutation.file
        path.write_text(path.read_text("utf-8").replace(mutation.old, mutation.new), "utf-8")
        where, which = ("test_joining", "joins") if mutation in CATALOG_MUTATIONS else ("test_contract", "random")
        began = time.monotonic()
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", f"contract/{where}.py", "-x", "-q", "-k", f"{engine} and {which}",
                "-p", "no:cacheprovider", "--tb=short", "--show-capture=no", "--timeout=1800",
                f"--basetemp={folder / 'temporary'}",
            ],
            cwd=TESTS,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))),
                "MUNIMENT_CONTRACT_EXAMPLES": str(examples),
                "MUNIMENT_CONTRACT_STEPS": str(steps),
                "MUNIMENT_CONTRACT_SHRINK": "0",
            },
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        return Outcome(mutation, done.returncode, done.stdout + done.stderr, time.monotonic() - began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; status 1 if a mutation was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m contract.mutate", description=__doc__)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--only", default="", help="mutations whose rule or text contains this")
    parser.add_argument("--examples", type=int, default=40, help="stores tried at the most (40)")
    parser.add_argument("--steps", type=int, default=80, help="steps of each (80)")
    parser.add_argument("--jobs", type=int, default=2, help="mutations at a time (2)")
    given = parser.parse_args(arguments)
    chosen = [m for m in (*MUTATIONS, *CATALOG_MUTATIONS) if given.only in m.what or given.only == m.rule]
    console = Console(width=None if sys.stdout.isatty() else 180)
    table = Table("rule", "broken", "noticed", "in", "how", "s", title=f"{given.engine}, {len(chosen)} mutations")
    survived = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for outcome in pool.map(lambda m: attempt(m, given.engine, given.examples, given.steps), chosen):
            survived += not outcome.caught
            noticed = "yes" if outcome.caught else "[red]no[/red]"
            mutation, seconds = outcome.mutation, f"{outcome.seconds:.0f}"
            table.add_row(mutation.rule, mutation.what, noticed, outcome.where, outcome.why, seconds)
            console.print(f"{mutation.rule:>8}  {mutation.what}: {noticed}", highlight=False)
    console.print(table)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
