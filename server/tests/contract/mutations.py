"""The rules of the contract, broken on purpose: what the state machine must notice.

`mutate` copies the package, applies one of these and runs the state machine on the copy. A change of the source that a
mutation no longer fits fails `test_mutations`, so the list cannot rot.
"""

from __future__ import annotations

import msgspec


class Mutation(msgspec.Struct, frozen=True):
    """One break.

    Attributes:
        rule: the contract's number, or what is broken beside its rules.
        what: what goes wrong.
        file: within the package.
        old: occurs there once …
        new: … and becomes this.
    """

    rule: str
    what: str
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "1",
        "gap in positions",
        "store/draft.py",
        "self.position = transaction.head.position + 1\n",
        "self.position = transaction.head.position + 1 + (transaction.head.position % 11 == 10)\n",
    ),
    Mutation("2", "time backwards", "store/transaction.py", "time=max(head.time, now)", "time=now"),
    Mutation(
        "3",
        "a refused write leaves something behind",
        "store/group.py",
        "    answer = write.apply(draft)\n    draft.close()\n",
        "    try:\n        answer = write.apply(draft)\n    finally:\n        draft.close()\n",
    ),
    Mutation(
        "3",
        "keys remembered before commit",
        "store/transaction.py",
        "            self._keys[name] = number\n",
        "            self._keys[name] = number\n            self.memory.keys[name] = number\n",
    ),
    Mutation(
        "3",
        "records remembered before commit",
        "store/draft.py",
        "        transaction.held.update(self.held)\n",
        (
            "        transaction.held.update(self.held)\n        [transaction.memory.hold(h) for h in se"
            "lf.held.values()]\n"
        ),
    ),
    Mutation(
        "3",
        "foreign commits not noticed",
        "store/held.py",
        "if self.head is None or head.position != self.head.position:",
        "if self.head is None:",
    ),
    Mutation(
        "3",
        "group not replayed after refusal",
        "store/writer.py",
        ("            if len(tickets) > 1:\n                self._one_by_one(project_id, tickets)\n            elif"),
        "            if",
    ),
    Mutation(
        "4",
        "digest replay not detected",
        "store/draft.py",
        "known = repeats.find(self.connection, self.project_id, run, batch, self.read)",
        "known = None",
    ),
    Mutation(
        "4",
        "digest replay not detected after compaction",
        "store/repeats.py",
        "    covering = [int(segment) for _, segment in found]",
        "    covering: list[int] = []",
    ),
    Mutation(
        "4",
        "digest replay not detected in group",
        "store/draft.py",
        "self.transaction.digests[held.no, batch.digest] = position",
        "pass",
    ),
    Mutation(
        "4", "idempotency body ignored", "store/group.py", 'if kept["request"] != write.receipt.request:', "if False:"
    ),
    Mutation(
        "4", "receipt of same group ignored", "store/group.py", "transaction.receipts.get(write.receipt.token) or ", ""
    ),
    Mutation(
        "4",
        "receipts not kept",
        "store/transaction.py",
        "        receipts.KEEP.many(connection, list(self.receipts.values()))\n",
        "",
    ),
    Mutation(
        "4", "writer mark ignored", "services/metrics.py", "if mark is not None and writer[1] <= mark[0]:", "if False:"
    ),
    Mutation(
        "4",
        "writer skip accepted",
        "services/metrics.py",
        "if mark is not None and writer[1] > mark[0] + 1:",
        "if False:",
    ),
    Mutation(
        "4",
        "points at the frontier are taken for new",
        "store/draft.py",
        "(greatest[0] > frontier[0] or",
        "(greatest[0] >= frontier[0] or",
    ),
    Mutation(
        "4", "the frontier does not move", "store/draft.py", "frontier=(step, timestamp)", "frontier=held.frontier"
    ),
    Mutation(
        "4",
        "what a segment holds is not believed",
        "store/repeats.py",
        "        known[segment] = next(",
        "        known[segment] = None and next(",
    ),
    Mutation(
        "4",
        "a writer's mark forgets what it answered",
        "services/metrics.py",
        "draft.advance_writer(*writer, position, count)",
        "draft.advance_writer(*writer, draft.last_position, 0)",
    ),
    Mutation(
        "5",
        "no salt in the hash of a ledger row",
        "store/draft.py",
        '"payload_hash": salted(salt, payload)',
        '"payload_hash": salted(b"", payload)',
    ),
    Mutation(
        "5",
        "no salt in the hash of a revision",
        "store/draft.py",
        "digest = salted(derived_salt(held.salt, self.position), text)",
        'digest = salted(b"", text)',
    ),
    Mutation(
        "5",
        "same salt for all records",
        "store/draft.py",
        "held = Held(no, os.urandom(16),",
        "held = Held(no, bytes(16),",
    ),
    Mutation(
        "5",
        "points payload without salt",
        "store/ledger.py",
        "return salted(derived_salt(salt, position), points_payload",
        'return salted(b"", points_payload',
    ),
    Mutation("5", "erasure keeps the salt", "store/erasure.py", "salt = os.urandom(16)", "salt = held.salt"),
    Mutation(
        "6",
        "seal over wrong leaf",
        "store/sealing.py",
        "[entry.leaf for entry in entries]",
        "[entry.payload_hash for entry in entries]",
    ),
    Mutation("6", "root of a smaller tree", "store/sealing.py", "tree.root(until)", "tree.root(max(1, until - 1))"),
    Mutation("6", "seals not published", "annexes/keeper.py", "    workspace.trust.publish(fresh)", "    pass"),
    Mutation(
        "6",
        "double seal",
        "store/sealing.py",
        "            if sizes.get(item.project_id, 0) != item.before:\n                continue\n",
        "",
    ),
    Mutation(
        "7",
        "compaction drops a point",
        "store/compaction.py",
        ("        kept.append(level1.EntryPoints(row.position, to_micros(row.time), row.actor, row.id, made))"),
        (
            "        kept.append(level1.EntryPoints(row.position, to_micros(row.time), row.actor, row.i"
            "d, made if len(made) < 40 else columns.build(list(made.series), made.key[:-1], made.step[:"
            "-1], made.timestamp[:-1], made.value[:-1])))"
        ),
    ),
    Mutation(
        "7",
        "compaction forgets times",
        "store/compaction.py",
        "level1.EntryPoints(row.position, to_micros(row.time)",
        "level1.EntryPoints(row.position, to_micros(rows[0].time)",
    ),
    Mutation(
        "7",
        "compaction normalises -0.0",
        "store/compaction.py",
        "level1.EntryPoints(row.position, to_micros(row.time), row.actor, row.id, made)",
        (
            "level1.EntryPoints(row.position, to_micros(row.time), row.actor, row.id, columns.Columns(m"
            "ade.series, made.key, made.step, made.timestamp, made.value + 0.0))"
        ),
    ),
    Mutation(
        "7",
        "stale plan carried out",
        "store/compaction.py",
        (
            "        if [(position, bool(erased)) for position, erased in present] != planned.rows:\n   "
            "         return False\n"
        ),
        "",
    ),
    Mutation(
        "7",
        "stale plan: erasure not seen",
        "store/compaction.py",
        "!= planned.rows:",
        "!= planned.rows and not [0 for _, e in planned.rows]:",
    ),
    Mutation(
        "7",
        "unfilled segment taken out twice",
        "store/compaction.py",
        "    return gone.rowcount == 1",
        "    return True",
    ),
    Mutation(
        "7",
        "compacts unsealed",
        "store/compaction.py",
        "rows = _taken(connection, project_id, sealed)",
        "rows = _taken(connection, project_id, sealed + 2**60)",
    ),
    Mutation(
        "8",
        "duplicates collapsed at write",
        "segments/columns.py",
        "    return build(request.series, _keys(request, count), step, timestamp, value)",
        (
            "    made = build(request.series, _keys(request, count), step, timestamp, value)\n    _, at "
            "= np.unique(np.stack([made.key.astype(np.int64), made.step, made.timestamp, made.value.vie"
            "w(np.int64)]), axis=1, return_index=True)\n    at = np.sort(at)\n    return Columns(made.ser"
            "ies, made.key[at], made.step[at], made.timestamp[at], made.value[at])"
        ),
    ),
    Mutation(
        "8",
        "duplicates not collapsed at read",
        "segments/chart.py",
        "        keep = np.r_[True, ~same]",
        "        keep = np.r_[True, ~same] | True",
    ),
    Mutation(
        "8",
        "0.0 and -0.0 collapse",
        "segments/chart.py",
        "        bits = value.view(np.int64)",
        "        bits = (value + 0.0).view(np.int64)",
    ),
    Mutation(
        "9",
        "last is the latest received",
        "store/summaries.py",
        "        new.last_step > old.last_step,",
        "        new.last_step > -2**62,",
    ),
    Mutation(
        "9",
        "ties by value forgotten",
        "store/summaries.py",
        "later_value = sa.and_(",
        "later_value = sa.and_(sa.false(), ",
    ),
    Mutation(
        "9",
        "min_step not the least",
        "store/summaries.py",
        '        sa.and_(new["min"] == old.min, new.min_step < old.min_step),',
        "",
    ),
    Mutation(
        "9",
        "infinite in min",
        "segments/columns.py",
        "    finite = np.isfinite(value)\n    if not",
        "    finite = ~np.isnan(value)\n    if not",
    ),
    Mutation(
        "9",
        "count of distinct only",
        "store/summaries.py",
        'changes["count"] = old["count"] + new["count"]',
        ('changes["count"] = old["count"] + new["count"] - sa.case((new.last_step == old.last_step, 1), else_=0)'),
    ),
    Mutation(
        "10",
        "as_of off by one: versions",
        "store/current.py",
        "table.c.valid_from <= as_of, sa.or_(table.c.valid_to.is_(None), table.c.valid_to > as_of)",
        "table.c.valid_from <= as_of, sa.or_(table.c.valid_to.is_(None), table.c.valid_to >= as_of)",
    ),
    Mutation(
        "10",
        "as_of off by one: params",
        "store/runs.py",
        "query = query.where(table.c.valid_from <= at)",
        "query = query.where(table.c.valid_from < at)",
    ),
    Mutation(
        "10",
        "as_of off by one: summaries",
        "store/past.py",
        "if summary.position <= as_of}",
        "if summary.position <= as_of + 1}",
    ),
    Mutation(
        "10",
        "as_of off by one: series level 0",
        "store/points.py",
        "        if as_of is None or position <= as_of:",
        "        if as_of is None or position < as_of:",
    ),
    Mutation(
        "10",
        "as_of ignored in level 1",
        "store/points.py",
        "    keep = part.position <= as_of",
        "    keep = part.position <= as_of + 1",
    ),
    Mutation(
        "10",
        "as_of off by one: search params",
        "store/search/source.py",
        "conditions.append(table.c.valid_from <= self.as_of)",
        "conditions.append(table.c.valid_from <= self.as_of + 1)",
    ),
    Mutation(
        "10",
        "as_of in search: metrics",
        "store/search/source.py",
        "summaries_table.c.position > as_of,",
        "summaries_table.c.position > as_of + 1,",
    ),
    Mutation(
        "10",
        "as_of tags in search are present",
        "store/search/source.py",
        "conditions.append(current.at(tags, self.as_of))",
        "conditions.append(current.at(tags, None))",
    ),
    Mutation(
        "10",
        "time: strictly before",
        "store/ledger.py",
        "if row is None or row.time > moment:",
        "if row is None or row.time >= moment:",
    ),
    Mutation(
        "10",
        "time: segments forgotten",
        "store/ledger.py",
        "    for rows in (starts, last_segment):",
        "    for rows in (starts,):",
    ),
    Mutation(
        "10",
        "past of tags: closing off by one",
        "store/transaction.py",
        'waiting["valid_to"] = position',
        'waiting["valid_to"] = position + 1',
    ),
    Mutation(
        "11",
        "no-op writes a revision",
        "store/draft.py",
        (
            "        if alike(msgspec.structs.replace(record, position=held.record.position), held.record):\n"
            "            return held\n"
        ),
        "",
    ),
    Mutation("11", "same tag writes again", "store/draft.py", "if known.get(key) != value}", "if True}"),
    Mutation(
        "11",
        "same param writes again",
        "store/draft.py",
        "            if old is None:\n                fresh",
        "            if old is None or old == value:\n                fresh",
    ),
    Mutation(
        "erasure",
        "erasure leaves revisions",
        "store/erasure.py",
        "        .values(body=None)",
        "        .values(kind='run')",
    ),
    Mutation(
        "erasure", "erasure leaves params", "store/erasure.py", "for table in (params, tags,", "for table in (tags,"
    ),
    Mutation(
        "erasure",
        "erasure leaves points in segments",
        "store/erasure.py",
        " + _erase_level1(connection, project_id, held)",
        "",
    ),
    Mutation(
        "erasure",
        "erasure leaves receipts",
        "store/erasure.py",
        "    _erase_receipts(connection, project_id, held.record.id)\n",
        "",
    ),
    Mutation(
        "erasure",
        "erasure leaves summaries",
        "store/erasure.py",
        "for table in (params, tags, summaries,",
        "for table in (params, tags,",
    ),
    Mutation(
        "erasure",
        "erasure not overwritten (sqlite)",
        "store/erasure.py",
        "PRAGMA secure_delete = ON",
        "PRAGMA secure_delete = OFF",
    ),
    Mutation(
        "verify",
        "verify skips summaries",
        "store/audit/series.py",
        "_summaries(connection, project_id, project, report)\n",
        "None\n",
    ),
    Mutation(
        "verify",
        "verify skips rows",
        "services/verify.py",
        '(("records", rows.check), ("summaries", series.check))',
        '(("summaries", series.check),)',
    ),
    Mutation(
        "verify",
        "verify skips tiles",
        "store/audit/chain.py",
        "walk.suspect or _upper_tiles(connection, project_id, walk.sealed, broken=broken)",
        "walk.suspect",
    ),
    Mutation(
        "pages",
        "feed skips at page borders",
        "services/ledger.py",
        "next=cursor(ref, until)",
        "next=cursor(ref, min(head, until + (until % 5 == 0)))",
    ),
    Mutation(
        "pages",
        "page token off in search",
        "store/search/ordering.py",
        "further = part.expression < value if part.descending",
        "further = part.expression <= value if part.descending",
    ),
    Mutation(
        "batch",
        "batch not atomic",
        "services/batch.py",
        "                raise _at(index, error) from None\n        before",
        (
            "                if index < 2:\n                    raise _at(index, error) from None\n      "
            "          results.append(None)\n        before"
        ),
    ),
)
