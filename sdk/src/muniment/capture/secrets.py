"""Values that must not be kept: which they are is told by their name or by their shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

MASK = "***"

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_SURE = frozenset((
    "password", "passwd", "passphrase", "secret", "secrets", "credential", "credentials", "apikey",
    "authorization", "bearer",
))  # fmt: skip
_PAIRS = frozenset(
    f"{first} {second}"
    for second, firsts in {
        "key": "api access private secret account encryption signing auth master admin storage shared subscription "
        "license deploy service session ssh app application client jwt hmac fernet",
        "string": "connection",
        "pwd": "db user admin sql mysql postgres smtp ftp ldap",
        "pass": "db user admin sql mysql postgres smtp ftp ldap",
        "auth": "basic http proxy",
        "cookie": "session auth login",
        "webhook": "slack discord teams",
    }.items()
    for first in firsts.split()
)
_ENDINGS = frozenset((
    "value", "string", "plain", "plaintext", "text", "b64", "base64", "hex", "raw",
))  # fmt: skip
_SWITCHES = frozenset((
    "use", "no", "has", "is", "enable", "disable", "show", "require", "skip", "save", "with", "mask", "hide",
))  # fmt: skip
_OF_TEXT = frozenset((
    "pad", "eos", "bos", "unk", "cls", "sep", "mask", "start", "end", "stop", "special", "image", "audio",
    "video", "next", "prev", "previous", "first", "last", "per", "by", "each", "max", "min", "num", "n", "new",
    "prefix", "suffix", "begin", "eot", "eod", "class", "dist", "register", "text", "speech", "forced",
    "decoder", "boundary", "word", "sub", "subword", "visual", "patch", "query", "memory", "summary", "think",
    "tool", "role", "turn", "newline", "space", "control", "added", "out", "output", "input", "target",
    "source", "generated", "sampled", "draft", "current", "separator", "trigger", "placeholder", "line", "fim",
    "img", "drop", "single", "every",
))  # fmt: skip
"""What stands before ``token`` where it is a piece of a text."""

_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
      (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])                            # AWS
    | gh[pousr]_[A-Za-z0-9]{36,255} | github_pat_[A-Za-z0-9_]{22,255}               # GitHub
    | gl(?:pat|dt|ptt|rt|soat|ft|cbt|agent|imt)-[A-Za-z0-9_.-]{20,255}              # GitLab
    | xox[abeoprs]-[A-Za-z0-9-]{10,255} | xapp-[A-Za-z0-9-]{20,255}                 # Slack
    | eyJ[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+              # JSON Web Token
    | sk-(?=[A-Za-z_-]{0,200}\d)(?=[a-z0-9_-]{0,200}[A-Z])[A-Za-z0-9_-]{20,255}     # OpenAI, Anthropic
    | hf_[A-Za-z0-9]{30,255} | api_org_[A-Za-z0-9]{30,255}                          # Hugging Face
    | AIza[A-Za-z0-9_-]{35} | ya29\.[A-Za-z0-9_-]{20,} | GOCSPX-[A-Za-z0-9_-]{20,}  # Google
    | (?:sk|rk|whsec)_(?:live|test)_[A-Za-z0-9]{10,255}                             # Stripe
    | npm_[A-Za-z0-9]{36} | pypi-AgE[A-Za-z0-9_-]{50,} | dckr_pat_[A-Za-z0-9_-]{20,}
    | SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}                                # SendGrid
    | \d{8,10}:AA[A-Za-z0-9_-]{33}                                                  # Telegram
    | do[opr]_v1_[a-f0-9]{64} | dapi[a-f0-9]{32} | hvs\.[A-Za-z0-9_-]{24,}          # DigitalOcean, Databricks, Vault
    | nvapi-[A-Za-z0-9_-]{60,} | r8_[A-Za-z0-9]{37} | gsk_[A-Za-z0-9]{50,}          # NVIDIA, Replicate, Groq
    | AGE-SECRET-KEY-1[A-Z0-9]{58}
    )""",
    re.VERBOSE | re.ASCII,
)
_PARTS = (  # what stands before the secret, and the secret
    re.compile(
        r"((?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks)/)[\w/-]{10,}", re.ASCII
    ),
    re.compile(r"(?i)([?&](?:sig|signature|x-(?:amz|goog)-(?:signature|credential|security-token))=)[^&\s\"'<>]{8,}"),
    re.compile(
        r"(?i)(\b(?:bearer|basic)\s{1,4})(?=[a-z._~+/=-]{0,200}\d|[a-z+/]{12,200}=)[a-z0-9._~+/=-]{8,}", re.ASCII
    ),
    re.compile(r"(?i)((?:AccountKey|SharedAccessKey|SharedAccessSignature)=)[a-z0-9+/=%&]{16,}", re.ASCII),
    re.compile(r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)(?!-----)[^\"'`-]*[A-Za-z0-9+/=]{16}[^\"'`-]*"),
)
_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,40}+)://([^\s\"'<>`]+)", re.ASCII)

_NAME = r"(?<![\w.-])(?P<name>[A-Za-z_][\w.-]{0,200}+)"
_LITERAL = re.compile(
    _NAME
    + r"""(?:\\?["'])?\]?\s{0,40}
    (?P<sign> :\s{0,4}[A-Za-z_][\w.\ |\[\]]{0,60}=(?!=) | :=|=>|==|=|: | ,(?=\s{0,40}\\?["']) )\s{0,40}[rbuf]{0,2}
    (?: (?P<quote>["'`])(?P<value>(?:(?!(?P=quote))[^\\\n]|\\.){1,4096}+)(?P=quote)
      | \\(?P<inner>["'])(?P<within>[^"'\\\n]{1,4096})\\(?P=inner) )""",
    re.ASCII | re.VERBOSE,
)
_BARE = re.compile(
    _NAME + r"""["']?(?P<sign>=|:\s{0,4})(?P<value>[^\s"'`,;&{}()\[\]<>=][^\s"'`,;&{}()<>]{0,4095}+)(?![(\[])""",
    re.ASCII,
)
_REFERENCE = re.compile(
    r"\$[A-Z_][A-Z0-9_]*\Z|\$?\{.*\}\Z|<.*>\Z|%\(\w+\)s\Z|%s\Z|\*+\Z|[xX]{3,}\Z|\.\.\.\Z|…\Z|\$\(.*\)\Z"
)
_PATH = re.compile(r"(?:~|\.{1,2}|/(?:run|etc|var|opt|tmp|mnt|usr|srv|data|secrets))/[\w./-]*\Z")
_NOTHING = frozenset((
    "true", "false", "none", "null", "nil", "yes", "no", "on", "off", "empty", "undefined", "required",
    "optional", "dummy", "example", "placeholder", "str",
))  # fmt: skip

_PROGRAMS = {"sshpass": "-p", "mysql": "-p", "mysqldump": "-p", "mariadb": "-p", "redis-cli": "-a", "curl": "-u",
             "docker": "-p", "podman": "-p", "twine": "-p", "ldapsearch": "-w"}  # fmt: skip
"""Programs of which a short option takes a password."""


def is_secret_name(name: str) -> bool:
    """Whether what goes by a name is a secret: ``--api-key`` or ``dbPassword``; not ``max_tokens``, ``pad_token``."""
    words = [word.lower() for word in _WORD.findall(name.rpartition(".")[2])]
    while len(words) > 1 and (words[-1] in _ENDINGS or words[-1].isdigit()) and " ".join(words[-2:]) not in _PAIRS:
        words.pop()
    if not words or (len(words) > 1 and words[0] in _SWITCHES):
        return False
    if words[-1] == "token":
        return len(words) == 1 or words[-2] not in _OF_TEXT
    return words[-1] in _SURE or " ".join(words[-2:]) in _PAIRS


def is_secret_value(name: str, value: str) -> bool:
    """Whether the value under a secret's name is one, and not a reference, a switch, a file or a count of tokens."""
    if not value or value.lower() in _NOTHING or _REFERENCE.match(value) or _PATH.match(value):
        return False
    return not (name.lower().endswith("token") and len(value) < 8 and re.fullmatch(r"-?[\d.]+(?:e-?\d+)?", value))


def _is_secret_literal(name: str, value: str, sign: str) -> bool:
    """The same for a quoted text in a program, where names of secrets are spoken of more often than secrets."""
    if not is_secret_value(name, value) or value.lower() == name.lower().rpartition(".")[2]:
        return False
    if re.fullmatch(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", value) or value.lower() in {
        "password",
        "secret",
        "token",
        "string",
    }:
        return False  # the name of a variable or a field
    if "{" in value and len(re.sub(r"\{[^{}]*\}|(?i:bearer|basic|token)\s", "", value)) < 4:
        return False  # put together from variables
    if sign == "," or name.lower().rstrip("_").endswith("token"):
        return len(value) >= 8 and " " not in value and any(letter.isdigit() for letter in value)
    return True


def without_credentials(url: str) -> str:
    """A URL without user, password, token, query and fragment; ``git@`` stays, since everybody is called so there."""
    bare = re.sub(r"[?#].*\Z", "", url, flags=re.DOTALL)
    bare = re.sub(r"^([A-Za-z][A-Za-z0-9+.:-]*://)(?!git@)[^/]*@", r"\1", bare)
    bare = re.sub(r"^(?![A-Za-z][A-Za-z0-9+.:-]*://)[^/@\s]*:[^/@\s]*@", "", bare)  # user:password@host:path
    return mask_shapes(bare)


def mask_shapes(text: str) -> str:
    """`text` with everything masked that is known by its shape: tokens, logins in URLs, private keys."""
    text = _SHAPES.sub(MASK, text)
    for part in _PARTS:
        text = part.sub(rf"\1{MASK}", text)
    return _URL.sub(_without_login, text) if "://" in text else text


def _without_login(found: re.Match[str]) -> str:
    scheme, rest = found.groups()
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if not at and "@" in rest and re.match(r"[^:/?#\[]*:(?!\d*(?:[/?#]|\Z))", rest):
        user = rest.rpartition("@")[0]  # a password with a slash in it
    name, colon, password = user.partition(":")
    if colon:
        secret = bool(password) and not _REFERENCE.match(password)
    else:
        secret = scheme.lower().startswith(("http", "git+http")) and len(name) >= 16 and not _REFERENCE.match(name)
    return f"{scheme}://{MASK}{rest[len(user) :]}" if secret else found.group()


def mask_literals(text: str) -> str:
    """`text` with quoted values masked that go by a secret's name: ``api_key = "…"``, ``"password": "…"``."""

    def masked(found: re.Match[str]) -> str:
        group = "value" if found["value"] is not None else "within"
        if not is_secret_name(found["name"]) or not _is_secret_literal(found["name"], found[group], found["sign"]):
            return found.group()
        start, end = found.start(group) - found.start(), found.end(group) - found.start()
        return found.group()[:start] + MASK + found.group()[end:]

    return _LITERAL.sub(masked, text)


def mask_bare(text: str) -> str:
    """`text` with values masked that go by a secret's name without quotes: ``API_KEY=…``, ``password: …``."""

    def masked(found: re.Match[str]) -> str:
        if not is_secret_name(found["name"]) or not is_secret_value(found["name"], found["value"]):
            return found.group()
        return found.group()[: found.start("value") - found.start()] + MASK

    return _BARE.sub(masked, text)


def mask_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line with its secrets masked: by option, by name, by shape.

    ``--token X``, ``--token=X``, ``API_KEY=X`` and ``logger.api_key=X`` are masked; so is ``-p X`` of a program that
    is known to take a password there. ``--token-limit 512`` and ``--tokenizer bert`` stay.
    """
    masked: list[str] = []
    awaited, short = "", ""
    for argument in arguments:
        name, awaited = awaited, ""
        if name and not argument.startswith("--") and is_secret_value(name, argument):
            masked.append(MASK)
        elif short and argument.startswith(short) and short != "-u":
            awaited = "password" if argument == short else ""
            masked.append(argument if awaited else short + MASK)
        else:
            if argument == short or (re.fullmatch(r"--?[A-Za-z][\w.-]+", argument) and is_secret_name(argument)):
                awaited = argument.lstrip("-") if argument != short else "password"
            masked.append(_mask_argument(argument))
        short = _PROGRAMS.get(PurePath(argument).name, short)
    return masked


def _mask_argument(argument: str) -> str:
    found = re.match(r"([-+~]{0,2})([A-Za-z_][\w./@-]*)(:?=)", argument)
    if found and is_secret_name(found[2]) and is_secret_value(found[2], argument[found.end() :]):
        return argument[: found.end()] + MASK
    return mask_bare(mask_literals(mask_shapes(argument)))
