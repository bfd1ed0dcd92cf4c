"""`muniment migrate`."""

from __future__ import annotations

import typer

from muniment_server.commands.options import StoreOption, store_url
from muniment_server.store import migrations
from muniment_server.store.engine import Store


def migrate(store: StoreOption = None) -> None:
    """Bring a store's schema up to date. Back it up first; there is no way back.

    Examples:
      muniment migrate

      muniment migrate --store postgresql://muniment@db/muniment
    """
    opened = Store(store_url(store))
    try:
        with opened.read() as connection:
            found = migrations.revision(connection)
        if found == migrations.head():
            typer.echo(f"{opened.name} has schema {found} already; nothing to do")
            return
        if found is not None:
            migrations.prepare(opened, migrate=True)
        before, after = (found, migrations.head()) if found is not None else migrations.upgrade(opened)
        typer.echo(f"{opened.name}: schema {before or 'none'} → {after}")
    finally:
        opened.close()
