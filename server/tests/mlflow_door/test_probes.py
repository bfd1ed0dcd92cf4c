"""Every form of a valid and of an invalid request is answered as MLflow's server answers it."""

from __future__ import annotations

import pytest

from mlflow_door import recorded
from mlflow_door.differing import differences


@pytest.mark.parametrize("noun", recorded.NOUNS)
def test_we_answer_as_mlflow_does(noun: str, our_port: int) -> None:
    theirs = recorded.read(noun)
    ours = recorded.played(noun, our_port)
    found = [text for one in recorded.cases(noun) for text in differences(one, theirs[one.name], ours[one.name])]
    assert not found, "\n".join([f"{len(found)} differences", *found])


@pytest.mark.heavy
@pytest.mark.parametrize("noun", recorded.NOUNS)
def test_mlflow_still_answers_as_it_is_written_down(noun: str, real_port: int) -> None:
    written, said = recorded.read(noun), recorded.played(noun, real_port)
    changed = {name for one, name in recorded.CHANGED if one == noun}
    assert {name for name in said if said[name] != written[name]} == changed
