from __future__ import annotations

import math
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from muniment.model.canonical import canonical, tagged, untagged

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["$", "$$", "$int:5", "$float:NaN"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def same(left: Any, right: Any) -> bool:
    """Equality that tells NaN, the sign of zero and booleans apart, but not 1 from 1.0, which JSON does not."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) and math.isnan(left):
        return isinstance(right, float) and math.isnan(right)
    if isinstance(left, float) and left == 0:
        return right == 0 and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)


@given(documents)
@example({"é": 1, "\U0001f600": 2, "": 3})
@example({"a": '\x7f\x1f\b\t\n\f\r"\\/'})
def test_the_fast_way_and_the_library_agree(document: Any) -> None:
    assert canonical(document) == rfc8785.dumps(tagged(document))


@given(documents)
def test_tags_lose_nothing(document: Any) -> None:
    assert same(untagged(tagged(document)), document)


@given(documents, documents)
def test_different_documents_have_different_spellings(left: Any, right: Any) -> None:
    if canonical(left) == canonical(right):
        assert same(left, right)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        canonical({"a": {1, 2}})
