"""The newest runs of an experiment are found by an index."""

from alembic import op

from muniment_server.store.migrations import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what 0003 did not have."""
    run_script(op.get_bind(), "0004_newest")
