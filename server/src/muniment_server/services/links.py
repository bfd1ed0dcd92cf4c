"""Use cases of links: record them, end them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.link import NewLink
from muniment.model.names import check_text
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.receipts import Receipt

LINKS_LIMIT = 10_000
"""Links in one request."""
ROLE_LIMIT = 250


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to links."""

    changed: int
    """How many were new, or ended."""
    position: int
    """Everything that was asked for is recorded at or before this position."""


def add(
    workspace: Workspace, scope: Scope, project: str, given: Sequence[NewLink], receipt: Receipt | None = None
) -> Change[Linked]:
    """Prepare links. Those that hold already stay as they are."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check(given)

    def act(draft: Draft) -> Linked:
        count = sum(add_in(draft, link, index) for index, link in enumerate(given))
        return Linked(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "link.add", act, receipt)


def remove(
    workspace: Workspace, scope: Scope, project: str, given: Sequence[NewLink], receipt: Receipt | None = None
) -> Change[Linked]:
    """Prepare the end of links; the past keeps them."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check(given)

    def act(draft: Draft) -> Linked:
        count = 0
        for index, link in enumerate(given):
            upstream, downstream, run = _ends(draft, link, index)
            count += draft.remove_link(upstream, downstream, link.type, link.role, run)
        return Linked(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "link.remove", act, receipt)


def check(given: Sequence[NewLink]) -> None:
    """Check what can be checked without the store."""
    if not given:
        raise InvalidInput("links is empty: there is nothing to do", field="links")
    if len(given) > LINKS_LIMIT:
        raise TooLarge(f"{len(given):,} links in one request; the limit is {LINKS_LIMIT:,}", field="links")
    for index, link in enumerate(given):
        check_text(link.role, f"links[{index}].role", ROLE_LIMIT)


def add_in(draft: Draft, link: NewLink, index: int = 0) -> bool:
    """Record a link in a draft; whether it is news."""
    upstream, downstream, run = _ends(draft, link, index)
    return draft.add_link(upstream, downstream, link.type, link.role, run, link.source)


def _ends(draft: Draft, link: NewLink, index: int) -> tuple[Held, Held, Held | None]:
    upstream = resolve(draft, link.upstream, None, f"links[{index}].upstream")
    downstream = resolve(draft, link.downstream, None, f"links[{index}].downstream")
    if upstream.no == downstream.no:
        raise InvalidInput(f"links[{index}] joins a record to itself", field=f"links[{index}].downstream")
    run = None if link.run is None else resolve(draft, link.run, "run", f"links[{index}].run")
    return upstream, downstream, run
