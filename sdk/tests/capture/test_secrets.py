"""What is masked, and what must not be."""

from __future__ import annotations

import base64
import string
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdk.tests.capture.repositories import Repository

from muniment.capture import code
from muniment.capture.redaction import is_secret_file, mask_patch, mask_text
from muniment.capture.secrets import MASK, is_secret_name, mask_arguments, mask_shapes, without_credentials

LETTERS = string.ascii_letters + string.digits
# put together here, so that no scanner takes this file for a leak
TOKENS = [
    "AKIA" + "IOSFODNN7EXAMPLE", "ghp" + "_" + "a1B2" * 9, "github_pat" + "_" + "11ABCDE" * 4,
    "glpat" + "-" + "x1" * 10,
    "xoxb" + "-123456789012-" + "abcDEF123456", "sk" + "-proj-" + "aB3d" * 8, "sk" + "-ant-api03-" + "Zz9_" * 8,
    "hf" + "_" + "aBcD" * 9, "AIza" + "Sy0-_" * 7, "npm" + "_" + "a1b2" * 9, "SG" + "." + "a1b2" * 5 + "." + "c3d4" * 9,
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxIn0.dBjftJeZ4CVP", "sk" + "_live_" + "a1b2c3d4e5", "dapi" + "0a" * 16,
    "hvs" + "." + "CAESI" * 6, "nvapi" + "-" + "aB3_" * 16, "123456789" + ":AA" + "b" * 33, "gsk" + "_" + "a1B2" * 13,
]  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (["--token=abc"], ["--token=***"]),
        (["--api-key", "X"], ["--api-key", "***"]),
        (["--password", "hunter2", "--lr", "1"], ["--password", "***", "--lr", "1"]),
        (["--password", "-starts-with-a-dash"], ["--password", "***"]),
        (["-token", "X"], ["-token", "***"]),
        (["--wandb.api_key=abc"], ["--wandb.api_key=***"]),
        (["+logger.api_key=abc", "~a"], ["+logger.api_key=***", "~a"]),
        (["WANDB_API_KEY=abc", "AWS_SECRET_ACCESS_KEY=a/b+c="], ["WANDB_API_KEY=***", "AWS_SECRET_ACCESS_KEY=***"]),
        (["--dbPassword=x", "--clientSecret=y"], ["--dbPassword=***", "--clientSecret=***"]),
        (["--auth-token", "abc", "--hf_token=abc"], ["--auth-token", "***", "--hf_token=***"]),
        (["--env", "SECRET_KEY=abc"], ["--env", "SECRET_KEY=***"]),
        (['--config={"api_key": "v1", "seed": 3}'], ['--config={"api_key": "***", "seed": 3}']),
        (["logger={api_key:abc,lr:0.1}"], ["logger={api_key:***,lr:0.1}"]),
        (["postgresql://ada:pw@host/db"], ["postgresql://***@host/db"]),
        (["--store=postgresql://ada:p/w@d@host:5432/db?x=1"], ["--store=postgresql://***@host:5432/db?x=1"]),
        (["https://h/f?a=1&token=abc&b=2"], ["https://h/f?a=1&token=***&b=2"]),
        (["https://h/f?X-Amz-Signature=0123456789abcdef"], ["https://h/f?X-Amz-Signature=***"]),
        (["-H", "X-Api-Key: abc"], ["-H", "X-Api-Key: ***"]),
        (["sshpass", "-p", "pw", "ssh", "h"], ["sshpass", "-p", "***", "ssh", "h"]),
        (["/usr/bin/mysql", "-ppw"], ["/usr/bin/mysql", "-p***"]),
        (["curl", "-u", "ada:pw"], ["curl", "-u", "***"]),
        (["bash", "-c", "cd x && API_KEY=abc python a.py"], ["bash", "-c", "cd x && API_KEY=*** python a.py"]),
    ],
)
def test_arguments_that_are_masked(given_: list[str], kept: list[str]) -> None:
    assert mask_arguments(given_) == kept


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token-limit", "512"], ["--tokenizer", "bert"], ["--max_tokens=128"], ["--num_tokens", "3"],
        ["--pad-token", "<pad>"], ["--eos_token=</s>"], ["--mask-token", "[MASK]"], ["--token", "512"], ["lr=0.1"],
        ["-p", "8080"], ["python", "-p", "X"], ["--key", "label"], ["--sort-key=auc"], ["--author", "ada"],
        ["--use-auth-token", "data.csv"], ["--no-password"], ["--password", "--verbose"], ["--token", "${TOKEN}"],
        ["--api-key=$API_KEY"], ["--secret-name", "x"], ["--password-file", "pw"], ["--token=/run/secrets/token"],
        ["--secret=none"], ["--passes", "3"], ["--passthrough=yes"], ["model.hidden=64", "data.path=/x/y"],
        ["https://host:8080/a@b"], ["ssh://git@host/x.git"], ["git@host:a/b.git"], ["s3://bucket/key"], ["a@b.org"],
        ["--authors=a,b"], ["--secretary", "x"], ["--primary-key", "id"], ["--foreign_key=a"], ["--keys", "a", "b"],
        ["--monkey", "x"], ["--bearing", "3"], ["--pwd", "here"], ["PWD=here"], ["--n_tokens_per_batch=4096"],
        ["--image-token=3", "--dropout_token=0.1"], ["sk-learn-some-long-name-of-a-thing"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_arguments_that_stay(arguments: list[str]) -> None:
    assert mask_arguments(arguments) == arguments


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:8])
def test_tokens_are_known_by_their_shape(token: str) -> None:
    for around in ("{}", "--x={}", "a {} b", "'{}'", "f({})", '"{}",', "https://h/?q={}"):
        assert mask_shapes(around.format(token)) == around.format(MASK)
    assert mask_arguments(["fit", token]) == ["fit", MASK]
    assert token not in mask_text(f"x = '{token}'\n", "a.py")[0]


SECRET = """\
password = "hunter2"
api_key: str = "abcd"
    "client_secret": "x y z",
os.environ["OPENAI_API_KEY"] = "abc"
os.environ.setdefault("API_KEY", "abc12345")
connect(user="ada", password='p"w')
const dbPassword = `pw`;
if token == "abcd1234":
    "source": ["api_key = \\"abcdefg\\"\\n"]
url = "postgresql://ada:pw@host/db"
requests.get(u, headers={"Authorization": "Bearer abc123def456"})
"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEpAIBAAKCAQEA7\\n-----END PRIVATE KEY-----\\n"
conn = "DefaultEndpointsProtocol=https;AccountKey=abcdefghijklmnop0123==;"
""".splitlines()


@pytest.mark.parametrize("line", SECRET)
def test_lines_of_a_program_that_are_masked(line: str) -> None:
    kept, masked = mask_text(line + "\n", "a.py")
    assert masked == 1
    assert MASK in kept
    for value in ("hunter2", '"abcd"', "x y z", '"abc"', "abc12345", 'p"w', "`pw`", "abcd1234", "abcdefg", ":pw@",
                  "abc123def456", "MIIE", "0123=="):  # fmt: skip
        assert value not in kept
    assert mask_text(kept, "a.py") == (kept, 0), "what is masked is masked once"


PLAIN = """\
password = getpass()
token = tokenizer.encode(text)
token = "hello"
tokens = "abc123def"
pad_token = "<pad>"
self.tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
API_KEY_NAME = "OPENAI_API_KEY"
api_key = os.environ["OPENAI_API_KEY"]
API_KEY = "OPENAI_API_KEY"
fields = ["password", "email", "token"]
def login(password: str, token: str | None = None) -> None:
parser.add_argument("--password", help="the password 12345678")
parser.add_argument("--api-key", default="")
{"password": "password"}
key = "label"
for key, value in pairs:
secret = None
url = f"postgresql://{user}:{password}@{host}/db"
url = "https://host:8080/path@3"
if "-----BEGIN PRIVATE KEY-----" in text:
headers = {"Authorization": f"Bearer {token}"}
api_key = "${API_KEY}"
password = "<password>"
lr = 0.1  # see https://example.org/a?b=c
token_limit = "512"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
class="sk-estimator-doc-link-wrapper-element"
"secret_path": "/run/secrets/x", secret="./secret.txt"
""".splitlines()


@pytest.mark.parametrize("line", PLAIN)
def test_lines_of_a_program_that_stay(line: str) -> None:
    assert mask_text(line + "\n", "a.py") == (line + "\n", 0)


def test_settings_need_no_quotes() -> None:
    text = (
        "password: hunter 2  # why\ntoken: abc\nexport TOKEN=abc12345\nAPI_KEY = x\r\n- secret: y\napi_key: ${X}\n"
        "seed: 3\nmax_tokens: 5\ntokenizer: bert\npassword:\n  file: x\ntoken: null\npassword: |\n"
    )
    kept = (
        "password: ***  # why\ntoken: ***\nexport TOKEN=***\nAPI_KEY = ***\r\n- secret: ***\napi_key: ${X}\nseed: 3\n"
        "max_tokens: 5\ntokenizer: bert\npassword:\n  file: x\ntoken: null\npassword: |\n"
    )
    for name in ("a.yaml", ".env.local", "Dockerfile", "x/run.sh"):
        assert mask_text(text, name) == (kept, 5)
    assert mask_text("token = abc12345\n", "a.py")[1] == 0


def test_private_keys_are_masked_line_by_line() -> None:
    body = [base64.b64encode(bytes([number] * 48)).decode() for number in range(3)]
    kind = "RSA PRIVATE" + " KEY"
    block = [
        f'key = """-----BEGIN {kind}-----',
        "Proc-Type: 4,ENCRYPTED",
        "",
        *body,
        f"-----END {kind}-----",
        '"""',
        "x = 1",
    ]
    kept, masked = mask_text("\n".join(block), "a.py")
    assert masked == 4
    assert kept.split("\n") == [block[0], MASK, "", MASK, MASK, MASK, *block[-3:]]
    lines = [f"+{line}" for line in block]
    patch = "\n".join(["diff --git a/k b/k", "--- /dev/null", "+++ b/k", f"@@ -0,0 +1,{len(lines)} @@", *lines, ""])
    assert not any(line in mask_patch(patch.encode(), "k")[0].decode() for line in body)


@given(st.text(LETTERS, min_size=16, max_size=40).filter(lambda text: any(c.isdigit() for c in text)))
def test_no_value_of_a_secret_survives(value: str) -> None:
    for arguments in (["--api-key", value], [f"--password={value}"], [f"x://u:{value}@h/"], [f"MY_TOKEN={value}"]):
        assert value not in " ".join(mask_arguments(arguments))
    for line in (f'password = "{value}"', f"'api_key': '{value}',", f"x://u:{value}@h/", f'auth_token="{value}"'):
        assert value not in mask_text(line, "a.py")[0]


_HYPERPARAMETERS = st.sampled_from(
    [
        "lr",
        "batch_size",
        "tokenizer",
        "max_tokens",
        "token_limit",
        "hidden",
        "keys",
        "model.key",
        "seed",
        "author",
        "n_passes",
    ]
)


@given(_HYPERPARAMETERS, st.one_of(st.integers(), st.floats(), st.text(LETTERS + "-._/", min_size=1, max_size=20)))
def test_hyperparameters_stay(name: str, value: object) -> None:
    for arguments in ([f"{name}={value}"], [f"--{name}={value}"], [f"--{name}", str(value)]):
        assert mask_arguments(arguments) == arguments


@given(st.binary(max_size=300))
def test_masking_keeps_bytes_and_lines_in_place(content: bytes) -> None:
    patch = b"diff --git a/x b/x\n@@ -0,0 +1 @@\n+" + content.replace(b"\n", b"\n+")
    kept, masked = mask_patch(patch, "x.py")
    assert kept.count(b"\n") == patch.count(b"\n")
    assert masked or kept == patch


def test_urls_of_repositories() -> None:
    for url, kept in {
        "https://ada:pw@host/a/b.git": "https://host/a/b.git",
        "https://token@host/a.git": "https://host/a.git",
        "https://host:8443/a.git?private_token=x#y": "https://host:8443/a.git",
        "ssh://git@host:22/a.git": "ssh://git@host:22/a.git",
        "git@host:a/b.git": "git@host:a/b.git",
        "ada:pw@host:a/b.git": "host:a/b.git",
        "git+https://x-access-token:abc@host/a": "git+https://host/a",
        "../folder/repository": "../folder/repository",
    }.items():
        assert without_credentials(url) == kept


def test_names() -> None:
    assert all(
        map(is_secret_name, ("AWS_SECRET_ACCESS_KEY", "db_pwd", "apikey", "sessionCookie", "token2", "SecretString"))
    )
    assert not any(
        map(is_secret_name, ("", "_", "token_count", "cookies", "keyboard", "tokenizers", "secret_santa_name"))
    )
    assert all(map(is_secret_file, (".env", "a/.env.prod", "id_rsa", "x/server.pem", "credentials.json", ".netrc")))
    assert not any(map(is_secret_file, (".env.example", "environment.py", "secrets.py", "keys.py", "id_rsa.pub")))


def test_secrets_of_a_difference_are_masked_and_it_says_so(repository: Repository, tmp_path: Path) -> None:
    repository.write("old.py", 'password = "hunter1"\nx = 1\n')
    repository.commit()
    repository.write("old.py", 'password = "hunter1"\nx = 2\n')
    repository.write("new.py", f'import os\ntoken = "{TOKENS[1]}"\ny = 1\n')
    repository.write("blob.py", b"\x00 " + TOKENS[0].encode())
    repository.git("add", "blob.py")
    repository.git("remote", "add", "origin", f"https://ada:{TOKENS[1]}@example.org/a/b.git")
    found = code.capture(repository.top)
    assert not found.exact
    assert found.masked == 2
    assert found.left_out == ["blob.py: binary, with something like a secret in it"]
    assert found.code.repository == "https://example.org/a/b.git"
    for secret in (b"hunter1", TOKENS[1].encode(), TOKENS[0].encode()):
        assert secret not in found.changes
    assert b' password = "***"\n-x = 1\n+x = 2\n' in found.changes
    with pytest.raises(AssertionError):  # git finds that the commit says something else
        repository.applied(found.changes, found.code.commit, tmp_path / "clean")
    assert found.code.diff_digest != code.capture(repository.top / "package").code.commit


def test_a_guess_cannot_be_checked_against_the_digest(repository: Repository) -> None:
    digests = set()
    for guess in ("hunter1", "hunter2"):
        repository.write("new.py", f'password = "{guess}"\n')
        found = code.capture(repository.top)
        digests.add((found.code.diff_digest, found.changes))
    assert len(digests) == 1


@pytest.mark.parametrize(
    "unit", ["eyJ", "a:", "x=", "://", "sk-a", "token", '"', "\\", "@", "key = ", "Bearer ", "A" * 64 + "/"]
)
def test_long_lines_take_no_longer_than_they_are(unit: str) -> None:
    line = unit * (200_000 // len(unit)) + " token ://"
    begun = time.process_time()
    mask_text(line, "a.yaml")
    mask_arguments([line[:50_000]])
    assert time.process_time() - begun < 3
