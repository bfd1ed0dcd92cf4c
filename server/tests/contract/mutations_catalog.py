"""Versions, aliases, links, artifacts and facets, broken on purpose."""

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
        "past=as_of is not None, typed",
        "past=False, typed",
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
        "a digest of one transaction is not seen",
        DRAFT,
        "        transaction.contents = {**self._contents, **transaction.contents}  # the oldest stays\n",
        "",
    ),
    Mutation(
        "aliases",
        "the old meaning of an alias is not ended",
        DRAFT,
        "transaction.supersede(FAMILIES[key[0]].table, key[1:], had, self.position, where, row)",
        "transaction.supersede(FAMILIES[key[0]].table, key[1:], False, self.position, where, row)",
    ),
    Mutation(
        "aliases",
        "the same meaning is written again",
        DRAFT,
        "if (None if now is None else now.stored) == (None if content is None else content.stored):",
        "if False:",
    ),
    Mutation(
        "artifacts",
        "what is referred to is collected",
        "store/artifacts.py",
        "            ~referred,\n",
        "",
    ),
    Mutation(
        "artifacts",
        "what was collected can be referred to",
        "services/artifacts.py",
        'if found is None or of(found).lifecycle != "active":',
        "if found is None:",
    ),
    Mutation(
        "artifacts",
        "what was collected is taken for what is there",
        "services/artifacts.py",
        '    if of(there).lifecycle == "active":\n        return there',
        "    if True:\n        return there",
    ),
    Mutation(
        "artifacts",
        "bytes of collected artifacts stay",
        "services/artifacts.py",
        "        artifacts.doom(draft, artifact.location)\n",
        "",
    ),
    Mutation(
        "artifacts",
        "a version's artifact is replaced",
        "services/artifacts.py",
        "if there not in (None, artifact.record.id) and kind_of(holder.record).name in FIXED:",
        "if False:",
    ),
    Mutation(
        "artifacts",
        "erasure leaves references",
        "store/erasure.py",
        "        connection.execute(sa.delete(family.table).where(*mine))\n",
        "",
    ),
    Mutation(
        "artifacts",
        "belongings as of the past are those of now",
        "store/belongings.py",
        "table.c.record == record, current.at(table, at))",
        "table.c.record == record, current.at(table, None))",
    ),
    Mutation(
        "artifacts",
        "belongings of one transaction are not seen",
        "store/lookup.py",
        "        for waiting in (self._belongings, self.transaction.belongings):\n            if key in",
        "        for waiting in (self._belongings,):\n            if key in",
    ),
)
