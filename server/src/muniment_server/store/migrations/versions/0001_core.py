"""The core: history, experiments, runs and their points.

Its SQL stands beside it, one file per engine, written from the tables of its day and never changed after a release.
"""

from alembic import op

from muniment_server.store.migrations import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    run_script(op.get_bind(), "0001_core")
