"""The state machine with fewer rules: what joins records meets more often."""

from __future__ import annotations

import inspect

from hypothesis.stateful import RULE_MARKER

from contract.machine import Contract

JOINING = frozenset(
    ("create_run", "erase", "tick", "seal", "catalogue", "catalogue_together", "belong", "belong_together",
     "fate", "fate_together",     "failed_commit", "crash", "another_process", "tamper")
)  # fmt: skip
"""Rules that are kept where what joins records is looked at."""


def joining(machine: type[Contract]) -> type[Contract]:
    """The same machine with fewer rules, so that versions, aliases, links and artifacts meet more often."""
    names = [name for name, member in inspect.getmembers(machine) if hasattr(member, RULE_MARKER)]
    assert set(names) >= JOINING, "a rule was renamed"
    return type(f"{machine.__name__}Joining", (machine,), dict.fromkeys(set(names) - JOINING))
