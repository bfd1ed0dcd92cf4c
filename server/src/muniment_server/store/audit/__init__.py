"""Verification: is what is stored what was committed? Every check names the first position that is wrong.

`chain` checks seals, entries and tiles; `rows` recomputes current rows from their revisions; `series` recomputes
summaries, digests and segment indexes from points.
"""
