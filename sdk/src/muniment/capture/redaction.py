"""Texts without their secrets: a script, or a difference, line by line, so that its lines stay where they are."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from muniment.capture.secrets import MASK, is_secret_name, is_secret_value, mask_literals, mask_shapes

_HINTS = (
    "pass", "pwd", "secret", "token", "key", "credential", "auth", "cookie", "bearer", "basic", "://", "webhook",
    "connection", "akia", "asia", "abia", "acca", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-",
    "gldt-", "glptt-", "glrt-", "glsoat-", "glft-", "glcbt-", "glagent-", "glimt-", "xox", "xapp", "eyj", "sk-",
    "hf_", "api_org_", "aiza", "ya29", "gocspx", "_live_", "_test_", "npm_", "pypi-", "dckr_", "sg.", ":aa", "_v1_",
    "dapi", "hvs.", "nvapi", "r8_", "gsk_", "hooks.", "sig=", "signature=",
)  # fmt: skip
"""One of these, in lower case, is in every line that has something to mask. Most lines have none, which saves time."""
_SETTINGS = frozenset(
    (".env", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".toml", ".properties", ".sh", ".bash", ".zsh", ".tfvars",
     ".dockerfile", ".envrc")
)  # fmt: skip
"""Files where a value needs no quotes. In a program, what has none is no value but a name."""
_SETTING = re.compile(
    r"""(\s*(?:-\s+)?(?:(?:export|set|ENV|ARG)\s+)?["']?([A-Za-z_][\w.-]*)["']?\s*[:=]\s*)([^\s"'#!|>&*{\[(][^#\r\n]*?)(\s*(?:\#.*)?[\r\n]*)\Z"""
)
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:\\n)?[\"'\\,\s]*\Z")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(r"(\s*[\"']{0,3})([A-Za-z0-9+/=]{4,}|[A-Za-z-]+: [\w,. ()-]+)((?:\\n)?[\"',\\\s]*)\Z")
_SECRET_FILES = re.compile(
    r"""(?:\.env(?:\.(?!example|sample|template|dist)[\w-]+)?|\.netrc|_netrc|\.pgpass|\.pypirc|\.npmrc|\.htpasswd|\.git-credentials
    |id_(?:rsa|dsa|ecdsa|ed25519)|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc|gpg)|credentials(?:\.json|\.ya?ml|\.ini)?
    |(?:client_)?secrets?(?:\.json|\.ya?ml|\.toml|\.ini)|service[-_]account.*\.json|kubeconfig|\.dockercfg)\Z""",
    re.IGNORECASE | re.VERBOSE,
)


def is_secret_file(path: str) -> bool:
    """Whether a file is there to hold secrets, by its name: ``.env``, ``id_rsa``, ``credentials.json``."""
    return _SECRET_FILES.match(PurePosixPath(path).name) is not None


class Redactor:
    """Masks the lines of one text, one after the other; it remembers whether a private key has begun.

    Args:
        path: of the file, which tells whether values stand there without quotes.
        text: all of it.
    """

    def __init__(self, path: str, text: str) -> None:
        lowered = text.lower()
        self._hints = [hint for hint in _HINTS if hint in lowered]
        name = PurePosixPath(path)
        self._bare = name.suffix.lower() in _SETTINGS or name.name.lower().startswith((".env", "dockerfile"))
        self._in_key = False

    def begin(self) -> None:
        """Go on elsewhere in the text: what was begun before is not known to go on."""
        self._in_key = False

    def line(self, line: str) -> str:
        """A line as it may be kept."""
        if self._in_key:
            found = _KEY_LINE.match(line)
            if found:
                return f"{found[1]}{MASK}{found[3]}"
            self._in_key = not line.strip()
        lowered = line.lower()
        for hint in self._hints:
            if hint in lowered:
                break
        else:
            return line
        if "private key" in lowered:
            self._in_key = _KEY_BEGINS.search(line) is not None and not _KEY_ENDS.search(line)
        masked = mask_literals(mask_shapes(line))
        if self._bare and (found := _SETTING.match(masked)) and is_secret_name(found[2]):
            value = found[3]
            if MASK not in value and is_secret_value(found[2], value):
                return f"{found[1]}{MASK}{found[4]}"
        return masked


def mask_text(text: str, path: str) -> tuple[str, int]:
    """The text of a file as it may be kept, and how many lines of it were masked."""
    redactor = Redactor(path, text)
    lines = text.split("\n")
    kept = [redactor.line(line) for line in lines]
    return "\n".join(kept), sum(before != after for before, after in zip(lines, kept, strict=True))


def mask_patch(patch: bytes, path: str) -> tuple[bytes, int]:
    """The difference of one file as it may be kept, and how many lines of it were masked.

    Hunks keep their lines, so the difference can be read; where something was masked it can no longer be applied to
    what it was made from. What git writes as a binary difference stays as it is.
    """
    text = patch.decode("utf-8", "surrogateescape")  # every byte comes back as it was
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.startswith("@@")), len(lines))
    kept, redactor = lines[:start], Redactor(path, text)
    for line in lines[start:]:
        if line.startswith("@@"):
            redactor.begin()
            kept.append(redactor.line(line))
            redactor.begin()
        else:
            kept.append(line[:1] + redactor.line(line[1:]))
    masked = sum(before != after for before, after in zip(lines, kept, strict=True))
    if masked:  # the names of blobs are digests of what was masked: good enough to try passwords against
        kept[:start] = [
            re.sub(r"^index [0-9a-f]+\.\.[0-9a-f]+", "index 0000000..0000000", line) for line in kept[:start]
        ]
    return "\n".join(kept).encode("utf-8", "surrogateescape"), masked
