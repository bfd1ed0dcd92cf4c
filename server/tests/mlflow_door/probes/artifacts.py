"""Artifacts: the proxy, listings of runs and versions, uploads in parts."""

from __future__ import annotations

from mlflow_door.calls import Call, Case, call, case, get, post
from mlflow_door.probes.registry import version
from mlflow_door.probes.runs import NEW, NONE

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
ROOT = PROXY + "/$e/$r/artifacts"


def put(path: str, body: bytes = b"text", how: str = "PUT", **headers: str) -> Call:
    return call(how, f"{ROOT}/{path}", body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def at(path: str, how: str = "GET") -> Call:
    return Call(how, f"{ROOT}/{path}" if path else ROOT)


def listed(path: str) -> Call:
    return get(PROXY, path=path)


def of_run(**asked: str) -> Call:
    return get("artifacts/list", **asked)


FILLED = (
    *NEW,
    put("a.txt"),
    put("sub/b.json", b"{}"),
    put("sub/deep/c.bin", b"\x00\x01"),
    put("z.html", b"<b>x</b>"),
    put("empty", b""),
)
ODD = (
    "..",
    "../x",
    "a/../b",
    "%2e%2e/x",
    "%2E%2E%2Fx",
    "a/%2e%2e/%2e%2e/x",
    "..%2fx",
    "%252e%252e/x",
    "//a",
    "/etc/passwd",
    "%2Fetc%2Fpasswd",
    "C:/x",
    "C:%5Cx",
    "a%5C..%5Cb",
    "a%00b",
    "file:///etc/passwd",
    "a?b",
    "a%3Fb",
    "a%23b",
    "a%20b",
    "%C3%BC",
    "a+b",
    "a//b",
    "./a",
    "a/.",
    "a%0Ab",
    "a:b",
    "~",
    "a/b/",
    "%",
)

CASES: list[Case] = [
    case(
        "put, get, list",
        *FILLED,
        at("a.txt"),
        at("sub/b.json"),
        at("sub/deep/c.bin"),
        at("z.html"),
        at("empty"),
        at("none"),
        at("sub"),
        at("sub/"),
        at(""),
        at("sub/none"),
        listed("$e/$r/artifacts"),
        listed("$e/$r/artifacts/sub"),
        listed("$e/$r/artifacts/sub/"),
        listed("$e/$r/artifacts/a.txt"),
        listed("$e/$r/artifacts/none"),
        listed("$e/$r"),
        listed("none"),
        listed("/"),
        get(PROXY, path="$e/$r/artifacts", page_token="x"),
        of_run(run_id="$r"),
        of_run(run_uuid="$r"),
        of_run(run_id="$r", path="sub"),
        of_run(run_id="$r", path="sub/"),
        of_run(run_id="$r", path="sub/deep"),
        of_run(run_id="$r", path="a.txt"),
        of_run(run_id="$r", path="none"),
        of_run(run_id="$r", path=""),
        of_run(run_id="$r", path="/"),
        of_run(run_id="$r", path="."),
        of_run(run_id=NONE),
        of_run(),
        of_run(run_id=""),
        of_run(run_id="$r", path="../x"),
        of_run(run_id="$r", path="/etc"),
        of_run(run_id="$r", path="a/../../x"),
        of_run(run_id="$r", page_token="x"),
    ),
    case(
        "overwrite and delete",
        *FILLED,
        put("a.txt", b"newer"),
        at("a.txt"),
        at("a.txt", "DELETE"),
        at("a.txt"),
        at("a.txt", "DELETE"),
        at("sub", "DELETE"),
        listed("$e/$r/artifacts"),
        at("none", "DELETE"),
        at("", "DELETE"),
        listed("$e/$r/artifacts"),
    ),
    case("a file where a folder is", *FILLED, put("sub", b"x"), put("a.txt/x", b"x"), listed("$e/$r/artifacts")),
    case(
        "other methods",
        *FILLED,
        put("a.txt", how="POST"),
        put("a.txt", how="PATCH"),
        call("PUT", PROXY, b"x"),
        call("POST", PROXY, b"x"),
        call("HEAD", ROOT + "/a.txt"),
        call("HEAD", ROOT + "/none"),
        call("OPTIONS", ROOT + "/a.txt"),
    ),
    case(
        "content types",
        *NEW,
        put("a", Content_Type="text/plain"),
        put("b", Content_Type="application/json"),
        put("c", b"{", Content_Type="application/json"),
        put("d", Content_Type="application/octet-stream"),
        at("a"),
        at("c"),
    ),
    case("odd paths: put", *NEW, *(put(path) for path in ODD), listed("$e/$r/artifacts")),
    case("odd paths: get", *FILLED, *(at(path) for path in ODD)),
    case("odd paths: delete", *FILLED, *(at(path, "DELETE") for path in ODD), listed("$e/$r/artifacts")),
    case(
        "odd paths: list",
        *FILLED,
        *(
            listed(path)
            for path in (
                "..",
                "../x",
                "$e/$r/artifacts/..",
                "$e/../$e",
                "/etc",
                "%2e%2e",
                "a%00b",
                "file:///etc",
                "C:/x",
                "\\x",
                "~",
                "./$e/$r/artifacts",
                "$e//$r/artifacts",
                "s3://b/c",
                "a\0b",
            )
        ),
    ),
    case(
        "ranges",
        *FILLED,
        *(
            call("GET", ROOT + "/a.txt", headers={"Range": asked})
            for asked in ("bytes=0-1", "bytes=1-", "bytes=-2", "bytes=9-", "bytes=x", "items=0-1")
        ),
    ),
    case(
        "get-artifact",
        *FILLED,
        *(
            get("/get-artifact", *asked)
            for asked in (
                (("run_id", "$r"), ("path", "a.txt")),
                (("run_uuid", "$r"), ("path", "sub/b.json")),
                (("run_id", "$r"), ("path", "none")),
                (("run_id", "$r"), ("path", "sub")),
                (("run_id", NONE), ("path", "a.txt")),
                (("run_id", "$r"), ("path", "../x")),
                (("run_id", "$r"), ("path", "/etc/passwd")),
                (("run_id", "$r"),),
                (("path", "a.txt"),),
                (("run_id", "$r"), ("path", "")),
                (("run_id", "$r"), ("path", "z.html")),
            )
        ),
        get("/api/2.0/mlflow/get-artifact", run_id="$r", path="a.txt"),
        get("/ajax-api/2.0/mlflow/get-artifact", run_id="$r", path="a.txt"),
    ),
    case(
        "upload-artifact",
        *NEW,
        *(
            Call("POST", "/ajax-api/2.0/mlflow/upload-artifact", body, asked)
            for asked, body in (
                ((("run_uuid", "$r"), ("path", "up/a.txt")), b"text"),
                ((("run_id", "$r"), ("path", "b.txt")), b"text"),
                ((("run_uuid", "$r"), ("path", "c")), b""),
                ((("path", "c"),), b"x"),
                ((("run_uuid", "$r"),), b"x"),
                ((("run_uuid", NONE), ("path", "c")), b"x"),
                ((("run_uuid", "$r"), ("path", "../c")), b"x"),
            )
        ),
        listed("$e/$r/artifacts"),
    ),
    case(
        "a version's artifact",
        *FILLED,
        post("registered-models/create", {"name": "$u-m"}),
        version(source="mlflow-artifacts:/$e/$r/artifacts/sub", run_id="$r"),
        version(source="runs:/$r/sub", run_id="$r"),
        version(source="s3://bucket/x"),
        *(
            get("/model-versions/get-artifact", *asked)
            for asked in (
                (("name", "$u-m"), ("version", "1"), ("path", "b.json")),
                (("name", "$u-m"), ("version", "1"), ("path", "none")),
                (("name", "$u-m"), ("version", "2"), ("path", "b.json")),
                (("name", "$u-m"), ("version", "9"), ("path", "b.json")),
                (("name", "$u-none"), ("version", "1"), ("path", "b.json")),
                (("name", "$u-m"), ("version", "1"), ("path", "../a.txt")),
                (("name", "$u-m"), ("version", "1")),
                (("version", "1"), ("path", "b.json")),
            )
        ),
    ),
    case(
        "of a deleted run",
        *FILLED,
        post("runs/delete", {"run_id": "$r"}),
        at("a.txt"),
        put("b.txt"),
        of_run(run_id="$r"),
        get("/get-artifact", run_id="$r", path="a.txt"),
    ),
    case(
        "of no run",
        *NEW,
        call("PUT", PROXY + "/free/a.txt", b"x"),
        Call("GET", PROXY + "/free/a.txt"),
        call("PUT", PROXY + "/$e/" + NONE + "/artifacts/a.txt", b"x"),
        Call("DELETE", PROXY + "/free/a.txt"),
        call("PUT", PROXY + "/$e/$r/x.txt", b"x"),
        call("PUT", PROXY + "/$e/x.txt", b"x"),
    ),
    case(
        "in parts",
        *NEW,
        *(
            post(f"/api/2.0/mlflow-artifacts/mpu/{verb}/$e/$r/artifacts/big", body)
            for verb, body in (
                ("create", {"path": "big", "num_parts": 2}),
                ("create", {}),
                ("complete", {"path": "big", "upload_id": "x", "parts": []}),
                ("abort", {"path": "big", "upload_id": "x"}),
                ("create", {"path": "../x", "num_parts": 1}),
                ("nonsense", {}),
            )
        ),
        get("/api/2.0/mlflow-artifacts/presigned/$e/$r/artifacts/big"),
        post("artifacts/presigned-upload-url", {"run_id": "$r", "path": "big"}),
        get("artifacts/presigned-download-url", run_id="$r", path="a.txt"),
    ),
    case(
        "twins",
        *FILLED,
        *(
            Call(how, "/ajax-api/2.0/mlflow-artifacts/artifacts/$e/$r/artifacts/a.txt", body)
            for how, body in (("GET", None), ("PUT", b"new"), ("DELETE", None))
        ),
        get("/ajax-api/2.0/mlflow-artifacts/artifacts", path="$e/$r/artifacts"),
        get("/ajax-api/2.0/mlflow/artifacts/list", run_id="$r"),
    ),
]
