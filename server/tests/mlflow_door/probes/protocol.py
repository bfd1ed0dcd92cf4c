"""What is asked of the protocol itself: bodies, content types, methods, routes that are none or another product's."""

from __future__ import annotations

from mlflow_door.calls import Call, Case, call, case, get, post
from mlflow_door.probes.runs import NEW

CREATE = "experiments/create"


def sent(body: bytes, **headers: str) -> Call:
    return call("POST", CREATE, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


BODIES = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b'"{\\"name\\": \\"$u-double\\"}"',
    b"{}",
    b"{'name': 'x'}",
    b'{"name": "a", }',
    b'{"name": NaN}',
    b"\xff\xfe",
    b'{"name": "\xff"}',
    b'{"name": "a", "name": ""}',
    b'\xef\xbb\xbf{"name": ""}',
    b" {} ",
    b'{"name": "\\ud800"}',
    b"[" * 2000,
    b'{"name": {"a": 1}}',
    b'{"name": true}',
    b"true",
)

CASES: list[Case] = [
    case("bodies", *(sent(body) for body in BODIES)),
    case(
        "bodies of log-metric",
        *NEW,
        *(
            call("POST", "runs/log-metric", body)
            for body in (
                b"",
                b"{",
                b"[]",
                b'{"run_id": "x", "key": "m", "value": NaN, "timestamp": 1}',
                b'{"run_id": "x", "key": "m", "value": Infinity, "timestamp": 1}',
                b'{"run_id": "x", "key": "m", "value": 1e999, "timestamp": 1}',
            )
        ),
    ),
    case(
        "content types",
        *(
            sent(b'{"name": ""}', Content_Type=kind)
            for kind in (
                "application/json; charset=utf-8",
                "text/plain",
                "application/x-www-form-urlencoded",
                "",
                "application/JSON",
                "application/vnd.api+json",
                "*/*",
                "application/json;charset=latin1",
                "multipart/form-data",
            )
        ),
    ),
    case(
        "a GET with a body of another type",
        call("GET", "experiments/get", b'{"experiment_id": "0"}', headers={"Content-Type": "text/plain"}),
    ),
    case(
        "methods",
        call("GET", CREATE),
        call("PUT", CREATE, {"name": "x"}),
        call("DELETE", CREATE, {}),
        call("PATCH", CREATE, {}),
        post("experiments/get", {"experiment_id": "0"}),
        post("runs/get", {}),
        call("GET", "runs/search"),
        call("OPTIONS", CREATE),
        call("HEAD", "experiments/get?experiment_id=0"),
        call("GET", "runs/log-metric"),
        call("POST", "registered-models/get", {"name": "x"}),
    ),
    case(
        "routes that are none",
        get("nonsense"),
        post("nonsense", {}),
        get("/api/2.0/nonsense"),
        get("/api/2.0/mlflow"),
        get("/api/2.0/mlflow/"),
        get("/api/1.0/mlflow/experiments/get"),
        get("/api/2.0/preview/mlflow/experiments/get", experiment_id="0"),
        get("experiments/get/", experiment_id="0"),
        get("experiments//get"),
        get("/api/2.0/mlflow/experiments"),
        get("experiments/list"),
        get("/ajax-api/2.0/nonsense"),
        get("/nonsense"),
    ),
    case(
        "prefixes",
        *(
            get(f"/{prefix}/mlflow/experiments/get", experiment_id="0")
            for prefix in ("api/2.0", "ajax-api/2.0", "api/3.0", "ajax-api/3.0")
        ),
        *(get(f"/{prefix}/mlflow/logged-models/x") for prefix in ("api/2.0", "ajax-api/2.0", "api/3.0")),
        *(
            get(f"/{prefix}/mlflow/metrics/get-history-bulk-interval")
            for prefix in ("api/2.0", "ajax-api/2.0", "api/3.0")
        ),
    ),
    case(
        "the server",
        get("/health"),
        get("/version"),
        get("/api/3.0/mlflow/server-info"),
        get("/ajax-api/3.0/mlflow/server-info"),
        get("/api/2.0/mlflow/server-info"),
        post("/health", {}),
        post("/api/3.0/mlflow/server-info", {}),
        get("/server-info"),
        get("/metrics"),
    ),
    case(
        "another product's",
        post("/api/3.0/mlflow/traces/search", {"locations": []}),
        post("traces", {}),
        get("/api/3.0/mlflow/scorers/list"),
        post("/api/3.0/mlflow/datasets/search", {}),
        get("/api/3.0/mlflow/workspaces"),
        get("/api/2.0/mlflow/users/get"),
        post("/graphql", {}),
        get("/api/2.0/mlflow/gateway-proxy"),
        get("/api/3.0/mlflow/webhooks"),
        get("/api/2.0/mlflow/webhooks"),
        get("/ajax-api/3.0/mlflow/ui-telemetry"),
        get("/api/3.0/mlflow/traces/tr-1"),
        get("/api/2.0/mlflow/traces/tr-1/info"),
        post("/api/2.0/mlflow/databricks/x", {}),
        get("/v1/traces"),
        post("/v1/traces", {}),
        get("/gateway/x"),
        get("/api/3.0/mlflow/jobs/x"),
    ),
    case(
        "workspaces",
        *(
            call("GET", "experiments/get?experiment_id=0", headers={"X-MLFLOW-WORKSPACE": name})
            for name in ("default", "other", "")
        ),
    ),
]
