"""Artifacts, facets, notes, saved views, and what other systems call a record."""

from alembic import op

from muniment_server.store.migrations import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what 0002 did not have."""
    run_script(op.get_bind(), "0003_belongings")
