"""Guides show what the demo's store answers; `MUNIMENT_UPDATE=1` writes the answers anew."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from docs.test_readme import LOOSE as LOOSER
from docs.test_readme import OUTPUT, command, run

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "guides"
ASKED = re.compile(r"<!-- asked -->\n```python\n(.*?)```\n```text\n(.*?)```", re.DOTALL)
LOOSE = re.compile(r"[0-9a-f]{32}|\d\.\d{3}")
"""Ids, and scores that depend on the machine's arithmetic."""
_MARK = "=== answer ==="


@pytest.mark.parametrize("guide", ["questions.md", "knowledge.md", "reproduce.md"])
def test_the_answers_are_those_that_stand_there(own_store: str, guide: str) -> None:
    text = (GUIDES / guide).read_text("utf-8")
    asked = ASKED.findall(text)
    assert len(asked) == text.count("```python")
    programs = "".join(f"{program}\nprint({_MARK!r})\n" for program, _ in asked)
    answers = run([sys.executable, "-c", f"import muniment\n{programs}"], own_store).split(f"{_MARK}\n")
    for (program, shown), answer in zip(asked, answers, strict=False):
        if os.environ.get("MUNIMENT_UPDATE"):
            text = text.replace(f"{program}```\n```text\n{shown}```", f"{program}```\n```text\n{answer}```")
        else:
            assert LOOSE.sub("#", answer) == LOOSE.sub("#", shown), program
    for line, shown in OUTPUT.findall(text):
        answer = run(command(line), own_store)
        if os.environ.get("MUNIMENT_UPDATE"):
            answer = "\n".join(row.rstrip() for row in answer.splitlines()) + "\n"
            text = text.replace(f"$ {line}\n{shown}```", f"$ {line}\n{answer}```")
        else:
            assert LOOSER.sub("#", answer) == LOOSER.sub("#", shown), answer
    if os.environ.get("MUNIMENT_UPDATE"):
        (GUIDES / guide).write_text(text, "utf-8")
