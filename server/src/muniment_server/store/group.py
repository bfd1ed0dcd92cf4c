"""A group: the waiting writes of one project, applied in order and committed in one transaction (rule 3).

Each write gets a `Draft`. What it changes is kept in memory until the whole group is written with one statement per
table, so a write that fails leaves nothing behind and the others go on without it.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, cast

from muniment.model.errors import KeyReused
from muniment_server.store import receipts
from muniment_server.store.draft import Draft
from muniment_server.store.repeats import Read
from muniment_server.store.transaction import Transaction

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Withdrawn(Exception):
    """A write takes itself back: nothing of it is written, and whoever waits for it is told."""


class Write(Protocol[T_co]):
    """One request, prepared: everything that could be checked without the lock has been."""

    @property
    def project_id(self) -> int:
        """The project that is written to."""
        ...

    @property
    def actor(self) -> str:
        """Id of the acting principal."""
        ...

    @property
    def action(self) -> str:
        """What the history calls it."""
        ...

    @property
    def receipt(self) -> receipts.Receipt | None:
        """What makes a repetition of the request known, if it carries an idempotency key."""
        ...

    @property
    def read(self) -> Read:
        """What was read for it from segments since it was prepared; see `Unread`."""
        ...

    @property
    def alone(self) -> bool:
        """Whether it must not share its transaction, because it writes by itself."""
        ...

    def apply(self, draft: Draft) -> T_co:
        """Check what can have changed since, and say what changes. Returns the answer."""
        ...


def apply(transaction: Transaction, write: Write[T]) -> T:
    """The answer of one write; what it changes joins the group only if it succeeds."""
    if write.receipt is not None:
        kept = transaction.receipts.get(write.receipt.token) or receipts.find(
            transaction.connection, write.project_id, write.receipt.token
        )
        if kept is not None:
            if kept["request"] != write.receipt.request:
                raise KeyReused(
                    "this idempotency key was used for another request; use a new key for each request",
                    field="Idempotency-Key",
                )
            return cast("T", receipts.answer_of(write.receipt, kept["answer"]))
    draft = Draft(transaction, write.actor, write.action, write.read)
    answer = write.apply(draft)
    draft.close()
    if write.receipt is not None:
        transaction.receipts[write.receipt.token] = receipts.row(
            write.project_id, write.receipt, transaction.head.time, answer
        )
    return answer
