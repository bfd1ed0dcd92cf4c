"""Our own API: one project's records under ``/v1/projects/{project}``."""

from muniment_server.api.routing import Route
from muniment_server.api.v1 import (
    artifacts,
    batch,
    bulk,
    datasets,
    evaluations,
    experiments,
    exports,
    facets,
    jobs,
    ledger,
    links,
    metrics,
    models,
    notes,
    othernames,
    projects,
    questions,
    runs,
    search,
    views,
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
    *artifacts.ROUTES,
    *facets.ROUTES,
    *notes.ROUTES,
    *views.ROUTES,
    *othernames.ROUTES,
    *links.ROUTES,
    *questions.ROUTES,
    *exports.ROUTES,
    *search.ROUTES,
    *batch.ROUTES,
    *bulk.ROUTES,
    *ledger.ROUTES,
]
"""Every operation."""
