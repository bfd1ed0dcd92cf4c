"""What MLflow's server also is and Muniment is not: its paths, and what they are answered with.

Clients take the answer for what it says and go on: it is no error that they try again, nor one that lets them look for
the same thing at an older path.
"""

from __future__ import annotations

import re

_ROOT = re.compile(r"/(?:ajax-)?api/(?P<version>[23])\.0/(?P<rest>mlflow(?:-artifacts)?(?:/.*)?)\Z")

_PRODUCTS: tuple[tuple[str, str], ...] = (
    (r"mlflow/(traces|unified-traces|get-online-trace-details|get-trace-artifact)\b",
     "Traces and assessments belong to the observation of applications and are not kept by Muniment."),
    (r"mlflow/scorers\b", "Scorers belong to the judging of applications and are not kept by Muniment."),
    (r"mlflow/datasets\b",
     "Evaluation datasets belong to the judging of applications and are not kept by Muniment; see mlflow.log_input."),
    (r"mlflow/(review-queues|label-schemas|issues)\b",
     "Review queues, label schemas and issues belong to the judging of applications and are not kept by Muniment."),
    (r"mlflow/(gateway|gateway-proxy|runs/create-promptlab-run)\b",
     "The gateway belongs to the serving of language models and is not kept by Muniment."),
    (r"mlflow/(jobs|prompt-optimization)\b",
     "Jobs that a server carries out belong to a scheduler and are not kept by Muniment."),
    (r"mlflow/webhooks\b",
     "Webhooks belong to a messenger and are not kept by Muniment; follow GET /v1/projects/{project}/changes."),
    (r"mlflow/(users|roles|(experiments|registered-models|scorers|gateway)/permissions)\b",
     "Users and permissions belong to MLflow's own authentication and are not kept by Muniment."),
    (r"mlflow/(skills|agents|mcp-servers)\b", "Skills belong to a platform of agents and are not kept by Muniment."),
    (r"mlflow/ui-telemetry\b", "Telemetry belongs to MLflow's own pages and is not kept by Muniment."),
    (r"mlflow/workspaces/[^/]+\Z",
     "Workspaces are projects of Muniment, which are never deleted; PATCH /v1/projects/{project} changes one."),
    (r"mlflow-artifacts/presigned\b", "Multipart download is not supported for the current artifact repository"),
    (r"mlflow/artifacts/presigned-(upload|download)-url\b",
     "Presigned URLs are not supported for proxied artifact storage: send the bytes to this server."),
)  # fmt: skip
"""How paths begin, behind the API's root, and what they are about."""
_COMPILED = tuple((re.compile(begin), line) for begin, line in _PRODUCTS)
_PAGES = "/graphql"


def told(path: str) -> str | None:
    """The line that says whose a path is; None if it is nobody's."""
    if path.startswith(_PAGES):
        return "GraphQL belongs to MLflow's own pages and is not answered by Muniment."
    root = _ROOT.match(path)
    if root is None:
        return None
    rest = root["rest"]
    return next((line for begin, line in _COMPILED if begin.match(rest)), None)
