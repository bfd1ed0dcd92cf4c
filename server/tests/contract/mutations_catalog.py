"""Versions, aliases and links, broken on purpose."""

from __future__ import annotations

from contract.mutations import Mutation

DRAFT = "store/draft.py"
CATALOG_MUTATIONS = (
    Mutation("links", "a circle of links is taken", DRAFT, "links.reaches(self, downstream.no, upstream.no)", "False"),
    Mutation(
        "links",
        "a link waiting in the transaction is not seen",
        DRAFT,
        "for waiting in (self._links, self.transaction.links):",
        "for waiting in (self._links,):",
    ),
    Mutation(
        "links",
        "a circle over links of one transaction is taken",
        DRAFT,
        "for flows in (self._flows, self.transaction.flows):",
        "for flows in ():",
    ),
    Mutation(
        "links",
        "lineage as of the past is that of now",
        "store/links.py",
        "query = sa.select(*_WALKED).where(",
        "as_of = None\n        query = sa.select(*_WALKED).where(",
    ),
    Mutation(
        "erasure",
        "erasure leaves links",
        "store/erasure.py",
        "sa.delete(links).where(links.c.project_id == project_id, links.c.downstream == held.no)",
        "sa.delete(links).where(links.c.project_id == -1)",
    ),
    Mutation(
        "versions",
        "numbers of one transaction repeat",
        DRAFT,
        "        transaction.numbers.update(self._numbers)\n",
        "",
    ),
    Mutation(
        "versions",
        "a digest of one transaction is not seen",
        DRAFT,
        "        transaction.contents = {**self._contents, **transaction.contents}  # the oldest stays\n",
        "",
    ),
    Mutation(
        "aliases",
        "the old meaning of an alias is not ended",
        DRAFT,
        "self.transaction.supersede(tables.aliases, (record, name), had, self.position, where, row)",
        "self.transaction.supersede(tables.aliases, (record, name), False, self.position, where, row)",
    ),
    Mutation(
        "aliases",
        "the same meaning is written again",
        DRAFT,
        "if (None if now is None else now.no) == (None if target is None else target.no):",
        "if False:",
    ),
)
