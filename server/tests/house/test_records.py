"""One definition of a record: the structs, the tables and the language agree field by field."""

from __future__ import annotations

import types
import typing

import msgspec
import pytest

from muniment.model import errors
from muniment.model.metric import Summary
from muniment_server.api.problems import STATUS
from muniment_server.language.vocabulary import KINDS as VOCABULARIES
from muniment_server.store import tables
from muniment_server.store.kinds import KINDS
from muniment_server.store.search.conditions import EXPERIMENT_NAME
from muniment_server.store.types import Json

BESIDE = {"project_id", "no", "valid_from", "valid_to"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_struct_and_table_agree(kind: str) -> None:
    struct, table = KINDS[kind].struct, KINDS[kind].table
    fields = {field.name: field for field in msgspec.structs.fields(struct) if field.name != "position"}
    columns = {column.name: column for column in table.columns if column.name not in BESIDE}
    assert fields.keys() == columns.keys()
    for name, field in fields.items():
        optional = type(None) in typing.get_args(field.type) or isinstance(field.type, types.NoneType)
        assert optional == columns[name].nullable, name
        if isinstance(columns[name].type, Json):  # or what is written might never be read again
            assert columns[name].type.shape in (field.type, *typing.get_args(field.type)), name


def test_summary_and_table_agree() -> None:
    columns = {column.name for column in tables.summaries.columns} - {"project_id", "run", "key"}
    assert {field.name for field in msgspec.structs.fields(Summary)} == columns


@pytest.mark.parametrize("kind", sorted(VOCABULARIES))
def test_language_knows_only_what_the_record_has(kind: str) -> None:
    struct, table = KINDS[kind].struct, KINDS[kind].table
    names = {field.name for field in msgspec.structs.fields(struct)}
    for attribute in VOCABULARIES[kind].attributes.values():
        if attribute.name == EXPERIMENT_NAME:
            continue
        assert attribute.name in names
        assert attribute.name == "position" or attribute.name in table.c, attribute.name


def test_large_tables_lead_with_the_project() -> None:
    for table in tables.metadata.sorted_tables:
        if table.info.get("sharded"):
            assert next(iter(table.primary_key.columns)).name == "project_id"
            for index in table.indexes:
                assert next(iter(index.expressions)) is table.c.project_id, index.name
            for key in table.foreign_key_constraints:
                assert key.column_keys[0] == "project_id"


def test_every_error_has_a_status_and_is_in_the_drawn_tree() -> None:
    for cls in errors.all_errors().values():
        assert cls in STATUS
        assert cls.__name__ in (errors.__doc__ or "")
