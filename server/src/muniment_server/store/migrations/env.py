"""Alembic's entry: run the migrations on the connection that `muniment_server.store.migrations` gives."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
context.run_migrations()
