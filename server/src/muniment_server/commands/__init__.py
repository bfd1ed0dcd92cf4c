"""What starts a process: the server's part of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Add the server's commands to the `muniment` command line. Called through an entry point."""
    from muniment_server.commands import backup, collect, demo, doctor, migrate, mlflow, portable, serve, verify  # noqa: PLC0415 - keep `muniment --help` quick
    from muniment_server.commands.ways import ways  # noqa: PLC0415 - likewise

    app.command("serve")(serve.serve)
    app.command("migrate")(migrate.migrate)
    app.command("verify")(verify.verify)
    app.command("collect")(collect.collect)
    app.command("demo")(demo.demo)
    app.add_typer(
        ways("Write a project out: into a folder, or to another system.", folder=portable.export, mlflow=mlflow.take),
        name="export",
    )
    app.add_typer(
        ways(
            "Bring a project in: from a folder that was exported, or from another system.",
            folder=portable.import_,
            mlflow=mlflow.bring,
        ),
        name="import",
    )
    app.command("backup")(backup.backup)
    app.command("restore")(backup.restore)
    app.command("doctor")(doctor.doctor)
