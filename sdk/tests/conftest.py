"""What is logged by tests lies in a folder of the test run, not in the user's."""

from __future__ import annotations

import os
import tempfile

os.environ["MUNIMENT_SPOOL"] = tempfile.mkdtemp(prefix="muniment-test-spool-")
