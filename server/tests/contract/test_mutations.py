"""The list of mutations fits the source as it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import muniment_server
from contract.mutations import MUTATIONS, Mutation
from contract.mutations_catalog import CATALOG_MUTATIONS

PACKAGE = Path(muniment_server.__file__).parent


@pytest.mark.parametrize(
    "mutation", [*MUTATIONS, *CATALOG_MUTATIONS], ids=lambda mutation: f"{mutation.rule}: {mutation.what}"
)
def test_a_mutation_fits_the_source(mutation: Mutation) -> None:
    source = (PACKAGE / mutation.file).read_text("utf-8")
    assert source.count(mutation.old) == 1
    ast.parse(source.replace(mutation.old, mutation.new))


def test_every_rule_is_broken_by_some_mutation() -> None:
    # the twelfth, archiving, has no code yet
    assert {mutation.rule for mutation in MUTATIONS} >= {str(number) for number in range(1, 12)}
