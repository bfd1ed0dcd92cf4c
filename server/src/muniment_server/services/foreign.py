"""Records of other projects: finding them there, and standing for them here."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from muniment.model.foreign import Foreign
from muniment.model.ids import new_id, parse_urn
from muniment.model.link import NewLink
from muniment.model.names import check_slug
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.references import resolve, writable
from muniment_server.services.workspace import Workspace
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.kinds import kind_of


class There(msgspec.Struct, frozen=True):
    """A record of another project."""

    slug: str
    project: str
    kind: str
    record: str

    @property
    def urn(self) -> str:
        """What it is called here."""
        return f"urn:muniment:{self.slug}:{self.kind}:{self.record}"


Abroad = dict[str, There]
"""Records of other projects by what a request calls them."""


def of_links(workspace: Workspace, scope: Scope, project: str, given: Sequence[NewLink]) -> Abroad:
    """The ends of links that are records of other projects.

    Raises:
        NotFound: there is no such project or record, as far as the caller may know.
    """
    found: Abroad = {}
    for link in given:
        for end in (link.upstream, link.downstream):
            if end not in found and end.startswith("urn:") and parse_urn(end).project != project:
                found[end] = find(workspace, scope, check_slug(parse_urn(end).project, "a URN"), end)
    return found


def find(workspace: Workspace, scope: Scope, slug: str, text: str) -> There:
    """A record of a project, by a reference that is read there."""
    ref = workspace.project(scope, slug, Permission.READ)
    held = catalog.read(workspace, scope, slug, None, lambda reader: resolve(reader, text, None, "record"))
    return There(slug, ref.id, kind_of(held.record).name, held.record.id)


def as_seen_from(
    workspace: Workspace, scope: Scope, project: str, slug: str, given: Sequence[NewLink], abroad: Abroad
) -> Abroad:
    """The ends of links as another project sees them: its own are at home, and all others abroad."""
    found: Abroad = {}
    for link in given:
        for end in (link.upstream, link.downstream):
            if end not in found:
                found[end] = abroad.get(end) or find(workspace, scope, project, end)
    return {end: there for end, there in found.items() if there.slug != slug} | {
        end: msgspec.structs.replace(there, slug="") for end, there in found.items() if there.slug == slug
    }


def resolve_end(draft: Draft, text: str, field: str, abroad: Abroad) -> Held:
    """The record that an end of a link means; one of another project gets a record that stands for it."""
    there = abroad.get(text)
    if there is None:
        return writable(draft, text, None, field)
    if not there.slug:  # at home after all
        return writable(draft, there.record, None, field)
    known = draft.find_named("foreign", there.urn)
    return known or draft.create(
        "foreign",
        lambda position: Foreign(
            id=new_id(), urn=there.urn, project=there.project, kind=there.kind, record=there.record,
            created_at=draft.time, position=position,
        ),
    )  # fmt: skip
