"""Where a callback records, and how it stays out of the training's way."""

from __future__ import annotations

import atexit
import functools
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from muniment import fluent
from muniment.capture import storable
from muniment.capture.secrets import MASK, is_secret_name, is_secret_value, mask_shapes
from muniment.model.run import RunState
from muniment.recorder import ActiveRun

P = ParamSpec("P")
T = TypeVar("T")
Parting = Callable[[ActiveRun], RunState]

LOGGER = logging.getLogger("muniment")
PARAM_LIMIT = 1_000
"""Characters of a param that is no number: what is longer is a description of something, not a setting."""
_told: set[tuple[str, str]] = set()
_left: list[ActiveRun] = []
"""Runs that were ended where nobody may wait for the store."""


def missing(library: str, error: ImportError) -> ModuleNotFoundError:
    """The error of a module of this package whose library is not there."""
    name = library.replace("-", "_")
    return ModuleNotFoundError(
        f"muniment.integrations needs {library}, which cannot be imported ({error}); install it: pip install {library}",
        name=name,
    )


class Unrecorded(Exception):
    """There is no run to record in, which was told when it could not be begun."""


def safely(method: Callable[P, T]) -> Callable[P, T | None]:
    """A method of a callback that a training goes on after, whatever becomes of its records.

    What cannot be recorded is told once for each method, by the logger ``muniment``.
    """

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return method(*args, **kwargs)
        except Unrecorded:
            return None
        except Exception as error:  # noqa: BLE001 - a training must not end because of its records
            complain(f"{method.__module__}.{method.__qualname__}", error)
            return None

    return guarded


def complain(what: str, error: Exception) -> None:
    """Tell once of each kind of trouble."""
    kind = (what, type(error).__name__)
    if kind not in _told:
        _told.add(kind)
        LOGGER.warning("muniment: %s records nothing here: %s: %s", what, type(error).__name__, error)


class Recording:
    """The run that a callback records in: the one it was given, or one of its own for each training.

    A run that was given is never ended. A run of its own ends with the training; if the training ends without a word,
    as by an exception, the run has failed, which is recorded when the callback is let go of, at the latest when the
    program ends.

    Args:
        run: the run, or the name of an experiment to begin runs of.
        name: of runs of its own.
    """

    def __init__(self, run: ActiveRun | str, name: str | None = None) -> None:
        self._given, self._name = run, name
        self._run: ActiveRun | None = None
        self._broken = False
        self._lock = threading.RLock()
        self._finalizer: Any = None

    @property
    def owned(self) -> bool:
        """Whether the runs are its own."""
        return isinstance(self._given, str)

    @property
    def begun(self) -> bool:
        """Whether there is a run."""
        return self._run is not None

    @property
    def run(self) -> ActiveRun:
        """The run; begun on first use.

        Raises:
            Unrecorded: it could not be begun.
        """
        with self._lock:
            return self.begin() if self._run is None else self._run

    def begin(
        self, parting: Parting | None = None, *, resume: str | None = None, made: ActiveRun | None = None
    ) -> ActiveRun:
        """Begin to record a training.

        Args:
            parting: called with the run if the training ends without a word; how it has ended.
            resume: id of a run of its own to go on with.
            made: the run of its own, if it is made already.

        Raises:
            Unrecorded: the run could not be begun.
        """
        with self._lock:
            if self._run is not None:
                self.leave()
            elif self._broken:
                raise Unrecorded
            try:
                given = self._given
                run = fluent.start_run(given, self._name, resume=resume) if isinstance(given, str) else given
                run = made or run
                _ = run.id  # which begins it
            except Exception as error:
                self._broken = True
                complain("a run", error)
                raise Unrecorded from error
            self._run = run
            if self.owned or parting is not None:
                self._finalizer = weakref.finalize(self, _leave, run, parting or _failed, owned=self.owned)
                self._finalizer.atexit = False  # `_leave_all` does it, and waits
                _open.add(self)
            return run

    def end(self, state: RunState = "finished") -> None:
        """End a run of its own."""
        with self._lock:
            run, self._run = self._run, None
            if self._finalizer is not None:
                self._finalizer.detach()
            _open.discard(self)
            if run is not None and self.owned:
                run.finish(state)

    def leave(self) -> None:
        """End a training that may have ended without a word."""
        with self._lock:
            run, self._run = self._run, None
            finalizer, self._finalizer = self._finalizer, None
            _open.discard(self)
            found = None if finalizer is None else finalizer.detach()
            if run is not None and found is not None:
                _leave(run, found[2][1], owned=self.owned, wait=True)

    def __deepcopy__(self, memo: object) -> Self:
        """Whoever copies a callback, as scikit-learn's `clone` does, trains once more."""
        return type(self)(self._given, self._name)

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process: the same run, attached to, or runs of its own there."""
        used = fluent.session()
        given = self._given if isinstance(self._given, str) else self._given.id
        return _arrived, (used.url, used.project, given, self._name, self.owned)


def _arrived(url: str, project: str, given: str, name: str | None, owned: bool) -> Recording:
    used = fluent.session_or_none()
    if used is None:
        fluent.connect(url, project)
    return Recording(given if owned else fluent.attach(given), name)


_open: weakref.WeakSet[Recording] = weakref.WeakSet()


def _failed(_run: ActiveRun) -> RunState:
    """How a training has ended that did not say so."""
    last = sys.exc_info()[1] or getattr(sys, "last_value", None)
    return "killed" if isinstance(last, KeyboardInterrupt) else "failed"


def _leave(run: ActiveRun, parting: Parting, *, owned: bool, wait: bool = False) -> None:
    """End a training that may have ended without a word.

    The garbage collector calls it, anywhere and in any thread, so it must not wait for what that thread may be doing.
    """
    try:
        try:
            state = parting(run)
        except Exception as error:  # noqa: BLE001
            complain("the end of a run", error)
            state = _failed(run)
        if owned:
            run.finish(state, wait=wait)
        if not wait:
            _left.append(run)
    except Exception as error:  # noqa: BLE001
        complain("the end of a run", error)


@atexit.register
def _leave_all() -> None:
    for recording in list(_open):
        recording.leave()
    for run in _left:
        run.wait()


def params_of(values: Mapping[Any, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Settings as params: what is nested as ``outer.inner``, secrets masked, long texts cut.

    Args:
        values: by name.
        prefix: before every name.
    """
    made: dict[str, str | int | float | bool] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            made.update(params_of(value, f"{name}."))
        elif isinstance(value, (bool, int, float)):
            made[name] = value
        else:
            item = getattr(value, "item", None)
            number = item() if callable(item) and getattr(value, "shape", None) == () else None
            if isinstance(number, (bool, int, float)):
                made[name] = number
                continue
            text = str(value)
            secret = is_secret_name(name) and is_secret_value(name, text)
            made[name] = MASK if secret else storable(mask_shapes(text), PARAM_LIMIT)
    return made


def table(columns: Mapping[str, list[Any]]) -> bytes:
    """A small table as CSV: what stands in its columns, by their names."""
    import csv  # noqa: PLC0415
    import io  # noqa: PLC0415

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode()


class Finishing:
    """What callbacks share whose library does not tell them of a training that ends by an exception."""

    _recording: Recording

    def finish(self) -> None:
        """End a training that has not come to its end, such as by an exception that the program goes on after."""
        self._recording.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()
