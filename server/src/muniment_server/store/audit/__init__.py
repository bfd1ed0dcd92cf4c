"""Verification: is what is stored what was committed? Every check names the first position that is wrong.

`chain` checks seals, entries and tiles; `rows` recomputes current rows from their revisions; `series` recomputes
summaries, digests and segment indexes from points.
"""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, int, int], None]
"""Is told what is being checked, how much of it is done, and how much there is."""
