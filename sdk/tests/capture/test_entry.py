"""How programs are started, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sdk.tests.capture.repositories import Repository

SOURCES = Path(__file__).parents[2] / "src"
PROGRAM = """\
import json, sys
from muniment.capture import code
found = code.capture()
print(json.dumps({"entry": found.code.entry_point, "command": found.code.command, "commit": found.code.commit,
                  "script": found.script.decode(), "digest": found.code.diff_digest, "left_out": found.left_out,
                  "folder": found.code.folder}))
"""


def _run(*words: str, cwd: Path, given: str | None = None, **variables: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), **variables}
    made = subprocess.run(
        words, cwd=cwd, env=environment, input=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout.splitlines()[-1])


def test_a_script_from_anywhere(repository: Repository, tmp_path: Path) -> None:
    repository.write("jobs/fit.py", PROGRAM)
    commit = repository.commit()
    script = str(repository.top / "jobs/fit.py")
    for cwd, folder in ((tmp_path, None), (repository.top, "."), (repository.top / "jobs", "jobs")):
        found = _run(sys.executable, "-u", script, "--lr", "0.1", "--api-key", "abc123", cwd=cwd)
        assert (found["entry"], found["folder"]) == ("jobs/fit.py", folder)
        assert found["commit"] == commit
        assert found["command"] == [sys.executable, "-u", script, "--lr", "0.1", "--api-key", "***"]
        assert (found["script"], found["digest"]) == ("", None)
    link = tmp_path / "link"
    link.symlink_to(repository.top)
    assert _run(sys.executable, "link/jobs/fit.py", cwd=tmp_path)["entry"] == "jobs/fit.py"


def test_a_module_and_a_folder(repository: Repository) -> None:
    repository.write("package/__main__.py", PROGRAM)
    repository.write("package/tool.py", PROGRAM)
    commit = repository.commit()
    for words, entry in (
        (["-m", "package", "x"], "package/__main__.py"),
        (["-m", "package.tool"], "package/tool.py"),
        (["package"], "package/__main__.py"),
    ):
        found = _run(sys.executable, *words, cwd=repository.top)
        assert (found["entry"], found["commit"]) == (entry, commit)
        assert found["command"] == [sys.executable, *words]


def test_code_on_the_command_line(repository: Repository, tmp_path: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(SOURCES)!r})\n{PROGRAM}password = 'hunter2'\n"
    found = _run(sys.executable, "-Ic", program, cwd=repository.top)
    assert found["entry"] == "-c"
    assert found["commit"]
    assert found["script"].endswith("password = '***'\n")
    assert "hunter2" not in json.dumps(found)
    outside = _run(sys.executable, "-X", "utf8", "-c", PROGRAM, "--flag", cwd=tmp_path)
    assert (outside["script"], outside["commit"]) == (PROGRAM, None)
    assert outside["digest"]


def test_a_script_outside_of_repositories_is_kept_itself(repository: Repository, tmp_path: Path) -> None:
    script = tmp_path / "loose.py"
    script.write_text(PROGRAM)
    found = _run(sys.executable, str(script), cwd=repository.top)
    assert found["commit"] is None, "the folder it was started from says nothing of the script"
    assert found["entry"] == str(script)
    assert found["script"] == PROGRAM


def test_a_script_that_git_ignores_is_kept_itself(repository: Repository) -> None:
    repository.write("out/scratch.py", PROGRAM)
    found = _run(sys.executable, "out/scratch.py", cwd=repository.top)
    assert found["entry"] == "out/scratch.py"
    assert found["commit"]
    assert found["script"] == PROGRAM
    repository.write("fresh.py", PROGRAM)
    found = _run(sys.executable, "fresh.py", cwd=repository.top)
    assert (found["entry"], found["script"]) == ("fresh.py", "")


def test_a_tool_that_runs_a_script(repository: Repository) -> None:
    repository.write("fit.py", PROGRAM)
    assert _run(sys.executable, "-m", "cProfile", "-o", os.devnull, "fit.py", cwd=repository.top)["entry"] == "fit.py"


def test_an_installed_command(repository: Repository, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "venv"], check=True
    )
    command = tmp_path / "venv/bin/fit"
    command.write_text(f"#!{tmp_path / 'venv/bin/python'}\n{PROGRAM}")
    command.chmod(0o755)
    here = os.pathsep.join([str(SOURCES), *(path for path in sys.path if "site-packages" in path)])
    found = _run(str(command), "--epochs", "3", cwd=repository.top, PYTHONPATH=here)
    assert found["entry"] == "fit"
    assert found["commit"] == repository.git("rev-parse", "HEAD")
    assert found["script"] == ""


def test_a_worker_of_multiprocessing(repository: Repository) -> None:
    repository.write("fit.py", (
        "import multiprocessing\n\ndef work():\n" + "".join(f"    {line}\n" for line in PROGRAM.splitlines())
        + "\nif __name__ == '__main__':\n    worker = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    worker.start()\n    worker.join()\n"
    ))  # fmt: skip
    found = _run(sys.executable, "fit.py", "--token", "abc", cwd=repository.top)
    assert found["entry"] == "fit.py"
    assert found["command"] == [sys.executable, "fit.py", "--token", "***"]


def test_standard_input(tmp_path: Path) -> None:
    found = _run(sys.executable, "-", cwd=tmp_path, given=PROGRAM)
    assert (found["entry"], found["commit"], found["script"]) == (None, None, "")


NOTEBOOK = """\
import sys, types
shell = types.SimpleNamespace(user_ns={"In": ["", "x = 1", "", "api_key = 'abcdef'"]})
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: shell)
main = sys.modules["__main__"]
del main.__file__
main.__spec__ = None
"""


@pytest.mark.parametrize("named", [True, False])
def test_a_notebook(repository: Repository, tmp_path: Path, named: bool) -> None:
    """IPython is stood in for by what it leaves in a process: no file, and its cells."""
    repository.write("study/look.ipynb", "{}\n")
    commit = repository.commit()
    kernel = tmp_path / "ipykernel_launcher.py"
    kernel.write_text(NOTEBOOK + PROGRAM)
    kernel.chmod(0o644)
    name = {"JPY_SESSION_NAME": str(repository.top / "study/look.ipynb")} if named else {}
    words = [
        sys.executable,
        "-c",
        f"import sys; sys.argv[0] = ''; sys.orig_argv[1:] = []; exec({kernel.read_text()!r})",
    ]
    words[2] = words[2].replace("del main.__file__", 'main.__dict__.pop("__file__", None)')
    found = _run(*words, cwd=repository.top, **name)
    assert found["commit"] == commit
    assert found["entry"] == ("study/look.ipynb" if named else None)
    assert found["script"] == ("" if named else "# In[1]:\nx = 1\n\n# In[3]:\napi_key = '***'")


def test_nothing_of_it_is_loaded_by_the_package() -> None:
    program = (
        "import sys, time; begun = time.process_time(); import muniment; taken = time.process_time() - begun\n"
        "import json; print(json.dumps([taken, [name for name in sys.modules if name.startswith('muniment.')]]))"
    )
    taken, loaded = _run(sys.executable, "-c", program, cwd=SOURCES)  # type: ignore[misc]
    assert loaded == []
    assert taken < 0.1


def test_a_very_long_command_line_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    from muniment.capture import code

    monkeypatch.setattr(sys, "orig_argv", ["python", "a.py", "x" * 10_000, *(f"file-{n}" for n in range(20_000))])
    kept = code.command_line()
    assert kept[:2] == ["python", "a.py"]
    assert kept[2] == "x" * code.ARGUMENT_LIMIT + "… (5,904 more characters)"
    assert kept[-1] == "… (19,003 more)"
    monkeypatch.setattr(sys, "orig_argv", ["python", "a.py", *["y" * 4_000] * 500])
    assert sum(map(len, code.command_line())) < code.COMMAND_LIMIT + 5_000
    monkeypatch.setattr(sys, "orig_argv", ["python", "\udcff.py"])
    assert code.command_line() == ["python", "?.py"]
