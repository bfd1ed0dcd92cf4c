"""Hypothesis counts no seconds: a machine that is busy is no failure. What tests log lies in a folder of their own."""

from __future__ import annotations

import os
import tempfile

from hypothesis import settings

os.environ["MUNIMENT_SPOOL"] = tempfile.mkdtemp(prefix="muniment-test-spool-")
settings.register_profile("unhurried", deadline=None, print_blob=True)
settings.load_profile("unhurried")
