"""Jobs, datasets, models, evaluations, and the links between records."""

from alembic import op

from muniment_server.store.migrations import run_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what 0001 did not have."""
    run_script(op.get_bind(), "0002_records")
