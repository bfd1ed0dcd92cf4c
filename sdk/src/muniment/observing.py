"""What a run learns of itself: its code, its environment, its seeds, and what it uses of the machine."""

from __future__ import annotations

import threading
from typing import Protocol

import msgspec

from muniment.capture import code as code_
from muniment.capture import environment as environment_
from muniment.capture import seeds as seeds_
from muniment.capture.system import Sampler
from muniment.model.batch import UpdateRun
from muniment.model.run import CHANGES, LEFT_OUT, PACKAGES, PROGRAM, Code


class Run(Protocol):
    """A run in progress."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def params(self) -> dict[str, str]:
        """Its params."""
        ...

    def learn(self, change: UpdateRun) -> None:
        """Record a change of the run itself."""
        ...

    def log(self, metrics: dict[str, float]) -> None:
        """Log points."""
        ...

    def log_artifact(self, source: bytes, path: str) -> None:
        """Keep bytes."""
        ...


class Started(Protocol):
    """What was said of a run when it began."""

    @property
    def seeds(self) -> dict[str, int] | None:
        """Seeds that the program has told."""
        ...


def observe(run: Run, parts: frozenset[str]) -> None:
    """Find out what runs and in what, and record it.

    Args:
        run: the run.
        parts: what to find out; see `muniment.capture.PARTS`.
    """
    change = UpdateRun(run=run.id)
    if "code" in parts:
        found = code_.capture()
        made = found.code if "command" in parts else msgspec.structs.replace(found.code, command=None)
        change = msgspec.structs.replace(change, code=made)
        for path, content in ((CHANGES, found.changes), (PROGRAM, found.script)):
            if content:
                run.log_artifact(content, path)
        if found.left_out or not found.exact:
            masked = [f"{found.masked} lines: a secret is masked, so this is not what ran"] if found.masked else []
            run.log_artifact("\n".join([*masked, *found.left_out, ""]).encode(), LEFT_OUT)
    elif "command" in parts:
        change = msgspec.structs.replace(change, code=Code(command=code_.command_line()))
    if "environment" in parts:
        environment, packages = environment_.capture()
        change = msgspec.structs.replace(change, environment=environment)
        if packages:
            run.log_artifact(packages, PACKAGES)
    run.learn(change)


def observe_seeds(run: Run, plan: Started) -> None:
    """Record the seeds that can be seen at the end of a run, when everything is seeded that will be."""
    seeds = seeds_.capture(run.params).seeds | (plan.seeds or {})
    if seeds and seeds != plan.seeds:
        run.learn(UpdateRun(run=run.id, seeds=seeds))


class SystemMetrics(threading.Thread):
    """Measures the system now and then, as metrics of a run.

    Args:
        run: the run.
        seconds: how often.
    """

    def __init__(self, run: Run, seconds: float) -> None:
        super().__init__(name="muniment-system", daemon=True)
        self._run, self._seconds = run, seconds
        self._stopping = threading.Event()

    def run(self) -> None:
        """Measure until it is stopped."""
        sampler = Sampler()
        while not self._stopping.wait(self._seconds):
            found = sampler.sample()
            if found:
                self._run.log(found)

    def stop(self) -> None:
        """Measure no more."""
        self._stopping.set()
