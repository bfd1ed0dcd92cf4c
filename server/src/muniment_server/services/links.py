"""Use cases of links: record them, end them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.link import NewLink
from muniment.model.names import check_text
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import foreign
from muniment_server.services.references import writable
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
    """Prepare links. Those that hold already stay as they are; `mirrored` are written before them."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check(given)
    abroad = foreign.of_links(workspace, scope, project, given)

    def act(draft: Draft) -> Linked:
        count = sum(add_in(draft, link, index, abroad) for index, link in enumerate(given))
        return Linked(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "link.add", act, receipt)


def mirrored(workspace: Workspace, scope: Scope, project: str, given: Sequence[NewLink]) -> Iterator[Change[Linked]]:
    """Prepare the same links in other projects whose records they join; there the ends of this one are foreign.

    They are not one transaction with those here: whoever was cut off between them sends the request again.
    """
    workspace.project(scope, project, Permission.WRITE)
    check(given)
    abroad = foreign.of_links(workspace, scope, project, given)
    by_slug: dict[str, list[NewLink]] = {}
    for link in given:
        for slug in sorted({abroad[end].slug for end in (link.upstream, link.downstream) if end in abroad}):
            by_slug.setdefault(slug, []).append(link)
    for slug, mine in by_slug.items():
        there = workspace.project(scope, slug, Permission.WRITE)
        ends = foreign.as_seen_from(workspace, scope, project, slug, mine, abroad)

        def act(draft: Draft, ends: foreign.Abroad = ends, mine: list[NewLink] = mine) -> Linked:
            count = 0
            for index, link in enumerate(mine):
                seen = msgspec.structs.replace(link, run=None)  # a run of another project says nothing here
                count += add_in(draft, seen, index, ends)
            return Linked(changed=count, position=draft.last_position)

        yield Change(there.no, scope.principal, "link.add", act)


def remove(
    workspace: Workspace, scope: Scope, project: str, given: Sequence[NewLink], receipt: Receipt | None = None
) -> Change[Linked]:
    """Prepare the end of links; the past keeps them."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check(given)
    abroad = foreign.of_links(workspace, scope, project, given)

    def act(draft: Draft) -> Linked:
        count = 0
        for index, link in enumerate(given):
            upstream, downstream, run = _ends(draft, link, index, abroad)
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


def add_in(draft: Draft, link: NewLink, index: int = 0, abroad: foreign.Abroad | None = None) -> bool:
    """Record a link in a draft; whether it is news."""
    upstream, downstream, run = _ends(draft, link, index, abroad or {})
    return draft.add_link(upstream, downstream, link.type, link.role, run, link.source)


def _ends(draft: Draft, link: NewLink, index: int, abroad: foreign.Abroad) -> tuple[Held, Held, Held | None]:
    upstream = foreign.resolve_end(draft, link.upstream, f"links[{index}].upstream", abroad)
    downstream = foreign.resolve_end(draft, link.downstream, f"links[{index}].downstream", abroad)
    if upstream.no == downstream.no:
        raise InvalidInput(f"links[{index}] joins a record to itself", field=f"links[{index}].downstream")
    run = None if link.run is None else writable(draft, link.run, "run", f"links[{index}].run")
    return upstream, downstream, run
