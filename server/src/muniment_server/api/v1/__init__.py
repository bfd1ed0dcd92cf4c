"""Our own API: one project's records under ``/v1/projects/{project}``."""

from muniment_server.api.routing import Route
from muniment_server.api.v1 import (
    batch,
    datasets,
    evaluations,
    experiments,
    exports,
    jobs,
    ledger,
    links,
    metrics,
    models,
    projects,
    questions,
    runs,
    search,
)

ROUTES: list[Route] = [
    *projects.ROUTES,
    *experiments.ROUTES,
    *runs.ROUTES,
    *metrics.ROUTES,
    *jobs.ROUTES,
    *datasets.ROUTES,
    *models.ROUTES,
    *evaluations.ROUTES,
    *links.ROUTES,
    *questions.ROUTES,
    *exports.ROUTES,
    *search.ROUTES,
    *batch.ROUTES,
    *ledger.ROUTES,
]
"""Every operation."""
