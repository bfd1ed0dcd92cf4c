"""Every route stands in the table of access; one that does not fails the build."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any
from unittest.mock import PropertyMock
from urllib.parse import urlencode

import msgspec
import pytest

from muniment_server.api.app import Application
from muniment_server.api.doors import ROUTES
from muniment_server.api.routing import Incoming, Route
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.workspace import Workspace

LEVELS = list(Permission)
ID = "01a205ca50f87aee91880ce46b73743f"
PATH = {
    "project": "default", "experiment": "none", "run": ID, "record": ID, "position": "1", "job": "none",
    "dataset": "none", "model": "none", "version": "1", "alias": "champion", "evaluation": ID,
    "first": ID, "second": ID, "last": ID, "digest": "0" * 64, "path": "a/b", "facet": "f", "note": ID, "view": "none",
    "workspace": "default", "model_id": f"m-{ID}", "tag_key": "k",
}  # fmt: skip
QUERIES = {
    "find_best": "metric=auc&dataset=d@1",
    "get_series": "key=a",
    "get_chart": "key=a",
    "get_consistency_proof": "first=1",
    "get_workspace_lineage": f"record=urn:muniment:default:run:{ID}",
    "find_by_name": "system=mlflow&name=n",
}
BODIES: dict[str, Any] = {
    "create_project": {"slug": "default"},
    "update_project": {},
    "create_experiment": {"name": "e"},
    "update_experiment": {},
    "create_run": {"experiment": "none"},
    "update_run": {},
    "log_params": {"params": {}},
    "set_tags": {"tags": {}},
    "erase_run": {"reason": "test"},
    "set_record_tags": {"tags": {}},
    "erase_record": {"reason": "test"},
    "log_points": {"series": ["a"], "value": [1.0]},
    "search_records": {},
    "compare_records": {"records": [ID, ID]},
    "create_job": {"name": "j"},
    "update_job": {},
    "create_dataset": {"name": "d"},
    "update_dataset": {},
    "create_dataset_version": {},
    "create_model": {"name": "m"},
    "update_model": {},
    "create_model_version": {},
    "update_model_version": {},
    "set_model_alias": {"version": 1},
    "create_evaluation": {"model_version": "m@1", "dataset_version": "d@1", "metrics": {"auc": 0.9}},
    "add_links": {"links": [{"upstream": ID, "downstream": ID, "type": "used"}]},
    "remove_links": {"links": [{"upstream": ID, "downstream": ID, "type": "used"}]},
    "upload_artifact": Incoming,
    "put_record_artifact": Incoming,
    "import_lines": Incoming,
    "attach_artifact": {"path": "a", "digest": "0" * 64},
    "collect_artifacts": {},
    "create_facet_type": {"name": "f", "schema": {"type": "object"}},
    "update_facet_type": {},
    "set_facet": {"value": {}},
    "create_note": {"text": "x"},
    "update_note": {},
    "create_view": {"name": "v", "page": "runs", "state": {}},
    "update_view": {},
    "give_name": {"system": "mlflow", "name": "n", "record": ID},
    "take_name": {"system": "mlflow", "name": "n"},
    "search_workspace": {},
    "run_batch": {"commands": [{"do": "run.params", "run": ID, "params": {}}]},
}


FOREIGN: dict[str, dict[str, Any]] = {
    "mlflow_create_experiment": {"name": "e"},
    "mlflow_get_experiment": {"experiment_id": "0"},
    "mlflow_get_experiment_by_name": {"experiment_name": "e"},
    "mlflow_search_experiments": {"max_results": 1},
    "mlflow_update_experiment": {"experiment_id": "0", "new_name": "e"},
    "mlflow_delete_experiment": {"experiment_id": "0"},
    "mlflow_restore_experiment": {"experiment_id": "0"},
    "mlflow_set_experiment_tag": {"experiment_id": "0", "key": "k"},
    "mlflow_delete_experiment_tag": {"experiment_id": "0", "key": "k"},
    "mlflow_create_run": {"experiment_id": "0"},
    "mlflow_get_run": {"run_id": ID},
    "mlflow_update_run": {"run_id": ID},
    "mlflow_delete_run": {"run_id": ID},
    "mlflow_restore_run": {"run_id": ID},
    "mlflow_log_metric": {"run_id": ID, "key": "k", "value": 1, "timestamp": 1},
    "mlflow_log_param": {"run_id": ID, "key": "k"},
    "mlflow_log_batch": {"run_id": ID},
    "mlflow_set_tag": {"run_id": ID, "key": "k"},
    "mlflow_delete_tag": {"run_id": ID, "key": "k"},
    "mlflow_search_runs": {"experiment_ids": ["0"]},
    "mlflow_get_metric_history": {"run_id": ID, "metric_key": "k"},
    "mlflow_get_metric_history_bulk": {"run_id": ID, "metric_key": "k"},
    "mlflow_get_metric_history_bulk_interval": {"run_ids": ID, "metric_key": "k"},
    "mlflow_log_inputs": {"run_id": ID, "models": [{"model_id": f"m-{ID}"}]},
    "mlflow_log_model": {
        "run_id": ID,
        "model_json": '{"run_id": "r", "artifact_path": "a", "utc_time_created": "t", "flavors": {}}',
    },
    "mlflow_log_outputs": {"run_id": ID, "models": [{"model_id": f"m-{ID}"}]},
    "mlflow_search_datasets": {"experiment_ids": ["0"]},
    "mlflow_list_folder": {"path": f"0/{ID}/artifacts"},
    "mlflow_download_file": {},
    "mlflow_upload_file": {},
    "mlflow_delete_files": {},
    "mlflow_list_artifacts": {"run_id": ID},
    "mlflow_get_run_file": {"run_id": ID, "path": "a"},
    "mlflow_get_version_file": {"name": "m", "version": "1", "path": "a"},
    "mlflow_create_registered_model": {"name": "m"},
    "mlflow_get_registered_model": {"name": "m"},
    "mlflow_update_registered_model": {"name": "m"},
    "mlflow_rename_registered_model": {"name": "m", "new_name": "n"},
    "mlflow_delete_registered_model": {"name": "m"},
    "mlflow_search_registered_models": {},
    "mlflow_get_latest_versions": {"name": "m"},
    "mlflow_set_registered_model_tag": {"name": "m", "key": "k"},
    "mlflow_delete_registered_model_tag": {"name": "m", "key": "k"},
    "mlflow_set_registered_model_alias": {"name": "m", "alias": "a", "version": "1"},
    "mlflow_delete_registered_model_alias": {"name": "m", "alias": "a"},
    "mlflow_get_model_version_by_alias": {"name": "m", "alias": "a"},
    "mlflow_create_model_version": {"name": "m", "source": "s3://b/m"},
    "mlflow_get_model_version": {"name": "m", "version": "1"},
    "mlflow_update_model_version": {"name": "m", "version": "1"},
    "mlflow_transition_model_version_stage": {"name": "m", "version": "1", "stage": "None"},
    "mlflow_delete_model_version": {"name": "m", "version": "1"},
    "mlflow_get_model_version_download_uri": {"name": "m", "version": "1"},
    "mlflow_set_model_version_tag": {"name": "m", "version": "1", "key": "k"},
    "mlflow_delete_model_version_tag": {"name": "m", "version": "1", "key": "k"},
    "mlflow_search_model_versions": {},
    "mlflow_create_logged_model": {"experiment_id": "0"},
    "mlflow_search_logged_models": {"experiment_ids": ["0"]},
    "mlflow_get_logged_model": {},
    "mlflow_finalize_logged_model": {"model_id": f"m-{ID}", "status": "LOGGED_MODEL_READY"},
    "mlflow_delete_logged_model": {},
    "mlflow_set_logged_model_tags": {"tags": []},
    "mlflow_delete_logged_model_tag": {},
    "mlflow_log_logged_model_params": {"model_id": f"m-{ID}"},
    "mlflow_list_logged_model_artifacts": {},
    "mlflow_get_logged_model_file": {"artifact_file_path": "a"},
    "mlflow_create_multipart_upload": {"path": "a", "num_parts": 1},
    "mlflow_upload_part": {"upload_id": "none", "part_number": "1"},
    "mlflow_complete_multipart_upload": {"path": "a", "upload_id": "none", "parts": []},
    "mlflow_abort_multipart_upload": {"path": "a", "upload_id": "none"},
    "mlflow_upload_run_file": {"run_id": ID, "path": "a"},
    "mlflow_get_server_info": {},
    "mlflow_list_workspaces": {},
    "mlflow_get_workspace": {},
    "mlflow_create_workspace": {"name": "default"},
}
"""Requests of foreign protocols: a document, or the query of a GET."""
PLACES: dict[str, str] = {
    f"mlflow_{verb}_multipart_upload": f"/api/2.0/mlflow-artifacts/mpu/{verb}/0/{ID}/artifacts"
    for verb in ("create", "complete", "abort")
}
"""Paths of foreign routes that mean something only with certain parts."""


async def status_of(workspace: Workspace, route: Route, project: str = "default") -> int:
    """The status that the application answers a request of this route with."""
    declared = PLACES.get(route.name, route.path)
    path = re.sub(r"\{(\w+)(?::path)?\}", lambda found: {**PATH, "project": project}[found[1]], declared)
    query = QUERIES.get(route.name, "")
    body = b"bytes" if route.body is Incoming else b""
    if route.protocol is not None:
        path = f"/p/{project}{path}"
        given = FOREIGN[route.name]
        if route.method == "GET":
            query = urlencode(given)
        elif route.body is Incoming:
            query, body = urlencode(given), b"bytes"
        else:
            body = msgspec.json.encode(given)
    if route.body not in (None, Incoming, bytes):
        body = msgspec.json.encode(BODIES[route.name])
    headers = [(b"content-type", b"application/json")] if body else []
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            if any(value == b"text/event-stream" for _, value in message["headers"]):
                raise asyncio.CancelledError

    scope = {
        "type": "http",
        "method": route.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
    }
    with suppress(asyncio.CancelledError):
        await Application(workspace, ROUTES)(scope, receive, send)
    return statuses[0]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_is_open_to_its_permission_and_closed_below(
    route: Route, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = route.name in (FOREIGN if route.protocol else BODIES)
    assert (route.body is not None or route.protocol is not None) == tables, "give the route a body in this table"
    for level in LEVELS:
        scope = Scope(workspace.owner, level)
        monkeypatch.setattr(Workspace, "owner_scope", PropertyMock(return_value=scope))
        status = asyncio.run(status_of(workspace, route))
        allowed = LEVELS.index(level) >= LEVELS.index(route.permission)
        assert (status != 403) == allowed, (level, status)
        assert status < 500, status


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if "{project}" in route.path or (route.protocol and route.permission != "public")],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_a_project_that_is_not_visible_does_not_exist(
    route: Route, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = Scope(workspace.owner, Permission.ADMIN, frozenset())
    monkeypatch.setattr(Workspace, "owner_scope", PropertyMock(return_value=blind))
    assert asyncio.run(status_of(workspace, route)) == 404
    monkeypatch.setattr(Workspace, "owner_scope", PropertyMock(return_value=Scope(workspace.owner)))
    asyncio.run(status_of(workspace, route))  # what one caller may see must not be remembered for another
    monkeypatch.setattr(Workspace, "owner_scope", PropertyMock(return_value=blind))
    assert asyncio.run(status_of(workspace, route)) == 404


def test_routes_are_named_once_and_described() -> None:
    names = [(route.method if route.protocol else "", route.name) for route in ROUTES if not route.twin]
    assert len(names) == len(set(names))
    assert all(route.summary.endswith((".", "not.")) for route in ROUTES)
