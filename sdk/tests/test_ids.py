from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.ids import new_id, parse_id, parse_urn, urn
from muniment.model.names import check_name, check_slug, check_text

parts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def test_ids_are_version_7_and_ascend() -> None:
    made = [new_id() for _ in range(5_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(uuid.UUID(one).version == 7 and uuid.UUID(one).variant == uuid.RFC_4122 for one in made)


def test_an_id_is_accepted_in_any_spelling_and_nothing_else_is() -> None:
    one = new_id()
    assert parse_id(str(uuid.UUID(one)).upper()) == one
    for wrong in ("", "x", one[:-1], one + "0", "g" * 32, one + "\n"):
        with pytest.raises(InvalidInput):
            parse_id(wrong)


@given(parts, st.lists(parts, min_size=1, max_size=3), st.none() | parts)
def test_a_urn_says_what_it_was_made_of(project: str, key: list[str], version: str | None) -> None:
    made = parse_urn(urn(project, "run", *key, version=version))
    assert (made.project, made.kind, list(made.key), made.version) == (project, "run", key, version)


def test_names_have_limits() -> None:
    assert check_name("Größe \U0001f600", "name")
    for wrong in ("", "  ", "a\x00b", "\ud800"):
        with pytest.raises(InvalidInput):
            check_name(wrong, "name")
    with pytest.raises(TooLarge):
        check_text("a" * 11, "text", 10)
    for wrong in ("", "A", "a_b", "-a", "a-", "a" * 64, "a\n", "../x"):
        with pytest.raises(InvalidInput):
            check_slug(wrong)
