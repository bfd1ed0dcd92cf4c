"""MLflow: a tracking server's or its database's whole history in, and a project's history out to a server."""
