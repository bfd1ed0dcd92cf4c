"""References: whatever a record is called, its short name and its URN lead back to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.model.errors import InvalidInput
from muniment.model.ids import urn
from muniment.model.reference import Reference, parse_reference, short_name

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40).filter(
    lambda name: not name.isspace()
)


@given(names, names, st.one_of(st.none(), names))
def test_a_dataset_is_found_by_its_short_name_and_urn(namespace: str, name: str, version: str | None) -> None:
    kind = "dataset" if version is None else "dataset_version"
    short = short_name("dataset", (namespace, name), version)
    found = parse_reference(f"dataset:{short}", kind, "x")
    assert found == Reference(kind, None, (namespace, name), version)
    far = parse_reference(urn("churn", "dataset", namespace, name, version=version), None, "x")
    assert far == Reference(kind, None, (namespace, name), version, "churn")


@given(names, st.integers(1, 99))
def test_a_model_version_is_found_where_its_kind_is_known(name: str, version: int) -> None:
    found = parse_reference(f"model:{short_name('model', (name,), version)}", "model_version", "x")
    assert (found.key, found.version) == ((name,), str(version))


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_one_clear_line(text: str) -> None:
    for kind in (None, "model", "dataset_version", "run"):
        refused = None
        try:
            found = parse_reference(text, kind, "x")
        except InvalidInput as error:
            refused = error.message
        assert refused is not None or found.id or found.key


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("model:risk", "model_version"),
        ("model:risk@3", "model"),
        ("dataset:a/b/c", None),
        ("risk", None),
        ("run:first", None),
        ("urn:muniment:churn:run:first", None),
        ("thing:x", None),
        ("model:risk@", None),
        ("experiment:churn@3", None),
        ("", None),
    ],
)
def test_what_means_nothing_is_refused(text: str, kind: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_reference(text, kind, "x")
    assert "\n" not in caught.value.message
