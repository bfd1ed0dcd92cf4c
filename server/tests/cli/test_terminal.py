"""Real terminals, pipes that are closed, other encodings, and errors."""

from __future__ import annotations

import subprocess
import sys

import pytest
from robustness.server import clean_environment

from cli.conftest import Place, finished
from cli.terminal import STYLE, printed

pytestmark = pytest.mark.parametrize("place", ["file"], indirect=True)
"""What is special here is the terminal, not the store."""


@pytest.mark.parametrize("columns", [80, 140])
def test_tables_fit_the_terminal(place: Place, columns: int) -> None:
    text = STYLE.sub("", printed("runs", columns=columns, MUNIMENT_URL=place.url))
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    assert all(place.ids[name] in text for name in place.ids if name != "risk")
    assert ("lr" in lines[0].split()) == (columns == 140)
    for arguments in (("show", "net-1"), ("history", "net-1"), ("compare", "net-0", "net-1"), ("lineage", "net-1")):
        text = STYLE.sub("", printed(*arguments, columns=columns, MUNIMENT_URL=place.url))
        assert max(map(len, text.splitlines())) <= columns, arguments


def test_colours_are_left_out_where_nobody_wants_them(place: Place) -> None:
    assert STYLE.search(printed("runs", columns=80, MUNIMENT_URL=place.url))
    plain = printed("runs", columns=80, MUNIMENT_URL=place.url, NO_COLOR="1")
    assert "failed" in plain
    assert not [code for code in STYLE.findall(plain) if any(part.startswith("3") for part in code[2:-1].split(";"))]
    assert "\x1b" not in printed("runs", columns=80, MUNIMENT_URL=place.url, TERM="dumb")


@pytest.mark.parametrize("arguments", [("runs",), ("show", "{evil}"), ("watch", "{evil}")])
def test_a_terminal_is_never_commanded_by_a_record(place: Place, arguments: tuple[str, ...]) -> None:
    asked = [argument.format(**place.ids) for argument in arguments]
    text = STYLE.sub("", printed(*asked, columns=140, MUNIMENT_URL=place.url))
    text = text.replace("\x1b[?25l", "").replace("\x1b[?25h", "").replace("\x1b[2K", "").replace("\x1b[1A", "")
    assert not [c for c in text.replace("\n", "").replace("\r", "") if not c.isprintable()]


def test_a_pipe_that_is_closed_is_no_error(place: Place) -> None:
    command = f"{sys.executable} -c 'from muniment.cli import main; main()' "
    for asked in ("history net-1", "show net-1", "runs --json", "lineage net-1 --format dot"):
        done = subprocess.run(
            ["sh", "-c", f"{command}{asked} | head -c 5"], capture_output=True, check=False, timeout=120,
            env=clean_environment({"MUNIMENT_URL": place.url}),
        )  # fmt: skip
        assert (done.returncode, done.stderr, len(done.stdout)) == (0, b"", 5), asked


def test_an_encoding_that_lacks_the_signs_gets_others(place: Place) -> None:
    environment = {"MUNIMENT_URL": place.url, "PYTHONIOENCODING": "ascii"}
    for asked in ("show net-1", "history net-1", "lineage dataset:customers@1 --downstream", "runs"):
        code, out, err = finished(*asked.split(), **environment)
        assert (code, err) == (0, "")
        assert out.isascii()
    assert "running -> finished" in finished("history", "net-1", **environment)[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "net-11"), "there is no run called 'net-11'; did you mean net-1"),
        (("show", "twin"), "several runs are called 'twin'; give an id: "),
        (("show", "model:rsk@1"), "did you mean model:risk?"),
        (("lineage", "model:risk@7"), "did you mean model:risk@champion, model:risk@2, model:risk@1?"),
        (("compare", "net-1", "dataset:custmers@1"), "did you mean dataset:customers?"),
        (("show", "risk@1"), "say of what kind 'risk@1' is: model:risk@1 or dataset:risk@1"),
        (("show", "f" * 32), "does not exist"),
        (("runs", "state ! 'failed'"), "where cannot be read at character 7"),
        (("search", "model", "nme = 'a'"), "where: nme is not known; it can be"),
        (("runs", "--as-of", "123456"), "as_of 123456 is not a position of this project"),
        (("runs", "--project", "nowhere"), "nowhere"),
        (("watch", "nobody"), "there is no run called 'nobody'"),
        (("watch", "model:risk@1"), "'model:risk@1' is no run"),
        (("lineage", "net-1", "--kinds", "job"), "nothing there is of kind job"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(place: Place, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = finished(*arguments, MUNIMENT_URL=place.url)
    assert (code, out) == (1, "")
    assert err.startswith("muniment: ")
    assert len(err.splitlines()) == 1
    assert said in err
