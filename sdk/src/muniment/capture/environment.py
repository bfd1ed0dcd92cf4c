"""What a program runs in: Python, packages, the container's image, the machine, and variables that change results."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import msgspec

from muniment.capture import storable
from muniment.capture.machine import hardware
from muniment.capture.secrets import mask_shapes, without_credentials
from muniment.model.run import Environment

VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_DISABLE_JIT", "JAX_ENABLE_X64", "JAX_PLATFORMS",
    "KMP_AFFINITY", "KMP_DETERMINISTIC_REDUCTION", "LANG", "LC_ALL", "LC_COLLATE", "LC_NUMERIC", "LOCAL_RANK",
    "LOCAL_WORLD_SIZE", "MKL_CBWR", "MKL_DYNAMIC", "MKL_NUM_THREADS", "NCCL_ALGO", "NCCL_PROTO",
    "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NVIDIA_TF32_OVERRIDE", "OMP_DYNAMIC",
    "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_SCHEDULE", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS", "PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONUTF8", "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ENABLE_MPS_FALLBACK", "RANK", "RAYON_NUM_THREADS", "ROCR_VISIBLE_DEVICES",
    "TF_CUDNN_DETERMINISTIC", "TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TZ", "VECLIB_MAXIMUM_THREADS", "WORLD_SIZE", "XLA_FLAGS",
)  # fmt: skip
"""The only variables that are ever read into a record: they change what is computed, or in which order."""
IMAGES = (
    "MUNIMENT_IMAGE", "FLYTE_INTERNAL_IMAGE", "CI_JOB_IMAGE", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER",
    "CONTAINER_IMAGE", "DOCKER_IMAGE",
)  # fmt: skip
"""Variables that name the container's image; the first that is set counts."""


def capture() -> tuple[Environment, bytes]:
    """What this process runs in, and its packages.

    The packages are sorted lines ``name==version``, as pip reads them, without a last line end. A note after ``  # ``
    says what was installed from elsewhere than an index. ``packages_digest`` is the sha256 of exactly these bytes.
    """
    made, listed = Environment(), b""
    with contextlib.suppress(Exception):  # capturing must never stop a training
        made = msgspec.structs.replace(made, python=python())
        made = msgspec.structs.replace(made, variables=variables(os.environ) or None, image=image(os.environ))
    with contextlib.suppress(Exception):
        made = msgspec.structs.replace(made, hardware=hardware() or None)
    with contextlib.suppress(Exception):
        listed = "\n".join(packages(distributions())).encode()
        made = msgspec.structs.replace(made, packages_digest=hashlib.sha256(listed).hexdigest())
    return made, listed


def python() -> str:
    """``3.11.7``; with the implementation where it is not CPython, and the build where it is not the usual one."""
    version = platform.python_version() + getattr(sys, "abiflags", "")  # t: without the global lock; d: for debugging
    name = platform.python_implementation()
    if name == "CPython":
        return version
    own = ".".join(map(str, sys.implementation.version[:3]))
    return f"{version} ({name} {own})"


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of `VARIABLES` that are set."""
    return {name: storable(mask_shapes(environ[name]), 1_000) for name in VARIABLES if name in environ}


def image(environ: Mapping[str, str], root: Path = Path("/")) -> str | None:
    """The container's image, where a variable or Podman's own file says it."""
    for name in IMAGES:
        if environ.get(name, "").strip():
            return _image(environ[name])
    with contextlib.suppress(OSError):
        found = re.search(r'^image="([^"]+)"', (root / "run/.containerenv").read_text("utf-8"), re.MULTILINE)
        if found:
            return _image(found[1])
    return None


def _image(name: str) -> str:
    name = name.strip()
    return storable(without_credentials(name) if "://" in name else mask_shapes(name), 1_000)


def packages(found: Iterable[Distribution]) -> list[str]:
    """A line for each distribution that can be imported; notes say where one comes from, and which others it hides."""
    lines: dict[str, str] = {}
    hidden = set()
    for distribution in found:
        name, version = _identity(distribution)
        if not name or not version:
            continue
        key = re.sub(r"[-_.]+", "-", name).lower()
        pin = f"{key}=={version}"
        if key not in lines:
            origin = _origin(distribution)
            lines[key] = f"{pin}  # {origin}" if origin else pin
        elif lines[key].partition("  #")[0] != pin:
            hidden.add(f"# {pin} is there too, behind the other {key}")
    return [storable(line, 2_000) for line in sorted([*lines.values(), *hidden])]


def _identity(distribution: Distribution) -> tuple[str, str]:
    # Distribution.name and .version parse the whole file with the email package, each of them again
    for file in ("METADATA", "PKG-INFO", ""):
        with contextlib.suppress(Exception):  # a broken distribution hides no other
            head = (distribution.read_text(file) or "").partition("\n\n")[0]
            name = re.search(r"^Name:[ \t]*([\w.-]+)\s*$", head, re.MULTILINE)
            version = re.search(r"^Version:[ \t]*([\w.!+-]+)\s*$", head, re.MULTILINE)
            if name and version:
                return name[1], version[1]
    return "", ""


def _origin(distribution: Distribution) -> str:
    """What stands after the pin of a distribution that comes from no index. Paths of this machine are not told."""
    try:
        text = distribution.read_text("direct_url.json")
        said: dict[str, Any] = msgspec.json.decode(text, type=dict) if text else {}
        url = str(said.get("url", ""))
        if said.get("dir_info", {}).get("editable"):
            return "editable"
        if url.startswith("file:"):
            digest = _archive_digest(said)
            return f"from a local file{digest}" if "archive_info" in said else "from a local folder"
        if not url:
            return "editable" if _is_among_sources(distribution) else ""
        bare, version_control = without_credentials(url), said.get("vcs_info", {})
        if version_control:
            return f"from {version_control.get('vcs', 'git')}+{bare}@{version_control.get('commit_id', '')}"
        return f"from {bare}{_archive_digest(said)}"
    except Exception:  # noqa: BLE001 - a note that cannot be written
        return ""


def _archive_digest(said: dict[str, Any]) -> str:
    told = said.get("archive_info", {})
    digests = told.get("hashes") or {}
    digest = f"sha256={digests['sha256']}" if "sha256" in digests else told.get("hash") or ""
    return f"#{digest}" if digest else ""


def _is_among_sources(distribution: Distribution) -> bool:
    """Whether it was installed for development in the old way: its metadata lies beside what it is built by."""
    folder = Path(str(distribution.locate_file("")))
    return any((folder / name).is_file() for name in ("setup.py", "pyproject.toml"))
