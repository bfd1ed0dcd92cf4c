"""What was not known of a version when it was registered is said once, later."""

from __future__ import annotations

import pytest

from muniment.model.errors import Conflict, InvalidInput
from muniment.model.model import Framework, ModelVersionChange, NewModel, NewModelVersion, Signature
from muniment.model.schema import Column
from muniment_server.services import models, verify
from muniment_server.services.workspace import Workspace

SKLEARN, OTHER = Framework(name="sklearn", version="1.9.1"), Framework(name="xgboost")
SIGNATURE = Signature(inputs=[Column(name="age", type="double")])


def test_a_version_is_completed_once(workspace: Workspace) -> None:
    scope, write = workspace.owner_scope, workspace.writer.write
    write(models.create(workspace, scope, "default", NewModel(name="risk")))
    first = write(models.create_version(workspace, scope, "default", "risk", NewModelVersion(digest="d")))
    made = write(models.complete_version(workspace, scope, "default", first.id, framework=SKLEARN, digest="d"))
    assert (made.framework, made.digest, made.signature) == (SKLEARN, "d", None)
    assert made.position > first.position
    again = write(models.complete_version(workspace, scope, "default", first.id, framework=SKLEARN))
    assert again.position == made.position, "the same again writes nothing"
    for said in ({"framework": OTHER}, {"digest": "e"}, {"framework": OTHER, "signature": SIGNATURE}):
        with pytest.raises(Conflict):
            write(models.complete_version(workspace, scope, "default", first.id, **said))  # type: ignore[arg-type]
    assert models.get_version(workspace, scope, "default", "risk", "1").signature is None
    write(models.complete_version(workspace, scope, "default", "risk@1", signature=SIGNATURE))
    assert models.get_version(workspace, scope, "default", "risk", "1").signature == SIGNATURE
    before = models.get_version(workspace, scope, "default", "risk", "1", first.position)
    assert (before.framework, before.digest) == (None, "d"), "the past stays what it was"


def test_what_cannot_be_said_of_a_version(workspace: Workspace) -> None:
    scope, write = workspace.owner_scope, workspace.writer.write
    write(models.create(workspace, scope, "default", NewModel(name="risk")))
    made = write(models.create_version(workspace, scope, "default", "risk", NewModelVersion()))
    with pytest.raises(InvalidInput):
        models.complete_version(workspace, scope, "default", made.id, digest=" ")
    gone = ModelVersionChange(lifecycle="deleted")
    write(models.update_version(workspace, scope, "default", "risk", "1", gone))
    with pytest.raises(Conflict):
        write(models.complete_version(workspace, scope, "default", made.id, digest="d"))


def test_history_holds_what_was_said_later(workspace: Workspace) -> None:
    scope, write = workspace.owner_scope, workspace.writer.write
    write(models.create(workspace, scope, "default", NewModel(name="risk")))
    made = write(models.create_version(workspace, scope, "default", "risk", NewModelVersion()))
    write(models.complete_version(workspace, scope, "default", made.id, framework=SKLEARN))
    assert verify.project(workspace, scope, "default").findings == []
