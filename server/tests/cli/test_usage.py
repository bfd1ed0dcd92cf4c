"""What needs no store: usage, completion, and stores that are not there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from robustness.server import SCRIPT, clean_environment

from cli.conftest import finished


def test_a_store_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    code, out, err = finished("runs", "--url", f"sqlite:///{tmp_path}/none.db")
    assert (code, out) == (1, "")
    assert "there is no store at" in err
    assert list(tmp_path.iterdir()) == []
    code, out, err = finished("runs", "--url", "http://127.0.0.1:1")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "start a server there (muniment serve)" in err
    assert finished("runs", "--url", "nonsense")[0] == 1


def test_wrong_usage_is_exit_status_two() -> None:
    for arguments in (("runs", "--nonsense"), ("show",), ("lineage", "x", "--format", "y"), ("nothing",)):
        code, out, err = finished(*arguments)
        assert (code, out) == (2, "")
        assert "Usage: " in err


def test_the_shell_completes_commands_and_kinds() -> None:
    def completed(words: str) -> set[str]:
        environment = {"_MUNIMENT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, env=clean_environment(environment))
        return set(done.stdout.split())

    assert {"show", "search", "serve"} <= completed("muniment s")
    assert completed("muniment search model") == {"model", "model_version"}
    assert "--downstream" in completed("muniment lineage --down")
