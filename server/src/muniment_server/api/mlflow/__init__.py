"""The door of MLflow's clients: its protocol over our records. See docs/guides/mlflow.md.

``wire`` has the protocol's shapes and errors, ``translate`` what its words mean here, ``routes`` its operations.
"""

from muniment_server.api.mlflow.routes import (
    artifacts,
    experiments,
    inputs,
    logged,
    metrics,
    parts,
    points,
    registry,
    runs,
    server,
    versions,
)
from muniment_server.api.routing import Route

_NOUNS = (
    experiments,
    runs,
    points,
    metrics,
    inputs,
    registry,
    versions,
    logged,
    artifacts,
    parts,
    server,
)
ROUTES: list[Route] = [route for noun in _NOUNS for endpoint in noun.ENDPOINTS for route in endpoint.routes()]
"""Every operation, at each of its paths."""
