"""The use case of erasing a run."""

from __future__ import annotations

import msgspec

from muniment.model.ids import parse_id
from muniment.model.names import check_name
from muniment.model.run import Run
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.runs import held_by_id, of
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import erasure
from muniment_server.store.draft import Draft
from muniment_server.store.receipts import Receipt


def erase_run(
    workspace: Workspace, scope: Scope, project: str, run_id: str, reason: str, receipt: Receipt | None = None
) -> Change[Run]:
    """Prepare the erasure of a run's content, for good. The reason (at most 250 characters) stays in the history."""
    ref = workspace.project(scope, project, Permission.ADMIN)
    run_id = parse_id(run_id, field="run")
    check_name(reason, "reason")

    def act(draft: Draft) -> Run:
        held = held_by_id(draft, run_id)
        run = of(held)
        left = Run(
            id=run.id,
            experiment=run.experiment,
            name="erased",
            kind=run.kind,
            state=run.state,
            attempt=run.attempt,
            lifecycle="erased",
            created_at=run.created_at,
            position=draft.position,
        )
        # from here on the database is changed, so nothing that follows may fail
        emptied, erased = erasure.erase_run(draft.connection, draft.project_id, held)
        draft.held[run.id] = emptied
        made = draft.replace("run", emptied, left)
        draft.remark(made, "reason", reason)
        draft.remark(made, "erased", msgspec.to_builtins(erased))
        return of(made)

    return Change(ref.no, scope.principal, "run.erase", act, receipt, alone=True)
